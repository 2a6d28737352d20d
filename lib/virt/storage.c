// SPDX-License-Identifier: LGPL-2.1-or-later
// The volumes of the storage pool, through libvirt's storage API only: no file of ours is touched
// directly.
//
// Two processes may do the same at once. So every refusal is checked against what is there then,
// and a volume that another client is just making counts as there once it is finished.

#include <errno.h>
#include "base/xml.h"
#include "virt/virt-private.h"
#include "xml/xml-private.h"

#define TRIES           10
#define PAUSE_USEC      (100 * 1000)
#define BUILD_WAIT_USEC (60 * G_USEC_PER_SEC)

/* Makes libvirt look into the directory. Not while another client makes a volume, and if something
 * goes wrong libvirt stops the pool: hence the tries. */
static void
refresh (virStoragePoolPtr pool)
{
  for (int i = 0; i < TRIES; i++)
    {
      if (virStoragePoolRefresh (pool, 0) == 0)
        return;
      if (virStoragePoolIsActive (pool) == 0 && _sandbox_virt_pool_activate (pool, NULL))
        return;
      g_usleep (PAUSE_USEC);
    }
}

gboolean
_sandbox_virt_pool_refresh (SandboxVirt *virt, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStoragePool) pool =
      conn ? _sandbox_virt_pool_need (conn, "look into it", error) : NULL;

  if (pool)
    refresh (pool);
  return pool != NULL;
}

/* --- volumes */

void
_sandbox_virt_volume_free (SandboxVirtVolume *volume)
{
  if (!volume)
    return;
  g_free (volume->name);
  g_free (volume->path);
  g_free (volume->backing_path);
  g_free (volume);
}

static gboolean
is_gone (void)
{
  return virGetLastErrorCode () == VIR_ERR_NO_STORAGE_VOL;
}

/* NULL with *ret_none TRUE and no error: there is no such volume, also not after a look into the
 * directory. */
static virStorageVolPtr
find_volume (virStoragePoolPtr pool, const char *name, gboolean *ret_none, GError **error)
{
  virStorageVolPtr volume = virStorageVolLookupByName (pool, name);

  if (!volume && is_gone ())
    {
      refresh (pool);
      volume = virStorageVolLookupByName (pool, name);
    }
  *ret_none = !volume && is_gone ();
  if (!volume && !*ret_none)
    _sandbox_virt_fail (error, "Cannot look for volume %s", name);
  return volume;
}

virStorageVolPtr
_sandbox_virt_volume_lookup (virConnectPtr conn, const char *name, gboolean *ret_none,
                             GError **error)
{
  g_autoptr (virStoragePool) pool = _sandbox_virt_pool_open (conn, ret_none, error);

  return pool ? find_volume (pool, name, ret_none, error) : NULL;
}

static gboolean
read_number (xmlNode *root, const char *path, guint64 *ret_number)
{
  g_autofree char *text = sandbox_xml_dup (root, path, NULL);

  return text && g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, ret_number, NULL);
}

/* "1795230900.123456789" */
static gint64
read_time (xmlNode *root, const char *path)
{
  g_autofree char *text = sandbox_xml_dup (root, path, NULL);
  g_auto (GStrv) parts = text ? g_strsplit (text, ".", 2) : NULL;
  guint64 seconds = 0, nsec = 0;

  if (!parts || !parts[0]
      || !g_ascii_string_to_unsigned (parts[0], 10, 0, G_MAXINT32 * (guint64)64, &seconds, NULL)
      || (parts[1]
          && !g_ascii_string_to_unsigned (parts[1], 10, 0, G_GUINT64_CONSTANT (999999999), &nsec,
                                          NULL)))
    return 0;
  return (gint64)(seconds * G_USEC_PER_SEC + nsec / 1000);
}

/* libvirt writes sizes in bytes, always. */
static SandboxVirtVolume *
parse_volume (const char *xml, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("volume XML of libvirt", xml, error);
  xmlNode *root = doc ? xmlDocGetRootElement (doc) : NULL;
  SandboxVirtVolume *volume = NULL;

  if (!root)
    return NULL;
  volume = g_new0 (SandboxVirtVolume, 1);
  volume->name = sandbox_xml_dup (root, "name", NULL);
  volume->path = sandbox_xml_dup (root, "target/path", NULL);
  volume->backing_path = sandbox_xml_dup (root, "backingStore/path", NULL);
  read_number (root, "capacity", &volume->capacity_bytes);
  read_number (root, "allocation", &volume->allocation_bytes);
  read_number (root, "physical", &volume->physical_bytes);
  volume->encrypted = sandbox_xml_find (root, "target/encryption") != NULL;
  volume->changed_usec = read_time (root, "target/timestamps/mtime");
  return volume;
}

/* NULL with *ret_none TRUE and no error: its file vanished. */
static SandboxVirtVolume *
describe_volume (virStorageVolPtr volume, gboolean *ret_none, GError **error)
{
  const char *name = virStorageVolGetName (volume);
  char *xml = virStorageVolGetXMLDesc (volume, 0);
  SandboxVirtVolume *description = NULL;
  virErrorPtr why = xml ? NULL : virGetLastError ();

  *ret_none = !xml && (is_gone () || (why && why->int1 == ENOENT));
  if (!xml && !*ret_none)
    _sandbox_virt_fail (error, "Cannot read volume %s", name);
  if (!xml)
    return NULL;
  description = parse_volume (xml, error);
  free (xml);
  return description;
}

static gboolean
add_volume (GPtrArray *volumes, virStorageVolPtr volume, gboolean detail, GError **error)
{
  SandboxVirtVolume *description = NULL;
  gboolean none = FALSE;

  if (detail)
    {
      description = describe_volume (volume, &none, error);
      if (!description)
        return none;
    }
  else
    {
      description = g_new0 (SandboxVirtVolume, 1);
      description->name = g_strdup (virStorageVolGetName (volume));
    }
  g_ptr_array_add (volumes, description);
  return TRUE;
}

GPtrArray *
_sandbox_virt_list_volumes (SandboxVirt *virt, const char *prefix, gboolean detail, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStoragePool) pool = NULL;
  g_autoptr (GPtrArray) volumes = NULL;
  virStorageVolPtr *list = NULL;
  gboolean none, ok = TRUE;
  int count;

  if (!conn)
    return NULL;
  pool = _sandbox_virt_pool_open (conn, &none, error);
  if (!pool && !none)
    return NULL;
  volumes = g_ptr_array_new_with_free_func ((GDestroyNotify)_sandbox_virt_volume_free);
  if (!pool)
    return g_steal_pointer (&volumes);
  count = virStoragePoolListAllVolumes (pool, &list, 0);
  if (count < 0)
    {
      _sandbox_virt_fail (error, "Cannot list the volumes of the storage pool %s", SANDBOX_POOL);
      return NULL;
    }
  for (int i = 0; i < count; i++)
    {
      if (ok && g_str_has_prefix (virStorageVolGetName (list[i]), prefix))
        ok = add_volume (volumes, list[i], detail, error);
      virStorageVolFree (list[i]);
    }
  free (list);
  return ok ? g_steal_pointer (&volumes) : NULL;
}

SandboxVirtVolume *
_sandbox_virt_volume_get (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStorageVol) volume = NULL;
  SandboxVirtVolume *description = NULL;
  gboolean none = FALSE;

  if (!conn)
    return NULL;
  volume = _sandbox_virt_volume_lookup (conn, name, &none, error);
  if (volume)
    description = describe_volume (volume, &none, error);
  if (none)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "Cannot read volume %s: the storage pool %s has none of that name", name,
                  SANDBOX_POOL);
  return description;
}

static char *
name_in_xml (const char *xml, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("volume XML", xml, error);
  char *name = NULL;

  if (!doc)
    return NULL;
  name = sandbox_xml_dup (xmlDocGetRootElement (doc), "name", NULL);
  if (!name)
    sandbox_fail (error, SANDBOX_ERROR_INVALID, "Cannot make a volume: its XML has no name");
  return name;
}

/* Waits while another client makes @volume. *ret_gone: it gave up and the volume is no more. */
static gboolean
wait_built (virStorageVolPtr volume, gboolean *ret_gone, GError **error)
{
  const char *name = virStorageVolGetName (volume);
  gint64 end = g_get_monotonic_time () + BUILD_WAIT_USEC;
  virStorageVolInfo info;

  *ret_gone = FALSE;
  while (virStorageVolGetInfo (volume, &info) < 0)
    {
      *ret_gone = is_gone ();
      if (*ret_gone)
        return TRUE;
      if (virGetLastErrorCode () != VIR_ERR_OPERATION_INVALID || g_get_monotonic_time () > end)
        return _sandbox_virt_fail (error, "Cannot use volume %s, which is there already", name);
      g_usleep (PAUSE_USEC);
    }
  return TRUE;
}

gboolean
_sandbox_virt_volume_make (virConnectPtr conn, const char *xml, char **ret_name, GError **error)
{
  g_autofree char *name = name_in_xml (xml, error);
  g_autoptr (virStoragePool) pool =
      name ? _sandbox_virt_pool_need (conn, "make a volume", error) : NULL;
  g_autoptr (virStorageVol) volume = NULL;

  if (!pool)
    return FALSE;
  volume = virStorageVolCreateXML (pool, xml, 0);
  if (!volume)
    return _sandbox_virt_fail (error, "Cannot make volume %s", name);
  *ret_name = g_steal_pointer (&name);
  return TRUE;
}

/* One try. *ret_again: another client's volume of that name came and went. */
static gboolean
create_once (virStoragePoolPtr pool, const char *name, const char *xml, gboolean *ret_created,
             gboolean *ret_again, GError **error)
{
  g_autoptr (virStorageVol) volume = virStorageVolCreateXML (pool, xml, 0);
  g_autoptr (SavedError) why = NULL;
  gboolean none;

  *ret_again = FALSE;
  *ret_created = volume != NULL;
  if (volume)
    return TRUE;
  why = virSaveLastError ();
  volume = find_volume (pool, name, &none, NULL);
  if (!volume)
    {
      g_autofree char *doing = g_strdup_printf ("Cannot make volume %s", name);

      *ret_again = why && why->code == VIR_ERR_STORAGE_VOL_EXIST;
      return _sandbox_virt_fail_with (error, why, doing);
    }
  return wait_built (volume, ret_again, error);
}

gboolean
_sandbox_virt_volume_create (SandboxVirt *virt, const char *xml, gboolean *ret_created,
                             GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStoragePool) pool = NULL;
  g_autofree char *name = NULL;
  gboolean created = FALSE, again = TRUE;

  if (!conn)
    return FALSE;
  name = name_in_xml (xml, error);
  pool = name ? _sandbox_virt_pool_need (conn, "make a volume", error) : NULL;
  if (!pool)
    return FALSE;
  for (int i = 0; i < TRIES && again; i++)
    {
      g_autoptr (GError) local_error = NULL;

      if (!create_once (pool, name, xml, &created, &again, &local_error)
          && (!again || i + 1 == TRIES))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
    }
  if (ret_created)
    *ret_created = created;
  return TRUE;
}

gboolean
_sandbox_virt_volume_create_new (SandboxVirt *virt, const char *xml, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autofree char *name = NULL;

  return conn && _sandbox_virt_volume_make (conn, xml, &name, error);
}

/* One try. *ret_again: refused, and it is still there. */
static gboolean
remove_once (virStoragePoolPtr pool, const char *name, gboolean *ret_again, GError **error)
{
  gboolean none;
  g_autoptr (virStorageVol) volume = find_volume (pool, name, &none, error);

  *ret_again = FALSE;
  if (!volume)
    return none;
  if (virStorageVolDelete (volume, 0) == 0 || is_gone ())
    return TRUE;
  *ret_again = TRUE;
  return _sandbox_virt_fail (error, "Cannot remove volume %s", name);
}

gboolean
_sandbox_virt_volume_remove (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStoragePool) pool = NULL;
  gboolean none;

  if (!conn)
    return FALSE;
  pool = _sandbox_virt_pool_open (conn, &none, error);
  if (!pool)
    return none;
  // a transfer of a client that was killed is still being closed
  for (int i = 0; i < TRIES; i++)
    {
      g_autoptr (GError) local_error = NULL;
      gboolean again;

      if (remove_once (pool, name, &again, &local_error))
        return TRUE;
      if (!again || i + 1 == TRIES)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      refresh (pool);
      g_usleep (PAUSE_USEC);
    }
  return TRUE;
}

gboolean
_sandbox_virt_volume_grow (SandboxVirt *virt, const char *name, guint64 bytes, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStorageVol) volume = NULL;
  gboolean none = FALSE;
  virStorageVolInfo info;

  if (!conn)
    return FALSE;
  volume = _sandbox_virt_volume_lookup (conn, name, &none, error);
  if (none)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "Cannot grow volume %s: the storage pool %s has none of that name", name,
                         SANDBOX_POOL);
  if (!volume)
    return FALSE;
  if (virStorageVolGetInfo (volume, &info) < 0)
    return _sandbox_virt_fail (error, "Cannot look at volume %s", name);
  if (info.capacity >= bytes || virStorageVolResize (volume, bytes, 0) == 0)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot grow volume %s to %" G_GUINT64_FORMAT " bytes", name,
                             bytes);
}
