// SPDX-License-Identifier: LGPL-2.1-or-later
// Profile files on disk: where they are, and which of them are safe to read.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".profile"

void
_sandbox_profile_file_clear (ProfileFile *file)
{
  g_clear_pointer (&file->path, g_free);
  g_clear_pointer (&file->text, g_free);
  file->length = 0;
}

char *
_sandbox_profile_user_dir (const SandboxProfileDirs *dirs)
{
  g_autofree char *config = NULL;

  if (dirs && dirs->user_dir)
    return g_strdup (dirs->user_dir);
  config = sandbox_user_dir (g_get_user_config_dir (), ".config");
  return g_build_filename (config, "vms", NULL);
}

char *
_sandbox_profile_shipped_dir (const SandboxProfileDirs *dirs)
{
  const char *from_env = g_getenv ("SANDBOX_DOMAINS_DIR");

  if (dirs && dirs->shipped_dir)
    return g_strdup (dirs->shipped_dir);
  return from_env && from_env[0] ? g_strdup (from_env)
                                 : g_build_filename (SANDBOX_DATADIR, "domains", NULL);
}

static gboolean
    G_GNUC_PRINTF (3, 4) fail_file (GError **error, const char *path, const char *format, ...)
{
  g_autofree char *shown = sandbox_escape (path, -1, 400);
  g_autofree char *reason = NULL;
  va_list args;

  va_start (args, format);
  reason = g_strdup_vprintf (format, args);
  va_end (args);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "%s: %s", shown, reason);
}

/* A profile decides what a machine gets of the host: nobody but the user and root may have a say in
 * it. */
static gboolean
check_owner (const char *path, const struct stat *st, GError **error)
{
  if (st->st_uid != geteuid () && st->st_uid != 0)
    return fail_file (error, path, "the profile belongs to uid %u: it must be yours (uid %u)",
                      (guint)st->st_uid, (guint)geteuid ());
  if (st->st_mode & (S_IWGRP | S_IWOTH))
    return fail_file (error, path, "others may write the profile (mode %04o): run: chmod go-w '%s'",
                      (guint)st->st_mode & 07777, path);
  return TRUE;
}

static gboolean
check_file (int fd, const char *path, gboolean of_user, GError **error)
{
  struct stat st;

  if (fstat (fd, &st) < 0)
    return sandbox_fail_errno (error, errno, "looking at profile %s", path);
  if (!S_ISREG (st.st_mode))
    return fail_file (
        error, path, "the profile is no regular file: a directory, a FIFO or a device is not read");
  if (of_user && !check_owner (path, &st, error))
    return FALSE;
  if (st.st_size > SANDBOX_PROFILE_FILE_MAX)
    return fail_file (error, path,
                      "the file has %" G_GOFFSET_FORMAT " bytes: a profile has at most %d",
                      (goffset)st.st_size, SANDBOX_PROFILE_FILE_MAX);
  return TRUE;
}

/* Reads at most one byte more than is allowed: the file may have grown since it was looked at. */
static gboolean
read_text (int fd, const char *path, char **ret_text, gsize *ret_length, GError **error)
{
  g_autofree char *text = g_malloc (SANDBOX_PROFILE_FILE_MAX + 2);
  gsize length = 0;

  while (length <= SANDBOX_PROFILE_FILE_MAX)
    {
      gssize n = read (fd, text + length, SANDBOX_PROFILE_FILE_MAX + 1 - length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return sandbox_fail_errno (error, errno, "reading profile %s", path);
      if (n == 0)
        break;
      length += (gsize)n;
    }
  text[length] = '\0';
  *ret_text = g_steal_pointer (&text);
  *ret_length = length;
  return TRUE;
}

/* -1 without error: there is no such directory. */
static int
open_dir (const char *dir, gboolean of_user, GError **error)
{
  g_autoptr (GError) local = NULL;
  int fd;

  if (!of_user)
    {
      fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (fd < 0 && errno != ENOENT)
        sandbox_fail_errno (error, errno, "opening directory %s", dir);
      return fd;
    }
  fd = sandbox_dir_open (dir, FALSE, &local);
  /* we may read it, but others may write it: what is wrong is the profiles in it */
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_DENIED) && access (dir, X_OK) == 0)
    local->code = SANDBOX_ERROR_INVALID;
  if (fd < 0 && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    g_propagate_error (error, g_steal_pointer (&local));
  return fd;
}

/* A link may lead elsewhere (configuration that is kept in a repository): what it leads to is
 * checked. */
static gboolean
read_from (int dir_fd, const char *file_name, gboolean of_user, ProfileFile *file, GError **error)
{
  sandbox_autofd int fd = openat (dir_fd, file_name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  int saved_errno = errno;
  struct stat st;

  if (fd < 0 && saved_errno == ENOENT && fstatat (dir_fd, file_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
    return fail_file (error, file->path, "the profile is a link to a file that does not exist");
  if (fd < 0 && (saved_errno == ELOOP || saved_errno == ENXIO || saved_errno == ENODEV))
    return fail_file (error, file->path, "the profile is no regular file: %s",
                      g_strerror (saved_errno));
  if (fd < 0)
    return saved_errno == ENOENT
           || sandbox_fail_errno (error, saved_errno, "opening profile %s", file->path);
  return check_file (fd, file->path, of_user, error)
         && read_text (fd, file->path, &file->text, &file->length, error);
}

gboolean
_sandbox_profile_file_read (const char *dir, const char *name, gboolean of_user,
                            ProfileFile *ret_file, GError **error)
{
  g_autoptr (GError) local = NULL;
  sandbox_autofd int dir_fd = open_dir (dir, of_user, &local);
  g_autofree char *file_name = g_strconcat (name, SUFFIX, NULL);
  g_auto (ProfileFile) file = { .path = g_build_filename (dir, file_name, NULL) };

  if (local)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (dir_fd >= 0 && !read_from (dir_fd, file_name, of_user, &file, error))
    return FALSE;
  *ret_file = file;
  memset (&file, 0, sizeof file);
  return TRUE;
}

char **
_sandbox_profile_file_names (const char *dir, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  sandbox_autofd int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_auto (GStrv) entries = NULL;

  if (fd < 0 && errno != ENOENT)
    {
      sandbox_fail_errno (error, errno, "opening directory %s", dir);
      return NULL;
    }
  entries = fd < 0 ? g_new0 (char *, 1) : sandbox_dir_list (fd, error);
  if (!entries)
    return NULL;
  for (guint i = 0; entries[i]; i++)
    if (g_str_has_suffix (entries[i], SUFFIX))
      g_ptr_array_add (names, g_strndup (entries[i], strlen (entries[i]) - strlen (SUFFIX)));
  g_ptr_array_add (names, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

/* Where a file that replaces NAME.profile is to be written: behind a link, if it is one. (transfer
 * full) */
static char *
write_path (const char *dir, const char *name)
{
  g_autofree char *file_name = g_strconcat (name, SUFFIX, NULL);
  g_autofree char *path = g_build_filename (dir, file_name, NULL);
  char *resolved = realpath (path, NULL);
  char *copy = g_strdup (resolved ? resolved : path);

  free (resolved);
  return copy;
}

gboolean
sandbox_profile_save (const SandboxProfileDirs *dirs, const char *name, const char *text,
                      gboolean replace, GError **error)
{
  g_autofree char *dir = _sandbox_profile_user_dir (dirs);
  g_autofree char *path = NULL, *parent = NULL, *base = NULL;
  g_autoptr (SandboxProfile) profile = NULL;
  sandbox_autofd int dir_fd = -1, parent_fd = -1;

  dir_fd = sandbox_dir_open (dir, TRUE, error);
  if (dir_fd < 0)
    return FALSE;
  path = write_path (dir, name);
  profile = sandbox_profile_parse (dirs, name, path, text, -1, error);
  if (!profile)
    return FALSE;
  if (!replace && g_file_test (path, G_FILE_TEST_EXISTS))
    return sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                         "profile %s exists already in %s: choose another name, or change it with "
                         "vms edit %s",
                         name, path, name);
  parent = g_path_get_dirname (path);
  base = g_path_get_basename (path);
  parent_fd = sandbox_dir_open (parent, FALSE, error);
  return parent_fd >= 0
         && sandbox_file_write_at (parent_fd, base, text, strlen (text), 0600, error);
}

gboolean
sandbox_profile_remove (const SandboxProfileDirs *dirs, const char *name, GError **error)
{
  g_autofree char *dir = _sandbox_profile_user_dir (dirs);
  g_autofree char *file_name = g_strconcat (name, SUFFIX, NULL);
  g_autoptr (GError) local = NULL;
  sandbox_autofd int dir_fd = -1;

  if (!sandbox_name_check_form ("profile", name, error))
    return FALSE;
  dir_fd = open_dir (dir, TRUE, &local);
  if (local)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (dir_fd >= 0 && unlinkat (dir_fd, file_name, 0) < 0 && errno != ENOENT)
    return sandbox_fail_errno (error, errno, "removing profile %s of %s", file_name, dir);
  return TRUE;
}
