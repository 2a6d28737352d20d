// SPDX-License-Identifier: LGPL-2.1-or-later
// A profile in memory: values, origins, the typed view, changes that fail leave it as it was.
#include "fixture.h"

#include <string.h>

static void
test_defaults (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;
  const SandboxProfileValues *values;

  fixture_user (fixture, "m", "");
  profile = fixture_load (fixture, "m");
  values = _sandbox_profile_values (profile);
  g_assert_cmpstr (values->name, ==, "m");
  g_assert_cmpstr (values->inherits, ==, "base");
  g_assert_cmpstr (values->summary, ==, "");
  g_assert_cmpstr (values->image, ==, "debian-13");
  g_assert_cmpuint (values->cpus, ==, 0);
  g_assert_cmpuint (values->memory_bytes, ==, 0);
  g_assert_cmpuint (values->disk_bytes, ==, G_GUINT64_CONSTANT (40) << 30);
  g_assert_cmpstr (values->user, ==, "basic");
  g_assert_cmpint (values->accel, ==, SANDBOX_ACCEL_AUTO);
  g_assert_cmpstr (values->network_mode, ==, "nat");
  g_assert_true (values->autostart_on_exec);
  g_assert_cmpuint (values->shares->len, ==, 0);
  g_assert_cmpstr (sandbox_profile_get_origin (profile, "machine", "cpus"), ==, "built in");
}

static void
test_values (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;
  const SandboxProfileValues *values;
  const SandboxShareSpec *share;
  g_autofree char *origin = g_strdup_printf ("%s/m.profile:4", fixture->user);

  fixture_user (fixture, "m",
                "[profile]\nsummary=All of it\n[machine]\ncpus=3\nmemory=2GiB\naccel=tcg\n"
                "start-on-exec=no\n[network]\nmode=none\n[share:b]\nsource=~/b\n"
                "[share:a]\nsource=/data/a\ntarget=/srv/a\nmode=rw\ncreate=yes\n");
  profile = fixture_load (fixture, "m");
  values = _sandbox_profile_values (profile);
  g_assert_cmpuint (values->cpus, ==, 3);
  g_assert_cmpuint (values->memory_bytes, ==, G_GUINT64_CONSTANT (2) << 30);
  g_assert_cmpint (values->accel, ==, SANDBOX_ACCEL_TCG);
  g_assert_false (values->autostart_on_exec);
  g_assert_cmpstr (values->network_mode, ==, "none");
  g_assert_cmpuint (values->shares->len, ==, 2);
  share = g_ptr_array_index (values->shares, 0);
  g_assert_cmpstr (share->name, ==, "a");
  g_assert_cmpstr (share->target, ==, "/srv/a");
  g_assert_true (share->create);
  g_assert_cmpint (share->mode, ==, SANDBOX_SHARE_RW);
  share = g_ptr_array_index (values->shares, 1);
  g_assert_cmpint (share->mode, ==, SANDBOX_SHARE_REVIEW);
  g_assert_cmpstr (share->source, ==, "~/b");
  g_assert_cmpstr (share->target, ==, "~/b");
  g_assert_false (share->create);
  g_assert_cmpstr (sandbox_profile_get (profile, "machine", "cpus"), ==, "3");
  g_assert_cmpstr (sandbox_profile_get_origin (profile, "machine", "cpus"), ==, origin);
  g_assert_cmpstr (sandbox_profile_get (profile, "share:b", "target"), ==, "~/b");
  g_assert_null (sandbox_profile_get (profile, "share:c", "target"));
  g_assert_null (sandbox_profile_get (profile, "machine", "cpu"));
  g_assert_null (sandbox_profile_get_origin (profile, "machin", "cpus"));
}

static void
test_set (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;
  g_autofree char *before = NULL, *after = NULL;
  g_autoptr (GError) error = NULL;

  fixture_user (fixture, "m", "");
  profile = fixture_load (fixture, "m");
  g_assert_true (sandbox_profile_set (profile, "machine", "cpus", "4", &error));
  g_assert_cmpuint (_sandbox_profile_values (profile)->cpus, ==, 4);
  g_assert_cmpstr (sandbox_profile_get_origin (profile, "machine", "cpus"), ==, "set");
  g_assert_true (sandbox_profile_set (profile, "share:x", "source", "~/x/", &error));
  g_assert_cmpuint (_sandbox_profile_values (profile)->shares->len, ==, 1);
  before = sandbox_profile_format (profile);
  g_assert_false (sandbox_profile_set (profile, "machine", "cpus", "0", &error));
  g_assert_cmpstr (error->message, ==,
                   "[machine] cpus: \"0\" is no valid number: use a whole number from 1 to 256, or "
                   "auto");
  g_clear_error (&error);
  g_assert_false (sandbox_profile_set (profile, "share:y", "target", "~/y", &error));
  g_assert_cmpstr (error->message, ==, "[share:y] has no source: add source=DIRECTORY");
  g_clear_error (&error);
  g_assert_false (sandbox_profile_set (profile, "share:y", "source", "~/x/in", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_false (sandbox_profile_set (profile, "machine", "user", "a\nb=c", NULL));
  after = sandbox_profile_format (profile);
  g_assert_cmpstr (before, ==, after);
}

static void
test_copy (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL, copy = NULL, second = NULL;

  fixture_user (fixture, "m", "[share:x]\nsource=~/x\n");
  profile = fixture_load (fixture, "m");
  second = sandbox_profile_ref (profile);
  copy = sandbox_profile_copy (profile);
  g_assert_cmpstr (sandbox_profile_get_digest (copy), ==, sandbox_profile_get_digest (profile));
  g_assert_true (sandbox_profile_set (copy, "machine", "cpus", "4", NULL));
  g_assert_true (sandbox_profile_set (copy, "share:x", "create", "yes", NULL));
  g_assert_cmpstr (sandbox_profile_get (profile, "machine", "cpus"), ==, "auto");
  g_assert_cmpstr (sandbox_profile_get (profile, "share:x", "create"), ==, "no");
  g_assert_cmpstr (sandbox_profile_get_digest (copy), !=, sandbox_profile_get_digest (profile));
}

static void
test_overlaps (Fixture *fixture, gconstpointer data)
{
  fixture_user (fixture, "m", "[share:a]\nsource=~/x\n[share:b]\nsource=~/x/y\n");
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID,
                   "m.profile:3: [share:b] source: ", "\"~/x/y\" and \"~/x\" of [share:a]", NULL);
  fixture_user (fixture, "m", "[share:a]\nsource=~/x/y/z\n[share:b]\nsource=~/x/y\n");
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "one in the other", NULL);
  fixture_user (fixture, "m",
                "[share:a]\nsource=~/x\ntarget=~/t\n[share:b]\nsource=~/y\ntarget=~/t\n");
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "[share:b] target: ", NULL);
  fixture_user (fixture, "m", "[share:a]\nsource=~/x\n[share:b]\nsource=~/xy\n");
  sandbox_profile_unref (fixture_load (fixture, "m"));
}

static void
test_share_limits (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < SANDBOX_PROFILE_SHARES_MAX; i++)
    g_string_append_printf (text, "[share:s%u]\nsource=~/d%u\n", i, i);
  fixture_user (fixture, "m", text->str);
  sandbox_profile_unref (fixture_load (fixture, "m"));
  g_string_append (text, "[share:more]\nsource=~/more\n");
  fixture_user (fixture, "m", text->str);
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "33 shares", NULL);
  fixture_user (fixture, "m", "[share:empty]\n");
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID, "m.profile:1: [share:empty] has no source",
                   NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fixture_add ("/profile/defaults", test_defaults);
  fixture_add ("/profile/values", test_values);
  fixture_add ("/profile/set", test_set);
  fixture_add ("/profile/copy", test_copy);
  fixture_add ("/profile/overlaps", test_overlaps);
  fixture_add ("/profile/share-limits", test_share_limits);
  return g_test_run ();
}
