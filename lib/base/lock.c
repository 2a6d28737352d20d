// SPDX-License-Identifier: LGPL-2.1-or-later
// Locks on files by open file description: the kernel drops them with the holder, and they can be
// asked about without being taken.
#include "base/lock.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_FIRST_USEC (5 * 1000)
#define POLL_MAX_USEC   (200 * 1000)
#define HOLDER_MAX      200

struct _SandboxLock
{
  int fd;
  int dir_fd;
  char *name;
};

static gboolean
try_lock (int fd)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  return fcntl (fd, F_OFD_SETLK, &lock) == 0;
}

/* Between our open and our lock the former holder may have unlinked the file: then we hold a lock
 * that nobody else can see. */
static gboolean
is_still_named (int fd, int dir_fd, const char *name)
{
  struct stat mine, named;

  return fstat (fd, &mine) == 0 && fstatat (dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0
         && mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

/* The text that the holder wrote: "PID what it does". */
static char *
read_holder (int fd, pid_t *ret_pid)
{
  char text[HOLDER_MAX + 1];
  gssize n = pread (fd, text, HOLDER_MAX, 0);
  guint64 pid = 0;
  char *rest = NULL;

  if (n > 0)
    {
      text[n] = '\0';
      g_strchomp (text);
      pid = g_ascii_strtoull (text, &rest, 10);
    }
  if (n <= 0 || pid == 0 || pid > G_MAXINT || *rest != ' ')
    {
      if (ret_pid)
        *ret_pid = 0;
      return g_strdup ("another process");
    }
  if (ret_pid)
    *ret_pid = (pid_t)pid;
  {
    g_autofree char *what = sandbox_escape (rest + 1, -1, HOLDER_MAX);

    return g_strdup_printf ("%s (pid %d)", what, (int)pid);
  }
}

static void
write_holder (int fd, const char *purpose)
{
  const char *program = g_get_prgname ();
  g_autofree char *what = g_strdup_printf ("%d %s%s%s", (int)getpid (), program ? program : "",
                                           program ? " " : "", purpose);
  gsize length = MIN (strlen (what), HOLDER_MAX);

  /* only told to others: a full disk must not stop us */
  if (ftruncate (fd, 0) < 0 || pwrite (fd, what, length, 0) < 0)
    return;
}

/* Waits, cancellably. */
static void
pause_for (gint64 usec, GCancellable *cancellable)
{
  GPollFD cancel;
  gboolean pollable = cancellable && g_cancellable_make_pollfd (cancellable, &cancel);

  g_poll (&cancel, pollable ? 1 : 0, (int)((usec + 999) / 1000));
  if (pollable)
    g_cancellable_release_fd (cancellable);
}

typedef enum
{
  TRY_TAKEN,
  TRY_HELD,
  TRY_FAILED,
} TryResult;

/* *@ret_fd is open whenever the result is not TRY_FAILED. */
static TryResult
try_once (int dir_fd, const char *name, int *ret_fd, GError **error)
{
  for (guint i = 0; i < 1000; i++)
    {
      sandbox_autofd int fd =
          openat (dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
      int saved_errno = errno;

      if (fd < 0)
        {
          sandbox_fail_errno (error, saved_errno, "opening lock file %s", name);
          return TRY_FAILED;
        }
      if (!try_lock (fd))
        {
          saved_errno = errno;
          if (saved_errno != EAGAIN && saved_errno != EACCES)
            {
              sandbox_fail_errno (error, saved_errno, "locking %s", name);
              return TRY_FAILED;
            }
          *ret_fd = g_steal_fd (&fd);
          return TRY_HELD;
        }
      if (!is_still_named (fd, dir_fd, name))
        continue;
      *ret_fd = g_steal_fd (&fd);
      return TRY_TAKEN;
    }
  sandbox_fail (error, SANDBOX_ERROR_BUSY, "locking %s: it is removed again and again", name);
  return TRY_FAILED;
}

static SandboxLock *
new_lock (int dir_fd, int fd, const char *name, const char *purpose)
{
  SandboxLock *lock = g_new0 (SandboxLock, 1);

  write_holder (fd, purpose);
  lock->fd = fd;
  lock->dir_fd = fcntl (dir_fd, F_DUPFD_CLOEXEC, 3);
  lock->name = g_strdup (name);
  return lock;
}

/* Tells @on_wait once per holder; @told remembers whom. FALSE: no time left. */
static gboolean
wait_turn (int fd, char **told, gint64 deadline, gint64 *pause_usec, SandboxLockWaitFunc on_wait,
           gpointer user_data, GCancellable *cancellable)
{
  g_autofree char *holder = read_holder (fd, NULL);
  gint64 left = deadline < 0 ? G_MAXINT64 : deadline - g_get_monotonic_time ();

  if (!*told || !g_str_equal (*told, holder))
    {
      if (on_wait && left > 0)
        on_wait (holder, user_data);
      g_free (*told);
      *told = g_steal_pointer (&holder);
    }
  if (left <= 0)
    return FALSE;
  pause_for (MIN (*pause_usec, left), cancellable);
  *pause_usec = MIN (*pause_usec * 2, POLL_MAX_USEC);
  return TRUE;
}

SandboxLock *
sandbox_lock_acquire (int dir_fd, const char *name, const char *purpose, gint64 wait_usec,
                      SandboxLockWaitFunc on_wait, gpointer user_data, GCancellable *cancellable,
                      GError **error)
{
  gint64 deadline = wait_usec < 0 ? -1 : g_get_monotonic_time () + wait_usec;
  gint64 pause_usec = POLL_FIRST_USEC;
  g_autofree char *told = NULL;

  while (!g_cancellable_set_error_if_cancelled (cancellable, error))
    {
      sandbox_autofd int fd = -1;
      TryResult result = try_once (dir_fd, name, &fd, error);

      if (result == TRY_FAILED)
        return NULL;
      if (result == TRY_TAKEN)
        return new_lock (dir_fd, g_steal_fd (&fd), name, purpose);
      if (!wait_turn (fd, &told, deadline, &pause_usec, on_wait, user_data, cancellable))
        {
          sandbox_fail (error, SANDBOX_ERROR_BUSY,
                        "%s: %s is locked by %s; wait for it to end and try again", purpose, name,
                        told);
          return NULL;
        }
    }
  return NULL;
}

char *
sandbox_lock_holder (int dir_fd, const char *name, pid_t *ret_pid)
{
  sandbox_autofd int fd = openat (dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  if (fd < 0 || fcntl (fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
    return NULL;
  return read_holder (fd, ret_pid);
}

gboolean
sandbox_lock_is_held (int dir_fd, const char *name)
{
  sandbox_autofd int fd = openat (dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  if (fd < 0)
    return errno != ENOENT;
  return fcntl (fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

int
sandbox_lock_watch (const SandboxLock *lock)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", lock->fd);
  sandbox_autofd int fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);

  if (fd < 0 || inotify_add_watch (fd, path, IN_OPEN) < 0)
    return -1;
  return g_steal_fd (&fd);
}

void
sandbox_lock_release (SandboxLock *lock)
{
  if (!lock)
    return;
  /* what was written says nothing any more; others may have the file open */
  if (ftruncate (lock->fd, 0) < 0)
    g_debug ("emptying lock file %s: %s", lock->name, g_strerror (errno));
  sandbox_close_fd (&lock->fd);
  sandbox_close_fd (&lock->dir_fd);
  g_free (lock->name);
  g_free (lock);
}

void
sandbox_lock_remove (SandboxLock *lock)
{
  if (lock && is_still_named (lock->fd, lock->dir_fd, lock->name))
    unlinkat (lock->dir_fd, lock->name, 0);
  sandbox_lock_release (lock);
}
