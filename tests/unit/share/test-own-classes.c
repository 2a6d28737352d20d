// SPDX-License-Identifier: LGPL-2.1-or-later
// What one share adds to the table of names: by its profile, and by settings of the host's git.
#include "world.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  const char *path;
  SandboxChangeRisk risk;
} Case;

static void
check_all (const SandboxClasses *classes, const Case *cases, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      gboolean git = FALSE;

      if (_sandbox_classes_risk (classes, cases[i].path, &git) != cases[i].risk)
        g_error ("%s is not %s", cases[i].path, sandbox_change_risk_to_string (cases[i].risk));
      if (!git
          && _sandbox_guard_holds (classes, cases[i].path)
                 != (cases[i].risk == SANDBOX_CHANGE_RUNS))
        g_error ("%s is %s", cases[i].path,
                 cases[i].risk == SANDBOX_CHANGE_RUNS ? "writable" : "held");
    }
}

/* Patterns hold at any depth, with what is below, in every disguise of a name; the table stays. */
static void
test_patterns (void)
{
  static const Case cases[] = {
    { "deploy.sh", SANDBOX_CHANGE_RUNS },
    { "a/b/deploy.sh", SANDBOX_CHANGE_RUNS },
    { "Deploy.SH", SANDBOX_CHANGE_RUNS },
    { "deploy.sh. ", SANDBOX_CHANGE_RUNS },
    { "de\xcc\x81ploy.sh", SANDBOX_CHANGE_RUNS },
    { "d\xc3\xa9ploy.sh", SANDBOX_CHANGE_RUNS },
    { "\xef\xbd\x84\xef\xbd\x85ploy.sh", SANDBOX_CHANGE_RUNS },
    { "deploy.sh/below/it", SANDBOX_CHANGE_RUNS },
    { "deploy.shx", SANDBOX_CHANGE_PLAIN },
    { "xdeploy.sh", SANDBOX_CHANGE_PLAIN },
    { "ops/run-all.py", SANDBOX_CHANGE_RUNS },
    { "x/OPS/run-.PY", SANDBOX_CHANGE_RUNS },
    { "ops/all.py", SANDBOX_CHANGE_PLAIN },
    { "ops", SANDBOX_CHANGE_PLAIN },
    { "ops/x/run-all.py", SANDBOX_CHANGE_PLAIN },
    { "bin/anything", SANDBOX_CHANGE_RUNS },
    { "bin", SANDBOX_CHANGE_PLAIN },
    { "a.tf", SANDBOX_CHANGE_BUILDS },
    { "x/B.TF", SANDBOX_CHANGE_BUILDS },
    { "tf", SANDBOX_CHANGE_PLAIN },
    { ".envrc", SANDBOX_CHANGE_RUNS },
    { "Makefile", SANDBOX_CHANGE_RUNS },
    { "package.json", SANDBOX_CHANGE_BUILDS },
    { "env.txt", SANDBOX_CHANGE_PLAIN },
  };
  g_autoptr (SandboxClasses) classes = _sandbox_classes_parse (
      "guard deploy.sh;ops/run-*.p?;bin/*\nflag *.tf;.envrc\nguard makefile\n");

  g_assert_nonnull (classes);
  check_all (classes, cases, G_N_ELEMENTS (cases));
  g_assert_true (_sandbox_classes_is_head (classes, "a/ops"));
  g_assert_true (_sandbox_classes_is_head (classes, "bin"));
  g_assert_true (_sandbox_classes_is_head (classes, ".github"));
  g_assert_false (_sandbox_classes_is_head (classes, "ops/x"));
  g_assert_false (_sandbox_classes_is_head (classes, "src"));
}

static void
test_places (void)
{
  static const Case cases[] = {
    { "tools/hooks/pre-commit", SANDBOX_CHANGE_RUNS },
    { "Tools/Hooks/x", SANDBOX_CHANGE_RUNS },
    { "tools/hooks", SANDBOX_CHANGE_RUNS },
    { "tools/hooks2", SANDBOX_CHANGE_PLAIN },
    { "x/tools/hooks/y", SANDBOX_CHANGE_PLAIN },
    { "sub/monitor", SANDBOX_CHANGE_RUNS },
    { "home-hooks/x", SANDBOX_CHANGE_RUNS },
    { "any/where/git-hooks/x", SANDBOX_CHANGE_RUNS },
    { "tools", SANDBOX_CHANGE_PLAIN },
  };
  static const char *const bad[] = { "nonsense", "guard", "guard ", "other x", "root /a\nroot /b" };
  g_autoptr (SandboxClasses) classes = _sandbox_classes_parse (
      "root /home/alice/web\nhome /home/alice\nplace tools/hooks\n"
      "target /home/alice/web/sub/./x/../monitor\ntarget /home/alice/webx/y\n"
      "target ~/web/home-hooks\ntarget ~other/x\ntarget /home/alice/web\n"
      "pattern git-hooks\n");

  g_assert_nonnull (classes);
  check_all (classes, cases, G_N_ELEMENTS (cases));
  g_assert_cmpuint (_sandbox_classes_get_n_places (classes), ==, 3);
  g_assert_true (_sandbox_classes_is_head (classes, "tools"));
  g_assert_false (_sandbox_classes_is_head (classes, "x/tools"));
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_null (_sandbox_classes_parse (bad[i]));
}

static GByteArray *
archive_of (const char *const *paths)
{
  GByteArray *archive = g_byte_array_new ();

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  for (; *paths; paths++)
    {
      g_autofree char *name = g_strconcat ("./", *paths, NULL);

      if (g_str_has_suffix (name, "/"))
        add_entry (archive, SANDBOX_TAR_DIR, name, NULL, 0755, NULL);
      else if (strchr (name, '>'))
        {
          g_auto (GStrv) parts = g_strsplit (name, ">", 2);

          add_entry (archive, SANDBOX_TAR_SYMLINK, parts[0], parts[1], 0777, NULL);
        }
      else
        add_entry (archive, SANDBOX_TAR_FILE, name, NULL, 0644, "guest");
    }
  sandbox_tar_append_end (archive);
  return archive;
}

static SandboxChanges *
read_paths (World *world, const char *const *paths)
{
  g_autoptr (GByteArray) archive = archive_of (paths);
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes = world_read_archive (world, archive, &error);

  g_assert_no_error (error);
  return changes;
}

static void
check_risk (SandboxChanges *changes, const char *path, SandboxChangeRisk risk)
{
  const SandboxChangeRow *row = find_change (changes, path);

  g_test_message ("%s", path);
  g_assert_nonnull (row);
  g_assert_cmpint (row->pub.risk, ==, risk);
}

/* A bare apply holds back what the share's own list names. */
static void
test_apply (void)
{
  static const char *const paths[] = { "deploy.sh", "main.tf", "ops/", "ops/run.sh", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *held = NULL, *flagged = NULL, *plain = NULL;
  World world;

  world_init (&world, NULL);
  world.classes = "guard deploy.sh\nflag *.tf\n";
  world_record (&world);
  changes = read_paths (&world, paths);
  check_risk (changes, "deploy.sh", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "main.tf", SANDBOX_CHANGE_BUILDS);
  check_risk (changes, "ops/run.sh", SANDBOX_CHANGE_PLAIN);
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
  held = get_file (world.host, "deploy.sh");
  flagged = get_file (world.host, "main.tf");
  plain = get_file (world.host, "ops/run.sh");
  g_assert_null (held);
  g_assert_cmpstr (flagged, ==, "guest");
  g_assert_cmpstr (plain, ==, "guest");
  world_clear (&world);
}

/* In place of the directory of a rule: what is behind it runs under the rule's name. */
static void
test_heads (void)
{
  static const char *const paths[] = { ".github>conf", "conf/",     "conf/hooks/",
                                       "conf/hooks/x", "ops>other", "other/",
                                       "other/run.sh", "src>other", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  world.classes = "guard ops/run.sh\n";
  world_record (&world);
  changes = read_paths (&world, paths);
  check_risk (changes, ".github", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "conf/hooks/x", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "ops", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "other/run.sh", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "src", SANDBOX_CHANGE_PLAIN);
  world_clear (&world);
}

/* What the configuration of the host's repositories names, and of no other: at the top, in a
 * submodule, behind a link, by an absolute path. */
static void
test_settings (void)
{
  static const char *const paths[] = { "abs/",
                                       "abs/x",
                                       "free/",
                                       "free/pre-commit",
                                       "mod/",
                                       "mod/free/",
                                       "mod/free/x",
                                       "mod/sub-hooks/",
                                       "mod/sub-hooks/x",
                                       "real/",
                                       "real/pre-commit",
                                       "tools/",
                                       "tools/hooks/",
                                       "tools/hooks/pre-commit",
                                       "watch",
                                       NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *lines = NULL, *config = NULL, *held = NULL;
  World world;

  world_init (&world, NULL);
  lines = g_strdup_printf ("root %s\n", world.host);
  world.classes = lines;
  config = g_strdup_printf (
      "[core]\n\tbare = false\n\thooksPath = \"nest/linked\"\n[Core] HOOKSPATH=./tools/hooks\n"
      "\tfsmonitor = watch --quick\n[include]\n\tpath = %s/abs/x\n",
      world.host);
  put_file (world.host, ".git/config", 0644, config);
  put_file (world.host, ".git/modules/m/config", 0644, "[core]\n\thooksPath = sub-hooks\n");
  put_file (world.host, "mod/.git", 0644, "gitdir: ../.git/modules/m\n");
  put_file (world.host, "real/old", 0644, "x");
  world_record (&world);
  /* of which the record knows nothing */
  put_file (world.host, "nest/x", 0644, "x");
  g_assert_cmpint (symlinkat ("../real", world.host_fd, "nest/linked"), ==, 0);
  changes = read_paths (&world, paths);
  check_risk (changes, "tools/hooks/pre-commit", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "watch", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "abs/x", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "real/pre-commit", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "mod/sub-hooks/x", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "mod/free/x", SANDBOX_CHANGE_PLAIN);
  check_risk (changes, "free/pre-commit", SANDBOX_CHANGE_PLAIN);
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
  held = get_file (world.host, "tools/hooks/pre-commit");
  g_assert_null (held);
  world_clear (&world);
}

/* Settings that the user has for all repositories, as git itself reads them. */
static void
test_user (void)
{
  g_autofree char *home = g_dir_make_tmp ("sandbox-home-XXXXXX", NULL);
  g_autofree char *text = NULL, *file = g_build_filename (home, ".gitconfig", NULL);
  g_autofree char *more = g_build_filename (home, "more", NULL);

  g_setenv ("HOME", home, TRUE);
  g_setenv ("XDG_CONFIG_HOME", home, TRUE);
  g_assert_true (g_file_set_contents (file,
                                      "[core]\n\thooksPath = ./.my-hooks\n\tfsmonitor = true\n"
                                      "[include]\n\tpath = more\n",
                                      -1, NULL));
  g_assert_true (g_file_set_contents (more, "[core]\n\tattributesFile = ~/attr\n", -1, NULL));
  text = _sandbox_settings_of_user (NULL);
  g_assert_nonnull (strstr (text, "pattern .my-hooks\n"));
  g_assert_nonnull (strstr (text, "target ~/attr\n"));
  unlink (file);
  unlink (more);
  g_clear_pointer (&text, g_free);
  text = _sandbox_settings_of_user (NULL);
  g_assert_cmpstr (text, ==, "");
  rmdir (home);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/own-classes/patterns", test_patterns);
  g_test_add_func ("/share/own-classes/places", test_places);
  g_test_add_func ("/share/own-classes/apply", test_apply);
  g_test_add_func ("/share/own-classes/heads", test_heads);
  g_test_add_func ("/share/own-classes/settings", test_settings);
  g_test_add_func ("/share/own-classes/user", test_user);
  return g_test_run ();
}
