// SPDX-License-Identifier: LGPL-2.1-or-later
// Files below a directory descriptor: atomic, private, no links followed.
#pragma once

#include <glib.h>
#include <sys/types.h>

/* Closes on scope exit: `sandbox_autofd int fd = -1;` */
#define sandbox_autofd __attribute__ ((cleanup (sandbox_close_fd)))
void sandbox_close_fd (int *fd);

/* Opens @path, made with its parents (mode 0700) when @create; must be a directory of the caller
 * (or root's, for system ones) that nobody else may write. Returns -1 with @error. */
int sandbox_dir_open (const char *path, gboolean create, GError **error);
int sandbox_dir_open_at (int dir_fd, const char *name, gboolean create, GError **error);
/* @dir, one of GLib's user directories, if it is absolute; else @below of the home directory: the
 * XDG specification has relative ones ignored. (transfer full) */
char *sandbox_user_dir (const char *dir, const char *below);
/* The directory in which the last part of @path stands, reached by descriptors: -1 with @error.
 * Links on the way are followed, and the last part too with @follow_last; INVALID for one that lies
 * in or below one of @untrusted (nullable; paths without links), where a guest may have put it.
 * *@ret_name (transfer full): the last part, which may not exist; "." where @path ends in a
 * directory by itself
 * ("/", ".."). Slashes and dots at the end say nothing. */
int sandbox_walk (const char *path, const char *const *untrusted, gboolean follow_last,
                  char **ret_name, GError **error);
/* Written to a temporary file, synced, renamed. */
gboolean sandbox_file_write_at (int dir_fd, const char *name, const void *data, gsize length,
                                guint mode, GError **error);
/* Regular files only, no links, at most @max bytes; *ret_data is NUL-terminated. NOT_FOUND when
 * there is none. */
gboolean sandbox_file_read_at (int dir_fd, const char *name, gsize max, char **ret_data,
                               gsize *ret_length, GError **error);
/* Removes a file or a whole tree below @dir_fd; nothing there is success. */
gboolean sandbox_remove_at (int dir_fd, const char *name, GError **error);
/* Names in the directory, sorted, without those that begin with a dot. (array zero-terminated=1)
 * (transfer full) */
char **sandbox_dir_list (int dir_fd, GError **error);

#define SANDBOX_SHARE_PATH_MAX 1024
/* The text of a share's source: "~/..." or absolute, clean (no "." or "..", no doubled or final
 * slash), none of `, : %` (but %n), and no place from which a guest could reach the host's system,
 * home, keys, configuration or our own files. INVALID with the reason. */
gboolean sandbox_share_source_text_check (const char *text, GError **error);
/* The text of a share's target in the guest: the same form, and no directory that the guest's
 * system needs. */
gboolean sandbox_share_target_text_check (const char *text, GError **error);
/* Looks at the absolute @path on this host as user @uid would share it: a directory of @uid that
 * not everybody may write, reached without links or directories of other users, on a local file
 * system, and, after links, still no forbidden place: not in or above a hidden directory of the
 * home, nor our configuration and state. NOT_FOUND when there is none, INVALID for all else. A
 * check, not a lock: who may write above it can still change it later, and that is only @uid and
 * root. @ret_resolved (nullable): the path without links that was checked. */
gboolean
sandbox_share_source_check (const char *path, uid_t uid, char **ret_resolved, GError **error);
/* TRUE when @a and @b are equal or one lies in the other; clean absolute paths (or both "~/...").
 */
gboolean sandbox_path_overlaps (const char *a, const char *b);
