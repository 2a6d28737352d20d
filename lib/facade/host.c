// SPDX-License-Identifier: LGPL-2.1-or-later
// The host handle: connection, directories, who the caller is.
#include "config.h"
#include "facade/facade-private.h"

#include "base/guard.h"

#include <string.h>
#include <pwd.h>
#include <unistd.h>

G_DEFINE_BOXED_TYPE (SandboxHost, sandbox_host, sandbox_host_ref, sandbox_host_unref)

const char *
sandbox_version (void)
{
  return SANDBOX_PACKAGE_VERSION;
}

gboolean
_sandbox_options_copy (gpointer options, gsize size, gconstpointer from, GError **error)
{
  gsize given;

  if (from == NULL)
    return TRUE;
  given = *(const gsize *)from;
  if (given < sizeof (gsize))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "option struct without its size: initialise it with its _INIT macro");
  memcpy (options, from, MIN (given, size));
  return TRUE;
}

static gboolean
check_owner (const char *owner, GError **error)
{
  gsize length = strlen (owner);

  if (length >= 1 && length <= 16 && g_ascii_islower (owner[0])
      && strspn (owner, "abcdefghijklmnopqrstuvwxyz0123456789") == length)
    return TRUE;
  return sandbox_fail (
      error, SANDBOX_ERROR_INVALID,
      "owner tag \"%s\": must be a letter followed by at most 15 letters and digits, "
      "all lower case",
      owner);
}

/* Keys and locks belong to machines of one libvirt: another URI gets a directory of its own, so
 * that repairing the one never takes the other's for orphans. */
static char *
default_state_dir (const char *uri, const char *owner)
{
  g_autoptr (GString) name = g_string_new ("vms");
  g_autofree char *data = sandbox_user_dir (g_get_user_data_dir (), ".local/share");

  if (strcmp (owner, "vms") != 0)
    g_string_append_printf (name, "-%s", owner);
  if (strcmp (uri, SANDBOX_DEFAULT_URI) != 0)
    {
      g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, uri, -1);

      g_string_append_printf (name, "@%.10s", digest);
    }
  return g_build_filename (data, name->str, NULL);
}

/* The user's own, whatever group `newgrp` or `sg` gave this process: the guest's user keeps one
 * group for life. */
static gid_t
primary_group (uid_t uid)
{
  char buffer[16384];
  struct passwd entry, *found = NULL;

  return getpwuid_r (uid, &entry, buffer, sizeof buffer, &found) == 0 && found ? entry.pw_gid
                                                                               : getegid ();
}

/* All that needs no connection: diagnose uses this part alone. */
static SandboxHost *
host_new (const SandboxHostOptions *options, GError **error)
{
  g_autofree char *cache = NULL;
  const char *uri = options->uri != NULL ? options->uri : SANDBOX_DEFAULT_URI;
  const char *owner = options->owner != NULL ? options->owner : "vms";
  const char *home = g_get_home_dir ();
  g_autoptr (SandboxHost) host = NULL;

  if (!check_owner (owner, error))
    return NULL;
  if (home == NULL || !g_path_is_absolute (home))
    {
      sandbox_fail (error, SANDBOX_ERROR_HOST,
                    "home directory \"%s\": not an absolute path; set HOME",
                    home != NULL ? home : "");
      return NULL;
    }
  host = g_new0 (SandboxHost, 1);
  g_atomic_ref_count_init (&host->ref_count);
  host->uri = g_strdup (uri);
  host->owner = g_strdup (owner);
  host->home = g_strdup (home);
  host->uid = geteuid ();
  host->gid = primary_group (host->uid);
  host->lock_wait_usec = options->lock_wait_usec;
  host->state_dir = options->state_dir != NULL ? g_canonicalize_filename (options->state_dir, NULL)
                                               : default_state_dir (uri, owner);
  cache = sandbox_user_dir (g_get_user_cache_dir (), ".cache");
  host->cache_dir = g_build_filename (cache, "vms", NULL);
  host->user_dir = g_strdup (options->profiles.user_dir);
  host->shipped_dir = g_strdup (options->profiles.shipped_dir);
  host->profiles = (SandboxProfileDirs)SANDBOX_PROFILE_DIRS_INIT;
  host->profiles.user_dir = host->user_dir;
  host->profiles.shipped_dir = host->shipped_dir;
  return g_steal_pointer (&host);
}

SandboxHost *
sandbox_host_open (const SandboxHostOptions *options, GCancellable *cancellable, GError **error)
{
  SandboxHostOptions own = SANDBOX_HOST_OPTIONS_INIT;
  g_autoptr (SandboxHost) host = NULL;

  if (!_sandbox_options_copy (&own, sizeof own, options, error))
    return NULL;
  host = host_new (&own, error);
  if (host == NULL)
    return NULL;
  host->virt = _sandbox_virt_open (host->uri, cancellable, error);
  if (host->virt == NULL)
    return NULL;
  return g_steal_pointer (&host);
}

SandboxHost *
sandbox_host_ref (SandboxHost *host)
{
  g_return_val_if_fail (host != NULL, NULL);
  g_atomic_ref_count_inc (&host->ref_count);
  return host;
}

void
sandbox_host_unref (SandboxHost *host)
{
  g_return_if_fail (host != NULL);
  if (!g_atomic_ref_count_dec (&host->ref_count))
    return;
  g_clear_pointer (&host->virt, _sandbox_virt_unref);
  g_free (host->uri);
  g_free (host->state_dir);
  g_free (host->cache_dir);
  g_free (host->owner);
  g_free (host->home);
  g_free (host->user_dir);
  g_free (host->shipped_dir);
  g_free (host);
}

const char *
sandbox_host_get_uri (SandboxHost *host)
{
  return host->uri;
}

const char *
sandbox_host_get_state_dir (SandboxHost *host)
{
  return host->state_dir;
}

const SandboxProfileDirs *
sandbox_host_get_profile_dirs (SandboxHost *host)
{
  return &host->profiles;
}

int
sandbox_host_get_guard_pid (SandboxHost *host)
{
  if (_sandbox_virt_is_test (host->virt) || _sandbox_virt_is_remote (host->virt))
    return 0;
  return sandbox_guard_pid ();
}

int
_sandbox_host_state_fd (SandboxHost *host, gboolean create, GError **error)
{
  return sandbox_dir_open (host->state_dir, create, error);
}

gboolean
_sandbox_host_is_test (SandboxHost *host)
{
  return _sandbox_virt_is_test (host->virt);
}

char *
_sandbox_host_prefix (SandboxHost *host)
{
  return g_strdup_printf ("vms-%u-", host->uid);
}

void
_sandbox_report (const SandboxReport *report, const char *phase, const char *note, guint64 done,
                 guint64 total)
{
  SandboxProgress progress = { report->object, phase, note, done, total };

  if (report->func != NULL)
    report->func (&progress, report->user_data);
}

static const char *const state_names[] = {
  [SANDBOX_STATE_NEW] = "new",
  [SANDBOX_STATE_STOPPED] = "stopped",
  [SANDBOX_STATE_RUNNING] = "running",
  [SANDBOX_STATE_PAUSED] = "paused",
  [SANDBOX_STATE_STOPPING] = "stopping",
  [SANDBOX_STATE_CRASHED] = "crashed",
  [SANDBOX_STATE_INCOMPLETE] = "incomplete",
  [SANDBOX_STATE_SUSPENDED] = "suspended",
};

const char *
sandbox_state_to_string (SandboxState state)
{
  g_return_val_if_fail ((guint)state < G_N_ELEMENTS (state_names), "");
  return state_names[state];
}
