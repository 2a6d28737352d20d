// SPDX-License-Identifier: LGPL-2.1-or-later
// vms doctor
#include <stdio.h>
#include <unistd.h>

#include "progress.h"

/* SandboxCheck.level */
enum
{
  LEVEL_GOOD,
  LEVEL_NOTE,
  LEVEL_WARNING,
  LEVEL_ERROR,
  N_LEVELS,
};

static const struct
{
  const char *name;
  VmsColour colour;
} levels[N_LEVELS] = {
  [LEVEL_GOOD] = { "good", VMS_GREEN },
  [LEVEL_NOTE] = { "note", VMS_DIM },
  [LEVEL_WARNING] = { "warning", VMS_YELLOW },
  [LEVEL_ERROR] = { "error", VMS_RED },
};

static void
print_checks (GPtrArray *checks)
{
  for (guint i = 0; i < checks->len; i++)
    {
      const SandboxCheck *check = g_ptr_array_index (checks, i);
      guint level = MIN (check->level, LEVEL_ERROR);
      g_autofree char *text = vms_escape (check->text);
      g_autofree char *fix = check->fix != NULL ? vms_escape (check->fix) : NULL;

      printf ("%s%-7s%s  %s: %s\n", vms_colour (STDOUT_FILENO, levels[level].colour),
              levels[level].name, vms_colour (STDOUT_FILENO, VMS_PLAIN), check->id, text);
      if (fix != NULL)
        printf ("         fix: %s\n", fix);
    }
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
json_report (GPtrArray *checks, GPtrArray *orphans, gboolean removed)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  json_builder_set_member_name (builder, "checks");
  json_builder_begin_array (builder);
  for (guint i = 0; i < checks->len; i++)
    {
      const SandboxCheck *check = g_ptr_array_index (checks, i);
      json_builder_begin_object (builder);
      vms_json_string (builder, "id", check->id);
      vms_json_string (builder, "level", levels[MIN (check->level, LEVEL_ERROR)].name);
      vms_json_string (builder, "text", check->text);
      vms_json_string (builder, "fix", check->fix);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
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
    if (((SandboxCheck *)g_ptr_array_index (checks, i))->level >= LEVEL_ERROR)
      return TRUE;
  return FALSE;
}

int
vms_cmd_doctor (VmsContext *context, const VmsArgs *args, GError **error)
{
  SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT;
  gboolean want_repair = vms_args_has (args, "repair"), removed = FALSE;
  g_autoptr (GPtrArray) checks = NULL;
  g_autoptr (GPtrArray) orphans = NULL;

  if (vms_args_has (args, "yes") && !want_repair)
    return !vms_fail (error, SANDBOX_ERROR_INVALID, "doctor: --yes goes with --repair only");
  options.uri = context->uri;
  checks = sandbox_host_diagnose (&options, context->cancellable);
  if (!context->json)
    print_checks (checks);
  /* without a connection there is nothing to repair, and the check has said so */
  if (want_repair && !(orphans = repair (context, args, &removed, error)))
    return 1;
  if (context->json)
    json_report (checks, orphans, removed);
  else if (want_repair && orphans->len == 0)
    vms_say ("nothing was left behind");
  else if (removed)
    vms_say ("%u removed", orphans->len);
  if (has_error (checks))
    return vms_exit_status (&(GError){ .domain = SANDBOX_ERROR, .code = SANDBOX_ERROR_HOST });
  return 0;
}
