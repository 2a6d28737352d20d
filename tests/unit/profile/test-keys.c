// SPDX-License-Identifier: LGPL-2.1-or-later
// The key table: complete, consistent with its checks, and helpful when a name is wrong.
#include "profile/profile-internal.h"

#include <string.h>

static void
test_table (void)
{
  gsize n = 0;
  const SandboxProfileKey *keys = sandbox_profile_keys (&n);

  g_assert_cmpuint (n, ==, N_KEYS);
  for (gsize i = 0; i < n; i++)
    {
      g_assert_true (keys[i].group && keys[i].name && keys[i].type && keys[i].allowed
                     && keys[i].summary);
      g_assert_cmpuint (strlen (keys[i].summary), <, 80);
      for (gsize k = 0; k < i; k++)
        g_assert_false (g_str_equal (keys[i].group, keys[k].group)
                        && g_str_equal (keys[i].name, keys[k].name));
    }
}

/* Each default passes the check of its own key, and is canonical. */
static void
test_defaults (void)
{
  for (KeyId id = 0; id < N_KEYS; id++)
    {
      const char *value = _sandbox_key_row (id)->default_value;
      g_autofree char *checked = NULL;

      if (!value)
        continue;
      g_assert_true (_sandbox_key_check (id, value, &checked, NULL));
      g_assert_cmpstr (checked, ==, value);
    }
}

static void
test_words (void)
{
  for (SandboxAccel accel = SANDBOX_ACCEL_AUTO; accel <= SANDBOX_ACCEL_TCG; accel++)
    {
      const char *text = _sandbox_accel_to_string (accel);
      g_autofree char *checked = NULL;

      g_assert_cmpint (_sandbox_accel_from_string (text), ==, accel);
      g_assert_true (_sandbox_key_check (KEY_ACCEL, text, &checked, NULL));
      g_assert_nonnull (strstr (_sandbox_key_row (KEY_ACCEL)->allowed, text));
    }
  g_assert_cmpstr (_sandbox_share_mode_to_string (SANDBOX_SHARE_RW), ==, "rw");
  g_assert_cmpstr (_sandbox_share_mode_to_string (SANDBOX_SHARE_RO), ==, "ro");
  g_assert_cmpstr (_sandbox_share_mode_to_string (SANDBOX_SHARE_GUARDED), ==, "guarded");
  g_assert_cmpstr (_sandbox_share_mode_to_string (SANDBOX_SHARE_REVIEW), ==, "review");
  for (SandboxShareMode mode = SANDBOX_SHARE_RW; mode <= SANDBOX_SHARE_REVIEW; mode++)
    g_assert_cmpint (_sandbox_share_mode_from_string (_sandbox_share_mode_to_string (mode)), ==,
                     mode);
  g_assert_cmpint (_sandbox_share_mode_from_string ("wild"), ==, SANDBOX_SHARE_RW);
  g_assert_cmpint (_sandbox_share_mode_from_string (NULL), ==, SANDBOX_SHARE_RW);
}

static void
test_numbers (void)
{
  g_assert_cmpuint (_sandbox_key_number ("auto"), ==, 0);
  g_assert_cmpuint (_sandbox_key_number ("7"), ==, 7);
  g_assert_cmpuint (_sandbox_key_number ("2GiB"), ==, G_GUINT64_CONSTANT (2) << 30);
}

typedef struct
{
  KeyId id;
  const char *value;
} Row;

static void
test_good_values (void)
{
  static const Row rows[] = {
    { KEY_CPUS, "auto" },
    { KEY_CPUS, "1" },
    { KEY_CPUS, "256" },
    { KEY_MEMORY, "256MiB" },
    { KEY_MEMORY, "4TiB" },
    { KEY_DISK, "8GiB" },
    { KEY_USER, "alice" },
    { KEY_SUMMARY, "" },
    { KEY_SUMMARY, "caf\xc3\xa9, \"quoted\" <b> & more" },
    { KEY_IMAGE, "debian-12" },
    { KEY_NETWORK_EGRESS, "" },
    { KEY_NETWORK_EGRESS, "443/tcp;22/tcp;8000-8010/udp" },
    { KEY_NETWORK_EGRESS, "+443/tcp" },
    { KEY_NETWORK_EGRESS, "80-90/tcp;85/tcp" }, /* what overlaps is open, that is all */
    { KEY_NETWORK_ALLOW, "" },
    { KEY_NETWORK_ALLOW, "+10.0.0.5:5432/tcp;192.168.7.0/24/udp" },
    { KEY_SHARE_SOURCE, "~/src/a b/$HOME`id`\\s" },
    { KEY_SHARE_SOURCE, "/data/x=y" },
    { KEY_SHARE_SOURCE, "~/vms/%n" },
    { KEY_SHARE_SOURCE, "/home/alice/src" },
    { KEY_SHARE_SOURCE, "/tmp/x" },
    { KEY_SHARE_SOURCE, "/etcetera" },
    { KEY_SHARE_SOURCE, "~/binary" },
    { KEY_SHARE_TARGET, "~/.config/tool" },
    { KEY_SHARE_TARGET, "/srv/x" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *checked = NULL;

      _sandbox_key_check (rows[i].id, rows[i].value, &checked, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (checked, ==, rows[i].value);
    }
}

static const Row bad_values[] = {
  { KEY_INHERITS, "Work" },
  { KEY_CPUS, "0" },
  { KEY_CPUS, "257" },
  { KEY_CPUS, "Auto" },
  { KEY_CPUS, "" },
  { KEY_MEMORY, "255MiB" },
  { KEY_MEMORY, "5TiB" },
  { KEY_MEMORY, "4096" },
  { KEY_DISK, "auto" },
  { KEY_DISK, "7GiB" },
  { KEY_DISK, "17TiB" },
  { KEY_USER, "root" },
  { KEY_USER, "www-data" },
  { KEY_USER, "systemd-network" },
  { KEY_USER, "a b" },
  { KEY_ACCEL, "KVM" },
  { KEY_START_ON_EXEC, "true" },
  { KEY_NETWORK_MODE, "bridge" },
  { KEY_NETWORK_EGRESS, "443" },
  { KEY_NETWORK_EGRESS, "+" },
  { KEY_NETWORK_EGRESS, "10.0.0.5:80/tcp" },
  { KEY_NETWORK_ALLOW, "443/tcp" },
  { KEY_NETWORK_ALLOW, "auto" },
  { KEY_SHARE_MODE, "RW" },
  { KEY_SHARE_CREATE, "1" },
  { KEY_SUMMARY, "a\nb" },
  { KEY_SUMMARY, "a\xe2\x80\xae" },
  { KEY_SUMMARY, " a" },
  { KEY_SUMMARY, "a " },
  { KEY_SUMMARY, "a\xff" },
  { KEY_SHARE_SOURCE, "" },
  { KEY_SHARE_SOURCE, "src" },
  { KEY_SHARE_SOURCE, "$HOME/src" },
  { KEY_SHARE_SOURCE, "~bob/src" },
  { KEY_SHARE_SOURCE, "~/a/../b" },
  { KEY_SHARE_SOURCE, "~//a" },
  { KEY_SHARE_SOURCE, "~/./a" },
  { KEY_SHARE_SOURCE, "~/a//" },
  { KEY_SHARE_SOURCE, "~/a,b" },
  { KEY_SHARE_SOURCE, "~/a:b" },
  { KEY_SHARE_SOURCE, "~/%u" },
  { KEY_SHARE_SOURCE, "~/100%" },
  { KEY_SHARE_SOURCE, "~/%%n" },
  { KEY_SHARE_SOURCE, "~/" },
  { KEY_SHARE_SOURCE, "//" },
  { KEY_SHARE_TARGET, "/" },
  { KEY_SHARE_TARGET, "~" },
  { KEY_SHARE_TARGET, "~/.ssh" },
  { KEY_SHARE_TARGET, "/home/dev/.ssh/x" },
  { KEY_SHARE_TARGET, "/etc/x" },
  { KEY_SHARE_TARGET, "/usr/local/x" },
  { KEY_SHARE_TARGET, "/home/dev" },
};

static void
test_bad_values (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (bad_values); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *checked = NULL;

      if (_sandbox_key_check (bad_values[i].id, bad_values[i].value, &checked, &error))
        g_error ("row %u: \"%s\" passed", (guint)i, bad_values[i].value);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_null (checked);
    }
}

static void
test_forbidden_sources (void)
{
  static const char *const places[] = {
    "/",
    "/etc",
    "/etc/",
    "/etc/x",
    "/proc/self/root",
    "/dev",
    "/dev/shm/x",
    "/sys",
    "/run/user/1000",
    "/boot",
    "/usr/src/x",
    "/var",
    "/var/lib/libvirt/images",
    "/home",
    "/home/alice",
    "/root",
    "/tmp",
    "~",
    "~/.ssh",
    "~/.ssh/x",
    "~/.gnupg",
    "~/.config/vms",
    "~/.local/share/vms",
    "~/.aws",
    "~/.kube",
    "~/.bashrc",
    "/home/alice/.ssh",
    "/root/.ssh",
    "~/bin",
    "~/bin/x",
    "~/vms",
    "/home/alice/vms",
    NULL,
  };

  for (guint i = 0; places[i]; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *checked = NULL;

      if (_sandbox_key_check (KEY_SHARE_SOURCE, places[i], &checked, &error))
        g_error ("\"%s\" passed", places[i]);
      g_assert_nonnull (strstr (error->message, "cannot be shared"));
    }
}

static void
test_final_slash (void)
{
  g_autofree char *checked = NULL;

  g_assert_true (_sandbox_key_check (KEY_SHARE_SOURCE, "~/src/x/", &checked, NULL));
  g_assert_cmpstr (checked, ==, "~/src/x");
}

static void
test_find (void)
{
  static const struct
  {
    const char *group, *key, *part;
  } rows[] = {
    { "machine", "cpu", "did you mean \"cpus\"?" },
    { "machine", "mode", "it belongs in [network]" },
    { "network", "cpus", "it belongs in [machine]" },
    { "share:x", "cpus", "it belongs in [machine]" },
    { "machine", "source", "it belongs in [share:NAME]" },
    { "machine", "zebra", "use one of image, cpus, memory, disk, user, accel, start-on-exec" },
    { "machines", "cpus", "did you mean \"machine\"?" },
    { "Machine", "cpus", "did you mean \"machine\"?" },
    { "share", "source", "did you mean \"share:NAME\"?" },
    { "share:", "source", "is no share name" },
    { "share:X", "source", "is no share name" },
    { "share:*", "source", "is no share name" },
    { "\x1b[2J", "x", "\\x1b[2J" },
  };
  KeyId id = N_KEYS;

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (_sandbox_key_find (rows[i].group, rows[i].key, &id, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      if (!strstr (error->message, rows[i].part))
        g_error ("\"%s\" lacks \"%s\"", error->message, rows[i].part);
    }
  g_assert_cmpint (id, ==, N_KEYS);
  g_assert_true (_sandbox_key_find ("share:x", "mode", &id, NULL));
  g_assert_cmpint (id, ==, KEY_SHARE_MODE);
  g_assert_true (_sandbox_key_find ("network", "mode", &id, NULL));
  g_assert_cmpint (id, ==, KEY_NETWORK_MODE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/keys/table", test_table);
  g_test_add_func ("/keys/defaults", test_defaults);
  g_test_add_func ("/keys/words", test_words);
  g_test_add_func ("/keys/numbers", test_numbers);
  g_test_add_func ("/keys/good-values", test_good_values);
  g_test_add_func ("/keys/bad-values", test_bad_values);
  g_test_add_func ("/keys/forbidden-sources", test_forbidden_sources);
  g_test_add_func ("/keys/final-slash", test_final_slash);
  g_test_add_func ("/keys/find", test_find);
  return g_test_run ();
}
