// SPDX-License-Identifier: LGPL-2.1-or-later
// Forwarded ports in the text of a profile file: one line is changed, added or removed, the rest
// stays as its writer left it.
#include "facade/facade-private.h"

#include <string.h>

#define GROUP "[network]"

static const char *
key_of (SandboxListens kind)
{
  return kind == SANDBOX_LISTENS_ON_HOST ? "forward" : "host";
}

/* The value behind KEY= when @line is that; NULL otherwise. */
static const char *
value_in (const char *line, const char *key)
{
  gsize length = strlen (key);

  return strncmp (line, key, length) == 0 && line[length] == '=' ? line + length + 1 : NULL;
}

/* Its value in this file alone; NULL when it has none. */
static char *
own_value (const char *text, const char *key)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  gboolean inside = FALSE;

  for (char **line = lines; *line != NULL; line++)
    {
      g_autofree char *bare = g_strstrip (g_strdup (*line));

      if (**line == '[')
        inside = strcmp (bare, GROUP) == 0;
      else if (inside && value_in (bare, key) != NULL)
        return g_strdup (value_in (bare, key));
    }
  return NULL;
}

/* Where in @lines a further line of the group belongs: behind its last one that is not empty; -1
 * when there is no such group. */
static int
place_in_group (const GPtrArray *lines)
{
  gboolean inside = FALSE;
  int place = -1;

  for (guint i = 0; i < lines->len; i++)
    {
      const char *line = lines->pdata[i];

      if (*line == '[')
        inside = g_str_has_prefix (line, GROUP);
      if (inside && *line != '\0')
        place = (int)i + 1;
    }
  return place;
}

/* @value NULL: without the line. */
static char *
set_value (const char *text, const char *key, const char *value)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) old = g_strsplit (text, "\n", -1);
  gboolean inside = FALSE, done = value == NULL;
  int place;

  for (char **line = old; *line != NULL; line++)
    {
      if (**line == '[')
        inside = g_str_has_prefix (*line, GROUP);
      if (!inside || value_in (*line, key) == NULL)
        g_ptr_array_add (lines, g_strdup (*line));
      else if (value != NULL)
        {
          g_ptr_array_add (lines, g_strconcat (key, "=", value, NULL));
          done = TRUE;
        }
    }
  place = place_in_group (lines);
  if (!done && place < 0)
    {
      while (lines->len > 0 && *(const char *)lines->pdata[lines->len - 1] == '\0')
        g_ptr_array_remove_index (lines, lines->len - 1);
      if (lines->len > 0)
        g_ptr_array_add (lines, g_strdup (""));
      g_ptr_array_add (lines, g_strdup (GROUP));
      place = (int)lines->len;
      g_ptr_array_add (lines, g_strdup (""));
    }
  if (!done)
    g_ptr_array_insert (lines, place, g_strconcat (key, "=", value, NULL));
  g_ptr_array_add (lines, NULL);
  return g_strjoinv ("\n", (char **)lines->pdata);
}

static gboolean
has_item (char **items, const char *item)
{
  return items != NULL && g_strv_contains ((const char *const *)items, item);
}

static char **
effective_items (SandboxProfile *profile, SandboxListens kind)
{
  return g_strsplit (sandbox_profile_get (profile, "network", key_of (kind)), ";", -1);
}

/* Behind what the file itself lists; what it inherits goes on to be inherited. */
static char *
value_with (const char *own, char **effective, const char *const *specs)
{
  g_autoptr (GString) value = g_string_new (own != NULL ? own : "+");

  for (; *specs != NULL; specs++)
    if (!has_item (effective, *specs))
      g_string_append_printf (value, "%s%s",
                              value->len == 0 || strcmp (value->str, "+") == 0 ? "" : ";", *specs);
  return strcmp (value->str, "+") == 0 ? NULL : g_string_free (g_steal_pointer (&value), FALSE);
}

/* "" when nothing is left. */
static char *
join_without (char **items, const char *const *specs, SandboxListens kind)
{
  g_autoptr (GString) value = g_string_new (NULL);

  for (; *items != NULL; items++)
    {
      SandboxPortMap map;
      g_autofree char *text = sandbox_port_map_parse (kind, *items, &map, NULL)
                                  ? sandbox_port_map_format (&map)
                                  : g_strdup (*items);

      if (!g_strv_contains (specs, text))
        g_string_append_printf (value, "%s%s", value->len > 0 ? ";" : "", text);
    }
  return g_string_free (g_steal_pointer (&value), FALSE);
}

static gboolean
has_any (SandboxProfile *profile, SandboxListens kind, const char *const *specs)
{
  g_auto (GStrv) items = effective_items (profile, kind);

  for (; *specs != NULL; specs++)
    if (has_item (items, *specs))
      return TRUE;
  return FALSE;
}

static SandboxProfile *
parse (SandboxMachine *machine, const char *text, GError **error)
{
  g_autofree char *source = g_strconcat (machine->name, ".profile", NULL);

  return sandbox_profile_parse (&machine->host->profiles, machine->name, source, text, -1, error);
}

static char *
text_with (SandboxMachine *machine, const char *text, SandboxListens kind, const char *const *specs,
           GError **error)
{
  g_autoptr (SandboxProfile) profile = parse (machine, text, error);
  g_auto (GStrv) items = NULL;
  g_autofree char *own = own_value (text, key_of (kind)), *value = NULL;

  if (profile == NULL)
    return NULL;
  items = effective_items (profile, kind);
  value = value_with (own, items, specs);
  return value != NULL ? set_value (text, key_of (kind), value) : g_strdup (text);
}

/* First out of the file's own line; what is then still inherited can only be left out of a list
 * that replaces the inherited one. */
static char *
text_without (SandboxMachine *machine, const char *text, SandboxListens kind,
              const char *const *specs, GError **error)
{
  g_autofree char *own = own_value (text, key_of (kind)), *out = g_strdup (text), *list = NULL;
  g_autoptr (SandboxProfile) profile = NULL;
  g_auto (GStrv) items = NULL;

  if (own != NULL)
    {
      gboolean adds = *own == '+';
      g_auto (GStrv) parts = g_strsplit (own + (adds ? 1 : 0), ";", -1);
      g_autofree char *rest = join_without (parts, specs, kind);
      g_autofree char *value = g_strconcat (adds ? "+" : "", rest, NULL);

      g_free (out);
      out = set_value (text, key_of (kind), adds && *rest == '\0' ? NULL : value);
    }
  profile = parse (machine, out, error);
  if (profile == NULL || !has_any (profile, kind, specs))
    return profile != NULL ? g_steal_pointer (&out) : NULL;
  items = effective_items (profile, kind);
  list = join_without (items, specs, kind);
  return set_value (out, key_of (kind), list);
}

gboolean
_sandbox_profile_change_forwards (SandboxMachine *machine, SandboxListens kind,
                                  const char *const *specs, gboolean add, char **ret_old,
                                  char **ret_new, GError **error)
{
  SandboxHost *host = machine->host;
  g_autoptr (GError) local = NULL;
  g_autofree char *old = _sandbox_profile_own_text (host, machine->name, &local);
  g_autofree char *text = NULL;

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  text = add ? text_with (machine, old != NULL ? old : "", kind, specs, error)
             : text_without (machine, old != NULL ? old : "", kind, specs, error);
  if (text == NULL)
    return FALSE;
  if (strcmp (text, old != NULL ? old : "") != 0
      && !sandbox_profile_save (&host->profiles, machine->name, text, TRUE, error))
    return FALSE;
  *ret_old = g_steal_pointer (&old);
  *ret_new = g_steal_pointer (&text);
  return TRUE;
}

void
_sandbox_profile_put_back (SandboxMachine *machine, const char *old, const char *new)
{
  SandboxHost *host = machine->host;
  g_autofree char *now = _sandbox_profile_own_text (host, machine->name, NULL);

  /* an editor that knows nothing of our lock saved meanwhile: what it wrote stays */
  if (g_strcmp0 (now != NULL ? now : "", new) != 0)
    return;
  if (old != NULL)
    sandbox_profile_save (&host->profiles, machine->name, old, TRUE, NULL);
  else if (now != NULL)
    sandbox_profile_remove (&host->profiles, machine->name, NULL);
}
