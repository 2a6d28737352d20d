// SPDX-License-Identifier: LGPL-2.1-or-later
// XML: hostile documents are refused, any text survives writing and reading, paths find what they
// should.
#include "base/error.h"
#include "base/xml.h"

#include <string.h>

static void
assert_refused (const char *text, const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("test XML", text, &error);

  g_assert_null (doc);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_true (g_str_has_prefix (error->message, "reading test XML: "));
  if (part)
    g_assert_nonnull (strstr (error->message, part));
}

static void
test_refused (void)
{
  g_autofree char *large = g_strnfill (SANDBOX_XML_MAX + 1, ' ');
  g_autoptr (GString) deep = g_string_new (NULL);

  assert_refused ("", NULL);
  assert_refused ("x", NULL);
  assert_refused ("<a>", NULL);
  assert_refused ("<a></b>", NULL);
  assert_refused ("<a b='1' b='2'/>", NULL);
  assert_refused ("<a>\x01</a>", NULL);
  assert_refused ("<a>\xff</a>", NULL);
  assert_refused ("<a>&nope;</a>", NULL);
  assert_refused ("<a/><b/>", NULL);
  assert_refused ("<!DOCTYPE a><a/>", "DOCTYPE");
  assert_refused ("<!DOCTYPE a SYSTEM 'file:///etc/hostname'><a/>", "DOCTYPE");
  assert_refused ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><a>&x;</a>", "DOCTYPE");
  assert_refused ("<!DOCTYPE a [<!ENTITY x 'xxxxxxxxxx'><!ENTITY y '&x;&x;&x;'>]><a b='&y;'/>",
                  "DOCTYPE");
  assert_refused (large, "larger");
  for (guint i = 0; i < 10000; i++)
    g_string_append (deep, "<a>");
  assert_refused (deep->str, NULL);
}

static void
test_good (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (xmlDoc) doc = sandbox_xml_parse (
      "test XML",
      "<?xml version='1.0'?><!-- <!DOCTYPE x> -->\n<d><e a='&lt;&amp;'>t&#x41;</e>"
      "<e/><v><e a='2'/></v><v><f/><e a='3'/></v></d>",
      &error);
  xmlNode *root;
  g_autofree char *attr = NULL, *text = NULL, *deep = NULL, *none = NULL;
  g_autoptr (GPtrArray) all = NULL;

  g_assert_no_error (error);
  root = xmlDocGetRootElement (doc);
  attr = sandbox_xml_dup (root, "e", "a");
  g_assert_cmpstr (attr, ==, "<&");
  text = sandbox_xml_dup (root, "e", NULL);
  g_assert_cmpstr (text, ==, "tA");
  deep = sandbox_xml_dup (root, "v/e", "a");
  g_assert_cmpstr (deep, ==, "2");
  g_assert_nonnull (sandbox_xml_find (root, "v/f"));
  g_assert_null (sandbox_xml_find (root, "v/g"));
  g_assert_null (sandbox_xml_find (NULL, "v"));
  none = sandbox_xml_dup (root, "v/g", "a");
  g_assert_null (none);
  all = sandbox_xml_find_all (root, "v/e");
  g_assert_cmpuint (all->len, ==, 2);
}

static void
test_namespaces (void)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse (
      "test XML",
      "<d><m><x:i xmlns:x='urn:other'>no</x:i><i xmlns='" SANDBOX_XMLNS "'>yes</i></m></d>", NULL);
  g_autofree char *text = sandbox_xml_dup (xmlDocGetRootElement (doc), "m/i", NULL);

  g_assert_cmpstr (text, ==, "yes");
}

static void
test_output (void)
{
  g_autoptr (xmlDoc) doc = xmlNewDoc (BAD_CAST "1.0");
  xmlNode *root = xmlNewDocNode (doc, NULL, BAD_CAST "d", NULL);
  xmlNode *child;
  g_autofree char *text = NULL;

  xmlDocSetRootElement (doc, root);
  child = sandbox_xml_add (root, "e", "a", "x&<\"'", "none", NULL, "b", "\xc3\xa9", NULL);
  sandbox_xml_add_text (child, "t", "]]> & <!-- --", NULL);
  sandbox_xml_add (root, "empty", NULL);
  text = sandbox_xml_to_string (doc);
  g_assert_cmpstr (text, ==,
                   "<d>\n  <e a=\"x&amp;&lt;&quot;'\" b=\"\xc3\xa9\">\n"
                   "    <t>]]&gt; &amp; &lt;!-- --</t>\n  </e>\n  <empty/>\n</d>\n");
}

/* A random text of characters that XML can carry, with those that have a meaning in it often. */
static char *
random_text (void)
{
  static const char *const pieces[] = { "<",      ">",    "&",  "\"",        "'",
                                        "]]>",    "<!--", "--", "<![CDATA[", "&amp;",
                                        "&#65;",  "%x;",  "a",  "\xc3\xa9",  "\xf0\x9f\x98\x80",
                                        " ",      "\n",   "\t", "{}",        "xmlns:q=",
                                        "<?pi?>", "\r" };
  GString *text = g_string_new ("x");

  for (gint32 n = g_test_rand_int_range (0, 12); n > 0; n--)
    g_string_append (text, pieces[g_test_rand_int_range (0, G_N_ELEMENTS (pieces))]);
  return g_string_free (text, FALSE);
}

static void
test_round_trip (void)
{
  for (guint i = 0; i < 2000; i++)
    {
      g_autoptr (xmlDoc) doc = xmlNewDoc (BAD_CAST "1.0");
      xmlNode *root = xmlNewDocNode (doc, NULL, BAD_CAST "d", NULL);
      g_autofree char *attr = random_text (), *content = random_text ();
      g_autofree char *text = NULL, *attr_again = NULL, *content_again = NULL;
      g_autoptr (xmlDoc) again = NULL;

      xmlDocSetRootElement (doc, root);
      sandbox_xml_add_text (root, "e", content, "a", attr, NULL);
      text = sandbox_xml_to_string (doc);
      again = sandbox_xml_parse ("own XML", text, NULL);
      g_assert_nonnull (again);
      root = xmlDocGetRootElement (again);
      g_assert_cmpuint (xmlChildElementCount (root), ==, 1);
      g_assert_cmpuint (xmlChildElementCount (xmlFirstElementChild (root)), ==, 0);
      attr_again = sandbox_xml_dup (root, "e", "a");
      content_again = sandbox_xml_dup (root, "e", NULL);
      g_assert_cmpstr (attr_again, ==, attr);
      g_assert_cmpstr (content_again, ==, content);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/refused", test_refused);
  g_test_add_func ("/xml/good", test_good);
  g_test_add_func ("/xml/namespaces", test_namespaces);
  g_test_add_func ("/xml/output", test_output);
  g_test_add_func ("/xml/round-trip", test_round_trip);
  return g_test_run ();
}
