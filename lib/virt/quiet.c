// SPDX-License-Identifier: LGPL-2.1-or-later
// Keeps libvirt from printing our errors without taking anything away from the host application.
//
// libvirt hands every error to a function: that of the connection if it has one, else the one of
// the process (virSetErrorFunc), else it prints to stderr. Our connections have a silent function
// of their own, but a connection that cannot be opened has none: that error would be printed.
// So a function of the process is needed, and the process is not ours:
//  - it is silent only for a thread that is opening a connection of ours, and does for everybody
//    else what libvirt would have done (virDefaultErrorFunc);
//  - it is put in place only if the application has set none. libvirt cannot be asked for that, but
//    shows it: an error raised on purpose is either printed or not. It is raised in a thread with a
//    descriptor table of its own, in which descriptor 2 is a pipe, so nothing reaches the terminal.
//    An application with a function of its own keeps it (and hears of that one error);
//  - where a thread may not have its own table (a strict seccomp filter) nothing is set: the
//    price is one line on stderr when libvirt cannot be reached.
// An application that sets its function later simply replaces ours.

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include "virt/virt-private.h"

static __thread guint quiet_depth;

static void
on_process_error (void *user_data, virErrorPtr why)
{
  if (quiet_depth == 0)
    virDefaultErrorFunc (why);
}

static gpointer
default_prints (gpointer data)
{
  int fds[2];
  char buffer[512];

  if (unshare (CLONE_FILES) < 0 || pipe2 (fds, O_CLOEXEC | O_NONBLOCK) < 0)
    return GINT_TO_POINTER (FALSE);
  if (dup2 (fds[1], STDERR_FILENO) < 0)
    return GINT_TO_POINTER (FALSE);
  // fails always: there is no such connection
  virConnectRef (NULL);
  return GINT_TO_POINTER (read (fds[0], buffer, sizeof buffer) > 0);
}

static void
set_function (void)
{
  static gsize once = 0;

  if (!g_once_init_enter (&once))
    return;
  if (virInitialize () == 0)
    {
      g_autoptr (GThread) thread = g_thread_try_new ("sandbox-quiet", default_prints, NULL, NULL);

      if (thread && GPOINTER_TO_INT (g_thread_join (g_steal_pointer (&thread))))
        virSetErrorFunc (NULL, on_process_error);
    }
  g_once_init_leave (&once, 1);
}

void
_sandbox_virt_quiet_begin (void)
{
  set_function ();
  quiet_depth++;
}

void
_sandbox_virt_quiet_end (void)
{
  quiet_depth--;
}
