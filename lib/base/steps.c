// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs the steps of a verb, and takes back the finished ones when a later one fails.
#include "base/steps.h"

#include "base/error.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Tests kill or fail any verb before or after any of its steps. */
gboolean
sandbox_fault_point (const char *verb, const char *step, const char *when, GError **error)
{
  const char *fault = g_getenv ("SANDBOX_FAULT");
  g_autofree char *here = NULL;

  if (!fault)
    return TRUE;
  here = g_strconcat (verb, ":", step, ":", when, ":", NULL);
  if (!g_str_has_prefix (fault, here))
    return TRUE;
  if (g_str_equal (fault + strlen (here), "kill"))
    kill (getpid (), SIGKILL);
  if (g_str_equal (fault + strlen (here), "stop"))
    return raise (SIGSTOP) == 0;
  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "%s failed %s step \"%s\" because SANDBOX_FAULT says so", verb, when, step);
}

static gboolean
run_step (const char *verb, const SandboxStep *step, gpointer context, GCancellable *cancellable,
          GError **error)
{
  if (!sandbox_fault_point (verb, step->id, "before", error))
    return FALSE;
  if (!step->run (context, cancellable, error))
    return FALSE;
  return sandbox_fault_point (verb, step->id, "after", error);
}

gboolean
sandbox_steps_run (const char *verb, const SandboxStep *steps, gsize n_steps, gpointer context,
                   SandboxStepFunc on_step, gpointer user_data, GCancellable *cancellable,
                   GError **error)
{
  for (gsize i = 0; i < n_steps; i++)
    {
      gboolean cancelled = g_cancellable_set_error_if_cancelled (cancellable, error);

      if (!cancelled && on_step)
        on_step (&steps[i], user_data);
      if (!cancelled && run_step (verb, &steps[i], context, cancellable, error))
        continue;
      /* the failed step too: it may have got halfway; one that never began has nothing to undo */
      for (gsize k = cancelled ? i : i + 1; k > 0; k--)
        if (steps[k - 1].undo)
          steps[k - 1].undo (context);
      return FALSE;
    }
  return TRUE;
}
