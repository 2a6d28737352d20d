// SPDX-License-Identifier: LGPL-2.1-or-later
// The worker: knows from libvirt which machines run, pauses those that the watcher cut off, has
// their rules made again, and resumes what it paused when they are complete.
#include "worker.h"

#include "base/netrule.h"
#include "base/xml.h"

#include <stdlib.h>
#include <string.h>

/* libvirt's own names; another interface of the host's must not be taken down */
#define TAP_PREFIX "vnet"

static void
on_libvirt_error (void *user_data, virErrorPtr why)
{
  // what matters is logged where it is known what was tried
}

static int
on_lifecycle (virConnectPtr conn, virDomainPtr domain, int event, int detail, void *user_data)
{
  ((GuardWorker *)user_data)->next_refresh = 0;
  return 0;
}

static void
on_device (virConnectPtr conn, virDomainPtr domain, const char *alias, void *user_data)
{
  ((GuardWorker *)user_data)->next_refresh = 0;
}

/* --- what runs */

static void
read_subnet (GuardCard *card, xmlNode *domain)
{
  g_autofree char *text = sandbox_xml_dup (domain, "metadata/machine/subnet", NULL);
  SandboxCidr subnet;

  if (!text || !sandbox_cidr_parse (text, &subnet, NULL))
    return;
  for (guint i = 0; i < sizeof card->subnet; i++)
    card->subnet[i] = (guint8)(subnet.address >> (24 - 8 * i));
  card->has_subnet = TRUE;
}

static gboolean
is_nat (virConnectPtr conn, const char *name)
{
  virNetworkPtr network = name ? virNetworkLookupByName (conn, name) : NULL;
  char *xml = network ? virNetworkGetXMLDesc (network, 0) : NULL;
  g_autoptr (xmlDoc) doc = xml ? sandbox_xml_parse ("network of libvirt", xml, NULL) : NULL;
  g_autofree char *mode =
      doc ? sandbox_xml_dup (xmlDocGetRootElement (doc), "forward", "mode") : NULL;

  free (xml);
  if (network)
    virNetworkFree (network);
  return g_strcmp0 (mode, "nat") == 0;
}

char *
guard_filter_xml (virConnectPtr conn, const char *name)
{
  virNWFilterPtr filter = virNWFilterLookupByName (conn, name);
  char *xml = filter ? virNWFilterGetXMLDesc (filter, 0) : NULL;
  char *copy = g_strdup (xml);

  free (xml);
  if (filter)
    virNWFilterFree (filter);
  return copy;
}

static GuardCard *
read_card (virConnectPtr conn, xmlNode *domain, xmlNode *interface)
{
  GuardCard *card = g_new0 (GuardCard, 1);
  g_autofree char *network = sandbox_xml_dup (interface, "source", "network"), *xml = NULL;

  card->tap = sandbox_xml_dup (interface, "target", "dev");
  card->filter = sandbox_xml_dup (interface, "filterref", "filter");
  card->bridge = sandbox_xml_dup (interface, "source", "bridge");
  card->nat = is_nat (conn, network);
  read_subnet (card, domain);
  for (guint i = 0; i < GUARD_CHAINS; i++)
    card->expected[i] = -1;
  if (card->tap && card->filter)
    xml = guard_filter_xml (conn, card->filter);
  if (xml)
    guard_card_expect (card, xml);
  return card;
}

/* Its rules are being made, and its processors do not run yet: an event tells when they do. */
static gboolean
is_starting (virDomainPtr domain)
{
  int state = VIR_DOMAIN_NOSTATE, reason = 0;

  return virDomainGetState (domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED
         && reason == VIR_DOMAIN_PAUSED_STARTING_UP;
}

/* Whether what libvirt could not tell says that there is no such machine of libsandbox's. Otherwise
 * nobody knows. */
static gboolean
is_none_of_ours (void)
{
  int code = virGetLastErrorCode ();

  return code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_NO_DOMAIN_METADATA;
}

/* NULL: it is none of libsandbox's, or not running yet, or gone; or, with @ret_unread set, libvirt
 * does not tell. */
static GuardMachine *
read_machine (virConnectPtr conn, virDomainPtr domain, gboolean *ret_unread)
{
  char *ours = virDomainGetMetadata (domain, VIR_DOMAIN_METADATA_ELEMENT, SANDBOX_XMLNS, 0);
  gboolean wanted = ours && !is_starting (domain);
  char *xml = wanted ? virDomainGetXMLDesc (domain, 0) : NULL;
  g_autoptr (xmlDoc) doc = xml ? sandbox_xml_parse ("domain XML of libvirt", xml, NULL) : NULL;
  xmlNode *root = doc ? xmlDocGetRootElement (doc) : NULL;
  g_autoptr (GPtrArray) cards = root ? sandbox_xml_find_all (root, "devices/interface") : NULL;
  char uuid[VIR_UUID_STRING_BUFLEN];
  GuardMachine *machine;

  *ret_unread |= (!ours || (wanted && !xml)) && !is_none_of_ours ();
  free (ours);
  free (xml);
  if (!root || virDomainGetUUIDString (domain, uuid) < 0)
    return NULL;
  machine = g_new0 (GuardMachine, 1);
  machine->uuid = g_strdup (uuid);
  machine->name = g_strdup (virDomainGetName (domain));
  machine->id = (int)virDomainGetID (domain);
  machine->cards = g_ptr_array_new_with_free_func ((GDestroyNotify)guard_card_free);
  for (guint i = 0; i < cards->len; i++)
    {
      GuardCard *card = read_card (conn, root, cards->pdata[i]);

      if (card->tap && card->filter && g_str_has_prefix (card->tap, TAP_PREFIX))
        g_ptr_array_add (machine->cards, card);
      else
        {
          machine->unguarded = TRUE;
          guard_card_free (card);
        }
    }
  return machine;
}

static gboolean
same_cards (const GuardMachine *a, const GuardMachine *b)
{
  gboolean same = a->id == b->id && a->cards->len == b->cards->len;

  for (guint i = 0; same && i < a->cards->len; i++)
    {
      const GuardCard *x = a->cards->pdata[i], *y = b->cards->pdata[i];

      same = g_str_equal (x->tap, y->tap) && g_str_equal (x->filter, y->filter)
             && g_strcmp0 (x->bridge, y->bridge) == 0
             /* the filter could not be read before */
             && (x->filter_digest || !y->filter_digest);
    }
  return same;
}

/* Takes @machine, as libvirt tells it now. */
static void
keep_machine (GuardWorker *worker, GuardMachine *machine)
{
  GuardWorld *world = worker->world;
  GuardMachine *known = g_hash_table_lookup (world->machines, machine->uuid);
  g_autofree char *key = guard_record_key (machine);

  if (known && same_cards (known, machine))
    {
      guard_machine_free (machine);
      return;
    }
  machine->held = g_hash_table_contains (worker->held, key);
  if (machine->unguarded)
    guard_log ("%s: a card of it has no network filter, or a name of its own: it is not guarded",
               machine->name);
  else if (!known)
    guard_log ("%s: guarded%s", machine->name,
               machine->held ? "; it was paused by a guard before this one" : "");
  g_mutex_lock (&world->mutex);
  g_hash_table_replace (world->machines, machine->uuid, machine);
  g_mutex_unlock (&world->mutex);
  guard_wake (world->wake_watcher);
}

static void
forget_ended (GuardWorker *worker, GHashTable *running)
{
  GuardWorld *world = worker->world;
  GHashTableIter iter;
  gpointer uuid, machine;

  g_mutex_lock (&world->mutex);
  g_hash_table_iter_init (&iter, world->machines);
  while (g_hash_table_iter_next (&iter, &uuid, &machine))
    if (!g_hash_table_contains (running, uuid))
      g_hash_table_iter_remove (&iter);
  g_mutex_unlock (&world->mutex);
  guard_worker_forget_records (worker);
}

/* FALSE: libvirt does not answer. Machines are forgotten only when all could be read: one that was
 * paused here, and then forgotten, would stay paused for ever. */
static gboolean
refresh (GuardWorker *worker)
{
  gboolean unread = FALSE;
  g_autoptr (GHashTable) running = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  virDomainPtr *domains = NULL;
  int n = virConnectListAllDomains (worker->conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);

  for (int i = 0; i < n; i++)
    {
      GuardMachine *machine = read_machine (worker->conn, domains[i], &unread);

      if (machine)
        {
          g_hash_table_add (running, g_strdup (machine->uuid));
          keep_machine (worker, machine);
        }
      virDomainFree (domains[i]);
    }
  free (domains);
  if (n < 0 || virConnectIsAlive (worker->conn) != 1)
    return FALSE;
  if (!unread)
    forget_ended (worker, running);
  return TRUE;
}

/* --- the connection */

/* Events that are subscribed to hold a reference on the connection. */
static void
close_connection (GuardWorker *worker)
{
  for (gsize i = 0; worker->conn && i < G_N_ELEMENTS (worker->subscribed); i++)
    if (worker->subscribed[i] >= 0)
      virConnectDomainEventDeregisterAny (worker->conn, worker->subscribed[i]);
  if (worker->conn)
    virConnectClose (worker->conn);
  worker->conn = NULL;
}

static void
disconnect (GuardWorker *worker)
{
  close_connection (worker);
  if (!worker->told_down)
    guard_log ("libvirt does not answer: machines that lose rules are cut off, but not paused, "
               "until it does");
  worker->told_down = TRUE;
}

static gboolean
connect_again (GuardWorker *worker)
{
  gint64 now = g_get_monotonic_time ();

  if (now < worker->next_connect)
    return FALSE;
  worker->next_connect = now + CONNECT_USEC;
  worker->conn = virConnectOpen (worker->uri);
  if (!worker->conn)
    {
      disconnect (worker);
      return FALSE;
    }
  virConnectSetKeepAlive (worker->conn, KEEPALIVE_SECONDS, KEEPALIVE_TRIES);
  worker->subscribed[0] =
      virConnectDomainEventRegisterAny (worker->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                        VIR_DOMAIN_EVENT_CALLBACK (on_lifecycle), worker, NULL);
  worker->subscribed[1] =
      virConnectDomainEventRegisterAny (worker->conn, NULL, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
                                        VIR_DOMAIN_EVENT_CALLBACK (on_device), worker, NULL);
  guard_log ("connected to libvirt (%s)", worker->uri);
  worker->told_down = FALSE;
  worker->next_refresh = worker->next_restore = worker->last_reload = 0;
  worker->pause_usec = G_USEC_PER_SEC;
  return TRUE;
}

static void
step (GuardWorker *worker)
{
  gint64 now = g_get_monotonic_time ();

  if (worker->conn && virConnectIsAlive (worker->conn) != 1)
    disconnect (worker);
  if (!worker->conn && !connect_again (worker))
    {
      virEventUpdateTimeout (worker->timer, (int)(CONNECT_USEC / 1000));
      return;
    }
  if (now >= worker->next_refresh)
    {
      worker->next_refresh = now + REFRESH_USEC;
      if (!refresh (worker))
        {
          disconnect (worker);
          return;
        }
    }
  virEventUpdateTimeout (worker->timer,
                         guard_worker_see_to_machines (worker) ? BUSY_MSEC : IDLE_MSEC);
}

static void
on_wake (int watch, int fd, int events, void *user_data)
{
  guint64 count;

  if (read (fd, &count, sizeof count) < 0)
    return;
}

static void
on_timer (int timer, void *user_data)
{
  // the step that follows each event is all there is to do
}

gpointer
guard_worker (gpointer data)
{
  GuardWorker *worker = data;
  GuardWorld *world = worker->world;
  gboolean stop = FALSE;

  virSetErrorFunc (NULL, on_libvirt_error);
  virEventAddHandle (world->wake_worker, VIR_EVENT_HANDLE_READABLE, on_wake, NULL, NULL);
  worker->timer = virEventAddTimeout (0, on_timer, NULL, NULL);
  while (!stop && virEventRunDefaultImpl () == 0)
    {
      step (worker);
      g_mutex_lock (&world->mutex);
      stop = world->stop;
      g_mutex_unlock (&world->mutex);
    }
  close_connection (worker);
  return NULL;
}
