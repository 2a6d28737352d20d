// SPDX-License-Identifier: LGPL-2.1-or-later
// The user's repository. A machine may write to it at this very moment, so every step is taken from
// a descriptor, and no link is followed: what is written lands in this repository or nowhere.
#include "share/pull-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_DIR       (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define SHALLOW_MAX    (4 * 1024 * 1024)
#define OBJECT_DEPTH   3
#define OBJECTS_MAX    (4 * 1000 * 1000)
#define COPY_BLOCK     (64 * 1024)
#define OBJECT_MODE    0444
#define DIRECTORY_MODE 0777 /* less the umask, as git has it */

void
_sandbox_pull_repo_free (SandboxPullRepo *repo)
{
  g_free (repo->path);
  g_free (repo->objects);
  g_free (repo->head);
  g_free (repo->shallow);
  g_clear_pointer (&repo->tips, g_hash_table_unref);
  sandbox_close_fd (&repo->git_fd);
  g_free (repo);
}

static gboolean
exists (int dir_fd, const char *name)
{
  struct stat info;

  return fstatat (dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

/* An absolute path from the root, part by part; a link anywhere on it ends the way. */
static int
open_path (const char *path, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  sandbox_autofd int fd = open ("/", OPEN_DIR);

  for (guint i = 0; fd >= 0 && parts[i]; i++)
    {
      sandbox_autofd int above = fd;

      if (parts[i][0] == '\0')
        {
          fd = above;
          above = -1;
          continue;
        }
      fd = openat (above, parts[i], OPEN_DIR);
    }
  if (fd < 0)
    {
      int saved_errno = errno;
      g_autofree char *shown = sandbox_escape (path, -1, 200);

      if (saved_errno == ENOENT)
        sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                      "looking for a repository in %s: there is no such directory; for one that "
                      "only the machine has, make an empty one there first: git init",
                      shown);
      else
        sandbox_fail_errno (error, saved_errno, "looking for a repository in %s", shown);
      return -1;
    }
  return g_steal_fd (&fd);
}

static int
open_git (int work_fd, const char *path, GError **error)
{
  g_autofree char *shown = sandbox_escape (path, -1, 200);
  sandbox_autofd int fd = openat (work_fd, ".git", OPEN_DIR);
  int saved_errno = errno;

  if (fd >= 0)
    return g_steal_fd (&fd);
  if (saved_errno == ENOENT)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "%s is no git repository (it has no .git); for one that only the machine has, "
                  "make an empty one there first: git init",
                  shown);
  else if (saved_errno == ENOTDIR || saved_errno == ELOOP)
    sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                  "the repository of %s lies elsewhere (.git there is a file or a link, as in "
                  "worktrees and submodules); share the main repository",
                  shown);
  else
    sandbox_fail_errno (error, saved_errno, "opening %s/.git", shown);
  return -1;
}

/* Layouts that are left alone. */
static gboolean
check_layout (int git_fd, const char *path, GError **error)
{
  static const char *const elsewhere[] = { "commondir", "objects/info/alternates" };
  g_autofree char *shown = sandbox_escape (path, -1, 200);

  if (!exists (git_fd, "HEAD") || !exists (git_fd, "objects") || !exists (git_fd, "refs"))
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "%s is no git repository (.git there is not complete)", shown);
  if (exists (git_fd, "reftable"))
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "the repository in %s keeps its refs in a reftable, which vms does not "
                         "write; convert it (git refs migrate --ref-format=files)",
                         shown);
  for (guint i = 0; i < G_N_ELEMENTS (elsewhere); i++)
    if (exists (git_fd, elsewhere[i]))
      return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                           "the repository in %s keeps a part of itself elsewhere (.git/%s), where "
                           "the machine does not see it; make it complete (git repack -a -d, then "
                           "remove that file)",
                           shown, elsewhere[i]);
  return TRUE;
}

/* Which commits a shallow clone ends at: without them its history would look broken. */
static gboolean
read_shallow (SandboxPullRepo *repo, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  gsize length = 0;

  if (!sandbox_file_read_at (repo->git_fd, "shallow", SHALLOW_MAX, &text, &length, &local))
    {
      if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    if (lines[i][0] && !_sandbox_is_object_id (lines[i], strlen (lines[i])))
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "the repository's .git/shallow holds something else than object names");
  repo->shallow = g_steal_pointer (&text);
  return TRUE;
}

static gboolean
read_id_length (SandboxPullRepo *repo, GError **error)
{
  GHashTableIter iter;
  gpointer id;

  g_hash_table_iter_init (&iter, repo->tips);
  while (g_hash_table_iter_next (&iter, NULL, &id))
    {
      guint length = (guint)strlen (id);

      if (repo->id_length == 0)
        repo->id_length = length;
      if (repo->id_length != length)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "the repository has refs with names of objects of two lengths");
    }
  return TRUE;
}

SandboxPullRepo *
_sandbox_pull_repo_open (const char *path, GError **error)
{
  g_autoptr (SandboxPullRepo) repo = g_new0 (SandboxPullRepo, 1);
  sandbox_autofd int work_fd = -1;

  repo->git_fd = -1;
  repo->path = g_strdup (path);
  repo->objects = g_build_filename (path, ".git", "objects", NULL);
  repo->tips = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  work_fd = open_path (path, error);
  if (work_fd < 0)
    return NULL;
  repo->git_fd = open_git (work_fd, path, error);
  if (repo->git_fd < 0 || !check_layout (repo->git_fd, path, error)
      || !_sandbox_pull_refs_read (repo->git_fd, repo->tips, &repo->head, error)
      || !read_id_length (repo, error) || !read_shallow (repo, error)
      || !_sandbox_pull_repo_check_objects (repo, error))
    return NULL;
  return g_steal_pointer (&repo);
}

static gboolean
check_links (int dir_fd, const char *name, guint depth, guint *n_entries, GError **error)
{
  sandbox_autofd int fd = openat (dir_fd, name, OPEN_DIR);
  DIR *dir = fd >= 0 ? fdopendir (fcntl (fd, F_DUPFD_CLOEXEC, 3)) : NULL;
  struct dirent *entry;
  gboolean good = dir != NULL;

  if (!good)
    return sandbox_fail_errno (error, errno, "looking through the repository's objects");
  while (good && (entry = readdir (dir)))
    {
      struct stat info;
      gboolean dots = strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0;
      guint type = entry->d_type;

      if (dots)
        continue;
      if (type == DT_UNKNOWN && fstatat (fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0)
        type = S_ISDIR (info.st_mode) ? DT_DIR : S_ISREG (info.st_mode) ? DT_REG : DT_UNKNOWN;
      if (++*n_entries > OBJECTS_MAX)
        good = sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                             "the repository has more than %d files of objects; pack it (git gc)",
                             OBJECTS_MAX);
      else if (type == DT_DIR)
        good = depth == 0 || check_links (fd, entry->d_name, depth - 1, n_entries, error);
      else if (type != DT_REG)
        {
          g_autofree char *shown = sandbox_escape (entry->d_name, -1, 100);

          good =
              sandbox_fail (error, SANDBOX_ERROR_INVALID,
                            "among the repository's objects \"%s\" is a link, or no file at all; "
                            "git does not make such things. Remove it",
                            shown);
        }
    }
  closedir (dir);
  return good;
}

gboolean
_sandbox_pull_repo_check_objects (const SandboxPullRepo *repo, GError **error)
{
  guint n_entries = 0;

  return check_links (repo->git_fd, "objects", OBJECT_DEPTH, &n_entries, error)
         && check_layout (repo->git_fd, repo->path, error);
}

static gboolean
copy_all (int from_fd, int to_fd)
{
  g_autofree char *block = g_malloc (COPY_BLOCK);

  for (;;)
    {
      gssize n = read (from_fd, block, COPY_BLOCK);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return n == 0 && fsync (to_fd) == 0;
      for (gssize done = 0; done < n;)
        {
          gssize written = write (to_fd, block + done, (gsize)(n - done));

          if (written < 0 && errno != EINTR)
            return FALSE;
          done += MAX (written, 0);
        }
    }
}

/* git removes a temporary file of this name by itself, should it stay. */
static gboolean
add_file (int pack_fd, int from_fd, const char *from, const char *to, GError **error)
{
  g_autofree char *random = g_uuid_string_random ();
  g_autofree char *temporary = g_strconcat ("tmp_vms_", random, NULL);
  sandbox_autofd int in = openat (from_fd, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  sandbox_autofd int out =
      in < 0 ? -1
             : openat (pack_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       OBJECT_MODE);

  if (out >= 0 && copy_all (in, out) && renameat (pack_fd, temporary, pack_fd, to) == 0)
    return TRUE;
  sandbox_fail_errno (error, errno, "writing .git/objects/pack/%s", to);
  if (out >= 0)
    unlinkat (pack_fd, temporary, 0);
  return FALSE;
}

gboolean
_sandbox_pull_repo_add_pack (const SandboxPullRepo *repo, int from_fd, const char *id,
                             GError **error)
{
  g_autofree char *pack = g_strdup_printf ("pack-%s.pack", id);
  g_autofree char *index = g_strdup_printf ("pack-%s.idx", id);
  sandbox_autofd int objects_fd = openat (repo->git_fd, "objects", OPEN_DIR);
  sandbox_autofd int pack_fd = -1;

  if (objects_fd >= 0 && mkdirat (objects_fd, "pack", DIRECTORY_MODE) < 0 && errno != EEXIST)
    return sandbox_fail_errno (error, errno, "making .git/objects/pack");
  pack_fd = openat (objects_fd, "pack", OPEN_DIR);
  if (pack_fd < 0)
    return sandbox_fail_errno (error, errno, "opening .git/objects/pack");
  /* git looks for indexes: a pack without one is not there yet */
  return add_file (pack_fd, from_fd, "out.pack", pack, error)
         && add_file (pack_fd, from_fd, "out.idx", index, error)
         && (fsync (pack_fd) == 0 || sandbox_fail_errno (error, errno, "syncing .git/objects"));
}
