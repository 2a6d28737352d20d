// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine's own copies of shared files come to at its next start: only itself writes to its
// disk. What was discarded while it was off goes; what was applied or discarded, and edited on this
// host since, is given to it again.
#include "facade/keep.h"

#include <string.h>

gboolean
_sandbox_discard_later (SandboxMachine *machine, SandboxChanges *changes, const gboolean *wanted,
                        GCancellable *cancellable, GError **error)
{
  SandboxReport report = { NULL, NULL, machine->name };
  SandboxPieces pieces = { 0 };
  SandboxLock *lock = _sandbox_machine_lock (machine, "discard", machine->host->lock_wait_usec,
                                             &report, cancellable, error);
  gboolean ok = lock != NULL && _sandbox_machine_pieces (machine, &pieces, error);

  if (ok && pieces.memory)
    ok = sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                       "discarding changes of %s: it is suspended, and goes on with what it has; "
                       "`vms resume %s`, and discard them then",
                       machine->name, machine->name);
  else if (ok && _sandbox_pieces_running (&pieces))
    ok = sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                       "discarding changes of %s: it was started just now; try again",
                       machine->name);
  ok = ok && _sandbox_dropped_note (changes, wanted, error);
  if (lock != NULL)
    _sandbox_machine_unlock (machine, lock);
  return ok;
}

/* They are changes again when that fails. */
static void
drop (SandboxWork *work, const SandboxPlanShare *share, int dir_fd, GCancellable *cancellable)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxChanges) changes =
      _sandbox_machine_read_locked (work->machine, share->tag, cancellable, &local);
  g_autoptr (GArray) indexes = changes != NULL ? _sandbox_dropped_show (changes) : NULL;
  g_autofree char *note = NULL;
  gboolean ok = indexes != NULL;

  if (ok && indexes->len > 0)
    ok = sandbox_changes_discard (changes, (const guint *)(gpointer)indexes->data, indexes->len,
                                  cancellable, &local);
  if (g_cancellable_is_cancelled (cancellable))
    return;
  if (!ok)
    note = g_strdup_printf ("share \"%s\": what was discarded is there all the same: %s",
                            share->tag, local->message);
  else if (indexes->len > 0)
    note = g_strdup_printf ("share \"%s\": dropped %u change%s that %s discarded while it was off",
                            share->tag, indexes->len, indexes->len == 1 ? "" : "s",
                            indexes->len == 1 ? "was" : "were");
  if (note != NULL)
    _sandbox_report (&work->report, "follow", note, 0, 0);
  if (!_sandbox_dropped_remove (dir_fd, share->tag, NULL))
    g_debug ("share \"%s\": its list of what to drop stays", share->tag);
}

static void
add_word (GString *list, const char *word)
{
  g_string_append_len (list, word, (gssize)strlen (word) + 1);
}

static GString *
follow_list (const GPtrArray *files)
{
  GString *list = g_string_new (NULL);

  for (guint i = 0; i < files->len; i++)
    {
      const SandboxFollow *follow = files->pdata[i];
      g_autofree char *hash = _sandbox_hash_to_hex (follow->had.hash);
      g_autofree char *was =
          g_strconcat (follow->had.type == SANDBOX_NODE_FILE ? "f " : "l ", hash, NULL);
      g_autofree char *mode = g_strdup_printf ("%u", follow->had.mode & 0777);

      add_word (list, follow->had.type == SANDBOX_NODE_ABSENT ? "gone" : was);
      add_word (list, follow->had.type == SANDBOX_NODE_FILE ? mode : "");
      add_word (list, follow->path);
    }
  return list;
}

/* As the machine says: where it does not tell the truth, what it has is a change of its own. */
static gboolean
note_followed (const SandboxPlanShare *share, SandboxBase *base, int root_fd, int dir_fd,
               const GPtrArray *files, const char *said, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (said, "\n", -1);

  for (char **line = lines; *line != NULL; line++)
    {
      guint64 number = 0;

      if (g_ascii_string_to_unsigned (*line, 10, 1, files->len, &number, NULL)
          && !_sandbox_follow_note (base, root_fd, files->pdata[number - 1], error))
        return FALSE;
    }
  return _sandbox_base_save_applied (base, dir_fd, share->tag, error);
}

/* A process that has one of them open would lose its next write. */
static gboolean
is_held (const SandboxWork *work, const SandboxPlanShare *share, GCancellable *cancellable)
{
  g_autofree char *holders = _sandbox_guest_find_holders (work->ssh, share, cancellable, NULL);

  return holders == NULL || *holders != '\0';
}

/* What does not follow is told by status, as before. */
static void
follow (SandboxWork *work, const SandboxPlanShare *share, int dir_fd, GCancellable *cancellable)
{
  sandbox_autofd int root_fd = _sandbox_share_root_fd (share->source, NULL);
  g_autoptr (SandboxBase) base =
      root_fd < 0 ? NULL : _sandbox_base_open (root_fd, dir_fd, share->tag, NULL);
  g_autoptr (GPtrArray) files = base != NULL ? _sandbox_follow_list (base, root_fd) : NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *said = NULL;
  GString *list;

  if (files == NULL || files->len == 0 || is_held (work, share, cancellable))
    return;
  list = follow_list (files);
  said = _sandbox_guest_follow (work->ssh, share->tag, share->target, list, cancellable, &local);
  g_string_free (list, TRUE);
  if (said == NULL || !note_followed (share, base, root_fd, dir_fd, files, said, &local))
    g_debug ("share \"%s\": %s", share->tag, local->message);
}

gboolean
_sandbox_step_follow (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  sandbox_autofd int dir_fd = _sandbox_records_look (work->machine);

  for (guint i = 0; dir_fd >= 0 && i < work->plan->shares->len; i++)
    {
      const SandboxPlanShare *share = work->plan->shares->pdata[i];

      if (share->mode != SANDBOX_SHARE_REVIEW)
        continue;
      if (_sandbox_dropped_exists (dir_fd, share->tag))
        drop (work, share, dir_fd, cancellable);
      /* later something there may have begun to work in them */
      if (work->made.boot)
        follow (work, share, dir_fd, cancellable);
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
    }
  return TRUE;
}
