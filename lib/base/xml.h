// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading and writing XML with libxml2's tree: nothing is glued from strings.
#pragma once

#include <glib.h>
#include <libxml/tree.h>

#define SANDBOX_XML_MAX (1024 * 1024)
#define SANDBOX_XMLNS   "urn:libsandbox:1"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (xmlDoc, xmlFreeDoc)
/* No network, no entities, no DOCTYPE, at most SANDBOX_XML_MAX bytes. @what for the message
 * ("domain XML of libvirt"). */
xmlDoc *sandbox_xml_parse (const char *what, const char *text, GError **error);
/* New child element, with NULL-terminated pairs of attribute name, value (a NULL value leaves the
 * attribute out). */
xmlNode *sandbox_xml_add (xmlNode *parent, const char *name, ...) G_GNUC_NULL_TERMINATED;
xmlNode *sandbox_xml_add_text (xmlNode *parent, const char *name, const char *text,
                               ...) G_GNUC_NULL_TERMINATED;
/* The document as indented text without XML declaration. */
char *sandbox_xml_to_string (xmlDoc *doc);
/* First element of a simple path ("devices/disk/source") below @node; NULL if none. */
xmlNode *sandbox_xml_find (xmlNode *node, const char *path);
/* All elements of that path, in document order. (transfer container) */
GPtrArray *sandbox_xml_find_all (xmlNode *node, const char *path);
/* (transfer full) (nullable) */
char *sandbox_xml_get_attr (xmlNode *node, const char *name);
char *sandbox_xml_get_text (xmlNode *node);
/* Attribute of the element at path: sandbox_xml_dup (root, "devices/disk/source", "file"); attr
 * NULL: its text. */
char *sandbox_xml_dup (xmlNode *node, const char *path, const char *attr);
