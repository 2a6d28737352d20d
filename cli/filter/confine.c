// SPDX-License-Identifier: LGPL-2.1-or-later
// What the filter keeps of its rights: to work on files as the numbers of its user namespace, and
// nothing else. It speaks to the kernel only, but what the kernel passes on is a guest's.
#include "filter.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int kept[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SETUID, CAP_SETGID };

static const int calls[] = {
  /* files */
  SCMP_SYS (read),
  SCMP_SYS (readv),
  SCMP_SYS (pread64),
  SCMP_SYS (write),
  SCMP_SYS (writev),
  SCMP_SYS (pwrite64),
  SCMP_SYS (lseek),
  SCMP_SYS (open),
  SCMP_SYS (openat),
  SCMP_SYS (close),
  SCMP_SYS (dup),
  SCMP_SYS (fcntl),
  SCMP_SYS (stat),
  SCMP_SYS (lstat),
  SCMP_SYS (fstat),
  SCMP_SYS (newfstatat),
  SCMP_SYS (statx),
  SCMP_SYS (statfs),
  SCMP_SYS (fstatfs),
  SCMP_SYS (faccessat),
  SCMP_SYS (faccessat2),
  SCMP_SYS (readlink),
  SCMP_SYS (readlinkat),
  SCMP_SYS (getdents64),
  SCMP_SYS (mkdirat),
  SCMP_SYS (mknodat),
  SCMP_SYS (unlinkat),
  SCMP_SYS (symlinkat),
  SCMP_SYS (linkat),
  SCMP_SYS (renameat2),
  SCMP_SYS (renameat),
  SCMP_SYS (fchownat),
  SCMP_SYS (chmod),
  SCMP_SYS (fchmodat),
  SCMP_SYS (truncate),
  SCMP_SYS (ftruncate),
  SCMP_SYS (fallocate),
  SCMP_SYS (utimensat),
  SCMP_SYS (fsync),
  SCMP_SYS (fdatasync),
  SCMP_SYS (setfsuid),
  SCMP_SYS (setfsgid),
  /* the process itself */
  SCMP_SYS (mmap),
  SCMP_SYS (munmap),
  SCMP_SYS (mremap),
  SCMP_SYS (mprotect),
  SCMP_SYS (madvise),
  SCMP_SYS (brk),
  SCMP_SYS (futex),
  SCMP_SYS (rt_sigaction),
  SCMP_SYS (rt_sigprocmask),
  SCMP_SYS (rt_sigreturn),
  SCMP_SYS (sigaltstack),
  SCMP_SYS (getpid),
  SCMP_SYS (gettid),
  SCMP_SYS (tgkill),
  SCMP_SYS (clock_gettime),
  SCMP_SYS (getrandom),
  SCMP_SYS (restart_syscall),
  SCMP_SYS (exit),
  SCMP_SYS (exit_group),
};

static void
drop_capabilities (void)
{
  struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
  struct __user_cap_data_struct data[2] = { { 0 } };

  for (gsize i = 0; i < G_N_ELEMENTS (kept); i++)
    data[0].permitted |= 1U << kept[i];
  data[0].effective = data[0].permitted;
  /* nothing to be had back: no new privileges come with a program, and there is none to start */
  if (syscall (SYS_capset, &header, data) < 0)
    g_error ("dropping capabilities: %s", g_strerror (errno));
}

void
confine (void)
{
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ERRNO (EPERM));

  /* nobody else's: not those of the daemon, which has the same number */
  if (prctl (PR_SET_DUMPABLE, 0) < 0 || prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    g_error ("closing the process: %s", g_strerror (errno));
  drop_capabilities ();
  for (gsize i = 0; filter != NULL && i < G_N_ELEMENTS (calls); i++)
    if (seccomp_rule_add (filter, SCMP_ACT_ALLOW, calls[i], 0) < 0)
      g_error ("the system call filter takes no rule for call %d", calls[i]);
  if (filter == NULL || seccomp_load (filter) < 0)
    g_error ("the kernel does not take the system call filter");
  seccomp_release (filter);
}
