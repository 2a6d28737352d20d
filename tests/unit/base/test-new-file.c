// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that get their name when they are whole: nothing is there before, or after one that was
// given up; what a killed process left goes; nobody else's is touched.
#include "base/error.h"
#include "base/file.h"
#include "base/new-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART ".out.vms-part"

static int dir_fd = -1;

static char *
content (const char *name)
{
  char *text = NULL;

  return sandbox_file_read_at (dir_fd, name, 100, &text, NULL, NULL) ? text : g_strdup ("none");
}

static void
assert_content (const char *name, const char *want)
{
  g_autofree char *have = content (name);

  g_assert_cmpstr (have, ==, want);
}

static gboolean
make (const char *text, gboolean replace, gboolean publish, GError **error)
{
  g_auto (SandboxNewFile) file = SANDBOX_NEW_FILE_INIT;
  struct stat info;

  if (!sandbox_new_file_open (&file, dir_fd, "out", replace, error))
    return FALSE;
  g_assert_cmpint (write (file.fd, text, strlen (text)), ==, (gssize)strlen (text));
  g_assert_cmpint (fstat (file.fd, &info), ==, 0);
  g_assert_cmpint (info.st_mode & 0777, ==, 0600);
  return !publish || sandbox_new_file_publish (&file, error);
}

static void
test_publish (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (make ("one", FALSE, FALSE, NULL));
  assert_content ("out", "none");
  g_assert_true (make ("one", FALSE, TRUE, NULL));
  assert_content ("out", "one");
  g_assert_false (make ("two", FALSE, TRUE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  assert_content ("out", "one");
  g_assert_true (make ("two", TRUE, TRUE, NULL));
  assert_content ("out", "two");
  assert_content (PART, "none");
}

static void
test_left (void)
{
  g_autoptr (GError) error = NULL;
  int fd;

  g_assert_true (sandbox_file_write_at (dir_fd, PART, "half", 4, 0600, NULL));
  fd = openat (dir_fd, PART, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (flock (fd, LOCK_EX | LOCK_NB), ==, 0);
  g_assert_false (make ("three", TRUE, TRUE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  assert_content (PART, "half");
  close (fd);
  g_assert_true (make ("three", TRUE, TRUE, NULL));
  assert_content (PART, "none");
  assert_content ("out", "three");
}

/* No file, and a link: not opened, not followed, not removed. */
static void
test_in_the_way (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (mkdirat (dir_fd, PART, 0700), ==, 0);
  g_assert_false (make ("four", TRUE, TRUE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_assert_cmpint (unlinkat (dir_fd, PART, AT_REMOVEDIR), ==, 0);
  g_assert_cmpint (symlinkat ("out", dir_fd, PART), ==, 0);
  g_assert_false (make ("four", TRUE, TRUE, NULL));
  assert_content ("out", "three");
  g_assert_cmpint (unlinkat (dir_fd, PART, 0), ==, 0);
}

int
main (int argc, char **argv)
{
  g_autofree char *path = g_dir_make_tmp ("new-file-XXXXXX", NULL);
  int status;

  g_test_init (&argc, &argv, NULL);
  dir_fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_test_add_func ("/new-file/publish", test_publish);
  g_test_add_func ("/new-file/left", test_left);
  g_test_add_func ("/new-file/in-the-way", test_in_the_way);
  status = g_test_run ();
  sandbox_remove_at (dir_fd, "out", NULL);
  close (dir_fd);
  g_rmdir (path);
  return status;
}
