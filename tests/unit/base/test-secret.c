// SPDX-License-Identifier: LGPL-2.1-or-later
// Passphrases: which are taken, and that their memory is kept out of core files and children.
#include "base/error.h"
#include "base/secret.h"

#include <string.h>

static gboolean
check (const char *text, gsize length, gboolean new)
{
  g_autoptr (SandboxSecret) secret = sandbox_secret_new ();
  g_autoptr (GError) error = NULL;
  gboolean good;

  memcpy (secret->text, text, MIN (length, SANDBOX_SECRET_MAX));
  secret->length = length;
  good = sandbox_secret_check (secret, new, "start work", &error);
  if (good)
    g_assert_no_error (error);
  else
    {
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_true (g_str_has_prefix (error->message, "start work: the passphrase is "));
      /* what was typed is not repeated */
      g_assert_true (strlen (text) < 4 || strstr (error->message, text) == NULL);
    }
  return good;
}

static void
test_check (void)
{
  static const struct
  {
    const char *text;
    gsize length;
    gboolean old, new;
  } cases[] = {
    { "", 0, FALSE, FALSE },
    { "kurz", 4, TRUE, FALSE },
    { "sieben7", 7, TRUE, FALSE },
    { "correct horse", 13, TRUE, TRUE },
    { "Schl\xc3\xbcssel", 10, TRUE, TRUE },
    { "Schl\xfcssel1", 10, FALSE, FALSE },
    { "with\ta tab", 10, FALSE, FALSE },
    { "a\0b-c-d-e-f", 11, FALSE, FALSE },
    { "with\nnewline", 12, FALSE, FALSE },
  };
  g_autofree char *longest = g_strnfill (SANDBOX_SECRET_MAX, 'x');

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_cmpint (check (cases[i].text, cases[i].length, FALSE), ==, cases[i].old);
      g_assert_cmpint (check (cases[i].text, cases[i].length, TRUE), ==, cases[i].new);
    }
  g_assert_true (check (longest, SANDBOX_SECRET_MAX, TRUE));
  g_assert_false (check (longest, SANDBOX_SECRET_MAX + 1, TRUE));
}

/* The flags of the mapping at @address, as the kernel tells them. */
static char *
flags_at (gconstpointer address)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  gboolean inside = FALSE;

  g_assert_true (g_file_get_contents ("/proc/self/smaps", &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      guint64 first, last;
      char *end;

      first = g_ascii_strtoull (*line, &end, 16);
      if (end != *line && *end == '-')
        {
          last = g_ascii_strtoull (end + 1, NULL, 16);
          inside = (gsize)address >= first && (gsize)address < last;
        }
      if (inside && g_str_has_prefix (*line, "VmFlags:"))
        return g_strdup (*line);
    }
  return NULL;
}

static void
test_memory (void)
{
  g_autoptr (SandboxSecret) secret = sandbox_secret_new ();
  g_autofree char *flags = flags_at (secret->text);

  g_assert_cmpuint (secret->length, ==, 0);
  if (flags == NULL)
    {
      g_test_skip ("this kernel does not tell");
      return;
    }
  g_assert_nonnull (strstr (flags, " dd")); /* not dumped */
  g_assert_nonnull (strstr (flags, " dc")); /* not copied on fork */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/secret/check", test_check);
  g_test_add_func ("/secret/memory", test_memory);
  return g_test_run ();
}
