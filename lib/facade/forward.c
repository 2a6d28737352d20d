// SPDX-License-Identifier: LGPL-2.1-or-later
// Listing, adding and removing forwarded ports of a machine, running or not.
#include "facade/facade-private.h"

#include <string.h>

/* The longest time limit. */
#define FOR_MAX_USEC (G_TIME_SPAN_DAY * 7)

/* One call at work. */
typedef struct
{
  SandboxMachine *machine;
  SandboxForwardOptions options;
  SandboxLock *lock;
  GPtrArray *specs;   /* of char, canonical, NULL-terminated */
  GArray *asked;      /* the same as SandboxForwardEntry */
  GArray *permanent;  /* what the profile lists */
  GArray *live;       /* what is forwarded now; NULL when the machine does not run */
  SandboxSsh *ssh;    /* when it runs */
  gboolean throwaway; /* its profile is nobody's but its own */
  char *old, *new;    /* the profile's text, when it was changed (@new is set); @old NULL: none */
  int state_fd;
} Change;

static void
change_clear (Change *change)
{
  if (change->lock != NULL)
    _sandbox_machine_unlock (change->machine, change->lock);
  g_clear_pointer (&change->specs, g_ptr_array_unref);
  g_clear_pointer (&change->asked, g_array_unref);
  g_clear_pointer (&change->permanent, g_array_unref);
  g_clear_pointer (&change->live, g_array_unref);
  g_clear_pointer (&change->ssh, _sandbox_ssh_free);
  sandbox_close_fd (&change->state_fd);
  g_free (change->old);
  g_free (change->new);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Change, change_clear)

static GArray *
profile_entries (SandboxMachine *machine, GError **error)
{
  g_autoptr (SandboxProfile) profile = _sandbox_machine_load_profile (machine, error);
  const SandboxProfileValues *values;
  GArray *entries;

  if (profile == NULL)
    return NULL;
  values = _sandbox_profile_values (profile);
  entries = _sandbox_forwards_new ();
  _sandbox_forwards_add (entries, SANDBOX_LISTENS_ON_HOST, values->forward);
  _sandbox_forwards_add (entries, SANDBOX_LISTENS_IN_GUEST, values->host);
  return entries;
}

static gboolean
is_running (SandboxMachine *machine, gboolean *ret_running, GError **error)
{
  SandboxPieces pieces = { 0 };

  *ret_running = FALSE;
  if (_sandbox_host_is_test (machine->host))
    return TRUE;
  if (!_sandbox_virt_domain_state (machine->host->virt, machine->object, &pieces.domain,
                                   &pieces.virt_state, error))
    return FALSE;
  *ret_running = _sandbox_pieces_running (&pieces);
  return TRUE;
}

GPtrArray *
_sandbox_machine_forwards (SandboxMachine *machine, gboolean look, GCancellable *cancellable,
                           GError **error)
{
  g_autoptr (GArray) entries = NULL;
  g_autoptr (SandboxSsh) ssh = NULL;
  sandbox_autofd int state_fd = -1;
  gboolean running;

  if (!is_running (machine, &running, error))
    return NULL;
  if (!running)
    {
      entries = profile_entries (machine, error);
      return entries != NULL ? _sandbox_forwards_off (entries) : NULL;
    }
  state_fd = _sandbox_machine_state_fd (machine, FALSE, error);
  entries = state_fd >= 0 ? _sandbox_forwards_read (state_fd, NULL, error) : NULL;
  if (entries == NULL || !look)
    return entries != NULL ? _sandbox_forwards_off (entries) : NULL;
  ssh = _sandbox_machine_ssh (machine, error);
  if (ssh == NULL
      || !_sandbox_keeper_ensure (machine->host->uri, machine->object, ssh, cancellable, error))
    return NULL;
  return _sandbox_forwards_look (machine, ssh, state_fd, entries, cancellable);
}

GPtrArray *
sandbox_machine_list_forwards (SandboxMachine *machine, GCancellable *cancellable, GError **error)
{
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  return _sandbox_machine_forwards (machine, TRUE, cancellable, error);
}

/* --- adding and removing */

static const SandboxForwardEntry *
find (const GArray *entries, const SandboxForwardEntry *wanted)
{
  for (guint i = 0; entries != NULL && i < entries->len; i++)
    if (_sandbox_forwards_equal (&g_array_index (entries, SandboxForwardEntry, i), wanted))
      return &g_array_index (entries, SandboxForwardEntry, i);
  return NULL;
}

static gboolean
read_specs (Change *change, const char *const *specs, GError **error)
{
  gint64 until = change->options.for_usec > 0 ? g_get_real_time () + change->options.for_usec : 0;

  change->specs = g_ptr_array_new_with_free_func (g_free);
  change->asked = _sandbox_forwards_new ();
  for (; *specs != NULL; specs++)
    {
      SandboxForwardEntry entry = { .kind = (SandboxListens)change->options.kind,
                                    .until_usec = until };

      if (!sandbox_port_map_parse (entry.kind, *specs, &entry.map, error))
        return FALSE;
      g_array_append_val (change->asked, entry);
      g_ptr_array_add (change->specs, sandbox_port_map_format (&entry.map));
    }
  g_ptr_array_add (change->specs, NULL);
  return TRUE;
}

static gboolean
find_out (Change *change, GCancellable *cancellable, GError **error)
{
  SandboxMachine *machine = change->machine;
  g_autofree char *throwaway =
      g_build_filename (machine->state_path, SANDBOX_THROWAWAY_PROFILE, NULL);
  gboolean running;

  change->throwaway = g_file_test (throwaway, G_FILE_TEST_EXISTS);
  change->permanent = profile_entries (machine, error);
  if (change->permanent == NULL || !is_running (machine, &running, error))
    return FALSE;
  if (!running)
    return TRUE;
  change->ssh = _sandbox_machine_ready (machine, cancellable, error);
  if (change->ssh == NULL)
    return FALSE;
  change->state_fd = _sandbox_machine_state_fd (machine, FALSE, error);
  if (change->state_fd < 0)
    return FALSE;
  change->live = _sandbox_forwards_read (change->state_fd, NULL, error);
  return change->live != NULL;
}

static gboolean
begin (Change *change, SandboxMachine *machine, const char *const *specs,
       const SandboxForwardOptions *options, GCancellable *cancellable, GError **error)
{
  SandboxReport report = { NULL, NULL, machine->name };

  change->machine = machine;
  change->state_fd = -1;
  change->options = (SandboxForwardOptions)SANDBOX_FORWARD_OPTIONS_INIT;
  if (!_sandbox_options_copy (&change->options, sizeof change->options, options, error)
      || g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (change->options.for_usec < 0 || change->options.for_usec > FOR_MAX_USEC)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "forwarding for a time: it is at most seven days");
  if (!read_specs (change, specs, error))
    return FALSE;
  change->lock = _sandbox_machine_lock (machine, "forward", machine->host->lock_wait_usec, &report,
                                        cancellable, error);
  return change->lock != NULL && find_out (change, cancellable, error);
}

/* All together as they would be: no port twice, no circle. The profile's own check does it. */
static gboolean
check_together (SandboxMachine *machine, const GArray *entries, GError **error)
{
  g_autoptr (SandboxProfile) profile =
      sandbox_profile_parse (&machine->host->profiles, machine->name, "", "", 0, error);
  g_autofree char *forward = _sandbox_forwards_join (entries, SANDBOX_LISTENS_ON_HOST, TRUE);
  g_autofree char *host = _sandbox_forwards_join (entries, SANDBOX_LISTENS_IN_GUEST, TRUE);

  if (profile == NULL)
    return FALSE;
  if (sandbox_profile_set (profile, "network", "forward", "", error)
      && sandbox_profile_set (profile, "network", "host", host, error)
      && sandbox_profile_set (profile, "network", "forward", forward, error))
    return TRUE;
  g_prefix_error (error, "%s: ", machine->name);
  return FALSE;
}

/* What is forwarded then; @ret_new: what of it is not forwarded yet. */
static GArray *
with_asked (const Change *change, GArray *ret_new)
{
  const GArray *now = change->live != NULL ? change->live : change->permanent;
  GArray *entries = _sandbox_forwards_new ();

  for (guint i = 0; i < now->len; i++)
    {
      SandboxForwardEntry entry = g_array_index (now, SandboxForwardEntry, i);
      const SandboxForwardEntry *asked = find (change->asked, &entry);

      /* one that is there for good is not given an end by the way */
      if (asked != NULL && entry.until_usec != 0)
        entry.until_usec = asked->until_usec;
      g_array_append_val (entries, entry);
    }
  for (guint i = 0; i < change->asked->len; i++)
    {
      const SandboxForwardEntry *entry = &g_array_index (change->asked, SandboxForwardEntry, i);

      if (find (entries, entry) != NULL)
        continue;
      g_array_append_val (entries, *entry);
      g_array_append_val (ret_new, *entry);
    }
  return entries;
}

/* The keeper is told, and has done it when this returns. */
static gboolean
apply (Change *change, const GArray *entries, const GArray *wait_for, GCancellable *cancellable,
       GError **error)
{
  g_autofree char *digest = NULL;

  return _sandbox_forwards_write (change->state_fd, entries, &digest, error)
         && _sandbox_forwards_wait_followed (change->state_fd, digest, cancellable, error)
         && (wait_for == NULL
             || _sandbox_forwards_wait (change->machine, change->ssh, change->state_fd, wait_for,
                                        cancellable, error));
}

static gboolean
check_ports (Change *change, const GArray *new, GCancellable *cancellable, GError **error)
{
  if (change->live == NULL)
    return TRUE;
  return _sandbox_forwards_check_free (change->machine, new, cancellable, error)
         && (change->options.kind == SANDBOX_FORWARD_TO_GUEST
             || _sandbox_forwards_check_guest (change->machine, change->ssh, new, cancellable,
                                               error));
}

static gboolean
change_profile (Change *change, gboolean add, GError **error)
{
  if (change->throwaway || change->options.for_usec > 0)
    return TRUE;
  return _sandbox_profile_change_forwards (change->machine, (SandboxListens)change->options.kind,
                                           (const char *const *)change->specs->pdata, add,
                                           &change->old, &change->new, error);
}

gboolean
sandbox_machine_add_forwards (SandboxMachine *machine, const char *const *specs,
                              const SandboxForwardOptions *options, GCancellable *cancellable,
                              GError **error)
{
  g_auto (Change) change = { .state_fd = -1 };
  g_autoptr (GArray) entries = NULL, new = _sandbox_forwards_new ();

  if (!begin (&change, machine, specs, options, cancellable, error))
    return FALSE;
  if (change.options.for_usec > 0 && change.live == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "%s: is not running, and a forward with a time limit ends with the "
                         "machine's run; start it with `vms start %s`",
                         machine->name, machine->name);
  entries = with_asked (&change, new);
  if (!check_together (machine, entries, error) || !check_ports (&change, new, cancellable, error)
      || !change_profile (&change, TRUE, error))
    return FALSE;
  if (change.live == NULL || apply (&change, entries, new, cancellable, error))
    return TRUE;
  if (change.new != NULL)
    _sandbox_profile_put_back (machine, change.old, change.new);
  _sandbox_forwards_write (change.state_fd, change.live, NULL, NULL);
  return FALSE;
}

/* ", did you mean \"8080:80\"?" of an item that listens on the same port; "" when there is none.
 * (transfer full) */
static char *
guess (const GArray *entries, const SandboxForwardEntry *asked)
{
  guint16 port = sandbox_port_map_listens (asked->kind, &asked->map)->first;

  for (guint i = 0; entries != NULL && i < entries->len; i++)
    {
      const SandboxForwardEntry *entry = &g_array_index (entries, SandboxForwardEntry, i);
      const SandboxPortRange *listens = sandbox_port_map_listens (entry->kind, &entry->map);
      g_autofree char *text = NULL;

      if (entry->kind != asked->kind || port < listens->first || port > listens->last)
        continue;
      text = sandbox_port_map_format (&entry->map);
      return g_strdup_printf (", did you mean \"%s\"?", text);
    }
  return g_strdup ("");
}

static gboolean
check_there (const Change *change, GError **error)
{
  for (guint i = 0; i < change->asked->len; i++)
    {
      const SandboxForwardEntry *asked = &g_array_index (change->asked, SandboxForwardEntry, i);

      g_autofree char *near = NULL;

      if (find (change->live, asked) != NULL || find (change->permanent, asked) != NULL)
        continue;
      near = guess (change->live != NULL ? change->live : change->permanent, asked);
      return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                           "%s: \"%s\" is not in its list of %s%s: name an item as `vms forward "
                           "list %s` shows it",
                           change->machine->name, (const char *)change->specs->pdata[i],
                           asked->kind == SANDBOX_LISTENS_ON_HOST ? "forwarded ports"
                                                                  : "services of the host",
                           near, change->machine->name);
    }
  return TRUE;
}

gboolean
sandbox_machine_remove_forwards (SandboxMachine *machine, const char *const *specs,
                                 const SandboxForwardOptions *options, GCancellable *cancellable,
                                 GError **error)
{
  g_auto (Change) change = { .state_fd = -1 };
  g_autoptr (GArray) entries = _sandbox_forwards_new ();

  if (!begin (&change, machine, specs, options, cancellable, error) || !check_there (&change, error)
      || !change_profile (&change, FALSE, error))
    return FALSE;
  for (guint i = 0; change.live != NULL && i < change.live->len; i++)
    if (find (change.asked, &g_array_index (change.live, SandboxForwardEntry, i)) == NULL)
      g_array_append_val (entries, g_array_index (change.live, SandboxForwardEntry, i));
  return change.live == NULL || apply (&change, entries, NULL, cancellable, error);
}
