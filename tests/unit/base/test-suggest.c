// SPDX-License-Identifier: LGPL-2.1-or-later
// "Did you mean": mistakes that people make find the word, others find nothing.
#include "base/names.h"

static const char *const words[] = { "image", "cpus",          "memory", "disk", "user",
                                     "accel", "start-on-exec", "no",     NULL };

static void
test_nearest (void)
{
  static const struct
  {
    const char *word, *nearest;
  } rows[] = {
    { "cpu", "cpus" },
    { "cpsu", "cpus" },
    { "CPUS", "cpus" },
    { "memroy", "memory" },
    { "mem", "memory" },
    { "imgae", "image" },
    { "accell", "accel" },
    { "start", "start-on-exec" },
    { "start-onexec", "start-on-exec" },
    { "zebra", NULL },
    { "on", NULL },
    { "NO", "no" },
    { "", NULL },
    { "x", NULL },
    { "memorymemory", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_cmpstr (sandbox_nearest (rows[i].word, words), ==, rows[i].nearest);
}

static void
test_long (void)
{
  g_autofree char *word = g_strnfill (100000, 'm');
  const char *const candidates[] = { word, NULL };

  g_assert_null (sandbox_nearest (word, words));
  g_assert_null (sandbox_nearest ("memory", candidates));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/suggest/nearest", test_nearest);
  g_test_add_func ("/suggest/long", test_long);
  return g_test_run ();
}
