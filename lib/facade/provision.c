// SPDX-License-Identifier: LGPL-2.1-or-later
// From [provision] of a profile to groups of steps: the pieces are taken apart, the user's files
// read, and each group made an archive that its machine is sent.
#include "facade/provision-private.h"

#include "guest/tar.h"

#include <string.h>

#define FORMAT          "1" /* of layers: another one makes all of them anew */
#define PIECE_MAX       (64 * 1024)
#define FILE_MAX        (16 * 1024 * 1024)
#define BUNDLE_MAX      (64 * 1024 * 1024)
#define WHAT_MAX        120
#define PIECE_NODE      "node" /* what npm= needs */
#define PIECE_DEPTH_MAX 8

void
_sandbox_group_free (SandboxGroup *group)
{
  if (group == NULL)
    return;
  g_free (group->what);
  g_bytes_unref (group->bundle);
  g_free (group);
}

/* All that is wanted, each thing once, in order. */
typedef struct
{
  SandboxHost *host;
  const SandboxProvision *provision;
  GPtrArray *pieces, *packages, *npm; /* (element-type utf8) */
  int pieces_fd, scripts_fd;
} Wanted;

static void
wanted_clear (Wanted *wanted)
{
  g_clear_pointer (&wanted->pieces, g_ptr_array_unref);
  g_clear_pointer (&wanted->packages, g_ptr_array_unref);
  g_clear_pointer (&wanted->npm, g_ptr_array_unref);
  sandbox_close_fd (&wanted->pieces_fd);
  sandbox_close_fd (&wanted->scripts_fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Wanted, wanted_clear)

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
open_shipped (SandboxHost *host, const char *dir, GError **error)
{
  g_autofree char *shipped = _sandbox_profile_shipped_dir (&host->profiles);
  g_autofree char *path = g_build_filename (shipped, dir, NULL);

  return sandbox_dir_open (path, FALSE, error);
}

/* --- pieces */

static gboolean
fail_piece (Wanted *wanted, const char *name, GError **error)
{
  g_auto (GStrv) files = sandbox_dir_list (wanted->pieces_fd, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *all = NULL;
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
                       "[provision] use: there is no piece \"%s\"; there are %s%s%s%s", name, all,
                       near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                       near != NULL ? "\"?" : "");
}

static gboolean
read_piece (Wanted *wanted, const char *name, GKeyFile *file, GError **error)
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
add_piece (Wanted *wanted, const char *name, guint depth, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_auto (GStrv) needs = NULL, packages = NULL, npm = NULL;

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
  g_ptr_array_add (wanted->pieces, g_strdup (name));
  add_words (wanted->packages, packages);
  add_words (wanted->npm, npm);
  return TRUE;
}

/* --- [policy] */

static gboolean
check_allowed (const SandboxProfileValues *values, const char *kind, GPtrArray *list,
               GError **error)
{
  for (guint i = 0; i < list->len; i++)
    {
      const char *item = list->pdata[i];
      /* without its version: NAME=1, NAME@1, @SCOPE/NAME@1; or NAME? */
      g_autofree char *name = g_strndup (item, 1 + strcspn (item + 1, "=@?"));
      const char *pattern = _sandbox_policy_find (values->forbid, name);

      if (pattern != NULL)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "provisioning %s: its profile forbids the %s %s (\"%s\" in forbid= "
                             "of [policy]); take one of the two out of the profile",
                             values->name, kind, name, pattern);
    }
  return TRUE;
}

static gboolean
collect (Wanted *wanted, GError **error)
{
  const SandboxProvision *provision = wanted->provision;

  wanted->pieces = g_ptr_array_new_with_free_func (g_free);
  wanted->packages = g_ptr_array_new_with_free_func (g_free);
  wanted->npm = g_ptr_array_new_with_free_func (g_free);
  wanted->pieces_fd = open_shipped (wanted->host, "pieces", error);
  if (wanted->pieces_fd < 0)
    return FALSE;
  wanted->scripts_fd = open_shipped (wanted->host, "provision", error);
  if (wanted->scripts_fd < 0)
    return FALSE;
  for (char **name = provision->use; *name != NULL; name++)
    if (!add_piece (wanted, *name, 0, error))
      return FALSE;
  if (provision->npm[0] != NULL && !add_piece (wanted, PIECE_NODE, 0, error))
    return FALSE;
  add_words (wanted->npm, provision->npm);
  add_words (wanted->packages, provision->packages);
  return TRUE;
}

/* --- bundles */

typedef struct
{
  Wanted *wanted;
  GByteArray *tar;
} Bundle;

static gboolean
add_file (Bundle *bundle, const char *name, guint mode, const char *data, gsize length,
          GError **error)
{
  if (bundle->tar->len + length > BUNDLE_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "[provision]: its files and scripts have more than %d MiB together",
                         BUNDLE_MAX / 1024 / 1024);
  sandbox_tar_append (bundle->tar, name, mode, data, length);
  return TRUE;
}

static gboolean
add_text (Bundle *bundle, const char *name, const char *text, GError **error)
{
  return add_file (bundle, name, 0644, text, strlen (text), error);
}

static gboolean
add_shipped (Bundle *bundle, int dir_fd, const char *file, const char *name, GError **error)
{
  g_autofree char *data = NULL;
  gsize length;

  return sandbox_file_read_at (dir_fd, file, FILE_MAX, &data, &length, error)
         && add_file (bundle, name, 0755, data, length, error);
}

/* A file of the user's: not one that lies where a machine could have put it. */
static gboolean
add_users (Bundle *bundle, const char *source, const char *name, guint mode, GError **error)
{
  SandboxHost *host = bundle->wanted->host;
  g_autofree char *path = NULL, *last = NULL, *data = NULL;
  g_autofree char *profiles = _sandbox_profile_user_dir (&host->profiles);
  g_auto (GStrv) shared = _sandbox_shares_of_all (host, error);
  sandbox_autofd int fd = -1;
  gsize length;

  if (shared == NULL)
    return FALSE;
  if (g_path_is_absolute (source))
    path = g_strdup (source);
  else if (g_str_has_prefix (source, "~/"))
    path = g_build_filename (host->home, source + 2, NULL);
  else
    path = g_build_filename (profiles, source, NULL);
  fd = sandbox_walk (path, (const char *const *)shared, TRUE, &last, error);
  if (fd >= 0 && sandbox_file_read_at (fd, last, FILE_MAX, &data, &length, error))
    return add_file (bundle, name, mode, data, length, error);
  g_prefix_error (error, "[provision]: reading %s: ", path);
  return FALSE;
}

static char *
join_lines (GPtrArray *words)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < words->len; i++)
    g_string_append_printf (text, "%s\n", (char *)words->pdata[i]);
  return g_string_free (text, FALSE);
}

static gboolean
add_list (Bundle *bundle, const char *name, GPtrArray *words, GError **error)
{
  g_autofree char *text = join_lines (words);

  return add_text (bundle, name, text, error);
}

/* "files": lines NUMBER OWNER MODE TARGET, the contents beside it by number. */
static gboolean
add_files (Bundle *bundle, GError **error)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  char *const *items = bundle->wanted->provision->files;

  for (guint i = 0; items[i] != NULL; i++)
    {
      g_auto (SandboxProvisionFile) file = { 0 };
      g_autofree char *name = g_strdup_printf ("file-%u", i);

      if (!_sandbox_files_item_parse (items[i], &file, error)
          || !add_users (bundle, file.source, name, 0600, error))
        return FALSE;
      g_ptr_array_add (lines,
                       g_strdup_printf ("%s %s %04o %s", name, file.as_user ? "user" : "root",
                                        file.mode, file.target));
    }
  return add_list (bundle, "files", lines, error);
}

/* "scripts": lines NAME USER WORDS-FOR-PEOPLE, those of the pieces first. */
static gboolean
add_scripts (Bundle *bundle, GError **error)
{
  Wanted *wanted = bundle->wanted;
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < wanted->pieces->len; i++)
    {
      g_autofree char *file = g_strconcat (wanted->pieces->pdata[i], ".setup", NULL);
      g_autofree char *name = g_strconcat ("piece-", wanted->pieces->pdata[i], NULL);
      g_autoptr (GError) local = NULL;

      if (add_shipped (bundle, wanted->pieces_fd, file, name, &local))
        g_ptr_array_add (lines, g_strdup_printf ("%s root %s", name, file));
      else if (!g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
    }
  for (guint i = 0; wanted->provision->setup[i] != NULL; i++)
    {
      g_auto (SandboxProvisionFile) file = { 0 };
      g_autofree char *name = g_strdup_printf ("setup-%u", i);

      if (!_sandbox_setup_item_parse (wanted->provision->setup[i], &file, error)
          || !add_users (bundle, file.source, name, 0755, error))
        return FALSE;
      g_ptr_array_add (
          lines, g_strdup_printf ("%s %s %s", name, file.as_user ? "user" : "root", file.source));
    }
  return add_list (bundle, "scripts", lines, error);
}

static gboolean
add_env (Bundle *bundle, GError **error)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  char *const *items = bundle->wanted->provision->env;

  for (; *items != NULL; items++)
    {
      const char *value = strchr (*items, '=') + 1;

      g_ptr_array_add (lines, g_strdup_printf ("%.*s\"%s\"", (int)(value - *items), *items, value));
    }
  return add_list (bundle, "env", lines, error);
}

/* --- groups */

static gboolean
fill_packages (Bundle *bundle, GError **error)
{
  return add_list (bundle, "packages", bundle->wanted->packages, error);
}

static gboolean
fill_npm (Bundle *bundle, GError **error)
{
  return add_list (bundle, "npm", bundle->wanted->npm, error);
}

static gboolean
fill_setup (Bundle *bundle, GError **error)
{
  return add_files (bundle, error) && add_env (bundle, error) && add_scripts (bundle, error);
}

static gboolean
add_group (GPtrArray *groups, Wanted *wanted, const char *id, const char *words,
           gboolean (*fill) (Bundle *, GError **), GError **error)
{
  g_autoptr (GByteArray) tar = g_byte_array_new ();
  g_autofree char *script = g_strconcat ("run-", id, NULL);
  Bundle bundle = { wanted, tar };
  SandboxGroup *group;

  if (!add_shipped (&bundle, wanted->scripts_fd, "run", "run", error)
      || !add_shipped (&bundle, wanted->scripts_fd, script, "step", error)
      || !add_shipped (&bundle, wanted->scripts_fd, "clean", "clean", error)
      || !fill (&bundle, error))
    return FALSE;
  sandbox_tar_append_end (tar);
  group = g_new0 (SandboxGroup, 1);
  group->id = id;
  group->what = sandbox_escape (words, -1, WHAT_MAX);
  group->bundle = g_byte_array_free_to_bytes (g_steal_pointer (&tar));
  g_ptr_array_add (groups, group);
  return TRUE;
}

static gboolean
has_setup (const Wanted *wanted)
{
  const SandboxProvision *provision = wanted->provision;

  for (guint i = 0; i < wanted->pieces->len; i++)
    {
      g_autofree char *file = g_strconcat (wanted->pieces->pdata[i], ".setup", NULL), *text = NULL;
      gsize length;

      if (sandbox_file_read_at (wanted->pieces_fd, file, FILE_MAX, &text, &length, NULL))
        return TRUE;
    }
  return provision->setup[0] != NULL || provision->files[0] != NULL || provision->env[0] != NULL;
}

static char *
words_of (GPtrArray *words)
{
  return g_strdelimit (join_lines (words), "\n", ' ');
}

GPtrArray *
_sandbox_provision_groups (SandboxHost *host, SandboxProfile *profile, GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);
  const SandboxProvision *provision = &values->provision;
  g_autoptr (GPtrArray) groups =
      g_ptr_array_new_with_free_func ((GDestroyNotify)_sandbox_group_free);
  g_auto (Wanted)
      wanted = { .host = host, .provision = provision, .pieces_fd = -1, .scripts_fd = -1 };
  g_autofree char *packages = NULL, *npm = NULL;

  if (provision->use[0] == NULL && provision->packages[0] == NULL && provision->npm[0] == NULL
      && provision->setup[0] == NULL && provision->files[0] == NULL && provision->env[0] == NULL)
    return g_steal_pointer (&groups);
  if (!collect (&wanted, error) || !check_allowed (values, "npm package", wanted.npm, error)
      || !check_allowed (values, "piece", wanted.pieces, error)
      || !check_allowed (values, "package", wanted.packages, error))
    return NULL;
  packages = words_of (wanted.packages);
  npm = words_of (wanted.npm);
  if ((wanted.packages->len > 0
       && !add_group (groups, &wanted, "packages", packages, fill_packages, error))
      || (wanted.npm->len > 0 && !add_group (groups, &wanted, "npm", npm, fill_npm, error))
      || (has_setup (&wanted)
          && !add_group (groups, &wanted, "setup", "files, variables, scripts", fill_setup, error)))
    return NULL;
  return g_steal_pointer (&groups);
}

char *
_sandbox_provision_digest (const char *parent, const SandboxGroup *group,
                           const SandboxProfileValues *values, guint uid, guint gid)
{
  g_autofree char *forbid = g_strjoinv (";", values->forbid);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *head =
      g_strdup_printf (FORMAT "\n%s\n%s\n%s %u %u\n", parent, group->id, values->user, uid, gid);
  gsize length;
  const guchar *data = g_bytes_get_data (group->bundle, &length);

  g_checksum_update (sum, (const guchar *)head, (gssize)strlen (head));
  /* what was made when less was forbidden is not what would be made now */
  g_checksum_update (sum, (const guchar *)forbid, (gssize)strlen (forbid));
  g_checksum_update (sum, data, (gssize)length);
  return g_strndup (g_checksum_get_string (sum), 32);
}

char *
_sandbox_group_marker (const SandboxLayering *layering, const SandboxGroup *group)
{
  const SandboxHost *host = layering->host;

  return _sandbox_provision_digest ("", group, _sandbox_profile_values (layering->profile),
                                    host->uid, host->gid);
}
