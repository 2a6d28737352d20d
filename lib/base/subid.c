// SPDX-License-Identifier: LGPL-2.1-or-later
// Who has which subordinate numbers on this host.
#include "base/subid.h"

#include "base/error.h"
#include "base/setup.h"

#include <string.h>
#include <unistd.h>

/* Where distributions begin. */
#define FIRST 100000
/* Below are people and programs. */
#define LOWEST 65536

static gboolean
read_line (const char *line, char **ret_name, guint64 *ret_first, guint64 *ret_count)
{
  g_auto (GStrv) parts = g_strsplit (line, ":", 3);

  if (g_strv_length (parts) != 3
      || !g_ascii_string_to_unsigned (parts[1], 10, 0, G_MAXUINT32, ret_first, NULL)
      || !g_ascii_string_to_unsigned (parts[2], 10, 0, G_MAXUINT32, ret_count, NULL))
    return FALSE;
  *ret_name = g_strdup (parts[0]);
  return TRUE;
}

/* *@ret_first and *@ret_count: the first range that can be used, @ret_end: above all there are. */
static gboolean
look (const char *path, const char *user, uid_t uid, guint64 *ret_first, guint64 *ret_count,
      guint64 *ret_end)
{
  g_autofree char *number = g_strdup_printf ("%u", (guint)uid);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  gboolean found = FALSE;

  if (g_file_get_contents (path, &text, NULL, NULL))
    lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; line != NULL && *line != NULL; line++)
    {
      g_autofree char *name = NULL;
      guint64 first = 0, count = 0;

      if (!read_line (*line, &name, &first, &count))
        continue;
      *ret_end = MAX (*ret_end, first + count);
      if (found || (strcmp (name, user) != 0 && strcmp (name, number) != 0) || first < LOWEST
          || count < SANDBOX_SUBID_COUNT || count > G_MAXUINT32 - first)
        continue;
      found = TRUE;
      *ret_first = first;
      *ret_count = count;
    }
  return found;
}

gboolean
sandbox_subid_find (const char *path, const char *user, uid_t uid, guint64 *free_id)
{
  guint64 first, count;

  return look (path, user, uid, &first, &count, free_id);
}

gboolean
sandbox_subid_range (const char *path, const char *user, uid_t uid, guint64 *ret_first,
                     guint64 *ret_count)
{
  guint64 end = 0;

  return look (path, user, uid, ret_first, ret_count, &end);
}

char *
sandbox_subid_free_range (void)
{
  guint64 first = FIRST;

  sandbox_subid_find (SANDBOX_SUBUID_FILE, "", (uid_t)-1, &first);
  sandbox_subid_find (SANDBOX_SUBGID_FILE, "", (uid_t)-1, &first);
  return g_strdup_printf ("%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, first,
                          first + SANDBOX_SUBID_COUNT - 1);
}

gboolean
sandbox_subid_check (GError **error)
{
  g_autofree char *user = sandbox_user_name (), *range = NULL;
  guint64 unused = 0;
  gboolean users = sandbox_subid_find (SANDBOX_SUBUID_FILE, user, geteuid (), &unused);
  gboolean groups = sandbox_subid_find (SANDBOX_SUBGID_FILE, user, geteuid (), &unused);

  if (users && groups)
    return TRUE;
  range = sandbox_subid_free_range ();
  return sandbox_fail (
      error, SANDBOX_ERROR_HOST,
      "sharing directories: %s has no range of %d subordinate numbers in %s, to which what a "
      "machine's root makes in a share could belong; run: %susermod%s%s%s%s %s (or: vms doctor "
      "--fix)",
      user, SANDBOX_SUBID_COUNT,
      users    ? SANDBOX_SUBGID_FILE
      : groups ? SANDBOX_SUBUID_FILE
               : SANDBOX_SUBUID_FILE " and " SANDBOX_SUBGID_FILE,
      geteuid () == 0 ? "" : "sudo ", users ? "" : " --add-subuids ", users ? "" : range,
      groups ? "" : " --add-subgids ", groups ? "" : range, user);
}
