// SPDX-License-Identifier: LGPL-2.1-or-later
// The storage pool, through libvirt's storage API only. Two processes may do the same at once, so
// every refusal is checked against what is there then.

#include "base/units.h"
#include "base/xml.h"
#include "virt/virt-private.h"
#include "xml/xml-private.h"

#include <stdlib.h>
#include <string.h>

#define TRIES      10
#define PAUSE_USEC (100 * 1000)

/* NULL with *ret_none TRUE and no error: there is no pool. */
static virStoragePoolPtr
find_pool (virConnectPtr conn, gboolean *ret_none, GError **error)
{
  virStoragePoolPtr pool = virStoragePoolLookupByName (conn, SANDBOX_POOL);

  *ret_none = !pool && virGetLastErrorCode () == VIR_ERR_NO_STORAGE_POOL;
  if (!pool && !*ret_none)
    _sandbox_virt_fail (error, "Cannot look for the storage pool %s", SANDBOX_POOL);
  return pool;
}

gboolean
_sandbox_virt_pool_activate (virStoragePoolPtr pool, GError **error)
{
  g_autoptr (SavedError) why = NULL;

  if (virStoragePoolIsActive (pool) == 1 || virStoragePoolCreate (pool, 0) == 0)
    return TRUE;
  if (virStoragePoolIsActive (pool) == 1)
    return TRUE;
  // the directory may be missing; one that is there is left as it is
  virStoragePoolBuild (pool, 0);
  if (virStoragePoolCreate (pool, 0) == 0)
    return TRUE;
  why = virSaveLastError ();
  if (virStoragePoolIsActive (pool) == 1)
    return TRUE;
  return _sandbox_virt_fail_with (error, why, "Cannot start the storage pool " SANDBOX_POOL);
}

virStoragePoolPtr
_sandbox_virt_pool_open (virConnectPtr conn, gboolean *ret_none, GError **error)
{
  g_autoptr (virStoragePool) pool = find_pool (conn, ret_none, error);

  if (!pool || !_sandbox_virt_pool_activate (pool, error))
    return NULL;
  return g_steal_pointer (&pool);
}

virStoragePoolPtr
_sandbox_virt_pool_need (virConnectPtr conn, const char *doing, GError **error)
{
  gboolean none;
  virStoragePoolPtr pool = _sandbox_virt_pool_open (conn, &none, error);

  if (none)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "Cannot %s: there is no storage pool " SANDBOX_POOL
                  " yet; it is made with the first image (vms image build)",
                  doing);
  return pool;
}

/* The group that QEMU runs with; -1 where libvirt has none to tell (the test driver). */
static gint64
qemu_group (virConnectPtr conn)
{
  g_autoptr (xmlDoc) doc = _sandbox_virt_capabilities (conn, NULL);
  g_autoptr (GPtrArray) models =
      doc ? sandbox_xml_find_all (xmlDocGetRootElement (doc), "host/secmodel") : NULL;

  for (guint i = 0; models && i < models->len; i++)
    {
      g_autofree char *model = sandbox_xml_dup (models->pdata[i], "model", NULL);
      g_autofree char *label = sandbox_xml_dup (models->pdata[i], "baselabel", NULL);
      const char *group = label ? strchr (label, ':') : NULL; /* +UID:+GID */
      guint64 gid;

      if (g_strcmp0 (model, "dac") == 0 && group && group[1] == '+'
          && sandbox_uint_parse (group + 2, 0, G_MAXINT32, &gid, NULL))
        return (gint64)gid;
    }
  return -1;
}

/* Defines the pool and makes its directory, or finds that another process did. */
static virStoragePoolPtr
define_pool (virConnectPtr conn, GError **error)
{
  g_autofree char *xml =
      _sandbox_xml_pool (SANDBOX_POOL, SANDBOX_POOL_PATH, NULL, qemu_group (conn));
  g_autoptr (virStoragePool) pool = virStoragePoolDefineXML (conn, xml, 0);
  g_autoptr (SavedError) why = NULL;

  if (!pool)
    {
      why = virSaveLastError ();
      pool = virStoragePoolLookupByName (conn, SANDBOX_POOL);
      if (pool)
        return g_steal_pointer (&pool);
      _sandbox_virt_fail_with (error, why, "Cannot define the storage pool " SANDBOX_POOL);
      return NULL;
    }
  if (virStoragePoolBuild (pool, 0) == 0)
    return g_steal_pointer (&pool);
  why = virSaveLastError ();
  if (virStoragePoolIsActive (pool) == 1)
    return g_steal_pointer (&pool);
  virStoragePoolUndefine (pool);
  _sandbox_virt_fail_with (error, why, "Cannot make the directory " SANDBOX_POOL_PATH);
  return NULL;
}

/* Whether only root and QEMU's group get into the directory. libvirt makes a qcow2 file readable
 * for all and takes that back only then: whoever opened it in between would read for ever what the
 * machine writes, its keys first. */
static gboolean
is_closed (virStoragePoolPtr pool, char **ret_uuid)
{
  char *xml = virStoragePoolGetXMLDesc (pool, 0);
  g_autoptr (xmlDoc) doc = xml ? sandbox_xml_parse ("storage pool of libvirt", xml, NULL) : NULL;
  xmlNode *root = doc ? xmlDocGetRootElement (doc) : NULL;
  g_autofree char *mode = root ? sandbox_xml_dup (root, "target/permissions/mode", NULL) : NULL;

  free (xml);
  if (root && !*ret_uuid)
    *ret_uuid = sandbox_xml_dup (root, "uuid", NULL);
  return mode && (g_ascii_strtoull (mode, NULL, 8) & 07) == 0;
}

/* A pool of an older version, or one whose directory was made by hand. Machines that run have their
 * files open: for them nothing changes. */
static gboolean
close_to_others (virConnectPtr conn, virStoragePoolPtr pool, GError **error)
{
  gint64 group = qemu_group (conn);
  g_autofree char *uuid = NULL;
  g_autofree char *xml = NULL;

  for (int i = 0; group >= 0 && !is_closed (pool, &uuid); i++)
    {
      g_autoptr (virStoragePool) defined = NULL;

      if (i == TRIES)
        return sandbox_fail (error, SANDBOX_ERROR_HOST,
                             "the directory of the storage pool, " SANDBOX_POOL_PATH
                             ", is open to all users of this host and cannot be closed: run "
                             "\"sudo chgrp %u " SANDBOX_POOL_PATH
                             " && sudo chmod 0710 " SANDBOX_POOL_PATH "\"",
                             (guint)group);
      if (!xml)
        xml = _sandbox_xml_pool (SANDBOX_POOL, SANDBOX_POOL_PATH, uuid, group);
      virStoragePoolDestroy (pool);
      defined = virStoragePoolDefineXML (conn, xml, 0);
      virStoragePoolBuild (pool, 0);
      if (!_sandbox_virt_pool_activate (pool, error))
        return FALSE;
      if (i > 0)
        g_usleep (PAUSE_USEC);
    }
  return TRUE;
}

gboolean
_sandbox_virt_pool_ensure (SandboxVirt *virt, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStoragePool) pool = NULL;
  gboolean none;
  int autostart = 0;

  if (!conn)
    return FALSE;
  pool = find_pool (conn, &none, error);
  if (!pool && none)
    pool = define_pool (conn, error);
  if (!pool || !_sandbox_virt_pool_activate (pool, error) || !close_to_others (conn, pool, error))
    return FALSE;
  // a convenience for other tools: we start it ourselves when it does not run
  if (virStoragePoolGetAutostart (pool, &autostart) == 0 && !autostart)
    virStoragePoolSetAutostart (pool, TRUE);
  return TRUE;
}

gboolean
_sandbox_virt_pool_space (SandboxVirt *virt, gboolean *ret_exists, guint64 *ret_available,
                          GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStoragePool) pool = NULL;
  virStoragePoolInfo info;
  gboolean none = FALSE;

  if (!conn)
    return FALSE;
  pool = find_pool (conn, &none, error);
  if (!pool && !none)
    return FALSE;
  /* no refresh: libvirt switches a pool off when one fails */
  if (pool && virStoragePoolGetInfo (pool, &info) < 0)
    return _sandbox_virt_fail (error, "Cannot read how much room the storage pool has");
  *ret_exists = pool && info.state == VIR_STORAGE_POOL_RUNNING;
  *ret_available = *ret_exists ? info.available : 0;
  return TRUE;
}
