// SPDX-License-Identifier: LGPL-2.1-or-later
// Archives that a hostile guest sends: the reader ends, and what it says of an entry holds.
#include "fuzz.h"

#include <string.h>
#include "base/error.h"
#include "guest/tar.h"

typedef struct
{
  const guint8 *data;
  gsize length, at;
} Input;

static gboolean
read_input (void *data, gsize length, gpointer user_data, GError **error)
{
  Input *input = user_data;

  if (length > input->length - input->at)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the archive ends early");
  memcpy (data, input->data + input->at, length);
  input->at += length;
  return TRUE;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  Input input = { .data = data, .length = length };
  gboolean end = FALSE;

  while (!end)
    {
      g_auto (SandboxTarEntry) entry = { 0 };
      g_autoptr (GError) error = NULL;
      guint64 blocks;

      if (!sandbox_tar_read_header (read_input, &input, &entry, &end, &error))
        {
          g_assert_nonnull (error);
          return 0;
        }
      if (end)
        return 0;
      g_assert_nonnull (entry.name);
      g_assert_cmpuint (strlen (entry.name), <=, SANDBOX_TAR_NAME_MAX);
      blocks = entry.size_bytes / SANDBOX_TAR_BLOCK + (entry.size_bytes % SANDBOX_TAR_BLOCK != 0);
      if (blocks > (input.length - input.at) / SANDBOX_TAR_BLOCK)
        return 0;
      input.at += blocks * SANDBOX_TAR_BLOCK;
    }
  return 0;
}
