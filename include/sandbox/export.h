// SPDX-License-Identifier: LGPL-2.1-or-later
// Machines as files: out of one host, and into another.
#pragma once

#include <sandbox/machine.h>

G_BEGIN_DECLS

/**
 * SandboxExportOptions:
 * @struct_size: set by SANDBOX_EXPORT_OPTIONS_INIT
 * @replace: take the place of a file that is there
 * @layers: with its snapshots
 */
typedef struct
{
  gsize struct_size;
  gboolean replace;
  gboolean layers;
} SandboxExportOptions;
#define SANDBOX_EXPORT_OPTIONS_INIT                                                                \
  {                                                                                                \
    .struct_size = sizeof (SandboxExportOptions)                                                   \
  }
/* Writes the machine to the file @path (mode 0600, there only when it is whole): its disk as one
 * layer, kernel, initrd, and its profile as it is in effect, with checksums; a tar archive. Not the
 * identity that the host keeps of it, nor memory; what is on its disk is in it. Of one that runs it
 * is what a power cut would leave, after the guest was asked to write out what it has.
 *
 * With @layers, the disk has as many layers as its snapshots need, and the file has those and the
 * list of them: names, notes, times. What they stand on together, images and other machines' layers
 * included, is one layer. Without snapshots it makes no difference.
 *
 * Errors: WRONG_STATE when it has no disk yet or an encrypted one, EXISTS, HOST when there is no
 * room, INVALID for a path in a shared directory. */
gboolean sandbox_machine_export (SandboxMachine *machine, const char *path,
                                 const SandboxExportOptions *options, SandboxProgressFunc progress,
                                 gpointer user_data, GCancellable *cancellable, GError **error);

/**
 * SandboxImportOptions:
 * @struct_size: set by SANDBOX_IMPORT_OPTIONS_INIT
 * @name: (nullable): of the new machine; %NULL: as it was called
 * @max_disk_bytes: what its disk may grow to, when that is more than disk= of the base profile
 */
typedef struct
{
  gsize struct_size;
  const char *name;
  guint64 max_disk_bytes;
} SandboxImportOptions;
#define SANDBOX_IMPORT_OPTIONS_INIT                                                                \
  {                                                                                                \
    .struct_size = sizeof (SandboxImportOptions)                                                   \
  }
/* Makes a machine, stopped and with a new identity, of the file @path, which is distrusted: all of
 * it is checked before anything is made (INVALID with what is wrong), libvirt and QEMU get no byte
 * of it before that, and it cannot bring shares, forwarded ports, exceptions of the network policy
 * or provisioning. It has the snapshots that the file has. @ret_report (nullable): lines, fit for a
 * terminal, that say what it was and what of its profile was taken or left out. Errors besides:
 * EXISTS, HOST when there is no room. */
SandboxMachine *
sandbox_host_import (SandboxHost *host, const char *path, const SandboxImportOptions *options,
                     SandboxProgressFunc progress, gpointer user_data, char **ret_report,
                     GCancellable *cancellable, GError **error);

G_END_DECLS
