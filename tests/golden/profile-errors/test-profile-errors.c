// SPDX-License-Identifier: LGPL-2.1-or-later
// Every bad input of the corpora is refused, with the golden text, and quickly.
// SANDBOX_GOLDEN_UPDATE=1 writes the goldens anew.
#include "corpus.h"
#include "made.h"

#include "base/error.h"
#include "base/file.h"
#include "base/units.h"
#include "profile/profile-private.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define CASE_MAX_USEC (5 * G_USEC_PER_SEC)

static SandboxProfileDirs dirs = SANDBOX_PROFILE_DIRS_INIT;
static char *top, *user_dir;
static gboolean updating;

/* --- each kind of input */

static void
load_text (const char *text, gsize length, GError **error)
{
  g_autofree char *path = g_build_filename (user_dir, "case.profile", NULL);
  g_autoptr (SandboxProfile) profile = NULL;

  g_assert_true (g_file_set_contents (path, text, (gssize)length, NULL));
  g_assert_cmpint (g_chmod (path, 0600), ==, 0);
  profile = sandbox_profile_load (&dirs, "case", error);
}

static void
run_text (const Case *item, GError **error)
{
  load_text (item->input->str, item->input->len, error);
}

/* "values GROUP KEY [LINE...]": the value in a profile, after further lines such as a share's
 * source. */
static void
run_values (const Case *item, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_append_printf (text, "[%s]\n", item->args[0]);
  for (guint i = 2; item->args[i]; i++)
    g_string_append_printf (text, "%s\n", item->args[i]);
  g_string_append_printf (text, "%s=", item->args[1]);
  g_string_append_len (text, item->input->str, (gssize)item->input->len);
  load_text (text->str, text->len, error);
}

static void
run_groups (const Case *item, GError **error)
{
  g_autoptr (GString) text = g_string_new ("[");

  g_string_append_len (text, item->input->str, (gssize)item->input->len);
  g_string_append (text, "]\nsource=~/src\n");
  load_text (text->str, text->len, error);
}

static void
run_names (const Case *item, GError **error)
{
  g_autoptr (SandboxProfile) profile = NULL;

  profile = sandbox_profile_load (&dirs, item->input->str, error);
}

static void
run_shares (const Case *item, GError **error)
{
  g_autoptr (SandboxProfile) profile = sandbox_profile_load (&dirs, "work", NULL);

  g_assert_nonnull (profile);
  sandbox_profile_add_share (profile, item->input->str, error);
}

static void
run_ports (const Case *item, GError **error)
{
  SandboxPortRange range;

  sandbox_port_range_parse (item->input->str, &range, error);
}

static void
run_addresses (const Case *item, GError **error)
{
  SandboxCidr cidr;

  sandbox_cidr_parse (item->input->str, &cidr, error);
}

static gboolean made_used[64];
static gboolean skipped; /* the case now */

static void
run_made (const Case *item, GError **error)
{
  g_autofree char *path = g_build_filename (user_dir, "case.profile", NULL);
  g_autoptr (SandboxProfile) profile = NULL;
  guint i = 0;

  while (i < n_made_cases && !g_str_equal (made_cases[i].name, item->input->str))
    i++;
  if (i == n_made_cases)
    g_error ("%s:%u: nothing makes \"%s\"", item->file, item->line, item->input->str);
  made_used[i] = TRUE;
  if (!made_cases[i].make (user_dir, path))
    {
      skipped = TRUE;
      g_test_skip ("this user cannot make it");
      return;
    }
  profile = sandbox_profile_load (&dirs, "case", error);
}

static const struct
{
  const char *kind;
  void (*run) (const Case *item, GError **error);
} kinds[] = {
  { "text", run_text },           { "values", run_values }, { "groups", run_groups },
  { "names", run_names },         { "shares", run_shares }, { "ports", run_ports },
  { "addresses", run_addresses }, { "made", run_made },
};

/* --- one case */

/* What differs from run to run gets a name. */
static char *
make_stable (const char *message)
{
  g_autofree char *self = g_strdup_printf ("(uid %u)", (guint)geteuid ());
  g_autoptr (GString) text = g_string_new (message);

  g_string_replace (text, user_dir, "USER", 0);
  g_string_replace (text, dirs.shipped_dir, "SHIPPED", 0);
  g_string_replace (text, self, "(uid SELF)", 0);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
empty_user_dir (void)
{
  sandbox_autofd int fd = open (top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  g_assert_true (sandbox_remove_at (fd, "user", NULL));
  g_assert_cmpint (mkdirat (fd, "user", 0700), ==, 0);
}

static void
run_case (gconstpointer data)
{
  Case *item = (Case *)data;
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();
  g_autofree char *text = NULL;
  guint i = 0;

  while (i < G_N_ELEMENTS (kinds) && !g_str_equal (kinds[i].kind, item->kind))
    i++;
  if (i == G_N_ELEMENTS (kinds))
    g_error ("%s:%u: unknown kind \"%s\"", item->file, item->line, item->kind);
  empty_user_dir ();
  skipped = FALSE;
  kinds[i].run (item, &error);
  g_assert_cmpint (g_get_monotonic_time () - start, <, CASE_MAX_USEC);
  if (skipped)
    return;
  if (!error && updating)
    {
      item->seen = g_strdup ("ACCEPTED"); /* to be seen in review: no run passes with it */
      return;
    }
  if (!error)
    g_error ("%s:%u: it was accepted", item->file, item->line);
  text = make_stable (error->message);
  g_assert_true (error->domain == SANDBOX_ERROR);
  item->seen = g_strconcat (error->code == SANDBOX_ERROR_NOT_FOUND ? "NOT_FOUND: "
                            : error->code == SANDBOX_ERROR_INVALID ? "INVALID: "
                                                                   : "OTHER: ",
                            text, NULL);
  g_assert_false (g_str_has_prefix (item->seen, "OTHER"));
  g_assert_true (g_utf8_validate (item->seen, -1, NULL));
  g_assert_null (strchr (item->seen, '\n'));
  if (!updating && g_strcmp0 (item->seen, item->golden) != 0)
    g_error ("%s:%u:\ngot    %s\ngolden %s", item->file, item->line, item->seen,
             item->golden ? item->golden : "(none)");
}

/* Whatever can be made is asked for by a case, and nothing lies about that no case reads. */
static void
test_nothing_unused (gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (data, 0, NULL);
  const char *name;

  for (guint i = 0; i < n_made_cases; i++)
    if (!made_used[i])
      g_error ("no case uses \"%s\"", made_cases[i].name);
  while ((name = g_dir_read_name (dir)))
    if (!g_str_has_suffix (name, ".cases") && !g_str_has_suffix (name, ".c")
        && !g_str_has_suffix (name, ".h") && !g_str_equal (name, "meson.build")
        && !g_str_equal (name, "README"))
      g_error ("%s is used by no test", name);
}

static void
add_corpus (const char *dir, const char *name, GPtrArray *corpora)
{
  GPtrArray *cases = corpus_read (dir, name);

  for (guint i = 0; i < cases->len; i++)
    {
      const Case *item = g_ptr_array_index (cases, i);
      g_autofree char *path =
          g_strdup_printf ("/profile-errors/%s/%04u-%s", name, item->line, item->kind);

      g_test_add_data_func (path, item, run_case);
    }
  g_assert_cmpuint (cases->len, >, 0);
  g_ptr_array_add (corpora, cases);
}

int
main (int argc, char **argv)
{
  static const char *const names[] = { "files.cases",  "names.cases", "ports.cases",
                                       "shares.cases", "text.cases",  "values.cases" };
  g_autoptr (GPtrArray) corpora =
      g_ptr_array_new_with_free_func ((GDestroyNotify)g_ptr_array_unref);
  g_autofree char *dir = NULL;
  int result;

  g_test_init (&argc, &argv, NULL);
  updating = g_getenv ("SANDBOX_GOLDEN_UPDATE") != NULL;
  dir = g_test_build_filename (G_TEST_DIST, "golden", "profile-errors", NULL);
  top = g_dir_make_tmp ("errors-XXXXXX", NULL);
  user_dir = g_build_filename (top, "user", NULL);
  dirs.user_dir = user_dir;
  dirs.shipped_dir = g_getenv ("SANDBOX_DOMAINS_DIR");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    add_corpus (dir, names[i], corpora);
  g_test_add_data_func ("/profile-errors-unused/all", dir, test_nothing_unused);
  result = g_test_run ();
  for (guint i = 0; updating && i < G_N_ELEMENTS (names); i++)
    corpus_update (dir, names[i], g_ptr_array_index (corpora, i));
  g_spawn_sync (NULL, (char *[]){ "rm", "-rf", top, NULL }, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                NULL, NULL, NULL, NULL);
  g_free (top);
  g_free (user_dir);
  return result;
}
