// SPDX-License-Identifier: LGPL-2.1-or-later
// Provisioning on a machine's own disk: the steps of its profile that were not done on it, or were
// done with something else. What was done, the disk itself says: in a machine made from layers,
// too.
#include "facade/provision-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MARKER_MAX  4096
#define MARKER_USEC (60 * G_USEC_PER_SEC)
/* In the machine's state directory: what its disk was brought to, for the word of a later start. */
#define NOTE "provisioned"

/* All markers of a profile's groups, one a line. (transfer full) */
static char *
all_markers (const SandboxLayering *layering, GPtrArray *groups)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < groups->len; i++)
    {
      g_autofree char *marker = _sandbox_group_marker (layering, groups->pdata[i]);

      g_string_append_printf (text, "%s\n", marker);
    }
  return g_string_free (text, FALSE);
}

gboolean
_sandbox_provision_is_noted (const SandboxLayering *layering, SandboxMachine *machine)
{
  g_autoptr (GPtrArray) groups =
      _sandbox_provision_groups (layering->host, layering->profile, NULL);
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autofree char *wanted = groups != NULL ? all_markers (layering, groups) : NULL, *text = NULL;
  gsize length;

  return wanted != NULL && fd >= 0
         && sandbox_file_read_at (fd, NOTE, MARKER_MAX, &text, &length, NULL)
         && strcmp (text, wanted) == 0;
}

static gboolean
write_note (const SandboxLayering *layering, SandboxMachine *machine, GPtrArray *groups,
            GError **error)
{
  g_autofree char *text = all_markers (layering, groups);
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, TRUE, error);

  return fd >= 0 && sandbox_file_write_at (fd, NOTE, text, strlen (text), 0600, error);
}

gboolean
_sandbox_provision_forget (SandboxMachine *machine, GError **error)
{
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, &local);

  if (fd < 0 && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (fd < 0 || unlinkat (fd, NOTE, 0) == 0 || errno == ENOENT)
    return TRUE;
  return sandbox_fail_errno (error, errno, "%s: removing the note of its provisioning",
                             machine->name);
}

/* Whether the machine says that @run's group was done on it as it is now. A machine that lies does
 * itself out of it. */
static gboolean
is_done (const SandboxGroupRun *run, gboolean *ret_done, GCancellable *cancellable, GError **error)
{
  g_autofree char *command =
      g_strdup_printf ("cat /var/lib/vms/provisioned/%s 2>/dev/null || :", run->group->id);
  g_autofree char *wanted = _sandbox_group_marker (run->layering, run->group);
  g_autofree char *answer =
      _sandbox_ssh_capture (run->ssh, command, -1, MARKER_MAX, MARKER_USEC, cancellable, error);

  if (answer == NULL)
    return FALSE;
  *ret_done = strcmp (g_strchomp (answer), wanted) == 0;
  return TRUE;
}

/* What it has put in that is forbidden is not done: else the next provisioning would find it done,
 * and look at nothing. */
static gboolean
look_after (SandboxGroupRun *run, GCancellable *cancellable, GError **error)
{
  g_autofree char *command = NULL, *answer = NULL;

  if (_sandbox_group_look (run, cancellable, error))
    return TRUE;
  command = g_strdup_printf ("sudo -n rm -f /var/lib/vms/provisioned/%s", run->group->id);
  answer = _sandbox_ssh_capture (run->ssh, command, -1, MARKER_MAX, MARKER_USEC, NULL, NULL);
  return FALSE;
}

static gboolean
do_group (const SandboxLayering *layering, SandboxMachine *machine, SandboxPlan *plan,
          const SandboxGroup *group, guint *n_done, GCancellable *cancellable, GError **error)
{
  g_auto (SandboxGroupRun) run = { .in_place = TRUE };
  g_autofree char *note = g_strdup_printf ("%s: %s", group->id, group->what);
  gboolean done;

  if (!_sandbox_group_run_init (&run, machine, layering, group, error)
      || !is_done (&run, &done, cancellable, error))
    return FALSE;
  if (done)
    return TRUE;
  _sandbox_report (layering->report, group->id, note, 0, 0);
  (*n_done)++;
  return _sandbox_group_send (&run, cancellable, error)
         && _sandbox_group_run (&run, plan, cancellable, error)
         && look_after (&run, cancellable, error);
}

/* Where all was done before, too: "as its profile says" says this as well. */
static gboolean
check_forbidden (const SandboxLayering *layering, SandboxMachine *machine,
                 GCancellable *cancellable, GError **error)
{
  char **forbid = _sandbox_profile_values (layering->profile)->forbid;
  g_autoptr (SandboxSsh) ssh = NULL;
  g_autoptr (GPtrArray) found = NULL;
  g_autofree char *all = NULL;

  if (forbid[0] == NULL)
    return TRUE;
  ssh = _sandbox_machine_ssh (machine, error);
  found =
      ssh != NULL ? _sandbox_policy_look (layering->host, ssh, forbid, cancellable, error) : NULL;
  if (found == NULL || found->len == 0)
    return found != NULL;
  g_ptr_array_add (found, NULL);
  all = g_strjoinv (", ", (char **)found->pdata);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "provision %s: all steps of its profile are done, and in it is what its "
                       "profile forbids (forbid= of [policy]): %s; remove it there, or `vms "
                       "recreate %s`",
                       machine->name, all, machine->name);
}

static gboolean
do_groups (const SandboxLayering *layering, SandboxMachine *machine, guint *n_done,
           GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxPlan) plan = NULL;
  g_autoptr (GPtrArray) groups =
      _sandbox_provision_groups (layering->host, layering->profile, error);

  if (groups == NULL)
    return FALSE;
  if (groups->len == 0)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "provision %s: its profile provisions nothing ([provision]); `vms edit "
                         "%s` changes it",
                         machine->name, machine->name);
  plan = sandbox_machine_plan (machine, NULL, NULL, cancellable, error);
  if (plan == NULL)
    return FALSE;
  for (guint i = 0; i < groups->len; i++)
    if (!do_group (layering, machine, plan, groups->pdata[i], n_done, cancellable, error))
      return FALSE;
  if (*n_done == 0 && !check_forbidden (layering, machine, cancellable, error))
    return FALSE;
  return write_note (layering, machine, groups, error);
}

gboolean
sandbox_machine_provision (SandboxMachine *machine, SandboxProgressFunc progress,
                           gpointer user_data, GCancellable *cancellable, guint *ret_n_steps,
                           GError **error)
{
  SandboxReport report = { progress, user_data, machine->name };
  g_autoptr (SandboxProfile) profile = NULL;
  g_autoptr (SandboxSsh) ssh = NULL;
  SandboxLayering layering = { .host = machine->host, .report = &report };
  SandboxLock *lock;
  guint n_done = 0;
  gboolean done;

  lock = _sandbox_machine_lock (machine, "provision", machine->host->lock_wait_usec, &report,
                                cancellable, error);
  if (lock == NULL)
    return FALSE;
  ssh = _sandbox_machine_ready (machine, cancellable, error);
  profile = ssh != NULL ? _sandbox_machine_load_profile (machine, error) : NULL;
  layering.profile = profile;
  done = profile != NULL && do_groups (&layering, machine, &n_done, cancellable, error);
  /* groups and variables hold for new connections */
  if (n_done > 0)
    _sandbox_ssh_renew_master (ssh, cancellable);
  _sandbox_machine_unlock (machine, lock);
  if (done && ret_n_steps != NULL)
    *ret_n_steps = n_done;
  return done;
}
