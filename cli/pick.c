// SPDX-License-Identifier: LGPL-2.1-or-later
// apply --interactive: each change is shown and asked about, or each hunk of it.
#include "pick.h"

#include "output.h"

#include <stdio.h>
#include <string.h>

static const char FILE_LETTERS[] = "ynhaq";
static const char FILE_HELP[] =
    "y: apply it; n: leave it; h: ask about each part (hunk) of it; a: apply it and all that "
    "follow; q: leave it and all that follow";
static const char WHOLE_LETTERS[] = "ynaq";
static const char WHOLE_HELP[] =
    "y: apply it; n: leave it; a: apply it and all that follow; q: leave it and all that follow";
static const char HUNK_LETTERS[] = "ynaq";
static const char HUNK_HELP[] =
    "y: take this part; n: leave it; a: take it and the rest of the file; q: leave it and the "
    "rest of the file";

typedef struct
{
  VmsContext *context;
  GError **error;
} Pick;

static gboolean
ask (Pick *pick, const char *question, const char *letters, const char *help, char *ret_letter)
{
  for (;;)
    {
      if (!vms_ask_letter (pick->context, question, letters, ret_letter, pick->error))
        return FALSE;
      if (*ret_letter != '\0')
        return TRUE;
      vms_say ("%s", help);
    }
}

/* The diff of a file, in its hunks; what stands before the first is its head. */
static char **
split_hunks (const char *diff)
{
  g_autoptr (GStrvBuilder) parts = g_strv_builder_new ();
  const char *from = diff;

  for (const char *at = diff; (at = strstr (at, "\n@@ ")) != NULL; from = ++at)
    {
      g_autofree char *part = g_strndup (from, (gsize)(at + 1 - from));

      g_strv_builder_add (parts, part);
    }
  g_strv_builder_add (parts, from);
  return g_strv_builder_end (parts);
}

/* *@ret_taken: how many parts of the change are wanted. */
static gboolean
pick_hunks (Pick *pick, SandboxChanges *changes, guint index, guint *ret_taken)
{
  const SandboxChange *change = sandbox_changes_get (changes, index);
  g_autofree char *diff = sandbox_changes_diff (changes, index, NULL, NULL, NULL,
                                                pick->context->cancellable, pick->error);
  g_auto (GStrv) parts = diff != NULL ? split_hunks (diff) : NULL;
  guint n = parts != NULL ? g_strv_length (parts) - 1 : 0;
  g_autofree gboolean *wanted = g_new0 (gboolean, n + 1);
  char letter = '\0';

  *ret_taken = 0;
  if (parts == NULL)
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *question = g_strdup_printf ("Part %u of %u of %s?", i + 1, n, change->path);

      if (letter != 'a' && letter != 'q')
        {
          vms_review_print_text (parts[i + 1]);
          if (!ask (pick, question, HUNK_LETTERS, HUNK_HELP, &letter))
            return FALSE;
        }
      wanted[i] = letter == 'y' || letter == 'a';
      *ret_taken += wanted[i] ? 1 : 0;
    }
  return *ret_taken == 0 || *ret_taken == n
         || sandbox_changes_keep_hunks (changes, index, wanted, n, pick->context->cancellable,
                                        pick->error);
}

/* h is offered where the change has parts. */
static gboolean
pick_file (Pick *pick, SandboxChanges *changes, guint index, char *ret_letter)
{
  const SandboxChange *change = sandbox_changes_get (changes, index);
  g_autofree char *question = g_strdup_printf ("Apply %s?", change->path);
  g_autofree char *diff = sandbox_changes_diff (changes, index, NULL, NULL, NULL,
                                                pick->context->cancellable, pick->error);
  gboolean parts;

  if (diff == NULL)
    return FALSE;
  parts = change->kind == SANDBOX_CHANGE_MODIFIED && change->state != SANDBOX_CHANGE_CONFLICT
          && strstr (diff, "\n@@ ") != NULL;
  return ask (pick, question, parts ? FILE_LETTERS : WHOLE_LETTERS, parts ? FILE_HELP : WHOLE_HELP,
              ret_letter);
}

GArray *
vms_pick (VmsContext *context, SandboxChanges *changes, const GArray *chosen,
          gboolean (*is_open) (const SandboxChange *change, gconstpointer data), gconstpointer data,
          GError **error)
{
  g_autoptr (GArray) kept = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) shown = g_array_new (FALSE, FALSE, sizeof (guint));
  Pick pick = { context, error };
  char letter = '\0';

  for (guint i = 0; i < chosen->len; i++)
    {
      guint index = g_array_index (chosen, guint, i);
      const SandboxChange *change = sandbox_changes_get (changes, index);
      guint taken = 1;

      if (!is_open (change, data))
        {
          g_array_append_val (kept, index);
          continue;
        }
      if (letter != 'a' && letter != 'q')
        g_array_append_val (shown, index);
      if (letter != 'a' && letter != 'q'
          && (!vms_review_print (context, changes, index, error)
              || !pick_file (&pick, changes, index, &letter)
              || (letter == 'h' && !pick_hunks (&pick, changes, index, &taken))))
        return NULL;
      if (letter != 'n' && letter != 'q' && taken > 0)
        g_array_append_val (kept, index);
    }
  if (!vms_review_note_shown (changes, shown, TRUE, error))
    return NULL;
  return g_steal_pointer (&kept);
}
