// SPDX-License-Identifier: LGPL-2.1-or-later
// Warm images as volumes of the storage pool: named, found, removed.
#include "facade/warm.h"

#include <string.h>

#define PREFIX     "warm."
#define LAYER      ".qcow2"
#define MEMORY     ".mem"
#define MANIFEST   ".json"
#define DIGEST_LEN 32
#define TAIL_LEN   (1 + DIGEST_LEN + 1 + 15) /* ".DIGEST-YYYYMMDDTHHMMSS" */

static const char *const suffixes[] = { MANIFEST, MEMORY, LAYER };

SandboxWarm *
_sandbox_warm_new (SandboxMachine *machine, SandboxPlan *plan, const char *digest)
{
  SandboxWarm *warm = g_new0 (SandboxWarm, 1);

  warm->digest = g_strdup (digest);
  warm->plan = sandbox_plan_ref (plan);
  warm->keys_path = g_build_filename (machine->host->cache_dir, "warm", machine->object, NULL);
  return warm;
}

void
_sandbox_warm_free (SandboxWarm *warm)
{
  if (warm == NULL)
    return;
  g_free (warm->digest);
  g_free (warm->id);
  g_free (warm->keys_path);
  g_free (warm->layer_path);
  g_free (warm->memory_path);
  sandbox_plan_unref (warm->plan);
  g_free (warm);
}

char *
_sandbox_warm_volume (const char *id, const char *suffix)
{
  return g_strconcat (PREFIX, id, suffix, NULL);
}

char *
_sandbox_warm_id_of_path (const char *name)
{
  const char *slash = name != NULL ? strrchr (name, '/') : NULL;
  const char *begin = slash != NULL ? slash + 1 : name;

  for (guint i = 0; begin != NULL && i < G_N_ELEMENTS (suffixes); i++)
    {
      gsize length = strlen (begin), rest = strlen (PREFIX) + TAIL_LEN + strlen (suffixes[i]);
      const char *tail = begin + length - strlen (suffixes[i]) - TAIL_LEN;

      if (length > rest && g_str_has_prefix (begin, PREFIX) && g_str_has_suffix (begin, suffixes[i])
          && tail[0] == '.' && strspn (tail + 1, "0123456789abcdef") == DIGEST_LEN
          && tail[1 + DIGEST_LEN] == '-'
          && strspn (tail + 2 + DIGEST_LEN, "0123456789T") == TAIL_LEN - 2 - DIGEST_LEN)
        return g_strndup (begin + strlen (PREFIX), length - strlen (PREFIX) - strlen (suffixes[i]));
    }
  return NULL;
}

char *
_sandbox_warm_object (const char *id)
{
  return g_strndup (id, strlen (id) - TAIL_LEN);
}

void
_sandbox_warm_set_id (SandboxWarm *warm, const char *id)
{
  g_autofree char *layer = _sandbox_warm_volume (id, LAYER);
  g_autofree char *memory = _sandbox_warm_volume (id, MEMORY);

  g_free (warm->id);
  g_free (warm->layer_path);
  g_free (warm->memory_path);
  warm->id = g_strdup (id);
  warm->layer_path = g_build_filename (warm->plan->pool_path, layer, NULL);
  warm->memory_path = g_build_filename (warm->plan->pool_path, memory, NULL);
}

/* Ids of the volumes warm.@object.*@suffix. (element-type utf8) */
static GPtrArray *
list_ids (SandboxHost *host, const char *object, const char *suffix, GError **error)
{
  g_autofree char *prefix = g_strconcat (PREFIX, object, NULL);
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (host->virt, prefix, FALSE, error);
  GPtrArray *ids;

  if (volumes == NULL)
    return NULL;
  ids = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < volumes->len; i++)
    {
      const char *name = ((SandboxVirtVolume *)volumes->pdata[i])->name;
      g_autofree char *id =
          g_str_has_suffix (name, suffix) ? _sandbox_warm_id_of_path (name) : NULL;
      g_autofree char *own = id != NULL ? _sandbox_warm_object (id) : NULL;

      if (own != NULL && (*object == '\0' || strcmp (own, object) == 0))
        g_ptr_array_add (ids, g_steal_pointer (&id));
    }
  return ids;
}

GPtrArray *
_sandbox_warm_ids (SandboxHost *host, GError **error)
{
  return list_ids (host, "", MANIFEST, error);
}

static gboolean
has_volume (SandboxHost *host, const char *id, const char *suffix)
{
  g_autofree char *name = _sandbox_warm_volume (id, suffix);
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, name, NULL);
  gboolean there = volume != NULL;

  if (there)
    _sandbox_virt_volume_free (volume);
  return there;
}

gboolean
_sandbox_warm_find (SandboxHost *host, SandboxWarm *warm, GError **error)
{
  g_autoptr (GPtrArray) ids = list_ids (host, warm->plan->object, MANIFEST, error);
  g_autofree char *key = g_build_filename (warm->keys_path, "user_key", NULL);

  if (ids == NULL)
    return FALSE;
  for (guint i = 0; i < ids->len; i++)
    {
      const char *id = ids->pdata[i];
      const char *digest = id + strlen (warm->plan->object) + 1;

      if (strncmp (digest, warm->digest, DIGEST_LEN) == 0 && has_volume (host, id, LAYER)
          && has_volume (host, id, MEMORY) && g_file_test (key, G_FILE_TEST_EXISTS))
        {
          _sandbox_warm_set_id (warm, id);
          return TRUE;
        }
    }
  return TRUE;
}

/* Whether a disk stands on the layer of @id. */
static gboolean
is_stood_on (const GPtrArray *disks, const char *id)
{
  for (guint i = 0; i < disks->len; i++)
    {
      const SandboxVirtVolume *disk = disks->pdata[i];
      g_autofree char *below = _sandbox_warm_id_of_path (disk->backing_path);

      if (g_strcmp0 (below, id) == 0)
        return TRUE;
    }
  return FALSE;
}

/* The manifest first: from then on it does not count. */
static gboolean
remove_volumes (SandboxHost *host, const GPtrArray *disks, const char *id, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *name = _sandbox_warm_volume (id, suffixes[i]);

      if (strcmp (suffixes[i], LAYER) == 0 && is_stood_on (disks, id))
        continue;
      if (!_sandbox_virt_volume_remove (host->virt, name, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
_sandbox_warm_remove (SandboxHost *host, const char *object, const char *keep, GError **error)
{
  g_autoptr (GPtrArray) disks = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autoptr (GPtrArray) ids = list_ids (host, object, suffixes[i], error);

      if (ids == NULL)
        return FALSE;
      if (ids->len > 0 && disks == NULL)
        disks = _sandbox_virt_list_volumes (host->virt, "vms-", TRUE, error);
      if (ids->len > 0 && disks == NULL)
        return FALSE;
      for (guint k = 0; k < ids->len; k++)
        if (g_strcmp0 (ids->pdata[k], keep) != 0
            && !remove_volumes (host, disks, ids->pdata[k], error))
          return FALSE;
    }
  if (keep == NULL)
    {
      g_autofree char *path = g_build_filename (host->cache_dir, "warm", NULL);
      sandbox_autofd int fd = sandbox_dir_open (path, FALSE, NULL);

      return fd < 0 || sandbox_remove_at (fd, object, error);
    }
  return TRUE;
}

gboolean
_sandbox_warm_is_left (SandboxHost *host, const char *volume)
{
  g_autofree char *id = g_str_has_suffix (volume, LAYER) ? _sandbox_warm_id_of_path (volume) : NULL;
  g_autofree char *object = id != NULL ? _sandbox_warm_object (id) : NULL;
  g_autofree char *name =
      object != NULL ? _sandbox_object_parse (host->uid, host->owner, object) : NULL;
  g_autoptr (GPtrArray) counting = name != NULL ? list_ids (host, object, MANIFEST, NULL) : NULL;

  return counting != NULL && !g_ptr_array_find_with_equal_func (counting, id, g_str_equal, NULL);
}

/* Why the volumes of @id are of no use; NULL when they are of some, or somebody works on them. */
static const char *
why_orphan (SandboxHost *host, const char *id, gboolean counts)
{
  g_autofree char *object = _sandbox_warm_object (id);
  g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, object);
  g_autoptr (SandboxMachine) machine = name != NULL ? _sandbox_machine_new (host, name) : NULL;
  SandboxReport report = { NULL, NULL, "" };
  SandboxLock *lock;
  gboolean there;

  if (machine == NULL)
    return NULL;
  lock = _sandbox_machine_lock (machine, "repair", 0, &report, NULL, NULL);
  if (lock == NULL)
    return NULL;
  there = g_file_test (machine->state_path, G_FILE_TEST_EXISTS);
  _sandbox_machine_unlock (machine, lock);
  if (!counts)
    return "left by an interrupted command: the memory of a machine, not whole";
  return there || g_str_has_prefix (name, SANDBOX_THROWAWAY_PREFIX)
             ? NULL
             : "kept memory of a machine that is no more";
}

gboolean
_sandbox_warm_repair (SandboxHost *host, const char *object, gboolean remove, GPtrArray *orphans,
                      GError **error)
{
  g_autoptr (GPtrArray) counting = list_ids (host, object, MANIFEST, error);
  g_autoptr (GPtrArray) disks =
      counting != NULL ? _sandbox_virt_list_volumes (host->virt, "vms-", TRUE, error) : NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; disks != NULL && i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autoptr (GPtrArray) ids = list_ids (host, object, suffixes[i], error);

      for (guint k = 0; ids != NULL && k < ids->len; k++)
        {
          const char *id = ids->pdata[k];
          gboolean counts = g_ptr_array_find_with_equal_func (counting, id, g_str_equal, NULL);
          const char *reason;
          SandboxOrphan *orphan;

          if (!g_hash_table_add (seen, g_strdup (id)) || is_stood_on (disks, id))
            continue;
          reason = why_orphan (host, id, counts);
          if (reason == NULL)
            continue;
          orphan = g_new0 (SandboxOrphan, 1);
          orphan->kind = g_strdup ("warm image");
          orphan->name = g_strdup (id);
          orphan->reason = g_strdup (reason);
          g_ptr_array_add (orphans, orphan);
          if (remove && !remove_volumes (host, disks, id, error))
            return FALSE;
        }
      if (ids == NULL)
        return FALSE;
    }
  return disks != NULL;
}
