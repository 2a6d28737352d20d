// SPDX-License-Identifier: LGPL-2.1-or-later
// Making errors: of our own, of errno, of an item of a list.
#pragma once

#include <gio/gio.h>
#include <sandbox/error.h>

/* Sets @error with text made valid UTF-8; always returns FALSE so that `return sandbox_fail (...)`
 * reads well. */
gboolean
sandbox_fail (GError **error, SandboxError code, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* "…: strerror"; code from errno (ENOENT: NOT_FOUND, EACCES/EPERM: DENIED, EEXIST: EXISTS, else
 * FAILED). */
gboolean
sandbox_fail_errno (GError **error, int saved_errno, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* "\"ITEM\" …": an item of a list that cannot be read, escaped and shortened; code INVALID. */
gboolean
sandbox_fail_item (GError **error, const char *item, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* Puts "\"ITEM\": " in front of what is in @error, escaped and shortened; FALSE. */
gboolean sandbox_prefix_item (GError **error, const char *item);
