// SPDX-License-Identifier: LGPL-2.1-or-later
// vms provision
#include "parallel.h"
#include "progress.h"

static gboolean
provision_one (VmsContext *context, const VmsArgs *args, SandboxHost *host, const char *name,
               VmsProgress *progress, GError **error)
{
  g_autoptr (SandboxMachine) machine =
      sandbox_host_lookup (host, name, context->cancellable, error);
  g_autofree char *elapsed = NULL;
  guint n = 0;

  if (machine == NULL
      || !sandbox_machine_provision (machine, vms_progress_update, progress, context->cancellable,
                                     &n, error))
    return FALSE;
  elapsed = vms_progress_elapsed (progress);
  if (n == 0)
    vms_progress_done (progress, "as its profile says already");
  else
    vms_progress_done (progress, "as its profile says: %u step%s done (%s)", n, n == 1 ? "" : "s",
                       elapsed);
  return TRUE;
}

int
vms_cmd_provision (VmsContext *context, const VmsArgs *args, GError **error)
{
  return vms_for_each (context, args, provision_one, error);
}
