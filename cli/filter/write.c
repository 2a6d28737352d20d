// SPDX-License-Identifier: LGPL-2.1-or-later
// What changes something: each operation asks the rules first. What is not here (attributes beyond
// the mode, nameless files, devices, sockets, mapped writing) does not exist in such a share.
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <unistd.h>

#define SET_ID (S_ISUID | S_ISGID)
/* Of renameat2(2), which not every C library has. */
#define MOVE_NOREPLACE (1U << 0)
#define MOVE_EXCHANGE  (1U << 1)

/* What is made belongs to whom the daemon makes it for, and is made with their rights. */
static void
become_caller (fuse_req_t req)
{
  const struct fuse_ctx *caller = fuse_req_ctx (req);

  setfsgid (caller->gid);
  setfsuid (caller->uid);
}

static void
become_self (void)
{
  setfsuid (0);
  setfsgid (0);
}

static int
fd_of (fuse_ino_t ino)
{
  return node_of (ino)->fds[0];
}

/* --- making and removing */

/* After a call that gave @result. */
static void
reply_made (fuse_req_t req, fuse_ino_t parent, const char *name, int result)
{
  int code = errno;

  become_self ();
  if (result < 0)
    fuse_reply_err (req, code);
  else
    reply_entry (req, node_of (parent), name);
}

static void
on_mknod (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
  int code = rules_check_name (fd_of (parent), name);

  if (code == 0 && (!S_ISREG (mode) || (mode & SET_ID)))
    code = EPERM;
  if (code != 0)
    {
      fuse_reply_err (req, code);
      return;
    }
  become_caller (req);
  reply_made (req, parent, name, mknodat (fd_of (parent), name, mode, 0));
}

static void
on_mkdir (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
  int code = rules_check_name (fd_of (parent), name);

  if (code == 0 && (mode & SET_ID))
    code = EPERM;
  if (code != 0)
    {
      fuse_reply_err (req, code);
      return;
    }
  become_caller (req);
  reply_made (req, parent, name, mkdirat (fd_of (parent), name, mode));
}

static void
on_symlink (fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
  int code = rules_check_link (fd_of (parent), name, target);

  if (code != 0)
    {
      fuse_reply_err (req, code);
      return;
    }
  become_caller (req);
  reply_made (req, parent, name, symlinkat (target, fd_of (parent), name));
}

static void
on_link (fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
  char path[32];
  int code = rules_check_node (node_of (ino));

  if (code == 0)
    code = rules_check_name (fd_of (parent), name);
  /* a link's meaning is that of its place */
  if (code == 0 && node_of (ino)->type != S_IFREG)
    code = EPERM;
  if (code != 0)
    {
      fuse_reply_err (req, code);
      return;
    }
  reply_made (
      req, parent, name,
      linkat (AT_FDCWD, fd_path (fd_of (ino), path), fd_of (parent), name, AT_SYMLINK_FOLLOW));
}

static void
remove_name (fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
  int code = rules_check_name (fd_of (parent), name);

  if (code == 0 && unlinkat (fd_of (parent), name, flags) < 0)
    code = errno;
  fuse_reply_err (req, code);
}

static void
on_unlink (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  remove_name (req, parent, name, 0);
}

static void
on_rmdir (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  remove_name (req, parent, name, AT_REMOVEDIR);
}

static void
on_rename (fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
           const char *new_name, unsigned flags)
{
  int from = fd_of (parent), to = fd_of (new_parent), code = 0;

  if (flags & ~(MOVE_NOREPLACE | MOVE_EXCHANGE))
    code = EINVAL;
  if (code == 0)
    code = rules_check_move (from, name, to, new_name);
  if (code == 0 && (flags & MOVE_EXCHANGE))
    code = rules_check_move (to, new_name, from, name);
  if (code == 0 && renameat2 (from, name, to, new_name, flags) < 0)
    code = errno;
  fuse_reply_err (req, code);
}

/* --- opening and writing */

static int
host_flags (int flags)
{
  return (flags & ~(O_NOFOLLOW | O_CREAT | O_EXCL | O_TRUNC | O_DIRECT)) | O_NOCTTY | O_NONBLOCK
         | O_CLOEXEC;
}

/* @fd was opened for the machine to write: is it what may be written? Then what O_TRUNC asks for.
 * @node: NULL for a file that was just opened by its name. */
static int
check_opened (const Node *node, int fd, int flags)
{
  bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
  struct stat info;
  int code = fstat (fd, &info) < 0 ? errno : S_ISREG (info.st_mode) ? 0 : EPERM;

  if (code == 0 && writes)
    code = node != NULL ? rules_check_content (node) : rules_check_new (fd);
  if (code == 0 && (flags & O_TRUNC) && ftruncate (fd, 0) < 0)
    code = errno;
  return code;
}

static void
on_open (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
  int code = node_of (ino)->type == S_IFREG ? 0 : EPERM, flags = host_flags (info->flags), fd = -1;
  char path[32];

  if (info->flags & O_TRUNC)
    flags = (flags & ~O_ACCMODE) | O_RDWR;
  if (code == 0 && (fd = open (fd_path (fd_of (ino), path), flags)) < 0)
    code = errno;
  if (code == 0)
    code = check_opened (node_of (ino), fd, info->flags);
  if (code != 0)
    {
      if (fd >= 0)
        close (fd);
      fuse_reply_err (req, code);
      return;
    }
  info->fh = (uint64_t)fd;
  /* the guest's kernel keeps what it reads; a second copy here would only get old */
  info->direct_io = 1;
  /* closing what was only read can tell nothing */
  info->noflush = (info->flags & O_ACCMODE) == O_RDONLY;
  fuse_reply_open (req, info);
}

static void
on_create (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
           struct fuse_file_info *info)
{
  struct fuse_entry_param entry;
  int code = rules_check_name (fd_of (parent), name), fd = -1;

  if (code == 0 && (mode & SET_ID))
    code = EPERM;
  if (code == 0)
    {
      become_caller (req);
      fd = openat (fd_of (parent), name,
                   host_flags (info->flags) | O_CREAT | O_NOFOLLOW | (info->flags & O_EXCL), mode);
      code = fd < 0 ? errno : 0;
      become_self ();
    }
  if (code == 0)
    code = check_opened (NULL, fd, info->flags);
  if (code == 0)
    code = node_look_up (node_of (parent), name, &entry);
  if (code != 0)
    {
      if (fd >= 0)
        close (fd);
      fuse_reply_err (req, code);
      return;
    }
  info->fh = (uint64_t)fd;
  info->direct_io = 1;
  fuse_reply_create (req, &entry, info);
}

/* Asked anew each time: the host may have given the file another name since it was opened. */
static void
on_write (fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
          struct fuse_file_info *info)
{
  int fd = (int)info->fh, code = rules_check_content (node_of (ino));
  ssize_t n = code == 0 ? pwrite (fd, data, size, offset) : -1;

  if (n < 0)
    fuse_reply_err (req, code != 0 ? code : errno);
  else
    fuse_reply_write (req, (size_t)n);
}

static void
on_fallocate (fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
              struct fuse_file_info *info)
{
  int fd = (int)info->fh, code = rules_check_content (node_of (ino));

  if (code == 0 && fallocate (fd, mode, offset, length) < 0)
    code = errno;
  fuse_reply_err (req, code);
}

/* --- attributes */

static int
set_owner (int fd, const struct stat *attr, int wanted)
{
  uid_t uid = wanted & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
  gid_t gid = wanted & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;

  return fchownat (fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;
}

static int
set_size (int fd, off_t size)
{
  char path[32];

  return truncate (fd_path (fd, path), size) < 0 ? errno : 0;
}

static struct timespec
time_to_set (struct timespec given, int wanted, int set, int set_now)
{
  if (wanted & set_now)
    given.tv_nsec = UTIME_NOW;
  else if (!(wanted & set))
    given.tv_nsec = UTIME_OMIT;
  return given;
}

static int
set_times (int fd, const struct stat *attr, int wanted)
{
  struct timespec times[2] = {
    time_to_set (attr->st_atim, wanted, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW),
    time_to_set (attr->st_mtim, wanted, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW),
  };
  char path[32];

  return utimensat (AT_FDCWD, fd_path (fd, path), times, 0) < 0 ? errno : 0;
}

static int
set_attributes (const Node *node, const struct stat *attr, int wanted)
{
  const int times =
      FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
  /* times say nothing that the host would run */
  int fd = node->fds[0], code = wanted & ~times & ~FUSE_SET_ATTR_CTIME ? rules_check_content (node)
                                                                       : rules_check_node (node);
  char path[32];

  if (code == 0 && (wanted & FUSE_SET_ATTR_MODE))
    {
      if (attr->st_mode & SET_ID)
        code = EPERM;
      else if (chmod (fd_path (fd, path), attr->st_mode & 07777) < 0)
        code = errno;
    }
  if (code == 0 && (wanted & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
    code = set_owner (fd, attr, wanted);
  if (code == 0 && (wanted & FUSE_SET_ATTR_SIZE))
    code = set_size (fd, attr->st_size);
  if (code == 0 && (wanted & times))
    code = set_times (fd, attr, wanted);
  return code;
}

static void
on_setattr (fuse_req_t req, fuse_ino_t ino, struct stat *attr, int wanted,
            struct fuse_file_info *info)
{
  const Node *node = node_of (ino);
  struct stat now;
  int code = set_attributes (node, attr, wanted);

  if (code == 0)
    code = node_stat (node, &now);
  if (code != 0)
    fuse_reply_err (req, code);
  else
    fuse_reply_attr (req, &now, ATTR_SEC);
}

void
write_operations (struct fuse_lowlevel_ops *ops)
{
  ops->mknod = on_mknod;
  ops->mkdir = on_mkdir;
  ops->symlink = on_symlink;
  ops->link = on_link;
  ops->unlink = on_unlink;
  ops->rmdir = on_rmdir;
  ops->rename = on_rename;
  ops->open = on_open;
  ops->create = on_create;
  ops->write = on_write;
  ops->fallocate = on_fallocate;
  ops->setattr = on_setattr;
}
