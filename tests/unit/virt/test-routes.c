// SPDX-License-Identifier: LGPL-2.1-or-later
// Which networks the host uses, from recorded texts and from broken ones.

#include <string.h>
#include "virt/virt-private.h"

#define HEADING                                                                                    \
  "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

/* The addresses are written in the byte order of the machine that recorded them. */
#if G_BYTE_ORDER == G_LITTLE_ENDIAN

/* A host with a VPN, libvirt's default network, Docker and a blackhole route; padded as the kernel
 * does it. */
static const char recorded[] = HEADING
    "wlp3s0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0                     \n"
    "tun0\t0000000A\t0100080A\t0003\t0\t0\t50\t000000FF\t0\t0\t0                          \n"
    "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0                        \n"
    "virbr0\t007AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0                         \n"
    "wlp3s0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0                       \n"
    "wlp3s0\t0101A8C0\t00000000\t0005\t0\t0\t600\tFFFFFFFF\t0\t0\t0                       \n"
    "*\t0064C8C6\t00000000\t0200\t0\t0\t0\t00FFFFFF\t0\t0\t0                              \n"
    "vms0123456789\t0801D50A\t00000000\t0001\t0\t0\t0\tF8FFFFFF\t0\t0\t0                  \n";

static const char *const expected[] = {
  "10.0.0.0/8 tun0",
  "172.17.0.0/16 docker0",
  "192.168.122.0/24 virbr0",
  "192.168.1.0/24 wlp3s0",
  "192.168.1.1/32 wlp3s0",
  "198.200.100.0/24 ",
  "10.213.1.8/29 vms0123456789",
};

#endif

static void
check_nets (SandboxFacts *facts, const char *const *wanted, gsize n_wanted)
{
  for (guint i = 0; i < facts->used_nets->len; i++)
    {
      SandboxUsedNet *net = facts->used_nets->pdata[i];
      g_autofree char *address = sandbox_address_format (net->cidr.address);
      g_autofree char *text = g_strdup_printf ("%s/%u %s", address, net->cidr.bits, net->device);

      g_assert_cmpuint (i, <, n_wanted);
      g_assert_cmpstr (text, ==, wanted[i]);
    }
  g_assert_cmpuint (facts->used_nets->len, ==, n_wanted);
}

static void
test_recorded (void)
{
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();

  _sandbox_virt_read_routes (facts, recorded);
  check_nets (facts, expected, G_N_ELEMENTS (expected));
#else
  g_test_skip ("recorded on a little-endian machine");
#endif
}

static void
test_neighbours (void)
{
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
  static const char *const wanted[] = { "192.168.1.1/32", "10.8.0.1/32", "192.168.1.0/24",
                                        "192.168.1.1/32" };
  g_autoptr (GPtrArray) nets = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) wires = g_hash_table_new (g_str_hash, g_str_equal);

  g_hash_table_add (wires, (gpointer) "wlp3s0");
  _sandbox_virt_read_neighbours (nets, recorded, wires);
  g_assert_cmpuint (nets->len, ==, G_N_ELEMENTS (wanted));
  for (guint i = 0; i < nets->len; i++)
    g_assert_cmpstr (nets->pdata[i], ==, wanted[i]);
#else
  g_test_skip ("recorded on a little-endian machine");
#endif
}

static void
test_own (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autofree char *text = NULL;
  guint lines = 0;

  g_assert_true (g_file_get_contents ("/proc/net/route", &text, NULL, NULL));
  _sandbox_virt_read_routes (facts, text);
  for (const char *p = text; *p; p++)
    lines += *p == '\n';
  g_assert_cmpuint (facts->used_nets->len, <, lines);
}

static void
test_broken_routes (void)
{
  static const char *const texts[] = {
    "",
    "\n",
    HEADING,
    HEADING "eth0\n",
    HEADING "eth0\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\n",
    HEADING "eth0\tXXXXXXXX\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
    HEADING "eth0\t000000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n",
    // a mask with a hole
    HEADING "eth0\t0000000A\t00000000\t0001\t0\t0\t0\tFF00FFFF\t0\t0\t0\n",
    HEADING "eth0\t0000000A\t00000000\t0001\t0\t0\t0",
    // no heading: the first line is taken for one
    "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (SandboxFacts) facts = sandbox_facts_new ();

      _sandbox_virt_read_routes (facts, texts[i]);
      g_assert_cmpuint (facts->used_nets->len, ==, 0);
    }
}

static void
test_random_routes (void)
{
  static const char alphabet[] = "0123456789ABCDEFx\t\n *eth-";

  for (int i = 0; i < 2000; i++)
    {
      g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
      g_autoptr (GPtrArray) nets = g_ptr_array_new_with_free_func (g_free);
      g_autoptr (GHashTable) wires = g_hash_table_new (g_str_hash, g_str_equal);
      g_autoptr (GString) text = g_string_new (HEADING);
      int length = g_test_rand_int_range (0, 300);

      for (int j = 0; j < length; j++)
        g_string_append_c (text, alphabet[g_test_rand_int_range (0, sizeof alphabet - 1)]);
      _sandbox_virt_read_routes (facts, text->str);
      _sandbox_virt_read_neighbours (nets, text->str, wires);
      for (guint j = 0; j < facts->used_nets->len; j++)
        {
          SandboxUsedNet *net = facts->used_nets->pdata[j];

          g_assert_cmpuint (net->cidr.bits, >, 0);
          g_assert_cmpuint (net->cidr.bits, <=, 32);
        }
    }
}

static void
test_networks (void)
{
  static const char xml[] = "<network><name>n</name><bridge name='virbr7'/>"
                            "<ip address='192.168.122.1' netmask='255.255.255.0'/>"
                            "<ip address='10.9.8.1' prefix='29'/>"
                            "<ip address='10.9.9.1'/>"
                            "<ip family='ipv6' address='2001:db8::1' prefix='64'/>"
                            "<ip address='10.9.10.1' netmask='255.0.255.0'/>"
                            "<ip address='bad' prefix='24'/>"
                            "<route address='10.20.0.0' prefix='16' gateway='192.168.122.9'/>"
                            "</network>";
  static const char *const wanted[] = { "192.168.122.0/24 virbr7", "10.9.8.0/29 virbr7",
                                        "10.0.0.0/8 virbr7", "10.0.0.0/8 virbr7",
                                        "10.20.0.0/16 virbr7" };
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_read_network_nets (facts, xml, &error));
  g_assert_no_error (error);
  check_nets (facts, wanted, G_N_ELEMENTS (wanted));
}

static void
test_networks_without_bridge (void)
{
  static const char *const wanted[] = { "10.9.8.0/29 " };
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_read_network_nets (
      facts, "<network><name>n</name><forward mode='bridge'/></network>", &error));
  g_assert_cmpuint (facts->used_nets->len, ==, 0);
  g_assert_true (_sandbox_virt_read_network_nets (
      facts, "<network><ip address='10.9.8.7' prefix='29'/></network>", &error));
  check_nets (facts, wanted, G_N_ELEMENTS (wanted));
  g_assert_false (_sandbox_virt_read_network_nets (facts, "<network><ip", &error));
  g_assert_nonnull (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virt/routes/recorded", test_recorded);
  g_test_add_func ("/virt/routes/neighbours", test_neighbours);
  g_test_add_func ("/virt/routes/own", test_own);
  g_test_add_func ("/virt/routes/broken", test_broken_routes);
  g_test_add_func ("/virt/routes/random", test_random_routes);
  g_test_add_func ("/virt/routes/networks", test_networks);
  g_test_add_func ("/virt/routes/networks-without-bridge", test_networks_without_bridge);
  return g_test_run ();
}
