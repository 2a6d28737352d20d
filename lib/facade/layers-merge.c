// SPDX-License-Identifier: LGPL-2.1-or-later
// Several layers are made one.
//
// QEMU copies what the lower layer has into the one above it, and then writes into the header of
// that what it stands on from now on; but where in the file the copied data are, it may keep in its
// own memory for as long as it likes. If it is killed then, or the host loses power, the upper
// layer has lost them, and says nothing. So the lower one goes only when QEMU has written out all
// it has, and until then a note says which two layers are at work: with it, they still count as
// standing on one another, and the copy is made once more.
//
// Where a machine runs on it, QEMU can do that with the top only. Further down it copies what a
// layer has into the one below, and then the one above stands on that. The note is the same: the
// layer that goes, and the one above it. As long as it is there, what it has is found in it,
// however much of it is in the lower one already.
#include "facade/layers.h"
#include "facade/suspended.h"

#include <string.h>

/* Every pass removes or merges at least one layer. */
#define PASSES_MAX 1000
/* For how long a command waits until a machine's disk is written out. */
#define STILL_USEC      (60 * G_USEC_PER_SEC)
#define STILL_POLL_USEC (100 * 1000)

char *
_sandbox_layers_merge_object (SandboxMachine *machine)
{
  return g_strconcat (machine->object, ".merge", NULL);
}

/* @merge NULL: it ended. */
static gboolean
note (SandboxWork *work, const SandboxMerge *merge, GError **error)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (work->machine, TRUE, error);

  return state_fd >= 0 && _sandbox_merge_write (state_fd, merge, error);
}

static SandboxMerge *
noted (SandboxMachine *machine)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, NULL);

  return state_fd >= 0 ? _sandbox_merge_read (state_fd) : NULL;
}

static void
on_transfer (guint64 done, guint64 total, gpointer data)
{
  SandboxWork *work = data;

  _sandbox_report (&work->report, "merge", "merging layers", done, total);
}

/* The note tells of whoever stops the machine here, before it does, and as long as it does: with
 * that in it, and only then, whoever comes next lets it go on. One that somebody else has stopped
 * meanwhile is theirs to let go on. */
static gboolean
write_out (SandboxWork *work, const SandboxLayer *layer, const SandboxLayer *above, GError **error)
{
  SandboxVirt *virt = work->host->virt;
  const char *object = work->machine->object;
  SandboxMerge merge = { layer->volume, above->volume, TRUE };
  SandboxVirtState state = SANDBOX_VIRT_STOPPED;
  gboolean done, goes_on = FALSE;

  if (!_sandbox_virt_domain_state (virt, object, NULL, &state, error))
    return FALSE;
  if (state != SANDBOX_VIRT_RUNNING)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "Cannot have the disk of %s written out: it does not run any more",
                         work->machine->name);
  if (!note (work, &merge, error))
    return FALSE;
  done = _sandbox_virt_domain_write_out (virt, object, &goes_on, error);
  merge.still = FALSE;
  if (goes_on && !note (work, &merge, done ? error : NULL))
    return FALSE;
  return done;
}

/* What @layer has goes into @above, or into what it stands on; on which @above stands then. */
static gboolean
copy (SandboxWork *work, SandboxLayer *layer, SandboxLayer *above, GCancellable *cancellable,
      GError **error)
{
  SandboxVirt *virt = work->host->virt;
  gboolean busy = _sandbox_pieces_running (&work->pieces);
  g_autofree char *helper = _sandbox_layers_merge_object (work->machine);
  g_autofree const char **below = _sandbox_layer_below (above);
  g_autoptr (GPtrArray) paths = g_ptr_array_new ();
  g_autofree char *xml = NULL;

  if (busy && above == work->snapshot->layers->top)
    return _sandbox_virt_domain_pull (virt, work->machine->object, layer->below_path, on_transfer,
                                      work, cancellable, error)
           && write_out (work, layer, above, error);
  if (busy && _sandbox_layer_is_in (above, work->snapshot->layers->top))
    return _sandbox_virt_domain_commit (virt, work->machine->object, layer->path, layer->below_path,
                                        on_transfer, work, cancellable, error)
           && write_out (work, layer, above, error);
  for (const char **path = below; *path != NULL; path++)
    g_ptr_array_add (paths, (gpointer)*path);
  if (*_sandbox_layer_base (above) != '\0')
    g_ptr_array_add (paths, (gpointer)_sandbox_layer_base (above));
  g_ptr_array_add (paths, NULL);
  xml = _sandbox_xml_merge_domain (helper, above->path, (const char *const *)paths->pdata);
  return _sandbox_virt_disk_pull (virt, helper, xml, layer->below_path, on_transfer, work,
                                  cancellable, error);
}

/* A copy that was given up in order, or that there was no room for, has changed nothing: the upper
 * layer of the running machine says on the disk that it stands on the lower one, and hides what
 * that has got already. Then there is nothing to be ended by the next verb. */
static void
forget_copy (SandboxWork *work, const SandboxLayer *layer, const SandboxLayer *above)
{
  SandboxVirt *virt = work->host->virt;
  SandboxVirtVolume *volume = NULL;

  /* in this order: what ends after the question is told by the disk */
  if (_sandbox_pieces_running (&work->pieces)
      && _sandbox_layer_is_in (above, work->snapshot->layers->top)
      && _sandbox_virt_domain_is_settled (virt, work->machine->object)
      && _sandbox_virt_pool_refresh (virt, NULL))
    volume = _sandbox_virt_volume_get (virt, above->volume, NULL);
  if (volume == NULL)
    return;
  if (g_strcmp0 (volume->backing_path, layer->path) == 0)
    note (work, NULL, NULL);
  _sandbox_virt_volume_free (volume);
}

/* libvirt has to look what the merged one stands on before anything may rely on it. */
gboolean
_sandbox_layers_merge (SandboxWork *work, SandboxLayer *layer, SandboxLayer *above,
                       GCancellable *cancellable, GError **error)
{
  const SandboxMerge merge = { layer->volume, above->volume, FALSE };
  gboolean of_top = _sandbox_layer_is_in (above, work->snapshot->layers->top);

  if (!note (work, &merge, error))
    return FALSE;
  if (!copy (work, layer, above, cancellable, error))
    {
      forget_copy (work, layer, above);
      return FALSE;
    }
  return _sandbox_virt_pool_refresh (work->host->virt, error) && note (work, NULL, error)
         && _sandbox_layers_reload (work, error)
         && (!of_top || _sandbox_layers_define (work, work->snapshot->layers->top, error))
         && _sandbox_layers_sweep (work, error);
}

/* One that stands still cannot be made to write out what it has. */
static gboolean
can_merge (const SandboxWork *work, const SandboxLayer *above)
{
  return !_sandbox_layer_is_in (above, work->snapshot->layers->top)
         || !_sandbox_pieces_running (&work->pieces)
         || work->pieces.virt_state == SANDBOX_VIRT_RUNNING;
}

static gboolean
is_enough (const SandboxLayers *layers, SandboxTidy how)
{
  return how == SANDBOX_TIDY_DEEP    ? _sandbox_layer_depth (layers->top) <= SANDBOX_LAYERS_DEEP
         : how == SANDBOX_TIDY_BEGUN ? layers->merging == NULL
                                     : FALSE;
}

gboolean
_sandbox_layers_tidy (SandboxWork *work, SandboxTidy how, GCancellable *cancellable, GError **error)
{
  gboolean busy = _sandbox_pieces_running (&work->pieces);
  /* the test driver's disks have no bytes */
  gboolean test = _sandbox_host_is_test (work->host);

  if (!_sandbox_layers_sweep (work, error))
    return FALSE;
  for (guint i = 0; i < PASSES_MAX && !test; i++)
    {
      SandboxLayer *above = NULL;
      SandboxLayer *layer = _sandbox_layers_find_merge (work->snapshot->layers, busy, &above);

      if (layer == NULL || !can_merge (work, above) || is_enough (work->snapshot->layers, how))
        return TRUE;
      if (!_sandbox_layers_merge (work, layer, above, cancellable, error))
        return FALSE;
    }
  return TRUE;
}

/* A merge whose layers are no more, or whose copy is known to be whole. */
static gboolean
forget_stale (SandboxWork *work, const SandboxMerge *merge, GError **error)
{
  const SandboxLayers *layers = work->snapshot->layers;
  gboolean layer = FALSE;

  for (guint i = 0; i < layers->all->len; i++)
    layer |= strcmp (((SandboxLayer *)layers->all->pdata[i])->volume, merge->volume) == 0;
  return layer || note (work, NULL, error);
}

/* Stopped to have its disk written out, by a process that was killed then. */
static gboolean
wake (SandboxWork *work, SandboxMerge *merge, GError **error)
{
  SandboxVirt *virt = work->host->virt;
  const char *object = work->machine->object;
  SandboxVirtPause pause = SANDBOX_VIRT_PAUSE_NONE;

  if (work->pieces.virt_state == SANDBOX_VIRT_PAUSED
      && _sandbox_suspend_note_read (work->machine) == SANDBOX_SUSPEND_NONE)
    {
      if (!_sandbox_virt_domain_pause (virt, object, &pause, error)
          || (pause == SANDBOX_VIRT_PAUSE_OTHER
              && !_sandbox_virt_domain_resume (virt, object, error)))
        return FALSE;
      if (pause == SANDBOX_VIRT_PAUSE_OTHER)
        work->pieces.virt_state = SANDBOX_VIRT_RUNNING;
    }
  /* who pauses it from here on is somebody else */
  merge->still = FALSE;
  return note (work, merge, error);
}

static gboolean
settle (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxMerge) merge = noted (work->machine);

  _sandbox_report (&work->report, "merge", "ending a merge of layers that was interrupted", 0, 0);
  return _sandbox_layers_tidy (work, SANDBOX_TIDY_BEGUN, cancellable, error)
         && forget_stale (work, merge, error);
}

/* What nobody names any more, and could not be merged while the machine ran. */
static gboolean
tidy_deep (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  if (!_sandbox_layers_reload (work, error))
    return FALSE;
  return _sandbox_layer_depth (work->snapshot->layers->top) <= SANDBOX_LAYERS_DEEP
         || _sandbox_layers_tidy (work, SANDBOX_TIDY_DEEP, cancellable, error);
}

/* FALSE: not all that had to be done could be. */
static gboolean
do_what_is_due (SandboxWork *work, const SandboxMerge *merge, GCancellable *cancellable,
                GError **error)
{
  g_autoptr (SandboxMerge) left = NULL;
  const char *name = work->machine->name;

  if (merge == NULL)
    return tidy_deep (work, cancellable, error);
  if (!settle (work, cancellable, error))
    return FALSE;
  left = noted (work->machine);
  if (left == NULL)
    return TRUE;
  if (work->pieces.virt_state == SANDBOX_VIRT_PAUSED)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "a merge of layers of its disk was interrupted, and cannot be ended while "
                         "it is paused: `vms status %s` says why it is",
                         name);
  return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                       "a merge of layers of its disk was interrupted, and can be ended only "
                       "while it is off: `vms stop %s` first",
                       name);
}

/* These need no merge, and what they let go on may be what the merge waits for. */
static gboolean
may_go_on (const char *verb)
{
  return strcmp (verb, "start") == 0 || strcmp (verb, "resume") == 0;
}

/* Even to those to whom merges are all the same it makes a difference whether it runs. */
static gboolean
begin_still (SandboxWork *work, const char *verb, gboolean careless, SandboxMerge *merge,
             GError **error)
{
  g_autoptr (GError) local = NULL;

  if (merge == NULL || !merge->still || wake (work, merge, &local) || careless)
    return TRUE;
  g_propagate_prefixed_error (error, g_steal_pointer (&local), "%s %s: ", verb,
                              work->machine->name);
  return FALSE;
}

gboolean
_sandbox_layers_begin (SandboxWork *work, const char *verb, GCancellable *cancellable,
                       GError **error)
{
  /* to these it is all the same */
  static const char *const careless_verbs[] = { "stop", "destroy", "recreate", "repair", "tidy",
                                                "run",  "import",  "wake",     NULL };
  gboolean careless = g_strv_contains (careless_verbs, verb);
  g_autoptr (SandboxMerge) merge = noted (work->machine);
  gboolean start = strcmp (verb, "start") == 0;
  g_autoptr (GError) local = NULL;
  g_auto (SandboxWork) own = { 0 };

  if (!work->pieces.domain || work->pieces.memory)
    return TRUE;
  if (!begin_still (work, verb, careless, merge, error))
    return FALSE;
  if (careless || _sandbox_host_is_test (work->host)
      || (merge == NULL && (!start || _sandbox_pieces_running (&work->pieces))))
    return TRUE;
  _sandbox_work_init (&own, work->machine, work->report.func, work->report.user_data);
  own.pieces = work->pieces;
  own.snapshot = _sandbox_snapshot_work_new ();
  if (do_what_is_due (&own, merge, cancellable, &local))
    {
      work->pieces.virt_state = own.pieces.virt_state;
      return TRUE;
    }
  /* it can run as it is */
  if (!may_go_on (verb) || g_cancellable_is_cancelled (cancellable))
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&local), "%s %s: ", verb,
                                  work->machine->name);
      return FALSE;
    }
  _sandbox_report (&work->report, "merge", local->message, 0, 0);
  return TRUE;
}

gboolean
_sandbox_layers_still (SandboxMachine *machine)
{
  g_autoptr (SandboxMerge) merge = noted (machine);

  return merge != NULL && merge->still;
}

gboolean
_sandbox_layers_wake (SandboxMachine *machine, SandboxVirtState *state, GCancellable *cancellable,
                      GError **error)
{
  gint64 end = g_get_monotonic_time () + STILL_USEC;

  while (*state == SANDBOX_VIRT_PAUSED)
    {
      g_auto (SandboxWork) work = { 0 };
      g_autoptr (GError) local = NULL;

      /* when it was asked for its state it may have been */
      if (!_sandbox_layers_still (machine))
        return _sandbox_virt_domain_state (machine->host->virt, machine->object, NULL, state,
                                           error);
      _sandbox_work_init (&work, machine, NULL, NULL);
      work.lock_wait_usec = 0;
      if (_sandbox_work_begin (&work, "wake", cancellable, &local))
        {
          *state = work.pieces.virt_state;
          return TRUE;
        }
      if (!g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_BUSY)
          || g_get_monotonic_time () > end)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      if (!_sandbox_pause (STILL_POLL_USEC, cancellable, error)
          || !_sandbox_virt_domain_state (machine->host->virt, machine->object, NULL, state, error))
        return FALSE;
    }
  return TRUE;
}
