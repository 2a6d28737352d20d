// SPDX-License-Identifier: LGPL-2.1-or-later
// Forwarded ports: ssh processes of their own, each with a share of the ports. What is wanted
// stands in a file; whenever that changes, a port comes free, a process ends or a time is up, the
// processes are brought in line with it.
#include "keeper.h"

#include "base/file.h"
#include "base/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#define RETRY_FIRST_USEC (100 * 1000)
#define RETRY_MAX_USEC   (10 * G_USEC_PER_SEC)
#define WORKED_USEC      (30 * G_USEC_PER_SEC)
/* A port of the host that somebody else has is looked at this often: that costs nothing. */
#define TAKEN_MSEC 500
/* One that the guest does not give: to ask for it costs it a login. */
#define REFUSED_USEC (30 * G_USEC_PER_SEC)
/* Without inotify. */
#define LOOK_MSEC 500
/* How exactly times are kept, also over a suspend of the host. */
#define TIMED_MSEC 1000
/* Descriptors that an ssh may have, and how many of them go to its ports at most: as many stay for
 * connections. A guest that floods us runs into the first. */
#define FDS_MAX        1024
#define FDS_OF_ITS_OWN 24
/* Connections that a guest may have open to services of the host at once, through one ssh: it opens
 * them, and each can make ssh keep 2.7 MB when the service does not read. */
#define HOST_CONNECTIONS 64
/* Memory that an ssh may have, bytes; it ends where it needs more, and is started again. Those
 * connections fit in. */
#define DATA_MAX        (256 * 1024 * 1024)
#define FORWARD_PORTS   500
#define HOST_PORTS      100
#define REFUSED_MESSAGE "remote port forwarding failed for listen port "

typedef struct
{
  SandboxForwardPort port;
  gint64 until_usec;
} Want;

/* One ssh. Its life is that of the process: when it ends, its ports are given out anew. */
typedef struct
{
  SandboxListens kind;
  gint64 until_usec;
  GArray *ports; /* of SandboxForwardPort */
  KeeperProcess process;
} Worker;

typedef struct
{
  guint16 port;
  gint64 until; /* monotonic: then it is asked for again */
} Refused;

struct _KeeperForwards
{
  const SandboxSsh *ssh;
  const char *self;
  int state_fd, inotify_fd;
  gboolean changed;      /* the list has to be read */
  char *digest;          /* of the list that is followed */
  gint64 next_end;       /* real time at which the first of the wanted ends; 0: none does */
  GHashTable *wanted[2]; /* by kind: port that listens -> Want */
  GPtrArray *workers;
  GArray *refused; /* by the guest; of Refused */
  gint64 next_start[2], retry_usec[2];
};

static void
free_worker (gpointer data)
{
  Worker *worker = data;

  keeper_process_clear (&worker->process);
  g_array_unref (worker->ports);
  g_free (worker);
}

/* The list comes and goes in this directory, and so does the master's socket, which says that the
 * guest lets us in. */
static int
watch (int state_fd)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", state_fd);
  sandbox_autofd int fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);

  if (fd < 0 || inotify_add_watch (fd, path, IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
    return -1;
  return g_steal_fd (&fd);
}

KeeperForwards *
keeper_forwards_new (const SandboxSsh *ssh, int state_fd, const char *self)
{
  KeeperForwards *forwards = g_new0 (KeeperForwards, 1);

  forwards->ssh = ssh;
  forwards->self = self;
  forwards->state_fd = state_fd;
  forwards->inotify_fd = watch (state_fd);
  forwards->changed = TRUE;
  forwards->digest = g_strdup ("");
  forwards->workers = g_ptr_array_new_with_free_func (free_worker);
  forwards->refused = g_array_new (FALSE, FALSE, sizeof (Refused));
  for (guint kind = 0; kind < 2; kind++)
    {
      forwards->wanted[kind] = g_hash_table_new_full (NULL, NULL, NULL, g_free);
      forwards->retry_usec[kind] = RETRY_FIRST_USEC;
    }
  unlinkat (state_fd, SANDBOX_FORWARDS_STATE, 0);
  return forwards;
}

void
keeper_forwards_free (KeeperForwards *forwards)
{
  g_ptr_array_unref (forwards->workers);
  for (guint kind = 0; kind < 2; kind++)
    g_hash_table_unref (forwards->wanted[kind]);
  g_array_unref (forwards->refused);
  sandbox_close_fd (&forwards->inotify_fd);
  unlinkat (forwards->state_fd, SANDBOX_FORWARDS_STATE, 0);
  g_free (forwards->digest);
  g_free (forwards);
}

void
keeper_forwards_poll (KeeperForwards *forwards, GArray *pollfds)
{
  keeper_poll_add (pollfds, forwards->inotify_fd);
  for (guint i = 0; i < forwards->workers->len; i++)
    {
      const Worker *worker = g_ptr_array_index (forwards->workers, i);

      keeper_poll_add (pollfds, worker->process.pid_fd);
      keeper_poll_add (pollfds, worker->process.stderr_fd);
    }
}

/* --- what is wanted */

static void
want (KeeperForwards *forwards, const SandboxForwardEntry *entry)
{
  const SandboxPortMap *map = &entry->map;

  for (guint i = 0; i <= (guint)(map->host.last - map->host.first); i++)
    {
      guint16 host = (guint16)(map->host.first + i), guest = (guint16)(map->guest.first + i);
      gboolean to_guest = entry->kind == SANDBOX_LISTENS_ON_HOST;
      Want *want = g_new0 (Want, 1);

      want->port.listens = to_guest ? host : guest;
      want->port.connects = to_guest ? guest : host;
      want->until_usec = entry->until_usec;
      g_hash_table_insert (forwards->wanted[entry->kind], GUINT_TO_POINTER (want->port.listens),
                           want);
    }
  if (entry->until_usec > 0 && (forwards->next_end == 0 || entry->until_usec < forwards->next_end))
    forwards->next_end = entry->until_usec;
}

/* A list that cannot be read forwards nothing. */
static void
read_list (KeeperForwards *forwards)
{
  g_autofree char *digest = NULL;
  g_autoptr (GArray) entries = _sandbox_forwards_read (forwards->state_fd, &digest, NULL);

  for (guint kind = 0; kind < 2; kind++)
    g_hash_table_remove_all (forwards->wanted[kind]);
  forwards->next_end = 0;
  /* single ports stand before the ranges that they are exceptions to */
  for (guint single = 0; single < 2; single++)
    for (guint i = 0; entries && i < entries->len; i++)
      {
        const SandboxForwardEntry *entry = &g_array_index (entries, SandboxForwardEntry, i);

        if ((entry->map.host.first == entry->map.host.last) == (single == 1))
          want (forwards, entry);
      }
  g_free (forwards->digest);
  forwards->digest = digest ? g_steal_pointer (&digest) : g_strdup ("");
}

static void
tell_state (KeeperForwards *forwards)
{
  g_autoptr (GArray) ports = g_array_new (FALSE, FALSE, sizeof (guint16));

  for (guint i = 0; i < forwards->refused->len; i++)
    g_array_append_val (ports, g_array_index (forwards->refused, Refused, i).port);
  _sandbox_forwards_write_state (forwards->state_fd, forwards->digest, ports);
}

static gboolean
is_wanted (const KeeperForwards *forwards, const Worker *worker, const SandboxForwardPort *port)
{
  const Want *want =
      g_hash_table_lookup (forwards->wanted[worker->kind], GUINT_TO_POINTER (port->listens));

  return want && want->port.connects == port->connects && want->until_usec == worker->until_usec;
}

static gboolean
is_wanted_whole (const KeeperForwards *forwards, const Worker *worker)
{
  for (guint i = 0; i < worker->ports->len; i++)
    if (!is_wanted (forwards, worker, &g_array_index (worker->ports, SandboxForwardPort, i)))
      return FALSE;
  return TRUE;
}

/* When a port goes, the whole process goes, and with it every connection through it: what was taken
 * back is taken back at once. The other ports of it are given out anew. */
static void
follow_list (KeeperForwards *forwards)
{
  gboolean over = forwards->next_end > 0 && g_get_real_time () >= forwards->next_end;

  if (!forwards->changed && !over)
    return;
  forwards->changed = FALSE;
  read_list (forwards);
  for (guint i = forwards->workers->len; i > 0; i--)
    if (!is_wanted_whole (forwards, g_ptr_array_index (forwards->workers, i - 1)))
      g_ptr_array_remove_index (forwards->workers, i - 1);
  for (guint i = forwards->refused->len; i > 0; i--)
    if (!g_hash_table_contains (
            forwards->wanted[SANDBOX_LISTENS_IN_GUEST],
            GUINT_TO_POINTER (g_array_index (forwards->refused, Refused, i - 1).port)))
      g_array_remove_index (forwards->refused, i - 1);
  tell_state (forwards);
}

/* --- processes that end */

static void
note_refusal (KeeperForwards *forwards, const Worker *worker)
{
  const char *message = strstr (worker->process.said->str, REFUSED_MESSAGE);
  Refused refused = { .until = g_get_monotonic_time () + REFUSED_USEC };

  if (worker->kind != SANDBOX_LISTENS_IN_GUEST || !message)
    return;
  refused.port = (guint16)g_ascii_strtoull (message + strlen (REFUSED_MESSAGE), NULL, 10);
  if (!g_hash_table_contains (forwards->wanted[SANDBOX_LISTENS_IN_GUEST],
                              GUINT_TO_POINTER (refused.port)))
    return;
  g_array_append_val (forwards->refused, refused);
  /* that it has been heard is no reason to wait with the others */
  forwards->next_start[SANDBOX_LISTENS_IN_GUEST] = 0;
  tell_state (forwards);
}

static void
bury_workers (KeeperForwards *forwards)
{
  for (guint i = forwards->workers->len; i > 0; i--)
    {
      Worker *worker = g_ptr_array_index (forwards->workers, i - 1);
      gint64 now = g_get_monotonic_time (), *retry_usec = &forwards->retry_usec[worker->kind];

      if (!keeper_process_ended (&worker->process))
        continue;
      if (now - worker->process.started > WORKED_USEC)
        *retry_usec = RETRY_FIRST_USEC;
      forwards->next_start[worker->kind] = now + *retry_usec;
      *retry_usec = MIN (2 * *retry_usec, RETRY_MAX_USEC);
      note_refusal (forwards, worker);
      g_ptr_array_remove_index (forwards->workers, i - 1);
    }
}

/* --- processes that begin */

/* Whether the guest does not give @port now; forgets that it did when it is time. */
static gboolean
is_refused (KeeperForwards *forwards, guint16 port, gboolean *ret_forgot)
{
  for (guint i = 0; i < forwards->refused->len; i++)
    {
      const Refused *refused = &g_array_index (forwards->refused, Refused, i);

      if (refused->port != port)
        continue;
      if (g_get_monotonic_time () < refused->until)
        return TRUE;
      g_array_remove_index (forwards->refused, i);
      *ret_forgot = TRUE;
      return FALSE;
    }
  return FALSE;
}

/* The ports that processes have. */
static GHashTable *
held_ports (const KeeperForwards *forwards, SandboxListens kind)
{
  GHashTable *held = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < forwards->workers->len; i++)
    {
      const Worker *worker = g_ptr_array_index (forwards->workers, i);

      for (guint k = 0; worker->kind == kind && k < worker->ports->len; k++)
        g_hash_table_add (
            held, GUINT_TO_POINTER (g_array_index (worker->ports, SandboxForwardPort, k).listens));
    }
  return held;
}

static int
compare_wants (gconstpointer a, gconstpointer b)
{
  const Want *mine = *(const Want *const *)a, *other = *(const Want *const *)b;

  if (mine->until_usec != other->until_usec)
    return mine->until_usec < other->until_usec ? -1 : 1;
  return (int)mine->port.listens - (int)other->port.listens;
}

/* Those that no process has and that can be had; by time of their end, then by port. *@ret_msec:
 * when to look again. */
static GPtrArray *
find_idle (KeeperForwards *forwards, SandboxListens kind, int *ret_msec)
{
  g_autoptr (GHashTable) held = held_ports (forwards, kind);
  GPtrArray *idle = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;
  gboolean forgot = FALSE;

  g_hash_table_iter_init (&iter, forwards->wanted[kind]);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const Want *want = value;

      if (g_hash_table_contains (held, GUINT_TO_POINTER (want->port.listens)))
        continue;
      if (kind == SANDBOX_LISTENS_IN_GUEST && is_refused (forwards, want->port.listens, &forgot))
        *ret_msec = REFUSED_USEC / 1000;
      else if (kind == SANDBOX_LISTENS_ON_HOST && !sandbox_port_is_free (want->port.listens))
        *ret_msec = TAKEN_MSEC;
      else
        g_ptr_array_add (idle, value);
    }
  if (forgot)
    tell_state (forwards);
  g_ptr_array_sort (idle, compare_wants);
  return idle;
}

/* How many ports one ssh can hold: half of the descriptors that it gets. */
static guint
ports_per_process (SandboxListens kind)
{
  guint most = kind == SANDBOX_LISTENS_ON_HOST ? FORWARD_PORTS : HOST_PORTS;
  struct rlimit limit = { FDS_MAX, FDS_MAX };

  getrlimit (RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur <= FDS_OF_ITS_OWN + 2)
    return 1;
  return (guint)MIN (most, (limit.rlim_cur - FDS_OF_ITS_OWN) / 2);
}

static void
lower_limit (pid_t pid, int resource, rlim_t most)
{
  struct rlimit limit;

  if (prlimit (pid, resource, NULL, &limit) < 0 || limit.rlim_cur <= most)
    return;
  limit.rlim_cur = limit.rlim_max = most;
  prlimit (pid, resource, &limit, NULL);
}

static void
limit_worker (const Worker *worker)
{
  gboolean by_guest = worker->kind == SANDBOX_LISTENS_IN_GUEST;

  lower_limit (worker->process.pid, RLIMIT_NOFILE,
               by_guest ? FDS_OF_ITS_OWN + HOST_CONNECTIONS : FDS_MAX);
#ifndef __SANITIZE_ADDRESS__ /* our own helper behind ssh would begin with terabytes */
  lower_limit (worker->process.pid, RLIMIT_DATA, DATA_MAX);
#endif
}

static gboolean
start_worker (KeeperForwards *forwards, Worker *worker)
{
  g_autofree char *proxy = keeper_proxy_command (forwards->ssh, forwards->self);
  g_autoptr (GPtrArray) argv =
      _sandbox_ssh_forward_argv (forwards->ssh, proxy, worker->kind, worker->ports);

  if (!keeper_process_start (&worker->process, argv, forwards->self))
    return FALSE;
  limit_worker (worker);
  return TRUE;
}

/* Takes from @idle, beginning at *@next, what one process can hold. */
static Worker *
make_worker (SandboxListens kind, const GPtrArray *idle, guint *next)
{
  Worker *worker = g_new0 (Worker, 1);
  guint most = ports_per_process (kind);

  worker->kind = kind;
  worker->until_usec = ((const Want *)idle->pdata[*next])->until_usec;
  worker->ports = g_array_new (FALSE, FALSE, sizeof (SandboxForwardPort));
  keeper_process_init (&worker->process);
  for (; *next < idle->len && worker->ports->len < most; (*next)++)
    {
      const Want *want = idle->pdata[*next];

      if (want->until_usec != worker->until_usec)
        break;
      g_array_append_val (worker->ports, want->port);
    }
  return worker;
}

/* *@ret_msec: when to look again, -1: when something happens. */
static void
fill (KeeperForwards *forwards, SandboxListens kind, int *ret_msec)
{
  g_autoptr (GPtrArray) idle = NULL;
  gint64 now = g_get_monotonic_time ();
  guint next = 0;

  if (now < forwards->next_start[kind])
    {
      *ret_msec = (int)((forwards->next_start[kind] - now) / 1000 + 1);
      return;
    }
  idle = find_idle (forwards, kind, ret_msec);
  while (next < idle->len)
    {
      Worker *worker = make_worker (kind, idle, &next);

      if (!start_worker (forwards, worker))
        {
          free_worker (worker);
          forwards->next_start[kind] = now + RETRY_MAX_USEC;
          *ret_msec = RETRY_MAX_USEC / 1000;
          return;
        }
      g_ptr_array_add (forwards->workers, worker);
    }
}

/* Of what happens in the directory only the list is of interest; all else wakes us, which is
 * enough.
 */
static void
notice (KeeperForwards *forwards)
{
  char block[4096] __attribute__ ((aligned (__alignof__(struct inotify_event))));
  gssize n;

  if (forwards->inotify_fd < 0)
    forwards->changed = TRUE;
  while (forwards->inotify_fd >= 0 && (n = read (forwards->inotify_fd, block, sizeof block)) > 0)
    for (char *p = block; p < block + n;)
      {
        const struct inotify_event *event = (const struct inotify_event *)(gpointer)p;

        if ((event->mask & IN_Q_OVERFLOW)
            || (event->len > 0 && g_str_equal (event->name, SANDBOX_FORWARDS)))
          forwards->changed = TRUE;
        p += sizeof *event + event->len;
      }
}

/* The master comes first: with an emulated processor each login takes its time, and whoever starts
 * the machine waits for that one. */
static gboolean
is_let_in (const KeeperForwards *forwards)
{
  return faccessat (forwards->state_fd, SANDBOX_SSH_SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int
keeper_forwards_step (KeeperForwards *forwards)
{
  int wait_msec = forwards->inotify_fd < 0 ? LOOK_MSEC : -1;

  notice (forwards);
  follow_list (forwards);
  bury_workers (forwards);
  for (guint kind = 0; kind < 2 && is_let_in (forwards); kind++)
    {
      int kind_msec = -1;

      fill (forwards, (SandboxListens)kind, &kind_msec);
      wait_msec = keeper_sooner (wait_msec, kind_msec);
    }
  if (forwards->next_end > 0)
    wait_msec = keeper_sooner (wait_msec, TIMED_MSEC);
  return wait_msec;
}
