// SPDX-License-Identifier: LGPL-2.1-or-later
// What killed processes leave of throwaway machines, moment by moment, and what a sweep makes of
// it.
#include "facade-driver.h"

static SandboxMachine *
run (SandboxHost *host)
{
  g_autoptr (GError) error = NULL;
  SandboxMachine *machine = sandbox_host_run (host, NULL, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  return machine;
}

static void
sweep (SandboxHost *host)
{
  g_autoptr (GError) error = NULL;

  sandbox_host_sweep (host, NULL, &error);
  g_assert_no_error (error);
}

static gboolean
has_profile (SandboxHost *host, const char *name)
{
  g_autofree char *text = _sandbox_profile_own_text (host, name, NULL);

  return text != NULL;
}

/* A lock that cannot be asked about may be held. */
static void
test_lock_unknown (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) alive = run (host);
  sandbox_autofd int fd = _sandbox_machine_state_fd (alive, FALSE, NULL);

  g_assert_cmpint (renameat (fd, SANDBOX_THROWAWAY_LOCK, fd, "moved"), ==, 0);
  g_assert_cmpint (symlinkat ("moved", fd, SANDBOX_THROWAWAY_LOCK), ==, 0);
  sweep (host);
  driver_test_assert_state (alive, SANDBOX_STATE_RUNNING);
}

/* Killed between the two steps of keeping. */
static void
test_half_kept (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) half = run (host), other = run (host);
  g_autofree char *path = g_build_filename (half->state_path, SANDBOX_THROWAWAY_PROFILE, NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_true (sandbox_profile_save (&host->profiles, half->name, text, FALSE, &error));
  /* a profile that is not made of the note is somebody's */
  g_assert_true (sandbox_profile_save (&host->profiles, other->name, "[profile]\ninherits=base\n",
                                       FALSE, &error));
  g_clear_pointer (&half->throwaway_lock, sandbox_lock_release);
  g_clear_pointer (&other->throwaway_lock, sandbox_lock_release);
  sweep (host);
  g_assert_false (has_profile (host, half->name));
  driver_test_assert_nothing (half);
  g_assert_true (has_profile (host, other->name));
  g_assert_true (sandbox_profile_remove (&host->profiles, other->name, &error));
  driver_test_assert_nothing (other);
}

/* Who keeps a machine works on it: it waits for a repair, and a repair for it. */
static void
test_keep_locks (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = run (host);
  SandboxReport report = { NULL, NULL, "" };
  g_autoptr (GError) error = NULL;
  SandboxLock *lock = _sandbox_machine_lock (machine, "repair", 0, &report, NULL, &error);

  g_assert_no_error (error);
  host->lock_wait_usec = 0;
  g_assert_false (sandbox_machine_keep (machine, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  g_clear_error (&error);
  g_assert_false (has_profile (host, machine->name));
  _sandbox_machine_unlock (machine, lock);
  g_assert_true (sandbox_machine_keep (machine, &error));
  g_assert_no_error (error);
  driver_test_destroy (machine, TRUE);
}

static void
assert_there (SandboxMachine *machine, gboolean there)
{
  g_assert_true (g_file_test (machine->state_path, G_FILE_TEST_IS_DIR) == there);
}

/* Killed before the note was written: with the lock's file or without. */
static void
test_unfinished (void)
{
  static const char *const names[] = { "run-0123abcd", "run-0123abce", "run-tests",
                                       "run-0123abcf" };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  SandboxReport report = { NULL, NULL, "" };
  SandboxMachine *machines[G_N_ELEMENTS (names)];
  SandboxLock *lock;
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      sandbox_autofd int fd = -1;

      machines[i] = _sandbox_machine_new (host, names[i]);
      fd = _sandbox_machine_state_fd (machines[i], TRUE, &error);
      g_assert_no_error (error);
      if (i == 1)
        g_assert_true (sandbox_file_write_at (fd, SANDBOX_THROWAWAY_LOCK, "", 0, 0600, &error));
    }
  /* the last one is at this moment being made */
  lock = _sandbox_machine_lock (machines[3], "run", 0, &report, NULL, &error);
  g_assert_no_error (error);
  sweep (host);
  assert_there (machines[0], FALSE);
  assert_there (machines[1], FALSE);
  assert_there (machines[2], TRUE); /* no name that a run chooses */
  assert_there (machines[3], TRUE);
  _sandbox_machine_unlock (machines[3], lock);
  sweep (host);
  assert_there (machines[3], FALSE);
  driver_test_destroy (machines[2], FALSE);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    sandbox_machine_unref (machines[i]);
}

static void
test_no_guests (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  const char *const argv[] = { "true", NULL };
  SandboxExecOptions options = SANDBOX_EXEC_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  int status;

  static const char *const bad[] = { "A", "=b", "1A=b", "A-B=c", "A\nB=c", "--help", "$(id)=x" };

  options.argv = argv;
  g_assert_false (sandbox_machine_exec (machine, &options, NULL, &status, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      const char *const env[] = { "GOOD_1=x y", bad[i], NULL };

      g_clear_error (&error);
      options.env = env;
      g_assert_false (sandbox_machine_exec (machine, &options, NULL, &status, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/driver/throwaway/lock-unknown", test_lock_unknown);
  g_test_add_func ("/driver/throwaway/half-kept", test_half_kept);
  g_test_add_func ("/driver/throwaway/keep-locks", test_keep_locks);
  g_test_add_func ("/driver/throwaway/unfinished", test_unfinished);
  g_test_add_func ("/driver/no-guests", test_no_guests);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
