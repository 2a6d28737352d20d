// SPDX-License-Identifier: LGPL-2.1-or-later
// The watcher's judgement: who lost rules is cut off at once, by taking down the machine's end on
// the host. That needs no libvirt, which may be busy, restarting or dead; pausing comes after it.
#include "guard.h"

#include "virt/virt.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

void
guard_machine_free (GuardMachine *machine)
{
  g_free (machine->uuid);
  g_free (machine->name);
  g_free (machine->why);
  g_ptr_array_unref (machine->cards);
  g_free (machine);
}

void
guard_wake (int fd)
{
  guint64 one = 1;

  if (write (fd, &one, sizeof one) < 0)
    return; /* full: it is awake */
}

void
guard_log (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  fprintf (stderr, "vms-guard: %s\n", text);
}

static void
set_link (const char *tap, gboolean up)
{
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = { 0 };

  g_strlcpy (request.ifr_name, tap, sizeof request.ifr_name);
  /* a machine that ended has none */
  if (fd >= 0 && ioctl (fd, SIOCGIFFLAGS, &request) == 0
      && ((request.ifr_flags & IFF_UP) != 0) != up)
    {
      request.ifr_flags = (short)(request.ifr_flags ^ IFF_UP);
      if (ioctl (fd, SIOCSIFFLAGS, &request) != 0)
        guard_log ("%s cannot be taken %s", tap, up ? "up" : "down");
    }
  if (fd >= 0)
    close (fd);
}

static void
set_links (GuardMachine *machine, gboolean up)
{
  for (guint i = 0; i < machine->cards->len; i++)
    set_link (((const GuardCard *)machine->cards->pdata[i])->tap, up);
  machine->cut = !up;
}

/* TRUE: something is new. */
static gboolean
judge_machine (GuardMachine *machine, GuardRules *rules, guint host_lost, const char *host_why)
{
  g_autofree char *why = g_strdup (host_why);
  guint lost = host_lost;
  gboolean news;

  machine->unsettled = FALSE;
  for (guint i = 0; i < machine->cards->len; i++)
    {
      lost |= guard_card_check (machine->cards->pdata[i], rules, &why);
      machine->unsettled |= guard_card_unsettled (machine->cards->pdata[i]);
    }
  /* one that is seen for the first time may have been cut off by a guard that died */
  if (lost != 0 || machine->cut || !machine->checked)
    set_links (machine, lost == 0);
  news = !machine->checked || lost != machine->lost || g_strcmp0 (why, machine->why) != 0;
  if (!machine->checked || (lost != 0) != (machine->lost != 0))
    machine->since = g_get_monotonic_time ();
  machine->checked = TRUE;
  machine->lost = lost;
  g_free (machine->why);
  machine->why = g_steal_pointer (&why);
  return news;
}

gboolean
guard_judge_ports (GuardWorld *world, GuardRules *rules)
{
  g_autofree char *ports = guard_ports_digest (rules);

  /* what was loaded may be gone again by now, or could not be loaded */
  if (world->ports_take && !guard_ports_there (rules))
    return FALSE;
  if (world->ports_take)
    {
      world->ports_take = FALSE;
      g_free (world->ports_seen);
      world->ports_seen = g_strdup (ports);
    }
  return !world->ports_seen || g_str_equal (world->ports_seen, ports);
}

static guint
judge_host (GuardWorld *world, GuardRules *rules, const char **ret_why)
{
  gboolean ports = guard_judge_ports (world, rules);

  if (!_sandbox_virt_bridge_filtered ())
    {
      *ret_why = "net.bridge.bridge-nf-call-iptables is not 1";
      return GUARD_LOST_SWITCH | (ports ? 0 : GUARD_LOST_PORTS);
    }
  if (!ports)
    *ret_why = "the rules of " GUARD_PORTS_FILE " are gone or others";
  return ports ? 0 : GUARD_LOST_PORTS;
}

void
guard_judge (GuardWorld *world, GuardKernel *kernel)
{
  g_autoptr (GHashTable) rules = guard_kernel_rules (kernel);
  const char *why = NULL;
  gboolean news = FALSE;
  GHashTableIter iter;
  gpointer machine;
  guint lost;

  g_mutex_lock (&world->mutex);
  world->look_again = 0;
  lost = judge_host (world, rules, &why);
  g_hash_table_iter_init (&iter, world->machines);
  while (g_hash_table_iter_next (&iter, NULL, &machine))
    {
      news |= judge_machine (machine, rules, lost, why);
      if (((const GuardMachine *)machine)->unsettled)
        world->look_again = g_get_monotonic_time () + GUARD_SETTLE_USEC;
    }
  g_mutex_unlock (&world->mutex);
  if (news)
    guard_wake (world->wake_worker);
}
