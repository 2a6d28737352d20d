// SPDX-License-Identifier: LGPL-2.1-or-later
// The file of `vms export`: a plain tar archive with members of fixed names in a fixed order, the
// last of which is the list of their checksums, as sha256sum writes it. So `tar xf` and `sha256sum
// -c` look into it. What is read must be, byte for byte, what would be written: there is no second
// way to say the same, and nothing in between, behind, or twice.
//
// One that has snapshots has two kinds of members more: their list, and the layers of the disk from
// the second on, each of which stands on one that comes before it and says so in its header, by the
// name of that member. The last is what the machine wrote to.
#pragma once

#include "base/pinned.h"
#include "guest/tar.h"

#define SANDBOX_ARCHIVE_FORMAT         1
#define SANDBOX_ARCHIVE_FORMAT_LAYERED 2
#define SANDBOX_ARCHIVE_MAX            (G_GUINT64_CONSTANT (2) << 40)
/* Of one file, without the first. */
#define SANDBOX_ARCHIVE_LAYERS_MAX 512

typedef enum
{
  SANDBOX_MEMBER_MANIFEST,
  SANDBOX_MEMBER_PROFILE,
  SANDBOX_MEMBER_CMDLINE,
  SANDBOX_MEMBER_KERNEL,
  SANDBOX_MEMBER_INITRD,
  SANDBOX_MEMBER_DISK,
  SANDBOX_MEMBER_SNAPSHOTS,
  SANDBOX_MEMBER_LAYER, /* as many as there are */
  SANDBOX_MEMBER_SUMS,
  SANDBOX_N_MEMBERS,
} SandboxMember;
/* @layer: which one; 0 is SANDBOX_MEMBER_DISK. (transfer full) */
char *_sandbox_archive_layer_name (guint layer);
/* @layer: of SANDBOX_MEMBER_LAYER. (transfer full) */
char *_sandbox_member_name (SandboxMember member, guint layer);
guint64 _sandbox_member_max (SandboxMember member);

/* What the manifest says: where it comes from, for people. All of it is checked text. */
typedef struct
{
  char *name, *image, *created, *version;
  gboolean layered;
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
  char *name;   /* of it */
  SandboxMember next;
  guint n_layers; /* 0: nor a list of snapshots */
  guint layer;    /* the next one, from 1 on */
} SandboxArchiveWriter;
/* @n_layers: besides the disk */
void _sandbox_archive_writer_init (SandboxArchiveWriter *writer, int fd, guint n_layers);
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
  guint64 offset, bytes;
  guint64 disk_bytes; /* as the guest sees it; no less than that of what it stands on */
  guint below;        /* the number of that, which is smaller than its own */
} SandboxArchiveLayer;
typedef struct
{
  SandboxArchiveNote note;
  char *profile, *cmdline; /* UTF-8; one line of printable ASCII */
  char *snapshots;         /* UTF-8, not looked into; NULL: it has none */
  guint64 offset[SANDBOX_N_MEMBERS], bytes[SANDBOX_N_MEMBERS];
  guint64 disk_bytes; /* as the guest sees it */
  char *disk_sha256;
  GArray *layers; /* of SandboxArchiveLayer: the first is that with number 1; NULL: it has none */
} SandboxArchive;
void _sandbox_archive_clear (SandboxArchive *archive);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxArchive, _sandbox_archive_clear)
/* Form and checksums of all of it, the disk and its layers (base/qcow2.h; @max_disk_bytes is what
 * each may have). INVALID with what is wrong. @archive is empty before, and on failure. */
gboolean _sandbox_archive_read (SandboxArchive *archive, SandboxPinned *pinned,
                                guint64 max_disk_bytes, GCancellable *cancellable, GError **error);
