// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine is told to throw away, one path after the other.
#include "share/share.h"

#include <string.h>

/* What the machine has there lies in what this host has not. */
static gboolean
is_new (const SandboxChange *change)
{
  return !change->old_mode || change->kind == SANDBOX_CHANGE_REPLACED;
}

const SandboxChange *
_sandbox_discard_leave_unread (const SandboxChanges *changes, gboolean *wanted)
{
  const SandboxChange *first = NULL;

  for (guint i = 0; i < changes->rows->len; i++)
    if (wanted[i] && _sandbox_changes_row (changes, i)->unread)
      {
        first = first ? first : sandbox_changes_get (changes, i);
        wanted[i] = FALSE;
      }
  return first;
}

static void
keep_above (GHashTable *kept, const char *path)
{
  g_autofree char *above = g_strdup (path);

  for (char *slash = strrchr (above, '/'); slash; slash = strrchr (above, '/'))
    {
      *slash = '\0';
      if (!g_hash_table_add (kept, g_strdup (above)))
        return;
    }
}

void
_sandbox_discard_keep (const SandboxChanges *changes, gboolean *wanted)
{
  g_autoptr (GHashTable) kept = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  /* no rows, so that nobody was asked about them: a repository that only the machine has */
  for (guint i = 0; i < changes->upper->entries->len; i++)
    {
      const SandboxUpperEntry *entry = g_ptr_array_index (changes->upper->entries, i);

      if (entry->git)
        keep_above (kept, entry->path);
    }
  for (guint i = changes->rows->len; i > 0; i--)
    {
      const SandboxChange *change = sandbox_changes_get (changes, i - 1);

      if (is_new (change) && g_hash_table_contains (kept, change->path))
        wanted[i - 1] = FALSE;
      if (!wanted[i - 1] && change->new_mode)
        keep_above (kept, change->path);
    }
}

static void
add_word (GString *list, const char *what, const char *path)
{
  g_string_append_len (list, what, 2);
  g_string_append_len (list, path, (gssize)strlen (path) + 1);
}

/* First all that goes, from the bottom up; then what comes back, a directory before what is in it.
 */
GString *
_sandbox_discard_list (const SandboxChanges *changes, const gboolean *wanted)
{
  GString *list = g_string_new (NULL);

  for (guint i = changes->rows->len; i > 0; i--)
    {
      const SandboxChange *change = sandbox_changes_get (changes, i - 1);

      if (wanted[i - 1] && is_new (change))
        add_word (list, "r", change->path);
    }
  for (guint i = 0; i < changes->rows->len; i++)
    {
      const SandboxChange *change = sandbox_changes_get (changes, i);

      if (wanted[i] && change->old_mode)
        add_word (list, "c", change->path);
    }
  return list;
}
