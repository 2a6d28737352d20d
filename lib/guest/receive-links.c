// SPDX-License-Identifier: LGPL-2.1-or-later
// Symbolic links of an archive that an enemy sent: those that lead to something in the same tree
// are made, when all else of it is there; the others are left out and named.
//
// Where a link leads is asked of the kernel, which goes no step out of the tree for the answer: a
// way through other links, ".." and names that look alike is judged by what it is. Nothing is
// written after they are made, so nothing is written through one. Each of them goes up first and
// then only down, so that what it leads to stays within whatever link replaces another one later.
#include "guest/copy-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What more of them would take of our memory is left out. */
#define LINKS_MAX       (200 * 1000)
#define LINKS_MAX_BYTES (G_GUINT64_CONSTANT (64) * 1024 * 1024)
/* So many are named. */
#define NAMED_MAX 5
/* The kernel gives up on ".." when something is renamed on the host meanwhile. */
#define ASK_TRIES 1000

typedef struct
{
  char *path, *target;
} Link;

struct _SandboxReceiveLinks
{
  GArray *links; /* of Link */
  GString *named;
  guint64 n_left_out, bytes;
};

static void
link_clear (gpointer data)
{
  Link *link = data;

  g_free (link->path);
  g_free (link->target);
}

SandboxReceiveLinks *
_sandbox_receive_links_new (void)
{
  SandboxReceiveLinks *links = g_new0 (SandboxReceiveLinks, 1);

  links->links = g_array_new (FALSE, FALSE, sizeof (Link));
  g_array_set_clear_func (links->links, link_clear);
  links->named = g_string_new (NULL);
  return links;
}

void
_sandbox_receive_links_free (SandboxReceiveLinks *links)
{
  g_array_unref (links->links);
  g_string_free (links->named, TRUE);
  g_free (links);
}

static void
leave_out (SandboxReceiveLinks *links, const char *path)
{
  g_autofree char *shown = sandbox_escape (path, -1, 100);

  if (++links->n_left_out <= NAMED_MAX)
    g_string_append_printf (links->named, "%s\"%s\"", links->named->len > 0 ? ", " : "", shown);
}

/* Leading ".."s go through directories, and nothing ever puts a link in the place of one. After a
 * name it is another matter: if that is a link, a later copy may put another one there, and what is
 * judged now would lead elsewhere then. */
static gboolean
is_straight (const char *target)
{
  g_auto (GStrv) parts = g_strsplit (target, "/", -1);
  gboolean named = FALSE;

  for (char **part = parts; *part != NULL; part++)
    if (g_str_equal (*part, ".."))
      {
        if (named)
          return FALSE;
      }
    else
      named |= **part != '\0' && !g_str_equal (*part, ".");
  return TRUE;
}

void
_sandbox_receive_links_add (SandboxReceiveLinks *links, const char *path, const char *target)
{
  Link link;

  links->bytes += sizeof link + strlen (path) + strlen (target);
  if (target[0] == '\0' || target[0] == '/' || !_sandbox_receive_is_plain (target)
      || !is_straight (target) || links->links->len >= LINKS_MAX || links->bytes > LINKS_MAX_BYTES)
    {
      leave_out (links, path);
      return;
    }
  link.path = g_strdup (path);
  link.target = g_strdup (target);
  g_array_append_val (links->links, link);
}

/* Something is there, and the way to it stays below @top_fd. */
static gboolean
leads_within (int top_fd, const char *path)
{
  struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                          .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
  int fd = -1;

  for (guint i = 0; fd < 0 && i < ASK_TRIES; i++)
    {
      fd = (int)syscall (SYS_openat2, top_fd, path, &how, sizeof how);
      if (fd < 0 && errno != EAGAIN && errno != EINTR)
        return FALSE;
    }
  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

static gboolean
make (const Link *link, int dir_fd, const char *name, GError **error)
{
  g_autofree char *shown = sandbox_escape (link->path, -1, 200);

  if (symlinkat (link->target, dir_fd, name) == 0)
    return TRUE;
  if (errno == EEXIST)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                         "copying from the machine: \"%s\" was sent twice; nothing was kept",
                         shown);
  /* a file system without links, or without such long ones: it is missed when it is judged */
  return errno == EPERM || errno == EOPNOTSUPP || errno == ENAMETOOLONG
         || sandbox_fail_errno (error, errno, "copying from the machine: making the link %s",
                                shown);
}

static gboolean
take_away (const Link *link, int dir_fd, const char *name, GError **error)
{
  return unlinkat (dir_fd, name, 0) == 0 || errno == ENOENT
         || sandbox_fail_errno (error, errno, "copying from the machine: leaving out a link");
}

gboolean
_sandbox_receive_links_make (SandboxReceiveLinks *links, int top_fd,
                             SandboxReceiveParentFunc parent, gpointer user_data, GError **error)
{
  /* all of them first: one may lead on through another. What leads through one that is taken away
   * led out with it, and goes too. */
  for (guint i = 0; i < 2 * links->links->len; i++)
    {
      gboolean judging = i >= links->links->len;
      const Link *link = &g_array_index (links->links, Link, i % links->links->len);
      g_autofree char *name = g_path_get_basename (link->path);
      sandbox_autofd int fd = -1;

      if (judging && leads_within (top_fd, link->path))
        continue;
      fd = parent (link->path, user_data, error);
      if (fd < 0 || !(judging ? take_away (link, fd, name, error) : make (link, fd, name, error)))
        return FALSE;
      if (judging)
        leave_out (links, link->path);
    }
  return TRUE;
}

char *
_sandbox_receive_links_note (const SandboxReceiveLinks *links)
{
  g_autoptr (GString) note = NULL;

  if (links->n_left_out == 0)
    return NULL;
  note = g_string_new (NULL);
  g_string_append_printf (note,
                          "%s left out, since %s not lead straight to something in the copy: %s",
                          links->n_left_out == 1 ? "a link is" : "links are",
                          links->n_left_out == 1 ? "it does" : "they do", links->named->str);
  if (links->n_left_out > NAMED_MAX)
    g_string_append_printf (note, " and %" G_GUINT64_FORMAT " more", links->n_left_out - NAMED_MAX);
  return g_string_free (g_steal_pointer (&note), FALSE);
}
