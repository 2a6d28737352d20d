// SPDX-License-Identifier: LGPL-2.1-or-later
// What somebody was shown of a change set, in "TAG.shown": the machine sends its changes anew for
// each look and each apply, and may send others by then. An apply that is bound to what was shown
// leaves those out.
//
// There is a record from the first look on until nothing of the change set is left. A node of it
// has the machine's type and mode, in @mode, and the hash of its content; @below_unknown: one line
// of it was shown, and not the content.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>

static char *
shown_name (const SandboxChanges *changes)
{
  return g_strconcat (changes->tag, SANDBOX_SHOWN_SUFFIX, NULL);
}

void
_sandbox_row_machines_side (const SandboxChangeRow *row, SandboxNode *ret_node)
{
  const SandboxUpperEntry *entry = row->entry;

  *ret_node = (SandboxNode){ .mode = row->pub.new_mode & S_IFMT, .has_hash = TRUE };
  if (!entry)
    return;
  ret_node->mode |= entry->mode & 0777;
  _sandbox_upper_hash (entry, ret_node->hash);
}

static gboolean
is_same (const SandboxNode *a, const SandboxNode *b)
{
  return a->mode == b->mode && memcmp (a->hash, b->hash, SANDBOX_HASH_BYTES) == 0;
}

/* One that is damaged says of nothing that it was shown. */
static gboolean
open_shown (const SandboxChanges *changes, SandboxRecords **ret_records)
{
  g_autofree char *name = shown_name (changes);
  g_autoptr (GError) local = NULL;

  *ret_records = NULL;
  if (_sandbox_records_open (changes->dir_fd, name, ret_records, &local))
    return *ret_records != NULL;
  g_debug ("%s", local->message);
  return TRUE;
}

static gboolean
find_shown (const SandboxRecords *records, const char *path, SandboxNode *ret_node)
{
  return records && _sandbox_records_find (records, path, ret_node);
}

void
_sandbox_shown_compare (SandboxChanges *changes)
{
  g_autoptr (SandboxRecords) records = NULL;

  if (!open_shown (changes, &records))
    return;
  for (guint i = 0; i < changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (changes, i);
      SandboxNode shown, node;

      _sandbox_row_machines_side (row, &node);
      row->pub.unseen = !find_shown (records, row->pub.path, &shown) || !is_same (&shown, &node);
    }
}

/* What was shown, and is no change now: an undo may make it one again. */
static void
keep_others (const SandboxChanges *changes, const SandboxRecords *records,
             SandboxRecorder *recorder)
{
  guint n = records ? MIN (_sandbox_records_get_length (records), SANDBOX_UPPER_ENTRIES_MAX) : 0;
  g_autoptr (GHashTable) paths = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < changes->rows->len; i++)
    g_hash_table_add (paths, sandbox_changes_get (changes, i)->path);
  for (guint i = 0; i < n; i++)
    {
      SandboxNode node;
      const char *path = _sandbox_records_get (records, i, &node);

      if (path && !g_hash_table_contains (paths, path))
        _sandbox_recorder_add (recorder, path, &node);
    }
}

gboolean
sandbox_changes_note_shown (SandboxChanges *changes, const guint *chosen, gsize n_chosen,
                            gboolean whole, GError **error)
{
  g_autofree gboolean *shown = g_new0 (gboolean, changes->rows->len + 1);
  g_autofree char *name = shown_name (changes);
  g_autoptr (SandboxRecorder) recorder = _sandbox_recorder_new ();
  g_autoptr (SandboxRecords) records = NULL;
  gboolean bound = open_shown (changes, &records);

  if (changes->rows->len == 0)
    return _sandbox_shown_remove (changes->dir_fd, changes->tag, error);
  if (!bound && chosen && n_chosen == 0)
    return TRUE;
  for (gsize i = 0; i < (chosen ? n_chosen : changes->rows->len); i++)
    shown[chosen ? chosen[i] : i] = TRUE;
  for (guint i = 0; i < changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (changes, i);
      SandboxNode old, node;
      gboolean known = find_shown (records, row->pub.path, &old);

      _sandbox_row_machines_side (row, &node);
      node.below_unknown = !whole;
      /* a line does not tell that the content is another one than was looked at */
      if (known && (!shown[i] || (!whole && !old.below_unknown)))
        node = old;
      else if (shown[i])
        row->pub.unseen = FALSE;
      else
        continue;
      _sandbox_recorder_add (recorder, row->pub.path, &node);
    }
  keep_others (changes, records, recorder);
  if (_sandbox_recorder_save (recorder, changes->dir_fd, name, error))
    return TRUE;
  g_prefix_error (error, "noting what was shown of the changes of %s: ", changes->machine);
  return FALSE;
}

void
_sandbox_shown_forget (const SandboxChanges *changes, const gboolean *gone)
{
  g_autoptr (GError) local = NULL;

  for (guint i = 0; i < changes->rows->len; i++)
    if (!gone[i])
      return;
  /* one that stays is no harm: more is left out by the next apply */
  if (!_sandbox_shown_remove (changes->dir_fd, changes->tag, &local))
    g_debug ("%s", local->message);
}

gboolean
_sandbox_shown_remove (int dir_fd, const char *tag, GError **error)
{
  g_autofree char *name = g_strconcat (tag, SANDBOX_SHOWN_SUFFIX, NULL);

  return sandbox_remove_at (dir_fd, name, error);
}
