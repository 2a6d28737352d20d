// SPDX-License-Identifier: LGPL-2.1-or-later
// The variant for libvirt's test driver: defined, started and read back there, with its network.
#include "../golden/cases.h"

#include "base/child.h"
#include "xml/xml-private.h"

#include <glib/gstdio.h>
#include <string.h>

#define TIMEOUT_USEC (60 * G_USEC_PER_SEC)

static char *
write_file (const char *dir, const char *name, const char *text)
{
  char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
  return path;
}

/* The driver keeps everything in its own process: all in one virsh. */
static char *
run_script (const char *domain, const char *network, const char *object)
{
  g_autofree char *script = g_strdup_printf ("net-define %s; net-start %s; define --validate %s; "
                                             "start %s; destroy %s; dumpxml --inactive %s",
                                             network, object, domain, object, object, object);
  const char *const argv[] = { "virsh", "-q", "-c", "test:///default", script, NULL };
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  options.argv = argv;
  sandbox_child_run (&options, TIMEOUT_USEC, 1024 * 1024, NULL, &text, NULL, NULL, &error);
  g_assert_no_error (error);
  return g_steal_pointer (&text);
}

static void
test_case (gconstpointer data)
{
  g_autofree char *dir = golden_dir ();
  g_autoptr (GoldenCase) golden = golden_case_load (dir, data);
  g_autofree char *virsh = g_find_program_in_path ("virsh");
  g_autofree char *domain_xml = _sandbox_xml_domain (golden->plan);
  g_autofree char *network_xml = _sandbox_xml_network (golden->plan);
  g_autofree char *domain = NULL, *network = NULL, *text = NULL, *changes = NULL, *temp = NULL;
  g_autoptr (GError) error = NULL;
  const char *defined;

  if (!virsh)
    {
      g_test_skip ("virsh is not installed");
      return;
    }
  temp = g_dir_make_tmp ("testdriver-XXXXXX", &error);
  g_assert_no_error (error);
  domain = write_file (temp, "domain.xml", domain_xml);
  network = write_file (temp, "network.xml", network_xml);
  text = run_script (domain, network, golden->plan->object);
  g_unlink (domain);
  g_unlink (network);
  g_rmdir (temp);
  defined = strstr (text, "<domain type='test'");
  g_assert_nonnull (defined);
  changes = _sandbox_xml_domain_changes (defined, domain_xml, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (changes, ==, "");
}

int
main (int argc, char **argv)
{
  g_autofree char *dir = NULL;
  g_autoptr (GPtrArray) names = NULL;

  g_test_init (&argc, &argv, NULL);
  dir = golden_dir ();
  names = golden_names (dir, ".domain.xml");
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);
      g_autoptr (GoldenCase) golden = golden_case_load (dir, name);
      g_autofree char *path = g_strconcat ("/test-driver/", name, NULL);

      if (g_str_equal (golden->plan->driver, "TEST"))
        g_test_add_data_func (path, name, test_case);
    }
  return g_test_run ();
}
