// SPDX-License-Identifier: LGPL-2.1-or-later
// The ssh control master: started as soon as the guest's port answers, started again when it ends.
#include "keeper.h"

#include "base/error.h"
#include "base/file.h"

#include <unistd.h>

#define RETRY_FIRST_USEC (100 * 1000)
#define RETRY_MAX_USEC   (10 * G_USEC_PER_SEC)
/* Having lived this long it had worked: the next try comes soon. */
#define WORKED_USEC (30 * G_USEC_PER_SEC)
/* Where there is no pidfd to wait for. */
#define LOOK_MSEC 500

struct _KeeperMaster
{
  const SandboxSsh *ssh;
  const char *self;
  int state_fd;
  KeeperProcess process;
  gint64 next_start, retry_usec;
};

KeeperMaster *
keeper_master_new (const SandboxSsh *ssh, int state_fd, const char *self)
{
  KeeperMaster *master = g_new0 (KeeperMaster, 1);

  master->ssh = ssh;
  master->self = self;
  master->state_fd = state_fd;
  master->retry_usec = RETRY_FIRST_USEC;
  keeper_process_init (&master->process);
  unlinkat (state_fd, SANDBOX_SSH_COMPLAINT, 0);
  return master;
}

void
keeper_master_poll (KeeperMaster *master, GArray *pollfds)
{
  keeper_poll_add (pollfds, master->process.pid_fd);
  keeper_poll_add (pollfds, master->process.stderr_fd);
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
  unlinkat (master->state_fd, SANDBOX_SSH_SOCKET, 0);
  g_free (master);
}
