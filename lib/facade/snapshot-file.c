// SPDX-License-Identifier: LGPL-2.1-or-later
// The names of a machine's snapshots: a key file in its state directory, one group for each.
#include "facade/layers.h"

#include <string.h>

#define FILE_MAX   (512 * 1024)
#define MERGE_NAME "merge"
/* Its third line, while the machine is stopped for it. */
#define MERGE_STILL "still"

void
_sandbox_snapshot_entry_free (SandboxSnapshotEntry *entry)
{
  if (entry == NULL)
    return;
  g_free (entry->name);
  g_free (entry->note);
  g_free (entry);
}

GPtrArray *
_sandbox_snapshots_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify)_sandbox_snapshot_entry_free);
}

static gboolean
read_entry (GKeyFile *file, const char *group, SandboxSnapshotEntry *entry)
{
  g_autoptr (GError) error = NULL;
  gint layer;

  if (!sandbox_name_check_form ("snapshot", group, NULL))
    return FALSE;
  entry->name = g_strdup (group);
  entry->note = g_key_file_get_string (file, group, "note", NULL);
  if (entry->note == NULL || strlen (entry->note) > SANDBOX_SNAPSHOT_NOTE_MAX)
    return FALSE;
  layer = g_key_file_get_integer (file, group, "layer", &error);
  if (error != NULL || layer < 0)
    return FALSE;
  entry->layer = (guint)layer;
  entry->created_usec = g_key_file_get_int64 (file, group, "created", &error);
  entry->automatic = error == NULL && g_key_file_get_boolean (file, group, "automatic", &error);
  entry->running = error == NULL && g_key_file_get_boolean (file, group, "running", &error);
  return error == NULL;
}

GPtrArray *
_sandbox_snapshots_parse (const char *text, gsize length)
{
  g_autoptr (GPtrArray) entries = _sandbox_snapshots_new ();
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_auto (GStrv) groups = NULL;

  if (length > 0 && !g_key_file_load_from_data (file, text, length, G_KEY_FILE_NONE, NULL))
    return NULL;
  groups = g_key_file_get_groups (file, NULL);
  for (char **group = groups; *group != NULL; group++)
    {
      SandboxSnapshotEntry *entry = g_new0 (SandboxSnapshotEntry, 1);

      g_ptr_array_add (entries, entry);
      if (!read_entry (file, *group, entry) || entries->len > 2 * SANDBOX_SNAPSHOTS_MAX)
        return NULL;
    }
  return g_steal_pointer (&entries);
}

GPtrArray *
_sandbox_snapshots_read (int state_fd, gboolean *ret_known, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  GPtrArray *entries;
  gsize length;

  if (!sandbox_file_read_at (state_fd, SANDBOX_SNAPSHOTS_FILE, FILE_MAX, &text, &length, &local))
    {
      if (!g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      *ret_known = FALSE;
      return _sandbox_snapshots_new ();
    }
  entries = _sandbox_snapshots_parse (text, length);
  if (entries == NULL)
    sandbox_fail (
        error, SANDBOX_ERROR_INVALID,
        "reading the machine's list of snapshots: the file \"" SANDBOX_SNAPSHOTS_FILE
        "\" in its state directory is damaged; put it right, or remove it: then the names "
        "are gone, and the machine stays as it is");
  else
    *ret_known = TRUE;
  return entries;
}

char *
_sandbox_snapshots_format (const GPtrArray *entries, gsize *ret_length)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();

  for (guint i = 0; i < entries->len; i++)
    {
      const SandboxSnapshotEntry *entry = entries->pdata[i];

      g_key_file_set_integer (file, entry->name, "layer", (gint)entry->layer);
      g_key_file_set_int64 (file, entry->name, "created", entry->created_usec);
      g_key_file_set_boolean (file, entry->name, "automatic", entry->automatic);
      g_key_file_set_boolean (file, entry->name, "running", entry->running);
      g_key_file_set_string (file, entry->name, "note", entry->note);
    }
  return g_key_file_to_data (file, ret_length, NULL);
}

gboolean
_sandbox_snapshots_write (int state_fd, const GPtrArray *entries, GError **error)
{
  gsize length;
  g_autofree char *text = _sandbox_snapshots_format (entries, &length);

  return sandbox_file_write_at (state_fd, SANDBOX_SNAPSHOTS_FILE, text, length, 0600, error);
}

/* --- the merge that is under way */

void
_sandbox_merge_free (SandboxMerge *merge)
{
  if (merge == NULL)
    return;
  g_free (merge->volume);
  g_free (merge->above);
  g_free (merge);
}

SandboxMerge *
_sandbox_merge_read (int state_fd)
{
  g_autoptr (SandboxMerge) merge = g_new0 (SandboxMerge, 1);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!sandbox_file_read_at (state_fd, MERGE_NAME, 1024, &text, NULL, NULL))
    return NULL;
  lines = g_strsplit (text, "\n", 4);
  if (g_strv_length (lines) < 2)
    return NULL;
  merge->volume = g_strdup (lines[0]);
  merge->above = g_strdup (lines[1]);
  merge->still = g_strcmp0 (lines[2], MERGE_STILL) == 0;
  return g_steal_pointer (&merge);
}

gboolean
_sandbox_merge_write (int state_fd, const SandboxMerge *merge, GError **error)
{
  g_autofree char *text = NULL;

  if (merge == NULL)
    return sandbox_remove_at (state_fd, MERGE_NAME, error);
  text = g_strconcat (merge->volume, "\n", merge->above, merge->still ? "\n" MERGE_STILL : "", "\n",
                      NULL);
  return sandbox_file_write_at (state_fd, MERGE_NAME, text, strlen (text), 0600, error);
}
