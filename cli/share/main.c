// SPDX-License-Identifier: LGPL-2.1-or-later
// vms-virtiofsd: what libvirt starts in place of virtiofsd, as root, for each share of a machine.
// It makes the view of the shared directory that the share's mode asks for, gives up what the
// daemon does not need, and becomes the real virtiofsd.
//
// Who is trusted: root, libvirt's daemon, the kernel, and what root installed. Not trusted:
// - The guest. It speaks to the real virtiofsd only, later. Whatever it makes virtiofsd do, or
//   virtiofsd's process if it takes that over, happens inside what is built here: a read-only mount
//   stays read-only, no file gets to belong to the host's root or to anybody else but the user and
//   the user's subordinate numbers, none becomes setuid or setgid, none is a device that works.
// - The user. Whoever may define machines is root by other ways (the group libvirt), but nothing
//   here adds one: the shared directory is opened with the user's own rights, and must be the
//   user's; ranges come from /etc/subuid and /etc/subgid; the daemon must be root's.
// - Whoever else can write above the user's directories. Each path is opened once, without
// following
//   any link; after that only its descriptor counts.
//
// The order is part of it. A read-only mount that is made before the user namespace is locked
// there; one made inside could be made writable again from within. The filter comes last, because
// it forbids calls that the steps before it use.
#include "share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROGRAM "vms-virtiofsd"
/* What virtiofsd wants, and could no longer get by itself: one for each file that a guest knows. */
#define FILES_WANTED 1000000
/* What libvirt asks before it starts one: none of the things that only some daemons can do. It gets
 * along with either style of arguments. */
#define CAPABILITIES "{\n  \"type\": \"fs\",\n  \"features\": [\n    \"separate-options\"\n  ]\n}\n"

static void
say (const char *format, va_list args, const char *reason)
{
  fputs (PROGRAM ": ", stderr);
  vfprintf (stderr, format, args);
  fprintf (stderr, "%s%s\n", reason ? ": " : "", reason ? reason : "");
}

void
share_die (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  say (format, args, NULL);
  va_end (args);
  exit (1);
}

void
share_die_errno (const char *format, ...)
{
  const char *reason = strerror (errno);
  va_list args;

  va_start (args, format);
  say (format, args, reason);
  va_end (args);
  exit (1);
}

static bool
is_roots (int fd, bool directory)
{
  struct stat info;

  return fstat (fd, &info) == 0 && info.st_uid == 0 && (info.st_mode & 022) == 0
         && (directory ? S_ISDIR (info.st_mode) : S_ISREG (info.st_mode));
}

/* The program, and each directory on the way to it: nobody but root can put another one there. */
static void
check_daemon (const char *daemon)
{
  struct open_how how = {
    .flags = O_PATH | O_CLOEXEC,
    .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  };
  char part[SHARE_PATH_MAX + 1];

  for (const char *slash = daemon; slash; slash = strchr (slash + 1, '/'))
    {
      const char *end = strchr (slash + 1, '/');
      size_t length = end ? (size_t)(end - daemon) : strlen (daemon);
      int fd;

      memcpy (part, daemon, length);
      part[length] = '\0';
      fd = (int)syscall (SYS_openat2, AT_FDCWD, part, &how, sizeof how);
      if (fd < 0)
        share_die_errno ("opening %s on the way to what is to be started", part);
      if (!is_roots (fd, end != NULL))
        share_die ("%s is not root's alone, so that %s is not started", part, daemon);
      close (fd);
    }
}

static void
raise_limit (void)
{
  struct rlimit limit = { FILES_WANTED, FILES_WANTED };

  /* the kernel's own limit may be lower (fs.nr_open): then what there is */
  if (setrlimit (RLIMIT_NOFILE, &limit) < 0 && getrlimit (RLIMIT_NOFILE, &limit) == 0)
    {
      limit.rlim_cur = limit.rlim_max;
      setrlimit (RLIMIT_NOFILE, &limit);
    }
}

/* libvirt's file with our process id, which it locked for us: as long as it is open, libvirt knows
 * that there is something to end when the machine does not start. -1: none. */
static int
find_pid_file (void)
{
  DIR *dir = opendir ("/proc/self/fd");
  const struct dirent *entry;
  int found = -1;

  while (dir && found < 0 && (entry = readdir (dir)))
    {
      char path[64], target[SHARE_PATH_MAX + 1];
      int fd = atoi (entry->d_name);
      struct stat info;
      ssize_t n;

      snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
      n = fd > 2 ? readlink (path, target, sizeof target) : -1;
      if (n > 4 && n < (ssize_t)sizeof target && memcmp (target + n - 4, ".pid", 4) == 0
          && fstat (fd, &info) == 0 && S_ISREG (info.st_mode) && info.st_uid == 0)
        found = fd;
    }
  if (dir)
    closedir (dir);
  return found;
}

static void
close_between (int after, int before)
{
  if (after + 1 < before && close_range ((unsigned)after + 1, (unsigned)before - 1, 0) < 0)
    share_die_errno ("closing what is not needed");
}

/* Nothing else that libvirt's daemon may have left open gets to virtiofsd. */
static void
keep_only (int socket_fd)
{
  int pid_fd = find_pid_file ();
  int first = pid_fd > 0 && pid_fd < socket_fd ? pid_fd : socket_fd;
  int second = pid_fd > socket_fd ? pid_fd : socket_fd;
  struct stat info;

  if (fstat (socket_fd, &info) < 0 || !S_ISSOCK (info.st_mode))
    share_die ("descriptor %d is no socket", socket_fd);
  close_between (2, first);
  close_between (first, second);
  if (close_range ((unsigned)second + 1, ~0U, 0) < 0)
    share_die_errno ("closing what is not needed");
  if (fcntl (socket_fd, F_SETFD, 0) < 0 || (pid_fd > 0 && fcntl (pid_fd, F_SETFD, 0) < 0))
    share_die_errno ("keeping descriptors for virtiofsd");
}

/* Written anew: nothing of the arguments that came in is passed on. */
static _Noreturn void
become_daemon (const ShareConfig *config, const ShareArgs *args)
{
  char fd[32];
  char *env[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
  char *separate[] = { (char *)"virtiofsd",
                       fd,
                       (char *)"--shared-dir",
                       (char *)SHARE_VIEW,
                       (char *)"--sandbox",
                       (char *)"namespace",
                       args->debug ? (char *)"--log-level=debug" : NULL,
                       NULL };
  char *joined[] = { (char *)"virtiofsd",
                     fd,
                     (char *)"-o",
                     (char *)"source=" SHARE_VIEW ",sandbox=namespace,no_xattr",
                     args->debug ? (char *)"-d" : NULL,
                     NULL };

  snprintf (fd, sizeof fd, "--fd=%d", args->socket_fd);
  execve (config->daemon, config->separate_options ? separate : joined, env);
  share_die_errno ("starting %s", config->daemon);
}

int
main (int argc, char **argv)
{
  ShareArgs args;
  ShareConfig config;
  ShareMaps maps;
  uid_t owner, uid;
  gid_t gid;
  int source_fd, tree_fd;
  const char *wrong;

  if (argc == 2 && strcmp (argv[1], "--print-capabilities") == 0)
    return fputs (CAPABILITIES, stdout) < 0;
  wrong = share_args_parse (argc, argv, &args);
  if (wrong)
    share_die ("\"%s\" is none of the arguments with which libvirt starts a share of vms", wrong);
  if (geteuid () != 0)
    share_die ("only libvirt's daemon starts this, as root");
  if (chdir ("/") < 0)
    share_die_errno ("going to /");
  umask (077);
  keep_only (args.socket_fd);
  raise_limit ();
  share_config_load (args.door, &config, &owner);
  check_daemon (config.daemon);
  if (config.guarded)
    check_daemon (SHARE_FILTER);
  share_enter_mount_namespace ();
  source_fd = share_source_open (config.source, owner, &uid, &gid);
  share_maps_load (owner, uid, gid, &maps);
  tree_fd = share_view_clone (source_fd, config.read_only);
  if (!config.guarded)
    share_view_mount (tree_fd);
  share_enter_user_namespace (&maps);
  if (config.guarded)
    share_filter_start (tree_fd, config.guard_fd, &maps);
  share_refuse_set_id ();
  become_daemon (&config, &args);
}
