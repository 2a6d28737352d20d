// SPDX-License-Identifier: LGPL-2.1-or-later
// The file of nodes by path: all that was put in is found, nothing else; a damaged one does no
// harm.
#include "world.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define N 2000

static SandboxRecords *
open_records (World *world, GError **error)
{
  SandboxRecords *records = NULL;

  _sandbox_records_open (world->records_fd, "r", &records, error);
  return records;
}

static void
test_find (void)
{
  g_autoptr (SandboxRecorder) recorder = _sandbox_recorder_new ();
  g_autoptr (SandboxRecords) records = NULL;
  g_autoptr (GError) error = NULL;
  SandboxNode node;
  World world;

  world_init (&world, NULL);
  g_assert_null (open_records (&world, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < N; i++)
    {
      g_autofree char *path = g_strdup_printf ("d%u/%c%u", i % 7, "-/."[i % 3], i);

      node = (SandboxNode){ .type = SANDBOX_NODE_FILE, .size_bytes = i };
      _sandbox_recorder_add (recorder, path, &node);
    }
  g_assert_true (_sandbox_recorder_save (recorder, world.records_fd, "r", NULL));
  records = open_records (&world, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < N; i++)
    {
      g_autofree char *path = g_strdup_printf ("d%u/%c%u", i % 7, "-/."[i % 3], i);

      g_assert_true (_sandbox_records_find (records, path, &node));
      g_assert_cmpuint (node.size_bytes, ==, i);
    }
  g_assert_false (_sandbox_records_find (records, "d0", &node));
  g_assert_false (_sandbox_records_find (records, "", &node));
  g_assert_false (_sandbox_records_find (records, "zzz", &node));
  world_clear (&world);
}

/* Each byte of a small one changed: it is refused, or read without harm (under a sanitizer). */
static void
test_damaged (void)
{
  g_autoptr (SandboxRecorder) recorder = _sandbox_recorder_new ();
  g_autofree char *good = NULL;
  gsize length = 0;
  SandboxNode node = { .type = SANDBOX_NODE_FILE };
  World world;

  world_init (&world, NULL);
  _sandbox_recorder_add (recorder, "a", &node);
  _sandbox_recorder_add (recorder, "b/c", &node);
  g_assert_true (_sandbox_recorder_save (recorder, world.records_fd, "r", NULL));
  g_assert_true (sandbox_file_read_at (world.records_fd, "r", 65536, &good, &length, NULL));
  for (gsize i = 0; i < length; i++)
    {
      g_autofree char *bad = g_memdup2 (good, length);
      g_autoptr (SandboxRecords) records = NULL;
      g_autoptr (GError) error = NULL;

      bad[i] = (char)(bad[i] ^ 0xff);
      g_assert_true (
          sandbox_file_write_at (world.records_fd, "r", bad, i % 2 ? length : i, 0600, NULL));
      records = open_records (&world, &error);
      if (!records)
        g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      for (guint k = 0; records && k < _sandbox_records_get_length (records); k++)
        _sandbox_records_get (records, k, &node);
      if (records)
        _sandbox_records_find (records, "b/c", &node);
    }
  world_clear (&world);
}

static void
test_order (void)
{
  g_assert_cmpint (_sandbox_path_compare ("a/b", "a-b"), <, 0);
  g_assert_cmpint (_sandbox_path_compare ("a", "a/b"), <, 0);
  g_assert_cmpint (_sandbox_path_compare ("a/b", "a"), >, 0);
  g_assert_cmpint (_sandbox_path_compare ("a", "a"), ==, 0);
  g_assert_cmpint (_sandbox_path_compare ("a\xff", "aa"), >, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/records/find", test_find);
  g_test_add_func ("/share/records/damaged", test_damaged);
  g_test_add_func ("/share/records/order", test_order);
  return g_test_run ();
}
