// SPDX-License-Identifier: LGPL-2.1-or-later
// Profiles: whatever is in one, it is refused with a clear error or can be written and read back.
#include "fuzz.h"

#include <sandbox/profile.h>
#include <string.h>

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  SandboxProfileDirs dirs = SANDBOX_PROFILE_DIRS_INIT;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile = NULL, again = NULL;
  g_autofree char *text = NULL, *other = NULL;

  dirs.user_dir = "/nonexistent";
  profile = sandbox_profile_parse (&dirs, "case", "case.profile", (const char *)data,
                                   (gssize)length, &error);
  if (!profile)
    {
      g_assert_nonnull (error);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      g_assert_cmpuint (strlen (error->message), <, 4096);
      return 0;
    }
  g_assert_no_error (error);
  text = sandbox_profile_format (profile);
  again = sandbox_profile_parse (&dirs, "case", "again.profile", text, -1, &error);
  g_assert_no_error (error);
  other = sandbox_profile_format (again);
  g_assert_cmpstr (text, ==, other);
  g_assert_cmpstr (sandbox_profile_get_digest (profile), ==, sandbox_profile_get_digest (again));
  return 0;
}
