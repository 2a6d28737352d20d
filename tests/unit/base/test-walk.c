// SPDX-License-Identifier: LGPL-2.1-or-later
// Going to a path: whose links are followed, and where the walk ends.
#include "base/file.h"

#include "base/error.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *base;

/* The base directory, with a shared directory in it in which a guest put links. */
static void
set_up (void)
{
  static const char script[] =
      "cd \"$1\" && mkdir -p own/sub share/dir keys && echo secret >keys/id && echo x >own/file && "
      "ln -s ../keys share/link && ln -s ../keys/id share/file && ln -s loop own/loop && "
      "ln -s ../share/dir own/into && ln -s sub own/alias && ln -s \"$1/keys\" share/dir/abs && "
      "ln -s ../share/link own/twice && mkdir shared-too && ln -s ../keys shared-too/link";
  g_autoptr (GError) error = NULL;
  g_autofree char *temp = g_dir_make_tmp ("sandbox-walk-XXXXXX", NULL);
  const char *argv[] = { "sh", "-c", script, "sh", NULL, NULL };
  int status = 0;

  base = realpath (temp, NULL);
  argv[4] = base;
  g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
}

static void
tear_down (void)
{
  g_autofree char *name = g_path_get_basename (base);
  g_autofree char *parent = g_path_get_dirname (base);
  sandbox_autofd int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  g_assert_true (sandbox_remove_at (fd, name, NULL));
  free (base);
}

/* @path from the base ends in directory @place under @name; NULL: refused for @code. */
static void
check (const char *path, gboolean follow_last, const char *place, const char *name, int code)
{
  g_autofree char *share = g_build_filename (base, "share", NULL);
  const char *untrusted[] = { "/nowhere", share, NULL };
  g_autofree char *last = NULL;
  g_autoptr (GError) error = NULL;
  /* not cleaned up by g_build_filename(): what stands at the end matters */
  g_autofree char *raw = g_strconcat (base, "/", path, NULL);
  sandbox_autofd int fd = sandbox_walk (raw, untrusted, follow_last, &last, &error);

  if (place == NULL)
    {
      g_assert_cmpint (fd, ==, -1);
      g_assert_error (error, SANDBOX_ERROR, code);
      return;
    }
  g_assert_no_error (error);
  {
    g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
    g_autofree char *here = g_file_read_link (link, NULL);
    g_autofree char *want = *place ? g_build_filename (base, place, NULL) : g_strdup (base);

    g_assert_cmpstr (here, ==, want);
    g_assert_cmpstr (last, ==, name);
  }
}

static void
test_own (void)
{
  check ("own/file", FALSE, "own", "file", 0);
  check ("own/none", TRUE, "own", "none", 0);
  check ("own//./sub/", TRUE, "own", "sub", 0);
  check ("own/sub/..", FALSE, "own", ".", 0);
  check ("own/sub/../file", FALSE, "own", "file", 0);
  check ("own/alias", FALSE, "own", "alias", 0);
  check ("own/alias/.", FALSE, "own", "alias", 0);
  check ("own/alias", TRUE, "own", "sub", 0);
  check ("own/alias/x", FALSE, "own/sub", "x", 0);
  check ("own/into/x", FALSE, "share/dir", "x", 0);
  check ("shared-too/link/id", FALSE, "keys", "id", 0);
  check ("own/loop", TRUE, NULL, NULL, SANDBOX_ERROR_FAILED);
  check ("own/file/x", FALSE, NULL, NULL, SANDBOX_ERROR_FAILED);
  check ("none/x", FALSE, NULL, NULL, SANDBOX_ERROR_NOT_FOUND);
}

static void
test_shared (void)
{
  check ("share/dir/x", TRUE, "share/dir", "x", 0);
  check ("share/file", FALSE, "share", "file", 0);
  check ("share/link/", FALSE, "share", "link", 0);
  check ("share/link/.", FALSE, "share", "link", 0);
  check ("share/file", TRUE, NULL, NULL, SANDBOX_ERROR_INVALID);
  check ("share/link", TRUE, NULL, NULL, SANDBOX_ERROR_INVALID);
  check ("share/link/id", FALSE, NULL, NULL, SANDBOX_ERROR_INVALID);
  check ("share/dir/abs/id", FALSE, NULL, NULL, SANDBOX_ERROR_INVALID);
  check ("share/dir/../link/id", FALSE, NULL, NULL, SANDBOX_ERROR_INVALID);
  check ("own/into/abs/id", FALSE, NULL, NULL, SANDBOX_ERROR_INVALID);
  check ("own/twice/id", FALSE, NULL, NULL, SANDBOX_ERROR_INVALID);
}

static void
test_relative (void)
{
  g_autofree char *name = NULL;
  g_autofree char *here = g_get_current_dir ();
  sandbox_autofd int fd = -1;
  sandbox_autofd int root = -1;

  g_assert_cmpint (g_chdir (base), ==, 0);
  fd = sandbox_walk ("own/file", NULL, TRUE, &name, NULL);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpstr (name, ==, "file");
  g_clear_pointer (&name, g_free);
  root = sandbox_walk ("/", NULL, TRUE, &name, NULL);
  g_assert_cmpint (root, >=, 0);
  g_assert_cmpstr (name, ==, ".");
  g_assert_cmpint (g_chdir (here), ==, 0);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  set_up ();
  g_test_add_func ("/base/walk/own", test_own);
  g_test_add_func ("/base/walk/shared", test_shared);
  g_test_add_func ("/base/walk/relative", test_relative);
  status = g_test_run ();
  tear_down ();
  return status;
}
