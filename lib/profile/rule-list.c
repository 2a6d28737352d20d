// SPDX-License-Identifier: LGPL-2.1-or-later
// Values that are lists (network rules, ports, words of [provision]): ITEM;ITEM replaces what is
// inherited, +ITEM;ITEM adds.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define SEPARATOR ";"

static gboolean
is_ports (KeyId id)
{
  return id == KEY_NETWORK_FORWARD || id == KEY_NETWORK_HOST;
}

static SandboxListens
kind_of (KeyId id)
{
  return id == KEY_NETWORK_FORWARD ? SANDBOX_LISTENS_ON_HOST : SANDBOX_LISTENS_IN_GUEST;
}

gboolean
_sandbox_key_is_list (KeyId id)
{
  return id == KEY_NETWORK_EGRESS || id == KEY_NETWORK_ALLOW || is_ports (id)
         || _sandbox_key_is_words (id);
}

static gboolean
parse_rule (KeyId id, const char *item, SandboxNetRule *ret_rule, GError **error)
{
  return id == KEY_NETWORK_EGRESS ? sandbox_egress_parse (item, ret_rule, error)
                                  : sandbox_allow_parse (item, ret_rule, error);
}

/* The one form of @item; NULL with @error. */
static char *
canonical_item (KeyId id, const char *item, GError **error)
{
  SandboxPortMap map;
  SandboxNetRule rule;

  if (_sandbox_key_is_words (id))
    return _sandbox_word_canonical (id, item, error);
  if (is_ports (id))
    return sandbox_port_map_parse (kind_of (id), item, &map, error) ? sandbox_port_map_format (&map)
                                                                    : NULL;
  return parse_rule (id, item, &rule, error) ? sandbox_net_rule_format (&rule) : NULL;
}

static gboolean
check_count (KeyId id, guint n, GError **error)
{
  guint max = _sandbox_key_is_words (id) ? SANDBOX_PROFILE_WORDS_MAX : SANDBOX_PROFILE_ITEMS_MAX;

  return n <= max
         || sandbox_fail (error, SANDBOX_ERROR_INVALID, "the list has %u items: use at most %u", n,
                          max);
}

/* @items: NULL-terminated after it. */
static char *
join (GPtrArray *items, gboolean adds)
{
  g_autofree char *text = NULL;

  g_ptr_array_add (items, NULL);
  text = g_strjoinv (SEPARATOR, (char **)items->pdata);
  return g_strconcat (adds ? "+" : "", text, NULL);
}

/* What no single item shows. */
static gboolean
check_whole (KeyId id, const char *value, GError **error)
{
  g_autoptr (GArray) maps = NULL;

  if (!is_ports (id))
    return TRUE;
  maps = _sandbox_list_ports (id, value[0] == '+' ? value + 1 : value);
  return sandbox_port_maps_check (kind_of (id), maps, error);
}

/* The place in @items of what must not stand beside @text; its length: there is none. */
static guint
find_same (GPtrArray *items, KeyId id, const char *text)
{
  guint i = 0;

  while (i < items->len && !_sandbox_word_same_subject (id, items->pdata[i], text))
    i++;
  return i;
}

/* Canonical text of one item appended to @items, unless it is there already. */
static gboolean
add_item (GPtrArray *items, KeyId id, const char *item, GError **error)
{
  g_autofree char *text = canonical_item (id, item, error);
  guint same = text ? find_same (items, id, text) : 0;

  if (!text)
    return FALSE;
  if (same < items->len && g_str_equal (items->pdata[same], text))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"%s\" stands twice in the list: write it once", text);
  if (same < items->len)
    return sandbox_fail (
        error, SANDBOX_ERROR_INVALID, "\"%s\" and \"%s\" are for the same %s: write one of them",
        (char *)items->pdata[same], text, id == KEY_PROVISION_ENV ? "variable" : "place");
  g_ptr_array_add (items, g_steal_pointer (&text));
  return TRUE;
}

gboolean
_sandbox_list_check (KeyId id, const char *value, char **ret_value, GError **error)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_free);
  gboolean adds = value[0] == '+';
  g_auto (GStrv) parts = g_strsplit (value + (adds ? 1 : 0), SEPARATOR, -1);
  g_autofree char *list = NULL;

  if (adds && !parts[0])
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"+\" adds nothing: write items behind it, or remove the line");
  if (!check_count (id, g_strv_length (parts), error))
    return FALSE;
  for (guint i = 0; parts[i]; i++)
    {
      g_autofree char *shown = sandbox_escape (value, -1, 80);

      if (parts[i][0] == '\0')
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "\"%s\" has an empty item: write one ; between two items and none at "
                             "the beginning or end",
                             shown);
      if (!add_item (items, id, parts[i], error))
        return FALSE;
    }
  list = join (items, adds);
  if (!check_whole (id, list, error))
    return FALSE;
  *ret_value = g_steal_pointer (&list);
  return TRUE;
}

/* An item that is inherited already stays where it is: a file that adds it must not break because
 * what it inherits has got it too. Another value of an inherited variable, and another file for the
 * same place, take that place. */
gboolean
_sandbox_list_merge (KeyId id, const char *inherited, const char *value, char **ret_value,
                     GError **error)
{
  g_auto (GStrv) old = g_strsplit (inherited, SEPARATOR, -1);
  g_auto (GStrv) added = g_strsplit (value + 1, SEPARATOR, -1);
  g_autoptr (GPtrArray) items = g_ptr_array_new ();
  g_autofree char *list = NULL;

  for (guint i = 0; old[i]; i++)
    g_ptr_array_add (items, old[i]);
  for (guint i = 0; added[i]; i++)
    {
      guint same = find_same (items, id, added[i]);

      if (same < items->len)
        items->pdata[same] = added[i];
      else
        g_ptr_array_add (items, added[i]);
    }
  if (check_count (id, items->len, error))
    list = join (items, FALSE);
  if (!list || !check_whole (id, list, error))
    {
      g_prefix_error (error, "with what is inherited, ");
      return FALSE;
    }
  *ret_value = g_steal_pointer (&list);
  return TRUE;
}

GArray *
_sandbox_list_rules (KeyId id, const char *value)
{
  GArray *rules = g_array_new (FALSE, FALSE, sizeof (SandboxNetRule));
  g_auto (GStrv) items = g_strsplit (value, SEPARATOR, -1);

  for (guint i = 0; items[i]; i++)
    {
      SandboxNetRule rule;

      if (!parse_rule (id, items[i], &rule, NULL))
        g_assert_not_reached (); /* the value was checked when it came in */
      g_array_append_val (rules, rule);
    }
  return rules;
}

GArray *
_sandbox_list_ports (KeyId id, const char *value)
{
  GArray *maps = g_array_new (FALSE, FALSE, sizeof (SandboxPortMap));
  g_auto (GStrv) items = g_strsplit (value, SEPARATOR, -1);

  for (guint i = 0; items[i]; i++)
    {
      SandboxPortMap map;

      if (!sandbox_port_map_parse (kind_of (id), items[i], &map, NULL))
        g_assert_not_reached (); /* the same */
      g_array_append_val (maps, map);
    }
  return maps;
}
