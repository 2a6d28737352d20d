// SPDX-License-Identifier: LGPL-2.1-or-later
// What has become of forwarded ports: who listens on this host, who in the guest, and what the
// keeper says.
#include "facade/facade-private.h"
#include "base/listeners.h"

#include <pwd.h>
#include <string.h>

/* The guest's tables: of a hostile guest as long as it likes. */
#define GUEST_TABLE_MAX   (1024 * 1024)
#define GUEST_ANSWER_USEC (10 * G_USEC_PER_SEC)
#define GUEST_ENDING_USEC (2 * G_USEC_PER_SEC)
#define LOOPBACK          (127u << 24 | 1u)

const char *
sandbox_forward_state_to_string (SandboxForwardState state)
{
  static const char *const texts[] = {
    [SANDBOX_FORWARD_OFF] = "off",
    [SANDBOX_FORWARD_WAITING] = "waiting",
    [SANDBOX_FORWARD_LISTENING] = "listening",
    [SANDBOX_FORWARD_FAILED] = "failed",
  };

  return texts[state];
}

void
sandbox_forward_free (SandboxForward *forward)
{
  if (forward == NULL)
    return;
  g_free (forward->spec);
  g_free (forward->reason);
  g_free (forward);
}

static void
free_forward (gpointer forward)
{
  sandbox_forward_free (forward);
}

/* The machine's own ssh processes say so on their command line. */
static gboolean
is_ours (SandboxMachine *machine, const SandboxHolder *holder)
{
  g_autofree char *argument = g_strdup_printf ("HostKeyAlias=vms-%s", machine->uuid);

  return sandbox_holder_has_argument (holder, argument);
}

/* The machine of the same user whose ssh that is; NULL when it is none. */
static char *
other_machine (SandboxMachine *machine, const SandboxHolder *holder)
{
  g_autofree char *before = g_strdup_printf ("UserKnownHostsFile=\"%s/", machine->host->state_dir);
  const char *found = strstr (holder->command, before);
  const char *name = found != NULL ? found + strlen (before) : NULL;
  const char *end = name != NULL ? strchr (name, '/') : NULL;

  return end != NULL ? g_strndup (name, (gsize)(end - name)) : NULL;
}

/* "python3 (pid 12)", as far as it can be known. */
static char *
describe_holder (SandboxMachine *machine, const SandboxListener *listener,
                 const SandboxHolder *holder)
{
  g_autofree char *name = NULL, *other = NULL;
  const struct passwd *user;

  if (holder == NULL)
    {
      user = getpwuid (listener->uid);
      return user != NULL ? g_strdup_printf ("a process of user %s", user->pw_name)
                          : g_strdup_printf ("a process of uid %u", listener->uid);
    }
  other = other_machine (machine, holder);
  if (other != NULL)
    {
      name = sandbox_escape (other, -1, 80);
      return g_strdup_printf ("machine \"%s\", which forwards it (pid %d)", name, holder->pid);
    }
  name = sandbox_escape (holder->name, -1, 80);
  return g_strdup_printf ("%s (pid %d)", name, holder->pid);
}

struct _SandboxPortTable
{
  SandboxMachine *machine; /* not owned */
  GArray *listeners;
  GHashTable *holders;
};

/* Of this host: those who listen where the ports of @entries would. */
SandboxPortTable *
_sandbox_port_table_new (SandboxMachine *machine, const GArray *entries)
{
  SandboxPortTable *table = g_new0 (SandboxPortTable, 1);
  g_autoptr (GArray) inodes = g_array_new (FALSE, FALSE, sizeof (guint64));

  table->machine = machine;
  table->listeners = sandbox_listeners_read ();
  for (guint i = 0; i < table->listeners->len; i++)
    {
      const SandboxListener *listener = &g_array_index (table->listeners, SandboxListener, i);

      for (guint k = 0; k < entries->len; k++)
        {
          const SandboxForwardEntry *entry = &g_array_index (entries, SandboxForwardEntry, k);

          if (entry->kind == SANDBOX_LISTENS_ON_HOST && entry->map.host.first <= listener->port
              && listener->port <= entry->map.host.last)
            g_array_append_val (inodes, listener->inode);
        }
    }
  table->holders = sandbox_holders_find (inodes);
  return table;
}

void
_sandbox_port_table_free (SandboxPortTable *table)
{
  g_array_unref (table->listeners);
  g_hash_table_unref (table->holders);
  g_free (table);
}

SandboxPortUse
_sandbox_port_table_look (const SandboxPortTable *table, guint16 port, char **ret_holder)
{
  SandboxPortUse use = SANDBOX_PORT_FREE;

  for (guint i = 0; i < table->listeners->len && use != SANDBOX_PORT_OURS; i++)
    {
      const SandboxListener *listener = &g_array_index (table->listeners, SandboxListener, i);
      const SandboxHolder *holder;

      if (listener->port != port || (listener->address != 0 && listener->address != LOOPBACK))
        continue;
      holder = g_hash_table_lookup (table->holders, &listener->inode);
      use = holder != NULL && is_ours (table->machine, holder) ? SANDBOX_PORT_OURS
                                                               : SANDBOX_PORT_TAKEN;
      if (use == SANDBOX_PORT_TAKEN && ret_holder != NULL && *ret_holder == NULL)
        *ret_holder = describe_holder (table->machine, listener, holder);
    }
  return use;
}

/* --- states */

static void
set_failed (SandboxForward *forward, char *reason)
{
  forward->state = SANDBOX_FORWARD_FAILED;
  g_free (forward->reason);
  forward->reason = reason;
}

static void
look_at_host (const SandboxPortTable *table, SandboxForward *forward)
{
  forward->state = SANDBOX_FORWARD_LISTENING;
  for (guint port = forward->host_first; port <= forward->host_last; port++)
    {
      g_autofree char *holder = NULL;
      SandboxPortUse use = _sandbox_port_table_look (table, (guint16)port, &holder);

      if (use == SANDBOX_PORT_TAKEN)
        {
          set_failed (forward,
                      g_strdup_printf ("port %u of this host is taken by %s", port, holder));
          return;
        }
      if (use == SANDBOX_PORT_FREE)
        forward->state = SANDBOX_FORWARD_WAITING;
    }
}

/* In the guest, by its own word: it deceives nobody but its user. */
static void
look_at_guest (const GArray *listeners, const GArray *refused, SandboxForward *forward)
{
  forward->state = SANDBOX_FORWARD_LISTENING;
  for (guint port = forward->guest_first; port <= forward->guest_last; port++)
    {
      gboolean everywhere = FALSE, somewhere = FALSE;

      for (guint i = 0; i < refused->len; i++)
        if (g_array_index (refused, guint16, i) == port)
          {
            set_failed (forward,
                        g_strdup_printf ("port %u of the machine is in use there already", port));
            return;
          }
      for (guint i = 0; i < listeners->len; i++)
        {
          const SandboxListener *listener = &g_array_index (listeners, SandboxListener, i);

          somewhere |= listener->port == port;
          everywhere |= listener->port == port && listener->address == 0;
        }
      if (somewhere && !everywhere)
        {
          set_failed (forward, g_strdup_printf (
                                   "the machine's sshd offers port %u on its loopback only: it was "
                                   "started before vms could do this; restart it",
                                   port));
          return;
        }
      if (!somewhere)
        forward->state = SANDBOX_FORWARD_WAITING;
    }
}

static SandboxForward *
new_forward (const SandboxForwardEntry *entry)
{
  SandboxForward *forward = g_new0 (SandboxForward, 1);

  forward->kind = (SandboxForwardKind)entry->kind;
  forward->spec = sandbox_port_map_format (&entry->map);
  forward->host_first = entry->map.host.first;
  forward->host_last = entry->map.host.last;
  forward->guest_first = entry->map.guest.first;
  forward->guest_last = entry->map.guest.last;
  forward->until_usec = entry->until_usec;
  forward->state = SANDBOX_FORWARD_OFF;
  forward->reason = g_strdup ("");
  return forward;
}

GPtrArray *
_sandbox_forwards_off (const GArray *entries)
{
  GPtrArray *forwards = g_ptr_array_new_with_free_func (free_forward);

  for (guint i = 0; i < entries->len; i++)
    g_ptr_array_add (forwards, new_forward (&g_array_index (entries, SandboxForwardEntry, i)));
  return forwards;
}

static GArray *
ask_guest (const SandboxSsh *ssh, GCancellable *cancellable)
{
  g_autofree char *text = NULL;

  if (_sandbox_ssh_master_alive (ssh))
    text = _sandbox_ssh_capture (ssh, "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null", -1,
                                 GUEST_TABLE_MAX, GUEST_ANSWER_USEC, cancellable, NULL);
  return sandbox_listeners_parse (text != NULL ? text : "");
}

/* The first port of @entries that somebody in the guest listens on; 0: none. */
static guint
find_in_guest (const GArray *listeners, const GArray *entries)
{
  for (guint i = 0; i < listeners->len; i++)
    for (guint k = 0; k < entries->len; k++)
      {
        guint16 port = g_array_index (listeners, SandboxListener, i).port;
        const SandboxForwardEntry *entry = &g_array_index (entries, SandboxForwardEntry, k);

        if (entry->kind == SANDBOX_LISTENS_IN_GUEST && entry->map.guest.first <= port
            && port <= entry->map.guest.last)
          return port;
      }
  return 0;
}

gboolean
_sandbox_forwards_check_guest (SandboxMachine *machine, const SandboxSsh *ssh,
                               const GArray *entries, GCancellable *cancellable, GError **error)
{
  gint64 began = g_get_monotonic_time ();

  for (;;)
    {
      g_autoptr (GArray) listeners = ask_guest (ssh, cancellable);
      guint port = find_in_guest (listeners, entries);

      if (port == 0)
        return TRUE;
      /* the guest's sshd may be about to end what was removed just now */
      if (g_get_monotonic_time () - began >= GUEST_ENDING_USEC)
        return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                             "%s: port %u of the machine is in use there already; end what uses "
                             "it, or offer the service at another port (HOST:GUEST)",
                             machine->name, port);
      if (!_sandbox_pause (GUEST_ENDING_USEC / 4, cancellable, error))
        return FALSE;
    }
}

GPtrArray *
_sandbox_forwards_look (SandboxMachine *machine, const SandboxSsh *ssh, int state_fd,
                        const GArray *entries, GCancellable *cancellable)
{
  GPtrArray *forwards = _sandbox_forwards_off (entries);
  SandboxPortTable *table = _sandbox_port_table_new (machine, entries);
  g_autoptr (GArray) guest = NULL;
  g_autoptr (GArray) refused = g_array_new (FALSE, FALSE, sizeof (guint16));
  g_autofree char *digest = _sandbox_forwards_read_state (state_fd, refused);

  for (guint i = 0; i < forwards->len; i++)
    {
      SandboxForward *forward = forwards->pdata[i];

      if (forward->kind == SANDBOX_FORWARD_TO_GUEST)
        {
          look_at_host (table, forward);
          continue;
        }
      if (guest == NULL)
        guest = ask_guest (ssh, cancellable);
      look_at_guest (guest, refused, forward);
    }
  _sandbox_port_table_free (table);
  return forwards;
}
