// SPDX-License-Identifier: LGPL-2.1-or-later
// Children: status, output, limits, timeout, cancellation, descriptors, and that other children are
// left alone.
#include "base/child.h"
#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL(text)                                                                                \
  .argv = (const char *const[])                                                                    \
  {                                                                                                \
    "sh", "-c", text, NULL                                                                         \
  }
#define RUN_MAX 100000

static void
test_output (void)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  const char *const argv[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };
  g_autofree char *out = NULL, *err = NULL;
  g_autoptr (GError) error = NULL;
  int status = -1;

  options.argv = argv;
  g_assert_true (sandbox_child_run (&options, 0, RUN_MAX, NULL, &out, &err, &status, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (out, ==, "out\n");
  g_assert_cmpstr (err, ==, "err\n");
  g_assert_cmpint (status, ==, 3);
}

/* A program that nobody sends elsewhere does not find itself in the caller's directory. */
static void
test_directory (void)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  const char *const argv[] = { "pwd", NULL };
  g_autofree char *out = NULL, *here = g_get_current_dir ();
  g_autoptr (GError) error = NULL;

  options.argv = argv;
  g_assert_cmpstr (here, !=, "/");
  g_assert_true (sandbox_child_run (&options, 0, RUN_MAX, NULL, &out, NULL, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (out, ==, "/\n");
}

static void
test_status (void)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  const char *const argv[] = { "sh", "-c", "kill -9 $$", NULL };
  const char *const failing[] = { "sh", "-c",
                                  "echo; printf 'no \\033[1m way\\nmore\\n' >&2; exit 2", NULL };
  const char *const none[] = { "no-such-program-here", NULL };
  g_autoptr (GError) error = NULL;
  int status = -1;

  options.argv = argv;
  g_assert_true (sandbox_child_run (&options, 0, RUN_MAX, NULL, NULL, NULL, &status, &error));
  g_assert_cmpint (status, ==, 128 + SIGKILL);
  options.argv = failing;
  g_assert_false (sandbox_child_run (&options, 0, RUN_MAX, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==, "sh failed with status 2: no \\x1b[1m way");
  g_clear_error (&error);
  /* valgrind makes a fork of posix_spawn()'s vfork, which then cannot say that it failed */
  if (g_getenv ("LD_PRELOAD") && strstr (g_getenv ("LD_PRELOAD"), "vgpreload"))
    return;
  options.argv = none;
  g_assert_false (sandbox_child_run (&options, 0, RUN_MAX, NULL, NULL, NULL, &status, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
}

static void
test_max (void)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  const char *const argv[] = { "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x", NULL };
  g_autofree char *out = NULL;
  int status = -1;

  options.argv = argv;
  g_assert_true (sandbox_child_run (&options, 0, 1000, NULL, &out, NULL, &status, NULL));
  g_assert_cmpuint (strlen (out), ==, 1000);
  g_assert_cmpint (status, ==, 0);
}

static void
test_timeout (void)
{
  SandboxChildOptions options = { SHELL ("sleep 60 & trap '' TERM; echo $!; wait; sleep 60"),
                                  .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1,
                                  .new_group = TRUE };
  int out[2];
  char text[32] = "";
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();
  pid_t grandchild;

  g_assert_cmpint (pipe2 (out, O_CLOEXEC), ==, 0);
  options.stdout_fd = out[1];
  g_assert_false (sandbox_child_run (&options, 200000, RUN_MAX, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 20 * G_USEC_PER_SEC);
  close (out[1]);
  g_assert_cmpint (read (out[0], text, sizeof text - 1), >, 0);
  /* the group went with it: the pipe ends, as nobody has it open any more */
  g_assert_cmpint (read (out[0], text + 16, 1), ==, 0);
  close (out[0]);
  grandchild = (pid_t)g_ascii_strtoll (text, NULL, 10);
  g_assert_cmpint (grandchild, >, 1);
}

static gpointer
cancel_soon (gpointer cancellable)
{
  g_usleep (100000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel (void)
{
  SandboxChildOptions options = { SHELL ("sleep 60"), .stdin_fd = -1, .stdout_fd = -1,
                                  .stderr_fd = -1 };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *out = NULL;
  GThread *thread = g_thread_new ("cancel", cancel_soon, cancellable);

  options.new_group = TRUE;
  g_assert_false (sandbox_child_run (&options, 0, RUN_MAX, cancellable, &out, NULL, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (out);
  g_thread_join (thread);
}

/* An ssh control master keeps its starter's stderr open: we must not wait for it. */
static void
test_held_pipe (void)
{
  SandboxChildOptions options = { SHELL ("sleep 5 & echo done"), .stdin_fd = -1, .stdout_fd = -1,
                                  .stderr_fd = -1 };
  g_autofree char *out = NULL;
  gint64 start = g_get_monotonic_time ();

  g_assert_true (sandbox_child_run (&options, 0, RUN_MAX, NULL, &out, NULL, NULL, NULL));
  g_assert_cmpstr (out, ==, "done\n");
  g_assert_cmpint (g_get_monotonic_time () - start, <, 4 * G_USEC_PER_SEC);
}

static void
test_fds (void)
{
  SandboxChildOptions options = { SHELL ("ls /proc/self/fd | tr '\\n' ' '; cat; pwd; echo $X$Y"),
                                  .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .cwd = "/usr" };
  const char *const env[] = { "X=1", "PATH=/usr/bin:/bin", NULL };
  sandbox_autofd int leaky = open ("/dev/null", O_RDONLY);
  g_autofree char *out = NULL;

  g_assert_cmpint (leaky, >=, 0);
  options.env = env;
  g_assert_true (sandbox_child_run (&options, 0, RUN_MAX, NULL, &out, NULL, NULL, NULL));
  /* 3 is ls reading the directory */
  g_assert_cmpstr (out, ==, "0 1 2 3 /usr\n1\n");
}

/* Descriptors given in an order that naive dup2 calls would destroy. */
static void
test_swapped_fds (void)
{
  int status = -1, pipes[2];
  char text[16] = "";
  pid_t pid = fork ();

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      SandboxChildOptions options = { SHELL ("echo one; echo two >&2") };

      if (pipe2 (pipes, O_CLOEXEC) < 0 || dup2 (pipes[1], 0) < 0)
        _exit (1);
      options.stdin_fd = -1;
      options.stdout_fd = 0;
      options.stderr_fd = 0;
      if (!sandbox_child_run (&options, 0, RUN_MAX, NULL, NULL, NULL, NULL, NULL))
        _exit (2);
      if (read (pipes[0], text, sizeof text - 1) != 8 || !g_str_equal (text, "one\ntwo\n"))
        _exit (3);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
}

static void
test_others_left_alone (void)
{
  SandboxChildOptions options = { SHELL ("exit 0"), .stdin_fd = -1, .stdout_fd = -1,
                                  .stderr_fd = -1 };
  int status = 0;
  pid_t mine = fork ();

  if (mine == 0)
    _exit (7);
  for (guint i = 0; i < 20; i++)
    g_assert_true (sandbox_child_run (&options, 0, RUN_MAX, NULL, NULL, NULL, NULL, NULL));
  g_assert_cmpint (waitpid (mine, &status, 0), ==, mine);
  g_assert_cmpint (WEXITSTATUS (status), ==, 7);
}

static void
add_line (const char *line, gpointer user_data)
{
  g_string_append_printf (user_data, "<%s>", line);
}

static void
test_lines (void)
{
  SandboxChildOptions options = {
    SHELL ("echo a; echo; printf 'b\\nlast'; seq 1 2000 >&2; echo end >&2; exit 4"), .stdin_fd = -1,
    .stdout_fd = -1, .stderr_fd = -1
  };
  g_autoptr (GString) lines = g_string_new (NULL);
  g_autofree char *tail = NULL;
  g_autoptr (GError) error = NULL;
  int status = -1;

  g_assert_true (sandbox_child_run_lines (&options, add_line, lines, NULL, &status, &tail, &error));
  g_assert_cmpstr (lines->str, ==, "<a><><b><last>");
  g_assert_cmpint (status, ==, 4);
  g_assert_cmpuint (strlen (tail), ==, 4096);
  g_assert_true (g_str_has_suffix (tail, "2000\nend\n"));
}

static void
test_daemon (void)
{
  SandboxChildOptions options = {
    SHELL ("ls /proc/self/fd | tr '\\n' ' ' >&2; cut -d' ' -f6 /proc/$$/stat >&2"), .stdin_fd = -1,
    .stdout_fd = -1, .stderr_fd = -1
  };
  const char *const none[] = { "no-such-program-here", NULL };
  const char *const no_exec[] = { "/etc/passwd", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  char block[128];
  gssize n;
  int err[2];

  g_assert_cmpint (pipe2 (err, O_CLOEXEC), ==, 0);
  options.stderr_fd = err[1];
  g_assert_true (sandbox_child_daemon (&options, &error));
  g_assert_no_error (error);
  close (err[1]);
  while ((n = read (err[0], block, sizeof block)) > 0)
    g_string_append_len (text, block, n);
  close (err[0]);
  g_assert_true (g_str_has_prefix (text->str, "0 1 2 3 "));
  g_assert_cmpint (g_ascii_strtoll (text->str + 8, NULL, 10), >, 1);
  g_assert_cmpint (g_ascii_strtoll (text->str + 8, NULL, 10), !=, getsid (0));
  /* nothing of it is our child */
  g_assert_cmpint (waitpid (-1, NULL, WNOHANG), ==, -1);
  options.stderr_fd = -1;
  options.argv = none;
  g_assert_false (sandbox_child_daemon (&options, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  options.argv = no_exec;
  g_assert_false (sandbox_child_daemon (&options, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  options.argv = (const char *const[]){ "true", NULL };
  options.cwd = "/no/such/directory";
  g_assert_false (sandbox_child_daemon (&options, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
}

/* A child of root's, in a process that was root: what sudo is to its caller. */
static void
wait_for_roots_child (void)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  const char *const argv[] = { "sleep", "8", NULL };
  gint64 begin = g_get_monotonic_time ();
  g_autoptr (GError) error = NULL;
  pid_t pid;

  options.argv = argv;
  g_assert_true (sandbox_child_spawn (&options, &pid, &error));
  g_assert_cmpint (setresuid (65534, 65534, 65534), ==, 0);
  g_assert_false (sandbox_child_wait (pid, FALSE, 100000, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, "still runs"));
  g_assert_cmpint (g_get_monotonic_time () - begin, <, 6 * G_USEC_PER_SEC);
}

static void
test_anothers (void)
{
  if (g_test_subprocess ())
    {
      wait_for_roots_child ();
      return;
    }
  if (geteuid () != 0)
    {
      g_test_skip ("only root can have a child of another user's without setuid programs");
      return;
    }
  g_test_trap_subprocess (NULL, 30 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_passed ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/child/output", test_output);
  g_test_add_func ("/child/directory", test_directory);
  g_test_add_func ("/child/status", test_status);
  g_test_add_func ("/child/max", test_max);
  g_test_add_func ("/child/timeout", test_timeout);
  g_test_add_func ("/child/anothers", test_anothers);
  g_test_add_func ("/child/cancel", test_cancel);
  g_test_add_func ("/child/held-pipe", test_held_pipe);
  g_test_add_func ("/child/fds", test_fds);
  g_test_add_func ("/child/swapped-fds", test_swapped_fds);
  g_test_add_func ("/child/others-left-alone", test_others_left_alone);
  g_test_add_func ("/child/lines", test_lines);
  g_test_add_func ("/child/daemon", test_daemon);
  return g_test_run ();
}
