// SPDX-License-Identifier: LGPL-2.1-or-later
// Files for `vms import`, and the disks in them: the readers end, within what they were given, and
// say of a disk that is taken no more than what was allowed.
#include "fuzz.h"

#include "base/error.h"
#include "base/qcow2.h"
#include "guest/archive.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DISK_MAX (G_GUINT64_CONSTANT (1) << 36)

typedef struct
{
  const guint8 *data;
  gsize length;
} Input;

static gboolean
read_input (guint64 offset, void *data, gsize length, gpointer user_data, GError **error)
{
  const Input *input = user_data;

  g_assert_cmpuint (offset, <=, input->length);
  g_assert_cmpuint (length, <=, input->length - offset);
  memcpy (data, input->data + offset, length);
  return TRUE;
}

/* Clusters are large and mostly empty: of each, the input has the beginning. */
#define PACKED  512
#define CLUSTER 65536

static void
try_disk (const guint8 *data, gsize length)
{
  gsize n = (length + PACKED - 1) / PACKED;
  g_autofree guint8 *whole = g_malloc0 (n * CLUSTER + 1);
  Input input = { whole, n * CLUSTER };
  g_autoptr (GError) error = NULL;
  guint64 bytes = 0;

  for (gsize i = 0; i < n; i++)
    memcpy (whole + i * CLUSTER, data + i * PACKED, MIN (PACKED, length - i * PACKED));
  if (sandbox_qcow2_check (read_input, &input, input.length, DISK_MAX, &bytes, &error))
    g_assert_true (bytes > 0 && bytes <= DISK_MAX && bytes % 512 == 0);
  else
    g_assert_true (error != NULL && bytes == 0);
}

static void
try_archive (const guint8 *data, gsize length)
{
  g_auto (SandboxArchive) archive = { .profile = NULL };
  g_autoptr (SandboxPinned) pinned = NULL;
  g_autoptr (GError) error = NULL;
  int fd = memfd_create ("fuzz", MFD_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, data, length), ==, (gssize)length);
  pinned = sandbox_pinned_new (fd, SANDBOX_ARCHIVE_MAX, NULL, NULL, NULL, &error);
  if (pinned != NULL && _sandbox_archive_read (&archive, pinned, DISK_MAX, NULL, &error))
    g_assert_true (archive.disk_bytes <= DISK_MAX && g_utf8_validate (archive.profile, -1, NULL));
  else
    g_assert_true (error != NULL && archive.profile == NULL);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  try_disk (data, length);
  try_archive (data, length);
  return 0;
}
