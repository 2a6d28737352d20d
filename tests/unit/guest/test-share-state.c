// SPDX-License-Identifier: LGPL-2.1-or-later
// What the keeper says of shares: written and read back; what a guest says of held paths, read
// strictly.
#include "fixture.h"

#include <string.h>

static void
test_parse (void)
{
  static const char *const bad[] = {
    "",
    "held",
    "held 1 x61",
    "held 1 61 x2f",
    "held 0 x61 x2f",
    "held -1 x61 x2f",
    "held 1 x6 x2f",
    "held 1 x61 x2g",
    "held 1 x61 x2f x",
    "held 1 x61 x2f00",
    "held 1 x61 x61",
    "held  1 x61 x2f",
    "held 1 x61 x",
    "Held 1 x61 x2f",
    "held 99999999999 x61 x2f",
    "done 1",
  };
  g_autofree char *hex = g_strnfill (SANDBOX_SHARE_HELD_LINE_MAX, '2');
  g_autofree char *huge = g_strdup_printf ("held 1 x61 x2f%s", hex);
  SandboxShareHeld *held = _sandbox_share_held_parse ("held 12 x7368 x2f610a1bff");

  g_assert_nonnull (held);
  g_assert_cmpint (held->pid, ==, 12);
  g_assert_cmpstr (held->process, ==, "sh");
  g_assert_cmpstr (held->path, ==, "/a\n\x1b\xff");
  _sandbox_share_held_free (held);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_null (_sandbox_share_held_parse (bad[i]));
  g_assert_null (_sandbox_share_held_parse (huge));
}

static void
test_state (void)
{
  Fixture fixture;
  g_autoptr (FixturePlan) plan = fixture_plan ();
  SandboxPlanShare *src = fixture_plan_add_share (plan, "src", "/home/dev/src");
  SandboxPlanShare *other = fixture_plan_add_share (plan, "other", "/home/dev/srcs");
  SandboxShareEdits edits[] = { { "src", SANDBOX_EDITS_PERIODIC, 0 },
                                { "other", SANDBOX_EDITS_WATCHED, 7 } };
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (SandboxShareEdits));
  g_autoptr (GPtrArray) held = g_ptr_array_new_with_free_func (_sandbox_share_held_free);
  g_autoptr (GPtrArray) got = g_ptr_array_new_with_free_func (_sandbox_share_held_free);
  g_autofree char *problem = NULL;
  SandboxShareEdits read = { NULL };

  fixture_set_up (&fixture);
  g_assert_false (_sandbox_share_state_read (fixture.fd, src, &read, got, &problem));
  g_array_append_vals (all, edits, G_N_ELEMENTS (edits));
  /* "/home/dev/src/\n" and "/home/dev/srcs" */
  g_ptr_array_add (held, _sandbox_share_held_parse ("held 5 x61 x2f686f6d652f6465762f7372632f0a"));
  g_ptr_array_add (held, _sandbox_share_held_parse ("held 6 x61 x2f686f6d652f6465762f73726373"));
  g_assert_true (_sandbox_share_state_write (fixture.fd, all, held, "why\nheld 1"));
  g_assert_true (_sandbox_share_state_read (fixture.fd, src, &read, got, &problem));
  g_assert_cmpint (read.how, ==, SANDBOX_EDITS_PERIODIC);
  g_assert_cmpuint (got->len, ==, 1);
  g_assert_cmpstr (((SandboxShareHeld *)got->pdata[0])->path, ==, "/home/dev/src/\n");
  g_assert_cmpstr (problem, ==, "why\nheld 1");
  g_assert_true (_sandbox_share_state_read (fixture.fd, other, &read, got, &problem));
  g_assert_cmpint (read.how, ==, SANDBOX_EDITS_WATCHED);
  g_assert_cmpuint (read.directories, ==, 7);
  g_assert_cmpuint (got->len, ==, 2);
  fixture_tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/share-state/parse", test_parse);
  g_test_add_func ("/guest/share-state/state", test_state);
  return g_test_run ();
}
