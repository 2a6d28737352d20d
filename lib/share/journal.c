// SPDX-License-Identifier: LGPL-2.1-or-later
// What an apply is about to do, written before it does it, with what it will replace: so that a
// killed one leaves nothing half done that cannot be told, and the last one can be undone.
//
// "TAG.undo/journal" has a line for each step, "TAG.undo/N" what step N replaced: another name of
// the same file where the file system allows it, else a copy.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL     "journal"
#define JOURNAL_MAX (1024 * 1024 * 1024)
#define FIELDS      15
#define BLOCK       (256 * 1024)
#define DONE        "done"
#define OWN         0600

void
_sandbox_journal_row_free (SandboxJournalRow *row)
{
  g_free (row->path);
  g_free (row->temp);
  g_free (row->old_link);
  g_free (row->new_link);
  g_free (row);
}

void
_sandbox_journal_free (SandboxJournal *journal)
{
  g_clear_pointer (&journal->rows, g_ptr_array_unref);
  sandbox_close_fd (&journal->dir_fd);
  sandbox_close_fd (&journal->fd);
  g_free (journal);
}

static char *
undo_name (const char *tag)
{
  return g_strconcat (tag, ".undo", NULL);
}

static gboolean
from_hex (const char *text, guint8 ret_hash[SANDBOX_HASH_BYTES])
{
  if (strlen (text) != 2 * (gsize)SANDBOX_HASH_BYTES)
    return FALSE;
  for (guint i = 0; i < SANDBOX_HASH_BYTES; i++)
    {
      int high = g_ascii_xdigit_value (text[2 * i]), low = g_ascii_xdigit_value (text[2 * i + 1]);

      if (high < 0 || low < 0)
        return FALSE;
      ret_hash[i] = (guint8)(high << 4 | low);
    }
  return TRUE;
}

static gboolean
get_number (const char *text, guint base, guint64 max, guint *ret_value)
{
  guint64 value = 0;

  if (!g_ascii_string_to_unsigned (text, base, 0, max, &value, NULL))
    return FALSE;
  *ret_value = (guint)value;
  return TRUE;
}

static guint64
mtime_usec (gint64 sec, guint32 nsec)
{
  return (guint64)(sec * G_USEC_PER_SEC) + nsec / 1000;
}

static SandboxJournalRow *
parse_row (const char *line)
{
  g_auto (GStrv) fields = g_strsplit (line, "\t", FIELDS + 1);
  guint number = 0, old_type = 0, old_mode = 0, new_type = 0, new_mode = 0, ready = 0;
  guint record_mode = 0;
  guint64 old_bytes = 0, old_mtime = 0;
  SandboxJournalRow *row;

  if (g_strv_length (fields) != FIELDS || !get_number (fields[0], 10, G_MAXINT32, &number)
      || !get_number (fields[3], 10, SANDBOX_NODE_OTHER, &old_type)
      || !get_number (fields[4], 8, 07777, &old_mode)
      || !get_number (fields[6], 10, SANDBOX_NODE_OTHER, &new_type)
      || !get_number (fields[7], 8, 07777, &new_mode) || !get_number (fields[11], 10, 2, &ready)
      || !get_number (fields[12], 8, 07777, &record_mode)
      || !g_ascii_string_to_unsigned (fields[13], 10, 0, G_MAXUINT64, &old_bytes, NULL)
      || !g_ascii_string_to_unsigned (fields[14], 10, 0, G_MAXUINT64, &old_mtime, NULL))
    return NULL;
  row = g_new0 (SandboxJournalRow, 1);
  row->number = number;
  row->path = g_strcompress (fields[1]);
  row->temp = g_strcompress (fields[2]);
  row->old_type = (SandboxNodeType)old_type;
  row->old_mode = old_mode;
  row->old_link = g_strcompress (fields[5]);
  row->new_type = (SandboxNodeType)new_type;
  row->new_mode = new_mode;
  row->new_link = g_strcompress (fields[8]);
  row->was_ready = ready == 1;
  row->was_merged = ready == 2;
  row->record_mode = record_mode;
  row->old_bytes = old_bytes;
  row->old_mtime_usec = old_mtime;
  if (from_hex (fields[9], row->new_hash) && from_hex (fields[10], row->record_hash))
    return row;
  _sandbox_journal_row_free (row);
  return NULL;
}

/* A line without its end was being written when its writer died: nothing was done for it yet. */
static void
parse (SandboxJournal *journal, char *text)
{
  char *end;

  for (char *line = text; (end = strchr (line, '\n')); line = end + 1)
    {
      SandboxJournalRow *row;

      *end = '\0';
      row = parse_row (line);
      if (row)
        {
          journal->n_rows = MAX (journal->n_rows, row->number + 1);
          g_ptr_array_add (journal->rows, row);
        }
      journal->finished = strcmp (line, DONE) == 0;
    }
}

static SandboxJournal *
open_journal (int dir_fd, const char *name, int flags, GError **error)
{
  g_autoptr (SandboxJournal) journal = g_new0 (SandboxJournal, 1);

  journal->fd = -1;
  journal->rows = g_ptr_array_new_with_free_func ((GDestroyNotify)_sandbox_journal_row_free);
  journal->dir_fd = openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (journal->dir_fd >= 0)
    journal->fd = openat (journal->dir_fd, JOURNAL,
                          flags | O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (journal->fd >= 0)
    return g_steal_pointer (&journal);
  sandbox_fail_errno (error, errno, "opening the record of the last apply");
  return NULL;
}

static gboolean
count_kept (SandboxJournal *journal, GError **error)
{
  for (guint i = 0; i < journal->rows->len; i++)
    {
      const SandboxJournalRow *row = g_ptr_array_index (journal->rows, i);
      g_autofree char *name = g_strdup_printf ("%u", row->number);
      struct stat st;

      if (row->old_type == SANDBOX_NODE_FILE && fstatat (journal->dir_fd, name, &st, 0) == 0)
        journal->kept_bytes += (guint64)st.st_size;
    }
  return TRUE;
}

gboolean
_sandbox_journal_open (int dir_fd, const char *tag, SandboxJournal **ret_journal, GError **error)
{
  g_autofree char *name = undo_name (tag);
  g_autofree char *text = NULL;
  g_autoptr (SandboxJournal) journal = NULL;
  g_autoptr (GError) local = NULL;

  *ret_journal = NULL;
  journal = open_journal (dir_fd, name, 0, &local);
  /* killed before it had written anything: nothing was done */
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return TRUE;
  if (!journal)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!sandbox_file_read_at (journal->dir_fd, JOURNAL, JOURNAL_MAX, &text, NULL, error))
    return FALSE;
  parse (journal, text);
  if (!count_kept (journal, error))
    return FALSE;
  *ret_journal = g_steal_pointer (&journal);
  return TRUE;
}

gboolean
_sandbox_journal_remove (int dir_fd, const char *tag, GError **error)
{
  g_autofree char *name = undo_name (tag);

  return sandbox_remove_at (dir_fd, name, error);
}

SandboxJournal *
_sandbox_journal_create (int dir_fd, const char *tag, GError **error)
{
  g_autofree char *name = undo_name (tag);

  if (!_sandbox_journal_remove (dir_fd, tag, error))
    return NULL;
  if (mkdirat (dir_fd, name, 0700) < 0)
    {
      sandbox_fail_errno (error, errno, "making a directory for what is replaced");
      return NULL;
    }
  return open_journal (dir_fd, name, O_CREAT | O_EXCL, error);
}

static gboolean
write_all (int fd, const char *data, gsize length, GError **error)
{
  while (length > 0)
    {
      gssize n = write (fd, data, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return sandbox_fail_errno (error, errno, "keeping what is replaced");
      data += n;
      length -= (gsize)n;
    }
  return TRUE;
}

static gboolean
copy_file (int from_dir, const char *from, int to_dir, const char *to, guint mode, GError **error)
{
  sandbox_autofd int in = openat (from_dir, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  sandbox_autofd int out = -1;
  g_autofree char *block = g_malloc (BLOCK);
  gssize n;

  if (in >= 0)
    out = openat (to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                  SANDBOX_APPLY_UNFINISHED);
  if (out < 0)
    return sandbox_fail_errno (error, errno, "keeping what is replaced");
  while ((n = read (in, block, BLOCK)) > 0)
    if (!write_all (out, block, (gsize)n, error))
      return FALSE;
  if (n < 0 || fchmod (out, OWN) < 0)
    return sandbox_fail_errno (error, errno, "keeping what is replaced");
  /* as far as that file system has them */
  _sandbox_tree_copy_attributes (from_dir, from, out, NULL);
  return fchmod (out, mode & 0777) == 0
         || sandbox_fail_errno (error, errno, "keeping what is replaced");
}

/* Another name for the same file: then it comes back as it was, with its times. */
static gboolean
keep_file (SandboxJournal *journal, const char *kept, int parent_fd, const char *name,
           const SandboxNode *old, GError **error)
{
  if (journal->kept_bytes + old->size_bytes > SANDBOX_UNDO_BYTES_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "keeping what is replaced: that is more than 8 GiB; apply in parts");
  journal->kept_bytes += old->size_bytes;
  if (unlinkat (journal->dir_fd, kept, 0) < 0 && errno != ENOENT)
    return sandbox_fail_errno (error, errno, "keeping what is replaced");
  return linkat (parent_fd, name, journal->dir_fd, kept, 0) == 0
         || copy_file (parent_fd, name, journal->dir_fd, kept, OWN, error);
}

gboolean
_sandbox_journal_begin (SandboxJournal *journal, SandboxJournalRow *row, int parent_fd,
                        const char *name, const SandboxNode *old, GError **error)
{
  g_autofree char *kept = NULL, *path = g_strescape (row->path, NULL), *temp = NULL;
  g_autofree char *old_link = g_strescape (row->old_link ? row->old_link : "", NULL);
  g_autofree char *new_link = g_strescape (row->new_link ? row->new_link : "", NULL);
  g_autofree char *new_hash = _sandbox_hash_to_hex (row->new_hash),
                  *record_hash = _sandbox_hash_to_hex (row->record_hash);
  g_autofree char *line = NULL;

  row->number = journal->n_rows++;
  row->temp = g_strdup_printf (SANDBOX_APPLY_TEMP "%d.%u", (int)getpid (), row->number);
  kept = g_strdup_printf ("%u", row->number);
  if (old->type == SANDBOX_NODE_FILE && !keep_file (journal, kept, parent_fd, name, old, error))
    return FALSE;
  temp = g_strescape (row->temp, NULL);
  line = g_strdup_printf ("%u\t%s\t%s\t%d\t%o\t%s\t%d\t%o\t%s\t%s\t%s\t%d\t%o\t%" G_GUINT64_FORMAT
                          "\t%" G_GUINT64_FORMAT "\n",
                          row->number, path, temp, row->old_type, row->old_mode, old_link,
                          row->new_type, row->new_mode, new_link, new_hash, record_hash,
                          row->was_merged ? 2 : row->was_ready, row->record_mode, old->size_bytes,
                          mtime_usec (old->mtime_sec, old->mtime_nsec));
  return write_all (journal->fd, line, strlen (line), error);
}

gboolean
_sandbox_journal_finish (SandboxJournal *journal, GError **error)
{
  return write_all (journal->fd, DONE "\n", strlen (DONE "\n"), error);
}

gboolean
_sandbox_journal_restore (SandboxJournal *journal, guint number, int parent_fd, const char *name,
                          guint mode, GError **error)
{
  g_autofree char *kept = g_strdup_printf ("%u", number);

  return linkat (journal->dir_fd, kept, parent_fd, name, 0) == 0
         || copy_file (journal->dir_fd, kept, parent_fd, name, mode, error);
}

gboolean
_sandbox_journal_row_stands (const SandboxJournalRow *row, int root_fd, SandboxNode *ret_now)
{
  guint8 hash[SANDBOX_HASH_BYTES];

  if (!_sandbox_tree_look (root_fd, row->path, ret_now, NULL) || ret_now->type != row->new_type)
    return FALSE;
  if (ret_now->type == SANDBOX_NODE_SYMLINK)
    {
      g_autofree char *link = _sandbox_tree_read_link (root_fd, row->path, NULL);

      return g_strcmp0 (link, row->new_link) == 0;
    }
  if (ret_now->type == SANDBOX_NODE_FILE)
    {
      sandbox_autofd int fd = _sandbox_tree_open (root_fd, row->path, NULL);

      if (fd < 0 || !_sandbox_tree_hash (fd, 0, ret_now->size_bytes, hash, NULL)
          || memcmp (hash, row->new_hash, sizeof hash) != 0)
        return FALSE;
    }
  /* a new directory gets its mode last */
  return ret_now->type != SANDBOX_NODE_FILE || (ret_now->mode & 0777) == row->new_mode;
}

gboolean
_sandbox_journal_is_kept (const SandboxJournal *journal, guint number, guint64 inode)
{
  g_autofree char *kept = g_strdup_printf ("%u", number);
  struct stat st;

  return fstatat (journal->dir_fd, kept, &st, AT_SYMLINK_NOFOLLOW) == 0
         && (inode == 0 || st.st_ino == inode);
}

void
_sandbox_journal_forget (const SandboxJournal *journal, guint number)
{
  g_autofree char *kept = g_strdup_printf ("%u", number);

  unlinkat (journal->dir_fd, kept, 0);
}

/* Whether nobody has written to what was to be replaced. */
static gboolean
was_before (const SandboxJournalRow *row, const SandboxNode *now)
{
  return now->type == SANDBOX_NODE_FILE && now->size_bytes == row->old_bytes
         && mtime_usec (now->mtime_sec, now->mtime_nsec) == row->old_mtime_usec;
}

/* It was not done, but its file got another name when it was to be kept: that goes, and the record
 * shall know that it was us who touched it. */
static void
recover_undone (SandboxJournal *journal, SandboxBase *base, const SandboxJournalRow *row,
                int root_fd, SandboxNode *now)
{
  if (now->type != SANDBOX_NODE_FILE
      || !_sandbox_journal_is_kept (journal, row->number, now->inode))
    return;
  _sandbox_journal_forget (journal, row->number);
  if (row->was_ready && _sandbox_tree_look (root_fd, row->path, now, NULL) && was_before (row, now))
    _sandbox_base_retouch (base, row->path, now);
}

static gboolean
hash_at (int dir_fd, const char *name, guint8 ret_hash[SANDBOX_HASH_BYTES])
{
  sandbox_autofd int fd = openat (dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  struct stat st;

  return fd >= 0 && fstat (fd, &st) == 0
         && _sandbox_tree_hash (fd, 0, (guint64)st.st_size, ret_hash, NULL);
}

static gboolean
is_our_file (const SandboxJournal *journal, const SandboxJournalRow *row, int dir_fd,
             const char *name, const struct stat *st)
{
  g_autofree char *kept = g_strdup_printf ("%u", row->number);
  guint8 hash[SANDBOX_HASH_BYTES], kept_hash[SANDBOX_HASH_BYTES];

  if ((st->st_mode & 07777) == SANDBOX_APPLY_UNFINISHED)
    return TRUE;
  /* another name of what is kept: saved in place, it is another file than was to be replaced */
  if (_sandbox_journal_is_kept (journal, row->number, st->st_ino))
    return (guint64)st->st_size == row->old_bytes
           && mtime_usec (st->st_mtim.tv_sec, (guint32)st->st_mtim.tv_nsec) == row->old_mtime_usec;
  if (!hash_at (dir_fd, name, hash))
    return FALSE;
  return (row->new_type == SANDBOX_NODE_FILE && memcmp (hash, row->new_hash, sizeof hash) == 0)
         || (hash_at (journal->dir_fd, kept, kept_hash)
             && memcmp (hash, kept_hash, sizeof hash) == 0);
}

/* Whether nothing is lost without what is at @name: it is not there, an apply or an undo put it
 * there, or it is what was to be replaced, which is kept. */
static gboolean
is_ours (const SandboxJournal *journal, const SandboxJournalRow *row, int dir_fd, const char *name)
{
  char link[PATH_MAX];
  struct stat st;
  gssize n;

  if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return TRUE;
  if (S_ISDIR (st.st_mode))
    return row->new_type == SANDBOX_NODE_DIR || row->old_type == SANDBOX_NODE_DIR;
  if (S_ISREG (st.st_mode))
    return is_our_file (journal, row, dir_fd, name, &st);
  n = readlinkat (dir_fd, name, link, sizeof link - 1);
  if (n < 0)
    return FALSE;
  link[n] = '\0';
  return strcmp (link, row->new_link) == 0 || strcmp (link, row->old_link) == 0;
}

/* What its user saved between the last look at it and the exchange is under the temporary name: it
 * gets its own again. Unless they have saved once more since: that stays, and the older one where
 * it is. */
static void
recover_name (const SandboxJournal *journal, const SandboxJournalRow *row, int root_fd)
{
  const char *name = NULL;
  sandbox_autofd int fd = _sandbox_tree_open_parent (root_fd, row->path, &name, NULL);

  if (fd < 0)
    return;
  if (is_ours (journal, row, fd, row->temp))
    _sandbox_tree_remove_temp (fd, row->temp);
  else if (is_ours (journal, row, fd, name))
    _sandbox_tree_give_back (fd, row->temp, name);
}

gboolean
_sandbox_journal_recover (SandboxJournal *journal, SandboxBase *base, int root_fd, GError **error)
{
  for (guint i = 0; i < journal->rows->len; i++)
    {
      const SandboxJournalRow *row = g_ptr_array_index (journal->rows, i);
      SandboxNode now;

      recover_name (journal, row, root_fd);
      if (!_sandbox_journal_row_stands (row, root_fd, &now))
        {
          recover_undone (journal, base, row, root_fd, &now);
          continue;
        }
      now.has_hash = TRUE;
      now.merged = row->was_merged;
      if (now.merged)
        now.mode = row->record_mode;
      memcpy (now.hash, row->record_hash, sizeof now.hash);
      _sandbox_base_set_applied (base, row->path, &now);
    }
  return TRUE;
}
