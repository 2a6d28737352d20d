// SPDX-License-Identifier: LGPL-2.1-or-later
// The host: one connection to libvirt plus the places where profiles and keys are kept.
#pragma once

#include <gio/gio.h>
#include <sandbox/error.h>
#include <sandbox/profile.h>
#include <sandbox/progress.h>

G_BEGIN_DECLS

typedef struct _SandboxHost SandboxHost;
typedef struct _SandboxMachine SandboxMachine;
typedef struct _SandboxPlan SandboxPlan;

#define SANDBOX_TYPE_HOST (sandbox_host_get_type ())
GType sandbox_host_get_type (void);

/**
 * SandboxHostOptions:
 * @struct_size: set by SANDBOX_HOST_OPTIONS_INIT
 * @uri: (nullable): libvirt URI; %NULL: "qemu:///system"
 * @state_dir: (nullable): keys, known_hosts, locks; %NULL: `$XDG_DATA_HOME/vms` (owner "vms") or
 * `$XDG_DATA_HOME/vms-OWNER`
 * @profiles: where profiles are read from; all %NULL: the defaults
 * @owner: (nullable): `[a-z][a-z0-9]{0,15}`; %NULL: "vms". Machines of one owner tag are not seen
 * by another.
 * @lock_wait_usec: how long to wait for another process that works on the same machine; -1 for
 * ever, 0 not at all
 */
typedef struct
{
  gsize struct_size;
  const char *uri;
  const char *state_dir;
  SandboxProfileDirs profiles;
  const char *owner;
  gint64 lock_wait_usec;
} SandboxHostOptions;
#define SANDBOX_HOST_OPTIONS_INIT                                                                  \
  {                                                                                                \
    .struct_size = sizeof (SandboxHostOptions), .profiles = SANDBOX_PROFILE_DIRS_INIT,             \
    .lock_wait_usec = -1                                                                           \
  }

/* Connects. May be used from several threads afterwards. The library runs programs (ssh,
 * ssh-keygen) and waits for each by its process id: a caller that ignores SIGCHLD, or reaps every
 * child with waitpid (-1), makes these calls fail. Errors: HOST, DENIED, INVALID. */
SandboxHost *
sandbox_host_open (const SandboxHostOptions *options, GCancellable *cancellable, GError **error);
SandboxHost *sandbox_host_ref (SandboxHost *host);
void sandbox_host_unref (SandboxHost *host);

/* The libvirt URI it is connected to; owned by @host. */
const char *sandbox_host_get_uri (SandboxHost *host);
/* Where keys, known_hosts and locks are kept: absolute, owned by @host; made when first needed. */
const char *sandbox_host_get_state_dir (SandboxHost *host);
/* What to give to the functions of profile.h for the profiles that @host uses; owned by @host. */
const SandboxProfileDirs *sandbox_host_get_profile_dirs (SandboxHost *host);

/* Whether vms-guard, which pauses machines that lose their packet filter rules, runs on this host
 * and answers: then its process number, else 0. Nobody but root can make this say so. Always 0 for
 * a libvirt that is elsewhere or libvirt's test driver. Waits a second at most. */
int sandbox_host_get_guard_pid (SandboxHost *host);

/**
 * SandboxPassphraseFunc:
 * @machine: name of the machine whose disk is encrypted
 * @fresh: the disk is made now: ask twice
 * @buffer: where the passphrase goes, @size bytes; it needs no NUL at its end. The library wipes it
 * @user_data: as given to sandbox_host_set_passphrase_func()
 * @cancellable: (nullable): of the verb that needs it
 *
 * Called in the thread of the verb that starts the machine, from several threads when machines are
 * started in several.
 *
 * Returns: how many bytes it wrote; -1 with @error set when there is no answer
 */
typedef gssize (*SandboxPassphraseFunc) (const char *machine, gboolean fresh, char *buffer,
                                         gsize size, gpointer user_data, GCancellable *cancellable,
                                         GError **error);
/* Who is asked when a machine with an encrypted disk (encrypt=yes) is started. @func (nullable):
 * nobody, and such a start fails with INVALID. Before the first start. */
void sandbox_host_set_passphrase_func (SandboxHost *host, SandboxPassphraseFunc func,
                                       gpointer user_data);

typedef enum
{
  SANDBOX_STATE_NEW, /* a profile, nothing in libvirt yet */
  SANDBOX_STATE_STOPPED,
  SANDBOX_STATE_RUNNING,
  SANDBOX_STATE_PAUSED,
  SANDBOX_STATE_STOPPING,
  SANDBOX_STATE_CRASHED,
  SANDBOX_STATE_INCOMPLETE, /* left half-made by a killed process; start repairs it, destroy removes
                               it */
  SANDBOX_STATE_SUSPENDED,  /* off, with its memory on disk: start goes on from there */
} SandboxState;
/* "running" and so on, as in JSON output: stable, static. */
const char *sandbox_state_to_string (SandboxState state);

/**
 * SandboxMachineInfo:
 * @name: machine name
 * @profile: what its profile inherits ("work"), "" if unknown
 * @problem: why its profile does not load; "" when it does
 * @uuid: UUID text
 * @state: see #SandboxState
 * @disk_bytes: bytes the machine's disk takes on the host; 0 unless asked for
 * @disk_limit_bytes: its virtual size; 0 unless asked for
 * @unapplied: as in #SandboxMachineStatus; static
 */
typedef struct
{
  char *name, *profile, *problem, *uuid;
  SandboxState state;
  guint64 disk_bytes, disk_limit_bytes;
  const char *unapplied;
} SandboxMachineInfo;
void sandbox_machine_info_free (SandboxMachineInfo *info);

typedef enum
{
  SANDBOX_LIST_DEFAULT = 0,
  SANDBOX_LIST_DISK = 1 << 0, /* fill in disk_bytes and disk_limit_bytes */
} SandboxListFlags;
/* The caller's machines, sorted by name; the number of libvirt calls does not depend on how many
 * there are. (transfer full) (element-type SandboxMachineInfo) */
GPtrArray *sandbox_host_list (SandboxHost *host, SandboxListFlags flags, GCancellable *cancellable,
                              GError **error);

/* The machine NAME; it need not exist yet in libvirt, but its profile, a shipped one included, must
 * (NOT_FOUND with the nearest name). */
SandboxMachine *sandbox_host_lookup (SandboxHost *host, const char *name, GCancellable *cancellable,
                                     GError **error);

/* Writes the profile of a new machine: inherits @profile, plus @shares (nullable, NULL-terminated
 * specs). EXISTS when taken. */
SandboxMachine *
sandbox_host_create (SandboxHost *host, const char *name, const char *profile,
                     const char *const *shares, GCancellable *cancellable, GError **error);

/**
 * SandboxRunOptions:
 * @struct_size: set by SANDBOX_RUN_OPTIONS_INIT
 * @profile: (nullable): what the machine is made from; %NULL: "ci"
 * @shares: (nullable): directories to share besides those of @profile, NULL-terminated specs
 * @network_mode: (nullable): "nat" or "none" instead of what @profile says; "none" also takes back
 * its egress= and allow=
 * @memory_bytes: instead of what @profile says, in whole MiB; 0: as it says
 * @start_timeout_usec: how long to wait for ssh; 0: 5 minutes
 * @no_build: fail with NOT_FOUND instead of building a missing image
 * @boot: boot, and do not go on from kept memory (start=)
 */
typedef struct
{
  gsize struct_size;
  const char *profile;
  const char *const *shares;
  const char *network_mode;
  guint64 memory_bytes;
  gint64 start_timeout_usec;
  gboolean no_build;
  gboolean boot;
} SandboxRunOptions;
#define SANDBOX_RUN_OPTIONS_INIT                                                                   \
  {                                                                                                \
    .struct_size = sizeof (SandboxRunOptions)                                                      \
  }
/* A throwaway machine, started, with a generated name; destroyed with its last reference. Of its
 * profile it leaves out what several machines cannot have, or what would stay: forward=, and shares
 * that are made when they are missing (drop boxes). One whose process is killed is removed by
 * sandbox_host_sweep() or sandbox_host_repair(). */
SandboxMachine *
sandbox_host_run (SandboxHost *host, const SandboxRunOptions *options, SandboxProgressFunc progress,
                  gpointer user_data, GCancellable *cancellable, GError **error);
/* Makes a throwaway machine one like others: it stays, with a profile of its name. WRONG_STATE when
 * it is none. A process that is killed in here leaves either a throwaway machine, which is then
 * removed with the profile, or one that is kept. */
gboolean sandbox_machine_keep (SandboxMachine *machine, GError **error);
/* Removes throwaway machines of the caller's whose process is gone; quick when there are none. What
 * somebody works on is left alone. */
gboolean sandbox_host_sweep (SandboxHost *host, GCancellable *cancellable, GError **error);

typedef enum
{
  SANDBOX_CHECK_GOOD,
  SANDBOX_CHECK_NOTE,    /* worth knowing */
  SANDBOX_CHECK_WARNING, /* something does not work, or a sandbox is weaker than it should be */
  SANDBOX_CHECK_ERROR,   /* no machine can be made, or none should be */
  SANDBOX_CHECK_UNKNOWN, /* this user cannot see it: neither good nor bad */
} SandboxCheckLevel;
/* "good" and so on, as in JSON output: stable, static. */
const char *sandbox_check_level_to_string (SandboxCheckLevel level);

/**
 * SandboxFixStep: one command of a fix
 * @argv: %NULL-terminated; nothing of it goes through a shell
 * @input: (nullable): what it reads from its standard input
 * @root: it needs root's rights
 */
typedef struct
{
  char **argv;
  char *input;
  gboolean root;
} SandboxFixStep;

/**
 * SandboxCheck: one line of sandbox_host_diagnose()
 * @id: stable identifier, such as "libvirt", "kvm", "pool", "image", "subid", "bridge-netfilter"
 * @level: a #SandboxCheckLevel
 * @text: what was found
 * @fix: (nullable): the command that fixes it, in words or for a shell
 * @steps: (nullable) (element-type SandboxFixStep): the same as commands for
 * sandbox_check_apply_fix(): only where that is safe to do, lasts, and may be done again
 */
typedef struct
{
  char *id;
  guint level;
  char *text, *fix;
  GPtrArray *steps;
} SandboxCheck;
void sandbox_check_free (SandboxCheck *check);
/* Works without a connection too: @options as for sandbox_host_open(). Comes back within two
 * minutes, also when libvirt does not answer. (element-type SandboxCheck) */
GPtrArray *sandbox_host_diagnose (const SandboxHostOptions *options, GCancellable *cancellable);
/* Runs the steps of @check, what needs root with sudo or pkexec when the caller is not root (they
 * may ask for a password on the terminal). Whether it helped, another diagnosis tells. Errors:
 * INVALID without steps, DENIED (with the commands for root) when there is neither, FAILED. */
gboolean
sandbox_check_apply_fix (const SandboxCheck *check, GCancellable *cancellable, GError **error);

/**
 * SandboxOrphan: something of ours that no machine needs
 * @kind: "domain", "network", "volume", "state", "lock", "keeper", "build"
 * @name: its name
 * @reason: why it is thought to be an orphan
 */
typedef struct
{
  char *kind, *name, *reason;
} SandboxOrphan;
void sandbox_orphan_free (SandboxOrphan *orphan);
/* Finds orphans of the caller's; removes them when @remove. (element-type SandboxOrphan) */
GPtrArray *sandbox_host_repair (SandboxHost *host, gboolean remove, SandboxProgressFunc progress,
                                gpointer user_data, GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxHost, sandbox_host_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxMachineInfo, sandbox_machine_info_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxCheck, sandbox_check_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxOrphan, sandbox_orphan_free)

G_END_DECLS
