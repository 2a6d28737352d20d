// SPDX-License-Identifier: LGPL-2.1-or-later
// Our own element in libvirt's metadata, written and read back by one table.
#include "xml/metadata.h"

#include "base/units.h"

typedef struct
{
  const char *element;
  gsize offset; /* in SandboxDomainMeta */
  gboolean number;
} MetaField;

#define TEXT(element, member)                                                                      \
  {                                                                                                \
    element, G_STRUCT_OFFSET (SandboxDomainMeta, member), FALSE                                    \
  }
#define NUMBER(element, member)                                                                    \
  {                                                                                                \
    element, G_STRUCT_OFFSET (SandboxDomainMeta, member), TRUE                                     \
  }

static const MetaField fields[] = {
  TEXT ("owner", owner),     TEXT ("name", name),
  TEXT ("profile", profile), TEXT ("profile-digest", profile_digest),
  TEXT ("image", image_id),  TEXT ("subnet", subnet),
  TEXT ("accel", accel),     TEXT ("accel-reason", accel_reason),
  TEXT ("user", user),       NUMBER ("uid", uid),
  NUMBER ("gid", gid),
};

xmlDoc *
_sandbox_xml_new (const char *root, xmlNode **ret_root)
{
  xmlDoc *doc = xmlNewDoc (BAD_CAST "1.0");

  *ret_root = xmlNewDocNode (doc, NULL, BAD_CAST root, NULL);
  xmlDocSetRootElement (doc, *ret_root);
  return doc;
}

const char *
_sandbox_xml_number (char buffer[24], guint64 value)
{
  g_snprintf (buffer, 24, "%" G_GUINT64_FORMAT, value);
  return buffer;
}

/* The element in our namespace; its children inherit it. */
static xmlNode *
add_root (xmlNode *parent, const char *name)
{
  xmlNode *metadata = sandbox_xml_add (parent, "metadata", NULL);
  xmlNode *root = sandbox_xml_add (metadata, name, NULL);
  char number[24];

  xmlSetNs (root, xmlNewNs (root, BAD_CAST SANDBOX_XMLNS, BAD_CAST "sandbox"));
  xmlNewProp (root, BAD_CAST "version",
              BAD_CAST _sandbox_xml_number (number, SANDBOX_METADATA_VERSION));
  return root;
}

void
_sandbox_metadata_add_share (xmlNode *root, const SandboxPlanShare *share)
{
  xmlNode *node = sandbox_xml_add (
      root, "share", "name", share->tag, "source", share->source, "target", share->target, "mode",
      _sandbox_share_mode_to_string (share->mode), "create", share->create ? "yes" : "no", NULL);

  if (*share->shadow)
    xmlNewProp (node, BAD_CAST "shadow", BAD_CAST share->shadow);
  if (*share->guard)
    xmlNewProp (node, BAD_CAST "guard", BAD_CAST share->guard);
  if (*share->flag)
    xmlNewProp (node, BAD_CAST "flag", BAD_CAST share->flag);
}

void
_sandbox_metadata_add_domain (xmlNode *domain, const SandboxPlan *plan)
{
  xmlNode *root = add_root (domain, "machine");
  g_autofree char *address = sandbox_address_format (plan->subnet.address);
  g_autofree char *subnet = g_strdup_printf ("%s/%u", address, plan->subnet.bits);
  SandboxDomainMeta meta = {
    .owner = plan->owner,
    .name = plan->name,
    .profile = plan->profile,
    .profile_digest = plan->profile_digest,
    .image_id = plan->image_id,
    .subnet = subnet,
    .accel = (char *)_sandbox_accel_to_string (plan->accel),
    .accel_reason = plan->accel_reason,
    .user = plan->user,
    .uid = plan->uid,
    .gid = plan->gid,
  };
  char number[24];

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      gconstpointer value = G_STRUCT_MEMBER_P (&meta, fields[i].offset);

      sandbox_xml_add_text (root, fields[i].element,
                            fields[i].number ? _sandbox_xml_number (number, *(const guint *)value)
                                             : *(char *const *)value,
                            NULL);
    }
  sandbox_xml_add_text (root, "disk-bytes", _sandbox_xml_number (number, plan->disk_bytes), NULL);
  sandbox_xml_add_text (root, "reaches", plan->reaches, NULL);
  for (guint i = 0; i < plan->shares->len; i++)
    _sandbox_metadata_add_share (root, g_ptr_array_index (plan->shares, i));
}

void
_sandbox_metadata_add_network (xmlNode *network, const SandboxPlan *plan)
{
  xmlNode *root = add_root (network, "network");

  sandbox_xml_add_text (root, "owner", plan->owner, NULL);
  sandbox_xml_add_text (root, "name", plan->name, NULL);
}

static char *
dup_or_empty (xmlNode *node, const char *path, const char *attr)
{
  char *text = sandbox_xml_dup (node, path, attr);

  return text ? text : g_strdup ("");
}

/* What is no number is 0: the element is ours, but anybody may have edited it. */
static guint64
read_number (xmlNode *node, const char *path, const char *attr, guint64 max)
{
  g_autofree char *text = dup_or_empty (node, path, attr);
  guint64 value = 0;

  return sandbox_uint_parse (text, 0, max, &value, NULL) ? value : 0;
}

static char *
attr_or_empty (xmlNode *node, const char *name)
{
  char *value = sandbox_xml_get_attr (node, name);

  return value ? value : g_strdup ("");
}

static void
read_shares (SandboxDomainMeta *meta, xmlNode *root)
{
  g_autoptr (GPtrArray) nodes = sandbox_xml_find_all (root, "share");

  meta->shares = g_ptr_array_new_with_free_func (_sandbox_plan_share_free);
  for (guint i = 0; i < nodes->len; i++)
    {
      xmlNode *node = g_ptr_array_index (nodes, i);
      SandboxPlanShare *share = g_new0 (SandboxPlanShare, 1);
      g_autofree char *create = sandbox_xml_get_attr (node, "create");
      g_autofree char *mode = sandbox_xml_get_attr (node, "mode");

      share->tag = sandbox_xml_get_attr (node, "name");
      share->source = sandbox_xml_get_attr (node, "source");
      share->target = sandbox_xml_get_attr (node, "target");
      share->mode = _sandbox_share_mode_from_string (mode);
      share->read_only = _sandbox_share_mode_is_read_only (share->mode);
      share->create = g_strcmp0 (create, "yes") == 0;
      share->shadow = attr_or_empty (node, "shadow");
      share->guard = attr_or_empty (node, "guard");
      share->flag = attr_or_empty (node, "flag");
      if (share->tag && share->source && share->target)
        g_ptr_array_add (meta->shares, share);
      else
        _sandbox_plan_share_free (share);
    }
}

SandboxDomainMeta *
_sandbox_xml_read_domain (const char *domain_xml, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain XML of libvirt", domain_xml, error);
  xmlNode *domain = doc ? xmlDocGetRootElement (doc) : NULL;
  xmlNode *root = sandbox_xml_find (domain, "metadata/machine");
  g_autoptr (SandboxDomainMeta) meta = NULL;

  if (!root)
    return NULL;
  meta = g_new0 (SandboxDomainMeta, 1);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    if (fields[i].number)
      G_STRUCT_MEMBER (guint, meta, fields[i].offset) =
          (guint)read_number (root, fields[i].element, NULL, G_MAXUINT);
    else
      G_STRUCT_MEMBER (char *, meta, fields[i].offset) =
          dup_or_empty (root, fields[i].element, NULL);
  meta->format_version = (guint)read_number (domain, "metadata/machine", "version", G_MAXUINT);
  meta->disk_bytes = read_number (root, "disk-bytes", NULL, G_MAXUINT64);
  meta->disk_path = dup_or_empty (domain, "devices/disk/source", "file");
  meta->started = dup_or_empty (root, "started", NULL);
  meta->reaches = dup_or_empty (root, "reaches", NULL);
  read_shares (meta, root);
  return g_steal_pointer (&meta);
}

void
_sandbox_domain_meta_free (SandboxDomainMeta *meta)
{
  if (!meta)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    if (!fields[i].number)
      g_free (G_STRUCT_MEMBER (char *, meta, fields[i].offset));
  g_free (meta->disk_path);
  g_free (meta->started);
  g_free (meta->reaches);
  g_clear_pointer (&meta->shares, g_ptr_array_unref);
  g_free (meta);
}
