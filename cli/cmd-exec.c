// SPDX-License-Identifier: LGPL-2.1-or-later
// vms ssh, vms exec, vms run
#include <string.h>
#include <unistd.h>

#include "autostart.h"
#include "progress.h"
#include "run-results.h"

/* Of a command, in the note of the snapshot before it: bytes. */
#define NOTE_MAX 200

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

/* The shell would look for options of its own in it. */
static gboolean
check_line (const char *line, GError **error)
{
  g_autofree char *shown = line != NULL && *line == '-' ? vms_escape (line) : NULL;

  return shown == NULL
         || vms_fail (error, SANDBOX_ERROR_INVALID,
                      "ssh: \"%s\" begins with \"-\" and is no command line: what stands behind -- "
                      "is for the guest's shell, and ssh takes no options of this host's ssh",
                      shown);
}

int
vms_cmd_ssh (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autofree char *line = args->command != NULL ? g_strjoinv (" ", args->command) : NULL;
  const char *argv[] = { "sh", "-c", RUN_IN_SHELL, "sh", line, NULL };
  SandboxExecOptions options = SANDBOX_EXEC_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = NULL;

  if (!check_line (line, error))
    return 1;
  machine = vms_open_machine (context, args->operands[0], error);
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

/* "NAME=VALUE" as it is, NAME with the value that it has here. (transfer full) */
static char **
read_env (const VmsArgs *args)
{
  g_autofree char **words = vms_args_get_all (args, "env");
  g_autoptr (GStrvBuilder) env = g_strv_builder_new ();

  for (char **word = words; words != NULL && *word != NULL; word++)
    {
      const char *value = strchr (*word, '=') == NULL ? g_getenv (*word) : NULL;
      g_autofree char *pair = value != NULL ? g_strconcat (*word, "=", value, NULL) : NULL;

      g_strv_builder_add (env, pair != NULL ? pair : *word);
    }
  return g_strv_builder_end (env);
}

/* What exec and run have in common; @env belongs to the caller. */
static gboolean
read_command (const VmsArgs *args, char **env, SandboxExecOptions *options, GError **error)
{
  options->argv = (const char *const *)args->command;
  options->env = (const char *const *)env;
  options->cwd = vms_args_get (args, "directory");
  options->pty = want_pty (args);
  return vms_args_get_time (args, "timeout", &options->timeout_usec, error);
}

/* What the disk has before the command runs, as a snapshot. */
static gboolean
make_checkpoint (VmsContext *context, const VmsArgs *args, SandboxMachine *machine, GError **error)
{
  SandboxSnapshotOptions options = SANDBOX_SNAPSHOT_OPTIONS_INIT;
  g_autofree char *line = g_strjoinv (" ", args->command);
  g_autofree char *shown = vms_escape (line);
  g_autofree char *cut = g_strdup_printf ("before: %.*s", NOTE_MAX, shown);
  g_autofree char *note = g_utf8_make_valid (cut, -1);
  g_autoptr (VmsProgress) progress =
      vms_progress_new (context, sandbox_machine_get_name (machine), TRUE);
  g_autofree char *name = NULL;

  options.checkpoint = TRUE;
  options.note = note;
  name = sandbox_machine_snapshot_create (machine, &options, vms_progress_update, progress,
                                          context->cancellable, error);
  g_clear_pointer (&progress, vms_progress_free);
  if (name != NULL && !context->quiet)
    vms_say ("vms: snapshot %s; `vms revert %s %s` goes back to it", name,
             sandbox_machine_get_name (machine), name);
  return name != NULL;
}

/* One that is suspended, or has no disk yet, is started for it as for the command. */
static gboolean
checkpoint_first (VmsContext *context, const VmsArgs *args, SandboxMachine *machine, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (make_checkpoint (context, args, machine, &local)
      || (vms_autostart (context, machine, &local)
          && make_checkpoint (context, args, machine, &local)))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

int
vms_cmd_exec (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_auto (GStrv) env = read_env (args);
  g_autofree char *mapped = NULL;
  SandboxExecOptions options = SANDBOX_EXEC_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = NULL;

  if (!read_command (args, env, &options, error))
    return 1;
  machine = vms_open_machine (context, args->operands[0], error);
  if (machine == NULL)
    return 1;
  if (options.cwd == NULL)
    options.cwd = mapped = guest_directory (machine);
  if (vms_args_has (args, "checkpoint") && !checkpoint_first (context, args, machine, error))
    return 1;
  return run_command (context, machine, &options, error);
}

/* The passphrase of a throwaway machine's disk is invented, and gone when it runs. */
static gboolean
check_keep (const VmsArgs *args, GError **error)
{
  const char *name = vms_args_get (args, "profile");
  g_autoptr (SandboxProfile) profile = NULL;

  if (!vms_args_has (args, "keep"))
    return TRUE;
  profile = sandbox_profile_load (&vms_profile_dirs, name != NULL ? name : "ci", error);
  if (profile == NULL)
    return FALSE;
  if (g_strcmp0 (sandbox_profile_get (profile, "machine", "encrypt"), "yes") != 0)
    return TRUE;
  return vms_fail (error, SANDBOX_ERROR_INVALID,
                   "run: --keep does not go with encrypt=yes, since nobody has the passphrase of a "
                   "throwaway machine; make one with `vms create NAME --profile %s`",
                   name != NULL ? name : "ci");
}

/* Started; NULL with @error. */
static SandboxMachine *
start_throwaway (VmsContext *context, SandboxHost *host, const VmsArgs *args, GError **error)
{
  SandboxRunOptions options = SANDBOX_RUN_OPTIONS_INIT;
  g_auto (GStrv) shares = vms_share_specs (args);
  g_autoptr (VmsProgress) progress = NULL;
  g_autoptr (SandboxMachine) machine = NULL;

  options.profile = vms_args_get (args, "profile");
  options.shares = (const char *const *)shares;
  options.network_mode = vms_args_get (args, "network");
  options.boot = vms_args_has (args, "boot");
  progress = vms_progress_new (context, "run", TRUE);
  machine =
      sandbox_host_run (host, &options, vms_progress_update, progress, context->cancellable, error);
  if (machine == NULL)
    return NULL;
  if (!vms_args_has (args, "keep"))
    return g_steal_pointer (&machine);
  if (!sandbox_machine_keep (machine, error))
    return NULL;
  vms_progress_done (progress, "kept as %s; `vms destroy %s` removes it",
                     sandbox_machine_get_name (machine), sandbox_machine_get_name (machine));
  return g_steal_pointer (&machine);
}

/* Before the machine goes. When nobody knows what it has, it stays. Not ended by the interrupt that
 * ended the command: a second one does. */
static void
save_changes (VmsContext *context, const VmsArgs *args, SandboxMachine *machine)
{
  g_autoptr (VmsProgress) progress = NULL;
  g_autoptr (GError) local = NULL;
  const char *name = sandbox_machine_get_name (machine);

  if (vms_args_has (args, "keep") || vms_args_has (args, "discard-changes"))
    return;
  progress = vms_progress_new (context, "run", TRUE);
  if (sandbox_machine_save_changes (machine, vms_progress_update, progress, NULL, &local))
    {
      vms_say_saved (machine);
      return;
    }
  vms_say ("vms: %s", local->message);
  if (sandbox_machine_keep (machine, NULL))
    vms_say (
        "vms: the machine was kept as %s; `vms diff %s` tries again, `vms destroy %s` removes it",
        name, name, name);
}

/* Runs it, and copies out what is wanted. */
static int
run_in (VmsContext *context, SandboxHost *host, const VmsArgs *args, SandboxMachine *machine,
        SandboxExecOptions *options, gboolean *ret_kept, GError **error)
{
  int status = run_command (context, machine, options, error);

  if (*error == NULL)
    return vms_results_copy (context, host, args, machine, status, ret_kept, error);
  if (vms_args_has (args, "out"))
    vms_say ("vms: the command did not end by itself: nothing is copied out");
  return status;
}

int
vms_cmd_run (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_auto (GStrv) env = read_env (args);
  g_autofree char *mapped = NULL;
  SandboxExecOptions options = SANDBOX_EXEC_OPTIONS_INIT;
  g_autoptr (SandboxHost) host = NULL;
  g_autoptr (SandboxMachine) machine = NULL;
  gboolean kept = FALSE;
  int status;

  if (!read_command (args, env, &options, error) || !check_keep (args, error))
    return 1;
  host = vms_open_host (context, error);
  if (host == NULL || !vms_results_check (host, args, error))
    return 1;
  machine = start_throwaway (context, host, args, error);
  if (machine == NULL)
    return 1;
  if (options.cwd == NULL)
    options.cwd = mapped = guest_directory (machine);
  status = run_in (context, host, args, machine, &options, &kept, error);
  if (!kept)
    save_changes (context, args, machine);
  return status;
}
