// SPDX-License-Identifier: LGPL-2.1-or-later
// Bringing a machine's commits into the host's repository.
#include "facade/facade-private.h"
#include "share/pull-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PULL_LOCK "pull.lock"

/* Which repository, on both sides. */
typedef struct
{
  char *share, *host_path, *guest_path;
} Place;

static void
place_clear (Place *place)
{
  g_free (place->share);
  g_free (place->host_path);
  g_free (place->guest_path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Place, place_clear)

static gboolean
has_repository (const SandboxPlanShare *share)
{
  g_autofree char *git = g_build_filename (share->source, ".git", NULL);
  struct stat info;

  return lstat (git, &info) == 0;
}

/* "NAME" or "NAME/DIRECTORY"; @ret_below: "" or "/DIRECTORY". */
static const SandboxPlanShare *
find_named (SandboxMachine *machine, const SandboxDomainMeta *meta, const char *wanted,
            const char **ret_below, GError **error)
{
  gsize length = strcspn (wanted, "/");
  g_autofree char *padded = g_strconcat (wanted + length, "/", NULL);
  g_autofree char *shown = sandbox_escape (wanted, -1, 200);

  *ret_below = wanted + length;
  if (strstr (padded, "/../") || strstr (padded, "/./") || strstr (padded, "//"))
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID,
                    "pull: \"%s\": after the share's name comes a directory in it, without empty "
                    "parts, \".\" and \"..\"",
                    shown);
      return NULL;
    }
  for (guint i = 0; i < meta->shares->len; i++)
    {
      const SandboxPlanShare *share = meta->shares->pdata[i];

      if (strlen (share->tag) == length && strncmp (share->tag, wanted, length) == 0)
        return share;
    }
  sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                "%s: it has no share of the name \"%.*s\"; see `vms status %s`", machine->name,
                (int)length, shown, machine->name);
  return NULL;
}

static const SandboxPlanShare *
find_only (SandboxMachine *machine, const SandboxDomainMeta *meta, GError **error)
{
  const SandboxPlanShare *found = NULL;

  for (guint i = 0; i < meta->shares->len; i++)
    {
      const SandboxPlanShare *share = meta->shares->pdata[i];

      if (!has_repository (share))
        continue;
      if (found != NULL)
        {
          sandbox_fail (error, SANDBOX_ERROR_INVALID,
                        "%s: its shares \"%s\" and \"%s\" are both git repositories; say which one "
                        "(`vms pull %s %s`)",
                        machine->name, found->tag, share->tag, machine->name, share->tag);
          return NULL;
        }
      found = share;
    }
  if (found == NULL)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "%s: none of its shares is a git repository; for one that lies within a share "
                  "say `vms pull %s SHARE/DIRECTORY`",
                  machine->name, machine->name);
  return found;
}

static gboolean
find_place (SandboxMachine *machine, const char *wanted, Place *place, GError **error)
{
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autofree char *xml = NULL;
  const SandboxPlanShare *share;
  const char *below = "";

  if (!_sandbox_machine_read_live (machine, &xml, &meta, error)
      || (meta == NULL && !_sandbox_machine_read_domain (machine, &xml, &meta, error)))
    return FALSE;
  if (meta == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "%s: was never started; start it with `vms start %s`", machine->name,
                         machine->name);
  share = wanted != NULL ? find_named (machine, meta, wanted, &below, error)
                         : find_only (machine, meta, error);
  if (share == NULL)
    return FALSE;
  place->share = g_strdup (share->tag);
  place->host_path = g_strconcat (share->source, below, NULL);
  place->guest_path = g_strconcat (share->target, below, NULL);
  return TRUE;
}

static void
on_bytes (guint64 bytes, gpointer user_data)
{
  _sandbox_report (user_data, "pull", "fetching commits", bytes, 0);
}

/* The bundle, in a file that has no name; -1 without error: there is nothing new. */
static int
fetch (const Place *place, const SandboxSsh *ssh, SandboxQuarantine *quarantine,
       const SandboxPullRepo *repo, SandboxReport *report, GError **error)
{
  g_autofree char *tips = _sandbox_pull_tips (quarantine, repo, error);
  sandbox_autofd int known_fd = tips != NULL ? memfd_create ("tips", MFD_CLOEXEC) : -1;
  sandbox_autofd int out_fd = -1;
  gboolean news = FALSE;

  if (tips == NULL)
    return -1;
  if (known_fd < 0 || write (known_fd, tips, strlen (tips)) != (gssize)strlen (tips)
      || lseek (known_fd, 0, SEEK_SET) < 0)
    {
      sandbox_fail_errno (error, errno, "making a file in memory");
      return -1;
    }
  out_fd = openat (quarantine->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (out_fd < 0)
    {
      sandbox_fail_errno (error, errno, "making a file for what the machine sends");
      return -1;
    }
  if (!_sandbox_guest_bundle (ssh, place->guest_path, known_fd, out_fd, quarantine->max_bytes,
                              on_bytes, report, &news, quarantine->cancellable, error))
    return -1;
  return news ? g_steal_fd (&out_fd) : -1;
}

/* With the machine's pull lock held, and the quarantine there. */
static gboolean
run (SandboxPull *pull, SandboxMachine *machine, const Place *place, const SandboxSsh *ssh,
     int state_fd, const SandboxPullOptions *options, SandboxReport *report,
     GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxPullRepo) repo = _sandbox_pull_repo_open (place->host_path, error);
  g_autoptr (SandboxQuarantine) quarantine = NULL;
  g_autoptr (GError) local = NULL;
  sandbox_autofd int bundle_fd = -1;

  if (repo == NULL)
    return FALSE;
  quarantine = _sandbox_quarantine_new (
      state_fd, machine->state_path, repo,
      options->max_bytes != 0 ? options->max_bytes : SANDBOX_PULL_MAX_BYTES, cancellable, error);
  if (quarantine == NULL)
    return FALSE;
  bundle_fd = fetch (place, ssh, quarantine, repo, report, &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (bundle_fd < 0)
    return TRUE;
  _sandbox_report (report, "check", "checking commits", 0, 0);
  return _sandbox_pull_receive (pull, quarantine, repo, machine->name, bundle_fd, options->dry_run,
                                error);
}

SandboxPull *
sandbox_machine_pull (SandboxMachine *machine, const SandboxPullOptions *options,
                      SandboxProgressFunc progress, gpointer user_data, GCancellable *cancellable,
                      GError **error)
{
  SandboxPullOptions own = SANDBOX_PULL_OPTIONS_INIT;
  SandboxReport report = { progress, user_data, machine->name };
  g_autoptr (SandboxPull) pull = NULL;
  g_autoptr (SandboxSsh) ssh = NULL;
  g_autoptr (SandboxLock) lock = NULL;
  g_auto (Place) place = { NULL };
  sandbox_autofd int state_fd = -1;

  if ((options != NULL && !_sandbox_options_copy (&own, sizeof own, options, error))
      || !find_place (machine, own.share, &place, error))
    return NULL;
  pull = _sandbox_pull_new (place.share, place.host_path);
  ssh = _sandbox_machine_ready (machine, cancellable, error);
  state_fd = ssh != NULL ? _sandbox_machine_state_fd (machine, FALSE, error) : -1;
  if (state_fd < 0)
    return NULL;
  lock = sandbox_lock_acquire (state_fd, PULL_LOCK, "pull", 0, NULL, NULL, cancellable, error);
  if (lock == NULL
      || !run (pull, machine, &place, ssh, state_fd, &own, &report, cancellable, error))
    {
      g_prefix_error (error, "pull %s: ", machine->name);
      return NULL;
    }
  return g_steal_pointer (&pull);
}
