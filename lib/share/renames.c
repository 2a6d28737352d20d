// SPDX-License-Identifier: LGPL-2.1-or-later
// What is gone at one path and new at another with the same content: shown as one change, applied
// as two. A machine's layer knows of no renames; what this host's own file has and what the
// machine sent decide, and nothing that the machine says.
//
// What this host runs without being asked is never part of one: its content is shown in full.
#include "share/share.h"

#include "base/file.h"

#include <string.h>
#include <unistd.h>

/* Files of this host that have the size of a new one are read for it: all of them together not more
 * than this many times what the machine sent. */
#define READ_TIMES 2

typedef struct
{
  SandboxChanges *changes;
  GHashTable *sizes;    /* of the new files: guint64 */
  GHashTable *old;      /* content, and content and name -> GQueue of SandboxChangeRow */
  GHashTable *old_dirs; /* path -> SandboxChangeRow */
  GHashTable *n_old;    /* path of a directory -> how many in it are gone */
  GHashTable *guesses;  /* path of a new directory -> Guess */
  guint64 left_bytes;
} Renames;

/* What a new directory was, if all in it was in one other directory. */
typedef struct
{
  char *from;
  guint n;
  gboolean wrong;
} Guess;

static void
guess_free (gpointer data)
{
  Guess *guess = data;

  g_free (guess->from);
  g_free (guess);
}

static const char *
name_of (const char *path)
{
  const char *slash = strrchr (path, '/');

  return slash ? slash + 1 : path;
}

/* "" for what lies in the shared directory itself. (transfer full) */
static char *
parent_of (const char *path)
{
  const char *slash = strrchr (path, '/');

  return g_strndup (path, slash ? (gsize)(slash - path) : 0);
}

static gboolean
may_pair (const SandboxChangeRow *row, SandboxChangeKind kind)
{
  return row->pub.kind == kind && row->pub.state == SANDBOX_CHANGE_READY
         && row->pub.risk != SANDBOX_CHANGE_RUNS;
}

/* A file with something in it, or a link: nothing else tells of what it was. */
static gboolean
has_content (guint mode, guint64 size_bytes)
{
  return S_ISLNK (mode) || (S_ISREG (mode) && size_bytes > 0);
}

static gboolean
is_new (const SandboxChangeRow *row)
{
  return may_pair (row, SANDBOX_CHANGE_ADDED) && row->entry
         && has_content (row->pub.new_mode, row->pub.new_bytes);
}

/* A name has no "/". (transfer full) */
static char *
key_of (guint mode, const guint8 hash[SANDBOX_HASH_BYTES], const char *name)
{
  g_autofree char *hex = _sandbox_hash_to_hex (hash);

  return g_strconcat (S_ISLNK (mode) ? "l" : "f", hex, "/", name, NULL);
}

static void
add_old (Renames *renames, char *key, SandboxChangeRow *row)
{
  GQueue *queue = g_hash_table_lookup (renames->old, key);

  if (!queue)
    {
      queue = g_queue_new ();
      g_hash_table_insert (renames->old, g_strdup (key), queue);
    }
  g_queue_push_tail (queue, row);
  g_free (key);
}

/* One that cannot be read is like no other. */
static gboolean
hash_old (Renames *renames, const SandboxChangeRow *row, guint8 hash[SANDBOX_HASH_BYTES])
{
  const SandboxChanges *changes = renames->changes;
  sandbox_autofd int fd = -1;

  if (S_ISLNK (row->pub.old_mode))
    {
      g_autofree char *link = _sandbox_tree_read_link (changes->root_fd, row->pub.path, NULL);

      if (link)
        _sandbox_text_hash (link, hash);
      return link != NULL;
    }
  if (row->pub.old_bytes > renames->left_bytes
      || !g_hash_table_contains (renames->sizes, &row->pub.old_bytes))
    return FALSE;
  renames->left_bytes -= row->pub.old_bytes;
  fd = _sandbox_tree_open (changes->root_fd, row->pub.path, NULL);
  return fd >= 0 && _sandbox_tree_hash (fd, 0, row->pub.old_bytes, hash, NULL);
}

static gboolean
collect_old (Renames *renames, GCancellable *cancellable, GError **error)
{
  for (guint i = 0; i < renames->changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (renames->changes, i);
      guint8 hash[SANDBOX_HASH_BYTES];
      char *parent;

      if (row->pub.kind != SANDBOX_CHANGE_DELETED)
        continue;
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      parent = parent_of (row->pub.path);
      g_hash_table_insert (
          renames->n_old, parent,
          GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (renames->n_old, parent)) + 1));
      if (!may_pair (row, SANDBOX_CHANGE_DELETED))
        continue;
      if (S_ISDIR (row->pub.old_mode))
        g_hash_table_insert (renames->old_dirs, row->pub.path, row);
      if (!has_content (row->pub.old_mode, row->pub.old_bytes) || !hash_old (renames, row, hash))
        continue;
      add_old (renames, key_of (row->pub.old_mode, hash, name_of (row->pub.path)), row);
      add_old (renames, key_of (row->pub.old_mode, hash, ""), row);
    }
  return TRUE;
}

static void
pair (SandboxChangeRow *old, SandboxChangeRow *new)
{
  old->pub.renamed_to = g_strdup (new->pub.path);
  new->pub.renamed_from = g_strdup (old->pub.path);
}

/* The first that was not taken by another one. */
static SandboxChangeRow *
take_old (Renames *renames, const SandboxChangeRow *row, const char *name)
{
  guint8 hash[SANDBOX_HASH_BYTES];
  g_autofree char *key = NULL;
  SandboxChangeRow *old = NULL;
  GQueue *queue;

  _sandbox_upper_hash (row->entry, hash);
  key = key_of (row->pub.new_mode, hash, name);
  queue = g_hash_table_lookup (renames->old, key);
  do
    old = queue ? g_queue_pop_head (queue) : NULL;
  while (old && old->pub.renamed_to);
  return old;
}

/* Those that kept their name, in another directory, come first. */
static void
pair_files (Renames *renames, gboolean same_name)
{
  for (guint i = 0; i < renames->changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (renames->changes, i), *old;

      if (!is_new (row) || row->pub.renamed_from)
        continue;
      old = take_old (renames, row, same_name ? name_of (row->pub.path) : "");
      if (old)
        pair (old, row);
    }
}

/* What the new directory in which @row lies was, as far as @row says. */
static void
guess_above (Renames *renames, const SandboxChangeRow *row)
{
  const char *from = row->pub.renamed_from;
  char *parent = parent_of (row->pub.path);
  g_autofree char *was = from ? parent_of (from) : NULL;
  Guess *guess = g_hash_table_lookup (renames->guesses, parent);

  if (guess)
    g_free (parent);
  else
    {
      guess = g_new0 (Guess, 1);
      guess->from = g_strdup (was);
      g_hash_table_insert (renames->guesses, parent, guess);
    }
  guess->n++;
  if (!from || strcmp (name_of (from), name_of (row->pub.path)) != 0
      || g_strcmp0 (guess->from, was) != 0)
    guess->wrong = TRUE;
}

/* All that was in the one is in the other, under the same names. From the bottom up. */
static void
pair_dirs (Renames *renames)
{
  for (guint i = renames->changes->rows->len; i > 0; i--)
    {
      SandboxChangeRow *row = _sandbox_changes_row (renames->changes, i - 1), *old = NULL;
      const Guess *guess = g_hash_table_lookup (renames->guesses, row->pub.path);

      if (may_pair (row, SANDBOX_CHANGE_ADDED) && S_ISDIR (row->pub.new_mode) && guess
          && !guess->wrong)
        old = g_hash_table_lookup (renames->old_dirs, guess->from);
      if (old && !old->pub.renamed_to
          && guess->n == GPOINTER_TO_UINT (g_hash_table_lookup (renames->n_old, old->pub.path)))
        pair (old, row);
      if (row->pub.kind != SANDBOX_CHANGE_DELETED)
        guess_above (renames, row);
    }
}

gboolean
_sandbox_renames_mark (SandboxChanges *changes, GCancellable *cancellable, GError **error)
{
  g_autoptr (GHashTable) sizes = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_autoptr (GHashTable) old = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                                      (GDestroyNotify)(gpointer)g_queue_free);
  g_autoptr (GHashTable) old_dirs = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) n_old = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) guesses =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, guess_free);
  Renames renames = {
    changes, sizes, old, old_dirs, n_old, guesses, READ_TIMES * changes->upper->spool_bytes
  };
  gboolean any = FALSE;

  for (guint i = 0; i < changes->rows->len; i++)
    {
      SandboxChangeRow *row = _sandbox_changes_row (changes, i);

      if (!is_new (row))
        continue;
      any = TRUE;
      g_hash_table_add (sizes, &row->pub.new_bytes);
    }
  if (!any)
    return TRUE;
  if (!collect_old (&renames, cancellable, error))
    return FALSE;
  pair_files (&renames, TRUE);
  pair_files (&renames, FALSE);
  pair_dirs (&renames);
  return TRUE;
}
