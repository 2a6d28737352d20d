// SPDX-License-Identifier: LGPL-2.1-or-later
// Domain XML: what each decision of the plan means in it, and what never stands in it.
#include "../plan/support.h"

#include "base/xml.h"
#include "xml/xml-private.h"

static xmlDoc *
build (const SandboxPlan *plan)
{
  g_autofree char *text = _sandbox_xml_domain (plan);
  g_autoptr (GError) error = NULL;
  xmlDoc *doc = sandbox_xml_parse ("domain", text, &error);

  g_assert_no_error (error);
  return doc;
}

static void
assert_value (xmlDoc *doc, const char *path, const char *attr, const char *expected)
{
  g_autofree char *value = sandbox_xml_dup (xmlDocGetRootElement (doc), path, attr);

  g_assert_cmpstr (value, ==, expected);
}

static guint
count (xmlDoc *doc, const char *path)
{
  g_autoptr (GPtrArray) found = sandbox_xml_find_all (xmlDocGetRootElement (doc), path);

  return found->len;
}

static gboolean
has_feature (xmlDoc *doc, const char *policy, const char *name)
{
  g_autoptr (GPtrArray) found = sandbox_xml_find_all (xmlDocGetRootElement (doc), "cpu/feature");

  for (guint i = 0; i < found->len; i++)
    {
      g_autofree char *its_policy = sandbox_xml_get_attr (g_ptr_array_index (found, i), "policy");
      g_autofree char *its_name = sandbox_xml_get_attr (g_ptr_array_index (found, i), "name");

      if (g_str_equal (its_policy, policy) && g_str_equal (its_name, name))
        return TRUE;
    }
  return FALSE;
}

static void
test_kvm (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=base\n");
  g_autoptr (xmlDoc) doc = build (plan);

  g_assert_cmpint ((int)plan->accel, ==, SANDBOX_ACCEL_KVM);
  assert_value (doc, "cpu", "mode", "host-passthrough");
  g_assert_true (has_feature (doc, "disable", "vmx"));
  g_assert_true (has_feature (doc, "disable", "svm"));
}

static void
test_tcg (void)
{
  g_autoptr (SandboxPlan) plan =
      support_plan ("[profile]\ninherits=base\n[machine]\naccel=tcg\ncpus=3\nmemory=1536MiB\n");
  g_autoptr (xmlDoc) doc = build (plan);
  g_autofree char *type = sandbox_xml_get_attr (xmlDocGetRootElement (doc), "type");

  g_assert_cmpstr (type, ==, "qemu");
  assert_value (doc, "cpu", "mode", "custom");
  g_assert_true (has_feature (doc, "disable", "svm"));
  assert_value (doc, "vcpu", NULL, "3");
  assert_value (doc, "cpu/topology", "cores", "3");
  assert_value (doc, "memory", NULL, "1572864");
  assert_value (doc, "memory", "dumpCore", "off");
}

static void
test_seed_is_a_path (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=base\n");
  g_autoptr (xmlDoc) doc = build (plan);

  assert_value (doc, "sysinfo", "type", "fwcfg");
  assert_value (doc, "sysinfo/entry", "name", "opt/org.libsandbox/seed");
  assert_value (doc, "sysinfo/entry", "file", "/var/lib/libvirt/images/vms/vms-1000-work.seed");
  assert_value (doc, "sysinfo/entry", NULL, "");
}

static void
test_shares_and_ports (void)
{
  g_autoptr (SandboxPlan) none = support_plan ("[profile]\ninherits=base\n");
  g_autoptr (SandboxPlan) two = support_plan ("[profile]\ninherits=base\n"
                                              "[share:a]\nsource=~/a\n[share:b]\nsource=~/b\n");
  g_autoptr (xmlDoc) none_doc = build (none);
  g_autoptr (xmlDoc) two_doc = build (two);

  g_assert_cmpuint (count (none_doc, "devices/filesystem"), ==, 0);
  g_assert_cmpuint (count (two_doc, "devices/filesystem"), ==, 2);
  g_assert_cmpuint (count (two_doc, "devices/controller"), ==,
                    count (none_doc, "devices/controller") + 2);
  /* shared memory also without a share, for one that comes later */
  assert_value (none_doc, "memoryBacking/source", "type", "memfd");
  assert_value (none_doc, "memoryBacking/access", "mode", "shared");
  assert_value (two_doc, "devices/filesystem/source", "dir",
                "/home/alice/.local/share/vms/work/shares/a");
  assert_value (two_doc, "devices/filesystem/binary", "xattr", "off");
}

static void
test_without_memfd (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=base\n");
  g_autoptr (xmlDoc) doc = NULL;

  plan->memfd = FALSE;
  doc = build (plan);
  g_assert_cmpuint (count (doc, "memoryBacking/source"), ==, 0);
  g_assert_cmpuint (count (doc, "memoryBacking/nosharepages"), ==, 1);
}

static void
test_disk_chain_ends (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=base\n");
  g_autoptr (xmlDoc) doc = build (plan);

  g_assert_cmpuint (count (doc, "devices/disk"), ==, 1);
  assert_value (doc, "devices/disk/driver", "type", "qcow2");
  assert_value (doc, "devices/disk/backingStore/format", "type", "qcow2");
  assert_value (doc, "devices/disk/backingStore/source", "file", "/images/1.qcow2");
  g_assert_cmpuint (count (doc, "devices/disk/backingStore/backingStore"), ==, 1);
  g_assert_cmpuint (count (doc, "devices/disk/backingStore/backingStore/source"), ==, 0);
}

/* What a guest must never be given; the schema allows all of it. */
static void
test_never_there (void)
{
  static const char *const paths[] = { "devices/graphics",  "devices/video",    "devices/sound",
                                       "devices/hostdev",   "devices/redirdev", "devices/shmem",
                                       "devices/input",     "devices/channel",  "devices/parallel",
                                       "devices/hub",       "devices/tpm",      "devices/vsock",
                                       "devices/smartcard", "seclabel",         "launchSecurity",
                                       "commandline",       "os/loader",        "devices/watchdog",
                                       "devices/panic" };
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  g_autoptr (xmlDoc) doc = build (plan);

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    if (count (doc, paths[i]) > 0)
      g_test_fail_printf ("there is a %s", paths[i]);
  g_assert_cmpuint (count (doc, "devices/interface"), ==, 1);
  assert_value (doc, "devices/interface/filterref", "filter", "vms-1000-work");
  assert_value (doc, "devices/controller", "model", "none"); /* the first is the one for USB */
}

static void
test_no_image (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=base\n");
  char **texts[] = { &plan->image_id, &plan->image_disk, &plan->image_kernel, &plan->image_initrd,
                     &plan->cmdline };
  g_autoptr (xmlDoc) doc = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_free (*texts[i]);
      *texts[i] = g_strdup ("");
    }
  doc = build (plan);
  g_assert_cmpuint (count (doc, "os/kernel"), ==, 0);
  g_assert_cmpuint (count (doc, "os/cmdline"), ==, 0);
  g_assert_cmpuint (count (doc, "devices/disk/backingStore"), ==, 0);
}

static void
test_test_driver (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  g_autoptr (xmlDoc) doc = NULL;
  g_autofree char *type = NULL;

  g_free (plan->driver);
  plan->driver = g_strdup ("TEST");
  *plan->machine = *plan->emulator = '\0';
  doc = build (plan);
  type = sandbox_xml_get_attr (xmlDocGetRootElement (doc), "type");
  g_assert_cmpstr (type, ==, "test");
  assert_value (doc, "os/type", "machine", NULL);
  g_assert_cmpuint (count (doc, "devices/emulator"), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/domain/kvm", test_kvm);
  g_test_add_func ("/domain/tcg", test_tcg);
  g_test_add_func ("/domain/seed-is-a-path", test_seed_is_a_path);
  g_test_add_func ("/domain/shares-and-ports", test_shares_and_ports);
  g_test_add_func ("/domain/without-memfd", test_without_memfd);
  g_test_add_func ("/domain/disk-chain-ends", test_disk_chain_ends);
  g_test_add_func ("/domain/never-there", test_never_there);
  g_test_add_func ("/domain/no-image", test_no_image);
  g_test_add_func ("/domain/test-driver", test_test_driver);
  return g_test_run ();
}
