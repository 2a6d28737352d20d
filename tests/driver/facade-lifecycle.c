// SPDX-License-Identifier: LGPL-2.1-or-later
// Every verb on libvirt's test driver: what it makes, what it leaves, and that doing it twice is no
// mistake.
#include "facade-driver.h"

static GPtrArray *
list (SandboxHost *host)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *infos = sandbox_host_list (host, SANDBOX_LIST_DEFAULT, NULL, &error);

  g_assert_no_error (error);
  return infos;
}

static void
assert_listed (SandboxHost *host, const char *name, SandboxState state)
{
  g_autoptr (GPtrArray) infos = list (host);

  for (guint i = 0; i < infos->len; i++)
    {
      const SandboxMachineInfo *info = infos->pdata[i];

      if (strcmp (info->name, name) != 0)
        continue;
      g_assert_cmpstr (sandbox_state_to_string (info->state), ==, sandbox_state_to_string (state));
      return;
    }
  g_error ("%s is not listed", name);
}

static void
test_life (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_create (host, "life", "work", NULL, NULL, &error);
  g_autoptr (SandboxMachine) again = NULL;
  g_autoptr (GPtrArray) infos = NULL;

  g_assert_no_error (error);
  assert_listed (host, "life", SANDBOX_STATE_NEW);
  again = sandbox_host_create (host, "life", "work", NULL, NULL, &error);
  g_assert_null (again);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  for (guint i = 0; i < 2; i++)
    {
      driver_test_start (machine);
      assert_listed (host, "life", SANDBOX_STATE_RUNNING);
    }
  for (guint i = 0; i < 2; i++)
    {
      g_assert_true (sandbox_machine_stop (machine, FALSE, 0, NULL, NULL, NULL, NULL));
      assert_listed (host, "life", SANDBOX_STATE_STOPPED);
    }
  driver_test_start (machine);
  for (guint i = 0; i < 2; i++)
    {
      driver_test_destroy (machine, i == 1);
      driver_test_assert_nothing (machine);
    }
  infos = list (host);
  g_assert_cmpuint (infos->len, ==, 0);
}

static void
test_shipped_needs_no_create (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (SandboxMachine) none = NULL;
  g_autoptr (GError) error = NULL;

  driver_test_start (machine);
  assert_listed (host, "work", SANDBOX_STATE_RUNNING);
  driver_test_destroy (machine, TRUE);
  none = sandbox_host_lookup (host, "wrok", NULL, &error);
  g_assert_null (none);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "work"));
}

static void
test_create_refuses (void)
{
  static const struct
  {
    const char *name, *profile;
    int code;
  } cases[] = {
    { "../x", "work", SANDBOX_ERROR_INVALID },    { "-x", "work", SANDBOX_ERROR_INVALID },
    { "", "work", SANDBOX_ERROR_INVALID },        { "base", "work", SANDBOX_ERROR_INVALID },
    { "new", "absent", SANDBOX_ERROR_NOT_FOUND }, { "work", "personal", SANDBOX_ERROR_EXISTS },
  };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxMachine) machine =
          sandbox_host_create (host, cases[i].name, cases[i].profile, NULL, NULL, &error);

      g_assert_null (machine);
      g_assert_error (error, SANDBOX_ERROR, cases[i].code);
    }
}

static void
test_shares_are_kept (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *dir = g_build_filename (g_get_home_dir (), "project", NULL);
  g_autofree char *spec = g_strconcat (dir, ":~/project", NULL), *text = NULL;
  const char *const shares[] = { spec, NULL };
  SandboxStartOptions options = SANDBOX_START_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (SandboxProfile) profile = NULL;
  const char *first;

  options.shares = shares;
  g_assert_false (sandbox_machine_start (machine, &options, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  driver_test_assert_nothing (machine);
  g_assert_cmpint (g_mkdir (dir, 0700), ==, 0);
  for (guint i = 0; i < 2; i++)
    {
      g_assert_true (sandbox_machine_start (machine, &options, NULL, NULL, NULL, &error));
      g_assert_no_error (error);
    }
  text = _sandbox_profile_own_text (host, "work", &error);
  g_assert_nonnull (text);
  first = strstr (text, dir);
  g_assert_nonnull (first);
  g_assert_null (strstr (first + 1, dir));
  profile = sandbox_profile_load (&host->profiles, "work", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (_sandbox_profile_values (profile)->shares->len, ==, 2);
  driver_test_destroy (machine, TRUE);
}

/* What runs in a machine may replace a directory of its share by a link: nobody else's share may
 * lie on that way, whatever links it is named by. */
static void
test_shares_of_others_are_kept_apart (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *outer = g_build_filename (g_get_home_dir (), "apart", NULL);
  g_autofree char *group = g_build_filename (outer, "group", NULL);
  g_autofree char *inner = g_build_filename (group, "project", NULL);
  g_autofree char *link = g_build_filename (g_get_home_dir (), "apart-link", NULL);
  g_autofree char *by_link = g_build_filename (link, "project", NULL);
  const char *const sources[] = { inner, by_link, outer };
  const char *const first[] = { outer, NULL };
  SandboxStartOptions options = SANDBOX_START_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir_with_parents (inner, 0700), ==, 0);
  g_assert_cmpint (symlink (group, link), ==, 0);
  options.shares = first;
  g_assert_true (sandbox_machine_start (machine, &options, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    {
      const char *const shares[] = { sources[i], NULL };
      g_autofree char *name = g_strdup_printf ("other-%u", (guint)i);
      g_autoptr (GError) refused = NULL;
      g_autoptr (SandboxMachine) other =
          sandbox_host_create (host, name, "ci", shares, NULL, &error);

      g_assert_no_error (error);
      /* the very same directory in two machines is the user's choice */
      if (sandbox_machine_start (other, NULL, NULL, NULL, NULL, &refused))
        g_assert_true (sources[i] == outer);
      else
        {
          g_assert_error (refused, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
          g_assert_nonnull (strstr (refused->message, "work"));
          g_assert_true (sources[i] != outer);
        }
      driver_test_destroy (other, TRUE);
    }
  driver_test_destroy (machine, TRUE);
}

static void
test_plan_and_changes (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = sandbox_host_create (host, "plan", "ci", NULL, NULL, &error);
  g_autoptr (SandboxPlan) plan = NULL, other = NULL;
  g_autofree char *changes = NULL, *more = NULL;
  g_autoptr (GString) said = g_string_new (NULL);

  g_assert_no_error (error);
  plan = sandbox_machine_plan (machine, NULL, &changes, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (changes, ==, "");
  driver_test_assert_nothing (machine);
  driver_test_start (machine);
  g_assert_true (sandbox_profile_save (
      &host->profiles, "plan", "[profile]\ninherits=ci\n[machine]\nmemory=3GiB\n", TRUE, &error));
  other = sandbox_machine_plan (machine, NULL, &more, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (more, "memory"));
  /* Running: told, not done. */
  g_assert_true (sandbox_machine_start (machine, NULL, driver_test_record, said, NULL, &error));
  g_assert_nonnull (strstr (said->str, "changes: "));
  g_assert_nonnull (strstr (said->str, "(applies at the next start: vms restart"));
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, &error));
  g_string_truncate (said, 0);
  g_assert_true (sandbox_machine_start (machine, NULL, driver_test_record, said, NULL, &error));
  g_assert_nonnull (strstr (said->str, "changes: "));
  g_assert_null (strstr (said->str, "(applies at the next start: vms restart"));
  g_string_truncate (said, 0);
  g_assert_true (sandbox_machine_start (machine, NULL, driver_test_record, said, NULL, &error));
  g_assert_null (strstr (said->str, "changes: "));
  driver_test_destroy (machine, TRUE);
}

static void
test_status (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "personal");
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachineStatus) before = sandbox_machine_get_status (machine, NULL, &error),
                                   after = NULL;

  g_assert_no_error (error);
  g_assert_cmpint (before->state, ==, SANDBOX_STATE_NEW);
  g_assert_cmpuint (before->shares->len, ==, 1);
  g_assert_cmpstr (before->changes, ==, "");
  driver_test_start (machine);
  after = sandbox_machine_get_status (machine, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (after->state, ==, SANDBOX_STATE_RUNNING);
  g_assert_cmpstr (after->address, ==, before->address);
  g_assert_cmpuint (after->memory_bytes, ==, before->memory_bytes);
  g_assert_cmpuint (after->cpus, ==, before->cpus);
  g_assert_cmpstr (after->changes, ==, "");
  g_assert_cmpstr (after->user, ==, "dev");
  g_assert_cmpint (after->keeper_pid, ==, 0);
  driver_test_destroy (machine, FALSE);
}

static void
test_broken_profile_can_be_stopped (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_create (host, "broken", "ci", NULL, NULL, &error),
                             again = NULL;
  g_autofree char *path =
      g_build_filename (g_get_user_config_dir (), "vms", "broken.profile", NULL);
  g_autoptr (SandboxMachineStatus) status = NULL;

  g_assert_no_error (error);
  driver_test_start (machine);
  g_assert_true (g_file_set_contents (path, "[machine]\nmemroy=1GiB\n", -1, &error));
  again = driver_test_lookup (host, "broken");
  g_assert_false (sandbox_machine_start (again, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_clear_error (&error);
  driver_test_assert_state (again, SANDBOX_STATE_RUNNING);
  status = sandbox_machine_get_status (again, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (status->problem, "memroy"));
  g_assert_true (sandbox_machine_stop (again, FALSE, 0, NULL, NULL, NULL, &error));
  driver_test_destroy (again, TRUE);
  driver_test_assert_nothing (again);
}

static void
test_recreate (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autofree char *note = g_build_filename (machine->state_path, "provisioned", NULL);
  g_autoptr (GError) error = NULL;

  driver_test_start (machine);
  g_assert_cmpint (g_mkdir_with_parents (machine->state_path, 0700), ==, 0);
  g_assert_true (g_file_set_contents (note, "x", -1, NULL));
  /* of the disk that there is: a start keeps it, another disk has nothing of it */
  g_assert_true (sandbox_machine_stop (machine, FALSE, 0, NULL, NULL, NULL, &error));
  driver_test_start (machine);
  g_assert_true (g_file_test (note, G_FILE_TEST_EXISTS));
  g_assert_true (sandbox_machine_recreate (machine, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (note, G_FILE_TEST_EXISTS));
  driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
  g_assert_true (sandbox_machine_stop (machine, FALSE, 0, NULL, NULL, NULL, &error));
  g_assert_true (sandbox_machine_recreate (machine, NULL, NULL, NULL, &error));
  driver_test_assert_state (machine, SANDBOX_STATE_STOPPED);
  driver_test_destroy (machine, FALSE);
}

static void
test_clone (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work"), copy = NULL, none = NULL;
  g_autoptr (SandboxMachine) of_running = NULL;
  g_autoptr (GError) error = NULL;

  none = sandbox_machine_clone (machine, "twin", NULL, NULL, NULL, &error);
  g_assert_null (none);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  g_clear_error (&error);
  driver_test_start (machine);
  of_running = sandbox_machine_clone (machine, "early", NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  driver_test_assert_state (of_running, SANDBOX_STATE_STOPPED);
  driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
  driver_test_destroy (of_running, TRUE);
  g_assert_true (sandbox_machine_stop (machine, FALSE, 0, NULL, NULL, NULL, &error));
  copy = sandbox_machine_clone (machine, "twin", NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  driver_test_assert_state (copy, SANDBOX_STATE_STOPPED);
  g_assert_cmpstr (copy->uuid, !=, machine->uuid);
  none = sandbox_machine_clone (machine, "twin", NULL, NULL, NULL, &error);
  g_assert_null (none);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_clear_error (&error);
  none = sandbox_machine_clone (machine, "personal", NULL, NULL, NULL, &error);
  g_assert_null (none);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  driver_test_start (copy);
  /* a machine of the user's whose profile is gone is still one */
  g_clear_error (&error);
  g_assert_true (sandbox_machine_stop (copy, TRUE, 0, NULL, NULL, NULL, &error));
  g_assert_true (sandbox_profile_remove (&host->profiles, "twin", &error));
  none = sandbox_machine_clone (machine, "twin", NULL, NULL, NULL, &error);
  g_assert_null (none);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_assert_nonnull (strstr (error->message, "vms destroy twin"));
  driver_test_assert_state (copy, SANDBOX_STATE_STOPPED);
  driver_test_destroy (copy, TRUE);
  driver_test_destroy (machine, FALSE);
}

static void
test_throwaway (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  SandboxMachine *machine = sandbox_host_run (host, NULL, NULL, NULL, NULL, &error);
  g_autoptr (SandboxMachine) same = NULL;
  g_autoptr (GPtrArray) orphans = NULL, rest = NULL;

  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (machine->name, "run-"));
  driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
  orphans = sandbox_host_repair (host, FALSE, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (orphans->len, ==, 0);
  same = driver_test_lookup (host, machine->name);
  sandbox_machine_unref (machine);
  driver_test_assert_nothing (same);
  rest = list (host);
  g_assert_cmpuint (rest->len, ==, 0);
}

/* An owner that died has neither its lock nor its reference. */
static void
test_sweep (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) alive = sandbox_host_run (host, NULL, NULL, NULL, NULL, &error);
  g_autoptr (SandboxMachine) dead = sandbox_host_run (host, NULL, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  g_clear_pointer (&dead->throwaway_lock, sandbox_lock_release);
  sandbox_host_sweep (host, NULL, &error);
  g_assert_no_error (error);
  driver_test_assert_nothing (dead);
  driver_test_assert_state (alive, SANDBOX_STATE_RUNNING);
}

static void
test_keep (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  SandboxRunOptions options = SANDBOX_RUN_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  g_autofree char *name = NULL;
  g_autoptr (SandboxMachine) kept = NULL, same = NULL;
  g_autoptr (SandboxMachineStatus) status = NULL;

  options.profile = "work";
  options.network_mode = "none";
  kept = sandbox_host_run (host, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  name = g_strdup (sandbox_machine_get_name (kept));
  status = sandbox_machine_get_status (kept, NULL, &error);
  g_assert_no_error (error);
  /* the drop box would stay */
  g_assert_cmpuint (status->shares->len, ==, 0);
  sandbox_machine_keep (kept, &error);
  g_assert_no_error (error);
  g_assert_false (sandbox_machine_keep (kept, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  g_clear_error (&error);
  g_clear_pointer (&kept, sandbox_machine_unref);
  sandbox_host_sweep (host, NULL, &error);
  g_assert_no_error (error);
  same = driver_test_lookup (host, name);
  driver_test_assert_state (same, SANDBOX_STATE_RUNNING);
  driver_test_destroy (same, TRUE);
}

static void
test_run_options (void)
{
  static const char *const shares[] = { "not-absolute", NULL };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  SandboxRunOptions wrong_mode = SANDBOX_RUN_OPTIONS_INIT, wrong_share = SANDBOX_RUN_OPTIONS_INIT,
                    wrong_profile = SANDBOX_RUN_OPTIONS_INIT;
  const SandboxRunOptions *each[] = { &wrong_mode, &wrong_share, &wrong_profile };

  wrong_mode.network_mode = "none\n[share:x]\nsource=/";
  wrong_share.shares = shares;
  wrong_profile.profile = "ci\n";
  for (gsize i = 0; i < G_N_ELEMENTS (each); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) infos = NULL;

      g_assert_null (sandbox_host_run (host, each[i], NULL, NULL, NULL, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      infos = list (host);
      g_assert_cmpuint (infos->len, ==, 0);
    }
}

static char *
own_text (SandboxMachine *machine)
{
  g_autoptr (GError) error = NULL;
  char *text = _sandbox_profile_own_text (machine->host, machine->name, &error);

  g_assert_no_error (error);
  return text;
}

/* What is taken back is our own change, and nobody else's. */
static void
test_forward_put_back (void)
{
  static const char *const specs[] = { "3000", NULL };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = _sandbox_machine_new (host, "ports");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *old = NULL, *new = NULL, *now = NULL, *other = NULL;
      gboolean edited = i == 1;

      g_assert_true (sandbox_profile_save (&host->profiles, "ports", "[profile]\ninherits=work\n",
                                           TRUE, &error));
      g_assert_true (_sandbox_profile_change_forwards (machine, SANDBOX_LISTENS_ON_HOST, specs,
                                                       TRUE, &old, &new, &error));
      g_assert_no_error (error);
      other = g_strconcat (new, "# mine\n", NULL);
      if (edited)
        g_assert_true (sandbox_profile_save (&host->profiles, "ports", other, TRUE, &error));
      _sandbox_profile_put_back (machine, old, new);
      now = own_text (machine);
      g_assert_cmpstr (now, ==, edited ? other : "[profile]\ninherits=work\n");
    }
  g_assert_true (sandbox_profile_remove (&host->profiles, "ports", &error));
}

static void
test_two_owners (void)
{
  g_autoptr (SandboxHost) one = driver_test_open (TEST_URI, NULL),
                          two = driver_test_open (TEST_URI, "tool");
  g_autoptr (SandboxMachine) mine = driver_test_lookup (one, "work"),
                             theirs = driver_test_lookup (two, "work");
  g_autoptr (GPtrArray) infos = NULL, orphans = NULL;
  g_autoptr (GError) error = NULL;

  driver_test_start (mine);
  infos = list (two);
  g_assert_cmpuint (infos->len, ==, 0);
  driver_test_assert_state (theirs, SANDBOX_STATE_NEW);
  driver_test_destroy (theirs, FALSE);
  driver_test_assert_state (mine, SANDBOX_STATE_RUNNING);
  driver_test_start (theirs);
  g_assert_cmpstr (mine->object, !=, theirs->object);
  g_assert_cmpstr (mine->uuid, !=, theirs->uuid);
  orphans = sandbox_host_repair (one, TRUE, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  driver_test_destroy (mine, FALSE);
  driver_test_assert_state (theirs, SANDBOX_STATE_RUNNING);
  driver_test_destroy (theirs, FALSE);
}

/* Somebody's domain that happens to have the name that ours would get. */
static void
test_foreign_domain (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autofree char *xml =
      g_strdup_printf ("<domain type='test'><name>%s</name><memory unit='MiB'>64</memory>"
                       "<os><type>hvm</type></os></domain>",
                       machine->object);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) infos = NULL, orphans = NULL;

  g_assert_true (_sandbox_virt_domain_define (host->virt, xml, &error));
  g_assert_false (sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_false (sandbox_machine_destroy (machine, FALSE, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_clear_error (&error);
  infos = list (host);
  g_assert_cmpuint (infos->len, ==, 0);
  orphans = sandbox_host_repair (host, TRUE, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (orphans->len, ==, 0);
  g_assert_true (driver_test_pieces (machine).domain);
  g_assert_true (_sandbox_virt_domain_undefine (host->virt, machine->object, &error));
}

static void
test_cancel (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (sandbox_machine_start (machine, NULL, NULL, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  driver_test_assert_nothing (machine);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/driver/life", test_life);
  g_test_add_func ("/driver/shipped-needs-no-create", test_shipped_needs_no_create);
  g_test_add_func ("/driver/create-refuses", test_create_refuses);
  g_test_add_func ("/driver/shares-are-kept", test_shares_are_kept);
  g_test_add_func ("/driver/shares-of-others-are-kept-apart", test_shares_of_others_are_kept_apart);
  g_test_add_func ("/driver/plan-and-changes", test_plan_and_changes);
  g_test_add_func ("/driver/status", test_status);
  g_test_add_func ("/driver/broken-profile-can-be-stopped", test_broken_profile_can_be_stopped);
  g_test_add_func ("/driver/recreate", test_recreate);
  g_test_add_func ("/driver/clone", test_clone);
  g_test_add_func ("/driver/throwaway", test_throwaway);
  g_test_add_func ("/driver/sweep", test_sweep);
  g_test_add_func ("/driver/keep", test_keep);
  g_test_add_func ("/driver/run-options", test_run_options);
  g_test_add_func ("/driver/forward-put-back", test_forward_put_back);
  g_test_add_func ("/driver/two-owners", test_two_owners);
  g_test_add_func ("/driver/foreign-domain", test_foreign_domain);
  g_test_add_func ("/driver/cancel", test_cancel);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
