// SPDX-License-Identifier: LGPL-2.1-or-later
// Revert: a new layer on an older one. What was written since is kept as a snapshot, unless it
// shall go. Everything that can be refused is refused before the machine is switched off.
#include "facade/keep.h"
#include "facade/provision-private.h"

#include <string.h>

/* As with recreate: the time is for what the guest still writes. */
#define GRACE_USEC (20 * G_USEC_PER_SEC)

static SandboxLayer *
default_target (SandboxLayers *layers)
{
  const SandboxLayer *near = _sandbox_layer_snapshot (layers->top);

  return near != NULL ? _sandbox_layers_find (layers, near->snapshot->name) : NULL;
}

/* A machine that ran has to start again, too. */
static gboolean
check_startable (SandboxWork *work, GError **error)
{
  g_autoptr (SandboxProfile) profile = NULL;
  static const char *const none[] = { NULL };
  g_autofree char *xml = NULL;

  xml = _sandbox_xml_with_disk (work->old_xml, "/", none, error);
  if (xml == NULL || !_sandbox_pieces_running (&work->pieces))
    return xml != NULL;
  profile = _sandbox_machine_load_profile (work->machine, error);
  return profile != NULL;
}

/* The state that is left takes a name and a layer of its own. */
static gboolean
check_depth (SandboxWork *work, GError **error)
{
  const char *name = work->machine->name;
  const SandboxSnapshotWork *snapshot = work->snapshot;

  if (_sandbox_layer_depth (snapshot->target) < SANDBOX_LAYERS_MAX
      && snapshot->layers->entries->len < 2 * SANDBOX_SNAPSHOTS_MAX - 1)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                       "revert %s: what it would go back to stands on %u layers, and it has %u "
                       "snapshots, which is as many as there may be; delete some of them with "
                       "`vms snapshot delete %s SNAPSHOT` while it is off",
                       name, _sandbox_layer_depth (snapshot->target),
                       snapshot->layers->entries->len, name);
}

static gboolean
find_target (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;
  const char *name = work->machine->name;

  if (!work->pieces.domain)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "revert %s: libvirt has no definition of it; `vms start %s` makes one",
                         name, name);
  if (!_sandbox_layers_sweep (work, error))
    return FALSE;
  snapshot->target = snapshot->name != NULL
                         ? _sandbox_layers_find (snapshot->layers, snapshot->name)
                         : default_target (snapshot->layers);
  if (snapshot->target == NULL && snapshot->name != NULL)
    return _sandbox_snapshot_fail_none (work, "reverting", error);
  if (snapshot->target == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "revert %s: there is no snapshot that it goes on from; see `vms snapshot "
                         "list %s`",
                         name, name);
  if (snapshot->name == NULL)
    snapshot->name = g_strdup (snapshot->target->snapshot->name);
  return check_depth (work, error) && check_startable (work, error);
}

static gboolean
make_layer (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;

  /* nothing of what was known may be from before it was switched off */
  if (!_sandbox_layers_sweep (work, error))
    return FALSE;
  snapshot->target = _sandbox_layers_find (snapshot->layers, snapshot->name);
  if (snapshot->target == NULL)
    return _sandbox_snapshot_fail_none (work, "reverting", error);
  return _sandbox_snapshot_make_layer (work, snapshot->target, error);
}

static SandboxLayer *
find_volume (const SandboxLayers *layers, const char *volume)
{
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (strcmp (layer->volume, volume) == 0)
        return layer;
    }
  return NULL;
}

/* Automatic ones that nothing goes on from, the oldest first, as far as there are too many. */
static void
drop_old_automatic (SandboxLayers *layers)
{
  guint n = 0;

  for (guint i = layers->entries->len; i > 0; i--)
    {
      const SandboxSnapshotEntry *entry = layers->entries->pdata[i - 1];
      const SandboxLayer *layer = _sandbox_layers_find (layers, entry->name);

      if (!entry->automatic || _sandbox_snapshot_is_checkpoint (entry)
          || ++n <= SANDBOX_SNAPSHOTS_AUTOMATIC_MAX)
        continue;
      if (layer != NULL && layer->children == 0)
        {
          g_autofree char *name = g_strdup (entry->name);

          _sandbox_layers_unname (layers, name);
        }
    }
}

/* Nothing is lost with the state that is left: nothing was written to its layer, which is as large
 * as the new one then, and what that stands on has a name still. */
static gboolean
is_kept (const SandboxLayers *layers, const SandboxLayer *new)
{
  const SandboxLayer *top = layers->top;

  return top == NULL || new == NULL
         || (top->allocation_bytes <= new->allocation_bytes
             && (top->below == NULL || top->below->snapshot != NULL));
}

static gboolean
keep_present (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (work->machine, error);
  const SandboxLayer *new = layers != NULL ? find_volume (layers, snapshot->volume) : NULL;
  g_autofree char *note = NULL;
  SandboxSnapshotEntry *entry;

  if (layers == NULL)
    return FALSE;
  /* a name that a killed snapshot gave to the state that is left would be valid from now on */
  if (snapshot->discard || is_kept (layers, new))
    return _sandbox_layers_save (work, error);
  snapshot->kept = _sandbox_snapshot_make_name (snapshot->layers, "auto");
  note = g_strdup_printf ("before the revert to %s", snapshot->name);
  entry = _sandbox_layers_name (snapshot->layers, snapshot->kept, note);
  entry->automatic = TRUE;
  snapshot->made_entry = TRUE;
  return _sandbox_layers_save (work, error);
}

/* This is what counts. */
static gboolean
switch_layer (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxSnapshotWork *snapshot = work->snapshot;
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (work->machine, error);
  const SandboxLayer *new = layers != NULL ? find_volume (layers, snapshot->volume) : NULL;

  if (layers == NULL)
    return FALSE;
  if (new == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "revert %s: the new layer %s was removed while it was made",
                         work->machine->name, snapshot->volume);
  if (!_sandbox_provision_forget (work->machine, error)
      || !_sandbox_records_revert (work->machine, error)
      || !_sandbox_layers_define (work, new, error))
    return FALSE;
  snapshot->made_layer = snapshot->made_entry = FALSE;
  return TRUE;
}

static gboolean
tidy (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  if (!_sandbox_layers_sweep (work, error))
    return FALSE;
  drop_old_automatic (work->snapshot->layers);
  return _sandbox_layers_save (work, error)
         && _sandbox_layers_tidy (work, SANDBOX_TIDY_ALL, cancellable, error);
}

static const SandboxRow revert_rows[] = {
  { { "find", "looking for the snapshot", find_target, NULL }, SANDBOX_ROW_ALWAYS },
  { { "changes", "looking for changes that were not applied", _sandbox_step_save_changes, NULL },
    SANDBOX_ROW_REAL },
  { { "shutdown", "waiting for the guest to power off", _sandbox_step_shutdown, NULL },
    SANDBOX_ROW_ALWAYS },
  { { "keeper", "ending the keeper", _sandbox_step_stop_keeper, NULL }, SANDBOX_ROW_REAL },
  { { "network", "taking the network down", _sandbox_step_stop_network, NULL },
    SANDBOX_ROW_ALWAYS },
  { { "layer", "making a layer on the snapshot", make_layer, _sandbox_snapshot_undo_layer },
    SANDBOX_ROW_ALWAYS },
  { { "keep", "keeping the state that is left", keep_present, _sandbox_snapshot_undo_names },
    SANDBOX_ROW_ALWAYS },
  { { "switch", "going back", switch_layer, NULL }, SANDBOX_ROW_ALWAYS },
  { { "merge", "freeing what nobody needs", tidy, NULL }, SANDBOX_ROW_ALWAYS },
};
const SandboxVerb _sandbox_verb_revert = { "revert", revert_rows, G_N_ELEMENTS (revert_rows) };

/* Under the lock that @work holds. */
static gboolean
start_again (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  g_auto (SandboxWork) start = { 0 };

  _sandbox_work_init (&start, work->machine, work->report.func, work->report.user_data);
  start.boot = TRUE;
  if (_sandbox_machine_pieces (start.machine, &start.pieces, error)
      && _sandbox_machine_read_domain (start.machine, &start.old_xml, &start.old_meta, error)
      && _sandbox_work_run (&start, &_sandbox_verb_start, cancellable, error))
    return TRUE;
  g_prefix_error (error, "revert %s: its disk is as it was at %s, but: ", work->machine->name,
                  work->snapshot->name);
  return FALSE;
}

gboolean
sandbox_machine_revert (SandboxMachine *machine, const SandboxRevertOptions *options,
                        SandboxProgressFunc progress, gpointer user_data, GCancellable *cancellable,
                        char **ret_kept, GError **error)
{
  SandboxRevertOptions own = SANDBOX_REVERT_OPTIONS_INIT;
  g_auto (SandboxWork) work = { 0 };
  gboolean ran;

  if (!_sandbox_options_copy (&own, sizeof own, options, error))
    return FALSE;
  _sandbox_work_init (&work, machine, progress, user_data);
  work.snapshot = _sandbox_snapshot_work_new ();
  work.snapshot->name = g_strdup (own.snapshot);
  work.snapshot->discard = own.discard;
  work.force = TRUE;
  /* otherwise they are in the snapshot that is made of the present state */
  work.keep_changes = own.discard ? "revert" : NULL;
  work.timeout_usec = own.force ? 1 : GRACE_USEC;
  if (!_sandbox_work_begin (&work, "revert", cancellable, error))
    return FALSE;
  ran = _sandbox_pieces_running (&work.pieces);
  if (!_sandbox_work_run (&work, &_sandbox_verb_revert, cancellable, error))
    return FALSE;
  if (ret_kept != NULL)
    *ret_kept = g_strdup (work.snapshot->kept);
  return !ran || start_again (&work, cancellable, error);
}
