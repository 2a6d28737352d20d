// SPDX-License-Identifier: LGPL-2.1-or-later
// The command vms: reads the command line, runs the verb, turns what comes back into an exit
// status.
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "context.h"
#include "help.h"

/* Failures of ours, other than wrong usage, under verbs that pass on the guest's own status. */
#define STATUS_OURS 125

static int
status_of (const VmsVerb *verb, const GError *error)
{
  int number = vms_signals_caught ();

  /* what failed after the signal failed because of it */
  if (number != 0)
    return 128 + number;
  if (verb != NULL && (verb->flags & VMS_VERB_COMMAND)
      && !g_error_matches (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID))
    return STATUS_OURS;
  return vms_exit_status (error);
}

/* Data that could not be written is a failure, however well the rest went. A reader that went away
 * needs no message. */
static int
finish_output (int status)
{
  if (fflush (stdout) == 0 && !ferror (stdout))
    return status;
  if (errno != EPIPE)
    fprintf (stderr, "vms: writing the output: %s\n", g_strerror (errno));
  return status != 0 ? status : 1;
}

static int
usage_error (const VmsVerb *verb, const GError *error)
{
  vms_error (error);
  vms_help_hint (verb);
  return vms_exit_status (error);
}

static int
run (VmsContext *context, const VmsArgs *args)
{
  g_autoptr (GError) error = NULL;
  int status;

  if (vms_args_has (args, "version"))
    return vms_cmd_version (context, args, &error);
  if (vms_args_has (args, "help"))
    {
      vms_help_show (args->verb, args->family);
      return 0;
    }
  if (args->verb == NULL && args->family == NULL)
    {
      vms_help_first ();
      return 0;
    }
  if (args->verb == NULL)
    {
      vms_fail (&error, SANDBOX_ERROR_INVALID, "%s: a subverb is missing", args->family);
      return usage_error (vms_verb_family (args->family), error);
    }
  status = args->verb->run (context, args, &error);
  if (error == NULL)
    return status;
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    vms_error (error);
  else
    vms_say ("vms: interrupted");
  return status_of (args->verb, error);
}

/* Whoever starts us with 0, 1 or 2 closed would have our locks, pipes and sockets get these
 * numbers, and what we say would be written into them. */
static void
fill_standard_descriptors (void)
{
  int fd;

  do
    fd = open ("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0)
    close (fd);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  VmsContext context = { .cancellable = cancellable, .passphrase_fd = -1 };
  const VmsVerb *verb = NULL;
  g_autoptr (VmsArgs) args = NULL;

  fill_standard_descriptors ();
  /* whoever started us may ignore it, and then our children's ends could not be waited for */
  signal (SIGCHLD, SIG_DFL);
  setlocale (LC_ALL, "");
  g_set_prgname ("vms");
  args = vms_args_parse (argv + 1, &verb, &error);
  if (args == NULL)
    return usage_error (verb, error);
  if (!vms_passphrase_read_option (args, &context.passphrase_fd, &error))
    return usage_error (verb, error);
  context.uri = vms_args_get (args, "connect");
  if (context.uri == NULL)
    context.uri = g_getenv ("VMS_URI");
  if (context.uri != NULL && *context.uri == '\0')
    context.uri = NULL;
  context.quiet = vms_args_has (args, "quiet");
  context.verbose = vms_args_has (args, "verbose");
  context.json = vms_args_has (args, "json");
  vms_signals_init (cancellable);
  return finish_output (run (&context, args));
}
