// SPDX-License-Identifier: LGPL-2.1-or-later
// What a share is, as the library wrote it down: four lines in a fixed order, in a file that
// belongs to the user alone.
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The value of the line "KEY VALUE" at *@text, which then stands behind it; NULL: there is none. */
static const char *
take_line (const char **text, const char *end, const char *key, size_t *ret_length)
{
  size_t length = strlen (key);
  const char *line = *text;
  const char *stop = memchr (line, '\n', (size_t)(end - line));

  if (!stop || (size_t)(stop - line) <= length + 1 || memcmp (line, key, length) != 0
      || line[length] != ' ')
    return NULL;
  *text = stop + 1;
  *ret_length = (size_t)(stop - line) - length - 1;
  return line + length + 1;
}

static bool
is_word (const char *value, size_t length, const char *word)
{
  return value && length == strlen (word) && memcmp (value, word, length) == 0;
}

static bool
copy_path (char to[SHARE_PATH_MAX + 1], const char *value, size_t length)
{
  if (!value || !share_path_is_clean (value, length))
    return false;
  memcpy (to, value, length);
  to[length] = '\0';
  return true;
}

const char *
share_config_parse (const char *text, size_t length, ShareConfig *ret_config)
{
  const char *end = text + length, *value;
  ShareConfig config = { 0 };
  size_t n = 0;

  value = take_line (&text, end, "libsandbox-share", &n);
  if (!is_word (value, n, "1"))
    return "its first line is not \"libsandbox-share 1\"";
  value = take_line (&text, end, "access", &n);
  config.read_only = is_word (value, n, "ro");
  config.guarded = is_word (value, n, "guarded");
  if (!config.read_only && !config.guarded && !is_word (value, n, "rw"))
    return "its second line is neither \"access ro\" nor \"access rw\" nor \"access guarded\"";
  value = take_line (&text, end, "options", &n);
  config.separate_options = is_word (value, n, "separate");
  if (!config.separate_options && !is_word (value, n, "joined"))
    return "its third line is neither \"options separate\" nor \"options joined\"";
  value = take_line (&text, end, "daemon", &n);
  if (!copy_path (config.daemon, value, n))
    return "its fourth line is not \"daemon\" with a path";
  value = take_line (&text, end, "source", &n);
  if (!copy_path (config.source, value, n))
    return "its fifth line is not \"source\" with a path";
  if (text != end)
    return "there is more than five lines";
  *ret_config = config;
  return NULL;
}

static int
open_strictly (int dir_fd, const char *path, uint64_t flags, uint64_t resolve)
{
  struct open_how how = {
    .flags = flags | O_CLOEXEC,
    .resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  };

  return (int)syscall (SYS_openat2, dir_fd, path, &how, sizeof how);
}

/* Only the user, and root, can have put anything into it. */
static int
open_door (const char *door, struct stat *ret_info)
{
  int fd = open_strictly (AT_FDCWD, door, O_PATH | O_DIRECTORY, 0);

  if (fd < 0)
    share_die_errno ("opening %s", door);
  if (fstat (fd, ret_info) < 0)
    share_die_errno ("looking at %s", door);
  /* a bit from a directory above, as setgid, changes nothing */
  if ((ret_info->st_mode & 0777) != 0700)
    share_die ("%s has mode %04o, not 0700", door, ret_info->st_mode & 0777);
  return fd;
}

/* A file of the door's owner and nobody else's; -1 with ENOENT: it is not there. */
static int
open_file (int dir_fd, const char *door, const char *name, uid_t owner, off_t max, off_t *ret_size)
{
  struct stat info;
  /* a FIFO must not hold us */
  int fd = open_strictly (dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_BENEATH);

  if (fd < 0 && errno == ENOENT)
    return -1;
  if (fd < 0)
    share_die_errno ("opening %s/%s", door, name);
  if (fstat (fd, &info) < 0)
    share_die_errno ("looking at %s/%s", door, name);
  if (!S_ISREG (info.st_mode))
    share_die ("%s/%s is no regular file", door, name);
  if (info.st_uid != owner)
    share_die ("%s/%s belongs to uid %u, its directory to uid %u", door, name,
               (unsigned)info.st_uid, (unsigned)owner);
  if ((info.st_mode & 07777) != 0600 || info.st_nlink != 1)
    share_die ("%s/%s has mode %04o and %u names, not 0600 and one", door, name,
               info.st_mode & 07777, (unsigned)info.st_nlink);
  if (info.st_size < 1 || info.st_size > max)
    share_die ("%s/%s is empty, or longer than %ld bytes", door, name, (long)max);
  *ret_size = info.st_size;
  return fd;
}

void
share_config_load (const char *door, ShareConfig *ret_config, uid_t *ret_owner)
{
  char text[SHARE_CONFIG_MAX];
  struct stat dir;
  off_t size = 0, guard_size;
  int dir_fd = open_door (door, &dir);
  int fd = open_file (dir_fd, door, SHARE_CONFIG, dir.st_uid, SHARE_CONFIG_MAX, &size);
  const char *wrong;
  ssize_t n;

  if (fd < 0)
    share_die_errno ("opening %s/" SHARE_CONFIG, door);
  n = pread (fd, text, sizeof text, 0);
  if (n != size)
    share_die ("%s/" SHARE_CONFIG " changes while it is read", door);
  wrong = share_config_parse (text, (size_t)n, ret_config);
  if (wrong)
    share_die ("%s/" SHARE_CONFIG ": %s", door, wrong);
  close (fd);
  ret_config->guard_fd = ret_config->guarded ? open_file (dir_fd, door, SHARE_GUARD, dir.st_uid,
                                                          SHARE_GUARD_MAX, &guard_size)
                                             : -1;
  close (dir_fd);
  *ret_owner = dir.st_uid;
}
