// SPDX-License-Identifier: LGPL-2.1-or-later
// The steps that make what a machine is made of: profile, image, keys, shares, network, disk, seed,
// domain. Each finds out what is there already, and remembers what it made, so that it can be
// undone.
#include "facade/layers.h"
#include "facade/provision-private.h"
#include "facade/reader.h"

#include "xml/allowed.h"

#include <string.h>

#define MEASURE_TRIES      10
#define STOPPING_WAIT_USEC (60 * G_USEC_PER_SEC)

static gboolean
save_shares (SandboxWork *work, GError **error)
{
  SandboxHost *host = work->host;
  g_autoptr (GError) local = NULL;
  g_autofree char *old = NULL, *text = NULL;
  gboolean changed;

  if (work->options.shares == NULL || work->options.shares[0] == NULL)
    return TRUE;
  old = _sandbox_profile_own_text (host, work->machine->name, &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  text = _sandbox_profile_text_with_shares (host, work->machine->name, old, work->options.shares,
                                            &changed, error);
  if (text == NULL)
    return FALSE;
  if (!changed)
    return TRUE;
  if (!sandbox_profile_save (&host->profiles, work->machine->name, text, TRUE, error))
    return FALSE;
  work->made.profile = TRUE;
  work->old_profile_text = g_steal_pointer (&old);
  return TRUE;
}

/* A machine that is going down is waited for; one that QEMU has paused because the host's disk was
 * full goes on, if there is room now. */
static gboolean
settle_state (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  if (!work->pieces.domain)
    return TRUE;
  if (work->pieces.virt_state == SANDBOX_VIRT_PAUSED)
    return _sandbox_space_wake (work, "start", error);
  if (work->pieces.virt_state == SANDBOX_VIRT_STOPPING)
    {
      if (!_sandbox_virt_domain_wait_stopped (work->host->virt, work->machine->object,
                                              STOPPING_WAIT_USEC, cancellable, error))
        return FALSE;
      work->pieces.virt_state = SANDBOX_VIRT_STOPPED;
    }
  if (work->pieces.virt_state == SANDBOX_VIRT_CRASHED)
    return _sandbox_virt_domain_kill (work->host->virt, work->machine->object, error);
  return TRUE;
}

gboolean
_sandbox_step_profile (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  if (!settle_state (work, cancellable, error) || !save_shares (work, error))
    return FALSE;
  work->profile = _sandbox_machine_load_profile (work->machine, error);
  return work->profile != NULL
         && _sandbox_provision_check (work->machine, work->profile,
                                      work->newest_image || !work->pieces.disk, error);
}

void
_sandbox_undo_profile (gpointer data)
{
  SandboxWork *work = data;

  if (!work->made.profile)
    return;
  if (work->old_profile_text != NULL)
    sandbox_profile_save (&work->host->profiles, work->machine->name, work->old_profile_text, TRUE,
                          NULL);
  else
    sandbox_profile_remove (&work->host->profiles, work->machine->name, NULL);
}

gboolean
_sandbox_step_image (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const char *name = _sandbox_profile_values (work->profile)->image;

  if (work->image != NULL)
    return TRUE;
  if (!_sandbox_work_find_image (work->machine, work->profile, work->newest_image, &work->image,
                                 error))
    return FALSE;
  if (work->image != NULL)
    return TRUE;
  if (work->options.no_build)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "start %s: image \"%s\" is not built yet; run `vms image build %s`",
                         work->machine->name, name, name);
  if (!sandbox_host_build_image (work->host, name, FALSE, work->report.func, work->report.user_data,
                                 cancellable, NULL, error))
    return FALSE;
  if (!_sandbox_work_find_image (work->machine, work->profile, TRUE, &work->image, error))
    return FALSE;
  if (work->image == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "start %s: image \"%s\" was removed while it was built",
                         work->machine->name, name);
  return TRUE;
}

gboolean
_sandbox_step_plan (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  if (!_sandbox_work_lock_addresses (work, cancellable, error))
    return FALSE;
  work->plan = _sandbox_work_plan (work->machine, work->profile, work->image, work->old_meta,
                                   work->newest_image, error);
  if (work->plan == NULL)
    return FALSE;
  work->ssh = _sandbox_ssh_new (work->machine->state_path, work->machine->uuid, work->plan->address,
                                work->plan->user);
  return _sandbox_ssh_socket_fits (work->ssh, error);
}

static gboolean
write_ssh_config (SandboxWork *work, int state_fd, GError **error)
{
  g_autofree char *block = _sandbox_ssh_config_block (work->ssh, work->machine->name);

  return sandbox_file_write_at (state_fd, "ssh_config", block, strlen (block), 0600, error)
         && _sandbox_ssh_config_refresh (work->host, error);
}

gboolean
_sandbox_step_keys (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  sandbox_autofd int state_fd = -1;
  gboolean created;

  work->made.state_dir = !g_file_test (work->machine->state_path, G_FILE_TEST_EXISTS);
  state_fd = _sandbox_machine_state_fd (work->machine, TRUE, error);
  return state_fd >= 0
         && _sandbox_keys_ensure (state_fd, work->machine->object, &created, cancellable, error)
         && _sandbox_ssh_write_known_hosts (state_fd, work->machine->uuid, error)
         && write_ssh_config (work, state_fd, error);
}

void
_sandbox_undo_keys (gpointer data)
{
  SandboxWork *work = data;
  sandbox_autofd int fd = -1;

  if (!work->made.state_dir)
    return;
  fd = _sandbox_host_state_fd (work->host, FALSE, NULL);
  if (fd >= 0)
    sandbox_remove_at (fd, work->machine->name, NULL);
  _sandbox_ssh_config_refresh (work->host, NULL);
}

/* One that runs keeps the policy that it was started with: as with all else, what changed applies
 * at the next start. But the host may have other addresses since, and be in other networks. */
static gboolean
follow_host (SandboxWork *work, const char *xml, GError **error)
{
  SandboxVirt *virt = work->host->virt;
  g_autofree char *have = NULL;
  gboolean same_policy = FALSE, same = FALSE;

  if (_sandbox_host_is_test (work->host))
    return TRUE;
  have = _sandbox_virt_filter_xml (virt, work->plan->object, error);
  if (have == NULL || !_sandbox_xml_same_filter (have, xml, &same, error)
      || !_sandbox_xml_same_policy (have, xml, &same_policy, error))
    return FALSE;
  if (same)
    return TRUE;
  if (!same_policy)
    {
      g_autofree char *note =
          g_strdup_printf ("its network filter stays as it was when it started: vms restart %s",
                           work->machine->name);

      _sandbox_report (&work->report, "policy", note, 0, 0);
      return TRUE;
    }
  if (!_sandbox_virt_filter_ensure (virt, work->plan->object, xml, NULL, error))
    {
      _sandbox_virt_filter_ensure (virt, work->plan->object, have, NULL, NULL);
      return FALSE;
    }
  _sandbox_report (&work->report, "policy",
                   "this host has other addresses or networks than when it started: its filter "
                   "follows",
                   0, 0);
  return TRUE;
}

/* Before there is a network to send on. */
gboolean
_sandbox_step_filter (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *xml = _sandbox_xml_filter (work->plan);
  g_autofree char *note = NULL;

  if (_sandbox_pieces_running (&work->pieces))
    return follow_host (work, xml, error);
  note = g_strdup_printf ("reaches %s", work->plan->policy);
  _sandbox_report (&work->report, "policy", note, 0, 0);
  g_clear_pointer (&work->old_filter, g_free);
  work->made.filter = TRUE;
  return _sandbox_virt_filter_ensure (work->host->virt, work->plan->object, xml, &work->old_filter,
                                      error);
}

void
_sandbox_undo_filter (gpointer data)
{
  SandboxWork *work = data;

  if (!work->made.filter)
    return;
  if (work->old_filter != NULL)
    _sandbox_virt_filter_ensure (work->host->virt, work->machine->object, work->old_filter, NULL,
                                 NULL);
  else
    _sandbox_virt_filter_remove (work->host->virt, work->machine->object, NULL);
}

gboolean
_sandbox_step_network (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *xml = _sandbox_xml_network (work->plan);

  /* it keeps the one that it runs on; that another is wanted now is told with all that differs */
  if (_sandbox_pieces_running (&work->pieces))
    return TRUE;
  work->made.network_active = TRUE;
  if (!_sandbox_virt_network_ensure (work->host->virt, work->plan->object, xml, &work->made.network,
                                     error))
    return FALSE;
  _sandbox_work_release_addresses (work);
  return TRUE;
}

void
_sandbox_undo_network (gpointer data)
{
  SandboxWork *work = data;

  if (work->made.network)
    _sandbox_virt_network_remove (work->host->virt, work->machine->object, NULL);
  else if (work->made.network_active)
    _sandbox_virt_network_stop (work->host->virt, work->machine->object, NULL);
}

/* A disk that is there follows a profile that wants more; the guest grows its file system at boot.
 */
static gboolean
grow_disk (SandboxWork *work, GError **error)
{
  const char *name = work->plan->disk_volume;
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (work->host->virt, name, error);
  guint64 have;

  if (volume == NULL)
    return FALSE;
  have = volume->capacity_bytes;
  _sandbox_virt_volume_free (volume);
  if (have < work->plan->disk_bytes && work->plan->encrypted)
    {
      _sandbox_report (&work->report, "disk",
                       "its disk stays as large as it is: an encrypted one does not grow, recreate "
                       "makes a larger one",
                       0, 0);
      return TRUE;
    }
  if (have < work->plan->disk_bytes)
    return _sandbox_virt_volume_grow (work->host->virt, name, work->plan->disk_bytes, error);
  if (have > work->plan->disk_bytes)
    {
      g_autofree char *size = sandbox_size_human (have);
      g_autofree char *note = g_strdup_printf (
          "its disk stays at %s: it cannot shrink, recreate makes a smaller one", size);

      _sandbox_report (&work->report, "disk", note, 0, 0);
    }
  return TRUE;
}

/* A disk that is made anew has no snapshots. What an earlier machine of this name left because a
 * copy stands on it must not turn up as one, should that copy go. */
gboolean
_sandbox_work_forget_snapshots (SandboxWork *work, GError **error)
{
  g_autoptr (GPtrArray) none = _sandbox_snapshots_new ();
  g_autoptr (GError) local = NULL;
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (work->machine, FALSE, &local);

  if (state_fd >= 0)
    return _sandbox_snapshots_write (state_fd, none, error);
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* libvirt needs the passphrase to make an encrypted one. qemu-img measures how slow it may make
 * guessing, and gives up when the host counts no time for that, as a virtual one does now and then.
 */
static gboolean
make_volume (SandboxWork *work, GError **error)
{
  g_autofree char *xml = _sandbox_xml_disk_volume (work->plan);
  g_autoptr (GError) local = NULL;
  gboolean made = FALSE;

  if (!_sandbox_secret_tell (work, error))
    return FALSE;
  for (guint i = 0; i < MEASURE_TRIES && !made; i++)
    {
      g_clear_error (&local);
      made = _sandbox_virt_volume_create (work->host->virt, xml, &work->made.disk, &local);
      if (!made && strstr (local->message, "accurate CPU usage") == NULL)
        break;
    }
  _sandbox_secret_take_back (work);
  if (!made)
    g_propagate_error (error, g_steal_pointer (&local));
  return made;
}

static gboolean
make_disk (SandboxWork *work, GError **error)
{

  if (_sandbox_pieces_running (&work->pieces))
    return TRUE;
  if (!_sandbox_virt_pool_ensure (work->host->virt, error) || !_sandbox_space_check (work, error))
    return FALSE;
  /* the start makes it, and only right before the memory goes on over it */
  if (work->warm != NULL)
    return _sandbox_provision_forget (work->machine, error)
           && _sandbox_work_forget_snapshots (work, error);
  if (!make_volume (work, error))
    return FALSE;
  if (!work->made.disk)
    return _sandbox_host_is_test (work->host) || grow_disk (work, error);
  if (!_sandbox_provision_forget (work->machine, error))
    return FALSE;
  if ((!work->pieces.domain || work->newest_image) && !_sandbox_work_forget_snapshots (work, error))
    return FALSE;
  if (work->pieces.domain && !work->newest_image)
    _sandbox_report (&work->report, "disk", "its disk was gone: made a fresh one", 0, 0);
  return TRUE;
}

gboolean
_sandbox_step_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  return make_disk (data, error) && _sandbox_reader_make_scratch (data, error);
}

void
_sandbox_undo_disk (gpointer data)
{
  SandboxWork *work = data;

  _sandbox_reader_remove_scratch (work->machine, NULL);
  if (work->made.disk)
    _sandbox_virt_volume_remove (work->host->virt, work->plan->disk_volume, NULL);
}

gboolean
_sandbox_seed_write (SandboxHost *host, const SandboxPlan *plan, int state_fd, GError **error)
{
  SandboxVirt *virt = host->virt;
  const char *name = plan->seed_volume;
  g_autoptr (GBytes) seed = NULL;
  g_autofree char *xml = NULL, *hook = NULL;

  if (!_sandbox_policy_hook (host, plan, &hook, error))
    return FALSE;
  seed = _sandbox_seed_build (plan, state_fd, hook, error);
  if (seed == NULL)
    return FALSE;
  /* Made anew for each boot: mounts and address may have changed, and its length with them. */
  xml = _sandbox_xml_raw_volume (name, g_bytes_get_size (seed), 0600);
  return _sandbox_virt_volume_remove (virt, name, error)
         && _sandbox_virt_volume_create (virt, xml, NULL, error)
         && _sandbox_virt_volume_upload (virt, name, g_bytes_get_data (seed, NULL),
                                         g_bytes_get_size (seed), error);
}

gboolean
_sandbox_step_seed (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  sandbox_autofd int state_fd = -1;

  if (_sandbox_pieces_running (&work->pieces))
    return TRUE;
  state_fd = _sandbox_machine_state_fd (work->machine, FALSE, error);
  if (state_fd < 0)
    return FALSE;
  work->made.seed = TRUE;
  return _sandbox_seed_write (work->host, work->plan, state_fd, error);
}

void
_sandbox_undo_seed (gpointer data)
{
  SandboxWork *work = data;

  if (work->made.seed)
    _sandbox_virt_volume_remove (work->host->virt, work->plan->seed_volume, NULL);
}

static void
report_changes (SandboxWork *work, gboolean running)
{
  g_auto (GStrv) lines = g_strsplit (work->changes, "\n", -1);

  for (char **line = lines; *line != NULL; line++)
    {
      g_autofree char *note = NULL;

      if (**line == '\0')
        continue;
      note = running ? g_strdup_printf ("%s (applies at the next start: vms restart %s)", *line,
                                        work->machine->name)
                     : g_strdup (*line);
      _sandbox_report (&work->report, "changes", note, 0, 0);
    }
}

gboolean
_sandbox_step_domain (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *xml = _sandbox_xml_domain (work->plan);
  gboolean running = _sandbox_pieces_running (&work->pieces);

  if (work->old_xml != NULL)
    {
      char *changes = _sandbox_xml_domain_changes (work->old_xml, xml, error);

      if (changes == NULL)
        return FALSE;
      g_free (work->changes);
      work->changes = changes;
      report_changes (work, running);
    }
  if (running)
    return TRUE;
  /* whatever went wrong before this, a device that no machine of ours has never gets to libvirt */
  if (work->plan->reads->len > 0 ? !_sandbox_xml_check_reader (xml, error)
                                 : !_sandbox_xml_check_domain (xml, error))
    return FALSE;
  work->made.redefined = work->old_xml != NULL;
  work->made.domain = work->old_xml == NULL;
  return _sandbox_virt_domain_define (work->host->virt, xml, error);
}

void
_sandbox_undo_domain (gpointer data)
{
  SandboxWork *work = data;

  if (work->made.domain)
    _sandbox_virt_domain_undefine (work->host->virt, work->machine->object, NULL);
  else if (work->made.redefined)
    _sandbox_virt_domain_define (work->host->virt, work->old_xml, NULL);
}
