// SPDX-License-Identifier: LGPL-2.1-or-later
// A file that somebody else may write to while it is read: whatever is read of it after it was
// pinned is what was there then, or the reading fails.
#pragma once

#include <gio/gio.h>

typedef struct _SandboxPinned SandboxPinned;
typedef void (*SandboxPinnedFunc) (guint64 done, guint64 total, gpointer user_data);

/* Reads the regular file @fd once, and keeps a checksum of each MiB. Takes @fd, also on failure.
 * INVALID for what is no regular file, is empty, or has more than @max_bytes. */
SandboxPinned *sandbox_pinned_new (int fd, guint64 max_bytes, SandboxPinnedFunc progress,
                                   gpointer user_data, GCancellable *cancellable, GError **error);
guint64 sandbox_pinned_get_bytes (const SandboxPinned *pinned);
/* All @length bytes at @offset. INVALID when it does not have them, or when they have changed. */
gboolean sandbox_pinned_read (SandboxPinned *pinned, guint64 offset, void *data, gsize length,
                              GError **error);
/* In hex. (transfer full) */
char *sandbox_pinned_sha256 (SandboxPinned *pinned, guint64 offset, guint64 length,
                             GCancellable *cancellable, GError **error);
void sandbox_pinned_free (SandboxPinned *pinned);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxPinned, sandbox_pinned_free)
