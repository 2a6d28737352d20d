// SPDX-License-Identifier: LGPL-2.1-or-later
// The layer of a share for review is sent by the machine itself when it runs, and by a reader that
// has its disk when it does not.
#include "facade/keep.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FINGERPRINT_USEC (20 * G_USEC_PER_SEC)
#define NAMES_SHOWN      5

void
_sandbox_source_clear (SandboxSource *source)
{
  g_clear_pointer (&source->own, _sandbox_ssh_free);
  g_clear_pointer (&source->reader, _sandbox_reader_free);
  if (source->lock != NULL)
    _sandbox_machine_unlock (source->machine, g_steal_pointer (&source->lock));
  g_clear_pointer (&source->machine, sandbox_machine_unref);
}

void
_sandbox_fetched_clear (SandboxFetched *fetched)
{
  g_clear_pointer (&fetched->upper, _sandbox_upper_free);
  g_clear_pointer (&fetched->fingerprint, g_free);
  g_clear_pointer (&fetched->left_out, g_free);
}

static gboolean
is_running (SandboxMachine *machine, gboolean *ret_running, GError **error)
{
  SandboxPieces pieces = { 0 };

  if (!_sandbox_virt_domain_state (machine->host->virt, machine->object, &pieces.domain,
                                   &pieces.virt_state, error))
    return FALSE;
  /* the test driver's machines have no disks, and their guests do not answer: that is said */
  *ret_running = _sandbox_host_is_test (machine->host) || _sandbox_pieces_running (&pieces);
  return TRUE;
}

static gboolean
open_disk (SandboxSource *source, const SandboxReport *report, GCancellable *cancellable,
           GError **error)
{
  SandboxMachine *machine = source->machine;
  g_autoptr (SandboxLayers) layers = _sandbox_layers_load (machine, error);
  const SandboxLayer *top = layers != NULL ? layers->top : NULL;

  if (layers == NULL)
    return FALSE;
  if (top == NULL || !_sandbox_machine_was_started (machine))
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "reading changes of %s: it was never started, and has none; start it with "
                         "`vms start %s`",
                         machine->name, machine->name);
  source->reader = _sandbox_reader_new (machine->host, &top, 1, report, cancellable, error);
  if (source->reader == NULL)
    g_prefix_error (error, "reading the disk of %s, which does not run: ", machine->name);
  return source->reader != NULL;
}

gboolean
_sandbox_source_open (SandboxSource *source, SandboxMachine *machine, gboolean locked,
                      const SandboxReport *report, GCancellable *cancellable, GError **error)
{
  gboolean running = FALSE;

  source->machine = sandbox_machine_ref (machine);
  if (!is_running (machine, &running, error))
    return FALSE;
  if (!running && !locked)
    {
      /* nobody starts it, or changes its layers, while a reader has them */
      source->lock = _sandbox_machine_lock (machine, "diff", machine->host->lock_wait_usec, report,
                                            cancellable, error);
      if (source->lock == NULL || !is_running (machine, &running, error))
        return FALSE;
    }
  if (!running)
    return open_disk (source, report, cancellable, error);
  if (source->lock != NULL)
    _sandbox_machine_unlock (machine, g_steal_pointer (&source->lock));
  source->own = _sandbox_machine_ready (machine, cancellable, error);
  return source->own != NULL;
}

typedef struct
{
  SandboxFetched *fetched;
  int dir_fd, copy_fd;
  SandboxTarReadFunc read;
  gpointer source;
} Fetch;

static gboolean
copy_read (void *data, gsize length, gpointer user_data, GError **error)
{
  Fetch *fetch = user_data;
  const char *from = data;

  if (!fetch->read (data, length, fetch->source, error))
    return FALSE;
  while (length > 0)
    {
      gssize n = write (fetch->copy_fd, from, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return sandbox_fail_errno (error, errno, "saving the machine's changes");
      from += n;
      length -= (gsize)n;
    }
  return TRUE;
}

static gboolean
read_archive (SandboxTarReadFunc read, gpointer source, gpointer user_data, GError **error)
{
  Fetch *fetch = user_data;

  fetch->read = read;
  fetch->source = source;
  fetch->fetched->upper = fetch->copy_fd < 0
                              ? _sandbox_upper_read (read, source, fetch->dir_fd, error)
                              : _sandbox_upper_read (copy_read, fetch, fetch->dir_fd, error);
  return fetch->fetched->upper != NULL;
}

gboolean
_sandbox_fetched_add_left_out (SandboxFetched *fetched, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (fetched->left_out, "\n", -1);

  for (guint i = 0; lines[i]; i++)
    if (strlen (lines[i]) > 2
        && !_sandbox_upper_add_left_out (fetched->upper, lines[i] + 2, lines[i][0] == 'f', error))
      return FALSE;
  return TRUE;
}

char *
_sandbox_fetched_too_large (const SandboxFetched *fetched)
{
  g_auto (GStrv) lines = g_strsplit (fetched->left_out, "\n", -1);
  g_autoptr (GString) names = g_string_new ("");
  guint n = 0;

  for (guint i = 0; lines[i]; i++)
    {
      const char *path = strlen (lines[i]) > 2 ? lines[i] + 2 : "";
      g_autofree char *shown =
          sandbox_escape (g_str_has_prefix (path, "./") ? path + 2 : path, -1, 200);

      if (*path != '\0' && lines[i][0] == 'f' && ++n <= NAMES_SHOWN)
        g_string_append_printf (names, "%s%s", n > 1 ? ", " : "", shown);
    }
  if (n > NAMES_SHOWN)
    g_string_append_printf (names, " and %u more", n - NAMES_SHOWN);
  return n > 0 ? g_string_free (g_steal_pointer (&names), FALSE) : NULL;
}

/* tar tells of what changes under its hands, not of what moves from where it has not been to where
 * it was. */
static gboolean
has_changed (const SandboxSsh *ssh, const char *tag, const char *fingerprint,
             GCancellable *cancellable)
{
  g_autofree char *now = NULL;

  if (fingerprint == NULL)
    return FALSE;
  now = _sandbox_guest_fingerprint (ssh, tag, FINGERPRINT_USEC, cancellable, NULL);
  return now == NULL || strcmp (now, fingerprint) != 0;
}

gboolean
_sandbox_changes_fetch (const SandboxSource *source, const char *tag, int dir_fd, int copy_fd,
                        SandboxFetched *fetched, GCancellable *cancellable, GError **error)
{
  Fetch fetch = { .fetched = fetched, .dir_fd = dir_fd, .copy_fd = copy_fd };
  const SandboxSsh *ssh = source->own != NULL ? source->own : _sandbox_reader_ssh (source->reader);
  const char *root = source->own != NULL ? "" : _sandbox_reader_root (0);
  gboolean unsettled = FALSE;

  /* first: of what changes later it must not be the fingerprint */
  if (source->own != NULL)
    fetched->fingerprint =
        _sandbox_guest_fingerprint (ssh, tag, FINGERPRINT_USEC, cancellable, NULL);
  if (!_sandbox_guest_read_upper (ssh, root, tag, read_archive, &fetch, &unsettled, cancellable,
                                  error))
    return FALSE;
  fetched->left_out = _sandbox_guest_list_left_out (ssh, root, tag, cancellable, error);
  if (fetched->left_out == NULL)
    {
      g_prefix_error (error, "reading the machine's changes in \"%s\": ", tag);
      return FALSE;
    }
  fetched->upper->unsettled =
      unsettled || has_changed (ssh, tag, fetched->fingerprint, cancellable);
  return _sandbox_fetched_add_left_out (fetched, error);
}
