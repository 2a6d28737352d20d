// SPDX-License-Identifier: LGPL-2.1-or-later
// The ssh control master: started as soon as the guest's port answers, started again when it ends.
#include "keeper.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define RETRY_FIRST_USEC (100 * 1000)
#define RETRY_MAX_USEC   (10 * G_USEC_PER_SEC)
/* Having lived this long it had worked: the next try comes soon. */
#define WORKED_USEC   (30 * G_USEC_PER_SEC)
#define END_USEC      (3 * G_USEC_PER_SEC)
#define COMPLAINT_MAX 2048
/* A guest makes ssh complain as often as it likes; who has this much to say is ended. */
#define TALK_MAX (64 * 1024)
/* Where there is no pidfd to wait for. */
#define LOOK_MSEC 500

struct _KeeperMaster
{
  const SandboxSsh *ssh;
  const char *self;
  int state_fd;
  pid_t pid; /* 0: none runs */
  int pid_fd, stderr_fd;
  GString *complaint; /* the end of what it said */
  gsize said;
  gint64 started, next_start, retry_usec;
};

KeeperMaster *
keeper_master_new (const SandboxSsh *ssh, int state_fd, const char *self)
{
  KeeperMaster *master = g_new0 (KeeperMaster, 1);

  master->ssh = ssh;
  master->self = self;
  master->state_fd = state_fd;
  master->pid_fd = master->stderr_fd = -1;
  master->retry_usec = RETRY_FIRST_USEC;
  master->complaint = g_string_new (NULL);
  unlinkat (state_fd, SANDBOX_SSH_COMPLAINT, 0);
  return master;
}

void
keeper_master_fds (KeeperMaster *master, int ret_fds[2])
{
  ret_fds[0] = master->pid_fd;
  ret_fds[1] = master->stderr_fd;
}

/* ssh [with its options], tied to our life, its connection made by our own helper: that waits for
 * the port at little cost and then hands over the very connection, so that the guest's sshd starts
 * one process and not two. */
static GPtrArray *
master_argv (KeeperMaster *master)
{
  g_autoptr (GString) command = g_string_new (NULL);
  g_autoptr (GString) escaped = g_string_new (NULL);
  GPtrArray *argv;

  _sandbox_shell_quote (command, master->self);
  g_string_append_printf (command, " --connect %s %u", master->ssh->address, master->ssh->port);
  g_string_append (escaped, command->str);
  g_string_replace (escaped, "%", "%%", 0);
  argv = _sandbox_ssh_master_argv (master->ssh, escaped->str);
  g_ptr_array_insert (argv, 0, g_strdup (master->self));
  g_ptr_array_insert (argv, 1, g_strdup ("--tied"));
  g_ptr_array_insert (argv, 2, g_strdup_printf ("%d", (int)getpid ()));
  g_ptr_array_add (argv, NULL);
  return argv;
}

static void
schedule (KeeperMaster *master)
{
  master->next_start = g_get_monotonic_time () + master->retry_usec;
  master->retry_usec = MIN (2 * master->retry_usec, RETRY_MAX_USEC);
}

static void
start (KeeperMaster *master)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) argv = master_argv (master);
  int fds[2] = { -1, -1 };

  unlinkat (master->state_fd, "ssh.sock", 0);
  /* what the last one said is not what is the matter now */
  unlinkat (master->state_fd, SANDBOX_SSH_COMPLAINT, 0);
  if (pipe2 (fds, O_CLOEXEC) < 0)
    {
      schedule (master);
      return;
    }
  options.argv = (const char *const *)argv->pdata;
  options.stderr_fd = fds[1];
  if (sandbox_child_spawn (&options, &master->pid, NULL))
    {
      master->pid_fd = pidfd_open (master->pid, 0);
      master->stderr_fd = fds[0];
      fcntl (master->stderr_fd, F_SETFL, O_NONBLOCK);
      g_string_truncate (master->complaint, 0);
      master->said = 0;
      master->started = g_get_monotonic_time ();
    }
  else
    {
      master->pid = 0;
      close (fds[0]);
      schedule (master);
    }
  close (fds[1]);
}

/* Always read: an ssh whose pipe is full sleeps in its next complaint, and everybody with it. */
static void
hear_complaints (KeeperMaster *master)
{
  char block[COMPLAINT_MAX];
  gssize n = 1;

  while (master->stderr_fd >= 0 && (n = read (master->stderr_fd, block, sizeof block)) != -1)
    {
      master->said += (gsize)n;
      g_string_append_len (master->complaint, block, n);
      if (master->complaint->len > COMPLAINT_MAX)
        g_string_erase (master->complaint, 0, (gssize)(master->complaint->len - COMPLAINT_MAX));
      if (master->said > TALK_MAX)
        kill (master->pid, SIGKILL);
      if (n == 0 || master->said > TALK_MAX)
        sandbox_close_fd (&master->stderr_fd);
    }
}

/* What ssh said goes to a file: those who wait for it read there that waiting is of no use. */
static void
keep_complaint (KeeperMaster *master)
{
  const GString *text = master->complaint;

  if (text->len > 0)
    sandbox_file_write_at (master->state_fd, SANDBOX_SSH_COMPLAINT, text->str, text->len, 0600,
                           NULL);
}

static void
forget (KeeperMaster *master)
{
  sandbox_close_fd (&master->pid_fd);
  sandbox_close_fd (&master->stderr_fd);
  master->pid = 0;
}

static gboolean
has_ended (KeeperMaster *master)
{
  siginfo_t info = { 0 };

  return waitid (P_PID, (id_t)master->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0
         || info.si_pid == master->pid;
}

int
keeper_master_step (KeeperMaster *master)
{
  gboolean ended = master->pid && has_ended (master);

  hear_complaints (master);
  if (ended)
    {
      gint64 lived_usec = g_get_monotonic_time () - master->started;

      sandbox_child_wait (master->pid, FALSE, 0, NULL, NULL, NULL);
      keep_complaint (master);
      forget (master);
      if (lived_usec > WORKED_USEC)
        master->retry_usec = RETRY_FIRST_USEC;
      schedule (master);
    }
  if (!master->pid && g_get_monotonic_time () >= master->next_start)
    start (master);
  if (master->pid)
    return master->pid_fd < 0 ? LOOK_MSEC : -1;
  return (int)MAX (1, (master->next_start - g_get_monotonic_time ()) / 1000 + 1);
}

void
keeper_master_free (KeeperMaster *master)
{
  if (master->pid)
    {
      kill (master->pid, SIGTERM);
      /* after that time KILL */
      sandbox_child_wait (master->pid, FALSE, END_USEC, NULL, NULL, NULL);
      forget (master);
    }
  unlinkat (master->state_fd, "ssh.sock", 0);
  g_string_free (master->complaint, TRUE);
  g_free (master);
}
