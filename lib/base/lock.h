// SPDX-License-Identifier: LGPL-2.1-or-later
// Advisory locks (of the open file description) that say who holds them and vanish with their
// holder.
#pragma once

#include <gio/gio.h>

typedef struct _SandboxLock SandboxLock;
/* @holder: for example "vms start work (pid 12)": told to those who wait. */
typedef void (*SandboxLockWaitFunc) (const char *holder, gpointer user_data);

/* Takes @name below @dir_fd exclusively. @wait_usec: -1 for ever, 0 not at all; BUSY names the
 * holder. @purpose: "start work". */
SandboxLock *sandbox_lock_acquire (int dir_fd, const char *name, const char *purpose,
                                   gint64 wait_usec, SandboxLockWaitFunc on_wait,
                                   gpointer user_data, GCancellable *cancellable, GError **error);
/* Who holds it, NULL when nobody. (transfer full) */
char *sandbox_lock_holder (int dir_fd, const char *name, pid_t *ret_pid);
/* TRUE also when that cannot be found out; FALSE: nobody holds it, or there is no such file. */
gboolean sandbox_lock_is_held (int dir_fd, const char *name);
/* A descriptor that is readable once another process, or we ourselves, opened the file: somebody
 * waits for the lock, or asks who holds it. -1: there is no telling. */
int sandbox_lock_watch (const SandboxLock *lock);
/* Unlinks the file and lets go. */
void sandbox_lock_remove (SandboxLock *lock);
/* Lets go, the file stays. */
void sandbox_lock_release (SandboxLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxLock, sandbox_lock_release)
