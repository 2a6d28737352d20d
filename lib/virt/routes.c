// SPDX-License-Identifier: LGPL-2.1-or-later
// Which IPv4 networks the host uses already: the kernel's routes, and libvirt's networks, running
// or not.

#include <arpa/inet.h>
#include <string.h>
#include "base/units.h"
#include "base/xml.h"
#include "virt/virt-private.h"

/* More lines than any host has; what comes after them is not looked at. */
#define ROUTES_MAX 4096
/* What is wider is a default route in parts, not a network on a wire. */
#define ON_LINK_BITS_MIN 8

enum
{
  COLUMN_DEVICE,
  COLUMN_DESTINATION,
  COLUMN_GATEWAY,
  COLUMN_MASK = 7,
};

/* Eight hexadecimal digits in the byte order of the machine, as the kernel writes them. */
static gboolean
parse_hex_address (const char *text, guint32 *ret_address)
{
  guint64 value;

  if (strlen (text) != 8 || !g_ascii_string_to_unsigned (text, 16, 0, G_MAXUINT32, &value, NULL))
    return FALSE;
  *ret_address = ntohl ((guint32)value);
  return TRUE;
}

/* FALSE for a mask with holes. */
static gboolean
mask_bits (guint32 mask, guint8 *ret_bits)
{
  guint8 bits = 0;

  while (bits < 32 && (mask & (0x80000000u >> bits)))
    bits++;
  if (bits < 32 && mask << bits)
    return FALSE;
  *ret_bits = bits;
  return TRUE;
}

static guint32
network_part (guint32 address, guint8 bits)
{
  return bits ? address & (0xffffffffu << (32 - bits)) : 0;
}

/* The columns of @line, NULL where it has fewer. (transfer container) */
static char **
split_route (const char *line, const char *columns[COLUMN_MASK + 1])
{
  g_autofree char *copy = g_strdelimit (g_strdup (line), " \t", '\t');
  char **fields = g_strsplit (copy, "\t", -1);
  guint n = 0;

  for (gsize i = 0; fields[i] && n <= COLUMN_MASK; i++)
    if (*fields[i])
      columns[n++] = fields[i];
  while (n <= COLUMN_MASK)
    columns[n++] = NULL;
  return fields;
}

static void
read_route (SandboxFacts *facts, const char *line)
{
  const char *columns[COLUMN_MASK + 1];
  g_auto (GStrv) fields = split_route (line, columns);
  SandboxCidr cidr;
  guint32 mask;

  if (!columns[COLUMN_MASK] || !parse_hex_address (columns[COLUMN_DESTINATION], &cidr.address)
      || !parse_hex_address (columns[COLUMN_MASK], &mask) || !mask_bits (mask, &cidr.bits))
    return;
  // the default route is everywhere and means nothing
  if (cidr.bits == 0)
    return;
  cidr.address = network_part (cidr.address, cidr.bits);
  sandbox_facts_add_net (facts, &cidr,
                         g_str_equal (columns[COLUMN_DEVICE], "*") ? "" : columns[COLUMN_DEVICE]);
}

static void
read_neighbours (GPtrArray *nets, const char *line, GHashTable *wires)
{
  const char *columns[COLUMN_MASK + 1];
  g_auto (GStrv) fields = split_route (line, columns);
  g_autofree char *text = NULL;
  guint32 router, mask, net;
  guint8 bits = 32;

  if (!columns[COLUMN_MASK] || !parse_hex_address (columns[COLUMN_GATEWAY], &router)
      || !parse_hex_address (columns[COLUMN_DESTINATION], &net)
      || !parse_hex_address (columns[COLUMN_MASK], &mask))
    return;
  if (router == 0
      && (!mask_bits (mask, &bits) || bits < ON_LINK_BITS_MIN
          || !g_hash_table_contains (wires, columns[COLUMN_DEVICE])))
    return;
  text = sandbox_address_format (router ? router : network_part (net, bits));
  g_ptr_array_add (nets, g_strdup_printf ("%s/%u", text, bits));
}

void
_sandbox_virt_read_routes (SandboxFacts *facts, const char *route_text)
{
  g_auto (GStrv) lines = g_strsplit (route_text, "\n", ROUTES_MAX + 1);

  // the first line is the heading
  for (gsize i = 1; lines[0] && lines[i] && i < ROUTES_MAX; i++)
    read_route (facts, lines[i]);
}

void
_sandbox_virt_read_neighbours (GPtrArray *nets, const char *route_text, GHashTable *wires)
{
  g_auto (GStrv) lines = g_strsplit (route_text, "\n", ROUTES_MAX + 1);

  for (gsize i = 1; lines[0] && lines[i] && i < ROUTES_MAX; i++)
    read_neighbours (nets, lines[i], wires);
}

static gboolean
parse_dotted (const char *text, guint32 *ret_address)
{
  struct in_addr address;

  if (!text || inet_pton (AF_INET, text, &address) != 1)
    return FALSE;
  *ret_address = ntohl (address.s_addr);
  return TRUE;
}

/* An <ip> or <route> element: address with prefix, with netmask, or with neither (its class). */
static void
read_element (SandboxFacts *facts, xmlNode *element, const char *bridge)
{
  g_autofree char *address = sandbox_xml_get_attr (element, "address");
  g_autofree char *netmask = sandbox_xml_get_attr (element, "netmask");
  g_autofree char *prefix = sandbox_xml_get_attr (element, "prefix");
  SandboxCidr cidr = { 0 };
  guint64 bits;
  guint32 mask;

  if (!parse_dotted (address, &cidr.address))
    return;
  if (prefix && g_ascii_string_to_unsigned (prefix, 10, 0, 32, &bits, NULL))
    cidr.bits = bits;
  else if (!parse_dotted (netmask, &mask) || !mask_bits (mask, &cidr.bits))
    cidr.bits = cidr.address < 0x80000000u ? 8 : cidr.address < 0xc0000000u ? 16 : 24;
  if (cidr.bits == 0)
    return;
  cidr.address = network_part (cidr.address, cidr.bits);
  sandbox_facts_add_net (facts, &cidr, bridge ? bridge : "");
}

gboolean
_sandbox_virt_read_network_nets (SandboxFacts *facts, const char *xml, GError **error)
{
  static const char *const paths[] = { "ip", "route" };
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("network XML of libvirt", xml, error);
  g_autofree char *bridge = NULL;
  xmlNode *root = NULL;

  if (!doc)
    return FALSE;
  root = xmlDocGetRootElement (doc);
  bridge = sandbox_xml_dup (root, "bridge", "name");
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (GPtrArray) elements = sandbox_xml_find_all (root, paths[i]);

      for (guint j = 0; j < elements->len; j++)
        read_element (facts, elements->pdata[j], bridge);
    }
  return TRUE;
}
