// SPDX-License-Identifier: LGPL-2.1-or-later
// Escaping: nothing that a terminal acts on comes through, and the length limit holds.
#include "base/names.h"

#include <string.h>

static void
test_texts (void)
{
  static const struct
  {
    const char *text;
    gssize length;
    const char *escaped;
  } rows[] = {
    { "plain text", -1, "plain text" },
    { "caf\xc3\xa9 \xe6\x97\xa5", -1, "caf\xc3\xa9 \xe6\x97\xa5" },
    { "a\nb\t\x1b[31m", -1, "a\\x0ab\\x09\\x1b[31m" },
    { "\x7f", -1, "\\x7f" },
    { "\xc2\x9b"
      "31m",
      -1, "\\u{9b}31m" },
    { "a\xff\xc3", -1, "a\\xff\\xc3" },
    { "\xc0\xaf", -1, "\\xc0\\xaf" },
    { "\xe2\x80\xae"
      "evil\xe2\x80\x8b",
      -1, "\\u{202e}evil\\u{200b}" },
    { "\xe2\x80\xa8", -1, "\\u{2028}" },
    { "\xef\xbb\xbf", -1, "\\u{feff}" },
    { "\xef\xbf\xbe", -1, "\\u{fffe}" },
    { "a\0b", 3, "a\\x00b" },
    { "", -1, "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *escaped = sandbox_escape (rows[i].text, rows[i].length, 100);

      g_assert_cmpstr (escaped, ==, rows[i].escaped);
    }
}

static void
test_cut (void)
{
  g_autofree char *fits = sandbox_escape ("12345678", -1, 8);
  g_autofree char *cut = sandbox_escape ("123456789", -1, 8);
  g_autofree char *whole = sandbox_escape ("1234\n6789", -1, 9);
  g_autofree char *none = sandbox_escape ("123", -1, 2);

  g_assert_cmpstr (fits, ==, "12345678");
  g_assert_cmpstr (cut, ==, "12345\xe2\x80\xa6");
  g_assert_cmpstr (whole, ==, "1234\xe2\x80\xa6");
  g_assert_cmpstr (none, ==, "");
}

static void
test_random (void)
{
  for (guint i = 0; i < 20000; i++)
    {
      char text[40];
      gsize length = (gsize)g_test_rand_int_range (0, (gint32)sizeof text);
      gsize max = (gsize)g_test_rand_int_range (0, 60);
      g_autofree char *escaped = NULL;

      for (gsize k = 0; k < length; k++)
        text[k] = (char)g_test_rand_int_range (0, 256);
      escaped = sandbox_escape (text, (gssize)length, max);
      g_assert_cmpuint (strlen (escaped), <=, max);
      g_assert_true (g_utf8_validate (escaped, -1, NULL));
      for (const char *p = escaped; *p; p = g_utf8_next_char (p))
        g_assert_true (sandbox_char_is_plain (g_utf8_get_char (p)));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/escape/texts", test_texts);
  g_test_add_func ("/escape/cut", test_cut);
  g_test_add_func ("/escape/random", test_random);
  return g_test_run ();
}
