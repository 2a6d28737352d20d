// SPDX-License-Identifier: LGPL-2.1-or-later
// Saved changes without a machine: compared, applied, put back; with the names of the share that
// they were saved from.
#include "facade-driver.h"

#include "share/share.h"

#define SAVED "work-20261101T000000"

typedef struct
{
  char *home, *project, *saved;
  SandboxHost *host;
} World;

static void
put (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
check_text (const World *world, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (world->project, name, NULL);
  g_autofree char *have = NULL;

  g_file_get_contents (path, &have, NULL, NULL);
  g_assert_cmpstr (have, ==, text);
}

static void
put_archive (const World *world)
{
  static const char *const files[] = { "deploy.sh", "new", "old" };
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autofree char *path = g_build_filename (world->saved, "project.tar", NULL);
  SandboxTarEntry top = { .type = SANDBOX_TAR_DIR, .name = (char *)"./", .mode = 0755 };

  sandbox_tar_append_header (archive, &top);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *name = g_strconcat ("./", files[i], NULL);

      sandbox_tar_append (archive, name, 0644, "machine\n", 8);
    }
  sandbox_tar_append_end (archive);
  g_assert_true (
      g_file_set_contents (path, (const char *)archive->data, (gssize)archive->len, NULL));
}

static void
world_init (World *world)
{
  sandbox_autofd int project_fd = -1, saved_fd = -1;

  world->home = driver_test_home ();
  world->host = driver_test_open (TEST_URI, NULL);
  world->project = g_build_filename (world->home, "project", NULL);
  world->saved = g_build_filename (world->host->state_dir, "saved_changes", SAVED, NULL);
  g_assert_cmpint (g_mkdir_with_parents (world->project, 0700), ==, 0);
  g_assert_cmpint (g_mkdir_with_parents (world->saved, 0700), ==, 0);
  put (world->project, "old", "host\n");
  project_fd = g_open (world->project, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  saved_fd = g_open (world->saved, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  g_assert_true (_sandbox_manifest_take (project_fd, saved_fd, "project", NULL, NULL));
  put (world->saved, "project.source", world->project);
  put (world->saved, "project.left-out", "");
  put_archive (world);
}

static void
world_clear (World *world)
{
  sandbox_host_unref (world->host);
  driver_test_remove_home (world->home);
  g_free (world->home);
  g_free (world->project);
  g_free (world->saved);
}

static SandboxChanges *
read_all (const World *world)
{
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes =
      sandbox_host_read_saved_changes (world->host, SAVED, "project", NULL, &error);

  g_assert_no_error (error);
  return changes;
}

static void
test_apply_and_undo (void)
{
  g_autoptr (SandboxChanges) changes = NULL, again = NULL;
  g_autoptr (GError) error = NULL;
  guint undone = 0, left = 0;
  World world;

  world_init (&world);
  g_assert_false (
      sandbox_host_undo_saved_apply (world.host, SAVED, "project", &undone, &left, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  changes = read_all (&world);
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
  check_text (&world, "old", "machine\n");
  check_text (&world, "new", "machine\n");
  put (world.project, "new", "edited\n");
  g_assert_true (
      sandbox_host_undo_saved_apply (world.host, SAVED, "project", &undone, &left, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (undone, ==, 2);
  g_assert_cmpuint (left, ==, 1);
  check_text (&world, "old", "host\n");
  check_text (&world, "new", "edited\n");
  check_text (&world, "deploy.sh", NULL);
  again = read_all (&world);
  /* what was edited since was applied, and is the host's now */
  g_assert_cmpuint (sandbox_changes_get_length (again), ==, 2);
  g_assert_false (sandbox_host_undo_saved_apply (world.host, "../" SAVED, "project", &undone, &left,
                                                 NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  world_clear (&world);
}

/* The names that the share had of its own are saved with it; others than those of this version are
 * not passed over. */
static void
test_classes (void)
{
  g_autoptr (SandboxChanges) changes = NULL, none = NULL;
  g_autoptr (GError) error = NULL;
  World world;

  world_init (&world);
  put (world.saved, "project.classes", "guard deploy.sh\nflag new\n");
  changes = read_all (&world);
  g_assert_cmpint (sandbox_changes_get (changes, 0)->risk, ==, SANDBOX_CHANGE_RUNS);
  g_assert_cmpint (sandbox_changes_get (changes, 1)->risk, ==, SANDBOX_CHANGE_BUILDS);
  g_assert_cmpint (sandbox_changes_get (changes, 2)->risk, ==, SANDBOX_CHANGE_PLAIN);
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
  check_text (&world, "deploy.sh", NULL);
  check_text (&world, "new", "machine\n");
  put (world.saved, "project.classes", "something else\n");
  none = sandbox_host_read_saved_changes (world.host, SAVED, "project", NULL, &error);
  g_assert_null (none);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/driver/saved/apply-and-undo", test_apply_and_undo);
  g_test_add_func ("/driver/saved/classes", test_classes);
  return g_test_run ();
}
