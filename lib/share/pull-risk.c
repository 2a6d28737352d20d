// SPDX-License-Identifier: LGPL-2.1-or-later
// Files of commits that programs of the host act on when they come to lie in a project. A warning,
// not a fence: what runs when somebody builds or tests is all of a project.
#include "share/pull-private.h"

#include "share/share.h"

const char *
_sandbox_path_risk (const char *path)
{
  g_autofree char *valid = g_utf8_make_valid (path, -1);
  gboolean git;
  SandboxChangeRisk risk = _sandbox_class_of (valid, &git);

  if (git || risk == SANDBOX_CHANGE_RUNS)
    return "runs without asking";
  return risk == SANDBOX_CHANGE_BUILDS ? "runs, or is followed, when the project is worked on"
                                       : NULL;
}
