// SPDX-License-Identifier: LGPL-2.1-or-later
// The file of an export: what is written is read, by the distribution's programs, too; and nothing
// else is, wherever it is cut, changed or added to.
#include "guest/archive.h"

#include "base/qcow2.h"

#include "../disk-image.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sandbox/error.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT (4 * GIB)
#define REST  "name=work\nimage=debian-13\ncreated=2026-11-21T20:00:00Z\nversion=0.1.0\n"
#define NOTE  "format=1\n" REST
#define NOTE2 "format=2\n" REST
#define LIST  "[one]\nlayer=0\n"

static char *dir;

static char *
path_of (const char *name)
{
  return g_build_filename (dir, name, NULL);
}

/* A file without a name: thousands are made. */
static int
put_file (const char *data, gsize length)
{
  int fd = memfd_create ("archive", MFD_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, data, length), ==, (gssize)length);
  return fd;
}

static guint8 kernel[KERNEL_LENGTH];

/* Each layer on the one before it, but for the third, which stands on the first. */
static void
write_layers (SandboxArchiveWriter *writer, guint n)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_archive_put (writer, LIST, strlen (LIST), &error));
  for (guint i = 1; i <= n; i++)
    {
      g_autofree char *below = _sandbox_archive_layer_name (i == 3 ? 1 : i - 1);
      g_auto (Image) image;

      make_image (&image);
      g_assert_true (sandbox_qcow2_stand_on (image.data, below, &error));
      g_assert_true (_sandbox_archive_put (writer, image.data, image.length, &error));
      g_assert_no_error (error);
    }
}

static void
write_members (SandboxArchiveWriter *writer, const char *note)
{
  g_autoptr (GError) error = NULL;
  g_auto (Image) image;

  make_image (&image);
  g_assert_true (_sandbox_archive_put (writer, note, strlen (note), &error));
  g_assert_true (_sandbox_archive_put (writer, "[profile]\n", 10, &error));
  g_assert_true (_sandbox_archive_put (writer, "quiet rw\n", 9, &error));
  g_assert_true (_sandbox_archive_put (writer, kernel, sizeof kernel, &error));
  g_assert_true (_sandbox_archive_put (writer, "initrd", 6, &error));
  g_assert_true (_sandbox_archive_put (writer, image.data, image.length, &error));
  if (writer->n_layers > 0)
    write_layers (writer, writer->n_layers);
  g_assert_true (_sandbox_archive_finish (writer, &error));
  g_assert_no_error (error);
}

static void
make_layered (const char *note, guint n_layers, char **ret_data, gsize *ret_length)
{
  g_autofree char *path = path_of ("made");
  int fd = g_open (path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  g_auto (SandboxArchiveWriter) writer;

  g_assert_cmpint (fd, >=, 0);
  _sandbox_archive_writer_init (&writer, fd, n_layers);
  write_members (&writer, note);
  close (fd);
  g_assert_true (g_file_get_contents (path, ret_data, ret_length, NULL));
}

static void
make_archive (const char *note, char **ret_data, gsize *ret_length)
{
  make_layered (note, 0, ret_data, ret_length);
}

static gboolean
read_archive (const char *data, gsize length, SandboxArchive *archive, GError **error)
{
  g_autoptr (SandboxPinned) pinned = NULL;
  GError *own = NULL;

  *archive = (SandboxArchive){ .profile = NULL };
  pinned =
      sandbox_pinned_new (put_file (data, length), SANDBOX_ARCHIVE_MAX, NULL, NULL, NULL, &own);
  if (pinned != NULL && _sandbox_archive_read (archive, pinned, LIMIT, NULL, &own))
    return TRUE;
  g_assert_nonnull (own);
  g_assert_true (own->domain == SANDBOX_ERROR);
  g_assert_null (archive->profile);
  g_propagate_error (error, own);
  return FALSE;
}

static void
assert_refused (const char *data, gsize length, const char *message)
{
  g_auto (SandboxArchive) archive = { .profile = NULL };
  g_autoptr (GError) error = NULL;

  g_assert_false (read_archive (data, length, &archive, &error));
  if (strstr (error->message, message) == NULL)
    g_error ("\"%s\" instead of \"%s\"", error->message, message);
}

static void
test_round_trip (void)
{
  g_autofree char *data = NULL;
  gsize length = 0;
  g_auto (SandboxArchive) archive = { .profile = NULL };
  g_autoptr (GError) error = NULL;

  make_archive (NOTE, &data, &length);
  g_assert_true (read_archive (data, length, &archive, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (archive.note.name, ==, "work");
  g_assert_cmpstr (archive.note.image, ==, "debian-13");
  g_assert_cmpstr (archive.profile, ==, "[profile]\n");
  g_assert_cmpstr (archive.cmdline, ==, "quiet rw");
  g_assert_cmpuint (archive.disk_bytes, ==, GIB);
  g_assert_cmpuint (archive.bytes[SANDBOX_MEMBER_DISK], ==, FILE_BYTES);
  g_assert_cmpmem (data + archive.offset[SANDBOX_MEMBER_KERNEL], sizeof kernel, kernel,
                   sizeof kernel);
}

/* tar and sha256sum know it. */
static void
test_programs (void)
{
  g_autofree char *data = NULL, *command = NULL, *out = NULL;
  gsize length = 0;
  int status = 0;

  make_archive (NOTE, &data, &length);
  command = g_strdup_printf ("sh -c 'cd %s && mkdir -p out && tar -xf made -C out && cd out && "
                             "sha256sum --strict -c SHA256SUMS && rm -r ../out'",
                             dir);
  g_assert_true (g_spawn_command_line_sync (command, &out, NULL, &status, NULL));
  g_assert_cmpint (status, ==, 0);
  g_assert_nonnull (strstr (out, "disk.qcow2: OK"));
}

static void
test_cut_and_added (void)
{
  g_autofree char *data = NULL, *more = NULL;
  gsize length = 0;

  make_archive (NOTE, &data, &length);
  for (gsize cut = 0; cut < length; cut += cut < 8 * 512 || cut > length - 9 * 512 ? 512 : 16384)
    for (gsize at = cut; at <= cut + 1 && at < length; at++)
      assert_refused (data, at, "");
  for (gsize at = length - 3; at < length; at++)
    assert_refused (data, at, "cut short");
  more = g_malloc0 (length + 512);
  memcpy (more, data, length);
  assert_refused (more, length + 1, "something was added");
  assert_refused (more, length + 512, "something was added");
}

/* Every bit of headers and texts, and some of the rest. */
static void
test_bit_flips (void)
{
  g_autofree char *data = NULL;
  gsize length = 0;
  g_auto (SandboxArchive) archive = { .profile = NULL };

  make_archive (NOTE, &data, &length);
  for (gsize bit = 0; bit < length * 8; bit += bit < 2 * 512 * 8 ? 13 : 40961)
    {
      data[bit / 8] ^= (char)(1u << (bit % 8));
      assert_refused (data, length, "");
      data[bit / 8] ^= (char)(1u << (bit % 8));
    }
  g_assert_true (read_archive (data, length, &archive, NULL));
  data[archive.offset[SANDBOX_MEMBER_DISK] + AT_DATA] ^= 1;
  assert_refused (data, length, "checksum of its \"disk.qcow2\"");
}

static void
test_notes (void)
{
  static const char *const notes[][2] = {
    { "", "\"vms-export\" is something else" },
    { "format=3\n", "newer version" },
    { "format=01\n", "newer version" },
    { NOTE "more=1\n", "something else" },
    { "format=1\nname=../x\nimage=i\ncreated=c\nversion=v\n", "something else" },
    { "format=1\nname=-x\nimage=i\ncreated=c\nversion=v\n", "something else" },
    { "format=1\nname=a\nimage=\x1b[2J\ncreated=c\nversion=v\n", "something else" },
    { "format=1\nname=a\nimage=\xff\ncreated=c\nversion=v\n", "no text" },
    { "format=1\nname=a\ncreated=c\nimage=i\nversion=v\n", "something else" },
    { "format=1\nname=a\nimage=i\ncreated=c\nversion=v", "something else" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (notes); i++)
    {
      g_autofree char *data = NULL;
      gsize length = 0;

      make_archive (notes[i][0], &data, &length);
      assert_refused (data, length, notes[i][1]);
    }
}

/* Archives that tar would read, and that are not ours. */
static void
test_other_archives (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree char *zeros = g_malloc0 (4096);

  assert_refused (zeros, 4096, "\"vms-export\" is something else");
  assert_refused ("not a tar", 9, "\"vms-export\" is something else");
  sandbox_tar_append (bytes, "../../etc/passwd", 0600, "x", 1);
  sandbox_tar_append_end (bytes);
  assert_refused ((char *)bytes->data, bytes->len, "\"vms-export\" is something else");
  g_byte_array_set_size (bytes, 0);
  /* the right name, another mode; a directory */
  sandbox_tar_append (bytes, "vms-export", 0644, NOTE, strlen (NOTE));
  assert_refused ((char *)bytes->data, bytes->len, "\"vms-export\" is something else");
  g_byte_array_set_size (bytes, 0);
  sandbox_tar_append (bytes, "vms-export", 0600, NULL, 0);
  assert_refused ((char *)bytes->data, bytes->len, "\"vms-export\" is something else");
  g_byte_array_set_size (bytes, 0);
  /* twice the same */
  sandbox_tar_append (bytes, "vms-export", 0600, NOTE, strlen (NOTE));
  sandbox_tar_append (bytes, "vms-export", 0600, NOTE, strlen (NOTE));
  assert_refused ((char *)bytes->data, bytes->len, "\"profile\" is something else");
}

/* A size that is announced, and is not there, or is too much: nothing is read for it. */
static void
test_sizes (void)
{
  static const guint64 sizes[] = { 4097, 1 << 20, 1 << 30, G_GUINT64_CONSTANT (1) << 33,
                                   G_GUINT64_CONSTANT (1) << 61 };

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (GByteArray) bytes = g_byte_array_new ();
      SandboxTarEntry entry = { .type = SANDBOX_TAR_FILE, .name = (char *)"vms-export" };

      entry.mode = 0600;
      entry.size_bytes = sizes[i];
      sandbox_tar_append_header (bytes, &entry);
      assert_refused ((char *)bytes->data, bytes->len, "larger than it may be");
    }
}

/* Another program, such as a guest in whose share it lies, writes to it after the check. */
static void
test_pinned_changes (void)
{
  g_autofree char *big = g_malloc0 (3 * MIB);
  guint8 byte = 0;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxPinned) pinned = NULL;
  int given = put_file (big, 3 * MIB), fd = dup (given);

  pinned = sandbox_pinned_new (given, 4 * MIB, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (pwrite (fd, "X", 1, (off_t)MIB + 5), ==, 1);
  g_assert_true (sandbox_pinned_read (pinned, 0, &byte, 1, &error));
  g_assert_false (sandbox_pinned_read (pinned, MIB + 900, &byte, 1, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "changed while it was read"));
  g_clear_error (&error);
  g_assert_cmpint (pwrite (fd, "\0", 1, (off_t)MIB + 5), ==, 1);
  g_assert_true (sandbox_pinned_read (pinned, MIB + 900, &byte, 1, &error));
  g_assert_cmpint (ftruncate (fd, (off_t)MIB), ==, 0);
  g_assert_false (sandbox_pinned_read (pinned, 2 * MIB, &byte, 1, &error));
  g_clear_error (&error);
  g_assert_false (sandbox_pinned_read (pinned, 3 * MIB, &byte, 1, &error));
  close (fd);
}

static void
test_no_files (void)
{
  g_autofree char *fifo = path_of ("fifo");
  static const char *const paths[] = { "/", "/dev/null", NULL };
  g_autoptr (GError) error = NULL;

  for (const char *const *path = paths; *path != NULL; path++)
    {
      g_assert_null (sandbox_pinned_new (g_open (*path, O_RDONLY | O_CLOEXEC, 0), MIB, NULL, NULL,
                                         NULL, &error));
      g_assert_nonnull (strstr (error->message, "no regular file"));
      g_clear_error (&error);
    }
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_null (sandbox_pinned_new (g_open (fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0), MIB, NULL,
                                     NULL, NULL, &error));
  g_clear_error (&error);
  g_assert_null (sandbox_pinned_new (put_file ("", 0), MIB, NULL, NULL, NULL, &error));
  g_assert_nonnull (strstr (error->message, "empty"));
  g_clear_error (&error);
  g_assert_null (sandbox_pinned_new (put_file ("xx", 2), 1, NULL, NULL, NULL, &error));
  g_assert_nonnull (strstr (error->message, "larger"));
  g_unlink (fifo);
}

static void
test_kernel (void)
{
  static const struct
  {
    gsize at;
    guint8 byte;
    const char *part;
  } cases[] = {
    { 0x1fe, 0, "no kernel of Linux" },   { 0x202, 'h', "no kernel of Linux" },
    { 0x205, 's', "no kernel of Linux" }, { 0x206, 0x0b, "older than" },
    { 0x207, 1, "older than" },           { 0x1f1, 8, "ends within" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *data = NULL;
      g_auto (SandboxArchive) archive = { 0 };
      g_autoptr (GError) error = NULL;
      gsize length;

      kernel[cases[i].at] = cases[i].byte;
      make_archive (NOTE, &data, &length);
      make_kernel (kernel);
      g_assert_false (read_archive (data, length, &archive, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_nonnull (strstr (error->message, cases[i].part));
    }
}

/* --- with layers */

static const SandboxArchiveLayer *
get_layer (const SandboxArchive *archive, guint number)
{
  return &g_array_index (archive->layers, SandboxArchiveLayer, number - 1);
}

static void
test_layers (void)
{
  static const guint below[] = { 0, 1, 1, 3 };

  for (guint n = 1; n <= 4; n++)
    {
      g_autofree char *data = NULL;
      gsize length = 0;
      g_auto (SandboxArchive) archive = { .profile = NULL };
      g_autoptr (GError) error = NULL;

      make_layered (NOTE2, n, &data, &length);
      g_assert_true (read_archive (data, length, &archive, &error));
      g_assert_no_error (error);
      g_assert_true (archive.note.layered);
      g_assert_cmpstr (archive.snapshots, ==, LIST);
      g_assert_cmpuint (archive.layers->len, ==, n);
      for (guint i = 1; i <= n; i++)
        {
          const SandboxArchiveLayer *layer = get_layer (&archive, i);

          g_assert_cmpuint (layer->below, ==, below[i - 1]);
          g_assert_cmpuint (layer->disk_bytes, ==, GIB);
          g_assert_cmpuint (layer->bytes, ==, FILE_BYTES);
          g_assert_cmpmem (data + layer->offset, 4, "QFI\xfb", 4);
        }
    }
}

/* What comes after the disk, and what does not. */
static void
test_layers_order (void)
{
  static const struct
  {
    const char *note;
    guint n_layers;
    const char *message;
  } cases[] = {
    { NOTE, 2, "\"SHA256SUMS\" is something else" },
    { NOTE2, 0, "\"snapshots\" is something else" },
    { NOTE2, SANDBOX_ARCHIVE_LAYERS_MAX + 1, "more than 512 layers" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *data = NULL;
      gsize length = 0;

      make_layered (cases[i].note, cases[i].n_layers, &data, &length);
      assert_refused (data, length, cases[i].message);
    }
}

/* The name in a header of tar at @at, with the sum of that. */
static void
rename_member (char *data, gsize at, const char *name)
{
  guint sum = 0;

  memset (data + at, 0, 100);
  memcpy (data + at, name, strlen (name));
  memset (data + at + 148, ' ', 8);
  for (gsize i = 0; i < 512; i++)
    sum += (guint8)data[at + i];
  g_snprintf (data + at + 148, 8, "%06o", sum);
  data[at + 155] = ' ';
}

static void
test_layers_names (void)
{
  static const char *const names[] = { "layer-2.qcow2", "layer-0.qcow2",  "layer-01.qcow2",
                                       "disk.qcow2",    "../../etc/cron", "SHA256SUMS",
                                       "layer-1",       "snapshots" };
  g_autofree char *data = NULL;
  gsize length = 0, at;
  g_auto (SandboxArchive) archive = { .profile = NULL };

  make_layered (NOTE2, 1, &data, &length);
  g_assert_true (read_archive (data, length, &archive, NULL));
  at = get_layer (&archive, 1)->offset - 512;
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      rename_member (data, at, names[i]);
      assert_refused (data, length, "\"layer-1.qcow2\" is something else");
    }
  rename_member (data, at, "layer-1.qcow2");
  _sandbox_archive_clear (&archive);
  g_assert_true (read_archive (data, length, &archive, NULL));
}

/* In the second of three. */
static void
test_layers_disks (void)
{
  static const struct
  {
    gsize at;
    guint64 value;
    const char *message;
  } cases[] = {
    { 24, GIB / 2 + 512, "is a smaller disk than what it stands on" },
    { 24, 8 * GIB, "no more than 4.0 GiB" },
    { 72, 4, "data file" },
    { 8, 0, "stands on nothing" },
    { AT_L1, 1, "bits that mean nothing" },
  };
  g_autofree char *data = NULL;
  gsize length = 0;
  g_auto (SandboxArchive) archive = { .profile = NULL };
  Image image;

  make_layered (NOTE2, 3, &data, &length);
  g_assert_true (read_archive (data, length, &archive, NULL));
  image = (Image){ .data = (guint8 *)data + get_layer (&archive, 2)->offset };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      guint64 old;

      memcpy (&old, image.data + cases[i].at, 8);
      put64 (&image, cases[i].at, cases[i].value);
      assert_refused (data, length, "its \"layer-2.qcow2\"");
      assert_refused (data, length, cases[i].message);
      memcpy (image.data + cases[i].at, &old, 8);
    }
  /* on the one that comes after it, or itself; the same length as its name */
  for (const char *name = "23456789"; *name != '\0'; name++)
    {
      image.data[128 + 6] = (guint8)*name;
      assert_refused (data, length, "not one of the layers before it");
    }
  image.data[128 + 6] = '1';
  image.data[AT_DATA] ^= 1;
  assert_refused (data, length, "checksum of its \"layer-2.qcow2\"");
}

static void
test_layers_cut (void)
{
  g_autofree char *data = NULL;
  gsize length = 0;

  make_layered (NOTE2, 2, &data, &length);
  for (gsize cut = 0; cut < length; cut += 512 * 31)
    assert_refused (data, cut, "");
  for (gsize bit = 0; bit < length * 8; bit += 40961)
    {
      data[bit / 8] ^= (char)(1u << (bit % 8));
      assert_refused (data, length, "");
      data[bit / 8] ^= (char)(1u << (bit % 8));
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *made = NULL;
  int result;

  g_test_init (&argc, &argv, NULL);
  make_kernel (kernel);
  dir = g_dir_make_tmp ("vms-archive-XXXXXX", NULL);
  g_test_add_func ("/archive/round-trip", test_round_trip);
  g_test_add_func ("/archive/programs", test_programs);
  g_test_add_func ("/archive/cut-and-added", test_cut_and_added);
  g_test_add_func ("/archive/bit-flips", test_bit_flips);
  g_test_add_func ("/archive/notes", test_notes);
  g_test_add_func ("/archive/other-archives", test_other_archives);
  g_test_add_func ("/archive/sizes", test_sizes);
  g_test_add_func ("/archive/pinned-changes", test_pinned_changes);
  g_test_add_func ("/archive/no-files", test_no_files);
  g_test_add_func ("/archive/kernel", test_kernel);
  g_test_add_func ("/archive/layers", test_layers);
  g_test_add_func ("/archive/layers-order", test_layers_order);
  g_test_add_func ("/archive/layers-names", test_layers_names);
  g_test_add_func ("/archive/layers-disks", test_layers_disks);
  g_test_add_func ("/archive/layers-cut", test_layers_cut);
  result = g_test_run ();
  made = path_of ("made");
  g_unlink (made);
  g_rmdir (dir);
  g_free (dir);
  return result;
}
