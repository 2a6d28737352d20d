// SPDX-License-Identifier: LGPL-2.1-or-later
// Sizes, ports and IPv4 networks as text and as numbers. Strict: no signs, no blanks, no leading
// zeros, no octal.
#pragma once

#include <glib.h>

/* "512MiB", "4GiB", "1TiB", "300KiB", "123" is refused (a unit is needed). */
gboolean
sandbox_size_parse (const char *text, guint64 min, guint64 max, guint64 *ret_bytes, GError **error);
/* Largest unit that divides: "4GiB". For people, rounded: sandbox_size_human "1.4 GiB". (transfer
 * full) */
char *sandbox_size_format (guint64 bytes);
char *sandbox_size_human (guint64 bytes);
gboolean
sandbox_uint_parse (const char *text, guint64 min, guint64 max, guint64 *ret_value, GError **error);

typedef struct
{
  guint16 first, last;
} SandboxPortRange;
/* "80" or "8000-9000"; 1..65535 */
gboolean sandbox_port_range_parse (const char *text, SandboxPortRange *ret_range, GError **error);

typedef struct
{
  guint32 address; /* host byte order */
  guint8 bits;     /* prefix length */
} SandboxCidr;
gboolean sandbox_cidr_parse (const char *text, SandboxCidr *ret_cidr, GError **error);
char *sandbox_address_format (guint32 address);
gboolean sandbox_cidr_overlaps (const SandboxCidr *a, const SandboxCidr *b);
