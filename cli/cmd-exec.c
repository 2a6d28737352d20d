// SPDX-License-Identifier: LGPL-2.1-or-later
// vms ssh, vms exec
#include <unistd.h>

#include "autostart.h"

/* As ssh does it: the words become one line, which the user's own shell in the guest reads. */
#define RUN_IN_SHELL "exec \"${SHELL:-/bin/sh}\" -c \"$1\""

static gboolean
want_pty (const VmsArgs *args)
{
  if (vms_args_has (args, "no-tty"))
    return FALSE;
  return vms_args_has (args, "tty") || (isatty (STDIN_FILENO) && isatty (STDOUT_FILENO));
}

/* Runs it, after a start when it is off and that is allowed. The status of the guest's command, or
 * 1 with @error. */
static int
run_command (VmsContext *context, SandboxMachine *machine, SandboxExecOptions *options,
             GError **error)
{
  g_autoptr (GError) local_error = NULL;
  int status;
  gboolean ok;

  options->stdin_fd = STDIN_FILENO;
  options->stdout_fd = STDOUT_FILENO;
  options->stderr_fd = STDERR_FILENO;
  ok = sandbox_machine_exec (machine, options, context->cancellable, &status, &local_error);
  if (!ok && vms_autostart (context, machine, &local_error))
    ok = sandbox_machine_exec (machine, options, context->cancellable, &status, &local_error);
  if (ok)
    return status;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return 1;
}

int
vms_cmd_ssh (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autofree char *line = args->command != NULL ? g_strjoinv (" ", args->command) : NULL;
  const char *argv[] = { "sh", "-c", RUN_IN_SHELL, "sh", line, NULL };
  SandboxExecOptions options = SANDBOX_EXEC_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);

  if (machine == NULL)
    return 1;
  options.argv = line != NULL ? argv : NULL;
  options.pty = want_pty (args);
  return run_command (context, machine, &options, error);
}

/* Where the current directory is in the guest; NULL when it is not shared, as it was unlinked or
 * for any other reason. */
static char *
guest_directory (SandboxMachine *machine)
{
  g_autofree char *here = g_get_current_dir ();

  return sandbox_machine_map_path (machine, here, NULL);
}

int
vms_cmd_exec (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autofree char **env = vms_args_get_all (args, "env");
  g_autofree char *mapped = NULL;
  SandboxExecOptions options = SANDBOX_EXEC_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = NULL;

  if (!vms_args_get_time (args, "timeout", &options.timeout_usec, error))
    return 1;
  machine = vms_open_machine (context, args->operands[0], error);
  if (machine == NULL)
    return 1;
  options.argv = (const char *const *)args->command;
  options.env = (const char *const *)env;
  options.cwd = vms_args_get (args, "directory");
  if (options.cwd == NULL)
    options.cwd = mapped = guest_directory (machine);
  options.pty = want_pty (args);
  return run_command (context, machine, &options, error);
}
