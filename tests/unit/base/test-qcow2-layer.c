// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers of disks: what is packed is the same disk, and taken; what says that it stands on anything
// but a layer before it is not.
#include "base/bytes.h"
#include "base/qcow2-pack.h"

#include "../disk-image.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sandbox/error.h>

static const char *const names[] = { "disk.qcow2", "layer-1.qcow2", NULL };

static gboolean
read_image (guint64 offset, void *data, gsize length, gpointer user_data, GError **error)
{
  Image *image = user_data;

  g_assert_cmpuint (offset, <=, image->length);
  g_assert_cmpuint (length, <=, image->length - offset);
  memcpy (data, image->data + offset, length);
  return TRUE;
}

static gboolean
check (Image *image, guint *ret_below, GError **error)
{
  guint64 bytes = 0;
  guint below = 99;
  gboolean good = sandbox_qcow2_check_layer (read_image, image, image->length, 4 * GIB, names,
                                             &below, &bytes, error);

  g_assert_true (good == (bytes > 0) && good == (below != 99));
  if (good && ret_below != NULL)
    *ret_below = below;
  return good;
}

static void
make_layer (Image *image, const char *below)
{
  make_image (image);
  g_assert_true (sandbox_qcow2_stand_on (image->data, below, NULL));
}

static void
assert_refused (Image *image, const char *message)
{
  g_autoptr (GError) error = NULL;

  if (check (image, NULL, &error))
    g_error ("was taken: %s", message);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  if (strstr (error->message, message) == NULL)
    g_error ("\"%s\" instead of \"%s\"", error->message, message);
}

static void
test_good (void)
{
  for (guint i = 0; names[i] != NULL; i++)
    {
      g_auto (Image) image;
      g_autoptr (GError) error = NULL;
      guint below = 99;
      guint64 bytes = 0;

      make_layer (&image, names[i]);
      g_assert_true (check (&image, &below, &error));
      g_assert_no_error (error);
      g_assert_cmpuint (below, ==, i);
      /* by itself it is none */
      g_assert_false (sandbox_qcow2_check (read_image, &image, image.length, GIB, &bytes, &error));
      g_assert_nonnull (strstr (error->message, "backing file"));
    }
}

/* Other files, and other places for the name. */
static void
test_names (void)
{
  static const char *const bad[] = {
    "/etc/passwd",    "/etc/hostname",       "disk.qcow",      "disk.qcow2 ",  "layer-2.qcow2",
    "layer-9.qcow2",  "layer-0.qcow2",       "layer-01.qcow2", "layer-1",      "../layer-1.qcow2",
    "./disk.qcow2",   "nbd://198.51.100.1/", "json:{}",        "a\nb\x1b[2J",  "LAYER-1.qcow2",
    "fat:rw:/etc",    "/proc/self/fd/0",     "layer--1.qcow2", "disk.qcow2/x", "file:disk.qcow2",
    "layer-1.qcow2x",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_auto (Image) image;
      g_autoptr (GError) error = NULL;

      make_layer (&image, bad[i]);
      assert_refused (&image, "its backing file is \"");
      g_assert_false (check (&image, NULL, &error));
      g_assert_null (strchr (error->message, '\x1b'));
    }
}

static void
test_headers (void)
{
  static const struct
  {
    gsize at;
    guint width;
    guint64 value;
    const char *message;
  } cases[] = {
    { 8, 64, 0, "stands on nothing" },
    { 16, 32, 0, "stands on nothing" },
    { 8, 64, CLUSTER, "beyond its header" },
    { 8, 64, G_MAXUINT64, "beyond its header" },
    { 16, 32, 0xffffffff, "beyond its header" },
    { 16, 32, CLUSTER - 100, "beyond its header" },
    /* less or more of the name; another place for it */
    { 16, 32, 4, "its backing file is \"disk\"" },
    { 16, 32, 11, "says more than" },
    { 8, 64, 127, "its backing file is \"\"" },
    { 8, 64, 4096, "its backing file is \"\"" },
    { 72, 64, 4, "data file" },
    { 72, 64, 16, "extended entries" },
    { 72, 64, 1, "not closed" },
    { 88, 64, 4, "no plain disk" },
    { 32, 32, 1, "encrypted" },
    { 60, 32, 1, "snapshots in it" },
    { 20, 32, 17, "clusters have a size" },
    /* the format of what it stands on; a data file; something behind */
    { 112, 32, 0x72617700, "says more than" },
    { 104, 32, 0x44415441, "says more than" },
    { 120, 32, 0x44415441, "says more than" },
    { 140, 32, 1, "says more than" },
    { CLUSTER - 4, 32, 1, "says more than" },
    { 100, 32, 112, "another compression" },
    { AT_L2 + 8 * 7, 64, AT_DATA, "not the only one" },
    { AT_COUNTS + 12, 32, 0x00010000, "counted that is not used" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (Image) image;

      make_layer (&image, names[0]);
      if (cases[i].width == 32)
        put32 (&image, cases[i].at, (guint32)cases[i].value);
      else
        put64 (&image, cases[i].at, cases[i].value);
      assert_refused (&image, cases[i].message);
    }
}

/* Every bit of the first cluster's beginning: what is taken then is the same layer but for its
 * size. */
static void
test_bit_flips (void)
{
  g_auto (Image) image;

  make_layer (&image, names[1]);
  for (gsize bit = 0; bit < 256 * 8; bit++)
    {
      guint below = 99;
      gboolean size = bit / 8 >= 24 && bit / 8 < 32;

      image.data[bit / 8] ^= (guint8)(1u << (bit % 8));
      if (check (&image, &below, NULL) && !size)
        g_error ("bit %" G_GSIZE_FORMAT " of byte %" G_GSIZE_FORMAT " does not matter", bit % 8,
                 bit / 8);
      image.data[bit / 8] ^= (guint8)(1u << (bit % 8));
    }
  for (gsize length = 0; length <= AT_DATA; length += length < 200 ? 1 : 511)
    {
      const Image cut = { image.data, length, 0 };

      g_assert_false (check ((Image *)&cut, NULL, NULL));
    }
}

static void
test_long_names (void)
{
  g_auto (Image) image;
  g_autofree char *longest = g_strnfill (1023, 'x'), *longer = g_strnfill (1024, 'x');
  g_autoptr (GError) error = NULL;

  make_image (&image);
  g_assert_true (sandbox_qcow2_stand_on (image.data, longest, &error));
  g_assert_no_error (error);
  g_assert_false (sandbox_qcow2_stand_on (image.data, longer, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (sandbox_qcow2_stand_on (image.data, "", &error));
  g_clear_error (&error);
  put32 (&image, 20, 40);
  g_assert_false (sandbox_qcow2_stand_on (image.data, "x", &error));
}

/* --- packing */

static gboolean
collect (const void *data, gsize length, gpointer user_data, GError **error)
{
  g_byte_array_append (user_data, data, (guint)length);
  return TRUE;
}

/* In pieces of @piece bytes. */
static GByteArray *
pack (Image *image, const char *below, gsize piece, GError **error)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autoptr (SandboxQcow2Pack) packed =
      sandbox_qcow2_pack_new (read_image, image, image->length, below, error);

  for (gsize at = 0; packed != NULL && at < image->length; at += piece)
    if (!sandbox_qcow2_pack_feed (packed, image->data + at, MIN (piece, image->length - at),
                                  collect, out, error))
      return NULL;
  if (packed == NULL || !sandbox_qcow2_pack_end (packed, collect, out, error))
    return NULL;
  g_assert_cmpuint (out->len, ==, sandbox_qcow2_pack_get_bytes (packed));
  return g_steal_pointer (&out);
}

static void
assert_packed (Image *image, gsize piece, guint n_clusters)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) out = pack (image, names[1], piece, &error);
  Image made = { NULL };
  guint below = 99;

  g_assert_no_error (error);
  g_assert_cmpuint (out->len, ==, n_clusters * CLUSTER);
  made.data = out->data;
  made.length = out->len;
  g_assert_true (check (&made, &below, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (below, ==, 1);
}

/* What is left over, counted or not, does not come along; nor what was behind zeros. */
static void
test_pack (void)
{
  g_auto (Image) image;

  make_image (&image);
  for (gsize piece = 1000; piece <= 300000; piece += 65432)
    assert_packed (&image, piece, 6);
  /* cut short in its last cluster */
  image.length = AT_DATA + 512;
  assert_packed (&image, 65536, 6);
  image.length = FILE_BYTES;
  /* counted, and used by nothing */
  put64 (&image, AT_L2 + 8 * 7, 0);
  assert_packed (&image, 65536, 5);
  /* content that reads as zeros */
  put64 (&image, AT_L2 + 8 * 7, AT_DATA | G_GUINT64_CONSTANT (1) << 63 | 1);
  assert_packed (&image, 65536, 5);
  put64 (&image, AT_L1, 0);
  assert_packed (&image, 65536, 4);
  /* it stands on something that is not asked for */
  put64 (&image, 8, 256);
  put32 (&image, 16, 9);
  memcpy (image.data + 256, "/etc/host", 9);
  assert_packed (&image, 65536, 4);
}

static void
test_pack_refuses (void)
{
  static const struct
  {
    gsize at;
    guint64 value;
    const char *message;
  } cases[] = {
    { 0, 0, "no qcow2" },
    { 72, 4, "have not" },
    { 72, 2, "have not" },
    { 24, 0, "no size" },
    { 24, G_MAXUINT64, "no size" },
    { 24, G_MAXINT64, "larger than any" },
    { 40, FILE_BYTES + 1, "beyond its end" },
    { 40, G_MAXUINT64, "beyond its end" },
    { AT_L1, AT_L2 + 512, "damaged" },
    { AT_L1, FILE_BYTES, "damaged" },
    { AT_L1 + 8, AT_L2, "damaged" },
    { AT_L2, AT_DATA, "damaged" },
    { AT_L2, AT_L2, "damaged" },
    { AT_L2, G_GUINT64_CONSTANT (0x00ffffffffff0000), "damaged" },
    { AT_L2, G_GUINT64_CONSTANT (1) << 62 | AT_DATA, "compressed" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (Image) image;
      g_autoptr (GError) error = NULL;
      g_autoptr (GByteArray) out = NULL;

      make_image (&image);
      put64 (&image, cases[i].at, cases[i].value);
      out = pack (&image, names[0], 65536, &error);
      g_assert_null (out);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
      if (strstr (error->message, cases[i].message) == NULL)
        g_error ("\"%s\" instead of \"%s\"", error->message, cases[i].message);
    }
}

/* Between the look into it and the pass over it. */
static void
test_pack_changes (void)
{
  g_auto (Image) image;
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxQcow2Pack) packed = NULL;

  make_image (&image);
  packed = sandbox_qcow2_pack_new (read_image, &image, image.length, names[0], &error);
  g_assert_no_error (error);
  put64 (&image, AT_L2, AT_COUNTS);
  g_assert_false (sandbox_qcow2_pack_feed (packed, image.data, image.length, collect, out, &error));
  g_assert_nonnull (strstr (error->message, "changed meanwhile"));
  g_clear_error (&error);
  g_clear_pointer (&packed, sandbox_qcow2_pack_free);
  put64 (&image, AT_L2, 0);
  packed = sandbox_qcow2_pack_new (read_image, &image, image.length, names[0], &error);
  g_assert_true (sandbox_qcow2_pack_feed (packed, image.data, CLUSTER, collect, out, &error));
  g_assert_false (sandbox_qcow2_pack_end (packed, collect, out, &error));
  g_assert_nonnull (strstr (error->message, "ended early"));
  g_clear_error (&error);
  g_assert_false (sandbox_qcow2_pack_feed (packed, image.data, image.length, collect, out, &error));
  g_assert_nonnull (strstr (error->message, "changed meanwhile"));
}

/* --- what QEMU makes */

static gboolean
run (const char *dir, const char *command)
{
  const char *const argv[] = { "sh", "-c", command, NULL };
  int status = 0;

  return g_spawn_sync (dir, (char **)argv, NULL,
                       G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL
                           | G_SPAWN_STDERR_TO_DEV_NULL,
                       NULL, NULL, NULL, NULL, &status, NULL)
         && g_spawn_check_wait_status (status, NULL);
}

/* A layer that was written to, partly over, partly to zeros, partly thrown away, and that grew: the
 * packed one is the same disk, and QEMU finds nothing wrong with it. */
static void
test_qemu (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vms-layer-XXXXXX", NULL);
  g_autofree char *from = g_build_filename (dir, "layer.qcow2", NULL);
  g_autofree char *to = g_build_filename (dir, "packed.qcow2", NULL);
  g_autofree char *gone = g_build_filename (dir, "disk.qcow2", NULL);
  g_auto (Image) image = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) out = NULL;
  Image made = { NULL };

  if (!run (dir, "qemu-img create -q -f qcow2 disk.qcow2 1G && qemu-io -c 'write -P 1 0 8M' "
                 "-c 'write -P 4 700M 1M' disk.qcow2 "
                 "&& qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 layer.qcow2 "
                 "&& qemu-io -c 'write -P 2 1M 3M' -c 'write -z 2M 64k' -c 'write -zu 5M 192k' "
                 "-c 'write -P 0 6M 64k' -c 'discard 3M 1M' -c 'write -P 5 900M 70k' -c 'write -P "
                 "7 20M 12M' -c 'discard 22M 2M' layer.qcow2 "
                 "&& qemu-img resize -q layer.qcow2 3G "
                 "&& qemu-io -c 'write -P 6 2900M 130k' layer.qcow2"))
    {
      g_test_skip ("qemu-img and qemu-io are not here");
      return;
    }
  g_assert_true (g_file_get_contents (from, (char **)&image.data, &image.length, NULL));
  out = pack (&image, names[0], 262080, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (out->len, <, image.length);
  made.data = out->data;
  made.length = out->len;
  g_assert_true (check (&made, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_set_contents (to, (char *)out->data, (gssize)out->len, NULL));
  g_assert_true (run (dir, "qemu-img check -q packed.qcow2"));
  g_assert_true (run (dir, "qemu-img compare -q layer.qcow2 packed.qcow2"));
  g_assert_true (
      run (dir, "qemu-io -c 'write -P 9 0 4M' packed.qcow2 && qemu-img check -q packed.qcow2"));
  g_assert_false (run (dir, "qemu-img compare -q layer.qcow2 packed.qcow2"));
  g_unlink (from);
  g_unlink (to);
  g_unlink (gone);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qcow2-layer/good", test_good);
  g_test_add_func ("/qcow2-layer/names", test_names);
  g_test_add_func ("/qcow2-layer/headers", test_headers);
  g_test_add_func ("/qcow2-layer/bit-flips", test_bit_flips);
  g_test_add_func ("/qcow2-layer/long-names", test_long_names);
  g_test_add_func ("/qcow2-layer/pack", test_pack);
  g_test_add_func ("/qcow2-layer/pack-refuses", test_pack_refuses);
  g_test_add_func ("/qcow2-layer/pack-changes", test_pack_changes);
  g_test_add_func ("/qcow2-layer/qemu", test_qemu);
  return g_test_run ();
}
