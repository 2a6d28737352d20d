// SPDX-License-Identifier: LGPL-2.1-or-later
// Going to a path by descriptors, through links that are the caller's own and through none that
// somebody else may have put there.
#include "base/file.h"

#include "base/error.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40
#define OPEN_STEP (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

typedef struct
{
  const char *shown;
  const char *const *untrusted;
  gboolean follow_last;
  GString *rest; /* what is still to be walked */
  int fd;        /* where we are */
  guint n_links;
} Walk;

static gboolean
fail_walk (GError **error, int saved_errno, const Walk *walk)
{
  g_autofree char *shown = sandbox_escape (walk->shown, -1, 200);

  return sandbox_fail_errno (error, saved_errno, "going to %s", shown);
}

/* The next part of the way, without those that say nothing; NULL: there is none. */
static char *
next_part (Walk *walk)
{
  for (;;)
    {
      gsize skip = strspn (walk->rest->str, "/");
      gsize length = strcspn (walk->rest->str + skip, "/");
      g_autofree char *part = g_strndup (walk->rest->str + skip, length);

      g_string_erase (walk->rest, 0, (gssize)(skip + length));
      if (length == 0)
        return NULL;
      if (!g_str_equal (part, "."))
        return g_steal_pointer (&part);
    }
}

static gboolean
is_last (Walk *walk)
{
  const char *rest = walk->rest->str;

  while (*rest == '/' || (rest[0] == '.' && (rest[1] == '/' || rest[1] == '\0')))
    rest++;
  return *rest == '\0';
}

/* A link here is not followed if "here" is a place that somebody else writes to. */
static gboolean
check_place (Walk *walk, const char *name, GError **error)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", walk->fd);
  g_autofree char *here = g_file_read_link (link, NULL);

  for (const char *const *place = walk->untrusted; here && place && *place; place++)
    if (g_str_equal (here, *place)
        || (g_str_has_prefix (here, *place) && here[strlen (*place)] == '/'))
      {
        g_autofree char *shown = sandbox_escape (walk->shown, -1, 200);
        g_autofree char *shown_name = sandbox_escape (name, -1, 100);

        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "going to %s: \"%s\" in %s is a symbolic link, and a machine that "
                             "shares that directory may have put it there; name what it leads to, "
                             "if you mean that",
                             shown, shown_name, here);
      }
  return here != NULL || fail_walk (error, errno, walk);
}

static gboolean
step_to (Walk *walk, int fd, GError **error)
{
  if (fd < 0)
    return fail_walk (error, errno, walk);
  sandbox_close_fd (&walk->fd);
  walk->fd = fd;
  return TRUE;
}

/* Puts where the link leads before what is still to be walked. */
static gboolean
follow_link (Walk *walk, const char *name, GError **error)
{
  char target[PATH_MAX];
  gssize length = readlinkat (walk->fd, name, target, sizeof target - 1);

  if (length < 0)
    return fail_walk (error, errno, walk);
  if (++walk->n_links > LINKS_MAX)
    return fail_walk (error, ELOOP, walk);
  if (!check_place (walk, name, error))
    return FALSE;
  target[length] = '\0';
  g_string_prepend (walk->rest, "/");
  g_string_prepend (walk->rest, target);
  return target[0] != '/' || step_to (walk, open ("/", OPEN_STEP), error);
}

/* Until the last part, which becomes *@ret_name. */
static gboolean
walk_on (Walk *walk, char **ret_name, GError **error)
{
  for (;;)
    {
      g_autofree char *part = next_part (walk);
      struct stat st;

      if (!part)
        {
          *ret_name = g_strdup (".");
          return TRUE;
        }
      if (fstatat (walk->fd, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK (st.st_mode)
          && (walk->follow_last || !is_last (walk)))
        {
          if (!follow_link (walk, part, error))
            return FALSE;
          continue;
        }
      if (is_last (walk) && !g_str_equal (part, ".."))
        {
          *ret_name = g_steal_pointer (&part);
          return TRUE;
        }
      if (!step_to (walk, openat (walk->fd, part, OPEN_STEP), error))
        return FALSE;
    }
}

int
sandbox_walk (const char *path, const char *const *untrusted, gboolean follow_last, char **ret_name,
              GError **error)
{
  Walk walk = { .shown = path, .untrusted = untrusted, .follow_last = follow_last };
  g_autofree char *name = NULL;
  gboolean ok;

  walk.rest = g_string_new (path);
  walk.fd = open (path[0] == '/' ? "/" : ".", OPEN_STEP);
  ok = walk.fd >= 0 ? walk_on (&walk, &name, error) : fail_walk (error, errno, &walk);
  g_string_free (walk.rest, TRUE);
  if (!ok)
    {
      sandbox_close_fd (&walk.fd);
      return -1;
    }
  *ret_name = g_steal_pointer (&name);
  return walk.fd;
}
