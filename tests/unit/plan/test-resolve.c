// SPDX-License-Identifier: LGPL-2.1-or-later
// Every decision of resolve(), one at a time.
#include "support.h"

#define MIB  (G_GUINT64_CONSTANT (1) << 20)
#define GIB  (G_GUINT64_CONSTANT (1) << 30)
#define BASE "[profile]\ninherits=base\n"

typedef struct
{
  SandboxProfile *profile;
  SandboxFacts *facts;
  SandboxIdentity identity;
} Given;

static Given
given (const char *text)
{
  Given start = { support_profile (text), support_facts (), support_identity () };

  return start;
}

static void
given_clear (Given *start)
{
  sandbox_profile_unref (start->profile);
  sandbox_facts_free (start->facts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Given, given_clear)

static SandboxPlan *
resolve (const Given *start)
{
  g_autoptr (GError) error = NULL;
  SandboxPlan *plan =
      _sandbox_plan_resolve (start->profile, start->facts, &start->identity, &error);

  g_assert_no_error (error);
  return plan;
}

static void
assert_refused (const Given *start, SandboxError code, const char *part)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (_sandbox_plan_resolve (start->profile, start->facts, &start->identity, &error));
  g_assert_error (error, SANDBOX_ERROR, (int)code);
  if (!strstr (error->message, part))
    g_test_fail_printf ("\"%s\" is not in \"%s\"", part, error->message);
}

static void
test_accel (void)
{
  static const struct
  {
    const char *accel;
    gboolean listed, usable;
    int expected; /* -1: refused */
  } rows[] = {
    { "auto", TRUE, TRUE, SANDBOX_ACCEL_KVM },
    { "auto", TRUE, FALSE, SANDBOX_ACCEL_TCG },
    { "auto", FALSE, TRUE, SANDBOX_ACCEL_TCG },
    { "auto", FALSE, FALSE, SANDBOX_ACCEL_TCG },
    { "kvm", TRUE, TRUE, SANDBOX_ACCEL_KVM },
    { "kvm", TRUE, FALSE, -1 },
    { "kvm", FALSE, TRUE, -1 },
    { "kvm", FALSE, FALSE, -1 },
    { "tcg", TRUE, TRUE, SANDBOX_ACCEL_TCG },
    { "tcg", FALSE, FALSE, SANDBOX_ACCEL_TCG },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *text = g_strdup_printf (BASE "[machine]\naccel=%s\n", rows[i].accel);
      g_auto (Given) start = given (text);
      g_autoptr (SandboxPlan) plan = NULL;

      start.facts->kvm_listed = rows[i].listed;
      start.facts->kvm_usable = rows[i].usable;
      g_free (start.facts->kvm_reason);
      start.facts->kvm_reason = g_strdup ("the probe says so");
      start.identity.image_cmdline = "root=/dev/vda tsc=reliable rw\n";
      if (rows[i].expected < 0)
        {
          assert_refused (&start, SANDBOX_ERROR_HOST, "work.profile:4: [machine] accel=kvm: ");
          assert_refused (&start, SANDBOX_ERROR_HOST,
                          rows[i].usable ? "libvirt does not offer KVM" : "the probe says so");
          continue;
        }
      plan = resolve (&start);
      g_assert_cmpint ((int)plan->accel, ==, rows[i].expected);
      g_assert_cmpstr (plan->accel_reason, !=, "");
      /* what measures the counter itself does not trust it */
      g_assert_cmpstr (plan->cmdline, ==,
                       plan->accel == SANDBOX_ACCEL_KVM ? "root=/dev/vda tsc=reliable rw"
                                                        : "root=/dev/vda rw");
    }
}

static void
test_cpus (void)
{
  static const guint rows[][2] = { { 0, 1 }, { 1, 1 }, { 2, 2 }, { 8, 8 }, { 9, 8 }, { 128, 8 } };
  g_auto (Given) start = given (BASE);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (SandboxPlan) plan = NULL;

      start.facts->host_cpus = rows[i][0];
      plan = resolve (&start);
      g_assert_cmpuint (plan->cpus, ==, rows[i][1]);
    }
}

static void
test_memory (void)
{
  static const struct
  {
    guint64 host, expected;
  } rows[] = {
    { 0, GIB },
    { 2 * GIB, GIB },
    { 4 * GIB, GIB },
    { 5 * GIB, 1280 * MIB },
    { 5 * GIB - 1, GIB },
    { 25269723136, 5888 * MIB },
    { 32 * GIB, 8 * GIB },
    { 512 * GIB, 8 * GIB },
    { 33 * GIB, 8 * GIB },
  };
  g_auto (Given) start = given (BASE);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (SandboxPlan) plan = NULL;

      start.facts->host_memory_bytes = rows[i].host;
      plan = resolve (&start);
      g_assert_cmpuint (plan->memory_bytes, ==, rows[i].expected);
    }
}

static void
test_explicit (void)
{
  g_auto (Given) start = given (
      BASE "[machine]\ncpus=3\nmemory=768MiB\ndisk=9GiB\nuser=alice\n[network]\nmode=none\n");
  g_autoptr (SandboxPlan) plan = resolve (&start);

  g_assert_cmpuint (plan->cpus, ==, 3);
  g_assert_cmpuint (plan->memory_bytes, ==, 768 * MIB);
  g_assert_cmpuint (plan->disk_bytes, ==, 9 * GIB);
  g_assert_cmpstr (plan->user, ==, "alice");
  g_assert_cmpstr (plan->network_mode, ==, "none");
  g_assert_cmpstr (plan->cmdline, ==, "root=/dev/vda rw vms.contract=2");
  start.facts->host_memory_bytes = 768 * MIB - 1;
  assert_refused (&start, SANDBOX_ERROR_HOST, "work.profile:5: [machine] memory=768MiB: ");
  start.facts->host_memory_bytes = 16 * GIB;
  start.identity.image_bytes = 9 * GIB + 1024;
  assert_refused (&start, SANDBOX_ERROR_INVALID, "work.profile:6: [machine] disk=9GiB: ");
  start.identity.image_bytes = 9 * GIB;
  g_clear_pointer (&plan, sandbox_plan_unref);
  plan = resolve (&start);
}

static void
test_user (void)
{
  static const guint rows[][4] = { { 1000, 1000, 1000, 1000 },
                                   { 0, 0, 1000, 1000 },
                                   { 0, 100, 1000, 100 },
                                   { 1234, 0, 1234, 1234 },
                                   { 4294967294, 7, 4294967294, 7 } };
  g_auto (Given) start = given (BASE);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (SandboxPlan) plan = NULL;

      start.identity.uid = rows[i][0];
      start.identity.gid = rows[i][1];
      plan = resolve (&start);
      g_assert_cmpuint (plan->uid, ==, rows[i][2]);
      g_assert_cmpuint (plan->gid, ==, rows[i][3]);
    }
}

static void
test_names (void)
{
  g_auto (Given) start = given (BASE);
  g_autoptr (SandboxPlan) plan = NULL;

  start.identity.owner = "tool";
  start.identity.uid = 7;
  plan = resolve (&start);
  g_assert_cmpstr (plan->object, ==, "vms-7-tool.work");
  g_assert_cmpstr (plan->disk_volume, ==, "vms-7-tool.work.qcow2");
  g_assert_cmpstr (plan->seed_volume, ==, "vms-7-tool.work.seed");
  g_assert_cmpstr (plan->profile, ==, "work");
  g_assert_cmpuint (plan->subnet.bits, ==, 29);
  g_assert_cmpuint (plan->subnet.address & 7, ==, 0);
}

static void
test_inherited_name (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=personal\n");

  g_assert_cmpstr (plan->profile, ==, "personal");
  g_assert_cmpstr (plan->name, ==, "work");
}

#define SHARE "[share:src]\nsource=~/src/project\ntarget=~/project\n"

static void
test_virtiofs (void)
{
  g_auto (Given) start = given (BASE SHARE);
  g_autoptr (SandboxPlan) plan = resolve (&start);

  g_assert_true (plan->virtiofs);
  g_assert_true (plan->memfd);
  start.facts->virtiofs = FALSE;
  assert_refused (&start, SANDBOX_ERROR_HOST, "apt install");
  start.facts->virtiofs = TRUE;
  start.facts->memfd = FALSE;
  assert_refused (&start, SANDBOX_ERROR_HOST, "memfd");
}

static void
test_without_shares (void)
{
  g_auto (Given) start = given (BASE);
  g_autoptr (SandboxPlan) plan = NULL;

  start.facts->virtiofs = FALSE;
  start.facts->memfd = FALSE;
  plan = resolve (&start);
  g_assert_false (plan->virtiofs);
  g_assert_false (plan->memfd);
}

static void
test_test_driver (void)
{
  g_auto (Given) start = given (BASE "[machine]\naccel=kvm\nmemory=2TiB\n" SHARE);
  g_autoptr (SandboxPlan) plan = NULL;

  g_free (start.facts->driver);
  start.facts->driver = g_strdup ("TEST");
  g_free (start.facts->arch);
  start.facts->arch = g_strdup ("i686");
  start.facts->kvm_listed = start.facts->virtiofs = start.facts->memfd = FALSE;
  plan = resolve (&start);
  g_assert_cmpint ((int)plan->accel, ==, SANDBOX_ACCEL_TCG);
  g_assert_cmpstr (plan->arch, ==, "x86_64");
  g_assert_true (plan->memfd);
}

static void
test_other_arch (void)
{
  g_auto (Given) start = given (BASE);

  g_free (start.facts->arch);
  start.facts->arch = g_strdup ("aarch64");
  assert_refused (&start, SANDBOX_ERROR_UNSUPPORTED, "aarch64");
}

static void
test_no_image_no_pool (void)
{
  g_auto (Given) start = given (BASE);
  g_autoptr (SandboxPlan) plan = NULL;

  start.identity.image_id = start.identity.image_disk = start.identity.image_kernel = NULL;
  start.identity.image_initrd = start.identity.image_cmdline = NULL;
  start.identity.image_bytes = 0;
  g_free (start.facts->pool_path);
  start.facts->pool_path = g_strdup ("");
  plan = resolve (&start);
  g_assert_cmpstr (plan->image_id, ==, "");
  g_assert_cmpstr (plan->image_kernel, ==, "");
  g_assert_cmpstr (plan->pool_path, ==, SANDBOX_DEFAULT_POOL_PATH);
}

/* The same question gets the same answer: nothing in it is looked up or drawn. */
static void
test_pure (void)
{
  g_auto (Given) start = given ("[profile]\ninherits=work\n");
  g_autoptr (SandboxPlan) one = resolve (&start);
  g_autoptr (SandboxPlan) two = resolve (&start);
  g_autofree char *one_text = sandbox_plan_describe (one);
  g_autofree char *two_text = sandbox_plan_describe (two);

  g_assert_cmpstr (one_text, ==, two_text);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/resolve/accel", test_accel);
  g_test_add_func ("/resolve/cpus", test_cpus);
  g_test_add_func ("/resolve/memory", test_memory);
  g_test_add_func ("/resolve/explicit", test_explicit);
  g_test_add_func ("/resolve/user", test_user);
  g_test_add_func ("/resolve/names", test_names);
  g_test_add_func ("/resolve/inherited-name", test_inherited_name);
  g_test_add_func ("/resolve/virtiofs", test_virtiofs);
  g_test_add_func ("/resolve/without-shares", test_without_shares);
  g_test_add_func ("/resolve/test-driver", test_test_driver);
  g_test_add_func ("/resolve/other-arch", test_other_arch);
  g_test_add_func ("/resolve/no-image-no-pool", test_no_image_no_pool);
  g_test_add_func ("/resolve/pure", test_pure);
  return g_test_run ();
}
