// SPDX-License-Identifier: LGPL-2.1-or-later
// vms profile new, check, keys, diff
#include <stdio.h>
#include <string.h>

#include "profile-text.h"

int
vms_cmd_profile_new (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  const char *parent = vms_args_get (args, "profile");
  g_autofree char *text = vms_profile_template (name, parent != NULL ? parent : "base");

  if (!sandbox_profile_save (&vms_profile_dirs, name, text, FALSE, error))
    return 1;
  if (!context->quiet)
    vms_say ("%s: written; `vms edit %s` changes it", name, name);
  return 0;
}

/* "dir/work.profile" -> "work"; the name only matters for what is inherited by name. */
static char *
name_of_file (const char *path)
{
  g_autofree char *base = g_path_get_basename (path);

  if (g_str_has_suffix (base, ".profile"))
    base[strlen (base) - strlen (".profile")] = '\0';
  return g_steal_pointer (&base);
}

static SandboxProfile *
load_word (const char *word, GError **error)
{
  g_autofree char *text = NULL;
  g_autofree char *name = NULL;
  gsize length;

  if (strpbrk (word, "/.") == NULL)
    return sandbox_profile_load (&vms_profile_dirs, word, error);
  text = vms_profile_read (word, &length, error);
  name = name_of_file (word);
  return text != NULL
             ? sandbox_profile_parse (&vms_profile_dirs, name, word, text, (gssize)length, error)
             : NULL;
}

/* Checks one; the first failure's exit status stays in *@status. */
static void
check_one (VmsContext *context, JsonBuilder *builder, const char *word, int *status)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile = load_word (word, &error);
  g_autofree char *shown = vms_escape (word);

  if (profile != NULL)
    sandbox_profile_check_provision (&vms_profile_dirs, profile, &error);
  if (error != NULL && *status == 0)
    *status = vms_exit_status (error);
  if (context->json)
    {
      json_builder_begin_object (builder);
      vms_json_string (builder, "profile", word);
      vms_json_bool (builder, "good", error == NULL);
      vms_json_string (builder, "problem", error != NULL ? error->message : "");
      json_builder_end_object (builder);
    }
  else if (error != NULL)
    vms_error (error);
  else if (!context->quiet)
    printf ("%s: good\n", shown);
}

int
vms_cmd_profile_check (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();
  g_autoptr (GPtrArray) profiles = NULL;
  int status = 0;

  json_builder_set_member_name (builder, "profiles");
  json_builder_begin_array (builder);
  if (args->n_operands == 0 && !(profiles = sandbox_profile_list (&vms_profile_dirs, error)))
    return 1;
  for (guint i = 0; i < args->n_operands; i++)
    check_one (context, builder, args->operands[i], &status);
  for (guint i = 0; profiles != NULL && i < profiles->len; i++)
    check_one (context, builder, ((SandboxProfileInfo *)g_ptr_array_index (profiles, i))->name,
               &status);
  json_builder_end_array (builder);
  if (context->json)
    vms_json_end (builder);
  return status;
}

int
vms_cmd_profile_keys (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (VmsTable) table = vms_table_new ("GROUP", "KEY", "DEFAULT", "ALLOWED", "WHAT", NULL);
  g_autoptr (JsonBuilder) builder = vms_json_begin ();
  gsize n;
  const SandboxProfileKey *keys = sandbox_profile_keys (&n);

  json_builder_set_member_name (builder, "keys");
  json_builder_begin_array (builder);
  for (gsize i = 0; i < n; i++)
    {
      vms_table_add (table, VMS_PLAIN, keys[i].group, keys[i].name, keys[i].default_value,
                     keys[i].allowed, keys[i].summary);
      json_builder_begin_object (builder);
      vms_json_string (builder, "group", keys[i].group);
      vms_json_string (builder, "key", keys[i].name);
      vms_json_string (builder, "type", keys[i].type);
      vms_json_string (builder, "allowed", keys[i].allowed);
      vms_json_string (builder, "default", keys[i].default_value);
      vms_json_string (builder, "summary", keys[i].summary);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  if (context->json)
    vms_json_end (builder);
  else
    vms_table_print (table);
  return 0;
}

/* What @profile builds upon: the shipped profile of that name when a file of the user lies over it,
 * else what it inherits. */
static SandboxProfile *
load_parent (SandboxProfile *profile, GError **error)
{
  const char *name = sandbox_profile_get_name (profile);
  const char *inherits = sandbox_profile_get (profile, "profile", "inherits");
  g_autoptr (SandboxProfileInfo) info = vms_profile_info (name, NULL);
  SandboxProfileDirs shipped_only = SANDBOX_PROFILE_DIRS_INIT;

  shipped_only.user_dir = "/nonexistent";
  if (info != NULL && info->user && info->shipped)
    return sandbox_profile_load (&shipped_only, name, error);
  return sandbox_profile_load (&vms_profile_dirs,
                               inherits != NULL && *inherits != '\0' ? inherits : "base", error);
}

int
vms_cmd_profile_diff (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxProfile) new_profile = load_word (args->operands[args->n_operands - 1], error);
  g_autoptr (SandboxProfile) old_profile = NULL;
  g_autoptr (JsonBuilder) builder = NULL;
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (new_profile == NULL)
    return 1;
  old_profile = args->n_operands == 2 ? load_word (args->operands[0], error)
                                      : load_parent (new_profile, error);
  if (old_profile == NULL)
    return 1;
  text = sandbox_profile_diff (old_profile, new_profile);
  if (context->json)
    {
      builder = vms_json_begin ();
      lines = g_strsplit (g_strchomp (text), "\n", -1);
      vms_json_strings (builder, "differences", *text != '\0' ? lines : NULL);
      vms_json_end (builder);
    }
  else if (*text != '\0')
    {
      g_autofree char *shown = vms_escape_lines (text);
      vms_print (shown);
    }
  return 0;
}
