// SPDX-License-Identifier: LGPL-2.1-or-later
// What the keeper says of the shares of mode=review: whether the host's edits reach the machine,
// and what in it stays old. A file in the state directory, of which the paths are a guest's word.
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"
#include "base/units.h"

#include <string.h>

#define FILE_MAX (1024 * 1024)

static const char *const words[] = { "watched", "periodic", "unseen" };

void
_sandbox_share_held_free (gpointer data)
{
  SandboxShareHeld *held = data;

  g_free (held->process);
  g_free (held->path);
  g_free (held);
}

static char *
from_hex (const char *text)
{
  gsize length = strlen (text);
  g_autoptr (GString) bytes = g_string_new (NULL);

  if (text[0] != 'x' || length % 2 == 0)
    return NULL;
  for (gsize i = 1; i < length; i += 2)
    {
      int high = g_ascii_xdigit_value (text[i]), low = g_ascii_xdigit_value (text[i + 1]);

      if (high < 0 || low < 0 || high + low == 0)
        return NULL;
      g_string_append_c (bytes, (char)(high * 16 + low));
    }
  return g_string_free (g_steal_pointer (&bytes), FALSE);
}

static void
append_hex (GString *text, const char *value)
{
  g_string_append (text, " x");
  for (; *value; value++)
    g_string_append_printf (text, "%02x", (guchar)*value);
}

SandboxShareHeld *
_sandbox_share_held_parse (const char *line)
{
  g_auto (GStrv) parts = g_strsplit (line, " ", -1);
  g_autofree char *process = NULL, *path = NULL;
  SandboxShareHeld *held;
  guint64 pid = 0;

  if (strlen (line) > SANDBOX_SHARE_HELD_LINE_MAX || g_strv_length (parts) != 4
      || !g_str_equal (parts[0], "held") || !sandbox_uint_parse (parts[1], 1, G_MAXINT, &pid, NULL))
    return NULL;
  process = from_hex (parts[2]);
  path = from_hex (parts[3]);
  if (!process || !path || path[0] != '/')
    return NULL;
  held = g_new0 (SandboxShareHeld, 1);
  held->pid = (gint)pid;
  held->process = g_steal_pointer (&process);
  held->path = g_steal_pointer (&path);
  return held;
}

/* Lines "share TAG WORD DIRECTORIES", "held ..." as above, and "problem xHEX". */
gboolean
_sandbox_share_state_write (int state_fd, const GArray *shares, const GPtrArray *held,
                            const char *problem)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxShareEdits *share = &g_array_index (shares, SandboxShareEdits, i);

      g_string_append_printf (text, "share %s %s %u\n", share->tag, words[share->how],
                              share->directories);
    }
  for (guint i = 0; i < held->len; i++)
    {
      const SandboxShareHeld *one = g_ptr_array_index (held, i);

      g_string_append_printf (text, "held %d", one->pid);
      append_hex (text, one->process);
      append_hex (text, one->path);
      g_string_append_c (text, '\n');
    }
  if (problem)
    {
      g_string_append (text, "problem");
      append_hex (text, problem);
      g_string_append_c (text, '\n');
    }
  return sandbox_file_write_at (state_fd, SANDBOX_SHARE_STATE, text->str, text->len, 0600, NULL);
}

static gboolean
read_share (const char *line, const char *tag, SandboxShareEdits *edits)
{
  g_auto (GStrv) parts = g_strsplit (line, " ", -1);
  guint64 directories = 0;

  if (g_strv_length (parts) != 4 || !g_str_equal (parts[0], "share") || !g_str_equal (parts[1], tag)
      || !sandbox_uint_parse (parts[3], 0, G_MAXUINT, &directories, NULL))
    return FALSE;
  for (guint how = 0; how < G_N_ELEMENTS (words); how++)
    if (g_str_equal (parts[2], words[how]))
      {
        edits->how = how;
        edits->directories = (guint)directories;
        return TRUE;
      }
  return FALSE;
}

gboolean
_sandbox_share_state_read (int state_fd, const SandboxPlanShare *share,
                           SandboxShareEdits *ret_edits, GPtrArray *held, char **ret_problem)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  gboolean found = FALSE;

  if (!sandbox_file_read_at (state_fd, SANDBOX_SHARE_STATE, FILE_MAX, &text, NULL, NULL))
    return FALSE;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    {
      SandboxShareHeld *one = _sandbox_share_held_parse (lines[i]);

      found = read_share (lines[i], share->tag, ret_edits) || found;
      if (one && sandbox_path_overlaps (one->path, share->target))
        g_ptr_array_add (held, one);
      else if (one)
        _sandbox_share_held_free (one);
      if (g_str_has_prefix (lines[i], "problem x") && !*ret_problem)
        *ret_problem = from_hex (lines[i] + strlen ("problem "));
    }
  return found;
}

const char *
_sandbox_share_edits_to_string (SandboxShareEditsHow how)
{
  return words[how];
}
