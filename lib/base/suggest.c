// SPDX-License-Identifier: LGPL-2.1-or-later
// "Did you mean": the nearest of some known words.
#include "base/names.h"

#include <string.h>

/* Longer words are not worth a suggestion, and the table below stays on the stack. */
#define SUGGEST_WORD_MAX 63

/* Edit distance in which two swapped neighbours count as one mistake. */
static guint
edit_distance (const char *a, const char *b)
{
  guint rows[3][SUGGEST_WORD_MAX + 1];
  guint *before = rows[0], *last = rows[1], *now = rows[2];
  gsize a_len = strlen (a), b_len = strlen (b);

  for (gsize j = 0; j <= b_len; j++)
    last[j] = (guint)j;
  for (gsize i = 1; i <= a_len; i++)
    {
      guint *spare = before;

      now[0] = (guint)i;
      for (gsize j = 1; j <= b_len; j++)
        {
          char ca = g_ascii_tolower (a[i - 1]), cb = g_ascii_tolower (b[j - 1]);
          guint best = last[j - 1] + (ca == cb ? 0 : 1);

          best = MIN (best, last[j] + 1);
          best = MIN (best, now[j - 1] + 1);
          if (i > 1 && j > 1 && ca == g_ascii_tolower (b[j - 2])
              && cb == g_ascii_tolower (a[i - 2]))
            best = MIN (best, before[j - 2] + 1);
          now[j] = best;
        }
      before = last;
      last = now;
      now = spare;
    }
  return last[b_len];
}

const char *
sandbox_nearest (const char *word, const char *const *candidates)
{
  const char *nearest = NULL;
  gsize length = strlen (word);
  guint best = MAX (1, (guint)length / 3) + 1;

  if (length == 0 || length > SUGGEST_WORD_MAX)
    return NULL;
  for (gsize i = 0; candidates[i]; i++)
    {
      guint distance;

      if (strlen (candidates[i]) > SUGGEST_WORD_MAX)
        continue;
      distance = edit_distance (word, candidates[i]);
      if (distance * 2 >= length)
        continue; /* too little in common: "on" is no slip for "no" */
      if (distance < best)
        {
          best = distance;
          nearest = candidates[i];
        }
    }
  for (gsize i = 0; !nearest && length >= 2 && candidates[i]; i++)
    if (g_ascii_strncasecmp (candidates[i], word, length) == 0)
      nearest = candidates[i];
  return nearest;
}
