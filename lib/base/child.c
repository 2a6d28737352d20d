// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting child processes and waiting for them, without signal handlers and without touching other
// children.
#include "base/child-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_PIDFD_POLL_USEC (20 * 1000)
#define TERM_GRACE_USEC    (2 * G_USEC_PER_SEC)

extern char **environ;

/* The descriptor the child gets as @target, moved out of the way of 0, 1 and 2 so that no dup2
 * overwrites another's source. */
static int
stdio_source (int fd)
{
  return fd >= 0 ? fcntl (fd, F_DUPFD_CLOEXEC, 3) : -1;
}

static int
add_stdio (posix_spawn_file_actions_t *actions, const int *sources)
{
  int result = 0;

  for (int target = 0; target < 3 && result == 0; target++)
    result = sources[target] >= 0
                 ? posix_spawn_file_actions_adddup2 (actions, sources[target], target)
                 : posix_spawn_file_actions_addopen (actions, target, "/dev/null",
                                                     target == 0 ? O_RDONLY : O_WRONLY, 0);
  return result;
}

/* The child begins with the signals of a fresh program, whatever the caller's threads block or
 * ignore. */
static void
set_attributes (posix_spawnattr_t *attributes, gboolean new_group)
{
  sigset_t none, all;
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;

  sigemptyset (&none);
  sigfillset (&all);
  posix_spawnattr_setsigmask (attributes, &none);
  posix_spawnattr_setsigdefault (attributes, &all);
  if (new_group)
    {
      flags |= POSIX_SPAWN_SETPGROUP;
      posix_spawnattr_setpgroup (attributes, 0);
    }
  posix_spawnattr_setflags (attributes, flags);
}

gboolean
sandbox_child_spawn (const SandboxChildOptions *options, pid_t *ret_pid, GError **error)
{
  sandbox_autofd int in = stdio_source (options->stdin_fd);
  sandbox_autofd int out = stdio_source (options->stdout_fd);
  sandbox_autofd int err = stdio_source (options->stderr_fd);
  const int sources[3] = { in, out, err };
  const char *const *env = options->env ? options->env : (const char *const *)environ;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  pid_t pid = 0;
  int result;

  posix_spawn_file_actions_init (&actions);
  posix_spawnattr_init (&attributes);
  result = add_stdio (&actions, sources);
  /* where the user happens to be may be a hostile project's: no program of ours looks there for
   * settings, or for programs */
  if (result == 0)
    result = posix_spawn_file_actions_addchdir_np (&actions, options->cwd ? options->cwd : "/");
  /* only what we mean to give away, even if the caller's other descriptors lack close-on-exec */
  if (result == 0)
    result = posix_spawn_file_actions_addclosefrom_np (&actions, 3);
  set_attributes (&attributes, options->new_group);
  if (result == 0)
    result = posix_spawnp (&pid, options->argv[0], &actions, &attributes,
                           (char *const *)options->argv, (char *const *)env);
  posix_spawn_file_actions_destroy (&actions);
  posix_spawnattr_destroy (&attributes);
  if (result != 0)
    {
      g_autofree char *shown = sandbox_escape (options->argv[0], -1, 200);

      return sandbox_fail_errno (error, result, "running %s", shown);
    }
  *ret_pid = pid;
  return TRUE;
}

/* Polls @fds; the time left until @deadline (-1: none) bounds it. */
static void
poll_until (GPollFD *fds, guint n_fds, gint64 deadline)
{
  gint64 left = deadline < 0 ? -1 : deadline - g_get_monotonic_time ();
  int timeout_msec = deadline < 0 ? -1 : (int)CLAMP ((left + 999) / 1000, 0, G_MAXINT);

  g_poll (fds, n_fds, timeout_msec);
}

static gboolean
has_ended (pid_t pid)
{
  siginfo_t info = { 0 };

  /* WNOWAIT: the process stays a zombie, so that its pid and its group cannot become somebody
   * else's */
  return waitid (P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid;
}

static gboolean
reap (pid_t pid, int *ret_status, GError **error)
{
  int status = 0;
  pid_t got;

  do
    got = waitpid (pid, &status, 0);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return sandbox_fail_errno (error, errno, "waiting for child process %d", (int)pid);
  if (ret_status)
    *ret_status = WIFSIGNALED (status) ? 128 + WTERMSIG (status) : WEXITSTATUS (status);
  return TRUE;
}

/* Waits for the grace time at most. */
static void
await_end (pid_t pid, int pid_fd)
{
  gint64 deadline = g_get_monotonic_time () + TERM_GRACE_USEC;

  while (!has_ended (pid) && g_get_monotonic_time () < deadline)
    {
      GPollFD fd = { .fd = pid_fd, .events = G_IO_IN };

      poll_until (&fd, 1, pid_fd >= 0 ? deadline : g_get_monotonic_time () + NO_PIDFD_POLL_USEC);
    }
}

/* TERM, then KILL after a while, reaped. FALSE: it is not ours to end (sudo is root's), and was
 * left to itself. */
static gboolean
end_child (pid_t pid, gboolean group, int pid_fd)
{
  pid_t target = group ? -pid : pid;

  kill (target, SIGTERM);
  await_end (pid, pid_fd);
  if ((group || !has_ended (pid)) && kill (target, SIGKILL) < 0 && errno == EPERM
      && !has_ended (pid))
    return FALSE;
  return reap (pid, NULL, NULL);
}

gboolean
_sandbox_child_wait_pumped (pid_t pid, gboolean group, gint64 timeout_usec,
                            const SandboxChildPump *pumps, guint n_pumps, GCancellable *cancellable,
                            int *ret_status, GError **error)
{
  gint64 deadline = timeout_usec > 0 ? g_get_monotonic_time () + timeout_usec : -1;
  sandbox_autofd int pid_fd = pidfd_open (pid, 0);
  GPollFD cancel = { .fd = -1 };
  gboolean pollable = cancellable && g_cancellable_make_pollfd (cancellable, &cancel);
  gboolean ended = FALSE, cancelled = FALSE, late = FALSE, killed;

  while (!ended && !cancelled && !late)
    {
      GPollFD fds[2 + SANDBOX_CHILD_PUMPS_MAX] = { { .fd = pid_fd, .events = G_IO_IN },
                                                   { .fd = cancel.fd, .events = G_IO_IN } };

      for (guint i = 0; i < n_pumps; i++)
        fds[2 + i] = (GPollFD){ .fd = *pumps[i].fd, .events = G_IO_IN };
      /* without a pidfd (an old kernel, no descriptor left) the child is asked about now and then
       */
      poll_until (fds, 2 + n_pumps,
                  pid_fd >= 0 ? deadline : g_get_monotonic_time () + NO_PIDFD_POLL_USEC);
      /* asked before the pipes are read: what an ended child wrote is in them */
      ended = has_ended (pid);
      for (guint i = 0; i < n_pumps; i++)
        if (*pumps[i].fd >= 0 && (ended || fds[2 + i].revents))
          pumps[i].func (pumps[i].fd, pumps[i].data);
      cancelled = !ended && g_cancellable_is_cancelled (cancellable);
      late = !ended && deadline >= 0 && g_get_monotonic_time () >= deadline;
    }
  if (pollable)
    g_cancellable_release_fd (cancellable);
  if (ended)
    return reap (pid, ret_status, error);
  killed = end_child (pid, group, pid_fd);
  if (cancelled)
    return !g_cancellable_set_error_if_cancelled (cancellable, error);
  return sandbox_fail (
      error, SANDBOX_ERROR_TIMED_OUT, "child process %d did not end within %.1f seconds and %s",
      (int)pid, (double)timeout_usec / G_USEC_PER_SEC,
      killed ? "was killed" : "still runs: it is another user's, who alone can end it");
}

gboolean
sandbox_child_wait (pid_t pid, gboolean group, gint64 timeout_usec, GCancellable *cancellable,
                    int *ret_status, GError **error)
{
  return _sandbox_child_wait_pumped (pid, group, timeout_usec, NULL, 0, cancellable, ret_status,
                                     error);
}
