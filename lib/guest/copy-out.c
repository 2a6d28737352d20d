// SPDX-License-Identifier: LGPL-2.1-or-later
// Copying out of the guest: its tar sends, our receiver judges.
#include "guest/copy-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_NOT_FOUND 90
#define OPEN_DIR         (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* In the guest. $1: what. Hard links are sent as the files that they are. */
static const char SCRIPT[] = "t=$1\n"
                             "case $t in '~') t=$HOME ;; '~/'*) t=$HOME/${t#'~/'} ;; esac\n"
                             "case $t in /*) ;; *) t=./$t ;; esac\n"
                             "if [ -d \"$t\" ]; then cd -- \"$t\" || exit 91; n=.\n"
                             "elif [ -e \"$t\" ] || [ -L \"$t\" ]; then d=${t%/*} n=./${t##*/}; cd "
                             "-- \"${d:-/}\" || exit 91\n"
                             "else exit 90; fi\n"
                             "exec tar -c -f - --format=gnu --hard-dereference -- \"$n\"\n";

typedef struct
{
  int parent_fd;
  char *name;
} Place;

static void
place_clear (Place *place)
{
  sandbox_close_fd (&place->parent_fd);
  g_free (place->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Place, place_clear)

static gboolean
fail_place (GError **error, int saved_errno, const char *path)
{
  g_autofree char *shown = sandbox_escape (path, -1, 200);

  return sandbox_fail_errno (error, saved_errno, "copying from the machine to %s", shown);
}

static gboolean
check_name (const char *name, const char *path, GError **error)
{
  g_autofree char *shown = sandbox_escape (path, -1, 200);

  if (name[0] && !strchr (name, '/') && !g_str_equal (name, ".") && !g_str_equal (name, ".."))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "copying from the machine: \"%s\" gives the copy no name; say one", shown);
}

/* Into @host_path when that is a directory, else as @host_path. */
static gboolean
find_place (const char *host_path, const char *guest_path, const char *const *shared, Place *place,
            GError **error)
{
  g_autofree char *file = NULL, *end = NULL;
  sandbox_autofd int dir_fd = sandbox_walk (host_path, shared, FALSE, &file, error);
  sandbox_autofd int end_fd =
      dir_fd >= 0 ? sandbox_walk (host_path, shared, TRUE, &end, error) : -1;

  if (end_fd < 0)
    return FALSE;
  place->parent_fd = openat (end_fd, end, OPEN_DIR);
  if (place->parent_fd >= 0)
    {
      g_autofree char *base = g_path_get_basename (guest_path);

      if (!check_name (base, guest_path, error)
          || (g_str_equal (base, "~") && !check_name ("", guest_path, error)))
        return FALSE;
      place->name = g_steal_pointer (&base);
      return TRUE;
    }
  if (!check_name (g_str_has_suffix (host_path, "/") ? "" : file, host_path, error))
    return FALSE;
  place->name = g_steal_pointer (&file);
  place->parent_fd = openat (dir_fd, ".", OPEN_DIR);
  return place->parent_fd >= 0 || fail_place (error, errno, host_path);
}

/* Before anything is sent; whether it is true at the end is seen again when the copy gets its name.
 */
static gboolean
check_free (const Place *place, const char *host_path, gboolean overwrite, GError **error)
{
  g_autofree char *shown = sandbox_escape (host_path, -1, 200);
  struct stat st;

  if (overwrite || fstatat (place->parent_fd, place->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return TRUE;
  return sandbox_fail (
      error, SANDBOX_ERROR_EXISTS,
      "copying from the machine: in %s there is \"%s\" already; remove it, or choose another name",
      shown, place->name);
}

typedef struct
{
  const SandboxSsh *ssh;
  const char *guest_path;
  SandboxStream *stream;
} Source;

static gboolean
source_read (void *data, gsize length, gpointer user_data, GError **error)
{
  Source *source = user_data;

  return _sandbox_stream_read (data, length, source->stream, error);
}

/* How the command in the guest ended, as an error; TRUE when it has nothing to complain of. */
static gboolean
judge (const Source *source, int status, const char *text, GError **error)
{
  g_autofree char *shown = sandbox_escape (source->guest_path, -1, 200);
  g_autofree char *reason = _sandbox_ssh_reason (text);

  /* 1: a file changed while tar read it; it is as it was at one time or another */
  if (status <= 1)
    return TRUE;
  if (status == STATUS_NOT_FOUND)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND, "copying from the machine: it has no %s",
                         shown);
  if (status == 255)
    return _sandbox_ssh_fail (error, source->ssh, "copying from the machine", text);
  return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                       "copying from the machine: %s: %s; nothing was kept", shown, reason);
}

/* The archive is complete; was tar content too? It goes on after a file that it cannot read. */
static gboolean
source_done (gpointer user_data, GError **error)
{
  Source *source = user_data;
  g_autofree char *text = NULL;
  int status = 0;

  return _sandbox_stream_drain (source->stream, error)
         && _sandbox_stream_finish (source->stream, &status, &text, error)
         && judge (source, status, text, error);
}

/* The archive broke off, or was refused. When it broke off, what the guest's side says of itself
 * explains it better. */
static gboolean
explain (Source *source, GError *failure, GError **error)
{
  g_autoptr (GError) owned = failure;
  g_autofree char *text = NULL;
  int status = 0;

  if (g_error_matches (owned, SANDBOX_ERROR, SANDBOX_ERROR_GUEST)
      && _sandbox_stream_ended (source->stream)
      && (!_sandbox_stream_finish (source->stream, &status, &text, error)
          || !judge (source, status, text, error)))
    return FALSE;
  g_propagate_error (error, g_steal_pointer (&owned));
  return FALSE;
}

char *
_sandbox_guest_copy_target (const char *guest_path, const char *host_path,
                            const char *const *shared, gboolean overwrite, GError **error)
{
  g_auto (Place) place = { .parent_fd = -1 };
  g_autofree char *link = NULL, *parent = NULL;

  if (!find_place (host_path, guest_path, shared, &place, error)
      || !check_free (&place, host_path, overwrite, error))
    return NULL;
  /* the copy is made in a directory of its own beside it */
  if (faccessat (place.parent_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
    {
      fail_place (error, errno, host_path);
      return NULL;
    }
  link = g_strdup_printf ("/proc/self/fd/%d", place.parent_fd);
  parent = g_file_read_link (link, error);
  return parent != NULL ? g_build_filename (parent, place.name, NULL) : NULL;
}

gboolean
_sandbox_guest_copy_out (const SandboxSsh *ssh, const char *guest_path, const char *host_path,
                         const char *const *shared, gboolean overwrite, char **ret_note,
                         GCancellable *cancellable, GError **error)
{
  const char *argv[] = { "sh", "-c", SCRIPT, "sh", guest_path, NULL };
  g_autofree char *command = _sandbox_ssh_command (argv, NULL, FALSE);
  g_auto (Place) place = { .parent_fd = -1 };
  g_autoptr (SandboxStream) stream = NULL;
  g_autoptr (GError) local = NULL;
  Source source = { .ssh = ssh, .guest_path = guest_path };

  if (!find_place (host_path, guest_path, shared, &place, error)
      || !check_free (&place, host_path, overwrite, error))
    return FALSE;
  source.stream = stream = _sandbox_stream_open (ssh, command, TRUE, cancellable, error);
  if (!stream)
    return FALSE;
  if (_sandbox_receive (source_read, source_done, &source, place.parent_fd, place.name, overwrite,
                        ret_note, &local))
    return TRUE;
  return explain (&source, g_steal_pointer (&local), error);
}
