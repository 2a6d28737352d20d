// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing an archive that an enemy sent below a directory of the host, so that it can do no harm on
// the way.
//
// Everything goes into a fresh private directory first, below which only we make names and no link
// exists; only a whole tree is then moved to its place.
#include "guest/copy-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define CHUNK             (64 * 1024)
#define SPACE_EVERY_BYTES (16 * 1024 * 1024)
#define COMPONENT_MAX     255
#define ENTRY_BYTES       4096
#define OPEN_DIR          (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* A copy under way is such a directory beside its target, locked for as long as it takes. */
#define TEMP_PREFIX ".vms-cp."
/* Who makes one needs a moment before it has the lock. */
#define TEMP_UNLOCKED_SEC 60
/* The one name below the temporary directory. */
#define TOP "x"

typedef struct
{
  SandboxTarReadFunc func;
  gpointer user_data;
  int temp_fd;
  gboolean top_is_file;
  guint64 entries, since_space_check;
  char *buffer;
  SandboxReceiveLinks *links;
} Receiver;

static gboolean
fail_entry (GError **error, const char *name, const char *why)
{
  g_autofree char *shown = sandbox_escape (name, -1, 200);

  return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                       "copying from the machine: \"%s\" %s; nothing was kept", shown, why);
}

gboolean
_sandbox_receive_is_plain (const char *text)
{
  if (!g_utf8_validate (text, -1, NULL))
    return FALSE;
  for (; *text; text = g_utf8_next_char (text))
    if (!sandbox_char_is_plain (g_utf8_get_char (text)))
      return FALSE;
  return TRUE;
}

/* The parts of @name, without those that say nothing; NULL when it may not be. */
static char **
split_name (const char *name, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", -1);
  g_autoptr (GStrvBuilder) kept = g_strv_builder_new ();
  guint n = 0;

  if (name[0] == '/' || !_sandbox_receive_is_plain (name))
    {
      fail_entry (error, name,
                  name[0] == '/' ? "is an absolute name"
                                 : "has characters that no name of ours may have");
      return NULL;
    }
  for (guint i = 0; parts[i]; i++)
    {
      if (g_str_equal (parts[i], "") || g_str_equal (parts[i], "."))
        continue;
      if (g_str_equal (parts[i], "..") || strlen (parts[i]) > COMPONENT_MAX
          || ++n > SANDBOX_RECEIVE_DEPTH_MAX)
        {
          fail_entry (error, name, "leads elsewhere or is too long");
          return NULL;
        }
      g_strv_builder_add (kept, parts[i]);
    }
  return g_strv_builder_end (kept);
}

/* The directory that is to hold the last of @parts; each step by descriptor. */
static int
open_parent (Receiver *receiver, char **parts, const char *name, GError **error)
{
  sandbox_autofd int fd = openat (receiver->temp_fd, TOP, OPEN_DIR);

  for (guint i = 0; fd >= 0 && parts[i] && parts[i + 1]; i++)
    {
      int next = openat (fd, parts[i], OPEN_DIR);
      int saved_errno = errno;

      close (fd);
      fd = next;
      errno = saved_errno;
    }
  if (fd < 0)
    fail_entry (error, name, "comes before its directory");
  return g_steal_fd (&fd);
}

static gboolean
check_space (Receiver *receiver, guint64 length, GError **error)
{
  struct statvfs fs;

  receiver->since_space_check += length;
  if (receiver->since_space_check < SPACE_EVERY_BYTES)
    return TRUE;
  receiver->since_space_check = 0;
  if (fstatvfs (receiver->temp_fd, &fs) < 0
      || (guint64)fs.f_bavail * fs.f_frsize >= SANDBOX_RECEIVE_KEEP_FREE_BYTES)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "copying from the machine: the disk is nearly full; nothing was kept");
}

static gboolean
write_all (int fd, const char *data, gsize length)
{
  while (length > 0)
    {
      gssize n = write (fd, data, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      data += n;
      length -= (gsize)n;
    }
  return TRUE;
}

static gboolean
receive_content (Receiver *receiver, int fd, const SandboxTarEntry *entry, GError **error)
{
  guint64 left = entry->size_bytes;

  while (left > 0)
    {
      gsize part = (gsize)MIN (left, CHUNK);
      gsize whole = (part + SANDBOX_TAR_BLOCK - 1) / SANDBOX_TAR_BLOCK * SANDBOX_TAR_BLOCK;

      if (!receiver->func (receiver->buffer, whole, receiver->user_data, error))
        return FALSE;
      if (!write_all (fd, receiver->buffer, part))
        return sandbox_fail_errno (error, errno, "copying from the machine: writing a file");
      if (!check_space (receiver, whole, error))
        return FALSE;
      left -= part;
    }
  return TRUE;
}

static void
set_time (int fd, gint64 mtime_sec)
{
  struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = mtime_sec } };

  (void)futimens (fd, times);
}

static gboolean
receive_file (Receiver *receiver, int dir_fd, const char *name, const SandboxTarEntry *entry,
              GError **error)
{
  sandbox_autofd int fd = openat (
      dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry->mode & 0777);

  if (fd < 0 && errno == EEXIST)
    return fail_entry (error, entry->name, "was sent twice");
  if (fd < 0)
    return sandbox_fail_errno (error, errno, "copying from the machine: making a file");
  if (!receive_content (receiver, fd, entry, error))
    return FALSE;
  set_time (fd, entry->mtime_sec);
  return TRUE;
}

static gboolean
make_dir (int dir_fd, const char *name, const SandboxTarEntry *entry, GError **error)
{
  if (mkdirat (dir_fd, name, (entry->mode & 0777) | 0700) == 0)
    return TRUE;
  if (errno == EEXIST)
    return fail_entry (error, entry->name, "was sent twice");
  return sandbox_fail_errno (error, errno, "copying from the machine: making a directory");
}

/* The first entry says what is copied: a directory ".", or one file. */
static gboolean
receive_top (Receiver *receiver, const SandboxTarEntry *entry, char **parts, GError **error)
{
  guint n = g_strv_length (parts);

  if (entry->type == SANDBOX_TAR_SYMLINK)
    return fail_entry (error, entry->name, "is a link; name what it leads to");
  receiver->top_is_file = entry->type == SANDBOX_TAR_FILE;
  if (n != (receiver->top_is_file ? 1 : 0))
    return fail_entry (error, entry->name, "is not what was asked for");
  if (receiver->top_is_file)
    return receive_file (receiver, receiver->temp_fd, TOP, entry, error);
  return make_dir (receiver->temp_fd, TOP, entry, error);
}

static gboolean
receive_below (Receiver *receiver, const SandboxTarEntry *entry, char **parts, GError **error)
{
  guint n = g_strv_length (parts);
  sandbox_autofd int fd = -1;

  if (receiver->top_is_file || n == 0)
    return fail_entry (error, entry->name, "is not what was asked for");
  if (entry->type == SANDBOX_TAR_SYMLINK)
    {
      g_autofree char *path = g_strjoinv ("/", parts);

      _sandbox_receive_links_add (receiver->links, path, entry->link != NULL ? entry->link : "");
      return TRUE;
    }
  fd = open_parent (receiver, parts, entry->name, error);
  if (fd < 0)
    return FALSE;
  return entry->type == SANDBOX_TAR_DIR ? make_dir (fd, parts[n - 1], entry, error)
                                        : receive_file (receiver, fd, parts[n - 1], entry, error);
}

static gboolean
receive_entry (Receiver *receiver, const SandboxTarEntry *entry, GError **error)
{
  g_auto (GStrv) parts = NULL;

  if (++receiver->entries > SANDBOX_RECEIVE_ENTRIES_MAX)
    return fail_entry (error, entry->name, "is one file too many");
  /* an empty one takes room too */
  if (!check_space (receiver, ENTRY_BYTES, error))
    return FALSE;
  if (entry->type != SANDBOX_TAR_FILE && entry->type != SANDBOX_TAR_DIR
      && entry->type != SANDBOX_TAR_SYMLINK)
    return fail_entry (error, entry->name, "is neither a file nor a directory");
  parts = split_name (entry->name, error);
  if (!parts)
    return FALSE;
  if (receiver->entries == 1)
    return receive_top (receiver, entry, parts, error);
  return receive_below (receiver, entry, parts, error);
}

static int
open_parent_of (const char *path, gpointer user_data, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);

  return open_parent (user_data, parts, path, error);
}

static gboolean
make_links (Receiver *receiver, GError **error)
{
  sandbox_autofd int top_fd = openat (receiver->temp_fd, TOP, OPEN_DIR);

  /* a single file has none */
  return top_fd < 0
         || _sandbox_receive_links_make (receiver->links, top_fd, open_parent_of, receiver, error);
}

static gboolean
receive_all (Receiver *receiver, GError **error)
{
  for (;;)
    {
      g_auto (SandboxTarEntry) entry = { 0 };
      gboolean end = FALSE;

      if (!sandbox_tar_read_header (receiver->func, receiver->user_data, &entry, &end, error))
        return FALSE;
      if (end)
        break;
      if (!receive_entry (receiver, &entry, error))
        return FALSE;
    }
  if (receiver->entries == 0)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST, "copying from the machine: it sent nothing");
  return TRUE;
}

gboolean
_sandbox_list_names (int dir_fd, GPtrArray *names, GError **error)
{
  int fd = openat (dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir (fd);
  const struct dirent *entry;

  if (!dir)
    {
      sandbox_fail_errno (error, errno, "listing a directory");
      sandbox_close_fd (&fd);
      return FALSE;
    }
  while ((entry = readdir (dir)))
    if (!g_str_equal (entry->d_name, ".") && !g_str_equal (entry->d_name, ".."))
      g_ptr_array_add (names, g_strdup (entry->d_name));
  closedir (dir);
  return TRUE;
}

static gboolean
merge_content (int from_fd, int to_fd, guint depth, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  if (!_sandbox_list_names (from_fd, names, error))
    return FALSE;
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);

      if (!_sandbox_merge (from_fd, name, to_fd, name, depth + 1, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
_sandbox_merge (int from_fd, const char *from, int to_fd, const char *to, guint depth,
                GError **error)
{
  struct stat st_from, st_to;
  sandbox_autofd int from_dir = -1;
  sandbox_autofd int to_dir = -1;

  if (fstatat (from_fd, from, &st_from, AT_SYMLINK_NOFOLLOW) < 0)
    return sandbox_fail_errno (error, errno, "copying from the machine: looking at %s", from);
  if (!S_ISDIR (st_from.st_mode) || fstatat (to_fd, to, &st_to, AT_SYMLINK_NOFOLLOW) < 0
      || !S_ISDIR (st_to.st_mode) || depth > SANDBOX_RECEIVE_DEPTH_MAX)
    {
      /* replaces what has the name, a link itself and not what it points to; not a directory by a
       * file, nor the reverse */
      if (renameat (from_fd, from, to_fd, to) == 0)
        return TRUE;
      return sandbox_fail_errno (error, errno, "copying from the machine: replacing %s", to);
    }
  from_dir = openat (from_fd, from, OPEN_DIR);
  to_dir = openat (to_fd, to, OPEN_DIR);
  if (from_dir < 0 || to_dir < 0)
    return sandbox_fail_errno (error, errno, "copying from the machine: opening directory %s", to);
  return merge_content (from_dir, to_dir, depth, error);
}

static gboolean
rename_new (int from_fd, int to_fd, const char *to)
{
  struct stat st;

  if (renameat2 (from_fd, TOP, to_fd, to, RENAME_NOREPLACE) == 0)
    return TRUE;
  if (errno != EINVAL)
    return FALSE;
  /* a file system that cannot promise it */
  errno = EEXIST;
  return fstatat (to_fd, to, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT
         && renameat (from_fd, TOP, to_fd, to) == 0;
}

static gboolean
put_in_place (Receiver *receiver, int parent_fd, const char *name, gboolean overwrite,
              GError **error)
{
  g_autofree char *shown = sandbox_escape (name, -1, 200);

  if (rename_new (receiver->temp_fd, parent_fd, name))
    return TRUE;
  if (errno != EEXIST)
    return sandbox_fail_errno (error, errno, "copying from the machine: making %s", shown);
  if (!overwrite)
    return sandbox_fail (
        error, SANDBOX_ERROR_EXISTS,
        "copying from the machine: %s is there already; remove it, or choose another name", shown);
  return _sandbox_merge (receiver->temp_fd, TOP, parent_fd, name, 0, error);
}

/* What a killed copy left beside its target: ours, not locked, and not of this very moment. */
static void
remove_abandoned (int parent_fd)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  if (!_sandbox_list_names (parent_fd, names, NULL))
    return;
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);
      sandbox_autofd int fd = -1;
      struct stat st;

      if (!g_str_has_prefix (name, TEMP_PREFIX))
        continue;
      fd = openat (parent_fd, name, OPEN_DIR);
      if (fd >= 0 && fstat (fd, &st) == 0 && st.st_uid == geteuid ()
          && st.st_mtime + TEMP_UNLOCKED_SEC < time (NULL) && flock (fd, LOCK_EX | LOCK_NB) == 0)
        sandbox_remove_at (parent_fd, name, NULL);
    }
}

gboolean
_sandbox_receive (SandboxTarReadFunc func, SandboxReceiveDoneFunc done, gpointer user_data,
                  int parent_fd, const char *name, gboolean overwrite, char **ret_note,
                  GError **error)
{
  g_autoptr (SandboxReceiveLinks) links = _sandbox_receive_links_new ();
  g_autofree char *temp =
      g_strdup_printf (TEMP_PREFIX "%08x%08x", g_random_int (), g_random_int ());
  g_autofree char *buffer = g_malloc (CHUNK);
  Receiver receiver = {
    .func = func, .user_data = user_data, .temp_fd = -1, .buffer = buffer, .links = links
  };
  gboolean ok;

  remove_abandoned (parent_fd);
  if (mkdirat (parent_fd, temp, 0700) < 0)
    return sandbox_fail_errno (error, errno, "copying from the machine: making a directory for it");
  receiver.temp_fd = openat (parent_fd, temp, OPEN_DIR);
  /* a file system without locks: then nobody else removes it either */
  (void)flock (receiver.temp_fd, LOCK_SH | LOCK_NB);
  ok = receiver.temp_fd >= 0 ? receive_all (&receiver, error) && (!done || done (user_data, error))
                                   && make_links (&receiver, error)
                                   && put_in_place (&receiver, parent_fd, name, overwrite, error)
                             : sandbox_fail_errno (error, errno, "copying from the machine");
  sandbox_close_fd (&receiver.temp_fd);
  sandbox_remove_at (parent_fd, temp, NULL);
  if (ok)
    *ret_note = _sandbox_receive_links_note (links);
  return ok;
}
