// SPDX-License-Identifier: LGPL-2.1-or-later
// Import: a machine of a file, which an enemy may have made. It is read and checked whole before
// anything is made; what is read again later must be what was checked (base/pinned.h). Disk, kernel
// and initrd become an image of their own, which no other machine is made from, and the machine a
// layer on it with a new identity, as a clone is.
#include "facade/export.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const char *const suffixes[SANDBOX_N_MEMBERS] = {
  [SANDBOX_MEMBER_CMDLINE] = ".cmdline",
  [SANDBOX_MEMBER_KERNEL] = ".vmlinuz",
  [SANDBOX_MEMBER_INITRD] = ".initrd",
  [SANDBOX_MEMBER_DISK] = ".qcow2",
};

/* --- the file */

static void
on_read (guint64 done, guint64 total, gpointer user_data)
{
  _sandbox_report (user_data, "read", "reading the file", done, total);
}

static gboolean
read_snapshots (SandboxImport *import, GError **error)
{
  if (import->archive.layers == NULL)
    return TRUE;
  import->snapshots = _sandbox_import_snapshots (&import->archive, error);
  return import->snapshots != NULL;
}

/* A FIFO must not make it wait, nor a terminal become its own. */
static gboolean
read_file (SandboxImport *import, const char *path, guint64 max_disk_bytes,
           const SandboxReport *report, GCancellable *cancellable, GError **error)
{
  int fd = open (path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  g_autofree char *shown = sandbox_escape (path, -1, 300);

  if (fd < 0)
    return sandbox_fail_errno (error, errno, "import %s", shown);
  import->pinned =
      sandbox_pinned_new (fd, SANDBOX_ARCHIVE_MAX, on_read, (gpointer)report, cancellable, error);
  if (import->pinned != NULL)
    _sandbox_report (report, "check", "checking what is in it", 0, 0);
  if (import->pinned != NULL
      && _sandbox_archive_read (&import->archive, import->pinned, max_disk_bytes, cancellable,
                                error)
      && read_snapshots (import, error))
    return TRUE;
  g_prefix_error (error, "import %s: ", shown);
  return FALSE;
}

/* --- the image */

static void
make_id (SandboxImport *import)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format (now, "%Y%m%dT%H%M%S");
  g_autofree char *unique =
      g_strdup_printf ("%s %s %08x%08x", import->archive.disk_sha256, import->work->machine->object,
                       g_random_int (), g_random_int ());
  g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, unique, -1);

  import->id = g_strdup_printf (SANDBOX_IMPORTED_IMAGE "-%s-%.12s", time, sum);
}

static char *
volume_name (const SandboxImport *import, const char *suffix)
{
  return g_strconcat ("image.", import->id, suffix, NULL);
}

static gboolean
on_data (guint64 offset, void *data, gsize length, gpointer user_data, GError **error)
{
  SandboxImport *import = user_data;
  const SandboxArchive *archive = &import->archive;

  if (import->member == SANDBOX_MEMBER_DISK)
    _sandbox_report (&import->work->report, "image", "copying its disk", offset,
                     archive->bytes[SANDBOX_MEMBER_DISK]);
  return sandbox_pinned_read (import->pinned, archive->offset[import->member] + offset, data,
                              length, error);
}

static gboolean
send_member (SandboxWork *work, SandboxMember member, GCancellable *cancellable, GError **error)
{
  SandboxImport *import = work->import;
  guint64 bytes = import->archive.bytes[member];
  g_autofree char *name = volume_name (import, suffixes[member]);
  /* a machine's disk, of which this user alone had the file */
  g_autofree char *xml = member == SANDBOX_MEMBER_DISK
                             ? _sandbox_xml_image_volume (name, import->archive.disk_bytes, 0400)
                             : _sandbox_xml_raw_volume (name, bytes, 0644);

  import->member = member;
  return _sandbox_virt_volume_create (work->host->virt, xml, NULL, error)
         && _sandbox_virt_volume_send (work->host->virt, name, bytes, on_data, import, cancellable,
                                       error);
}

static guint64
count_disks (const SandboxArchive *archive)
{
  guint64 bytes = archive->bytes[SANDBOX_MEMBER_DISK];

  for (guint i = 0; archive->layers != NULL && i < archive->layers->len; i++)
    bytes += g_array_index (archive->layers, SandboxArchiveLayer, i).bytes;
  return bytes;
}

static gboolean
check_room (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const SandboxArchive *archive = &work->import->archive;
  g_autofree char *doing = g_strconcat ("import to ", work->machine->name, NULL);

  return _sandbox_virt_pool_ensure (work->host->virt, error)
         && _sandbox_host_check_room (work->host, doing,
                                      count_disks (archive) + archive->bytes[SANDBOX_MEMBER_KERNEL]
                                          + archive->bytes[SANDBOX_MEMBER_INITRD],
                                      error);
}

/* Until the journal goes, whoever finds it removes the volumes. */
static gboolean
make_image (gpointer data, GCancellable *cancellable, GError **error)
{
  static const SandboxMember order[] = { SANDBOX_MEMBER_DISK, SANDBOX_MEMBER_KERNEL,
                                         SANDBOX_MEMBER_INITRD, SANDBOX_MEMBER_CMDLINE };
  SandboxWork *work = data;
  SandboxImport *import = work->import;

  import->build_fd = _sandbox_image_build_fd (work->host, TRUE, error);
  if (import->build_fd < 0)
    return FALSE;
  import->lock =
      _sandbox_image_lock (work->host, import->build_fd, &work->report, cancellable, error);
  if (import->lock == NULL)
    return FALSE;
  import->journal = _sandbox_image_journal (import->build_fd, "import", import->id, error);
  if (import->journal == NULL)
    return FALSE;
  import->made_image = TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (order); i++)
    if (!send_member (work, order[i], cancellable, error))
      return FALSE;
  work->image = _sandbox_image_ref (work->host, import->id, error);
  return work->image != NULL;
}

static void
end_journal (SandboxImport *import)
{
  if (import->journal != NULL)
    sandbox_remove_at (import->build_fd, import->journal, NULL);
  g_clear_pointer (&import->journal, g_free);
  g_clear_pointer (&import->lock, sandbox_lock_release);
}

static void
undo_image (gpointer data)
{
  SandboxWork *work = data;
  SandboxImport *import = work->import;

  if (import->made_image && _sandbox_image_remove_volumes (work->host, import->id, NULL))
    end_journal (import);
}

/* After the machine's disk: an image on which nothing stands may be pruned at any time. */
static gboolean
write_manifest (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxImport *import = work->import;
  const SandboxArchiveNote *note = &import->archive.note;
  g_autofree char *name = volume_name (import, ".json");
  g_autofree char *image = g_strescape (note->image, NULL);
  g_autofree char *version = g_strescape (note->version, NULL);
  g_autofree char *created = g_strescape (note->created, NULL);
  g_autofree char *text = g_strdup_printf (
      "{\n  \"format\": 1,\n  \"id\": \"%s\",\n  \"uid\": %u,\n  \"machine\": \"%s\",\n  "
      "\"exported\": \"%s\",\n  \"image\": \"%s\",\n  \"version\": \"%s\",\n  \"sha256\": "
      "\"%s\"\n}\n",
      import->id, work->host->uid, note->name, created, image, version,
      import->archive.disk_sha256);
  g_autofree char *xml = _sandbox_xml_raw_volume (name, strlen (text), 0644);

  if (!_sandbox_virt_volume_create (work->host->virt, xml, NULL, error)
      || !_sandbox_virt_volume_upload (work->host->virt, name, text, strlen (text), error))
    return FALSE;
  end_journal (import);
  return TRUE;
}

/* --- the machine */

static gboolean
make_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  const SandboxImport *import = work->import;
  g_autofree char *xml = NULL;

  /* what it stands on is not, and there is no passphrase: a profile that wants it is told at start
   */
  work->plan->encrypted = FALSE;
  /* one that is frozen from the beginning has the size that it had */
  if (import->snapshots != NULL)
    work->plan->disk_bytes = import->archive.disk_bytes;
  xml = _sandbox_xml_disk_volume (work->plan);
  return _sandbox_virt_volume_create (work->host->virt, xml, &work->made.disk, error)
         && (import->snapshots != NULL ? _sandbox_import_save_names (work, error)
                                       : _sandbox_work_forget_snapshots (work, error));
}

/* A name without its layer says nothing; but on the test driver there is a place for keys only
 * because of the names. */
static void
undo_disk (gpointer data)
{
  _sandbox_undo_disk (data);
  _sandbox_undo_keys (data);
}

static const SandboxRow import_rows[] = {
  { { "room", "looking for room", check_room, NULL }, SANDBOX_ROW_ALWAYS },
  { { "image", "copying what it stands on", make_image, undo_image }, SANDBOX_ROW_REAL },
  { { "plan", "making the plan", _sandbox_step_plan, NULL }, SANDBOX_ROW_ALWAYS },
  { { "keys", "making keys", _sandbox_step_new_keys, _sandbox_undo_keys }, SANDBOX_ROW_REAL },
  { { "network", "making the network", _sandbox_step_network, _sandbox_undo_network },
    SANDBOX_ROW_ALWAYS },
  { { "disk", "making its disk", make_disk, undo_disk }, SANDBOX_ROW_ALWAYS },
  { { "manifest", "completing what it stands on", write_manifest, NULL }, SANDBOX_ROW_REAL },
  { { "layers", "copying its snapshots", _sandbox_import_make_layers, _sandbox_import_undo_layers },
    SANDBOX_ROW_ALWAYS },
  { { "domain", "defining the machine", _sandbox_step_domain, _sandbox_undo_domain },
    SANDBOX_ROW_ALWAYS },
  { { "idle", "taking the network down", _sandbox_step_stop_network, NULL }, SANDBOX_ROW_ALWAYS },
  { { "save", "saving the profile", _sandbox_step_new_profile, _sandbox_undo_profile },
    SANDBOX_ROW_ALWAYS },
};
const SandboxVerb _sandbox_verb_import = { "import", import_rows, G_N_ELEMENTS (import_rows) };

static void
import_clear (SandboxImport *import)
{
  g_clear_pointer (&import->pinned, sandbox_pinned_free);
  _sandbox_archive_clear (&import->archive);
  g_clear_pointer (&import->lock, sandbox_lock_release);
  g_clear_pointer (&import->journal, g_free);
  g_clear_pointer (&import->id, g_free);
  g_clear_pointer (&import->snapshots, g_ptr_array_unref);
  sandbox_close_fd (&import->build_fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxImport, import_clear)

static char *
describe (const SandboxImport *import)
{
  const SandboxArchive *archive = &import->archive;
  guint n = import->snapshots != NULL ? import->snapshots->len : 0;
  g_autofree char *size = sandbox_size_human (archive->disk_bytes);
  g_autofree char *bytes = sandbox_size_human (count_disks (archive));
  g_autofree char *with =
      n > 0 ? g_strdup_printf (", with %u snapshot%s", n, n > 1 ? "s" : "") : g_strdup ("");

  return g_strdup_printf ("exported from \"%s\" on %s, made from %s, disk %s of %s%s\n",
                          archive->note.name, archive->note.created, archive->note.image, bytes,
                          size, with);
}

/* Both locks of names are taken after all that can be refused was. */
static gboolean
make_machine (SandboxWork *work, GString *report, guint64 max_disk_bytes, GCancellable *cancellable,
              GError **error)
{
  SandboxHost *host = work->host;
  const char *name = work->machine->name;
  g_autofree char *file = g_strconcat (name, ".profile", NULL);

  work->profile_text = _sandbox_import_profile (host, name, work->import->archive.profile,
                                                max_disk_bytes, report, error);
  if (work->profile_text == NULL)
    return FALSE;
  work->profile =
      sandbox_profile_parse (&host->profiles, name, file, work->profile_text, -1, error);
  if (work->profile == NULL)
    return FALSE;
  make_id (work->import);
  return _sandbox_work_begin (work, "import", cancellable, error)
         && _sandbox_new_name_is_free (host, "import", name, error)
         && _sandbox_new_clear_leftovers (work, "import", cancellable, error)
         && _sandbox_work_run (work, &_sandbox_verb_import, cancellable, error);
}

SandboxMachine *
sandbox_host_import (SandboxHost *host, const char *path, const SandboxImportOptions *options,
                     SandboxProgressFunc progress, gpointer user_data, char **ret_report,
                     GCancellable *cancellable, GError **error)
{
  SandboxImportOptions own = SANDBOX_IMPORT_OPTIONS_INIT;
  SandboxReport reading = { progress, user_data, "import" };
  g_auto (SandboxImport) import = { .build_fd = -1 };
  g_auto (SandboxWork) work = { 0 };
  g_autoptr (SandboxMachine) target = NULL;
  g_autoptr (GString) report = NULL;
  g_autofree char *first = NULL;
  guint64 limit = 0;
  const char *name;

  if (!_sandbox_options_copy (&own, sizeof own, options, error)
      || (own.name != NULL && !_sandbox_new_name_is_free (host, "import", own.name, error))
      || !_sandbox_import_disk_limit (host, "imported", &limit, error))
    return NULL;
  limit = MAX (limit, own.max_disk_bytes);
  if (!read_file (&import, path, limit, &reading, cancellable, error))
    return NULL;
  name = own.name != NULL ? own.name : import.archive.note.name;
  if (!_sandbox_new_name_is_free (host, "import", name, error))
    return NULL;
  first = describe (&import);
  report = g_string_new (first);
  target = _sandbox_machine_new (host, name);
  _sandbox_work_init (&work, target, progress, user_data);
  work.import = &import;
  import.work = &work;
  if (!make_machine (&work, report, limit, cancellable, error))
    return NULL;
  if (ret_report != NULL)
    *ret_report = g_string_free (g_steal_pointer (&report), FALSE);
  return g_steal_pointer (&target);
}
