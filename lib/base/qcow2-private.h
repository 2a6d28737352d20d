// SPDX-License-Identifier: LGPL-2.1-or-later
// The form of qcow2 files, as far as what reads and what writes them have to know it: version 3,
// big endian. (docs/interop/qcow2.txt of QEMU)
#pragma once

#include "base/qcow2.h"

/* What QEMU's own limits are: it refuses larger tables. */
#define L1_BYTES_MAX       (32 << 20)
#define REFCOUNT_BYTES_MAX (8 << 20)
#define CLUSTER_BITS_MIN   16
#define CLUSTER_BITS_MAX   21

#define HEADER_MIN       104
#define HEADER_MAX       112
#define EXT_END          0
#define EXT_BELOW_FORMAT 0xe2792acau
#define EXT_FEATURES     0x6803f857u
#define EXT_FEATURES_MAX 4096
/* What QEMU takes of a name. */
#define BELOW_MAX 1023
/* In the header of a layer: behind its numbers the format of what it stands on, then the end, then
 * the name. */
#define BELOW_FORMAT "qcow2"
#define BELOW_AT     (HEADER_MIN + 3 * 8)

/* Bits of entries. */
#define COPIED      (G_GUINT64_CONSTANT (1) << 63)
#define COMPRESSED  (G_GUINT64_CONSTANT (1) << 62)
#define READS_ZERO  G_GUINT64_CONSTANT (1)
#define OFFSET_MASK G_GUINT64_CONSTANT (0x00fffffffffffe00)
#define L1_RESERVED (~(COPIED | OFFSET_MASK))
#define L2_RESERVED (~(COPIED | COMPRESSED | READS_ZERO | OFFSET_MASK))
