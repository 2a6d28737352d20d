// SPDX-License-Identifier: LGPL-2.1-or-later
// Listing layers with who uses them, and removing those that nobody does.
#include "facade/provision-private.h"

#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX (64 * 1024)
#define LOCK_SUFFIX  ".lock"
/* No copy of a disk takes as long. */
#define MAKING_USEC ((gint64)24 * 3600 * G_USEC_PER_SEC)

void
sandbox_layer_info_free (SandboxLayerInfo *info)
{
  if (info == NULL)
    return;
  g_free (info->id);
  g_free (info->image);
  g_free (info->parent);
  g_free (info->profile);
  g_free (info->step);
  g_free (info->what);
  g_free (info->registry);
  g_strfreev (info->used_by);
  g_free (info);
}

/* The value of "KEY" in a manifest, which is our own writing: a line for each. */
static char *
manifest_value (char *const *lines, const char *key)
{
  g_autofree char *begin = g_strdup_printf ("  \"%s\": ", key);

  for (; *lines != NULL; lines++)
    if (g_str_has_prefix (*lines, begin))
      {
        const char *value = *lines + strlen (begin);
        gsize length = strcspn (value, ",");

        if (*value != '"')
          return g_strndup (value, length);
        length = strlen (value);
        while (length > 1 && value[length - 1] != '"')
          length--;
        {
          g_autofree char *inside = g_strndup (value + 1, length > 2 ? length - 2 : 0);

          return g_strcompress (inside);
        }
      }
  return g_strdup ("");
}

static gint64
time_of_id (const char *id)
{
  g_autofree char *zulu = g_strconcat (id + 33, "Z", NULL);
  g_autoptr (GDateTime) time = g_date_time_new_from_iso8601 (zulu, NULL);

  return time != NULL ? g_date_time_to_unix (time) * G_USEC_PER_SEC : 0;
}

static SandboxLayerInfo *
make_info (SandboxHost *host, const char *id, GHashTable *users)
{
  g_autofree char *manifest = g_strconcat ("layer.", id, ".json", NULL);
  g_autofree char *disk = g_strconcat ("layer.", id, ".qcow2", NULL);
  g_autofree char *text = NULL, *uid = NULL;
  g_auto (GStrv) lines = NULL;
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, disk, NULL);
  SandboxLayerInfo *info;
  gsize length;

  /* removed since the list was made */
  if (volume == NULL)
    return NULL;
  info = g_new0 (SandboxLayerInfo, 1);
  info->disk_bytes = volume->allocation_bytes;
  _sandbox_virt_volume_free (volume);
  if (!_sandbox_virt_volume_download (host->virt, manifest, MANIFEST_MAX, &text, &length, NULL))
    text = g_strdup ("");
  lines = g_strsplit (text, "\n", -1);
  uid = manifest_value (lines, "uid");
  info->id = g_strconcat ("layer-", id, NULL);
  info->image = manifest_value (lines, "image");
  info->parent = manifest_value (lines, "parent");
  info->profile = manifest_value (lines, "profile");
  info->step = manifest_value (lines, "step");
  info->what = g_strchomp (manifest_value (lines, "what"));
  info->registry = manifest_value (lines, "registry");
  info->uid = (guint)g_ascii_strtoull (uid, NULL, 10);
  info->built_usec = time_of_id (id);
  info->used_by = _sandbox_image_user_names (users, id);
  return info;
}

static int
compare_infos (gconstpointer a, gconstpointer b)
{
  const SandboxLayerInfo *left = *(SandboxLayerInfo *const *)a;
  const SandboxLayerInfo *right = *(SandboxLayerInfo *const *)b;

  if (left->built_usec != right->built_usec)
    return left->built_usec < right->built_usec ? 1 : -1;
  return strcmp (left->id, right->id);
}

GPtrArray *
sandbox_host_list_layers (SandboxHost *host, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) infos =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_layer_info_free);
  g_autoptr (GPtrArray) ids = NULL;
  g_autoptr (GHashTable) users = NULL;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  ids = _sandbox_layer_ids (host, "", error);
  users = ids != NULL ? _sandbox_image_users (host, error) : NULL;
  if (users == NULL)
    return NULL;
  for (guint i = 0; i < ids->len; i++)
    {
      SandboxLayerInfo *info = make_info (host, ids->pdata[i], users);

      if (info != NULL)
        g_ptr_array_add (infos, info);
    }
  g_ptr_array_sort (infos, compare_infos);
  return g_steal_pointer (&infos);
}

static char *
lock_of_id (const char *id)
{
  return g_strdup_printf ("%.*s" LOCK_SUFFIX, (int)strcspn (id, "-"), id);
}

/* What a killed builder has left; not what one is at. */
static gboolean
remove_incomplete (SandboxHost *host, const char *id, GError **error)
{
  sandbox_autofd int fd = _sandbox_layer_lock_fd (host, TRUE, error);
  g_autofree char *file = lock_of_id (id);
  SandboxLock *lock =
      fd >= 0 ? sandbox_lock_acquire (fd, file, "removing a layer", 0, NULL, NULL, NULL, error)
              : NULL;
  gboolean removed = lock != NULL && _sandbox_layer_remove_volumes (host, id, error);

  if (removed)
    sandbox_lock_remove (lock);
  else if (lock != NULL)
    sandbox_lock_release (lock);
  return removed;
}

gboolean
_sandbox_layer_remove (SandboxHost *host, const char *id, GError **error)
{
  g_autoptr (GPtrArray) halves = _sandbox_layer_incomplete (host, id, error);
  g_autoptr (GPtrArray) ids = halves != NULL ? _sandbox_layer_ids (host, id, error) : NULL;
  g_autoptr (GHashTable) users = ids != NULL ? _sandbox_image_users (host, error) : NULL;
  g_auto (GStrv) names = users != NULL ? _sandbox_image_user_names (users, id) : NULL;
  g_autofree char *all = NULL;

  if (users == NULL)
    return FALSE;
  if (ids->len == 0 && halves->len == 0)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "image remove: there is no layer-%s; see `vms image list`", id);
  if (names[0] == NULL)
    return ids->len > 0 ? _sandbox_layer_remove_volumes (host, id, error)
                        : remove_incomplete (host, id, error);
  all = g_strjoinv (", ", names);
  return sandbox_fail (error, SANDBOX_ERROR_IN_USE,
                       "image remove layer-%s: used by %s; destroy, recreate or remove that first",
                       id, all);
}

/* --- repair */

static void
add_orphan (GPtrArray *orphans, const char *name)
{
  SandboxOrphan *orphan = g_new0 (SandboxOrphan, 1);

  orphan->kind = g_strdup ("layer");
  orphan->name = g_strdup (name);
  orphan->reason = g_strdup ("a provisioning that was interrupted");
  g_ptr_array_add (orphans, orphan);
}

/* Those whose lock file is there: a builder of this user's that did not get to remove it. */
static gboolean
repair_locked (SandboxHost *host, int lock_fd, gboolean remove, GPtrArray *orphans, GError **error)
{
  g_auto (GStrv) files = sandbox_dir_list (lock_fd, NULL);

  for (char **file = files; file != NULL && *file != NULL; file++)
    {
      g_autofree char *digest = NULL;
      SandboxLock *lock;

      if (!g_str_has_suffix (*file, LOCK_SUFFIX))
        continue;
      /* held: a layer is being made */
      lock = sandbox_lock_acquire (lock_fd, *file, "repair", 0, NULL, NULL, NULL, NULL);
      if (lock == NULL)
        continue;
      digest = g_strndup (*file, strlen (*file) - strlen (LOCK_SUFFIX));
      add_orphan (orphans, digest);
      if (!remove)
        sandbox_lock_release (lock);
      else if (_sandbox_layer_clean (host, digest, error))
        sandbox_lock_remove (lock);
      else
        {
          sandbox_lock_release (lock);
          return FALSE;
        }
    }
  return TRUE;
}

/* Those that have none, as when the cache directory was emptied. Whose they are nobody can tell any
 * more, nor whether another user is at it, but by their age. */
static gboolean
repair_old (SandboxHost *host, int lock_fd, gboolean remove, GPtrArray *orphans, GError **error)
{
  g_autoptr (GPtrArray) ids = _sandbox_layer_incomplete (host, "", error);
  g_autoptr (GHashTable) users =
      ids != NULL && ids->len > 0 ? _sandbox_image_users (host, error) : NULL;

  for (guint i = 0; users != NULL && i < ids->len; i++)
    {
      const char *id = ids->pdata[i];
      g_auto (GStrv) names = _sandbox_image_user_names (users, id);
      g_autofree char *file = lock_of_id (id);

      if (names[0] != NULL || time_of_id (id) > g_get_real_time () - MAKING_USEC
          || (lock_fd >= 0 && faccessat (lock_fd, file, F_OK, 0) == 0))
        continue;
      add_orphan (orphans, id);
      if (remove && !_sandbox_layer_remove_volumes (host, id, error))
        return FALSE;
    }
  return ids != NULL && (ids->len == 0 || users != NULL);
}

gboolean
_sandbox_layers_repair (SandboxHost *host, gboolean remove, GPtrArray *orphans, GError **error)
{
  sandbox_autofd int fd = _sandbox_layer_lock_fd (host, FALSE, NULL);

  return (fd < 0 || repair_locked (host, fd, remove, orphans, error))
         && repair_old (host, fd, remove, orphans, error);
}
