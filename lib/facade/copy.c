// SPDX-License-Identifier: LGPL-2.1-or-later
// Copying between host and guest, and the guest's public key.
#include "facade/facade-private.h"

gboolean
sandbox_machine_copy_in (SandboxMachine *machine, const char *host_path, const char *guest_path,
                         SandboxCopyFlags flags, SandboxProgressFunc progress, gpointer user_data,
                         GCancellable *cancellable, GError **error)
{
  SandboxReport report = { progress, user_data, machine->name };
  g_autoptr (SandboxSsh) ssh = _sandbox_machine_ready (machine, cancellable, error);
  g_autofree char *note = NULL, *shown = sandbox_escape (guest_path, -1, 200);
  g_auto (GStrv) shared = NULL;

  if (ssh == NULL)
    return FALSE;
  shared = _sandbox_shares_of_all (machine->host, error);
  if (shared == NULL)
    return FALSE;
  note = g_strdup_printf ("copying to %s:%s", machine->name, shown);
  _sandbox_report (&report, "copy", note, 0, 0);
  return _sandbox_guest_copy_in (ssh, host_path, guest_path, (const char *const *)shared,
                                 (flags & SANDBOX_COPY_OVERWRITE) != 0, cancellable, error);
}

gboolean
sandbox_machine_copy_out (SandboxMachine *machine, const char *guest_path, const char *host_path,
                          SandboxCopyFlags flags, SandboxProgressFunc progress, gpointer user_data,
                          GCancellable *cancellable, GError **error)
{
  SandboxReport report = { progress, user_data, machine->name };
  g_autoptr (SandboxSsh) ssh = _sandbox_machine_ready (machine, cancellable, error);
  g_autofree char *note = NULL, *left_out = NULL, *shown = sandbox_escape (guest_path, -1, 200);
  g_auto (GStrv) shared = NULL;

  if (ssh == NULL)
    return FALSE;
  shared = _sandbox_shares_of_all (machine->host, error);
  if (shared == NULL)
    return FALSE;
  note = g_strdup_printf ("copying from %s:%s", machine->name, shown);
  _sandbox_report (&report, "copy", note, 0, 0);
  if (!_sandbox_guest_copy_out (ssh, guest_path, host_path, (const char *const *)shared,
                                (flags & SANDBOX_COPY_OVERWRITE) != 0, &left_out, cancellable,
                                error))
    return FALSE;
  if (left_out != NULL)
    _sandbox_report (&report, "links", left_out, 0, 0);
  return TRUE;
}

char *
sandbox_host_copy_target (SandboxHost *host, const char *guest_path, const char *host_path,
                          SandboxCopyFlags flags, GError **error)
{
  g_auto (GStrv) shared = _sandbox_shares_of_all (host, error);

  return shared != NULL
             ? _sandbox_guest_copy_target (guest_path, host_path, (const char *const *)shared,
                                           (flags & SANDBOX_COPY_OVERWRITE) != 0, error)
             : NULL;
}

char *
sandbox_machine_public_key (SandboxMachine *machine, GError **error)
{
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, &local);
  char *key = fd >= 0 ? _sandbox_key_public (fd, "guest_key", &local) : NULL;

  if (key != NULL)
    return g_strchomp (key);
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                  "key of %s: it has none before its first start; run `vms start %s`",
                  machine->name, machine->name);
  else
    g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}
