// SPDX-License-Identifier: LGPL-2.1-or-later
// Plans: every decision made from profile, host facts and identity, before anything is done.
#pragma once

#include <sandbox/host.h>

G_BEGIN_DECLS

#define SANDBOX_TYPE_PLAN (sandbox_plan_get_type ())
GType sandbox_plan_get_type (void);

SandboxPlan *sandbox_plan_ref (SandboxPlan *plan);
void sandbox_plan_unref (SandboxPlan *plan);
/* What would be made, as lines "key: value" for people, safe for a terminal. Its wording may change
 * from version to version. (transfer full) */
char *sandbox_plan_describe (SandboxPlan *plan);
/* libvirt's XML of the domain that would be defined. (transfer full) */
char *sandbox_plan_domain_xml (SandboxPlan *plan);
/* libvirt's XML of the machine's own network. (transfer full) */
char *sandbox_plan_network_xml (SandboxPlan *plan);
/* libvirt's XML of the network filter that holds the machine to its network policy. (transfer full)
 */
char *sandbox_plan_filter_xml (SandboxPlan *plan);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxPlan, sandbox_plan_unref)

G_END_DECLS
