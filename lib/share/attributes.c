// SPDX-License-Identifier: LGPL-2.1-or-later
// What a file has besides its content and mode, for the one that takes its place: its group, its
// ACL and what its user's programs noted on it. Not what the system grants it (capabilities,
// labels), which is for the content that it had.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL       "system.posix_acl_access"
#define BYTES_MAX 65536 /* the kernel's limit, of the names and of each value */

static gboolean
is_taken (const char *name)
{
  return g_str_has_prefix (name, "user.") || g_str_equal (name, ACL);
}

/* @from: a path, since a descriptor that may not read has no attributes. */
static gboolean
copy_one (const char *from, const char *name, int to_fd, void *value)
{
  gssize n = getxattr (from, name, value, BYTES_MAX);

  return n < 0 ? errno == ENODATA : fsetxattr (to_fd, name, value, (gsize)n, 0) == 0;
}

/* 0, or the first error. */
static int
copy_listed (const char *from, int to_fd)
{
  g_autofree char *names = g_malloc (BYTES_MAX);
  g_autofree char *value = g_malloc (BYTES_MAX);
  gssize length = listxattr (from, names, BYTES_MAX);
  int first = 0;

  if (length < 0)
    return errno == ENOTSUP ? 0 : errno;
  for (const char *name = names; name < names + length; name += strlen (name) + 1)
    if (is_taken (name) && !copy_one (from, name, to_fd, value) && first == 0)
      first = errno;
  return first;
}

gboolean
_sandbox_tree_copy_attributes (int dir_fd, const char *name, int to_fd, GError **error)
{
  sandbox_autofd int fd = openat (dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  struct stat st;
  int failed;

  if (fd < 0 || fstat (fd, &st) < 0)
    return sandbox_fail_errno (error, errno, "looking at its group and attributes");
  if (!S_ISREG (st.st_mode))
    return TRUE;
  /* a group that the user is not in nobody but root can give */
  if (fchown (to_fd, (uid_t)-1, st.st_gid) < 0 && errno != EPERM && errno != EINVAL)
    return sandbox_fail_errno (error, errno, "keeping its group");
  /* what the directory gives to new files is not what this one had */
  fremovexattr (to_fd, ACL);
  failed = copy_listed (path, to_fd);
  return failed == 0 || sandbox_fail_errno (error, failed, "keeping its ACL and attributes");
}
