// SPDX-License-Identifier: LGPL-2.1-or-later
// libvirt's daemons as the kernel shows them. Each time libvirt makes rules for one machine it
// takes the jumps to its chains out of FORWARD and INPUT and puts them back, program by program,
// which on a busy host takes a while: no machine has all of its rules then, and none has lost any.
// Only who looks at libvirt sees that; nothing in a machine makes libvirt run such programs.
#include "guard.h"

#include <signal.h>
#include <stdlib.h>

static const char *const daemons[] = { "libvirtd", "virtnetworkd", "virtnwfilterd" };

/* 0: it does not run. */
static pid_t
daemon_pid (const char *name)
{
  g_autofree char *file = g_strdup_printf ("/run/%s.pid", name), *text = NULL, *link = NULL,
                  *program = NULL, *base = NULL;
  guint64 pid;

  if (!g_file_get_contents (file, &text, NULL, NULL))
    return 0;
  pid = g_ascii_strtoull (text, NULL, 10);
  if (pid <= 1 || pid > G_MAXINT32)
    return 0;
  link = g_strdup_printf ("/proc/%u/exe", (guint)pid);
  program = g_file_read_link (link, NULL);
  base = program ? g_path_get_basename (program) : NULL;
  /* after an upgrade: "libvirtd (deleted)" */
  return base && g_str_has_prefix (base, name) ? (pid_t)pid : 0;
}

static gboolean
changes_rules (const char *pid)
{
  static const char *const programs[] = { "iptables", "ip6tables", "ebtables", "nft", NULL };
  g_autofree char *file = g_strdup_printf ("/proc/%s/comm", pid), *name = NULL;

  return g_file_get_contents (file, &name, NULL, NULL)
         && g_strv_contains (programs, g_strstrip (name));
}

/* @task: "/proc/PID/task/TID" */
static gboolean
thread_at_work (const char *task)
{
  g_autofree char *file = g_build_filename (task, "children", NULL), *text = NULL;
  g_auto (GStrv) pids = NULL;

  if (!g_file_get_contents (file, &text, NULL, NULL))
    return FALSE;
  pids = g_strsplit (g_strstrip (text), " ", -1);
  for (char **pid = pids; *pid; pid++)
    if (**pid && changes_rules (*pid))
      return TRUE;
  return FALSE;
}

gboolean
guard_daemons_at_work (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (daemons); i++)
    {
      pid_t pid = daemon_pid (daemons[i]);
      g_autofree char *tasks = g_strdup_printf ("/proc/%d/task", (int)pid);
      g_autoptr (GDir) threads = pid != 0 ? g_dir_open (tasks, 0, NULL) : NULL;
      const char *thread;

      while (threads && (thread = g_dir_read_name (threads)))
        {
          g_autofree char *task = g_build_filename (tasks, thread, NULL);

          if (thread_at_work (task))
            return TRUE;
        }
    }
  return FALSE;
}

gboolean
guard_daemons_reload (void)
{
  gboolean any = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (daemons); i++)
    {
      pid_t pid = daemon_pid (daemons[i]);

      any |= pid != 0 && kill (pid, SIGHUP) == 0;
    }
  return any;
}
