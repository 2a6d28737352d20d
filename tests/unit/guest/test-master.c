// SPDX-License-Identifier: LGPL-2.1-or-later
// The keeper's ssh master, against a real sshd: it comes up, comes back, and no guest that makes
// ssh complain without end can wedge it.
#include "fixture.h"

#include "base/file.h"
#include "keeper.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>

#define PATIENCE_USEC (60 * G_USEC_PER_SEC)

typedef struct
{
  Fixture fixture;
  char *self, *bin, *count;
  KeeperMaster *master;
} Bench;

/* An ssh that @script stands before; its last line goes on as the real one. */
static void
put_before_ssh (Bench *bench, const char *script)
{
  g_autofree char *real = g_find_program_in_path ("ssh");
  g_autofree char *path = NULL;
  g_autofree char *text = NULL;
  g_autofree char *search = NULL;

  bench->bin = g_build_filename (bench->fixture.path, "bin", NULL);
  bench->count = g_build_filename (bench->fixture.path, "count", NULL);
  path = g_build_filename (bench->bin, "ssh", NULL);
  text = g_strdup_printf ("#!/bin/sh\necho x >>\"%s\"\n%s\nexec %s \"$@\"\n", bench->count, script,
                          real);
  search = g_strdup_printf ("%s:%s", bench->bin, g_getenv ("PATH"));
  g_assert_cmpint (g_mkdir (bench->bin, 0755), ==, 0);
  g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  g_setenv ("PATH", search, TRUE);
}

/* As the keeper does it, until the master answers (or @alive is FALSE: until it does not). */
static gboolean
serve_until (Bench *bench, gboolean alive)
{
  gint64 deadline = g_get_monotonic_time () + PATIENCE_USEC;

  while (g_get_monotonic_time () < deadline)
    {
      int timeout_msec = keeper_master_step (bench->master);
      g_autoptr (GArray) fds = g_array_new (FALSE, FALSE, sizeof (struct pollfd));

      keeper_master_poll (bench->master, fds);
      if (_sandbox_ssh_master_alive (bench->fixture.ssh) == alive)
        return TRUE;
      poll ((struct pollfd *)(gpointer)fds->data, fds->len,
            timeout_msec < 0 ? 50 : MIN (timeout_msec, 50));
    }
  return FALSE;
}

static gsize
starts (Bench *bench)
{
  g_autofree char *text = NULL;
  gsize length = 0;

  g_file_get_contents (bench->count, &text, &length, NULL);
  return length / 2;
}

static void
run_bench (const char *more, void (*check) (Bench *))
{
  g_autofree char *old_path = g_strdup (g_getenv ("PATH"));
  Bench bench = { 0 };

  fixture_set_up (&bench.fixture);
  bench.self = g_build_filename (g_getenv ("SANDBOX_LIBEXEC_DIR"), "sandbox-keeper", NULL);
  if (fixture_start_sshd (&bench.fixture, NULL))
    {
      put_before_ssh (&bench, more);
      bench.master = keeper_master_new (bench.fixture.ssh, bench.fixture.fd, bench.self);
      check (&bench);
      keeper_master_free (bench.master);
      g_assert_false (_sandbox_ssh_master_alive (bench.fixture.ssh));
      g_setenv ("PATH", old_path, TRUE);
    }
  g_free (bench.self);
  g_free (bench.bin);
  g_free (bench.count);
  fixture_tear_down (&bench.fixture);
}

static void
check_up (Bench *bench)
{
  g_assert_true (serve_until (bench, TRUE));
  g_assert_cmpint (starts (bench), ==, 1);
}

static void
test_up (void)
{
  run_bench ("", check_up);
}

/* More than a pipe holds, and then it goes on: whoever does not read it sleeps for ever. */
static void
check_noise (Bench *bench)
{
  g_autofree char *complaint = NULL;

  g_assert_true (serve_until (bench, TRUE));
  g_assert_cmpint (starts (bench), >, 1);
  /* of the one that works nothing is complained of */
  g_assert_false (sandbox_file_read_at (bench->fixture.fd, SANDBOX_SSH_COMPLAINT, 4096, &complaint,
                                        NULL, NULL));
}

static void
test_noise (void)
{
  run_bench ("test $(wc -l <\"$(dirname \"$0\")/../count\") -gt 1 || yes 'a break-in?' >&2",
             check_noise);
}

/* What stays below the limit costs nobody a connection. */
static void
test_murmur (void)
{
  run_bench ("yes 'hm' | head -c 30000 >&2", check_up);
}

/* From which port of ours a command through the master comes. */
static char *
connection (Bench *bench)
{
  g_autoptr (GPtrArray) argv = _sandbox_ssh_argv (bench->fixture.ssh, FALSE, TRUE);
  char *said;
  int status;

  g_ptr_array_add (argv, g_strdup ("echo \"$SSH_CONNECTION\""));
  g_ptr_array_add (argv, NULL);
  said = fixture_run ((const char *const *)argv->pdata, &status);
  g_assert_cmpint (status, ==, 0);
  return said;
}

static gpointer
renew (gpointer data)
{
  _sandbox_ssh_renew_master (((Bench *)data)->fixture.ssh, NULL);
  return NULL;
}

/* Those who ask for a new one get it while a session of the old one goes on. */
static void
check_renewed (Bench *bench)
{
  g_autoptr (GPtrArray) argv = _sandbox_ssh_argv (bench->fixture.ssh, FALSE, TRUE);
  g_autoptr (GSubprocess) session = NULL;
  g_autoptr (GDataInputStream) lines = NULL;
  g_autofree char *before = NULL, *after = NULL, *there = NULL, *last = NULL;
  GThread *thread;

  g_ptr_array_add (argv, g_strdup ("echo there; read -r _; echo went on"));
  g_ptr_array_add (argv, NULL);
  g_assert_true (serve_until (bench, TRUE));
  before = connection (bench);
  session =
      g_subprocess_newv ((const char *const *)argv->pdata,
                         G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, NULL);
  g_assert_nonnull (session);
  lines = g_data_input_stream_new (g_subprocess_get_stdout_pipe (session));
  there = g_data_input_stream_read_line (lines, NULL, NULL, NULL);
  g_assert_cmpstr (there, ==, "there");
  thread = g_thread_new ("renew", renew, bench);
  g_assert_true (serve_until (bench, FALSE));
  g_assert_true (serve_until (bench, TRUE));
  g_thread_join (thread);
  after = connection (bench);
  g_assert_cmpstr (before, !=, after);
  g_assert_true (g_output_stream_close (g_subprocess_get_stdin_pipe (session), NULL, NULL));
  last = g_data_input_stream_read_line (lines, NULL, NULL, NULL);
  g_assert_cmpstr (last, ==, "went on");
  g_assert_true (g_subprocess_wait_check (session, NULL, NULL));
}

static void
test_renewed (void)
{
  run_bench ("", check_renewed);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/keeper/master/up", test_up);
  g_test_add_func ("/keeper/master/noise", test_noise);
  g_test_add_func ("/keeper/master/murmur", test_murmur);
  g_test_add_func ("/keeper/master/renewed", test_renewed);
  return g_test_run ();
}
