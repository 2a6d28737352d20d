// SPDX-License-Identifier: LGPL-2.1-or-later
// The file of `vms export`: a plain tar archive with members of fixed names in a fixed order, the
// last of which is the list of their checksums, as sha256sum writes it. So `tar xf` and `sha256sum
// -c` look into it. What is read must be, byte for byte, what would be written: there is no second
// way to say the same, and nothing in between, behind, or twice.
#pragma once

#include "base/pinned.h"
#include "guest/tar.h"

#define SANDBOX_ARCHIVE_FORMAT 1
#define SANDBOX_ARCHIVE_MAX    (G_GUINT64_CONSTANT (2) << 40)

typedef enum
{
  SANDBOX_MEMBER_MANIFEST,
  SANDBOX_MEMBER_PROFILE,
  SANDBOX_MEMBER_CMDLINE,
  SANDBOX_MEMBER_KERNEL,
  SANDBOX_MEMBER_INITRD,
  SANDBOX_MEMBER_DISK,
  SANDBOX_MEMBER_SUMS,
  SANDBOX_N_MEMBERS,
} SandboxMember;
/* Static. */
const char *_sandbox_member_name (SandboxMember member);
guint64 _sandbox_member_max (SandboxMember member);

/* What the manifest says: where it comes from, for people. All of it is checked text. */
typedef struct
{
  char *name, *image, *created, *version;
} SandboxArchiveNote;
void _sandbox_archive_note_clear (SandboxArchiveNote *note);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxArchiveNote, _sandbox_archive_note_clear)
char *_sandbox_archive_note_format (const SandboxArchiveNote *note);

/* --- writing, to a file of our own */
typedef struct
{
  int fd;
  GChecksum *sum; /* of the member that is being written */
  GString *sums;
  guint64 left; /* bytes of it to come */
  SandboxMember next;
} SandboxArchiveWriter;
void _sandbox_archive_writer_init (SandboxArchiveWriter *writer, int fd);
void _sandbox_archive_writer_clear (SandboxArchiveWriter *writer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxArchiveWriter, _sandbox_archive_writer_clear)
/* The next member, in the order above, has @bytes. FAILED when there are more than it may have. */
gboolean _sandbox_archive_begin (SandboxArchiveWriter *writer, guint64 bytes, GError **error);
gboolean _sandbox_archive_write (SandboxArchiveWriter *writer, const void *data, gsize length,
                                 GError **error);
/* FAILED when not all of its bytes were written. */
gboolean _sandbox_archive_end (SandboxArchiveWriter *writer, GError **error);
/* All at once. */
gboolean
_sandbox_archive_put (SandboxArchiveWriter *writer, const void *data, gsize length, GError **error);
/* The checksums, and the end; synced. */
gboolean _sandbox_archive_finish (SandboxArchiveWriter *writer, GError **error);

/* --- reading one of an enemy's */
typedef struct
{
  SandboxArchiveNote note;
  char *profile, *cmdline; /* UTF-8; one line of printable ASCII */
  guint64 offset[SANDBOX_N_MEMBERS], bytes[SANDBOX_N_MEMBERS];
  guint64 disk_bytes; /* as the guest sees it */
  char *disk_sha256;
} SandboxArchive;
void _sandbox_archive_clear (SandboxArchive *archive);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxArchive, _sandbox_archive_clear)
/* Form and checksums of all of it, and the disk (base/qcow2.h; @max_disk_bytes is what it may
 * have). INVALID with what is wrong. @archive is empty before, and on failure. */
gboolean _sandbox_archive_read (SandboxArchive *archive, SandboxPinned *pinned,
                                guint64 max_disk_bytes, GCancellable *cancellable, GError **error);
