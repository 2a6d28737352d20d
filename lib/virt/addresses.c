// SPDX-License-Identifier: LGPL-2.1-or-later
// The IPv4 addresses that this host has, and what is near it: the networks on its wires, and its
// routers.

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include "base/error.h"
#include "virt/virt-private.h"

/* The gateways of machines: in closed ranges, and they come and go. "vms" and ten digits of a hash.
 */
static gboolean
is_machine_bridge (const char *name)
{
  return g_str_has_prefix (name, "vms") && strlen (name) == 13
         && strspn (name + 3, "0123456789abcdef") == 10;
}

static gint
compare_texts (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(const char *const *)a, *(const char *const *)b);
}

/* FALSE for what is no IPv4 address. */
static gboolean
read_address (const struct sockaddr *from, guint32 *ret_address)
{
  struct sockaddr_in in;

  if (from == NULL || from->sa_family != AF_INET)
    return FALSE;
  memcpy (&in, from, sizeof in);
  *ret_address = ntohl (in.sin_addr.s_addr);
  return TRUE;
}

/* @text: (transfer full) */
static void
add_once (GPtrArray *texts, char *text)
{
  if (g_ptr_array_find_with_equal_func (texts, text, g_str_equal, NULL))
    g_free (text);
  else
    g_ptr_array_add (texts, text);
}

static void
add_net (GPtrArray *nets, guint32 address, guint32 mask)
{
  g_autofree char *text = sandbox_address_format (address & mask);
  guint bits = 0;

  while (bits < 32 && mask & 0x80000000u >> bits)
    bits++;
  if (bits > 0)
    add_once (nets, g_strdup_printf ("%s/%u", text, bits));
}

/* Where an address has a peer, the network is the peer's. The same field has the broadcast address
 * of those that have none. */
static void
add_nets (const struct ifaddrs *item, guint32 address, GPtrArray *nets)
{
  guint32 mask, other;

  if (!read_address (item->ifa_netmask, &mask))
    mask = G_MAXUINT32;
  if (!read_address (item->ifa_dstaddr, &other) || other == G_MAXUINT32)
    other = address;
  if ((other & mask) != (address & mask))
    add_net (nets, other, mask);
  else if (mask != G_MAXUINT32)
    add_net (nets, address, mask);
}

/* By address, not by interface: an address of the host's may be on lo, too. */
static void
read_interface (const struct ifaddrs *item, GPtrArray *addresses, GPtrArray *nets)
{
  guint32 address;

  if (!read_address (item->ifa_addr, &address) || address >> 24 == IN_LOOPBACKNET
      || is_machine_bridge (item->ifa_name))
    return;
  add_once (addresses, sandbox_address_format (address));
  add_nets (item, address, nets);
}

/* Interfaces with neighbours: no tunnel, which leads elsewhere, and no machine's bridge.
 * (transfer full) */
static GHashTable *
find_wires (const struct ifaddrs *list)
{
  GHashTable *wires = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (const struct ifaddrs *item = list; item; item = item->ifa_next)
    if (!(item->ifa_flags & (IFF_LOOPBACK | IFF_POINTOPOINT | IFF_NOARP))
        && !is_machine_bridge (item->ifa_name))
      g_hash_table_add (wires, g_strdup (item->ifa_name));
  return wires;
}

/* "A;B", sorted. */
static void
join (GPtrArray *texts, char **ret_text)
{
  g_ptr_array_sort (texts, compare_texts);
  g_ptr_array_add (texts, NULL);
  g_free (*ret_text);
  *ret_text = g_strjoinv (";", (char **)texts->pdata);
}

gboolean
_sandbox_virt_read_host_addresses (SandboxFacts *facts, const char *route_text, GError **error)
{
  g_autoptr (GPtrArray) addresses = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) routers = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) nets = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) wires = NULL;
  struct ifaddrs *list = NULL;

  if (getifaddrs (&list) < 0)
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "Cannot read the addresses of this host (%s): machines must not reach "
                         "them, so the network filter needs to know them all. Look at what forbids "
                         "netlink sockets here (a container, a seccomp filter, too many open "
                         "files), then try again",
                         g_strerror (errno));
  for (const struct ifaddrs *item = list; item; item = item->ifa_next)
    read_interface (item, addresses, nets);
  wires = find_wires (list);
  freeifaddrs (list);
  _sandbox_virt_read_neighbours (routers, route_text, wires);
  for (guint i = 0; i < routers->len; i++)
    add_once (nets, g_strdup (routers->pdata[i]));
  join (addresses, &facts->host_addresses);
  join (nets, &facts->lan_nets);
  return TRUE;
}
