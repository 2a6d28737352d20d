// SPDX-License-Identifier: LGPL-2.1-or-later
// What of an imported file is about snapshots: the list of them, and the layers of its disk but for
// the first, which is the image. On that the machine has an empty layer, which takes the name of
// the state that the image is; the others become layers of the machine on it.
//
// They were checked like the rest (base/qcow2.h). Still no name of a file that stands in one gets
// to libvirt or QEMU: the first cluster is made anew while it is sent, and says that the layer
// stands on the volume which it does stand on here.
#include "facade/export.h"

#include "base/qcow2.h"

#include <string.h>

/* Of the year 9999: what no clock says is no time. */
#define TIME_MAX_USEC (G_GINT64_CONSTANT (253402300799) * G_USEC_PER_SEC)

/* --- the list */

static const SandboxArchiveLayer *
get_layer (const SandboxArchive *archive, guint number)
{
  return &g_array_index (archive->layers, SandboxArchiveLayer, number - 1);
}

static gboolean
refuse (GError **error, const char *why)
{
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "its list of snapshots %s", why);
}

/* The last layer is what the machine writes to, and no snapshot. @used: which ones have a use. */
static gboolean
check_entries (const GPtrArray *entries, guint n_layers, gboolean *used, GError **error)
{
  for (guint i = 0; i < entries->len; i++)
    {
      const SandboxSnapshotEntry *entry = entries->pdata[i];

      if (entry->layer >= n_layers)
        return refuse (error, "names a layer that is not in the file, or cannot be a snapshot");
      if (used[entry->layer])
        return refuse (error, "names a layer twice");
      if (entry->created_usec < 0 || entry->created_usec > TIME_MAX_USEC)
        return refuse (error, "has a time that is none");
      used[entry->layer] = TRUE;
    }
  return TRUE;
}

/* As deep as a machine's own may be, and nothing of which no verb would know what it is for. */
static gboolean
check_tree (const SandboxArchive *archive, gboolean *used, GError **error)
{
  guint n = archive->layers->len;
  g_autofree guint *depth = g_new0 (guint, n + 1);

  depth[0] = 1;
  for (guint i = 1; i <= n; i++)
    {
      guint below = get_layer (archive, i)->below;

      used[below] = TRUE;
      depth[i] = depth[below] + 1;
      if (depth[i] > SANDBOX_LAYERS_MAX)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "it has more than %d layers on one another", SANDBOX_LAYERS_MAX);
    }
  for (guint i = 0; i < n; i++)
    if (!used[i])
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "of its layers number %u is of no use: no snapshot has it, and nothing "
                           "stands on it",
                           i);
  return TRUE;
}

GPtrArray *
_sandbox_import_snapshots (const SandboxArchive *archive, GError **error)
{
  gsize length = 0;
  g_autoptr (GPtrArray) entries =
      _sandbox_snapshots_parse (archive->snapshots, strlen (archive->snapshots));
  g_autofree char *again = entries != NULL ? _sandbox_snapshots_format (entries, &length) : NULL;
  g_autofree gboolean *used = g_new0 (gboolean, archive->layers->len + 1);

  if (again == NULL || strcmp (again, archive->snapshots) != 0)
    {
      refuse (error, "is none that `vms export` writes");
      return NULL;
    }
  if (!check_entries (entries, archive->layers->len, used, error)
      || !check_tree (archive, used, error))
    return NULL;
  return g_steal_pointer (&entries);
}

gboolean
_sandbox_import_save_names (SandboxWork *work, GError **error)
{
  SandboxImport *import = work->import;
  sandbox_autofd int state_fd = -1;

  work->made.state_dir |= !g_file_test (work->machine->state_path, G_FILE_TEST_EXISTS);
  state_fd = _sandbox_machine_state_fd (work->machine, TRUE, error);
  if (state_fd < 0)
    return FALSE;
  if (!_sandbox_layer_parse (work->machine->object, work->plan->disk_volume, &import->first))
    return sandbox_fail (error, SANDBOX_ERROR_FAILED, "import to %s: %s is no name of a layer",
                         work->machine->name, work->plan->disk_volume);
  for (guint i = 0; i < import->snapshots->len; i++)
    ((SandboxSnapshotEntry *)import->snapshots->pdata[i])->layer += import->first;
  return _sandbox_snapshots_write (state_fd, import->snapshots, error);
}

/* --- the layers */

typedef struct
{
  SandboxImport *import;
  const SandboxArchiveLayer *layer;
  guint8 *head; /* its first cluster, as it is here */
} Source;

static gboolean
on_data (guint64 offset, void *data, gsize length, gpointer user_data, GError **error)
{
  const Source *source = user_data;
  SandboxImport *import = source->import;
  gsize part = 0;

  _sandbox_report (&import->work->report, "layers", "copying its snapshots", offset,
                   source->layer->bytes);
  if (offset < SANDBOX_QCOW2_LAYER_CLUSTER)
    {
      part = MIN (length, SANDBOX_QCOW2_LAYER_CLUSTER - (gsize)offset);
      memcpy (data, source->head + offset, part);
    }
  return part == length
         || sandbox_pinned_read (import->pinned, source->layer->offset + offset + part,
                                 (guint8 *)data + part, length - part, error);
}

static gboolean
send_layer (SandboxWork *work, const char *volume, const SandboxArchiveLayer *layer,
            const char *below, GCancellable *cancellable, GError **error)
{
  g_autofree guint8 *head = g_malloc (SANDBOX_QCOW2_LAYER_CLUSTER);
  Source source = { work->import, layer, head };

  if (_sandbox_host_is_test (work->host))
    return TRUE;
  return sandbox_pinned_read (work->import->pinned, layer->offset, head,
                              SANDBOX_QCOW2_LAYER_CLUSTER, error)
         && sandbox_qcow2_stand_on (head, below, error)
         && _sandbox_virt_volume_send (work->host->virt, volume, layer->bytes, on_data, &source,
                                       cancellable, error);
}

static char *
volume_name (const SandboxWork *work, guint number)
{
  return _sandbox_layer_volume (work->machine->object, work->import->first + number);
}

static char *
volume_path (const SandboxWork *work, guint number, GError **error)
{
  g_autofree char *name = volume_name (work, number);
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (work->host->virt, name, error);
  char *path = volume != NULL ? g_strdup (volume->path) : NULL;

  _sandbox_virt_volume_free (volume);
  return path;
}

/* Made by libvirt first, on what it stands on: so what it is is known before a byte of it is there.
 */
static gboolean
make_layer (SandboxWork *work, guint number, GPtrArray *paths, GCancellable *cancellable,
            GError **error)
{
  SandboxImport *import = work->import;
  const SandboxArchiveLayer *layer = get_layer (&import->archive, number);
  const char *below = paths->pdata[layer->below];
  g_autofree char *name = volume_name (work, number);
  g_autofree char *xml = _sandbox_xml_layer_volume (name, layer->disk_bytes, below);
  char *path;

  if (g_cancellable_set_error_if_cancelled (cancellable, error)
      || !_sandbox_virt_volume_create_new (work->host->virt, xml, error))
    return FALSE;
  import->n_layers = number;
  if (!send_layer (work, name, layer, below, cancellable, error))
    return FALSE;
  path = volume_path (work, number, error);
  if (path != NULL)
    g_ptr_array_add (paths, path);
  return path != NULL;
}

/* The machine writes to the last one. */
static void
stand_on (SandboxWork *work, const GPtrArray *paths)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  guint number = paths->len - 1;

  g_free (work->plan->disk_volume);
  work->plan->disk_volume = volume_name (work, number);
  while (number > 0)
    {
      number = get_layer (&work->import->archive, number)->below;
      g_strv_builder_add (builder, paths->pdata[number]);
    }
  g_strfreev (work->plan->layers);
  work->plan->layers = g_strv_builder_end (builder);
}

gboolean
_sandbox_import_make_layers (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  char *path;

  if (work->import->snapshots == NULL)
    return TRUE;
  path = volume_path (work, 0, error);
  if (path == NULL)
    return FALSE;
  g_ptr_array_add (paths, path);
  for (guint i = 1; i <= work->import->archive.layers->len; i++)
    if (!make_layer (work, i, paths, cancellable, error))
      return FALSE;
  stand_on (work, paths);
  return TRUE;
}

void
_sandbox_import_undo_layers (gpointer data)
{
  SandboxWork *work = data;

  if (work->import->snapshots == NULL)
    return;
  for (guint i = work->import->n_layers + 1; i > 0; i--)
    {
      g_autofree char *name = volume_name (work, i - 1);

      _sandbox_virt_volume_remove (work->host->virt, name, NULL);
    }
}
