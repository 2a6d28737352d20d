// SPDX-License-Identifier: LGPL-2.1-or-later
// Merging: which file wins, what inherits what, and chains that are refused.
#include "fixture.h"

#include <string.h>

static void
assert_value (SandboxProfile *profile, const char *key, const char *value)
{
  g_assert_cmpstr (sandbox_profile_get (profile, "machine", key), ==, value);
}

static void
test_order (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;

  fixture_shipped (fixture, "base",
                   "[machine]\nuser=one\ncpus=1\nmemory=1GiB\ndisk=11GiB\nimage=one\n");
  fixture_user (fixture, "defaults", "[machine]\ncpus=2\nmemory=2GiB\ndisk=12GiB\nimage=two\n");
  fixture_shipped (fixture, "work", "[machine]\nmemory=3GiB\ndisk=13GiB\nimage=three\n");
  fixture_user (fixture, "work", "[machine]\ndisk=14GiB\nimage=four\n");
  fixture_user (fixture, "mine", "[profile]\ninherits=work\n[machine]\nimage=five\n");
  profile = fixture_load (fixture, "mine");
  assert_value (profile, "user", "one");
  assert_value (profile, "cpus", "2");
  assert_value (profile, "memory", "3GiB");
  assert_value (profile, "disk", "14GiB");
  assert_value (profile, "image", "five");
  g_assert_cmpstr (_sandbox_profile_values (profile)->inherits, ==, "work");
}

static void
test_shares_merge (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;

  fixture_shipped (fixture, "work", "[share:a]\nsource=~/a\n[share:b]\nsource=~/b\ncreate=yes\n");
  fixture_user (fixture, "work", "[share:b]\ntarget=~/elsewhere\n[share:c]\nsource=~/c\n");
  profile = fixture_load (fixture, "work");
  g_assert_cmpuint (_sandbox_profile_values (profile)->shares->len, ==, 3);
  g_assert_cmpstr (sandbox_profile_get (profile, "share:b", "source"), ==, "~/b");
  g_assert_cmpstr (sandbox_profile_get (profile, "share:b", "target"), ==, "~/elsewhere");
  g_assert_cmpstr (sandbox_profile_get (profile, "share:b", "create"), ==, "yes");
}

static void
test_inherits (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) shipped = NULL, user = NULL, other = NULL, self = NULL;

  fixture_shipped (fixture, "work",
                   "[profile]\ninherits=base\nsummary=shipped\n[machine]\ncpus=5\n");
  fixture_shipped (fixture, "ci", "[profile]\ninherits=work\n");
  shipped = fixture_load (fixture, "work");
  g_assert_cmpstr (_sandbox_profile_values (shipped)->inherits, ==, "base");
  /* the user's stands before the shipped one of that name */
  fixture_user (fixture, "work", "[machine]\nmemory=2GiB\n");
  user = fixture_load (fixture, "work");
  assert_value (user, "cpus", "5");
  assert_value (user, "memory", "2GiB");
  g_assert_cmpstr (_sandbox_profile_values (user)->inherits, ==, "base");
  /* a shipped one inherits shipped ones only */
  other = fixture_load (fixture, "ci");
  assert_value (other, "memory", "auto");
  assert_value (other, "cpus", "5");
  /* saying so changes nothing */
  fixture_user (fixture, "work", "[profile]\ninherits=work\n");
  self = fixture_load (fixture, "work");
  assert_value (self, "cpus", "5");
  /* an explicit parent takes the place of the shipped one of that name */
  fixture_user (fixture, "work", "[profile]\ninherits=base\n");
  g_clear_pointer (&self, sandbox_profile_unref);
  self = fixture_load (fixture, "work");
  assert_value (self, "cpus", "auto");
}

static void
test_without_defaults (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) alone = NULL, heir = NULL, back = NULL;
  g_autofree char *text = NULL;

  fixture_user (fixture, "defaults", "[machine]\ncpus=7\n[share:notes]\nsource=~/notes\n");
  fixture_user (fixture, "alone",
                "[profile]\ndefaults=no\n[machine]\nmemory=2GiB\n[share:own]\nsource=~/own\n");
  alone = fixture_load (fixture, "alone");
  assert_value (alone, "cpus", "auto");
  assert_value (alone, "memory", "2GiB");
  g_assert_cmpuint (_sandbox_profile_values (alone)->shares->len, ==, 1);
  g_assert_cmpstr (sandbox_profile_get (alone, "share:own", "source"), ==, "~/own");
  text = sandbox_profile_format (alone);
  g_assert_nonnull (strstr (text, "\ndefaults=no\n"));
  /* what builds on it has its word, unless it has one of its own */
  fixture_user (fixture, "heir", "[profile]\ninherits=alone\n");
  heir = fixture_load (fixture, "heir");
  assert_value (heir, "cpus", "auto");
  fixture_user (fixture, "back", "[profile]\ninherits=alone\ndefaults=yes\n");
  back = fixture_load (fixture, "back");
  assert_value (back, "cpus", "7");
  g_assert_cmpuint (_sandbox_profile_values (back)->shares->len, ==, 2);
  fixture_user (fixture, "defaults", "[profile]\ndefaults=no\n");
  fixture_refused (fixture, "back", SANDBOX_ERROR_INVALID,
                   "defaults.profile:2: [profile] defaults: ", NULL);
  fixture_user (fixture, "odd", "[profile]\ndefaults=none\n");
  fixture_refused (fixture, "odd", SANDBOX_ERROR_INVALID,
                   "odd.profile:2: [profile] defaults: ", NULL);
}

static void
test_refused (Fixture *fixture, gconstpointer data)
{
  fixture_user (fixture, "a", "[profile]\ninherits=b\n");
  fixture_user (fixture, "b", "[profile]\ninherits=c\n");
  fixture_user (fixture, "c", "[profile]\ninherits=a\n");
  fixture_refused (fixture, "a", SANDBOX_ERROR_INVALID,
                   "c.profile:2: [profile] inherits: ", "loop (a -> b -> c -> a)", NULL);
  fixture_user (fixture, "own", "[profile]\ninherits=own\n");
  fixture_refused (fixture, "own", SANDBOX_ERROR_INVALID,
                   "own.profile:2: [profile] inherits: ", NULL);
  fixture_user (fixture, "typo", "[profile]\ninherits=wrok\n");
  fixture_shipped (fixture, "work", "");
  fixture_refused (fixture, "typo", SANDBOX_ERROR_INVALID,
                   "typo.profile:2: [profile] inherits: ", "did you mean \"work\"?", NULL);
  fixture_user (fixture, "def", "[profile]\ninherits=defaults\n");
  fixture_refused (fixture, "def", SANDBOX_ERROR_INVALID, "def.profile:2: ", "every profile", NULL);
  fixture_user (fixture, "defaults", "[profile]\ninherits=work\n");
  fixture_refused (fixture, "work", SANDBOX_ERROR_INVALID, "defaults.profile:2: ", NULL);
}

static void
test_shipped_loop (Fixture *fixture, gconstpointer data)
{
  fixture_shipped (fixture, "a", "[profile]\ninherits=b\n");
  fixture_shipped (fixture, "b", "[profile]\ninherits=a\n");
  fixture_refused (fixture, "a", SANDBOX_ERROR_INVALID, "loop (a -> b -> a)", NULL);
}

static void
test_depth (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;

  for (guint i = 0; i < 20; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);
      g_autofree char *text = g_strdup_printf ("[profile]\ninherits=p%u\n", i + 1);

      fixture_user (fixture, name, text);
    }
  fixture_user (fixture, "p20", "[machine]\ncpus=9\n");
  profile = fixture_load (fixture, "p13");
  assert_value (profile, "cpus", "9");
  fixture_refused (fixture, "p12", SANDBOX_ERROR_INVALID, "more than 8 profiles", NULL);
  fixture_refused (fixture, "p0", SANDBOX_ERROR_INVALID, "more than 8 profiles", NULL);
}

static void
test_not_found (Fixture *fixture, gconstpointer data)
{
  fixture_shipped (fixture, "work", "");
  fixture_refused (fixture, "wrok", SANDBOX_ERROR_NOT_FOUND, "there is no profile \"wrok\"",
                   "did you mean \"work\"?", NULL);
  fixture_refused (fixture, "zebra", SANDBOX_ERROR_NOT_FOUND, fixture->user, fixture->shipped,
                   NULL);
  fixture_refused (fixture, "all", SANDBOX_ERROR_INVALID, "reserved", NULL);
  fixture_refused (fixture, "../work", SANDBOX_ERROR_INVALID, "is no profile name", NULL);
  fixture_refused (fixture, "defaults", SANDBOX_ERROR_NOT_FOUND, "defaults", NULL);
}

static void
test_base (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) base = NULL, defaults = NULL;

  fixture_user (fixture, "defaults", "[machine]\ncpus=7\n");
  base = fixture_load (fixture, "base");
  assert_value (base, "cpus", "auto");
  g_assert_cmpstr (_sandbox_profile_values (base)->inherits, ==, "");
  defaults = fixture_load (fixture, "defaults");
  assert_value (defaults, "cpus", "7");
  assert_value (defaults, "user", "basic");
  fixture_user (fixture, "base", "[machine]\ncpus=8\n");
  fixture_refused (fixture, "defaults", SANDBOX_ERROR_INVALID, "base cannot be replaced", NULL);
}

static void
test_no_base (Fixture *fixture, gconstpointer data)
{
  SandboxProfileDirs dirs = fixture->dirs;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile = NULL;

  dirs.shipped_dir = "/no/such/directory";
  profile = sandbox_profile_parse (&dirs, "m", "m", "", -1, &error);
  g_assert_null (profile);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/no/such/directory"));
}

static void
test_parse (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile = NULL;

  fixture_shipped (fixture, "work", "[machine]\ncpus=5\n");
  fixture_user (fixture, "work", "[machine]\ncpus=6\n");
  /* the text stands in the place of the user's file */
  profile = sandbox_profile_parse (&fixture->dirs, "work", "editor", "[machine]\nmemory=1GiB\n", -1,
                                   &error);
  g_assert_no_error (error);
  assert_value (profile, "cpus", "5");
  g_assert_cmpstr (sandbox_profile_get_origin (profile, "machine", "memory"), ==, "editor:2");
  g_assert_null (sandbox_profile_parse (&fixture->dirs, "work", "editor", "[machine]\nram=1GiB\n",
                                        -1, &error));
  g_assert_true (g_str_has_prefix (error->message, "editor:2: unknown key \"ram\" in [machine]"));
}

/* What is shipped loads, and says what the design wants it to say. */
static void
test_shipped_profiles (Fixture *fixture, gconstpointer data)
{
  static const char *const names[] = { "base", "ci", "credentials", "personal", "work" };
  SandboxProfileDirs dirs = SANDBOX_PROFILE_DIRS_INIT;

  dirs.user_dir = fixture->user;
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxProfile) profile = sandbox_profile_load (&dirs, names[i], &error);
      gboolean drop_box = g_str_equal (names[i], "work") || g_str_equal (names[i], "personal");
      const SandboxProfileValues *values;

      g_assert_no_error (error);
      values = _sandbox_profile_values (profile);
      g_assert_cmpuint (values->shares->len, ==, drop_box ? 1 : 0);
      g_assert_cmpint (values->autostart_on_exec, ==, !g_str_equal (names[i], "credentials"));
      g_assert_cmpint (values->summary[0] != '\0', ==, !g_str_equal (names[i], "base"));
      if (drop_box)
        {
          const SandboxShareSpec *share = g_ptr_array_index (values->shares, 0);

          g_assert_cmpstr (share->source, ==, "~/vms/%n");
          g_assert_cmpstr (share->target, ==, "~/shared");
          g_assert_true (share->create);
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fixture_add ("/load/order", test_order);
  fixture_add ("/load/shares-merge", test_shares_merge);
  fixture_add ("/load/inherits", test_inherits);
  fixture_add ("/load/without-defaults", test_without_defaults);
  fixture_add ("/load/refused", test_refused);
  fixture_add ("/load/shipped-loop", test_shipped_loop);
  fixture_add ("/load/depth", test_depth);
  fixture_add ("/load/not-found", test_not_found);
  fixture_add ("/load/base", test_base);
  fixture_add ("/load/no-base", test_no_base);
  fixture_add ("/load/parse", test_parse);
  fixture_add ("/load/shipped-profiles", test_shipped_profiles);
  return g_test_run ();
}
