// SPDX-License-Identifier: LGPL-2.1-or-later
// How every long operation reports what it is doing.
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

/**
 * SandboxProgress:
 * @object: name of the machine or image that is worked on
 * @phase: short stable identifier of the phase, such as "network", "boot", "bootstrap"
 * @note: one line for people about what is being done or waited for; never %NULL, escaped text
 * @done: how far the phase is, in a unit of its own; 0 at its beginning
 * @total: the value of @done at the end of the phase, 0 when unknown
 *
 * Valid only during the callback.
 */
typedef struct
{
  const char *object;
  const char *phase;
  const char *note;
  guint64 done;
  guint64 total;
} SandboxProgress;

/**
 * SandboxProgressFunc:
 * @progress: what is going on
 * @user_data: the pointer given with the function
 *
 * Called in the thread of the operation, at the beginning of each phase and when something changed.
 */
typedef void (*SandboxProgressFunc) (const SandboxProgress *progress, gpointer user_data);

G_END_DECLS
