// SPDX-License-Identifier: LGPL-2.1-or-later
// Every golden XML against libvirt's own RelaxNG, and checked-in files that it must refuse.
#include "../golden/cases.h"

#include "xml/xml-private.h"

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <string.h>

#define SCHEMAS "/usr/share/libvirt/schemas"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (xmlRelaxNG, xmlRelaxNGFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (xmlRelaxNGParserCtxt, xmlRelaxNGFreeParserCtxt)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (xmlRelaxNGValidCtxt, xmlRelaxNGFreeValidCtxt)

static void
ignore (void *data, const xmlError *problem)
{
}

static xmlRelaxNG *
load_schema (const char *kind)
{
  g_autofree char *path = g_strdup_printf ("%s/%s.rng", SCHEMAS, kind);
  g_autoptr (xmlRelaxNGParserCtxt) parser = xmlRelaxNGNewParserCtxt (path);
  xmlRelaxNG *schema = xmlRelaxNGParse (parser);

  g_assert_nonnull (schema);
  return schema;
}

static gboolean
is_valid (xmlRelaxNG *schema, const char *text)
{
  g_autoptr (xmlDoc) doc = xmlReadMemory (text, (int)strlen (text), NULL, NULL, XML_PARSE_NONET);
  g_autoptr (xmlRelaxNGValidCtxt) context = xmlRelaxNGNewValidCtxt (schema);

  g_assert_nonnull (doc);
  xmlRelaxNGSetValidStructuredErrors (context, (xmlStructuredErrorFunc)(void (*) (void))ignore,
                                      NULL);
  return xmlRelaxNGValidateDoc (context, doc) == 0;
}

static gboolean
have_schemas (void)
{
  if (g_file_test (SCHEMAS "/domain.rng", G_FILE_TEST_EXISTS))
    return TRUE;
  g_test_skip ("libvirt's schemas are not in " SCHEMAS " (Debian package libvirt0)");
  return FALSE;
}

static void
check_files (const char *dir, const char *suffix, const char *kind, const char *prefix,
             gboolean expected)
{
  g_autoptr (GPtrArray) names = golden_names (dir, suffix);
  g_autoptr (xmlRelaxNG) schema = load_schema (kind);
  guint checked = 0;

  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *file = g_strconcat (g_ptr_array_index (names, i), suffix, NULL);
      g_autofree char *path = g_build_filename (dir, file, NULL);
      g_autofree char *text = NULL;
      g_autoptr (GError) error = NULL;

      if (!g_str_has_prefix (file, prefix))
        continue;
      g_file_get_contents (path, &text, NULL, &error);
      g_assert_no_error (error);
      if (is_valid (schema, text) != expected)
        g_test_fail_printf ("%s is %s to %s.rng", file, expected ? "not valid" : "valid", kind);
      checked++;
    }
  g_assert_cmpuint (checked, >, 0);
}

static void
test_golden (void)
{
  g_autofree char *dir = golden_dir ();

  if (!have_schemas ())
    return;
  check_files (dir, ".domain.xml", "domain", "", TRUE);
  check_files (dir, ".network.xml", "network", "", TRUE);
  check_files (dir, ".filter.xml", "nwfilter", "", TRUE);
  check_files (dir, ".volume.xml", "storagevol", "", TRUE);
}

static void
test_others (void)
{
  g_autoptr (xmlRelaxNG) volume = NULL, pool = NULL;
  g_autofree char *raw = _sandbox_xml_raw_volume ("vms-1000-work.seed", 10240, 0600);
  g_autofree char *image = _sandbox_xml_image_volume ("image.x.qcow2", 8589934592, 0444);
  g_autofree char *dir = _sandbox_xml_pool ("vms", "/var/lib/libvirt/images/vms", NULL, 64055);

  if (!have_schemas ())
    return;
  volume = load_schema ("storagevol");
  pool = load_schema ("storagepool");
  g_assert_true (is_valid (volume, raw));
  g_assert_true (is_valid (volume, image));
  g_assert_true (is_valid (pool, dir));
}

static void
test_invalid (void)
{
  g_autofree char *dir = g_test_build_filename (G_TEST_DIST, "schema", NULL);
  static const char *const kinds[] = { "domain", "network", "storagevol", "storagepool" };
  g_autoptr (GPtrArray) names = golden_names (dir, "-invalid.xml");
  guint known = 0;

  if (!have_schemas ())
    return;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *prefix = g_strconcat (kinds[i], "-", NULL);

      check_files (dir, "-invalid.xml", kinds[i], prefix, FALSE);
      for (guint j = 0; j < names->len; j++)
        known += g_str_has_prefix (g_ptr_array_index (names, j), prefix);
    }
  /* one of no kind would never be looked at */
  g_assert_cmpuint (known, ==, names->len);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/golden", test_golden);
  g_test_add_func ("/schema/others", test_others);
  g_test_add_func ("/schema/invalid", test_invalid);
  return g_test_run ();
}
