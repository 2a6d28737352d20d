// SPDX-License-Identifier: LGPL-2.1-or-later
// The machine handle: its names, its lock, what exists of it.
#include "facade/layers.h"
#include "facade/suspended.h"
#include "base/xml.h"

#include <string.h>

G_DEFINE_BOXED_TYPE (SandboxMachine, sandbox_machine, sandbox_machine_ref, sandbox_machine_unref)

/* How long the last reference of a throwaway machine waits for somebody else who works on it. */
#define THROWAWAY_LOCK_WAIT_USEC (30 * G_USEC_PER_SEC)

SandboxMachine *
_sandbox_machine_new (SandboxHost *host, const char *name)
{
  SandboxMachine *machine = g_new0 (SandboxMachine, 1);

  g_atomic_ref_count_init (&machine->ref_count);
  machine->host = sandbox_host_ref (host);
  machine->name = g_strdup (name);
  machine->object = _sandbox_object_name (host->uid, host->owner, name);
  machine->state_path = g_build_filename (host->state_dir, name, NULL);
  _sandbox_object_uuid (host->uid, host->owner, name, machine->uuid);
  return machine;
}

SandboxMachine *
sandbox_machine_ref (SandboxMachine *machine)
{
  g_return_val_if_fail (machine != NULL, NULL);
  g_atomic_ref_count_inc (&machine->ref_count);
  return machine;
}

/* What cannot be removed now is found by sandbox_host_repair(), because nobody holds the owner's
 * lock any more. */
static void
destroy_throwaway (SandboxMachine *machine)
{
  g_auto (SandboxWork) work = { 0 };

  _sandbox_work_init (&work, machine, NULL, NULL);
  work.lock_wait_usec = THROWAWAY_LOCK_WAIT_USEC;
  if (_sandbox_work_begin (&work, "destroy", NULL, NULL))
    _sandbox_destroy_locked (&work, NULL, NULL);
}

void
sandbox_machine_unref (SandboxMachine *machine)
{
  g_return_if_fail (machine != NULL);
  if (!g_atomic_ref_count_dec (&machine->ref_count))
    return;
  if (machine->throwaway_lock != NULL)
    {
      /* The work on it takes and drops references again. */
      g_atomic_ref_count_init (&machine->ref_count);
      destroy_throwaway (machine);
      g_clear_pointer (&machine->throwaway_lock, sandbox_lock_release);
    }
  g_free (machine->saved);
  g_clear_pointer (&machine->reads, g_ptr_array_unref);
  sandbox_host_unref (machine->host);
  g_free (machine->name);
  g_free (machine->object);
  g_free (machine->state_path);
  g_free (machine);
}

const char *
sandbox_machine_get_name (SandboxMachine *machine)
{
  return machine->name;
}

SandboxHost *
sandbox_machine_get_host (SandboxMachine *machine)
{
  return machine->host;
}

int
_sandbox_machine_state_fd (SandboxMachine *machine, gboolean create, GError **error)
{
  sandbox_autofd int parent = _sandbox_host_state_fd (machine->host, create, error);

  if (parent < 0)
    return -1;
  return sandbox_dir_open_at (parent, machine->name, create, error);
}

void
_sandbox_on_lock_wait (const char *holder, gpointer user_data)
{
  g_autofree char *note = g_strdup_printf ("waiting for %s", holder);

  _sandbox_report (user_data, "lock", note, 0, 0);
}

SandboxLock *
_sandbox_machine_lock (SandboxMachine *machine, const char *verb, gint64 wait_usec,
                       const SandboxReport *report, GCancellable *cancellable, GError **error)
{
  g_autofree char *purpose = g_strdup_printf ("%s %s", verb, machine->name);
  g_autofree char *file = g_strconcat (machine->name, ".lock", NULL);
  sandbox_autofd int state_fd = _sandbox_host_state_fd (machine->host, TRUE, error);

  if (state_fd < 0)
    return NULL;
  return sandbox_lock_acquire (state_fd, file, purpose, wait_usec, _sandbox_on_lock_wait,
                               (gpointer)report, cancellable, error);
}

void
_sandbox_machine_unlock (SandboxMachine *machine, SandboxLock *lock)
{
  /* A profile alone needs no lock file; whoever waits for this one notices that it is gone and
   * makes another. */
  if (g_file_test (machine->state_path, G_FILE_TEST_EXISTS))
    sandbox_lock_release (lock);
  else
    sandbox_lock_remove (lock);
}

gboolean
_sandbox_pieces_any (const SandboxPieces *pieces)
{
  return pieces->domain || pieces->network || pieces->filter || pieces->disk || pieces->seed
         || pieces->state_dir || pieces->memory;
}

gboolean
_sandbox_pieces_running (const SandboxPieces *pieces)
{
  return pieces->domain && pieces->virt_state != SANDBOX_VIRT_STOPPED
         && pieces->virt_state != SANDBOX_VIRT_CRASHED;
}

SandboxState
_sandbox_pieces_state (SandboxHost *host, const SandboxPieces *pieces)
{
  static const SandboxState states[] = {
    [SANDBOX_VIRT_STOPPED] = SANDBOX_STATE_STOPPED,
    [SANDBOX_VIRT_RUNNING] = SANDBOX_STATE_RUNNING,
    [SANDBOX_VIRT_PAUSED] = SANDBOX_STATE_PAUSED,
    [SANDBOX_VIRT_STOPPING] = SANDBOX_STATE_STOPPING,
    [SANDBOX_VIRT_CRASHED] = SANDBOX_STATE_CRASHED,
  };
  /* The test driver's machines have no keys, and a driver file may well define domains only. */
  gboolean rest =
      _sandbox_host_is_test (host) || (pieces->network && pieces->disk && pieces->state_dir);

  if (!_sandbox_pieces_any (pieces))
    return SANDBOX_STATE_NEW;
  if (_sandbox_pieces_suspended (pieces) && rest)
    return SANDBOX_STATE_SUSPENDED;
  if (_sandbox_pieces_running (pieces) || (pieces->domain && rest))
    return states[pieces->virt_state];
  return SANDBOX_STATE_INCOMPLETE;
}

gboolean
_sandbox_machine_pieces (SandboxMachine *machine, SandboxPieces *ret_pieces, GError **error)
{
  SandboxVirt *virt = machine->host->virt;
  g_autofree char *seed = g_strconcat (machine->object, ".seed", NULL);
  g_autofree char *memory = _sandbox_memory_volume (machine->object);
  g_autoptr (GPtrArray) volumes = NULL;
  SandboxPieces pieces = { 0 };
  g_auto (GStrv) networks = NULL, filters = NULL;
  guint number;

  if (!_sandbox_virt_domain_state (virt, machine->object, &pieces.domain, &pieces.virt_state,
                                   error))
    return FALSE;
  networks = _sandbox_virt_list_networks (virt, machine->object, error);
  filters = networks != NULL ? _sandbox_virt_list_filters (virt, machine->object, error) : NULL;
  volumes =
      filters != NULL ? _sandbox_virt_list_volumes (virt, machine->object, FALSE, error) : NULL;
  if (volumes == NULL)
    return FALSE;
  for (guint i = 0; i < volumes->len; i++)
    {
      const char *name = ((SandboxVirtVolume *)volumes->pdata[i])->name;

      pieces.disk |= _sandbox_layer_parse (machine->object, name, &number);
      pieces.seed |= strcmp (name, seed) == 0;
      pieces.memory |= strcmp (name, memory) == 0;
    }
  pieces.network = g_strv_contains ((const char *const *)networks, machine->object);
  pieces.filter = g_strv_contains ((const char *const *)filters, machine->object);
  pieces.state_dir = g_file_test (machine->state_path, G_FILE_TEST_EXISTS);
  /* of one that was destroyed, what its copies stand on */
  if (pieces.disk && !pieces.domain && !pieces.state_dir)
    pieces.disk = !_sandbox_layers_only_shared (machine->host, machine->object);
  *ret_pieces = pieces;
  return TRUE;
}

/* The UUID is made of uid, owner tag and name, so it says whose domain this is. */
static gboolean
has_uuid (const char *xml, const char *uuid)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain XML of libvirt", xml, NULL);
  g_autofree char *found =
      doc != NULL ? sandbox_xml_dup (xmlDocGetRootElement (doc), "uuid", NULL) : NULL;

  return found != NULL && g_ascii_strcasecmp (g_strstrip (found), uuid) == 0;
}

gboolean
_sandbox_machine_read_domain (SandboxMachine *machine, char **ret_xml, SandboxDomainMeta **ret_meta,
                              GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autofree char *xml =
      _sandbox_virt_domain_xml (machine->host->virt, machine->object, FALSE, &local);

  if (xml == NULL && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (xml != NULL)
    {
      meta = _sandbox_xml_read_domain (xml, &local);
      if (meta == NULL || g_strcmp0 (meta->owner, machine->host->owner) != 0
          || g_strcmp0 (meta->name, machine->name) != 0 || !has_uuid (xml, machine->uuid))
        return sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                             "%s: libvirt has a domain \"%s\" that was not made by vms for this "
                             "user%s%s; nothing was done to it. Rename it with `virsh domrename`",
                             machine->name, machine->object, local != NULL ? ": " : "",
                             local != NULL ? local->message : "");
    }
  *ret_xml = g_steal_pointer (&xml);
  *ret_meta = g_steal_pointer (&meta);
  return TRUE;
}

SandboxSsh *
_sandbox_machine_ssh (SandboxMachine *machine, GError **error)
{
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autofree char *xml = NULL, *address = NULL;
  SandboxCidr subnet;
  guint32 base;

  if (!_sandbox_machine_read_domain (machine, &xml, &meta, error))
    return NULL;
  if (meta == NULL)
    {
      sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                    "%s: was never started; start it with `vms start %s`", machine->name,
                    machine->name);
      return NULL;
    }
  if (!sandbox_cidr_parse (meta->subnet, &subnet, error))
    return NULL;
  /* Gateway .1, guest .2 of its network, as the plan has it. */
  base = subnet.address & ~(guint32)(((guint64)1 << (32 - subnet.bits)) - 1);
  address = sandbox_address_format (base + 2);
  return _sandbox_ssh_new (machine->state_path, machine->uuid, address, meta->user);
}

static char *
escape_lines (const char *text, guint max_lines)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autoptr (GString) out = g_string_new (NULL);
  guint n = g_strv_length (lines), first;

  while (n > 0 && *g_strstrip (lines[n - 1]) == '\0')
    n--;
  first = n > max_lines ? n - max_lines : 0;
  for (guint i = first; i < n; i++)
    {
      g_autofree char *line = sandbox_escape (g_strchomp (lines[i]), -1, 512);

      g_string_append (out, line);
      g_string_append_c (out, '\n');
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static char *
read_console (SandboxMachine *machine, GError **error)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, error);
  gsize length;
  char *text;

  if (fd < 0
      || !sandbox_file_read_at (fd, "console.log", SANDBOX_CONSOLE_LOG_MAX * 2, &text, &length,
                                error))
    return NULL;
  /* A guest may well print NUL bytes: the text goes on behind them. */
  for (gsize i = 0; i < length; i++)
    if (text[i] == '\0')
      text[i] = ' ';
  return text;
}

char *
_sandbox_machine_console_tail (SandboxMachine *machine, guint lines)
{
  g_autofree char *text = read_console (machine, NULL);

  return text != NULL ? escape_lines (text, lines) : g_strdup ("");
}

char *
sandbox_machine_read_log (SandboxMachine *machine, gsize max_bytes, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = read_console (machine, &local);
  gsize length;
  const char *from;

  if (text == NULL)
    {
      if (!g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        g_propagate_error (error, g_steal_pointer (&local));
      else
        sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                      "%s: has no console log: it was never started; start it with `vms start %s`",
                      machine->name, machine->name);
      return NULL;
    }
  length = strlen (text);
  from = length > max_bytes ? text + length - max_bytes : text;
  /* Not from the middle of a line, and so not from the middle of a character. */
  if (from > text && from[-1] != '\n' && strchr (from, '\n') != NULL)
    from = strchr (from, '\n') + 1;
  return escape_lines (from, G_MAXUINT);
}

gboolean
sandbox_machine_console (SandboxMachine *machine, int in_fd, int out_fd, GCancellable *cancellable,
                         GError **error)
{
  SandboxPieces pieces;
  /* The serial line (the first console) carries the boot log and belongs to the keeper. */
  const char *alias = _sandbox_host_is_test (machine->host) ? NULL : "console1";

  if (!_sandbox_machine_pieces (machine, &pieces, error))
    return FALSE;
  if (!_sandbox_pieces_running (&pieces))
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "console of %s: it is not running; start it with `vms start %s`",
                         machine->name, machine->name);
  return _sandbox_virt_console_attach (machine->host->virt, machine->object, alias, in_fd, out_fd,
                                       cancellable, error);
}
