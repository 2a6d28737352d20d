// SPDX-License-Identifier: LGPL-2.1-or-later
// Text of profiles: format and parse are inverse for whatever a profile can hold, digests and
// differences follow.
#include "fixture.h"

#include <string.h>

static const char *
pick (const char *const *words)
{
  return words[g_test_rand_int_range (0, (gint32)g_strv_length ((char **)words))];
}

/* A text of printable characters, some of which mean something elsewhere. */
static char *
random_text (gsize max)
{
  static const char *const pieces[] = { "a",   "Z",  "0", "-",        "_",
                                        ".",   ";",  "#", "[",        "]",
                                        "=",   "\\", "$", "`",        "\"",
                                        "'",   "<",  "&", "\xc3\xa9", "\xf0\x9f\x98\x80",
                                        "x y", NULL };
  GString *text = g_string_new ("t");

  for (gint32 n = g_test_rand_int_range (0, 12); n > 0; n--)
    g_string_append (text, pick (pieces));
  g_string_truncate (text, MIN (text->len, max));
  if (!g_utf8_validate (text->str, -1, NULL))
    g_string_assign (text, "t");
  return g_string_free (text, FALSE);
}

static void
set (SandboxProfile *profile, const char *group, const char *key, const char *value)
{
  g_autoptr (GError) error = NULL;

  sandbox_profile_set (profile, group, key, value, &error);
  g_assert_no_error (error);
}

static void
randomize_shares (SandboxProfile *profile)
{
  for (gint32 n = g_test_rand_int_range (0, 5); n > 0; n--)
    {
      g_autofree char *group = g_strdup_printf ("share:s%d", n);
      g_autofree char *part = random_text (100);
      g_autofree char *path = g_strdup_printf ("%s/%d%s%s", g_test_rand_bit () ? "~" : "/data", n,
                                               part, g_test_rand_bit () ? "%n" : "");

      set (profile, group, "source", path);
      if (g_test_rand_bit ())
        set (profile, group, "target", path);
      if (g_test_rand_bit ())
        set (profile, group, "create", g_test_rand_bit () ? "yes" : "no");
    }
}

static void
randomize_lists (SandboxProfile *profile)
{
  for (gint32 n = g_test_rand_int_range (0, 6); n > 0; n--)
    {
      gint32 first = g_test_rand_int_range (1, 65536);
      gint32 bits = g_test_rand_int_range (9, 33);
      g_autofree char *ports =
          g_strdup_printf ("%d-%d/%s", first, g_test_rand_int_range (first, 65536),
                           g_test_rand_bit () ? "tcp" : "udp");
      g_autofree char *egress = g_strdup_printf ("%s%s", g_test_rand_bit () ? "+" : "", ports);
      g_autofree char *allow = g_strdup_printf (
          "+11.0.0.0/%d%s%s", bits, g_test_rand_bit () ? ":" : ":1-65535/udp;192.0.2.7:", ports);

      set (profile, "network", "egress", egress);
      set (profile, "network", "allow", allow);
    }
  for (gint32 n = g_test_rand_int_range (0, 6); n > 0; n--)
    {
      gint32 first = 2000 + 1000 * n, length = g_test_rand_int_range (0, 40);
      g_autofree char *forward =
          length == 0 ? g_strdup_printf ("+%d:%d", first, g_test_rand_int_range (1, 1000))
                      : g_strdup_printf ("+%d-%d", first, first + length);
      g_autofree char *host =
          g_strdup_printf ("+%d:%d", g_test_rand_int_range (1, 65536), 20000 + n);

      set (profile, "network", "forward", forward);
      set (profile, "network", "host", host);
    }
}

static SandboxProfile *
random_profile (Fixture *fixture)
{
  static const char *const cpus[] = { "auto", "1", "17", "256", NULL };
  static const char *const sizes[] = { "256MiB", "3GiB", "4TiB", "262145KiB", NULL };
  static const char *const disks[] = { "8GiB", "100GiB", "16TiB", NULL };
  static const char *const accels[] = { "auto", "kvm", "tcg", NULL };
  static const char *const modes[] = { "nat", "none", NULL };
  static const char *const parents[] = { "base", "work", NULL };
  SandboxProfile *profile = sandbox_profile_parse (&fixture->dirs, "m", "m", "", 0, NULL);
  g_autofree char *summary = random_text (200);

  set (profile, "profile", "inherits", pick (parents));
  set (profile, "profile", "summary", summary);
  set (profile, "machine", "cpus", pick (cpus));
  set (profile, "machine", "memory", g_test_rand_bit () ? "auto" : pick (sizes));
  set (profile, "machine", "disk", pick (disks));
  set (profile, "machine", "accel", pick (accels));
  set (profile, "machine", "start-on-exec", g_test_rand_bit () ? "yes" : "no");
  set (profile, "network", "mode", pick (modes));
  if (g_str_equal (sandbox_profile_get (profile, "network", "mode"), "nat"))
    randomize_lists (profile);
  randomize_shares (profile);
  return profile;
}

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  fixture_shipped (fixture, "work", "[profile]\nsummary=parent\n[machine]\ncpus=5\nmemory=7GiB\n");
  for (guint i = 0; i < 500; i++)
    {
      g_autoptr (SandboxProfile) profile = random_profile (fixture);
      g_autofree char *text = sandbox_profile_format (profile);
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxProfile) again =
          sandbox_profile_parse (&fixture->dirs, "m", "m", text, -1, &error);
      g_autofree char *diff = NULL;

      g_assert_no_error (error);
      diff = sandbox_profile_diff (profile, again);
      g_assert_cmpstr (diff, ==, "");
      g_assert_cmpstr (sandbox_profile_get_digest (profile), ==,
                       sandbox_profile_get_digest (again));
    }
}

static void
test_text (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;
  g_autofree char *text = NULL;

  fixture_user (fixture, "m",
                "[profile]\nsummary=x\n[share:b]\nsource=~/b\n[share:a]\nsource=~/a\n");
  profile = fixture_load (fixture, "m");
  text = sandbox_profile_format (profile);
  g_assert_cmpstr (
      text, ==,
      "[profile]\ninherits=base\nsummary=x\n\n"
      "[machine]\nimage=debian-13\ncpus=auto\nmemory=auto\ndisk=40GiB\nuser=basic\n"
      "accel=auto\nstart-on-exec=yes\nstart=boot\nencrypt=no\n\n[network]\nmode=nat\negress="
      "\nallow=\nforward=\nhost=\n\n"
      "[share:a]\nsource=~/a\ntarget=~/a\nmode=review\ncreate=no\n\n"
      "[share:b]\nsource=~/b\ntarget=~/b\nmode=review\ncreate=no\n");
}

static void
test_diff (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) old_profile = NULL, new_profile = NULL;
  g_autofree char *diff = NULL, *same = NULL;

  fixture_user (fixture, "a", "[machine]\ncpus=2\n[share:x]\nsource=~/x\n[share:y]\nsource=~/y\n");
  fixture_user (fixture, "b",
                "[machine]\ncpus=3\n[network]\negress=443/tcp\n[share:y]\nsource=~/"
                "yy\n[share:z]\nsource=~/z\n");
  old_profile = fixture_load (fixture, "a");
  new_profile = fixture_load (fixture, "b");
  diff = sandbox_profile_diff (old_profile, new_profile);
  g_assert_cmpstr (diff, ==,
                   "machine/cpus: 2 -> 3\n"
                   "network/egress: (empty) -> 443/tcp\n"
                   "share:x/source: ~/x -> (none)\nshare:x/target: ~/x -> (none)\n"
                   "share:x/mode: review -> (none)\nshare:x/create: no -> (none)\n"
                   "share:y/source: ~/y -> ~/yy\n"
                   "share:z/source: (none) -> ~/z\nshare:z/target: (none) -> ~/z\n"
                   "share:z/mode: (none) -> review\nshare:z/create: (none) -> no\n");
  same = sandbox_profile_diff (new_profile, new_profile);
  g_assert_cmpstr (same, ==, "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fixture_add ("/format/round-trip", test_round_trip);
  fixture_add ("/format/text", test_text);
  fixture_add ("/format/diff", test_diff);
  return g_test_run ();
}
