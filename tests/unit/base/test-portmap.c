// SPDX-License-Identifier: LGPL-2.1-or-later
// Forwarded ports as text: the one form, what listens, what goes together; and the kernel's tables.
#include "base/listeners.h"
#include "base/portmap.h"

#include <gio/gio.h>

#include <string.h>
#include <unistd.h>

static void
test_forms (void)
{
  static const struct
  {
    const char *text, *form;
    SandboxPortMap map;
  } rows[] = {
    { "3000", "3000", { { 3000, 3000 }, { 3000, 3000 } } },
    { "3000-3000", "3000", { { 3000, 3000 }, { 3000, 3000 } } },
    { "3000:3000", "3000", { { 3000, 3000 }, { 3000, 3000 } } },
    { "8080:80", "8080:80", { { 8080, 8080 }, { 80, 80 } } },
    { "8000-9000", "8000-9000", { { 8000, 9000 }, { 8000, 9000 } } },
    { "65535", "65535", { { 65535, 65535 }, { 65535, 65535 } } },
    { "3000-3010:1-11", "3000-3010:1-11", { { 3000, 3010 }, { 1, 11 } } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      SandboxPortMap map;
      g_autofree char *form = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_true (sandbox_port_map_parse (SANDBOX_LISTENS_ON_HOST, rows[i].text, &map, &error));
      g_assert_no_error (error);
      g_assert_cmpmem (&map, sizeof map, &rows[i].map, sizeof map);
      form = sandbox_port_map_format (&map);
      g_assert_cmpstr (form, ==, rows[i].form);
    }
}

/* parse(format(m)) == m, whichever side listens. */
static void
test_property (void)
{
  for (guint round = 0; round < 20000; round++)
    {
      gint32 length = g_test_rand_int_range (0, 3000);
      gint32 host = g_test_rand_int_range (1, 65536 - length);
      gint32 guest = g_test_rand_bit () ? host : g_test_rand_int_range (1, 65536 - length);
      SandboxPortMap map = { { (guint16)host, (guint16)(host + length) },
                             { (guint16)guest, (guint16)(guest + length) } };
      g_autofree char *text = sandbox_port_map_format (&map);

      for (guint side = 0; side < 2; side++)
        {
          const SandboxPortRange *listens = sandbox_port_map_listens ((SandboxListens)side, &map);
          SandboxPortMap again;
          gboolean good = sandbox_port_map_parse ((SandboxListens)side, text, &again, NULL);

          g_assert_true (good == (listens->first >= 1024));
          if (good)
            g_assert_cmpmem (&again, sizeof again, &map, sizeof map);
        }
    }
}

static gboolean
together (SandboxListens side, const char *items)
{
  g_autoptr (GArray) maps = g_array_new (FALSE, FALSE, sizeof (SandboxPortMap));
  g_auto (GStrv) parts = g_strsplit (items, ";", -1);

  for (guint i = 0; parts[i]; i++)
    {
      SandboxPortMap map;

      g_assert_true (sandbox_port_map_parse (side, parts[i], &map, NULL));
      g_array_append_val (maps, map);
    }
  return sandbox_port_maps_check (side, maps, NULL);
}

static void
test_together (void)
{
  g_assert_true (together (SANDBOX_LISTENS_ON_HOST, "8000-9000;3000;8080:80"));
  g_assert_true (together (SANDBOX_LISTENS_ON_HOST, "8080:80;8000-9000"));
  g_assert_true (together (SANDBOX_LISTENS_ON_HOST, "3000:80;3001:80"));
  g_assert_false (together (SANDBOX_LISTENS_ON_HOST, "8000-9000;8080"));
  g_assert_false (together (SANDBOX_LISTENS_ON_HOST, "8000-8100;8100-8200"));
  g_assert_false (together (SANDBOX_LISTENS_ON_HOST, "8080:80;8080:81"));
  g_assert_false (together (SANDBOX_LISTENS_IN_GUEST, "80:8080;81:8080"));
  g_assert_true (together (SANDBOX_LISTENS_IN_GUEST, "80:8080;80:8081"));
  g_assert_true (together (SANDBOX_LISTENS_ON_HOST, "2000-6095"));
  g_assert_false (together (SANDBOX_LISTENS_ON_HOST, "2000-6096"));
  g_assert_true (together (SANDBOX_LISTENS_IN_GUEST, "2000-2255"));
  g_assert_false (together (SANDBOX_LISTENS_IN_GUEST, "2000-2254;3000;3001"));
}

#define ROW(local, state, inode)                                                                   \
  "   0: " local " 00000000:0000 " state                                                           \
  " 00000000:00000000 00:00000000 00000000  1013        0 " inode                                  \
  " 1 0000000000000000 100 0 0 10 0\n"

/* Each kind of row that counts, and none of those that do not. */
static void
test_table (void)
{
  static const char text[] =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n" ROW ("0100007F:1F90", "0A", "11") ROW ("00000000:0016", "0A", "12") ROW (
          "0100007F:1F91", "01", "13") ROW ("00000000000000000000000000000000:1F92", "0A", "14")
          ROW ("0000000000000000FFFF00000100007F:1F93", "0A", "15") ROW (
              "00000000000000000000000001000000:1F94", "0A", "16") ROW ("0100007F:1F9", "0A", "17")
              ROW ("0100007G:1F90", "0A", "18") "garbage\n 1: \n" ROW (
                  "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF:1F90", "0A", "19");
  static const SandboxListener want[] = {
    { 0x7f000001, 8080, 1013, 11 },
    { 0, 22, 1013, 12 },
    { 0, 8082, 1013, 14 },
    { 0x7f000001, 8083, 1013, 15 },
  };
  g_autoptr (GArray) have = sandbox_listeners_parse (text);

  g_assert_cmpuint (have->len, ==, G_N_ELEMENTS (want));
  for (guint i = 0; i < have->len; i++)
    {
      const SandboxListener *listener = &g_array_index (have, SandboxListener, i);

      g_assert_cmpuint (listener->address, ==, want[i].address);
      g_assert_cmpuint (listener->port, ==, want[i].port);
      g_assert_cmpuint (listener->uid, ==, want[i].uid);
      g_assert_cmpuint (listener->inode, ==, want[i].inode);
    }
}

/* A port that we listen on ourselves is not free, and we are who has it. */
static void
test_holder (void)
{
  g_autoptr (GSocketListener) socket = g_socket_listener_new ();
  g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new (loopback, 0);
  g_autoptr (GSocketAddress) got = NULL;
  g_autoptr (GArray) listeners = NULL;
  g_autoptr (GArray) inodes = g_array_new (FALSE, FALSE, sizeof (guint64));
  g_autoptr (GHashTable) holders = NULL;
  const SandboxHolder *holder;
  guint16 port;

  g_assert_true (g_socket_listener_add_address (socket, any, G_SOCKET_TYPE_STREAM,
                                                G_SOCKET_PROTOCOL_TCP, NULL, &got, NULL));
  port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (got));
  g_assert_false (sandbox_port_is_free (port));
  listeners = sandbox_listeners_read ();
  for (guint i = 0; i < listeners->len; i++)
    if (g_array_index (listeners, SandboxListener, i).port == port)
      g_array_append_val (inodes, g_array_index (listeners, SandboxListener, i).inode);
  g_assert_cmpuint (inodes->len, ==, 1);
  holders = sandbox_holders_find (inodes);
  holder = g_hash_table_lookup (holders, &g_array_index (inodes, guint64, 0));
  g_assert_nonnull (holder);
  g_assert_cmpint (holder->pid, ==, getpid ());
  g_assert_true (sandbox_holder_has_argument (holder, "--of-this-test"));
  g_assert_false (sandbox_holder_has_argument (holder, "--of-this"));
  g_socket_listener_close (socket);
  g_assert_true (sandbox_port_is_free (port));
}

int
main (int argc, char **argv)
{
  char *own[] = { argv[0], (char *)"--of-this-test", NULL };

  /* the kernel shows what the program was started with: start it so */
  if (!g_getenv ("OF_THIS_TEST"))
    {
      g_setenv ("OF_THIS_TEST", "1", TRUE);
      execv ("/proc/self/exe", own);
      return 1;
    }
  argc = 1;
  argv[1] = NULL;
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/portmap/forms", test_forms);
  g_test_add_func ("/portmap/property", test_property);
  g_test_add_func ("/portmap/together", test_together);
  g_test_add_func ("/listeners/table", test_table);
  g_test_add_func ("/listeners/holder", test_holder);
  return g_test_run ();
}
