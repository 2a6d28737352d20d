// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding groups and keys of the table by name, and saying what there is when the name is wrong.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

static gboolean
is_share (const char *group)
{
  return g_str_has_prefix (group, SHARE_GROUP_PREFIX);
}

static gboolean
row_is_of (KeyId id, const char *group)
{
  const char *of = _sandbox_key_row (id)->group;

  return g_str_equal (of, group) || (is_share (group) && g_str_equal (of, SHARE_GROUP_ANY));
}

/* The groups of the table, each once; shares as "share:NAME". (transfer container) */
static GPtrArray *
all_groups (void)
{
  GPtrArray *groups = g_ptr_array_new ();
  const char *last = "";

  for (KeyId id = 0; id < N_KEYS; id++)
    {
      const char *group = _sandbox_key_row (id)->group;

      if (!g_str_equal (group, last))
        g_ptr_array_add (groups,
                         (gpointer)(g_str_equal (group, SHARE_GROUP_ANY) ? "share:NAME" : group));
      last = group;
    }
  g_ptr_array_add (groups, NULL);
  return groups;
}

gboolean
_sandbox_group_check (const char *group, GError **error)
{
  g_autoptr (GPtrArray) groups = NULL;
  g_autofree char *shown = NULL, *list = NULL;
  const char *nearest;

  if (is_share (group))
    return sandbox_name_check_form ("share", group + strlen (SHARE_GROUP_PREFIX), error);
  for (KeyId id = 0; id < N_KEYS; id++)
    if (!g_str_equal (group, SHARE_GROUP_ANY) && row_is_of (id, group))
      return TRUE;
  groups = all_groups ();
  shown = sandbox_escape (group, -1, 80);
  list = g_strjoinv (", ", (char **)groups->pdata);
  nearest = sandbox_nearest (group, (const char *const *)groups->pdata);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "unknown group \"%s\": use one of %s%s%s%s",
                       shown, list, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                       nearest ? "\"?" : "");
}

/* The group in which a key of that name is, for one that stands in the wrong place. */
static const char *
group_of_key (const char *key)
{
  for (KeyId id = 0; id < N_KEYS; id++)
    if (g_str_equal (_sandbox_key_row (id)->name, key))
      return id < KEY_SHARE_SOURCE ? _sandbox_key_row (id)->group : "share:NAME";
  return NULL;
}

static gboolean
fail_key (const char *group, const char *key, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *shown = sandbox_escape (key, -1, 80);
  g_autofree char *list = NULL, *hint = NULL;
  const char *nearest, *elsewhere = group_of_key (key);

  for (KeyId id = 0; id < N_KEYS; id++)
    if (row_is_of (id, group))
      g_ptr_array_add (names, (gpointer)_sandbox_key_row (id)->name);
  g_ptr_array_add (names, NULL);
  nearest = sandbox_nearest (key, (const char *const *)names->pdata);
  list = g_strjoinv (", ", (char **)names->pdata);
  if (elsewhere)
    hint = g_strdup_printf ("; it belongs in [%s]", elsewhere);
  else if (nearest)
    hint = g_strdup_printf ("; did you mean \"%s\"?", nearest);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "unknown key \"%s\" in [%s]: use one of %s%s",
                       shown, group, list, hint ? hint : "");
}

gboolean
_sandbox_key_find (const char *group, const char *key, KeyId *ret_id, GError **error)
{
  if (!_sandbox_group_check (group, error))
    return FALSE;
  for (KeyId id = 0; id < N_KEYS; id++)
    if (row_is_of (id, group) && g_str_equal (_sandbox_key_row (id)->name, key))
      {
        *ret_id = id;
        return TRUE;
      }
  return fail_key (group, key, error);
}
