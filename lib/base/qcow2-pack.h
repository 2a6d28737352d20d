// SPDX-License-Identifier: LGPL-2.1-or-later
// A layer of a disk as a file for somewhere else: what its tables refer to, each cluster counted
// once, and nothing of what is left over in between.
#pragma once

#include "base/qcow2.h"

typedef struct _SandboxQcow2Pack SandboxQcow2Pack;
typedef gboolean (*SandboxQcow2Sink) (const void *data, gsize length, gpointer user_data,
                                      GError **error);

/* Looks into the layer with @file_bytes that @read reads, which nobody writes to, and is one that
 * QEMU made: its tables. What the layer itself stands on does not matter: the one that is made
 * stands on @below. UNSUPPORTED for what no layer of ours is. */
SandboxQcow2Pack *sandbox_qcow2_pack_new (SandboxReadAtFunc read, gpointer user_data,
                                          guint64 file_bytes, const char *below, GError **error);
/* Of what is made. */
guint64 sandbox_qcow2_pack_get_bytes (const SandboxQcow2Pack *pack);
/* All of the layer from its first byte to its last, in as many pieces as one likes; what is made of
 * it goes to @sink. */
gboolean sandbox_qcow2_pack_feed (SandboxQcow2Pack *pack, const void *data, gsize length,
                                  SandboxQcow2Sink sink, gpointer user_data, GError **error);
/* That was all. FAILED when it was less than there should be. */
gboolean sandbox_qcow2_pack_end (SandboxQcow2Pack *pack, SandboxQcow2Sink sink, gpointer user_data,
                                 GError **error);
void sandbox_qcow2_pack_free (SandboxQcow2Pack *pack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxQcow2Pack, sandbox_qcow2_pack_free)
