// SPDX-License-Identifier: LGPL-2.1-or-later
// Name-based UUIDs (RFC 9562, version 5) in a namespace of our own.
#include "base/names.h"

#include <string.h>

/* Drawn once at random; changing it would give every machine another identity. */
static const guint8 namespace_uuid[16] = { 0x6b, 0x1e, 0x4c, 0x0d, 0x52, 0x8f, 0x4e, 0x3a,
                                           0x9b, 0x77, 0x20, 0xd3, 0xc1, 0xf5, 0x8a, 0x46 };

void
sandbox_uuid5 (const char *name, char ret_uuid[37])
{
  g_autoptr (GChecksum) sha1 = g_checksum_new (G_CHECKSUM_SHA1);
  guint8 digest[20];
  gsize length = sizeof digest;
  char *out = ret_uuid;

  g_checksum_update (sha1, namespace_uuid, sizeof namespace_uuid);
  g_checksum_update (sha1, (const guchar *)name, (gssize)strlen (name));
  g_checksum_get_digest (sha1, digest, &length);
  digest[6] = (digest[6] & 0x0f) | 0x50;
  digest[8] = (digest[8] & 0x3f) | 0x80;
  for (guint i = 0; i < 16; i++)
    {
      static const char hex[] = "0123456789abcdef";

      if (i == 4 || i == 6 || i == 8 || i == 10)
        *out++ = '-';
      *out++ = hex[digest[i] >> 4];
      *out++ = hex[digest[i] & 0xf];
    }
  *out = '\0';
}
