// SPDX-License-Identifier: LGPL-2.1-or-later
// Profile files: which are read, saving, and removal.
#include "fixture.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
user_path (Fixture *fixture, const char *name)
{
  return g_strdup_printf ("%s/%s.profile", fixture->user, name);
}

static void
test_kinds (Fixture *fixture, gconstpointer data)
{
  g_autofree char *fifo = user_path (fixture, "fifo"), *dir = user_path (fixture, "dir");
  g_autofree char *device = user_path (fixture, "device"),
                  *dangling = user_path (fixture, "dangling");
  g_autofree char *loop = user_path (fixture, "loop");

  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_cmpint (g_mkdir (dir, 0700), ==, 0);
  g_assert_cmpint (symlink ("/dev/zero", device), ==, 0);
  g_assert_cmpint (symlink ("nowhere", dangling), ==, 0);
  g_assert_cmpint (symlink ("loop.profile", loop), ==, 0);
  fixture_refused (fixture, "fifo", SANDBOX_ERROR_INVALID, "no regular file", NULL);
  fixture_refused (fixture, "dir", SANDBOX_ERROR_INVALID, "no regular file", NULL);
  fixture_refused (fixture, "device", SANDBOX_ERROR_INVALID, "no regular file", NULL);
  fixture_refused (fixture, "dangling", SANDBOX_ERROR_INVALID, "a link to a file that does not",
                   NULL);
  fixture_refused (fixture, "loop", SANDBOX_ERROR_INVALID, "no regular file", NULL);
}

static void
test_link (Fixture *fixture, gconstpointer data)
{
  g_autofree char *link = user_path (fixture, "link"), *target = user_path (fixture, "target");
  g_autofree char *text = NULL;
  g_autoptr (SandboxProfile) profile = NULL;

  fixture_user (fixture, "target", "[machine]\ncpus=3\n");
  g_assert_cmpint (symlink ("target.profile", link), ==, 0);
  profile = fixture_load (fixture, "link");
  g_assert_cmpstr (sandbox_profile_get (profile, "machine", "cpus"), ==, "3");
  /* saving writes the file behind the link; the link stays */
  g_assert_true (sandbox_profile_save (&fixture->dirs, "link", "[machine]\ncpus=4\n", TRUE, NULL));
  g_assert_true (g_file_test (link, G_FILE_TEST_IS_SYMLINK));
  g_assert_true (g_file_get_contents (target, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "[machine]\ncpus=4\n");
}

static void
test_modes (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = user_path (fixture, "m");

  fixture_user (fixture, "m", "");
  g_assert_cmpint (g_chmod (path, 0620), ==, 0);
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "mode 0620", "chmod go-w", NULL);
  g_assert_cmpint (g_chmod (path, 0602), ==, 0);
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "mode 0602", NULL);
  g_assert_cmpint (g_chmod (path, 0644), ==, 0);
  sandbox_profile_unref (fixture_load (fixture, "m"));
  g_assert_cmpint (g_chmod (fixture->user, 0777), ==, 0);
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "others may write in it", "chmod go-w",
                   NULL);
}

static void
test_owner (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = user_path (fixture, "m");

  if (geteuid () != 0)
    {
      g_test_skip ("needs root to give a file to another user");
      return;
    }
  fixture_user (fixture, "m", "");
  g_assert_cmpint (chown (path, 12345, 0), ==, 0);
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "belongs to uid 12345", NULL);
}

static void
test_large (Fixture *fixture, gconstpointer data)
{
  g_autofree char *fits = g_strnfill (SANDBOX_PROFILE_LINES_MAX, '\n');
  g_autofree char *large = g_strnfill (SANDBOX_PROFILE_FILE_MAX + 1, '\n');

  fixture_user (fixture, "m", fits);
  sandbox_profile_unref (fixture_load (fixture, "m"));
  fixture_user (fixture, "m", large);
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "65537 bytes", "at most 65536", NULL);
}

static void
test_no_dirs (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;
  g_autofree char *none = g_build_filename (fixture->top, "none", NULL);

  fixture->dirs.user_dir = none;
  fixture_shipped (fixture, "work", "");
  profile = fixture_load (fixture, "work");
  g_assert_false (g_file_test (none, G_FILE_TEST_EXISTS));
  g_assert_true (sandbox_profile_remove (&fixture->dirs, "work", NULL));
  g_assert_true (sandbox_profile_save (&fixture->dirs, "new", "", FALSE, NULL));
  g_assert_true (g_file_test (none, G_FILE_TEST_IS_DIR));
}

static void
test_save (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = user_path (fixture, "m");
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  struct stat st;

  g_assert_true (sandbox_profile_save (&fixture->dirs, "m", "[machine]\ncpus=2\n", FALSE, &error));
  g_assert_no_error (error);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0600);
  g_assert_false (sandbox_profile_save (&fixture->dirs, "m", "", FALSE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_false (sandbox_profile_save (&fixture->dirs, "m", "[machine]\ncpus=x\n", TRUE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "m.profile:2: [machine] cpus: "));
  g_clear_error (&error);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "[machine]\ncpus=2\n");
  g_assert_true (sandbox_profile_save (&fixture->dirs, "m", "", TRUE, NULL));
  g_assert_false (sandbox_profile_save (&fixture->dirs, "base", "", TRUE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (sandbox_profile_save (&fixture->dirs, "../m", "", TRUE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_true (sandbox_profile_save (&fixture->dirs, "defaults", "", FALSE, NULL));
}

static void
test_remove (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = user_path (fixture, "m");

  fixture_user (fixture, "m", "");
  g_assert_true (sandbox_profile_remove (&fixture->dirs, "m", NULL));
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_true (sandbox_profile_remove (&fixture->dirs, "m", NULL));
  g_assert_false (sandbox_profile_remove (&fixture->dirs, "../shipped/base", NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fixture_add ("/files/kinds", test_kinds);
  fixture_add ("/files/link", test_link);
  fixture_add ("/files/modes", test_modes);
  fixture_add ("/files/owner", test_owner);
  fixture_add ("/files/large", test_large);
  fixture_add ("/files/no-dirs", test_no_dirs);
  fixture_add ("/files/save", test_save);
  fixture_add ("/files/remove", test_remove);
  return g_test_run ();
}
