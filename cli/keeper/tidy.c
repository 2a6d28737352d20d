// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers of the disk that lost their names are merged while nobody waits: some time after the list
// of names changed, by a process of ours, which takes the machine's lock only when it is free and
// lets go of it when anybody else wants it.
#include "keeper.h"

#include "facade/layers.h"

#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

/* After a boot, which has enough to do; a stop may have left something to be done. */
#define FIRST_USEC (60 * G_USEC_PER_SEC)
/* After a change: there is often another one coming. */
#define REST_USEC (10 * G_USEC_PER_SEC)
/* What did not work, or gave way, is tried again: after this, then twice as long each time. */
#define RETRY_USEC     (15 * G_USEC_PER_SEC)
#define RETRY_MAX_USEC G_TIME_SPAN_HOUR
/* A machine that stands still, because what stopped it for a merge was killed, does not wait for
 * longer. */
#define STILL_USEC (15 * G_USEC_PER_SEC)
/* Between two merges, so that whoever waits for the lock gets it. */
#define PAUSE_USEC G_USEC_PER_SEC

struct _KeeperTidy
{
  const SandboxSsh *ssh;
  const char *self, *uri, *object;
  int state_fd, inotify_fd;
  SandboxVirt *virt;
  KeeperProcess process;
  gint64 next, retry; /* monotonic, 0: there is nothing to do; for how long it waits */
};

static void
wait_for (KeeperTidy *tidy, gint64 usec)
{
  g_autoptr (SandboxMerge) merge = _sandbox_merge_read (tidy->state_fd);

  if (merge != NULL && merge->still)
    usec = MIN (usec, STILL_USEC);
  tidy->next = g_get_monotonic_time () + usec;
}

KeeperTidy *
keeper_tidy_new (const SandboxSsh *ssh, int state_fd, const char *self, SandboxVirt *virt,
                 const char *uri, const char *object)
{
  KeeperTidy *tidy = g_new0 (KeeperTidy, 1);

  tidy->ssh = ssh;
  tidy->self = self;
  tidy->virt = virt;
  tidy->uri = uri;
  tidy->object = object;
  tidy->state_fd = state_fd;
  tidy->inotify_fd = keeper_watch_state (state_fd);
  wait_for (tidy, FIRST_USEC);
  tidy->retry = RETRY_USEC;
  keeper_process_init (&tidy->process);
  return tidy;
}

/* A machine that it has stopped is not left so, however long its disk takes to be written out. */
void
keeper_tidy_free (KeeperTidy *tidy)
{
  keeper_process_leave (&tidy->process);
  sandbox_close_fd (&tidy->inotify_fd);
  g_free (tidy);
}

void
keeper_tidy_poll (KeeperTidy *tidy, GArray *pollfds)
{
  keeper_poll_add (pollfds, tidy->inotify_fd);
  keeper_poll_add (pollfds, tidy->process.pid_fd);
  keeper_poll_add (pollfds, tidy->process.stderr_fd);
}

/* Whether the list of names changed. */
static gboolean
notice (KeeperTidy *tidy)
{
  char block[4096] __attribute__ ((aligned (__alignof__(struct inotify_event))));
  gboolean changed = FALSE;
  gssize n;

  while (tidy->inotify_fd >= 0 && (n = read (tidy->inotify_fd, block, sizeof block)) > 0)
    for (char *p = block; p < block + n;)
      {
        const struct inotify_event *event = (const struct inotify_event *)(gpointer)p;

        changed |= (event->mask & IN_Q_OVERFLOW) != 0
                   || (event->len > 0 && g_str_equal (event->name, SANDBOX_SNAPSHOTS_FILE));
        p += sizeof *event + event->len;
      }
  return changed;
}

static void
start (KeeperTidy *tidy)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *owner = keeper_owner (tidy->virt, tidy->object);
  const char *const words[] = { tidy->self, "--tidy", tidy->uri, tidy->ssh->state_path, owner };
  gboolean started = FALSE;

  for (guint i = 0; owner != NULL && i < G_N_ELEMENTS (words); i++)
    g_ptr_array_add (argv, g_strdup (words[i]));
  if (owner != NULL)
    started = keeper_process_start (&tidy->process, argv, tidy->self);
  tidy->next = 0;
  if (!started)
    wait_for (tidy, tidy->retry);
}

/* What was killed is not done either. */
static void
finish (KeeperTidy *tidy)
{
  if (tidy->process.status == 0)
    {
      tidy->retry = RETRY_USEC;
      return;
    }
  if (tidy->next == 0)
    wait_for (tidy, tidy->retry);
  tidy->retry = MIN (tidy->retry * 2, RETRY_MAX_USEC);
}

int
keeper_tidy_step (KeeperTidy *tidy)
{
  gint64 now = g_get_monotonic_time ();

  if (keeper_process_ended (&tidy->process))
    finish (tidy);
  if (notice (tidy))
    {
      tidy->retry = RETRY_USEC;
      if (tidy->next == 0 || tidy->next > now + REST_USEC)
        tidy->next = now + REST_USEC;
    }
  if (tidy->process.pid != 0 || tidy->next == 0)
    return -1;
  if (tidy->next > now)
    return (int)((tidy->next - now) / 1000) + 1;
  start (tidy);
  return tidy->next == 0 ? -1 : (int)((tidy->next - now) / 1000) + 1;
}

/* --- the process */

/* Those by which a process is asked to end, also by the end of a session. */
static void
fill_signals (sigset_t *signals)
{
  sigemptyset (signals);
  sigaddset (signals, SIGTERM);
  sigaddset (signals, SIGINT);
  sigaddset (signals, SIGHUP);
}

/* They are blocked in every thread. A merge is given up in order: a machine that is stopped for the
 * moment in which its disk is written out goes on. */
static gpointer
wait_signal (gpointer cancellable)
{
  sigset_t signals;
  int number;

  fill_signals (&signals);
  sigwait (&signals, &number);
  g_cancellable_cancel (cancellable);
  return NULL;
}

int
keeper_tidy_run (const char *uri, const char *state_path, const char *owner)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (SandboxHost) host = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_path_get_basename (state_path);
  gboolean merged = TRUE;
  sigset_t signals;

  fill_signals (&signals);
  sigprocmask (SIG_BLOCK, &signals, NULL);
  g_thread_unref (g_thread_new ("signal", wait_signal, g_object_ref (cancellable)));
  host = keeper_host_open (uri, state_path, owner, &error);
  while (host != NULL && merged && error == NULL)
    if (_sandbox_machine_merge_idle (host, name, cancellable, &merged, &error) && merged)
      _sandbox_pause (PAUSE_USEC, cancellable, &error);
  if (error == NULL)
    return 0;
  fprintf (stderr, "%s\n", error->message);
  return 1;
}
