// SPDX-License-Identifier: LGPL-2.1-or-later
// Filter XML: both layers say what the plan says, in its order, and end in a drop; and what libvirt
// gives back is compared rule by rule.
#include "../plan/support.h"

#include "base/xml.h"
#include "xml/xml-private.h"

#include <string.h>

static char *
make_filter (const char *network)
{
  g_autofree char *profile = g_strconcat ("[profile]\ninherits=base\n[network]\n", network, NULL);
  g_autoptr (SandboxPlan) plan = support_plan (profile);

  return _sandbox_xml_filter (plan);
}

/* The rules of one layer for what leaves the guest, as "accept tcp 10.0.0.5/32 5432", in the order
 * of their priorities. The layer is told by the elements: those of the first one are frames. */
static char *
describe_layer (const char *xml, gboolean frames)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("filter", xml, &error);
  g_autoptr (GPtrArray) rules = sandbox_xml_find_all (xmlDocGetRootElement (doc), "rule");
  GString *text = g_string_new (NULL);
  gint64 last = G_MININT64;

  for (guint i = 0; i < rules->len; i++)
    {
      xmlNode *rule = rules->pdata[i], *child = xmlFirstElementChild (rule);
      g_autofree char *action = sandbox_xml_get_attr (rule, "action");
      g_autofree char *direction = sandbox_xml_get_attr (rule, "direction");
      g_autofree char *priority = sandbox_xml_get_attr (rule, "priority");
      g_autofree char *protocol = child ? sandbox_xml_get_attr (child, "protocol") : NULL;
      g_autofree char *address = child ? sandbox_xml_get_attr (child, "dstipaddr") : NULL;
      g_autofree char *mask = child ? sandbox_xml_get_attr (child, "dstipmask") : NULL;
      g_autofree char *first = child ? sandbox_xml_get_attr (child, "dstportstart") : NULL;
      g_autofree char *end = child ? sandbox_xml_get_attr (child, "dstportend") : NULL;
      g_autofree char *source = child ? sandbox_xml_get_attr (child, "srcportstart") : NULL;
      const char *name = child ? (const char *)child->name : "";
      gboolean is_ip = g_str_equal (name, "ip");

      /* the order in the text is the order in which they hold */
      g_assert_cmpint (g_ascii_strtoll (priority, NULL, 10), >, last);
      last = g_ascii_strtoll (priority, NULL, 10);
      if (frames != (last < 0) || g_str_equal (direction, "in") || !child || source
          || !(is_ip || !frames) || xmlHasProp (child, BAD_CAST "match")
          || xmlHasProp (child, BAD_CAST "connlimit-above"))
        continue;
      g_string_append_printf (text, "%s %s %s/%s %s-%s\n", action,
                              is_ip ? (protocol ? protocol : "all") : name, address ? address : "*",
                              mask ? mask : "32", first ? first : "*", end ? end : "");
    }
  return g_string_free (text, FALSE);
}

static void
test_layers (void)
{
  static const char *const networks[] = {
    "mode=nat\n",
    "mode=nat\negress=443/tcp;8000-8010/udp\nallow=10.0.0.5:5432/tcp;192.168.7.0/24/udp\n",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (networks); i++)
    {
      g_autofree char *xml = make_filter (networks[i]);
      g_autofree char *frames = describe_layer (xml, TRUE);
      g_autofree char *connections = describe_layer (xml, FALSE);
      g_autofree char *rest = NULL;

      /* the second one ends in its own drop, which the first one writes without an element */
      g_assert_true (g_str_has_suffix (connections, "drop all */32 *-\n"));
      rest = g_strndup (connections, strlen (connections) - strlen ("drop all */32 *-\n"));
      g_assert_cmpstr (frames, ==, rest);
      g_assert_nonnull (strstr (frames, "drop all 192.168.0.0/16 *-\n"));
    }
}

/* Nothing but ARP with the gateway and answers from the ssh port. */
static void
test_none (void)
{
  g_autofree char *xml = make_filter ("mode=none\n");
  g_autofree char *frames = describe_layer (xml, TRUE);
  g_autofree char *connections = describe_layer (xml, FALSE);

  g_assert_cmpstr (frames, ==, "");
  g_assert_cmpstr (connections, ==, "drop all */32 *-\n");
}

static void
expect_same (const char *a, const char *b, gboolean expected)
{
  g_autoptr (GError) error = NULL;
  gboolean same = !expected;

  g_assert_true (_sandbox_xml_same_filter (a, b, &same, &error));
  g_assert_no_error (error);
  g_assert_cmpint (same, ==, expected);
}

static void
expect_changed (const char *xml, const char *old, const char *new)
{
  g_auto (GStrv) parts = g_strsplit (xml, old, 2);
  g_autofree char *changed = g_strjoinv (new, parts);

  g_assert_cmpuint (g_strv_length (parts), ==, 2);
  expect_same (xml, changed, FALSE);
}

static void
test_same (void)
{
  g_autofree char *xml = make_filter ("mode=nat\nallow=10.0.0.5:5432/tcp\n");
  g_autoptr (GError) error = NULL;
  gboolean same;

  expect_same (xml, xml, TRUE);
  /* as libvirt writes it: other quotes, another order of attributes, other blanks */
  expect_same ("<filter><rule action='drop' direction='out' priority='1'><ip dstipaddr='A' "
               "protocol='tcp'/></rule></filter>",
               "<filter> <uuid>x</uuid>\n<rule priority=\"1\" direction=\"out\" "
               "action=\"drop\"><ip protocol=\"TCP\" dstipaddr=\"a\"/></rule></filter>",
               TRUE);
  expect_changed (xml, "action=\"drop\"", "action=\"accept\"");
  expect_changed (xml, "direction=\"out\"", "direction=\"in\"");
  expect_changed (xml, "dstportstart=\"5432\"", "dstportstart=\"5433\"");
  expect_changed (xml, " protocol=\"udp\"", "");
  expect_changed (xml, "192.168.0.0", "192.168.1.0");
  expect_changed (xml, "match=\"no\"", "match=\"yes\"");
  expect_same ("<filter/>", "<filter><rule action='drop' direction='out'/></filter>", FALSE);
  g_assert_false (_sandbox_xml_same_filter (xml, "<filter", &same, &error));
  g_assert_nonnull (error);
}

static gboolean
same_policy (const char *a, const char *b)
{
  g_autoptr (GError) error = NULL;
  gboolean same = FALSE;

  g_assert_true (_sandbox_xml_same_policy (a, b, &same, &error));
  g_assert_no_error (error);
  return same;
}

static gboolean
closes (const char *have, const char *wanted)
{
  g_autoptr (GError) error = NULL;
  gboolean result = FALSE;

  g_assert_true (_sandbox_xml_filter_closes (have, wanted, &result, &error));
  g_assert_no_error (error);
  return result;
}

/* Superfluous rules about the host do no harm; one that is missing does, or one behind what lets
 * through. */
static void
test_closes (void)
{
  static const char rule[] = "<rule action='drop' direction='out' priority='%d'>"
                             "<ip dstipaddr='198.51.100.64' dstipmask='26'/></rule>";
  g_autofree char *xml = make_filter ("mode=nat\n");
  g_auto (GStrv) parts = g_strsplit (xml, "</filter>", 2);
  g_autofree char *first = g_strdup_printf (rule, -1000), *last = g_strdup_printf (rule, -1);
  g_autofree char *early = g_strconcat (parts[0], first, "</filter>", NULL);
  g_autofree char *late = g_strconcat (parts[0], last, "</filter>", NULL);

  g_assert_true (closes (xml, xml));
  g_assert_true (closes (early, xml));
  g_assert_true (closes (early, early));
  g_assert_false (closes (xml, early));
  g_assert_false (closes (late, early));
  g_assert_true (same_policy (late, early));
}

/* Addresses of the host and networks that it is in come and go while a machine runs; nothing else
 * may. */
static void
test_policy (void)
{
  static const char *const rules[] = {
    "<rule action='drop' direction='out' priority='-900'><ip dstipaddr='192.168.7.5'/></rule>",
    "<rule action='drop' direction='in' priority='-899'><ip srcipaddr='192.168.7.5' "
    "dstipaddr='10.213.0.2'/></rule>",
    "<rule action='drop' direction='out' priority='-900'><ip dstipaddr='198.51.100.64' "
    "dstipmask='26'/></rule>",
    "<rule action='drop' direction='in' priority='-899'><ip srcipaddr='198.51.100.64' "
    "srcipmask='26' dstipaddr='10.213.0.2'/></rule>",
    "<rule action='drop' direction='out' priority='900'><all dstipaddr='198.51.100.64' "
    "dstipmask='26'/></rule>",
  };
  static const char *const others[] = {
    "<rule action='accept' direction='out' priority='-900'><ip dstipaddr='192.168.7.5'/></rule>",
    "<rule action='drop' direction='out' priority='-900'><ip dstipaddr='192.168.0.0' "
    "dstipmask='16'/></rule>",
    "<rule action='drop' direction='out' priority='-900'><ip match='no' "
    "srcipaddr='10.213.0.2'/></rule>",
    "<rule action='drop' direction='out' priority='-900'><all/></rule>",
    "<rule action='drop' direction='inout' priority='-900'/>",
  };
  g_autofree char *xml = make_filter ("mode=nat\nallow=10.0.0.5:5432/tcp\n");
  g_auto (GStrv) parts = g_strsplit (xml, "</filter>", 2);

  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    {
      g_autofree char *more = g_strconcat (parts[0], rules[i], "</filter>", NULL);

      g_assert_true (same_policy (xml, more));
      expect_same (xml, more, FALSE);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    {
      g_autofree char *more = g_strconcat (parts[0], others[i], "</filter>", NULL);

      g_assert_false (same_policy (xml, more));
      g_assert_false (same_policy (more, xml));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/filter/layers", test_layers);
  g_test_add_func ("/xml/filter/none", test_none);
  g_test_add_func ("/xml/filter/same", test_same);
  g_test_add_func ("/xml/filter/policy", test_policy);
  g_test_add_func ("/xml/filter/closes", test_closes);
  return g_test_run ();
}
