// SPDX-License-Identifier: LGPL-2.1-or-later
// What [provision] of a profile asks for: its pieces taken apart, what [policy] forbids refused,
// and files and scripts of the user's read, from where no machine can have put them.
#include "facade/provision-private.h"

#include <string.h>

#define PIECE_MAX       (64 * 1024)
#define PIECE_NODE      "node" /* what npm= needs */
#define PIECE_DEPTH_MAX 8

/* Takes @sharer. */
static void
distrust (SandboxWanted *wanted, const char *path, char *sharer)
{
  g_ptr_array_add (wanted->untrusted, _sandbox_path_resolve (path));
  g_ptr_array_add (wanted->sharers, sharer);
}

static void
distrust_shares (SandboxWanted *wanted, SandboxProfile *profile)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);
  g_autofree char *whose = profile == wanted->profile
                               ? g_strdup ("this profile")
                               : g_strconcat ("profile ", values->name, NULL);

  for (guint i = 0; i < values->shares->len; i++)
    {
      const SandboxShareSpec *share = values->shares->pdata[i];
      g_autofree char *source =
          _sandbox_plan_share_path (share->source, wanted->home, values->name);

      distrust (wanted, source, g_strdup_printf ("[share:%s] of %s", share->name, whose));
    }
}

/* What is shared now and then, with a machine that is not there at the moment, too. A profile with
 * a mistake in it starts none. */
static gboolean
distrust_profiles (SandboxWanted *wanted, GError **error)
{
  g_autoptr (GPtrArray) list = sandbox_profile_list (wanted->dirs, error);
  const char *own = _sandbox_profile_values (wanted->profile)->name;

  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      const SandboxProfileInfo *info = list->pdata[i];
      g_autoptr (SandboxProfile) profile =
          strcmp (info->name, own) != 0 ? sandbox_profile_load (wanted->dirs, info->name, NULL)
                                        : NULL;

      if (profile != NULL)
        distrust_shares (wanted, profile);
    }
  return list != NULL;
}

gboolean
_sandbox_wanted_init (SandboxWanted *wanted, const SandboxProfileDirs *dirs,
                      SandboxProfile *profile, const char *home, char *const *shared,
                      GError **error)
{
  *wanted = (SandboxWanted){ .dirs = dirs,
                             .profile = profile,
                             .home = home,
                             .provision = &_sandbox_profile_values (profile)->provision,
                             .untrusted = g_ptr_array_new_with_free_func (g_free),
                             .sharers = g_ptr_array_new_with_free_func (g_free),
                             .pieces_fd = -1,
                             .scripts_fd = -1 };
  distrust_shares (wanted, profile);
  for (; *shared != NULL; shared++)
    distrust (wanted, *shared, g_strdup ("a machine"));
  if (!distrust_profiles (wanted, error))
    return FALSE;
  g_ptr_array_add (wanted->untrusted, NULL);
  return TRUE;
}

void
_sandbox_wanted_clear (SandboxWanted *wanted)
{
  /* one that was never begun */
  if (wanted->untrusted == NULL)
    return;
  g_clear_pointer (&wanted->untrusted, g_ptr_array_unref);
  g_clear_pointer (&wanted->sharers, g_ptr_array_unref);
  g_clear_pointer (&wanted->pieces, g_ptr_array_unref);
  g_clear_pointer (&wanted->packages, g_ptr_array_unref);
  g_clear_pointer (&wanted->npm, g_ptr_array_unref);
  g_clear_pointer (&wanted->commands, g_ptr_array_unref);
  sandbox_close_fd (&wanted->pieces_fd);
  sandbox_close_fd (&wanted->scripts_fd);
}

/* Whether it is a name that was made for a throwaway machine, whose profile is no file of the
 * user's. */
static gboolean
is_throwaway (const SandboxProfileDirs *dirs, const char *name)
{
  g_autoptr (GPtrArray) list = NULL;

  if (!_sandbox_name_is_generated (name))
    return FALSE;
  list = sandbox_profile_list (dirs, NULL);
  for (guint i = 0; list != NULL && i < list->len; i++)
    if (strcmp (((SandboxProfileInfo *)list->pdata[i])->name, name) == 0)
      return FALSE;
  return TRUE;
}

const char *
_sandbox_provision_subject (const SandboxProfileDirs *dirs, SandboxProfile *profile)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);

  return is_throwaway (dirs, values->name) ? values->inherits : values->name;
}

/* "FILE:LINE: [GROUP] KEY", as errors begin. */
static char *
where (const SandboxWanted *wanted, const char *group, const char *key)
{
  return g_strdup_printf ("%s: [%s] %s", sandbox_profile_get_origin (wanted->profile, group, key),
                          group, key);
}

static gboolean
has (GPtrArray *list, const char *word)
{
  return g_ptr_array_find_with_equal_func (list, word, g_str_equal, NULL);
}

static void
add_words (GPtrArray *list, char *const *words)
{
  for (; words != NULL && *words != NULL; words++)
    if (!has (list, *words))
      g_ptr_array_add (list, g_strdup (*words));
}

static int
open_shipped (const SandboxWanted *wanted, const char *dir, GError **error)
{
  g_autofree char *shipped = _sandbox_profile_shipped_dir (wanted->dirs);
  g_autofree char *path = g_build_filename (shipped, dir, NULL);

  return sandbox_dir_open (path, FALSE, error);
}

/* --- pieces */

static gboolean
fail_piece (SandboxWanted *wanted, const char *name, GError **error)
{
  g_auto (GStrv) files = sandbox_dir_list (wanted->pieces_fd, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *all = NULL, *place = where (wanted, "provision", "use");
  const char *near;

  for (char **file = files; file != NULL && *file != NULL; file++)
    if (g_str_has_suffix (*file, ".piece"))
      {
        (*file)[strlen (*file) - strlen (".piece")] = '\0';
        g_ptr_array_add (names, *file);
      }
  g_ptr_array_add (names, NULL);
  all = g_strjoinv (", ", (char **)names->pdata);
  near = sandbox_nearest (name, (const char *const *)names->pdata);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "%s: there is no piece \"%s\"; there are %s%s%s%s", place, name, all,
                       near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                       near != NULL ? "\"?" : "");
}

static gboolean
read_piece (SandboxWanted *wanted, const char *name, GKeyFile *file, GError **error)
{
  g_autofree char *file_name = g_strconcat (name, ".piece", NULL), *text = NULL;
  g_autoptr (GError) local = NULL;
  gsize length;

  if (!sandbox_file_read_at (wanted->pieces_fd, file_name, PIECE_MAX, &text, &length, &local))
    {
      if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        return fail_piece (wanted, name, error);
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (g_key_file_load_from_data (file, text, length, G_KEY_FILE_NONE, &local))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_FAILED, "the piece %s is damaged: %s", name,
                       local->message);
}

static gboolean
add_piece (SandboxWanted *wanted, const char *name, guint depth, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_auto (GStrv) needs = NULL, packages = NULL, npm = NULL, commands = NULL;

  if (has (wanted->pieces, name))
    return TRUE;
  if (depth > PIECE_DEPTH_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED, "the piece %s needs itself", name);
  if (!read_piece (wanted, name, file, error))
    return FALSE;
  needs = g_key_file_get_string_list (file, "piece", "needs", NULL, NULL);
  for (char **need = needs; need != NULL && *need != NULL; need++)
    if (!add_piece (wanted, *need, depth + 1, error))
      return FALSE;
  packages = g_key_file_get_string_list (file, "piece", "packages", NULL, NULL);
  npm = g_key_file_get_string_list (file, "piece", "npm", NULL, NULL);
  commands = g_key_file_get_string_list (file, "piece", "commands", NULL, NULL);
  g_ptr_array_add (wanted->pieces, g_strdup (name));
  add_words (wanted->commands, commands);
  add_words (wanted->packages, packages);
  add_words (wanted->npm, npm);
  return TRUE;
}

/* --- [policy] */

static gboolean
check_allowed (const SandboxWanted *wanted, const char *kind, GPtrArray *list, GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (wanted->profile);

  for (guint i = 0; i < list->len; i++)
    {
      const char *item = list->pdata[i];
      /* without its version: NAME=1, NAME@1, @SCOPE/NAME@1; or NAME? */
      g_autofree char *name = g_strndup (item, 1 + strcspn (item + 1, "=@?"));
      g_autofree char *place = NULL;
      const char *pattern = _sandbox_policy_find (values->forbid, name);
      gboolean is_needed = wanted->provision->npm[0] != NULL && strcmp (item, PIECE_NODE) == 0;

      if (pattern == NULL)
        continue;
      place = where (wanted, "policy", "forbid");
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "%s: provisioning %s: its profile forbids the %s %s%s (\"%s\" in "
                           "forbid= of [policy]); take one of the two out of the profile",
                           place, _sandbox_provision_subject (wanted->dirs, wanted->profile), kind,
                           name, is_needed ? " that npm= needs" : "", pattern);
    }
  return TRUE;
}

gboolean
_sandbox_wanted_collect (SandboxWanted *wanted, GError **error)
{
  const SandboxProvision *provision = wanted->provision;

  wanted->pieces = g_ptr_array_new_with_free_func (g_free);
  wanted->packages = g_ptr_array_new_with_free_func (g_free);
  wanted->npm = g_ptr_array_new_with_free_func (g_free);
  wanted->commands = g_ptr_array_new_with_free_func (g_free);
  wanted->pieces_fd = open_shipped (wanted, "pieces", error);
  if (wanted->pieces_fd < 0)
    return FALSE;
  wanted->scripts_fd = open_shipped (wanted, "provision", error);
  if (wanted->scripts_fd < 0)
    return FALSE;
  for (char **name = provision->use; *name != NULL; name++)
    if (!add_piece (wanted, *name, 0, error))
      return FALSE;
  if (provision->npm[0] != NULL && !add_piece (wanted, PIECE_NODE, 0, error))
    return FALSE;
  add_words (wanted->npm, provision->npm);
  add_words (wanted->packages, provision->packages);
  return check_allowed (wanted, "npm package", wanted->npm, error)
         && check_allowed (wanted, "piece", wanted->pieces, error)
         && check_allowed (wanted, "package", wanted->packages, error)
         && check_allowed (wanted, "command", wanted->commands, error);
}

/* --- the user's files */

/* Neither a link from such a place nor a file in it: with it, root in a new machine would run what
 * another machine, or whoever worked in the directory, has written. */
static gboolean
check_apart (const SandboxWanted *wanted, const char *path, int dir_fd, GError **error)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", dir_fd);
  g_autofree char *here = g_file_read_link (link, error);

  for (guint i = 0; here != NULL && wanted->untrusted->pdata[i] != NULL; i++)
    {
      const char *place = wanted->untrusted->pdata[i];

      if (!g_str_has_prefix (here, place)
          || (here[strlen (place)] != '/' && here[strlen (place)] != '\0'))
        continue;
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "%s lies in %s, which %s shares, and what is written there would be "
                           "taken into new machines, scripts as root: keep it in a directory that "
                           "is not shared, such as that of your profiles",
                           path, place, (char *)wanted->sharers->pdata[i]);
    }
  return here != NULL;
}

static gboolean
read_apart (const SandboxWanted *wanted, const char *path, char **ret_data, gsize *ret_length,
            GError **error)
{
  const char *const *untrusted = (const char *const *)wanted->untrusted->pdata;
  g_autofree char *last = NULL;
  sandbox_autofd int fd = sandbox_walk (path, untrusted, TRUE, &last, error);

  return fd >= 0 && check_apart (wanted, path, fd, error)
         && sandbox_file_read_at (fd, last, SANDBOX_PROVISION_FILE_MAX, ret_data, ret_length,
                                  error);
}

gboolean
_sandbox_wanted_read (const SandboxWanted *wanted, const char *key, const char *source,
                      char **ret_data, gsize *ret_length, GError **error)
{
  g_autofree char *profiles = _sandbox_profile_user_dir (wanted->dirs);
  g_autofree char *path = NULL, *place = NULL;
  g_autoptr (GError) local = NULL;

  if (g_path_is_absolute (source))
    path = g_strdup (source);
  else if (g_str_has_prefix (source, "~/"))
    path = g_build_filename (wanted->home, source + 2, NULL);
  else
    path = g_build_filename (profiles, source, NULL);
  if (read_apart (wanted, path, ret_data, ret_length, &local))
    return TRUE;
  place = where (wanted, "provision", key);
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: there is no file %s: put it there, or take \"%s\" out of %s=", place,
                         path, source, key);
  /* whatever it is: a mistake in the profile, not in the host */
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "%s: reading %s: %s", place, path,
                       local->message);
}
