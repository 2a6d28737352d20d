// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting and ending a reader.
#include "facade/reader.h"

#include "facade/export.h"

#include <string.h>

#define START_USEC (10 * 60 * G_USEC_PER_SEC)

struct _SandboxReader
{
  SandboxMachine *machine;
  SandboxSsh *ssh;
};

static const struct
{
  const char *device, *root;
} places[SANDBOX_READS_MAX] = { { "/dev/vdb", "/run/vms/read0" },
                                { "/dev/vdc", "/run/vms/read1" } };

const char *
_sandbox_reader_root (guint index)
{
  return places[index].root;
}

gboolean
_sandbox_reader_make_scratch (SandboxWork *work, GError **error)
{
  const SandboxPlan *plan = work->plan;

  for (guint i = 0; i < plan->reads->len; i++)
    {
      const SandboxPlanRead *read = plan->reads->pdata[i];
      g_autofree char *volume = _sandbox_plan_scratch_volume (plan->object, i);
      g_autofree char *xml = _sandbox_xml_layer_volume (volume, read->bytes, read->chain[0]);

      if (!_sandbox_virt_volume_create (work->host->virt, xml, NULL, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
_sandbox_reader_remove_scratch (SandboxMachine *machine, GError **error)
{
  SandboxVirt *virt = machine->host->virt;
  g_autofree char *stem = g_strconcat (machine->object, ".scratch", NULL);
  g_autoptr (GPtrArray) volumes = NULL;

  if (!g_str_has_prefix (machine->name, SANDBOX_THROWAWAY_PREFIX))
    return TRUE;
  volumes = _sandbox_virt_list_volumes (virt, stem, FALSE, error);
  for (guint i = 0; volumes != NULL && i < volumes->len; i++)
    if (!_sandbox_virt_volume_remove (virt, ((SandboxVirtVolume *)volumes->pdata[i])->name, error))
      return FALSE;
  return volumes != NULL;
}

/* Nothing of what the user's defaults say. */
static char *
profile_text (const SandboxImageRef *image)
{
  g_autofree char *name = _sandbox_image_id_name (image->id, NULL);

  return g_strdup_printf (
      "[profile]\ninherits=base\ndefaults=no\n[machine]\nencrypt=no\nstart=boot\nimage=%s\ncpus="
      "2\nmemory=1GiB\ndisk=%" G_GUINT64_FORMAT
      "KiB\n[network]\nmode=none\negress=\nallow=\nforward=\nhost=\n"
      "[provision]\nuse=\npackages=\nnpm=\nsetup=\nfiles=\nenv=\n",
      name, image->bytes / 1024);
}

static SandboxPlanRead *
read_of (const SandboxLayer *layer)
{
  SandboxPlanRead *read = g_new0 (SandboxPlanRead, 1);
  g_autofree const char **below = _sandbox_layer_below (layer);
  g_autoptr (GStrvBuilder) chain = g_strv_builder_new ();

  g_strv_builder_add (chain, layer->path);
  g_strv_builder_addv (chain, below);
  g_strv_builder_add (chain, _sandbox_layer_base (layer));
  read->chain = g_strv_builder_end (chain);
  read->bytes = layer->capacity_bytes;
  return read;
}

static gboolean
mount_all (SandboxReader *reader, guint n, GCancellable *cancellable, GError **error)
{
  for (guint i = 0; i < n; i++)
    if (!_sandbox_guest_mount_disk (reader->ssh, places[i].device, places[i].root, cancellable,
                                    error))
      {
        g_prefix_error (error, "mounting it in a throwaway machine: ");
        return FALSE;
      }
  return TRUE;
}

/* The newest that was made here for the base profile. */
static char *
find_own_image (SandboxHost *host, const SandboxLayer *layer, GError **error)
{
  g_autoptr (SandboxProfile) profile = sandbox_profile_load (&host->profiles, "base", error);
  const char *name = profile != NULL ? _sandbox_profile_values (profile)->image : NULL;
  g_auto (GStrv) ids = name != NULL ? _sandbox_image_ids (host, name, error) : NULL;

  if (ids == NULL || ids[0] != NULL)
    return ids != NULL ? g_strdup (ids[0]) : NULL;
  sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                "%s was imported, and what was imported reads no disk here; make an image that "
                "does: `vms image build %s`",
                layer->volume, name);
  return NULL;
}

/* The image that the disk began with has a kernel that knows its file system, and nothing of what
 * was installed later. That of an imported machine is somebody else's work as a whole, like its
 * disk. */
char *
_sandbox_reader_image (SandboxHost *host, const SandboxLayer *layer, GError **error)
{
  g_autofree char *id = _sandbox_image_id_of_path (_sandbox_layer_base (layer));
  g_autofree char *name = id != NULL ? _sandbox_image_id_name (id, NULL) : NULL;

  if (g_strcmp0 (name, SANDBOX_IMPORTED_IMAGE) == 0)
    return find_own_image (host, layer, error);
  if (id == NULL)
    sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED, "%s does not stand on one of our images",
                  layer->volume);
  return g_steal_pointer (&id);
}

SandboxReader *
_sandbox_reader_new (SandboxHost *host, const SandboxLayer *const *layers, guint n_layers,
                     const SandboxReport *report, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxReader) reader = g_new0 (SandboxReader, 1);
  g_autoptr (SandboxImageRef) image = NULL;
  g_autoptr (GPtrArray) reads = _sandbox_plan_reads_new ();
  g_autofree char *id = NULL, *text = NULL;

  for (guint i = 0; i < n_layers; i++)
    if (!_sandbox_layer_refuse_encrypted (layers[i], "a throwaway machine cannot read it",
                                          "start the machine, and try again while it runs", error))
      return NULL;
  id = _sandbox_reader_image (host, layers[0], error);
  image = id != NULL ? _sandbox_image_ref (host, id, error) : NULL;
  if (image == NULL)
    return NULL;
  text = profile_text (image);
  for (guint i = 0; i < n_layers; i++)
    g_ptr_array_add (reads, read_of (layers[i]));
  _sandbox_report (report, "reader", "starting a throwaway machine that reads its disk", 0, 0);
  reader->machine =
      _sandbox_host_run_bare (host, text, image, reads, START_USEC, cancellable, error);
  if (reader->machine == NULL)
    return NULL;
  reader->ssh = _sandbox_machine_ssh (reader->machine, error);
  if (reader->ssh == NULL || !mount_all (reader, n_layers, cancellable, error))
    return NULL;
  return g_steal_pointer (&reader);
}

const SandboxSsh *
_sandbox_reader_ssh (const SandboxReader *reader)
{
  return reader->ssh;
}

void
_sandbox_reader_free (SandboxReader *reader)
{
  if (reader == NULL)
    return;
  g_clear_pointer (&reader->ssh, _sandbox_ssh_free);
  g_clear_pointer (&reader->machine, sandbox_machine_unref);
  g_free (reader);
}
