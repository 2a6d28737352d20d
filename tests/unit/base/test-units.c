// SPDX-License-Identifier: LGPL-2.1-or-later
// Sizes, numbers, ports, networks: what is accepted, what is not, and that writing and reading
// agree.
#include "base/error.h"
#include "base/units.h"

#include <string.h>

#define KIB G_GUINT64_CONSTANT (1024)
#define GIB (KIB * KIB * KIB)

static const char *const bad_numbers[] = {
  "",    "-1", "00", "+1", "0x10",  "1e9", "99999999999999999999", "4294967296",
  "1.5", " 1", "1 ", "01", "1,000", "1\n", "\xef\xbc\x91",         "one",
  NULL,
};

static void
test_uint (void)
{
  guint64 value = 77;

  for (guint i = 0; bad_numbers[i]; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (sandbox_uint_parse (bad_numbers[i], 0, 1000, &value, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_cmpuint (value, ==, 77);
    }
  g_assert_true (sandbox_uint_parse ("0", 0, 9, &value, NULL));
  g_assert_cmpuint (value, ==, 0);
  g_assert_false (sandbox_uint_parse ("0", 1, 9, &value, NULL));
  g_assert_false (sandbox_uint_parse ("10", 1, 9, &value, NULL));
  g_assert_true (sandbox_uint_parse ("18446744073709551615", 0, G_MAXUINT64, &value, NULL));
  g_assert_cmpuint (value, ==, G_MAXUINT64);
  g_assert_false (sandbox_uint_parse ("18446744073709551616", 0, G_MAXUINT64, &value, NULL));
}

static void
test_size (void)
{
  static const char *const bad[] = { "",
                                     "123",
                                     "5GB",
                                     "5gib",
                                     "1.5GiB",
                                     "9E",
                                     "-1GiB",
                                     " 1GiB",
                                     "1 GiB",
                                     "1GiB ",
                                     "GiB",
                                     "01GiB",
                                     "1GiBx",
                                     "0x1GiB",
                                     "1,5GiB",
                                     "16777216TiB",
                                     "18446744073709551615TiB",
                                     "1K",
                                     "1Gi",
                                     "1e3MiB",
                                     NULL };
  guint64 bytes = 5;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; bad[i]; i++)
    g_assert_false (sandbox_size_parse (bad[i], 0, G_MAXUINT64, &bytes, NULL));
  g_assert_cmpuint (bytes, ==, 5);
  g_assert_true (sandbox_size_parse ("300KiB", 0, G_MAXUINT64, &bytes, NULL));
  g_assert_cmpuint (bytes, ==, 300 * KIB);
  g_assert_true (sandbox_size_parse ("4GiB", 0, G_MAXUINT64, &bytes, NULL));
  g_assert_cmpuint (bytes, ==, 4 * GIB);
  g_assert_true (sandbox_size_parse ("16777215TiB", 0, G_MAXUINT64, &bytes, NULL));
  g_assert_false (sandbox_size_parse ("9GiB", GIB, 8 * GIB, &bytes, &error));
  g_assert_cmpstr (error->message, ==,
                   "\"9GiB\" is no valid size: use a whole number with KiB, MiB, GiB or TiB, from "
                   "1GiB to 8GiB");
}

static void
test_size_round_trip (void)
{
  for (guint i = 0; i < 5000; i++)
    {
      guint64 bytes = (guint64)(guint32)g_test_rand_int () * KIB << g_test_rand_int_range (0, 20);
      guint64 again = 1;
      g_autofree char *text = sandbox_size_format (bytes);

      g_assert_true (sandbox_size_parse (text, 0, G_MAXUINT64, &again, NULL));
      g_assert_cmpuint (again, ==, bytes);
    }
}

static void
test_size_human (void)
{
  static const struct
  {
    guint64 bytes;
    const char *text;
  } rows[] = {
    { 0, "0 B" },
    { 1023, "1023 B" },
    { KIB, "1.0 KiB" },
    { 1536, "1.5 KiB" },
    { GIB * 14 / 10, "1.4 GiB" },
    { GIB * 40, "40.0 GiB" },
    { 5 * KIB * GIB, "5.0 TiB" },
    { G_MAXUINT64, "16777216.0 TiB" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *text = sandbox_size_human (rows[i].bytes);

      g_assert_cmpstr (text, ==, rows[i].text);
    }
}

static void
test_ports (void)
{
  static const char *const bad[] = { "0",      "65536", "-1",   "80-79",  "80,443",   "80-90,85",
                                     " 80",    "080",   "0x50", "tcp/80", "TCP",      "any",
                                     "",       "80-",   "-80",  "80--81", "80-81-82", "1-65536",
                                     "80 -81", "http",  NULL };
  SandboxPortRange range = { 0 };

  for (guint i = 0; bad[i]; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (sandbox_port_range_parse (bad[i], &range, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
    }
  g_assert_cmpuint (range.last, ==, 0);
  g_assert_true (sandbox_port_range_parse ("80", &range, NULL));
  g_assert_true (range.first == 80 && range.last == 80);
  g_assert_true (sandbox_port_range_parse ("80-80", &range, NULL));
  g_assert_true (sandbox_port_range_parse ("1-65535", &range, NULL));
  g_assert_true (range.first == 1 && range.last == 65535);
}

static void
test_cidr (void)
{
  static const char *const bad[] = { "",
                                     "::",
                                     "127.1",
                                     "2130706433",
                                     "0177.0.0.1",
                                     "::ffff:127.0.0.1",
                                     "fe80::1%eth0",
                                     "10.0.0.0/33",
                                     "10.0.0.0/",
                                     "10.0.0.0/08",
                                     "1.2.3.4.5",
                                     "1.2.3.256",
                                     "1.2.3.",
                                     ".1.2.3",
                                     "1.2.3.4 ",
                                     "1.2.3.4/-1",
                                     "x..",
                                     "-x",
                                     "example.org",
                                     "1.2.3.4/24/8",
                                     "1..2.3",
                                     NULL };
  SandboxCidr a = { 0 }, b = { 0 };
  g_autofree char *text = NULL;

  for (guint i = 0; bad[i]; i++)
    g_assert_false (sandbox_cidr_parse (bad[i], &a, NULL));
  g_assert_true (sandbox_cidr_parse ("10.213.4.8/29", &a, NULL));
  g_assert_cmpuint (a.bits, ==, 29);
  text = sandbox_address_format (a.address);
  g_assert_cmpstr (text, ==, "10.213.4.8");
  g_assert_true (sandbox_cidr_parse ("10.213.4.15", &b, NULL));
  g_assert_cmpuint (b.bits, ==, 32);
  g_assert_true (sandbox_cidr_overlaps (&a, &b));
  g_assert_true (sandbox_cidr_overlaps (&b, &a));
  g_assert_true (sandbox_cidr_parse ("10.213.4.16/29", &b, NULL));
  g_assert_false (sandbox_cidr_overlaps (&a, &b));
  g_assert_true (sandbox_cidr_parse ("0.0.0.0/0", &b, NULL));
  g_assert_true (sandbox_cidr_overlaps (&a, &b));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/units/uint", test_uint);
  g_test_add_func ("/units/size", test_size);
  g_test_add_func ("/units/size-round-trip", test_size_round_trip);
  g_test_add_func ("/units/size-human", test_size_human);
  g_test_add_func ("/units/ports", test_ports);
  g_test_add_func ("/units/cidr", test_cidr);
  return g_test_run ();
}
