// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening the host and asking questions.
#include "context.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const SandboxProfileDirs vms_profile_dirs = SANDBOX_PROFILE_DIRS_INIT;

SandboxHost *
vms_open_host (VmsContext *context, GError **error)
{
  SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT;

  g_autoptr (SandboxHost) host = NULL;

  options.uri = context->uri;
  host = sandbox_host_open (&options, context->cancellable, error);
  /* what a killed `vms run` left; that it cannot be removed now is no reason to do nothing */
  if (host != NULL)
    sandbox_host_set_passphrase_func (host, vms_passphrase, context);
  if (host != NULL)
    sandbox_host_sweep (host, context->cancellable, NULL);
  return g_steal_pointer (&host);
}

SandboxMachine *
vms_open_machine (VmsContext *context, const char *name, GError **error)
{
  g_autoptr (SandboxHost) host = vms_open_host (context, error);

  return host != NULL ? sandbox_host_lookup (host, name, context->cancellable, error) : NULL;
}

char *
vms_share_spec (const char *word)
{
  gsize length = strcspn (word, ":,");
  g_autofree char *dir = g_strndup (word, length), *here = g_get_current_dir (), *path = NULL;

  /* an empty one, or ~/ and what else a profile knows, is for the library to judge */
  if (*dir == '\0' || *dir == '/' || *dir == '~')
    return g_strdup (word);
  path = g_canonicalize_filename (dir, here);
  return g_strconcat (path, word + length, NULL);
}

char **
vms_share_specs (const VmsArgs *args)
{
  g_autofree char **words = vms_args_get_all (args, "share");
  g_autoptr (GPtrArray) specs = g_ptr_array_new ();

  for (char **word = words; words != NULL && *word != NULL; word++)
    g_ptr_array_add (specs, vms_share_spec (*word));
  g_ptr_array_add (specs, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&specs), FALSE);
}

gboolean
vms_can_ask (void)
{
  return isatty (STDIN_FILENO) && isatty (STDERR_FILENO);
}

/* A line from the terminal, without stdio's buffering, which would swallow what comes after. */
gboolean
vms_read_line (GCancellable *cancellable, char *line, gsize size, GError **error)
{
  struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
                           { .fd = g_cancellable_get_fd (cancellable), .events = POLLIN } };
  gsize length = 0;
  gboolean ok = TRUE;

  while (ok && (length == 0 || line[length - 1] != '\n') && length + 1 < size)
    {
      ssize_t got;
      if (poll (fds, 2, -1) < 0 && errno != EINTR)
        break;
      ok = !g_cancellable_set_error_if_cancelled (cancellable, error);
      if (!ok || fds[0].revents == 0)
        continue;
      got = read (STDIN_FILENO, line + length, size - length - 1);
      if (got <= 0)
        break;
      length += (gsize)got;
    }
  g_cancellable_release_fd (cancellable);
  line[length] = '\0';
  return ok;
}

gboolean
vms_ask (VmsContext *context, const char *question, gboolean *ret_yes, GError **error)
{
  g_autofree char *shown = vms_escape_lines (question);
  char line[64];

  fprintf (stderr, "%s [y/N] ", shown);
  if (!vms_read_line (context->cancellable, line, sizeof line, error))
    {
      fputc ('\n', stderr);
      return FALSE;
    }
  g_strstrip (line);
  *ret_yes = g_ascii_strcasecmp (line, "y") == 0 || g_ascii_strcasecmp (line, "yes") == 0;
  return TRUE;
}

gboolean
vms_ask_letter (VmsContext *context, const char *question, const char *letters, char *ret_letter,
                GError **error)
{
  g_autofree char *shown = vms_escape_lines (question);
  GString *choice = g_string_new (NULL);
  char line[64];
  gboolean ok;

  for (const char *at = letters; *at != '\0'; at++)
    g_string_append_printf (choice, "%c/", *at);
  fflush (stdout);
  fprintf (stderr, "%s [%s?] ", shown, choice->str);
  g_string_free (choice, TRUE);
  ok = vms_read_line (context->cancellable, line, sizeof line, error);
  /* the terminal is gone */
  if (ok && line[0] == '\0')
    ok = vms_fail (error, SANDBOX_ERROR_FAILED, "there was no answer");
  if (!ok)
    {
      fputc ('\n', stderr);
      return FALSE;
    }
  g_strstrip (line);
  *ret_letter = strlen (line) == 1 && strchr (letters, line[0]) != NULL ? line[0] : '\0';
  return TRUE;
}

gboolean
vms_confirm (VmsContext *context, const VmsArgs *args, const char *question, GError **error)
{
  gboolean yes = FALSE;

  if (vms_args_has (args, "yes"))
    return TRUE;
  if (!vms_can_ask ())
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "%s: there is no terminal to ask on; add --yes when you are sure",
                     args->verb->verb);
  if (!vms_ask (context, question, &yes, error))
    return FALSE;
  if (!yes)
    return vms_fail (error, SANDBOX_ERROR_FAILED, "%s: not done, as you said no", args->verb->verb);
  return TRUE;
}

void
vms_say_saved (SandboxMachine *machine)
{
  const char *saved = sandbox_machine_get_saved_changes (machine);
  const char *name = sandbox_machine_get_name (machine);

  if (saved != NULL)
    vms_say (
        "%s: changes that were not applied are saved in %s; `vms diff --from %s %s` shows them, "
        "`vms apply --from %s %s` brings them into the shared directory",
        name, saved, saved, name, saved, name);
  if (saved != NULL && sandbox_machine_get_saved_unsettled (machine))
    vms_say ("%s: it was writing while they were saved: files that changed then may be torn, or "
             "missing there",
             name);
  if (saved != NULL && sandbox_machine_get_saved_git (machine) > 0)
    vms_say (
        "%s: what it did in directories of git's, commits that were not pulled among it, is in "
        "the archive there, and not applied: the tutorial says how to get at it",
        name);
}

void
vms_decide_changes (const VmsArgs *args, SandboxMachine *machine)
{
  if (vms_args_has (args, "discard-changes") || (!vms_args_has (args, "yes") && vms_can_ask ()))
    sandbox_machine_forgo_changes (machine);
}
