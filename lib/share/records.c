// SPDX-License-Identifier: LGPL-2.1-or-later
// A file of nodes by path: rows, then where each begins in the order of the paths. It is mapped,
// and a lookup reads a few rows of it: what a change set costs does not grow with the tree.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC "vms-rec1"

typedef struct
{
  char magic[8];
  guint64 n_rows, index_offset, node_bytes;
} Header;

struct _SandboxRecords
{
  const guint8 *data;
  gsize length;
  const guint64 *index;
  guint64 n_rows;
};

struct _SandboxRecorder
{
  GByteArray *rows;
  GArray *index; /* of guint64 */
};

/* A row is a node, and its path with a NUL, filled up to 8 bytes. */
static const char *
row_path (const guint8 *data, guint64 offset)
{
  return (const char *)data + offset + sizeof (SandboxNode);
}

/* Every path ends in the file: then no lookup reads beyond it. */
static gboolean
check (const SandboxRecords *records, const Header *header)
{
  guint64 end = header->index_offset;

  if (memcmp (header->magic, MAGIC, sizeof header->magic) != 0
      || header->node_bytes != sizeof (SandboxNode) || end < sizeof *header || end % 8 != 0
      || end > records->length || header->n_rows != (records->length - end) / sizeof (guint64)
      || (records->length - end) % sizeof (guint64) != 0)
    return FALSE;
  return header->n_rows == 0
         || (end >= sizeof *header + sizeof (SandboxNode) && records->data[end - 1] == '\0');
}

/* The row @index, within bounds; NULL when the file is damaged there. */
static const char *
path_at (const SandboxRecords *records, guint64 index, guint64 *ret_offset)
{
  guint64 offset = records->index[index];
  guint64 end = (guint64)((const guint8 *)records->index - records->data);

  if (offset < sizeof (Header) || offset % 8 != 0 || offset > end
      || end - offset <= sizeof (SandboxNode))
    return NULL;
  *ret_offset = offset;
  return row_path (records->data, offset);
}

gboolean
_sandbox_records_open (int dir_fd, const char *name, SandboxRecords **ret_records, GError **error)
{
  g_autoptr (SandboxRecords) records = g_new0 (SandboxRecords, 1);
  sandbox_autofd int fd = openat (dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  Header header;
  struct stat st;
  void *data;

  if (fd < 0 && errno == ENOENT)
    {
      *ret_records = NULL;
      return TRUE;
    }
  if (fd < 0 || fstat (fd, &st) < 0)
    return sandbox_fail_errno (error, errno, "reading the record %s", name);
  if (!S_ISREG (st.st_mode) || st.st_size < (off_t)sizeof header
      || (guint64)st.st_size > SANDBOX_MANIFEST_FILE_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading the record %s: it is damaged",
                         name);
  data = mmap (NULL, (gsize)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED)
    return sandbox_fail_errno (error, errno, "reading the record %s", name);
  records->data = data;
  records->length = (gsize)st.st_size;
  memcpy (&header, data, sizeof header);
  if (!check (records, &header))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading the record %s: it is damaged",
                         name);
  records->index = (const guint64 *)(gconstpointer)(records->data + header.index_offset);
  records->n_rows = header.n_rows;
  *ret_records = g_steal_pointer (&records);
  return TRUE;
}

void
_sandbox_records_free (SandboxRecords *records)
{
  if (records->data)
    munmap ((gpointer)records->data, records->length);
  g_free (records);
}

gboolean
_sandbox_records_find (const SandboxRecords *records, const char *path, SandboxNode *ret_node)
{
  guint64 low = 0, high = records->n_rows;

  while (low < high)
    {
      guint64 middle = low + (high - low) / 2, offset = 0;
      const char *have = path_at (records, middle, &offset);
      int order = have ? _sandbox_path_compare (path, have) : 0;

      if (!have)
        return FALSE;
      if (order == 0)
        {
          memcpy (ret_node, records->data + offset, sizeof *ret_node);
          return TRUE;
        }
      if (order < 0)
        high = middle;
      else
        low = middle + 1;
    }
  return FALSE;
}

guint
_sandbox_records_get_length (const SandboxRecords *records)
{
  return (guint)records->n_rows;
}

const char *
_sandbox_records_get (const SandboxRecords *records, guint index, SandboxNode *ret_node)
{
  guint64 offset = 0;
  const char *path = path_at (records, index, &offset);

  if (path)
    memcpy (ret_node, records->data + offset, sizeof *ret_node);
  return path;
}

SandboxRecorder *
_sandbox_recorder_new (void)
{
  SandboxRecorder *recorder = g_new0 (SandboxRecorder, 1);
  Header header = { .magic = MAGIC };

  recorder->rows = g_byte_array_new ();
  recorder->index = g_array_new (FALSE, FALSE, sizeof (guint64));
  g_byte_array_append (recorder->rows, (const guint8 *)&header, sizeof header);
  return recorder;
}

void
_sandbox_recorder_add (SandboxRecorder *recorder, const char *path, const SandboxNode *node)
{
  static const guint8 zeros[8];
  guint64 offset = recorder->rows->len;

  g_array_append_val (recorder->index, offset);
  g_byte_array_append (recorder->rows, (const guint8 *)node, sizeof *node);
  g_byte_array_append (recorder->rows, (const guint8 *)path, (guint)strlen (path) + 1);
  g_byte_array_append (recorder->rows, zeros, (8 - recorder->rows->len % 8) % 8);
}

static int
compare_rows (gconstpointer a, gconstpointer b, gpointer data)
{
  return _sandbox_path_compare (row_path (data, *(const guint64 *)a),
                                row_path (data, *(const guint64 *)b));
}

gboolean
_sandbox_recorder_save (SandboxRecorder *recorder, int dir_fd, const char *name, GError **error)
{
  GByteArray *rows = recorder->rows;
  Header header = { .magic = MAGIC,
                    .n_rows = recorder->index->len,
                    .index_offset = rows->len,
                    .node_bytes = sizeof (SandboxNode) };

  g_array_sort_with_data (recorder->index, compare_rows, rows->data);
  memcpy (rows->data, &header, sizeof header);
  g_byte_array_append (rows, (const guint8 *)(gpointer)recorder->index->data,
                       (guint)(recorder->index->len * sizeof (guint64)));
  return sandbox_file_write_at (dir_fd, name, rows->data, rows->len, 0600, error);
}

void
_sandbox_recorder_free (SandboxRecorder *recorder)
{
  g_byte_array_unref (recorder->rows);
  g_array_unref (recorder->index);
  g_free (recorder);
}
