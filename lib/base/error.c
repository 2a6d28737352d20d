// SPDX-License-Identifier: LGPL-2.1-or-later
// The error domain, and the functions that make errors of it.
#include "base/error.h"

#include "base/names.h"

#include <errno.h>

/* clang-format would see arithmetic in the name */
// clang-format off
G_DEFINE_QUARK (sandbox-error-quark, sandbox_error)
// clang-format on

/* Of an item that a user wrote, in a message about it. */
#define ITEM_BYTES_MAX 80

static void
take_message (GError **error, SandboxError code, char *message)
{
  g_autofree char *owned = message;
  g_autofree char *valid = g_utf8_make_valid (owned, -1);

  g_set_error_literal (error, SANDBOX_ERROR, (int)code, valid);
}

gboolean
sandbox_fail (GError **error, SandboxError code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  take_message (error, code, g_strdup_vprintf (format, args));
  va_end (args);
  return FALSE;
}

static SandboxError
code_from_errno (int saved_errno)
{
  switch (saved_errno)
    {
    case ENOENT:
      return SANDBOX_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
      return SANDBOX_ERROR_DENIED;
    case EEXIST:
      return SANDBOX_ERROR_EXISTS;
    default:
      return SANDBOX_ERROR_FAILED;
    }
}

gboolean
sandbox_fail_errno (GError **error, int saved_errno, const char *format, ...)
{
  va_list args;
  g_autofree char *text = NULL;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  take_message (error, code_from_errno (saved_errno),
                g_strdup_printf ("%s: %s", text, g_strerror (saved_errno)));
  return FALSE;
}

gboolean
sandbox_fail_item (GError **error, const char *item, const char *format, ...)
{
  g_autofree char *shown = sandbox_escape (item, -1, ITEM_BYTES_MAX);
  g_autofree char *reason = NULL;
  va_list args;

  va_start (args, format);
  reason = g_strdup_vprintf (format, args);
  va_end (args);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "\"%s\" %s", shown, reason);
}

gboolean
sandbox_prefix_item (GError **error, const char *item)
{
  g_autofree char *shown = sandbox_escape (item, -1, ITEM_BYTES_MAX);

  g_prefix_error (error, "\"%s\": ", shown);
  return FALSE;
}
