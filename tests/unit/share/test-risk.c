// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that a merge would let run something.
#include "share/pull-private.h"

static void
test_risk (void)
{
  static const char *const risky[] = { ".envrc",
                                       "a/b/.ENVRC",
                                       ".vscode/tasks.json",
                                       "x/.VSCode/settings.json",
                                       "sub/.git/hooks/pre-commit",
                                       ".husky/pre-push",
                                       "Makefile",
                                       "deep/down/package.json",
                                       "CLAUDE.md",
                                       "my.code-workspace",
                                       ".github/workflows/ci.yml",
                                       ".gitattributes",
                                       ".gitmodules",
                                       "\xff/.envrc" };
  static const char *const plain[] = { "main.c", "envrc",           "vscode/x",
                                       "a.git",  "Makefile.txt/x",  ".gitignore",
                                       "",       "package.json.bak" };

  for (guint i = 0; i < G_N_ELEMENTS (risky); i++)
    if (!_sandbox_path_risk (risky[i]))
      g_error ("%s has no reason", risky[i]);
  for (guint i = 0; i < G_N_ELEMENTS (plain); i++)
    if (_sandbox_path_risk (plain[i]))
      g_error ("%s: %s", plain[i], _sandbox_path_risk (plain[i]));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/risk", test_risk);
  return g_test_run ();
}
