// SPDX-License-Identifier: LGPL-2.1-or-later
// What the guard calls complete, and what not: rules as libvirt makes them, and rules of others
// before them, in the kernel of this host but in a network namespace of this test's own.
#include "guard.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* as libvirt 9.0 makes them, for two machines; the other one's stand first */
static const char base[] =
    "nft flush ruleset\n"
    "for chain in libvirt-in libvirt-out libvirt-in-post libvirt-host-in; do iptables -N $chain; "
    "done\n"
    "for chain in libvirt-in libvirt-out libvirt-in-post; do iptables -A FORWARD -j $chain; done\n"
    "iptables -A INPUT -j libvirt-host-in\n"
    "for tap in vnet1 vnet0; do\n"
    "  for chain in FI FO HI; do\n"
    "    iptables -N $chain-$tap\n"
    "    iptables -A $chain-$tap -p tcp -m conntrack --ctstate ESTABLISHED -j RETURN\n"
    "    iptables -A $chain-$tap -j DROP\n"
    "  done\n"
    "  iptables -A libvirt-in -m physdev --physdev-in $tap -g FI-$tap\n"
    "  iptables -A libvirt-out -m physdev --physdev-out $tap --physdev-is-bridged -g FO-$tap\n"
    "  iptables -A libvirt-in-post -m physdev --physdev-in $tap -j ACCEPT\n"
    "  iptables -A libvirt-host-in -m physdev --physdev-in $tap -g HI-$tap\n"
    "  for way in I:PREROUTING:-i O:POSTROUTING:-o; do\n"
    "    IFS=: read -r letter hook option <<END\n$way\nEND\n"
    "    ebtables -t nat -N libvirt-$letter-$tap\n"
    "    ebtables -t nat -A libvirt-$letter-$tap -p 0x88cc -j DROP\n"
    "    ebtables -t nat -A $hook $option $tap -j libvirt-$letter-$tap\n"
    "  done\n"
    "done\n";

/* as of domains/host/ports.nft, shorter */
#define PORTS                                                                                      \
  "table inet libsandbox { chain ports { type filter hook prerouting priority -400; "              \
  "iifname \"vnet*\" drop; }; chain host { type filter hook input priority -10; drop; }; }; "      \
  "table arp libsandbox { chain ports { type filter hook input priority -400; "                    \
  "iifname \"vnet*\" drop; }; }"

static gboolean
shell (const char *script)
{
  const char *argv[] = { "sh", "-ec", script, NULL };
  g_autofree char *complaint = NULL;
  int status = 0;

  if (!g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
                     NULL, NULL, NULL, &complaint, &status, NULL))
    return FALSE;
  if (status != 0)
    g_test_message ("%s: %s", script, complaint);
  return status == 0;
}

static GuardCard *
card_new (void)
{
  GuardCard *card = g_new0 (GuardCard, 1);

  card->tap = g_strdup ("vnet0");
  card->filter = g_strdup ("filter");
  for (guint i = 0; i < GUARD_CHAINS; i++)
    card->expected[i] = -1;
  return card;
}

/* What is missing, to a card that was complete, after @script. */
static guint
lost_after (GuardKernel *kernel, const char *script, char **ret_why)
{
  GuardCard *card = card_new ();
  g_autofree char *before_why = NULL;
  guint before, lost;

  g_assert_true (shell (base));
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GHashTable) rules = guard_kernel_rules (kernel);
      char **why = i == 0 ? &before_why : ret_why;
      guint *result = i == 0 ? &before : &lost;

      *result = guard_card_check (card, rules, why);
      if (i == 0)
        g_assert_true (shell (script));
    }
  guard_card_free (card);
  g_assert_cmpstr (before_why, ==, NULL);
  g_assert_cmpuint (before, ==, 0);
  return lost;
}

static void
test_ways_past (gconstpointer data)
{
  static const char *const scripts[] = {
    "nft insert rule ip filter FORWARD accept",
    "iptables -I FORWARD -i br0 -j ACCEPT",
    "iptables -I FORWARD -j RETURN",
    "iptables -I FORWARD -i br0 -j RETURN",
    "iptables -I FORWARD 2 -j RETURN",
    "iptables -I INPUT -j RETURN",
    "iptables -I libvirt-in -j RETURN",
    "iptables -I libvirt-in -p tcp -j RETURN",
    "iptables -A libvirt-in -j ACCEPT",
    "iptables -I libvirt-out -j RETURN",
    "iptables -I libvirt-host-in -j RETURN",
    "iptables -N X; iptables -I FORWARD -g X",
    "iptables -N X; iptables -I libvirt-in -g X",
    "iptables -N X; iptables -N Y; iptables -A Y -j ACCEPT; iptables -A X -g Y; "
    "iptables -I FORWARD -j X",
    "iptables -I libvirt-in -g FI-vnet1",
    "iptables -I libvirt-in -p tcp -g FI-vnet1",
    "iptables -I FORWARD -j libvirt-in-post",
    "iptables -I FORWARD -p tcp -j libvirt-in; iptables -D FORWARD -j libvirt-in",
    "iptables -I FORWARD -j NFQUEUE --queue-num 7",
    "ebtables -t nat -I PREROUTING -j RETURN",
    "ebtables -t nat -I POSTROUTING -j RETURN",
    "ebtables -t nat -I PREROUTING -j mark --mark-set 1",
    "ebtables -t nat -I PREROUTING -j redirect",
    "ebtables -t nat -I POSTROUTING -j snat --to-source 02:00:00:00:00:01",
    "ebtables -t nat -N X -P RETURN; ebtables -t nat -A X -j mark --mark-set 1; "
    "ebtables -t nat -I PREROUTING -j X",
    "ebtables -t nat -I PREROUTING -j libvirt-I-vnet1; "
    "ebtables -t nat -A libvirt-I-vnet1 -j ACCEPT",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (scripts); i++)
    {
      g_autofree char *why = NULL;
      guint lost = lost_after ((GuardKernel *)data, scripts[i], &why);

      g_test_message ("%s: %s", scripts[i], why ? why : "complete");
      if (lost != GUARD_LOST_FILTER || !why)
        g_test_fail_printf ("%s: complete", scripts[i]);
    }
}

static void
test_harmless (gconstpointer data)
{
  static const char *const scripts[] = {
    "iptables -I FORWARD -j DROP; iptables -D FORWARD -j DROP",
    "iptables -A FORWARD -j RETURN; iptables -A FORWARD -j ACCEPT",
    "iptables -I FORWARD -m limit --limit 1/s -j LOG; iptables -I FORWARD -p tcp -j DROP",
    "iptables -I FORWARD -j MARK --set-mark 1",
    /* Docker's */
    "iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; "
    "iptables -N DOCKER-ISOLATION-STAGE-2; "
    "iptables -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP; "
    "iptables -A DOCKER-ISOLATION-STAGE-2 -j RETURN; iptables -N DOCKER-ISOLATION-STAGE-1; "
    "iptables -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2; "
    "iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN; "
    "iptables -I FORWARD -j DOCKER-ISOLATION-STAGE-1; iptables -I FORWARD -j DOCKER-USER",
    "iptables -N DOCKER-USER; iptables -N DOCKER-FORWARD; "
    "iptables -A DOCKER-FORWARD -i docker0 -o docker0 -j ACCEPT; "
    "iptables -A FORWARD -j DOCKER-FORWARD; iptables -I FORWARD -j DOCKER-USER",
    /* ufw's, firewalld's */
    "iptables -N ufw-logging; iptables -A ufw-logging -p udp -j RETURN; "
    "iptables -A ufw-logging -j LOG; iptables -N ufw-before; iptables -A ufw-before -g "
    "ufw-logging; "
    "iptables -I FORWARD -j ufw-before; iptables -I INPUT -j ufw-before",
    /* other machines', as they come and go */
    "iptables -N FI-vnet9; iptables -A FI-vnet9 -j RETURN; "
    "iptables -I libvirt-in -m physdev --physdev-in vnet9 -g FI-vnet9",
    "iptables -N HJ-vnet9; iptables -A HJ-vnet9 -j ACCEPT; "
    "iptables -I libvirt-host-in -m physdev --physdev-in vnet9 -g HJ-vnet9",
    "ebtables -t nat -N libvirt-J-vnet9; ebtables -t nat -A libvirt-J-vnet9 -j ACCEPT; "
    "ebtables -t nat -I PREROUTING -i vnet9 -j libvirt-J-vnet9",
    "ebtables -t nat -N X -P RETURN; ebtables -t nat -A X -j RETURN; "
    "ebtables -t nat -I PREROUTING -j X",
    "ebtables -t nat -I PREROUTING -p 0x88cc --log -j CONTINUE",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (scripts); i++)
    {
      g_autofree char *why = NULL;
      guint lost = lost_after ((GuardKernel *)data, scripts[i], &why);

      if (lost != 0 || why)
        g_test_fail_printf ("%s: %s", scripts[i], why);
    }
}

/* libvirt's own way to move its jumps to the front, step by step; and what only looks like it. */
static void
test_jumps (gconstpointer data)
{
  static const struct
  {
    const char *script;
    guint lost;
  } cases[] = {
    { "iptables -D FORWARD -j libvirt-in", GUARD_LOST_JUMPS },
    { "iptables -D FORWARD -j libvirt-in; iptables -D FORWARD -j libvirt-out", GUARD_LOST_JUMPS },
    { "iptables -D FORWARD -j libvirt-in; iptables -D FORWARD -j libvirt-out; "
      "iptables -D FORWARD -j libvirt-in-post; iptables -D INPUT -j libvirt-host-in; "
      "iptables -A FORWARD -j ACCEPT; iptables -A INPUT -j ACCEPT",
      GUARD_LOST_JUMPS },
    { "iptables -F FORWARD; iptables -A FORWARD -j ACCEPT; iptables -I FORWARD -j libvirt-in",
      GUARD_LOST_JUMPS },
    { "iptables -D INPUT -j libvirt-host-in", GUARD_LOST_JUMPS },
    { "iptables -F FORWARD; iptables -A FORWARD -j ACCEPT; iptables -A FORWARD -j libvirt-in",
      GUARD_LOST_FILTER },
    { "iptables -F FORWARD; iptables -A FORWARD -p tcp -j libvirt-in", GUARD_LOST_FILTER },
    { "iptables -D FORWARD -j libvirt-in; iptables -F FI-vnet0", GUARD_LOST_FILTER },
    { "iptables -D FORWARD -j libvirt-in; iptables -R FI-vnet0 2 -j ACCEPT", GUARD_LOST_FILTER },
    { "iptables -D FORWARD -j libvirt-in; iptables -F libvirt-in", GUARD_LOST_FILTER },
    { "iptables -D FORWARD -j libvirt-in; iptables -I libvirt-out -j ACCEPT", GUARD_LOST_FILTER },
    { "iptables -D FORWARD -j libvirt-in; ebtables -t nat -F libvirt-I-vnet0", GUARD_LOST_FILTER },
    { "nft flush table ip filter", GUARD_LOST_FILTER },
    { "nft flush table ip filter; nft delete table ip filter", GUARD_LOST_FILTER },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *why = NULL;
      guint lost = lost_after ((GuardKernel *)data, cases[i].script, &why);

      if (lost != cases[i].lost || !why)
        g_test_fail_printf ("%s: %u: %s", cases[i].script, lost, why ? why : "complete");
    }
}

static gboolean
ports_after (GuardKernel *kernel, GuardWorld *world, const char *script)
{
  g_autoptr (GHashTable) rules = NULL;

  g_assert_true (shell (script));
  rules = guard_kernel_rules (kernel);
  return guard_judge_ports (world, rules);
}

static void
test_ports (gconstpointer data)
{
  GuardKernel *kernel = (GuardKernel *)data;
  GuardWorld world = { 0 };

  /* no ports.nft is on this host */
  g_assert_true (ports_after (kernel, &world, "nft flush ruleset"));
  /* nft failed when the guard started */
  world.ports_take = TRUE;
  g_assert_false (ports_after (kernel, &world, "nft flush ruleset"));
  g_assert_false (ports_after (kernel, &world, "nft flush ruleset"));
  g_assert_true (ports_after (kernel, &world, "nft '" PORTS "'"));
  g_assert_false (world.ports_take);
  g_assert_false (ports_after (kernel, &world, "nft flush chain inet libsandbox host"));
  /* loaded again, and flushed again before anybody looked */
  world.ports_take = TRUE;
  for (guint i = 0; i < 2; i++)
    g_assert_false (ports_after (kernel, &world, "nft flush ruleset"));
  g_assert_false (ports_after (kernel, &world, "nft '" PORTS "'; nft flush table arp libsandbox"));
  g_assert_false (ports_after (kernel, &world,
                               "nft flush ruleset; nft '" PORTS "'; "
                               "nft 'table inet libsandbox { flags dormant; }'"));
  g_assert_true (ports_after (kernel, &world, "nft flush ruleset; nft '" PORTS "'"));
  g_assert_false (ports_after (kernel, &world, "nft delete table arp libsandbox"));
  g_free (world.ports_seen);
}

/* NULL: this process, root in there, has a network of its own. Otherwise why not. */
static const char *
enter_namespace (void)
{
  g_autofree char *users = g_strdup_printf ("0 %u 1", (guint)geteuid ()),
                  *groups = g_strdup_printf ("0 %u 1", (guint)getegid ());

  if (geteuid () == 0)
    return unshare (CLONE_NEWNET) == 0 ? NULL : "no network namespace can be made here";
  if (unshare (CLONE_NEWUSER | CLONE_NEWNET) != 0)
    return "users cannot make a network namespace here";
  for (guint i = 0; i < 3; i++)
    {
      static const char *const files[] = { "setgroups", "uid_map", "gid_map" };
      const char *const texts[] = { "deny", users, groups };
      g_autofree char *path = g_build_filename ("/proc/self", files[i], NULL);
      FILE *file = fopen (path, "we");
      gboolean written = file && fputs (texts[i], file) >= 0;

      if (!file || fclose (file) != 0 || !written)
        return "a user cannot be root in a namespace of theirs here";
    }
  return NULL;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  const char *why = enter_namespace ();
  g_autofree char *path = g_strconcat (g_getenv ("PATH"), ":/usr/sbin:/sbin", NULL);
  GuardKernel *kernel;
  int result;

  g_setenv ("PATH", path, TRUE);
  if (!why && !shell (base))
    why = "nft, iptables-nft or ebtables-nft does not work here";
  if (why)
    {
      printf ("1..0 # SKIP %s\n", why);
      return 0;
    }
  g_test_init (&argc, &argv, NULL);
  kernel = guard_kernel_open (&error);
  g_assert_no_error (error);
  g_test_add_data_func ("/guard/rules/ways-past", kernel, test_ways_past);
  g_test_add_data_func ("/guard/rules/harmless", kernel, test_harmless);
  g_test_add_data_func ("/guard/rules/ports", kernel, test_ports);
  g_test_add_data_func ("/guard/rules/jumps", kernel, test_jumps);
  result = g_test_run ();
  guard_kernel_close (kernel);
  return result;
}
