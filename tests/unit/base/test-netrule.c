// SPDX-License-Identifier: LGPL-2.1-or-later
// Rules of the network policy: what is accepted, how it is written, what is never opened, and that
// writing and reading agree.
#include "base/error.h"
#include "base/netrule.h"

#include <string.h>

typedef gboolean (*ParseFunc) (const char *item, SandboxNetRule *ret_rule, GError **error);

typedef struct
{
  const char *text, *canonical; /* canonical NULL: the same */
  const char *net;
  guint first, last;
  SandboxProtocol protocol;
} Good;

static void
check_good (ParseFunc parse, const Good *rows, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *written = NULL;
      SandboxNetRule rule = { 0 };
      SandboxCidr net = { 0 };

      parse (rows[i].text, &rule, &error);
      g_assert_no_error (error);
      g_assert_true (sandbox_cidr_parse (rows[i].net, &net, NULL));
      g_assert_cmphex (rule.net.address, ==, net.address);
      g_assert_cmpuint (rule.net.bits, ==, net.bits);
      g_assert_cmpuint (rule.ports.first, ==, rows[i].first);
      g_assert_cmpuint (rule.ports.last, ==, rows[i].last);
      g_assert_cmpint (rule.protocol, ==, rows[i].protocol);
      written = sandbox_net_rule_format (&rule);
      g_assert_cmpstr (written, ==, rows[i].canonical ? rows[i].canonical : rows[i].text);
    }
}

static void
test_egress (void)
{
  static const Good rows[] = {
    { "443/tcp", NULL, "0.0.0.0/0", 443, 443, SANDBOX_TCP },
    { "1/udp", NULL, "0.0.0.0/0", 1, 1, SANDBOX_UDP },
    { "65535/udp", NULL, "0.0.0.0/0", 65535, 65535, SANDBOX_UDP },
    { "8000-8010/udp", NULL, "0.0.0.0/0", 8000, 8010, SANDBOX_UDP },
    { "80-80/tcp", "80/tcp", "0.0.0.0/0", 80, 80, SANDBOX_TCP },
    { "1-65535/tcp", NULL, "0.0.0.0/0", 1, 65535, SANDBOX_TCP },
  };

  check_good (sandbox_egress_parse, rows, G_N_ELEMENTS (rows));
}

static void
test_allow (void)
{
  static const Good rows[] = {
    { "10.0.0.5:5432/tcp", NULL, "10.0.0.5/32", 5432, 5432, SANDBOX_TCP },
    { "10.0.0.5/tcp", NULL, "10.0.0.5/32", 1, 65535, SANDBOX_TCP },
    { "10.0.0.5/32:80-80/tcp", "10.0.0.5:80/tcp", "10.0.0.5/32", 80, 80, SANDBOX_TCP },
    { "10.0.0.5:1-65535/udp", "10.0.0.5/udp", "10.0.0.5/32", 1, 65535, SANDBOX_UDP },
    { "192.168.7.0/24/udp", NULL, "192.168.7.0/24", 1, 65535, SANDBOX_UDP },
    { "10.0.0.0/24:80-90/tcp", NULL, "10.0.0.0/24", 80, 90, SANDBOX_TCP },
    { "198.51.100.7:1-65534/tcp", NULL, "198.51.100.7/32", 1, 65534, SANDBOX_TCP },
    { "100.0.0.0/8/tcp", NULL, "100.0.0.0/8", 1, 65535, SANDBOX_TCP },
    { "169.254.169.254:80/tcp", NULL, "169.254.169.254/32", 80, 80, SANDBOX_TCP },
    /* just beside what is refused */
    { "1.0.0.0/8/tcp", NULL, "1.0.0.0/8", 1, 65535, SANDBOX_TCP },
    { "126.255.255.255/tcp", NULL, "126.255.255.255/32", 1, 65535, SANDBOX_TCP },
    { "128.0.0.0/tcp", NULL, "128.0.0.0/32", 1, 65535, SANDBOX_TCP },
    { "223.255.255.255/tcp", NULL, "223.255.255.255/32", 1, 65535, SANDBOX_TCP },
    { "10.212.255.255/tcp", NULL, "10.212.255.255/32", 1, 65535, SANDBOX_TCP },
    { "10.214.0.0/16/tcp", NULL, "10.214.0.0/16", 1, 65535, SANDBOX_TCP },
    { "172.28.0.0/16/tcp", NULL, "172.28.0.0/16", 1, 65535, SANDBOX_TCP },
    { "172.30.0.0/15/tcp", NULL, "172.30.0.0/15", 1, 65535, SANDBOX_TCP },
  };

  check_good (sandbox_allow_parse, rows, G_N_ELEMENTS (rows));
}

typedef struct
{
  const char *text, *part; /* the message has it */
} Bad;

static void
check_bad (ParseFunc parse, const Bad *rows, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      SandboxNetRule rule = { .ports = { 7, 9 } };
      g_autoptr (GError) error = NULL;

      if (parse (rows[i].text, &rule, &error))
        g_error ("\"%s\" was accepted", rows[i].text);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      if (!strstr (error->message, rows[i].part))
        g_error ("\"%s\" lacks \"%s\"", error->message, rows[i].part);
      /* untouched */
      g_assert_true (rule.ports.first == 7 && rule.ports.last == 9 && rule.net.address == 0);
      g_assert_false (parse (rows[i].text, &rule, NULL));
    }
}

static void
test_bad_egress (void)
{
  static const Bad rows[] = {
    { "", "does not end with the protocol" },
    { "443", "does not end with the protocol" },
    { "tcp/80", "does not end with the protocol" },
    { "80/TCP", "does not end with the protocol" },
    { "80/icmp", "does not end with the protocol" },
    { "80/tcp/", "does not end with the protocol" },
    { "80/tcp\n", "does not end with the protocol" },
    { "any", "does not end with the protocol" },
    { "/tcp", "has no ports" },
    { "0/tcp", "\"0\" is no port" },
    { "65536/tcp", "\"65536\" is no port" },
    { "-1/tcp", "\"-1\" is no port" },
    { "80-79/tcp", "\"80-79\" is no port" },
    { "080/tcp", "\"080\" is no port" },
    { "0x50/tcp", "\"0x50\" is no port" },
    { "+80/tcp", "\"+80\" is no port" },
    { "any/tcp", "\"any\" is no port" },
    { "80,443/tcp", "has a comma" },
    { "80-90,85/tcp", "has a comma" },
    { " 80/tcp", "has a blank" },
    { "80/tcp ", "has a blank" },
    { "80 /tcp", "has a blank" },
    { "80/tcp/udp", "is more than ports and protocol" },
    { "10.0.0.5:80/tcp", "belong in allow=" },
    { "10.0.0.5/tcp", "belong in allow=" },
    { "\x1b[2J/tcp", "\\x1b[2J" },
  };

  check_bad (sandbox_egress_parse, rows, G_N_ELEMENTS (rows));
}

static void
test_bad_allow (void)
{
  static const Bad rows[] = {
    { "", "does not end with the protocol" },
    { "10.0.0.5", "does not end with the protocol" },
    { "10.0.0.0/24", "does not end with the protocol" },
    { "10.0.0.5:80", "does not end with the protocol" },
    { "10.0.0.5/TCP", "does not end with the protocol" },
    { "/tcp", "has no address" },
    { ":80/tcp", "has no address" },
    { "10.0.0.5:/tcp", "\"\" is no port" },
    { "10.0.0.5:0/tcp", "\"0\" is no port" },
    { "10.0.0.5:80-79/tcp", "\"80-79\" is no port" },
    { "10.0.0.5:80,443/tcp", "has a comma" },
    { "10.0.0.5: 80/tcp", "has a blank" },
    { "10.0.0.5:80:90/tcp", "more than one colon" },
    { "::/tcp", "there are no IPv6 addresses" },
    { "::ffff:127.0.0.1/tcp", "there are no IPv6 addresses" },
    { "fe80::1%eth0/tcp", "there are no IPv6 addresses" },
    { "443/tcp", "no IPv4 address or network but \"443\"" },
    { "127.1/tcp", "no IPv4 address" },
    { "2130706433/tcp", "no IPv4 address" },
    { "0177.0.0.1/tcp", "no IPv4 address" },
    { "10.0.0.0/33/tcp", "from 8 to 32" },
    { "10.0.0.0//tcp", "no IPv4 address" },
    { "10.0.0.0/08/tcp", "no IPv4 address" },
    { "example.org/tcp", "names are not looked up" },
    { "m\xc3\xbcnchen.example/tcp", "names are not looked up" },
    { ".x/tcp", "names are not looked up" },
    { "1.1.1.1/0/tcp", "opens too much: use a prefix length from 8 to 32, not 0" },
    { "0.0.0.0/0/tcp", "opens too much" },
    { "10.0.0.0/7/tcp", "opens too much" },
    { "10.0.0.5/8/tcp", "write 10.0.0.0/8 for the network, or 10.0.0.5 for the single address" },
    { "10.0.0.1/31/tcp", "write 10.0.0.0/31 for the network" },
    { "0.0.0.0/tcp", "lies in 0.0.0.0/8" },
    { "0.255.255.255/tcp", "lies in 0.0.0.0/8" },
    { "127.0.0.1:80/tcp", "lies in 127.0.0.0/8" },
    { "127.0.0.0/8/tcp", "lies in 127.0.0.0/8" },
    { "224.0.0.1/udp", "lies in 224.0.0.0/3" },
    { "240.0.0.0/8/udp", "lies in 224.0.0.0/3" },
    { "255.255.255.255/udp", "lies in 224.0.0.0/3" },
    { "10.0.0.0/8/tcp", "overlaps 10.213.0.0/16" },
    { "10.213.0.0/16/tcp", "overlaps 10.213.0.0/16" },
    { "10.213.255.255/tcp", "overlaps 10.213.0.0/16" },
    { "172.16.0.0/12/tcp", "overlaps 172.29.0.0/16" },
    { "172.29.3.4:22/tcp", "overlaps 172.29.0.0/16" },
  };

  check_bad (sandbox_allow_parse, rows, G_N_ELEMENTS (rows));
}

static void
test_round_trip (void)
{
  guint accepted = 0;

  for (guint i = 0; i < 20000; i++)
    {
      guint bits = (guint)g_test_rand_int_range (8, 33);
      guint32 mask = G_MAXUINT32 << (32 - bits);
      guint16 first = (guint16)g_test_rand_int_range (1, 65536);
      SandboxNetRule again = { 0 }, rule = {
        .net = { (guint32)g_test_rand_int () & mask, (guint8)bits },
        .ports = { first, (guint16)g_test_rand_int_range (first, 65536) },
        .protocol = g_test_rand_bit () ? SANDBOX_TCP : SANDBOX_UDP,
      };
      g_autofree char *text = sandbox_net_rule_format (&rule);

      if (!sandbox_allow_parse (text, &again, NULL))
        continue; /* one of the closed ranges */
      accepted++;
      g_assert_cmphex (again.net.address, ==, rule.net.address);
      g_assert_cmpuint (again.net.bits, ==, rule.net.bits);
      g_assert_cmpuint (again.ports.first, ==, rule.ports.first);
      g_assert_cmpuint (again.ports.last, ==, rule.ports.last);
      g_assert_cmpint (again.protocol, ==, rule.protocol);
    }
  g_assert_cmpuint (accepted, >, 10000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/netrule/egress", test_egress);
  g_test_add_func ("/netrule/allow", test_allow);
  g_test_add_func ("/netrule/bad-egress", test_bad_egress);
  g_test_add_func ("/netrule/bad-allow", test_bad_allow);
  g_test_add_func ("/netrule/round-trip", test_round_trip);
  return g_test_run ();
}
