// SPDX-License-Identifier: LGPL-2.1-or-later
// Machines that stand still: why, and letting them go on.

#include "base/steps.h"
#include "virt/virt-private.h"

/* A daemon that is started again takes some seconds. */
#define GO_ON_TRIES 20
#define GO_ON_USEC  G_USEC_PER_SEC

/* QEMU stops a machine whose disk cannot be written because the host's is full (its default, which
 * our definitions leave as it is); all other errors are the guest's to see. */
static SandboxVirtPause
pause_of (virDomainPtr domain, int reason)
{
  int count;
  SandboxVirtPause pause = SANDBOX_VIRT_PAUSE_ERROR;

  if (reason != VIR_DOMAIN_PAUSED_IOERROR)
    return SANDBOX_VIRT_PAUSE_OTHER;
  count = virDomainGetDiskErrors (domain, NULL, 0, 0);
  if (count > 0)
    {
      g_autofree virDomainDiskErrorPtr errors = g_new0 (virDomainDiskError, count);

      count = virDomainGetDiskErrors (domain, errors, (unsigned)count, 0);
      for (int i = 0; i < count; i++)
        {
          if (errors[i].error == VIR_DOMAIN_DISK_ERROR_NO_SPACE)
            pause = SANDBOX_VIRT_PAUSE_FULL;
          free (errors[i].disk);
        }
    }
  return pause;
}

gboolean
_sandbox_virt_domain_pause (SandboxVirt *virt, const char *name, SandboxVirtPause *ret_pause,
                            GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? virDomainLookupByName (conn, name) : NULL;
  int state = VIR_DOMAIN_NOSTATE, reason = 0;

  if (!conn)
    return FALSE;
  if (!domain || virDomainGetState (domain, &state, &reason, 0) < 0)
    return _sandbox_virt_fail (error, "Cannot read why domain %s is paused", name);
  /* one that libvirt is just starting, perhaps for a process that was killed, goes on by itself */
  *ret_pause = state == VIR_DOMAIN_PAUSED && reason != VIR_DOMAIN_PAUSED_STARTING_UP
                   ? pause_of (domain, reason)
                   : SANDBOX_VIRT_PAUSE_NONE;
  return TRUE;
}

gboolean
_sandbox_virt_domain_suspend (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? virDomainLookupByName (conn, name) : NULL;

  if (!conn)
    return FALSE;
  if (!domain || virDomainSuspend (domain) < 0)
    return _sandbox_virt_fail (error, "Cannot pause domain %s", name);
  return TRUE;
}

gboolean
_sandbox_virt_domain_resume (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? virDomainLookupByName (conn, name) : NULL;

  if (!conn)
    return FALSE;
  if (!domain || virDomainResume (domain) < 0)
    return _sandbox_virt_fail (error, "Cannot let domain %s go on", name);
  return TRUE;
}

/* TRUE: it does not stand still any more, or is off. A daemon that went away in the middle may have
 * stopped it all the same. */
static gboolean
let_go_on (SandboxVirt *virt, const char *name, GError **error)
{
  for (guint i = 0; i < GO_ON_TRIES; i++)
    {
      SandboxVirtState state = SANDBOX_VIRT_PAUSED;

      if (_sandbox_virt_domain_resume (virt, name, NULL))
        return TRUE;
      /* asked afterwards: a daemon that finds its domains again lets the resume wait until it
       * knows, and not this */
      if (_sandbox_virt_domain_state (virt, name, NULL, &state, NULL)
          && state != SANDBOX_VIRT_PAUSED)
        return TRUE;
      g_usleep (GO_ON_USEC);
    }
  return _sandbox_virt_domain_resume (virt, name, error);
}

gboolean
_sandbox_virt_domain_write_out (SandboxVirt *virt, const char *name, gboolean *ret_goes_on,
                                GError **error)
{
  gboolean done = _sandbox_virt_domain_suspend (virt, name, error)
                  && sandbox_fault_point ("layers", "merge", "still", error);

  *ret_goes_on = let_go_on (virt, name, done ? error : NULL);
  return done && *ret_goes_on;
}
