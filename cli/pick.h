// SPDX-License-Identifier: LGPL-2.1-or-later
// apply --interactive.
#pragma once

#include "context.h"
#include "review.h"

/* Asks about each of @chosen (indexes, of guint) that @is_open says could be applied; the others
 * stay in. NULL with @error when interrupted. (transfer full) */
GArray *vms_pick (VmsContext *context, SandboxChanges *changes, const GArray *chosen,
                  gboolean (*is_open) (const SandboxChange *change, gconstpointer data),
                  gconstpointer data, GError **error);
