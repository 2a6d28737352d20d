// SPDX-License-Identifier: LGPL-2.1-or-later
// Looking into a qcow2 disk that came from somebody else, before any other program does.
#pragma once

#include <glib.h>

/* Reads all @length bytes at @offset, or fails. */
typedef gboolean (*SandboxReadAtFunc) (guint64 offset, void *data, gsize length, gpointer user_data,
                                       GError **error);

/* Larger files than that are refused: bounds what is kept in memory while one is looked into. */
#define SANDBOX_QCOW2_FILE_MAX (G_GUINT64_CONSTANT (2) << 40)

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
