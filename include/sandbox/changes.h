// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine changed in a directory that is shared for review, and bringing it back.
#pragma once

#include <sandbox/machine.h>

G_BEGIN_DECLS

/**
 * SandboxChanges: the change set of one share, as the machine told it and this host judged it.
 * Reference-counted, immutable but for what apply notes in it. Not for several threads at once.
 */
typedef struct _SandboxChanges SandboxChanges;

/**
 * SandboxChangeKind:
 * @SANDBOX_CHANGE_ADDED: this host has nothing of that name
 * @SANDBOX_CHANGE_MODIFIED: other content (of a link: another target), maybe another mode, too
 * @SANDBOX_CHANGE_DELETED: gone
 * @SANDBOX_CHANGE_REPLACED: something of another type: a link where there was a file...
 * @SANDBOX_CHANGE_MODE: only the permissions
 */
typedef enum
{
  SANDBOX_CHANGE_ADDED,
  SANDBOX_CHANGE_MODIFIED,
  SANDBOX_CHANGE_DELETED,
  SANDBOX_CHANGE_REPLACED,
  SANDBOX_CHANGE_MODE,
} SandboxChangeKind;

/**
 * SandboxChangeRisk:
 * @SANDBOX_CHANGE_PLAIN: nothing known to run it
 * @SANDBOX_CHANGE_BUILDS: a build file, a CI file or instructions of an agent: run, or followed,
 * when the user does something that is meant to
 * @SANDBOX_CHANGE_RUNS: programs of this host run it, or take commands from it, without being asked
 */
typedef enum
{
  SANDBOX_CHANGE_PLAIN,
  SANDBOX_CHANGE_BUILDS,
  SANDBOX_CHANGE_RUNS,
} SandboxChangeRisk;

/**
 * SandboxChangeState:
 * @SANDBOX_CHANGE_READY: this host's side is as it was when the machine began, or when it was
 * applied last
 * @SANDBOX_CHANGE_MERGED: this host's side changed, too, elsewhere in the file; both changes are
 * kept
 * @SANDBOX_CHANGE_CONFLICT: this host's side changed, too, or there is no record of it: only
 * applied when told to replace it
 * @SANDBOX_CHANGE_REFUSED: never applied
 */
typedef enum
{
  SANDBOX_CHANGE_READY,
  SANDBOX_CHANGE_MERGED,
  SANDBOX_CHANGE_CONFLICT,
  SANDBOX_CHANGE_REFUSED,
} SandboxChangeState;

/* "added", "modified", "deleted", "replaced", "mode", as in JSON output: stable, static. */
const char *sandbox_change_kind_to_string (SandboxChangeKind kind);
/* "plain", "builds", "runs": stable, static. */
const char *sandbox_change_risk_to_string (SandboxChangeRisk risk);
/* "ready", "merged", "conflict", "refused": stable, static. */
const char *sandbox_change_state_to_string (SandboxChangeState state);

/**
 * SandboxChange: one path
 * @path: relative to the shared directory; any bytes but NUL when @state is refused, else UTF-8
 * without control characters
 * @reason: (nullable): why it is no plain case, in words
 * @old_mode, @new_mode: type and permissions as in st_mode; 0: nothing there
 * @old_bytes, @new_bytes: sizes
 * @link: (nullable): what a new symbolic link leads to
 * @runnable: its permissions let it be run, and did not before
 * @applied: apply brought it to this host
 * @unseen: something of this change set was shown (sandbox_changes_note_shown()), but not this, or
 * not as it is now
 * @renamed_from: (nullable): of an added one: this path is deleted, and what is there on this host
 * has the same content. @renamed_to: the same from the other side. Each is a change of its own all
 * the same, and applied by itself
 * @ignored: a commit on this host would leave it out: its repository's .gitignore files as they are
 * here (never the machine's), .git/info/exclude or the user's own list say so
 */
typedef struct
{
  char *path;
  SandboxChangeKind kind;
  SandboxChangeRisk risk;
  SandboxChangeState state;
  char *reason;
  guint old_mode, new_mode;
  guint64 old_bytes, new_bytes;
  char *link;
  gboolean runnable, applied, unseen;
  char *renamed_from, *renamed_to;
  gboolean ignored;
} SandboxChange;

/* Tags of the machine's shares in mode "review", and of those that it has no more, and whose
 * changes its disk still has. (array zero-terminated=1) (transfer full) */
char **sandbox_machine_list_reviews (SandboxMachine *machine, GError **error);

/* Reads what the machine changed in the share @share, and compares it with this host's record of
 * what was there before, and with what is there now. Writes nothing outside the machine's state
 * directory. NOT_FOUND for no such share, WRONG_STATE when the machine was never started, GUEST
 * when what it sends is no change set or more than the limits. (transfer full) */
SandboxChanges *sandbox_machine_read_changes (SandboxMachine *machine, const char *share,
                                              SandboxProgressFunc progress, gpointer user_data,
                                              GCancellable *cancellable, GError **error);
/* The same for several shares: of a machine that does not run, its disk is read once, in a
 * throwaway machine without shares and network. @shares: array zero-terminated=1. (transfer full)
 * (element-type SandboxChanges) In the order of @shares. */
GPtrArray *sandbox_machine_read_all_changes (SandboxMachine *machine, const char *const *shares,
                                             SandboxProgressFunc progress, gpointer user_data,
                                             GCancellable *cancellable, GError **error);
SandboxChanges *sandbox_changes_ref (SandboxChanges *changes);
void sandbox_changes_unref (SandboxChanges *changes);

/* By path, a directory before what is in it. */
guint sandbox_changes_get_length (const SandboxChanges *changes);
/* The change at @index; belongs to @changes. */
const SandboxChange *sandbox_changes_get (const SandboxChanges *changes, guint index);
/* How many entries in directories of git's were left out: they are never applied. */
guint sandbox_changes_get_git (const SandboxChanges *changes);
/* TRUE when files came, went or changed while they were read: some may be half of the one and half
 * of the other, or missing. */
gboolean sandbox_changes_get_unsettled (const SandboxChanges *changes);

/* The change as a unified diff against this host's file, with the headers that git has; for what is
 * no text, headers alone. Names are escaped, content is as it is: unsafe for a terminal.
 * @ret_added, @ret_removed (nullable): lines. (transfer full), NULL with @error. */
char *
sandbox_changes_diff (SandboxChanges *changes, guint index, gsize *ret_length, guint *ret_added,
                      guint *ret_removed, GCancellable *cancellable, GError **error);

/* The headers that git has for a rename, in place of the diffs of the change at @old, which has a
 * @renamed_to, and of that at @index, whose path that is. (transfer full) */
char *sandbox_changes_diff_rename (const SandboxChanges *changes, guint old, guint index);

/* Notes that somebody was shown the changes @chosen (@n_chosen indexes, %NULL: all) as they are:
 * with @whole all that an apply would write, else a line about each, which does not stand for
 * another content than was shown whole before. The machine sends its changes anew for each reading:
 * from then on @unseen says which of them are others, until all are applied or discarded. */
gboolean sandbox_changes_note_shown (SandboxChanges *changes, const guint *chosen, gsize n_chosen,
                                     gboolean whole, GError **error);

/* Of the change at @index only some hunks of its diff are taken by the next apply: those that
 * @wanted says, one for each line of the diff that begins with "@@". What is left stays a change.
 * INVALID for a change that only comes whole (no text, a conflict, a new or removed file, more than
 * 1 MiB). */
gboolean sandbox_changes_keep_hunks (SandboxChanges *changes, guint index, const gboolean *wanted,
                                     gsize n_wanted, GCancellable *cancellable, GError **error);

/**
 * SandboxApplyOptions:
 * @struct_size: set by SANDBOX_APPLY_OPTIONS_INIT
 * @chosen: (nullable): indexes of changes, @n_chosen of them; %NULL: all that are not @ignored. A
 * new directory that one of them lies in goes with it
 * @include_runs: also what this host runs without being asked
 * @replace_conflicts: also what changed on this host, too, or has no record: replaces it
 * @only_shown: nothing that is @unseen
 */
typedef struct
{
  gsize struct_size;
  const guint *chosen;
  gsize n_chosen;
  gboolean include_runs, replace_conflicts, only_shown;
} SandboxApplyOptions;
#define SANDBOX_APPLY_OPTIONS_INIT                                                                 \
  {                                                                                                \
    .struct_size = sizeof (SandboxApplyOptions)                                                    \
  }

/* Writes changes into the shared directory, as the caller: each file whole or not at all, below the
 * directory, through no link. What each replaces is kept for sandbox_machine_undo_apply(). One that
 * fails is noted (@applied, @reason) and the others go on; FALSE only when nothing more could be
 * done, and then calling again goes on. BUSY while another apply runs. */
gboolean sandbox_changes_apply (SandboxChanges *changes, const SandboxApplyOptions *options,
                                SandboxProgressFunc progress, gpointer user_data,
                                GCancellable *cancellable, GError **error);

/* Puts back what the last apply to @share replaced, but for files that changed since, which are
 * left and counted in @ret_left, and what could not be put back stays kept until the next apply.
 * The machine need not run. NOT_FOUND when there is nothing to undo. */
gboolean sandbox_machine_undo_apply (SandboxMachine *machine, const char *share, guint *ret_undone,
                                     guint *ret_left, GCancellable *cancellable, GError **error);

/* Saves what destroy, recreate and revert would lose, as these do by themselves unless
 * sandbox_machine_forgo_changes() was called: see sandbox_machine_get_saved_changes(). Fails when
 * nobody can tell whether there is something to be saved, as with a guest that does not answer. */
gboolean
sandbox_machine_save_changes (SandboxMachine *machine, SandboxProgressFunc progress,
                              gpointer user_data, GCancellable *cancellable, GError **error);
/* From now on, through this handle, changes that were not applied may go with the machine. */
void sandbox_machine_forgo_changes (SandboxMachine *machine);
/* The directory in which the last call through this handle saved changes, %NULL when there were
 * none. Belongs to @machine. */
const char *sandbox_machine_get_saved_changes (SandboxMachine *machine);
/* How many entries of those are in directories of git's. They are in the archives of the shares,
 * "SHARE.tar", and never applied: no call takes commits from there. */
guint sandbox_machine_get_saved_git (SandboxMachine *machine);
/* TRUE when files changed while they were saved, as sandbox_changes_get_unsettled() says it. */
gboolean sandbox_machine_get_saved_unsettled (SandboxMachine *machine);
/* The shares of which @saved, such a directory, has changes. (array zero-terminated=1) (transfer
 * full) */
char **sandbox_host_list_saved_shares (SandboxHost *host, const char *saved, GError **error);
/* What was saved, compared with what is on this host now, as sandbox_machine_read_changes() does
 * it: the machine may be gone. (transfer full) */
SandboxChanges *
sandbox_host_read_saved_changes (SandboxHost *host, const char *saved, const char *share,
                                 GCancellable *cancellable, GError **error);
/* As sandbox_machine_undo_apply(), of the last apply of those. */
gboolean sandbox_host_undo_saved_apply (SandboxHost *host, const char *saved, const char *share,
                                        guint *ret_undone, guint *ret_left,
                                        GCancellable *cancellable, GError **error);

/* Makes the machine see this host's files again in place of the changes @chosen (as for apply;
 * @n_chosen indexes, %NULL: all). Through the machine's own file system: no process there loses
 * what it writes later. Of a machine that is off its next start does it, and they are no changes
 * until then, either, unless it has changed them again. A new directory stays that holds what is
 * not chosen, what is git's, or what came into it since. WRONG_STATE while it is suspended. */
gboolean sandbox_changes_discard (SandboxChanges *changes, const guint *chosen, gsize n_chosen,
                                  GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxChanges, sandbox_changes_unref)

G_END_DECLS
