// SPDX-License-Identifier: LGPL-2.1-or-later
// What a bundle becomes: taken apart and checked in the quarantine, packed anew with just what its
// branches reach, checked once more as what it will be, and only then the repository's.
#include "share/pull-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PACK_MODE         0600
#define EMPTY_TREE_SHA1   "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
#define EMPTY_TREE_SHA256 "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"

const char *
sandbox_pull_state_to_string (SandboxPullState state)
{
  static const char *const names[] = {
    [SANDBOX_PULL_NEW] = "new",
    [SANDBOX_PULL_UPDATED] = "updated",
    [SANDBOX_PULL_REWRITTEN] = "rewritten",
  };

  return names[state];
}

static void
ref_free (gpointer data)
{
  SandboxPullRef *ref = data;

  g_free (ref->ref);
  g_free (ref->id);
  g_free (ref->old_id);
  g_free (ref);
}

static void
commit_free (gpointer data)
{
  SandboxPullCommit *commit = data;

  g_free (commit->id);
  g_free (commit->author);
  g_free (commit->subject);
  g_free (commit);
}

static void
file_free (gpointer data)
{
  SandboxPullFile *file = data;

  g_free (file->path);
  g_free (file->reason);
  g_free (file);
}

SandboxPull *
_sandbox_pull_new (const char *share, const char *repository)
{
  SandboxPull *pull = g_new0 (SandboxPull, 1);

  pull->share = g_strdup (share);
  pull->repository = g_strdup (repository);
  pull->refs = g_ptr_array_new_with_free_func (ref_free);
  pull->commits = g_ptr_array_new_with_free_func (commit_free);
  pull->files = g_ptr_array_new_with_free_func (file_free);
  return pull;
}

void
sandbox_pull_free (SandboxPull *pull)
{
  g_free (pull->share);
  g_free (pull->repository);
  g_ptr_array_unref (pull->refs);
  g_ptr_array_unref (pull->commits);
  g_ptr_array_unref (pull->files);
  g_free (pull);
}

char *
_sandbox_pull_tips (SandboxQuarantine *quarantine, const SandboxPullRepo *repo, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();
  g_autoptr (GPtrArray) commits = NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GString) text = g_string_new (NULL);
  GHashTableIter iter;
  gpointer id;

  g_hash_table_iter_init (&iter, repo->tips);
  while (ids->len < SANDBOX_PULL_TIPS_MAX && g_hash_table_iter_next (&iter, NULL, &id))
    if (g_hash_table_add (seen, id))
      g_ptr_array_add (ids, id);
  commits = _sandbox_quarantine_commits (quarantine, ids, error);
  if (!commits)
    return NULL;
  for (guint i = 0; i < commits->len; i++)
    if (commits->pdata[i])
      g_string_append_printf (text, "%s\n", (const char *)commits->pdata[i]);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* One pull at work. */
typedef struct
{
  SandboxQuarantine *quarantine;
  const SandboxPullRepo *repo;
  const SandboxBundle *bundle;
  char *range; /* for --stdin: what comes, and "^" before each thing that is there */
  SandboxPull *result;
} Pull;

static char *
git (Pull *pull, const char *const *args, const char *input, gsize *ret_length, GError **error)
{
  return _sandbox_quarantine_git (pull->quarantine, args, input, -1, -1, ret_length, error);
}

static char *
make_range (const SandboxBundleRef *only, const SandboxBundle *bundle, const char *tips)
{
  GString *range = g_string_new (NULL);
  g_auto (GStrv) lines = g_strsplit (tips, "\n", -1);

  for (guint i = 0; !only && i < bundle->refs->len; i++)
    g_string_append_printf (range, "%s\n", ((SandboxBundleRef *)bundle->refs->pdata[i])->id);
  if (only)
    g_string_append_printf (range, "%s\n", only->id);
  for (guint i = 0; lines[i]; i++)
    if (lines[i][0])
      g_string_append_printf (range, "^%s\n", lines[i]);
  return g_string_free (range, FALSE);
}

static gboolean
index_bundle (Pull *pull, int bundle_fd, GError **error)
{
  g_autofree char *size =
      g_strdup_printf ("--max-input-size=%" G_GUINT64_FORMAT, pull->quarantine->max_bytes);
  const char *args[] = { "index-pack", "--stdin", "--fix-thin", "--strict", size, NULL };
  g_autofree char *text = NULL;

  if (lseek (bundle_fd, (off_t)pull->bundle->pack_offset, SEEK_SET) < 0)
    return sandbox_fail_errno (error, errno, "reading the machine's bundle");
  text = _sandbox_quarantine_git (pull->quarantine, args, NULL, bundle_fd, -1, NULL, error);
  return text != NULL;
}

/* A branch is a commit, and nothing that leads to one. */
static gboolean
check_commits (Pull *pull, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();
  g_autoptr (GPtrArray) commits = NULL;

  for (guint i = 0; i < pull->bundle->refs->len; i++)
    g_ptr_array_add (ids, ((SandboxBundleRef *)pull->bundle->refs->pdata[i])->id);
  commits = _sandbox_quarantine_commits (pull->quarantine, ids, error);
  for (guint i = 0; commits && i < ids->len; i++)
    if (g_strcmp0 (commits->pdata[i], ids->pdata[i]) != 0)
      return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                           "the machine's branch \"%s\" is no commit that it sent",
                           ((SandboxBundleRef *)pull->bundle->refs->pdata[i])->name);
  return commits != NULL;
}

/* "out.pack" and "out.idx": what the branches reach and the host lacks, complete and good. What
 * else the guest sent stays behind. */
static gboolean
repack (Pull *pull, char **ret_id, GError **error)
{
  static const char *const walk[] = { "rev-list", "--objects", "--quiet", "--stdin", NULL };
  static const char *const pack[] = { "pack-objects", "--revs",  "--delta-base-offset",
                                      "--stdout",     "--quiet", NULL };
  static const char *const index[] = {
    "index-pack", "--strict", "-o", "out.idx", "out.pack", NULL
  };
  g_autofree char *walked = git (pull, walk, pull->range, NULL, error);
  sandbox_autofd int fd =
      walked ? openat (pull->quarantine->fd, "out.pack",
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, PACK_MODE)
             : -1;
  g_autofree char *packed = NULL;
  g_autofree char *id = NULL;

  if (!walked)
    return FALSE;
  if (fd < 0)
    return sandbox_fail_errno (error, errno, "making a file for what is pulled");
  packed = _sandbox_quarantine_git (pull->quarantine, pack, pull->range, -1, fd, NULL, error);
  id = packed ? git (pull, index, NULL, NULL, error) : NULL;
  if (!id)
    return FALSE;
  g_strchomp (id);
  if (!_sandbox_is_object_id (id, strlen (id)))
    return sandbox_fail (error, SANDBOX_ERROR_FAILED, "git index-pack gave no name");
  *ret_id = g_steal_pointer (&id);
  return TRUE;
}

static gboolean
count (Pull *pull, const char *range, guint64 *ret_count, GError **error)
{
  static const char *const args[] = { "rev-list", "--count", "--stdin", NULL };
  g_autofree char *text = git (pull, args, range, NULL, error);

  if (text)
    *ret_count = g_ascii_strtoull (text, NULL, 10);
  return text != NULL;
}

static gboolean
list_commits (Pull *pull, GError **error)
{
  g_autofree char *max = g_strdup_printf ("--max-count=%d", SANDBOX_PULL_COMMITS_LISTED);
  const char *args[] = { "log",
                         "--stdin",
                         "-z",
                         max,
                         "--no-mailmap",
                         "--no-decorate",
                         "--no-show-signature",
                         "--format=%H%n%at%n%an%n%s",
                         NULL };
  gsize length = 0;
  g_autofree char *text = git (pull, args, pull->range, &length, error);

  for (gsize at = 0; text && at < length; at += strlen (text + at) + 1)
    {
      g_auto (GStrv) lines = g_strsplit (text + at, "\n", 4);
      SandboxPullCommit *commit;

      if (g_strv_length (lines) < 4)
        continue;
      commit = g_new0 (SandboxPullCommit, 1);
      commit->id = g_strdup (lines[0]);
      commit->time_sec = g_ascii_strtoll (lines[1], NULL, 10);
      commit->author = g_utf8_make_valid (lines[2], -1);
      commit->subject = g_utf8_make_valid (lines[3], -1);
      g_ptr_array_add (pull->result->commits, commit);
    }
  return text != NULL;
}

/* What the host's HEAD and @id have in common; the empty tree when that is nothing. */
static char *
find_base (Pull *pull, const char *id, GError **error)
{
  const char *args[] = { "merge-base", pull->repo->head, id, NULL };
  const char *empty = strlen (id) > strlen (EMPTY_TREE_SHA1) ? EMPTY_TREE_SHA256 : EMPTY_TREE_SHA1;
  g_autofree char *text = NULL;

  if (!pull->repo->head)
    return g_strdup (empty);
  text = git (pull, args, NULL, NULL, NULL);
  if (text)
    g_strchomp (text);
  return g_strdup (text && _sandbox_is_object_id (text, strlen (text)) ? text : empty);
}

/* @mode: as git has it, octal. */
static const char *
reason_of (const char *mode, const char *path)
{
  if (strcmp (mode, "120000") == 0)
    return "symbolic link";
  if (strcmp (mode, "160000") == 0)
    return "submodule";
  return _sandbox_path_risk (path);
}

/* ":OLDMODE MODE OLDID ID STATUS" NUL PATH NUL */
static void
take_files (Pull *pull, const char *text, gsize length, GHashTable *seen)
{
  for (gsize at = 0; at < length;)
    {
      const char *line = text + at;
      const char *path = line + strlen (line) + 1;
      g_auto (GStrv) words = g_strsplit (line, " ", 5);
      const char *reason;

      if (path >= text + length || g_strv_length (words) < 5)
        return;
      at += strlen (line) + 1 + strlen (path) + 1;
      if (!g_hash_table_add (seen, g_strdup (path)))
        continue;
      pull->result->n_files++;
      reason = words[4][0] == 'D' ? NULL : reason_of (words[1], path);
      if (reason)
        {
          SandboxPullFile *file = g_new0 (SandboxPullFile, 1);

          file->path = g_strdup (path);
          file->reason = g_strdup (reason);
          g_ptr_array_add (pull->result->files, file);
        }
    }
}

static gboolean
look_at_ref (Pull *pull, const SandboxBundleRef *from, const char *machine, const char *tips,
             GHashTable *seen, GError **error)
{
  SandboxPullRef *ref = g_new0 (SandboxPullRef, 1);
  const char *old;
  g_autofree char *range = make_range (from, NULL, tips);
  g_autofree char *base = find_base (pull, from->id, error);
  const char *diff[] = { "diff-tree", "-r", "--raw", "-z", "--no-renames", base, from->id, NULL };
  g_autofree char *text = NULL;
  gsize length = 0;

  ref->ref = g_strconcat ("refs/vms/", machine, "/", from->name, NULL);
  old = g_hash_table_lookup (pull->repo->tips, ref->ref);
  ref->id = g_strdup (from->id);
  ref->old_id = g_strdup (old ? old : "");
  g_ptr_array_add (pull->result->refs, ref);
  if (old)
    {
      const char *ancestor[] = { "merge-base", "--is-ancestor", old, ref->id, NULL };
      g_autofree char *is = git (pull, ancestor, NULL, NULL, NULL);

      ref->state = is ? SANDBOX_PULL_UPDATED : SANDBOX_PULL_REWRITTEN;
    }
  text = count (pull, range, &ref->commits, error) ? git (pull, diff, NULL, &length, error) : NULL;
  if (text)
    take_files (pull, text, length, seen);
  return text != NULL;
}

static gboolean
look (Pull *pull, const char *machine, const char *tips, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  if (!count (pull, pull->range, &pull->result->n_commits, error) || !list_commits (pull, error))
    return FALSE;
  for (guint i = 0; i < pull->bundle->refs->len; i++)
    if (!look_at_ref (pull, pull->bundle->refs->pdata[i], machine, tips, seen, error))
      return FALSE;
  return TRUE;
}

/* Objects before refs, and before both what can be in the way. */
static gboolean
install (Pull *pull, const char *machine, const char *id, GError **error)
{
  g_autoptr (GPtrArray) updates =
      _sandbox_pull_refs_lock (pull->repo, machine, pull->bundle->refs, error);

  return updates
         && (pull->result->n_commits == 0
             || _sandbox_pull_repo_add_pack (pull->repo, pull->quarantine->fd, id, error))
         && _sandbox_pull_refs_write (updates, error);
}

static SandboxBundle *
read_bundle (int fd, GError **error)
{
  g_autofree char *header = g_malloc (SANDBOX_PULL_HEADER_MAX);
  gsize length = 0;
  gssize n = 1;

  while (n > 0 && length < SANDBOX_PULL_HEADER_MAX)
    {
      n = pread (fd, header + length, SANDBOX_PULL_HEADER_MAX - length, (off_t)length);
      length += n > 0 ? (gsize)n : 0;
    }
  return _sandbox_bundle_parse (header, length, error);
}

gboolean
_sandbox_pull_receive (SandboxPull *result, SandboxQuarantine *quarantine,
                       const SandboxPullRepo *repo, const char *machine, int bundle_fd,
                       gboolean dry_run, GError **error)
{
  g_autoptr (SandboxBundle) bundle = read_bundle (bundle_fd, error);
  g_autofree char *tips = bundle ? _sandbox_pull_tips (quarantine, repo, error) : NULL;
  g_autofree char *range = tips ? make_range (NULL, bundle, tips) : NULL;
  g_autofree char *id = NULL;
  Pull pull = { quarantine, repo, bundle, range, result };

  if (!range)
    return FALSE;
  if (bundle->id_length != quarantine->id_length)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                         "the machine's repository names its objects in another way than the "
                         "host's (%s there)",
                         bundle->id_length > 40 ? "SHA-256" : "SHA-1");
  return index_bundle (&pull, bundle_fd, error) && check_commits (&pull, error)
         && repack (&pull, &id, error) && look (&pull, machine, tips, error)
         && _sandbox_pull_repo_check_objects (repo, error)
         && (dry_run || install (&pull, machine, id, error));
}
