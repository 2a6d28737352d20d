// SPDX-License-Identifier: LGPL-2.1-or-later
// Copying into the guest: our archive, unpacked there beside its place and then moved to it.
#include "guest/copy-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK           (64 * 1024)
#define DEPTH_MAX       200
#define STATUS_EXISTS   90
#define STATUS_NO_PLACE 91

/* In the guest. $1: where to, $2: the name when that is a directory, $3: 1 to overwrite. */
static const char SCRIPT[] =
    "t=$1 n=$2\n"
    "case $t in '~') t=$HOME ;; '~/'*) t=$HOME/${t#'~/'} ;; esac\n"
    "if [ -d \"$t\" ]; then d=$t; else\n"
    "case $t in */) exit 91 ;; */*) d=${t%/*} n=${t##*/} ;; *) d=. n=$t ;; esac; fi\n"
    "case $n in ''|.|..) exit 91 ;; esac\n"
    "case $d in /* | .) ;; '') d=/ ;; *) d=./$d ;; esac\n"
    "cd -- \"$d\" 2>/dev/null || exit 91\n"
    "if [ -e \"./$n\" ] || [ -L \"./$n\" ]; then old=1; else old=0; fi\n"
    "[ $old$3 != 10 ] || { printf '%s\\n' \"$d/$n\" >&2; exit 90; }\n"
    "tmp=$(mktemp -d ./.vms-cp.XXXXXXXX) || exit 92\n"
    "trap 'rm -rf \"$tmp\"' EXIT\n"
    "trap 'exit 92' HUP INT TERM\n"
    "tar -x -f - --no-same-owner -C \"$tmp\" || exit 92\n"
    "[ -e \"$tmp/done\" ] || exit 92\n"
    "if [ $old = 1 ]; then cp -a --remove-destination -T -- \"$tmp/x\" \"./$n\" || exit 92\n"
    "else mv -nT -- \"$tmp/x\" \"./$n\" && [ ! -e \"$tmp/x\" ] || { printf '%s\\n' \"$d/$n\" >&2; "
    "exit 90; }; fi\n";

typedef struct
{
  SandboxStream *stream;
  GByteArray *header;
  char *buffer;
} Sender;

static gboolean send_tree (Sender *sender, int dir_fd, const char *file, const char *name,
                           guint depth, GError **error);

static gboolean
fail_file (GError **error, int saved_errno, const char *name)
{
  g_autofree char *shown = sandbox_escape (name, -1, 200);

  return sandbox_fail_errno (error, saved_errno, "copying into the machine: reading %s", shown);
}

static gboolean
send_header (Sender *sender, SandboxTarType type, const char *name, const char *link,
             const struct stat *st, GError **error)
{
  SandboxTarEntry entry = {
    .type = type,
    .name = (char *)name,
    .link = (char *)link,
    .mode = st->st_mode & 0777,
    .size_bytes = (guint64)st->st_size,
    .mtime_sec = st->st_mtime,
  };

  g_byte_array_set_size (sender->header, 0);
  sandbox_tar_append_header (sender->header, &entry);
  return _sandbox_stream_write (sender->stream, sender->header->data, sender->header->len, error);
}

/* As many bytes as the header said: a file that grows is cut, one that shrinks is an error. */
static gboolean
send_content (Sender *sender, int fd, const char *name, guint64 left, GError **error)
{
  while (left > 0)
    {
      gssize n = read (fd, sender->buffer, (gsize)MIN (left, CHUNK));

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return fail_file (error, errno, name);
      if (n == 0)
        return sandbox_fail (
            error, SANDBOX_ERROR_FAILED,
            "copying into the machine: a file became shorter meanwhile; try again");
      left -= (guint64)n;
      if (!_sandbox_stream_write (sender->stream, sender->buffer, (gsize)n, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
send_file (Sender *sender, int fd, const char *name, const struct stat *st, GError **error)
{
  static const char zeros[SANDBOX_TAR_BLOCK];
  gsize rest = (gsize)((guint64)st->st_size % SANDBOX_TAR_BLOCK);

  return send_header (sender, SANDBOX_TAR_FILE, name, NULL, st, error)
         && send_content (sender, fd, name, (guint64)st->st_size, error)
         && (!rest
             || _sandbox_stream_write (sender->stream, zeros, SANDBOX_TAR_BLOCK - rest, error));
}

static gboolean
send_dir (Sender *sender, int fd, const char *name, const struct stat *st, guint depth,
          GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  if (depth >= DEPTH_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "copying into the machine: directories are nested more than %d deep",
                         DEPTH_MAX);
  if (!send_header (sender, SANDBOX_TAR_DIR, name, NULL, st, error)
      || !_sandbox_list_names (fd, names, error))
    return FALSE;
  for (guint i = 0; i < names->len; i++)
    {
      const char *file = g_ptr_array_index (names, i);
      g_autofree char *child = g_strconcat (name, "/", file, NULL);

      if (!send_tree (sender, fd, file, child, depth + 1, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
send_link (Sender *sender, int dir_fd, const char *file, const char *name, const struct stat *st,
           GError **error)
{
  char target[SANDBOX_TAR_NAME_MAX + 1];
  gssize n = readlinkat (dir_fd, file, target, sizeof target - 1);

  if (n < 0)
    return fail_file (error, errno, name);
  target[n] = '\0';
  return send_header (sender, SANDBOX_TAR_SYMLINK, name, target, st, error);
}

/* Nothing from the top on is followed. */
static gboolean
send_tree (Sender *sender, int dir_fd, const char *file, const char *name, guint depth,
           GError **error)
{
  struct stat st;
  sandbox_autofd int fd = -1;

  if (fstatat (dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return fail_file (error, errno, file);
  if (S_ISLNK (st.st_mode))
    return send_link (sender, dir_fd, file, name, &st, error);
  /* a socket is nothing without its process: programs leave them about */
  if (S_ISSOCK (st.st_mode) && depth > 0)
    return TRUE;
  if (!S_ISREG (st.st_mode) && !S_ISDIR (st.st_mode))
    {
      g_autofree char *shown = sandbox_escape (file, -1, 200);

      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "copying into the machine: %s is neither a file nor a directory", shown);
    }
  fd = openat (dir_fd, file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat (fd, &st) < 0)
    return fail_file (error, errno, file);
  if (S_ISDIR (st.st_mode))
    return send_dir (sender, fd, name, &st, depth, error);
  return S_ISREG (st.st_mode) ? send_file (sender, fd, name, &st, error)
                              : fail_file (error, EINVAL, file);
}

static gboolean
send_all (SandboxStream *stream, int dir_fd, const char *file, GError **error)
{
  g_autoptr (GByteArray) header = g_byte_array_new ();
  g_autofree char *buffer = g_malloc (CHUNK);
  Sender sender = { stream, header, buffer };

  if (!send_tree (&sender, dir_fd, file, "x", 0, error))
    return FALSE;
  /* to tar an archive that ends early is whole: this file says that it is */
  g_byte_array_set_size (header, 0);
  sandbox_tar_append (header, "done", 0600, "", 0);
  sandbox_tar_append_end (header);
  return _sandbox_stream_write (stream, header->data, header->len, error);
}

static gboolean
check_status (int status, const char *text, const SandboxSsh *ssh, const char *guest_path,
              GError **error)
{
  g_autofree char *shown = sandbox_escape (guest_path, -1, 200);
  g_autofree char *reason = _sandbox_ssh_reason (text);

  switch (status)
    {
    case 0:
      return TRUE;
    case STATUS_EXISTS:
      return sandbox_fail (
          error, SANDBOX_ERROR_EXISTS,
          "copying into the machine: %s is there already; overwrite it (vms cp --force), or "
          "choose another name",
          reason);
    case STATUS_NO_PLACE:
      return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                           "copying into the machine: the directory of %s is not there", shown);
    case 255:
      return _sandbox_ssh_fail (error, ssh, "copying into the machine", text);
    default:
      return sandbox_fail (error, SANDBOX_ERROR_GUEST, "copying into the machine: %s: %s", shown,
                           reason);
    }
}

/* In a directory that a guest may write in, a link could stand where a file stood, and send the
 * user's keys instead: which of both is meant, the caller has to say. */
static gboolean
check_top (const char *host_path, int dir_fd, const char *file, GError **error)
{
  char target[SANDBOX_TAR_NAME_MAX + 1];
  gssize n = readlinkat (dir_fd, file, target, sizeof target - 1);
  g_autofree char *shown = NULL, *shown_target = NULL;

  if (n < 0)
    return faccessat (dir_fd, file, F_OK, 0) == 0 || fail_file (error, errno, host_path);
  shown = sandbox_escape (host_path, -1, 200);
  shown_target = sandbox_escape (target, n, 200);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "copying into the machine: %s is a symbolic link to %s; if you mean that, "
                       "name it instead",
                       shown, shown_target);
}

gboolean
_sandbox_guest_copy_in (const SandboxSsh *ssh, const char *host_path, const char *guest_path,
                        const char *const *shared, gboolean overwrite, GCancellable *cancellable,
                        GError **error)
{
  g_autofree char *base = g_path_get_basename (host_path);
  const char *argv[] = { "sh", "-c", SCRIPT, "sh", guest_path, base, overwrite ? "1" : "0", NULL };
  g_autofree char *command = _sandbox_ssh_command (argv, NULL, FALSE);
  g_autoptr (SandboxStream) stream = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  g_autofree char *file = NULL;
  sandbox_autofd int dir_fd = sandbox_walk (host_path, shared, FALSE, &file, error);
  int status = 0;

  if (dir_fd < 0 || !check_top (host_path, dir_fd, file, error))
    return FALSE;
  stream = _sandbox_stream_open (ssh, command, FALSE, cancellable, error);
  if (!stream)
    return FALSE;
  /* the guest says best why it takes no more; but a fault on our side is ours to tell */
  if (!send_all (stream, dir_fd, file, &local)
      && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_GUEST))
    {
      /* so that the guest has tidied up when we return; not when the caller wants to be gone */
      _sandbox_stream_finish (stream, NULL, NULL, NULL);
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!_sandbox_stream_finish (stream, &status, &text, error)
      || !check_status (status, text, ssh, guest_path, error))
    return FALSE;
  if (!local)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}
