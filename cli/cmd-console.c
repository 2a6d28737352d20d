// SPDX-License-Identifier: LGPL-2.1-or-later
// vms console, vms logs
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "context.h"

/* All that the keeper holds of a console is less than this. */
#define LOG_MAX_BYTES (4 * 1024 * 1024)
#define LOG_MAX_LINES 1000000

int
vms_cmd_console (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  struct termios saved, raw;
  gboolean terminal = isatty (STDIN_FILENO) && tcgetattr (STDIN_FILENO, &saved) == 0;
  gboolean ok;

  if (machine == NULL)
    return 1;
  if (terminal && !context->quiet)
    vms_say ("%s: console; Ctrl-] leaves it, Return may be needed to see the prompt",
             args->operands[0]);
  if (terminal)
    {
      raw = saved;
      cfmakeraw (&raw);
      vms_signals_set_terminal (STDIN_FILENO, &saved);
      tcsetattr (STDIN_FILENO, TCSADRAIN, &raw);
    }
  ok = sandbox_machine_console (machine, STDIN_FILENO, STDOUT_FILENO, context->cancellable, error);
  if (terminal)
    {
      tcsetattr (STDIN_FILENO, TCSADRAIN, &saved);
      vms_signals_set_terminal (-1, NULL);
      vms_say ("%s", "");
    }
  return ok ? 0 : 1;
}

/* Where the last @n lines of @text begin. */
static const char *
last_lines (const char *text, guint64 n)
{
  const char *at = text + strlen (text);

  if (at > text && at[-1] == '\n')
    at--;
  while (at > text)
    {
      if (at[-1] == '\n' && --n == 0)
        break;
      at--;
    }
  return at;
}

int
vms_cmd_logs (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxMachine) machine = NULL;
  g_autofree char *text = NULL;
  guint64 lines;

  if (!vms_args_get_number (args, "lines", LOG_MAX_LINES, &lines, error))
    return 1;
  machine = vms_open_machine (context, args->operands[0], error);
  text = machine != NULL ? sandbox_machine_read_log (machine, LOG_MAX_BYTES, error) : NULL;
  if (text == NULL)
    return 1;
  if (*text != '\0')
    vms_print (lines > 0 ? last_lines (text, lines) : text);
  else if (!context->quiet)
    vms_say ("%s: nothing was said on its console yet", args->operands[0]);
  return 0;
}
