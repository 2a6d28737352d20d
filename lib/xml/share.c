// SPDX-License-Identifier: LGPL-2.1-or-later
// One share in the XML of a machine that is there already: its device, and its line in our
// metadata.
#include "xml/metadata.h"

#include "base/error.h"

#include <string.h>

#define WHAT "domain XML of libvirt"

char *
_sandbox_xml_share_device (const char *helper, const SandboxPlanShare *share)
{
  xmlNode *devices;
  g_autoptr (xmlDoc) doc = _sandbox_xml_new ("devices", &devices);
  xmlNode *device;

  _sandbox_xml_add_share (devices, helper, share);
  device = sandbox_xml_find (devices, "filesystem");
  xmlUnlinkNode (device);
  xmlFreeNode (xmlDocSetRootElement (doc, device));
  return sandbox_xml_to_string (doc);
}

static xmlNode *
find_device (xmlNode *domain, const char *tag)
{
  g_autoptr (GPtrArray) nodes = sandbox_xml_find_all (domain, "devices/filesystem");

  for (guint i = 0; i < nodes->len; i++)
    {
      g_autofree char *have = sandbox_xml_dup (nodes->pdata[i], "target", "dir");

      if (g_strcmp0 (have, tag) == 0)
        return nodes->pdata[i];
    }
  return NULL;
}

static xmlNode *
find_line (xmlNode *domain, const char *tag)
{
  g_autoptr (GPtrArray) nodes = sandbox_xml_find_all (domain, "metadata/machine/share");

  for (guint i = 0; i < nodes->len; i++)
    {
      g_autofree char *have = sandbox_xml_get_attr (nodes->pdata[i], "name");

      if (g_strcmp0 (have, tag) == 0)
        return nodes->pdata[i];
    }
  return NULL;
}

static void
drop (xmlNode *node)
{
  if (node == NULL)
    return;
  xmlUnlinkNode (node);
  xmlFreeNode (node);
}

char *
_sandbox_xml_find_share_device (const char *domain_xml, const char *tag)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse (WHAT, domain_xml, NULL);
  xmlNode *device = doc != NULL ? find_device (xmlDocGetRootElement (doc), tag) : NULL;

  if (device == NULL)
    return NULL;
  xmlUnlinkNode (device);
  xmlFreeNode (xmlDocSetRootElement (doc, device));
  return sandbox_xml_to_string (doc);
}

/* Our element; NULL with @error when there is none. */
static xmlNode *
find_machine (xmlDoc *doc, GError **error)
{
  xmlNode *machine =
      doc != NULL ? sandbox_xml_find (xmlDocGetRootElement (doc), "metadata/machine") : NULL;

  if (doc != NULL && machine == NULL)
    sandbox_fail (error, SANDBOX_ERROR_FAILED, WHAT ": it has no element of ours");
  return machine;
}

char *
_sandbox_xml_with_share (const char *domain_xml, const SandboxPlan *plan,
                         const SandboxPlanShare *share, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse (WHAT, domain_xml, error);
  xmlNode *machine = find_machine (doc, error);
  xmlNode *domain;

  if (machine == NULL)
    return NULL;
  domain = xmlDocGetRootElement (doc);
  drop (find_line (domain, share->tag));
  drop (find_device (domain, share->tag));
  _sandbox_metadata_add_share (machine, share);
  _sandbox_xml_add_share (sandbox_xml_find (domain, "devices"), plan->share_helper, share);
  return sandbox_xml_to_string (doc);
}

char *
_sandbox_xml_without_share (const char *domain_xml, const char *tag, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse (WHAT, domain_xml, error);

  if (find_machine (doc, error) == NULL)
    return NULL;
  drop (find_line (xmlDocGetRootElement (doc), tag));
  drop (find_device (xmlDocGetRootElement (doc), tag));
  return sandbox_xml_to_string (doc);
}

/* libvirt puts every element of it into the namespace that it is told, and fails when it finds it
 * there. */
char *
_sandbox_xml_metadata_element (const char *domain_xml, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse (WHAT, domain_xml, error);
  xmlNode *machine = find_machine (doc, error);

  if (machine == NULL)
    return NULL;
  xmlUnlinkNode (machine);
  xmlFreeNode (xmlDocSetRootElement (doc, machine));
  machine->ns = NULL;
  for (xmlNode *node = machine->children; node != NULL; node = node->next)
    node->ns = NULL;
  g_clear_pointer (&machine->nsDef, xmlFreeNsList);
  return sandbox_xml_to_string (doc);
}

guint
_sandbox_xml_shares_max (const char *domain_xml)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse (WHAT, domain_xml, NULL);
  g_autoptr (GPtrArray) nodes = NULL;
  guint ports = 0;

  if (doc == NULL)
    return 0;
  nodes = sandbox_xml_find_all (xmlDocGetRootElement (doc), "devices/controller");
  for (guint i = 0; i < nodes->len; i++)
    {
      g_autofree char *model = sandbox_xml_get_attr (nodes->pdata[i], "model");

      ports += g_strcmp0 (model, "pcie-root-port") == 0;
    }
  return ports > SANDBOX_FIXED_PORTS ? ports - SANDBOX_FIXED_PORTS : 0;
}
