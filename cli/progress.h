// SPDX-License-Identifier: LGPL-2.1-or-later
// Shows what long operations are doing: one live line on a terminal, one line per phase elsewhere.
#pragma once

#include "context.h"

typedef struct _VmsProgress VmsProgress;

/* @object: what is worked on. @live: may use a live line (only one at a time may). */
VmsProgress *vms_progress_new (VmsContext *context, const char *object, gboolean live);
/* What it says waits, or goes on: something is asked on the terminal. */
void vms_progress_hold (gboolean hold);
/* Wipes the live line. */
void vms_progress_free (VmsProgress *progress);
/* For the library; @user_data is the #VmsProgress. */
void vms_progress_update (const SandboxProgress *update, gpointer user_data);
/* Time since it was made, for people. (transfer full) */
char *vms_progress_elapsed (VmsProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmsProgress, vms_progress_free)
/* The last word of the operation, "NAME: ..." on stderr unless --quiet; wipes the live line. */
void vms_progress_done (VmsProgress *progress, const char *format, ...) G_GNUC_PRINTF (2, 3);
