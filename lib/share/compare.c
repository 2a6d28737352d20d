// SPDX-License-Identifier: LGPL-2.1-or-later
// Three sides of each path: the machine's, this host's now, and this host's own record of what the
// machine began with. Only what the machine names is looked at, so the cost does not grow with the
// tree.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK    (256 * 1024)
#define KNOWN    0777
#define RUN_BITS 0111

typedef struct
{
  SandboxChanges *changes;
  GCancellable *cancellable;
  GHashTable *bare; /* directories that are a repository without a working tree */
} Compare;

/* Nobody else is let write, unless this host's file has it so. */
static guint
wanted_mode (const SandboxUpperEntry *entry, const SandboxNode *host)
{
  guint mode = entry->mode & KNOWN;

  return mode & ~((S_IWGRP | S_IWOTH) & ~host->mode);
}

static guint
full_mode (guint8 type, guint mode)
{
  switch (type)
    {
    case SANDBOX_NODE_FILE:
      return S_IFREG | mode;
    case SANDBOX_NODE_DIR:
      return S_IFDIR | mode;
    case SANDBOX_NODE_SYMLINK:
      return S_IFLNK | 0777;
    default:
      return 0;
    }
}

static SandboxNodeType
node_type (const SandboxUpperEntry *entry)
{
  if (!entry || entry->type == SANDBOX_UPPER_WHITEOUT)
    return SANDBOX_NODE_ABSENT;
  return entry->type == SANDBOX_UPPER_FILE      ? SANDBOX_NODE_FILE
         : entry->type == SANDBOX_UPPER_DIR     ? SANDBOX_NODE_DIR
         : entry->type == SANDBOX_UPPER_SYMLINK ? SANDBOX_NODE_SYMLINK
                                                : SANDBOX_NODE_OTHER;
}

static void
set_state (SandboxChangeRow *row, SandboxChangeState state, const char *reason)
{
  row->pub.state = state;
  g_free (row->pub.reason);
  row->pub.reason = g_strdup (reason);
}

/* The machine has there what was applied from it before: it has changed nothing since, and what
 * this host has made of it is not its business. */
static gboolean
is_old_news (const SandboxNode *record, const SandboxUpperEntry *entry)
{
  SandboxNodeType type = node_type (entry);
  guint8 hash[SANDBOX_HASH_BYTES];

  if (!record->has_hash || record->type != type)
    return FALSE;
  if (type == SANDBOX_NODE_ABSENT)
    return TRUE;
  _sandbox_upper_hash (entry, hash);
  return memcmp (record->hash, hash, SANDBOX_HASH_BYTES) == 0
         && (type == SANDBOX_NODE_SYMLINK || (record->mode & KNOWN) == wanted_mode (entry, record));
}

static void
judge (const SandboxNode *record, SandboxChangeRow *row)
{
  const SandboxNode *host = &row->host;

  if (host->type == SANDBOX_NODE_OTHER)
    set_state (row, SANDBOX_CHANGE_REFUSED,
               "on this host it is a device, a FIFO or the like, or on another mount");
  else if (record->type == SANDBOX_NODE_UNKNOWN)
    set_state (row, SANDBOX_CHANGE_CONFLICT, "this host has no record of what was there before");
  else if (row->pub.kind == SANDBOX_CHANGE_MODE && record->type == host->type
               ? record->mode != host->mode
               : record->merged || !_sandbox_node_untouched (record, host))
    set_state (row, SANDBOX_CHANGE_CONFLICT,
               record->type == SANDBOX_NODE_ABSENT ? "this host has made it, too"
               : host->type == SANDBOX_NODE_ABSENT ? "this host has removed it"
                                                   : "it changed on this host, too");
}

static void
refuse_unread (SandboxChangeRow *row, const char *reason)
{
  set_state (row, SANDBOX_CHANGE_REFUSED, reason);
  row->unread = TRUE;
}

/* FALSE when this host's user may not read it, or what is in it: nothing could be shown of it, nor
 * kept for an undo. */
static gboolean
may_read (const Compare *compare, const char *path, const SandboxNode *host)
{
  int root_fd = compare->changes->root_fd;
  gboolean dir = host->type == SANDBOX_NODE_DIR;
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = -1;

  if (!dir && host->type != SANDBOX_NODE_FILE)
    return TRUE;
  fd = dir ? _sandbox_tree_open_dir (root_fd, path, &local)
           : _sandbox_tree_open (root_fd, path, &local);
  if (fd < 0)
    return !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_DENIED);
  return !dir || faccessat (fd, ".", X_OK, AT_EACCESS) == 0;
}

static SandboxChangeRow *
add_row (Compare *compare, const char *path, const SandboxUpperEntry *entry,
         const SandboxNode *host, SandboxChangeKind kind)
{
  SandboxChanges *changes = compare->changes;
  SandboxChangeRow *row = g_new0 (SandboxChangeRow, 1);
  SandboxNodeType type = node_type (entry);
  guint mode = entry ? wanted_mode (entry, host) : 0;
  gboolean git = FALSE;

  row->entry = entry;
  row->host = *host;
  row->pub.path = g_strdup (path);
  row->pub.kind = kind;
  row->pub.risk = _sandbox_classes_risk (changes->classes, path, &git);
  row->pub.old_mode = full_mode (host->type, host->mode & KNOWN);
  row->pub.new_mode = full_mode (type, mode);
  row->pub.old_bytes = host->type == SANDBOX_NODE_FILE ? host->size_bytes : 0;
  if (type == SANDBOX_NODE_FILE)
    {
      row->offset = entry->offset;
      row->size_bytes = row->pub.new_bytes = entry->size_bytes;
      row->pub.runnable =
          (mode & RUN_BITS) && !(host->type == SANDBOX_NODE_FILE && (host->mode & RUN_BITS));
    }
  if (type == SANDBOX_NODE_SYMLINK)
    row->pub.link = g_strdup (entry->link);
  g_ptr_array_add (changes->rows, row);
  return row;
}

/* Adds the row, unless the machine changed nothing since it was applied. */
static SandboxChangeRow *
note (Compare *compare, const char *path, const SandboxUpperEntry *entry, const SandboxNode *host,
      SandboxChangeKind kind)
{
  SandboxChangeRow *row;
  SandboxNode record;

  _sandbox_base_find (compare->changes->base, path, &record);
  if (is_old_news (&record, entry))
    return NULL;
  row = add_row (compare, path, entry, host, kind);
  judge (&record, row);
  if (kind != SANDBOX_CHANGE_MODE && !may_read (compare, path, host))
    refuse_unread (row, "this host's own cannot be read, so that nothing could bring it back: "
                        "change its permissions, or remove it yourself");
  if (entry && entry->shared && row->pub.state == SANDBOX_CHANGE_READY)
    set_state (row, SANDBOX_CHANGE_READY, "a hard link in the machine, here a file of its own");
  return row;
}

static gboolean
same_content (Compare *compare, const SandboxUpperEntry *entry, const SandboxNode *host,
              gboolean *ret_same, GError **error)
{
  SandboxChanges *changes = compare->changes;
  sandbox_autofd int fd = -1;
  g_autofree char *mine = NULL, *theirs = NULL;

  *ret_same = FALSE;
  if (host->size_bytes != entry->size_bytes)
    return TRUE;
  fd = _sandbox_tree_open (changes->root_fd, entry->path, NULL);
  /* one that cannot be read differs, as far as anybody can tell */
  if (fd < 0)
    return TRUE;
  mine = g_malloc (BLOCK);
  theirs = g_malloc (BLOCK);
  for (guint64 at = 0; at < entry->size_bytes; at += BLOCK)
    {
      gsize length = (gsize)MIN (entry->size_bytes - at, BLOCK);

      if (pread (changes->upper->spool_fd, theirs, length, (off_t)(entry->offset + at))
          != (gssize)length)
        return sandbox_fail_errno (error, errno, "reading the machine's changes again");
      if (pread (fd, mine, length, (off_t)at) != (gssize)length
          || memcmp (mine, theirs, length) != 0)
        return TRUE;
    }
  *ret_same = TRUE;
  return TRUE;
}

static gboolean
has (const Compare *compare, const char *dir, const char *name)
{
  g_autofree char *path = dir[0] ? g_strconcat (dir, "/", name, NULL) : g_strdup (name);
  const SandboxUpperEntry *entry = _sandbox_upper_find (compare->changes->upper, path);
  SandboxNode host;

  if (entry)
    return entry->type != SANDBOX_UPPER_WHITEOUT;
  return _sandbox_tree_look (compare->changes->root_fd, path, &host, NULL)
         && host.type != SANDBOX_NODE_ABSENT;
}

/* Git takes a directory with these for a repository, and its "config" and "hooks" with it: whatever
 * of them the machine has, and whatever this host. */
static gboolean
is_bare (const Compare *compare, const char *dir)
{
  return has (compare, dir, "HEAD")
         && (has (compare, dir, "commondir")
             || (has (compare, dir, "objects") && has (compare, dir, "refs")));
}

typedef struct
{
  Compare *compare;
  GPtrArray *stays; /* directories with something in them that stays */
} Deletion;

static gboolean
delete_one (const char *path, SandboxNode *node, gboolean *ret_enter, gpointer user_data,
            GError **error)
{
  Deletion *deletion = user_data;
  Compare *compare = deletion->compare;
  SandboxChangeRow *row;
  gboolean git = FALSE;

  /* what the machine has of that name is its own affair */
  if (_sandbox_upper_find (compare->changes->upper, path))
    {
      *ret_enter = FALSE;
      return TRUE;
    }
  _sandbox_class_of (path, &git);
  if (git || (node->type == SANDBOX_NODE_DIR && is_bare (compare, path)))
    {
      *ret_enter = FALSE;
      compare->changes->n_git++;
      g_ptr_array_add (deletion->stays, g_strdup (path));
      return TRUE;
    }
  if (compare->changes->rows->len >= 2 * SANDBOX_UPPER_ENTRIES_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                         "reading the machine's changes: they remove more than %d files",
                         SANDBOX_UPPER_ENTRIES_MAX);
  row = note (compare, path, NULL, node, SANDBOX_CHANGE_DELETED);
  if (!row || row->pub.state != SANDBOX_CHANGE_READY)
    g_ptr_array_add (deletion->stays, g_strdup (path));
  return TRUE;
}

/* What may not be read stays, with its own reason. */
static gboolean
delete_in (const char *path, SandboxNode *node, gboolean *ret_enter, gpointer user_data,
           GError **error)
{
  const Deletion *deletion = user_data;

  if (!delete_one (path, node, ret_enter, user_data, error))
    return FALSE;
  if (node->type == SANDBOX_NODE_DIR && !may_read (deletion->compare, path, node))
    *ret_enter = FALSE;
  return TRUE;
}

/* Rows since @first whose directory is not empty afterwards cannot go either. */
static void
keep_above (Compare *compare, guint first, GPtrArray *stays)
{
  g_autoptr (GHashTable) kept = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < stays->len; i++)
    {
      g_autofree char *path = g_strdup (g_ptr_array_index (stays, i));

      for (char *slash = strrchr (path, '/'); slash; slash = strrchr (path, '/'))
        {
          *slash = '\0';
          if (!g_hash_table_add (kept, g_strdup (path)))
            break;
        }
    }
  for (guint i = first; i < compare->changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (compare->changes, i);

      if (g_hash_table_contains (kept, row->pub.path))
        set_state (row, SANDBOX_CHANGE_CONFLICT, "it holds what this host must not lose");
    }
}

/* All that this host has in the directory @path and that the machine's view no longer has. @row
 * (nullable): of the directory itself. */
static gboolean
delete_below (Compare *compare, const char *path, SandboxChangeRow *row, GError **error)
{
  g_autoptr (GPtrArray) stays = g_ptr_array_new_with_free_func (g_free);
  Deletion deletion = { compare, stays };
  guint first = compare->changes->rows->len;
  SandboxNode dir = { .type = SANDBOX_NODE_DIR };

  if (!may_read (compare, path, &dir))
    return TRUE;
  if (!_sandbox_tree_walk (compare->changes->root_fd, path, delete_in, &deletion,
                           compare->cancellable, error))
    return FALSE;
  keep_above (compare, first, stays);
  if (row && stays->len > 0)
    set_state (row, SANDBOX_CHANGE_CONFLICT, "it holds what this host must not lose");
  return TRUE;
}

static gboolean
compare_whiteout (Compare *compare, const SandboxUpperEntry *entry, const SandboxNode *host,
                  GError **error)
{
  SandboxChangeRow *row;

  if (host->type == SANDBOX_NODE_ABSENT)
    return TRUE;
  row = note (compare, entry->path, entry, host, SANDBOX_CHANGE_DELETED);
  return !row || host->type != SANDBOX_NODE_DIR || delete_below (compare, entry->path, row, error);
}

/* Whether the machine has other permissions than this host, and of its own doing: what is as it
 * began with was changed here. */
static gboolean
has_own_mode (const Compare *compare, const SandboxUpperEntry *entry, const SandboxNode *host)
{
  SandboxNode record;

  if ((host->mode & KNOWN) == wanted_mode (entry, host))
    return FALSE;
  _sandbox_base_find (compare->changes->base, entry->path, &record);
  return record.type != host->type || (record.mode & KNOWN) != wanted_mode (entry, &record);
}

static gboolean
compare_dir (Compare *compare, const SandboxUpperEntry *entry, const SandboxNode *host,
             GError **error)
{
  if (host->type == SANDBOX_NODE_DIR)
    {
      if (has_own_mode (compare, entry, host))
        note (compare, entry->path, entry, host, SANDBOX_CHANGE_MODE);
      return !entry->opaque || delete_below (compare, entry->path, NULL, error);
    }
  note (compare, entry->path, entry, host,
        host->type == SANDBOX_NODE_ABSENT ? SANDBOX_CHANGE_ADDED : SANDBOX_CHANGE_REPLACED);
  return TRUE;
}

static gboolean
compare_file (Compare *compare, const SandboxUpperEntry *entry, const SandboxNode *host,
              GError **error)
{
  gboolean same = FALSE;

  if (!same_content (compare, entry, host, &same, error))
    return FALSE;
  if (!same)
    note (compare, entry->path, entry, host, SANDBOX_CHANGE_MODIFIED);
  else if (has_own_mode (compare, entry, host))
    note (compare, entry->path, entry, host, SANDBOX_CHANGE_MODE);
  return TRUE;
}

static gboolean
compare_link (Compare *compare, const SandboxUpperEntry *entry, const SandboxNode *host,
              GError **error)
{
  g_autofree char *have = _sandbox_tree_read_link (compare->changes->root_fd, entry->path, error);

  if (!have)
    return FALSE;
  if (strcmp (have, entry->link) != 0)
    note (compare, entry->path, entry, host, SANDBOX_CHANGE_MODIFIED);
  return TRUE;
}

/* What lies where this host's user may not look. */
static gboolean
note_hidden (Compare *compare, const SandboxUpperEntry *entry, const GError *why, GError **error)
{
  static const SandboxNode nothing = { .type = SANDBOX_NODE_ABSENT };
  SandboxChangeRow *row;

  if (!g_error_matches (why, SANDBOX_ERROR, SANDBOX_ERROR_DENIED))
    {
      g_propagate_error (error, g_error_copy (why));
      return FALSE;
    }
  row = add_row (compare, entry->path, entry, &nothing,
                 entry->type == SANDBOX_UPPER_WHITEOUT ? SANDBOX_CHANGE_DELETED
                                                       : SANDBOX_CHANGE_ADDED);
  refuse_unread (row, "on this host it lies in a directory that may not be entered");
  return TRUE;
}

static gboolean
compare_entry (Compare *compare, const SandboxUpperEntry *entry, GError **error)
{
  SandboxNodeType type = node_type (entry);
  g_autoptr (GError) local = NULL;
  SandboxChangeRow *row;
  SandboxNode host;

  if (!_sandbox_tree_look (compare->changes->root_fd, entry->path, &host, &local))
    return note_hidden (compare, entry, local, error);
  if (host.type == SANDBOX_NODE_DIR && type != SANDBOX_NODE_DIR && is_bare (compare, entry->path))
    {
      compare->changes->n_git++;
      return TRUE;
    }
  if (entry->refusal)
    {
      row = add_row (compare, entry->path, entry, &host,
                     type == SANDBOX_NODE_ABSENT        ? SANDBOX_CHANGE_DELETED
                     : host.type == SANDBOX_NODE_ABSENT ? SANDBOX_CHANGE_ADDED
                     : host.type == type                ? SANDBOX_CHANGE_MODIFIED
                                                        : SANDBOX_CHANGE_REPLACED);
      set_state (row, SANDBOX_CHANGE_REFUSED, entry->refusal);
      row->unread = !may_read (compare, entry->path, &host);
      return TRUE;
    }
  if (type == SANDBOX_NODE_ABSENT)
    return compare_whiteout (compare, entry, &host, error);
  if (type == SANDBOX_NODE_DIR)
    return compare_dir (compare, entry, &host, error);
  if (host.type == type)
    return type == SANDBOX_NODE_FILE ? compare_file (compare, entry, &host, error)
                                     : compare_link (compare, entry, &host, error);
  row = note (compare, entry->path, entry, &host,
              host.type == SANDBOX_NODE_ABSENT ? SANDBOX_CHANGE_ADDED : SANDBOX_CHANGE_REPLACED);
  return !row || host.type != SANDBOX_NODE_DIR || delete_below (compare, entry->path, row, error);
}

static void
find_bare (Compare *compare)
{
  GPtrArray *entries = compare->changes->upper->entries;

  for (guint i = 0; i < entries->len; i++)
    {
      const SandboxUpperEntry *entry = g_ptr_array_index (entries, i);

      if (entry->type == SANDBOX_UPPER_DIR && !entry->git && is_bare (compare, entry->path))
        g_hash_table_add (compare->bare, g_strdup (entry->path));
    }
}

static gboolean
in_bare (const Compare *compare, const char *path)
{
  g_autofree char *above = g_strdup (path);

  while (g_hash_table_size (compare->bare) > 0 && above[0])
    {
      char *slash = strrchr (above, '/');

      *(slash ? slash : above) = '\0';
      if (g_hash_table_contains (compare->bare, above))
        return TRUE;
    }
  return FALSE;
}

static int
compare_rows (gconstpointer a, gconstpointer b)
{
  const SandboxChangeRow *const *x = a, *const *y = b;

  return _sandbox_path_compare ((*x)->pub.path, (*y)->pub.path);
}

void
_sandbox_changes_sort (SandboxChanges *changes)
{
  g_ptr_array_sort (changes->rows, compare_rows);
}

gboolean
_sandbox_changes_compare (SandboxChanges *changes, GCancellable *cancellable, GError **error)
{
  g_autoptr (GHashTable) bare = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  Compare compare = { changes, cancellable, bare };
  GPtrArray *entries = changes->upper->entries;

  find_bare (&compare);
  for (guint i = 1; i < entries->len; i++)
    {
      SandboxUpperEntry *entry = g_ptr_array_index (entries, i);

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      entry->git = entry->git || in_bare (&compare, entry->path);
      if (entry->git)
        changes->n_git++;
      else if (!compare_entry (&compare, entry, error))
        return FALSE;
    }
  _sandbox_changes_sort (changes);
  _sandbox_settings_mark (changes);
  if (!_sandbox_merge_rows (changes, cancellable, error)
      || !_sandbox_links_mark (changes, cancellable, error))
    return FALSE;
  _sandbox_dropped_hide (changes);
  return _sandbox_renames_mark (changes, cancellable, error)
         && _sandbox_ignored_mark (changes, cancellable, error);
}
