// SPDX-License-Identifier: LGPL-2.1-or-later
// Commands over a real sshd: status, signals, descriptors, time, and whose 255 it is.
#include "fixture.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct
{
  int status;
  char *out, *err;
} Result;

static char *
take (int fd)
{
  GString *text = g_string_new (NULL);
  char block[4096];
  gssize n;

  lseek (fd, 0, SEEK_SET);
  while ((n = read (fd, block, sizeof block)) > 0)
    g_string_append_len (text, block, n);
  close (fd);
  return g_string_free (text, FALSE);
}

static gboolean
run_with (Fixture *fixture, const char *command, const char *const *env, const char *input,
          gint64 timeout_usec, GCancellable *cancellable, Result *ret_result, GError **error)
{
  int in = memfd_create ("in", MFD_CLOEXEC), out = memfd_create ("out", MFD_CLOEXEC),
      err = memfd_create ("err", MFD_CLOEXEC);
  gboolean ok;

  if (input)
    g_assert_cmpint (write (in, input, strlen (input)), ==, strlen (input));
  lseek (in, 0, SEEK_SET);
  ret_result->status = -1;
  ok = _sandbox_ssh_exec (fixture->ssh, command, env, FALSE, input ? in : -1, out, err,
                          timeout_usec, cancellable, &ret_result->status, error);
  close (in);
  ret_result->out = take (out);
  ret_result->err = take (err);
  return ok;
}

static gboolean
run (Fixture *fixture, const char *command, const char *input, gint64 timeout_usec,
     GCancellable *cancellable, Result *ret_result, GError **error)
{
  return run_with (fixture, command, NULL, input, timeout_usec, cancellable, ret_result, error);
}

static void
result_clear (Result *result)
{
  g_clear_pointer (&result->out, g_free);
  g_clear_pointer (&result->err, g_free);
}

static void
expect (Fixture *fixture, const char *command, const char *input, int status, const char *out,
        const char *err)
{
  g_autoptr (GError) error = NULL;
  Result result;

  run (fixture, command, input, 0, NULL, &result, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result.out, ==, out);
  g_assert_cmpstr (result.err, ==, err);
  g_assert_cmpint (result.status, ==, status);
  result_clear (&result);
}

/* ssh takes no part of a command for an option of its own. */
static void
check_no_option (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Result result;

  run (fixture, "-V", NULL, 0, NULL, &result, &error);
  g_assert_no_error (error);
  g_assert_null (strstr (result.err, "OpenSSH_"));
  g_assert_cmpint (result.status, !=, 0);
  result_clear (&result);
}

static void
check_commands (Fixture *fixture)
{
  const char *killed[] = { "sh", "-c", "kill -9 $$", NULL };
  const char *printed[] = { "printf", "%s|", "a b", "", "it's", "$HOME", "-x", NULL };
  g_autofree char *killed_command = _sandbox_ssh_command (killed, NULL, FALSE);
  g_autofree char *printed_command = _sandbox_ssh_command (printed, "/", FALSE);

  expect (fixture, "echo out; echo err >&2; exit 7", NULL, 7, "out\n", "err\n");
  expect (fixture, "exit 255", NULL, 255, "", "");
  expect (fixture, "echo err >&2; exit 255", NULL, 255, "", "err\n");
  expect (fixture, killed_command, NULL, 137, "", "");
  expect (fixture, "cat", "hello\n", 0, "hello\n", "");
  expect (fixture, "cat", NULL, 0, "", "");
  expect (fixture, printed_command, NULL, 0, "a b||it's|$HOME|-x|", "");
  check_no_option (fixture);
  /* nothing of the caller's environment */
  expect (fixture, "echo ${SANDBOX_SECRET-no} ${SSH_AUTH_SOCK-no} ${DISPLAY-no}", NULL, 0,
          "no no no\n", "");
}

/* Says all variables that it is given, and whether a value stands in some process's arguments: the
 * "guest" is this host, so these are those of both sides. */
#define LOOK                                                                                       \
  "printf '%s|' \"$A_B\" \"$C\" \"${VMS_ENV-none}\"; "                                             \
  "case $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ') in *\"$C\"*) echo seen;; esac"

static void
check_env (Fixture *fixture)
{
  const char *argv[] = { "sh", "-c", LOOK, NULL };
  const char *env[] = { "A_B=it's $HOME\n`id`", "C=s3cr3t-of-the-host", NULL };
  g_autofree char *command = _sandbox_ssh_command (argv, "/", TRUE);
  g_autofree char *plain = _sandbox_ssh_command (argv, NULL, FALSE);
  g_autoptr (GError) error = NULL;
  Result result;

  g_setenv ("VMS_ENV", "export C=mine", TRUE);
  run_with (fixture, command, env, NULL, 0, NULL, &result, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result.err, ==, "");
  g_assert_cmpstr (result.out, ==, "it's $HOME\n`id`|s3cr3t-of-the-host|none|");
  g_assert_cmpint (result.status, ==, 0);
  result_clear (&result);
  /* the user's own of that name is nobody's */
  run (fixture, plain, NULL, 0, NULL, &result, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (result.out, "||none|"));
  result_clear (&result);
  g_unsetenv ("VMS_ENV");
}

static void
test_env (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      pid_t master;

      check_env (&fixture);
      master = fixture_start_master (&fixture);
      check_env (&fixture);
      fixture_kill (master);
    }
  fixture_tear_down (&fixture);
}

/* A machine that runs since before: the command does not run without what it was to have. */
static void
test_env_refused (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  fixture.accept_env = "COLORTERM NO_COLOR";
  if (fixture_start_sshd (&fixture, NULL))
    {
      const char *argv[] = { "echo", "ran", NULL };
      const char *env[] = { "A=b", NULL };
      g_autofree char *command = _sandbox_ssh_command (argv, NULL, TRUE);
      g_autoptr (GError) error = NULL;
      Result result;

      run_with (&fixture, command, env, NULL, 0, NULL, &result, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (result.out, ==, "");
      g_assert_nonnull (strstr (result.err, "restart it"));
      g_assert_cmpint (result.status, ==, 125);
      result_clear (&result);
    }
  fixture_tear_down (&fixture);
}

static void
test_direct (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    check_commands (&fixture);
  fixture_tear_down (&fixture);
}

static void
test_master (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *log = NULL;
      g_auto (GStrv) logins = NULL;
      pid_t master = fixture_start_master (&fixture);

      check_commands (&fixture);
      /* all that was one connection */
      log = fixture_log (&fixture);
      logins = g_strsplit (log, "Accepted publickey", -1);
      g_assert_cmpint (g_strv_length (logins), ==, 2);
      fixture_kill (master);
      g_assert_false (_sandbox_ssh_master_alive (fixture.ssh));
      expect (&fixture, "exit 255", NULL, 255, "", "");
    }
  fixture_tear_down (&fixture);
}

/* The connection ends under the command: no status of the command's. */
static void
check_lost (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  Result result;

  /* the process that serves this connection is the parent of the shell */
  g_assert_false (
      run (fixture, "kill -9 $PPID; sleep 5", NULL, 30 * G_USEC_PER_SEC, NULL, &result, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
  g_assert_cmpint (result.status, ==, -1);
  result_clear (&result);
}

static void
test_lost (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      pid_t master;

      check_lost (&fixture);
      master = fixture_start_master (&fixture);
      check_lost (&fixture);
      fixture_kill (master);
    }
  fixture_tear_down (&fixture);
}

static void
test_no_guest (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;
  Result result;

  fixture_set_up (&fixture);
  g_assert_false (run (&fixture, "true", NULL, 0, NULL, &result, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
  g_assert_nonnull (strstr (error->message, "Connection refused"));
  g_assert_cmpstr (result.err, ==, "");
  result_clear (&result);
  fixture_tear_down (&fixture);
}

static void
test_host_key (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) capture_error = NULL;
  Result result;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *log = NULL;

      /* what the guest shows is not what was made for it */
      unlinkat (fixture.fd, "host_key", 0);
      g_assert_true (_sandbox_keys_ensure (fixture.fd, "other", NULL, NULL, NULL));
      g_assert_true (_sandbox_ssh_write_known_hosts (fixture.fd, fixture.ssh->uuid, NULL));
      g_assert_false (run (&fixture, "true", NULL, 0, NULL, &result, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
      g_assert_nonnull (strstr (error->message, "another host key"));
      result_clear (&result);
      g_assert_null (_sandbox_ssh_capture (fixture.ssh, "true", -1, 100, 0, NULL, &capture_error));
      g_test_message ("%s", capture_error->message);
      g_assert_nonnull (strstr (capture_error->message, "another host key"));
      log = fixture_log (&fixture);
      g_assert_null (strstr (log, "userauth-request"));
    }
  fixture_tear_down (&fixture);
}

static void
test_timeout (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;
  Result result;
  gint64 before = g_get_monotonic_time ();

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_assert_false (
          run (&fixture, "echo begun; sleep 60", NULL, 2 * G_USEC_PER_SEC, NULL, &result, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT);
      g_assert_nonnull (strstr (error->message, "2.0 seconds"));
      g_assert_cmpstr (result.out, ==, "begun\n");
      g_assert_cmpint (g_get_monotonic_time () - before, <, 30 * G_USEC_PER_SEC);
      result_clear (&result);
    }
  fixture_tear_down (&fixture);
}

static gpointer
cancel_later (gpointer data)
{
  g_usleep (500 * 1000);
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancel (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Result result;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      GThread *thread = g_thread_new ("cancel", cancel_later, cancellable);

      g_assert_false (run (&fixture, "sleep 60", NULL, 0, cancellable, &result, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_thread_join (thread);
      result_clear (&result);
    }
  fixture_tear_down (&fixture);
}

static void
test_capture (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      text = _sandbox_ssh_capture (fixture.ssh, "echo yes; echo no >&2", -1, 100, 0, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (text, ==, "yes\n");
      g_assert_null (_sandbox_ssh_capture (fixture.ssh, "printf 'a\\033]0;b\\007' >&2; exit 4", -1,
                                           100, 0, NULL, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
      g_assert_nonnull (strstr (error->message, "status 4"));
      g_assert_null (strchr (error->message, '\033'));
    }
  fixture_tear_down (&fixture);
}

/* Both of the command's streams, and not a word of ssh's own ("Shared connection ... closed."). */
static void
check_terminal (Fixture *fixture)
{
  int out = memfd_create ("out", MFD_CLOEXEC), err = memfd_create ("err", MFD_CLOEXEC);
  int status = -1;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  g_autofree char *complaint = NULL;

  _sandbox_ssh_exec (fixture->ssh, "test -t 0 && test -t 1 && echo terminal; echo err >&2; exit 9",
                     NULL, TRUE, -1, out, err, 0, NULL, &status, &error);
  g_assert_no_error (error);
  text = take (out);
  complaint = take (err);
  g_strdelimit (text, "\r", ' ');
  g_assert_cmpstr (g_strstrip (text), ==,
                   g_str_has_prefix (text, "terminal \n") ? "terminal \nerr" : "terminal\nerr");
  g_assert_cmpstr (complaint, ==, "");
  g_assert_cmpint (status, ==, 9);
}

/* A master that was stopped, as by a debugger, keeps nobody waiting for ever. */
static void
test_stopped_master (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      pid_t master = fixture_start_master (&fixture);

      g_assert_true (_sandbox_ssh_master_alive (fixture.ssh));
      kill (master, SIGSTOP);
      g_assert_false (_sandbox_ssh_master_alive (fixture.ssh));
      expect (&fixture, "echo past it", NULL, 0, "past it\n", "");
      kill (master, SIGCONT);
      fixture_kill (master);
    }
  fixture_tear_down (&fixture);
}

static void
test_pty (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      pid_t master;

      check_terminal (&fixture);
      master = fixture_start_master (&fixture);
      check_terminal (&fixture);
      fixture_kill (master);
    }
  fixture_tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  g_setenv ("SANDBOX_SECRET", "1", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/exec/direct", test_direct);
  g_test_add_func ("/guest/exec/env", test_env);
  g_test_add_func ("/guest/exec/env-refused", test_env_refused);
  g_test_add_func ("/guest/exec/master", test_master);
  g_test_add_func ("/guest/exec/stopped-master", test_stopped_master);
  g_test_add_func ("/guest/exec/lost", test_lost);
  g_test_add_func ("/guest/exec/no-guest", test_no_guest);
  g_test_add_func ("/guest/exec/host-key", test_host_key);
  g_test_add_func ("/guest/exec/timeout", test_timeout);
  g_test_add_func ("/guest/exec/cancel", test_cancel);
  g_test_add_func ("/guest/exec/capture", test_capture);
  g_test_add_func ("/guest/exec/pty", test_pty);
  return g_test_run ();
}
