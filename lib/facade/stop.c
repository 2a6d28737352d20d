// SPDX-License-Identifier: LGPL-2.1-or-later
// Stop: asks the guest to power off, pulls the plug when told to, and puts away what only a running
// machine needs.
#include "facade/keep.h"
#include "facade/suspended.h"

/* A guest that has not come far enough in its boot does not hear the power button: it is pressed
 * again. */
#define PRESS_AGAIN_USEC (3 * G_USEC_PER_SEC)
#define SYNC_USEC        (60 * G_USEC_PER_SEC)

static gboolean
power_off (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  const char *object = work->machine->object;
  gint64 end = g_get_monotonic_time () + work->timeout_usec;

  for (;;)
    {
      g_autoptr (GError) local = NULL;
      gint64 left = end - g_get_monotonic_time ();

      if (!_sandbox_virt_domain_shutdown (work->host->virt, object, error))
        return FALSE;
      if (_sandbox_virt_domain_wait_stopped (
              work->host->virt, object, CLAMP (left, 0, PRESS_AGAIN_USEC), cancellable, &local))
        return TRUE;
      if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT)
          && left > PRESS_AGAIN_USEC)
        continue;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
}

/* A guest that waits for a share which nobody serves cannot unmount it, and so does not power off.
 * When its own disk is written, nothing is lost by the plug. */
static gboolean
cannot_unmount (SandboxWork *work, GCancellable *cancellable)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxSsh) ssh = NULL;
  g_autofree char *said = NULL;

  if (_sandbox_host_is_test (work->host) || _sandbox_share_check_servers (work->machine, &local)
      || !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE))
    return FALSE;
  ssh = _sandbox_machine_ready (work->machine, cancellable, NULL);
  if (ssh != NULL)
    said = _sandbox_ssh_capture (ssh, "sync -f /", -1, 1024, SYNC_USEC, cancellable, NULL);
  if (said != NULL)
    _sandbox_report (&work->report, "shutdown",
                     "a share is not served any more, so that it cannot power off: its disk is "
                     "written, and the plug is pulled",
                     0, 0);
  return said != NULL;
}

static gboolean
pull_plug (SandboxWork *work, GError **error)
{
  if (!_sandbox_virt_domain_kill (work->host->virt, work->machine->object, error))
    return FALSE;
  work->pieces.virt_state = SANDBOX_VIRT_STOPPED;
  return TRUE;
}

gboolean
_sandbox_step_shutdown (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const char *name = work->machine->name;
  g_autoptr (GError) local = NULL;

  if (!_sandbox_pieces_running (&work->pieces))
    return TRUE;
  /* A paused guest cannot hear either. */
  if (work->pieces.virt_state == SANDBOX_VIRT_PAUSED && !work->force)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "stop %s: it is paused and cannot power off by itself; `vms stop --force "
                         "%s` pulls the plug",
                         name, name);
  if (work->pieces.virt_state != SANDBOX_VIRT_PAUSED && cannot_unmount (work, cancellable))
    return pull_plug (work, error);
  if (work->pieces.virt_state == SANDBOX_VIRT_PAUSED || !power_off (work, cancellable, &local))
    {
      gboolean timed_out =
          local == NULL || g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT);

      if (timed_out && !work->force)
        return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                             "stop %s: the guest did not power off within %" G_GINT64_FORMAT
                             " s and still runs; "
                             "`vms stop --force %s` pulls the plug",
                             name, work->timeout_usec / G_USEC_PER_SEC, name);
      if (!timed_out)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      _sandbox_report (&work->report, "shutdown", "it did not power off: pulling the plug", 0, 0);
      return pull_plug (work, error);
    }
  work->pieces.virt_state = SANDBOX_VIRT_STOPPED;
  return TRUE;
}

gboolean
_sandbox_step_stop_keeper (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (work->machine, FALSE, NULL);

  return state_fd < 0 || _sandbox_keeper_stop (state_fd, error);
}

gboolean
_sandbox_step_stop_network (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_virt_network_stop (work->host->virt, work->machine->object, error);
}

static const SandboxRow stop_rows[] = {
  { { "changes", "asking for changes that were not applied", _sandbox_step_ask_changes, NULL },
    SANDBOX_ROW_REAL },
  { { "shutdown", "waiting for the guest to power off", _sandbox_step_shutdown, NULL },
    SANDBOX_ROW_ALWAYS },
  { { "memory", "throwing its memory away", _sandbox_step_drop_memory, NULL }, SANDBOX_ROW_ALWAYS },
  { { "note", "noting whether there are any", _sandbox_step_note_changes, NULL },
    SANDBOX_ROW_REAL },
  { { "keeper", "ending the keeper", _sandbox_step_stop_keeper, NULL }, SANDBOX_ROW_REAL },
  { { "network", "taking the network down", _sandbox_step_stop_network, NULL },
    SANDBOX_ROW_ALWAYS },
};
const SandboxVerb _sandbox_verb_stop = { "stop", stop_rows, G_N_ELEMENTS (stop_rows) };

gboolean
sandbox_machine_stop (SandboxMachine *machine, gboolean force, gint64 timeout_usec,
                      SandboxProgressFunc progress, gpointer user_data, GCancellable *cancellable,
                      GError **error)
{
  g_auto (SandboxWork) work = { 0 };

  _sandbox_work_init (&work, machine, progress, user_data);
  work.force = force;
  work.timeout_usec = timeout_usec > 0 ? timeout_usec : SANDBOX_STOP_TIMEOUT_USEC;
  return _sandbox_work_begin (&work, "stop", cancellable, error)
         && _sandbox_work_run (&work, &_sandbox_verb_stop, cancellable, error);
}
