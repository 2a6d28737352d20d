// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting a machine because it is used.
#include "autostart.h"

#include "progress.h"

#include <string.h>

static gboolean
is_off (VmsContext *context, SandboxMachine *machine)
{
  g_autoptr (SandboxMachineStatus) status =
      sandbox_machine_get_status (machine, context->cancellable, NULL);

  if (status == NULL)
    return FALSE;
  switch (status->state)
    {
    case SANDBOX_STATE_NEW:
    case SANDBOX_STATE_STOPPED:
    case SANDBOX_STATE_CRASHED:
    case SANDBOX_STATE_INCOMPLETE:
    case SANDBOX_STATE_SUSPENDED:
      return TRUE;
    case SANDBOX_STATE_PAUSED:
      return strcmp (status->paused, "suspended") == 0;
    case SANDBOX_STATE_RUNNING:
    case SANDBOX_STATE_STOPPING:
    default:
      return FALSE;
    }
}

static gboolean
profile_allows (SandboxMachine *machine)
{
  gboolean starts = FALSE;

  return sandbox_machine_starts_on_exec (machine, &starts, NULL) && starts;
}

gboolean
vms_autostart (VmsContext *context, SandboxMachine *machine, GError **error)
{
  SandboxStartOptions options = SANDBOX_START_OPTIONS_INIT;
  g_autoptr (VmsProgress) progress = NULL;

  if (!g_error_matches (*error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE)
      || !is_off (context, machine) || !profile_allows (machine))
    return FALSE;
  g_clear_error (error);
  progress = vms_progress_new (context, sandbox_machine_get_name (machine), TRUE);
  return sandbox_machine_start (machine, &options, vms_progress_update, progress,
                                context->cancellable, error);
}
