// SPDX-License-Identifier: LGPL-2.1-or-later
// Subordinate user and group numbers: the ranges of /etc/subuid and /etc/subgid.
#pragma once

#include <glib.h>
#include <sys/types.h>

#define SANDBOX_SUBUID_FILE "/etc/subuid"
#define SANDBOX_SUBGID_FILE "/etc/subgid"
/* How many a range of ours has, at the least. */
#define SANDBOX_SUBID_COUNT 65536

/* Whether @path gives @user, or the number of @uid, a range that the share helper takes (the same
 * rules are in cli/share/ids.c). *@free_id becomes the first number above all ranges in it, if that
 * is more. */
gboolean sandbox_subid_find (const char *path, const char *user, uid_t uid, guint64 *free_id);
/* That range: the first there is. */
gboolean sandbox_subid_range (const char *path, const char *user, uid_t uid, guint64 *ret_first,
                              guint64 *ret_count);
/* "A-B": numbers that nobody has in either file. (transfer full) */
char *sandbox_subid_free_range (void);
/* HOST with the command that helps, unless the caller has a range in both files. */
gboolean sandbox_subid_check (GError **error);
