// SPDX-License-Identifier: LGPL-2.1-or-later
// How a wanted domain differs from the defined one, told in words, without what libvirt fills in.
//
// Both documents are made flat: one entry for each element and attribute, under a path in which
// repeated elements carry what tells them apart, such as "devices/disk[vda]/source@file". What is
// wanted must be there with the same value; what only libvirt has is ignored, except for devices
// and settings that it never adds by itself.
#include "xml/metadata.h"

#include "base/error.h"
#include "base/names.h"
#include "base/units.h"

#include <string.h>

#define SHARES      "metadata/machine/share["
#define FILESYSTEMS "devices/filesystem["

typedef struct
{
  GHashTable *values; /* path -> value; owns both */
  GPtrArray *order;   /* the paths in document order; not owned */
} Flat;

static void
flat_clear (Flat *flat)
{
  g_clear_pointer (&flat->values, g_hash_table_unref);
  g_clear_pointer (&flat->order, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Flat, flat_clear)

/* What tells elements of one name apart: an attribute, perhaps of a child. */
static const struct
{
  const char *element, *child, *attr, *second_attr;
} keys[] = {
  { "disk", "target", "dev", NULL },     { "filesystem", "target", "dir", NULL },
  { "console", "target", "type", NULL }, { "controller", NULL, "type", "index" },
  { "feature", NULL, "name", NULL },     { "timer", NULL, "name", NULL },
  { "entry", NULL, "name", NULL },       { "share", NULL, "name", NULL },
};

static char *
element_key (xmlNode *node)
{
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *second = NULL;
      g_autofree char *first = NULL;
      xmlNode *holder = node;

      if (!g_str_equal (node->name, keys[i].element))
        continue;
      if (keys[i].child)
        holder = sandbox_xml_find (node, keys[i].child);
      first = sandbox_xml_get_attr (holder, keys[i].attr);
      second = keys[i].second_attr ? sandbox_xml_get_attr (holder, keys[i].second_attr) : NULL;
      return g_strdup_printf ("%s[%s%s%s]", (const char *)node->name, first ? first : "",
                              second ? "-" : "", second ? second : "");
    }
  return g_strdup ((const char *)node->name);
}

/* Takes both; a path that is there already gets a number, as the n-th of its kind. Returns the path
 * as entered. */
static const char *
flat_add (Flat *flat, char *path, char *value)
{
  g_autofree char *base = g_strdup (path);

  for (guint n = 2; g_hash_table_contains (flat->values, path); n++)
    {
      g_free (path);
      path = g_strdup_printf ("%s#%u", base, n);
    }
  g_hash_table_insert (flat->values, path, value);
  g_ptr_array_add (flat->order, path);
  return path;
}

/* Text of the element itself, without that of its children and without the indentation. */
static char *
own_text (xmlNode *node)
{
  for (xmlNode *child = node->children; child; child = child->next)
    if (child->type == XML_ELEMENT_NODE)
      return g_strdup ("");
  return sandbox_xml_get_text (node);
}

static void
flatten (Flat *flat, const char *parent, xmlNode *node)
{
  g_autofree char *key = element_key (node);
  /* the root has no name of its own: paths begin below it */
  const char *path =
      flat_add (flat, parent ? g_strconcat (parent, *parent ? "/" : "", key, NULL) : g_strdup (""),
                own_text (node));

  for (xmlAttr *attr = node->properties; attr; attr = attr->next)
    flat_add (flat, g_strconcat (path, "@", (const char *)attr->name, NULL),
              sandbox_xml_get_attr (node, (const char *)attr->name));
  for (xmlNode *child = node->children; child; child = child->next)
    if (child->type == XML_ELEMENT_NODE)
      flatten (flat, path, child);
}

static gboolean
flat_read (Flat *flat, const char *what, const char *text, GError **error)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse (what, text, error);

  if (!doc)
    return FALSE;
  flat->values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  flat->order = g_ptr_array_new ();
  flatten (flat, NULL, xmlDocGetRootElement (doc));
  return TRUE;
}

typedef enum
{
  SHOW_VALUES,  /* LABEL: old -> new */
  SHOW_KIB,     /* the same, of sizes in KiB */
  SHOW_BYTES,   /* the same, of sizes in bytes */
  SHOW_CHANGED, /* LABEL: changed; once for all that begins like this */
  SHOW_NOT,
} Show;

/* The first row whose path the difference's path begins with decides. @unless: when a line with
 * that label has been written, it says this too. */
static const struct
{
  const char *path, *label, *unless;
  Show show;
} rows[] = {
  { "@type", "acceleration", NULL, SHOW_VALUES },
  { "title", NULL, NULL, SHOW_NOT },
  { "description", NULL, NULL, SHOW_NOT },
  { "metadata/machine@version", "format of our metadata", NULL, SHOW_VALUES },
  { "metadata/machine/profile-digest", NULL, NULL, SHOW_NOT },
  { "metadata/machine/profile", "profile", NULL, SHOW_VALUES },
  { "metadata/machine/image", "image", NULL, SHOW_VALUES },
  { "metadata/machine/subnet", "network address", NULL, SHOW_VALUES },
  { "metadata/machine/accel", NULL, NULL, SHOW_NOT },
  { "metadata/machine/user", "user", NULL, SHOW_VALUES },
  { "metadata/machine/uid", "uid", NULL, SHOW_VALUES },
  { "metadata/machine/gid", "gid", NULL, SHOW_VALUES },
  { "metadata/machine/disk-bytes", "disk", NULL, SHOW_BYTES },
  { "metadata/machine/reaches", "reaches", NULL, SHOW_VALUES },
  { "memory@", "memory settings", NULL, SHOW_CHANGED },
  { "memoryBacking", "memory settings", NULL, SHOW_CHANGED },
  { "memory", "memory", NULL, SHOW_KIB },
  { "currentMemory", NULL, NULL, SHOW_NOT },
  { "vcpu", "cpus", NULL, SHOW_VALUES },
  { "cpu/topology@cores", NULL, NULL, SHOW_NOT },
  { "cpu", "processor model", "acceleration", SHOW_CHANGED },
  { "clock", "clock", "acceleration", SHOW_CHANGED },
  { "os/kernel", "kernel", "image", SHOW_VALUES },
  { "os/initrd", "initrd", "image", SHOW_VALUES },
  { "os/cmdline", "kernel command line", "image", SHOW_VALUES },
  { "os/type@machine", "machine type", NULL, SHOW_VALUES },
  { "devices/emulator", "emulator", NULL, SHOW_VALUES },
  { "devices/disk[vda]/backingStore", "backing files of the disk", "image", SHOW_CHANGED },
  { "devices/disk[vda]/source/encryption", "encryption of the disk", NULL, SHOW_CHANGED },
  { "devices/disk[vda]/source@file", "disk file", NULL, SHOW_VALUES },
  { "devices/interface/filterref", "network filter", NULL, SHOW_CHANGED },
  { "devices/controller[pci-", NULL, NULL, SHOW_NOT },
};

/* What libvirt never adds by itself: there it was put in by hand. */
static const char *const by_hand[] = {
  "commandline",
  "devices/channel",
  "devices/disk[",
  "devices/filesystem[",
  "devices/graphics",
  "devices/hostdev",
  "devices/hub",
  "devices/interface",
  "devices/parallel",
  "devices/redirdev",
  "devices/rng",
  "devices/shmem",
  "devices/smartcard",
  "devices/sound",
  "devices/tpm",
  "devices/video",
  "devices/vsock",
  "launchSecurity",
  "os/loader",
  "override",
  "seclabel",
  SHARES,
  NULL,
};

typedef struct
{
  GString *text;
  GHashTable *labels; /* those that have a line */
  char *missing;      /* path of the last element that one side lacks: its insides follow */
} Report;

static char *
show_size (const char *text, guint64 unit)
{
  guint64 number = 0;

  if (!sandbox_uint_parse (text, 0, G_MAXUINT64 / unit, &number, NULL))
    return g_strdup (text);
  return sandbox_size_format (number * unit);
}

static void
add_line (Report *report, const char *label, const char *format, ...) G_GNUC_PRINTF (3, 4);

static void
add_line (Report *report, const char *label, const char *format, ...)
{
  g_autofree char *shown = sandbox_escape (label, -1, 200);
  g_autofree char *line = NULL;
  va_list args;

  va_start (args, format);
  line = g_strdup_vprintf (format, args);
  va_end (args);
  g_hash_table_add (report->labels, g_strdup (label));
  g_string_append_printf (report->text, "%s: %s\n", shown, line);
}

static void
add_values (Report *report, const char *label, Show show, const char *old, const char *new)
{
  guint64 unit = show == SHOW_KIB ? 1024 : 1;
  g_autofree char *old_size = show == SHOW_VALUES ? g_strdup (old) : show_size (old, unit);
  g_autofree char *new_size = show == SHOW_VALUES ? g_strdup (new) : show_size (new, unit);
  g_autofree char *old_shown = sandbox_escape (old_size, -1, 400);
  g_autofree char *new_shown = sandbox_escape (new_size, -1, 400);

  add_line (report, label, "%s -> %s", *old ? old_shown : "none", *new ? new_shown : "none");
}

/* "share NAME" for a path of our metadata or of libvirt's device; NULL for any other path. */
static char *
share_label (const char *path)
{
  const char *name = NULL, *end;

  if (g_str_has_prefix (path, SHARES))
    name = path + strlen (SHARES);
  else if (g_str_has_prefix (path, FILESYSTEMS))
    name = path + strlen (FILESYSTEMS);
  end = name ? strchr (name, ']') : NULL;
  return end ? g_strdup_printf ("share %.*s", (int)(end - name), name) : NULL;
}

static gboolean
report_share (Report *report, const char *path, const char *old, const char *new)
{
  g_autofree char *label = share_label (path);
  const char *attr = strrchr (path, '@');

  if (!label)
    return FALSE;
  if (g_str_has_prefix (path, SHARES) && attr && old && new)
    {
      g_autofree char *full = g_strdup_printf ("%s %s", label, attr + 1);

      g_hash_table_add (report->labels, g_strdup (label));
      add_values (report, full, SHOW_VALUES, old, new);
    }
  else if (!g_hash_table_contains (report->labels, label))
    add_line (report, label, "%s",
              !new                                  ? "removed"
              : !old &&g_str_has_suffix (path, "]") ? "added"
                                                    : "its device changes");
  return TRUE;
}

/* @old, @new: NULL where the path is not there at all. */
static void
report_difference (Report *report, const char *path, const char *old, const char *new)
{
  guint row = 0;

  if (report_share (report, path, old, new))
    return;
  while (row < G_N_ELEMENTS (rows) && !g_str_has_prefix (path, rows[row].path))
    row++;
  if (row == G_N_ELEMENTS (rows))
    {
      if (!new)
        add_line (report, path, "added by hand, goes away");
      else if (!old)
        add_line (report, path, "new");
      else
        add_values (report, path, SHOW_VALUES, old, new);
      return;
    }
  if (rows[row].show == SHOW_NOT || g_hash_table_contains (report->labels, rows[row].label)
      || (rows[row].unless && g_hash_table_contains (report->labels, rows[row].unless)))
    return;
  if (rows[row].show == SHOW_CHANGED)
    add_line (report, rows[row].label, "changed");
  else
    add_values (report, rows[row].label, rows[row].show, old ? old : "", new ? new : "");
}

/* TRUE for what lies inside the element that was reported last as a whole. */
static gboolean
is_inside (const Report *report, const char *path)
{
  gsize length = report->missing ? strlen (report->missing) : 0;

  return report->missing && strncmp (path, report->missing, length) == 0
         && (path[length] == '/' || path[length] == '@');
}

static void
report_path (Report *report, const char *path, const char *old, const char *new)
{
  if (is_inside (report, path) || g_strcmp0 (old, new) == 0)
    return;
  report_difference (report, path, old, new);
  if (!old || !new)
    {
      g_free (report->missing);
      report->missing = g_strdup (path);
    }
}

static gboolean
was_added_by_hand (const char *path)
{
  if (strchr (path, '@'))
    return FALSE;
  for (guint i = 0; by_hand[i]; i++)
    {
      gsize length = strlen (by_hand[i]);
      const char *rest = path + length;

      if (strncmp (path, by_hand[i], length) != 0)
        continue;
      /* the element itself, not what libvirt fills in inside it: "[vda]/alias" is not, "#2" is */
      if (*rest == '\0' || *rest == '#' || (by_hand[i][length - 1] == '[' && !strchr (rest, '/')))
        return TRUE;
    }
  return FALSE;
}

char *
_sandbox_xml_domain_changes (const char *defined_xml, const char *wanted_xml, GError **error)
{
  g_auto (Flat) defined = { NULL }, wanted = { NULL };
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GHashTable) labels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  Report report = { text, labels, NULL };

  if (!flat_read (&defined, "domain XML of libvirt", defined_xml, error)
      || !flat_read (&wanted, "the wanted domain XML", wanted_xml, error))
    return NULL;
  for (guint i = 0; i < wanted.order->len; i++)
    {
      const char *path = g_ptr_array_index (wanted.order, i);

      report_path (&report, path, g_hash_table_lookup (defined.values, path),
                   g_hash_table_lookup (wanted.values, path));
    }
  for (guint i = 0; i < defined.order->len; i++)
    {
      const char *path = g_ptr_array_index (defined.order, i);

      if (!g_hash_table_contains (wanted.values, path) && was_added_by_hand (path))
        report_path (&report, path, g_hash_table_lookup (defined.values, path), NULL);
    }
  g_free (report.missing);
  return g_string_free (g_steal_pointer (&text), FALSE);
}
