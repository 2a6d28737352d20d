// SPDX-License-Identifier: LGPL-2.1-or-later
// Throwaway machines: a generated name, a profile that lives in the state directory, an end with
// the last reference.
#include "facade/facade-private.h"

#include <string.h>

#define NAME_TRIES 16

/* Under the machine's lock: repair takes that lock before it looks, so it never sees the half of
 * this. */
static gboolean
write_state (SandboxMachine *machine, const char *profile, const char *more,
             GCancellable *cancellable, GError **error)
{
  g_autofree char *text = g_strdup_printf ("[profile]\ninherits=%s\n%s", profile, more);
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, TRUE, error);

  if (fd < 0)
    return FALSE;
  machine->throwaway_lock =
      sandbox_lock_acquire (fd, SANDBOX_THROWAWAY_LOCK, "run", 0, NULL, NULL, cancellable, error);
  return machine->throwaway_lock != NULL
         && sandbox_file_write_at (fd, SANDBOX_THROWAWAY_PROFILE, text, strlen (text), 0600, error);
}

static SandboxMachine *
new_machine (SandboxHost *host, GError **error)
{
  for (guint i = 0; i < NAME_TRIES; i++)
    {
      g_autofree char *name = g_strdup_printf ("run-%08x", g_random_int ());
      g_autoptr (SandboxMachine) machine = _sandbox_machine_new (host, name);
      SandboxPieces pieces;

      if (!_sandbox_machine_pieces (machine, &pieces, error))
        return NULL;
      if (!_sandbox_pieces_any (&pieces))
        return g_steal_pointer (&machine);
    }
  sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                "run: found no free name for a throwaway machine; run `vms doctor --repair`");
  return NULL;
}

SandboxMachine *
_sandbox_host_run_bare (SandboxHost *host, const char *profile, const char *text,
                        gboolean without_shares, const SandboxReport *report,
                        GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxProfile) parent = sandbox_profile_load (&host->profiles, profile, error);
  g_autoptr (SandboxMachine) machine = NULL;
  g_auto (SandboxWork) work = { 0 };

  if (parent == NULL)
    return NULL;
  machine = new_machine (host, error);
  if (machine == NULL)
    return NULL;
  machine->without_shares = without_shares;
  _sandbox_work_init (&work, machine, report->func, report->user_data);
  work.boot = TRUE;
  if (!_sandbox_work_begin (&work, "run", cancellable, error))
    return NULL;
  if (!write_state (machine, profile, text, cancellable, error)
      || !_sandbox_work_run (&work, &_sandbox_verb_start, cancellable, error))
    {
      /* A guest that did not answer in time too: nobody has a reference to it. */
      _sandbox_destroy_locked (&work, NULL, NULL);
      g_clear_pointer (&machine->throwaway_lock, sandbox_lock_release);
      return NULL;
    }
  return g_steal_pointer (&machine);
}

SandboxMachine *
sandbox_host_run (SandboxHost *host, const char *profile, SandboxProgressFunc progress,
                  gpointer user_data, GCancellable *cancellable, GError **error)
{
  SandboxReport report = { progress, user_data, profile };

  return _sandbox_host_run_bare (host, profile, "", FALSE, &report, cancellable, error);
}
