// SPDX-License-Identifier: LGPL-2.1-or-later
// Small services of the same program, used by the ssh processes around a keeper.
#include "keeper.h"

#include "base/file.h"
#include "base/units.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_USEC (250 * 1000)
#define RETRY_USEC   (50 * 1000)

/* A guest that crashed or was reset takes its end along and says nothing: the kernel asks. Quiet
 * for longer than a busy emulated guest needs to answer a packet, and the connection is dead. */
static void
notice_death (int fd)
{
  static const struct
  {
    int level, name, value;
  } options[] = {
    { SOL_SOCKET, SO_KEEPALIVE, 1 },
    { IPPROTO_TCP, TCP_KEEPIDLE, 30 },
    { IPPROTO_TCP, TCP_KEEPINTVL, 10 },
    { IPPROTO_TCP, TCP_KEEPCNT, 6 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (options); i++)
    (void)setsockopt (fd, options[i].level, options[i].name, &options[i].value, sizeof (int));
}

/* Sends @fd over the socket that ssh gave us as stdout. */
static int
pass_fd (int fd)
{
  char byte = 0;
  struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
  union
  {
    struct cmsghdr header;
    char space[CMSG_SPACE (sizeof (int))];
  } control = { 0 };
  struct msghdr message = {
    .msg_iov = &iov,
    .msg_iovlen = 1,
    .msg_control = &control,
    .msg_controllen = sizeof control.space,
  };
  struct cmsghdr *header = CMSG_FIRSTHDR (&message);

  header->cmsg_len = CMSG_LEN (sizeof (int));
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  memcpy (CMSG_DATA (header), &fd, sizeof fd);
  return sendmsg (STDOUT_FILENO, &message, MSG_NOSIGNAL) == 1 ? 0 : 1;
}

/* --connect ADDRESS PORT: waits, for ever, until the port takes a connection. Ends with the ssh
 * that started it. */
static int
helper_connect (const char *address, const char *port_text)
{
  guint64 port = 0;
  pid_t parent = getppid ();

  if (!sandbox_uint_parse (port_text, 1, 65535, &port, NULL))
    return 2;
  prctl (PR_SET_PDEATHSIG, SIGTERM);
  while (getppid () == parent)
    {
      int saved_errno = 0;
      sandbox_autofd int fd =
          _sandbox_tcp_connect (address, (guint)port, CONNECT_USEC, &saved_errno);

      if (fd >= 0)
        {
          notice_death (fd);
          return pass_fd (fd);
        }
      g_usleep (RETRY_USEC);
    }
  return 1;
}

/* --tied PID PROGRAM ARG...: becomes PROGRAM, which gets SIGTERM when process PID, our parent,
 * ends: nothing outlives a keeper that was killed. */
static int
helper_tied (const char *parent_text, char **argv)
{
  guint64 parent = 0;

  if (!sandbox_uint_parse (parent_text, 1, G_MAXINT, &parent, NULL))
    return 2;
  prctl (PR_SET_PDEATHSIG, SIGTERM);
  if (getppid () != (pid_t)parent)
    return 1;
  execvp (argv[0], argv);
  dprintf (STDERR_FILENO, "running %s: %s\n", argv[0], g_strerror (errno));
  return 127;
}

int
keeper_helper (int argc, char **argv)
{
  if (argc == 4 && g_str_equal (argv[1], "--connect"))
    return helper_connect (argv[2], argv[3]);
  if (argc >= 4 && g_str_equal (argv[1], "--tied"))
    return helper_tied (argv[2], argv + 3);
  if (argc == 4 && g_str_equal (argv[1], "--ready"))
    return keeper_ready (argv[2], argv[3]);
  if (argc == 6 && g_str_equal (argv[1], "--end-share"))
    return keeper_live_end (argv[2], argv[3], argv[4], argv[5]);
  if (argc == 5 && g_str_equal (argv[1], "--tidy"))
    return keeper_tidy_run (argv[2], argv[3], argv[4]);
  return -1;
}
