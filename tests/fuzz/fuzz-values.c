// SPDX-License-Identifier: LGPL-2.1-or-later
// Names, sizes, ports, networks, rules, and the escaper: what is accepted means one thing, and
// nothing that a terminal would obey comes out of the escaper.
#include "fuzz.h"

#include <string.h>
#include "base/listeners.h"
#include "base/names.h"
#include "base/netrule.h"
#include "base/portmap.h"
#include "base/units.h"

static void
check_escape (const char *text, gsize length)
{
  g_autofree char *escaped = sandbox_escape (text, (gssize)length, 200);

  g_assert_true (g_utf8_validate (escaped, -1, NULL));
  /* the limit, and the mark that something was cut */
  g_assert_cmpuint (strlen (escaped), <=, 200 + strlen ("…"));
  for (const char *p = escaped; *p; p = g_utf8_next_char (p))
    g_assert_false (g_unichar_iscntrl (g_utf8_get_char (p)));
}

/* A rule has one form that reads back as itself, and opens nothing that is never opened. */
static void
check_rules (const char *text)
{
  SandboxNetRule rule, again;

  if (sandbox_egress_parse (text, &rule, NULL))
    {
      g_autofree char *written = sandbox_net_rule_format (&rule);
      g_autofree char *rewritten = NULL;

      g_assert_true (rule.net.bits == 0 && rule.ports.first >= 1
                     && rule.ports.first <= rule.ports.last);
      g_assert_true (sandbox_egress_parse (written, &again, NULL));
      rewritten = sandbox_net_rule_format (&again);
      g_assert_cmpstr (written, ==, rewritten);
    }
  if (sandbox_allow_parse (text, &rule, NULL))
    {
      static const SandboxCidr loopback = { 127u << 24, 8 };
      g_autofree char *written = sandbox_net_rule_format (&rule);
      g_autofree char *rewritten = NULL;

      g_assert_true (rule.net.bits >= 8 && rule.net.bits <= 32);
      g_assert_false (sandbox_cidr_overlaps (&rule.net, &loopback));
      for (guint i = 0; i < SANDBOX_N_MACHINE_RANGES; i++)
        g_assert_false (sandbox_cidr_overlaps (&rule.net, &sandbox_machine_ranges[i]));
      g_assert_true (sandbox_allow_parse (written, &again, NULL));
      rewritten = sandbox_net_rule_format (&again);
      g_assert_cmpstr (written, ==, rewritten);
    }
}

static void
check_ports (const char *text)
{
  for (guint side = 0; side < 2; side++)
    {
      SandboxPortMap map, again;
      g_autofree char *written = NULL, *rewritten = NULL;

      if (!sandbox_port_map_parse ((SandboxListens)side, text, &map, NULL))
        continue;
      written = sandbox_port_map_format (&map);
      g_assert_cmpuint (sandbox_port_map_listens ((SandboxListens)side, &map)->first, >=, 1024);
      g_assert_cmpuint (map.host.last - map.host.first, ==, map.guest.last - map.guest.first);
      g_assert_true (sandbox_port_map_parse ((SandboxListens)side, written, &again, NULL));
      rewritten = sandbox_port_map_format (&again);
      g_assert_cmpstr (written, ==, rewritten);
    }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  g_autofree char *text = g_strndup ((const char *)data, length);
  guint64 bytes = 0;
  SandboxPortRange range = { 0, 0 };
  SandboxCidr cidr = { 0, 0 };

  check_escape ((const char *)data, length);
  if (sandbox_name_check ("machine", text, NULL))
    g_assert_cmpuint (strspn (text, "abcdefghijklmnopqrstuvwxyz0123456789-"), ==, strlen (text));
  if (sandbox_size_parse (text, 0, G_MAXUINT64, &bytes, NULL))
    {
      g_autofree char *written = sandbox_size_format (bytes);
      guint64 again = 0;

      g_assert_true (sandbox_size_parse (written, 0, G_MAXUINT64, &again, NULL));
      g_assert_cmpuint (again, ==, bytes);
    }
  if (sandbox_port_range_parse (text, &range, NULL))
    g_assert_true (range.first >= 1 && range.first <= range.last);
  if (sandbox_cidr_parse (text, &cidr, NULL))
    g_assert_cmpuint (cidr.bits, <=, 32);
  check_rules (text);
  check_ports (text);
  g_array_unref (sandbox_listeners_parse (text));
  return 0;
}
