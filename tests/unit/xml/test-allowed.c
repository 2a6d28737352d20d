// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of what a domain may hold, by mutation: a domain as we write it passes, and each single
// thing that is put in, changed or taken out is refused unless this file says that it may be so.
#include "../plan/support.h"

#include "base/xml.h"
#include "xml/allowed.h"
#include "xml/xml-private.h"

#include <string.h>

#define FULL                                                                                       \
  "[profile]\ninherits=base\n[machine]\naccel=%s\n[share:a]\nsource=~/a\n[share:b]\nsource=~/b\n"

static char *
build (const char *accel)
{
  g_autofree char *profile = g_strdup_printf (FULL, accel);
  g_autoptr (SandboxPlan) plan = support_plan (profile);

  return _sandbox_xml_domain (plan);
}

static char *
replace (const char *text, const char *old, const char *new)
{
  const char *at = strstr (text, old);

  g_assert_nonnull (at);
  return g_strdup_printf ("%.*s%s%s", (int)(at - text), text, new, at + strlen (old));
}

static gboolean
refused (const char *xml)
{
  g_autoptr (GError) own = NULL, defined = NULL;
  gboolean passes = _sandbox_xml_check_domain (xml, &own);

  if (passes)
    return FALSE;
  g_assert_error (own, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  /* what libvirt fills in makes none of these allowed */
  if (_sandbox_xml_check_defined (xml, &defined))
    {
      g_test_message ("allowed as filled in by libvirt, refused before: %s", own->message);
      return FALSE;
    }
  return TRUE;
}

static void
test_ours (void)
{
  static const char *const accels[] = { "kvm", "tcg" };

  for (guint i = 0; i < G_N_ELEMENTS (accels); i++)
    {
      g_autofree char *xml = build (accels[i]);
      g_autoptr (GError) error = NULL;

      _sandbox_xml_check_domain (xml, &error);
      g_assert_no_error (error);
      _sandbox_xml_check_defined (xml, &error);
      g_assert_no_error (error);
    }
}

/* What opens a way out of the machine, or a larger surface; each at its place. */
static const struct
{
  const char *old, *new;
} dangers[] = {
  { "</devices>", "<hostdev mode='subsystem' type='pci'><source/></hostdev></devices>" },
  { "</devices>", "<redirdev bus='usb' type='spicevmc'/></devices>" },
  { "</devices>", "<redirfilter><usbdev allow='yes'/></redirfilter></devices>" },
  { "</devices>", "<controller type='usb' index='1' model='qemu-xhci'/></devices>" },
  { "model=\"none\"", "model=\"qemu-xhci\"" },
  { "</devices>", "<controller type='fdc' index='0'/></devices>" },
  { "</devices>", "<controller type='ccid' index='0'/></devices>" },
  { "</devices>", "<sound model='ich9'/></devices>" },
  { "</devices>", "<audio id='1' type='pulseaudio'/></devices>" },
  { "</devices>", "<video><model type='vga'/></video></devices>" },
  { "</devices>", "<graphics type='vnc' port='-1' listen='0.0.0.0'/></devices>" },
  { "</devices>", "<graphics type='spice'/></devices>" },
  { "</devices>", "<input type='tablet' bus='usb'/></devices>" },
  { "</devices>", "<input type='passthrough' bus='virtio'><source evdev='/dev/input/event1'/>"
                  "</input></devices>" },
  { "</devices>", "<hub type='usb'/></devices>" },
  { "</devices>", "<smartcard mode='host'/></devices>" },
  { "</devices>", "<shmem name='x'><model type='ivshmem-plain'/></shmem></devices>" },
  { "</devices>", "<tpm model='tpm-tis'><backend type='passthrough'/></tpm></devices>" },
  { "</devices>", "<vsock model='virtio'><cid auto='yes'/></vsock></devices>" },
  { "</devices>", "<panic model='pvpanic'/></devices>" },
  { "</devices>", "<nvram/></devices>" },
  { "</devices>", "<memory model='nvdimm'><source><path>/etc/shadow</path></source></memory>"
                  "</devices>" },
  { "</devices>", "<iommu model='intel'/></devices>" },
  { "</devices>", "<crypto model='virtio' type='qemu'/></devices>" },
  { "</devices>", "<pstore backend='acpi-erst'/></devices>" },
  { "</devices>", "<watchdog model='i6300esb' action='reset'/></devices>" },
  { "</devices>", "<parallel type='dev'><source path='/dev/lp0'/></parallel></devices>" },
  { "</devices>", "<channel type='unix'><target type='virtio' name='x'/></channel></devices>" },
  { "</devices>", "<lease><lockspace>x</lockspace></lease></devices>" },
  { "</devices>", "<interface type='user'><model type='virtio'/></interface></devices>" },
  { "</devices>", "<interface type='direct'><source dev='eth0'/></interface></devices>" },
  { "</devices>", "<interface type='bridge'><source bridge='br0'/></interface></devices>" },
  { "</devices>", "<interface type='hostdev'/></devices>" },
  { "</devices>", "<interface type='ethernet'><script path='/tmp/x'/></interface></devices>" },
  { "</devices>", "<disk type='block' device='disk'><source dev='/dev/sda'/><target dev='vdb'/>"
                  "</disk></devices>" },
  { "</devices>", "<disk type='file' device='floppy'><target dev='fda'/></disk></devices>" },
  { "</devices>", "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>"
                  "</devices>" },
  { "</devices>", "<disk type='network' device='disk'><source protocol='nbd'/><target dev='vdb'/>"
                  "</disk></devices>" },
  { "disk type=\"file\"", "disk type=\"block\"" },
  { "device=\"disk\"", "device=\"lun\"" },
  { "driver name=\"qemu\" type=\"qcow2\"", "driver name=\"qemu\" type=\"raw\"" },
  { "/var/lib/libvirt/images/vms/vms-1000-work.qcow2", "/dev/sda" },
  { "/var/lib/libvirt/images/vms/vms-1000-work.qcow2", "/var/../dev/sda" },
  { "/var/lib/libvirt/images/vms/vms-1000-work.qcow2", "/proc/1/root/dev/sda" },
  { "/var/lib/libvirt/images/vms/vms-1000-work.qcow2", "nbd://198.51.100.1/x" },
  { "/var/lib/libvirt/images/vms/vms-1000-work.seed", "/etc/shadow" },
  { "<emulator>/usr/bin/qemu-system-x86_64", "<emulator>/tmp/qemu-system-x86_64" },
  { "<emulator>/usr/bin/qemu-system-x86_64", "<emulator>/usr/bin/../../tmp/qemu-system-x86_64" },
  { "<emulator>/usr/bin/qemu-system-x86_64", "<emulator>/usr/bin/sh" },
  { "<emulator>/usr/bin/qemu-system-x86_64", "<emulator>qemu-system-x86_64" },
  { "/usr/sbin/vms-virtiofsd", "vms-virtiofsd" },
  { "/usr/sbin/vms-virtiofsd", "/usr/sbin/../vms-virtiofsd" },
  { "/usr/sbin/vms-virtiofsd", "/dev/shm/vms-virtiofsd" },
  { "/usr/sbin/vms-virtiofsd", "/usr/lib/qemu/virtiofsd" },
  { "/usr/sbin/vms-virtiofsd", "/usr/sbin/not-vms-virtiofsd" },
  { "<binary path=\"/usr/sbin/vms-virtiofsd\" xattr=\"off\">", "<binary xattr=\"off\">" },
  { "xattr=\"off\">", "xattr=\"on\">" },
  { "<sandbox mode=\"namespace\"/>", "<sandbox mode=\"chroot\"/>" },
  { "accessmode=\"passthrough\"", "accessmode=\"mapped\"" },
  { "driver type=\"virtiofs\"", "driver type=\"path\"" },
  { "<source network=\"vms-1000-work\"/>", "<source network=\"default\"/>" },
  { "<source network=\"vms-1000-work\"/>", "<source network=\"vms-1000-other\"/>" },
  { "<filterref filter=\"vms-1000-work\"/>", "" },
  { "<filterref filter=\"vms-1000-work\"/>", "<filterref filter=\"allow-arp\"/>" },
  { "</interface>", "<portOptions isolated='no'/></interface>" },
  { "</interface>", "<boot order='1'/></interface>" },
  { "</interface>", "<rom file='/tmp/x'/></interface>" },
  { "</interface>", "<backend tap='/dev/net/tun'/></interface>" },
  { "<serial type=\"pty\">", "<serial type=\"tcp\">" },
  { "<serial type=\"pty\">", "<serial type=\"file\">" },
  { "<serial type=\"pty\">", "<serial type=\"pty\"><log file='/tmp/x'/>" },
  { "<backend model=\"random\">/dev/urandom", "<backend model=\"random\">/dev/sda" },
  { "<backend model=\"random\">", "<backend model=\"egd\" type=\"udp\">" },
  { "<nosharepages/>", "" },
  { "<nosharepages/>", "<nosharepages/><locked/>" },
  { "<nosharepages/>", "<nosharepages/><hugepages/>" },
  { " dumpCore=\"off\"", "" },
  { "dumpCore=\"off\"", "dumpCore=\"on\"" },
  { "name=\"vmx\"", "name=\"svm\"" },
  { "<feature policy=\"disable\" name=\"vmx\"/>", "" },
  { "<feature policy=\"disable\" name=\"vmx\"/>", "<feature policy='require' name='vmx'/>" },
  { "<feature policy=\"disable\" name=\"svm\"/>", "" },
  { "<controller type=\"usb\" index=\"0\" model=\"none\"/>", "" },
  { "<vmport state=\"off\"/>", "" },
  { "<acpi/>", "<acpi/><hyperv/>" },
  { "<acpi/>", "<acpi/><kvm><hidden state='on'/></kvm>" },
  { "<on_crash>destroy", "<on_crash>coredump-destroy" },
  { "<os>", "<os><loader>/tmp/x</loader>" },
  { "<os>", "<os><nvram>/tmp/x</nvram>" },
  { "<os>", "<bootloader>/bin/sh</bootloader><os>" },
  { "<os>", "<os><init>/bin/sh</init>" },
  { "<os>", "<os><smbios mode='host'/>" },
  { ">hvm<", ">exe<" },
  { "<sysinfo type=\"fwcfg\">", "<sysinfo type=\"fwcfg\"><entry name='opt/x' file='/x'/>" },
  { "<sysinfo type=\"fwcfg\">", "<sysinfo type='smbios'/><sysinfo type=\"fwcfg\">" },
  { "</domain>", "<launchSecurity type='sev'/></domain>" },
  { "</domain>", "<seclabel type='none'/></domain>" },
  { "</domain>", "<seclabel type='static' model='apparmor'><label>x</label></seclabel></domain>" },
  { "</domain>", "<seclabel type='dynamic' model='dac' relabel='no'/></domain>" },
  { "</domain>", "<keywrap/></domain>" },
  { "</domain>", "<cputune/></domain>" },
  { "</domain>", "<numatune/></domain>" },
  { "</domain>", "<perf/></domain>" },
  { "</domain>", "<idmap/></domain>" },
  { "</domain>", "<throttlegroups/></domain>" },
  { "<domain type=\"kvm\">", "<domain type=\"xen\">" },
  { "</domain>",
    "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:arg value='-net'/>"
    "</q:commandline></domain>" },
  { "<domain type=\"kvm\">",
    "<domain type=\"kvm\" xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>" },
  { "</domain>", "<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'/></domain>" },
  { "</domain>", "<override xmlns='http://libvirt.org/schemas/domain/qemu/1.0'/></domain>" },
  { "</metadata>", "<x:machine xmlns:x='urn:other'/></metadata>" },
  { "</domain>", "<?qemu x?></domain>" },
  { "</domain>", "<![CDATA[x]]></domain>" },
};

static void
test_known_dangers (void)
{
  g_autofree char *xml = build ("kvm");

  for (guint i = 0; i < G_N_ELEMENTS (dangers); i++)
    {
      g_autofree char *bad = replace (xml, dangers[i].old, dangers[i].new);

      if (!refused (bad))
        g_test_fail_printf ("allowed: %s instead of %s", dangers[i].new, dangers[i].old);
    }
}

/* --- every element and attribute of a document, one at a time --- */

typedef enum
{
  ADD_ELEMENT,
  ADD_ATTRIBUTE,
  ADD_TEXT,
  RENAME,
  OTHER_NAMESPACE,
  REPEAT,
  REMOVE,
  REMOVE_ATTRIBUTES,
  CHANGE_ATTRIBUTES,
} Mutation;

/* Where any text may stand; a row of the list that is made laxer must show here. */
static const char *const free_texts[] = {
  "metadata/machine/",
  "seclabel/label@",
  "seclabel/imagelabel@",
  "title@",
  "description@",
  "os/cmdline@",
  NULL,
};
static const char *const free_attributes[] = {
  "metadata/machine/share@name",
  "metadata/machine/share@source",
  "metadata/machine/share@target",
  NULL,
};
/* Where any path may stand (tests/known-dangers has those that may not). */
static const char *const path_values[] = {
  "devices/filesystem/source@dir",
  "sysinfo/entry@file",
  "devices/disk/source@file",
  "devices/disk/backingStore/source@file",
  "os/kernel@",
  "resource/partition@",
  "os/initrd@",
  NULL,
};

/* What may be there more than once. */
static const char *const repeatable[] = {
  "metadata/machine/share", "cpu/feature", "devices/controller", "devices/filesystem", NULL,
};

/* What need not be there. */
static const char *const optional[] = {
  "metadata/machine/reaches", /* machines that were defined before it was kept */
  "description",
  "metadata/machine/share",
  "memoryBacking/source",
  "memoryBacking/access",
  "os/kernel",
  "os/initrd",
  "os/cmdline",
  "cpu/model",
  "cpu/feature",
  "devices/disk/backingStore",
  "devices/controller",
  "devices/filesystem",
  "devices/console",
  NULL,
};
static const char *const optional_attributes[] = {
  "vcpu@placement",
  "os/type@arch",
  "os/type@machine",
  "cpu@migratable",
  "devices/disk/driver@cache",
  "devices/disk/driver@discard",
  "devices/disk/driver@iothread",
  "devices/disk/backingStore@type",
  "devices/filesystem/driver@queue",
  "devices/memballoon@autodeflate",
  "devices/memballoon@freePageReporting",
  NULL,
};

static gboolean
is_listed (const char *const *list, const char *path)
{
  for (guint i = 0; list[i]; i++)
    if (g_str_has_prefix (path, list[i]))
      return TRUE;
  return FALSE;
}

static char *
path_of (const xmlNode *node)
{
  GString *path = g_string_new (NULL);

  for (const xmlNode *at = node; at->parent && at->parent->type == XML_ELEMENT_NODE;
       at = at->parent)
    {
      g_string_prepend (path, (const char *)at->name);
      if (at->parent->parent->type == XML_ELEMENT_NODE)
        g_string_prepend (path, "/");
    }
  return g_string_free (path, FALSE);
}

static void
expect_refused (xmlDoc *doc, const char *what, const char *path)
{
  g_autofree char *xml = sandbox_xml_to_string (doc);

  if (!refused (xml))
    g_test_fail_printf ("allowed: %s at %s", what, path);
}

/* Each value is changed, then put back. */
static guint
change_attributes (xmlDoc *doc, xmlNode *node, const char *path)
{
  guint done = 0;

  for (xmlAttr *attr = node->properties; attr; attr = attr->next)
    {
      g_autofree char *old = sandbox_xml_get_attr (node, (const char *)attr->name);
      g_autofree char *place = g_strdup_printf ("%s@%s", path, (const char *)attr->name);
      gboolean is_path = is_listed (path_values, place);

      if (is_listed (free_attributes, place))
        continue;
      xmlSetProp (node, attr->name, BAD_CAST (is_path ? "relative" : "/x y"));
      expect_refused (doc, "another value", place);
      done++;
      xmlSetProp (node, attr->name, BAD_CAST old);
    }
  return done;
}

/* The same with each attribute taken out, and put back behind the others. */
static guint
remove_attributes (xmlDoc *doc, xmlNode *node, const char *path)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  guint done = 0;

  for (xmlAttr *attr = node->properties; attr; attr = attr->next)
    g_ptr_array_add (names, g_strdup ((const char *)attr->name));
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);
      g_autofree char *old = sandbox_xml_get_attr (node, name);
      g_autofree char *place = g_strdup_printf ("%s@%s", path, name);

      if (is_listed (optional_attributes, place))
        continue;
      xmlUnsetProp (node, BAD_CAST name);
      expect_refused (doc, "an attribute less", place);
      xmlNewProp (node, BAD_CAST name, BAD_CAST old);
      done++;
    }
  return done;
}

static guint
mutate (xmlDoc *doc, xmlNode *node, Mutation mutation)
{
  g_autofree char *path = path_of (node), *place = g_strconcat (path, "@", NULL);

  switch (mutation)
    {
    case ADD_ELEMENT:
      sandbox_xml_add (node, "x", NULL);
      break;
    case ADD_ATTRIBUTE:
      xmlNewProp (node, BAD_CAST "x", BAD_CAST "on");
      break;
    case ADD_TEXT:
      if (is_listed (free_texts, place))
        return 0;
      xmlNodeAddContent (node, BAD_CAST (is_listed (path_values, place) ? "/../x" : "x y"));
      break;
    case RENAME:
      xmlNodeSetName (node, BAD_CAST "x");
      break;
    case OTHER_NAMESPACE:
      xmlSetNs (node, xmlNewNs (node, BAD_CAST "urn:other", BAD_CAST "o"));
      break;
    case REPEAT:
      if (is_listed (repeatable, path) || node->parent->type != XML_ELEMENT_NODE)
        return 0;
      xmlAddNextSibling (node, xmlCopyNode (node, 1));
      /* the two consoles are alike but for their targets */
      if (g_str_equal (path, "devices/console"))
        xmlAddNextSibling (node, xmlCopyNode (node, 1));
      break;
    case REMOVE:
      /* a list of places, not of beginnings of places */
      if (g_strv_contains (optional, path) || node->parent->type != XML_ELEMENT_NODE)
        return 0;
      xmlUnlinkNode (node);
      xmlFreeNode (node);
      break;
    case REMOVE_ATTRIBUTES:
      return remove_attributes (doc, node, path);
    case CHANGE_ATTRIBUTES:
    default:
      return change_attributes (doc, node, path);
    }
  expect_refused (
      doc,
      ((const char *const[]){ "an element more", "an attribute more", "a text", "another name",
                              "another namespace", "the same again", "an element less" })[mutation],
      path);
  return 1;
}

static xmlNode *
nth_element (xmlNode *node, guint *n)
{
  if ((*n)-- == 0)
    return node;
  for (xmlNode *child = node->children; child; child = child->next)
    if (child->type == XML_ELEMENT_NODE)
      {
        xmlNode *found = nth_element (child, n);

        if (found)
          return found;
      }
  return NULL;
}

static void
test_every_place (gconstpointer accel)
{
  g_autofree char *xml = build (accel);
  guint done = 0;

  for (guint i = 0;; i++)
    for (Mutation mutation = ADD_ELEMENT; mutation <= CHANGE_ATTRIBUTES; mutation++)
      {
        g_autoptr (GError) error = NULL;
        g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain", xml, &error);
        guint n = i;
        xmlNode *node = nth_element (xmlDocGetRootElement (doc), &n);

        if (!node)
          {
            g_test_message ("%u changes refused", done);
            g_assert_cmpuint (done, >, 600);
            return;
          }
        done += mutate (doc, node, mutation);
      }
}

/* A domain of libvirt 9.0 with all that it fills in, running: allowed as such, and only as such. */
static void
test_filled_in (void)
{
  static const char *const names[] = { "defined.xml", "running.xml" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_test_build_filename (G_TEST_DIST, "unit", "xml", names[i], NULL);
      g_autofree char *xml = NULL;
      g_autofree char *bad = NULL;
      g_autoptr (GError) error = NULL;

      g_file_get_contents (path, &xml, NULL, &error);
      g_assert_no_error (error);
      _sandbox_xml_check_defined (xml, &error);
      g_assert_no_error (error);
      g_assert_false (_sandbox_xml_check_domain (xml, NULL));
      bad = replace (xml, "</devices>", "<hostdev mode='subsystem' type='usb'/></devices>");
      g_assert_false (_sandbox_xml_check_defined (bad, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_nonnull (strstr (error->message, "devices/hostdev"));
    }
}

/* The same changes where libvirt filled things in, at every place of a running domain. What it may
 * add by itself need not be there. */
static void
test_every_place_running (void)
{
  static const Mutation mutations[] = { ADD_ELEMENT, ADD_ATTRIBUTE, ADD_TEXT, RENAME,
                                        OTHER_NAMESPACE };
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "unit", "xml", "running.xml", NULL);
  g_autofree char *xml = NULL;
  g_autoptr (GError) error = NULL;
  guint done = 0;

  g_file_get_contents (path, &xml, NULL, &error);
  g_assert_no_error (error);
  for (guint i = 0;; i++)
    for (guint m = 0; m < G_N_ELEMENTS (mutations); m++)
      {
        g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain", xml, &error);
        guint n = i;
        xmlNode *node = nth_element (xmlDocGetRootElement (doc), &n);

        if (!node)
          {
            g_assert_cmpuint (done, >, 500);
            return;
          }
        done += mutate (doc, node, mutations[m]);
      }
}

static void
test_not_a_domain (void)
{
  static const char *const texts[] = {
    "",
    "x",
    "<domain/>",
    "<domain type='kvm'/>",
    "<network/>",
    "<x:domain xmlns:x='urn:x'/>",
    "<domain type='kvm'><name>a</name></domain>",
    "<!DOCTYPE domain><domain type='kvm'><name>a</name></domain>",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (_sandbox_xml_check_domain (texts[i], &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
    }
}

/* A reader has more disks and no share; no other machine has more disks. */
static void
test_reader (void)
{
  static const char *const shares[] = {
    "[profile]\ninherits=base\n",
    "[profile]\ninherits=base\n[share:a]\nsource=~/a\n",
  };

  for (guint n = 0; n <= SANDBOX_READS_MAX; n++)
    for (guint i = 0; i < G_N_ELEMENTS (shares); i++)
      {
        g_autoptr (SandboxPlan) plan = support_plan (shares[i]);
        g_autofree char *xml = NULL, *other = NULL;

        for (guint k = 0; k < n; k++)
          {
            SandboxPlanRead *read = g_new0 (SandboxPlanRead, 1);

            read->chain = g_strsplit ("/images/top.qcow2 /images/1.qcow2", " ", -1);
            g_ptr_array_add (plan->reads, read);
          }
        xml = _sandbox_xml_domain (plan);
        g_assert_cmpint (_sandbox_xml_check_reader (xml, NULL), ==, i == 0);
        g_assert_cmpint (_sandbox_xml_check_domain (xml, NULL), ==, n == 0);
        g_assert_cmpint (strstr (xml, "vms-1000-work.scratch0\"") != NULL, ==, n > 0);
        if (n == 0)
          continue;
        other = replace (xml, "\"vdb\"", "\"vdd\"");
        g_assert_false (_sandbox_xml_check_reader (other, NULL));
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/allowed/ours", test_ours);
  g_test_add_func ("/xml/allowed/known-dangers", test_known_dangers);
  g_test_add_data_func ("/xml/allowed/every-place/kvm", "kvm", test_every_place);
  g_test_add_data_func ("/xml/allowed/every-place/tcg", "tcg", test_every_place);
  g_test_add_func ("/xml/allowed/every-place/running", test_every_place_running);
  g_test_add_func ("/xml/allowed/filled-in", test_filled_in);
  g_test_add_func ("/xml/allowed/not-a-domain", test_not_a_domain);
  g_test_add_func ("/xml/allowed/reader", test_reader);
  return g_test_run ();
}
