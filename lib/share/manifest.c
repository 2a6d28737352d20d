// SPDX-License-Identifier: LGPL-2.1-or-later
// The host's own record of what a machine began with, and of what was applied since. A machine's
// word about that is never asked for.
//
// The record of a path is the oldest since the machine's layer began, or since that path was
// applied last. A record that is too old makes a conflict; one that is too new would let an apply
// take back an edit of the host's.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

typedef struct
{
  SandboxRecorder *recorder;
  guint n;
} Taking;

static char *
manifest_name (const char *tag)
{
  return g_strconcat (tag, ".manifest", NULL);
}

static char *
applied_name (const char *tag)
{
  return g_strconcat (tag, ".applied", NULL);
}

static gboolean
take_one (const char *path, SandboxNode *node, gboolean *ret_enter, gpointer user_data,
          GError **error)
{
  Taking *taking = user_data;
  const char *slash = strrchr (path, '/');

  /* what is git's is never applied, so nothing asks for it */
  if (strcmp (slash ? slash + 1 : path, ".git") == 0)
    {
      *ret_enter = FALSE;
      node->below_unknown = node->type == SANDBOX_NODE_DIR;
    }
  if (++taking->n > SANDBOX_MANIFEST_ENTRIES_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "recording the shared directory: it has more than %u files; share a "
                         "smaller part of it",
                         SANDBOX_MANIFEST_ENTRIES_MAX);
  _sandbox_recorder_add (taking->recorder, path, node);
  return TRUE;
}

gboolean
_sandbox_manifest_take (int root_fd, int dir_fd, const char *tag, GCancellable *cancellable,
                        GError **error)
{
  g_autoptr (SandboxRecorder) recorder = _sandbox_recorder_new ();
  g_autofree char *name = manifest_name (tag);
  Taking taking = { recorder, 0 };
  SandboxNode top;
  struct stat st;

  if (fstat (root_fd, &st) < 0)
    return sandbox_fail_errno (error, errno, "recording the shared directory");
  _sandbox_node_from_stat (&st, &top);
  _sandbox_recorder_add (recorder, "", &top);
  if (!_sandbox_tree_walk (root_fd, "", take_one, &taking, cancellable, error)
      || !_sandbox_manifest_remove (dir_fd, tag, error))
    return FALSE;
  _sandbox_merge_keep_index (root_fd, dir_fd, tag);
  return _sandbox_recorder_save (recorder, dir_fd, name, error);
}

gboolean
_sandbox_manifest_remove (int dir_fd, const char *tag, GError **error)
{
  g_autofree char *manifest = manifest_name (tag);
  g_autofree char *applied = applied_name (tag);
  g_autofree char *index = g_strconcat (tag, ".index", NULL);
  g_autofree char *bases = g_strconcat (tag, ".base", NULL);

  /* this order: without a manifest nothing is applied unasked */
  return sandbox_remove_at (dir_fd, manifest, error) && sandbox_remove_at (dir_fd, applied, error)
         && sandbox_remove_at (dir_fd, index, error) && sandbox_remove_at (dir_fd, bases, error)
         && _sandbox_shown_remove (dir_fd, tag, error)
         && _sandbox_dropped_remove (dir_fd, tag, error)
         && _sandbox_journal_remove (dir_fd, tag, error);
}

gboolean
_sandbox_manifest_exists (int dir_fd, const char *tag)
{
  g_autofree char *name = manifest_name (tag);
  struct stat st;

  return fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
load_applied (SandboxBase *base, const SandboxRecords *records)
{
  for (guint i = 0; records && i < _sandbox_records_get_length (records); i++)
    {
      SandboxNode node;
      const char *path = _sandbox_records_get (records, i, &node);

      if (path)
        _sandbox_base_set_applied (base, path, &node);
    }
}

SandboxBase *
_sandbox_base_open (int root_fd, int dir_fd, const char *tag, GError **error)
{
  g_autoptr (SandboxBase) base = g_new0 (SandboxBase, 1);
  g_autoptr (SandboxRecords) applied = NULL;
  g_autofree char *manifest = manifest_name (tag);
  g_autofree char *name = applied_name (tag);
  SandboxNode top, now;
  struct stat st;

  base->applied = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  if (!_sandbox_records_open (dir_fd, manifest, &base->manifest, error)
      || !_sandbox_records_open (dir_fd, name, &applied, error))
    return NULL;
  if (fstat (root_fd, &st) < 0)
    {
      sandbox_fail_errno (error, errno, "looking at the shared directory");
      return NULL;
    }
  _sandbox_node_from_stat (&st, &now);
  /* another directory in its place: what is recorded says nothing of it */
  if (base->manifest
      && (!_sandbox_records_find (base->manifest, "", &top) || top.inode != now.inode))
    g_clear_pointer (&base->manifest, _sandbox_records_free);
  if (base->manifest)
    load_applied (base, applied);
  return g_steal_pointer (&base);
}

void
_sandbox_base_free (SandboxBase *base)
{
  g_clear_pointer (&base->manifest, _sandbox_records_free);
  g_clear_pointer (&base->applied, g_hash_table_unref);
  g_free (base);
}

void
_sandbox_base_find (const SandboxBase *base, const char *path, SandboxNode *ret_node)
{
  const SandboxNode *applied = g_hash_table_lookup (base->applied, path);
  g_autofree char *above = g_strdup (path);
  SandboxNode node;

  if (applied)
    {
      *ret_node = *applied;
      return;
    }
  *ret_node = (SandboxNode){ .type = SANDBOX_NODE_UNKNOWN };
  if (!base->manifest || _sandbox_records_find (base->manifest, path, ret_node))
    return;
  /* the nearest directory that is recorded says whether its content was */
  while (above[0])
    {
      char *slash = strrchr (above, '/');

      *(slash ? slash : above) = '\0';
      if (!_sandbox_records_find (base->manifest, above, &node))
        continue;
      if (!node.below_unknown)
        ret_node->type = SANDBOX_NODE_ABSENT;
      return;
    }
}

void
_sandbox_base_set_applied (SandboxBase *base, const char *path, const SandboxNode *node)
{
  g_hash_table_replace (base->applied, g_strdup (path), g_memdup2 (node, sizeof *node));
}

void
_sandbox_base_retouch (SandboxBase *base, const char *path, const SandboxNode *now)
{
  SandboxNode before, after = *now;

  _sandbox_base_find (base, path, &before);
  after.has_hash = before.has_hash;
  after.merged = before.merged;
  memcpy (after.hash, before.hash, sizeof after.hash);
  _sandbox_base_set_applied (base, path, &after);
}

gboolean
_sandbox_base_save_applied (SandboxBase *base, int dir_fd, const char *tag, GError **error)
{
  g_autoptr (SandboxRecorder) recorder = _sandbox_recorder_new ();
  g_autofree char *name = applied_name (tag);
  GHashTableIter iter;
  gpointer path, node;

  g_hash_table_iter_init (&iter, base->applied);
  while (g_hash_table_iter_next (&iter, &path, &node))
    _sandbox_recorder_add (recorder, path, node);
  if (!_sandbox_recorder_save (recorder, dir_fd, name, error))
    return FALSE;
  _sandbox_merge_forget_bases (dir_fd, tag, base->applied);
  return TRUE;
}

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  return _sandbox_path_compare (*(const char *const *)a, *(const char *const *)b);
}

/* A layer over it has an entry for what was there when the layer began, or is there by the machine.
 * What it made and discarded again left none. */
static gboolean
has_entry (const SandboxBase *base, const char *path, const SandboxNode *applied)
{
  SandboxNode began;

  return applied->type != SANDBOX_NODE_ABSENT
         || (_sandbox_records_find (base->manifest, path, &began)
             && began.type != SANDBOX_NODE_ABSENT);
}

GPtrArray *
_sandbox_base_list_outdated (const SandboxBase *base, int root_fd, guint max)
{
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer path, node;

  g_hash_table_iter_init (&iter, base->applied);
  while (paths->len < max && g_hash_table_iter_next (&iter, &path, &node))
    {
      SandboxNode now;

      if (!has_entry (base, path, node) || !_sandbox_tree_look (root_fd, path, &now, NULL))
        continue;
      /* of what was merged the mode is the machine's */
      if (((const SandboxNode *)node)->merged)
        now.mode = ((const SandboxNode *)node)->mode;
      if (!_sandbox_node_untouched (node, &now))
        g_ptr_array_add (paths, g_strdup (path));
    }
  g_ptr_array_sort (paths, compare_paths);
  return paths;
}
