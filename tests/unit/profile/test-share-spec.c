// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares from a command line: the form, derived names and targets, and what is refused.
#include "fixture.h"

#include <string.h>

static SandboxProfile *
empty_profile (Fixture *fixture)
{
  fixture_user (fixture, "m", "");
  return fixture_load (fixture, "m");
}

static void
test_good (Fixture *fixture, gconstpointer data)
{
  static const struct
  {
    const char *spec, *name, *source, *target;
  } rows[] = {
    { "~/src/project", "project", "~/src/project", "~/project" },
    { "~/other/project/", "project-2", "~/other/project", "~/elsewhere" },
    { "/data/My Stuff_2", "my-stuff-2", "/data/My Stuff_2", "~/My Stuff_2" },
    { "/data/x:/srv/x", "x", "/data/x", "/srv/x" },
    { "/data/y:~/why,mode=rw", "y", "/data/y", "~/why" },
    { "/data/42", "share-42", "/data/42", "~/42" },
    { "/data/\xe6\x97\xa5", "share", "/data/\xe6\x97\xa5", "~/\xe6\x97\xa5" },
    { "/data/a-very-long-name-that-goes-on-and-on", "a-very-long-name-that-goes",
      "/data/a-very-long-name-that-goes-on-and-on", "~/a-very-long-name-that-goes-on-and-on" },
  };
  g_autoptr (SandboxProfile) profile = empty_profile (fixture);

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *group = g_strconcat ("share:", rows[i].name, NULL);
      g_autofree char *spec =
          i == 1 ? g_strconcat (rows[i].spec, ":", rows[i].target, NULL) : g_strdup (rows[i].spec);

      g_assert_true (sandbox_profile_add_share (profile, spec, &error));
      g_assert_no_error (error);
      g_assert_cmpstr (sandbox_profile_get (profile, group, "source"), ==, rows[i].source);
      g_assert_cmpstr (sandbox_profile_get (profile, group, "target"), ==, rows[i].target);
      g_assert_cmpstr (sandbox_profile_get (profile, group, "create"), ==, "no");
    }
}

static void
test_again (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = empty_profile (fixture);

  g_assert_true (sandbox_profile_add_share (profile, "~/x:/srv/x", NULL));
  g_assert_true (sandbox_profile_add_share (profile, "~/x", NULL));
  g_assert_cmpuint (_sandbox_profile_values (profile)->shares->len, ==, 1);
  g_assert_cmpstr (sandbox_profile_get (profile, "share:x", "target"), ==, "/srv/x");
  g_assert_true (sandbox_profile_add_share (profile, "~/x/:/srv/y", NULL));
  g_assert_cmpuint (_sandbox_profile_values (profile)->shares->len, ==, 1);
  g_assert_cmpstr (sandbox_profile_get (profile, "share:x", "target"), ==, "/srv/y");
}

static void
test_bad (Fixture *fixture, gconstpointer data)
{
  static const char *const rows[][2] = {
    { "", "there is no directory" },
    { ",mode=rw", "there is no directory" },
    { "project", "begins with / or ~/" },
    { ".", "begins with / or ~/" },
    { "~", "cannot be shared" },
    { "/", "cannot be shared" },
    { "/etc", "cannot be shared" },
    { "~/.ssh", "cannot be shared" },
    { "~/x,mode=guarded", "mode=guarded is not available in this version: only review, rw, ro" },
    { "~/x,mode=xyz", "\"xyz\" is no share mode: use one of review, rw, ro" },
    { "~/x,mode=rw,mode=rw", "given twice" },
    { "~/x,limit=1GiB", "limit= is not available in this version" },
    { "~/x,foo", "is no option of a share" },
    { "~/x,", "is no option of a share" },
    { "~/x:", "begins with / or ~/" },
    { "~/x:y", "begins with / or ~/" },
    { "~/x:~/a:b", "separate the parts" },
    { "~/x:/etc", "cannot be a target" },
    { "~/kept/in", "one in the other" },
    { "~/other:~/kept", "one in the other" },
    { "~/a\nb", "control" },
    { "~/a\xff", "UTF-8" },
  };
  g_autoptr (SandboxProfile) profile = empty_profile (fixture);
  g_autofree char *before = NULL, *after = NULL;

  g_assert_true (sandbox_profile_add_share (profile, "~/kept", NULL));
  before = sandbox_profile_format (profile);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (sandbox_profile_add_share (profile, rows[i][0], &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_true (g_str_has_prefix (error->message, "share \""));
      if (!strstr (error->message, rows[i][1]))
        g_error ("\"%s\" lacks \"%s\"", error->message, rows[i][1]);
    }
  after = sandbox_profile_format (profile);
  g_assert_cmpstr (before, ==, after);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fixture_add ("/share-spec/good", test_good);
  fixture_add ("/share-spec/again", test_again);
  fixture_add ("/share-spec/bad", test_bad);
  return g_test_run ();
}
