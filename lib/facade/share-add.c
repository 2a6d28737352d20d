// SPDX-License-Identifier: LGPL-2.1-or-later
// A share more for a machine, while it runs: as a table of steps with their undos.
//
// The order is that of what must not be missed: the metadata say that the machine has the
// directory before it can have it, so that no other machine is given what lies in it meanwhile.
#include "facade/keep.h"

#include "xml/allowed.h"

#include <string.h>

#define FOR_MAX_USEC (G_TIME_SPAN_DAY * 7)

typedef struct
{
  SandboxWork work;
  const char *spec;
  SandboxAddShareOptions options;
  gint64 until_usec;
  gboolean permanent; /* in the profile */
  char *name;
  char *live_xml, *wanted_xml; /* NULL: it does not run */
  SandboxDomainMeta *live;
  const SandboxPlanShare *share; /* of the plan */
  guint index;
  gboolean there; /* the machine has it already */
  gboolean made_record, made_door, made_metadata, made_device, made_mount, made_defined, made_list,
      stuck;
} Adding;

static void
adding_clear (Adding *adding)
{
  g_clear_pointer (&adding->live, _sandbox_domain_meta_free);
  g_free (adding->name);
  g_free (adding->live_xml);
  g_free (adding->wanted_xml);
  _sandbox_work_clear (&adding->work);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Adding, adding_clear)

static gboolean
is_live (const Adding *adding)
{
  return adding->live != NULL && !adding->there;
}

/* What it runs with beyond its profile counts as if it stood there. */
static gboolean
put_live_shares (const Adding *adding, SandboxProfile *profile, GError **error)
{
  for (guint i = 0; adding->live != NULL && i < adding->live->shares->len; i++)
    {
      const SandboxPlanShare *share = adding->live->shares->pdata[i];
      const GPtrArray *have = _sandbox_profile_values (profile)->shares;
      SandboxShareSpec spec = { share->tag,    share->source, share->target, share->mode,
                                share->create, share->shadow, share->guard,  share->flag };
      gboolean found = FALSE;

      for (guint k = 0; k < have->len && !found; k++)
        found = strcmp (((SandboxShareSpec *)have->pdata[k])->name, share->tag) == 0;
      if (!found && !_sandbox_profile_put_share (profile, &spec, error))
        return FALSE;
    }
  return TRUE;
}

static const SandboxShareSpec *
find_spec (SandboxProfile *profile, const char *name)
{
  const GPtrArray *shares = _sandbox_profile_values (profile)->shares;

  for (guint i = 0; i < shares->len; i++)
    if (strcmp (((SandboxShareSpec *)shares->pdata[i])->name, name) == 0)
      return shares->pdata[i];
  return NULL;
}

static gboolean
save_profile (Adding *adding, GError **error)
{
  SandboxWork *work = &adding->work;
  g_autoptr (GError) local = NULL;
  g_autofree char *old = _sandbox_profile_own_text (work->host, work->machine->name, &local);
  g_autofree char *text =
      _sandbox_profile_text_with_share (old, find_spec (work->profile, adding->name));

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!sandbox_profile_save (&work->host->profiles, work->machine->name, text, TRUE, error))
    return FALSE;
  work->made.profile = TRUE;
  work->old_profile_text = g_steal_pointer (&old);
  return TRUE;
}

static gboolean
step_profile (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;
  SandboxWork *work = &adding->work;
  g_autoptr (SandboxProfile) own = _sandbox_machine_load_profile (work->machine, error);
  const SandboxShareSpec *have, *want;

  if (own == NULL)
    return FALSE;
  work->profile = sandbox_profile_copy (own);
  if (!put_live_shares (adding, work->profile, error)
      || !_sandbox_profile_add_share (work->profile, adding->spec, &adding->name, error))
    return FALSE;
  if (!adding->permanent)
    return TRUE;
  have = find_spec (own, adding->name);
  want = find_spec (work->profile, adding->name);
  return (have != NULL && strcmp (have->source, want->source) == 0
          && strcmp (have->target, want->target) == 0 && have->mode == want->mode
          && strcmp (have->shadow, want->shadow) == 0 && strcmp (have->guard, want->guard) == 0
          && strcmp (have->flag, want->flag) == 0)
         || save_profile (adding, error);
}

static void
undo_profile (gpointer data)
{
  _sandbox_undo_profile (&((Adding *)data)->work);
}

/* One that the machine has already stays as it is: it cannot be changed under those who use it. */
static gboolean
check_there (Adding *adding, GError **error)
{
  const SandboxPlanShare *have =
      adding->live != NULL ? _sandbox_shares_find (adding->live->shares, adding->name) : NULL;

  if (have == NULL)
    return TRUE;
  adding->there = TRUE;
  if (strcmp (have->source, adding->share->source) == 0
      && strcmp (have->target, adding->share->target) == 0 && have->mode == adding->share->mode
      && strcmp (have->shadow, adding->share->shadow) == 0
      && strcmp (have->guard, adding->share->guard) == 0
      && strcmp (have->flag, adding->share->flag) == 0)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                       "the machine has it as \"%s\" already, %s at %s; remove that first (`vms "
                       "share remove %s %s`)",
                       have->tag, _sandbox_share_mode_to_string (have->mode), have->target,
                       adding->work.machine->name, have->tag);
}

static gboolean
check_room (const Adding *adding, GError **error)
{
  guint max = _sandbox_xml_shares_max (adding->live_xml);

  if (adding->live->shares->len < max)
    return TRUE;
  return sandbox_fail (
      error, SANDBOX_ERROR_INVALID,
      "a machine has room for %u shares more than it was started with, and this "
      "one has all %u that it can have now; remove one, or put it into the profile "
      "while the machine is off",
      SANDBOX_SPARE_PORTS, max);
}

static gboolean
step_plan (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;
  SandboxWork *work = &adding->work;

  if (!_sandbox_host_is_test (work->host)
      && !_sandbox_work_find_image (work->machine, work->profile, FALSE, &work->image, error))
    return FALSE;
  work->plan =
      _sandbox_work_plan (work->machine, work->profile, work->image, work->old_meta, FALSE, error);
  if (work->plan == NULL)
    return FALSE;
  for (guint i = 0; i < work->plan->shares->len; i++)
    if (strcmp (((SandboxPlanShare *)work->plan->shares->pdata[i])->tag, adding->name) == 0)
      {
        adding->index = i;
        adding->share = work->plan->shares->pdata[i];
      }
  g_assert (adding->share != NULL);
  if (!check_there (adding, error))
    return FALSE;
  return adding->there || adding->live == NULL || check_room (adding, error);
}

static gboolean
step_check (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;

  return adding->there || _sandbox_host_is_test (adding->work.host)
         || _sandbox_share_make (&adding->work, adding->index, error);
}

static void
undo_check (gpointer data)
{
  _sandbox_undo_shares (&((Adding *)data)->work);
}

/* The machine keeps its layer of a share for review when that ends with its time: it must not turn
 * up over another directory. */
static gboolean
step_record (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;

  return !is_live (adding) || adding->share->mode != SANDBOX_SHARE_REVIEW
         || _sandbox_record_share (adding->work.machine, adding->share, &adding->made_record,
                                   cancellable, error);
}

static void
undo_record (gpointer data)
{
  Adding *adding = data;

  if (adding->made_record && !adding->stuck)
    _sandbox_record_remove (adding->work.machine, adding->name, NULL);
}

static gboolean
step_door (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;

  if (!is_live (adding))
    return TRUE;
  _sandbox_owners_look_more (&adding->work, adding->share);
  adding->made_door = TRUE;
  return _sandbox_share_door_write (adding->work.machine, adding->share, cancellable, error);
}

static void
undo_door (gpointer data)
{
  Adding *adding = data;

  if (adding->made_door && !adding->stuck)
    _sandbox_share_door_remove (adding->work.machine, adding->name);
}

static gboolean
step_metadata (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;

  if (!is_live (adding))
    return TRUE;
  adding->wanted_xml =
      _sandbox_xml_with_share (adding->live_xml, adding->work.plan, adding->share, error);
  if (adding->wanted_xml == NULL)
    return FALSE;
  if (!_sandbox_xml_check_defined (adding->wanted_xml, error))
    return FALSE;
  adding->made_metadata = TRUE;
  return _sandbox_share_set_metadata (adding->work.machine, adding->wanted_xml, error)
         && _sandbox_shares_check_apart (&adding->work, error);
}

static void
undo_metadata (gpointer data)
{
  Adding *adding = data;

  if (adding->made_metadata && !adding->stuck)
    _sandbox_share_set_metadata (adding->work.machine, adding->live_xml, NULL);
}

static gboolean
step_device (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;
  SandboxWork *work = &adding->work;
  g_autofree char *xml = NULL;

  if (!is_live (adding))
    return TRUE;
  xml = _sandbox_xml_share_device (work->plan->share_helper, adding->share);
  adding->made_device = TRUE;
  return _sandbox_virt_device_attach (work->host->virt, work->machine->object, xml, error);
}

static void
undo_device (gpointer data)
{
  Adding *adding = data;

  if (!adding->made_device
      || _sandbox_share_detach (adding->work.machine, adding->name, NULL, NULL))
    return;
  /* a machine that is booting, or that does not want to: all that says so stays, and the keeper
   * goes on asking */
  adding->stuck = TRUE;
  _sandbox_share_tell (adding->work.machine, adding->name, 1, FALSE, NULL);
}

static gboolean
step_mount (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;
  const SandboxDomainMeta *live = adding->live;

  if (!is_live (adding))
    return TRUE;
  adding->made_mount = TRUE;
  return _sandbox_guest_mount_share (adding->work.ssh, adding->share, live->uid, live->gid,
                                     cancellable, error);
}

static void
undo_mount (gpointer data)
{
  Adding *adding = data;

  if (adding->made_mount)
    _sandbox_guest_unmount_share (adding->work.ssh, adding->share, TRUE, NULL, NULL);
}

/* What its next start would define: `vms status` then has nothing to say of it. */
static gboolean
step_define (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;
  SandboxWork *work = &adding->work;
  g_autofree char *xml = NULL;

  if (adding->live == NULL || !adding->permanent
      || _sandbox_shares_find (work->old_meta->shares, adding->name) != NULL)
    return TRUE;
  xml = _sandbox_xml_with_share (work->old_xml, work->plan, adding->share, error);
  if (xml == NULL)
    return FALSE;
  adding->made_defined = TRUE;
  return _sandbox_virt_domain_define (work->host->virt, xml, error);
}

static void
undo_define (gpointer data)
{
  Adding *adding = data;

  if (adding->made_defined)
    _sandbox_virt_domain_define (adding->work.host->virt, adding->work.old_xml, NULL);
}

/* Before the machine can have it, so that it ends with its time whatever becomes of this process.
 */
static gboolean
step_tell (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;
  SandboxWork *work = &adding->work;
  sandbox_autofd int state_fd = -1;
  g_autoptr (GPtrArray) list = NULL;
  const SandboxLiveShare *entry = NULL;

  if (adding->live == NULL)
    return TRUE;
  state_fd = _sandbox_machine_state_fd (work->machine, FALSE, error);
  if (state_fd < 0)
    return FALSE;
  list = _sandbox_live_shares_read (state_fd);
  entry = _sandbox_live_shares_find (list, adding->name);
  /* one that is there for good is not given an end by the way */
  if (adding->there && (entry == NULL || entry->until_usec == 0))
    return TRUE;
  adding->made_list = !adding->there;
  return _sandbox_share_tell (work->machine, adding->name, adding->until_usec, FALSE, error);
}

static void
undo_tell (gpointer data)
{
  Adding *adding = data;

  if (adding->made_list && !adding->stuck)
    _sandbox_share_tell (adding->work.machine, adding->name, 0, TRUE, NULL);
}

/* The time counts from when it is there: mounting it has taken some. */
static gboolean
step_time (gpointer data, GCancellable *cancellable, GError **error)
{
  Adding *adding = data;

  if (!adding->made_list || adding->until_usec == 0)
    return TRUE;
  adding->until_usec = g_get_real_time () + adding->options.for_usec;
  return _sandbox_share_tell (adding->work.machine, adding->name, adding->until_usec, FALSE, error);
}

static const SandboxStep steps[] = {
  { "profile", "reading the profile", step_profile, undo_profile },
  { "plan", "making the plan", step_plan, NULL },
  { "check", "checking the directory", step_check, undo_check },
  { "record", "recording the directory for review", step_record, undo_record },
  { "door", "telling the share helper", step_door, undo_door },
  { "metadata", "noting the share", step_metadata, undo_metadata },
  { "tell", "telling the machine's keeper", step_tell, undo_tell },
  { "device", "plugging in the share", step_device, undo_device },
  { "mounts", "mounting it in the machine", step_mount, undo_mount },
  { "define", "keeping it for the next start", step_define, undo_define },
  { "time", "noting when it ends", step_time, NULL },
};

static void
on_step (const SandboxStep *step, gpointer user_data)
{
  Adding *adding = user_data;

  _sandbox_report (&adding->work.report, step->id, step->note, 0, 0);
}

static gboolean
begin (Adding *adding, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = &adding->work;
  SandboxMachine *machine = work->machine;
  g_autofree char *throwaway =
      g_build_filename (machine->state_path, SANDBOX_THROWAWAY_PROFILE, NULL);

  if (adding->options.for_usec < 0 || adding->options.for_usec > FOR_MAX_USEC)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "sharing for a time: it is at most seven days");
  adding->permanent = adding->options.for_usec == 0 && !g_file_test (throwaway, G_FILE_TEST_EXISTS);
  if (!_sandbox_work_begin (work, "share-add", cancellable, error)
      || !_sandbox_machine_read_live (machine, &adding->live_xml, &adding->live, error))
    return FALSE;
  if (adding->options.for_usec > 0 && adding->live == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "%s: is not running, and a share with a time limit ends with the "
                         "machine's run; start it with `vms start %s`",
                         machine->name, machine->name);
  if (adding->options.for_usec > 0)
    adding->until_usec = g_get_real_time () + adding->options.for_usec;
  if (adding->live == NULL)
    return TRUE;
  work->ssh = _sandbox_machine_ready (machine, cancellable, error);
  return work->ssh != NULL;
}

gboolean
sandbox_machine_add_share (SandboxMachine *machine, const char *spec,
                           const SandboxAddShareOptions *options, SandboxProgressFunc progress,
                           gpointer user_data, GCancellable *cancellable, char **ret_name,
                           GError **error)
{
  g_auto (Adding) adding = { .spec = spec };

  _sandbox_work_init (&adding.work, machine, progress, user_data);
  adding.options = (SandboxAddShareOptions)SANDBOX_ADD_SHARE_OPTIONS_INIT;
  if (!_sandbox_options_copy (&adding.options, sizeof adding.options, options, error)
      || g_cancellable_set_error_if_cancelled (cancellable, error)
      || !begin (&adding, cancellable, error))
    return FALSE;
  if (!sandbox_steps_run ("share-add", steps, G_N_ELEMENTS (steps), &adding, on_step, &adding,
                          cancellable, error))
    {
      g_prefix_error (error, "sharing with %s: ", machine->name);
      return FALSE;
    }
  _sandbox_work_keep (&adding.work);
  if (ret_name != NULL)
    *ret_name = g_steal_pointer (&adding.name);
  return TRUE;
}
