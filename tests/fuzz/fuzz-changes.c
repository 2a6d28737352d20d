// SPDX-License-Identifier: LGPL-2.1-or-later
// Change sets that a hostile machine sends: the reader ends, and what it lets through is what may
// be.
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/file.h"
#include "share/share.h"

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

static void
check_entry (const SandboxUpper *upper, const SandboxUpperEntry *entry)
{
  g_auto (GStrv) parts = g_strsplit (entry->path, "/", -1);

  g_assert_true (entry->path[0] != '/');
  g_assert_true (entry == _sandbox_upper_find (upper, entry->path));
  for (guint i = 0; entry->path[0] && parts[i]; i++)
    {
      g_assert_true (parts[i][0] && strcmp (parts[i], ".") != 0 && strcmp (parts[i], "..") != 0);
      g_assert_true (entry->refusal || entry->git || !_sandbox_class_refuse_name (parts[i]));
    }
  g_assert_cmpuint (entry->offset + (entry->type == SANDBOX_UPPER_FILE ? entry->size_bytes : 0), <=,
                    upper->spool_bytes);
  if (entry->type == SANDBOX_UPPER_SYMLINK && !entry->refusal && !entry->git)
    g_assert_null (_sandbox_class_refuse_link (entry->path, entry->link));
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  Input input = { .data = data, .length = length };
  sandbox_autofd int fd = open (g_get_tmp_dir (), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxUpper) upper = _sandbox_upper_read (read_input, &input, fd, &error);

  g_assert_true ((upper != NULL) == (error == NULL));
  for (guint i = 0; upper && i < upper->entries->len; i++)
    check_entry (upper, g_ptr_array_index (upper->entries, i));
  return 0;
}
