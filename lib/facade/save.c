// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine changed and nobody brought back, kept before the machine, or its disk, goes: the
// archive as it came, and this host's own records, so that it can be shown and applied as before.
#include "facade/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ASK_USEC     (60 * G_USEC_PER_SEC)
#define SOURCE_MAX   4096
#define LEFT_OUT_MAX (1024 * 1024)
#define CLASSES_MAX  (1024 * 1024)
#define OPEN_DIR     (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

/* The machine was writing there. */
#define UNSETTLED_SUFFIX ".unsettled"

static const char *const record_suffixes[] = { ".manifest", ".applied" };

typedef struct
{
  SandboxMachine *machine;
  const SandboxReport *report;
  GCancellable *cancellable;
  SandboxSource source;
  int records_fd, dir_fd; /* of the machine; of what is being saved */
  guint n_saved;
} Save;

static gboolean
write_file (const Save *save, const char *tag, const char *suffix, const char *text, gsize length,
            GError **error)
{
  g_autofree char *name = g_strconcat (tag, suffix, NULL);

  return sandbox_file_write_at (save->dir_fd, name, text, length, 0600, error);
}

static gboolean
copy_record (const Save *save, const char *tag, const char *suffix, GError **error)
{
  g_autofree char *name = g_strconcat (tag, suffix, NULL), *text = NULL;
  g_autoptr (GError) local = NULL;
  gsize length = 0;

  if (sandbox_file_read_at (save->records_fd, name, SANDBOX_MANIFEST_FILE_MAX, &text, &length,
                            &local))
    return write_file (save, tag, suffix, text, length, error);
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* Whether there is something in it that this host does not have. When that cannot be told, there
 * is. Takes the layer. */
static gboolean
is_worth_it (const Save *save, const SandboxPlanShare *share, SandboxFetched *fetched)
{
  gboolean many = fetched->upper->entries->len > 1;
  sandbox_autofd int root_fd = _sandbox_share_root_fd (share->source, NULL);
  g_autoptr (SandboxChanges) changes = NULL;

  if (root_fd < 0)
    return many;
  changes =
      _sandbox_changes_new (save->machine->name, share->tag, g_steal_pointer (&fetched->upper),
                            NULL, root_fd, save->records_fd, save->cancellable, NULL);
  if (changes == NULL)
    return TRUE;
  save->machine->saved_git += changes->n_git;
  return changes->rows->len > 0 || changes->n_git > 0;
}

static gboolean
remove_share (const Save *save, const char *tag, GError **error)
{
  g_autofree char *tar = g_strconcat (tag, ".tar", NULL);

  return sandbox_remove_at (save->dir_fd, tar, error);
}

/* A saved set that lacks files is none: they would go with the disk. Sockets and the like hold
 * nothing. */
static gboolean
check_whole (const SandboxPlanShare *share, const SandboxFetched *fetched, GError **error)
{
  g_autofree char *names = _sandbox_fetched_too_large (fetched);

  return names == NULL
         || sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                          "in its share \"%s\" are files of more than 4 GiB, which are not saved: "
                          "%s; copy out what you need of them (`vms cp`) and remove them there",
                          share->tag, names);
}

static gboolean
save_share (Save *save, const SandboxPlanShare *share, GError **error)
{
  g_autofree char *tar = g_strconcat (share->tag, ".tar", NULL);
  sandbox_autofd int fd =
      openat (save->dir_fd, tar, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  g_auto (SandboxFetched) fetched = { NULL };
  g_autofree char *classes = NULL;
  g_autoptr (GError) local = NULL;
  gboolean unsettled;

  if (fd < 0)
    return sandbox_fail_errno (error, errno, "making %s", tar);
  if (!_sandbox_changes_fetch (&save->source, share->tag, save->dir_fd, fd, &fetched,
                               save->cancellable, &local))
    {
      if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        return remove_share (save, share->tag, error);
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!check_whole (share, &fetched, error))
    return FALSE;
  unsettled = fetched.upper->unsettled;
  if (!is_worth_it (save, share, &fetched))
    return remove_share (save, share->tag, error);
  if (fsync (fd) < 0)
    return sandbox_fail_errno (error, errno, "writing %s", tar);
  for (guint i = 0; i < G_N_ELEMENTS (record_suffixes); i++)
    if (!copy_record (save, share->tag, record_suffixes[i], error))
      return FALSE;
  _sandbox_merge_copy (save->records_fd, save->dir_fd, share->tag);
  save->n_saved++;
  save->machine->saved_unsettled |= unsettled;
  classes = _sandbox_share_classes (save->machine, share, save->cancellable);
  return write_file (save, share->tag, ".left-out", fetched.left_out, strlen (fetched.left_out),
                     error)
         && (!unsettled || write_file (save, share->tag, UNSETTLED_SUFFIX, "", 0, error))
         && write_file (save, share->tag, ".classes", classes, strlen (classes), error)
         && write_file (save, share->tag, ".source", share->source, strlen (share->source), error);
}

static int
open_saved (SandboxHost *host, gboolean create, GError **error)
{
  sandbox_autofd int state_fd = _sandbox_host_state_fd (host, create, error);

  return state_fd < 0 ? -1 : sandbox_dir_open_at (state_fd, SANDBOX_SAVED_DIR, create, error);
}

static char *
saved_name (const char *machine)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format (now, "%Y%m%dT%H%M%S");

  return g_strconcat (machine, "-", time, NULL);
}

/* Under a name that is no saved one until all is there. What a killed one left goes first. */
static gboolean
save_all (Save *save, const GPtrArray *shares, char **ret_path, GError **error)
{
  SandboxHost *host = save->machine->host;
  g_autofree char *making = g_strconcat (".", save->machine->name, NULL);
  g_autofree char *name = saved_name (save->machine->name);
  sandbox_autofd int saved_fd = open_saved (host, TRUE, error);

  if (saved_fd < 0 || !sandbox_remove_at (saved_fd, making, error))
    return FALSE;
  save->dir_fd = sandbox_dir_open_at (saved_fd, making, TRUE, error);
  for (guint i = 0; save->dir_fd >= 0 && i < shares->len; i++)
    if (!save_share (save, shares->pdata[i], error))
      {
        sandbox_remove_at (saved_fd, making, NULL);
        return FALSE;
      }
  if (save->dir_fd < 0)
    return FALSE;
  if (save->n_saved == 0)
    return sandbox_remove_at (saved_fd, making, error);
  if (fsync (save->dir_fd) < 0 || renameat (saved_fd, making, saved_fd, name) < 0
      || fsync (saved_fd) < 0)
    return sandbox_fail_errno (error, errno, "saving changes as %s", name);
  *ret_path = g_build_filename (host->state_dir, SANDBOX_SAVED_DIR, name, NULL);
  return TRUE;
}

/* Reads all that @machine, whose lock is held, has. *@ret_path NULL: nothing was to be saved. */
static gboolean
save_changes (SandboxWork *work, const GPtrArray *shares, char **ret_path,
              GCancellable *cancellable, GError **error)
{
  Save save = { .machine = work->machine,
                .report = &work->report,
                .cancellable = cancellable,
                .records_fd = -1,
                .dir_fd = -1 };
  g_autofree char *path = NULL;
  gboolean ok;

  save.records_fd = _sandbox_records_fd (work->machine, error);
  ok = save.records_fd >= 0
       && _sandbox_source_open (&save.source, work->machine, TRUE, &work->report, cancellable,
                                error);
  if (ok)
    _sandbox_report (&work->report, "changes", "saving what was not applied", 0, 0);
  work->machine->saved_git = 0;
  work->machine->saved_unsettled = FALSE;
  ok = ok && save_all (&save, shares, &path, error);
  _sandbox_source_clear (&save.source);
  sandbox_close_fd (&save.records_fd);
  sandbox_close_fd (&save.dir_fd);
  if (ok)
    *ret_path = g_steal_pointer (&path);
  return ok;
}

/* Without looking closer. */
static SandboxUnapplied
look (SandboxWork *work, const GPtrArray *shares, GCancellable *cancellable)
{
  if (shares->len == 0 || !work->pieces.disk || !_sandbox_machine_was_started (work->machine))
    return SANDBOX_UNAPPLIED_NOTHING;
  return _sandbox_pieces_running (&work->pieces)
             ? _sandbox_unapplied_ask (work->machine, shares, ASK_USEC, cancellable)
             : _sandbox_unapplied_read (work->machine);
}

static gboolean
fail_unsaved (SandboxWork *work, const char *verb, const GError *why, GError **error)
{
  const char *name = work->machine->name;
  /* its disk has what did not come from the guest, but not what is not sent at all */
  gboolean stop = _sandbox_pieces_running (&work->pieces) && why->code != SANDBOX_ERROR_UNSUPPORTED;

  g_set_error (error, why->domain, why->code,
               "%s %s: it may hold changes that were not applied, and they could not be saved: "
               "%s\n%s%s%s--discard-changes goes on without them",
               verb, name, why->message, stop ? "`vms stop --force " : "", stop ? name : "",
               stop ? "` and trying again reads them from its disk; " : "");
  return FALSE;
}

static gboolean
save_under_lock (SandboxWork *work, const char *verb, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) shares = _sandbox_unapplied_shares (work);
  g_autoptr (GError) local = NULL;
  g_autofree char *path = NULL, *note = NULL;
  gboolean running = _sandbox_pieces_running (&work->pieces), saved;
  SandboxUnapplied known = look (work, shares, cancellable);

  if (known != SANDBOX_UNAPPLIED_SOME && known != SANDBOX_UNAPPLIED_UNKNOWN)
    return TRUE;
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  /* one that does not answer a short question would not send all it has either */
  saved = running && known == SANDBOX_UNAPPLIED_UNKNOWN
              ? sandbox_fail (&local, SANDBOX_ERROR_GUEST, "its guest does not answer")
              : save_changes (work, shares, &path, cancellable, &local);
  if (!saved)
    {
      if (local->domain == SANDBOX_ERROR)
        return fail_unsaved (work, verb, local, error);
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  /* a second try of the same verb has nothing to do here */
  if (!running
      && !_sandbox_unapplied_write (work->machine,
                                    path ? SANDBOX_UNAPPLIED_SAVED : SANDBOX_UNAPPLIED_NONE, error))
    return FALSE;
  if (path == NULL)
    return TRUE;
  note = g_strdup_printf ("saved in %s", path);
  _sandbox_report (&work->report, "changes", note, 0, 0);
  g_free (work->machine->saved);
  work->machine->saved = g_steal_pointer (&path);
  return TRUE;
}

gboolean
_sandbox_step_save_changes (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;

  return work->keep_changes == NULL || work->machine->forgo_changes
         || save_under_lock (work, work->keep_changes, cancellable, error);
}

gboolean
sandbox_machine_save_changes (SandboxMachine *machine, SandboxProgressFunc progress,
                              gpointer user_data, GCancellable *cancellable, GError **error)
{
  g_auto (SandboxWork) work = { 0 };

  _sandbox_work_init (&work, machine, progress, user_data);
  return _sandbox_work_begin (&work, "save", cancellable, error)
         && save_under_lock (&work, "save", cancellable, error);
}

void
sandbox_machine_forgo_changes (SandboxMachine *machine)
{
  machine->forgo_changes = TRUE;
}

const char *
sandbox_machine_get_saved_changes (SandboxMachine *machine)
{
  return machine->saved;
}

guint
sandbox_machine_get_saved_git (SandboxMachine *machine)
{
  return machine->saved_git;
}

gboolean
sandbox_machine_get_saved_unsettled (SandboxMachine *machine)
{
  return machine->saved_unsettled;
}

/* --- what is saved */

/* @saved: a name, or the path that was told. Other places are not read: what lies there may be a
 * guest's, and says where to write. */
static int
open_one (SandboxHost *host, const char *saved, GError **error)
{
  g_autofree char *place = g_build_filename (host->state_dir, SANDBOX_SAVED_DIR, NULL);
  g_autofree char *path = g_canonicalize_filename (saved, place);
  g_autofree char *dir = g_path_get_dirname (path), *name = g_path_get_basename (path);
  g_autofree char *shown = sandbox_escape (saved, -1, 200);
  sandbox_autofd int place_fd = -1;
  int fd;

  if (strcmp (dir, place) != 0 || name[0] == '.')
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID,
                    "reading saved changes: %s is not in %s, where they are saved", shown, place);
      return -1;
    }
  place_fd = open_saved (host, FALSE, NULL);
  fd = place_fd < 0 ? -1 : openat (place_fd, name, OPEN_DIR);
  if (fd < 0)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "reading saved changes: there are none at %s; `ls %s` lists what there is", path,
                  place);
  return fd;
}

char **
sandbox_host_list_saved_shares (SandboxHost *host, const char *saved, GError **error)
{
  sandbox_autofd int fd = open_one (host, saved, error);
  g_auto (GStrv) names = fd < 0 ? NULL : sandbox_dir_list (fd, error);
  g_autoptr (GStrvBuilder) tags = g_strv_builder_new ();

  if (names == NULL)
    return NULL;
  for (char **name = names; *name != NULL; name++)
    if (g_str_has_suffix (*name, ".source"))
      {
        g_autofree char *tag = g_strndup (*name, strlen (*name) - strlen (".source"));

        g_strv_builder_add (tags, tag);
      }
  return g_strv_builder_end (tags);
}

static gboolean
read_file (gpointer data, gsize length, gpointer user_data, GError **error)
{
  char *to = data;

  while (length > 0)
    {
      gssize n = read (*(int *)user_data, to, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return sandbox_fail (error, SANDBOX_ERROR_FAILED, "reading saved changes: cut short");
      to += n;
      length -= (gsize)n;
    }
  return TRUE;
}

static char *
read_text (int dir_fd, const char *share, const char *suffix, gsize max, GError **error)
{
  g_autofree char *name = g_strconcat (share, suffix, NULL);
  char *text = NULL;
  gsize length = 0;

  return sandbox_file_read_at (dir_fd, name, max, &text, &length, error) ? text : NULL;
}

static gboolean
read_classes (int dir_fd, const char *share, SandboxClasses **ret_classes, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = read_text (dir_fd, share, ".classes", CLASSES_MAX, &local);

  /* an earlier version saved none */
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return TRUE;
  *ret_classes = text != NULL ? _sandbox_classes_parse (text) : NULL;
  return *ret_classes != NULL
         || sandbox_fail (error, SANDBOX_ERROR_INVALID,
                          "reading saved changes: %s.classes is damaged, or of a later version",
                          share);
}

SandboxChanges *
sandbox_host_read_saved_changes (SandboxHost *host, const char *saved, const char *share,
                                 GCancellable *cancellable, GError **error)
{
  sandbox_autofd int dir_fd = open_one (host, saved, error);
  g_autofree char *name = g_path_get_basename (saved), *tar = g_strconcat (share, ".tar", NULL);
  g_autofree char *unsettled = g_strconcat (share, UNSETTLED_SUFFIX, NULL);
  g_autofree char *source =
      dir_fd < 0 ? NULL : read_text (dir_fd, share, ".source", SOURCE_MAX, error);
  sandbox_autofd int root_fd = source == NULL ? -1 : _sandbox_share_root_fd (source, error);
  sandbox_autofd int fd = -1;
  g_auto (SandboxFetched) fetched = { NULL };
  g_autoptr (SandboxClasses) classes = NULL;

  if (root_fd < 0)
    return NULL;
  fd = openat (dir_fd, tar, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    {
      sandbox_fail_errno (error, errno, "opening saved changes: %s", tar);
      return NULL;
    }
  fetched.upper = _sandbox_upper_read (read_file, &fd, dir_fd, error);
  fetched.left_out = fetched.upper == NULL
                         ? NULL
                         : read_text (dir_fd, share, ".left-out", LEFT_OUT_MAX + 1, error);
  if (fetched.left_out == NULL || !_sandbox_fetched_add_left_out (&fetched, error))
    return NULL;
  fetched.upper->unsettled |= faccessat (dir_fd, unsettled, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  return read_classes (dir_fd, share, &classes, error)
             ? _sandbox_changes_new (name, share, g_steal_pointer (&fetched.upper),
                                     g_steal_pointer (&classes), root_fd, dir_fd, cancellable,
                                     error)
             : NULL;
}

gboolean
sandbox_host_undo_saved_apply (SandboxHost *host, const char *saved, const char *share,
                               guint *ret_undone, guint *ret_left, GCancellable *cancellable,
                               GError **error)
{
  sandbox_autofd int dir_fd = open_one (host, saved, error);
  g_autofree char *source =
      dir_fd < 0 ? NULL : read_text (dir_fd, share, ".source", SOURCE_MAX, error);
  sandbox_autofd int root_fd = source == NULL ? -1 : _sandbox_share_root_fd (source, error);

  return root_fd >= 0
         && _sandbox_changes_undo (root_fd, dir_fd, share, ret_undone, ret_left, cancellable,
                                   error);
}
