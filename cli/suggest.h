// SPDX-License-Identifier: LGPL-2.1-or-later
// "did you mean": the nearest verb or option.
#pragma once

#include "verbs.h"

/* Nearest of @words (NULL-terminated) by edit distance, NULL when none is near. Not owned. */
const char *vms_nearest (const char *word, const char *const *words);
/* Nearest verb, or subverb of @family (nullable); (transfer full) (nullable) */
char *vms_suggest_verb (const char *family, const char *word);
/* Nearest option of @verb (nullable: global options), without dashes; (transfer full) (nullable) */
char *vms_suggest_option (const VmsVerb *verb, const char *word);
