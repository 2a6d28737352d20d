// SPDX-License-Identifier: LGPL-2.1-or-later
// A machine's disk as a tree of layers: what libvirt has of it, with the names that snapshots gave
// to some of them.
//
// The volumes OBJECT.qcow2, OBJECT.1.qcow2, OBJECT.2.qcow2... stand on one another, the lowest on
// an image. The machine writes to one of them, the top; which one, the domain's definition says.
// All others are frozen. A snapshot is a name for a frozen layer, in a file of the state directory.
// A layer that is neither top nor named nor stood upon is of no use and goes; one that only another
// layer stands on is merged into that.
//
// Every verb makes the new layer first, writes the names then, and changes the domain last: that is
// the one step which counts. A name for the top is that of a snapshot which was not finished, and
// is void; a layer that was made in vain is of no use.
#pragma once

#include "facade/facade-private.h"

/* Snapshots of one machine. */
#define SANDBOX_SNAPSHOTS_MAX 128
/* Layers on one another, shared ones and hidden ones included; libvirt ends at 200. */
#define SANDBOX_LAYERS_MAX 160
/* On more than that a disk gets slower to open: what nobody names any more is merged then. */
#define SANDBOX_LAYERS_DEEP 32
/* Those that a revert makes by itself; older ones go. */
#define SANDBOX_SNAPSHOTS_AUTOMATIC_MAX 5
/* Those that are made before a command; older ones go. */
#define SANDBOX_CHECKPOINTS_MAX   10
#define SANDBOX_CHECKPOINT_PREFIX "exec"
#define SANDBOX_SNAPSHOT_NOTE_MAX 1024

/* --- snapshot-file.c */
#define SANDBOX_SNAPSHOTS_FILE "snapshots" /* in the state directory */
typedef struct
{
  char *name, *note;
  guint layer; /* number of the volume */
  gint64 created_usec;
  gboolean automatic, running;
} SandboxSnapshotEntry;
void _sandbox_snapshot_entry_free (SandboxSnapshotEntry *entry);
GPtrArray *_sandbox_snapshots_new (void); /* of SandboxSnapshotEntry */
/* As they stand in the file. NULL: it is damaged. */
GPtrArray *_sandbox_snapshots_parse (const char *text, gsize length);
char *_sandbox_snapshots_format (const GPtrArray *entries, gsize *ret_length);
/* In the order in which they were made. @ret_known FALSE: there is no such file. */
GPtrArray *_sandbox_snapshots_read (int state_fd, gboolean *ret_known, GError **error);
gboolean _sandbox_snapshots_write (int state_fd, const GPtrArray *entries, GError **error);
/**
 * SandboxMerge: one that began, and may not have ended: volumes of two layers of the machine
 * @volume: what is merged, and goes then
 * @above: what it is merged into
 * @still: the machine is stopped to have it written out, and goes on then. No other pause is ours
 */
typedef struct
{
  char *volume, *above;
  gboolean still;
} SandboxMerge;
void _sandbox_merge_free (SandboxMerge *merge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxMerge, _sandbox_merge_free)
/* NULL: none. (transfer full) */
SandboxMerge *_sandbox_merge_read (int state_fd);
/* On the disk when it returns. @merge NULL: it ended. */
gboolean _sandbox_merge_write (int state_fd, const SandboxMerge *merge, GError **error);
/* The machine has none: its disk was just made. (start-steps.c) */
gboolean _sandbox_work_forget_snapshots (SandboxWork *work, GError **error);

/* --- layers.c: pure */
typedef struct _SandboxLayer SandboxLayer;
struct _SandboxLayer
{
  char *volume, *path, *below_path;
  guint64 capacity_bytes, allocation_bytes;
  gboolean encrypted;
  gboolean own; /* of this machine; others matter as far as they stand on ours, or ours on them */
  guint number;
  SandboxLayer *below;                  /* NULL: it stands on an image */
  guint children;                       /* layers that stand on it, whosever they are */
  const SandboxSnapshotEntry *snapshot; /* (nullable) */
};
typedef struct
{
  char *object;
  GPtrArray *all;     /* of SandboxLayer */
  GPtrArray *entries; /* of SandboxSnapshotEntry, each of which has its layer */
  gboolean known;     /* there is a file of names: only then is a layer without one of no use */
  SandboxLayer *top;  /* NULL: its volume is gone, or was never made */
  SandboxLayer *merging, *merging_above; /* of the merge that may not have ended; NULL: none */
} SandboxLayers;
void _sandbox_layers_free (SandboxLayers *layers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxLayers, _sandbox_layers_free)
/* Takes @entries. @volumes: of SandboxVirtVolume, all that begin with "vms-". @top_path (nullable):
 * what the domain writes to; without a domain it is the one layer that can be meant, and
 * WRONG_STATE when there are several. @merge (nullable): its two layers stand on one another still,
 * so that it is done again. */
SandboxLayers *_sandbox_layers_new (const char *object, const GPtrArray *volumes,
                                    GPtrArray *entries, gboolean known, const char *top_path,
                                    const SandboxMerge *merge, GError **error);
/* TRUE for "OBJECT.qcow2" (0) and "OBJECT.N.qcow2" (N). */
gboolean _sandbox_layer_parse (const char *object, const char *volume, guint *ret_number);
/* The name of that volume. (transfer full) */
char *_sandbox_layer_volume (const char *object, guint number);
/* The object of which @volume is a layer; NULL when it is none. (transfer full) */
char *_sandbox_layer_object (const char *volume);
/* The name for a new layer. @fresh: of a disk that is made anew when all others that can go are
 * gone. (transfer full) */
char *_sandbox_layers_next (const SandboxLayers *layers, gboolean fresh);
/* Paths of all that @layer stands on, the uppermost first, without the image. (transfer container)
 * (array zero-terminated=1) */
const char **_sandbox_layer_below (const SandboxLayer *layer);
/* Path of what is below the lowest layer; "" for nothing. */
const char *_sandbox_layer_base (const SandboxLayer *layer);
/* How many layers it stands on, itself included. */
guint _sandbox_layer_depth (const SandboxLayer *layer);
/* Whether @layer is @of or what @of stands on. */
gboolean _sandbox_layer_is_in (const SandboxLayer *layer, const SandboxLayer *of);
SandboxLayer *_sandbox_layers_find (const SandboxLayers *layers, const char *snapshot);
/* The nearest snapshot at or below @layer; NULL when there is none. */
const SandboxLayer *_sandbox_layer_snapshot (const SandboxLayer *layer);
/* Another machine's disk stands on it. */
gboolean _sandbox_layer_is_needed (const SandboxLayers *layers, const SandboxLayer *layer);
/* One of no use; NULL when there is none. */
SandboxLayer *_sandbox_layers_find_useless (const SandboxLayers *layers);
/* One that can be merged; NULL when there is none. What began comes first, and when it cannot be
 * ended now, nothing else can: the note of it would be lost. @busy: the machine runs, so that of
 * the layers that it reads only these can be: the one below the top, into that; and one without a
 * name on another one without, into the lower. Else it is merged into the layer above it. */
SandboxLayer *
_sandbox_layers_find_merge (const SandboxLayers *layers, gboolean busy, SandboxLayer **ret_above);
/* The same of what the machine runs on: that copy alone can be given up in order at any time. */
SandboxLayer *_sandbox_layers_find_idle (const SandboxLayers *layers, SandboxLayer **ret_above);
/* The layer that stands on @layer as the only one. */
SandboxLayer *_sandbox_layers_above (const SandboxLayers *layers, const SandboxLayer *layer);
/* Of the layers that make up the difference to the next snapshot below. */
guint64 _sandbox_layer_bytes (const SandboxLayer *layer);
/* Its volume is gone. */
void _sandbox_layers_remove (SandboxLayers *layers, SandboxLayer *layer);

/* --- layers-work.c */
/* One verb's work on snapshots: part of its SandboxWork. */
typedef struct _SandboxSnapshotWork
{
  SandboxLayers *layers;
  SandboxLayer *target; /* revert: what it goes back to; of layers */
  char *name, *note;    /* of the snapshot that is asked for; name "": none shall be made */
  char *volume;         /* the new layer's */
  char *kept;           /* revert: name of the automatic snapshot */
  gboolean discard, checkpoint;
  gboolean made_layer, made_entry; /* what is taken back when a later step fails */
} SandboxSnapshotWork;
SandboxSnapshotWork *_sandbox_snapshot_work_new (void);
void _sandbox_snapshot_work_free (SandboxSnapshotWork *snapshot);
/* All volumes that layers of machines may be, or stand on, but for images. (element-type
 * SandboxVirtVolume) */
GPtrArray *_sandbox_layers_volumes (SandboxHost *host, GError **error);
/* Of these. */
SandboxLayers *
_sandbox_layers_of (SandboxMachine *machine, const GPtrArray *volumes, GError **error);
/* What there is now. Never NULL on success; without a disk there is no top. */
SandboxLayers *_sandbox_layers_load (SandboxMachine *machine, GError **error);
/* The domain's definition says what the layers are. */
gboolean _sandbox_layers_define (SandboxWork *work, const SandboxLayer *top, GError **error);
/* The names as in work->layers. */
gboolean _sandbox_layers_save (SandboxWork *work, GError **error);
/* Loads work->layers anew. */
gboolean _sandbox_layers_reload (SandboxWork *work, GError **error);
/* The same, and removes what is of no use, which takes no time. */
gboolean _sandbox_layers_sweep (SandboxWork *work, GError **error);
/* All layers that no other machine stands on, and those of machines that are no more which only
 * this one needed. */
gboolean _sandbox_layers_destroy (SandboxWork *work, GError **error);
/* TRUE when the layers of @object are there for other machines' sake only. */
gboolean _sandbox_layers_only_shared (SandboxHost *host, const char *object);
/* A name for the top, which has to be none by the end of the verb. Takes nothing. */
SandboxSnapshotEntry *
_sandbox_layers_name (SandboxLayers *layers, const char *name, const char *note);
void _sandbox_layers_unname (SandboxLayers *layers, const char *name);

/* --- layers-merge.c */
/* The domain that is there while layers are merged. (transfer full) */
char *_sandbox_layers_merge_object (SandboxMachine *machine);
/* How much of what can be merged is. */
typedef enum
{
  SANDBOX_TIDY_ALL,
  SANDBOX_TIDY_DEEP,  /* one after the other, until the disk has no more than SANDBOX_LAYERS_DEEP */
  SANDBOX_TIDY_BEGUN, /* what began and may not have ended, if there is any */
} SandboxTidy;
/* Removes what is of no use and merges what can be merged. Loads work->layers anew. */
gboolean _sandbox_layers_tidy (SandboxWork *work, SandboxTidy how, GCancellable *cancellable,
                               GError **error);
/* Merges @layer into @above, as _sandbox_layers_find_merge() chose them. Loads work->layers anew.
 */
gboolean _sandbox_layers_merge (SandboxWork *work, SandboxLayer *layer, SandboxLayer *above,
                                GCancellable *cancellable, GError **error);
/* Of each verb that begins: a machine that an interrupted merge left standing still goes on; before
 * anything stands on a layer anew, that merge is ended; and what starts on many layers is tidied.
 */
gboolean _sandbox_layers_begin (SandboxWork *work, const char *verb, GCancellable *cancellable,
                                GError **error);
/* Whether a merge stopped it, and it has not gone on yet. */
gboolean _sandbox_layers_still (SandboxMachine *machine);
/* For what needs no lock: waits until a machine that a merge stopped goes on, and lets it go on
 * when nobody is at it any more. *@state: what it is now. */
gboolean _sandbox_layers_wake (SandboxMachine *machine, SandboxVirtState *state,
                               GCancellable *cancellable, GError **error);

/* --- layers-idle.c: for the keeper */
/* At most one merge of layers that a machine runs on. Its copy ends at once when another process
 * wants the machine's lock; then @cancellable is cancelled, too. What is copied is written out
 * first. BUSY when it has the lock already, WRONG_STATE when the machine stands still, HOST when
 * it could not be told that somebody wants the lock. What is not done leaves everything as it was.
 */
gboolean
_sandbox_machine_merge_idle (SandboxHost *host, const char *name, GCancellable *cancellable,
                             gboolean *ret_merged, GError **error);

/* --- snapshot.c */
/* PREFIX and the time, as no other snapshot has it. (transfer full) */
char *_sandbox_snapshot_make_name (const SandboxLayers *layers, const char *prefix);
/* Made before a command: the newest ten are kept. */
gboolean _sandbox_snapshot_is_checkpoint (const SandboxSnapshotEntry *entry);
/* Fails with NOT_FOUND and the nearest name. */
gboolean _sandbox_snapshot_fail_none (SandboxWork *work, const char *doing, GError **error);
/* The volume work->snapshot->volume, on @below. */
gboolean
_sandbox_snapshot_make_layer (SandboxWork *work, const SandboxLayer *below, GError **error);
void _sandbox_snapshot_undo_layer (gpointer work);
void _sandbox_snapshot_undo_names (gpointer work);
/* Steps of snapshot-create that clone does with its source: what can be refused is refused; the
 * guest writes out what it has; a running machine, and then its definition, go on to the new layer.
 */
gboolean _sandbox_snapshot_find_top (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_snapshot_sync (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_snapshot_layer (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_snapshot_switch (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_snapshot_define (gpointer work, GCancellable *cancellable, GError **error);
