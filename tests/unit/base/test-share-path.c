// SPDX-License-Identifier: LGPL-2.1-or-later
// Share paths as text. (The corpus of bad ones with their messages is in
// tests/golden/profile-errors.)
#include "base/error.h"
#include "base/file.h"

#include <string.h>

static void
test_sources (void)
{
  static const char *const good[] = { "~/a",       "~/src/a b",       "/data",
                                      "/data/a=b", "/home/alice/src", "/var/www",
                                      "/tmp/x",    "/etcetera",       "/runner",
                                      "~/vms/%n",  "~/.../x",         NULL };
  static const char *const bad[] = { "",
                                     "a",
                                     "/",
                                     "~",
                                     "~/",
                                     "/a/",
                                     "/a//b",
                                     "/a/./b",
                                     "/a/../b",
                                     "/etc",
                                     "/run/x",
                                     "/home/alice",
                                     "/home/alice/.ssh",
                                     "/root/.x",
                                     "~/.x",
                                     "~/bin",
                                     "~/vms",
                                     "/a,b",
                                     "/a:b",
                                     "/a%",
                                     "/a\nb",
                                     "/a\xff",
                                     NULL };

  for (guint i = 0; good[i]; i++)
    {
      g_autoptr (GError) error = NULL;

      /* "..." is a plain name, but hidden in a home */
      g_assert_cmpint (sandbox_share_source_text_check (good[i], &error), ==,
                       !g_str_has_prefix (good[i], "~/."));
    }
  for (guint i = 0; bad[i]; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (sandbox_share_source_text_check (bad[i], &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
    }
}

static void
test_targets (void)
{
  g_assert_true (sandbox_share_target_text_check ("~/.config/x", NULL));
  g_assert_true (sandbox_share_target_text_check ("~/bin", NULL));
  g_assert_true (sandbox_share_target_text_check ("/srv/x", NULL));
  g_assert_true (sandbox_share_target_text_check ("/home/dev/.sshx", NULL));
  g_assert_false (sandbox_share_target_text_check ("/home/dev/.ssh", NULL));
  g_assert_false (sandbox_share_target_text_check ("/usr", NULL));
  g_assert_false (sandbox_share_target_text_check ("~", NULL));
}

static void
test_overlaps (void)
{
  g_assert_true (sandbox_path_overlaps ("/a", "/a"));
  g_assert_true (sandbox_path_overlaps ("/a", "/a/b"));
  g_assert_true (sandbox_path_overlaps ("/a/b/c", "/a"));
  g_assert_true (sandbox_path_overlaps ("/", "/a"));
  g_assert_false (sandbox_path_overlaps ("/a", "/ab"));
  g_assert_false (sandbox_path_overlaps ("/a/b", "/a/c"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share-path/sources", test_sources);
  g_test_add_func ("/share-path/targets", test_targets);
  g_test_add_func ("/share-path/overlaps", test_overlaps);
  return g_test_run ();
}
