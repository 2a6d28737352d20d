// SPDX-License-Identifier: LGPL-2.1-or-later
// Waiting for ssh: until it works, until it cannot work, until the time is over.
#include "fixture.h"

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"

#include <string.h>
#include <unistd.h>

static gboolean
running (gpointer data)
{
  return TRUE;
}

static gboolean
not_running (gpointer data)
{
  return FALSE;
}

static void
on_wait (const char *note, gpointer data)
{
  g_assert_cmpstr (note, !=, "");
  (*(int *)data)++;
}

typedef struct
{
  Fixture *fixture;
  pid_t master;
} Later;

static gpointer
sshd_later (gpointer data)
{
  g_usleep (2500 * 1000);
  fixture_start_sshd (data, NULL);
  return NULL;
}

static gpointer
master_later (gpointer data)
{
  Later *later = data;

  g_usleep (700 * 1000);
  later->master = fixture_start_master (later->fixture);
  return NULL;
}

static void
test_comes_up (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;
  GThread *thread;
  int notes = 0;

  fixture_set_up (&fixture);
  thread = g_thread_new ("sshd", sshd_later, &fixture);
  _sandbox_ssh_wait (fixture.ssh, 30 * G_USEC_PER_SEC, running, on_wait, &notes, NULL, &error);
  g_thread_join (thread);
  if (fixture.sshd)
    {
      g_assert_no_error (error);
      g_assert_cmpint (notes, >=, 1);
    }
  fixture_tear_down (&fixture);
}

/* With a keeper about, nobody else connects. */
static void
test_by_keeper (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autoptr (SandboxLock) lock =
          sandbox_lock_acquire (fixture.fd, SANDBOX_KEEPER_LOCK, "test", 0, NULL, NULL, NULL, NULL);
      Later later = { &fixture, 0 };
      GThread *thread = g_thread_new ("master", master_later, &later);
      g_autofree char *log = NULL;
      g_auto (GStrv) logins = NULL;

      _sandbox_ssh_wait (fixture.ssh, 30 * G_USEC_PER_SEC, running, NULL, NULL, NULL, &error);
      g_assert_no_error (error);
      g_thread_join (thread);
      log = fixture_log (&fixture);
      logins = g_strsplit (log, "Accepted publickey", -1);
      g_assert_cmpint (g_strv_length (logins), ==, 2);
      fixture_kill (later.master);
    }
  fixture_tear_down (&fixture);
}

static void
expect_error (Fixture *fixture, gint64 timeout_usec, gboolean (*still) (gpointer), gint code,
              const char *text)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (_sandbox_ssh_wait (fixture->ssh, timeout_usec, still, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, code);
  if (!strstr (error->message, text))
    g_error ("\"%s\" is not in \"%s\"", text, error->message);
}

static void
test_gives_up (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  expect_error (&fixture, G_USEC_PER_SEC, running, SANDBOX_ERROR_TIMED_OUT, "Connection refused");
  expect_error (&fixture, 30 * G_USEC_PER_SEC, not_running, SANDBOX_ERROR_GUEST,
                "the machine stopped");
  fixture_tear_down (&fixture);
}

static void
test_host_key (void)
{
  Fixture fixture;
  gint64 before = g_get_monotonic_time ();

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      static const char complaint[] = "Host key verification failed.\r\n";

      unlinkat (fixture.fd, "host_key", 0);
      g_assert_true (_sandbox_keys_ensure (fixture.fd, "other", NULL, NULL, NULL));
      g_assert_true (_sandbox_ssh_write_known_hosts (fixture.fd, fixture.ssh->uuid, NULL));
      expect_error (&fixture, 60 * G_USEC_PER_SEC, running, SANDBOX_ERROR_GUEST,
                    "another host key");
      {
        g_autoptr (SandboxLock) lock = sandbox_lock_acquire (fixture.fd, SANDBOX_KEEPER_LOCK,
                                                             "test", 0, NULL, NULL, NULL, NULL);

        sandbox_file_write_at (fixture.fd, SANDBOX_SSH_COMPLAINT, complaint, strlen (complaint),
                               0600, NULL);
        expect_error (&fixture, 60 * G_USEC_PER_SEC, running, SANDBOX_ERROR_GUEST,
                      "another host key");
      }
      g_assert_cmpint (g_get_monotonic_time () - before, <, 20 * G_USEC_PER_SEC);
    }
  fixture_tear_down (&fixture);
}

static void
test_cancel (void)
{
  Fixture fixture;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  g_cancellable_cancel (cancellable);
  g_assert_false (
      _sandbox_ssh_wait (fixture.ssh, 30 * G_USEC_PER_SEC, NULL, NULL, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  fixture_tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/wait/comes-up", test_comes_up);
  g_test_add_func ("/guest/wait/by-keeper", test_by_keeper);
  g_test_add_func ("/guest/wait/gives-up", test_gives_up);
  g_test_add_func ("/guest/wait/host-key", test_host_key);
  g_test_add_func ("/guest/wait/cancel", test_cancel);
  return g_test_run ();
}
