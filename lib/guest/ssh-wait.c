// SPDX-License-Identifier: LGPL-2.1-or-later
// Waiting until a command works over ssh, at the least cost to a guest that is still booting.
//
// Where a keeper runs, it is the one that connects (each connection costs the guest a process,
// which is dear where the processor is emulated): then only its socket, and the file in which it
// leaves ssh's complaints, are looked at.
#include "guest/guest-private.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/names.h"

#include <string.h>
#include <unistd.h>

#define POLL_USEC        (50 * 1000)
#define CONNECT_USEC     (250 * 1000)
#define RETRY_USEC       (100 * 1000)
#define ASK_RUNNING_USEC G_USEC_PER_SEC
#define NOTE_USEC        (2 * G_USEC_PER_SEC)
/* How long one try may take once the port is open. */
#define TRY_USEC       (60 * G_USEC_PER_SEC)
#define COMPLAINT_MAX  4096
#define SEEN_NOTHING   "nothing was seen of it yet"
#define SEEN_NO_ANSWER "its ssh port does not answer yet"
/* Without the keeper's connection for this long: tries of our own, this often. */
#define KEEPER_USEC (60 * G_USEC_PER_SEC)
#define DIRECT_USEC (15 * G_USEC_PER_SEC)
/* To ask our own master; and until the next one is there. */
#define ASK_MASTER_USEC (5 * G_USEC_PER_SEC)
#define RENEW_USEC      (60 * G_USEC_PER_SEC)

typedef struct
{
  const SandboxSsh *ssh;
  int state_fd;
  gint64 deadline, next_note, next_ask, next_direct;
  gboolean (*still_running) (gpointer);
  SandboxSshWaitFunc on_wait;
  gpointer user_data;
  GCancellable *cancellable;
  char *seen; /* what was last seen of the guest */
} Wait;

static void
set_seen (Wait *wait, const char *seen)
{
  if (g_strcmp0 (wait->seen, seen) == 0)
    return;
  g_free (wait->seen);
  wait->seen = g_strdup (seen);
}

static gboolean
look_at_port (Wait *wait, gboolean *ret_open)
{
  int saved_errno = 0;
  sandbox_autofd int fd =
      _sandbox_tcp_connect (wait->ssh->address, wait->ssh->port, CONNECT_USEC, &saved_errno);

  *ret_open = fd >= 0;
  if (fd < 0)
    {
      g_autofree char *seen =
          g_strdup_printf ("nothing answers at its ssh port (%s)", g_strerror (saved_errno));

      set_seen (wait, seen);
    }
  return TRUE;
}

/* A guest that takes the keeper's connection and then says nothing looks, up to here, like one
 * whose port is closed. */
static gboolean
fail_timed_out (Wait *wait, GError **error)
{
  gboolean open = FALSE;

  if (g_str_equal (wait->seen, SEEN_NO_ANSWER))
    look_at_port (wait, &open);
  if (open)
    set_seen (wait, "its ssh port is open, but no session came about");
  return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                       "waiting for ssh to the machine at %s: %s; the machine is still there",
                       wait->ssh->address, wait->seen);
}

/* FALSE when there is no more reason to wait. */
static gboolean
go_on (Wait *wait, gint64 pause_usec, GError **error)
{
  gint64 now = g_get_monotonic_time ();

  if (now >= wait->deadline)
    return fail_timed_out (wait, error);
  if (wait->still_running && now >= wait->next_ask)
    {
      wait->next_ask = now + ASK_RUNNING_USEC;
      if (!wait->still_running (wait->user_data))
        return sandbox_fail (
            error, SANDBOX_ERROR_GUEST,
            "waiting for ssh to the machine at %s: the machine stopped (before that: %s)",
            wait->ssh->address, wait->seen);
    }
  if (wait->on_wait && now >= wait->next_note)
    {
      wait->next_note = now + NOTE_USEC;
      wait->on_wait (wait->seen, wait->user_data);
    }
  return _sandbox_pause (MIN (pause_usec, wait->deadline - now), wait->cancellable, error);
}

/* One command. *@ret_works; FALSE only when waiting is of no use. */
static gboolean
try_command (Wait *wait, gboolean master, gboolean *ret_works, GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) argv = _sandbox_ssh_argv (wait->ssh, FALSE, master);
  gint64 left = wait->deadline - g_get_monotonic_time ();
  g_autofree char *complaint = NULL;
  g_autofree char *reason = NULL;
  g_autoptr (GError) local = NULL;
  int status = 255;

  /* nothing but the shell's own: no further process in the guest */
  g_ptr_array_add (argv, g_strdup (":"));
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  *ret_works = FALSE;
  if (!sandbox_child_run (&options, CLAMP (left, 1, TRY_USEC), COMPLAINT_MAX, wait->cancellable,
                          NULL, &complaint, &status, &local))
    {
      if (!g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      set_seen (wait, "its ssh port is open, but no session came about");
      return TRUE;
    }
  *ret_works = status == 0;
  if (status == 0)
    return TRUE;
  if (status == 255 && _sandbox_ssh_is_host_key_error (complaint))
    return _sandbox_ssh_fail (error, wait->ssh, "waiting for ssh", complaint);
  reason = _sandbox_ssh_reason (complaint);
  set_seen (wait, reason);
  return TRUE;
}

/* The keeper connects: TRUE with *@ret_master when its master is there, or with neither when it is
 * to be asked again. */
static gboolean
look_at_keeper (Wait *wait, gboolean *ret_master, GError **error)
{
  g_autofree char *complaint = NULL;

  *ret_master = _sandbox_ssh_master_alive (wait->ssh);
  if (*ret_master)
    return TRUE;
  /* what its last try was refused with is more than that the next one is under way */
  if (g_str_equal (wait->seen, SEEN_NOTHING))
    set_seen (wait, SEEN_NO_ANSWER);
  if (!sandbox_file_read_at (wait->state_fd, SANDBOX_SSH_COMPLAINT, COMPLAINT_MAX, &complaint, NULL,
                             NULL))
    return TRUE;
  if (_sandbox_ssh_is_host_key_error (complaint))
    return _sandbox_ssh_fail (error, wait->ssh, "waiting for ssh", complaint);
  {
    g_autofree char *reason = _sandbox_ssh_reason (complaint);

    set_seen (wait, reason);
  }
  return TRUE;
}

static gboolean
wait_loop (Wait *wait, GError **error)
{
  for (;;)
    {
      gboolean keeper = _sandbox_keeper_pid (wait->state_fd) != 0;
      gboolean ready = FALSE, works = FALSE;

      if (keeper && g_get_monotonic_time () >= wait->next_direct)
        {
          /* the keeper's way does not work, whatever the reason: is the machine there? */
          wait->next_direct = g_get_monotonic_time () + DIRECT_USEC;
          keeper = FALSE;
        }
      if (!(keeper ? look_at_keeper (wait, &ready, error) : look_at_port (wait, &ready)))
        return FALSE;
      if (ready && !try_command (wait, keeper, &works, error))
        return FALSE;
      if (works)
        return TRUE;
      if (!go_on (wait, keeper && !ready ? POLL_USEC : RETRY_USEC, error))
        return FALSE;
    }
}

gboolean
_sandbox_ssh_wait (const SandboxSsh *ssh, gint64 timeout_usec, gboolean (*still_running) (gpointer),
                   SandboxSshWaitFunc on_wait, gpointer user_data, GCancellable *cancellable,
                   GError **error)
{
  gint64 now = g_get_monotonic_time ();
  Wait wait = {
    .ssh = ssh,
    .state_fd = sandbox_dir_open (ssh->state_path, FALSE, error),
    .deadline = now + timeout_usec,
    .next_note = now + NOTE_USEC,
    .next_ask = now + ASK_RUNNING_USEC,
    .next_direct = now + KEEPER_USEC,
    .still_running = still_running,
    .on_wait = on_wait,
    .user_data = user_data,
    .cancellable = cancellable,
  };
  gboolean ok;

  if (wait.state_fd < 0)
    return FALSE;
  set_seen (&wait, SEEN_NOTHING);
  ok = wait_loop (&wait, error);
  g_free (wait.seen);
  close (wait.state_fd);
  return ok;
}

void
_sandbox_ssh_renew_master (const SandboxSsh *ssh, GCancellable *cancellable)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) argv = NULL;
  int status = 0;

  if (!_sandbox_ssh_master_alive (ssh))
    return;
  argv = _sandbox_ssh_argv (ssh, FALSE, TRUE);
  g_ptr_array_insert (argv, 1, g_strdup ("-O"));
  g_ptr_array_insert (argv, 2, g_strdup ("stop"));
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  if (sandbox_child_run (&options, ASK_MASTER_USEC, COMPLAINT_MAX, cancellable, NULL, NULL, &status,
                         NULL))
    _sandbox_ssh_wait (ssh, RENEW_USEC, NULL, NULL, NULL, cancellable, NULL);
}
