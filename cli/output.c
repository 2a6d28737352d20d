// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages, escaping, sizes and colours: everything about single lines of output.
#include "output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

gboolean
vms_fail (GError **error, SandboxError code, const char *format, ...)
{
  va_list list;
  g_autofree char *text = NULL;
  g_autofree char *valid = NULL;

  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  valid = g_utf8_make_valid (text, -1);
  g_set_error_literal (error, SANDBOX_ERROR, (int)code, valid);
  return FALSE;
}

int
vms_exit_status (const GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return 130;
  if (error->domain != SANDBOX_ERROR)
    return 1;
  switch ((SandboxError)error->code)
    {
    case SANDBOX_ERROR_INVALID:
      return 2;
    case SANDBOX_ERROR_NOT_FOUND:
      return 3;
    case SANDBOX_ERROR_EXISTS:
    case SANDBOX_ERROR_WRONG_STATE:
    case SANDBOX_ERROR_BUSY:
    case SANDBOX_ERROR_IN_USE:
      return 4;
    case SANDBOX_ERROR_HOST:
    case SANDBOX_ERROR_DENIED:
    case SANDBOX_ERROR_UNSUPPORTED:
      return 5;
    case SANDBOX_ERROR_TIMED_OUT:
      return 6;
    case SANDBOX_ERROR_FAILED:
    case SANDBOX_ERROR_GUEST:
    default:
      return 1;
    }
}

/* Controls of direction and invisible characters with which text can pretend to be another. */
static gboolean
is_deceptive (gunichar c)
{
  return c == 0x061c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)
         || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb)
         || (c >= 0xe0000 && c <= 0xe007f);
}

static char *
escape (const char *text, const char *keep)
{
  GString *result = g_string_new (NULL);

  for (const char *at = text; *at != '\0';)
    {
      gunichar c = g_utf8_get_char_validated (at, -1);
      if (c == (gunichar)-1 || c == (gunichar)-2)
        {
          g_string_append_printf (result, "\\x%02x", (guchar)*at++);
          continue;
        }
      if (c < 0x80 && strchr (keep, (int)c) != NULL)
        g_string_append_c (result, (char)c);
      else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        g_string_append_printf (result, "\\x%02x", c);
      else if (is_deceptive (c))
        g_string_append_printf (result, "\\u{%x}", c);
      else
        g_string_append_unichar (result, c);
      at = g_utf8_next_char (at);
    }
  return g_string_free (result, FALSE);
}

char *
vms_escape (const char *text)
{
  return escape (text, "");
}

char *
vms_escape_lines (const char *text)
{
  return escape (text, "\n\t");
}

static guint
char_width (gunichar c)
{
  return g_unichar_iszerowidth (c) ? 0 : g_unichar_iswide (c) ? 2 : 1;
}

guint
vms_width (const char *text)
{
  guint width = 0;

  for (; *text != '\0'; text = g_utf8_next_char (text))
    width += char_width (g_utf8_get_char (text));
  return width;
}

char *
vms_cut (const char *text, guint columns)
{
  const char *end = text;
  guint width = 0;

  if (vms_width (text) <= columns)
    return g_strdup (text);
  if (columns <= 3)
    return g_strndup ("...", columns);
  for (; *end != '\0'; end = g_utf8_next_char (end))
    {
      guint wide = char_width (g_utf8_get_char (end));
      if (width + wide > columns - 3)
        break;
      width += wide;
    }
  return g_strdup_printf ("%.*s...", (int)(end - text), text);
}

char *
vms_size (guint64 bytes)
{
  static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
  double value = (double)bytes;
  gsize unit = 0;

  for (; value >= 1024 && unit + 1 < G_N_ELEMENTS (units); unit++)
    value /= 1024;
  /* 1023.97 would be shown as 1024.0 */
  if (value >= 1023.95 && unit > 0 && unit + 1 < G_N_ELEMENTS (units))
    {
      value = 1;
      unit++;
    }
  return unit == 0 ? g_strdup_printf ("%.0f B", value)
                   : g_strdup_printf ("%.1f %s", value, units[unit]);
}

char *
vms_elapsed (gint64 usec)
{
  gint64 seconds = usec / G_USEC_PER_SEC;

  if (seconds < 60)
    return g_strdup_printf ("%.1f s", (double)usec / G_USEC_PER_SEC);
  return g_strdup_printf ("%d min %02d s", (int)(seconds / 60), (int)(seconds % 60));
}

char *
vms_time_left (gint64 until_usec)
{
  return until_usec > 0 ? vms_elapsed (MAX (0, until_usec - g_get_real_time ())) : g_strdup ("");
}

void
vms_error (const GError *error)
{
  g_autofree char *shown = vms_escape_lines (error->message);

  fflush (stdout);
  fprintf (stderr, "%svms:%s %s\n", vms_colour (STDERR_FILENO, VMS_RED),
           vms_colour (STDERR_FILENO, VMS_PLAIN), shown);
}

void
vms_say (const char *format, ...)
{
  va_list list;
  g_autofree char *text = NULL;
  g_autofree char *shown = NULL;

  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  shown = vms_escape_lines (text);
  fflush (stdout);
  fprintf (stderr, "%s\n", shown);
}

void
vms_print (const char *text)
{
  fputs (text, stdout);
  if (*text == '\0' || text[strlen (text) - 1] != '\n')
    fputc ('\n', stdout);
}

const char *
vms_colour (int fd, VmsColour colour)
{
  static const char *const sequences[] = {
    [VMS_PLAIN] = "\033[0m",  [VMS_BOLD] = "\033[1m",    [VMS_DIM] = "\033[2m",
    [VMS_GREEN] = "\033[32m", [VMS_YELLOW] = "\033[33m", [VMS_RED] = "\033[31m",
  };
  const char *term = g_getenv ("TERM");
  const char *no_color = g_getenv ("NO_COLOR");

  if (!isatty (fd) || (no_color != NULL && *no_color != '\0') || term == NULL
      || strcmp (term, "dumb") == 0)
    return "";
  return sequences[colour];
}
