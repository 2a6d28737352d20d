// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the plan layer share with one another.
#pragma once

#include "plan/plan-private.h"

/* What is derived from (uid, owner, name) alone, so that a machine keeps it for life. */
typedef struct
{
  char bridge[16];  /* "vms" + 10 hex digits: fits the kernel's 15 bytes */
  char mac[18];     /* of the guest's network card */
  guint32 position; /* where the search for a subnet begins */
} SandboxDerived;
void _sandbox_identity_derive (guint uid, const char *owner, const char *name,
                               SandboxDerived *ret_derived);

/* A /29 that overlaps nothing in use, except what @bridge itself carries. Keeps @current (nullable)
 * while it can. HOST when all are taken. */
gboolean _sandbox_subnet_choose (const SandboxFacts *facts, const SandboxDerived *derived,
                                 const char *current, SandboxCidr *ret_subnet, GError **error);

/* What the guest may send where: the profile's network mode, its egress and allow lists, and what
 * is closed to every guest. */
gboolean _sandbox_policy_resolve (SandboxPlan *plan, SandboxProfile *profile,
                                  const SandboxFacts *facts, GError **error);

/* The profile's shares with every path made absolute and checked. */
gboolean _sandbox_plan_resolve_shares (SandboxPlan *plan, SandboxProfile *profile,
                                       const SandboxIdentity *identity, GError **error);

/* "FILE:LINE: [group] key=value", the beginning of every message about a profile. */
char *_sandbox_plan_where (SandboxProfile *profile, const char *group, const char *key);
