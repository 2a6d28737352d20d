// SPDX-License-Identifier: LGPL-2.1-or-later
// share-filter: between virtiofsd and the directory of a share of mode=guarded. It passes on what
// virtiofsd asks for, but for changes of what the host runs without being asked.
//
// vms-virtiofsd starts it, in the user namespace of the share, in which nobody is the host's root;
// it is never root. What it trusts: the kernel, its two descriptors, and the host's user, who may
// do to the tree at any time what they want. What it does not trust: every operation, since they
// are a guest's, also when virtiofsd has become the guest's: that one runs in a user namespace and
// a mount namespace below this one's, sees this file system only, and cannot look into this
// process.
//
// The rules go by the path that something has now, as the kernel says it, never by one that was
// remembered. There is one thread: nothing changes between a rule and what it allowed, but by the
// host's user.
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As vms-virtiofsd gives them: a /dev/fuse that is mounted, the shared directory, and, if there are
 * any, rules of this share. */
#define FUSE_FD  3
#define ROOT_FD  4
#define GUARD_FD 5

static struct fuse_session *
open_session (void)
{
  static const char *const argv[] = { "share-filter" };
  static struct fuse_lowlevel_ops ops;
  struct fuse_args args = FUSE_ARGS_INIT (1, (char **)argv);
  g_autofree char *mounted = g_strdup_printf ("/dev/fd/%d", FUSE_FD);
  struct fuse_session *session;

  read_operations (&ops);
  write_operations (&ops);
  session = fuse_session_new (&args, &ops, sizeof ops, NULL);
  if (session == NULL || fuse_session_mount (session, mounted) != 0)
    g_error ("the file system cannot be served");
  return session;
}

int
main (int argc, char **argv)
{
  struct fuse_session *session;
  struct stat info;

  /* whoever started it becomes virtiofsd; when that ends, the file system does, and so this */
  if (argc != 2 || getppid () != atoi (argv[1]))
    {
      fputs ("share-filter: only vms-virtiofsd starts this\n", stderr);
      return 1;
    }
  if (fstat (ROOT_FD, &info) < 0 || !S_ISDIR (info.st_mode))
    g_error ("there is no shared directory: %s", g_strerror (errno));
  umask (0);
  rules_init (ROOT_FD);
  /* before anything else could have got that number */
  if (fcntl (GUARD_FD, F_GETFD) >= 0)
    {
      rules_load (GUARD_FD);
      close (GUARD_FD);
    }
  nodes_init (ROOT_FD);
  session = open_session ();
  confine ();
  find_guarded (ROOT_FD);
  return fuse_session_loop (session) == 0 ? 0 : 1;
}
