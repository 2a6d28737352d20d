// SPDX-License-Identifier: LGPL-2.1-or-later
// Parts of a change: the hunks of its diff, of which some are taken and the others stay changes.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  const char *at, *end; /* this host's file, from the line that comes next */
  guint line;           /* its number, from 1 */
  GString *text;        /* the file as it shall be */
  const gboolean *wanted;
  gsize n_wanted, n_hunks;
} Splice;

static gboolean
may_split (const SandboxChangeRow *row)
{
  return row->pub.kind == SANDBOX_CHANGE_MODIFIED && row->host.type == SANDBOX_NODE_FILE
         && S_ISREG (row->pub.new_mode) && !row->partial
         && (row->pub.state == SANDBOX_CHANGE_READY || row->pub.state == SANDBOX_CHANGE_MERGED)
         && row->host.size_bytes <= SANDBOX_MERGE_BYTES_MAX
         && row->size_bytes <= SANDBOX_MERGE_BYTES_MAX;
}

/* The next line of this host's, into the text if @keep. */
static gboolean
pass_line (Splice *splice, gboolean keep)
{
  const char *stop = memchr (splice->at, '\n', (gsize)(splice->end - splice->at));
  const char *next = stop ? stop + 1 : splice->end;

  if (splice->at == splice->end)
    return FALSE;
  if (keep)
    g_string_append_len (splice->text, splice->at, next - splice->at);
  splice->at = next;
  splice->line++;
  return TRUE;
}

/* "@@ -LINE[,COUNT] +...": where a hunk begins on this host. */
static gboolean
begin_hunk (Splice *splice, const char *line)
{
  guint first = 0, count = 1;

  if (sscanf (line, "@@ -%u,%u ", &first, &count) < 1 || splice->n_hunks >= splice->n_wanted)
    return FALSE;
  /* of no lines: after that one */
  first += count == 0 ? 1 : 0;
  while (splice->line < first)
    if (!pass_line (splice, TRUE))
      return FALSE;
  splice->n_hunks++;
  return TRUE;
}

/* One line of the diff's, [@line, @stop), its end not among it; @whole: a line break follows. */
static gboolean
splice_line (Splice *splice, const char *line, const char *stop, gboolean whole)
{
  gboolean wanted = splice->n_hunks > 0 && splice->wanted[splice->n_hunks - 1];

  switch (*line)
    {
    case '@':
      return begin_hunk (splice, line);
    case ' ':
      return pass_line (splice, TRUE);
    case '-':
      return pass_line (splice, !wanted);
    case '+':
      if (wanted)
        g_string_append_len (splice->text, line + 1, stop - line - 1);
      if (wanted && whole)
        g_string_append_c (splice->text, '\n');
      return TRUE;
    default:
      return *line == '\\';
    }
}

/* FALSE when @diff is not one of this host's file, with as many hunks as were asked about. */
static gboolean
splice_all (Splice *splice, const char *diff, gsize length)
{
  const char *end = diff + length;
  const char *line = g_strstr_len (diff, (gssize)length, "\n@@ ");

  for (line = line ? line + 1 : end; line < end;)
    {
      const char *stop = memchr (line, '\n', (gsize)(end - line));
      gboolean whole;

      if (!stop)
        return FALSE;
      whole = !(stop + 1 < end && stop[1] == '\\');
      if (!splice_line (splice, line, stop, whole))
        return FALSE;
      line = stop + 1;
    }
  while (pass_line (splice, TRUE))
    ;
  return splice->n_hunks > 0 && splice->n_hunks == splice->n_wanted;
}

/* This host's file as it was when it was compared; NULL when that is gone by. */
static char *
read_host (SandboxChanges *changes, const SandboxChangeRow *row)
{
  sandbox_autofd int fd = _sandbox_tree_open (changes->root_fd, row->pub.path, NULL);
  g_autofree char *text = g_malloc0 (row->host.size_bytes + 1);
  SandboxNode now;
  struct stat st;

  if (fd < 0 || pread (fd, text, row->host.size_bytes, 0) != (gssize)row->host.size_bytes
      || fstat (fd, &st) < 0)
    return NULL;
  _sandbox_node_from_stat (&st, &now);
  return _sandbox_node_untouched (&now, &row->host) ? g_steal_pointer (&text) : NULL;
}

gboolean
sandbox_changes_keep_hunks (SandboxChanges *changes, guint index, const gboolean *wanted,
                            gsize n_wanted, GCancellable *cancellable, GError **error)
{
  SandboxChangeRow *row = _sandbox_changes_row (changes, index);
  g_autofree char *host = NULL, *diff = NULL;
  g_autofree char *shown = sandbox_escape (row->pub.path, -1, 200);
  Splice splice = { .wanted = wanted, .n_wanted = n_wanted, .line = 1 };
  gsize length = 0;
  gboolean ok;

  if (!may_split (row))
    return sandbox_fail (
        error, SANDBOX_ERROR_INVALID,
        "%s: this change can only be taken as a whole (parts are for changed texts "
        "of up to 1 MiB that are ready or merged)",
        shown);
  diff = sandbox_changes_diff (changes, index, &length, NULL, NULL, cancellable, error);
  host = diff ? read_host (changes, row) : NULL;
  if (!diff)
    return FALSE;
  if (!host)
    return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                         "%s: it changed on this host just now; look at the difference again",
                         shown);
  splice.at = host;
  splice.end = host + row->host.size_bytes;
  splice.text = g_string_sized_new (row->host.size_bytes);
  ok = splice_all (&splice, diff, length)
       || sandbox_fail (error, SANDBOX_ERROR_INVALID,
                        "%s: its diff has not %" G_GSIZE_FORMAT " hunks", shown, n_wanted);
  /* what both began with, for those that stay: of a merge it is known already */
  if (ok && row->pub.state == SANDBOX_CHANGE_READY)
    ok = _sandbox_upper_add_text (changes->upper, host, row->host.size_bytes, &row->base_offset,
                                  error);
  if (ok && row->pub.state == SANDBOX_CHANGE_READY)
    row->base_bytes = row->host.size_bytes;
  if (ok)
    ok = _sandbox_upper_add_text (changes->upper, splice.text->str, splice.text->len, &row->offset,
                                  error);
  if (ok)
    {
      row->size_bytes = row->pub.new_bytes = splice.text->len;
      row->partial = TRUE;
    }
  g_string_free (splice.text, TRUE);
  return ok;
}
