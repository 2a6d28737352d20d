// SPDX-License-Identifier: LGPL-2.1-or-later
// Resume: a suspended machine goes on where it was, with what only a running machine has: network,
// shares, keeper. Wherever a suspend or a resume was interrupted, the same steps finish it; each
// does nothing where there is nothing to do. Why that is safe: suspended.h.
#include "facade/suspended.h"

#include "facade/keep.h"
#include "xml/allowed.h"

#include <string.h>

/* libvirt may be saving the machine still, for somebody who is gone. */
#define JOB_WAIT_USEC (10 * 60 * G_USEC_PER_SEC)

static gboolean
fail_useless (SandboxWork *work, const char *why, GError **error)
{
  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "resume %s: it cannot go on from its memory: %s. The memory is kept; `vms "
                       "stop --force %s` throws it away, so that the machine boots with the next "
                       "start",
                       work->machine->name, why, work->machine->name);
}

static gboolean
has_ended (const GPtrArray *limits, const char *tag)
{
  const SandboxLiveShare *limit = _sandbox_live_shares_find (limits, tag);

  return limit != NULL && limit->until_usec != 0 && limit->until_usec <= g_get_real_time ();
}

/* A share whose time is over did not wait for the machine. */
static gboolean
drop_ended (SandboxWork *work, GError **error)
{
  SandboxSuspend *suspend = work->suspend;
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (work->machine, FALSE, error);
  g_autoptr (GPtrArray) limits = NULL;

  if (state_fd < 0)
    return FALSE;
  limits = _sandbox_live_shares_read (state_fd);
  for (guint i = 0; i < suspend->meta->shares->len; i++)
    {
      const char *tag = ((const SandboxPlanShare *)suspend->meta->shares->pdata[i])->tag;
      g_autofree char *note = NULL, *rest = NULL;

      if (!has_ended (limits, tag))
        continue;
      rest = _sandbox_xml_without_share (suspend->xml, tag, error);
      if (rest == NULL || !_sandbox_share_tell (work->machine, tag, 0, TRUE, error))
        return FALSE;
      note = g_strdup_printf ("the time of the share \"%s\" is over", tag);
      _sandbox_report (&work->report, "profile", note, 0, 0);
      g_free (suspend->xml);
      suspend->xml = g_steal_pointer (&rest);
      g_ptr_array_remove_index (suspend->meta->shares, i--);
    }
  return TRUE;
}

/* It is the machine's own, and of the disk that is defined. Who can write to the pool can do
 * anything; this is for what got there by mistake. */
static gboolean
read_saved (SandboxWork *work, GError **error)
{
  SandboxSuspend *suspend = work->suspend;
  g_autofree char *name = _sandbox_memory_volume (work->machine->object);
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (work->host->virt, name, error);
  g_autoptr (GError) local = NULL;

  if (volume == NULL)
    return FALSE;
  suspend->xml = _sandbox_virt_saved_xml (work->host->virt, volume->path, &local);
  _sandbox_virt_volume_free (volume);
  if (suspend->xml != NULL)
    suspend->meta = _sandbox_xml_read_domain (suspend->xml, &local);
  if (suspend->meta == NULL)
    return fail_useless (work, local != NULL ? local->message : "it is not one of ours", error);
  if (strcmp (suspend->meta->name, work->machine->name) != 0
      || strcmp (suspend->meta->owner, work->host->owner) != 0 || work->old_meta == NULL
      || strcmp (suspend->meta->disk_path, work->old_meta->disk_path) != 0)
    return fail_useless (work, "it is that of another machine, or of another disk", error);
  return drop_ended (work, error);
}

/* As it was: with the shares that it had. What its profile says of them since is for the next boot.
 */
static gboolean
put_shares (SandboxWork *work, GError **error)
{
  const GPtrArray *shares = work->suspend->meta->shares;
  g_autoptr (SandboxProfile) own = _sandbox_machine_load_profile (work->machine, error);

  if (own == NULL)
    return FALSE;
  work->profile = sandbox_profile_copy (own);
  if (!_sandbox_profile_remove_shares (work->profile, FALSE, error))
    return FALSE;
  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];
      SandboxShareSpec spec = { share->tag,    share->source, share->target, share->mode,
                                share->create, share->shadow, share->guard,  share->flag };

      if (!_sandbox_profile_put_share (work->profile, &spec, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
look (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  if (_sandbox_pieces_running (&work->pieces) ? !_sandbox_machine_read_live (
          work->machine, &work->suspend->xml, &work->suspend->meta, error)
                                              : !read_saved (work, error))
    return FALSE;
  if (work->suspend->meta == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "resume %s: it has just powered off",
                         work->machine->name);
  return put_shares (work, error);
}

static void
tell_changes (SandboxWork *work)
{
  g_autofree char *changes = NULL;
  g_autoptr (SandboxPlan) plan = sandbox_machine_plan (work->machine, NULL, &changes, NULL, NULL);
  g_auto (GStrv) lines = plan != NULL ? g_strsplit (changes, "\n", -1) : NULL;

  for (char **line = lines; line != NULL && *line != NULL; line++)
    {
      g_autofree char *note = g_strdup_printf ("%s (applies at the next start: vms restart %s)",
                                               *line, work->machine->name);

      if (**line != '\0')
        _sandbox_report (&work->report, "changes", note, 0, 0);
    }
}

/* It knows its address, and no other. */
static gboolean
plan (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const SandboxDomainMeta *meta = work->suspend->meta;
  SandboxCidr had;

  if (!_sandbox_step_plan (work, cancellable, error)
      || !sandbox_cidr_parse (meta->subnet, &had, error))
    return FALSE;
  if (had.bits != work->plan->subnet.bits || had.address != work->plan->subnet.address)
    return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                         "resume %s: its network %s is in use on this host meanwhile, and it knows "
                         "no other; free that, or `vms stop --force %s` throws its memory away",
                         work->machine->name, meta->subnet, work->machine->name);
  _sandbox_ssh_free (work->ssh);
  work->ssh = _sandbox_ssh_new (work->machine->state_path, work->machine->uuid, work->plan->address,
                                meta->user);
  tell_changes (work);
  return TRUE;
}

/* With the policy that it was started with; but the host may have other addresses since. */
static gboolean
make_filter (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxVirt *virt = work->host->virt;
  const char *object = work->machine->object;
  g_autofree char *xml = _sandbox_xml_filter (work->plan), *have = NULL;
  g_autoptr (GError) local = NULL;
  gboolean same_policy = TRUE;

  if (_sandbox_pieces_running (&work->pieces))
    return _sandbox_step_filter (work, cancellable, error);
  have = _sandbox_virt_filter_xml (virt, object, &local);
  if (have == NULL && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (have != NULL && !_sandbox_xml_same_policy (have, xml, &same_policy, error))
    return FALSE;
  return _sandbox_virt_filter_ensure (virt, object, same_policy ? xml : have, NULL, error);
}

/* What somebody started beside us has written to the disk. Where libvirt tells no times it is not
 * seen. */
static gboolean
check_times (SandboxWork *work, const SandboxVirtVolume *memory, GError **error)
{
  g_autofree char *name = g_path_get_basename (work->suspend->meta->disk_path);
  SandboxVirtVolume *disk = _sandbox_virt_volume_get (work->host->virt, name, error);
  gboolean later;

  if (disk == NULL)
    return FALSE;
  later = disk->changed_usec > memory->changed_usec && memory->changed_usec != 0;
  _sandbox_virt_volume_free (disk);
  return !later || fail_useless (work, "its disk was written to since it was suspended", error);
}

static gboolean
restore_from (SandboxWork *work, const SandboxVirtVolume *memory, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (!_sandbox_xml_check_defined (work->suspend->xml, error) || !check_times (work, memory, error))
    return FALSE;
  if (_sandbox_virt_domain_restore (work->host->virt, memory->path, work->suspend->xml, TRUE,
                                    &local))
    return TRUE;
  return fail_useless (work, local->message, error);
}

/* The processors do not run after this. */
static gboolean
restore (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *name = _sandbox_memory_volume (work->machine->object);
  SandboxVirtVolume *memory = NULL;
  gboolean restored;

  if (!_sandbox_shares_check_apart (work, error))
    return FALSE;
  memory = _sandbox_virt_volume_get (work->host->virt, name, error);
  if (memory == NULL)
    return FALSE;
  work->suspend->made_restore = TRUE;
  restored = restore_from (work, memory, error);
  _sandbox_virt_volume_free (memory);
  return restored;
}

static void
undo_restore (gpointer data)
{
  SandboxWork *work = data;

  if (work->suspend->made_restore)
    _sandbox_virt_domain_kill (work->host->virt, work->machine->object, NULL);
}

/* The volume first: when it is gone, the processors may run. There is no way back from here on. */
static gboolean
let_run (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxVirt *virt = work->host->virt;
  g_autofree char *name = _sandbox_memory_volume (work->machine->object);

  if (!_sandbox_virt_volume_remove (virt, name, error))
    return FALSE;
  work->pieces.memory = FALSE;
  work->suspend->made_restore = FALSE;
  _sandbox_work_keep (work);
  if (!sandbox_fault_point ("resume", "run", "between", error))
    return FALSE;
  if (work->pieces.virt_state == SANDBOX_VIRT_RUNNING)
    return TRUE;
  return _sandbox_virt_domain_resume (virt, work->machine->object, error);
}

static gboolean
wake (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GError) local = NULL;
  g_autofree char *note = NULL;

  if (_sandbox_guest_wake (work->ssh, cancellable, &local))
    return TRUE;
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  note = g_strdup_printf ("its clock may be behind, as it could not be set: %s", local->message);
  _sandbox_report (&work->report, "clock", note, 0, 0);
  return TRUE;
}

static gboolean
plug (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxMachine *machine = work->machine;
  const GPtrArray *shares = work->plan->shares;
  g_autofree char *now = _sandbox_virt_domain_xml (work->host->virt, machine->object, TRUE, error);

  if (now == NULL)
    return FALSE;
  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];
      g_autofree char *has = _sandbox_xml_find_share_device (now, share->tag), *xml = NULL;

      if (has != NULL)
        continue;
      xml = _sandbox_xml_share_device (work->plan->share_helper, share);
      if (!_sandbox_share_door_write (machine, share, cancellable, error)
          || !_sandbox_virt_device_attach (work->host->virt, machine->object, xml, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
mount_all (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const SandboxDomainMeta *meta = work->suspend->meta;

  for (guint i = 0; i < work->plan->shares->len; i++)
    {
      const SandboxPlanShare *share = work->plan->shares->pdata[i];

      if (_sandbox_guest_mount_share (work->ssh, share, meta->uid, meta->gid, cancellable, error))
        continue;
      g_prefix_error (error,
                      "resume %s: it goes on, but without its share \"%s\": ", work->machine->name,
                      share->tag);
      return FALSE;
    }
  return TRUE;
}

static gboolean
finish (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_suspend_note_write (work->machine, SANDBOX_SUSPEND_NONE, error)
         && _sandbox_step_ready (work, cancellable, error);
}

static const SandboxRow resume_rows[] = {
  { { "look", "looking at what it goes on from", look, NULL }, SANDBOX_ROW_REAL },
  { { "image", "looking for the image", _sandbox_step_image, NULL }, SANDBOX_ROW_REAL },
  { { "plan", "making the plan", plan, NULL }, SANDBOX_ROW_REAL },
  { { "ports", "checking forwarded ports", _sandbox_step_ports, NULL }, SANDBOX_ROW_REAL },
  { { "shares", "checking shared directories", _sandbox_step_shares, _sandbox_undo_shares },
    SANDBOX_ROW_REAL },
  { { "filter", "making the network filter", make_filter, NULL }, SANDBOX_ROW_REAL },
  { { "network", "making the network", _sandbox_step_network, _sandbox_undo_network },
    SANDBOX_ROW_REAL | SANDBOX_ROW_OFF },
  { { "restore", "reading its memory", restore, undo_restore },
    SANDBOX_ROW_REAL | SANDBOX_ROW_OFF },
  { { "record", "recording shares for review", _sandbox_step_record, NULL },
    SANDBOX_ROW_REAL | SANDBOX_ROW_OFF },
  { { "run", "letting its processors run", let_run, NULL }, SANDBOX_ROW_REAL },
  { { "keeper", "starting the keeper", _sandbox_step_keeper, NULL }, SANDBOX_ROW_REAL },
  { { "ssh", "waiting for ssh", _sandbox_step_ssh, NULL }, SANDBOX_ROW_REAL },
  { { "clock", "setting its clock", wake, NULL }, SANDBOX_ROW_REAL },
  { { "plug", "plugging in its shares", plug, NULL }, SANDBOX_ROW_REAL },
  { { "mounts", "mounting its shares", mount_all, NULL }, SANDBOX_ROW_REAL },
  { { "forwards", "forwarding ports", _sandbox_step_forwards, NULL }, SANDBOX_ROW_REAL },
  { { "ready", "noting that it goes on", finish, NULL }, SANDBOX_ROW_REAL },
};
const SandboxVerb _sandbox_verb_resume = { "resume", resume_rows, G_N_ELEMENTS (resume_rows) };

gboolean
_sandbox_resume_is_due (const SandboxWork *work)
{
  return work->pieces.memory
         || (_sandbox_pieces_running (&work->pieces)
             && _sandbox_suspend_note_read (work->machine) != SANDBOX_SUSPEND_NONE);
}

/* Who paused it otherwise lets it go on, or nobody does. */
static gboolean
check_pause (SandboxWork *work, GError **error)
{
  SandboxVirtPause pause = SANDBOX_VIRT_PAUSE_NONE;

  if (work->pieces.virt_state != SANDBOX_VIRT_PAUSED || work->pieces.memory)
    return TRUE;
  if (!_sandbox_virt_domain_pause (work->host->virt, work->machine->object, &pause, error))
    return FALSE;
  return pause == SANDBOX_VIRT_PAUSE_OTHER || _sandbox_space_wake (work, "resume", error);
}

gboolean
_sandbox_resume_locked (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  g_auto (SandboxSuspend) suspend = { 0 };
  gboolean done;

  if (_sandbox_host_is_test (work->host))
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "resume %s: libvirt's test driver has no memory to go on from",
                         work->machine->name);
  if (!_sandbox_virt_domain_wait_job (work->host->virt, work->machine->object, JOB_WAIT_USEC,
                                      cancellable, error)
      || !_sandbox_machine_pieces (work->machine, &work->pieces, error)
      || !check_pause (work, error))
    return FALSE;
  work->suspend = &suspend;
  done = _sandbox_work_run (work, &_sandbox_verb_resume, cancellable, error);
  work->suspend = NULL;
  return done;
}

gboolean
sandbox_machine_resume (SandboxMachine *machine, gint64 timeout_usec, SandboxProgressFunc progress,
                        gpointer user_data, GCancellable *cancellable, GError **error)
{
  g_auto (SandboxWork) work = { 0 };
  const char *name = machine->name;

  _sandbox_work_init (&work, machine, progress, user_data);
  work.options.timeout_usec = timeout_usec;
  if (!_sandbox_work_begin (&work, "resume", cancellable, error))
    return FALSE;
  if (_sandbox_resume_is_due (&work))
    return _sandbox_resume_locked (&work, cancellable, error);
  if (work.pieces.domain && work.pieces.virt_state == SANDBOX_VIRT_PAUSED)
    return _sandbox_space_wake (&work, "resume", error);
  if (_sandbox_pieces_running (&work.pieces))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                       "resume %s: it is not suspended; `vms start %s` starts it", name, name);
}
