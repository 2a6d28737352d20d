// SPDX-License-Identifier: LGPL-2.1-or-later
// Bundles of an enemy, and a host's repository that an enemy has written to.
#include "fixture.h"

#include "base/error.h"

#include <string.h>
#include <sys/stat.h>

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

/* Nothing ran, and the repository is, object for object, what it was. */
static void
expect_refused (Fixture *fixture, const char *what)
{
  g_autofree char *before = fixture_run (fixture, "find host -printf '%p %s %T@\\n' | sort");
  g_autofree char *after = NULL;
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();

  if (fixture_pull (fixture, FALSE, &error))
    g_error ("%s: was taken", what);
  g_test_message ("%s: %s", what, error->message);
  for (const char *c = error->message; *c; c++)
    g_assert_cmpint ((guchar)*c, >=, ' ');
  after = fixture_run (fixture, "find host -printf '%p %s %T@\\n' | sort");
  g_assert_cmpstr (before, ==, after);
  g_assert_false (g_file_test (fixture->marker, G_FILE_TEST_EXISTS));
  g_assert_cmpint (g_get_monotonic_time () - start, <, 60 * G_USEC_PER_SEC);
}

static void
commit_two (Fixture *fixture)
{
  run (fixture, "cd guest; head -c 5000 /dev/urandom >b; git add b; git commit -q -m two");
  fixture_bundle (fixture);
}

static void
test_cut (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->path, "bundle", NULL);
  g_autofree char *bytes = NULL;
  gsize length = 0;

  commit_two (fixture);
  g_assert_true (g_file_get_contents (path, &bytes, &length, NULL));
  for (gsize keep = 0; keep < length; keep += MAX (1, length / 20))
    {
      g_assert_true (g_file_set_contents (path, bytes, (gssize)keep, NULL));
      expect_refused (fixture, "cut");
    }
  for (gsize at = length - 4000; at < length; at += 1000)
    {
      g_autofree char *changed = g_memdup2 (bytes, length);

      changed[at] ^= 0x10;
      g_assert_true (g_file_set_contents (path, changed, (gssize)length, NULL));
      expect_refused (fixture, "changed");
    }
}

/* Headers that say what is not so, before a good pack. */
static void
test_headers (Fixture *fixture, gconstpointer data)
{
#define ID40 "1111111111111111111111111111111111111111"
#define PACK "; cat pack >>bundle"
#define TIP  "$(git -C guest rev-parse main)"
  static const char *const headers[] = {
    "printf '# v2 git bundle\\n%040d refs/heads/x\\n\\n' 0 >bundle" PACK,
    "printf '# v2 git bundle\\n%s refs/heads/x\\n\\n' 1111111111111111111111111111111111111111 "
    ">bundle" PACK,
    "printf '# v2 git bundle\\n%s refs/heads/x\\n\\n' $(git -C guest rev-parse 'main^{tree}') "
    ">bundle" PACK,
    "printf '# v2 git bundle\\n%s refs/heads/x\\n\\n' $(git -C guest rev-parse main:b) "
    ">bundle" PACK,
    "printf '# v2 git bundle\\n%s refs/heads/x\\n\\nPACK' " TIP " >bundle",
    "printf '# v2 git bundle\\n%s refs/heads/x\\n\\n' " TIP
    " >bundle; yes | head -c 100000 >>bundle",
    "printf '# v2 git bundle\\n%s --upload-pack=touch\\n\\n' " TIP " >bundle" PACK,
    "printf '# v2 git bundle\\n%s refs/heads/../../../config\\n\\n' " TIP " >bundle" PACK,
    "printf '# v2 git bundle\\n%s refs/heads/a\\033]0;x\\n\\n' " TIP " >bundle" PACK,
    "(echo '# v2 git bundle'; seq -f \"" TIP " refs/heads/b%.0f\" 100000; echo) >bundle" PACK,
    "(echo '# v2 git bundle'; yes -- '-" ID40 " x' | head -n 200000; echo \"" TIP
    " refs/heads/x\"; echo) >bundle" PACK,
    /* it stands on a commit that only the guest has */
    "cd guest; echo 3 >b; git commit -q -a -m three; git bundle create -q ../bundle main~1..main",
    "head -c 9000000 /dev/zero | tr '\\0' a >bundle",
    "(echo '# v2 git bundle'; head -c 9000000 /dev/zero | tr '\\0' a) >bundle",
    ": >bundle",
    "head -c 100000 /dev/urandom >bundle",
  };

  run (fixture,
       "cd guest; echo 2 >b; git add b; git commit -q -m two; printf 'main\\n^origin/main\\n' "
       "| git pack-objects -q --revs --stdout >../pack");
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++)
    {
      run (fixture, headers[i]);
      expect_refused (fixture, headers[i]);
    }
}

/* A commit is made in the guest of what git itself would not make, and sent as git would. */
#define FORGE(tree)                                                                                \
  "cd guest; B=$(echo x | git hash-object -w --stdin); T=$(" tree                                  \
  "); C=$(git commit-tree -p main "                                                                \
  "-m bad $T); git update-ref refs/heads/bad $C; (echo '# v2 git bundle'; echo \"-$(git "          \
  "rev-parse "                                                                                     \
  "main)\"; echo \"$C refs/heads/bad\"; echo; printf \"$C\\n^main\\n\" | git pack-objects -q "     \
  "--revs "                                                                                        \
  "--stdout) >../bundle"
#define ENTRY(mode, type, name)                                                                    \
  FORGE ("printf '" mode " " type " %s\\t" name "\\n' $B | git mktree")
#define MODULES(text)                                                                              \
  FORGE ("B=$(printf '" text "' | git hash-object -w --stdin); printf '100644 blob "               \
         "%s\\t.gitmodules\\n' $B | git mktree")

static void
test_trees (Fixture *fixture, gconstpointer data)
{
  static const char *const trees[] = {
    ENTRY ("100644", "blob", ".git"),
    ENTRY ("100644", "blob", ".GIT"),
    ENTRY ("100644", "blob", ".gIt"),
    ENTRY ("100644", "blob", "git~1"),
    ENTRY ("100644", "blob", ".git."),
    ENTRY ("100644", "blob", ".git "),
    ENTRY ("100644", "blob", ".g\342\200\214it"),
    ENTRY ("100644", "blob", ".git::$INDEX_ALLOCATION"),
    ENTRY ("100644", "blob", ".."),
    ENTRY ("100644", "blob", "."),
    ENTRY ("120000", "blob", ".gitmodules"),
    ENTRY ("120000", "blob", ".GITMODULES"),
    FORGE ("S=$(printf '100644 blob %s\\tconfig\\n' $B | git mktree); printf '040000 tree "
           "%s\\t.git\\n' $S | git mktree"),
    FORGE ("S=$(printf '100644 blob %s\\tx\\n' $B | git mktree); D=$(printf '040000 tree "
           "%s\\t.GiT\\n' $S | git mktree); printf '040000 tree %s\\tsub\\n' $D | git mktree"),
    MODULES ("[submodule \"a\"]\\n\\tpath = a\\n\\turl = -u./payload\\n"),
    MODULES ("[submodule \"../../x\"]\\n\\tpath = a\\n\\turl = https://host.example/\\n"),
    MODULES ("[submodule \"a\"]\\n\\tpath = -a\\n\\turl = https://host.example/\\n"),
    MODULES ("[submodule \"a\"]\\n\\tpath = a\\n\\turl = ext::sh -c x\\n\\tupdate = !touch x\\n"),
    MODULES ("[submodule \"a\"]\\n\\tpath = a\\n\\turl = http://host.example/%%0ahost\\n"),
    /* what the tree needs is not sent */
    FORGE ("printf '100644 blob 2222222222222222222222222222222222222222\\tx\\n' | git mktree "
           "--missing") " || true; (echo '# v2 git bundle'; echo \"$C "
                        "refs/heads/bad\"; echo; printf \"$C\\n$T\\n\" | git pack-objects -q "
                        "--stdout) >../bundle",
  };

  for (guint i = 0; i < G_N_ELEMENTS (trees); i++)
    {
      run (fixture, "rm -f bundle");
      run (fixture, trees[i]);
      expect_refused (fixture, trees[i]);
    }
}

/* Objects that are no objects: as git hash-object --literally writes them. */
static void
test_objects (Fixture *fixture, gconstpointer data)
{
#define RAW(type, text)                                                                            \
  "cd guest; T=$(git rev-parse 'main^{tree}'); C=$(printf \"" text                                 \
  "\" | git hash-object -w --literally -t " type " --stdin); (echo '# v2 git bundle'; echo \"$C "  \
  "refs/heads/bad\"; echo; printf \"$C\\n$T\\n\" | git pack-objects -q --stdout) >../bundle"
  static const char *const objects[] = {
    RAW ("commit", "tree $T\\n\\nno author\\n"),
    RAW ("commit", "tree $T\\nauthor <a> 1 +0000\\ncommitter a <a> 1 +0000\\n\\nx\\n"),
    RAW ("commit", "author a <a> 1 +0000\\n\\nx\\n"),
    RAW ("commit", "tree $T\\nparent 3333333333333333333333333333333333333333\\nauthor a <a> 1 "
                   "+0000\\ncommitter a <a> 1 +0000\\n\\nx\\n"),
    RAW ("tag", "object $T\\ntype tree\\ntag x\\ntagger a <a> 1 +0000\\n\\nx\\n"),
    RAW ("tree", "100644 a/b\\\\0aaaaaaaaaaaaaaaaaaaa"),
  };

  for (guint i = 0; i < G_N_ELEMENTS (objects); i++)
    {
      run (fixture, "rm -f bundle");
      run (fixture, objects[i]);
      expect_refused (fixture, objects[i]);
    }
}

static void
test_sizes (Fixture *fixture, gconstpointer data)
{
  /* ten files in ten directories in ten directories... that are all the same one */
  run (fixture,
       FORGE ("T=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf '100644 blob %s\\tf%s\\n' $B $i; "
              "done | git mktree); for k in 1 2 3 4 5 6 7 8 9; do T=$(for i in 0 1 2 3 4 5 6 "
              "7 8 9; do printf '040000 tree %s\\td%s\\n' $T $i; done | git mktree); done; "
              "echo $T"));
  expect_refused (fixture, "ten thousand million files");
  run (fixture, "cd guest; git branch -q -D bad; head -c 3000000 /dev/urandom >b; git add b; git "
                "commit -q -m two");
  fixture_bundle (fixture);
  fixture->max_bytes = 1024 * 1024;
  expect_refused (fixture, "larger than allowed");
}

/* What somebody who can write the host's .git puts there: none of it runs. $M is made by whatever
 * does. */
#define CONFIG(key) "git -C host config " key " \"touch $M\""
static const char *const planted[] = {
  CONFIG ("core.fsmonitor"),
  CONFIG ("core.alternateRefsCommand"),
  CONFIG ("core.sshCommand"),
  CONFIG ("core.gitProxy"),
  CONFIG ("core.pager"),
  CONFIG ("core.editor"),
  CONFIG ("core.askPass"),
  CONFIG ("credential.helper"),
  CONFIG ("uploadpack.packObjectsHook"),
  CONFIG ("diff.external"),
  CONFIG ("gpg.program") "; git -C host config log.showSignature true",
  CONFIG ("alias.index-pack") "; git -C host config alias.rev-list \"!touch $M\"",
  "git -C host config trace2.normalTarget $M; git -C host config trace2.eventTarget $M",
  "printf '[core]\\n\\tfsmonitor = touch %s\\n' $M >evil; git -C host config include.path "
  "$PWD/evil",
  "git -C host config core.worktree /; git -C host config core.fsmonitor \"touch $M\"",
  "git -C host config filter.x.smudge \"touch $M\"; git -C host config filter.x.clean \"touch "
  "$M\"; "
  "git -C host config filter.x.process \"touch $M\"; git -C host config diff.x.command \"touch "
  "$M\"; git -C host config diff.x.textconv \"touch $M\"; git -C host config merge.x.driver "
  "\"touch "
  "$M\"; echo '* filter=x diff=x merge=x' >host/.git/info/attributes",
  "for h in reference-transaction post-update update pre-receive post-receive pre-auto-gc "
  "post-index-change post-rewrite post-merge post-checkout fsmonitor-watchman; do printf "
  "'#!/bin/sh\\ntouch %s\\n' $M >host/.git/hooks/$h; chmod 755 host/.git/hooks/$h; done",
  "cd host; git config core.repositoryFormatVersion 1; git config extensions.partialClone "
  "origin; "
  "git config remote.origin.promisor true; git config remote.origin.url \"ext::sh -c touch% "
  "$M\"; "
  "git config protocol.ext.allow always; git config remote.origin.uploadpack \"touch $M\"; echo "
  "4444444444444444444444444444444444444444 >.git/refs/heads/gone",
  "cd host; git config core.repositoryFormatVersion 1; git config extensions.partialClone "
  "origin; "
  "git config remote.origin.promisor true; git config remote.origin.url $PWD; git config "
  "remote.origin.uploadpack \"touch $M;\"; git gc -q; for p in .git/objects/pack/*.pack; do "
  "touch "
  "${p%.pack}.promisor; done; echo 4444444444444444444444444444444444444444 "
  ">.git/refs/heads/gone",
  "git -C host replace $(git -C host rev-parse HEAD) $(git -C host commit-tree -m other "
  "'HEAD^{tree}')",
  "git -C host rev-parse HEAD >host/.git/info/grafts",
  "echo garbage >host/.git/config",
  "mkdir -p host/.git/worktrees/x; echo $PWD/evil >host/.git/worktrees/x/gitdir",
  "git init -q --bare host/bare; git -C host/bare config core.fsmonitor \"touch $M\"",
  "head -c 1000 /dev/urandom >host/.git/objects/info/commit-graph; head -c 1000 /dev/urandom "
  ">host/.git/objects/pack/multi-pack-index; head -c 1000 /dev/urandom >host/.git/index",
  "head -c 100000 /dev/urandom >host/.git/packed-refs",
};

static void
test_planted (Fixture *fixture, gconstpointer data)
{
  commit_two (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (planted); i++)
    {
      g_autoptr (SandboxPull) pulled = NULL;
      g_autoptr (GError) error = NULL;

      run (fixture, "rm -rf host; git clone -q --no-local guest host; git -C host remote remove "
                    "origin; git -C host reset -q --hard HEAD^; git -C host reflog expire "
                    "--expire=now --all; git -C host prune");
      run (fixture, planted[i]);
      pulled = fixture_pull (fixture, FALSE, &error);
      if (g_file_test (fixture->marker, G_FILE_TEST_EXISTS))
        g_error ("%s: it ran", planted[i]);
      if (!pulled)
        g_error ("%s: %s", planted[i], error->message);
      run (fixture, "test $(cat host/.git/refs/vms/work/main) = $(git -C guest rev-parse main)");
    }
}

/* Links and pipes in the host's .git: nothing outside is written, or told, and nothing hangs. */
static void
test_links (Fixture *fixture, gconstpointer data)
{
  static const char *const links[] = {
    "ln -s $PWD/outside host/.git/refs/vms",
    "mkdir host/.git/refs/vms; ln -s $PWD/outside host/.git/refs/vms/work",
    "mv host/.git/objects/pack away; ln -s $PWD/outside host/.git/objects/pack",
    "ln -s $PWD/outside host/.git/objects/ff",
    "ln -s $PWD/outside/file host/.git/objects/pack/pack-1.pack",
    "mv host/.git/objects away; ln -s ../../away host/.git/objects",
    "mkfifo host/.git/objects/pack/pack-1.idx",
    "mkdir -p host/.git/objects/ff; mkfifo host/.git/objects/ff/$(printf %038d 1)",
    "rm -f host/.git/packed-refs; mkfifo host/.git/packed-refs",
    "echo garbage >host/.git/shallow",
    "mv host real; ln -s real host",
  };

  commit_two (fixture);
  run (fixture, "mkdir outside; echo keep >outside/file; cp -r host pristine");
  for (guint i = 0; i < G_N_ELEMENTS (links); i++)
    {
      g_autofree char *have = NULL;

      run (fixture, "rm -rf host real away; cp -r pristine host");
      run (fixture, links[i]);
      expect_refused (fixture, links[i]);
      have = fixture_run (fixture, "find outside | sort; cat outside/file");
      g_assert_cmpstr (have, ==, "outside\noutside/file\nkeep");
    }
}

/* A ref that is a link is no ref: what it leads to is not told to the guest. Nor is one replaced
 * through a link. */
static void
test_ref_links (Fixture *fixture, gconstpointer data)
{
  g_autoptr (SandboxPullRepo) repo = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *have = NULL;

  commit_two (fixture);
  run (fixture,
       "mkdir outside; echo 5555555555555555555555555555555555555555 >outside/secret; ln -s "
       "$PWD/outside/secret host/.git/refs/heads/secret; ln -s $PWD/outside "
       "host/.git/refs/dir; mkfifo host/.git/refs/heads/pipe; mkdir -p "
       "host/.git/refs/vms/work; ln -s $PWD/outside/secret host/.git/refs/vms/work/main");
  repo = _sandbox_pull_repo_open (fixture->host, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_hash_table_size (repo->tips), ==, 1);
  sandbox_pull_free (fixture_pull (fixture, FALSE, &error));
  have = fixture_run (fixture, "cat outside/secret; ls outside; test ! -L "
                               "host/.git/refs/vms/work/main");
  g_assert_cmpstr (have, ==, "5555555555555555555555555555555555555555\nsecret");
}

/* What the caller's environment tells git does not count. */
static void
test_environment (Fixture *fixture, gconstpointer data)
{
  static const char *const names[] = { "GIT_TRACE", "GIT_TRACE2", "GIT_TRACE2_EVENT",
                                       "GIT_TRACE_PACK_ACCESS", "GIT_TRACE_SETUP" };
  g_autofree char *evil = g_build_filename (fixture->path, "evil", NULL);

  commit_two (fixture);
  run (fixture,
       "mkdir evil; for p in git-index-pack git-rev-list git-cat-file git-pack-objects; do "
       "printf '#!/bin/sh\\ntouch %s\\n' $M >evil/$p; chmod 755 evil/$p; done");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_setenv (names[i], fixture->marker, TRUE);
  g_setenv ("GIT_OBJECT_DIRECTORY", evil, TRUE);
  g_setenv ("GIT_EXEC_PATH", evil, TRUE);
  g_setenv ("GIT_DIR", fixture->host, TRUE);
  sandbox_pull_free (fixture_pull (fixture, FALSE, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_unsetenv (names[i]);
  g_unsetenv ("GIT_OBJECT_DIRECTORY");
  g_unsetenv ("GIT_EXEC_PATH");
  g_unsetenv ("GIT_DIR");
  g_assert_false (g_file_test (fixture->marker, G_FILE_TEST_EXISTS));
  run (fixture, "test $(cat host/.git/refs/vms/work/main) = $(git -C guest rev-parse main)");
}

#define ADD(name, func)                                                                            \
  g_test_add ("/share/pull-hostile/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("cut", test_cut);
  ADD ("headers", test_headers);
  ADD ("trees", test_trees);
  ADD ("objects", test_objects);
  ADD ("sizes", test_sizes);
  ADD ("planted", test_planted);
  ADD ("links", test_links);
  ADD ("ref-links", test_ref_links);
  ADD ("environment", test_environment);
  return g_test_run ();
}
