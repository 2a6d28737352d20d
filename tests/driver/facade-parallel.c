// SPDX-License-Identifier: LGPL-2.1-or-later
// Two hundred starts, stops and destroys of ten machines at once, in an order that a seed draws:
// each ends in success or in an error that says what stood in its way, and what is left at the end
// is what was there before.
#include "facade-driver.h"

#define MACHINES 10
#define THREADS  20
#define ACTIONS  10 /* of each thread */

typedef struct
{
  SandboxHost *host;
  guint32 seed;
  guint done[3];
} Job;

static void
assert_known (const GError *error, const char *what)
{
  if (error != NULL && !g_error_matches (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE)
      && !g_error_matches (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    g_error ("%s: %s", what, error->message);
}

static gpointer
act (gpointer data)
{
  Job *job = data;
  g_autoptr (GRand) random = g_rand_new_with_seed (job->seed);

  for (guint i = 0; i < ACTIONS; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%d", g_rand_int_range (random, 0, MACHINES));
      g_autoptr (SandboxMachine) machine = driver_test_lookup (job->host, name);
      g_autoptr (GError) error = NULL;
      int action = g_rand_int_range (random, 0, 3);
      gboolean ok;

      if (action == 0)
        ok = sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error);
      else if (action == 1)
        ok = sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, &error);
      else
        ok = sandbox_machine_destroy (machine, FALSE, NULL, NULL, NULL, &error);
      g_assert_true (ok == (error == NULL));
      assert_known (error, name);
      job->done[action] += ok;
    }
  return NULL;
}

static guint
open_files (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* The machines that there are of more than a profile. */
static char *
machines (SandboxHost *host)
{
  g_autoptr (GPtrArray) infos = sandbox_host_list (host, SANDBOX_LIST_DEFAULT, NULL, NULL);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < infos->len; i++)
    {
      const SandboxMachineInfo *info = infos->pdata[i];

      if (info->state != SANDBOX_STATE_NEW)
        g_string_append_printf (text, "%s is %s\n", info->name,
                                sandbox_state_to_string (info->state));
    }
  return g_string_free (text, FALSE);
}

static void
assert_nothing_left (SandboxHost *host)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) orphans = sandbox_host_repair (host, FALSE, NULL, NULL, NULL, &error);
  g_autofree char *left = machines (host);

  g_assert_no_error (error);
  g_assert_cmpuint (orphans->len, ==, 0);
  g_assert_cmpstr (left, ==, "");
  for (guint i = 0; i < MACHINES; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);
      g_autoptr (SandboxMachine) machine = driver_test_lookup (host, name);

      driver_test_assert_nothing (machine);
      g_assert_false (g_file_test (machine->state_path, G_FILE_TEST_EXISTS));
    }
}

/* Small disks: the pool of the test driver is no large one. */
static void
make_machines (SandboxHost *host)
{
  g_autofree char *directory = g_build_filename (g_get_user_config_dir (), "vms", NULL);

  g_assert_cmpint (g_mkdir_with_parents (directory, 0700), ==, 0);
  for (guint i = 0; i < MACHINES; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);
      g_autofree char *path = g_strdup_printf ("%s/%s.profile", directory, name);
      g_autoptr (SandboxMachine) machine = NULL;

      g_assert_true (
          g_file_set_contents (path, "[profile]\ninherits=ci\n[machine]\ndisk=8GiB\n", -1, NULL));
      machine = driver_test_lookup (host, name);
      /* what is opened once for all is open now */
      driver_test_start (machine);
      driver_test_destroy (machine, FALSE);
    }
}

static void
test_two_hundred (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  GThread *threads[THREADS];
  Job jobs[THREADS];
  guint done[3] = { 0 }, before;

  host->lock_wait_usec = -1;
  make_machines (host);
  before = open_files ();
  for (guint i = 0; i < THREADS; i++)
    {
      jobs[i] = (Job){ .host = host, .seed = (guint32)g_test_rand_int () };
      threads[i] = g_thread_new ("job", act, &jobs[i]);
    }
  for (guint i = 0; i < THREADS; i++)
    {
      g_thread_join (threads[i]);
      for (guint k = 0; k < G_N_ELEMENTS (done); k++)
        done[k] += jobs[i].done[k];
    }
  g_test_message ("%u started, %u stopped, %u destroyed", done[0], done[1], done[2]);
  g_assert_cmpuint (done[0], >, 30);
  g_assert_cmpuint (done[1], >, 0);
  g_assert_cmpuint (done[2], >, 0);
  for (guint i = 0; i < MACHINES; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);
      g_autoptr (SandboxMachine) machine = driver_test_lookup (host, name);
      g_autoptr (GError) error = NULL;

      sandbox_machine_destroy (machine, FALSE, NULL, NULL, NULL, &error);
      assert_known (error, name);
    }
  assert_nothing_left (host);
  g_assert_cmpuint (open_files (), ==, before);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/parallel/two-hundred", test_two_hundred);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
