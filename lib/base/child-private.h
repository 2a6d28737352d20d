// SPDX-License-Identifier: LGPL-2.1-or-later
// Waiting for a child while its pipes are emptied; shared by the files of base only.
#pragma once

#include "base/child.h"

#define SANDBOX_CHILD_PUMPS_MAX 2

/**
 * SandboxChildPump:
 * @fd: non-blocking read end; -1 when done
 * @func: reads until there is nothing more now; closes *@fd and makes it -1 at the end of the file
 */
typedef struct
{
  int *fd;
  void (*func) (int *fd, gpointer data);
  gpointer data;
} SandboxChildPump;

/* As sandbox_child_wait(). Ends when the child ends, even if another process still has the pipes
 * open (an ssh master does). */
gboolean _sandbox_child_wait_pumped (pid_t pid, gboolean group, gint64 timeout_usec,
                                     const SandboxChildPump *pumps, guint n_pumps,
                                     GCancellable *cancellable, int *ret_status, GError **error);
