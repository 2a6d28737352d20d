// SPDX-License-Identifier: LGPL-2.1-or-later
// From [provision] of a profile to groups of steps: the pieces are taken apart, the user's files
// read, and each group made an archive that its machine is sent.
#include "facade/provision-private.h"

#include "guest/tar.h"

#include <string.h>

#define FORMAT     "1" /* of layers: another one makes all of them anew */
#define BUNDLE_MAX (64 * 1024 * 1024)
#define WHAT_MAX   120

void
_sandbox_group_free (SandboxGroup *group)
{
  if (group == NULL)
    return;
  g_free (group->what);
  g_bytes_unref (group->bundle);
  g_free (group);
}

/* --- bundles */

typedef struct
{
  SandboxWanted *wanted;
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

  return sandbox_file_read_at (dir_fd, file, SANDBOX_PROVISION_FILE_MAX, &data, &length, error)
         && add_file (bundle, name, 0755, data, length, error);
}

static gboolean
add_users (Bundle *bundle, const char *key, const char *source, const char *name, guint mode,
           GError **error)
{
  g_autofree char *data = NULL;
  gsize length;

  return _sandbox_wanted_read (bundle->wanted, key, source, &data, &length, error)
         && add_file (bundle, name, mode, data, length, error);
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
          || !add_users (bundle, "files", file.source, name, 0600, error))
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
  SandboxWanted *wanted = bundle->wanted;
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
          || !add_users (bundle, "setup", file.source, name, 0755, error))
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
add_group (GPtrArray *groups, SandboxWanted *wanted, const char *id, const char *words,
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
has_setup (const SandboxWanted *wanted)
{
  const SandboxProvision *provision = wanted->provision;

  for (guint i = 0; i < wanted->pieces->len; i++)
    {
      g_autofree char *file = g_strconcat (wanted->pieces->pdata[i], ".setup", NULL), *text = NULL;
      gsize length;

      if (sandbox_file_read_at (wanted->pieces_fd, file, SANDBOX_PROVISION_FILE_MAX, &text, &length,
                                NULL))
        return TRUE;
    }
  return provision->setup[0] != NULL || provision->files[0] != NULL || provision->env[0] != NULL;
}

static char *
words_of (GPtrArray *words)
{
  return g_strdelimit (join_lines (words), "\n", ' ');
}

static GPtrArray *
make_groups (SandboxWanted *wanted, GError **error)
{
  g_autoptr (GPtrArray) groups =
      g_ptr_array_new_with_free_func ((GDestroyNotify)_sandbox_group_free);
  g_autofree char *packages = NULL, *npm = NULL;

  if (!_sandbox_wanted_collect (wanted, error))
    return NULL;
  packages = words_of (wanted->packages);
  npm = words_of (wanted->npm);
  if ((wanted->packages->len > 0
       && !add_group (groups, wanted, "packages", packages, fill_packages, error))
      || (wanted->npm->len > 0 && !add_group (groups, wanted, "npm", npm, fill_npm, error))
      || (has_setup (wanted)
          && !add_group (groups, wanted, "setup", "files, variables, scripts", fill_setup, error)))
    return NULL;
  return g_steal_pointer (&groups);
}

static gboolean
is_empty (const SandboxProvision *provision)
{
  return provision->use[0] == NULL && provision->packages[0] == NULL && provision->npm[0] == NULL
         && provision->setup[0] == NULL && provision->files[0] == NULL && provision->env[0] == NULL;
}

GPtrArray *
_sandbox_provision_groups (SandboxHost *host, SandboxProfile *profile, GError **error)
{
  g_auto (SandboxWanted) wanted = { 0 };
  g_auto (GStrv) shared = NULL;

  if (is_empty (&_sandbox_profile_values (profile)->provision))
    return g_ptr_array_new ();
  shared = _sandbox_shares_of_all (host, error);
  if (shared == NULL)
    return NULL;
  if (!_sandbox_wanted_init (&wanted, &host->profiles, profile, host->home, shared, error))
    return NULL;
  return make_groups (&wanted, error);
}

gboolean
sandbox_profile_check_provision (const SandboxProfileDirs *dirs, SandboxProfile *profile,
                                 GError **error)
{
  g_autofree char *boxes = g_build_filename (g_get_home_dir (), "vms", NULL);
  char *shared[] = { boxes, NULL };
  g_auto (SandboxWanted) wanted = { 0 };
  g_autoptr (GPtrArray) groups = NULL;

  if (is_empty (&_sandbox_profile_values (profile)->provision))
    return TRUE;
  if (!_sandbox_wanted_init (&wanted, dirs, profile, g_get_home_dir (), shared, error))
    return FALSE;
  groups = make_groups (&wanted, error);
  return groups != NULL;
}

static char *
digest_of (const char *parent, const char *forbid, const SandboxGroup *group,
           const SandboxProfileValues *values, guint uid, guint gid)
{
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
_sandbox_provision_digest (const char *parent, const SandboxGroup *group,
                           const SandboxProfileValues *values, guint uid, guint gid)
{
  g_autofree char *forbid = g_strjoinv (";", values->forbid);

  return digest_of (parent, forbid, group, values, uid, gid);
}

/* What is forbidden makes no step another one: it is looked for in the machine itself. */
char *
_sandbox_group_marker (const SandboxLayering *layering, const SandboxGroup *group)
{
  const SandboxHost *host = layering->host;

  return digest_of ("", "", group, _sandbox_profile_values (layering->profile), host->uid,
                    host->gid);
}
