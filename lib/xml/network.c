// SPDX-License-Identifier: LGPL-2.1-or-later
// The machine's own network as libvirt's XML, and back.
#include "xml/metadata.h"

#include "base/error.h"
#include "base/names.h"

#include <stdlib.h>

#define DNSMASQ_NS "http://libvirt.org/schemas/network/dnsmasq/1.0"

/* A network of its own needs a UUID of its own: without one libvirt draws a new one each time, and
 * then takes the definition for that of another network with the same name. */
static void
add_uuid (xmlNode *root, const SandboxPlan *plan)
{
  g_autofree char *text = g_strconcat ("network/", plan->uuid, NULL);
  char uuid[37];

  sandbox_uuid5 (text, uuid);
  sandbox_xml_add_text (root, "uuid", uuid, NULL);
}

/* The odd neighbour of the guest's, which is even. */
static void
add_bridge_mac (xmlNode *root, const SandboxPlan *plan)
{
  char mac[sizeof plan->mac];
  guint last = (guint)strtoul (plan->mac + sizeof mac - 3, NULL, 16) | 1;

  g_strlcpy (mac, plan->mac, sizeof mac);
  g_snprintf (mac + sizeof mac - 3, 3, "%02x", last & 0xff);
  sandbox_xml_add (root, "mac", "address", mac, NULL);
}

/* The gateway's DNS passes questions on to the host's resolver, which may know names of the LAN: no
 * answer with an address of a closed range is passed back, no question for such an address or
 * without a domain goes out, and the host's own names stay there. */
static void
add_dns_options (xmlNode *root)
{
  static const char *const values[] = { "stop-dns-rebind", "bogus-priv", "no-hosts" };
  xmlNs *ns = xmlNewNs (root, BAD_CAST DNSMASQ_NS, BAD_CAST "dnsmasq");
  xmlNode *options = xmlNewChild (root, ns, BAD_CAST "options", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
    {
      xmlNode *option = xmlNewChild (options, ns, BAD_CAST "option", NULL);

      xmlNewProp (option, BAD_CAST "value", BAD_CAST values[i]);
    }
}

/* The netmask's length as <ip prefix=...>; no <dhcp>: the guest is told its address in the seed,
 * and nobody else is on this network. No IPv6: libvirt switches it off on such a bridge. */
char *
_sandbox_xml_network (const SandboxPlan *plan)
{
  xmlNode *root;
  g_autoptr (xmlDoc) doc = _sandbox_xml_new ("network", &root);
  gboolean nat = g_str_equal (plan->network_mode, "nat");
  char number[24];

  sandbox_xml_add_text (root, "name", plan->object, NULL);
  add_uuid (root, plan);
  _sandbox_metadata_add_network (root, plan);
  if (nat)
    sandbox_xml_add (root, "forward", "mode", "nat", NULL);
  sandbox_xml_add (root, "bridge", "name", plan->bridge, "stp", "off", "delay", "0", NULL);
  add_bridge_mac (root, plan);
  if (nat)
    sandbox_xml_add (root, "dns", "forwardPlainNames", "no", NULL);
  else
    sandbox_xml_add (root, "dns", "enable", "no", NULL);
  sandbox_xml_add (root, "ip", "address", plan->gateway, "prefix",
                   _sandbox_xml_number (number, plan->subnet.bits), NULL);
  if (nat)
    add_dns_options (root);
  return sandbox_xml_to_string (doc);
}

char *
sandbox_plan_network_xml (SandboxPlan *plan)
{
  return _sandbox_xml_network (plan);
}

/* 255.255.255.0 -> 24; 33 for what is no netmask. */
static guint64
mask_bits (const char *text)
{
  SandboxCidr mask;
  guint bits = 0;

  if (!sandbox_cidr_parse (text, &mask, NULL))
    return 33;
  while (bits < 32 && (mask.address & 1u << (31 - bits)))
    bits++;
  return bits < 32 && mask.address << bits != 0 ? 33 : bits;
}

/* FALSE: none, or one of IPv6. */
static gboolean
read_address (xmlNode *node, SandboxCidr *ret_subnet)
{
  g_autofree char *address = sandbox_xml_get_attr (node, "address");
  g_autofree char *prefix = sandbox_xml_get_attr (node, "prefix");
  g_autofree char *mask = sandbox_xml_get_attr (node, "netmask");
  SandboxCidr cidr;
  guint64 bits = 33;

  if (!address || !sandbox_cidr_parse (address, &cidr, NULL))
    return FALSE;
  if (prefix && !sandbox_uint_parse (prefix, 0, 32, &bits, NULL))
    return FALSE;
  if (!prefix && mask)
    bits = mask_bits (mask);
  if (bits > 32)
    return FALSE;
  ret_subnet->bits = (guint8)bits;
  ret_subnet->address = bits == 0 ? 0 : cidr.address & G_MAXUINT32 << (32 - bits);
  return TRUE;
}

gboolean
_sandbox_xml_read_network (const char *network_xml, SandboxCidr *ret_subnet, char **ret_bridge,
                           GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("network XML of libvirt", network_xml, error);
  xmlNode *root = doc ? xmlDocGetRootElement (doc) : NULL;
  g_autoptr (GPtrArray) nodes = NULL;
  g_autofree char *name = NULL;
  SandboxCidr subnet;

  if (!root)
    return FALSE;
  nodes = sandbox_xml_find_all (root, "ip");
  for (guint i = 0; i < nodes->len; i++)
    if (read_address (g_ptr_array_index (nodes, i), &subnet))
      {
        g_autofree char *bridge = sandbox_xml_dup (root, "bridge", "name");

        if (ret_subnet)
          *ret_subnet = subnet;
        if (ret_bridge)
          *ret_bridge = g_strdup (bridge ? bridge : "");
        return TRUE;
      }
  name = sandbox_xml_dup (root, "name", NULL);
  return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND, "network \"%s\" has no IPv4 address",
                       name ? name : "");
}
