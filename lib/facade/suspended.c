// SPDX-License-Identifier: LGPL-2.1-or-later
// What a suspended machine is, and what may be done with one.
#include "facade/suspended.h"

#include "facade/layers.h"

#include <string.h>

#define NOTE   "suspended"
#define SUFFIX ".memory"

static const char *const words[] = {
  [SANDBOX_SUSPEND_DISK] = "disk",
  [SANDBOX_SUSPEND_MEMORY] = "memory",
};

SandboxSuspendNote
_sandbox_suspend_note_read (SandboxMachine *machine)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autofree char *text = NULL;

  if (fd < 0 || !sandbox_file_read_at (fd, NOTE, 64, &text, NULL, NULL))
    return SANDBOX_SUSPEND_NONE;
  return strcmp (text, words[SANDBOX_SUSPEND_MEMORY]) == 0 ? SANDBOX_SUSPEND_MEMORY
                                                           : SANDBOX_SUSPEND_DISK;
}

gboolean
_sandbox_suspend_note_write (SandboxMachine *machine, SandboxSuspendNote note, GError **error)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);

  if (note == SANDBOX_SUSPEND_NONE)
    return fd < 0 || sandbox_remove_at (fd, NOTE, error);
  if (fd < 0)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "%s: was never started", machine->name);
  return sandbox_file_write_at (fd, NOTE, words[note], strlen (words[note]), 0600, error);
}

char *
_sandbox_memory_volume (const char *object)
{
  return g_strconcat (object, SUFFIX, NULL);
}

char *
_sandbox_memory_object (const char *volume)
{
  return g_str_has_suffix (volume, SUFFIX) ? g_strndup (volume, strlen (volume) - strlen (SUFFIX))
                                           : NULL;
}

gboolean
_sandbox_pieces_suspended (const SandboxPieces *pieces)
{
  return pieces->memory && pieces->domain && !_sandbox_pieces_running (pieces);
}

void
_sandbox_suspend_clear (SandboxSuspend *suspend)
{
  g_clear_pointer (&suspend->xml, g_free);
  g_clear_pointer (&suspend->meta, _sandbox_domain_meta_free);
}

static gboolean
remove_memory (SandboxWork *work, GError **error)
{
  g_autofree char *name = _sandbox_memory_volume (work->machine->object);

  if (!_sandbox_virt_volume_remove (work->host->virt, name, error))
    return FALSE;
  work->pieces.memory = FALSE;
  return TRUE;
}

/* Of one that stands still it counts: who stopped the processors did so before it was made. */
gboolean
_sandbox_memory_is_void (const SandboxPieces *pieces)
{
  return !pieces->domain
         || (_sandbox_pieces_running (pieces) && pieces->virt_state != SANDBOX_VIRT_PAUSED)
         || pieces->virt_state == SANDBOX_VIRT_CRASHED;
}

static gboolean
is_encrypted (SandboxMachine *machine)
{
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (machine, NULL);

  return layers != NULL && layers->top != NULL && layers->top->encrypted;
}

/* Somebody else, such as virt-manager or the host when it went down, let libvirt itself keep its
 * memory. Where its disk is not what it was then, to go on from that would destroy it. */
static gboolean
check_kept (SandboxWork *work, const char *verb, GError **error)
{
  static const char *const allowed[] = { "stop", "destroy", "repair", NULL };
  const char *name = work->machine->name, *object = work->machine->object;
  gboolean kept = FALSE;

  if (!work->pieces.domain || _sandbox_pieces_running (&work->pieces)
      || g_strv_contains (allowed, verb))
    return TRUE;
  if (!_sandbox_virt_domain_kept (work->host->virt, object, &kept, error))
    return FALSE;
  if (!kept)
    return TRUE;
  /* libvirt would need the passphrase, and has no secret of it any more */
  if (is_encrypted (work->machine))
    return sandbox_fail (
        error, SANDBOX_ERROR_WRONG_STATE,
        "%s %s: somebody saved its memory with libvirt (managed save), as libvirt-guests does when "
        "this host goes down: with the key of its encrypted disk, not encrypted itself. It cannot "
        "go on from that; `vms stop --force %s` throws the memory away, then `vms start %s` boots "
        "it",
        verb, name, name, name);
  return sandbox_fail (
      error, SANDBOX_ERROR_WRONG_STATE,
      "%s %s: somebody saved its memory with libvirt (managed save), which goes "
      "with its disk as that is now; `vms stop --force %s` throws the memory away, "
      "`virsh net-start %s` and `virsh start %s` let it go on",
      verb, name, name, object, object);
}

gboolean
_sandbox_suspended_begin (SandboxWork *work, const char *verb, GError **error)
{
  /* of these, those that look at its disk do so through a layer of their own */
  static const char *const allowed[] = { "start",   "stop",      "suspend",       "resume",
                                         "destroy", "share-add", "snapshot diff", "save",
                                         "repair",  NULL };
  const char *name = work->machine->name;

  if (!work->pieces.memory)
    return check_kept (work, verb, error);
  if (_sandbox_memory_is_void (&work->pieces) && strcmp (verb, "repair") != 0)
    return remove_memory (work, error);
  if (g_strv_contains (allowed, verb))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                       "%s %s: it is suspended, and its memory goes with its disk as that is now: "
                       "`vms resume %s` lets it go on, `vms stop --force %s` throws the memory "
                       "away",
                       verb, name, name, name);
}

gboolean
_sandbox_step_drop_memory (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const char *name = work->machine->name;
  gboolean kept = FALSE;

  if (work->pieces.domain && !_sandbox_pieces_running (&work->pieces)
      && !_sandbox_virt_domain_kept (work->host->virt, work->machine->object, &kept, error))
    return FALSE;
  if ((work->pieces.memory || kept) && !work->force)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "stop %s: it is suspended, which is off; `vms stop --force %s` throws its "
                         "memory away, so that it boots with the next start",
                         name, name);
  if (kept && !_sandbox_virt_domain_drop_kept (work->host->virt, work->machine->object, error))
    return FALSE;
  return (!work->pieces.memory || remove_memory (work, error))
         && _sandbox_suspend_note_write (work->machine, SANDBOX_SUSPEND_NONE, error);
}

gboolean
_sandbox_suspended_before_boot (SandboxWork *work, GError **error)
{
  if (work->pieces.memory)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "%s: it is suspended, and must not boot: `vms resume %s`",
                         work->machine->name, work->machine->name);
  return _sandbox_suspend_note_write (work->machine, SANDBOX_SUSPEND_NONE, error);
}

gboolean
_sandbox_suspended_repair (SandboxWork *work, gboolean remove, GPtrArray *orphans, GError **error)
{
  SandboxOrphan *orphan;

  if (!work->pieces.memory || !_sandbox_memory_is_void (&work->pieces))
    return TRUE;
  orphan = g_new0 (SandboxOrphan, 1);
  orphan->kind = g_strdup ("volume");
  orphan->name = _sandbox_memory_volume (work->machine->object);
  orphan->reason = g_strdup (work->pieces.domain ? "memory of a machine that has run since"
                                                 : "memory of a machine that is not defined");
  g_ptr_array_add (orphans, orphan);
  return !remove || remove_memory (work, error);
}
