// SPDX-License-Identifier: LGPL-2.1-or-later
// The same for several machines at once.
#pragma once

#include "progress.h"

/* One machine's part of a verb. Called in a thread of its own when there are several. */
typedef gboolean (*VmsMachineFunc) (VmsContext *context, const VmsArgs *args, SandboxHost *host,
                                    const char *name, VmsProgress *progress, GError **error);

/* Calls @func for each operand, a name given twice once. Every failure is told; the status is that
 * of the first operand that failed. With one operand its failure is left to the caller in @error.
 */
int vms_for_each (VmsContext *context, const VmsArgs *args, VmsMachineFunc func, GError **error);
