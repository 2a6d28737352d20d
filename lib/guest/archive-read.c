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

/* One that was found. */
typedef struct
{
  char *name;
  guint64 offset, bytes;
} Part;

typedef struct
{
  SandboxPinned *pinned;
  guint64 at;
  GByteArray *seen; /* the header as it was read */
  GArray *parts;    /* of Part */
} Reader;

static void
part_clear (gpointer data)
{
  g_free (((Part *)data)->name);
}

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
fail_form (const char *name, GError **error)
{
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "it is no file of `vms export`, or a damaged one: what should be its \"%s\" "
                       "is something else",
                       name);
}

static gboolean
is_zero (const guint8 *data, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (data[i] != 0)
      return FALSE;
  return TRUE;
}

/* Whether the header that was read is, byte for byte, that which we write for @name. */
static gboolean
is_header_of (const Reader *reader, const SandboxTarEntry *entry, const char *name)
{
  g_autoptr (GByteArray) want = g_byte_array_new ();
  const SandboxTarEntry same = {
    .type = SANDBOX_TAR_FILE, .name = (char *)name, .mode = 0600, .size_bytes = entry->size_bytes
  };

  sandbox_tar_append_header (want, &same);
  return entry->type == SANDBOX_TAR_FILE && want->len == reader->seen->len
         && memcmp (want->data, reader->seen->data, want->len) == 0;
}

/* Past the content, and past the zeros that fill its last block. */
static gboolean
skip_content (Reader *reader, const Part *part, GError **error)
{
  guint8 fill[SANDBOX_TAR_BLOCK];
  guint64 end = part->offset + part->bytes;
  gsize length = (gsize)((SANDBOX_TAR_BLOCK - end % SANDBOX_TAR_BLOCK) % SANDBOX_TAR_BLOCK);

  if (!sandbox_pinned_read (reader->pinned, end, fill, length, NULL))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "it ends within its \"%s\": it was cut short", part->name);
  if (!is_zero (fill, length))
    return fail_form (part->name, error);
  reader->at = end + length;
  return TRUE;
}

/* Takes @name. */
static gboolean
add_part (Reader *reader, char *name, guint64 bytes, guint64 max, GError **error)
{
  Part part = { name, reader->at, bytes };

  g_array_append_val (reader->parts, part);
  if (bytes > max)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "its \"%s\" is larger than it may be", name);
  return skip_content (reader, &part, error);
}

/* The next member is @member, or, when that is given, @other. */
static gboolean
find_member (Reader *reader, SandboxMember member, guint layer, const SandboxMember *other,
             SandboxMember *ret_member, GError **error)
{
  g_auto (SandboxTarEntry) entry = { 0 };
  g_autofree char *name = _sandbox_member_name (member, layer);
  gboolean end = FALSE;

  g_byte_array_set_size (reader->seen, 0);
  if (!sandbox_tar_read_header (read_header, reader, &entry, &end, NULL) || end)
    return fail_form (name, error);
  if (other != NULL && !is_header_of (reader, &entry, name))
    {
      member = *other;
      g_free (name);
      name = _sandbox_member_name (member, layer);
    }
  if (!is_header_of (reader, &entry, name))
    return fail_form (name, error);
  *ret_member = member;
  return add_part (reader, g_steal_pointer (&name), entry.size_bytes, _sandbox_member_max (member),
                   error);
}

/* One of which there is one, and no other can be. */
static gboolean
find_one (Reader *reader, SandboxArchive *archive, SandboxMember member, GError **error)
{
  SandboxMember found;
  const Part *part;

  if (!find_member (reader, member, 0, NULL, &found, error))
    return FALSE;
  part = &g_array_index (reader->parts, Part, reader->parts->len - 1);
  archive->offset[member] = part->offset;
  archive->bytes[member] = part->bytes;
  return TRUE;
}

/* As many layers as there are, and the checksums behind them. */
static gboolean
find_layers (Reader *reader, SandboxArchive *archive, GError **error)
{
  static const SandboxMember sums = SANDBOX_MEMBER_SUMS;
  SandboxMember found = SANDBOX_MEMBER_LAYER;

  archive->layers = g_array_new (FALSE, TRUE, sizeof (SandboxArchiveLayer));
  while (found == SANDBOX_MEMBER_LAYER)
    {
      guint number = archive->layers->len + 1;
      SandboxArchiveLayer layer = { 0 };
      const Part *part;

      if (number > SANDBOX_ARCHIVE_LAYERS_MAX + 1)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID, "it has more than %d layers",
                             SANDBOX_ARCHIVE_LAYERS_MAX);
      if (!find_member (reader, SANDBOX_MEMBER_LAYER, number, number > 1 ? &sums : NULL, &found,
                        error))
        return FALSE;
      part = &g_array_index (reader->parts, Part, reader->parts->len - 1);
      layer.offset = part->offset;
      layer.bytes = part->bytes;
      if (found == SANDBOX_MEMBER_LAYER)
        g_array_append_val (archive->layers, layer);
    }
  archive->offset[SANDBOX_MEMBER_SUMS] =
      g_array_index (reader->parts, Part, reader->parts->len - 1).offset;
  archive->bytes[SANDBOX_MEMBER_SUMS] =
      g_array_index (reader->parts, Part, reader->parts->len - 1).bytes;
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
  return is_zero (zeros, sizeof zeros) || fail_form ("SHA256SUMS", error);
}

static char *
read_text (Reader *reader, const SandboxArchive *archive, SandboxMember member, GError **error)
{
  gsize length = (gsize)archive->bytes[member];
  g_autofree char *text = g_malloc (length + 1), *name = NULL;

  if (!sandbox_pinned_read (reader->pinned, archive->offset[member], text, length, error))
    return NULL;
  text[length] = '\0';
  if (strlen (text) == length && g_utf8_validate (text, (gssize)length, NULL))
    return g_steal_pointer (&text);
  name = _sandbox_member_name (member, 0);
  sandbox_fail (error, SANDBOX_ERROR_INVALID, "its \"%s\" is no text", name);
  return NULL;
}

/* The list must be the one that sums up what is there. */
static gboolean
check_sums (Reader *reader, SandboxArchive *archive, GCancellable *cancellable, GError **error)
{
  guint n = reader->parts->len - 1; /* not of itself */
  g_autofree char *listed = read_text (reader, archive, SANDBOX_MEMBER_SUMS, error);
  g_auto (GStrv) lines = listed != NULL ? g_strsplit (listed, "\n", (gint)n + 2) : NULL;

  if (listed == NULL)
    return FALSE;
  if (g_strv_length (lines) != n + 1 || *lines[n] != '\0')
    return fail_form ("SHA256SUMS", error);
  for (guint i = 0; i < n; i++)
    {
      const Part *part = &g_array_index (reader->parts, Part, i);
      g_autofree char *sum =
          sandbox_pinned_sha256 (reader->pinned, part->offset, part->bytes, cancellable, error);
      g_autofree char *want = NULL;

      if (sum == NULL)
        return FALSE;
      want = g_strdup_printf ("%s  %s", sum, part->name);
      if (strcmp (want, lines[i]) != 0)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "the checksum of its \"%s\" does not match: it is damaged",
                             part->name);
      if (i == SANDBOX_MEMBER_DISK)
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
  note->layered = g_str_has_prefix (text, "format=2\n");
  if (g_str_has_prefix (text, "format=") && !g_str_has_prefix (text, "format=1\n")
      && !note->layered)
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "it was written by a newer version of vms: import it with that");
  if (g_strv_length (lines) != G_N_ELEMENTS (keys) + 1)
    return fail_form ("vms-export", error);
  for (gsize i = 1; i < G_N_ELEMENTS (keys); i++)
    {
      if (!g_str_has_prefix (lines[i], keys[i]) || !is_plain (lines[i], TEXT_MAX))
        return fail_form ("vms-export", error);
      *values[i] = g_strdup (lines[i] + strlen (keys[i]));
    }
  again = _sandbox_archive_note_format (note);
  if (strcmp (again, text) != 0 || !sandbox_name_check ("machine", note->name, NULL))
    return fail_form ("vms-export", error);
  return TRUE;
}

static gboolean
read_texts (Reader *reader, SandboxArchive *archive, GError **error)
{
  archive->profile = read_text (reader, archive, SANDBOX_MEMBER_PROFILE, error);
  if (archive->profile == NULL)
    return FALSE;
  archive->cmdline = read_text (reader, archive, SANDBOX_MEMBER_CMDLINE, error);
  if (archive->cmdline == NULL)
    return FALSE;
  g_strchomp (archive->cmdline);
  if (archive->note.layered)
    {
      archive->snapshots = read_text (reader, archive, SANDBOX_MEMBER_SNAPSHOTS, error);
      if (archive->snapshots == NULL)
        return FALSE;
    }
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

/* @names: of the disk and the layers before it. */
static gboolean
check_layer (Reader *reader, SandboxArchive *archive, guint number, const char *const *names,
             guint64 max_disk_bytes, GError **error)
{
  SandboxArchiveLayer *layer = &g_array_index (archive->layers, SandboxArchiveLayer, number - 1);
  Disk disk = { reader->pinned, layer->offset };
  guint64 least = archive->disk_bytes;

  if (!sandbox_qcow2_check_layer (read_disk, &disk, layer->bytes, max_disk_bytes, names,
                                  &layer->below, &layer->disk_bytes, error))
    {
      g_prefix_error (error, "its \"layer-%u.qcow2\": ", number);
      return FALSE;
    }
  if (layer->below > 0)
    least = g_array_index (archive->layers, SandboxArchiveLayer, layer->below - 1).disk_bytes;
  return layer->disk_bytes >= least
         || sandbox_fail (error, SANDBOX_ERROR_INVALID,
                          "its \"layer-%u.qcow2\" is a smaller disk than what it stands on",
                          number);
}

static gboolean
check_disks (Reader *reader, SandboxArchive *archive, guint64 max_disk_bytes, GError **error)
{
  Disk disk = { reader->pinned, archive->offset[SANDBOX_MEMBER_DISK] };
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  if (!sandbox_qcow2_check (read_disk, &disk, archive->bytes[SANDBOX_MEMBER_DISK], max_disk_bytes,
                            &archive->disk_bytes, error))
    return FALSE;
  g_ptr_array_add (names, NULL);
  for (guint i = 1; archive->layers != NULL && i <= archive->layers->len; i++)
    {
      g_ptr_array_insert (names, (gint)i - 1, _sandbox_archive_layer_name (i - 1));
      if (!check_layer (reader, archive, i, (const char *const *)names->pdata, max_disk_bytes,
                        error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
find_all (Reader *reader, SandboxArchive *archive, GError **error)
{
  /* what comes then, its first line says */
  if (!find_one (reader, archive, SANDBOX_MEMBER_MANIFEST, error)
      || !read_note (reader, archive, error))
    return FALSE;
  for (SandboxMember member = SANDBOX_MEMBER_PROFILE; member <= SANDBOX_MEMBER_DISK; member++)
    if (!find_one (reader, archive, member, error))
      return FALSE;
  if (!archive->note.layered)
    return find_one (reader, archive, SANDBOX_MEMBER_SUMS, error);
  return find_one (reader, archive, SANDBOX_MEMBER_SNAPSHOTS, error)
         && find_layers (reader, archive, error);
}

static gboolean
read_all (Reader *reader, SandboxArchive *archive, guint64 max_disk_bytes,
          GCancellable *cancellable, GError **error)
{
  /* the form of the disks before the long sums */
  return find_all (reader, archive, error) && read_end (reader, error)
         && read_texts (reader, archive, error) && check_kernel (reader, archive, error)
         && check_disks (reader, archive, max_disk_bytes, error)
         && check_sums (reader, archive, cancellable, error);
}

void
_sandbox_archive_clear (SandboxArchive *archive)
{
  _sandbox_archive_note_clear (&archive->note);
  g_free (archive->profile);
  g_free (archive->cmdline);
  g_free (archive->snapshots);
  g_free (archive->disk_sha256);
  g_clear_pointer (&archive->layers, g_array_unref);
  *archive = (SandboxArchive){ .profile = NULL };
}

gboolean
_sandbox_archive_read (SandboxArchive *archive, SandboxPinned *pinned, guint64 max_disk_bytes,
                       GCancellable *cancellable, GError **error)
{
  g_autoptr (GByteArray) seen = g_byte_array_new ();
  g_autoptr (GArray) parts = g_array_new (FALSE, FALSE, sizeof (Part));
  Reader reader = { .pinned = pinned, .seen = seen, .parts = parts };
  gboolean done;

  g_array_set_clear_func (parts, part_clear);
  done = read_all (&reader, archive, max_disk_bytes, cancellable, error);
  if (!done)
    _sandbox_archive_clear (archive);
  return done;
}
