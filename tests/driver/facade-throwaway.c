// SPDX-License-Identifier: LGPL-2.1-or-later
// What killed processes leave of throwaway machines, moment by moment, and what a sweep makes of
// it; and the names under which those that start warm come after one another.
#include "facade-driver.h"

#define SLOTS 8

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

/* "slow" boots, the others may go on from kept memory. The pool of the test driver is no large one.
 */
static void
make_profiles (SandboxHost *host)
{
  static const char *const texts[][2] = {
    { "quick", "[profile]\ninherits=ci\n[machine]\ndisk=8GiB\nstart=warm\n" },
    { "other", "[profile]\ninherits=quick\n" },
    { "slow", "[profile]\ninherits=quick\n[machine]\nstart=boot\n" },
  };
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      sandbox_profile_save (&host->profiles, texts[i][0], texts[i][1], TRUE, &error);
      g_assert_no_error (error);
    }
}

static SandboxMachine *
run_of (SandboxHost *host, const char *profile)
{
  SandboxRunOptions options = SANDBOX_RUN_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  SandboxMachine *machine;

  options.profile = profile;
  machine = sandbox_host_run (host, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (_sandbox_name_is_generated (machine->name));
  return machine;
}

/* What a machine that shares its UUID with the ones before it has of its own. NULL: it has a name,
 * and so a UUID, that nobody else had. */
static char *
machine_id (SandboxMachine *machine)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  char *id = NULL;

  sandbox_file_read_at (fd, SANDBOX_MACHINE_ID, 64, &id, NULL, NULL);
  return id;
}

static void
assert_slot (SandboxMachine *machine, const char *first_name, guint slot)
{
  g_autofree char *name = g_strndup (first_name, strlen (first_name) - 1);
  g_autofree char *want = g_strdup_printf ("%s%u", name, slot);
  g_autofree char *id = machine_id (machine);

  g_assert_cmpstr (machine->name, ==, want);
  g_assert_nonnull (id);
}

static void
assert_no_slot (SandboxMachine *machine, const char *first_name)
{
  g_autofree char *id = machine_id (machine);

  g_assert_false (strncmp (machine->name, first_name, strlen (first_name) - 1) == 0);
  g_assert_null (id);
}

/* One after another by the same eight names, whichever of them is free. */
static void
test_slots (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  SandboxMachine *machines[SLOTS];
  g_autofree char *first = NULL, *id = NULL, *later_id = NULL;

  make_profiles (host);
  for (guint i = 0; i < SLOTS; i++)
    {
      machines[i] = run_of (host, "quick");
      if (i == 0)
        first = g_strdup (machines[i]->name);
      assert_slot (machines[i], first, i);
    }
  {
    g_autoptr (SandboxMachine) ninth = run_of (host, "quick"), tenth = run_of (host, "quick");

    assert_no_slot (ninth, first);
    assert_no_slot (tenth, first);
    g_assert_cmpstr (ninth->name, !=, tenth->name);
  }
  id = machine_id (machines[3]);
  sandbox_machine_unref (machines[3]);
  machines[3] = run_of (host, "quick");
  assert_slot (machines[3], first, 3);
  later_id = machine_id (machines[3]);
  g_assert_cmpstr (id, !=, later_id);
  for (guint i = 0; i < SLOTS; i++)
    {
      g_autoptr (SandboxMachine) same = driver_test_lookup (host, machines[i]->name);

      sandbox_machine_unref (machines[i]);
      driver_test_assert_nothing (same);
    }
}

/* Others have slots of their own, or none. */
static void
test_slot_kinds (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  SandboxRunOptions boot = SANDBOX_RUN_OPTIONS_INIT, large = SANDBOX_RUN_OPTIONS_INIT;
  g_autoptr (SandboxMachine) quick = NULL, other = NULL, slow = NULL, booted = NULL, more = NULL;
  g_autofree char *digits = NULL;

  make_profiles (host);
  quick = run_of (host, "quick");
  other = run_of (host, "other");
  slow = run_of (host, "slow");
  boot.profile = large.profile = "quick";
  boot.boot = TRUE;
  large.memory_bytes = 2048 * MIB;
  booted = sandbox_host_run (host, &boot, NULL, NULL, NULL, NULL);
  more = sandbox_host_run (host, &large, NULL, NULL, NULL, NULL);
  digits = g_strndup (quick->name, strlen (quick->name) - 1);
  assert_slot (other, other->name, 0);
  g_assert_false (g_str_has_prefix (other->name, digits));
  assert_slot (more, more->name, 0);
  g_assert_false (g_str_has_prefix (more->name, digits));
  assert_no_slot (slow, quick->name);
  assert_no_slot (booted, quick->name);
}

static gpointer
run_quick (gpointer host)
{
  return run_of (host, "quick");
}

/* All at the same moment: no two have the same one, and none is left out. */
static void
test_slots_at_once (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  GThread *threads[SLOTS + 1];
  SandboxMachine *machines[SLOTS + 1];
  guint taken = 0, without = 0;

  make_profiles (host);
  for (guint i = 0; i <= SLOTS; i++)
    threads[i] = g_thread_new ("run", run_quick, host);
  for (guint i = 0; i <= SLOTS; i++)
    machines[i] = g_thread_join (threads[i]);
  for (guint i = 0; i <= SLOTS; i++)
    {
      const char *last = machines[i]->name + strlen (machines[i]->name) - 1;
      g_autofree char *id = machine_id (machines[i]);

      if (id != NULL)
        taken |= 1U << (*last - '0');
      else
        without++;
    }
  g_assert_cmpuint (taken, ==, 0xff);
  g_assert_cmpuint (without, ==, 1);
  for (guint i = 0; i <= SLOTS; i++)
    sandbox_machine_unref (machines[i]);
}

/* One that was killed has its slot until a sweep; one that fails has it no longer. */
static void
test_slot_left (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  SandboxRunOptions options = SANDBOX_RUN_OPTIONS_INIT;
  g_autoptr (SandboxMachine) dead = NULL, second = NULL, third = NULL;
  g_autofree char *first = NULL, *seed = NULL;
  g_autoptr (GError) error = NULL;

  make_profiles (host);
  options.profile = "quick";
  dead = run_of (host, "quick");
  first = g_strdup (dead->name);
  g_clear_pointer (&dead->throwaway_lock, sandbox_lock_release);
  second = run_of (host, "quick");
  assert_slot (second, first, 1);
  sweep (host);
  driver_test_assert_nothing (dead);
  g_setenv ("SANDBOX_FAULT", "start:boot:after:fail", TRUE);
  g_assert_null (sandbox_host_run (host, &options, NULL, NULL, NULL, &error));
  g_unsetenv ("SANDBOX_FAULT");
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
  g_clear_error (&error);
  driver_test_assert_nothing (dead);
  third = run_of (host, "quick");
  assert_slot (third, first, 0);
  g_clear_pointer (&third, sandbox_machine_unref);
  /* there may be anything on it */
  seed = g_strconcat (dead->object, ".seed", NULL);
  driver_test_add_volume (host, seed, "raw", MIB, NULL);
  third = run_of (host, "quick");
  assert_slot (third, first, 2);
  g_assert_true (_sandbox_virt_volume_remove (host->virt, seed, &error));
}

/* A machine that was kept has its name for good, and so has the profile that is left of it. */
static void
test_slot_kept (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) kept = NULL, second = NULL;
  g_autoptr (GError) error = NULL;

  make_profiles (host);
  kept = run_of (host, "quick");
  g_assert_true (sandbox_machine_keep (kept, &error));
  second = run_of (host, "quick");
  assert_slot (second, kept->name, 1);
  g_clear_pointer (&second, sandbox_machine_unref);
  driver_test_destroy (kept, FALSE);
  g_assert_true (has_profile (host, kept->name));
  second = run_of (host, "quick");
  assert_slot (second, kept->name, 1);
  g_assert_true (sandbox_profile_remove (&host->profiles, kept->name, &error));
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
  g_test_add_func ("/driver/throwaway/slots", test_slots);
  g_test_add_func ("/driver/throwaway/slot-kinds", test_slot_kinds);
  g_test_add_func ("/driver/throwaway/slot-left", test_slot_left);
  g_test_add_func ("/driver/throwaway/slot-kept", test_slot_kept);
  g_test_add_func ("/driver/no-guests", test_no_guests);
  g_test_add_func ("/driver/throwaway/slots-at-once", test_slots_at_once);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
