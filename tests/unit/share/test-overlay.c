// SPDX-License-Identifier: LGPL-2.1-or-later
// Property: after random work on a real overlay, and edits of the tree below it, the host's tree is
// the machine's view once all was applied; and is what it was once that was undone.
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define SHORT_SEQUENCES 150
#define FULL_SEQUENCES  10000
#define OPERATIONS      25

static guint32
pick (GRand *rand, guint n)
{
  return (guint32)g_rand_int_range (rand, 0, (gint32)n);
}

/* Few names, so that they meet. */
static char *
random_path (GRand *rand, const char *dir)
{
  static const char *const names[] = { "a", "b", "c d", "a-b", ".envrc", "Makefile" };
  GString *path = g_string_new (dir);
  guint depth = 1 + pick (rand, 3);

  for (guint i = 0; i < depth; i++)
    g_string_append_printf (path, "/%s", names[pick (rand, G_N_ELEMENTS (names))]);
  return g_string_free (path, FALSE);
}

static void
write_some (GRand *rand, const char *path, int flags)
{
  static const guint modes[] = { 0644, 0600, 0755, 0640, 0444 };
  sandbox_autofd int fd = open (path, flags | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
  g_autofree char *text = g_strdup_printf ("%u\n", g_rand_int (rand));

  if (fd < 0)
    return;
  for (guint i = pick (rand, 4); i > 0; i--)
    if (write (fd, text, strlen (text)) < 0)
      return;
  if (pick (rand, 3) == 0)
    fchmod (fd, modes[pick (rand, G_N_ELEMENTS (modes))]);
}

static void
remove_path (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *parent = g_path_get_dirname (path);
  sandbox_autofd int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd >= 0)
    sandbox_remove_at (fd, name, NULL);
}

/* What fails, because of what is there, says nothing. */
static void
random_operation (GRand *rand, const char *dir, gboolean same_file)
{
  static const char *const links[] = { "a", "b/a", "../a", "c d" };
  static const guint modes[] = { 0700, 0755, 0750, 0711 };
  g_autofree char *path = random_path (rand, dir);
  g_autofree char *other = random_path (rand, dir);

  switch (pick (rand, 12))
    {
    case 0:
    case 1:
      write_some (rand, path, O_CREAT);
      break;
    case 2:
      write_some (rand, path, O_TRUNC);
      break;
    case 3:
      write_some (rand, path, O_APPEND);
      break;
    case 4:
      if (same_file)
        rename (path, other);
      break;
    case 5:
      if (same_file)
        link (path, other);
      break;
    case 6:
      symlink (links[pick (rand, G_N_ELEMENTS (links))], path);
      break;
    case 7:
      if (fchmodat (AT_FDCWD, path, modes[pick (rand, G_N_ELEMENTS (modes))], 0) < 0)
        break;
      break;
    case 8:
      remove_path (path);
      break;
    case 9:
      /* a file by a directory, or the reverse */
      remove_path (path);
      if (pick (rand, 2))
        mkdir (path, 0755);
      else
        write_some (rand, path, O_CREAT);
      break;
    default:
      mkdir (path, 0755);
      write_some (rand, path, O_CREAT);
      break;
    }
}

/* As the machine mounts it. (transfer full) */
static char *
overlay_options (void)
{
  static const char before[] = "mount -t overlay -o \"nodev,", after[] = ",lowerdir=";
  g_autofree char *path = g_build_filename (g_getenv ("SANDBOX_IMAGES_DIR"), "mount-share", NULL);
  g_autofree char *text = NULL;
  const char *begin, *end;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  begin = strstr (text, before);
  g_assert_nonnull (begin);
  begin += strlen (before);
  end = strstr (begin, after);
  g_assert_nonnull (end);
  return g_strndup (begin, (gsize)(end - begin));
}

static void
mount_overlay (World *world)
{
  g_autofree char *fixed = overlay_options ();
  g_autofree char *options = g_strdup_printf ("%s,lowerdir=%s,upperdir=%s,workdir=%s", fixed,
                                              world->host, world->upper, world->work);

  if (mount ("overlay", world->merged, "overlay", MS_NODEV, options) < 0)
    g_error ("mount: %s: %s", options, g_strerror (errno));
}

static void
check_same (const char *what, guint32 seed, SandboxChanges *changes, const char *is,
            const char *should)
{
  if (strcmp (is, should) == 0)
    return;
  for (guint i = 0; i < changes->rows->len; i++)
    {
      const SandboxChange *change = sandbox_changes_get (changes, i);

      g_test_message ("%s %s %s: %s%s", sandbox_change_kind_to_string (change->kind),
                      sandbox_change_state_to_string (change->state), change->path,
                      change->applied ? "applied " : "", change->reason ? change->reason : "");
    }
  g_error ("%s differs, seed %u:\n--- should be\n%s--- is\n%s", what, seed, should, is);
}

/* Without the permissions: those that were edited here stay, where the machine has them as it began
 * with. (transfer full) */
static char *
without_modes (const char *tree)
{
  g_autoptr (GRegex) regex = g_regex_new ("^(.* [0-9]) [0-7]+", G_REGEX_MULTILINE, 0, NULL);

  return g_regex_replace (regex, tree, -1, 0, "\\1", 0, NULL);
}

static void
check_applied (guint32 seed, SandboxChanges *changes, gboolean edited, const char *is,
               const char *should)
{
  g_autofree char *plain_is = edited ? without_modes (is) : g_strdup (is);
  g_autofree char *plain_should = edited ? without_modes (should) : g_strdup (should);

  check_same ("the applied tree", seed, changes, plain_is, plain_should);
}

/* Links that the machine may not bring are not part of the property. */
static void
drop_refused (World *world, SandboxChanges *changes)
{
  for (guint i = 0; i < changes->rows->len; i++)
    {
      const SandboxChangeRow *row = _sandbox_changes_row (changes, i);
      g_autofree char *path = g_build_filename (world->merged, row->pub.path, NULL);

      if (row->pub.state == SANDBOX_CHANGE_REFUSED)
        remove_path (path);
    }
}

static void
run_sequence (const char *where, guint32 seed, guint *n_changes)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  g_autoptr (SandboxChanges) changes = NULL, again = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL, *view = NULL, *after = NULL, *undone = NULL;
  guint n_undone = 0, left = 0;
  gboolean edited = pick (rand, 2) == 0;
  World world;

  world_init (&world, where);
  /* A file that was copied up and then got another name below is the copy under both for the
   * kernel, where the file system below has file handles (a machine's has none): no such edits
   * here. */
  for (guint i = 0; i < OPERATIONS; i++)
    random_operation (rand, world.host, !edited);
  world_record (&world);
  mount_overlay (&world);
  for (guint i = 0; i < OPERATIONS; i++)
    random_operation (rand, world.merged, TRUE);
  if (edited)
    {
      g_assert_cmpint (umount (world.merged), ==, 0);
      for (guint i = 0; i < OPERATIONS / 5; i++)
        random_operation (rand, world.host, FALSE);
      mount_overlay (&world);
      for (guint i = 0; i < OPERATIONS / 2; i++)
        random_operation (rand, world.merged, TRUE);
    }
  changes = world_read (&world, &error);
  g_assert_no_error (error);
  drop_refused (&world, changes);
  sandbox_changes_unref (changes);
  changes = world_read (&world, &error);
  g_assert_no_error (error);
  view = tree_text (world.merged);
  g_assert_cmpint (umount (world.merged), ==, 0);
  before = tree_text (world.host);
  *n_changes += changes->rows->len;
  for (guint i = 0; !edited && i < changes->rows->len; i++)
    g_assert_cmpint (_sandbox_changes_row (changes, i)->pub.state, ==, SANDBOX_CHANGE_READY);
  apply_all (changes, TRUE);
  after = tree_text (world.host);
  check_applied (seed, changes, edited, after, view);
  again = world_read (&world, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (again->rows->len, ==, 0);
  if (changes->rows->len > 0)
    {
      _sandbox_changes_undo (world.host_fd, world.records_fd, "p", &n_undone, &left, NULL, &error);
      g_assert_no_error (error);
      undone = tree_text (world.host);
      check_same ("the tree after undo", seed, changes, undone, before);
      g_assert_cmpuint (left, ==, 0);
    }
  world_clear (&world);
}

/* NULL: skipped. (transfer full) */
static char *
private_place (void)
{
  char *where;

  if (geteuid () != 0 || unshare (CLONE_NEWNS) < 0
      || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    {
      g_test_skip ("mounting an overlay needs root");
      return NULL;
    }
  where = g_dir_make_tmp ("sandbox-overlay-XXXXXX", NULL);
  g_assert_cmpint (mount ("tmpfs", where, "tmpfs", 0, NULL), ==, 0);
  return where;
}

/* A directory of the machine's own is no other once the host has it, too: what the host makes in it
 * is seen. One that the machine made in place of the host's hides what that had. */
static void
test_host_adds (void)
{
  g_autofree char *where = private_place ();
  g_autofree char *top = where ? g_build_filename (where, "w", NULL) : NULL;
  g_autofree char *host = NULL, *view = NULL, *both = NULL, *hidden = NULL;
  g_autoptr (SandboxChanges) changes = NULL, again = NULL;
  g_autoptr (GError) error = NULL;
  World world;

  if (!where)
    return;
  world_init (&world, top);
  put_file (world.host, "there/file", 0644, "of the host");
  put_file (world.host, "anew/old", 0644, "of the host");
  world_record (&world);
  mount_overlay (&world);
  put_file (world.merged, "docs/a/file", 0644, "of the machine");
  put_file (world.merged, "there/new/file", 0644, "of the machine");
  both = g_build_filename (world.merged, "anew", NULL);
  remove_path (both);
  put_file (world.merged, "anew/other", 0644, "of the machine");
  g_assert_cmpint (umount (world.merged), ==, 0);
  /* not applied yet */
  put_file (world.host, "there/new/made here", 0644, "of the host");
  mount_overlay (&world);
  hidden = get_file (world.merged, "there/new/made here");
  g_assert_cmpstr (hidden, ==, "of the host");
  g_clear_pointer (&hidden, g_free);
  hidden = get_file (world.merged, "anew/old");
  g_assert_null (hidden);
  g_assert_cmpint (umount (world.merged), ==, 0);
  changes = world_read (&world, &error);
  g_assert_no_error (error);
  apply_all (changes, TRUE);
  put_file (world.host, "docs/made here", 0644, "of the host");
  put_file (world.host, "docs/a/made here", 0644, "of the host");
  mount_overlay (&world);
  host = tree_text (world.host);
  view = tree_text (world.merged);
  g_assert_cmpstr (view, ==, host);
  g_assert_cmpint (umount (world.merged), ==, 0);
  again = world_read (&world, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (again->rows->len, ==, 0);
  world_clear (&world);
  umount (where);
  rmdir (where);
}

static void
test_sequences (void)
{
  const char *seed_text = g_getenv ("VMS_TESTS_SEED"), *full = g_getenv ("VMS_TESTS_FULL");
  const char *count_text = g_getenv ("SANDBOX_TEST_SEQUENCES");
  guint32 seed = seed_text ? (guint32)strtoul (seed_text, NULL, 10) : g_random_int () % 1000000;
  guint count = count_text                     ? (guint)strtoul (count_text, NULL, 10)
                : g_strcmp0 (full, "yes") == 0 ? FULL_SEQUENCES
                                               : SHORT_SEQUENCES;
  guint n_changes = 0;
  g_autofree char *where = NULL;

  where = private_place ();
  if (!where)
    return;
  g_test_message ("seed %u, %u sequences", seed, count);
  for (guint i = 0; i < count; i++)
    {
      g_autofree char *top = g_build_filename (where, "w", NULL);

      run_sequence (top, seed + i, &n_changes);
    }
  g_test_message ("%u changes", n_changes);
  g_assert_cmpuint (n_changes, >, count);
  umount (where);
  rmdir (where);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/overlay/host-adds", test_host_adds);
  g_test_add_func ("/share/overlay/sequences", test_sequences);
  return g_test_run ();
}
