// SPDX-License-Identifier: LGPL-2.1-or-later
// Suspend: a machine's shares are taken away, its processors stopped, its memory written to a
// volume; it is off then. Why that is safe: suspended.h.
#include "facade/suspended.h"

#include "base/xml.h"
#include "facade/keep.h"
#include "facade/layers.h"

/* The keeper's own looks into a share take a moment. */
#define UNMOUNT_TRIES 4
#define RETRY_USEC    (500 * 1000)
#define SYNC_USEC     (20 * G_USEC_PER_SEC)
/* libvirt may be at it still when the connection to it has broken */
#define SAVE_WAIT_USEC (5 * 60 * G_USEC_PER_SEC)

/* Who works in a share, by directory; "" when nobody does. NULL with @error. */
static char *
find_holders (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  const GPtrArray *shares = work->suspend->meta->shares;
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];
      g_autofree char *holders = _sandbox_guest_find_holders (work->ssh, share, cancellable, error);

      if (holders == NULL)
        return NULL;
      if (*holders != '\0')
        g_string_append_printf (text, "%sin %s: %s", text->len > 0 ? "; " : "", share->target,
                                holders);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* libvirt writes it in KiB. */
static guint64
memory_bytes (const char *xml)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain XML of libvirt", xml, NULL);
  g_autofree char *text =
      doc != NULL ? sandbox_xml_dup (xmlDocGetRootElement (doc), "memory", NULL) : NULL;

  return text != NULL ? g_ascii_strtoull (g_strstrip (text), NULL, 10) * 1024 : 0;
}

/* The key of the disk would be in the file, and the file is not encrypted. */
static gboolean
check_encrypted (SandboxWork *work, const char *doing, GError **error)
{
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (work->machine, error);

  return layers != NULL
         && _sandbox_layer_refuse_encrypted (layers->top, doing,
                                             "its key is in its memory, which would be written to "
                                             "this host's disk as it is; `vms suspend --memory` "
                                             "pauses it, `vms stop` powers it off",
                                             error);
}

/* All that can be refused is refused here, before anything is done. */
static gboolean
check (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSuspend *suspend = work->suspend;
  const char *name = work->machine->name;
  g_autofree char *holders = NULL, *doing = g_strconcat ("suspend ", name, NULL);

  if (!_sandbox_machine_read_live (work->machine, &suspend->xml, &suspend->meta, error))
    return FALSE;
  if (suspend->meta == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "%s: it has just powered off", doing);
  if (suspend->to_memory)
    return TRUE;
  if (!check_encrypted (work, doing, error))
    return FALSE;
  work->ssh = _sandbox_machine_ready (work->machine, cancellable, error);
  if (work->ssh == NULL
      || !_sandbox_host_check_room (work->host, doing, memory_bytes (suspend->xml), error))
    return FALSE;
  holders = find_holders (work, cancellable, error);
  if (holders == NULL || *holders == '\0')
    return holders != NULL;
  return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                       "suspend %s: processes of the machine work in shared directories, which it "
                       "cannot have while it is suspended: %s; nothing was done. End them, or let "
                       "them leave, or `vms suspend --memory %s`",
                       name, holders, name);
}

static gboolean
ask_changes (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return work->suspend->to_memory || _sandbox_step_ask_changes (work, cancellable, error);
}

static gboolean
write_note (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  work->suspend->made_note = TRUE;
  return _sandbox_suspend_note_write (
      work->machine, work->suspend->to_memory ? SANDBOX_SUSPEND_MEMORY : SANDBOX_SUSPEND_DISK,
      error);
}

static void
undo_note (gpointer data)
{
  SandboxWork *work = data;

  if (work->suspend->made_note)
    _sandbox_suspend_note_write (work->machine, SANDBOX_SUSPEND_NONE, NULL);
}

static gboolean
unmount_one (SandboxWork *work, const SandboxPlanShare *share, GCancellable *cancellable,
             GError **error)
{
  for (guint i = 1;; i++)
    {
      g_autoptr (GError) local = NULL;

      if (_sandbox_guest_unmount_share (work->ssh, share, FALSE, cancellable, &local))
        return TRUE;
      if (i == UNMOUNT_TRIES || !_sandbox_pause (RETRY_USEC, cancellable, NULL))
        {
          g_propagate_prefixed_error (
              error, g_steal_pointer (&local),
              "suspend %s: unmounting %s in the machine: ", work->machine->name, share->target);
          return FALSE;
        }
    }
}

/* In the order in which the last mounted comes first: one may lie in another. */
static gboolean
unmount (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const GPtrArray *shares = work->suspend->meta->shares;

  if (work->suspend->to_memory)
    return TRUE;
  work->suspend->made_unmount = TRUE;
  for (guint i = shares->len; i > 0; i--)
    if (!unmount_one (work, shares->pdata[i - 1], cancellable, error))
      return FALSE;
  return TRUE;
}

static void
undo_unmount (gpointer data)
{
  SandboxWork *work = data;
  const SandboxDomainMeta *meta = work->suspend->meta;

  for (guint i = 0; work->suspend->made_unmount && i < meta->shares->len; i++)
    _sandbox_guest_mount_share (work->ssh, meta->shares->pdata[i], meta->uid, meta->gid, NULL,
                                NULL);
}

/* The metadata go on saying that it has them, so that no other machine is given what lies in them.
 */
static gboolean
detach (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const GPtrArray *shares = work->suspend->meta->shares;

  if (work->suspend->to_memory)
    return TRUE;
  work->suspend->made_detach = TRUE;
  for (guint i = 0; i < shares->len; i++)
    if (!_sandbox_share_detach (work->machine, ((const SandboxPlanShare *)shares->pdata[i])->tag,
                                cancellable, error))
      return FALSE;
  return TRUE;
}

static void
undo_detach (gpointer data)
{
  SandboxWork *work = data;
  SandboxVirt *virt = work->host->virt;
  const char *object = work->machine->object;
  const GPtrArray *shares = work->suspend->meta->shares;
  g_autofree char *now = NULL;

  if (work->suspend->made_detach)
    now = _sandbox_virt_domain_xml (virt, object, TRUE, NULL);
  for (guint i = 0; now != NULL && i < shares->len; i++)
    {
      const char *tag = ((const SandboxPlanShare *)shares->pdata[i])->tag;
      g_autofree char *had = _sandbox_xml_find_share_device (work->suspend->xml, tag);
      g_autofree char *has = _sandbox_xml_find_share_device (now, tag);

      if (had != NULL && has == NULL)
        _sandbox_virt_device_attach (virt, object, had, NULL);
    }
}

/* A guest that is asked to write out what it has loses less when its memory is thrown away. */
static gboolean
write_out (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *said = NULL;

  if (!work->suspend->to_memory)
    said = _sandbox_ssh_capture (work->ssh, "sync", -1, 4096, SYNC_USEC, cancellable, NULL);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

/* Before the processors stop, so that the guest hears that these connections end. */
static gboolean
stop_keeper (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  if (work->suspend->to_memory)
    return TRUE;
  work->suspend->made_keeper_stop = TRUE;
  return _sandbox_step_stop_keeper (work, cancellable, error);
}

static void
undo_stop_keeper (gpointer data)
{
  SandboxWork *work = data;

  if (work->suspend->made_keeper_stop)
    _sandbox_keeper_ensure (work->host->uri, work->machine->object, work->ssh, NULL, NULL);
}

static gboolean
stop_processors (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  work->suspend->made_pause = TRUE;
  return _sandbox_virt_domain_suspend (work->host->virt, work->machine->object, error);
}

static void
undo_stop_processors (gpointer data)
{
  SandboxWork *work = data;

  if (work->suspend->made_pause)
    _sandbox_virt_domain_resume (work->host->virt, work->machine->object, NULL);
}

static gboolean
save (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxVirt *virt = work->host->virt;
  g_autofree char *name = _sandbox_memory_volume (work->machine->object);
  g_autofree char *xml = _sandbox_xml_raw_volume (name, 4096, 0600);
  SandboxVirtVolume *volume = NULL;
  gboolean saved;

  if (work->suspend->to_memory)
    return TRUE;
  work->suspend->made_memory = TRUE;
  if (!_sandbox_virt_volume_create_new (virt, xml, error)
      || !sandbox_fault_point ("suspend", "memory", "between", error)
      || (volume = _sandbox_virt_volume_get (virt, name, error)) == NULL)
    return FALSE;
  saved = _sandbox_virt_domain_save (virt, work->machine->object, volume->path, error);
  _sandbox_virt_volume_free (volume);
  /* it is off, with its memory: there is nothing to take back any more */
  if (saved)
    *work->suspend = (SandboxSuspend){ .xml = work->suspend->xml, .meta = work->suspend->meta };
  return saved;
}

/* Whoever failed: a machine that is off, or of which nobody knows, keeps its memory, and a machine
 * whose processors go on after this must have none. */
static void
undo_save (gpointer data)
{
  SandboxWork *work = data;
  g_autofree char *name = _sandbox_memory_volume (work->machine->object);
  SandboxPieces pieces = { 0 };

  if (!work->suspend->made_memory)
    return;
  if (_sandbox_virt_domain_wait_job (work->host->virt, work->machine->object, SAVE_WAIT_USEC, NULL,
                                     NULL)
      && _sandbox_virt_domain_state (work->host->virt, work->machine->object, &pieces.domain,
                                     &pieces.virt_state, NULL)
      && _sandbox_pieces_running (&pieces)
      && _sandbox_virt_volume_remove (work->host->virt, name, NULL))
    return;
  *work->suspend = (SandboxSuspend){ .xml = work->suspend->xml, .meta = work->suspend->meta };
}

static gboolean
note_changes (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return work->suspend->to_memory || _sandbox_step_note_changes (work, cancellable, error);
}

static gboolean
stop_network (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return work->suspend->to_memory || _sandbox_step_stop_network (work, cancellable, error);
}

static const SandboxRow suspend_rows[] = {
  { { "check", "looking whether somebody works in its shares", check, NULL }, SANDBOX_ROW_REAL },
  { { "changes", "asking for changes that were not applied", ask_changes, NULL },
    SANDBOX_ROW_REAL },
  { { "note", "noting that it is suspended", write_note, undo_note }, SANDBOX_ROW_REAL },
  { { "unmount", "unmounting its shares", unmount, undo_unmount }, SANDBOX_ROW_REAL },
  { { "detach", "unplugging its shares", detach, undo_detach }, SANDBOX_ROW_REAL },
  { { "sync", "asking it to write out what it has", write_out, NULL }, SANDBOX_ROW_REAL },
  { { "keeper", "ending the keeper", stop_keeper, undo_stop_keeper }, SANDBOX_ROW_REAL },
  { { "pause", "stopping its processors", stop_processors, undo_stop_processors },
    SANDBOX_ROW_REAL },
  { { "memory", "writing its memory to disk", save, undo_save }, SANDBOX_ROW_REAL },
  { { "unapplied", "noting whether there are any", note_changes, NULL }, SANDBOX_ROW_REAL },
  { { "network", "taking the network down", stop_network, NULL }, SANDBOX_ROW_REAL },
};
const SandboxVerb _sandbox_verb_suspend = { "suspend", suspend_rows, G_N_ELEMENTS (suspend_rows) };

/* *@ret_done: there is nothing to do. */
static gboolean
check_state (SandboxWork *work, gboolean *ret_done, GError **error)
{
  const char *name = work->machine->name;
  SandboxSuspendNote note = _sandbox_suspend_note_read (work->machine);
  gboolean paused = work->pieces.virt_state == SANDBOX_VIRT_PAUSED;

  if (_sandbox_host_is_test (work->host))
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "suspend %s: libvirt's test driver has no memory to keep", name);
  *ret_done = _sandbox_pieces_suspended (&work->pieces)
              || (work->suspend->to_memory && paused && note == SANDBOX_SUSPEND_MEMORY);
  if (*ret_done)
    return TRUE;
  if (!_sandbox_pieces_running (&work->pieces))
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "suspend %s: it is not running", name);
  if (note != SANDBOX_SUSPEND_NONE)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "suspend %s: %s; `vms resume %s` first",
                         name,
                         paused ? "it is paused by an earlier suspend"
                                : "an earlier suspend was interrupted, and took shares from it",
                         name);
  if (work->pieces.virt_state == SANDBOX_VIRT_RUNNING)
    return TRUE;
  return sandbox_fail (
      error, SANDBOX_ERROR_WRONG_STATE, "suspend %s: it is %s; see `vms status %s`", name,
      sandbox_state_to_string (_sandbox_pieces_state (work->host, &work->pieces)), name);
}

gboolean
sandbox_machine_suspend (SandboxMachine *machine, const SandboxSuspendOptions *options,
                         SandboxProgressFunc progress, gpointer user_data,
                         GCancellable *cancellable, GError **error)
{
  SandboxSuspendOptions own = SANDBOX_SUSPEND_OPTIONS_INIT;
  g_auto (SandboxSuspend) suspend = { 0 };
  g_auto (SandboxWork) work = { 0 };
  gboolean done = FALSE;

  if (!_sandbox_options_copy (&own, sizeof own, options, error))
    return FALSE;
  suspend.to_memory = own.to_memory;
  _sandbox_work_init (&work, machine, progress, user_data);
  work.suspend = &suspend;
  return _sandbox_work_begin (&work, "suspend", cancellable, error)
         && check_state (&work, &done, error)
         && (done || _sandbox_work_run (&work, &_sandbox_verb_suspend, cancellable, error));
}
