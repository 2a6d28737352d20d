// SPDX-License-Identifier: LGPL-2.1-or-later
// Profiles as text: the canonical key file, its digest, and the difference of two.
#include "profile/profile-internal.h"

#include <string.h>

static void
format_group (GString *text, SandboxProfile *profile, const Share *share, const char *group)
{
  g_string_append_printf (text, "%s[%s%s]\n", text->len > 0 ? "\n" : "",
                          share ? SHARE_GROUP_PREFIX : group, share ? share->name : "");
  for (KeyId id = 0; id < N_KEYS; id++)
    {
      const SandboxProfileKey *row = _sandbox_key_row (id);
      const char *value;

      if (!g_str_equal (row->group, group))
        continue;
      value = _sandbox_profile_value (profile, share, id);
      /* few shares and profiles have it */
      if (id >= KEY_SHARE_SHADOW && *value == '\0')
        continue;
      if (id == KEY_DEFAULTS && strcmp (value, row->default_value) == 0)
        continue;
      if (value)
        g_string_append_printf (text, "%s=%s\n", row->name, value);
    }
}

/* Most machines have no such group: one that nobody wrote is left out. */
static void
format_written_group (GString *text, SandboxProfile *profile, const char *group)
{
  for (KeyId id = 0; id < N_KEYS; id++)
    if (g_str_equal (_sandbox_key_row (id)->group, group) && profile->cells[id].value)
      {
        format_group (text, profile, NULL, group);
        return;
      }
}

char *
sandbox_profile_format (SandboxProfile *profile)
{
  GString *text = g_string_new (NULL);

  format_group (text, profile, NULL, "profile");
  format_group (text, profile, NULL, "machine");
  format_group (text, profile, NULL, "network");
  format_written_group (text, profile, "provision");
  format_written_group (text, profile, "policy");
  for (guint i = 0; i < profile->shares->len; i++)
    format_group (text, profile, g_ptr_array_index (profile->shares, i), SHARE_GROUP_ANY);
  return g_string_free (text, FALSE);
}

const char *
sandbox_profile_get_digest (SandboxProfile *profile)
{
  return profile->digest;
}

static const char *
show_value (const char *value)
{
  return !value ? "(none)" : value[0] == '\0' ? "(empty)" : value;
}

static void
diff_value (GString *text, const char *group, const char *name, KeyId id, const char *old_value,
            const char *new_value)
{
  if (g_strcmp0 (old_value, new_value) == 0)
    return;
  g_string_append_printf (text, "%s%s/%s: %s -> %s\n", group, name, _sandbox_key_row (id)->name,
                          show_value (old_value), show_value (new_value));
}

static const char *
share_value (SandboxProfile *profile, const Share *share, KeyId id)
{
  const char *value = share ? _sandbox_profile_value (profile, share, id) : NULL;

  /* having none of it is what a share that is not there has, too */
  return id >= KEY_SHARE_SHADOW && g_strcmp0 (value, "") == 0 ? NULL : value;
}

/* Either share may be NULL: not there. */
static void
diff_share (GString *text, SandboxProfile *old_profile, const Share *old_share,
            SandboxProfile *new_profile, const Share *new_share)
{
  for (KeyId id = KEY_SHARE_SOURCE; id < N_KEYS; id++)
    diff_value (text, SHARE_GROUP_PREFIX, old_share ? old_share->name : new_share->name, id,
                share_value (old_profile, old_share, id), share_value (new_profile, new_share, id));
}

char *
sandbox_profile_diff (SandboxProfile *old_profile, SandboxProfile *new_profile)
{
  GString *text = g_string_new (NULL);

  for (KeyId id = 0; id < KEY_SHARE_SOURCE; id++)
    diff_value (text, _sandbox_key_row (id)->group, "", id,
                _sandbox_profile_value (old_profile, NULL, id),
                _sandbox_profile_value (new_profile, NULL, id));
  for (guint i = 0; i < old_profile->shares->len; i++)
    {
      const Share *share = g_ptr_array_index (old_profile->shares, i);

      diff_share (text, old_profile, share, new_profile,
                  _sandbox_profile_find_share (new_profile, share->name));
    }
  for (guint i = 0; i < new_profile->shares->len; i++)
    {
      const Share *share = g_ptr_array_index (new_profile->shares, i);

      if (!_sandbox_profile_find_share (old_profile, share->name))
        diff_share (text, old_profile, NULL, new_profile, share);
    }
  return g_string_free (text, FALSE);
}
