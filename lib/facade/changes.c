// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares for review: the record that a start takes, and the way back from a machine to this host.
#include "facade/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define RECORDS_DIR SANDBOX_RECORDS_DIR
#define OPEN_ROOT   (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

int
_sandbox_records_fd (SandboxMachine *machine, GError **error)
{
  sandbox_autofd int fd = _sandbox_machine_state_fd (machine, FALSE, error);

  return fd < 0 ? -1 : sandbox_dir_open_at (fd, RECORDS_DIR, TRUE, error);
}

int
_sandbox_share_root_fd (const char *source, GError **error)
{
  int fd = open (source, OPEN_ROOT);

  if (fd < 0)
    sandbox_fail_errno (error, errno, "opening the shared directory %s", source);
  return fd;
}

static gboolean
record_share (SandboxWork *work, const SandboxPlanShare *share, int dir_fd,
              GCancellable *cancellable, GError **error)
{
  sandbox_autofd int root_fd = -1;

  if (!_sandbox_share_note (dir_fd, share, error))
    return FALSE;
  /* the oldest record counts, as long as the machine has the same disk; for a fresh one it is made
   * anew, before there is one */
  if (work->pieces.disk && _sandbox_manifest_exists (dir_fd, share->tag))
    return TRUE;
  root_fd = _sandbox_share_root_fd (share->source, error);
  return root_fd >= 0 && _sandbox_manifest_take (root_fd, dir_fd, share->tag, cancellable, error);
}

/* The machine keeps its layer of a share that ended with its time: it must not turn up over another
 * directory. */
static gboolean
check_same_source (SandboxMachine *machine, const SandboxPlanShare *share, int dir_fd,
                   GError **error)
{
  g_autofree char *file = g_strconcat (share->tag, SANDBOX_SOURCE_SUFFIX, NULL);
  g_autofree char *source = NULL;

  if (!sandbox_file_read_at (dir_fd, file, SANDBOX_SHARE_PATH_MAX + 1, &source, NULL, NULL)
      || strcmp (source, share->source) == 0)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                       "the machine still has its changes of an earlier share \"%s\", of %s: add "
                       "that again to see to them, or `vms share remove %s %s --discard-changes`",
                       share->tag, source, machine->name, share->tag);
}

gboolean
_sandbox_record_share (SandboxMachine *machine, const SandboxPlanShare *share, gboolean *ret_made,
                       GCancellable *cancellable, GError **error)
{
  sandbox_autofd int dir_fd = _sandbox_records_fd (machine, error);
  sandbox_autofd int root_fd = -1;

  if (dir_fd < 0)
    return FALSE;
  if (_sandbox_manifest_exists (dir_fd, share->tag))
    return check_same_source (machine, share, dir_fd, error)
           && _sandbox_share_note (dir_fd, share, error);
  *ret_made = TRUE;
  if (!_sandbox_share_note (dir_fd, share, error))
    return FALSE;
  root_fd = _sandbox_share_root_fd (share->source, error);
  return root_fd >= 0 && _sandbox_manifest_take (root_fd, dir_fd, share->tag, cancellable, error);
}

gboolean
_sandbox_record_remove (SandboxMachine *machine, const char *tag, GError **error)
{
  sandbox_autofd int dir_fd = _sandbox_records_fd (machine, error);

  return dir_fd >= 0 && _sandbox_manifest_remove (dir_fd, tag, error)
         && _sandbox_share_forget (dir_fd, tag, error);
}

gboolean
_sandbox_record_exists (SandboxMachine *machine, const char *tag)
{
  sandbox_autofd int dir_fd = _sandbox_records_look (machine);

  return dir_fd >= 0 && _sandbox_manifest_exists (dir_fd, tag);
}

/* With the disk all layers have gone, those of the shares that it is not started with, too. */
static gboolean
forget_ended (SandboxWork *work, GError **error)
{
  g_autoptr (GPtrArray) shares = _sandbox_shares_for_review (work->plan->shares);

  _sandbox_shares_add_ended (work->machine, shares);
  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];

      if (_sandbox_share_is_ended (share)
          && !_sandbox_record_remove (work->machine, share->tag, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
_sandbox_step_record (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  sandbox_autofd int dir_fd = -1;

  if (_sandbox_pieces_running (&work->pieces))
    return TRUE;
  /* a disk that nobody has started has none; what one holds that was started, nobody knows */
  if (!_sandbox_unapplied_write (work->machine,
                                 work->boot || work->pieces.disk ? SANDBOX_UNAPPLIED_UNKNOWN
                                                                 : SANDBOX_UNAPPLIED_NONE,
                                 error)
      || (!work->pieces.disk && !forget_ended (work, error)))
    return FALSE;
  for (guint i = 0; i < work->plan->shares->len; i++)
    {
      const SandboxPlanShare *share = work->plan->shares->pdata[i];

      if (share->mode != SANDBOX_SHARE_REVIEW)
        continue;
      if (dir_fd < 0)
        dir_fd = _sandbox_records_fd (work->machine, error);
      if (dir_fd < 0 || !record_share (work, share, dir_fd, cancellable, error))
        return FALSE;
    }
  _sandbox_owners_look (work);
  return TRUE;
}

/* The copy of a machine begins with what the other one has in its layers. */
gboolean
_sandbox_records_clone (SandboxMachine *from, SandboxMachine *to, GError **error)
{
  sandbox_autofd int from_state = _sandbox_machine_state_fd (from, FALSE, NULL);
  sandbox_autofd int from_fd = -1;
  sandbox_autofd int to_fd = -1;
  g_auto (GStrv) names = NULL;

  if (from_state >= 0)
    from_fd = openat (from_state, RECORDS_DIR, OPEN_ROOT | O_NOFOLLOW);
  if (from_fd < 0)
    return TRUE;
  to_fd = _sandbox_records_fd (to, error);
  names = to_fd < 0 ? NULL : sandbox_dir_list (from_fd, error);
  for (guint i = 0; names && names[i]; i++)
    {
      g_autofree char *text = NULL;
      gsize length = 0;

      if (g_str_has_suffix (names[i], ".manifest"))
        {
          g_autofree char *tag = g_strndup (names[i], strlen (names[i]) - strlen (".manifest"));

          _sandbox_merge_copy (from_fd, to_fd, tag);
        }
      else if (!g_str_has_suffix (names[i], ".applied") && !_sandbox_share_is_note (names[i])
               && !_sandbox_dropped_is_record (names[i])
               && strcmp (names[i], SANDBOX_UNAPPLIED_FILE) != 0)
        continue;
      if (!sandbox_file_read_at (from_fd, names[i], SANDBOX_MANIFEST_FILE_MAX, &text, &length,
                                 error)
          || !sandbox_file_write_at (to_fd, names[i], text, length, 0600, error))
        return FALSE;
    }
  return names != NULL;
}

/* Its disk goes back behind what was applied and discarded: only what the disk began with is known
 * of it then. A record that is too old makes conflicts; one that is too new would let an apply take
 * back edits of the host's. */
gboolean
_sandbox_records_revert (SandboxMachine *machine, GError **error)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  sandbox_autofd int dir_fd = -1;
  g_auto (GStrv) names = NULL;

  if (state_fd >= 0)
    dir_fd = openat (state_fd, RECORDS_DIR, OPEN_ROOT | O_NOFOLLOW);
  if (dir_fd < 0)
    return TRUE;
  names = sandbox_dir_list (dir_fd, error);
  for (guint i = 0; names && names[i]; i++)
    if ((g_str_has_suffix (names[i], ".applied")
         || g_str_has_suffix (names[i], SANDBOX_SETTLED_SUFFIX)
         || _sandbox_dropped_is_record (names[i]) || strcmp (names[i], SANDBOX_UNAPPLIED_FILE) == 0)
        && !sandbox_remove_at (dir_fd, names[i], error))
      return FALSE;
  return names != NULL;
}

/* What it runs with, or would, and what its disk has of earlier ones. */
static GPtrArray *
review_shares (SandboxMachine *machine, GError **error)
{
  g_autoptr (GPtrArray) all = _sandbox_machine_shares (machine, error);
  GPtrArray *shares = all != NULL ? _sandbox_shares_for_review (all) : NULL;

  if (shares != NULL)
    _sandbox_shares_add_ended (machine, shares);
  return shares;
}

char **
sandbox_machine_list_reviews (SandboxMachine *machine, GError **error)
{
  g_autoptr (GPtrArray) shares = review_shares (machine, error);
  g_autoptr (GStrvBuilder) tags = g_strv_builder_new ();

  if (shares == NULL)
    return NULL;
  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];

      /* an earlier one whose directory is gone, too, is in nobody's way */
      if (!_sandbox_share_is_ended (share) || g_file_test (share->source, G_FILE_TEST_IS_DIR))
        g_strv_builder_add (tags, share->tag);
    }
  return g_strv_builder_end (tags);
}

/* @shares: those for review. */
static const SandboxPlanShare *
find_share (SandboxMachine *machine, const GPtrArray *shares, const char *tag, GError **error)
{
  const SandboxPlanShare *share = _sandbox_shares_find (shares, tag);
  g_autofree char *shown = sandbox_escape (tag, -1, 80);
  g_autoptr (GPtrArray) all = NULL;

  if (share != NULL)
    return share;
  all = _sandbox_machine_shares (machine, NULL);
  if (all != NULL && _sandbox_shares_find (all, tag) != NULL)
    sandbox_fail (error, SANDBOX_ERROR_INVALID,
                  "changes of %s: its share \"%s\" is not in mode review: what the machine writes "
                  "there is on this host already",
                  machine->name, shown);
  else
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND, "changes of %s: it has no share \"%s\"",
                  machine->name, shown);
  return NULL;
}

/* What is needed to discard. */
typedef struct
{
  SandboxMachine *machine;
  SandboxSsh *ssh; /* NULL: it does not run */
  char *tag, *target;
} Reading;

static void
reading_free (gpointer data)
{
  Reading *reading = data;

  g_clear_pointer (&reading->machine, sandbox_machine_unref);
  g_clear_pointer (&reading->ssh, _sandbox_ssh_free);
  g_free (reading->tag);
  g_free (reading->target);
  g_free (reading);
}

static gboolean
discard_now (const Reading *reading, SandboxChanges *changes, const gboolean *wanted,
             GCancellable *cancellable, GError **error)
{
  GString *list = _sandbox_discard_list (changes, wanted);
  gboolean ok = _sandbox_guest_discard (reading->ssh, reading->tag, reading->target, list,
                                        cancellable, error);

  g_string_free (list, TRUE);
  return ok && _sandbox_changes_forget (changes, wanted, cancellable, error);
}

static gboolean
fail_unread (const Reading *reading, const SandboxChange *first, GError **error)
{
  g_autofree char *shown = sandbox_escape (first->path, -1, 200);

  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "discarding changes of %s: \"%s\" stays, and so does all else that you may "
                       "not read on this host, as the machine would have to get it from there: "
                       "change its permissions; the rest of the share \"%s\" is discarded",
                       reading->machine->name, shown, reading->tag);
}

static gboolean
discard (SandboxChanges *changes, const guint *chosen, gsize n_chosen, gpointer user_data,
         GCancellable *cancellable, GError **error)
{
  Reading *reading = user_data;
  g_autofree gboolean *wanted = g_new0 (gboolean, changes->rows->len + 1);
  const SandboxChange *unread;
  gboolean ok;

  if (*reading->target == '\0')
    return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                         "discarding changes of %s: it has no share \"%s\" any more; `vms share "
                         "remove %s %s --discard-changes` drops all that it changed there",
                         changes->machine, reading->tag, changes->machine, reading->tag);
  for (gsize i = 0; i < (chosen ? n_chosen : changes->rows->len); i++)
    wanted[chosen ? chosen[i] : i] = TRUE;
  unread = _sandbox_discard_leave_unread (changes, wanted);
  _sandbox_discard_keep (changes, wanted);
  ok = reading->ssh == NULL
           ? _sandbox_discard_later (reading->machine, changes, wanted, cancellable, error)
           : discard_now (reading, changes, wanted, cancellable, error);
  return ok && (unread == NULL || fail_unread (reading, unread, error));
}

/* A list of one share in the profile as it is now; "" where it has none. */
static const char *
own_list (SandboxProfile *profile, const char *tag, const char *key)
{
  g_autofree char *group = g_strconcat ("share:", tag, NULL);
  const char *value = profile != NULL ? sandbox_profile_get (profile, group, key) : NULL;

  return value != NULL ? value : "";
}

static void
add_list (GString *text, const char *key, const char *list)
{
  if (*list != '\0')
    g_string_append_printf (text, "%s %s\n", key, list);
}

/* What the machine was started with counts, and what its profile has by now, too: a name that was
 * added holds at once, one that was taken out until the next start. */
char *
_sandbox_share_classes (SandboxMachine *machine, const SandboxPlanShare *share,
                        GCancellable *cancellable)
{
  g_autoptr (SandboxProfile) profile = _sandbox_machine_load_profile (machine, NULL);
  g_autofree char *settings = _sandbox_settings_of_user (cancellable);
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_append_printf (text, "root %s\nhome %s\n", share->source, machine->host->home);
  add_list (text, "guard", share->guard);
  add_list (text, "guard", own_list (profile, share->tag, "guard"));
  add_list (text, "flag", share->flag);
  add_list (text, "flag", own_list (profile, share->tag, "flag"));
  g_string_append (text, settings);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* @fetched is taken. */
static SandboxChanges *
compare (SandboxMachine *machine, const SandboxPlanShare *share, SandboxSsh *ssh, int dir_fd,
         SandboxFetched *fetched, GCancellable *cancellable, GError **error)
{
  sandbox_autofd int root_fd = _sandbox_share_root_fd (share->source, error);
  g_autofree char *classes = NULL;
  SandboxChanges *changes;
  Reading *reading;

  if (root_fd < 0)
    return NULL;
  classes = _sandbox_share_classes (machine, share, cancellable);
  changes =
      _sandbox_changes_new (machine->name, share->tag, g_steal_pointer (&fetched->upper),
                            _sandbox_classes_parse (classes), root_fd, dir_fd, cancellable, error);
  if (changes == NULL)
    return NULL;
  changes->fingerprint = g_steal_pointer (&fetched->fingerprint);
  _sandbox_changes_settle (changes);
  reading = g_new0 (Reading, 1);
  reading->machine = sandbox_machine_ref (machine);
  reading->ssh = ssh != NULL ? _sandbox_machine_ssh (machine, NULL) : NULL;
  reading->tag = g_strdup (share->tag);
  reading->target = g_strdup (share->target);
  changes->discard = discard;
  changes->user_data = reading;
  changes->free_user_data = reading_free;
  return changes;
}

/* All zeros: the end of an archive. */
static gboolean
read_nothing (gpointer data, gsize length, gpointer user_data, GError **error)
{
  memset (data, 0, length);
  return TRUE;
}

/* A disk that went back to an older state has no layer of a share that came after that. */
static gboolean
fetch (const SandboxSource *source, const SandboxPlanShare *share, int dir_fd,
       SandboxFetched *fetched, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (_sandbox_changes_fetch (source, share->tag, dir_fd, -1, fetched, cancellable, &local))
    return TRUE;
  if (!_sandbox_share_is_ended (share)
      || !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  _sandbox_fetched_clear (fetched);
  fetched->upper = _sandbox_upper_read (read_nothing, NULL, dir_fd, error);
  return fetched->upper != NULL;
}

/* From where @source says, share by share. */
static GPtrArray *
read_shares (SandboxMachine *machine, const SandboxSource *source, const GPtrArray *shares,
             const SandboxReport *report, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) sets =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_changes_unref);
  sandbox_autofd int dir_fd = _sandbox_records_fd (machine, error);

  for (guint i = 0; dir_fd >= 0 && i < shares->len; i++)
    {
      const SandboxPlanShare *share = shares->pdata[i];
      g_auto (SandboxFetched) fetched = { NULL };
      SandboxChanges *changes;

      _sandbox_report (report, "read", "reading what changed", 0, 0);
      if (!fetch (source, share, dir_fd, &fetched, cancellable, error))
        return NULL;
      _sandbox_report (report, "compare", "comparing it with this host", 0, 0);
      changes = compare (machine, share, source->own, dir_fd, &fetched, cancellable, error);
      if (changes == NULL)
        return NULL;
      g_ptr_array_add (sets, changes);
    }
  return dir_fd < 0 ? NULL : g_steal_pointer (&sets);
}

/* Those of @all that @tags name. */
static GPtrArray *
find_shares (SandboxMachine *machine, const GPtrArray *all, const char *const *tags, GError **error)
{
  g_autoptr (GPtrArray) shares = g_ptr_array_new ();

  for (const char *const *tag = tags; *tag != NULL; tag++)
    {
      const SandboxPlanShare *share = find_share (machine, all, *tag, error);

      if (share == NULL)
        return NULL;
      g_ptr_array_add (shares, (gpointer)share);
    }
  return g_steal_pointer (&shares);
}

static GPtrArray *
read_all (SandboxMachine *machine, const char *const *tags, gboolean locked,
          const SandboxReport *report, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) all = review_shares (machine, error);
  g_autoptr (GPtrArray) shares = all ? find_shares (machine, all, tags, error) : NULL;
  g_auto (SandboxSource) source = { NULL };

  if (shares == NULL
      || !_sandbox_source_open (&source, machine, locked, report, cancellable, error))
    return NULL;
  return read_shares (machine, &source, shares, report, cancellable, error);
}

GPtrArray *
sandbox_machine_read_all_changes (SandboxMachine *machine, const char *const *tags,
                                  SandboxProgressFunc progress, gpointer user_data,
                                  GCancellable *cancellable, GError **error)
{
  SandboxReport report = { progress, user_data, machine->name };

  return read_all (machine, tags, FALSE, &report, cancellable, error);
}

SandboxChanges *
_sandbox_machine_read_locked (SandboxMachine *machine, const char *tag, GCancellable *cancellable,
                              GError **error)
{
  SandboxReport report = { NULL, NULL, machine->name };
  const char *tags[] = { tag, NULL };
  g_autoptr (GPtrArray) sets = read_all (machine, tags, TRUE, &report, cancellable, error);

  return sets != NULL ? sandbox_changes_ref (sets->pdata[0]) : NULL;
}

SandboxChanges *
sandbox_machine_read_changes (SandboxMachine *machine, const char *share_tag,
                              SandboxProgressFunc progress, gpointer user_data,
                              GCancellable *cancellable, GError **error)
{
  const char *tags[] = { share_tag, NULL };
  g_autoptr (GPtrArray) sets =
      sandbox_machine_read_all_changes (machine, tags, progress, user_data, cancellable, error);

  return sets != NULL ? sandbox_changes_ref (sets->pdata[0]) : NULL;
}

/* With the machine's lock: a stop that asked before, and notes its answer after, would still call
 * all of it applied. */
static gboolean
undo_locked (SandboxMachine *machine, const char *tag, int root_fd, int dir_fd, guint *ret_undone,
             guint *ret_left, GCancellable *cancellable, GError **error)
{
  SandboxReport report = { NULL, NULL, machine->name };
  SandboxLock *lock = _sandbox_machine_lock (machine, "undo", machine->host->lock_wait_usec,
                                             &report, cancellable, error);
  gboolean ok;

  if (lock == NULL)
    return FALSE;
  /* what is put back are changes again, of which what a stop has noted knows nothing */
  ok = _sandbox_unapplied_write (machine, SANDBOX_UNAPPLIED_UNKNOWN, error)
       && _sandbox_changes_undo (root_fd, dir_fd, tag, ret_undone, ret_left, cancellable, error);
  _sandbox_machine_unlock (machine, lock);
  return ok;
}

gboolean
sandbox_machine_undo_apply (SandboxMachine *machine, const char *share_tag, guint *ret_undone,
                            guint *ret_left, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) shares = review_shares (machine, error);
  const SandboxPlanShare *share = shares ? find_share (machine, shares, share_tag, error) : NULL;
  sandbox_autofd int root_fd = share ? _sandbox_share_root_fd (share->source, error) : -1;
  sandbox_autofd int dir_fd = root_fd < 0 ? -1 : _sandbox_records_fd (machine, error);

  return dir_fd >= 0
         && undo_locked (machine, share_tag, root_fd, dir_fd, ret_undone, ret_left, cancellable,
                         error);
}
