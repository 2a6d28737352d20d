// SPDX-License-Identifier: LGPL-2.1-or-later
// What git on this host would leave out of a commit: packages, builds and the like, made in the
// machine for the machine. By the rules that this host has, never by those that the machine
// brings; and git itself says so, in a repository of ours, which gets the index of the user's and
// its list of excludes, but none of its settings.
//
// The repository in which a change lies decides, the innermost one. Nothing here makes a change
// apply that would not: where git does not answer, none is ignored.
#include "share/pull-private.h"
#include "share/share.h"

#include "base/bytes.h"
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
/* For each question, and for all of them: a FIFO in the place of a list makes git wait. */
#define ASK_USEC (20 * G_USEC_PER_SEC)
#define ALL_USEC (60 * G_USEC_PER_SEC)
/* How many entries an index has, stands there. */
#define INDEX_COUNT_OFFSET 8

/**
 * Repository:
 * @dir: its path in the share, "" for the share itself, and for one that the share lies in
 * @path: of its working tree on this host
 * @prefix: what of that leads to the share: "", or "DIRECTORY/"
 * @rows: those that lie in it and in none that lies in it
 */
typedef struct
{
  char *dir, *path, *prefix;
  GPtrArray *rows;
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
  g_free (repository->dir);
  g_free (repository->path);
  g_free (repository->prefix);
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
has (const Work *work, const char *dir, const char *name, SandboxNodeType a, SandboxNodeType b)
{
  g_autofree char *path = join (dir, name);
  SandboxNode node;

  return _sandbox_tree_look (work->changes->root_fd, path, &node, NULL)
         && (node.type == a || node.type == b);
}

/* @path: taken. */
static Repository *
add_repository (Work *work, const char *dir, char *path, const char *prefix)
{
  Repository *repository = g_new0 (Repository, 1);

  repository->dir = g_strdup (dir);
  repository->path = path;
  repository->prefix = g_strdup (prefix);
  repository->rows = g_ptr_array_new ();
  g_hash_table_insert (work->repositories, repository->dir, repository);
  return repository;
}

/* That the share lies in, as with one package of many. Like git, one of its user's own. */
static Repository *
find_outer (Work *work)
{
  g_autofree char *path = g_strdup (work->root);

  for (char *slash = strrchr (path, '/'); slash && slash > path; slash = strrchr (path, '/'))
    {
      g_autofree char *dot_git = NULL, *prefix = NULL;
      struct stat info;

      *slash = '\0';
      dot_git = g_build_filename (path, ".git", NULL);
      if (lstat (dot_git, &info) < 0)
        continue;
      if (info.st_uid != geteuid () || (!S_ISDIR (info.st_mode) && !S_ISREG (info.st_mode)))
        return NULL;
      prefix = g_strconcat (work->root + strlen (path) + 1, "/", NULL);
      return add_repository (work, "", g_steal_pointer (&path), prefix);
    }
  return NULL;
}

/* None for what lies beyond a link of this host's: git would not answer at all. */
static Repository *
find_repository (Work *work, const char *dir)
{
  Repository *found = NULL;
  g_autofree char *above = parent_of (dir);

  if (g_hash_table_lookup_extended (work->of_dir, dir, NULL, (gpointer *)&found))
    return found;
  if (above
      && has (work, above, strrchr (dir, '/') ? strrchr (dir, '/') + 1 : dir, SANDBOX_NODE_DIR,
              SANDBOX_NODE_ABSENT))
    found = find_repository (work, above);
  if (g_hash_table_size (work->repositories) < REPOSITORIES_MAX
      && has (work, dir, ".git", SANDBOX_NODE_DIR, SANDBOX_NODE_FILE))
    found = add_repository (work, dir, g_build_filename (work->root, dir, NULL), "");
  else if (!above)
    found = find_outer (work);
  g_hash_table_insert (work->of_dir, g_strdup (dir), found);
  return found;
}

static void
sort_rows (Work *work)
{
  for (guint i = 0; i < work->changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (work->changes, i);
      g_autofree char *dir = parent_of (row->pub.path);
      Repository *repository = dir ? find_repository (work, dir) : NULL;

      if (repository)
        g_ptr_array_add (repository->rows, row);
    }
}

/* Nobody was asked about what lies in a directory that takes the place of a file. */
static void
follow_above (SandboxChanges *changes)
{
  const SandboxChange *above = NULL;

  for (guint i = 0; i < changes->rows->len; i++)
    {
      SandboxChange *change = &_sandbox_changes_row (changes, i)->pub;

      if (above && g_str_has_prefix (change->path, above->path)
          && change->path[strlen (above->path)] == '/')
        change->ignored = TRUE;
      else
        above = change->ignored && change->old_mode && !S_ISDIR (change->old_mode) ? change : NULL;
    }
}

/* What is ignored stays on this host, and so does the directory in which it is. */
static void
keep_above (SandboxChanges *changes)
{
  g_autoptr (GHashTable) kept = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = changes->rows->len; i > 0; i--)
    {
      SandboxChangeRow *row = _sandbox_changes_row (changes, i - 1);
      SandboxChange *change = &row->pub;
      gboolean holds = g_hash_table_contains (kept, change->path);

      if (holds && change->kind == SANDBOX_CHANGE_DELETED)
        change->ignored = TRUE;
      else if (holds && change->kind == SANDBOX_CHANGE_REPLACED
               && change->state != SANDBOX_CHANGE_REFUSED)
        {
          change->state = SANDBOX_CHANGE_CONFLICT;
          g_free (change->reason);
          change->reason = g_strdup ("it holds what git on this host ignores");
        }
      if (change->ignored && change->old_mode)
        {
          char *dir = parent_of (change->path);

          if (dir)
            g_hash_table_add (kept, dir);
        }
    }
}

/* --- what git says */

/* Worktrees and submodules have a file that says where. It is the user's own: no machine's .git is
 * applied. */
static int
open_git_dir (const Work *work, const Repository *repository)
{
  sandbox_autofd int dir_fd =
      *repository->prefix ? open (repository->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                          : _sandbox_tree_open_dir (work->changes->root_fd, repository->dir, NULL);
  g_autofree char *text = NULL;
  int fd =
      dir_fd >= 0 ? openat (dir_fd, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

  if (fd >= 0 || dir_fd < 0)
    return fd;
  if (!sandbox_file_read_at (dir_fd, ".git", PATH_TEXT_MAX, &text, NULL, NULL)
      || !g_str_has_prefix (text, "gitdir: "))
    return -1;
  g_strchomp (text);
  return openat (dir_fd, text + strlen ("gitdir: "), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Of a worktree: where it has what all of them share; -1: it is none. */
static int
open_common (int git_fd)
{
  g_autofree char *text = NULL;

  if (!sandbox_file_read_at (git_fd, "commondir", PATH_TEXT_MAX, &text, NULL, NULL))
    return -1;
  g_strchomp (text);
  return openat (git_fd, text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* git in the quarantine would take the index of another format for one of its own. */
static gboolean
is_sha1 (int git_fd)
{
  sandbox_autofd int common_fd = open_common (git_fd);
  g_autofree char *text = NULL, *lower = NULL;

  if (!sandbox_file_read_at (common_fd >= 0 ? common_fd : git_fd, "config", EXCLUDES_MAX, &text,
                             NULL, NULL))
    return FALSE;
  lower = g_ascii_strdown (text, -1);
  return strstr (lower, "objectformat") == NULL;
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
  sandbox_autofd int common_fd = open_common (git_fd);
  sandbox_autofd int from_info =
      openat (common_fd >= 0 ? common_fd : git_fd, "info", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  sandbox_autofd int to_info = -1;
  g_autofree char *text = NULL;
  gsize length = 0;

  if (from_info < 0
      || !sandbox_file_read_at (from_info, "exclude", EXCLUDES_MAX, &text, &length, NULL))
    return TRUE;
  to_info = sandbox_dir_open_at (to_fd, "info", TRUE, NULL);
  return to_info >= 0 && sandbox_file_write_at (to_info, "exclude", text, length, 0600, NULL);
}

/* The paths that it prints, from @dir on; @ret_n (nullable): how many, each as often as it does.
 * NULL when it fails, as check-ignore does when there is none. @in_fd: -1 for nothing. */
static GHashTable *
ask (const Work *work, const Repository *repository, SandboxQuarantine *quarantine, const char *dir,
     const char *const *command, int in_fd, guint *ret_n)
{
  g_autofree char *tree = g_strconcat ("--work-tree=", repository->path, NULL);
  const char *const common[] = { "-c", work->excludes, "-C", dir, tree };
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
    {
      g_hash_table_add (paths, g_strdup (at));
      if (ret_n)
        (*ret_n)++;
    }
  return paths;
}

/* As git is asked about it: a directory that this host does not have is known by its slash, and
 * what begins like this is no pattern. */
#define HERE "./"
#define ALL  "."
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
  if (*repository->prefix)
    g_string_append_len (text, ALL, sizeof ALL);
  if (fd >= 0
      && (write (fd, text->str, text->len) != (gssize)text->len || lseek (fd, 0, SEEK_SET) < 0))
    sandbox_close_fd (&fd);
  return fd;
}

/* @tracked: what a commit has all the same. */
static void
mark_rows (Repository *repository, GHashTable *ignored, GHashTable *tracked)
{
  for (guint i = 0; i < repository->rows->len; i++)
    {
      SandboxChangeRow *row = repository->rows->pdata[i];
      g_autofree char *path = relative_row (repository, row);
      g_autofree char *whole = g_strconcat (repository->prefix, path + strlen (HERE), NULL);

      row->pub.ignored =
          g_hash_table_contains (ignored, path) && !g_hash_table_contains (tracked, whole);
    }
}

/* Of one that is in parts, or that stands for whole directories, it lists less. */
static gboolean
is_whole (const SandboxQuarantine *quarantine, guint n_listed)
{
  sandbox_autofd int fd = openat (quarantine->fd, "index", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  guint8 count[4] = { 0 };

  return fd < 0 ? n_listed == 0
                : pread (fd, count, sizeof count, INDEX_COUNT_OFFSET) == sizeof count
                      && sandbox_get32 (count) == n_listed;
}

static void
mark_repository (const Work *work, Repository *repository)
{
  static const char *const check[] = { "check-ignore", "--no-index", "-z", "--stdin", NULL };
  static const char *const list[] = { "ls-files", "-c", "-z", NULL };
  sandbox_autofd int git_fd = open_git_dir (work, repository);
  sandbox_autofd int questions_fd = git_fd >= 0 ? make_questions (repository) : -1;
  g_autofree char *dir = g_build_filename (work->root, repository->dir, NULL);
  g_autoptr (SandboxQuarantine) quarantine = NULL;
  g_autoptr (GHashTable) ignored = NULL, tracked = NULL;
  guint n_tracked = 0;

  if (questions_fd < 0 || !is_sha1 (git_fd))
    return;
  quarantine = _sandbox_quarantine_new (work->changes->dir_fd, work->records, NULL,
                                        SANDBOX_MERGE_BYTES_MAX, work->cancellable, NULL);
  if (!quarantine || !take_index (git_fd, quarantine->fd)
      || !take_excludes (git_fd, quarantine->fd))
    return;
  quarantine->timeout_usec = ASK_USEC;
  ignored = ask (work, repository, quarantine, dir, check, questions_fd, NULL);
  /* a home that is a repository and ignores what is not its own has no say */
  if (ignored && g_hash_table_contains (ignored, ALL))
    return;
  tracked =
      ignored ? ask (work, repository, quarantine, repository->path, list, -1, &n_tracked) : NULL;
  if (tracked && is_whole (quarantine, n_tracked))
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
  GHashTableIter iter;
  gpointer repository;
  gint64 end;
  g_autoptr (SandboxLock) lock = NULL;
  Work work = { changes, cancellable, repositories, of_dir, root, records, NULL };

  if (!root || !records)
    return TRUE;
  sort_rows (&work);
  if (g_hash_table_size (repositories) == 0)
    return TRUE;
  lock = sandbox_lock_acquire (changes->dir_fd, SANDBOX_QUARANTINE_LOCK, "ignored", -1, NULL, NULL,
                               cancellable, error);
  if (!lock)
    return FALSE;
  work.excludes = excludes = find_excludes (cancellable);
  end = g_get_monotonic_time () + ALL_USEC;
  g_hash_table_iter_init (&iter, repositories);
  while (g_hash_table_iter_next (&iter, NULL, &repository) && g_get_monotonic_time () < end)
    mark_repository (&work, repository);
  follow_above (changes);
  keep_above (changes);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}
