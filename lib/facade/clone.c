// SPDX-License-Identifier: LGPL-2.1-or-later
// Clone: a machine's disk and profile under a new name and identity. Nothing is copied: the layer
// that the source writes to is frozen, and both go on with a layer of their own on it. The profile
// comes last: a copy that was interrupted has none, so that nobody can start half a machine, and
// the next clone or destroy of that name clears it away.
#include "facade/layers.h"

#include <string.h>
#include <unistd.h>

/* In the state directory of a copy that is not whole yet: what may be cleared away unasked. */
#define MARK "cloning"

static gboolean
read_source (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const char *from = work->source->name, *to = work->machine->name;
  SandboxPieces pieces;
  g_autoptr (GError) local = NULL;
  g_autofree char *file = g_strconcat (to, ".profile", NULL);

  if (!_sandbox_machine_pieces (work->source, &pieces, error))
    return FALSE;
  if (!pieces.disk || !pieces.domain)
    return sandbox_fail (
        error, SANDBOX_ERROR_WRONG_STATE,
        "clone %s: it has no disk yet; make a new machine with `vms create %s --profile %s`", from,
        to, from);
  work->profile_text = _sandbox_profile_own_text (work->host, from, &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (work->profile_text == NULL)
    work->profile_text = g_strdup_printf ("[profile]\ninherits=%s\n", from);
  else if (_sandbox_profile_is_shipped (work->host, from))
    {
      /* The user's additions to a shipped profile: as its heir the clone has all of them. */
      g_free (work->profile_text);
      work->profile_text = g_strdup_printf ("[profile]\ninherits=%s\n", from);
    }
  work->profile =
      sandbox_profile_parse (&work->host->profiles, to, file, work->profile_text, -1, error);
  return work->profile != NULL;
}

static gboolean
find_image (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_work_find_image (work->source, work->profile, FALSE, &work->image, error);
}

gboolean
_sandbox_step_new_keys (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  sandbox_autofd int fd = -1;

  if (!_sandbox_step_keys (work, cancellable, error))
    return FALSE;
  fd = _sandbox_machine_state_fd (work->machine, FALSE, error);
  return fd >= 0 && sandbox_file_write_at (fd, MARK, "", 0, 0600, error);
}

/* --- steps on the source */

static gboolean
find_layers (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_snapshot_find_top (work->from, cancellable, error);
}

static gboolean
sync_source (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_snapshot_sync (work->from, cancellable, error);
}

static gboolean
make_layer (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_snapshot_layer (work->from, cancellable, error);
}

static void
undo_layer (gpointer data)
{
  SandboxWork *work = data;

  _sandbox_snapshot_undo_layer (work->from);
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

/* Off, and nothing was written since the last layer was frozen: the copy can stand on that, so that
 * copies of one machine do not make its chain of layers longer and longer. */
static gboolean
is_unwritten (const SandboxWork *source, const SandboxLayers *layers)
{
  const SandboxLayer *new = find_volume (layers, source->snapshot->volume);

  return !_sandbox_pieces_running (&source->pieces) && new != NULL
         && layers->top->allocation_bytes <= new->allocation_bytes;
}

/* What the copy stands on: in its plan. */
static void
stand_on (SandboxWork *work, const SandboxLayer *top, gboolean with_top)
{
  g_autofree const char **below = _sandbox_layer_below (top);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  if (with_top)
    g_strv_builder_add (builder, top->path);
  for (const char **path = below; *path != NULL; path++)
    g_strv_builder_add (builder, *path);
  g_strfreev (work->plan->layers);
  work->plan->layers = g_strv_builder_end (builder);
  work->plan->disk_bytes = MAX (work->plan->disk_bytes, top->capacity_bytes);
}

static gboolean
freeze (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxWork *source = work->from;
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (work->source, error);

  if (layers == NULL)
    return FALSE;
  if (layers->top == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED, "clone %s: its disk was removed meanwhile",
                         work->source->name);
  if (is_unwritten (source, layers))
    {
      stand_on (work, layers->top, FALSE);
      _sandbox_snapshot_undo_layer (source);
      source->snapshot->made_layer = FALSE;
      return TRUE;
    }
  stand_on (work, layers->top, TRUE);
  return _sandbox_snapshot_switch (source, cancellable, error);
}

static gboolean
define_source (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  /* it stayed as it was, or was switched while it runs: that is followed in any case */
  if (!work->from->snapshot->made_layer && !_sandbox_pieces_running (&work->from->pieces))
    return TRUE;
  return _sandbox_snapshot_define (work->from, cancellable, error);
}

static gboolean
make_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *xml = NULL;

  /* what it stands on is not, and there is no passphrase: a profile that wants it is told at start
   */
  work->plan->encrypted = FALSE;
  xml = _sandbox_xml_disk_volume (work->plan);
  if (!_sandbox_host_is_test (work->host)
      && !_sandbox_records_clone (work->source, work->machine, error))
    return FALSE;
  return _sandbox_virt_volume_create (work->host->virt, xml, &work->made.disk, error)
         && _sandbox_work_forget_snapshots (work, error);
}

gboolean
_sandbox_step_new_profile (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  sandbox_autofd int fd = _sandbox_machine_state_fd (work->machine, FALSE, NULL);

  if (!sandbox_profile_save (&work->host->profiles, work->machine->name, work->profile_text, FALSE,
                             error))
    return FALSE;
  work->made.profile = TRUE;
  if (fd >= 0)
    unlinkat (fd, MARK, 0);
  return TRUE;
}

static const SandboxRow clone_rows[] = {
  { { "profile", "reading the profile", read_source, NULL }, SANDBOX_ROW_ALWAYS },
  { { "image", "looking for the image", find_image, NULL }, SANDBOX_ROW_REAL },
  { { "plan", "making the plan", _sandbox_step_plan, NULL }, SANDBOX_ROW_ALWAYS },
  { { "keys", "making keys", _sandbox_step_new_keys, _sandbox_undo_keys }, SANDBOX_ROW_REAL },
  { { "network", "making the network", _sandbox_step_network, _sandbox_undo_network },
    SANDBOX_ROW_ALWAYS },
  { { "find", "looking at the disk", find_layers, NULL }, SANDBOX_ROW_ALWAYS },
  { { "sync", "asking the guest to write out what it has in memory", sync_source, NULL },
    SANDBOX_ROW_REAL },
  { { "layer", "making a layer for the source", make_layer, undo_layer }, SANDBOX_ROW_ALWAYS },
  { { "freeze", "freezing what was written", freeze, NULL }, SANDBOX_ROW_ALWAYS },
  { { "switch", "letting the source write to its new layer", define_source, NULL },
    SANDBOX_ROW_ALWAYS },
  { { "disk", "making a layer for the copy", make_disk, _sandbox_undo_disk }, SANDBOX_ROW_ALWAYS },
  { { "domain", "defining the machine", _sandbox_step_domain, _sandbox_undo_domain },
    SANDBOX_ROW_ALWAYS },
  { { "idle", "taking the network down", _sandbox_step_stop_network, NULL }, SANDBOX_ROW_ALWAYS },
  { { "save", "saving the profile", _sandbox_step_new_profile, _sandbox_undo_profile },
    SANDBOX_ROW_ALWAYS },
};
const SandboxVerb _sandbox_verb_clone = { "clone", clone_rows, G_N_ELEMENTS (clone_rows) };

gboolean
_sandbox_new_name_is_free (SandboxHost *host, const char *verb, const char *name, GError **error)
{
  g_autoptr (SandboxProfile) profile = NULL;
  g_autoptr (GError) local = NULL;

  if (!sandbox_name_check ("machine", name, error))
    return FALSE;
  profile = sandbox_profile_load (&host->profiles, name, &local);
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                       "%s to %s: there is a profile of that name already; choose another", verb,
                       name);
}

/* A killed clone's work, or not enough of anything to be a machine. */
static gboolean
is_leftover (SandboxWork *work)
{
  g_autofree char *mark = g_build_filename (work->machine->state_path, MARK, NULL);

  if (_sandbox_pieces_running (&work->pieces))
    return FALSE;
  return g_file_test (mark, G_FILE_TEST_EXISTS) || !(work->pieces.domain || work->pieces.disk);
}

/* One that its user made, and whose profile is only gone, is not touched. */
gboolean
_sandbox_new_clear_leftovers (SandboxWork *work, const char *verb, GCancellable *cancellable,
                              GError **error)
{
  g_auto (SandboxWork) destroy = { 0 };

  if (!_sandbox_pieces_any (&work->pieces))
    return TRUE;
  if (!is_leftover (work))
    return sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                         "%s to %s: there is a machine of that name, without its profile; "
                         "choose another, or remove it with `vms destroy %s`",
                         verb, work->machine->name, work->machine->name);
  _sandbox_work_init (&destroy, work->machine, work->report.func, work->report.user_data);
  if (!_sandbox_destroy_locked (&destroy, cancellable, error))
    return FALSE;
  g_clear_pointer (&work->old_xml, g_free);
  g_clear_pointer (&work->old_meta, _sandbox_domain_meta_free);
  work->pieces = (SandboxPieces){ 0 };
  return TRUE;
}

SandboxMachine *
sandbox_machine_clone (SandboxMachine *machine, const char *new_name, SandboxProgressFunc progress,
                       gpointer user_data, GCancellable *cancellable, GError **error)
{
  SandboxHost *host = machine->host;
  g_autoptr (SandboxMachine) target = NULL;
  g_auto (SandboxWork) work = { 0 }, source = { 0 };
  SandboxWork *first = &source, *second = &work;

  if (!_sandbox_new_name_is_free (host, "clone", new_name, error))
    return NULL;
  target = _sandbox_machine_new (host, new_name);
  _sandbox_work_init (&work, target, progress, user_data);
  _sandbox_work_init (&source, machine, progress, user_data);
  work.source = sandbox_machine_ref (machine);
  work.from = &source;
  source.snapshot = _sandbox_snapshot_work_new ();
  source.snapshot->name = g_strdup (""); /* a frozen layer without a name */
  /* Two locks, always in the order of the names: two clones that cross cannot wait for one another.
   */
  if (strcmp (new_name, machine->name) < 0)
    {
      first = &work;
      second = &source;
    }
  if (!_sandbox_work_begin (first, "clone", cancellable, error)
      || !_sandbox_work_begin (second, "clone", cancellable, error)
      || !_sandbox_new_name_is_free (host, "clone", new_name, error)
      || !_sandbox_new_clear_leftovers (&work, "clone", cancellable, error)
      || !_sandbox_work_run (&work, &_sandbox_verb_clone, cancellable, error))
    return NULL;
  return g_steal_pointer (&target);
}
