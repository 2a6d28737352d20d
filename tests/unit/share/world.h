// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests of shares for review: directories to play host and machine, and change sets read from
// them, or made by hand.
#pragma once

#include "base/error.h"
#include "base/file.h"
#include "share/share.h"

#include <gio/gio.h>

/* A directory for the host's tree, one for records, and one for the machine's upper layer. */
typedef struct
{
  char *top, *host, *records, *upper, *work, *merged;
  int top_fd, host_fd, records_fd;
  const char *classes; /* (nullable) what the share adds to the table */
} World;
void world_init (World *world, const char *where);
void world_clear (World *world);
void world_record (World *world);

void put_file (const char *dir, const char *path, guint mode, const char *content);
char *get_file (const char *dir, const char *path);
/* Everything in a tree as text: path, type, mode, content. */
char *tree_text (const char *dir);

/* What tar says of the upper layer, compared. */
SandboxChanges *world_read (World *world, GError **error);
/* An archive in memory, compared. */
SandboxChanges *world_read_archive (World *world, GByteArray *archive, GError **error);
void add_entry (GByteArray *archive, SandboxTarType type, const char *name, const char *link,
                guint mode, const char *content);
/* A header with any type and any numbers. */
void add_raw (GByteArray *archive, char type, const char *name, const char *link, guint mode,
              guint64 size, guint major, guint minor);
void add_pax (GByteArray *archive, const char *key, const char *value);
SandboxChangeRow *find_change (SandboxChanges *changes, const char *path);
/* All, or FALSE. */
void apply_all (SandboxChanges *changes, gboolean force);
