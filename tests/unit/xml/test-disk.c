// SPDX-License-Identifier: LGPL-2.1-or-later
// The disk of a domain as a chain of layers: exchanged, read back, and refused when it is not
// whole.
#include "base/error.h"
#include "base/xml.h"
#include "xml/allowed.h"
#include "xml/xml-private.h"

#include <string.h>

/* What libvirt gave back for a machine that is off. */
static char *
read_defined (void)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "unit", "xml", "defined.xml", NULL);
  g_autoptr (GError) error = NULL;
  char *text;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

/* With @n layers below the top. */
static char *
with_layers (guint n)
{
  g_autofree char *defined = read_defined ();
  g_autoptr (GPtrArray) below = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  char *xml;

  for (guint i = 0; i < n; i++)
    g_ptr_array_add (below, g_strdup_printf ("/pool/%u.qcow2", i));
  g_ptr_array_add (below, NULL);
  xml = _sandbox_xml_with_disk (defined, "/pool/top & co.qcow2", (const char *const *)below->pdata,
                                &error);
  g_assert_no_error (error);
  return xml;
}

static void
test_exchange (void)
{
  for (guint n = 0; n <= 160; n = n * 2 + 1)
    {
      g_autofree char *xml = with_layers (n);
      g_autofree char *path = _sandbox_xml_disk_path (xml);
      g_autoptr (xmlDoc) doc = sandbox_xml_parse ("test", xml, NULL);
      xmlNode *layer = sandbox_xml_find (xmlDocGetRootElement (doc), "devices/disk");
      g_autoptr (GError) error = NULL;

      g_assert_cmpstr (path, ==, "/pool/top & co.qcow2");
      for (guint i = 0; i < n; i++)
        {
          g_autofree char *want = g_strdup_printf ("/pool/%u.qcow2", i), *file = NULL;
          g_autofree char *format = NULL;

          layer = sandbox_xml_find (layer, "backingStore");
          file = sandbox_xml_dup (layer, "source", "file");
          format = sandbox_xml_dup (layer, "format", "type");
          g_assert_cmpstr (file, ==, want);
          g_assert_cmpstr (format, ==, "qcow2");
        }
      layer = sandbox_xml_find (layer, "backingStore");
      /* without a layer nothing says where the chain ends: that is libvirt's to find out */
      g_assert_true ((layer == NULL) == (n == 0));
      g_assert_true (layer == NULL || layer->children == NULL);
      g_assert_true (_sandbox_xml_check_defined (xml, &error));
      g_assert_no_error (error);
    }
}

static void
test_refused (void)
{
  static const struct
  {
    const char *from, *to;
  } changes[] = {
    /* no end, so that the last layer's header would be asked */
    { "<source file=\"/pool/2.qcow2\"/>\n          <backingStore/>",
      "<source file=\"/pool/2.qcow2\"/>" },
    /* an end and a layer */
    { "<source file=\"/pool/1.qcow2\"/>", "<source file=\"/pool/1.qcow2\"/><backingStore/>" },
    /* two layers */
    { "<source file=\"/pool/2.qcow2\"/>",
      "<source file=\"/pool/2.qcow2\"/><backingStore type=\"file\"><format type=\"qcow2\"/><source "
      "file=\"/x\"/><backingStore/></backingStore>" },
    /* no format, another one, another kind of source, a device */
    { "<format type=\"qcow2\"/>\n          <source file=\"/pool/2.qcow2\"/>",
      "<source file=\"/pool/2.qcow2\"/>" },
    { "<format type=\"qcow2\"/>\n          <source file=\"/pool/2.qcow2\"/>",
      "<format type=\"raw\"/><source file=\"/pool/2.qcow2\"/>" },
    { "<backingStore type=\"file\">\n          <format type=\"qcow2\"/>\n          <source "
      "file=\"/pool/2.qcow2\"/>",
      "<backingStore type=\"network\">\n          <format type=\"qcow2\"/>\n          <source "
      "file=\"/pool/2.qcow2\"/>" },
    { "/pool/2.qcow2", "/dev/sda" },
    { "/pool/2.qcow2", "/etc/shadow" },
  };
  g_autofree char *xml = with_layers (3);
  guint seen = 0;

  g_assert_true (_sandbox_xml_check_defined (xml, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      g_autoptr (GString) text = g_string_new (xml);
      g_autoptr (GError) error = NULL;
      g_autofree char *from = NULL;

      /* the blanks of the document are not what this is about */
      g_autoptr (GRegex) blanks = g_regex_new (">\\s+<", 0, 0, NULL);
      g_autofree char *flat = g_regex_replace_literal (blanks, xml, -1, 0, "><", 0, NULL);

      from = g_regex_replace_literal (blanks, changes[i].from, -1, 0, "><", 0, NULL);
      g_string_assign (text, flat);
      g_assert_cmpuint (g_string_replace (text, from, changes[i].to, 1), ==, 1);
      g_assert_false (_sandbox_xml_check_defined (text->str, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      seen++;
    }
  g_assert_cmpuint (seen, ==, G_N_ELEMENTS (changes));
}

static void
test_too_many_disks (void)
{
  static const char *const none[] = { NULL };
  g_autoptr (GError) error = NULL;
  g_autofree char *two = _sandbox_xml_with_disk (
      "<domain><devices><disk/><disk/></devices></domain>", "/x", none, &error);
  g_autofree char *no_xml = NULL;

  g_assert_null (two);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_clear_error (&error);
  no_xml = _sandbox_xml_with_disk ("<domain>", "/x", none, &error);
  g_assert_null (no_xml);
  g_assert_nonnull (error);
  g_assert_null (_sandbox_xml_disk_path ("<domain/>"));
}

/* Each device is one more that reads what a guest wrote. */
static void
test_merge_domain (void)
{
  static const char *const below[] = { "/pool/1.qcow2", "/pool/image.qcow2", NULL };
  g_autofree char *xml = _sandbox_xml_merge_domain ("vms-7-work.merge", "/pool/2.qcow2", below);
  static const char *const lacks[] = { "interface", "filesystem", "graphics",
                                       "serial",    "kernel",     "sysinfo" };

  g_assert_nonnull (strstr (xml, "<source file=\"/pool/2.qcow2\"/>"));
  g_assert_nonnull (strstr (xml, "<source file=\"/pool/image.qcow2\"/>"));
  for (gsize i = 0; i < G_N_ELEMENTS (lacks); i++)
    g_assert_null (strstr (xml, lacks[i]));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/disk/exchange", test_exchange);
  g_test_add_func ("/disk/refused", test_refused);
  g_test_add_func ("/disk/too-many-disks", test_too_many_disks);
  g_test_add_func ("/disk/merge-domain", test_merge_domain);
  return g_test_run ();
}
