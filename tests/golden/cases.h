// SPDX-License-Identifier: LGPL-2.1-or-later
// The golden cases: profiles that say in their comments with which host and for whom they are
// planned.
//
// plan/NAME.profile begins with lines such as
//   # facts: debian-12-tcg                 (needed: plan/facts/debian-12-tcg.facts)
//   # uid: 1001, # gid: 1001, # home: /home/alice, # name: work, # owner: vms, #
//   subnet: 10.213.0.8/29, # image-size: 8GiB, # image: none
#pragma once

#include "plan/plan-private.h"

typedef struct
{
  char *name;
  char *profile_text;
  char *facts_name;
  SandboxFacts *facts;
  SandboxProfile *profile;
  SandboxPlan *plan; /* NULL when @problem says why */
  GError *problem;
} GoldenCase;

void golden_case_free (GoldenCase *golden);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GoldenCase, golden_case_free)

/* Directory with the cases: tests/golden/plan of the source tree. */
char *golden_dir (void);
/* Names of the files there that end in @suffix, without it, sorted. */
GPtrArray *golden_names (const char *dir, const char *suffix);
/* Reads, parses and resolves one case. What is wrong with the fixture itself ends the program. */
GoldenCase *golden_case_load (const char *dir, const char *name);
/* Only what resolve() does, once more (for measurements); the caller frees the plan. */
SandboxPlan *golden_case_resolve (GoldenCase *golden, GError **error);
