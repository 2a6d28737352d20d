// SPDX-License-Identifier: LGPL-2.1-or-later
// vms key, vms ssh-config
#include "context.h"

int
vms_cmd_key (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  g_autofree char *key = machine != NULL ? sandbox_machine_public_key (machine, error) : NULL;

  if (key == NULL)
    return 1;
  vms_print (key);
  return 0;
}

static int
install (VmsContext *context, SandboxHost *host, GError **error)
{
  gboolean changed;

  if (!sandbox_host_ssh_config_install (host, &changed, error))
    return 1;
  if (!context->quiet)
    vms_say (changed ? "one Include line was added to ~/.ssh/config; `ssh NAME` works now"
                     : "~/.ssh/config has the Include line already");
  return 0;
}

int
vms_cmd_ssh_config (VmsContext *context, const VmsArgs *args, GError **error)
{
  gboolean want_install = vms_args_has (args, "install");
  g_autoptr (SandboxHost) host = NULL;
  g_autoptr (SandboxMachine) machine = NULL;
  g_autofree char *path = NULL;
  g_autofree char *text = NULL;

  if (want_install && args->n_operands > 0)
    return !vms_fail (error, SANDBOX_ERROR_INVALID,
                      "ssh-config: --install is for all machines; leave \"%s\" out",
                      args->operands[0]);
  host = vms_open_host (context, error);
  if (host == NULL)
    return 1;
  if (want_install)
    return install (context, host, error);
  if (args->n_operands > 0)
    {
      machine = sandbox_host_lookup (host, args->operands[0], context->cancellable, error);
      text = machine != NULL ? sandbox_machine_ssh_config (machine, error) : NULL;
    }
  else
    text = sandbox_host_ssh_config (host, &path, error);
  if (text == NULL)
    return 1;
  if (*text != '\0')
    vms_print (text);
  return 0;
}
