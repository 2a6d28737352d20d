// SPDX-License-Identifier: LGPL-2.1-or-later
// mode=guarded: which paths of a share the machine may not write to, by the same table as for
// `vms apply`. Of a repository, only what a commit, a merge or a fetch changes is writable: the
// list is of that, since git's own list of what it runs grows.
#include "share/share.h"

#include "base/names.h"

#include <string.h>

/* What git writes at the top of a repository without being told to configure anything. With
 * ".lock" behind, too. Nothing in them is run. */
static const char *const git_files[] = {
  "HEAD",
  "ORIG_HEAD",
  "FETCH_HEAD",
  "MERGE_HEAD",
  "MERGE_MSG",
  "MERGE_MODE",
  "MERGE_RR",
  "SQUASH_MSG",
  "CHERRY_PICK_HEAD",
  "REVERT_HEAD",
  "AUTO_MERGE",
  "COMMIT_EDITMSG",
  "TAG_EDITMSG",
  "index",
  "packed-refs",
  "packed-refs.new",
  "shallow",
  "gc.pid",
  "gc.log",
  NULL,
};
static const char *const git_dirs[] = { "objects", "refs", "logs", NULL };
/* Below objects/: other places for objects. */
static const char *const alternates[] = { "alternates", "http-alternates", NULL };
/* Names in a submodule's repository, whose own name may have slashes, that end what is writable. */
static const char *const module_guarded[] = { "config",  "config.worktree", "hooks",
                                              "info",    "commondir",       "gitdir",
                                              "modules", "worktrees",       NULL };

static gboolean
is_git_file (const char *name)
{
  g_autofree char *plain =
      g_str_has_suffix (name, ".lock") ? g_strndup (name, strlen (name) - 5) : g_strdup (name);

  return g_strv_contains (git_files, plain) || g_str_has_prefix (plain, "next-index-")
         || g_str_has_prefix (plain, "sharedindex.") || g_str_has_prefix (plain, "index.stash.");
}

/* @parts: behind the repository's own directory, as they are written. */
static gboolean
is_git_data (char **parts)
{
  gsize n = g_strv_length (parts);

  if (n == 0)
    return FALSE;
  if (g_str_equal (parts[0], "objects") && n >= 3 && g_str_equal (parts[1], "info"))
    {
      g_autofree char *plain = g_strdup (parts[2]);

      if (g_str_has_suffix (plain, ".lock"))
        plain[strlen (plain) - 5] = '\0';
      return !g_strv_contains (alternates, plain);
    }
  /* a list of branches for those who read over HTTP, which gc writes */
  if (n == 2 && g_str_equal (parts[0], "info"))
    return g_str_equal (parts[1], "refs") || g_str_has_prefix (parts[1], "refs_");
  return g_strv_contains (git_dirs, parts[0]) || (n == 1 && is_git_file (parts[0]));
}

/* A submodule's or a worktree's repository in that of another. */
static gboolean
is_inner_data (char **parts)
{
  gsize n = g_strv_length (parts);

  if (n >= 3 && g_str_equal (parts[0], "worktrees"))
    return is_git_data (parts + 2);
  if (n < 3 || !g_str_equal (parts[0], "modules"))
    return FALSE;
  for (gsize i = 1; i < n; i++)
    if (g_strv_contains (module_guarded, parts[i]))
      return FALSE;
  for (gsize i = 2; i < n; i++)
    if (is_git_data (parts + i))
      return TRUE;
  return FALSE;
}

gboolean
_sandbox_guard_holds_git (const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);

  return parts[0] == NULL || (!is_git_data (parts) && !is_inner_data (parts));
}

/* The first component of @path that is a .git; NULL. */
static const char *
find_git (const char *path)
{
  for (const char *part = path; part != NULL; part = strchr (part, '/'))
    {
      part += *part == '/' ? 1 : 0;
      if (strncmp (part, ".git", 4) == 0 && (part[4] == '/' || part[4] == '\0'))
        return part;
    }
  return NULL;
}

gboolean
_sandbox_guard_holds (const SandboxClasses *classes, const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  const char *git = find_git (path);
  g_autofree char *before = git != NULL ? g_strndup (path, (gsize)(git - path)) : g_strdup (path);
  gboolean is_git;

  if (parts[0] == NULL)
    return TRUE;
  for (gsize i = 0; parts[i] != NULL; i++)
    if (_sandbox_class_refuse_name (parts[i]) != NULL)
      return TRUE;
  if (g_str_has_suffix (before, "/"))
    before[strlen (before) - 1] = '\0';
  if (*before != '\0' && _sandbox_classes_risk (classes, before, &is_git) == SANDBOX_CHANGE_RUNS)
    return TRUE;
  /* behind a .git, branches may have any name */
  if (git != NULL)
    return _sandbox_guard_holds_git (git[4] == '/' ? git + 5 : "");
  /* a directory with a HEAD is a repository to git, and its configuration counts */
  return g_str_equal (parts[g_strv_length (parts) - 1], "HEAD");
}
