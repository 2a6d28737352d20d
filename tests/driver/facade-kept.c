// SPDX-License-Identifier: LGPL-2.1-or-later
// What this host knows of the changes of a machine that is off: when it may say that there are none
// left, of which shares, and what a copy has of it. With a guest: tests/vm/52-keep.sh.
#include "facade-driver.h"

#include "facade/keep.h"

typedef struct
{
  char *home, *project;
  SandboxHost *host;
  SandboxMachine *machine;
} World;

static void
put (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
check_text (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autofree char *have = NULL;

  g_file_get_contents (path, &have, NULL, NULL);
  g_assert_cmpstr (have, ==, text);
}

static int
open_dir (const char *path)
{
  int fd = g_open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

static int
open_records (SandboxMachine *machine)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, TRUE, NULL);
  int fd = _sandbox_records_fd (machine, NULL);

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

/* A machine whose share for review is recorded, as by its first start. */
static void
world_init (World *world)
{
  g_autoptr (GError) error = NULL;
  sandbox_autofd int root_fd = -1, records_fd = -1;

  world->home = driver_test_home ();
  world->host = driver_test_open (TEST_URI, NULL);
  world->project = g_build_filename (world->home, "project", NULL);
  g_assert_cmpint (g_mkdir_with_parents (world->project, 0700), ==, 0);
  put (world->project, "old", "host\n");
  world->machine = sandbox_host_create (world->host, "kept", "ci", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (sandbox_machine_add_share (world->machine, world->project, NULL, NULL, NULL, NULL,
                                            NULL, &error));
  g_assert_no_error (error);
  records_fd = open_records (world->machine);
  root_fd = open_dir (world->project);
  g_assert_true (_sandbox_manifest_take (root_fd, records_fd, "project", NULL, NULL));
}

static void
world_clear (World *world)
{
  sandbox_machine_unref (world->machine);
  sandbox_host_unref (world->host);
  driver_test_remove_home (world->home);
  g_free (world->home);
  g_free (world->project);
}

typedef struct
{
  const char *data;
  gsize left;
} Archive;

static gboolean
read_archive (gpointer data, gsize length, gpointer user_data, GError **error)
{
  Archive *archive = user_data;

  g_assert_cmpuint (length, <=, archive->left);
  memcpy (data, archive->data, length);
  archive->data += length;
  archive->left -= length;
  return TRUE;
}

/* All that the machine changed: "old". */
static void
apply (const World *world)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  SandboxTarEntry top = { .type = SANDBOX_TAR_DIR, .name = (char *)"./", .mode = 0755 };
  sandbox_autofd int root_fd = open_dir (world->project);
  sandbox_autofd int records_fd = open_records (world->machine);
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  SandboxUpper *upper;
  Archive archive;

  sandbox_tar_append_header (bytes, &top);
  sandbox_tar_append (bytes, "./old", 0644, "machine\n", 8);
  sandbox_tar_append_end (bytes);
  archive = (Archive){ (const char *)bytes->data, bytes->len };
  upper = _sandbox_upper_read (read_archive, &archive, records_fd, &error);
  g_assert_no_error (error);
  changes =
      _sandbox_changes_new ("kept", "project", upper, NULL, root_fd, records_fd, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
}

/* The machine's disk has again what this host has not. */
static void
test_undo (void)
{
  g_autoptr (GError) error = NULL;
  guint undone = 0, left = 0;
  World world;

  world_init (&world);
  apply (&world);
  check_text (world.project, "old", "machine\n");
  g_assert_true (_sandbox_unapplied_write (world.machine, SANDBOX_UNAPPLIED_NONE, NULL));
  g_assert_true (
      sandbox_machine_undo_apply (world.machine, "project", &undone, &left, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (undone, ==, 1);
  check_text (world.project, "old", "host\n");
  g_assert_cmpint ((int)_sandbox_unapplied_read (world.machine), ==, SANDBOX_UNAPPLIED_UNKNOWN);
  world_clear (&world);
}

static SandboxMachine *
make_copy (const World *world)
{
  g_autoptr (GError) error = NULL;
  SandboxMachine *copy = sandbox_host_create (world->host, "copy", "ci", NULL, NULL, &error);
  sandbox_autofd int records_fd = open_records (copy);

  g_assert_no_error (error);
  g_assert_false (_sandbox_machine_was_started (copy));
  g_assert_true (_sandbox_records_clone (world->machine, copy, &error));
  g_assert_no_error (error);
  return copy;
}

/* What it holds is the machine's, before it was ever started; and what merges begin with. */
static void
test_clone (void)
{
  g_autoptr (SandboxMachine) copy = NULL;
  g_autofree char *base = NULL, *name = NULL;
  guint8 hash[SANDBOX_HASH_BYTES];
  World world;

  world_init (&world);
  apply (&world);
  g_assert_true (_sandbox_unapplied_write (world.machine, SANDBOX_UNAPPLIED_SOME, NULL));
  copy = make_copy (&world);
  g_assert_true (_sandbox_machine_was_started (copy));
  g_assert_cmpint ((int)_sandbox_unapplied_read (copy), ==, SANDBOX_UNAPPLIED_SOME);
  _sandbox_text_hash ("machine\n", hash);
  name = _sandbox_hash_to_hex (hash);
  base = g_build_filename (copy->state_path, "review", "project.base", NULL);
  check_text (base, name, "machine\n");
  sandbox_machine_unref (g_steal_pointer (&copy));
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/driver/kept/undo", test_undo);
  g_test_add_func ("/driver/kept/clone", test_clone);
  return g_test_run ();
}
