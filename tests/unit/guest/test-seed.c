// SPDX-License-Identifier: LGPL-2.1-or-later
// The seed, unpacked by the very programs that guests and people use: tar and busybox.
#include "fixture.h"

#include "base/error.h"
#include "base/file.h"
#include "guest/tar.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
unpack (Fixture *fixture, GBytes *seed, const char *const *tar, char **ret_path)
{
  g_autofree char *file = g_build_filename (fixture->path, "seed.tar", NULL);
  char *into = g_build_filename (fixture->path, tar[0], NULL);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *output = NULL;
  int status = -1;

  g_assert_true (g_file_set_contents (file, g_bytes_get_data (seed, NULL),
                                      (gssize)g_bytes_get_size (seed), NULL));
  g_assert_cmpint (mkdir (into, 0700), ==, 0);
  for (; *tar; tar++)
    g_ptr_array_add (argv, (gpointer)*tar);
  g_ptr_array_add (argv, (gpointer) "-C");
  g_ptr_array_add (argv, into);
  g_ptr_array_add (argv, (gpointer) "-xf");
  g_ptr_array_add (argv, file);
  g_ptr_array_add (argv, NULL);
  output = fixture_run ((const char *const *)argv->pdata, &status);
  g_assert_cmpstr (output, ==, "");
  g_assert_cmpint (status, ==, 0);
  *ret_path = into;
  return into;
}

static void
assert_file (const char *directory, const char *name, guint mode, const char *text)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);
  g_autofree char *got = NULL;
  struct stat st;

  g_assert_cmpint (lstat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, mode);
  if (!text)
    return;
  g_assert_true (g_file_get_contents (path, &got, NULL, NULL));
  g_assert_cmpstr (got, ==, text);
}

static void
assert_key (Fixture *fixture, const char *directory, const char *name, const char *key)
{
  g_autofree char *path = g_build_filename (fixture->path, key, NULL);
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  assert_file (directory, name, g_str_has_suffix (key, ".pub") ? 0644 : 0600, text);
}

static void
test_content (void)
{
  static const char *const programs[][3] = { { "tar", NULL }, { "busybox", "tar", NULL } };
  Fixture fixture;
  g_autoptr (FixturePlan) plan = fixture_plan ();
  SandboxPlanShare *shadowed;
  g_autoptr (GBytes) seed = NULL;
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  fixture_plan_add_share (plan, "shared", "/home/dev/shared");
  fixture_plan_add_share (plan, "odd", "/srv/a b\\c#\td\ne");
  fixture_plan_add_share (plan, "src", "/home/dev/src")->mode = SANDBOX_SHARE_REVIEW;
  shadowed = fixture_plan_add_share (plan, "app", "/home/dev/app");
  g_free (shadowed->shadow);
  shadowed->shadow = g_strdup ("node_modules;web/.venv");
  seed = _sandbox_seed_build (plan, fixture.fd, NULL, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (programs); i++)
    {
      g_autofree char *into = NULL;
      g_autofree char *path = g_find_program_in_path (programs[i][0]);

      if (!path)
        continue;
      unpack (&fixture, seed, programs[i], &into);
      assert_file (into, "identity", 0644,
                   "HOSTNAME=work\nUSER=dev\nUID=1000\nGID=1001\nMACHINE_ID="
                   "6ba7b8109dad51d180b400c04fd430c8\n"
                   "ADDRESS=10.213.4.2/29\nGATEWAY=10.213.4.1\nDNS=10.213.4.1\n");
      assert_file (into, "mounts", 0644,
                   "shared /home/dev/shared\nodd /srv/a\\040b\\134c\\043\\011d\\012e\n"
                   "src /home/dev/src review\napp /home/dev/app rw node_modules;web/.venv\n");
      assert_key (&fixture, into, "root/etc/ssh/ssh_host_ed25519_key", "host_key");
      assert_key (&fixture, into, "root/etc/ssh/ssh_host_ed25519_key.pub", "host_key.pub");
      assert_key (&fixture, into, "root/etc/ssh/authorized_keys.d/dev", "user_key.pub");
      assert_file (into, "root/etc/ssh/sshd_config.d/05-vms-forward.conf", 0644,
                   "GatewayPorts clientspecified\nAcceptEnv VMS_ENV\n");
      assert_key (&fixture, into, "home/.ssh/id_ed25519", "guest_key");
      assert_key (&fixture, into, "home/.ssh/id_ed25519.pub", "guest_key.pub");
      assert_file (into, "home/.ssh", 0700, NULL);
    }
  fixture_tear_down (&fixture);
}

/* The key with which the user enters stays on the host. */
static void
test_no_user_key (void)
{
  Fixture fixture;
  g_autoptr (FixturePlan) plan = fixture_plan ();
  g_autoptr (GBytes) seed = NULL;
  g_autofree char *key = NULL;
  gsize length = 0;

  fixture_set_up (&fixture);
  seed = _sandbox_seed_build (plan, fixture.fd, NULL, NULL);
  g_assert_true (sandbox_file_read_at (fixture.fd, "user_key", 4096, &key, &length, NULL));
  g_assert_null (memmem (g_bytes_get_data (seed, NULL), g_bytes_get_size (seed), key + 60, 100));
  fixture_tear_down (&fixture);
}

static void
test_no_network (void)
{
  Fixture fixture;
  g_autoptr (FixturePlan) plan = fixture_plan ();
  g_autoptr (GBytes) seed = NULL;
  static const char expected[] = "GATEWAY=\nDNS=\n";

  fixture_set_up (&fixture);
  g_free (plan->network_mode);
  plan->network_mode = g_strdup ("none");
  seed = _sandbox_seed_build (plan, fixture.fd, NULL, NULL);
  g_assert_nonnull (
      memmem (g_bytes_get_data (seed, NULL), g_bytes_get_size (seed), expected, strlen (expected)));
  fixture_tear_down (&fixture);
}

/* For apt: names without what only npm has; taken back when nothing is forbidden. */
static void
test_forbidden (void)
{
  static const char *const tar[] = { "tar", NULL }, *const busybox[] = { "busybox", "tar", NULL };
  static const char hook[] = "#!/bin/sh\n";
  Fixture fixture;
  g_autoptr (FixturePlan) plan = fixture_plan ();
  g_autoptr (GBytes) none = NULL, some = NULL;
  g_autofree char *into = NULL, *text = NULL;

  fixture_set_up (&fixture);
  none = _sandbox_seed_build (plan, fixture.fd, NULL, NULL);
  unpack (&fixture, none, tar, &into);
  assert_file (into, "root/etc/apt/preferences.d/vms-policy", 0644,
               "# what the machine's profile forbids: made at each boot\n");
  text = g_build_filename (into, "root/usr/lib/vms/apt-hook", NULL);
  g_assert_false (g_file_test (text, G_FILE_TEST_EXISTS));
  g_clear_pointer (&into, g_free);
  g_strfreev (plan->forbid);
  plan->forbid = g_strsplit ("docker*;@openai/*;npm", ";", -1);
  some = _sandbox_seed_build (plan, fixture.fd, hook, NULL);
  unpack (&fixture, some, busybox, &into);
  assert_file (into, "root/etc/apt/preferences.d/vms-policy", 0644,
               "# what the machine's profile forbids: made at each boot\n"
               "Explanation: forbidden by the profile work\n"
               "Package: docker* npm\nPin: version *\nPin-Priority: -1\n");
  assert_file (into, "root/usr/lib/vms/apt-hook", 0755, hook);
  assert_file (into, "root/etc/apt/apt.conf.d/80vms-policy", 0644, NULL);
  fixture_tear_down (&fixture);
}

static void
test_refused (void)
{
  static const char *const users[] = {
    "a b", "a\nUID=0", "$(id)", "a'b", "\xc3\xa9", "a\\b", "a;b"
  };
  Fixture fixture;
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (users); i++)
    {
      g_autoptr (FixturePlan) plan = fixture_plan ();

      g_free (plan->user);
      plan->user = g_strdup (users[i]);
      g_assert_null (_sandbox_seed_build (plan, fixture.fd, NULL, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_clear_error (&error);
    }
  {
    g_autoptr (FixturePlan) plan = fixture_plan ();

    plan->uid = 0;
    g_assert_null (_sandbox_seed_build (plan, fixture.fd, NULL, &error));
    g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  }
  fixture_tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/seed/content", test_content);
  g_test_add_func ("/guest/seed/no-user-key", test_no_user_key);
  g_test_add_func ("/guest/seed/no-network", test_no_network);
  g_test_add_func ("/guest/seed/forbidden", test_forbidden);
  g_test_add_func ("/guest/seed/refused", test_refused);
  return g_test_run ();
}
