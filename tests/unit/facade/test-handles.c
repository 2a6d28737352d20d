// SPDX-License-Identifier: LGPL-2.1-or-later
// Small things of the facade: option structs of other versions, names of states, image ids, step
// tables.
#include "../../driver/facade-driver.h"

static void
test_options (void)
{
  struct
  {
    gsize struct_size;
    const char *uri;
  } old = { sizeof old, "test:///default" };
  SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT, wrong = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_options_copy (&options, sizeof options, &old, &error));
  g_assert_cmpstr (options.uri, ==, "test:///default");
  g_assert_cmpint (options.lock_wait_usec, ==, -1);
  g_assert_true (_sandbox_options_copy (&options, sizeof options, NULL, &error));
  g_assert_false (_sandbox_options_copy (&options, sizeof options, &wrong, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
}

static void
test_owner (void)
{
  static const char *const bad[] = { "", "A", "1a", "a-b", "a.b", "abcdefghijklmnopq", "a b", "ä" };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT;
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxHost) host = NULL;

      options.uri = TEST_URI;
      options.owner = bad[i];
      host = sandbox_host_open (&options, NULL, &error);
      g_assert_null (host);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
    }
}

/* Repair of one libvirt must never see the keys of another's machines. */
static void
test_state_dirs (void)
{
  g_autoptr (SandboxHost) test = driver_test_open (TEST_URI, NULL),
                          tool = driver_test_open (TEST_URI, "tool");
  g_autofree char *plain = g_build_filename (g_get_user_data_dir (), "vms", NULL);

  g_assert_cmpstr (sandbox_host_get_state_dir (test), !=, plain);
  g_assert_cmpstr (sandbox_host_get_state_dir (test), !=, sandbox_host_get_state_dir (tool));
  g_assert_true (g_str_has_prefix (sandbox_host_get_state_dir (test), g_get_user_data_dir ()));
}

static void
test_states (void)
{
  for (guint i = SANDBOX_STATE_NEW; i <= SANDBOX_STATE_INCOMPLETE; i++)
    for (guint k = SANDBOX_STATE_NEW; k <= SANDBOX_STATE_INCOMPLETE; k++)
      {
        int order = g_strcmp0 (sandbox_state_to_string (i), sandbox_state_to_string (k));

        g_assert_nonnull (sandbox_state_to_string (i));
        g_assert_cmpint (order == 0, ==, i == k);
      }
}

static void
test_image_ids (void)
{
  static const char *const bad[] = { "",
                                     "debian-13",
                                     "debian-13-20261121T031500",
                                     "-20261121T031500-0123456789ab",
                                     "debian-13-20261121T031500-0123456789aB",
                                     "debian-13-20261121T031500-0123456789a",
                                     "debian-13-20261321T031500-0123456789ab",
                                     "debian-13-20261121031500x-0123456789ab",
                                     "De-20261121T031500-0123456789ab",
                                     "../x-20261121T031500-0123456789ab" };
  const char *good = "debian-13-20261121T031500-0123456789ab";
  gint64 built = 0;
  g_autofree char *name = _sandbox_image_id_name (good, &built);
  g_autofree char *id =
      _sandbox_image_id_of_path ("/x/image.debian-13-20261121T031500-0123456789ab.qcow2");

  g_assert_cmpstr (name, ==, "debian-13");
  g_assert_cmpint (built, ==, G_GINT64_CONSTANT (1795230900) * G_USEC_PER_SEC);
  g_assert_cmpstr (id, ==, good);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_null (_sandbox_image_id_name (bad[i], NULL));
  g_assert_null (_sandbox_image_id_of_path (NULL));
  g_assert_null (_sandbox_image_id_of_path ("/x/base.qcow2"));
  g_assert_null (_sandbox_image_id_of_path ("image..qcow2"));
}

static void
test_steps (void)
{
  static const char *const verbs[] = { "start", "stop",    "destroy", "recreate",
                                       "clone", "suspend", "resume" };

  for (gsize i = 0; i < G_N_ELEMENTS (verbs); i++)
    {
      g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
      const char *const *ids = sandbox_machine_step_ids (verbs[i]);

      g_assert_nonnull (ids);
      g_assert_nonnull (ids[0]);
      for (; *ids != NULL; ids++)
        {
          g_assert_true (g_hash_table_add (seen, (gpointer)*ids));
          g_assert_cmpuint (strspn (*ids, "abcdefghijklmnopqrstuvwxyz-"), ==, strlen (*ids));
        }
    }
  g_assert_null (sandbox_machine_step_ids ("dance"));
}

static void
test_diagnose (void)
{
  SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT;
  g_autoptr (GPtrArray) checks = NULL, without = NULL;
  gboolean libvirt = FALSE;

  options.uri = TEST_URI;
  checks = sandbox_host_diagnose (&options, NULL);
  g_assert_cmpuint (checks->len, >=, 8);
  for (guint i = 0; i < checks->len; i++)
    {
      const SandboxCheck *check = checks->pdata[i];

      g_assert_cmpstr (check->text, !=, "");
      g_assert_cmpuint (check->level, <=, 3);
    }
  options.uri = "qemu+unix:///system?socket=/nonexistent/libvirt-sock";
  without = sandbox_host_diagnose (&options, NULL);
  for (guint i = 0; i < without->len; i++)
    {
      const SandboxCheck *check = without->pdata[i];

      if (strcmp (check->id, "libvirt") != 0)
        continue;
      libvirt = TRUE;
      g_assert_cmpuint (check->level, ==, 3);
      g_assert_nonnull (check->fix);
    }
  g_assert_true (libvirt);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/handles/options", test_options);
  g_test_add_func ("/handles/owner", test_owner);
  g_test_add_func ("/handles/state-dirs", test_state_dirs);
  g_test_add_func ("/handles/states", test_states);
  g_test_add_func ("/handles/image-ids", test_image_ids);
  g_test_add_func ("/handles/steps", test_steps);
  g_test_add_func ("/handles/diagnose", test_diagnose);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
