// SPDX-License-Identifier: LGPL-2.1-or-later
// Looking a machine up and making a new one: both are about its profile only.
#include "facade/facade-private.h"

#include <string.h>

SandboxProfile *
_sandbox_machine_load_profile (SandboxMachine *machine, GError **error)
{
  SandboxHost *host = machine->host;
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autoptr (SandboxProfile) profile = NULL;
  g_autofree char *text = NULL, *source = NULL;
  gsize length;

  if (fd < 0
      || !sandbox_file_read_at (fd, SANDBOX_THROWAWAY_PROFILE, SANDBOX_PROFILE_TEXT_MAX, &text,
                                &length, NULL))
    return sandbox_profile_load (&host->profiles, machine->name, error);
  source = g_build_filename (machine->state_path, SANDBOX_THROWAWAY_PROFILE, NULL);
  profile = sandbox_profile_parse (&host->profiles, machine->name, source, text, length, error);
  /* a drop box would stay when the machine is gone */
  if (profile != NULL && !_sandbox_profile_remove_shares (profile, !machine->without_shares, error))
    return NULL;
  return g_steal_pointer (&profile);
}

static SandboxProfileInfo *
find_info (SandboxHost *host, const char *name, GPtrArray **ret_list, GError **error)
{
  GPtrArray *list = sandbox_profile_list (&host->profiles, error);

  *ret_list = list;
  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      SandboxProfileInfo *info = list->pdata[i];

      if (strcmp (info->name, name) == 0)
        return info;
    }
  return NULL;
}

gboolean
_sandbox_profile_is_shipped (SandboxHost *host, const char *name)
{
  g_autoptr (GPtrArray) list = NULL;
  const SandboxProfileInfo *info = find_info (host, name, &list, NULL);

  return info != NULL && info->shipped;
}

char *
_sandbox_profile_own_text (SandboxHost *host, const char *name, GError **error)
{
  g_autoptr (GPtrArray) list = NULL;
  const SandboxProfileInfo *info = find_info (host, name, &list, error);
  g_autofree char *dir = NULL, *file = NULL, *text = NULL;
  sandbox_autofd int fd = -1;
  gsize length;

  if (info == NULL || !info->user)
    return NULL;
  dir = g_path_get_dirname (info->path);
  file = g_path_get_basename (info->path);
  fd = sandbox_dir_open (dir, FALSE, error);
  if (fd < 0 || !sandbox_file_read_at (fd, file, SANDBOX_PROFILE_TEXT_MAX, &text, &length, error))
    return NULL;
  return g_steal_pointer (&text);
}

static gboolean
same_share (const SandboxShareSpec *a, const SandboxShareSpec *b)
{
  return strcmp (a->name, b->name) == 0 && strcmp (a->source, b->source) == 0
         && strcmp (a->target, b->target) == 0 && a->mode == b->mode && a->create == b->create;
}

/* The share of @after that @before does not have, or has otherwise; NULL when there is none. */
static const SandboxShareSpec *
find_change (SandboxProfile *before, SandboxProfile *after)
{
  const GPtrArray *old = _sandbox_profile_values (before)->shares;
  const GPtrArray *new = _sandbox_profile_values (after)->shares;

  for (guint i = 0; i < new->len; i++)
    {
      gboolean found = FALSE;

      for (guint k = 0; k < old->len && !found; k++)
        found = same_share (old->pdata[k], new->pdata[i]);
      if (!found)
        return new->pdata[i];
    }
  return NULL;
}

/* Takes the group of that header out of the text of a profile file, up to the next group. */
static void
remove_group (GString *text, const char *header)
{
  g_autofree char *old = g_strdup (text->str);
  g_auto (GStrv) lines = g_strsplit (old, "\n", -1);
  gboolean inside = FALSE;

  g_string_truncate (text, 0);
  for (char **line = lines; *line != NULL; line++)
    {
      g_autofree char *bare = g_strstrip (g_strdup (*line));

      if (*bare == '[')
        inside = strcmp (bare, header) == 0;
      if (inside)
        continue;
      g_string_append (text, *line);
      if (line[1] != NULL)
        g_string_append_c (text, '\n');
    }
}

static void
set_share (GString *text, const SandboxShareSpec *share)
{
  g_autofree char *header = g_strdup_printf ("[share:%s]", share->name);

  remove_group (text, header);
  if (text->len > 0 && text->str[text->len - 1] != '\n')
    g_string_append_c (text, '\n');
  if (text->len > 0 && !g_str_has_suffix (text->str, "\n\n"))
    g_string_append_c (text, '\n');
  g_string_append_printf (text, "%s\nsource=%s\ntarget=%s\nmode=%s\ncreate=%s\n", header,
                          share->source, share->target, _sandbox_share_mode_to_string (share->mode),
                          share->create ? "yes" : "no");
  if (*share->shadow != '\0')
    g_string_append_printf (text, "shadow=%s\n", share->shadow);
  if (*share->guard != '\0')
    g_string_append_printf (text, "guard=%s\n", share->guard);
  if (*share->flag != '\0')
    g_string_append_printf (text, "flag=%s\n", share->flag);
}

char *
_sandbox_profile_text_with_share (const char *text, const SandboxShareSpec *share)
{
  g_autoptr (GString) out = g_string_new (text != NULL ? text : "");

  set_share (out, share);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

char *
_sandbox_profile_text_without_share (const char *text, const char *tag)
{
  g_autoptr (GString) out = g_string_new (text != NULL ? text : "");
  g_autofree char *header = g_strdup_printf ("[share:%s]", tag);

  remove_group (out, header);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* The start looks closely; but a mistyped name shall not first cost the time of an image. */
static gboolean
check_there (const SandboxShareSpec *share, GError **error)
{
  g_autofree char *shown = sandbox_escape (share->source, -1, 200);

  if (share->create || *share->source != '/' || g_file_test (share->source, G_FILE_TEST_IS_DIR))
    return TRUE;
  return g_file_test (share->source, G_FILE_TEST_EXISTS)
             ? sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "sharing directory %s: it is no directory, and only directories are "
                             "shared",
                             shown)
             : sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                             "sharing directory %s: it does not exist (or lies where you may not "
                             "look); make it first",
                             shown);
}

char *
_sandbox_profile_text_with_shares (SandboxHost *host, const char *name, const char *text,
                                   const char *const *shares, gboolean *ret_changed, GError **error)
{
  g_autoptr (GString) out = g_string_new (text != NULL ? text : "");
  g_autofree char *source = g_strconcat (name, ".profile", NULL);
  g_autoptr (SandboxProfile) profile = NULL;
  gboolean changed = FALSE;

  profile = sandbox_profile_parse (&host->profiles, name, source, out->str, -1, error);
  if (profile == NULL)
    return NULL;
  for (const char *const *spec = shares; spec != NULL && *spec != NULL; spec++)
    {
      g_autoptr (SandboxProfile) before = sandbox_profile_copy (profile);
      const SandboxShareSpec *share;

      if (!sandbox_profile_add_share (profile, *spec, error))
        return NULL;
      share = find_change (before, profile);
      if (share == NULL)
        continue;
      if (!check_there (share, error))
        return NULL;
      set_share (out, share);
      changed = TRUE;
    }
  *ret_changed = changed;
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* A destroy that was killed at its very end has left only that. */
static gboolean
has_lock_file (SandboxMachine *machine)
{
  g_autofree char *path = g_strconcat (machine->state_path, ".lock", NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

SandboxMachine *
sandbox_host_lookup (SandboxHost *host, const char *name, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (SandboxProfile) profile = NULL;
  g_autoptr (GError) local = NULL;
  SandboxPieces pieces;

  if (g_cancellable_set_error_if_cancelled (cancellable, error)
      || !sandbox_name_check ("machine", name, error))
    return NULL;
  machine = _sandbox_machine_new (host, name);
  profile = _sandbox_machine_load_profile (machine, &local);
  /* A profile with a mistake in it, or one that was deleted, must not keep anybody from stopping
   * the machine. */
  if (profile != NULL || !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND)
      || has_lock_file (machine)
      || (_sandbox_machine_pieces (machine, &pieces, NULL) && _sandbox_pieces_any (&pieces)))
    return g_steal_pointer (&machine);
  sandbox_fail (
      error, SANDBOX_ERROR_NOT_FOUND,
      "there is no machine \"%s\", and to make it, %s; `vms list` shows the machines, `vms "
      "profile list` the profiles",
      name, local->message);
  return NULL;
}

static gboolean
check_free (SandboxMachine *machine, const char *profile, GError **error)
{
  SandboxHost *host = machine->host;
  g_autoptr (GPtrArray) list = NULL;
  const SandboxProfileInfo *info = find_info (host, machine->name, &list, error);
  SandboxPieces pieces;

  if (list == NULL || !_sandbox_machine_pieces (machine, &pieces, error))
    return FALSE;
  if (info != NULL && info->user)
    return sandbox_fail (
        error, SANDBOX_ERROR_EXISTS,
        "create %s: there is a profile of that name already (%s); start it with `vms start %s`",
        machine->name, info->path, machine->name);
  if (_sandbox_pieces_any (&pieces))
    return sandbox_fail (
        error, SANDBOX_ERROR_EXISTS,
        "create %s: there is a machine of that name already; remove it with `vms destroy %s`",
        machine->name, machine->name);
  if (info != NULL && info->shipped && strcmp (profile, machine->name) != 0)
    return sandbox_fail (
        error, SANDBOX_ERROR_EXISTS,
        "create %s: a profile of that name is shipped with vms, so it cannot be made from \"%s\"; "
        "choose another name",
        machine->name, profile);
  return TRUE;
}

static gboolean
create_locked (SandboxMachine *machine, const char *profile, const char *const *shares,
               GError **error)
{
  SandboxHost *host = machine->host;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *full = NULL;
  gboolean changed;

  if (!check_free (machine, profile, error))
    return FALSE;
  if (strcmp (profile, machine->name) != 0)
    g_string_append_printf (text, "[profile]\ninherits=%s\n", profile);
  full =
      _sandbox_profile_text_with_shares (host, machine->name, text->str, shares, &changed, error);
  return full != NULL && sandbox_profile_save (&host->profiles, machine->name, full, FALSE, error);
}

SandboxMachine *
sandbox_host_create (SandboxHost *host, const char *name, const char *profile,
                     const char *const *shares, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (SandboxProfile) parent = NULL;
  SandboxReport report = { NULL, NULL, name };
  SandboxLock *lock;
  gboolean done;

  if (!sandbox_name_check ("machine", name, error))
    return NULL;
  parent = sandbox_profile_load (&host->profiles, profile, error);
  if (parent == NULL)
    return NULL;
  machine = _sandbox_machine_new (host, name);
  lock =
      _sandbox_machine_lock (machine, "create", host->lock_wait_usec, &report, cancellable, error);
  if (lock == NULL)
    return NULL;
  done = create_locked (machine, profile, shares, error);
  _sandbox_machine_unlock (machine, lock);
  return done ? g_steal_pointer (&machine) : NULL;
}
