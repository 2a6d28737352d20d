// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether the machine may change something, by where it is just now: the kernel is asked for the
// path of the descriptor that the change will be made through, so that no renaming, of the
// machine's or of the host's, comes between. Operations are done one after the other, so that none
// of the machine's own does either.
#include "filter.h"

#include "share/share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Of a directory that is moved as a whole. */
#define MOVE_ENTRIES_MAX 20000
#define MOVE_DEPTH_MAX   64
#define PATH_BYTES_MAX   4096
#define RULES_BYTES_MAX  (1024 * 1024)

static int root;
static char *prefix; /* of what the kernel says of descriptors */
static SandboxClasses *classes;

void
rules_init (int root_fd)
{
  char buffer[32], path[PATH_BYTES_MAX];
  ssize_t n = readlink (fd_path (root_fd, buffer), path, sizeof path - 1);

  if (n < 1 || path[0] != '/')
    g_error ("the place of the shared directory cannot be told");
  path[n] = '\0';
  root = root_fd;
  prefix = g_str_equal (path, "/") ? g_strdup ("") : g_strdup (path);
  classes = _sandbox_classes_parse ("");
}

SandboxClasses *
rules_classes (void)
{
  return classes;
}

void
rules_load (int fd)
{
  g_autofree char *text = g_malloc0 (RULES_BYTES_MAX + 1);
  SandboxClasses *loaded;
  gsize length = 0;
  ssize_t n;

  while (length < RULES_BYTES_MAX && (n = read (fd, text + length, RULES_BYTES_MAX - length)) > 0)
    length += (gsize)n;
  loaded = _sandbox_classes_parse (text);
  /* less than what was asked for would be kept quiet about */
  if (loaded == NULL)
    g_error ("the rules of this share cannot be read");
  _sandbox_classes_free (classes);
  classes = loaded;
}

/* Whether @path is what @fd is of: the kernel says "/" of what has left the directory, too, and of
 * a name that is gone one that anybody may have, " (deleted)" behind it. */
static bool
leads_to (const char *path, int fd)
{
  struct stat there, info;

  return fstatat (root, *path != '\0' ? path : ".", &there, AT_SYMLINK_NOFOLLOW) == 0
         && fstatat (fd, "", &info, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0
         && there.st_dev == info.st_dev && there.st_ino == info.st_ino;
}

char *
rules_path (int fd)
{
  char buffer[32], path[PATH_BYTES_MAX];
  ssize_t n = readlink (fd_path (fd, buffer), path, sizeof path - 1);
  gsize length = strlen (prefix);
  const char *inside;

  if (n < 0 || n >= (ssize_t)sizeof path - 1)
    return NULL;
  path[n] = '\0';
  if (strncmp (path, prefix, length) != 0 || (path[length] != '/' && path[length] != '\0'))
    return NULL;
  inside = path + length + (path[length] == '/' ? 1 : 0);
  return leads_to (inside, fd) ? g_strdup (inside) : NULL;
}

static char *
join (const char *dir, const char *name)
{
  return *dir != '\0' ? g_strconcat (dir, "/", name, NULL) : g_strdup (name);
}

/* Whether @path lies in a .git. */
static bool
is_in_git (const char *path)
{
  return strncmp (path, ".git/", 5) == 0 || strstr (path, "/.git/") != NULL;
}

/* In a directory that has a HEAD, which outside of a .git only the host can have made: to git it is
 * a repository, whatever its name is. The outermost one counts: in it there may be more of that
 * name. */
static bool
is_in_repository (const char *path)
{
  const char *rest = path;

  while (rest != NULL)
    {
      g_autofree char *dir = g_strndup (path, (gsize)(rest - path));
      g_autofree char *head = g_strconcat (dir, "HEAD", NULL);

      if (is_in_git (head))
        return false;
      if (faccessat (root, head, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return _sandbox_guard_holds_git (rest);
      rest = strchr (rest, '/');
      rest = rest != NULL ? rest + 1 : NULL;
    }
  return false;
}

static bool
is_guarded (const char *path)
{
  return _sandbox_guard_holds (classes, path) || is_in_repository (path);
}

int
rules_check_name (int dir_fd, const char *name)
{
  g_autofree char *dir = rules_path (dir_fd);
  g_autofree char *path = dir != NULL ? join (dir, name) : NULL;

  if (path == NULL)
    return ESTALE;
  return is_guarded (path) ? EROFS : 0;
}

/* @fds: of the names by which one thing is known, -1 for none. One that still leads to it says
 * where it is; none: it is not in the shared directory, or nobody knows where. */
static int
check_names (const int *fds, gsize n_fds, bool content)
{
  struct stat info;
  int code = ESTALE;

  if (fstatat (fds[0], "", &info, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
    return errno;
  /* what has no name any more is nobody's */
  if (info.st_nlink == 0)
    return 0;
  if (content && S_ISREG (info.st_mode) && info.st_nlink > 1)
    return EROFS;
  for (gsize i = 0; i < n_fds; i++)
    {
      g_autofree char *path = fds[i] >= 0 ? rules_path (fds[i]) : NULL;

      if (path == NULL)
        continue;
      /* the shared directory itself: its mode and times are the user's to choose, and no name of it
       */
      if (*path != '\0' && is_guarded (path))
        return EROFS;
      code = 0;
    }
  return code;
}

int
rules_check_node (const Node *node)
{
  return check_names (node->fds, NODE_NAMES, false);
}

int
rules_check_content (const Node *node)
{
  return check_names (node->fds, NODE_NAMES, true);
}

int
rules_check_new (int fd)
{
  return check_names (&fd, 1, true);
}

static int
check_link_at (const char *path, const char *target)
{
  /* in place of a directory on the way to something guarded; and git writes through links */
  if (_sandbox_classes_is_head (classes, path) || _sandbox_class_refuse_link (path, target) != NULL)
    return EROFS;
  return is_in_git (path) ? EROFS : 0;
}

int
rules_check_link (int dir_fd, const char *name, const char *target)
{
  g_autofree char *dir = rules_path (dir_fd);
  g_autofree char *path = dir != NULL ? join (dir, name) : NULL;
  int code = path != NULL ? rules_check_name (dir_fd, name) : ESTALE;

  return code != 0 ? code : check_link_at (path, target);
}

/* --- what is moved */

typedef struct
{
  guint entries, depth;
} Budget;

static int
check_tree (int dir_fd, const char *name, const char *from, const char *to, Budget *budget);

static int
check_entry (int dir_fd, const char *name, const char *from, const char *to, Budget *budget)
{
  char target[PATH_BYTES_MAX];
  struct stat info;
  ssize_t n;

  if (++budget->entries > MOVE_ENTRIES_MAX || budget->depth > MOVE_DEPTH_MAX)
    return EXDEV;
  if (is_guarded (from) || is_guarded (to))
    return EROFS;
  if (fstatat (dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
    return errno;
  if (S_ISDIR (info.st_mode))
    return check_tree (dir_fd, name, from, to, budget);
  if (!S_ISLNK (info.st_mode))
    return 0;
  n = readlinkat (dir_fd, name, target, sizeof target - 1);
  if (n < 0)
    return errno;
  target[n] = '\0';
  return check_link_at (to, target);
}

static int
check_tree (int dir_fd, const char *name, const char *from, const char *to, Budget *budget)
{
  int fd = openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), code = 0;
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
  const struct dirent *entry;

  if (dir == NULL)
    return errno;
  budget->depth++;
  while (code == 0 && (entry = readdir (dir)) != NULL)
    {
      g_autofree char *old_path = join (from, entry->d_name);
      g_autofree char *new_path = join (to, entry->d_name);

      if (!g_str_equal (entry->d_name, ".") && !g_str_equal (entry->d_name, ".."))
        code = check_entry (fd, entry->d_name, old_path, new_path, budget);
    }
  budget->depth--;
  closedir (dir);
  return code;
}

int
rules_check_move (int dir_fd, const char *name, int new_dir_fd, const char *new_name)
{
  g_autofree char *from_dir = rules_path (dir_fd), *to_dir = rules_path (new_dir_fd);
  g_autofree char *from = from_dir != NULL ? join (from_dir, name) : NULL;
  g_autofree char *to = to_dir != NULL ? join (to_dir, new_name) : NULL;
  Budget budget = { 0 };

  if (from == NULL || to == NULL)
    return ESTALE;
  return check_entry (dir_fd, name, from, to, &budget);
}
