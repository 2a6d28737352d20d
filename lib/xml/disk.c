// SPDX-License-Identifier: LGPL-2.1-or-later
// A domain's disk as a chain of qcow2 layers: written, exchanged in the XML of a domain that is
// there, and read back.
#include "xml/metadata.h"

#include "base/error.h"

#define DISK "devices/disk"

void
_sandbox_xml_add_backing (xmlNode *disk, const char *const *paths)
{
  xmlNode *above = disk;

  if (!paths[0])
    return;
  for (const char *const *path = paths; *path; path++)
    {
      above = sandbox_xml_add (above, "backingStore", "type", "file", NULL);
      sandbox_xml_add (above, "format", "type", "qcow2", NULL);
      sandbox_xml_add (above, "source", "file", *path, NULL);
    }
  sandbox_xml_add (above, "backingStore", NULL);
}

char *
_sandbox_xml_disk_switch (const char *path)
{
  xmlNode *root, *disk;
  g_autoptr (xmlDoc) doc = _sandbox_xml_new ("domainsnapshot", &root);
  xmlNode *disks = sandbox_xml_add (root, "disks", NULL);

  disk =
      sandbox_xml_add (disks, "disk", "name", "vda", "snapshot", "external", "type", "file", NULL);
  sandbox_xml_add (disk, "driver", "type", "qcow2", NULL);
  sandbox_xml_add (disk, "source", "file", path, NULL);
  return sandbox_xml_to_string (doc);
}

static void
remove_children (xmlNode *node, const char *name)
{
  for (xmlNode *child = node->children, *next; child; child = next)
    {
      next = child->next;
      if (child->type != XML_ELEMENT_NODE || !g_str_equal (child->name, name))
        continue;
      xmlUnlinkNode (child);
      xmlFreeNode (child);
    }
}

char *
_sandbox_xml_with_disk (const char *domain_xml, const char *path, const char *const *below,
                        GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("the definition of the domain", domain_xml, error);
  g_autoptr (GPtrArray) disks = NULL;
  xmlNode *disk;

  if (!doc)
    return NULL;
  disks = sandbox_xml_find_all (xmlDocGetRootElement (doc), DISK);
  if (disks->len != 1)
    {
      sandbox_fail (
          error, SANDBOX_ERROR_INVALID,
          "changing the disk of a domain: it has %u of them, and ours have one: take away "
          "what was added by hand",
          disks->len);
      return NULL;
    }
  disk = disks->pdata[0];
  remove_children (disk, "source");
  remove_children (disk, "backingStore");
  sandbox_xml_add (disk, "source", "file", path, NULL);
  _sandbox_xml_add_backing (disk, below);
  return sandbox_xml_to_string (doc);
}

char *
_sandbox_xml_disk_path (const char *domain_xml)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain XML of libvirt", domain_xml, NULL);

  return doc ? sandbox_xml_dup (xmlDocGetRootElement (doc), DISK "/source", "file") : NULL;
}

/* No processor is ever started in it, so nothing of what is on the disk is run; the least of all
 * else, since each device is one more that reads what a guest wrote. */
char *
_sandbox_xml_merge_domain (const char *name, const char *path, const char *const *below)
{
  xmlNode *root, *os, *devices, *disk;
  g_autoptr (xmlDoc) doc = _sandbox_xml_new ("domain", &root);

  xmlNewProp (root, BAD_CAST "type", BAD_CAST "qemu");
  sandbox_xml_add_text (root, "name", name, NULL);
  sandbox_xml_add_text (root, "memory", "16384", "unit", "KiB", NULL);
  sandbox_xml_add_text (root, "vcpu", "1", NULL);
  os = sandbox_xml_add (root, "os", NULL);
  sandbox_xml_add_text (os, "type", "hvm", "arch", "x86_64", "machine", "q35", NULL);
  devices = sandbox_xml_add (root, "devices", NULL);
  disk = sandbox_xml_add (devices, "disk", "type", "file", "device", "disk", NULL);
  sandbox_xml_add (disk, "driver", "name", "qemu", "type", "qcow2", "cache", "writeback", "discard",
                   "unmap", NULL);
  sandbox_xml_add (disk, "source", "file", path, NULL);
  _sandbox_xml_add_backing (disk, below);
  sandbox_xml_add (disk, "target", "dev", "vda", "bus", "virtio", NULL);
  sandbox_xml_add (devices, "controller", "type", "usb", "model", "none", NULL);
  sandbox_xml_add (devices, "memballoon", "model", "none", NULL);
  return sandbox_xml_to_string (doc);
}
