// SPDX-License-Identifier: LGPL-2.1-or-later
// The layers of a machine as they are in libvirt: read, tidied, removed.
#include "facade/layers.h"
#include "facade/warm.h"

#include <string.h>

SandboxSnapshotWork *
_sandbox_snapshot_work_new (void)
{
  return g_new0 (SandboxSnapshotWork, 1);
}

void
_sandbox_snapshot_work_free (SandboxSnapshotWork *snapshot)
{
  if (snapshot == NULL)
    return;
  _sandbox_layers_free (snapshot->layers);
  g_free (snapshot->name);
  g_free (snapshot->note);
  g_free (snapshot->volume);
  g_free (snapshot->kept);
  g_free (snapshot);
}

SandboxSnapshotEntry *
_sandbox_layers_name (SandboxLayers *layers, const char *name, const char *note)
{
  SandboxSnapshotEntry *entry = g_new0 (SandboxSnapshotEntry, 1);

  entry->name = g_strdup (name);
  entry->note = g_strdup (note != NULL ? note : "");
  entry->layer = layers->top->number;
  entry->created_usec = g_get_real_time ();
  g_ptr_array_add (layers->entries, entry);
  return entry;
}

void
_sandbox_layers_unname (SandboxLayers *layers, const char *name)
{
  SandboxLayer *layer = _sandbox_layers_find (layers, name);

  if (layer != NULL)
    layer->snapshot = NULL;
  for (guint i = 0; i < layers->entries->len; i++)
    if (strcmp (((SandboxSnapshotEntry *)layers->entries->pdata[i])->name, name) == 0)
      g_ptr_array_remove_index (layers->entries, i--);
}

/* What the domain writes to now: what runs, else what is defined. NULL without a domain. */
static gboolean
read_top (SandboxMachine *machine, char **ret_path, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *xml =
      _sandbox_virt_domain_xml (machine->host->virt, machine->object, TRUE, &local);

  if (xml == NULL && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  *ret_path = xml != NULL ? _sandbox_xml_disk_path (xml) : NULL;
  return TRUE;
}

GPtrArray *
_sandbox_layers_volumes (SandboxHost *host, GError **error)
{
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (host->virt, "vms-", TRUE, error);
  /* what provisioning has made, and the layers of warm images, stand between the machine's own
   * layers and the image */
  g_autoptr (GPtrArray) provisioned =
      volumes != NULL ? _sandbox_virt_list_volumes (host->virt, "layer.", TRUE, error) : NULL;
  g_autoptr (GPtrArray) warm =
      provisioned != NULL ? _sandbox_virt_list_volumes (host->virt, "warm.", TRUE, error) : NULL;

  if (warm == NULL)
    return NULL;
  g_ptr_array_extend_and_steal (volumes, g_steal_pointer (&provisioned));
  g_ptr_array_extend_and_steal (volumes, g_steal_pointer (&warm));
  return g_steal_pointer (&volumes);
}

SandboxLayers *
_sandbox_layers_of (SandboxMachine *machine, const GPtrArray *volumes, GError **error)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autoptr (SandboxMerge) merge = state_fd >= 0 ? _sandbox_merge_read (state_fd) : NULL;
  g_autoptr (GPtrArray) entries = NULL;
  g_autofree char *top = NULL;
  gboolean known = FALSE;

  if (!read_top (machine, &top, error))
    return NULL;
  entries =
      state_fd >= 0 ? _sandbox_snapshots_read (state_fd, &known, error) : _sandbox_snapshots_new ();
  if (entries == NULL)
    return NULL;
  return _sandbox_layers_new (machine->object, volumes, g_steal_pointer (&entries), known, top,
                              merge, error);
}

SandboxLayers *
_sandbox_layers_load (SandboxMachine *machine, GError **error)
{
  g_autoptr (GPtrArray) volumes = _sandbox_layers_volumes (machine->host, error);

  return volumes != NULL ? _sandbox_layers_of (machine, volumes, error) : NULL;
}

gboolean
_sandbox_layers_define (SandboxWork *work, const SandboxLayer *top, GError **error)
{
  SandboxVirt *virt = work->host->virt;
  g_autofree char *old = NULL, *new = NULL;
  g_autofree const char **below = _sandbox_layer_below (top);
  g_autoptr (GPtrArray) paths = g_ptr_array_new ();
  const char *base = _sandbox_layer_base (top);

  if (!work->pieces.domain)
    return TRUE;
  for (const char **path = below; *path != NULL; path++)
    g_ptr_array_add (paths, (gpointer)*path);
  if (*base != '\0')
    g_ptr_array_add (paths, (gpointer)base);
  g_ptr_array_add (paths, NULL);
  old = _sandbox_virt_domain_xml (virt, work->machine->object, FALSE, error);
  if (old != NULL)
    new = _sandbox_xml_with_disk (old, top->path, (const char *const *)paths->pdata, error);
  return new != NULL &&_sandbox_virt_domain_define (virt, new, error);
}

gboolean
_sandbox_layers_save (SandboxWork *work, GError **error)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (work->machine, TRUE, error);

  return state_fd >= 0
         && _sandbox_snapshots_write (state_fd, work->snapshot->layers->entries, error);
}

static gboolean
remove_layer (SandboxWork *work, SandboxLayers *layers, SandboxLayer *layer, GError **error)
{
  if (!_sandbox_virt_volume_remove (work->host->virt, layer->volume, error))
    return FALSE;
  _sandbox_layers_remove (layers, layer);
  return TRUE;
}

/* Whether nothing is there of the machine that @layer belongs to, and it is one of the caller's. */
static gboolean
is_left_behind (SandboxHost *host, const SandboxLayer *layer)
{
  g_autofree char *object = _sandbox_layer_object (layer->volume);
  g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, object);
  g_autofree char *state = NULL;
  gboolean exists = TRUE;

  if (name == NULL || layer->own || layer->children > 0)
    return FALSE;
  state = g_build_filename (host->state_dir, name, NULL);
  return !g_file_test (state, G_FILE_TEST_EXISTS)
         && _sandbox_virt_domain_state (host->virt, object, &exists, NULL, NULL) && !exists;
}

/* Of a machine that is still there: what only the one that is destroyed stood on is of no use now.
 * A machine that is busy looks for such layers itself with its next verb; to wait for it here,
 * holding another lock, could be for ever. */
static void
sweep_other (SandboxHost *host, const char *object)
{
  g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, object);
  g_autoptr (SandboxMachine) machine = name != NULL ? _sandbox_machine_new (host, name) : NULL;
  g_autoptr (GError) local = NULL;
  g_auto (SandboxWork) work = { 0 };

  if (machine == NULL || !g_file_test (machine->state_path, G_FILE_TEST_EXISTS))
    return;
  _sandbox_work_init (&work, machine, NULL, NULL);
  work.lock_wait_usec = 0;
  work.snapshot = _sandbox_snapshot_work_new ();
  if (!_sandbox_work_begin (&work, "tidy", NULL, &local) || !work.pieces.domain
      || !_sandbox_layers_sweep (&work, &local))
    g_debug ("layers of %s that are of no use stay for now: %s", name,
             local != NULL ? local->message : "it has no definition");
}

/* The layer of kept memory that is no more: the last disk on it is gone. */
static gboolean
is_left_warm (SandboxHost *host, const SandboxLayer *layer)
{
  return layer->children == 0 && _sandbox_warm_is_left (host, layer->volume);
}

/* @layer, which belonged to a machine that is no more, and what only it stood on. */
static gboolean
remove_left_behind (SandboxWork *work, SandboxLayers *layers, SandboxLayer *layer, GError **error)
{
  while (layer != NULL && (is_left_behind (work->host, layer) || is_left_warm (work->host, layer)))
    {
      SandboxLayer *below = layer->below;

      if (!remove_layer (work, layers, layer, error))
        return FALSE;
      layer = below;
    }
  if (layer != NULL && !layer->own && layer->children == 0)
    {
      g_autofree char *object = _sandbox_layer_object (layer->volume);

      sweep_other (work->host, object);
    }
  return TRUE;
}

/* What is of no use, and what of other machines was there for that only. */
static gboolean
sweep (SandboxWork *work, SandboxLayers *layers, GError **error)
{
  SandboxLayer *layer;

  while ((layer = _sandbox_layers_find_useless (layers)) != NULL)
    {
      SandboxLayer *below = layer->below;

      if (!remove_layer (work, layers, layer, error)
          || (below != NULL && !below->own && !remove_left_behind (work, layers, below, error)))
        return FALSE;
    }
  return TRUE;
}

gboolean
_sandbox_layers_reload (SandboxWork *work, GError **error)
{
  g_clear_pointer (&work->snapshot->layers, _sandbox_layers_free);
  work->snapshot->layers = _sandbox_layers_load (work->machine, error);
  return work->snapshot->layers != NULL;
}

gboolean
_sandbox_layers_sweep (SandboxWork *work, GError **error)
{
  return _sandbox_layers_reload (work, error) && sweep (work, work->snapshot->layers, error);
}

/* From the leaves down. */
static SandboxLayer *
find_last (const SandboxLayers *layers)
{
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (layer->own && layer->children == 0)
        return layer;
    }
  return NULL;
}

gboolean
_sandbox_layers_only_shared (SandboxHost *host, const char *object)
{
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (host->virt, "vms-", TRUE, NULL);
  g_autoptr (SandboxLayers) layers =
      volumes != NULL
          ? _sandbox_layers_new (object, volumes, _sandbox_snapshots_new (), FALSE, "", NULL, NULL)
          : NULL;

  return layers != NULL && find_last (layers) == NULL;
}

gboolean
_sandbox_layers_destroy (SandboxWork *work, GError **error)
{
  g_autoptr (GPtrArray) volumes = _sandbox_layers_volumes (work->host, error);
  g_autoptr (SandboxLayers) layers = NULL;
  SandboxLayer *layer;

  if (volumes == NULL)
    return FALSE;
  /* neither names nor top matter any more */
  layers = _sandbox_layers_new (work->machine->object, volumes, _sandbox_snapshots_new (), FALSE,
                                "", NULL, error);
  while (layers != NULL && (layer = find_last (layers)) != NULL)
    {
      SandboxLayer *below = layer->below;

      if (!remove_layer (work, layers, layer, error)
          || !remove_left_behind (work, layers, below, error))
        return FALSE;
    }
  return layers != NULL;
}
