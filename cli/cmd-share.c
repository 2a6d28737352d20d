// SPDX-License-Identifier: LGPL-2.1-or-later
// vms share list, vms share add, vms share remove
#include "context.h"

static void
json_share (JsonBuilder *builder, const SandboxShare *share)
{
  json_builder_begin_object (builder);
  vms_json_string (builder, "name", share->name);
  vms_json_string (builder, "source", share->source);
  vms_json_string (builder, "target", share->target);
  vms_json_string (builder, "mode", share->mode);
  vms_json_time (builder, "until", share->until_usec);
  vms_json_bool (builder, "in_profile", share->in_profile);
  vms_json_string (builder, "state", sandbox_share_state_to_string (share->state));
  vms_json_string (builder, "reason", share->reason);
  json_builder_end_object (builder);
}

static void
add_row (VmsTable *table, const SandboxShare *share)
{
  g_autofree char *left = vms_time_left (share->until_usec);
  g_autofree char *state = g_strconcat (sandbox_share_state_to_string (share->state),
                                        *share->reason != '\0' ? ": " : "", share->reason, NULL);
  VmsColour colour = share->state == SANDBOX_SHARE_NOT_MOUNTED ? VMS_RED
                     : share->state == SANDBOX_SHARE_MOUNTED   ? VMS_GREEN
                                                               : VMS_PLAIN;

  vms_table_add (table, colour, share->name, share->source, share->target, share->mode,
                 *left != '\0' ? left : NULL, state);
}

int
vms_cmd_share_list (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  g_autoptr (GPtrArray) shares =
      machine != NULL ? sandbox_machine_list_shares (machine, context->cancellable, error) : NULL;
  g_autoptr (VmsTable) table =
      vms_table_new ("SHARE", "DIRECTORY", "MOUNTED AT", "MODE", "TIME LEFT", "STATE", NULL);
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  if (shares == NULL)
    return 1;
  json_builder_set_member_name (builder, "shares");
  json_builder_begin_array (builder);
  for (guint i = 0; i < shares->len; i++)
    {
      json_share (builder, g_ptr_array_index (shares, i));
      add_row (table, g_ptr_array_index (shares, i));
    }
  json_builder_end_array (builder);
  if (context->json)
    vms_json_end (builder);
  else if (shares->len > 0)
    vms_table_print (table);
  else if (!context->quiet)
    vms_say ("%s: nothing is shared", args->operands[0]);
  return 0;
}

int
vms_cmd_share_add (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  SandboxAddShareOptions options = SANDBOX_ADD_SHARE_OPTIONS_INIT;
  g_autofree char *spec = vms_share_spec (args->operands[1]), *tag = NULL;
  g_autoptr (SandboxMachine) machine = NULL;

  if (!vms_args_get_time (args, "for", &options.for_usec, error))
    return 1;
  machine = vms_open_machine (context, name, error);
  if (machine == NULL
      || !sandbox_machine_add_share (machine, spec, &options, NULL, NULL, context->cancellable,
                                     &tag, error))
    return 1;
  if (!context->quiet)
    vms_say ("%s: shared as \"%s\"; see `vms share list %s`", name, tag, name);
  return 0;
}

int
vms_cmd_share_remove (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  SandboxRemoveShareOptions options = SANDBOX_REMOVE_SHARE_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, name, error);

  options.force = vms_args_has (args, "force");
  options.discard_changes = vms_args_has (args, "discard-changes");
  if (machine == NULL
      || !sandbox_machine_remove_share (machine, args->operands[1], &options, context->cancellable,
                                        error))
    return 1;
  if (!context->quiet)
    vms_say ("%s: removed", name);
  return 0;
}
