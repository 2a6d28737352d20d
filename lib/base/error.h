// SPDX-License-Identifier: LGPL-2.1-or-later
// Making errors: one function for our own, one for errno.
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
