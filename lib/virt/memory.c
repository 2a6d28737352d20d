// SPDX-License-Identifier: LGPL-2.1-or-later
// A machine's memory in a file: saved with the state of its devices, and restored.
#include "virt/virt-private.h"

#define JOB_LOOK_USEC (200 * 1000)

gboolean
_sandbox_virt_domain_run_once (SandboxVirt *virt, const char *xml, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = NULL;

  if (!conn)
    return FALSE;
  domain = virDomainCreateXML (conn, xml, VIR_DOMAIN_START_AUTODESTROY | VIR_DOMAIN_START_VALIDATE);
  return domain || _sandbox_virt_fail (error, "Cannot start a domain for this time only");
}

gboolean
_sandbox_virt_domain_kept (SandboxVirt *virt, const char *name, gboolean *ret_kept, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? virDomainLookupByName (conn, name) : NULL;
  int kept = domain ? virDomainHasManagedSaveImage (domain, 0) : 0;

  if (!conn)
    return FALSE;
  *ret_kept = kept > 0;
  return kept >= 0
         || _sandbox_virt_fail (error, "Cannot ask whether the memory of domain %s is saved", name);
}

gboolean
_sandbox_virt_domain_drop_kept (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? virDomainLookupByName (conn, name) : NULL;

  if (!conn)
    return FALSE;
  if (domain && virDomainManagedSaveRemove (domain, 0) == 0)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot remove the saved memory of domain %s", name);
}

gboolean
_sandbox_virt_domain_save (SandboxVirt *virt, const char *name, const char *path, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? virDomainLookupByName (conn, name) : NULL;

  if (!conn)
    return FALSE;
  if (domain && virDomainSaveFlags (domain, path, NULL, VIR_DOMAIN_SAVE_RUNNING) == 0)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot save the memory of domain %s", name);
}

/* *ret_busy stays FALSE for one that does not run. */
static gboolean
has_job (SandboxVirt *virt, const char *name, gboolean *ret_busy, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? virDomainLookupByName (conn, name) : NULL;
  virDomainJobInfo info = { 0 };

  *ret_busy = FALSE;
  if (!conn)
    return FALSE;
  if (domain && virDomainIsActive (domain) == 1 && virDomainGetJobInfo (domain, &info) == 0)
    *ret_busy = info.type == VIR_DOMAIN_JOB_BOUNDED || info.type == VIR_DOMAIN_JOB_UNBOUNDED;
  return TRUE;
}

gboolean
_sandbox_virt_domain_wait_job (SandboxVirt *virt, const char *name, gint64 timeout_usec,
                               GCancellable *cancellable, GError **error)
{
  gint64 end = g_get_monotonic_time () + timeout_usec;
  gboolean busy = FALSE;

  while (has_job (virt, name, &busy, error))
    {
      if (!busy)
        return TRUE;
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (g_get_monotonic_time () >= end)
        return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                             "libvirt is still at work on domain %s; `virsh domjobinfo %s` shows "
                             "at what",
                             name, name);
      g_usleep (JOB_LOOK_USEC);
    }
  return FALSE;
}

char *
_sandbox_virt_saved_xml (SandboxVirt *virt, const char *path, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  char *xml = NULL;

  if (!conn)
    return NULL;
  xml = virDomainSaveImageGetXMLDesc (conn, path, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
  if (!xml)
    _sandbox_virt_fail (error, "Cannot read the saved memory %s", path);
  return xml;
}

gboolean
_sandbox_virt_domain_restore (SandboxVirt *virt, const char *path, const char *xml, gboolean paused,
                              GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  unsigned flags = paused ? VIR_DOMAIN_SAVE_PAUSED : VIR_DOMAIN_SAVE_RUNNING;

  if (!conn)
    return FALSE;
  if (virDomainRestoreFlags (conn, path, xml, flags) == 0)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot restore the saved memory %s", path);
}
