// SPDX-License-Identifier: LGPL-2.1-or-later
// The addresses of this host: all of them, or an error; never a part.

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/error.h"
#include "virt/virt-private.h"

static void
test_read (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) texts = NULL;

  g_assert_true (_sandbox_virt_read_host_addresses (facts, "", &error));
  g_assert_no_error (error);
  texts = g_strsplit (facts->host_addresses, ";", -1);
  for (char **text = texts; *text; text++)
    {
      SandboxCidr address;

      g_assert_true (sandbox_cidr_parse (*text, &address, NULL));
      g_assert_cmpuint (address.address >> 24, !=, 127);
    }
}

/* No file descriptor is left, so that the kernel cannot be asked. */
static void
test_refused (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (GError) error = NULL;
  struct rlimit before, none;
  gboolean done;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  none = before;
  none.rlim_cur = 0;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &none), ==, 0);
  done = _sandbox_virt_read_host_addresses (facts, "", &error);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &before), ==, 0);
  g_assert_false (done);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
  g_assert_nonnull (strstr (error->message, "addresses of this host"));
  g_assert_cmpstr (facts->host_addresses, ==, "");
}

/* In a network namespace of its own: an address on lo, a network on a wire, one that only a route
 * names, the network of a peer, the other end of a link, a router; and what is none of these: what
 * a tunnel leads to, and a machine's bridge. */
static void
test_namespace (void)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *routes = NULL;

  if (!g_test_subprocess ())
    {
      if (geteuid () != 0 || system ("unshare -n true") != 0)
        {
          g_test_skip ("only root can make a network namespace");
          return;
        }
      g_test_trap_subprocess (NULL, 20 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
      g_test_trap_assert_passed ();
      g_test_trap_assert_stdout ("*<198.51.100.1;198.51.100.130;198.51.100.20;198.51.100.77>*");
      g_test_trap_assert_stdout (
          "*<198.51.100.128/26;198.51.100.2/32;198.51.100.208/29;198.51.100.3/32;"
          "198.51.100.32/28;198.51.100.9/32>*");
      return;
    }
  g_assert_cmpint (unshare (CLONE_NEWNET), ==, 0);
  g_assert_cmpint (
      system (
          "ip address add 198.51.100.77/32 dev lo && ip tuntap add tun0 mode tun "
          "&& ip address add 198.51.100.1 peer 198.51.100.2 dev tun0 "
          "&& ip link add wire0 type bridge && ip address add 198.51.100.130/26 dev wire0 "
          "&& ip link add vms0123456789 type bridge "
          "&& ip address add 198.51.100.241/29 dev vms0123456789 && ip link set wire0 up "
          "&& ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set tun0 up "
          "&& ip address add 198.51.100.20 peer 198.51.100.33/28 dev v0 "
          "&& ip route add 198.51.100.208/29 dev wire0 "
          "&& ip route add 198.51.100.216/29 dev tun0 "
          "&& ip route add default via 198.51.100.3 dev wire0 onlink "
          "&& ip route add 198.51.100.192/28 via 198.51.100.9 dev wire0 onlink"),
      ==, 0);
  g_assert_true (g_file_get_contents ("/proc/net/route", &routes, NULL, NULL));
  g_assert_true (_sandbox_virt_read_host_addresses (facts, routes, &error));
  g_print ("<%s>\n<%s>\n", facts->host_addresses, facts->lan_nets);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virt/addresses/read", test_read);
  g_test_add_func ("/virt/addresses/refused", test_refused);
  g_test_add_func ("/virt/addresses/namespace", test_namespace);
  return g_test_run ();
}
