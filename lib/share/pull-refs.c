// SPDX-License-Identifier: LGPL-2.1-or-later
// Refs of the user's repository, in the form of files (gitrepository-layout(5)): read without
// following a link, written as git writes them, with its lock files.
#include "share/pull-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_DIR       (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define REF_TEXT_MAX   4096
#define PACKED_MAX     (64 * 1024 * 1024)
#define REFS_READ_MAX  200000
#define DEPTH_MAX      32
#define SYMBOLIC       "ref: "
#define DIRECTORY_MODE 0777 /* less the umask, as git has it */
#define FILE_MODE      0666

/* The object name in a ref's file; NULL when it is another ref's name, or nothing of the kind. */
static char *
read_loose (int dir_fd, const char *name, char **ret_symbolic)
{
  g_autofree char *text = NULL;
  gsize length = 0;

  if (!sandbox_file_read_at (dir_fd, name, REF_TEXT_MAX, &text, &length, NULL))
    return NULL;
  g_strchomp (text);
  if (ret_symbolic && g_str_has_prefix (text, SYMBOLIC))
    *ret_symbolic = g_strdup (text + strlen (SYMBOLIC));
  return _sandbox_is_object_id (text, strlen (text)) ? g_steal_pointer (&text) : NULL;
}

static gboolean
read_directory (int parent_fd, const char *name, const char *path, guint depth, GHashTable *tips,
                GError **error)
{
  sandbox_autofd int fd = openat (parent_fd, name, OPEN_DIR);
  g_auto (GStrv) names = fd >= 0 && depth < DEPTH_MAX ? sandbox_dir_list (fd, NULL) : NULL;

  for (guint i = 0; names && names[i]; i++)
    {
      g_autofree char *below = g_strconcat (path, "/", names[i], NULL);
      struct stat info;

      if (g_hash_table_size (tips) > REFS_READ_MAX)
        return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                             "the repository has more than %d refs", REFS_READ_MAX);
      if (fstatat (fd, names[i], &info, AT_SYMLINK_NOFOLLOW) < 0)
        continue;
      if (S_ISDIR (info.st_mode))
        {
          if (!read_directory (fd, names[i], below, depth + 1, tips, error))
            return FALSE;
        }
      else if (S_ISREG (info.st_mode))
        {
          char *id = read_loose (fd, names[i], NULL);

          if (id)
            g_hash_table_replace (tips, g_steal_pointer (&below), id);
        }
    }
  return TRUE;
}

/* "ID SP NAME"; "^ID" is what the tag above it points to, "#" a header. */
static gboolean
read_packed (int git_fd, GHashTable *tips, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  gsize length = 0;

  if (!sandbox_file_read_at (git_fd, "packed-refs", PACKED_MAX, &text, &length, &local))
    {
      if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  for (char *line = text, *end; line && *line; line = end)
    {
      char *space = strchr (line, ' ');

      end = strchr (line, '\n');
      if (end)
        *end++ = '\0';
      space = strchr (line, ' ');
      if (g_hash_table_size (tips) > REFS_READ_MAX)
        return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                             "the repository has more than %d refs", REFS_READ_MAX);
      if (space && _sandbox_is_object_id (line, (gsize)(space - line)))
        g_hash_table_replace (tips, g_strdup (space + 1), g_strndup (line, (gsize)(space - line)));
    }
  return TRUE;
}

gboolean
_sandbox_pull_refs_read (int git_fd, GHashTable *tips, char **ret_head, GError **error)
{
  g_autofree char *symbolic = NULL;
  g_autofree char *head = NULL;

  /* loose ones count more */
  if (!read_packed (git_fd, tips, error)
      || !read_directory (git_fd, "refs", "refs", 0, tips, error))
    return FALSE;
  head = read_loose (git_fd, "HEAD", &symbolic);
  if (head)
    g_hash_table_replace (tips, g_strdup ("HEAD"), g_strdup (head));
  else if (symbolic)
    head = g_strdup (g_hash_table_lookup (tips, symbolic));
  *ret_head = g_steal_pointer (&head);
  return TRUE;
}

/* One ref that is being written: its directory, and its lock there. */
typedef struct
{
  int dir_fd;
  char *name, *lock;
  gboolean locked;
} Update;

static void
update_free (gpointer data)
{
  Update *update = data;

  if (update->locked)
    unlinkat (update->dir_fd, update->lock, 0);
  sandbox_close_fd (&update->dir_fd);
  g_free (update->name);
  g_free (update->lock);
  g_free (update);
}

/* The directory of @path (of a ref) below .git, made with those above it. */
static int
open_directory (int git_fd, const char *path, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  sandbox_autofd int fd = openat (git_fd, ".", OPEN_DIR);

  for (guint i = 0; fd >= 0 && parts[i] && parts[i + 1]; i++)
    {
      sandbox_autofd int above = fd;

      fd = -1;
      if (mkdirat (above, parts[i], DIRECTORY_MODE) == 0 || errno == EEXIST)
        fd = openat (above, parts[i], OPEN_DIR);
      if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        {
          sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                        "writing %s: \"%s\" on the way there is a ref itself, or a link; remove it "
                        "first (git update-ref -d)",
                        path, parts[i]);
          return -1;
        }
    }
  if (fd < 0)
    sandbox_fail_errno (error, errno, "writing %s", path);
  return g_steal_fd (&fd);
}

/* A packed ref is no file that could be in the way. */
static gboolean
check_free (const SandboxPullRepo *repo, const char *path, GError **error)
{
  g_autofree char *below = g_strconcat (path, "/", NULL);
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, repo->tips);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    {
      gsize length = strlen (name);

      if (g_str_has_prefix (name, below) || (g_str_has_prefix (path, name) && path[length] == '/'))
        {
          g_autofree char *shown = sandbox_escape (name, -1, 300);

          return sandbox_fail (
              error, SANDBOX_ERROR_EXISTS,
              "writing %s: there is %s from an earlier pull, and one cannot lie in "
              "the other; remove it (git update-ref -d %s)",
              path, shown, shown);
        }
    }
  return TRUE;
}

/* Directories that refs have left behind. */
static void
remove_empty (int dir_fd, const char *name, guint depth)
{
  sandbox_autofd int fd = depth < DEPTH_MAX ? openat (dir_fd, name, OPEN_DIR) : -1;
  g_auto (GStrv) names = fd >= 0 ? sandbox_dir_list (fd, NULL) : NULL;

  for (guint i = 0; names && names[i]; i++)
    remove_empty (fd, names[i], depth + 1);
  if (fd >= 0)
    unlinkat (dir_fd, name, AT_REMOVEDIR);
}

static Update *
lock_ref (const SandboxPullRepo *repo, const char *path, const char *id, GError **error)
{
  Update *update = g_new0 (Update, 1);
  g_autofree char *line = g_strconcat (id, "\n", NULL);
  sandbox_autofd int fd = -1;

  update->name = g_strdup (strrchr (path, '/') + 1);
  update->lock = g_strconcat (update->name, ".lock", NULL);
  update->dir_fd = open_directory (repo->git_fd, path, error);
  if (update->dir_fd >= 0)
    {
      remove_empty (update->dir_fd, update->name, 0);
      fd = openat (update->dir_fd, update->lock,
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
      update->locked = fd >= 0;
      if (fd < 0 && errno == EEXIST)
        sandbox_fail (error, SANDBOX_ERROR_BUSY,
                      "writing %s: another git holds .git/%s.lock; try again, and remove that file "
                      "if no git runs",
                      path, path);
      else if (fd < 0 || write (fd, line, strlen (line)) != (gssize)strlen (line) || fsync (fd) < 0)
        {
          sandbox_fail_errno (error, errno, "writing %s", path);
          sandbox_close_fd (&fd);
        }
    }
  if (fd >= 0)
    return update;
  update_free (update);
  return NULL;
}

GPtrArray *
_sandbox_pull_refs_lock (const SandboxPullRepo *repo, const char *machine, const GPtrArray *refs,
                         GError **error)
{
  g_autoptr (GPtrArray) updates = g_ptr_array_new_with_free_func (update_free);

  for (guint i = 0; i < refs->len; i++)
    {
      const SandboxBundleRef *ref = refs->pdata[i];
      g_autofree char *path = g_strconcat ("refs/vms/", machine, "/", ref->name, NULL);
      Update *update =
          check_free (repo, path, error) ? lock_ref (repo, path, ref->id, error) : NULL;

      if (!update)
        return NULL;
      g_ptr_array_add (updates, update);
    }
  return g_steal_pointer (&updates);
}

gboolean
_sandbox_pull_refs_write (GPtrArray *updates, GError **error)
{
  for (guint i = 0; i < updates->len; i++)
    {
      Update *update = updates->pdata[i];

      if (renameat (update->dir_fd, update->lock, update->dir_fd, update->name) < 0)
        return sandbox_fail_errno (error, errno, "writing the ref %s", update->name);
      update->locked = FALSE;
      fsync (update->dir_fd);
    }
  return TRUE;
}
