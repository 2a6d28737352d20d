// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers: read-only disks on an image, or on one another, that have what a profile's provisioning
// made. Two volumes each in the storage pool; the manifest is written last, so a layer without one,
// or with one that does not name it, does not count.
#include "facade/provision-private.h"

#include <string.h>

#define PREFIX       "layer."
#define DISK         ".qcow2"
#define MANIFEST     ".json"
#define DIGEST_LEN   32
#define ID_LEN       (DIGEST_LEN + 1 + 15) /* "-YYYYMMDDTHHMMSS" */
#define MANIFEST_MAX (64 * 1024)

/* (transfer full) (nullable) */
static char *
id_of_volume (const char *volume, const char *suffix)
{
  const char *id = volume + strlen (PREFIX);

  if (!g_str_has_prefix (volume, PREFIX) || !g_str_has_suffix (volume, suffix)
      || strlen (volume) != strlen (PREFIX) + ID_LEN + strlen (suffix)
      || strspn (id, "0123456789abcdef") != DIGEST_LEN || id[DIGEST_LEN] != '-'
      || strspn (id + DIGEST_LEN + 1, "0123456789T") != 15)
    return NULL;
  return g_strndup (id, ID_LEN);
}

static char *
volume_name (const char *id, const char *suffix)
{
  return g_strconcat (PREFIX, id, suffix, NULL);
}

char *
_sandbox_layer_id_of_path (const char *path)
{
  g_autofree char *base = path != NULL ? g_path_get_basename (path) : NULL;

  return base != NULL ? id_of_volume (base, DISK) : NULL;
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  /* of one digest, the time decides: newest first */
  return strcmp (*(const char *const *)b, *(const char *const *)a);
}

/* A builder may be killed, or the host go down, between making the volume and filling it. One that
 * cannot be read counts: what stands on its layer is not to be lost by that. */
static gboolean
is_written (SandboxHost *host, const char *id)
{
  g_autofree char *name = volume_name (id, MANIFEST), *text = NULL;
  g_autofree char *own = g_strdup_printf ("\"id\": \"%s\"", id);
  g_autoptr (GError) local = NULL;
  gsize length;

  /* the test driver's volumes have no bytes */
  if (_sandbox_host_is_test (host))
    return TRUE;
  if (!_sandbox_virt_volume_download (host->virt, name, MANIFEST_MAX, &text, &length, &local))
    return !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  return strstr (text, own) != NULL && g_str_has_suffix (text, "}\n");
}

/* Ids of all volumes layer.@digest*@suffix, the newest first of each digest. (element-type utf8) */
static GPtrArray *
list_ids (SandboxHost *host, const char *digest, const char *suffix, GError **error)
{
  g_autofree char *prefix = g_strconcat (PREFIX, digest, NULL);
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (host->virt, prefix, FALSE, error);
  GPtrArray *ids;

  if (volumes == NULL)
    return NULL;
  ids = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < volumes->len; i++)
    {
      char *id = id_of_volume (((SandboxVirtVolume *)volumes->pdata[i])->name, suffix);

      if (id != NULL && (strcmp (suffix, MANIFEST) != 0 || is_written (host, id)))
        g_ptr_array_add (ids, id);
      else
        g_free (id);
    }
  g_ptr_array_sort (ids, compare_ids);
  return ids;
}

GPtrArray *
_sandbox_layer_ids (SandboxHost *host, const char *digest, GError **error)
{
  return list_ids (host, digest, MANIFEST, error);
}

char *
_sandbox_layer_id_of_word (const char *word)
{
  g_autofree char *volume =
      g_str_has_prefix (word, "layer-") ? volume_name (word + strlen ("layer-"), DISK) : NULL;

  return volume != NULL ? id_of_volume (volume, DISK) : NULL;
}

/* A disk cannot be smaller than what it stands on. One whose volume is gone fits: whoever uses it
 * is told. */
static gboolean
layer_fits (SandboxHost *host, const char *id, guint64 disk_bytes)
{
  g_autofree char *name = volume_name (id, DISK);
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, name, NULL);
  gboolean fits = volume == NULL || volume->capacity_bytes <= disk_bytes;

  _sandbox_virt_volume_free (volume);
  return fits;
}

GPtrArray *
_sandbox_layer_fitting (SandboxHost *host, const char *digest, guint64 disk_bytes, GError **error)
{
  GPtrArray *ids = list_ids (host, digest, MANIFEST, error);

  for (guint i = ids != NULL ? ids->len : 0; i > 0; i--)
    if (!layer_fits (host, ids->pdata[i - 1], disk_bytes))
      g_ptr_array_remove_index (ids, i - 1);
  return ids;
}

gboolean
_sandbox_layer_find (SandboxHost *host, const char *digest, guint64 disk_bytes, char **ret_id,
                     GError **error)
{
  g_autoptr (GPtrArray) ids = _sandbox_layer_fitting (host, digest, disk_bytes, error);

  if (ids == NULL)
    return FALSE;
  *ret_id = ids->len > 0 ? g_strdup (ids->pdata[0]) : NULL;
  return TRUE;
}

gboolean
_sandbox_layer_use (SandboxHost *host, const char *id, SandboxImageRef *image, GError **error)
{
  g_autofree char *name = volume_name (id, DISK);
  g_autoptr (GStrvBuilder) layers = g_strv_builder_new ();
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, name, error);

  if (volume == NULL)
    {
      g_prefix_error (error,
                      "layer-%s: its disk is gone; remove the rest with `vms image remove "
                      "layer-%s`: ",
                      id, id);
      return FALSE;
    }
  g_strv_builder_add (layers, volume->path);
  if (image->layers != NULL)
    g_strv_builder_addv (layers, (const char **)image->layers);
  g_strfreev (image->layers);
  image->layers = g_strv_builder_end (layers);
  _sandbox_virt_volume_free (volume);
  return TRUE;
}

const char *
_sandbox_layer_top (const SandboxImageRef *image)
{
  return image->layers != NULL && image->layers[0] != NULL ? image->layers[0] : image->disk;
}

gboolean
_sandbox_layer_check_below (SandboxHost *host, const char *volume, const SandboxImageRef *image,
                            GError **error)
{
  SandboxVirtVolume *disk = _sandbox_virt_volume_get (host->virt, volume, error);
  const char *wanted = _sandbox_layer_top (image);
  gboolean right;

  if (disk == NULL)
    return FALSE;
  right = g_strcmp0 (disk->backing_path, wanted) == 0;
  if (!right)
    sandbox_fail (error, SANDBOX_ERROR_FAILED,
                  "%s stands on %s, not on %s: as a layer it would lack what is between the two. "
                  "This is a mistake in vms, please report it; nothing was kept",
                  volume, disk->backing_path != NULL ? disk->backing_path : "nothing", wanted);
  _sandbox_virt_volume_free (disk);
  return right;
}

gboolean
_sandbox_layer_remove_volumes (SandboxHost *host, const char *id, GError **error)
{
  g_autofree char *disk = volume_name (id, DISK), *manifest = volume_name (id, MANIFEST);

  /* The manifest first: from then on the layer does not count. */
  return _sandbox_virt_volume_remove (host->virt, manifest, error)
         && _sandbox_virt_volume_remove (host->virt, disk, error);
}

GPtrArray *
_sandbox_layer_incomplete (SandboxHost *host, const char *digest, GError **error)
{
  /* in this order: one that is completed meanwhile counts as complete */
  g_autoptr (GPtrArray) disks = list_ids (host, digest, DISK, error);
  g_autoptr (GPtrArray) manifests = disks != NULL ? list_ids (host, digest, MANIFEST, error) : NULL;

  if (manifests == NULL)
    return NULL;
  for (guint i = disks->len; i > 0; i--)
    if (g_ptr_array_find_with_equal_func (manifests, disks->pdata[i - 1], g_str_equal, NULL))
      g_ptr_array_remove_index (disks, i - 1);
  return g_steal_pointer (&disks);
}

gboolean
_sandbox_layer_clean (SandboxHost *host, const char *digest, GError **error)
{
  g_autoptr (GPtrArray) ids = _sandbox_layer_incomplete (host, digest, error);

  for (guint i = 0; ids != NULL && i < ids->len; i++)
    if (!_sandbox_layer_remove_volumes (host, ids->pdata[i], error))
      return FALSE;
  return ids != NULL;
}
