// SPDX-License-Identifier: LGPL-2.1-or-later
// Putting back what the last apply replaced, from its journal, from its end to its beginning. A
// file that changed since is its user's, and stays.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  SandboxJournal *journal;
  SandboxBase *base;
  int root_fd;
} Undo;

static gboolean
make_old (Undo *undo, const SandboxJournalRow *row, int dir_fd, GError **error)
{
  switch (row->old_type)
    {
    case SANDBOX_NODE_FILE:
      return _sandbox_journal_restore (undo->journal, row->number, dir_fd, row->temp, row->old_mode,
                                       error);
    case SANDBOX_NODE_SYMLINK:
      return symlinkat (row->old_link, dir_fd, row->temp) == 0
             || sandbox_fail_errno (error, errno, "making a link");
    default:
      return mkdirat (dir_fd, row->temp, row->old_mode | 0700) == 0
             || sandbox_fail_errno (error, errno, "making a directory");
    }
}

static gboolean
set_mode (int dir_fd, const char *name, guint mode, GError **error)
{
  sandbox_autofd int fd = openat (dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

  return (fd >= 0 && fchmod (fd, mode) == 0)
         || sandbox_fail_errno (error, errno, "changing permissions");
}

/* @now: what stands there, as the apply left it. @ret_put: what has the name then, as far as it is
 * the undo's doing. */
static gboolean
put_back (Undo *undo, const SandboxJournalRow *row, const SandboxNode *now, int dir_fd,
          const char *name, SandboxNode *ret_put, GError **error)
{
  struct stat st;

  *ret_put = (SandboxNode){ .type = row->old_type };
  if (row->old_type == SANDBOX_NODE_DIR && row->new_type == SANDBOX_NODE_DIR)
    return set_mode (dir_fd, name, row->old_mode, error);
  if (row->old_type == SANDBOX_NODE_ABSENT)
    return _sandbox_tree_remove (dir_fd, row->temp, name, now, error);
  if (!make_old (undo, row, dir_fd, error))
    {
      if (!g_error_matches (*error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS))
        unlinkat (dir_fd, row->temp, 0);
      return FALSE;
    }
  if (fstatat (dir_fd, row->temp, &st, AT_SYMLINK_NOFOLLOW) == 0)
    _sandbox_node_from_stat (&st, ret_put);
  _sandbox_apply_step ();
  return _sandbox_tree_put (dir_fd, row->temp, name, now, error);
}

/* What was put back is what the machine began with, as far as it was before; not what its user made
 * of it since. */
static void
record (Undo *undo, const SandboxJournalRow *row, const SandboxNode *put)
{
  SandboxNode now;

  if (row->was_ready && _sandbox_tree_look (undo->root_fd, row->path, &now, NULL)
      && _sandbox_node_renamed (&now, put))
    _sandbox_base_set_applied (undo->base, row->path, &now);
  else
    g_hash_table_remove (undo->base->applied, row->path);
}

/* TRUE in *@ret_left: it is not as the apply left it. */
static gboolean
undo_row (Undo *undo, const SandboxJournalRow *row, gboolean *ret_left)
{
  const char *name = NULL;
  sandbox_autofd int dir_fd = -1;
  g_autoptr (GError) local = NULL;
  SandboxNode now, put;

  *ret_left = FALSE;
  if (!_sandbox_journal_row_stands (row, undo->root_fd, &now))
    {
      /* what was kept is still there, and its place is taken by something else */
      *ret_left = now.type != row->old_type
                  || (now.type == SANDBOX_NODE_FILE
                      && _sandbox_journal_is_kept (undo->journal, row->number, 0)
                      && !_sandbox_journal_is_kept (undo->journal, row->number, now.inode));
      return FALSE;
    }
  _sandbox_apply_step ();
  dir_fd = _sandbox_tree_open_parent (undo->root_fd, row->path, &name, NULL);
  if (dir_fd < 0 || !put_back (undo, row, &now, dir_fd, name, &put, &local))
    {
      *ret_left = TRUE;
      return FALSE;
    }
  _sandbox_apply_step ();
  /* before it is recorded: a name less is a change of the file */
  _sandbox_journal_forget (undo->journal, row->number);
  record (undo, row, &put);
  return TRUE;
}

static gboolean
undo_all (Undo *undo, guint *ret_undone, guint *ret_left, GCancellable *cancellable, GError **error)
{
  guint undone = 0, left = 0;

  for (guint i = undo->journal->rows->len; i > 0; i--)
    {
      gboolean is_left = FALSE;

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      undone += undo_row (undo, g_ptr_array_index (undo->journal->rows, i - 1), &is_left) ? 1 : 0;
      left += is_left ? 1 : 0;
    }
  *ret_undone = undone;
  *ret_left = left;
  return TRUE;
}

gboolean
_sandbox_changes_undo (int root_fd, int dir_fd, const char *tag, guint *ret_undone, guint *ret_left,
                       GCancellable *cancellable, GError **error)
{
  g_autofree char *lock_name = g_strconcat (tag, ".lock", NULL);
  g_autoptr (SandboxLock) lock =
      sandbox_lock_acquire (dir_fd, lock_name, "undo", 0, NULL, NULL, cancellable, error);
  g_autoptr (SandboxJournal) journal = NULL;
  g_autoptr (SandboxBase) base = NULL;
  Undo undo = { .root_fd = root_fd };
  gboolean ok;

  if (!lock || !_sandbox_journal_open (dir_fd, tag, &journal, error))
    return FALSE;
  if (!journal || journal->rows->len == 0)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "undoing the last apply: there is none that could be undone");
  base = _sandbox_base_open (root_fd, dir_fd, tag, error);
  if (!base || !_sandbox_changes_unsettle (dir_fd, tag, error)
      || !_sandbox_journal_recover (journal, base, root_fd, error))
    return FALSE;
  undo.journal = journal;
  undo.base = base;
  ok = undo_all (&undo, ret_undone, ret_left, cancellable, error);
  /* what could not be put back stays where it is kept: nothing else has it */
  return _sandbox_base_save_applied (base, dir_fd, tag, ok ? error : NULL) && ok
         && (*ret_left > 0 || _sandbox_journal_remove (dir_fd, tag, error));
}
