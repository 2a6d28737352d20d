// SPDX-License-Identifier: LGPL-2.1-or-later
// vms list
#include "context.h"

#include <stdio.h>

static VmsColour
state_colour (SandboxState state)
{
  switch (state)
    {
    case SANDBOX_STATE_RUNNING:
      return VMS_GREEN;
    case SANDBOX_STATE_PAUSED:
    case SANDBOX_STATE_STOPPING:
    case SANDBOX_STATE_SUSPENDED:
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
json_space (JsonBuilder *builder, const SandboxSpace *space)
{
  json_builder_set_member_name (builder, "space");
  json_builder_begin_array (builder);
  for (guint i = 0; i < space->items->len; i++)
    {
      const SandboxSpaceItem *item = g_ptr_array_index (space->items, i);

      json_builder_begin_object (builder);
      vms_json_string (builder, "kind", item->kind);
      vms_json_string (builder, "name", item->name);
      vms_json_int (builder, "allocated_bytes", (gint64)item->allocated_bytes);
      vms_json_int (builder, "shared_bytes", (gint64)item->shared_bytes);
      vms_json_int (builder, "reclaimable_bytes", (gint64)item->reclaimable_bytes);
      vms_json_int (builder, "limit_bytes", (gint64)item->limit_bytes);
      vms_json_strings (builder, "used_by", item->used_by);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_int (builder, "allocated_bytes", (gint64)space->allocated_bytes);
  vms_json_int (builder, "reclaimable_bytes", (gint64)space->reclaimable_bytes);
  vms_json_int (builder, "available_bytes", (gint64)space->available_bytes);
}

/* What there is none of is shown as nothing. */
static char *
size_or_none (guint64 bytes)
{
  return bytes > 0 ? vms_size (bytes) : NULL;
}

static void
print_space (const SandboxSpace *space)
{
  g_autoptr (VmsTable) table =
      vms_table_new ("KIND", "NAME", ">SIZE", ">SHARED", ">RECLAIMABLE", "USED BY", NULL);
  g_autofree char *all = vms_size (space->allocated_bytes);
  g_autofree char *reclaimable = vms_size (space->reclaimable_bytes);
  g_autofree char *available = vms_size (space->available_bytes);

  for (guint i = 0; i < space->items->len; i++)
    {
      const SandboxSpaceItem *item = g_ptr_array_index (space->items, i);
      g_autofree char *size = vms_size (item->allocated_bytes);
      g_autofree char *shared = size_or_none (item->shared_bytes);
      g_autofree char *free_able = size_or_none (item->reclaimable_bytes);
      g_autofree char *users = *item->used_by != NULL ? g_strjoinv (" ", item->used_by) : NULL;

      vms_table_add (table, item->reclaimable_bytes > 0 ? VMS_YELLOW : VMS_PLAIN, item->kind,
                     item->name, size, shared, free_able, users);
    }
  if (space->items->len > 0)
    vms_table_print (table);
  if (space->allocated_bytes == 0 && space->available_bytes == 0)
    return;
  printf ("\nstorage pool: %s taken, %s of it reclaimable; %s left on its disk\n", all, reclaimable,
          available);
}

static void
print_json (GPtrArray *machines, const SandboxSpace *space)
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
      vms_json_string (builder, "problem", info->problem);
      vms_json_string (builder, "uuid", info->uuid);
      vms_json_string (builder, "unapplied", info->unapplied);
      if (space != NULL)
        {
          vms_json_int (builder, "disk_bytes", (gint64)info->disk_bytes);
          vms_json_int (builder, "disk_limit_bytes", (gint64)info->disk_limit_bytes);
        }
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  if (space != NULL)
    json_space (builder, space);
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
      gboolean valid = *info->problem == '\0';

      vms_table_add (table, valid ? state_colour (info->state) : VMS_RED, info->name,
                     sandbox_state_to_string (info->state),
                     valid ? info->profile : "not valid; `vms status` says why", used, limit);
    }
  vms_table_print (table);
}

int
vms_cmd_list (VmsContext *context, const VmsArgs *args, GError **error)
{
  gboolean disk = vms_args_has (args, "disk");
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (GPtrArray) machines = NULL;
  g_autoptr (SandboxSpace) space = NULL;

  if (host == NULL)
    return 1;
  machines = sandbox_host_list (host, disk ? SANDBOX_LIST_DISK : SANDBOX_LIST_DEFAULT,
                                context->cancellable, error);
  if (machines == NULL)
    return 1;
  space = disk ? sandbox_host_get_space (host, context->cancellable, error) : NULL;
  if (disk && space == NULL)
    return 1;
  if (context->json)
    print_json (machines, space);
  else if (machines->len > 0)
    print_table (machines, disk);
  else if (!context->quiet)
    vms_say ("no machines yet; `vms start work` makes one");
  if (disk && !context->json)
    {
      if (machines->len > 0)
        printf ("\n");
      print_space (space);
    }
  return 0;
}
