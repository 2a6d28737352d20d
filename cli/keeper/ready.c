// SPDX-License-Identifier: LGPL-2.1-or-later
// --ready STATE-DIRECTORY ALIAS: asked by ssh, from the block of our configuration, before it
// connects.
#include "keeper.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MASTER_USEC   (30 * G_USEC_PER_SEC)
#define POLL_USEC     (20 * 1000)
#define COMPLAINT_MAX 4096
#define CONFIG_USEC   (10 * G_USEC_PER_SEC)
#define CONFIG_MAX    (256 * 1024)
/* Set for the ssh that we ask ourselves, which would ask us again. */
#define INNER_VARIABLE "VMS_SSH_READY"

/* Short options of ssh that take a value: everything that can stand between "ssh" and the -F we
 * look for. */
#define WITH_VALUE "BbcDEeFIiJLlmOoPpQRSWw"

/* The file after -F on the command line of our parent, ssh. NULL: none. */
static char *
find_config_option (void)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/cmdline", (int)getppid ());
  g_autofree char *text = NULL;
  gsize length = 0;
  const char *option = NULL;

  if (!g_file_get_contents (path, &text, &length, NULL))
    return NULL;
  for (const char *word = text + strlen (text) + 1; word < text + length; word += strlen (word) + 1)
    {
      if (option)
        {
          if (*option == 'F')
            return g_strdup (word);
          option = NULL;
        }
      else if (g_str_equal (word, "--"))
        return NULL;
      else if (word[0] == '-' && word[1])
        {
          option = strpbrk (word + 1, WITH_VALUE);
          if (option && option[0] == 'F' && option[1])
            return g_strdup (option + 1);
          if (option && option[1])
            option = NULL;
        }
    }
  return NULL;
}

/* What the configuration alone would forward for @alias, as ssh itself puts it together. */
static gboolean
adds_forwards (const char *alias, char **ret_line)
{
  g_autofree char *config = find_config_option ();
  g_auto (GStrv) env = g_environ_setenv (g_get_environ (), INNER_VARIABLE, "1", TRUE);
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  const char *argv[] = { "ssh", "-G", alias, NULL, NULL, NULL };

  if (config)
    {
      argv[2] = "-F";
      argv[3] = config;
      argv[4] = alias;
    }
  options.argv = argv;
  options.env = (const char *const *)env;
  if (!sandbox_child_run (&options, CONFIG_USEC, CONFIG_MAX, NULL, &text, NULL, NULL, NULL))
    {
      *ret_line = g_strdup ("ssh -G failed");
      return TRUE;
    }
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    if (g_str_has_prefix (lines[i], "localforward ")
        || g_str_has_prefix (lines[i], "remoteforward ")
        || g_str_has_prefix (lines[i], "dynamicforward "))
      {
        *ret_line = g_strdup (lines[i]);
        return TRUE;
      }
  return FALSE;
}

/* What the keeper's ssh complains of and no waiting cures. */
static gboolean
check_complaint (const SandboxSsh *ssh, GError **error)
{
  sandbox_autofd int state_fd = sandbox_dir_open (ssh->state_path, FALSE, NULL);
  g_autofree char *text = NULL;

  if (state_fd < 0
      || !sandbox_file_read_at (state_fd, SANDBOX_SSH_COMPLAINT, COMPLAINT_MAX, &text, NULL, NULL)
      || !_sandbox_ssh_is_host_key_error (text))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                       "it shows another host key than the one that was made for it");
}

static gboolean
wait_for_master (const SandboxSsh *ssh, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + MASTER_USEC;

  while (!_sandbox_ssh_master_alive (ssh))
    {
      if (!check_complaint (ssh, error))
        return FALSE;
      if (g_get_monotonic_time () >= deadline)
        return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT, "its ssh does not answer");
      g_usleep (POLL_USEC);
    }
  return TRUE;
}

int
keeper_ready (const char *state_path, const char *alias)
{
  g_autoptr (SandboxSsh) ssh = _sandbox_ssh_new (state_path, "", "", "");
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;

  if (g_getenv (INNER_VARIABLE))
    return 0;
  if (!_sandbox_ssh_master_alive (ssh)
      && (!_sandbox_keeper_ensure_again (state_path, NULL, NULL, &error)
          || !wait_for_master (ssh, &error)))
    {
      fprintf (stderr, "%s cannot be reached (%s); see to it with: vms start %s\n", alias,
               error->message, alias);
      return 1;
    }
  if (!adds_forwards (alias, &line))
    return 0;
  fprintf (stderr,
           "your ssh configuration adds \"%s\" to %s: no port is forwarded. To change that, leave "
           "%s out there "
           "(\"Host * !%s\")\n",
           line, alias, alias, alias);
  return 1;
}
