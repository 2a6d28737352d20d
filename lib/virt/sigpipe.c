// SPDX-License-Identifier: LGPL-2.1-or-later
// A daemon that went away must not take the application with it.
//
// libvirt's client writes to its socket without MSG_NOSIGNAL, so the first call after the daemon
// died raises SIGPIPE, which ends a process that does not expect it. The disposition of a signal
// belongs to the application; the mask of our own thread, for the time of a call, does not hurt it:
// SIGPIPE is sent to the thread that wrote, so it can be held back and thrown away here.

#include <signal.h>
#include <time.h>
#include "virt/virt-private.h"

static __thread guint depth;
static __thread sigset_t saved_mask;
static __thread gboolean was_pending;

static gboolean
sigpipe_pending (void)
{
  sigset_t pending;

  return sigpending (&pending) == 0 && sigismember (&pending, SIGPIPE) == 1;
}

void
_sandbox_virt_enter (void)
{
  sigset_t pipe_set;

  if (depth++ > 0)
    return;
  was_pending = sigpipe_pending ();
  sigemptyset (&pipe_set);
  sigaddset (&pipe_set, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &pipe_set, &saved_mask);
}

void
_sandbox_virt_leave (void)
{
  const struct timespec at_once = { 0 };
  sigset_t pipe_set;

  if (--depth > 0)
    return;
  sigemptyset (&pipe_set);
  sigaddset (&pipe_set, SIGPIPE);
  if (!was_pending && sigpipe_pending ())
    sigtimedwait (&pipe_set, NULL, &at_once);
  pthread_sigmask (SIG_SETMASK, &saved_mask, NULL);
}

void
_sandbox_virt_connection_close (virConnectPtr conn)
{
  virConnectClose (conn);
  _sandbox_virt_leave ();
}
