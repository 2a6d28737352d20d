// SPDX-License-Identifier: LGPL-2.1-or-later
// Which ports of this host the programs that lead into a machine listen on. They belong to the
// caller, so that the caller can look.
#include "facade/verify-private.h"
#include "base/guard.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTENING "0A"
#define LOOPBACK4 "0100007F"
#define LOOPBACK6 "00000000000000000000000001000000"

/* Of one process: "socket:[123]" of all its descriptors, into @sockets. */
static void
add_sockets (const char *process, GHashTable *sockets)
{
  g_autofree char *path = g_build_filename (process, "fd", NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *link = g_build_filename (path, name, NULL);
      g_autofree char *target = g_file_read_link (link, NULL);

      if (target != NULL && g_str_has_prefix (target, "socket:["))
        g_hash_table_add (sockets, g_strndup (target + 8, strcspn (target + 8, "]")));
    }
}

/* Keeper and ssh of a machine name its state directory on their command lines. */
static GHashTable *
find_sockets (const char *state_path)
{
  GHashTable *sockets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GDir) dir = g_dir_open ("/proc", 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *process = g_build_filename ("/proc", name, NULL);
      g_autofree char *path = g_build_filename (process, "cmdline", NULL), *text = NULL;
      struct stat info;
      gsize length = 0;

      if (!g_ascii_isdigit (*name) || stat (process, &info) < 0 || info.st_uid != geteuid ()
          || !g_file_get_contents (path, &text, &length, NULL))
        continue;
      if (memmem (text, length, state_path, strlen (state_path)) != NULL)
        add_sockets (process, sockets);
    }
  return sockets;
}

gboolean
_sandbox_verify_is_exposed (const char *line, char **ret_inode, guint *ret_port)
{
  char address[33], state[3], inode[24];
  guint port;

  if (sscanf (line, " %*u: %32[0-9A-F]:%x %*[0-9A-F:] %2[0-9A-F] %*s %*s %*s %*u %*u %23[0-9]",
              address, &port, state, inode)
          != 4
      || strcmp (state, LISTENING) != 0 || strcmp (address, LOOPBACK6) == 0
      || strcmp (address, LOOPBACK4) == 0)
    return FALSE;
  *ret_inode = g_strdup (inode);
  *ret_port = port;
  return TRUE;
}

void
_sandbox_verify_check_ports (const char *state_path, const char *target, GPtrArray *findings)
{
  static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6" };
  g_autoptr (GHashTable) sockets = find_sockets (state_path);
  g_autoptr (GString) found = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++)
    {
      g_autofree char *text = NULL;
      g_auto (GStrv) lines = NULL;

      if (!g_file_get_contents (tables[i], &text, NULL, NULL))
        continue;
      lines = g_strsplit (text, "\n", -1);
      for (char **line = lines; *line != NULL; line++)
        {
          g_autofree char *inode = NULL;
          guint port;

          if (_sandbox_verify_is_exposed (*line, &inode, &port)
              && g_hash_table_contains (sockets, inode))
            g_string_append_printf (found, "%sport %u", found->len > 0 ? ", " : "", port);
        }
    }
  _sandbox_finding_add (findings, "forwards", target, "on 127.0.0.1 only",
                        found->len > 0 ? SANDBOX_VERDICT_FAIL : SANDBOX_VERDICT_PASS, "%s",
                        found->len > 0 ? found->str : "none elsewhere");
}

void
_sandbox_verify_check_services (SandboxMachine *machine, GPtrArray *findings,
                                GCancellable *cancellable)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (GPtrArray) forwards = sandbox_machine_list_forwards (machine, cancellable, &local);

  if (forwards == NULL)
    _sandbox_finding_add (findings, "host-services", machine->name, "open", SANDBOX_VERDICT_UNKNOWN,
                          "%s", local->message);
  for (guint i = 0; forwards != NULL && i < forwards->len; i++)
    {
      const SandboxForward *forward = g_ptr_array_index (forwards, i);
      g_autofree char *target =
          g_strdup_printf ("127.0.0.1:%u-%u of this host", forward->host_first, forward->host_last);

      if (forward->kind != SANDBOX_FORWARD_TO_HOST)
        continue;
      if (forward->host_first == forward->host_last)
        {
          g_free (target);
          target = g_strdup_printf ("127.0.0.1:%u of this host", forward->host_first);
        }
      if (forward->state == SANDBOX_FORWARD_LISTENING)
        _sandbox_finding_add (findings, "host-services", target, "open", SANDBOX_VERDICT_PASS,
                              "open, with all that it can do");
      else if (forward->state == SANDBOX_FORWARD_FAILED)
        _sandbox_finding_add (findings, "host-services", target, "open", SANDBOX_VERDICT_FAIL,
                              "not offered: %s", forward->reason);
      else
        _sandbox_finding_add (findings, "host-services", target, "open", SANDBOX_VERDICT_UNKNOWN,
                              "offered while %s runs", machine->name);
    }
}

void
_sandbox_verify_check_guard (GPtrArray *findings)
{
  int pid = sandbox_guard_pid ();

  if (pid != 0)
    _sandbox_finding_add (findings, "guard", "this host", "runs", SANDBOX_VERDICT_PASS,
                          "runs, pid %d", pid);
  else
    _sandbox_finding_add (findings, "guard", "this host", "runs", SANDBOX_VERDICT_UNKNOWN,
                          "does not run: whoever flushes this host's packet filter rules opens "
                          "the machines; `vms doctor` tells how to start it");
}
