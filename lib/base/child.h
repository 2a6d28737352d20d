// SPDX-License-Identifier: LGPL-2.1-or-later
// Child processes: no signal handlers, no main loop, only our own children reaped (pidfd and
// waitpid of one pid).
#pragma once

#include <gio/gio.h>

/**
 * SandboxChildOptions:
 * @argv: NULL-terminated; argv[0] is looked up in PATH
 * @env: (nullable): whole environment; NULL: the caller's
 * @stdin_fd, @stdout_fd, @stderr_fd: -1: /dev/null
 * @timeout_usec: for sandbox_child_run_lines(); 0: none
 * @cwd: NULL: "/", never the directory that the caller happens to be in
 * @new_group: give it a process group of its own, killed as a whole on timeout and cancellation
 */
typedef struct
{
  const char *const *argv;
  const char *const *env;
  int stdin_fd, stdout_fd, stderr_fd;
  gboolean new_group;
  gint64 timeout_usec;
  const char *cwd;
} SandboxChildOptions;
#define SANDBOX_CHILD_OPTIONS_INIT                                                                 \
  {                                                                                                \
    .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1                                               \
  }

gboolean sandbox_child_spawn (const SandboxChildOptions *options, pid_t *ret_pid, GError **error);
/* @timeout_usec 0: none. On timeout (TIMED_OUT) or cancellation: TERM, then KILL after 2 s, reaped;
 * a child that has become another user's (sudo) is left to itself after these 2 s, and says so.
 * @ret_status: 0..255, 128+signal. */
gboolean sandbox_child_wait (pid_t pid, gboolean group, gint64 timeout_usec,
                             GCancellable *cancellable, int *ret_status, GError **error);
/* Runs to the end. @ret_stdout, @ret_stderr (nullable): texts of at most @max bytes each. FALSE if
 * it could not run; a non-zero status is returned in @ret_status, or is an error with the first
 * line of stderr when @ret_status is NULL. */
gboolean sandbox_child_run (const SandboxChildOptions *options, gint64 timeout_usec, gsize max,
                            GCancellable *cancellable, char **ret_stdout, char **ret_stderr,
                            int *ret_status, GError **error);
/* Lines of stdout to @func as they come (long builds); the end of stderr is kept for the error
 * text. */
typedef void (*SandboxLineFunc) (const char *line, gpointer user_data);
gboolean sandbox_child_run_lines (const SandboxChildOptions *options, SandboxLineFunc func,
                                  gpointer user_data, GCancellable *cancellable, int *ret_status,
                                  char **ret_stderr_tail, GError **error);
/* Starts a process that outlives us: double fork, own session, no inherited descriptors, stdio
 * /dev/null (stderr: @stderr_fd). */
gboolean sandbox_child_daemon (const SandboxChildOptions *options, GError **error);
