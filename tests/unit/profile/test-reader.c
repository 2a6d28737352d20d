// SPDX-License-Identifier: LGPL-2.1-or-later
// The reader: what it hands on, and the line in each of its errors. (The texts of all errors are in
// tests/golden/profile-errors.)
#include "profile/profile-internal.h"

#include "base/error.h"

#include <string.h>

static gboolean
note (const Place *place, const char *group, const char *key, const char *value, gpointer user_data,
      GError **error)
{
  g_string_append_printf (user_data, "%s:%u[%s]%s=%s;", place->source, place->line, group,
                          key ? key : "", value ? value : "");
  if (key && g_str_equal (key, "bad"))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "no good");
  return TRUE;
}

static void
test_good (void)
{
  static const char text[] =
      "# comment\twith a tab\n; another\n\n   \n[a]\nx=1\ny=a=b # no comment\n"
      "z=\n[b:c]\nx=\\s$HOME `id` \"q\"\n#end";
  g_autoptr (GString) seen = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_reader_run ("f", text, strlen (text), note, seen, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (seen->str, ==,
                   "f:5[a]=;f:6[a]x=1;f:7[a]y=a=b # no comment;f:8[a]z=;f:9[b:c]=;"
                   "f:10[b:c]x=\\s$HOME `id` \"q\";");
}

static void
test_bad (void)
{
  static const struct
  {
    const char *text, *message;
  } rows[] = {
    { "x", "f:1: \"x\" is neither" },
    { "x=1", "f:1: the key \"x\" stands before the first group" },
    { "[a]\n\n[a]\n", "f:3: [a] stands in line 1 already" },
    { "[a]\nx=1\n[b]\nx=1\n[c]\nx=2\nx=2\n", "f:7: the key \"x\" of [c] stands in line 6" },
    { "[a\n", "f:1: \"[a\" is no group" },
    { "[]\n", "f:1: \"[]\" is no group" },
    { "[a] \n", "f:1: \"[a] \" is no group" },
    { "[a] # x\n", "f:1: \"[a] # x\" is no group" },
    { "[[a]]\n", "f:1: \"[[a]]\" is no group" },
    { " [a]\n", "f:1: the line begins with blanks" },
    { "[a]\n x=1\n", "f:2: the line begins with blanks" },
    { "[a]\nx =1\n", "f:2: \"x =1\" has blanks around" },
    { "[a]\nx= 1\n", "f:2: \"x= 1\" has blanks around" },
    { "[a]\nx=1 \n", "f:2: \"x=1 \" has blanks at its end" },
    { "[a]\n=1\n", "f:2: \"=1\" has no key" },
    { "[a]\nx=\t1\n", "f:2: the line has a tab" },
    { "[a]\r\n", "f:1: the line ends with a carriage return" },
    { "[a]\nx=a\rb\n", "f:2: the line has the invisible character U+000D at byte 4" },
    { "[a]\nx=\xe2\x80\xae\n", "f:2: the line has the invisible character U+202E" },
    { "#\xe2\x80\x8b\n", "f:1: the line has the invisible character U+200B" },
    { "[a]\nx=\xc3\n", "f:2: byte 3 of the line is no valid UTF-8" },
    { "[a]\nx=\xc0\xaf\n", "f:2: byte 3 of the line is no valid UTF-8" },
    { "\xef\xbb\xbf[a]\n", "f:1: the file begins with a byte order mark" },
    { "\xff\xfe[a]\n", "f:1: the file is UTF-16" },
    { "[a]\nbad=1\n", "f:2: no good" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GString) seen = g_string_new (NULL);
      g_autoptr (GError) error = NULL;

      g_assert_false (
          _sandbox_reader_run ("f", rows[i].text, strlen (rows[i].text), note, seen, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      if (!g_str_has_prefix (error->message, rows[i].message))
        g_error ("\"%s\" should begin with \"%s\"", error->message, rows[i].message);
    }
}

static void
test_nul (void)
{
  g_autoptr (GString) seen = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (_sandbox_reader_run ("f", "[a]\nx=1\0y\n", 10, note, seen, &error));
  g_assert_true (g_str_has_prefix (error->message, "f:2: the line has a NUL byte"));
}

static gboolean
run_filled (char fill, gsize length, const char *before)
{
  g_autofree char *filling = g_strnfill (length, fill);
  g_autofree char *text = g_strconcat (before, filling, NULL);
  g_autoptr (GString) seen = g_string_new (NULL);

  return _sandbox_reader_run ("f", text, strlen (text), note, seen, NULL);
}

static void
test_limits (void)
{
  g_assert_true (run_filled ('x', SANDBOX_PROFILE_LINE_MAX - 2, "[a]\ny="));
  g_assert_false (run_filled ('x', SANDBOX_PROFILE_LINE_MAX - 1, "[a]\ny="));
  g_assert_true (run_filled ('\n', SANDBOX_PROFILE_LINES_MAX, ""));
  g_assert_false (run_filled ('\n', SANDBOX_PROFILE_LINES_MAX + 1, ""));
  g_assert_false (run_filled ('\n', SANDBOX_PROFILE_FILE_MAX + 1, ""));
  g_assert_false (run_filled ('[', 10000, ""));
}

/* Any bytes: an answer, and nothing that is not text in it. */
static void
test_random (void)
{
  static const char *const pieces[] = {
    "[",     "]",     "a",  "=",    "\n",       "\n",           "#",
    " ",     "\t",    "\r", "\xff", "\xc3\xa9", "\xe2\x80\xae", ":",
    "[a]\n", "x=1\n", "bad"
  };

  for (guint i = 0; i < 20000; i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      g_autoptr (GString) seen = g_string_new (NULL);
      g_autoptr (GError) error = NULL;

      for (gint32 n = g_test_rand_int_range (0, 20); n > 0; n--)
        g_string_append (text, pieces[g_test_rand_int_range (0, G_N_ELEMENTS (pieces))]);
      if (_sandbox_reader_run ("f", text->str, text->len, note, seen, &error))
        g_assert_no_error (error);
      else
        g_assert_true (g_utf8_validate (error->message, -1, NULL));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/reader/good", test_good);
  g_test_add_func ("/reader/bad", test_bad);
  g_test_add_func ("/reader/nul", test_nul);
  g_test_add_func ("/reader/limits", test_limits);
  g_test_add_func ("/reader/random", test_random);
  return g_test_run ();
}
