// SPDX-License-Identifier: LGPL-2.1-or-later
// One share more, or less, in the XML of a machine that is there.
#include "../plan/support.h"

#include "xml/xml-private.h"

#include <string.h>

static SandboxPlanShare
code_share (void)
{
  SandboxPlanShare share = {
    .shadow = (char *)"target;web/node_modules",
    .guard = (char *)"deploy.sh;ops/*",
    .flag = (char *)"",
    .tag = (char *)"code",
    .source = (char *)"/home/alice/a & b",
    .target = (char *)"/home/dev/code",
    .mode = SANDBOX_SHARE_REVIEW,
    .read_only = TRUE,
    .door = (char *)"/home/alice/.local/share/vms/work/shares/code",
  };

  return share;
}

static void
test_with_and_without (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  g_autofree char *before = _sandbox_xml_domain (plan);
  SandboxPlanShare share = code_share ();
  g_autoptr (GError) error = NULL;
  g_autofree char *with = _sandbox_xml_with_share (before, plan, &share, &error);
  g_autofree char *twice = _sandbox_xml_with_share (with, plan, &share, &error);
  g_autofree char *without = _sandbox_xml_without_share (with, "code", &error);
  g_autofree char *other = _sandbox_xml_without_share (with, "cod", &error);
  g_autoptr (SandboxDomainMeta) meta = _sandbox_xml_read_domain (with, &error);
  g_autofree char *changes = _sandbox_xml_domain_changes (before, without, &error);
  const SandboxPlanShare *read;

  g_assert_no_error (error);
  g_assert_cmpuint (meta->shares->len, ==, 2);
  read = meta->shares->pdata[1];
  g_assert_cmpstr (read->tag, ==, "code");
  g_assert_cmpstr (read->source, ==, "/home/alice/a & b");
  g_assert_cmpint ((int)read->mode, ==, SANDBOX_SHARE_REVIEW);
  g_assert_cmpstr (read->shadow, ==, "target;web/node_modules");
  g_assert_cmpstr (read->guard, ==, "deploy.sh;ops/*");
  g_assert_cmpstr (read->flag, ==, "");
  g_assert_cmpstr (((SandboxPlanShare *)meta->shares->pdata[0])->shadow, ==, "");
  g_assert_cmpstr (twice, ==, with);
  g_assert_cmpstr (other, ==, with);
  g_assert_cmpstr (changes, ==, "");
  g_assert_null (strstr (without, "code"));
}

static void
test_device (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  g_autofree char *xml = _sandbox_xml_domain (plan);
  SandboxPlanShare share = code_share ();
  g_autofree char *device = _sandbox_xml_share_device (plan->share_helper, &share);
  g_autofree char *with = _sandbox_xml_with_share (xml, plan, &share, NULL);
  g_autofree char *found = _sandbox_xml_find_share_device (with, "code");

  g_assert_true (
      g_str_has_prefix (device, "<filesystem type=\"mount\" accessmode=\"passthrough\">"));
  g_assert_nonnull (
      strstr (device, "<source dir=\"/home/alice/.local/share/vms/work/shares/code\"/>"));
  g_assert_nonnull (strstr (device, "xattr=\"off\""));
  g_assert_cmpstr (found, ==, device);
  g_assert_null (_sandbox_xml_find_share_device (xml, "code"));
  g_assert_null (_sandbox_xml_find_share_device ("<domain/>", "code"));
  g_assert_cmpuint (_sandbox_xml_shares_max (xml), ==, 1 + SANDBOX_SPARE_PORTS);
}

/* libvirt adds the namespace, and refuses an element that declares it itself. */
static void
test_element (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  g_autofree char *xml = _sandbox_xml_domain (plan);
  g_autofree char *element = _sandbox_xml_metadata_element (xml, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_str_has_prefix (element, "<machine version=\"1\">"));
  g_assert_nonnull (strstr (element, "<share name=\"shared\""));
  g_assert_null (strstr (element, "sandbox:"));
  g_assert_null (strstr (element, "xmlns"));
  g_assert_null (_sandbox_xml_metadata_element ("<domain/>", &error));
  g_assert_nonnull (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/share/with-and-without", test_with_and_without);
  g_test_add_func ("/xml/share/device", test_device);
  g_test_add_func ("/xml/share/element", test_element);
  return g_test_run ();
}
