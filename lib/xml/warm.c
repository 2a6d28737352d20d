// SPDX-License-Identifier: LGPL-2.1-or-later
// The XML of machines that go on from kept memory.
#include "xml/warm.h"

#include "base/error.h"
#include "xml/metadata.h"

static void
drop (xmlNode *node)
{
  if (!node)
    return;
  xmlUnlinkNode (node);
  xmlFreeNode (node);
}

char *
_sandbox_xml_without_names (const char *domain_xml, GError **error)
{
  static const char *const paths[] = { "metadata", "title", "description", "devices/disk/source",
                                       "devices/disk/backingStore" };
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("the definition of the domain", domain_xml, error);

  if (!doc)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    drop (sandbox_xml_find (xmlDocGetRootElement (doc), paths[i]));
  return sandbox_xml_to_string (doc);
}

char *
_sandbox_xml_restored (const char *saved_xml, const SandboxPlan *plan, GError **error)
{
  g_autofree char *path = g_build_filename (plan->pool_path, plan->disk_volume, NULL);
  g_autoptr (GPtrArray) below = g_ptr_array_new ();
  g_autofree char *xml = NULL;
  g_autoptr (xmlDoc) doc = NULL;
  xmlNode *domain, *machine;

  for (char **layer = plan->layers; *layer; layer++)
    g_ptr_array_add (below, *layer);
  g_ptr_array_add (below, plan->image_disk);
  g_ptr_array_add (below, NULL);
  xml = _sandbox_xml_with_disk (saved_xml, path, (const char *const *)below->pdata, error);
  doc = xml ? sandbox_xml_parse ("the definition that was saved", xml, error) : NULL;
  if (!doc)
    return NULL;
  domain = xmlDocGetRootElement (doc);
  drop (sandbox_xml_find (domain, "os/cmdline"));
  sandbox_xml_add_text (sandbox_xml_find (domain, "os"), "cmdline", plan->cmdline, NULL);
  drop (sandbox_xml_find (domain, "metadata"));
  _sandbox_metadata_add_domain (domain, plan);
  machine = sandbox_xml_find (domain, "metadata/machine");
  sandbox_xml_add_text (machine, "started", "warm", NULL);
  return sandbox_xml_to_string (doc);
}
