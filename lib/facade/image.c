// SPDX-License-Identifier: LGPL-2.1-or-later
// Images: five volumes each in the storage pool. The manifest is uploaded last, so an image without
// one does not count.
#include "facade/export.h"
#include "facade/provision-private.h"
#include "facade/warm.h"

#include <string.h>

#define IMAGE_PREFIX "image."
#define CMDLINE_MAX  4096
#define MANIFEST_MAX (4 * 1024 * 1024)
/* "-YYYYMMDDTHHMMSS-" and twelve hexadecimal digits */
#define ID_TAIL_LENGTH (1 + 15 + 1 + 12)

static const char *const suffixes[] = { ".json", ".qcow2", ".vmlinuz", ".initrd", ".cmdline" };

void
_sandbox_image_ref_free (SandboxImageRef *ref)
{
  if (ref == NULL)
    return;
  g_free (ref->id);
  g_free (ref->disk);
  g_strfreev (ref->layers);
  g_free (ref->kernel);
  g_free (ref->initrd);
  g_free (ref->cmdline);
  g_free (ref);
}

SandboxImageRef *
_sandbox_image_ref_copy (const SandboxImageRef *ref)
{
  SandboxImageRef *copy = g_new0 (SandboxImageRef, 1);

  *copy = (SandboxImageRef){ .id = g_strdup (ref->id),
                             .kernel = g_strdup (ref->kernel),
                             .initrd = g_strdup (ref->initrd),
                             .cmdline = g_strdup (ref->cmdline),
                             .disk = g_strdup (ref->disk),
                             .layers = g_strdupv (ref->layers),
                             .bytes = ref->bytes };
  return copy;
}

void
sandbox_image_info_free (SandboxImageInfo *info)
{
  if (info == NULL)
    return;
  g_free (info->name);
  g_free (info->id);
  g_strfreev (info->used_by);
  g_free (info);
}

static gboolean
parse_time (const char *text, gint64 *ret_usec)
{
  static const guchar digits[] = { 4, 2, 2, 0, 2, 2, 2 };
  int value[G_N_ELEMENTS (digits)] = { 0 };
  g_autoptr (GDateTime) time = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (digits); i++)
    {
      if (digits[i] == 0 && *text++ != 'T')
        return FALSE;
      for (guint k = 0; k < digits[i]; k++, text++)
        {
          if (!g_ascii_isdigit (*text))
            return FALSE;
          value[i] = value[i] * 10 + (*text - '0');
        }
    }
  time = g_date_time_new_utc (value[0], value[1], value[2], value[4], value[5], value[6]);
  if (time == NULL)
    return FALSE;
  *ret_usec = g_date_time_to_unix (time) * G_USEC_PER_SEC;
  return TRUE;
}

char *
_sandbox_image_id_name (const char *id, gint64 *ret_built_usec)
{
  gsize length = strlen (id);
  const char *tail = length > ID_TAIL_LENGTH ? id + length - ID_TAIL_LENGTH : NULL;
  g_autofree char *name = NULL;
  gint64 built;

  if (tail == NULL || tail[0] != '-' || tail[16] != '-'
      || strspn (tail + 17, "0123456789abcdef") != 12 || !parse_time (tail + 1, &built))
    return NULL;
  name = g_strndup (id, tail - id);
  if (!sandbox_name_check ("image", name, NULL))
    return NULL;
  if (ret_built_usec != NULL)
    *ret_built_usec = built;
  return g_steal_pointer (&name);
}

static char *
volume_to_id (const char *volume, const char *suffix)
{
  g_autofree char *id = NULL, *name = NULL;

  if (!g_str_has_prefix (volume, IMAGE_PREFIX) || !g_str_has_suffix (volume, suffix)
      || strlen (volume) < strlen (IMAGE_PREFIX) + strlen (suffix))
    return NULL;
  id = g_strndup (volume + strlen (IMAGE_PREFIX),
                  strlen (volume) - strlen (IMAGE_PREFIX) - strlen (suffix));
  name = _sandbox_image_id_name (id, NULL);
  return name != NULL ? g_steal_pointer (&id) : NULL;
}

char *
_sandbox_image_id_of_path (const char *path)
{
  g_autofree char *base = path != NULL ? g_path_get_basename (path) : NULL;

  return base != NULL ? volume_to_id (base, ".qcow2") : NULL;
}

/* By name, and the newest first: the time in the id is what sorts. */
static int
compare_ids (gconstpointer a, gconstpointer b)
{
  const char *left = *(const char *const *)a, *right = *(const char *const *)b;
  g_autofree char *left_name = _sandbox_image_id_name (left, NULL);
  g_autofree char *right_name = _sandbox_image_id_name (right, NULL);
  int order = strcmp (left_name, right_name);

  return order != 0 ? order : strcmp (right, left);
}

char **
_sandbox_image_ids (SandboxHost *host, const char *name, GError **error)
{
  g_autoptr (GPtrArray) volumes =
      _sandbox_virt_list_volumes (host->virt, IMAGE_PREFIX, FALSE, error);
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();

  if (volumes == NULL)
    return NULL;
  for (guint i = 0; i < volumes->len; i++)
    {
      g_autofree char *id = volume_to_id (((SandboxVirtVolume *)volumes->pdata[i])->name, ".json");
      g_autofree char *own = id != NULL ? _sandbox_image_id_name (id, NULL) : NULL;

      if (own != NULL && (name == NULL || strcmp (own, name) == 0))
        g_ptr_array_add (ids, g_steal_pointer (&id));
    }
  g_ptr_array_sort (ids, compare_ids);
  g_ptr_array_add (ids, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&ids), FALSE);
}

static char *
volume_name (const char *id, const char *suffix)
{
  return g_strconcat (IMAGE_PREFIX, id, suffix, NULL);
}

static gboolean
get_path (SandboxHost *host, const char *id, const char *suffix, char **ret_path,
          guint64 *ret_bytes, GError **error)
{
  g_autofree char *name = volume_name (id, suffix);
  g_autoptr (GError) local = NULL;
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, name, &local);

  if (volume == NULL && g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "image %s: its volume %s is gone; build it again with `vms image build`, "
                         "then `vms recreate` "
                         "the machines that used it",
                         id, name);
  if (volume == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  *ret_path = g_strdup (volume->path);
  if (ret_bytes != NULL)
    *ret_bytes = volume->capacity_bytes;
  _sandbox_virt_volume_free (volume);
  return TRUE;
}

SandboxImageRef *
_sandbox_image_ref (SandboxHost *host, const char *id, GError **error)
{
  g_autoptr (SandboxImageRef) ref = g_new0 (SandboxImageRef, 1);
  g_autofree char *cmdline = volume_name (id, ".cmdline");
  gsize length;

  ref->id = g_strdup (id);
  if (!get_path (host, id, ".qcow2", &ref->disk, &ref->bytes, error)
      || !get_path (host, id, ".vmlinuz", &ref->kernel, NULL, error)
      || !get_path (host, id, ".initrd", &ref->initrd, NULL, error)
      || !_sandbox_virt_volume_download (host->virt, cmdline, CMDLINE_MAX, &ref->cmdline, &length,
                                         error))
    return NULL;
  g_strstrip (ref->cmdline);
  return g_steal_pointer (&ref);
}

static gboolean
add_users (SandboxHost *host, const char *prefix, GHashTable *users, GError **error)
{
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (host->virt, prefix, TRUE, error);

  if (volumes == NULL)
    return FALSE;
  for (guint i = 0; i < volumes->len; i++)
    {
      const SandboxVirtVolume *volume = volumes->pdata[i];
      g_autofree char *id = _sandbox_image_id_of_path (volume->backing_path);
      g_autofree char *object = _sandbox_layer_object (volume->name);
      GPtrArray *names;

      if (id == NULL)
        id = _sandbox_layer_id_of_path (volume->backing_path);
      if (id == NULL)
        id = _sandbox_warm_id_of_path (volume->backing_path);
      if (id == NULL)
        continue;
      names = g_hash_table_lookup (users, id);
      if (names == NULL)
        {
          names = g_ptr_array_new_with_free_func (g_free);
          g_hash_table_insert (users, g_strdup (id), names);
        }
      g_ptr_array_add (names, object != NULL ? g_steal_pointer (&object) : g_strdup (volume->name));
    }
  return TRUE;
}

GHashTable *
_sandbox_image_users (SandboxHost *host, GError **error)
{
  g_autoptr (GHashTable) users =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);

  if (!add_users (host, "vms-", users, error) || !add_users (host, "layer.", users, error)
      || !add_users (host, "warm.", users, error))
    return NULL;
  return g_steal_pointer (&users);
}

char **
_sandbox_image_user_names (GHashTable *users, const char *id)
{
  GPtrArray *names = g_hash_table_lookup (users, id);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (guint i = 0; names != NULL && i < names->len; i++)
    g_strv_builder_add (builder, names->pdata[i]);
  return g_strv_builder_end (builder);
}

GPtrArray *
sandbox_host_list_images (SandboxHost *host, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) infos =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_image_info_free);
  g_auto (GStrv) ids = NULL;
  g_autoptr (GHashTable) users = NULL;
  const char *before = "";

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  ids = _sandbox_image_ids (host, NULL, error);
  users = ids != NULL ? _sandbox_image_users (host, error) : NULL;
  if (users == NULL)
    return NULL;
  for (char **id = ids; *id != NULL; id++)
    {
      g_autofree char *disk = volume_name (*id, ".qcow2");
      SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, disk, NULL);
      SandboxImageInfo *info;

      /* Removed since the list was made. */
      if (volume == NULL)
        continue;
      info = g_new0 (SandboxImageInfo, 1);
      info->id = g_strdup (*id);
      info->name = _sandbox_image_id_name (*id, &info->built_usec);
      info->disk_bytes = volume->allocation_bytes;
      info->virtual_bytes = volume->capacity_bytes;
      /* of imported ones none takes the place of another */
      info->newest =
          strcmp (before, info->name) != 0 && strcmp (info->name, SANDBOX_IMPORTED_IMAGE) != 0;
      info->used_by = _sandbox_image_user_names (users, *id);
      before = info->name;
      g_ptr_array_add (infos, info);
      _sandbox_virt_volume_free (volume);
    }
  return g_steal_pointer (&infos);
}

/* The ids that an id, or a name, means; at least one. */
static char **
resolve_ids (SandboxHost *host, const char *doing, const char *id_or_name, GError **error)
{
  g_auto (GStrv) all = _sandbox_image_ids (host, NULL, error);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new (), words = g_strv_builder_new ();
  g_auto (GStrv) found = NULL, candidates = NULL;
  g_autofree char *shown = NULL;
  const char *near;

  if (all == NULL)
    return NULL;
  for (char **id = all; *id != NULL; id++)
    {
      g_autofree char *name = _sandbox_image_id_name (*id, NULL);

      if (strcmp (*id, id_or_name) == 0 || strcmp (name, id_or_name) == 0)
        g_strv_builder_add (builder, *id);
      g_strv_builder_add (words, name);
      g_strv_builder_add (words, *id);
    }
  found = g_strv_builder_end (builder);
  if (found[0] != NULL)
    return g_steal_pointer (&found);
  candidates = g_strv_builder_end (words);
  shown = sandbox_escape (id_or_name, -1, 100);
  near = sandbox_nearest (id_or_name, (const char *const *)candidates);
  sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                "%s: there is no image \"%s\"%s%s%s; see `vms image list`", doing, shown,
                near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                near != NULL ? "\"" : "");
  return NULL;
}

char *
sandbox_host_show_image (SandboxHost *host, const char *id_or_name, GCancellable *cancellable,
                         GError **error)
{
  g_auto (GStrv) ids = NULL;
  g_autofree char *layer = NULL, *manifest = NULL, *text = NULL;
  gsize length;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  layer = _sandbox_layer_id_of_word (id_or_name);
  ids = layer == NULL ? resolve_ids (host, "image show", id_or_name, error) : NULL;
  if (layer == NULL && ids == NULL)
    return NULL;
  manifest =
      layer != NULL ? g_strconcat ("layer.", layer, ".json", NULL) : volume_name (ids[0], ".json");
  if (!_sandbox_virt_volume_download (host->virt, manifest, MANIFEST_MAX, &text, &length, error))
    return NULL;
  return g_steal_pointer (&text);
}

gboolean
_sandbox_image_remove_volumes (SandboxHost *host, const char *id, GError **error)
{
  /* The manifest first: from then on the image does not count. */
  for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *name = volume_name (id, suffixes[i]);

      if (!_sandbox_virt_volume_remove (host->virt, name, error))
        return FALSE;
    }
  return TRUE;
}

/* A name means all of its images that nobody uses; an id that one, used or not. */
static gboolean
remove_locked (SandboxHost *host, int build_fd, const char *id_or_name, GError **error)
{
  g_autofree char *layer = _sandbox_layer_id_of_word (id_or_name);
  g_auto (GStrv) ids = layer == NULL ? resolve_ids (host, "image remove", id_or_name, error) : NULL;
  g_autoptr (GHashTable) users = ids != NULL ? _sandbox_image_users (host, error) : NULL;
  g_autofree char *in_use = NULL;
  guint removed = 0;

  if (layer != NULL)
    return _sandbox_layer_remove (host, layer, error);
  if (users == NULL)
    return FALSE;
  for (char **id = ids; *id != NULL; id++)
    {
      g_auto (GStrv) names = _sandbox_image_user_names (users, *id);
      g_autofree char *journal = NULL;

      if (names[0] != NULL)
        {
          g_free (in_use);
          in_use = g_strjoinv (", ", names);
          continue;
        }
      journal = _sandbox_image_journal (build_fd, "remove", *id, error);
      if (journal == NULL || !_sandbox_image_remove_volumes (host, *id, error)
          || !sandbox_remove_at (build_fd, journal, error))
        return FALSE;
      removed++;
    }
  if (removed > 0)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_IN_USE,
                       "image remove %s: used by %s; destroy or recreate that first", id_or_name,
                       in_use);
}

gboolean
sandbox_host_remove_image (SandboxHost *host, const char *id_or_name, GCancellable *cancellable,
                           GError **error)
{
  sandbox_autofd int build_fd = _sandbox_image_build_fd (host, TRUE, error);
  SandboxReport report = { NULL, NULL, id_or_name };
  g_autoptr (SandboxLock) lock =
      build_fd >= 0 ? _sandbox_image_lock (host, build_fd, &report, cancellable, error) : NULL;

  gboolean warm = FALSE;

  return lock != NULL && _sandbox_warm_remove_word (host, id_or_name, &warm, error)
         && (warm || remove_locked (host, build_fd, id_or_name, error));
}
