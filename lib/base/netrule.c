// SPDX-License-Identifier: LGPL-2.1-or-later
// Rules of the network policy: strict readers, and the writer of the one canonical form.
#include "base/netrule.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define EGRESS_FORM                                                                                \
  "write PORTS/tcp or PORTS/udp, such as \"443/tcp\", \"8000-8010/udp\" or, for all ports, "       \
  "\"1-65535/tcp\""
#define ALLOW_FORM                                                                                 \
  "write ADDRESS[/BITS][:PORTS]/tcp or /udp, such as \"10.0.0.5:5432/tcp\" or, for all ports, "    \
  "\"192.168.7.0/24/udp\""

/* Wider than any one organisation's network, and close to "everything". */
#define LEAST_BITS 8

static const char *const protocol_names[] = { "tcp", "udp" };
static const SandboxPortRange all_ports = { 1, G_MAXUINT16 };

/* The first is meant for us alone. Some hosts have a route for all of 10.0.0.0/8 (company VPNs
 * do), and libvirt refuses a network inside any route: those get theirs from the second. */
const SandboxCidr sandbox_machine_ranges[SANDBOX_N_MACHINE_RANGES] = {
  { 10u << 24 | 213u << 16, 16 },
  { 172u << 24 | 29u << 16, 16 },
};

/* What no exception opens. */
static const struct
{
  SandboxCidr net;
  const char *reason;
} refused[] = {
  { { 0, 8 }, "lies in 0.0.0.0/8, which is no address of any host: name the address you mean" },
  { { 127u << 24, 8 },
    "lies in 127.0.0.0/8, the host's own loopback, which is never opened to a machine: remove it" },
  { { 224u << 24, 3 },
    "lies in 224.0.0.0/3, multicast and reserved addresses, which are never opened to a machine: "
    "remove it" },
};

/* Takes the protocol from the end. (transfer full): what stands before it; NULL with @error. */
static char *
split_protocol (const char *item, const char *form, SandboxProtocol *ret_protocol, GError **error)
{
  const char *slash = strrchr (item, '/');

  if (strchr (item, ' '))
    {
      sandbox_fail_item (error, item, "has a blank: separate items with ; alone");
      return NULL;
    }
  if (strchr (item, ','))
    {
      sandbox_fail_item (error, item,
                         "has a comma: separate items with ; and write each of them in full: %s",
                         form);
      return NULL;
    }
  for (guint i = 0; slash && i < G_N_ELEMENTS (protocol_names); i++)
    if (g_str_equal (slash + 1, protocol_names[i]))
      {
        *ret_protocol = (SandboxProtocol)i;
        return g_strndup (item, (gsize)(slash - item));
      }
  sandbox_fail_item (error, item, "does not end with the protocol /tcp or /udp: %s", form);
  return NULL;
}

static gboolean
read_ports (const char *item, const char *text, SandboxPortRange *ret_ports, GError **error)
{
  return sandbox_port_range_parse (text, ret_ports, error) || sandbox_prefix_item (error, item);
}

gboolean
sandbox_egress_parse (const char *item, SandboxNetRule *ret_rule, GError **error)
{
  SandboxNetRule rule = { .net = { 0, 0 } };
  g_autofree char *ports = split_protocol (item, EGRESS_FORM, &rule.protocol, error);

  if (!ports)
    return FALSE;
  if (ports[0] == '\0')
    return sandbox_fail_item (error, item, "has no ports: %s", EGRESS_FORM);
  if (strpbrk (ports, ".:/"))
    return sandbox_fail_item (
        error, item,
        "is more than ports and protocol: %s; single addresses and networks belong "
        "in allow=",
        EGRESS_FORM);
  if (!read_ports (item, ports, &rule.ports, error))
    return FALSE;
  *ret_rule = rule;
  return TRUE;
}

static char *
format_net (const SandboxCidr *net)
{
  g_autofree char *address = sandbox_address_format (net->address);

  return net->bits == 32 ? g_steal_pointer (&address)
                         : g_strdup_printf ("%s/%u", address, net->bits);
}

static gboolean
check_refused (const char *item, const SandboxCidr *net, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++)
    if (sandbox_cidr_overlaps (&refused[i].net, net))
      return sandbox_fail_item (error, item, "%s", refused[i].reason);
  for (guint i = 0; i < SANDBOX_N_MACHINE_RANGES; i++)
    if (sandbox_cidr_overlaps (&sandbox_machine_ranges[i], net))
      {
        g_autofree char *range = format_net (&sandbox_machine_ranges[i]);

        return sandbox_fail_item (
            error, item,
            "overlaps %s, the networks of the machines themselves, which are never "
            "opened to one another: name addresses or networks outside of it",
            range);
      }
  return TRUE;
}

static gboolean
has_letters (const char *text)
{
  for (; *text; text++)
    if (g_ascii_isalpha (*text) || (guchar)*text >= 0x80)
      return TRUE;
  return FALSE;
}

static gboolean
read_net (const char *item, const char *text, SandboxCidr *ret_net, GError **error)
{
  SandboxCidr net;
  guint32 behind;

  if (!sandbox_cidr_parse (text, &net, NULL))
    {
      g_autofree char *shown = sandbox_escape (text, -1, 80);

      return sandbox_fail_item (
          error, item,
          "has no IPv4 address or network but \"%s\": use four numbers from 0 to 255 "
          "and perhaps a prefix length from %d to 32, such as \"10.0.0.5\" or "
          "\"10.0.0.0/24\"%s",
          shown, LEAST_BITS,
          has_letters (text) && !strchr (text, '/') ? "; names are not looked up" : "");
    }
  if (net.bits < LEAST_BITS)
    return sandbox_fail_item (error, item,
                              "opens too much: use a prefix length from %d to 32, not %u",
                              LEAST_BITS, net.bits);
  behind = net.bits == 32 ? 0 : G_MAXUINT32 >> net.bits;
  if (net.address & behind)
    {
      SandboxCidr whole = { net.address & ~behind, net.bits }, one = { net.address, 32 };
      g_autofree char *whole_text = format_net (&whole), *one_text = format_net (&one);

      return sandbox_fail_item (
          error, item,
          "has bits set behind the prefix: write %s for the network, or %s for the "
          "single address",
          whole_text, one_text);
    }
  if (!check_refused (item, &net, error))
    return FALSE;
  *ret_net = net;
  return TRUE;
}

gboolean
sandbox_allow_parse (const char *item, SandboxNetRule *ret_rule, GError **error)
{
  SandboxNetRule rule = { .ports = all_ports };
  g_autofree char *net = split_protocol (item, ALLOW_FORM, &rule.protocol, error);
  char *colon;

  if (!net)
    return FALSE;
  if (net[0] == '\0' || (net[0] == ':' && net[1] != ':'))
    return sandbox_fail_item (error, item, "has no address: %s", ALLOW_FORM);
  colon = strchr (net, ':');
  if (colon && strchr (colon + 1, ':'))
    return sandbox_fail_item (
        error, item,
        "has more than one colon: %s; machines have IPv4 only, there are no IPv6 "
        "addresses to allow",
        ALLOW_FORM);
  if (colon)
    *colon = '\0';
  if (!read_net (item, net, &rule.net, error)
      || (colon && !read_ports (item, colon + 1, &rule.ports, error)))
    return FALSE;
  *ret_rule = rule;
  return TRUE;
}

static char *
format_ports (const SandboxPortRange *ports)
{
  return ports->first == ports->last ? g_strdup_printf ("%u", ports->first)
                                     : g_strdup_printf ("%u-%u", ports->first, ports->last);
}

char *
sandbox_net_rule_format (const SandboxNetRule *rule)
{
  g_autofree char *net = format_net (&rule->net);
  g_autofree char *ports = format_ports (&rule->ports);
  const char *protocol = protocol_names[rule->protocol];
  gboolean all = rule->ports.first == all_ports.first && rule->ports.last == all_ports.last;

  if (rule->net.bits == 0)
    return g_strdup_printf ("%s/%s", ports, protocol);
  return all ? g_strdup_printf ("%s/%s", net, protocol)
             : g_strdup_printf ("%s:%s/%s", net, ports, protocol);
}
