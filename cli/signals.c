// SPDX-License-Identifier: LGPL-2.1-or-later
// Signals: the first asks for a clean undo, the second does not wait for it.
#include "context.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* timeout(1) sends its signal to the command and to its group: that is one request. */
#define SAME_REQUEST_USEC (500 * 1000)

static int signal_pipe[2] = { -1, -1 };
static int caught;
static int terminal_fd = -1;
static struct termios terminal_saved;

static void
on_signal (int number)
{
  int saved_errno = errno;
  guchar byte = (guchar)number;
  ssize_t written = write (signal_pipe[1], &byte, 1);

  (void)written; /* a full pipe: enough signals are waiting already */
  errno = saved_errno;
}

/* Handled, so that writing to a closed pipe is an error, and so that children get the default back
 * (an ignored signal stays ignored). */
static void
on_pipe (int number)
{
}

static gpointer
signal_thread (gpointer data)
{
  GCancellable *cancellable = data;
  gint64 first_usec = 0;
  guchar number;

  for (;;)
    {
      ssize_t got = read (signal_pipe[0], &number, 1);

      if (got < 0 && errno == EINTR)
        continue;
      if (got != 1)
        return NULL;
      if (g_atomic_int_compare_and_exchange (&caught, 0, number))
        {
          first_usec = g_get_monotonic_time ();
          g_cancellable_cancel (cancellable);
          continue;
        }
      if (g_get_monotonic_time () - first_usec < SAME_REQUEST_USEC)
        continue;
      if (terminal_fd >= 0)
        tcsetattr (terminal_fd, TCSANOW, &terminal_saved);
      fputs (
          "\nvms: ended without cleaning up; the next start or destroy of the machine does that\n",
          stderr);
      _exit (128 + number);
    }
}

void
vms_signals_init (GCancellable *cancellable)
{
  static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
  struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
  struct sigaction pipe_action = { .sa_handler = on_pipe, .sa_flags = SA_RESTART };

  if (!g_unix_open_pipe (signal_pipe, FD_CLOEXEC, NULL))
    return;
  g_unix_set_fd_nonblocking (signal_pipe[1], TRUE, NULL);
  sigaction (SIGPIPE, &pipe_action, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      struct sigaction old;
      /* nohup and background jobs of a shell ignore some on purpose */
      if (sigaction (numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction (numbers[i], &action, NULL);
    }
  g_thread_unref (g_thread_new ("signals", signal_thread, g_object_ref (cancellable)));
}

int
vms_signals_caught (void)
{
  return g_atomic_int_get (&caught);
}

void
vms_signals_set_terminal (int fd, const struct termios *saved)
{
  if (saved != NULL)
    terminal_saved = *saved;
  terminal_fd = saved != NULL ? fd : -1;
}
