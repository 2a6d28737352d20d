// SPDX-License-Identifier: LGPL-2.1-or-later
// A change set costs in proportion to itself, not to the tree: in processor time, which is this
// process's own whatever else the host does, and in memory. The full sizes (50,000 changes, 200,000
// files) with VMS_TESTS_FULL=yes.
#include "world.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
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

/* Of this process and what it ran. */
static double
processor_sec (void)
{
  double sum = 0;

  for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++)
    {
      struct rusage usage;

      getrusage (who, &usage);
      sum += (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec
             + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
  return sum;
}

typedef struct
{
  double record, compare, apply; /* s */
  double memory;                 /* bytes for each change */
} Cost;

static Cost
cost_of (guint n_files, guint n_changes)
{
  g_autoptr (GByteArray) archive = make_changes (n_changes);
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  Cost cost;
  World world;
  size_t before;

  world_init (&world, NULL);
  make_tree (&world, n_files);
  /* or whoever syncs first writes all that out */
  syncfs (world.top_fd);
  cost.record = -processor_sec ();
  world_record (&world);
  cost.record += processor_sec ();
  before = mallinfo2 ().uordblks;
  cost.compare = -processor_sec ();
  changes = world_read_archive (&world, archive, &error);
  cost.compare += processor_sec ();
  cost.memory = (double)(mallinfo2 ().uordblks - before) / n_changes;
  g_assert_no_error (error);
  g_assert_cmpuint (changes->rows->len, ==, n_changes);
  cost.apply = -processor_sec ();
  apply_all (changes, FALSE);
  cost.apply += processor_sec ();
  for (guint i = 0; i < changes->rows->len; i++)
    g_assert_true (sandbox_changes_get (changes, i)->applied);
  world_clear (&world);
  return cost;
}

static void
tell (guint n_files, guint n_changes, const Cost *cost)
{
  g_test_message ("%u changes in %u files: compared in %.2f s, applied in %.2f s, the record taken "
                  "in %.2f s, %.0f bytes for each change",
                  n_changes, n_files, cost->compare, cost->apply, cost->record, cost->memory);
}

/* Four times the files, and four times the changes: what grew with the tree, or with the square of
 * the changes, would take four times as long. */
static void
test_proportion (void)
{
  gboolean full = g_strcmp0 (g_getenv ("VMS_TESTS_FULL"), "yes") == 0;
  guint n = full ? 50000 : 5000;
  Cost small = cost_of (n, n), large = cost_of (4 * n, n), few = cost_of (n, n / 4);

  tell (n, n, &small);
  tell (4 * n, n, &large);
  tell (n, n / 4, &few);
  g_assert_cmpfloat (large.compare, <, 2 * small.compare + 0.1);
  g_assert_cmpfloat (large.apply, <, 2 * small.apply + 0.2);
  g_assert_cmpfloat (small.compare, <, 4 * 3 * few.compare + 0.1);
  g_assert_cmpfloat (small.apply, <, 4 * 3 * few.apply + 0.2);
  g_assert_cmpfloat (small.memory, <, 2048);
  /* with sanitizers, whose memory is their own, nothing is seen of it */
  g_assert_cmpfloat (large.memory, <=, 1.2 * small.memory);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/scale/proportion", test_proportion);
  return g_test_run ();
}
