// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of probes: what is tried on whom, and what the plan says about it. Pure.
#include "facade/verify-private.h"

#include <string.h>

#define DNS_PORT      53
#define SSH_PORT      22
#define HTTP_PORT     80
#define HTTPS_PORT    443
#define METADATA_PORT HTTP_PORT

static const struct
{
  const char *id, *text;
} properties[] = {
  { "filter", "the network filter in libvirt is the one of the profile" },
  { "host-gateway", "services of this host on the machine's gateway" },
  { "host-addresses", "services of this host on its other addresses" },
  { "host-loopback", "this host's loopback" },
  { "answers", "connections that pretend to be answers" },
  { "link-groups", "frames that a bridge keeps to itself" },
  { "groups", "multicast and broadcast" },
  { "protocols", "protocols other than TCP, UDP and ping" },
  { "ipv6", "IPv6" },
  { "spoof-address", "packets in the name of another address" },
  { "spoof-mac", "frames in the name of another card" },
  { "spoof-arp", "ARP in the name of another address" },
  { "machines", "other running machines of yours" },
  { "lan", "the LAN" },
  { "metadata", "metadata of clouds" },
  { "dns", "the gateway's DNS" },
  { "dns-other", "other DNS servers" },
  { "internet", "the public internet" },
  { "allow", "what allow= lists" },
  { "inbound", "what others can open in the machine" },
  { "devices", "devices of the machine" },
  { "nested", "virtualisation inside the machine" },
  { "seccomp", "QEMU's own system call filter" },
  { "confinement", "AppArmor or SELinux around QEMU" },
  { "qemu-user", "the user that QEMU runs as" },
  { "forwards", "ports of this host that lead into the machine" },
  { "host-services", "what host= lists" },
  { "guard", "vms-guard, which pauses it when its filter is taken away" },
  { "forbidden", "packages and commands that forbid= lists" },
  { "inside", "who says all this" },
};

const char *
_sandbox_verify_property (const char *id)
{
  for (gsize i = 0; i < G_N_ELEMENTS (properties); i++)
    if (strcmp (properties[i].id, id) == 0)
      return properties[i].text;
  g_return_val_if_reached (id);
}

static void
target_clear (gpointer data)
{
  g_free (((SandboxVerifyTarget *)data)->name);
}

static GArray *
targets_new (void)
{
  GArray *targets = g_array_new (FALSE, TRUE, sizeof (SandboxVerifyTarget));

  g_array_set_clear_func (targets, target_clear);
  return targets;
}

void
_sandbox_verify_scene_init (SandboxVerifyScene *scene, const SandboxPlan *plan)
{
  *scene = (SandboxVerifyScene){ .plan = plan };
  g_snprintf (scene->nonce, sizeof scene->nonce, "%08x%08x", g_random_int (), g_random_int ());
  scene->host_addresses = g_array_new (FALSE, FALSE, sizeof (guint32));
  scene->host_addresses6 = g_array_new (FALSE, FALSE, sizeof (struct in6_addr));
  scene->lan = targets_new ();
  scene->internet = targets_new ();
  scene->metadata = targets_new ();
  scene->machines = targets_new ();
  scene->listen_port = (guint16)g_random_int_range (20000, 30000);
}

void
_sandbox_verify_scene_clear (SandboxVerifyScene *scene)
{
  g_clear_pointer (&scene->host_addresses, g_array_unref);
  g_clear_pointer (&scene->host_addresses6, g_array_unref);
  g_clear_pointer (&scene->lan, g_array_unref);
  g_clear_pointer (&scene->internet, g_array_unref);
  g_clear_pointer (&scene->metadata, g_array_unref);
  g_clear_pointer (&scene->machines, g_array_unref);
}

gboolean
_sandbox_verify_target_add (GArray *targets, const char *option, const char *text, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ":", 2);
  SandboxVerifyTarget target = { 0 };
  g_autofree char *shown = NULL;
  SandboxCidr address;
  guint64 port = 0;

  if (sandbox_cidr_parse (parts[0] != NULL ? parts[0] : "", &address, NULL) && address.bits == 32
      && (parts[1] == NULL || sandbox_uint_parse (parts[1], 1, G_MAXUINT16, &port, NULL)))
    {
      target.address = address.address;
      target.port = (guint16)port;
      if (targets->len >= SANDBOX_VERIFY_TARGETS_MAX)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID, "verify: more than %d times --%s",
                             SANDBOX_VERIFY_TARGETS_MAX, option);
      g_array_append_val (targets, target);
      return TRUE;
    }
  shown = sandbox_escape (text, -1, 80);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "verify: --%s %s: no IPv4 address; write it as 192.168.7.1 or "
                       "192.168.7.1:443",
                       option, shown);
}

void
_sandbox_probe_free (gpointer data)
{
  SandboxProbe *probe = data;

  g_free (probe->target);
  g_clear_pointer (&probe->frame, g_bytes_unref);
  g_clear_pointer (&probe->needle, g_bytes_unref);
  g_free (probe);
}

static const char *const kind_names[] = {
  [SANDBOX_PROBE_TCP] = "tcp",         [SANDBOX_PROBE_UDP] = "udp",
  [SANDBOX_PROBE_PING] = "ping",       [SANDBOX_PROBE_DNS_UDP] = "dns-udp",
  [SANDBOX_PROBE_DNS_TCP] = "dns-tcp", [SANDBOX_PROBE_LISTEN] = "listen",
  [SANDBOX_PROBE_FRAME] = "frame",
};

char *
_sandbox_probe_describe (const SandboxProbe *probe)
{
  switch (probe->kind)
    {
    case SANDBOX_PROBE_TCP:
    case SANDBOX_PROBE_LISTEN:
      return g_strdup_printf ("tcp %u", probe->port);
    case SANDBOX_PROBE_UDP:
      return g_strdup_printf ("udp %u", probe->port);
    case SANDBOX_PROBE_PING:
      return g_strdup ("ping");
    case SANDBOX_PROBE_DNS_UDP:
      return g_strdup ("DNS (udp)");
    case SANDBOX_PROBE_DNS_TCP:
      return g_strdup ("DNS (tcp)");
    case SANDBOX_PROBE_FRAME:
    default:
      return g_strdup (probe->what);
    }
}

static SandboxFlowKind
flow_kind (SandboxProbeKind kind)
{
  if (kind == SANDBOX_PROBE_PING)
    return SANDBOX_FLOW_PING;
  return kind == SANDBOX_PROBE_UDP || kind == SANDBOX_PROBE_DNS_UDP ? SANDBOX_FLOW_UDP
                                                                    : SANDBOX_FLOW_TCP;
}

static gboolean
is_there (GPtrArray *probes, SandboxProbeKind kind, guint32 address, guint16 port)
{
  for (guint i = 0; i < probes->len; i++)
    {
      const SandboxProbe *probe = probes->pdata[i];

      if (probe->kind == kind && probe->address == address && probe->port == port)
        return TRUE;
    }
  return FALSE;
}

/* What is expected is nowhere else decided. @name (nullable): of the target. */
static void
ask (const SandboxVerifyScene *scene, GPtrArray *probes, const char *property, SandboxJudge judge,
     SandboxProbeKind kind, guint32 address, guint16 port, const char *name)
{
  g_autofree char *text = sandbox_address_format (address);
  SandboxProbe *probe;

  if (kind == SANDBOX_PROBE_PING)
    port = 0;
  else if (kind == SANDBOX_PROBE_DNS_UDP || kind == SANDBOX_PROBE_DNS_TCP)
    port = DNS_PORT;
  if (is_there (probes, kind, address, port))
    return;
  probe = g_new0 (SandboxProbe, 1);
  probe->property = property;
  probe->judge = judge;
  probe->kind = kind;
  probe->address = address;
  probe->port = port;
  probe->target = name != NULL ? g_strdup_printf ("%s (%s)", name, text) : g_strdup (text);
  probe->allowed = _sandbox_plan_allows (scene->plan, flow_kind (kind), address, port);
  g_ptr_array_add (probes, probe);
}

static void
ask_host (const SandboxVerifyScene *scene, GPtrArray *probes, const char *property, guint32 address)
{
  guint16 port = scene->canary_port;

  ask (scene, probes, property, SANDBOX_JUDGE_HOST, SANDBOX_PROBE_TCP, address, port, NULL);
  ask (scene, probes, property, SANDBOX_JUDGE_HOST, SANDBOX_PROBE_UDP, address, port, NULL);
  ask (scene, probes, property, SANDBOX_JUDGE_GUEST, SANDBOX_PROBE_PING, address, 0, NULL);
  ask (scene, probes, property, SANDBOX_JUDGE_GUEST, SANDBOX_PROBE_TCP, address, SSH_PORT, NULL);
}

static void
ask_dns (const SandboxVerifyScene *scene, GPtrArray *probes, const char *property,
         SandboxJudge judge, guint32 address)
{
  ask (scene, probes, property, judge, SANDBOX_PROBE_DNS_UDP, address, 0, NULL);
  ask (scene, probes, property, judge, SANDBOX_PROBE_DNS_TCP, address, 0, NULL);
}

/* What allow= lists for the networks around it, and the port after it. */
static void
ask_allowed (const SandboxVerifyScene *scene, GPtrArray *probes, const char *property,
             SandboxJudge judge, guint32 address)
{
  for (guint i = 0; i < scene->plan->flows->len; i++)
    {
      const SandboxFlow *flow = &g_array_index (scene->plan->flows, SandboxFlow, i);
      SandboxCidr to = { address, 32 };
      SandboxProbeKind kind;

      if (!flow->allow || flow->net.bits == 0 || flow->kind == SANDBOX_FLOW_PING
          || !sandbox_cidr_overlaps (&flow->net, &to))
        continue;
      kind = flow->kind == SANDBOX_FLOW_TCP ? SANDBOX_PROBE_TCP : SANDBOX_PROBE_UDP;
      ask (scene, probes, property, judge, kind, address, flow->ports.first, NULL);
      if (flow->ports.last < G_MAXUINT16)
        ask (scene, probes, property, judge, kind, address, flow->ports.last + 1, NULL);
    }
}

static void
ask_lan (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  static const guint16 usual[] = { SSH_PORT, HTTP_PORT, HTTPS_PORT };

  for (guint i = 0; i < scene->lan->len; i++)
    {
      const SandboxVerifyTarget *target = &g_array_index (scene->lan, SandboxVerifyTarget, i);
      guint32 address = target->address;

      if (target->port != 0)
        ask (scene, probes, "lan", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_TCP, address, target->port,
             NULL);
      for (gsize k = 0; k < G_N_ELEMENTS (usual); k++)
        ask (scene, probes, "lan", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_TCP, address, usual[k],
             NULL);
      ask (scene, probes, "lan", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_PING, address, 0, NULL);
      ask_dns (scene, probes, "dns-other", SANDBOX_JUDGE_REPLIES, address);
      ask_allowed (scene, probes, "lan", SANDBOX_JUDGE_REPLIES, address);
    }
}

static void
ask_metadata (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  for (guint i = 0; i < scene->metadata->len; i++)
    {
      const SandboxVerifyTarget *target = &g_array_index (scene->metadata, SandboxVerifyTarget, i);
      guint16 port = target->port != 0 ? target->port : METADATA_PORT;

      ask (scene, probes, "metadata", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_TCP, target->address,
           port, NULL);
      ask (scene, probes, "metadata", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_PING, target->address, 0,
           NULL);
      ask_dns (scene, probes, "dns-other", SANDBOX_JUDGE_REPLIES, target->address);
    }
}

static void
ask_internet (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  for (guint i = 0; i < scene->internet->len; i++)
    {
      const SandboxVerifyTarget *target = &g_array_index (scene->internet, SandboxVerifyTarget, i);

      ask (scene, probes, "internet", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_TCP, target->address,
           target->port != 0 ? target->port : HTTPS_PORT, NULL);
      ask (scene, probes, "internet", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_PING, target->address, 0,
           NULL);
    }
}

static void
ask_machines (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  for (guint i = 0; i < scene->machines->len; i++)
    {
      const SandboxVerifyTarget *target = &g_array_index (scene->machines, SandboxVerifyTarget, i);

      ask (scene, probes, "machines", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_TCP, target->address,
           SSH_PORT, target->name);
      ask (scene, probes, "machines", SANDBOX_JUDGE_REPLIES, SANDBOX_PROBE_PING, target->address, 0,
           target->name);
    }
}

static void
listen_inside (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  SandboxProbe *probe = g_new0 (SandboxProbe, 1);

  probe->property = "inbound";
  probe->judge = SANDBOX_JUDGE_HOST;
  probe->kind = SANDBOX_PROBE_LISTEN;
  probe->address = scene->plan->subnet.address + 2;
  probe->port = scene->listen_port;
  probe->target = g_strdup ("from this host");
  g_ptr_array_add (probes, probe);
}

GPtrArray *
_sandbox_verify_probes (const SandboxVerifyScene *scene)
{
  GPtrArray *probes = g_ptr_array_new_with_free_func (_sandbox_probe_free);
  guint32 gateway = scene->plan->subnet.address + 1;

  ask_host (scene, probes, "host-gateway", gateway);
  ask_dns (scene, probes, "dns", SANDBOX_JUDGE_GUEST, gateway);
  for (guint i = 0; i < scene->host_addresses->len; i++)
    {
      guint32 address = g_array_index (scene->host_addresses, guint32, i);

      ask_host (scene, probes, "host-addresses", address);
      ask_allowed (scene, probes, "host-addresses", SANDBOX_JUDGE_GUEST, address);
      ask_dns (scene, probes, "dns-other", SANDBOX_JUDGE_GUEST, address);
    }
  _sandbox_verify_add_frames (scene, probes);
  ask_machines (scene, probes);
  ask_lan (scene, probes);
  ask_metadata (scene, probes);
  ask_internet (scene, probes);
  listen_inside (scene, probes);
  return probes;
}

static void
append_hex (GString *text, GBytes *bytes)
{
  gsize length = 0;
  const guint8 *data = bytes != NULL ? g_bytes_get_data (bytes, &length) : NULL;

  if (length == 0)
    g_string_append_c (text, '-');
  for (gsize i = 0; i < length; i++)
    g_string_append_printf (text, "%02x", data[i]);
}

char *
_sandbox_verify_lines (GPtrArray *probes, const char *nonce)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < probes->len; i++)
    {
      const SandboxProbe *probe = probes->pdata[i];
      g_autofree char *address = sandbox_address_format (probe->address);

      g_string_append_printf (text, "%s-%u %s ", nonce, i, kind_names[probe->kind]);
      if (probe->kind == SANDBOX_PROBE_FRAME)
        {
          append_hex (text, probe->frame);
          g_string_append_c (text, ' ');
          append_hex (text, probe->needle);
        }
      else
        g_string_append_printf (text, "%s %u", address, probe->port);
      g_string_append_c (text, '\n');
    }
  return g_string_free (text, FALSE);
}

int
_sandbox_verify_number (const char *text, gsize length, const char *nonce, guint n_probes)
{
  gsize prefix = strlen (nonce);
  guint number = 0, digits = 0;

  if (length < prefix + 2 || memcmp (text, nonce, prefix) != 0 || text[prefix] != '-')
    return -1;
  for (gsize i = prefix + 1; i < length && g_ascii_isdigit (text[i]) && digits < 5; i++, digits++)
    number = number * 10 + (guint)(text[i] - '0');
  return digits > 0 && number < n_probes ? (int)number : -1;
}
