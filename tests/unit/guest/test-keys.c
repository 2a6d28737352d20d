// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys: complete or remade, never changed once they were complete.
#include "fixture.h"

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const NAMES[] = { "user_key", "host_key", "guest_key" };

static char *
content (int fd, const char *name)
{
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  sandbox_file_read_at (fd, name, 4096, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

/* ssh-keygen itself says that the halves belong together. */
static void
assert_pair (Fixture *fixture, const char *name)
{
  g_autofree char *path = g_build_filename (fixture->path, name, NULL);
  g_autofree char *derived = NULL;
  g_autofree char *public = _sandbox_key_public (fixture->fd, name, NULL);
  const char *argv[] = { "ssh-keygen", "-y", "-f", path, NULL };
  struct stat st;
  int status;

  derived = fixture_run (argv, &status);
  g_assert_cmpint (status, ==, 0);
  g_assert_cmpstr (g_strchomp (derived), ==, public);
  g_assert_cmpint (fstatat (fixture->fd, name, &st, 0), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0600);
}

static void
test_made_once (void)
{
  Fixture fixture;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  g_auto (GStrv) files = NULL;
  gboolean created = TRUE;

  fixture_set_up (&fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (NAMES); i++)
    assert_pair (&fixture, NAMES[i]);
  before = content (fixture.fd, "user_key");
  g_assert_true (_sandbox_keys_ensure (fixture.fd, "vms-0-test", &created, NULL, NULL));
  g_assert_false (created);
  after = content (fixture.fd, "user_key");
  g_assert_cmpstr (before, ==, after);
  files = sandbox_dir_list (fixture.fd, NULL);
  g_assert_cmpint (g_strv_length (files), ==, 7); /* six and known_hosts */
  fixture_tear_down (&fixture);
}

/* Each state that a run killed at any point can leave. */
static void
test_incomplete (void)
{
  Fixture fixture;
  gboolean created = FALSE;
  g_autofree char *host_before = NULL;
  g_autofree char *host_after = NULL;

  fixture_set_up (&fixture);
  host_before = content (fixture.fd, "host_key");
  g_assert_cmpint (unlinkat (fixture.fd, "user_key", 0), ==, 0);
  g_assert_true (sandbox_file_write_at (fixture.fd, ".user_key.new", "half", 4, 0600, NULL));
  g_assert_true (sandbox_file_write_at (fixture.fd, ".guest_key.new.pub", "half", 4, 0600, NULL));
  g_assert_true (_sandbox_keys_ensure (fixture.fd, "vms-0-test", &created, NULL, NULL));
  g_assert_true (created);
  assert_pair (&fixture, "user_key");
  host_after = content (fixture.fd, "host_key");
  g_assert_cmpstr (host_before, ==, host_after);
  fixture_tear_down (&fixture);
}

static void
test_lost_public (void)
{
  Fixture fixture;
  gboolean created = TRUE;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  fixture_set_up (&fixture);
  before = _sandbox_key_public (fixture.fd, "guest_key", NULL);
  g_assert_cmpint (unlinkat (fixture.fd, "guest_key.pub", 0), ==, 0);
  g_assert_true (_sandbox_keys_ensure (fixture.fd, "vms-0-test", &created, NULL, NULL));
  g_assert_false (created);
  after = _sandbox_key_public (fixture.fd, "guest_key", NULL);
  g_assert_cmpstr (before, ==, after);
  fixture_tear_down (&fixture);
}

static void
test_refused (void)
{
  static const char *const bad[] = { "", "ssh-rsa AAAAB3 x\n",
                                     "ssh-ed25519 AAAAC3 x\nssh-ed25519 AAAAC3 y\n",
                                     "ssh-ed25519 AAAAC3 \xff\n", "ssh-ed25519 AAAAC3 x\n\n" };
  Fixture fixture;
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      sandbox_file_write_at (fixture.fd, "user_key.pub", bad[i], strlen (bad[i]), 0600, NULL);
      g_assert_null (_sandbox_key_public (fixture.fd, "user_key", &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_clear_error (&error);
    }
  unlinkat (fixture.fd, "host_key", 0);
  g_assert_cmpint (symlinkat ("/etc/hostname", fixture.fd, "host_key"), ==, 0);
  g_assert_false (_sandbox_keys_ensure (fixture.fd, "vms-0-test", NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  fixture_tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/keys/made-once", test_made_once);
  g_test_add_func ("/guest/keys/incomplete", test_incomplete);
  g_test_add_func ("/guest/keys/lost-public", test_lost_public);
  g_test_add_func ("/guest/keys/refused", test_refused);
  return g_test_run ();
}
