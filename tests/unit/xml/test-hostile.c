// SPDX-License-Identifier: LGPL-2.1-or-later
// Hostile text in every string of a plan: it arrives as the text that it is, and adds no element.
#include "../plan/support.h"

#include "base/xml.h"
#include "xml/xml-private.h"

#include <string.h>

#define MARKER "MARKER"

/* The strings of a plan that stand in XML as they are. */
#define FIELD(member)                                                                              \
  {                                                                                                \
#member, G_STRUCT_OFFSET(SandboxPlan, member)                                                  \
  }
static const struct
{
  const char *name;
  gsize offset;
} fields[] = {
  FIELD (name),           FIELD (owner),        FIELD (profile),  FIELD (summary),
  FIELD (object),         FIELD (arch),         FIELD (emulator), FIELD (machine),
  FIELD (accel_reason),   FIELD (user),         FIELD (image_id), FIELD (image_disk),
  FIELD (image_kernel),   FIELD (image_initrd), FIELD (cmdline),  FIELD (disk_volume),
  FIELD (seed_volume),    FIELD (pool_path),    FIELD (bridge),   FIELD (gateway),
  FIELD (profile_digest),
};

static const char *const hostile[] = {
  "<",
  ">&\"'",
  "]]>",
  "<![CDATA[x]]>",
  "&amp;&lt;&#10;&#x41;",
  "&entity;",
  "%p;",
  "</description><devices><hostdev mode='subsystem'/></devices>",
  "'/><hostdev mode='subsystem'/><x y='",
  "\"/><hostdev mode=\"subsystem\"/><x y=\"",
  "<!DOCTYPE domain [<!ENTITY x SYSTEM \"file:///etc/hostname\">]>",
  "<?php evil ?>",
  "<!-- -- -->",
  "--><x/><!--",
  "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
  " blank at both ends ",
  " ",
  "tab\tnew\nline",
  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xa9",
  "%s%n%x\\n\\0",
  "$(id) `id` ;id |id",
};

typedef char *(*Build) (const SandboxPlan *plan);

static void
collect (xmlNode *node, GPtrArray *values, guint *count)
{
  gboolean leaf = TRUE;

  (*count)++;
  for (xmlAttr *attr = node->properties; attr; attr = attr->next)
    g_ptr_array_add (values, sandbox_xml_get_attr (node, (const char *)attr->name));
  for (xmlNode *child = node->children; child; child = child->next)
    {
      /* nothing that we write makes comments, instructions or references */
      g_assert_true (child->type == XML_ELEMENT_NODE || child->type == XML_TEXT_NODE);
      if (child->type == XML_ELEMENT_NODE)
        {
          leaf = FALSE;
          collect (child, values, count);
        }
    }
  if (leaf)
    g_ptr_array_add (values, sandbox_xml_get_text (node));
}

/* Every attribute and text of the document, in order. */
static GPtrArray *
read_values (const char *text, guint *count)
{
  GPtrArray *values = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("what was built", text, &error);

  g_assert_no_error (error);
  *count = 0;
  collect (xmlDocGetRootElement (doc), values, count);
  return values;
}

static char *
build_with (SandboxPlan *plan, char **field, const char *value, Build build)
{
  char *old = *field;
  char *text;

  *field = (char *)value;
  text = build (plan);
  *field = old;
  return text;
}

static char *
replace (const char *text, const char *value)
{
  g_auto (GStrv) parts = g_strsplit (text, MARKER, -1);

  return g_strjoinv (value, parts);
}

/* Returns how often the field stands in the document. */
static guint
check_field (SandboxPlan *plan, char **field, Build build)
{
  g_autofree char *plain = build_with (plan, field, MARKER, build);
  guint count, seen = 0;
  g_autoptr (GPtrArray) expected = read_values (plain, &count);

  for (guint i = 0; i < expected->len; i++)
    seen += strstr (g_ptr_array_index (expected, i), MARKER) != NULL;
  for (guint n = 0; n < G_N_ELEMENTS (hostile); n++)
    {
      g_autofree char *text = build_with (plan, field, hostile[n], build);
      guint hostile_count;
      g_autoptr (GPtrArray) values = read_values (text, &hostile_count);

      g_assert_cmpuint (hostile_count, ==, count);
      g_assert_cmpuint (values->len, ==, expected->len);
      for (guint i = 0; i < values->len; i++)
        {
          g_autofree char *want = replace (g_ptr_array_index (expected, i), hostile[n]);

          g_assert_cmpstr (g_ptr_array_index (values, i), ==, want);
        }
    }
  return seen;
}

static void
test_plan_fields (void)
{
  static const Build builds[] = { _sandbox_xml_domain, _sandbox_xml_network,
                                  _sandbox_xml_disk_volume };
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      guint seen = 0;

      for (guint b = 0; b < G_N_ELEMENTS (builds); b++)
        seen += check_field (plan, G_STRUCT_MEMBER_P (plan, fields[i].offset), builds[b]);
      /* a field that is nowhere would pass everything above */
      if (seen == 0)
        g_test_fail_printf ("%s is in no document", fields[i].name);
    }
}

static void
test_share_fields (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  SandboxPlanShare *share = g_ptr_array_index (plan->shares, 0);

  g_assert_cmpuint (check_field (plan, &share->tag, _sandbox_xml_domain), ==, 2);
  g_assert_cmpuint (check_field (plan, &share->source, _sandbox_xml_domain), ==, 1);
  g_assert_cmpuint (check_field (plan, &share->door, _sandbox_xml_domain), ==, 1);
  g_assert_cmpuint (check_field (plan, &share->target, _sandbox_xml_domain), ==, 1);
}

static char *
build_raw (const SandboxPlan *plan)
{
  return _sandbox_xml_raw_volume (plan->name, 1, 0600);
}

static char *
build_image (const SandboxPlan *plan)
{
  return _sandbox_xml_image_volume (plan->name, 1, 0400);
}

static char *
build_pool (const SandboxPlan *plan)
{
  return _sandbox_xml_pool (plan->name, plan->name, NULL, 7);
}

static void
test_volumes (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");

  g_assert_cmpuint (check_field (plan, &plan->name, build_raw), ==, 1);
  g_assert_cmpuint (check_field (plan, &plan->name, build_image), ==, 1);
  g_assert_cmpuint (check_field (plan, &plan->name, build_pool), ==, 2);
}

/* What we wrote into the metadata is what we read back from it. */
static void
test_metadata (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  SandboxPlanShare *share = g_ptr_array_index (plan->shares, 0);

  for (guint n = 0; n < G_N_ELEMENTS (hostile); n++)
    {
      char **texts[] = { &plan->owner, &plan->name,     &plan->profile,
                         &share->tag,  &plan->image_id, &plan->accel_reason,
                         &plan->user,  &share->source,  &share->target };
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxDomainMeta) meta = NULL;
      g_autofree char *xml = NULL;
      const SandboxPlanShare *again;

      for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
        {
          g_free (*texts[i]);
          *texts[i] = g_strdup (hostile[n]);
        }
      xml = _sandbox_xml_domain (plan);
      meta = _sandbox_xml_read_domain (xml, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (meta->owner, ==, hostile[n]);
      g_assert_cmpstr (meta->name, ==, hostile[n]);
      g_assert_cmpstr (meta->profile, ==, hostile[n]);
      g_assert_cmpstr (meta->image_id, ==, hostile[n]);
      g_assert_cmpstr (meta->accel_reason, ==, hostile[n]);
      g_assert_cmpstr (meta->user, ==, hostile[n]);
      g_assert_cmpuint (meta->shares->len, ==, 1);
      again = g_ptr_array_index (meta->shares, 0);
      g_assert_cmpstr (again->tag, ==, hostile[n]);
      g_assert_cmpstr (again->source, ==, hostile[n]);
      g_assert_cmpstr (again->target, ==, hostile[n]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hostile/plan-fields", test_plan_fields);
  g_test_add_func ("/hostile/share-fields", test_share_fields);
  g_test_add_func ("/hostile/volumes", test_volumes);
  g_test_add_func ("/hostile/metadata", test_metadata);
  return g_test_run ();
}
