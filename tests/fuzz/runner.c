// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs a fuzz target without libFuzzer: every file of its corpus, and a fixed number of mutations
// of each, made from a printed seed. What breaks an invariant aborts, and the sanitizers see the
// rest.
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#define MUTATIONS_SAMPLE 300
#define MUTATIONS_FULL   20000
#define INPUT_MAX        (128 * 1024)

/* What parsers stumble over, put anywhere. */
static const char *const tokens[] = {
  "\n",
  "\r",
  "=",
  "[",
  "]",
  ":",
  "..",
  "/",
  "~",
  "%n",
  ",mode=",
  "+",
  "-",
  "#",
  "\xef\xbb\xbf",
  "\xe2\x80\xae",
  "\xff",
  "99999999999999999999",
  "0x10",
  "<",
  ">",
  "&",
  "<!DOCTYPE a>",
  "]]>",
  "[share:a]\n",
  "source=",
  "KiB",
  "/33",
  "ustar",
  "0000000",
};

static void
mutate (GByteArray *data, GRand *rand)
{
  guint n = (guint)g_rand_int_range (rand, 1, 6);

  for (guint i = 0; i < n; i++)
    {
      guint at = data->len > 0 ? (guint)g_rand_int_range (rand, 0, (gint32)data->len) : 0;
      const char *token = tokens[g_rand_int_range (rand, 0, G_N_ELEMENTS (tokens))];
      guint length = (guint)strlen (token);

      switch (data->len > 0 ? g_rand_int_range (rand, 0, 4) : 2)
        {
        case 0:
          data->data[at] = (guint8)g_rand_int (rand);
          break;
        case 1:
          g_byte_array_remove_range (
              data, at, (guint)g_rand_int_range (rand, 1, (gint32)MIN (data->len - at, 64) + 1));
          break;
        case 2:
          g_byte_array_append (data, (const guint8 *)token, length);
          break;
        default:
          memcpy (data->data + at, token, MIN (length, data->len - at));
        }
    }
}

static void
run_file (const char *path, guint mutations, GRand *rand)
{
  g_autofree char *text = NULL;
  gsize length = 0;

  g_assert_true (g_file_get_contents (path, &text, &length, NULL));
  g_assert_cmpuint (length, <=, INPUT_MAX);
  LLVMFuzzerTestOneInput ((const guint8 *)text, length);
  for (guint i = 0; i < mutations; i++)
    {
      g_autoptr (GByteArray) data = g_byte_array_new ();

      g_byte_array_append (data, (const guint8 *)text, (guint)length);
      mutate (data, rand);
      LLVMFuzzerTestOneInput (data->data, data->len);
    }
}

int
main (int argc, char **argv)
{
  const char *text = g_getenv ("VMS_TESTS_SEED"), *full = g_getenv ("VMS_TESTS_FULL");
  guint32 seed = text ? (guint32)g_ascii_strtoull (text, NULL, 10) : g_random_int ();
  guint mutations = g_strcmp0 (full, "yes") == 0 ? MUTATIONS_FULL : MUTATIONS_SAMPLE;
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  g_autoptr (GDir) dir = argc == 2 ? g_dir_open (argv[1], 0, NULL) : NULL;
  guint n = 0;

  if (!dir)
    {
      fprintf (stderr, "usage: %s CORPUS\n", argv[0]);
      return 2;
    }
  printf ("# seed %u, %u mutations of each input\n", seed, mutations);
  for (const char *name = g_dir_read_name (dir); name; name = g_dir_read_name (dir))
    {
      g_autofree char *path = g_build_filename (argv[1], name, NULL);

      run_file (path, mutations, rand);
      printf ("ok %u - %s\n", ++n, name);
    }
  printf ("1..%u\n", n);
  return n > 0 ? 0 : 1;
}
