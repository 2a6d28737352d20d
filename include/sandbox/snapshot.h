// SPDX-License-Identifier: LGPL-2.1-or-later
// Snapshots of a machine's disk, and the way back to one.
//
// A snapshot takes no time and, at first, no room, however much is on the disk: the layer that was
// written to is frozen and a new one is put on it. Snapshots of a machine form a tree. They have
// the disk, and neither memory nor what is in shared directories.
#pragma once

#include <sandbox/machine.h>

G_BEGIN_DECLS

/**
 * SandboxSnapshot:
 * @name: "" for the machine's present state, which is no snapshot
 * @note: of whoever made it; "" when there is none
 * @parent: the snapshot that it goes on from; "" when it goes on from the image
 * @created_usec: real time in microseconds since 1970; 0 for the present state
 * @disk_bytes: what it takes on the host beyond its parent
 * @automatic: made by a revert, of the state that was left, or as a checkpoint; of each kind only
 * the newest are kept
 * @running: made while the machine ran: the guest finds its file system as after a power cut, with
 * all that it had written before
 * @used_by: names of copies of the machine that stand on it (array zero-terminated=1)
 */
typedef struct
{
  char *name, *note, *parent;
  gint64 created_usec;
  guint64 disk_bytes;
  gboolean automatic, running;
  char **used_by;
} SandboxSnapshot;
void sandbox_snapshot_free (SandboxSnapshot *snapshot);

/**
 * SandboxSnapshotOptions:
 * @struct_size: set by SANDBOX_SNAPSHOT_OPTIONS_INIT
 * @name: (nullable): 1 to 31 characters a-z, 0-9 and -, beginning with a letter; %NULL: made from
 * the time
 * @note: (nullable): at most 1024 bytes of UTF-8
 * @checkpoint: one that goes by itself: the newest ten of these are kept. Its name is made from the
 * time and begins with "exec-"; @name has to be %NULL
 */
typedef struct
{
  gsize struct_size;
  const char *name, *note;
  gboolean checkpoint;
} SandboxSnapshotOptions;
#define SANDBOX_SNAPSHOT_OPTIONS_INIT                                                              \
  {                                                                                                \
    .struct_size = sizeof (SandboxSnapshotOptions)                                                 \
  }

/**
 * SandboxRevertOptions:
 * @struct_size: set by SANDBOX_REVERT_OPTIONS_INIT
 * @snapshot: (nullable): the name of one; %NULL: the one that the present state goes on from
 * @discard: throw the present state away; otherwise it becomes an automatic snapshot, unless
 * nothing was written since one that is still there
 * @force: pull the plug of a machine that runs; otherwise it is asked to power off, and the plug is
 * pulled after 20 seconds
 */
typedef struct
{
  gsize struct_size;
  const char *snapshot;
  gboolean discard, force;
} SandboxRevertOptions;
#define SANDBOX_REVERT_OPTIONS_INIT                                                                \
  {                                                                                                \
    .struct_size = sizeof (SandboxRevertOptions)                                                   \
  }

/* Of a machine that is off or running, which goes on; shares stay attached. The guest is asked to
 * write out what it has in memory; one that does not do so in time is snapshot all the same. EXISTS
 * when the name is taken, WRONG_STATE when there is no disk yet, or too many snapshots. The name
 * (transfer full). */
char *
sandbox_machine_snapshot_create (SandboxMachine *machine, const SandboxSnapshotOptions *options,
                                 SandboxProgressFunc progress, gpointer user_data,
                                 GCancellable *cancellable, GError **error);
/* Parents before their children, the present state behind the children of its parent. Without
 * snapshots just the present state; without a disk none. (transfer full) (element-type
 * SandboxSnapshot) */
GPtrArray *
sandbox_machine_snapshot_list (SandboxMachine *machine, GCancellable *cancellable, GError **error);
/* Those that go on from it stay as they are; what they need of it is merged into them. Where that
 * is not possible, because the machine runs, or more than one goes on from it, its room is freed by
 * a later call. NOT_FOUND when there is none of that name. */
gboolean sandbox_machine_snapshot_delete (SandboxMachine *machine, const char *name,
                                          SandboxProgressFunc progress, gpointer user_data,
                                          GCancellable *cancellable, GError **error);
/* The disk is as it was then; keys, address and profile are as they are now, and what is in shared
 * directories stays. A machine that ran is started again. @ret_kept (nullable): the name of the
 * automatic snapshot that was made of the state before (transfer full), %NULL when none was. */
gboolean sandbox_machine_revert (SandboxMachine *machine, const SandboxRevertOptions *options,
                                 SandboxProgressFunc progress, gpointer user_data,
                                 GCancellable *cancellable, char **ret_kept, GError **error);

/**
 * SandboxSnapshotChange: a file in which two states differ
 * @kind: static; "added", "deleted", "modified", "replaced" (by another type), "mode" (or owner),
 * "touched" (only the time of its last change, which nobody in the machine can set: content whose
 * time of writing was put back looks so)
 * @path: from the root of the disk; any bytes
 * @link: what a symbolic link leads to, else ""; any bytes
 * @type: of the later state, or of what was deleted: 'f', 'd', 'l', or another as find has it
 */
typedef struct
{
  const char *kind;
  char *path, *link;
  char type;
  guint old_mode, new_mode, old_uid, new_uid, old_gid, new_gid;
  guint64 old_bytes, new_bytes;
} SandboxSnapshotChange;
void sandbox_snapshot_change_free (SandboxSnapshotChange *change);
/* Which files the disk's state @from and the later one @to differ in. @from (nullable): %NULL: the
 * snapshot that @to goes on from. @to (nullable): %NULL: the present state; WRONG_STATE while the
 * machine runs. Both are read by a throwaway machine, which takes as long as a boot; names, sizes
 * and times are compared, not contents. What the disk says of itself may be a lie. @ret_n_left_out
 * (nullable): how many more there are than are told. (transfer full) (element-type
 * SandboxSnapshotChange), by path. Errors besides: NOT_FOUND, GUEST. */
GPtrArray *
sandbox_machine_snapshot_diff (SandboxMachine *machine, const char *from, const char *to,
                               SandboxProgressFunc progress, gpointer user_data,
                               guint *ret_n_left_out, GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxSnapshot, sandbox_snapshot_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxSnapshotChange, sandbox_snapshot_change_free)

G_END_DECLS
