// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's side of a change set: programs that every guest has send an archive of the overlay's
// upper directory, and put files of the shared directory back over the machine's own.
#include "guest/guest.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"
#include "guest/copy-private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UPPER        "/var/lib/vms/shares/"
#define LOWER        "/run/vms/lower/"
#define LIST_MAX     (1024 * 1024)
#define LIST_USEC    (10 * 60 * G_USEC_PER_SEC)
#define DISCARD_USEC (30 * 60 * G_USEC_PER_SEC)
#define SEND_USEC    (G_GINT64_CONSTANT (60) * 60 * G_USEC_PER_SEC)
/* The kernel of a reader goes through the journal of a disk. */
#define MOUNT_USEC      (5 * 60 * G_USEC_PER_SEC)
#define FINGERPRINT_MAX 1024
#define STATUS_NO_DIR   90
/* Larger files are not sent, in KiB. */
#define FILE_KIB "4194304"

/* What no archive can hold (tar passes by it), or is too large for one. */
#define LEFT_OUT "\\( -type s -o -type f -size +" FILE_KIB "k \\)"
/* $1: "", or where the disk of another machine is mounted, $2: a directory there. No link that the
 * disk holds leads out of it. */
#define ENTER "cd \"$1$2\" || exit 90; [ -z \"$1\" ] || [ \"$(pwd -P)\" = \"$1$2\" ] || exit 90; "
/* A machine at work removes what find was about to look at: that is no error, all else is. */
static const char LIST[] =
    ENTER "{ LC_ALL=C find . -xdev " LEFT_OUT " -printf '%y %p\\n' 2>&1 >&3 | "
          "grep -v 'No such file or directory$' >&2; } 3>&1 && exit 1; exit 0";
/* tar looks for the files by itself, and ends with 1 when one goes meanwhile; one that it was told
 * the name of would be an error. It gets the names of those that it passes by: a name that its list
 * of them cannot hold is sent. A directory comes before what is in it. */
static const char SEND[] =
    ENTER "export LC_ALL=C; find . -xdev -type f -size +" FILE_KIB
          "k ! -path '*\n*' ! -path '*[[:space:]]' | "
          "exec tar -c -f - --format=pax --pax-option=delete=atime,delete=ctime --numeric-owner "
          "--xattrs --xattrs-include='trusted.overlay.*' --one-file-system --sort=name --anchored "
          "--no-wildcards --exclude-from=- .";
/* What names, kinds, sizes and times it has, as one word. A layer that is not there holds nothing.
 */
static const char FINGERPRINT[] =
    "[ -e \"$1$2\" ] || { echo empty; exit; }; " ENTER
    "[ -n \"$(find . -xdev -mindepth 1 -print -quit)\" ] || { echo empty; exit; }\n"
    "find . -xdev -printf '%y %m %U %G %s %T@ %C@ %l %p\\0' | LC_ALL=C sort -z | sha256sum";
/* $1: the device, $2: where. Nothing of it is run; what it says should happen when it is damaged
 * does not. */
static const char MOUNT[] =
    "mkdir -p \"$2\" && exec mount -t ext4 -o ro,noexec,nodev,nosuid,errors=remount-ro "
    "\"$1\" \"$2\"";
/* $1: where the disk of another machine is mounted. Two lines for each file: what it is and its
 * name, and what it leads to; their own newlines are the byte 1. */
static const char TREE[] =
    "cd \"$1\" && { find . -xdev -printf '%y %m %U %G %s %T@ %C@ %P\\0%l\\0' || "
    "echo 'not all of it could be read' >&2; } | tr '\\n\\000' '\\001\\n'";
/* $1: the shared directory, $2: where it is mounted. Its input: "r" or "c" and a path, each with a
 * NUL: removes them, or copies them from the one to the other. A directory stays that holds
 * what was not named. */
static const char DISCARD[] =
    "while IFS= read -r -d '' what && IFS= read -r -d '' path; do\n"
    "  case $what in\n"
    "    r) if [ -d \"$2/$path\" ] && [ ! -L \"$2/$path\" ]; then\n"
    "         rmdir --ignore-fail-on-non-empty -- \"$2/$path\"\n"
    "       else rm -f -- \"$2/$path\"; fi ;;\n"
    "    c) if [ -d \"$1/$path\" ] && [ ! -L \"$1/$path\" ]; then\n"
    "         mkdir -p -- \"$2/$path\" && chmod --reference=\"$1/$path\" -- \"$2/$path\" &&\n"
    "         chown --reference=\"$1/$path\" -- \"$2/$path\"\n"
    "       elif [ -L \"$2/$path\" ] || [ ! -d \"$2/$path\" ]; then\n"
    "         cp -dpT --remove-destination -- \"$1/$path\" \"$2/$path\"; fi ;;\n"
    "  esac || exit 91\n"
    "done";

/* $1, $2: as above. Its input: what a file was, its permissions as a number ("" for what has none)
 * and its path, each with a NUL. What is still so becomes what the shared directory has; the
 * numbers of those are its output. Who else may write does not count where the host has it not. */
static const char FOLLOW[] =
    "n=0\n"
    "while IFS= read -r -d '' was && IFS= read -r -d '' mode && IFS= read -r -d '' path; do\n"
    "  from=\"$1/$path\" to=\"$2/$path\" n=$((n + 1))\n"
    "  if [ -L \"$to\" ]; then is=\"l $(readlink -n -- \"$to\" | sha256sum)\"\n"
    "  elif [ -f \"$to\" ]; then is=\"f $(sha256sum <\"$to\")\"\n"
    "  elif [ -e \"$to\" ]; then is=other; else is=gone; fi\n"
    "  [ \"${is%  -}\" = \"$was\" ] || continue\n"
    "  if [ -n \"$mode\" ]; then\n"
    "    have=$((8#$(stat -c %a -- \"$to\")))\n"
    "    [ $((have & ~(18 & ~mode) & 511)) = $mode ] || continue\n"
    "  fi\n"
    "  if [ -L \"$from\" ] || [ -f \"$from\" ]; then\n"
    "    cp -dpT --remove-destination -- \"$from\" \"$to\" || continue\n"
    "  elif [ -e \"$from\" ]; then continue\n"
    "  else rm -f -- \"$to\" || continue; fi\n"
    "  echo $n\n"
    "done; true";

static char *
command (const char *shell, const char *script, const char *first, const char *second)
{
  const char *argv[] = { "sudo", "-n", shell, "-c", script, shell, first, second, NULL };

  return _sandbox_ssh_command (argv, NULL, FALSE);
}

char *
_sandbox_guest_list_left_out (const SandboxSsh *ssh, const char *root, const char *tag,
                              GCancellable *cancellable, GError **error)
{
  g_autofree char *dir = g_strconcat (UPPER, tag, "/upper", NULL);
  g_autofree char *line = command ("sh", LIST, root, dir);

  return _sandbox_ssh_capture (ssh, line, -1, LIST_MAX, LIST_USEC, cancellable, error);
}

char *
_sandbox_guest_fingerprint (const SandboxSsh *ssh, const char *tag, gint64 timeout_usec,
                            GCancellable *cancellable, GError **error)
{
  g_autofree char *dir = g_strconcat (UPPER, tag, "/upper", NULL);
  g_autofree char *line = command ("sh", FINGERPRINT, "", dir);
  g_autofree char *out =
      _sandbox_ssh_capture (ssh, line, -1, FINGERPRINT_MAX, timeout_usec, cancellable, error);
  gsize length = out ? strspn (out, "0123456789abcdef") : 0;

  if (!out)
    return NULL;
  if (strcmp (out, SANDBOX_FINGERPRINT_EMPTY "\n") == 0)
    return g_strdup (SANDBOX_FINGERPRINT_EMPTY);
  if (length == 64 && out[length] == ' ')
    return g_strndup (out, length);
  sandbox_fail (error, SANDBOX_ERROR_GUEST,
                "asking the machine for its changes: it answered something else");
  return NULL;
}

gboolean
_sandbox_guest_mount_disk (const SandboxSsh *ssh, const char *device, const char *directory,
                           GCancellable *cancellable, GError **error)
{
  g_autofree char *line = command ("sh", MOUNT, device, directory);
  g_autofree char *out =
      _sandbox_ssh_capture (ssh, line, -1, LIST_MAX, MOUNT_USEC, cancellable, error);

  return out != NULL;
}

char *
_sandbox_guest_list_tree (const SandboxSsh *ssh, const char *root, gsize max,
                          GCancellable *cancellable, GError **error)
{
  g_autofree char *line = command ("sh", TREE, root, "");

  return _sandbox_ssh_capture (ssh, line, -1, max, DISCARD_USEC, cancellable, error);
}

/* tar ends with 1 when a file changed, or went, while it was read. */
static gboolean
judge (const SandboxSsh *ssh, const char *tag, int status, const char *text,
       gboolean *ret_unsettled, GError **error)
{
  g_autofree char *reason = _sandbox_ssh_reason (text);

  *ret_unsettled = status == 1;
  if (status <= 1)
    return TRUE;
  if (status == STATUS_NO_DIR)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "reading the machine's changes: it has no layer for the share \"%s\"; if "
                         "that was added since the start, restart the machine",
                         tag);
  if (status == 255)
    return _sandbox_ssh_fail (error, ssh, "reading the machine's changes", text);
  return sandbox_fail (error, SANDBOX_ERROR_GUEST, "reading the machine's changes: %s", reason);
}

gboolean
_sandbox_guest_read_upper (const SandboxSsh *ssh, const char *root, const char *tag,
                           SandboxGuestReadFunc func, gpointer user_data, gboolean *ret_unsettled,
                           GCancellable *cancellable, GError **error)
{
  g_autofree char *dir = g_strconcat (UPPER, tag, "/upper", NULL);
  g_autofree char *line = command ("sh", SEND, root, dir);
  g_autofree char *text = NULL;
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxStream) stream = _sandbox_stream_open (ssh, line, TRUE, cancellable, error);
  int status = 0;
  gboolean ok;

  if (!stream)
    return FALSE;
  _sandbox_stream_limit (stream, SEND_USEC);
  ok = func (_sandbox_stream_read, stream, user_data, &local);
  if (ok)
    return _sandbox_stream_drain (stream, error)
           && _sandbox_stream_finish (stream, &status, &text, error)
           && judge (ssh, tag, status, text, ret_unsettled, error);
  /* when it broke off, what the other side says of itself explains it better */
  if (_sandbox_stream_ended (stream) && _sandbox_stream_finish (stream, &status, &text, NULL)
      && !judge (ssh, tag, status, text, ret_unsettled, error))
    return FALSE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* @list as input; NULL with @error. */
static char *
send_list (const SandboxSsh *ssh, const char *script, const char *tag, const char *target,
           const GString *list, GCancellable *cancellable, GError **error)
{
  g_autofree char *lower = g_strconcat (LOWER, tag, NULL);
  g_autofree char *line = command ("bash", script, lower, target);
  sandbox_autofd int fd = memfd_create ("vms-list", MFD_CLOEXEC);

  if (fd >= 0 && write (fd, list->str, list->len) == (gssize)list->len
      && lseek (fd, 0, SEEK_SET) == 0)
    return _sandbox_ssh_capture (ssh, line, fd, LIST_MAX, DISCARD_USEC, cancellable, error);
  sandbox_fail_errno (error, errno, "making a list for the machine");
  return NULL;
}

gboolean
_sandbox_guest_discard (const SandboxSsh *ssh, const char *tag, const char *target,
                        const GString *list, GCancellable *cancellable, GError **error)
{
  g_autofree char *out = send_list (ssh, DISCARD, tag, target, list, cancellable, error);

  if (out)
    return TRUE;
  g_prefix_error (error, "discarding the machine's changes: ");
  return FALSE;
}

char *
_sandbox_guest_follow (const SandboxSsh *ssh, const char *tag, const char *target,
                       const GString *list, GCancellable *cancellable, GError **error)
{
  return send_list (ssh, FOLLOW, tag, target, list, cancellable, error);
}
