// SPDX-License-Identifier: LGPL-2.1-or-later
// vms profile list, show
#include <stdio.h>
#include <string.h>

#include "context.h"

static void
json_profiles (GPtrArray *profiles)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  json_builder_set_member_name (builder, "profiles");
  json_builder_begin_array (builder);
  for (guint i = 0; i < profiles->len; i++)
    {
      const SandboxProfileInfo *info = g_ptr_array_index (profiles, i);
      json_builder_begin_object (builder);
      vms_json_string (builder, "name", info->name);
      vms_json_string (builder, "summary", info->summary);
      vms_json_string (builder, "inherits", info->inherits);
      vms_json_string (builder, "path", info->path);
      vms_json_bool (builder, "shipped", info->shipped);
      vms_json_bool (builder, "user", info->user);
      vms_json_string (builder, "problem", info->problem);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_end (builder);
}

int
vms_cmd_profile_list (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (GPtrArray) profiles = sandbox_profile_list (&vms_profile_dirs, error);
  g_autoptr (VmsTable) table = vms_table_new ("NAME", "FROM", "INHERITS", "SUMMARY", NULL);

  if (profiles == NULL)
    return 1;
  if (context->json)
    {
      json_profiles (profiles);
      return 0;
    }
  for (guint i = 0; i < profiles->len; i++)
    {
      const SandboxProfileInfo *info = g_ptr_array_index (profiles, i);
      const char *from = info->user && info->shipped ? "both" : info->user ? "you" : "shipped";
      vms_table_add (
          table, info->problem != NULL ? VMS_RED : VMS_PLAIN, info->name, from, info->inherits,
          info->problem != NULL ? "not valid; `vms profile check` says why" : info->summary);
    }
  vms_table_print (table);
  return 0;
}

/* Called for each group (@key NULL) and each value of a profile. */
typedef void (*ValueFunc) (SandboxProfile *profile, const char *group, const char *key,
                           const char *value, gpointer data);

/* Walks the canonical text: the one form in which the library lists all groups, shares included. */
static void
walk_values (SandboxProfile *profile, ValueFunc func, gpointer data)
{
  g_autofree char *text = sandbox_profile_format (profile);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autofree char *group = g_strdup ("");

  for (char **line = lines; *line != NULL; line++)
    {
      gsize length = strlen (*line);
      char *equals = strchr (*line, '=');
      if (length > 2 && (*line)[0] == '[' && (*line)[length - 1] == ']')
        {
          g_free (group);
          group = g_strndup (*line + 1, length - 2);
          func (profile, group, NULL, NULL, data);
        }
      else if (equals != NULL && (*line)[0] != '#')
        {
          *equals = '\0';
          func (profile, group, *line, equals + 1, data);
        }
    }
}

static void
json_value (SandboxProfile *profile, const char *group, const char *key, const char *value,
            gpointer data)
{
  JsonBuilder *builder = data;

  if (key == NULL)
    return;
  json_builder_begin_object (builder);
  vms_json_string (builder, "group", group);
  vms_json_string (builder, "key", key);
  vms_json_string (builder, "value", value);
  vms_json_string (builder, "origin", sandbox_profile_get_origin (profile, group, key));
  json_builder_end_object (builder);
}

static void
print_value (SandboxProfile *profile, const char *group, const char *key, const char *value,
             gpointer data)
{
  g_autofree char *shown = value != NULL ? vms_escape (value) : NULL;
  const char *origin = key != NULL ? sandbox_profile_get_origin (profile, group, key) : NULL;

  if (key == NULL)
    printf ("\n[%s]\n", group);
  else
    printf ("# %s\n%s=%s\n", origin != NULL ? origin : "built in", key, shown);
}

int
vms_cmd_profile_show (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxProfile) profile =
      sandbox_profile_load (&vms_profile_dirs, args->operands[0], error);
  g_autoptr (JsonBuilder) builder = NULL;

  if (profile == NULL)
    return 1;
  if (context->json)
    {
      builder = vms_json_begin ();
      vms_json_string (builder, "name", sandbox_profile_get_name (profile));
      vms_json_string (builder, "digest", sandbox_profile_get_digest (profile));
      json_builder_set_member_name (builder, "values");
      json_builder_begin_array (builder);
      walk_values (profile, json_value, builder);
      json_builder_end_array (builder);
      vms_json_end (builder);
    }
  else if (context->verbose)
    walk_values (profile, print_value, NULL);
  else
    {
      g_autofree char *text = sandbox_profile_format (profile);
      vms_print (text);
    }
  return 0;
}
