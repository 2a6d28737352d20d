// SPDX-License-Identifier: LGPL-2.1-or-later
// Headers of bundles, and names of branches.
#include "share/pull-private.h"

#include "base/error.h"

#include <string.h>

#define ID   "0123456789abcdef0123456789abcdef01234567"
#define ID64 ID "0123456789abcdef01234567"
#define TOP  "# v2 git bundle\n"

static void
test_names (void)
{
  static const char *const good[] = { "main",   "feature/x-1", "a.b", "fix(parser)", "#12",
                                      "user's", "é/ü",         "1",   "@a",          "a@" };
  static const char *const bad[] = {
    "",         "/",
    "a/",       "/a",
    "a//b",     ".a",
    "a/.b",     "a.",
    "a..b",     "a b",
    "a~b",      "a^b",
    "a:b",      "a?b",
    "a*b",      "a[b",
    "a\\b",     "a@{b",
    "@",        "a.lock",
    "A.LOCK/b", "-x",
    "a/-x",     "HEAD",
    "a/head",   "a\033b",
    "a\177",    "a\xff",
    "a\u202eb", "a\u200bb",
    "a\u00a0",  "a\nb",
    "--exec",   "..",
    ".",        "a/..",
    "\"a\"",    "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r",
  };
  g_autofree char *longest = g_strnfill (SANDBOX_PULL_REF_NAME_MAX, 'a');
  g_autofree char *longer = g_strnfill (SANDBOX_PULL_REF_NAME_MAX + 1, 'a');

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    if (!_sandbox_ref_name_good (good[i]))
      g_error ("\"%s\" was refused", good[i]);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    if (_sandbox_ref_name_good (bad[i]))
      g_error ("\"%s\" was taken", bad[i]);
  g_assert_true (_sandbox_ref_name_good (longest));
  g_assert_false (_sandbox_ref_name_good (longer));
}

static SandboxBundle *
parse (const char *text, GError **error)
{
  return _sandbox_bundle_parse (text, strlen (text), error);
}

static void
test_good (void)
{
  g_autoptr (GError) error = NULL;
  const char *text = TOP "-" ID " some text\n-" ID "\n" ID " refs/heads/main\n" ID
                         " refs/heads/a/b\n" ID " HEAD\n\nPACK";
  g_autoptr (SandboxBundle) bundle = parse (text, &error);
  g_autoptr (SandboxBundle) other = NULL;
  const SandboxBundleRef *ref;

  g_assert_no_error (error);
  g_assert_cmpuint (bundle->refs->len, ==, 3);
  g_assert_cmpuint (bundle->id_length, ==, 40);
  g_assert_cmpstr (text + bundle->pack_offset, ==, "PACK");
  ref = bundle->refs->pdata[1];
  g_assert_cmpstr (ref->name, ==, "a/b");
  g_assert_cmpstr (ref->id, ==, ID);
  other = parse ("# v3 git bundle\n@object-format=sha256\n" ID64 " refs/heads/x\n\n", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (other->id_length, ==, 64);
}

static void
test_bad (void)
{
  static const char *const bad[] = {
    "",
    "# v2 git bundle",
    "# v2 git bundl\n",
    "# v4 git bundle\n" ID " refs/heads/a\n\n",
    TOP,
    TOP "\n",
    TOP "-" ID "\n\n",
    TOP ID " refs/heads/a\n",
    TOP ID " refs/heads/a",
    TOP ID "\n\n",
    TOP "x\n\n",
    TOP "-x\n\n",
    TOP ID " refs/tags/a\n\n",
    TOP ID " refs/heads/\n\n",
    TOP ID " refs/heads/../../x\n\n",
    TOP ID " refs/heads/-x\n\n",
    TOP ID " refs/heads/HEAD\n\n",
    TOP ID " --upload-pack=x\n\n",
    TOP ID " refs/heads/a refs/heads/b\n\n",
    TOP ID "0 refs/heads/a\n\n",
    TOP "0123456789ABCDEF0123456789abcdef01234567 refs/heads/a\n\n",
    TOP ID " refs/heads/a\n-" ID "\n\n",
    TOP ID " refs/heads/a\n" ID " refs/heads/a\n\n",
    TOP ID " refs/heads/a\n" ID " refs/heads/A\n\n",
    TOP ID " refs/heads/a\n" ID " refs/heads/a/b\n\n",
    TOP ID " refs/heads/A/b\n" ID " refs/heads/a\n\n",
    TOP ID " refs/heads/\u00e9\n" ID " refs/heads/e\u0301\n\n",
    TOP "@object-format=sha1\n" ID " refs/heads/a\n\n",
    "# v3 git bundle\n@filter=blob:none\n" ID " refs/heads/a\n\n",
    "# v3 git bundle\n@object-format=sha512\n" ID " refs/heads/a\n\n",
    "# v3 git bundle\n" ID " refs/heads/a\n@object-format=sha1\n\n",
  };
  static const char nul[] = TOP ID " refs/heads/a\0b\n\n";

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      if (parse (bad[i], &error))
        g_error ("taken: %s", bad[i]);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
      for (const char *c = error->message; *c; c++)
        g_assert_cmpint ((guchar)*c, >=, ' ');
    }
  g_assert_null (_sandbox_bundle_parse (nul, sizeof nul - 1, NULL));
}

static void
test_many (void)
{
  for (guint n = SANDBOX_PULL_REFS_MAX; n <= SANDBOX_PULL_REFS_MAX + 1; n++)
    {
      g_autoptr (GString) text = g_string_new (TOP);
      g_autoptr (SandboxBundle) bundle = NULL;

      for (guint i = 0; i < n; i++)
        g_string_append_printf (text, ID " refs/heads/b%u\n", i);
      g_string_append (text, "\n");
      bundle = parse (text->str, NULL);
      g_assert_true ((bundle != NULL) == (n == SANDBOX_PULL_REFS_MAX));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/bundle/names", test_names);
  g_test_add_func ("/share/bundle/good", test_good);
  g_test_add_func ("/share/bundle/bad", test_bad);
  g_test_add_func ("/share/bundle/many", test_many);
  return g_test_run ();
}
