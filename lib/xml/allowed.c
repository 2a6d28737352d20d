// SPDX-License-Identifier: LGPL-2.1-or-later
// A domain's XML compared with the list of what it may hold. The list stands apart from the code
// that writes the XML: a text of a profile that became an element, or a device that a change adds
// by mistake, is not on it and is refused before libvirt sees it.
#include "xml/allowed.h"

#include "base/error.h"
#include "base/names.h"
#include "base/units.h"
#include "base/xml.h"
#include "plan/plan-private.h"
#include "xml/allowed-list.h"

#include <string.h>

/* Far more than the list needs, with as many layers of a disk as libvirt takes; what is nested
 * deeper is on no list. */
#define DEPTH_MAX (16 + 200)
#define SHOWN_MAX 200

/* The layers of a disk stand in one another, each under the path of the first. */
#define LAYER      "devices/disk/backingStore"
#define LAYERS_END LAYER "/backingStore"

typedef struct
{
  char *name; /* of the domain */
  char *type;
  gboolean defined; /* as libvirt gives it back */
  gboolean reader;
  GError **error;
  const SandboxAllowed *rows[SANDBOX_ALLOWED_MAX + 1]; /* those that hold, then NULL */
} Check;

static gboolean
only_of (const char *text, const char *characters, gsize most)
{
  gsize length = strlen (text);

  return length > 0 && length <= most && strspn (text, characters) == length;
}

static gboolean
is_any (const Check *check, const char *text)
{
  return TRUE;
}

static gboolean
is_number (const Check *check, const char *text)
{
  guint64 value;

  return sandbox_uint_parse (text, 0, G_MAXUINT64, &value, NULL);
}

static gboolean
is_hex (const Check *check, const char *text)
{
  return g_str_has_prefix (text, "0x") && only_of (text + 2, "0123456789abcdef", 8);
}

static gboolean
is_word (const Check *check, const char *text)
{
  return only_of (text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-", 128);
}

/* Any but those of nested virtualisation. */
static gboolean
is_feature (const Check *check, const char *text)
{
  return is_word (check, text) && !g_str_equal (text, "vmx") && !g_str_equal (text, "svm");
}

static gboolean
is_self (const Check *check, const char *text)
{
  return g_strcmp0 (text, check->name) == 0;
}

static gboolean
is_disk (const Check *check, const char *text)
{
  return g_str_equal (text, "vda")
         || (check->reader && (g_str_equal (text, "vdb") || g_str_equal (text, "vdc")));
}

static gboolean
is_mac (const Check *check, const char *text)
{
  return strlen (text) == 17 && g_str_has_prefix (text, "52:54:00:")
         && only_of (text, "0123456789abcdef:", 17);
}

static gboolean
is_path (const Check *check, const char *text)
{
  g_autofree char *canonical = g_canonicalize_filename (text, "/");

  return *text == '/' && g_str_equal (canonical, text);
}

/* No device: QEMU opens what it is given. */
static gboolean
is_file (const Check *check, const char *text)
{
  static const char *const not_under[] = { "/dev/", "/proc/", "/sys/", "/etc/" };

  for (guint i = 0; i < G_N_ELEMENTS (not_under); i++)
    if (g_str_has_prefix (text, not_under[i]))
      return FALSE;
  return is_path (check, text) && text[1] != '\0';
}

static gboolean
is_tty (const Check *check, const char *text)
{
  return g_str_has_prefix (text, "/dev/pts/") && only_of (text + 9, G_CSET_DIGITS, 8);
}

static gboolean
is_uuid (const Check *check, const char *text)
{
  return strlen (text) == 36 && only_of (text, "0123456789abcdef-", 36);
}

/* QEMU where distributions put it, whose directories only root can write. */
static gboolean
is_emulator (const Check *check, const char *text)
{
  static const char *const dirs[] = { "/usr/bin", "/usr/libexec", "/usr/local/bin",
                                      "/run/libvirt/nix-emulators" };
  static const char *const names[] = { "qemu-system-x86_64", "qemu-system-aarch64", "qemu-kvm" };
  g_autofree char *dir = g_path_get_dirname (text), *name = g_path_get_basename (text);
  gboolean known_dir = FALSE, known_name = FALSE;

  for (guint i = 0; i < G_N_ELEMENTS (dirs); i++)
    known_dir |= g_str_equal (dir, dirs[i]);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    known_name |= g_str_equal (name, names[i]);
  return known_dir && known_name;
}

/* Never virtiofsd itself, which would do as root whatever a guest's root asks for. */
static gboolean
is_helper (const Check *check, const char *text)
{
  return is_file (check, text) && g_str_has_suffix (text, "/vms-virtiofsd");
}

static const struct
{
  const char *word;
  gboolean (*matches) (const Check *check, const char *text);
} value_kinds[] = {
  { "%any", is_any },       { "%number", is_number },     { "%hex", is_hex },
  { "%word", is_word },     { "%self", is_self },         { "%mac", is_mac },
  { "%path", is_path },     { "%file", is_file },         { "%tty", is_tty },
  { "%uuid", is_uuid },     { "%emulator", is_emulator }, { "%feature", is_feature },
  { "%helper", is_helper }, { "%disk", is_disk },
};

static gboolean
matches_one (const Check *check, const char *wanted, const char *text)
{
  for (guint i = 0; i < G_N_ELEMENTS (value_kinds); i++)
    if (g_str_equal (wanted, value_kinds[i].word))
      return value_kinds[i].matches (check, text);
  return g_str_equal (wanted, text);
}

static gboolean
matches (const Check *check, const char *values, const char *text)
{
  g_auto (GStrv) each = g_strsplit (values, "|", -1);

  for (char **value = each; *value; value++)
    if (matches_one (check, *value, text))
      return TRUE;
  return FALSE;
}

/* '*' in @pattern stands for one name. */
static gboolean
is_path_of (const char *pattern, const char *path)
{
  while (*pattern && *path)
    if (*pattern == '*')
      {
        path += strcspn (path, "/");
        pattern++;
      }
    else if (*pattern++ != *path++)
      return FALSE;
  return *pattern == *path;
}

static const char *
filled_in_for (const Check *check, const char *path)
{
  for (const SandboxAllowed *row = _sandbox_filled_in_attrs; check->defined && row->path; row++)
    if (g_str_equal (row->path, path))
      return row->attrs;
  return NULL;
}

/* What @attrs allows for @name; NULL: there is no such attribute. (transfer full) */
static char *
find_values (const char *attrs, const char *name)
{
  g_auto (GStrv) each = g_strsplit (attrs ? attrs : "", " ", -1);
  gsize length = strlen (name);

  for (char **item = each; *item; item++)
    {
      const char *text = **item == '!' ? *item + 1 : *item;

      if (strncmp (text, name, length) == 0 && text[length] == '=')
        return g_strdup (text + length + 1);
    }
  return NULL;
}

static gboolean
has_needed (xmlNode *node, const char *attrs)
{
  g_auto (GStrv) each = g_strsplit (attrs ? attrs : "", " ", -1);

  for (char **item = each; *item; item++)
    {
      g_autofree char *name =
          **item == '!' ? g_strndup (*item + 1, strcspn (*item + 1, "=")) : NULL;

      if (name && !xmlHasProp (node, BAD_CAST name))
        return FALSE;
    }
  return TRUE;
}

/* Whether @attrs allows @name to be @value. */
static gboolean
attr_matches (const Check *check, const char *attrs, const char *name, const char *value)
{
  g_autofree char *values = find_values (attrs, name);

  return values && matches (check, values, value);
}

/* The attribute of @node that neither @attrs nor what libvirt fills in at @path allows. */
static const xmlAttr *
find_wrong_attr (const Check *check, const char *path, xmlNode *node, const char *attrs)
{
  for (const xmlAttr *attr = node->properties; attr; attr = attr->next)
    {
      const char *name = (const char *)attr->name;
      g_autofree char *value = sandbox_xml_get_attr (node, name);

      if (attr->ns || !value
          || (!attr_matches (check, attrs, name, value)
              && !attr_matches (check, filled_in_for (check, path), name, value)))
        return attr;
    }
  return NULL;
}

/* All text in @node itself, without that of its elements. */
static char *
direct_text (const xmlNode *node)
{
  GString *text = g_string_new (NULL);

  for (const xmlNode *child = node->children; child; child = child->next)
    if (child->type == XML_TEXT_NODE && child->content)
      g_string_append (text, (const char *)child->content);
  return g_string_free (text, FALSE);
}

static gboolean
is_text_right (const Check *check, const SandboxAllowed *row, const xmlNode *node)
{
  g_autofree char *text = direct_text (node);

  return row->text ? matches (check, row->text, text) : *g_strstrip (text) == '\0';
}

static gboolean
fail (const Check *check, const char *path, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
fail (const Check *check, const char *path, const char *format, ...)
{
  g_autofree char *what = NULL, *shown = NULL;
  g_autofree char *place = sandbox_escape (*path ? path : "domain", -1, SHOWN_MAX);
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  shown = sandbox_escape (what, -1, SHOWN_MAX);
  return sandbox_fail (check->error, SANDBOX_ERROR_INVALID,
                       "Checking the definition of the domain: <%s> %s: a machine of ours may have "
                       "only what is known to be needed and safe",
                       place, shown);
}

static gboolean
row_matches (const Check *check, const SandboxAllowed *row, const char *path, xmlNode *node)
{
  return is_path_of (row->path, path) && has_needed (node, row->attrs)
         && is_text_right (check, row, node)
         && find_wrong_attr (check, path, node, row->attrs) == NULL;
}

/* Whether the element of @row may stand in its parent for the @count-th time. */
static gboolean
may_be_there (const Check *check, const SandboxAllowed *row, guint count)
{
  if (check->reader && g_str_equal (row->path, "devices/filesystem"))
    return FALSE;
  if (check->reader && g_str_equal (row->path, "devices/disk"))
    return count <= 1 + SANDBOX_READS_MAX;
  return row->max == SANDBOX_ALLOWED_MANY || count <= row->max;
}

/* The first row of this path, for the message when no row matches. */
static gboolean
fail_element (const Check *check, const char *path, xmlNode *node)
{
  const SandboxAllowed *row = NULL;
  const xmlAttr *wrong = NULL;
  guint alternatives = 0;

  for (guint i = 0; check->rows[i]; i++)
    if (is_path_of (check->rows[i]->path, path) && alternatives++ == 0)
      row = check->rows[i];
  if (!row)
    return fail (check, path, "is not allowed");
  wrong = find_wrong_attr (check, path, node, row->attrs);
  if (alternatives > 1)
    return fail (check, path, "is none of the kinds that are allowed");
  if (wrong)
    {
      g_autofree char *value = sandbox_xml_get_attr (node, (const char *)wrong->name);

      return fail (check, path, "has %s=\"%s\", which is not allowed", (const char *)wrong->name,
                   value ? value : "");
    }
  if (!has_needed (node, row->attrs))
    return fail (check, path, "lacks an attribute that must be there (%s)", row->attrs);
  return fail (check, path, "has a text that is not allowed");
}

/* Namespaces: libvirt's elements have none, ours have ours. Others are how QEMU's command line and
 * the like are reached. */
static gboolean
is_namespace_right (const xmlNode *node)
{
  for (const xmlNs *ns = node->nsDef; ns; ns = ns->next)
    if (g_strcmp0 ((const char *)ns->href, SANDBOX_XMLNS) != 0 || !ns->prefix)
      return FALSE;
  return !node->ns || g_strcmp0 ((const char *)node->ns->href, SANDBOX_XMLNS) == 0;
}

/* Whether @path is right below @parent. */
static gboolean
is_child_path (const char *parent, const char *path)
{
  gsize length = strlen (parent);

  if (strncmp (path, parent, length) != 0 || *path == '\0')
    return FALSE;
  if (length > 0 && path[length++] != '/')
    return FALSE;
  return strchr (path + length, '/') == NULL;
}

static gboolean
is_needed (const Check *check, const SandboxAllowed *row)
{
  g_auto (GStrv) types = g_strsplit (row->need ? row->need : "", "|", -1);

  return check->type && g_strv_contains ((const char *const *)types, check->type);
}

static gboolean
check_element (const Check *check, const char *path, guint depth, xmlNode *node, guint *counts);

/* A layer below another; without attributes it is the end of the chain. */
static gboolean
is_lower_layer (const char *parent, const xmlNode *child)
{
  return g_str_equal (parent, LAYER) && !child->ns && child->properties
         && g_str_equal (child->name, "backingStore");
}

/* It stands in the place of the chain's end: one of the two must be there, and not both. */
static gboolean
count_lower_layer (const Check *check, guint *counts)
{
  guint row = 0;

  while (check->rows[row] && !g_str_equal (check->rows[row]->path, LAYERS_END))
    row++;
  return check->rows[row] && ++counts[row] == 1;
}

static char *
path_of_child (const char *path, const xmlNode *child)
{
  if (is_lower_layer (path, child))
    return g_strdup (path);
  return g_strconcat (path, *path ? "/" : "", child->ns ? "sandbox:" : "",
                      (const char *)child->name, NULL);
}

/* What one parent holds: each kind at most as often as the list says, and what is needed. */
static gboolean
check_children (const Check *check, const char *path, guint depth, xmlNode *node)
{
  guint counts[SANDBOX_ALLOWED_MAX] = { 0 };
  const SandboxAllowed *row;

  for (xmlNode *child = node->children; child; child = child->next)
    {
      g_autofree char *child_path = NULL;

      if (child->type == XML_TEXT_NODE || (child->type == XML_COMMENT_NODE && check->defined))
        continue;
      if (child->type != XML_ELEMENT_NODE || !is_namespace_right (child))
        return fail (check, path, "holds something that is no plain element of libvirt's or ours");
      child_path = path_of_child (path, child);
      if (is_lower_layer (path, child) && !count_lower_layer (check, counts))
        return fail (check, path, "is there more than once");
      if (!check_element (check, child_path, depth + 1, child, counts))
        return FALSE;
    }
  for (guint i = 0; (row = check->rows[i]); i++)
    if (counts[i] == 0 && is_child_path (path, row->path) && is_needed (check, row))
      return fail (check, row->path, "is missing (%s)", row->attrs ? row->attrs : "any");
  return TRUE;
}

static gboolean
check_element (const Check *check, const char *path, guint depth, xmlNode *node, guint *counts)
{
  const SandboxAllowed *row;
  gboolean too_many = FALSE;

  if (depth > DEPTH_MAX)
    return fail (check, path, "is nested too deeply");
  for (guint i = 0; (row = check->rows[i]); i++)
    {
      if (!row_matches (check, row, path, node))
        continue;
      if (may_be_there (check, row, ++counts[i]))
        return check_children (check, path, depth, node);
      too_many = TRUE;
    }
  if (too_many)
    return fail (check, path, "is there more than once");
  return fail_element (check, path, node);
}

static void
add_rows (Check *check, const SandboxAllowed *table)
{
  guint n = 0;

  while (check->rows[n])
    n++;
  for (; table->path; table++)
    check->rows[n++] = table;
}

static gboolean
check_document (const char *xml, gboolean defined, gboolean reader, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("the definition of the domain", xml, error);
  xmlNode *root = doc ? xmlDocGetRootElement (doc) : NULL;
  g_autofree char *name = NULL, *type = NULL;
  Check check = { .defined = defined, .reader = reader, .error = error };
  guint counts[SANDBOX_ALLOWED_MAX] = { 0 };

  if (!root)
    return FALSE;
  add_rows (&check, _sandbox_allowed);
  if (defined)
    add_rows (&check, _sandbox_filled_in);
  check.name = name = sandbox_xml_dup (root, "name", NULL);
  check.type = type = sandbox_xml_get_attr (root, "type");
  if (!g_str_equal (root->name, "domain") || !is_namespace_right (root) || root->ns || root->nsDef)
    return fail (&check, "", "is not the plain root element");
  return check_element (&check, "", 0, root, counts);
}

gboolean
_sandbox_xml_check_domain (const char *xml, GError **error)
{
  return check_document (xml, FALSE, FALSE, error);
}

gboolean
_sandbox_xml_check_reader (const char *xml, GError **error)
{
  return check_document (xml, FALSE, TRUE, error);
}

gboolean
_sandbox_xml_check_defined (const char *xml, GError **error)
{
  return check_document (xml, TRUE, FALSE, error);
}
