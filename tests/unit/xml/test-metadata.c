// SPDX-License-Identifier: LGPL-2.1-or-later
// Our element in libvirt's metadata: read back whole, and with care when it is not whole.
#include "../plan/support.h"

#include "xml/xml-private.h"

static void
test_round_trip (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  g_autofree char *xml = _sandbox_xml_domain (plan);
  g_autofree char *disk = g_build_filename (plan->pool_path, plan->disk_volume, NULL);
  g_autofree char *address = sandbox_address_format (plan->subnet.address);
  g_autofree char *subnet = g_strconcat (address, "/29", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxDomainMeta) meta = _sandbox_xml_read_domain (xml, &error);
  const SandboxPlanShare *share;

  g_assert_no_error (error);
  g_assert_cmpstr (meta->owner, ==, "vms");
  g_assert_cmpstr (meta->name, ==, "work");
  g_assert_cmpstr (meta->profile, ==, "work");
  g_assert_cmpstr (meta->profile_digest, ==, plan->profile_digest);
  g_assert_cmpstr (meta->image_id, ==, "debian-13-1");
  g_assert_cmpstr (meta->subnet, ==, subnet);
  g_assert_cmpstr (meta->accel, ==, "kvm");
  g_assert_cmpstr (meta->accel_reason, ==, "KVM works");
  g_assert_cmpstr (meta->user, ==, "dev");
  g_assert_cmpstr (meta->disk_path, ==, disk);
  g_assert_cmpuint (meta->uid, ==, 1000);
  g_assert_cmpuint (meta->gid, ==, 1000);
  g_assert_cmpuint (meta->format_version, ==, 1);
  g_assert_cmpuint (meta->disk_bytes, ==, G_GUINT64_CONSTANT (40) << 30);
  g_assert_cmpuint (meta->shares->len, ==, 1);
  share = g_ptr_array_index (meta->shares, 0);
  g_assert_cmpstr (share->tag, ==, "shared");
  g_assert_cmpstr (share->source, ==, "/home/alice/vms/work");
  g_assert_cmpstr (share->target, ==, "/home/dev/shared");
  g_assert_cmpint ((int)share->mode, ==, SANDBOX_SHARE_RW);
  g_assert_true (share->create);
}

static void
test_not_ours (void)
{
  static const char *const texts[] = {
    "<domain/>",
    "<domain><metadata/></domain>",
    "<domain><metadata><x:machine xmlns:x='urn:other'><x:owner>vms</x:owner></x:machine>"
    "</metadata></domain>",
    "<domain><devices><metadata><machine xmlns='urn:libsandbox:1'/></metadata></devices></domain>",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (_sandbox_xml_read_domain (texts[i], &error));
      g_assert_no_error (error);
    }
}

/* Anybody who may edit the domain may have edited this. */
static void
test_damaged (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxDomainMeta) meta = _sandbox_xml_read_domain (
      "<domain><metadata><s:machine xmlns:s='urn:libsandbox:1' version='-1'>"
      "<s:uid>99999999999999999999</s:uid><s:gid> 7</s:gid><s:disk-bytes>x</s:disk-bytes>"
      "<s:share/><s:share name='a' source='/b'/>"
      "<s:share name='a' source='/b' target='/c' mode='wild'/>"
      "</s:machine></metadata></domain>",
      &error);

  g_assert_no_error (error);
  g_assert_cmpstr (meta->owner, ==, "");
  g_assert_cmpstr (meta->disk_path, ==, "");
  g_assert_cmpuint (meta->uid, ==, 0);
  g_assert_cmpuint (meta->gid, ==, 0);
  g_assert_cmpuint (meta->format_version, ==, 0);
  g_assert_cmpuint (meta->disk_bytes, ==, 0);
  g_assert_cmpuint (meta->shares->len, ==, 1);
}

static void
test_refused (void)
{
  static const char *const texts[] = {
    "",
    "<domain>",
    "<!DOCTYPE d [<!ENTITY x SYSTEM \"file:///etc/hostname\">]><domain>&x;</domain>",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (_sandbox_xml_read_domain (texts[i], &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/metadata/round-trip", test_round_trip);
  g_test_add_func ("/metadata/not-ours", test_not_ours);
  g_test_add_func ("/metadata/damaged", test_damaged);
  g_test_add_func ("/metadata/refused", test_refused);
  return g_test_run ();
}
