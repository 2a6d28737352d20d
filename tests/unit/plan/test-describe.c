// SPDX-License-Identifier: LGPL-2.1-or-later
// The plan as text for people: all of it, line by line, safe for a terminal.
#include "support.h"

#include <string.h>

static void
test_all_there (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=work\n");
  g_autofree char *text = sandbox_plan_describe (plan);
  const char *const parts[] = { plan->name,         plan->profile,
                                plan->summary,      plan->object,
                                plan->uuid,         plan->driver,
                                plan->emulator,     plan->machine,
                                plan->accel_reason, plan->user,
                                plan->image_id,     plan->image_disk,
                                plan->image_kernel, plan->image_initrd,
                                plan->cmdline,      plan->disk_volume,
                                plan->seed_volume,  plan->pool_path,
                                plan->network_mode, plan->bridge,
                                plan->mac,          plan->gateway,
                                plan->address,      "/home/alice/vms/work",
                                "/home/dev/shared", "40GiB",
                                "4GiB, shared" };

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    if (!strstr (text, parts[i]))
      g_test_fail_printf ("\"%s\" is not in:\n%s", parts[i], text);
}

static void
test_hostile (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=base\n");
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  g_free (plan->accel_reason);
  plan->accel_reason = g_strdup ("\x1b]52;c;evil\a\nmemory: 1TiB\r\xff");
  text = sandbox_plan_describe (plan);
  for (const char *p = text; *p; p++)
    g_assert_true (*p == '\n' || (guchar)*p >= ' ');
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    g_assert_false (g_str_equal (lines[i], "memory: 1TiB"));
}

static void
test_references (void)
{
  SandboxPlan *plan = support_plan ("[profile]\ninherits=base\n");
  SandboxPlan *boxed = g_boxed_copy (SANDBOX_TYPE_PLAN, plan);

  g_assert_true (boxed == plan);
  sandbox_plan_unref (plan);
  g_assert_cmpstr (boxed->name, ==, "work");
  g_boxed_free (SANDBOX_TYPE_PLAN, boxed);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/describe/all-there", test_all_there);
  g_test_add_func ("/describe/hostile", test_hostile);
  g_test_add_func ("/describe/references", test_references);
  return g_test_run ();
}
