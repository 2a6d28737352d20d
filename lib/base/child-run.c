// SPDX-License-Identifier: LGPL-2.1-or-later
// Running a child to its end with its output collected, or handed on line by line.
#include "base/child-private.h"
#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES (64 * 1024)
#define TAIL_MAX_BYTES 4096

/* Where the bytes of one pipe go. */
typedef struct
{
  GString *text;
  gsize max;
  gboolean keep_tail; /* the last @max bytes instead of the first */
  SandboxLineFunc line_func;
  gpointer user_data;
} Sink;

static void
emit_lines (Sink *sink, gboolean at_end)
{
  char *newline;

  while ((newline = memchr (sink->text->str, '\n', sink->text->len)))
    {
      *newline = '\0';
      sink->line_func (sink->text->str, sink->user_data);
      g_string_erase (sink->text, 0, newline - sink->text->str + 1);
    }
  if (sink->text->len > LINE_MAX_BYTES || (at_end && sink->text->len > 0))
    {
      sink->line_func (sink->text->str, sink->user_data);
      g_string_truncate (sink->text, 0);
    }
}

static void
sink_take (Sink *sink, const char *data, gsize length)
{
  if (sink->line_func)
    {
      g_string_append_len (sink->text, data, (gssize)length);
      emit_lines (sink, FALSE);
    }
  else if (sink->keep_tail)
    {
      g_string_append_len (sink->text, data, (gssize)length);
      if (sink->text->len > sink->max)
        g_string_erase (sink->text, 0, (gssize)(sink->text->len - sink->max));
    }
  else /* the rest is read and dropped, so that the child does not wait for us */
    g_string_append_len (sink->text, data, (gssize)MIN (length, sink->max - sink->text->len));
}

static void
pump (int *fd, gpointer data)
{
  char block[16384];

  for (;;)
    {
      gssize n = read (*fd, block, sizeof block);

      if (n > 0)
        sink_take (data, block, (gsize)n);
      else if (n < 0 && errno == EINTR)
        continue;
      else if (n < 0 && errno == EAGAIN)
        return;
      else
        break;
    }
  sandbox_close_fd (fd);
}

static gboolean
make_pipe (int fds[2], GError **error)
{
  if (pipe2 (fds, O_CLOEXEC) < 0 || fcntl (fds[0], F_SETFL, O_NONBLOCK) < 0)
    return sandbox_fail_errno (error, errno, "making a pipe");
  return TRUE;
}

/* Runs @options with the sinks that are not NULL in place of its stdout and stderr. */
static gboolean
run_with_sinks (const SandboxChildOptions *options, Sink *out, Sink *err, gint64 timeout_usec,
                GCancellable *cancellable, int *ret_status, GError **error)
{
  SandboxChildOptions child = *options;
  Sink *sinks[2] = { out, err };
  int *child_fds[2] = { &child.stdout_fd, &child.stderr_fd };
  int read_fds[2] = { -1, -1 }, write_fds[2] = { -1, -1 };
  SandboxChildPump pumps[2];
  guint n_pumps = 0;
  pid_t pid = 0;
  gboolean ok = TRUE;

  for (guint i = 0; ok && i < 2; i++)
    {
      int fds[2] = { -1, -1 };

      if (!sinks[i])
        continue;
      ok = make_pipe (fds, error);
      read_fds[i] = fds[0];
      write_fds[i] = *child_fds[i] = fds[1];
      pumps[n_pumps++] = (SandboxChildPump){ &read_fds[i], pump, sinks[i] };
    }
  ok = ok && !g_cancellable_set_error_if_cancelled (cancellable, error)
       && sandbox_child_spawn (&child, &pid, error);
  sandbox_close_fd (&write_fds[0]);
  sandbox_close_fd (&write_fds[1]);
  ok = ok
       && _sandbox_child_wait_pumped (pid, options->new_group, timeout_usec, pumps, n_pumps,
                                      cancellable, ret_status, error);
  sandbox_close_fd (&read_fds[0]);
  sandbox_close_fd (&read_fds[1]);
  return ok;
}

/* The first line that says something, of what a failed program wrote to stderr. */
static gboolean
fail_status (GError **error, const SandboxChildOptions *options, int status, const char *text)
{
  g_autofree char *name = g_path_get_basename (options->argv[0]);
  g_autofree char *program = sandbox_escape (name, -1, 80);
  const char *start = text ? text + strspn (text, " \t\r\n") : "";
  g_autofree char *reason = sandbox_escape (start, (gssize)strcspn (start, "\r\n"), 400);

  return sandbox_fail (error, SANDBOX_ERROR_FAILED, "%s failed with status %d%s%s", program, status,
                       reason[0] ? ": " : "", reason);
}

gboolean
sandbox_child_run (const SandboxChildOptions *options, gint64 timeout_usec, gsize max,
                   GCancellable *cancellable, char **ret_stdout, char **ret_stderr, int *ret_status,
                   GError **error)
{
  g_autoptr (GString) out_text = g_string_new (NULL);
  g_autoptr (GString) err_text = g_string_new (NULL);
  Sink out = { .text = out_text, .max = max };
  Sink err = { .text = err_text, .max = ret_stderr ? max : TAIL_MAX_BYTES };
  /* when the status becomes an error, its text needs to know why */
  gboolean want_err = ret_stderr || (!ret_status && options->stderr_fd < 0);
  int status = 0;

  if (!run_with_sinks (options, ret_stdout ? &out : NULL, want_err ? &err : NULL, timeout_usec,
                       cancellable, &status, error))
    return FALSE;
  if (!ret_status && status != 0)
    return fail_status (error, options, status, err_text->str);
  if (ret_status)
    *ret_status = status;
  if (ret_stdout)
    *ret_stdout = g_string_free (g_steal_pointer (&out_text), FALSE);
  if (ret_stderr)
    *ret_stderr = g_string_free (g_steal_pointer (&err_text), FALSE);
  return TRUE;
}

gboolean
sandbox_child_run_lines (const SandboxChildOptions *options, SandboxLineFunc func,
                         gpointer user_data, GCancellable *cancellable, int *ret_status,
                         char **ret_stderr_tail, GError **error)
{
  g_autoptr (GString) line = g_string_new (NULL);
  g_autoptr (GString) tail = g_string_new (NULL);
  Sink out = { .text = line, .line_func = func, .user_data = user_data };
  Sink err = { .text = tail, .max = TAIL_MAX_BYTES, .keep_tail = TRUE };
  int status = 0;

  if (!run_with_sinks (options, &out, options->stderr_fd < 0 ? &err : NULL, options->timeout_usec,
                       cancellable, &status, error))
    return FALSE;
  emit_lines (&out, TRUE);
  if (!ret_status && status != 0)
    return fail_status (error, options, status, tail->str);
  if (ret_status)
    *ret_status = status;
  if (ret_stderr_tail)
    *ret_stderr_tail = g_string_free (g_steal_pointer (&tail), FALSE);
  return TRUE;
}
