// SPDX-License-Identifier: LGPL-2.1-or-later
// What this host knows of the changes of a machine that is off: when it may say that there are none
// left, of which shares, and what a copy has of it. With a guest: tests/vm/52-keep.sh.
#include "facade-driver.h"

#include "facade/keep.h"

typedef struct
{
  char *name, *project;
  SandboxHost *host;
  SandboxMachine *machine;
} World;

static void
put (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
check_text (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autofree char *have = NULL;

  g_file_get_contents (path, &have, NULL, NULL);
  g_assert_cmpstr (have, ==, text);
}

static int
open_dir (const char *path)
{
  int fd = g_open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

static int
open_records (SandboxMachine *machine)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, TRUE, NULL);
  int fd = _sandbox_records_fd (machine, NULL);

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

/* A machine whose share for review is recorded, as by its first start. */
static void
world_init (World *world)
{
  g_autoptr (GError) error = NULL;
  sandbox_autofd int root_fd = -1, records_fd = -1;
  static guint n;

  world->host = driver_test_open (TEST_URI, NULL);
  world->name = g_strdup_printf ("kept%u", ++n);
  world->project = g_build_filename (g_getenv ("HOME"), world->name, "project", NULL);
  g_assert_cmpint (g_mkdir_with_parents (world->project, 0700), ==, 0);
  put (world->project, "old", "host\n");
  world->machine = sandbox_host_create (world->host, world->name, "ci", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (sandbox_machine_add_share (world->machine, world->project, NULL, NULL, NULL, NULL,
                                            NULL, &error));
  g_assert_no_error (error);
  records_fd = open_records (world->machine);
  root_fd = open_dir (world->project);
  g_assert_true (_sandbox_manifest_take (root_fd, records_fd, "project", NULL, NULL));
}

static void
world_clear (World *world)
{
  sandbox_machine_unref (world->machine);
  sandbox_host_unref (world->host);
  g_free (world->name);
  g_free (world->project);
}

typedef struct
{
  const char *data;
  gsize left;
} Archive;

static gboolean
read_archive (gpointer data, gsize length, gpointer user_data, GError **error)
{
  Archive *archive = user_data;

  g_assert_cmpuint (length, <=, archive->left);
  memcpy (data, archive->data, length);
  archive->data += length;
  archive->left -= length;
  return TRUE;
}

/* All that the machine changed: "old". */
static SandboxChanges *
read_changes (const World *world)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  SandboxTarEntry top = { .type = SANDBOX_TAR_DIR, .name = (char *)"./", .mode = 0755 };
  sandbox_autofd int root_fd = open_dir (world->project);
  sandbox_autofd int records_fd = open_records (world->machine);
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;
  SandboxUpper *upper;
  Archive archive;

  sandbox_tar_append_header (bytes, &top);
  sandbox_tar_append (bytes, "./old", 0644, "machine\n", 8);
  sandbox_tar_append_end (bytes);
  archive = (Archive){ (const char *)bytes->data, bytes->len };
  upper = _sandbox_upper_read (read_archive, &archive, records_fd, &error);
  g_assert_no_error (error);
  changes =
      _sandbox_changes_new (world->name, "project", upper, NULL, root_fd, records_fd, NULL, &error);
  g_assert_no_error (error);
  return changes;
}

static void
apply (const World *world)
{
  g_autoptr (SandboxChanges) changes = read_changes (world);

  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
}

/* The machine's disk has again what this host has not. */
static void
test_undo (void)
{
  g_autoptr (GError) error = NULL;
  guint undone = 0, left = 0;
  World world;

  world_init (&world);
  apply (&world);
  check_text (world.project, "old", "machine\n");
  g_assert_true (_sandbox_unapplied_write (world.machine, SANDBOX_UNAPPLIED_NONE, NULL));
  g_assert_true (
      sandbox_machine_undo_apply (world.machine, "project", &undone, &left, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (undone, ==, 1);
  check_text (world.project, "old", "host\n");
  g_assert_cmpint ((int)_sandbox_unapplied_read (world.machine), ==, SANDBOX_UNAPPLIED_UNKNOWN);
  world_clear (&world);
}

static SandboxMachine *
make_copy (const World *world)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strconcat (world->name, "-copy", NULL);
  SandboxMachine *copy = sandbox_host_create (world->host, name, "ci", NULL, NULL, &error);
  sandbox_autofd int records_fd = open_records (copy);

  g_assert_no_error (error);
  g_assert_false (_sandbox_machine_was_started (copy));
  g_assert_true (_sandbox_records_clone (world->machine, copy, &error));
  g_assert_no_error (error);
  return copy;
}

/* What it holds is the machine's, before it was ever started; and what merges begin with. */
static void
test_clone (void)
{
  g_autoptr (SandboxMachine) copy = NULL;
  g_autofree char *base = NULL, *name = NULL;
  guint8 hash[SANDBOX_HASH_BYTES];
  World world;

  world_init (&world);
  apply (&world);
  g_assert_true (_sandbox_unapplied_write (world.machine, SANDBOX_UNAPPLIED_SOME, NULL));
  copy = make_copy (&world);
  g_assert_true (_sandbox_machine_was_started (copy));
  g_assert_cmpint ((int)_sandbox_unapplied_read (copy), ==, SANDBOX_UNAPPLIED_SOME);
  _sandbox_text_hash ("machine\n", hash);
  name = _sandbox_hash_to_hex (hash);
  base = g_build_filename (copy->state_path, "review", "project.base", NULL);
  check_text (base, name, "machine\n");
  sandbox_machine_unref (g_steal_pointer (&copy));
  world_clear (&world);
}

static void
check_count (const World *world, guint n)
{
  g_autoptr (SandboxChanges) changes = read_changes (world);

  g_assert_cmpuint (sandbox_changes_get_length (changes), ==, n);
}

/* Of a machine that is off: it is told what to drop when it starts, and so is a copy of it, but not
 * a disk that goes back. One that runs is asked itself. */
static void
test_discard (void)
{
  g_autoptr (SandboxMachine) copy = NULL;
  g_autoptr (GError) error = NULL;
  gboolean wanted[] = { TRUE };
  sandbox_autofd int copy_fd = -1;
  World world;

  world_init (&world);
  check_count (&world, 1);
  {
    g_autoptr (SandboxChanges) changes = read_changes (&world);

    g_assert_true (_sandbox_discard_later (world.machine, changes, wanted, NULL, &error));
    g_assert_no_error (error);
  }
  check_count (&world, 0);
  copy = make_copy (&world);
  copy_fd = open_records (copy);
  g_assert_true (_sandbox_dropped_exists (copy_fd, "project"));
  g_assert_true (_sandbox_records_revert (world.machine, &error));
  check_count (&world, 1);
  driver_test_start (world.machine);
  {
    g_autoptr (SandboxChanges) changes = read_changes (&world);

    g_assert_false (_sandbox_discard_later (world.machine, changes, wanted, NULL, &error));
    g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  }
  check_count (&world, 1);
  driver_test_destroy (world.machine, TRUE);
  sandbox_machine_unref (g_steal_pointer (&copy));
  world_clear (&world);
}

static void
check_copies (const World *world, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachineStatus) status =
      sandbox_machine_get_status (world->machine, NULL, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < status->shares->len; i++)
    {
      const SandboxShareStatus *share = status->shares->pdata[i];

      if (!g_str_equal (share->name, "project"))
        continue;
      g_assert_cmpuint (share->own_copies->len, ==, *expected != '\0' ? 1 : 0);
      if (*expected != '\0')
        g_assert_cmpstr (share->own_copies->pdata[0], ==, expected);
      return;
    }
  g_assert_not_reached ();
}

/* What was applied is a copy in the machine; it is told of when this host has another one since.
 * What the machine made and discarded is no entry of its layer any more. */
static void
test_own_copies (void)
{
  SandboxNode absent = { .type = SANDBOX_NODE_ABSENT, .has_hash = TRUE };
  sandbox_autofd int root_fd = -1, records_fd = -1;
  g_autoptr (SandboxBase) base = NULL;
  World world;

  world_init (&world);
  check_copies (&world, "");
  apply (&world);
  check_copies (&world, "");
  root_fd = open_dir (world.project);
  records_fd = open_records (world.machine);
  base = _sandbox_base_open (root_fd, records_fd, "project", NULL);
  _sandbox_base_set_applied (base, "made", &absent);
  g_assert_true (_sandbox_base_save_applied (base, records_fd, "project", NULL));
  put (world.project, "made", "host\n");
  check_copies (&world, "");
  put (world.project, "old", "edited\n");
  check_copies (&world, "old");
  world_clear (&world);
}

static SandboxPlanShare *
new_share (const char *tag, const char *source)
{
  SandboxPlanShare *share = g_new0 (SandboxPlanShare, 1);

  share->tag = g_strdup (tag);
  share->source = g_strdup (source);
  share->target = g_strdup ("/home/dev/x");
  share->mode = SANDBOX_SHARE_REVIEW;
  share->guard = g_strdup ("deploy.sh");
  share->flag = g_strdup ("");
  share->shadow = g_strdup ("");
  return share;
}

/* What a start notes of its shares. */
static void
record (const World *world, const char *const *tags, gboolean disk)
{
  SandboxPlan plan = { .shares = g_ptr_array_new_with_free_func (_sandbox_plan_share_free) };
  SandboxWork work = { .machine = world->machine, .plan = &plan };
  g_autoptr (GError) error = NULL;

  work.pieces.disk = disk;
  for (; *tags != NULL; tags++)
    g_ptr_array_add (plan.shares, new_share (*tags, world->project));
  g_assert_true (_sandbox_step_record (&work, NULL, &error));
  g_assert_no_error (error);
  g_ptr_array_unref (plan.shares);
}

static void
check_unapplied (const World *world, const char *expected)
{
  SandboxDomainMeta meta = { .shares = g_ptr_array_new () };
  SandboxWork work = { .machine = world->machine, .old_meta = &meta };
  g_autoptr (GPtrArray) shares = _sandbox_unapplied_shares (&work);
  g_autoptr (GString) tags = g_string_new ("");

  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];

      g_string_append_printf (tags, "%s%s", i > 0 ? " " : "", share->tag);
      g_assert_cmpstr (share->source, ==, world->project);
      g_assert_cmpstr (share->guard, ==, "deploy.sh");
    }
  g_assert_cmpstr (tags->str, ==, expected);
  g_ptr_array_unref (meta.shares);
}

/* A machine keeps the layers of shares that it has no more, until its disk goes. */
static void
test_ended (void)
{
  static const char *const both[] = { "one", "two", NULL }, *const two[] = { "two", NULL };
  g_auto (GStrv) tags = NULL, left = NULL;
  g_autofree char *joined = NULL;
  World world;

  world_init (&world);
  record (&world, both, TRUE);
  check_unapplied (&world, "one two");
  record (&world, two, TRUE);
  check_unapplied (&world, "one two");
  tags = sandbox_machine_list_reviews (world.machine, NULL);
  joined = g_strjoinv (" ", tags);
  g_assert_cmpstr (joined, ==, "project one two");
  g_assert_true (_sandbox_record_remove (world.machine, "two", NULL));
  check_unapplied (&world, "one");
  record (&world, two, FALSE);
  check_unapplied (&world, "two");
  world_clear (&world);
}

static gboolean
remove_share (const World *world, gboolean discard, GError **error)
{
  SandboxRemoveShareOptions options = SANDBOX_REMOVE_SHARE_OPTIONS_INIT;

  options.discard_changes = discard;
  return sandbox_machine_remove_share (world->machine, "project", &options, NULL, error);
}

/* Of a machine that is off: not while it may hold changes there. There is no guest to be asked. */
static void
test_remove_share (void)
{
  g_autoptr (GError) error = NULL;
  World world;

  world_init (&world);
  g_assert_true (_sandbox_unapplied_write (world.machine, SANDBOX_UNAPPLIED_SOME, NULL));
  g_assert_false (remove_share (&world, FALSE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  g_assert_nonnull (strstr (error->message, "stay on the machine's disk"));
  g_clear_error (&error);
  g_assert_true (_sandbox_unapplied_write (world.machine, SANDBOX_UNAPPLIED_UNKNOWN, NULL));
  g_assert_false (remove_share (&world, FALSE, NULL));
  g_assert_true (remove_share (&world, TRUE, &error));
  g_assert_no_error (error);
  g_assert_true (
      sandbox_machine_add_share (world.machine, world.project, NULL, NULL, NULL, NULL, NULL, NULL));
  g_assert_true (_sandbox_unapplied_write (world.machine, SANDBOX_UNAPPLIED_NONE, NULL));
  g_assert_true (remove_share (&world, FALSE, &error));
  g_assert_no_error (error);
  world_clear (&world);
}

/* What keeps the others from being saved, too. */
static void
test_too_large (void)
{
  const struct
  {
    const char *left_out, *expected;
  } cases[] = {
    { "", NULL },
    { "s ./socket\ns ./f\n", NULL },
    { "f ./big\n", "big" },
    { "s ./socket\nf ./a/big\nf ./b\033[2J\n", "a/big, b\\x1b[2J" },
    { "f ./1\nf ./2\nf ./3\nf ./4\nf ./5\nf ./6\nf ./7\n", "1, 2, 3, 4, 5 and 2 more" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      SandboxFetched fetched = { .left_out = (char *)cases[i].left_out };
      g_autofree char *names = _sandbox_fetched_too_large (&fetched);

      g_assert_cmpstr (names, ==, cases[i].expected);
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int status;

  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/driver/kept/undo", test_undo);
  g_test_add_func ("/driver/kept/clone", test_clone);
  g_test_add_func ("/driver/kept/discard", test_discard);
  g_test_add_func ("/driver/kept/ended", test_ended);
  g_test_add_func ("/driver/kept/remove-share", test_remove_share);
  g_test_add_func ("/driver/kept/own-copies", test_own_copies);
  g_test_add_func ("/driver/kept/too-large", test_too_large);
  status = g_test_run ();
  driver_test_remove_home (home);
  return status;
}
