// SPDX-License-Identifier: LGPL-2.1-or-later
// Failure at each step of each verb, as the verb's own table has them: undone, or finished by the
// next command.
#include "facade-driver.h"

static const char *const moments[] = { "before", "after" };

static void
set_fault (const char *verb, const char *step, const char *when)
{
  g_autofree char *fault = g_strdup_printf ("%s:%s:%s:fail", verb, step, when);

  g_setenv ("SANDBOX_FAULT", fault, TRUE);
}

/* The steps that need a guest do not run here, and so cannot fail. */
static gboolean
failed_there (gboolean done, const GError *error, const char *step)
{
  if (done)
    return FALSE;
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, step));
  return TRUE;
}

static guint
start_fails (SandboxMachine *machine, SandboxState then)
{
  guint failures = 0;

  for (const char *const *step = sandbox_machine_step_ids ("start"); *step != NULL; step++)
    for (gsize i = 0; i < G_N_ELEMENTS (moments); i++)
      {
        g_autoptr (GError) error = NULL;
        gboolean done;

        set_fault ("start", *step, moments[i]);
        done = sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error);
        g_unsetenv ("SANDBOX_FAULT");
        if (failed_there (done, error, *step))
          {
            failures++;
            driver_test_assert_state (machine, then);
            if (then == SANDBOX_STATE_NEW)
              driver_test_assert_nothing (machine);
          }
        else if (then == SANDBOX_STATE_NEW)
          driver_test_destroy (machine, FALSE);
        else
          g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, NULL));
      }
  return failures;
}

static void
test_start_new (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");

  g_assert_cmpuint (start_fails (machine, SANDBOX_STATE_NEW), >=, 12);
}

/* A failed start of a machine that is there takes nothing of it away: least of all its disk. */
static void
test_start_stopped (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autofree char *before = NULL, *after = NULL;

  driver_test_start (machine);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, NULL));
  before = _sandbox_virt_domain_xml (host->virt, machine->object, FALSE, NULL);
  g_assert_cmpuint (start_fails (machine, SANDBOX_STATE_STOPPED), >=, 12);
  g_assert_true (driver_test_pieces (machine).disk);
  g_assert_true (driver_test_pieces (machine).network);
  after = _sandbox_virt_domain_xml (host->virt, machine->object, FALSE, NULL);
  g_assert_cmpstr (before, ==, after);
  driver_test_destroy (machine, FALSE);
}

/* The shares given to a start that failed are not in the profile afterwards. */
static void
test_start_shares (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *dir = g_build_filename (g_get_home_dir (), "project", NULL);
  g_autofree char *spec = g_strconcat (dir, ":~/project", NULL);
  const char *const shares[] = { spec, NULL };
  SandboxStartOptions options = SANDBOX_START_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) shipped = driver_test_lookup (host, "work");
  g_autoptr (SandboxMachine) own = sandbox_host_create (host, "own", "ci", NULL, NULL, &error);
  SandboxMachine *const machines[] = { shipped, own };

  g_assert_no_error (error);
  g_assert_cmpint (g_mkdir (dir, 0700), ==, 0);
  options.shares = shares;
  for (gsize i = 0; i < G_N_ELEMENTS (machines); i++)
    {
      g_autofree char *before = _sandbox_profile_own_text (host, machines[i]->name, NULL),
                      *after = NULL;

      set_fault ("start", "boot", "after");
      g_assert_false (sandbox_machine_start (machines[i], &options, NULL, NULL, NULL, &error));
      g_unsetenv ("SANDBOX_FAULT");
      g_clear_error (&error);
      after = _sandbox_profile_own_text (host, machines[i]->name, NULL);
      g_assert_cmpstr (before, ==, after);
    }
  driver_test_destroy (own, TRUE);
}

/* What a killed start leaves at each step, made by failing without undo: the next start, or
 * destroy, heals it. */
static void
test_half_made (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");

  for (guint mask = 1; mask < 8; mask++)
    for (guint destroy = 0; destroy < 2; destroy++)
      {
        g_autofree char *disk = g_strconcat (machine->object, ".qcow2", NULL);

        driver_test_start (machine);
        g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, NULL));
        if ((mask & 1) != 0)
          g_assert_true (_sandbox_virt_domain_undefine (host->virt, machine->object, NULL));
        if ((mask & 2) != 0)
          g_assert_true (_sandbox_virt_network_remove (host->virt, machine->object, NULL));
        if ((mask & 4) != 0)
          g_assert_true (_sandbox_virt_volume_remove (host->virt, disk, NULL));
        if (!destroy)
          {
            driver_test_start (machine);
            driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
          }
        driver_test_destroy (machine, FALSE);
        driver_test_assert_nothing (machine);
      }
}

static void
test_destroy (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  guint failures = 0;

  for (const char *const *step = sandbox_machine_step_ids ("destroy"); *step != NULL; step++)
    for (gsize i = 0; i < 2 * G_N_ELEMENTS (moments); i++)
      {
        g_autoptr (GError) error = NULL;
        gboolean done;

        driver_test_start (machine);
        set_fault ("destroy", *step, moments[i / 2]);
        done = sandbox_machine_destroy (machine, FALSE, NULL, NULL, NULL, &error);
        g_unsetenv ("SANDBOX_FAULT");
        failures += failed_there (done, error, *step);
        /* Both ways on: again, or start after all. */
        if (i % 2 == 0)
          driver_test_start (machine);
        driver_test_destroy (machine, FALSE);
        driver_test_assert_nothing (machine);
      }
  g_assert_cmpuint (failures, >=, 20);
}

static void
test_recreate (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  guint failures = 0;

  for (const char *const *step = sandbox_machine_step_ids ("recreate"); *step != NULL; step++)
    for (gsize i = 0; i < G_N_ELEMENTS (moments); i++)
      {
        g_autoptr (GError) error = NULL;
        gboolean done;

        driver_test_start (machine);
        set_fault ("recreate", *step, moments[i]);
        done = sandbox_machine_recreate (machine, NULL, NULL, NULL, &error);
        g_unsetenv ("SANDBOX_FAULT");
        failures += failed_there (done, error, *step);
        g_assert_true (driver_test_pieces (machine).domain);
        driver_test_start (machine);
        driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
        driver_test_destroy (machine, FALSE);
        driver_test_assert_nothing (machine);
      }
  g_assert_cmpuint (failures, >=, 14);
}

static void
test_clone (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (SandboxMachine) twin = _sandbox_machine_new (host, "twin");
  guint failures = 0;

  driver_test_start (machine);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, NULL));
  for (const char *const *step = sandbox_machine_step_ids ("clone"); *step != NULL; step++)
    for (gsize i = 0; i < G_N_ELEMENTS (moments); i++)
      {
        g_autoptr (GError) error = NULL;
        g_autoptr (SandboxMachine) copy = NULL;

        set_fault ("clone", *step, moments[i]);
        copy = sandbox_machine_clone (machine, "twin", NULL, NULL, NULL, &error);
        g_unsetenv ("SANDBOX_FAULT");
        if (failed_there (copy != NULL, error, *step))
          {
            failures++;
            driver_test_assert_nothing (twin);
          }
        driver_test_assert_state (machine, SANDBOX_STATE_STOPPED);
        driver_test_destroy (twin, TRUE);
      }
  g_assert_cmpuint (failures, >=, 12);
  driver_test_destroy (machine, FALSE);
}

static void
test_throwaway (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);

  for (const char *const *step = sandbox_machine_step_ids ("start"); *step != NULL; step++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxMachine) machine = NULL;
      g_autoptr (GPtrArray) infos = NULL, orphans = NULL;

      set_fault ("start", *step, "after");
      machine = sandbox_host_run (host, NULL, NULL, NULL, NULL, &error);
      g_unsetenv ("SANDBOX_FAULT");
      g_clear_pointer (&machine, sandbox_machine_unref);
      infos = sandbox_host_list (host, SANDBOX_LIST_DEFAULT, NULL, NULL);
      g_assert_cmpuint (infos->len, ==, 0);
      orphans = sandbox_host_repair (host, FALSE, NULL, NULL, NULL, NULL);
      g_assert_cmpuint (orphans->len, ==, 0);
    }
}

static void
test_repair (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work"),
                             alive = driver_test_lookup (host, "personal");
  g_autoptr (GPtrArray) found = NULL, removed = NULL, left = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *lock = g_build_filename (host->state_dir, "gone.lock", NULL);

  driver_test_start (machine);
  driver_test_start (alive);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, NULL));
  g_assert_true (_sandbox_virt_domain_undefine (host->virt, machine->object, NULL));
  g_assert_true (g_file_set_contents (lock, "", 0, NULL));
  found = sandbox_host_repair (host, FALSE, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  /* network, volume, lock */
  g_assert_cmpuint (found->len, ==, 3);
  g_assert_true (driver_test_pieces (machine).disk);
  removed = sandbox_host_repair (host, TRUE, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (removed->len, ==, 3);
  driver_test_assert_nothing (machine);
  driver_test_assert_state (alive, SANDBOX_STATE_RUNNING);
  left = sandbox_host_repair (host, FALSE, NULL, NULL, NULL, &error);
  g_assert_cmpuint (left->len, ==, 0);
  driver_test_destroy (alive, FALSE);
}

/* A machine that has run, and lost its domain to somebody else: its disk and its keys are its
 * user's, and start makes the rest again. */
static void
test_repair_keeps_what_has_run (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autofree char *log = g_build_filename (machine->state_path, "console.log", NULL);
  g_autoptr (GPtrArray) removed = NULL;
  g_autoptr (GError) error = NULL;

  driver_test_start (machine);
  g_assert_cmpint (g_mkdir_with_parents (machine->state_path, 0700), ==, 0);
  g_assert_true (g_file_set_contents (log, "booted\n", -1, NULL));
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, NULL));
  g_assert_true (_sandbox_virt_domain_undefine (host->virt, machine->object, NULL));
  driver_test_assert_state (machine, SANDBOX_STATE_INCOMPLETE);
  removed = sandbox_host_repair (host, TRUE, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (removed->len, ==, 0);
  g_assert_true (driver_test_pieces (machine).disk);
  g_assert_true (driver_test_pieces (machine).state_dir);
  driver_test_start (machine);
  driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

/* A storage pool where no disk of a machine may be: what start would define is refused before
 * libvirt sees it, and what was made is undone. */
static void
test_definition_refused (void)
{
  g_autofree char *path = g_build_filename (g_get_home_dir (), "node.xml", NULL);
  g_autofree char *uri = g_strconcat ("test://", path, NULL);
  g_autoptr (SandboxHost) host = NULL;
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path,
                       "<node><pool type='dir'><name>" SANDBOX_POOL
                       "</name><target><path>/etc/x</path></target></pool></node>",
                       -1, &error);
  g_assert_no_error (error);
  host = driver_test_open (uri, NULL);
  machine = driver_test_lookup (host, "work");
  g_assert_false (sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "/etc/x/"));
  g_assert_nonnull (strstr (error->message, "is not allowed"));
  driver_test_assert_nothing (machine);
}

/* A machine that runs keeps its network policy; that its profile says another one is told. */
static void
test_policy_is_told (void)
{
  static const char *const policies[] = { "egress=443/tcp\n", "allow=192.168.77.2:8080/tcp\n",
                                          "mode=none\n" };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_create (host, "policy", "ci", NULL, NULL, &error);

  g_assert_no_error (error);
  driver_test_start (machine);
  for (gsize i = 0; i < G_N_ELEMENTS (policies); i++)
    {
      g_autofree char *text =
          g_strconcat ("[profile]\ninherits=ci\n[network]\n", policies[i], NULL);
      g_autofree char *changes = NULL;
      g_autoptr (SandboxPlan) plan = NULL;

      g_assert_true (sandbox_profile_save (&host->profiles, "policy", text, TRUE, &error));
      plan = sandbox_machine_plan (machine, NULL, &changes, NULL, &error);
      g_assert_no_error (error);
      g_assert_nonnull (strstr (changes, "reaches: "));
      /* it runs on all the same */
      g_assert_true (sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error));
      g_assert_no_error (error);
    }
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/faults/start-new", test_start_new);
  g_test_add_func ("/faults/start-stopped", test_start_stopped);
  g_test_add_func ("/faults/start-shares", test_start_shares);
  g_test_add_func ("/faults/half-made", test_half_made);
  g_test_add_func ("/faults/definition-refused", test_definition_refused);
  g_test_add_func ("/faults/destroy", test_destroy);
  g_test_add_func ("/faults/recreate", test_recreate);
  g_test_add_func ("/faults/clone", test_clone);
  g_test_add_func ("/faults/throwaway", test_throwaway);
  g_test_add_func ("/faults/repair", test_repair);
  g_test_add_func ("/driver/policy-is-told", test_policy_is_told);
  g_test_add_func ("/driver/repair-keeps-what-has-run", test_repair_keeps_what_has_run);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
