// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine is told to throw away: in which order, and never what nobody was shown.
#include "world.h"

#include <string.h>

/* "r a c b": what is told when the paths in @named are discarded; NULL: all. */
static char *
told (SandboxChanges *changes, const char *const *named)
{
  g_autofree gboolean *wanted = g_new0 (gboolean, changes->rows->len + 1);
  GString *list;
  char *text;

  for (guint i = 0; i < changes->rows->len; i++)
    wanted[i] = !named || g_strv_contains (named, sandbox_changes_get (changes, i)->path);
  _sandbox_discard_keep (changes, wanted);
  list = _sandbox_discard_list (changes, wanted);
  for (gsize i = 0; i < list->len; i++)
    if (list->str[i] == '\0')
      list->str[i] = ' ';
  text = g_strchomp (g_string_free (list, FALSE));
  return text;
}

static void
check (SandboxChanges *changes, const char *const *named, const char *expected)
{
  g_autofree char *text = told (changes, named);

  g_assert_cmpstr (text, ==, expected);
}

/* From the bottom up; then what comes back, from the top down. */
static void
test_order (void)
{
  static const char *const some[] = { "new", "new/deep", "new/deep/a", NULL };
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "gone/in/f", 0644, "f");
  put_file (world.host, "edited", 0644, "e");
  put_file (world.host, "other", 0644, "o");
  world_record (&world);
  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./edited", NULL, 0644, "by the machine");
  add_raw (archive, '3', "./gone", NULL, 0, 0, 0, 0);
  add_entry (archive, SANDBOX_TAR_DIR, "./new/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./new/deep/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./new/deep/a", NULL, 0644, "a");
  add_entry (archive, SANDBOX_TAR_FILE, "./new/b", NULL, 0644, "b");
  add_entry (archive, SANDBOX_TAR_DIR, "./other/", NULL, 0755, NULL);
  sandbox_tar_append_end (archive);
  changes = world_read_archive (&world, archive, &error);
  g_assert_no_error (error);
  check (changes, NULL,
         "r other r new/deep/a r new/deep r new/b r new c edited c gone c gone/in c gone/in/f "
         "c other");
  /* what is in it was not named */
  check (changes, some, "r new/deep/a r new/deep");
  world_clear (&world);
}

/* A repository that only the machine has, and whatever else git takes for one, has no rows: it
 * stays, with all directories that it is in. */
static void
test_git (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "was", 0644, "a file");
  world_record (&world);
  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./a/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./a/file", NULL, 0644, "f");
  add_entry (archive, SANDBOX_TAR_DIR, "./a/sub/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./a/sub/.git/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./a/sub/.git/HEAD", NULL, 0644, "ref: refs/heads/main");
  add_entry (archive, SANDBOX_TAR_FILE, "./a/sub/work", NULL, 0644, "w");
  add_entry (archive, SANDBOX_TAR_DIR, "./bare/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./bare/HEAD", NULL, 0644, "ref: refs/heads/main");
  add_entry (archive, SANDBOX_TAR_DIR, "./bare/objects/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./bare/refs/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./was/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./was/.git/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./z/", NULL, 0755, NULL);
  sandbox_tar_append_end (archive);
  changes = world_read_archive (&world, archive, &error);
  g_assert_no_error (error);
  check (changes, NULL, "r z r a/sub/work r a/file");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/discard/order", test_order);
  g_test_add_func ("/share/discard/git", test_git);
  return g_test_run ();
}
