// SPDX-License-Identifier: LGPL-2.1-or-later
// The kernel's packet filter rules over netlink: no program is run, and only the tables that
// matter are read, so that a host with many rules costs little.
#include "guard.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#define TRIES_MAX 8
/* messages taken at once: there may be more than we can ever read, and one is as good as a thousand
 */
#define DRAIN_MAX  256
#define BUFFER     (64 * 1024)
#define CHAINS_MAX 20000
#define RULES_MAX  200000

static const struct
{
  guint8 family;
  const char *name, *table;
} tables[] = {
  { NFPROTO_BRIDGE, "bridge", "nat" },    { NFPROTO_IPV4, "ip", "filter" },
  { NFPROTO_IPV4, "ip", "nat" },          { NFPROTO_IPV4, "ip", "libvirt_network" },
  { NFPROTO_INET, "inet", "libsandbox" }, { NFPROTO_ARP, "arp", "libsandbox" },
};

struct _GuardKernel
{
  struct mnl_socket *events, *ask;
  guint32 sequence;
  char buffer[BUFFER]; /* one answer of the kernel's is not larger than it may be */
  guint32 generation;  /* of the rules, when they were last asked about */
};

static void
rule_free (gpointer data)
{
  GuardRule *rule = data;

  g_free (rule->target);
  g_byte_array_unref (rule->raw);
  g_free (rule);
}

static void
chain_free (gpointer data)
{
  GuardChain *chain = data;

  g_ptr_array_unref (chain->rules);
  g_free (chain);
}

gboolean
guard_rule_has (const GuardRule *rule, gconstpointer bytes, gsize length)
{
  return memmem (rule->raw->data, rule->raw->len, bytes, length) != NULL;
}

/* --- attributes: what the kernel writes is well-formed, but is checked all the same */

typedef struct
{
  const char *data;
  gsize length;
} Bytes;

static Bytes
message (const struct nlmsghdr *header)
{
  gsize skip = NLMSG_ALIGN (sizeof (struct nfgenmsg)), length = mnl_nlmsg_get_payload_len (header);

  return (Bytes){ (const char *)mnl_nlmsg_get_payload (header) + skip,
                  length > skip ? length - skip : 0 };
}

/* The first attribute, or the one after @last; NULL at the end. */
static const struct nlattr *
next (Bytes bytes, const struct nlattr *last)
{
  const struct nlattr *attr =
      last ? mnl_attr_next (last) : (const struct nlattr *)(gconstpointer)bytes.data;

  return mnl_attr_ok (attr, (int)(bytes.data + bytes.length - (const char *)attr)) ? attr : NULL;
}

static Bytes
content (const struct nlattr *attr)
{
  if (!attr)
    return (Bytes){ "", 0 };
  return (Bytes){ mnl_attr_get_payload (attr), mnl_attr_get_payload_len (attr) };
}

static Bytes
find (Bytes bytes, guint16 type)
{
  const struct nlattr *attr = NULL;

  while ((attr = next (bytes, attr)))
    if (mnl_attr_get_type (attr) == type)
      return content (attr);
  return (Bytes){ "", 0 };
}

/* "" when there is none. */
static const char *
find_text (Bytes bytes, guint16 type)
{
  Bytes text = find (bytes, type);

  return text.length > 0 && text.data[text.length - 1] == '\0' ? text.data : "";
}

static guint32
find_number (Bytes bytes, guint16 type, guint32 otherwise)
{
  Bytes number = find (bytes, type);
  guint32 value;

  if (number.length != sizeof value)
    return otherwise;
  memcpy (&value, number.data, sizeof value);
  return ntohl (value);
}

/* --- asking */

typedef struct
{
  GuardRules *rules;
  const char *family, *table;
  guint8 family_number;
  guint32 generation;
  gboolean dormant;
  guint count;
} Answer;
typedef void (*AnswerFunc) (Bytes bytes, Answer *answer);

/* Goes through the messages in @buffer. 1: more is to come, 0: that was all, -1: the kernel
 * refused. A part that came while rules changed (NLM_F_DUMP_INTR) is taken as it is: who asks
 * compares generations. */
static int
read_messages (GuardKernel *kernel, const char *buffer, int length, AnswerFunc func, Answer *answer)
{
  const struct nlmsghdr *header = (const struct nlmsghdr *)(gconstpointer)buffer;

  for (; mnl_nlmsg_ok (header, length); header = mnl_nlmsg_next (header, &length))
    {
      if (header->nlmsg_seq != kernel->sequence)
        continue;
      if (header->nlmsg_type == NLMSG_DONE)
        return 0;
      if (header->nlmsg_type == NLMSG_ERROR)
        {
          const struct nlmsgerr *why = mnl_nlmsg_get_payload (header);

          errno = -why->error;
          return why->error == 0 ? 0 : -1;
        }
      func (message (header), answer);
      if (!(header->nlmsg_flags & NLM_F_MULTI))
        return 0;
    }
  return 1;
}

/* FALSE: errno says why not. */
static gboolean
ask (GuardKernel *kernel, guint type, guint8 family, const char *table, AnswerFunc func,
     Answer *answer)
{
  struct nlmsghdr *header = mnl_nlmsg_put_header (kernel->buffer);
  struct nfgenmsg *extra;
  gboolean all = type != NFT_MSG_GETGEN;
  int result = 1;

  header->nlmsg_type = (guint16)(NFNL_SUBSYS_NFTABLES << 8 | type);
  header->nlmsg_flags = (guint16)(NLM_F_REQUEST | (all ? NLM_F_DUMP : 0));
  header->nlmsg_seq = ++kernel->sequence;
  extra = mnl_nlmsg_put_extra_header (header, sizeof *extra);
  extra->nfgen_family = family;
  extra->version = NFNETLINK_V0;
  if (table)
    mnl_attr_put_strz (header, NFTA_RULE_TABLE, table);
  if (mnl_socket_sendto (kernel->ask, header, header->nlmsg_len) < 0)
    return FALSE;
  while (result > 0)
    {
      ssize_t n = mnl_socket_recvfrom (kernel->ask, kernel->buffer, BUFFER);

      if (n < 0)
        return FALSE;
      result = read_messages (kernel, kernel->buffer, (int)n, func, answer);
    }
  return result == 0;
}

/* --- answers */

static void
on_generation (Bytes bytes, Answer *answer)
{
  answer->generation = find_number (bytes, NFTA_GEN_ID, 0);
}

static guint32
read_generation (GuardKernel *kernel)
{
  Answer answer = { 0 };

  return ask (kernel, NFT_MSG_GETGEN, NFPROTO_UNSPEC, NULL, on_generation, &answer)
             ? answer.generation
             : 0;
}

static void
on_table (Bytes bytes, Answer *answer)
{

  if (g_str_equal (find_text (bytes, NFTA_TABLE_NAME), answer->table)
      && find_number (bytes, NFTA_TABLE_FLAGS, 0) & NFT_TABLE_F_DORMANT)
    answer->dormant = TRUE;
}

static GuardChain *
get_chain (Answer *answer, const char *name)
{
  g_autofree char *key = g_strjoin ("/", answer->family, answer->table, name, NULL);
  GuardChain *chain = g_hash_table_lookup (answer->rules, key);

  if (!chain)
    {
      chain = g_new0 (GuardChain, 1);
      chain->hook = -1;
      chain->rules = g_ptr_array_new_with_free_func (rule_free);
      g_hash_table_insert (answer->rules, g_steal_pointer (&key), chain);
    }
  return chain;
}

static void
on_chain (Bytes bytes, Answer *answer)
{
  Bytes hook = find (bytes, NFTA_CHAIN_HOOK);

  if (!g_str_equal (find_text (bytes, NFTA_CHAIN_TABLE), answer->table)
      || ++answer->count > CHAINS_MAX)
    return;
  get_chain (answer, find_text (bytes, NFTA_CHAIN_NAME))->hook =
      (int)find_number (hook, NFTA_HOOK_HOOKNUM, G_MAXUINT32);
}

static void
read_verdict (GuardRule *rule, Bytes data)
{
  Bytes verdict = find (find (data, NFTA_IMMEDIATE_DATA), NFTA_DATA_VERDICT);
  gint32 code = (gint32)find_number (verdict, NFTA_VERDICT_CODE, (guint32)NFT_CONTINUE);

  if (code == NFT_JUMP || code == NFT_GOTO)
    {
      g_free (rule->target);
      rule->target = g_strdup (find_text (verdict, NFTA_VERDICT_CHAIN));
    }
  rule->leaves |= code == NFT_GOTO || code == NFT_RETURN;
  if ((code & NF_VERDICT_MASK) == NF_ACCEPT && code >= 0)
    rule->accept = TRUE;
}

/* The number of a set that has no name of its own is another one after each load. */
static void
add_lookup (GuardRule *rule, Bytes data)
{
  const struct nlattr *attr = NULL;

  while ((attr = next (data, attr)))
    if (mnl_attr_get_type (attr) != NFTA_LOOKUP_SET
        || !(g_str_has_prefix (mnl_attr_get_str (attr), "__set")
             || g_str_has_prefix (mnl_attr_get_str (attr), "__map")))
      g_byte_array_append (rule->raw, (const guint8 *)attr, mnl_attr_get_len (attr));
  /* a map of verdicts: it may accept */
  if (find_number (data, NFTA_LOOKUP_DREG, G_MAXUINT32) == NFT_REG_VERDICT)
    rule->accept = TRUE;
}

/* A target of xtables'. Of those of ebtables all but the ones that only watch may accept: mark,
 * snat, redirect and the like do it unless they are told something else. */
static gboolean
target_may_accept (guint8 family, const char *target)
{
  if (family == NFPROTO_BRIDGE)
    return !g_str_equal (target, "log") && !g_str_equal (target, "nflog");
  return g_str_equal (target, "NFQUEUE");
}

static void
add_expression (GuardRule *rule, guint8 family, Bytes expression)
{
  const char *name = find_text (expression, NFTA_EXPR_NAME);
  Bytes data = find (expression, NFTA_EXPR_DATA);

  g_byte_array_append (rule->raw, (const guint8 *)name, (guint)strlen (name) + 1);
  rule->bare &= g_str_equal (name, "counter") || g_str_equal (name, "immediate");
  if (g_str_equal (name, "immediate"))
    read_verdict (rule, data);
  if (g_str_equal (name, "lookup"))
    add_lookup (rule, data);
  /* the name of a chain is no name of an interface that the rule looks at */
  else if (!g_str_equal (name, "counter") && !(g_str_equal (name, "immediate") && rule->target))
    g_byte_array_append (rule->raw, (const guint8 *)data.data, (guint)data.length);
  if (g_str_equal (name, "queue")
      || (g_str_equal (name, "target")
          && target_may_accept (family, find_text (data, NFTA_TARGET_NAME))))
    rule->accept = TRUE;
}

static void
on_rule (Bytes bytes, Answer *answer)
{
  Bytes expressions = find (bytes, NFTA_RULE_EXPRESSIONS);
  const struct nlattr *attr = NULL;
  GuardRule *rule;

  if (!g_str_equal (find_text (bytes, NFTA_RULE_TABLE), answer->table)
      || ++answer->count > RULES_MAX)
    return;
  rule = g_new0 (GuardRule, 1);
  rule->raw = g_byte_array_new ();
  rule->bare = TRUE;
  while ((attr = next (expressions, attr)))
    add_expression (rule, answer->family_number, content (attr));
  g_ptr_array_add (get_chain (answer, find_text (bytes, NFTA_RULE_CHAIN))->rules, rule);
}

static gboolean
read_tables (GuardKernel *kernel, GuardRules *rules)
{
  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++)
    {
      guint8 family = tables[i].family;
      Answer answer = {
        .rules = rules, .family = tables[i].name, .table = tables[i].table, .family_number = family
      };

      /* a sleeping table has no effect: as if it were not there */
      if (!ask (kernel, NFT_MSG_GETTABLE, family, NULL, on_table, &answer))
        return FALSE;
      if (answer.dormant)
        {
          get_chain (&answer, GUARD_DORMANT);
          continue;
        }
      if (!ask (kernel, NFT_MSG_GETCHAIN, family, NULL, on_chain, &answer))
        return FALSE;
      answer.count = 0;
      if (!ask (kernel, NFT_MSG_GETRULE, family, answer.table, on_rule, &answer) && errno != ENOENT)
        return FALSE;
    }
  return TRUE;
}

/* While somebody changes rules without pause, the last try counts: at worst something that was
 * there all the time seems to be missing, which does no harm. */
GuardRules *
guard_kernel_rules (GuardKernel *kernel)
{
  g_autoptr (GHashTable) rules = NULL;

  for (guint i = 0; i < TRIES_MAX; i++)
    {
      guint32 before = read_generation (kernel);

      g_clear_pointer (&rules, g_hash_table_unref);
      rules = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, chain_free);
      if (read_tables (kernel, rules) && read_generation (kernel) == before)
        return g_steal_pointer (&rules);
    }
  return g_steal_pointer (&rules);
}

/* --- events */

static struct mnl_socket *
open_socket (guint groups, GError **error)
{
  struct mnl_socket *opened = mnl_socket_open2 (NETLINK_NETFILTER, SOCK_CLOEXEC);

  if (opened && mnl_socket_bind (opened, groups, MNL_SOCKET_AUTOPID) == 0)
    return opened;
  sandbox_fail_errno (error, errno, "asking the kernel for its packet filter rules");
  if (opened)
    mnl_socket_close (opened);
  return NULL;
}

GuardKernel *
guard_kernel_open (GError **error)
{
  GuardKernel *kernel = g_new0 (GuardKernel, 1);

  kernel->sequence = (guint32)g_get_real_time ();
  kernel->ask = open_socket (0, error);
  kernel->events = kernel->ask ? open_socket (1U << (NFNLGRP_NFTABLES - 1), error) : NULL;
  if (kernel->events)
    return kernel;
  guard_kernel_close (kernel);
  return NULL;
}

void
guard_kernel_close (GuardKernel *kernel)
{
  if (kernel->ask)
    mnl_socket_close (kernel->ask);
  if (kernel->events)
    mnl_socket_close (kernel->events);
  g_free (kernel);
}

int
guard_kernel_fd (GuardKernel *kernel)
{
  return mnl_socket_get_fd (kernel->events);
}

/* What a message says does not matter, nor how many were lost (ENOBUFS): all is read again. */
static gboolean
drain (GuardKernel *kernel)
{
  char buffer[64];
  gboolean any = FALSE;

  for (guint i = 0; i < DRAIN_MAX; i++)
    {
      if (recv (guard_kernel_fd (kernel), buffer, sizeof buffer, MSG_DONTWAIT) < 0
          && errno != ENOBUFS)
        break;
      any = TRUE;
    }
  return any;
}

gboolean
guard_kernel_changed (GuardKernel *kernel)
{
  gboolean any = drain (kernel);
  guint32 generation = read_generation (kernel);

  any |= generation == 0 || generation != kernel->generation;
  kernel->generation = generation;
  return any;
}
