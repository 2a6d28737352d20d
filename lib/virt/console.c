// SPDX-License-Identifier: LGPL-2.1-or-later
// Consoles: the boot log as a stream to a function, and both ways between a terminal and a machine.
//
// libvirt's streams are read blocking, in the caller's thread, on a connection of their own: no
// event loop is needed, and an idle console wakes nobody up. A blocked read cannot be ended by
// virStreamAbort in another thread: that frees the stream under the reader's hands. It is ended
// from the other side instead: a helper thread opens the same console once more with
// VIR_DOMAIN_CONSOLE_FORCE, and the daemon then closes ours.

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/file.h"
#include "virt/virt-private.h"

#define CHUNK_BYTES      4096
#define ESCAPE_KEY       0x1d /* ^] */
#define EVICT_PAUSE_MSEC 200

typedef struct
{
  SandboxVirt *virt;
  const char *name, *alias;
  virConnectPtr conn;
  virStreamPtr stream;
  int done_fd; /* readable when the reader has ended */
} Console;

static void
console_close (Console *console)
{
  if (console->stream)
    virStreamFree (console->stream);
  if (console->conn)
    _sandbox_virt_connection_close (console->conn);
  sandbox_close_fd (&console->done_fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Console, console_close)

static gboolean
open_stream (Console *console, virConnectPtr conn, unsigned int flags, virStreamPtr *ret_stream,
             GError **error)
{
  g_autoptr (virDomain) domain = virDomainLookupByName (conn, console->name);
  g_autoptr (virStream) stream = domain ? virStreamNew (conn, 0) : NULL;

  if (!stream || virDomainOpenConsole (domain, console->alias, stream, flags) < 0)
    return _sandbox_virt_fail (error, "Cannot open the console of domain %s", console->name);
  *ret_stream = g_steal_pointer (&stream);
  return TRUE;
}

static gboolean
console_open (Console *console, GError **error)
{
  console->done_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (console->done_fd < 0)
    return sandbox_fail_errno (error, errno, "Cannot open the console of domain %s", console->name);
  console->conn = _sandbox_virt_connection_new (console->virt, error);
  return console->conn && open_stream (console, console->conn, 0, &console->stream, error);
}

/* Makes the daemon close the console under its reader. */
static gboolean
evict (Console *console)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection_new (console->virt, NULL);
  g_autoptr (virStream) stream = NULL;

  if (!conn || !open_stream (console, conn, VIR_DOMAIN_CONSOLE_FORCE, &stream, NULL))
    return FALSE;
  virStreamAbort (stream);
  return TRUE;
}

/* Until the reader has ended. When it goes on all the same, the daemon was just sending to it, and
 * then does not tell it (libvirt calls back for streams only that wait for something). But it
 * answers who writes into a stream that it has closed, and with that the reader ends too. */
static void
evict_until_done (Console *console)
{
  GPollFD done = { .fd = console->done_fd, .events = G_IO_IN };
  gboolean evicted = FALSE;

  do
    {
      if (evicted)
        virStreamSend (console->stream, "", 1);
      else
        evicted = evict (console);
    }
  while (g_poll (&done, 1, EVICT_PAUSE_MSEC) == 0);
}

static void
mark_done (Console *console)
{
  guint64 one = 1;

  while (write (console->done_fd, &one, sizeof one) < 0 && errno == EINTR)
    ;
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
      virStreamFinish (console->stream);
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

/* --- reading */

typedef struct
{
  Console *console;
  GCancellable *cancellable;
} Watch;

static gpointer
watch_thread (gpointer data)
{
  Watch *watch = data;
  GPollFD fds[2] = { { .fd = watch->console->done_fd, .events = G_IO_IN } };

  if (!g_cancellable_make_pollfd (watch->cancellable, &fds[1]))
    return NULL;
  while (g_poll (fds, 2, -1) < 0 && errno == EINTR)
    ;
  if (g_cancellable_is_cancelled (watch->cancellable))
    evict_until_done (watch->console);
  g_cancellable_release_fd (watch->cancellable);
  return NULL;
}

static gboolean
read_loop (Console *console, SandboxVirtDataFunc func, gpointer user_data,
           GCancellable *cancellable, GError **error)
{
  char buffer[CHUNK_BYTES];
  int got;

  while ((got = virStreamRecv (console->stream, buffer, sizeof buffer)) > 0)
    {
      if (g_cancellable_is_cancelled (cancellable))
        break;
      if (!func (buffer, got, user_data))
        {
          virStreamAbort (console->stream);
          return TRUE;
        }
    }
  if (g_cancellable_is_cancelled (cancellable))
    virStreamAbort (console->stream);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  return check_end (console, got, error);
}

gboolean
_sandbox_virt_console_read (SandboxVirt *virt, const char *name, const char *alias,
                            SandboxVirtDataFunc func, gpointer user_data, GCancellable *cancellable,
                            GError **error)
{
  g_auto (Console) console = { .virt = virt, .name = name, .alias = alias, .done_fd = -1 };
  Watch watch = { .console = &console, .cancellable = cancellable };
  GThread *watcher = NULL;
  gboolean ok;

  if (g_cancellable_set_error_if_cancelled (cancellable, error) || !console_open (&console, error))
    return FALSE;
  if (cancellable)
    {
      watcher = g_thread_try_new ("sandbox-console", watch_thread, &watch, error);
      if (!watcher)
        return FALSE;
    }
  ok = read_loop (&console, func, user_data, cancellable, error);
  mark_done (&console);
  if (watcher)
    g_thread_join (watcher);
  return ok;
}

/* --- both ways: a thread carries the console's output, the caller's thread the input */

typedef struct
{
  Console *console;
  int out_fd;
  gboolean ok;
  GError *error;
} Output;

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

static gpointer
output_thread (gpointer data)
{
  Output *output = data;
  char buffer[CHUNK_BYTES];
  int got;

  while ((got = virStreamRecv (output->console->stream, buffer, sizeof buffer)) > 0)
    if (!write_all (output->out_fd, buffer, got))
      break;
  // nobody is there to see it any more: an end like any other
  output->ok = got > 0 || check_end (output->console, got, &output->error);
  mark_done (output->console);
  return NULL;
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
  escape = memchr (buffer, ESCAPE_KEY, got);
  length = escape ? escape - buffer : got;
  for (gssize done = 0; done < length;)
    {
      int sent = virStreamSend (console->stream, buffer + done, length - done);

      if (sent < 0)
        return FALSE;
      done += sent;
    }
  return !escape;
}

static void
input_loop (Console *console, int in_fd, GCancellable *cancellable)
{
  GPollFD fds[3] = {
    { .fd = console->done_fd, .events = G_IO_IN },
    { .fd = in_fd, .events = G_IO_IN | G_IO_HUP },
  };
  gboolean watched = g_cancellable_make_pollfd (cancellable, &fds[2]);

  while (!g_cancellable_is_cancelled (cancellable))
    {
      if (g_poll (fds, watched ? 3 : 2, -1) < 0 && errno != EINTR)
        break;
      if (fds[0].revents)
        break;
      if (fds[1].revents && !pass_input (console, in_fd))
        break;
    }
  if (watched)
    g_cancellable_release_fd (cancellable);
}

gboolean
_sandbox_virt_console_attach (SandboxVirt *virt, const char *name, const char *alias, int in_fd,
                              int out_fd, GCancellable *cancellable, GError **error)
{
  g_auto (Console) console = { .virt = virt, .name = name, .alias = alias, .done_fd = -1 };
  Output output = { .console = &console, .out_fd = out_fd };
  g_autoptr (GThread) thread = NULL;
  gboolean ended;

  if (g_cancellable_set_error_if_cancelled (cancellable, error) || !console_open (&console, error))
    return FALSE;
  thread = g_thread_try_new ("sandbox-console", output_thread, &output, error);
  if (!thread)
    return FALSE;
  input_loop (&console, in_fd, cancellable);
  ended = g_poll (&(GPollFD){ .fd = console.done_fd, .events = G_IO_IN }, 1, 0) == 1;
  if (!ended)
    evict_until_done (&console);
  g_thread_join (g_steal_pointer (&thread));
  if (!ended)
    {
      // we ended it: how the reader felt about that is of no interest
      g_clear_error (&output.error);
      return !g_cancellable_set_error_if_cancelled (cancellable, error);
    }
  if (output.error)
    g_propagate_error (error, output.error);
  return output.ok;
}
