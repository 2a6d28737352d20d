// SPDX-License-Identifier: LGPL-2.1-or-later
// The strict reader of key files: every line is a comment, a group, or one key with its value, and
// says so exactly.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

typedef struct
{
  Place place;
  char *group;
  GHashTable *seen; /* "group" and "group\nkey" -> line of the first */
  SandboxEntryFunc func;
  gpointer user_data;
} Reader;

static gboolean G_GNUC_PRINTF (2, 3) fail_syntax (GError **error, const char *format, ...)
{
  g_autofree char *reason = NULL;
  va_list args;

  va_start (args, format);
  reason = g_strdup_vprintf (format, args);
  va_end (args);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "%s", reason);
}

/* Takes the line as a C string; @line is not NUL-terminated. */
static gboolean
check_bytes (const char *line, gsize length, GError **error)
{
  const char *bad = NULL;

  if (length > SANDBOX_PROFILE_LINE_MAX)
    return fail_syntax (error, "the line has %" G_GSIZE_FORMAT " bytes: use at most %d", length,
                        SANDBOX_PROFILE_LINE_MAX);
  if (memchr (line, '\0', length))
    return fail_syntax (error, "the line has a NUL byte: a profile is plain UTF-8 text");
  if (length > 0 && line[length - 1] == '\r')
    return fail_syntax (error, "the line ends with a carriage return (as on Windows): end lines "
                               "with a newline only");
  if (!g_utf8_validate (line, (gssize)length, &bad))
    return fail_syntax (error,
                        "byte %d of the line is no valid UTF-8: a profile is plain UTF-8 text",
                        (int)(bad - line) + 1);
  return TRUE;
}

/* Characters that are not seen, or change how others are seen, hide what a profile says from who
 * reads it. */
static gboolean
check_characters (const char *line, GError **error)
{
  gboolean comment = line[0] == '#' || line[0] == ';';

  for (const char *p = line; *p; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (sandbox_char_is_plain (c) || (comment && c == '\t'))
        continue;
      if (c == '\t')
        return fail_syntax (error, "the line has a tab: use none outside of comments");
      return fail_syntax (error,
                          "the line has the invisible character U+%04X at byte %d: remove it",
                          (guint)c, (int)(p - line) + 1);
    }
  return TRUE;
}

/* Remembers @id; FALSE when it stood before. */
static gboolean
note_once (Reader *reader, const char *id, const char *what, GError **error)
{
  gpointer before = g_hash_table_lookup (reader->seen, id);

  if (before)
    return fail_syntax (error, "%s stands in line %u already: write it once", what,
                        GPOINTER_TO_UINT (before));
  g_hash_table_insert (reader->seen, g_strdup (id), GUINT_TO_POINTER (reader->place.line));
  return TRUE;
}

static gboolean
read_group (Reader *reader, const char *line, GError **error)
{
  gsize length = strlen (line);
  g_autofree char *shown = sandbox_escape (line, -1, 80);
  g_autofree char *group = NULL;

  if (length < 3 || line[length - 1] != ']' || strcspn (line + 1, "[]") != length - 2)
    return fail_syntax (error, "\"%s\" is no group: write [NAME] and nothing else in the line",
                        shown);
  group = g_strndup (line + 1, length - 2);
  if (!note_once (reader, group, shown, error))
    return FALSE;
  g_free (reader->group);
  reader->group = g_steal_pointer (&group);
  return reader->func (&reader->place, reader->group, NULL, NULL, reader->user_data, error);
}

static gboolean
check_blanks (const char *line, const char *equals, const char *shown, GError **error)
{
  gsize length = strlen (line);

  if (equals == line)
    return fail_syntax (error, "\"%s\" has no key: write KEY=VALUE", shown);
  if (equals[-1] == ' ' || equals[1] == ' ')
    return fail_syntax (error, "\"%s\" has blanks around the =: write KEY=VALUE without them",
                        shown);
  if (line[length - 1] == ' ')
    return fail_syntax (error, "\"%s\" has blanks at its end: remove them", shown);
  return TRUE;
}

static gboolean
read_key (Reader *reader, const char *line, GError **error)
{
  const char *equals = strchr (line, '=');
  g_autofree char *shown = sandbox_escape (line, -1, 80);
  g_autofree char *key = NULL, *shown_key = NULL, *id = NULL, *what = NULL;

  if (!equals)
    return fail_syntax (error,
                        "\"%s\" is neither a group [NAME] nor KEY=VALUE nor a comment, which "
                        "begins with # or ;",
                        shown);
  if (!check_blanks (line, equals, shown, error))
    return FALSE;
  key = g_strndup (line, (gsize)(equals - line));
  shown_key = sandbox_escape (key, -1, 80);
  if (!reader->group)
    return fail_syntax (
        error, "the key \"%s\" stands before the first group: write [GROUP] above it", shown_key);
  id = g_strdup_printf ("%s\n%s", reader->group, key);
  what = g_strdup_printf ("the key \"%s\" of [%s]", shown_key, reader->group);
  if (!note_once (reader, id, what, error))
    return FALSE;
  return reader->func (&reader->place, reader->group, key, equals + 1, reader->user_data, error);
}

static gboolean
read_line (Reader *reader, const char *start, gsize length, GError **error)
{
  g_autofree char *line = NULL;

  if (reader->place.line > SANDBOX_PROFILE_LINES_MAX)
    return fail_syntax (error, "the file has more than %d lines", SANDBOX_PROFILE_LINES_MAX);
  if (!check_bytes (start, length, error))
    return FALSE;
  line = g_strndup (start, length);
  if (!check_characters (line, error))
    return FALSE;
  if (line[0] == '#' || line[0] == ';' || line[strspn (line, " ")] == '\0')
    return TRUE;
  if (line[0] == ' ')
    return fail_syntax (error, "the line begins with blanks: remove them");
  return line[0] == '[' ? read_group (reader, line, error) : read_key (reader, line, error);
}

static gboolean
check_whole (const char *source, const char *text, gsize length, GError **error)
{
  static const char utf16le[] = "\xff\xfe", utf16be[] = "\xfe\xff", bom[] = "\xef\xbb\xbf";

  if (length > SANDBOX_PROFILE_FILE_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: the file has %" G_GSIZE_FORMAT " bytes: a profile has at most %d",
                         source, length, SANDBOX_PROFILE_FILE_MAX);
  if (length >= 2 && (memcmp (text, utf16le, 2) == 0 || memcmp (text, utf16be, 2) == 0))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s:1: the file is UTF-16: a profile is plain UTF-8 text", source);
  if (length >= 3 && memcmp (text, bom, 3) == 0)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s:1: the file begins with a byte order mark: remove it", source);
  return TRUE;
}

gboolean
_sandbox_reader_run (const char *source, const char *text, gsize length, SandboxEntryFunc func,
                     gpointer user_data, GError **error)
{
  g_autofree char *shown = sandbox_escape (source, -1, 400);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  Reader reader = { .place = { shown, 0 }, .seen = seen, .func = func, .user_data = user_data };
  const char *end = text + length;
  gboolean ok = check_whole (shown, text, length, error);

  while (ok && text < end)
    {
      const char *newline = memchr (text, '\n', (gsize)(end - text));
      const char *stop = newline ? newline : end;

      reader.place.line++;
      ok = read_line (&reader, text, (gsize)(stop - text), error);
      if (!ok)
        g_prefix_error (error, "%s:%u: ", shown, reader.place.line);
      text = newline ? newline + 1 : end;
    }
  g_free (reader.group);
  return ok;
}
