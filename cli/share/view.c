// SPDX-License-Identifier: LGPL-2.1-or-later
// The shared directory as the daemon is to see it: a mount of its own, made from a descriptor,
// which nobody can turn elsewhere once it is open.
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Before the directory is opened: only mounts of the own namespace can be copied. */
void
share_enter_mount_namespace (void)
{
  if (unshare (CLONE_NEWNS) < 0)
    share_die_errno ("making a mount namespace");
  /* MS_SLAVE: what the host unmounts is not held here */
  if (mount (NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
    share_die_errno ("keeping our mounts from the host");
}

/* With the user's rights, not root's: a path that the user cannot go is no way for a guest. */
int
share_source_open (const char *source, uid_t owner, uid_t *ret_uid, gid_t *ret_gid)
{
  struct open_how how = {
    .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK,
    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  };
  int root_fd = open ("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
  struct stat info;

  share_become_owner (owner);
  fd = (int)syscall (SYS_openat2, root_fd, source + 1, &how, sizeof how);
  if (fd < 0)
    share_die_errno ("opening the shared directory %s as uid %u, without links", source,
                     (unsigned)owner);
  share_become_root ();
  close (root_fd);
  if (fstat (fd, &info) < 0)
    share_die_errno ("looking at the shared directory %s", source);
  if (info.st_uid == 0 || (owner != 0 && info.st_uid != owner))
    share_die ("the shared directory %s belongs to uid %u, not to uid %u", source,
               (unsigned)info.st_uid, (unsigned)owner);
  *ret_uid = info.st_uid;
  *ret_gid = info.st_gid;
  return fd;
}

/* What lies mounted below the directory comes along, with the same limits. What is mounted there
 * later does not (MS_PRIVATE): it would be without them. */
int
share_view_clone (int source_fd, bool read_only)
{
  struct mount_attr attr = {
    .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (read_only ? MOUNT_ATTR_RDONLY : 0),
    .propagation = MS_PRIVATE,
  };
  int tree_fd;

  tree_fd =
      open_tree (source_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (tree_fd < 0)
    share_die_errno ("making a mount of the shared directory");
  if (mount_setattr (tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0)
    share_die_errno ("limiting the mount of the shared directory (Linux 5.12 or newer is needed)");
  close (source_fd);
  return tree_fd;
}

void
share_view_mount (int tree_fd)
{
  if (move_mount (tree_fd, "", AT_FDCWD, SHARE_VIEW, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    share_die_errno ("putting the shared directory on " SHARE_VIEW);
  close (tree_fd);
}
