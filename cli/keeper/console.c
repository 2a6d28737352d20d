// SPDX-License-Identifier: LGPL-2.1-or-later
// The boot console: what the guest writes there goes to a file of bounded size.
#include "keeper.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_NAME "console.log"
/* After a trim this much is left, so that trims are rare. */
#define LOG_KEEP         (SANDBOX_CONSOLE_LOG_MAX / 2)
#define RETRY_FIRST_USEC (200 * 1000)
#define RETRY_MAX_USEC   (5 * G_USEC_PER_SEC)

struct _KeeperConsole
{
  SandboxVirt *virt;
  const char *object;
  int state_fd, log_fd;
  gsize size;
  gboolean got_data;
  GCancellable *cancellable;
  GThread *thread;
};

static gboolean
open_log (KeeperConsole *console)
{
  struct stat st;

  console->log_fd = openat (console->state_fd, LOG_NAME,
                            O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (console->log_fd < 0 || fstat (console->log_fd, &st) < 0)
    return FALSE;
  console->size = (gsize)st.st_size;
  return TRUE;
}

/* Replaces the file with its own end: a reader sees the old or the new one, never less. */
static gboolean
trim (KeeperConsole *console)
{
  g_autofree char *data = g_malloc (LOG_KEEP);
  gsize keep = MIN (console->size, LOG_KEEP);
  gssize n = pread (console->log_fd, data, keep, (off_t)(console->size - keep));

  if (n < 0 || !sandbox_file_write_at (console->state_fd, LOG_NAME, data, (gsize)n, 0600, NULL))
    return FALSE;
  sandbox_close_fd (&console->log_fd);
  return open_log (console);
}

/* A full disk loses console output and nothing else. */
static gboolean
on_data (const char *data, gsize length, gpointer user_data)
{
  KeeperConsole *console = user_data;

  console->got_data = TRUE;
  while (length > 0)
    {
      gsize part = MIN (length, LOG_KEEP);
      gssize n;

      if (console->log_fd < 0 && !open_log (console))
        break;
      if (console->size + part > SANDBOX_CONSOLE_LOG_MAX && !trim (console))
        break;
      n = write (console->log_fd, data, part);
      if (n <= 0)
        break;
      console->size += (gsize)n;
      data += n;
      length -= (gsize)n;
    }
  return !g_cancellable_is_cancelled (console->cancellable);
}

/* It ends when libvirt restarts, or another client takes the console over: then it is asked for
 * again. */
static gpointer
console_thread (gpointer data)
{
  KeeperConsole *console = data;
  gint64 retry_usec = RETRY_FIRST_USEC;

  while (!g_cancellable_is_cancelled (console->cancellable))
    {
      console->got_data = FALSE;
      _sandbox_virt_console_read (console->virt, console->object, "serial0", on_data, console,
                                  console->cancellable, NULL);
      retry_usec = console->got_data ? RETRY_FIRST_USEC : MIN (2 * retry_usec, RETRY_MAX_USEC);
      _sandbox_pause (retry_usec, console->cancellable, NULL);
    }
  return NULL;
}

KeeperConsole *
keeper_console_start (SandboxVirt *virt, const char *object, int state_fd,
                      GCancellable *cancellable)
{
  KeeperConsole *console = g_new0 (KeeperConsole, 1);

  console->virt = virt;
  console->object = object;
  console->state_fd = state_fd;
  console->log_fd = -1;
  console->cancellable = cancellable;
  console->thread = g_thread_new ("console", console_thread, console);
  return console;
}

void
keeper_console_end (KeeperConsole *console)
{
  g_thread_join (console->thread);
  sandbox_close_fd (&console->log_fd);
  g_free (console);
}
