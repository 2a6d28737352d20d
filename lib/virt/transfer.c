// SPDX-License-Identifier: LGPL-2.1-or-later
// Bytes into volumes and out of them, by libvirt's streams: works for members of group libvirt and
// for remote hosts.

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "virt/virt-private.h"

/* What fits into one message of libvirt's protocol. */
#define CHUNK_BYTES (256 * 1024 - 64)

static virStorageVolPtr
need_volume (virConnectPtr conn, const char *name, const char *verb, GError **error)
{
  gboolean none = FALSE;
  virStorageVolPtr volume = _sandbox_virt_volume_lookup (conn, name, &none, error);

  if (none)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "Cannot %s volume %s: the storage pool %s has none of that name", verb, name,
                  SANDBOX_POOL);
  return volume;
}

static GByteArray *
new_buffer (void)
{
  return g_byte_array_set_size (g_byte_array_new (), CHUNK_BYTES);
}

static gboolean
send_all (virStreamPtr stream, const char *name, const char *data, gsize length, GError **error)
{
  while (length > 0)
    {
      int sent = virStreamSend (stream, data, length);

      if (sent < 0)
        return _sandbox_virt_fail (error, "Cannot write to volume %s", name);
      data += sent;
      length -= sent;
    }
  return TRUE;
}

static gssize
read_some (int fd, char *buffer, gsize length, const char *name, GError **error)
{
  gssize got;

  do
    got = read (fd, buffer, length);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    sandbox_fail_errno (error, errno, "Cannot read what goes into volume %s", name);
  if (got == 0)
    sandbox_fail (error, SANDBOX_ERROR_FAILED,
                  "Cannot fill volume %s: the source ended early; it must not change meanwhile",
                  name);
  return got > 0 ? got : -1;
}

/* A stream that writes the first @length bytes of @name. */
static virStreamPtr
open_upload (virConnectPtr conn, const char *name, guint64 length, GError **error)
{
  g_autoptr (virStorageVol) volume = need_volume (conn, name, "write to", error);
  g_autoptr (virStream) stream = volume ? virStreamNew (conn, 0) : NULL;

  if (!volume)
    return NULL;
  if (!stream || virStorageVolUpload (volume, stream, 0, length, 0) < 0)
    {
      _sandbox_virt_fail (error, "Cannot write to volume %s", name);
      return NULL;
    }
  return g_steal_pointer (&stream);
}

static gboolean
finish (virStreamPtr stream, const char *name, GError **error)
{
  if (virStreamFinish (stream) < 0)
    return _sandbox_virt_fail (error, "Cannot finish writing to volume %s", name);
  return TRUE;
}

static gboolean
send_fd (virStreamPtr stream, const char *name, int fd, guint64 length,
         SandboxVirtTransferFunc progress, gpointer user_data, GCancellable *cancellable,
         GError **error)
{
  g_autoptr (GByteArray) buffer = new_buffer ();
  guint64 done = 0;

  while (done < length)
    {
      gssize got;

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      got = read_some (fd, (char *)buffer->data, MIN (length - done, CHUNK_BYTES), name, error);
      if (got < 0 || !send_all (stream, name, (char *)buffer->data, got, error))
        return FALSE;
      done += got;
      if (progress)
        progress (done, length, user_data);
    }
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

gboolean
_sandbox_virt_volume_upload_fd (SandboxVirt *virt, const char *name, int fd, guint64 length,
                                SandboxVirtTransferFunc progress, gpointer user_data,
                                GCancellable *cancellable, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStream) stream = conn ? open_upload (conn, name, length, error) : NULL;

  if (!stream)
    return FALSE;
  if (!send_fd (stream, name, fd, length, progress, user_data, cancellable, error))
    {
      virStreamAbort (stream);
      return FALSE;
    }
  return finish (stream, name, error);
}

gboolean
_sandbox_virt_volume_upload (SandboxVirt *virt, const char *name, const void *data, gsize length,
                             GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStream) stream = conn ? open_upload (conn, name, length, error) : NULL;

  if (!stream)
    return FALSE;
  if (!send_all (stream, name, data, length, error))
    {
      virStreamAbort (stream);
      return FALSE;
    }
  return finish (stream, name, error);
}

/* Receives until the end, or until there is more than @max. */
static GByteArray *
receive_all (virStreamPtr stream, const char *name, gsize max, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GByteArray) buffer = new_buffer ();
  int got;

  while ((got = virStreamRecv (stream, (char *)buffer->data, CHUNK_BYTES)) > 0)
    {
      g_byte_array_append (bytes, buffer->data, got);
      if (bytes->len <= max)
        continue;
      sandbox_fail (error, SANDBOX_ERROR_FAILED,
                    "Cannot read volume %s: it has more than the %" G_GSIZE_FORMAT
                    " bytes that such a volume may have",
                    name, max);
      return NULL;
    }
  if (got < 0)
    {
      _sandbox_virt_fail (error, "Cannot read volume %s", name);
      return NULL;
    }
  return g_steal_pointer (&bytes);
}

gboolean
_sandbox_virt_volume_download (SandboxVirt *virt, const char *name, gsize max, char **ret_data,
                               gsize *ret_length, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStorageVol) volume = conn ? need_volume (conn, name, "read", error) : NULL;
  g_autoptr (virStream) stream = volume ? virStreamNew (conn, 0) : NULL;
  g_autoptr (GByteArray) bytes = NULL;

  if (!volume)
    return FALSE;
  if (!stream || virStorageVolDownload (volume, stream, 0, 0, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot read volume %s", name);
  bytes = receive_all (stream, name, max, error);
  if (!bytes)
    {
      virStreamAbort (stream);
      return FALSE;
    }
  if (virStreamFinish (stream) < 0)
    return _sandbox_virt_fail (error, "Cannot read volume %s", name);
  if (ret_length)
    *ret_length = bytes->len;
  // for texts
  g_byte_array_append (bytes, (const guint8 *)"", 1);
  *ret_data = (char *)g_byte_array_free (g_steal_pointer (&bytes), FALSE);
  return TRUE;
}

/* The next piece of the source, data or hole, to the copy. *ret_done: that was the end. */
static gboolean
copy_piece (virStreamPtr from, virStreamPtr to, char *buffer, const char *name, gboolean *ret_done,
            GError **error)
{
  int got = virStreamRecvFlags (from, buffer, CHUNK_BYTES, VIR_STREAM_RECV_STOP_AT_HOLE);
  long long hole = 0;

  *ret_done = got == 0;
  if (got >= 0)
    return send_all (to, name, buffer, got, error);
  if (got != -3 || virStreamRecvHole (from, &hole, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot read the source of volume %s", name);
  if (virStreamSendHole (to, hole, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot write to volume %s", name);
  return TRUE;
}

static gboolean
copy_bytes (virStorageVolPtr source, virStorageVolPtr copy, GError **error)
{
  g_autoptr (virStream) from = virStreamNew (virStorageVolGetConnect (source), 0);
  g_autoptr (virStream) to = virStreamNew (virStorageVolGetConnect (copy), 0);
  g_autoptr (GByteArray) buffer = new_buffer ();
  const char *name = virStorageVolGetName (copy);
  const char *source_name = virStorageVolGetName (source);
  gboolean done = FALSE, ok = TRUE;

  if (!from
      || virStorageVolDownload (source, from, 0, 0, VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) < 0)
    return _sandbox_virt_fail (error, "Cannot read volume %s", source_name);
  if (!to || virStorageVolUpload (copy, to, 0, 0, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM) < 0)
    {
      _sandbox_virt_fail (error, "Cannot write to volume %s", name);
      virStreamAbort (from);
      return FALSE;
    }
  while (ok && !done)
    ok = copy_piece (from, to, (char *)buffer->data, name, &done, error);
  if (!ok)
    {
      virStreamAbort (from);
      virStreamAbort (to);
      return FALSE;
    }
  if (virStreamFinish (from) < 0)
    {
      _sandbox_virt_fail (error, "Cannot read volume %s", source_name);
      virStreamAbort (to);
      return FALSE;
    }
  return finish (to, name, error);
}

/* Byte for byte, so that a layer stays a layer on the same image: libvirt's own copy
 * (virStorageVolCreateXMLFrom) would merge the image into it. */
gboolean
_sandbox_virt_volume_clone (SandboxVirt *virt, const char *source_name, const char *xml,
                            GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStorageVol) source = conn ? need_volume (conn, source_name, "copy", error) : NULL;
  g_autoptr (virStorageVol) copy = NULL;
  g_autofree char *name = NULL;

  if (!source || !_sandbox_virt_volume_make (conn, xml, &name, error))
    return FALSE;
  // the test driver keeps no bytes
  if (_sandbox_virt_is_test (virt))
    return TRUE;
  copy = need_volume (conn, name, "write to", error);
  if (copy && copy_bytes (source, copy, error))
    return TRUE;
  if (copy)
    virStorageVolDelete (copy, 0);
  return FALSE;
}

gboolean
_sandbox_virt_volume_flatten (SandboxVirt *virt, const char *source_name, const char *xml,
                              GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStorageVol) source = conn ? need_volume (conn, source_name, "copy", error) : NULL;
  g_autoptr (virStoragePool) pool =
      source ? _sandbox_virt_pool_need (conn, "copy a disk", error) : NULL;
  g_autoptr (virStorageVol) copy = NULL;

  if (!pool)
    return FALSE;
  copy = virStorageVolCreateXMLFrom (pool, xml, source, 0);
  return copy || _sandbox_virt_fail (error, "Cannot make one layer of volume %s", source_name);
}

/* Until there are @length bytes. */
static gboolean
receive_exactly (virStreamPtr stream, const char *name, char *data, gsize length, GError **error)
{
  while (length > 0)
    {
      int got = virStreamRecv (stream, data, MIN (length, CHUNK_BYTES));

      if (got < 0)
        return _sandbox_virt_fail (error, "Cannot read volume %s", name);
      if (got == 0)
        return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                             "Cannot read volume %s: it ends before it should", name);
      data += got;
      length -= (gsize)got;
    }
  return TRUE;
}

gboolean
_sandbox_virt_volume_read (SandboxVirt *virt, const char *name, guint64 offset, void *data,
                           gsize length, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStorageVol) volume = conn ? need_volume (conn, name, "read", error) : NULL;
  g_autoptr (virStream) stream = volume ? virStreamNew (conn, 0) : NULL;

  if (!volume)
    return FALSE;
  if (!stream || virStorageVolDownload (volume, stream, offset, length, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot read volume %s", name);
  if (!receive_exactly (stream, name, data, length, error))
    {
      virStreamAbort (stream);
      return FALSE;
    }
  return virStreamFinish (stream) == 0 || _sandbox_virt_fail (error, "Cannot read volume %s", name);
}

/* *ret_done: that was the end. */
static gboolean
receive_piece (virStreamPtr stream, const char *name, GByteArray *buffer, SandboxVirtSinkFunc func,
               gpointer user_data, gboolean *ret_done, GError **error)
{
  int got = virStreamRecv (stream, (char *)buffer->data, CHUNK_BYTES);

  if (got < 0)
    return _sandbox_virt_fail (error, "Cannot read volume %s", name);
  *ret_done = got == 0;
  return got == 0 || func (buffer->data, (gsize)got, user_data, error);
}

gboolean
_sandbox_virt_volume_receive (SandboxVirt *virt, const char *name, SandboxVirtSinkFunc func,
                              gpointer user_data, GCancellable *cancellable, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStorageVol) volume = conn ? need_volume (conn, name, "read", error) : NULL;
  g_autoptr (virStream) stream = volume ? virStreamNew (conn, 0) : NULL;
  g_autoptr (GByteArray) buffer = new_buffer ();
  gboolean done = FALSE;

  if (!volume)
    return FALSE;
  if (!stream || virStorageVolDownload (volume, stream, 0, 0, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot read volume %s", name);
  while (!done)
    if (g_cancellable_set_error_if_cancelled (cancellable, error)
        || !receive_piece (stream, name, buffer, func, user_data, &done, error))
      {
        virStreamAbort (stream);
        return FALSE;
      }
  return virStreamFinish (stream) == 0 || _sandbox_virt_fail (error, "Cannot read volume %s", name);
}

gboolean
_sandbox_virt_volume_send (SandboxVirt *virt, const char *name, guint64 length,
                           SandboxVirtSourceFunc func, gpointer user_data,
                           GCancellable *cancellable, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virStream) stream = conn ? open_upload (conn, name, length, error) : NULL;
  g_autoptr (GByteArray) buffer = new_buffer ();

  if (!stream)
    return FALSE;
  for (guint64 at = 0; at < length;)
    {
      gsize n = (gsize)MIN (length - at, CHUNK_BYTES);

      if (g_cancellable_set_error_if_cancelled (cancellable, error)
          || !func (at, buffer->data, n, user_data, error)
          || !send_all (stream, name, (char *)buffer->data, n, error))
        {
          virStreamAbort (stream);
          return FALSE;
        }
      at += n;
    }
  return finish (stream, name, error);
}
