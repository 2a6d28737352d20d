// SPDX-License-Identifier: LGPL-2.1-or-later
// Recreate: the same machine on a fresh disk of the newest image. Everything that can be refused is
// refused before the old disk goes; from then on there is no way back, and a start finishes what
// was interrupted.
#include "facade/keep.h"
#include "facade/warm.h"

/* What is on the disk goes anyway; the time is for what the guest still writes into its shares. */
#define GRACE_USEC (20 * G_USEC_PER_SEC)

static gboolean
remove_old_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  _sandbox_work_keep (work);
  if (!_sandbox_step_remove_disk (work, cancellable, error))
    return FALSE;
  work->pieces.disk = FALSE;
  return TRUE;
}

/* The new disk stays when a later step fails: without one the machine would be worth less. */
static gboolean
make_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  gboolean made = _sandbox_step_disk (data, cancellable, error);

  _sandbox_work_keep (data);
  return made;
}

static gboolean
define_domain (gpointer data, GCancellable *cancellable, GError **error)
{
  gboolean made = _sandbox_step_domain (data, cancellable, error);

  _sandbox_work_keep (data);
  return made;
}

static const SandboxRow recreate_rows[] = {
  { { "profile", "reading the profile", _sandbox_step_profile, _sandbox_undo_profile },
    SANDBOX_ROW_ALWAYS },
  { { "passphrase", NULL, _sandbox_step_passphrase, NULL }, SANDBOX_ROW_REAL },
  { { "image", "looking for the newest image", _sandbox_step_image, NULL }, SANDBOX_ROW_REAL },
  { { "provision", "looking for what its profile provisions", _sandbox_step_provision, NULL },
    SANDBOX_ROW_REAL },
  { { "plan", "making the plan", _sandbox_step_plan, NULL }, SANDBOX_ROW_ALWAYS },
  { { "ports", "checking forwarded ports", _sandbox_step_ports, NULL },
    SANDBOX_ROW_REAL | SANDBOX_ROW_BOOT },
  { { "keys", "checking keys", _sandbox_step_keys, _sandbox_undo_keys }, SANDBOX_ROW_REAL },
  { { "changes", "looking for changes that were not applied", _sandbox_step_save_changes, NULL },
    SANDBOX_ROW_REAL },
  { { "shutdown", "waiting for the guest to power off", _sandbox_step_shutdown, NULL },
    SANDBOX_ROW_ALWAYS },
  { { "stop-keeper", "ending the keeper", _sandbox_step_stop_keeper, NULL }, SANDBOX_ROW_REAL },
  { { "shares", "checking shared directories", _sandbox_step_shares, _sandbox_undo_shares },
    SANDBOX_ROW_REAL },
  { { "old-disk", "removing the old disk", remove_old_disk, NULL }, SANDBOX_ROW_ALWAYS },
  { { "record", "recording shares for review", _sandbox_step_record, NULL }, SANDBOX_ROW_REAL },
  { { "filter", "making the network filter", _sandbox_step_filter, _sandbox_undo_filter },
    SANDBOX_ROW_REAL },
  { { "network", "making the network", _sandbox_step_network, _sandbox_undo_network },
    SANDBOX_ROW_ALWAYS },
  { { "warm", NULL, _sandbox_step_warm, NULL }, SANDBOX_ROW_REAL | SANDBOX_ROW_BOOT },
  { { "disk", "making the disk", make_disk, NULL }, SANDBOX_ROW_ALWAYS },
  { { "seed", "writing its identity", _sandbox_step_seed, _sandbox_undo_seed }, SANDBOX_ROW_REAL },
  { { "domain", "defining the machine", define_domain, NULL }, SANDBOX_ROW_ALWAYS },
  { { "idle", "taking the network down", _sandbox_step_stop_network, NULL }, SANDBOX_ROW_IDLE },
  { { "boot", "starting the machine", _sandbox_step_boot, _sandbox_undo_boot }, SANDBOX_ROW_BOOT },
  { { "keeper", "starting the keeper", _sandbox_step_keeper, _sandbox_undo_keeper },
    SANDBOX_ROW_REAL | SANDBOX_ROW_BOOT },
  { { "ssh", "waiting for ssh", _sandbox_step_ssh, NULL }, SANDBOX_ROW_REAL | SANDBOX_ROW_BOOT },
  { { "mounts", "checking that the shares are mounted", _sandbox_step_mounts, NULL },
    SANDBOX_ROW_REAL | SANDBOX_ROW_BOOT },
  { { "forwards", "forwarding ports", _sandbox_step_forwards, NULL },
    SANDBOX_ROW_REAL | SANDBOX_ROW_BOOT },
  { { "ready", "ready", _sandbox_step_ready, NULL }, SANDBOX_ROW_BOOT },
};
const SandboxVerb _sandbox_verb_recreate = { "recreate", recreate_rows,
                                             G_N_ELEMENTS (recreate_rows) };

gboolean
sandbox_machine_recreate (SandboxMachine *machine, SandboxProgressFunc progress, gpointer user_data,
                          GCancellable *cancellable, GError **error)
{
  return sandbox_machine_recreate_with (machine, NULL, progress, user_data, cancellable, error);
}

gboolean
sandbox_machine_recreate_with (SandboxMachine *machine, const SandboxStartOptions *options,
                               SandboxProgressFunc progress, gpointer user_data,
                               GCancellable *cancellable, GError **error)
{
  g_auto (SandboxWork) work = { 0 };

  _sandbox_work_init (&work, machine, progress, user_data);
  if (!_sandbox_options_copy (&work.options, sizeof work.options, options, error))
    return FALSE;
  work.newest_image = TRUE;
  work.force = TRUE;
  work.keep_changes = "recreate";
  work.timeout_usec = GRACE_USEC;
  if (!_sandbox_work_begin (&work, "recreate", cancellable, error))
    return FALSE;
  work.boot = _sandbox_pieces_running (&work.pieces);
  return _sandbox_work_run (&work, &_sandbox_verb_recreate, cancellable, error);
}
