// SPDX-License-Identifier: LGPL-2.1-or-later
// Machines as files: what export, import and those who clean up after them share.
#pragma once

#include "facade/layers.h"
#include "guest/archive.h"

typedef struct _SandboxExport SandboxExport;
/* What an import has at hand. */
typedef struct _SandboxImport
{
  SandboxPinned *pinned;
  SandboxArchive archive;
  GPtrArray *snapshots; /* of SandboxSnapshotEntry; NULL: it has none, and one layer */
  char *id;             /* of the image */
  gboolean made_image;
  int build_fd;
  SandboxLock *lock; /* of images: from the first volume until the image is whole */
  char *journal;
  SandboxMember member;  /* that is sent */
  guint first, n_layers; /* number of its lowest layer, and how many were made on that */
  SandboxWork *work;
} SandboxImport;

/* The images that imports make are called so: none is built, and none is newer than another. */
#define SANDBOX_IMPORTED_IMAGE "imported"

/* The volume that a machine's disk is copied to meanwhile. (transfer full) */
char *_sandbox_export_volume (SandboxMachine *machine);

/* --- export-layers.c */
/* The layers that an export has, each after that which it stands on: the first with all that is
 * below it, the last what the machine writes to. Without snapshots that is one. (transfer
 * container) (element-type SandboxLayer) */
GPtrArray *_sandbox_export_order (const SandboxLayers *layers, gboolean with_snapshots);
/* The list of the snapshots, by the numbers in @order. (transfer full) */
char *_sandbox_export_snapshots (const SandboxLayers *layers, const GPtrArray *order);

/* --- import-layers.c */
/* The list of snapshots in @archive, which has layers: INVALID unless it is one as we would write
 * it, for these layers, each of which has a use. (element-type SandboxSnapshotEntry) */
GPtrArray *_sandbox_import_snapshots (const SandboxArchive *archive, GError **error);
/* The names, for layers from import->first on. */
gboolean _sandbox_import_save_names (SandboxWork *work, GError **error);
/* A step: the layers on the first one, which is there. */
gboolean _sandbox_import_make_layers (gpointer work, GCancellable *cancellable, GError **error);
/* That one goes, too. */
void _sandbox_import_undo_layers (gpointer work);

/* --- import-profile.c */
/* The profile for the machine @name, made of what @theirs, the text in an imported file, may say
 * here: how large it is (its disk @max_disk_bytes), which user, and where the network is narrower.
 * What it says besides is in
 * @report, a line for each. INVALID when it is no profile. (transfer full) */
char *_sandbox_import_profile (SandboxHost *host, const char *name, const char *theirs,
                               guint64 max_disk_bytes, GString *report, GError **error);
/* What the disk of a machine may grow to that says nothing about it. */
gboolean _sandbox_import_disk_limit (SandboxHost *host, const char *name, guint64 *ret_bytes,
                                     GError **error);
