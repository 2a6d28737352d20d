// SPDX-License-Identifier: LGPL-2.1-or-later
// Domains on the system's libvirtd, really run by QEMU: life, ends that come from elsewhere, facts.

#include <string.h>
#include <unistd.h>
#include "common.h"
#include <sandbox/error.h>

typedef struct
{
  SandboxVirt *virt;
  char *name;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *xml = NULL;
  g_autoptr (GError) error = NULL;

  f->virt = connect_to (SYSTEM_URI);
  f->name = own_name ("dom");
  xml = domain_xml (f->name, NULL);
  g_assert_true (_sandbox_virt_domain_define (f->virt, xml, &error));
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  remove_domain (f->virt, f->name);
  _sandbox_virt_unref (f->virt);
  g_free (f->name);
}

static SandboxVirtState
state_of (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  SandboxVirtState state = SANDBOX_VIRT_CRASHED;
  gboolean exists = FALSE;

  g_assert_true (_sandbox_virt_domain_state (f->virt, f->name, &exists, &state, &error));
  g_assert_no_error (error);
  g_assert_true (exists);
  return state;
}

static void
test_life (Fixture *f, gconstpointer data)
{
  g_autofree char *live = NULL, *defined = NULL;
  g_autoptr (GPtrArray) domains = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (state_of (f), ==, SANDBOX_VIRT_STOPPED);
  for (int i = 0; i < 2; i++)
    {
      g_assert_true (_sandbox_virt_domain_start (f->virt, f->name, &error));
      g_assert_no_error (error);
    }
  g_assert_cmpint (state_of (f), ==, SANDBOX_VIRT_RUNNING);
  domains = _sandbox_virt_list_domains (f->virt, f->name, &error);
  g_assert_cmpuint (domains->len, ==, 1);
  g_assert_cmpint (((SandboxVirtDomain *)domains->pdata[0])->state, ==, SANDBOX_VIRT_RUNNING);
  // the live one knows its terminal
  live = _sandbox_virt_domain_xml (f->virt, f->name, TRUE, &error);
  defined = _sandbox_virt_domain_xml (f->virt, f->name, FALSE, &error);
  g_assert_nonnull (strstr (live, "/dev/pts/"));
  g_assert_null (strstr (defined, "/dev/pts/"));
  // nobody there listens to the button
  g_assert_true (_sandbox_virt_domain_shutdown (f->virt, f->name, &error));
  g_assert_false (_sandbox_virt_domain_wait_stopped (f->virt, f->name, 300000, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT);
  g_clear_error (&error);
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_domain_kill (f->virt, f->name, &error));
  g_assert_true (_sandbox_virt_domain_shutdown (f->virt, f->name, &error));
  g_assert_true (_sandbox_virt_domain_wait_stopped (f->virt, f->name, -1, NULL, &error));
  g_assert_no_error (error);
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_domain_undefine (f->virt, f->name, &error));
  g_assert_no_error (error);
}

static gpointer
wait_thread (gpointer data)
{
  Fixture *f = data;
  g_autoptr (GError) error = NULL;

  g_assert_true (
      _sandbox_virt_domain_wait_stopped (f->virt, f->name, 60 * G_USEC_PER_SEC, NULL, &error));
  g_assert_no_error (error);
  return NULL;
}

/* It ends, and vanishes, by somebody else's hand while it is waited for. */
static void
test_vanish (Fixture *f, gconstpointer data)
{
  g_autoptr (SandboxVirt) other = connect_to (SYSTEM_URI);
  g_autoptr (GError) error = NULL;
  GThread *thread = NULL;

  g_assert_true (_sandbox_virt_domain_start (f->virt, f->name, &error));
  // running without its definition: it vanishes with its end
  g_assert_true (_sandbox_virt_domain_undefine (other, f->name, &error));
  g_assert_true (_sandbox_virt_domain_undefine (other, f->name, &error));
  thread = g_thread_new ("wait", wait_thread, f);
  g_assert_true (_sandbox_virt_domain_kill (other, f->name, &error));
  g_thread_join (thread);
  g_assert_true (_sandbox_virt_domain_kill (f->virt, f->name, &error));
  g_assert_no_error (error);
  g_assert_false (_sandbox_virt_domain_start (f->virt, f->name, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
}

static gpointer
start_thread (gpointer data)
{
  Fixture *f = data;
  g_autoptr (SandboxVirt) virt = connect_to (SYSTEM_URI);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_domain_start (virt, f->name, &error));
  g_assert_no_error (error);
  return NULL;
}

static gpointer
kill_thread (gpointer data)
{
  Fixture *f = data;
  g_autoptr (SandboxVirt) virt = connect_to (SYSTEM_URI);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_domain_kill (virt, f->name, &error));
  g_assert_no_error (error);
  return NULL;
}

static void
test_race (Fixture *f, gconstpointer data)
{
  GThread *threads[3];

  for (int i = 0; i < 3; i++)
    threads[i] = g_thread_new ("start", start_thread, f);
  for (int i = 0; i < 3; i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (state_of (f), ==, SANDBOX_VIRT_RUNNING);
  for (int i = 0; i < 3; i++)
    threads[i] = g_thread_new ("kill", kill_thread, f);
  for (int i = 0; i < 3; i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (state_of (f), ==, SANDBOX_VIRT_STOPPED);
}

static void
test_refused (Fixture *f, gconstpointer data)
{
  g_autofree char *name = own_name ("bad");
  g_autofree char *xml = domain_xml (name, "t-virt-no-such-network");
  g_autoptr (GError) error = NULL;

  g_assert_false (_sandbox_virt_domain_define (f->virt, "<domain><nonsense/></domain>", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_domain_define (f->virt, xml, &error));
  g_assert_no_error (error);
  g_assert_false (_sandbox_virt_domain_start (f->virt, name, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "t-virt-no-such-network"));
  remove_domain (f->virt, name);
}

static void
test_facts (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (f->virt, NULL, &error);
  g_autoptr (SandboxFacts) again = NULL;
  g_autofree char *reason = NULL;
  guint64 memory = (guint64)sysconf (_SC_PHYS_PAGES) * sysconf (_SC_PAGESIZE);
  gint64 start;

  g_assert_no_error (error);
  g_assert_cmpstr (facts->driver, ==, "QEMU");
  g_assert_cmpuint (facts->libvirt_version, >=, 9000000);
  g_assert_cmpuint (facts->qemu_version, >=, 7002000);
  g_assert_cmpstr (facts->arch, ==, "x86_64");
  g_assert_true (g_str_has_prefix (facts->machine, "pc-q35-"));
  g_assert_true (g_file_test (facts->emulator, G_FILE_TEST_IS_EXECUTABLE));
  g_assert_true (facts->virtiofs && facts->memfd);
  g_assert_cmpuint (facts->host_cpus, ==, sysconf (_SC_NPROCESSORS_ONLN));
  g_assert_cmpuint (facts->host_memory_bytes, ==, memory);
  g_assert_cmpuint (strlen (facts->kvm_reason), >, 10);
  if (facts->kvm_listed)
    g_assert_cmpint (facts->kvm_usable, ==, _sandbox_kvm_probe (&reason, NULL));
  else
    g_assert_false (facts->kvm_usable);
  start = g_get_monotonic_time ();
  again = _sandbox_virt_facts (f->virt, NULL, &error);
  g_assert_cmpint (g_get_monotonic_time () - start, <, G_USEC_PER_SEC);
  g_assert_cmpstr (facts->kvm_reason, ==, again->kvm_reason);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/virt/domains/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("life", test_life);
  ADD ("vanish", test_vanish);
  ADD ("race", test_race);
  ADD ("refused", test_refused);
  ADD ("facts", test_facts);
#undef ADD
  return run_with_system ();
}
