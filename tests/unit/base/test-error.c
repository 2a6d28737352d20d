// SPDX-License-Identifier: LGPL-2.1-or-later
// Errors: always the one domain, always valid UTF-8, codes that follow errno.
#include "base/error.h"

#include <errno.h>
#include <string.h>

static void
test_fail (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (sandbox_fail (&error, SANDBOX_ERROR_BUSY, "doing %s: %d", "this", 3));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  g_assert_cmpstr (error->message, ==, "doing this: 3");
  g_assert_false (sandbox_fail (NULL, SANDBOX_ERROR_BUSY, "nobody listens"));
}

static void
test_fail_utf8 (void)
{
  g_autoptr (GError) error = NULL;

  sandbox_fail (&error, SANDBOX_ERROR_FAILED, "bad \xff byte");
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_nonnull (strstr (error->message, " byte"));
}

static void
test_errno (void)
{
  static const struct
  {
    int number;
    SandboxError code;
  } rows[] = {
    { ENOENT, SANDBOX_ERROR_NOT_FOUND }, { EACCES, SANDBOX_ERROR_DENIED },
    { EPERM, SANDBOX_ERROR_DENIED },     { EEXIST, SANDBOX_ERROR_EXISTS },
    { EIO, SANDBOX_ERROR_FAILED },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (sandbox_fail_errno (&error, rows[i].number, "opening %s", "x"));
      g_assert_error (error, SANDBOX_ERROR, (int)rows[i].code);
      g_assert_true (g_str_has_prefix (error->message, "opening x: "));
      g_assert_true (g_str_has_suffix (error->message, g_strerror (rows[i].number)));
    }
}

/* What a user wrote is escaped and bounded. */
static void
test_item (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *longest = g_strnfill (5000, 'x');

  g_assert_false (sandbox_fail_item (&error, "80\033[2J", "is not %s", "right"));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_cmpstr (error->message, ==, "\"80\\x1b[2J\" is not right");
  g_assert_false (sandbox_prefix_item (&error, "a\nb"));
  g_assert_cmpstr (error->message, ==, "\"a\\x0ab\": \"80\\x1b[2J\" is not right");
  g_clear_error (&error);
  sandbox_fail_item (&error, longest, "is long");
  g_assert_cmpuint (strlen (error->message), <, 120);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/error/fail", test_fail);
  g_test_add_func ("/error/utf8", test_fail_utf8);
  g_test_add_func ("/error/errno", test_errno);
  g_test_add_func ("/error/item", test_item);
  return g_test_run ();
}
