// SPDX-License-Identifier: LGPL-2.1-or-later
// vms doctor
#include <stdio.h>
#include <unistd.h>

#include "fix.h"
#include "progress.h"

static VmsColour
level_colour (guint level)
{
  static const VmsColour colours[] = {
    [SANDBOX_CHECK_GOOD] = VMS_GREEN,     [SANDBOX_CHECK_NOTE] = VMS_DIM,
    [SANDBOX_CHECK_WARNING] = VMS_YELLOW, [SANDBOX_CHECK_ERROR] = VMS_RED,
    [SANDBOX_CHECK_UNKNOWN] = VMS_BOLD,
  };

  return level < G_N_ELEMENTS (colours) ? colours[level] : VMS_PLAIN;
}

static void
print_check (const SandboxCheck *check)
{
  g_autofree char *text = vms_escape (check->text);
  g_autofree char *fix = check->fix != NULL ? vms_escape (check->fix) : NULL;

  printf ("%s%-7s%s  %s: %s\n", vms_colour (STDOUT_FILENO, level_colour (check->level)),
          sandbox_check_level_to_string (check->level), vms_colour (STDOUT_FILENO, VMS_PLAIN),
          check->id, text);
  if (fix != NULL)
    printf ("         fix: %s\n", fix);
}

static void
print_checks (GPtrArray *checks)
{
  for (guint i = 0; i < checks->len; i++)
    print_check (g_ptr_array_index (checks, i));
}

static void
print_orphans (GPtrArray *orphans)
{
  g_autoptr (VmsTable) table = vms_table_new ("KIND", "NAME", "WHY", NULL);

  for (guint i = 0; i < orphans->len; i++)
    {
      const SandboxOrphan *orphan = g_ptr_array_index (orphans, i);
      vms_table_add (table, VMS_PLAIN, orphan->kind, orphan->name, orphan->reason);
    }
  vms_table_print (table);
}

static void
json_checks (JsonBuilder *builder, GPtrArray *checks)
{
  json_builder_set_member_name (builder, "checks");
  json_builder_begin_array (builder);
  for (guint i = 0; i < checks->len; i++)
    {
      const SandboxCheck *check = g_ptr_array_index (checks, i);
      json_builder_begin_object (builder);
      vms_json_string (builder, "id", check->id);
      vms_json_string (builder, "level", sandbox_check_level_to_string (check->level));
      vms_json_string (builder, "text", check->text);
      vms_json_string (builder, "fix", check->fix);
      json_builder_set_member_name (builder, "commands");
      json_builder_begin_array (builder);
      for (guint k = 0; check->steps != NULL && k < check->steps->len; k++)
        {
          const SandboxFixStep *step = g_ptr_array_index (check->steps, k);
          json_builder_begin_object (builder);
          vms_json_strings (builder, "argv", step->argv);
          vms_json_string (builder, "input", step->input);
          vms_json_bool (builder, "root", step->root);
          json_builder_end_object (builder);
        }
      json_builder_end_array (builder);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
}

static void
json_report (GPtrArray *checks, GPtrArray *orphans, gboolean removed, GPtrArray *fixes)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  json_checks (builder, checks);
  json_builder_set_member_name (builder, "orphans");
  json_builder_begin_array (builder);
  for (guint i = 0; orphans != NULL && i < orphans->len; i++)
    {
      const SandboxOrphan *orphan = g_ptr_array_index (orphans, i);
      json_builder_begin_object (builder);
      vms_json_string (builder, "kind", orphan->kind);
      vms_json_string (builder, "name", orphan->name);
      vms_json_string (builder, "reason", orphan->reason);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_bool (builder, "removed", removed);
  json_builder_set_member_name (builder, "fixes");
  json_builder_begin_array (builder);
  for (guint i = 0; fixes != NULL && i < fixes->len; i++)
    {
      const VmsFix *fix = g_ptr_array_index (fixes, i);
      json_builder_begin_object (builder);
      vms_json_string (builder, "id", fix->id);
      vms_json_string (builder, "result", fix->result);
      vms_json_string (builder, "error", fix->error);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_end (builder);
}

/* Finds orphans, shows them, asks, removes them. @ret_removed: whether something was removed. */
static GPtrArray *
repair (VmsContext *context, const VmsArgs *args, gboolean *ret_removed, GError **error)
{
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (VmsProgress) progress = vms_progress_new (context, "doctor", FALSE);
  g_autoptr (GPtrArray) orphans = NULL;

  if (host == NULL)
    return NULL;
  orphans =
      sandbox_host_repair (host, FALSE, vms_progress_update, progress, context->cancellable, error);
  if (orphans == NULL || orphans->len == 0)
    return g_steal_pointer (&orphans);
  if (!context->json)
    print_orphans (orphans);
  if (!vms_confirm (context, args, "Remove these?", error))
    return NULL;
  g_clear_pointer (&orphans, g_ptr_array_unref);
  orphans =
      sandbox_host_repair (host, TRUE, vms_progress_update, progress, context->cancellable, error);
  *ret_removed = orphans != NULL && orphans->len > 0;
  return g_steal_pointer (&orphans);
}

static gboolean
has_error (GPtrArray *checks)
{
  for (guint i = 0; i < checks->len; i++)
    if (((SandboxCheck *)g_ptr_array_index (checks, i))->level == SANDBOX_CHECK_ERROR)
      return TRUE;
  return FALSE;
}

static gboolean
check_options (VmsContext *context, const VmsArgs *args, GError **error)
{
  gboolean repair_too = vms_args_has (args, "repair"), fix = vms_args_has (args, "fix");

  if (repair_too && fix)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "doctor: --fix (of the host) and --repair (of what was left behind) are "
                     "separate things: one after the other");
  if (vms_args_has (args, "yes") && !repair_too && !fix)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "doctor: --yes goes with --fix or --repair only");
  if (vms_args_has (args, "dry-run") && !fix)
    return vms_fail (error, SANDBOX_ERROR_INVALID, "doctor: --dry-run goes with --fix only");
  if (fix && context->json && !vms_args_has (args, "yes") && !vms_args_has (args, "dry-run"))
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "doctor: --fix with --json asks nothing: add --yes or --dry-run");
  return TRUE;
}

int
vms_cmd_doctor (VmsContext *context, const VmsArgs *args, GError **error)
{
  SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT;
  gboolean want_repair = vms_args_has (args, "repair"), removed = FALSE;
  g_autoptr (GPtrArray) checks = NULL;
  g_autoptr (GPtrArray) orphans = NULL;
  g_autoptr (GPtrArray) fixes = NULL;

  if (!check_options (context, args, error))
    return 1;
  options.uri = context->uri;
  checks = sandbox_host_diagnose (&options, context->cancellable);
  if (!context->json)
    print_checks (checks);
  /* without a connection there is nothing to repair, and the check has said so */
  if (want_repair && !(orphans = repair (context, args, &removed, error)))
    return 1;
  if (vms_args_has (args, "fix")
      && !(fixes = vms_fix_checks (context, args, &options, &checks, error)))
    return 1;
  if (context->json)
    json_report (checks, orphans, removed, fixes);
  else if (want_repair && orphans->len == 0)
    vms_say ("nothing was left behind");
  else if (removed)
    vms_say ("%u removed", orphans->len);
  if (has_error (checks) || vms_fix_failed (fixes))
    return vms_exit_status (&(GError){ .domain = SANDBOX_ERROR, .code = SANDBOX_ERROR_HOST });
  return 0;
}
