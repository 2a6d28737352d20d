// SPDX-License-Identifier: LGPL-2.1-or-later
// Names and numbers of machines: fixed for ever, apart for different users, owners and names.
#include "plan/plan-internal.h"

#include <string.h>

static void
test_object_names (void)
{
  g_autofree char *ours = _sandbox_object_name (1000, "vms", "work");
  g_autofree char *other = _sandbox_object_name (1000, "tool", "work");
  g_autofree char *name = _sandbox_object_parse (1000, "vms", ours);
  g_autofree char *other_name = _sandbox_object_parse (1000, "tool", other);

  g_assert_cmpstr (ours, ==, "vms-1000-work");
  g_assert_cmpstr (other, ==, "vms-1000-tool.work");
  g_assert_cmpstr (name, ==, "work");
  g_assert_cmpstr (other_name, ==, "work");
}

static void
test_not_ours (void)
{
  static const char *const objects[] = {
    "",           "vms-1000-",      "vms-1000",        "vms-100-work",       "vms-10000-work",
    "vms-1-work", "vms-1000-Work",  "vms-1000-a b",    "vms-1000-tool.work", "vms-1000-work.qcow2",
    "work",       "xvms-1000-work", "vms-1000-a/../b", "vms-1000--work",     "vms-1001-work",
  };

  for (guint i = 0; i < G_N_ELEMENTS (objects); i++)
    g_assert_null (_sandbox_object_parse (1000, "vms", objects[i]));
  g_assert_null (_sandbox_object_parse (1000, "tool", "vms-1000-work"));
  g_assert_null (_sandbox_object_parse (1000, "tool", "vms-1000-tools.work"));
}

/* Written down: another value here would orphan the machines of everybody who updates. */
static void
test_fixed (void)
{
  SandboxDerived derived;
  char uuid[37];

  _sandbox_object_uuid (1000, "vms", "work", uuid);
  g_assert_cmpstr (uuid, ==, "a645a3aa-230f-57dc-a82f-bc938815e46f");
  _sandbox_identity_derive (1000, "vms", "work", &derived);
  g_assert_cmpstr (derived.bridge, ==, "vms9f4e2fa74a");
  g_assert_cmpstr (derived.mac, ==, "52:54:00:28:33:e2");
}

static void
test_apart (void)
{
  static const struct
  {
    guint uid;
    const char *owner, *name;
  } them[] = { { 1000, "vms", "work" },  { 1001, "vms", "work" }, { 1000, "tool", "work" },
               { 1000, "vms", "work2" }, { 0, "vms", "work" },    { 100, "0vms", "work" } };
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (them); i++)
    {
      SandboxDerived derived;
      char uuid[37];

      _sandbox_object_uuid (them[i].uid, them[i].owner, them[i].name, uuid);
      _sandbox_identity_derive (them[i].uid, them[i].owner, them[i].name, &derived);
      g_assert_true (g_uuid_string_is_valid (uuid));
      g_assert_true (g_hash_table_add (seen, g_strdup (uuid)));
      g_assert_true (g_hash_table_add (seen, g_strdup (derived.bridge)));
      g_assert_true (g_hash_table_add (seen, g_strdup (derived.mac)));
      g_assert_cmpuint (strlen (derived.bridge), <=, 15); /* IFNAMSIZ - 1 */
      g_assert_cmpuint (strlen (derived.mac), ==, 17);
      /* unicast, and even: see the bridge's */
      g_assert_true (g_str_has_prefix (derived.mac, "52:54:00:"));
      g_assert_cmpuint (g_ascii_xdigit_value (derived.mac[16]) % 2, ==, 0);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/identity/object-names", test_object_names);
  g_test_add_func ("/identity/not-ours", test_not_ours);
  g_test_add_func ("/identity/fixed", test_fixed);
  g_test_add_func ("/identity/apart", test_apart);
  return g_test_run ();
}
