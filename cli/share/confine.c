// SPDX-License-Identifier: LGPL-2.1-or-later
// What the daemon is given: a user namespace in which no number is the host's root, and no way to
// make files that run as somebody else.
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the user namespace */

static bool
write_map (pid_t pid, const char *name, const ShareExtent *extents, size_t n)
{
  char path[64], text[SHARE_EXTENTS_MAX * 36];
  int length = 0, fd;
  bool done;

  for (size_t i = 0; i < n; i++)
    length += snprintf (text + length, sizeof text - (size_t)length, "%u %u %u\n",
                        extents[i].inside, extents[i].outside, extents[i].count);
  snprintf (path, sizeof path, "/proc/%d/%s", (int)pid, name);
  fd = open (path, O_WRONLY | O_CLOEXEC);
  done = fd >= 0 && write (fd, text, (size_t)length) == length;
  if (fd >= 0)
    close (fd);
  return done;
}

/* Only from outside can more than one number be mapped: so a child stays there, and does it when
 * its parent is inside. */
static _Noreturn void
map_parent (int wait_fd, pid_t parent, const ShareMaps *maps)
{
  char byte;

  if (read (wait_fd, &byte, 1) != 1 || !write_map (parent, "uid_map", maps->uids, maps->n_uids)
      || !write_map (parent, "gid_map", maps->gids, maps->n_gids))
    _exit (1);
  _exit (0);
}

void
share_enter_user_namespace (const ShareMaps *maps)
{
  int ready[2], status;
  pid_t self = getpid (), child;

  if (pipe2 (ready, O_CLOEXEC) < 0)
    share_die_errno ("making a pipe");
  child = fork ();
  if (child < 0)
    share_die_errno ("making a process");
  if (child == 0)
    {
      close (ready[1]);
      map_parent (ready[0], self, maps);
    }
  close (ready[0]);
  if (unshare (CLONE_NEWUSER) < 0)
    share_die_errno ("making a user namespace");
  if (write (ready[1], "", 1) != 1)
    share_die_errno ("having the user namespace mapped");
  close (ready[1]);
  while (waitpid (child, &status, 0) < 0)
    if (errno != EINTR)
      share_die_errno ("waiting for the maps of the user namespace");
  if (!WIFEXITED (status) || WEXITSTATUS (status) != 0)
    share_die ("mapping the user namespace failed");
  if (setgroups (0, NULL) < 0 || setresgid (0, 0, 0) < 0 || setresuid (0, 0, 0) < 0)
    share_die_errno ("becoming the user namespace's root");
}

/* --- the filter */

/* fchmodat2 is younger than the libseccomp of Debian 12. */
#define FCHMODAT2 452
#define SET_ID    ((unsigned)(S_ISUID | S_ISGID))

static scmp_filter_ctx
new_filter (void)
{
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);

  /* calls of another kind than this program's own (32 bits, x32) kill: libseccomp's default */
  if (!filter)
    share_die ("the system call filter cannot be made");
  return filter;
}

static void
deny (scmp_filter_ctx filter, int code, int number, unsigned n, const struct scmp_arg_cmp *args)
{
  if (seccomp_rule_add_array (filter, SCMP_ACT_ERRNO ((unsigned)code), number, n, args) < 0)
    share_die ("the system call filter takes no rule for call %d", number);
}

/* Calls with a mode as their argument @at; with @flag set in argument @flag_at, if that is one. */
static void
deny_modes (scmp_filter_ctx filter, int number, unsigned at, unsigned flag_at, unsigned flag)
{
  static const unsigned bits[] = { S_ISUID, S_ISGID };

  for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
    {
      struct scmp_arg_cmp args[] = {
        SCMP_CMP64 (at, SCMP_CMP_MASKED_EQ, bits[i], bits[i]),
        SCMP_CMP64 (flag_at, SCMP_CMP_MASKED_EQ, flag, flag),
      };

      deny (filter, EPERM, number, flag ? 2 : 1, args);
    }
}

/* A guest's chmod and open come to the host as the daemon's, with the guest's modes: nosuid is no
 * help there, since it keeps such a file from working, not from being made. */
void
share_refuse_set_id (void)
{
  static const struct
  {
    int number;
    unsigned mode_at, flag_at, flag;
  } modes[] = {
    { SCMP_SYS (chmod), 1, 0, 0 },
    { SCMP_SYS (fchmod), 1, 0, 0 },
    { SCMP_SYS (fchmodat), 2, 0, 0 },
    { FCHMODAT2, 2, 0, 0 },
    { SCMP_SYS (mkdir), 1, 0, 0 },
    { SCMP_SYS (mkdirat), 2, 0, 0 },
    { SCMP_SYS (mknod), 1, 0, 0 },
    { SCMP_SYS (mknodat), 2, 0, 0 },
    { SCMP_SYS (creat), 1, 0, 0 },
    { SCMP_SYS (open), 2, 1, O_CREAT },
    { SCMP_SYS (openat), 3, 2, O_CREAT },
    { SCMP_SYS (open), 2, 1, O_TMPFILE & ~O_DIRECTORY },
    { SCMP_SYS (openat), 3, 2, O_TMPFILE & ~O_DIRECTORY },
  };
  /* what would go past the rules above (their arguments are in memory), and attributes, which can
   * make a file run with more rights, too; a daemon that is told no_xattr uses none */
  static const int absent[] = { SCMP_SYS (openat2), SCMP_SYS (io_uring_setup),
                                SCMP_SYS (io_uring_enter), SCMP_SYS (io_uring_register) };
  static const int attributes[] = { SCMP_SYS (setxattr), SCMP_SYS (lsetxattr),
                                    SCMP_SYS (fsetxattr) };
  scmp_filter_ctx filter = new_filter ();

  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    deny_modes (filter, modes[i].number, modes[i].mode_at, modes[i].flag_at, modes[i].flag);
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
    deny (filter, ENOSYS, absent[i], 0, NULL);
  for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
    deny (filter, EOPNOTSUPP, attributes[i], 0, NULL);
  /* sets no_new_privs, too */
  if (seccomp_load (filter) < 0)
    share_die ("the kernel does not take the system call filter");
  seccomp_release (filter);
}
