// SPDX-License-Identifier: LGPL-2.1-or-later
// A share less for a machine, while it runs. What a guest says decides only how friendly this is:
// that the device is gone, and its helper with it, is libvirt's word.
#include "facade/keep.h"

#include <stdlib.h>
#include <string.h>

/* One call at work. */
typedef struct
{
  SandboxMachine *machine;
  SandboxRemoveShareOptions options;
  SandboxLock *lock;
  char *live_xml, *defined_xml;
  SandboxDomainMeta *live, *defined; /* @live NULL: it does not run */
  SandboxSsh *ssh;
  const SandboxPlanShare *share; /* of @live; NULL: it does not have it */
  char *tag;
  char *profile_text; /* what is left of the profile file; NULL: it does not change */
} Removing;

static void
removing_clear (Removing *removing)
{
  if (removing->lock != NULL)
    _sandbox_machine_unlock (removing->machine, removing->lock);
  g_clear_pointer (&removing->live, _sandbox_domain_meta_free);
  g_clear_pointer (&removing->defined, _sandbox_domain_meta_free);
  g_clear_pointer (&removing->ssh, _sandbox_ssh_free);
  g_free (removing->live_xml);
  g_free (removing->defined_xml);
  g_free (removing->tag);
  g_free (removing->profile_text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Removing, removing_clear)

/* @wanted: its name, or its directory. (transfer full) (nullable) */
static char *
find_tag (const GPtrArray *shares, const char *wanted)
{
  g_autofree char *real = realpath (wanted, NULL);

  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];

      if (strcmp (share->tag, wanted) == 0 || strcmp (share->source, wanted) == 0
          || g_strcmp0 (share->source, real) == 0)
        return g_strdup (share->tag);
    }
  return NULL;
}

/* The profile without it, as text; FALSE when it would have it all the same. */
static gboolean
prepare_profile (Removing *removing, SandboxProfile *profile, GError **error)
{
  SandboxMachine *machine = removing->machine;
  g_autoptr (GError) local = NULL;
  g_autofree char *old = NULL, *text = NULL;
  g_autoptr (SandboxProfile) rest = NULL;
  const GPtrArray *shares = _sandbox_profile_values (profile)->shares;
  gboolean listed = FALSE;

  for (guint i = 0; i < shares->len; i++)
    listed |= strcmp (((SandboxShareSpec *)shares->pdata[i])->name, removing->tag) == 0;
  if (!listed)
    return TRUE;
  old = _sandbox_profile_own_text (machine->host, machine->name, &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  text = _sandbox_profile_text_without_share (old, removing->tag);
  rest = sandbox_profile_parse (&machine->host->profiles, machine->name, "", text, -1, error);
  if (rest == NULL)
    return FALSE;
  shares = _sandbox_profile_values (rest)->shares;
  for (guint i = 0; i < shares->len; i++)
    if (strcmp (((SandboxShareSpec *)shares->pdata[i])->name, removing->tag) == 0)
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "its profile inherits it from \"%s\", and what is inherited cannot be "
                           "left out",
                           _sandbox_profile_values (rest)->inherits);
  removing->profile_text = g_steal_pointer (&text);
  return TRUE;
}

/* Changes of a share that ended with its time. */
static gboolean
is_left_over (const Removing *removing, const char *wanted)
{
  return removing->options.discard_changes && removing->live != NULL
         && sandbox_name_check_form ("share", wanted, NULL)
         && _sandbox_record_exists (removing->machine, wanted);
}

static gboolean
find_out (Removing *removing, const char *wanted, GCancellable *cancellable, GError **error)
{
  SandboxMachine *machine = removing->machine;
  g_autoptr (SandboxProfile) profile = _sandbox_machine_load_profile (machine, error);
  g_autoptr (SandboxPlan) plan = NULL;

  if (profile == NULL
      || !_sandbox_machine_read_domain (machine, &removing->defined_xml, &removing->defined, error)
      || !_sandbox_machine_read_live (machine, &removing->live_xml, &removing->live, error))
    return FALSE;
  plan = _sandbox_work_plan (machine, profile, NULL, NULL, FALSE, error);
  if (plan == NULL)
    return FALSE;
  if (removing->live != NULL)
    removing->tag = find_tag (removing->live->shares, wanted);
  if (removing->tag == NULL)
    removing->tag = find_tag (plan->shares, wanted);
  if (removing->tag == NULL && is_left_over (removing, wanted))
    {
      removing->tag = g_strdup (wanted);
      return TRUE;
    }
  if (removing->tag == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "it has no such share; name one as `vms share list %s` shows it",
                         machine->name);
  if (removing->live != NULL)
    removing->share = _sandbox_shares_find (removing->live->shares, removing->tag);
  return prepare_profile (removing, profile, error);
}

/* Whether somebody has to look. Of one that is off, as far as it said so when it was stopped. */
static gboolean
may_have_changes (const Removing *removing)
{
  SandboxUnapplied known;

  if (removing->options.discard_changes)
    return FALSE;
  /* what it has of an earlier one of that name would go, too */
  if (removing->live != NULL)
    return removing->share != NULL ? removing->share->mode == SANDBOX_SHARE_REVIEW
                                   : _sandbox_record_exists (removing->machine, removing->tag);
  known = _sandbox_unapplied_read (removing->machine);
  return (known == SANDBOX_UNAPPLIED_SOME || known == SANDBOX_UNAPPLIED_UNKNOWN)
         && _sandbox_record_exists (removing->machine, removing->tag);
}

/* What nobody has applied is not lost, or out of sight, by the way. */
static gboolean
check_changes (Removing *removing, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxChanges) changes = NULL;
  const char *name = removing->machine->name;
  const char *without = removing->live != NULL ? "throws them away"
                                               : "removes it all the same, and they stay on the "
                                                 "machine's disk";
  guint n;

  if (!may_have_changes (removing))
    return TRUE;
  changes = _sandbox_machine_read_locked (removing->machine, removing->tag, cancellable, &local);
  if (changes == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "whether it has changes that were not applied cannot be told (%s); "
                         "`--discard-changes` %s",
                         local->message, without);
  n = sandbox_changes_get_length (changes) + sandbox_changes_get_git (changes);
  if (n == 0)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                       "it has %u change%s that %s not applied: see `vms diff %s %s`, and `vms "
                       "apply` or `vms pull`; `--discard-changes` %s",
                       n, n == 1 ? "" : "s", n == 1 ? "was" : "were", name, removing->tag, without);
}

/* A machine that does not answer cannot keep the device from being asked for. */
static gboolean
unmount (Removing *removing, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *holders = NULL;

  if (!removing->options.force)
    {
      holders = _sandbox_guest_find_holders (removing->ssh, removing->share, cancellable, error);
      if (holders == NULL)
        return FALSE;
      if (*holders != '\0')
        return sandbox_fail (error, SANDBOX_ERROR_BUSY,
                             "processes of the machine work in %s: %s; nothing was done. End them, "
                             "or use --force: what they do there then fails",
                             removing->share->target, holders);
    }
  if (_sandbox_guest_unmount_share (removing->ssh, removing->share, removing->options.force,
                                    cancellable, &local)
      || removing->options.force)
    return !g_cancellable_set_error_if_cancelled (cancellable, error);
  g_propagate_prefixed_error (error, g_steal_pointer (&local),
                              "unmounting it in the machine (--force does without): ");
  return FALSE;
}

/* Device, metadata, door and the keeper's list, in this order: what remains of one that was broken
 * off is seen, and removed by the next. */
static gboolean
take_away (SandboxMachine *machine, const char *tag, GCancellable *cancellable, GError **error)
{
  g_autofree char *xml = NULL, *rest = NULL;

  if (!_sandbox_share_detach (machine, tag, cancellable, error))
    return FALSE;
  xml = _sandbox_virt_domain_xml (machine->host->virt, machine->object, TRUE, error);
  rest = xml != NULL ? _sandbox_xml_without_share (xml, tag, error) : NULL;
  if (rest == NULL || !_sandbox_share_set_metadata (machine, rest, error))
    return FALSE;
  _sandbox_share_door_remove (machine, tag);
  return _sandbox_share_tell (machine, tag, 0, TRUE, error);
}

/* The machine's own layer and our record of what it began with go together; so does what it has of
 * the share on its own disk. */
static gboolean
forget_layer (Removing *removing, GCancellable *cancellable, GError **error)
{
  gboolean review = removing->share == NULL || removing->share->mode == SANDBOX_SHARE_REVIEW;

  if (!review && *removing->share->shadow == '\0')
    return TRUE;
  if (review && !_sandbox_record_remove (removing->machine, removing->tag, error))
    return FALSE;
  /* a machine that does not do it keeps what is its own */
  _sandbox_guest_remove_layer (removing->ssh, removing->tag, cancellable, NULL);
  return TRUE;
}

static gboolean
save (Removing *removing, GError **error)
{
  SandboxMachine *machine = removing->machine;
  g_autofree char *xml = NULL;

  if (removing->profile_text != NULL
      && !sandbox_profile_save (&machine->host->profiles, machine->name, removing->profile_text,
                                TRUE, error))
    return FALSE;
  if (removing->live == NULL || removing->profile_text == NULL)
    return TRUE;
  xml = _sandbox_xml_without_share (removing->defined_xml, removing->tag, error);
  return xml != NULL && _sandbox_virt_domain_define (machine->host->virt, xml, error);
}

static gboolean
remove_share (Removing *removing, const char *wanted, GCancellable *cancellable, GError **error)
{
  SandboxMachine *machine = removing->machine;

  if (!find_out (removing, wanted, cancellable, error))
    return FALSE;
  if (removing->live != NULL)
    removing->ssh = _sandbox_machine_ready (machine, cancellable, error);
  if (removing->live != NULL && removing->ssh == NULL)
    return FALSE;
  if (!check_changes (removing, cancellable, error))
    return FALSE;
  if (removing->share != NULL
      && (!unmount (removing, cancellable, error)
          || !take_away (machine, removing->tag, cancellable, error)))
    return FALSE;
  return (removing->live == NULL || forget_layer (removing, cancellable, error))
         && save (removing, error);
}

gboolean
sandbox_machine_remove_share (SandboxMachine *machine, const char *share,
                              const SandboxRemoveShareOptions *options, GCancellable *cancellable,
                              GError **error)
{
  g_auto (Removing) removing = { .machine = machine };
  SandboxReport report = { NULL, NULL, machine->name };
  g_autofree char *shown = sandbox_escape (share, -1, 200);

  removing.options = (SandboxRemoveShareOptions)SANDBOX_REMOVE_SHARE_OPTIONS_INIT;
  if (!_sandbox_options_copy (&removing.options, sizeof removing.options, options, error)
      || g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  removing.lock = _sandbox_machine_lock (machine, "share", machine->host->lock_wait_usec, &report,
                                         cancellable, error);
  if (removing.lock != NULL && remove_share (&removing, share, cancellable, error))
    return TRUE;
  g_prefix_error (error, "%s: removing the share \"%s\": ", machine->name, shown);
  return FALSE;
}

gboolean
_sandbox_machine_end_share (SandboxHost *host, const char *name, const char *tag, GError **error)
{
  g_autoptr (SandboxMachine) machine = _sandbox_machine_new (host, name);
  g_auto (Removing) removing = { .machine = machine };
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, error);
  SandboxReport report = { NULL, NULL, name };
  g_autoptr (GPtrArray) list = NULL;
  const SandboxLiveShare *entry;

  removing.lock =
      state_fd < 0 ? NULL : _sandbox_machine_lock (machine, "share", -1, &report, NULL, error);
  if (removing.lock == NULL
      || !_sandbox_machine_read_live (machine, &removing.live_xml, &removing.live, error))
    return FALSE;
  list = _sandbox_live_shares_read (state_fd);
  entry = _sandbox_live_shares_find (list, tag);
  if (removing.live == NULL || entry == NULL || entry->until_usec == 0
      || entry->until_usec > g_get_real_time ())
    return TRUE;
  removing.share = _sandbox_shares_find (removing.live->shares, tag);
  removing.ssh = _sandbox_machine_ssh (machine, error);
  if (removing.ssh == NULL)
    return FALSE;
  if (removing.share != NULL)
    _sandbox_guest_unmount_share (removing.ssh, removing.share, TRUE, NULL, NULL);
  return take_away (machine, tag, NULL, error);
}
