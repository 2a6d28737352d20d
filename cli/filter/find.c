// SPDX-License-Identifier: LGPL-2.1-or-later
// What of the tree the host runs by its own settings, looked for once when the share starts: what
// core.hooksPath and the like of its repositories name, and what a guarded name is a link to.
#include "filter.h"

#include "share/share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX        32
#define DIRECTORIES_MAX  50000
#define CONFIG_BYTES_MAX (256 * 1024)

/* Keys whose value is a file, or a directory of files, that git runs or takes settings from. */
static const char *const path_keys[] = { "hookspath",      "fsmonitor",     "path",
                                         "attributesfile", "blamerevsfile", NULL };

typedef struct
{
  int root_fd;
  guint directories, depth;
} Search;

/* @target as seen from the directory @dir of the tree, by its text; NULL when it is not in it.
 * (transfer full) */
static char *
resolve (const char *dir, const char *target)
{
  g_auto (GStrv) parts = NULL;
  g_autoptr (GPtrArray) kept = g_ptr_array_new ();
  g_autofree char *whole = NULL;

  if (target[0] == '/' || target[0] == '~')
    return NULL;
  whole = g_strconcat (dir, "/", target, NULL);
  parts = g_strsplit (whole, "/", -1);
  for (gsize i = 0; parts[i] != NULL; i++)
    {
      if (parts[i][0] == '\0' || g_str_equal (parts[i], "."))
        continue;
      if (!g_str_equal (parts[i], ".."))
        g_ptr_array_add (kept, parts[i]);
      else if (kept->len == 0)
        return NULL;
      else
        g_ptr_array_remove_index (kept, kept->len - 1);
    }
  if (kept->len == 0)
    return NULL;
  g_ptr_array_add (kept, NULL);
  return g_strjoinv ("/", (char **)kept->pdata);
}

static void
guard (const char *dir, const char *target)
{
  g_autofree char *path = resolve (dir, target);

  if (path != NULL)
    rules_add (path);
}

/* "key = value", "value" perhaps quoted. More is guarded than git would look at: keys of other
 * sections, too. */
static void
read_setting (const char *line, const char *work_tree, const char *git_dir)
{
  const char *equals = strchr (line, '=');
  g_autofree char *key = equals != NULL ? g_strndup (line, (gsize)(equals - line)) : NULL;
  g_autofree char *value = equals != NULL ? g_strdup (equals + 1) : NULL;
  g_autofree char *lower = NULL;
  gsize length;

  if (key == NULL)
    return;
  g_strstrip (key);
  g_strstrip (value);
  lower = g_ascii_strdown (key, -1);
  length = strlen (value);
  if (length >= 2 && value[0] == '"' && value[length - 1] == '"')
    {
      value[length - 1] = '\0';
      memmove (value, value + 1, length - 1);
    }
  if (!g_strv_contains (path_keys, lower) || *value == '\0')
    return;
  /* from where, depends on the key */
  guard (work_tree, value);
  guard (git_dir, value);
}

static void
read_config (Search *search, const char *work_tree, const char *git_dir)
{
  g_autofree char *path = g_strconcat (git_dir, "/config", NULL);
  int fd = openat (search->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  g_autofree char *text = g_malloc0 (CONFIG_BYTES_MAX + 1);
  g_auto (GStrv) lines = NULL;
  struct stat info;

  if (fd < 0)
    return;
  if (fstat (fd, &info) == 0 && S_ISREG (info.st_mode) && read (fd, text, CONFIG_BYTES_MAX) > 0)
    {
      lines = g_strsplit (text, "\n", -1);
      for (gsize i = 0; lines[i] != NULL; i++)
        read_setting (lines[i], work_tree, git_dir);
    }
  close (fd);
}

static void search_directory (Search *search, const char *path);

static void
look_at_link (Search *search, const char *dir, const char *path)
{
  char target[4096];
  ssize_t n;
  gboolean git;

  if (!_sandbox_guard_holds (path) && _sandbox_class_of (path, &git) != SANDBOX_CHANGE_RUNS
      && !_sandbox_class_is_head (path))
    return;
  n = readlinkat (search->root_fd, path, target, sizeof target - 1);
  if (n < 0)
    return;
  target[n] = '\0';
  guard (dir, target);
}

static void
look_at (Search *search, const char *dir, const struct dirent *entry)
{
  g_autofree char *path =
      *dir != '\0' ? g_strconcat (dir, "/", entry->d_name, NULL) : g_strdup (entry->d_name);

  if (entry->d_type == DT_LNK)
    look_at_link (search, dir, path);
  else if (entry->d_type != DT_DIR)
    return;
  else if (g_str_equal (entry->d_name, ".git"))
    read_config (search, dir, path);
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
