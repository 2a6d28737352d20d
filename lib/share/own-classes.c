// SPDX-License-Identifier: LGPL-2.1-or-later
// What names mean in one share: the table of all shares, and what is added for this one, by its
// profile (guard=, flag=) and by settings of the host's own git (settings.c). Nothing takes away.
#include "share/share.h"

#include <string.h>

/* Settings name a few; a tree that a machine had to itself may have more. */
#define PLACES_MAX 1000

typedef struct
{
  char **text;          /* folded, part by part */
  GPatternSpec **parts; /* NULL-terminated, as long */
  SandboxChangeRisk risk;
} Own;

struct _SandboxClasses
{
  GPtrArray *own;    /* of Own */
  GPtrArray *places; /* of char *: paths from the shared directory on, which run */
  GPtrArray *folded; /* the same, folded */
  char *root, *home; /* (nullable) the shared directory's path on this host; its user's home */
};

static void
own_free (gpointer data)
{
  Own *own = data;

  for (guint i = 0; own->parts[i]; i++)
    g_pattern_spec_free (own->parts[i]);
  g_free (own->parts);
  g_strfreev (own->text);
  g_free (own);
}

static char **
fold_parts (const char *path)
{
  char **parts = g_strsplit (path, "/", -1);

  for (guint i = 0; parts[i]; i++)
    {
      char *folded = _sandbox_class_fold (parts[i]);

      g_free (parts[i]);
      parts[i] = folded;
    }
  return parts;
}

static void
add_pattern (SandboxClasses *classes, const char *text, SandboxChangeRisk risk)
{
  Own *own = g_new0 (Own, 1);
  guint n;

  own->text = fold_parts (text);
  n = g_strv_length (own->text);
  own->parts = g_new0 (GPatternSpec *, n + 1);
  for (guint i = 0; i < n; i++)
    own->parts[i] = g_pattern_spec_new (own->text[i]);
  own->risk = risk;
  g_ptr_array_add (classes->own, own);
}

static void
add_list (SandboxClasses *classes, const char *list, SandboxChangeRisk risk)
{
  g_auto (GStrv) items = g_strsplit (list, ";", -1);

  for (guint i = 0; items[i]; i++)
    add_pattern (classes, items[i], risk);
}

static gboolean
read_line (SandboxClasses *classes, const char *line)
{
  const char *blank = strchr (line, ' ');
  g_autofree char *key = blank ? g_strndup (line, (gsize)(blank - line)) : NULL;
  const char *value = blank ? blank + 1 : "";

  if (!key || *value == '\0')
    return FALSE;
  if (strcmp (key, "guard") == 0)
    add_list (classes, value, SANDBOX_CHANGE_RUNS);
  else if (strcmp (key, "flag") == 0)
    add_list (classes, value, SANDBOX_CHANGE_BUILDS);
  else if (strcmp (key, "pattern") == 0)
    add_pattern (classes, value, SANDBOX_CHANGE_RUNS);
  else if (strcmp (key, "place") == 0)
    _sandbox_classes_add_place (classes, value);
  else if (strcmp (key, "target") == 0)
    g_free (_sandbox_classes_add_target (classes, "", value));
  else if (strcmp (key, "root") == 0 && !classes->root)
    classes->root = g_strdup (value);
  else if (strcmp (key, "home") == 0 && !classes->home)
    classes->home = g_strdup (value);
  else
    return FALSE;
  return TRUE;
}

SandboxClasses *
_sandbox_classes_parse (const char *text)
{
  g_autoptr (SandboxClasses) classes = g_new0 (SandboxClasses, 1);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  classes->own = g_ptr_array_new_with_free_func (own_free);
  classes->places = g_ptr_array_new_with_free_func (g_free);
  classes->folded = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; lines[i]; i++)
    if (*lines[i] != '\0' && !read_line (classes, lines[i]))
      return NULL;
  return g_steal_pointer (&classes);
}

void
_sandbox_classes_free (SandboxClasses *classes)
{
  g_ptr_array_unref (classes->own);
  g_ptr_array_unref (classes->places);
  g_ptr_array_unref (classes->folded);
  g_free (classes->root);
  g_free (classes->home);
  g_free (classes);
}

static char *
fold_path (const char *path)
{
  g_auto (GStrv) parts = fold_parts (path);

  return g_strjoinv ("/", parts);
}

void
_sandbox_classes_add_place (SandboxClasses *classes, const char *path)
{
  g_autofree char *folded = fold_path (path);

  if (classes->places->len >= PLACES_MAX)
    return;
  for (guint i = 0; i < classes->folded->len; i++)
    if (strcmp (classes->folded->pdata[i], folded) == 0)
      return;
  g_ptr_array_add (classes->places, g_strdup (path));
  g_ptr_array_add (classes->folded, g_steal_pointer (&folded));
}

/* @target's text from the top of the tree on; NULL: that is not in it. (transfer full) */
static char *
place_of (const SandboxClasses *classes, const char *dir, const char *target)
{
  g_autofree char *whole = NULL;
  gsize length = classes->root ? strlen (classes->root) : 0;
  g_autofree char *absolute = target[0] == '~' && target[1] == '/' && classes->home
                                  ? g_strconcat (classes->home, target + 1, NULL)
                                  : g_strdup (target);

  if (absolute[0] == '~')
    return NULL;
  if (absolute[0] != '/')
    whole = g_strconcat (dir, "/", absolute, NULL);
  else if (length > 0 && strncmp (absolute, classes->root, length) == 0 && absolute[length] == '/')
    whole = g_strdup (absolute + length);
  return whole ? _sandbox_path_within (whole) : NULL;
}

char *
_sandbox_path_within (const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  g_autoptr (GPtrArray) kept = g_ptr_array_new ();

  for (gsize i = 0; parts[i]; i++)
    {
      if (parts[i][0] == '\0' || strcmp (parts[i], ".") == 0)
        continue;
      if (strcmp (parts[i], "..") != 0)
        g_ptr_array_add (kept, parts[i]);
      else if (kept->len == 0)
        return NULL;
      else
        g_ptr_array_remove_index (kept, kept->len - 1);
    }
  if (kept->len == 0)
    return NULL;
  g_ptr_array_add (kept, NULL);
  return g_strjoinv ("/", (char **)kept->pdata);
}

char *
_sandbox_classes_add_target (SandboxClasses *classes, const char *dir, const char *target)
{
  char *path = place_of (classes, dir, target);

  if (path)
    _sandbox_classes_add_place (classes, path);
  return path;
}

/* From some part of the path on, all parts of the pattern: what is below is meant, too. With @whole
 * FALSE: the path ends within the pattern. */
static gboolean
own_matches (const Own *own, char **path, gboolean whole)
{
  for (guint start = 0; path[start]; start++)
    {
      guint k = 0;

      while (own->parts[k] && path[start + k]
             && g_pattern_spec_match_string (own->parts[k], path[start + k]))
        k++;
      if (whole ? !own->parts[k] : k > 0 && own->parts[k] && !path[start + k])
        return TRUE;
    }
  return FALSE;
}

/* Whether @path is @place or in it. */
static gboolean
is_at (const char *path, const char *place)
{
  gsize length = strlen (place);

  return strncmp (path, place, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static gboolean
is_empty (const SandboxClasses *classes)
{
  return !classes || (classes->own->len == 0 && classes->places->len == 0);
}

SandboxChangeRisk
_sandbox_classes_risk (const SandboxClasses *classes, const char *path, gboolean *ret_git)
{
  SandboxChangeRisk risk = _sandbox_class_of (path, ret_git);
  g_auto (GStrv) parts = NULL;
  g_autofree char *folded = NULL;

  if (risk == SANDBOX_CHANGE_RUNS || is_empty (classes))
    return risk;
  parts = fold_parts (path);
  for (guint i = 0; i < classes->own->len; i++)
    {
      const Own *own = classes->own->pdata[i];

      if (own->risk > risk && own_matches (own, parts, TRUE))
        risk = own->risk;
    }
  folded = g_strjoinv ("/", parts);
  for (guint i = 0; i < classes->places->len; i++)
    if (is_at (folded, classes->folded->pdata[i]))
      return SANDBOX_CHANGE_RUNS;
  return risk;
}

gboolean
_sandbox_classes_is_head (const SandboxClasses *classes, const char *path)
{
  g_auto (GStrv) parts = NULL;
  g_autofree char *folded = NULL;

  if (_sandbox_class_is_head (path))
    return TRUE;
  if (is_empty (classes))
    return FALSE;
  parts = fold_parts (path);
  for (guint i = 0; i < classes->own->len; i++)
    {
      const Own *own = classes->own->pdata[i];

      if (own->risk == SANDBOX_CHANGE_RUNS && own_matches (own, parts, FALSE))
        return TRUE;
    }
  folded = g_strjoinv ("/", parts);
  for (guint i = 0; i < classes->places->len; i++)
    if (is_at (classes->folded->pdata[i], folded))
      return TRUE;
  return FALSE;
}

guint
_sandbox_classes_get_n_places (const SandboxClasses *classes)
{
  return classes->places->len;
}

const char *
_sandbox_classes_get_place (const SandboxClasses *classes, guint index)
{
  return classes->places->pdata[index];
}
