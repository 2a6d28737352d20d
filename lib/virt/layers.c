// SPDX-License-Identifier: LGPL-2.1-or-later
// What is done to the layers of a disk that QEMU has open: another one on top, and several made
// one.

#include <string.h>
#include "virt/virt-private.h"

#define DISK "vda"
/* How often it is asked how far it is. */
#define POLL_USEC      (50 * 1000)
#define POLL_MOST_USEC (500 * 1000)
/* A job that has ended may stay in libvirt's book for a moment. */
#define SETTLE_TRIES 40

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
  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "Cannot merge layers of the disk of domain %s: the copy ended early; see "
                       "the log of QEMU for why, most likely the host's disk is full",
                       name);
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

static gboolean
pull (virDomainPtr domain, const char *name, const char *base, SandboxVirtTransferFunc progress,
      gpointer user_data, GCancellable *cancellable, GError **error)
{
  if (virDomainBlockRebase (domain, DISK, base, 0, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot merge layers of the disk of domain %s", name);
  return wait_job (domain, name, progress, user_data, cancellable, error)
         && wait_settled (domain, name, base, error);
}

gboolean
_sandbox_virt_domain_pull (SandboxVirt *virt, const char *name, const char *base,
                           SandboxVirtTransferFunc progress, gpointer user_data,
                           GCancellable *cancellable, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? need_domain (conn, name, error) : NULL;

  return domain && pull (domain, name, base, progress, user_data, cancellable, error);
}

gboolean
_sandbox_virt_disk_pull (SandboxVirt *virt, const char *name, const char *domain_xml,
                         const char *base, SandboxVirtTransferFunc progress, gpointer user_data,
                         GCancellable *cancellable, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = NULL;
  gboolean ok;

  /* one that an earlier process could not end with itself */
  if (!conn || !_sandbox_virt_domain_kill (virt, name, error))
    return FALSE;
  domain = virDomainCreateXML (conn, domain_xml,
                               VIR_DOMAIN_START_PAUSED | VIR_DOMAIN_START_AUTODESTROY
                                   | VIR_DOMAIN_START_VALIDATE);
  if (!domain)
    return _sandbox_virt_fail (error, "Cannot open the layers of %s", name);
  ok = pull (domain, name, base, progress, user_data, cancellable, error);
  return _sandbox_virt_domain_kill (virt, name, ok ? error : NULL) && ok;
}
