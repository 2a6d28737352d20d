// SPDX-License-Identifier: LGPL-2.1-or-later
// Hostile text made fit for a terminal or an error message.
#include "base/names.h"

#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6"

gboolean
sandbox_char_is_plain (gunichar c)
{
  if ((c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef))
    return FALSE; /* noncharacters; XML cannot carry U+FFFE */
  switch (g_unichar_type (c))
    {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT: /* bidi marks, zero width, soft hyphen, BOM, tags */
    case G_UNICODE_SURROGATE:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
      return FALSE;
    default:
      return TRUE;
    }
}

/* Appends the text of one character, or of one bad byte, to @piece; returns how many bytes of @p it
 * took. */
static gsize
escape_one (GString *piece, const char *p, gsize left)
{
  gunichar c = g_utf8_get_char_validated (p, (gssize)left);

  g_string_truncate (piece, 0);
  if (*p == '\0' || c == (gunichar)-1 || c == (gunichar)-2)
    {
      g_string_append_printf (piece, "\\x%02x", (guint)(guchar)*p);
      return 1;
    }
  if (!sandbox_char_is_plain (c))
    g_string_append_printf (piece, c < 0x80 ? "\\x%02x" : "\\u{%x}", (guint)c);
  else
    g_string_append_unichar (piece, c);
  return (gsize)g_unichar_to_utf8 (c, NULL);
}

char *
sandbox_escape (const char *text, gssize length, gsize max_bytes)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GString) piece = g_string_new (NULL);
  gsize left = length < 0 ? strlen (text) : (gsize)length;
  gsize cut = 0; /* where the ellipsis still fits */

  while (left > 0)
    {
      gsize taken = escape_one (piece, text, left);

      if (max_bytes >= strlen (ELLIPSIS) && out->len <= max_bytes - strlen (ELLIPSIS))
        cut = out->len;
      if (piece->len > max_bytes - out->len)
        {
          g_string_truncate (out, cut);
          if (max_bytes >= strlen (ELLIPSIS))
            g_string_append (out, ELLIPSIS);
          break;
        }
      g_string_append_len (out, piece->str, (gssize)piece->len);
      text += taken;
      left -= taken;
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}
