// SPDX-License-Identifier: LGPL-2.1-or-later
// A hundred machines, from a file of the test driver: listing them takes as many calls to libvirt
// as listing three. The calls are counted in libvirt's own debug log, one run of this program for
// each count.
#include "facade-driver.h"

#define COUNT_VARIABLE "VMS_TEST_MACHINES"

static char *
write_driver_file (const char *home, guint n)
{
  g_autoptr (GString) xml = g_string_new ("<node>\n");
  char *path = g_strdup_printf ("%s/many-%u.xml", home, n);

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("m%03u", i);
      g_autofree char *object = _sandbox_object_name (geteuid (), "vms", name);
      char uuid[37];

      _sandbox_object_uuid (geteuid (), "vms", name, uuid);
      g_string_append_printf (
          xml,
          "<domain type='test'><name>%s</name><uuid>%s</uuid><memory>65536</memory>"
          "<os><type>hvm</type></os></domain>\n",
          object, uuid);
    }
  g_string_append (xml, "</node>\n");
  g_assert_true (g_file_set_contents (path, xml->str, xml->len, NULL));
  return path;
}

/* The part that runs as a program of its own, with libvirt's log on. */
static int
list_machines (guint n)
{
  g_autofree char *home = driver_test_home (), *file = write_driver_file (home, n);
  g_autofree char *uri = g_strconcat ("test://", file, NULL);
  g_autoptr (SandboxHost) host = driver_test_open (uri, NULL);
  g_autoptr (GPtrArray) infos = sandbox_host_list (host, SANDBOX_LIST_DEFAULT, NULL, NULL);

  g_assert_nonnull (infos);
  g_assert_cmpuint (infos->len, ==, n);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (((SandboxMachineInfo *)infos->pdata[i])->state, ==, SANDBOX_STATE_RUNNING);
  driver_test_remove_home (home);
  return 0;
}

/* Lines "TIME: TID: debug : virConnectListAllDomains:1234 : ...": one for each call of the public
 * interface. What only looks into a handle that the caller has, or gives it back, is no call to the
 * daemon. */
static guint
count_calls (const char *log)
{
  g_autoptr (GRegex) call = g_regex_new (
      " debug : vir(Connect|Domain|Network|StoragePool|StorageVol)[A-Z][A-Za-z]*:[0-9]+ : ", 0, 0,
      NULL);
  g_autoptr (GRegex) local =
      g_regex_new (" : "
                   "vir[A-Za-z]*(Free|Ref|GetName|GetUUID|GetUUIDString|GetConnect|GetKey|Close|"
                   "Dispose|Obj[A-Za-z]+|StatsRecordListFree):",
                   0, 0, NULL);
  g_auto (GStrv) lines = g_strsplit (log, "\n", -1);
  guint n = 0;

  for (char **line = lines; *line != NULL; line++)
    n += g_regex_match (call, *line, 0, NULL) && !g_regex_match (local, *line, 0, NULL);
  return n;
}

static guint
calls_for (const char *n)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL), *log = NULL, *text = NULL,
                  *outputs = NULL;
  const char *argv[] = { self, NULL };
  g_auto (GStrv) env = g_get_environ ();
  g_autoptr (GError) error = NULL;
  int status;
  int fd = g_file_open_tmp ("vms-calls-XXXXXX", &log, NULL);

  g_assert_cmpint (fd, >=, 0);
  close (fd);
  outputs = g_strconcat ("1:file:", log, NULL);
  env = g_environ_setenv (env, COUNT_VARIABLE, n, TRUE);
  env = g_environ_setenv (env, "LIBVIRT_DEBUG", "1", TRUE);
  env = g_environ_setenv (env, "LIBVIRT_LOG_OUTPUTS", outputs, TRUE);
  g_spawn_sync (NULL, (char **)argv, env, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
  g_assert_true (g_file_get_contents (log, &text, NULL, NULL));
  g_unlink (log);
  return count_calls (text);
}

static void
test_constant (void)
{
  guint three = calls_for ("3"), hundred = calls_for ("100");

  g_test_message ("%u calls for 3 machines, %u for 100", three, hundred);
  g_assert_cmpuint (three, >=, 3);
  g_assert_cmpuint (hundred, ==, three);
}

int
main (int argc, char **argv)
{
  const char *n = g_getenv (COUNT_VARIABLE);

  if (n != NULL)
    return list_machines ((guint)atoi (n));
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/many/constant-number-of-calls", test_constant);
  return g_test_run ();
}
