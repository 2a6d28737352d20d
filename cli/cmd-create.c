// SPDX-License-Identifier: LGPL-2.1-or-later
// vms create, vms clone
#include "progress.h"

int
vms_cmd_create (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  const char *profile = vms_args_get (args, "profile");
  g_auto (GStrv) shares = vms_share_specs (args);
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (SandboxMachine) machine = NULL;

  if (host == NULL)
    return 1;
  machine = sandbox_host_create (host, name, profile != NULL ? profile : "base",
                                 (const char *const *)shares, context->cancellable, error);
  if (machine == NULL)
    return 1;
  if (!context->quiet)
    vms_say ("%s: profile written; change it with `vms edit %s`, start it with `vms start %s`",
             name, name, name);
  return 0;
}

int
vms_cmd_clone (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0], *new_name = args->operands[1];
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, name, error);
  g_autoptr (SandboxMachine) copy = NULL;

  if (machine == NULL)
    return 1;
  {
    g_autoptr (VmsProgress) progress = vms_progress_new (context, new_name, TRUE);
    copy = sandbox_machine_clone (machine, new_name, vms_progress_update, progress,
                                  context->cancellable, error);
  }
  if (copy == NULL)
    return 1;
  if (!context->quiet)
    vms_say ("%s: made from %s; start it with `vms start %s`", new_name, name, new_name);
  return 0;
}
