// SPDX-License-Identifier: LGPL-2.1-or-later
// Forwarded ports: of the host's loopback into a machine, and services of the host's loopback
// offered in it.
#pragma once

#include <sandbox/machine.h>

G_BEGIN_DECLS

/**
 * SandboxForwardKind: which side listens
 * @SANDBOX_FORWARD_TO_GUEST: 127.0.0.1 of the host, and no other address of it (key forward)
 * @SANDBOX_FORWARD_TO_HOST: every address of the guest, for a service on the host's 127.0.0.1 (key
 * host)
 */
typedef enum
{
  SANDBOX_FORWARD_TO_GUEST,
  SANDBOX_FORWARD_TO_HOST,
} SandboxForwardKind;

/**
 * SandboxForwardState:
 * @SANDBOX_FORWARD_OFF: the machine does not run
 * @SANDBOX_FORWARD_WAITING: for the guest to answer ssh
 * @SANDBOX_FORWARD_LISTENING: all of its ports take connections
 * @SANDBOX_FORWARD_FAILED: at least one port does not; the reason says which and why. It is tried
 * again by itself
 */
typedef enum
{
  SANDBOX_FORWARD_OFF,
  SANDBOX_FORWARD_WAITING,
  SANDBOX_FORWARD_LISTENING,
  SANDBOX_FORWARD_FAILED,
} SandboxForwardState;
/* "off", "waiting", "listening", "failed". Static. */
const char *sandbox_forward_state_to_string (SandboxForwardState state);

/**
 * SandboxForward: one item of the lists
 * @spec: PORT, FIRST-LAST, or the same twice as HOST:GUEST; as short as it can be written
 * @until_usec: real time in microseconds since 1970 at which it ends; 0: it does not
 * @reason: why it failed; "" otherwise
 */
typedef struct
{
  SandboxForwardKind kind;
  char *spec;
  guint16 host_first, host_last, guest_first, guest_last;
  gint64 until_usec;
  SandboxForwardState state;
  char *reason;
} SandboxForward;
void sandbox_forward_free (SandboxForward *forward);

/**
 * SandboxForwardOptions:
 * @struct_size: set by SANDBOX_FORWARD_OPTIONS_INIT
 * @kind: which list
 * @for_usec: for that long, or until the machine stops; at most seven days. 0: for good, in the
 * machine's profile
 */
typedef struct
{
  gsize struct_size;
  SandboxForwardKind kind;
  gint64 for_usec;
} SandboxForwardOptions;
#define SANDBOX_FORWARD_OPTIONS_INIT                                                               \
  {                                                                                                \
    .struct_size = sizeof (SandboxForwardOptions)                                                  \
  }

/* What is forwarded, or would be after a start, in the order of the lists. Asks the guest which of
 * its ports listen. (transfer full) (element-type SandboxForward) */
GPtrArray *
sandbox_machine_list_forwards (SandboxMachine *machine, GCancellable *cancellable, GError **error);
/* @specs: NULL-terminated. Those that are there already stay. A running machine has them when this
 * returns, without a restart; one that is off with its next start. BUSY with the holder when a port
 * of the host is taken, UNSUPPORTED when the guest's sshd does not do it, WRONG_STATE for a time
 * limit on a machine that is off. Failure changes nothing, and what somebody else saves in the
 * profile meanwhile stays as it was saved. A process that is killed in here can leave @specs in the
 * profile without their being forwarded yet: the machine's next start does that, and
 * sandbox_machine_remove_forwards() takes them out. */
gboolean sandbox_machine_add_forwards (SandboxMachine *machine, const char *const *specs,
                                       const SandboxForwardOptions *options,
                                       GCancellable *cancellable, GError **error);
/* Each of @specs as it was added, also those with a time limit; NOT_FOUND when one is not there,
 * then none is removed. The connections through them end; so do those through other permanent
 * forwards of the same ssh process, which listens again at once. */
gboolean sandbox_machine_remove_forwards (SandboxMachine *machine, const char *const *specs,
                                          const SandboxForwardOptions *options,
                                          GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxForward, sandbox_forward_free)

G_END_DECLS
