// SPDX-License-Identifier: LGPL-2.1-or-later
// Warm images as their user sees them: a cache, with sizes and owners.
#include "facade/warm.h"

#include <string.h>

#define WORD "warm-"

void
sandbox_warm_info_free (SandboxWarmInfo *info)
{
  if (info == NULL)
    return;
  g_free (info->id);
  g_free (info->machine);
  g_strfreev (info->used_by);
  g_free (info);
}

static guint64
allocated (SandboxHost *host, const char *id, const char *suffix)
{
  g_autofree char *name = _sandbox_warm_volume (id, suffix);
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, name, NULL);
  guint64 bytes = volume != NULL ? volume->allocation_bytes : 0;

  if (volume != NULL)
    _sandbox_virt_volume_free (volume);
  return bytes;
}

static gint64
time_of_id (const char *id)
{
  g_autofree char *zulu = g_strconcat (id + strlen (id) - 15, "Z", NULL);
  g_autoptr (GDateTime) time = g_date_time_new_from_iso8601 (zulu, NULL);

  return time != NULL ? g_date_time_to_unix (time) * G_USEC_PER_SEC : 0;
}

static int
compare_infos (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(SandboxWarmInfo *const *)a)->id, (*(SandboxWarmInfo *const *)b)->id);
}

GPtrArray *
sandbox_host_list_warm (SandboxHost *host, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) infos =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_warm_info_free);
  g_autofree char *prefix = _sandbox_host_prefix (host);
  g_autoptr (GPtrArray) ids = NULL;
  g_autoptr (GHashTable) users = NULL;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  ids = _sandbox_warm_ids (host, error);
  users = ids != NULL ? _sandbox_image_users (host, error) : NULL;
  for (guint i = 0; users != NULL && i < ids->len; i++)
    {
      const char *id = ids->pdata[i];
      g_autofree char *object = _sandbox_warm_object (id);
      g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, object);
      SandboxWarmInfo *info;

      if (name == NULL)
        continue;
      info = g_new0 (SandboxWarmInfo, 1);
      info->id = g_strconcat (WORD, id, NULL);
      info->machine = g_steal_pointer (&name);
      info->throwaway = g_str_has_prefix (info->machine, SANDBOX_THROWAWAY_PREFIX);
      info->built_usec = time_of_id (id);
      info->memory_bytes = allocated (host, id, ".mem");
      info->disk_bytes = allocated (host, id, ".qcow2");
      info->used_by = _sandbox_image_user_names (users, id);
      g_ptr_array_add (infos, info);
    }
  g_ptr_array_sort (infos, compare_infos);
  return users != NULL ? g_steal_pointer (&infos) : NULL;
}

/* Of a machine at which nobody works: one that starts may be about to use it. */
static gboolean
remove_one (SandboxHost *host, const SandboxWarmInfo *info, gboolean *ret_removed, GError **error)
{
  g_autoptr (SandboxMachine) machine = _sandbox_machine_new (host, info->machine);
  SandboxReport report = { NULL, NULL, info->machine };
  SandboxLock *lock = _sandbox_machine_lock (machine, "image-remove", 0, &report, NULL, error);

  *ret_removed = lock != NULL && _sandbox_warm_remove (host, machine->object, NULL, error);
  if (lock != NULL)
    _sandbox_machine_unlock (machine, lock);
  return *ret_removed;
}

gboolean
_sandbox_warm_remove_word (SandboxHost *host, const char *word, gboolean *ret_found, GError **error)
{
  g_autoptr (GPtrArray) infos = NULL;
  gboolean removed;

  *ret_found = FALSE;
  if (!g_str_has_prefix (word, WORD))
    return TRUE;
  infos = sandbox_host_list_warm (host, NULL, error);
  for (guint i = 0; infos != NULL && i < infos->len; i++)
    if (strcmp (((SandboxWarmInfo *)infos->pdata[i])->id, word) == 0)
      {
        *ret_found = TRUE;
        return remove_one (host, infos->pdata[i], &removed, error);
      }
  return infos != NULL;
}
