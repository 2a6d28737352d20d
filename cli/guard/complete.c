// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a machine has all of its rules.
//
// Two things together make that sound. The number of rules in each chain comes from the filter's
// own XML (libvirt makes of each rule of our filters one rule in each chain that its direction
// names), so that a guard that starts after a flush is not taken in by what little it finds. And
// what the rules say is held against what they said when they were first complete. Beyond its
// chains a machine needs the way into them: the jumps, in their order, in chains that the kernel
// calls, and nothing before them that could let a packet pass.
//
// This is against accidents and other programs. Who is root and hostile can do worse than rules.
#include "guard.h"

#include "base/xml.h"

#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <string.h>

#define DEPTH_MAX 8
#define FRAMES    "bridge/nat/"
#define PACKETS   "ip/filter/"

void
guard_card_free (GuardCard *card)
{
  g_free (card->tap);
  g_free (card->filter);
  g_free (card->bridge);
  g_free (card->filter_digest);
  g_free (card->seen);
  g_free (card->network_seen);
  g_free (card->network_new);
  g_free (card);
}

/* --- what the filter asks for */

static gboolean
is_one_of (const char *name, const char *const *names)
{
  return g_strv_contains (names, name);
}

/* FALSE: a rule of a kind that our filters do not have. */
static gboolean
expect_rule (xmlNode *rule, int expected[GUARD_CHAINS])
{
  static const char *const frames[] = { "mac", "arp", "ip", NULL }, *const connections[] = {
    "all", "tcp", "udp", "icmp", NULL
  };
  g_autofree char *direction = sandbox_xml_get_attr (rule, "direction");
  xmlNode *child = xmlFirstElementChild (rule);
  const char *kind = child ? (const char *)child->name : "mac";
  g_autofree char *limit = child ? sandbox_xml_get_attr (child, "connlimit-above") : NULL;
  g_autofree char *type = child ? sandbox_xml_get_attr (child, "type") : NULL;
  gboolean out = g_strcmp0 (direction, "in") != 0, in = g_strcmp0 (direction, "out") != 0;

  if (is_one_of (kind, frames))
    {
      expected[GUARD_FRAMES_OUT] += out;
      expected[GUARD_FRAMES_IN] += in;
      return TRUE;
    }
  if (!is_one_of (kind, connections) || ((limit || type) && in))
    return FALSE;
  expected[GUARD_FROM]++;
  expected[GUARD_HOST]++;
  /* limits, and types of ping, are for one direction */
  expected[GUARD_TO] += !limit && !type;
  return TRUE;
}

gboolean
guard_card_expect (GuardCard *card, const char *xml)
{
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, xml, -1);
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("network filter of libvirt", xml, NULL);
  xmlNode *root = doc ? xmlDocGetRootElement (doc) : NULL;
  g_autoptr (GPtrArray) rules = root ? sandbox_xml_find_all (root, "rule") : NULL;
  gboolean known = rules != NULL && !sandbox_xml_find (root, "filterref");

  if (g_strcmp0 (digest, card->filter_digest) == 0)
    return FALSE;
  memset (card->expected, 0, sizeof card->expected);
  for (guint i = 0; known && i < rules->len; i++)
    known = expect_rule (rules->pdata[i], card->expected);
  for (guint i = 0; !known && i < GUARD_CHAINS; i++)
    card->expected[i] = -1;
  g_free (card->filter_digest);
  card->filter_digest = g_steal_pointer (&digest);
  g_clear_pointer (&card->seen, g_free);
  return TRUE;
}

/* --- what is there */

typedef struct
{
  GuardCard *card;
  GuardRules *rules;
  GChecksum *sum; /* NULL: what is looked at is not remembered */
  char *why;      /* the first thing that is wrong */
} Check;

static gboolean wrong (Check *check, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
wrong (Check *check, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (!check->why)
    check->why = g_strdup_vprintf (format, args);
  va_end (args);
  return FALSE;
}

/* The chain @key of @table ("ip/filter/") is not there. */
static gboolean
gone (Check *check, const char *table, const char *key)
{
  g_autofree char *dormant = g_strconcat (table, GUARD_DORMANT, NULL);

  if (g_hash_table_contains (check->rules, dormant))
    return wrong (check, "the table of %s has no effect (\"flags dormant\"): take that away", key);
  return wrong (check, "the chain %s is gone", key);
}

static gboolean
names (const GuardRule *rule, const char *interface)
{
  return guard_rule_has (rule, interface, strlen (interface) + 1);
}

static void
add_rule (Check *check, const GuardRule *rule)
{
  g_autofree char *where =
      g_strdup_printf ("%s %d\n", rule->target ? rule->target : "", rule->leaves);

  if (!check->sum)
    return;
  g_checksum_update (check->sum, rule->raw->data, rule->raw->len);
  g_checksum_update (check->sum, (const guchar *)where, -1);
}

/* The way into a machine's chains, for packets of its interface alone: ours, or another one's. */
static gboolean
is_machines (const GuardRule *rule)
{
  static const char *const prefixes[] = { "libvirt-I-", "libvirt-O-", "libvirt-J-", "libvirt-P-",
                                          "FI-",        "FO-",        "HI-",        "FJ-",
                                          "FP-",        "HJ-" };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    if (rule->target && g_str_has_prefix (rule->target, prefixes[i]))
      return names (rule, rule->target + strlen (prefixes[i]));
  return FALSE;
}

/* In a chain that @rule jumps to, what leaves comes back behind @rule. */
static gboolean
may_accept (GuardRules *rules, const char *table, const GuardRule *rule, guint depth)
{
  g_autofree char *key = NULL;
  const GuardChain *chain;

  if (is_machines (rule))
    return FALSE;
  if (rule->accept || depth > DEPTH_MAX)
    return TRUE;
  if (!rule->target)
    return FALSE;
  key = g_strconcat (table, rule->target, NULL);
  chain = g_hash_table_lookup (rules, key);
  for (guint i = 0; chain && i < chain->rules->len; i++)
    if (may_accept (rules, table, chain->rules->pdata[i], depth + 1))
      return TRUE;
  return FALSE;
}

/* The jump from @chain to @target (for the machine's interface, with @interface; else for all that
 * comes), before anything that could let a packet pass, or past it. @hook: what calls @chain, -1:
 * another chain. */
static gboolean
check_jump (Check *check, const char *table, const char *chain, int hook, const char *target,
            gboolean interface)
{
  g_autofree char *key = g_strconcat (table, chain, NULL);
  const GuardChain *from = g_hash_table_lookup (check->rules, key);

  if (!from || from->hook != hook)
    return gone (check, table, key);
  for (guint i = 0; i < from->rules->len; i++)
    {
      const GuardRule *rule = from->rules->pdata[i];

      if (g_strcmp0 (rule->target, target) == 0
          && (interface ? names (rule, check->card->tap) : rule->bare))
        {
          add_rule (check, rule);
          return TRUE;
        }
      if (may_accept (check->rules, table, rule, 0))
        return wrong (check, "rule %u of %s lets packets pass before %s sees them", i + 1, key,
                      target);
      if (rule->leaves && !is_machines (rule))
        return wrong (check, "rule %u of %s takes packets past %s", i + 1, key, target);
    }
  return wrong (check, "%s does not lead to %s any more", key, target);
}

/* ebtables writes what happens at the end of a chain as one more rule. */
static guint
count_rules (const GuardChain *chain, gboolean frames)
{
  const GuardRule *last = chain->rules->len > 0 ? chain->rules->pdata[chain->rules->len - 1] : NULL;

  return chain->rules->len - (frames && last && last->bare && last->accept);
}

static gboolean
check_chain (Check *check, const char *table, const char *prefix, int expected)
{
  g_autofree char *key = g_strconcat (table, prefix, check->card->tap, NULL);
  const GuardChain *chain = g_hash_table_lookup (check->rules, key);
  guint count;

  if (!chain)
    return gone (check, table, key);
  count = count_rules (chain, g_str_equal (table, FRAMES));
  if (expected >= 0 && count != (guint)expected)
    return wrong (check, "the chain %s has %u rules instead of %d", key, count, expected);
  g_checksum_update (check->sum, (const guchar *)key, -1);
  for (guint i = 0; i < chain->rules->len; i++)
    add_rule (check, chain->rules->pdata[i]);
  return TRUE;
}

static gboolean
check_frames (Check *check)
{
  const int *expected = check->card->expected;
  g_autofree char *out = g_strconcat ("libvirt-I-", check->card->tap, NULL);
  g_autofree char *in = g_strconcat ("libvirt-O-", check->card->tap, NULL);

  return check_jump (check, FRAMES, "PREROUTING", NF_BR_PRE_ROUTING, out, TRUE)
         && check_jump (check, FRAMES, "POSTROUTING", NF_BR_POST_ROUTING, in, TRUE)
         && check_chain (check, FRAMES, "libvirt-I-", expected[GUARD_FRAMES_OUT])
         && check_chain (check, FRAMES, "libvirt-O-", expected[GUARD_FRAMES_IN]);
}

static gboolean
check_connections (Check *check)
{
  const int *expected = check->card->expected;
  g_autofree char *from = g_strconcat ("FI-", check->card->tap, NULL);
  g_autofree char *to = g_strconcat ("FO-", check->card->tap, NULL);
  g_autofree char *host = g_strconcat ("HI-", check->card->tap, NULL);

  return check_jump (check, PACKETS, "libvirt-in", -1, from, TRUE)
         && check_jump (check, PACKETS, "libvirt-out", -1, to, TRUE)
         && check_jump (check, PACKETS, "libvirt-host-in", -1, host, TRUE)
         && check_chain (check, PACKETS, "FI-", expected[GUARD_FROM])
         && check_chain (check, PACKETS, "FO-", expected[GUARD_TO])
         && check_chain (check, PACKETS, "HI-", expected[GUARD_HOST]);
}

static gboolean
leads_to (Check *check, const char *key, int hook, const char *target)
{
  const GuardChain *from = g_hash_table_lookup (check->rules, key);

  for (guint i = 0; from && from->hook == hook && i < from->rules->len; i++)
    if (g_strcmp0 (((const GuardRule *)from->rules->pdata[i])->target, target) == 0)
      return TRUE;
  return wrong (check, "%s does not lead to %s any more", key, target);
}

/* The way from the kernel's own chains to libvirt's. @ret_taken_out, on failure: nothing is wrong
 * but that jumps are not there, as while libvirt moves them. */
static gboolean
check_way (Check *check, gboolean *ret_taken_out)
{
  static const struct
  {
    const char *chain, *target;
    int hook;
  } jumps[] = {
    { "FORWARD", "libvirt-in", NF_INET_FORWARD },
    { "FORWARD", "libvirt-out", NF_INET_FORWARD },
    { "INPUT", "libvirt-host-in", NF_INET_LOCAL_IN },
  };
  gboolean complete = TRUE;

  *ret_taken_out = TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (jumps); i++)
    {
      g_autofree char *key = g_strconcat (PACKETS, jumps[i].chain, NULL);
      const GuardChain *from = g_hash_table_lookup (check->rules, key);

      if (check_jump (check, PACKETS, jumps[i].chain, jumps[i].hook, jumps[i].target, FALSE))
        continue;
      complete = FALSE;
      *ret_taken_out &= from && from->hook == jumps[i].hook
                        && !leads_to (check, key, jumps[i].hook, jumps[i].target);
    }
  return complete;
}

/* What libvirt made for the bridge or its addresses, as far as it is in the chain @key. */
static guint
add_network (Check *check, const char *key)
{
  const GuardChain *chain = g_hash_table_lookup (check->rules, key);
  const GuardCard *card = check->card;
  guint count = 0;

  for (guint i = 0; chain && i < chain->rules->len; i++)
    {
      const GuardRule *rule = chain->rules->pdata[i];

      if (names (rule, card->bridge)
          || (card->has_subnet && guard_rule_has (rule, card->subnet, sizeof card->subnet)))
        {
          add_rule (check, rule);
          count++;
        }
    }
  return count;
}

/* Newer libvirt has a table of its own: there what was seen first has to stay, no more is known. */
static gboolean
check_network (Check *check)
{
  static const struct
  {
    const char *table, *chain, *parent;
    int hook;
    gboolean nat;
  } chains[] = {
    { "ip/filter/", "LIBVIRT_FWI", "ip/filter/FORWARD", NF_INET_FORWARD, FALSE },
    { "ip/filter/", "LIBVIRT_FWO", "ip/filter/FORWARD", NF_INET_FORWARD, FALSE },
    { "ip/filter/", "LIBVIRT_INP", "ip/filter/INPUT", NF_INET_LOCAL_IN, FALSE },
    { "ip/nat/", "LIBVIRT_PRT", "ip/nat/POSTROUTING", NF_INET_POST_ROUTING, TRUE },
  };
  static const char *const own[] = { "guest_output", "guest_input", "guest_cross", "guest_nat" };
  guint count = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (own); i++)
    {
      g_autofree char *key = g_strconcat ("ip/libvirt_network/", own[i], NULL);

      count += add_network (check, key);
    }
  for (gsize i = 0; count == 0 && i < G_N_ELEMENTS (chains); i++)
    {
      g_autofree char *key = g_strconcat (chains[i].table, chains[i].chain, NULL);

      if (chains[i].nat && !check->card->nat)
        continue;
      if (!leads_to (check, chains[i].parent, chains[i].hook, chains[i].chain))
        return FALSE;
      if (add_network (check, key) == 0)
        return wrong (check, "the chain %s has no rules for the machine's network", key);
    }
  return TRUE;
}

static gboolean
same_as_before (Check *check, const char *seen, const char *what)
{
  return !seen || g_str_equal (seen, g_checksum_get_string (check->sum))
         || wrong (check, "%s are others than before", what);
}

/* How many rules a network has is for libvirt to know: they are remembered when they have been the
 * same for a while. */
static void
remember_network (GuardCard *card, const char *digest)
{
  gint64 now = g_get_monotonic_time ();

  if (card->network_seen)
    return;
  if (g_strcmp0 (card->network_new, digest) != 0)
    {
      g_free (card->network_new);
      card->network_new = g_strdup (digest);
      card->network_since = now;
    }
  else if (now - card->network_since >= GUARD_SETTLE_USEC)
    card->network_seen = g_steal_pointer (&card->network_new);
}

gboolean
guard_card_unsettled (const GuardCard *card)
{
  return card->network_new != NULL;
}

/* What is missing of its network filter. The jumps are no part of what is remembered: they hold for
 * all machines, and each is known. */
static guint
check_filter (Check *check)
{
  GuardCard *card = check->card;
  GChecksum *sum = check->sum;
  gboolean taken_out;

  if (!check_frames (check) || !check_connections (check)
      || !same_as_before (check, card->seen, "the rules of its network filter"))
    return GUARD_LOST_FILTER;
  check->sum = NULL;
  if (!check_way (check, &taken_out))
    return taken_out ? GUARD_LOST_JUMPS : GUARD_LOST_FILTER;
  if (!card->seen)
    card->seen = g_strdup (g_checksum_get_string (sum));
  return 0;
}

guint
guard_card_check (GuardCard *card, GuardRules *rules, char **ret_why)
{
  g_autoptr (GChecksum) filter = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GChecksum) network = g_checksum_new (G_CHECKSUM_SHA256);
  Check check = { card, rules, filter, NULL };
  guint lost = check_filter (&check);

  check.sum = network;
  if (card->bridge
      && (!check_network (&check)
          || !same_as_before (&check, card->network_seen, "the rules of its network")))
    lost |= GUARD_LOST_NETWORK;
  else if (card->bridge)
    remember_network (card, g_checksum_get_string (network));
  if (*ret_why)
    g_free (check.why);
  else
    *ret_why = check.why;
  return lost;
}

gboolean
guard_ports_there (GuardRules *rules)
{
  static const char *const keys[] = { "inet/libsandbox/ports", "inet/libsandbox/host",
                                      "arp/libsandbox/ports" };

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const GuardChain *chain = g_hash_table_lookup (rules, keys[i]);

      if (!chain || chain->hook < 0 || chain->rules->len == 0)
        return FALSE;
    }
  return TRUE;
}

char *
guard_ports_digest (GuardRules *rules)
{
  g_autoptr (GList) keys = g_list_sort (g_hash_table_get_keys (rules), (GCompareFunc)strcmp);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  for (const GList *item = keys; item; item = item->next)
    {
      const char *key = item->data;
      const GuardChain *chain = g_hash_table_lookup (rules, key);
      Check check = { .sum = sum };
      g_autofree char *head = g_strdup_printf ("%s %d\n", key, chain->hook);

      if (!strstr (key, "/libsandbox/"))
        continue;
      g_checksum_update (sum, (const guchar *)head, -1);
      for (guint j = 0; j < chain->rules->len; j++)
        add_rule (&check, chain->rules->pdata[j]);
    }
  return g_strdup (g_checksum_get_string (sum));
}
