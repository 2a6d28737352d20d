// SPDX-License-Identifier: LGPL-2.1-or-later
// vms snapshot create, list, delete; vms revert
#include "progress.h"

#include <string.h>

static char *
time_text (gint64 usec)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (usec / G_USEC_PER_SEC);

  return time != NULL ? g_date_time_format (time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup ("");
}

static char *
age_text (gint64 created_usec)
{
  static const struct
  {
    gint64 seconds;
    const char *unit;
  } units[] = { { 2 * 86400, "days" }, { 2 * 3600, "hours" }, { 2 * 60, "min" } };
  gint64 age = MAX (0, g_get_real_time () - created_usec) / G_USEC_PER_SEC;

  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    if (age >= units[i].seconds)
      return g_strdup_printf ("%" G_GINT64_FORMAT " %s", age / (units[i].seconds / 2),
                              units[i].unit);
  return g_strdup_printf ("%" G_GINT64_FORMAT " s", age);
}

int
vms_cmd_snapshot_create (VmsContext *context, const VmsArgs *args, GError **error)
{
  SandboxSnapshotOptions options = SANDBOX_SNAPSHOT_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  g_autoptr (VmsProgress) progress = NULL;
  g_autofree char *name = NULL;

  if (machine == NULL)
    return 1;
  options.name = args->operands[1];
  options.note = vms_args_get (args, "note");
  progress = vms_progress_new (context, args->operands[0], TRUE);
  name = sandbox_machine_snapshot_create (machine, &options, vms_progress_update, progress,
                                          context->cancellable, error);
  if (name == NULL)
    return 1;
  vms_progress_done (progress, "snapshot %s", name);
  return 0;
}

static void
json_snapshot (JsonBuilder *builder, const SandboxSnapshot *snapshot)
{
  g_autofree char *created = time_text (snapshot->created_usec);

  json_builder_begin_object (builder);
  vms_json_string (builder, "name", snapshot->name);
  vms_json_string (builder, "note", snapshot->note);
  vms_json_string (builder, "parent", snapshot->parent);
  vms_json_string (builder, "created", created);
  vms_json_int (builder, "disk_bytes", (gint64)snapshot->disk_bytes);
  vms_json_bool (builder, "automatic", snapshot->automatic);
  vms_json_bool (builder, "running", snapshot->running);
  vms_json_strings (builder, "used_by", snapshot->used_by);
  json_builder_end_object (builder);
}

static void
print_json (const char *name, GPtrArray *snapshots)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();
  const SandboxSnapshot *present = NULL;

  vms_json_string (builder, "name", name);
  json_builder_set_member_name (builder, "snapshots");
  json_builder_begin_array (builder);
  for (guint i = 0; i < snapshots->len; i++)
    {
      const SandboxSnapshot *snapshot = g_ptr_array_index (snapshots, i);

      if (*snapshot->name == '\0')
        present = snapshot;
      else
        json_snapshot (builder, snapshot);
    }
  json_builder_end_array (builder);
  json_builder_set_member_name (builder, "present");
  json_builder_begin_object (builder);
  vms_json_string (builder, "parent", present != NULL ? present->parent : "");
  vms_json_int (builder, "disk_bytes", present != NULL ? (gint64)present->disk_bytes : 0);
  json_builder_end_object (builder);
  vms_json_end (builder);
}

/* How far below the image it stands; parents come first. */
static guint
depth_of (GHashTable *depths, const SandboxSnapshot *snapshot)
{
  guint depth = *snapshot->parent != '\0'
                    ? GPOINTER_TO_UINT (g_hash_table_lookup (depths, snapshot->parent)) + 1
                    : 0;

  g_hash_table_insert (depths, snapshot->name, GUINT_TO_POINTER (depth));
  return depth;
}

static gboolean
is_checkpoint (const SandboxSnapshot *snapshot)
{
  return snapshot->automatic && g_str_has_prefix (snapshot->name, "exec-");
}

static void
add_row (VmsTable *table, GHashTable *depths, const SandboxSnapshot *snapshot)
{
  gboolean present = *snapshot->name == '\0';
  g_autofree char *indent = g_strnfill (2 * depth_of (depths, snapshot), ' ');
  g_autofree char *name = g_strconcat (indent, present ? "(now)" : snapshot->name, NULL);
  g_autofree char *size = vms_size (snapshot->disk_bytes);
  g_autofree char *age = present ? g_strdup ("") : age_text (snapshot->created_usec);
  g_autofree char *used_by = g_strjoinv (", ", snapshot->used_by);
  const char *made = present                    ? NULL
                     : is_checkpoint (snapshot) ? "by exec"
                     : snapshot->automatic      ? "by a revert"
                     : snapshot->running        ? "running"
                                                : "off";

  vms_table_add (table, present ? VMS_BOLD : VMS_PLAIN, name, size, present ? NULL : age, made,
                 *used_by != '\0' ? used_by : NULL,
                 *snapshot->note != '\0' ? snapshot->note : NULL);
}

int
vms_cmd_snapshot_list (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  g_autoptr (GPtrArray) snapshots =
      machine != NULL ? sandbox_machine_snapshot_list (machine, context->cancellable, error) : NULL;
  g_autoptr (GHashTable) depths = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (VmsTable) table =
      vms_table_new ("SNAPSHOT", ">SIZE", "AGE", "MADE", "USED BY", "NOTE", NULL);

  if (snapshots == NULL)
    return 1;
  if (context->json)
    {
      print_json (args->operands[0], snapshots);
      return 0;
    }
  for (guint i = 0; i < snapshots->len; i++)
    add_row (table, depths, g_ptr_array_index (snapshots, i));
  if (snapshots->len > 1)
    vms_table_print (table);
  else if (!context->quiet)
    vms_say ("%s: no snapshots; `vms snapshot %s` makes one", args->operands[0], args->operands[0]);
  return 0;
}

static void
json_difference (const char *name, const GPtrArray *changes, guint n_left_out)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  vms_json_string (builder, "name", name);
  vms_json_int (builder, "left_out", n_left_out);
  json_builder_set_member_name (builder, "changes");
  json_builder_begin_array (builder);
  for (guint i = 0; i < changes->len; i++)
    {
      const SandboxSnapshotChange *change = g_ptr_array_index (changes, i);
      g_autofree char *path = vms_escape (change->path), *link = vms_escape (change->link);
      g_autofree char *old_mode = g_strdup_printf ("%04o", change->old_mode);
      g_autofree char *new_mode = g_strdup_printf ("%04o", change->new_mode);

      json_builder_begin_object (builder);
      vms_json_string (builder, "path", path);
      vms_json_string (builder, "kind", change->kind);
      vms_json_string (builder, "old_mode", old_mode);
      vms_json_string (builder, "new_mode", new_mode);
      vms_json_int (builder, "old_uid", change->old_uid);
      vms_json_int (builder, "new_uid", change->new_uid);
      vms_json_int (builder, "old_gid", change->old_gid);
      vms_json_int (builder, "new_gid", change->new_gid);
      vms_json_int (builder, "old_bytes", (gint64)change->old_bytes);
      vms_json_int (builder, "new_bytes", (gint64)change->new_bytes);
      vms_json_string (builder, "link", link);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_end (builder);
}

/* What is behind the path: sizes, modes, owners, as far as they differ. */
static char *
difference_note (const SandboxSnapshotChange *change)
{
  g_autofree char *before = vms_size (change->old_bytes), *after = vms_size (change->new_bytes);

  if (strcmp (change->kind, "mode") == 0)
    return g_strdup_printf ("%04o %u:%u -> %04o %u:%u", change->old_mode, change->old_uid,
                            change->old_gid, change->new_mode, change->new_uid, change->new_gid);
  if (*change->link != '\0')
    return g_strconcat ("-> ", change->link, NULL);
  if (change->type != 'f' && change->old_bytes == 0)
    return NULL;
  if (strcmp (change->kind, "added") == 0)
    return g_steal_pointer (&after);
  if (strcmp (change->kind, "deleted") == 0)
    return g_steal_pointer (&before);
  return change->old_bytes == change->new_bytes ? NULL
                                                : g_strdup_printf ("%s -> %s", before, after);
}

static void
table_difference (const GPtrArray *changes)
{
  g_autoptr (VmsTable) table = vms_table_new ("CHANGE", "PATH", "WHAT", NULL);

  for (guint i = 0; i < changes->len; i++)
    {
      const SandboxSnapshotChange *change = g_ptr_array_index (changes, i);
      g_autofree char *path = g_strconcat ("/", change->path, change->type == 'd' ? "/" : "", NULL);
      g_autofree char *note = difference_note (change);

      vms_table_add (table, VMS_PLAIN, change->kind, path, note);
    }
  vms_table_print (table);
}

int
vms_cmd_snapshot_diff (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, name, error);
  g_autoptr (VmsProgress) progress = NULL;
  g_autoptr (GPtrArray) changes = NULL;
  guint n_left_out = 0;

  if (machine == NULL)
    return 1;
  progress = vms_progress_new (context, name, TRUE);
  changes = sandbox_machine_snapshot_diff (machine, args->n_operands > 1 ? args->operands[1] : NULL,
                                           args->n_operands > 2 ? args->operands[2] : NULL,
                                           vms_progress_update, progress, &n_left_out,
                                           context->cancellable, error);
  if (changes == NULL)
    return 1;
  g_clear_pointer (&progress, vms_progress_free);
  if (context->json)
    json_difference (name, changes, n_left_out);
  else if (changes->len > 0)
    table_difference (changes);
  else if (!context->quiet)
    vms_say ("%s: the two have the same files", name);
  if (n_left_out > 0 && !context->json)
    vms_say ("%s: %u more are not shown", name, n_left_out);
  return 0;
}

int
vms_cmd_snapshot_delete (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  g_autoptr (VmsProgress) progress = NULL;

  if (machine == NULL)
    return 1;
  progress = vms_progress_new (context, args->operands[0], TRUE);
  for (char **name = args->operands + 1; *name != NULL; name++)
    {
      if (!sandbox_machine_snapshot_delete (machine, *name, vms_progress_update, progress,
                                            context->cancellable, error))
        return 1;
      vms_progress_done (progress, "snapshot %s is removed", *name);
    }
  return 0;
}

/* The shares whose changes the machine's disk has, when some of them may not have been applied: "a,
 * b"; NULL: none. (transfer full) */
static char *
unapplied_shares (SandboxMachine *machine, const SandboxMachineStatus *status)
{
  g_auto (GStrv) tags =
      strcmp (status->unapplied, "none") != 0 ? sandbox_machine_list_reviews (machine, NULL) : NULL;
  g_autofree char *names = tags != NULL && tags[0] != NULL ? g_strjoinv (", ", tags) : NULL;

  return names != NULL ? vms_escape (names) : NULL;
}

/* Of a machine that is off, and whose present state is kept, nothing can get lost. @unapplied:
 * (nullable) */
static gboolean
may_revert (VmsContext *context, const VmsArgs *args, const SandboxMachineStatus *status,
            const char *unapplied, GError **error)
{
  gboolean runs = status->state != SANDBOX_STATE_STOPPED && status->state != SANDBOX_STATE_CRASHED;
  gboolean discard = vms_args_has (args, "discard");
  g_autofree char *changes =
      unapplied == NULL
          ? g_strdup ("")
          : g_strdup_printf ("What it changed in %s and was not applied %s.\n", unapplied,
                             discard ? "is thrown away, too" : "goes back with its disk");
  g_autofree char *question = g_strdup_printf ("%s%s%s of %s, and make its disk what it was?",
                                               changes, runs ? "End all that runs" : "",
                                               !discard ? ""
                                               : runs   ? " and throw away the present state"
                                                        : "Throw away the present state",
                                               args->operands[0]);

  return !(runs || discard) || vms_confirm (context, args, question, error);
}

/* What became of the shares, as the end of a sentence. @kept, @unapplied: (nullable). (transfer
 * full) */
static char *
tell_shares (const VmsArgs *args, const SandboxMachineStatus *status, const char *kept,
             const char *unapplied)
{
  /* without either of the two nothing was written since */
  if (unapplied != NULL && (kept != NULL || vms_args_has (args, "discard")))
    return g_strdup_printf (
        "; what it changed in %s and was not applied went back with its disk%s%s; "
        "the directories on this host stay as they are",
        unapplied, kept != NULL ? " and is in " : "", kept != NULL ? kept : "");
  return g_strdup (status->shares != NULL && status->shares->len > 0
                       ? "; shared directories stay as they are"
                       : "");
}

int
vms_cmd_revert (VmsContext *context, const VmsArgs *args, GError **error)
{
  SandboxRevertOptions options = SANDBOX_REVERT_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = vms_open_machine (context, args->operands[0], error);
  g_autoptr (SandboxMachineStatus) status =
      machine != NULL ? sandbox_machine_get_status (machine, context->cancellable, error) : NULL;
  g_autoptr (VmsProgress) progress = NULL;
  g_autofree char *kept = NULL, *unapplied = NULL, *shares = NULL;

  if (status == NULL)
    return 1;
  unapplied = unapplied_shares (machine, status);
  if (!may_revert (context, args, status, unapplied, error))
    return 1;
  options.snapshot = args->operands[1];
  options.discard = vms_args_has (args, "discard");
  options.force = vms_args_has (args, "force");
  progress = vms_progress_new (context, args->operands[0], TRUE);
  vms_decide_changes (args, machine);
  if (!sandbox_machine_revert (machine, &options, vms_progress_update, progress,
                               context->cancellable, &kept, error))
    {
      vms_say_saved (machine);
      return 1;
    }
  vms_say_saved (machine);
  shares = tell_shares (args, status, kept, unapplied);
  vms_progress_done (progress, "reverted%s%s%s",
                     kept != NULL ? "; the state before is snapshot " : "",
                     kept != NULL ? kept : "", shares);
  return 0;
}
