// SPDX-License-Identifier: LGPL-2.1-or-later
// The inspector of disks: what qemu-img writes is taken; the corpus of bad images is not, each for
// its own reason; and no change of a single bit gets through where it would mean anything.
#include "base/qcow2.h"

#include "../disk-image.h"

#include <sandbox/error.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

/* What is read beyond the end would be a mistake of the inspector's. */
static gboolean
read_image (guint64 offset, void *data, gsize length, gpointer user_data, GError **error)
{
  Image *image = user_data;

  g_assert_cmpuint (offset, <=, image->length);
  g_assert_cmpuint (length, <=, image->length - offset);
  memcpy (data, image->data + offset, length);
  image->n_reads++;
  return TRUE;
}

static gboolean
check (Image *image, GError **error)
{
  guint64 bytes = 0;
  gboolean good = sandbox_qcow2_check (read_image, image, image->length, 4 * GIB, &bytes, error);

  if (!good)
    g_assert_cmpuint (bytes, ==, 0);
  return good;
}

static void
test_good (void)
{
  g_auto (Image) image;
  g_autoptr (GError) error = NULL;
  guint64 bytes = 0;

  make_image (&image);
  g_assert_true (sandbox_qcow2_check (read_image, &image, image.length, GIB, &bytes, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (bytes, ==, GIB);
  /* a hole that reads as zeros; a shorter header */
  put64 (&image, AT_L2 + 8 * 8, 1);
  put32 (&image, 100, 104);
  g_assert_true (check (&image, &error));
  g_assert_no_error (error);
}

/* --- the corpus */

typedef struct
{
  const char *name;
  gsize at;
  guint width;
  guint64 value;
  const char *message;
} Case;

#define COPIED (G_GUINT64_CONSTANT (1) << 63)
static const Case cases[] = {
  { "magic of another format", 0, 32, 0x4b444d56, "no qcow2 disk" },
  { "no magic", 0, 32, 0, "no qcow2 disk" },
  { "version 0", 4, 32, 0, "version" },
  { "version 1", 4, 32, 1, "version" },
  { "version 2", 4, 32, 2, "version" },
  { "version 4", 4, 32, 4, "version" },
  { "version -1", 4, 32, 0xffffffff, "version" },
  { "backing offset", 8, 64, 512, "backing file" },
  { "backing offset in a table", 8, 64, AT_L1, "backing file" },
  { "backing length", 16, 32, 1024, "backing file" },
  { "cluster bits 0", 20, 32, 0, "clusters have a size" },
  { "cluster bits 8", 20, 32, 8, "clusters have a size" },
  { "cluster bits 9", 20, 32, 9, "clusters have a size" },
  { "cluster bits 22", 20, 32, 22, "clusters have a size" },
  { "cluster bits 63", 20, 32, 63, "clusters have a size" },
  { "cluster bits 21 of small ones", 20, 32, 21, "length that its size calls for" },
  { "size 0", 24, 64, 0, "none that a disk can have" },
  { "size odd", 24, 64, GIB + 1, "none that a disk can have" },
  { "size 8 EiB", 24, 64, G_GUINT64_CONSTANT (0x8000000000000000), "no more than" },
  { "size 1000 TiB", 24, 64, 1024000 * GIB, "no more than" },
  { "size beyond the tables", 24, 64, 2 * GIB, "length that its size calls for" },
  { "crypt 1", 32, 32, 1, "encrypted" },
  { "crypt 2", 32, 32, 2, "encrypted" },
  { "l1 huge", 36, 32, 0xffffffff, "length that its size calls for" },
  { "l1 short", 36, 32, 1, "length that its size calls for" },
  { "l1 misaligned", 40, 64, AT_L1 + 8, "first table does not begin" },
  { "l1 beyond the end", 40, 64, FILE_BYTES, "first table lies beyond" },
  { "l1 far beyond the end", 40, 64, G_GUINT64_CONSTANT (0xffffffffffff0000), "lies beyond" },
  { "l1 in the header", 40, 64, 0, "first table lies where" },
  { "refcounts misaligned", 48, 64, AT_REFTABLE + 1, "table of counts does not begin" },
  { "refcounts beyond the end", 48, 64, G_GUINT64_CONSTANT (1) << 62, "lies beyond" },
  { "refcounts in the header", 48, 64, 0, "table of counts lies where" },
  { "refcounts in the first table", 48, 64, AT_L1, "table of counts lies where" },
  { "refcounts 0 clusters", 56, 32, 0, "table of counts has a length" },
  { "refcounts huge", 56, 32, 0xffffffff, "table of counts has a length" },
  { "snapshots", 60, 32, 65536, "snapshots in it" },
  { "snapshot offset", 64, 64, AT_DATA, "snapshots in it" },
  { "dirty", 72, 64, 1, "not closed" },
  { "corrupt", 72, 64, 2, "damaged" },
  { "data file", 72, 64, 4, "data file" },
  { "compression", 72, 64, 8, "compression" },
  { "extended l2", 72, 64, 16, "extended entries" },
  { "unknown feature", 72, 64, 32, "not known" },
  { "unknown feature 63", 72, 64, G_GUINT64_CONSTANT (1) << 63, "not known" },
  { "lazy counts", 80, 64, 1, "features that no plain disk has" },
  { "autoclear", 88, 64, 2, "features that no plain disk has" },
  { "counts of 1 bit", 96, 32, 0, "width" },
  { "counts of 64 bits", 96, 32, 6, "width" },
  { "counts of 2^99 bits", 96, 32, 99, "width" },
  { "header 0", 100, 32, 0, "header has a length" },
  { "header 103", 100, 32, 103, "header has a length" },
  { "header -1", 100, 32, 0xffffffff, "header has a length" },
  { "zstd", 104, 32, 0x01000000, "compression" },
  { "backing format", 112, 32, 0xe2792aca, "names something" },
  { "data file name", 112, 32, 0x44415441, "names something" },
  { "bitmaps", 112, 32, 0x23852875, "names something" },
  { "luks", 112, 32, 0x0537be77, "names something" },
  { "unknown extension", 112, 32, 0x12345678, "names something" },
  { "end with a length", 116, 32, 8, "something behind its header" },
  { "polyglot", 4096, 32, 0x504b0304, "something behind its header" },
  { "l1 reserved", AT_L1, 64, COPIED | AT_L2 | 1, "first table has bits" },
  { "l1 not copied", AT_L1, 64, AT_L2, "first table is not the only one" },
  { "l1 copied nothing", AT_L1, 64, COPIED, "first table is not the only one" },
  { "l1 misaligned table", AT_L1, 64, COPIED | (AT_L2 + 512), "second table does not begin" },
  { "l1 beyond the end", AT_L1, 64, COPIED | FILE_BYTES, "second table lies beyond" },
  { "l1 to itself", AT_L1, 64, COPIED | AT_L1, "second table lies where" },
  { "l1 twice", AT_L1 + 8, 64, COPIED | AT_L2, "second table lies where" },
  { "l2 compressed", AT_L2, 64, G_GUINT64_CONSTANT (1) << 62 | AT_DATA, "compressed" },
  { "l2 reserved", AT_L2 + 8 * 7, 64, COPIED | AT_DATA | 2, "second table has bits" },
  { "l2 not copied", AT_L2 + 8 * 7, 64, AT_DATA, "second table is not the only one" },
  { "l2 misaligned", AT_L2 + 8 * 7, 64, COPIED | (AT_DATA + 512), "content does not begin" },
  { "l2 beyond the end", AT_L2, 64, COPIED | FILE_BYTES, "content lies beyond" },
  { "l2 far beyond", AT_L2, 64, COPIED | G_GUINT64_CONSTANT (0x00ffffffffff0000), "lies beyond" },
  { "l2 to the header", AT_L2, 64, COPIED | AT_L1, "content lies where" },
  { "l2 twice", AT_L2, 64, COPIED | AT_DATA, "content lies where" },
  { "not counted", AT_COUNTS + 10, 32, 0, "not counted once" },
  { "counted twice", AT_COUNTS + 8, 32, 0x00010002, "not counted once" },
  { "counted in vain", AT_COUNTS + 12, 32, 0x00010000, "counted that is not used" },
  { "counts nowhere", AT_REFTABLE, 64, 0, "not counted once" },
  { "counts in content", AT_REFTABLE, 64, AT_DATA, "table of counts lies where" },
  { "counts beyond the end", AT_REFTABLE, 64, FILE_BYTES, "table of counts lies beyond" },
  { "counts misaligned", AT_REFTABLE, 64, AT_COUNTS + 512, "table of counts does not begin" },
};

static void
test_corpus (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const Case *one = &cases[i];
      g_auto (Image) image;
      g_autoptr (GError) error = NULL;

      make_image (&image);
      if (one->width == 32)
        put32 (&image, one->at, (guint32)one->value);
      else
        put64 (&image, one->at, one->value);
      if (check (&image, &error))
        g_error ("%s: was taken", one->name);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      if (strstr (error->message, one->message) == NULL)
        g_error ("%s: %s", one->name, error->message);
      g_assert_cmpuint (image.n_reads, <, 10);
    }
}

/* Extensions whose lengths lead astray. */
static void
test_extensions (void)
{
  static const guint32 lengths[] = { 1, 7, 4097, CLUSTER - 120, CLUSTER, 0x7fffffff, 0xfffffff8 };

  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_auto (Image) image;
      g_autoptr (GError) error = NULL;

      make_image (&image);
      put32 (&image, 112, 0x6803f857);
      put32 (&image, 116, lengths[i]);
      g_assert_false (check (&image, &error));
      g_assert_nonnull (strstr (error->message, "header is damaged"));
    }
  /* without an end */
  g_auto (Image) image;
  g_autoptr (GError) error = NULL;

  make_image (&image);
  for (gsize at = 112; at < CLUSTER; at += 8)
    put32 (&image, at, 0x6803f857);
  g_assert_false (check (&image, &error));
  g_assert_nonnull (strstr (error->message, "has no end"));
}

/* At each byte of the header, and around each cluster. */
static void
test_truncated (void)
{
  g_auto (Image) image;
  guint64 bytes = 0;

  make_image (&image);
  for (gsize length = 0; length <= FILE_BYTES; length += length < 120 ? 1 : 511)
    {
      g_autoptr (GError) error = NULL;
      gboolean good = sandbox_qcow2_check (read_image, &image, length, GIB, &bytes, &error);

      /* the last cluster of content may be cut short: it reads as zeros */
      g_assert_true (good == (length > AT_DATA));
      g_assert_true (good || error->domain == SANDBOX_ERROR);
    }
  g_assert_false (sandbox_qcow2_check (read_image, &image, G_MAXUINT64, GIB, &bytes, NULL));
  g_assert_false (
      sandbox_qcow2_check (read_image, &image, SANDBOX_QCOW2_FILE_MAX + 1, GIB, &bytes, NULL));
}

/* Every bit of header and tables: what is taken then is the same disk, but for its size and for
 * what reads as zeros. */
static void
test_bit_flips (void)
{
  static const gsize places[][2] = { { 0, 256 },
                                     { AT_REFTABLE, AT_REFTABLE + 64 },
                                     { AT_COUNTS, AT_COUNTS + 64 },
                                     { AT_L1, AT_L1 + 16 },
                                     { AT_L2, AT_L2 + 128 } };
  g_auto (Image) image;

  make_image (&image);
  for (gsize i = 0; i < G_N_ELEMENTS (places); i++)
    for (gsize bit = places[i][0] * 8; bit < places[i][1] * 8; bit++)
      {
        gboolean size = bit / 8 >= 24 && bit / 8 < 32;
        gboolean zeros = bit / 8 >= AT_L2 && bit % 64 == 56;

        image.data[bit / 8] ^= (guint8)(1u << (bit % 8));
        if (check (&image, NULL) && !size && !zeros)
          g_error ("bit %" G_GSIZE_FORMAT " of byte %" G_GSIZE_FORMAT " does not matter", bit % 8,
                   bit / 8);
        image.data[bit / 8] ^= (guint8)(1u << (bit % 8));
      }
  g_assert_true (check (&image, NULL));
}

/* --- what qemu-img writes */

static gboolean
run (const char *command)
{
  int status = 0;

  return g_spawn_command_line_sync (command, NULL, NULL, &status, NULL)
         && g_spawn_check_wait_status (status, NULL);
}

static void
test_qemu_img (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vms-qcow2-XXXXXX", NULL);
  g_autofree char *raw = g_build_filename (dir, "raw", NULL);
  g_autofree char *disk = g_build_filename (dir, "disk", NULL);
  static const char *const formats[][2] = {
    { "-O qcow2 -o compat=1.1", NULL },
    { "-O qcow2", NULL },
    { "-O qcow2 -o cluster_size=128k", NULL },
    { "-c -O qcow2", "compressed" },
    { "-O qcow2 -o compat=0.10", "version" },
    { "-O vmdk", "no qcow2 disk" },
    { "-O vhdx", "no qcow2 disk" },
    { "-O qcow2 -o extended_l2=on", "extended" },
    { "-O qcow2 -o lazy_refcounts=on", "plain" },
    { "-O qcow2 -o refcount_bits=64", "width" },
    { "-O qcow2 -o data_file=%s.data", "data file" },
  };
  g_autoptr (GString) content = g_string_new (NULL);
  g_autofree char *data = g_strconcat (disk, ".data", NULL);

  for (guint i = 0; i < 400000; i++)
    g_string_append_printf (content, "%u\n", i);
  g_assert_true (g_file_set_contents (raw, content->str, (gssize)(content->len & ~511u), NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_auto (GStrv) parts = g_strsplit (formats[i][0], "%s", 2);
      g_autofree char *options = g_strjoinv (disk, parts);
      g_autofree char *command =
          g_strdup_printf ("qemu-img convert -q -f raw %s %s %s", options, raw, disk);
      g_auto (Image) image = { NULL };
      g_autoptr (GError) error = NULL;

      if (!run (command))
        {
          g_test_skip ("qemu-img is not there, or does not know this");
          continue;
        }
      g_assert_true (g_file_get_contents (disk, (char **)&image.data, &image.length, NULL));
      g_assert_true (check (&image, &error) == (formats[i][1] == NULL));
      if (formats[i][1] != NULL && strstr (error->message, formats[i][1]) == NULL)
        g_error ("%s: %s", formats[i][0], error->message);
    }
  g_unlink (raw);
  g_unlink (disk);
  g_unlink (data);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qcow2/good", test_good);
  g_test_add_func ("/qcow2/corpus", test_corpus);
  g_test_add_func ("/qcow2/extensions", test_extensions);
  g_test_add_func ("/qcow2/truncated", test_truncated);
  g_test_add_func ("/qcow2/bit-flips", test_bit_flips);
  g_test_add_func ("/qcow2/qemu-img", test_qemu_img);
  return g_test_run ();
}
