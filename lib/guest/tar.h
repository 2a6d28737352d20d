// SPDX-License-Identifier: LGPL-2.1-or-later
// tar archives (POSIX ustar with pax records for what does not fit): written for guests, read from
// them.
#pragma once

#include <gio/gio.h>

#define SANDBOX_TAR_BLOCK    512
#define SANDBOX_TAR_NAME_MAX 4095
#define SANDBOX_TAR_PAX_MAX  (64 * 1024)

typedef enum
{
  SANDBOX_TAR_FILE,
  SANDBOX_TAR_DIR,
  SANDBOX_TAR_SYMLINK,
  /* only read, from here on */
  SANDBOX_TAR_HARDLINK,
  SANDBOX_TAR_WHITEOUT, /* the character device 0/0, with which an overlay says "deleted" */
  SANDBOX_TAR_OTHER,    /* devices, FIFOs, anything unknown */
} SandboxTarType;

/**
 * SandboxTarEntry:
 * @name: any bytes but NUL; nothing about it is checked here
 * @link: target of a symbolic link, or of a hard one; else %NULL
 * @opaque: (only read) a directory of an overlay that hides what lies below it
 * @overlay: (nullable): (only read) an attribute of overlays that says that content or name are
 * elsewhere
 */
typedef struct
{
  SandboxTarType type;
  char *name, *link;
  guint mode;
  guint64 size_bytes;
  gint64 mtime_sec;
  gboolean opaque;
  char *overlay;
} SandboxTarEntry;
void sandbox_tar_entry_clear (SandboxTarEntry *entry);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxTarEntry, sandbox_tar_entry_clear)

/* Appends the header of @entry; its content has to follow, filled up with zeros to whole blocks. */
void sandbox_tar_append_header (GByteArray *out, const SandboxTarEntry *entry);
/* A whole small file, or a directory when @data is NULL. */
void
sandbox_tar_append (GByteArray *out, const char *name, guint mode, const void *data, gsize length);
void sandbox_tar_append_end (GByteArray *out);

/* Reads all @length bytes or fails. */
typedef gboolean (*SandboxTarReadFunc) (void *data, gsize length, gpointer user_data,
                                        GError **error);
/* The next entry: pax and GNU long names applied. *@ret_end: there is none. Its content, in whole
 * blocks, is the caller's to read. GUEST for what is no archive. @ret_entry has to be cleared. */
gboolean sandbox_tar_read_header (SandboxTarReadFunc func, gpointer user_data,
                                  SandboxTarEntry *ret_entry, gboolean *ret_end, GError **error);
