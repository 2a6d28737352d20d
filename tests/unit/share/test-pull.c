// SPDX-License-Identifier: LGPL-2.1-or-later
// Honest pulls: what comes, what is left alone, and repositories in the forms that git gives them.
#include "fixture.h"

#include "base/error.h"

#include <string.h>

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture_set_up (fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  fixture_tear_down (fixture);
}

static void
run (Fixture *fixture, const char *command)
{
  g_free (fixture_run (fixture, command));
}

static void
expect (Fixture *fixture, const char *command, const char *text)
{
  g_autofree char *have = fixture_run (fixture, command);

  g_assert_cmpstr (have, ==, text);
}

static SandboxPull *
pull (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  SandboxPull *pulled;

  fixture_bundle (fixture);
  pulled = fixture_pull (fixture, FALSE, &error);
  g_assert_no_error (error);
  return pulled;
}

#define SAME_MAIN                                                                                  \
  "test $(git -C host rev-parse refs/vms/work/main) = $(git -C guest rev-parse main); "            \
  "git -C host fsck --strict --no-dangling 2>&1"

static void
test_plain (Fixture *fixture, gconstpointer data)
{
  g_autofree char *before = fixture_digest (fixture), *after = NULL;
  g_autoptr (SandboxPull) pulled = NULL;
  const SandboxPullRef *ref;
  const SandboxPullCommit *commit;
  const SandboxPullFile *file;

  run (fixture,
       "cd guest; echo 2 >b; echo x >.envrc; ln -s /etc/passwd link; git add .; git commit "
       "-q -m two; git checkout -q -b feature/x; echo 3 >c; git add c; git commit -q -m three");
  pulled = pull (fixture);
  after = fixture_digest (fixture);
  g_assert_cmpstr (before, ==, after);
  expect (fixture, SAME_MAIN, "");
  expect (fixture, "git -C host for-each-ref --format='%(refname)'",
          "refs/heads/main\nrefs/vms/work/feature/x\nrefs/vms/work/main");
  expect (fixture, "git -C host show vms/work/feature/x:c", "3");
  g_assert_cmpuint (pulled->n_commits, ==, 2);
  g_assert_cmpuint (pulled->n_files, ==, 4);
  g_assert_cmpuint (pulled->refs->len, ==, 2);
  ref = pulled->refs->pdata[0];
  g_assert_cmpstr (ref->ref, ==, "refs/vms/work/feature/x");
  g_assert_cmpstr (ref->old_id, ==, "");
  g_assert_cmpint (ref->state, ==, SANDBOX_PULL_NEW);
  g_assert_cmpuint (ref->commits, ==, 2);
  g_assert_cmpuint (pulled->commits->len, ==, 2);
  commit = pulled->commits->pdata[0];
  g_assert_cmpstr (commit->subject, ==, "three");
  g_assert_cmpuint (pulled->files->len, ==, 2);
  file = pulled->files->pdata[0];
  g_assert_cmpstr (file->path, ==, ".envrc");
  file = pulled->files->pdata[1];
  g_assert_cmpstr (file->reason, ==, "symbolic link");
}

static void
test_again (Fixture *fixture, gconstpointer data)
{
  const SandboxPullRef *ref;

  run (fixture, "cd guest; echo 2 >b; git add b; git commit -q -m two");
  sandbox_pull_free (pull (fixture));
  run (fixture, "cd guest; echo 3 >b; git commit -q -a -m three");
  for (guint round = 0; round < 2; round++)
    {
      g_autoptr (SandboxPull) pulled = pull (fixture);

      ref = pulled->refs->pdata[0];
      g_assert_cmpstr (ref->old_id, !=, "");
      g_assert_cmpint (ref->state, ==, round == 1 ? SANDBOX_PULL_REWRITTEN : SANDBOX_PULL_UPDATED);
      expect (fixture, SAME_MAIN, "");
      run (fixture, "cd guest; git commit -q --amend -m other");
    }
}

static void
test_dry_run (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxPull) pulled = NULL;
  g_autofree char *before = fixture_run (fixture, "find host | sort | sha256sum"), *after = NULL;

  run (fixture, "cd guest; echo 2 >b; git add b; git commit -q -m two");
  fixture_bundle (fixture);
  pulled = fixture_pull (fixture, TRUE, NULL);
  g_assert_cmpuint (pulled->n_commits, ==, 1);
  after = fixture_run (fixture, "find host | sort | sha256sum");
  g_assert_cmpstr (before, ==, after);
}

/* Bundles leave out what the host has, so what comes stands on it: also on packs and packed refs.
 */
static void
test_forms (Fixture *fixture, gconstpointer data)
{
  static const char *const forms[] = {
    "git -C host gc -q",
    "git -C host pack-refs --all",
    "git -C host repack -q -a -d && git -C host commit-graph write --reachable",
    "git -C host repack -q -a -d && git -C host multi-pack-index write",
    "git -C host checkout -q --detach",
    "git -C host tag -a -m t t",
    "git -C host notes add -m x",
    "touch host/.git/objects/pack/tmp_vms_left",
  };

  for (guint i = 0; i < G_N_ELEMENTS (forms); i++)
    {
      g_autofree char *more =
          g_strdup_printf ("cd guest; echo %u >>a; git commit -q -a -m more%u", i, i);
      g_autoptr (SandboxPull) pulled = NULL;

      run (fixture, forms[i]);
      run (fixture, more);
      pulled = pull (fixture);
      g_assert_cmpuint (pulled->n_commits, ==, 1);
      expect (fixture, SAME_MAIN, "");
    }
}

static void
test_empty_host (Fixture *fixture, gconstpointer data)
{
  run (fixture, "rm -rf host; git init -q -b main host");
  sandbox_pull_free (pull (fixture));
  expect (fixture, SAME_MAIN " || true", "notice: HEAD points to an unborn branch (main)");
}

static void
test_shallow (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxPull) pulled = NULL;

  run (fixture,
       "cd host; for i in 2 3 4; do echo $i >b$i; git add .; git commit -q -a -m $i; done; "
       "cd ..; mv host full; git clone -q --depth 1 file://$PWD/full host; rm -rf guest; cp "
       "-r host guest; cd guest; echo 5 >a; git commit -q -a -m 5");
  pulled = pull (fixture);
  /* the one that differs from what both have, whose own history is not there */
  g_assert_cmpuint (pulled->n_files, ==, 1);
  expect (fixture, SAME_MAIN, "");
}

static void
test_sha256 (Fixture *fixture, gconstpointer data)
{
  run (fixture,
       "rm -rf host guest; git init -q -b main --object-format=sha256 host; cd host; echo 1 "
       ">a; git add a; git commit -q -m one; cd ..; git clone -q host guest; cd guest; echo "
       "2 >a; git commit -q -a -m two");
  sandbox_pull_free (pull (fixture));
  expect (fixture, SAME_MAIN, "");
}

/* What an earlier pull left can be in the way; then nothing changes. */
static void
test_in_the_way (Fixture *fixture, gconstpointer data)
{
  for (guint packed = 0; packed < 2; packed++)
    {
      g_autoptr (GError) error = NULL;

      run (fixture,
           "git -C host update-ref refs/vms/work/x HEAD; cd guest; git checkout -q -B x/y; "
           "echo $$ >a; git commit -q -a -m two");
      if (packed)
        run (fixture, "git -C host pack-refs --all");
      fixture_bundle (fixture);
      g_assert_null (fixture_pull (fixture, FALSE, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
      expect (fixture, "git -C host for-each-ref --format='%(refname)' refs/vms",
              "refs/vms/work/x");
      expect (fixture, "find host/.git -name '*.lock'", "");
      run (fixture, "git -C host update-ref -d refs/vms/work/x");
    }
  run (fixture, "mkdir -p host/.git/refs/vms/work/x/y; touch host/.git/refs/vms/work/x/y.lock");
  {
    g_autoptr (GError) error = NULL;

    g_assert_null (fixture_pull (fixture, FALSE, &error));
    g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  }
  run (fixture, "rm host/.git/refs/vms/work/x/y.lock; mkdir -p host/.git/refs/vms/work/x/y/z");
  sandbox_pull_free (pull (fixture));
}

static void
test_elsewhere (Fixture *fixture, gconstpointer data)
{
  static const char *const ways[] = {
    "rm -rf host; git init -q --separate-git-dir away host",
    "git -C host worktree add -q ../tree; mv host main; mv tree host",
    "mv host/.git away; ln -s ../away host/.git",
    "touch host/.git/commondir",
    "echo ../../../other >host/.git/objects/info/alternates",
    "mkdir host/.git/reftable",
  };

  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      g_autoptr (GError) error = NULL;

      run (fixture, "rm -rf host main away tree; git clone -q guest host");
      run (fixture, ways[i]);
      g_assert_null (_sandbox_pull_repo_open (fixture->host, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
    }
  run (fixture, "rm -rf host; mkdir host");
  {
    g_autoptr (GError) error = NULL;

    g_assert_null (_sandbox_pull_repo_open (fixture->host, &error));
    g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  }
}

#define ADD(name, func) g_test_add ("/share/pull/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("plain", test_plain);
  ADD ("again", test_again);
  ADD ("dry-run", test_dry_run);
  ADD ("forms", test_forms);
  ADD ("empty-host", test_empty_host);
  ADD ("shallow", test_shallow);
  ADD ("sha256", test_sha256);
  ADD ("in-the-way", test_in_the_way);
  ADD ("elsewhere", test_elsewhere);
  return g_test_run ();
}
