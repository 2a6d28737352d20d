// SPDX-License-Identifier: LGPL-2.1-or-later
// What is gone at one path and new at another with the same content is told as a rename, and
// nothing else is.
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static GByteArray *
archive_begin (void)
{
  GByteArray *archive = g_byte_array_new ();

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  return archive;
}

static void
add_file (GByteArray *archive, const char *path, guint mode, const char *content)
{
  add_entry (archive, SANDBOX_TAR_FILE, path, NULL, mode, content);
}

static void
add_gone (GByteArray *archive, const char *path)
{
  add_raw (archive, '3', path, NULL, 0, 0, 0, 0);
}

static SandboxChanges *
read_all (World *world, GByteArray *archive)
{
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;

  sandbox_tar_append_end (archive);
  changes = world_read_archive (world, archive, &error);
  g_assert_no_error (error);
  return changes;
}

/* NULL for @from: it is none. Both sides say so, or neither. */
static void
check_rename (SandboxChanges *changes, const char *from, const char *to)
{
  const SandboxChangeRow *row = find_change (changes, to), *old;

  g_test_message ("%s -> %s", from ? from : "none", to);
  g_assert_nonnull (row);
  g_assert_cmpstr (row->pub.renamed_from, ==, from);
  if (!from)
    return;
  old = find_change (changes, from);
  g_assert_nonnull (old);
  g_assert_cmpstr (old->pub.renamed_to, ==, to);
  g_assert_cmpint (old->pub.kind, ==, SANDBOX_CHANGE_DELETED);
}

static guint
count_renames (SandboxChanges *changes)
{
  guint n = 0;

  for (guint i = 0; i < changes->rows->len; i++)
    n += sandbox_changes_get (changes, i)->renamed_from ? 1 : 0;
  return n;
}

static guint
index_of (SandboxChanges *changes, const char *path)
{
  guint i = 0;

  while (strcmp (sandbox_changes_get (changes, i)->path, path) != 0)
    i++;
  return i;
}

static void
check_text (SandboxChanges *changes, const char *from, const char *to, const char *expected)
{
  g_autofree char *text =
      sandbox_changes_diff_rename (changes, index_of (changes, from), index_of (changes, to));

  g_assert_cmpstr (text, ==, expected);
}

/* What kept its name goes first, of two with the same content. */
static void
test_files (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "same\n");
  put_file (world.host, "b", 0644, "same\n");
  put_file (world.host, "tool", 0644, "#!\n");
  put_file (world.host, "stays", 0644, "copied\n");
  put_file (world.host, "empty", 0644, "");
  put_file (world.host, "other", 0644, "12345\n");
  g_assert_cmpint (symlinkat ("a", world.host_fd, "link"), ==, 0);
  world_record (&world);
  add_gone (archive, "./a");
  add_gone (archive, "./b");
  add_file (archive, "./copy", 0644, "copied\n");
  add_file (archive, "./d\tx", 0644, "54321\n");
  add_entry (archive, SANDBOX_TAR_DIR, "./dir/", NULL, 0755, NULL);
  add_file (archive, "./dir/b", 0644, "same\n");
  add_gone (archive, "./empty");
  add_gone (archive, "./link");
  add_entry (archive, SANDBOX_TAR_SYMLINK, "./link2", "a", 0777, NULL);
  add_file (archive, "./new empty", 0644, "");
  add_gone (archive, "./other");
  add_gone (archive, "./tool");
  add_file (archive, "./tool.sh", 0755, "#!\n");
  add_file (archive, "./z", 0600, "same\n");
  changes = read_all (&world, archive);
  check_rename (changes, "b", "dir/b");
  check_rename (changes, "a", "z");
  check_rename (changes, "tool", "tool.sh");
  check_rename (changes, "link", "link2");
  check_rename (changes, NULL, "copy");
  check_rename (changes, NULL, "dir");
  check_rename (changes, NULL, "new empty");
  g_assert_cmpuint (count_renames (changes), ==, 4);
  check_text (changes, "a", "z",
              "# z: mode 0600\ndiff --git a/a b/z\nsimilarity index 100%\nrename from a\n"
              "rename to z\n");
  check_text (changes, "tool", "tool.sh",
              "diff --git a/tool b/tool.sh\nold mode 100644\nnew mode 100755\n"
              "similarity index 100%\nrename from tool\nrename to tool.sh\n");
  world_clear (&world);
}

/* All that was in the one is in the other: else it is two directories. */
static void
test_dirs (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "deep/in/x", 0644, "x\n");
  put_file (world.host, "deep/y", 0644, "y\n");
  put_file (world.host, "split/1", 0644, "one\n");
  put_file (world.host, "split/2", 0644, "two\n");
  world_record (&world);
  add_gone (archive, "./deep");
  add_entry (archive, SANDBOX_TAR_DIR, "./half/", NULL, 0755, NULL);
  add_file (archive, "./half/1", 0644, "one\n");
  add_entry (archive, SANDBOX_TAR_DIR, "./shallow/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./shallow/in/", NULL, 0755, NULL);
  add_file (archive, "./shallow/in/x", 0644, "x\n");
  add_file (archive, "./shallow/y", 0644, "y\n");
  add_gone (archive, "./split");
  changes = read_all (&world, archive);
  check_rename (changes, "deep", "shallow");
  check_rename (changes, "deep/in", "shallow/in");
  check_rename (changes, "deep/in/x", "shallow/in/x");
  check_rename (changes, "split/1", "half/1");
  check_rename (changes, NULL, "half");
  check_text (changes, "deep", "shallow", "# deep/: renamed to shallow/\n");
  world_clear (&world);
}

/* What this host runs without being asked is read in full; what it has changed is no rename. */
static void
test_none (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "notes", 0644, "export A=1\n");
  put_file (world.host, "edited", 0644, "before\n");
  put_file (world.host, "dir/.envrc", 0644, "export B=1\n");
  world_record (&world);
  put_file (world.host, "edited", 0644, "the host's\n");
  add_file (archive, "./.envrc", 0644, "export A=1\n");
  add_gone (archive, "./dir");
  add_gone (archive, "./edited");
  add_file (archive, "./moved", 0644, "the host's\n");
  add_gone (archive, "./notes");
  add_file (archive, "./was", 0644, "export B=1\n");
  changes = read_all (&world, archive);
  g_assert_cmpint (find_change (changes, "edited")->pub.state, ==, SANDBOX_CHANGE_CONFLICT);
  g_assert_cmpuint (count_renames (changes), ==, 0);
  world_clear (&world);
}

/* Git takes it as one. */
static void
test_patch (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *text = NULL, *file = NULL, *moved = NULL;
  const char *argv[] = { "git", "apply", NULL, NULL };
  int status = -1;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a b", 0644, "same\n");
  world_record (&world);
  add_gone (archive, "./a b");
  add_file (archive, "./c", 0755, "same\n");
  changes = read_all (&world, archive);
  text = sandbox_changes_diff_rename (changes, index_of (changes, "a b"), index_of (changes, "c"));
  file = g_build_filename (world.top, "patch", NULL);
  g_assert_true (g_file_set_contents (file, text, -1, NULL));
  argv[2] = file;
  g_assert_true (g_spawn_sync (world.host, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                               NULL, NULL, &status, NULL));
  g_assert_cmpint (status, ==, 0);
  g_assert_cmpint (unlink (file), ==, 0);
  moved = get_file (world.host, "c");
  g_assert_cmpstr (moved, ==, "same\n");
  g_assert_cmpint (faccessat (world.host_fd, "a b", F_OK, 0), <, 0);
  world_clear (&world);
}

/* Each side is applied by itself, and then the other is no rename any more. */
static void
test_apply (void)
{
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "same\n");
  world_record (&world);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GByteArray) archive = archive_begin ();
      g_autoptr (SandboxChanges) changes = NULL;
      SandboxApplyOptions options = SANDBOX_APPLY_OPTIONS_INIT;
      guint chosen = 0;

      add_gone (archive, "./a");
      add_file (archive, "./b", 0644, "same\n");
      changes = read_all (&world, archive);
      g_assert_cmpuint (changes->rows->len, ==, 2 - i);
      g_assert_cmpuint (count_renames (changes), ==, i == 0 ? 1 : 0);
      if (i == 2)
        break;
      chosen = i == 0 ? index_of (changes, "b") : index_of (changes, "a");
      options.chosen = &chosen;
      options.n_chosen = 1;
      g_assert_true (sandbox_changes_apply (changes, &options, NULL, NULL, NULL, NULL));
    }
  world_clear (&world);
}

/* However many files a machine removes, what is read of them is bound by what it sent. */
static void
test_bounded (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  for (guint i = 0; i < 200; i++)
    {
      char path[32], content[32];

      g_snprintf (path, sizeof path, "old/f%03u", i);
      g_snprintf (content, sizeof content, "content %03u\n", i);
      put_file (world.host, path, 0644, content);
    }
  world_record (&world);
  add_file (archive, "./first", 0644, "content 000\n");
  add_file (archive, "./last", 0644, "content 199\n");
  add_gone (archive, "./old");
  changes = read_all (&world, archive);
  check_rename (changes, "old/f000", "first");
  check_rename (changes, NULL, "last");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/renames/files", test_files);
  g_test_add_func ("/share/renames/dirs", test_dirs);
  g_test_add_func ("/share/renames/none", test_none);
  g_test_add_func ("/share/renames/patch", test_patch);
  g_test_add_func ("/share/renames/apply", test_apply);
  g_test_add_func ("/share/renames/bounded", test_bounded);
  return g_test_run ();
}
