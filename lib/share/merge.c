// SPDX-License-Identifier: LGPL-2.1-or-later
// A text file that both sides changed, and the three-way merge of it. The middle is what the
// machine began with: when the record of it was taken, the index of the host's repository was kept,
// too, and that names the object for each file that git had seen as it was then. The machine is not
// asked.
#include "share/pull-private.h"
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 200
#define NEW_BASE  "new" /* one that is being made */
#define INDEX_MAX (G_GUINT64_CONSTANT (256) * 1024 * 1024)
#define BLOCK     (256 * 1024)
#define KNOWN     0777

typedef struct
{
  SandboxChanges *changes;
  SandboxPullRepo *repo;
  SandboxQuarantine *quarantine;
} Merge;

/* @length bytes of @in at @offset, to the end of @out. */
static gboolean
copy_bytes (int in, guint64 offset, guint64 length, int out)
{
  g_autofree char *block = g_malloc (BLOCK);

  while (length > 0)
    {
      gssize n = pread (in, block, (gsize)MIN (length, BLOCK), (off_t)offset);

      if (n <= 0 || write (out, block, (gsize)n) != n)
        return FALSE;
      offset += (guint64)n;
      length -= (guint64)n;
    }
  return TRUE;
}

/* --- the kept index */

/* Its time goes with it: git trusts an entry only when the index is younger than the file. */
gboolean
_sandbox_merge_copy_index (int from_fd, const char *from, int to_fd, const char *to)
{
  sandbox_autofd int in = openat (from_fd, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  sandbox_autofd int out = -1;
  struct timespec times[2];
  struct stat st;

  unlinkat (to_fd, to, 0);
  if (in < 0 || fstat (in, &st) < 0 || !S_ISREG (st.st_mode) || (guint64)st.st_size > INDEX_MAX)
    return FALSE;
  out = openat (to_fd, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  times[0] = times[1] = st.st_mtim;
  if (out >= 0 && copy_bytes (in, 0, (guint64)st.st_size, out) && futimens (out, times) == 0)
    return TRUE;
  unlinkat (to_fd, to, 0);
  return FALSE;
}

void
_sandbox_merge_keep_index (int root_fd, int dir_fd, const char *tag)
{
  g_autofree char *kept = g_strconcat (tag, ".index", NULL);
  sandbox_autofd int git_fd =
      openat (root_fd, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

  _sandbox_merge_copy_index (git_fd, "index", dir_fd, kept);
}

/* --- kept copies */

static int
open_bases (int dir_fd, const char *tag, gboolean create)
{
  g_autofree char *name = g_strconcat (tag, ".base", NULL);

  if (create && mkdirat (dir_fd, name, 0700) < 0 && errno != EEXIST)
    return -1;
  return openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void
_sandbox_merge_keep_base (int dir_fd, const char *tag, int fd, guint64 offset, guint64 length,
                          const guint8 hash[SANDBOX_HASH_BYTES])
{
  sandbox_autofd int bases_fd =
      length <= SANDBOX_MERGE_BYTES_MAX ? open_bases (dir_fd, tag, TRUE) : -1;
  g_autofree char *name = _sandbox_hash_to_hex (hash);
  sandbox_autofd int out = -1;

  if (bases_fd < 0 || faccessat (bases_fd, name, F_OK, 0) == 0)
    return;
  out = openat (bases_fd, NEW_BASE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (out >= 0 && copy_bytes (fd, offset, length, out))
    renameat (bases_fd, NEW_BASE, bases_fd, name);
}

/* The copies have the names of their hashes and are never written to, so that other names for them
 * will do; not for one that is just being made. */
void
_sandbox_merge_copy (int from_fd, int to_fd, const char *tag)
{
  g_autofree char *index = g_strconcat (tag, ".index", NULL);
  sandbox_autofd int from_bases_fd = open_bases (from_fd, tag, FALSE);
  sandbox_autofd int to_bases_fd = from_bases_fd < 0 ? -1 : open_bases (to_fd, tag, TRUE);
  g_auto (GStrv) names = to_bases_fd < 0 ? NULL : sandbox_dir_list (from_bases_fd, NULL);

  _sandbox_merge_copy_index (from_fd, index, to_fd, index);
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    if (strcmp (names[i], NEW_BASE) != 0
        && linkat (from_bases_fd, names[i], to_bases_fd, names[i], 0) < 0)
      g_debug ("%s.base/%s: %s", tag, names[i], g_strerror (errno));
}

void
_sandbox_merge_forget_bases (int dir_fd, const char *tag, GHashTable *applied)
{
  g_autoptr (GHashTable) used = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  sandbox_autofd int bases_fd = open_bases (dir_fd, tag, FALSE);
  g_auto (GStrv) names = bases_fd >= 0 ? sandbox_dir_list (bases_fd, NULL) : NULL;
  GHashTableIter iter;
  gpointer node;

  g_hash_table_iter_init (&iter, applied);
  while (names != NULL && g_hash_table_iter_next (&iter, NULL, &node))
    if (((const SandboxNode *)node)->has_hash)
      g_hash_table_add (used, _sandbox_hash_to_hex (((const SandboxNode *)node)->hash));
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    if (!g_hash_table_contains (used, names[i]))
      unlinkat (bases_fd, names[i], 0);
}

/* --- which object a file was */

typedef struct
{
  char id[65];
  guint mode, stage;
  guint ctime_sec, ctime_nsec, mtime_sec, mtime_nsec, inode, size;
} IndexEntry;

/* One record of `git ls-files -s --debug -z`, *@text moves on. Its path, or NULL at the end and for
 * what is none. */
static const char *
next_entry (char **text, IndexEntry *ret_entry)
{
  int head = 0, tail = 0;
  const char *path;

  if (sscanf (*text, "%o %64[0-9a-f] %u%n", &ret_entry->mode, ret_entry->id, &ret_entry->stage,
              &head)
          != 3
      || (*text)[head] != '\t')
    return NULL;
  path = *text + head + 1;
  *text += (gsize)head + 1 + strlen (path) + 1;
  if (sscanf (*text,
              " ctime: %u:%u mtime: %u:%u dev: %*u ino: %u uid: %*u gid: %*u size: %u flags: %*x%n",
              &ret_entry->ctime_sec, &ret_entry->ctime_nsec, &ret_entry->mtime_sec,
              &ret_entry->mtime_nsec, &ret_entry->inode, &ret_entry->size, &tail)
          != 6
      || (*text)[tail] != '\n')
    return NULL;
  *text += tail + 1;
  return path;
}

/* Written after git had read the file, and the file is the one of the record: git's own test. */
static gboolean
describes (const IndexEntry *entry, const struct stat *index, const SandboxNode *record)
{
  gboolean older = (gint64)entry->mtime_sec < index->st_mtim.tv_sec
                   || ((gint64)entry->mtime_sec == index->st_mtim.tv_sec
                       && (gint64)entry->mtime_nsec < index->st_mtim.tv_nsec);

  return older && entry->stage == 0 && S_ISREG (entry->mode)
         && entry->size == (guint)record->size_bytes && entry->inode == (guint)record->inode
         && entry->mtime_sec == (guint)record->mtime_sec && entry->mtime_nsec == record->mtime_nsec
         && entry->ctime_sec == (guint)record->ctime_sec && entry->ctime_nsec == record->ctime_nsec;
}

/* Path -> object name, of those of @rows whose entry in the kept index is of the file that was
 * recorded; NULL when git does not say. */
static GHashTable *
find_objects (Merge *merge, const GPtrArray *rows)
{
  g_autoptr (GHashTable) objects = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  g_autofree char *text = NULL;
  static const char *const fixed[] = {
    "--literal-pathspecs", "ls-files", "-s", "--debug", "-z", "--"
  };
  char *at;
  const char *path;
  IndexEntry entry;
  struct stat index;

  for (guint i = 0; i < G_N_ELEMENTS (fixed); i++)
    g_ptr_array_add (args, (char *)fixed[i]);
  for (guint i = 0; i < rows->len; i++)
    g_ptr_array_add (args, ((const SandboxChangeRow *)rows->pdata[i])->pub.path);
  g_ptr_array_add (args, NULL);
  if (fstatat (merge->quarantine->fd, "index", &index, AT_SYMLINK_NOFOLLOW) < 0)
    return NULL;
  text = _sandbox_quarantine_git (merge->quarantine, (const char *const *)args->pdata, NULL, -1, -1,
                                  NULL, NULL);
  for (at = text; at != NULL && (path = next_entry (&at, &entry)) != NULL;)
    {
      SandboxNode record;

      _sandbox_base_find (merge->changes->base, path, &record);
      if (describes (&entry, &index, &record))
        g_hash_table_replace (objects, g_strdup (path), g_strdup (entry.id));
    }
  return g_steal_pointer (&objects);
}

/* --- the merge */

/* A file of the quarantine's, empty; -1 for none. */
static int
new_file (const Merge *merge, const char *name)
{
  return openat (merge->quarantine->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                 0600);
}

/* @id (nullable): the object that the kept index names. */
static gboolean
write_base (Merge *merge, const char *id, const SandboxNode *record)
{
  const char *args[] = { "cat-file", "blob", id, NULL };
  sandbox_autofd int out = new_file (merge, "base");
  g_autofree char *done = NULL;
  struct stat st;

  if (record->has_hash)
    {
      sandbox_autofd int bases_fd = open_bases (merge->changes->dir_fd, merge->changes->tag, FALSE);
      g_autofree char *name = _sandbox_hash_to_hex (record->hash);
      sandbox_autofd int in = openat (bases_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
      guint8 hash[SANDBOX_HASH_BYTES];

      return in >= 0 && out >= 0 && fstat (in, &st) == 0
             && _sandbox_tree_hash (in, 0, (guint64)st.st_size, hash, NULL)
             && memcmp (hash, record->hash, sizeof hash) == 0
             && copy_bytes (in, 0, (guint64)st.st_size, out);
    }
  if (id == NULL || out < 0)
    return FALSE;
  done = _sandbox_quarantine_git (merge->quarantine, args, NULL, -1, out, NULL, NULL);
  /* not what git turned the file into (line ends, filters) */
  return done != NULL && fstat (out, &st) == 0 && (guint64)st.st_size == record->size_bytes;
}

/* As it was when it was compared, from beginning to end. */
static gboolean
write_host (Merge *merge, const SandboxChangeRow *row)
{
  sandbox_autofd int in = _sandbox_tree_open (merge->changes->root_fd, row->pub.path, NULL);
  sandbox_autofd int out = new_file (merge, "host");
  SandboxNode now;
  struct stat st;

  if (in < 0 || out < 0 || !copy_bytes (in, 0, row->host.size_bytes, out) || fstat (in, &st) < 0)
    return FALSE;
  _sandbox_node_from_stat (&st, &now);
  return _sandbox_node_untouched (&now, &row->host);
}

static gboolean
write_guest (Merge *merge, const SandboxChangeRow *row)
{
  sandbox_autofd int out = new_file (merge, "guest");

  return out >= 0
         && copy_bytes (merge->changes->upper->spool_fd, row->offset, row->size_bytes, out);
}

/* The permissions of who changed them; FALSE when both did. */
static gboolean
merge_modes (SandboxChangeRow *row, const SandboxNode *record)
{
  guint host = row->host.mode & KNOWN, guest = row->pub.new_mode & KNOWN;
  guint before = record->mode & KNOWN;

  if (guest != before && host != before && guest != host)
    return FALSE;
  row->pub.new_mode = S_IFREG | (guest == before ? host : guest);
  return TRUE;
}

/* @text becomes what the row brings. */
static gboolean
take_result (Merge *merge, SandboxChangeRow *row, const char *text, gsize length)
{
  SandboxUpper *upper = merge->changes->upper;
  sandbox_autofd int fd = openat (merge->quarantine->fd, "base", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  g_autofree char *base = NULL;
  guint64 offset = 0;
  struct stat st;

  if (fd < 0 || fstat (fd, &st) < 0)
    return FALSE;
  base = g_malloc0 ((gsize)st.st_size + 1);
  if (pread (fd, base, (gsize)st.st_size, 0) != (gssize)st.st_size
      || !_sandbox_upper_add_text (upper, base, (gsize)st.st_size, &row->base_offset, NULL)
      || !_sandbox_upper_add_text (upper, text, length, &offset, NULL))
    return FALSE;
  row->base_bytes = (guint64)st.st_size;
  row->offset = offset;
  row->size_bytes = row->pub.new_bytes = length;
  row->pub.state = SANDBOX_CHANGE_MERGED;
  g_free (row->pub.reason);
  row->pub.reason = g_strdup ("it changed on this host, too: both changes are kept");
  return TRUE;
}

/* TRUE: there is nothing left to do for @row, this host has it all. A row that cannot be merged
 * stays a conflict. */
static gboolean
merge_row (Merge *merge, SandboxChangeRow *row, const char *id)
{
  static const char *const args[] = { "merge-file", "-p", "-q", "host", "base", "guest", NULL };
  sandbox_autofd int host_fd = -1;
  g_autofree char *text = NULL, *host = NULL;
  SandboxNode record;
  gsize length = 0;

  _sandbox_base_find (merge->changes->base, row->pub.path, &record);
  if ((id == NULL && !record.has_hash) || !write_base (merge, id, &record)
      || !write_host (merge, row) || !write_guest (merge, row))
    return FALSE;
  /* its status is not 0 for a conflict, nor for what is no text */
  text = _sandbox_quarantine_git (merge->quarantine, args, NULL, -1, -1, &length, NULL);
  host_fd = openat (merge->quarantine->fd, "host", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  host = g_malloc0 (row->host.size_bytes + 1);
  if (text == NULL || host_fd < 0 || !merge_modes (row, &record)
      || pread (host_fd, host, row->host.size_bytes, 0) != (gssize)row->host.size_bytes)
    return FALSE;
  if (length == row->host.size_bytes && memcmp (text, host, length) == 0
      && (row->pub.new_mode & KNOWN) == (row->host.mode & KNOWN))
    return TRUE;
  take_result (merge, row, text, length);
  return FALSE;
}

/* Those whose base may be known. */
static GPtrArray *
candidates (const SandboxChanges *changes)
{
  GPtrArray *rows = g_ptr_array_new ();

  for (guint i = 0; i < changes->rows->len && rows->len < FILES_MAX; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (changes, i);
      SandboxNode record;

      if (row->pub.state != SANDBOX_CHANGE_CONFLICT || row->pub.kind != SANDBOX_CHANGE_MODIFIED
          || row->host.type != SANDBOX_NODE_FILE || row->host.size_bytes > SANDBOX_MERGE_BYTES_MAX
          || row->size_bytes > SANDBOX_MERGE_BYTES_MAX)
        continue;
      _sandbox_base_find (changes->base, row->pub.path, &record);
      if (record.type == SANDBOX_NODE_FILE)
        g_ptr_array_add (rows, row);
    }
  return rows;
}

static gboolean
open_quarantine (Merge *merge, GCancellable *cancellable)
{
  SandboxChanges *changes = merge->changes;
  g_autofree char *root_link = g_strdup_printf ("/proc/self/fd/%d", changes->root_fd);
  g_autofree char *dir_link = g_strdup_printf ("/proc/self/fd/%d", changes->dir_fd);
  g_autofree char *root = g_file_read_link (root_link, NULL);
  g_autofree char *dir = g_file_read_link (dir_link, NULL);

  if (root == NULL || dir == NULL)
    return FALSE;
  merge->repo = _sandbox_pull_repo_open (root, NULL);
  merge->quarantine = _sandbox_quarantine_new (changes->dir_fd, dir, merge->repo,
                                               SANDBOX_MERGE_BYTES_MAX, cancellable, NULL);
  return merge->quarantine != NULL;
}

static GHashTable *
read_index (Merge *merge, const GPtrArray *rows)
{
  g_autofree char *index = g_strconcat (merge->changes->tag, ".index", NULL);

  if (merge->repo == NULL
      || !_sandbox_merge_copy_index (merge->changes->dir_fd, index, merge->quarantine->fd, "index"))
    return NULL;
  return find_objects (merge, rows);
}

gboolean
_sandbox_merge_rows (SandboxChanges *changes, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) rows = candidates (changes);
  g_autoptr (GHashTable) objects = NULL;
  g_autoptr (SandboxLock) lock = NULL;
  Merge merge = { .changes = changes };
  gboolean open;

  if (rows->len == 0)
    return TRUE;
  lock = sandbox_lock_acquire (changes->dir_fd, SANDBOX_QUARANTINE_LOCK, "merge", -1, NULL, NULL,
                               cancellable, error);
  if (lock == NULL)
    return FALSE;
  open = open_quarantine (&merge, cancellable);
  objects = open ? read_index (&merge, rows) : NULL;
  for (guint i = 0; open && i < rows->len; i++)
    {
      SandboxChangeRow *row = rows->pdata[i];
      const char *id = objects ? g_hash_table_lookup (objects, row->pub.path) : NULL;

      if (merge_row (&merge, row, id))
        g_ptr_array_remove (changes->rows, row);
    }
  g_clear_pointer (&merge.quarantine, _sandbox_quarantine_free);
  g_clear_pointer (&merge.repo, _sandbox_pull_repo_free);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}
