// SPDX-License-Identifier: LGPL-2.1-or-later
// Commits that were made in a machine, brought into the host's repository as objects and refs.
#pragma once

#include <sandbox/machine.h>

G_BEGIN_DECLS

/* What a pull takes of a machine, unless told otherwise. */
#define SANDBOX_PULL_MAX_BYTES (G_GUINT64_CONSTANT (512) * 1024 * 1024)

/**
 * SandboxPullOptions:
 * @struct_size: set by SANDBOX_PULL_OPTIONS_INIT
 * @share: (nullable): name of the share, or "NAME/DIRECTORY" for a repository within it; %NULL: the
 * only one of the machine's shares that is a git repository
 * @max_bytes: how much the machine may send; 0: SANDBOX_PULL_MAX_BYTES
 * @dry_run: look, and change nothing
 */
typedef struct
{
  gsize struct_size;
  const char *share;
  guint64 max_bytes;
  gboolean dry_run;
} SandboxPullOptions;
#define SANDBOX_PULL_OPTIONS_INIT                                                                  \
  {                                                                                                \
    .struct_size = sizeof (SandboxPullOptions)                                                     \
  }

/**
 * SandboxPullState:
 * @SANDBOX_PULL_NEW: the ref was not there
 * @SANDBOX_PULL_UPDATED: its old commit is in the history of the new one
 * @SANDBOX_PULL_REWRITTEN: it is not
 */
typedef enum
{
  SANDBOX_PULL_NEW,
  SANDBOX_PULL_UPDATED,
  SANDBOX_PULL_REWRITTEN,
} SandboxPullState;
/* "new", "updated", "rewritten". Static. */
const char *sandbox_pull_state_to_string (SandboxPullState state);

/**
 * SandboxPullRef: one branch of the machine's
 * @ref: "refs/vms/MACHINE/BRANCH"; its name is the machine's choice, but plain text and no option.
 * A shell takes more than letters in it as something else: quote it
 * @id: object name of its commit; @old_id: of the one it had before, "" when new
 * @commits: how many it brings that none of the host's refs has
 */
typedef struct
{
  char *ref, *id, *old_id;
  SandboxPullState state;
  guint64 commits;
} SandboxPullRef;

/**
 * SandboxPullCommit:
 * @author, @subject: as the machine wrote them: valid UTF-8, but not fit for a terminal
 * @time_sec: seconds since 1970, as the machine says
 */
typedef struct
{
  char *id, *author, *subject;
  gint64 time_sec;
} SandboxPullCommit;

/**
 * SandboxPullFile: a changed file on which programs of the host act when it lies in the tree
 * @path: as the machine wrote it, any bytes but NUL
 * @reason: what it does, for people
 */
typedef struct
{
  char *path, *reason;
} SandboxPullFile;

/**
 * SandboxPull: what came, or would come
 * @share: the share's name; @repository: path of the host's repository
 * @refs: (element-type SandboxPullRef): none when the machine has no commit that the host lacks
 * @commits: (element-type SandboxPullCommit): the newest ones, at most 200
 * @files: (element-type SandboxPullFile): of the changed ones, those that merging would let run
 * something; compared with what each branch has in common with the host's HEAD
 * @n_commits, @n_files: all commits, all changed files
 */
typedef struct
{
  char *share, *repository;
  GPtrArray *refs, *commits, *files;
  guint64 n_commits, n_files;
} SandboxPull;
void sandbox_pull_free (SandboxPull *pull);

/**
 * sandbox_machine_pull:
 * @options: (nullable): %NULL: the defaults
 *
 * Brings the commits of all branches of the guest's repository at the share's target, as far as the
 * host has them not, into refs/vms/MACHINE/ of the host's repository at the share's source. Touches
 * no other ref, no working tree, index, configuration or hook, and runs nothing that the repository
 * or the guest names. What was pulled earlier stays, also when its branch is gone in the guest.
 *
 * NOT_FOUND when there is no such share or no repository, UNSUPPORTED for a repository whose parts
 * lie elsewhere (worktrees, alternates) or that keeps its refs in a reftable, GUEST when what the
 * guest sent was refused (then nothing has changed), WRONG_STATE when it does not run, BUSY when
 * another pull is at work.
 *
 * Returns: (transfer full): what came
 */
SandboxPull *sandbox_machine_pull (SandboxMachine *machine, const SandboxPullOptions *options,
                                   SandboxProgressFunc progress, gpointer user_data,
                                   GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxPull, sandbox_pull_free)

G_END_DECLS
