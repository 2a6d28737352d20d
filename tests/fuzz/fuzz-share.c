// SPDX-License-Identifier: LGPL-2.1-or-later
// What the share helper reads as root: arguments, a user's configuration, /etc/subuid. Whatever
// they are, a path that it takes is a clean one, and nothing is mapped to root.
#include "fuzz.h"
#include "share.h"

#include <string.h>

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
check_path (const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path + 1, "/", -1);

  g_assert_cmpint (path[0], ==, '/');
  g_assert_cmpuint (strlen (path), <=, SHARE_PATH_MAX);
  for (guint i = 0; parts[i]; i++)
    g_assert_false (g_str_equal (parts[i], "") || g_str_equal (parts[i], ".")
                    || g_str_equal (parts[i], ".."));
  g_assert_null (strchr (path, '\n'));
}

static void
check_args (const char *text)
{
  g_auto (GStrv) words = g_strsplit_set (text, " \n", 16);
  ShareArgs args;

  if (share_args_parse ((int)g_strv_length (words), words, &args))
    return;
  check_path (args.door);
  g_assert_null (strchr (args.door, ','));
  g_assert_cmpint (args.socket_fd, >=, 3);
}

static void
check_range (const char *text)
{
  guint32 self[] = { 1000 };
  ShareExtent extents[SHARE_EXTENTS_MAX];
  ShareRange range;
  gsize n;

  if (!share_range_find (text, "alice", 1000, &range))
    return;
  g_assert_cmpuint (range.start, >=, SHARE_RANGE_FIRST);
  n = share_map_build (&range, self, 1, extents);
  g_assert_cmpuint (n, >, 0);
  for (gsize i = 0; i < n; i++)
    g_assert_true (extents[i].outside == 1000 || extents[i].outside >= SHARE_RANGE_FIRST);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  g_autofree char *text = g_strndup ((const char *)data, length);
  /* no byte behind the last one: a sanitizer sees who reads on */
  g_autofree char *exact = g_memdup2 (data, length);
  ShareConfig config;

  if (!share_config_parse (length > 0 ? exact : "", length, &config))
    {
      check_path (config.daemon);
      check_path (config.source);
    }
  check_args (text);
  check_range (text);
  return 0;
}
