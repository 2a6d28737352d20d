// SPDX-License-Identifier: LGPL-2.1-or-later
// What the host's disk has left: no start when that is next to nothing, and machines that stopped
// because it was nothing go on.
#include "facade/facade-private.h"

#include <sys/statvfs.h>

/* One that QEMU stops again at once has stopped by then. */
#define SETTLE_USEC (500 * 1000)

gboolean
_sandbox_host_room (SandboxHost *host, gboolean *ret_exists, guint64 *ret_available, GError **error)
{
  g_autoptr (SandboxFacts) facts = NULL;
  struct statvfs info;

  if (!_sandbox_virt_pool_space (host->virt, ret_exists, ret_available, error))
    return FALSE;
  if (!*ret_exists || _sandbox_host_is_test (host) || _sandbox_virt_is_remote (host->virt))
    return TRUE;
  /* libvirt counts the room when it looks at the pool anew, which may be long ago */
  facts = _sandbox_virt_facts (host->virt, NULL, NULL);
  if (facts != NULL && *facts->pool_path != '\0' && statvfs (facts->pool_path, &info) == 0)
    *ret_available = (guint64)info.f_bavail * info.f_frsize;
  return TRUE;
}

gboolean
_sandbox_host_check_room (SandboxHost *host, const char *doing, guint64 bytes, GError **error)
{
  guint64 available = 0, wanted = bytes + SANDBOX_ROOM_MIN;
  gboolean exists = FALSE;
  g_autofree char *left = NULL, *need = NULL;

  if (!_sandbox_host_room (host, &exists, &available, error))
    return FALSE;
  if (!exists || available >= wanted)
    return TRUE;
  left = sandbox_size_human (available);
  need = sandbox_size_human (wanted);
  return sandbox_fail (
      error, SANDBOX_ERROR_HOST,
      "%s: the host's disk is nearly full: the storage pool has %s left, and %s are needed; `vms "
      "list --disk` shows what takes how much, `vms image prune` removes what nothing needs",
      doing, left, need);
}

gboolean
_sandbox_space_check (SandboxWork *work, GError **error)
{
  g_autofree char *doing = g_strconcat ("start ", work->machine->name, NULL);

  return _sandbox_host_check_room (work->host, doing, 0, error);
}

static gboolean
go_on (SandboxWork *work, const char *verb, GError **error)
{
  const char *name = work->machine->name, *object = work->machine->object;
  g_autofree char *doing =
      g_strdup_printf ("%s %s, which stands still for want of room", verb, name);
  SandboxVirtPause pause = SANDBOX_VIRT_PAUSE_NONE;

  if (!_sandbox_host_check_room (work->host, doing, 0, error)
      || !_sandbox_virt_domain_resume (work->host->virt, object, error))
    return FALSE;
  g_usleep (SETTLE_USEC);
  if (!_sandbox_virt_domain_pause (work->host->virt, object, &pause, error))
    return FALSE;
  if (pause != SANDBOX_VIRT_PAUSE_NONE)
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "%s %s: it stopped again at once, since its disk still cannot be "
                         "written; the log of QEMU, /var/log/libvirt/qemu/%s.log, may say why. "
                         "Make room, or `vms stop --force %s`",
                         verb, name, object, name);
  _sandbox_report (&work->report, "profile", "there is room again: it goes on", 0, 0);
  work->pieces.virt_state = SANDBOX_VIRT_RUNNING;
  return TRUE;
}

gboolean
_sandbox_space_wake (SandboxWork *work, const char *verb, GError **error)
{
  const char *name = work->machine->name;
  SandboxVirtPause pause = SANDBOX_VIRT_PAUSE_OTHER;

  if (!_sandbox_virt_domain_pause (work->host->virt, work->machine->object, &pause, error))
    return FALSE;
  if (pause == SANDBOX_VIRT_PAUSE_FULL || pause == SANDBOX_VIRT_PAUSE_ERROR)
    return go_on (work, verb, error);
  if (pause == SANDBOX_VIRT_PAUSE_NONE)
    {
      work->pieces.virt_state = SANDBOX_VIRT_RUNNING;
      return TRUE;
    }
  return sandbox_fail (
      error, SANDBOX_ERROR_WRONG_STATE,
      "%s %s: it is paused: by vms-guard, which lets it go on by itself when its rules are "
      "back, or by somebody's hand; then `virsh resume %s`, or `vms stop --force %s`",
      verb, name, work->machine->object, name);
}

const char *
_sandbox_space_paused (SandboxMachine *machine)
{
  static const char *const words[] = {
    [SANDBOX_VIRT_PAUSE_NONE] = "",
    [SANDBOX_VIRT_PAUSE_FULL] = "disk-full",
    [SANDBOX_VIRT_PAUSE_ERROR] = "disk-error",
    [SANDBOX_VIRT_PAUSE_OTHER] = "other",
  };
  SandboxVirtPause pause = SANDBOX_VIRT_PAUSE_OTHER;

  /* what cannot be told is something else */
  _sandbox_virt_domain_pause (machine->host->virt, machine->object, &pause, NULL);
  return words[pause];
}
