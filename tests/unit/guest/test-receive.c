// SPDX-License-Identifier: LGPL-2.1-or-later
// Archives from an enemy, made by hand: what is refused, that nothing stays, and that good ones
// arrive.
#include "fixture.h"

#include "base/error.h"
#include "base/file.h"
#include "guest/copy-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  const guint8 *data;
  gsize left;
} Memory;

typedef struct
{
  char *path;
  int fd;
} Place;

static gboolean
memory_read (void *data, gsize length, gpointer user_data, GError **error)
{
  Memory *memory = user_data;

  if (length > memory->left)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the archive ends early");
  memcpy (data, memory->data, length);
  memory->data += length;
  memory->left -= length;
  return TRUE;
}

static void
place_set_up (Place *place)
{
  place->path = g_dir_make_tmp ("sandbox-receive-XXXXXX", NULL);
  place->fd = open (place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
place_tear_down (Place *place)
{
  g_autofree char *name = g_path_get_basename (place->path);
  int parent = openat (place->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  g_assert_true (sandbox_remove_at (parent, name, NULL));
  close (parent);
  close (place->fd);
  g_free (place->path);
}

static guint
count_names (Place *place)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  g_assert_true (_sandbox_list_names (place->fd, names, NULL));
  return names->len;
}

static gboolean
receive (Place *place, GByteArray *archive, gboolean overwrite, GError **error)
{
  Memory memory = { archive->data, archive->len };
  g_autofree char *note = NULL;

  return _sandbox_receive (memory_read, NULL, &memory, place->fd, "got", overwrite, &note, error);
}

static void
add (GByteArray *archive, SandboxTarType type, const char *name, const char *link, guint mode,
     const char *content)
{
  SandboxTarEntry entry = {
    .type = type, .name = (char *)name, .link = (char *)link, .mode = mode
  };

  if (content)
    {
      sandbox_tar_append (archive, name, mode, content, strlen (content));
      return;
    }
  sandbox_tar_append_header (archive, &entry);
}

static void
expect_refused (GByteArray *archive, const char *text)
{
  g_autoptr (GError) error = NULL;
  Place place;

  place_set_up (&place);
  g_assert_false (receive (&place, archive, TRUE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
  if (!strstr (error->message, text))
    g_error ("\"%s\" is not in \"%s\"", text, error->message);
  for (const char *c = error->message; *c; c++)
    g_assert_cmpint ((guchar)*c, >=, ' ');
  g_assert_cmpint (count_names (&place), ==, 0);
  place_tear_down (&place);
}

/* The checksum of the header at @offset made right again after a change. */
static void
fix_checksum (GByteArray *archive, gsize offset)
{
  char *block = (char *)archive->data + offset;
  guint sum = 0;

  memset (block + 148, ' ', 8);
  for (gsize i = 0; i < SANDBOX_TAR_BLOCK; i++)
    sum += (guchar)block[i];
  snprintf (block + 148, 8, "%06o", sum);
}

static void
test_good (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *long_name = g_strnfill (120, 'n');
  g_autofree char *deep = g_strdup_printf ("./sub/%s", long_name);
  g_autofree char *content = NULL;
  g_autofree char *path = NULL;
  g_autofree char *setuid = NULL;
  struct stat st;
  Place place;

  place_set_up (&place);
  umask (022);
  add (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add (archive, SANDBOX_TAR_DIR, "./sub/", NULL, 0555, NULL);
  add (archive, SANDBOX_TAR_FILE, deep, NULL, 0640, "content");
  add (archive, SANDBOX_TAR_FILE, "./setuid", NULL, 07777, "x");
  add (archive, SANDBOX_TAR_FILE, "./\xc3\xa9t\xc3\xa9 a b", NULL, 0600, "");
  sandbox_tar_append_end (archive);
  receive (&place, archive, FALSE, &error);
  g_assert_no_error (error);
  path = g_build_filename (place.path, "got", "sub", long_name, NULL);
  g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, "content");
  setuid = g_build_filename (place.path, "got", "setuid", NULL);
  g_assert_cmpint (stat (setuid, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0755);
  g_assert_cmpint (count_names (&place), ==, 1);
  /* a second time: only when asked */
  g_assert_false (receive (&place, archive, FALSE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_true (receive (&place, archive, TRUE, &error));
  g_assert_no_error (error);
  g_assert_cmpint (count_names (&place), ==, 1);
  place_tear_down (&place);
}

static void
test_names (void)
{
  static const char *const names[] = { "/etc/x",
                                       "../y",
                                       "../../y",
                                       "../x",
                                       "a/../../x",
                                       "sub/../x",
                                       "..",
                                       "./..",
                                       "a\nb",
                                       "a\x1b]0;x\x07",
                                       "a\x7f",
                                       "\xff",
                                       "\xc2\x9b"
                                       "31m",
                                       "\xe2\x80\xae"
                                       "txt.exe" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    for (int type = SANDBOX_TAR_FILE; type <= SANDBOX_TAR_DIR; type++)
      {
        g_autoptr (GByteArray) archive = g_byte_array_new ();

        add (archive, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
        add (archive, type, names[i], NULL, 0644, NULL);
        sandbox_tar_append_end (archive);
        expect_refused (archive, "nothing was kept");
      }
}

static void
test_links (void)
{
  g_autoptr (GByteArray) through = g_byte_array_new ();
  g_autoptr (GByteArray) hard = g_byte_array_new ();
  static const char types[] = "13467SVMDN";

  /* the classic: a link, then a file through it */
  add (through, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
  add (through, SANDBOX_TAR_SYMLINK, "out", "/tmp", 0777, NULL);
  add (through, SANDBOX_TAR_FILE, "out/x", NULL, 0644, "x");
  sandbox_tar_append_end (through);
  expect_refused (through, "comes before its directory");
  for (const char *type = types; *type; type++)
    {
      if (*type == '7')
        continue;
      g_byte_array_set_size (hard, 0);
      add (hard, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
      add (hard, SANDBOX_TAR_SYMLINK, "x", "/etc/passwd", 0777, NULL);
      sandbox_tar_append_end (hard);
      hard->data[SANDBOX_TAR_BLOCK + 156] = (guint8)*type;
      fix_checksum (hard, SANDBOX_TAR_BLOCK);
      expect_refused (hard, "neither a file nor a directory");
    }
}

static const struct
{
  const char *name, *target;
  gboolean made;
} link_cases[] = {
  { "to-file", "file", TRUE },
  { "sub/up", "../file", TRUE },
  { "to-dir", "./sub//", TRUE },
  { "to-top", ".", TRUE },
  /* through others, those that come later too */
  { "chain", "chain2", TRUE },
  { "chain2", "to-dir/up", TRUE },
  { "sub/loop", "..//./to-dir/up", TRUE },
  /* within, as long as no name on its way becomes a link to elsewhere */
  { "sub/turns", "../to-dir/deep/../up", FALSE },
  { "absolute", "/etc/passwd", FALSE },
  { "out", "../outside", FALSE },
  { "own-name", "../got/file", FALSE },
  { "temporary", "../x/file", FALSE },
  { "far", "sub/../../outside", FALSE },
  /* by its words within, by its way outside */
  { "sub/deep/a", "..", TRUE },
  { "sneaky", "sub/deep/a/../../outside", FALSE },
  { "on-out", "out", FALSE },
  { "on-on-out", "on-out", FALSE },
  { "nowhere", "missing", FALSE },
  { "itself", "itself", FALSE },
  { "proc", "/proc/self/root/etc/passwd", FALSE },
  { "control", "fi\x1ble", FALSE },
  { "empty", "", FALSE },
};

/* Which are made; those that lead out, by whatever way, are left out with all that leads through
 * them, and nothing is lost for it. */
static void
test_links_within (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *note = NULL, *more = NULL;
  guint n_left_out = 0;
  Memory memory;
  Place place;

  place_set_up (&place);
  g_assert_cmpint (mkdirat (place.fd, "outside", 0755), ==, 0);
  add (archive, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (link_cases); i++)
    add (archive, SANDBOX_TAR_SYMLINK, link_cases[i].name, link_cases[i].target, 0777, NULL);
  /* all else comes after them */
  add (archive, SANDBOX_TAR_DIR, "sub", NULL, 0755, NULL);
  add (archive, SANDBOX_TAR_DIR, "sub/deep", NULL, 0755, NULL);
  add (archive, SANDBOX_TAR_FILE, "file", NULL, 0644, "content");
  sandbox_tar_append_end (archive);
  memory = (Memory){ archive->data, archive->len };
  _sandbox_receive (memory_read, NULL, &memory, place.fd, "got", FALSE, &note, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (link_cases); i++)
    {
      g_autofree char *path = g_build_filename ("got", link_cases[i].name, NULL);
      struct stat st;

      g_test_message ("%s", path);
      g_assert_cmpint (fstatat (place.fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0, ==,
                       link_cases[i].made);
      g_assert_cmpint (fstatat (place.fd, path, &st, 0) == 0, ==, link_cases[i].made);
      n_left_out += !link_cases[i].made;
    }
  g_assert_cmpint (n_left_out, >, 5);
  g_assert_nonnull (strstr (note, "\"absolute\""));
  more = g_strdup_printf (" and %u more", n_left_out - 5);
  g_assert_true (g_str_has_suffix (note, more));
  place_tear_down (&place);
}

/* What is asked for is a link; and one that has the name of a file. */
static void
test_links_refused (void)
{
  g_autoptr (GByteArray) top = g_byte_array_new ();
  g_autoptr (GByteArray) twice = g_byte_array_new ();

  add (top, SANDBOX_TAR_SYMLINK, "x", "file", 0777, NULL);
  sandbox_tar_append_end (top);
  expect_refused (top, "is a link");
  add (twice, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
  add (twice, SANDBOX_TAR_FILE, "x", NULL, 0644, "content");
  add (twice, SANDBOX_TAR_SYMLINK, "x", "x", 0777, NULL);
  sandbox_tar_append_end (twice);
  expect_refused (twice, "was sent twice");
}

static void
test_order (void)
{
  static const char *const lists[][4] = {
    { ".", "+a", "+a", NULL },   /* twice */
    { ".", ".", NULL },          /* the top twice */
    { "+file", "+other", NULL }, /* one file, and another */
    { "+file", "file/", NULL },
    { ".", "+dir/file", NULL },  /* no directory for it */
    { ".", "+a", "+a/b", NULL }, /* a file for a directory */
    { "dir/", NULL },            /* not what was asked for */
    { "+dir/file", NULL },
    { NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++)
    {
      g_autoptr (GByteArray) archive = g_byte_array_new ();

      for (gsize k = 0; lists[i][k]; k++)
        if (lists[i][k][0] == '+')
          add (archive, SANDBOX_TAR_FILE, lists[i][k] + 1, NULL, 0644, "x");
        else
          add (archive, SANDBOX_TAR_DIR, lists[i][k], NULL, 0755, NULL);
      sandbox_tar_append_end (archive);
      expect_refused (archive, "copying from the machine");
    }
}

static void
test_deep (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GString) name = g_string_new (".");

  add (archive, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
  for (int i = 0; i < 2000; i++)
    {
      g_string_append (name, "/d");
      add (archive, SANDBOX_TAR_DIR, name->str, NULL, 0755, NULL);
    }
  sandbox_tar_append_end (archive);
  expect_refused (archive, "");
}

/* Whatever is done to the bytes: an error or a result below the place, never a crash; half an
 * archive is none. */
static void
test_damaged (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autofree char *long_name = g_strnfill (200, 'n');

  add (archive, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
  add (archive, SANDBOX_TAR_FILE, long_name, NULL, 0644, "content");
  sandbox_tar_append_end (archive);
  for (gsize cut = 0; cut < archive->len - SANDBOX_TAR_BLOCK; cut += 64)
    {
      g_autoptr (GByteArray) part = g_byte_array_new ();

      g_byte_array_append (part, archive->data, (guint)cut);
      if (cut < archive->len - 2 * SANDBOX_TAR_BLOCK + SANDBOX_TAR_BLOCK)
        expect_refused (part, "");
    }
  for (int round = 0; round < 1000; round++)
    {
      g_autoptr (GByteArray) bad = g_byte_array_new ();
      Place place;

      g_byte_array_append (bad, archive->data, archive->len);
      for (int i = g_test_rand_int_range (1, 4); i > 0; i--)
        bad->data[g_test_rand_int_range (0, (gint32)bad->len)] =
            (guint8)g_test_rand_int_range (0, 256);
      place_set_up (&place);
      receive (&place, bad, FALSE, NULL);
      g_assert_cmpint (count_names (&place), <=, 1);
      place_tear_down (&place);
    }
}

static GByteArray *
archive_with_record (const char *record)
{
  GByteArray *archive = g_byte_array_new ();

  add (archive, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
  sandbox_tar_append (archive, "p", 0644, record, strlen (record));
  archive->data[SANDBOX_TAR_BLOCK + 156] = 'x';
  fix_checksum (archive, SANDBOX_TAR_BLOCK);
  add (archive, SANDBOX_TAR_FILE, "file", NULL, 0644, "content");
  sandbox_tar_append_end (archive);
  return archive;
}

static void
expect_record (const char *record, const char *name)
{
  g_autoptr (GByteArray) archive = archive_with_record (record);
  g_autofree char *file = NULL;
  Place place;
  gboolean ok;

  place_set_up (&place);
  ok = receive (&place, archive, FALSE, NULL);
  g_assert_cmpint (ok, ==, name != NULL);
  g_assert_cmpint (count_names (&place), ==, name ? 1 : 0);
  file = g_build_filename (place.path, "got", name, NULL);
  g_assert_true (g_file_test (file, G_FILE_TEST_EXISTS) == ok);
  place_tear_down (&place);
}

static void
test_pax (void)
{
  static const char *const refused[] = {
    "13 path=../x\n",
    "12 path=/ab\n",
    "12 path=a\nb\n",
    "16 size=9999999\n",
    "11 size=-1\n",
    "9 size=\n",
    "29 size=99999999999999999999\n",
    "22 GNU.sparse.major=1\n",
    "0 path=x\n",
    "6 a=\n",
    "99 path=x\n",
    "8 path=x\n",
    "11 path=x\n",
    "99999999999 path=x\n",
    "path=x\n",
    "10 path=x",
    "-1 a=b\n",
    "7 path\n",
    " 10 path=x\n",
    "9 path=xy",
    "9 path=xy10 path=x\n",
  };

  expect_record ("", "file");
  expect_record ("4 =\n", "file");
  expect_record ("9 path=x\n", "x");
  expect_record ("9 path=x\n9 path=y\n", "y");
  expect_record ("20 mtime=1234567.89\n", "file");
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++)
    expect_record (refused[i], NULL);
}

static void
test_checksum (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();

  add (archive, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
  sandbox_tar_append_end (archive);
  /* a digit of the time: nothing else would notice */
  archive->data[140]++;
  expect_refused (archive, "damaged");
}

/* Overwriting replaces a link of the host's; it does not write through it. */
static void
test_merge (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *outside = NULL;
  g_autofree char *inside = NULL;
  g_autofree char *keep = NULL;
  g_autofree char *text = NULL;
  Place place;

  place_set_up (&place);
  outside = g_build_filename (place.path, "outside", NULL);
  inside = g_build_filename (place.path, "got", "link", NULL);
  keep = g_build_filename (place.path, "got", "keep", NULL);
  g_assert_true (g_file_set_contents (outside, "precious", -1, NULL));
  g_assert_cmpint (mkdirat (place.fd, "got", 0755), ==, 0);
  g_assert_cmpint (symlink ("../outside", inside), ==, 0);
  g_assert_true (g_file_set_contents (keep, "kept", -1, NULL));
  add (archive, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
  add (archive, SANDBOX_TAR_FILE, "link", NULL, 0644, "from the guest");
  sandbox_tar_append_end (archive);
  g_assert_true (receive (&place, archive, TRUE, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (outside, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "precious");
  g_assert_false (g_file_test (inside, G_FILE_TEST_IS_SYMLINK));
  g_assert_true (g_file_test (keep, G_FILE_TEST_EXISTS));
  place_tear_down (&place);
}

/* What was copied before leads out through no link that comes later, of which each is good in its
 * own copy. */
static void
test_links_later (void)
{
  static const char *const targets[] = { "d1/d2", "d1" };
  g_autofree char *secret = NULL, *got = NULL;
  Place place;

  place_set_up (&place);
  secret = g_build_filename (place.path, "secret", NULL);
  got = g_build_filename (place.path, "got", "a", NULL);
  g_assert_true (g_file_set_contents (secret, "precious", -1, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (targets); i++)
    {
      g_autoptr (GByteArray) archive = g_byte_array_new ();
      g_autoptr (GError) error = NULL;

      add (archive, SANDBOX_TAR_DIR, ".", NULL, 0755, NULL);
      add (archive, SANDBOX_TAR_DIR, "d1", NULL, 0755, NULL);
      add (archive, SANDBOX_TAR_DIR, "d1/d2", NULL, 0755, NULL);
      add (archive, SANDBOX_TAR_FILE, "secret", NULL, 0644, "a dummy");
      add (archive, SANDBOX_TAR_SYMLINK, "x", targets[i], 0777, NULL);
      if (i == 0)
        add (archive, SANDBOX_TAR_SYMLINK, "a", "x/../../secret", 0777, NULL);
      sandbox_tar_append_end (archive);
      g_assert_true (receive (&place, archive, i > 0, &error));
      g_assert_no_error (error);
      g_assert_false (g_file_test (got, G_FILE_TEST_EXISTS));
    }
  place_tear_down (&place);
}

/* What a killed copy left goes with the next one; what another copy works on, or has only just
 * made, and what merely begins like it stays. */
static void
test_abandoned (void)
{
  static const char *const names[] = { ".vms-cp.old", ".vms-cp.locked", ".vms-cp.new", ".vms-cpx" };
  static const gboolean stays[] = { FALSE, TRUE, TRUE, TRUE };
  const struct timespec old[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  sandbox_autofd int lock = -1;
  Place place;

  place_set_up (&place);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_assert_cmpint (mkdirat (place.fd, names[i], 0700), ==, 0);
      if (!g_str_equal (names[i], ".vms-cp.new"))
        g_assert_cmpint (utimensat (place.fd, names[i], old, 0), ==, 0);
    }
  lock = openat (place.fd, ".vms-cp.locked", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint (flock (lock, LOCK_SH), ==, 0);
  add (archive, SANDBOX_TAR_FILE, "f", NULL, 0644, "content");
  sandbox_tar_append_end (archive);
  g_assert_true (receive (&place, archive, FALSE, &error));
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpint (faccessat (place.fd, names[i], F_OK, 0) == 0, ==, stays[i]);
  place_tear_down (&place);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/receive/good", test_good);
  g_test_add_func ("/guest/receive/names", test_names);
  g_test_add_func ("/guest/receive/links", test_links);
  g_test_add_func ("/guest/receive/links-within", test_links_within);
  g_test_add_func ("/guest/receive/links-later", test_links_later);
  g_test_add_func ("/guest/receive/links-refused", test_links_refused);
  g_test_add_func ("/guest/receive/order", test_order);
  g_test_add_func ("/guest/receive/deep", test_deep);
  g_test_add_func ("/guest/receive/damaged", test_damaged);
  g_test_add_func ("/guest/receive/pax", test_pax);
  g_test_add_func ("/guest/receive/checksum", test_checksum);
  g_test_add_func ("/guest/receive/merge", test_merge);
  g_test_add_func ("/guest/receive/abandoned", test_abandoned);
  return g_test_run ();
}
