// SPDX-License-Identifier: LGPL-2.1-or-later
// vms forward list, vms forward add, vms forward remove
#include "context.h"

static char *
ports_text (const char *before, guint16 first, guint16 last)
{
  return first == last ? g_strdup_printf ("%s%u", before, first)
                       : g_strdup_printf ("%s%u-%u", before, first, last);
}

static void
json_forward (JsonBuilder *builder, const SandboxForward *forward)
{
  json_builder_begin_object (builder);
  vms_json_string (builder, "kind", forward->kind == SANDBOX_FORWARD_TO_GUEST ? "forward" : "host");
  vms_json_string (builder, "ports", forward->spec);
  vms_json_int (builder, "host_first", forward->host_first);
  vms_json_int (builder, "host_last", forward->host_last);
  vms_json_int (builder, "guest_first", forward->guest_first);
  vms_json_int (builder, "guest_last", forward->guest_last);
  vms_json_time (builder, "until", forward->until_usec);
  vms_json_string (builder, "state", sandbox_forward_state_to_string (forward->state));
  vms_json_string (builder, "reason", forward->reason);
  json_builder_end_object (builder);
}

static void
add_row (VmsTable *table, const SandboxForward *forward)
{
  gboolean to_guest = forward->kind == SANDBOX_FORWARD_TO_GUEST;
  g_autofree char *host = ports_text ("127.0.0.1:", forward->host_first, forward->host_last);
  g_autofree char *guest =
      ports_text (to_guest ? "" : "*:", forward->guest_first, forward->guest_last);
  g_autofree char *left = vms_time_left (forward->until_usec);
  g_autofree char *state =
      g_strconcat (sandbox_forward_state_to_string (forward->state),
                   *forward->reason != '\0' ? ": " : "", forward->reason, NULL);
  VmsColour colour = forward->state == SANDBOX_FORWARD_FAILED      ? VMS_RED
                     : forward->state == SANDBOX_FORWARD_LISTENING ? VMS_GREEN
                                                                   : VMS_PLAIN;

  vms_table_add (table, colour, forward->spec, to_guest ? host : guest, to_guest ? guest : host,
                 to_guest ? "machine" : "this host", *left != '\0' ? left : NULL, state);
}

int
vms_cmd_forward_list (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  g_autoptr (GPtrArray) forwards =
      machine != NULL ? sandbox_machine_list_forwards (machine, context->cancellable, error) : NULL;
  g_autoptr (VmsTable) table =
      vms_table_new ("PORTS", "LISTENS ON", "GOES TO", "OF", "TIME LEFT", "STATE", NULL);
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  if (forwards == NULL)
    return 1;
  json_builder_set_member_name (builder, "forwards");
  json_builder_begin_array (builder);
  for (guint i = 0; i < forwards->len; i++)
    {
      json_forward (builder, g_ptr_array_index (forwards, i));
      add_row (table, g_ptr_array_index (forwards, i));
    }
  json_builder_end_array (builder);
  if (context->json)
    vms_json_end (builder);
  else if (forwards->len > 0)
    vms_table_print (table);
  else if (!context->quiet)
    vms_say ("%s: nothing is forwarded", args->operands[0]);
  return 0;
}

static SandboxForwardOptions
options_of (const VmsArgs *args)
{
  SandboxForwardOptions options = SANDBOX_FORWARD_OPTIONS_INIT;

  options.kind = vms_args_has (args, "host") ? SANDBOX_FORWARD_TO_HOST : SANDBOX_FORWARD_TO_GUEST;
  return options;
}

/* Where what was added leads, as far as the words are those of the list. */
static void
say_added (VmsContext *context, SandboxMachine *machine, char **specs, SandboxForwardKind kind)
{
  const char *name = sandbox_machine_get_name (machine);
  g_autoptr (SandboxMachineStatus) status =
      sandbox_machine_get_status (machine, context->cancellable, NULL);
  gboolean runs = status != NULL && status->state == SANDBOX_STATE_RUNNING;

  for (guint i = 0; status != NULL && i < status->forwards->len; i++)
    {
      const SandboxForward *forward = g_ptr_array_index (status->forwards, i);
      gboolean to_guest = forward->kind == SANDBOX_FORWARD_TO_GUEST;
      g_autofree char *host = ports_text ("127.0.0.1:", forward->host_first, forward->host_last);
      g_autofree char *guest = ports_text ("", forward->guest_first, forward->guest_last);

      if (forward->kind != kind || !g_strv_contains ((const char *const *)specs, forward->spec))
        continue;
      if (to_guest)
        vms_say ("%s: %s of this host leads to port %s of the machine%s", name, host, guest,
                 runs ? "" : ", from its next start on");
      else
        vms_say ("%s: port %s of the machine leads to %s of this host%s", name, guest, host,
                 runs ? "" : ", from its next start on");
    }
  vms_say ("%s: added; whether it works, `vms forward list %s` tells", name, name);
}

int
vms_cmd_forward_add (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  SandboxForwardOptions options = options_of (args);
  g_autoptr (SandboxMachine) machine = NULL;

  if (!vms_args_get_time (args, "for", &options.for_usec, error))
    return 1;
  machine = vms_open_machine (context, name, error);
  if (machine == NULL
      || !sandbox_machine_add_forwards (machine, (const char *const *)args->operands + 1, &options,
                                        context->cancellable, error))
    return 1;
  if (!context->quiet)
    say_added (context, machine, args->operands + 1, options.kind);
  return 0;
}

int
vms_cmd_forward_remove (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  SandboxForwardOptions options = options_of (args);
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, name, error);

  if (machine == NULL
      || !sandbox_machine_remove_forwards (machine, (const char *const *)args->operands + 1,
                                           &options, context->cancellable, error))
    return 1;
  if (!context->quiet)
    vms_say ("%s: removed", name);
  return 0;
}
