// SPDX-License-Identifier: LGPL-2.1-or-later
// Files and directories below a descriptor: written whole or not at all, no links followed.
#include "base/file.h"

#include "base/error.h"
#include "base/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
/* A tree that is deeper was made to exhaust the stack or the descriptors of who removes it. */
#define REMOVE_DEPTH_MAX 128

void
sandbox_close_fd (int *fd)
{
  int saved_errno = errno;

  if (*fd >= 0)
    close (*fd);
  *fd = -1;
  errno = saved_errno;
}

/* A component of a path of our own making: never a path itself. */
static gboolean
check_component (const char *name, GError **error)
{
  if (name[0] == '\0' || strchr (name, '/') || g_str_equal (name, ".") || g_str_equal (name, ".."))
    {
      g_autofree char *shown = sandbox_escape (name, -1, 80);

      return sandbox_fail (error, SANDBOX_ERROR_INVALID, "\"%s\" is no file name", shown);
    }
  return TRUE;
}

/* Someone who may write here could swap the files that we trust. */
static gboolean
check_private_dir (int fd, const char *path, GError **error)
{
  struct stat st;
  g_autofree char *shown = sandbox_escape (path, -1, 400);

  if (fstat (fd, &st) < 0)
    return sandbox_fail_errno (error, errno, "looking at directory %s", shown);
  if (st.st_uid != geteuid () && st.st_uid != 0)
    return sandbox_fail (error, SANDBOX_ERROR_DENIED,
                         "opening directory %s: it belongs to uid %u, not to you", shown,
                         (guint)st.st_uid);
  if (st.st_mode & (S_IWGRP | S_IWOTH))
    return sandbox_fail (error, SANDBOX_ERROR_DENIED,
                         "opening directory %s: others may write in it; run: chmod go-w '%s'",
                         shown, shown);
  return TRUE;
}

static int
adopt_dir (int fd, int saved_errno, const char *path, GError **error)
{
  sandbox_autofd int owned = fd;
  g_autofree char *shown = sandbox_escape (path, -1, 400);

  if (owned < 0)
    {
      sandbox_fail_errno (error, saved_errno, "opening directory %s", shown);
      return -1;
    }
  if (!check_private_dir (owned, path, error))
    return -1;
  return g_steal_fd (&owned);
}

int
sandbox_dir_open (const char *path, gboolean create, GError **error)
{
  int fd;

  if (create && g_mkdir_with_parents (path, 0700) < 0)
    {
      int saved_errno = errno;
      g_autofree char *shown = sandbox_escape (path, -1, 400);

      sandbox_fail_errno (error, saved_errno, "making directory %s", shown);
      return -1;
    }
  fd = open (path, OPEN_DIR);
  return adopt_dir (fd, errno, path, error);
}

int
sandbox_dir_open_at (int dir_fd, const char *name, gboolean create, GError **error)
{
  int fd;

  if (!check_component (name, error))
    return -1;
  if (create && mkdirat (dir_fd, name, 0700) < 0 && errno != EEXIST)
    {
      int saved_errno = errno;

      sandbox_fail_errno (error, saved_errno, "making directory %s", name);
      return -1;
    }
  fd = openat (dir_fd, name, OPEN_DIR | O_NOFOLLOW);
  return adopt_dir (fd, errno, name, error);
}

static gboolean
write_all (int fd, const char *data, gsize length)
{
  while (length > 0)
    {
      gssize n = write (fd, data, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      data += n;
      length -= (gsize)n;
    }
  return TRUE;
}

char *
sandbox_user_dir (const char *dir, const char *below)
{
  return g_path_is_absolute (dir) ? g_strdup (dir)
                                  : g_build_filename (g_get_home_dir (), below, NULL);
}

/* A new file under the name @temp, written and synced; it is the caller's to remove it on failure.
 * Where the file system can, it gets that name last of all: whoever is killed leaves nothing. */
static gboolean
write_temp (int dir_fd, const char *temp, const void *data, gsize length, guint mode)
{
  sandbox_autofd int fd = openat (dir_fd, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
  gboolean unnamed = fd >= 0;
  g_autofree char *link = NULL;

  if (!unnamed)
    fd = openat (dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 || !write_all (fd, data, length) || fchmod (fd, mode) < 0 || fsync (fd) < 0)
    return FALSE;
  link = g_strdup_printf ("/proc/self/fd/%d", fd);
  return !unnamed || linkat (AT_FDCWD, link, dir_fd, temp, AT_SYMLINK_FOLLOW) == 0;
}

gboolean
sandbox_file_write_at (int dir_fd, const char *name, const void *data, gsize length, guint mode,
                       GError **error)
{
  g_autofree char *temp = NULL;
  int saved_errno;

  if (!check_component (name, error))
    return FALSE;
  /* begins with a dot, so that a reader of the directory passes over it, and cannot be guessed */
  temp = g_strdup_printf (".%.200s.%08x%08x", name, g_random_int (), (guint)getpid ());
  if (write_temp (dir_fd, temp, data, length, mode) && renameat (dir_fd, temp, dir_fd, name) == 0)
    {
      /* the rename itself must survive a power cut; some file systems cannot, which is no failure
       * of ours */
      (void)fsync (dir_fd);
      return TRUE;
    }
  saved_errno = errno;
  if (saved_errno != EEXIST)
    unlinkat (dir_fd, temp, 0);
  return sandbox_fail_errno (error, saved_errno, "writing file %s", name);
}

/* Reads at most @max bytes of the open regular file. */
static gboolean
read_all (int fd, const char *name, gsize max, char **ret_data, gsize *ret_length, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  char block[16384];
  gssize n;

  while ((n = read (fd, block, sizeof block)) != 0)
    {
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return sandbox_fail_errno (error, errno, "reading file %s", name);
      if ((gsize)n > max - bytes->len)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "reading file %s: it is larger than %" G_GSIZE_FORMAT " bytes", name,
                             max);
      g_byte_array_append (bytes, (const guint8 *)block, (guint)n);
    }
  if (ret_length)
    *ret_length = bytes->len;
  g_byte_array_append (bytes, (const guint8 *)"", 1);
  *ret_data = (char *)g_byte_array_free (g_steal_pointer (&bytes), FALSE);
  return TRUE;
}

gboolean
sandbox_file_read_at (int dir_fd, const char *name, gsize max, char **ret_data, gsize *ret_length,
                      GError **error)
{
  sandbox_autofd int fd = -1;
  struct stat st;

  if (!check_component (name, error))
    return FALSE;
  /* O_NONBLOCK: opening a FIFO must not wait for its writer */
  fd = openat (dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return sandbox_fail_errno (error, errno, "opening file %s", name);
  if (fstat (fd, &st) < 0)
    return sandbox_fail_errno (error, errno, "looking at file %s", name);
  if (!S_ISREG (st.st_mode))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading file %s: it is no regular file",
                         name);
  return read_all (fd, name, max, ret_data, ret_length, error);
}

static gboolean remove_tree (int dir_fd, const char *name, guint depth, GError **error);

static gboolean
remove_content (DIR *dir, const char *name, guint depth, GError **error)
{
  const struct dirent *entry;

  if (depth >= REMOVE_DEPTH_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "removing directory %s: it is nested more than %d deep", name,
                         REMOVE_DEPTH_MAX);
  while ((entry = readdir (dir)))
    {
      if (g_str_equal (entry->d_name, ".") || g_str_equal (entry->d_name, ".."))
        continue;
      if (!remove_tree (dirfd (dir), entry->d_name, depth + 1, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
remove_tree (int dir_fd, const char *name, guint depth, GError **error)
{
  DIR *dir;
  int fd;
  gboolean ok;

  if (unlinkat (dir_fd, name, 0) == 0 || errno == ENOENT)
    return TRUE;
  if (errno != EISDIR && errno != EPERM)
    return sandbox_fail_errno (error, errno, "removing file %s", name);
  fd = openat (dir_fd, name, OPEN_DIR | O_NOFOLLOW);
  if (fd < 0)
    return sandbox_fail_errno (error, errno, "removing directory %s", name);
  dir = fdopendir (fd);
  if (!dir)
    {
      int saved_errno = errno;

      close (fd);
      return sandbox_fail_errno (error, saved_errno, "removing directory %s", name);
    }
  ok = remove_content (dir, name, depth, error);
  closedir (dir);
  if (!ok)
    return FALSE;
  if (unlinkat (dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
    return sandbox_fail_errno (error, errno, "removing directory %s", name);
  return TRUE;
}

gboolean
sandbox_remove_at (int dir_fd, const char *name, GError **error)
{
  return check_component (name, error) && remove_tree (dir_fd, name, 0, error);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

char **
sandbox_dir_list (int dir_fd, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const struct dirent *entry;
  /* a description of its own: reading must not move the caller's */
  int fd = openat (dir_fd, ".", OPEN_DIR);
  DIR *dir = fd < 0 ? NULL : fdopendir (fd);

  if (!dir)
    {
      sandbox_fail_errno (error, errno, "listing a directory");
      sandbox_close_fd (&fd);
      return NULL;
    }
  while ((entry = readdir (dir)))
    if (entry->d_name[0] != '.')
      g_ptr_array_add (names, g_strdup (entry->d_name));
  closedir (dir);
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&names), FALSE);
}
