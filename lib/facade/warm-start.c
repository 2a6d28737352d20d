// SPDX-License-Identifier: LGPL-2.1-or-later
// Going on from kept memory, and falling back to a boot when that does not work.
#include "facade/warm.h"

#include "xml/allowed.h"
#include "xml/warm.h"

#include <string.h>

#define NOTE        "restored"
#define ANSWER_USEC (60 * G_USEC_PER_SEC)

/* --- which warm image */

/* One that shares more than it can be given while it runs, and one whose libvirt, so whose
 * processor and kernel, are elsewhere, boots. */
static gboolean
is_wanted (const SandboxWork *work)
{
  const char *start = _sandbox_profile_values (work->profile)->start;
  gboolean warm = strcmp (start, "warm") == 0;

  return warm && !work->plan->encrypted && !work->options.boot && !work->pieces.disk
         && !_sandbox_pieces_running (&work->pieces) && work->image != NULL
         && work->machine->reads == NULL && !_sandbox_virt_is_remote (work->host->virt)
         && work->plan->shares->len <= SANDBOX_WARM_PORTS + SANDBOX_SPARE_PORTS;
}

/* Of the machine without what can be given to it later. */
static SandboxPlan *
make_plan (SandboxWork *work, GError **error)
{
  g_autoptr (SandboxProfile) profile = sandbox_profile_copy (work->profile);
  SandboxPlan *plan;

  if (!_sandbox_profile_remove_shares (profile, FALSE, error))
    return NULL;
  work->machine->for_warm = TRUE;
  plan = _sandbox_work_plan (work->machine, profile, work->image, work->old_meta, TRUE, error);
  work->machine->for_warm = FALSE;
  return plan;
}

static char *
make_digest (SandboxWork *work, const SandboxPlan *plan, GError **error)
{
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (work->host->virt, NULL, error);
  g_autofree char *computer = _sandbox_warm_computer (plan->emulator);
  g_autofree char *hook = NULL;
  g_autoptr (GBytes) seed = NULL;

  if (facts == NULL || !_sandbox_policy_hook (work->host, plan, &hook, error))
    return NULL;
  seed = _sandbox_seed_build (plan, -1, hook, error);
  return seed != NULL ? _sandbox_warm_digest (plan, seed, facts, computer, error) : NULL;
}

/* The machine's plan with the layer of the warm image below its disk, or without it. */
static gboolean
plan_again (SandboxWork *work, GError **error)
{
  SandboxPlan *plan = _sandbox_work_plan (work->machine, work->profile, work->image, work->old_meta,
                                          work->newest_image, error);

  if (plan == NULL)
    return FALSE;
  sandbox_plan_unref (work->plan);
  work->plan = plan;
  return TRUE;
}

static gboolean
stand_on (SandboxWork *work, const SandboxWarm *warm, GError **error)
{
  g_autoptr (GStrvBuilder) layers = g_strv_builder_new ();

  g_strv_builder_add (layers, warm->layer_path);
  if (work->image->layers != NULL)
    g_strv_builder_addv (layers, (const char **)work->image->layers);
  g_strfreev (work->image->layers);
  work->image->layers = g_strv_builder_end (layers);
  return plan_again (work, error);
}

static gboolean
prepare (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxPlan) plan = make_plan (work, error);
  g_autofree char *digest = plan != NULL ? make_digest (work, plan, error) : NULL;
  g_autoptr (SandboxWarm) warm =
      digest != NULL ? _sandbox_warm_new (work->machine, plan, digest) : NULL;

  if (warm == NULL || !_sandbox_warm_find (work->host, warm, error)
      || !_sandbox_warm_remove (work->host, plan->object, warm->id, error))
    return FALSE;
  if (warm->id == NULL && !_sandbox_warm_capture (work, warm, cancellable, error))
    return FALSE;
  if (!stand_on (work, warm, error))
    return FALSE;
  work->warm = g_steal_pointer (&warm);
  return TRUE;
}

/* What goes wrong with it is no reason not to start. */
static void
tell_boot (SandboxWork *work, const char *why)
{
  g_autofree char *note = g_strdup_printf ("boots, since it cannot start warm: %s", why);

  _sandbox_report (&work->report, "boots", note, 0, 0);
}

gboolean
_sandbox_step_warm (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GError) local = NULL;

  if (!is_wanted (work))
    return TRUE;
  _sandbox_report (&work->report, "warm", "looking for kept memory", 0, 0);
  if (prepare (work, cancellable, &local))
    return TRUE;
  if (g_cancellable_is_cancelled (cancellable))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  tell_boot (work, local->message);
  return TRUE;
}

/* --- the start */

typedef struct
{
  SandboxWork *work;
  gboolean made_layer;
} Start;

/* Says that a machine which runs may not be itself yet, and on which volume. */
static gboolean
note (SandboxMachine *machine, const char *volume, GError **error)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, error);

  if (fd < 0)
    return FALSE;
  return volume != NULL ? sandbox_file_write_at (fd, NOTE, volume, strlen (volume), 0600, error)
                        : sandbox_remove_at (fd, NOTE, error);
}

/* Nothing of its user's has run in one that was restored, and has not been given its identity. */
gboolean
_sandbox_warm_end_start (SandboxWork *work, GError **error)
{
  SandboxVirt *virt = work->host->virt;
  sandbox_autofd int fd = _sandbox_machine_state_fd (work->machine, FALSE, NULL);
  g_autofree char *volume = NULL;
  guint number;

  if (fd < 0 || !sandbox_file_read_at (fd, NOTE, 256, &volume, NULL, NULL))
    return TRUE;
  if (_sandbox_layer_parse (work->machine->object, volume, &number)
      && (!_sandbox_virt_domain_kill (virt, work->machine->object, error)
          || !_sandbox_virt_volume_remove (virt, volume, error)))
    return FALSE;
  return note (work->machine, NULL, error);
}

/* Memory that goes on over a disk which is not as it was when the memory was kept would destroy
 * what is on that disk. So both happen here and nowhere else: the layer is made, which fails when
 * there is a volume of that name; it stands on the frozen layer, to which nothing has a way to
 * write; and the memory goes on over that new layer and no other. There is no way to hand in a
 * layer that something was written to. A note stands from here on until the machine has its
 * identity: whatever ends this in between, the next verb ends what runs and removes that layer, on
 * which nothing of its user's has been; and a start that finds a disk boots it. */
static gboolean
restore (gpointer data, GCancellable *cancellable, GError **error)
{
  Start *start = data;
  SandboxWork *work = start->work;
  SandboxVirt *virt = work->host->virt;
  const char *memory = work->warm->memory_path;
  g_autofree char *volume = _sandbox_xml_layer_volume (
      work->plan->disk_volume, work->plan->disk_bytes, work->warm->layer_path);
  g_autofree char *saved = _sandbox_virt_saved_xml (virt, memory, error);
  g_autofree char *xml = saved != NULL ? _sandbox_xml_restored (saved, work->plan, error) : NULL;

  if (xml == NULL || !_sandbox_xml_check_defined (xml, error)
      || !_sandbox_virt_volume_create_new (virt, volume, error))
    return FALSE;
  start->made_layer = TRUE;
  if (!note (work->machine, work->plan->disk_volume, error))
    return FALSE;
  return sandbox_fault_point ("warm-start", "restore", "between", error)
         && _sandbox_virt_domain_restore (virt, memory, xml, FALSE, error);
}

static void
undo_restore (gpointer data)
{
  const Start *start = data;
  SandboxWork *work = start->work;

  if (!start->made_layer)
    return;
  _sandbox_virt_domain_kill (work->host->virt, work->machine->object, NULL);
  _sandbox_virt_volume_remove (work->host->virt, work->plan->disk_volume, NULL);
  note (work->machine, NULL, NULL);
}

/* libvirt's metadata have said since the restore that it has them. */
static gboolean
plug_shares (gpointer data, GCancellable *cancellable, GError **error)
{
  const SandboxWork *work = ((Start *)data)->work;

  for (guint i = 0; i < work->plan->shares->len; i++)
    {
      g_autofree char *xml =
          _sandbox_xml_share_device (work->plan->share_helper, work->plan->shares->pdata[i]);

      if (!_sandbox_virt_device_attach (work->host->virt, work->machine->object, xml, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
adopt (gpointer data, GCancellable *cancellable, GError **error)
{
  const SandboxWork *work = ((Start *)data)->work;
  const SandboxPlan *plan = work->plan;
  sandbox_autofd int fd = _sandbox_machine_state_fd (work->machine, FALSE, error);
  g_autofree char *hook = NULL;
  g_autoptr (GBytes) seed = NULL;
  g_autoptr (SandboxSsh) ssh =
      _sandbox_ssh_new (work->warm->keys_path, plan->uuid, plan->address, plan->user);

  if (fd < 0 || !_sandbox_policy_hook (work->host, plan, &hook, error))
    return FALSE;
  seed = _sandbox_seed_build (plan, fd, hook, error);
  return seed != NULL && _sandbox_guest_adopt (ssh, seed, plan, cancellable, error)
         && note (work->machine, NULL, error);
}

static gboolean
start_keeper (gpointer data, GCancellable *cancellable, GError **error)
{
  return _sandbox_step_keeper (((Start *)data)->work, cancellable, error);
}

static void
undo_keeper (gpointer data)
{
  _sandbox_undo_keeper (((Start *)data)->work);
}

/* Only with the machine's own host key is there an answer. */
static gboolean
wait_answer (gpointer data, GCancellable *cancellable, GError **error)
{
  const SandboxWork *work = ((Start *)data)->work;

  return _sandbox_ssh_wait (work->ssh, ANSWER_USEC, NULL, NULL, NULL, cancellable, error);
}

static const SandboxRow rows[] = {
  { { "restore", "going on from its kept memory", restore, undo_restore }, SANDBOX_ROW_REAL },
  { { "plug", "plugging in its shares", plug_shares, NULL }, SANDBOX_ROW_REAL },
  { { "adopt", "giving it its identity", adopt, NULL }, SANDBOX_ROW_REAL },
  { { "keeper", "starting the keeper", start_keeper, undo_keeper }, SANDBOX_ROW_REAL },
  { { "answer", "waiting for ssh", wait_answer, NULL }, SANDBOX_ROW_REAL },
};
const SandboxVerb _sandbox_verb_warm_start = { "warm-start", rows, G_N_ELEMENTS (rows) };

static void
on_step (const SandboxStep *step, gpointer data)
{
  _sandbox_report (&((Start *)data)->work->report, "warm", step->note, 0, 0);
}

/* The machine as it would have been without: on the image, and not started. */
static gboolean
forget_warm (SandboxWork *work, GError **error)
{
  g_autoptr (SandboxWarm) warm = g_steal_pointer (&work->warm);
  g_auto (GStrv) layers = g_strdupv (work->image->layers + 1);
  g_autofree char *xml = NULL, *volume = NULL;

  g_strfreev (work->image->layers);
  work->image->layers = g_steal_pointer (&layers);
  if (!plan_again (work, error))
    return FALSE;
  xml = _sandbox_xml_domain (work->plan);
  volume = _sandbox_xml_disk_volume (work->plan);
  return _sandbox_virt_volume_create (work->host->virt, volume, &work->made.disk, error)
         && _sandbox_xml_check_domain (xml, error)
         && _sandbox_virt_domain_define (work->host->virt, xml, error)
         /* one from which no machine starts is of no use */
         && _sandbox_warm_remove (work->host, work->machine->object, NULL, error);
}

gboolean
_sandbox_warm_start (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  Start start = { .work = work };
  SandboxStep steps[G_N_ELEMENTS (rows)];
  g_autoptr (GError) local = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    steps[i] = rows[i].step;
  if (sandbox_steps_run (_sandbox_verb_warm_start.verb, steps, G_N_ELEMENTS (steps), &start,
                         on_step, &start, cancellable, &local))
    {
      work->made.disk = TRUE;
      return TRUE;
    }
  if (g_cancellable_is_cancelled (cancellable))
    g_propagate_error (error, g_steal_pointer (&local));
  else
    {
      tell_boot (work, local->message);
      forget_warm (work, error);
    }
  return FALSE;
}
