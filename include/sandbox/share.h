// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared directories of a machine, running or not: list, add, remove.
#pragma once

#include <sandbox/machine.h>

G_BEGIN_DECLS

/**
 * SandboxShareState:
 * @SANDBOX_SHARE_OFF: the machine does not run, or was started before the share was put into its
 * profile: it has it with its next start
 * @SANDBOX_SHARE_MOUNTED: it has it, and says that it is mounted
 * @SANDBOX_SHARE_NOT_MOUNTED: it could reach the directory, but says that it is not mounted
 * @SANDBOX_SHARE_UNKNOWN: it could not be asked
 */
typedef enum
{
  SANDBOX_SHARE_OFF,
  SANDBOX_SHARE_MOUNTED,
  SANDBOX_SHARE_NOT_MOUNTED,
  SANDBOX_SHARE_UNKNOWN,
} SandboxShareState;
/* "off", "mounted", "not-mounted", "unknown", as in JSON output: stable, static. */
const char *sandbox_share_state_to_string (SandboxShareState state);

/**
 * SandboxShare:
 * @name: in the machine's profile, and for `vms diff` and the others
 * @source: absolute, on this host
 * @target: absolute, in the machine
 * @mode: "review", "rw" or "ro"
 * @until_usec: real time in microseconds since 1970 when it ends; 0: no time limit
 * @in_profile: the machine has it after its next start, too
 * @reason: why it is not mounted; "" when there is nothing to say
 */
typedef struct
{
  char *name, *source, *target, *mode;
  gint64 until_usec;
  gboolean in_profile;
  SandboxShareState state;
  char *reason;
} SandboxShare;
void sandbox_share_free (SandboxShare *share);

/**
 * SandboxAddShareOptions:
 * @struct_size: set by SANDBOX_ADD_SHARE_OPTIONS_INIT
 * @for_usec: for that long, or until the machine stops; at most seven days. 0: for good, in the
 * machine's profile
 */
typedef struct
{
  gsize struct_size;
  gint64 for_usec;
} SandboxAddShareOptions;
#define SANDBOX_ADD_SHARE_OPTIONS_INIT                                                             \
  {                                                                                                \
    .struct_size = sizeof (SandboxAddShareOptions)                                                 \
  }

/**
 * SandboxRemoveShareOptions:
 * @struct_size: set by SANDBOX_REMOVE_SHARE_OPTIONS_INIT
 * @force: also while processes in the machine work in it: what they do there then fails
 * @discard_changes: mode review: what the machine changed there and nobody applied is thrown away
 */
typedef struct
{
  gsize struct_size;
  gboolean force, discard_changes;
} SandboxRemoveShareOptions;
#define SANDBOX_REMOVE_SHARE_OPTIONS_INIT                                                          \
  {                                                                                                \
    .struct_size = sizeof (SandboxRemoveShareOptions)                                              \
  }

/* What a machine shares, or would after a start, sorted by name. Asks a running one what is
 * mounted. (transfer full) (element-type SandboxShare) */
GPtrArray *
sandbox_machine_list_shares (SandboxMachine *machine, GCancellable *cancellable, GError **error);
/* @spec: "DIR[:TARGET][,OPTION...]" as for sandbox_profile_add_share(). A running
 * machine has it mounted when this returns, one that is off with its next start. INVALID for a
 * directory that may not be shared, and when the machine has no room for one more while it runs;
 * EXISTS when the directory is shared in another way already, or the machine still has changes of
 * an earlier share of that name; GUEST when the machine does not mount it; WRONG_STATE for a time
 * limit on a machine that is off. Failure leaves nothing. *@ret_name (nullable): (transfer full).
 */
gboolean sandbox_machine_add_share (SandboxMachine *machine, const char *spec,
                                    const SandboxAddShareOptions *options,
                                    SandboxProgressFunc progress, gpointer user_data,
                                    GCancellable *cancellable, char **ret_name, GError **error);
/* @share: its name or its directory. It is unmounted, and its device detached: when this returns
 * the machine cannot reach the directory any more. BUSY, with nothing done, when processes of the
 * machine hold it; WRONG_STATE, with nothing done, when there are changes that were not applied;
 * INVALID when the profile inherits it; TIMED_OUT when the machine does not let go of the device:
 * then the directory is still shared. NOT_FOUND. */
gboolean sandbox_machine_remove_share (SandboxMachine *machine, const char *share,
                                       const SandboxRemoveShareOptions *options,
                                       GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxShare, sandbox_share_free)

G_END_DECLS
