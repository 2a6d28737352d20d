// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that programs of the host act on when they come to lie in a project. A warning, not a
// fence: what runs when somebody builds or tests is all of a project.
#include "share/pull-private.h"

#include <string.h>

#define RUNS  "runs without asking"
#define BUILD "runs when the project is built or tested"
#define AGENT "agents take orders from it"

/* @name: of the last part, of any part when it ends in "/", or "*" and how the last one ends. All
 * in small letters. */
static const struct
{
  const char *name, *reason;
} risks[] = {
  { ".git/", RUNS },
  { ".gitmodules", RUNS },
  { ".gitattributes", RUNS },
  { ".githooks/", RUNS },
  { ".husky/", RUNS },
  { "lefthook.yml", RUNS },
  { "lefthook.yaml", RUNS },
  { ".lefthook.yml", RUNS },
  { ".pre-commit-config.yaml", RUNS },
  { ".envrc", RUNS },
  { ".env", RUNS },
  { ".direnv/", RUNS },
  { ".vscode/", RUNS },
  { "*.code-workspace", RUNS },
  { ".idea/", RUNS },
  { ".devcontainer/", RUNS },
  { ".devcontainer.json", RUNS },
  { ".cursor/", RUNS },
  { ".claude/", RUNS },
  { ".codex/", RUNS },
  { ".agents/", RUNS },
  { ".gemini/", RUNS },
  { ".mcp.json", RUNS },
  { ".exrc", RUNS },
  { ".vimrc", RUNS },
  { ".nvimrc", RUNS },
  { ".nvim.lua", RUNS },
  { ".dir-locals.el", RUNS },
  { ".gdbinit", RUNS },
  { ".lldbinit", RUNS },
  { "*.desktop", RUNS },
  { ".bazelrc", RUNS },
  { ".npmrc", RUNS },
  { ".yarnrc", RUNS },
  { ".yarnrc.yml", RUNS },
  { ".pnpmfile.cjs", RUNS },
  { ".tool-versions", RUNS },
  { ".mise.toml", RUNS },
  { "mise.toml", RUNS },
  { "*.pth", RUNS },
  { "sitecustomize.py", RUNS },
  { "usercustomize.py", RUNS },
  { "claude.md", AGENT },
  { "agents.md", AGENT },
  { "gemini.md", AGENT },
  { ".cursorrules", AGENT },
  { ".github/", BUILD },
  { ".gitlab-ci.yml", BUILD },
  { ".cargo/", BUILD },
  { ".mvn/", BUILD },
  { "package.json", BUILD },
  { "makefile", BUILD },
  { "gnumakefile", BUILD },
  { "cmakelists.txt", BUILD },
  { "cmakepresets.json", BUILD },
  { "meson.build", BUILD },
  { "configure", BUILD },
  { "justfile", BUILD },
  { "build.rs", BUILD },
  { "setup.py", BUILD },
  { "conftest.py", BUILD },
  { "pyproject.toml", BUILD },
  { "tox.ini", BUILD },
  { "noxfile.py", BUILD },
  { "gradlew", BUILD },
  { "build.gradle", BUILD },
  { "build.gradle.kts", BUILD },
  { "mvnw", BUILD },
  { "pom.xml", BUILD },
  { "rakefile", BUILD },
  { "gemfile", BUILD },
  { "flake.nix", BUILD },
  { "shell.nix", BUILD },
  { "default.nix", BUILD },
  { "vagrantfile", BUILD },
  { "dockerfile", BUILD },
  { "docker-compose.yml", BUILD },
  { "compose.yaml", BUILD },
};

static gboolean
fits (const char *rule, const char *const *parts, guint n_parts)
{
  gsize length = strlen (rule);

  if (rule[0] == '*')
    return g_str_has_suffix (parts[n_parts - 1], rule + 1);
  if (rule[length - 1] != '/')
    return strcmp (parts[n_parts - 1], rule) == 0;
  for (guint i = 0; i < n_parts; i++)
    if (strncmp (parts[i], rule, length - 1) == 0 && parts[i][length - 1] == '\0')
      return TRUE;
  return FALSE;
}

const char *
_sandbox_path_risk (const char *path)
{
  g_autofree char *valid = g_utf8_make_valid (path, -1);
  g_autofree char *small = g_utf8_casefold (valid, -1);
  g_auto (GStrv) parts = g_strsplit (small, "/", -1);
  guint n_parts = g_strv_length (parts);

  for (guint i = 0; n_parts > 0 && i < G_N_ELEMENTS (risks); i++)
    if (fits (risks[i].name, (const char *const *)parts, n_parts))
      return risks[i].reason;
  return NULL;
}
