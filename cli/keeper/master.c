// SPDX-License-Identifier: LGPL-2.1-or-later
// The ssh control master: started as soon as the guest's port answers, started again when it ends.
//
// sshd tells a connection once which groups and variables its user has. So after these have changed
// the master is asked to take no more sessions (`ssh -O stop`), takes its socket away, and ends
// with its last session; a new one is started beside it.
#include "keeper.h"

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETRY_FIRST_USEC (100 * 1000)
#define RETRY_MAX_USEC   (10 * G_USEC_PER_SEC)
/* Having lived this long it had worked: the next try comes soon. */
#define WORKED_USEC (30 * G_USEC_PER_SEC)
/* Where there is no pidfd to wait for. */
#define LOOK_MSEC 500
/* Of those whose sessions go on; what one more would be stays without a successor. */
#define OLD_MAX 16

struct _KeeperMaster
{
  const SandboxSsh *ssh;
  const char *self;
  int state_fd;
  KeeperProcess process;
  gboolean listened; /* its socket was there */
  GPtrArray *old;    /* (element-type KeeperProcess) asked to stop; their sessions go on */
  gint64 next_start, retry_usec;
};

static void
process_free (gpointer data)
{
  keeper_process_clear (data);
  g_free (data);
}

KeeperMaster *
keeper_master_new (const SandboxSsh *ssh, int state_fd, const char *self)
{
  KeeperMaster *master = g_new0 (KeeperMaster, 1);

  master->ssh = ssh;
  master->self = self;
  master->state_fd = state_fd;
  master->retry_usec = RETRY_FIRST_USEC;
  keeper_process_init (&master->process);
  master->old = g_ptr_array_new_with_free_func (process_free);
  unlinkat (state_fd, SANDBOX_SSH_COMPLAINT, 0);
  return master;
}

void
keeper_master_poll (KeeperMaster *master, GArray *pollfds)
{
  keeper_poll_add (pollfds, master->process.pid_fd);
  keeper_poll_add (pollfds, master->process.stderr_fd);
  for (guint i = 0; i < master->old->len; i++)
    {
      const KeeperProcess *process = master->old->pdata[i];

      keeper_poll_add (pollfds, process->pid_fd);
      keeper_poll_add (pollfds, process->stderr_fd);
    }
}

static void
schedule (KeeperMaster *master)
{
  master->next_start = g_get_monotonic_time () + master->retry_usec;
  master->retry_usec = MIN (2 * master->retry_usec, RETRY_MAX_USEC);
}

/* Its connection is made by our own helper: that waits for the port at little cost and then hands
 * over the very connection, so that the guest's sshd starts one process and not two. */
static void
start (KeeperMaster *master)
{
  g_autofree char *proxy = keeper_proxy_command (master->ssh, master->self);
  g_autoptr (GPtrArray) argv = _sandbox_ssh_master_argv (master->ssh, proxy);

  unlinkat (master->state_fd, SANDBOX_SSH_SOCKET, 0);
  /* what the last one said is not what is the matter now */
  unlinkat (master->state_fd, SANDBOX_SSH_COMPLAINT, 0);
  if (!keeper_process_start (&master->process, argv, master->self))
    schedule (master);
}

/* What ssh said goes to a file: those who wait for it read there that waiting is of no use. */
static void
keep_complaint (KeeperMaster *master)
{
  const GString *text = master->process.said;

  if (text->len > 0)
    sandbox_file_write_at (master->state_fd, SANDBOX_SSH_COMPLAINT, text->str, text->len, 0600,
                           NULL);
}

static gboolean
is_listening (const KeeperMaster *master)
{
  struct stat info;

  return fstatat (master->state_fd, SANDBOX_SSH_SOCKET, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Our loop comes here when something in the state directory comes or goes. */
static void
see_to_stopped (KeeperMaster *master)
{
  for (guint i = master->old->len; i > 0; i--)
    if (keeper_process_ended (master->old->pdata[i - 1]))
      g_ptr_array_remove_index (master->old, i - 1);
  if (!master->process.pid)
    master->listened = FALSE;
  else if (is_listening (master))
    master->listened = TRUE;
  else if (master->listened && master->old->len < OLD_MAX)
    {
      g_ptr_array_add (master->old, g_memdup2 (&master->process, sizeof master->process));
      keeper_process_init (&master->process);
      master->listened = FALSE;
      master->next_start = 0;
    }
}

int
keeper_master_step (KeeperMaster *master)
{
  if (keeper_process_ended (&master->process))
    {
      keep_complaint (master);
      if (g_get_monotonic_time () - master->process.started > WORKED_USEC)
        master->retry_usec = RETRY_FIRST_USEC;
      schedule (master);
    }
  see_to_stopped (master);
  if (!master->process.pid && g_get_monotonic_time () >= master->next_start)
    start (master);
  if (master->process.pid)
    return master->process.pid_fd < 0 ? LOOK_MSEC : -1;
  return (int)MAX (1, (master->next_start - g_get_monotonic_time ()) / 1000 + 1);
}

void
keeper_master_free (KeeperMaster *master)
{
  keeper_process_clear (&master->process);
  g_ptr_array_unref (master->old);
  unlinkat (master->state_fd, SANDBOX_SSH_SOCKET, 0);
  g_free (master);
}
