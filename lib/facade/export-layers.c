// SPDX-License-Identifier: LGPL-2.1-or-later
// Which layers of a disk an export has, and in which order. No effects.
#include "facade/export.h"

typedef struct
{
  const SandboxLayers *layers;
  GHashTable *needed; /* of SandboxLayer: named, or written to, or stood upon by one of these */
  GPtrArray *order;
} Walk;

static void
need (GHashTable *needed, SandboxLayer *layer)
{
  while (layer != NULL && layer->own && g_hash_table_add (needed, layer))
    layer = layer->below;
}

static GHashTable *
find_needed (const SandboxLayers *layers)
{
  GHashTable *needed = g_hash_table_new (NULL, NULL);

  need (needed, layers->top);
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (layer->snapshot != NULL)
        need (needed, layer);
    }
  return needed;
}

/* The one that stands on @layer; NULL when there are none or several. */
static SandboxLayer *
only_one_above (const Walk *walk, const SandboxLayer *layer)
{
  SandboxLayer *above = NULL;
  guint n = 0;

  for (guint i = 0; i < walk->layers->all->len; i++)
    {
      SandboxLayer *other = walk->layers->all->pdata[i];

      if (other->below != layer || !g_hash_table_contains (walk->needed, other))
        continue;
      above = other;
      n++;
    }
  return n == 1 ? above : NULL;
}

/* The lowest one that matters by itself: what is below it, other machines' layers and images
 * included, is made one with it. */
static SandboxLayer *
find_base (const Walk *walk)
{
  SandboxLayer *top = walk->layers->top, *layer = top, *above;

  while (layer->below != NULL && g_hash_table_contains (walk->needed, layer->below))
    layer = layer->below;
  while (layer != top && layer->snapshot == NULL && (above = only_one_above (walk, layer)) != NULL)
    layer = above;
  return layer;
}

/* Branch by branch, and that which the machine writes to last: so whoever is killed while he makes
 * them again leaves no more than one without a name and with nothing on it. */
static void
add (const Walk *walk, SandboxLayer *layer)
{
  SandboxLayer *last = NULL;

  g_ptr_array_add (walk->order, layer);
  for (guint i = 0; i < walk->layers->all->len; i++)
    {
      SandboxLayer *other = walk->layers->all->pdata[i];

      if (other->below != layer || !g_hash_table_contains (walk->needed, other))
        continue;
      if (_sandbox_layer_is_in (other, walk->layers->top))
        last = other;
      else
        add (walk, other);
    }
  if (last != NULL)
    add (walk, last);
}

GPtrArray *
_sandbox_export_order (const SandboxLayers *layers, gboolean with_snapshots)
{
  g_autoptr (GHashTable) needed = find_needed (layers);
  GPtrArray *order = g_ptr_array_new ();
  const Walk walk = { layers, needed, order };

  if (with_snapshots)
    add (&walk, find_base (&walk));
  else
    g_ptr_array_add (order, layers->top);
  return order;
}

char *
_sandbox_export_snapshots (const SandboxLayers *layers, const GPtrArray *order)
{
  g_autoptr (GPtrArray) entries = _sandbox_snapshots_new ();

  for (guint i = 0; i < layers->entries->len; i++)
    {
      const SandboxSnapshotEntry *from = layers->entries->pdata[i];
      SandboxSnapshotEntry *entry;
      guint number;

      if (!g_ptr_array_find ((GPtrArray *)order, _sandbox_layers_find (layers, from->name),
                             &number))
        continue;
      entry = g_new0 (SandboxSnapshotEntry, 1);
      *entry = *from;
      entry->name = g_strdup (from->name);
      entry->note = g_strdup (from->note);
      entry->layer = number;
      g_ptr_array_add (entries, entry);
    }
  return _sandbox_snapshots_format (entries, NULL);
}
