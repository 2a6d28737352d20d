// SPDX-License-Identifier: LGPL-2.1-or-later
// What a profile forbids ([policy] forbid=): patterns against names, the seed's part of it, and a
// look into a machine.
#include "facade/facade-private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SCRIPT_MAX (64 * 1024)
#define LOOK_USEC  (5 * 60 * G_USEC_PER_SEC)
#define LOOK_MAX   (64 * 1024)
#define FOUND_MAX  100
#define LINE_BYTES 200

static char *
read_shipped (SandboxHost *host, const char *file, GError **error)
{
  g_autofree char *shipped = _sandbox_profile_shipped_dir (&host->profiles);
  g_autofree char *path = g_build_filename (shipped, "policy", NULL);
  sandbox_autofd int fd = sandbox_dir_open (path, FALSE, error);
  g_autofree char *text = NULL;
  gsize length;

  if (fd < 0 || !sandbox_file_read_at (fd, file, SCRIPT_MAX, &text, &length, error))
    return NULL;
  return g_steal_pointer (&text);
}

gboolean
_sandbox_policy_hook (SandboxHost *host, const SandboxPlan *plan, char **ret_hook, GError **error)
{
  g_autofree char *text = NULL;

  if (*plan->forbid != NULL && (text = read_shipped (host, "apt-hook", error)) == NULL)
    return FALSE;
  *ret_hook = g_steal_pointer (&text);
  return TRUE;
}

const char *
_sandbox_policy_find (char *const *patterns, const char *name)
{
  for (; *patterns != NULL; patterns++)
    if (g_pattern_match_simple (*patterns, name))
      return *patterns;
  return NULL;
}

/* --- in a machine */

static int
script_fd (const char *text, GError **error)
{
  sandbox_autofd int fd = memfd_create ("look", MFD_CLOEXEC);
  gssize length = (gssize)strlen (text);
  int result;

  if (fd < 0 || write (fd, text, (gsize)length) != length || lseek (fd, 0, SEEK_SET) != 0)
    {
      sandbox_fail (error, SANDBOX_ERROR_FAILED, "no memory for what is sent to the machine");
      return -1;
    }
  result = fd;
  fd = -1;
  return result;
}

/* "sudo sh -s -- PATTERN...", quoted. */
static char *
look_command (char *const *patterns)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();

  g_ptr_array_add (argv, (gpointer) "sudo");
  g_ptr_array_add (argv, (gpointer) "-n");
  g_ptr_array_add (argv, (gpointer) "sh");
  g_ptr_array_add (argv, (gpointer) "-s");
  g_ptr_array_add (argv, (gpointer) "--");
  for (; *patterns != NULL; patterns++)
    g_ptr_array_add (argv, *patterns);
  g_ptr_array_add (argv, NULL);
  return _sandbox_ssh_command ((const char *const *)argv->pdata, NULL, FALSE);
}

GPtrArray *
_sandbox_policy_look (SandboxHost *host, const SandboxSsh *ssh, char *const *patterns,
                      GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *script = read_shipped (host, "look", error);
  g_autofree char *command = look_command (patterns), *answer = NULL;
  sandbox_autofd int fd = script != NULL ? script_fd (script, error) : -1;
  g_auto (GStrv) lines = NULL;

  if (fd < 0)
    return NULL;
  answer = _sandbox_ssh_capture (ssh, command, fd, LOOK_MAX, LOOK_USEC, cancellable, error);
  if (answer == NULL)
    {
      g_prefix_error (error, "looking for what is forbidden: ");
      return NULL;
    }
  lines = g_strsplit (answer, "\n", -1);
  for (char **line = lines; *line != NULL && found->len < FOUND_MAX; line++)
    if (**line != '\0')
      g_ptr_array_add (found, sandbox_escape (*line, -1, LINE_BYTES));
  return g_steal_pointer (&found);
}
