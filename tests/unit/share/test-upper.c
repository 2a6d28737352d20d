// SPDX-License-Identifier: LGPL-2.1-or-later
// Change sets from an enemy, made by hand: each is refused by an error of its own, or shown with
// its own reason and not applied, and nothing changes on the host.
#include "world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct
{
  const char *what;
  char type; /* of the entry; 0: none */
  const char *name, *link;
  guint mode;
  guint64 size;
  const char *key, *value; /* a pax record before it */
  const char *path;        /* where the row with the reason is; NULL: the whole is refused */
  const char *expected;    /* in the error, or in the reason */
} Case;

static const Case cases[] = {
  { "absolute", '0', "/etc/x", NULL, 0644, 0, NULL, NULL, NULL, "absolute" },
  { "dotted", '0', "./a/../../x", NULL, 0644, 0, NULL, NULL, NULL, "dots" },
  { "dots in between", '0', "./dir/./x", NULL, 0644, 0, NULL, NULL, NULL, "dots" },
  { "only dots", '0', "..", NULL, 0644, 0, NULL, NULL, NULL, "dots" },
  { "absolute by pax", '0', "x", NULL, 0644, 0, "path", "/etc/x", NULL, "absolute" },
  { "twice", '5', "./dir", NULL, 0755, 0, NULL, NULL, NULL, "twice" },
  { "the top again", '5', "./", NULL, 0755, 0, NULL, NULL, NULL, "twice" },
  { "no parent", '0', "./nowhere/x", NULL, 0644, 0, NULL, NULL, NULL, "before its directory" },
  { "in a file", '0', "./file/x", NULL, 0644, 0, NULL, NULL, NULL, "no directory" },
  { "8 EiB", '0', "./big", NULL, 0644, (G_GUINT64_CONSTANT (1) << 61), NULL, NULL, NULL,
    "larger than a file" },
  { "8 EiB by pax", '0', "./big", NULL, 0644, 0, "size", "4611686018427387904", NULL,
    "larger than a file" },
  { "hard link to nothing", '1', "./h", "./nothing", 0644, 0, NULL, NULL, NULL, "not sent" },
  { "hard link out", '1', "./h", "../../etc/passwd", 0644, 0, NULL, NULL, NULL, "dots" },
  { "hard link to a directory", '1', "./h", "./dir", 0644, 0, NULL, NULL, NULL, "not sent" },
  { "ends early", '0', "./x", NULL, 0644, 9999, NULL, NULL, NULL, "ends early" },

  { "device", '4', "./dev", NULL, 0666, 0, NULL, NULL, "dev", "device" },
  { "FIFO", '6', "./fifo", NULL, 0666, 0, NULL, NULL, "fifo", "FIFO" },
  { "unknown type", 'Z', "./odd", NULL, 0666, 0, NULL, NULL, "odd", "device" },
  { "setuid", '0', "./suid", NULL, 04755, 0, NULL, NULL, "suid", "setuid" },
  { "setgid", '0', "./sgid", NULL, 02755, 0, NULL, NULL, "sgid", "setuid" },
  { "absolute link", '2', "./l", "/etc/passwd", 0777, 0, NULL, NULL, "l", "out of the shared" },
  { "link up", '2', "./l", "../x", 0777, 0, NULL, NULL, "l", "out of the shared" },
  { "link down and up", '2', "./l", "dir/../../x", 0777, 0, NULL, NULL, "l", "down and up" },
  { "redirect", '5', "./moved", NULL, 0755, 0, "SCHILY.xattr.trusted.overlay.redirect", "/etc",
    "moved", "elsewhere" },
  { "metacopy", '0', "./meta", NULL, 0644, 0, "SCHILY.xattr.trusted.overlay.metacopy", "x", "meta",
    "elsewhere" },
  { "opaque file", '0', "./opaque", NULL, 0644, 0, "SCHILY.xattr.trusted.overlay.opaque", "y",
    "opaque", "only directories" },
  { "another opaque", '5', "./opaque", NULL, 0755, 0, "SCHILY.xattr.trusted.overlay.opaque", "x",
    "opaque", "elsewhere" },
  { "control characters", '0', "./a\033[2Jb", NULL, 0644, 0, NULL, NULL, "a\033[2Jb", "control" },
  { "newline", '0', "./a\nb", NULL, 0644, 0, NULL, NULL, "a\nb", "control" },
  { "no UTF-8", '0', "./\xff", NULL, 0644, 0, NULL, NULL, "\xff", "UTF-8" },
  { ".GIT", '5', "./.GIT", NULL, 0755, 0, NULL, NULL, ".GIT", "disguise" },
  { "dotless", '5', "./.g\xc4\xb1t", NULL, 0755, 0, NULL, NULL, ".g\xc4\xb1t", "disguise" },
  { "ignorable", '5', "./.g\xe2\x80\x8cit", NULL, 0755, 0, NULL, NULL, ".g\xe2\x80\x8cit",
    "invisible" },
  { "our own name", '0', "./.vms-apply.1.1", NULL, 0644, 0, NULL, NULL, ".vms-apply.1.1",
    "vms uses" },
};

static GByteArray *
archive_begin (void)
{
  GByteArray *archive = g_byte_array_new ();

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./dir/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./file", NULL, 0644, "old");
  return archive;
}

static void
world_with_files (World *world)
{
  world_init (world, NULL);
  put_file (world->host, "file", 0644, "old");
  put_file (world->host, "dir/inner", 0644, "inner");
  put_file (world->host, "moved/inner", 0644, "inner");
  put_file (world->host, "opaque/inner", 0644, "inner");
  world_record (world);
}

static void
run_case (const Case *one)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL, *after = NULL;
  World world;

  g_test_message ("%s", one->what);
  world_with_files (&world);
  before = tree_text (world.host);
  if (one->key)
    add_pax (archive, one->key, one->value);
  add_raw (archive, one->type, one->name, one->link, one->mode, one->size, 8, 0);
  if (one->path)
    sandbox_tar_append_end (archive);
  changes = world_read_archive (&world, archive, &error);
  if (one->path)
    {
      SandboxChangeRow *row;

      g_assert_no_error (error);
      row = find_change (changes, one->path);
      g_assert_nonnull (row);
      g_assert_cmpint (row->pub.state, ==, SANDBOX_CHANGE_REFUSED);
      g_assert_nonnull (strstr (row->pub.reason, one->expected));
      apply_all (changes, TRUE);
      g_assert_false (row->pub.applied);
    }
  else
    {
      g_assert_null (changes);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
      if (!strstr (error->message, one->expected))
        g_error ("%s: %s", one->what, error->message);
    }
  after = tree_text (world.host);
  g_assert_cmpstr (after, ==, before);
  world_clear (&world);
}

static void
test_corpus (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    run_case (&cases[i]);
}

/* The first entry is the layer itself, a plain directory. */
static void
test_top (void)
{
  World world;

  world_with_files (&world);
  for (guint i = 0; i < 4; i++)
    {
      g_autoptr (GByteArray) archive = g_byte_array_new ();
      g_autoptr (SandboxChanges) changes = NULL;
      g_autoptr (GError) error = NULL;

      if (i == 0)
        add_entry (archive, SANDBOX_TAR_FILE, "./file", NULL, 0644, "new");
      if (i == 1)
        add_pax (archive, "SCHILY.xattr.trusted.overlay.opaque", "y");
      if (i == 1)
        add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
      if (i == 2)
        g_byte_array_append (archive, (const guint8 *)"garbage of some length", 22);
      if (i < 2)
        sandbox_tar_append_end (archive);
      /* 3: nothing at all */
      changes = world_read_archive (&world, archive, &error);
      g_assert_null (changes);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
    }
  world_clear (&world);
}

/* More entries than anybody has. */
static void
test_too_many (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  World world;

  world_with_files (&world);
  for (guint i = 0; i <= SANDBOX_UPPER_ENTRIES_MAX; i++)
    {
      char name[32];

      g_snprintf (name, sizeof name, "./f%u", i);
      add_raw (archive, '0', name, NULL, 0644, 0, 0, 0);
    }
  sandbox_tar_append_end (archive);
  changes = world_read_archive (&world, archive, &error);
  g_assert_null (changes);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
  g_assert_nonnull (strstr (error->message, "more than"));
  world_clear (&world);
}

/* A directory of git's in any form, and a repository without a working tree, stay out whole. */
static void
test_git (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL, *after = NULL;
  World world;

  world_with_files (&world);
  before = tree_text (world.host);
  add_entry (archive, SANDBOX_TAR_DIR, "./.git/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./.git/config", NULL, 0644, "[core]");
  add_entry (archive, SANDBOX_TAR_FILE, "./dir/.git", NULL, 0644, "gitdir: /tmp");
  add_entry (archive, SANDBOX_TAR_DIR, "./bare/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./bare/HEAD", NULL, 0644, "ref: refs/heads/main");
  add_entry (archive, SANDBOX_TAR_FILE, "./bare/config", NULL, 0644, "[core] fsmonitor = x");
  add_entry (archive, SANDBOX_TAR_DIR, "./bare/objects/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./bare/refs/", NULL, 0755, NULL);
  sandbox_tar_append_end (archive);
  changes = world_read_archive (&world, archive, &error);
  g_assert_no_error (error);
  apply_all (changes, TRUE);
  after = tree_text (world.host);
  g_assert_false (strstr (after, "git") || strstr (after, "bare/"));
  g_assert_cmpuint (sandbox_changes_get_git (changes), ==, 7);
  world_clear (&world);
}

/* Few entries, but all of the longest: what is kept of them is bounded, too. */
static void
test_too_long (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *link = g_strnfill (4000, 'x');
  World world;

  world_with_files (&world);
  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  for (guint i = 0; i < 34000; i++)
    {
      g_autofree char *name = g_strdup_printf ("./link-%u", i);

      add_entry (archive, SANDBOX_TAR_SYMLINK, name, link, 0777, NULL);
    }
  sandbox_tar_append_end (archive);
  changes = world_read_archive (&world, archive, &error);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
  g_assert_nonnull (strstr (error->message, "128 MiB"));
  world_clear (&world);
}

static gboolean
take (gpointer data, gsize length, gpointer user_data, GError **error)
{
  struct iovec *left = user_data;

  g_assert_cmpuint (length, <=, left->iov_len);
  memcpy (data, left->iov_base, length);
  left->iov_base = (char *)left->iov_base + length;
  left->iov_len -= length;
  return TRUE;
}

static SandboxUpper *
read_upper (const World *world, GByteArray *archive)
{
  struct iovec left = { archive->data, archive->len };
  g_autoptr (GError) error = NULL;
  SandboxUpper *upper = _sandbox_upper_read (take, &left, world->records_fd, &error);

  g_assert_no_error (error);
  return upper;
}

/* What is listed, and not sent, is told of; what came into a directory that was not there before is
 * one of the things that changed meanwhile. */
static void
test_left_out (void)
{
  static const struct
  {
    const char *path;
    gboolean told, unsettled, fails;
  } outs[] = {
    { "./dir/socket", TRUE, FALSE, FALSE },  { "./file", FALSE, FALSE, FALSE },
    { "./late/socket", FALSE, TRUE, FALSE }, { "./file/socket", FALSE, TRUE, FALSE },
    { "./dir/../x", FALSE, FALSE, TRUE },    { "/etc/x", FALSE, FALSE, TRUE },
  };
  World world;

  world_with_files (&world);
  for (guint i = 0; i < G_N_ELEMENTS (outs); i++)
    {
      g_autoptr (GByteArray) archive = archive_begin ();
      g_autoptr (SandboxUpper) upper = NULL;
      g_autoptr (GError) error = NULL;

      sandbox_tar_append_end (archive);
      upper = read_upper (&world, archive);
      g_assert_true (_sandbox_upper_add_left_out (upper, outs[i].path, FALSE, &error)
                     != outs[i].fails);
      g_assert_true ((error != NULL) == outs[i].fails);
      g_assert_cmpint (upper->unsettled, ==, outs[i].unsettled);
      g_assert_cmpuint (upper->entries->len, ==, outs[i].told ? 4 : 3);
    }
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/upper/corpus", test_corpus);
  g_test_add_func ("/share/upper/top", test_top);
  g_test_add_func ("/share/upper/too-many", test_too_many);
  g_test_add_func ("/share/upper/too-long", test_too_long);
  g_test_add_func ("/share/upper/git", test_git);
  g_test_add_func ("/share/upper/left-out", test_left_out);
  return g_test_run ();
}
