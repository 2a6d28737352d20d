// SPDX-License-Identifier: LGPL-2.1-or-later
// What git on this host would leave out of a commit: packages, builds and the like, made in the
// machine for the machine. By the rules that this host has, never by those that the machine
// brings; and git itself says so, in a repository of ours, which gets the index of the user's and
// its list of excludes, but none of its settings.
//
// Nothing here makes a change apply that would not: where git does not answer, none is ignored.
#include "share/pull-private.h"
#include "share/share.h"

#include "base/child.h"
#include "base/file.h"
#include "base/lock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPOSITORIES_MAX 64
#define EXCLUDES_MAX     (1024 * 1024)
#define PATH_TEXT_MAX    4096
#define GIT_USEC         (10 * G_USEC_PER_SEC)

/**
 * Repository:
 * @dir: its path in the share; "" for the share itself
 * @rows: those that lie in it and in none that lies in it
 * @inner: repositories in it
 */
typedef struct
{
  char *dir;
  GPtrArray *rows, *inner;
} Repository;

typedef struct
{
  SandboxChanges *changes;
  GCancellable *cancellable;
  GHashTable *repositories; /* path of a directory -> Repository */
  GHashTable *of_dir;       /* path of a directory -> the Repository that it is in, or NULL */
  char *root, *records;     /* paths of the shared directory and of that of the records */
  char *excludes;           /* setting for git: the user's own file of excludes */
} Work;

static void
repository_free (gpointer data)
{
  Repository *repository = data;

  g_ptr_array_unref (repository->rows);
  g_ptr_array_unref (repository->inner);
  g_free (repository->dir);
  g_free (repository);
}

static char *
join (const char *dir, const char *name)
{
  return *dir ? g_strconcat (dir, "/", name, NULL) : g_strdup (name);
}

/* "" for what lies in the shared directory itself, NULL for that. (transfer full) */
static char *
parent_of (const char *path)
{
  const char *slash = strrchr (path, '/');

  return *path ? g_strndup (path, slash ? (gsize)(slash - path) : 0) : NULL;
}

/* --- which repository a change is in */

static gboolean
is_repository (const Work *work, const char *dir)
{
  g_autofree char *dot_git = join (dir, ".git");
  SandboxNode node;

  return _sandbox_tree_look (work->changes->root_fd, dot_git, &node, NULL)
         && (node.type == SANDBOX_NODE_DIR || node.type == SANDBOX_NODE_FILE);
}

static Repository *
find_repository (Work *work, const char *dir)
{
  Repository *found = NULL, *outer = NULL;
  g_autofree char *above = parent_of (dir);

  if (g_hash_table_lookup_extended (work->of_dir, dir, NULL, (gpointer *)&found))
    return found;
  outer = above ? find_repository (work, above) : NULL;
  found = outer;
  if (g_hash_table_size (work->repositories) < REPOSITORIES_MAX && is_repository (work, dir))
    {
      found = g_new0 (Repository, 1);
      found->dir = g_strdup (dir);
      found->rows = g_ptr_array_new ();
      found->inner = g_ptr_array_new ();
      g_hash_table_insert (work->repositories, found->dir, found);
      if (outer)
        g_ptr_array_add (outer->inner, found);
    }
  g_hash_table_insert (work->of_dir, g_strdup (dir), found);
  return found;
}

static gboolean
is_below (const char *path, const char *dir)
{
  gsize length = strlen (dir);

  return strncmp (path, dir, length) == 0 && path[length] == '/';
}

/* What goes with a directory, or makes room for something else, is no change by itself. */
static gboolean
takes_all_below (const SandboxChangeRow *row)
{
  return row->pub.kind == SANDBOX_CHANGE_DELETED || row->pub.kind == SANDBOX_CHANGE_REPLACED;
}

static void
sort_rows (Work *work)
{
  const SandboxChangeRow *above = NULL;

  for (guint i = 0; i < work->changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (work->changes, i);
      g_autofree char *dir = parent_of (row->pub.path);
      Repository *repository;

      if (above && is_below (row->pub.path, above->pub.path))
        continue;
      above = takes_all_below (row) ? row : NULL;
      repository = dir ? find_repository (work, dir) : NULL;
      if (repository)
        g_ptr_array_add (repository->rows, row);
    }
}

static void
follow_above (SandboxChanges *changes)
{
  const SandboxChangeRow *above = NULL;

  for (guint i = 0; i < changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (changes, i);

      if (above && is_below (row->pub.path, above->pub.path))
        row->pub.ignored = above->pub.ignored;
      else
        above = takes_all_below (row) ? row : NULL;
    }
}

/* --- what git says */

/* Worktrees and submodules have a file that says where. It is the user's own: no machine's .git is
 * applied. */
static int
open_git_dir (const Work *work, const char *dir)
{
  g_autofree char *dot_git = join (dir, ".git");
  int fd = _sandbox_tree_open_dir (work->changes->root_fd, dot_git, NULL);
  sandbox_autofd int dir_fd = -1;
  g_autofree char *text = NULL;

  if (fd >= 0)
    return fd;
  dir_fd = _sandbox_tree_open_dir (work->changes->root_fd, dir, NULL);
  if (dir_fd < 0 || !sandbox_file_read_at (dir_fd, ".git", PATH_TEXT_MAX, &text, NULL, NULL)
      || !g_str_has_prefix (text, "gitdir: "))
    return -1;
  g_strchomp (text);
  return openat (dir_fd, text + strlen ("gitdir: "), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A repository that has no index yet has none here either. */
static gboolean
take_index (int git_fd, int to_fd)
{
  return _sandbox_merge_copy_index (git_fd, "index", to_fd, "index")
         || faccessat (git_fd, "index", F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

static gboolean
take_excludes (int git_fd, int to_fd)
{
  sandbox_autofd int from_info = openat (git_fd, "info", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  sandbox_autofd int to_info = -1;
  g_autofree char *text = NULL;
  gsize length = 0;

  if (from_info < 0
      || !sandbox_file_read_at (from_info, "exclude", EXCLUDES_MAX, &text, &length, NULL))
    return TRUE;
  to_info = sandbox_dir_open_at (to_fd, "info", TRUE, NULL);
  return to_info >= 0 && sandbox_file_write_at (to_info, "exclude", text, length, 0600, NULL);
}

/* The paths that it prints. NULL for none, and when it fails. @in_fd: -1 for nothing. */
static GHashTable *
ask (const Work *work, const Repository *repository, SandboxQuarantine *quarantine,
     const char *const *command, int in_fd)
{
  g_autofree char *dir = g_build_filename (work->root, repository->dir, NULL);
  const char *const common[] = { "-c", work->excludes, "-C", dir, "--work-tree=." };
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  g_autofree char *text = NULL;
  GHashTable *paths;
  gsize length = 0;

  for (guint i = 0; i < G_N_ELEMENTS (common); i++)
    g_ptr_array_add (args, (char *)common[i]);
  for (guint i = 0; command[i]; i++)
    g_ptr_array_add (args, (char *)command[i]);
  g_ptr_array_add (args, NULL);
  text = _sandbox_quarantine_git (quarantine, (const char *const *)args->pdata, NULL, in_fd, -1,
                                  &length, NULL);
  if (!text)
    return NULL;
  paths = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (const char *at = text; at < text + length; at += strlen (at) + 1)
    g_hash_table_add (paths, g_strdup (at));
  return paths;
}

/* As git is asked about it: a directory that this host does not have is known by its slash, and
 * what begins like this is no pattern. */
#define HERE "./"
static char *
relative (const Repository *repository, const char *path, gboolean dir)
{
  gsize skip = *repository->dir ? strlen (repository->dir) + 1 : 0;

  return g_strconcat (HERE, path + skip, dir ? "/" : "", NULL);
}

static char *
relative_row (const Repository *repository, const SandboxChangeRow *row)
{
  return relative (repository, row->pub.path,
                   row->pub.old_mode == 0 && S_ISDIR (row->pub.new_mode));
}

static int
make_questions (const Repository *repository)
{
  g_autoptr (GString) text = g_string_new (NULL);
  int fd = memfd_create ("paths", MFD_CLOEXEC);

  for (guint i = 0; i < repository->rows->len; i++)
    {
      g_autofree char *path = relative_row (repository, repository->rows->pdata[i]);

      g_string_append_len (text, path, (gssize)strlen (path) + 1);
    }
  for (guint i = 0; i < repository->inner->len; i++)
    {
      const Repository *inner = repository->inner->pdata[i];
      g_autofree char *path = relative (repository, inner->dir, FALSE);

      g_string_append_len (text, path, (gssize)strlen (path) + 1);
    }
  if (fd >= 0
      && (write (fd, text->str, text->len) != (gssize)text->len || lseek (fd, 0, SEEK_SET) < 0))
    sandbox_close_fd (&fd);
  return fd;
}

static void
ignore_all (Repository *repository)
{
  for (guint i = 0; i < repository->rows->len; i++)
    ((SandboxChangeRow *)repository->rows->pdata[i])->pub.ignored = TRUE;
  for (guint i = 0; i < repository->inner->len; i++)
    ignore_all (repository->inner->pdata[i]);
}

/* @tracked: what a commit has all the same. */
static void
mark_rows (Repository *repository, GHashTable *ignored, GHashTable *tracked)
{
  for (guint i = 0; i < repository->rows->len; i++)
    {
      SandboxChangeRow *row = repository->rows->pdata[i];
      g_autofree char *path = relative_row (repository, row);

      row->pub.ignored = g_hash_table_contains (ignored, path)
                         && !g_hash_table_contains (tracked, path + strlen (HERE));
    }
  for (guint i = 0; i < repository->inner->len; i++)
    {
      Repository *inner = repository->inner->pdata[i];
      g_autofree char *path = relative (repository, inner->dir, FALSE);

      if (g_hash_table_contains (ignored, path))
        ignore_all (inner);
    }
}

static void
mark_repository (const Work *work, Repository *repository)
{
  static const char *const check[] = { "check-ignore", "--no-index", "-z", "--stdin", NULL };
  static const char *const list[] = { "ls-files", "-c", "-i", "--exclude-standard", "-z", NULL };
  sandbox_autofd int git_fd = open_git_dir (work, repository->dir);
  sandbox_autofd int questions_fd = git_fd >= 0 ? make_questions (repository) : -1;
  g_autoptr (SandboxQuarantine) quarantine = NULL;
  g_autoptr (GHashTable) ignored = NULL, tracked = NULL;

  if (questions_fd < 0)
    return;
  quarantine = _sandbox_quarantine_new (work->changes->dir_fd, work->records, NULL,
                                        SANDBOX_MERGE_BYTES_MAX, work->cancellable, NULL);
  if (!quarantine || !take_index (git_fd, quarantine->fd)
      || !take_excludes (git_fd, quarantine->fd))
    return;
  ignored = ask (work, repository, quarantine, check, questions_fd);
  tracked = ignored ? ask (work, repository, quarantine, list, -1) : NULL;
  if (tracked)
    mark_rows (repository, ignored, tracked);
}

/* --- the user's own list, for all repositories */

static char *
find_excludes (GCancellable *cancellable)
{
  static const char *const argv[] = { "git",         "config", "--includes",
                                      "--type=path", "--get",  "core.excludesfile",
                                      NULL };
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_auto (GStrv) env = g_environ_setenv (g_get_environ (), "GIT_DIR", "/nonexistent", TRUE);
  g_autofree char *out = NULL, *path = NULL;
  int status = 0;

  options.argv = argv;
  options.env = (const char *const *)env;
  options.cwd = "/";
  if (sandbox_child_run (&options, GIT_USEC, PATH_TEXT_MAX, cancellable, &out, NULL, &status, NULL)
      && status == 0)
    path = g_strdup (g_strchomp (out));
  else
    path = g_build_filename (g_get_user_config_dir (), "git", "ignore", NULL);
  return g_strconcat ("core.excludesFile=", path, NULL);
}

gboolean
_sandbox_ignored_mark (SandboxChanges *changes, GCancellable *cancellable, GError **error)
{
  g_autoptr (GHashTable) repositories =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, repository_free);
  g_autoptr (GHashTable) of_dir = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *root_link = g_strdup_printf ("/proc/self/fd/%d", changes->root_fd);
  g_autofree char *records_link = g_strdup_printf ("/proc/self/fd/%d", changes->dir_fd);
  g_autofree char *root = g_file_read_link (root_link, NULL);
  g_autofree char *records = g_file_read_link (records_link, NULL);
  g_autofree char *excludes = NULL;
  g_autoptr (GList) in_order = NULL;
  g_autoptr (SandboxLock) lock = NULL;
  Work work = { changes, cancellable, repositories, of_dir, root, records, NULL };

  sort_rows (&work);
  if (!root || !records || g_hash_table_size (repositories) == 0)
    return TRUE;
  lock = sandbox_lock_acquire (changes->dir_fd, SANDBOX_QUARANTINE_LOCK, "ignored", 0, NULL, NULL,
                               cancellable, error);
  if (!lock)
    return FALSE;
  work.excludes = excludes = find_excludes (cancellable);
  /* an inner one before the outer one, whose word on all of it counts more */
  in_order = g_list_sort (g_hash_table_get_keys (repositories), (GCompareFunc)strcmp);
  for (const GList *dir = g_list_last (in_order); dir; dir = dir->prev)
    mark_repository (&work, g_hash_table_lookup (repositories, dir->data));
  follow_above (changes);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}
