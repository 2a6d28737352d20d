// SPDX-License-Identifier: LGPL-2.1-or-later
// Forwarded ports as steps of a start: are they free, tell the keeper, wait until they listen.
#include "facade/facade-private.h"
#include "base/listeners.h"

#include <string.h>

/* With an emulated processor a login takes seconds, and there may be a dozen of them. */
#define LISTEN_WAIT_USEC (60 * G_USEC_PER_SEC)
#define FOLLOW_WAIT_USEC (10 * G_USEC_PER_SEC)
#define POLL_FIRST_USEC  (20 * 1000)
#define POLL_MAX_USEC    (500 * 1000)
/* What is left over from a keeper that was killed goes away within that time. */
#define LEFT_OVER_USEC (2 * G_USEC_PER_SEC)
#define ENDING_USEC    (300 * 1000)

GArray *
_sandbox_forwards_of_plan (const SandboxPlan *plan)
{
  GArray *entries = _sandbox_forwards_new ();

  _sandbox_forwards_add (entries, SANDBOX_LISTENS_ON_HOST, plan->forward);
  _sandbox_forwards_add (entries, SANDBOX_LISTENS_IN_GUEST, plan->host);
  return entries;
}

char *
_sandbox_forwards_join (const GArray *entries, SandboxListens kind, gboolean timed)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < entries->len; i++)
    {
      const SandboxForwardEntry *entry = &g_array_index (entries, SandboxForwardEntry, i);
      g_autofree char *map = sandbox_port_map_format (&entry->map);

      if (entry->kind == kind && (timed || entry->until_usec == 0))
        g_string_append_printf (text, "%s%s", text->len > 0 ? ";" : "", map);
    }
  return g_string_free (text, FALSE);
}

/* --- are they free */

static gboolean
fail_taken (SandboxMachine *machine, const SandboxForwardEntry *entry, guint16 port,
            const char *holder, GError **error)
{
  guint16 guest = (guint16)(entry->map.guest.first + (port - entry->map.host.first));

  return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                       "%s: port %u of this host cannot be forwarded, it is taken by %s; end that, "
                       "or forward the machine's port from another one (HOST:GUEST, such as "
                       "%u:%u)",
                       machine->name, port, holder, port < 60000 ? port + 1u : port - 1u, guest);
}

/* A machine that is just booting, or restarting, holds its ports as well. */
static gboolean
check_machine (SandboxMachine *machine, const char *other, const GArray *entries, GError **error)
{
  g_autofree char *path = g_build_filename (machine->host->state_dir, other, NULL);
  sandbox_autofd int fd = sandbox_dir_open (path, FALSE, NULL);
  g_autoptr (GArray) theirs = NULL;

  if (fd < 0 || _sandbox_keeper_pid (fd) == 0)
    return TRUE;
  theirs = _sandbox_forwards_read (fd, NULL, NULL);
  for (guint i = 0; theirs != NULL && i < theirs->len; i++)
    for (guint k = 0; k < entries->len; k++)
      {
        const SandboxForwardEntry *their = &g_array_index (theirs, SandboxForwardEntry, i);
        const SandboxForwardEntry *mine = &g_array_index (entries, SandboxForwardEntry, k);
        g_autofree char *holder = NULL;

        if (mine->kind != SANDBOX_LISTENS_ON_HOST || their->kind != SANDBOX_LISTENS_ON_HOST
            || !sandbox_port_ranges_overlap (&mine->map.host, &their->map.host))
          continue;
        holder = g_strdup_printf ("machine \"%s\", which forwards it", other);
        return fail_taken (machine, mine, MAX (mine->map.host.first, their->map.host.first), holder,
                           error);
      }
  return TRUE;
}

static gboolean
check_machines (SandboxMachine *machine, const GArray *entries, GError **error)
{
  sandbox_autofd int fd = _sandbox_host_state_fd (machine->host, FALSE, NULL);
  g_auto (GStrv) names = fd >= 0 ? sandbox_dir_list (fd, NULL) : NULL;

  for (char **name = names; name != NULL && *name != NULL; name++)
    if (strcmp (*name, machine->name) != 0 && sandbox_name_check_form ("machine", *name, NULL)
        && !check_machine (machine, *name, entries, error))
      return FALSE;
  return TRUE;
}

/* FALSE with @error for the first port that somebody else has, when all is seen. */
static gboolean
check_entry (SandboxMachine *machine, const SandboxPortTable *table,
             const SandboxForwardEntry *entry, GError **error)
{
  if (entry->kind != SANDBOX_LISTENS_ON_HOST)
    return TRUE;
  for (guint port = entry->map.host.first; port <= entry->map.host.last; port++)
    {
      g_autofree char *holder = NULL;

      if (sandbox_port_is_free ((guint16)port))
        continue;
      if (_sandbox_port_table_look (table, (guint16)port, &holder) == SANDBOX_PORT_OURS)
        continue;
      return fail_taken (machine, entry, (guint16)port,
                         holder != NULL ? holder : "somebody who cannot be seen", error);
    }
  return TRUE;
}

static gboolean
check_entries (SandboxMachine *machine, const GArray *entries, GError **error)
{
  SandboxPortTable *table = _sandbox_port_table_new (machine, entries);
  gboolean all_free = TRUE;

  for (guint i = 0; i < entries->len && all_free; i++)
    all_free =
        check_entry (machine, table, &g_array_index (entries, SandboxForwardEntry, i), error);
  _sandbox_port_table_free (table);
  return all_free;
}

gboolean
_sandbox_forwards_check_free (SandboxMachine *machine, const GArray *entries,
                              GCancellable *cancellable, GError **error)
{
  gint64 began = g_get_monotonic_time ();

  if (entries->len == 0)
    return TRUE;
  if (!check_machines (machine, entries, error))
    return FALSE;
  for (;;)
    {
      g_autoptr (GError) local = NULL;

      if (check_entries (machine, entries, &local))
        return TRUE;
      /* a process that is just ending still has its ports */
      if (g_get_monotonic_time () - began >= ENDING_USEC)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      if (!_sandbox_pause (POLL_FIRST_USEC, cancellable, error))
        return FALSE;
    }
}

gboolean
_sandbox_step_ports (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GArray) entries = _sandbox_forwards_of_plan (work->plan);

  if (_sandbox_forwards_check_free (work->machine, entries, cancellable, error))
    return TRUE;
  g_prefix_error (error, "start ");
  return FALSE;
}

/* --- tell the keeper */

/* Those with a time limit that a machine has beside @entries; they end with its run. */
static gboolean
add_timed (GArray *entries, int state_fd, GError **error)
{
  g_autoptr (GArray) old = _sandbox_forwards_read (state_fd, NULL, error);

  if (old == NULL)
    return FALSE;
  for (guint i = 0; i < old->len; i++)
    {
      const SandboxForwardEntry *entry = &g_array_index (old, SandboxForwardEntry, i);
      gboolean clashes = entry->until_usec == 0;

      for (guint k = 0; k < entries->len && !clashes; k++)
        {
          const SandboxForwardEntry *other = &g_array_index (entries, SandboxForwardEntry, k);

          clashes =
              other->kind == entry->kind
              && sandbox_port_ranges_overlap (sandbox_port_map_listens (entry->kind, &entry->map),
                                              sandbox_port_map_listens (entry->kind, &other->map));
        }
      if (!clashes)
        g_array_append_val (entries, *entry);
    }
  return TRUE;
}

/* What the profile lists now: for a machine that runs, too. */
gboolean
_sandbox_forwards_tell (SandboxWork *work, int state_fd, GError **error)
{
  g_autoptr (GArray) entries = _sandbox_forwards_of_plan (work->plan);

  if (!work->made.boot && !add_timed (entries, state_fd, error))
    return FALSE;
  return _sandbox_forwards_write (state_fd, entries, NULL, error);
}

/* --- wait */

/* The first that is in @state; NULL: none. */
static const SandboxForward *
find_state (const GPtrArray *forwards, SandboxForwardState state)
{
  for (guint i = 0; i < forwards->len; i++)
    if (((const SandboxForward *)forwards->pdata[i])->state == state)
      return forwards->pdata[i];
  return NULL;
}

static const char *
key_of (const SandboxForward *forward)
{
  return forward->kind == SANDBOX_FORWARD_TO_GUEST ? "forward" : "host";
}

gboolean
_sandbox_forwards_wait_followed (int state_fd, const char *digest, GCancellable *cancellable,
                                 GError **error)
{
  gint64 deadline = g_get_monotonic_time () + FOLLOW_WAIT_USEC;

  for (;;)
    {
      g_autoptr (GArray) refused = g_array_new (FALSE, FALSE, sizeof (guint16));
      g_autofree char *followed = _sandbox_forwards_read_state (state_fd, refused);

      if (strcmp (followed, digest) == 0)
        return TRUE;
      if (g_get_monotonic_time () >= deadline)
        return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                             "the machine's keeper did not follow within 10 s; see `vms forward "
                             "list`");
      if (!_sandbox_pause (POLL_FIRST_USEC, cancellable, error))
        return FALSE;
    }
}

/* What a keeper that was killed has left, or a process that is just ending, is soon gone: only what
 * lasts is a failure. The guest's refusal is one at once. */
static gboolean
has_failed (const SandboxForward *failed, gint64 *since)
{
  if (failed == NULL)
    *since = 0;
  else if (*since == 0)
    *since = g_get_monotonic_time ();
  return failed != NULL
         && (failed->kind == SANDBOX_FORWARD_TO_HOST
             || g_get_monotonic_time () - *since >= LEFT_OVER_USEC);
}

gboolean
_sandbox_forwards_wait (SandboxMachine *machine, const SandboxSsh *ssh, int state_fd,
                        const GArray *entries, GCancellable *cancellable, GError **error)
{
  gint64 began = g_get_monotonic_time (), since = 0, pause_usec = POLL_FIRST_USEC;

  for (;;)
    {
      g_autoptr (GPtrArray) forwards =
          _sandbox_forwards_look (machine, ssh, state_fd, entries, cancellable);
      const SandboxForward *failed = find_state (forwards, SANDBOX_FORWARD_FAILED);
      const SandboxForward *waiting = find_state (forwards, SANDBOX_FORWARD_WAITING);

      if (has_failed (failed, &since))
        return sandbox_fail (error,
                             failed->kind == SANDBOX_FORWARD_TO_GUEST ? SANDBOX_ERROR_BUSY
                                                                      : SANDBOX_ERROR_UNSUPPORTED,
                             "%s: %s=%s does not work: %s; it is tried again by itself, see `vms "
                             "forward list %s`",
                             machine->name, key_of (failed), failed->spec, failed->reason,
                             machine->name);
      if (failed == NULL && waiting == NULL)
        return TRUE;
      if (waiting != NULL && waiting->until_usec > 0 && waiting->until_usec < g_get_real_time ())
        return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                             "%s: the time for %s=%s was over before it listened", machine->name,
                             key_of (waiting), waiting->spec);
      if (waiting != NULL && g_get_monotonic_time () - began >= LISTEN_WAIT_USEC)
        return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                             "%s: %s=%s does not listen after 60 s; see `vms forward list %s`",
                             machine->name, key_of (waiting), waiting->spec, machine->name);
      if (!_sandbox_pause (pause_usec, cancellable, error))
        return FALSE;
      pause_usec = MIN (2 * pause_usec, POLL_MAX_USEC);
    }
}

/* The machine works; that a port does not is no reason to take it away again. */
gboolean
_sandbox_step_forwards (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GArray) entries = _sandbox_forwards_of_plan (work->plan);
  sandbox_autofd int state_fd = -1;

  if (entries->len == 0)
    return TRUE;
  state_fd = _sandbox_machine_state_fd (work->machine, FALSE, error);
  if (state_fd < 0)
    return FALSE;
  if (_sandbox_forwards_wait (work->machine, work->ssh, state_fd, entries, cancellable, error))
    return TRUE;
  g_prefix_error (error, "the machine runs, but not all of its ports are forwarded: ");
  _sandbox_work_keep (work);
  return FALSE;
}
