// SPDX-License-Identifier: LGPL-2.1-or-later
// One verb at work on one machine: lock, what exists, the plan, and the run through the verb's
// table of steps.
#include "facade/layers.h"
#include "facade/provision-private.h"
#include "facade/suspended.h"
#include "facade/warm.h"

#include <string.h>

void
_sandbox_work_init (SandboxWork *work, SandboxMachine *machine, SandboxProgressFunc func,
                    gpointer user_data)
{
  *work = (SandboxWork){ 0 };
  work->machine = sandbox_machine_ref (machine);
  work->host = machine->host;
  work->report = (SandboxReport){ func, user_data, machine->name };
  work->options = (SandboxStartOptions)SANDBOX_START_OPTIONS_INIT;
  work->lock_wait_usec = machine->host->lock_wait_usec;
  work->changes = g_strdup ("");
}

void
_sandbox_work_keep (SandboxWork *work)
{
  g_clear_pointer (&work->made.directories, g_ptr_array_unref);
  memset (&work->made, 0, sizeof work->made);
}

/* Two machines that start at once must not both find the same addresses free. Between users libvirt
 * decides: the second is told to start again. */
gboolean
_sandbox_work_lock_addresses (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  sandbox_autofd int fd = _sandbox_host_state_fd (work->host, TRUE, error);

  if (fd < 0)
    return FALSE;
  work->addresses_lock =
      sandbox_lock_acquire (fd, "net_addresses.lock", "choosing addresses", work->lock_wait_usec,
                            _sandbox_on_lock_wait, &work->report, cancellable, error);
  return work->addresses_lock != NULL;
}

void
_sandbox_work_release_addresses (SandboxWork *work)
{
  if (work->addresses_lock != NULL)
    sandbox_lock_remove (g_steal_pointer (&work->addresses_lock));
}

void
_sandbox_work_clear (SandboxWork *work)
{
  _sandbox_work_release_addresses (work);
  if (work->lock != NULL)
    _sandbox_machine_unlock (work->machine, g_steal_pointer (&work->lock));
  g_clear_pointer (&work->made.directories, g_ptr_array_unref);
  g_clear_pointer (&work->old_xml, g_free);
  g_clear_pointer (&work->old_meta, _sandbox_domain_meta_free);
  g_clear_pointer (&work->profile, sandbox_profile_unref);
  g_clear_pointer (&work->profile_text, g_free);
  g_clear_pointer (&work->old_profile_text, g_free);
  g_clear_pointer (&work->image, _sandbox_image_ref_free);
  g_clear_pointer (&work->plan, sandbox_plan_unref);
  g_clear_pointer (&work->changes, g_free);
  g_clear_pointer (&work->old_filter, g_free);
  g_clear_pointer (&work->passphrase, sandbox_secret_free);
  g_clear_pointer (&work->ssh, _sandbox_ssh_free);
  g_clear_pointer (&work->snapshot, _sandbox_snapshot_work_free);
  g_clear_pointer (&work->warm, _sandbox_warm_free);
  g_clear_pointer (&work->source, sandbox_machine_unref);
  g_clear_pointer (&work->machine, sandbox_machine_unref);
}

gboolean
_sandbox_work_begin (SandboxWork *work, const char *verb, GCancellable *cancellable, GError **error)
{
  work->lock = _sandbox_machine_lock (work->machine, verb, work->lock_wait_usec, &work->report,
                                      cancellable, error);
  /* a repair tells what it finds */
  if (work->lock != NULL && strcmp (verb, "repair") != 0)
    _sandbox_secret_forget (work);
  return work->lock != NULL && _sandbox_warm_end_capture (work, error)
         && _sandbox_warm_end_start (work, error)
         && _sandbox_machine_pieces (work->machine, &work->pieces, error)
         && _sandbox_machine_read_domain (work->machine, &work->old_xml, &work->old_meta, error)
         && _sandbox_suspended_begin (work, verb, error)
         && _sandbox_layers_begin (work, verb, cancellable, error);
}

static void
on_step (const SandboxStep *step, gpointer user_data)
{
  SandboxWork *work = user_data;

  if (step->note != NULL)
    _sandbox_report (&work->report, step->id, step->note, 0, 0);
}

gboolean
_sandbox_work_run (SandboxWork *work, const SandboxVerb *verb, GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GArray) steps = g_array_new (FALSE, FALSE, sizeof (SandboxStep));
  gboolean test = _sandbox_host_is_test (work->host);
  /* one that is going down is waited for, and then it is off */
  gboolean is_up =
      _sandbox_pieces_running (&work->pieces) && work->pieces.virt_state != SANDBOX_VIRT_STOPPING;

  /* The one place where libvirt's test driver, which has no guests, is treated differently. */
  SandboxRowFlags unwanted =
      (test ? SANDBOX_ROW_REAL : 0) | (work->boot ? SANDBOX_ROW_IDLE : SANDBOX_ROW_BOOT)
      | (is_up ? SANDBOX_ROW_OFF : 0) | (work->remove_profile ? 0 : SANDBOX_ROW_PROFILE);

  for (gsize i = 0; i < verb->n_rows; i++)
    if ((verb->rows[i].flags & unwanted) == 0)
      g_array_append_val (steps, verb->rows[i].step);
  return sandbox_steps_run (verb->verb, (const SandboxStep *)(gpointer)steps->data, steps->len,
                            work, on_step, work, cancellable, error);
}

#define STEPS_MAX 32

const char *const *
sandbox_machine_step_ids (const char *verb)
{
  static const SandboxVerb *const verbs[] = {
    &_sandbox_verb_start,           &_sandbox_verb_stop,         &_sandbox_verb_destroy,
    &_sandbox_verb_recreate,        &_sandbox_verb_clone,        &_sandbox_verb_snapshot_create,
    &_sandbox_verb_snapshot_delete, &_sandbox_verb_revert,       &_sandbox_verb_export,
    &_sandbox_verb_import,          &_sandbox_verb_warm_capture, &_sandbox_verb_warm_start,
    &_sandbox_verb_suspend,         &_sandbox_verb_resume
  };
  static const char *ids[G_N_ELEMENTS (verbs)][STEPS_MAX + 1];
  static gsize done = 0;

  if (g_once_init_enter (&done))
    {
      for (gsize i = 0; i < G_N_ELEMENTS (verbs); i++)
        for (gsize k = 0; k < MIN (verbs[i]->n_rows, STEPS_MAX); k++)
          ids[i][k] = verbs[i]->rows[k].step.id;
      g_once_init_leave (&done, 1);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (verbs); i++)
    if (strcmp (verbs[i]->verb, verb) == 0)
      return ids[i];
  return NULL;
}

/* Where the machine's network is now: the network's own word, else what the domain was made with.
 */
static char *
current_subnet (SandboxMachine *machine, const SandboxDomainMeta *meta)
{
  g_autofree char *xml = _sandbox_virt_network_xml (machine->host->virt, machine->object, NULL);
  g_autofree char *bridge = NULL;
  SandboxCidr subnet;

  if (xml != NULL && _sandbox_xml_read_network (xml, &subnet, &bridge, NULL))
    {
      guint32 base = subnet.address & ~(guint32)(((guint64)1 << (32 - subnet.bits)) - 1);
      g_autofree char *address = sandbox_address_format (base);

      return g_strdup_printf ("%s/%u", address, subnet.bits);
    }
  return meta != NULL ? g_strdup (meta->subnet) : NULL;
}

static SandboxPlan *
resolve_plan (SandboxProfile *profile, const SandboxFacts *facts, const SandboxIdentity *identity,
              GError **error)
{
  SandboxPlan *plan = _sandbox_plan_resolve (profile, facts, identity, error);

  if (plan != NULL)
    _sandbox_shares_pin (plan);
  return plan;
}

/* Of a machine for which no image was looked up nobody asks for its disk; the test driver has none.
 * *@ret_below: the layers below the one that is named. */
static gboolean
find_disk (SandboxMachine *machine, gboolean wanted, gboolean fresh, SandboxIdentity *identity,
           char **ret_volume, char ***ret_below, GError **error)
{
  g_autoptr (SandboxLayers) layers = NULL;

  if (!wanted && !_sandbox_host_is_test (machine->host))
    return TRUE;
  layers = _sandbox_layers_load (machine, error);
  if (layers == NULL)
    return FALSE;
  if (fresh || layers->top == NULL)
    {
      *ret_volume = _sandbox_layers_next (layers, fresh);
      return TRUE;
    }
  g_autofree const char **below = _sandbox_layer_below (layers->top);

  identity->has_disk = TRUE;
  identity->disk_encrypted = layers->top->encrypted;
  *ret_volume = g_strdup (layers->top->volume);
  *ret_below = g_strdupv ((char **)below);
  return TRUE;
}

/* NULL: that of its UUID. (transfer full) */
static char *
read_machine_id (SandboxMachine *machine)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autofree char *text = NULL;
  gsize length = 0;

  if (fd < 0 || machine->for_warm
      || !sandbox_file_read_at (fd, SANDBOX_MACHINE_ID, 64, &text, &length, NULL) || length != 32
      || strspn (text, "0123456789abcdef") != 32)
    return NULL;
  return g_steal_pointer (&text);
}

SandboxPlan *
_sandbox_work_plan (SandboxMachine *machine, SandboxProfile *profile, const SandboxImageRef *image,
                    const SandboxDomainMeta *meta, gboolean fresh_disk, GError **error)
{
  SandboxHost *host = machine->host;
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (host->virt, NULL, error);
  g_autofree char *subnet = NULL, *id = NULL, *stem = NULL, *disk = NULL, *kernel = NULL,
                  *initrd = NULL;
  g_autofree char *volume = NULL, *machine_id = read_machine_id (machine);
  g_auto (GStrv) below = NULL;
  SandboxIdentity identity = { 0 };

  if (facts == NULL
      || !find_disk (machine, image != NULL, fresh_disk, &identity, &volume, &below, error))
    return NULL;
  if (facts->pool_path == NULL || *facts->pool_path == '\0')
    {
      g_free (facts->pool_path);
      facts->pool_path = g_strdup (SANDBOX_POOL_PATH);
    }
  subnet = current_subnet (machine, meta);
  identity.name = machine->name;
  identity.owner = host->owner;
  identity.uid = host->uid;
  identity.gid = host->gid;
  identity.home = host->home;
  identity.state = machine->state_path;
  identity.subnet = subnet;
  identity.disk_volume = volume;
  identity.layers = (const char *const *)below;
  identity.reads = machine->reads;
  identity.machine_id = machine_id;
  identity.free_ports = machine->for_warm ? SANDBOX_WARM_PORTS : 0;
  if (image != NULL)
    {
      identity.image_id = image->id;
      identity.image_bytes = image->bytes;
      identity.image_disk = image->disk;
      identity.image_kernel = image->kernel;
      identity.image_initrd = image->initrd;
      identity.image_cmdline = image->cmdline;
      if (below == NULL)
        identity.layers = (const char *const *)image->layers;
      return resolve_plan (profile, facts, &identity, error);
    }
  /* Not built yet, or the test driver, which boots nothing: names that say so. */
  id = g_strconcat (_sandbox_profile_values (profile)->image, "-unbuilt", NULL);
  stem = g_strconcat (facts->pool_path, "/image.", id, NULL);
  disk = g_strconcat (stem, ".qcow2", NULL);
  kernel = g_strconcat (stem, ".vmlinuz", NULL);
  initrd = g_strconcat (stem, ".initrd", NULL);
  identity.image_id = id;
  identity.image_disk = disk;
  identity.image_kernel = kernel;
  identity.image_initrd = initrd;
  identity.image_cmdline = "";
  return resolve_plan (profile, facts, &identity, error);
}

/* Of all that a disk stands on, what provisioning has made. (transfer full) */
static char **
provisioned_layers (const SandboxLayer *top)
{
  g_autofree const char **below = _sandbox_layer_below (top);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (const char **path = below; *path != NULL; path++)
    {
      g_autofree char *id = _sandbox_layer_id_of_path (*path);

      if (id != NULL)
        g_strv_builder_add (builder, *path);
    }
  return g_strv_builder_end (builder);
}

/* The image below the disk that is there, and what provisioning has put on it; NULL without error
 * when there is no disk. */
static gboolean
pinned_image (SandboxMachine *machine, char **ret_id, char ***ret_layers, GError **error)
{
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (machine, error);
  g_autofree char *id = NULL;

  *ret_id = NULL;
  if (layers == NULL)
    return FALSE;
  if (layers->top == NULL)
    return TRUE;
  id = _sandbox_image_id_of_path (_sandbox_layer_base (layers->top));
  if (id == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "%s: its disk %s does not stand on one of our images; make a fresh one "
                         "with `vms recreate %s`",
                         machine->name, layers->top->volume, machine->name);
  *ret_id = g_steal_pointer (&id);
  *ret_layers = provisioned_layers (layers->top);
  return TRUE;
}

gboolean
_sandbox_work_find_image (SandboxMachine *machine, SandboxProfile *profile, gboolean newest,
                          SandboxImageRef **ret_ref, GError **error)
{
  SandboxHost *host = machine->host;
  g_autofree char *id = NULL;
  g_auto (GStrv) ids = NULL, layers = NULL;
  SandboxImageRef *ref = NULL;
  gboolean pinned;

  if (_sandbox_host_is_test (host))
    {
      *ret_ref = NULL;
      return TRUE;
    }
  if (!newest && !pinned_image (machine, &id, &layers, error))
    return FALSE;
  pinned = id != NULL;
  if (id == NULL)
    {
      ids = _sandbox_image_ids (host, _sandbox_profile_values (profile)->image, error);
      if (ids == NULL)
        return FALSE;
      id = g_strdup (ids[0]);
    }
  if (id != NULL)
    {
      ref = _sandbox_image_ref (host, id, error);
      if (ref == NULL)
        return FALSE;
      ref->pinned = pinned;
      ref->layers = g_steal_pointer (&layers);
    }
  *ret_ref = ref;
  return TRUE;
}

/* The image is no part of what is compared, because it changes by recreate only. */
static char *
with_image_change (char *changes, SandboxProfile *profile, const SandboxImageRef *image)
{
  g_autofree char *name = image != NULL ? _sandbox_image_id_name (image->id, NULL) : NULL;
  const char *wanted = _sandbox_profile_values (profile)->image;
  g_autofree char *old = changes;

  if (name == NULL || strcmp (name, wanted) == 0)
    return g_steal_pointer (&old);
  return g_strdup_printf ("%simage: %s -> %s (applies at recreate)\n", old, name, wanted);
}

/* Neither are forwarded ports, which libvirt knows nothing of. What has a time limit is not in the
 * profile and no difference. */
static char *
with_forward_changes (char *changes, SandboxMachine *machine, const SandboxPlan *plan)
{
  g_autoptr (GString) text = g_string_new (changes);
  g_autoptr (GArray) wanted = _sandbox_forwards_of_plan (plan);
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autoptr (GArray) told = state_fd >= 0 ? _sandbox_forwards_read (state_fd, NULL, NULL) : NULL;

  for (guint kind = 0; told != NULL && kind < 2; kind++)
    {
      g_autofree char *old = _sandbox_forwards_join (told, (SandboxListens)kind, FALSE);
      g_autofree char *new = _sandbox_forwards_join (wanted, (SandboxListens)kind, FALSE);

      if (strcmp (old, new) != 0)
        g_string_append_printf (text, "%s: %s -> %s (the next `vms start` applies it)\n",
                                kind == SANDBOX_LISTENS_ON_HOST ? "forward" : "host",
                                *old != '\0' ? old : "none", *new != '\0' ? new : "none");
    }
  g_free (changes);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* As a start would find it: a disk that is not there yet stands on what is provisioned. */
static gboolean
find_provisioned (SandboxMachine *machine, SandboxProfile *profile, SandboxImageRef *image,
                  char **ret_missing, GError **error)
{
  SandboxPieces pieces = { 0 };

  return _sandbox_machine_pieces (machine, &pieces, error)
         && (pieces.disk
             || _sandbox_provision_missing (machine->host, profile, image, ret_missing, error));
}

SandboxPlan *
sandbox_machine_plan (SandboxMachine *machine, const SandboxStartOptions *options,
                      char **ret_changes, GCancellable *cancellable, GError **error)
{
  SandboxStartOptions own = SANDBOX_START_OPTIONS_INIT;
  g_autoptr (SandboxProfile) profile = NULL;
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autoptr (SandboxImageRef) image = NULL;
  g_autoptr (SandboxPlan) plan = NULL;
  g_autofree char *defined = NULL, *changes = NULL, *missing = NULL;

  if (!_sandbox_options_copy (&own, sizeof own, options, error)
      || g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  profile = _sandbox_machine_load_profile (machine, error);
  if (profile == NULL)
    return NULL;
  for (const char *const *spec = own.shares; spec != NULL && *spec != NULL; spec++)
    if (!sandbox_profile_add_share (profile, *spec, error))
      return NULL;
  if (!_sandbox_machine_read_domain (machine, &defined, &meta, error)
      || !_sandbox_work_find_image (machine, profile, FALSE, &image, error)
      || (options != NULL && !find_provisioned (machine, profile, image, &missing, error)))
    return NULL;
  plan = _sandbox_work_plan (machine, profile, image, meta, FALSE, error);
  if (plan == NULL)
    return NULL;
  plan->to_provision = g_steal_pointer (&missing);
  if (ret_changes != NULL)
    {
      changes = g_strdup ("");
      if (defined != NULL)
        {
          g_autofree char *wanted = _sandbox_xml_domain (plan);

          g_free (changes);
          changes = _sandbox_xml_domain_changes (defined, wanted, error);
          if (changes == NULL)
            return NULL;
          changes = with_forward_changes (g_steal_pointer (&changes), machine, plan);
        }
      *ret_changes = with_image_change (g_steal_pointer (&changes), profile, image);
    }
  if (options != NULL && !_sandbox_host_is_test (machine->host))
    {
      g_autoptr (GArray) entries = _sandbox_forwards_of_plan (plan);

      if (!_sandbox_forwards_check_free (machine, entries, cancellable, error))
        {
          g_prefix_error (error, "start ");
          return NULL;
        }
    }
  return g_steal_pointer (&plan);
}
