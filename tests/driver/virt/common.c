// SPDX-License-Identifier: LGPL-2.1-or-later
// What the tests of lib/virt against libvirt share.

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/xml.h"
#include "common.h"
#include <sandbox/error.h>

/* TRUE for an object of a run of these tests that came to a sudden end. */
static gboolean
is_left_behind (const char *name)
{
  gint64 pid;

  if (!g_str_has_prefix (name, TEST_PREFIX))
    return FALSE;
  pid = g_ascii_strtoll (name + strlen (TEST_PREFIX), NULL, 10);
  return pid > 1 && kill (pid, 0) < 0 && errno == ESRCH;
}

static void
remove_left_behind (SandboxVirt *virt)
{
  g_autoptr (GPtrArray) domains = _sandbox_virt_list_domains (virt, TEST_PREFIX, NULL);
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (virt, TEST_PREFIX, FALSE, NULL);
  g_auto (GStrv) networks = _sandbox_virt_list_networks (virt, TEST_PREFIX, NULL);

  for (guint i = 0; domains && i < domains->len; i++)
    {
      SandboxVirtDomain *domain = domains->pdata[i];

      if (is_left_behind (domain->name))
        remove_domain (virt, domain->name);
    }
  for (gsize i = 0; networks && networks[i]; i++)
    if (is_left_behind (networks[i]))
      _sandbox_virt_network_remove (virt, networks[i], NULL);
  for (guint i = 0; volumes && i < volumes->len; i++)
    {
      SandboxVirtVolume *volume = volumes->pdata[i];

      if (is_left_behind (volume->name))
        _sandbox_virt_volume_remove (virt, volume->name, NULL);
    }
}

int
run_with_system (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxVirt) virt = _sandbox_virt_open (SYSTEM_URI, NULL, &error);

  if (virt)
    {
      remove_left_behind (virt);
      return g_test_run ();
    }
  if (g_getenv ("VMS_TESTS_MUST_RUN"))
    g_error ("these tests must run: %s", error->message);
  // only a host without libvirt is a reason
  g_assert_true (g_error_matches (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST)
                 || g_error_matches (error, SANDBOX_ERROR, SANDBOX_ERROR_DENIED));
  printf ("1..0 # SKIP %s\n", error->message);
  return 0;
}

SandboxVirt *
connect_to (const char *uri)
{
  g_autoptr (GError) error = NULL;
  SandboxVirt *virt = _sandbox_virt_open (uri, NULL, &error);

  g_assert_no_error (error);
  return virt;
}

char *
own_name (const char *word)
{
  return g_strdup_printf (TEST_PREFIX "%d-%s", (int)getpid (), word);
}

static xmlDoc *
new_doc (const char *name, xmlNode **ret_root)
{
  xmlDoc *doc = xmlNewDoc (BAD_CAST "1.0");

  *ret_root = xmlNewNode (NULL, BAD_CAST name);
  xmlDocSetRootElement (doc, *ret_root);
  return doc;
}

char *
domain_xml (const char *name, const char *network)
{
  xmlNode *root = NULL, *node = NULL, *devices = NULL;
  g_autoptr (xmlDoc) doc = new_doc ("domain", &root);

  sandbox_xml_add_text (root, "name", name, NULL);
  xmlSetProp (root, BAD_CAST "type", BAD_CAST "qemu");
  sandbox_xml_add_text (root, "memory", "64", "unit", "MiB", NULL);
  sandbox_xml_add_text (root, "vcpu", "1", NULL);
  node = sandbox_xml_add (root, "os", NULL);
  sandbox_xml_add_text (node, "type", "hvm", "arch", "x86_64", "machine", "q35", NULL);
  /* again and again: what is said before anybody listens is lost */
  sandbox_xml_add (node, "bios", "useserial", "yes", "rebootTimeout", "1000", NULL);
  sandbox_xml_add (node, "bootmenu", "enable", "yes", "timeout", "800", NULL);
  node = sandbox_xml_add (root, "features", NULL);
  sandbox_xml_add (node, "acpi", NULL);
  devices = sandbox_xml_add (root, "devices", NULL);
  sandbox_xml_add (devices, "controller", "type", "usb", "model", "none", NULL);
  sandbox_xml_add (devices, "serial", "type", "pty", NULL);
  node = sandbox_xml_add (devices, "console", "type", "pty", NULL);
  sandbox_xml_add (node, "target", "type", "serial", NULL);
  node = sandbox_xml_add (devices, "console", "type", "pty", NULL);
  sandbox_xml_add (node, "target", "type", "virtio", NULL);
  if (network)
    {
      node = sandbox_xml_add (devices, "interface", "type", "network", NULL);
      sandbox_xml_add (node, "source", "network", network, NULL);
      sandbox_xml_add (node, "model", "type", "virtio", NULL);
    }
  sandbox_xml_add (devices, "memballoon", "model", "none", NULL);
  return sandbox_xml_to_string (doc);
}

char *
network_xml (const char *name, const char *bridge, const char *address)
{
  xmlNode *root = NULL;
  g_autoptr (xmlDoc) doc = new_doc ("network", &root);

  sandbox_xml_add_text (root, "name", name, NULL);
  sandbox_xml_add (root, "forward", "mode", "nat", NULL);
  sandbox_xml_add (root, "bridge", "name", bridge, "stp", "off", "delay", "0", NULL);
  sandbox_xml_add (root, "dns", "enable", "no", NULL);
  sandbox_xml_add (root, "ip", "address", address, "prefix", "29", NULL);
  return sandbox_xml_to_string (doc);
}

char *
volume_xml (const char *name, guint64 bytes)
{
  g_autofree char *size = g_strdup_printf ("%" G_GUINT64_FORMAT, bytes);
  xmlNode *root = NULL, *target = NULL;
  g_autoptr (xmlDoc) doc = new_doc ("volume", &root);

  sandbox_xml_add_text (root, "name", name, NULL);
  sandbox_xml_add_text (root, "capacity", size, NULL);
  target = sandbox_xml_add (root, "target", NULL);
  sandbox_xml_add (target, "format", "type", "raw", NULL);
  sandbox_xml_add_text (sandbox_xml_add (target, "permissions", NULL), "mode", "0600", NULL);
  return sandbox_xml_to_string (doc);
}

void
remove_domain (SandboxVirt *virt, const char *name)
{
  g_autoptr (GError) error = NULL;

  _sandbox_virt_domain_kill (virt, name, &error);
  g_assert_no_error (error);
  _sandbox_virt_domain_undefine (virt, name, &error);
  g_assert_no_error (error);
}

static guint
count_entries (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint count = 0;

  while (g_dir_read_name (dir))
    count++;
  return count;
}

guint
count_fds (void)
{
  return count_entries ("/proc/self/fd");
}

guint
count_threads (void)
{
  return count_entries ("/proc/self/task");
}
