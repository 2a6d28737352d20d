// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting a process that outlives its starter.
#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Everything the new process needs, made before fork: between fork and exec only async-signal-safe
 * calls are allowed, as other threads may hold any lock. */
typedef struct
{
  const char *path;
  char *const *argv;
  char *const *env;
  const char *cwd;
  int sources[3];
  int report_fd; /* close-on-exec: gets errno when something fails */
} Daemon;

static G_NORETURN void
report_and_exit (const Daemon *daemon)
{
  int saved_errno = errno;

  if (write (daemon->report_fd, &saved_errno, sizeof saved_errno) < 0)
    _exit (126);
  _exit (127);
}

static void
reset_signals (void)
{
  sigset_t none;

  for (int number = 1; number < NSIG; number++)
    signal (number, SIG_DFL);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
}

static G_NORETURN void
become_daemon (const Daemon *daemon)
{
  pid_t pid;

  if (setsid () < 0)
    report_and_exit (daemon);
  pid = fork ();
  if (pid < 0)
    report_and_exit (daemon);
  if (pid > 0)
    _exit (0);
  reset_signals ();
  for (int target = 0; target < 3; target++)
    if (dup2 (daemon->sources[target], target) < 0)
      report_and_exit (daemon);
  if (chdir (daemon->cwd) < 0)
    report_and_exit (daemon);
  /* all but the report, which exec closes */
  if (dup3 (daemon->report_fd, 3, O_CLOEXEC) < 0 && errno != EINVAL)
    report_and_exit (daemon);
  if (close_range (4, ~0U, 0) < 0)
    {
      /* the descriptor at 3 is the only one left that is known to be right */
      int saved_errno = errno;

      if (write (3, &saved_errno, sizeof saved_errno) < 0)
        _exit (126);
      _exit (127);
    }
  execve (daemon->path, daemon->argv, daemon->env);
  {
    Daemon moved = *daemon;

    moved.report_fd = 3;
    report_and_exit (&moved);
  }
}

/* Reads what the new process could not do; the end of the pipe without a word means that it runs.
 */
static gboolean
read_report (int fd, const char *program, GError **error)
{
  int child_errno = 0;
  gssize n;

  do
    n = read (fd, &child_errno, sizeof child_errno);
  while (n < 0 && errno == EINTR);
  if (n == 0)
    return TRUE;
  return sandbox_fail_errno (error, n == sizeof child_errno ? child_errno : EIO,
                             "starting %s in the background", program);
}

static gboolean
start_daemon (Daemon *daemon, int report[2], const char *program, GError **error)
{
  pid_t pid = fork ();
  int saved_errno = errno;
  pid_t got;

  if (pid == 0)
    become_daemon (daemon);
  sandbox_close_fd (&report[1]);
  if (pid < 0)
    return sandbox_fail_errno (error, saved_errno, "starting %s in the background", program);
  do
    got = waitpid (pid, NULL, 0);
  while (got < 0 && errno == EINTR);
  return read_report (report[0], program, error);
}

gboolean
sandbox_child_daemon (const SandboxChildOptions *options, GError **error)
{
  g_autofree char *program = sandbox_escape (options->argv[0], -1, 200);
  g_autofree char *path = g_find_program_in_path (options->argv[0]);
  sandbox_autofd int null_fd = -1;
  sandbox_autofd int err_fd = -1;
  int report[2] = { -1, -1 };
  gboolean ok;
  Daemon daemon = {
    .path = path,
    .argv = (char *const *)options->argv,
    .env = options->env ? (char *const *)options->env : environ,
    .cwd = options->cwd ? options->cwd : "/",
  };

  if (!path)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND, "starting %s: there is no such program",
                         program);
  /* all at 10 and above: clear of 0 to 3, which the new process fills */
  null_fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_fd < 0 || pipe2 (report, O_CLOEXEC) < 0)
    return sandbox_fail_errno (error, errno, "starting %s in the background", program);
  daemon.sources[0] = daemon.sources[1] = fcntl (null_fd, F_DUPFD_CLOEXEC, 10);
  err_fd = fcntl (options->stderr_fd >= 0 ? options->stderr_fd : null_fd, F_DUPFD_CLOEXEC, 10);
  daemon.sources[2] = err_fd;
  daemon.report_fd = fcntl (report[1], F_DUPFD_CLOEXEC, 10);
  sandbox_close_fd (&report[1]);
  report[1] = daemon.report_fd;
  ok = start_daemon (&daemon, report, program, error);
  sandbox_close_fd (&report[0]);
  sandbox_close_fd (&report[1]);
  sandbox_close_fd (&daemon.sources[0]);
  return ok;
}
