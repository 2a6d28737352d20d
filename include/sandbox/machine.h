// SPDX-License-Identifier: LGPL-2.1-or-later
// Machines: start, use, stop and remove one named VM.
#pragma once

#include <sandbox/host.h>
#include <sandbox/plan.h>

G_BEGIN_DECLS

#define SANDBOX_TYPE_MACHINE (sandbox_machine_get_type ())
GType sandbox_machine_get_type (void);

SandboxMachine *sandbox_machine_ref (SandboxMachine *machine);
void sandbox_machine_unref (SandboxMachine *machine);
/* Its name, without user and owner tag; owned by @machine. */
const char *sandbox_machine_get_name (SandboxMachine *machine);
/* The host that it was looked up on; owned by @machine. */
SandboxHost *sandbox_machine_get_host (SandboxMachine *machine);

/**
 * SandboxStartOptions:
 * @struct_size: set by SANDBOX_START_OPTIONS_INIT
 * @shares: (nullable): further shares, NULL-terminated specs; kept in the machine's profile
 * @timeout_usec: how long to wait for ssh; 0: 5 minutes
 * @no_build: fail with NOT_FOUND instead of building a missing image
 * @boot: boot a machine that would go on from kept memory (start=warm)
 * @wait_port: wait, too, until something in the machine listens on this TCP port, no longer than
 * @timeout_usec once more: TIMED_OUT, and the machine runs; 0: do not
 */
typedef struct
{
  gsize struct_size;
  const char *const *shares;
  gint64 timeout_usec;
  gboolean no_build;
  gboolean boot;
  guint16 wait_port;
} SandboxStartOptions;
#define SANDBOX_START_OPTIONS_INIT                                                                 \
  {                                                                                                \
    .struct_size = sizeof (SandboxStartOptions)                                                    \
  }

/* What start would define now; @ret_changes (nullable out): how it differs from what is defined, ""
 * when not at all. With @options also what a start with them would say before it makes anything:
 * BUSY when a port that it forwards is taken, INVALID when a machine without a disk yet cannot be
 * provisioned; and which layers its disk would stand on. */
SandboxPlan *sandbox_machine_plan (SandboxMachine *machine, const SandboxStartOptions *options,
                                   char **ret_changes, GCancellable *cancellable, GError **error);
/* Makes what is missing, boots, waits until ssh works and the shares are mounted. A running
 * machine: repairs keeper and state, succeeds. Failure undoes what was done (a guest that does not
 * answer is left running: TIMED_OUT). */
gboolean sandbox_machine_start (SandboxMachine *machine, const SandboxStartOptions *options,
                                SandboxProgressFunc progress, gpointer user_data,
                                GCancellable *cancellable, GError **error);
/* Asks the guest to power off; after @timeout_usec (0: 2 minutes) TIMED_OUT, or with @force pulls
 * the plug. Stopped: succeeds. */
gboolean sandbox_machine_stop (SandboxMachine *machine, gboolean force, gint64 timeout_usec,
                               SandboxProgressFunc progress, gpointer user_data,
                               GCancellable *cancellable, GError **error);
/**
 * SandboxSuspendOptions:
 * @struct_size: set by SANDBOX_SUSPEND_OPTIONS_INIT
 * @to_memory: pause it only: it stays in this host's memory, with its shares
 */
typedef struct
{
  gsize struct_size;
  gboolean to_memory;
} SandboxSuspendOptions;
#define SANDBOX_SUSPEND_OPTIONS_INIT                                                               \
  {                                                                                                \
    .struct_size = sizeof (SandboxSuspendOptions)                                                  \
  }
/* Writes a running machine's memory to the storage pool and switches it off; its shares are taken
 * from it before. BUSY, with nothing done, when processes of the guest work in one: the message
 * names them. Suspended: succeeds. Until it goes on, what would change its disk is WRONG_STATE. */
gboolean sandbox_machine_suspend (SandboxMachine *machine, const SandboxSuspendOptions *options,
                                  SandboxProgressFunc progress, gpointer user_data,
                                  GCancellable *cancellable, GError **error);
/* It goes on where it was, with network and shares checked as by a start, and with the time of this
 * host; so does sandbox_machine_start(). @timeout_usec: how long to wait for ssh; 0: 5 minutes.
 * FAILED when its memory does not fit this host any more: then it stays as it is. Running:
 * succeeds; WRONG_STATE for one that is off otherwise. */
gboolean
sandbox_machine_resume (SandboxMachine *machine, gint64 timeout_usec, SandboxProgressFunc progress,
                        gpointer user_data, GCancellable *cancellable, GError **error);
/* Removes domain, disk with all snapshots, network, keys; the profile too when @remove_profile.
 * Shared directories stay. Nothing there: succeeds. */
gboolean sandbox_machine_destroy (SandboxMachine *machine, gboolean remove_profile,
                                  SandboxProgressFunc progress, gpointer user_data,
                                  GCancellable *cancellable, GError **error);
/* Fresh disk from the newest image, without snapshots, same identity (keys, address); started again
 * if it ran. */
gboolean sandbox_machine_recreate (SandboxMachine *machine, SandboxProgressFunc progress,
                                   gpointer user_data, GCancellable *cancellable, GError **error);
/* The same with options of a start; @options: no shares. */
gboolean sandbox_machine_recreate_with (SandboxMachine *machine, const SandboxStartOptions *options,
                                        SandboxProgressFunc progress, gpointer user_data,
                                        GCancellable *cancellable, GError **error);
/* A stopped machine's disk and profile under a new name and identity. */
SandboxMachine *
sandbox_machine_clone (SandboxMachine *machine, const char *new_name, SandboxProgressFunc progress,
                       gpointer user_data, GCancellable *cancellable, GError **error);

/* Identifiers of the steps of "start", "stop", "destroy", "recreate", "clone", "snapshot-create",
 * "snapshot-delete", "revert", "warm-capture", "warm-start", "suspend" or "resume", in the order in
 * which progress reports them as phases; NULL for another verb. (array zero-terminated=1)
 * (nullable) Static. */
const char *const *sandbox_machine_step_ids (const char *verb);

/**
 * SandboxStalePath:
 * @path: in the machine, as the machine says
 * @process, @pid: what there has it open, or works in it
 *
 * What a machine goes on seeing as it was before it changed on the host, or as a "Stale file
 * handle", until that process lets it go.
 */
typedef struct
{
  char *path, *process;
  gint pid;
} SandboxStalePath;

/**
 * SandboxShareStatus: one share of a #SandboxMachineStatus
 * @edits: how a running machine comes to see what changes on the host, when that takes more than
 * looking (mode "review"): "watched" (within two seconds), "periodic" (the same, at the expense of
 * speed in the machine: the directory is too large to be watched, or of a kind that cannot be) or
 * "unseen"; "" for others
 * @edits_reason: why, when it is not "watched"
 * @until_usec: real time when it ends; 0: no time limit
 * @problem: why it is not there in a machine that runs, as far as known: of one that came meanwhile
 * why it is not mounted, of any that its virtiofsd on the host has ended; "" for nothing.
 * sandbox_machine_list_shares() asks the machine
 * @own_copies: (element-type utf8): mode "review": what was applied or discarded, and was changed
 * on this host since: the machine goes on seeing a copy of its own there until its next start.
 * Paths from the shared directory on, fit for a terminal, at most 1000
 * @foreign: (element-type utf8): the first few files in the directory that belong to others on this
 * host, and to nobody in the machine, as found when it was started; fit for a terminal
 * @n_foreign: how many there were
 * @foreign_partly: there may be more: the directory was too large to look at all of it
 */
typedef struct
{
  char *name, *source, *target, *mode;
  char *edits, *edits_reason;
  GPtrArray *stale; /* (element-type SandboxStalePath) */
  gint64 until_usec;
  char *problem;
  GPtrArray *own_copies, *foreign;
  guint n_foreign;
  gboolean foreign_partly;
} SandboxShareStatus;

/**
 * SandboxMachineStatus:
 * All strings are never %NULL, "" when not known. Times in microseconds, sizes in bytes.
 * @changes: how the profile differs from what is defined; "" when not
 * @problem: what is wrong with its profile; "" when nothing
 * @disk_bytes: of all layers of its disk, snapshots included
 * @reaches: the network policy that it was started with, or would be, in words, such as "the public
 * internet; no LAN, not other machines, no IPv6"; what @forwards offer comes on top
 * @started: of one that runs: "boot", or "warm" when it went on from kept memory; "" else
 * @keeper_pid: 0 when none runs
 * @snapshots: how many there are
 * @paused: why it is paused: "disk-full" (the host's disk: make room, then start it),
 * "disk-error", "suspended" (by sandbox_machine_suspend() to memory), "merging" (for the moment
 * in which merged layers of its disk are written out), "other" (vms-guard, or somebody); "" while
 * it is not; static
 * @unapplied: whether a machine that does not run holds changes in shares for review that were not
 * applied: "none", "some" or "unknown" (it was not stopped by us, did not answer then, or an apply
 * was undone since; reading them tells). "" while it runs, and when it never had such a share
 * @encrypted: whether its disk is encrypted, or would be made so
 * @layers: of provisioning, on which its disk stands, the topmost first; empty: it stands on the
 * image. @provision_changed: its profile provisions something else by now
 * @forwards: what is forwarded, or would be after a start; whether it works is not looked at, so
 * the states are all "off": see sandbox_machine_list_forwards()
 */
typedef struct
{
  char *name, *profile, *uuid, *object;
  SandboxState state;
  char *accel, *accel_reason, *address, *user, *image, *changes, *problem;
  guint cpus;
  guint64 memory_bytes, disk_bytes, disk_limit_bytes;
  gint keeper_pid;
  gboolean ssh_ready;
  GPtrArray *shares;   /* (element-type SandboxShareStatus) */
  GPtrArray *forwards; /* (element-type SandboxForward) */
  guint snapshots;
  const char *unapplied; /* static */
  const char *paused;    /* static */
  const char *started;   /* static */
  char *reaches;
  gboolean encrypted, provision_changed;
  char **layers; /* (array zero-terminated=1) */
} SandboxMachineStatus;
void sandbox_machine_status_free (SandboxMachineStatus *status);
/* Works for a machine that was never started, too, and for one whose profile has a mistake in it
 * (then @problem says which). (transfer full) */
SandboxMachineStatus *
sandbox_machine_get_status (SandboxMachine *machine, GCancellable *cancellable, GError **error);

/**
 * SandboxExecOptions:
 * @struct_size: set by SANDBOX_EXEC_OPTIONS_INIT
 * @argv: NULL-terminated; run without a shell's interpretation. %NULL: the login shell
 * @cwd: (nullable): directory in the guest; %NULL: home
 * @env: (nullable): "NAME=VALUE" strings, each NAME of letters, digits and _. They stand in no
 *   process's arguments. A machine that an older version started does not take them: the command
 *   is not run, says so on @stderr_fd, and the status is 125
 * @stdin_fd, @stdout_fd, @stderr_fd: descriptors of the caller that the command uses; -1: /dev/null
 * @pty: allocate a terminal in the guest
 * @timeout_usec: 0: none
 */
typedef struct
{
  gsize struct_size;
  const char *const *argv;
  const char *cwd;
  const char *const *env;
  int stdin_fd, stdout_fd, stderr_fd;
  gboolean pty;
  gint64 timeout_usec;
} SandboxExecOptions;
#define SANDBOX_EXEC_OPTIONS_INIT                                                                  \
  {                                                                                                \
    .struct_size = sizeof (SandboxExecOptions), .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1   \
  }
/* @ret_status: exit status of the command, 128+signal when a signal ended it. FALSE only for
 * failures of ours. */
gboolean sandbox_machine_exec (SandboxMachine *machine, const SandboxExecOptions *options,
                               GCancellable *cancellable, int *ret_status, GError **error);
/* What the profile says about starting a stopped machine for a command (start-on-exec). */
gboolean
sandbox_machine_starts_on_exec (SandboxMachine *machine, gboolean *ret_starts, GError **error);
/* argv for execvp() of an ssh client that talks to the machine and to nothing else; @command
 * (nullable) as exec's argv. */
char **sandbox_machine_ssh_argv (SandboxMachine *machine, const char *const *command, gboolean pty,
                                 GCancellable *cancellable, GError **error);
/* Where @host_dir (absolute) is seen in the guest when it lies in a share; NULL without error when
 * it does not. */
char *sandbox_machine_map_path (SandboxMachine *machine, const char *host_dir, GError **error);

typedef enum
{
  SANDBOX_COPY_DEFAULT = 0,
  SANDBOX_COPY_OVERWRITE = 1 << 0,
} SandboxCopyFlags;
/* Recursive. A link that is named itself is refused. */
gboolean
sandbox_machine_copy_in (SandboxMachine *machine, const char *host_path, const char *guest_path,
                         SandboxCopyFlags flags, SandboxProgressFunc progress, gpointer user_data,
                         GCancellable *cancellable, GError **error);
/* The other way; what the guest sends is taken as hostile. Device nodes, pipes and names with
 * control characters are refused. Of symbolic links those are made that are relative and lead to
 * something in the same tree; the others are left out, which @progress is told as the phase
 * "links". EXISTS unless @flags say to overwrite. */
gboolean
sandbox_machine_copy_out (SandboxMachine *machine, const char *guest_path, const char *host_path,
                          SandboxCopyFlags flags, SandboxProgressFunc progress, gpointer user_data,
                          GCancellable *cancellable, GError **error);

/* What sandbox_machine_copy_out() would call the copy, to be asked before what is to be copied is
 * there: NULL with its error when @host_path (absolute) has no place for it, or one that the caller
 * cannot write to. (transfer full) */
char *sandbox_host_copy_target (SandboxHost *host, const char *guest_path, const char *host_path,
                                SandboxCopyFlags flags, GError **error);

/* The guest's own public key (its identity towards git servers), one line without newline. */
char *sandbox_machine_public_key (SandboxMachine *machine, GError **error);
/* The block for ~/.ssh/config of this machine. */
char *sandbox_machine_ssh_config (SandboxMachine *machine, GError **error);
/* All of the host's machines; refreshes the file that an Include line may name; @ret_path: that
 * file. */
char *sandbox_host_ssh_config (SandboxHost *host, char **ret_path, GError **error);
/* Adds the one Include line to ~/.ssh/config, when it is not there yet. EXISTS when an alias of
 * ours is taken there. */
gboolean sandbox_host_ssh_config_install (SandboxHost *host, gboolean *ret_changed, GError **error);

/* The last @max_bytes of the boot console, escaped for a terminal. */
char *sandbox_machine_read_log (SandboxMachine *machine, gsize max_bytes, GError **error);
/* Attaches the descriptors to the interactive console until ^] or end of input. The caller sets the
 * terminal to raw mode. */
gboolean sandbox_machine_console (SandboxMachine *machine, int in_fd, int out_fd,
                                  GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxMachine, sandbox_machine_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxMachineStatus, sandbox_machine_status_free)

G_END_DECLS
