// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares as they are given on a command line:
// DIR[:TARGET][,mode=M][,shadow=A;B][,guard=P;Q][,flag=P;Q].
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

typedef struct
{
  /* all but the source NULL when not given */
  char *source, *target, *mode, *shadow, *guard, *flag;
} Spec;

static void
clear_spec (Spec *spec)
{
  g_free (spec->source);
  g_free (spec->target);
  g_free (spec->mode);
  g_free (spec->shadow);
  g_free (spec->guard);
  g_free (spec->flag);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Spec, clear_spec)

static gboolean
read_option (Spec *spec, const char *option, GError **error)
{
  const struct
  {
    const char *key;
    char **value;
  } options[] = {
    { "mode=", &spec->mode },
    { "shadow=", &spec->shadow },
    { "guard=", &spec->guard },
    { "flag=", &spec->flag },
  };
  g_autofree char *shown = sandbox_escape (option, -1, 80);

  for (gsize i = 0; i < G_N_ELEMENTS (options); i++)
    {
      const char *key = options[i].key;

      if (!g_str_has_prefix (option, key))
        continue;
      if (*options[i].value)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID, "%s is given twice", key);
      *options[i].value = g_strdup (option + strlen (key));
      return TRUE;
    }
  if (g_str_has_prefix (option, "limit="))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"%s\": limit= is not available in this version: keep the shared "
                         "directory on a file system of its own, or use mode=review, in which the "
                         "machine writes to its own disk",
                         shown);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "\"%s\" is no option of a share: use mode=review, mode=guarded, mode=rw, "
                       "mode=ro, shadow=DIR;DIR, guard=NAME;NAME or flag=NAME;NAME, or no option",
                       shown);
}

static gboolean
read_spec (const char *text, Spec *spec, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);
  const char *colon;

  if (!parts[0] || parts[0][0] == '\0')
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "there is no directory: write DIR[:TARGET][,mode=M][,shadow=DIR;DIR]");
  for (guint i = 1; parts[i]; i++)
    if (!read_option (spec, parts[i], error))
      return FALSE;
  colon = strchr (parts[0], ':');
  spec->source = colon ? g_strndup (parts[0], (gsize)(colon - parts[0])) : g_strdup (parts[0]);
  spec->target = colon ? g_strdup (colon + 1) : NULL;
  return TRUE;
}

/* The directory's name as far as a share's name can have it. (transfer full) */
static char *
derive_name (const char *source)
{
  g_autofree char *base = g_path_get_basename (source);
  GString *name = g_string_new (NULL);

  for (const char *p = base; *p; p++)
    {
      char c = g_ascii_tolower (*p);

      if (g_ascii_islower (c) || g_ascii_isdigit (c))
        g_string_append_c (name, c);
      else if (name->len > 0 && name->str[name->len - 1] != '-')
        g_string_append_c (name, '-');
    }
  if (name->len > 0 && !g_ascii_islower (name->str[0]))
    g_string_prepend (name, "share-");
  /* room for a number */
  g_string_truncate (name, MIN (name->len, SANDBOX_NAME_MAX - 4));
  while (name->len > 0 && name->str[name->len - 1] == '-')
    g_string_truncate (name, name->len - 1);
  if (name->len == 0)
    g_string_assign (name, "share");
  return g_string_free (name, FALSE);
}

static char *
unique_name (SandboxProfile *profile, const char *source)
{
  g_autofree char *stem = derive_name (source);
  char *name = g_strdup (stem);

  for (guint i = 2; _sandbox_profile_find_share (profile, name); i++)
    {
      g_free (name);
      name = g_strdup_printf ("%s-%u", stem, i);
    }
  return name;
}

/* The share of that source, so that giving it once more changes it instead of adding another. */
static const Share *
find_by_source (SandboxProfile *profile, const char *source)
{
  for (guint i = 0; i < profile->shares->len; i++)
    {
      const Share *share = g_ptr_array_index (profile->shares, i);

      if (g_strcmp0 (_sandbox_profile_value (profile, share, KEY_SHARE_SOURCE), source) == 0)
        return share;
    }
  return NULL;
}

/* Of @pairs, those with a value. */
static gboolean
assign_all (SandboxProfile *profile, const char *group, const char *const pairs[][2], gsize n,
            GError **error)
{
  for (gsize i = 0; i < n; i++)
    if (pairs[i][1]
        && !_sandbox_profile_assign (profile, group, pairs[i][0], pairs[i][1], SANDBOX_ORIGIN_SET,
                                     error))
      return FALSE;
  return _sandbox_profile_finish (profile, error);
}

static gboolean
apply_spec (SandboxProfile *profile, const Spec *spec, char **ret_name, GError **error)
{
  g_autoptr (SandboxProfile) changed = NULL;
  g_autofree char *source = NULL, *name = NULL, *group = NULL, *target = NULL;
  const Share *share;

  if (!_sandbox_key_check (KEY_SHARE_SOURCE, spec->source, &source, error))
    return FALSE;
  share = find_by_source (profile, source);
  name = share ? g_strdup (share->name) : unique_name (profile, source);
  group = g_strconcat (SHARE_GROUP_PREFIX, name, NULL);
  if (spec->target)
    target = g_strdup (spec->target);
  else if (!share)
    {
      g_autofree char *base = g_path_get_basename (source);

      target = g_strconcat ("~/", base, NULL);
    }
  changed = sandbox_profile_copy (profile);
  if (!assign_all (changed, group,
                   (const char *const[][2]){ { "source", source },
                                             { "target", target },
                                             { "mode", spec->mode },
                                             { "shadow", spec->shadow },
                                             { "guard", spec->guard },
                                             { "flag", spec->flag } },
                   6, error))
    return FALSE;
  _sandbox_profile_swap (profile, changed);
  if (ret_name != NULL)
    *ret_name = g_steal_pointer (&name);
  return TRUE;
}

gboolean
sandbox_profile_add_share (SandboxProfile *profile, const char *spec, GError **error)
{
  return _sandbox_profile_add_share (profile, spec, NULL, error);
}

gboolean
_sandbox_profile_put_share (SandboxProfile *profile, const SandboxShareSpec *share, GError **error)
{
  g_autoptr (SandboxProfile) changed = sandbox_profile_copy (profile);
  g_autofree char *group = g_strconcat (SHARE_GROUP_PREFIX, share->name, NULL);
  const char *const pairs[][2] = {
    { "source", share->source },
    { "target", share->target },
    { "mode", _sandbox_share_mode_to_string (share->mode) },
    { "create", share->create ? "yes" : "no" },
    { "shadow", share->shadow },
    { "guard", share->guard },
    { "flag", share->flag },
  };

  if (!assign_all (changed, group, pairs, G_N_ELEMENTS (pairs), error))
    return FALSE;
  _sandbox_profile_swap (profile, changed);
  return TRUE;
}

gboolean
_sandbox_profile_add_share (SandboxProfile *profile, const char *spec, char **ret_name,
                            GError **error)
{
  g_auto (Spec) parsed = { NULL };

  if (read_spec (spec, &parsed, error) && apply_spec (profile, &parsed, ret_name, error))
    return TRUE;
  {
    g_autofree char *shown = sandbox_escape (spec, -1, 120);

    g_prefix_error (error, "share \"%s\": ", shown);
  }
  return FALSE;
}
