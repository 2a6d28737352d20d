// SPDX-License-Identifier: LGPL-2.1-or-later
// Golden files: each profile with its host facts gives exactly the plan and the XML that lie beside
// it, or exactly the error. SANDBOX_GOLDEN_UPDATE=1 writes them anew, to be read before they are
// kept.
#include "cases.h"

#include "xml/allowed.h"
#include "xml/xml-private.h"

#include <glib/gstdio.h>
#include <string.h>

static const char *const outputs[] = { ".plan",       ".domain.xml", ".network.xml",
                                       ".filter.xml", ".volume.xml", ".error",
                                       NULL };

/* @text NULL: there must be no such file. */
static void
check_output (const char *dir, const char *name, const char *suffix, const char *text)
{
  g_autofree char *file = g_strconcat (name, suffix, NULL);
  g_autofree char *path = g_build_filename (dir, file, NULL);
  g_autofree char *expected = NULL;
  g_autoptr (GError) error = NULL;

  if (g_getenv ("SANDBOX_GOLDEN_UPDATE"))
    {
      if (!text)
        g_unlink (path);
      else if (!g_file_set_contents (path, text, -1, &error))
        g_assert_no_error (error);
      return;
    }
  if (!text)
    {
      g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
      return;
    }
  g_file_get_contents (path, &expected, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, expected);
}

/* The error as text, with the place of the source tree taken out of it. */
static char *
describe_problem (const GError *problem)
{
  g_autofree char *text = g_strdup_printf ("%s %d\n%s\n", g_quark_to_string (problem->domain),
                                           problem->code, problem->message);
  g_autofree char *shipped = g_test_build_filename (G_TEST_DIST, "..", "domains", NULL);
  g_auto (GStrv) parts = g_strsplit (text, shipped, -1);

  return g_strjoinv ("DOMAINS", parts);
}

static char *
make_output (GoldenCase *golden, const char *suffix)
{
  SandboxPlan *plan = golden->plan;

  if (g_str_equal (suffix, ".error"))
    return plan ? NULL : describe_problem (golden->problem);
  if (!plan)
    return NULL;
  if (g_str_equal (suffix, ".plan"))
    return sandbox_plan_describe (plan);
  if (g_str_equal (suffix, ".domain.xml"))
    return sandbox_plan_domain_xml (plan);
  if (g_str_equal (suffix, ".network.xml"))
    return sandbox_plan_network_xml (plan);
  if (g_str_equal (suffix, ".filter.xml"))
    return sandbox_plan_filter_xml (plan);
  return _sandbox_xml_disk_volume (plan);
}

/* Nothing is in a machine that the list of what may be in it does not know. */
static void
check_allowed (const char *domain_xml)
{
  g_autoptr (GError) error = NULL;

  _sandbox_xml_check_domain (domain_xml, &error);
  g_assert_no_error (error);
}

static void
test_case (gconstpointer data)
{
  g_autofree char *dir = golden_dir ();
  g_autoptr (GoldenCase) golden = golden_case_load (dir, data);

  for (guint i = 0; outputs[i]; i++)
    {
      g_autofree char *text = make_output (golden, outputs[i]);

      check_output (dir, golden->name, outputs[i], text);
      if (text && g_str_equal (outputs[i], ".domain.xml"))
        check_allowed (text);
    }
}

static gboolean
has_name (GPtrArray *names, const char *file, const char *suffix)
{
  g_autofree char *name = NULL;

  if (!g_str_has_suffix (file, suffix))
    return FALSE;
  name = g_strndup (file, strlen (file) - strlen (suffix));
  return g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL);
}

/* A file that no case reads or writes tests nothing, and looks as if it did. */
static void
test_unused (void)
{
  g_autofree char *dir = golden_dir ();
  g_autofree char *facts_dir = g_build_filename (dir, "facts", NULL);
  g_autoptr (GPtrArray) names = golden_names (dir, ".profile");
  g_autoptr (GPtrArray) files = golden_names (dir, "");
  g_autoptr (GPtrArray) facts = golden_names (facts_dir, "");
  g_autoptr (GPtrArray) facts_used = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < files->len; i++)
    {
      const char *file = g_ptr_array_index (files, i);
      gboolean used = g_str_equal (file, "facts") || has_name (names, file, ".profile");

      for (guint j = 0; !used && outputs[j]; j++)
        used = has_name (names, file, outputs[j]);
      if (!used)
        g_test_fail_printf ("%s belongs to no case", file);
    }
  for (guint i = 0; i < names->len; i++)
    {
      g_autoptr (GoldenCase) golden = golden_case_load (dir, g_ptr_array_index (names, i));

      g_ptr_array_add (facts_used, g_strdup (golden->facts_name));
    }
  for (guint i = 0; i < facts->len; i++)
    if (!has_name (facts_used, g_ptr_array_index (facts, i), ".facts"))
      g_test_fail_printf ("no case uses facts/%s", (char *)g_ptr_array_index (facts, i));
}

int
main (int argc, char **argv)
{
  g_autofree char *dir = NULL;
  g_autoptr (GPtrArray) names = NULL;

  g_test_init (&argc, &argv, NULL);
  dir = golden_dir ();
  names = golden_names (dir, ".profile");
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_strconcat ("/golden/", g_ptr_array_index (names, i), NULL);

      g_test_add_data_func (path, g_ptr_array_index (names, i), test_case);
    }
  g_test_add_func ("/golden/unused-files", test_unused);
  return g_test_run ();
}
