// SPDX-License-Identifier: LGPL-2.1-or-later
// Repositories in a directory of their own, made by git with a configuration of the test's.
#include "fixture.h"

#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

static const char SET_UP[] = "git init -q -b main host && cd host && echo 1 >a && git add a && git "
                             "commit -q -m one && cd .. "
                             "&& git clone -q host guest && mkdir -m 700 state";

char *
fixture_run (Fixture *fixture, const char *command)
{
  g_autofree char *script = g_strconcat ("set -e; ", command, NULL);
  const char *argv[] = { "sh", "-c", script, NULL };
  g_auto (GStrv) env = g_get_environ ();
  g_autofree char *out = NULL, *err = NULL;
  g_autoptr (GError) error = NULL;
  int status = 0;

  env = g_environ_setenv (env, "HOME", fixture->path, TRUE);
  env = g_environ_setenv (env, "M", fixture->marker, TRUE);
  env = g_environ_setenv (env, "GIT_CONFIG_NOSYSTEM", "1", TRUE);
  env = g_environ_setenv (env, "GIT_AUTHOR_NAME", "A", TRUE);
  env = g_environ_setenv (env, "GIT_AUTHOR_EMAIL", "a@b.example", TRUE);
  env = g_environ_setenv (env, "GIT_COMMITTER_NAME", "A", TRUE);
  env = g_environ_setenv (env, "GIT_COMMITTER_EMAIL", "a@b.example", TRUE);
  g_spawn_sync (fixture->path, (char **)argv, env, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
                &status, &error);
  g_assert_no_error (error);
  if (status != 0)
    g_error ("%s: %s", command, err);
  return g_strchomp (g_steal_pointer (&out));
}

static void
run (Fixture *fixture, const char *command)
{
  g_free (fixture_run (fixture, command));
}

void
fixture_set_up (Fixture *fixture)
{
  g_autofree char *made = g_dir_make_tmp ("sandbox-pull-XXXXXX", NULL);

  *fixture = (Fixture){ .path = g_canonicalize_filename (made, NULL),
                        .state_fd = -1,
                        .max_bytes = 16 * 1024 * 1024 };
  fixture->host = g_build_filename (fixture->path, "host", NULL);
  fixture->state = g_build_filename (fixture->path, "state", NULL);
  fixture->marker = g_build_filename (fixture->path, "marker", NULL);
  run (fixture, SET_UP);
  fixture->state_fd = open (fixture->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint (fixture->state_fd, >=, 0);
}

void
fixture_tear_down (Fixture *fixture)
{
  g_autofree char *parent = g_path_get_dirname (fixture->path);
  g_autofree char *name = g_path_get_basename (fixture->path);
  int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  /* nothing of a pull stays behind */
  g_assert_cmpint (rmdir (fixture->state), ==, 0);
  g_assert_true (sandbox_remove_at (fd, name, NULL));
  close (fd);
  close (fixture->state_fd);
  g_free (fixture->path);
  g_free (fixture->host);
  g_free (fixture->state);
  g_free (fixture->marker);
}

void
fixture_bundle (Fixture *fixture)
{
  run (fixture, "cd host && git for-each-ref --format='%(objectname)' >../tips && cd ../guest && "
                "git cat-file --batch-check='%(objectname) %(objecttype)' <../tips | "
                "sed -n 's/^\\([0-9a-f]*\\) commit$/^\\1/p' | "
                "git bundle create -q ../bundle --branches --stdin");
}

SandboxPull *
fixture_pull (Fixture *fixture, gboolean dry_run, GError **error)
{
  g_autoptr (SandboxPullRepo) repo = _sandbox_pull_repo_open (fixture->host, error);
  g_autoptr (SandboxQuarantine) quarantine = NULL;
  g_autoptr (SandboxPull) result = _sandbox_pull_new ("p", fixture->host);
  g_autofree char *bundle = g_build_filename (fixture->path, "bundle", NULL);
  sandbox_autofd int fd = open (bundle, O_RDONLY | O_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  if (repo)
    quarantine = _sandbox_quarantine_new (fixture->state_fd, fixture->state, repo,
                                          fixture->max_bytes, NULL, error);
  if (!quarantine || !_sandbox_pull_receive (result, quarantine, repo, "work", fd, dry_run, error))
    return NULL;
  return g_steal_pointer (&result);
}

char *
fixture_digest (Fixture *fixture)
{
  return fixture_run (fixture, "cd host && find . -path ./.git/objects -prune -o -path "
                               "./.git/refs/vms -prune -o -type f -printf '%p %m %T@ %s\\n' "
                               "-exec sha256sum {} + | sort | sha256sum");
}
