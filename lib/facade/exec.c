// SPDX-License-Identifier: LGPL-2.1-or-later
// Running commands in a machine, and the ssh command line that reaches it.
#include "facade/layers.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

gboolean
sandbox_machine_starts_on_exec (SandboxMachine *machine, gboolean *ret_starts, GError **error)
{
  g_autoptr (SandboxProfile) profile = _sandbox_machine_load_profile (machine, error);

  if (profile == NULL)
    return FALSE;
  *ret_starts = _sandbox_profile_values (profile)->autostart_on_exec;
  return TRUE;
}

SandboxSsh *
_sandbox_machine_ready (SandboxMachine *machine, GCancellable *cancellable, GError **error)
{
  SandboxHost *host = machine->host;
  const char *name = machine->name;
  g_autoptr (SandboxSsh) ssh = NULL;
  SandboxPieces pieces = { 0 };

  if (_sandbox_host_is_test (host))
    {
      sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                    "%s: libvirt's test driver has no guests to talk to", name);
      return NULL;
    }
  if (!_sandbox_virt_domain_state (host->virt, machine->object, &pieces.domain, &pieces.virt_state,
                                   error))
    return NULL;
  if (!_sandbox_pieces_running (&pieces))
    {
      sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                    "%s: is not running; start it with `vms start %s`", name, name);
      return NULL;
    }
  if (!_sandbox_layers_wake (machine, &pieces.virt_state, cancellable, error))
    return NULL;
  if (pieces.virt_state != SANDBOX_VIRT_RUNNING)
    {
      sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "%s: is %s; see `vms status %s`", name,
                    sandbox_state_to_string (_sandbox_pieces_state (host, &pieces)), name);
      return NULL;
    }
  ssh = _sandbox_machine_ssh (machine, error);
  if (ssh == NULL || !_sandbox_keeper_ensure (host->uri, machine->object, ssh, cancellable, error))
    return NULL;
  return g_steal_pointer (&ssh);
}

static gboolean
check_env (SandboxMachine *machine, const char *const *env, GError **error)
{
  for (; env != NULL && *env != NULL; env++)
    {
      gsize length = strcspn (*env, "=");
      g_autofree char *name = sandbox_escape (*env, (gssize)length, 80);

      if (length == 0 || (*env)[length] != '=' || g_ascii_isdigit (**env)
          || strspn (*env, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_") != length)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "exec in %s: \"%s\" is no variable: NAME=VALUE, with a NAME of "
                             "letters, digits and _",
                             machine->name, name);
    }
  return TRUE;
}

gboolean
sandbox_machine_exec (SandboxMachine *machine, const SandboxExecOptions *options,
                      GCancellable *cancellable, int *ret_status, GError **error)
{
  SandboxExecOptions own = SANDBOX_EXEC_OPTIONS_INIT;
  g_autoptr (SandboxSsh) ssh = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *command = NULL;

  if (!_sandbox_options_copy (&own, sizeof own, options, error)
      || !check_env (machine, own.env, error))
    return FALSE;
  if (own.env != NULL && own.env[0] == NULL)
    own.env = NULL;
  if (own.argv != NULL && own.argv[0] == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "exec in %s: the command is empty",
                         machine->name);
  ssh = _sandbox_machine_ready (machine, cancellable, error);
  if (ssh == NULL)
    return FALSE;
  if (own.argv != NULL || own.cwd != NULL || own.env != NULL)
    command = _sandbox_ssh_command (own.argv, own.cwd, own.env != NULL);
  if (_sandbox_ssh_exec (ssh, command, own.env, own.pty, own.stdin_fd, own.stdout_fd, own.stderr_fd,
                         own.timeout_usec, cancellable, ret_status, &local))
    return TRUE;
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT) && own.timeout_usec > 0)
    {
      g_autofree char *what =
          sandbox_escape (own.argv != NULL ? own.argv[0] : "the login shell", -1, 80);

      return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                           "exec in %s: %s did not end within %.1f s and was ended", machine->name,
                           what, (double)own.timeout_usec / G_USEC_PER_SEC);
    }
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

char **
sandbox_machine_ssh_argv (SandboxMachine *machine, const char *const *command, gboolean pty,
                          GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxSsh) ssh = _sandbox_machine_ready (machine, cancellable, error);
  g_autoptr (GPtrArray) argv = NULL;

  if (ssh == NULL)
    return NULL;
  argv = _sandbox_ssh_argv (ssh, pty, TRUE);
  if (argv->len > 0 && argv->pdata[argv->len - 1] == NULL)
    g_ptr_array_set_size (argv, argv->len - 1);
  if (command != NULL && command[0] != NULL)
    g_ptr_array_add (argv, _sandbox_ssh_command (command, NULL, FALSE));
  g_ptr_array_add (argv, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&argv), FALSE);
}

/* What follows @dir in @path: "" when they are equal, NULL when @path does not lie in @dir. */
static const char *
path_below (const char *path, const char *dir)
{
  gsize length = strlen (dir);

  if (strncmp (path, dir, length) != 0 || (path[length] != '\0' && path[length] != '/'))
    return NULL;
  return path + length;
}

char *
sandbox_machine_map_path (SandboxMachine *machine, const char *host_dir, GError **error)
{
  g_autoptr (GPtrArray) shares = _sandbox_machine_shares (machine, error);
  g_autofree char *dir = NULL;
  const SandboxPlanShare *best = NULL;
  const char *best_rest = NULL;

  if (shares == NULL)
    return NULL;
  dir = realpath (host_dir, NULL);
  for (guint i = 0; dir != NULL && i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];
      g_autofree char *source = realpath (share->source, NULL);
      const char *rest = source != NULL ? path_below (dir, source) : NULL;

      /* The innermost share: what is left of the path is shortest. */
      if (rest != NULL && (best == NULL || strlen (rest) < strlen (best_rest)))
        {
          best = share;
          best_rest = rest;
        }
    }
  return best != NULL ? g_strconcat (best->target, best_rest, NULL) : NULL;
}
