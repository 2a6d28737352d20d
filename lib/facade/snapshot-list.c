// SPDX-License-Identifier: LGPL-2.1-or-later
// The tree of a machine's snapshots, told.
#include "facade/layers.h"

#include <string.h>

void
sandbox_snapshot_free (SandboxSnapshot *snapshot)
{
  if (snapshot == NULL)
    return;
  g_free (snapshot->name);
  g_free (snapshot->note);
  g_free (snapshot->parent);
  g_strfreev (snapshot->used_by);
  g_free (snapshot);
}

/* Names of machines of the caller's whose disks stand on @layer, with nothing of ours in between.
 */
static char **
copies_on (SandboxMachine *machine, const SandboxLayers *layers, const SandboxLayer *layer)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < layers->all->len; i++)
    {
      const SandboxLayer *other = layers->all->pdata[i];
      g_autofree char *object = NULL, *name = NULL;

      if (other->own || other->below != layer)
        continue;
      object = _sandbox_layer_object (other->volume);
      name = _sandbox_object_parse (machine->host->uid, machine->host->owner, object);
      if (g_hash_table_add (seen, g_strdup (object)))
        g_strv_builder_add (builder, name != NULL ? name : object);
    }
  return g_strv_builder_end (builder);
}

static SandboxSnapshot *
describe (SandboxMachine *machine, const SandboxLayers *layers, const SandboxLayer *layer)
{
  const SandboxLayer *parent = _sandbox_layer_snapshot (layer->below);
  const SandboxSnapshotEntry *entry = layer->snapshot;
  SandboxSnapshot *snapshot = g_new0 (SandboxSnapshot, 1);

  snapshot->name = g_strdup (entry != NULL ? entry->name : "");
  snapshot->note = g_strdup (entry != NULL ? entry->note : "");
  snapshot->parent = g_strdup (parent != NULL ? parent->snapshot->name : "");
  snapshot->created_usec = entry != NULL ? entry->created_usec : 0;
  snapshot->automatic = entry != NULL && entry->automatic;
  snapshot->running = entry != NULL && entry->running;
  snapshot->disk_bytes = _sandbox_layer_bytes (layer);
  snapshot->used_by = copies_on (machine, layers, layer);
  return snapshot;
}

/* Those whose next snapshot below is @parent (nullable: the image), in the order in which they were
 * made, each followed by its own children; then the present state. */
static void
add_children (GPtrArray *list, SandboxMachine *machine, const SandboxLayers *layers,
              const SandboxLayer *parent, guint depth)
{
  for (guint i = 0; depth <= SANDBOX_SNAPSHOTS_MAX && i < layers->entries->len; i++)
    {
      const SandboxSnapshotEntry *entry = layers->entries->pdata[i];
      const SandboxLayer *layer = _sandbox_layers_find (layers, entry->name);

      if (layer == NULL || _sandbox_layer_snapshot (layer->below) != parent)
        continue;
      g_ptr_array_add (list, describe (machine, layers, layer));
      add_children (list, machine, layers, layer, depth + 1);
    }
  if (layers->top != NULL && _sandbox_layer_snapshot (layers->top) == parent)
    g_ptr_array_add (list, describe (machine, layers, layers->top));
}

GPtrArray *
sandbox_machine_snapshot_list (SandboxMachine *machine, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxLayers) layers = NULL;
  GPtrArray *list;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  layers = _sandbox_layers_load (machine, error);
  if (layers == NULL)
    return NULL;
  list = g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_snapshot_free);
  add_children (list, machine, layers, NULL, 0);
  return list;
}
