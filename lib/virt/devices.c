// SPDX-License-Identifier: LGPL-2.1-or-later
// Devices that come and go while a machine runs, and our metadata that say so.
#include "virt/virt-private.h"

static virDomainPtr
find (virConnectPtr conn, const char *name, const char *verb, GError **error)
{
  virDomainPtr domain = virDomainLookupByName (conn, name);

  if (!domain)
    _sandbox_virt_fail (error, "Cannot %s domain %s", verb, name);
  return domain;
}

gboolean
_sandbox_virt_device_attach (SandboxVirt *virt, const char *name, const char *xml, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? find (conn, name, "attach a device to", error) : NULL;

  if (!domain)
    return FALSE;
  if (virDomainAttachDeviceFlags (domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot attach a device to domain %s", name);
}

gboolean
_sandbox_virt_device_detach (SandboxVirt *virt, const char *name, const char *xml, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? find (conn, name, "detach a device from", error) : NULL;

  if (!domain)
    return FALSE;
  if (virDomainDetachDeviceFlags (domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot detach a device from domain %s", name);
}

gboolean
_sandbox_virt_domain_set_metadata (SandboxVirt *virt, const char *name, const char *element,
                                   const char *prefix, const char *uri, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? find (conn, name, "describe", error) : NULL;

  if (!domain)
    return FALSE;
  if (virDomainSetMetadata (domain, VIR_DOMAIN_METADATA_ELEMENT, element, prefix, uri,
                            VIR_DOMAIN_AFFECT_LIVE)
      == 0)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot describe domain %s", name);
}
