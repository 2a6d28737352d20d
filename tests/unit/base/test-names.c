// SPDX-License-Identifier: LGPL-2.1-or-later
// Names: the pattern, its edges, and the corpus of names that must never get in.
#include "base/error.h"
#include "base/names.h"

#include <string.h>

static const char *const good[] = { "a",  "work", "a-b",
                                    "a1", "w-",   "x2345678901234567890123456789-1",
                                    NULL };

static const char *const bad[] = {
  "",
  ".",
  "..",
  "../x",
  "a/b",
  "/abs",
  "a\nb",
  "a\r",
  "-x",
  "--config",
  "-oProxyCommand=id",
  "a;b",
  "a|b",
  "$(id)",
  "a*b",
  "a b",
  "a'b",
  "a\"b",
  "<a>",
  "&amp;",
  "]]>",
  "%n",
  "\xc3\xa9",
  "\xef\xbd\x81",
  "CON",
  "aux.txt",
  "a:b",
  "@",
  "#",
  "{}",
  "~",
  ".hidden",
  "1",
  "12345",
  "Work",
  "wORK",
  "a_b",
  "6b1e4c0d-528f-4e3a-9b77-20d3c1f58a46",
  "x23456789012345678901234567890-2",
  "w\xc2\xadork",
  "wor\xe2\x80\x8bk",
  "\xd1\x85",
  "a\xff",
  NULL,
};

static void
test_good (void)
{
  g_autoptr (GError) error = NULL;

  for (guint i = 0; good[i]; i++)
    {
      g_assert_true (sandbox_name_check ("machine", good[i], &error));
      g_assert_no_error (error);
    }
}

static void
test_bad (void)
{
  for (guint i = 0; bad[i]; i++)
    {
      g_autoptr (GError) error = NULL;

      g_test_message ("name %u", i);
      g_assert_false (sandbox_name_check ("machine", bad[i], &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      for (const char *p = error->message; *p; p = g_utf8_next_char (p))
        g_assert_true (sandbox_char_is_plain (g_utf8_get_char (p)));
    }
}

static void
test_lengths (void)
{
  static const gsize lengths[] = { 32, 63, 64, 255, 256, 4096 };

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_autofree char *name = g_strnfill (lengths[i], 'a');
      g_autoptr (GError) error = NULL;

      g_assert_false (sandbox_name_check ("machine", name, &error));
      g_assert_cmpuint (strlen (error->message), <, 400);
    }
}

static void
test_reserved (void)
{
  static const char *const reserved[] = { "default", "defaults", "all", "host", "base", NULL };

  for (guint i = 0; reserved[i]; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (sandbox_name_check ("machine", reserved[i], &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_nonnull (strstr (error->message, "reserved"));
      g_assert_true (sandbox_name_check_form ("share", reserved[i], NULL));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/names/good", test_good);
  g_test_add_func ("/names/bad", test_bad);
  g_test_add_func ("/names/lengths", test_lengths);
  g_test_add_func ("/names/reserved", test_reserved);
  return g_test_run ();
}
