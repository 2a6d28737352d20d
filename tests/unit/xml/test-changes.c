// SPDX-License-Identifier: LGPL-2.1-or-later
// What start says has changed: every change that matters in words, nothing of what libvirt adds.
#include "../plan/support.h"

#include "xml/xml-private.h"

#include <string.h>

#define BASE  "[profile]\ninherits=base\n"
#define SHARE "[share:a]\nsource=~/a\ntarget=~/a\n"

static char *
domain_of (const char *profile)
{
  g_autoptr (SandboxPlan) plan = support_plan (profile);

  return _sandbox_xml_domain (plan);
}

static void
assert_changes (const char *defined, const char *wanted, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *changes = _sandbox_xml_domain_changes (defined, wanted, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (changes, ==, expected);
}

static void
test_profiles (void)
{
  static const struct
  {
    const char *old, *new, *expected;
  } rows[] = {
    { BASE, BASE, "" },
    { BASE SHARE, BASE SHARE, "" },
    /* only the digest of the profile differs */
    { BASE, BASE "[machine]\nstart-on-exec=no\n", "" },
    { BASE "[machine]\ncpus=2\n", BASE "[machine]\ncpus=4\n", "cpus: 2 -> 4\n" },
    { BASE "[machine]\nmemory=1GiB\n", BASE "[machine]\nmemory=1536MiB\n",
      "memory: 1GiB -> 1536MiB\n" },
    { BASE "[machine]\ndisk=20GiB\n", BASE, "disk: 20GiB -> 40GiB\n" },
    { BASE "[machine]\nuser=alice\n", BASE, "user: alice -> dev\n" },
    { BASE, BASE "[machine]\naccel=tcg\n", "acceleration: kvm -> qemu\n" },
    { BASE, BASE SHARE, "share a: added\n" },
    { BASE SHARE, BASE, "share a: removed\n" },
    { BASE SHARE, BASE "[share:a]\nsource=~/b\ntarget=~/a\n",
      "share a source: /home/alice/a -> /home/alice/b\n" },
    { BASE SHARE, BASE "[share:a]\nsource=~/a\ntarget=/srv/a\n",
      "share a target: /home/dev/a -> /srv/a\n" },
    { BASE SHARE, BASE SHARE "[share:b]\nsource=~/b\n", "share b: added\n" },
    { BASE SHARE "[share:b]\nsource=~/b\n", BASE "[share:b]\nsource=~/b\n", "share a: removed\n" },
    { "[profile]\ninherits=work\n", "[profile]\ninherits=personal\n",
      "profile: work -> personal\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *old = domain_of (rows[i].old);
      g_autofree char *new = domain_of (rows[i].new);

      assert_changes (old, new, rows[i].expected);
    }
}

typedef void (*Change) (SandboxPlan *plan);

static void
change_image (SandboxPlan *plan)
{
  char **texts[] = { &plan->image_id, &plan->image_disk, &plan->image_kernel, &plan->image_initrd,
                     &plan->cmdline };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      char *old = *texts[i];

      *texts[i] = g_strconcat (old, "-new", NULL);
      g_free (old);
    }
}

static void
change_kernel (SandboxPlan *plan)
{
  g_free (plan->image_kernel);
  plan->image_kernel = g_strdup ("/new/vmlinuz");
}

static void
change_subnet (SandboxPlan *plan)
{
  plan->subnet.address += 8;
}

static void
change_uid (SandboxPlan *plan)
{
  plan->uid = 1001;
}

static void
change_reason (SandboxPlan *plan)
{
  g_free (plan->accel_reason);
  plan->accel_reason = g_strdup ("measured again, another number");
}

static void
change_machine (SandboxPlan *plan)
{
  g_free (plan->machine);
  plan->machine = g_strdup ("pc-q35-10.0");
}

static void
change_memfd (SandboxPlan *plan)
{
  plan->memfd = FALSE;
}

static void
change_mac (SandboxPlan *plan)
{
  plan->mac[16] = 'f';
}

static void
test_plans (void)
{
  static const struct
  {
    Change change;
    const char *expected;
  } rows[] = {
    { change_image, "image: debian-13-1 -> debian-13-1-new\n" },
    { change_kernel, "kernel: /images/1.vmlinuz -> /new/vmlinuz\n" },
    { change_uid, "uid: 1000 -> 1001\n" },
    { change_reason, "" },
    { change_machine, "machine type: pc-q35-7.2 -> pc-q35-10.0\n" },
    { change_subnet, "network address: 10.213.236.80/29 -> 10.213.236.88/29\n" },
    { change_mac, "devices/interface/mac@address: 52:54:00:28:33:e2 -> 52:54:00:28:33:ef\n" },
  };
  g_autofree char *old = domain_of (BASE);
  g_autoptr (SandboxPlan) plan = NULL;
  g_autofree char *without = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (SandboxPlan) changed = support_plan (BASE);
      g_autofree char *new = NULL;

      rows[i].change (changed);
      new = _sandbox_xml_domain (changed);
      assert_changes (old, new, rows[i].expected);
    }
  plan = support_plan (BASE);
  change_memfd (plan);
  without = _sandbox_xml_domain (plan);
  assert_changes (without, old, "memory settings: changed\n");
}

static char *
with (const char *text, const char *what, const char *instead)
{
  g_auto (GStrv) parts = g_strsplit (text, what, 2);

  g_assert_nonnull (parts[1]);
  return g_strjoinv (instead, parts);
}

static void
test_by_hand (void)
{
  static const struct
  {
    const char *what, *instead, *expected;
  } rows[] = {
    { "</devices>", "<hostdev mode='subsystem' type='usb'/></devices>",
      "devices/hostdev: added by hand, goes away\n" },
    { "</devices>", "<graphics type='vnc' listen='0.0.0.0'><listen/></graphics></devices>",
      "devices/graphics: added by hand, goes away\n" },
    { "</devices>",
      "<disk type='block'><source dev='/dev/sda'/><target dev='vdb' "
      "bus='virtio'/></disk></devices>",
      "devices/disk[vdb]: added by hand, goes away\n" },
    { "</devices>", "<filesystem><source dir='/etc'/><target dir='etc'/></filesystem></devices>",
      "share etc: removed\n" },
    { "</devices>", "<interface type='bridge'><source bridge='br0'/></interface></devices>",
      "devices/interface#2: added by hand, goes away\n" },
    { "</domain>",
      "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:arg value='-x'/>"
      "</q:commandline></domain>",
      "commandline: added by hand, goes away\n" },
    { "work/shares/a\"/>\n      <target", "etc\"/>\n      <target",
      "share a: its device changes\n" },
    { "<on_crash>destroy", "<on_crash>preserve", "on_crash: preserve -> destroy\n" },
    { "<nosharepages/>", "", "memory settings: changed\n" },
    { "model=\"none\"", "model=\"qemu-xhci\"",
      "devices/controller[usb-0]@model: qemu-xhci -> none\n" },
    { "name=\"vmx\"", "name=\"x\"", "processor model: changed\n" },
    { "dumpCore=\"off\"", "dumpCore=\"on\"", "memory settings: changed\n" },
    { "<rng model=\"virtio\">", "<rng model=\"virtio-transitional\">",
      "devices/rng@model: virtio-transitional -> virtio\n" },
  };
  g_autofree char *wanted = domain_of (BASE SHARE);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *defined = with (wanted, rows[i].what, rows[i].instead);

      assert_changes (defined, wanted, rows[i].expected);
    }
}

/* All kinds of things that libvirt writes into what it was given. */
static void
test_filled_in (void)
{
  static const char *const rows[][2] = {
    { "<target dev=\"vda\" bus=\"virtio\"/>",
      "<target dev=\"vda\" bus=\"virtio\"/><alias name='x'/>"
      "<address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>" },
    { "</devices>", "<input type='mouse' bus='ps2'/><audio id='1' type='none'/>"
                    "<controller type='sata' index='0'/><watchdog model='itco'/></devices>" },
    { "<cmdline>", "<boot dev='hd'/><cmdline>" },
    { "dies=\"1\"", "dies=\"1\" clusters=\"1\"" },
    { "<apic/>", "<apic/><ps2 state='on'/>" },
    { "port=\"0\"/>\n    </serial>", "port=\"0\"><model name='isa-serial'/></target></serial>" },
  };
  g_autofree char *wanted = domain_of (BASE SHARE);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *defined = with (wanted, rows[i][0], rows[i][1]);

      assert_changes (defined, wanted, "");
    }
}

static void
test_refused (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (_sandbox_xml_domain_changes ("<domain/>", "<domain", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (_sandbox_xml_domain_changes ("x", "<domain/>", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
}

/* A definition may hold anything, and these lines go to a terminal. */
static void
test_safe_lines (void)
{
  g_autofree char *wanted = domain_of (BASE);
  g_autofree char *defined =
      with (wanted, "<on_crash>destroy", "<on_crash>x&#10;y: &#x9b;2J\xe2\x80\xae");
  g_autoptr (GError) error = NULL;
  g_autofree char *changes = _sandbox_xml_domain_changes (defined, wanted, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (changes, ==, "on_crash: x\\x0ay: \\u{9b}2J\\u{202e} -> destroy\n");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/changes/profiles", test_profiles);
  g_test_add_func ("/changes/plans", test_plans);
  g_test_add_func ("/changes/by-hand", test_by_hand);
  g_test_add_func ("/changes/filled-in", test_filled_in);
  g_test_add_func ("/changes/refused", test_refused);
  g_test_add_func ("/changes/safe-lines", test_safe_lines);
  return g_test_run ();
}
