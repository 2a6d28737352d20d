// SPDX-License-Identifier: LGPL-2.1-or-later
// Two directories of profiles that a test fills as it likes.
#include "fixture.h"

#include "base/file.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
fixture_set_up (Fixture *fixture, gconstpointer data)
{
  fixture->top = g_dir_make_tmp ("profile-XXXXXX", NULL);
  fixture->user = g_build_filename (fixture->top, "user", NULL);
  fixture->shipped = g_build_filename (fixture->top, "shipped", NULL);
  g_assert_cmpint (g_mkdir (fixture->user, 0700), ==, 0);
  g_assert_cmpint (g_mkdir (fixture->shipped, 0755), ==, 0);
  fixture->dirs = (SandboxProfileDirs)SANDBOX_PROFILE_DIRS_INIT;
  fixture->dirs.user_dir = fixture->user;
  fixture->dirs.shipped_dir = fixture->shipped;
  fixture_shipped (fixture, "base", "[machine]\nuser=basic\n");
}

void
fixture_tear_down (Fixture *fixture, gconstpointer data)
{
  g_autofree char *parent = g_path_get_dirname (fixture->top);
  g_autofree char *name = g_path_get_basename (fixture->top);
  sandbox_autofd int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  g_assert_true (sandbox_remove_at (fd, name, NULL));
  g_free (fixture->top);
  g_free (fixture->user);
  g_free (fixture->shipped);
}

static void
write_profile (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_strdup_printf ("%s/%s.profile", dir, name);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (g_chmod (path, 0600), ==, 0);
}

void
fixture_user (Fixture *fixture, const char *name, const char *text)
{
  write_profile (fixture->user, name, text);
}

void
fixture_shipped (Fixture *fixture, const char *name, const char *text)
{
  write_profile (fixture->shipped, name, text);
}

SandboxProfile *
fixture_load (Fixture *fixture, const char *name)
{
  g_autoptr (GError) error = NULL;
  SandboxProfile *profile = sandbox_profile_load (&fixture->dirs, name, &error);

  g_assert_no_error (error);
  g_assert_nonnull (profile);
  return profile;
}

void
fixture_refused (Fixture *fixture, const char *name, SandboxError code, ...)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile = sandbox_profile_load (&fixture->dirs, name, &error);
  va_list args;

  g_assert_null (profile);
  g_assert_error (error, SANDBOX_ERROR, (int)code);
  va_start (args, code);
  for (const char *part = va_arg (args, const char *); part; part = va_arg (args, const char *))
    if (!strstr (error->message, part))
      g_error ("\"%s\" lacks \"%s\"", error->message, part);
  va_end (args);
}
