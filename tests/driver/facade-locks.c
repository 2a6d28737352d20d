// SPDX-License-Identifier: LGPL-2.1-or-later
// Two processes and one machine: the second waits, or is told who holds the lock; a killed one
// holds nothing.
#include "facade-driver.h"

#include <signal.h>
#include <sys/wait.h>

/* A process that holds the lock of "work" as a start would; it says when through the pipe, then
 * sleeps. Forked before this process talks to libvirt, which has threads. */
static pid_t
hold_lock (guint hold_msec, SandboxHost *host)
{
  int ready[2];
  char byte;
  pid_t pid;

  g_assert_true (g_unix_open_pipe (ready, 0, NULL));
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      sandbox_autofd int fd = _sandbox_host_state_fd (host, TRUE, NULL);
      SandboxLock *lock =
          sandbox_lock_acquire (fd, "work.lock", "start work", 0, NULL, NULL, NULL, NULL);

      if (lock == NULL || write (ready[1], "x", 1) != 1)
        _exit (1);
      g_usleep (hold_msec * 1000);
      sandbox_lock_remove (lock);
      _exit (0);
    }
  close (ready[1]);
  g_assert_cmpint (read (ready[0], &byte, 1), ==, 1);
  close (ready[0]);
  return pid;
}

static void
test_busy (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) orphans = NULL;
  pid_t pid = hold_lock (60 * 1000, host);
  g_autofree char *number = g_strdup_printf ("%d", (int)pid);

  host->lock_wait_usec = 0;
  g_assert_false (sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  g_assert_nonnull (strstr (error->message, "start work"));
  g_assert_nonnull (strstr (error->message, number));
  g_clear_error (&error);
  /* Nor does repair take what somebody holds. */
  orphans = sandbox_host_repair (host, TRUE, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (orphans->len, ==, 0);
  kill (pid, SIGKILL);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  /* The file is there, its holder is not. */
  g_assert_true (sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  driver_test_destroy (machine, FALSE);
  driver_test_assert_nothing (machine);
}

static void
test_wait (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (GString) said = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  pid_t pid = hold_lock (400, host);

  g_assert_true (sandbox_machine_start (machine, NULL, driver_test_record, said, NULL, &error));
  g_assert_no_error (error);
  g_assert_nonnull (strstr (said->str, "lock: waiting for "));
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  driver_test_destroy (machine, FALSE);
}

static void
test_cancel_waiting (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  pid_t pid = hold_lock (60 * 1000, host);

  g_cancellable_cancel (cancellable);
  g_assert_false (sandbox_machine_start (machine, NULL, NULL, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  kill (pid, SIGKILL);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
}

typedef struct
{
  SandboxHost *host;
  const char *name;
} Job;

static gpointer
start_and_destroy (gpointer data)
{
  const Job *job = data;
  g_autoptr (SandboxMachine) machine = driver_test_lookup (job->host, job->name);

  for (guint i = 0; i < 20; i++)
    {
      driver_test_start (machine);
      driver_test_destroy (machine, FALSE);
    }
  return NULL;
}

/* Several machines at once, and two threads that fight for the same one. */
static void
test_threads (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  Job jobs[] = { { host, "work" }, { host, "work" }, { host, "personal" }, { host, "ci" } };
  GThread *threads[G_N_ELEMENTS (jobs)];

  host->lock_wait_usec = -1;
  for (gsize i = 0; i < G_N_ELEMENTS (jobs); i++)
    threads[i] = g_thread_new ("job", start_and_destroy, &jobs[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (jobs); i++)
    g_thread_join (threads[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (jobs); i++)
    {
      g_autoptr (SandboxMachine) machine = driver_test_lookup (host, jobs[i].name);

      driver_test_assert_nothing (machine);
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/locks/busy", test_busy);
  g_test_add_func ("/locks/wait", test_wait);
  g_test_add_func ("/locks/cancel-waiting", test_cancel_waiting);
  g_test_add_func ("/locks/threads", test_threads);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
