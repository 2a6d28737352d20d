// SPDX-License-Identifier: LGPL-2.1-or-later
// One connection to libvirt, shared by threads and opened again when the daemon was restarted.

#include <string.h>
#include "virt/virt-private.h"

struct _SandboxVirt
{
  gatomicrefcount ref_count;
  char *uri;
  gboolean is_test, is_remote;
  GMutex mutex;
  virConnectPtr conn;  /* under @mutex */
  SandboxFacts *facts; /* under @mutex; as the daemon behind @conn told */
};

static void
on_connection_error (void *user_data, virErrorPtr why)
{
  // every caller reads its thread's last error instead
}

/* "qemu+ssh://host/system" and "qemu://host/system" are remote, "qemu:///system" is not, nor is
 * "qemu+unix:///system". */
gboolean
_sandbox_virt_uri_is_remote (const char *uri)
{
  g_autofree char *scheme = NULL, *host = NULL;

  if (!g_uri_split (uri, G_URI_FLAGS_PARSE_RELAXED, &scheme, NULL, &host, NULL, NULL, NULL, NULL,
                    NULL))
    return FALSE;
  if (host && *host)
    return TRUE;
  return scheme && strchr (scheme, '+') && !g_str_has_suffix (scheme, "+unix");
}

/* What is asked of libvirt here only its QEMU driver does, and for trying out its test driver. */
static gboolean
check_uri (const char *uri, GError **error)
{
  static const char *const drivers[] = { "qemu", "test" };

  for (gsize i = 0; i < G_N_ELEMENTS (drivers); i++)
    {
      const char *rest = g_str_has_prefix (uri, drivers[i]) ? uri + strlen (drivers[i]) : NULL;

      if (rest && (*rest == ':' || *rest == '+'))
        return TRUE;
    }
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "Cannot connect to libvirt at %s: only its QEMU driver can be used; the "
                       "usual URI is qemu:///system",
                       uri);
}

static virConnectPtr
open_quietly (const char *uri, GError **error)
{
  virConnectPtr conn = NULL;

  _sandbox_virt_quiet_begin ();
  conn = virConnectOpen (uri);
  if (!conn)
    _sandbox_virt_fail (error, "Cannot connect to libvirt at %s", uri);
  _sandbox_virt_quiet_end ();
  if (conn)
    virConnSetErrorFunc (conn, NULL, on_connection_error);
  return conn;
}

SandboxVirt *
_sandbox_virt_open (const char *uri, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxVirt) virt = NULL;

  if (g_cancellable_set_error_if_cancelled (cancellable, error) || !check_uri (uri, error))
    return NULL;
  virt = g_new0 (SandboxVirt, 1);
  g_atomic_ref_count_init (&virt->ref_count);
  g_mutex_init (&virt->mutex);
  virt->uri = g_strdup (uri);
  virt->is_test = g_str_has_prefix (uri, "test:") || g_str_has_prefix (uri, "test+");
  virt->is_remote = _sandbox_virt_uri_is_remote (uri);
  virt->conn = open_quietly (uri, error);
  if (!virt->conn)
    return NULL;
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  return g_steal_pointer (&virt);
}

SandboxVirt *
_sandbox_virt_ref (SandboxVirt *virt)
{
  g_atomic_ref_count_inc (&virt->ref_count);
  return virt;
}

void
_sandbox_virt_unref (SandboxVirt *virt)
{
  if (!g_atomic_ref_count_dec (&virt->ref_count))
    return;
  _sandbox_virt_enter ();
  g_clear_pointer (&virt->conn, virConnectClose);
  _sandbox_virt_leave ();
  g_clear_pointer (&virt->facts, sandbox_facts_free);
  g_mutex_clear (&virt->mutex);
  g_free (virt->uri);
  g_free (virt);
}

gboolean
_sandbox_virt_is_test (SandboxVirt *virt)
{
  return virt->is_test;
}

gboolean
_sandbox_virt_is_remote (SandboxVirt *virt)
{
  return virt->is_remote;
}

/* virConnectIsAlive alone does not notice a daemon that went away while nobody talked to it: nobody
 * reads the socket then. One cheap question does. The test driver lives in this process. */
static gboolean
is_alive (SandboxVirt *virt)
{
  unsigned long version;

  if (virt->is_test)
    return TRUE;
  return virConnectIsAlive (virt->conn) == 1 && virConnectGetLibVersion (virt->conn, &version) == 0;
}

static gboolean
ensure_alive (SandboxVirt *virt, GError **error)
{
  if (virt->conn && is_alive (virt))
    return TRUE;
  g_clear_pointer (&virt->conn, virConnectClose);
  g_clear_pointer (&virt->facts, sandbox_facts_free);
  virt->conn = open_quietly (virt->uri, error);
  return virt->conn != NULL;
}

virConnectPtr
_sandbox_virt_connection (SandboxVirt *virt, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&virt->mutex);

  _sandbox_virt_enter ();
  if (!ensure_alive (virt, error))
    {
      _sandbox_virt_leave ();
      return NULL;
    }
  virConnectRef (virt->conn);
  return virt->conn;
}

virConnectPtr
_sandbox_virt_connection_new (SandboxVirt *virt, GError **error)
{
  virConnectPtr conn = NULL;

  // the test driver's state may belong to the one connection
  if (virt->is_test)
    return _sandbox_virt_connection (virt, error);
  _sandbox_virt_enter ();
  conn = open_quietly (virt->uri, error);
  if (!conn)
    _sandbox_virt_leave ();
  return conn;
}

SandboxFacts *
_sandbox_virt_cached_facts (SandboxVirt *virt, SandboxVirtFactsFunc read, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&virt->mutex);

  _sandbox_virt_enter ();
  if (ensure_alive (virt, error) && !virt->facts)
    virt->facts = read (virt, virt->conn, error);
  _sandbox_virt_leave ();
  return virt->facts ? sandbox_facts_copy (virt->facts) : NULL;
}
