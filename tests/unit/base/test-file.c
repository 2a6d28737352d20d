// SPDX-License-Identifier: LGPL-2.1-or-later
// Files: atomic and private writes, no links followed, limits, removal of trees, and which
// directories are refused.
#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *top;
static int top_fd = -1;

static void
test_write_read (void)
{
  g_autofree char *data = NULL;
  gsize length = 0;
  struct stat st;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) names = NULL;

  g_assert_true (sandbox_file_write_at (top_fd, "one", "a\0b", 3, 0600, &error));
  g_assert_true (sandbox_file_write_at (top_fd, "one", "a\0bc", 4, 0640, &error));
  g_assert_no_error (error);
  g_assert_cmpint (fstatat (top_fd, "one", &st, 0), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0640);
  g_assert_true (sandbox_file_read_at (top_fd, "one", 4, &data, &length, &error));
  g_assert_cmpmem (data, length + 1, "a\0bc\0", 5);
  g_clear_pointer (&data, g_free);
  g_assert_false (sandbox_file_read_at (top_fd, "one", 3, &data, &length, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_null (data);
  names = sandbox_dir_list (top_fd, NULL);
  g_assert_cmpstrv (names, ((const char *const[]){ "one", NULL }));
  g_assert_true (sandbox_remove_at (top_fd, "one", NULL));
}

static void
test_read_odd (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *data = NULL;

  g_assert_false (sandbox_file_read_at (top_fd, "none", 10, &data, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_cmpint (mkfifoat (top_fd, "fifo", 0600), ==, 0);
  g_assert_false (sandbox_file_read_at (top_fd, "fifo", 10, &data, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_cmpint (mkdirat (top_fd, "sub", 0700), ==, 0);
  g_assert_false (sandbox_file_read_at (top_fd, "sub", 10, &data, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_cmpint (symlinkat ("/etc/hostname", top_fd, "link"), ==, 0);
  g_assert_false (sandbox_file_read_at (top_fd, "link", 1000, &data, NULL, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  for (guint i = 0; i < 4; i++)
    {
      const char *const names[] = { "", "..", "a/b", "/etc/hostname" };

      g_assert_false (sandbox_file_read_at (top_fd, names[i], 1000, &data, NULL, NULL));
      g_assert_false (sandbox_file_write_at (top_fd, names[i], "", 0, 0600, NULL));
      g_assert_false (sandbox_remove_at (top_fd, names[i], NULL));
    }
  g_assert_true (sandbox_remove_at (top_fd, "fifo", NULL));
  g_assert_true (sandbox_remove_at (top_fd, "sub", NULL));
  g_assert_true (sandbox_remove_at (top_fd, "link", NULL));
  g_assert_true (g_file_test ("/etc/hostname", G_FILE_TEST_EXISTS));
}

static void
test_write_over_link (void)
{
  g_autofree char *data = NULL;

  /* a link in the place of the file is replaced, what it points to is not touched */
  g_assert_true (sandbox_file_write_at (top_fd, "target", "old", 3, 0600, NULL));
  g_assert_cmpint (symlinkat ("target", top_fd, "link"), ==, 0);
  g_assert_true (sandbox_file_write_at (top_fd, "link", "new", 3, 0600, NULL));
  g_assert_true (sandbox_file_read_at (top_fd, "target", 10, &data, NULL, NULL));
  g_assert_cmpstr (data, ==, "old");
  g_clear_pointer (&data, g_free);
  g_assert_true (sandbox_file_read_at (top_fd, "link", 10, &data, NULL, NULL));
  g_assert_cmpstr (data, ==, "new");
  g_assert_true (sandbox_remove_at (top_fd, "link", NULL));
  g_assert_true (sandbox_remove_at (top_fd, "target", NULL));
}

static void
test_remove_tree (void)
{
  g_autofree char *deep = g_build_filename (top, "tree", "a", "b", NULL);
  g_autofree char *outside = g_build_filename (top, "outside", NULL);
  sandbox_autofd int fd = sandbox_dir_open (deep, TRUE, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_assert_true (sandbox_file_write_at (fd, "x", "x", 1, 0400, NULL));
  g_assert_true (sandbox_file_write_at (top_fd, "outside", "x", 1, 0600, NULL));
  g_assert_cmpint (symlinkat ("../../../", fd, "up"), ==, 0);
  g_assert_true (sandbox_remove_at (top_fd, "tree", NULL));
  g_assert_true (sandbox_remove_at (top_fd, "tree", NULL));
  g_assert_false (g_file_test (deep, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (outside, G_FILE_TEST_EXISTS));
  g_assert_true (sandbox_remove_at (top_fd, "outside", NULL));
}

static void
test_remove_deep (void)
{
  g_autoptr (GError) error = NULL;
  int fd = openat (top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  for (guint i = 0; i < 300; i++)
    {
      int next;

      g_assert_cmpint (mkdirat (fd, "d", 0700), ==, 0);
      next = openat (fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      close (fd);
      fd = next;
    }
  close (fd);
  g_assert_false (sandbox_remove_at (top_fd, "d", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "nested"));
  {
    g_autofree char *command = g_strdup_printf ("rm -rf '%s/d'", top);

    g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  }
}

static void
test_dirs (void)
{
  g_autofree char *path = g_build_filename (top, "new", "dir", NULL);
  g_autoptr (GError) error = NULL;
  sandbox_autofd int fd = sandbox_dir_open (path, TRUE, &error);
  sandbox_autofd int sub = -1;
  struct stat st;

  g_assert_no_error (error);
  g_assert_cmpint (fstat (fd, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0700);
  sub = sandbox_dir_open_at (fd, "sub", FALSE, &error);
  g_assert_cmpint (sub, ==, -1);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  sub = sandbox_dir_open_at (fd, "sub", TRUE, &error);
  g_assert_cmpint (sub, >=, 0);
  g_assert_cmpint (fchmod (sub, 0770), ==, 0);
  g_assert_cmpint (sandbox_dir_open_at (fd, "sub", TRUE, &error), ==, -1);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "chmod go-w"));
  g_clear_error (&error);
  g_assert_cmpint (symlinkat ("/usr", fd, "link"), ==, 0);
  g_assert_cmpint (sandbox_dir_open_at (fd, "link", TRUE, &error), ==, -1);
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_cmpint (sandbox_dir_open ("/tmp", FALSE, &error), ==, -1);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_DENIED);
  g_assert_true (sandbox_remove_at (top_fd, "new", NULL));
}

static void
test_foreign_dir (void)
{
  g_autoptr (GError) error = NULL;

  if (geteuid () != 0)
    {
      g_test_skip ("needs root to make a directory of another user");
      return;
    }
  g_assert_cmpint (mkdirat (top_fd, "foreign", 0700), ==, 0);
  g_assert_cmpint (fchownat (top_fd, "foreign", 12345, 12345, 0), ==, 0);
  g_assert_cmpint (sandbox_dir_open_at (top_fd, "foreign", TRUE, &error), ==, -1);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "12345"));
  g_assert_true (sandbox_remove_at (top_fd, "foreign", NULL));
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  top = g_dir_make_tmp ("file-XXXXXX", NULL);
  top_fd = sandbox_dir_open (top, FALSE, NULL);
  g_test_add_func ("/file/write-read", test_write_read);
  g_test_add_func ("/file/read-odd", test_read_odd);
  g_test_add_func ("/file/write-over-link", test_write_over_link);
  g_test_add_func ("/file/remove-tree", test_remove_tree);
  g_test_add_func ("/file/remove-deep", test_remove_deep);
  g_test_add_func ("/file/dirs", test_dirs);
  g_test_add_func ("/file/foreign-dir", test_foreign_dir);
  result = g_test_run ();
  sandbox_close_fd (&top_fd);
  g_rmdir (top);
  g_free (top);
  return result;
}
