// SPDX-License-Identifier: LGPL-2.1-or-later
// Forwarded ports: the strict reader, and the writer of the one canonical form.
#include "base/portmap.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define FORM       "write PORT, FIRST-LAST or HOST:GUEST, such as \"3000\", \"8000-9000\" or \"8080:80\""
#define LEAST_PORT 1024

static gboolean
read_ports (const char *item, const char *text, SandboxPortRange *ret_ports, GError **error)
{
  return sandbox_port_range_parse (text, ret_ports, error) || sandbox_prefix_item (error, item);
}

static guint
range_length (const SandboxPortRange *range)
{
  return (guint)range->last - range->first + 1;
}

/* What people write out of habit with other tools, each with its own answer. */
static gboolean
check_form (SandboxListens kind, const char *item, GError **error)
{
  const char *colon = strchr (item, ':');

  if (strchr (item, ' '))
    return sandbox_fail_item (error, item, "has a blank: separate items with ; alone");
  if (strchr (item, ','))
    return sandbox_fail_item (error, item, "has a comma: separate items with ; and %s", FORM);
  if (strchr (item, '/'))
    return sandbox_fail_item (
        error, item, "has a slash: only TCP is forwarded, there is no protocol to say; %s", FORM);
  if (strpbrk (item, ".[*") || (colon && strchr (colon + 1, ':')))
    return sandbox_fail_item (
        error, item, "is more than ports: %s; %s", FORM,
        kind == SANDBOX_LISTENS_ON_HOST
            ? "forwarded ports are on 127.0.0.1 of this host, never on another address"
            : "what is offered are services on 127.0.0.1 of this host, on every "
              "address of the machine");
  return TRUE;
}

static gboolean
check_least (SandboxListens kind, const char *item, const SandboxPortMap *map, GError **error)
{
  const SandboxPortRange *listens = sandbox_port_map_listens (kind, map);

  if (listens->first >= LEAST_PORT)
    return TRUE;
  if (kind == SANDBOX_LISTENS_IN_GUEST)
    return sandbox_fail_item (
        error, item,
        "would listen on port %u of the machine, and ports below %d are for its root "
        "only: give it another number there, such as %u:%u",
        listens->first, LEAST_PORT, map->host.first, map->guest.first + 8000u);
  return sandbox_fail_item (
      error, item,
      "would listen on port %u of this host, and ports below %d are for root only: "
      "give it another number here, such as %u:%u",
      listens->first, LEAST_PORT, map->host.first + 8000u, map->guest.first);
}

gboolean
sandbox_port_map_parse (SandboxListens kind, const char *item, SandboxPortMap *ret_map,
                        GError **error)
{
  g_auto (GStrv) sides = g_strsplit (item, ":", 2);
  SandboxPortMap map;

  if (item[0] == '\0')
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "there is no port: %s", FORM);
  if (!check_form (kind, item, error) || !read_ports (item, sides[0], &map.host, error))
    return FALSE;
  map.guest = map.host;
  if (sides[1] && !read_ports (item, sides[1], &map.guest, error))
    return FALSE;
  if (range_length (&map.host) != range_length (&map.guest))
    return sandbox_fail_item (
        error, item,
        "has %u ports on the host's side and %u on the machine's: write as many on "
        "both",
        range_length (&map.host), range_length (&map.guest));
  if (!check_least (kind, item, &map, error))
    return FALSE;
  *ret_map = map;
  return TRUE;
}

static void
append_range (GString *text, const SandboxPortRange *range)
{
  g_string_append_printf (text, "%u", range->first);
  if (range->first != range->last)
    g_string_append_printf (text, "-%u", range->last);
}

char *
sandbox_port_map_format (const SandboxPortMap *map)
{
  GString *text = g_string_new (NULL);

  append_range (text, &map->host);
  if (map->host.first != map->guest.first)
    {
      g_string_append_c (text, ':');
      append_range (text, &map->guest);
    }
  return g_string_free (text, FALSE);
}

const SandboxPortRange *
sandbox_port_map_listens (SandboxListens kind, const SandboxPortMap *map)
{
  return kind == SANDBOX_LISTENS_ON_HOST ? &map->host : &map->guest;
}

gboolean
sandbox_port_ranges_overlap (const SandboxPortRange *a, const SandboxPortRange *b)
{
  return a->first <= b->last && b->first <= a->last;
}

/* "8080:80" beside "8000-9000": an exception to the range. "8080" beside it would say nothing. */
static gboolean
is_exception (const SandboxPortMap *single, const SandboxPortMap *range)
{
  return range_length (&single->host) == 1 && range_length (&range->host) > 1
         && single->host.first - range->host.first != single->guest.first - range->guest.first;
}

static gboolean
check_pair (SandboxListens kind, const SandboxPortMap *a, const SandboxPortMap *b, GError **error)
{
  const SandboxPortRange *mine = sandbox_port_map_listens (kind, b);
  const SandboxPortRange *other = sandbox_port_map_listens (kind, a);
  g_autofree char *a_text = NULL, *b_text = NULL;

  if (!sandbox_port_ranges_overlap (mine, other) || is_exception (a, b) || is_exception (b, a))
    return TRUE;
  a_text = sandbox_port_map_format (a);
  b_text = sandbox_port_map_format (b);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "\"%s\" and \"%s\" both listen on port %u of %s: write each port once",
                       a_text, b_text, MAX (mine->first, other->first),
                       kind == SANDBOX_LISTENS_ON_HOST ? "this host" : "the machine");
}

gboolean
sandbox_port_maps_check (SandboxListens kind, const GArray *maps, GError **error)
{
  guint max = kind == SANDBOX_LISTENS_ON_HOST ? SANDBOX_FORWARD_PORTS_MAX : SANDBOX_HOST_PORTS_MAX;
  guint ports = 0;

  for (guint i = 0; i < maps->len; i++)
    {
      const SandboxPortMap *map = &g_array_index (maps, SandboxPortMap, i);

      ports += range_length (&map->host);
      for (guint k = 0; k < i; k++)
        if (!check_pair (kind, &g_array_index (maps, SandboxPortMap, k), map, error))
          return FALSE;
    }
  return ports <= max
         || sandbox_fail (error, SANDBOX_ERROR_INVALID, "the list has %u ports: use at most %u",
                          ports, max);
}
