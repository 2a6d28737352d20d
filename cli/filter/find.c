// SPDX-License-Identifier: LGPL-2.1-or-later
// What of the tree the host runs by its own settings, looked for once when the share starts: what
// core.hooksPath and the like of its repositories name, and what a guarded name is a link to.
#include "filter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX       32
#define DIRECTORIES_MAX 50000

typedef struct
{
  int root_fd;
  guint directories, depth;
} Search;

static int
open_file (const Search *search, const char *path)
{
  return openat (search->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static void
read_repository (const Search *search, const char *work_tree, const char *git_dir)
{
  static const char *const files[] = { "config", "config.worktree" };

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_strconcat (git_dir, "/", files[i], NULL);

      _sandbox_settings_read (rules_classes (), open_file (search, path), work_tree, git_dir);
    }
}

/* A submodule's, or a worktree's. */
static void
look_at_git_file (const Search *search, const char *dir, const char *path)
{
  g_autofree char *git_dir =
      _sandbox_settings_git_dir (rules_classes (), open_file (search, path), dir);

  if (git_dir != NULL)
    read_repository (search, dir, git_dir);
}

static void search_directory (Search *search, const char *path);

static void
look_at_link (Search *search, const char *dir, const char *path)
{
  char target[4096];
  ssize_t n;
  gboolean git;

  if (!_sandbox_guard_holds (rules_classes (), path)
      && _sandbox_classes_risk (rules_classes (), path, &git) != SANDBOX_CHANGE_RUNS
      && !_sandbox_classes_is_head (rules_classes (), path))
    return;
  n = readlinkat (search->root_fd, path, target, sizeof target - 1);
  if (n < 0)
    return;
  target[n] = '\0';
  g_free (_sandbox_classes_add_target (rules_classes (), dir, target));
}

static void
look_at (Search *search, const char *dir, const struct dirent *entry)
{
  g_autofree char *path =
      *dir != '\0' ? g_strconcat (dir, "/", entry->d_name, NULL) : g_strdup (entry->d_name);

  if (entry->d_type == DT_LNK)
    look_at_link (search, dir, path);
  else if (entry->d_type == DT_REG && g_str_equal (entry->d_name, ".git"))
    look_at_git_file (search, dir, path);
  else if (entry->d_type != DT_DIR)
    return;
  else if (g_str_equal (entry->d_name, ".git"))
    read_repository (search, dir, path);
  else
    search_directory (search, path);
}

static void
search_directory (Search *search, const char *path)
{
  int fd = openat (search->root_fd, *path != '\0' ? path : ".",
                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
  const struct dirent *entry;

  if (dir == NULL)
    return;
  search->depth++;
  search->directories++;
  while (search->directories <= DIRECTORIES_MAX && search->depth <= DEPTH_MAX
         && (entry = readdir (dir)) != NULL)
    if (!g_str_equal (entry->d_name, ".") && !g_str_equal (entry->d_name, ".."))
      look_at (search, path, entry);
  search->depth--;
  closedir (dir);
}

void
find_guarded (int root_fd)
{
  Search search = { .root_fd = root_fd };

  search_directory (&search, "");
  if (search.directories > DIRECTORIES_MAX)
    g_printerr ("share-filter: not all of the tree was looked at for links and settings of git\n");
}
