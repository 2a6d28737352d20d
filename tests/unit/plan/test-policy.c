// SPDX-License-Identifier: LGPL-2.1-or-later
// The network policy: what the list of flows decides, address by address.
#include "support.h"

#include "base/error.h"

#include <string.h>

#define HOST_PUBLIC "203.0.113.9"
#define LAN_NETS    "192.168.7.0/24;198.51.100.64/26;198.51.100.65/32;203.0.113.1/32"

static SandboxPlan *
make_plan (const char *network, GError **error)
{
  g_autofree char *text = g_strconcat ("[profile]\ninherits=base\n[network]\n", network, NULL);
  g_autoptr (SandboxProfile) profile = support_profile (text);
  g_autoptr (SandboxFacts) facts = support_facts ();
  SandboxIdentity identity = support_identity ();

  g_free (facts->host_addresses);
  facts->host_addresses = g_strdup ("192.168.7.5;" HOST_PUBLIC);
  g_free (facts->lan_nets);
  facts->lan_nets = g_strdup (LAN_NETS);
  return _sandbox_plan_resolve (profile, facts, &identity, error);
}

static gboolean
allows (const SandboxPlan *plan, const char *address, SandboxFlowKind kind, guint port)
{
  SandboxCidr to;

  g_assert_true (sandbox_cidr_parse (address, &to, NULL));
  return _sandbox_plan_allows (plan, kind, to.address, (guint16)port);
}

/* The first and the last address of everything that is closed, and those just outside. */
static void
test_closed (void)
{
  static const char *const inside[] = {
    "0.0.0.0",         "0.255.255.255",   "10.0.0.0",        "10.255.255.255", "100.64.0.0",
    "100.127.255.255", "127.0.0.1",       "127.255.255.255", "169.254.0.0",    "169.254.169.254",
    "172.16.0.0",      "172.31.255.255",  "192.0.0.0",       "192.0.0.255",    "192.168.0.0",
    "192.168.255.255", "198.18.0.0",      "198.19.255.255",  "224.0.0.1",      "239.255.255.250",
    "240.0.0.1",       "255.255.255.255", "192.168.7.5",     HOST_PUBLIC,
  };
  static const char *const outside[] = {
    "1.0.0.0",      "9.255.255.255",   "11.0.0.0",        "100.63.255.255", "100.128.0.0",
    "128.0.0.1",    "169.253.255.255", "169.255.0.0",     "172.15.255.255", "172.32.0.0",
    "192.0.1.0",    "192.167.255.255", "192.169.0.0",     "198.17.255.255", "198.20.0.0",
    "198.51.100.7", "203.0.113.8",     "223.255.255.255",
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxPlan) plan = make_plan ("mode=nat\n", &error);

  g_assert_no_error (error);
  for (SandboxFlowKind kind = SANDBOX_FLOW_TCP; kind <= SANDBOX_FLOW_PING; kind++)
    {
      for (gsize i = 0; i < G_N_ELEMENTS (inside); i++)
        g_assert_false (allows (plan, inside[i], kind, 443));
      for (gsize i = 0; i < G_N_ELEMENTS (outside); i++)
        g_assert_true (allows (plan, outside[i], kind, 443));
    }
}

static void
test_gateway (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxPlan) plan = make_plan ("mode=nat\n", &error);
  g_autoptr (SandboxPlan) none = make_plan ("mode=none\n", &error);

  g_assert_no_error (error);
  g_assert_true (allows (plan, plan->gateway, SANDBOX_FLOW_UDP, 53));
  g_assert_true (allows (plan, plan->gateway, SANDBOX_FLOW_TCP, 53));
  g_assert_false (allows (plan, plan->gateway, SANDBOX_FLOW_TCP, 22));
  g_assert_false (allows (plan, plan->gateway, SANDBOX_FLOW_PING, 0));
  g_assert_cmpuint (none->flows->len, ==, 0);
  g_assert_nonnull (strstr (none->policy, "nothing"));
}

static void
test_lists (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxPlan) plan = make_plan (
      "egress=443/tcp;8000-8010/udp\nallow=192.168.7.2:8080/tcp;10.1.0.0/16/udp\n", &error);

  g_assert_no_error (error);
  g_assert_true (allows (plan, "198.51.100.7", SANDBOX_FLOW_TCP, 443));
  g_assert_false (allows (plan, "198.51.100.7", SANDBOX_FLOW_TCP, 444));
  g_assert_false (allows (plan, "198.51.100.7", SANDBOX_FLOW_UDP, 443));
  g_assert_true (allows (plan, "198.51.100.7", SANDBOX_FLOW_UDP, 8010));
  g_assert_false (allows (plan, "198.51.100.7", SANDBOX_FLOW_PING, 0));
  g_assert_true (allows (plan, "192.168.7.2", SANDBOX_FLOW_TCP, 8080));
  g_assert_false (allows (plan, "192.168.7.2", SANDBOX_FLOW_TCP, 443));
  g_assert_false (allows (plan, "192.168.7.3", SANDBOX_FLOW_TCP, 8080));
  g_assert_true (allows (plan, "10.1.255.1", SANDBOX_FLOW_UDP, 9));
  g_assert_false (allows (plan, "10.2.0.1", SANDBOX_FLOW_UDP, 9));
  g_assert_nonnull (strstr (plan->policy, "only 443/tcp, 8000-8010/udp"));
  g_assert_nonnull (strstr (plan->policy, "192.168.7.2:8080/tcp"));
}

/* Where the LAN has public addresses, it is closed all the same, but for what is listed. */
static void
test_public_lan (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxPlan) plan = make_plan ("allow=198.51.100.70:443/tcp\n", &error);
  g_autoptr (SandboxPlan) told = make_plan ("mode=nat\n", &error);
  g_autoptr (SandboxFacts) facts = support_facts ();
  const char *const inside[] = { "198.51.100.64", "198.51.100.127", "203.0.113.1" };
  const char *const outside[] = { "198.51.100.63", "198.51.100.128", "203.0.113.2" };

  g_assert_no_error (error);
  for (SandboxFlowKind kind = SANDBOX_FLOW_TCP; kind <= SANDBOX_FLOW_PING; kind++)
    for (gsize i = 0; i < G_N_ELEMENTS (inside); i++)
      {
        g_assert_false (allows (plan, inside[i], kind, 443));
        g_assert_true (allows (plan, outside[i], kind, 443));
      }
  g_assert_true (allows (plan, "198.51.100.70", SANDBOX_FLOW_TCP, 443));
  g_assert_false (allows (plan, "198.51.100.70", SANDBOX_FLOW_TCP, 80));
  /* what is closed anyway is not closed twice */
  for (guint i = 0; i < plan->flows->len; i++)
    {
      const SandboxCidr *net = &g_array_index (plan->flows, SandboxFlow, i).net;

      g_assert_false (net->address == 0xc0a80700 && net->bits == 24);
      g_assert_false (net->address == 0xc6336441);
    }
  g_assert_nonnull (strstr (told->policy, "no LAN, which here is also 198.51.100.64/26, "
                                          "203.0.113.1/32; not this host"));
  g_assert_null (strstr (told->reaches, "198.51.100"));
  g_free (facts->lan_nets);
  facts->lan_nets = g_strdup (LAN_NETS);
  g_assert_true (_sandbox_policy_closes (facts, &(SandboxCidr){ 0xc6336450, 28 }));
  g_assert_false (_sandbox_policy_closes (facts, &(SandboxCidr){ 0xc6336400, 24 }));
  g_assert_true (_sandbox_policy_closes (facts, &(SandboxCidr){ 0x0a000000, 9 }));
}

/* A network that is allowed opens no service of the host in passing, and nobody can list one. */
static void
test_host_addresses (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxPlan) plan = make_plan ("allow=192.168.7.0/24/tcp\n", &error);
  g_autoptr (SandboxPlan) none = NULL;

  g_assert_no_error (error);
  g_assert_true (allows (plan, "192.168.7.4", SANDBOX_FLOW_TCP, 80));
  g_assert_false (allows (plan, "192.168.7.5", SANDBOX_FLOW_TCP, 80));
  none = make_plan ("allow=192.168.7.5:80/tcp\n", &error);
  g_assert_null (none);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "address of this host"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/policy/closed", test_closed);
  g_test_add_func ("/plan/policy/gateway", test_gateway);
  g_test_add_func ("/plan/policy/lists", test_lists);
  g_test_add_func ("/plan/policy/public-lan", test_public_lan);
  g_test_add_func ("/plan/policy/host-addresses", test_host_addresses);
  return g_test_run ();
}
