// SPDX-License-Identifier: LGPL-2.1-or-later
// A large file that is there under its name when it is whole, and not before.
#pragma once

#include <glib.h>

/* @dir_fd is the caller's, and stays open as long as this. @fd to write to. */
typedef struct
{
  int dir_fd, fd;
  char *name, *temporary;
  gboolean nameless, replace;
} SandboxNewFile;
#define SANDBOX_NEW_FILE_INIT                                                                      \
  {                                                                                                \
    .dir_fd = -1, .fd = -1                                                                         \
  }

/* Private to the user. Until it is whole it has no name; where the file system has no such files,
 * the name ".NAME.vms-part", and so for a moment with @replace. What a process that was killed has
 * left of the same @name goes first; BUSY when somebody is just writing it. */
gboolean sandbox_new_file_open (SandboxNewFile *file, int dir_fd, const char *name,
                                gboolean replace, GError **error);
/* Gives it its name; EXISTS when something else has that, unless it replaces. */
gboolean sandbox_new_file_publish (SandboxNewFile *file, GError **error);
/* What was not published is gone. */
void sandbox_new_file_clear (SandboxNewFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxNewFile, sandbox_new_file_clear)
