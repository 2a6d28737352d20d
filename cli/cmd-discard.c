// SPDX-License-Identifier: LGPL-2.1-or-later
// vms discard
#include "review.h"

/* What is git's is no change that could be named. */
static void
say_what_stays (const VmsContext *context, const VmsReview *review)
{
  guint git = 0;

  for (guint i = 0; i < review->sets->len; i++)
    git += sandbox_changes_get_git (g_ptr_array_index (review->sets, i));
  if (git > 0 && !context->quiet)
    vms_say ("%s: what is in directories of git's stays in the machine, and so do the directories "
             "that they are in",
             review->name);
}

/* One that is off does it at its next start. */
static gboolean
is_off (const VmsContext *context, SandboxMachine *machine)
{
  g_autoptr (SandboxMachineStatus) status =
      sandbox_machine_get_status (machine, context->cancellable, NULL);

  return status != NULL && status->state != SANDBOX_STATE_RUNNING
         && status->state != SANDBOX_STATE_PAUSED;
}

int
vms_cmd_discard (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  g_auto (VmsReview) review = { NULL };
  g_autoptr (VmsProgress) progress = NULL;
  g_autofree char *question = NULL;
  guint n = 0;

  if (!vms_review_open (context, args, &review, error))
    return 1;
  progress = vms_progress_new (context, name, TRUE);
  if (!vms_review_read (context, &review, progress, error)
      || !vms_review_check_paths (&review, error))
    return 1;
  vms_review_remarks (context, &review);
  say_what_stays (context, &review);
  for (guint i = 0; i < review.sets->len; i++)
    {
      g_autoptr (GArray) chosen = vms_review_choose (&review, g_ptr_array_index (review.sets, i));

      n += chosen->len;
    }
  question = g_strdup_printf ("Throw away %u changes in %s?", n, name);
  if (n > 0 && !vms_confirm (context, args, question, error))
    return 1;
  for (guint i = 0; i < review.sets->len; i++)
    {
      SandboxChanges *changes = g_ptr_array_index (review.sets, i);
      g_autoptr (GArray) chosen = vms_review_choose (&review, changes);

      if (chosen->len > 0
          && !sandbox_changes_discard (changes, (const guint *)(gpointer)chosen->data, chosen->len,
                                       context->cancellable, error))
        return 1;
    }
  vms_progress_done (
      progress, "%u changes thrown away%s", n,
      n > 0 && is_off (context, review.machine) ? "; the machine drops them when it starts" : "");
  return 0;
}
