// SPDX-License-Identifier: LGPL-2.1-or-later
// A command in the guest with a socket for its input or output. (A socket, because writing to a
// closed pipe sends SIGPIPE, and a library may not change what that does.)
#include "guest/copy-private.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_MAX  4096
#define DRAIN_MAX (1024 * 1024)
/* Long enough for the guest to move a large tree on an emulated disk. */
#define IDLE_MSEC (10 * 60 * 1000)
#define END_USEC  (2 * G_USEC_PER_SEC)

struct _SandboxStream
{
  pid_t pid; /* 0: reaped */
  int pid_fd, data_fd, err_fd;
  gboolean ended;
  gint64 end; /* monotonic: when all of it must be over */
  GString *text;
  GCancellable *cancellable;
};

static void
drain_text (SandboxStream *stream)
{
  char block[TEXT_MAX];
  gssize n;

  while (stream->err_fd >= 0 && (n = read (stream->err_fd, block, sizeof block)) != 0)
    {
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno == EAGAIN)
        return;
      if (n < 0)
        break;
      g_string_append_len (stream->text, block, n);
      if (stream->text->len > TEXT_MAX)
        g_string_erase (stream->text, 0, (gssize)(stream->text->len - TEXT_MAX));
    }
  sandbox_close_fd (&stream->err_fd);
}

static gboolean
fail_in_time (const SandboxStream *stream, GError **error)
{
  return g_get_monotonic_time () >= stream->end
             ? sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                             "copying: the machine was not done in the time that it has")
             : sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                             "copying: the machine said nothing for %d minutes", IDLE_MSEC / 60000);
}

/* Until @fd is ready; takes what comes on stderr meanwhile, which is no sign of life. */
static gboolean
wait_ready (SandboxStream *stream, int fd, gushort events, GError **error)
{
  GPollFD fds[3] = { { .fd = fd, .events = events }, { .fd = -1 }, { .fd = -1 } };
  gboolean pollable =
      stream->cancellable && g_cancellable_make_pollfd (stream->cancellable, &fds[2]);
  gint64 end = MIN (stream->end, g_get_monotonic_time () + IDLE_MSEC * G_GINT64_CONSTANT (1000));
  gint64 left = 0;

  do
    {
      left = MAX (end - g_get_monotonic_time (), 0);
      fds[1] = (GPollFD){ .fd = stream->err_fd, .events = G_IO_IN };
      fds[0].revents = 0;
      g_poll (fds, 3, (int)((left + 999) / 1000));
      if (fds[1].revents)
        drain_text (stream);
    }
  while (left > 0 && !fds[0].revents && !g_cancellable_is_cancelled (stream->cancellable));
  if (pollable)
    g_cancellable_release_fd (stream->cancellable);
  if (g_cancellable_set_error_if_cancelled (stream->cancellable, error))
    return FALSE;
  /* what comes in drops may be ready each time: the end is the end */
  return (fds[0].revents && g_get_monotonic_time () < stream->end) || fail_in_time (stream, error);
}

static gboolean
spawn (SandboxStream *stream, const SandboxSsh *ssh, const char *remote_command, int stdin_fd,
       int stdout_fd, int err_fd, GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) argv = _sandbox_ssh_argv (ssh, FALSE, _sandbox_ssh_master_alive (ssh));

  g_ptr_array_add (argv, g_strdup (remote_command));
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  options.stdin_fd = stdin_fd;
  options.stdout_fd = stdout_fd;
  options.stderr_fd = err_fd;
  if (!sandbox_child_spawn (&options, &stream->pid, error))
    {
      stream->pid = 0;
      return FALSE;
    }
  stream->pid_fd = pidfd_open (stream->pid, 0);
  return TRUE;
}

/* @stdin_fd: what the command reads, -1: nothing; only when we read what it writes. */
static SandboxStream *
stream_open (const SandboxSsh *ssh, const char *remote_command, gboolean reading, int stdin_fd,
             GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxStream) stream = g_new0 (SandboxStream, 1);
  int sockets[2] = { -1, -1 }, pipes[2] = { -1, -1 };
  gboolean ok;

  stream->pid_fd = stream->data_fd = stream->err_fd = -1;
  stream->end = G_MAXINT64;
  stream->text = g_string_new (NULL);
  stream->cancellable = cancellable ? g_object_ref (cancellable) : NULL;
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0
      || pipe2 (pipes, O_CLOEXEC) < 0)
    {
      sandbox_fail_errno (error, errno, "making a socket");
      sandbox_close_fd (&sockets[0]);
      sandbox_close_fd (&sockets[1]);
      return NULL;
    }
  stream->data_fd = sockets[0];
  stream->err_fd = pipes[0];
  fcntl (stream->data_fd, F_SETFL, O_NONBLOCK);
  fcntl (stream->err_fd, F_SETFL, O_NONBLOCK);
  ok = spawn (stream, ssh, remote_command, reading ? stdin_fd : sockets[1],
              reading ? sockets[1] : -1, pipes[1], error);
  close (sockets[1]);
  close (pipes[1]);
  return ok ? g_steal_pointer (&stream) : NULL;
}

SandboxStream *
_sandbox_stream_open (const SandboxSsh *ssh, const char *remote_command, gboolean reading,
                      GCancellable *cancellable, GError **error)
{
  return stream_open (ssh, remote_command, reading, -1, cancellable, error);
}

SandboxStream *
_sandbox_stream_open_fed (const SandboxSsh *ssh, const char *remote_command, int stdin_fd,
                          GCancellable *cancellable, GError **error)
{
  return stream_open (ssh, remote_command, TRUE, stdin_fd, cancellable, error);
}

void
_sandbox_stream_limit (SandboxStream *stream, gint64 usec)
{
  stream->end = g_get_monotonic_time () + usec;
}

gboolean
_sandbox_stream_write (SandboxStream *stream, const void *data, gsize length, GError **error)
{
  const char *from = data;

  while (length > 0)
    {
      gssize n = send (stream->data_fd, from, length, MSG_NOSIGNAL);

      if (n > 0)
        {
          from += n;
          length -= (gsize)n;
        }
      else if (n < 0 && errno == EAGAIN)
        {
          if (!wait_ready (stream, stream->data_fd, G_IO_OUT, error))
            return FALSE;
        }
      else if (n == 0 || errno != EINTR)
        return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the machine takes no more data");
    }
  return TRUE;
}

gboolean
_sandbox_stream_read (void *data, gsize length, gpointer user_data, GError **error)
{
  SandboxStream *stream = user_data;
  char *to = data;

  while (length > 0)
    {
      gssize n = recv (stream->data_fd, to, length, 0);

      if (n > 0)
        {
          to += n;
          length -= (gsize)n;
        }
      else if (n < 0 && errno == EAGAIN)
        {
          if (!wait_ready (stream, stream->data_fd, G_IO_IN, error))
            return FALSE;
        }
      else if (n == 0 || errno != EINTR)
        {
          stream->ended = TRUE;
          return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                               "the machine sent less than it announced");
        }
    }
  return TRUE;
}

gssize
_sandbox_stream_read_some (SandboxStream *stream, void *data, gsize length, GError **error)
{
  for (;;)
    {
      gssize n = recv (stream->data_fd, data, length, 0);

      if (n >= 0)
        return n;
      if (errno == EAGAIN && !wait_ready (stream, stream->data_fd, G_IO_IN, error))
        return -1;
      if (errno != EAGAIN && errno != EINTR)
        return 0;
    }
}

gboolean
_sandbox_stream_ended (const SandboxStream *stream)
{
  return stream->ended && stream->pid;
}

gboolean
_sandbox_stream_drain (SandboxStream *stream, GError **error)
{
  char block[TEXT_MAX];
  gsize total = 0;

  for (;;)
    {
      gssize n = recv (stream->data_fd, block, sizeof block, 0);

      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return TRUE;
      if (n < 0 && errno == EAGAIN && !wait_ready (stream, stream->data_fd, G_IO_IN, error))
        return FALSE;
      total += n > 0 ? (gsize)n : 0;
      if (total > DRAIN_MAX)
        return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the machine sends data without end");
    }
}

gboolean
_sandbox_stream_finish (SandboxStream *stream, int *ret_status, char **ret_text, GError **error)
{
  gboolean ok;

  sandbox_close_fd (&stream->data_fd);
  /* without a pidfd (no descriptor was left) only the child is waited for, not its words */
  if (stream->pid_fd >= 0 && !wait_ready (stream, stream->pid_fd, G_IO_IN, error))
    return FALSE;
  drain_text (stream);
  ok = sandbox_child_wait (stream->pid, FALSE, 0, stream->cancellable, ret_status, error);
  stream->pid = 0;
  if (ok && ret_text)
    *ret_text = g_strdup (stream->text->str);
  return ok;
}

void
_sandbox_stream_free (SandboxStream *stream)
{
  sandbox_close_fd (&stream->data_fd);
  sandbox_close_fd (&stream->err_fd);
  if (stream->pid)
    {
      kill (stream->pid, SIGTERM);
      sandbox_child_wait (stream->pid, FALSE, END_USEC, NULL, NULL, NULL);
    }
  sandbox_close_fd (&stream->pid_fd);
  g_string_free (stream->text, TRUE);
  g_clear_object (&stream->cancellable);
  g_free (stream);
}
