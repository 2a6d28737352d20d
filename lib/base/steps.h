// SPDX-License-Identifier: LGPL-2.1-or-later
// Verbs as short lists of steps, each with its undo.
#pragma once

#include <gio/gio.h>

/**
 * SandboxStep:
 * @id: stable phase identifier
 * @note: (nullable): what is done, for people; %NULL: it tells itself when there is something to do
 * @run: does it; idempotent, so that a second start after a crash repairs
 * @undo: (nullable): takes back what @run did in this call; must not fail, is called in reverse
 * order when a later step fails
 */
typedef struct
{
  const char *id;
  const char *note;
  gboolean (*run) (gpointer context, GCancellable *cancellable, GError **error);
  void (*undo) (gpointer context);
} SandboxStep;

typedef void (*SandboxStepFunc) (const SandboxStep *step, gpointer user_data);

/* The same inside a step: @when is a word of its own. FALSE with @error: fail here. */
gboolean sandbox_fault_point (const char *verb, const char *step, const char *when, GError **error);

/* Runs them in order; on failure or cancellation undoes the finished ones and the failed one in
 * reverse and returns FALSE. For tests: SANDBOX_FAULT="VERB:STEP:before|after:kill|stop|fail" in
 * the environment kills this process (SIGKILL), stops it (SIGSTOP; it goes on with SIGCONT) or
 * fails there. */
gboolean sandbox_steps_run (const char *verb, const SandboxStep *steps, gsize n_steps,
                            gpointer context, SandboxStepFunc on_step, gpointer user_data,
                            GCancellable *cancellable, GError **error);
