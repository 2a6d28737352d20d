// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting a machine that is used while it is off, when its profile allows that.
#pragma once

#include "context.h"

/* To be called when using @machine failed with *@error. When that was because it is off and its
 * profile says start-on-exec=yes: clears *@error and starts it; TRUE then means "try again". Else
 * FALSE, with *@error as it was or as start left it. */
gboolean vms_autostart (VmsContext *context, SandboxMachine *machine, GError **error);
