// SPDX-License-Identifier: LGPL-2.1-or-later
// Export: a machine as one file. The layers of its disk are made one, in a volume of the pool that
// is there meanwhile, since only libvirt's side may read them; the file takes its name when it is
// whole. With snapshots that is done with the lowest layer and what is below it, and each one above
// is packed by ourselves while it is read: libvirt copies no single layer.
#include "facade/export.h"

#include "base/new-file.h"
#include "base/qcow2-pack.h"
#include "guest/archive.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct _SandboxExport
{
  const char *path;
  gboolean replace, layers;
  int dir_fd;
  char *name; /* of the file, in its directory */
  SandboxNewFile file;
  GPtrArray *order; /* of SandboxLayer */
  char *flat;       /* the volume that the first of them becomes */
  gboolean made_flat;
  const SandboxLayer *layer; /* of the others, that which is written */
  SandboxQcow2Pack *pack;    /* of it */
  SandboxArchiveWriter writer;
  SandboxWork *work; /* whose report is told of progress */
  guint64 done, total;
};

char *
_sandbox_export_volume (SandboxMachine *machine)
{
  return g_strconcat (machine->object, ".export", NULL);
}

static gboolean
is_running (const SandboxWork *work)
{
  return _sandbox_pieces_running (&work->pieces);
}

/* --- the place */

/* Not below a shared directory: a machine could put a link in the way of it. */
static gboolean
open_place (SandboxWork *work, GError **error)
{
  SandboxExport *export = work->export;
  g_auto (GStrv) shared = _sandbox_shares_of_all (work->host, error);
  struct stat info;

  if (shared == NULL)
    return FALSE;
  export->dir_fd =
      sandbox_walk (export->path, (const char *const *)shared, FALSE, &export->name, error);
  if (export->dir_fd < 0)
    {
      g_prefix_error (error, "export %s: ", work->machine->name);
      return FALSE;
    }
  if (fstatat (export->dir_fd, export->name, &info, AT_SYMLINK_NOFOLLOW) == 0
      && (!export->replace || !S_ISREG (info.st_mode)))
    return sandbox_fail (error, SANDBOX_ERROR_EXISTS, "export %s: %s is there already%s",
                         work->machine->name, export->path,
                         S_ISREG (info.st_mode) ? "; --force replaces it" : ", and is no file");
  return TRUE;
}

static gboolean
prepare (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  if (!work->pieces.disk || !work->pieces.domain)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "export %s: it has no disk yet; its profile is all there is of it",
                         work->machine->name);
  work->profile = _sandbox_machine_load_profile (work->machine, error);
  return work->profile != NULL && open_place (work, error)
         && _sandbox_work_find_image (work->machine, work->profile, FALSE, &work->image, error);
}

/* --- the disk */

static gboolean
find_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxExport *export = work->export;

  if (!_sandbox_snapshot_find_top (work, cancellable, error))
    return FALSE;
  export->order = _sandbox_export_order (work->snapshot->layers, export->layers);
  return export->order->len <= SANDBOX_ARCHIVE_LAYERS_MAX
         || sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                          "export %s: its disk has %u layers, and a file no more than %d; delete "
                          "some of its snapshots, or leave out --layers",
                          work->machine->name, export->order->len, SANDBOX_ARCHIVE_LAYERS_MAX);
}

/* All layers that become one, were none of what they have hidden by others. */
static gboolean
check_room (SandboxWork *work, GError **error)
{
  g_autofree char *doing = g_strconcat ("export ", work->machine->name, NULL);
  g_autofree char *base = g_path_get_basename (work->image->disk);
  SandboxVirtVolume *image = _sandbox_virt_volume_get (work->host->virt, base, error);
  guint64 bytes = 0;

  if (image == NULL)
    return FALSE;
  bytes = image->allocation_bytes;
  _sandbox_virt_volume_free (image);
  for (const SandboxLayer *layer = work->export->order->pdata[0]; layer != NULL;
       layer = layer->below)
    bytes += layer->allocation_bytes;
  return _sandbox_host_check_room (work->host, doing, bytes, error);
}

static gboolean
sync_guest (gpointer data, GCancellable *cancellable, GError **error)
{
  return check_room (data, error) && _sandbox_snapshot_sync (data, cancellable, error);
}

static gboolean
make_layer (gpointer data, GCancellable *cancellable, GError **error)
{
  return !is_running (data) || _sandbox_snapshot_layer (data, cancellable, error);
}

static gboolean
freeze (gpointer data, GCancellable *cancellable, GError **error)
{
  return !is_running (data) || _sandbox_snapshot_switch (data, cancellable, error);
}

static gboolean
define (gpointer data, GCancellable *cancellable, GError **error)
{
  return !is_running (data) || _sandbox_snapshot_define (data, cancellable, error);
}

/* What a killed export left goes first. */
static gboolean
flatten (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxExport *export = work->export;
  SandboxVirt *virt = work->host->virt;
  const SandboxLayer *layer = export->order->pdata[0];
  g_autofree char *xml = NULL;

  export->flat = _sandbox_export_volume (work->machine);
  xml = _sandbox_xml_layer_volume (export->flat, layer->capacity_bytes, "");
  if (!_sandbox_virt_volume_remove (virt, export->flat, error)
      || g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  export->made_flat = TRUE;
  return _sandbox_virt_volume_flatten (virt, layer->volume, xml, error);
}

static gboolean
remove_flat (SandboxWork *work, GError **error)
{
  SandboxExport *export = work->export;

  if (!export->made_flat)
    return TRUE;
  export->made_flat = FALSE;
  return _sandbox_virt_volume_remove (work->host->virt, export->flat, error);
}

static void
undo_flatten (gpointer data)
{
  remove_flat (data, NULL);
}

/* --- the file */

static gboolean
open_file (SandboxWork *work, GError **error)
{
  SandboxExport *export = work->export;

  if (sandbox_new_file_open (&export->file, export->dir_fd, export->name, export->replace, error))
    return TRUE;
  g_prefix_error (error, "export %s to %s: ", work->machine->name, export->path);
  return FALSE;
}

static gboolean
check_file_room (SandboxWork *work, guint64 bytes, GError **error)
{
  struct statvfs info;
  guint64 have;

  if (fstatvfs (work->export->file.fd, &info) != 0)
    return TRUE;
  have = (guint64)info.f_bavail * info.f_frsize;
  if (have < bytes)
    {
      g_autofree char *left = sandbox_size_human (have);
      g_autofree char *need = sandbox_size_human (bytes);

      return sandbox_fail (error, SANDBOX_ERROR_HOST,
                           "export %s: the file takes %s more, and where it shall be there are %s "
                           "left",
                           work->machine->name, need, left);
    }
  return TRUE;
}

/* The profile as it is in effect, so that it needs none of this user's others. */
static char *
format_profile (SandboxWork *work, GError **error)
{
  g_autoptr (SandboxProfile) profile = sandbox_profile_copy (work->profile);

  return sandbox_profile_set (profile, "profile", "inherits", "base", error)
             ? sandbox_profile_format (profile)
             : NULL;
}

static gboolean
write_texts (SandboxWork *work, GError **error)
{
  SandboxArchiveWriter *writer = &work->export->writer;
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *created = g_date_time_format (now, "%Y-%m-%dT%H:%M:%SZ");
  SandboxArchiveNote note = { .name = work->machine->name,
                              .image = work->image->id,
                              .created = created,
                              .version = (char *)sandbox_version (),
                              .layered = work->export->order->len > 1 };
  g_autofree char *text = _sandbox_archive_note_format (&note);
  g_autofree char *profile = format_profile (work, error);

  return profile != NULL && _sandbox_archive_put (writer, text, strlen (text), error)
         && _sandbox_archive_put (writer, profile, strlen (profile), error)
         && _sandbox_archive_put (writer, work->image->cmdline, strlen (work->image->cmdline),
                                  error);
}

static gboolean
on_data (const void *data, gsize length, gpointer user_data, GError **error)
{
  SandboxExport *export = user_data;

  export->done += length;
  if (export->writer.next == SANDBOX_MEMBER_DISK || export->writer.next == SANDBOX_MEMBER_LAYER)
    _sandbox_report (&export->work->report, "write", "writing the file", export->done,
                     export->total);
  return _sandbox_archive_write (&export->writer, data, length, error);
}

static gboolean
begin (SandboxWork *work, guint64 bytes, GError **error)
{
  SandboxExport *export = work->export;

  export->done = 0;
  export->total = bytes;
  return check_file_room (work, bytes, error)
         && _sandbox_archive_begin (&export->writer, bytes, error);
}

/* As it is. */
static gboolean
write_volume (SandboxWork *work, const char *name, GCancellable *cancellable, GError **error)
{
  SandboxExport *export = work->export;
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (work->host->virt, name, error);
  guint64 bytes;

  if (volume == NULL)
    return FALSE;
  bytes = volume->physical_bytes != 0 ? volume->physical_bytes : volume->capacity_bytes;
  _sandbox_virt_volume_free (volume);
  return begin (work, bytes, error)
         && _sandbox_virt_volume_receive (work->host->virt, name, on_data, export, cancellable,
                                          error)
         && _sandbox_archive_end (&export->writer, error);
}

/* A file beside the image's disk. */
static gboolean
write_part (SandboxWork *work, const char *path, GCancellable *cancellable, GError **error)
{
  g_autofree char *name = g_path_get_basename (path);

  return write_volume (work, name, cancellable, error);
}

static gboolean
write_file (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxExport *export = work->export;

  if (!open_file (work, error))
    return FALSE;
  _sandbox_archive_writer_init (&export->writer, export->file.fd, export->order->len - 1);
  return write_texts (work, error) && write_part (work, work->image->kernel, cancellable, error)
         && write_part (work, work->image->initrd, cancellable, error)
         && write_volume (work, export->flat, cancellable, error);
}

/* --- the layers above the first */

static gboolean
read_layer (guint64 offset, void *data, gsize length, gpointer user_data, GError **error)
{
  const SandboxExport *export = user_data;

  return _sandbox_virt_volume_read (export->work->host->virt, export->layer->volume, offset, data,
                                    length, error);
}

static gboolean
on_layer_data (const void *data, gsize length, gpointer user_data, GError **error)
{
  SandboxExport *export = user_data;

  return sandbox_qcow2_pack_feed (export->pack, data, length, on_data, export, error);
}

/* The name of what it stands on is one in the file: that here says nothing elsewhere, and is
 * nobody's business there. */
static gboolean
open_layer (SandboxWork *work, const SandboxLayer *layer, GError **error)
{
  SandboxExport *export = work->export;
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (work->host->virt, layer->volume, error);
  g_autofree char *name = NULL;
  guint64 bytes;
  guint below = 0;

  if (volume == NULL)
    return FALSE;
  bytes = volume->physical_bytes;
  _sandbox_virt_volume_free (volume);
  g_ptr_array_find (export->order, layer->below, &below);
  name = _sandbox_archive_layer_name (below);
  g_clear_pointer (&export->pack, sandbox_qcow2_pack_free);
  export->layer = layer;
  export->pack = sandbox_qcow2_pack_new (read_layer, export, bytes, name, error);
  if (export->pack == NULL)
    g_prefix_error (error, "export %s: %s: ", work->machine->name, layer->volume);
  return export->pack != NULL;
}

static gboolean
write_layer (SandboxWork *work, const SandboxLayer *layer, GCancellable *cancellable,
             GError **error)
{
  SandboxExport *export = work->export;

  return open_layer (work, layer, error)
         && begin (work, sandbox_qcow2_pack_get_bytes (export->pack), error)
         && _sandbox_virt_volume_receive (work->host->virt, layer->volume, on_layer_data, export,
                                          cancellable, error)
         && sandbox_qcow2_pack_end (export->pack, on_data, export, error)
         && _sandbox_archive_end (&export->writer, error);
}

static gboolean
write_layers (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxExport *export = work->export;
  g_autofree char *list = _sandbox_export_snapshots (work->snapshot->layers, export->order);

  if (export->order->len == 1)
    return TRUE;
  if (!_sandbox_archive_put (&export->writer, list, strlen (list), error))
    return FALSE;
  for (guint i = 1; i < export->order->len; i++)
    {
      g_autofree char *note = g_strdup_printf ("writing layer %u of %u", i + 1, export->order->len);

      _sandbox_report (&work->report, "layers", note, 0, 0);
      if (!write_layer (work, export->order->pdata[i], cancellable, error))
        return FALSE;
    }
  return TRUE;
}

static void
undo_write (gpointer data)
{
  SandboxExport *export = ((SandboxWork *)data)->export;

  sandbox_new_file_clear (&export->file);
}

static gboolean
publish (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxExport *export = work->export;

  if (_sandbox_archive_finish (&export->writer, error)
      && sandbox_new_file_publish (&export->file, error))
    return TRUE;
  g_prefix_error (error, "export %s to %s: ", work->machine->name, export->path);
  return FALSE;
}

/* What was frozen for it is merged again. That it may not be now is no failure of the export: the
 * next snapshot verb does it then. */
static gboolean
clean (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GError) local = NULL;

  if (!remove_flat (work, error))
    return FALSE;
  if (is_running (work) && !_sandbox_layers_tidy (work, SANDBOX_TIDY_ALL, cancellable, &local))
    g_debug ("export %s: %s", work->machine->name, local->message);
  return TRUE;
}

static const SandboxRow export_rows[] = {
  { { "prepare", "reading the profile", prepare, NULL }, SANDBOX_ROW_ALWAYS },
  { { "find", "looking at the disk", find_disk, NULL }, SANDBOX_ROW_ALWAYS },
  { { "sync", "asking the guest to write out what it has in memory", sync_guest, NULL },
    SANDBOX_ROW_REAL },
  { { "layer", "making a layer for the machine", make_layer, _sandbox_snapshot_undo_layer },
    SANDBOX_ROW_REAL },
  { { "freeze", "freezing what was written", freeze, NULL }, SANDBOX_ROW_REAL },
  { { "define", "writing to the new layer", define, NULL }, SANDBOX_ROW_REAL },
  { { "flatten", "making one layer of its disk", flatten, undo_flatten }, SANDBOX_ROW_REAL },
  { { "write", "writing the file", write_file, undo_write }, SANDBOX_ROW_REAL },
  { { "layers", "writing its snapshots", write_layers, NULL }, SANDBOX_ROW_REAL },
  { { "publish", "giving the file its name", publish, NULL }, SANDBOX_ROW_REAL },
  { { "clean", "removing the copy of the disk", clean, NULL }, SANDBOX_ROW_REAL },
};
const SandboxVerb _sandbox_verb_export = { "export", export_rows, G_N_ELEMENTS (export_rows) };

static void
export_clear (SandboxExport *export)
{
  _sandbox_archive_writer_clear (&export->writer);
  sandbox_new_file_clear (&export->file);
  sandbox_close_fd (&export->dir_fd);
  g_free (export->name);
  g_free (export->flat);
  g_clear_pointer (&export->order, g_ptr_array_unref);
  g_clear_pointer (&export->pack, sandbox_qcow2_pack_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxExport, export_clear)

gboolean
sandbox_machine_export (SandboxMachine *machine, const char *path,
                        const SandboxExportOptions *options, SandboxProgressFunc progress,
                        gpointer user_data, GCancellable *cancellable, GError **error)
{
  SandboxExportOptions own = SANDBOX_EXPORT_OPTIONS_INIT;
  g_auto (SandboxWork) work = { 0 };
  g_auto (SandboxExport) export = {
    .path = path, .dir_fd = -1, .file = SANDBOX_NEW_FILE_INIT, .work = &work
  };

  if (!_sandbox_options_copy (&own, sizeof own, options, error))
    return FALSE;
  _sandbox_work_init (&work, machine, progress, user_data);
  export.replace = own.replace;
  export.layers = own.layers;
  work.export = &export;
  work.snapshot = _sandbox_snapshot_work_new ();
  work.snapshot->name = g_strdup (""); /* a frozen layer without a name */
  if (!_sandbox_work_begin (&work, "export", cancellable, error)
      || !_sandbox_work_run (&work, &_sandbox_verb_export, cancellable, error))
    return FALSE;
  return !_sandbox_host_is_test (machine->host)
         || sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                          "export %s: libvirt's test driver keeps no disks; use a host with QEMU "
                          "(qemu:///system)",
                          machine->name);
}
