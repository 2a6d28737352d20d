// SPDX-License-Identifier: LGPL-2.1-or-later
// What takes how much of the storage pool: every volume of it counted once, by whose it is.
#include "facade/space.h"
#include "facade/export.h"
#include "facade/provision-private.h"
#include "facade/suspended.h"
#include "facade/warm.h"

#include <string.h>

/* Of a volume: whose disks stand on it. */
typedef struct
{
  const SandboxVirtVolume *volume;
  char *object;      /* (nullable): of the machine that it is a layer of */
  GHashTable *users; /* objects, its own included; no copies */
  gboolean counted;
} Node;

typedef struct
{
  SandboxHost *host;
  SandboxSpace *space;
  GPtrArray *nodes, *layer_volumes;
  GHashTable *machines; /* of _sandbox_host_scan() */
  GHashTable *prunable; /* ids that prune would remove */
  GPtrArray *orphans;   /* of SandboxOrphan: of images and their like, what a repair would remove */
} Count;

static void
item_free (gpointer data)
{
  SandboxSpaceItem *item = data;

  g_free (item->name);
  g_strfreev (item->used_by);
  g_free (item);
}

void
sandbox_space_free (SandboxSpace *space)
{
  if (space == NULL)
    return;
  g_ptr_array_unref (space->items);
  g_free (space);
}

GPtrArray *
_sandbox_space_items_new (void)
{
  return g_ptr_array_new_with_free_func (item_free);
}

SandboxSpaceItem *
_sandbox_space_add (GPtrArray *items, const char *kind, const char *name, guint64 allocated_bytes)
{
  SandboxSpaceItem *item = g_new0 (SandboxSpaceItem, 1);

  item->kind = kind;
  item->name = g_strdup (name);
  item->allocated_bytes = allocated_bytes;
  item->used_by = g_new0 (char *, 1);
  g_ptr_array_add (items, item);
  return item;
}

static void
node_free (gpointer data)
{
  Node *node = data;

  g_free (node->object);
  g_hash_table_unref (node->users);
  g_free (node);
}

static void
count_clear (Count *count)
{
  g_clear_pointer (&count->space, sandbox_space_free);
  g_clear_pointer (&count->nodes, g_ptr_array_unref);
  g_clear_pointer (&count->layer_volumes, g_ptr_array_unref);
  g_clear_pointer (&count->machines, g_hash_table_unref);
  g_clear_pointer (&count->prunable, g_hash_table_unref);
  g_clear_pointer (&count->orphans, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Count, count_clear)

/* From each machine's layer down, until somebody was there for the same machine. */
static void
make_nodes (Count *count, const GPtrArray *volumes)
{
  g_autoptr (GHashTable) by_path = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < volumes->len; i++)
    {
      const SandboxVirtVolume *volume = volumes->pdata[i];
      Node *node = g_new0 (Node, 1);

      node->volume = volume;
      if (g_str_has_prefix (volume->name, "vms-"))
        node->object = _sandbox_layer_object (volume->name);
      node->users = g_hash_table_new (g_str_hash, g_str_equal);
      g_ptr_array_add (count->nodes, node);
      if (volume->path != NULL)
        g_hash_table_insert (by_path, volume->path, node);
    }
  for (guint i = 0; i < count->nodes->len; i++)
    {
      Node *from = count->nodes->pdata[i];

      for (Node *node = from->object != NULL ? from : NULL;
           node != NULL && !g_hash_table_contains (node->users, from->object);
           node = node->volume->backing_path != NULL
                      ? g_hash_table_lookup (by_path, node->volume->backing_path)
                      : NULL)
        g_hash_table_add (node->users, from->object);
    }
}

/* Users of @users, but for @object, into @into. */
static guint
add_users (GHashTable *users, const char *object, GHashTable *into)
{
  GHashTableIter iter;
  gpointer key;
  guint n = 0;

  g_hash_table_iter_init (&iter, users);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    if (g_strcmp0 (key, object) != 0)
      {
        g_hash_table_add (into, key);
        n++;
      }
  return n;
}

static void
set_users (SandboxSpaceItem *item, GHashTable *users)
{
  g_autoptr (GList) keys = g_list_sort (g_hash_table_get_keys (users), (GCompareFunc)strcmp);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (GList *key = keys; key != NULL; key = key->next)
    g_strv_builder_add (builder, key->data);
  g_strfreev (item->used_by);
  item->used_by = g_strv_builder_end (builder);
}

static Node *
find_node (const Count *count, const char *volume)
{
  for (guint i = 0; i < count->nodes->len; i++)
    {
      Node *node = count->nodes->pdata[i];

      if (strcmp (node->volume->name, volume) == 0)
        return node;
    }
  return NULL;
}

static guint64
shared_of (const Count *count, const SandboxLayer *layer, GHashTable *users)
{
  const Node *node = find_node (count, layer->volume);

  return node != NULL && add_users (node->users, node->object, users) > 0 ? layer->allocation_bytes
                                                                          : 0;
}

/* What a snapshot has beyond the one that it goes on from. */
static void
add_snapshots (Count *count, const char *name, const SandboxLayers *layers)
{
  for (guint i = 0; i < layers->entries->len; i++)
    {
      const SandboxSnapshotEntry *entry = layers->entries->pdata[i];
      const SandboxLayer *layer = _sandbox_layers_find (layers, entry->name);
      g_autofree char *full = g_strdup_printf ("%s/%s", name, entry->name);
      g_autoptr (GHashTable) users = g_hash_table_new (g_str_hash, g_str_equal);
      SandboxSpaceItem *item;

      if (layer == NULL)
        continue;
      item =
          _sandbox_space_add (count->space->items, "snapshot", full, _sandbox_layer_bytes (layer));
      item->shared_bytes = MIN (shared_of (count, layer, users), item->allocated_bytes);
      set_users (item, users);
    }
}

/* Layers that no name, no disk and no copy needs. */
static guint64
count_useless (SandboxLayers *layers)
{
  guint64 sum = 0;
  SandboxLayer *layer;

  while ((layer = _sandbox_layers_find_useless (layers)) != NULL)
    {
      sum += layer->allocation_bytes;
      _sandbox_layers_remove (layers, layer);
    }
  return sum;
}

/* Memory, as an item of its own. */
static void
add_memory (Count *count, const char *name, const SandboxVirtVolume *volume)
{
  const SandboxEntry *entry = g_hash_table_lookup (count->machines, name);
  SandboxSpaceItem *item =
      _sandbox_space_add (count->space->items, "memory", name, volume->allocation_bytes);

  if (entry != NULL && _sandbox_memory_is_void (&entry->pieces))
    item->reclaimable_bytes = item->allocated_bytes;
}

/* The copy of its disk that a killed export has left. */
static guint64
count_export (Count *count, SandboxMachine *machine)
{
  g_autofree char *volume = _sandbox_export_volume (machine);
  g_autofree char *lock = g_strconcat (machine->name, ".lock", NULL);
  sandbox_autofd int fd = _sandbox_host_state_fd (count->host, FALSE, NULL);
  const Node *node = find_node (count, volume);

  /* held: one is just being made, or may be */
  if (node == NULL || fd < 0 || sandbox_lock_is_held (fd, lock))
    return 0;
  return node->volume->allocation_bytes;
}

/* All volumes of @object: the disk's layers, the seed, what a reader has; and its memory. */
static void
add_volumes (Count *count, const char *object, SandboxSpaceItem *item, GHashTable *users)
{
  g_autofree char *more = g_strconcat (object, ".", NULL);
  g_autofree char *memory = _sandbox_memory_volume (object);

  for (guint i = 0; i < count->nodes->len; i++)
    {
      Node *node = count->nodes->pdata[i];

      if (!g_str_has_prefix (node->volume->name, more))
        continue;
      node->counted = TRUE;
      if (strcmp (node->volume->name, memory) == 0)
        {
          add_memory (count, item->name, node->volume);
          continue;
        }
      item->allocated_bytes += node->volume->allocation_bytes;
      item->limit_bytes = MAX (item->limit_bytes, node->volume->capacity_bytes);
      if (add_users (node->users, object, users) > 0)
        item->shared_bytes += node->volume->allocation_bytes;
    }
}

static gboolean
add_machine (Count *count, const char *object, const char *name, GError **error)
{
  gboolean exists = g_hash_table_contains (count->machines, name);
  SandboxSpaceItem *item =
      _sandbox_space_add (count->space->items, exists ? "machine" : "left", name, 0);
  g_autoptr (GHashTable) users = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (SandboxLayers) layers = NULL;

  add_volumes (count, object, item, users);
  set_users (item, users);
  if (!exists)
    return TRUE;
  machine = _sandbox_machine_new (count->host, name);
  layers = _sandbox_layers_of (machine, count->layer_volumes, error);
  if (layers == NULL)
    return FALSE;
  add_snapshots (count, name, layers);
  item->reclaimable_bytes = count_useless (layers) + count_export (count, machine);
  return TRUE;
}

static gboolean
add_machines (Count *count, GError **error)
{
  for (guint i = 0; i < count->nodes->len; i++)
    {
      const Node *node = count->nodes->pdata[i];
      g_autofree char *name =
          node->object != NULL && !node->counted
              ? _sandbox_object_parse (count->host->uid, count->host->owner, node->object)
              : NULL;

      if (name != NULL && !add_machine (count, node->object, name, error))
        return FALSE;
    }
  return TRUE;
}

/* Whether a repair would remove the volumes of @id, which are not whole. Those of images are found
 * by what their builds have left, and of layers all with the same digest. */
static gboolean
is_orphan (const Count *count, const char *kind, const char *id)
{
  gboolean image = strcmp (kind, "image") == 0;

  for (guint i = 0; i < count->orphans->len; i++)
    {
      const SandboxOrphan *orphan = count->orphans->pdata[i];

      if (image ? strcmp (orphan->kind, "build") == 0 : g_str_has_prefix (id, orphan->name))
        return TRUE;
    }
  return FALSE;
}

/* "image.ID.qcow2" and its like, which have a manifest when they are whole. */
static void
add_image (Count *count, const char *kind, const char *prefix, const char *shown, Node *disk)
{
  const char *name = disk->volume->name;
  g_autofree char *id =
      g_strndup (name + strlen (prefix), strlen (name) - strlen (prefix) - strlen (".qcow2"));
  g_autofree char *stem = g_strconcat (prefix, id, ".", NULL);
  g_autofree char *manifest = g_strconcat (stem, "json", NULL);
  g_autofree char *word = g_strconcat (shown, id, NULL);
  gboolean whole = find_node (count, manifest) != NULL;
  g_autoptr (GHashTable) users = g_hash_table_new (g_str_hash, g_str_equal);
  SandboxSpaceItem *item =
      _sandbox_space_add (count->space->items, whole ? kind : "unfinished", word, 0);

  for (guint i = 0; i < count->nodes->len; i++)
    {
      Node *node = count->nodes->pdata[i];

      if (!g_str_has_prefix (node->volume->name, stem))
        continue;
      node->counted = TRUE;
      item->allocated_bytes += node->volume->allocation_bytes;
    }
  if (add_users (disk->users, NULL, users) > 1)
    item->shared_bytes = item->allocated_bytes;
  if (g_hash_table_contains (count->prunable, word)
      || (!whole && g_hash_table_size (users) == 0 && is_orphan (count, kind, id)))
    item->reclaimable_bytes = item->allocated_bytes;
  set_users (item, users);
}

static void
add_images (Count *count)
{
  for (guint i = 0; i < count->nodes->len; i++)
    {
      Node *node = count->nodes->pdata[i];
      const char *name = node->volume->name;

      if (node->counted || !g_str_has_suffix (name, ".qcow2"))
        continue;
      if (g_str_has_prefix (name, "image."))
        add_image (count, "image", "image.", "", node);
      else if (g_str_has_prefix (name, "layer."))
        add_image (count, "layer", "layer.", "layer-", node);
      else if (g_str_has_prefix (name, "warm."))
        add_image (count, "warm", "warm.", "warm-", node);
    }
}

static void
add_others (Count *count)
{
  guint64 sum = 0;

  for (guint i = 0; i < count->nodes->len; i++)
    {
      const Node *node = count->nodes->pdata[i];

      count->space->allocated_bytes += node->volume->allocation_bytes;
      if (!node->counted)
        sum += node->volume->allocation_bytes;
    }
  if (sum > 0)
    _sandbox_space_add (count->space->items, "other", "other users", sum);
}

static int
compare_items (gconstpointer a, gconstpointer b)
{
  static const char *const kinds[] = { "machine", "memory", "snapshot", "left",
                                       "image",   "layer",  "warm",     "unfinished",
                                       "other",   "saved",  NULL };
  const SandboxSpaceItem *items[] = { *(gconstpointer *)a, *(gconstpointer *)b };
  guint order[2] = { 0, 0 };

  for (guint i = 0; i < 2; i++)
    while (kinds[order[i]] != NULL && strcmp (kinds[order[i]], items[i]->kind) != 0)
      order[i]++;
  /* memory and snapshots stand below their machine */
  if (order[0] > 2 || order[1] > 2)
    return order[0] != order[1] ? (order[0] < order[1] ? -1 : 1)
                                : strcmp (items[0]->name, items[1]->name);
  if (strcmp (items[0]->name, items[1]->name) == 0)
    return order[0] < order[1] ? -1 : 1;
  return strcmp (items[0]->name, items[1]->name);
}

static gboolean
find_prunable (Count *count, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) items = _sandbox_prune_find (count->host, 0, cancellable, error);

  for (guint i = 0; items != NULL && i < items->len; i++)
    g_hash_table_add (count->prunable,
                      g_strdup (((const SandboxSpaceItem *)items->pdata[i])->name));
  return items != NULL;
}

static gboolean
find_orphans (Count *count, GCancellable *cancellable, GError **error)
{
  count->orphans = g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_orphan_free);
  return _sandbox_image_clean (count->host, FALSE, FALSE, count->orphans, cancellable, error)
         && _sandbox_layers_repair (count->host, FALSE, count->orphans, error)
         && _sandbox_warm_repair (count->host, "", FALSE, count->orphans, error);
}

SandboxSpace *
sandbox_host_get_space (SandboxHost *host, GCancellable *cancellable, GError **error)
{
  g_auto (Count) count = { .host = host };
  g_autoptr (GPtrArray) volumes = NULL;
  gboolean exists = FALSE;

  count.space = g_new0 (SandboxSpace, 1);
  count.space->items = _sandbox_space_items_new ();
  count.nodes = g_ptr_array_new_with_free_func (node_free);
  count.prunable = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (g_cancellable_set_error_if_cancelled (cancellable, error)
      || !_sandbox_host_room (host, &exists, &count.space->available_bytes, error))
    return NULL;
  count.machines = _sandbox_host_scan (host, error);
  count.layer_volumes = count.machines != NULL ? _sandbox_layers_volumes (host, error) : NULL;
  volumes =
      count.layer_volumes != NULL ? _sandbox_virt_list_volumes (host->virt, "", TRUE, error) : NULL;
  if (volumes == NULL || !find_prunable (&count, cancellable, error)
      || !find_orphans (&count, cancellable, error))
    return NULL;
  make_nodes (&count, volumes);
  if (!add_machines (&count, error))
    return NULL;
  add_images (&count);
  add_others (&count);
  for (guint i = 0; i < count.space->items->len; i++)
    count.space->reclaimable_bytes +=
        ((const SandboxSpaceItem *)count.space->items->pdata[i])->reclaimable_bytes;
  if (!_sandbox_space_add_saved (host, G_MAXINT64, count.space->items, error))
    return NULL;
  g_ptr_array_sort (count.space->items, compare_items);
  return g_steal_pointer (&count.space);
}
