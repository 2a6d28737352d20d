// SPDX-License-Identifier: LGPL-2.1-or-later
// The self-test of the network policy: what a hostile root in a machine really reaches, on this
// host, now.
#pragma once

#include <sandbox/machine.h>

G_BEGIN_DECLS

/**
 * SandboxVerifyOptions:
 * @struct_size: set by SANDBOX_VERIFY_OPTIONS_INIT
 * @inside: probe from the running machine itself instead of a fresh throwaway machine of the same
 * profile. Faster, and weaker: a machine that is hostile already cannot vouch for itself
 * @lan: (nullable): hosts of the LAN to ask, NULL-terminated "ADDRESS[:PORT]"; %NULL: this host's
 * default gateway
 * @internet: (nullable): hosts of the public internet, "ADDRESS[:PORT]" (port 443 unless given);
 * %NULL: none is asked
 * @metadata: (nullable): addresses at which a cloud has its metadata, "ADDRESS[:PORT]" (port 80);
 * %NULL: none is asked
 * @timeout_usec: how long each probe waits for an answer; 0: 3 s; at most 60 s
 */
typedef struct
{
  gsize struct_size;
  gboolean inside;
  const char *const *lan;
  const char *const *internet;
  const char *const *metadata;
  gint64 timeout_usec;
} SandboxVerifyOptions;
#define SANDBOX_VERIFY_OPTIONS_INIT                                                                \
  {                                                                                                \
    .struct_size = sizeof (SandboxVerifyOptions)                                                   \
  }

/**
 * SandboxVerdict:
 * @SANDBOX_VERDICT_PASS: found as the effective policy says
 * @SANDBOX_VERDICT_FAIL: found otherwise: the isolation has a hole, or something that is allowed
 * does not work
 * @SANDBOX_VERDICT_UNKNOWN: could not be judged; the text says why
 */
typedef enum
{
  SANDBOX_VERDICT_PASS,
  SANDBOX_VERDICT_FAIL,
  SANDBOX_VERDICT_UNKNOWN,
} SandboxVerdict;
/* "pass", "fail", "unknown", as in JSON output: stable, static. */
const char *sandbox_verdict_to_string (SandboxVerdict verdict);

/**
 * SandboxFinding: one property of one target
 * @id: stable identifier of the property, such as "host-addresses", "lan", "spoof-mac"
 * @property: the property in words
 * @target: what it was tried on: an address, a machine, a part of it
 * @expected: what the effective policy says, such as "closed", "open"
 * @found: what was found, in words; nothing in it came from the guest as it is
 * @verdict: see #SandboxVerdict
 */
typedef struct
{
  char *id, *property, *target, *expected, *found;
  SandboxVerdict verdict;
} SandboxFinding;
void sandbox_finding_free (SandboxFinding *finding);

/* Tries from inside, as root, what the machine's profile forbids, and what it allows; listeners of
 * the caller on this host judge what they can hear, whatever the guest says. Without
 * @options.inside a throwaway machine of the same profile, without its shares, is started and is
 * gone afterwards; the machine itself need not run. Besides the host's own addresses and, unless
 * @lan is given, its default gateway, nothing is sent anywhere that @options do not name.
 * %NULL only for failures of ours: a property that does not hold is a finding. WRONG_STATE with
 * @inside when the machine does not run, UNSUPPORTED when libvirt is on another host, INVALID for
 * an address that is none. (transfer full) (element-type SandboxFinding) */
GPtrArray *sandbox_machine_verify (SandboxMachine *machine, const SandboxVerifyOptions *options,
                                   SandboxProgressFunc progress, gpointer user_data,
                                   GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxFinding, sandbox_finding_free)

G_END_DECLS
