// SPDX-License-Identifier: LGPL-2.1-or-later
// Permissions: those that the machine chose, and those that this host did.
#include "world.h"

#include <string.h>
#include <sys/stat.h>

/**
 * Case: one file ("f") or directory ("d/") on three sides
 * @before, @host, @machine: permissions when it was recorded, on this host now, of the machine
 * @row: whether there is a change, and then its state
 */
typedef struct
{
  const char *name;
  guint before, host, machine;
  gboolean row;
  SandboxChangeState state;
} Case;

static const Case cases[] = {
  { "d/", 0755, 0755, 0755, FALSE, 0 },
  { "d/", 0755, 0755, 0700, TRUE, SANDBOX_CHANGE_READY },
  /* this host's doing alone */
  { "d/", 0755, 0700, 0755, FALSE, 0 },
  { "d/", 0700, 0755, 0700, FALSE, 0 },
  { "f", 0644, 0600, 0644, FALSE, 0 },
  /* both sides' */
  { "d/", 0755, 0700, 0750, TRUE, SANDBOX_CHANGE_CONFLICT },
  { "f", 0644, 0600, 0755, TRUE, SANDBOX_CHANGE_CONFLICT },
  { "d/", 0755, 0700, 0700, FALSE, 0 },
};

static char *
path_of (const World *world, const char *name)
{
  return g_build_filename (world->host, name, NULL);
}

static SandboxChanges *
read_one (World *world, const char *name, guint mode, const char *content)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, g_str_has_suffix (name, "/") ? SANDBOX_TAR_DIR : SANDBOX_TAR_FILE, name, NULL,
             mode, g_str_has_suffix (name, "/") ? NULL : content);
  sandbox_tar_append_end (archive);
  changes = world_read_archive (world, archive, &error);
  g_assert_no_error (error);
  return changes;
}

static guint
mode_of (const char *path)
{
  struct stat st;

  g_assert_cmpint (lstat (path, &st), ==, 0);
  return st.st_mode & 07777;
}

static void
test_sides (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const Case *one = &cases[i];
      gboolean dir = g_str_has_suffix (one->name, "/");
      g_autofree char *path = NULL;
      g_autoptr (SandboxChanges) changes = NULL;
      World world;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      world_init (&world, NULL);
      put_file (world.host, dir ? "d/x" : "f", 0644, "text");
      path = path_of (&world, one->name);
      g_assert_cmpint (chmod (path, one->before), ==, 0);
      world_record (&world);
      g_assert_cmpint (chmod (path, one->host), ==, 0);
      changes = read_one (&world, one->name, one->machine, "text");
      g_assert_cmpuint (changes->rows->len, ==, one->row);
      if (one->row)
        g_assert_cmpint (_sandbox_changes_row (changes, 0)->pub.state, ==, one->state);
      apply_all (changes, FALSE);
      g_assert_cmpuint (mode_of (path), ==,
                        one->row && one->state == SANDBOX_CHANGE_READY ? one->machine : one->host);
      world_clear (&world);
    }
}

/* Changed by its user after it was compared. */
static void
test_race (void)
{
  g_autofree char *path = NULL;
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "d/x", 0644, "text");
  world_record (&world);
  changes = read_one (&world, "d/", 0711, NULL);
  g_assert_cmpuint (changes->rows->len, ==, 1);
  path = path_of (&world, "d");
  g_assert_cmpint (chmod (path, 0700), ==, 0);
  apply_all (changes, FALSE);
  g_assert_cmpuint (mode_of (path), ==, 0700);
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/modes/sides", test_sides);
  g_test_add_func ("/share/modes/race", test_race);
  return g_test_run ();
}
