// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that must not change between the check and the use.
#include "base/pinned.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK  (1024 * 1024)
#define DIGEST 32

struct _SandboxPinned
{
  int fd;
  guint64 bytes;
  GByteArray *digests; /* DIGEST bytes for each CHUNK */
  guint8 *chunk;       /* the one that was read last */
  guint64 chunk_index; /* G_MAXUINT64: none */
};

static gboolean
fail_changed (GError **error)
{
  return sandbox_fail (
      error, SANDBOX_ERROR_INVALID,
      "the file changed while it was read: nothing else may write to it meanwhile");
}

static gsize
chunk_length (const SandboxPinned *pinned, guint64 index)
{
  return (gsize)MIN (CHUNK, pinned->bytes - index * CHUNK);
}

/* Into pinned->chunk. */
static gboolean
load (SandboxPinned *pinned, guint64 index, guint8 *digest, GError **error)
{
  gsize length = chunk_length (pinned, index), done = 0, size = DIGEST;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  pinned->chunk_index = G_MAXUINT64;
  while (done < length)
    {
      gssize n =
          pread (pinned->fd, pinned->chunk + done, length - done, (off_t)(index * CHUNK + done));

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return sandbox_fail_errno (error, errno, "reading the file");
      if (n == 0)
        return fail_changed (error);
      done += (gsize)n;
    }
  g_checksum_update (sum, pinned->chunk, (gssize)length);
  g_checksum_get_digest (sum, digest, &size);
  return TRUE;
}

static gboolean
pin (SandboxPinned *pinned, SandboxPinnedFunc progress, gpointer user_data,
     GCancellable *cancellable, GError **error)
{
  guint64 n = (pinned->bytes + CHUNK - 1) / CHUNK;
  guint8 digest[DIGEST];

  for (guint64 i = 0; i < n; i++)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error)
          || !load (pinned, i, digest, error))
        return FALSE;
      g_byte_array_append (pinned->digests, digest, DIGEST);
      if (progress != NULL)
        progress (MIN ((i + 1) * CHUNK, pinned->bytes), pinned->bytes, user_data);
    }
  return TRUE;
}

SandboxPinned *
sandbox_pinned_new (int fd, guint64 max_bytes, SandboxPinnedFunc progress, gpointer user_data,
                    GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxPinned) pinned = g_new0 (SandboxPinned, 1);
  struct stat info;

  pinned->fd = fd;
  pinned->chunk = g_malloc (CHUNK);
  pinned->digests = g_byte_array_new ();
  if (fstat (fd, &info) < 0)
    {
      sandbox_fail_errno (error, errno, "looking at the file");
      return NULL;
    }
  pinned->bytes = (guint64)info.st_size;
  if (!S_ISREG (info.st_mode))
    sandbox_fail (error, SANDBOX_ERROR_INVALID, "it is no regular file");
  else if (pinned->bytes == 0)
    sandbox_fail (error, SANDBOX_ERROR_INVALID, "it is empty");
  else if (pinned->bytes > max_bytes)
    sandbox_fail (error, SANDBOX_ERROR_INVALID, "it is larger than such a file may be");
  else if (pin (pinned, progress, user_data, cancellable, error))
    return g_steal_pointer (&pinned);
  return NULL;
}

guint64
sandbox_pinned_get_bytes (const SandboxPinned *pinned)
{
  return pinned->bytes;
}

static gboolean
need (SandboxPinned *pinned, guint64 index, GError **error)
{
  guint8 digest[DIGEST];

  if (pinned->chunk_index == index)
    return TRUE;
  if (!load (pinned, index, digest, error))
    return FALSE;
  if (memcmp (digest, pinned->digests->data + index * DIGEST, DIGEST) != 0)
    return fail_changed (error);
  pinned->chunk_index = index;
  return TRUE;
}

gboolean
sandbox_pinned_read (SandboxPinned *pinned, guint64 offset, void *data, gsize length,
                     GError **error)
{
  guint8 *to = data;

  if (offset > pinned->bytes || length > pinned->bytes - offset)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "the file ends early");
  while (length > 0)
    {
      guint64 index = offset / CHUNK;
      gsize from = (gsize)(offset % CHUNK);
      gsize n = MIN (length, CHUNK - from);

      if (!need (pinned, index, error))
        return FALSE;
      memcpy (to, pinned->chunk + from, n);
      to += n;
      offset += n;
      length -= n;
    }
  return TRUE;
}

char *
sandbox_pinned_sha256 (SandboxPinned *pinned, guint64 offset, guint64 length,
                       GCancellable *cancellable, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guint8 *buffer = g_malloc (CHUNK);

  while (length > 0)
    {
      gsize n = (gsize)MIN (length, CHUNK - offset % CHUNK);

      if (g_cancellable_set_error_if_cancelled (cancellable, error)
          || !sandbox_pinned_read (pinned, offset, buffer, n, error))
        return NULL;
      g_checksum_update (sum, buffer, (gssize)n);
      offset += n;
      length -= n;
    }
  return g_strdup (g_checksum_get_string (sum));
}

void
sandbox_pinned_free (SandboxPinned *pinned)
{
  if (pinned == NULL)
    return;
  sandbox_close_fd (&pinned->fd);
  g_free (pinned->chunk);
  g_byte_array_unref (pinned->digests);
  g_free (pinned);
}
