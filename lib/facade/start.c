// SPDX-License-Identifier: LGPL-2.1-or-later
// Start: from a name to a machine that answers, as a table of steps with their undos.
#include "facade/keep.h"
#include "facade/suspended.h"
#include "facade/warm.h"

static const SandboxRow start_rows[] = {
  { { "profile", "reading the profile", _sandbox_step_profile, _sandbox_undo_profile },
    SANDBOX_ROW_ALWAYS },
  { { "passphrase", NULL, _sandbox_step_passphrase, NULL }, SANDBOX_ROW_REAL | SANDBOX_ROW_OFF },
  { { "image", "looking for the image", _sandbox_step_image, NULL }, SANDBOX_ROW_REAL },
  { { "provision", "looking for what its profile provisions", _sandbox_step_provision, NULL },
    SANDBOX_ROW_REAL },
  { { "plan", "making the plan", _sandbox_step_plan, NULL }, SANDBOX_ROW_ALWAYS },
  { { "ports", "checking forwarded ports", _sandbox_step_ports, NULL }, SANDBOX_ROW_REAL },
  { { "keys", "making keys", _sandbox_step_keys, _sandbox_undo_keys }, SANDBOX_ROW_REAL },
  { { "shares", "checking shared directories", _sandbox_step_shares, _sandbox_undo_shares },
    SANDBOX_ROW_REAL },
  { { "record", "recording shares for review", _sandbox_step_record, NULL }, SANDBOX_ROW_REAL },
  { { "filter", "making the network filter", _sandbox_step_filter, _sandbox_undo_filter },
    SANDBOX_ROW_REAL },
  { { "network", "making the network", _sandbox_step_network, _sandbox_undo_network },
    SANDBOX_ROW_OFF },
  { { "warm", NULL, _sandbox_step_warm, NULL }, SANDBOX_ROW_REAL | SANDBOX_ROW_OFF },
  { { "disk", "making the disk", _sandbox_step_disk, _sandbox_undo_disk }, SANDBOX_ROW_OFF },
  { { "seed", "writing its identity", _sandbox_step_seed, _sandbox_undo_seed },
    SANDBOX_ROW_REAL | SANDBOX_ROW_OFF },
  { { "domain", "defining the machine", _sandbox_step_domain, _sandbox_undo_domain },
    SANDBOX_ROW_ALWAYS },
  { { "boot", "starting the machine", _sandbox_step_boot, _sandbox_undo_boot }, SANDBOX_ROW_OFF },
  { { "keeper", "starting the keeper", _sandbox_step_keeper, _sandbox_undo_keeper },
    SANDBOX_ROW_REAL },
  { { "ssh", "waiting for ssh", _sandbox_step_ssh, NULL }, SANDBOX_ROW_REAL },
  { { "mounts", "checking that the shares are mounted", _sandbox_step_mounts, NULL },
    SANDBOX_ROW_REAL },
  { { "follow", NULL, _sandbox_step_follow, NULL }, SANDBOX_ROW_REAL },
  { { "forwards", "forwarding ports", _sandbox_step_forwards, NULL }, SANDBOX_ROW_REAL },
  { { "ready", "ready", _sandbox_step_ready, NULL }, SANDBOX_ROW_ALWAYS },
};
const SandboxVerb _sandbox_verb_start = { "start", start_rows, G_N_ELEMENTS (start_rows) };

/* A suspended machine goes on as it was: what would change that is refused. */
static gboolean
resume (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  const char *name = work->machine->name;

  if (work->options.boot)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "start %s: it is suspended, and to boot it throws its memory away: `vms "
                         "stop --force %s` does that; without --boot it goes on where it was",
                         name, name);
  if (work->options.shares != NULL && work->options.shares[0] != NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "start %s: it is suspended, and goes on with the shares that it had: `vms "
                         "resume %s`, then `vms share add %s DIR`",
                         name, name, name);
  return _sandbox_resume_locked (work, cancellable, error);
}

/* As the guest's kernel lists those that listen, on whatever address, IPv6 included. */
static gboolean
wait_port (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  guint port = work->options.wait_port;
  gint64 timeout =
      work->options.timeout_usec > 0 ? work->options.timeout_usec : SANDBOX_START_TIMEOUT_USEC;
  g_autofree char *note = g_strdup_printf ("waiting until something listens on port %u", port);
  g_autofree char *command = g_strdup_printf (
      "until grep -qsiE '^ *[0-9]+: [0-9A-F]+:%04X [0-9A-F]+:0000 0A ' /proc/net/tcp "
      "/proc/net/tcp6; do sleep 0.3; done",
      port);
  g_autoptr (SandboxSsh) ssh = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *said = NULL;

  if (port == 0 || _sandbox_host_is_test (work->host))
    return TRUE;
  _sandbox_report (&work->report, "port", note, 0, 0);
  ssh = _sandbox_machine_ready (work->machine, cancellable, error);
  if (ssh == NULL)
    return FALSE;
  said = _sandbox_ssh_capture (ssh, command, -1, 1024, timeout, cancellable, &local);
  if (said != NULL)
    return TRUE;
  if (!g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                       "start %s: it runs, but within %" G_GINT64_FORMAT
                       " s nothing in it listened on port %u; `vms ssh %s -- ss -ltn` shows what "
                       "does",
                       work->machine->name, timeout / G_USEC_PER_SEC, port, work->machine->name);
}

gboolean
sandbox_machine_start (SandboxMachine *machine, const SandboxStartOptions *options,
                       SandboxProgressFunc progress, gpointer user_data, GCancellable *cancellable,
                       GError **error)
{
  g_auto (SandboxWork) work = { 0 };

  _sandbox_work_init (&work, machine, progress, user_data);
  work.boot = TRUE;
  if (!_sandbox_options_copy (&work.options, sizeof work.options, options, error)
      || !_sandbox_work_begin (&work, "start", cancellable, error))
    return FALSE;
  if (!(_sandbox_resume_is_due (&work)
            ? resume (&work, cancellable, error)
            : _sandbox_work_run (&work, &_sandbox_verb_start, cancellable, error)))
    return FALSE;
  return wait_port (&work, cancellable, error);
}
