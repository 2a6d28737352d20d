// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's commits as a bundle, taken as bytes: what is in it is somebody else's business.
#include "guest/copy-private.h"

#include "base/error.h"
#include "base/names.h"

#include <errno.h>
#include <unistd.h>

#define BLOCK 65536
/* For all of it: a guest that drips is ended, too. */
#define TOTAL_USEC       (60 * 60 * (gint64)G_USEC_PER_SEC)
#define STATUS_NO_PLACE  90
#define STATUS_NO_GIT    91
#define STATUS_NO_REPO   92
#define STATUS_NO_NEWS   93
#define STATUS_CANT_TELL 94

/* In the guest. $1: where. Its input: what the host has; of that it leaves out what itself has. */
static const char SCRIPT[] = "cd -- \"$1\" || exit 90\n"
                             "command -v git >/dev/null || exit 91\n"
                             "[ -e .git ] || exit 92\n"
                             "have=$(git cat-file --batch-check='%(objectname) %(objecttype)' |"
                             " sed -n 's/^\\([0-9a-f]*\\) commit$/^\\1/p')\n"
                             "head=; git symbolic-ref -q HEAD >/dev/null || head=HEAD\n"
                             "git rev-parse -q --verify HEAD >/dev/null || head=\n"
                             "news=$(printf '%s\\n' \"$have\" | sed '/^$/d' |"
                             " git rev-list -n 1 --branches $head --stdin) || exit 94\n"
                             "[ -n \"$news\" ] || exit 93\n"
                             "printf '%s\\n' \"$have\" | sed '/^$/d' |"
                             " git bundle create -q - --branches $head --stdin\n";

static gboolean
write_all (int fd, const char *data, gsize length, GError **error)
{
  while (length > 0)
    {
      gssize n = write (fd, data, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return sandbox_fail_errno (error, errno, "keeping what the machine sends");
      data += n;
      length -= (gsize)n;
    }
  return TRUE;
}

static gboolean
take (SandboxStream *stream, int out_fd, guint64 max_bytes, SandboxBytesFunc on_bytes,
      gpointer user_data, GError **error)
{
  g_autofree char *block = g_malloc (BLOCK);
  guint64 total = 0;

  for (;;)
    {
      gssize n = _sandbox_stream_read_some (stream, block, BLOCK, error);

      if (n <= 0)
        return n == 0;
      total += (guint64)n;
      if (total > max_bytes)
        return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                             "the machine's new commits are more than %" G_GUINT64_FORMAT
                             " bytes; raise the limit if that is as it should be (--max-size)",
                             max_bytes);
      if (!write_all (out_fd, block, (gsize)n, error))
        return FALSE;
      on_bytes (total, user_data);
    }
}

static gboolean
judge (const SandboxSsh *ssh, const char *path, int status, const char *text, gboolean *ret_news,
       GError **error)
{
  g_autofree char *shown = sandbox_escape (path, -1, 200);
  g_autofree char *reason = _sandbox_ssh_reason (text);

  *ret_news = status == 0;
  switch (status)
    {
    case 0:
    case STATUS_NO_NEWS:
      return TRUE;
    case STATUS_NO_PLACE:
    case STATUS_NO_REPO:
      return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND, "in the machine %s is no git repository",
                           shown);
    case STATUS_NO_GIT:
      return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the machine has no git; install it there");
    case 255:
      return _sandbox_ssh_fail (error, ssh, "asking the machine for its commits", text);
    default:
      return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the machine's git made no bundle of %s: %s",
                           shown, reason);
    }
}

gboolean
_sandbox_guest_bundle (const SandboxSsh *ssh, const char *path, int known_fd, int out_fd,
                       guint64 max_bytes, SandboxBytesFunc on_bytes, gpointer user_data,
                       gboolean *ret_news, GCancellable *cancellable, GError **error)
{
  const char *argv[] = { "sh", "-c", SCRIPT, "sh", path, NULL };
  g_autofree char *command = _sandbox_ssh_command (argv, NULL, FALSE);
  g_autoptr (SandboxStream) stream =
      _sandbox_stream_open_fed (ssh, command, known_fd, cancellable, error);
  g_autofree char *text = NULL;
  int status = 0;

  if (!stream)
    return FALSE;
  _sandbox_stream_limit (stream, TOTAL_USEC);
  return take (stream, out_fd, max_bytes, on_bytes, user_data, error)
         && _sandbox_stream_finish (stream, &status, &text, error)
         && judge (ssh, path, status, text, ret_news, error);
}
