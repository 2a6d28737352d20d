// SPDX-License-Identifier: LGPL-2.1-or-later
// Every verb of lib/virt against libvirt's test driver: what is so already is success, what is not
// there is NOT_FOUND.

#include <string.h>
#include "common.h"
#include <sandbox/error.h>

static SandboxVirt *virt;

static char *
test_domain_xml (const char *name)
{
  return g_strdup_printf ("<domain type='test'><name>%s</name><memory>65536</memory>"
                          "<os><type>hvm</type></os></domain>",
                          name);
}

static const SandboxVirtDomain *
find (GPtrArray *domains, const char *name)
{
  for (guint i = 0; i < domains->len; i++)
    {
      const SandboxVirtDomain *domain = domains->pdata[i];

      if (g_str_equal (domain->name, name))
        return domain;
    }
  return NULL;
}

static void
assert_state (const char *name, gboolean exists, SandboxVirtState state)
{
  g_autoptr (GError) error = NULL;
  gboolean now_exists = !exists;
  SandboxVirtState now = SANDBOX_VIRT_CRASHED;

  g_assert_true (_sandbox_virt_domain_state (virt, name, &now_exists, &now, &error));
  g_assert_no_error (error);
  g_assert_cmpint (now_exists, ==, exists);
  g_assert_cmpint (now, ==, state);
  g_assert_true (_sandbox_virt_domain_state (virt, name, NULL, NULL, &error));
}

static void
test_life (void)
{
  g_autofree char *xml = test_domain_xml (TEST_PREFIX "a");
  g_autofree char *got = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) domains = NULL;

  assert_state (TEST_PREFIX "a", FALSE, SANDBOX_VIRT_STOPPED);
  for (int i = 0; i < 2; i++)
    {
      g_autofree char *old = _sandbox_virt_domain_xml (virt, TEST_PREFIX "a", FALSE, NULL);

      // a second definition needs the UUID of the first
      g_assert_true (_sandbox_virt_domain_define (virt, old ? old : xml, &error));
      g_assert_no_error (error);
    }
  assert_state (TEST_PREFIX "a", TRUE, SANDBOX_VIRT_STOPPED);
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_domain_start (virt, TEST_PREFIX "a", &error));
  assert_state (TEST_PREFIX "a", TRUE, SANDBOX_VIRT_RUNNING);
  domains = _sandbox_virt_list_domains (virt, TEST_PREFIX, &error);
  g_assert_cmpuint (domains->len, ==, 1);
  g_assert_nonnull (find (domains, TEST_PREFIX "a"));
  g_assert_cmpint (find (domains, TEST_PREFIX "a")->state, ==, SANDBOX_VIRT_RUNNING);
  g_assert_cmpuint (strlen (find (domains, TEST_PREFIX "a")->uuid), ==, 36);
  g_ptr_array_unref (g_steal_pointer (&domains));
  got = _sandbox_virt_domain_xml (virt, TEST_PREFIX "a", TRUE, &error);
  g_assert_nonnull (strstr (got, "<name>" TEST_PREFIX "a</name>"));
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_domain_shutdown (virt, TEST_PREFIX "a", &error));
  g_assert_true (_sandbox_virt_domain_wait_stopped (virt, TEST_PREFIX "a", -1, NULL, &error));
  g_assert_true (_sandbox_virt_domain_start (virt, TEST_PREFIX "a", &error));
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_domain_kill (virt, TEST_PREFIX "a", &error));
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_domain_undefine (virt, TEST_PREFIX "a", &error));
  g_assert_true (_sandbox_virt_domain_kill (virt, TEST_PREFIX "a", &error));
  g_assert_no_error (error);
  assert_state (TEST_PREFIX "a", FALSE, SANDBOX_VIRT_STOPPED);
}

static void
test_missing (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (_sandbox_virt_domain_start (virt, "none", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (_sandbox_virt_domain_shutdown (virt, "none", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (_sandbox_virt_domain_xml (virt, "none", FALSE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (_sandbox_virt_network_xml (virt, "none", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_domain_wait_stopped (virt, "none", 0, NULL, &error));
  g_assert_true (_sandbox_virt_network_stop (virt, "none", &error));
  g_assert_true (_sandbox_virt_network_remove (virt, "none", &error));
  g_assert_no_error (error);
}

static void
test_wait (void)
{
  g_autofree char *xml = test_domain_xml (TEST_PREFIX "w");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();

  g_assert_true (_sandbox_virt_domain_define (virt, xml, &error));
  g_assert_true (_sandbox_virt_domain_start (virt, TEST_PREFIX "w", &error));
  g_assert_false (
      _sandbox_virt_domain_wait_stopped (virt, TEST_PREFIX "w", 200000, cancellable, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 200000);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 2 * G_USEC_PER_SEC);
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  g_assert_false (
      _sandbox_virt_domain_wait_stopped (virt, TEST_PREFIX "w", -1, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  remove_domain (virt, TEST_PREFIX "w");
}

static void
test_network (void)
{
  g_autofree char *xml = network_xml (TEST_PREFIX "n", "tvirt0", "10.99.7.1");
  g_autofree char *other = network_xml (TEST_PREFIX "n", "tvirt0", "10.99.8.1");
  g_autofree char *got = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) names = NULL;
  gboolean created = FALSE;

  for (int i = 0; i < 3; i++)
    {
      g_assert_true (_sandbox_virt_network_ensure (virt, TEST_PREFIX "n", i < 2 ? xml : other,
                                                   &created, &error));
      g_assert_no_error (error);
      g_assert_cmpint (created, ==, i == 0);
    }
  got = _sandbox_virt_network_xml (virt, TEST_PREFIX "n", &error);
  g_assert_nonnull (strstr (got, "10.99.8.1"));
  names = _sandbox_virt_list_networks (virt, TEST_PREFIX, &error);
  g_assert_cmpuint (g_strv_length (names), ==, 1);
  g_assert_true (_sandbox_virt_network_stop (virt, TEST_PREFIX "n", &error));
  g_assert_true (_sandbox_virt_network_ensure (virt, TEST_PREFIX "n", other, NULL, &error));
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_network_remove (virt, TEST_PREFIX "n", &error));
  g_assert_no_error (error);
}

static void
test_pool (void)
{
  g_autofree char *xml = volume_xml (TEST_PREFIX "v", 1024 * 1024);
  g_autofree char *copy_xml = volume_xml (TEST_PREFIX "copy", 1024 * 1024);
  g_autoptr (GPtrArray) volumes = NULL;
  g_autoptr (GError) error = NULL;
  SandboxVirtVolume *volume = NULL;
  gboolean created = FALSE;

  // nothing there yet: no error to list, NOT_FOUND to look at, done to remove
  volumes = _sandbox_virt_list_volumes (virt, "", TRUE, &error);
  g_assert_cmpuint (volumes->len, ==, 0);
  g_ptr_array_unref (g_steal_pointer (&volumes));
  g_assert_null (_sandbox_virt_volume_get (virt, TEST_PREFIX "v", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_volume_remove (virt, TEST_PREFIX "v", &error));
  g_assert_false (_sandbox_virt_volume_create (virt, xml, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_pool_ensure (virt, &error));
  for (int i = 0; i < 2; i++)
    {
      g_assert_true (_sandbox_virt_volume_create (virt, xml, &created, &error));
      g_assert_cmpint (created, ==, i == 0);
    }
  volume = _sandbox_virt_volume_get (virt, TEST_PREFIX "v", &error);
  g_assert_cmpstr (volume->name, ==, TEST_PREFIX "v");
  g_assert_cmpstr (volume->path, ==, SANDBOX_POOL_PATH "/" TEST_PREFIX "v");
  g_assert_null (volume->backing_path);
  g_assert_cmpuint (volume->capacity_bytes, ==, 1024 * 1024);
  _sandbox_virt_volume_free (volume);
  g_assert_true (_sandbox_virt_volume_clone (virt, TEST_PREFIX "v", copy_xml, &error));
  g_assert_false (_sandbox_virt_volume_clone (virt, TEST_PREFIX "v", copy_xml, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_clear_error (&error);
  volumes = _sandbox_virt_list_volumes (virt, TEST_PREFIX, FALSE, &error);
  g_assert_cmpuint (volumes->len, ==, 2);
  g_ptr_array_unref (g_steal_pointer (&volumes));
  g_assert_false (_sandbox_virt_volume_upload (virt, TEST_PREFIX "v", "x", 1, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_volume_remove (virt, TEST_PREFIX "v", &error));
  g_assert_true (_sandbox_virt_volume_remove (virt, TEST_PREFIX "copy", &error));
  g_assert_no_error (error);
}

static void
test_facts (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (virt, NULL, &error);
  g_autoptr (SandboxFacts) again = _sandbox_virt_facts (virt, NULL, &error);
  g_autofree char *text = NULL;
  g_autofree char *text_again = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (facts->driver, ==, "TEST");
  g_assert_cmpuint (facts->qemu_version, ==, 0);
  g_assert_cmpuint (facts->libvirt_version, >=, 9000000);
  g_assert_cmpuint (facts->host_cpus, ==, 16);
  g_assert_cmpuint (facts->host_memory_bytes, ==, G_GUINT64_CONSTANT (3221225472));
  g_assert_true (facts->virtiofs && facts->memfd);
  g_assert_false (facts->kvm_listed || facts->kvm_usable);
  g_assert_cmpuint (facts->used_nets->len, ==, 1);
  text = sandbox_facts_format (facts);
  text_again = sandbox_facts_format (again);
  g_assert_cmpstr (text, ==, text_again);
  g_assert_true (_sandbox_virt_is_test (virt));
  g_assert_false (_sandbox_virt_is_remote (virt));
}

static gpointer
hammer (gpointer data)
{
  for (int i = 0; i < 15; i++)
    {
      g_autofree char *name = g_strdup_printf (TEST_PREFIX "%d-%d", GPOINTER_TO_INT (data), i);
      g_autofree char *xml = test_domain_xml (name);
      g_autoptr (GPtrArray) domains = NULL;
      g_autoptr (SandboxFacts) facts = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_true (_sandbox_virt_domain_define (virt, xml, &error));
      g_assert_true (_sandbox_virt_domain_start (virt, name, &error));
      domains = _sandbox_virt_list_domains (virt, TEST_PREFIX, &error);
      g_assert_no_error (error);
      g_assert_nonnull (find (domains, name));
      facts = _sandbox_virt_facts (virt, NULL, &error);
      g_assert_no_error (error);
      remove_domain (virt, name);
    }
  return NULL;
}

/* One handle, several threads. */
static void
test_threads (void)
{
  GThread *threads[4];

  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new ("hammer", hammer, GINT_TO_POINTER (i));
  for (int i = 0; i < 4; i++)
    g_thread_join (threads[i]);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  // its state is that of the connection: one for all
  virt = connect_to ("test:///default");
  g_test_add_func ("/virt/testdriver/life", test_life);
  g_test_add_func ("/virt/testdriver/missing", test_missing);
  g_test_add_func ("/virt/testdriver/wait", test_wait);
  g_test_add_func ("/virt/testdriver/network", test_network);
  g_test_add_func ("/virt/testdriver/pool", test_pool);
  g_test_add_func ("/virt/testdriver/facts", test_facts);
  g_test_add_func ("/virt/testdriver/threads", test_threads);
  status = g_test_run ();
  _sandbox_virt_unref (virt);
  return status;
}
