// SPDX-License-Identifier: LGPL-2.1-or-later
// Lists cost a fixed number of libvirt calls, however many objects there are: counted in libvirt's
// own log.

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "common.h"

static char *program;

/* A test driver with @count domains, networks and volumes. */
static char *
write_node (const char *dir, int count)
{
  g_autoptr (GString) text = g_string_new ("<node>");
  char *path = g_strdup_printf ("%s/node-%d.xml", dir, count);

  for (int i = 0; i < count; i++)
    {
      g_string_append_printf (text,
                              "<domain type='test'><name>vms-0-m%d</name><memory>65536</memory>"
                              "<os><type>hvm</type></os></domain>",
                              i);
      g_string_append_printf (text,
                              "<network><name>vms-0-m%d</name><bridge name='vms%d'/>"
                              "<ip address='10.213.%d.1' prefix='29'/></network>",
                              i, i, i);
    }
  g_string_append (text, "<pool type='dir'><name>vms</name><target><path>/vms</path></target>");
  for (int i = 0; i < count; i++)
    g_string_append_printf (text,
                            "<volume><name>vms-0-m%d.qcow2</name><capacity>1000</capacity>"
                            "<allocation>0</allocation></volume>",
                            i);
  g_string_append (text, "</pool></node>");
  g_assert_true (g_file_set_contents (path, text->str, text->len, NULL));
  return path;
}

/* The child: lists everything; its libvirt writes a log. */
static int
list_all (const char *uri, guint count)
{
  g_autoptr (SandboxVirt) virt = connect_to (uri);
  g_autoptr (GPtrArray) domains = _sandbox_virt_list_domains (virt, "vms-", NULL);
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (virt, "vms-", FALSE, NULL);
  g_auto (GStrv) networks = _sandbox_virt_list_networks (virt, "vms-", NULL);

  g_assert_cmpuint (domains->len, ==, count);
  g_assert_cmpuint (volumes->len, ==, count);
  g_assert_cmpuint (g_strv_length (networks), ==, count);
  return 0;
}

/* What needs no answer of the daemon. */
static gboolean
is_local (const char *function)
{
  return g_str_has_suffix (function, "Free") || g_str_has_suffix (function, "Ref")
         || g_str_has_suffix (function, "GetName") || strstr (function, "GetUUID")
         || g_str_has_suffix (function, "GetConnect") || strstr (function, "TypedParam");
}

/* Lines such as "…: debug : virDomainGetState:2600 : dom=…" of libvirt's public functions. */
static guint
count_calls (const char *log_path)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint count = 0;

  g_assert_true (g_file_get_contents (log_path, &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (gsize i = 0; lines[i]; i++)
    {
      const char *mark = strstr (lines[i], ": debug : vir");
      g_autofree char *function = NULL;

      if (!mark)
        continue;
      mark += strlen (": debug : ");
      function = g_strndup (mark, strcspn (mark, ":"));
      if (is_local (function))
        continue;
      g_test_message ("%s", function);
      count++;
    }
  return count;
}

static guint
count_for (const char *dir, int count)
{
  g_autofree char *node = write_node (dir, count);
  g_autofree char *uri = g_strconcat ("test://", node, NULL);
  g_autofree char *log_path = g_strdup_printf ("%s/log-%d", dir, count);
  g_autofree char *number = g_strdup_printf ("%d", count);
  g_auto (GStrv) env = g_get_environ ();
  g_autoptr (GError) error = NULL;
  const char *argv[] = { program, "--list", uri, number, NULL };
  int status = -1;
  guint calls;

  // the public functions have log categories of their own
  env = g_environ_setenv (env, "LIBVIRT_LOG_FILTERS", "1:libvirt.", TRUE);
  {
    g_autofree char *output = g_strconcat ("1:file:", log_path, NULL);

    env = g_environ_setenv (env, "LIBVIRT_LOG_OUTPUTS", output, TRUE);
  }
  g_spawn_sync (NULL, (char **)argv, env, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, &error));
  calls = count_calls (log_path);
  g_unlink (log_path);
  g_unlink (node);
  return calls;
}

static void
test_calls (void)
{
  g_autofree char *dir = g_dir_make_tmp ("sandbox-test-virt-XXXXXX", NULL);
  guint few = count_for (dir, 3);
  guint many = count_for (dir, 100);

  g_test_message ("%u calls for 3 objects, %u for 100", few, many);
  g_assert_cmpuint (few, >, 3);
  g_assert_cmpuint (few, <, 20);
  g_assert_cmpuint (few, ==, many);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  if (argc == 4 && g_str_equal (argv[1], "--list"))
    return list_all (argv[2], g_ascii_strtoull (argv[3], NULL, 10));
  program = argv[0];
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virt/calls", test_calls);
  return g_test_run ();
}
