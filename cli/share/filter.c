// SPDX-License-Identifier: LGPL-2.1-or-later
// mode=guarded: a file system of our own between the shared directory and the daemon, which then
// sees that and nothing else. Its program runs in the share's user namespace; the daemon goes on in
// one below, so that, were it a guest's, it could neither take the file system off nor look into
// the program: what a process above has mounted is locked for those below.
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

/* As the program expects them (cli/filter/main.c). */
#define FUSE_FD  3
#define ROOT_FD  4
#define GUARD_FD 5

static int
mount_fuse (void)
{
  int fd = open ("/dev/fuse", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  char options[128];

  if (fd < 0)
    share_die_errno ("opening /dev/fuse, which a share of mode=guarded needs (modprobe fuse)");
  snprintf (options, sizeof options,
            "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fd);
  if (mount ("vms", SHARE_VIEW, "fuse", MS_NODEV | MS_NOSUID, options) < 0)
    share_die_errno ("mounting the file system of a share of mode=guarded");
  return fd;
}

static _Noreturn void
become_filter (int fuse_fd, int tree_fd, int guard_fd, pid_t parent)
{
  char number[16];
  char *argv[] = { (char *)"share-filter", number, NULL };
  char *env[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
  /* above where they are to be, so that neither is closed by the other's way there */
  int fuse = fcntl (fuse_fd, F_DUPFD_CLOEXEC, GUARD_FD + 1);
  int tree = fcntl (tree_fd, F_DUPFD_CLOEXEC, GUARD_FD + 1);
  int guard = guard_fd < 0 ? -1 : fcntl (guard_fd, F_DUPFD_CLOEXEC, GUARD_FD + 1);

  /* only those who use the file system keep it: when the daemon is gone, so is it, and the filter
   * is told */
  if (unshare (CLONE_NEWNS) < 0 || umount2 (SHARE_VIEW, MNT_DETACH) < 0)
    share_die_errno ("leaving the file system to the daemon");
  snprintf (number, sizeof number, "%d", (int)parent);
  if (fuse < 0 || tree < 0 || (guard_fd >= 0 && guard < 0) || dup2 (fuse, FUSE_FD) < 0
      || dup2 (tree, ROOT_FD) < 0 || (guard >= 0 && dup2 (guard, GUARD_FD) < 0)
      || close_range (guard < 0 ? GUARD_FD : GUARD_FD + 1, ~0U, 0) < 0)
    share_die_errno ("giving the filter its descriptors");
  execve (SHARE_FILTER, argv, env);
  share_die_errno ("starting " SHARE_FILTER);
}

void
share_filter_start (int tree_fd, int guard_fd, const ShareMaps *maps)
{
  ShareMaps below = *maps;
  pid_t self = getpid (), child;
  int fuse_fd;

  if (unshare (CLONE_NEWNS) < 0)
    share_die_errno ("making a mount namespace in the user namespace");
  fuse_fd = mount_fuse ();
  /* holds for both */
  share_refuse_set_id ();
  child = fork ();
  if (child < 0)
    share_die_errno ("making a process");
  if (child == 0)
    become_filter (fuse_fd, tree_fd, guard_fd, self);
  close (fuse_fd);
  close (tree_fd);
  if (guard_fd >= 0)
    close (guard_fd);
  /* the same numbers once more */
  for (size_t i = 0; i < below.n_uids; i++)
    below.uids[i].outside = below.uids[i].inside;
  for (size_t i = 0; i < below.n_gids; i++)
    below.gids[i].outside = below.gids[i].inside;
  /* what changed its numbers has files in /proc that are the host's root's; who writes the maps now
   * is not that any more */
  if (prctl (PR_SET_DUMPABLE, 1) < 0)
    share_die_errno ("opening the process to who maps its numbers");
  share_enter_user_namespace (&below);
  if (unshare (CLONE_NEWNS) < 0)
    share_die_errno ("making a mount namespace for the daemon");
}
