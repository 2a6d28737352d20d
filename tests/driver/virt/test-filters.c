// SPDX-License-Identifier: LGPL-2.1-or-later
// Network filters on the system's libvirtd: made, read back, changed, kept for an undo, removed.

#include <string.h>
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
  f->virt = connect_to (SYSTEM_URI);
  f->name = own_name ("filter");
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  _sandbox_virt_filter_remove (f->virt, f->name, &error);
  g_assert_no_error (error);
  _sandbox_virt_unref (f->virt);
  g_free (f->name);
}

static char *
filter_xml (Fixture *f, const char *rules)
{
  return g_strdup_printf ("<filter name='%s' chain='root'>"
                          "<uuid>9bd4c1d3-5ba6-4b5c-8a4d-0c2e6d6b1f00</uuid>%s</filter>",
                          f->name, rules);
}

static gboolean
is_listed (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) names = _sandbox_virt_list_filters (f->virt, f->name, &error);

  g_assert_no_error (error);
  return g_strv_contains ((const char *const *)names, f->name);
}

static void
test_ensure (Fixture *f, gconstpointer data)
{
  g_autofree char *xml = filter_xml (f, "<rule action='drop' direction='out' priority='-5'>"
                                        "<ip dstipaddr='10.0.0.0' dstipmask='8'/></rule>");
  g_autofree char *other = filter_xml (f, "<rule action='drop' direction='inout' priority='7'/>");
  g_autofree char *none = NULL, *old = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (is_listed (f));
  g_assert_true (_sandbox_virt_filter_ensure (f->virt, f->name, xml, &none, &error));
  g_assert_no_error (error);
  g_assert_null (none);
  g_assert_true (is_listed (f));
  g_assert_true (_sandbox_virt_filter_ensure (f->virt, f->name, other, &old, &error));
  g_assert_no_error (error);
  g_assert_nonnull (strstr (old, "10.0.0.0"));
  /* an undo: what libvirt gave is what it takes */
  g_assert_true (_sandbox_virt_filter_ensure (f->virt, f->name, old, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (_sandbox_virt_filter_remove (f->virt, f->name, &error));
  g_assert_false (is_listed (f));
  g_assert_true (_sandbox_virt_filter_remove (f->virt, f->name, &error));
}

/* libvirt takes it, and makes something else of it: that is found when it is read back. */
static void
test_misunderstood (Fixture *f, gconstpointer data)
{
  g_autofree char *xml = filter_xml (f, "<rule action='drop' direction='out' priority='5'>"
                                        "<ip dstipaddr='10.0.0.0' colour='red'/></rule>");
  g_autofree char *bad = filter_xml (f, "<rule action='fly' direction='out'/>");
  g_autoptr (GError) error = NULL;

  g_assert_false (_sandbox_virt_filter_ensure (f->virt, f->name, xml, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
  g_assert_nonnull (strstr (error->message, "in another way"));
  g_clear_error (&error);
  g_assert_false (_sandbox_virt_filter_ensure (f->virt, f->name, bad, NULL, &error));
  g_assert_nonnull (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/virt/filters/ensure", Fixture, NULL, set_up, test_ensure, tear_down);
  g_test_add ("/virt/filters/misunderstood", Fixture, NULL, set_up, test_misunderstood, tear_down);
  return run_with_system ();
}
