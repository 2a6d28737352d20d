// SPDX-License-Identifier: LGPL-2.1-or-later
// Which machines this program paused, in a file: who starts after its death resumes those, and no
// machine that somebody else paused.
#include "guard.h"

#include "base/error.h"
#include "base/file.h"

#define RECORD     "guard.paused"
#define RECORD_MAX (1024 * 1024)

GHashTable *
guard_record_read (int dir_fd)
{
  GHashTable *held = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!sandbox_file_read_at (dir_fd, RECORD, RECORD_MAX, &text, NULL, NULL))
    return held;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line; line++)
    if (**line)
      g_hash_table_add (held, g_strdup (*line));
  return held;
}

gboolean
guard_record_write (int dir_fd, GHashTable *held, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, held);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    g_string_append_printf (text, "%s\n", (const char *)key);
  return sandbox_file_write_at (dir_fd, RECORD, text->str, text->len, 0600, error);
}
