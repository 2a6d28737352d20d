// SPDX-License-Identifier: LGPL-2.1-or-later
// A machine that stands still on libvirt's test driver: one that a merge of layers stopped goes on
// with whatever comes next, one that somebody else paused does not. With a guest:
// tests/vm/65-merge.sh.
#include "facade/layers.h"
#include "facade-driver.h"

#include <sched.h>
#include <sys/wait.h>

static void
write_note (SandboxMachine *machine, gboolean still)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, TRUE, NULL);
  SandboxMerge merge = { (char *)"vms-1-gone.qcow2", (char *)"vms-1-gone.1.qcow2", still };
  g_autoptr (SandboxMerge) have = NULL;

  g_assert_true (_sandbox_merge_write (fd, &merge, NULL));
  have = _sandbox_merge_read (fd);
  g_assert_cmpstr (have->volume, ==, merge.volume);
  g_assert_cmpstr (have->above, ==, merge.above);
  g_assert_cmpint (have->still, ==, still);
}

/* A running one, in the middle of a merge, paused by it (@still) or by somebody. */
static SandboxMachine *
paused_machine (SandboxHost *host, const char *name, gboolean still)
{
  g_autoptr (GError) error = NULL;
  SandboxMachine *machine = sandbox_host_create (host, name, "work", NULL, NULL, &error);

  g_assert_no_error (error);
  driver_test_start (machine);
  write_note (machine, still);
  g_assert_true (_sandbox_virt_domain_suspend (host->virt, machine->object, &error));
  driver_test_assert_state (machine, SANDBOX_STATE_PAUSED);
  return machine;
}

static gboolean
tidy (SandboxMachine *machine, GError **error)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  gboolean merged = TRUE;
  gboolean done =
      _sandbox_machine_merge_idle (machine->host, machine->name, cancellable, &merged, error);

  g_assert_cmpint (merged, ==, !done);
  return done;
}

static void
test_tidy (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) ours = paused_machine (host, "ours", TRUE);
  g_autoptr (SandboxMachine) theirs = paused_machine (host, "theirs", FALSE);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_layers_still (ours));
  g_assert_true (tidy (ours, &error));
  g_assert_no_error (error);
  driver_test_assert_state (ours, SANDBOX_STATE_RUNNING);
  g_assert_false (_sandbox_layers_still (ours));
  g_assert_false (tidy (theirs, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  driver_test_assert_state (theirs, SANDBOX_STATE_PAUSED);
  /* whoever pauses it from now on is somebody else */
  g_assert_true (_sandbox_virt_domain_suspend (host->virt, ours->object, NULL));
  g_assert_false (tidy (ours, NULL));
  driver_test_assert_state (ours, SANDBOX_STATE_PAUSED);
  driver_test_destroy (ours, TRUE);
  driver_test_destroy (theirs, TRUE);
}

static void
test_stop (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) ours = paused_machine (host, "ours", TRUE);
  g_autoptr (SandboxMachine) theirs = paused_machine (host, "theirs", FALSE);
  g_autoptr (GError) error = NULL;

  g_assert_true (sandbox_machine_stop (ours, FALSE, 0, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  g_assert_false (sandbox_machine_stop (theirs, FALSE, 0, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  driver_test_assert_state (theirs, SANDBOX_STATE_PAUSED);
  driver_test_destroy (ours, TRUE);
  driver_test_destroy (theirs, TRUE);
}

static void
test_start (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) ours = paused_machine (host, "ours", TRUE);
  g_autoptr (SandboxMachine) theirs = paused_machine (host, "theirs", FALSE);
  g_autoptr (GError) error = NULL;

  driver_test_start (ours);
  driver_test_assert_state (ours, SANDBOX_STATE_RUNNING);
  g_assert_false (sandbox_machine_start (theirs, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  driver_test_assert_state (theirs, SANDBOX_STATE_PAUSED);
  driver_test_destroy (ours, TRUE);
  driver_test_destroy (theirs, TRUE);
}

/* By what needs no lock: commands, copies. */
static void
test_wake (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) ours = paused_machine (host, "ours", TRUE);
  g_autoptr (SandboxMachine) theirs = paused_machine (host, "theirs", FALSE);
  g_autoptr (SandboxMachineStatus) status = sandbox_machine_get_status (ours, NULL, NULL);
  SandboxVirtState state = SANDBOX_VIRT_PAUSED;
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (status->paused, ==, "merging");
  g_assert_true (_sandbox_layers_wake (ours, &state, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (state, ==, SANDBOX_VIRT_RUNNING);
  driver_test_assert_state (ours, SANDBOX_STATE_RUNNING);
  /* it went on between two questions */
  state = SANDBOX_VIRT_PAUSED;
  g_assert_true (_sandbox_layers_wake (ours, &state, NULL, &error));
  g_assert_cmpint (state, ==, SANDBOX_VIRT_RUNNING);
  state = SANDBOX_VIRT_PAUSED;
  g_assert_true (_sandbox_layers_wake (theirs, &state, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (state, ==, SANDBOX_VIRT_PAUSED);
  driver_test_assert_state (theirs, SANDBOX_STATE_PAUSED);
  driver_test_destroy (ours, TRUE);
  driver_test_destroy (theirs, TRUE);
}

static gpointer
end_write_out (gpointer data)
{
  SandboxMachine *machine = data;

  g_usleep (G_USEC_PER_SEC / 2);
  g_assert_true (_sandbox_virt_domain_resume (machine->host->virt, machine->object, NULL));
  write_note (machine, FALSE);
  return NULL;
}

/* Whoever is at it is waited for. */
static void
test_wait (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = paused_machine (host, "wait", TRUE);
  SandboxReport report = { NULL, NULL, "wait" };
  g_autoptr (GError) error = NULL;
  SandboxLock *lock = _sandbox_machine_lock (machine, "tidy", 0, &report, NULL, &error);
  SandboxVirtState state = SANDBOX_VIRT_PAUSED;
  GThread *thread;

  g_assert_no_error (error);
  thread = g_thread_new ("merge", end_write_out, machine);
  g_assert_true (_sandbox_layers_wake (machine, &state, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (state, ==, SANDBOX_VIRT_RUNNING);
  g_thread_join (thread);
  _sandbox_machine_unlock (machine, lock);
  driver_test_destroy (machine, TRUE);
}

/* Whatever goes wrong while it stands still, it goes on. */
static void
test_fault (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = paused_machine (host, "fault", TRUE);
  g_autoptr (GError) error = NULL;
  gboolean goes_on = FALSE;

  g_assert_true (_sandbox_virt_domain_resume (host->virt, machine->object, NULL));
  g_setenv ("SANDBOX_FAULT", "layers:merge:still:fail", TRUE);
  g_assert_false (_sandbox_virt_domain_write_out (host->virt, machine->object, &goes_on, &error));
  g_unsetenv ("SANDBOX_FAULT");
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
  g_assert_true (goes_on);
  driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
  driver_test_destroy (machine, TRUE);
}

/* FALSE: this host does not let us. */
static gboolean
take_inotify_away (void)
{
  g_autofree char *map = g_strdup_printf ("0 %d 1\n", (int)getuid ());

  if (unshare (CLONE_NEWUSER) < 0)
    return FALSE;
  return g_file_set_contents_full ("/proc/self/uid_map", map, -1, G_FILE_SET_CONTENTS_NONE, 0600,
                                   NULL)
         && g_file_set_contents_full ("/proc/sys/user/max_inotify_instances", "0", -1,
                                      G_FILE_SET_CONTENTS_NONE, 0600, NULL);
}

static gboolean
may_take_inotify_away (void)
{
  pid_t pid = fork ();
  int status = 0;

  if (pid == 0)
    _exit (take_inotify_away () ? 0 : 1);
  return pid > 0 && waitpid (pid, &status, 0) == pid && status == 0;
}

/* Nobody would be noticed who wants it. */
static void
test_no_inotify (void)
{
  if (g_test_subprocess ())
    {
      g_autoptr (SandboxHost) host = NULL;
      g_autoptr (SandboxMachine) machine = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_true (take_inotify_away ());
      host = driver_test_open (TEST_URI, NULL);
      machine = paused_machine (host, "deaf", TRUE);
      g_assert_false (tidy (machine, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
      g_assert_nonnull (strstr (error->message, "inotify"));
      /* that it stood still is another matter */
      driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
      return;
    }
  if (!may_take_inotify_away ())
    {
      g_test_skip ("there are no user namespaces");
      return;
    }
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/facade/merge/tidy", test_tidy);
  g_test_add_func ("/facade/merge/stop", test_stop);
  g_test_add_func ("/facade/merge/start", test_start);
  g_test_add_func ("/facade/merge/wake", test_wake);
  g_test_add_func ("/facade/merge/wait", test_wait);
  g_test_add_func ("/facade/merge/fault", test_fault);
  g_test_add_func ("/facade/merge/no-inotify", test_no_inotify);
  status = g_test_run ();
  driver_test_remove_home (home);
  return status;
}
