// SPDX-License-Identifier: LGPL-2.1-or-later
// Destroy: removes all that belongs to a machine. Every step succeeds when there is nothing left to
// remove, so that a destroy that was killed is finished by the next one. The domain goes late: with
// it, what is left is still a machine.
#include "facade/keep.h"
#include "facade/warm.h"

#include <unistd.h>

static gboolean
kill_domain (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autofree char *merge = _sandbox_layers_merge_object (work->machine);

  return _sandbox_virt_domain_kill (work->host->virt, work->machine->object, error)
         && _sandbox_virt_domain_kill (work->host->virt, merge, error);
}

static gboolean
remove_volume (SandboxWork *work, const char *suffix, GError **error)
{
  g_autofree char *name = g_strconcat (work->machine->object, suffix, NULL);

  return _sandbox_virt_volume_remove (work->host->virt, name, error);
}

static gboolean
remove_seed (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_reader_remove_scratch (work->machine, error)
         && remove_volume (work, ".memory", error) && remove_volume (work, ".export", error)
         && remove_volume (work, ".seed", error);
}

gboolean
_sandbox_step_remove_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  return _sandbox_layers_destroy (data, error);
}

/* A warm image goes with its machine; that of throwaway machines is for the next one. */
static gboolean
remove_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const char *note = SANDBOX_THROWAWAY_PROFILE;
  g_autofree char *throwaway = g_build_filename (work->machine->state_path, note, NULL);

  return _sandbox_step_remove_disk (work, cancellable, error)
         && (g_file_test (throwaway, G_FILE_TEST_EXISTS)
             || _sandbox_warm_remove (work->host, work->machine->object, NULL, error));
}

static gboolean
remove_domain (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_virt_domain_undefine (work->host->virt, work->machine->object, error);
}

static gboolean
remove_network (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_virt_network_remove (work->host->virt, work->machine->object, error);
}

static gboolean
remove_filter (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return _sandbox_virt_filter_remove (work->host->virt, work->machine->object, error);
}

/* The drop box of a throwaway machine has a name that nobody will use again: it goes, if nothing
 * was put there. */
static void
remove_drop_boxes (SandboxWork *work)
{
  g_autofree char *path =
      g_build_filename (work->machine->state_path, SANDBOX_THROWAWAY_PROFILE, NULL);
  g_autoptr (SandboxProfile) profile = NULL;
  g_autoptr (SandboxPlan) plan = NULL;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return;
  profile = _sandbox_machine_load_profile (work->machine, NULL);
  if (profile != NULL)
    plan = _sandbox_work_plan (work->machine, profile, NULL, work->old_meta, FALSE, NULL);
  for (guint i = 0; plan != NULL && i < plan->shares->len; i++)
    {
      const SandboxPlanShare *share = plan->shares->pdata[i];

      if (share->create)
        rmdir (share->source);
    }
}

static gboolean
remove_state (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = _sandbox_host_state_fd (work->host, FALSE, &local);

  if (fd < 0)
    {
      if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  remove_drop_boxes (work);
  if (!sandbox_remove_at (fd, work->machine->name, error))
    return FALSE;
  /* A full disk is a reason to destroy, not one to fail: the next command writes the file anew. */
  if (!_sandbox_ssh_config_refresh (work->host, &local))
    g_debug ("destroy %s: %s", work->machine->name, local->message);
  /* A copy that goes at the same time takes what it stood on along only once nothing says that this
   * machine is there; what it left until now is ours. */
  return _sandbox_layers_destroy (work, error);
}

/* Whose profiles begin with this machine's. (transfer full) */
static GPtrArray *
list_heirs (SandboxWork *work)
{
  g_autoptr (GPtrArray) profiles = sandbox_profile_list (&work->host->profiles, NULL);
  GPtrArray *heirs = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; profiles != NULL && i < profiles->len; i++)
    {
      const SandboxProfileInfo *info = profiles->pdata[i];

      if (strcmp (info->inherits, work->machine->name) == 0)
        g_ptr_array_add (heirs, g_strdup (info->name));
    }
  g_ptr_array_add (heirs, NULL);
  return heirs;
}

static gboolean
remove_user_profile (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GPtrArray) heirs = list_heirs (work);
  g_autofree char *names = g_strjoinv (", ", (char **)heirs->pdata);
  g_autofree char *note = g_strdup_printf (
      "its profile is gone, which others inherit; they are not valid without it: %s", names);

  if (!sandbox_profile_remove (&work->host->profiles, work->machine->name, error))
    return FALSE;
  if (heirs->len > 1 && !_sandbox_profile_is_shipped (work->host, work->machine->name))
    _sandbox_report (&work->report, "heirs", note, 0, 0);
  return TRUE;
}

static const SandboxRow destroy_rows[] = {
  { { "changes", "looking for changes that were not applied", _sandbox_step_save_changes, NULL },
    SANDBOX_ROW_REAL },
  { { "keeper", "ending the keeper", _sandbox_step_stop_keeper, NULL }, SANDBOX_ROW_REAL },
  { { "kill", "switching it off", kill_domain, NULL }, SANDBOX_ROW_ALWAYS },
  { { "seed", "removing its identity", remove_seed, NULL }, SANDBOX_ROW_ALWAYS },
  { { "disk", "removing the disk", remove_disk, NULL }, SANDBOX_ROW_ALWAYS },
  { { "domain", "removing the machine", remove_domain, NULL }, SANDBOX_ROW_ALWAYS },
  { { "filter", "removing the network filter", remove_filter, NULL }, SANDBOX_ROW_REAL },
  { { "network", "removing the network", remove_network, NULL }, SANDBOX_ROW_ALWAYS },
  { { "state", "removing keys", remove_state, NULL }, SANDBOX_ROW_ALWAYS },
  { { "profile", "removing the profile", remove_user_profile, NULL }, SANDBOX_ROW_PROFILE },
};
const SandboxVerb _sandbox_verb_destroy = { "destroy", destroy_rows, G_N_ELEMENTS (destroy_rows) };

gboolean
_sandbox_destroy_locked (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  return _sandbox_work_run (work, &_sandbox_verb_destroy, cancellable, error);
}

gboolean
sandbox_machine_destroy (SandboxMachine *machine, gboolean with_profile,
                         SandboxProgressFunc progress, gpointer user_data,
                         GCancellable *cancellable, GError **error)
{
  g_auto (SandboxWork) work = { 0 };

  _sandbox_work_init (&work, machine, progress, user_data);
  work.remove_profile = with_profile;
  work.keep_changes = "destroy";
  return _sandbox_work_begin (&work, "destroy", cancellable, error)
         && _sandbox_destroy_locked (&work, cancellable, error);
}
