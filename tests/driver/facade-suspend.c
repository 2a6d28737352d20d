// SPDX-License-Identifier: LGPL-2.1-or-later
// A machine that has the volume with its memory: no verb boots it or touches its disk. On libvirt's
// test driver, which keeps no memory itself: the volume is put there by hand.
#include "facade-driver.h"
#include "facade/suspended.h"

#include "virt/virt-private.h"

static void
add_memory (SandboxMachine *machine)
{
  g_autofree char *name = _sandbox_memory_volume (machine->object);
  g_autofree char *xml = _sandbox_xml_raw_volume (name, 4096, 0600);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_volume_create_new (machine->host->virt, xml, &error));
  g_assert_no_error (error);
}

static SandboxMachine *
suspended (SandboxHost *host)
{
  SandboxMachine *machine = driver_test_lookup (host, "work");
  g_autoptr (GError) error = NULL;

  driver_test_start (machine);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, &error));
  add_memory (machine);
  driver_test_assert_state (machine, SANDBOX_STATE_SUSPENDED);
  return machine;
}

typedef gboolean (*VerbFunc) (SandboxMachine *machine, GError **error);

static gboolean
boot (SandboxMachine *machine, GError **error)
{
  SandboxStartOptions options = SANDBOX_START_OPTIONS_INIT;

  options.boot = TRUE;
  return sandbox_machine_start (machine, &options, NULL, NULL, NULL, error);
}

static gboolean
stop (SandboxMachine *machine, GError **error)
{
  return sandbox_machine_stop (machine, FALSE, 0, NULL, NULL, NULL, error);
}

static gboolean
recreate (SandboxMachine *machine, GError **error)
{
  return sandbox_machine_recreate (machine, NULL, NULL, NULL, error);
}

static gboolean
copy (SandboxMachine *machine, GError **error)
{
  g_autoptr (SandboxMachine) made =
      sandbox_machine_clone (machine, "copy", NULL, NULL, NULL, error);

  return made != NULL;
}

static gboolean
snapshot (SandboxMachine *machine, GError **error)
{
  g_autofree char *name = sandbox_machine_snapshot_create (machine, NULL, NULL, NULL, NULL, error);

  return name != NULL;
}

static gboolean
revert (SandboxMachine *machine, GError **error)
{
  g_autofree char *kept = NULL;

  return sandbox_machine_revert (machine, NULL, NULL, NULL, NULL, &kept, error);
}

static gboolean
delete_snapshot (SandboxMachine *machine, GError **error)
{
  return sandbox_machine_snapshot_delete (machine, "s", NULL, NULL, NULL, error);
}

static void
test_refused (void)
{
  static const VerbFunc verbs[] = { boot, stop, recreate, copy, snapshot, revert, delete_snapshot };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = suspended (host);

  for (gsize i = 0; i < G_N_ELEMENTS (verbs); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (verbs[i](machine, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
      g_assert_nonnull (strstr (error->message, "suspended"));
      g_assert_nonnull (strstr (error->message, "stop --force work"));
      driver_test_assert_state (machine, SANDBOX_STATE_SUSPENDED);
    }
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

/* Not even a boot that got past the check of the verbs. */
static void
test_boot_step (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = suspended (host);
  g_autoptr (GError) error = NULL;
  g_auto (SandboxWork) work = { 0 };

  _sandbox_work_init (&work, machine, NULL, NULL);
  work.pieces = driver_test_pieces (machine);
  g_assert_false (_sandbox_step_boot (&work, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  driver_test_assert_state (machine, SANDBOX_STATE_SUSPENDED);
  driver_test_destroy (machine, TRUE);
}

static void
test_dropped (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = suspended (host);
  g_autoptr (GError) error = NULL;
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, TRUE, &error);

  g_assert_cmpint (fd, >=, 0);
  g_assert_true (_sandbox_suspend_note_write (machine, SANDBOX_SUSPEND_DISK, &error));
  g_assert_cmpint (_sandbox_suspend_note_read (machine), ==, SANDBOX_SUSPEND_DISK);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  driver_test_assert_state (machine, SANDBOX_STATE_STOPPED);
  g_assert_cmpint (_sandbox_suspend_note_read (machine), ==, SANDBOX_SUSPEND_NONE);
  driver_test_start (machine);
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

/* A machine that runs, and has not been told by us to stand still, has run since. */
static void
test_void (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = suspended (host);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_domain_start (host->virt, machine->object, &error));
  g_assert_true (sandbox_machine_stop (machine, FALSE, 0, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  driver_test_assert_state (machine, SANDBOX_STATE_STOPPED);
  /* one that stands still keeps it */
  driver_test_start (machine);
  g_assert_true (_sandbox_virt_domain_suspend (host->virt, machine->object, &error));
  add_memory (machine);
  g_assert_false (snapshot (machine, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  g_assert_true (driver_test_pieces (machine).memory);
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

/* libvirt itself keeps memory of it, as virt-manager and a host that goes down have it do. */
static void
test_kept (void)
{
  static const VerbFunc verbs[] = { boot, stop, recreate, copy, snapshot, revert, delete_snapshot };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  virConnectPtr conn = virConnectOpen (TEST_URI);
  virDomainPtr domain;
  g_autoptr (GError) error = NULL;

  driver_test_start (machine);
  domain = virDomainLookupByName (conn, machine->object);
  g_assert_cmpint (virDomainManagedSave (domain, 0), ==, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (verbs); i++)
    {
      g_autoptr (GError) local = NULL;

      g_assert_false (verbs[i](machine, &local));
      g_assert_error (local, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
      g_assert_nonnull (strstr (local->message, "stop --force work"));
      g_assert_cmpint (virDomainHasManagedSaveImage (domain, 0), ==, 1);
      driver_test_assert_state (machine, SANDBOX_STATE_STOPPED);
    }
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (virDomainHasManagedSaveImage (domain, 0), ==, 0);
  driver_test_start (machine);
  /* and with it, it goes */
  g_assert_cmpint (virDomainManagedSave (domain, 0), ==, 0);
  virDomainFree (domain);
  virConnectClose (conn);
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

/* Memory without a machine. */
static void
test_orphan (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autofree char *name = _sandbox_memory_volume (machine->object);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_pool_ensure (host->virt, &error));
  add_memory (machine);
  for (guint remove = 0; remove < 2; remove++)
    {
      g_autoptr (GPtrArray) orphans =
          sandbox_host_repair (host, (gboolean)remove, NULL, NULL, NULL, &error);
      gboolean found = FALSE;

      g_assert_no_error (error);
      g_assert_true (driver_test_pieces (machine).memory == (remove == 0));
      for (guint i = 0; i < orphans->len; i++)
        found |= strcmp (((const SandboxOrphan *)orphans->pdata[i])->name, name) == 0;
      g_assert_true (found);
    }
  driver_test_assert_nothing (machine);
}

/* By somebody's hand: who asked for what is told what that came to. */
static void
test_paused (void)
{
  static const char *const begins[] = { "start work: it is paused", "resume work: it is paused" };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  g_autoptr (GError) error = NULL;

  driver_test_start (machine);
  _sandbox_virt_domain_suspend (host->virt, machine->object, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (begins); i++)
    {
      g_assert_false (i == 0 ? sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error)
                             : sandbox_machine_resume (machine, 0, NULL, NULL, NULL, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
      if (!g_str_has_prefix (error->message, begins[i]))
        g_error ("%s", error->message);
      g_clear_error (&error);
    }
  driver_test_destroy (machine, TRUE);
}

static void
test_not_here (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
  SandboxSuspendOptions options = SANDBOX_SUSPEND_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;

  g_assert_false (sandbox_machine_resume (machine, 0, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  g_clear_error (&error);
  options.struct_size = 1;
  g_assert_false (sandbox_machine_suspend (machine, &options, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_clear_error (&error);
  driver_test_start (machine);
  g_assert_false (sandbox_machine_suspend (machine, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
  driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
  driver_test_destroy (machine, TRUE);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/facade/suspend/refused", test_refused);
  g_test_add_func ("/facade/suspend/paused", test_paused);
  g_test_add_func ("/facade/suspend/boot-step", test_boot_step);
  g_test_add_func ("/facade/suspend/dropped", test_dropped);
  g_test_add_func ("/facade/suspend/void", test_void);
  g_test_add_func ("/facade/suspend/kept", test_kept);
  g_test_add_func ("/facade/suspend/orphan", test_orphan);
  g_test_add_func ("/facade/suspend/not-here", test_not_here);
  status = g_test_run ();
  driver_test_remove_home (home);
  return status;
}
