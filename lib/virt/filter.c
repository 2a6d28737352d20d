// SPDX-License-Identifier: LGPL-2.1-or-later
// Network filters: defined, read back and compared before a machine runs. libvirt applies them to
// the machine's card, and again when they are defined anew or its daemon is restarted.

#include "virt/virt-private.h"
#include "xml/xml-private.h"

#include <stdlib.h>
#include <string.h>

/* Whether bridged packets come to iptables at all: without that the second layer sees nothing. */
#define BRIDGE_SWITCH "/proc/sys/net/bridge/bridge-nf-call-iptables"

gboolean
_sandbox_virt_bridge_filtered (void)
{
  g_autofree char *text = NULL;

  return g_file_get_contents (BRIDGE_SWITCH, &text, NULL, NULL) && text[0] == '1';
}

static gboolean
check_host (SandboxVirt *virt, GError **error)
{
  if (_sandbox_virt_is_remote (virt) || _sandbox_virt_bridge_filtered ())
    return TRUE;
  return sandbox_fail (
      error, SANDBOX_ERROR_HOST,
      "the kernel of this host does not filter bridged packets, so half of the "
      "machine's network filter would not work: run \"sudo modprobe br_netfilter && "
      "sudo sysctl net.bridge.bridge-nf-call-iptables=1\" (`vms doctor` tells how "
      "to make that permanent)");
}

/* NULL with *ret_none TRUE and no error: there is none. */
static virNWFilterPtr
find_filter (virConnectPtr conn, const char *name, gboolean *ret_none, GError **error)
{
  virNWFilterPtr filter = virNWFilterLookupByName (conn, name);

  *ret_none = !filter && virGetLastErrorCode () == VIR_ERR_NO_NWFILTER;
  if (!filter && !*ret_none)
    _sandbox_virt_fail (error, "Cannot look for the network filter %s", name);
  return filter;
}

/* What libvirt made of @xml has to be what @xml says. */
static gboolean
check_read_back (virNWFilterPtr filter, const char *name, const char *xml, GError **error)
{
  char *got = virNWFilterGetXMLDesc (filter, 0);
  gboolean same = FALSE, ok;

  if (!got)
    return _sandbox_virt_fail (error, "Cannot read the network filter %s", name);
  ok = _sandbox_xml_same_filter (got, xml, &same, error);
  free (got);
  if (ok && !same)
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "libvirt understood the network filter %s in another way than it was "
                         "written; look at it with \"virsh nwfilter-dumpxml %s\"",
                         name, name);
  return ok;
}

gboolean
_sandbox_virt_filter_ensure (SandboxVirt *virt, const char *name, const char *xml,
                             char **ret_old_xml, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virNWFilter) old = NULL;
  g_autoptr (virNWFilter) filter = NULL;
  gboolean none;

  if (!conn || !check_host (virt, error))
    return FALSE;
  old = find_filter (conn, name, &none, error);
  if (!old && !none)
    return FALSE;
  if (old)
    {
      char *text = virNWFilterGetXMLDesc (old, 0);

      if (ret_old_xml)
        *ret_old_xml = g_strdup (text);
      free (text);
    }
  filter = virNWFilterDefineXML (conn, xml);
  if (!filter)
    return _sandbox_virt_fail (error, "Cannot define the network filter %s", name);
  return check_read_back (filter, name, xml, error);
}

char *
_sandbox_virt_filter_xml (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virNWFilter) filter = NULL;
  gboolean none;
  char *text, *copy;

  if (!conn)
    return NULL;
  filter = find_filter (conn, name, &none, error);
  if (!filter && none)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND, "libvirt has no network filter %s", name);
  if (!filter)
    return NULL;
  text = virNWFilterGetXMLDesc (filter, 0);
  if (!text)
    {
      _sandbox_virt_fail (error, "Cannot read the network filter %s", name);
      return NULL;
    }
  copy = g_strdup (text);
  free (text);
  return copy;
}

gboolean
_sandbox_virt_filter_remove (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virNWFilter) filter = NULL;
  gboolean none;

  if (!conn)
    return FALSE;
  if (_sandbox_virt_is_test (virt))
    return TRUE;
  filter = find_filter (conn, name, &none, error);
  if (!filter)
    return none;
  if (virNWFilterUndefine (filter) == 0 || virGetLastErrorCode () == VIR_ERR_NO_NWFILTER)
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot remove the network filter %s", name);
}

char **
_sandbox_virt_list_filters (SandboxVirt *virt, const char *prefix, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();
  virNWFilterPtr *list = NULL;
  int count = 0;

  if (!conn)
    return NULL;
  /* the test driver has none */
  if (!_sandbox_virt_is_test (virt))
    count = virConnectListAllNWFilters (conn, &list, 0);
  if (count < 0)
    {
      _sandbox_virt_fail (error, "Cannot list the network filters");
      return NULL;
    }
  for (int i = 0; i < count; i++)
    {
      const char *name = virNWFilterGetName (list[i]);

      if (name && g_str_has_prefix (name, prefix))
        g_strv_builder_add (names, name);
      virNWFilterFree (list[i]);
    }
  free (list);
  return g_strv_builder_end (names);
}
