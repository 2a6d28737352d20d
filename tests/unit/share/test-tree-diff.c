// SPDX-License-Identifier: LGPL-2.1-or-later
// Lists of files as a reader sends them: what differs, and what is no list.
#include "share/tree-diff.h"

#include <sandbox/error.h>
#include <string.h>

#define T "1700000000.0000000001"
#define U "1700000000.0000000002"

static char *
list_of (const char *old, const char *new)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxTree) before = _sandbox_tree_parse (g_strdup (old), &error);
  g_autoptr (SandboxTree) after = _sandbox_tree_parse (g_strdup (new), &error);
  g_autoptr (GPtrArray) changes = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  guint n_left_out = 1;

  g_assert_no_error (error);
  changes = _sandbox_tree_diff (before, after, &n_left_out);
  g_assert_cmpuint (n_left_out, ==, 0);
  for (guint i = 0; i < changes->len; i++)
    {
      const SandboxSnapshotChange *change = changes->pdata[i];

      g_string_append_printf (text, "%s %s;", change->kind, change->path);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
test_kinds (void)
{
  static const struct
  {
    const char *old, *new, *want;
  } cases[] = {
    { "", "", "" },
    { "d 755 0 0 4096 " T " " T " \n\n", "d 755 0 0 4096 " U " " U " \n\n", "" },
    { "", "f 644 0 0 3 " T " " T " a b\n\n", "added a b;" },
    { "f 644 0 0 3 " T " " T " x\n\n", "", "deleted x;" },
    { "f 644 0 0 3 " T " " T " x\n\n", "f 644 0 0 4 " T " " T " x\n\n", "modified x;" },
    { "f 644 0 0 3 " T " " T " x\n\n", "f 644 0 0 3 " U " " T " x\n\n", "modified x;" },
    { "f 644 0 0 3 " T " " T " x\n\n", "f 644 0 0 3 " T " " U " x\n\n", "touched x;" },
    { "f 644 0 0 3 " T " " T " x\n\n", "f 600 0 0 3 " T " " U " x\n\n", "mode x;" },
    { "f 644 0 0 3 " T " " T " x\n\n", "f 644 1 0 3 " T " " U " x\n\n", "mode x;" },
    { "f 644 0 0 3 " T " " T " x\n\n", "d 755 0 0 3 " T " " T " x\n\n", "replaced x;" },
    { "l 777 0 0 3 " T " " T " x\na\n", "l 777 0 0 3 " T " " T " x\nb\n", "modified x;" },
    { "d 755 0 0 3 " T " " T " x\n\n", "d 755 0 0 9 " U " " U " x\n\n", "" },
    { "f 644 0 0 3 " T " " T " b\n\nf 644 0 0 3 " T " " T " a\n\n",
      "f 644 0 0 3 " T " " T " c\n\nf 644 0 0 3 " T " " T " b\n\n", "deleted a;added c;" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *have = list_of (cases[i].old, cases[i].new);

      g_assert_cmpstr (have, ==, cases[i].want);
    }
}

static void
test_damaged (void)
{
  static const char *const lists[] = {
    "x",
    "f 644 0 0 3 " T " " T " x\n",
    "f 644 0 0 3 " T " " T " x",
    "f 644 0 0 3 " T " x\n\n",
    "f 999 0 0 3 " T " " T " x\n\n",
    "f 77777 0 0 3 " T " " T " x\n\n",
    "ff 644 0 0 3 " T " " T " x\n\n",
    "f 644 -1 0 3 " T " " T " x\n\n",
    "f 644 0 4294967296 3 " T " " T " x\n\n",
    "f 644 0 0 9223372036854775808 " T " " T " x\n\n",
    "f 644 0 0 3 now " T " x\n\n",
    "f  644 0 0 3 " T " " T " x\n\n",
    "f 644 0 0 3 " T " " T " x\n\nf 644 0 0 3 " T " " T " x\n\n",
    "\n\n",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (_sandbox_tree_parse (g_strdup (lists[i]), &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_GUEST);
    }
}

static void
test_many (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (SandboxTree) none = _sandbox_tree_parse (g_strdup (""), NULL), tree = NULL;
  g_autoptr (GPtrArray) changes = NULL;
  g_autoptr (GError) error = NULL;
  guint n_left_out = 0;

  for (guint i = 0; i < SANDBOX_TREE_CHANGES_MAX + 5; i++)
    g_string_append_printf (text, "f 644 0 0 3 1 1 %u\n\n", i);
  tree = _sandbox_tree_parse (g_strdup (text->str), &error);
  g_assert_no_error (error);
  changes = _sandbox_tree_diff (none, tree, &n_left_out);
  g_assert_cmpuint (changes->len, ==, SANDBOX_TREE_CHANGES_MAX);
  g_assert_cmpuint (n_left_out, ==, 5);
  for (guint i = SANDBOX_TREE_CHANGES_MAX + 5; i <= SANDBOX_TREE_ENTRIES_MAX; i++)
    g_string_append_printf (text, "f 644 0 0 3 1 1 %u\n\n", i);
  g_assert_null (_sandbox_tree_parse (g_strdup (text->str), &error));
  g_assert_nonnull (strstr (error->message, "more than"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tree-diff/kinds", test_kinds);
  g_test_add_func ("/tree-diff/damaged", test_damaged);
  g_test_add_func ("/tree-diff/many", test_many);
  return g_test_run ();
}
