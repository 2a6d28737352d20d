// SPDX-License-Identifier: LGPL-2.1-or-later
// The steps from a defined machine to one that answers: boot, keeper, ssh, mounts.
#include "facade/layers.h"
#include "facade/suspended.h"
#include "facade/warm.h"

#define TAIL_LINES 12

gboolean
_sandbox_step_boot (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *merge = _sandbox_layers_merge_object (work->machine);

  if (_sandbox_pieces_running (&work->pieces))
    return TRUE;
  if (!_sandbox_suspended_before_boot (work, error))
    return FALSE;
  /* it has the disk open, and nobody waits for it: we have the lock */
  if (!_sandbox_virt_domain_kill (work->host->virt, merge, error))
    return FALSE;
  if (!_sandbox_shares_check_apart (work, error))
    return FALSE;
  work->made.boot = TRUE;
  if (work->warm != NULL)
    {
      g_autoptr (GError) local = NULL;

      if (_sandbox_warm_start (work, cancellable, &local))
        return TRUE;
      if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
    }
  if (work->passphrase != NULL)
    return _sandbox_encrypted_start (work, error);
  return _sandbox_virt_domain_start (work->host->virt, work->machine->object, error);
}

void
_sandbox_undo_boot (gpointer data)
{
  SandboxWork *work = data;

  if (work->made.boot)
    _sandbox_virt_domain_kill (work->host->virt, work->machine->object, NULL);
}

gboolean
_sandbox_step_keeper (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (work->machine, FALSE, error);

  if (state_fd < 0 || !_sandbox_forwards_tell (work, state_fd, error))
    return FALSE;
  /* what it got in an earlier run ended with that */
  if (work->made.boot && !sandbox_remove_at (state_fd, SANDBOX_LIVE_SHARES, error))
    return FALSE;
  work->made.keeper |= _sandbox_keeper_pid (state_fd) == 0;
  return _sandbox_keeper_ensure (work->host->uri, work->machine->object, work->ssh, cancellable,
                                 error);
}

void
_sandbox_undo_keeper (gpointer data)
{
  SandboxWork *work = data;
  sandbox_autofd int state_fd = -1;

  if (!work->made.keeper)
    return;
  state_fd = _sandbox_machine_state_fd (work->machine, FALSE, NULL);
  if (state_fd >= 0)
    _sandbox_keeper_stop (state_fd, NULL);
}

static gboolean
still_running (gpointer data)
{
  SandboxWork *work = data;
  SandboxVirtState state;
  gboolean exists;

  /* A question that fails says nothing about the machine. */
  if (!_sandbox_virt_domain_state (work->host->virt, work->machine->object, &exists, &state, NULL))
    return TRUE;
  return exists && state != SANDBOX_VIRT_STOPPED && state != SANDBOX_VIRT_CRASHED;
}

static void
on_ssh_wait (const char *note, gpointer data)
{
  SandboxWork *work = data;

  _sandbox_report (&work->report, "ssh", note, 0, 0);
}

static void
explain (SandboxWork *work, gboolean stays, GError **error)
{
  const char *name = work->machine->name;
  g_autofree char *tail = _sandbox_machine_console_tail (work->machine, TAIL_LINES);
  g_autofree char *message = g_strchomp (g_strdup ((*error)->message));
  g_autofree char *before =
      *tail != '\0' ? g_strdup_printf ("\nIts console said at last:\n%s", tail) : g_strdup ("");
  int code = (*error)->code;
  GQuark domain = (*error)->domain;

  g_clear_error (error);
  if (stays)
    g_set_error (error, domain, code,
                 "start %s: %s\n%s is still running: look at it with `vms console %s` or `vms logs "
                 "%s`, run `vms start %s` "
                 "to go on waiting, or `vms stop --force %s`%s",
                 name, message, name, name, name, name, name, g_strchomp (before));
  else
    g_set_error (error, domain, code, "start %s: %s%s", name, message, g_strchomp (before));
}

gboolean
_sandbox_step_ssh (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  gint64 timeout =
      work->options.timeout_usec > 0 ? work->options.timeout_usec : SANDBOX_START_TIMEOUT_USEC;
  g_autoptr (GError) local = NULL;
  gboolean timed_out;

  if (_sandbox_ssh_wait (work->ssh, timeout, still_running, on_ssh_wait, work, cancellable, &local))
    return TRUE;
  if (local->domain == SANDBOX_ERROR)
    {
      timed_out = local->code == SANDBOX_ERROR_TIMED_OUT;
      explain (work, timed_out, &local);
      /* Whoever has a slow guest wants to look at it, not to begin again. */
      if (timed_out)
        _sandbox_work_keep (work);
    }
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
_sandbox_step_mounts (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  /* It ran before and the profile changed since: what is mounted follows the old one. */
  if (!work->made.boot && *work->changes != '\0')
    return TRUE;
  if (work->plan->shares->len == 0
      /* a guest's table of mounts says nothing of that */
      || (_sandbox_share_check_servers (work->machine, error)
          && _sandbox_guest_check_shares (work->ssh, work->plan, cancellable, error)))
    return TRUE;
  g_prefix_error (error, "start %s: ", work->machine->name);
  return FALSE;
}

gboolean
_sandbox_step_ready (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  if (_sandbox_host_is_test (work->host))
    _sandbox_report (
        &work->report, "ready",
        "libvirt's test driver has no guests and forgets this machine when this process ends", 1,
        1);
  else
    _sandbox_report (&work->report, "ready", "ssh works, shares are mounted", 1, 1);
  return TRUE;
}
