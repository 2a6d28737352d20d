// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers that nobody names any more are merged while nobody waits for anything: by the keeper of a
// machine that runs, one at a time. Whoever wants the machine's lock meanwhile gets it: the copy is
// given up, which changes nothing, and is tried again later. That holds for what the machine runs
// on only; what it does not, as what was left by a revert, waits for a verb that merges all.
#include "facade/layers.h"
#include "facade/suspended.h"

#include <unistd.h>

/* Waits for no other process. */
typedef struct
{
  SandboxWork work;
  int wanted_fd; /* readable: somebody waits for our lock */
  GCancellable *cancellable;
} Idle;

static void
idle_clear (Idle *idle)
{
  sandbox_close_fd (&idle->wanted_fd);
  _sandbox_work_clear (&idle->work);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Idle, idle_clear)

/* Called again and again while layers are copied. */
static void
give_way (const SandboxProgress *progress, gpointer user_data)
{
  Idle *idle = user_data;
  char block[4096];

  if (idle->wanted_fd >= 0 && read (idle->wanted_fd, block, sizeof block) > 0)
    g_cancellable_cancel (idle->cancellable);
}

/* One that is paused, and not by a merge that was interrupted, or goes down is left alone: somebody
 * is at it, or something is wrong. */
static gboolean
check_running (Idle *idle, GError **error)
{
  const SandboxPieces *pieces = &idle->work.pieces;

  return (pieces->domain && pieces->virt_state == SANDBOX_VIRT_RUNNING && !pieces->memory
          && _sandbox_suspend_note_read (idle->work.machine) == SANDBOX_SUSPEND_NONE)
         || sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "%s: does not run",
                          idle->work.machine->name);
}

/* The copy is there beside what is copied until it is whole; a full disk would stop the guest. */
static gboolean
merge_one (Idle *idle, gboolean *ret_merged, GError **error)
{
  SandboxWork *work = &idle->work;
  SandboxLayer *above = NULL;
  SandboxLayer *layer;

  if (!_sandbox_layers_sweep (work, error))
    return FALSE;
  layer = _sandbox_layers_find_idle (work->snapshot->layers, &above);
  *ret_merged = layer != NULL;
  return layer == NULL
         || (_sandbox_host_check_room (work->host, "merging layers", layer->allocation_bytes, error)
             && _sandbox_layers_merge (work, layer, above, idle->cancellable, error));
}

gboolean
_sandbox_machine_merge_idle (SandboxHost *host, const char *name, GCancellable *cancellable,
                             gboolean *ret_merged, GError **error)
{
  g_autoptr (SandboxMachine) machine = _sandbox_machine_new (host, name);
  g_auto (Idle) idle = { .wanted_fd = -1, .cancellable = cancellable };
  gboolean merged = FALSE;

  _sandbox_work_init (&idle.work, machine, give_way, &idle);
  idle.work.lock_wait_usec = 0;
  idle.work.snapshot = _sandbox_snapshot_work_new ();
  if (!_sandbox_work_begin (&idle.work, "tidy", cancellable, error)
      || !check_running (&idle, error))
    return FALSE;
  idle.wanted_fd = sandbox_lock_watch (idle.work.lock);
  if (idle.wanted_fd < 0)
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "tidy %s: whoever wanted it meanwhile could not be noticed: what this "
                         "user may have of inotify is in use; more with `sysctl "
                         "fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288`",
                         name);
  if (!merge_one (&idle, &merged, error))
    return FALSE;
  *ret_merged = merged;
  return TRUE;
}
