// SPDX-License-Identifier: LGPL-2.1-or-later
// What is done about a machine that lost rules: paused, its rules made again, resumed. Only what
// was paused here is resumed, and only when nothing is missing.
#include "worker.h"

#include "base/names.h"
#include "base/xml.h"

/* libvirt, when it makes a filter's rules anew, replaces them step by step: who is incomplete for
 * less than that is cut off, but not paused */
#define GRACE_USEC (300 * G_TIME_SPAN_MILLISECOND)
/* and who lacks no more than what libvirt moves about is not paused for that long while it does */
#define AT_WORK_USEC (10 * G_USEC_PER_SEC)
/* complete for that long: libvirt is not in the middle of it */
#define SETTLE_USEC    (300 * G_TIME_SPAN_MILLISECOND)
#define RELOAD_USEC    (5 * G_USEC_PER_SEC)
#define PAUSE_MIN_USEC G_USEC_PER_SEC
#define ERROR_MAX      300
#define DEFINE_TRIES   4
#define DEFINE_USEC    (300 * G_TIME_SPAN_MILLISECOND)
#define PAUSE_MAX_USEC (10 * G_USEC_PER_SEC)
#define LAST_PRIORITY  "1000"

char *
guard_record_key (const GuardMachine *machine)
{
  return g_strdup_printf ("%s %d", machine->uuid, machine->id);
}

static void
write_records (GuardWorker *worker)
{
  g_autoptr (GError) error = NULL;

  if (!guard_record_write (worker->dir_fd, worker->held, &error))
    guard_log ("which machines are paused cannot be recorded: %s", error->message);
}

static void
set_held (GuardWorker *worker, GuardMachine *machine, gboolean held)
{
  g_autofree char *key = guard_record_key (machine);

  machine->held = held;
  if (held == g_hash_table_contains (worker->held, key))
    return;
  if (held)
    g_hash_table_add (worker->held, g_steal_pointer (&key));
  else
    g_hash_table_remove (worker->held, key);
  write_records (worker);
}

void
guard_worker_forget_records (GuardWorker *worker)
{
  g_autoptr (GHashTable) known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  gboolean changed = FALSE;
  GHashTableIter iter;
  gpointer item;

  g_hash_table_iter_init (&iter, worker->world->machines);
  while (g_hash_table_iter_next (&iter, NULL, &item))
    g_hash_table_add (known, guard_record_key (item));
  g_hash_table_iter_init (&iter, worker->held);
  while (g_hash_table_iter_next (&iter, &item, NULL))
    if (!g_hash_table_contains (known, item))
      {
        g_hash_table_iter_remove (&iter);
        changed = TRUE;
      }
  if (changed)
    write_records (worker);
}

/* One line. (transfer full) */
static char *
last_error (void)
{
  g_autofree char *text = g_strdup (virGetLastErrorMessage ());

  return text ? sandbox_escape (g_strstrip (text), -1, ERROR_MAX) : g_strdup ("unknown");
}

/* The filter may have been changed by `vms`: then other rules are the complete ones. */
static void
read_filters_again (GuardWorker *worker, GuardMachine *machine)
{
  for (guint i = 0; i < machine->cards->len; i++)
    {
      GuardCard *card = machine->cards->pdata[i];
      g_autofree char *xml = guard_filter_xml (worker->conn, card->filter);

      g_mutex_lock (&worker->world->mutex);
      if (xml && guard_card_expect (card, xml))
        machine->since = g_get_monotonic_time ();
      g_mutex_unlock (&worker->world->mutex);
    }
  guard_wake (worker->world->wake_watcher);
}

static void
hold (GuardWorker *worker, GuardMachine *machine, virDomainPtr domain, const char *why)
{
  int state = VIR_DOMAIN_NOSTATE, reason = 0;

  if (virDomainGetState (domain, &state, &reason, 0) < 0)
    return;
  if (state == VIR_DOMAIN_RUNNING)
    {
      g_autofree char *error = NULL;

      /* Recorded first: who dies in between leaves a record of a machine that runs, which the next
       * guard drops, or libvirt has the wish already and pauses it. The other way round, a machine
       * would stay paused that nobody knows to resume. */
      set_held (worker, machine, TRUE);
      if (virDomainSuspend (domain) == 0)
        guard_log ("%s: paused: %s", machine->name, why);
      else
        error = last_error ();
      if (error && !machine->told)
        guard_log ("%s: cut off, but it could not be paused (%s): %s", machine->name, error, why);
      /* whoever pauses it from here on is somebody else */
      if (error && virDomainGetState (domain, &state, &reason, 0) == 0
          && state == VIR_DOMAIN_RUNNING)
        set_held (worker, machine, FALSE);
      machine->told = TRUE;
    }
  else if (!machine->told && !machine->held)
    {
      guard_log ("%s: it is paused already, and stays so: %s", machine->name, why);
      machine->told = TRUE;
    }
}

static void
let_go (GuardWorker *worker, GuardMachine *machine, virDomainPtr domain)
{
  int state = VIR_DOMAIN_NOSTATE, reason = 0;

  if (!machine->held)
    {
      if (machine->told)
        guard_log ("%s: its rules are complete again", machine->name);
      machine->told = FALSE;
      return;
    }
  if (virDomainGetState (domain, &state, &reason, 0) < 0)
    return;
  if (machine->told)
    guard_log ("%s: its rules are complete again", machine->name);
  if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_USER)
    {
      g_autofree char *error = virDomainResume (domain) < 0 ? last_error () : NULL;

      if (error && machine->told)
        guard_log ("%s: it could not be resumed: %s", machine->name, error);
      machine->told = FALSE;
      if (error)
        return;
      guard_log ("%s: resumed", machine->name);
    }
  machine->told = FALSE;
  set_held (worker, machine, FALSE);
}

/* The rule that changes nothing; a guard that died may have left it. */
static void
remove_last_rule (xmlNode *filter)
{
  g_autoptr (GPtrArray) rules = sandbox_xml_find_all (filter, "rule");

  for (guint i = 0; i < rules->len; i++)
    {
      g_autofree char *priority = sandbox_xml_get_attr (rules->pdata[i], "priority");

      if (g_strcmp0 (priority, LAST_PRIORITY) == 0)
        {
          xmlUnlinkNode (rules->pdata[i]);
          xmlFreeNode (rules->pdata[i]);
        }
    }
}

/* Somebody who changes rules at the same time can make libvirt fail. */
static void
define (GuardWorker *worker, const GuardMachine *machine, xmlDoc *filter)
{
  g_autofree char *xml = sandbox_xml_to_string (filter), *why = NULL;

  for (guint i = 0; i < DEFINE_TRIES; i++)
    {
      virNWFilterPtr defined = virNWFilterDefineXML (worker->conn, xml);

      if (defined)
        {
          virNWFilterFree (defined);
          return;
        }
      g_free (why);
      why = last_error ();
      g_usleep (DEFINE_USEC);
    }
  guard_log ("%s: libvirt does not apply its network filter: %s", machine->name, why);
}

/* Defining what is there already is nothing to libvirt: so one more rule, which changes nothing,
 * and then as it was. */
static void
apply_filter_again (GuardWorker *worker, const GuardMachine *machine, const char *name)
{
  g_autofree char *xml = guard_filter_xml (worker->conn, name);
  g_autoptr (xmlDoc) doc = xml ? sandbox_xml_parse ("network filter of libvirt", xml, NULL) : NULL;
  xmlNode *root = doc ? xmlDocGetRootElement (doc) : NULL;

  if (!root)
    {
      g_autofree char *error = last_error ();

      guard_log ("%s: its network filter %s cannot be read: %s", machine->name, name, error);
      return;
    }
  guard_log ("%s: libvirt applies its network filter again", machine->name);
  remove_last_rule (root);
  sandbox_xml_add (root, "rule", "action", "drop", "direction", "inout", "priority", LAST_PRIORITY,
                   NULL);
  define (worker, machine, doc);
  remove_last_rule (root);
  define (worker, machine, doc);
}

/* What libvirt has just made is complete when its number is right, even when it says something else
 * than before: libvirt may be another version by now. For the network's rules that holds when a
 * reload, some seconds ago, brought others. */
static void
make_again (GuardWorker *worker, GuardMachine *machine)
{
  for (guint i = 0; i < machine->cards->len; i++)
    {
      GuardCard *card = machine->cards->pdata[i];

      if (machine->lost_filter)
        apply_filter_again (worker, machine, card->filter);
      g_mutex_lock (&worker->world->mutex);
      if (machine->lost_filter)
        g_clear_pointer (&card->seen, g_free);
      if (machine->lost_network && worker->last_reload != 0)
        g_clear_pointer (&card->network_seen, g_free);
      g_mutex_unlock (&worker->world->mutex);
    }
  /* it may have been changed before, or had the rule that changes nothing */
  read_filters_again (worker, machine);
}

static void
restore (GuardWorker *worker, guint lost, GPtrArray *affected)
{
  gint64 now = g_get_monotonic_time ();
  GuardWorld *world = worker->world;
  gboolean reloading = worker->last_reload != 0 && now - worker->last_reload < RELOAD_USEC;

  if (now < worker->next_restore)
    return;
  worker->next_restore = now + worker->pause_usec;
  worker->pause_usec = MIN (worker->pause_usec * 2, PAUSE_MAX_USEC);
  if (lost & GUARD_LOST_SWITCH)
    guard_restore_switch ();
  if (lost & GUARD_LOST_PORTS && guard_restore_ports ())
    {
      guard_log ("%s is loaded again", GUARD_PORTS_FILE);
      g_mutex_lock (&world->mutex);
      world->ports_take = TRUE;
      g_mutex_unlock (&world->mutex);
    }
  guard_wake (world->wake_watcher);
  if (reloading)
    return;
  if (lost & GUARD_LOST_NETWORK && worker->last_reload == 0)
    {
      guard_restore_all ();
      worker->last_reload = now;
      return;
    }
  for (guint i = 0; i < affected->len; i++)
    make_again (worker, affected->pdata[i]);
  guard_wake (world->wake_watcher);
  /* if the network's are still missing then, the daemon is asked again */
  worker->last_reload = 0;
}

/* libvirt is not done with another machine's rules. This one is cut off as long. */
static gboolean
waits_for_libvirt (GuardWorker *worker, guint lost, gint64 age)
{
  gint64 now = g_get_monotonic_time ();

  if (lost != GUARD_LOST_JUMPS || age >= AT_WORK_USEC)
    return FALSE;
  if (guard_daemons_at_work ())
    worker->seen_at_work = now;
  /* between two of its programs there is none */
  return worker->seen_at_work != 0 && now - worker->seen_at_work < GRACE_USEC;
}

/* TRUE: it is not as it should be. */
static gboolean
see_to (GuardWorker *worker, GuardMachine *machine, guint *lost, GPtrArray *affected)
{
  virDomainPtr domain;
  gboolean runs;
  g_autofree char *why = NULL;
  gint64 age;
  guint lost_now;

  g_mutex_lock (&worker->world->mutex);
  age = machine->checked ? g_get_monotonic_time () - machine->since : 0;
  lost_now = machine->lost;
  why = g_strdup (machine->why);
  g_mutex_unlock (&worker->world->mutex);
  if (lost_now == 0)
    machine->reread = FALSE;
  if (lost_now == 0 && !machine->held && !machine->told)
    return FALSE;
  if (lost_now != 0 && !machine->reread)
    {
      machine->reread = TRUE;
      read_filters_again (worker, machine);
      return TRUE;
    }
  if (waits_for_libvirt (worker, lost_now, age) || age < (lost_now != 0 ? GRACE_USEC : SETTLE_USEC))
    return TRUE;
  domain = virDomainLookupByUUIDString (worker->conn, machine->uuid);
  runs = domain && virDomainIsActive (domain) == 1;
  if (runs && lost_now != 0)
    hold (worker, machine, domain, why);
  else if (runs)
    let_go (worker, machine, domain);
  if (domain)
    virDomainFree (domain);
  /* one that ends loses its rules first */
  if (!runs)
    {
      worker->next_refresh = 0;
      return TRUE;
    }
  *lost |= lost_now;
  machine->lost_filter = (lost_now & (GUARD_LOST_FILTER | GUARD_LOST_JUMPS)) != 0;
  machine->lost_network = (lost_now & GUARD_LOST_NETWORK) != 0;
  if (machine->lost_filter || machine->lost_network)
    g_ptr_array_add (affected, machine);
  return TRUE;
}

gboolean
guard_worker_see_to_machines (GuardWorker *worker)
{
  g_autoptr (GList) machines = g_hash_table_get_values (worker->world->machines);
  g_autoptr (GPtrArray) affected = g_ptr_array_new ();
  gboolean more = FALSE;
  guint lost = 0;

  for (const GList *item = machines; item; item = item->next)
    more |= see_to (worker, item->data, &lost, affected);
  if (lost != 0)
    restore (worker, lost, affected);
  else if (!more)
    {
      worker->pause_usec = PAUSE_MIN_USEC;
      worker->next_restore = 0;
      worker->last_reload = 0;
    }
  return more;
}
