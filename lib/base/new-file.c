// SPDX-License-Identifier: LGPL-2.1-or-later
// Whoever writes one holds a lock on it: so a temporary name without a lock is what a process left
// that was killed, and goes with the next one of that name.
#include "base/new-file.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The longest name is 255 bytes. */
#define NAME_PART 200

static gboolean
remove_left (const SandboxNewFile *file, GError **error)
{
  sandbox_autofd int fd = openat (file->dir_fd, file->temporary,
                                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  struct stat info;

  if (fd < 0)
    return errno == ENOENT || sandbox_fail_errno (error, errno, "opening %s", file->temporary);
  if (fstat (fd, &info) < 0 || !S_ISREG (info.st_mode) || info.st_uid != geteuid ())
    return sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                         "%s is in the way, and is no file that was left here: remove it",
                         file->temporary);
  if (flock (fd, LOCK_EX | LOCK_NB) < 0)
    return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                         "another process is just writing it (as %s): wait for that, or choose "
                         "another name",
                         file->temporary);
  return unlinkat (file->dir_fd, file->temporary, 0) == 0
         || sandbox_fail_errno (error, errno, "removing %s", file->temporary);
}

gboolean
sandbox_new_file_open (SandboxNewFile *file, int dir_fd, const char *name, gboolean replace,
                       GError **error)
{
  file->dir_fd = dir_fd;
  file->replace = replace;
  file->name = g_strdup (name);
  file->temporary = g_strdup_printf (".%.*s.vms-part", NAME_PART, name);
  if (!remove_left (file, error))
    return FALSE;
  file->fd = openat (dir_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
  file->nameless = file->fd >= 0;
  if (file->fd < 0)
    file->fd =
        openat (dir_fd, file->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file->fd < 0)
    return sandbox_fail_errno (error, errno, "making %s", name);
  flock (file->fd, LOCK_EX | LOCK_NB);
  return TRUE;
}

static gboolean
link_to (SandboxNewFile *file, const char *name)
{
  g_autofree char *self = g_strdup_printf ("/proc/self/fd/%d", file->fd);

  if (linkat (AT_FDCWD, self, file->dir_fd, name, AT_SYMLINK_FOLLOW) < 0)
    return FALSE;
  file->nameless = FALSE;
  return TRUE;
}

/* Not every file system can be asked not to replace. */
static gboolean
rename_to_name (const SandboxNewFile *file)
{
  struct stat info;

  if (renameat2 (file->dir_fd, file->temporary, file->dir_fd, file->name,
                 file->replace ? 0 : RENAME_NOREPLACE)
      == 0)
    return TRUE;
  if (file->replace || errno != EINVAL)
    return FALSE;
  if (fstatat (file->dir_fd, file->name, &info, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
    return renameat (file->dir_fd, file->temporary, file->dir_fd, file->name) == 0;
  errno = EEXIST;
  return FALSE;
}

gboolean
sandbox_new_file_publish (SandboxNewFile *file, GError **error)
{
  gboolean done;

  if (file->nameless && !file->replace)
    done = link_to (file, file->name);
  else
    done = (!file->nameless || link_to (file, file->temporary)) && rename_to_name (file);
  if (!done && errno == EEXIST)
    return sandbox_fail (error, SANDBOX_ERROR_EXISTS, "%s is there already", file->name);
  if (!done)
    return sandbox_fail_errno (error, errno, "giving %s its name", file->name);
  g_clear_pointer (&file->temporary, g_free);
  fsync (file->dir_fd);
  return TRUE;
}

void
sandbox_new_file_clear (SandboxNewFile *file)
{
  if (file->temporary != NULL && file->fd >= 0 && !file->nameless)
    unlinkat (file->dir_fd, file->temporary, 0);
  g_clear_pointer (&file->temporary, g_free);
  g_clear_pointer (&file->name, g_free);
  sandbox_close_fd (&file->fd);
}
