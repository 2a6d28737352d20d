// SPDX-License-Identifier: LGPL-2.1-or-later
// A host's repository, a guest's clone of it, and a pull from one to the other without a machine.
#pragma once

#include "share/pull-private.h"

typedef struct
{
  char *path;         /* of it all: "host", "guest", "state" below it */
  char *host, *state; /* paths */
  char *marker;       /* made by whatever was planted, when it ran */
  int state_fd;
  guint64 max_bytes;
} Fixture;

void fixture_set_up (Fixture *fixture);
void fixture_tear_down (Fixture *fixture);
/* A shell command line in the fixture's directory, with git that has a configuration of the
 * test's: $M is the marker. Must succeed; its output without the last newline. */
char *fixture_run (Fixture *fixture, const char *command);
/* The guest's new commits as "bundle", as the guest's side makes it. */
void fixture_bundle (Fixture *fixture);
/* The file "bundle" into the host's repository, as machine "work". */
SandboxPull *fixture_pull (Fixture *fixture, gboolean dry_run, GError **error);
/* All that git writes in the host's repository but what a pull may write, as one digest. */
char *fixture_digest (Fixture *fixture);
