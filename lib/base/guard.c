// SPDX-License-Identifier: LGPL-2.1-or-later
// Asks the guard's socket. The kernel says who listens there: nobody but root is believed.
#include "base/guard.h"

#include "base/file.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ANSWER_MSEC 1000

pid_t
sandbox_guard_pid (void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SANDBOX_GUARD_SOCKET };
  sandbox_autofd int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct ucred peer;
  socklen_t size = sizeof peer;
  char answer;

  if (fd < 0 || connect (fd, (struct sockaddr *)&address, sizeof address) < 0
      || getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != 0)
    return 0;
  /* it answers as long as it works */
  if (poll (&(struct pollfd){ fd, POLLIN, 0 }, 1, ANSWER_MSEC) != 1
      || recv (fd, &answer, 1, 0) != 1)
    return 0;
  return peer.pid;
}
