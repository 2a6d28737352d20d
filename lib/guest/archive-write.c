// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing the file of an export: one pass, member by member.
#include "guest/archive.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MIB (G_GUINT64_CONSTANT (1) << 20)

/* Of kernel and initrd the machine's memory is the real limit; these are many times what ours have.
 */
static const struct
{
  const char *name;
  guint64 max;
} members[SANDBOX_N_MEMBERS] = {
  [SANDBOX_MEMBER_MANIFEST] = { "vms-export", 4096 },
  [SANDBOX_MEMBER_PROFILE] = { "profile", 64 * 1024 },
  [SANDBOX_MEMBER_CMDLINE] = { "cmdline", 4096 },
  [SANDBOX_MEMBER_KERNEL] = { "kernel", 128 * MIB },
  [SANDBOX_MEMBER_INITRD] = { "initrd", 512 * MIB },
  [SANDBOX_MEMBER_DISK] = { "disk.qcow2", SANDBOX_ARCHIVE_MAX },
  [SANDBOX_MEMBER_SNAPSHOTS] = { "snapshots", 512 * 1024 },
  [SANDBOX_MEMBER_LAYER] = { NULL, SANDBOX_ARCHIVE_MAX },
  [SANDBOX_MEMBER_SUMS] = { "SHA256SUMS", 64 * 1024 },
};

char *
_sandbox_archive_layer_name (guint layer)
{
  return layer == 0 ? g_strdup (members[SANDBOX_MEMBER_DISK].name)
                    : g_strdup_printf ("layer-%u.qcow2", layer);
}

char *
_sandbox_member_name (SandboxMember member, guint layer)
{
  return member == SANDBOX_MEMBER_LAYER ? _sandbox_archive_layer_name (layer)
                                        : g_strdup (members[member].name);
}

guint64
_sandbox_member_max (SandboxMember member)
{
  return members[member].max;
}

char *
_sandbox_archive_note_format (const SandboxArchiveNote *note)
{
  return g_strdup_printf ("format=%d\nname=%s\nimage=%s\ncreated=%s\nversion=%s\n",
                          note->layered ? SANDBOX_ARCHIVE_FORMAT_LAYERED : SANDBOX_ARCHIVE_FORMAT,
                          note->name, note->image, note->created, note->version);
}

void
_sandbox_archive_note_clear (SandboxArchiveNote *note)
{
  g_clear_pointer (&note->name, g_free);
  g_clear_pointer (&note->image, g_free);
  g_clear_pointer (&note->created, g_free);
  g_clear_pointer (&note->version, g_free);
}

void
_sandbox_archive_writer_init (SandboxArchiveWriter *writer, int fd, guint n_layers)
{
  *writer = (SandboxArchiveWriter){ .fd = fd,
                                    .n_layers = n_layers,
                                    .layer = 1,
                                    .sum = g_checksum_new (G_CHECKSUM_SHA256),
                                    .sums = g_string_new (NULL) };
}

void
_sandbox_archive_writer_clear (SandboxArchiveWriter *writer)
{
  g_clear_pointer (&writer->sum, g_checksum_free);
  if (writer->sums != NULL)
    g_string_free (g_steal_pointer (&writer->sums), TRUE);
  g_clear_pointer (&writer->name, g_free);
}

static gboolean
write_all (int fd, const void *data, gsize length, GError **error)
{
  const guint8 *from = data;

  while (length > 0)
    {
      gssize n = write (fd, from, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return sandbox_fail_errno (error, errno, "writing the export");
      from += n;
      length -= (gsize)n;
    }
  return TRUE;
}

gboolean
_sandbox_archive_begin (SandboxArchiveWriter *writer, guint64 bytes, GError **error)
{
  g_autoptr (GByteArray) header = g_byte_array_new ();
  SandboxTarEntry entry = { .type = SANDBOX_TAR_FILE, .mode = 0600 };

  g_free (writer->name);
  writer->name = entry.name = _sandbox_member_name (writer->next, writer->layer);
  if (bytes > members[writer->next].max)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "writing the export: its %s is larger than an export may have it",
                         writer->name);
  entry.size_bytes = bytes;
  sandbox_tar_append_header (header, &entry);
  writer->left = bytes;
  g_checksum_reset (writer->sum);
  return write_all (writer->fd, header->data, header->len, error);
}

gboolean
_sandbox_archive_write (SandboxArchiveWriter *writer, const void *data, gsize length,
                        GError **error)
{
  if (length > writer->left)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED, "writing the export: its %s grew meanwhile",
                         writer->name);
  writer->left -= length;
  g_checksum_update (writer->sum, data, (gssize)length);
  return write_all (writer->fd, data, length, error);
}

/* After the disk. */
static void
go_on (SandboxArchiveWriter *writer)
{
  gboolean layer = writer->next == SANDBOX_MEMBER_LAYER;

  if (writer->next == SANDBOX_MEMBER_DISK && writer->n_layers == 0)
    writer->next = SANDBOX_MEMBER_SUMS;
  else if (!layer || writer->layer == writer->n_layers)
    writer->next++;
  writer->layer += layer;
}

gboolean
_sandbox_archive_end (SandboxArchiveWriter *writer, GError **error)
{
  static const guint8 zeros[SANDBOX_TAR_BLOCK];
  off_t at = lseek (writer->fd, 0, SEEK_CUR);

  if (writer->left > 0)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED, "writing the export: its %s ended early",
                         writer->name);
  if (at < 0)
    return sandbox_fail_errno (error, errno, "writing the export");
  g_string_append_printf (writer->sums, "%s  %s\n", g_checksum_get_string (writer->sum),
                          writer->name);
  go_on (writer);
  return at % SANDBOX_TAR_BLOCK == 0
         || write_all (writer->fd, zeros, SANDBOX_TAR_BLOCK - (gsize)(at % SANDBOX_TAR_BLOCK),
                       error);
}

gboolean
_sandbox_archive_put (SandboxArchiveWriter *writer, const void *data, gsize length, GError **error)
{
  return _sandbox_archive_begin (writer, length, error)
         && _sandbox_archive_write (writer, data, length, error)
         && _sandbox_archive_end (writer, error);
}

gboolean
_sandbox_archive_finish (SandboxArchiveWriter *writer, GError **error)
{
  g_autofree char *sums = g_strdup (writer->sums->str);
  g_autoptr (GByteArray) end = g_byte_array_new ();

  g_return_val_if_fail (writer->next == SANDBOX_MEMBER_SUMS, FALSE);
  sandbox_tar_append_end (end);
  if (!_sandbox_archive_put (writer, sums, strlen (sums), error)
      || !write_all (writer->fd, end->data, end->len, error))
    return FALSE;
  return fsync (writer->fd) == 0 || sandbox_fail_errno (error, errno, "writing the export");
}
