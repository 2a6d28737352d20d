// SPDX-License-Identifier: LGPL-2.1-or-later
// Warm starts: a machine that has no disk of its own yet goes on from the memory of one that has
// just booted, instead of booting.
//
// What is kept, the warm image, is three volumes: warm.ID.qcow2, the layer that the boot wrote,
// warm.ID.mem, the memory (0600), and warm.ID.json, which is written last and makes it count. ID is
// OBJECT.DIGEST-TIME: it goes with one name and one UUID, since libvirt restores under no other,
// and DIGEST is that of all that made it. The keys that were used for the boot stand in the cache
// directory; they open nothing but a machine that was restored a moment ago.
#pragma once

#include "facade/layers.h"

#include <sys/utsname.h>

/* Shares that a machine can have beside the spare ones, all of them plugged in while it runs. */
#define SANDBOX_WARM_PORTS 4

/* --- warm-image.c */
typedef struct _SandboxWarm SandboxWarm;
struct _SandboxWarm
{
  char *digest, *id;
  char *keys_path; /* a directory as a machine's state directory */
  char *layer_path, *memory_path;
  SandboxPlan *plan; /* of the boot that is kept */
};
SandboxWarm *_sandbox_warm_new (SandboxMachine *machine, SandboxPlan *plan, const char *digest);
void _sandbox_warm_free (SandboxWarm *warm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxWarm, _sandbox_warm_free)
/* "warm.ID" and the suffix ".qcow2", ".mem" or ".json". (transfer full) */
char *_sandbox_warm_volume (const char *id, const char *suffix);
/* Id, or object, of the volume or path @name; NULL when it is none of a warm image. (transfer full)
 */
char *_sandbox_warm_id_of_path (const char *name);
char *_sandbox_warm_object (const char *id);
void _sandbox_warm_set_id (SandboxWarm *warm, const char *id);
/* One that counts and has @warm's digest: sets its id. None: the id is NULL. */
gboolean _sandbox_warm_find (SandboxHost *host, SandboxWarm *warm, GError **error);
/* All of @object, but for @keep (nullable); layers that something stands on stay, as layers. */
gboolean
_sandbox_warm_remove (SandboxHost *host, const char *object, const char *keep, GError **error);
/* Whether @volume is a layer of ours whose memory is gone: it is there only as long as something
 * stands on it. FALSE also when that cannot be told. */
gboolean _sandbox_warm_is_left (SandboxHost *host, const char *volume);
/* Halves, and those whose machine is gone; of @object, or of all: "". (element-type SandboxOrphan)
 */
gboolean _sandbox_warm_repair (SandboxHost *host, const char *object, gboolean remove,
                               GPtrArray *orphans, GError **error);

/* All that count. (element-type utf8) */
GPtrArray *_sandbox_warm_ids (SandboxHost *host, GError **error);

/* --- warm-list.c */
/* "warm-ID" as users write it; *@ret_found FALSE: it is none. */
gboolean _sandbox_warm_remove_word (SandboxHost *host, const char *word, gboolean *ret_found,
                                    GError **error);

/* --- warm-digest.c */
/* Of all that makes the memory of @plan's boot what it is. @seed: without keys. 32 hexadecimal
 * digits. */
char *_sandbox_warm_digest (const SandboxPlan *plan, GBytes *seed, const SandboxFacts *facts,
                            const char *computer, GError **error);
/* The kernel, the processor and the emulator of this host. */
char *_sandbox_warm_computer (const char *emulator);
/* The same of a computer that calls itself @kernel and whose /proc/cpuinfo is @cpuinfo. */
char *_sandbox_warm_computer_text (const struct utsname *kernel, const char *emulator,
                                   const char *cpuinfo);

/* --- warm-capture.c */
/* Boots @warm's plan, keeps it, and sets its id. */
gboolean _sandbox_warm_capture (SandboxWork *work, SandboxWarm *warm, GCancellable *cancellable,
                                GError **error);

/* What runs by the machine's name is a boot that is kept, by somebody who is gone, since we have
 * the lock: ends it. */
gboolean _sandbox_warm_end_capture (SandboxWork *work, GError **error);

/* --- warm-memory.c */
/* Leaves out of the kept memory what a restore need not be told. Where libvirt's file is none that
 * is understood, it stays as it is. */
gboolean _sandbox_warm_trim (SandboxWork *work, const SandboxWarm *warm, GCancellable *cancellable,
                             GError **error);

/* --- warm-start.c */
/* A machine that somebody who is gone had restored, and not finished: ends it, with its disk. */
gboolean _sandbox_warm_end_start (SandboxWork *work, GError **error);
/* Row of a verb's table, before "disk": finds or makes the warm image. */
gboolean _sandbox_step_warm (gpointer work, GCancellable *cancellable, GError **error);
/* Instead of booting. FALSE without @error: nothing is left of the try, and it has to boot. */
gboolean _sandbox_warm_start (SandboxWork *work, GCancellable *cancellable, GError **error);
