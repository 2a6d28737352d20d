// SPDX-License-Identifier: LGPL-2.1-or-later
// The shares of a machine as it runs, or as it would: libvirt's word, which is the truth, with what
// the profile says and what the machine has mounted.
#include "facade/facade-private.h"

#include "base/xml.h"

#include <string.h>

/* How long a guest is waited for that shall let go of a device: a well one needs two seconds. */
#define DETACH_USEC (20 * G_USEC_PER_SEC)
#define LOOK_USEC   (100 * 1000)
#define ASK_USEC    (2 * G_USEC_PER_SEC)

const char *
sandbox_share_state_to_string (SandboxShareState state)
{
  static const char *const texts[] = {
    [SANDBOX_SHARE_OFF] = "off",
    [SANDBOX_SHARE_MOUNTED] = "mounted",
    [SANDBOX_SHARE_NOT_MOUNTED] = "not-mounted",
    [SANDBOX_SHARE_UNKNOWN] = "unknown",
  };

  return texts[state];
}

void
sandbox_share_free (SandboxShare *share)
{
  if (share == NULL)
    return;
  g_free (share->name);
  g_free (share->source);
  g_free (share->target);
  g_free (share->mode);
  g_free (share->reason);
  g_free (share);
}

const SandboxPlanShare *
_sandbox_shares_find (const GPtrArray *shares, const char *tag)
{
  for (guint i = 0; i < shares->len; i++)
    if (strcmp (((const SandboxPlanShare *)shares->pdata[i])->tag, tag) == 0)
      return shares->pdata[i];
  return NULL;
}

gboolean
_sandbox_machine_read_live (SandboxMachine *machine, char **ret_xml, SandboxDomainMeta **ret_meta,
                            GError **error)
{
  g_autoptr (SandboxDomainMeta) defined = NULL;
  g_autofree char *defined_xml = NULL;
  SandboxPieces pieces = { 0 };

  if (_sandbox_host_is_test (machine->host))
    return TRUE;
  /* is it ours at all? */
  if (!_sandbox_machine_read_domain (machine, &defined_xml, &defined, error)
      || !_sandbox_virt_domain_state (machine->host->virt, machine->object, &pieces.domain,
                                      &pieces.virt_state, error))
    return FALSE;
  if (!_sandbox_pieces_running (&pieces))
    return TRUE;
  *ret_xml = _sandbox_virt_domain_xml (machine->host->virt, machine->object, TRUE, error);
  *ret_meta = *ret_xml != NULL ? _sandbox_xml_read_domain (*ret_xml, error) : NULL;
  return *ret_meta != NULL;
}

static GPtrArray *
copy_shares (const GPtrArray *shares)
{
  GPtrArray *copies = g_ptr_array_new_with_free_func (_sandbox_plan_share_free);

  for (guint i = 0; i < shares->len; i++)
    g_ptr_array_add (copies, _sandbox_plan_share_copy (shares->pdata[i]));
  return copies;
}

static GPtrArray *
planned_shares (SandboxMachine *machine, GError **error)
{
  g_autoptr (SandboxProfile) profile = _sandbox_machine_load_profile (machine, error);
  g_autoptr (SandboxPlan) plan =
      profile != NULL ? _sandbox_work_plan (machine, profile, NULL, NULL, FALSE, error) : NULL;

  return plan != NULL ? copy_shares (plan->shares) : NULL;
}

GPtrArray *
_sandbox_machine_shares (SandboxMachine *machine, GError **error)
{
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autofree char *xml = NULL;

  if (!_sandbox_machine_read_live (machine, &xml, &meta, error))
    return NULL;
  return meta != NULL ? copy_shares (meta->shares) : planned_shares (machine, error);
}

/* --- the list */

static void
free_share (gpointer share)
{
  sandbox_share_free (share);
}

static SandboxShare *
add_entry (GPtrArray *list, const SandboxPlanShare *share)
{
  SandboxShare *entry = g_new0 (SandboxShare, 1);

  entry->name = g_strdup (share->tag);
  entry->source = g_strdup (share->source);
  entry->target = g_strdup (share->target);
  entry->mode = g_strdup (_sandbox_share_mode_to_string (share->mode));
  entry->state = SANDBOX_SHARE_OFF;
  entry->reason = g_strdup ("");
  g_ptr_array_add (list, entry);
  return entry;
}

static void
set_reason (SandboxShare *entry, const char *reason)
{
  g_free (entry->reason);
  entry->reason = sandbox_escape (reason, -1, 300);
}

/* By the machine's own word: it deceives nobody but its user. */
static void
fill_state (SandboxShare *entry, const SandboxPlanShare *share, const char *xml, const char *table,
            const SandboxSsh *ssh, GCancellable *cancellable)
{
  g_autofree char *device = _sandbox_xml_find_share_device (xml, share->tag);
  const char *problem = _sandbox_share_server_problem (xml, share->tag);

  entry->state = SANDBOX_SHARE_NOT_MOUNTED;
  if (device == NULL)
    set_reason (entry, "the machine does not have its device: remove it and add it again");
  else if (problem != NULL)
    set_reason (entry, problem);
  else if (table == NULL)
    {
      entry->state = SANDBOX_SHARE_UNKNOWN;
      set_reason (entry, "the machine does not answer");
    }
  /* a mount stays when what served it is gone; only this mode has something between */
  else if (share->mode == SANDBOX_SHARE_GUARDED && _sandbox_mounts_have (table, share)
           && !_sandbox_guest_share_answers (ssh, share, cancellable))
    set_reason (entry,
                "its filter on this host has ended: restart the machine, or remove the share "
                "and add it again");
  else if (_sandbox_mounts_have (table, share))
    entry->state = SANDBOX_SHARE_MOUNTED;
  else
    set_reason (entry, "it is not in the machine's mount table");
}

static void
add_live (GPtrArray *list, SandboxMachine *machine, const char *xml, const SandboxDomainMeta *meta,
          GCancellable *cancellable)
{
  g_autoptr (SandboxSsh) ssh = _sandbox_machine_ssh (machine, NULL);
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  g_autoptr (GPtrArray) timed = _sandbox_live_shares_read (state_fd);
  g_autofree char *table = NULL;

  if (ssh != NULL && _sandbox_ssh_master_alive (ssh))
    table = _sandbox_guest_read_mounts (ssh, cancellable, NULL);
  for (guint i = 0; i < meta->shares->len; i++)
    {
      const SandboxPlanShare *share = meta->shares->pdata[i];
      const SandboxLiveShare *limit = _sandbox_live_shares_find (timed, share->tag);
      SandboxShare *entry = add_entry (list, share);

      entry->until_usec = limit != NULL ? limit->until_usec : 0;
      fill_state (entry, share, xml, table, ssh, cancellable);
    }
}

static int
compare_entries (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(SandboxShare *const *)a)->name, (*(SandboxShare *const *)b)->name);
}

GPtrArray *
sandbox_machine_list_shares (SandboxMachine *machine, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (free_share);
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autoptr (GPtrArray) planned = NULL;
  g_autofree char *xml = NULL;

  if (g_cancellable_set_error_if_cancelled (cancellable, error)
      || !_sandbox_machine_read_live (machine, &xml, &meta, error))
    return NULL;
  planned = planned_shares (machine, error);
  if (planned == NULL)
    return NULL;
  if (meta != NULL)
    add_live (list, machine, xml, meta, cancellable);
  for (guint i = 0; i < planned->len; i++)
    {
      const SandboxPlanShare *share = planned->pdata[i];
      SandboxShare *entry = NULL;

      for (guint k = 0; k < list->len && entry == NULL; k++)
        if (strcmp (((SandboxShare *)list->pdata[k])->name, share->tag) == 0)
          entry = list->pdata[k];
      if (entry == NULL)
        {
          entry = add_entry (list, share);
          if (meta != NULL)
            set_reason (entry, "with the machine's next start");
        }
      entry->in_profile = TRUE;
    }
  g_ptr_array_sort (list, compare_entries);
  return g_steal_pointer (&list);
}

/* --- what adding and removing share */

gboolean
_sandbox_share_set_metadata (SandboxMachine *machine, const char *xml, GError **error)
{
  g_autofree char *element = _sandbox_xml_metadata_element (xml, error);

  return element != NULL
         && _sandbox_virt_domain_set_metadata (machine->host->virt, machine->object, element,
                                               "sandbox", SANDBOX_XMLNS, error);
}

gboolean
_sandbox_share_tell (SandboxMachine *machine, const char *tag, gint64 until_usec, gboolean remove,
                     GError **error)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, error);
  g_autoptr (GPtrArray) shares = NULL;
  SandboxLiveShare *share;

  if (state_fd < 0)
    return FALSE;
  shares = _sandbox_live_shares_read (state_fd);
  share = _sandbox_live_shares_find (shares, tag);
  if (share != NULL && remove)
    g_ptr_array_remove (shares, share);
  else if (share != NULL)
    share->until_usec = until_usec;
  else if (!remove)
    {
      share = g_new0 (SandboxLiveShare, 1);
      share->tag = g_strdup (tag);
      share->until_usec = until_usec;
      g_ptr_array_add (shares, share);
    }
  /* written whatever it says: the keeper then looks at what the machine has */
  return _sandbox_live_shares_write (state_fd, shares, error);
}

/* libvirt takes the device out of what it shows when QEMU says that the guest has let go of it,
 * which may be long after it was asked to. */
gboolean
_sandbox_share_detach (SandboxMachine *machine, const char *tag, GCancellable *cancellable,
                       GError **error)
{
  SandboxVirt *virt = machine->host->virt;
  gint64 began = g_get_monotonic_time (), asked = 0;
  g_autoptr (GError) local = NULL;

  for (;;)
    {
      g_autofree char *xml = _sandbox_virt_domain_xml (virt, machine->object, TRUE, error);
      g_autofree char *device = xml != NULL ? _sandbox_xml_find_share_device (xml, tag) : NULL;
      gint64 now = g_get_monotonic_time ();

      if (xml == NULL)
        return FALSE;
      if (device == NULL)
        return TRUE;
      if (now - began >= DETACH_USEC)
        break;
      /* a refusal may only mean that it was asked for before */
      if (now - asked >= ASK_USEC)
        {
          g_clear_error (&local);
          _sandbox_virt_device_detach (virt, machine->object, device, &local);
          asked = g_get_monotonic_time ();
        }
      if (!_sandbox_pause (LOOK_USEC, cancellable, error))
        return FALSE;
    }
  return sandbox_fail (error, SANDBOX_ERROR_TIMED_OUT,
                       "the machine does not let go of the device%s%s: the directory is still "
                       "shared with it; `vms stop --force %s` ends that at once",
                       local != NULL ? ": " : "", local != NULL ? local->message : "",
                       machine->name);
}
