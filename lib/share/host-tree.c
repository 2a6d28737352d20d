// SPDX-License-Identifier: LGPL-2.1-or-later
// The host's side of a share: every step by descriptor, beneath the directory, through no link, on
// no other mount. What a machine's change set names can lead nowhere else.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK         (256 * 1024)
#define GIVE_BACK_MAX 100

static int
open_beneath (int root_fd, const char *path, guint64 flags)
{
  struct open_how how = { .flags = flags | O_CLOEXEC | O_NOFOLLOW,
                          .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
                                     | RESOLVE_NO_XDEV };

  return (int)syscall (SYS_openat2, root_fd, path[0] ? path : ".", &how, sizeof how);
}

static gboolean
fail_path (GError **error, int saved_errno, const char *doing, const char *path)
{
  g_autofree char *shown = sandbox_escape (path, -1, 200);

  if (saved_errno == ELOOP)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s %s: a link stands in its way on this host", doing, shown);
  return sandbox_fail_errno (error, saved_errno, "%s %s", doing, shown);
}

void
_sandbox_node_from_stat (const struct stat *st, SandboxNode *ret_node)
{
  *ret_node = (SandboxNode){
    .type = S_ISREG (st->st_mode)   ? SANDBOX_NODE_FILE
            : S_ISDIR (st->st_mode) ? SANDBOX_NODE_DIR
            : S_ISLNK (st->st_mode) ? SANDBOX_NODE_SYMLINK
                                    : SANDBOX_NODE_OTHER,
    .mode = st->st_mode & 07777,
    .size_bytes = (guint64)st->st_size,
    .inode = st->st_ino,
    .mtime_sec = st->st_mtim.tv_sec,
    .mtime_nsec = (guint32)st->st_mtim.tv_nsec,
    .ctime_sec = st->st_ctim.tv_sec,
    .ctime_nsec = (guint32)st->st_ctim.tv_nsec,
  };
}

gboolean
_sandbox_node_untouched (const SandboxNode *a, const SandboxNode *b)
{
  if (a->type != b->type)
    return FALSE;
  if (a->type != SANDBOX_NODE_FILE && a->type != SANDBOX_NODE_SYMLINK)
    return TRUE;
  return a->size_bytes == b->size_bytes && a->inode == b->inode && a->mode == b->mode
         && a->mtime_sec == b->mtime_sec && a->mtime_nsec == b->mtime_nsec
         && a->ctime_sec == b->ctime_sec && a->ctime_nsec == b->ctime_nsec;
}

gboolean
_sandbox_node_renamed (const SandboxNode *now, const SandboxNode *before)
{
  SandboxNode same = *now;

  same.ctime_sec = before->ctime_sec;
  same.ctime_nsec = before->ctime_nsec;
  return _sandbox_node_untouched (&same, before);
}

gboolean
_sandbox_tree_look (int root_fd, const char *path, SandboxNode *ret_node, GError **error)
{
  sandbox_autofd int fd = open_beneath (root_fd, path, O_PATH);
  struct stat st;

  *ret_node = (SandboxNode){ .type = SANDBOX_NODE_ABSENT };
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
    return TRUE;
  if (fd < 0 && errno == EXDEV)
    {
      ret_node->type = SANDBOX_NODE_OTHER;
      return TRUE;
    }
  if (fd < 0 || fstat (fd, &st) < 0)
    return fail_path (error, errno, "looking at", path);
  _sandbox_node_from_stat (&st, ret_node);
  return TRUE;
}

int
_sandbox_tree_open (int root_fd, const char *path, GError **error)
{
  sandbox_autofd int fd = open_beneath (root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat st;

  if (fd < 0 || fstat (fd, &st) < 0)
    {
      fail_path (error, errno, "reading", path);
      return -1;
    }
  if (!S_ISREG (st.st_mode))
    {
      fail_path (error, EINVAL, "reading", path);
      return -1;
    }
  return g_steal_fd (&fd);
}

int
_sandbox_tree_open_dir (int root_fd, const char *path, GError **error)
{
  int fd = open_beneath (root_fd, path, O_RDONLY | O_DIRECTORY);

  if (fd < 0)
    fail_path (error, errno, "opening directory", path);
  return fd;
}

int
_sandbox_tree_open_parent (int root_fd, const char *path, const char **ret_name, GError **error)
{
  const char *slash = strrchr (path, '/');
  g_autofree char *parent = g_strndup (path, slash ? (gsize)(slash - path) : 0);

  *ret_name = slash ? slash + 1 : path;
  return _sandbox_tree_open_dir (root_fd, parent, error);
}

char *
_sandbox_tree_read_link (int root_fd, const char *path, GError **error)
{
  sandbox_autofd int fd = open_beneath (root_fd, path, O_PATH);
  char target[4096];
  gssize length = fd < 0 ? -1 : readlinkat (fd, "", target, sizeof target - 1);

  if (length >= 0)
    return g_strndup (target, (gsize)length);
  fail_path (error, errno, "reading the link", path);
  return NULL;
}

int
_sandbox_path_compare (const char *a, const char *b)
{
  while (*a && *a == *b)
    a++, b++;
  if (*a == *b)
    return 0;
  if (!*a || !*b)
    return *a ? 1 : -1;
  if (*a == '/' || *b == '/')
    return *a == '/' ? -1 : 1;
  return (guchar)*a < (guchar)*b ? -1 : 1;
}

typedef struct
{
  SandboxTreeFunc func;
  gpointer user_data;
  GCancellable *cancellable;
  dev_t device;
} Walk;

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *
list_sorted (int dir_fd, const char *path, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  int fd = openat (dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir (fd);
  const struct dirent *entry;

  if (!dir)
    {
      fail_path (error, errno, "listing directory", path);
      sandbox_close_fd (&fd);
      return NULL;
    }
  while ((entry = readdir (dir)))
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      g_ptr_array_add (names, g_strdup (entry->d_name));
  closedir (dir);
  g_ptr_array_sort (names, compare_names);
  return g_steal_pointer (&names);
}

static gboolean walk_dir (Walk *walk, int dir_fd, GString *path, guint depth, GError **error);

/* The name is the end of @path. */
static gboolean
walk_one (Walk *walk, int dir_fd, const char *name, GString *path, guint depth, GError **error)
{
  SandboxNode node;
  struct stat st;
  gboolean enter = TRUE;
  sandbox_autofd int fd = -1;

  if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT || fail_path (error, errno, "looking at", path->str);
  _sandbox_node_from_stat (&st, &node);
  if (node.type == SANDBOX_NODE_DIR)
    {
      if (st.st_dev == walk->device && depth < SANDBOX_TREE_DEPTH_MAX)
        fd = openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      /* one that may be read and not searched says names, and nothing of what they name */
      if (fd >= 0 && faccessat (fd, ".", X_OK, AT_EACCESS) < 0)
        sandbox_close_fd (&fd);
      node.below_unknown = fd < 0;
    }
  if (!walk->func (path->str, &node, &enter, walk->user_data, error))
    return FALSE;
  return fd < 0 || !enter || walk_dir (walk, fd, path, depth + 1, error);
}

static gboolean
walk_dir (Walk *walk, int dir_fd, GString *path, guint depth, GError **error)
{
  g_autoptr (GPtrArray) names = list_sorted (dir_fd, path->str, error);
  gsize length = path->len;

  if (!names || g_cancellable_set_error_if_cancelled (walk->cancellable, error))
    return FALSE;
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);

      g_string_append_printf (path, "%s%s", length ? "/" : "", name);
      if (!walk_one (walk, dir_fd, name, path, depth, error))
        return FALSE;
      g_string_truncate (path, length);
    }
  return TRUE;
}

gboolean
_sandbox_tree_walk (int root_fd, const char *path, SandboxTreeFunc func, gpointer user_data,
                    GCancellable *cancellable, GError **error)
{
  Walk walk = { func, user_data, cancellable, 0 };
  g_autoptr (GString) buffer = g_string_new (path);
  sandbox_autofd int fd = _sandbox_tree_open_dir (root_fd, path, error);
  struct stat st;

  if (fd < 0)
    return FALSE;
  if (fstat (fd, &st) < 0)
    return fail_path (error, errno, "looking at", path);
  walk.device = st.st_dev;
  return walk_dir (&walk, fd, buffer, 0, error);
}

gboolean
_sandbox_tree_hash (int fd, guint64 offset, guint64 length, guint8 ret_hash[SANDBOX_HASH_BYTES],
                    GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guchar *block = g_malloc (BLOCK);
  gsize size = SANDBOX_HASH_BYTES;

  while (length > 0)
    {
      gssize n = pread (fd, block, (gsize)MIN (length, BLOCK), (off_t)offset);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return sandbox_fail_errno (error, n < 0 ? errno : EIO, "reading a file");
      g_checksum_update (sum, block, n);
      offset += (guint64)n;
      length -= (guint64)n;
    }
  g_checksum_get_digest (sum, ret_hash, &size);
  return TRUE;
}

/* Whether what lies under @temp is what is known as @old. */
static gboolean
is_same (int dir_fd, const char *temp, const SandboxNode *old)
{
  SandboxNode now;
  struct stat st;

  if (fstatat (dir_fd, temp, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return FALSE;
  _sandbox_node_from_stat (&st, &now);
  return _sandbox_node_renamed (&now, old);
}

/* A file system that does not know the flags of renameat2() says EINVAL. Nothing else is as good:
 * what its user saves just then would be lost. */
static gboolean
fail_rename (GError **error, int saved_errno, const char *doing)
{
  if (saved_errno == EINVAL)
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "writing into the shared directory: its file system cannot exchange two "
                         "names (RENAME_EXCHANGE), so that what you save meanwhile could be lost; "
                         "share a directory on ext4, xfs, btrfs or the like, or write the patch "
                         "of `vms diff` into a file and use `git apply`");
  return sandbox_fail_errno (error, saved_errno, "%s", doing);
}

static gboolean
fail_changed (GError **error)
{
  return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                       "it changed on this host just now; look at the difference again");
}

void
_sandbox_tree_remove_temp (int dir_fd, const char *temp)
{
  if (unlinkat (dir_fd, temp, 0) < 0 && errno == EISDIR)
    unlinkat (dir_fd, temp, AT_REMOVEDIR);
}

/* What came under @temp by mistake gets its name again, and what was made, @mine, goes. */
static gboolean
give_back (int dir_fd, const char *temp, const char *name, guint64 mine)
{
  struct stat st;

  for (guint i = 0; i < GIVE_BACK_MAX; i++)
    {
      if (renameat2 (dir_fd, temp, dir_fd, name, RENAME_EXCHANGE) == 0)
        {
          /* saved once more meanwhile, over what was made: the newer one counts */
          if (fstatat (dir_fd, temp, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino != mine)
            renameat2 (dir_fd, temp, dir_fd, name, RENAME_EXCHANGE);
          _sandbox_tree_remove_temp (dir_fd, temp);
          return TRUE;
        }
      if (errno == ENOENT && renameat2 (dir_fd, temp, dir_fd, name, RENAME_NOREPLACE) == 0)
        return TRUE;
    }
  return FALSE;
}

void
_sandbox_tree_give_back (int dir_fd, const char *temp, const char *name)
{
  struct stat mine;

  if (fstatat (dir_fd, name, &mine, AT_SYMLINK_NOFOLLOW) == 0)
    give_back (dir_fd, temp, name, mine.st_ino);
  else
    renameat2 (dir_fd, temp, dir_fd, name, RENAME_NOREPLACE);
}

static gboolean
fail_stays (GError **error, const char *temp)
{
  return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                       "it changes on this host all the time; a version of it is left as %s", temp);
}

static gboolean
exchange (int dir_fd, const char *temp, const char *name, const SandboxNode *old, GError **error)
{
  struct stat mine;
  int saved_errno;
  gboolean same;

  if (fstatat (dir_fd, temp, &mine, AT_SYMLINK_NOFOLLOW) < 0
      || renameat2 (dir_fd, temp, dir_fd, name, RENAME_EXCHANGE) < 0)
    {
      fail_rename (error, errno, "putting it in place");
      _sandbox_tree_remove_temp (dir_fd, temp);
      return FALSE;
    }
  _sandbox_apply_step ();
  same = is_same (dir_fd, temp, old);
  if (same && unlinkat (dir_fd, temp, old->type == SANDBOX_NODE_DIR ? AT_REMOVEDIR : 0) == 0)
    return TRUE;
  saved_errno = errno;
  if (!give_back (dir_fd, temp, name, mine.st_ino))
    return fail_stays (error, temp);
  return same ? sandbox_fail_errno (error, saved_errno, "removing what it replaces")
              : fail_changed (error);
}

gboolean
_sandbox_tree_put (int dir_fd, const char *temp, const char *name, const SandboxNode *old,
                   GError **error)
{
  if (old->type != SANDBOX_NODE_ABSENT)
    return exchange (dir_fd, temp, name, old, error);
  if (renameat2 (dir_fd, temp, dir_fd, name, RENAME_NOREPLACE) == 0)
    return TRUE;
  fail_rename (error, errno, "putting it in place");
  _sandbox_tree_remove_temp (dir_fd, temp);
  return FALSE;
}

gboolean
_sandbox_tree_remove (int dir_fd, const char *temp, const char *name, const SandboxNode *old,
                      GError **error)
{
  if (old->type == SANDBOX_NODE_DIR)
    return unlinkat (dir_fd, name, AT_REMOVEDIR) == 0
           || sandbox_fail_errno (error, errno, "removing it");
  if (renameat2 (dir_fd, name, dir_fd, temp, RENAME_NOREPLACE) < 0)
    return fail_rename (error, errno, "removing it");
  _sandbox_apply_step ();
  if (is_same (dir_fd, temp, old))
    return unlinkat (dir_fd, temp, 0) == 0 || sandbox_fail_errno (error, errno, "removing it");
  /* not over what has that name by now: that is newer still */
  if (renameat2 (dir_fd, temp, dir_fd, name, RENAME_NOREPLACE) < 0)
    return fail_stays (error, temp);
  return fail_changed (error);
}
