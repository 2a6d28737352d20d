// SPDX-License-Identifier: LGPL-2.1-or-later
// Killed at each step at which an apply writes: every file is as it was or as it shall be, the next
// apply goes on, and undo takes back both.
#include "world.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS_MAX 200

static GByteArray *
make_archive (void)
{
  GByteArray *archive = g_byte_array_new ();

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./a", NULL, 0644, "new a");
  add_entry (archive, SANDBOX_TAR_FILE, "./b", NULL, 0755, "base b");
  add_raw (archive, '3', "./gone", NULL, 0, 0, 0, 0);
  add_entry (archive, SANDBOX_TAR_SYMLINK, "./link", "a", 0777, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./new/", NULL, 0750, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./new/x", NULL, 0644, "new x");
  add_entry (archive, SANDBOX_TAR_DIR, "./was-file/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./was-file/y", NULL, 0644, "new y");
  add_entry (archive, SANDBOX_TAR_FILE, "./z-was-dir", NULL, 0644, "new z");
  sandbox_tar_append_end (archive);
  return archive;
}

static void
make_world (World *world)
{
  world_init (world, NULL);
  put_file (world->host, "a", 0644, "base a");
  put_file (world->host, "b", 0644, "base b");
  put_file (world->host, "gone/1", 0644, "one");
  put_file (world->host, "gone/2", 0644, "two");
  put_file (world->host, "was-file", 0644, "base file");
  put_file (world->host, "z-was-dir/inner", 0644, "inner");
  world_record (world);
}

/* Every line of @text is one of @before or of @after, but for temporary names and for modes of new
 * directories. */
static void
check_whole (const char *text, const char *before, const char *after)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (char **line = lines; *line; line++)
    if (!strstr (before, *line) && !strstr (after, *line) && !strstr (*line, SANDBOX_APPLY_TEMP)
        && !g_str_has_suffix (*line, " 2 700"))
      g_error ("half done: %s", *line);
}

/* FALSE when there were fewer steps. */
static gboolean
run_killed (guint step, const char *after)
{
  g_autoptr (GByteArray) archive = make_archive ();
  g_autoptr (SandboxChanges) changes = NULL, again = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL, *killed = NULL, *done = NULL, *undone = NULL;
  guint n_undone = 0, left = 0;
  int status = 0;
  World world;
  pid_t pid;

  make_world (&world);
  before = tree_text (world.host);
  changes = world_read_archive (&world, archive, &error);
  g_assert_no_error (error);
  pid = fork ();
  if (pid == 0)
    {
      g_autofree char *fault = g_strdup_printf ("apply:write:%u:kill", step);

      g_setenv ("SANDBOX_FAULT", fault, TRUE);
      apply_all (changes, FALSE);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  killed = tree_text (world.host);
  check_whole (killed, before, after);
  again = world_read_archive (&world, archive, &error);
  g_assert_no_error (error);
  apply_all (again, FALSE);
  done = tree_text (world.host);
  if (strcmp (done, after) != 0)
    g_error ("killed at %u:\n%s--- then\n%s--- instead of\n%s", step, killed, done, after);
  if (WIFSIGNALED (status))
    {
      _sandbox_changes_undo (world.host_fd, world.records_fd, "p", &n_undone, &left, NULL, &error);
      g_assert_true (!error || g_error_matches (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND));
      undone = tree_text (world.host);
      if (strcmp (undone, before) != 0)
        g_error ("killed at %u, undone:\n%s--- instead of\n%s", step, undone, before);
    }
  world_clear (&world);
  return WIFSIGNALED (status);
}

static void
test_each_step (void)
{
  g_autoptr (GByteArray) archive = make_archive ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *after = NULL;
  guint step = 1;
  World world;

  make_world (&world);
  changes = world_read_archive (&world, archive, NULL);
  apply_all (changes, FALSE);
  after = tree_text (world.host);
  world_clear (&world);
  while (step < STEPS_MAX && run_killed (step, after))
    step++;
  g_test_message ("%u steps", step - 1);
  g_assert_cmpuint (step, >, 25);
  g_assert_cmpuint (step, <, STEPS_MAX);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/crash/each-step", test_each_step);
  return g_test_run ();
}
