// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a machine that does not run holds changes that were not applied, as far as it was asked
// before it was stopped. A word for it, or nothing: then nobody knows, and who has to know reads
// the disk.
//
// The machine's own word is enough: what it keeps from its user are its own changes.
#include "facade/keep.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A guest that hangs holds up a stop for that long, for each share. */
#define ASK_USEC (30 * G_USEC_PER_SEC)

static const char *const words[] = {
  [SANDBOX_UNAPPLIED_NONE] = "none",
  [SANDBOX_UNAPPLIED_SOME] = "some",
  [SANDBOX_UNAPPLIED_SAVED] = "saved",
};

const char *
_sandbox_unapplied_to_string (SandboxUnapplied unapplied)
{
  if (unapplied == SANDBOX_UNAPPLIED_NOTHING)
    return "";
  if (unapplied == SANDBOX_UNAPPLIED_UNKNOWN)
    return "unknown";
  return words[unapplied == SANDBOX_UNAPPLIED_SAVED ? SANDBOX_UNAPPLIED_SOME : unapplied];
}

int
_sandbox_records_look (SandboxMachine *machine)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, NULL);

  return state_fd < 0 ? -1
                      : openat (state_fd, SANDBOX_RECORDS_DIR,
                                O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

gboolean
_sandbox_machine_was_started (SandboxMachine *machine)
{
  g_autofree char *log = g_build_filename (machine->state_path, "console.log", NULL);
  sandbox_autofd int fd = _sandbox_records_look (machine);
  g_auto (GStrv) names = fd < 0 ? NULL : sandbox_dir_list (fd, NULL);

  if (g_file_test (log, G_FILE_TEST_EXISTS))
    return TRUE;
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    if (g_str_has_suffix (names[i], ".manifest"))
      return TRUE;
  return FALSE;
}

SandboxUnapplied
_sandbox_unapplied_read (SandboxMachine *machine)
{
  sandbox_autofd int fd = _sandbox_records_look (machine);
  g_autofree char *text = NULL;
  gsize length = 0;

  if (fd < 0)
    return SANDBOX_UNAPPLIED_NOTHING;
  if (!sandbox_file_read_at (fd, SANDBOX_UNAPPLIED_FILE, 64, &text, &length, NULL))
    return SANDBOX_UNAPPLIED_UNKNOWN;
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (strcmp (text, words[i]) == 0)
      return (SandboxUnapplied)i;
  return SANDBOX_UNAPPLIED_UNKNOWN;
}

gboolean
_sandbox_unapplied_write (SandboxMachine *machine, SandboxUnapplied unapplied, GError **error)
{
  sandbox_autofd int fd = _sandbox_records_look (machine);

  if (fd < 0)
    return TRUE;
  if (unapplied >= G_N_ELEMENTS (words))
    return sandbox_remove_at (fd, SANDBOX_UNAPPLIED_FILE, error);
  return sandbox_file_write_at (fd, SANDBOX_UNAPPLIED_FILE, words[unapplied],
                                strlen (words[unapplied]), 0600, error);
}

SandboxUnapplied
_sandbox_unapplied_ask (SandboxMachine *machine, const GPtrArray *shares, gint64 timeout_usec,
                        GCancellable *cancellable)
{
  g_autoptr (SandboxSsh) ssh = _sandbox_machine_ready (machine, cancellable, NULL);
  sandbox_autofd int fd = _sandbox_records_look (machine);
  SandboxUnapplied found = SANDBOX_UNAPPLIED_NONE;

  if (ssh == NULL || fd < 0)
    return SANDBOX_UNAPPLIED_UNKNOWN;
  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];
      g_autofree char *print =
          _sandbox_guest_fingerprint (ssh, share->tag, timeout_usec, cancellable, NULL);

      if (print == NULL)
        return SANDBOX_UNAPPLIED_UNKNOWN;
      if (strcmp (print, SANDBOX_FINGERPRINT_EMPTY) != 0
          && !_sandbox_changes_is_settled (fd, share->tag, print))
        found = SANDBOX_UNAPPLIED_SOME;
    }
  return found;
}

GPtrArray *
_sandbox_unapplied_shares (SandboxWork *work)
{
  GPtrArray *shares;
  g_autoptr (GPtrArray) now = NULL;

  /* one that runs may have more than it was defined with; libvirt may have lost the definition */
  if (work->old_meta == NULL || _sandbox_pieces_running (&work->pieces))
    now = _sandbox_machine_shares (work->machine, NULL);
  if (now == NULL && work->old_meta != NULL)
    now = g_ptr_array_ref (work->old_meta->shares);
  shares = _sandbox_shares_for_review (now);
  _sandbox_shares_add_ended (work->machine, shares);
  return shares;
}

gboolean
_sandbox_step_ask_changes (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  g_autoptr (GPtrArray) shares = NULL;

  work->unapplied = SANDBOX_UNAPPLIED_UNKNOWN;
  if (!_sandbox_pieces_running (&work->pieces))
    return TRUE;
  shares = _sandbox_unapplied_shares (work);
  if (work->pieces.virt_state == SANDBOX_VIRT_RUNNING && shares->len > 0)
    work->unapplied = _sandbox_unapplied_ask (work->machine, shares, ASK_USEC, cancellable);
  work->asked_unapplied = TRUE;
  return TRUE;
}

/* One that was off before keeps its word. */
gboolean
_sandbox_step_note_changes (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return !work->asked_unapplied
         || _sandbox_unapplied_write (work->machine, (SandboxUnapplied)work->unapplied, error);
}
