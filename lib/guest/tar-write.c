// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing tar archives.
#include "guest/tar.h"

#include <stdio.h>
#include <string.h>

#define NAME_SIZE 100
/* What the eleven octal digits of the size field hold. */
#define USTAR_SIZE_MAX ((G_GUINT64_CONSTANT (1) << 33) - 1)

/* Offsets of the ustar header's fields. */
enum
{
  AT_MODE = 100,
  AT_UID = 108,
  AT_GID = 116,
  AT_SIZE = 124,
  AT_MTIME = 136,
  AT_CHECKSUM = 148,
  AT_TYPE = 156,
  AT_LINK = 157,
  AT_MAGIC = 257,
};

static void
put_octal (char *field, guint digits, guint64 value)
{
  for (guint i = digits; i > 0; i--, value >>= 3)
    field[i - 1] = (char)('0' + (value & 7));
  field[digits] = '\0';
}

static void
pad (GByteArray *out)
{
  static const guint8 zeros[SANDBOX_TAR_BLOCK];
  guint rest = out->len % SANDBOX_TAR_BLOCK;

  if (rest)
    g_byte_array_append (out, zeros, SANDBOX_TAR_BLOCK - rest);
}

/* A field that is full has no final NUL: the format allows that. */
static void
put_bytes (char *field, const char *text)
{
  memcpy (field, text, MIN (strlen (text), NAME_SIZE));
}

static void
append_block (GByteArray *out, char type, const char *name, const char *link, guint mode,
              guint64 size_bytes, gint64 mtime_sec)
{
  char block[SANDBOX_TAR_BLOCK] = { 0 };
  guint sum = 0;

  put_bytes (block, name);
  put_octal (block + AT_MODE, 7, mode & 07777);
  put_octal (block + AT_UID, 7, 0);
  put_octal (block + AT_GID, 7, 0);
  put_octal (block + AT_SIZE, 11, MIN (size_bytes, USTAR_SIZE_MAX));
  put_octal (block + AT_MTIME, 11, (guint64)CLAMP (mtime_sec, 0, (gint64)USTAR_SIZE_MAX));
  block[AT_TYPE] = type;
  if (link)
    put_bytes (block + AT_LINK, link);
  memcpy (block + AT_MAGIC, "ustar\00000", 8);
  memset (block + AT_CHECKSUM, ' ', 8);
  for (gsize i = 0; i < sizeof block; i++)
    sum += (guchar)block[i];
  put_octal (block + AT_CHECKSUM, 6, sum);
  g_byte_array_append (out, (const guint8 *)block, sizeof block);
}

/* "LENGTH key=value\n", where LENGTH counts itself. */
static void
add_record (GString *records, const char *key, const char *value)
{
  gsize body = strlen (key) + strlen (value) + 3;
  gsize length = body + 1;

  while (length != body + (gsize)snprintf (NULL, 0, "%" G_GSIZE_FORMAT, length))
    length = body + (gsize)snprintf (NULL, 0, "%" G_GSIZE_FORMAT, length);
  g_string_append_printf (records, "%" G_GSIZE_FORMAT " %s=%s\n", length, key, value);
}

static void
append_pax (GByteArray *out, const SandboxTarEntry *entry)
{
  g_autoptr (GString) records = g_string_new (NULL);

  if (strlen (entry->name) > NAME_SIZE)
    add_record (records, "path", entry->name);
  if (entry->link && strlen (entry->link) > NAME_SIZE)
    add_record (records, "linkpath", entry->link);
  if (entry->size_bytes > USTAR_SIZE_MAX)
    {
      g_autofree char *size = g_strdup_printf ("%" G_GUINT64_FORMAT, entry->size_bytes);

      add_record (records, "size", size);
    }
  if (!records->len)
    return;
  append_block (out, 'x', "././@PaxHeader", NULL, 0644, records->len, 0);
  g_byte_array_append (out, (const guint8 *)records->str, (guint)records->len);
  pad (out);
}

void
sandbox_tar_append_header (GByteArray *out, const SandboxTarEntry *entry)
{
  static const char types[] = { '0', '5', '2' };

  g_return_if_fail (entry->type < SANDBOX_TAR_HARDLINK);
  append_pax (out, entry);
  append_block (out, types[entry->type], entry->name, entry->link, entry->mode,
                entry->type == SANDBOX_TAR_FILE ? entry->size_bytes : 0, entry->mtime_sec);
}

void
sandbox_tar_append (GByteArray *out, const char *name, guint mode, const void *data, gsize length)
{
  SandboxTarEntry entry = {
    .type = data ? SANDBOX_TAR_FILE : SANDBOX_TAR_DIR,
    .name = (char *)name,
    .mode = mode,
    .size_bytes = length,
  };

  sandbox_tar_append_header (out, &entry);
  if (data)
    g_byte_array_append (out, data, (guint)length);
  pad (out);
}

void
sandbox_tar_append_end (GByteArray *out)
{
  static const guint8 zeros[2 * SANDBOX_TAR_BLOCK];

  g_byte_array_append (out, zeros, sizeof zeros);
}
