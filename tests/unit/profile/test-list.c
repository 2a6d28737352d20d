// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of profiles: all of them, sorted, with the problems of those that do not load.
#include "fixture.h"

#include <string.h>

static void
test_list (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) infos = NULL;
  const SandboxProfileInfo *info;
  static const char *const names[] = { "Upper", "all", "base", "broken", "mine", "work" };

  fixture_shipped (fixture, "work", "[profile]\nsummary=shipped\n");
  fixture_user (fixture, "work", "[profile]\nsummary=of the user\n");
  fixture_user (fixture, "mine", "[profile]\ninherits=work\n");
  fixture_user (fixture, "broken", "[machine]\ncpu=1\n");
  fixture_user (fixture, "Upper", "");
  fixture_user (fixture, "all", "");
  fixture_user (fixture, "defaults", "[machine]\ncpus=2\n");
  fixture_user (fixture, ".hidden", "");
  infos = sandbox_profile_list (&fixture->dirs, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (infos->len, ==, G_N_ELEMENTS (names));
  for (guint i = 0; i < infos->len; i++)
    {
      info = g_ptr_array_index (infos, i);
      g_assert_cmpstr (info->name, ==, names[i]);
      g_assert_cmpint (info->problem != NULL, ==, i < 2 || i == 3);
    }
  info = g_ptr_array_index (infos, 3);
  g_assert_nonnull (strstr (info->problem, "broken.profile:2: unknown key \"cpu\""));
  g_assert_cmpstr (info->summary, ==, "");
  info = g_ptr_array_index (infos, 4);
  g_assert_cmpstr (info->inherits, ==, "work");
  g_assert_true (info->user && !info->shipped);
  info = g_ptr_array_index (infos, 5);
  g_assert_cmpstr (info->summary, ==, "of the user");
  g_assert_true (info->user && info->shipped);
  g_assert_true (g_str_has_prefix (info->path, fixture->user));
  info = g_ptr_array_index (infos, 2);
  g_assert_true (!info->user && info->shipped);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fixture_add ("/list/list", test_list);
  return g_test_run ();
}
