// SPDX-License-Identifier: LGPL-2.1-or-later
// A machine's memory in a file: saved with the state of its devices, and restored.
#include "virt/virt-private.h"

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
_sandbox_virt_domain_restore (SandboxVirt *virt, const char *path, const char *xml, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);

  if (!conn)
    return FALSE;
  if (virDomainRestoreFlags (conn, path, xml, VIR_DOMAIN_SAVE_RUNNING) == 0)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot restore the saved memory %s", path);
}
