// SPDX-License-Identifier: LGPL-2.1-or-later
// The machine's own network filter as libvirt's XML.
//
// Two layers that say the same, each for itself. The first one (ebtables, always in force) looks at
// single packets: the guest's own MAC and address, nothing but ARP and IPv4, and the flows of the
// plan. It knows no connections, so a guest could talk from its ssh port to any port from which the
// host's own connections start. The second one (iptables on bridged packets) knows them: of the ssh
// port it lets out answers only; it also sees where a packet really goes after the host has
// redirected it.
#include "xml/metadata.h"

#include "base/names.h"

#define SSH_PORT 22
/* Of libvirt's range; the first layer begins here. */
#define FIRST_LAYER  (-1000)
#define SECOND_LAYER 0
/* A guest that opens more than that is up to no good: the host tracks each of them. */
#define CONNECTIONS_MAX "4000"

typedef struct
{
  xmlNode *root;
  int priority; /* of the next rule; the order in which they stand is the order in which they hold
                 */
} Rules;

static xmlNode *
add_rule (Rules *rules, gboolean allow, const char *direction)
{
  g_autofree char *priority = g_strdup_printf ("%d", rules->priority++);

  return sandbox_xml_add (rules->root, "rule", "action", allow ? "accept" : "drop", "direction",
                          direction, "priority", priority, NULL);
}

static void
set (xmlNode *node, const char *name, const char *value)
{
  xmlNewProp (node, BAD_CAST name, BAD_CAST value);
}

static void
set_number (xmlNode *node, const char *name, guint value)
{
  char number[24];

  set (node, name, _sandbox_xml_number (number, value));
}

static void
set_net (xmlNode *node, const SandboxCidr *net)
{
  g_autofree char *address = NULL;

  if (net->bits == 0)
    return;
  address = sandbox_address_format (net->address);
  set (node, "dstipaddr", address);
  if (net->bits < 32)
    set_number (node, "dstipmask", net->bits);
}

static void
set_ports (xmlNode *node, const SandboxPortRange *ports)
{
  if (ports->first <= 1 && ports->last == G_MAXUINT16)
    return;
  set_number (node, "dstportstart", ports->first);
  if (ports->last != ports->first)
    set_number (node, "dstportend", ports->last);
}

static const char *
protocol_name (SandboxFlowKind kind)
{
  static const char *const names[] = {
    [SANDBOX_FLOW_ANY] = "all",
    [SANDBOX_FLOW_TCP] = "tcp",
    [SANDBOX_FLOW_UDP] = "udp",
    [SANDBOX_FLOW_PING] = "icmp",
  };

  return names[kind];
}

static void
add_frame_flow (Rules *rules, const SandboxFlow *flow)
{
  xmlNode *ip = sandbox_xml_add (add_rule (rules, flow->allow, "out"), "ip", NULL);

  set_net (ip, &flow->net);
  if (flow->kind == SANDBOX_FLOW_ANY)
    return;
  set (ip, "protocol", protocol_name (flow->kind));
  if (flow->kind != SANDBOX_FLOW_PING)
    set_ports (ip, &flow->ports);
}

static gboolean
same_answers (const SandboxFlow *a, const SandboxFlow *b)
{
  return a->allow == b->allow && a->kind == b->kind && a->net.address == b->net.address
         && a->net.bits == b->net.bits;
}

/* The way back. The second layer sees of it only what stays on the bridge, not what the host routes
 * there: libvirt's own rules for networks hold that, as long as nothing else of the host lets it
 * through before them. So whatever may not be asked may not send anything either. */
static void
add_frame_answers (Rules *rules, const SandboxPlan *plan)
{
  const SandboxFlow *last = NULL;
  gboolean everywhere = FALSE;

  sandbox_xml_add (add_rule (rules, TRUE, "in"), "ip", "srcipaddr", plan->gateway, "dstipaddr",
                   plan->address, NULL);
  for (guint i = 0; i < plan->flows->len; i++)
    {
      const SandboxFlow *flow = &g_array_index (plan->flows, SandboxFlow, i);
      g_autofree char *address = sandbox_address_format (flow->net.address);
      xmlNode *ip;

      everywhere |= flow->net.bits == 0;
      if (flow->net.bits == 0 || g_str_equal (address, plan->gateway)
          || (last && same_answers (last, flow)))
        continue;
      ip = sandbox_xml_add (add_rule (rules, flow->allow, "in"), "ip", "srcipaddr", address, NULL);
      if (flow->net.bits < 32)
        set_number (ip, "srcipmask", flow->net.bits);
      set (ip, "dstipaddr", plan->address);
      if (flow->allow)
        set (ip, "protocol", protocol_name (flow->kind));
      last = flow;
    }
  if (everywhere)
    sandbox_xml_add (add_rule (rules, TRUE, "in"), "ip", "dstipaddr", plan->address, NULL);
}

static void
add_frames (Rules *rules, const SandboxPlan *plan)
{
  xmlNode *node;

  sandbox_xml_add (add_rule (rules, FALSE, "out"), "mac", "match", "no", "srcmacaddr", plan->mac,
                   NULL);
  sandbox_xml_add (add_rule (rules, TRUE, "out"), "arp", "arpsrcmacaddr", plan->mac, "arpsrcipaddr",
                   plan->address, "arpdstipaddr", plan->gateway, NULL);
  sandbox_xml_add (add_rule (rules, TRUE, "in"), "arp", "arpsrcipaddr", plan->gateway,
                   "arpdstipaddr", plan->address, NULL);
  sandbox_xml_add (add_rule (rules, FALSE, "out"), "ip", "match", "no", "srcipaddr", plan->address,
                   NULL);
  node = sandbox_xml_add (add_rule (rules, TRUE, "out"), "ip", "dstipaddr", plan->gateway,
                          "protocol", "tcp", NULL);
  set_number (node, "srcportstart", SSH_PORT);
  set_ports (node, &plan->local_ports);
  for (guint i = 0; i < plan->flows->len; i++)
    add_frame_flow (rules, &g_array_index (plan->flows, SandboxFlow, i));
  add_frame_answers (rules, plan);
  add_rule (rules, FALSE, "inout");
}

static void
add_connection_flow (Rules *rules, const SandboxFlow *flow)
{
  xmlNode *node =
      sandbox_xml_add (add_rule (rules, flow->allow, "out"), protocol_name (flow->kind), NULL);

  set_net (node, &flow->net);
  if (flow->kind == SANDBOX_FLOW_PING)
    set (node, "type", "8");
  else if (flow->kind != SANDBOX_FLOW_ANY)
    set_ports (node, &flow->ports);
}

static void
add_connections (Rules *rules, const SandboxPlan *plan)
{
  xmlNode *node;

  /* Counts with new ones only. A packet of the last connection of a guest, such as the one that
   * resets it, would find none to count, and then the kernel drops it: the host would go on waiting
   * for a guest that is gone. */
  sandbox_xml_add (add_rule (rules, FALSE, "out"), "all", "state", "NEW", "connlimit-above",
                   CONNECTIONS_MAX, NULL);
  node = sandbox_xml_add (add_rule (rules, TRUE, "in"), "tcp", "srcipaddr", plan->gateway, NULL);
  set_number (node, "dstportstart", SSH_PORT);
  for (guint i = 0; i < plan->flows->len; i++)
    add_connection_flow (rules, &g_array_index (plan->flows, SandboxFlow, i));
  sandbox_xml_add (add_rule (rules, FALSE, "inout"), "all", NULL);
}

char *
_sandbox_xml_filter (const SandboxPlan *plan)
{
  xmlNode *root;
  g_autoptr (xmlDoc) doc = _sandbox_xml_new ("filter", &root);
  g_autofree char *text = g_strconcat ("filter/", plan->uuid, NULL);
  Rules rules = { root, FIRST_LAYER };
  char uuid[37];

  set (root, "name", plan->object);
  set (root, "chain", "root");
  sandbox_uuid5 (text, uuid);
  sandbox_xml_add_text (root, "uuid", uuid, NULL);
  add_frames (&rules, plan);
  rules.priority = SECOND_LAYER;
  add_connections (&rules, plan);
  return sandbox_xml_to_string (doc);
}

char *
sandbox_plan_filter_xml (SandboxPlan *plan)
{
  return _sandbox_xml_filter (plan);
}

static gint
compare_words (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(const char *const *)a, *(const char *const *)b);
}

/* "action direction priority child attr=value ...", the attributes in alphabetical order. */
static char *
rule_text (xmlNode *rule)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);
  static const char *const own[] = { "action", "direction", "priority" };
  xmlNode *child = xmlFirstElementChild (rule);
  g_autofree char *text = NULL;

  for (xmlAttr *attr = child ? child->properties : NULL; attr; attr = attr->next)
    {
      g_autofree char *value = sandbox_xml_get_attr (child, (const char *)attr->name);

      g_ptr_array_add (words, g_strdup_printf ("%s=%s", (const char *)attr->name, value));
    }
  g_ptr_array_sort (words, compare_words);
  g_ptr_array_insert (words, 0, g_strdup (child ? (const char *)child->name : "-"));
  for (gsize i = 0; i < G_N_ELEMENTS (own); i++)
    {
      char *value = sandbox_xml_get_attr (rule, own[i]);

      g_ptr_array_insert (words, (int)i, value ? value : g_strdup (""));
    }
  g_ptr_array_add (words, NULL);
  text = g_strjoinv (" ", (char **)words->pdata);
  return g_ascii_strdown (text, -1);
}

/* The network that a rule is about: its "srcipaddr" or "dstipaddr" with its mask. */
static gboolean
read_net (xmlNode *child, SandboxCidr *ret_net)
{
  static const char *const names[][2] = { { "srcipaddr", "srcipmask" },
                                          { "dstipaddr", "dstipmask" } };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *address = sandbox_xml_get_attr (child, names[i][0]);
      g_autofree char *mask = sandbox_xml_get_attr (child, names[i][1]);
      g_autofree char *text =
          address ? g_strdup_printf ("%s/%s", address, mask ? mask : "32") : NULL;

      if (text)
        return sandbox_cidr_parse (text, ret_net, NULL);
    }
  return FALSE;
}

/* Closes an address of this host, or a network that it is in: what else is closed is so
 * everywhere. */
static gboolean
is_about_host (xmlNode *rule)
{
  xmlNode *child = xmlFirstElementChild (rule);
  g_autofree char *action = sandbox_xml_get_attr (rule, "action");
  g_autofree char *match = child ? sandbox_xml_get_attr (child, "match") : NULL;
  SandboxCidr net;

  return child && g_strcmp0 (action, "drop") == 0 && !match && read_net (child, &net)
         && !_sandbox_policy_is_closed_range (&net);
}

/* Without what depends on the addresses of this host: those rules, and the numbers of all. */
static void
forget_host (xmlNode *root)
{
  g_autoptr (GPtrArray) rules = sandbox_xml_find_all (root, "rule");

  for (guint i = 0; i < rules->len; i++)
    {
      xmlNode *rule = rules->pdata[i];

      xmlUnsetProp (rule, BAD_CAST "priority");
      if (!is_about_host (rule))
        continue;
      xmlUnlinkNode (rule);
      xmlFreeNode (rule);
    }
}

static char *
rules_text (const char *xml, gboolean with_host, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("network filter of libvirt", xml, error);
  xmlNode *root = doc ? xmlDocGetRootElement (doc) : NULL;
  g_autoptr (GPtrArray) rules = NULL;
  GString *text = root ? g_string_new (NULL) : NULL;

  if (root && !with_host)
    forget_host (root);
  rules = root ? sandbox_xml_find_all (root, "rule") : NULL;
  for (guint i = 0; rules && i < rules->len; i++)
    {
      g_autofree char *line = rule_text (rules->pdata[i]);

      g_string_append_printf (text, "%s\n", line);
    }
  return text ? g_string_free (text, FALSE) : NULL;
}

static gboolean
same_rules (const char *a, const char *b, gboolean with_host, gboolean *ret_same, GError **error)
{
  g_autofree char *a_text = rules_text (a, with_host, error);
  g_autofree char *b_text = a_text ? rules_text (b, with_host, error) : NULL;

  if (!b_text)
    return FALSE;
  *ret_same = g_str_equal (a_text, b_text);
  return TRUE;
}

gboolean
_sandbox_xml_same_filter (const char *a, const char *b, gboolean *ret_same, GError **error)
{
  return same_rules (a, b, TRUE, ret_same, error);
}

gboolean
_sandbox_xml_same_policy (const char *a, const char *b, gboolean *ret_same, GError **error)
{
  return same_rules (a, b, FALSE, ret_same, error);
}

static gint
compare_priority (gconstpointer a, gconstpointer b)
{
  g_autofree char *first = sandbox_xml_get_attr (*(xmlNode *const *)a, "priority");
  g_autofree char *second = sandbox_xml_get_attr (*(xmlNode *const *)b, "priority");
  gint64 left = first ? g_ascii_strtoll (first, NULL, 10) : 0;
  gint64 right = second ? g_ascii_strtoll (second, NULL, 10) : 0;

  return left < right ? -1 : left > right;
}

/* In the order in which they hold, without their numbers. */
static GPtrArray *
sorted_rules (xmlDoc *doc)
{
  GPtrArray *rules = sandbox_xml_find_all (xmlDocGetRootElement (doc), "rule");

  g_ptr_array_sort (rules, compare_priority);
  for (guint i = 0; i < rules->len; i++)
    xmlUnsetProp (rules->pdata[i], BAD_CAST "priority");
  return rules;
}

gboolean
_sandbox_xml_filter_closes (const char *have, const char *wanted, gboolean *ret_closes,
                            GError **error)
{
  g_autoptr (xmlDoc) have_doc = sandbox_xml_parse ("network filter of libvirt", have, error);
  g_autoptr (xmlDoc) doc = have_doc ? sandbox_xml_parse ("network filter", wanted, error) : NULL;
  g_autoptr (GPtrArray) rules = doc ? sorted_rules (have_doc) : NULL;
  g_autoptr (GPtrArray) all = doc ? sorted_rules (doc) : NULL;
  guint next = 0;

  if (!doc)
    return FALSE;
  *ret_closes = TRUE;
  for (guint i = 0; i < rules->len && *ret_closes; i++)
    {
      g_autofree char *text = rule_text (rules->pdata[i]);
      g_autofree char *expected = next < all->len ? rule_text (all->pdata[next]) : g_strdup ("");

      if (g_str_equal (text, expected))
        next++;
      else
        *ret_closes = is_about_host (rules->pdata[i]);
    }
  *ret_closes = *ret_closes && next == all->len;
  return TRUE;
}
