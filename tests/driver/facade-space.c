// SPDX-License-Identifier: LGPL-2.1-or-later
// What takes how much room, what prune removes, and no start on a full disk: on libvirt's test
// driver, whose volumes have sizes, if no bytes.
#include "facade/provision-private.h"
#include "facade/space.h"
#include "facade-driver.h"

#include <sys/time.h>

#define OLD    "debian-13-20260101T000000-0123456789ab"
#define MIDDLE "debian-13-20260201T000000-0123456789ab"
#define NEWEST "debian-13-20260301T000000-0123456789ab"

static void
add_image (SandboxHost *host, const char *id, gboolean whole)
{
  static const char *const suffixes[] = { ".qcow2", ".vmlinuz", ".initrd", ".cmdline", ".json" };

  for (gsize i = 0; i < G_N_ELEMENTS (suffixes) - (whole ? 0 : 1); i++)
    {
      g_autofree char *name = g_strconcat ("image.", id, suffixes[i], NULL);

      driver_test_add_volume (host, name, i == 0 ? "qcow2" : "raw", i == 0 ? 10 * MIB : MIB, NULL);
    }
}

static const SandboxSpaceItem *
find (const GPtrArray *items, const char *kind, const char *name)
{
  for (guint i = 0; i < items->len; i++)
    {
      const SandboxSpaceItem *item = items->pdata[i];

      if (strcmp (item->kind, kind) == 0 && strcmp (item->name, name) == 0)
        return item;
    }
  return NULL;
}

static SandboxSpace *
get_space (SandboxHost *host)
{
  g_autoptr (GError) error = NULL;
  SandboxSpace *space = sandbox_host_get_space (host, NULL, &error);

  g_assert_no_error (error);
  return space;
}

/* Every volume is counted once, whosever it is. */
static void
assert_sum (const SandboxSpace *space)
{
  guint64 sum = 0;

  for (guint i = 0; i < space->items->len; i++)
    {
      const SandboxSpaceItem *item = space->items->pdata[i];

      g_assert_cmpuint (item->shared_bytes, <=, item->allocated_bytes);
      if (strcmp (item->kind, "snapshot") != 0 && strcmp (item->kind, "saved") != 0)
        sum += item->allocated_bytes;
    }
  g_assert_cmpuint (sum, ==, space->allocated_bytes);
}

static char *
machine_volume (const char *name, const char *suffix)
{
  g_autofree char *object = _sandbox_object_name (getuid (), "vms", name);

  return g_strconcat (object, suffix, NULL);
}

static void
assert_one_user (const SandboxSpaceItem *item, const char *machine)
{
  g_autofree char *object = machine_volume (machine, "");

  g_assert_cmpuint (g_strv_length (item->used_by), ==, 1);
  g_assert_cmpstr (item->used_by[0], ==, object);
}

static void
test_items (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *a = machine_volume ("a", ".qcow2"), *a1 = machine_volume ("a", ".1.qcow2");
  g_autofree char *b = machine_volume ("b", ".qcow2"), *seed = machine_volume ("a", ".seed");
  g_autofree char *image = NULL, *below = NULL;
  g_autoptr (SandboxSpace) space = NULL;
  g_autofree char *state = g_build_filename (host->state_dir, "b", NULL);
  const SandboxSpaceItem *item;

  /* "a" is no machine any more, "b" a copy of it */
  add_image (host, NEWEST, TRUE);
  add_image (host, OLD, TRUE);
  add_image (host, MIDDLE, FALSE);
  image = driver_test_volume_path (host, "image." NEWEST ".qcow2");
  driver_test_add_volume (host, a, "qcow2", 5 * MIB, image);
  below = driver_test_volume_path (host, a);
  driver_test_add_volume (host, b, "qcow2", 3 * MIB, below);
  driver_test_add_volume (host, "vms-4711-foreign.qcow2", "qcow2", 7 * MIB, NULL);
  g_assert_cmpint (g_mkdir_with_parents (state, 0700), ==, 0);
  space = get_space (host);
  assert_sum (space);
  item = find (space->items, "left", "a");
  g_assert_cmpuint (item->allocated_bytes, ==, 5 * MIB);
  g_assert_cmpuint (item->shared_bytes, ==, 5 * MIB);
  assert_one_user (item, "b");
  item = find (space->items, "machine", "b");
  g_assert_cmpuint (item->allocated_bytes, ==, 3 * MIB);
  g_assert_cmpuint (item->shared_bytes, ==, 0);
  item = find (space->items, "image", NEWEST);
  g_assert_cmpuint (item->allocated_bytes, ==, 14 * MIB);
  g_assert_cmpuint (item->shared_bytes, ==, 14 * MIB);
  g_assert_cmpuint (item->reclaimable_bytes, ==, 0);
  item = find (space->items, "image", OLD);
  g_assert_cmpuint (item->reclaimable_bytes, ==, 14 * MIB);
  item = find (space->items, "unfinished", MIDDLE);
  g_assert_cmpuint (item->allocated_bytes, ==, 13 * MIB);
  g_assert_cmpuint (find (space->items, "other", "other users")->allocated_bytes, ==, 7 * MIB);
  g_assert_cmpuint (space->reclaimable_bytes, ==, 14 * MIB);
  g_assert_cmpuint (space->available_bytes, >, 0);
  /* another layer of a machine's own, and what is no layer */
  g_clear_pointer (&space, sandbox_space_free);
  driver_test_add_volume (host, a1, "qcow2", 2 * MIB, below);
  driver_test_add_volume (host, seed, "raw", 1 * MIB, NULL);
  space = get_space (host);
  assert_sum (space);
  item = find (space->items, "machine", "a");
  g_assert_cmpuint (item->allocated_bytes, ==, 8 * MIB);
  g_assert_cmpuint (item->shared_bytes, ==, 5 * MIB);
}

static guint64
reclaimable (const SandboxSpace *space, const char *kind, const char *name)
{
  const SandboxSpaceItem *item = find (space->items, kind, name);

  g_assert_nonnull (item);
  g_assert_cmpuint (item->reclaimable_bytes, <=, item->allocated_bytes);
  return item->reclaimable_bytes;
}

/* What a repair would remove counts, and nothing else. */
static void
test_repairable (void)
{
  static const char layer[] = "layer.0123456789abcdef0123456789abcdef-20260101T000000.qcow2";
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *object = machine_volume ("gone", ""), *disk = machine_volume ("b", ".qcow2");
  g_autofree char *flat = machine_volume ("b", ".export"), *kept = machine_volume ("b", ".memory");
  g_autofree char *id =
      g_strdup_printf ("%s.0123456789abcdef0123456789abcdef-20260101T000000", object);
  g_autofree char *warm = g_strdup_printf ("warm.%s.qcow2", id);
  g_autofree char *shown = g_strconcat ("warm-", id, NULL);
  g_autofree char *build = g_build_filename (host->cache_dir, "build", "debian-13-1", NULL);
  g_autofree char *state = g_build_filename (host->state_dir, "b", NULL);
  g_autoptr (SandboxSpace) space = NULL, after = NULL;

  add_image (host, MIDDLE, FALSE);
  driver_test_add_volume (host, layer, "qcow2", 2 * MIB, NULL);
  driver_test_add_volume (host, warm, "qcow2", 3 * MIB, NULL);
  driver_test_add_volume (host, disk, "qcow2", 5 * MIB, NULL);
  driver_test_add_volume (host, flat, "qcow2", 6 * MIB, NULL);
  driver_test_add_volume (host, kept, "raw", 7 * MIB, NULL);
  g_assert_cmpint (g_mkdir_with_parents (state, 0700), ==, 0);
  space = get_space (host);
  assert_sum (space);
  /* no build says that it is its own: nobody removes that */
  g_assert_cmpuint (reclaimable (space, "unfinished", MIDDLE), ==, 0);
  g_assert_cmpuint (
      reclaimable (space, "unfinished", "layer-0123456789abcdef0123456789abcdef-20260101T000000"),
      ==, 2 * MIB);
  g_assert_cmpuint (reclaimable (space, "unfinished", shown), ==, 3 * MIB);
  g_assert_cmpuint (reclaimable (space, "machine", "b"), ==, 6 * MIB);
  g_assert_cmpuint (reclaimable (space, "memory", "b"), ==, 7 * MIB);
  g_assert_cmpuint (space->reclaimable_bytes, ==, 18 * MIB);
  /* one that was killed has left its directory */
  g_assert_cmpint (g_mkdir_with_parents (build, 0700), ==, 0);
  after = get_space (host);
  g_assert_cmpuint (reclaimable (after, "unfinished", MIDDLE), ==, 13 * MIB);
}

/* How many volumes of the machine @name a repair tells of. */
static guint
count_orphans (SandboxHost *host, const char *name, gboolean remove)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) orphans = sandbox_host_repair (host, remove, NULL, NULL, NULL, &error);
  g_autofree char *prefix = machine_volume (name, ".");
  guint n = 0;

  g_assert_no_error (error);
  for (guint i = 0; i < orphans->len; i++)
    n += g_str_has_prefix (((const SandboxOrphan *)orphans->pdata[i])->name, prefix) ? 1 : 0;
  return n;
}

/* What killed commands left of a machine that runs: the copy of its disk that an export made, a
 * layer that it never wrote to, memory that it has gone on from. While somebody works on the
 * machine, all of these may be theirs. */
static void
test_repairable_running (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_create (host, "busy", "work", NULL, NULL, &error);
  g_autofree char *disk = machine_volume ("busy", ".1.qcow2"), *path = NULL;
  g_autofree char *useless = machine_volume ("busy", ".2.qcow2");
  g_autofree char *flat = machine_volume ("busy", ".export");
  g_autofree char *memory = machine_volume ("busy", ".memory");
  SandboxSnapshotOptions options = SANDBOX_SNAPSHOT_OPTIONS_INIT;
  g_autoptr (SandboxSpace) space = NULL, held = NULL, after = NULL;
  g_autofree char *name = NULL;
  SandboxLock *lock;

  driver_test_start (machine);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, &error));
  options.name = "one";
  name = sandbox_machine_snapshot_create (machine, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  driver_test_start (machine);
  g_assert_cmpuint (count_orphans (host, "busy", FALSE), ==, 0);
  path = driver_test_volume_path (host, disk);
  driver_test_add_volume (host, useless, "qcow2", 2 * MIB, path);
  driver_test_add_volume (host, flat, "qcow2", 6 * MIB, NULL);
  driver_test_add_volume (host, memory, "raw", 7 * MIB, NULL);
  lock = _sandbox_machine_lock (machine, "export", 0, NULL, NULL, &error);
  g_assert_no_error (error);
  held = get_space (host);
  g_assert_cmpuint (reclaimable (held, "machine", "busy"), ==, 2 * MIB);
  g_assert_cmpuint (count_orphans (host, "busy", TRUE), ==, 0);
  _sandbox_machine_unlock (machine, lock);
  space = get_space (host);
  assert_sum (space);
  g_assert_cmpuint (reclaimable (space, "machine", "busy"), ==, 8 * MIB);
  g_assert_cmpuint (reclaimable (space, "memory", "busy"), ==, 7 * MIB);
  g_assert_cmpuint (count_orphans (host, "busy", FALSE), ==, 3);
  g_assert_cmpuint (count_orphans (host, "busy", TRUE), ==, 3);
  g_assert_cmpuint (count_orphans (host, "busy", FALSE), ==, 0);
  after = get_space (host);
  g_assert_cmpuint (reclaimable (after, "machine", "busy"), ==, 0);
  g_assert_nonnull (find (after->items, "snapshot", "busy/one"));
  driver_test_assert_state (machine, SANDBOX_STATE_RUNNING);
  driver_test_destroy (machine, TRUE);
}

static void
test_snapshots (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_create (host, "shots", "work", NULL, NULL, &error);
  SandboxSnapshotOptions options = SANDBOX_SNAPSHOT_OPTIONS_INIT;
  g_autoptr (SandboxSpace) space = NULL;
  g_autofree char *name = NULL;

  driver_test_start (machine);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, &error));
  options.name = "one";
  name = sandbox_machine_snapshot_create (machine, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  space = get_space (host);
  assert_sum (space);
  g_assert_nonnull (find (space->items, "machine", "shots"));
  g_assert_nonnull (find (space->items, "snapshot", "shots/one"));
  driver_test_destroy (machine, TRUE);
}

static GPtrArray *
prune (SandboxHost *host, gboolean dry_run, guint days)
{
  SandboxPruneOptions options = SANDBOX_PRUNE_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  GPtrArray *items;

  options.dry_run = dry_run;
  options.saved_usec = (gint64)days * 86400 * G_USEC_PER_SEC;
  items = sandbox_host_prune (host, &options, NULL, &error);
  g_assert_no_error (error);
  return items;
}

static guint
count_images (SandboxHost *host)
{
  g_autoptr (GPtrArray) images = sandbox_host_list_images (host, NULL, NULL);

  return images->len;
}

/* One that a disk stands on stays, and so does the newest. */
static void
test_prune (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *disk = machine_volume ("user", ".qcow2"), *image = NULL;
  g_autoptr (GPtrArray) shown = NULL, removed = NULL, none = NULL;

  add_image (host, OLD, TRUE);
  add_image (host, MIDDLE, TRUE);
  add_image (host, NEWEST, TRUE);
  image = driver_test_volume_path (host, "image." MIDDLE ".qcow2");
  driver_test_add_volume (host, disk, "qcow2", MIB, image);
  shown = prune (host, TRUE, 0);
  g_assert_cmpuint (shown->len, ==, 1);
  g_assert_nonnull (find (shown, "image", OLD));
  g_assert_cmpuint (count_images (host), ==, 3);
  removed = prune (host, FALSE, 0);
  g_assert_cmpuint (removed->len, ==, 1);
  g_assert_cmpuint (count_images (host), ==, 2);
  none = prune (host, FALSE, 0);
  g_assert_cmpuint (none->len, ==, 0);
}

static void
make_saved (SandboxHost *host, const char *name, guint days)
{
  g_autofree char *dir = g_build_filename (host->state_dir, "saved_changes", name, NULL);
  g_autofree char *file = g_build_filename (dir, "project.tar", NULL);
  struct timeval times[2] = { { .tv_sec = time (NULL) - (time_t)days * 86400 } };

  times[1] = times[0];
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (file, "x", -1, NULL));
  g_assert_cmpint (utimes (dir, times), ==, 0);
}

static void
test_saved (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GPtrArray) not_asked = NULL, shown = NULL, removed = NULL;
  g_autoptr (SandboxSpace) space = NULL;

  make_saved (host, "work-20260101T000000", 100);
  make_saved (host, "work-20261101T000000", 3);
  not_asked = prune (host, FALSE, 0);
  g_assert_cmpuint (not_asked->len, ==, 0);
  shown = prune (host, TRUE, 30);
  g_assert_cmpuint (shown->len, ==, 1);
  g_assert_nonnull (find (shown, "saved", "work-20260101T000000"));
  removed = prune (host, FALSE, 30);
  g_assert_cmpuint (removed->len, ==, 1);
  space = get_space (host);
  g_assert_null (find (space->items, "saved", "work-20260101T000000"));
  g_assert_cmpuint (find (space->items, "saved", "work-20261101T000000")->allocated_bytes, >, 0);
}

/* With the numbers, and nothing is left of the start. */
static void
test_full (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_create (host, "full", "work", NULL, NULL, &error);
  guint64 available = 0;
  gboolean exists = FALSE;

  g_assert_true (_sandbox_virt_pool_ensure (host->virt, &error));
  g_assert_true (_sandbox_host_room (host, &exists, &available, &error));
  g_assert_cmpuint (available, >, 300 * MIB);
  driver_test_add_volume (host, "filler", "raw", available - 300 * MIB, NULL);
  g_assert_false (sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
  g_assert_nonnull (strstr (error->message, "start full: "));
  g_assert_nonnull (strstr (error->message, "300.0 MiB"));
  g_assert_nonnull (strstr (error->message, "512.0 MiB"));
  g_assert_nonnull (strstr (error->message, "vms image prune"));
  driver_test_assert_nothing (machine);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_volume_remove (host->virt, "filler", &error));
  driver_test_start (machine);
  driver_test_destroy (machine, TRUE);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/space/items", test_items);
  g_test_add_func ("/space/repairable", test_repairable);
  g_test_add_func ("/space/repairable-running", test_repairable_running);
  g_test_add_func ("/space/snapshots", test_snapshots);
  g_test_add_func ("/space/prune", test_prune);
  g_test_add_func ("/space/saved", test_saved);
  g_test_add_func ("/space/full", test_full);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
