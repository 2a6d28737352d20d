// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading lists of files, and what two of them differ in.
#include "share/tree-diff.h"

#include "base/error.h"

#include <string.h>

#define MODE_MAX 07777

/* Points into the text. */
typedef struct
{
  const char *path, *link, *mtime, *ctime;
  guint64 bytes;
  guint mode, uid, gid;
  char type; /* as find has it: f, d, l, ... */
} Entry;

struct _SandboxTree
{
  char *text;
  GArray *entries; /* of Entry, by path, each path once */
};

static gboolean
fail_list (GError **error)
{
  return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                       "reading the list of its files: it is damaged, or none");
}

/* The next word, which ends with a blank. */
static char *
take_word (char **at)
{
  char *word = *at, *blank = strchr (word, ' ');

  if (blank == NULL || blank == word)
    return NULL;
  *blank = '\0';
  *at = blank + 1;
  return word;
}

static gboolean
take_number (char **at, guint base, guint64 max, guint64 *ret_number)
{
  char *word = take_word (at);

  return word != NULL && g_ascii_string_to_unsigned (word, base, 0, max, ret_number, NULL);
}

/* "1700000000.0123456789" */
static const char *
take_time (char **at)
{
  char *word = take_word (at);

  return word != NULL && strlen (word) < 40 && strspn (word, "-0123456789.") == strlen (word)
             ? word
             : NULL;
}

static gboolean
parse_entry (char *line, char *link, Entry *entry)
{
  char *type = take_word (&line);
  guint64 mode = 0, uid = 0, gid = 0;

  if (type == NULL || strlen (type) != 1 || !take_number (&line, 8, MODE_MAX, &mode)
      || !take_number (&line, 10, G_MAXUINT32, &uid) || !take_number (&line, 10, G_MAXUINT32, &gid)
      || !take_number (&line, 10, G_MAXINT64, &entry->bytes))
    return FALSE;
  entry->type = *type;
  entry->mode = (guint)mode;
  entry->uid = (guint)uid;
  entry->gid = (guint)gid;
  entry->mtime = take_time (&line);
  entry->ctime = entry->mtime != NULL ? take_time (&line) : NULL;
  entry->path = line;
  entry->link = link;
  return entry->ctime != NULL;
}

static int
compare_entries (gconstpointer a, gconstpointer b)
{
  return strcmp (((const Entry *)a)->path, ((const Entry *)b)->path);
}

/* The line at *@at, without its end; NULL when there is none. */
static char *
take_line (char **at)
{
  char *line = *at, *end = strchr (line, '\n');

  if (end == NULL)
    return NULL;
  *end = '\0';
  *at = end + 1;
  return line;
}

static gboolean
parse_all (SandboxTree *tree, GError **error)
{
  for (char *at = tree->text; *at != '\0';)
    {
      char *line = take_line (&at), *link = line != NULL ? take_line (&at) : NULL;
      Entry entry = { NULL };

      if (link == NULL || !parse_entry (line, link, &entry))
        return fail_list (error);
      /* the root itself */
      if (*entry.path == '\0')
        continue;
      if (tree->entries->len >= SANDBOX_TREE_ENTRIES_MAX)
        return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                             "reading the list of its files: there are more than %d",
                             SANDBOX_TREE_ENTRIES_MAX);
      g_array_append_val (tree->entries, entry);
    }
  return TRUE;
}

SandboxTree *
_sandbox_tree_parse (char *text, GError **error)
{
  g_autoptr (SandboxTree) tree = g_new0 (SandboxTree, 1);

  tree->text = text;
  tree->entries = g_array_new (FALSE, FALSE, sizeof (Entry));
  if (!parse_all (tree, error))
    return NULL;
  g_array_sort (tree->entries, compare_entries);
  for (guint i = 1; i < tree->entries->len; i++)
    if (compare_entries (&g_array_index (tree->entries, Entry, i - 1),
                         &g_array_index (tree->entries, Entry, i))
        == 0)
      {
        fail_list (error);
        return NULL;
      }
  return g_steal_pointer (&tree);
}

void
_sandbox_tree_free (SandboxTree *tree)
{
  if (tree == NULL)
    return;
  g_array_unref (tree->entries);
  g_free (tree->text);
  g_free (tree);
}

/* --- difference */

/* NULL: none. Of a directory what is in it is told by itself. A file whose times of change alone
 * differ may have other content all the same: the time of writing can be put back. */
static const char *
kind_of (const Entry *old, const Entry *new)
{
  if (old == NULL || new == NULL)
    return old == NULL ? "added" : "deleted";
  if (old->type != new->type)
    return "replaced";
  if (old->type == 'f' && (old->bytes != new->bytes || strcmp (old->mtime, new->mtime) != 0))
    return "modified";
  if (old->type == 'l' && strcmp (old->link, new->link) != 0)
    return "modified";
  if (old->mode != new->mode || old->uid != new->uid || old->gid != new->gid)
    return "mode";
  return old->type == 'f' && strcmp (old->ctime, new->ctime) != 0 ? "touched" : NULL;
}

static void
fill_side (const Entry *entry, guint *mode, guint *uid, guint *gid, guint64 *bytes)
{
  if (entry == NULL)
    return;
  *mode = entry->mode;
  *uid = entry->uid;
  *gid = entry->gid;
  *bytes = entry->type == 'f' ? entry->bytes : 0;
}

static SandboxSnapshotChange *
make_change (const char *kind, const Entry *old, const Entry *new)
{
  SandboxSnapshotChange *change = g_new0 (SandboxSnapshotChange, 1);
  const Entry *shown = new != NULL ? new : old;

  change->kind = kind;
  change->path = g_strdup (shown->path);
  change->type = shown->type;
  change->link = g_strdup (shown->type == 'l' ? shown->link : "");
  fill_side (old, &change->old_mode, &change->old_uid, &change->old_gid, &change->old_bytes);
  fill_side (new, &change->new_mode, &change->new_uid, &change->new_gid, &change->new_bytes);
  return change;
}

void
sandbox_snapshot_change_free (SandboxSnapshotChange *change)
{
  if (change == NULL)
    return;
  g_free (change->path);
  g_free (change->link);
  g_free (change);
}

static const Entry *
entry_at (const SandboxTree *tree, guint index)
{
  return index < tree->entries->len ? &g_array_index (tree->entries, Entry, index) : NULL;
}

GPtrArray *
_sandbox_tree_diff (const SandboxTree *old, const SandboxTree *new, guint *ret_n_left_out)
{
  GPtrArray *changes =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_snapshot_change_free);
  guint i = 0, k = 0;

  *ret_n_left_out = 0;
  for (;;)
    {
      const Entry *before = entry_at (old, i), *after = entry_at (new, k);
      int order = before == NULL ? 1 : after == NULL ? -1 : strcmp (before->path, after->path);
      const char *kind;

      if (before == NULL && after == NULL)
        return changes;
      before = order <= 0 ? before : NULL;
      after = order >= 0 ? after : NULL;
      i += order <= 0;
      k += order >= 0;
      kind = kind_of (before, after);
      if (kind == NULL)
        continue;
      if (changes->len < SANDBOX_TREE_CHANGES_MAX)
        g_ptr_array_add (changes, make_change (kind, before, after));
      else
        (*ret_n_left_out)++;
    }
}
