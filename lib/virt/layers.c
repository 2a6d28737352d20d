// SPDX-License-Identifier: LGPL-2.1-or-later
// What is done to the layers of a disk that QEMU has open: another one on top, and several made
// one.

#include <string.h>
#include "base/steps.h"
#include "virt/virt-private.h"

#define DISK "vda"
/* How often it is asked how far it is. */
#define POLL_USEC      (50 * 1000)
#define POLL_MOST_USEC (500 * 1000)
/* A job that has ended may stay in libvirt's book for a moment. */
#define SETTLE_TRIES 40
/* To write out what was copied, on a slow disk. */
#define WRITE_OUT_USEC (30 * 60 * G_USEC_PER_SEC)

static virDomainPtr
need_domain (virConnectPtr conn, const char *name, GError **error)
{
  virDomainPtr domain = virDomainLookupByName (conn, name);

  if (!domain)
    _sandbox_virt_fail (error, "Cannot work on the disk of domain %s", name);
  return domain;
}

gboolean
_sandbox_virt_domain_switch_disk (SandboxVirt *virt, const char *name, const char *xml,
                                  GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? need_domain (conn, name, error) : NULL;
  virDomainSnapshotPtr snapshot;

  if (!domain)
    return FALSE;
  /* no metadata: with it libvirt 9.0 refuses to undefine the domain, and others lose data */
  snapshot = virDomainSnapshotCreateXML (
      domain, xml,
      VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
          | VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC | VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT);
  if (!snapshot)
    return _sandbox_virt_fail (error, "Cannot put a new layer on the disk of domain %s", name);
  virDomainSnapshotFree (snapshot);
  return TRUE;
}

/* The path that the disk of @domain stands on now; NULL when that cannot be told. */
static char *
read_below (virDomainPtr domain)
{
  char *xml = virDomainGetXMLDesc (domain, 0);
  g_autoptr (xmlDoc) doc = xml ? sandbox_xml_parse ("domain XML of libvirt", xml, NULL) : NULL;

  free (xml);
  return doc ? sandbox_xml_dup (xmlDocGetRootElement (doc), "devices/disk/backingStore/source",
                                "file")
             : NULL;
}

static gboolean
fail_early (const char *name, GError **error)
{
  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "Cannot merge layers of the disk of domain %s: the copy ended early; see "
                       "the log of QEMU for why, most likely the host's disk is full",
                       name);
}

/* Until libvirt's book says so, too. */
static gboolean
wait_settled (virDomainPtr domain, const char *name, const char *base, GError **error)
{
  for (int i = 0; i < SETTLE_TRIES; i++)
    {
      g_autofree char *below = read_below (domain);

      if (g_strcmp0 (below, base) == 0)
        return TRUE;
      g_usleep (POLL_USEC);
    }
  return fail_early (name, error);
}

static gboolean
wait_job (virDomainPtr domain, const char *name, SandboxVirtTransferFunc progress,
          gpointer user_data, GCancellable *cancellable, GError **error)
{
  gint64 pause = POLL_USEC;
  virDomainBlockJobInfo info;
  int found;

  while ((found = virDomainGetBlockJobInfo (domain, DISK, &info, 0)) > 0)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        {
          virDomainBlockJobAbort (domain, DISK, 0);
          return FALSE;
        }
      if (progress && info.end > 0)
        progress (info.cur, info.end, user_data);
      g_usleep (pause);
      pause = MIN (pause * 2, POLL_MOST_USEC);
    }
  if (found < 0)
    return _sandbox_virt_fail (error, "Cannot follow the merging of layers of domain %s", name);
  return TRUE;
}

/* One that an earlier process began is waited for, and one that has ended is not begun again. */
static gboolean
pull (virDomainPtr domain, const char *name, const char *base, SandboxVirtTransferFunc progress,
      gpointer user_data, GCancellable *cancellable, GError **error)
{
  g_autofree char *below = read_below (domain);
  virDomainBlockJobInfo info;

  if (g_strcmp0 (below, base) != 0 && virDomainGetBlockJobInfo (domain, DISK, &info, 0) <= 0
      && virDomainBlockRebase (domain, DISK, base, 0, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot merge layers of the disk of domain %s", name);
  return wait_job (domain, name, progress, user_data, cancellable, error)
         && wait_settled (domain, name, base, error);
}

/* Whether QEMU reads @path as a layer of the disk of @domain. */
static gboolean
has_layer (virDomainPtr domain, const char *path)
{
  char *xml = virDomainGetXMLDesc (domain, 0);
  g_autoptr (xmlDoc) doc = xml ? sandbox_xml_parse ("domain XML of libvirt", xml, NULL) : NULL;
  xmlNode *node = doc ? sandbox_xml_find (xmlDocGetRootElement (doc), "devices/disk") : NULL;
  gboolean found = !node;

  free (xml);
  for (; node && !found; node = sandbox_xml_find (node, "backingStore"))
    {
      g_autofree char *file = sandbox_xml_dup (node, "source", "file");

      found = g_strcmp0 (file, path) == 0;
    }
  return found;
}

static gboolean
commit (virDomainPtr domain, const char *name, const char *layer, const char *base,
        SandboxVirtTransferFunc progress, gpointer user_data, GCancellable *cancellable,
        GError **error)
{
  virDomainBlockJobInfo info;

  if (has_layer (domain, layer) && virDomainGetBlockJobInfo (domain, DISK, &info, 0) <= 0
      && virDomainBlockCommit (domain, DISK, base, layer, 0, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot merge layers of the disk of domain %s", name);
  if (!wait_job (domain, name, progress, user_data, cancellable, error))
    return FALSE;
  for (int i = 0; i < SETTLE_TRIES; i++)
    {
      if (!has_layer (domain, layer))
        return TRUE;
      g_usleep (POLL_USEC);
    }
  return fail_early (name, error);
}

gboolean
_sandbox_virt_domain_pull (SandboxVirt *virt, const char *name, const char *base,
                           SandboxVirtTransferFunc progress, gpointer user_data,
                           GCancellable *cancellable, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? need_domain (conn, name, error) : NULL;

  return domain && pull (domain, name, base, progress, user_data, cancellable, error)
         && sandbox_fault_point ("layers", "merge", "copied", error);
}

gboolean
_sandbox_virt_domain_commit (SandboxVirt *virt, const char *name, const char *layer,
                             const char *base, SandboxVirtTransferFunc progress, gpointer user_data,
                             GCancellable *cancellable, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? need_domain (conn, name, error) : NULL;

  return domain && commit (domain, name, layer, base, progress, user_data, cancellable, error)
         && sandbox_fault_point ("layers", "merge", "copied", error);
}

gboolean
_sandbox_virt_domain_is_settled (SandboxVirt *virt, const char *name)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, NULL);
  g_autoptr (virDomain) domain = conn ? need_domain (conn, name, NULL) : NULL;
  virDomainBlockJobInfo info;

  return domain && virDomainGetBlockJobInfo (domain, DISK, &info, 0) == 0;
}

/* QEMU is asked to end, and writes out what it has, however long that takes; one that ends
 * otherwise may not have. */
static gboolean
end_in_order (virDomainPtr domain, const char *name, GError **error)
{
  gint64 end = g_get_monotonic_time () + WRITE_OUT_USEC;

  do
    {
      virErrorPtr why;

      if (virDomainDestroyFlags (domain, VIR_DOMAIN_DESTROY_GRACEFUL) == 0)
        return TRUE;
      why = virGetLastError ();
      if (why == NULL || why->code == VIR_ERR_NO_DOMAIN || why->code == VIR_ERR_OPERATION_INVALID)
        break;
      g_usleep (POLL_MOST_USEC);
    }
  while (g_get_monotonic_time () < end);
  return _sandbox_virt_fail (error, "Cannot be sure that the merged layers of %s are written out",
                             name);
}

gboolean
_sandbox_virt_disk_pull (SandboxVirt *virt, const char *name, const char *domain_xml,
                         const char *base, SandboxVirtTransferFunc progress, gpointer user_data,
                         GCancellable *cancellable, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = NULL;

  /* one that an earlier process could not end with itself */
  if (!conn || !_sandbox_virt_domain_kill (virt, name, error))
    return FALSE;
  domain = virDomainCreateXML (conn, domain_xml,
                               VIR_DOMAIN_START_PAUSED | VIR_DOMAIN_START_AUTODESTROY
                                   | VIR_DOMAIN_START_VALIDATE);
  if (!domain)
    return _sandbox_virt_fail (error, "Cannot open the layers of %s", name);
  if (pull (domain, name, base, progress, user_data, cancellable, error)
      && sandbox_fault_point ("layers", "merge", "copied", error)
      && end_in_order (domain, name, error))
    return TRUE;
  _sandbox_virt_domain_kill (virt, name, NULL);
  return FALSE;
}
