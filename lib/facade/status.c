// SPDX-License-Identifier: LGPL-2.1-or-later
// Status: what is defined, what runs, and how the profile differs from it.
#include "facade/keep.h"
#include "facade/layers.h"
#include "facade/provision-private.h"
#include "facade/suspended.h"
#include "base/xml.h"

#include <string.h>

#define OWN_COPIES_MAX 1000 /* the doc comment says it */

static void
stale_path_free (gpointer data)
{
  SandboxStalePath *stale = data;

  g_free (stale->path);
  g_free (stale->process);
  g_free (stale);
}

static void
share_status_free (gpointer data)
{
  SandboxShareStatus *share = data;

  g_free (share->edits);
  g_free (share->edits_reason);
  g_free (share->problem);
  g_ptr_array_unref (share->stale);
  g_ptr_array_unref (share->own_copies);
  g_ptr_array_unref (share->foreign);
  g_free (share->name);
  g_free (share->source);
  g_free (share->target);
  g_free (share->mode);
  g_free (share);
}

void
sandbox_machine_status_free (SandboxMachineStatus *status)
{
  if (status == NULL)
    return;
  g_free (status->name);
  g_free (status->profile);
  g_free (status->uuid);
  g_free (status->object);
  g_free (status->accel);
  g_free (status->accel_reason);
  g_free (status->address);
  g_free (status->user);
  g_free (status->image);
  g_free (status->changes);
  g_free (status->problem);
  g_free (status->reaches);
  g_strfreev (status->layers);
  g_ptr_array_unref (status->shares);
  g_ptr_array_unref (status->forwards);
  g_free (status);
}

static void
set_string (char **to, const char *value)
{
  if (value == NULL || *value == '\0')
    return;
  g_free (*to);
  *to = g_strdup (value);
}

static SandboxMachineStatus *
new_status (SandboxMachine *machine)
{
  SandboxMachineStatus *status = g_new0 (SandboxMachineStatus, 1);
  char **strings[] = { &status->profile, &status->accel,   &status->accel_reason,
                       &status->address, &status->user,    &status->image,
                       &status->changes, &status->reaches, &status->problem };

  for (gsize i = 0; i < G_N_ELEMENTS (strings); i++)
    *strings[i] = g_strdup ("");
  status->name = g_strdup (machine->name);
  status->unapplied = "";
  status->layers = g_new0 (char *, 1);
  status->paused = "";
  status->started = "";
  status->uuid = g_strdup (machine->uuid);
  status->object = g_strdup (machine->object);
  status->shares = g_ptr_array_new_with_free_func (share_status_free);
  status->forwards = g_ptr_array_new ();
  return status;
}

static SandboxShareStatus *
add_share (SandboxMachineStatus *status, const SandboxPlanShare *share)
{
  SandboxShareStatus *shown = g_new0 (SandboxShareStatus, 1);

  shown->name = g_strdup (share->tag);
  shown->source = g_strdup (share->source);
  shown->target = g_strdup (share->target);
  shown->mode = g_strdup (_sandbox_share_mode_to_string (share->mode));
  shown->edits = g_strdup ("");
  shown->edits_reason = g_strdup ("");
  shown->problem = g_strdup ("");
  shown->stale = g_ptr_array_new_with_free_func (stale_path_free);
  shown->own_copies = g_ptr_array_new_with_free_func (g_free);
  shown->foreign = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (status->shares, shown);
  return shown;
}

/* What start would make; the whole truth for a machine that was never started. */
static void
fill_from_plan (SandboxMachineStatus *status, const SandboxPlan *plan)
{
  set_string (&status->accel, _sandbox_accel_to_string (plan->accel));
  set_string (&status->accel_reason, plan->accel_reason);
  set_string (&status->address, plan->address);
  set_string (&status->user, plan->user);
  set_string (&status->image, plan->image_id);
  set_string (&status->reaches, plan->reaches);
  status->cpus = plan->cpus;
  status->memory_bytes = plan->memory_bytes;
  status->disk_limit_bytes = plan->disk_bytes;
  status->encrypted = plan->encrypted;
  for (guint i = 0; i < plan->shares->len; i++)
    add_share (status, plan->shares->pdata[i]);
}

/* What it has got while it ran is not in its plan. */
static void
fill_live_shares (SandboxMachineStatus *status, const char *xml, const SandboxDomainMeta *meta,
                  int state_fd)
{
  g_autoptr (GPtrArray) list = _sandbox_live_shares_read (state_fd);
  g_autofree char *problem = _sandbox_live_state_read (state_fd);

  for (guint i = 0; i < meta->shares->len; i++)
    {
      const SandboxPlanShare *share = meta->shares->pdata[i];
      const SandboxLiveShare *live = _sandbox_live_shares_find (list, share->tag);
      const char *server = _sandbox_share_server_problem (xml, share->tag);
      SandboxShareStatus *shown = NULL;

      for (guint k = 0; k < status->shares->len && shown == NULL; k++)
        if (strcmp (((SandboxShareStatus *)status->shares->pdata[k])->name, share->tag) == 0)
          shown = status->shares->pdata[k];
      if (shown == NULL)
        shown = add_share (status, share);
      if (live != NULL)
        {
          shown->until_usec = live->until_usec;
          g_free (shown->problem);
          shown->problem = sandbox_escape (problem != NULL ? problem : "", -1, 300);
        }
      if (server != NULL)
        set_string (&shown->problem, server);
    }
}

static void
fill_stale (SandboxShareStatus *shown, const GPtrArray *held)
{
  for (guint i = 0; i < held->len; i++)
    {
      const SandboxShareHeld *one = held->pdata[i];
      SandboxStalePath *stale = g_new0 (SandboxStalePath, 1);

      stale->path = sandbox_escape (one->path, -1, 4096);
      stale->process = sandbox_escape (one->process, -1, 64);
      stale->pid = one->pid;
      g_ptr_array_add (shown->stale, stale);
    }
}

static void
fill_share_edits (SandboxShareStatus *shown, const SandboxPlanShare *share, int state_fd)
{
  g_autoptr (GPtrArray) held = g_ptr_array_new_with_free_func (_sandbox_share_held_free);
  SandboxShareEdits edits = { .how = SANDBOX_EDITS_UNSEEN };
  g_autofree char *problem = NULL;
  gboolean known = _sandbox_share_state_read (state_fd, share, &edits, held, &problem);

  set_string (&shown->edits, _sandbox_share_edits_to_string (edits.how));
  if (edits.how == SANDBOX_EDITS_PERIODIC)
    set_string (&shown->edits_reason,
                "it has too many directories to watch them, or some that cannot be watched");
  else if (edits.how == SANDBOX_EDITS_UNSEEN)
    {
      g_free (shown->edits_reason);
      shown->edits_reason = sandbox_escape (problem ? problem
                                            : known ? "not yet"
                                                    : "no keeper runs",
                                            -1, 300);
    }
  fill_stale (shown, held);
}

/* What the keeper of a running machine says of the host's edits; about the shares that it runs
 * with. */
static void
fill_edits (SandboxMachineStatus *status, const SandboxDomainMeta *meta, int state_fd)
{
  for (guint i = 0; i < status->shares->len; i++)
    for (guint k = 0; k < meta->shares->len; k++)
      {
        SandboxShareStatus *shown = status->shares->pdata[i];
        const SandboxPlanShare *share = meta->shares->pdata[k];

        if (share->mode == SANDBOX_SHARE_REVIEW && strcmp (shown->name, share->tag) == 0)
          fill_share_edits (shown, share, state_fd);
      }
}

/* Known only here, whether it runs or not. */
static void
fill_own_copies (SandboxShareStatus *shown, int records_fd)
{
  sandbox_autofd int root_fd = _sandbox_share_root_fd (shown->source, NULL);
  g_autoptr (SandboxBase) base =
      root_fd < 0 ? NULL : _sandbox_base_open (root_fd, records_fd, shown->name, NULL);
  g_autoptr (GPtrArray) paths = NULL;

  if (base == NULL)
    return;
  paths = _sandbox_base_list_outdated (base, root_fd, OWN_COPIES_MAX);
  for (guint i = 0; i < paths->len; i++)
    g_ptr_array_add (shown->own_copies, sandbox_escape (paths->pdata[i], -1, 4096));
}

/* Of a start that is over, too: whose the files are does not change by that. */
static void
fill_owners (SandboxMachineStatus *status, int state_fd)
{
  for (guint i = 0; state_fd >= 0 && i < status->shares->len; i++)
    {
      SandboxShareStatus *shown = status->shares->pdata[i];
      g_autoptr (SandboxOwners) owners = _sandbox_owners_read (state_fd, shown->name);

      shown->n_foreign = owners->n;
      shown->foreign_partly = owners->partly;
      g_ptr_array_unref (shown->foreign);
      shown->foreign = g_ptr_array_ref (owners->names);
    }
}

static void
fill_copies (SandboxMachine *machine, SandboxMachineStatus *status)
{
  sandbox_autofd int records_fd = _sandbox_records_look (machine);

  for (guint i = 0; records_fd >= 0 && i < status->shares->len; i++)
    {
      SandboxShareStatus *shown = status->shares->pdata[i];

      if (strcmp (shown->mode, "review") == 0)
        fill_own_copies (shown, records_fd);
    }
}

/* libvirt writes memory in KiB whatever unit it was given in. */
static void
fill_from_domain (SandboxMachineStatus *status, const char *xml, const SandboxDomainMeta *meta)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain XML of libvirt", xml, NULL);
  xmlNode *root = doc != NULL ? xmlDocGetRootElement (doc) : NULL;
  g_autofree char *cpus = root != NULL ? sandbox_xml_dup (root, "vcpu", NULL) : NULL;
  g_autofree char *memory = root != NULL ? sandbox_xml_dup (root, "memory", NULL) : NULL;
  SandboxCidr subnet;

  if (cpus != NULL)
    status->cpus = (guint)g_ascii_strtoull (g_strstrip (cpus), NULL, 10);
  if (memory != NULL)
    status->memory_bytes = g_ascii_strtoull (g_strstrip (memory), NULL, 10) * 1024;
  set_string (&status->accel, meta->accel);
  set_string (&status->accel_reason, meta->accel_reason);
  set_string (&status->user, meta->user);
  set_string (&status->image, meta->image_id);
  set_string (&status->reaches, meta->reaches);
  if (meta->subnet != NULL && sandbox_cidr_parse (meta->subnet, &subnet, NULL))
    {
      guint32 base = subnet.address & ~(guint32)(((guint64)1 << (32 - subnet.bits)) - 1);
      g_autofree char *address = sandbox_address_format (base + 2);

      set_string (&status->address, address);
    }
}

static gboolean
provisions (SandboxProfile *profile)
{
  const SandboxProvision *provision = &_sandbox_profile_values (profile)->provision;
  char **const lists[] = { provision->use,   provision->packages, provision->npm,
                           provision->setup, provision->files,    provision->env };
  gboolean any = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++)
    any = any || lists[i][0] != NULL;
  return any;
}

/* What cannot be found out is not told. */
static void
fill_layers (SandboxMachine *machine, SandboxMachineStatus *status, SandboxProfile *profile)
{
  SandboxLayering layering = { .host = machine->host, .profile = profile };
  g_autoptr (SandboxImageRef) image = NULL;
  g_autoptr (GStrvBuilder) ids = g_strv_builder_new ();

  if (!_sandbox_work_find_image (machine, profile, FALSE, &image, NULL) || image == NULL
      || !image->pinned)
    return;
  for (char **path = image->layers; path != NULL && *path != NULL; path++)
    {
      g_autofree char *id = _sandbox_layer_id_of_path (*path);
      g_autofree char *word = g_strconcat ("layer-", id, NULL);

      g_strv_builder_add (ids, word);
    }
  g_strfreev (status->layers);
  status->layers = g_strv_builder_end (ids);
  /* what it does not list any more is no step to be done */
  status->provision_changed =
      provisions (profile) && _sandbox_provision_changed (&layering, machine, image);
}

static gboolean
fill_profile (SandboxMachine *machine, SandboxMachineStatus *status, gboolean has_disk,
              GError **error)
{
  g_autoptr (SandboxProfile) profile = NULL;
  g_autoptr (SandboxPlan) plan = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *changes = NULL;

  profile = _sandbox_machine_load_profile (machine, &local);
  if (profile != NULL)
    {
      const char *inherits = _sandbox_profile_values (profile)->inherits;
      gboolean shipped = _sandbox_profile_is_shipped (machine->host, machine->name);

      set_string (&status->profile, shipped ? machine->name : inherits);
      plan = sandbox_machine_plan (machine, NULL, &changes, NULL, &local);
    }
  if (plan != NULL)
    {
      fill_from_plan (status, plan);
      set_string (&status->changes, changes);
      if (has_disk)
        fill_layers (machine, status, profile);
      /* with a disk it starts whatever became of a script */
      if (_sandbox_provision_check (machine, profile, !has_disk, &local))
        return TRUE;
    }
  /* Status must tell about a machine whose profile has a mistake in it, too. What libvirt does not
   * do is none. */
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_HOST)
      || g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_DENIED)
      || (plan != NULL && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_INVALID)))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  set_string (&status->problem, local->message);
  return TRUE;
}

/* A list that cannot be read is told by the verb that is about it. */
static void
fill_forwards (SandboxMachine *machine, SandboxMachineStatus *status)
{
  GPtrArray *forwards = _sandbox_machine_forwards (machine, FALSE, NULL, NULL);

  if (forwards == NULL)
    return;
  g_ptr_array_unref (status->forwards);
  status->forwards = forwards;
}

static gboolean
fill_disk (SandboxMachine *machine, SandboxMachineStatus *status, GError **error)
{
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (machine, error);

  if (layers == NULL)
    return FALSE;
  for (guint i = 0; i < layers->all->len; i++)
    {
      const SandboxLayer *layer = layers->all->pdata[i];

      if (layer->own)
        status->disk_bytes += layer->allocation_bytes;
    }
  if (layers->top != NULL)
    {
      status->disk_limit_bytes = layers->top->capacity_bytes;
      status->encrypted = layers->top->encrypted;
    }
  status->snapshots = layers->entries->len;
  return TRUE;
}

static gboolean
fill_running (SandboxMachine *machine, SandboxMachineStatus *status, int state_fd, GError **error)
{
  g_autoptr (SandboxDomainMeta) live = NULL;
  g_autofree char *xml = NULL;

  if (!_sandbox_machine_read_live (machine, &xml, &live, error))
    return FALSE;
  if (live == NULL)
    return TRUE;
  status->started = strcmp (live->started, "warm") == 0 ? "warm" : "boot";
  fill_live_shares (status, xml, live, state_fd);
  fill_edits (status, live, state_fd);
  return TRUE;
}

SandboxMachineStatus *
sandbox_machine_get_status (SandboxMachine *machine, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxMachineStatus) status = new_status (machine);
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autofree char *xml = NULL;
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  SandboxPieces pieces;

  if (g_cancellable_set_error_if_cancelled (cancellable, error)
      || !_sandbox_machine_read_domain (machine, &xml, &meta, error)
      || !_sandbox_machine_pieces (machine, &pieces, error)
      || !fill_profile (machine, status, pieces.disk, error))
    return NULL;
  fill_forwards (machine, status);
  status->state = _sandbox_pieces_state (machine->host, &pieces);
  if (meta != NULL)
    fill_from_domain (status, xml, meta);
  if (pieces.disk && !fill_disk (machine, status, error))
    return NULL;
  if (status->state == SANDBOX_STATE_PAUSED)
    status->paused = _sandbox_suspend_note_read (machine) != SANDBOX_SUSPEND_NONE ? "suspended"
                     : _sandbox_layers_still (machine)                            ? "merging"
                                                       : _sandbox_space_paused (machine);
  if (!_sandbox_pieces_running (&pieces))
    status->unapplied = _sandbox_unapplied_to_string (_sandbox_unapplied_read (machine));
  if (state_fd >= 0)
    status->keeper_pid = _sandbox_keeper_pid (state_fd);
  if (_sandbox_pieces_running (&pieces) && status->keeper_pid != 0)
    {
      g_autoptr (SandboxSsh) ssh =
          _sandbox_ssh_new (machine->state_path, machine->uuid, status->address, status->user);

      status->ssh_ready = _sandbox_ssh_master_alive (ssh);
    }
  if (_sandbox_pieces_running (&pieces) && state_fd >= 0
      && !fill_running (machine, status, state_fd, error))
    return NULL;
  fill_copies (machine, status);
  fill_owners (status, state_fd);
  return g_steal_pointer (&status);
}
