// SPDX-License-Identifier: LGPL-2.1-or-later
// Directories to be shared as they really are: owners, modes, links, and where links lead.
#include "base/error.h"
#include "base/file.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *top, *home;

static char *
in_top (const char *name)
{
  return g_build_filename (top, name, NULL);
}

static char *
make_dir (const char *name)
{
  char *path = in_top (name);

  g_assert_cmpint (g_mkdir_with_parents (path, 0700), ==, 0);
  return path;
}

static void
assert_good (const char *path)
{
  g_autoptr (GError) error = NULL;

  sandbox_share_source_check (path, geteuid (), NULL, &error);
  g_assert_no_error (error);
}

static void
assert_bad (const char *path, SandboxError code, const char *part)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (sandbox_share_source_check (path, geteuid (), NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, (int)code);
  if (!strstr (error->message, part))
    g_error ("\"%s\" lacks \"%s\"", error->message, part);
}

static void
test_good (void)
{
  g_autofree char *path = make_dir ("good/project");
  g_autofree char *link = in_top ("link"), *relative = in_top ("relative");

  assert_good (path);
  g_assert_cmpint (symlink (path, link), ==, 0);
  assert_good (link);
  g_assert_cmpint (symlink ("good/../good/./project", relative), ==, 0);
  assert_good (relative);
}

static void
test_kinds (void)
{
  g_autofree char *dir = make_dir ("kinds");
  g_autofree char *file = g_build_filename (dir, "file", NULL);
  g_autofree char *below = g_build_filename (file, "x", NULL);
  g_autofree char *none = g_build_filename (dir, "none", NULL);
  g_autofree char *loop = g_build_filename (dir, "loop", NULL);
  g_autofree char *long_path = g_strnfill (2000, '/');

  g_assert_true (g_file_set_contents (file, "", 0, NULL));
  g_assert_cmpint (symlink ("loop", loop), ==, 0);
  assert_bad (file, SANDBOX_ERROR_INVALID, "is no directory");
  assert_bad (below, SANDBOX_ERROR_INVALID, "is no directory");
  assert_bad (none, SANDBOX_ERROR_NOT_FOUND, "mkdir -p");
  assert_bad (loop, SANDBOX_ERROR_INVALID, "more than 40 symbolic links");
  assert_bad ("relative/path", SANDBOX_ERROR_INVALID, "does not begin with /");
  assert_bad (long_path, SANDBOX_ERROR_INVALID, "longer than 1024");
}

static void
test_modes (void)
{
  g_autofree char *parent = make_dir ("modes");
  g_autofree char *path = make_dir ("modes/open");

  g_assert_cmpint (g_chmod (path, 0777), ==, 0);
  assert_bad (path, SANDBOX_ERROR_INVALID, "everybody may write");
  g_assert_cmpint (g_chmod (path, 0755), ==, 0);
  assert_good (path);
  g_assert_cmpint (g_chmod (parent, 0777), ==, 0);
  assert_bad (path, SANDBOX_ERROR_INVALID, "everybody may write in");
  /* sticky: only the owner may rename what is in it */
  g_assert_cmpint (g_chmod (parent, 01777), ==, 0);
  assert_good (path);
}

static void
test_places (void)
{
  static const char *const system[] = { "/",           "/etc",       "/proc/self", "/dev",
                                        "/sys/kernel", "/usr/share", "/tmp",       NULL };
  g_autofree char *ssh = g_build_filename (home, ".ssh", NULL);
  g_autofree char *src = g_build_filename (home, "src", NULL);
  g_autofree char *bin = g_build_filename (home, "bin", NULL);
  g_autofree char *vms = g_build_filename (home, "vms", NULL);
  g_autofree char *box = g_build_filename (vms, "work", NULL);
  g_autofree char *way = g_build_filename (src, "way", NULL);
  g_autofree char *etc = g_build_filename (src, "etc", NULL);

  for (guint i = 0; system[i]; i++)
    assert_bad (system[i], SANDBOX_ERROR_INVALID, "");
  g_assert_cmpint (g_mkdir_with_parents (src, 0700) | g_mkdir (ssh, 0700) | g_mkdir (bin, 0700)
                       | g_mkdir_with_parents (box, 0700),
                   ==, 0);
  assert_good (src);
  assert_good (box);
  assert_bad (home, SANDBOX_ERROR_INVALID, "whole home");
  assert_bad (top, SANDBOX_ERROR_INVALID, "whole home");
  assert_bad (ssh, SANDBOX_ERROR_INVALID, "hidden");
  assert_bad (bin, SANDBOX_ERROR_INVALID, "the host runs");
  assert_bad (vms, SANDBOX_ERROR_INVALID, "all machines");
  /* what a link looks like does not matter, only where it leads */
  g_assert_cmpint (symlink (ssh, way), ==, 0);
  assert_bad (way, SANDBOX_ERROR_INVALID, "hidden");
  g_assert_cmpint (symlink ("/etc", etc), ==, 0);
  assert_bad (etc, SANDBOX_ERROR_INVALID, "place of the system");
}

static void
test_own_places (void)
{
  g_autofree char *config = make_dir ("config/vms/x");
  g_autofree char *above = in_top ("config");
  g_autofree char *data = make_dir ("data/vms");

  /* XDG directories outside of the home, where the rule about hidden directories does not reach */
  assert_bad (config, SANDBOX_ERROR_INVALID, "profiles and keys");
  assert_bad (above, SANDBOX_ERROR_INVALID, "profiles and keys");
  assert_bad (data, SANDBOX_ERROR_INVALID, "profiles and keys");
}

static void
test_names (void)
{
  g_autofree char *comma = make_dir ("a,b");
  g_autofree char *broken = make_dir ("x\xffy");
  g_autofree char *link = in_top ("harmless");

  assert_bad (comma, SANDBOX_ERROR_INVALID, "separate the parts");
  assert_bad (broken, SANDBOX_ERROR_INVALID, "UTF-8");
  g_assert_cmpint (symlink (comma, link), ==, 0);
  assert_bad (link, SANDBOX_ERROR_INVALID, "separate the parts");
}

static void
test_owners (void)
{
  g_autofree char *path = NULL, *below = NULL, *good = NULL, *link = NULL;

  if (geteuid () != 0)
    {
      g_test_skip ("needs root to make directories of another user");
      return;
    }
  path = make_dir ("foreign");
  below = make_dir ("foreign/mine");
  good = make_dir ("good2");
  link = in_top ("foreign-link");
  g_assert_cmpint (chown (path, 12345, 12345), ==, 0);
  assert_bad (path, SANDBOX_ERROR_INVALID, "belongs to uid 12345");
  assert_bad (below, SANDBOX_ERROR_INVALID, "who could exchange it");
  g_assert_cmpint (symlink (good, link), ==, 0);
  assert_good (link);
  g_assert_cmpint (lchown (link, 12345, 12345), ==, 0);
  assert_bad (link, SANDBOX_ERROR_INVALID, "who could turn it");
  /* a directory of root is not the user's, even where root asks for the user */
  g_assert_false (sandbox_share_source_check (good, 12345, NULL, NULL));
}

int
main (int argc, char **argv)
{
  g_autofree char *config = NULL, *data = NULL;
  int result;

  top = g_dir_make_tmp ("share-XXXXXX", NULL);
  home = g_build_filename (top, "home", NULL);
  config = in_top ("config");
  data = in_top ("data");
  g_mkdir (home, 0700);
  /* GLib reads these once: before anything else */
  g_setenv ("HOME", home, TRUE);
  g_setenv ("XDG_CONFIG_HOME", config, TRUE);
  g_setenv ("XDG_DATA_HOME", data, TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share-source/good", test_good);
  g_test_add_func ("/share-source/kinds", test_kinds);
  g_test_add_func ("/share-source/modes", test_modes);
  g_test_add_func ("/share-source/places", test_places);
  g_test_add_func ("/share-source/own-places", test_own_places);
  g_test_add_func ("/share-source/names", test_names);
  g_test_add_func ("/share-source/owners", test_owners);
  result = g_test_run ();
  g_spawn_sync (NULL, (char *[]){ "rm", "-rf", top, NULL }, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                NULL, NULL, NULL, NULL);
  g_free (top);
  g_free (home);
  return result;
}
