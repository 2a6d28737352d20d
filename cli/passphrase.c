// SPDX-License-Identifier: LGPL-2.1-or-later
// The passphrase of an encrypted disk: from the terminal, without showing it, or from a descriptor.
// Never from the command line or the environment, which other processes read.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "context.h"
#include "progress.h"

/* As often as one may mistype a new one. */
#define TRIES 3
/* A line: the passphrase, its newline and a NUL. */
#define LINE_BYTES 1100

/* One machine asks at a time. */
static GMutex asking;

gboolean
vms_passphrase_read_option (const VmsArgs *args, int *ret_fd, GError **error)
{
  const char *text = vms_args_get (args, "passphrase-fd");
  guint64 fd = 0;

  if (text == NULL)
    return TRUE;
  if (!g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT, &fd, NULL)
      || fcntl ((int)fd, F_GETFD) < 0)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "--passphrase-fd: \"%s\" is no open descriptor: use one such as 3, with "
                     "3<FILE behind the command",
                     text);
  /* not for the programs that we run */
  fcntl ((int)fd, F_SETFD, FD_CLOEXEC);
  *ret_fd = (int)fd;
  return TRUE;
}

gboolean
vms_passphrase_can_ask (const VmsContext *context, SandboxMachine *machine, GError **error)
{
  g_autoptr (SandboxMachineStatus) status =
      sandbox_machine_get_status (machine, context->cancellable, NULL);

  if (status == NULL || !status->encrypted || context->passphrase_fd >= 0 || vms_can_ask ())
    return TRUE;
  return vms_fail (error, SANDBOX_ERROR_INVALID,
                   "%s: its disk is encrypted, and there is no terminal to ask for the passphrase; "
                   "give it with --passphrase-fd",
                   sandbox_machine_get_name (machine));
}

/* Up to its newline, or the end; byte by byte, since what follows is somebody else's. */
static gssize
read_fd (int fd, char *buffer, gsize size, GError **error)
{
  gsize length = 0;

  for (;;)
    {
      char byte = '\0';
      gssize got = read (fd, &byte, 1);

      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return vms_fail (error, SANDBOX_ERROR_FAILED, "reading the passphrase: %s",
                         g_strerror (errno))
                   ? 0
                   : -1;
      if (got == 0 || byte == '\n')
        return (gssize)length;
      if (length == size)
        return vms_fail (error, SANDBOX_ERROR_INVALID, "the passphrase is too long") ? 0 : -1;
      buffer[length++] = byte;
    }
}

/* Without echo; what was set before is set again, also when a signal ends us. */
static gboolean
read_hidden (VmsContext *context, const char *question, char *line, gsize size, GError **error)
{
  struct termios saved, hidden;
  gboolean changed = tcgetattr (STDIN_FILENO, &saved) == 0, ok;

  if (!changed)
    return vms_fail (error, SANDBOX_ERROR_FAILED,
                     "the terminal would show the passphrase: use --passphrase-fd");
  hidden = saved;
  hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
  vms_signals_set_terminal (STDIN_FILENO, &saved);
  if (tcsetattr (STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
    ok = vms_fail (error, SANDBOX_ERROR_FAILED,
                   "the terminal would show the passphrase: use --passphrase-fd");
  else
    {
      fputs (question, stderr);
      ok = vms_read_line (context->cancellable, line, size, error);
      tcsetattr (STDIN_FILENO, TCSAFLUSH, &saved);
      fputc ('\n', stderr);
    }
  vms_signals_set_terminal (-1, NULL);
  /* the terminal is gone */
  if (ok && *line == '\0')
    ok = vms_fail (error, SANDBOX_ERROR_FAILED, "there was no answer");
  line[strcspn (line, "\n")] = '\0';
  return ok;
}

static gboolean
ask (VmsContext *context, const char *machine, gboolean fresh, char *line, char *again,
     GError **error)
{
  g_autofree char *question =
      g_strdup_printf ("%s for the disk of %s%s: ", fresh ? "New passphrase" : "Passphrase",
                       machine, fresh ? " (nobody can read the disk without it)" : "");

  for (guint i = 0; i < TRIES; i++)
    {
      if (!read_hidden (context, question, line, LINE_BYTES, error))
        return FALSE;
      if (!fresh)
        return TRUE;
      if (!read_hidden (context, "The same again: ", again, LINE_BYTES, error))
        return FALSE;
      if (strcmp (line, again) == 0)
        return TRUE;
      vms_say ("these were not the same");
    }
  return vms_fail (error, SANDBOX_ERROR_INVALID, "%s: no passphrase was given twice", machine);
}

static gssize
ask_terminal (VmsContext *context, const char *machine, gboolean fresh, char *buffer, gsize size,
              GError **error)
{
  char line[LINE_BYTES] = "", again[LINE_BYTES] = "";
  gssize length = -1;

  vms_progress_hold (TRUE);
  if (ask (context, machine, fresh, line, again, error))
    {
      length = (gssize)MIN (strlen (line), size);
      memcpy (buffer, line, (gsize)length);
    }
  vms_progress_hold (FALSE);
  explicit_bzero (line, sizeof line);
  explicit_bzero (again, sizeof again);
  return length;
}

gssize
vms_passphrase (const char *machine, gboolean fresh, char *buffer, gsize size, gpointer user_data,
                GCancellable *cancellable, GError **error)
{
  VmsContext *context = user_data;
  gssize length = -1;

  g_mutex_lock (&asking);
  if (context->passphrase_fd >= 0)
    length = read_fd (context->passphrase_fd, buffer, size, error);
  else if (vms_can_ask ())
    length = ask_terminal (context, machine, fresh, buffer, size, error);
  else
    vms_fail (error, SANDBOX_ERROR_INVALID,
              "%s: its disk is encrypted, and there is no terminal to ask for the passphrase; "
              "`vms start %s` in one asks, or give it with --passphrase-fd",
              machine, machine);
  g_mutex_unlock (&asking);
  return length;
}
