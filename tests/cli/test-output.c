// SPDX-License-Identifier: LGPL-2.1-or-later
// Escaping, widths, sizes and exit statuses.
#include <string.h>

#include "output.h"

static void
test_escape (void)
{
  static const struct
  {
    const char *text, *shown;
  } cases[] = {
    { "plain", "plain" },
    { "", "" },
    { "a\033[31mb", "a\\x1b[31mb" },
    { "a\nb\tc", "a\\x0ab\\x09c" },
    { "\x7f", "\\x7f" },
    { "\xc2\x9b", "\\x9b" },         /* C1: CSI */
    { "\xe2\x80\xae", "\\u{202e}" }, /* right-to-left override */
    { "\xe2\x80\x8b", "\\u{200b}" }, /* zero width space */
    { "\xff\xc3", "\\xff\\xc3" },    /* no UTF-8 */
    { "\xc0\xaf", "\\xc0\\xaf" },    /* overlong */
    { "\xc3\xa9\xe6\x97\xa5", "\xc3\xa9\xe6\x97\xa5" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *shown = vms_escape (cases[i].text);
      g_assert_cmpstr (shown, ==, cases[i].shown);
    }
}

/* Whatever the bytes: nothing that a terminal acts upon comes out, and it is UTF-8. */
static void
test_escape_any_bytes (void)
{
  for (int round = 0; round < 20000; round++)
    {
      char bytes[24];
      gsize length = (gsize)g_test_rand_int_range (0, sizeof bytes);
      g_autofree char *shown = NULL;
      for (gsize i = 0; i < length; i++)
        bytes[i] = (char)g_test_rand_int_range (1, 256);
      bytes[length] = '\0';
      shown = vms_escape (bytes);
      g_assert_true (g_utf8_validate (shown, -1, NULL));
      for (const char *at = shown; *at != '\0'; at = g_utf8_next_char (at))
        {
          gunichar c = g_utf8_get_char (at);
          g_assert_true (c >= 0x20 && !(c >= 0x7f && c < 0xa0) && !(c >= 0x202a && c <= 0x202e));
        }
    }
}

static void
test_width (void)
{
  g_autofree char *cut = vms_cut ("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e text", 8);
  g_autofree char *whole = vms_cut ("short", 5);

  g_assert_cmpuint (vms_width ("abc"), ==, 3);
  g_assert_cmpuint (vms_width ("\xe6\x97\xa5"), ==, 2);
  g_assert_cmpuint (vms_width ("e\xcc\x81"), ==, 1);
  g_assert_cmpstr (cut, ==, "\xe6\x97\xa5\xe6\x9c\xac...");
  g_assert_cmpstr (whole, ==, "short");
  for (guint columns = 0; columns < 16; columns++)
    {
      g_autofree char *any = vms_cut ("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e text", columns);
      g_assert_cmpuint (vms_width (any), <=, columns);
    }
}

static void
test_sizes (void)
{
  static const struct
  {
    guint64 bytes;
    const char *text;
  } cases[] = {
    { 0, "0 B" },
    { 1023, "1023 B" },
    { 1024, "1.0 KiB" },
    { 1024 * 1024 - 1, "1.0 MiB" },
    { G_GUINT64_CONSTANT (1503238553), "1.4 GiB" },
    { G_MAXUINT64, "16.0 EiB" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = vms_size (cases[i].bytes);
      g_assert_cmpstr (text, ==, cases[i].text);
    }
}

/* The table of the manual. Every code has a line, so that a new one is noticed. */
static void
test_exit_statuses (void)
{
  static const struct
  {
    SandboxError code;
    int status;
  } cases[] = {
    { SANDBOX_ERROR_FAILED, 1 },      { SANDBOX_ERROR_INVALID, 2 },
    { SANDBOX_ERROR_NOT_FOUND, 3 },   { SANDBOX_ERROR_EXISTS, 4 },
    { SANDBOX_ERROR_WRONG_STATE, 4 }, { SANDBOX_ERROR_BUSY, 4 },
    { SANDBOX_ERROR_IN_USE, 4 },      { SANDBOX_ERROR_HOST, 5 },
    { SANDBOX_ERROR_DENIED, 5 },      { SANDBOX_ERROR_UNSUPPORTED, 5 },
    { SANDBOX_ERROR_TIMED_OUT, 6 },   { SANDBOX_ERROR_GUEST, 1 },
  };

  g_assert_cmpuint (G_N_ELEMENTS (cases), ==, SANDBOX_ERROR_GUEST + 1);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = g_error_new (SANDBOX_ERROR, (int)cases[i].code, "x");
      g_assert_cmpint (vms_exit_status (error), ==, cases[i].status);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/output/escape", test_escape);
  g_test_add_func ("/output/escape-any-bytes", test_escape_any_bytes);
  g_test_add_func ("/output/width", test_width);
  g_test_add_func ("/output/sizes", test_sizes);
  g_test_add_func ("/output/exit-statuses", test_exit_statuses);
  return g_test_run ();
}
