// SPDX-License-Identifier: LGPL-2.1-or-later
// What the host's own git is set to run, or to take settings from: core.hooksPath and the like name
// files by any name, and where they lie in a share, no machine may bring them unasked. Read by
// hand: the repository is one that a machine may have written to, in a mode that lets it.
#include "share/share.h"

#include "base/child.h"
#include "base/file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX (256 * 1024)
#define GIT_USEC         (10 * G_USEC_PER_SEC)
#define GIT_DIR_PREFIX   "gitdir: "
#define USER_KEYS        "^(core\\.(hookspath|fsmonitor|attributesfile)|blame\\.ignorerevsfile)$"

/* Keys whose value is a file, or a directory of files, that git runs or takes settings from. */
static const char *const path_keys[] = { "hookspath",      "fsmonitor",     "path",
                                         "attributesfile", "blamerevsfile", NULL };

/* Of a regular file; closes @fd. (nullable) (transfer full) */
static char *
read_text (int fd)
{
  g_autofree char *text = NULL;
  struct stat info;

  if (fd < 0)
    return NULL;
  text = g_malloc0 (CONFIG_BYTES_MAX + 1);
  if (fstat (fd, &info) < 0 || !S_ISREG (info.st_mode) || read (fd, text, CONFIG_BYTES_MAX) <= 0)
    g_clear_pointer (&text, g_free);
  close (fd);
  return g_steal_pointer (&text);
}

static void
add_value (SandboxClasses *classes, const char *value, const char *work_tree, const char *git_dir)
{
  /* a command may have arguments; from where a path counts, depends on the key */
  g_autofree char *word = g_strndup (value, strcspn (value, " \t"));
  const char *const dirs[] = { work_tree, git_dir };

  for (guint i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_free (_sandbox_classes_add_target (classes, dirs[i], value));
      g_free (_sandbox_classes_add_target (classes, dirs[i], word));
    }
}

/* "key = value", "value" perhaps quoted. More is guarded than git would look at: keys of other
 * sections, too. */
static void
read_setting (SandboxClasses *classes, const char *line, const char *work_tree, const char *git_dir)
{
  const char *equals = strchr (line, '=');
  g_autofree char *key = equals ? g_strndup (line, (gsize)(equals - line)) : NULL;
  g_autofree char *value = equals ? g_strdup (equals + 1) : NULL;
  g_autofree char *lower = NULL;
  gsize length;

  if (!key)
    return;
  /* a section may stand on the same line */
  if (strchr (key, ']'))
    memmove (key, strrchr (key, ']') + 1, strlen (strrchr (key, ']')));
  g_strstrip (key);
  g_strstrip (value);
  lower = g_ascii_strdown (key, -1);
  length = strlen (value);
  if (length >= 2 && value[0] == '"' && value[length - 1] == '"')
    {
      value[length - 1] = '\0';
      memmove (value, value + 1, length - 1);
    }
  if (g_strv_contains (path_keys, lower) && *value != '\0')
    add_value (classes, value, work_tree, git_dir);
}

void
_sandbox_settings_read (SandboxClasses *classes, int fd, const char *work_tree, const char *git_dir)
{
  g_autofree char *text = read_text (fd);
  g_auto (GStrv) lines = g_strsplit (text ? text : "", "\n", -1);

  for (guint i = 0; lines[i]; i++)
    read_setting (classes, lines[i], work_tree, git_dir);
}

char *
_sandbox_settings_git_dir (SandboxClasses *classes, int fd, const char *dir)
{
  g_autofree char *text = read_text (fd);
  g_autofree char *whole = NULL;

  if (!text || !g_str_has_prefix (text, GIT_DIR_PREFIX))
    return NULL;
  g_strchomp (text);
  whole = g_strconcat (dir, "/", text + strlen (GIT_DIR_PREFIX), NULL);
  return text[strlen (GIT_DIR_PREFIX)] == '/' ? NULL : _sandbox_path_within (whole);
}

/* --- for a change set: the repositories that what it changes lies in */

static void
read_repository (SandboxChanges *changes, const char *dir)
{
  static const char *const files[] = { "config", "config.worktree" };
  g_autofree char *dot_git = *dir ? g_strconcat (dir, "/.git", NULL) : g_strdup (".git");
  g_autofree char *git_dir = NULL;
  SandboxNode node;

  if (!_sandbox_tree_look (changes->root_fd, dot_git, &node, NULL))
    return;
  if (node.type == SANDBOX_NODE_DIR)
    git_dir = g_strdup (dot_git);
  else if (node.type == SANDBOX_NODE_FILE)
    git_dir = _sandbox_settings_git_dir (changes->classes,
                                         _sandbox_tree_open (changes->root_fd, dot_git, NULL), dir);
  for (guint i = 0; git_dir && i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *config = g_strconcat (git_dir, "/", files[i], NULL);

      _sandbox_settings_read (changes->classes, _sandbox_tree_open (changes->root_fd, config, NULL),
                              dir, git_dir);
    }
}

static void
read_above (SandboxChanges *changes, const char *path, GHashTable *seen)
{
  g_autofree char *above = g_strdup (path);

  while (*above)
    {
      char *slash = strrchr (above, '/');

      *(slash ? slash : above) = '\0';
      if (!g_hash_table_add (seen, g_strdup (above)))
        return;
      read_repository (changes, above);
    }
}

void
_sandbox_settings_mark (SandboxChanges *changes)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < changes->rows->len; i++)
    read_above (changes, _sandbox_changes_row (changes, i)->pub.path, seen);
  for (guint i = 0; _sandbox_classes_get_n_places (changes->classes) > 0 && i < changes->rows->len;
       i++)
    {
      SandboxChange *change = &_sandbox_changes_row (changes, i)->pub;
      gboolean git = FALSE;

      if (change->risk == SANDBOX_CHANGE_RUNS
          || _sandbox_classes_risk (changes->classes, change->path, &git) != SANDBOX_CHANGE_RUNS)
        continue;
      change->risk = SANDBOX_CHANGE_RUNS;
      if (!change->reason)
        change->reason = g_strdup ("settings of git on this host name it");
    }
}

/* --- for all repositories of a user */

/* "KEY VALUE". A relative one counts from wherever a repository is. */
static void
add_line (GString *text, const char *line)
{
  const char *blank = strchr (line, ' ');
  const char *value = blank ? blank + 1 : "";
  g_autofree char *within = NULL;

  if (value[0] == '/' || value[0] == '~')
    g_string_append_printf (text, "target %s\n", value);
  else if ((within = _sandbox_path_within (value)) != NULL)
    g_string_append_printf (text, "pattern %s\n", within);
}

char *
_sandbox_settings_of_user (GCancellable *cancellable)
{
  const char *argv[] = { "git", "config", "--includes", "--get-regexp", USER_KEYS, NULL };
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_auto (GStrv) env = g_environ_setenv (g_get_environ (), "GIT_DIR", "/nonexistent", TRUE);
  g_auto (GStrv) lines = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *out = NULL;
  int status = 0;

  options.argv = argv;
  options.env = (const char *const *)env;
  options.cwd = "/";
  /* where there is no git, nothing of it runs; where it has no such setting, its status is 1 */
  if (sandbox_child_run (&options, GIT_USEC, CONFIG_BYTES_MAX, cancellable, &out, NULL, &status,
                         NULL)
      && status == 0)
    {
      lines = g_strsplit (out, "\n", -1);
      for (guint i = 0; lines[i]; i++)
        add_line (text, lines[i]);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}
