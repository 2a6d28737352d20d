// SPDX-License-Identifier: LGPL-2.1-or-later
// The keeper: the one process that stays with a running machine, holds what needs a living process,
// and ends with it.
//
//     sandbox-keeper URI OBJECT STATE-DIRECTORY UUID ADDRESS USER
//
// Started by the library in the background, never by hand. The machine does not need it to run.
// SIGTERM ends it.
#include "keeper.h"

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCH_RETRY_USEC (2 * G_USEC_PER_SEC)

typedef struct
{
  const char *uri, *object;
  char *self;
  SandboxSsh *ssh;
  int state_fd, signal_fd, stopped_fd;
  SandboxVirt *virt;
  GCancellable *cancellable;
} Keeper;

static gboolean
is_running (Keeper *keeper, gboolean *ret_running, GError **error)
{
  SandboxVirtState state = SANDBOX_VIRT_STOPPED;
  gboolean exists = FALSE;

  if (!_sandbox_virt_domain_state (keeper->virt, keeper->object, &exists, &state, error))
    return FALSE;
  *ret_running = exists
                 && (state == SANDBOX_VIRT_RUNNING || state == SANDBOX_VIRT_PAUSED
                     || state == SANDBOX_VIRT_STOPPING);
  return TRUE;
}

/* A libvirtd that restarts is no reason to end: the machine goes on without it. */
static gpointer
watch_thread (gpointer data)
{
  Keeper *keeper = data;

  while (!g_cancellable_is_cancelled (keeper->cancellable))
    {
      if (_sandbox_virt_domain_wait_stopped (keeper->virt, keeper->object, -1, keeper->cancellable,
                                             NULL))
        {
          eventfd_write (keeper->stopped_fd, 1);
          break;
        }
      _sandbox_pause (WATCH_RETRY_USEC, keeper->cancellable, NULL);
    }
  return NULL;
}

/* Until the machine stops or a signal comes; TRUE in the first case. */
static gboolean
serve (Keeper *keeper)
{
  KeeperMaster *master = keeper_master_new (keeper->ssh, keeper->state_fd, keeper->self);
  KeeperForwards *forwards = keeper_forwards_new (keeper->ssh, keeper->state_fd, keeper->self);
  KeeperWatch *watch =
      keeper_watch_new (keeper->ssh, keeper->state_fd, keeper->self, keeper->virt, keeper->object);
  KeeperLive *live = keeper_live_new (keeper->ssh, keeper->state_fd, keeper->self, keeper->virt,
                                      keeper->uri, keeper->object);
  KeeperShadows *shadows =
      keeper_shadows_new (keeper->ssh, keeper->self, keeper->virt, keeper->object);
  KeeperTidy *tidy = keeper_tidy_new (keeper->ssh, keeper->state_fd, keeper->self, keeper->virt,
                                      keeper->uri, keeper->object);
  gboolean stopped = FALSE, signalled = FALSE;

  while (!stopped && !signalled)
    {
      g_autoptr (GArray) fds = g_array_new (FALSE, FALSE, sizeof (struct pollfd));
      int timeout_msec = keeper_master_step (master);
      gboolean changed = FALSE;

      timeout_msec = keeper_sooner (timeout_msec, keeper_live_step (live, &changed));
      if (changed)
        {
          keeper_watch_free (watch);
          watch = keeper_watch_new (keeper->ssh, keeper->state_fd, keeper->self, keeper->virt,
                                    keeper->object);
          keeper_shadows_free (shadows);
          shadows = keeper_shadows_new (keeper->ssh, keeper->self, keeper->virt, keeper->object);
        }
      timeout_msec = keeper_sooner (timeout_msec, keeper_forwards_step (forwards));
      timeout_msec = keeper_sooner (timeout_msec, keeper_watch_step (watch));
      timeout_msec = keeper_sooner (timeout_msec, keeper_shadows_step (shadows));
      timeout_msec = keeper_sooner (timeout_msec, keeper_tidy_step (tidy));
      keeper_poll_add (fds, keeper->signal_fd);
      keeper_poll_add (fds, keeper->stopped_fd);
      keeper_master_poll (master, fds);
      keeper_forwards_poll (forwards, fds);
      keeper_watch_poll (watch, fds);
      keeper_live_poll (live, fds);
      keeper_shadows_poll (shadows, fds);
      keeper_tidy_poll (tidy, fds);
      poll ((struct pollfd *)(gpointer)fds->data, fds->len, timeout_msec);
      signalled = g_array_index (fds, struct pollfd, 0).revents != 0;
      stopped = g_array_index (fds, struct pollfd, 1).revents != 0;
    }
  keeper_tidy_free (tidy);
  keeper_shadows_free (shadows);
  keeper_live_free (live);
  keeper_watch_free (watch);
  keeper_forwards_free (forwards);
  keeper_master_free (master);
  return !signalled;
}

/* One life of the machine. TRUE when it ended by itself. */
static gboolean
keep (Keeper *keeper)
{
  KeeperConsole *console;
  GThread *watch;
  gboolean stopped;
  eventfd_t count;

  keeper->cancellable = g_cancellable_new ();
  console =
      keeper_console_start (keeper->virt, keeper->object, keeper->state_fd, keeper->cancellable);
  watch = g_thread_new ("watch", watch_thread, keeper);
  stopped = serve (keeper);
  g_cancellable_cancel (keeper->cancellable);
  g_thread_join (watch);
  keeper_console_end (console);
  eventfd_read (keeper->stopped_fd, &count);
  g_clear_object (&keeper->cancellable);
  return stopped;
}

/* Signals are taken from a descriptor, in the main thread only. */
static gboolean
take_signals (Keeper *keeper, GError **error)
{
  sigset_t signals;

  sigemptyset (&signals);
  sigaddset (&signals, SIGTERM);
  sigaddset (&signals, SIGINT);
  sigaddset (&signals, SIGHUP);
  if (sigprocmask (SIG_BLOCK, &signals, NULL) < 0)
    return sandbox_fail_errno (error, errno, "blocking signals");
  keeper->signal_fd = signalfd (-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  keeper->stopped_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (keeper->signal_fd < 0 || keeper->stopped_fd < 0)
    return sandbox_fail_errno (error, errno, "making descriptors");
  signal (SIGPIPE, SIG_IGN);
  return TRUE;
}

static gboolean
run (Keeper *keeper, const char *uri, GError **error)
{
  g_autoptr (SandboxLock) lock = NULL;
  g_autoptr (GError) local = NULL;
  gboolean running = FALSE;

  keeper->state_fd = sandbox_dir_open (keeper->ssh->state_path, FALSE, error);
  if (keeper->state_fd < 0 || !take_signals (keeper, error))
    return FALSE;
  keeper->virt = _sandbox_virt_open (uri, NULL, error);
  if (!keeper->virt || !is_running (keeper, &running, error))
    return FALSE;
  if (!running)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "the machine does not run");
  lock = sandbox_lock_acquire (keeper->state_fd, SANDBOX_KEEPER_LOCK, keeper->object, 0, NULL, NULL,
                               NULL, &local);
  /* another one was quicker: there is nothing to do */
  if (!lock && g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_BUSY))
    return TRUE;
  if (!lock)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  /* started again before we were gone: that start found us and counts on us */
  while (running && keep (keeper))
    if (!is_running (keeper, &running, NULL))
      break;
  return TRUE;
}

int
main (int argc, char **argv)
{
  Keeper keeper = { .state_fd = -1, .signal_fd = -1, .stopped_fd = -1 };
  g_autoptr (GError) error = NULL;
  int helper;

  /* inherited through exec: with it ignored, no child's end could be waited for */
  signal (SIGCHLD, SIG_DFL);
  helper = keeper_helper (argc, argv);
  if (helper >= 0)
    return helper;
  if (argc != 7)
    {
      fputs ("sandbox-keeper is started by libsandbox, not by hand\n", stderr);
      return 2;
    }
  g_set_prgname ("sandbox-keeper");
  umask (077);
  keeper.self = g_file_read_link ("/proc/self/exe", NULL);
  if (!keeper.self)
    keeper.self = g_strdup (argv[0]);
  keeper.uri = argv[1];
  keeper.object = argv[2];
  keeper.ssh = _sandbox_ssh_new (argv[3], argv[4], argv[5], argv[6]);
  if (run (&keeper, argv[1], &error))
    return 0;
  fprintf (stderr, "%s\n", error->message);
  return 1;
}
