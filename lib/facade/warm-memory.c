// SPDX-License-Identifier: LGPL-2.1-or-later
// Kept memory without the pages that hold nothing: see base/saved-memory.h.
#include "facade/warm.h"

#include "base/saved-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static gboolean
take (const void *data, gsize length, gpointer trim, GError **error)
{
  return sandbox_trim_push (trim, data, length, error);
}

/* What is left of volume @name, in a file without a name; -1 with @error. */
static int
trim (SandboxWork *work, const SandboxWarm *warm, const char *name, GCancellable *cancellable,
      GError **error)
{
  sandbox_autofd int dir = sandbox_dir_open (warm->keys_path, FALSE, error);
  sandbox_autofd int fd = -1;
  g_autoptr (SandboxTrim) trim = NULL;
  guint64 pages;

  if (dir < 0)
    return -1;
  fd = openat (dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0)
    {
      sandbox_fail_errno (error, errno, "making a file in %s", warm->keys_path);
      return -1;
    }
  trim = sandbox_trim_new (fd);
  if (!_sandbox_virt_volume_receive (work->host->virt, name, take, trim, cancellable, error)
      || !sandbox_trim_end (trim, &pages, error))
    return -1;
  return g_steal_fd (&fd);
}

gboolean
_sandbox_warm_trim (SandboxWork *work, const SandboxWarm *warm, GCancellable *cancellable,
                    GError **error)
{
  SandboxVirt *virt = work->host->virt;
  g_autofree char *name = _sandbox_warm_volume (warm->id, ".mem");
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = trim (work, warm, name, cancellable, &local);
  g_autofree char *xml = NULL, *note = NULL;
  off_t length;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (fd < 0)
    {
      note = g_strdup_printf ("keeps empty memory, too: %s", local->message);
      _sandbox_report (&work->report, "warm", note, 0, 0);
      return TRUE;
    }
  length = lseek (fd, 0, SEEK_END);
  xml = _sandbox_xml_raw_volume (name, length, 0600);
  return lseek (fd, 0, SEEK_SET) == 0 && _sandbox_virt_volume_remove (virt, name, error)
         && _sandbox_virt_volume_create_new (virt, xml, error)
         && _sandbox_virt_volume_upload_fd (virt, name, fd, length, NULL, NULL, cancellable, error);
}
