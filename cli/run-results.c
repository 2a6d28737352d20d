// SPDX-License-Identifier: LGPL-2.1-or-later
// The results of vms run: their places are looked at before the work, and when they cannot be
// copied after it, they do not go with the machine.
#include "run-results.h"

#include "progress.h"

#include <string.h>

typedef struct
{
  char *guest, *host; /* absolute; a slash at its end means something */
} Result;

static void
result_clear (Result *result)
{
  g_free (result->guest);
  g_free (result->host);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

/* "GUEST" or "GUEST:HOST"; without HOST into the current directory, under its own name. */
static void
read_word (const char *word, Result *result)
{
  const char *colon = strchr (word, ':');
  const char *host = colon != NULL ? colon + 1 : "";
  g_autofree char *here = g_get_current_dir ();

  result->guest = colon != NULL ? g_strndup (word, (gsize)(colon - word)) : g_strdup (word);
  if (*host == '\0')
    result->host = g_steal_pointer (&here);
  else
    result->host =
        g_path_is_absolute (host) ? g_strdup (host) : g_build_filename (here, host, NULL);
}

static gboolean
check_word (SandboxHost *host, const char *word, GPtrArray *targets, GError **error)
{
  g_autofree char *shown = vms_escape (word);
  g_autofree char *target = NULL;
  g_autoptr (GError) local = NULL;
  g_auto (Result) result = { NULL, NULL };

  read_word (word, &result);
  target = sandbox_host_copy_target (host, result.guest, result.host, SANDBOX_COPY_DEFAULT, &local);
  if (target == NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID, "run: --out %s: %s (--out GUEST:HOST)", shown,
                     local->message);
  if (g_ptr_array_find_with_equal_func (targets, target, g_str_equal, NULL))
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "run: --out %s: another --out goes to the same place; name another one "
                     "(--out GUEST:HOST)",
                     shown);
  g_ptr_array_add (targets, g_steal_pointer (&target));
  return TRUE;
}

gboolean
vms_results_check (SandboxHost *host, const VmsArgs *args, GError **error)
{
  g_autofree char **words = vms_args_get_all (args, "out");
  g_autoptr (GPtrArray) targets = g_ptr_array_new_with_free_func (g_free);

  for (char **word = words; word != NULL && *word != NULL; word++)
    if (!check_word (host, *word, targets, error))
      return FALSE;
  return TRUE;
}

static gboolean
copy_word (VmsContext *context, SandboxMachine *machine, const char *word, GError **error)
{
  g_autoptr (VmsProgress) progress = vms_progress_new (context, "run", TRUE);
  g_auto (Result) result = { NULL, NULL };

  read_word (word, &result);
  return sandbox_machine_copy_out (machine, result.guest, result.host, SANDBOX_COPY_DEFAULT,
                                   vms_progress_update, progress, context->cancellable, error);
}

/* A command that failed did not come to making it: no machine stays for that. But what is missing
 * may as well be the place on this host, which the command can have removed. */
static gboolean
was_not_made (SandboxHost *host, const char *word, int status, const GError *why)
{
  g_autofree char *target = NULL;
  g_auto (Result) result = { NULL, NULL };

  if (status == 0 || !g_error_matches (why, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return FALSE;
  read_word (word, &result);
  target = sandbox_host_copy_target (host, result.guest, result.host, SANDBOX_COPY_DEFAULT, NULL);
  return target != NULL;
}

/* What became of the machine, as the end of a sentence. (transfer full) */
static char *
keep (const VmsArgs *args, SandboxMachine *machine, gboolean *ret_kept)
{
  const char *name = sandbox_machine_get_name (machine);
  g_autoptr (GError) local = NULL;

  if (!vms_args_has (args, "keep") && !sandbox_machine_keep (machine, &local))
    return g_strdup_printf ("; %s", local->message);
  *ret_kept = TRUE;
  return g_strdup_printf ("; the machine was kept as %s: `vms cp %s:GUEST HOST` tries again, `vms "
                          "destroy %s` removes it",
                          name, name, name);
}

int
vms_results_copy (VmsContext *context, SandboxHost *host, const VmsArgs *args,
                  SandboxMachine *machine, int status, gboolean *ret_kept, GError **error)
{
  g_autofree char **words = vms_args_get_all (args, "out");
  g_autofree char *kept = NULL;
  gboolean failed = FALSE, worth_keeping = FALSE;

  for (char **word = words; word != NULL && *word != NULL; word++)
    {
      g_autoptr (GError) local = NULL;

      if (copy_word (context, machine, *word, &local))
        continue;
      if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        {
          vms_say ("vms: run: interrupted: not all that --out names was copied out");
          g_propagate_error (error, g_steal_pointer (&local));
          return 1;
        }
      vms_error (local);
      failed = TRUE;
      worth_keeping |= !was_not_made (host, *word, status, local);
    }
  if (!failed)
    return status;
  kept = worth_keeping ? keep (args, machine, ret_kept) : g_strdup ("");
  if (status != 0)
    vms_say ("vms: run: the command ended with status %d, and not all that --out names was copied "
             "out%s",
             status, kept);
  else
    vms_fail (error, SANDBOX_ERROR_FAILED,
              "run: the command ended with status 0, but not all that --out names was copied "
              "out%s",
              kept);
  return status != 0 ? status : 1;
}
