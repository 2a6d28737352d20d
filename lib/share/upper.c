// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading what a machine says that it changed: an archive of its overlay's upper directory, from an
// enemy. Content goes into one unlinked file of ours; no name of the archive's is ever made.
//
// What no honest machine sends fails the whole reading. What an honest one may have, but this host
// must not get, is kept as an entry with the reason.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHUNK             (64 * 1024)
#define SPACE_EVERY_BYTES (16 * 1024 * 1024)

typedef struct
{
  SandboxTarReadFunc func;
  gpointer user_data;
  SandboxUpper *upper;
  char *buffer;
  guint64 since_space_check;
  gint64 deadline;
} Reader;

static gboolean
fail_entry (GError **error, const char *name, const char *why)
{
  g_autofree char *shown = sandbox_escape (name, -1, 200);

  return sandbox_fail (error, SANDBOX_ERROR_GUEST, "reading the machine's changes: \"%s\" %s",
                       shown, why);
}

static void
entry_free (gpointer data)
{
  SandboxUpperEntry *entry = data;

  g_free (entry->path);
  g_free (entry->link);
  g_free (entry);
}

SandboxUpperEntry *
_sandbox_upper_find (const SandboxUpper *upper, const char *path)
{
  return g_hash_table_lookup (upper->by_path, path);
}

void
_sandbox_upper_hash (const SandboxUpperEntry *entry, guint8 ret_hash[SANDBOX_HASH_BYTES])
{
  if (entry->type == SANDBOX_UPPER_SYMLINK)
    _sandbox_text_hash (entry->link, ret_hash);
  else
    memcpy (ret_hash, entry->hash, SANDBOX_HASH_BYTES);
}

static gboolean
read_all (gpointer data, gsize length, gpointer user_data, GError **error)
{
  Reader *reader = user_data;

  if (g_get_monotonic_time () > reader->deadline)
    return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                         "reading the machine's changes: it was not done within an hour");
  return reader->func (data, length, reader->user_data, error);
}

/* "./a/b/" -> "a/b"; NULL with @error for a name that leads elsewhere. */
static char *
clean_path (const char *name, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", -1);
  g_autoptr (GString) path = g_string_new (NULL);
  guint depth = 0;

  if (name[0] == '/')
    {
      fail_entry (error, name, "is an absolute name");
      return NULL;
    }
  for (guint i = 0; parts[i]; i++)
    {
      /* archives of ours begin with "./", directories end with "/" */
      if ((i == 0 && strcmp (parts[i], ".") == 0) || (i > 0 && !parts[i][0] && !parts[i + 1]))
        continue;
      if (!parts[i][0] || strcmp (parts[i], ".") == 0 || strcmp (parts[i], "..") == 0)
        {
          fail_entry (error, name, "is a name with dots or nothing between slashes");
          return NULL;
        }
      if (++depth > SANDBOX_UPPER_DEPTH_MAX)
        {
          fail_entry (error, name, "lies too deep");
          return NULL;
        }
      g_string_append_printf (path, "%s%s", path->len ? "/" : "", parts[i]);
    }
  return g_string_free (g_steal_pointer (&path), FALSE);
}

/* What was sent as what @path lies in; NULL. */
static const SandboxUpperEntry *
find_parent (const SandboxUpper *upper, const char *path)
{
  const char *slash = strrchr (path, '/');
  g_autofree char *above = g_strndup (path, slash ? (gsize)(slash - path) : 0);

  return _sandbox_upper_find (upper, above);
}

/* What the name alone, and the directory it is in, say. */
static gboolean
judge_name (SandboxUpper *upper, SandboxUpperEntry *entry, const char *name, GError **error)
{
  const char *slash = strrchr (entry->path, '/');
  const SandboxUpperEntry *parent = find_parent (upper, entry->path);

  if (!parent)
    return fail_entry (error, name, "comes before its directory");
  if (parent->type != SANDBOX_UPPER_DIR)
    return fail_entry (error, name, "lies in what is no directory");
  /* an overlay shows nothing of the host's below such a directory, and marks none of those that are
   * made in it */
  entry->opaque = entry->opaque || (entry->type == SANDBOX_UPPER_DIR && parent->opaque);
  entry->git = parent->git;
  entry->refusal = parent->refusal ? "it lies in a directory that is refused"
                                   : _sandbox_class_refuse_name (slash ? slash + 1 : entry->path);
  if (!entry->git && !entry->refusal)
    _sandbox_class_of (entry->path, &entry->git);
  return TRUE;
}

static gboolean
add_entry (SandboxUpper *upper, SandboxUpperEntry *owned, const char *name, GError **error)
{
  SandboxUpperEntry *entry = owned;
  gboolean top = entry->path[0] == '\0';
  gboolean ok = TRUE;

  upper->text_bytes += strlen (entry->path) + (entry->link ? strlen (entry->link) : 0);
  if (upper->entries->len >= SANDBOX_UPPER_ENTRIES_MAX)
    ok = sandbox_fail (error, SANDBOX_ERROR_GUEST,
                       "reading the machine's changes: it has more than %d of them; remove some in "
                       "the machine, or build outside of the share",
                       SANDBOX_UPPER_ENTRIES_MAX);
  else if (upper->text_bytes > SANDBOX_UPPER_TEXT_MAX)
    ok = sandbox_fail (error, SANDBOX_ERROR_GUEST,
                       "reading the machine's changes: their names and links are longer than "
                       "128 MiB together; remove some in the machine");
  else if (_sandbox_upper_find (upper, entry->path))
    ok = fail_entry (error, name, "was sent twice");
  else if (top != (upper->entries->len == 0))
    ok = fail_entry (error, name, "is not what was asked for");
  else if (top && (entry->type != SANDBOX_UPPER_DIR || entry->opaque))
    ok = fail_entry (error, name, "is no layer over the shared directory");
  else if (!top)
    ok = judge_name (upper, entry, name, error);
  if (!ok)
    {
      entry_free (entry);
      return FALSE;
    }
  g_ptr_array_add (upper->entries, entry);
  g_hash_table_insert (upper->by_path, entry->path, entry);
  return TRUE;
}

static gboolean
check_space (Reader *reader, guint64 length, GError **error)
{
  struct statvfs fs;

  reader->since_space_check += length;
  if (reader->since_space_check < SPACE_EVERY_BYTES)
    return TRUE;
  reader->since_space_check = 0;
  if (fstatvfs (reader->upper->spool_fd, &fs) < 0
      || (guint64)fs.f_bavail * fs.f_frsize >= SANDBOX_UPPER_KEEP_FREE)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "reading the machine's changes: this host's disk is nearly full");
}

static gboolean
spool (SandboxUpper *upper, const char *data, gsize length, GError **error)
{
  while (length > 0)
    {
      gssize n = pwrite (upper->spool_fd, data, length, (off_t)upper->spool_bytes);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return sandbox_fail_errno (error, errno, "keeping the machine's changes");
      data += n;
      length -= (gsize)n;
      upper->spool_bytes += (guint64)n;
    }
  return TRUE;
}

static gboolean
read_content (Reader *reader, SandboxUpperEntry *entry, const char *name, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  guint64 left = entry->size_bytes;
  gsize hash_length = SANDBOX_HASH_BYTES;

  if (entry->size_bytes > SANDBOX_UPPER_FILE_MAX)
    return fail_entry (error, name, "is larger than a file of a change set may be (4 GiB)");
  if (reader->upper->spool_bytes + entry->size_bytes > SANDBOX_UPPER_TOTAL_MAX)
    return fail_entry (error, name, "makes the changes more than 32 GiB");
  entry->offset = reader->upper->spool_bytes;
  while (left > 0)
    {
      gsize part = (gsize)MIN (left, CHUNK);
      gsize whole = (part + SANDBOX_TAR_BLOCK - 1) / SANDBOX_TAR_BLOCK * SANDBOX_TAR_BLOCK;

      if (!read_all (reader->buffer, whole, reader, error)
          || !spool (reader->upper, reader->buffer, part, error)
          || !check_space (reader, whole, error))
        return FALSE;
      g_checksum_update (sum, (const guchar *)reader->buffer, (gssize)part);
      left -= part;
    }
  g_checksum_get_digest (sum, entry->hash, &hash_length);
  return TRUE;
}

static SandboxUpperType
upper_type (SandboxTarType type)
{
  switch (type)
    {
    case SANDBOX_TAR_FILE:
    case SANDBOX_TAR_HARDLINK:
      return SANDBOX_UPPER_FILE;
    case SANDBOX_TAR_DIR:
      return SANDBOX_UPPER_DIR;
    case SANDBOX_TAR_SYMLINK:
      return SANDBOX_UPPER_SYMLINK;
    case SANDBOX_TAR_WHITEOUT:
      return SANDBOX_UPPER_WHITEOUT;
    case SANDBOX_TAR_OTHER:
      break;
    }
  return SANDBOX_UPPER_OTHER;
}

/* A file of its own with the content of the one that it is a link to, which came before. Links and
 * whiteouts can have several names, too: overlays make one for many deletions. */
static gboolean
resolve_hard_link (SandboxUpper *upper, SandboxUpperEntry *entry, const SandboxTarEntry *from,
                   GError **error)
{
  g_autofree char *path = clean_path (from->link, error);
  const SandboxUpperEntry *other = path ? _sandbox_upper_find (upper, path) : NULL;

  if (!path)
    return FALSE;
  if (!other || other == entry || other->type == SANDBOX_UPPER_DIR)
    return fail_entry (error, from->name, "is a hard link to what was not sent");
  entry->type = other->type;
  entry->link = g_strdup (other->link);
  upper->text_bytes += other->link ? strlen (other->link) : 0;
  entry->shared = other->type == SANDBOX_UPPER_FILE;
  entry->offset = other->offset;
  entry->size_bytes = other->size_bytes;
  memcpy (entry->hash, other->hash, sizeof entry->hash);
  /* a file that is refused for what it is, not for its name, is so under each of its names */
  if (!entry->refusal && (other->mode & (S_ISUID | S_ISGID)))
    entry->mode |= S_ISUID;
  return TRUE;
}

/* What is in it, as far as it is not the name. */
static void
judge_content (SandboxUpperEntry *entry, const SandboxTarEntry *from)
{
  if (entry->refusal || entry->git)
    return;
  if (from->overlay)
    entry->refusal = "its overlay says that its content, or its name, is elsewhere";
  else if (entry->opaque && entry->type != SANDBOX_UPPER_DIR)
    entry->refusal = "its overlay says of what is no directory what only directories are";
  else if (entry->type == SANDBOX_UPPER_OTHER)
    entry->refusal = "it is a device, a FIFO or something else that is no file";
  else if (entry->type == SANDBOX_UPPER_FILE && (entry->mode & (S_ISUID | S_ISGID)))
    entry->refusal = "it is setuid or setgid";
  else if (entry->type == SANDBOX_UPPER_SYMLINK)
    entry->refusal = _sandbox_class_refuse_link (entry->path, entry->link);
}

static gboolean
read_entry (Reader *reader, const SandboxTarEntry *from, GError **error)
{
  SandboxUpper *upper = reader->upper;
  g_autofree char *path = clean_path (from->name, error);
  SandboxUpperEntry *entry;

  if (!path)
    return FALSE;
  entry = g_new0 (SandboxUpperEntry, 1);
  entry->path = g_steal_pointer (&path);
  entry->type = upper_type (from->type);
  entry->opaque = from->opaque;
  entry->mode = from->mode;
  entry->size_bytes = from->size_bytes;
  if (from->type == SANDBOX_TAR_SYMLINK)
    entry->link = g_strdup (from->link);
  if (!add_entry (upper, entry, from->name, error))
    return FALSE;
  if (from->type == SANDBOX_TAR_HARDLINK && !resolve_hard_link (upper, entry, from, error))
    return FALSE;
  if (from->type == SANDBOX_TAR_FILE && !read_content (reader, entry, from->name, error))
    return FALSE;
  judge_content (entry, from);
  return TRUE;
}

static gboolean
read_entries (Reader *reader, GError **error)
{
  for (;;)
    {
      g_auto (SandboxTarEntry) entry = { 0 };
      gboolean end = FALSE;

      if (!sandbox_tar_read_header (read_all, reader, &entry, &end, error))
        return FALSE;
      if (end)
        break;
      if (!read_entry (reader, &entry, error) || !check_space (reader, SANDBOX_TAR_BLOCK, error))
        return FALSE;
    }
  if (reader->upper->entries->len == 0)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                         "reading the machine's changes: it sent nothing");
  return TRUE;
}

SandboxUpper *
_sandbox_upper_read (SandboxTarReadFunc func, gpointer user_data, int private_fd, GError **error)
{
  g_autoptr (SandboxUpper) upper = g_new0 (SandboxUpper, 1);
  g_autofree char *buffer = g_malloc (CHUNK);
  Reader reader = { .func = func,
                    .user_data = user_data,
                    .upper = upper,
                    .buffer = buffer,
                    .deadline = g_get_monotonic_time () + SANDBOX_UPPER_TIME_USEC };

  upper->entries = g_ptr_array_new_with_free_func (entry_free);
  upper->by_path = g_hash_table_new (g_str_hash, g_str_equal);
  upper->spool_fd = openat (private_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (upper->spool_fd < 0)
    {
      sandbox_fail_errno (error, errno, "making a file for the machine's changes");
      return NULL;
    }
  return read_entries (&reader, error) ? g_steal_pointer (&upper) : NULL;
}

gboolean
_sandbox_upper_add_left_out (SandboxUpper *upper, const char *path, gboolean large, GError **error)
{
  g_autofree char *clean = clean_path (path, error);
  const SandboxUpperEntry *parent = clean ? find_parent (upper, clean) : NULL;
  SandboxUpperEntry *entry;

  if (!clean)
    return FALSE;
  /* it changed between the two looks */
  if (_sandbox_upper_find (upper, clean))
    return TRUE;
  /* so did what it lies in */
  if (!parent || parent->type != SANDBOX_UPPER_DIR)
    {
      upper->unsettled = TRUE;
      return TRUE;
    }
  entry = g_new0 (SandboxUpperEntry, 1);
  entry->path = g_steal_pointer (&clean);
  entry->type = SANDBOX_UPPER_OTHER;
  if (!add_entry (upper, entry, path, error))
    return FALSE;
  if (!entry->refusal)
    entry->refusal = large ? "it is larger than 4 GiB: copy it with vms cp"
                           : "it is a socket or something else that is no file";
  return TRUE;
}

gboolean
_sandbox_upper_add_text (SandboxUpper *upper, const char *text, gsize length, guint64 *ret_offset,
                         GError **error)
{
  if (pwrite (upper->spool_fd, text, length, (off_t)upper->spool_bytes) != (gssize)length)
    return sandbox_fail_errno (error, errno, "keeping a text");
  *ret_offset = upper->spool_bytes;
  upper->spool_bytes += length;
  return TRUE;
}

void
_sandbox_upper_free (SandboxUpper *upper)
{
  g_clear_pointer (&upper->by_path, g_hash_table_unref);
  g_clear_pointer (&upper->entries, g_ptr_array_unref);
  sandbox_close_fd (&upper->spool_fd);
  g_free (upper);
}
