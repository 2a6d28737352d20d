// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading a guest's mount table.
#include "fixture.h"

#include <string.h>

static void
check (const char *table, const char *expected)
{
  g_autoptr (FixturePlan) plan = fixture_plan ();
  g_autofree char *missing = NULL;

  fixture_plan_add_share (plan, "shared", "/home/dev/shared");
  fixture_plan_add_share (plan, "odd", "/srv/a b\\c");
  missing = _sandbox_mounts_missing (table, plan);
  g_assert_cmpstr (missing, ==, expected);
}

#define SHARED "shared /home/dev/shared virtiofs rw,relatime 0 0\n"
#define ODD    "odd /srv/a\\040b\\134c virtiofs rw,relatime 0 0\n"

static void
test_tables (void)
{
  check ("proc /proc proc rw 0 0\n" SHARED ODD, NULL);
  check (SHARED, "\"odd\" at /srv/a b\\c");
  check ("", "\"shared\" at /home/dev/shared, \"odd\" at /srv/a b\\c");
  /* another tag, another kind, another place */
  check ("other /home/dev/shared virtiofs rw 0 0\n" ODD, "\"shared\" at /home/dev/shared");
  check ("shared /home/dev/shared tmpfs rw 0 0\n" ODD, "\"shared\" at /home/dev/shared");
  check ("shared /home/dev/shared/x virtiofs rw 0 0\n" ODD, "\"shared\" at /home/dev/shared");
  /* something lies over it */
  check (SHARED ODD "tmpfs /home/dev/shared tmpfs rw 0 0\n", "\"shared\" at /home/dev/shared");
  check ("tmpfs /home/dev/shared tmpfs rw 0 0\n" SHARED ODD, NULL);
}

#define LOWER "src /run/vms/lower/src virtiofs ro,nosuid,nodev,relatime 0 0\n"
#define LAYERS(lower, upper)                                                                       \
  "src /home/dev/src overlay rw,nodev,lowerdir=" lower ",upperdir=" upper                          \
  ",workdir=/newroot/var/lib/vms/shares/src/work 0 0\n"
#define OVER LAYERS ("/newroot/run/vms/lower/src", "/newroot/var/lib/vms/shares/src/upper")

#define APP     "app /home/dev/app virtiofs rw,nodev,relatime 0 0\n"
#define MODULES "/dev/vda /home/dev/app/node_modules ext4 rw,relatime 0 0\n"
#define VENV    "/dev/vda /home/dev/app/web/.venv ext4 rw,relatime 0 0\n"

static void
check_shadow (const char *table, gboolean good)
{
  g_autoptr (FixturePlan) plan = fixture_plan ();
  SandboxPlanShare *share = fixture_plan_add_share (plan, "app", "/home/dev/app");
  g_autofree char *missing = NULL;

  g_free (share->shadow);
  share->shadow = g_strdup ("node_modules;web/.venv");
  missing = _sandbox_mounts_missing (table, plan);
  g_assert_cmpstr (missing, ==, good ? NULL : "\"app\" at /home/dev/app");
}

static void
test_shadow (void)
{
  check_shadow (APP MODULES VENV, TRUE);
  check_shadow (APP MODULES, FALSE);
  check_shadow (APP VENV, FALSE);
  check_shadow (MODULES VENV, FALSE);
  /* something of the share's, or nothing that lasts, lies over it */
  check_shadow (APP MODULES VENV "app /home/dev/app/node_modules virtiofs rw 0 0\n", FALSE);
  check_shadow (APP MODULES "tmpfs /home/dev/app/web/.venv ext4 rw 0 0\n", FALSE);
  check_shadow (APP MODULES "/dev/vda /home/dev/app/web/.venv tmpfs rw 0 0\n", FALSE);
}

static void
check_review (const char *table, gboolean good)
{
  g_autoptr (FixturePlan) plan = fixture_plan ();
  g_autofree char *missing = NULL;

  fixture_plan_add_share (plan, "src", "/home/dev/src")->mode = SANDBOX_SHARE_REVIEW;
  missing = _sandbox_mounts_missing (table, plan);
  g_assert_cmpstr (missing, ==, good ? NULL : "\"src\" at /home/dev/src");
}

static void
test_review (void)
{
  check_review (LOWER OVER, TRUE);
  check_review (OVER LOWER, TRUE);
  check_review (LOWER LAYERS ("/run/vms/lower/src", "/var/lib/vms/shares/src/upper"), TRUE);
  /* one of the two is missing, or hidden */
  check_review (OVER, FALSE);
  check_review (LOWER, FALSE);
  check_review (LOWER OVER "tmpfs /home/dev/src tmpfs rw 0 0\n", FALSE);
  check_review (LOWER OVER "tmpfs /run/vms/lower/src tmpfs rw 0 0\n", FALSE);
  /* the share itself, read-write or not */
  check_review (LOWER "src /home/dev/src virtiofs rw 0 0\n", FALSE);
  check_review ("src /run/vms/lower/src virtiofs rw,nosuid 0 0\n" OVER, FALSE);
  check_review ("src /run/vms/lower/src virtiofs rw,errors=remount-ro 0 0\n" OVER, FALSE);
  /* other layers */
  check_review (LOWER LAYERS ("/run/vms/lower/srv", "/var/lib/vms/shares/src/upper"), FALSE);
  check_review (LOWER LAYERS ("/run/vms/lower/src:/tmp", "/var/lib/vms/shares/src/upper"), FALSE);
  check_review (LOWER LAYERS ("/run/vms/lower/src", "/tmp/upper"), FALSE);
  check_review (LOWER LAYERS ("/run/vms/lower/src", "/tmp/var/lib/vms/shares/src/upper"), FALSE);
}

/* Whatever a guest sends is read without harm. */
static void
test_hostile (void)
{
  static const char *const tables[] = {
    "\\", "\\0", "\\04", "a \\", "a \\777 virtiofs x\n", "    \n\n \n", "\xff\xfe \x01 \x02 \x03\n"
  };

  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++)
    check (tables[i], "\"shared\" at /home/dev/shared, \"odd\" at /srv/a b\\c");
  for (int i = 0; i < 2000; i++)
    {
      char text[200];

      for (gsize k = 0; k < sizeof text; k++)
        text[k] = " \n\\0123457sharedvirtiofs/"[g_test_rand_int_range (0, 25)];
      text[sizeof text - 1] = '\0';
      check (text, "\"shared\" at /home/dev/shared, \"odd\" at /srv/a b\\c");
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/shares/tables", test_tables);
  g_test_add_func ("/guest/shares/review", test_review);
  g_test_add_func ("/guest/shares/shadow", test_shadow);
  g_test_add_func ("/guest/shares/hostile", test_hostile);
  return g_test_run ();
}
