// SPDX-License-Identifier: LGPL-2.1-or-later
// What names mean to the host: the one table of files that it runs, and the names and links that no
// machine may bring to it.
#include "share/share.h"

#include "base/names.h"

#include <string.h>

#define NAME_BYTES_MAX 255

/**
 * Pattern: one row of the table
 * @pattern: "dir/" for a directory and all in it, else a file; with "*" at one end; with "a/b" for
 * a b in an a. Written as _sandbox_class_fold() makes it; holds at any depth
 * @common: of "a/b": many directories are an a, and a link that is one says nothing of b
 */
typedef struct
{
  const char *pattern;
  SandboxChangeRisk risk;
  gboolean common;
} Pattern;

#define RUNS   SANDBOX_CHANGE_RUNS
#define BUILDS SANDBOX_CHANGE_BUILDS

static const Pattern patterns[] = {
  /* shells and their helpers, on entering the directory */
  { ".envrc*", RUNS },
  { ".direnv/", RUNS },
  { ".autoenv*", RUNS },
  { ".mise.*", RUNS },
  { "mise.*", RUNS },
  { ".rtx.*", RUNS },
  { ".mise/", RUNS },
  { "mise/config.*", RUNS },
  { "mise/conf.d", RUNS },
  { ".tool-versions", RUNS },
  { ".bash*", RUNS },
  { ".profile", RUNS },
  { ".zshrc", RUNS },
  { ".zshenv", RUNS },
  { ".zprofile", RUNS },
  { ".zlogin", RUNS },
  { ".zlogout", RUNS },
  { ".cshrc", RUNS },
  { ".tcshrc", RUNS },
  { ".kshrc", RUNS },
  { ".login", RUNS },
  { ".logout", RUNS },
  { ".inputrc", RUNS },
  { ".tmux.conf", RUNS },
  { ".screenrc", RUNS },
  /* where the shared directory is a home */
  { ".config/", RUNS },
  { ".local/", RUNS },
  { ".ssh/", RUNS },
  { ".gnupg/", RUNS },
  { ".pam_environment", RUNS },
  { ".xinitrc", RUNS },
  { ".xprofile", RUNS },
  { ".xsession*", RUNS },
  /* git and its hooks */
  { ".gitmodules", RUNS },
  { ".gitattributes", RUNS },
  { ".gitconfig", RUNS },
  { ".githooks/", RUNS },
  { ".husky/", RUNS },
  { ".huskyrc*", RUNS },
  { "lefthook.*", RUNS },
  { "lefthook-local.*", RUNS },
  { ".lefthook*", RUNS },
  { ".pre-commit-config.yaml", RUNS },
  { ".pre-commit-config.yml", RUNS },
  { "prek.toml", RUNS },
  { "hk.pkl", RUNS },
  { "hk.local.pkl", RUNS },
  { ".overcommit.yml", RUNS },
  { ".git-hooks/", RUNS },
  { ".github/hooks", RUNS },
  { ".hg/", RUNS },
  { ".svn/", RUNS },
  { ".jj/", RUNS },
  { ".sl/", RUNS },
  { ".bzr/", RUNS },
  /* editors, on opening the directory or a file in it */
  { ".vscode/", RUNS },
  { "*.code-workspace", RUNS },
  { ".idea/", RUNS },
  { "*.iml", RUNS },
  { ".fleet/", RUNS },
  { ".zed/", RUNS },
  { ".helix/", RUNS },
  { ".devcontainer/", RUNS },
  { ".devcontainer.json", RUNS },
  { ".externaltoolbuilders/", RUNS },
  { ".project", RUNS },
  { ".settings/", RUNS },
  { ".factorypath", RUNS },
  { ".vs/", RUNS },
  { ".emacs*", RUNS },
  { ".emacs.d/", RUNS },
  { ".exrc", RUNS },
  { ".gvimrc", RUNS },
  { ".vimrc", RUNS },
  { ".nvimrc", RUNS },
  { ".nvim.lua", RUNS },
  { ".nvim/", RUNS },
  { ".lazy.lua", RUNS },
  { ".vim/", RUNS },
  { ".lvimrc", RUNS },
  { ".dir-locals.el", RUNS },
  { ".dir-locals-2.el", RUNS },
  { ".projectile", RUNS },
  { "*.sublime-project", RUNS },
  { ".kateproject", RUNS },
  /* language servers, which editors start */
  { ".bsp/", RUNS },
  { ".ycm_extra_conf.py", RUNS },
  { "rust-analyzer.toml", RUNS },
  { "hie.yaml", RUNS },
  { ".hie-bios", RUNS },
  /* agents: settings with commands in them */
  { ".claude/", RUNS },
  { ".cursor/", RUNS },
  { ".codex/", RUNS },
  { ".agents/", RUNS },
  { ".gemini/", RUNS },
  { ".continue/", RUNS },
  { ".windsurf/", RUNS },
  { ".roo/", RUNS },
  { ".kiro/", RUNS },
  { ".opencode/", RUNS },
  { "opencode.json*", RUNS },
  { ".opencode.json*", RUNS },
  { ".cline/", RUNS },
  { ".clinerules/hooks", RUNS },
  { ".github/lsp.json", RUNS },
  { ".github/extensions", RUNS },
  { ".factory/", RUNS },
  { ".crush.json", RUNS },
  { "crush.json", RUNS },
  { ".crushrc", RUNS },
  { "crushrc", RUNS },
  { ".qwen/", RUNS },
  { ".kilo/", RUNS },
  { ".kilocode/", RUNS },
  { "kilo.json*", RUNS },
  { ".pi/", RUNS },
  { ".junie/", RUNS },
  { ".amazonq/", RUNS },
  { ".augment/", RUNS },
  { ".trae/", RUNS },
  { ".openhands/", RUNS },
  { "gptme.toml", RUNS },
  { "gptme.local.toml", RUNS },
  { ".mcp.json", RUNS },
  { "mcp.json", RUNS },
  { ".aider*", RUNS },
  /* debuggers, interpreters and desktops, on being started there */
  { ".gdbinit", RUNS },
  { ".lldbinit", RUNS },
  { "*.pth", RUNS },
  { "sitecustomize.py", RUNS },
  { "usercustomize.py", RUNS },
  { ".pythonrc*", RUNS },
  /* what an interpreter runs in place of the source that was looked at */
  { "__pycache__/", RUNS },
  { "*.pyc", RUNS },
  { "*.pyo", RUNS },
  { "*.elc", RUNS },
  /* editors look for an interpreter here, and shells are told to read its activate */
  { ".venv/", RUNS },
  { "venv/", RUNS },
  { ".conda/", RUNS },
  { "bin/activate", RUNS, TRUE },
  { "bin/activate.csh", RUNS, TRUE },
  { "bin/activate.fish", RUNS, TRUE },
  { "pyvenv.cfg", RUNS },
  { ".irbrc", RUNS },
  { ".pryrc", RUNS },
  { ".rspec", RUNS },
  { ".pdbrc*", RUNS },
  { ".byebugrc", RUNS },
  { ".iex.exs", RUNS },
  { ".ghci", RUNS },
  { ".ocamlinit", RUNS },
  { ".rprofile*", RUNS },
  { "renv/activate.r", RUNS },
  { ".renviron*", RUNS },
  { ".rdata", RUNS },
  { ".octaverc", RUNS },
  { ".sqliterc", RUNS },
  { ".psqlrc", RUNS },
  { "*.desktop", RUNS },
  { ".directory", RUNS },
  { "autorun.inf", RUNS },
  /* package managers: settings that name programs */
  { ".npmrc", RUNS },
  { ".yarnrc", RUNS },
  { ".yarnrc.yml", RUNS },
  { ".yarn/", RUNS },
  { ".pnp.cjs", RUNS },
  { ".pnp.js", RUNS },
  { ".pnp.loader.mjs", RUNS },
  { ".pnpmfile.cjs", RUNS },
  { ".pnpmfile.mjs", RUNS },
  { "pnpmfile.js", RUNS },
  { "node_modules/.bin", RUNS },
  { ".cargo/", RUNS },
  { ".bundle/", RUNS },
  { ".mvn/", RUNS },
  { "pip.conf", RUNS },
  /* build files */
  { "package.json", BUILDS },
  { "package-lock.json", BUILDS },
  { "npm-shrinkwrap.json", BUILDS },
  { "yarn.lock", BUILDS },
  { "pnpm-lock.yaml", BUILDS },
  { "pnpm-workspace.yaml", BUILDS },
  { "bun.lock", BUILDS },
  { "bun.lockb", BUILDS },
  { "bunfig.toml", BUILDS },
  { "deno.json", BUILDS },
  { "deno.jsonc", BUILDS },
  { "turbo.json", BUILDS },
  { "nx.json", BUILDS },
  { "gruntfile.*", BUILDS },
  { "gulpfile.*", BUILDS },
  { "webpack.config.*", BUILDS },
  { "vite.config.*", BUILDS },
  { "rollup.config.*", BUILDS },
  { "babel.config.*", BUILDS },
  { "jest.config.*", BUILDS },
  { "vitest.config.*", BUILDS },
  { "playwright.config.*", BUILDS },
  { "cypress.config.*", BUILDS },
  { "next.config.*", BUILDS },
  { "nuxt.config.*", BUILDS },
  { "astro.config.*", BUILDS },
  { "svelte.config.*", BUILDS },
  { "eslint.config.*", BUILDS },
  { ".eslintrc*", BUILDS },
  { ".prettierrc*", BUILDS },
  { "prettier.config.*", BUILDS },
  { ".stylelintrc*", BUILDS },
  { "stylelint.config.*", BUILDS },
  { ".babelrc*", BUILDS },
  { "postcss.config.*", BUILDS },
  { "tailwind.config.*", BUILDS },
  { ".lintstagedrc*", BUILDS },
  { "lint-staged.config.*", BUILDS },
  { ".pylintrc", BUILDS },
  { ".flake8", BUILDS },
  { "mypy.ini", BUILDS },
  { ".mypy.ini", BUILDS },
  { ".golangci.*", BUILDS },
  { ".rubocop.yml", BUILDS },
  { "makefile", BUILDS },
  { "gnumakefile", BUILDS },
  { "makefile.*", BUILDS },
  { "*.mk", BUILDS },
  { "*.mak", BUILDS },
  { "cmakelists.txt", BUILDS },
  { "cmakepresets.json", BUILDS },
  { "cmakeuserpresets.json", BUILDS },
  { "*.cmake", BUILDS },
  { "configure", BUILDS },
  { "configure.ac", BUILDS },
  { "autogen.sh", BUILDS },
  { "*.m4", BUILDS },
  { "meson.build", BUILDS },
  { "meson_options.txt", BUILDS },
  { "meson.options", BUILDS },
  { "sconstruct", BUILDS },
  { "sconscript", BUILDS },
  { "wscript", BUILDS },
  { "justfile", BUILDS },
  { ".justfile", BUILDS },
  { "taskfile.*", BUILDS },
  { "mise/tasks", BUILDS },
  { "mise-tasks/", BUILDS },
  { ".mise-tasks/", BUILDS },
  { "build.ninja", BUILDS },
  { "build", BUILDS },
  { "build.bazel", BUILDS },
  { "module.bazel", BUILDS },
  { "workspace", BUILDS },
  { "workspace.bazel", BUILDS },
  { "*.bzl", BUILDS },
  { ".bazelrc", BUILDS },
  { ".bazelversion", BUILDS },
  { ".bazeliskrc", BUILDS },
  { "tools/bazel", BUILDS },
  { "tools/bazel.*", BUILDS },
  { "cargo.toml", BUILDS },
  { "cargo.lock", BUILDS },
  { "build.rs", BUILDS },
  { "rust-toolchain*", BUILDS },
  { "go.mod", BUILDS },
  { "go.sum", BUILDS },
  { "go.work", BUILDS },
  { "setup.py", BUILDS },
  { "setup.cfg", BUILDS },
  { "conftest.py", BUILDS },
  { "pyproject.toml", BUILDS },
  { "tox.ini", BUILDS },
  { "pytest.ini", BUILDS },
  { "noxfile.py", BUILDS },
  { "requirements*", BUILDS },
  { "pipfile", BUILDS },
  { "conanfile.py", BUILDS },
  { "gradlew*", BUILDS },
  { "*.gradle", BUILDS },
  { "*.gradle.kts", BUILDS },
  { "gradle.properties", BUILDS },
  { "gradle/", BUILDS },
  { "pom.xml", BUILDS },
  { "mvnw*", BUILDS },
  { "build.xml", BUILDS },
  { "*.sbt", BUILDS },
  { ".sbtopts", BUILDS },
  { ".jvmopts", BUILDS },
  { "rakefile", BUILDS },
  { "gemfile*", BUILDS },
  { "*.gemspec", BUILDS },
  { "composer.json", BUILDS },
  { "mix.exs", BUILDS },
  { "package.swift", BUILDS },
  { "build.zig", BUILDS },
  { "build.zig.zon", BUILDS },
  { "config.nims", BUILDS },
  { "*.nimble", BUILDS },
  { "*.cabal", BUILDS },
  { "cabal.project*", BUILDS },
  { "stack.yaml", BUILDS },
  { "*.csproj", BUILDS },
  { "*.fsproj", BUILDS },
  { "*.vbproj", BUILDS },
  { "*.vcxproj", BUILDS },
  { "*proj.user", BUILDS },
  { "directory.build.rsp", BUILDS },
  { "global.json", BUILDS },
  { "nuget.config", BUILDS },
  { "*.targets", BUILDS },
  { "*.props", BUILDS },
  { "flake.nix", BUILDS },
  { "flake.lock", BUILDS },
  { "shell.nix", BUILDS },
  { "default.nix", BUILDS },
  { "devenv.nix", BUILDS },
  { "devbox.json", BUILDS },
  { "vagrantfile", BUILDS },
  { "dockerfile*", BUILDS },
  { "containerfile*", BUILDS },
  { "docker-compose*", BUILDS },
  { "compose.y*", BUILDS },
  { "procfile", BUILDS },
  { ".env", BUILDS },
  { ".env.*", BUILDS },
  /* CI */
  { ".github/workflows", BUILDS },
  { ".github/actions", BUILDS },
  { ".gitlab-ci.yml", BUILDS },
  { ".circleci/", BUILDS },
  { ".travis.yml", BUILDS },
  { ".drone.yml", BUILDS },
  { ".woodpecker*", BUILDS },
  { "jenkinsfile", BUILDS },
  { "azure-pipelines.yml", BUILDS },
  { "bitbucket-pipelines.yml", BUILDS },
  /* what agents are told */
  { "claude*.md", BUILDS },
  { "agents*.md", BUILDS },
  { "gemini*.md", BUILDS },
  { "agent.md", BUILDS },
  { "qwen.md", BUILDS },
  { "crush.md", BUILDS },
  { "crush.local.md", BUILDS },
  { ".agent/", BUILDS },
  { ".cursorrules", BUILDS },
  { ".windsurfrules", BUILDS },
  { ".clinerules*", BUILDS },
  { "copilot-instructions.md", BUILDS },
  { "skill.md", BUILDS },
};

static void
trim (char *name)
{
  for (gsize n = strlen (name); n > 1 && (name[n - 1] == '.' || name[n - 1] == ' '); n--)
    name[n - 1] = '\0';
}

/* As a file system that ignores case, marks on letters and characters without width could see it,
 * and as one that ignores dots and blanks at the end could. */
char *
_sandbox_class_fold (const char *name)
{
  g_autofree char *decomposed = NULL;
  g_autoptr (GString) kept = NULL;
  g_autofree char *upper = NULL;
  char *folded;

  /* the same, quicker: most names */
  if (g_str_is_ascii (name))
    {
      folded = g_ascii_strdown (name, -1);
      trim (folded);
      return folded;
    }
  decomposed = g_utf8_normalize (name, -1, G_NORMALIZE_ALL);
  kept = g_string_new (NULL);
  for (const char *p = decomposed ? decomposed : ""; *p; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      GUnicodeType type = g_unichar_type (c);

      if (type != G_UNICODE_NON_SPACING_MARK && type != G_UNICODE_FORMAT)
        g_string_append_unichar (kept, c);
    }
  /* by way of the capitals: only so the dotless i is an i */
  upper = g_utf8_strup (kept->str, -1);
  folded = g_utf8_casefold (upper, -1);
  trim (folded);
  return folded;
}

static gboolean
name_matches (const char *pattern, gsize length, const char *name)
{
  gsize have = strlen (name);

  if (pattern[0] == '*')
    return have >= length - 1 && strncmp (name + have - (length - 1), pattern + 1, length - 1) == 0;
  if (pattern[length - 1] == '*')
    return strncmp (name, pattern, length - 1) == 0;
  for (gsize i = 1; i + 1 < length; i++)
    if (pattern[i] == '*')
      return have + 1 >= length && strncmp (name, pattern, i) == 0
             && strncmp (name + have - (length - i - 1), pattern + i + 1, length - i - 1) == 0;
  return have == length && strncmp (name, pattern, length) == 0;
}

/* @parts: of the path, folded. */
static gboolean
pattern_matches (const char *pattern, char **parts)
{
  const char *slash = strchr (pattern, '/');
  gsize length = slash ? (gsize)(slash - pattern) : strlen (pattern);

  for (guint i = 0; parts[i]; i++)
    {
      if (!name_matches (pattern, length, parts[i]))
        continue;
      /* a directory's rule also for a file or link of that name, which stands for one */
      if (slash && slash[1] == '\0')
        return TRUE;
      if (slash ? parts[i + 1] && name_matches (slash + 1, strlen (slash + 1), parts[i + 1])
                : !parts[i + 1])
        return TRUE;
    }
  return FALSE;
}

SandboxChangeRisk
_sandbox_class_of (const char *path, gboolean *ret_git)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  SandboxChangeRisk risk = SANDBOX_CHANGE_PLAIN;

  *ret_git = FALSE;
  for (guint i = 0; parts[i]; i++)
    {
      char *folded = _sandbox_class_fold (parts[i]);

      *ret_git = *ret_git || strcmp (parts[i], ".git") == 0;
      g_free (parts[i]);
      parts[i] = folded;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (patterns); i++)
    if (patterns[i].risk > risk && pattern_matches (patterns[i].pattern, parts))
      risk = patterns[i].risk;
  return risk;
}

gboolean
_sandbox_class_is_head (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *folded = _sandbox_class_fold (name);

  for (gsize i = 0; i < G_N_ELEMENTS (patterns); i++)
    {
      const char *slash = strchr (patterns[i].pattern, '/');

      if (patterns[i].risk == RUNS && slash && !patterns[i].common
          && name_matches (patterns[i].pattern, (gsize)(slash - patterns[i].pattern), folded))
        return TRUE;
    }
  return FALSE;
}

const char *
_sandbox_class_refuse_name (const char *name)
{
  g_autofree char *folded = NULL;

  if (strlen (name) > NAME_BYTES_MAX)
    return "its name is too long";
  if (!g_utf8_validate (name, -1, NULL))
    return "its name is no UTF-8";
  for (const char *p = name; *p; p = g_utf8_next_char (p))
    if (!sandbox_char_is_plain (g_utf8_get_char (p)))
      return "its name has control or invisible characters";
  if (g_str_has_prefix (name, SANDBOX_APPLY_TEMP))
    return "its name is one that vms uses itself";
  if (strcmp (name, ".git") == 0)
    return NULL;
  folded = _sandbox_class_fold (name);
  if (strcmp (folded, ".git") == 0 || strncmp (folded, "git~", 4) == 0)
    return "its name is .git in disguise";
  return NULL;
}

/* "..", then nothing but names: what lies between may be links, and ".." after one would lead up
 * from where that leads. */
const char *
_sandbox_class_refuse_link (const char *path, const char *target)
{
  g_auto (GStrv) parts = g_strsplit (target, "/", -1);
  guint depth = 0, up = 0;
  gboolean down = FALSE;

  if (target[0] == '\0')
    return "it is a link to nothing";
  if (target[0] == '/')
    return "it is a link out of the shared directory";
  if (!g_utf8_validate (target, -1, NULL))
    return "what it links to is no UTF-8";
  for (const char *p = target; *p; p = g_utf8_next_char (p))
    if (!sandbox_char_is_plain (g_utf8_get_char (p)))
      return "what it links to has control or invisible characters";
  for (const char *p = path; *p; p++)
    depth += *p == '/';
  for (guint i = 0; parts[i]; i++)
    {
      gboolean dots = strcmp (parts[i], "..") == 0;

      if (parts[i][0] == '\0' || strcmp (parts[i], ".") == 0)
        continue;
      if (dots && down)
        return "it is a link that leads down and up again, which can lead anywhere";
      up += dots ? 1 : 0;
      down = down || !dots;
    }
  return up > depth ? "it is a link out of the shared directory" : NULL;
}
