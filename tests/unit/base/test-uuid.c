// SPDX-License-Identifier: LGPL-2.1-or-later
// UUIDs: version and variant, and values that must never change, as machines are found by them.
#include "base/names.h"

static void
test_form (void)
{
  char a[37], b[37], again[37];

  sandbox_uuid5 ("vms-1000-work", a);
  sandbox_uuid5 ("vms-1000-worl", b);
  sandbox_uuid5 ("vms-1000-work", again);
  g_assert_true (g_uuid_string_is_valid (a));
  g_assert_cmpint (a[14], ==, '5');
  g_assert_nonnull (g_strstr_len ("89ab", 4, (char[]){ a[19], '\0' }));
  g_assert_cmpstr (a, ==, again);
  g_assert_cmpstr (a, !=, b);
}

static void
test_stable (void)
{
  char uuid[37];

  /* checked against Python: uuid.uuid5 (uuid.UUID ("6b1e4c0d-528f-4e3a-9b77-20d3c1f58a46"), "work")
   */
  sandbox_uuid5 ("work", uuid);
  g_assert_cmpstr (uuid, ==, "b3427b42-1514-54f4-bf6c-839a86eb1a92");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/uuid/form", test_form);
  g_test_add_func ("/uuid/stable", test_stable);
  return g_test_run ();
}
