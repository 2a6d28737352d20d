// SPDX-License-Identifier: LGPL-2.1-or-later
// XML in and out through libxml2's tree, with the limits that text from outside needs.
#include "base/xml.h"

#include "base/error.h"
#include "base/names.h"

#include <libxml/parser.h>
#include <libxml/xmlsave.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (xmlParserCtxt, xmlFreeParserCtxt)

#define xml_autochar __attribute__ ((cleanup (free_xml_char)))

static void
free_xml_char (xmlChar **text)
{
  if (*text)
    xmlFree (*text);
}

/* A DOCTYPE is where entities are declared: end before the first of them is looked at. */
static void
refuse_doctype (void *data, const xmlChar *name, const xmlChar *external_id,
                const xmlChar *system_id)
{
  xmlParserCtxt *parser = data;

  parser->_private = parser;
  xmlStopParser (parser);
}

/* Errors are returned, never printed, whatever the caller's program has set up. */
static void
ignore_error (void *data, const xmlError *problem)
{
}

static gboolean
fail_xml (GError **error, const char *what, xmlParserCtxt *parser)
{
  const xmlError *problem = xmlCtxtGetLastError (parser);
  g_autofree char *text = NULL;

  if (parser->_private)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading %s: a DOCTYPE is not allowed",
                         what);
  if (!problem || !problem->message)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading %s: it is not XML", what);
  text = g_strchomp (g_strdup (problem->message));
  {
    g_autofree char *shown = sandbox_escape (text, -1, 200);

    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading %s: line %d: %s", what,
                         problem->line, shown);
  }
}

xmlDoc *
sandbox_xml_parse (const char *what, const char *text, GError **error)
{
  g_autoptr (xmlParserCtxt) parser = NULL;
  g_autoptr (xmlDoc) doc = NULL;
  gsize length = strlen (text);

  if (length > SANDBOX_XML_MAX)
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading %s: it is larger than %d bytes", what,
                    SANDBOX_XML_MAX);
      return NULL;
    }
  parser = xmlNewParserCtxt ();
  if (!parser)
    g_error ("out of memory");
  parser->sax->internalSubset = refuse_doctype;
  parser->sax->serror = (xmlStructuredErrorFunc)(void (*) (void))ignore_error;
  doc = xmlCtxtReadMemory (parser, text, (int)length, NULL, "UTF-8",
                           XML_PARSE_NONET | XML_PARSE_NOBLANKS | XML_PARSE_NOERROR
                               | XML_PARSE_NOWARNING);
  if (!doc || parser->_private || !parser->wellFormed || !xmlDocGetRootElement (doc))
    {
      fail_xml (error, what, parser);
      return NULL;
    }
  return g_steal_pointer (&doc);
}

static void
add_attributes (xmlNode *node, va_list args)
{
  for (const char *name = va_arg (args, const char *); name; name = va_arg (args, const char *))
    {
      const char *value = va_arg (args, const char *);

      if (value)
        xmlNewProp (node, BAD_CAST name, BAD_CAST value);
    }
}

xmlNode *
sandbox_xml_add (xmlNode *parent, const char *name, ...)
{
  xmlNode *node = xmlNewChild (parent, NULL, BAD_CAST name, NULL);
  va_list args;

  va_start (args, name);
  add_attributes (node, args);
  va_end (args);
  return node;
}

xmlNode *
sandbox_xml_add_text (xmlNode *parent, const char *name, const char *text, ...)
{
  xmlNode *node = xmlNewTextChild (parent, NULL, BAD_CAST name, BAD_CAST text);
  va_list args;

  va_start (args, text);
  add_attributes (node, args);
  va_end (args);
  return node;
}

char *
sandbox_xml_to_string (xmlDoc *doc)
{
  xmlBuffer *buffer = xmlBufferCreate ();
  xmlSaveCtxt *save = xmlSaveToBuffer (buffer, "UTF-8", XML_SAVE_FORMAT | XML_SAVE_NO_DECL);
  char *text;

  xmlSaveDoc (save, doc);
  xmlSaveClose (save);
  text = g_strdup ((const char *)xmlBufferContent (buffer));
  xmlBufferFree (buffer);
  return text;
}

/* libvirt's elements have no namespace and ours have ours; equal names of others are something
 * else. */
static gboolean
is_named (const xmlNode *node, const char *name)
{
  return node->type == XML_ELEMENT_NODE && g_str_equal (node->name, name)
         && (!node->ns || g_str_equal (node->ns->href, SANDBOX_XMLNS));
}

/* Adds what matches the rest of the path to @found until there are @max. Depth is that of the path.
 */
static void
collect (xmlNode *node, char **path, gsize max, GPtrArray *found)
{
  for (xmlNode *child = node->children; child && found->len < max; child = child->next)
    {
      if (!is_named (child, path[0]))
        continue;
      if (path[1])
        collect (child, path + 1, max, found);
      else
        g_ptr_array_add (found, child);
    }
}

static GPtrArray *
find_up_to (xmlNode *node, const char *path, gsize max)
{
  GPtrArray *found = g_ptr_array_new ();
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);

  if (node && parts[0])
    collect (node, parts, max, found);
  return found;
}

xmlNode *
sandbox_xml_find (xmlNode *node, const char *path)
{
  g_autoptr (GPtrArray) found = find_up_to (node, path, 1);

  return found->len > 0 ? g_ptr_array_index (found, 0) : NULL;
}

GPtrArray *
sandbox_xml_find_all (xmlNode *node, const char *path)
{
  return find_up_to (node, path, G_MAXSIZE);
}

char *
sandbox_xml_get_attr (xmlNode *node, const char *name)
{
  xml_autochar xmlChar *value = node ? xmlGetNoNsProp (node, BAD_CAST name) : NULL;

  return g_strdup ((const char *)value);
}

char *
sandbox_xml_get_text (xmlNode *node)
{
  xml_autochar xmlChar *value = node ? xmlNodeGetContent (node) : NULL;

  return g_strdup ((const char *)value);
}

char *
sandbox_xml_dup (xmlNode *node, const char *path, const char *attr)
{
  xmlNode *found = sandbox_xml_find (node, path);

  return attr ? sandbox_xml_get_attr (found, attr) : sandbox_xml_get_text (found);
}
