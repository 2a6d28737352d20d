// SPDX-License-Identifier: LGPL-2.1-or-later
// Repair: finds what killed processes of this user and owner tag left behind, and removes it.
// Whatever somebody is working on right now is locked, and left alone.
#include "facade/export.h"
#include "facade/provision-private.h"
#include "facade/suspended.h"
#include "facade/warm.h"

#include <string.h>

void
sandbox_orphan_free (SandboxOrphan *orphan)
{
  if (orphan == NULL)
    return;
  g_free (orphan->kind);
  g_free (orphan->name);
  g_free (orphan->reason);
  g_free (orphan);
}

static void
add_orphan (GPtrArray *orphans, const char *kind, const char *name, const char *reason)
{
  SandboxOrphan *orphan = g_new0 (SandboxOrphan, 1);

  orphan->kind = g_strdup (kind);
  orphan->name = g_strdup (name);
  orphan->reason = g_strdup (reason);
  g_ptr_array_add (orphans, orphan);
}

static void
add_layers (GPtrArray *orphans, SandboxMachine *machine, const char *reason)
{
  g_autoptr (GPtrArray) volumes =
      _sandbox_virt_list_volumes (machine->host->virt, machine->object, FALSE, NULL);
  guint number;

  for (guint i = 0; volumes != NULL && i < volumes->len; i++)
    {
      const char *name = ((SandboxVirtVolume *)volumes->pdata[i])->name;

      if (_sandbox_layer_parse (machine->object, name, &number))
        add_orphan (orphans, "volume", name, reason);
    }
}

static void
add_pieces (GPtrArray *orphans, SandboxMachine *machine, const SandboxPieces *pieces,
            const char *reason)
{
  g_autofree char *seed = g_strconcat (machine->object, ".seed", NULL);
  g_autofree char *memory = _sandbox_memory_volume (machine->object);

  if (pieces->domain)
    add_orphan (orphans, "domain", machine->object, reason);
  if (pieces->network)
    add_orphan (orphans, "network", machine->object, reason);
  if (pieces->filter)
    add_orphan (orphans, "filter", machine->object, reason);
  if (pieces->disk)
    add_layers (orphans, machine, reason);
  if (pieces->seed)
    add_orphan (orphans, "volume", seed, reason);
  if (pieces->memory)
    add_orphan (orphans, "volume", memory, reason);
  if (pieces->state_dir)
    add_orphan (orphans, "state", machine->name, reason);
}

static gboolean
has_file (SandboxMachine *machine, const char *name)
{
  g_autofree char *path = g_build_filename (machine->state_path, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* A throwaway machine whose program does not hold its lock any more. The lock is looked at before
 * the note: who keeps a machine removes the note and drops the lock then. */
static gboolean
is_abandoned (SandboxMachine *machine)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);

  return fd >= 0 && !sandbox_lock_is_held (fd, SANDBOX_THROWAWAY_LOCK)
         && has_file (machine, SANDBOX_THROWAWAY_PROFILE);
}

/* What a run leaves that is killed before it writes its note: nobody's, when nobody has the
 * machine's lock. One that was kept has a profile. */
static gboolean
is_unfinished (SandboxMachine *machine)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;

  if (!_sandbox_name_is_generated (machine->name) || has_file (machine, SANDBOX_THROWAWAY_PROFILE)
      || has_file (machine, "console.log"))
    return FALSE;
  text = _sandbox_profile_own_text (machine->host, machine->name, &local);
  return text == NULL && local == NULL;
}

/* Killed while it was being kept: its note is there, and so is the profile that was made of it. */
static void
remove_kept_profile (SandboxMachine *machine)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autofree char *note = NULL, *text = NULL;

  if (fd < 0
      || !sandbox_file_read_at (fd, SANDBOX_THROWAWAY_PROFILE, SANDBOX_PROFILE_TEXT_MAX, &note,
                                NULL, NULL))
    return;
  text = _sandbox_profile_own_text (machine->host, machine->name, NULL);
  if (g_strcmp0 (text, note) == 0)
    sandbox_profile_remove (&machine->host->profiles, machine->name, NULL);
}

/* It has run, and there is still a profile to start it from: its disk and the keys that its user
 * gave to others are worth more than a tidy host. `start` makes again what is missing, `destroy`
 * removes the rest. */
static gboolean
can_be_started_again (SandboxMachine *machine)
{
  g_autoptr (SandboxProfile) profile = NULL;

  if (!has_file (machine, "console.log"))
    return FALSE;
  profile = _sandbox_machine_load_profile (machine, NULL);
  return profile != NULL;
}

/* Why @machine is an orphan; NULL when it is none. */
static const char *
why_orphan (SandboxMachine *machine, const SandboxPieces *pieces)
{
  if (!_sandbox_pieces_any (pieces))
    return NULL;
  if (is_abandoned (machine))
    return "a throwaway machine whose program has ended";
  if (_sandbox_pieces_running (pieces) || can_be_started_again (machine))
    return NULL;
  if (!pieces->domain)
    return "left by an interrupted command: no machine of that name is defined";
  if (!pieces->disk && !_sandbox_host_is_test (machine->host))
    return "left by an interrupted command: its disk is gone";
  /* With domain and disk it is a machine; what else may be missing, start makes again. */
  return NULL;
}

/* The same for a sweep, which nobody asked for: only what cannot be anybody's. */
static const char *
why_swept (SandboxMachine *machine, const SandboxPieces *pieces)
{
  if (is_abandoned (machine))
    return "a throwaway machine whose program has ended";
  if (!pieces->domain && !pieces->network && !pieces->filter && !pieces->disk && !pieces->seed
      && !pieces->memory && pieces->state_dir && is_unfinished (machine))
    return "left by an interrupted run";
  return NULL;
}

static gboolean
repair_keeper (SandboxMachine *machine, const SandboxPieces *pieces, gboolean remove,
               GPtrArray *orphans, GError **error)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autofree char *name = NULL;
  pid_t pid = fd >= 0 ? _sandbox_keeper_pid (fd) : 0;

  if (pid == 0 || _sandbox_pieces_running (pieces))
    return TRUE;
  name = g_strdup_printf ("%s (pid %d)", machine->name, (int)pid);
  add_orphan (orphans, "keeper", name, "its machine does not run");
  return !remove || _sandbox_keeper_stop (fd, error);
}

/* The copy of its disk that an export has meanwhile. */
static gboolean
repair_export (SandboxMachine *machine, gboolean remove, GPtrArray *orphans, GError **error)
{
  SandboxVirt *virt = machine->host->virt;
  g_autofree char *name = _sandbox_export_volume (machine);
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (virt, name, FALSE, error);

  if (volumes == NULL || volumes->len == 0)
    return volumes != NULL;
  add_orphan (orphans, "volume", name, "left by an interrupted export");
  return !remove || _sandbox_virt_volume_remove (virt, name, error);
}

/* Layers of the disk that an interrupted command made, or was about to remove. A list of snapshots
 * that is damaged is told by the verbs that need it. */
static gboolean
repair_layers (SandboxWork *work, gboolean remove, GPtrArray *orphans, GError **error)
{
  SandboxMachine *machine = work->machine;
  g_autoptr (SandboxLayers) layers =
      work->pieces.disk ? _sandbox_layers_load (machine, NULL) : NULL;
  g_autofree char *merge = _sandbox_layers_merge_object (machine);
  SandboxLayer *layer;
  gboolean merging = FALSE;

  if (!_sandbox_virt_domain_state (machine->host->virt, merge, &merging, NULL, error))
    return FALSE;
  if (merging)
    add_orphan (orphans, "domain", merge, "left by an interrupted command that merged layers");
  if (merging && remove && !_sandbox_virt_domain_kill (machine->host->virt, merge, error))
    return FALSE;
  while (layers != NULL && (layer = _sandbox_layers_find_useless (layers)) != NULL)
    {
      add_orphan (orphans, "volume", layer->volume,
                  "left by an interrupted command: no snapshot needs it");
      if (remove && !_sandbox_virt_volume_remove (machine->host->virt, layer->volume, error))
        return FALSE;
      _sandbox_layers_remove (layers, layer);
    }
  return TRUE;
}

/* What an interrupted command left beside a machine that is none of its. */
static gboolean
repair_beside (SandboxWork *work, gboolean remove, GPtrArray *orphans, GError **error)
{
  return repair_export (work->machine, remove, orphans, error)
         && _sandbox_suspended_repair (work, remove, orphans, error)
         && repair_layers (work, remove, orphans, error);
}

typedef const char *(*WhyFunc) (SandboxMachine *machine, const SandboxPieces *pieces);

static gboolean
repair_machine (SandboxMachine *machine, WhyFunc why, gboolean remove, GPtrArray *orphans,
                const SandboxReport *report, GCancellable *cancellable, GError **error)
{
  g_auto (SandboxWork) work = { 0 };
  g_autoptr (GError) local = NULL;
  const char *reason;

  _sandbox_work_init (&work, machine, report->func, report->user_data);
  work.lock_wait_usec = 0;
  if (!_sandbox_work_begin (&work, "repair", cancellable, &local))
    {
      /* Being worked on, or a domain of somebody else that took the name: both no business of ours.
       */
      if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_BUSY)
          || g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!repair_keeper (machine, &work.pieces, remove, orphans, error))
    return FALSE;
  reason = why (machine, &work.pieces);
  if (reason == NULL)
    return why != why_orphan || repair_beside (&work, remove, orphans, error);
  add_pieces (orphans, machine, &work.pieces, reason);
  if (!remove)
    return TRUE;
  if (is_abandoned (machine))
    remove_kept_profile (machine);
  return _sandbox_destroy_locked (&work, cancellable, error);
}

/* A first look without the lock: machines that run and have nothing beside them, the most of them,
 * are not even locked. What one that is worked on has for the moment is looked at again with it. */
static gboolean
is_whole (SandboxMachine *machine, const SandboxPieces *pieces)
{
  g_autoptr (GPtrArray) found =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_orphan_free);
  g_auto (SandboxWork) work = { 0 };

  if (why_orphan (machine, pieces) != NULL || !_sandbox_pieces_running (pieces))
    return FALSE;
  _sandbox_work_init (&work, machine, NULL, NULL);
  work.pieces = *pieces;
  return repair_beside (&work, FALSE, found, NULL) && found->len == 0;
}

static gboolean
repair_machines (SandboxHost *host, gboolean remove, GPtrArray *orphans,
                 const SandboxReport *report, GCancellable *cancellable, GError **error)
{
  g_autoptr (GHashTable) table = _sandbox_host_scan (host, error);
  g_autoptr (GList) names = NULL;

  if (table == NULL)
    return FALSE;
  names = g_list_sort (g_hash_table_get_keys (table), (GCompareFunc)strcmp);
  for (GList *item = names; item != NULL; item = item->next)
    {
      const SandboxEntry *entry = g_hash_table_lookup (table, item->data);
      g_autoptr (SandboxMachine) machine = _sandbox_machine_new (host, item->data);

      if (!is_whole (machine, &entry->pieces)
          && !repair_machine (machine, why_orphan, remove, orphans, report, cancellable, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
sandbox_host_sweep (SandboxHost *host, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) orphans =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_orphan_free);
  sandbox_autofd int fd = _sandbox_host_state_fd (host, FALSE, NULL);
  g_auto (GStrv) names = fd >= 0 ? sandbox_dir_list (fd, NULL) : NULL;
  SandboxReport report = { NULL, NULL, "" };

  for (char **name = names; name != NULL && *name != NULL; name++)
    {
      g_autoptr (SandboxMachine) machine = NULL;

      if (!g_str_has_prefix (*name, SANDBOX_THROWAWAY_PREFIX)
          || !sandbox_name_check ("machine", *name, NULL))
        continue;
      machine = _sandbox_machine_new (host, *name);
      /* A first look without the lock. */
      if ((is_abandoned (machine) || is_unfinished (machine))
          && (!repair_machine (machine, why_swept, TRUE, orphans, &report, cancellable, error)
              || !_sandbox_warm_repair (host, machine->object, TRUE, orphans, error)))
        return FALSE;
    }
  return TRUE;
}

/* Lock files of machines that are not there, and that nobody holds. */
static gboolean
repair_locks (SandboxHost *host, gboolean remove, GPtrArray *orphans, GError **error)
{
  sandbox_autofd int fd = _sandbox_host_state_fd (host, FALSE, NULL);
  g_auto (GStrv) files = NULL;

  if (fd < 0)
    return TRUE;
  files = sandbox_dir_list (fd, error);
  if (files == NULL)
    return FALSE;
  for (char **file = files; *file != NULL; file++)
    {
      g_autofree char *name = NULL, *dir = NULL;

      if (!g_str_has_suffix (*file, ".lock"))
        continue;
      name = g_strndup (*file, strlen (*file) - strlen (".lock"));
      dir = g_build_filename (host->state_dir, name, NULL);
      if (!sandbox_name_check ("machine", name, NULL) || g_file_test (dir, G_FILE_TEST_EXISTS))
        continue;
      if (sandbox_lock_is_held (fd, *file))
        continue;
      add_orphan (orphans, "lock", *file, "its process has ended, and there is no such machine");
      if (remove)
        {
          SandboxLock *lock = sandbox_lock_acquire (fd, *file, "repair", 0, NULL, NULL, NULL, NULL);

          if (lock != NULL)
            sandbox_lock_remove (lock);
        }
    }
  return TRUE;
}

GPtrArray *
sandbox_host_repair (SandboxHost *host, gboolean remove, SandboxProgressFunc progress,
                     gpointer user_data, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) orphans =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_orphan_free);
  SandboxReport report = { progress, user_data, "" };

  if (!repair_machines (host, remove, orphans, &report, cancellable, error)
      || !repair_locks (host, remove, orphans, error)
      || !_sandbox_image_clean (host, FALSE, remove, orphans, cancellable, error)
      || !_sandbox_layers_repair (host, remove, orphans, error)
      || !_sandbox_secrets_repair (host, remove, orphans, error)
      || !_sandbox_warm_repair (host, "", remove, orphans, error))
    return NULL;
  return g_steal_pointer (&orphans);
}
