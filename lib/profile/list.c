// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of all profiles, with what is wrong with those that do not load.
#include "profile/profile-internal.h"

#include "base/names.h"

#include <string.h>

void
sandbox_profile_info_free (SandboxProfileInfo *info)
{
  if (!info)
    return;
  g_free (info->name);
  g_free (info->summary);
  g_free (info->path);
  g_free (info->inherits);
  g_free (info->problem);
  g_free (info);
}

static void
free_info (gpointer info)
{
  sandbox_profile_info_free (info);
}

static SandboxProfileInfo *
find_info (GPtrArray *infos, const char *name)
{
  for (guint i = 0; i < infos->len; i++)
    {
      SandboxProfileInfo *info = g_ptr_array_index (infos, i);

      if (g_str_equal (info->name, name))
        return info;
    }
  return NULL;
}

static void
add_file (GPtrArray *infos, const char *dir, const char *name, gboolean of_user)
{
  g_autofree char *file_name = g_strconcat (name, ".profile", NULL);
  /* a file name may be anything; a name that is no name does not load, and is only shown */
  g_autofree char *shown = sandbox_escape (name, -1, 80);
  SandboxProfileInfo *info = find_info (infos, shown);

  if (!info)
    {
      info = g_new0 (SandboxProfileInfo, 1);
      info->name = g_steal_pointer (&shown);
      g_ptr_array_add (infos, info);
    }
  g_free (info->path);
  info->path = g_build_filename (dir, file_name, NULL);
  if (of_user)
    info->user = TRUE;
  else
    info->shipped = TRUE;
}

static gboolean
add_dir (GPtrArray *infos, const char *dir, gboolean of_user, GError **error)
{
  g_auto (GStrv) names = _sandbox_profile_file_names (dir, error);

  for (guint i = 0; names && names[i]; i++)
    if (!of_user || !g_str_equal (names[i], "defaults"))
      add_file (infos, dir, names[i], of_user);
  return names != NULL;
}

static void
load_info (SandboxProfileInfo *info, const SandboxProfileDirs *dirs)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile = sandbox_profile_load (dirs, info->name, &error);
  const SandboxProfileValues *values = profile ? _sandbox_profile_values (profile) : NULL;

  info->summary = g_strdup (values ? values->summary : "");
  info->inherits = g_strdup (values ? values->inherits : "");
  info->problem = error ? g_strdup (error->message) : NULL;
}

static int
compare_infos (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(SandboxProfileInfo *const *)a)->name, (*(SandboxProfileInfo *const *)b)->name);
}

GPtrArray *
sandbox_profile_list (const SandboxProfileDirs *dirs, GError **error)
{
  g_autoptr (GPtrArray) infos = g_ptr_array_new_with_free_func (free_info);
  g_autofree char *user_dir = _sandbox_profile_user_dir (dirs);
  g_autofree char *shipped_dir = _sandbox_profile_shipped_dir (dirs);

  if (!add_dir (infos, shipped_dir, FALSE, error) || !add_dir (infos, user_dir, TRUE, error))
    return NULL;
  for (guint i = 0; i < infos->len; i++)
    load_info (g_ptr_array_index (infos, i), dirs);
  g_ptr_array_sort (infos, compare_infos);
  return g_steal_pointer (&infos);
}
