// SPDX-License-Identifier: LGPL-2.1-or-later
// What waits for a machine's next start, as only itself writes to its disk: changes that were
// discarded while it was off ("TAG.dropped"), and files that were applied, or discarded, and edited
// on this host since, of which it has an older copy in its layer.
//
// A change that waits to be dropped is none any more, as long as the machine has there what it had:
// the record has the machine's type, mode and hash of the content, as that of what was shown.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <string.h>

#define DROPPED_SUFFIX ".dropped"
#define FOLLOW_MAX     1000

static char *
dropped_name (const char *tag)
{
  return g_strconcat (tag, DROPPED_SUFFIX, NULL);
}

gboolean
_sandbox_dropped_is_record (const char *name)
{
  return g_str_has_suffix (name, DROPPED_SUFFIX);
}

gboolean
_sandbox_dropped_exists (int dir_fd, const char *tag)
{
  g_autofree char *name = dropped_name (tag);
  struct stat st;

  return fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

gboolean
_sandbox_dropped_remove (int dir_fd, const char *tag, GError **error)
{
  g_autofree char *name = dropped_name (tag);

  return sandbox_remove_at (dir_fd, name, error);
}

static void
record_row (SandboxRecorder *recorder, const SandboxChangeRow *row)
{
  SandboxNode node;

  _sandbox_row_machines_side (row, &node);
  _sandbox_recorder_add (recorder, row->pub.path, &node);
}

gboolean
_sandbox_dropped_note (SandboxChanges *changes, const gboolean *chosen, GError **error)
{
  g_autofree char *name = dropped_name (changes->tag);
  g_autoptr (SandboxRecorder) recorder = _sandbox_recorder_new ();

  for (guint i = 0; i < changes->dropped->len; i++)
    record_row (recorder, g_ptr_array_index (changes->dropped, i));
  for (guint i = 0; i < changes->rows->len; i++)
    if (chosen[i])
      record_row (recorder, _sandbox_changes_row (changes, i));
  if (!_sandbox_recorder_save (recorder, changes->dir_fd, name, error))
    return FALSE;
  _sandbox_shown_forget (changes, chosen);
  return TRUE;
}

static gboolean
is_dropped (const SandboxRecords *records, const SandboxChangeRow *row)
{
  SandboxNode then, now;

  _sandbox_row_machines_side (row, &now);
  return _sandbox_records_find (records, row->pub.path, &then) && then.mode == now.mode
         && memcmp (then.hash, now.hash, SANDBOX_HASH_BYTES) == 0;
}

/* One that is damaged drops nothing: what was discarded is shown again. */
void
_sandbox_dropped_hide (SandboxChanges *changes)
{
  g_autofree char *name = dropped_name (changes->tag);
  g_autoptr (SandboxRecords) records = NULL;
  g_autoptr (GPtrArray) rows = NULL;

  if (!_sandbox_records_open (changes->dir_fd, name, &records, NULL) || records == NULL)
    return;
  rows = g_steal_pointer (&changes->rows);
  g_ptr_array_set_free_func (rows, NULL);
  changes->rows = g_ptr_array_new_with_free_func (_sandbox_change_row_free);
  for (guint i = 0; i < rows->len; i++)
    g_ptr_array_add (is_dropped (records, rows->pdata[i]) ? changes->dropped : changes->rows,
                     rows->pdata[i]);
}

GArray *
_sandbox_dropped_show (SandboxChanges *changes)
{
  GArray *indexes = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GHashTable) dropped = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < changes->dropped->len; i++)
    {
      g_hash_table_add (dropped, changes->dropped->pdata[i]);
      g_ptr_array_add (changes->rows, changes->dropped->pdata[i]);
    }
  g_ptr_array_set_free_func (changes->dropped, NULL);
  g_ptr_array_set_size (changes->dropped, 0);
  g_ptr_array_set_free_func (changes->dropped, _sandbox_change_row_free);
  _sandbox_changes_sort (changes);
  for (guint i = 0; i < changes->rows->len; i++)
    if (g_hash_table_contains (dropped, changes->rows->pdata[i]))
      g_array_append_val (indexes, i);
  return indexes;
}

static void
follow_free (gpointer data)
{
  SandboxFollow *follow = data;

  g_free (follow->path);
  g_free (follow);
}

/* Files and links: a directory has others in it. Of what was merged the machine has more than was
 * applied. */
static gboolean
can_follow (const SandboxNode *node)
{
  return !node->merged
         && (node->type == SANDBOX_NODE_FILE || node->type == SANDBOX_NODE_SYMLINK
             || node->type == SANDBOX_NODE_ABSENT);
}

GPtrArray *
_sandbox_follow_list (const SandboxBase *base, int root_fd)
{
  g_autoptr (GPtrArray) paths = _sandbox_base_list_outdated (base, root_fd, FOLLOW_MAX);
  GPtrArray *list = g_ptr_array_new_with_free_func (follow_free);

  for (guint i = 0; i < paths->len; i++)
    {
      const SandboxNode *had = g_hash_table_lookup (base->applied, paths->pdata[i]);
      SandboxFollow *follow;
      SandboxNode now;

      if (!had->has_hash || !can_follow (had)
          || !_sandbox_tree_look (root_fd, paths->pdata[i], &now, NULL) || !can_follow (&now))
        continue;
      follow = g_new0 (SandboxFollow, 1);
      follow->path = g_strdup (paths->pdata[i]);
      follow->had = *had;
      follow->now = now;
      g_ptr_array_add (list, follow);
    }
  return list;
}

gboolean
_sandbox_follow_note (SandboxBase *base, int root_fd, const SandboxFollow *follow, GError **error)
{
  SandboxNode now;

  if (!_sandbox_tree_look (root_fd, follow->path, &now, error)
      || !_sandbox_node_hash (root_fd, follow->path, &now, error))
    return FALSE;
  /* edited meanwhile: which of the two it has got nobody knows */
  if (_sandbox_node_untouched (&now, &follow->now))
    _sandbox_base_set_applied (base, follow->path, &now);
  return TRUE;
}
