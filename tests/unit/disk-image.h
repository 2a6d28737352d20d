// SPDX-License-Identifier: LGPL-2.1-or-later
// A small qcow2 disk, made byte by byte, for tests to spoil.
#pragma once

#include <glib.h>
#include <string.h>

#define CLUSTER 65536
#define MIB     (G_GUINT64_CONSTANT (1) << 20)
#define GIB     (G_GUINT64_CONSTANT (1) << 30)

/* header, table of counts, counts, first table, second table, content */
enum
{
  AT_REFTABLE = 1 * CLUSTER,
  AT_COUNTS = 2 * CLUSTER,
  AT_L1 = 3 * CLUSTER,
  AT_L2 = 4 * CLUSTER,
  AT_DATA = 5 * CLUSTER,
  FILE_BYTES = 6 * CLUSTER,
};

typedef struct
{
  guint8 *data;
  gsize length;
  guint n_reads;
} Image;

static inline void
put32 (Image *image, gsize at, guint32 value)
{
  value = GUINT32_TO_BE (value);
  memcpy (image->data + at, &value, sizeof value);
}

static inline void
put64 (Image *image, gsize at, guint64 value)
{
  value = GUINT64_TO_BE (value);
  memcpy (image->data + at, &value, sizeof value);
}

static inline void
make_image (Image *image)
{
  *image = (Image){ .data = g_malloc0 (FILE_BYTES), .length = FILE_BYTES };
  memcpy (image->data, "QFI\xfb", 4);
  put32 (image, 4, 3);
  put32 (image, 20, 16);
  put64 (image, 24, GIB);
  put32 (image, 36, 2);
  put64 (image, 40, AT_L1);
  put64 (image, 48, AT_REFTABLE);
  put32 (image, 56, 1);
  put32 (image, 96, 4);
  put32 (image, 100, 112);
  put64 (image, AT_REFTABLE, AT_COUNTS);
  for (guint i = 0; i < FILE_BYTES / CLUSTER; i++)
    image->data[AT_COUNTS + i * 2 + 1] = 1;
  put64 (image, AT_L1, AT_L2 | G_GUINT64_CONSTANT (1) << 63);
  put64 (image, AT_L2 + 8 * 7, AT_DATA | G_GUINT64_CONSTANT (1) << 63);
  memset (image->data + AT_DATA, 7, CLUSTER);
}

static inline void
image_clear (Image *image)
{
  g_clear_pointer (&image->data, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Image, image_clear)

#define KERNEL_LENGTH 4096

/* As much of a kernel of Linux as anybody looks at. */
static inline void
make_kernel (guint8 *kernel)
{
  memset (kernel, 0, KERNEL_LENGTH);
  kernel[0x1f1] = 3;
  kernel[0x1fe] = 0x55;
  kernel[0x1ff] = 0xaa;
  memcpy (kernel + 0x202, "HdrS", 4);
  kernel[0x206] = 0x0f;
  kernel[0x207] = 0x02;
}
