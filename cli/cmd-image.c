// SPDX-License-Identifier: LGPL-2.1-or-later
// vms image build, list, show, remove, prune
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "suggest.h"

#define DEFAULT_IMAGE "debian-13"

static gboolean
is_recipe (const char *name)
{
  g_auto (GStrv) recipes = sandbox_image_recipes ();

  return g_strv_contains ((const char *const *)recipes, name);
}

static gboolean
build_layers (VmsContext *context, const VmsArgs *args, SandboxHost *host, VmsProgress *progress,
              char **ret_id, GError **error)
{
  SandboxProvisionOptions options = SANDBOX_PROVISION_OPTIONS_INIT;

  options.update = vms_args_has (args, "update");
  options.debug = vms_args_has (args, "debug");
  return sandbox_host_provision (host, args->operands[0], &options, vms_progress_update, progress,
                                 context->cancellable, ret_id, error);
}

/* Names of the profiles, then of the recipes. (transfer full) */
static char **
known_names (SandboxHost *host)
{
  const SandboxProfileDirs *dirs = sandbox_host_get_profile_dirs (host);
  g_autoptr (GPtrArray) list = sandbox_profile_list (dirs, NULL);
  g_auto (GStrv) recipes = sandbox_image_recipes ();
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();

  for (guint i = 0; list != NULL && i < list->len; i++)
    g_strv_builder_add (names, ((SandboxProfileInfo *)list->pdata[i])->name);
  g_strv_builder_addv (names, (const char **)recipes);
  return g_strv_builder_end (names);
}

static gboolean
fail_unknown (const char *name, const char *const *known, GError **error)
{
  g_autofree char *shown = vms_escape (name);
  const char *near = vms_nearest (name, known);
  g_auto (GStrv) recipes = sandbox_image_recipes ();
  g_autofree char *images = g_strjoinv (", ", recipes);

  return vms_fail (error, SANDBOX_ERROR_NOT_FOUND,
                   "image build: there is no image and no profile \"%s\"%s%s%s; images are %s, and "
                   "`vms profile list` shows the profiles",
                   shown, near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                   near != NULL ? "\"" : "", images);
}

int
vms_cmd_image_build (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->n_operands > 0 ? args->operands[0] : DEFAULT_IMAGE;
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (VmsProgress) progress = vms_progress_new (context, name, TRUE);
  g_auto (GStrv) known = NULL;
  g_autofree char *id = NULL;
  g_autofree char *elapsed = NULL;

  if (host == NULL)
    return 1;
  known = known_names (host);
  if (!g_strv_contains ((const char *const *)known, name))
    return !fail_unknown (name, (const char *const *)known, error);
  if (!is_recipe (name))
    {
      if (!build_layers (context, args, host, progress, &id, error))
        return 1;
    }
  else if (!sandbox_host_build_image (host, name, vms_args_has (args, "update"),
                                      vms_progress_update, progress, context->cancellable, &id,
                                      error))
    return 1;
  elapsed = vms_progress_elapsed (progress);
  vms_progress_done (progress, "there (%s)", elapsed);
  vms_print (id);
  return 0;
}

static char *
time_text (gint64 usec)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (usec / G_USEC_PER_SEC);

  return time != NULL ? g_date_time_format (time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup ("");
}

static void
json_layers (JsonBuilder *builder, GPtrArray *layers)
{
  json_builder_set_member_name (builder, "layers");
  json_builder_begin_array (builder);
  for (guint i = 0; i < layers->len; i++)
    {
      const SandboxLayerInfo *info = g_ptr_array_index (layers, i);
      g_autofree char *built = time_text (info->built_usec);
      json_builder_begin_object (builder);
      vms_json_string (builder, "id", info->id);
      vms_json_string (builder, "image", info->image);
      vms_json_string (builder, "parent", info->parent);
      vms_json_string (builder, "profile", info->profile);
      vms_json_string (builder, "step", info->step);
      vms_json_string (builder, "what", info->what);
      vms_json_string (builder, "registry", info->registry);
      vms_json_int (builder, "uid", info->uid);
      vms_json_string (builder, "built", built);
      vms_json_int (builder, "disk_bytes", (gint64)info->disk_bytes);
      vms_json_strings (builder, "used_by", info->used_by);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
}

static void
json_warm (JsonBuilder *builder, GPtrArray *warm)
{
  json_builder_set_member_name (builder, "warm");
  json_builder_begin_array (builder);
  for (guint i = 0; i < warm->len; i++)
    {
      const SandboxWarmInfo *info = g_ptr_array_index (warm, i);
      g_autofree char *built = time_text (info->built_usec);
      json_builder_begin_object (builder);
      vms_json_string (builder, "id", info->id);
      vms_json_string (builder, "machine", info->machine);
      vms_json_bool (builder, "throwaway", info->throwaway);
      vms_json_string (builder, "built", built);
      vms_json_int (builder, "memory_bytes", (gint64)info->memory_bytes);
      vms_json_int (builder, "disk_bytes", (gint64)info->disk_bytes);
      vms_json_strings (builder, "used_by", info->used_by);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
}

static void
json_images (GPtrArray *images, GPtrArray *layers, GPtrArray *warm)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  json_builder_set_member_name (builder, "images");
  json_builder_begin_array (builder);
  for (guint i = 0; i < images->len; i++)
    {
      const SandboxImageInfo *info = g_ptr_array_index (images, i);
      g_autofree char *built = time_text (info->built_usec);
      json_builder_begin_object (builder);
      vms_json_string (builder, "name", info->name);
      vms_json_string (builder, "id", info->id);
      vms_json_string (builder, "built", built);
      vms_json_int (builder, "disk_bytes", (gint64)info->disk_bytes);
      vms_json_int (builder, "virtual_bytes", (gint64)info->virtual_bytes);
      vms_json_bool (builder, "newest", info->newest);
      vms_json_strings (builder, "used_by", info->used_by);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  json_layers (builder, layers);
  json_warm (builder, warm);
  vms_json_end (builder);
}

static void
table_images (GPtrArray *images)
{
  g_autoptr (VmsTable) table = vms_table_new ("NAME", "ID", ">DISK", "USED BY", NULL);

  for (guint i = 0; i < images->len; i++)
    {
      const SandboxImageInfo *info = g_ptr_array_index (images, i);
      g_autofree char *disk = vms_size (info->disk_bytes);
      g_autofree char *used = info->used_by != NULL ? g_strjoinv (" ", info->used_by) : NULL;
      vms_table_add (table, info->newest ? VMS_PLAIN : VMS_DIM, info->name, info->id, disk, used);
    }
  vms_table_print (table);
}

/* Who made it, where that is another user. */
static char *
whose (const SandboxLayerInfo *info)
{
  const struct passwd *user = info->uid != getuid () ? getpwuid (info->uid) : NULL;

  if (info->uid == getuid ())
    return g_strdup (info->profile);
  return user != NULL ? g_strdup_printf ("%s (of %s)", info->profile, user->pw_name)
                      : g_strdup_printf ("%s (of user %u)", info->profile, info->uid);
}

static void
table_layers (GPtrArray *layers)
{
  g_autoptr (VmsTable) table =
      vms_table_new ("PROFILE", "STEP", "BUILT", "ID", ">DISK", "USED BY", NULL);

  for (guint i = 0; i < layers->len; i++)
    {
      const SandboxLayerInfo *info = g_ptr_array_index (layers, i);
      g_autofree char *disk = vms_size (info->disk_bytes);
      g_autofree char *built = time_text (info->built_usec);
      g_autofree char *used = g_strjoinv (" ", info->used_by);
      g_autofree char *profile = whose (info);
      vms_table_add (table, *info->used_by != NULL ? VMS_PLAIN : VMS_DIM, profile, info->step,
                     built, info->id, disk, used);
    }
  printf ("\n");
  vms_table_print (table);
}

static void
table_warm (GPtrArray *warm)
{
  g_autoptr (VmsTable) table =
      vms_table_new ("KEPT MEMORY OF", "BUILT", "ID", ">MEMORY", ">DISK", "USED BY", NULL);

  for (guint i = 0; i < warm->len; i++)
    {
      const SandboxWarmInfo *info = g_ptr_array_index (warm, i);
      g_autofree char *memory = vms_size (info->memory_bytes);
      g_autofree char *disk = vms_size (info->disk_bytes);
      g_autofree char *built = time_text (info->built_usec);
      g_autofree char *used = g_strjoinv (" ", info->used_by);
      vms_table_add (table, VMS_PLAIN, info->machine, built, info->id, memory, disk, used);
    }
  printf ("\n");
  vms_table_print (table);
}

int
vms_cmd_image_list (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (GPtrArray) images =
      host != NULL ? sandbox_host_list_images (host, context->cancellable, error) : NULL;
  g_autoptr (GPtrArray) layers =
      images != NULL ? sandbox_host_list_layers (host, context->cancellable, error) : NULL;

  g_autoptr (GPtrArray) warm =
      layers != NULL ? sandbox_host_list_warm (host, context->cancellable, error) : NULL;

  if (warm == NULL)
    return 1;
  if (context->json)
    json_images (images, layers, warm);
  else if (images->len > 0)
    {
      table_images (images);
      if (layers->len > 0)
        table_layers (layers);
      if (warm->len > 0)
        table_warm (warm);
    }
  else if (!context->quiet)
    vms_say ("no images yet; `vms image build` makes one, and so does the first start");
  return 0;
}

/* The manifest's own members, lists by their length; all of it is in the JSON. */
static void
print_manifest (JsonObject *object)
{
  g_autoptr (GList) members = json_object_get_members (object);

  for (GList *at = members; at != NULL; at = at->next)
    {
      JsonNode *node = json_object_get_member (object, at->data);
      g_autofree char *text = NULL;
      g_autofree char *shown = NULL;
      if (JSON_NODE_HOLDS_ARRAY (node))
        text = g_strdup_printf ("%u", json_array_get_length (json_node_get_array (node)));
      else if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
        text = g_strdup (json_node_get_string (node));
      else
        text = json_to_string (node, FALSE);
      shown = vms_escape (text);
      printf ("%s: %s\n", (char *)at->data, shown);
    }
}

int
vms_cmd_image_show (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (JsonBuilder) builder = NULL;
  g_autofree char *manifest = NULL;
  JsonNode *root;

  if (host == NULL)
    return 1;
  manifest = sandbox_host_show_image (host, args->operands[0], context->cancellable, error);
  if (manifest == NULL)
    return 1;
  if (!json_parser_load_from_data (parser, manifest, -1, NULL)
      || (root = json_parser_get_root (parser)) == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return !vms_fail (
        error, SANDBOX_ERROR_FAILED,
        "showing image %s: its manifest is damaged; make a new one with `vms image build --update`",
        args->operands[0]);
  if (!context->json)
    {
      print_manifest (json_node_get_object (root));
      return 0;
    }
  builder = vms_json_begin ();
  json_builder_set_member_name (builder, "image");
  json_builder_add_value (builder, json_parser_steal_root (parser));
  vms_json_end (builder);
  return 0;
}

int
vms_cmd_image_remove (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxHost) host = vms_open_host (context, error);

  if (host == NULL)
    return 1;
  for (char **name = args->operands; *name != NULL; name++)
    {
      if (!sandbox_host_remove_image (host, *name, context->cancellable, error))
        return 1;
      if (!context->quiet)
        vms_say ("%s: removed", *name);
    }
  return 0;
}

static void
json_pruned (const GPtrArray *items, gboolean removed)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  vms_json_bool (builder, "removed", removed);
  json_builder_set_member_name (builder, "items");
  json_builder_begin_array (builder);
  for (guint i = 0; i < items->len; i++)
    {
      const SandboxSpaceItem *item = g_ptr_array_index (items, i);

      json_builder_begin_object (builder);
      vms_json_string (builder, "kind", item->kind);
      vms_json_string (builder, "name", item->name);
      vms_json_int (builder, "allocated_bytes", (gint64)item->allocated_bytes);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_end (builder);
}

static void
table_pruned (const GPtrArray *items, gboolean removed)
{
  g_autoptr (VmsTable) table = vms_table_new ("KIND", "NAME", ">SIZE", NULL);
  g_autofree char *total = NULL;
  guint64 sum = 0;

  for (guint i = 0; i < items->len; i++)
    {
      const SandboxSpaceItem *item = g_ptr_array_index (items, i);
      g_autofree char *size = vms_size (item->allocated_bytes);

      vms_table_add (table, VMS_PLAIN, item->kind, item->name, size);
      sum += item->allocated_bytes;
    }
  total = vms_size (sum);
  if (items->len > 0)
    vms_table_print (table);
  if (items->len == 0)
    vms_say ("nothing to remove: all that is there is needed");
  else if (removed)
    vms_say ("removed, %s", total);
  else
    vms_say ("nothing was removed yet: with --yes these are, %s", total);
}

int
vms_cmd_image_prune (VmsContext *context, const VmsArgs *args, GError **error)
{
  SandboxPruneOptions options = SANDBOX_PRUNE_OPTIONS_INIT;
  g_autoptr (SandboxHost) host = NULL;
  g_autoptr (GPtrArray) items = NULL;
  guint64 days = 0;

  if (!vms_args_get_number (args, "saved-days", 36500, &days, error))
    return 1;
  host = vms_open_host (context, error);
  options.dry_run = !vms_args_has (args, "yes");
  options.saved_usec = (gint64)days * 86400 * G_USEC_PER_SEC;
  items = host != NULL ? sandbox_host_prune (host, &options, context->cancellable, error) : NULL;
  if (items == NULL)
    return 1;
  if (context->json)
    json_pruned (items, !options.dry_run);
  else if (!context->quiet)
    table_pruned (items, !options.dry_run);
  return 0;
}
