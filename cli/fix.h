// SPDX-License-Identifier: LGPL-2.1-or-later
// vms doctor --fix: shows, asks, runs, and looks again.
#pragma once

#include "context.h"

/**
 * VmsFix: what became of the fix of one check
 * @id: of the check
 * @result: "shown" (--dry-run), "skipped" (you said no), "failed", "done" (looked again: it is good
 * now), "not-helped" (the commands ran, and it is still as it was)
 * @error: (nullable): why it failed
 */
typedef struct
{
  char *id;
  const char *result;
  char *error;
} VmsFix;

/* Runs the fixes of what is wrong in *@checks, then puts a new diagnosis into *@checks.
 * (element-type VmsFix) */
GPtrArray *vms_fix_checks (VmsContext *context, const VmsArgs *args,
                           const SandboxHostOptions *options, GPtrArray **checks, GError **error);
/* @fixes: (nullable) */
gboolean vms_fix_failed (GPtrArray *fixes);
