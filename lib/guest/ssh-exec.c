// SPDX-License-Identifier: LGPL-2.1-or-later
// Running commands in the guest with the caller's descriptors.
//
// ssh ends with 255 both for a command that did so and for its own failures. What it writes to a
// log of its own (-E), apart from the command's stderr, tells them apart: it notes the exit status
// that it got from the other side. (A guest that forges such a line has only forged its own exit
// status.)
#include "guest/guest-private.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LOG_MAX    4096
#define REASON_MAX 300
/* Where ssh tells the status that it got, and why a connection ended. What is asked for in this way
 * begins with its place: "mux.c:function():123 (pid=45): ". */
#define LOG_PLACES "clientloop.c:client_loop():*,mux.c:*,packet.c:sshpkt_vfatal():*"
#define PLACE_END  "): "

/* The end of ssh's log: a hostile guest can make it as long as it likes. */
typedef struct
{
  int read_fd, write_fd, stop_fd[2];
  char tail[2 * LOG_MAX + 1];
  gsize length;
  GThread *thread;
} Log;

static void
log_append (Log *log, const char *data, gsize length)
{
  if (log->length + length > 2 * LOG_MAX)
    {
      gsize keep = MIN (log->length, LOG_MAX);

      memmove (log->tail, log->tail + log->length - keep, keep);
      log->length = keep;
    }
  memcpy (log->tail + log->length, data, length);
  log->length += length;
}

/* Until the other end of @stop_fd is closed and nothing more is there. */
static gpointer
log_thread (gpointer data)
{
  Log *log = data;
  GPollFD fds[2] = { { .fd = log->read_fd, .events = G_IO_IN },
                     { .fd = log->stop_fd[0], .events = G_IO_IN } };
  char block[LOG_MAX];

  for (;;)
    {
      gssize n = read (log->read_fd, block, sizeof block);

      if (n > 0)
        log_append (log, block, (gsize)n);
      else if (n == 0 || (errno != EAGAIN && errno != EINTR) || fds[1].revents)
        break;
      else
        g_poll (fds, 2, -1);
    }
  return NULL;
}

static gboolean
log_start (Log *log, GError **error)
{
  int fds[2];

  if (pipe2 (fds, O_CLOEXEC) < 0)
    return sandbox_fail_errno (error, errno, "making a pipe");
  log->read_fd = fds[0];
  log->write_fd = fds[1];
  if (pipe2 (log->stop_fd, O_CLOEXEC) < 0 || fcntl (log->read_fd, F_SETFL, O_NONBLOCK) < 0)
    return sandbox_fail_errno (error, errno, "making a pipe");
  log->thread = g_thread_new ("ssh-log", log_thread, log);
  return TRUE;
}

static void
log_finish (Log *log)
{
  sandbox_close_fd (&log->stop_fd[1]);
  if (log->thread)
    g_thread_join (g_steal_pointer (&log->thread));
  sandbox_close_fd (&log->stop_fd[0]);
  sandbox_close_fd (&log->read_fd);
  sandbox_close_fd (&log->write_fd);
  log->tail[log->length] = '\0';
}

static const char *
without_place (const char *line)
{
  const char *pid = strstr (line, "():") ? strstr (line, " (pid=") : NULL;
  const char *end = pid ? strstr (pid, PLACE_END) : NULL;

  return end ? end + strlen (PLACE_END) : line;
}

/* ssh's last word that is no debug message, fit for a message of ours. */
char *
_sandbox_ssh_reason (const char *text)
{
  g_auto (GStrv) lines = g_strsplit_set (text, "\r\n", -1);
  const char *found = NULL;

  for (guint i = 0; lines[i]; i++)
    if (lines[i][0] && lines[i][0] != '@' && !g_str_has_prefix (lines[i], "debug")
        && !g_str_has_prefix (lines[i], "Transferred: ")
        && !g_str_has_prefix (lines[i], "Bytes per second: "))
      found = lines[i];
  return sandbox_escape (found ? without_place (found) : "the connection ended", -1, REASON_MAX);
}

gboolean
_sandbox_ssh_is_host_key_error (const char *text)
{
  return strstr (text, "Host key verification failed")
         || strstr (text, "HOST IDENTIFICATION HAS CHANGED")
         || strstr (text, "no matching host key type found");
}

gboolean
_sandbox_ssh_fail (GError **error, const SandboxSsh *ssh, const char *doing, const char *text)
{
  g_autofree char *reason = _sandbox_ssh_reason (text);

  if (_sandbox_ssh_is_host_key_error (text))
    return sandbox_fail (
        error, SANDBOX_ERROR_GUEST,
        "%s: the machine at %s shows another host key than the one that was made for it. "
        "Either its key was replaced from within, or another machine answers; nothing was sent "
        "to it. Recreate the machine if you did not do this yourself",
        doing, ssh->address);
  return sandbox_fail (error, SANDBOX_ERROR_GUEST, "%s: ssh to %s failed: %s", doing, ssh->address,
                       reason);
}

static gboolean
has_guest_status (const char *text)
{
  return strstr (text, "): Exit status 255\r") || strstr (text, "): Exit status 255\n")
         || strstr (text, "): Received exit status from master 255");
}

static GPtrArray *
exec_argv (const SandboxSsh *ssh, const char *remote_command, gboolean with_env, gboolean pty,
           int log_fd)
{
  gboolean master = _sandbox_ssh_master_alive (ssh);
  GPtrArray *argv = _sandbox_ssh_argv (ssh, pty, master);

  /* A pipe of ours under the name that a child of ours can open: nothing to be left behind on disk.
   * The line that counts is asked for by its place: a lower level of all would have ssh show its
   * user the banner of the guest's sshd. */
  g_ptr_array_insert (argv, 1, g_strdup_printf ("-E/proc/%d/fd/%d", (int)getpid (), log_fd));
  g_ptr_array_insert (argv, 2, g_strdup ("-oLogVerbose=" LOG_PLACES));
  if (with_env)
    g_ptr_array_insert (argv, 3, g_strdup ("-oSendEnv=" SANDBOX_SSH_ENV));
  g_ptr_array_add (argv, g_strdup (remote_command));
  g_ptr_array_add (argv, NULL);
  return argv;
}

/* Ours, and in it what is passed on: only this user can read a process's environment. */
static char **
exec_env (const char *const *env)
{
  g_autofree char *text = _sandbox_ssh_env (env);

  return g_environ_setenv (g_get_environ (), SANDBOX_SSH_ENV, strchr (text, '=') + 1, TRUE);
}

static gboolean
wait_command (pid_t pid, gint64 timeout_usec, GCancellable *cancellable, int *ret_status,
              GError **error)
{
  g_autoptr (GError) local = NULL;

  if (sandbox_child_wait (pid, FALSE, timeout_usec, cancellable, ret_status, &local))
    return TRUE;
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT))
    return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                         "running a command in the machine: it did not end within %.1f seconds; it "
                         "may still run there",
                         (double)timeout_usec / G_USEC_PER_SEC);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
_sandbox_ssh_exec (const SandboxSsh *ssh, const char *remote_command, const char *const *env,
                   gboolean pty, int stdin_fd, int stdout_fd, int stderr_fd, gint64 timeout_usec,
                   GCancellable *cancellable, int *ret_status, GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  Log log = { .read_fd = -1, .write_fd = -1, .stop_fd = { -1, -1 } };
  g_autoptr (GPtrArray) argv = NULL;
  g_auto (GStrv) environment = env ? exec_env (env) : NULL;
  pid_t pid = 0;
  int status = 0;
  gboolean ok = log_start (&log, error);

  if (ok)
    {
      argv = exec_argv (ssh, remote_command, env != NULL, pty, log.write_fd);
      options.argv = (const char *const *)argv->pdata;
      options.env = (const char *const *)environment;
      options.stdin_fd = stdin_fd;
      options.stdout_fd = stdout_fd;
      /* The guest's terminal carries the command's stderr too: what is left for ssh's own is its
       * chatter ("Shared connection to ... closed."), which nobody asked for. */
      options.stderr_fd = pty ? log.write_fd : stderr_fd;
      ok = !g_cancellable_set_error_if_cancelled (cancellable, error)
           && sandbox_child_spawn (&options, &pid, error)
           && wait_command (pid, timeout_usec, cancellable, &status, error);
    }
  log_finish (&log);
  if (!ok)
    return FALSE;
  if (status == 255 && !has_guest_status (log.tail))
    return _sandbox_ssh_fail (error, ssh, "running a command in the machine", log.tail);
  if (ret_status)
    *ret_status = status;
  return TRUE;
}

char *
_sandbox_ssh_capture (const SandboxSsh *ssh, const char *remote_command, int stdin_fd, gsize max,
                      gint64 timeout_usec, GCancellable *cancellable, GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) argv = _sandbox_ssh_argv (ssh, FALSE, _sandbox_ssh_master_alive (ssh));
  g_autofree char *out = NULL;
  g_autofree char *err = NULL;
  int status = 0;

  g_ptr_array_add (argv, g_strdup (remote_command));
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  options.stdin_fd = stdin_fd;
  /* the same limit holds for what ssh has to say, which has to fit */
  if (!sandbox_child_run (&options, timeout_usec, MAX (max, LOG_MAX), cancellable, &out, &err,
                          &status, error))
    return NULL;
  if (status == 0)
    return g_steal_pointer (&out);
  if (status == 255)
    _sandbox_ssh_fail (error, ssh, "asking the machine", err);
  else
    {
      g_autofree char *reason = _sandbox_ssh_reason (err);

      sandbox_fail (error, SANDBOX_ERROR_GUEST,
                    "asking the machine: its command failed with status %d: %s", status, reason);
    }
  return NULL;
}
