// SPDX-License-Identifier: LGPL-2.1-or-later
// Which numbers of a guest are which on the host: its user is the host's user, everybody else in
// it, its root first of all, is somebody out of that user's own subordinate range.
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Far more than a host has users and groups. */
#define SUBID_MAX  (1024 * 1024)
#define GROUPS_MAX 1024
/* The last number means "nobody" to the kernel. */
#define ID_END UINT32_MAX

/* A decimal number that ends at @end. */
static bool
read_number (const char *text, const char *end, uint32_t *ret_number)
{
  uint64_t number = 0;

  if (text == end || end - text > 10)
    return false;
  for (; text < end; text++)
    {
      if (*text < '0' || *text > '9')
        return false;
      number = number * 10 + (uint64_t)(*text - '0');
    }
  *ret_number = (uint32_t)number;
  return number <= UINT32_MAX;
}

/* "NAME:START:COUNT" in @line..@end. */
static bool
read_range (const char *line, const char *end, const char *name, const char *number,
            ShareRange *range)
{
  const char *first = memchr (line, ':', (size_t)(end - line));
  const char *second = first ? memchr (first + 1, ':', (size_t)(end - first - 1)) : NULL;
  size_t length = first ? (size_t)(first - line) : 0;

  if (!second || !read_number (first + 1, second, &range->start)
      || !read_number (second + 1, end, &range->count))
    return false;
  return (length == strlen (name) && memcmp (line, name, length) == 0)
         || (length == strlen (number) && memcmp (line, number, length) == 0);
}

static bool
is_usable (const ShareRange *range)
{
  return range->start >= SHARE_RANGE_FIRST && range->count >= SHARE_RANGE_LEAST
         && range->count <= ID_END - range->start;
}

bool
share_range_find (const char *text, const char *name, uid_t id, ShareRange *ret_range)
{
  char number[16];

  snprintf (number, sizeof number, "%u", (unsigned)id);
  while (*text != '\0')
    {
      size_t length = strcspn (text, "\n");
      ShareRange range = { 0, 0 };

      if (read_range (text, text + length, name, number, &range) && is_usable (&range))
        {
          *ret_range = range;
          return true;
        }
      text += length + (text[length] == '\n' ? 1 : 0);
    }
  return false;
}

static size_t
add_extent (ShareExtent *extents, size_t n, uint32_t inside, uint32_t outside, uint32_t count)
{
  if (count == 0)
    return n;
  extents[n] = (ShareExtent){ inside, outside, count };
  return n + 1;
}

size_t
share_map_build (const ShareRange *range, const uint32_t *self, size_t n_self,
                 ShareExtent ret_extents[SHARE_EXTENTS_MAX])
{
  uint32_t at = 0;
  size_t n = 0;

  if (n_self > SHARE_SELF_MAX || !is_usable (range))
    return 0;
  for (size_t i = 0; i < n_self; i++)
    {
      if (self[i] == 0 || self[i] == ID_END || (i > 0 && self[i] <= self[i - 1])
          || (self[i] >= range->start && self[i] - range->start < range->count))
        return 0;
      if (self[i] < range->count)
        {
          n = add_extent (ret_extents, n, at, range->start + at, self[i] - at);
          n = add_extent (ret_extents, n, self[i], self[i], 1);
          at = self[i] + 1;
        }
    }
  n = add_extent (ret_extents, n, at, range->start + at, range->count - at);
  for (size_t i = 0; i < n_self; i++)
    if (self[i] >= range->count)
      n = add_extent (ret_extents, n, self[i], self[i], 1);
  return n;
}

static void
load_range (const char *path, const char *name, uid_t owner, ShareRange *ret_range)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct stat info;
  char *text;
  ssize_t n;

  if (fd < 0 || fstat (fd, &info) < 0)
    share_die_errno ("opening %s, which says which numbers belong to %s", path, name);
  if (!S_ISREG (info.st_mode) || info.st_uid != 0 || (info.st_mode & 022)
      || info.st_size > SUBID_MAX)
    share_die ("%s is not a file that only root may write, of at most %d bytes", path, SUBID_MAX);
  text = calloc (1, (size_t)info.st_size + 1);
  n = text ? pread (fd, text, (size_t)info.st_size, 0) : -1;
  if (n < 0)
    share_die_errno ("reading %s", path);
  close (fd);
  if (!share_range_find (text, name, owner, ret_range))
    share_die ("%s has no range of %d numbers or more, from %d on, for %s", path, SHARE_RANGE_LEAST,
               SHARE_RANGE_FIRST, name);
  free (text);
}

static struct passwd *
find_user (uid_t owner)
{
  struct passwd *user = getpwuid (owner);

  if (!user)
    share_die ("nobody on this host has uid %u", (unsigned)owner);
  return user;
}

static size_t
load_groups (const struct passwd *user, gid_t groups[GROUPS_MAX])
{
  int n = GROUPS_MAX;

  if (getgrouplist (user->pw_name, user->pw_gid, groups, &n) < 0)
    share_die ("%s is in more than %d groups", user->pw_name, GROUPS_MAX);
  return (size_t)n;
}

void
share_become_owner (uid_t owner)
{
  const struct passwd *user = find_user (owner);
  gid_t groups[GROUPS_MAX];
  size_t n = load_groups (user, groups);

  if (setgroups (n, groups) < 0 || setegid (user->pw_gid) < 0 || seteuid (owner) < 0)
    share_die_errno ("taking the rights of %s", user->pw_name);
}

void
share_become_root (void)
{
  if (seteuid (0) < 0 || setegid (0) < 0 || setgroups (0, NULL) < 0)
    share_die_errno ("taking root's rights back");
}

/* The groups that stay what they are: the user's own, and that of the shared directory when the
 * user is in it. For a directory that root shares: only that directory's. */
static size_t
choose_groups (const struct passwd *user, gid_t gid, uint32_t self[SHARE_SELF_MAX])
{
  gid_t groups[GROUPS_MAX];
  size_t n_groups = load_groups (user, groups), n = 0;
  bool member = user->pw_uid == 0;

  for (size_t i = 0; i < n_groups; i++)
    member |= groups[i] == gid;
  if (user->pw_uid != 0 && user->pw_gid != 0)
    self[n++] = user->pw_gid;
  if (member && gid != 0 && (n == 0 || self[0] != gid))
    self[n++] = gid;
  if (n == 2 && self[0] > self[1])
    {
      uint32_t first = self[0];

      self[0] = self[1];
      self[1] = first;
    }
  return n;
}

void
share_maps_load (uid_t owner, uid_t uid, gid_t gid, ShareMaps *ret_maps)
{
  const struct passwd *user = find_user (owner);
  uint32_t self_uid = uid, self_gids[SHARE_SELF_MAX];
  size_t n_gids = choose_groups (user, gid, self_gids);
  ShareRange uids, gids;

  load_range ("/etc/subuid", user->pw_name, owner, &uids);
  load_range ("/etc/subgid", user->pw_name, owner, &gids);
  ret_maps->n_uids = share_map_build (&uids, &self_uid, 1, ret_maps->uids);
  ret_maps->n_gids = share_map_build (&gids, self_gids, n_gids, ret_maps->gids);
  if (ret_maps->n_uids == 0 || ret_maps->n_gids == 0)
    share_die ("the ranges of %s in /etc/subuid and /etc/subgid hold %s's own numbers",
               user->pw_name, user->pw_name);
}
