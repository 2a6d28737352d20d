// SPDX-License-Identifier: LGPL-2.1-or-later
// Suspended machines: off, with their memory in the volume OBJECT.memory.
//
// Memory that goes on over a disk which is not as it was when the memory was written would destroy
// what is on that disk. This is what makes it impossible:
//
//   While the volume OBJECT.memory is there and counts, no processor of the machine has run, and
//   nothing was written to its disk, since the memory was written.
//
// Suspend stops the processors before it makes the volume, and libvirt, which restarts what it has
// stopped itself when it dies over a save, leaves those alone that we have stopped. Resume restores
// with the processors stopped, removes the volume, and lets them run then: never the other way
// round. No verb but a few works on a machine that has the volume (_sandbox_suspended_begin()), and
// none of these writes to its disk. Against what others do beside us, with virsh, there are two
// more: the volume of a machine that runs is void, and goes with the next verb; and a disk that was
// written to after the memory is told by the times of the two files, and refused.
//
// A note in the state directory says that a suspend began, until the machine has all again that it
// took: it is how a resume knows that it is to finish one that was interrupted, wherever that was.
#pragma once

#include "facade/facade-private.h"

/* --- suspended.c */
typedef enum
{
  SANDBOX_SUSPEND_NONE,
  SANDBOX_SUSPEND_DISK,
  SANDBOX_SUSPEND_MEMORY, /* paused, nothing else */
} SandboxSuspendNote;
SandboxSuspendNote _sandbox_suspend_note_read (SandboxMachine *machine);
/* NONE removes it. */
gboolean
_sandbox_suspend_note_write (SandboxMachine *machine, SandboxSuspendNote note, GError **error);
/* "OBJECT.memory" (transfer full); the object of such a name, or NULL (transfer full). */
char *_sandbox_memory_volume (const char *object);
char *_sandbox_memory_object (const char *volume);
/* Nothing goes on from it: the machine has run since, or is not defined any more. */
gboolean _sandbox_memory_is_void (const SandboxPieces *pieces);
/* Off, with its memory. */
gboolean _sandbox_pieces_suspended (const SandboxPieces *pieces);
/* Of each verb that begins: the one place where those are refused that would boot a suspended
 * machine, or write to its disk. Memory that is void goes here. */
gboolean _sandbox_suspended_begin (SandboxWork *work, const char *verb, GError **error);
/* Row of stop, when the machine is off: without its memory it is stopped. */
gboolean _sandbox_step_drop_memory (gpointer work, GCancellable *cancellable, GError **error);
/* Before a boot, which has all that a suspend took. */
gboolean _sandbox_suspended_before_boot (SandboxWork *work, GError **error);
/* Into @orphans (of SandboxOrphan) when there is no machine for it. */
gboolean
_sandbox_suspended_repair (SandboxWork *work, gboolean remove, GPtrArray *orphans, GError **error);

/* One suspend or resume at work: work->suspend. */
typedef struct _SandboxSuspend
{
  gboolean to_memory;
  char *xml;               /* as it runs, or as it was saved */
  SandboxDomainMeta *meta; /* of @xml */
  gboolean made_note, made_unmount, made_detach, made_keeper_stop, made_pause, made_memory,
      made_restore;
} SandboxSuspend;
void _sandbox_suspend_clear (SandboxSuspend *suspend);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxSuspend, _sandbox_suspend_clear)

/* --- resume.c */
/* Whether a start of @work's machine is a resume: it is suspended, or a suspend was interrupted. */
gboolean _sandbox_resume_is_due (const SandboxWork *work);
/* Under the lock that @work has. */
gboolean _sandbox_resume_locked (SandboxWork *work, GCancellable *cancellable, GError **error);
