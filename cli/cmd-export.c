// SPDX-License-Identifier: LGPL-2.1-or-later
// vms export, vms import
#include <stdio.h>

#include "progress.h"

#define GIB (G_GUINT64_CONSTANT (1) << 30)

int
vms_cmd_export (VmsContext *context, const VmsArgs *args, GError **error)
{
  SandboxExportOptions options = SANDBOX_EXPORT_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  g_autoptr (VmsProgress) progress = NULL;
  g_autofree char *path = g_canonicalize_filename (args->operands[1], NULL);
  g_autofree char *elapsed = NULL;

  if (machine == NULL)
    return 1;
  options.replace = vms_args_has (args, "force");
  options.layers = vms_args_has (args, "layers");
  progress = vms_progress_new (context, args->operands[0], TRUE);
  if (!sandbox_machine_export (machine, path, &options, vms_progress_update, progress,
                               context->cancellable, error))
    return 1;
  elapsed = vms_progress_elapsed (progress);
  vms_progress_done (progress, "exported (%s)", elapsed);
  return 0;
}

int
vms_cmd_import (VmsContext *context, const VmsArgs *args, GError **error)
{
  SandboxImportOptions options = SANDBOX_IMPORT_OPTIONS_INIT;
  g_autoptr (SandboxHost) host = NULL;
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (VmsProgress) progress = NULL;
  g_autofree char *report = NULL, *shown = NULL, *elapsed = NULL;
  guint64 disk_gib = 0;

  if (!vms_args_get_number (args, "max-disk", 16384, &disk_gib, error))
    return 1;
  host = vms_open_host (context, error);
  if (host == NULL)
    return 1;
  options.name = vms_args_get (args, "name");
  options.max_disk_bytes = disk_gib * GIB;
  progress = vms_progress_new (context, options.name != NULL ? options.name : "import", TRUE);
  machine = sandbox_host_import (host, args->operands[0], &options, vms_progress_update, progress,
                                 &report, context->cancellable, error);
  if (machine == NULL)
    return 1;
  elapsed = vms_progress_elapsed (progress);
  vms_progress_done (progress, "imported (%s)", elapsed);
  shown = vms_escape_lines (report);
  if (!context->quiet)
    fprintf (stderr, "%s", shown);
  vms_print (sandbox_machine_get_name (machine));
  return 0;
}
