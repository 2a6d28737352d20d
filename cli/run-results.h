// SPDX-License-Identifier: LGPL-2.1-or-later
// What vms run --out names.
#pragma once

#include "context.h"

/* Before the machine is made: whether this host has a place for each. */
gboolean vms_results_check (SandboxHost *host, const VmsArgs *args, GError **error);
/* After the command, which ended with @status. What cannot be copied is told, and the machine is
 * kept with it (@ret_kept). The status for the whole; with @error when the command's own says
 * nothing of the failure. */
int vms_results_copy (VmsContext *context, SandboxHost *host, const VmsArgs *args,
                      SandboxMachine *machine, int status, gboolean *ret_kept, GError **error);
