// SPDX-License-Identifier: LGPL-2.1-or-later
// Looking into a qcow2 disk that came from somebody else, before any other program does.
#pragma once

#include <glib.h>

/* Reads all @length bytes at @offset, or fails. */
typedef gboolean (*SandboxReadAtFunc) (guint64 offset, void *data, gsize length, gpointer user_data,
                                       GError **error);

/* Larger files than that are refused: bounds what is kept in memory while one is looked into. */
#define SANDBOX_QCOW2_FILE_MAX (G_GUINT64_CONSTANT (2) << 40)
/* Of layers, as qemu-img makes them. */
#define SANDBOX_QCOW2_LAYER_CLUSTER 65536

/* Checks the whole structure of the qcow2 file with @file_bytes that @read reads: that it is a disk
 * by itself (nothing below it, no file of the host named), of the plain kind that `qemu-img
 * convert` writes: version 3, no snapshots, encryption, compression, extended entries or unknown
 * features; and that each cluster of the file is used for one thing and counted once. So there is
 * nothing in it that QEMU has to repair, refuse or decide. What the disk holds for its guest is not
 * looked at. Reads no more than the file's tables, and keeps one bit for each of its clusters.
 *
 * @max_bytes: what the disk may have at most, as its guest sees it. INVALID with what is wrong. */
gboolean sandbox_qcow2_check (SandboxReadAtFunc read, gpointer user_data, guint64 file_bytes,
                              guint64 max_bytes, guint64 *ret_disk_bytes, GError **error);

/* The same of a layer: a disk that stands on another one. The name of that, in its header, must be
 * one of @below (array zero-terminated=1), and the rest of its first cluster what
 * sandbox_qcow2_stand_on() makes it. @ret_below: which one of @below it is. */
gboolean sandbox_qcow2_check_layer (SandboxReadAtFunc read, gpointer user_data, guint64 file_bytes,
                                    guint64 max_bytes, const char *const *below, guint *ret_below,
                                    guint64 *ret_disk_bytes, GError **error);
/* The header of a layer says that it stands on @below, a qcow2 disk. Nothing but its numbers is
 * left of @cluster, the first SANDBOX_QCOW2_LAYER_CLUSTER bytes of the file. INVALID when @below is
 * longer than QEMU takes. */
gboolean sandbox_qcow2_stand_on (guint8 *cluster, const char *below, GError **error);
