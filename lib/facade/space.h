// SPDX-License-Identifier: LGPL-2.1-or-later
// What takes how much of the host's disk, and what of it nothing needs.
#pragma once

#include "facade/keep.h"

/* Of SandboxSpaceItem. */
GPtrArray *_sandbox_space_items_new (void);
/* Added to @items, which owns it. */
SandboxSpaceItem *
_sandbox_space_add (GPtrArray *items, const char *kind, const char *name, guint64 allocated_bytes);

/* --- prune.c */
/* What prune would remove, in the order in which that can be done. (element-type SandboxSpaceItem)
 */
GPtrArray *_sandbox_prune_find (SandboxHost *host, gint64 saved_usec, GCancellable *cancellable,
                                GError **error);
/* Changes of shares that were saved @before_usec (real time) or earlier, into @items. */
gboolean
_sandbox_space_add_saved (SandboxHost *host, gint64 before_usec, GPtrArray *items, GError **error);
