// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing changes into the shared directory, as its user.
//
// Each step is a rename, a link, an unlink or a mkdir in a directory that was opened beneath the
// shared one through no link, after the journal has what it will replace. Killed anywhere, this
// leaves each file as it was or as it shall be. The order: what stands in the way of another type,
// directories, files and links, deletions from the bottom up, modes of directories.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KNOWN        0777
#define OWN          0700
#define OWN_FILE     0600
#define BLOCK        (256 * 1024)
#define REPORT_EVERY 256

typedef struct
{
  SandboxChanges *changes;
  SandboxJournal *journal;
  const SandboxApplyOptions *options;
  gboolean *chosen;
  GHashTable *touched; /* inodes of files that lost or got a name: ours, not their user's doing */
  guint done, n_chosen;
  GError *unsupported; /* why some of them cannot be written here */
  SandboxProgressFunc progress;
  gpointer user_data;
  GCancellable *cancellable;
} Apply;

void
_sandbox_apply_step (void)
{
  static guint steps = 0;
  static gboolean ends = FALSE;
  const char *fault = g_getenv ("SANDBOX_FAULT");
  g_autofree char *here = NULL;

  if (!fault || !g_str_has_prefix (fault, "apply:write:"))
    return;
  here = g_strdup_printf ("apply:write:%u:", ++steps);
  if (ends)
    raise (SIGKILL);
  if (g_str_has_prefix (fault, here))
    {
      ends = g_str_has_suffix (fault, ":stop-kill");
      raise (ends || g_str_has_suffix (fault, ":stop") ? SIGSTOP : SIGKILL);
    }
}

static SandboxNodeType
new_type (const SandboxChangeRow *row)
{
  return S_ISREG (row->pub.new_mode)   ? SANDBOX_NODE_FILE
         : S_ISDIR (row->pub.new_mode) ? SANDBOX_NODE_DIR
         : S_ISLNK (row->pub.new_mode) ? SANDBOX_NODE_SYMLINK
                                       : SANDBOX_NODE_ABSENT;
}

/* From the spool into a new file under a name of our own, in place of @name. */
static gboolean
write_temp (Apply *apply, const SandboxChangeRow *row, int dir_fd, const char *temp,
            const char *name, GError **error)
{
  sandbox_autofd int fd = openat (
      dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, SANDBOX_APPLY_UNFINISHED);
  g_autofree char *block = g_malloc (BLOCK);

  if (fd < 0)
    return sandbox_fail_errno (error, errno, "making a new file");
  for (guint64 at = 0; at < row->size_bytes;)
    {
      gsize want = (gsize)MIN (row->size_bytes - at, BLOCK);
      gssize n = pread (apply->changes->upper->spool_fd, block, want, (off_t)(row->offset + at));

      if (n <= 0 || write (fd, block, (gsize)n) != n)
        return sandbox_fail_errno (error, n == 0 ? EIO : errno, "writing a new file");
      at += (guint64)n;
    }
  _sandbox_apply_step ();
  /* it is whole: one that is left behind is known by its content, which somebody must read */
  if (fchmod (fd, OWN_FILE) < 0)
    return sandbox_fail_errno (error, errno, "writing a new file");
  if (row->host.type == SANDBOX_NODE_FILE
      && !_sandbox_tree_copy_attributes (dir_fd, name, fd, error))
    return FALSE;
  _sandbox_apply_step ();
  if (fchmod (fd, row->pub.new_mode & KNOWN) < 0)
    return sandbox_fail_errno (error, errno, "writing a new file");
  /* as file systems do for a rename over a file, but not for an exchange: it is on its way to the
   * disk before it gets its name */
  sync_file_range (fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  return TRUE;
}

static gboolean
make_temp (Apply *apply, const SandboxChangeRow *row, int dir_fd, const char *temp,
           const char *name, GError **error)
{
  switch (new_type (row))
    {
    case SANDBOX_NODE_FILE:
      return write_temp (apply, row, dir_fd, temp, name, error);
    case SANDBOX_NODE_SYMLINK:
      return symlinkat (row->pub.link, dir_fd, temp) == 0
             || sandbox_fail_errno (error, errno, "making a link");
    default:
      /* its mode is set when all is in it */
      return mkdirat (dir_fd, temp, OWN) == 0
             || sandbox_fail_errno (error, errno, "making a directory");
    }
}

static gboolean
change_mode (const SandboxChangeRow *row, int dir_fd, const char *name, GError **error)
{
  sandbox_autofd int fd = openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

  if (fd < 0 || fchmod (fd, row->pub.new_mode & KNOWN) < 0)
    return sandbox_fail_errno (error, errno, "changing its permissions");
  return TRUE;
}

/* @ret_put: what has the name then, as far as it is the apply's doing. */
static gboolean
do_row (Apply *apply, const SandboxChangeRow *row, const char *temp, int dir_fd, const char *name,
        SandboxNode *ret_put, GError **error)
{
  struct stat st;

  *ret_put = (SandboxNode){ .type = new_type (row) };
  _sandbox_apply_step ();
  /* of a file never in place: it may have another name, even outside of the shared directory */
  if (row->pub.kind == SANDBOX_CHANGE_MODE && new_type (row) == SANDBOX_NODE_DIR)
    return change_mode (row, dir_fd, name, error);
  if (row->pub.kind == SANDBOX_CHANGE_DELETED)
    return _sandbox_tree_remove (dir_fd, temp, name, &row->host, error);
  if (!make_temp (apply, row, dir_fd, temp, name, error))
    {
      if (!g_error_matches (*error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS))
        unlinkat (dir_fd, temp, 0);
      return FALSE;
    }
  if (fstatat (dir_fd, temp, &st, AT_SYMLINK_NOFOLLOW) == 0)
    _sandbox_node_from_stat (&st, ret_put);
  _sandbox_apply_step ();
  return _sandbox_tree_put (dir_fd, temp, name, &row->host, error);
}

/* A file of this host's that changed since it was compared is not touched. */
static gboolean
check_again (Apply *apply, const SandboxChangeRow *row, int dir_fd, const char *name,
             GError **error)
{
  SandboxNode now = { .type = SANDBOX_NODE_ABSENT }, before = row->host;
  struct stat st;

  if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
    _sandbox_node_from_stat (&st, &now);
  else if (errno != ENOENT)
    return sandbox_fail_errno (error, errno, "looking at it");
  /* another name of a file that was just replaced under its first one */
  if (g_hash_table_contains (apply->touched, &now.inode))
    {
      before.ctime_sec = now.ctime_sec;
      before.ctime_nsec = now.ctime_nsec;
    }
  if (_sandbox_node_untouched (&now, &before)
      && (row->pub.kind != SANDBOX_CHANGE_MODE || now.mode == before.mode))
    {
      g_hash_table_add (apply->touched, g_memdup2 (&now.inode, sizeof now.inode));
      return TRUE;
    }
  return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                       "it changed on this host just now; look at the difference again");
}

static gboolean
is_merged (const SandboxChangeRow *row)
{
  return row->partial || row->pub.state == SANDBOX_CHANGE_MERGED;
}

/* What the machine's next change begins with: what it has now, unless a part of that is left. */
static gboolean
record_hash (const Apply *apply, const SandboxChangeRow *row, guint8 ret_hash[SANDBOX_HASH_BYTES],
             GError **error)
{
  if (row->partial)
    return _sandbox_tree_hash (apply->changes->upper->spool_fd, row->base_offset, row->base_bytes,
                               ret_hash, error);
  if (row->entry && new_type (row) != SANDBOX_NODE_ABSENT)
    _sandbox_upper_hash (row->entry, ret_hash);
  return TRUE;
}

/* The content of that. */
static void
keep_base (const Apply *apply, const SandboxChangeRow *row, const guint8 hash[SANDBOX_HASH_BYTES])
{
  const SandboxChanges *changes = apply->changes;

  if (row->entry && row->entry->type == SANDBOX_UPPER_FILE)
    _sandbox_merge_keep_base (changes->dir_fd, changes->tag, changes->upper->spool_fd,
                              row->partial ? row->base_offset : row->entry->offset,
                              row->partial ? row->base_bytes : row->entry->size_bytes, hash);
}

static gboolean
fill_journal_row (Apply *apply, const SandboxChangeRow *row, SandboxJournalRow *line,
                  GError **error)
{
  SandboxChanges *changes = apply->changes;

  line->path = g_strdup (row->pub.path);
  line->old_type = row->host.type;
  line->old_mode = row->host.mode & KNOWN;
  line->new_type = new_type (row);
  line->new_mode = row->pub.new_mode & KNOWN;
  line->new_link = g_strdup (row->pub.link);
  line->was_ready = row->pub.state == SANDBOX_CHANGE_READY;
  line->was_merged = is_merged (row);
  if (line->old_type == SANDBOX_NODE_SYMLINK)
    line->old_link = _sandbox_tree_read_link (changes->root_fd, row->pub.path, NULL);
  if (row->entry)
    line->record_mode = row->entry->mode & KNOWN;
  if (!record_hash (apply, row, line->record_hash, error))
    return FALSE;
  if (line->new_type != SANDBOX_NODE_FILE)
    return TRUE;
  return _sandbox_tree_hash (changes->upper->spool_fd, row->offset, row->size_bytes, line->new_hash,
                             error);
}

/* @hash: as in the journal. @put: what its user made of it since is no machine's, and what was
 * recorded before stays so. */
static void
record (Apply *apply, const SandboxChangeRow *row, const guint8 *hash, const SandboxNode *put,
        int dir_fd, const char *name)
{
  SandboxNode now = { .type = SANDBOX_NODE_ABSENT };
  struct stat st;

  if (put->type != SANDBOX_NODE_ABSENT)
    {
      if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
      _sandbox_node_from_stat (&st, &now);
      if (!_sandbox_node_renamed (&now, put))
        return;
      memcpy (now.hash, hash, sizeof now.hash);
    }
  now.has_hash = TRUE;
  now.merged = is_merged (row);
  if (now.merged)
    now.mode = row->entry->mode & KNOWN;
  _sandbox_base_set_applied (apply->changes->base, row->pub.path, &now);
}

/* It failed; what was to be replaced may have got another name, to be kept, and so been touched. */
static void
record_failed (Apply *apply, const SandboxChangeRow *row, guint number, int dir_fd,
               const char *name)
{
  SandboxNode now;
  struct stat st;

  if (row->host.type != SANDBOX_NODE_FILE || row->pub.state != SANDBOX_CHANGE_READY
      || fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return;
  _sandbox_node_from_stat (&st, &now);
  if (_sandbox_journal_is_kept (apply->journal, number, now.inode))
    _sandbox_journal_forget (apply->journal, number);
  if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
    _sandbox_node_from_stat (&st, &now);
  if (now.inode == row->host.inode && now.mtime_sec == row->host.mtime_sec
      && now.mtime_nsec == row->host.mtime_nsec && now.size_bytes == row->host.size_bytes)
    _sandbox_base_retouch (apply->changes->base, row->pub.path, &now);
}

static gboolean
try_row (Apply *apply, SandboxChangeRow *row, GError **error)
{
  SandboxJournalRow *line = g_new0 (SandboxJournalRow, 1);
  const char *name = NULL;
  SandboxNode put;
  sandbox_autofd int dir_fd =
      _sandbox_tree_open_parent (apply->changes->root_fd, row->pub.path, &name, error);
  gboolean begun = dir_fd >= 0 && check_again (apply, row, dir_fd, name, error)
                   && fill_journal_row (apply, row, line, error);
  gboolean ok;

  line->number = apply->journal->n_rows;
  if (begun)
    keep_base (apply, row, line->record_hash);
  ok = begun && _sandbox_journal_begin (apply->journal, line, dir_fd, name, &row->host, error)
       && do_row (apply, row, line->temp, dir_fd, name, &put, error);
  if (ok)
    {
      _sandbox_apply_step ();
      record (apply, row, line->record_hash, &put, dir_fd, name);
    }
  else if (begun)
    record_failed (apply, row, line->number, dir_fd, name);
  _sandbox_journal_row_free (line);
  return ok;
}

static gboolean
apply_row (Apply *apply, SandboxChangeRow *row, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (g_cancellable_set_error_if_cancelled (apply->cancellable, error))
    return FALSE;
  if (apply->progress && apply->done % REPORT_EVERY == 0)
    {
      SandboxProgress update = { .object = apply->changes->machine,
                                 .phase = "apply",
                                 .note = "writing",
                                 .done = apply->done,
                                 .total = apply->n_chosen };

      apply->progress (&update, apply->user_data);
    }
  apply->done++;
  row->pub.applied = try_row (apply, row, &local);
  /* said once, when all that this file system can do is done */
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED))
    {
      if (!apply->unsupported)
        apply->unsupported = g_steal_pointer (&local);
    }
  else if (local)
    {
      g_free (row->pub.reason);
      row->pub.reason = g_strdup (local->message);
    }
  return TRUE;
}

/* @order: 1 from the top down, -1 from the bottom up. */
static gboolean
each (Apply *apply, int order, gboolean (*wanted) (const SandboxChangeRow *row), GError **error)
{
  guint n = apply->changes->rows->len;

  for (guint i = 0; i < n; i++)
    {
      guint index = order > 0 ? i : n - 1 - i;
      SandboxChangeRow *row = _sandbox_changes_row (apply->changes, index);

      if (apply->chosen[index] && !row->pub.applied && wanted (row)
          && !apply_row (apply, row, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
is_new_dir (const SandboxChangeRow *row)
{
  return new_type (row) == SANDBOX_NODE_DIR && row->pub.kind != SANDBOX_CHANGE_MODE;
}

static gboolean
is_mode_of_dir (const SandboxChangeRow *row)
{
  return new_type (row) == SANDBOX_NODE_DIR && row->pub.kind == SANDBOX_CHANGE_MODE;
}

static gboolean
is_deletion (const SandboxChangeRow *row)
{
  return row->pub.kind == SANDBOX_CHANGE_DELETED;
}

static gboolean
is_other (const SandboxChangeRow *row)
{
  return new_type (row) != SANDBOX_NODE_DIR && row->pub.kind != SANDBOX_CHANGE_DELETED;
}

/* Those in a directory that something of another type replaces: before it. */
static gboolean
clear_replaced (Apply *apply, GError **error)
{
  GPtrArray *rows = apply->changes->rows;
  g_autoptr (GHashTable) replaced = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (apply->changes, i);

      if (apply->chosen[i] && row->host.type == SANDBOX_NODE_DIR
          && row->pub.kind == SANDBOX_CHANGE_REPLACED)
        g_hash_table_add (replaced, row->pub.path);
    }
  for (guint i = rows->len; i > 0 && g_hash_table_size (replaced) > 0; i--)
    {
      SandboxChangeRow *row = _sandbox_changes_row (apply->changes, i - 1);
      g_autofree char *above = g_strdup (row->pub.path);
      gboolean below = FALSE;

      for (char *slash = strrchr (above, '/'); slash && !below; slash = strrchr (above, '/'))
        {
          *slash = '\0';
          below = g_hash_table_contains (replaced, above);
        }
      if (below && apply->chosen[i - 1] && is_deletion (row) && !apply_row (apply, row, error))
        return FALSE;
    }
  return TRUE;
}

/* New directories get their mode when all is in them: until then they are their user's alone. */
static void
finish_dirs (Apply *apply)
{
  for (guint i = apply->changes->rows->len; i > 0; i--)
    {
      SandboxChangeRow *row = _sandbox_changes_row (apply->changes, i - 1);
      const char *name = NULL;
      guint8 hash[SANDBOX_HASH_BYTES];
      sandbox_autofd int fd = -1;

      if (!row->pub.applied || !is_new_dir (row))
        continue;
      fd = _sandbox_tree_open_parent (apply->changes->root_fd, row->pub.path, &name, NULL);
      if (fd < 0)
        continue;
      _sandbox_apply_step ();
      change_mode (row, fd, name, NULL);
      _sandbox_upper_hash (row->entry, hash);
      record (apply, row, hash, &(SandboxNode){ .type = SANDBOX_NODE_DIR }, fd, name);
    }
}

static gboolean
may_apply (const Apply *apply, const SandboxChangeRow *row)
{
  if (row->pub.state == SANDBOX_CHANGE_REFUSED || row->pub.applied)
    return FALSE;
  if (row->pub.state == SANDBOX_CHANGE_CONFLICT && !apply->options->replace_conflicts)
    return FALSE;
  return row->pub.risk != SANDBOX_CHANGE_RUNS || apply->options->include_runs;
}

static guint
find_row (const SandboxChanges *changes, const char *path)
{
  guint low = 0, high = changes->rows->len;

  while (low < high)
    {
      guint middle = low + (high - low) / 2;
      int order = _sandbox_path_compare (path, _sandbox_changes_row (changes, middle)->pub.path);

      if (order == 0)
        return middle;
      if (order < 0)
        high = middle;
      else
        low = middle + 1;
    }
  return G_MAXUINT;
}

/* With what is chosen, the new directories that it lies in, as its path shows them; and with a
 * directory that goes, what is in it. */
static void
choose (Apply *apply)
{
  SandboxChanges *changes = apply->changes;
  gsize n = apply->options->chosen ? apply->options->n_chosen : changes->rows->len;

  for (gsize i = 0; i < n; i++)
    {
      guint index = apply->options->chosen ? apply->options->chosen[i] : (guint)i;
      const SandboxChangeRow *row = _sandbox_changes_row (changes, index);
      g_autofree char *above = g_strdup (row->pub.path);

      if (!may_apply (apply, row) || (row->pub.unseen && apply->options->only_shown)
          || (row->pub.ignored && !apply->options->chosen))
        continue;
      apply->chosen[index] = TRUE;
      for (char *slash = strrchr (above, '/'); slash; slash = strrchr (above, '/'))
        {
          guint parent;

          *slash = '\0';
          parent = find_row (changes, above);
          if (parent != G_MAXUINT && is_new_dir (_sandbox_changes_row (changes, parent))
              && may_apply (apply, _sandbox_changes_row (changes, parent)))
            apply->chosen[parent] = TRUE;
        }
    }
  for (guint i = 0; i < changes->rows->len; i++)
    apply->n_chosen += apply->chosen[i] ? 1 : 0;
}

static gboolean
run (Apply *apply, GError **error)
{
  return clear_replaced (apply, error) && each (apply, 1, is_new_dir, error)
         && each (apply, 1, is_other, error) && each (apply, -1, is_deletion, error)
         && each (apply, -1, is_mode_of_dir, error);
}

/* When all was written; of a file of which a part was left, not all was. */
static void
forget_shown (SandboxChanges *changes)
{
  g_autofree gboolean *gone = g_new0 (gboolean, changes->rows->len + 1);

  for (guint i = 0; i < changes->rows->len; i++)
    gone[i] =
        sandbox_changes_get (changes, i)->applied && !_sandbox_changes_row (changes, i)->partial;
  _sandbox_shown_forget (changes, gone);
}

static gboolean
apply_locked (Apply *apply, GError **error)
{
  SandboxChanges *changes = apply->changes;
  gboolean ok;

  if (!_sandbox_journal_open (changes->dir_fd, changes->tag, &apply->journal, error))
    return FALSE;
  /* one that was killed goes on in the same record, so that undo takes back all of it */
  if (apply->journal && !apply->journal->finished
      && !_sandbox_journal_recover (apply->journal, changes->base, changes->root_fd, error))
    return FALSE;
  if (apply->journal && apply->journal->finished)
    g_clear_pointer (&apply->journal, _sandbox_journal_free);
  if (!apply->journal)
    apply->journal = _sandbox_journal_create (changes->dir_fd, changes->tag, error);
  if (!apply->journal)
    return FALSE;
  ok = run (apply, error);
  finish_dirs (apply);
  /* one for all: a file of its own would cost a write of the disk for each */
  syncfs (changes->root_fd);
  _sandbox_apply_step ();
  return _sandbox_base_save_applied (changes->base, changes->dir_fd, changes->tag,
                                     ok ? error : NULL)
         && ok && _sandbox_journal_finish (apply->journal, error);
}

gboolean
sandbox_changes_apply (SandboxChanges *changes, const SandboxApplyOptions *options,
                       SandboxProgressFunc progress, gpointer user_data, GCancellable *cancellable,
                       GError **error)
{
  SandboxApplyOptions own = SANDBOX_APPLY_OPTIONS_INIT;
  Apply apply = { .changes = changes,
                  .options = options ? options : &own,
                  .progress = progress,
                  .user_data = user_data,
                  .cancellable = cancellable };
  g_autofree char *lock_name = g_strconcat (changes->tag, ".lock", NULL);
  g_autofree gboolean *chosen = g_new0 (gboolean, changes->rows->len + 1);
  g_autoptr (SandboxLock) lock =
      sandbox_lock_acquire (changes->dir_fd, lock_name, "apply", 0, NULL, NULL, cancellable, error);
  g_autoptr (GHashTable) touched =
      g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  gboolean ok;

  if (!lock)
    return FALSE;
  apply.touched = touched;
  apply.chosen = chosen;
  choose (&apply);
  ok = apply.n_chosen == 0 || apply_locked (&apply, error);
  g_clear_pointer (&apply.journal, _sandbox_journal_free);
  if (ok)
    {
      _sandbox_changes_settle (changes);
      forget_shown (changes);
    }
  if (!ok)
    g_clear_error (&apply.unsupported);
  else if (apply.unsupported)
    g_propagate_error (error, apply.unsupported);
  return ok && !apply.unsupported;
}
