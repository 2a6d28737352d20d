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

/* shadow= on the command line, in text, and added to. */
static void
test_shadow (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = empty_profile (fixture);
  g_autofree char *text = NULL;
  const SandboxShareSpec *spec;

  g_assert_true (
      sandbox_profile_add_share (profile, "~/x,shadow=node_modules;web/.venv,mode=rw", NULL));
  g_assert_cmpstr (sandbox_profile_get (profile, "share:x", "shadow"), ==,
                   "node_modules;web/.venv");
  spec = _sandbox_profile_values (profile)->shares->pdata[0];
  g_assert_cmpstr (spec->shadow, ==, "node_modules;web/.venv");
  text = sandbox_profile_format (profile);
  g_assert_nonnull (strstr (text, "\nshadow=node_modules;web/.venv\n"));
  g_assert_true (sandbox_profile_add_share (profile, "~/x,shadow=+target", NULL));
  g_assert_cmpstr (sandbox_profile_get (profile, "share:x", "shadow"), ==,
                   "node_modules;web/.venv;target");
  g_assert_true (sandbox_profile_add_share (profile, "~/x,shadow=", NULL));
  g_clear_pointer (&text, g_free);
  text = sandbox_profile_format (profile);
  g_assert_null (strstr (text, "shadow"));
}

/* guard= and flag=: the same way; a list adds, and is left out of the text when there is none. */
static void
test_classes (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = empty_profile (fixture);
  g_autofree char *text = NULL;
  const SandboxShareSpec *spec;

  g_assert_true (
      sandbox_profile_add_share (profile, "~/x,guard=deploy.sh;ops/run-*.p?,flag=*.tf", NULL));
  g_assert_true (sandbox_profile_add_share (profile, "~/x,guard=+bin/*", NULL));
  spec = _sandbox_profile_values (profile)->shares->pdata[0];
  g_assert_cmpstr (spec->guard, ==, "deploy.sh;ops/run-*.p?;bin/*");
  g_assert_cmpstr (spec->flag, ==, "*.tf");
  text = sandbox_profile_format (profile);
  g_assert_nonnull (strstr (text, "\nguard=deploy.sh;ops/run-*.p?;bin/*\nflag=*.tf\n"));
  g_assert_true (sandbox_profile_add_share (profile, "~/x,guard=,flag=", NULL));
  g_clear_pointer (&text, g_free);
  text = sandbox_profile_format (profile);
  g_assert_null (strstr (text, "guard"));
  g_assert_null (strstr (text, "flag"));
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

/* Each of @rows, SPEC and what the message has, is refused and changes nothing. */
static void
assert_refused (Fixture *fixture, const char *const (*rows)[2], gsize n)
{
  g_autoptr (SandboxProfile) profile = empty_profile (fixture);
  g_autofree char *before = NULL, *after = NULL;

  g_assert_true (sandbox_profile_add_share (profile, "~/kept", NULL));
  before = sandbox_profile_format (profile);
  for (gsize i = 0; i < n; i++)
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
    { "~/x,mode=xyz", "\"xyz\" is no share mode: use one of review, guarded, rw, ro" },
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

  assert_refused (fixture, rows, G_N_ELEMENTS (rows));
}

static void
test_bad_shadow (Fixture *fixture, gconstpointer data)
{
  static const char *const rows[][2] = {
    { "~/x,shadow=target", "mode=review needs none: all that the machine writes there" },
    { "~/x,shadow=target,mode=ro", "mode=ro needs none: the machine writes nothing" },
    { "~/x,mode=rw,shadow=a,shadow=b", "given twice" },
    { "~/x,mode=rw,shadow=a;", "empty item" },
    { "~/x,mode=rw,shadow=a;a", "twice" },
    { "~/x,mode=rw,shadow=a;a/b", "one in the other" },
    { "~/x,mode=rw,shadow=/a", "is no directory in a share" },
    { "~/x,mode=rw,shadow=~/a", "is no directory in a share" },
    { "~/x,mode=rw,shadow=-a", "is no directory in a share" },
    { "~/x,mode=rw,shadow=..", "is no directory in a share" },
    { "~/x,mode=rw,shadow=.", "is no directory in a share" },
    { "~/x,mode=rw,shadow=a/../b", "is no directory in a share" },
    { "~/x,mode=rw,shadow=a/./b", "is no directory in a share" },
    { "~/x,mode=rw,shadow=a//b", "is no directory in a share" },
    { "~/x,mode=rw,shadow=a/", "is no directory in a share" },
    { "~/x,mode=rw,shadow=a b", "is no directory in a share" },
    { "~/x,mode=rw,shadow=$(id)", "is no directory in a share" },
    { "~/x,mode=rw,shadow=a*", "is no directory in a share" },
  };

  assert_refused (fixture, rows, G_N_ELEMENTS (rows));
}

static void
test_bad_classes (Fixture *fixture, gconstpointer data)
{
  static const char *const rows[][2] = {
    { "~/x,mode=rw,guard=a", "mode=rw looks at no names: remove guard=, or use mode=review or" },
    { "~/x,mode=ro,guard=a", "mode=ro looks at no names" },
    { "~/x,mode=guarded,flag=a", "remove flag=, or use mode=review" },
    { "~/x,guard=a,guard=b", "given twice" },
    { "~/x,guard=a;;b", "empty item" },
    { "~/x,guard=a;a", "twice" },
    { "~/x,guard=*", "is no pattern of names" },
    { "~/x,guard=*/*", "is no pattern of names" },
    { "~/x,guard=?/a", "is no pattern of names" },
    { "~/x,guard=.*", "is no pattern of names" },
    { "~/x,guard=a/..", "is no pattern of names" },
    { "~/x,guard=a/.*", "is no pattern of names" },
    { "~/x,guard=./a", "is no pattern of names" },
    { "~/x,guard=/a", "is no pattern of names" },
    { "~/x,guard=~/a", "is no pattern of names" },
    { "~/x,guard=a/", "is no pattern of names" },
    { "~/x,guard=a b", "is no pattern of names" },
    { "~/x,guard=[ab]", "is no pattern of names" },
  };

  assert_refused (fixture, rows, G_N_ELEMENTS (rows));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fixture_add ("/share-spec/good", test_good);
  fixture_add ("/share-spec/again", test_again);
  fixture_add ("/share-spec/shadow", test_shadow);
  fixture_add ("/share-spec/classes", test_classes);
  fixture_add ("/share-spec/bad-classes", test_bad_classes);
  fixture_add ("/share-spec/bad", test_bad);
  fixture_add ("/share-spec/bad-shadow", test_bad_shadow);
  return g_test_run ();
}
