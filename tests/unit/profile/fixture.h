// SPDX-License-Identifier: LGPL-2.1-or-later
// Two directories of profiles that a test fills as it likes.
#pragma once

#include "profile/profile-internal.h"

typedef struct
{
  char *top;
  char *user, *shipped;
  SandboxProfileDirs dirs;
} Fixture;

void fixture_set_up (Fixture *fixture, gconstpointer data);
void fixture_tear_down (Fixture *fixture, gconstpointer data);
/* Writes NAME.profile; both directories begin with nothing but a shipped base. */
void fixture_user (Fixture *fixture, const char *name, const char *text);
void fixture_shipped (Fixture *fixture, const char *name, const char *text);
/* Loads it; the test fails when it does not load. */
SandboxProfile *fixture_load (Fixture *fixture, const char *name);
/* It must not load, with that code, and a message that has each of the NULL-terminated parts. */
void
fixture_refused (Fixture *fixture, const char *name, SandboxError code, ...) G_GNUC_NULL_TERMINATED;

#define fixture_add(path, func)                                                                    \
  g_test_add (path, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
