// SPDX-License-Identifier: LGPL-2.1-or-later
// vms pull
#include <stdio.h>
#include <string.h>

#include "autostart.h"
#include "progress.h"

#define MIB       (G_GUINT64_CONSTANT (1024) * 1024)
#define MIB_MAX   (G_GUINT64_CONSTANT (1024) * 1024)
#define ID_LENGTH 10 /* of object names, for people */
#define SHOWN_MAX 20

static SandboxPull *
run_pull (VmsContext *context, SandboxMachine *machine, const SandboxPullOptions *options,
          GError **error)
{
  g_autoptr (VmsProgress) progress =
      vms_progress_new (context, sandbox_machine_get_name (machine), TRUE);

  return sandbox_machine_pull (machine, options, vms_progress_update, progress,
                               context->cancellable, error);
}

static char *
time_text (gint64 time_sec)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (time_sec);

  return time != NULL ? g_date_time_format (time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup ("");
}

static void
json_refs (JsonBuilder *builder, const SandboxPull *pull)
{
  json_builder_set_member_name (builder, "refs");
  json_builder_begin_array (builder);
  for (guint i = 0; i < pull->refs->len; i++)
    {
      const SandboxPullRef *ref = g_ptr_array_index (pull->refs, i);

      json_builder_begin_object (builder);
      vms_json_string (builder, "ref", ref->ref);
      vms_json_string (builder, "id", ref->id);
      vms_json_string (builder, "old_id", ref->old_id);
      vms_json_string (builder, "state", sandbox_pull_state_to_string (ref->state));
      vms_json_int (builder, "commits", (gint64)ref->commits);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
}

static void
json_lists (JsonBuilder *builder, const SandboxPull *pull)
{
  json_builder_set_member_name (builder, "commits");
  json_builder_begin_array (builder);
  for (guint i = 0; i < pull->commits->len; i++)
    {
      const SandboxPullCommit *commit = g_ptr_array_index (pull->commits, i);
      g_autofree char *time = time_text (commit->time_sec);

      json_builder_begin_object (builder);
      vms_json_string (builder, "id", commit->id);
      vms_json_string (builder, "author", commit->author);
      vms_json_string (builder, "time", time);
      vms_json_string (builder, "subject", commit->subject);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  json_builder_set_member_name (builder, "files");
  json_builder_begin_array (builder);
  for (guint i = 0; i < pull->files->len; i++)
    {
      const SandboxPullFile *file = g_ptr_array_index (pull->files, i);

      json_builder_begin_object (builder);
      vms_json_string (builder, "path", file->path);
      vms_json_string (builder, "reason", file->reason);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
}

static void
print_json (const SandboxPull *pull, const char *name, gboolean dry_run)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  vms_json_string (builder, "name", name);
  vms_json_string (builder, "share", pull->share);
  vms_json_string (builder, "repository", pull->repository);
  vms_json_bool (builder, "dry_run", dry_run);
  vms_json_int (builder, "n_commits", (gint64)pull->n_commits);
  vms_json_int (builder, "n_files", (gint64)pull->n_files);
  json_refs (builder, pull);
  json_lists (builder, pull);
  vms_json_end (builder);
}

/* One word for a shell: a branch may be called anything. */
static char *
quote (const char *word)
{
  for (const char *p = word; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr ("/._-+@%", *p) == NULL)
      return g_shell_quote (word);
  return g_strdup (word);
}

static void
print_refs (const SandboxPull *pull)
{
  g_autoptr (VmsTable) table = vms_table_new ("REF", "COMMIT", ">COMMITS", "STATE", NULL);

  for (guint i = 0; i < pull->refs->len; i++)
    {
      const SandboxPullRef *ref = g_ptr_array_index (pull->refs, i);
      g_autofree char *id = g_strndup (ref->id, ID_LENGTH);
      g_autofree char *commits = g_strdup_printf ("%" G_GUINT64_FORMAT, ref->commits);

      vms_table_add (table, ref->state == SANDBOX_PULL_REWRITTEN ? VMS_YELLOW : VMS_PLAIN, ref->ref,
                     id, commits, sandbox_pull_state_to_string (ref->state));
    }
  vms_table_print (table);
}

static void
print_commits (const SandboxPull *pull)
{
  printf ("\n");
  for (guint i = 0; i < pull->commits->len; i++)
    {
      const SandboxPullCommit *commit = g_ptr_array_index (pull->commits, i);
      g_autofree char *author = vms_escape (commit->author);
      g_autofree char *subject = vms_escape (commit->subject);

      printf ("%.*s %s (%s)\n", ID_LENGTH, commit->id, subject, author);
    }
  if (pull->n_commits > pull->commits->len)
    printf ("and %" G_GUINT64_FORMAT " older ones\n", pull->n_commits - pull->commits->len);
}

static void
print_files (const VmsContext *context, const SandboxPull *pull)
{
  guint shown = context->verbose ? pull->files->len : MIN (pull->files->len, SHOWN_MAX);

  if (pull->files->len == 0)
    return;
  printf ("\nLook at these before you merge:\n");
  for (guint i = 0; i < shown; i++)
    {
      const SandboxPullFile *file = g_ptr_array_index (pull->files, i);
      g_autofree char *path = vms_escape (file->path);

      printf ("  %s: %s\n", path, file->reason);
    }
  if (shown < pull->files->len)
    printf ("  and %u more (--verbose lists them)\n", pull->files->len - shown);
}

static void
print_next (const SandboxPull *pull)
{
  const SandboxPullRef *ref = g_ptr_array_index (pull->refs, 0);
  g_autofree char *path = quote (pull->repository);
  g_autofree char *name = quote (ref->ref + strlen ("refs/"));
  g_autofree char *range = g_strconcat ("..", ref->ref + strlen ("refs/"), NULL);
  g_autofree char *shown_path = vms_escape (path);
  g_autofree char *quoted = quote (range);

  printf ("\nTo look at it, and to merge it:\n"
          "  git -C %s log -p %s\n"
          "  git -C %s merge %s\n",
          shown_path, quoted, shown_path, name);
}

static void
print_pull (const VmsContext *context, const SandboxPull *pull, const char *name, gboolean dry_run)
{
  if (pull->refs->len == 0)
    {
      if (!context->quiet)
        vms_say ("%s: no commits in share \"%s\" that this host does not have", name, pull->share);
      return;
    }
  print_refs (pull);
  if (dry_run || context->verbose)
    print_commits (pull);
  print_files (context, pull);
  printf ("\n%s%" G_GUINT64_FORMAT " commit%s, %" G_GUINT64_FORMAT " file%s\n",
          dry_run ? "Nothing was changed; would bring " : "", pull->n_commits,
          pull->n_commits == 1 ? "" : "s", pull->n_files, pull->n_files == 1 ? "" : "s");
  if (!dry_run)
    print_next (pull);
}

int
vms_cmd_pull (VmsContext *context, const VmsArgs *args, GError **error)
{
  SandboxPullOptions options = SANDBOX_PULL_OPTIONS_INIT;
  const char *name = args->operands[0];
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (SandboxPull) pull = NULL;
  g_autoptr (GError) local_error = NULL;
  guint64 max_mib = 0;

  if (!vms_args_get_number (args, "max-size", MIB_MAX, &max_mib, error))
    return 1;
  options.share = args->operands[1];
  options.max_bytes = max_mib * MIB;
  options.dry_run = vms_args_has (args, "dry-run");
  machine = vms_open_machine (context, name, error);
  if (machine == NULL)
    return 1;
  pull = run_pull (context, machine, &options, &local_error);
  if (pull == NULL && vms_autostart (context, machine, &local_error))
    pull = run_pull (context, machine, &options, &local_error);
  if (pull == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return 1;
    }
  if (context->json)
    print_json (pull, name, options.dry_run);
  else
    print_pull (context, pull, name, options.dry_run);
  return 0;
}
