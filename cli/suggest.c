// SPDX-License-Identifier: LGPL-2.1-or-later
// "did you mean": edit distance over the words of the command table.
#include "suggest.h"

#include <string.h>

/* Longer words are no slips of the finger. */
#define WORD_MAX 40

/* Edit distance (insert, remove, replace, swap neighbours), each costs one. */
static guint
distance (const char *a, const char *b)
{
  gsize la = strlen (a), lb = strlen (b);
  guint rows[3][WORD_MAX + 1];

  for (gsize j = 0; j <= lb; j++)
    rows[0][j] = j;
  for (gsize i = 1; i <= la; i++)
    {
      guint *now = rows[i % 3], *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
      now[0] = i;
      for (gsize j = 1; j <= lb; j++)
        {
          now[j] = MIN (MIN (last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
          if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
            now[j] = MIN (now[j], before[j - 2] + 1);
        }
    }
  return rows[la % 3][lb];
}

const char *
vms_nearest (const char *word, const char *const *words)
{
  const char *best = NULL;
  guint best_distance = G_MAXUINT;

  if (strlen (word) > WORD_MAX)
    return NULL;
  for (; *words != NULL; words++)
    {
      gsize length = strlen (*words);
      guint found = length <= WORD_MAX ? distance (word, *words) : G_MAXUINT;
      /* up to a third of the word may be wrong, at least one letter */
      if (found <= MAX (1, length / 3) && found < length && found < best_distance)
        {
          best = *words;
          best_distance = found;
        }
    }
  return best;
}

char *
vms_suggest_verb (const char *family, const char *word)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    {
      if (row->flags & VMS_VERB_HIDDEN)
        continue;
      if (family == NULL)
        g_ptr_array_add (words, (gpointer)row->verb);
      else if (row->sub != NULL && strcmp (row->verb, family) == 0)
        g_ptr_array_add (words, (gpointer)row->sub);
    }
  g_ptr_array_add (words, NULL);
  return g_strdup (vms_nearest (word, (const char *const *)words->pdata));
}

char *
vms_suggest_option (const VmsVerb *verb, const char *word)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  if (verb != NULL && verb->options != NULL)
    for (const VmsOption *option = verb->options; option->name != NULL; option++)
      g_ptr_array_add (words, (gpointer)option->name);
  for (const VmsOption *option = vms_global_options; option->name != NULL; option++)
    g_ptr_array_add (words, (gpointer)option->name);
  g_ptr_array_add (words, NULL);
  return g_strdup (vms_nearest (word, (const char *const *)words->pdata));
}
