// SPDX-License-Identifier: LGPL-2.1-or-later
// One ssh of the keeper: tied to its life, its connection made by our own helper, what it says kept
// within bounds.
#include "keeper.h"

#include "base/child.h"
#include "base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_USEC (3 * G_USEC_PER_SEC)
/* Of what it said the end is kept. */
#define KEEP_MAX 2048
/* A guest makes ssh complain as often as it likes; who has this much to say is ended. */
#define TALK_MAX (64 * 1024)

void
keeper_poll_add (GArray *pollfds, int fd)
{
  struct pollfd pollfd = { .fd = fd, .events = POLLIN };

  if (fd >= 0)
    g_array_append_val (pollfds, pollfd);
}

int
keeper_sooner (int a_msec, int b_msec)
{
  return a_msec < 0 ? b_msec : b_msec < 0 ? a_msec : MIN (a_msec, b_msec);
}

void
keeper_process_init (KeeperProcess *process)
{
  *process = (KeeperProcess){ .pid_fd = -1, .stderr_fd = -1, .said = g_string_new (NULL) };
}

char *
keeper_proxy_command (const SandboxSsh *ssh, const char *self)
{
  g_autoptr (GString) command = g_string_new (NULL);

  _sandbox_shell_quote (command, self);
  g_string_append_printf (command, " --connect %s %u", ssh->address, ssh->port);
  g_string_replace (command, "%", "%%", 0);
  return g_string_free (g_steal_pointer (&command), FALSE);
}

/* @argv with what ties it to us in front. */
static void
tie (GPtrArray *argv, const char *self)
{
  g_ptr_array_insert (argv, 0, g_strdup (self));
  g_ptr_array_insert (argv, 1, g_strdup ("--tied"));
  g_ptr_array_insert (argv, 2, g_strdup_printf ("%d", (int)getpid ()));
  g_ptr_array_add (argv, NULL);
}

gboolean
keeper_process_start (KeeperProcess *process, GPtrArray *argv, const char *self)
{
  return keeper_process_start_piped (process, argv, self, -1, -1);
}

gboolean
keeper_process_start_piped (KeeperProcess *process, GPtrArray *argv, const char *self, int stdin_fd,
                            int stdout_fd)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  int fds[2] = { -1, -1 };
  gboolean started;

  if (pipe2 (fds, O_CLOEXEC) < 0)
    return FALSE;
  tie (argv, self);
  options.argv = (const char *const *)argv->pdata;
  options.stdin_fd = stdin_fd;
  options.stdout_fd = stdout_fd;
  options.stderr_fd = fds[1];
  started = sandbox_child_spawn (&options, &process->pid, NULL);
  close (fds[1]);
  if (!started)
    {
      process->pid = 0;
      close (fds[0]);
      return FALSE;
    }
  process->pid_fd = pidfd_open (process->pid, 0);
  process->stderr_fd = fds[0];
  fcntl (process->stderr_fd, F_SETFL, O_NONBLOCK);
  g_string_truncate (process->said, 0);
  process->total = 0;
  process->started = g_get_monotonic_time ();
  return TRUE;
}

/* Always read: an ssh whose pipe is full sleeps in its next complaint, and everybody with it. */
static void
hear (KeeperProcess *process)
{
  char block[KEEP_MAX];
  gssize n = 1;

  while (process->stderr_fd >= 0 && (n = read (process->stderr_fd, block, sizeof block)) != -1)
    {
      process->total += (gsize)n;
      g_string_append_len (process->said, block, n);
      if (process->said->len > KEEP_MAX)
        g_string_erase (process->said, 0, (gssize)(process->said->len - KEEP_MAX));
      if (process->total > TALK_MAX)
        kill (process->pid, SIGKILL);
      if (n == 0 || process->total > TALK_MAX)
        sandbox_close_fd (&process->stderr_fd);
    }
}

static void
forget (KeeperProcess *process)
{
  sandbox_close_fd (&process->pid_fd);
  sandbox_close_fd (&process->stderr_fd);
  process->pid = 0;
}

gboolean
keeper_process_ended (KeeperProcess *process)
{
  siginfo_t info = { 0 };
  /* asked first: what it said before it ended is then all there */
  gboolean ended = process->pid
                   && (waitid (P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0
                       || info.si_pid == process->pid);

  hear (process);
  if (!ended)
    return FALSE;
  process->status = 1;
  sandbox_child_wait (process->pid, FALSE, 0, NULL, &process->status, NULL);
  forget (process);
  return TRUE;
}

static void
clear_said (KeeperProcess *process)
{
  g_string_free (process->said, TRUE);
  process->said = NULL;
}

void
keeper_process_clear (KeeperProcess *process)
{
  if (process->pid)
    {
      kill (process->pid, SIGTERM);
      /* after that time KILL */
      sandbox_child_wait (process->pid, FALSE, END_USEC, NULL, NULL, NULL);
      forget (process);
    }
  clear_said (process);
}

void
keeper_process_leave (KeeperProcess *process)
{
  GPollFD fd = { .fd = process->pid_fd, .events = G_IO_IN };

  if (process->pid)
    {
      kill (process->pid, SIGTERM);
      g_poll (&fd, 1, END_USEC / 1000);
      if (!keeper_process_ended (process))
        forget (process);
    }
  clear_said (process);
}
