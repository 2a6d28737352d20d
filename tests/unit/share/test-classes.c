// SPDX-License-Identifier: LGPL-2.1-or-later
// What names mean to the host, and which none of its files may have.
#include "world.h"

static const struct
{
  const char *path;
  SandboxChangeRisk risk;
  gboolean git;
} cases[] = {
  { "src/main.c", SANDBOX_CHANGE_PLAIN, FALSE },
  { ".envrc", SANDBOX_CHANGE_RUNS, FALSE },
  { "deep/down/.ENVRC", SANDBOX_CHANGE_RUNS, FALSE },
  { ".envrc.", SANDBOX_CHANGE_RUNS, FALSE },
  { ".vscode", SANDBOX_CHANGE_RUNS, FALSE },
  { "a/.vscode/tasks.json", SANDBOX_CHANGE_RUNS, FALSE },
  { ".VsCode/x/y", SANDBOX_CHANGE_RUNS, FALSE },
  { ".claude/settings.json", SANDBOX_CHANGE_RUNS, FALSE },
  { "x.code-workspace", SANDBOX_CHANGE_RUNS, FALSE },
  { "web/node_modules/.bin/tsc", SANDBOX_CHANGE_RUNS, FALSE },
  { "web/node_modules/.bin", SANDBOX_CHANGE_RUNS, FALSE },
  { ".github/hooks/a.json", SANDBOX_CHANGE_RUNS, FALSE },
  { ".github/workflows/ci.yml", SANDBOX_CHANGE_BUILDS, FALSE },
  { "lib/site.pth", SANDBOX_CHANGE_RUNS, FALSE },
  { "a/__pycache__", SANDBOX_CHANGE_RUNS, FALSE },
  { "a/__pycache__/b.cpython-311.pyc", SANDBOX_CHANGE_RUNS, FALSE },
  { "a/b.PYC", SANDBOX_CHANGE_RUNS, FALSE },
  { ".venv/bin/activate", SANDBOX_CHANGE_RUNS, FALSE },
  { "web/venv/lib/x.py", SANDBOX_CHANGE_RUNS, FALSE },
  { "tools/pyvenv.cfg", SANDBOX_CHANGE_RUNS, FALSE },
  { "a/b.py", SANDBOX_CHANGE_PLAIN, FALSE },
  { ".ssh/authorized_keys", SANDBOX_CHANGE_RUNS, FALSE },
  { ".config/systemd/user/x.service", SANDBOX_CHANGE_RUNS, FALSE },
  { ".bash_profile", SANDBOX_CHANGE_RUNS, FALSE },
  { ".envrc.private", SANDBOX_CHANGE_RUNS, FALSE },
  { "mise.local.toml", SANDBOX_CHANGE_RUNS, FALSE },
  { "lefthook-local.yml", SANDBOX_CHANGE_RUNS, FALSE },
  { "opencode.jsonc", SANDBOX_CHANGE_RUNS, FALSE },
  { ".RData", SANDBOX_CHANGE_RUNS, FALSE },
  { ".pdbrc", SANDBOX_CHANGE_RUNS, FALSE },
  { ".externalToolBuilders/x.launch", SANDBOX_CHANGE_RUNS, FALSE },
  { "sub/.sl/config", SANDBOX_CHANGE_RUNS, FALSE },
  { "Mise/config.local.toml", SANDBOX_CHANGE_RUNS, FALSE },
  { "a/mise/conf.d/x.toml", SANDBOX_CHANGE_RUNS, FALSE },
  { "mise/tasks/x", SANDBOX_CHANGE_BUILDS, FALSE },
  { "mise/notes", SANDBOX_CHANGE_PLAIN, FALSE },
  { ".pre-commit-config.yml", SANDBOX_CHANGE_RUNS, FALSE },
  { "prek.toml", SANDBOX_CHANGE_RUNS, FALSE },
  { "hk.local.pkl", SANDBOX_CHANGE_RUNS, FALSE },
  { ".git-hooks/pre_commit/x.rb", SANDBOX_CHANGE_RUNS, FALSE },
  { ".settings/org.eclipse.jdt.apt.core.prefs", SANDBOX_CHANGE_RUNS, FALSE },
  { ".bsp/sbt.json", SANDBOX_CHANGE_RUNS, FALSE },
  { "a/hie.yaml", SANDBOX_CHANGE_RUNS, FALSE },
  { "rust-analyzer.toml", SANDBOX_CHANGE_RUNS, FALSE },
  { ".cline/hooks/TaskStart", SANDBOX_CHANGE_RUNS, FALSE },
  { ".clinerules/hooks/TaskStart", SANDBOX_CHANGE_RUNS, FALSE },
  { ".clinerules/style.md", SANDBOX_CHANGE_PLAIN, FALSE },
  { ".clinerules", SANDBOX_CHANGE_BUILDS, FALSE },
  { ".factory/hooks.json", SANDBOX_CHANGE_RUNS, FALSE },
  { ".github/lsp.json", SANDBOX_CHANGE_RUNS, FALSE },
  { ".github/extensions/x/extension.mjs", SANDBOX_CHANGE_RUNS, FALSE },
  { "Crush.json", SANDBOX_CHANGE_RUNS, FALSE },
  { "kilo.jsonc", SANDBOX_CHANGE_RUNS, FALSE },
  { ".Junie/mcp/mcp.json", SANDBOX_CHANGE_RUNS, FALSE },
  { "renv/activate.R", SANDBOX_CHANGE_RUNS, FALSE },
  { "renv/settings.json", SANDBOX_CHANGE_PLAIN, FALSE },
  { "env/bin/activate", SANDBOX_CHANGE_RUNS, FALSE },
  { "env/production.json", SANDBOX_CHANGE_PLAIN, FALSE },
  { "app/activate/page.tsx", SANDBOX_CHANGE_PLAIN, FALSE },
  { ".conda/bin/python", SANDBOX_CHANGE_RUNS, FALSE },
  { ".pnp.cjs", SANDBOX_CHANGE_RUNS, FALSE },
  { "prettier.config.js", SANDBOX_CHANGE_BUILDS, FALSE },
  { "Directory.Build.rsp", SANDBOX_CHANGE_BUILDS, FALSE },
  { "web/Web.csproj.user", SANDBOX_CHANGE_BUILDS, FALSE },
  { "tools/bazel", SANDBOX_CHANGE_BUILDS, FALSE },
  { "bunfig.toml", SANDBOX_CHANGE_BUILDS, FALSE },
  { ".mypy.ini", SANDBOX_CHANGE_BUILDS, FALSE },
  { ".agent/rules/x.md", SANDBOX_CHANGE_BUILDS, FALSE },
  { "project/plugins.sbt", SANDBOX_CHANGE_BUILDS, FALSE },
  { "MAKEFILE", SANDBOX_CHANGE_BUILDS, FALSE },
  { "a/Dockerfile.dev", SANDBOX_CHANGE_BUILDS, FALSE },
  { "CLAUDE.local.md", SANDBOX_CHANGE_BUILDS, FALSE },
  { "webpack.config.mjs", SANDBOX_CHANGE_BUILDS, FALSE },
  { "sub/.git/hooks/pre-commit", SANDBOX_CHANGE_PLAIN, TRUE },
  { ".git", SANDBOX_CHANGE_PLAIN, TRUE },
  { ".gitignore", SANDBOX_CHANGE_PLAIN, FALSE },
  { "makefile-notes.txt", SANDBOX_CHANGE_PLAIN, FALSE },
};

static void
test_risks (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      gboolean git = !cases[i].git;

      g_test_message ("%s", cases[i].path);
      g_assert_cmpint (_sandbox_class_of (cases[i].path, &git), ==, cases[i].risk);
      g_assert_cmpint (git, ==, cases[i].git);
    }
}

static void
test_names (void)
{
  static const char *const bad[] = {
    ".GIT",
    ".Git",
    ".g\xc4\xb1t",
    ".g\xe2\x80\x8cit",
    ".git.",
    ".git ",
    "git~1",
    "GIT~2",
    "a\nb",
    "a\033[2J",
    "a\xc2\x9b"
    "b",
    "a\xe2\x80\xae"
    "b",
    "\xff\xfe",
    ".vms-apply.1.2",
    ".g\xcc\x81it",
    "\xef\xbc\x8e"
    "git",
  };
  static const char *const good[] = { ".git", ".gitignore", "git", "gitx", "a b", "\xc3\xa9" };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autofree char *shown = g_strescape (bad[i], NULL);

      g_test_message ("%s", shown);
      g_assert_nonnull (_sandbox_class_refuse_name (bad[i]));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_null (_sandbox_class_refuse_name (good[i]));
}

static void
test_links (void)
{
  static const char *const bad[] = { "/etc/passwd", "../x", "../../x", "a/../../x",
                                     "b/..",        "",     "a\nb",    "\xff" };
  static const char *const good[] = { "x", "./x", "a/b", "a//b", "." };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_nonnull (_sandbox_class_refuse_link ("link", bad[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_null (_sandbox_class_refuse_link ("link", good[i]));
  g_assert_null (_sandbox_class_refuse_link ("a/b/link", "../../x"));
  g_assert_nonnull (_sandbox_class_refuse_link ("a/b/link", "../../../x"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/classes/risks", test_risks);
  g_test_add_func ("/share/classes/names", test_names);
  g_test_add_func ("/share/classes/links", test_links);
  return g_test_run ();
}
