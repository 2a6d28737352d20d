// SPDX-License-Identifier: LGPL-2.1-or-later
// The choice of a subnet: stable, inside our ranges, never on top of anything in use.
#include "plan/plan-internal.h"

#include <sandbox/error.h>

static const SandboxDerived derived = { .bridge = "vms0123456789", .position = 8190 };

static void
use (SandboxFacts *facts, const char *cidr, const char *device)
{
  SandboxCidr net;

  g_assert_true (sandbox_cidr_parse (cidr, &net, NULL));
  sandbox_facts_add_net (facts, &net, device);
}

static char *
choose (const SandboxFacts *facts, const char *current)
{
  SandboxCidr subnet = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree char *address = NULL;

  _sandbox_subnet_choose (facts, &derived, current, &subnet, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (subnet.bits, ==, 29);
  address = sandbox_address_format (subnet.address);
  return g_strdup (address);
}

static void
assert_chosen (const SandboxFacts *facts, const char *current, const char *expected)
{
  g_autofree char *chosen = choose (facts, current);

  g_assert_cmpstr (chosen, ==, expected);
}

static void
test_probing (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();

  assert_chosen (facts, NULL, "10.213.255.240");
  use (facts, "10.213.255.242/32", "eth0");
  assert_chosen (facts, NULL, "10.213.255.248");
  use (facts, "10.213.255.248/29", "vmsffffffffff");
  /* on from the start of the range */
  assert_chosen (facts, NULL, "10.213.0.0");
  use (facts, "10.213.0.0/24", "br0");
  assert_chosen (facts, NULL, "10.213.1.0");
}

static void
test_own_bridge (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();

  use (facts, "10.213.255.240/29", derived.bridge);
  assert_chosen (facts, NULL, "10.213.255.240");
  assert_chosen (facts, "10.213.255.240/29", "10.213.255.240");
}

static void
test_default_route (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();

  use (facts, "0.0.0.0/0", "eth0");
  assert_chosen (facts, NULL, "10.213.255.240");
  /* the same in two halves, as VPNs write it to win over the real one */
  use (facts, "0.0.0.0/1", "tun0");
  use (facts, "128.0.0.0/1", "tun0");
  assert_chosen (facts, NULL, "10.213.255.240");
}

static void
test_keeps (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();

  assert_chosen (facts, "10.213.7.8/29", "10.213.7.8");
  assert_chosen (facts, "172.29.7.8/29", "172.29.7.8");
  /* what nobody of ours has chosen */
  assert_chosen (facts, "10.213.7.9/29", "10.213.255.240");
  assert_chosen (facts, "10.213.7.0/24", "10.213.255.240");
  assert_chosen (facts, "192.168.7.8/29", "10.213.255.240");
  assert_chosen (facts, "rubbish", "10.213.255.240");
  use (facts, "10.213.7.0/24", "wlan0");
  assert_chosen (facts, "10.213.7.8/29", "10.213.255.240");
}

static void
test_vpn_takes_all (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (GError) error = NULL;
  SandboxCidr subnet = { 1, 2 };

  use (facts, "10.0.0.0/8", "tun0");
  assert_chosen (facts, NULL, "172.29.255.240");
  assert_chosen (facts, "10.213.7.8/29", "172.29.255.240");
  use (facts, "172.16.0.0/12", "tun1");
  g_assert_false (_sandbox_subnet_choose (facts, &derived, NULL, &subnet, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
  g_assert_nonnull (strstr (error->message, "172.16.0.0/12 on tun1"));
  g_assert_cmpuint (subnet.address, ==, 1);
}

/* Every machine of a host in turn: none overlaps another, and none moves when it is planned again.
 */
static void
test_many (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < 1500; i++)
    {
      g_autofree char *name = g_strdup_printf ("machine-%u", i);
      g_autofree char *address = NULL, *current = NULL;
      g_autoptr (GError) error = NULL;
      SandboxDerived own;
      SandboxCidr subnet, again;

      _sandbox_identity_derive (1000, "vms", name, &own);
      _sandbox_subnet_choose (facts, &own, NULL, &subnet, &error);
      g_assert_no_error (error);
      address = sandbox_address_format (subnet.address);
      g_assert_true (g_str_has_prefix (address, "10.213."));
      current = g_strdup_printf ("%s/29", address);
      g_assert_true (g_hash_table_add (seen, g_strdup (address)));
      sandbox_facts_add_net (facts, &subnet, own.bridge);
      _sandbox_subnet_choose (facts, &own, current, &again, &error);
      g_assert_no_error (error);
      g_assert_cmphex (again.address, ==, subnet.address);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/subnet/probing", test_probing);
  g_test_add_func ("/subnet/own-bridge", test_own_bridge);
  g_test_add_func ("/subnet/default-route", test_default_route);
  g_test_add_func ("/subnet/keeps", test_keeps);
  g_test_add_func ("/subnet/vpn-takes-all", test_vpn_takes_all);
  g_test_add_func ("/subnet/many", test_many);
  return g_test_run ();
}
