// SPDX-License-Identifier: LGPL-2.1-or-later
// Space: what takes how much of the host's disk, and removing what nothing needs.
#pragma once

#include <sandbox/host.h>

G_BEGIN_DECLS

/**
 * SandboxSpaceItem:
 * @kind: static; "machine": a disk with all its layers; "snapshot" (counted with its machine, too);
 * "left": layers of a destroyed machine on which copies of it stand; "image", "layer" (of
 * provisioning); "unfinished": what a killed command left; "other": all that is other users';
 * "saved": changes of shares that were saved (in the home, not in the pool)
 * @name: of the machine, NAME/SNAPSHOT, an id, a name in saved_changes
 * @allocated_bytes: what it takes on the host
 * @shared_bytes: of that, what disks of other machines stand on, too; of images and layers: all if
 * more than one machine stands on it
 * @reclaimable_bytes: of that, what sandbox_host_prune() or sandbox_host_repair() would free now,
 * or the next snapshot verb of the machine; without what merging layers would free, which is known
 * only when it is done
 * @limit_bytes: what it can grow to; 0: it does not grow
 * @used_by: (array zero-terminated=1): object names of machines that stand on it, itself not
 * counted
 */
typedef struct
{
  const char *kind;
  char *name;
  guint64 allocated_bytes, shared_bytes, reclaimable_bytes, limit_bytes;
  char **used_by;
} SandboxSpaceItem;

/**
 * SandboxSpace:
 * @items: (element-type SandboxSpaceItem): by kind, then by name
 * @allocated_bytes: of the pool as a whole
 * @reclaimable_bytes: of all items in the pool
 * @available_bytes: what the file system of the pool has left; 0 when there is no pool yet
 */
typedef struct
{
  GPtrArray *items;
  guint64 allocated_bytes, reclaimable_bytes, available_bytes;
} SandboxSpace;
void sandbox_space_free (SandboxSpace *space);
/* One look at all volumes of the storage pool, and one more at each of the caller's machines.
 * (transfer full) */
SandboxSpace *sandbox_host_get_space (SandboxHost *host, GCancellable *cancellable, GError **error);

/**
 * SandboxPruneOptions:
 * @struct_size: set by SANDBOX_PRUNE_OPTIONS_INIT
 * @dry_run: remove nothing
 * @saved_usec: also changes of shares that were saved longer ago than that; 0: none of them
 */
typedef struct
{
  gsize struct_size;
  gboolean dry_run;
  gint64 saved_usec;
} SandboxPruneOptions;
#define SANDBOX_PRUNE_OPTIONS_INIT                                                                 \
  {                                                                                                \
    .struct_size = sizeof (SandboxPruneOptions)                                                    \
  }
/* Removes those of the caller's layers that nothing stands on and that none of its profiles would
 * use, and all images that nothing stands on but the newest of each name that is built here.
 * (transfer full) (element-type SandboxSpaceItem): what was removed, or would be. */
GPtrArray *sandbox_host_prune (SandboxHost *host, const SandboxPruneOptions *options,
                               GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxSpace, sandbox_space_free)

G_END_DECLS
