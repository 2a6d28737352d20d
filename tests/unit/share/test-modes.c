// SPDX-License-Identifier: LGPL-2.1-or-later
// Permissions: those that the machine chose, those that this host did, and what is shown of them.
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL     "system.posix_acl_access"
#define ACL_NEW "system.posix_acl_default"
#define NOTE    "user.note"

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
  changes = read_one (&world, "d/", 0777, NULL);
  g_assert_cmpuint (changes->rows->len, ==, 0);
  g_clear_pointer (&changes, sandbox_changes_unref);
  changes = read_one (&world, "d/", 0711, NULL);
  g_assert_cmpuint (changes->rows->len, ==, 1);
  path = path_of (&world, "d");
  g_assert_cmpint (chmod (path, 0700), ==, 0);
  apply_all (changes, FALSE);
  g_assert_cmpuint (mode_of (path), ==, 0700);
  world_clear (&world);
}

/* What is shown of permissions that a patch has no words for; and nobody else is let write. */
static const struct
{
  const char *name;
  guint host, machine, becomes; /* 0 for @host: it is new */
  const char *text, *shown;
} texts[] = {
  { "f", 0600, 0644, 0644, "new\n", "# f: mode 0644, was 0600\ndiff --git a/f b/f\n--- " },
  { "f", 0644, 0600, 0600, "new\n", "# f: mode 0600, was 0644\ndiff --git a/f b/f\n--- " },
  { "f", 0640, 0755, 0755, "old\n",
    "# f: mode 0755, was 0640\ndiff --git a/f b/f\nold mode 100644\nnew mode 100755\n" },
  { "f", 0644, 0755, 0755, "old\n", "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n" },
  { "f", 0600, 0600, 0600, "new\n", "diff --git a/f b/f\n--- " },
  { "f", 0644, 0666, 0644, "new\n", "diff --git a/f b/f\n--- " },
  { "f", 0664, 0664, 0664, "new\n", "diff --git a/f b/f\n--- " },
  { "f", 0644, 0666, 0644, "old\n", NULL },
  { "f", 0, 0644, 0644, "new\n", "diff --git a/f b/f\nnew file mode 100644\n" },
  { "f", 0, 0777, 0755, "new\n", "diff --git a/f b/f\nnew file mode 100755\n" },
  { "f", 0, 0600, 0600, "new\n", "# f: mode 0600\ndiff --git a/f b/f\nnew file mode 100644\n" },
};

static void
test_texts (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *path = NULL, *diff = NULL;
      g_autoptr (SandboxChanges) changes = NULL;
      World world;

      g_test_message ("%" G_GSIZE_FORMAT, i);
      world_init (&world, NULL);
      if (texts[i].host != 0)
        put_file (world.host, "f", texts[i].host, "old\n");
      world_record (&world);
      changes = read_one (&world, "f", texts[i].machine, texts[i].text);
      g_assert_cmpuint (changes->rows->len, ==, texts[i].shown != NULL);
      if (texts[i].shown)
        diff = sandbox_changes_diff (changes, 0, NULL, NULL, NULL, NULL, NULL);
      if (diff && !g_str_has_prefix (diff, texts[i].shown))
        g_error ("%s--- instead of\n%s", diff, texts[i].shown);
      apply_all (changes, FALSE);
      path = path_of (&world, "f");
      g_assert_cmpuint (mode_of (path), ==, texts[i].becomes);
      world_clear (&world);
    }
}

/* As acl(5) has it: the user with the number 1 may read, the mask is that of the group's mode. */
static const guint8 acl[] = { 2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                              0, 1, 0,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                              6, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255 };

/* A group that this process may give to its files; its own one when there is no other. */
static gid_t
other_group (void)
{
  gid_t groups[64];
  int n = getgroups (G_N_ELEMENTS (groups), groups);

  for (int i = 0; i < n; i++)
    if (groups[i] != getegid ())
      return groups[i];
  return geteuid () == 0 ? 4242 : getegid ();
}

static void
check_kept (const char *path, const char *content, gid_t group)
{
  g_autofree char *dir = g_path_get_dirname (path), *name = g_path_get_basename (path);
  g_autofree char *now = get_file (dir, name);
  guint8 value[256];
  struct stat st;

  g_assert_cmpint (lstat (path, &st), ==, 0);
  g_assert_cmpstr (now, ==, content);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0660);
  g_assert_cmpuint (st.st_gid, ==, group);
  g_assert_cmpint (getxattr (path, NOTE, value, sizeof value), ==, 2);
  g_assert_cmpint (memcmp (value, "hi", 2), ==, 0);
  g_assert_cmpint (getxattr (path, ACL, value, sizeof value), ==, sizeof acl);
  g_assert_cmpint (memcmp (value, acl, sizeof acl), ==, 0);
}

static void
keep_attributes (World *world)
{
  g_autofree char *path = path_of (world, "f");
  g_autoptr (SandboxChanges) changes = NULL;
  guint undone = 0, left = 0;
  gid_t group = other_group ();

  put_file (world->host, "f", 0644, "old");
  g_assert_cmpint (chown (path, (uid_t)-1, group), ==, 0);
  g_assert_cmpint (setxattr (path, NOTE, "hi", 2, 0), ==, 0);
  g_assert_cmpint (setxattr (path, ACL, acl, sizeof acl, 0), ==, 0);
  world_record (world);
  check_kept (path, "old", group);
  changes = read_one (world, "f", 0660, "new");
  apply_all (changes, FALSE);
  check_kept (path, "new", group);
  g_assert_true (
      _sandbox_changes_undo (world->host_fd, world->records_fd, "p", &undone, &left, NULL, NULL));
  g_assert_cmpuint (undone, ==, 1);
  check_kept (path, "old", group);
}

/* What comes in place of a file has its group, its ACL and attributes, and so has what undo puts
 * back: the same file, or a copy of it. */
static void
test_attributes (void)
{
  g_autofree char *memory = g_strdup ("/dev/shm/sandbox-share-XXXXXX");
  World world;

  world_init (&world, NULL);
  if (setxattr (world.host, NOTE, "", 0, 0) < 0)
    g_test_skip ("this file system has no attributes");
  else
    keep_attributes (&world);
  world_clear (&world);
  if (!g_mkdtemp (memory))
    return;
  world_init (&world, NULL);
  close (world.records_fd);
  world.records_fd = open (memory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (setxattr (memory, NOTE, "", 0, 0) == 0)
    keep_attributes (&world);
  sandbox_remove_at (AT_FDCWD, memory, NULL);
  world_clear (&world);
}

/* But not what its directory gives to new files. */
static void
test_inherited (void)
{
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *path = NULL;
  char value[256];
  World world;

  world_init (&world, NULL);
  path = path_of (&world, "f");
  put_file (world.host, "f", 0640, "old");
  if (setxattr (world.host, ACL_NEW, acl, sizeof acl, 0) == 0)
    {
      world_record (&world);
      changes = read_one (&world, "f", 0640, "new");
      apply_all (changes, FALSE);
      g_assert_cmpuint (mode_of (path), ==, 0640);
      g_assert_cmpint (getxattr (path, ACL, value, sizeof value), ==, -1);
      g_assert_cmpint (errno, ==, ENODATA);
    }
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/modes/sides", test_sides);
  g_test_add_func ("/share/modes/race", test_race);
  g_test_add_func ("/share/modes/texts", test_texts);
  g_test_add_func ("/share/modes/attributes", test_attributes);
  g_test_add_func ("/share/modes/inherited", test_inherited);
  return g_test_run ();
}
