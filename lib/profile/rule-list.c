// SPDX-License-Identifier: LGPL-2.1-or-later
// Values that are lists of network rules: ITEM;ITEM replaces what is inherited, +ITEM;ITEM adds.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define SEPARATOR ";"

typedef gboolean (*ParseFunc) (const char *item, SandboxNetRule *ret_rule, GError **error);

static ParseFunc
parser_of (KeyId id)
{
  return id == KEY_NETWORK_EGRESS ? sandbox_egress_parse : sandbox_allow_parse;
}

gboolean
_sandbox_key_is_list (KeyId id)
{
  return id == KEY_NETWORK_EGRESS || id == KEY_NETWORK_ALLOW;
}

static gboolean
check_count (guint n, GError **error)
{
  return n <= SANDBOX_PROFILE_ITEMS_MAX
         || sandbox_fail (error, SANDBOX_ERROR_INVALID, "the list has %u items: use at most %d", n,
                          SANDBOX_PROFILE_ITEMS_MAX);
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

/* Canonical text of one item appended to @items, unless it is there already. */
static gboolean
add_item (GPtrArray *items, ParseFunc parse, const char *item, GError **error)
{
  SandboxNetRule rule;
  g_autofree char *text = NULL;

  if (!parse (item, &rule, error))
    return FALSE;
  text = sandbox_net_rule_format (&rule);
  if (g_ptr_array_find_with_equal_func (items, text, g_str_equal, NULL))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"%s\" stands twice in the list: write it once", text);
  g_ptr_array_add (items, g_steal_pointer (&text));
  return TRUE;
}

gboolean
_sandbox_list_check (KeyId id, const char *value, char **ret_value, GError **error)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_free);
  gboolean adds = value[0] == '+';
  g_auto (GStrv) parts = g_strsplit (value + (adds ? 1 : 0), SEPARATOR, -1);

  if (adds && !parts[0])
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"+\" adds nothing: write items behind it, or remove the line");
  if (!check_count (g_strv_length (parts), error))
    return FALSE;
  for (guint i = 0; parts[i]; i++)
    {
      g_autofree char *shown = sandbox_escape (value, -1, 80);

      if (parts[i][0] == '\0')
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "\"%s\" has an empty item: write one ; between two items and none at "
                             "the beginning or end",
                             shown);
      if (!add_item (items, parser_of (id), parts[i], error))
        return FALSE;
    }
  *ret_value = join (items, adds);
  return TRUE;
}

/* An item that is inherited already stays where it is: a file that adds it must not break because
 * what it inherits has got it too. */
gboolean
_sandbox_list_merge (const char *inherited, const char *value, char **ret_value, GError **error)
{
  g_auto (GStrv) old = g_strsplit (inherited, SEPARATOR, -1);
  g_auto (GStrv) added = g_strsplit (value + 1, SEPARATOR, -1);
  g_autoptr (GPtrArray) items = g_ptr_array_new ();

  for (guint i = 0; old[i]; i++)
    g_ptr_array_add (items, old[i]);
  for (guint i = 0; added[i]; i++)
    if (!g_strv_contains ((const char *const *)old, added[i]))
      g_ptr_array_add (items, added[i]);
  if (!check_count (items->len, error))
    {
      g_prefix_error (error, "with what is inherited, ");
      return FALSE;
    }
  *ret_value = join (items, FALSE);
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

      if (!parser_of (id) (items[i], &rule, NULL))
        g_assert_not_reached (); /* the value was checked when it came in */
      g_array_append_val (rules, rule);
    }
  return rules;
}
