// SPDX-License-Identifier: LGPL-2.1-or-later
// Connections that are only tried: does the guest's port, does the master's socket answer.
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Far more than a master of our own host needs, however loaded that is. */
#define MASTER_HELLO_MSEC 5000

/* The result of a connect() under way, as errno; ETIMEDOUT when there is none yet. */
static int
finish_connect (int fd, gint64 timeout_usec)
{
  struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
  gint64 deadline = g_get_monotonic_time () + timeout_usec;
  int result = 0;
  socklen_t length = sizeof result;

  while (!pollfd.revents)
    {
      gint64 left = deadline - g_get_monotonic_time ();

      if (left <= 0)
        return ETIMEDOUT;
      if (poll (&pollfd, 1, (int)((left + 999) / 1000)) < 0 && errno != EINTR)
        return errno;
    }
  return getsockopt (fd, SOL_SOCKET, SO_ERROR, &result, &length) < 0 ? errno : result;
}

int
_sandbox_tcp_connect (const char *address, guint port, gint64 timeout_usec, int *ret_errno)
{
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons ((guint16)port) };
  sandbox_autofd int fd = -1;
  int result = EINVAL;

  if (inet_pton (AF_INET, address, &to.sin_addr) == 1)
    {
      fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      result = fd < 0 || connect (fd, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
    }
  if (result == EINPROGRESS)
    result = finish_connect (fd, timeout_usec);
  *ret_errno = result;
  return result ? -1 : g_steal_fd (&fd);
}

/* A master says hello as soon as it is connected to. One that is stopped accepts a connection all
 * the same (the kernel does that for it), and who then talks to it waits for ever. */
gboolean
_sandbox_ssh_master_alive (const SandboxSsh *ssh)
{
  g_autofree char *path = _sandbox_ssh_socket_path (ssh);
  struct sockaddr_un to = { .sun_family = AF_UNIX };
  sandbox_autofd int fd = -1;
  struct pollfd pollfd = { .events = POLLIN };

  if (strlen (path) >= sizeof to.sun_path)
    return FALSE;
  memcpy (to.sun_path, path, strlen (path));
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect (fd, (struct sockaddr *)&to, sizeof to) < 0)
    return FALSE;
  pollfd.fd = fd;
  return poll (&pollfd, 1, MASTER_HELLO_MSEC) == 1 && pollfd.revents == POLLIN;
}

gboolean
_sandbox_pause (gint64 usec, GCancellable *cancellable, GError **error)
{
  GPollFD cancel;
  gboolean pollable = cancellable && g_cancellable_make_pollfd (cancellable, &cancel);

  g_poll (&cancel, pollable ? 1 : 0, (int)((usec + 999) / 1000));
  if (pollable)
    g_cancellable_release_fd (cancellable);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}
