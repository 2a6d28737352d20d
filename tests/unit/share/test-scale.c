// SPDX-License-Identifier: LGPL-2.1-or-later
// A change set costs in proportion to itself, not to the tree: counted in what is looked at,
// printed in time. The full sizes (50,000 changes, 200,000 files) with VMS_TESTS_FULL=yes.
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
make_tree (World *world, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      char path[64];
      sandbox_autofd int fd = -1;

      if (i % 500 == 0)
        {
          g_snprintf (path, sizeof path, "d%u", i / 500);
          mkdirat (world->host_fd, path, 0755);
        }
      g_snprintf (path, sizeof path, "d%u/f%u", i / 500, i);
      fd = openat (world->host_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
      g_assert_cmpint (fd, >=, 0);
    }
}

static GByteArray *
make_changes (guint n)
{
  GByteArray *archive = g_byte_array_new ();
  char path[64];

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  for (guint i = 0; i < n; i++)
    {
      if (i % 500 == 0)
        {
          g_snprintf (path, sizeof path, "./d%u/", i / 500);
          add_entry (archive, SANDBOX_TAR_DIR, path, NULL, 0755, NULL);
        }
      g_snprintf (path, sizeof path, "./d%u/f%u", i / 500, i);
      add_entry (archive, SANDBOX_TAR_FILE, path, NULL, 0644, "new\n");
    }
  sandbox_tar_append_end (archive);
  return archive;
}

static double
compare_in (guint n_files, guint n_changes, double *ret_record, double *ret_apply)
{
  g_autoptr (GByteArray) archive = make_changes (n_changes);
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GTimer) timer = g_timer_new ();
  g_autoptr (GError) error = NULL;
  double taken;
  World world;

  world_init (&world, NULL);
  make_tree (&world, n_files);
  g_timer_start (timer);
  world_record (&world);
  *ret_record = g_timer_elapsed (timer, NULL);
  g_timer_start (timer);
  changes = world_read_archive (&world, archive, &error);
  taken = g_timer_elapsed (timer, NULL);
  g_assert_no_error (error);
  g_assert_cmpuint (changes->rows->len, ==, n_changes);
  g_timer_start (timer);
  apply_all (changes, FALSE);
  *ret_apply = g_timer_elapsed (timer, NULL);
  for (guint i = 0; i < changes->rows->len; i++)
    g_assert_true (sandbox_changes_get (changes, i)->applied);
  world_clear (&world);
  return taken;
}

static void
test_proportion (void)
{
  gboolean full = g_strcmp0 (g_getenv ("VMS_TESTS_FULL"), "yes") == 0;
  guint n_changes = full ? 50000 : 2500, n_files = full ? 200000 : 10000;
  double record = 0, apply = 0;
  double small = compare_in (n_changes, n_changes, &record, &apply);
  double large = compare_in (n_files, n_changes, &record, &apply);

  g_test_message (
      "%u changes: %.2f s in a tree of %u, %.2f s in one of %u (ratio %.2f); its record "
      "took %.2f s, the apply %.2f s",
      n_changes, small, n_changes, large, n_files, large / small, record, apply);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/scale/proportion", test_proportion);
  return g_test_run ();
}
