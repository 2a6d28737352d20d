// SPDX-License-Identifier: LGPL-2.1-or-later
// The network policy: what a guest may send where. One list, from which both layers of the filter
// are made.
#include "plan/plan-internal.h"

#include "base/error.h"

#define DNS_PORT 53
/* Each is up to two rules of a layer, which libvirt numbers from -1000 to 1000. */
#define FLOWS_MAX 450u
/* Of the networks of a public LAN, in a line for users. */
#define LAN_SHOWN 3
#define ALL_PORTS                                                                                  \
  {                                                                                                \
    1, 65535                                                                                       \
  }

/* The kernel's own choice, where nobody changed it. */
static const SandboxPortRange default_local_ports = { 32768, 60999 };

/* What no guest reaches unless its profile lists it: private and shared networks (the LAN), the
 * link, where clouds have their metadata, loopback, what belongs to protocols, benchmarks,
 * multicast and all above it. */
static const SandboxCidr closed[] = {
  { 0x00000000, 8 },  /* 0.0.0.0/8 */
  { 0x0a000000, 8 },  /* 10.0.0.0/8 */
  { 0x64400000, 10 }, /* 100.64.0.0/10 */
  { 0x7f000000, 8 },  /* 127.0.0.0/8 */
  { 0xa9fe0000, 16 }, /* 169.254.0.0/16 */
  { 0xac100000, 12 }, /* 172.16.0.0/12 */
  { 0xc0000000, 24 }, /* 192.0.0.0/24 */
  { 0xc0a80000, 16 }, /* 192.168.0.0/16 */
  { 0xc6120000, 15 }, /* 198.18.0.0/15 */
  { 0xe0000000, 3 },  /* 224.0.0.0/3 */
};
static const SandboxCidr everywhere = { 0, 0 };

static void
add_flow (SandboxPlan *plan, gboolean allow, SandboxFlowKind kind, SandboxCidr net,
          SandboxPortRange ports)
{
  SandboxFlow flow = { allow, kind, net, ports };

  g_array_append_val (plan->flows, flow);
}

static void
add_rules (SandboxPlan *plan, const GArray *rules)
{
  for (guint i = 0; i < rules->len; i++)
    {
      const SandboxNetRule *rule = &g_array_index (rules, SandboxNetRule, i);

      add_flow (plan, TRUE, rule->protocol == SANDBOX_TCP ? SANDBOX_FLOW_TCP : SANDBOX_FLOW_UDP,
                rule->net, rule->ports);
    }
}

/* Every address of the host, the public ones above all: which of them a service listens on, nobody
 * remembers. They come before what the profile allows: services of the host are no exception that a
 * list of networks makes in passing. */
static gboolean
add_host_addresses (SandboxPlan *plan, SandboxProfile *profile, const SandboxFacts *facts,
                    GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);
  g_auto (GStrv) texts = g_strsplit (facts->host_addresses, ";", -1);
  SandboxPortRange ports = ALL_PORTS;

  for (char **text = texts; *text; text++)
    {
      SandboxCidr address;

      if (**text == '\0')
        continue;
      if (!sandbox_cidr_parse (*text, &address, error))
        return FALSE;
      for (guint i = 0; i < values->allow->len; i++)
        {
          const SandboxNetRule *rule = &g_array_index (values->allow, SandboxNetRule, i);
          g_autofree char *where = NULL;

          if (rule->net.bits < 32 || rule->net.address != address.address)
            continue;
          where = _sandbox_plan_where (profile, "network", "allow");
          return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                               "%s: %s is an address of this host, and no service of the host is "
                               "opened to a machine this way",
                               where, *text);
        }
      add_flow (plan, FALSE, SANDBOX_FLOW_ANY, address, ports);
    }
  return TRUE;
}

static gboolean
is_within (const SandboxCidr *net, const SandboxCidr *wider)
{
  return wider->bits <= net->bits && sandbox_cidr_overlaps (wider, net);
}

gboolean
_sandbox_policy_is_closed_range (const SandboxCidr *net)
{
  for (gsize i = 0; i < G_N_ELEMENTS (closed); i++)
    if (net->bits == closed[i].bits && net->address == closed[i].address)
      return TRUE;
  return FALSE;
}

static gboolean
is_closed (const SandboxCidr *net)
{
  for (gsize i = 0; i < G_N_ELEMENTS (closed); i++)
    if (is_within (net, &closed[i]))
      return TRUE;
  return FALSE;
}

/* What is near the host, as far as it is not closed anyway, widest only.
 * (transfer full) (element-type SandboxCidr); NULL with @error */
static GArray *
read_lan (const SandboxFacts *facts, GError **error)
{
  g_autoptr (GArray) nets = g_array_new (FALSE, FALSE, sizeof (SandboxCidr));
  g_autoptr (GArray) widest = g_array_new (FALSE, FALSE, sizeof (SandboxCidr));
  g_auto (GStrv) texts = g_strsplit (facts->lan_nets, ";", -1);

  for (char **text = texts; *text; text++)
    {
      SandboxCidr net;

      if (**text == '\0')
        continue;
      if (!sandbox_cidr_parse (*text, &net, error))
        return NULL;
      if (!is_closed (&net))
        g_array_append_val (nets, net);
    }
  for (guint i = 0; i < nets->len; i++)
    {
      const SandboxCidr *net = &g_array_index (nets, SandboxCidr, i);
      gboolean within = FALSE;

      for (guint k = 0; k < nets->len && !within; k++)
        within = g_array_index (nets, SandboxCidr, k).bits < net->bits
                 && is_within (net, &g_array_index (nets, SandboxCidr, k));
      if (!within)
        g_array_append_val (widest, *net);
    }
  return g_steal_pointer (&widest);
}

gboolean
_sandbox_policy_closes (const SandboxFacts *facts, const SandboxCidr *net)
{
  g_autoptr (GArray) lan = read_lan (facts, NULL);

  for (guint i = 0; lan && i < lan->len; i++)
    if (is_within (net, &g_array_index (lan, SandboxCidr, i)))
      return TRUE;
  return is_closed (net);
}

static void
add_public (SandboxPlan *plan, const GArray *egress)
{
  SandboxPortRange ports = ALL_PORTS;

  if (egress->len > 0)
    {
      add_rules (plan, egress);
      return;
    }
  add_flow (plan, TRUE, SANDBOX_FLOW_TCP, everywhere, ports);
  add_flow (plan, TRUE, SANDBOX_FLOW_UDP, everywhere, ports);
  add_flow (plan, TRUE, SANDBOX_FLOW_PING, everywhere, ports);
}

static void
append_rules (GString *text, const GArray *rules)
{
  for (guint i = 0; i < rules->len; i++)
    {
      g_autofree char *rule = sandbox_net_rule_format (&g_array_index (rules, SandboxNetRule, i));

      g_string_append_printf (text, "%s%s", i > 0 ? ", " : "", rule);
    }
}

/* Where clouds tell whoever asks the credentials of the host: 169.254.169.254. */
#define CLOUD_METADATA 0xa9fea9feu

static gboolean
opens_metadata (const GArray *rules)
{
  const SandboxCidr metadata = { CLOUD_METADATA, 32 };

  for (guint i = 0; i < rules->len; i++)
    if (sandbox_cidr_overlaps (&g_array_index (rules, SandboxNetRule, i).net, &metadata))
      return TRUE;
  return FALSE;
}

/* What it reaches of this host, which goes through ssh and not through the filter. */
static void
append_host (GString *text, const GArray *maps, const char *otherwise)
{
  if (maps->len == 0)
    g_string_append (text, otherwise);
  for (guint i = 0; i < maps->len; i++)
    {
      const SandboxPortRange *range = &g_array_index (maps, SandboxPortMap, i).host;

      g_string_append_printf (text, "%s%u",
                              i > 0 ? ", " : "; of this host only 127.0.0.1:", range->first);
      if (range->first != range->last)
        g_string_append_printf (text, "-%u", range->last);
    }
}

/* Of a LAN of public addresses, which from a machine looks as if the internet did not work. */
static void
append_lan (GString *text, const GArray *lan)
{
  for (guint i = 0; i < MIN (lan->len, LAN_SHOWN); i++)
    {
      const SandboxCidr *net = &g_array_index (lan, SandboxCidr, i);
      g_autofree char *address = sandbox_address_format (net->address);

      g_string_append_printf (text, "%s%s/%u", i > 0 ? ", " : ", which here is also ", address,
                              net->bits);
    }
  if (lan->len > LAN_SHOWN)
    g_string_append_printf (text, " and %u more", lan->len - LAN_SHOWN);
}

/* @host: (nullable): what it is offered of this host. @lan: (nullable): networks near it. */
static char *
describe (const SandboxPlan *plan, const SandboxProfileValues *values, GArray *host,
          const GArray *lan)
{
  GString *text = NULL;

  if (!g_str_equal (plan->network_mode, "nat"))
    {
      text = g_string_new ("nothing, not even DNS");
      if (host != NULL)
        append_host (text, host, "");
      g_string_append (text, "; this host reaches its ssh");
      return g_string_free (text, FALSE);
    }
  text = g_string_new ("the public internet");
  if (values->egress->len > 0)
    {
      g_string_append (text, ", only ");
      append_rules (text, values->egress);
    }
  if (values->allow->len > 0)
    {
      g_string_append (text, "; of other networks ");
      append_rules (text, values->allow);
      if (opens_metadata (values->allow))
        g_string_append (text, " (in a cloud, 169.254.169.254 gives whoever asks what this host "
                               "itself may do there)");
    }
  else
    g_string_append (text, "; no LAN");
  if (lan != NULL && values->allow->len == 0)
    append_lan (text, lan);
  if (host != NULL)
    append_host (text, host, "; not this host");
  g_string_append (text, ", not other machines, no IPv6");
  return g_string_free (text, FALSE);
}

gboolean
_sandbox_policy_resolve (SandboxPlan *plan, SandboxProfile *profile, const SandboxFacts *facts,
                         GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);
  SandboxCidr gateway = { plan->subnet.address + 1, 32 };
  SandboxPortRange dns = { DNS_PORT, DNS_PORT }, all = ALL_PORTS;
  g_autoptr (GArray) lan = read_lan (facts, error);

  if (lan == NULL)
    return FALSE;
  plan->policy = describe (plan, values, values->host, lan);
  plan->reaches = describe (plan, values, NULL, NULL);
  plan->local_ports = default_local_ports;
  if (*facts->local_ports
      && !sandbox_port_range_parse (facts->local_ports, &plan->local_ports, error))
    return FALSE;
  if (!g_str_equal (plan->network_mode, "nat"))
    return TRUE;
  add_flow (plan, TRUE, SANDBOX_FLOW_UDP, gateway, dns);
  add_flow (plan, TRUE, SANDBOX_FLOW_TCP, gateway, dns);
  if (!add_host_addresses (plan, profile, facts, error))
    return FALSE;
  add_rules (plan, values->allow);
  for (gsize i = 0; i < G_N_ELEMENTS (closed); i++)
    add_flow (plan, FALSE, SANDBOX_FLOW_ANY, closed[i], all);
  for (guint i = 0; i < lan->len; i++)
    add_flow (plan, FALSE, SANDBOX_FLOW_ANY, g_array_index (lan, SandboxCidr, i), all);
  add_public (plan, values->egress);
  return plan->flows->len <= FLOWS_MAX
         || sandbox_fail (error, SANDBOX_ERROR_HOST,
                          "the network filter would have %u rules, as this host has so many "
                          "addresses and networks; %u fit into one of libvirt's: take away "
                          "interfaces that are not needed",
                          plan->flows->len, FLOWS_MAX);
}

static gboolean
covers (const SandboxCidr *net, guint32 address)
{
  return net->bits == 0 || (address ^ net->address) >> (32 - net->bits) == 0;
}

const SandboxFlow *
_sandbox_plan_find_flow (const SandboxPlan *plan, SandboxFlowKind kind, guint32 address,
                         guint16 port)
{
  for (guint i = 0; i < plan->flows->len; i++)
    {
      const SandboxFlow *flow = &g_array_index (plan->flows, SandboxFlow, i);

      if (!covers (&flow->net, address) || (flow->kind != SANDBOX_FLOW_ANY && flow->kind != kind))
        continue;
      if (flow->kind == SANDBOX_FLOW_ANY || kind == SANDBOX_FLOW_PING
          || (port >= flow->ports.first && port <= flow->ports.last))
        return flow;
    }
  return NULL;
}

gboolean
_sandbox_plan_allows (const SandboxPlan *plan, SandboxFlowKind kind, guint32 address, guint16 port)
{
  const SandboxFlow *flow = _sandbox_plan_find_flow (plan, kind, address, port);

  return flow != NULL && flow->allow;
}
