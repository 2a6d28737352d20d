// SPDX-License-Identifier: LGPL-2.1-or-later
// Domains by name: list, state, XML, define, start, stop. Every verb is content with what is
// already so.

#include <string.h>
#include "virt/virt-private.h"

#define WAIT_FIRST_USEC (20 * 1000)
#define WAIT_MOST_USEC  (250 * 1000)
#define KILL_TRIES      5
#define SHUTDOWN_TRIES  20

void
_sandbox_virt_domain_free (SandboxVirtDomain *domain)
{
  if (!domain)
    return;
  g_free (domain->name);
  g_free (domain->uuid);
  g_free (domain);
}

static SandboxVirtState
state_of (int state)
{
  switch (state)
    {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
      return SANDBOX_VIRT_RUNNING;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
      return SANDBOX_VIRT_PAUSED;
    case VIR_DOMAIN_SHUTDOWN:
      return SANDBOX_VIRT_STOPPING;
    case VIR_DOMAIN_CRASHED:
      return SANDBOX_VIRT_CRASHED;
    case VIR_DOMAIN_SHUTOFF:
    case VIR_DOMAIN_NOSTATE:
    default:
      return SANDBOX_VIRT_STOPPED;
    }
}

static gboolean
is_up (SandboxVirtState state)
{
  return state == SANDBOX_VIRT_RUNNING || state == SANDBOX_VIRT_PAUSED
         || state == SANDBOX_VIRT_STOPPING;
}

/* One call for all of them: the statistics name their domains. Those that vanish meanwhile are left
 * out by libvirt. */
GPtrArray *
_sandbox_virt_list_domains (SandboxVirt *virt, const char *prefix, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (GPtrArray) domains = NULL;
  virDomainStatsRecordPtr *records = NULL;
  int count;

  if (!conn)
    return NULL;
  count = virConnectGetAllDomainStats (conn, VIR_DOMAIN_STATS_STATE, &records, 0);
  if (count < 0)
    {
      _sandbox_virt_fail (error, "Cannot list the machines");
      return NULL;
    }
  domains = g_ptr_array_new_with_free_func ((GDestroyNotify)_sandbox_virt_domain_free);
  for (int i = 0; i < count; i++)
    {
      const char *name = virDomainGetName (records[i]->dom);
      char uuid[VIR_UUID_STRING_BUFLEN] = "";
      int state = VIR_DOMAIN_NOSTATE;
      SandboxVirtDomain *domain = NULL;

      if (!name || !g_str_has_prefix (name, prefix))
        continue;
      virDomainGetUUIDString (records[i]->dom, uuid);
      virTypedParamsGetInt (records[i]->params, records[i]->nparams, "state.state", &state);
      domain = g_new0 (SandboxVirtDomain, 1);
      domain->name = g_strdup (name);
      domain->uuid = g_strdup (uuid);
      domain->state = state_of (state);
      g_ptr_array_add (domains, domain);
    }
  virDomainStatsRecordListFree (records);
  return g_steal_pointer (&domains);
}

/* NULL with *ret_none TRUE and no error: there is no such domain. */
static virDomainPtr
find_domain (virConnectPtr conn, const char *name, gboolean *ret_none, GError **error)
{
  virDomainPtr domain = virDomainLookupByName (conn, name);

  *ret_none = !domain && virGetLastErrorCode () == VIR_ERR_NO_DOMAIN;
  if (!domain && !*ret_none)
    _sandbox_virt_fail (error, "Cannot look for domain %s", name);
  return domain;
}

static gboolean
is_gone (void)
{
  return virGetLastErrorCode () == VIR_ERR_NO_DOMAIN;
}

gboolean
_sandbox_virt_domain_state (SandboxVirt *virt, const char *name, gboolean *ret_exists,
                            SandboxVirtState *ret_state, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = NULL;
  gboolean none;
  int state;

  if (!conn)
    return FALSE;
  domain = find_domain (conn, name, &none, error);
  if (!domain && !none)
    return FALSE;
  if (domain && virDomainGetState (domain, &state, NULL, 0) < 0)
    {
      if (!is_gone ())
        return _sandbox_virt_fail (error, "Cannot read the state of domain %s", name);
      none = TRUE;
    }
  if (ret_exists)
    *ret_exists = !none;
  if (ret_state)
    *ret_state = none ? SANDBOX_VIRT_STOPPED : state_of (state);
  return TRUE;
}

char *
_sandbox_virt_domain_xml (SandboxVirt *virt, const char *name, gboolean live, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = NULL;
  gboolean none;
  char *xml = NULL;

  if (!conn)
    return NULL;
  domain = find_domain (conn, name, &none, error);
  if (none)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "Cannot read the definition of domain %s: libvirt has none of that name", name);
  if (!domain)
    return NULL;
  xml = virDomainGetXMLDesc (domain, live ? 0 : VIR_DOMAIN_XML_INACTIVE);
  if (!xml)
    _sandbox_virt_fail (error, "Cannot read the definition of domain %s", name);
  return xml;
}

gboolean
_sandbox_virt_domain_define (SandboxVirt *virt, const char *xml, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = NULL;

  if (!conn)
    return FALSE;
  domain = virDomainDefineXMLFlags (conn, xml, VIR_DOMAIN_DEFINE_VALIDATE);
  if (!domain)
    return _sandbox_virt_fail (error, "Cannot define the domain");
  return TRUE;
}

/* Of a domain in hand: 1 if it runs, 0 if not or gone, -1 if that cannot be told. */
static int
domain_is_up (virDomainPtr domain)
{
  int state;

  if (virDomainGetState (domain, &state, NULL, 0) == 0)
    return is_up (state_of (state));
  return is_gone () ? 0 : -1;
}

/* The guest has powered off and QEMU is about to end: libvirt calls it active still, and not
 * running. */
static gboolean
is_going (virDomainPtr domain)
{
  int state;

  return virDomainGetState (domain, &state, NULL, 0) == 0 && state == VIR_DOMAIN_SHUTDOWN;
}

/* What a verb that libvirt refused comes to: success if the domain is as wanted all the same
 * (another process was faster, or it ended by itself), else that refusal. */
static gboolean
refused (virDomainPtr domain, gboolean want_up, const char *verb, const char *name, GError **error)
{
  virErrorPtr why = virSaveLastError ();
  gboolean fine = domain_is_up (domain) == want_up || (!want_up && is_going (domain));

  if (!fine)
    {
      g_autofree char *doing = g_strdup_printf ("Cannot %s domain %s", verb, name);

      _sandbox_virt_fail_with (error, why, doing);
    }
  virFreeError (why);
  return fine;
}

/* Looks up @name for a verb that needs it. */
static virDomainPtr
need_domain (virConnectPtr conn, const char *name, const char *verb, GError **error)
{
  gboolean none;
  virDomainPtr domain = find_domain (conn, name, &none, error);

  if (none)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "Cannot %s domain %s: libvirt has none of that name", verb, name);
  return domain;
}

gboolean
_sandbox_virt_domain_start (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? need_domain (conn, name, "start", error) : NULL;

  if (!domain)
    return FALSE;
  if (virDomainCreate (domain) == 0)
    return TRUE;
  return refused (domain, TRUE, "start", name, error);
}

gboolean
_sandbox_virt_domain_shutdown (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = conn ? need_domain (conn, name, "shut down", error) : NULL;

  if (!domain)
    return FALSE;
  // of one that is just ending, libvirt may for a moment know no more than that QEMU does not
  // answer
  for (int i = 1; i < SHUTDOWN_TRIES; i++)
    {
      if (virDomainShutdown (domain) == 0 || domain_is_up (domain) == 0 || is_going (domain))
        return TRUE;
      g_usleep (WAIT_MOST_USEC);
    }
  return virDomainShutdown (domain) == 0 || refused (domain, FALSE, "shut down", name, error);
}

gboolean
_sandbox_virt_domain_kill (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = NULL;
  gboolean none;

  if (!conn)
    return FALSE;
  domain = find_domain (conn, name, &none, error);
  if (!domain)
    return none;
  // on a busy host QEMU may outlive libvirt's patience by a little
  for (int i = 1; i < KILL_TRIES; i++)
    {
      if (virDomainDestroy (domain) == 0 || domain_is_up (domain) == 0)
        return TRUE;
      g_usleep (WAIT_MOST_USEC);
    }
  return virDomainDestroy (domain) == 0 || refused (domain, FALSE, "kill", name, error);
}

gboolean
_sandbox_virt_domain_undefine (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virDomain) domain = NULL;
  // what libvirt itself keeps about a domain goes with it, or the undefine is refused
  const unsigned int flags =
      VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
  int result;
  gboolean none;

  if (!conn)
    return FALSE;
  domain = find_domain (conn, name, &none, error);
  if (!domain)
    return none;
  if (virDomainIsPersistent (domain) == 0)
    return TRUE;
  result = virDomainUndefineFlags (domain, flags | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA);
  // the test driver has no checkpoints
  if (result < 0 && virGetLastErrorCode () == VIR_ERR_INVALID_ARG)
    result = virDomainUndefineFlags (domain, flags);
  if (result == 0 || is_gone ())
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot undefine domain %s", name);
}

/* Sleeps, less when @cancellable is triggered. */
static gboolean
nap (gint64 usec, GCancellable *cancellable, GError **error)
{
  GPollFD poll_fd;

  if (!g_cancellable_make_pollfd (cancellable, &poll_fd))
    {
      g_usleep (usec);
      return !g_cancellable_set_error_if_cancelled (cancellable, error);
    }
  g_poll (&poll_fd, 1, usec / 1000);
  g_cancellable_release_fd (cancellable);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

gboolean
_sandbox_virt_domain_wait_stopped (SandboxVirt *virt, const char *name, gint64 timeout_usec,
                                   GCancellable *cancellable, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  gint64 pause = WAIT_FIRST_USEC;

  while (TRUE)
    {
      gboolean exists = FALSE;
      SandboxVirtState state = SANDBOX_VIRT_STOPPED;
      gint64 left;

      if (!_sandbox_virt_domain_state (virt, name, &exists, &state, error))
        return FALSE;
      if (!exists || !is_up (state))
        return TRUE;
      left = start + timeout_usec - g_get_monotonic_time ();
      if (timeout_usec >= 0 && left <= 0)
        return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                             "Domain %s did not stop within %.4g seconds: it is still there", name,
                             timeout_usec / 1e6);
      if (!nap (timeout_usec >= 0 ? MIN (pause, left + 1000) : pause, cancellable, error))
        return FALSE;
      pause = MIN (pause * 2, WAIT_MOST_USEC);
    }
}
