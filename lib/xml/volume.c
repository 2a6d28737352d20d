// SPDX-License-Identifier: LGPL-2.1-or-later
// Volumes and the storage pool as libvirt's XML.
#include "xml/metadata.h"

static xmlDoc *
new_volume (const char *name, guint64 bytes, const char *format, guint mode, xmlNode **ret_root,
            xmlNode **ret_target)
{
  xmlDoc *doc = _sandbox_xml_new ("volume", ret_root);
  xmlNode *permissions;
  char number[24];

  xmlNewProp (*ret_root, BAD_CAST "type", BAD_CAST "file");
  sandbox_xml_add_text (*ret_root, "name", name, NULL);
  sandbox_xml_add_text (*ret_root, "capacity", _sandbox_xml_number (number, bytes), "unit", "bytes",
                        NULL);
  *ret_target = sandbox_xml_add (*ret_root, "target", NULL);
  sandbox_xml_add (*ret_target, "format", "type", format, NULL);
  permissions = sandbox_xml_add (*ret_target, "permissions", NULL);
  g_snprintf (number, sizeof number, "%04o", mode & 07777);
  sandbox_xml_add_text (permissions, "mode", number, NULL);
  return doc;
}

/* What is written is encrypted with the passphrase of the secret @uuid. */
void
_sandbox_xml_add_encryption (xmlNode *above, const char *uuid)
{
  xmlNode *encryption = sandbox_xml_add (above, "encryption", "format", "luks", NULL);

  sandbox_xml_add (encryption, "secret", "type", "passphrase", "uuid", uuid, NULL);
}

char *
_sandbox_xml_secret (const char *uuid, const char *description)
{
  xmlNode *root;
  g_autoptr (xmlDoc) doc = _sandbox_xml_new ("secret", &root);

  /* never on a disk, and never shown to a client */
  xmlNewProp (root, BAD_CAST "ephemeral", BAD_CAST "yes");
  xmlNewProp (root, BAD_CAST "private", BAD_CAST "yes");
  sandbox_xml_add_text (root, "uuid", uuid, NULL);
  sandbox_xml_add_text (root, "description", description, NULL);
  return sandbox_xml_to_string (doc);
}

static xmlDoc *
new_layer (const char *name, guint64 bytes, const char *below, xmlNode **ret_target)
{
  xmlNode *root, *backing;
  xmlDoc *doc = new_volume (name, bytes, "qcow2", 0600, &root, ret_target);

  /* it grows as it is written to */
  sandbox_xml_add_text (root, "allocation", "0", "unit", "bytes", NULL);
  sandbox_xml_add_text (*ret_target, "compat", "1.1", NULL);
  if (*below)
    {
      backing = sandbox_xml_add (root, "backingStore", NULL);
      sandbox_xml_add_text (backing, "path", below, NULL);
      /* always said, never probed: a guest could write another format's header to its disk */
      sandbox_xml_add (backing, "format", "type", "qcow2", NULL);
    }
  return doc;
}

char *
_sandbox_xml_layer_volume (const char *name, guint64 bytes, const char *below)
{
  xmlNode *target;
  g_autoptr (xmlDoc) doc = new_layer (name, bytes, below, &target);

  return sandbox_xml_to_string (doc);
}

char *
_sandbox_xml_disk_volume (const SandboxPlan *plan)
{
  const char *below = plan->layers[0] ? plan->layers[0] : plan->image_disk;
  xmlNode *target;
  g_autoptr (xmlDoc) doc = new_layer (plan->disk_volume, plan->disk_bytes, below, &target);

  if (plan->encrypted)
    _sandbox_xml_add_encryption (target, plan->uuid);
  return sandbox_xml_to_string (doc);
}

char *
_sandbox_xml_raw_volume (const char *name, guint64 bytes, guint mode)
{
  xmlNode *root, *target;
  g_autoptr (xmlDoc) doc = new_volume (name, bytes, "raw", mode, &root, &target);

  return sandbox_xml_to_string (doc);
}

char *
_sandbox_xml_image_volume (const char *name, guint64 virtual_bytes, guint mode)
{
  xmlNode *root, *target;
  g_autoptr (xmlDoc) doc = new_volume (name, virtual_bytes, "qcow2", mode, &root, &target);

  sandbox_xml_add_text (target, "compat", "1.1", NULL);
  return sandbox_xml_to_string (doc);
}

char *
_sandbox_xml_base_volume (const char *name, guint64 virtual_bytes, const char *below)
{
  xmlNode *root, *target, *backing;
  g_autoptr (xmlDoc) doc = new_volume (name, virtual_bytes, "qcow2", 0444, &root, &target);

  sandbox_xml_add_text (target, "compat", "1.1", NULL);
  backing = sandbox_xml_add (root, "backingStore", NULL);
  sandbox_xml_add_text (backing, "path", below, NULL);
  sandbox_xml_add (backing, "format", "type", "qcow2", NULL);
  return sandbox_xml_to_string (doc);
}

char *
_sandbox_xml_pool (const char *name, const char *path, const char *uuid, gint64 group)
{
  char number[24];
  xmlNode *root, *target, *permissions;
  g_autoptr (xmlDoc) doc = _sandbox_xml_new ("pool", &root);

  xmlNewProp (root, BAD_CAST "type", BAD_CAST "dir");
  sandbox_xml_add_text (root, "name", name, NULL);
  if (uuid)
    sandbox_xml_add_text (root, "uuid", uuid, NULL);
  target = sandbox_xml_add (root, "target", NULL);
  sandbox_xml_add_text (target, "path", path, NULL);
  permissions = sandbox_xml_add (target, "permissions", NULL);
  /* passed through by QEMU's user, listed by root only */
  sandbox_xml_add_text (permissions, "mode", group < 0 ? "0711" : "0710", NULL);
  if (group >= 0)
    {
      sandbox_xml_add_text (permissions, "owner", "0", NULL);
      sandbox_xml_add_text (permissions, "group", _sandbox_xml_number (number, (guint64)group),
                            NULL);
    }
  return sandbox_xml_to_string (doc);
}
