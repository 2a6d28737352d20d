// SPDX-License-Identifier: LGPL-2.1-or-later
// Killed at each step at which an apply writes: every file is as it was or as it shall be, the next
// apply goes on, and undo takes back both. And where it can write nothing.
#include "world.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS_MAX 200

/* @gone_file: (nullable): removed */
static GByteArray *
archive_with (const char *a, const char *gone_file)
{
  GByteArray *archive = g_byte_array_new ();

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./a", NULL, 0644, a);
  add_entry (archive, SANDBOX_TAR_FILE, "./b", NULL, 0755, "base b");
  add_raw (archive, '3', "./gone", NULL, 0, 0, 0, 0);
  if (gone_file)
    add_entry (archive, SANDBOX_TAR_FILE, "./gone-file", NULL, 0644, gone_file);
  else
    add_raw (archive, '3', "./gone-file", NULL, 0, 0, 0, 0);
  add_entry (archive, SANDBOX_TAR_SYMLINK, "./link", "a", 0777, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./new/", NULL, 0750, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./new/x", NULL, 0644, "new x");
  add_entry (archive, SANDBOX_TAR_DIR, "./was-file/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./was-file/y", NULL, 0644, "new y");
  add_entry (archive, SANDBOX_TAR_FILE, "./z-was-dir", NULL, 0644, "new z");
  sandbox_tar_append_end (archive);
  return archive;
}

static GByteArray *
make_archive (void)
{
  return archive_with ("new a", NULL);
}

static void
make_world (World *world)
{
  world_init (world, NULL);
  put_file (world->host, "a", 0644, "base a");
  put_file (world->host, "b", 0644, "base b");
  put_file (world->host, "gone/1", 0644, "one");
  put_file (world->host, "gone/2", 0644, "two");
  put_file (world->host, "gone-file", 0644, "three");
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

typedef enum
{
  SAVE_RENAME, /* as most editors do it */
  SAVE_IN_PLACE,
  SAVES,
} Save;

static void
save (const World *world, const char *path, Save how)
{
  g_autofree char *whole = g_build_filename (world->host, path, NULL);
  g_autofree char *other = g_strconcat (whole, ".saving", NULL);
  g_autoptr (GError) error = NULL;

  if (how == SAVE_RENAME)
    {
      g_assert_true (g_file_set_contents (other, "mine", -1, &error));
      g_assert_cmpint (rename (other, whole), ==, 0);
    }
  else
    {
      FILE *file = fopen (whole, "w");

      g_assert_nonnull (file);
      g_assert_cmpint (fputs ("mine", file), >=, 0);
      fclose (file);
    }
}

/* What the next command does with what a killed one left. */
static void
come_after (const World *world, gboolean undo)
{
  g_autoptr (GByteArray) archive = make_archive ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *tree = NULL;
  guint undone = 0, left = 0;

  if (undo)
    _sandbox_changes_undo (world->host_fd, world->records_fd, "p", &undone, &left, NULL, NULL);
  else
    changes = world_read_archive ((World *)world, archive, NULL);
  tree = tree_text (world->host);
  if (strstr (tree, SANDBOX_APPLY_TEMP))
    g_error ("left behind:\n%s", tree);
}

/* What @path is by now is its user's: no later change of the machine's is ready to replace it. */
static void
check_held (World *world, const char *path, guint step, Save how, gboolean undo)
{
  g_autoptr (GByteArray) archive = archive_with ("newer a", "made again");
  g_autoptr (SandboxChanges) changes = world_read_archive (world, archive, NULL);
  const SandboxChangeRow *row = find_change (changes, path);

  if (!row || row->pub.state != SANDBOX_CHANGE_CONFLICT)
    g_error ("%s saved (%d) at step %u of %s is no conflict", path, how, step,
             undo ? "undo" : "apply");
}

/* An apply or an undo, stopped at step @step, when its user saves @path; it goes on, or is killed
 * at the step after that. FALSE when there were fewer steps. */
static gboolean
run_edited (const char *path, guint step, Save how, gboolean undo, gboolean kills)
{
  g_autoptr (GByteArray) archive = make_archive ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *now = NULL;
  gboolean stopped;
  guint n_undone = 0, left = 0;
  int status = 0;
  World world;
  pid_t pid;

  make_world (&world);
  changes = world_read_archive (&world, archive, NULL);
  if (undo)
    apply_all (changes, FALSE);
  pid = fork ();
  if (pid == 0)
    {
      g_autofree char *fault =
          g_strdup_printf ("apply:write:%u:%s", step, kills ? "stop-kill" : "stop");

      g_setenv ("SANDBOX_FAULT", fault, TRUE);
      if (!undo)
        apply_all (changes, FALSE);
      else if (!_sandbox_changes_undo (world.host_fd, world.records_fd, "p", &n_undone, &left, NULL,
                                       NULL))
        _exit (1);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, WUNTRACED), ==, pid);
  stopped = WIFSTOPPED (status);
  if (stopped)
    {
      save (&world, path, how);
      kill (pid, SIGCONT);
      g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
      if (WIFSIGNALED (status))
        come_after (&world, undo);
      now = get_file (world.host, path);
      if (g_strcmp0 (now, "mine") != 0)
        g_error ("%s saved (%d) at step %u of %s%s is lost: now \"%s\"", path, how, step,
                 undo ? "undo" : "apply", kills ? ", killed then," : "", now ? now : "(absent)");
      check_held (&world, path, step, how, undo);
    }
  g_assert_true (kills || (WIFEXITED (status) && WEXITSTATUS (status) == 0));
  world_clear (&world);
  return stopped;
}

/* Saved by its user at each step, however: it is there afterwards. */
static void
edit_at_each_step (gboolean undo, gboolean kills)
{
  static const char *const paths[] = { "a", "gone-file" };

  for (guint i = 0; i < SAVES * G_N_ELEMENTS (paths); i++)
    {
      guint step = 1;

      while (step < STEPS_MAX && run_edited (paths[i / SAVES], step, i % SAVES, undo, kills))
        step++;
      g_assert_cmpuint (step, >, 10);
      g_assert_cmpuint (step, <, STEPS_MAX);
    }
}

static void
test_edit_apply (void)
{
  edit_at_each_step (FALSE, FALSE);
  edit_at_each_step (FALSE, TRUE);
}

static void
test_edit_undo (void)
{
  edit_at_each_step (TRUE, FALSE);
  edit_at_each_step (TRUE, TRUE);
}

/* The kernel answers as for a file system that knows no flags of renameat2(), or all but those. */
static void
forbid_flags (guint from)
{
  struct sock_filter filter[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 3),
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, args[4])),
    BPF_JUMP (BPF_JMP | BPF_JGE | BPF_K, from, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { G_N_ELEMENTS (filter), filter };

  g_assert_cmpint (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
  g_assert_cmpint (prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), ==, 0);
}

/* Forbids flags as forbid_flags() does, and applies. How many changes were. */
static guint
apply_without (SandboxChanges *changes, guint from)
{
  int status = 0;
  pid_t pid = fork ();

  if (pid == 0)
    {
      g_autoptr (GError) error = NULL;
      guint n_applied = 0;

      forbid_flags (from);
      g_assert_false (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
      for (guint i = 0; i < changes->rows->len; i++)
        {
          const SandboxChange *change = sandbox_changes_get (changes, i);

          /* said once, not for each; what needed another one first has a reason */
          g_assert_true (!change->reason || !strstr (change->reason, "exchange"));
          n_applied += change->applied;
        }
      _exit ((int)n_applied);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status));
  return (guint)WEXITSTATUS (status);
}

/* What the file system can do is done, and the rest is where it can be. */
static void
test_no_exchange (void)
{
  g_autoptr (GByteArray) archive = make_archive ();
  g_autoptr (SandboxChanges) changes = NULL, some = NULL, again = NULL;
  g_autofree char *before = NULL, *after = NULL, *old = NULL, *content = NULL;
  World world;

  make_world (&world);
  before = tree_text (world.host);
  changes = world_read_archive (&world, archive, NULL);
  g_assert_cmpuint (apply_without (changes, RENAME_NOREPLACE), ==, 0);
  after = tree_text (world.host);
  g_assert_cmpstr (after, ==, before);
  some = world_read_archive (&world, archive, NULL);
  g_assert_cmpuint (apply_without (some, RENAME_EXCHANGE), >, 0);
  old = get_file (world.host, "a");
  g_assert_cmpstr (old, ==, "base a");
  again = world_read_archive (&world, archive, NULL);
  g_assert_cmpuint (again->rows->len, <, changes->rows->len);
  apply_all (again, FALSE);
  content = get_file (world.host, "a");
  g_assert_cmpstr (content, ==, "new a");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/crash/each-step", test_each_step);
  g_test_add_func ("/share/crash/edit-apply", test_edit_apply);
  g_test_add_func ("/share/crash/edit-undo", test_edit_undo);
  g_test_add_func ("/share/crash/no-exchange", test_no_exchange);
  return g_test_run ();
}
