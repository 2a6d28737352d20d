// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading the file of an export, which may be an enemy's: strict, bounded, before anything is made.
#include "guest/archive.h"

#include "base/error.h"
#include "base/names.h"
#include "base/qcow2.h"

#include <string.h>

#define TEXT_MAX 80
/* the header of a kernel, and what is before it */
#define KERNEL_HEAD 0x300

typedef struct
{
  SandboxPinned *pinned;
  guint64 at;
  GByteArray *seen; /* the header as it was read */
} Reader;

static gboolean
read_header (void *data, gsize length, gpointer user_data, GError **error)
{
  Reader *reader = user_data;

  if (!sandbox_pinned_read (reader->pinned, reader->at, data, length, error))
    return FALSE;
  reader->at += length;
  g_byte_array_append (reader->seen, data, (guint)length);
  return TRUE;
}

static gboolean
fail_form (SandboxMember member, GError **error)
{
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "it is no file of `vms export`, or a damaged one: what should be its \"%s\" "
                       "is something else",
                       _sandbox_member_name (member));
}

static gboolean
is_zero (const guint8 *data, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (data[i] != 0)
      return FALSE;
  return TRUE;
}

/* The header of @member, byte for byte as we write it. */
static gboolean
find_member (Reader *reader, SandboxArchive *archive, SandboxMember member, GError **error)
{
  g_auto (SandboxTarEntry) entry = { 0 };
  g_autoptr (GByteArray) want = g_byte_array_new ();
  g_autoptr (GError) local = NULL;
  SandboxTarEntry same = { .type = SANDBOX_TAR_FILE, .mode = 0600 };
  gboolean end = FALSE;

  g_byte_array_set_size (reader->seen, 0);
  if (!sandbox_tar_read_header (read_header, reader, &entry, &end, &local) || end)
    return fail_form (member, error);
  same.name = (char *)_sandbox_member_name (member);
  same.size_bytes = entry.size_bytes;
  sandbox_tar_append_header (want, &same);
  if (entry.type != SANDBOX_TAR_FILE || want->len != reader->seen->len
      || memcmp (want->data, reader->seen->data, want->len) != 0)
    return fail_form (member, error);
  if (entry.size_bytes > _sandbox_member_max (member))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "its \"%s\" is larger than it may be",
                         same.name);
  archive->offset[member] = reader->at;
  archive->bytes[member] = entry.size_bytes;
  return TRUE;
}

/* Past the content, and past the zeros that fill its last block. */
static gboolean
skip_content (Reader *reader, const SandboxArchive *archive, SandboxMember member, GError **error)
{
  guint8 fill[SANDBOX_TAR_BLOCK];
  guint64 end = archive->offset[member] + archive->bytes[member];
  gsize length = (gsize)((SANDBOX_TAR_BLOCK - end % SANDBOX_TAR_BLOCK) % SANDBOX_TAR_BLOCK);

  if (!sandbox_pinned_read (reader->pinned, end, fill, length, NULL))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "it ends within its \"%s\": it was cut short",
                         _sandbox_member_name (member));
  if (!is_zero (fill, length))
    return fail_form (member, error);
  reader->at = end + length;
  return TRUE;
}

static gboolean
read_end (Reader *reader, GError **error)
{
  guint8 zeros[2 * SANDBOX_TAR_BLOCK];

  if (sandbox_pinned_get_bytes (reader->pinned) != reader->at + sizeof zeros)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "it does not end where its checksums do: it was cut short, or something "
                         "was added");
  if (!sandbox_pinned_read (reader->pinned, reader->at, zeros, sizeof zeros, error))
    return FALSE;
  return is_zero (zeros, sizeof zeros) || fail_form (SANDBOX_MEMBER_SUMS, error);
}

static char *
read_text (Reader *reader, const SandboxArchive *archive, SandboxMember member, GError **error)
{
  gsize length = (gsize)archive->bytes[member];
  g_autofree char *text = g_malloc (length + 1);

  if (!sandbox_pinned_read (reader->pinned, archive->offset[member], text, length, error))
    return NULL;
  text[length] = '\0';
  if (strlen (text) == length && g_utf8_validate (text, (gssize)length, NULL))
    return g_steal_pointer (&text);
  sandbox_fail (error, SANDBOX_ERROR_INVALID, "its \"%s\" is no text",
                _sandbox_member_name (member));
  return NULL;
}

/* The list must be the one that sums up what is there. */
static gboolean
check_sums (Reader *reader, SandboxArchive *archive, GCancellable *cancellable, GError **error)
{
  g_autofree char *listed = read_text (reader, archive, SANDBOX_MEMBER_SUMS, error);
  g_auto (GStrv) lines = listed != NULL ? g_strsplit (listed, "\n", SANDBOX_N_MEMBERS + 1) : NULL;

  if (listed == NULL)
    return FALSE;
  if (g_strv_length (lines) != SANDBOX_N_MEMBERS || *lines[SANDBOX_MEMBER_SUMS] != '\0')
    return fail_form (SANDBOX_MEMBER_SUMS, error);
  for (SandboxMember member = 0; member < SANDBOX_MEMBER_SUMS; member++)
    {
      g_autofree char *sum = sandbox_pinned_sha256 (reader->pinned, archive->offset[member],
                                                    archive->bytes[member], cancellable, error);
      g_autofree char *want = NULL;

      if (sum == NULL)
        return FALSE;
      want = g_strdup_printf ("%s  %s", sum, _sandbox_member_name (member));
      if (strcmp (want, lines[member]) != 0)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "the checksum of its \"%s\" does not match: it is damaged",
                             _sandbox_member_name (member));
      if (member == SANDBOX_MEMBER_DISK)
        archive->disk_sha256 = g_steal_pointer (&sum);
    }
  return TRUE;
}

/* Printable ASCII in one line. */
static gboolean
is_plain (const char *text, gsize max)
{
  if (strlen (text) > max)
    return FALSE;
  for (; *text != '\0'; text++)
    if (*text < 0x20 || *text > 0x7e)
      return FALSE;
  return TRUE;
}

static gboolean
read_note (Reader *reader, SandboxArchive *archive, GError **error)
{
  SandboxArchiveNote *note = &archive->note;
  g_autofree char *text = read_text (reader, archive, SANDBOX_MEMBER_MANIFEST, error);
  g_auto (GStrv) lines = text != NULL ? g_strsplit (text, "\n", 8) : NULL;
  static const char *const keys[] = { "format=", "name=", "image=", "created=", "version=" };
  char **values[] = { NULL, &note->name, &note->image, &note->created, &note->version };
  g_autofree char *again = NULL;

  if (text == NULL)
    return FALSE;
  if (g_str_has_prefix (text, "format=") && !g_str_has_prefix (text, "format=1\n"))
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "it was written by a newer version of vms: import it with that");
  if (g_strv_length (lines) != G_N_ELEMENTS (keys) + 1)
    return fail_form (SANDBOX_MEMBER_MANIFEST, error);
  for (gsize i = 1; i < G_N_ELEMENTS (keys); i++)
    {
      if (!g_str_has_prefix (lines[i], keys[i]) || !is_plain (lines[i], TEXT_MAX))
        return fail_form (SANDBOX_MEMBER_MANIFEST, error);
      *values[i] = g_strdup (lines[i] + strlen (keys[i]));
    }
  again = _sandbox_archive_note_format (note);
  if (strcmp (again, text) != 0 || !sandbox_name_check ("machine", note->name, NULL))
    return fail_form (SANDBOX_MEMBER_MANIFEST, error);
  return TRUE;
}

static gboolean
read_texts (Reader *reader, SandboxArchive *archive, GError **error)
{
  if (!read_note (reader, archive, error))
    return FALSE;
  archive->profile = read_text (reader, archive, SANDBOX_MEMBER_PROFILE, error);
  if (archive->profile == NULL)
    return FALSE;
  archive->cmdline = read_text (reader, archive, SANDBOX_MEMBER_CMDLINE, error);
  if (archive->cmdline == NULL)
    return FALSE;
  g_strchomp (archive->cmdline);
  return is_plain (archive->cmdline, 4096)
         || sandbox_fail (error, SANDBOX_ERROR_INVALID,
                          "its command line of the kernel is no line");
}

/* What has no header of Linux, QEMU on the host takes for other forms of kernels (multiboot, ELF),
 * and reads their tables. Of Linux it reads no more than these numbers.
 * (Documentation/arch/x86/boot.rst) */
static gboolean
check_kernel (Reader *reader, const SandboxArchive *archive, GError **error)
{
  guint8 head[KERNEL_HEAD];
  guint64 bytes = archive->bytes[SANDBOX_MEMBER_KERNEL];
  guint sectors;

  if (bytes < sizeof head)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "its \"kernel\" is no kernel of Linux");
  if (!sandbox_pinned_read (reader->pinned, archive->offset[SANDBOX_MEMBER_KERNEL], head,
                            sizeof head, error))
    return FALSE;
  sectors = head[0x1f1] != 0 ? head[0x1f1] : 4;
  if (head[0x1fe] != 0x55 || head[0x1ff] != 0xaa || memcmp (head + 0x202, "HdrS", 4) != 0)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "its \"kernel\" is no kernel of Linux");
  /* of 2012 */
  if ((head[0x206] | head[0x207] << 8) < 0x20c)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "its \"kernel\" is older than Linux 3.8, or no kernel of Linux");
  if ((sectors + 1) * 512 >= bytes)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "its \"kernel\" ends within its own set-up code");
  return TRUE;
}

typedef struct
{
  SandboxPinned *pinned;
  guint64 offset;
} Disk;

static gboolean
read_disk (guint64 offset, void *data, gsize length, gpointer user_data, GError **error)
{
  const Disk *disk = user_data;

  return sandbox_pinned_read (disk->pinned, disk->offset + offset, data, length, error);
}

static gboolean
read_all (Reader *reader, SandboxArchive *archive, guint64 max_disk_bytes,
          GCancellable *cancellable, GError **error)
{
  Disk disk;

  for (SandboxMember member = 0; member < SANDBOX_N_MEMBERS; member++)
    if (!find_member (reader, archive, member, error)
        || !skip_content (reader, archive, member, error))
      return FALSE;
  disk = (Disk){ reader->pinned, archive->offset[SANDBOX_MEMBER_DISK] };
  /* the form of the disk before the long sums */
  return read_end (reader, error) && read_texts (reader, archive, error)
         && check_kernel (reader, archive, error)
         && sandbox_qcow2_check (read_disk, &disk, archive->bytes[SANDBOX_MEMBER_DISK],
                                 max_disk_bytes, &archive->disk_bytes, error)
         && check_sums (reader, archive, cancellable, error);
}

void
_sandbox_archive_clear (SandboxArchive *archive)
{
  _sandbox_archive_note_clear (&archive->note);
  g_free (archive->profile);
  g_free (archive->cmdline);
  g_free (archive->disk_sha256);
  *archive = (SandboxArchive){ .profile = NULL };
}

gboolean
_sandbox_archive_read (SandboxArchive *archive, SandboxPinned *pinned, guint64 max_disk_bytes,
                       GCancellable *cancellable, GError **error)
{
  g_autoptr (GByteArray) seen = g_byte_array_new ();
  Reader reader = { .pinned = pinned, .seen = seen };
  gboolean done = read_all (&reader, archive, max_disk_bytes, cancellable, error);

  if (!done)
    _sandbox_archive_clear (archive);
  return done;
}
