// SPDX-License-Identifier: LGPL-2.1-or-later
// Encrypted disks: the passphrase is asked for, libvirt has it while it makes the disk and while it
// starts the machine, and then nobody has it but the QEMU that runs. Layers below, image and
// provisioning, are the same for everybody and not encrypted.
#include "facade/layers.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* What QEMU says when no slot of the disk opens. */
#define WRONG "cannot unlock any keyslot"

/* A throwaway machine's disk is read by that machine and nobody else. */
static gboolean
invent (SandboxSecret *secret, GError **error)
{
  guint8 bytes[16];

  if (getrandom (bytes, sizeof bytes, 0) != sizeof bytes)
    return sandbox_fail_errno (error, errno, "reading random numbers");
  for (gsize i = 0; i < sizeof bytes; i++, secret->length += 2)
    g_snprintf (secret->text + secret->length, 3, "%02x", bytes[i]);
  explicit_bzero (bytes, sizeof bytes);
  return TRUE;
}

static SandboxSecret *
ask (SandboxWork *work, gboolean fresh, GCancellable *cancellable, GError **error)
{
  SandboxHost *host = work->host;
  const char *name = work->machine->name;
  g_autofree char *doing = g_strconcat ("start ", name, NULL);
  g_autoptr (SandboxSecret) secret = sandbox_secret_new ();
  gssize length;

  if (work->machine->throwaway_lock != NULL)
    return invent (secret, error) ? g_steal_pointer (&secret) : NULL;
  if (host->passphrase_func == NULL)
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID,
                    "%s: its disk is encrypted, and this program asks for no passphrase", doing);
      return NULL;
    }
  length = host->passphrase_func (name, fresh, secret->text, SANDBOX_SECRET_MAX,
                                  host->passphrase_data, cancellable, error);
  if (length < 0)
    return NULL;
  secret->length = (gsize)length;
  return sandbox_secret_check (secret, fresh, doing, error) ? g_steal_pointer (&secret) : NULL;
}

/* Before anything is made or removed, and before what takes long: nobody has to wait for the
 * question. */
gboolean
_sandbox_step_passphrase (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const char *name = work->machine->name;
  gboolean wanted = _sandbox_profile_values (work->profile)->encrypt, have;
  g_autoptr (SandboxLayers) layers = NULL;

  if (_sandbox_pieces_running (&work->pieces) && !work->newest_image)
    return TRUE;
  layers = _sandbox_layers_load (work->machine, error);
  if (layers == NULL)
    return FALSE;
  have = layers->top != NULL && !work->newest_image;
  if (have && wanted && !layers->top->encrypted)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "start %s: its profile says encrypt=yes, and the disk that it has is not "
                         "encrypted; `vms recreate %s` makes one that is (all that is on it goes), "
                         "encrypt=no starts it as it is",
                         name, name);
  if (have && !wanted && layers->top->encrypted)
    _sandbox_report (&work->report, "changes",
                     "its disk is encrypted, and its profile says encrypt=no (applies at recreate)",
                     0, 0);
  if (!(have ? layers->top->encrypted : wanted))
    return TRUE;
  _sandbox_report (&work->report, "passphrase", "asking for the passphrase of its disk", 0, 0);
  work->passphrase = ask (work, !have, cancellable, error);
  return work->passphrase != NULL;
}

gboolean
_sandbox_secret_tell (SandboxWork *work, GError **error)
{
  const SandboxSecret *secret = work->passphrase;

  return secret == NULL
         || _sandbox_virt_secret_set (work->host->virt, work->machine->uuid, work->machine->object,
                                      secret->text, secret->length, error);
}

void
_sandbox_secret_take_back (SandboxWork *work)
{
  g_autoptr (GError) local = NULL;

  if (work->passphrase != NULL
      && !_sandbox_virt_secret_remove (work->host->virt, work->machine->uuid, &local))
    g_debug ("%s: %s", work->machine->name, local->message);
}

gboolean
_sandbox_encrypted_start (SandboxWork *work, GError **error)
{
  const char *name = work->machine->name;
  g_autoptr (GError) local = NULL;
  gboolean started;

  started = _sandbox_secret_tell (work, &local)
            && _sandbox_virt_domain_start (work->host->virt, work->machine->object, &local);
  _sandbox_secret_take_back (work);
  g_clear_pointer (&work->passphrase, sandbox_secret_free);
  if (started)
    return TRUE;
  if (strstr (local->message, WRONG) != NULL)
    return sandbox_fail (error, SANDBOX_ERROR_DENIED,
                         "start %s: this is not the passphrase of its disk; nothing was changed. "
                         "Without it nobody can read what is there: `vms recreate %s` begins anew",
                         name, name);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
_sandbox_layer_refuse_encrypted (const SandboxLayer *layer, const char *doing, const char *advice,
                                 GError **error)
{
  if (layer == NULL || !layer->encrypted)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                       "%s: its disk is encrypted (encrypt=yes): %s", doing, advice);
}

/* --- what a killed process left */

void
_sandbox_secret_forget (SandboxWork *work)
{
  g_autoptr (GError) local = NULL;

  /* a libvirt without secrets keeps none */
  if (!_sandbox_host_is_test (work->host)
      && !_sandbox_virt_secret_remove (work->host->virt, work->machine->uuid, &local))
    g_debug ("%s: %s", work->machine->name, local->message);
}

gboolean
_sandbox_secrets_repair (SandboxHost *host, gboolean remove, GPtrArray *orphans, GError **error)
{
  SandboxReport report = { NULL, NULL, "" };
  g_autofree char *prefix = _sandbox_host_prefix (host);
  g_auto (GStrv) objects = NULL;

  if (_sandbox_host_is_test (host))
    return TRUE;
  /* a libvirt without secrets keeps none */
  objects = _sandbox_virt_list_secrets (host->virt, prefix, NULL);
  for (char **object = objects; object != NULL && *object != NULL; object++)
    {
      g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, *object);
      g_autoptr (SandboxMachine) machine = name != NULL ? _sandbox_machine_new (host, name) : NULL;
      SandboxLock *lock;
      SandboxOrphan *orphan;
      gboolean done;

      /* held: it is being started */
      lock = machine != NULL ? _sandbox_machine_lock (machine, "repair", 0, &report, NULL, NULL)
                             : NULL;
      if (lock == NULL)
        continue;
      orphan = g_new0 (SandboxOrphan, 1);
      orphan->kind = g_strdup ("secret");
      orphan->name = g_strdup (*object);
      orphan->reason = g_strdup ("the passphrase of a disk, left by an interrupted start");
      g_ptr_array_add (orphans, orphan);
      done = !remove || _sandbox_virt_secret_remove (host->virt, machine->uuid, error);
      _sandbox_machine_unlock (machine, lock);
      if (!done)
        return FALSE;
    }
  return TRUE;
}

void
sandbox_host_set_passphrase_func (SandboxHost *host, SandboxPassphraseFunc func, gpointer user_data)
{
  host->passphrase_func = func;
  host->passphrase_data = user_data;
}
