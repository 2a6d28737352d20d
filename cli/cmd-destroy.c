// SPDX-License-Identifier: LGPL-2.1-or-later
// vms destroy, recreate
#include "parallel.h"

#include <string.h>

/* TRUE when there is more of it than a shipped profile. Unknown counts as more: then the library
 * finds out. */
static gboolean
is_something (VmsContext *context, SandboxMachine *machine)
{
  const char *name = sandbox_machine_get_name (machine);
  const SandboxProfileDirs *dirs =
      sandbox_host_get_profile_dirs (sandbox_machine_get_host (machine));
  g_autoptr (SandboxMachineStatus) status =
      sandbox_machine_get_status (machine, context->cancellable, NULL);
  g_autoptr (GPtrArray) profiles = sandbox_profile_list (dirs, NULL);

  if (status == NULL || status->state != SANDBOX_STATE_NEW || profiles == NULL)
    return TRUE;
  for (guint i = 0; i < profiles->len; i++)
    {
      const SandboxProfileInfo *info = g_ptr_array_index (profiles, i);
      if (info->user && g_strcmp0 (info->name, name) == 0)
        return TRUE;
    }
  return FALSE;
}

/* Of what is not there nothing is told. */
static void
say_nothing (const SandboxProgress *update, gpointer user_data)
{
}

static gboolean
destroy_one (VmsContext *context, const VmsArgs *args, SandboxHost *host, const char *name,
             VmsProgress *progress, GError **error)
{
  gboolean if_exists = vms_args_has (args, "if-exists"), something;
  g_autoptr (GError) missing = NULL;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_lookup (host, name, context->cancellable, &missing);

  if (machine == NULL && if_exists
      && g_error_matches (missing, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return TRUE;
  if (g_error_matches (missing, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return vms_fail (
        error, SANDBOX_ERROR_NOT_FOUND,
        "destroying %s: there is no such machine; `vms list` shows those that are there", name);
  if (machine == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&missing));
      return FALSE;
    }
  something = is_something (context, machine);
  vms_decide_changes (args, machine);
  /* even when nothing is known of it: what a killed command left behind goes now */
  if (!sandbox_machine_destroy (machine, !vms_args_has (args, "keep-profile"),
                                something ? vms_progress_update : say_nothing, progress,
                                context->cancellable, error))
    return FALSE;
  if (!something && !if_exists)
    return vms_fail (
        error, SANDBOX_ERROR_NOT_FOUND,
        "destroying %s: there is no such machine; it is only the name of a shipped profile", name);
  if (something)
    vms_progress_done (progress, "destroyed");
  vms_say_saved (machine);
  return TRUE;
}

static gboolean
recreate_one (VmsContext *context, const VmsArgs *args, SandboxHost *host, const char *name,
              VmsProgress *progress, GError **error)
{
  g_autoptr (SandboxMachine) machine =
      sandbox_host_lookup (host, name, context->cancellable, error);

  SandboxStartOptions options = SANDBOX_START_OPTIONS_INIT;

  if (machine == NULL)
    return FALSE;
  options.boot = vms_args_has (args, "boot");
  vms_decide_changes (args, machine);
  if (!sandbox_machine_recreate_with (machine, &options, vms_progress_update, progress,
                                      context->cancellable, error))
    {
      vms_say_saved (machine);
      return FALSE;
    }
  vms_say_saved (machine);
  vms_progress_done (progress, "has a fresh disk");
  return TRUE;
}

/* What goes with the disk beside the disk: "", or ", any unapplied changes to shares, 3 snapshots",
 * of all that are named. What cannot be told is left out: the verb itself tells. */
static char *
name_losses (VmsContext *context, const VmsArgs *args)
{
  g_autoptr (SandboxHost) host = vms_open_host (context, NULL);
  GString *text = g_string_new (NULL);
  gboolean reviews = FALSE;
  guint n = 0;

  for (char **name = args->operands; host != NULL && *name != NULL; name++)
    {
      g_autoptr (SandboxMachine) machine =
          sandbox_host_lookup (host, *name, context->cancellable, NULL);
      g_autoptr (SandboxMachineStatus) status =
          machine != NULL ? sandbox_machine_get_status (machine, context->cancellable, NULL) : NULL;
      g_auto (GStrv) tags = status != NULL && status->state != SANDBOX_STATE_NEW
                                ? sandbox_machine_list_reviews (machine, NULL)
                                : NULL;

      n += status != NULL ? status->snapshots : 0;
      reviews =
          reviews || (tags != NULL && tags[0] != NULL && strcmp (status->unapplied, "none") != 0);
    }
  if (reviews)
    g_string_append (text, ", any unapplied changes to shares");
  if (n > 0)
    g_string_append_printf (text, ", %u snapshot%s", n, n == 1 ? "" : "s");
  return g_string_free (text, FALSE);
}

int
vms_cmd_destroy (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autofree char *names = g_strjoinv (", ", args->operands);
  g_autofree char *losses = vms_can_ask () ? name_losses (context, args) : g_strdup ("");
  g_autofree char *question =
      g_strdup_printf ("Destroy %s, with disk%s, keys%s?", names, losses,
                       vms_args_has (args, "keep-profile") ? "" : " and profile");

  if (!vms_confirm (context, args, question, error))
    return 1;
  return vms_for_each (context, args, destroy_one, error);
}

int
vms_cmd_recreate (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autofree char *names = g_strjoinv (", ", args->operands);
  g_autofree char *losses = vms_can_ask () ? name_losses (context, args) : g_strdup ("");
  g_autofree char *question =
      g_strdup_printf ("Throw away all that is on the disk of %s%s?", names, losses);

  if (!vms_confirm (context, args, question, error))
    return 1;
  return vms_for_each (context, args, recreate_one, error);
}
