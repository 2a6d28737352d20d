// SPDX-License-Identifier: LGPL-2.1-or-later
// What git on this host ignores is left out by an apply of everything: by this host's rules, in the
// repository that a change lies in, and never by the machine's.
#include "world.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
shell (const World *world, const char *command)
{
  g_autofree char *script = g_strconcat ("set -e; ", command, NULL);
  const char *argv[] = { "sh", "-c", script, NULL };
  g_autofree char *err = NULL;
  g_autoptr (GError) error = NULL;
  int status = 0;

  g_spawn_sync (world->host, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &err,
                &status, &error);
  g_assert_no_error (error);
  if (status != 0)
    g_error ("%s: %s", command, err);
}

/* Each of @paths: a directory when it ends with a slash, gone when it begins with "~". */
static SandboxChanges *
guest_has (World *world, const char *const *paths)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  for (; *paths != NULL; paths++)
    {
      g_autofree char *name = g_strconcat ("./", *paths, NULL);

      if (**paths == '~')
        add_raw (archive, '3', name + 3, NULL, 0, 0, 0, 0);
      else if (g_str_has_suffix (*paths, "/"))
        add_entry (archive, SANDBOX_TAR_DIR, name, NULL, 0755, NULL);
      else
        add_entry (archive, SANDBOX_TAR_FILE, name, NULL, 0644, "guest\n");
    }
  sandbox_tar_append_end (archive);
  changes = world_read_archive (world, archive, &error);
  g_assert_no_error (error);
  return changes;
}

static char *
list (SandboxChanges *changes, gboolean ignored)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < sandbox_changes_get_length (changes); i++)
    {
      const SandboxChange *change = sandbox_changes_get (changes, i);

      if (change->ignored == ignored)
        g_string_append_printf (text, "%s%s", text->len > 0 ? " " : "", change->path);
    }
  return g_string_free (text, FALSE);
}

#define check(changes, left, taken)                                                                \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree char *left_ = list (changes, TRUE), *taken_ = list (changes, FALSE);                \
    g_assert_cmpstr (left_, ==, left);                                                             \
    g_assert_cmpstr (taken_, ==, taken);                                                           \
  }                                                                                                \
  G_STMT_END

static void
begin (World *world, const char *commands)
{
  world_init (world, NULL);
  shell (world, commands);
  world_record (world);
}

static void
test_rules (void)
{
  const char *const paths[] = { "all.log",
                                "build/",
                                "build/keep",
                                "build/x",
                                "dist/",
                                "dist/a",
                                "kept.log",
                                "node_modules/",
                                "node_modules/a/",
                                "node_modules/a/i.js",
                                "src/",
                                "src/dist",
                                "src/y.c",
                                NULL };
  SandboxApplyOptions options = SANDBOX_APPLY_OPTIONS_INIT;
  g_autoptr (SandboxChanges) changes = NULL, again = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *tree = NULL, *more = NULL;
  const guint one[] = { 0 };
  World world;

  begin (&world, "git init -q; echo host >kept.log; "
                 "printf 'node_modules/\n*.log\nbuild/*\n!build/keep\n/dist\n' >.gitignore; "
                 "git add -f kept.log .gitignore");
  changes = guest_has (&world, paths);
  check (changes,
         "all.log build build/x dist dist/a node_modules node_modules/a node_modules/a/i.js",
         "build/keep kept.log src src/dist src/y.c");
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  shell (&world, "test $(find . -path ./.git -prune -o -type f -print | sort | tr '\n' ,) = "
                 "./.gitignore,./build/keep,./kept.log,./src/dist,./src/y.c,; "
                 "grep -q guest kept.log");
  /* by name it is applied */
  again = guest_has (&world, paths);
  options.chosen = one;
  options.n_chosen = 1;
  g_assert_cmpstr (sandbox_changes_get (again, 0)->path, ==, "all.log");
  g_assert_true (sandbox_changes_apply (again, &options, NULL, NULL, NULL, &error));
  shell (&world, "grep -q guest all.log; test ! -e dist");
  world_clear (&world);
}

/* All that it brings are changes, whatever it says of them. */
static void
test_machines_rules (void)
{
  const char *const paths[] = { ".gitignore", "a", "sub/", "sub/.gitignore", "sub/b", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, "git init -q; echo a >.gitignore");
  changes = guest_has (&world, paths);
  check (changes, "a", ".gitignore sub sub/.gitignore sub/b");
  world_clear (&world);
}

static void
test_other_lists (void)
{
  const char *const paths[] = { "a", "b", "c", NULL };
  g_autoptr (SandboxChanges) changes = NULL, without = NULL;
  g_autofree char *config = NULL;
  World world;

  begin (&world, "git init -q; mkdir -p .git/info; echo a >.git/info/exclude");
  config = g_build_filename (world.top, "gitconfig", NULL);
  shell (&world, "echo b >../excludes; "
                 "printf '[core]\n\\texcludesFile = %s\n' \"$(realpath ..)/excludes\" "
                 ">../gitconfig");
  g_setenv ("GIT_CONFIG_GLOBAL", config, TRUE);
  changes = guest_has (&world, paths);
  g_unsetenv ("GIT_CONFIG_GLOBAL");
  check (changes, "a b", "c");
  without = guest_has (&world, paths);
  check (without, "a", "b c");
  shell (&world, "rm ../excludes ../gitconfig");
  world_clear (&world);
}

/* A directory with several repositories, one of them none; one in another, which decides for what
 * is in it, also when the outer one ignores it: somebody works there. */
static void
test_several (void)
{
  const char *const paths[] = { "a/",         "a/in/",    "a/in/x.o", "a/in/y.i", "a/skip/",
                                "a/skip/w.i", "a/skip/z", "a/x.o",    "b/",       "b/x.o",
                                "c/",         "c/sub/",   "c/sub/k",  "c/x.o",    NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, "mkdir -p a/in a/skip b; cd a; git init -q; printf '*.o\nskip\n' >.gitignore; "
                 "cd in; git init -q; echo '*.i' >.gitignore; cd ../skip; git init -q; "
                 "echo '*.i' >.gitignore");
  changes = guest_has (&world, paths);
  check (changes, "a/in/y.i a/skip/w.i a/x.o", "a/in/x.o a/skip/z b/x.o c c/sub c/sub/k c/x.o");
  world_clear (&world);
}

/* One package of many: the repository is around the share. Not that of somebody else. */
static void
test_around (void)
{
  const char *const paths[] = { "a.log", "dist/", "dist/x", "new", "t.log", NULL };
  g_autoptr (SandboxChanges) changes = NULL, foreign = NULL, all = NULL;
  World world;

  begin (&world, "git init -q ..; printf '*.log\n/host/dist\n/new\n' >../.gitignore; "
                 "echo t >t.log; git -C .. add -f host/t.log .gitignore");
  changes = guest_has (&world, paths);
  check (changes, "a.log dist dist/x", "new t.log");
  shell (&world, "echo '*' >../.gitignore");
  all = guest_has (&world, paths);
  check (all, "", "a.log dist dist/x new t.log");
  shell (&world, "echo '*.log' >../.gitignore");
  if (geteuid () == 0)
    {
      shell (&world, "chown 12345 ../.git");
      foreign = guest_has (&world, paths);
      check (foreign, "", "a.log dist dist/x new t.log");
    }
  shell (&world, "rm -rf ../.git ../.gitignore");
  world_clear (&world);
}

/* Its .git is a file; what it has in its index counts, too. */
static void
test_worktree (void)
{
  const char *const paths[] = { "w/", "w/a.log", "w/b", "w/t.log", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, "git init -q ../r; cd ../r; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a "
                 "GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a; echo '*.log' >.gitignore; "
                 "echo t >t.log; git add -f .gitignore t.log; git commit -q -m x; "
                 "git worktree add -q ../host/w; test -f ../host/w/.git; "
                 "mkdir -p .git/info; echo b >.git/info/exclude");
  changes = guest_has (&world, paths);
  check (changes, "w/a.log w/b", "w/t.log");
  shell (&world, "rm -rf ../r");
  world_clear (&world);
}

/* What this host has is kept, and the directory with it: no commit brings it back. What is tracked
 * is shown, whatever is said of the directory that it is in. */
static void
test_goes (void)
{
  const char *const paths[] = { "~both", "~build", "~web", "~x.log", "y.log/", "y.log/in", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GError) error = NULL;
  World world;

  begin (&world, "git init -q; printf '*.log\nbuild\n' >.gitignore; mkdir both build web; "
                 "echo a >web/a; echo b >web/b.log; echo x >x.log; echo y >y.log; "
                 "echo k >build/keep; echo o >build/o; git add -f build/keep; echo a >both/a");
  changes = guest_has (&world, paths);
  check (changes, "build build/o web web/b.log x.log y.log y.log/in",
         "both both/a build/keep web/a");
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  shell (&world, "test $(find . -path ./.git -prune -o -type f -print | sort | tr '\n' ,) = "
                 "./.gitignore,./build/o,./web/b.log,./x.log,./y.log,; test ! -e both");
  world_clear (&world);
}

/* A file in the place of a directory that holds what is ignored. */
static void
test_replaced (void)
{
  const char *const paths[] = { "web", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, "git init -q; echo '*.log' >.gitignore; mkdir web; echo a >web/a; "
                 "echo b >web/b.log");
  changes = guest_has (&world, paths);
  check (changes, "web/b.log", "web web/a");
  g_assert_cmpint (find_change (changes, "web")->pub.state, ==, SANDBOX_CHANGE_CONFLICT);
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
  shell (&world, "test -f web/b.log; test ! -e web/a");
  world_clear (&world);
}

/* The machine moves a directory: what is ignored is not lost on the way. */
static void
test_moves (void)
{
  const char *const paths[] = { "site/", "site/.env", "site/a", "~web", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, "git init -q; echo .env >.gitignore; mkdir web; echo guest >web/a; "
                 "echo secret >web/.env");
  changes = guest_has (&world, paths);
  check (changes, "site/.env web web/.env", "site site/a web/a");
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
  shell (&world, "grep -q secret web/.env; test ! -e web/a; test -f site/a");
  world_clear (&world);
}

/* Names that git could take for something else, and a way that leads through the host's link. */
static void
test_names (void)
{
  const char *const paths[] = { ":(exclude)x.log", ":!y.log", "--stdin", "-v.log", "a\\b.log", "l/",
                                "l/q.log",         "*.log",   "q.log",   NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, "git init -q; echo 'q.log' >.gitignore; ln -s .git l");
  changes = guest_has (&world, paths);
  check (changes, "q.log", "*.log --stdin -v.log :!y.log :(exclude)x.log a\\b.log l l/q.log");
  world_clear (&world);
}

/* Nothing that the repository is set to run is run, and its own excludes are not trusted to name
 * files. */
static void
test_settings (void)
{
  const char *const paths[] = { "a.log", "b", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, "git init -q; echo '*.log' >.gitignore; echo b >../list; "
                 "printf '#!/bin/sh\ntouch %s/ran\n' \"$(realpath ..)\" >../run; chmod 755 ../run; "
                 "git config core.fsmonitor \"$(realpath ..)/run\"; "
                 "git config core.excludesFile \"$(realpath ..)/list\"; "
                 "git config core.hooksPath \"$(realpath ..)\"; rm -f ../ran");
  changes = guest_has (&world, paths);
  check (changes, "a.log", "b");
  shell (&world, "test ! -e ../ran; rm ../run ../list");
  world_clear (&world);
}

/* What git cannot read, or would read as something else, tells nothing: all is shown. */
static void
test_damaged (void)
{
  const char *const paths[] = { "a.log", NULL };
  static const char *const damages[] = { "echo no index >.git/index",
                                         "rm -r .git; echo x >.git",
                                         "rm .git/index; ln -s /etc/passwd .git/index",
                                         "rm .git/index; mkfifo .git/index",
                                         "git add -f .gitignore; git update-index --split-index",
                                         "mkdir a b; echo x >a/f; echo x >b/f; git add -A; "
                                         "git -c user.name=a -c user.email=a commit -q -m x; "
                                         "git sparse-checkout set --cone --sparse-index a",
                                         "rm -r .git; git init -q --object-format=sha256; "
                                         "git add .gitignore",
                                         "rm .gitignore; mkfifo .gitignore" };

  for (guint i = 0; i < G_N_ELEMENTS (damages); i++)
    {
      g_autoptr (SandboxChanges) changes = NULL;
      World world;

      begin (&world, "git init -q; echo '*.log' >.gitignore; git add .gitignore");
      shell (&world, damages[i]);
      changes = guest_has (&world, paths);
      check (changes, "", "a.log");
      world_clear (&world);
    }
}

static void
test_none (void)
{
  const char *const paths[] = { "a.log", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, "echo '*.log' >.gitignore");
  changes = guest_has (&world, paths);
  check (changes, "", "a.log");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ignored/rules", test_rules);
  g_test_add_func ("/ignored/machines-rules", test_machines_rules);
  g_test_add_func ("/ignored/other-lists", test_other_lists);
  g_test_add_func ("/ignored/several", test_several);
  g_test_add_func ("/ignored/around", test_around);
  g_test_add_func ("/ignored/worktree", test_worktree);
  g_test_add_func ("/ignored/goes", test_goes);
  g_test_add_func ("/ignored/replaced", test_replaced);
  g_test_add_func ("/ignored/moves", test_moves);
  g_test_add_func ("/ignored/names", test_names);
  g_test_add_func ("/ignored/settings", test_settings);
  g_test_add_func ("/ignored/damaged", test_damaged);
  g_test_add_func ("/ignored/none", test_none);
  return g_test_run ();
}
