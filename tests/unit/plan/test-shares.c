// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares made absolute, and those refused that only look harmless before that.
#include "support.h"

#include <string.h>

#define BASE "[profile]\ninherits=base\n"

static SandboxPlan *
plan_share (const char *home, const char *source, const char *target, GError **error)
{
  g_autofree char *text =
      g_strdup_printf (BASE "[share:one]\nsource=%s\ntarget=%s\n", source, target);
  g_autoptr (SandboxProfile) profile = support_profile (text);
  g_autoptr (SandboxFacts) facts = support_facts ();
  SandboxIdentity identity = support_identity ();

  identity.home = home;
  return _sandbox_plan_resolve (profile, facts, &identity, error);
}

static void
test_expanded (void)
{
  static const struct
  {
    const char *home, *source, *target, *real_source, *real_target;
  } rows[] = {
    { "/home/alice", "~/src/x", "~/x", "/home/alice/src/x", "/home/dev/x" },
    { "/home/alice", "~/vms/%n", "~/%n-files", "/home/alice/vms/work", "/home/dev/work-files" },
    { "/home/alice", "/srv/data", "/srv/%n", "/srv/data", "/srv/work" },
    { "/root", "~/vms/%n", "~/shared", "/root/vms/work", "/home/dev/shared" },
    { "/var/lib/jenkins", "~/jobs/a", "~/a", "/var/lib/jenkins/jobs/a", "/home/dev/a" },
    { "/home/alice", "/home/alice/a b&<'>\"", "~/a b&<'>\"", "/home/alice/a b&<'>\"",
      "/home/dev/a b&<'>\"" },
    { "/home/alice", "/home/alice-old/x", "/mnt/x", "/home/alice-old/x", "/mnt/x" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxPlan) plan =
          plan_share (rows[i].home, rows[i].source, rows[i].target, &error);
      const SandboxPlanShare *share;

      g_assert_no_error (error);
      g_assert_cmpuint (plan->shares->len, ==, 1);
      share = g_ptr_array_index (plan->shares, 0);
      g_assert_cmpstr (share->tag, ==, "one");
      g_assert_cmpstr (share->source, ==, rows[i].real_source);
      g_assert_cmpstr (share->target, ==, rows[i].real_target);
    }
}

/* What an image knows it says on its command line; one from before that says nothing. */
static void
test_image_contract (void)
{
  static const struct
  {
    const char *cmdline;
    gboolean good;
  } rows[] = {
    { "root=/dev/vda rw vms.contract=2", TRUE },
    { "vms.contract=12 quiet\n", TRUE },
    { NULL, TRUE }, /* not built yet */
    { "root=/dev/vda rw\n", FALSE },
    { "vms.contract=1", FALSE },
    { "vms.contract= quiet", FALSE },
    { "vms.contract=2x", FALSE },
    { "novms.contract=2", FALSE },
  };
  g_autoptr (SandboxFacts) facts = support_facts ();

  for (guint i = 0; i < 2 * G_N_ELEMENTS (rows); i++)
    {
      gboolean review = i % 2 == 0;
      g_autoptr (SandboxProfile) profile =
          support_profile (review ? BASE "[share:one]\nsource=~/src\n"
                                  : BASE "[share:one]\nsource=~/src\nmode=rw\n");
      SandboxIdentity identity = support_identity ();
      g_autoptr (SandboxPlan) plan = NULL;
      g_autoptr (GError) error = NULL;

      identity.image_cmdline = rows[i / 2].cmdline;
      plan = _sandbox_plan_resolve (profile, facts, &identity, &error);
      if (review && !rows[i / 2].good)
        {
          g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
          g_assert_nonnull (strstr (error->message, "vms image build debian-13 --update"));
          g_assert_nonnull (strstr (error->message, "vms recreate work"));
          continue;
        }
      g_assert_no_error (error);
      g_assert_cmpint (((SandboxPlanShare *)plan->shares->pdata[0])->mode, ==,
                       review ? SANDBOX_SHARE_REVIEW : SANDBOX_SHARE_RW);
    }
}

/* One that knows mode=review only would mount the share without them. */
static void
test_shadow_image (void)
{
  g_autoptr (SandboxFacts) facts = support_facts ();
  g_autoptr (SandboxProfile) profile =
      support_profile (BASE "[share:one]\nsource=~/src\nmode=rw\nshadow=a;b/c\n");

  for (guint version = 2; version <= 3; version++)
    {
      SandboxIdentity identity = support_identity ();
      g_autofree char *cmdline = g_strdup_printf ("rw vms.contract=%u", version);
      g_autofree char *described = NULL;
      g_autoptr (SandboxPlan) plan = NULL;
      g_autoptr (GError) error = NULL;

      identity.image_cmdline = cmdline;
      plan = _sandbox_plan_resolve (profile, facts, &identity, &error);
      if (version == 2)
        {
          g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
          g_assert_nonnull (strstr (error->message, "has shadow=, which the image"));
          continue;
        }
      g_assert_no_error (error);
      g_assert_cmpstr (((SandboxPlanShare *)plan->shares->pdata[0])->shadow, ==, "a;b/c");
      described = sandbox_plan_describe (plan);
      g_assert_nonnull (strstr (described, ", rw, on the machine's disk: a;b/c\n"));
    }
}

static void
test_refused_here (void)
{
  static const struct
  {
    const char *home, *source, *target, *key, *part;
  } rows[] = {
    /* the text is fine, what it means on this host is not */
    { "/srv/people/alice", "/srv/people/alice/.ssh", "~/x", "source", "hidden directories" },
    { "/srv/people/alice", "/srv/people/alice/.config/vms", "~/x", "source", "hidden directories" },
    { "/srv/people/alice", "/srv/people/alice", "~/x", "source", "your home directory" },
    { "/srv/people/alice", "/srv/people", "~/x", "source", "your home directory" },
    { "/srv/people/alice", "/srv/people/alice/vms", "~/x", "source",
      "directories of all machines" },
    { "/home/alice", "~/x", "/home/dev", "target", "guest user's keys" },
    { "/home/alice", "~/x", "/home/dev/.ssh", "target", "guest user's keys" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *text = g_strdup_printf (BASE "[share:one]\nsource=%s\ntarget=%s\n",
                                               rows[i].source, rows[i].target);
      g_autoptr (GError) error = NULL;
      SandboxProfileDirs dirs = SANDBOX_PROFILE_DIRS_INIT;
      g_autoptr (SandboxProfile) profile =
          sandbox_profile_parse (&dirs, "work", "work.profile", text, -1, &error);
      g_autoptr (SandboxPlan) plan = NULL;

      /* some of these the profile refuses already: what counts is that one of the two does */
      if (profile)
        plan = plan_share (rows[i].home, rows[i].source, rows[i].target, &error);
      g_assert_null (plan);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      if (!strstr (error->message, rows[i].part) || !strstr (error->message, rows[i].key)
          || !g_str_has_prefix (error->message, "work.profile:"))
        g_test_fail_printf ("%s", error->message);
    }
}

static void
test_bad_home (void)
{
  static const char *const homes[] = { "",           "alice",      "/home/a,b",         "/home/a:b",
                                       "/home/a\nb", "/home/\xff", "/home/\xe2\x80\xae" };

  for (guint i = 0; i < G_N_ELEMENTS (homes); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (plan_share (homes[i], "~/x", "~/x", &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
    }
}

static void
test_pool (void)
{
  g_autoptr (SandboxProfile) profile =
      support_profile (BASE "[share:one]\nsource=/data/vms/x\ntarget=~/x\n");
  g_autoptr (SandboxFacts) facts = support_facts ();
  SandboxIdentity identity = support_identity ();
  g_autoptr (GError) error = NULL;

  g_free (facts->pool_path);
  facts->pool_path = g_strdup ("/data/vms");
  g_assert_null (_sandbox_plan_resolve (profile, facts, &identity, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "disks of the machines"));
}

static void
test_targets_overlap (void)
{
  static const char *const targets[][2] = {
    { "~/a", "~/a" },         { "~/a", "~/a/b" },     { "~/a/b/c", "~/a" },
    { "~/a", "/home/dev/a" }, { "/srv/x", "/srv/x" }, { "~/%n", "~/work" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (targets); i++)
    {
      g_autofree char *text = g_strdup_printf (BASE "[share:one]\nsource=~/x\ntarget=%s\n"
                                                    "[share:two]\nsource=~/y\ntarget=%s\n",
                                               targets[i][0], targets[i][1]);
      SandboxProfileDirs dirs = SANDBOX_PROFILE_DIRS_INIT;
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxProfile) profile =
          sandbox_profile_parse (&dirs, "work", "work.profile", text, -1, &error);
      g_autoptr (SandboxFacts) facts = support_facts ();
      SandboxIdentity identity = support_identity ();

      if (profile)
        g_assert_null (_sandbox_plan_resolve (profile, facts, &identity, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_true (g_str_has_prefix (error->message, "work.profile:"));
    }
}

/* One directory under two names; the profile's own check sees only the texts. */
static void
test_sources_overlap (void)
{
  static const char *const sources[][2] = {
    { "~/x", "/home/alice/x" },
    { "~/x", "/home/alice/x/y" },
    { "/home/alice/vms/work/a", "~/vms/%n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (sources); i++)
    {
      g_autofree char *text = g_strdup_printf (BASE "[share:one]\nsource=%s\ntarget=~/a\n"
                                                    "[share:two]\nsource=%s\ntarget=~/b\n",
                                               sources[i][0], sources[i][1]);
      g_autoptr (SandboxProfile) profile = support_profile (text);
      g_autoptr (SandboxFacts) facts = support_facts ();
      SandboxIdentity identity = support_identity ();
      g_autoptr (GError) error = NULL;

      g_assert_null (_sandbox_plan_resolve (profile, facts, &identity, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_true (g_str_has_prefix (error->message, "work.profile:7: [share:two] source="));
    }
}

static void
test_targets_beside (void)
{
  g_autoptr (SandboxPlan) plan =
      support_plan (BASE "[share:one]\nsource=~/x\ntarget=~/a\n"
                         "[share:two]\nsource=~/xy\ntarget=~/ab\n"
                         "[share:three]\nsource=~/y\ntarget=/srv/a\ncreate=yes\n");

  g_assert_cmpuint (plan->shares->len, ==, 3);
  for (guint i = 0; i < 3; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (plan->shares, i);

      g_assert_cmpint (share->create, ==, g_str_equal (share->tag, "three"));
      g_assert_cmpint ((int)share->mode, ==, SANDBOX_SHARE_REVIEW);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/shares/expanded", test_expanded);
  g_test_add_func ("/plan/shares/image-contract", test_image_contract);
  g_test_add_func ("/plan/shares/shadow-image", test_shadow_image);
  g_test_add_func ("/shares/refused-here", test_refused_here);
  g_test_add_func ("/shares/bad-home", test_bad_home);
  g_test_add_func ("/shares/pool", test_pool);
  g_test_add_func ("/shares/targets-overlap", test_targets_overlap);
  g_test_add_func ("/shares/sources-overlap", test_sources_overlap);
  g_test_add_func ("/shares/targets-beside", test_targets_beside);
  return g_test_run ();
}
