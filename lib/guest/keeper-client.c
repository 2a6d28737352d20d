// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting, finding and ending a machine's keeper.
#include "guest/guest-private.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/names.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define START_USEC   (10 * G_USEC_PER_SEC)
#define STOP_USEC    (10 * G_USEC_PER_SEC)
#define KILL_USEC    (2 * G_USEC_PER_SEC)
#define POLL_USEC    (10 * 1000)
#define MESSAGES_MAX 4096

pid_t
_sandbox_keeper_pid (int state_fd)
{
  pid_t pid = 0;
  g_autofree char *holder = sandbox_lock_holder (state_fd, SANDBOX_KEEPER_LOCK, &pid);

  return holder ? pid : 0;
}

char *
_sandbox_keeper_path (void)
{
  const char *directory = g_getenv ("SANDBOX_LIBEXEC_DIR");

  if (!directory || !directory[0])
    directory = SANDBOX_LIBEXECDIR;
  return g_build_filename (directory, "sandbox-keeper", NULL);
}

/* The file for the keeper's messages, emptied. */
static int
open_messages (int state_fd, GError **error)
{
  int fd = openat (state_fd, SANDBOX_KEEPER_MESSAGES,
                   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

  if (fd < 0)
    sandbox_fail_errno (error, errno, "starting the machine's keeper: opening %s",
                        SANDBOX_KEEPER_MESSAGES);
  return fd;
}

static gboolean
fail_start (int state_fd, const char *what, GError **error)
{
  g_autofree char *text = NULL;
  g_autofree char *shown = NULL;

  if (!sandbox_file_read_at (state_fd, SANDBOX_KEEPER_MESSAGES, MESSAGES_MAX, &text, NULL, NULL))
    text = g_strdup ("");
  g_strchomp (text);
  shown = sandbox_escape (text, -1, 300);
  return sandbox_fail (error, SANDBOX_ERROR_FAILED, "starting the machine's keeper: %s%s%s", what,
                       shown[0] ? ": " : "", shown);
}

/* What a later call needs that knows the state directory only (--ready, from an ssh configuration).
 */
static gboolean
write_arguments (const char *uri, const char *object, const SandboxSsh *ssh, int state_fd,
                 GError **error)
{
  g_autofree char *text =
      g_strjoin ("\n", uri, object, ssh->uuid, ssh->address, ssh->user, "", NULL);

  return sandbox_file_write_at (state_fd, SANDBOX_KEEPER_ARGUMENTS, text, strlen (text), 0600,
                                error);
}

gboolean
_sandbox_keeper_ensure_again (const char *state_path, SandboxSsh **ret_ssh,
                              GCancellable *cancellable, GError **error)
{
  sandbox_autofd int state_fd = sandbox_dir_open (state_path, FALSE, error);
  g_autofree char *text = NULL;
  g_auto (GStrv) words = NULL;
  g_autoptr (SandboxSsh) ssh = NULL;

  if (state_fd < 0)
    return FALSE;
  if (!sandbox_file_read_at (state_fd, SANDBOX_KEEPER_ARGUMENTS, MESSAGES_MAX, &text, NULL, error))
    return FALSE;
  words = g_strsplit (text, "\n", -1);
  if (g_strv_length (words) != 6)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "reading %s: it is damaged; start the machine with vms",
                         SANDBOX_KEEPER_ARGUMENTS);
  ssh = _sandbox_ssh_new (state_path, words[2], words[3], words[4]);
  if (!_sandbox_keeper_ensure (words[0], words[1], ssh, cancellable, error))
    return FALSE;
  if (ret_ssh)
    *ret_ssh = g_steal_pointer (&ssh);
  return TRUE;
}

static gboolean
spawn_keeper (const char *uri, const char *object, const SandboxSsh *ssh, int state_fd,
              GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  sandbox_autofd int messages = open_messages (state_fd, error);
  g_autofree char *path = _sandbox_keeper_path ();
  const char *const argv[] = { path,      uri,          object,    ssh->state_path,
                               ssh->uuid, ssh->address, ssh->user, NULL };

  if (messages < 0)
    return FALSE;
  if (access (path, X_OK) < 0)
    return sandbox_fail (
        error, SANDBOX_ERROR_HOST,
        "starting the machine's keeper: %s is not there (%s); install libsandbox again", path,
        g_strerror (errno));
  options.argv = argv;
  options.stderr_fd = messages;
  return sandbox_child_daemon (&options, error);
}

/* It takes the lock within milliseconds. That it ended again before is seen only in what it said:
 * it writes nothing else. */
static gboolean
wait_for_keeper (int state_fd, GCancellable *cancellable, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + START_USEC;

  while (!_sandbox_keeper_pid (state_fd))
    {
      g_autofree char *text = NULL;

      if (sandbox_file_read_at (state_fd, SANDBOX_KEEPER_MESSAGES, MESSAGES_MAX, &text, NULL, NULL)
          && text[0])
        return fail_start (state_fd, "it ended at once", error);
      if (g_get_monotonic_time () >= deadline)
        return fail_start (state_fd, "it did not take its lock within 10 seconds", error);
      if (!_sandbox_pause (POLL_USEC, cancellable, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
_sandbox_keeper_ensure (const char *uri, const char *object, const SandboxSsh *ssh,
                        GCancellable *cancellable, GError **error)
{
  sandbox_autofd int state_fd = sandbox_dir_open (ssh->state_path, FALSE, error);

  if (state_fd < 0 || !_sandbox_ssh_socket_fits (ssh, error))
    return FALSE;
  if (_sandbox_keeper_pid (state_fd))
    return TRUE;
  return write_arguments (uri, object, ssh, state_fd, error)
         && spawn_keeper (uri, object, ssh, state_fd, error)
         && wait_for_keeper (state_fd, cancellable, error);
}

/* pidfd: the number cannot become somebody else's meanwhile; that it is the keeper's is asked once
 * more after opening it. */
static gboolean
signal_keeper (int state_fd, pid_t pid, int number, gint64 wait_usec, gboolean *ret_gone)
{
  sandbox_autofd int fd = pidfd_open (pid, 0);
  GPollFD pollfd = { .fd = fd, .events = G_IO_IN };

  *ret_gone = fd < 0 && errno == ESRCH;
  if (fd < 0 || _sandbox_keeper_pid (state_fd) != pid)
    return fd >= 0 || *ret_gone;
  if (pidfd_send_signal (fd, number, NULL, 0) < 0)
    return errno == ESRCH;
  *ret_gone = g_poll (&pollfd, 1, (int)(wait_usec / 1000)) > 0;
  return TRUE;
}

gboolean
_sandbox_keeper_stop (int state_fd, GError **error)
{
  pid_t pid = _sandbox_keeper_pid (state_fd);
  gboolean gone = FALSE;

  if (!pid)
    return TRUE;
  if (!signal_keeper (state_fd, pid, SIGTERM, STOP_USEC, &gone))
    return sandbox_fail_errno (error, errno, "stopping the machine's keeper (pid %d)", (int)pid);
  if (!gone)
    signal_keeper (state_fd, pid, SIGKILL, KILL_USEC, &gone);
  if (!gone && _sandbox_keeper_pid (state_fd) == pid)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "stopping the machine's keeper: pid %d does not end", (int)pid);
  return TRUE;
}
