// SPDX-License-Identifier: LGPL-2.1-or-later
// Snapshots on libvirt's test driver, whose disks have no bytes: the tree, the names, what is
// refused, what a failed step leaves.
#include "facade/layers.h"
#include "facade/reader.h"
#include "facade-driver.h"

static SandboxMachine *
stopped_machine (SandboxHost *host, const char *name)
{
  g_autoptr (GError) error = NULL;
  SandboxMachine *machine = sandbox_host_create (host, name, "work", NULL, NULL, &error);

  g_assert_no_error (error);
  driver_test_start (machine);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  return machine;
}

static char *
try_create (SandboxMachine *machine, const char *name, GError **error)
{
  SandboxSnapshotOptions options = SANDBOX_SNAPSHOT_OPTIONS_INIT;

  options.name = name;
  options.note = "a note";
  return sandbox_machine_snapshot_create (machine, &options, NULL, NULL, NULL, error);
}

static void
create (SandboxMachine *machine, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *made = try_create (machine, name, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (made, ==, name);
}

static void
revert_with (SandboxMachine *machine, const char *name, gboolean discard)
{
  SandboxRevertOptions options = SANDBOX_REVERT_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;

  options.snapshot = name;
  options.discard = discard;
  sandbox_machine_revert (machine, &options, NULL, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}

static void
revert (SandboxMachine *machine, const char *name)
{
  revert_with (machine, name, FALSE);
}

static void delete (SandboxMachine *machine, const char *name)
{
  g_autoptr (GError) error = NULL;

  sandbox_machine_snapshot_delete (machine, name, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}

/* "one<- two<one <two" */
static void
assert_tree (SandboxMachine *machine, const char *want)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) list = sandbox_machine_snapshot_list (machine, NULL, &error);
  g_autoptr (GString) text = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < list->len; i++)
    {
      const SandboxSnapshot *snapshot = list->pdata[i];

      g_string_append_printf (text, "%s%s<%s", i > 0 ? " " : "", snapshot->name, snapshot->parent);
    }
  g_assert_cmpstr (text->str, ==, want);
}

static guint
count_layers (SandboxMachine *machine)
{
  g_autoptr (GPtrArray) volumes =
      _sandbox_virt_list_volumes (machine->host->virt, machine->object, FALSE, NULL);
  guint n = 0, number;

  for (guint i = 0; i < volumes->len; i++)
    n += _sandbox_layer_parse (machine->object, ((SandboxVirtVolume *)volumes->pdata[i])->name,
                               &number);
  return n;
}

static void
test_tree (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "tree");

  assert_tree (machine, "<");
  create (machine, "one");
  create (machine, "two");
  assert_tree (machine, "one< two<one <two");
  revert (machine, "one");
  create (machine, "other");
  assert_tree (machine, "one< two<one other<one <other");
  revert (machine, NULL);
  assert_tree (machine, "one< two<one other<one <other");
  revert (machine, "one");
  delete (machine, "other");
  assert_tree (machine, "one< two<one <one");
  revert (machine, "two");
  delete (machine, "one");
  assert_tree (machine, "two< <two");
  driver_test_start (machine);
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
  g_assert_cmpuint (count_layers (machine), ==, 0);
}

static guint
count_automatic (SandboxMachine *machine)
{
  g_autoptr (GPtrArray) list = sandbox_machine_snapshot_list (machine, NULL, NULL);
  guint n = 0;

  for (guint i = 0; i < list->len; i++)
    n += ((SandboxSnapshot *)list->pdata[i])->automatic;
  return n;
}

/* Nothing was written to it: but it is of the only snapshot that had it, and that was removed. */
static void
test_keeps (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "keeps");

  create (machine, "one");
  create (machine, "two");
  revert (machine, "one");
  revert (machine, "two");
  revert (machine, "one");
  g_assert_cmpuint (count_automatic (machine), ==, 0);
  delete (machine, "one");
  revert (machine, "two");
  g_assert_cmpuint (count_automatic (machine), ==, 1);
  driver_test_destroy (machine, TRUE);
}

/* The record of what was applied is of a later state than the disk that comes back. */
static void
test_records (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "records");
  g_autofree char *dir = g_build_filename (machine->state_path, "review", NULL);
  g_autofree char *applied = g_build_filename (dir, "project.applied", NULL);
  g_autofree char *manifest = g_build_filename (dir, "project.manifest", NULL);
  g_autofree char *note = g_build_filename (machine->state_path, "provisioned", NULL);

  create (machine, "one");
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (applied, "x", -1, NULL));
  g_assert_true (g_file_set_contents (manifest, "x", -1, NULL));
  g_assert_true (g_file_set_contents (note, "x", -1, NULL));
  revert (machine, "one");
  g_assert_false (g_file_test (note, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (applied, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (manifest, G_FILE_TEST_EXISTS));
  driver_test_destroy (machine, TRUE);
}

static void
test_refuses (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "refuses");
  g_autoptr (SandboxMachine) new = sandbox_host_create (host, "new", "work", NULL, NULL, NULL);
  SandboxRevertOptions options = SANDBOX_REVERT_OPTIONS_INIT;
  static const char *const names[] = { "", "-x", "../x", "Upper", "all", NULL };
  g_autoptr (GError) error = NULL;

  for (const char *const *name = names; *name != NULL; name++)
    {
      g_assert_null (try_create (machine, *name, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_clear_error (&error);
    }
  g_assert_null (try_create (new, "one", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  g_clear_error (&error);
  g_assert_false (sandbox_machine_revert (machine, NULL, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  create (machine, "first");
  g_assert_null (try_create (machine, "first", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_clear_error (&error);
  options.snapshot = "frist";
  g_assert_false (sandbox_machine_revert (machine, &options, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "\"first\""));
  g_clear_error (&error);
  g_assert_false (sandbox_machine_snapshot_delete (machine, "\033[2J", NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_assert_null (strchr (error->message, '\033'));
  driver_test_destroy (machine, TRUE);
}

static void
test_generated_names (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "names");
  g_autofree char *a = try_create (machine, NULL, NULL);
  g_autofree char *b = try_create (machine, NULL, NULL);

  g_assert_true (g_str_has_prefix (a, "snap-"));
  g_assert_cmpstr (a, !=, b);
  g_assert_true (sandbox_name_check ("snapshot", b, NULL));
  driver_test_destroy (machine, TRUE);
}

/* The newest ten are kept, and no others go for them. */
static void
test_checkpoints (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "checkpoints");
  SandboxSnapshotOptions options = SANDBOX_SNAPSHOT_OPTIONS_INIT;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) snapshots = NULL;
  g_autoptr (GError) error = NULL;
  guint found = 0;

  create (machine, "exec-of-mine");
  options.checkpoint = TRUE;
  options.note = "before: make";
  for (guint i = 0; i < 13; i++)
    {
      char *name = sandbox_machine_snapshot_create (machine, &options, NULL, NULL, NULL, &error);

      g_assert_no_error (error);
      g_assert_true (g_str_has_prefix (name, "exec-"));
      g_ptr_array_add (names, name);
    }
  revert (machine, "exec-of-mine");
  snapshots = sandbox_machine_snapshot_list (machine, NULL, &error);
  g_assert_no_error (error);
  g_ptr_array_remove_range (names, 0, 3);
  for (guint i = 0; i < snapshots->len; i++)
    {
      const SandboxSnapshot *snapshot = snapshots->pdata[i];

      if (!snapshot->automatic)
        continue;
      g_assert_true (g_ptr_array_find_with_equal_func (names, snapshot->name, g_str_equal, NULL));
      g_assert_cmpstr (snapshot->note, ==, "before: make");
      found++;
    }
  g_assert_cmpuint (found, ==, 10);
  options.name = "named";
  g_assert_null (sandbox_machine_snapshot_create (machine, &options, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  driver_test_destroy (machine, TRUE);
}

static void
test_limit (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "limit");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < SANDBOX_SNAPSHOTS_MAX; i++)
    {
      g_autofree char *name = g_strdup_printf ("s%u", i);

      create (machine, name);
    }
  g_assert_null (try_create (machine, "more", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  driver_test_start (machine);
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

/* Whatever step fails: before the one that counts there is nothing new, after it there is all. */
static void
test_faults (void)
{
  static const char *const verbs[] = { "snapshot-create", "snapshot-delete", "revert", "clone" };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "faults");
  guint reached = 0;

  create (machine, "one");
  create (machine, "two");
  for (guint v = 0; v < G_N_ELEMENTS (verbs); v++)
    for (const char *const *step = sandbox_machine_step_ids (verbs[v]); *step != NULL; step++)
      for (guint after = 0; after < 2; after++)
        {
          g_autofree char *fault =
              g_strdup_printf ("%s:%s:%s:fail", verbs[v], *step, after ? "after" : "before");
          SandboxRevertOptions options = SANDBOX_REVERT_OPTIONS_INIT;
          g_autoptr (GError) error = NULL;
          g_autofree char *name = NULL;
          g_autoptr (SandboxMachine) copy = NULL;
          guint before;

          revert_with (machine, "two", TRUE);
          before = count_layers (machine);
          options.snapshot = "one";
          g_setenv ("SANDBOX_FAULT", fault, TRUE);
          if (v == 0)
            name = try_create (machine, "three", &error);
          else if (v == 1)
            sandbox_machine_snapshot_delete (machine, "two", NULL, NULL, NULL, &error);
          else if (v == 2)
            sandbox_machine_revert (machine, &options, NULL, NULL, NULL, NULL, &error);
          else
            copy = sandbox_machine_clone (machine, "copy", NULL, NULL, NULL, &error);
          g_unsetenv ("SANDBOX_FAULT");
          reached += error != NULL;
          /* those that need a guest are left out here */
          g_assert_true (error != NULL || g_str_equal (*step, "sync")
                         || g_str_equal (*step, "keeper") || g_str_equal (*step, "switch")
                         || g_str_equal (*step, "image") || g_str_equal (*step, "keys")
                         || g_str_equal (*step, "changes"));
          g_test_message ("%s: %s", fault, error != NULL ? error->message : "not reached");
          sandbox_machine_snapshot_delete (machine, "three", NULL, NULL, NULL, NULL);
          g_clear_pointer (&name, g_free);
          if (copy != NULL)
            driver_test_destroy (copy, TRUE);
          name = try_create (machine, "two", NULL);
          revert_with (machine, "two", TRUE);
          g_assert_cmpuint (count_layers (machine), <=, before + 1);
        }
  g_assert_cmpuint (reached, >, 30);
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

static void
test_clone_shares (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = stopped_machine (host, "source");
  g_autoptr (SandboxMachine) copy = NULL;
  g_autoptr (SandboxLayers) layers = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) list = NULL;

  create (machine, "one");
  copy = sandbox_machine_clone (machine, "copy", NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  layers = _sandbox_layers_load (copy, &error);
  g_assert_no_error (error);
  g_assert_nonnull (layers->top->below);
  g_assert_false (layers->top->below->own);
  list = sandbox_machine_snapshot_list (machine, NULL, &error);
  g_assert_cmpstr (((SandboxSnapshot *)list->pdata[0])->used_by[0], ==, "copy");
  /* what the copy stands on outlives the source, which is no machine any more */
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
  g_assert_cmpuint (count_layers (machine), ==, 1);
  driver_test_start (copy);
  /* and goes with it */
  driver_test_destroy (copy, TRUE);
  g_assert_cmpuint (count_layers (machine), ==, 0);
  driver_test_assert_nothing (copy);
}

/* The layer of kept memory goes with the last disk on it, unless the memory is still there. */
static void
test_warm_layer (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (SandboxMachine) machine = driver_test_lookup (host, "work");
      g_autofree char *stem = g_strdup_printf (
          "warm.vms-%u-gone.0123456789abcdef0123456789abcdef-2026010%uT000000", getuid (), i + 1);
      g_autofree char *layer = g_strconcat (stem, ".qcow2", NULL);
      g_autofree char *manifest = g_strconcat (stem, ".json", NULL), *path = NULL;
      g_autofree char *disk = g_strconcat (machine->object, ".qcow2", NULL);
      g_autofree char *upper = g_strconcat (machine->object, ".1.qcow2", NULL), *below = NULL;
      g_autoptr (GPtrArray) left = NULL;

      driver_test_add_volume (host, layer, "qcow2", MIB, NULL);
      if (i == 1)
        driver_test_add_volume (host, manifest, "raw", MIB, NULL);
      path = driver_test_volume_path (host, layer);
      driver_test_add_volume (host, disk, "qcow2", MIB, path);
      below = driver_test_volume_path (host, disk);
      driver_test_add_volume (host, upper, "qcow2", MIB, below);
      driver_test_destroy (machine, FALSE);
      g_assert_cmpuint (count_layers (machine), ==, 0);
      left = _sandbox_virt_list_volumes (host->virt, stem, FALSE, NULL);
      g_assert_cmpuint (left->len, ==, i == 1 ? 2 : 0);
    }
}

/* What came with an import reads no disks. */
static void
test_reader_image (void)
{
  static const char made[] = "debian-13-20260101T000000-0123456789ab";
  static const char imported[] = "imported-20260201T000000-0123456789ab";
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  SandboxLayer layer = { .volume = (char *)"vms-0-x.qcow2" };
  g_autofree char *of_import = g_strdup_printf ("/pool/image.%s.qcow2", imported);
  g_autofree char *of_made = g_strdup_printf ("/pool/image.%s.qcow2", made);
  g_autofree char *id = NULL, *own = NULL, *manifest = g_strdup_printf ("image.%s.json", made);
  g_autofree char *theirs = g_strdup_printf ("image.%s.json", imported);

  driver_test_add_volume (host, theirs, "raw", MIB, NULL);
  layer.below_path = of_import;
  g_assert_null (_sandbox_reader_image (host, &layer, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "vms image build debian-13"));
  g_clear_error (&error);
  driver_test_add_volume (host, manifest, "raw", MIB, NULL);
  id = _sandbox_reader_image (host, &layer, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (id, ==, made);
  layer.below_path = of_made;
  own = _sandbox_reader_image (host, &layer, &error);
  g_assert_cmpstr (own, ==, made);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/snapshot/tree", test_tree);
  g_test_add_func ("/snapshot/keeps", test_keeps);
  g_test_add_func ("/snapshot/records", test_records);
  g_test_add_func ("/snapshot/refuses", test_refuses);
  g_test_add_func ("/snapshot/generated-names", test_generated_names);
  g_test_add_func ("/snapshot/checkpoints", test_checkpoints);
  g_test_add_func ("/snapshot/limit", test_limit);
  g_test_add_func ("/snapshot/faults", test_faults);
  g_test_add_func ("/snapshot/clone-shares", test_clone_shares);
  g_test_add_func ("/snapshot/warm-layer", test_warm_layer);
  g_test_add_func ("/snapshot/reader-image", test_reader_image);
  status = g_test_run ();
  driver_test_remove_home (home);
  return status;
}
