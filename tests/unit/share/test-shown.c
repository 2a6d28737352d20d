// SPDX-License-Identifier: LGPL-2.1-or-later
// An apply that is bound to what was shown: a machine that sends something else than it did when
// somebody looked.
#include "world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  const char *name, *link, *content;
  SandboxTarType type;
  guint mode;
} Entry;
#define FILE_ENTRY(name, mode, content)                                                            \
  {                                                                                                \
    name, NULL, content, SANDBOX_TAR_FILE, mode                                                    \
  }
#define END_ENTRY FILE_ENTRY (NULL, 0, NULL)

/* What the machine sends, as this host takes it. */
static SandboxChanges *
sends (World *world, const Entry *entries)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  for (; entries->name; entries++)
    add_entry (archive, entries->type, entries->name, entries->link, entries->mode,
               entries->content);
  sandbox_tar_append_end (archive);
  changes = world_read_archive (world, archive, &error);
  g_assert_no_error (error);
  return changes;
}

static void
note (SandboxChanges *changes, gboolean whole)
{
  g_autoptr (GError) error = NULL;

  sandbox_changes_note_shown (changes, NULL, 0, whole, &error);
  g_assert_no_error (error);
}

/* Somebody is shown all that the machine sends. */
static void
look (World *world, const Entry *entries, gboolean whole)
{
  g_autoptr (SandboxChanges) changes = sends (world, entries);

  note (changes, whole);
}

static void
apply (SandboxChanges *changes, gboolean only_shown)
{
  SandboxApplyOptions options = SANDBOX_APPLY_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;

  options.include_runs = TRUE;
  options.only_shown = only_shown;
  sandbox_changes_apply (changes, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}

static void
send_and_apply (World *world, const Entry *entries)
{
  g_autoptr (SandboxChanges) changes = sends (world, entries);

  apply (changes, TRUE);
}

static gboolean
is_noted (const World *world)
{
  return faccessat (world->records_fd, "p.shown", F_OK, 0) == 0;
}

static void
check (World *world, const char *path, const char *expected)
{
  g_autofree char *content = get_file (world->host, path);

  g_test_message ("%s", path);
  g_assert_cmpstr (content, ==, expected);
}

static const Entry shown[] = {
  FILE_ENTRY ("./a", 0644, "good\n"),
  FILE_ENTRY ("./b", 0644, "good\n"),
  { "./l", "a", NULL, SANDBOX_TAR_SYMLINK, 0777 },
  FILE_ENTRY ("./t", 0644, "tool\n"),
  END_ENTRY,
};
static const Entry sent[] = {
  FILE_ENTRY ("./a", 0644, "good\n"),
  FILE_ENTRY ("./b", 0644, "evil\n"),
  { "./l", "t", NULL, SANDBOX_TAR_SYMLINK, 0777 },
  FILE_ENTRY ("./new", 0644, "evil\n"),
  FILE_ENTRY ("./t", 0755, "tool\n"),
  END_ENTRY,
};

static void
test_others (void)
{
  World world;
  g_autoptr (SandboxChanges) changes = NULL;

  world_init (&world, NULL);
  world_record (&world);
  look (&world, shown, TRUE);
  changes = sends (&world, sent);
  g_assert_false (find_change (changes, "a")->pub.unseen);
  g_assert_true (find_change (changes, "b")->pub.unseen);
  g_assert_true (find_change (changes, "l")->pub.unseen);
  g_assert_true (find_change (changes, "new")->pub.unseen);
  g_assert_true (find_change (changes, "t")->pub.unseen);
  apply (changes, TRUE);
  check (&world, "a", "good\n");
  check (&world, "b", NULL);
  check (&world, "l", NULL);
  check (&world, "new", NULL);
  check (&world, "t", NULL);
  /* asking again is not looking */
  send_and_apply (&world, sent);
  check (&world, "b", NULL);
  check (&world, "new", NULL);
  g_clear_pointer (&changes, sandbox_changes_unref);
  changes = sends (&world, sent);
  apply (changes, FALSE);
  check (&world, "b", "evil\n");
  check (&world, "new", "evil\n");
  g_assert_false (is_noted (&world));
  world_clear (&world);
}

/* Who never looks gets all; who looked gets it until nothing is left of what was shown. */
static void
test_without_look (void)
{
  static const Entry later[] = { FILE_ENTRY ("./later", 0644, "x\n"), END_ENTRY };
  World world;

  world_init (&world, NULL);
  world_record (&world);
  send_and_apply (&world, shown);
  check (&world, "b", "good\n");
  g_assert_false (is_noted (&world));
  look (&world, sent, TRUE);
  g_assert_true (is_noted (&world));
  send_and_apply (&world, sent);
  check (&world, "new", "evil\n");
  g_assert_false (is_noted (&world));
  send_and_apply (&world, later);
  check (&world, "later", "x\n");
  world_clear (&world);
}

/* A line about a change tells nothing of its content to who has read another one. */
static void
test_lines (void)
{
  static const Entry third[] = { FILE_ENTRY ("./b", 0644, "third\n"), END_ENTRY };
  World world;

  world_init (&world, NULL);
  world_record (&world);
  look (&world, shown, FALSE);
  look (&world, sent, FALSE);
  send_and_apply (&world, shown);
  check (&world, "a", "good\n");
  check (&world, "b", NULL);
  look (&world, sent, TRUE);
  look (&world, third, FALSE);
  send_and_apply (&world, third);
  check (&world, "b", NULL);
  look (&world, third, TRUE);
  send_and_apply (&world, third);
  check (&world, "b", "third\n");
  world_clear (&world);
}

/* One of them was shown: that binds for all. */
static void
test_part (void)
{
  World world;
  g_autoptr (SandboxChanges) changes = NULL;
  guint index = 1;

  world_init (&world, NULL);
  world_record (&world);
  changes = sends (&world, shown);
  /* a look at none of them is none */
  g_assert_true (sandbox_changes_note_shown (changes, &index, 0, TRUE, NULL));
  g_assert_false (is_noted (&world));
  g_assert_true (sandbox_changes_note_shown (changes, &index, 1, TRUE, NULL));
  send_and_apply (&world, shown);
  check (&world, "a", NULL);
  check (&world, "b", "good\n");
  g_assert_true (is_noted (&world));
  world_clear (&world);
}

/* A file in a new directory was shown, and by its path the directory; what else is in that was not.
 */
static void
test_inner (void)
{
  static const Entry nested[] = {
    { "./d/", NULL, NULL, SANDBOX_TAR_DIR, 0755 },
    FILE_ENTRY ("./d/seen", 0644, "x\n"),
    FILE_ENTRY ("./d/unseen", 0644, "x\n"),
    END_ENTRY,
  };
  World world;
  g_autoptr (SandboxChanges) changes = NULL;
  guint index = 1;

  world_init (&world, NULL);
  world_record (&world);
  changes = sends (&world, nested);
  g_assert_true (sandbox_changes_note_shown (changes, &index, 1, TRUE, NULL));
  send_and_apply (&world, nested);
  check (&world, "d/seen", "x\n");
  check (&world, "d/unseen", NULL);
  world_clear (&world);
}

/* What was shown, applied and undone was shown, whatever was looked at meanwhile. */
static void
test_undone (void)
{
  static const Entry more[] = { FILE_ENTRY ("./x", 0644, "x\n"), END_ENTRY };
  World world;
  guint undone = 0, left = 0, index = 0;
  g_autoptr (SandboxChanges) changes = NULL;
  SandboxApplyOptions options = SANDBOX_APPLY_OPTIONS_INIT;

  world_init (&world, NULL);
  world_record (&world);
  look (&world, shown, TRUE);
  changes = sends (&world, shown);
  options.chosen = &index;
  options.n_chosen = 1;
  options.only_shown = TRUE;
  g_assert_true (sandbox_changes_apply (changes, &options, NULL, NULL, NULL, NULL));
  check (&world, "a", "good\n");
  look (&world, more, TRUE);
  g_assert_true (
      _sandbox_changes_undo (world.host_fd, world.records_fd, "p", &undone, &left, NULL, NULL));
  check (&world, "a", NULL);
  send_and_apply (&world, sent);
  check (&world, "a", "good\n");
  check (&world, "b", NULL);
  world_clear (&world);
}

/* A deletion that nobody saw; and an edit of this host's since is merged with what was seen. */
static void
test_this_host (void)
{
  static const Entry edited[] = { FILE_ENTRY ("./a", 0644, "1\n2\n3\n4\n5\n6\n7\n8\nnine\n"),
                                  END_ENTRY };
  World world;
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (SandboxChanges) changes = NULL;
  static const Entry base[] = { FILE_ENTRY ("./a", 0644, "1\n2\n3\n4\n5\n6\n7\n8\n9\n"),
                                END_ENTRY };

  world_init (&world, NULL);
  put_file (world.host, "gone", 0644, "x\n");
  world_record (&world);
  send_and_apply (&world, base);
  look (&world, edited, TRUE);
  put_file (world.host, "a", 0644, "one\n2\n3\n4\n5\n6\n7\n8\n9\n");
  changes = sends (&world, edited);
  g_assert_cmpint (find_change (changes, "a")->pub.state, ==, SANDBOX_CHANGE_MERGED);
  g_assert_false (find_change (changes, "a")->pub.unseen);
  g_clear_pointer (&changes, sandbox_changes_unref);
  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, edited[0].type, edited[0].name, NULL, edited[0].mode, edited[0].content);
  add_raw (archive, '3', "./gone", NULL, 0, 0, 0, 0);
  sandbox_tar_append_end (archive);
  changes = world_read_archive (&world, archive, NULL);
  apply (changes, TRUE);
  check (&world, "a", "one\n2\n3\n4\n5\n6\n7\n8\nnine\n");
  check (&world, "gone", "x\n");
  world_clear (&world);
}

/* What was discarded is shown no more; a fresh disk has nothing that was; a damaged note is no
 * permission. */
static void
test_ends (void)
{
  World world;
  g_autoptr (SandboxChanges) changes = NULL;
  gboolean all[4] = { TRUE, TRUE, TRUE, TRUE };

  world_init (&world, NULL);
  world_record (&world);
  look (&world, shown, TRUE);
  changes = sends (&world, shown);
  g_assert_true (_sandbox_changes_forget (changes, all, NULL, NULL));
  g_assert_false (is_noted (&world));
  look (&world, sent, TRUE);
  world_record (&world);
  g_assert_false (is_noted (&world));
  look (&world, shown, TRUE);
  put_file (world.records, "p.shown", 0600, "damaged");
  send_and_apply (&world, shown);
  check (&world, "a", NULL);
  look (&world, shown, TRUE);
  send_and_apply (&world, shown);
  check (&world, "a", "good\n");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/shown/others", test_others);
  g_test_add_func ("/share/shown/without-look", test_without_look);
  g_test_add_func ("/share/shown/lines", test_lines);
  g_test_add_func ("/share/shown/part", test_part);
  g_test_add_func ("/share/shown/inner", test_inner);
  g_test_add_func ("/share/shown/undone", test_undone);
  g_test_add_func ("/share/shown/this-host", test_this_host);
  g_test_add_func ("/share/shown/ends", test_ends);
  return g_test_run ();
}
