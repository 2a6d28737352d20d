// SPDX-License-Identifier: LGPL-2.1-or-later
// The change set as an object, and the names of what is in it.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *
sandbox_change_kind_to_string (SandboxChangeKind kind)
{
  static const char *const names[] = { "added", "modified", "deleted", "replaced", "mode" };

  return names[kind];
}

const char *
sandbox_change_risk_to_string (SandboxChangeRisk risk)
{
  static const char *const names[] = { "plain", "builds", "runs" };

  return names[risk];
}

const char *
sandbox_change_state_to_string (SandboxChangeState state)
{
  static const char *const names[] = { "ready", "merged", "conflict", "refused" };

  return names[state];
}

char *
_sandbox_hash_to_hex (const guint8 hash[SANDBOX_HASH_BYTES])
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < SANDBOX_HASH_BYTES; i++)
    g_string_append_printf (text, "%02x", hash[i]);
  return g_string_free (text, FALSE);
}

void
_sandbox_text_hash (const char *text, guint8 ret_hash[SANDBOX_HASH_BYTES])
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize length = SANDBOX_HASH_BYTES;

  g_checksum_update (sum, (const guchar *)text, (gssize)strlen (text));
  g_checksum_get_digest (sum, ret_hash, &length);
}

void
_sandbox_change_row_free (gpointer data)
{
  SandboxChangeRow *row = data;

  g_free (row->pub.path);
  g_free (row->pub.reason);
  g_free (row->pub.link);
  g_free (row->pub.renamed_from);
  g_free (row->pub.renamed_to);
  g_free (row);
}

/* After an apply that was killed: else its own doing would look like edits of the user's. One that
 * is under way is left alone. */
static gboolean
recover (SandboxChanges *changes, GCancellable *cancellable, GError **error)
{
  g_autofree char *lock_name = g_strconcat (changes->tag, ".lock", NULL);
  g_autoptr (SandboxLock) lock =
      sandbox_lock_acquire (changes->dir_fd, lock_name, "diff", 0, NULL, NULL, cancellable, NULL);
  g_autoptr (SandboxJournal) journal = NULL;

  if (!lock)
    return TRUE;
  if (!_sandbox_journal_open (changes->dir_fd, changes->tag, &journal, error))
    return FALSE;
  return !journal || journal->finished
         || (_sandbox_journal_recover (journal, changes->base, changes->root_fd, error)
             && _sandbox_base_save_applied (changes->base, changes->dir_fd, changes->tag, error));
}

SandboxChanges *
_sandbox_changes_new (const char *machine, const char *tag, SandboxUpper *upper,
                      SandboxClasses *classes, int root_fd, int dir_fd, GCancellable *cancellable,
                      GError **error)
{
  g_autoptr (SandboxChanges) changes = g_new0 (SandboxChanges, 1);

  g_atomic_ref_count_init (&changes->ref_count);
  changes->upper = upper;
  changes->classes = classes ? classes : _sandbox_classes_parse ("");
  changes->rows = g_ptr_array_new_with_free_func (_sandbox_change_row_free);
  changes->dropped = g_ptr_array_new_with_free_func (_sandbox_change_row_free);
  changes->machine = g_strdup (machine);
  changes->tag = g_strdup (tag);
  changes->root_fd = fcntl (root_fd, F_DUPFD_CLOEXEC, 0);
  changes->dir_fd = fcntl (dir_fd, F_DUPFD_CLOEXEC, 0);
  if (changes->root_fd < 0 || changes->dir_fd < 0)
    {
      sandbox_fail_errno (error, errno, "opening the shared directory");
      return NULL;
    }
  changes->base = _sandbox_base_open (changes->root_fd, changes->dir_fd, tag, error);
  if (!changes->base || !recover (changes, cancellable, error)
      || !_sandbox_changes_compare (changes, cancellable, error))
    return NULL;
  _sandbox_shown_compare (changes);
  return g_steal_pointer (&changes);
}

SandboxChanges *
sandbox_changes_ref (SandboxChanges *changes)
{
  g_atomic_ref_count_inc (&changes->ref_count);
  return changes;
}

void
sandbox_changes_unref (SandboxChanges *changes)
{
  if (!g_atomic_ref_count_dec (&changes->ref_count))
    return;
  if (changes->free_user_data)
    changes->free_user_data (changes->user_data);
  g_clear_pointer (&changes->rows, g_ptr_array_unref);
  g_clear_pointer (&changes->dropped, g_ptr_array_unref);
  g_clear_pointer (&changes->upper, _sandbox_upper_free);
  g_clear_pointer (&changes->classes, _sandbox_classes_free);
  g_clear_pointer (&changes->base, _sandbox_base_free);
  sandbox_close_fd (&changes->root_fd);
  sandbox_close_fd (&changes->dir_fd);
  g_free (changes->fingerprint);
  g_free (changes->machine);
  g_free (changes->tag);
  g_free (changes);
}

/* Is there for speed only: without it somebody looks closer. */
void
_sandbox_changes_settle (SandboxChanges *changes)
{
  g_autofree char *name = g_strconcat (changes->tag, SANDBOX_SETTLED_SUFFIX, NULL);
  g_autoptr (GError) local = NULL;

  if (!changes->fingerprint || changes->n_git > 0 || changes->upper->unsettled)
    return;
  for (guint i = 0; i < changes->rows->len; i++)
    if (!sandbox_changes_get (changes, i)->applied || _sandbox_changes_row (changes, i)->partial)
      return;
  if (!sandbox_file_write_at (changes->dir_fd, name, changes->fingerprint,
                              strlen (changes->fingerprint), 0600, &local))
    g_debug ("%s: %s", name, local->message);
}

gboolean
_sandbox_changes_is_settled (int dir_fd, const char *tag, const char *fingerprint)
{
  g_autofree char *name = g_strconcat (tag, SANDBOX_SETTLED_SUFFIX, NULL);
  g_autofree char *text = NULL;
  gsize length = 0;

  return sandbox_file_read_at (dir_fd, name, 1024, &text, &length, NULL)
         && strcmp (text, fingerprint) == 0;
}

gboolean
_sandbox_changes_unsettle (int dir_fd, const char *tag, GError **error)
{
  g_autofree char *name = g_strconcat (tag, SANDBOX_SETTLED_SUFFIX, NULL);

  return sandbox_remove_at (dir_fd, name, error);
}

guint
sandbox_changes_get_length (const SandboxChanges *changes)
{
  return changes->rows->len;
}

SandboxChangeRow *
_sandbox_changes_row (const SandboxChanges *changes, guint index)
{
  return g_ptr_array_index (changes->rows, index);
}

const SandboxChange *
sandbox_changes_get (const SandboxChanges *changes, guint index)
{
  return &_sandbox_changes_row (changes, index)->pub;
}

guint
sandbox_changes_get_git (const SandboxChanges *changes)
{
  return changes->n_git;
}

gboolean
sandbox_changes_get_unsettled (const SandboxChanges *changes)
{
  return changes->upper->unsettled;
}

gboolean
sandbox_changes_discard (SandboxChanges *changes, const guint *chosen, gsize n_chosen,
                         GCancellable *cancellable, GError **error)
{
  if (!changes->discard)
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "discarding changes of %s: these were not read from a machine",
                         changes->machine);
  return changes->discard (changes, chosen, n_chosen, changes->user_data, cancellable, error);
}

gboolean
_sandbox_node_hash (int root_fd, const char *path, SandboxNode *node, GError **error)
{
  node->has_hash = TRUE;
  memset (node->hash, 0, sizeof node->hash);
  if (node->type == SANDBOX_NODE_SYMLINK)
    {
      g_autofree char *link = _sandbox_tree_read_link (root_fd, path, error);

      if (link)
        _sandbox_text_hash (link, node->hash);
      return link != NULL;
    }
  if (node->type == SANDBOX_NODE_FILE)
    {
      sandbox_autofd int fd = _sandbox_tree_open (root_fd, path, error);

      return fd >= 0 && _sandbox_tree_hash (fd, 0, node->size_bytes, node->hash, error);
    }
  return TRUE;
}

gboolean
_sandbox_changes_forget (SandboxChanges *changes, const gboolean *chosen, GCancellable *cancellable,
                         GError **error)
{
  for (guint i = 0; i < changes->rows->len; i++)
    {
      const SandboxChangeRow *row = _sandbox_changes_row (changes, i);
      const char *path = row->pub.path;
      SandboxNode now;

      if (!chosen[i])
        continue;
      if (g_cancellable_set_error_if_cancelled (cancellable, error)
          || !_sandbox_tree_look (changes->root_fd, path, &now, error)
          || !_sandbox_node_hash (changes->root_fd, path, &now, error))
        return FALSE;
      /* changed meanwhile: the machine may have the older one, and that is no change of its own */
      if (!_sandbox_node_untouched (&now, &row->host))
        continue;
      _sandbox_base_set_applied (changes->base, path, &now);
    }
  _sandbox_shown_forget (changes, chosen);
  return _sandbox_base_save_applied (changes->base, changes->dir_fd, changes->tag, error);
}
