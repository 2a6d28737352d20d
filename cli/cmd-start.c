// SPDX-License-Identifier: LGPL-2.1-or-later
// vms start, stop, restart, suspend, resume
#include <stdio.h>

#include "parallel.h"

typedef struct
{
  SandboxStartOptions start;
  char **shares;
} Options;

static void
options_clear (Options *options)
{
  g_strfreev (options->shares);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

/* ssh is what is waited for anyway. */
static gboolean
read_wait_for (const char *word, guint16 *ret_port, GError **error)
{
  guint64 port = 0;

  if (word == NULL || strcmp (word, "ssh") == 0)
    return TRUE;
  if (!g_ascii_string_to_unsigned (word, 10, 1, G_MAXUINT16, &port, NULL))
    {
      g_autofree char *shown = vms_escape (word);

      return vms_fail (error, SANDBOX_ERROR_INVALID,
                       "--wait-for=\"%s\" is neither \"ssh\" nor a port from 1 to 65535", shown);
    }
  *ret_port = (guint16)port;
  return TRUE;
}

static gboolean
read_options (const VmsArgs *args, Options *options, GError **error)
{
  options->start = (SandboxStartOptions)SANDBOX_START_OPTIONS_INIT;
  options->shares = vms_share_specs (args);
  options->start.boot = vms_args_has (args, "boot");
  options->start.shares = (const char *const *)options->shares;
  return read_wait_for (vms_args_get (args, "wait-for"), &options->start.wait_port, error)
         && vms_args_get_time (args, "timeout", &options->start.timeout_usec, error);
}

static gboolean
start_one (VmsContext *context, const VmsArgs *args, SandboxHost *host, const char *name,
           VmsProgress *progress, GError **error)
{
  g_auto (Options) options = { 0 };
  g_autoptr (SandboxMachine) machine =
      sandbox_host_lookup (host, name, context->cancellable, error);
  g_autofree char *elapsed = NULL;

  if (machine == NULL || !read_options (args, &options, error))
    return FALSE;
  if (!sandbox_machine_start (machine, &options.start, vms_progress_update, progress,
                              context->cancellable, error))
    return FALSE;
  elapsed = vms_progress_elapsed (progress);
  vms_progress_done (progress, "running (%s); `vms ssh %s` enters it", elapsed, name);
  return TRUE;
}

static gboolean
stop_one (VmsContext *context, const VmsArgs *args, SandboxHost *host, const char *name,
          VmsProgress *progress, GError **error)
{
  gint64 timeout_usec;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_lookup (host, name, context->cancellable, error);

  if (machine == NULL || !vms_args_get_time (args, "timeout", &timeout_usec, error))
    return FALSE;
  if (!sandbox_machine_stop (machine, vms_args_has (args, "force"), timeout_usec,
                             vms_progress_update, progress, context->cancellable, error))
    return FALSE;
  vms_progress_done (progress, "stopped");
  return TRUE;
}

static gboolean
restart_one (VmsContext *context, const VmsArgs *args, SandboxHost *host, const char *name,
             VmsProgress *progress, GError **error)
{
  SandboxStartOptions options = SANDBOX_START_OPTIONS_INIT;
  gint64 timeout_usec;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_lookup (host, name, context->cancellable, error);
  g_autofree char *elapsed = NULL;

  if (machine == NULL || !vms_args_get_time (args, "timeout", &timeout_usec, error)
      || !vms_passphrase_can_ask (context, machine, error))
    return FALSE;
  if (!sandbox_machine_stop (machine, vms_args_has (args, "force"), timeout_usec,
                             vms_progress_update, progress, context->cancellable, error))
    return FALSE;
  if (!sandbox_machine_start (machine, &options, vms_progress_update, progress,
                              context->cancellable, error))
    return FALSE;
  elapsed = vms_progress_elapsed (progress);
  vms_progress_done (progress, "running again (%s)", elapsed);
  return TRUE;
}

static gboolean
suspend_one (VmsContext *context, const VmsArgs *args, SandboxHost *host, const char *name,
             VmsProgress *progress, GError **error)
{
  SandboxSuspendOptions options = SANDBOX_SUSPEND_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_lookup (host, name, context->cancellable, error);

  options.to_memory = vms_args_has (args, "memory");
  if (machine == NULL
      || !sandbox_machine_suspend (machine, &options, vms_progress_update, progress,
                                   context->cancellable, error))
    return FALSE;
  vms_progress_done (progress, "%s; `vms resume %s` lets it go on",
                     options.to_memory ? "paused" : "suspended", name);
  return TRUE;
}

static gboolean
resume_one (VmsContext *context, const VmsArgs *args, SandboxHost *host, const char *name,
            VmsProgress *progress, GError **error)
{
  gint64 timeout_usec;
  g_autoptr (SandboxMachine) machine =
      sandbox_host_lookup (host, name, context->cancellable, error);
  g_autofree char *elapsed = NULL;

  if (machine == NULL || !vms_args_get_time (args, "timeout", &timeout_usec, error)
      || !sandbox_machine_resume (machine, timeout_usec, vms_progress_update, progress,
                                  context->cancellable, error))
    return FALSE;
  elapsed = vms_progress_elapsed (progress);
  vms_progress_done (progress, "goes on (%s); `vms ssh %s` enters it", elapsed, name);
  return TRUE;
}

static void
json_plan (JsonBuilder *builder, const char *name, SandboxPlan *plan, const char *changes)
{
  g_autofree char *plan_text = sandbox_plan_describe (plan);
  g_autofree char *domain = sandbox_plan_domain_xml (plan);
  g_autofree char *network = sandbox_plan_network_xml (plan);
  g_autofree char *filter = sandbox_plan_filter_xml (plan);
  g_auto (GStrv) plan_lines = g_strsplit (g_strchomp (plan_text), "\n", -1);
  g_auto (GStrv) change_lines = g_strsplit (changes, "\n", -1);

  json_builder_begin_object (builder);
  vms_json_string (builder, "name", name);
  vms_json_strings (builder, "plan", plan_lines);
  vms_json_strings (builder, "changes", *changes != '\0' ? change_lines : NULL);
  vms_json_string (builder, "domain_xml", domain);
  vms_json_string (builder, "network_xml", network);
  vms_json_string (builder, "filter_xml", filter);
  json_builder_end_object (builder);
}

static void
print_plan (VmsContext *context, const char *name, SandboxPlan *plan, const char *changes)
{
  g_autofree char *text = sandbox_plan_describe (plan);
  g_autofree char *shown = vms_escape_lines (text);
  g_autofree char *shown_changes = vms_escape_lines (changes);
  g_autofree char *domain = sandbox_plan_domain_xml (plan);
  g_autofree char *network = sandbox_plan_network_xml (plan);
  g_autofree char *filter = sandbox_plan_filter_xml (plan);

  vms_print (shown);
  if (context->verbose)
    {
      vms_print (domain);
      vms_print (network);
      vms_print (filter);
    }
  if (*changes != '\0')
    {
      printf ("\nchanges to %s:\n", name);
      vms_print (shown_changes);
    }
}

static gboolean
dry_run (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_auto (Options) options = { 0 };
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  json_builder_set_member_name (builder, "machines");
  json_builder_begin_array (builder);
  if (host == NULL || !read_options (args, &options, error))
    return FALSE;
  for (char **name = args->operands; *name != NULL; name++)
    {
      g_autofree char *changes = NULL;
      g_autoptr (SandboxMachine) machine =
          sandbox_host_lookup (host, *name, context->cancellable, error);
      g_autoptr (SandboxPlan) plan = machine != NULL
                                         ? sandbox_machine_plan (machine, &options.start, &changes,
                                                                 context->cancellable, error)
                                         : NULL;
      if (plan == NULL)
        return FALSE;
      if (context->json)
        json_plan (builder, *name, plan, changes != NULL ? changes : "");
      else
        print_plan (context, *name, plan, changes != NULL ? changes : "");
    }
  json_builder_end_array (builder);
  if (context->json)
    vms_json_end (builder);
  return TRUE;
}

int
vms_cmd_start (VmsContext *context, const VmsArgs *args, GError **error)
{
  if (vms_args_has (args, "dry-run"))
    return dry_run (context, args, error) ? 0 : 1;
  if (context->json)
    return !vms_fail (error, SANDBOX_ERROR_INVALID, "start: --json goes with --dry-run only");
  return vms_for_each (context, args, start_one, error);
}

int
vms_cmd_stop (VmsContext *context, const VmsArgs *args, GError **error)
{
  return vms_for_each (context, args, stop_one, error);
}

int
vms_cmd_restart (VmsContext *context, const VmsArgs *args, GError **error)
{
  return vms_for_each (context, args, restart_one, error);
}

int
vms_cmd_suspend (VmsContext *context, const VmsArgs *args, GError **error)
{
  return vms_for_each (context, args, suspend_one, error);
}

int
vms_cmd_resume (VmsContext *context, const VmsArgs *args, GError **error)
{
  return vms_for_each (context, args, resume_one, error);
}
