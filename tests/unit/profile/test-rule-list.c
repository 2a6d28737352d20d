// SPDX-License-Identifier: LGPL-2.1-or-later
// Lists of network rules: what they replace and add to, their one form, and when they mean nothing.
#include "fixture.h"

#include <string.h>

static void
assert_list (SandboxProfile *profile, const char *key, const char *value)
{
  g_assert_cmpstr (sandbox_profile_get (profile, "network", key), ==, value);
}

/* "1/tcp;2/tcp;..." from @first to @last. */
static char *
many (guint first, guint last)
{
  GString *text = g_string_new (NULL);

  for (guint i = first; i <= last; i++)
    g_string_append_printf (text, "%s%u/tcp", i > first ? ";" : "", i);
  return g_string_free (text, FALSE);
}

static void
test_none (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL, emptied = NULL;
  const SandboxProfileValues *values;

  fixture_user (fixture, "m", "");
  profile = fixture_load (fixture, "m");
  values = _sandbox_profile_values (profile);
  g_assert_cmpuint (values->egress->len, ==, 0);
  g_assert_cmpuint (values->allow->len, ==, 0);
  assert_list (profile, "egress", "");
  fixture_user (fixture, "m", "[network]\negress=\nallow=\n");
  emptied = fixture_load (fixture, "m");
  g_assert_cmpuint (_sandbox_profile_values (emptied)->egress->len, ==, 0);
  g_assert_cmpstr (sandbox_profile_get_digest (emptied), ==, sandbox_profile_get_digest (profile));
}

static void
test_values (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL, copy = NULL;
  const SandboxProfileValues *values;
  const SandboxNetRule *rule;

  fixture_user (fixture, "m",
                "[network]\negress=443/tcp;8000-8010/udp\n"
                "allow=10.0.0.5/32:5432-5432/tcp;192.168.7.0/24:1-65535/udp\n");
  profile = fixture_load (fixture, "m");
  copy = sandbox_profile_copy (profile);
  values = _sandbox_profile_values (copy);
  g_assert_cmpuint (values->egress->len, ==, 2);
  rule = &g_array_index (values->egress, SandboxNetRule, 1);
  g_assert_true (rule->net.bits == 0 && rule->ports.first == 8000 && rule->ports.last == 8010
                 && rule->protocol == SANDBOX_UDP);
  g_assert_cmpuint (values->allow->len, ==, 2);
  rule = &g_array_index (values->allow, SandboxNetRule, 0);
  g_assert_true (rule->net.address == (10u << 24 | 5) && rule->net.bits == 32
                 && rule->ports.first == 5432 && rule->protocol == SANDBOX_TCP);
  assert_list (copy, "egress", "443/tcp;8000-8010/udp");
  assert_list (copy, "allow", "10.0.0.5:5432/tcp;192.168.7.0/24/udp");
}

static void
test_merge (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) added = NULL, replaced = NULL, emptied = NULL;
  g_autofree char *origin = g_strdup_printf ("%s/work.profile:2", fixture->user);

  fixture_shipped (fixture, "base", "[network]\negress=443/tcp\n");
  fixture_user (fixture, "defaults", "[network]\negress=+53/udp;53/tcp\n");
  fixture_shipped (fixture, "work", "[network]\nallow=+10.0.0.5/tcp\n");
  fixture_user (fixture, "work", "[network]\negress=+22/tcp;53/udp;443-443/tcp;80/tcp\n");
  added = fixture_load (fixture, "work");
  /* in the order of writing, each once */
  assert_list (added, "egress", "443/tcp;53/udp;53/tcp;22/tcp;80/tcp");
  assert_list (added, "allow", "10.0.0.5/tcp");
  g_assert_cmpstr (sandbox_profile_get_origin (added, "network", "egress"), ==, origin);
  fixture_user (fixture, "work", "[network]\negress=22/tcp\n");
  replaced = fixture_load (fixture, "work");
  assert_list (replaced, "egress", "22/tcp");
  fixture_user (fixture, "work", "[network]\negress=\n");
  fixture_user (fixture, "mine", "[profile]\ninherits=work\n[network]\negress=+23/udp\n");
  emptied = fixture_load (fixture, "mine");
  assert_list (emptied, "egress", "23/udp");
}

static void
test_set (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;
  g_autoptr (GError) error = NULL;

  fixture_user (fixture, "m", "[network]\negress=443/tcp\n");
  profile = fixture_load (fixture, "m");
  g_assert_true (sandbox_profile_set (profile, "network", "egress", "+80/tcp", &error));
  assert_list (profile, "egress", "443/tcp;80/tcp");
  g_assert_cmpuint (_sandbox_profile_values (profile)->egress->len, ==, 2);
  g_assert_false (sandbox_profile_set (profile, "network", "egress", "+80", &error));
  g_assert_true (g_str_has_prefix (error->message, "[network] egress: \"80\" does not end"));
  g_clear_error (&error);
  g_assert_false (sandbox_profile_set (profile, "network", "mode", "none", &error));
  g_assert_nonnull (strstr (error->message, "egress: mode=none has no way out"));
  assert_list (profile, "mode", "nat");
  assert_list (profile, "egress", "443/tcp;80/tcp");
  g_assert_true (sandbox_profile_set (profile, "network", "egress", "", NULL));
  g_assert_true (sandbox_profile_set (profile, "network", "mode", "none", NULL));
}

static void
test_limits (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) full = NULL;
  g_autofree char *most = many (1001, 1064), *more = many (1001, 1065), *text = NULL;

  text = g_strdup_printf ("[network]\negress=%s\n", most);
  fixture_shipped (fixture, "work", text);
  full = fixture_load (fixture, "work");
  g_assert_cmpuint (_sandbox_profile_values (full)->egress->len, ==, 64);
  /* one that is there already is none more */
  fixture_user (fixture, "work", "[network]\negress=+1064/tcp\n");
  g_clear_pointer (&full, sandbox_profile_unref);
  full = fixture_load (fixture, "work");
  assert_list (full, "egress", most);
  fixture_user (fixture, "work", "\n[network]\negress=+1065/tcp\n");
  fixture_refused (fixture, "work", SANDBOX_ERROR_INVALID, fixture->user,
                   "/work.profile:3: [network] egress: with what is inherited, the list has 65 "
                   "items: use at most 64",
                   NULL);
  g_free (text);
  text = g_strdup_printf ("[network]\negress=%s\n", more);
  fixture_user (fixture, "m", text);
  fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID,
                   "m.profile:2: [network] egress: the list has 65 items", NULL);
}

static void
test_refused (Fixture *fixture, gconstpointer data)
{
  static const struct
  {
    const char *value, *part;
  } rows[] = {
    { "+", "adds nothing" },
    { "+;", "empty item" },
    { ";", "empty item" },
    { "443/tcp;", "empty item" },
    { ";443/tcp", "empty item" },
    { "443/tcp;;80/tcp", "empty item" },
    { "443/tcp;443/tcp", "stands twice" },
    { "80/tcp;80-80/tcp", "stands twice" },
    { "+80/tcp;+81/tcp", "\"+81\" is no port" },
    { "++80/tcp", "\"+80\" is no port" },
    { "443/tcp; 80/tcp", "blank" },
    { "443/tcp,80/tcp", "comma" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *text = g_strdup_printf ("[network]\negress=%s\n", rows[i].value);

      fixture_user (fixture, "m", text);
      fixture_refused (fixture, "m", SANDBOX_ERROR_INVALID,
                       "m.profile:2: [network] egress: ", rows[i].part, NULL);
    }
}

static void
test_mode_none (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxProfile) profile = NULL;

  fixture_shipped (fixture, "work", "[network]\negress=443/tcp\nallow=10.0.0.5/tcp\n");
  fixture_user (fixture, "work", "[network]\nmode=none\n");
  fixture_refused (fixture, "work", SANDBOX_ERROR_INVALID, fixture->shipped,
                   "/work.profile:2: [network] egress: mode=none (", fixture->user,
                   ") has no way out, so egress= means nothing: ", NULL);
  fixture_user (fixture, "work", "[network]\nmode=none\negress=\n");
  fixture_refused (fixture, "work", SANDBOX_ERROR_INVALID,
                   "/work.profile:3: [network] allow: mode=none (",
                   "so allow= means nothing: ", NULL);
  fixture_user (fixture, "work", "[network]\nmode=none\negress=\nallow=\n");
  profile = fixture_load (fixture, "work");
  assert_list (profile, "mode", "none");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fixture_add ("/rule-list/none", test_none);
  fixture_add ("/rule-list/values", test_values);
  fixture_add ("/rule-list/merge", test_merge);
  fixture_add ("/rule-list/set", test_set);
  fixture_add ("/rule-list/limits", test_limits);
  fixture_add ("/rule-list/refused", test_refused);
  fixture_add ("/rule-list/mode-none", test_mode_none);
  return g_test_run ();
}
