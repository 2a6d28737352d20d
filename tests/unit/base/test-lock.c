// SPDX-License-Identifier: LGPL-2.1-or-later
// Locks: exclusive between threads and processes, named holders, gone with their holder, safe to
// unlink.
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *dir_path;
static int dir_fd = -1;

static SandboxLock *
take (gint64 wait_usec, GError **error)
{
  return sandbox_lock_acquire (dir_fd, "work.lock", "start work", wait_usec, NULL, NULL, NULL,
                               error);
}

static void
test_exclusive (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxLock) lock = take (0, &error);
  g_autofree char *holder = NULL;
  g_autofree char *expected = g_strdup_printf ("lock-test start work (pid %d)", (int)getpid ());
  pid_t pid = 0;

  g_assert_no_error (error);
  g_assert_nonnull (lock);
  g_assert_null (take (0, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  g_assert_nonnull (strstr (error->message, expected));
  holder = sandbox_lock_holder (dir_fd, "work.lock", &pid);
  g_assert_cmpstr (holder, ==, expected);
  g_assert_cmpint (pid, ==, getpid ());
}

/* Nobody, somebody who waits, and somebody who waits for another lock. */
static void
test_watch (void)
{
  g_autoptr (SandboxLock) lock = take (0, NULL);
  sandbox_autofd int fd = sandbox_lock_watch (lock);
  g_autoptr (SandboxLock) other =
      sandbox_lock_acquire (dir_fd, "other.lock", "stop other", 0, NULL, NULL, NULL, NULL);
  char block[4096];

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (read (fd, block, sizeof block), <, 0);
  g_assert_cmpint (errno, ==, EAGAIN);
  g_assert_null (take (0, NULL));
  g_assert_cmpint (read (fd, block, sizeof block), >, 0);
}

static void
test_release (void)
{
  SandboxLock *lock = take (0, NULL);

  g_assert_nonnull (lock);
  sandbox_lock_release (lock);
  g_assert_null (sandbox_lock_holder (dir_fd, "work.lock", NULL));
  g_assert_cmpint (faccessat (dir_fd, "work.lock", F_OK, 0), ==, 0);
  lock = take (0, NULL);
  g_assert_nonnull (lock);
  sandbox_lock_remove (lock);
  g_assert_cmpint (faccessat (dir_fd, "work.lock", F_OK, 0), !=, 0);
  g_assert_null (sandbox_lock_holder (dir_fd, "work.lock", NULL));
}

/* Starts a process that holds the lock until it is killed; returns when it holds it. */
static pid_t
start_holder (void)
{
  int ready[2];
  char byte;
  pid_t pid;

  g_assert_cmpint (pipe2 (ready, O_CLOEXEC), ==, 0);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      SandboxLock *lock = take (-1, NULL);

      if (!lock || write (ready[1], "x", 1) != 1)
        _exit (1);
      for (;;)
        pause ();
    }
  close (ready[1]);
  g_assert_cmpint (read (ready[0], &byte, 1), ==, 1);
  close (ready[0]);
  return pid;
}

static void
count_wait (const char *holder, gpointer user_data)
{
  (*(guint *)user_data)++;
  g_assert_nonnull (strstr (holder, "start work (pid "));
}

static void
test_killed_holder (void)
{
  pid_t pid = start_holder ();
  guint told = 0;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxLock) lock = sandbox_lock_acquire (dir_fd, "work.lock", "stop work", 150000,
                                                       count_wait, &told, NULL, &error);

  g_assert_null (lock);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  g_assert_cmpuint (told, ==, 1);
  kill (pid, SIGKILL);
  lock = take (10 * G_USEC_PER_SEC, NULL);
  g_assert_nonnull (lock);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
}

static gpointer
cancel_soon (gpointer cancellable)
{
  g_usleep (50000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel (void)
{
  g_autoptr (SandboxLock) lock = take (0, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("cancel", cancel_soon, cancellable);

  g_assert_nonnull (lock);
  g_assert_null (
      sandbox_lock_acquire (dir_fd, "work.lock", "stop work", -1, NULL, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
}

static gint inside;

static gpointer
fight (gpointer user_data)
{
  for (guint i = 0; i < 100; i++)
    {
      SandboxLock *lock = take (-1, NULL);

      g_assert_nonnull (lock);
      g_assert_cmpint (g_atomic_int_add (&inside, 1), ==, 0);
      if (i % 7 == 0)
        g_usleep (100);
      g_atomic_int_add (&inside, -1);
      /* with unlinking: the window between open and lock is where such locks go wrong */
      (i % 2 ? sandbox_lock_remove : sandbox_lock_release) (lock);
    }
  return NULL;
}

static void
test_fight (void)
{
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("fight", fight, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static void
test_odd_content (void)
{
  static const char *const texts[] = { "", "x", "12", "-5 y", "99999999999 z", "12 \x1b[2Jfoo" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (SandboxLock) lock = take (0, NULL);
      g_autofree char *holder = NULL;
      g_autofree char *path = g_build_filename (dir_path, "work.lock", NULL);
      sandbox_autofd int fd = open (path, O_WRONLY | O_TRUNC | O_CLOEXEC);

      g_assert_nonnull (lock);
      g_assert_cmpint (write (fd, texts[i], strlen (texts[i])), ==, (int)strlen (texts[i]));
      holder = sandbox_lock_holder (dir_fd, "work.lock", NULL);
      g_assert_cmpstr (holder, ==, i < 5 ? "another process" : "\\x1b[2Jfoo (pid 12)");
    }
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  g_set_prgname ("lock-test");
  dir_path = g_dir_make_tmp ("lock-XXXXXX", NULL);
  dir_fd = sandbox_dir_open (dir_path, FALSE, NULL);
  g_test_add_func ("/lock/exclusive", test_exclusive);
  g_test_add_func ("/lock/watch", test_watch);
  g_test_add_func ("/lock/release", test_release);
  g_test_add_func ("/lock/killed-holder", test_killed_holder);
  g_test_add_func ("/lock/cancel", test_cancel);
  g_test_add_func ("/lock/fight", test_fight);
  g_test_add_func ("/lock/odd-content", test_odd_content);
  result = g_test_run ();
  sandbox_remove_at (dir_fd, "work.lock", NULL);
  sandbox_close_fd (&dir_fd);
  g_rmdir (dir_path);
  g_free (dir_path);
  return result;
}
