// SPDX-License-Identifier: LGPL-2.1-or-later
// What reads: passed on as it is. Nothing is cached beyond what the daemon's own look-up needs, so
// that the host's edits are seen as soon as in a share of mode=rw.
#include "filter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READ_MAX (1024 * 1024)

typedef struct
{
  DIR *dir;
  off_t at;
  const struct dirent *pending; /* read, but had no room in the last answer */
} Listing;

static void
on_init (void *data, struct fuse_conn_info *conn)
{
  /* the daemon gives the modes that it wants; the host's edits make what was read old */
  conn->want |= conn->capable & (FUSE_CAP_DONT_MASK | FUSE_CAP_AUTO_INVAL_DATA);
  conn->want &= ~(unsigned)(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE
                            | FUSE_CAP_SPLICE_MOVE);
}

void
reply_entry (fuse_req_t req, Node *parent, const char *name)
{
  struct fuse_entry_param entry;
  int code = node_look_up (parent, name, &entry);

  if (code != 0)
    fuse_reply_err (req, code);
  else
    fuse_reply_entry (req, &entry);
}

static void
on_lookup (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  reply_entry (req, node_of (parent), name);
}

static void
on_forget (fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
  node_forget (node_of (ino), n);
  fuse_reply_none (req);
}

static void
on_forget_multi (fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
  for (size_t i = 0; i < count; i++)
    node_forget (node_of (forgets[i].ino), forgets[i].nlookup);
  fuse_reply_none (req);
}

static void
on_getattr (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
  struct stat attr;
  int code = node_stat (node_of (ino), &attr);

  if (code != 0)
    fuse_reply_err (req, code);
  else
    fuse_reply_attr (req, &attr, ATTR_SEC);
}

static void
on_readlink (fuse_req_t req, fuse_ino_t ino)
{
  char target[4097];
  ssize_t n = readlinkat (node_of (ino)->fds[0], "", target, sizeof target - 1);

  if (n < 0)
    {
      fuse_reply_err (req, errno);
      return;
    }
  target[n] = '\0';
  fuse_reply_readlink (req, target);
}

static void
on_read (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info)
{
  static char *buffer;
  ssize_t n;

  if (buffer == NULL)
    buffer = g_malloc (READ_MAX);
  n = pread ((int)info->fh, buffer, MIN (size, READ_MAX), offset);
  if (n < 0)
    fuse_reply_err (req, errno);
  else
    fuse_reply_buf (req, buffer, (size_t)n);
}

static void
on_release (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
  close ((int)info->fh);
  fuse_reply_err (req, 0);
}

static void
on_flush (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
  int fd = dup ((int)info->fh);

  fuse_reply_err (req, fd < 0 || close (fd) < 0 ? errno : 0);
}

static void
on_fsync (fuse_req_t req, fuse_ino_t ino, int only_data, struct fuse_file_info *info)
{
  int fd = (int)info->fh;

  fuse_reply_err (req, (only_data ? fdatasync (fd) : fsync (fd)) < 0 ? errno : 0);
}

static void
on_lseek (fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *info)
{
  off_t at = lseek ((int)info->fh, offset, whence);

  if (at < 0)
    fuse_reply_err (req, errno);
  else
    fuse_reply_lseek (req, at);
}

static void
on_statfs (fuse_req_t req, fuse_ino_t ino)
{
  struct statvfs info;

  if (fstatvfs (node_of (ino)->fds[0], &info) < 0)
    fuse_reply_err (req, errno);
  else
    fuse_reply_statfs (req, &info);
}

/* --- directories */

static Listing *
listing_of (const struct fuse_file_info *info)
{
  return (Listing *)(uintptr_t)info->fh;
}

static void
on_opendir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
  int fd = openat (node_of (ino)->fds[0], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
  Listing *listing;

  if (dir == NULL)
    {
      fuse_reply_err (req, errno);
      return;
    }
  listing = g_new0 (Listing, 1);
  listing->dir = dir;
  info->fh = (uintptr_t)listing;
  fuse_reply_open (req, info);
}

/* @plus: with what a look-up of it would have told, so that nothing has to ask. Its size when there
 * is no room for it. */
static size_t
add_entry (fuse_req_t req, Node *parent, const struct dirent *entry, bool plus, char *buffer,
           size_t size)
{
  struct fuse_entry_param param = { 0 };
  size_t needed;

  if (plus && !g_str_equal (entry->d_name, ".") && !g_str_equal (entry->d_name, "..")
      && node_look_up (parent, entry->d_name, &param) == 0)
    {
      needed = fuse_add_direntry_plus (req, buffer, size, entry->d_name, &param, entry->d_off);
      /* the kernel was not told after all */
      if (needed > size && param.ino != FUSE_ROOT_ID)
        node_forget (node_of (param.ino), 1);
      return needed;
    }
  param.attr.st_ino = entry->d_ino;
  param.attr.st_mode = (mode_t)entry->d_type << 12;
  return plus ? fuse_add_direntry_plus (req, buffer, size, entry->d_name, &param, entry->d_off)
              : fuse_add_direntry (req, buffer, size, entry->d_name, &param.attr, entry->d_off);
}

static size_t
add_entries (fuse_req_t req, Node *parent, Listing *listing, bool plus, char *buffer, size_t size)
{
  size_t used = 0;

  for (;;)
    {
      const struct dirent *entry = listing->pending ? listing->pending : readdir (listing->dir);
      size_t needed;

      if (entry == NULL)
        return used;
      needed = add_entry (req, parent, entry, plus, buffer + used, size - used);
      listing->pending = needed > size - used ? entry : NULL;
      if (listing->pending)
        return used;
      used += needed;
      listing->at = entry->d_off;
    }
}

static void
list (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus,
      const struct fuse_file_info *info)
{
  Listing *listing = listing_of (info);
  size_t room = MIN (size, READ_MAX);
  g_autofree char *buffer = g_malloc (room);

  if (offset != listing->at)
    {
      seekdir (listing->dir, offset);
      listing->pending = NULL;
      listing->at = offset;
    }
  fuse_reply_buf (req, buffer, add_entries (req, node_of (ino), listing, plus, buffer, room));
}

static void
on_readdir (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info)
{
  list (req, ino, size, offset, false, info);
}

static void
on_readdirplus (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *info)
{
  list (req, ino, size, offset, true, info);
}

static void
on_releasedir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
  Listing *listing = listing_of (info);

  closedir (listing->dir);
  g_free (listing);
  fuse_reply_err (req, 0);
}

static void
on_fsyncdir (fuse_req_t req, fuse_ino_t ino, int only_data, struct fuse_file_info *info)
{
  int fd = dirfd (listing_of (info)->dir);

  fuse_reply_err (req, (only_data ? fdatasync (fd) : fsync (fd)) < 0 ? errno : 0);
}

void
read_operations (struct fuse_lowlevel_ops *ops)
{
  ops->init = on_init;
  ops->lookup = on_lookup;
  ops->forget = on_forget;
  ops->forget_multi = on_forget_multi;
  ops->getattr = on_getattr;
  ops->readlink = on_readlink;
  ops->read = on_read;
  ops->release = on_release;
  ops->flush = on_flush;
  ops->fsync = on_fsync;
  ops->lseek = on_lseek;
  ops->statfs = on_statfs;
  ops->opendir = on_opendir;
  ops->readdir = on_readdir;
  ops->readdirplus = on_readdirplus;
  ops->releasedir = on_releasedir;
  ops->fsyncdir = on_fsyncdir;
}
