// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine may not write to in a share of mode=guarded.
#include "world.h"

#include <string.h>

static const struct
{
  const char *path;
  gboolean held;
} cases[] = {
  { "", TRUE },
  { "src/main.c", FALSE },
  { "Makefile", FALSE },
  { "package.json", FALSE },
  { ".github/workflows/ci.yml", FALSE },
  { ".gitignore", FALSE },
  { "heads", FALSE },
  { "head", FALSE },
  { ".envrc", TRUE },
  { "a/b/.ENVRC", TRUE },
  { ".envrc ", TRUE },
  { ".vscode", TRUE },
  { "a/.VSCode/tasks.json/x", TRUE },
  { ".github/hooks/x", TRUE },
  { "web/node_modules/.bin/tsc", TRUE },
  { "web/node_modules/tsc/bin", FALSE },
  { "web/__pycache__/x.cpython-311.pyc", TRUE },
  { "web/x.py", FALSE },
  { "renv/Activate.r", TRUE },
  { "env/bin/activate", TRUE },
  { "env/bin/tool", FALSE },
  { ".clinerules/hooks", TRUE },
  { ".clinerules/style.md", FALSE },
  /* names that pass for another, or that nobody should meet */
  { "\xef\xbc\x8e"
    "envrc",
    TRUE },
  { ".en\xe2\x80\x8bvrc", TRUE },
  { "a\nb", TRUE },
  { "a\xff", TRUE },
  { ".GIT/objects/x", TRUE },
  { ".git /objects/x", TRUE },
  { "git~1/objects/x", TRUE },
  /* repositories: what a commit changes, and nothing else */
  { ".git", TRUE },
  { ".git/config", TRUE },
  { ".git/config.lock", TRUE },
  { ".git/config.worktree", TRUE },
  { ".git/hooks", TRUE },
  { ".git/hooks/pre-commit", TRUE },
  { ".git/info", TRUE },
  { ".git/info/attributes", TRUE },
  { ".git/info/exclude", TRUE },
  { ".git/info/refs", FALSE },
  { ".git/info/refs/x", TRUE },
  { ".git/commondir", TRUE },
  { ".git/anything-new", TRUE },
  { ".git/rebase-merge/git-rebase-todo", TRUE },
  { ".git/objects", FALSE },
  { ".git/objects/ab/cdef", FALSE },
  { ".git/objects/info/alternates", TRUE },
  { ".git/objects/info/alternates.lock", TRUE },
  { ".git/objects/info/packs", FALSE },
  { ".git/refs/heads/config", FALSE },
  { ".git/refs/heads/hooks/x", FALSE },
  { ".git/refs/remotes/origin/HEAD", FALSE },
  { ".git/logs/HEAD", FALSE },
  { ".git/HEAD", FALSE },
  { ".git/HEAD.lock", FALSE },
  { ".git/head", TRUE },
  { ".git/index", FALSE },
  { ".git/index.lock", FALSE },
  { ".git/index/x", TRUE },
  { ".git/COMMIT_EDITMSG", FALSE },
  { "vendor/sub/.git/hooks/x", TRUE },
  { "vendor/sub/.git/objects/x", FALSE },
  { ".envrc.d/.git/objects/x", TRUE },
  { ".vscode/.git/objects/x", TRUE },
  { ".git/modules/sub/config", TRUE },
  { ".git/modules/sub/hooks/x", TRUE },
  { ".git/modules/sub/objects/ab/c", FALSE },
  { ".git/modules/a/b/index.lock", FALSE },
  { ".git/modules/objects/config", TRUE },
  { ".git/modules/sub/refs/config", TRUE },
  { ".git/modules/sub", TRUE },
  { ".git/worktrees/w/HEAD", FALSE },
  { ".git/worktrees/w/index", FALSE },
  { ".git/worktrees/w/commondir", TRUE },
  { ".git/worktrees/w/gitdir", TRUE },
  { ".git/worktrees/w", TRUE },
  /* a repository without a .git begins with a HEAD */
  { "HEAD", TRUE },
  { "src/HEAD", TRUE },
};

static void
test_paths (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    if (_sandbox_guard_holds (NULL, cases[i].path) != cases[i].held)
      g_error ("\"%s\" is %s", cases[i].path, cases[i].held ? "writable" : "held");
}

/* The names of the table itself, from where it stands. (transfer full) */
static GPtrArray *
read_table (gboolean runs)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "..", "lib/share/classes.c", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GRegex) regex =
      g_regex_new (runs ? "\\{ \"([^\"]+)\", RUNS(?:, TRUE)? \\}" : "\\{ \"([^\"]+)\", BUILDS \\}",
                   G_REGEX_DEFAULT, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  for (g_regex_match (regex, text, 0, &match); g_match_info_matches (match);
       g_match_info_next (match, NULL))
    g_ptr_array_add (names, g_match_info_fetch (match, 1));
  return names;
}

/* A path that @pattern means: in a directory, with a star filled, in another case, something in it.
 */
static char *
make_path (const char *pattern, gboolean directory)
{
  static const char *const before[] = { "", "a/", "src/deep/er/" };
  g_auto (GStrv) parts = g_strsplit (pattern, "*", 2);
  g_autofree char *filled = g_strjoinv (g_test_rand_bit () ? "x" : "-1", parts);
  g_autofree char *plain =
      g_str_has_suffix (filled, "/") ? g_strndup (filled, strlen (filled) - 1) : g_strdup (filled);

  for (char *p = plain; *p; p++)
    if (g_test_rand_int () % 3 == 0)
      *p = g_ascii_toupper (*p);
  return g_strconcat (before[g_test_rand_int_range (0, 3)], plain,
                      directory && g_test_rand_bit () ? "/in/it" : "", NULL);
}

/* All that `vms apply` holds back is guarded; build files are not. */
static void
test_table (void)
{
  for (guint round = 0; round < 20; round++)
    for (guint runs = 0; runs < 2; runs++)
      {
        g_autoptr (GPtrArray) names = read_table (runs);

        g_assert_cmpuint (names->len, >, 60);
        for (guint i = 0; i < names->len; i++)
          {
            const char *pattern = names->pdata[i];
            g_autofree char *path = make_path (pattern, runs && g_str_has_suffix (pattern, "/"));
            gboolean git;
            SandboxChangeRisk risk = _sandbox_class_of (path, &git);

            if (runs)
              g_assert_cmpint (risk, ==, SANDBOX_CHANGE_RUNS);
            if (_sandbox_guard_holds (NULL, path) != (risk == SANDBOX_CHANGE_RUNS))
              g_error ("%s, made of %s, is %s", path, pattern, runs ? "writable" : "held");
          }
      }
}

/* The same for paths made of anything. */
static void
test_random (void)
{
  g_autoptr (GPtrArray) names = read_table (TRUE);
  static const char *const others[] = { "a",   ".git", "config", "hooks", "objects", "HEAD",
                                        "x\n", ".Git", "refs",   "index", "src" };

  for (guint i = 0; i < 20000; i++)
    {
      g_autoptr (GString) path = g_string_new (NULL);
      g_auto (GStrv) parts = NULL;
      gboolean git, refused = FALSE;

      for (guint k = (guint)g_test_rand_int_range (1, 5); k > 0; k--)
        {
          const char *name = g_test_rand_int () % 4 == 0
                                 ? names->pdata[g_test_rand_int_range (0, (int)names->len)]
                                 : others[g_test_rand_int_range (0, G_N_ELEMENTS (others))];
          g_autofree char *made = make_path (name, FALSE);

          g_string_append_printf (path, "%s%s", path->len > 0 ? "/" : "", made);
        }
      parts = g_strsplit (path->str, "/", -1);
      for (guint k = 0; parts[k]; k++)
        refused = refused || _sandbox_class_refuse_name (parts[k]) != NULL;
      if (refused || (_sandbox_class_of (path->str, &git) == SANDBOX_CHANGE_RUNS && !git))
        if (!_sandbox_guard_holds (NULL, path->str))
          g_error ("\"%s\" is writable", path->str);
    }
}

static void
test_heads (void)
{
  g_assert_true (_sandbox_class_is_head (".github"));
  g_assert_true (_sandbox_class_is_head ("a/.GitHub"));
  g_assert_true (_sandbox_class_is_head ("web/node_modules"));
  g_assert_true (_sandbox_class_is_head (".vscode"));
  g_assert_true (_sandbox_class_is_head ("renv"));
  /* too many links are called so */
  g_assert_false (_sandbox_class_is_head ("a/bin"));
  g_assert_false (_sandbox_class_is_head (".github/x"));
  g_assert_false (_sandbox_class_is_head ("src"));
  g_assert_false (_sandbox_class_is_head (".envrc"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guarded/paths", test_paths);
  g_test_add_func ("/guarded/table", test_table);
  g_test_add_func ("/guarded/random", test_random);
  g_test_add_func ("/guarded/heads", test_heads);
  return g_test_run ();
}
