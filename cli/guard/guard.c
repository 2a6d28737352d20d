// SPDX-License-Identifier: LGPL-2.1-or-later
// vms-guard: pauses machines whose packet filter rules somebody took away, brings the rules back,
// and lets the machines go on.
//
//     vms-guard [--uri URI]
//
// Runs as root, in the foreground, until SIGTERM or SIGINT. Machines that it paused stay paused
// when it ends; the next one resumes them.
#include "config.h"
#include "worker.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/guard.h"
#include "base/lock.h"
#include "virt/virt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* what sends no event is looked at so often */
#define POLL_MSEC 250
/* between two looks at the rules while they are changed without pause, at least; and so many times
 * what one look takes */
#define LOOK_MIN_USEC (30 * G_TIME_SPAN_MILLISECOND)
#define LOOK_MAX_USEC (400 * G_TIME_SPAN_MILLISECOND)
#define LOOK_SHARE    5
#define CALLERS_MAX   16
/* Machines that keep all processors busy do not keep it from looking. */
#define NICE (-10)

typedef struct
{
  GuardWorld world;
  GuardKernel *kernel;
  SandboxLock *lock;
  int dir_fd, listen_fd, signal_fd;
  gboolean dirty, filtered;
  gint64 next_look;
} Guard;

static gboolean
make_directory (Guard *guard, GError **error)
{
  if (mkdir (SANDBOX_RUN_DIR, 0755) < 0 && errno != EEXIST)
    return sandbox_fail_errno (error, errno, "making " SANDBOX_RUN_DIR);
  guard->dir_fd = sandbox_dir_open (SANDBOX_RUN_DIR, FALSE, error);
  if (guard->dir_fd < 0)
    return FALSE;
  /* whatever the umask: users ask there whether a guard runs */
  if (fchmod (guard->dir_fd, 0755) < 0)
    return sandbox_fail_errno (error, errno, "opening " SANDBOX_RUN_DIR " to users");
  guard->lock = sandbox_lock_acquire (guard->dir_fd, "guard.lock", "guarding machines", 0, NULL,
                                      NULL, NULL, error);
  return guard->lock != NULL;
}

/* Whoever connects and gets an answer from root knows that a guard runs. */
static gboolean
start_listening (Guard *guard, GError **error)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SANDBOX_GUARD_SOCKET };

  guard->listen_fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (unlink (SANDBOX_GUARD_SOCKET) < 0 && errno != ENOENT)
    return sandbox_fail_errno (error, errno, "removing " SANDBOX_GUARD_SOCKET);
  if (guard->listen_fd < 0
      || bind (guard->listen_fd, (struct sockaddr *)&address, sizeof address) < 0
      || chmod (SANDBOX_GUARD_SOCKET, 0666) < 0 || listen (guard->listen_fd, CALLERS_MAX) < 0)
    return sandbox_fail_errno (error, errno, "listening on " SANDBOX_GUARD_SOCKET);
  return TRUE;
}

static void
answer_callers (Guard *guard)
{
  for (guint i = 0; i < CALLERS_MAX; i++)
    {
      sandbox_autofd int fd = accept4 (guard->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

      if (fd < 0 || send (fd, "1", 1, MSG_NOSIGNAL) < 0)
        return;
    }
}

/* What this program reads are the kernel's nftables, which iptables of every current distribution
 * uses. */
static gboolean
check_backend (GError **error)
{
  static const char *const argv[] = { "iptables", "-V", NULL };
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *version = NULL;

  options.argv = argv;
  if (!sandbox_child_run (&options, 10 * G_USEC_PER_SEC, 1000, NULL, &version, NULL, NULL, error))
    return FALSE;
  if (!strstr (version, "legacy"))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_HOST,
                       "iptables of this host is the legacy one, whose rules cannot be guarded: "
                       "\"sudo update-alternatives --set iptables /usr/sbin/iptables-nft\" and the "
                       "same for ebtables, and restart libvirt's daemon and the machines");
}

static void
load_ports (Guard *guard)
{
  if (!g_file_test (GUARD_PORTS_FILE, G_FILE_TEST_EXISTS))
    {
      guard_log ("there is no %s: what a bridge hands to the host past libvirt's filters is not "
                 "guarded; quickstart.sh of libsandbox writes it",
                 GUARD_PORTS_FILE);
      return;
    }
  guard_restore_ports ();
  guard->world.ports_take = TRUE;
}

static gboolean
begin (Guard *guard, GError **error)
{
  sigset_t signals;

  setpriority (PRIO_PROCESS, 0, NICE); /* without it, it works as well on a host with time */
  sigemptyset (&signals);
  sigaddset (&signals, SIGTERM);
  sigaddset (&signals, SIGINT);
  sigprocmask (SIG_BLOCK, &signals, NULL);
  signal (SIGPIPE, SIG_IGN);
  g_mutex_init (&guard->world.mutex);
  guard->world.machines =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)guard_machine_free);
  guard->signal_fd = signalfd (-1, &signals, SFD_CLOEXEC);
  guard->world.wake_watcher = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  guard->world.wake_worker = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (!make_directory (guard, error) || !check_backend (error))
    return FALSE;
  load_ports (guard);
  guard->kernel = guard_kernel_open (error);
  return guard->kernel && start_listening (guard, error);
}

static void
look (Guard *guard)
{
  gint64 before = g_get_monotonic_time (), after;

  guard->dirty = FALSE;
  guard_judge (&guard->world, guard->kernel);
  after = g_get_monotonic_time ();
  guard->next_look = after + CLAMP ((after - before) * LOOK_SHARE, LOOK_MIN_USEC, LOOK_MAX_USEC);
}

/* Until a signal. While a look would come too soon, events wait: a flood of them costs no more. */
static void
watch (Guard *guard)
{
  struct pollfd fds[] = {
    { guard->signal_fd, POLLIN, 0 },
    { guard->listen_fd, POLLIN, 0 },
    { guard->world.wake_watcher, POLLIN, 0 },
    { guard_kernel_fd (guard->kernel), POLLIN, 0 },
  };
  gint64 wait = 0;

  while (!(fds[0].revents & POLLIN))
    {
      gboolean filtered = _sandbox_virt_bridge_filtered ();
      guint64 count;

      if (fds[1].revents)
        answer_callers (guard);
      if (fds[2].revents && read (guard->world.wake_watcher, &count, sizeof count) > 0)
        guard->dirty = TRUE;
      guard->dirty |= filtered != guard->filtered;
      guard->filtered = filtered;
      if (guard->world.look_again != 0 && g_get_monotonic_time () >= guard->world.look_again)
        guard->dirty = TRUE;
      if (!guard->dirty)
        guard->dirty = guard_kernel_changed (guard->kernel);
      wait = guard->next_look - g_get_monotonic_time ();
      if (guard->dirty && wait <= 0)
        {
          guard_kernel_changed (guard->kernel);
          look (guard);
        }
      fds[3].fd = guard->dirty ? -1 : guard_kernel_fd (guard->kernel);
      if (poll (fds, G_N_ELEMENTS (fds), guard->dirty ? (int)(wait / 1000) + 1 : POLL_MSEC) < 0)
        fds[0].revents = 0;
    }
}

static int
run (const char *uri, GError **error)
{
  Guard guard = { .dir_fd = -1, .listen_fd = -1, .dirty = TRUE };
  GuardWorker worker = { .world = &guard.world, .uri = uri, .pause_usec = G_USEC_PER_SEC };
  GThread *thread;

  if (!begin (&guard, error) || virEventRegisterDefaultImpl () < 0)
    return FALSE;
  worker.dir_fd = guard.dir_fd;
  worker.held = guard_record_read (guard.dir_fd);
  thread = g_thread_new ("worker", guard_worker, &worker);
  watch (&guard);
  guard_log ("ends; from now on nobody sees when rules are taken away");
  g_mutex_lock (&guard.world.mutex);
  guard.world.stop = TRUE;
  g_mutex_unlock (&guard.world.mutex);
  guard_wake (guard.world.wake_worker);
  g_thread_join (thread);
  unlink (SANDBOX_GUARD_SOCKET);
  guard_kernel_close (guard.kernel);
  g_hash_table_unref (guard.world.machines);
  g_hash_table_unref (worker.held);
  g_free (guard.world.ports_seen);
  sandbox_lock_release (guard.lock);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autofree char *uri = NULL;
  gboolean version = FALSE;
  const GOptionEntry options[] = {
    { "uri", 0, 0, G_OPTION_ARG_STRING, &uri, "libvirt to connect to (qemu:///system)", "URI" },
    { "version", 0, 0, G_OPTION_ARG_NONE, &version, "show the version", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  g_set_prgname ("vms-guard");
  g_option_context_set_summary (context, "Pauses machines that lose their packet filter rules, and "
                                         "brings the rules back.");
  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc > 1)
    {
      guard_log ("%s", error ? error->message : "no operands are wanted; see --help");
      return 2;
    }
  if (version)
    {
      printf ("vms-guard %s\n", SANDBOX_PACKAGE_VERSION);
      return 0;
    }
  if (geteuid () != 0)
    {
      guard_log ("only root can read the kernel's packet filter rules: sudo vms-guard");
      return 5;
    }
  if (run (uri ? uri : "qemu:///system", &error))
    return 0;
  guard_log ("%s", error ? error->message : "libvirt's event loop does not work");
  return 1;
}
