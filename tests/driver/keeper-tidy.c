// SPDX-License-Identifier: LGPL-2.1-or-later
// When the keeper has layers merged, and when again: of a machine of libvirt's test driver, by a
// program that only counts.
#include "keeper.h"

#include "facade-driver.h"

#include "facade/layers.h"

typedef struct
{
  SandboxHost *host;
  SandboxMachine *machine;
  SandboxSsh *ssh;
  char *self, *count;
  int state_fd;
} World;

/* It is killed when it is first called, fails then, and has nothing more to do from then on. */
static void
make_program (World *world)
{
  g_autofree char *text =
      g_strdup_printf ("#!/bin/sh\necho >>'%s'\ncase $(wc -l <'%s') in\n1) kill -KILL $$ ;;\n"
                       "2) exit 1 ;;\nesac\n",
                       world->count, world->count);

  g_assert_true (
      g_file_set_contents_full (world->self, text, -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
}

static void
world_init (World *world, const char *name)
{
  g_autoptr (GError) error = NULL;

  world->host = driver_test_open (TEST_URI, NULL);
  world->machine = sandbox_host_create (world->host, name, "work", NULL, NULL, &error);
  g_assert_no_error (error);
  driver_test_start (world->machine);
  world->state_fd = _sandbox_machine_state_fd (world->machine, TRUE, NULL);
  world->ssh = _sandbox_ssh_new (world->machine->state_path, "uuid", "127.0.0.1", "dev");
  world->self = g_build_filename (g_getenv ("HOME"), "program", NULL);
  world->count = g_build_filename (g_getenv ("HOME"), "count", NULL);
  make_program (world);
}

static void
world_clear (World *world)
{
  driver_test_destroy (world->machine, TRUE);
  sandbox_close_fd (&world->state_fd);
  _sandbox_ssh_free (world->ssh);
  sandbox_machine_unref (world->machine);
  sandbox_host_unref (world->host);
  g_free (world->self);
  g_free (world->count);
}

static KeeperTidy *
new_tidy (World *world)
{
  return keeper_tidy_new (world->ssh, world->state_fd, world->self, world->host->virt, TEST_URI,
                          world->machine->object);
}

static gsize
calls (const World *world)
{
  g_autofree char *text = NULL;
  gsize length = 0;

  g_file_get_contents (world->count, &text, &length, NULL);
  return length;
}

/* Until it has run @n times; for how long it rests then, in seconds. */
static double
rest_after (World *world, KeeperTidy *tidy, gsize n)
{
  for (guint i = 0; i < 1200; i++)
    {
      int msec = keeper_tidy_step (tidy);

      if (calls (world) == n && msec != -1)
        return msec / 1000.0;
      g_usleep (50 * 1000);
    }
  g_assert_not_reached ();
}

static void
assert_about (double seconds, double want)
{
  g_assert_cmpfloat (seconds, >, want - 5);
  g_assert_cmpfloat (seconds, <=, want + 0.1);
}

/* What was killed, or failed, is tried again: later and later, but for a machine that stands still.
 */
static void
test_again (void)
{
  World world = { 0 };
  SandboxMerge merge = { (char *)"one.qcow2", (char *)"two.qcow2", TRUE };
  KeeperTidy *tidy;

  world_init (&world, "again");
  g_assert_true (_sandbox_merge_write (world.state_fd, &merge, NULL));
  tidy = new_tidy (&world);
  assert_about (keeper_tidy_step (tidy) / 1000.0, 15);
  keeper_tidy_free (tidy);
  g_assert_true (_sandbox_merge_write (world.state_fd, NULL, NULL));
  tidy = new_tidy (&world);
  assert_about (keeper_tidy_step (tidy) / 1000.0, 60);
  g_assert_true (sandbox_file_write_at (world.state_fd, SANDBOX_SNAPSHOTS_FILE, "", 0, 0600, NULL));
  assert_about (keeper_tidy_step (tidy) / 1000.0, 10);
  assert_about (rest_after (&world, tidy, 1), 15);
  assert_about (rest_after (&world, tidy, 2), 30);
  keeper_tidy_free (tidy);
  world_clear (&world);
}

/* Nobody ends a machine's merge in the moment in which that stands still. */
static void
test_leave (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("HOME"), "slow", NULL);
  g_autofree char *done = g_strconcat (path, ".done", NULL);
  g_autofree char *text =
      g_strdup_printf ("#!/bin/sh\ntrap : TERM\n: >'%s.began'\nsleep 3\nsleep 3\n"
                       ": >'%s'\n",
                       path, done);
  g_autofree char *began = g_strconcat (path, ".began", NULL);
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);
  KeeperProcess process;

  g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
  keeper_process_init (&process);
  g_assert_true (keeper_process_start (&process, argv, path));
  for (guint i = 0; i < 200 && !g_file_test (began, G_FILE_TEST_EXISTS); i++)
    g_usleep (50 * 1000);
  keeper_process_leave (&process);
  g_assert_cmpint (process.pid, ==, 0);
  for (guint i = 0; i < 200 && !g_file_test (done, G_FILE_TEST_EXISTS); i++)
    g_usleep (50 * 1000);
  g_assert_true (g_file_test (done, G_FILE_TEST_EXISTS));
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/keeper/tidy/again", test_again);
  g_test_add_func ("/keeper/tidy/leave", test_leave);
  status = g_test_run ();
  driver_test_remove_home (home);
  return status;
}
