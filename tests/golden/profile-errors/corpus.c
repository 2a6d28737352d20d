// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads and rewrites the corpora.
#include "corpus.h"

#include <stdlib.h>
#include <string.h>

static void
free_case (gpointer data)
{
  Case *item = data;

  g_free (item->file);
  g_free (item->kind);
  g_strfreev (item->args);
  g_string_free (item->input, TRUE);
  g_free (item->golden);
  g_free (item->seen);
  g_free (item);
}

/* One escape after its backslash; returns where it ends. */
static const char *
unescape_one (const char *p, GString *out)
{
  if (*p == 'n' || *p == 'r' || *p == 't' || *p == '0')
    g_string_append_c (out, *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p == 't' ? '\t' : '\0');
  else if (*p == 'x')
    {
      g_assert_true (g_ascii_isxdigit (p[1]) && g_ascii_isxdigit (p[2]));
      g_string_append_c (out,
                         (char)(g_ascii_xdigit_value (p[1]) * 16 + g_ascii_xdigit_value (p[2])));
      return p + 3;
    }
  else if (*p == '{') /* \{N,TEXT}: N times TEXT */
    {
      char *comma = NULL;
      guint64 n = g_ascii_strtoull (p + 1, &comma, 10);
      const char *end = strchr (p, '}');
      g_autofree char *inner = NULL;

      g_assert_true (*comma == ',' && end);
      inner = g_strndup (comma + 1, (gsize)(end - comma - 1));
      for (guint64 i = 0; i < n; i++)
        for (const char *q = inner; *q;)
          if (*q == '\\')
            q = unescape_one (q + 1, out);
          else
            g_string_append_c (out, *q++);
      return end + 1;
    }
  else
    {
      g_assert_true (*p == '\\');
      g_string_append_c (out, '\\');
    }
  return p + 1;
}

static void
unescape (const char *text, GString *out)
{
  while (*text)
    if (*text == '\\')
      text = unescape_one (text + 1, out);
    else
      g_string_append_c (out, *text++);
}

static Case *
new_case (const char *file, guint line, const char *kind, char **args)
{
  Case *item = g_new0 (Case, 1);

  item->file = g_strdup (file);
  item->line = line;
  item->kind = g_strdup (kind);
  item->args = g_strdupv (args);
  item->input = g_string_new (NULL);
  return item;
}

typedef struct
{
  const char *file;
  guint line;
  char **words; /* of the block's first line */
  Case *item;   /* the last one */
  GPtrArray *cases;
} Reading;

static void
start_block (Reading *reading, const char *line)
{
  g_strfreev (reading->words);
  reading->words = g_strsplit (line, " ", -1);
  reading->item = NULL;
}

/* The case that an input line belongs to: a new one, unless it is a further line of a text. */
static Case *
case_for_input (Reading *reading, gboolean more)
{
  if (!reading->words)
    g_error ("%s:%u: input before the first block", reading->file, reading->line);
  if (!more || !reading->item || reading->item->golden)
    {
      reading->item =
          new_case (reading->file, reading->line, reading->words[0], reading->words + 1);
      g_ptr_array_add (reading->cases, reading->item);
    }
  return reading->item;
}

/* Whether the line begins with @mark and a blank; an empty input is the mark alone. */
static gboolean
has_mark (const char *line, char mark)
{
  return line[0] == mark && (line[1] == ' ' || line[1] == '\0');
}

static void
read_line (Reading *reading, const char *line)
{
  if (line[0] == '\0' || line[0] == '#')
    return;
  if (has_mark (line, '|'))
    {
      GString *input = case_for_input (reading, TRUE)->input;

      unescape (line[1] ? line + 2 : "", input);
      g_string_append_c (input, '\n');
    }
  else if (has_mark (line, '='))
    unescape (line[1] ? line + 2 : "", case_for_input (reading, FALSE)->input);
  else if (has_mark (line, '>'))
    {
      if (!reading->item || reading->item->golden)
        g_error ("%s:%u: an error without an input", reading->file, reading->line);
      reading->item->golden = g_strdup (line + 2);
    }
  else
    start_block (reading, line);
}

GPtrArray *
corpus_read (const char *dir, const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  Reading reading = { .file = name, .cases = g_ptr_array_new_with_free_func (free_case) };

  if (!g_file_get_contents (path, &text, NULL, NULL))
    g_error ("cannot read %s", path);
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    {
      reading.line = i + 1;
      read_line (&reading, lines[i]);
    }
  g_strfreev (reading.words);
  return reading.cases;
}

/* Appends the goldens of the cases whose input ends in line @number. */
static void
append_golden (GString *out, GPtrArray *cases, guint number)
{
  for (guint i = 0; i < cases->len; i++)
    {
      const Case *item = g_ptr_array_index (cases, i);

      if (item->line == number)
        g_string_append_printf (out, "> %s\n", item->seen ? item->seen : item->golden);
    }
}

void
corpus_update (const char *dir, const char *name, GPtrArray *cases)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (GString) out = g_string_new (NULL);
  guint open_case = 0; /* line where the text began to which the lines now belong */

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  lines = g_strsplit (g_strchomp (text), "\n", -1);
  for (guint i = 0; lines[i]; i++)
    {
      const char *next = lines[i + 1] ? lines[i + 1] : "";

      if (has_mark (lines[i], '>'))
        continue;
      g_string_append_printf (out, "%s\n", lines[i]);
      if (has_mark (lines[i], '='))
        append_golden (out, cases, i + 1);
      if (!has_mark (lines[i], '|'))
        continue;
      open_case = open_case ? open_case : i + 1;
      if (has_mark (next, '|'))
        continue;
      append_golden (out, cases, open_case);
      open_case = 0;
    }
  g_assert_true (g_file_set_contents (path, out->str, -1, NULL));
}
