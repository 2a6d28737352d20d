// SPDX-License-Identifier: LGPL-2.1-or-later
// Sizes, numbers, ports and IPv4 networks: strict readers and their writers.
#include "base/units.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

static const struct
{
  const char *name;
  guint shift;
} size_units[] = { { "TiB", 40 }, { "GiB", 30 }, { "MiB", 20 }, { "KiB", 10 } };

/* Reads digits without sign, blank or leading zero. Returns where they end, NULL when there is no
 * such number. */
static const char *
read_digits (const char *text, guint64 *ret_value)
{
  guint64 value = 0;
  const char *p = text;

  if (!g_ascii_isdigit (*p) || (*p == '0' && g_ascii_isdigit (p[1])))
    return NULL;
  for (; g_ascii_isdigit (*p); p++)
    if (!g_uint64_checked_mul (&value, value, 10)
        || !g_uint64_checked_add (&value, value, (guint64)(*p - '0')))
      return NULL;
  *ret_value = value;
  return p;
}

static gboolean
fail_value (GError **error, const char *what, const char *text, const char *allowed)
{
  g_autofree char *shown = sandbox_escape (text, -1, 80);

  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "\"%s\" is no %s: use %s", shown, what,
                       allowed);
}

gboolean
sandbox_uint_parse (const char *text, guint64 min, guint64 max, guint64 *ret_value, GError **error)
{
  guint64 value = 0;
  const char *end = read_digits (text, &value);

  if (!end || *end != '\0' || value < min || value > max)
    {
      g_autofree char *allowed = g_strdup_printf (
          "a whole number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, min, max);

      return fail_value (error, "valid number", text, allowed);
    }
  *ret_value = value;
  return TRUE;
}

/* FALSE when @text is no size at all, or more than 64 bits hold. */
static gboolean
read_size (const char *text, guint64 *ret_bytes)
{
  guint64 number = 0;
  const char *end = read_digits (text, &number);

  for (guint i = 0; end && i < G_N_ELEMENTS (size_units); i++)
    if (g_str_equal (end, size_units[i].name))
      return g_uint64_checked_mul (ret_bytes, number,
                                   G_GUINT64_CONSTANT (1) << size_units[i].shift);
  return FALSE;
}

gboolean
sandbox_size_parse (const char *text, guint64 min, guint64 max, guint64 *ret_bytes, GError **error)
{
  guint64 bytes = 0;

  if (!read_size (text, &bytes) || bytes < min || bytes > max)
    {
      g_autofree char *least = sandbox_size_format (min);
      g_autofree char *most = sandbox_size_format (max);
      g_autofree char *allowed =
          g_strdup_printf ("a whole number with KiB, MiB, GiB or TiB, from %s to %s", least, most);

      return fail_value (error, "valid size", text, allowed);
    }
  *ret_bytes = bytes;
  return TRUE;
}

char *
sandbox_size_format (guint64 bytes)
{
  for (guint i = 0; i < G_N_ELEMENTS (size_units); i++)
    {
      guint64 unit = G_GUINT64_CONSTANT (1) << size_units[i].shift;

      if (bytes >= unit && bytes % unit == 0)
        return g_strdup_printf ("%" G_GUINT64_FORMAT "%s", bytes / unit, size_units[i].name);
    }
  return g_strdup_printf ("%" G_GUINT64_FORMAT "%s", bytes, bytes == 0 ? "KiB" : "B");
}

char *
sandbox_size_human (guint64 bytes)
{
  for (guint i = 0; i < G_N_ELEMENTS (size_units); i++)
    {
      guint64 tenth = (G_GUINT64_CONSTANT (1) << size_units[i].shift) / 10;
      guint64 tenths;

      if (bytes >> size_units[i].shift == 0)
        continue;
      /* rounding in integers: no locale, no overflow */
      tenths = bytes / tenth + (bytes % tenth >= tenth / 2 ? 1 : 0);
      return g_strdup_printf ("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " %s", tenths / 10,
                              tenths % 10, size_units[i].name);
    }
  return g_strdup_printf ("%" G_GUINT64_FORMAT " B", bytes);
}

gboolean
sandbox_port_range_parse (const char *text, SandboxPortRange *ret_range, GError **error)
{
  guint64 first = 0, last = 0;
  const char *end = read_digits (text, &first);

  last = first;
  if (end && *end == '-')
    end = read_digits (end + 1, &last);
  if (!end || *end != '\0' || first < 1 || last > G_MAXUINT16 || first > last)
    return fail_value (error, "port or range of ports", text,
                       "a number from 1 to 65535, such as \"80\", or two with the smaller first, "
                       "such as \"8000-9000\"");
  ret_range->first = (guint16)first;
  ret_range->last = (guint16)last;
  return TRUE;
}

gboolean
sandbox_cidr_parse (const char *text, SandboxCidr *ret_cidr, GError **error)
{
  guint32 address = 0;
  guint64 number = 0, bits = 32;
  const char *p = text;

  for (guint i = 0; p && i < 4; i++)
    {
      p = read_digits (p, &number);
      if (!p || number > 255 || (i < 3 && *p != '.'))
        p = NULL;
      else if (i < 3)
        p++;
      address = address << 8 | (guint32)(number & 255);
    }
  if (p && *p == '/')
    p = read_digits (p + 1, &bits);
  if (!p || *p != '\0' || bits > 32)
    return fail_value (error, "IPv4 address or network", text,
                       "four numbers from 0 to 255 and perhaps a prefix length from 0 to 32, such "
                       "as \"10.0.0.5\" or \"10.0.0.0/24\"");
  ret_cidr->address = address;
  ret_cidr->bits = (guint8)bits;
  return TRUE;
}

char *
sandbox_address_format (guint32 address)
{
  return g_strdup_printf ("%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                          address & 255);
}

gboolean
sandbox_cidr_overlaps (const SandboxCidr *a, const SandboxCidr *b)
{
  guint bits = MIN (a->bits, b->bits);
  guint32 mask = bits == 0 ? 0 : G_MAXUINT32 << (32 - bits);

  return (a->address & mask) == (b->address & mask);
}
