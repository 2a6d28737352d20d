// SPDX-License-Identifier: LGPL-2.1-or-later
// Snapshot diff: which files two states of a disk differ in. Both are read inside a reader, a
// throwaway machine without network; this host gets lists of names.
#include "facade/reader.h"
#include "share/tree-diff.h"

#include <string.h>

/* @name NULL: the present state, which must not be written to meanwhile. */
static const SandboxLayer *
find_state (SandboxWork *work, const char *name, GError **error)
{
  const char *machine = work->machine->name;
  const SandboxLayers *layers = work->snapshot->layers;
  const SandboxLayer *layer;

  if (name == NULL && _sandbox_pieces_running (&work->pieces))
    {
      sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                    "snapshot diff %s: it runs, and its present state changes while it is read; "
                    "stop it, or take a snapshot and name two",
                    machine);
      return NULL;
    }
  if (name == NULL)
    return layers->top;
  layer = _sandbox_layers_find (layers, name);
  if (layer != NULL)
    return layer;
  g_free (work->snapshot->name);
  work->snapshot->name = g_strdup (name);
  _sandbox_snapshot_fail_none (work, "snapshot diff", error);
  return NULL;
}

/* The one that the later state goes on from. */
static const SandboxLayer *
find_first (SandboxWork *work, const char *from, const SandboxLayer *later, GError **error)
{
  const SandboxLayer *layer;

  if (from != NULL)
    return find_state (work, from, error);
  layer = _sandbox_layer_snapshot (later);
  if (layer == NULL)
    sandbox_fail (
        error, SANDBOX_ERROR_NOT_FOUND,
        "snapshot diff %s: it has no snapshot to compare with; `vms snapshot %s` makes one",
        work->machine->name, work->machine->name);
  return layer;
}

static SandboxTree *
read_tree (SandboxWork *work, const SandboxReader *reader, guint index, GCancellable *cancellable,
           GError **error)
{
  char *text;

  _sandbox_report (&work->report, "list", "listing the files of both", index, 2);
  text = _sandbox_guest_list_tree (_sandbox_reader_ssh (reader), _sandbox_reader_root (index),
                                   SANDBOX_TREE_TEXT_MAX, cancellable, error);
  return text != NULL ? _sandbox_tree_parse (text, error) : NULL;
}

static GPtrArray *
compare (SandboxWork *work, const SandboxLayer *const *states, guint *ret_n_left_out,
         GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxReader) reader =
      _sandbox_reader_new (work->host, states, 2, &work->report, cancellable, error);
  g_autoptr (SandboxTree) old =
      reader != NULL ? read_tree (work, reader, 0, cancellable, error) : NULL;
  g_autoptr (SandboxTree) new =
      old != NULL ? read_tree (work, reader, 1, cancellable, error) : NULL;

  return new != NULL ? _sandbox_tree_diff (old, new, ret_n_left_out) : NULL;
}

static gboolean
find_states (SandboxWork *work, const char *from, const char *to, const SandboxLayer **states,
             GError **error)
{
  const char *name = work->machine->name;

  work->snapshot->layers = _sandbox_layers_load (work->machine, error);
  if (work->snapshot->layers == NULL)
    return FALSE;
  if (work->snapshot->layers->top == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "snapshot diff %s: it has no disk yet; `vms start %s` makes one", name,
                         name);
  states[1] = find_state (work, to, error);
  states[0] = states[1] != NULL ? find_first (work, from, states[1], error) : NULL;
  return states[0] != NULL;
}

GPtrArray *
sandbox_machine_snapshot_diff (SandboxMachine *machine, const char *from, const char *to,
                               SandboxProgressFunc progress, gpointer user_data,
                               guint *ret_n_left_out, GCancellable *cancellable, GError **error)
{
  g_auto (SandboxWork) work = { 0 };
  const SandboxLayer *states[2] = { NULL };
  guint n_left_out = 0;
  GPtrArray *changes;

  _sandbox_work_init (&work, machine, progress, user_data);
  work.snapshot = _sandbox_snapshot_work_new ();
  if (!_sandbox_work_begin (&work, "snapshot diff", cancellable, error)
      || !find_states (&work, from, to, states, error))
    return NULL;
  if (_sandbox_host_is_test (machine->host))
    {
      sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                    "snapshot diff %s: libvirt's test driver keeps no disks; use a host with QEMU "
                    "(qemu:///system)",
                    machine->name);
      return NULL;
    }
  changes = compare (&work, states, &n_left_out, cancellable, error);
  if (changes == NULL)
    g_prefix_error (error, "snapshot diff %s: ", machine->name);
  else if (ret_n_left_out != NULL)
    *ret_n_left_out = n_left_out;
  return changes;
}
