// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading of the golden cases, shared by the tests that walk through them.
#include "cases.h"

#include <string.h>

#define IMAGE_ID   "debian-13-20260101T000000-0123456789ab"
#define IMAGE_PATH "/var/lib/libvirt/images/vms/image." IMAGE_ID
#define CMDLINE    "root=/dev/vda rw console=ttyS0 quiet loglevel=3 net.ifnames=0 vms.contract=2\n"

void
golden_case_free (GoldenCase *golden)
{
  g_free (golden->name);
  g_free (golden->profile_text);
  g_free (golden->facts_name);
  g_clear_pointer (&golden->facts, sandbox_facts_free);
  g_clear_pointer (&golden->profile, sandbox_profile_unref);
  g_clear_pointer (&golden->plan, sandbox_plan_unref);
  g_clear_error (&golden->problem);
  g_free (golden);
}

char *
golden_dir (void)
{
  return g_test_build_filename (G_TEST_DIST, "golden", "plan", NULL);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *
golden_names (const char *dir, const char *suffix)
{
  g_autoptr (GDir) open = g_dir_open (dir, 0, NULL);
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  const char *file;

  g_assert_nonnull (open);
  while ((file = g_dir_read_name (open)))
    if (g_str_has_suffix (file, suffix))
      g_ptr_array_add (names, g_strndup (file, strlen (file) - strlen (suffix)));
  g_ptr_array_sort (names, compare_names);
  return names;
}

/* The value of a comment line "# KEY: VALUE", or @fallback. */
static char *
read_setting (const char *text, const char *key, const char *fallback)
{
  g_autofree char *pattern = g_strdup_printf ("^# %s: (.*)$", key);
  g_autoptr (GRegex) regex = g_regex_new (pattern, G_REGEX_MULTILINE, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;

  if (!g_regex_match (regex, text, 0, &match))
    return g_strdup (fallback);
  return g_match_info_fetch (match, 1);
}

static guint
read_id (const char *text, const char *key)
{
  g_autofree char *value = read_setting (text, key, "1000");
  guint64 id = 0;
  g_autoptr (GError) error = NULL;

  sandbox_uint_parse (value, 0, G_MAXUINT, &id, &error);
  g_assert_no_error (error);
  return (guint)id;
}

SandboxPlan *
golden_case_resolve (GoldenCase *golden, GError **error)
{
  const char *text = golden->profile_text;
  g_autofree char *name = read_setting (text, "name", "work");
  g_autofree char *owner = read_setting (text, "owner", "vms");
  g_autofree char *home = read_setting (text, "home", "/home/alice");
  g_autofree char *state = g_build_filename (home, ".local/share/vms", name, NULL);
  g_autofree char *subnet = read_setting (text, "subnet", NULL);
  g_autofree char *image = read_setting (text, "image", IMAGE_ID);
  g_autofree char *image_size = read_setting (text, "image-size", "8GiB");
  gboolean built = !g_str_equal (image, "none");
  SandboxIdentity identity = {
    .name = name,
    .owner = owner,
    .uid = read_id (text, "uid"),
    .gid = read_id (text, "gid"),
    .home = home,
    .state = state,
    .image_id = built ? IMAGE_ID : NULL,
    .image_disk = built ? IMAGE_PATH ".qcow2" : NULL,
    .image_kernel = built ? IMAGE_PATH ".vmlinuz" : NULL,
    .image_initrd = built ? IMAGE_PATH ".initrd" : NULL,
    .image_cmdline = built ? CMDLINE : NULL,
    .subnet = subnet,
  };

  if (built && !sandbox_size_parse (image_size, 1, G_MAXUINT64, &identity.image_bytes, error))
    g_assert_not_reached ();
  return _sandbox_plan_resolve (golden->profile, golden->facts, &identity, error);
}

static void
read_facts (GoldenCase *golden, const char *dir)
{
  g_autofree char *file = g_strconcat (golden->facts_name, ".facts", NULL);
  g_autofree char *path = g_build_filename (dir, "facts", file, NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  golden->facts = sandbox_facts_parse (text, &error);
  g_assert_no_error (error);
}

GoldenCase *
golden_case_load (const char *dir, const char *name)
{
  g_autoptr (GoldenCase) golden = g_new0 (GoldenCase, 1);
  g_autofree char *file = g_strconcat (name, ".profile", NULL);
  g_autofree char *path = g_build_filename (dir, file, NULL);
  /* what is inherited are the shipped profiles; there are no user's own */
  SandboxProfileDirs dirs = SANDBOX_PROFILE_DIRS_INIT;
  g_autofree char *shipped = g_test_build_filename (G_TEST_DIST, "..", "domains", NULL);
  g_autofree char *none = g_test_build_filename (G_TEST_DIST, "golden", "no-such-directory", NULL);

  dirs.shipped_dir = shipped;
  dirs.user_dir = none;
  golden->name = g_strdup (name);
  g_file_get_contents (path, &golden->profile_text, NULL, &golden->problem);
  g_assert_no_error (golden->problem);
  golden->facts_name = read_setting (golden->profile_text, "facts", NULL);
  g_assert_nonnull (golden->facts_name);
  read_facts (golden, dir);
  golden->profile =
      sandbox_profile_parse (&dirs, name, file, golden->profile_text, -1, &golden->problem);
  if (golden->profile)
    golden->plan = golden_case_resolve (golden, &golden->problem);
  return g_steal_pointer (&golden);
}
