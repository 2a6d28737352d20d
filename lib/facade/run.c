// SPDX-License-Identifier: LGPL-2.1-or-later
// Throwaway machines: a generated name, a profile that lives in the state directory, an end with
// the last reference.
#include "facade/facade-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NAME_TRIES 16
/* Throwaway machines of one kind that can be there at once and go on from kept memory. */
#define SLOTS 8
#define MIB   (1024 * 1024)

static const char *
profile_name (const SandboxRunOptions *options)
{
  return options->profile != NULL ? options->profile : "ci";
}

/* What the machine's own profile says. The ports that are forwarded to the profile's named machine
 * are that one's. */
static char *
profile_text (SandboxMachine *machine, const SandboxRunOptions *options, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean changed;

  g_string_append_printf (text, "[profile]\ninherits=%s\n", profile_name (options));
  if (options->memory_bytes != 0)
    g_string_append_printf (text, "[machine]\nmemory=%" G_GUINT64_FORMAT "MiB\n",
                            options->memory_bytes / MIB);
  g_string_append (text, "[network]\nforward=\n");
  if (machine->without_shares)
    g_string_append (text, "host=\n");
  if (g_strcmp0 (options->network_mode, "none") == 0)
    g_string_append (text, "mode=none\negress=\nallow=\n");
  else if (g_strcmp0 (options->network_mode, "nat") == 0)
    g_string_append (text, "mode=nat\n");
  else if (options->network_mode != NULL)
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID,
                    "run: the network mode \"%s\" is neither nat nor none", options->network_mode);
      return NULL;
    }
  return _sandbox_profile_text_with_shares (machine->host, machine->name, text->str,
                                            options->shares, &changed, error);
}

/* libvirt lets kept memory go on under the name and the UUID only under which it was kept, so
 * throwaway machines that could share one come after another by the same name: seven digits of what
 * they are made from, and the slot. */
static char *
slot_stem (const SandboxRunOptions *options, gboolean without_shares)
{
  g_autofree char *text = g_strdup_printf (
      "%s\n%" G_GUINT64_FORMAT "\n%s\n%d\n", profile_name (options), options->memory_bytes,
      options->network_mode != NULL ? options->network_mode : "", without_shares);
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);

  return g_strndup (digest, 7);
}

gboolean
_sandbox_name_is_generated (const char *name)
{
  const char *rest = name + strlen (SANDBOX_THROWAWAY_PREFIX);

  return g_str_has_prefix (name, SANDBOX_THROWAWAY_PREFIX) && strlen (rest) == 8
         && strspn (rest, "0123456789abcdef") == 8;
}

/* One that was kept may be gone, and its profile still there: that is its user's, who may start a
 * machine of it at any time, and what a killed run leaves is removed together with one like it. */
static gboolean
has_profile (SandboxMachine *machine)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = _sandbox_profile_own_text (machine->host, machine->name, &local);

  return text != NULL || local != NULL;
}

/* The first slot that is free, locked, into @work; FALSE: none. Who comes second at the same moment
 * takes the next one. */
static gboolean
take_slot (SandboxHost *host, const char *stem, SandboxWork *work, const SandboxReport *report,
           GCancellable *cancellable)
{
  for (guint i = 0; i < SLOTS; i++)
    {
      g_autofree char *name = g_strdup_printf (SANDBOX_THROWAWAY_PREFIX "%s%x", stem, i);
      g_autoptr (SandboxMachine) machine = _sandbox_machine_new (host, name);

      _sandbox_work_init (work, machine, report->func, report->user_data);
      work->lock_wait_usec = 0;
      work->slot = TRUE;
      if (!g_file_test (machine->state_path, G_FILE_TEST_EXISTS)
          && _sandbox_work_begin (work, "run", cancellable, NULL)
          && !_sandbox_pieces_any (&work->pieces) && !has_profile (machine))
        {
          work->lock_wait_usec = host->lock_wait_usec;
          return TRUE;
        }
      _sandbox_work_clear (work);
      *work = (SandboxWork){ 0 };
    }
  return FALSE;
}

/* Machines that have the same UUID shall not be taken for one. */
static gboolean
write_machine_id (int state_fd, GError **error)
{
  g_autofree char *uuid = g_uuid_string_random ();
  g_auto (GStrv) parts = g_strsplit (uuid, "-", -1);
  g_autofree char *id = g_strjoinv (NULL, parts);

  return sandbox_file_write_at (state_fd, SANDBOX_MACHINE_ID, id, strlen (id), 0600, error);
}

/* Under the machine's lock: repair takes that lock before it looks, so it never sees the half of
 * this. */
static gboolean
write_state (SandboxMachine *machine, const char *text, gboolean slot, GCancellable *cancellable,
             GError **error)
{
  sandbox_autofd int fd = text != NULL ? _sandbox_machine_state_fd (machine, TRUE, error) : -1;

  if (fd < 0)
    return FALSE;
  machine->throwaway_lock =
      sandbox_lock_acquire (fd, SANDBOX_THROWAWAY_LOCK, "run", 0, NULL, NULL, cancellable, error);
  return machine->throwaway_lock != NULL
         && sandbox_file_write_at (fd, SANDBOX_THROWAWAY_PROFILE, text, strlen (text), 0600, error)
         && (!slot || write_machine_id (fd, error));
}

static SandboxMachine *
new_machine (SandboxHost *host, GError **error)
{
  for (guint i = 0; i < NAME_TRIES; i++)
    {
      g_autofree char *name = g_strdup_printf (SANDBOX_THROWAWAY_PREFIX "%08x", g_random_int ());
      g_autoptr (SandboxMachine) machine = _sandbox_machine_new (host, name);
      SandboxPieces pieces;

      if (!_sandbox_machine_pieces (machine, &pieces, error))
        return NULL;
      if (!_sandbox_pieces_any (&pieces))
        return g_steal_pointer (&machine);
    }
  sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                "run: found no free name for a throwaway machine; run `vms doctor --repair`");
  return NULL;
}

/* Starts @work's machine, with its lock held; if that fails nothing of it stays. */
static gboolean
start_locked (SandboxWork *work, const char *text, GCancellable *cancellable, GError **error)
{
  SandboxMachine *machine = work->machine;

  if (write_state (machine, text, work->slot, cancellable, error)
      && _sandbox_work_run (work, &_sandbox_verb_start, cancellable, error))
    return TRUE;
  /* A guest that did not answer in time too: nobody has a reference to it. Not told step by step:
   * what was wrong is. */
  work->report.func = NULL;
  _sandbox_destroy_locked (work, NULL, NULL);
  g_clear_pointer (&machine->throwaway_lock, sandbox_lock_release);
  return FALSE;
}

SandboxMachine *
_sandbox_host_run_bare (SandboxHost *host, const char *text, const SandboxImageRef *image,
                        GPtrArray *reads, gint64 start_timeout_usec, GCancellable *cancellable,
                        GError **error)
{
  g_autoptr (SandboxMachine) machine = new_machine (host, error);
  g_auto (SandboxWork) work = { 0 };

  if (machine == NULL)
    return NULL;
  machine->without_shares = TRUE;
  machine->reads = reads != NULL ? g_ptr_array_ref (reads) : NULL;
  _sandbox_work_init (&work, machine, NULL, NULL);
  work.boot = TRUE;
  /* its disk is to stand on @image and on nothing else, and nobody comes again by its name */
  work.options.boot = TRUE;
  work.options.timeout_usec = start_timeout_usec;
  work.image = _sandbox_image_ref_copy (image);
  if (!_sandbox_work_begin (&work, "run", cancellable, error)
      || !start_locked (&work, text, cancellable, error))
    return NULL;
  return g_steal_pointer (&machine);
}

SandboxMachine *
_sandbox_host_run_throwaway (SandboxHost *host, const SandboxRunOptions *options,
                             gboolean without_shares, const SandboxReport *report,
                             GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxProfile) parent =
      sandbox_profile_load (&host->profiles, profile_name (options), error);
  g_autoptr (SandboxMachine) machine = NULL;
  g_auto (SandboxWork) work = { 0 };
  g_autofree char *text = NULL, *stem = NULL;
  gboolean warm;

  if (parent == NULL)
    return NULL;
  stem = slot_stem (options, without_shares);
  warm = !options->boot && strcmp (_sandbox_profile_values (parent)->start, "boot") != 0;
  if (warm && take_slot (host, stem, &work, report, cancellable))
    machine = sandbox_machine_ref (work.machine);
  else
    machine = new_machine (host, error);
  if (machine == NULL)
    return NULL;
  machine->without_shares = without_shares;
  if (!work.slot)
    {
      _sandbox_work_init (&work, machine, report->func, report->user_data);
      if (!_sandbox_work_begin (&work, "run", cancellable, error))
        return NULL;
    }
  work.boot = TRUE;
  work.options.timeout_usec = options->start_timeout_usec;
  work.options.no_build = options->no_build;
  /* memory that is kept under a name of its own would meet no second machine of that name */
  work.options.boot = options->boot || !work.slot;
  text = profile_text (machine, options, error);
  if (!start_locked (&work, text, cancellable, error))
    return NULL;
  return g_steal_pointer (&machine);
}

SandboxMachine *
sandbox_host_run (SandboxHost *host, const SandboxRunOptions *options, SandboxProgressFunc progress,
                  gpointer user_data, GCancellable *cancellable, GError **error)
{
  SandboxRunOptions copy = SANDBOX_RUN_OPTIONS_INIT;
  SandboxReport report = { progress, user_data, "run" };

  if (!_sandbox_options_copy (&copy, sizeof copy, options, error))
    return NULL;
  return _sandbox_host_run_throwaway (host, &copy, FALSE, &report, cancellable, error);
}

/* Under the machine's lock, so that no repair sees the half of it. */
static gboolean
keep_locked (SandboxMachine *machine, GError **error)
{
  SandboxHost *host = machine->host;
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, error);
  g_autofree char *text = NULL;
  int saved_errno;
  gsize length;

  /* with both files there it is still a throwaway machine, whatever ends us in between: a repair
   * removes both */
  if (fd < 0
      || !sandbox_file_read_at (fd, SANDBOX_THROWAWAY_PROFILE, SANDBOX_PROFILE_TEXT_MAX, &text,
                                &length, error)
      || !sandbox_profile_save (&host->profiles, machine->name, text, FALSE, error))
    return FALSE;
  if (unlinkat (fd, SANDBOX_THROWAWAY_PROFILE, 0) == 0)
    return TRUE;
  saved_errno = errno;
  sandbox_profile_remove (&host->profiles, machine->name, NULL);
  return sandbox_fail_errno (error, saved_errno,
                             "keep %s: removing its note of a throwaway machine", machine->name);
}

gboolean
sandbox_machine_keep (SandboxMachine *machine, GError **error)
{
  SandboxReport report = { NULL, NULL, machine->name };
  SandboxLock *lock;
  gboolean kept;

  if (machine->throwaway_lock == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "keep %s: it is no throwaway machine",
                         machine->name);
  lock =
      _sandbox_machine_lock (machine, "keep", machine->host->lock_wait_usec, &report, NULL, error);
  if (lock == NULL)
    return FALSE;
  kept = keep_locked (machine, error);
  if (kept)
    sandbox_lock_remove (g_steal_pointer (&machine->throwaway_lock));
  _sandbox_machine_unlock (machine, lock);
  return kept;
}
