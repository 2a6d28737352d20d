// SPDX-License-Identifier: LGPL-2.1-or-later
// vms apply
#include "pick.h"
#include "review.h"

#include <stdio.h>

typedef struct
{
  VmsContext *context;
  const VmsArgs *args;
  VmsReview review;
  guint applied, held, left;
} Work;

static gboolean
is_held (const Work *work, const SandboxChange *change)
{
  return change->risk == SANDBOX_CHANGE_RUNS && !vms_args_has (work->args, "include-executable")
         && change->state != SANDBOX_CHANGE_REFUSED;
}

static gboolean
is_unseen (const Work *work, const SandboxChange *change)
{
  return change->unseen && !vms_args_has (work->args, "unseen")
         && change->state != SANDBOX_CHANGE_REFUSED;
}

/* As far as it does not depend on what was shown. */
static gboolean
could_apply (const Work *work, const SandboxChange *change)
{
  return change->state != SANDBOX_CHANGE_REFUSED && !is_held (work, change)
         && (change->state != SANDBOX_CHANGE_CONFLICT || vms_args_has (work->args, "force"));
}

static gboolean
is_open (const SandboxChange *change, gconstpointer data)
{
  return could_apply (data, change);
}

static void
tell (const SandboxChange *change, const char *what)
{
  g_autofree char *path = vms_escape (change->path);
  g_autofree char *reason = vms_escape (change->reason != NULL ? change->reason : "");

  vms_say ("%s: %s%s%s", path, what, *reason != '\0' ? ": " : "", reason);
}

static void
report (Work *work, SandboxChanges *changes, const GArray *chosen)
{
  gboolean dry = vms_args_has (work->args, "dry-run");

  for (guint i = 0; i < chosen->len; i++)
    {
      const SandboxChange *change = sandbox_changes_get (changes, g_array_index (chosen, guint, i));

      if (dry && could_apply (work, change) && !is_unseen (work, change))
        {
          g_autofree char *path = vms_escape (change->path);

          printf ("%s %s\n", sandbox_change_kind_to_string (change->kind), path);
          work->applied++;
        }
      else if (change->applied)
        work->applied++;
      else if (is_held (work, change))
        {
          tell (change, "not applied: this host runs it without being asked (--include-executable "
                        "applies it)");
          work->held++;
        }
      else if (is_unseen (work, change))
        {
          tell (change, "not applied: `vms diff` has not shown it as it is now (look at it again; "
                        "--unseen applies it)");
          work->left++;
        }
      else
        {
          tell (change, change->state == SANDBOX_CHANGE_CONFLICT
                            ? "not applied (--force replaces what is here)"
                            : "not applied");
          work->left++;
        }
    }
}

static gboolean
apply_set (Work *work, SandboxChanges *changes, VmsProgress *progress, GError **error)
{
  SandboxApplyOptions options = SANDBOX_APPLY_OPTIONS_INIT;
  g_autoptr (GArray) chosen = vms_review_choose (&work->review, changes);

  if (vms_args_has (work->args, "interactive"))
    {
      GArray *asked = vms_pick (work->context, changes, chosen, is_open, work, error);

      if (asked == NULL)
        return FALSE;
      g_array_unref (chosen);
      chosen = asked;
    }
  options.chosen = (const guint *)(gpointer)chosen->data;
  options.n_chosen = chosen->len;
  options.include_runs = vms_args_has (work->args, "include-executable");
  options.replace_conflicts = vms_args_has (work->args, "force");
  options.only_shown = !vms_args_has (work->args, "unseen");
  if (chosen->len > 0 && !vms_args_has (work->args, "dry-run")
      && !sandbox_changes_apply (changes, &options, vms_progress_update, progress,
                                 work->context->cancellable, error))
    return FALSE;
  report (work, changes, chosen);
  return TRUE;
}

static gboolean
put_back (Work *work, guint *ret_undone, guint *ret_left, GError **error)
{
  VmsReview *review = &work->review;

  return review->saved != NULL
             ? sandbox_host_undo_saved_apply (review->host, review->saved, review->tags[0],
                                              ret_undone, ret_left, work->context->cancellable,
                                              error)
             : sandbox_machine_undo_apply (review->machine, review->tags[0], ret_undone, ret_left,
                                           work->context->cancellable, error);
}

static int
undo (Work *work, VmsProgress *progress, GError **error)
{
  guint undone = 0, left = 0;

  if (work->review.tags[1] != NULL)
    return !vms_fail (error, SANDBOX_ERROR_INVALID,
                      "apply --undo: say which share: vms apply --undo %s SHARE",
                      work->args->operands[0]);
  if (!put_back (work, &undone, &left, error))
    return 1;
  vms_progress_done (progress, "%u put back, %u left, as they changed since", undone, left);
  return left > 0 ? 1 : 0;
}

static gboolean
check_options (const VmsArgs *args, const VmsReview *review, GError **error)
{
  if (vms_args_has (args, "force") && review->paths[0] == NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "apply --force: name the paths: what changed on this host, too, is replaced");
  if (vms_args_has (args, "undo") && review->paths[0] != NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "apply --undo: takes back all of the last "
                     "apply, no single paths");
  if (vms_args_has (args, "interactive") && !vms_can_ask ())
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "apply --interactive: there is no terminal to ask on");
  return TRUE;
}

int
vms_cmd_apply (VmsContext *context, const VmsArgs *args, GError **error)
{
  Work work = { .context = context, .args = args };
  g_autoptr (VmsProgress) progress = NULL;
  gboolean ok;
  int status = 1;

  ok = vms_review_open (context, args, &work.review, error)
       && check_options (args, &work.review, error);
  if (ok)
    progress = vms_progress_new (context, args->operands[0], TRUE);
  if (ok && vms_args_has (args, "undo"))
    status = undo (&work, progress, error);
  else if (ok)
    {
      ok = vms_review_read (context, &work.review, progress, error)
           && vms_review_check_paths (&work.review, error);
      if (ok)
        vms_review_remarks (context, &work.review);
      for (guint i = 0; ok && i < work.review.sets->len; i++)
        ok = apply_set (&work, g_ptr_array_index (work.review.sets, i), progress, error);
      if (ok)
        vms_progress_done (progress, "%u %s, %u held back, %u not applied", work.applied,
                           vms_args_has (args, "dry-run") ? "would be applied" : "applied",
                           work.held, work.left);
      status = ok && work.held + work.left == 0 ? 0 : 1;
    }
  vms_review_clear (&work.review);
  return status;
}
