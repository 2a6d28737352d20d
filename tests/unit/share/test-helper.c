// SPDX-License-Identifier: LGPL-2.1-or-later
// The share helper's readers: arguments, configuration, ranges, and the map that is made of these.
#include "share.h"

#include <glib.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define GOOD                                                                                       \
  "libsandbox-share 1\naccess ro\noptions joined\ndaemon /usr/lib/qemu/virtiofsd\n"                \
  "source /home/alice/a, b\n"

/* The readers under test never end the process. */
void
share_die (const char *format, ...)
{
  g_error ("share_die: %s", format);
}

void
share_die_errno (const char *format, ...)
{
  g_error ("share_die_errno: %s", format);
}

static void
test_config (void)
{
  ShareConfig config;

  g_assert_null (share_config_parse (GOOD, strlen (GOOD), &config));
  g_assert_true (config.read_only);
  g_assert_false (config.separate_options);
  g_assert_cmpstr (config.daemon, ==, "/usr/lib/qemu/virtiofsd");
  g_assert_cmpstr (config.source, ==, "/home/alice/a, b");
}

static void
test_access (void)
{
  static const char *const words[] = { "ro", "rw", "guarded" };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    {
      g_autofree char *text = g_strdup_printf (
          "libsandbox-share 1\naccess %s\noptions joined\ndaemon /d\nsource /s\n", words[i]);
      ShareConfig config;

      g_assert_null (share_config_parse (text, strlen (text), &config));
      g_assert_cmpint (config.read_only, ==, i == 0);
      g_assert_cmpint (config.guarded, ==, i == 2);
    }
}

/* Cut off anywhere, with one byte more, or with one byte changed in what is fixed. */
static void
test_config_is_strict (void)
{
  g_autofree char *longest = g_strnfill (SHARE_PATH_MAX - 1, 'a');
  g_autofree char *fits = g_strdup_printf (
      "libsandbox-share 1\naccess rw\noptions separate\ndaemon /d\nsource /%s\n", longest);
  g_autofree char *too_long = g_strdup_printf (
      "libsandbox-share 1\naccess rw\noptions separate\ndaemon /d\nsource /a%s\n", longest);
  gsize fixed = (gsize)(strstr (GOOD, "/usr") - GOOD);
  ShareConfig config;

  for (gsize n = 0; n < strlen (GOOD); n++)
    {
      g_autofree char *more = g_strdup_printf ("%.*s\t%s", (int)n, GOOD, GOOD + n);
      g_autofree char *other = g_strdup (GOOD);

      g_assert_nonnull (share_config_parse (GOOD, n, &config));
      g_assert_nonnull (share_config_parse (more, strlen (more), &config));
      other[n]++;
      if (n < fixed)
        g_assert_nonnull (share_config_parse (other, strlen (other), &config));
    }
  g_assert_nonnull (share_config_parse (GOOD "\n", strlen (GOOD) + 1, &config));
  g_assert_nonnull (share_config_parse (GOOD, strlen (GOOD) + 1, &config));
  g_assert_null (share_config_parse (fits, strlen (fits), &config));
  g_assert_cmpuint (strlen (config.source), ==, SHARE_PATH_MAX);
  g_assert_nonnull (share_config_parse (too_long, strlen (too_long), &config));
}

static const char *
parse_args (const char *line, ShareArgs *args)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  const char *wrong = share_args_parse ((int)g_strv_length (words), words, args);

  return wrong ? g_intern_string (wrong) : NULL;
}

static void
test_args (void)
{
  static const char *const good[] = {
    "x --fd=9 -o source=/a/b,sandbox=namespace,no_xattr",
    "x -d --fd=9 -o source=/a/b",
    "x --fd=9 --shared-dir /a/b --sandbox namespace --log-level=debug",
  };
  static const char *const bad[] = {
    "x",
    "x --fd=9",
    "x -o source=/a/b",
    "x --fd=9 -o source=/a/b,sandbox=none",
    "x --fd=9 -o source=/a/b,",
    "x --fd=9 -o source=/a,,b",
    "x --fd=9 -o source=",
    "x --fd=9 -o",
    "x --fd=9 --shared-dir a/b",
    "x --fd=9 --shared-dir /a/b --shared-dir /a/c",
    "x --fd=9 --shared-dir /a,b",
    "x --fd=9 --shared-dir /a/b --readonly",
    "x --fd=9 --fd=10 --shared-dir /a/b",
    "x --fd=2 --shared-dir /a/b",
    "x --fd=+9 --shared-dir /a/b",
    "x --fd=99999 --shared-dir /a/b",
    "x --fd=4294967299 --shared-dir /a/b",
  };
  ShareArgs args;

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_assert_cmpstr (parse_args (good[i], &args), ==, NULL);
      g_assert_cmpint (args.socket_fd, ==, 9);
      g_assert_cmpstr (args.door, ==, "/a/b");
      g_assert_cmpint (args.debug, ==, i > 0);
    }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_nonnull (parse_args (bad[i], &args));
}

static void
test_paths (void)
{
  static const char *const bad[] = { "",      "/",     "a",    "//",    "/a/",
                                     "/a//b", "/.",    "/..",  "/a/.",  "/a/..",
                                     "/./a",  "/../a", "/a\n", "/\x7f", "/a\tb" };
  static const char *const good[] = { "/a", "/a/b", "/...", "/..a", "/a..", "/ä ö", "/a,b" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (share_path_is_clean (bad[i], strlen (bad[i])));
  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (share_path_is_clean (good[i], strlen (good[i])));
}

static void
test_ranges (void)
{
  static const char *const none[] = {
    "",
    "alice:100000:65535\n",
    "alice:0:65536\n",
    "alice:65535:65536\n",
    "alice:100000\n",
    "alice:100000:65536:1\n",
    "alice:100000:\n",
    "alice::65536\n",
    "alice:-1:65536\n",
    "alice:100000:65536 \n",
    "alice :100000:65536\n",
    "alicex:100000:65536\n",
    "alic:100000:65536\n",
    "10001:100000:65536\n",
    "alice:4294901760:65536\n",
    "alice:4294967296:65536\n",
    "alice:99999999999999999999:65536\n",
    "#alice:100000:65536\n",
  };
  ShareRange range;

  for (guint i = 0; i < G_N_ELEMENTS (none); i++)
    g_assert_false (share_range_find (none[i], "alice", 1000, &range));
  g_assert_true (
      share_range_find ("bob:1:1\n\nalice:7:7\nalice:100000:65536", "alice", 1000, &range));
  g_assert_cmpuint (range.start, ==, 100000);
  g_assert_true (share_range_find ("1000:200000:70000\n", "alice", 1000, &range));
  g_assert_cmpuint (range.count, ==, 70000);
  g_assert_true (share_range_find ("alice:4294901759:65536\n", "alice", 1000, &range));
}

/* What has to hold of every map: no number twice on either side, and nobody outside but the range
 * and the numbers themselves. */
static void
check_map (const ShareRange *range, const guint32 *self, gsize n_self)
{
  ShareExtent extents[SHARE_EXTENTS_MAX];
  gsize n = share_map_build (range, self, n_self, extents);
  guint64 total = 0, inside_self = 0;

  g_assert_cmpuint (n, >, 0);
  for (gsize i = 0; i < n; i++)
    {
      guint64 end = (guint64)extents[i].outside + extents[i].count;
      gboolean in_range =
          extents[i].outside >= range->start && end <= (guint64)range->start + range->count;
      gboolean is_self = extents[i].count == 1 && extents[i].inside == extents[i].outside;

      g_assert_true (in_range || is_self);
      g_assert_cmpuint (extents[i].outside, >, 0);
      total += extents[i].count;
      inside_self += is_self && !in_range ? 1 : 0;
      for (gsize k = 0; k < i; k++)
        {
          g_assert_true (extents[i].inside >= extents[k].inside + extents[k].count
                         || extents[k].inside >= extents[i].inside + extents[i].count);
          g_assert_true (extents[i].outside >= extents[k].outside + extents[k].count
                         || extents[k].outside >= extents[i].outside + extents[i].count);
        }
    }
  g_assert_cmpuint (inside_self, ==, n_self);
  g_assert_cmpuint (total, >=, range->count);
}

static void
test_maps (void)
{
  static const guint32 numbers[] = { 1, 2, 999, 1000, 65534, 65535, 65536, 70000, 4000000000u };
  static const ShareRange ranges[] = { { 100000, 65536 }, { 165536, 1000000 }, { 65536, 65536 } };
  ShareExtent extents[SHARE_EXTENTS_MAX];

  for (guint r = 0; r < G_N_ELEMENTS (ranges); r++)
    for (guint a = 0; a < G_N_ELEMENTS (numbers); a++)
      for (guint b = a; b < G_N_ELEMENTS (numbers); b++)
        {
          guint32 self[] = { numbers[a], numbers[b] };
          gboolean inside = FALSE;

          for (guint i = 0; i < 2; i++)
            inside |= self[i] >= ranges[r].start && self[i] - ranges[r].start < ranges[r].count;
          if (inside)
            g_assert_cmpuint (share_map_build (&ranges[r], self, 2, extents), ==, 0);
          else
            check_map (&ranges[r], self, a == b ? 1 : 2);
        }
  check_map (&ranges[0], NULL, 0);
}

static void
test_maps_refused (void)
{
  static const ShareRange good = { 100000, 65536 }, low = { 1000, 65536 }, few = { 100000, 10 },
                          end = { 4294901760u, 65536 };
  static const guint32 root[] = { 0 }, nobody[] = { G_MAXUINT32 }, twice[] = { 5, 5 },
                       turned[] = { 6, 5 }, plain[] = { 1000 };
  ShareExtent extents[SHARE_EXTENTS_MAX];

  g_assert_cmpuint (share_map_build (&good, root, 1, extents), ==, 0);
  g_assert_cmpuint (share_map_build (&good, nobody, 1, extents), ==, 0);
  g_assert_cmpuint (share_map_build (&good, twice, 2, extents), ==, 0);
  g_assert_cmpuint (share_map_build (&good, turned, 2, extents), ==, 0);
  g_assert_cmpuint (share_map_build (&low, plain, 1, extents), ==, 0);
  g_assert_cmpuint (share_map_build (&few, plain, 1, extents), ==, 0);
  g_assert_cmpuint (share_map_build (&end, plain, 1, extents), ==, 0);
  g_assert_cmpuint (share_map_build (&good, plain, 1, extents), ==, 3);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share-helper/access", test_access);
  g_test_add_func ("/share/helper/config", test_config);
  g_test_add_func ("/share/helper/config-is-strict", test_config_is_strict);
  g_test_add_func ("/share/helper/args", test_args);
  g_test_add_func ("/share/helper/paths", test_paths);
  g_test_add_func ("/share/helper/ranges", test_ranges);
  g_test_add_func ("/share/helper/maps", test_maps);
  g_test_add_func ("/share/helper/maps-refused", test_maps_refused);
  return g_test_run ();
}
