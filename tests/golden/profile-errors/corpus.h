// SPDX-License-Identifier: LGPL-2.1-or-later
// Corpora of bad input, each input with the error that it must give; see README.
#pragma once

#include <glib.h>

typedef struct
{
  char *file;  /* base name of the corpus */
  guint line;  /* of the input in it */
  char *kind;  /* "text", "made", "values", ... */
  char **args; /* what follows the kind in its line */
  GString *input;
  char *golden; /* NULL when there is none yet */
  char *seen;   /* the error that it gave in this run */
} Case;

/* Reads DIR/NAME; ends the test program when it is malformed. (element-type Case) (transfer full)
 */
GPtrArray *corpus_read (const char *dir, const char *name);
/* Writes it again with what was seen as golden. */
void corpus_update (const char *dir, const char *name, GPtrArray *cases);
