// SPDX-License-Identifier: LGPL-2.1-or-later
// Machines as files: what export, import and those who clean up after them share.
#pragma once

#include "facade/layers.h"
#include "guest/archive.h"

typedef struct _SandboxExport SandboxExport;
typedef struct _SandboxImport SandboxImport;

/* The images that imports make are called so: none is built, and none is newer than another. */
#define SANDBOX_IMPORTED_IMAGE "imported"

/* The volume that a machine's disk is copied to meanwhile. (transfer full) */
char *_sandbox_export_volume (SandboxMachine *machine);

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
