// SPDX-License-Identifier: LGPL-2.1-or-later
// A watched tree: every change that makes a machine's view old is told, what is only written is
// not, and there is a limit.
#include "keeper.h"

#include "base/file.h"

#include <glib/gstdio.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir;

static void
run (const char *script)
{
  const char *argv[] = { "sh", "-euc", script, NULL };
  g_autoptr (GError) error = NULL;
  int status = 0;

  g_assert_true (g_spawn_sync (dir, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, &status, &error));
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
}

/* Until it has nothing more to do; whether something changed. */
static gboolean
settle (KeeperTree *tree)
{
  gboolean all = FALSE, more = TRUE;

  while (more)
    {
      struct pollfd pollfd = { .fd = keeper_tree_fd (tree), .events = POLLIN };
      gboolean changed = FALSE;

      more = keeper_tree_step (tree, &changed);
      all = all || changed;
      more = more || poll (&pollfd, 1, 20) > 0;
    }
  return all;
}

static void
test_changes (void)
{
  static const struct
  {
    const char *script;
    gboolean told;
    guint directories;
  } rows[] = {
    { "echo x >>f", FALSE, 3 },
    { "cat f a/b/f >/dev/null; ls a >/dev/null", FALSE, 3 },
    { "echo x >new", TRUE, 3 },
    { "chmod 755 f", TRUE, 3 },
    { "echo y >t; mv t a/b/f", TRUE, 3 },
    { "rm new", TRUE, 3 },
    { "mkdir -p n/e/w", TRUE, 6 },
    { "echo x >n/e/w/f", TRUE, 6 },
    { "mv n a/moved", TRUE, 6 },
    { "echo x >a/moved/e/w/g", TRUE, 6 },
    { "mv a/moved/e z; mkdir a/moved/e", TRUE, 7 },
    { "ln -s a link", TRUE, 7 },
    { "ln -sfn f link", TRUE, 7 },
    { "rm -r a/moved z", TRUE, 3 },
    { "mv a c; mkdir -p a/b; echo x >a/b/f", TRUE, 5 },
    { "echo x >c/b/g", TRUE, 5 },
    { "for i in 1 2 3 4 5 6 7 8 9; do mkdir -p r/r; mv r s$i; done; rm -r s?", TRUE, 5 },
    { "chmod 700 c/b", TRUE, 5 },
    { "true", FALSE, 5 },
  };
  KeeperTree *tree;

  run ("mkdir -p a/b; echo x >f; echo x >a/b/f; ln -s / out");
  tree = keeper_tree_new (dir, 100);
  settle (tree);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_test_message ("%s", rows[i].script);
      run (rows[i].script);
      g_assert_cmpint (settle (tree), ==, rows[i].told);
      g_assert_cmpuint (keeper_tree_size (tree), ==, rows[i].directories);
      g_assert_true (keeper_tree_is_whole (tree));
    }
  g_assert_false (keeper_tree_is_gone (tree));
  keeper_tree_free (tree);
}

static void
test_limit (void)
{
  KeeperTree *tree;

  run ("mkdir -p many/1 many/2 many/3 many/4");
  tree = keeper_tree_new (dir, 5);
  settle (tree);
  g_assert_false (keeper_tree_is_whole (tree));
  g_assert_cmpuint (keeper_tree_size (tree), ==, 0);
  g_assert_cmpint (keeper_tree_fd (tree), ==, -1);
  keeper_tree_free (tree);
  run ("rm -r many");
}

/* Deeper than a path can say. */
static void
test_deep (void)
{
  KeeperTree *tree;
  g_autofree char *name = g_strnfill (200, 'd');
  sandbox_autofd int at = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  for (int i = 0; i < 25; i++)
    {
      int below;

      g_assert_cmpint (mkdirat (at, name, 0700), ==, 0);
      below = openat (at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      g_assert_cmpint (below, >=, 0);
      close (at);
      at = below;
    }
  tree = keeper_tree_new (dir, 100);
  settle (tree);
  g_assert_false (keeper_tree_is_whole (tree));
  keeper_tree_free (tree);
  run ("rm -r ddd*");
}

static void
test_gone (void)
{
  g_autofree char *path = g_build_filename (dir, "top", NULL);
  KeeperTree *tree;

  run ("mkdir -p top/in");
  tree = keeper_tree_new (path, 100);
  settle (tree);
  g_assert_false (keeper_tree_is_gone (tree));
  run ("mv top elsewhere; mkdir top");
  g_assert_true (settle (tree));
  g_assert_true (keeper_tree_is_gone (tree));
  keeper_tree_free (tree);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  dir = g_dir_make_tmp ("tree-XXXXXX", NULL);
  g_test_add_func ("/keeper/tree/changes", test_changes);
  g_test_add_func ("/keeper/tree/limit", test_limit);
  g_test_add_func ("/keeper/tree/deep", test_deep);
  g_test_add_func ("/keeper/tree/gone", test_gone);
  status = g_test_run ();
  run ("cd /; rm -r \"$OLDPWD\"");
  g_free (dir);
  return status;
}
