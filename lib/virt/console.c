// SPDX-License-Identifier: LGPL-2.1-or-later
// Consoles: the boot log as a stream to a function, and both ways between a terminal and a machine.
//
// On a connection of their own, and without threads. A read of libvirt's that blocks can be ended
// by nothing: not by virStreamAbort in another thread, which frees the stream under the reader's
// hands, and not always by taking the console away, because the daemon does not tell a reader to
// whom it was just sending. And streams that call back need an event loop of the whole process. So
// the stream is one that does not block; what has come for it is taken from the connection while a
// small question waits for its answer.

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "virt/virt-private.h"

#define CHUNK_BYTES 4096
#define ESCAPE_KEY  0x1d /* ^] */
/* How often is asked while nothing comes: for a person, and for a log. */
#define PERSON_MSEC 40
#define LOG_MSEC    400

typedef struct
{
  SandboxVirt *virt;
  const char *name;
  virConnectPtr conn;
  virDomainPtr domain;
  virStreamPtr stream;
} Console;

static void
console_close (Console *console)
{
  if (console->stream)
    virStreamFree (console->stream);
  if (console->domain)
    virDomainFree (console->domain);
  if (console->conn)
    _sandbox_virt_connection_close (console->conn);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Console, console_close)

static gboolean
console_open (Console *console, const char *alias, GError **error)
{
  console->conn = _sandbox_virt_connection_new (console->virt, error);
  if (!console->conn)
    return FALSE;
  console->domain = virDomainLookupByName (console->conn, console->name);
  console->stream = console->domain ? virStreamNew (console->conn, VIR_STREAM_NONBLOCK) : NULL;
  if (!console->stream || virDomainOpenConsole (console->domain, alias, console->stream, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot open the console of domain %s", console->name);
  return TRUE;
}

/* As virStreamRecv: the number of bytes, 0 at the end, -1 for an error, -2 when there is nothing.
 */
static int
receive (Console *console, char buffer[CHUNK_BYTES])
{
  int got = virStreamRecv (console->stream, buffer, CHUNK_BYTES);
  int state = VIR_DOMAIN_NOSTATE;

  if (got != -2)
    return got;
  if (virDomainGetState (console->domain, &state, NULL, 0) < 0)
    return -1;
  got = virStreamRecv (console->stream, buffer, CHUNK_BYTES);
  return got == -2 && (state == VIR_DOMAIN_SHUTOFF || state == VIR_DOMAIN_CRASHED) ? 0 : got;
}

/* How a console that gave no more ended: with its domain, or because another one took it (both are
 * an end like any other), or by a failure. */
static gboolean
check_end (Console *console, int got, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gboolean exists = FALSE;
  SandboxVirtState state = SANDBOX_VIRT_STOPPED;

  if (got == 0)
    {
      virStreamAbort (console->stream);
      return TRUE;
    }
  _sandbox_virt_fail (&local_error, "Cannot read the console of domain %s", console->name);
  virStreamAbort (console->stream);
  if (_sandbox_virt_domain_state (console->virt, console->name, &exists, &state, NULL)
      && (!exists || state == SANDBOX_VIRT_STOPPED || state == SANDBOX_VIRT_CRASHED))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

static gboolean
cancelled (Console *console, GCancellable *cancellable, GError **error)
{
  if (!g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  virStreamAbort (console->stream);
  return TRUE;
}

/* Until @in_fd (-1: none) has something, @cancellable was cancelled, or the time is over. TRUE in
 * the first case. */
static gboolean
wait_for_input (int in_fd, int timeout_msec, GCancellable *cancellable)
{
  GPollFD fds[2] = { { .fd = in_fd, .events = G_IO_IN | G_IO_HUP }, { .fd = -1 } };
  gboolean watched = g_cancellable_make_pollfd (cancellable, &fds[1]);

  g_poll (fds, watched ? 2 : 1, timeout_msec);
  if (watched)
    g_cancellable_release_fd (cancellable);
  return fds[0].revents != 0;
}

gboolean
_sandbox_virt_console_read (SandboxVirt *virt, const char *name, const char *alias,
                            SandboxVirtDataFunc func, gpointer user_data, GCancellable *cancellable,
                            GError **error)
{
  g_auto (Console) console = { .virt = virt, .name = name };
  char buffer[CHUNK_BYTES];

  if (g_cancellable_set_error_if_cancelled (cancellable, error)
      || !console_open (&console, alias, error))
    return FALSE;
  for (;;)
    {
      int got = receive (&console, buffer);

      if (cancelled (&console, cancellable, error))
        return FALSE;
      if (got == -2)
        wait_for_input (-1, LOG_MSEC, cancellable);
      else if (got <= 0)
        return check_end (&console, got, error);
      else if (!func (buffer, (gsize)got, user_data))
        {
          virStreamAbort (console.stream);
          return TRUE;
        }
    }
}

/* --- both ways */

static gboolean
write_all (int fd, const char *data, gsize length)
{
  while (length > 0)
    {
      gssize written = write (fd, data, length);

      if (written < 0 && errno == EAGAIN)
        {
          GPollFD poll_fd = { .fd = fd, .events = G_IO_OUT };

          g_poll (&poll_fd, 1, -1);
          continue;
        }
      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        return FALSE;
      data += written;
      length -= written;
    }
  return TRUE;
}

/* FALSE: ^] or the end; what stood before ^] was sent. */
static gboolean
pass_input (Console *console, int in_fd)
{
  char buffer[CHUNK_BYTES];
  const char *escape = NULL;
  gssize got = read (in_fd, buffer, sizeof buffer);
  gssize length;

  if (got < 0 && (errno == EINTR || errno == EAGAIN))
    return TRUE;
  if (got <= 0)
    return FALSE;
  escape = memchr (buffer, ESCAPE_KEY, (gsize)got);
  length = escape ? escape - buffer : got;
  for (gssize done = 0; done < length;)
    {
      int sent = virStreamSend (console->stream, buffer + done, (size_t)(length - done));

      if (sent == -2)
        g_usleep (PERSON_MSEC * 1000);
      else if (sent < 0)
        return FALSE;
      else
        done += sent;
    }
  return !escape;
}

gboolean
_sandbox_virt_console_attach (SandboxVirt *virt, const char *name, const char *alias, int in_fd,
                              int out_fd, GCancellable *cancellable, GError **error)
{
  g_auto (Console) console = { .virt = virt, .name = name };
  char buffer[CHUNK_BYTES];

  if (g_cancellable_set_error_if_cancelled (cancellable, error)
      || !console_open (&console, alias, error))
    return FALSE;
  for (;;)
    {
      int got = receive (&console, buffer);

      if (cancelled (&console, cancellable, error))
        return FALSE;
      if (got == 0 || got == -1)
        return check_end (&console, got, error);
      /* nobody is there to see it any more, or ^], or the end of input: an end like any other */
      if ((got > 0 && !write_all (out_fd, buffer, (gsize)got))
          || (wait_for_input (in_fd, got > 0 ? 0 : PERSON_MSEC, cancellable)
              && !pass_input (&console, in_fd)))
        {
          virStreamAbort (console.stream);
          return TRUE;
        }
    }
}
