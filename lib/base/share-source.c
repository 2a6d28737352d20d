// SPDX-License-Identifier: LGPL-2.1-or-later
// What a share's source really is on this host: whose it is, who else could exchange it, and where
// its links lead.
#include "base/file.h"

#include "base/error.h"
#include "base/names.h"
#include "base/share-path-private.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LINKS_MAX  40
#define FUSE_MAGIC 0x65735546

typedef struct
{
  const char *shown;
  uid_t uid;
  GString *resolved; /* "" is the root directory */
  GString *rest;     /* what is still to be walked */
  guint n_links;
} Walk;

static gboolean
    G_GNUC_PRINTF (3, 4) fail_source (GError **error, const Walk *walk, const char *format, ...)
{
  g_autofree char *reason = NULL;
  va_list args;

  va_start (args, format);
  reason = g_strdup_vprintf (format, args);
  va_end (args);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "sharing directory %s: %s", walk->shown,
                       reason);
}

static gboolean
is_trusted (const Walk *walk, const struct stat *st)
{
  return st->st_uid == 0 || st->st_uid == walk->uid;
}

/* Puts where the link leads before what is still to be walked. */
static gboolean
follow_link (Walk *walk, const char *path, const struct stat *st, GError **error)
{
  char target[PATH_MAX];
  gssize length;

  if (!is_trusted (walk, st))
    return fail_source (error, walk, "the link %s on the way belongs to uid %u, who could turn it",
                        path, (guint)st->st_uid);
  if (++walk->n_links > LINKS_MAX)
    return fail_source (error, walk, "it has more than %d symbolic links on the way", LINKS_MAX);
  length = readlink (path, target, sizeof target - 1);
  if (length < 0)
    return sandbox_fail_errno (error, errno, "sharing directory %s: reading the link %s",
                               walk->shown, path);
  target[length] = '\0';
  if (target[0] == '/')
    g_string_truncate (walk->resolved, 0);
  g_string_prepend (walk->rest, "/");
  g_string_prepend (walk->rest, target);
  return TRUE;
}

static gboolean
check_on_the_way (Walk *walk, const char *path, const struct stat *st, GError **error)
{
  if (!S_ISDIR (st->st_mode))
    return fail_source (error, walk, "%s is no directory", path);
  if (!is_trusted (walk, st))
    return fail_source (error, walk, "%s belongs to uid %u, who could exchange it", path,
                        (guint)st->st_uid);
  if ((st->st_mode & S_IWOTH) && !(st->st_mode & S_ISVTX))
    return fail_source (error, walk, "everybody may write in %s; run: chmod o-w '%s'", path, path);
  return TRUE;
}

static gboolean
step_into (Walk *walk, const char *name, GError **error)
{
  gsize before = walk->resolved->len;
  struct stat st;

  if (name[0] == '\0' || g_str_equal (name, "."))
    return TRUE;
  if (g_str_equal (name, ".."))
    {
      const char *slash = strrchr (walk->resolved->str, '/');

      g_string_truncate (walk->resolved, slash ? (gsize)(slash - walk->resolved->str) : 0);
      return TRUE;
    }
  g_string_append_printf (walk->resolved, "/%s", name);
  if (lstat (walk->resolved->str, &st) < 0)
    {
      int saved_errno = errno;

      if (saved_errno == ENOENT)
        return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                             "sharing directory %s: there is none; make it with: mkdir -p '%s'",
                             walk->shown, walk->shown);
      return sandbox_fail_errno (error, saved_errno, "sharing directory %s", walk->shown);
    }
  if (S_ISLNK (st.st_mode))
    {
      g_autofree char *link = g_strdup (walk->resolved->str);

      g_string_truncate (walk->resolved, before);
      return follow_link (walk, link, &st, error);
    }
  return check_on_the_way (walk, walk->resolved->str, &st, error);
}

static gboolean
walk_path (Walk *walk, GError **error)
{
  while (walk->rest->len > 0)
    {
      gsize length = strcspn (walk->rest->str, "/");
      g_autofree char *name = g_strndup (walk->rest->str, length);

      g_string_erase (walk->rest, 0, (gssize)MIN (length + 1, walk->rest->len));
      if (!step_into (walk, name, error))
        return FALSE;
    }
  return TRUE;
}

/* Where libvirt's daemon cannot get in (root is nobody there), or what is no storage at all. */
static const char *
unfit_file_system (const char *path)
{
  struct statfs fs;

  if (statfs (path, &fs) < 0)
    return NULL;
  switch ((guint32)fs.f_type)
    {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case AFS_SUPER_MAGIC:
    case AFS_FS_MAGIC:
    case CODA_SUPER_MAGIC:
    case CEPH_SUPER_MAGIC:
      return "it is on a network file system";
    case FUSE_MAGIC:
      return "it is on a FUSE file system";
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case BPF_FS_MAGIC:
      return "it is on a file system of the kernel";
    default:
      return NULL;
    }
}

static gboolean
check_last (Walk *walk, GError **error)
{
  const char *unfit = unfit_file_system (walk->resolved->str);
  struct stat st;

  if (stat (walk->resolved->str, &st) < 0)
    return sandbox_fail_errno (error, errno, "sharing directory %s", walk->shown);
  if (st.st_uid != walk->uid)
    return fail_source (error, walk, "it belongs to uid %u, not to you (uid %u)", (guint)st.st_uid,
                        (guint)walk->uid);
  if (st.st_mode & S_IWOTH)
    return fail_source (error, walk, "everybody may write in it; run: chmod o-w '%s'", walk->shown);
  if (unfit)
    return fail_source (error, walk, "%s; use a directory on a local disk", unfit);
  return TRUE;
}

/* The home directory of @uid with its links resolved; NULL if unknown. */
static char *
home_of (uid_t uid)
{
  char buffer[16384];
  struct passwd entry, *found = NULL;
  const char *home = NULL;
  char *resolved;
  char *copy;

  if (uid == geteuid ())
    home = g_get_home_dir ();
  else if (getpwuid_r (uid, &entry, buffer, sizeof buffer, &found) == 0 && found)
    home = found->pw_dir;
  resolved = home && home[0] == '/' ? realpath (home, NULL) : NULL;
  copy = g_strdup (resolved);
  free (resolved);
  return copy;
}

static gboolean
check_own_place (Walk *walk, const char *parent, GError **error)
{
  g_autofree char *ours = g_build_filename (parent, "vms", NULL);

  if (sandbox_path_overlaps (walk->resolved->str, ours))
    return fail_source (error, walk, "profiles and keys of machines are kept in %s", ours);
  return TRUE;
}

/* The rules about text once more, for where the path really leads. */
static gboolean
check_place (Walk *walk, GError **error)
{
  const char *path = walk->resolved->str;
  g_autofree char *home = home_of (walk->uid);
  g_autofree char *config = sandbox_user_dir (g_get_user_config_dir (), ".config");
  g_autofree char *data = sandbox_user_dir (g_get_user_data_dir (), ".local/share");
  gsize length = home ? strlen (home) : 0;

  if (!sandbox_share_source_text_check (path, error))
    return FALSE;
  if (home && length > 1 && sandbox_path_overlaps (path, home))
    {
      const char *below = strlen (path) > length ? path + length + 1 : "";

      if (!_sandbox_share_home_check (path, below, error))
        return FALSE;
    }
  return check_own_place (walk, config, error) && check_own_place (walk, data, error);
}

gboolean
sandbox_share_source_check (const char *path, uid_t uid, char **ret_resolved, GError **error)
{
  g_autofree char *shown = sandbox_escape (path, -1, 200);
  g_autoptr (GString) resolved = g_string_new (NULL);
  g_autoptr (GString) rest = g_string_new (path);
  Walk walk = { .shown = shown, .uid = uid, .resolved = resolved, .rest = rest };

  if (path[0] != '/')
    return fail_source (error, &walk, "the path does not begin with /");
  if (strlen (path) > SANDBOX_SHARE_PATH_MAX)
    return fail_source (error, &walk, "the path is longer than %d bytes", SANDBOX_SHARE_PATH_MAX);
  if (!walk_path (&walk, error))
    return FALSE;
  if (resolved->len == 0)
    g_string_assign (resolved, "/");
  if (!check_place (&walk, error) || !check_last (&walk, error))
    return FALSE;
  if (ret_resolved)
    *ret_resolved = g_strdup (resolved->str);
  return TRUE;
}
