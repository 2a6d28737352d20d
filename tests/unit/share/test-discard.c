// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine is told to throw away: in which order, and never what nobody was shown.
#include "world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void
set_mode (const World *world, const char *path, guint mode)
{
  g_assert_cmpint (fchmodat (world->host_fd, path, mode, 0), ==, 0);
}

static gboolean
is_there (const World *world, const char *path)
{
  struct stat st;

  return fstatat (world->host_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
make_unread (World *world)
{
  world_init (world, NULL);
  put_file (world->host, "edited", 0644, "e");
  put_file (world->host, "deep/free", 0644, "f");
  put_file (world->host, "deep/listed/f", 0644, "f");
  put_file (world->host, "deep/unread", 0, "u");
  put_file (world->host, "gone", 0, "g");
  put_file (world->host, "hidden/f", 0644, "f");
  put_file (world->host, "locked/f", 0644, "f");
  put_file (world->host, "opaque/f", 0644, "f");
  put_file (world->host, "replaced", 0, "r");
  put_file (world->host, "unsearched/f", 0644, "f");
  set_mode (world, "unsearched", 0444);
  world_record (world);
  set_mode (world, "deep/listed", 0444);
  set_mode (world, "hidden", 0);
  set_mode (world, "locked", 0444);
  set_mode (world, "opaque", 0);
}

static void
clear_unread (World *world)
{
  set_mode (world, "deep/listed", 0755);
  set_mode (world, "hidden", 0755);
  set_mode (world, "locked", 0755);
  set_mode (world, "opaque", 0755);
  set_mode (world, "unsearched", 0755);
  world_clear (world);
}

static SandboxChanges *
change_unread (World *world)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./edited", NULL, 0644, "by the machine");
  add_raw (archive, '3', "./deep", NULL, 0, 0, 0, 0);
  add_raw (archive, '3', "./gone", NULL, 0, 0, 0, 0);
  add_entry (archive, SANDBOX_TAR_DIR, "./hidden/", NULL, 0, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./hidden/new", NULL, 0644, "n");
  add_raw (archive, '3', "./hidden/gone", NULL, 0, 0, 0, 0);
  add_raw (archive, '3', "./locked", NULL, 0, 0, 0, 0);
  add_pax (archive, "SCHILY.xattr.trusted.overlay.opaque", "y");
  add_entry (archive, SANDBOX_TAR_DIR, "./opaque/", NULL, 0, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./replaced", NULL, 0644, "by the machine");
  sandbox_tar_append_end (archive);
  changes = world_read_archive (world, archive, &error);
  g_assert_no_error (error);
  return changes;
}

static void
check_unread (SandboxChanges *changes)
{
  static const char *const refused[] = { "hidden/new", "hidden/gone", "gone",        "locked",
                                         "replaced",   "deep/listed", "deep/unread", NULL };
  g_autofree gboolean *wanted = g_new0 (gboolean, changes->rows->len);
  guint n = 0;

  for (guint i = 0; i < changes->rows->len; i++)
    {
      const SandboxChange *change = sandbox_changes_get (changes, i);
      gboolean is_refused = g_strv_contains (refused, change->path);
      g_autoptr (GError) error = NULL;
      g_autofree char *text = sandbox_changes_diff (changes, i, NULL, NULL, NULL, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpint (change->state == SANDBOX_CHANGE_REFUSED, ==, is_refused);
      g_assert_cmpint (_sandbox_changes_row (changes, i)->unread, ==, is_refused);
      n += is_refused;
      wanted[i] = TRUE;
    }
  g_assert_cmpuint (n, ==, g_strv_length ((char **)refused));
  g_assert_cmpint (find_change (changes, "deep")->pub.state, ==, SANDBOX_CHANGE_CONFLICT);
  g_assert_cmpstr (_sandbox_discard_leave_unread (changes, wanted)->path, ==, "deep/listed");
  for (guint i = 0; i < changes->rows->len; i++)
    g_assert_true (wanted[i] != _sandbox_changes_row (changes, i)->unread);
}

/* What this host's user may not read is a change that is refused, and stops nothing else: neither
 * the look, nor an apply or a discard of the others. */
static void
test_unread (void)
{
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *edited = NULL;
  World world;

  if (geteuid () == 0)
    {
      g_test_skip ("root reads every file");
      return;
    }
  make_unread (&world);
  changes = change_unread (&world);
  check_unread (changes);
  apply_all (changes, TRUE);
  edited = get_file (world.host, "edited");
  g_assert_cmpstr (edited, ==, "by the machine");
  g_assert_true (is_there (&world, "gone") && is_there (&world, "replaced")
                 && is_there (&world, "deep/unread") && is_there (&world, "locked"));
  clear_unread (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/discard/order", test_order);
  g_test_add_func ("/share/discard/git", test_git);
  g_test_add_func ("/share/discard/unread", test_unread);
  return g_test_run ();
}
