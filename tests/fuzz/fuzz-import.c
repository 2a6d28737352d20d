// SPDX-License-Identifier: LGPL-2.1-or-later
// Files for `vms import`, the disks and layers in them, and their lists of snapshots: the readers
// end, within what they were given, and say of a disk that is taken no more than what was allowed.
// Whatever layer of ours is packed, the file is one that is taken.
#include "fuzz.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/qcow2-pack.h"
#include "facade/export.h"

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

static gboolean
collect (const void *data, gsize length, gpointer user_data, GError **error)
{
  g_byte_array_append (user_data, data, (guint)length);
  return TRUE;
}

static gboolean
is_layer (Input *input, GError **error)
{
  static const char *const names[] = { "disk.qcow2", "layer-1.qcow2", NULL };
  guint below = 99;
  guint64 bytes = 0;
  gboolean good = sandbox_qcow2_check_layer (read_input, input, input->length, DISK_MAX, names,
                                             &below, &bytes, error);

  g_assert_true (good ? below < 2 && bytes > 0 && bytes <= DISK_MAX : below == 99 && bytes == 0);
  return good;
}

static void
try_layer (Input *input)
{
  g_autoptr (GError) error = NULL, local = NULL;
  g_autoptr (SandboxQcow2Pack) pack = NULL;
  g_autoptr (GByteArray) out = g_byte_array_new ();
  guint64 size = input->length >= 32 ? sandbox_get64 (input->data + 24) : 0;
  Input packed;

  g_assert_true (is_layer (input, &error) == (error == NULL));
  pack = sandbox_qcow2_pack_new (read_input, input, input->length, "disk.qcow2", &local);
  g_assert_true ((pack != NULL) == (local == NULL));
  if (pack == NULL || size > DISK_MAX || size % 512 != 0)
    return;
  g_assert_true (sandbox_qcow2_pack_feed (pack, input->data, input->length, collect, out, NULL));
  g_assert_true (sandbox_qcow2_pack_end (pack, collect, out, NULL));
  g_assert_cmpuint (out->len, ==, sandbox_qcow2_pack_get_bytes (pack));
  packed = (Input){ out->data, out->len };
  g_clear_error (&error);
  if (!is_layer (&packed, &error))
    g_error ("what was packed is not taken: %s", error->message);
}

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
  try_layer (&input);
}

/* Of a file with three layers on one another. */
static void
try_list (const guint8 *data, gsize length)
{
  g_autofree char *text = g_strndup ((const char *)data, length);
  g_autoptr (GArray) layers = g_array_new (FALSE, TRUE, sizeof (SandboxArchiveLayer));
  SandboxArchive archive = { .snapshots = text, .layers = layers };
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) entries = NULL;

  for (guint i = 0; i < 3; i++)
    {
      const SandboxArchiveLayer layer = { .below = i };

      g_array_append_val (layers, layer);
    }
  entries = _sandbox_import_snapshots (&archive, &error);
  g_assert_true ((entries != NULL) == (error == NULL));
  g_assert_true (entries == NULL || entries->len <= 3);
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
  try_list (data, length);
  return 0;
}
