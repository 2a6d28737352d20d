// SPDX-License-Identifier: LGPL-2.1-or-later
// Snapshot: freezes the layer that a machine writes to and puts a new one on it; and takes the name
// from a frozen one again.
#include "facade/layers.h"

#include <string.h>

/* A guest that is not asked to write out its memory loses what it has not written: no more than a
 * power cut would. */
#define SYNC_TIMEOUT_USEC (20 * G_USEC_PER_SEC)

char *
_sandbox_snapshot_make_name (const SandboxLayers *layers, const char *prefix)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *time = g_date_time_format (now, "%Y%m%d-%H%M%S");
  char *name = g_strdup_printf ("%s-%s", prefix, time);

  for (guint i = 2; _sandbox_layers_find (layers, name) != NULL; i++)
    {
      g_free (name);
      name = g_strdup_printf ("%s-%s-%u", prefix, time, i);
    }
  return name;
}

gboolean
_sandbox_snapshot_is_checkpoint (const SandboxSnapshotEntry *entry)
{
  return entry->automatic && g_str_has_prefix (entry->name, SANDBOX_CHECKPOINT_PREFIX "-");
}

/* The oldest checkpoints lose their names, so that one more has its place. What goes on from them
 * stays; their room is freed when the keeper merges their layers (layers-idle.c). */
static void
drop_old_checkpoints (SandboxLayers *layers)
{
  guint n = 0;

  for (guint i = layers->entries->len; i > 0; i--)
    {
      const SandboxSnapshotEntry *entry = layers->entries->pdata[i - 1];
      g_autofree char *name = g_strdup (entry->name);

      if (_sandbox_snapshot_is_checkpoint (entry) && ++n >= SANDBOX_CHECKPOINTS_MAX)
        _sandbox_layers_unname (layers, name);
    }
}

gboolean
_sandbox_snapshot_fail_none (SandboxWork *work, const char *doing, GError **error)
{
  const GPtrArray *entries = work->snapshot->layers->entries;
  g_autofree char *shown = sandbox_escape (work->snapshot->name, -1, 80);
  g_autofree const char **names = g_new0 (const char *, entries->len + 1);
  const char *near;

  for (guint i = 0; i < entries->len; i++)
    names[i] = ((const SandboxSnapshotEntry *)entries->pdata[i])->name;
  near = sandbox_nearest (work->snapshot->name, names);
  return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                       "%s %s: it has no snapshot \"%s\"%s%s%s; see `vms snapshot list %s`", doing,
                       work->machine->name, shown, near != NULL ? ", did you mean \"" : "",
                       near != NULL ? near : "", near != NULL ? "\"" : "", work->machine->name);
}

/* The file of names was lost: what it may have named gets another name, or it would count as of no
 * use. */
static void
adopt (SandboxLayers *layers)
{
  for (guint i = 0; !layers->known && i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];
      g_autofree char *name = g_strdup_printf ("layer-%u", layer->number);
      SandboxSnapshotEntry *entry;

      if (!layer->own || layer == layers->top || layer->children > 0)
        continue;
      entry = _sandbox_layers_name (layers, name, "found without a name");
      entry->layer = layer->number;
      layer->snapshot = entry;
    }
  layers->known = TRUE;
}

/* So that the chain of a machine that runs for long is bounded by its snapshots. That it cannot be
 * done now matters to nobody until there are too many. */
static gboolean
tidy_deep (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (_sandbox_layer_depth (work->snapshot->layers->top) <= SANDBOX_LAYERS_DEEP)
    return TRUE;
  /* what was named or lost its name until now, it has to know */
  if (!_sandbox_layers_save (work, error))
    return FALSE;
  if (_sandbox_layers_tidy (work, SANDBOX_TIDY_DEEP, cancellable, &local))
    return TRUE;
  if (g_cancellable_is_cancelled (cancellable) || !_sandbox_layers_reload (work, NULL)
      || _sandbox_layer_depth (work->snapshot->layers->top) >= SANDBOX_LAYERS_MAX)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  _sandbox_report (&work->report, "find", local->message, 0, 0);
  return TRUE;
}

static gboolean
check_room (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  const char *name = work->machine->name;

  if (work->snapshot->name != NULL && *work->snapshot->name != '\0'
      && work->snapshot->layers->entries->len >= SANDBOX_SNAPSHOTS_MAX)
    return sandbox_fail (
        error, SANDBOX_ERROR_WRONG_STATE,
        "snapshot of %s: it has %d snapshots already, and no more are kept; remove "
        "some with `vms snapshot delete %s SNAPSHOT`",
        name, SANDBOX_SNAPSHOTS_MAX, name);
  if (!tidy_deep (work, cancellable, error))
    return FALSE;
  if (_sandbox_layer_depth (work->snapshot->layers->top) < SANDBOX_LAYERS_MAX)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                       "snapshot of %s: its disk has %d layers on one another, and QEMU takes no "
                       "more; delete some of its snapshots while it is off",
                       name, SANDBOX_LAYERS_MAX);
}

static gboolean
choose_name (SandboxSnapshotWork *snapshot, const char *machine, GError **error)
{
  if (snapshot->name == NULL)
    {
      snapshot->name = _sandbox_snapshot_make_name (
          snapshot->layers, snapshot->checkpoint ? SANDBOX_CHECKPOINT_PREFIX : "snap");
      return TRUE;
    }
  if (_sandbox_layers_find (snapshot->layers, snapshot->name) == NULL)
    return TRUE;
  return sandbox_fail (
      error, SANDBOX_ERROR_EXISTS,
      "snapshot of %s: there is a snapshot \"%s\" already; choose another name, or "
      "remove it with `vms snapshot delete %s %s`",
      machine, snapshot->name, machine, snapshot->name);
}

gboolean
_sandbox_snapshot_find_top (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;
  const char *name = work->machine->name;
  g_autofree char *doing = NULL;

  if (!_sandbox_layers_sweep (work, error))
    return FALSE;
  if (snapshot->layers->top == NULL || !work->pieces.domain)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "snapshot of %s: it has no disk yet; `vms start %s` makes one", name,
                         name);
  doing = g_strdup_printf ("freezing the disk of %s", name);
  if (!_sandbox_layer_refuse_encrypted (snapshot->layers->top, doing,
                                        "snapshots, checkpoints, clones and exports of such "
                                        "machines are not made yet",
                                        error))
    return FALSE;
  if (work->pieces.virt_state == SANDBOX_VIRT_STOPPING)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "snapshot of %s: it is just powering off; try again in a moment", name);
  adopt (snapshot->layers);
  if (snapshot->checkpoint)
    drop_old_checkpoints (snapshot->layers);
  return choose_name (snapshot, name, error) && check_room (work, cancellable, error)
         && _sandbox_layers_save (work, error);
}

gboolean
_sandbox_snapshot_sync (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (SandboxSsh) ssh = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *out = NULL, *note = NULL;

  if (!_sandbox_pieces_running (&work->pieces))
    return TRUE;
  ssh = _sandbox_machine_ready (work->machine, cancellable, &local);
  if (ssh != NULL)
    out = _sandbox_ssh_capture (ssh, "sync", -1, 4096, SYNC_TIMEOUT_USEC, cancellable, &local);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (out != NULL)
    return TRUE;
  note = g_strdup_printf ("what the guest had not yet written is not in it: %s", local->message);
  _sandbox_report (&work->report, "sync", note, 0, 0);
  return TRUE;
}

gboolean
_sandbox_snapshot_make_layer (SandboxWork *work, const SandboxLayer *below, GError **error)
{
  SandboxSnapshotWork *snapshot = work->snapshot;
  g_autofree char *xml = NULL;

  snapshot->volume = _sandbox_layers_next (snapshot->layers, FALSE);
  xml = _sandbox_xml_layer_volume (snapshot->volume, below->capacity_bytes, below->path);
  snapshot->made_layer = TRUE;
  return _sandbox_virt_volume_create (work->host->virt, xml, NULL, error);
}

void
_sandbox_snapshot_undo_layer (gpointer data)
{
  SandboxWork *work = data;

  if (work->snapshot->made_layer)
    _sandbox_virt_volume_remove (work->host->virt, work->snapshot->volume, NULL);
}

gboolean
_sandbox_snapshot_layer (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_snapshot_make_layer (work, work->snapshot->layers->top, error);
}

static gboolean
write_name (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;
  SandboxSnapshotEntry *entry =
      _sandbox_layers_name (snapshot->layers, snapshot->name, snapshot->note);

  entry->running = _sandbox_pieces_running (&work->pieces);
  entry->automatic = snapshot->checkpoint;
  snapshot->made_entry = TRUE;
  return _sandbox_layers_save (work, error);
}

void
_sandbox_snapshot_undo_names (gpointer data)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;

  if (!snapshot->made_entry)
    return;
  _sandbox_layers_unname (snapshot->layers,
                          snapshot->kept != NULL ? snapshot->kept : snapshot->name);
  _sandbox_layers_save (work, NULL);
}

/* A machine that runs: from here on it writes to the new layer, and there is no way back. */
gboolean
_sandbox_snapshot_switch (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;
  g_autofree char *path = NULL, *xml = NULL;
  SandboxVirtVolume *volume;

  if (!_sandbox_pieces_running (&work->pieces) || _sandbox_host_is_test (work->host))
    return TRUE;
  volume = _sandbox_virt_volume_get (work->host->virt, snapshot->volume, error);
  if (volume == NULL)
    return FALSE;
  path = g_strdup (volume->path);
  _sandbox_virt_volume_free (volume);
  xml = _sandbox_xml_disk_switch (path);
  if (!_sandbox_virt_domain_switch_disk (work->host->virt, work->machine->object, xml, error))
    return FALSE;
  snapshot->made_layer = snapshot->made_entry = FALSE;
  return TRUE;
}

/* One that is off: this is what counts. */
gboolean
_sandbox_snapshot_define (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (work->machine, error);

  for (guint i = 0; layers != NULL && i < layers->all->len; i++)
    {
      const SandboxLayer *layer = layers->all->pdata[i];

      if (strcmp (layer->volume, snapshot->volume) != 0)
        continue;
      if (!_sandbox_layers_define (work, layer, error))
        return FALSE;
      snapshot->made_layer = snapshot->made_entry = FALSE;
      return TRUE;
    }
  return layers != NULL
         && sandbox_fail (error, SANDBOX_ERROR_FAILED,
                          "snapshot of %s: the new layer %s was removed while it was made",
                          work->machine->name, snapshot->volume);
}

static const SandboxRow create_rows[] = {
  { { "find", "looking at the disk", _sandbox_snapshot_find_top, NULL }, SANDBOX_ROW_ALWAYS },
  { { "sync", "asking the guest to write out what it has in memory", _sandbox_snapshot_sync, NULL },
    SANDBOX_ROW_REAL },
  { { "layer", "making a layer", _sandbox_snapshot_layer, _sandbox_snapshot_undo_layer },
    SANDBOX_ROW_ALWAYS },
  { { "name", "writing the name", write_name, _sandbox_snapshot_undo_names }, SANDBOX_ROW_ALWAYS },
  { { "switch", "freezing what was written", _sandbox_snapshot_switch, NULL }, SANDBOX_ROW_REAL },
  { { "define", "writing to the new layer", _sandbox_snapshot_define, NULL }, SANDBOX_ROW_ALWAYS },
};
const SandboxVerb _sandbox_verb_snapshot_create = { "snapshot-create", create_rows,
                                                    G_N_ELEMENTS (create_rows) };

char *
sandbox_machine_snapshot_create (SandboxMachine *machine, const SandboxSnapshotOptions *options,
                                 SandboxProgressFunc progress, gpointer user_data,
                                 GCancellable *cancellable, GError **error)
{
  SandboxSnapshotOptions own = SANDBOX_SNAPSHOT_OPTIONS_INIT;
  g_auto (SandboxWork) work = { 0 };

  if (!_sandbox_options_copy (&own, sizeof own, options, error)
      || (own.name != NULL && !sandbox_name_check ("snapshot", own.name, error)))
    return NULL;
  if (own.name != NULL && own.checkpoint)
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID,
                    "snapshot of %s: a checkpoint has a name of its own; leave %s out",
                    machine->name, own.name);
      return NULL;
    }
  if (own.note != NULL
      && (strlen (own.note) > SANDBOX_SNAPSHOT_NOTE_MAX || !g_utf8_validate (own.note, -1, NULL)))
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID,
                    "snapshot of %s: the note is too long, or no UTF-8: use at most %d bytes",
                    machine->name, SANDBOX_SNAPSHOT_NOTE_MAX);
      return NULL;
    }
  _sandbox_work_init (&work, machine, progress, user_data);
  work.snapshot = _sandbox_snapshot_work_new ();
  work.snapshot->name = g_strdup (own.name);
  work.snapshot->note = g_strdup (own.note);
  work.snapshot->checkpoint = own.checkpoint;
  if (!_sandbox_work_begin (&work, "snapshot", cancellable, error)
      || !_sandbox_work_run (&work, &_sandbox_verb_snapshot_create, cancellable, error))
    return NULL;
  return g_steal_pointer (&work.snapshot->name);
}

/* --- delete */

static gboolean
find_snapshot (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;

  if (!_sandbox_layers_sweep (work, error))
    return FALSE;
  snapshot->target = _sandbox_layers_find (snapshot->layers, snapshot->name);
  return snapshot->target != NULL
         || _sandbox_snapshot_fail_none (work, "deleting a snapshot of", error);
}

/* Without a name it is no snapshot any more; what comes then only frees room. */
static gboolean
remove_name (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  _sandbox_layers_unname (work->snapshot->layers, work->snapshot->name);
  return _sandbox_layers_save (work, error);
}

static gboolean
merge_layers (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *volume = g_strdup (work->snapshot->target->volume);

  if (!_sandbox_layers_tidy (work, SANDBOX_TIDY_ALL, cancellable, error))
    return FALSE;
  for (guint i = 0; i < work->snapshot->layers->all->len; i++)
    {
      const SandboxLayer *layer = work->snapshot->layers->all->pdata[i];
      g_autofree char *size = sandbox_size_human (layer->allocation_bytes);
      g_autofree char *note = NULL;

      if (strcmp (layer->volume, volume) != 0)
        continue;
      note =
          g_strdup_printf ("its %s are still needed by what goes on from it; they are freed when "
                           "a snapshot is deleted while the machine is off, and only one goes on",
                           size);
      _sandbox_report (&work->report, "room", note, 0, 0);
    }
  return TRUE;
}

static const SandboxRow delete_rows[] = {
  { { "find", "looking for the snapshot", find_snapshot, NULL }, SANDBOX_ROW_ALWAYS },
  { { "name", "removing the name", remove_name, NULL }, SANDBOX_ROW_ALWAYS },
  { { "merge", "freeing its room", merge_layers, NULL }, SANDBOX_ROW_ALWAYS },
};
const SandboxVerb _sandbox_verb_snapshot_delete = { "snapshot-delete", delete_rows,
                                                    G_N_ELEMENTS (delete_rows) };

gboolean
sandbox_machine_snapshot_delete (SandboxMachine *machine, const char *name,
                                 SandboxProgressFunc progress, gpointer user_data,
                                 GCancellable *cancellable, GError **error)
{
  g_auto (SandboxWork) work = { 0 };

  _sandbox_work_init (&work, machine, progress, user_data);
  work.snapshot = _sandbox_snapshot_work_new ();
  work.snapshot->name = g_strdup (name);
  return _sandbox_work_begin (&work, "snapshot delete", cancellable, error)
         && _sandbox_work_run (&work, &_sandbox_verb_snapshot_delete, cancellable, error);
}
