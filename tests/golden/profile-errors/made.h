// SPDX-License-Identifier: LGPL-2.1-or-later
// Profiles that no text can describe: made in the file system, or too large to be written down.
#pragma once

#include <glib.h>

typedef struct
{
  const char *name;
  /* Makes @dir/case.profile, or changes @dir; FALSE: not possible for this user. */
  gboolean (*make) (const char *dir, const char *path);
} Made;

extern const Made made_cases[];
extern const gsize n_made_cases;
