// SPDX-License-Identifier: LGPL-2.1-or-later
// What diff, apply and discard have in common.
#include "review.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
vms_review_clear (VmsReview *review)
{
  g_clear_pointer (&review->sets, g_ptr_array_unref);
  g_clear_pointer (&review->host, sandbox_host_unref);
  g_clear_pointer (&review->machine, sandbox_machine_unref);
  g_clear_pointer (&review->tags, g_strfreev);
  g_clear_pointer (&review->paths, g_strfreev);
}

/* "./src/" -> "src" */
static char *
clean (const char *path)
{
  char *copy;
  gsize length;

  while (g_str_has_prefix (path, "./"))
    path += 2;
  copy = g_strdup (path);
  for (length = strlen (copy); length > 1 && copy[length - 1] == '/'; length--)
    copy[length - 1] = '\0';
  return copy;
}

/* The shares that can be asked for: of the machine, or of what was saved of it. */
static char **
open_shares (VmsContext *context, const VmsArgs *args, VmsReview *review, GError **error)
{
  review->name = args->operands[0];
  review->saved = vms_args_get (args, "from");
  if (review->saved != NULL)
    {
      g_autofree char *base = g_path_get_basename (review->saved);
      gsize length = strlen (review->name);

      if (strncmp (base, review->name, length) != 0 || base[length] != '-')
        {
          vms_fail (error, SANDBOX_ERROR_INVALID, "%s --from: %s has no changes of %s",
                    args->verb->verb, review->saved, review->name);
          return NULL;
        }
      review->host = vms_open_host (context, error);
      return review->host == NULL
                 ? NULL
                 : sandbox_host_list_saved_shares (review->host, review->saved, error);
    }
  review->machine = vms_open_machine (context, review->name, error);
  return review->machine == NULL ? NULL : sandbox_machine_list_reviews (review->machine, error);
}

gboolean
vms_review_open (VmsContext *context, const VmsArgs *args, VmsReview *review, GError **error)
{
  const char *name = args->operands[0];
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) tags = NULL;
  guint first = 1;

  tags = open_shares (context, args, review, error);
  if (tags == NULL)
    return FALSE;
  if (tags[0] == NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "%s %s: none of its shares is in mode review; what a machine writes into the "
                     "others is on this host already",
                     args->verb->verb, name);
  if (args->n_operands > 1 && g_strv_contains ((const char *const *)tags, args->operands[1]))
    {
      g_strfreev (tags);
      tags = g_new0 (char *, 2);
      tags[0] = g_strdup (args->operands[1]);
      first = 2;
    }
  for (guint i = first; i < args->n_operands; i++)
    g_ptr_array_add (paths, clean (args->operands[i]));
  g_ptr_array_add (paths, NULL);
  review->paths = (char **)g_ptr_array_free (g_steal_pointer (&paths), FALSE);
  review->tags = g_steal_pointer (&tags);
  review->ignored = vms_args_has (args, "ignored");
  return TRUE;
}

static gboolean
read_saved (VmsContext *context, VmsReview *review, GError **error)
{
  review->sets = g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_changes_unref);
  for (char **tag = review->tags; *tag != NULL; tag++)
    {
      SandboxChanges *changes = sandbox_host_read_saved_changes (review->host, review->saved, *tag,
                                                                 context->cancellable, error);

      if (changes == NULL)
        return FALSE;
      g_ptr_array_add (review->sets, changes);
    }
  return TRUE;
}

gboolean
vms_review_read (VmsContext *context, VmsReview *review, VmsProgress *progress, GError **error)
{
  if (review->saved != NULL)
    return read_saved (context, review, error);
  review->sets =
      sandbox_machine_read_all_changes (review->machine, (const char *const *)review->tags,
                                        vms_progress_update, progress, context->cancellable, error);
  return review->sets != NULL;
}

static gboolean
path_matches (const char *wanted, const char *path)
{
  gsize length = strlen (wanted);

  if (g_str_equal (wanted, "."))
    return TRUE;
  if (strncmp (path, wanted, length) == 0 && (path[length] == '\0' || path[length] == '/'))
    return TRUE;
  return fnmatch (wanted, path, 0) == 0;
}

static gboolean
is_named (const VmsReview *review, const SandboxChange *change)
{
  gboolean named = review->paths[0] == NULL;

  for (char **word = review->paths; *word != NULL && !named; word++)
    named = path_matches (*word, change->path);
  return named;
}

GArray *
vms_review_choose (const VmsReview *review, SandboxChanges *changes)
{
  GArray *chosen = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < sandbox_changes_get_length (changes); i++)
    {
      const SandboxChange *change = sandbox_changes_get (changes, i);

      if (is_named (review, change) && (review->ignored || !change->ignored))
        g_array_append_val (chosen, i);
    }
  return chosen;
}

guint
vms_review_count_ignored (const VmsReview *review, SandboxChanges *changes)
{
  guint n = 0;

  for (guint i = 0; i < sandbox_changes_get_length (changes) && !review->ignored; i++)
    {
      const SandboxChange *change = sandbox_changes_get (changes, i);

      n += change->ignored && is_named (review, change);
    }
  return n;
}

gboolean
vms_review_note_shown (SandboxChanges *changes, const GArray *chosen, gboolean whole,
                       GError **error)
{
  static const guint none[1];

  /* no array would be all of them */
  return sandbox_changes_note_shown (changes,
                                     chosen->len > 0 ? (const guint *)(gpointer)chosen->data : none,
                                     chosen->len, whole, error);
}

static gboolean
matches_any (const VmsReview *review, const char *word, gboolean ignored)
{
  for (guint i = 0; i < review->sets->len; i++)
    {
      SandboxChanges *changes = g_ptr_array_index (review->sets, i);

      for (guint k = 0; k < sandbox_changes_get_length (changes); k++)
        {
          const SandboxChange *change = sandbox_changes_get (changes, k);

          if ((ignored || !change->ignored) && path_matches (word, change->path))
            return TRUE;
        }
    }
  return FALSE;
}

gboolean
vms_review_check_paths (const VmsReview *review, GError **error)
{
  for (char **word = review->paths; *word != NULL; word++)
    if (!matches_any (review, *word, review->ignored))
      {
        g_autofree char *shown = vms_escape (*word);

        if (matches_any (review, *word, TRUE))
          return vms_fail (error, SANDBOX_ERROR_NOT_FOUND,
                           "%s: what changed at \"%s\" is ignored by git on this host: --ignored "
                           "takes it in",
                           review->name, shown);
        return vms_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "%s: nothing changed at \"%s\"; paths begin at the shared directory, and "
                         "`vms diff --stat %s` lists them",
                         review->name, shown, review->name);
      }
  return TRUE;
}

char *
vms_review_note (const SandboxChange *change)
{
  return g_strconcat (sandbox_change_state_to_string (change->state),
                      change->reason != NULL ? ": " : "",
                      change->reason != NULL ? change->reason : "", NULL);
}

void
vms_review_remarks (VmsContext *context, const VmsReview *review)
{
  const char *name = review->name;

  for (guint i = 0; i < review->sets->len && !context->quiet; i++)
    {
      SandboxChanges *changes = g_ptr_array_index (review->sets, i);
      g_autofree char *pull = review->saved != NULL
                                  ? g_strdup_printf ("commits stay in %s.tar there, and the "
                                                     "tutorial says how to get at them",
                                                     review->tags[i])
                                  : g_strdup_printf ("`vms pull --dry-run %s` lists commits, "
                                                     "`vms pull %s` brings them",
                                                     name, name);
      guint ignored = vms_review_count_ignored (review, changes);

      if (ignored > 0)
        vms_say ("%s: %u %s that git on this host ignores %s left out; --ignored takes %s in", name,
                 ignored, ignored == 1 ? "change" : "changes", ignored == 1 ? "is" : "are",
                 ignored == 1 ? "it" : "them");
      if (sandbox_changes_get_git (changes) > 0)
        vms_say ("%s: %u entries in directories of git's are left out: they are never applied, as "
                 "git on this host would run what they say; %s",
                 name, sandbox_changes_get_git (changes), pull);
      if (sandbox_changes_get_unsettled (changes))
        vms_say (review->saved != NULL
                     ? "%s: the machine was writing while these were saved: files that changed "
                       "then may be torn, or missing"
                     : "%s: files changed while they were read, and may be torn, or missing here: "
                       "look again when the machine rests",
                 name);
    }
}

static VmsColour
line_colour (const char *line)
{
  return line[0] == '+'                          ? VMS_GREEN
         : line[0] == '-'                        ? VMS_RED
         : g_str_has_prefix (line, "diff --git") ? VMS_BOLD
         : g_str_has_prefix (line, "@@")         ? VMS_DIM
                                                 : VMS_PLAIN;
}

void
vms_review_print_text (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (char **line = lines; *line != NULL; line++)
    {
      g_autofree char *shown = NULL;

      if (**line == '\0' && line[1] == NULL)
        return;
      shown = vms_escape_lines (*line);
      printf ("%s%s%s\n", vms_colour (STDOUT_FILENO, line_colour (*line)), shown,
              vms_colour (STDOUT_FILENO, VMS_PLAIN));
    }
}

static void
print_text (const char *text, gsize length)
{
  if (isatty (STDOUT_FILENO))
    vms_review_print_text (text);
  else
    fwrite (text, 1, length, stdout);
}

void
vms_review_print_rename (const SandboxChanges *changes, guint old, guint index)
{
  g_autofree char *text = sandbox_changes_diff_rename (changes, old, index);

  print_text (text, strlen (text));
}

gboolean
vms_review_print (VmsContext *context, SandboxChanges *changes, guint index, GError **error)
{
  const SandboxChange *change = sandbox_changes_get (changes, index);
  gsize length = 0;
  g_autofree char *text =
      sandbox_changes_diff (changes, index, &length, NULL, NULL, context->cancellable, error);

  if (text == NULL)
    return FALSE;
  /* git and patch(1) take lines before a header for words to people */
  if (change->state != SANDBOX_CHANGE_READY || change->reason != NULL)
    {
      g_autofree char *note = vms_review_note (change);
      g_autofree char *shown = vms_escape (note);

      printf ("# %s\n", shown);
    }
  print_text (text, length);
  return TRUE;
}
