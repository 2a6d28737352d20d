// SPDX-License-Identifier: LGPL-2.1-or-later
// Rules of the network policy as text: ports of the public internet, exceptions to closed ranges.
#pragma once

#include "base/units.h"

typedef enum
{
  SANDBOX_TCP,
  SANDBOX_UDP,
} SandboxProtocol;

typedef struct
{
  SandboxCidr net;
  SandboxPortRange ports; /* all: 1-65535 */
  SandboxProtocol protocol;
} SandboxNetRule;

/* Where the machines' own networks are taken from, the preferred one first. */
#define SANDBOX_N_MACHINE_RANGES 2
extern const SandboxCidr sandbox_machine_ranges[SANDBOX_N_MACHINE_RANGES];

/* "443/tcp", "8000-8010/udp"; its net is 0.0.0.0/0 */
gboolean sandbox_egress_parse (const char *item, SandboxNetRule *ret_rule, GError **error);
/* "10.0.0.5:5432/tcp", "10.0.0.0/24:80-90/tcp", "192.168.7.0/24/udp"; refuses what is never opened
 */
gboolean sandbox_allow_parse (const char *item, SandboxNetRule *ret_rule, GError **error);
/* As short as it can be written: "443/tcp" when the net is 0.0.0.0/0, else "10.0.0.5:5432/tcp".
 * (transfer full) */
char *sandbox_net_rule_format (const SandboxNetRule *rule);
