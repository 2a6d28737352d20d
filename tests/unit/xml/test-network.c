// SPDX-License-Identifier: LGPL-2.1-or-later
// Network XML: ours says what the plan says, and any of libvirt's is read.
#include "../plan/support.h"

#include "base/xml.h"
#include "xml/xml-private.h"

static void
assert_value (xmlDoc *doc, const char *path, const char *attr, const char *expected)
{
  g_autofree char *value = sandbox_xml_dup (xmlDocGetRootElement (doc), path, attr);

  g_assert_cmpstr (value, ==, expected);
}

static void
test_written (void)
{
  static const struct
  {
    const char *mode, *forward, *dns;
  } rows[] = { { "nat", "nat", NULL }, { "none", NULL, "no" } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *profile =
          g_strdup_printf ("[profile]\ninherits=base\n[network]\nmode=%s\n", rows[i].mode);
      g_autoptr (SandboxPlan) plan = support_plan (profile);
      g_autofree char *text = _sandbox_xml_network (plan);
      g_autoptr (GError) error = NULL;
      g_autoptr (xmlDoc) doc = sandbox_xml_parse ("network", text, &error);
      g_autofree char *bridge = NULL, *mac = NULL;
      SandboxCidr subnet;

      g_assert_no_error (error);
      assert_value (doc, "name", NULL, "vms-1000-work");
      assert_value (doc, "forward", "mode", rows[i].forward);
      assert_value (doc, "dns", "enable", rows[i].dns);
      assert_value (doc, "ip", "address", plan->gateway);
      assert_value (doc, "ip/dhcp", NULL, NULL);
      mac = sandbox_xml_dup (xmlDocGetRootElement (doc), "mac", "address");
      g_assert_cmpstr (mac, !=, plan->mac);
      g_assert_cmpuint (strlen (mac), ==, strlen (plan->mac));
      _sandbox_xml_read_network (text, &subnet, &bridge, &error);
      g_assert_no_error (error);
      g_assert_cmphex (subnet.address, ==, plan->subnet.address);
      g_assert_cmpuint (subnet.bits, ==, 29);
      g_assert_cmpstr (bridge, ==, plan->bridge);
    }
}

static void
test_read (void)
{
  static const struct
  {
    const char *xml, *address;
    guint bits;
    const char *bridge;
  } rows[] = {
    { "<network><bridge name='virbr0'/><ip address='192.168.122.1' netmask='255.255.255.0'/>"
      "</network>",
      "192.168.122.0", 24, "virbr0" },
    { "<network><ip family='ipv6' address='fd00::1' prefix='64'/>"
      "<ip family='ipv4' address='10.1.2.3' prefix='8'/></network>",
      "10.0.0.0", 8, "" },
    { "<network><ip address='10.1.2.3' netmask='0.0.0.0'/></network>", "0.0.0.0", 0, "" },
    { "<network><ip address='10.1.2.3' netmask='255.255.255.255'/></network>", "10.1.2.3", 32, "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *bridge = NULL, *address = NULL;
      g_autoptr (GError) error = NULL;
      SandboxCidr subnet;

      g_assert_true (_sandbox_xml_read_network (rows[i].xml, &subnet, &bridge, &error));
      g_assert_no_error (error);
      address = sandbox_address_format (subnet.address);
      g_assert_cmpstr (address, ==, rows[i].address);
      g_assert_cmpuint (subnet.bits, ==, rows[i].bits);
      g_assert_cmpstr (bridge, ==, rows[i].bridge);
      g_assert_true (_sandbox_xml_read_network (rows[i].xml, NULL, NULL, &error));
    }
}

static void
test_without_address (void)
{
  static const char *const texts[] = {
    "<network><name>n</name></network>",
    "<network><name>n</name><ip address='10.0.0.1' netmask='255.0.255.0'/></network>",
    "<network><name>n</name><ip address='10.0.0.1' prefix='33'/></network>",
    "<network><name>n</name><ip address='10.0.0.1'/></network>",
    "<network><name>n</name><ip family='ipv6' address='fd00::1' prefix='64'/></network>",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      char *bridge = (char *)"untouched";
      g_autoptr (GError) error = NULL;
      SandboxCidr subnet = { 42, 7 };

      g_assert_false (_sandbox_xml_read_network (texts[i], &subnet, &bridge, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
      g_assert_cmpstr (bridge, ==, "untouched");
      g_assert_cmpuint (subnet.address, ==, 42);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/network/written", test_written);
  g_test_add_func ("/network/read", test_read);
  g_test_add_func ("/network/without-address", test_without_address);
  return g_test_run ();
}
