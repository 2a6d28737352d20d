// SPDX-License-Identifier: LGPL-2.1-or-later
// Prune: images and layers of provisioning that nothing stands on, and saved changes that are old.
#include "facade/provision-private.h"
#include "facade/space.h"
#include "facade/warm.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LAYER "layer-"

/* What stays. */
typedef struct
{
  GHashTable *layers;   /* those that disks of all profiles would be made on now, by id */
  GHashTable *profiles; /* of which nobody can tell, by name: all that was made for them */
} Wanted;

static void
wanted_clear (Wanted *wanted)
{
  g_clear_pointer (&wanted->layers, g_hash_table_unref);
  g_clear_pointer (&wanted->profiles, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Wanted, wanted_clear)

/* FALSE: it cannot be told, as with a mistake in the profile, or a script that is not there now. */
static gboolean
add_wanted (SandboxHost *host, const char *name, GHashTable *layers)
{
  g_autoptr (SandboxProfile) profile = sandbox_profile_load (&host->profiles, name, NULL);
  g_autoptr (GPtrArray) groups =
      profile != NULL ? _sandbox_provision_groups (host, profile, NULL) : NULL;
  g_auto (GStrv) ids =
      groups != NULL ? _sandbox_image_ids (host, _sandbox_profile_values (profile)->image, NULL)
                     : NULL;
  g_autoptr (SandboxImageRef) image =
      ids != NULL && ids[0] != NULL ? _sandbox_image_ref (host, ids[0], NULL) : NULL;
  SandboxReport report = { NULL, NULL, "" };
  SandboxLayering layering = { .host = host, .profile = profile, .no_build = TRUE };
  char *id;

  /* without its image it has no layers */
  if (image == NULL)
    return ids != NULL && ids[0] == NULL;
  layering.report = &report;
  /* as far as they are there */
  _sandbox_layers_ensure (&layering, image, NULL, NULL, NULL);
  id = _sandbox_layer_id_of_path (_sandbox_layer_top (image));
  if (id != NULL)
    g_hash_table_add (layers, id);
  return TRUE;
}

static gboolean
find_wanted (SandboxHost *host, Wanted *wanted, GError **error)
{
  g_autoptr (GPtrArray) list = sandbox_profile_list (&host->profiles, error);

  wanted->layers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  wanted->profiles = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      const SandboxProfileInfo *info = list->pdata[i];

      if (!add_wanted (host, info->name, wanted->layers))
        g_hash_table_add (wanted->profiles, g_strdup (info->name));
    }
  return list != NULL;
}

/* All that stand on it go, too. */
static gboolean
is_unused (char *const *used_by, GHashTable *gone)
{
  for (; *used_by != NULL; used_by++)
    if (!g_hash_table_contains (gone, *used_by))
      return FALSE;
  return TRUE;
}

/* One round: layers that nothing stands on but what goes. Those below them come in the next one. */
static guint
find_layers (SandboxHost *host, const GPtrArray *layers, const Wanted *wanted, GHashTable *gone,
             GPtrArray *items)
{
  guint n = 0;

  for (guint i = 0; i < layers->len; i++)
    {
      const SandboxLayerInfo *info = layers->pdata[i];
      const char *id = info->id + strlen (LAYER);
      g_autofree char *volume = g_strconcat ("layer.", id, NULL);

      if (info->uid != host->uid || g_hash_table_contains (gone, volume)
          || g_hash_table_contains (wanted->layers, id)
          || g_hash_table_contains (wanted->profiles, info->profile)
          || !is_unused (info->used_by, gone))
        continue;
      _sandbox_space_add (items, "layer", info->id, info->disk_bytes);
      g_hash_table_add (gone, g_steal_pointer (&volume));
      n++;
    }
  return n;
}

/* Kept memory of throwaway machines: that of others goes with them. */
static gboolean
find_warm (SandboxHost *host, GHashTable *gone, GPtrArray *items, GCancellable *cancellable,
           GError **error)
{
  g_autoptr (GPtrArray) infos = sandbox_host_list_warm (host, cancellable, error);

  for (guint i = 0; infos != NULL && i < infos->len; i++)
    {
      const SandboxWarmInfo *info = infos->pdata[i];

      if (!info->throwaway || info->used_by[0] != NULL)
        continue;
      _sandbox_space_add (items, "warm", info->id, info->disk_bytes + info->memory_bytes);
      g_hash_table_add (gone, g_strconcat ("warm.", info->id + strlen ("warm-"), NULL));
    }
  return infos != NULL;
}

static gboolean
find_images (SandboxHost *host, GHashTable *gone, GPtrArray *items, GCancellable *cancellable,
             GError **error)
{
  g_autoptr (GPtrArray) images = sandbox_host_list_images (host, cancellable, error);

  for (guint i = 0; images != NULL && i < images->len; i++)
    {
      const SandboxImageInfo *info = images->pdata[i];

      if (!info->newest && is_unused (info->used_by, gone))
        _sandbox_space_add (items, "image", info->id, info->disk_bytes);
    }
  return images != NULL;
}

/* What the files of one saved change take; of directories, one level down. */
static guint64
count_saved (int dir_fd, const char *name, guint depth)
{
  sandbox_autofd int fd = openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  g_auto (GStrv) names = fd >= 0 ? sandbox_dir_list (fd, NULL) : NULL;
  guint64 sum = 0;

  for (char **file = names; file != NULL && *file != NULL; file++)
    {
      struct stat info;

      if (fstatat (fd, *file, &info, AT_SYMLINK_NOFOLLOW) < 0)
        continue;
      sum += (guint64)info.st_blocks * 512;
      if (S_ISDIR (info.st_mode) && depth > 0)
        sum += count_saved (fd, *file, depth - 1);
    }
  return sum;
}

static int
open_saved (SandboxHost *host)
{
  sandbox_autofd int state_fd = _sandbox_host_state_fd (host, FALSE, NULL);

  return state_fd >= 0 ? sandbox_dir_open_at (state_fd, SANDBOX_SAVED_DIR, FALSE, NULL) : -1;
}

gboolean
_sandbox_space_add_saved (SandboxHost *host, gint64 before_usec, GPtrArray *items, GError **error)
{
  sandbox_autofd int fd = open_saved (host);
  g_auto (GStrv) names = fd >= 0 ? sandbox_dir_list (fd, error) : NULL;

  if (fd < 0)
    return TRUE;
  for (char **name = names; names != NULL && *name != NULL; name++)
    {
      struct stat info;

      /* an apply of it makes it younger */
      if (fstatat (fd, *name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR (info.st_mode)
          && info.st_mtim.tv_sec <= before_usec / G_USEC_PER_SEC)
        _sandbox_space_add (items, "saved", *name, count_saved (fd, *name, 1));
    }
  return names != NULL;
}

GPtrArray *
_sandbox_prune_find (SandboxHost *host, gint64 saved_usec, GCancellable *cancellable,
                     GError **error)
{
  g_autoptr (GPtrArray) items = _sandbox_space_items_new ();
  g_autoptr (GHashTable) gone = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_auto (Wanted) wanted = { 0 };
  g_autoptr (GPtrArray) layers = NULL;

  if (find_wanted (host, &wanted, error))
    layers = sandbox_host_list_layers (host, cancellable, error);
  if (layers == NULL || !find_warm (host, gone, items, cancellable, error))
    return NULL;
  while (find_layers (host, layers, &wanted, gone, items) > 0)
    ;
  if (!find_images (host, gone, items, cancellable, error))
    return NULL;
  if (saved_usec > 0
      && !_sandbox_space_add_saved (host, g_get_real_time () - saved_usec, items, error))
    return NULL;
  for (guint i = 0; i < items->len; i++)
    {
      SandboxSpaceItem *item = items->pdata[i];

      item->reclaimable_bytes = item->allocated_bytes;
    }
  return g_steal_pointer (&items);
}

static gboolean
remove_item (SandboxHost *host, const SandboxSpaceItem *item, GCancellable *cancellable,
             GError **error)
{
  sandbox_autofd int fd = -1;

  if (strcmp (item->kind, "saved") != 0)
    return sandbox_host_remove_image (host, item->name, cancellable, error);
  fd = open_saved (host);
  return fd < 0 || sandbox_remove_at (fd, item->name, error);
}

/* What somebody began to use since the list was made stays. */
GPtrArray *
sandbox_host_prune (SandboxHost *host, const SandboxPruneOptions *options,
                    GCancellable *cancellable, GError **error)
{
  SandboxPruneOptions own = SANDBOX_PRUNE_OPTIONS_INIT;
  g_autoptr (GPtrArray) items = NULL;

  if (!_sandbox_options_copy (&own, sizeof own, options, error))
    return NULL;
  items = _sandbox_prune_find (host, own.saved_usec, cancellable, error);
  if (items == NULL)
    return NULL;
  for (guint i = 0; !own.dry_run && i < items->len;)
    {
      g_autoptr (GError) local = NULL;

      if (remove_item (host, items->pdata[i], cancellable, &local))
        i++;
      else if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_IN_USE)
               || g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_BUSY)
               || g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        g_ptr_array_remove_index (items, i);
      else
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
    }
  return g_steal_pointer (&items);
}
