// SPDX-License-Identifier: LGPL-2.1-or-later
// What the tests of the guest layer share: a state directory, and a real sshd on loopback in place
// of a guest.
#pragma once

#include "guest/guest-private.h"

typedef struct
{
  char *path; /* state directory */
  int fd;
  char *guest; /* the sshd's own files */
  char *log;   /* of the sshd */
  SandboxSsh *ssh;
  const char
      *accept_env; /* what the sshd takes of a client's environment; all of it, if not said */
  pid_t sshd;
} Fixture;

/* Keys and known_hosts, no sshd. */
void fixture_set_up (Fixture *fixture);
/* @more: further lines of its configuration. Skips the test and returns FALSE where there is no
 * sshd. */
gboolean fixture_start_sshd (Fixture *fixture, const char *more);
void fixture_stop_sshd (Fixture *fixture);
/* Everything that the sshd logged. */
char *fixture_log (Fixture *fixture);
void fixture_tear_down (Fixture *fixture);
/* A control master as the keeper has it. */
pid_t fixture_start_master (Fixture *fixture);
void fixture_kill (pid_t pid);
/* Runs @argv; stdout and stderr together. */
char *fixture_run (const char *const *argv, int *ret_status);
/* A plan with what this layer reads of it; freed by fixture_plan_free(). */
typedef SandboxPlan FixturePlan; /* its own name: its own way to be freed */
SandboxPlan *fixture_plan (void);
/* Read-write; it belongs to @plan. */
SandboxPlanShare *fixture_plan_add_share (SandboxPlan *plan, const char *tag, const char *target);
void fixture_plan_free (SandboxPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FixturePlan, fixture_plan_free)
