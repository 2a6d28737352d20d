// SPDX-License-Identifier: LGPL-2.1-or-later
// Networks on the system's libvirtd: made, changed, in use, by several at once.

#include <string.h>
#include <unistd.h>
#include "common.h"
#include <sandbox/error.h>

/* Documentation addresses, so that no network of the host is met. */
#define FIRST_ADDRESS "198.51.100.241"
#define OTHER_ADDRESS "198.51.100.249"

typedef struct
{
  SandboxVirt *virt;
  char *name, *bridge, *xml, *other_xml;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->virt = connect_to (SYSTEM_URI);
  f->name = own_name ("net");
  f->bridge = g_strdup_printf ("tv%d", (int)getpid ());
  f->xml = network_xml (f->name, f->bridge, FIRST_ADDRESS);
  f->other_xml = network_xml (f->name, f->bridge, OTHER_ADDRESS);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  _sandbox_virt_network_remove (f->virt, f->name, &error);
  g_assert_no_error (error);
  _sandbox_virt_unref (f->virt);
  g_free (f->name);
  g_free (f->bridge);
  g_free (f->xml);
  g_free (f->other_xml);
}

static gboolean
bridge_index (Fixture *f, char **ret_index)
{
  g_autofree char *path = g_strdup_printf ("/sys/class/net/%s/ifindex", f->bridge);

  return g_file_get_contents (path, ret_index, NULL, NULL);
}

static guint
used_times (Fixture *f, const char *address)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (f->virt, NULL, &error);
  SandboxCidr cidr;
  guint count = 0;

  g_assert_no_error (error);
  g_assert_true (sandbox_cidr_parse (address, &cidr, &error));
  for (guint i = 0; i < facts->used_nets->len; i++)
    {
      SandboxUsedNet *net = facts->used_nets->pdata[i];

      if (net->cidr.address == cidr.address && net->cidr.bits == cidr.bits)
        {
          g_assert_cmpstr (net->device, ==, f->bridge);
          count++;
        }
    }
  return count;
}

static void
test_ensure (Fixture *f, gconstpointer data)
{
  g_autofree char *first = NULL, *second = NULL, *third = NULL, *defined = NULL;
  g_autoptr (GError) error = NULL;
  gboolean created = FALSE;

  g_assert_cmpuint (used_times (f, "198.51.100.240/29"), ==, 0);
  g_assert_true (_sandbox_virt_network_ensure (f->virt, f->name, f->xml, &created, &error));
  g_assert_no_error (error);
  g_assert_true (created);
  g_assert_true (bridge_index (f, &first));
  // as a route of the kernel and as a network of libvirt
  g_assert_cmpuint (used_times (f, "198.51.100.240/29"), ==, 2);
  // the same again leaves it running
  g_assert_true (_sandbox_virt_network_ensure (f->virt, f->name, f->xml, &created, &error));
  g_assert_false (created);
  g_assert_true (bridge_index (f, &second));
  g_assert_cmpstr (first, ==, second);
  // another definition comes into effect
  g_assert_true (_sandbox_virt_network_ensure (f->virt, f->name, f->other_xml, &created, &error));
  g_assert_no_error (error);
  g_assert_false (created);
  g_assert_true (bridge_index (f, &third));
  g_assert_cmpstr (first, !=, third);
  defined = _sandbox_virt_network_xml (f->virt, f->name, &error);
  g_assert_nonnull (strstr (defined, OTHER_ADDRESS));
  // stopped, it is still known as used
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_network_stop (f->virt, f->name, &error));
  g_assert_cmpuint (used_times (f, "198.51.100.248/29"), ==, 1);
  g_assert_true (_sandbox_virt_network_ensure (f->virt, f->name, f->other_xml, &created, &error));
  for (int i = 0; i < 2; i++)
    g_assert_true (_sandbox_virt_network_remove (f->virt, f->name, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (used_times (f, "198.51.100.248/29"), ==, 0);
}

static void
test_in_use (Fixture *f, gconstpointer data)
{
  g_autofree char *domain = own_name ("user");
  g_autofree char *xml = domain_xml (domain, f->name);
  g_autofree char *index = NULL, *index_after = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_network_ensure (f->virt, f->name, f->xml, NULL, &error));
  g_assert_true (_sandbox_virt_domain_define (f->virt, xml, &error));
  g_assert_no_error (error);
  g_assert_true (_sandbox_virt_domain_start (f->virt, domain, &error));
  g_assert_no_error (error);
  g_assert_true (bridge_index (f, &index));
  g_assert_false (_sandbox_virt_network_stop (f->virt, f->name, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_IN_USE);
  g_clear_error (&error);
  g_assert_false (_sandbox_virt_network_remove (f->virt, f->name, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_IN_USE);
  g_clear_error (&error);
  g_assert_false (_sandbox_virt_network_ensure (f->virt, f->name, f->other_xml, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_IN_USE);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_network_ensure (f->virt, f->name, f->xml, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (bridge_index (f, &index_after));
  g_assert_cmpstr (index, ==, index_after);
  remove_domain (f->virt, domain);
  g_assert_true (_sandbox_virt_network_remove (f->virt, f->name, &error));
  g_assert_no_error (error);
}

static gpointer
ensure_thread (gpointer data)
{
  Fixture *f = data;
  g_autoptr (SandboxVirt) virt = connect_to (SYSTEM_URI);
  g_autoptr (GError) error = NULL;
  gboolean created = FALSE;

  g_assert_true (_sandbox_virt_network_ensure (virt, f->name, f->xml, &created, &error));
  g_assert_no_error (error);
  return GINT_TO_POINTER (created);
}

static void
test_race (Fixture *f, gconstpointer data)
{
  GThread *threads[4];
  int created = 0;

  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new ("ensure", ensure_thread, f);
  for (int i = 0; i < 4; i++)
    created += GPOINTER_TO_INT (g_thread_join (threads[i]));
  g_assert_cmpint (created, ==, 1);
}

/* A network that cannot start is not left behind. */
static void
test_collision (Fixture *f, gconstpointer data)
{
  g_autofree char *name = own_name ("clash");
  g_autofree char *bridge = g_strdup_printf ("tw%d", (int)getpid ());
  g_autofree char *xml = network_xml (name, bridge, FIRST_ADDRESS);
  g_autofree char *left = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_network_ensure (f->virt, f->name, f->xml, NULL, &error));
  g_assert_false (_sandbox_virt_network_ensure (f->virt, name, xml, NULL, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_IN_USE);
  g_clear_error (&error);
  left = _sandbox_virt_network_xml (f->virt, name, &error);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/virt/networks/ensure", Fixture, NULL, set_up, test_ensure, tear_down);
  g_test_add ("/virt/networks/in-use", Fixture, NULL, set_up, test_in_use, tear_down);
  g_test_add ("/virt/networks/race", Fixture, NULL, set_up, test_race, tear_down);
  g_test_add ("/virt/networks/collision", Fixture, NULL, set_up, test_collision, tear_down);
  return run_with_system ();
}
