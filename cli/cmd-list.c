// SPDX-License-Identifier: LGPL-2.1-or-later
// vms list
#include "context.h"

static VmsColour
state_colour (SandboxState state)
{
  switch (state)
    {
    case SANDBOX_STATE_RUNNING:
      return VMS_GREEN;
    case SANDBOX_STATE_PAUSED:
    case SANDBOX_STATE_STOPPING:
      return VMS_YELLOW;
    case SANDBOX_STATE_CRASHED:
    case SANDBOX_STATE_INCOMPLETE:
      return VMS_RED;
    case SANDBOX_STATE_NEW:
    case SANDBOX_STATE_STOPPED:
    default:
      return VMS_PLAIN;
    }
}

static void
print_json (GPtrArray *machines, gboolean disk)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  json_builder_set_member_name (builder, "machines");
  json_builder_begin_array (builder);
  for (guint i = 0; i < machines->len; i++)
    {
      const SandboxMachineInfo *info = g_ptr_array_index (machines, i);
      json_builder_begin_object (builder);
      vms_json_string (builder, "name", info->name);
      vms_json_string (builder, "state", sandbox_state_to_string (info->state));
      vms_json_string (builder, "profile", info->profile);
      vms_json_string (builder, "uuid", info->uuid);
      vms_json_string (builder, "unapplied", info->unapplied);
      if (disk)
        {
          vms_json_int (builder, "disk_bytes", (gint64)info->disk_bytes);
          vms_json_int (builder, "disk_limit_bytes", (gint64)info->disk_limit_bytes);
        }
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_end (builder);
}

static void
print_table (GPtrArray *machines, gboolean disk)
{
  g_autoptr (VmsTable) table =
      disk ? vms_table_new ("NAME", "STATE", "PROFILE", ">DISK", ">LIMIT", NULL)
           : vms_table_new ("NAME", "STATE", "PROFILE", NULL);

  for (guint i = 0; i < machines->len; i++)
    {
      const SandboxMachineInfo *info = g_ptr_array_index (machines, i);
      g_autofree char *used = vms_size (info->disk_bytes);
      g_autofree char *limit = vms_size (info->disk_limit_bytes);
      vms_table_add (table, state_colour (info->state), info->name,
                     sandbox_state_to_string (info->state), info->profile, used, limit);
    }
  vms_table_print (table);
}

int
vms_cmd_list (VmsContext *context, const VmsArgs *args, GError **error)
{
  gboolean disk = vms_args_has (args, "disk");
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (GPtrArray) machines = NULL;

  if (host == NULL)
    return 1;
  machines = sandbox_host_list (host, disk ? SANDBOX_LIST_DISK : SANDBOX_LIST_DEFAULT,
                                context->cancellable, error);
  if (machines == NULL)
    return 1;
  if (context->json)
    print_json (machines, disk);
  else if (machines->len > 0)
    print_table (machines, disk);
  else if (!context->quiet)
    vms_say ("no machines yet; `vms start work` makes one");
  return 0;
}
