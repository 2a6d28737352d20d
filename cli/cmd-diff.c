// SPDX-License-Identifier: LGPL-2.1-or-later
// vms diff
#include "review.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct
{
  VmsContext *context;
  const VmsReview *review;
  gboolean executable;
  VmsTable *table; /* --stat */
  GError **error;
} Show;

static gboolean
is_wanted (const Show *show, const SandboxChange *change)
{
  return !show->executable || change->risk != SANDBOX_CHANGE_PLAIN || change->runnable;
}

static VmsColour
colour_of (const SandboxChange *change)
{
  return change->state == SANDBOX_CHANGE_REFUSED || change->state == SANDBOX_CHANGE_CONFLICT
             ? VMS_RED
         : change->risk == SANDBOX_CHANGE_RUNS ? VMS_YELLOW
                                               : VMS_PLAIN;
}

static void
add_rename_stat (Show *show, const SandboxChange *change)
{
  g_autofree char *note = vms_review_note (change), *state = NULL;

  state = g_strdup_printf ("%s: renamed from %s", note, change->renamed_from);
  vms_table_add (show->table, colour_of (change), "renamed",
                 sandbox_change_risk_to_string (change->risk), "+0 -0", change->path, state);
}

static gboolean
add_stat (Show *show, SandboxChanges *changes, guint index)
{
  const SandboxChange *change = sandbox_changes_get (changes, index);
  g_autofree char *note = vms_review_note (change), *lines = NULL, *text = NULL;
  guint added = 0, removed = 0;

  text = sandbox_changes_diff (changes, index, NULL, &added, &removed, show->context->cancellable,
                               show->error);
  if (text == NULL)
    return FALSE;
  lines = g_strdup_printf ("+%u -%u", added, removed);
  vms_table_add (show->table, colour_of (change), sandbox_change_kind_to_string (change->kind),
                 sandbox_change_risk_to_string (change->risk), lines, change->path, note);
  return TRUE;
}

/* Those of @changes that are shown. */
static GArray *
choose (const Show *show, SandboxChanges *changes)
{
  g_autoptr (GArray) named = vms_review_choose (show->review, changes);
  GArray *chosen = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < named->len; i++)
    if (is_wanted (show, sandbox_changes_get (changes, g_array_index (named, guint, i))))
      g_array_append_val (chosen, g_array_index (named, guint, i));
  return chosen;
}

/* Of the @chosen: path -> index + 1. */
static GHashTable *
index_paths (SandboxChanges *changes, const GArray *chosen)
{
  GHashTable *paths = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < chosen->len; i++)
    {
      guint index = g_array_index (chosen, guint, i);

      g_hash_table_insert (paths, sandbox_changes_get (changes, index)->path,
                           GUINT_TO_POINTER (index + 1));
    }
  return paths;
}

static guint
find_path (GHashTable *paths, const char *path)
{
  return path != NULL ? GPOINTER_TO_UINT (g_hash_table_lookup (paths, path)) : 0;
}

static gboolean
show_one (Show *show, SandboxChanges *changes, GHashTable *paths, guint index)
{
  const SandboxChange *change = sandbox_changes_get (changes, index);
  guint from = find_path (paths, change->renamed_from);

  /* with what it was renamed to */
  if (find_path (paths, change->renamed_to) != 0)
    return TRUE;
  if (from == 0)
    return show->table != NULL ? add_stat (show, changes, index)
                               : vms_review_print (show->context, changes, index, show->error);
  if (show->table != NULL)
    add_rename_stat (show, change);
  else
    vms_review_print_rename (changes, from - 1, index);
  return TRUE;
}

/* What this host runs without being asked stands in front, by itself. */
static gboolean
show_set (Show *show, SandboxChanges *changes, gboolean runs, guint *ret_shown)
{
  g_autoptr (GArray) chosen = choose (show, changes);
  g_autoptr (GHashTable) paths = index_paths (changes, chosen);

  for (guint i = 0; i < chosen->len; i++)
    {
      guint index = g_array_index (chosen, guint, i);
      const SandboxChange *change = sandbox_changes_get (changes, index);

      if ((change->risk == SANDBOX_CHANGE_RUNS) != runs)
        continue;
      if ((*ret_shown)++ == 0 && runs && show->table == NULL)
        printf ("# Runs on this host without being asked; apply needs --include-executable:\n");
      if (!show_one (show, changes, paths, index))
        return FALSE;
    }
  return TRUE;
}

static gboolean
show_all (Show *show)
{
  guint first = 0, rest = 0;

  for (guint i = 0; i < show->review->sets->len; i++)
    if (!show_set (show, g_ptr_array_index (show->review->sets, i), TRUE, &first))
      return FALSE;
  if (first > 0 && show->table == NULL)
    printf ("# Everything else:\n");
  for (guint i = 0; i < show->review->sets->len; i++)
    if (!show_set (show, g_ptr_array_index (show->review->sets, i), FALSE, &rest))
      return FALSE;
  if (show->table != NULL && first + rest > 0)
    vms_table_print (show->table);
  return TRUE;
}

static void
json_path (JsonBuilder *builder, const char *member, const char *path)
{
  g_autofree char *shown = vms_escape (path != NULL ? path : "");

  vms_json_string (builder, member, shown);
}

static void
json_change (JsonBuilder *builder, const SandboxChange *change)
{
  g_autofree char *old_mode = g_strdup_printf ("%06o", change->old_mode);
  g_autofree char *new_mode = g_strdup_printf ("%06o", change->new_mode);

  json_builder_begin_object (builder);
  json_path (builder, "path", change->path);
  vms_json_string (builder, "kind", sandbox_change_kind_to_string (change->kind));
  vms_json_string (builder, "risk", sandbox_change_risk_to_string (change->risk));
  vms_json_string (builder, "state", sandbox_change_state_to_string (change->state));
  vms_json_string (builder, "reason", change->reason != NULL ? change->reason : "");
  vms_json_string (builder, "old_mode", old_mode);
  vms_json_string (builder, "new_mode", new_mode);
  vms_json_int (builder, "old_bytes", (gint64)change->old_bytes);
  vms_json_int (builder, "new_bytes", (gint64)change->new_bytes);
  vms_json_string (builder, "link", change->link != NULL ? change->link : "");
  vms_json_bool (builder, "runnable", change->runnable);
  vms_json_bool (builder, "ignored", change->ignored);
  json_path (builder, "renamed_from", change->renamed_from);
  json_path (builder, "renamed_to", change->renamed_to);
  json_builder_end_object (builder);
}

static void
show_json (const Show *show)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  vms_json_string (builder, "name", show->review->name);
  json_builder_set_member_name (builder, "shares");
  json_builder_begin_array (builder);
  for (guint i = 0; i < show->review->sets->len; i++)
    {
      SandboxChanges *changes = g_ptr_array_index (show->review->sets, i);
      g_autoptr (GArray) chosen = choose (show, changes);

      json_builder_begin_object (builder);
      vms_json_string (builder, "share", show->review->tags[i]);
      vms_json_int (builder, "git", sandbox_changes_get_git (changes));
      vms_json_bool (builder, "unsettled", sandbox_changes_get_unsettled (changes));
      vms_json_int (builder, "ignored", vms_review_count_ignored (show->review, changes));
      json_builder_set_member_name (builder, "changes");
      json_builder_begin_array (builder);
      for (guint k = 0; k < chosen->len; k++)
        json_change (builder, sandbox_changes_get (changes, g_array_index (chosen, guint, k)));
      json_builder_end_array (builder);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_end (builder);
}

/* An apply writes what was shown, and nothing else, from now on. */
static gboolean
note_shown (const Show *show)
{
  gboolean whole = show->table == NULL && !show->context->json;

  if (fflush (stdout) != 0)
    return vms_fail (show->error, SANDBOX_ERROR_FAILED, "writing the differences: %s",
                     g_strerror (errno));
  for (guint i = 0; i < show->review->sets->len; i++)
    {
      SandboxChanges *changes = g_ptr_array_index (show->review->sets, i);
      g_autoptr (GArray) chosen = choose (show, changes);

      if (!vms_review_note_shown (changes, chosen, whole, show->error))
        return FALSE;
    }
  return TRUE;
}

int
vms_cmd_diff (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_auto (VmsReview) review = { NULL };
  g_autoptr (VmsProgress) progress = NULL;
  g_autoptr (VmsTable) table = NULL;
  Show show = { .context = context,
                .review = &review,
                .executable = vms_args_has (args, "executable"),
                .error = error };

  if (!vms_review_open (context, args, &review, error))
    return 1;
  progress = vms_progress_new (context, args->operands[0], TRUE);
  if (!vms_review_read (context, &review, progress, error))
    return 1;
  g_clear_pointer (&progress, vms_progress_free);
  vms_review_remarks (context, &review);
  if (context->json)
    {
      show_json (&show);
      return note_shown (&show) ? 0 : 1;
    }
  if (vms_args_has (args, "stat"))
    show.table = table = vms_table_new ("CHANGE", "RISK", ">LINES", "PATH", "STATE", NULL);
  return show_all (&show) && note_shown (&show) ? 0 : 1;
}
