// SPDX-License-Identifier: LGPL-2.1-or-later
// The tree of a machine's layers, made of what libvirt and the file of names say. No effects.
#include "facade/layers.h"

#include "base/units.h"

#include <string.h>

#define SUFFIX ".qcow2"

static void
layer_free (gpointer data)
{
  SandboxLayer *layer = data;

  g_free (layer->volume);
  g_free (layer->path);
  g_free (layer->below_path);
  g_free (layer);
}

void
_sandbox_layers_free (SandboxLayers *layers)
{
  if (layers == NULL)
    return;
  g_free (layers->object);
  g_ptr_array_unref (layers->all);
  g_ptr_array_unref (layers->entries);
  g_free (layers);
}

gboolean
_sandbox_layer_parse (const char *object, const char *volume, guint *ret_number)
{
  gsize length = strlen (object);
  g_autofree char *middle = NULL;
  guint64 number = 0;

  if (strncmp (volume, object, length) != 0 || !g_str_has_suffix (volume + length, SUFFIX))
    return FALSE;
  middle = g_strndup (volume + length, strlen (volume + length) - strlen (SUFFIX));
  if (*middle != '\0'
      && (*middle != '.' || middle[1] == '0'
          || !sandbox_uint_parse (middle + 1, 1, G_MAXINT32, &number, NULL)))
    return FALSE;
  *ret_number = (guint)number;
  return TRUE;
}

char *
_sandbox_layer_volume (const char *object, guint number)
{
  return number == 0 ? g_strconcat (object, SUFFIX, NULL)
                     : g_strdup_printf ("%s.%u" SUFFIX, object, number);
}

/* Machine names begin with a letter, so a part of digits is always a number. */
char *
_sandbox_layer_object (const char *volume)
{
  g_autofree char *stem = NULL;
  char *dot;

  if (!g_str_has_suffix (volume, SUFFIX))
    return NULL;
  stem = g_strndup (volume, strlen (volume) - strlen (SUFFIX));
  dot = strrchr (stem, '.');
  if (dot != NULL && dot[1] != '\0' && strspn (dot + 1, "0123456789") == strlen (dot + 1))
    *dot = '\0';
  return g_steal_pointer (&stem);
}

static void
add_layers (SandboxLayers *layers, const GPtrArray *volumes)
{
  g_autoptr (GHashTable) by_path = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < volumes->len; i++)
    {
      const SandboxVirtVolume *volume = volumes->pdata[i];
      SandboxLayer *layer;

      if (!g_str_has_suffix (volume->name, SUFFIX) || volume->path == NULL)
        continue;
      layer = g_new0 (SandboxLayer, 1);
      layer->volume = g_strdup (volume->name);
      layer->path = g_strdup (volume->path);
      layer->below_path = g_strdup (volume->backing_path != NULL ? volume->backing_path : "");
      layer->capacity_bytes = volume->capacity_bytes;
      layer->allocation_bytes = volume->allocation_bytes;
      layer->encrypted = volume->encrypted;
      layer->own = _sandbox_layer_parse (layers->object, layer->volume, &layer->number);
      g_ptr_array_add (layers->all, layer);
      g_hash_table_insert (by_path, layer->path, layer);
    }
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      layer->below = g_hash_table_lookup (by_path, layer->below_path);
      if (layer->below == layer)
        layer->below = NULL;
      if (layer->below != NULL)
        layer->below->children++;
    }
}

static SandboxLayer *
find_volume (const SandboxLayers *layers, const char *volume)
{
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (layer->own && strcmp (layer->volume, volume) == 0)
        return layer;
    }
  return NULL;
}

/* A merge that began, of two layers which are still there.
 *
 * The layer above says that it stands on what the merged one stood on. Whether it has what that one
 * has is not known: QEMU writes the former at once, and where the data are when it likes. */
static void
take_back_merge (SandboxLayers *layers, const SandboxMerge *merge)
{
  SandboxLayer *layer = find_volume (layers, merge->volume);
  SandboxLayer *above = find_volume (layers, merge->above);

  if (layer == NULL || above == NULL
      || (above->below != layer && strcmp (above->below_path, layer->below_path) != 0))
    return;
  layers->merging = layer;
  layers->merging_above = above;
  if (above->below == layer)
    return;
  if (above->below != NULL)
    above->below->children--;
  above->below = layer;
  g_free (above->below_path);
  above->below_path = g_strdup (layer->path);
  layer->children++;
}

static SandboxLayer *
find_number (const SandboxLayers *layers, guint number)
{
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (layer->own && layer->number == number)
        return layer;
    }
  return NULL;
}

/* Those whose layer is gone, or is written to, are no snapshots. */
static void
attach_entries (SandboxLayers *layers)
{
  for (guint i = 0; i < layers->entries->len;)
    {
      const SandboxSnapshotEntry *entry = layers->entries->pdata[i];
      SandboxLayer *layer = find_number (layers, entry->layer);

      if (layer == NULL || layer == layers->top || layer->snapshot != NULL)
        g_ptr_array_remove_index (layers->entries, i);
      else
        {
          layer->snapshot = entry;
          i++;
        }
    }
}

/* Without a domain: what nothing stands on and has no name. */
static gboolean
guess_top (SandboxLayers *layers, GError **error)
{
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (!layer->own || layer->children > 0 || layer->snapshot != NULL)
        continue;
      if (layers->top != NULL)
        return sandbox_fail (
            error, SANDBOX_ERROR_WRONG_STATE,
            "%s: libvirt has no definition of it any more, and both of its volumes "
            "%s and %s may be its disk; remove the wrong one with `virsh "
            "vol-delete --pool " SANDBOX_POOL "`",
            layers->object, layers->top->volume, layer->volume);
      layers->top = layer;
    }
  return TRUE;
}

SandboxLayers *
_sandbox_layers_new (const char *object, const GPtrArray *volumes, GPtrArray *entries,
                     gboolean known, const char *top_path, const SandboxMerge *merge,
                     GError **error)
{
  g_autoptr (SandboxLayers) layers = g_new0 (SandboxLayers, 1);

  layers->object = g_strdup (object);
  layers->all = g_ptr_array_new_with_free_func (layer_free);
  layers->entries = entries;
  layers->known = known;
  add_layers (layers, volumes);
  if (merge != NULL)
    take_back_merge (layers, merge);
  for (guint i = 0; top_path != NULL && i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (layer->own && strcmp (layer->path, top_path) == 0)
        layers->top = layer;
    }
  attach_entries (layers);
  if (top_path == NULL && !guess_top (layers, error))
    return NULL;
  return g_steal_pointer (&layers);
}

char *
_sandbox_layers_next (const SandboxLayers *layers, gboolean fresh)
{
  guint number = 0;

  for (guint i = 0; i < layers->all->len; i++)
    {
      const SandboxLayer *layer = layers->all->pdata[i];

      if (layer->own && (!fresh || _sandbox_layer_is_needed (layers, layer)))
        number = MAX (number, layer->number + 1);
    }
  /* nor one that had a name, should its volume be gone */
  for (guint i = 0; !fresh && i < layers->entries->len; i++)
    number = MAX (number, ((SandboxSnapshotEntry *)layers->entries->pdata[i])->layer + 1);
  return _sandbox_layer_volume (layers->object, number);
}

const char **
_sandbox_layer_below (const SandboxLayer *layer)
{
  GPtrArray *paths = g_ptr_array_new ();

  for (const SandboxLayer *below = layer->below; below != NULL && paths->len < 1000;
       below = below->below)
    g_ptr_array_add (paths, below->path);
  g_ptr_array_add (paths, NULL);
  return (const char **)g_ptr_array_free (paths, FALSE);
}

const char *
_sandbox_layer_base (const SandboxLayer *layer)
{
  for (guint i = 0; layer->below != NULL && i < 1000; i++)
    layer = layer->below;
  return layer->below_path;
}

guint
_sandbox_layer_depth (const SandboxLayer *layer)
{
  guint depth = 0;

  for (; layer != NULL && depth < 1000; layer = layer->below)
    depth++;
  return depth;
}

gboolean
_sandbox_layer_is_in (const SandboxLayer *layer, const SandboxLayer *of)
{
  for (guint i = 0; of != NULL && i < 1000; of = of->below, i++)
    if (of == layer)
      return TRUE;
  return FALSE;
}

SandboxLayer *
_sandbox_layers_find (const SandboxLayers *layers, const char *snapshot)
{
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (layer->snapshot != NULL && strcmp (layer->snapshot->name, snapshot) == 0)
        return layer;
    }
  return NULL;
}

const SandboxLayer *
_sandbox_layer_snapshot (const SandboxLayer *layer)
{
  for (guint i = 0; layer != NULL && i < 1000; layer = layer->below, i++)
    if (layer->snapshot != NULL)
      return layer;
  return NULL;
}

gboolean
_sandbox_layer_is_needed (const SandboxLayers *layers, const SandboxLayer *layer)
{
  for (guint i = 0; i < layers->all->len; i++)
    {
      const SandboxLayer *other = layers->all->pdata[i];

      if (!other->own && _sandbox_layer_is_in (layer, other))
        return TRUE;
    }
  return FALSE;
}

SandboxLayer *
_sandbox_layers_find_useless (const SandboxLayers *layers)
{
  for (guint i = 0; layers->known && layers->top != NULL && i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];

      if (layer->own && layer->snapshot == NULL && layer != layers->top && layer->children == 0)
        return layer;
    }
  return NULL;
}

SandboxLayer *
_sandbox_layers_above (const SandboxLayers *layers, const SandboxLayer *layer)
{
  for (guint i = 0; i < layers->all->len; i++)
    {
      SandboxLayer *other = layers->all->pdata[i];

      if (other->below == layer)
        return other;
    }
  return NULL;
}

/* Neither has a name, and nothing but @layer stands on the other: QEMU may write to that one. */
static gboolean
can_go_down (const SandboxLayers *layers, const SandboxLayer *layer)
{
  const SandboxLayer *below = layer->below;

  return below != NULL && below->own && below->snapshot == NULL && below->children == 1
         && !_sandbox_layer_is_needed (layers, below);
}

static gboolean
can_merge (const SandboxLayers *layers, const SandboxLayer *layer, const SandboxLayer *above,
           gboolean busy)
{
  if (!layer->own || layer->snapshot != NULL || layer == layers->top || layer->children != 1
      || !above->own)
    return FALSE;
  if (busy && above != layers->top && _sandbox_layer_is_in (layer, layers->top))
    return can_go_down (layers, layer);
  /* what it would be merged into is read by another machine, which may run */
  return !_sandbox_layer_is_needed (layers, above);
}

/* @of (nullable): nothing but what that stands on. */
static SandboxLayer *
find_merge (const SandboxLayers *layers, gboolean busy, const SandboxLayer *of,
            SandboxLayer **ret_above)
{
  if (layers->merging != NULL)
    {
      if (!can_merge (layers, layers->merging, layers->merging_above, busy)
          || (of != NULL && !_sandbox_layer_is_in (layers->merging_above, of)))
        return NULL;
      *ret_above = layers->merging_above;
      return layers->merging;
    }
  for (guint i = 0; layers->known && layers->top != NULL && i < layers->all->len; i++)
    {
      SandboxLayer *layer = layers->all->pdata[i];
      SandboxLayer *above = _sandbox_layers_above (layers, layer);

      if (above == NULL || !can_merge (layers, layer, above, busy)
          || (of != NULL && !_sandbox_layer_is_in (above, of)))
        continue;
      *ret_above = above;
      return layer;
    }
  return NULL;
}

SandboxLayer *
_sandbox_layers_find_merge (const SandboxLayers *layers, gboolean busy, SandboxLayer **ret_above)
{
  return find_merge (layers, busy, NULL, ret_above);
}

SandboxLayer *
_sandbox_layers_find_idle (const SandboxLayers *layers, SandboxLayer **ret_above)
{
  return layers->top == NULL ? NULL : find_merge (layers, TRUE, layers->top, ret_above);
}

guint64
_sandbox_layer_bytes (const SandboxLayer *layer)
{
  guint64 bytes = layer->allocation_bytes;

  for (layer = layer->below; layer != NULL && layer->own && layer->snapshot == NULL;
       layer = layer->below)
    bytes += layer->allocation_bytes;
  return bytes;
}

void
_sandbox_layers_remove (SandboxLayers *layers, SandboxLayer *layer)
{
  if (layer->below != NULL)
    layer->below->children--;
  if (layers->top == layer)
    layers->top = NULL;
  if (layers->merging == layer || layers->merging_above == layer)
    layers->merging = layers->merging_above = NULL;
  g_ptr_array_remove (layers->all, layer);
}
