// SPDX-License-Identifier: LGPL-2.1-or-later
// Keeping a boot: a machine without shares and with keys of its own boots onto a layer of its own,
// and its memory is saved before anything of its user's has run in it.
//
// libvirt ends that machine with our process. It has the name, the UUID, the addresses and the
// packet filter of the machine that it is made for, whose lock we hold and which has no disk.
#include "facade/warm.h"

#include "xml/allowed.h"

#include <string.h>

typedef struct
{
  SandboxWork *work;
  SandboxWarm *warm;
  SandboxSsh *ssh;
  gboolean made_layer, made_memory;
} Capture;

static void
capture_clear (Capture *capture)
{
  g_clear_pointer (&capture->ssh, _sandbox_ssh_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Capture, capture_clear)

/* A machine that shall not be there any more has keys that it was given for this boot only: what
 * knows them later is worth nothing. */
static gboolean
make_keys (gpointer data, GCancellable *cancellable, GError **error)
{
  const Capture *capture = data;
  const SandboxPlan *plan = capture->warm->plan;
  g_autofree char *dir = g_path_get_dirname (capture->warm->keys_path);
  sandbox_autofd int parent = sandbox_dir_open (dir, TRUE, error);
  sandbox_autofd int fd = -1;

  if (parent < 0 || !sandbox_remove_at (parent, plan->object, error))
    return FALSE;
  fd = sandbox_dir_open_at (parent, plan->object, TRUE, error);
  return fd >= 0 && _sandbox_keys_ensure (fd, plan->object, NULL, cancellable, error)
         && _sandbox_ssh_write_known_hosts (fd, plan->uuid, error);
}

static gboolean
make_layer (gpointer data, GCancellable *cancellable, GError **error)
{
  Capture *capture = data;
  const SandboxPlan *plan = capture->warm->plan;
  const char *below = plan->layers[0] != NULL ? plan->layers[0] : plan->image_disk;
  g_autofree char *name = _sandbox_warm_volume (capture->warm->id, ".qcow2");
  g_autofree char *xml = _sandbox_xml_layer_volume (name, plan->disk_bytes, below);

  if (!_sandbox_virt_pool_ensure (capture->work->host->virt, error)
      || !_sandbox_virt_volume_create_new (capture->work->host->virt, xml, error))
    return FALSE;
  capture->made_layer = TRUE;
  return TRUE;
}

static void
undo_layer (gpointer data)
{
  const Capture *capture = data;
  g_autofree char *name = _sandbox_warm_volume (capture->warm->id, ".qcow2");

  if (capture->made_layer)
    _sandbox_virt_volume_remove (capture->work->host->virt, name, NULL);
}

static gboolean
write_seed (gpointer data, GCancellable *cancellable, GError **error)
{
  const Capture *capture = data;
  sandbox_autofd int fd = sandbox_dir_open (capture->warm->keys_path, FALSE, error);

  return fd >= 0 && _sandbox_seed_write (capture->work->host, capture->warm->plan, fd, error);
}

/* The seed that has these keys must not be there when the machine itself starts. */
static void
undo_seed (gpointer data)
{
  const Capture *capture = data;

  _sandbox_virt_volume_remove (capture->work->host->virt, capture->warm->plan->seed_volume, NULL);
}

static gboolean
boot (gpointer data, GCancellable *cancellable, GError **error)
{
  const Capture *capture = data;
  const SandboxPlan *plan = capture->warm->plan;
  g_autofree char *planned = _sandbox_xml_domain (plan);
  g_autoptr (GPtrArray) below = g_ptr_array_new ();
  g_autofree char *xml = NULL;

  for (char **layer = plan->layers; *layer != NULL; layer++)
    g_ptr_array_add (below, *layer);
  g_ptr_array_add (below, plan->image_disk);
  g_ptr_array_add (below, NULL);
  xml = _sandbox_xml_with_disk (planned, capture->warm->layer_path,
                                (const char *const *)below->pdata, error);
  return xml != NULL && _sandbox_xml_check_domain (xml, error)
         && _sandbox_virt_domain_run_once (capture->work->host->virt, xml, error);
}

static void
undo_boot (gpointer data)
{
  const Capture *capture = data;

  _sandbox_virt_domain_kill (capture->work->host->virt, capture->warm->plan->object, NULL);
}

static gboolean
still_running (gpointer data)
{
  const Capture *capture = data;
  SandboxVirtState state;
  gboolean exists;

  if (!_sandbox_virt_domain_state (capture->work->host->virt, capture->warm->plan->object, &exists,
                                   &state, NULL))
    return TRUE;
  return exists && state != SANDBOX_VIRT_STOPPED && state != SANDBOX_VIRT_CRASHED;
}

static void
on_wait (const char *note, gpointer data)
{
  const Capture *capture = data;

  _sandbox_report (&capture->work->report, "ssh", note, 0, 0);
}

static gboolean
wait_for_ssh (gpointer data, GCancellable *cancellable, GError **error)
{
  Capture *capture = data;
  const SandboxPlan *plan = capture->warm->plan;
  gint64 timeout = capture->work->options.timeout_usec;

  capture->ssh = _sandbox_ssh_new (capture->warm->keys_path, plan->uuid, plan->address, plan->user);
  return _sandbox_ssh_wait (capture->ssh, timeout > 0 ? timeout : SANDBOX_START_TIMEOUT_USEC,
                            still_running, on_wait, capture, cancellable, error);
}

static gboolean
settle (gpointer data, GCancellable *cancellable, GError **error)
{
  return _sandbox_guest_settle (((Capture *)data)->ssh, cancellable, error);
}

/* From here on nothing writes to the layer any more. */
static gboolean
save_memory (gpointer data, GCancellable *cancellable, GError **error)
{
  Capture *capture = data;
  SandboxVirt *virt = capture->work->host->virt;
  g_autofree char *name = _sandbox_warm_volume (capture->warm->id, ".mem");
  g_autofree char *xml = _sandbox_xml_raw_volume (name, 4096, 0600);

  if (!_sandbox_virt_volume_create_new (virt, xml, error))
    return FALSE;
  capture->made_memory = TRUE;
  return _sandbox_virt_domain_save (virt, capture->warm->plan->object, capture->warm->memory_path,
                                    error);
}

static gboolean
trim_memory (gpointer data, GCancellable *cancellable, GError **error)
{
  const Capture *capture = data;

  return _sandbox_warm_trim (capture->work, capture->warm, cancellable, error);
}

static void
undo_memory (gpointer data)
{
  const Capture *capture = data;
  g_autofree char *name = _sandbox_warm_volume (capture->warm->id, ".mem");

  if (capture->made_memory)
    _sandbox_virt_volume_remove (capture->work->host->virt, name, NULL);
}

/* All of it is ours, or was checked when it was read. */
static gboolean
write_manifest (gpointer data, GCancellable *cancellable, GError **error)
{
  const Capture *capture = data;
  const SandboxPlan *plan = capture->warm->plan;
  SandboxVirt *virt = capture->work->host->virt;
  g_autofree char *name = _sandbox_warm_volume (capture->warm->id, ".json");
  g_autofree char *text = g_strdup_printf (
      "{\n  \"format\": 1,\n  \"id\": \"%s\",\n  \"uid\": %u,\n  \"machine\": "
      "\"%s\",\n  \"profile\": \"%s\",\n  \"image\": \"%s\"\n}\n",
      capture->warm->id, capture->work->host->uid, plan->name, plan->profile, plan->image_id);
  g_autofree char *xml = _sandbox_xml_raw_volume (name, strlen (text), 0644);

  return _sandbox_virt_volume_create_new (virt, xml, error)
         && _sandbox_virt_volume_upload (virt, name, text, strlen (text), error);
}

static void
undo_manifest (gpointer data)
{
  const Capture *capture = data;
  g_autofree char *name = _sandbox_warm_volume (capture->warm->id, ".json");

  _sandbox_virt_volume_remove (capture->work->host->virt, name, NULL);
}

static const SandboxRow rows[] = {
  { { "keys", "making keys for this boot", make_keys, NULL }, SANDBOX_ROW_REAL },
  { { "layer", "making the layer that it writes", make_layer, undo_layer }, SANDBOX_ROW_REAL },
  { { "seed", "writing its identity", write_seed, undo_seed }, SANDBOX_ROW_REAL },
  { { "boot", "booting once, to keep it", boot, undo_boot }, SANDBOX_ROW_REAL },
  { { "ssh", "waiting for ssh", wait_for_ssh, NULL }, SANDBOX_ROW_REAL },
  { { "settle", "waiting until it has booted", settle, NULL }, SANDBOX_ROW_REAL },
  { { "memory", "keeping its memory", save_memory, undo_memory }, SANDBOX_ROW_REAL },
  { { "trim", "leaving out of it what is empty", trim_memory, NULL }, SANDBOX_ROW_REAL },
  { { "manifest", "completing the warm image", write_manifest, undo_manifest }, SANDBOX_ROW_REAL },
};
const SandboxVerb _sandbox_verb_warm_capture = { "warm-capture", rows, G_N_ELEMENTS (rows) };

static void
on_step (const SandboxStep *step, gpointer data)
{
  _sandbox_report (&((Capture *)data)->work->report, "warm", step->note, 0, 0);
}

gboolean
_sandbox_warm_capture (SandboxWork *work, SandboxWarm *warm, GCancellable *cancellable,
                       GError **error)
{
  g_auto (Capture) capture = { .work = work, .warm = warm };
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format (now, "%Y%m%dT%H%M%S");
  g_autofree char *id = g_strdup_printf ("%s.%s-%s", warm->plan->object, warm->digest, time);
  SandboxStep steps[G_N_ELEMENTS (rows)];

  if (!_sandbox_host_check_room (work->host, "keeping the memory of a boot",
                                 warm->plan->memory_bytes, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    steps[i] = rows[i].step;
  _sandbox_warm_set_id (warm, id);
  return sandbox_steps_run (_sandbox_verb_warm_capture.verb, steps, G_N_ELEMENTS (steps), &capture,
                            on_step, &capture, cancellable, error);
}

gboolean
_sandbox_warm_end_capture (SandboxWork *work, GError **error)
{
  SandboxVirt *virt = work->host->virt;
  const char *object = work->machine->object;
  g_autofree char *xml = NULL, *path = NULL, *id = NULL;
  SandboxVirtState state;
  gboolean exists;

  if (_sandbox_host_is_test (work->host))
    return TRUE;
  if (!_sandbox_virt_domain_state (virt, object, &exists, &state, error))
    return FALSE;
  if (!exists || state == SANDBOX_VIRT_STOPPED)
    return TRUE;
  xml = _sandbox_virt_domain_xml (virt, object, TRUE, NULL);
  path = xml != NULL ? _sandbox_xml_disk_path (xml) : NULL;
  id = _sandbox_warm_id_of_path (path);
  return id == NULL || _sandbox_virt_domain_kill (virt, object, error);
}
