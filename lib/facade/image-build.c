// SPDX-License-Identifier: LGPL-2.1-or-later
// Building an image: the recipe runs into a private directory, the result is uploaded, the manifest
// last. The directory of a build is also its journal: whoever finds one whose builder is gone
// removes it, its temporary files and the volumes of the image that it was about to upload.
#include "config.h"
#include "facade/facade-private.h"
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILD_LOCK       "build.lock"
#define JOURNAL_UPLOAD   "upload" /* id of the image whose volumes are not complete */
#define JOURNAL_TMP      "tmp"    /* absolute path of the recipe's own temporary directory */
#define JOURNAL_MAX      4096
#define SMALL_FILE_MAX   (64 * 1024 * 1024)
#define TMP_STEM         "vms-build-"
#define TMP_DEPTH        2 /* of a directory of the recipe's, below which the image's root may be */
#define CLEAN_TRIES      100
#define CLEAN_PAUSE_USEC (G_USEC_PER_SEC / 10)

static const struct
{
  const char *name, *release;
} recipes[] = {
  { "debian-13", "trixie" },
  { "debian-12", "bookworm" },
};

char **
sandbox_image_recipes (void)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (recipes); i++)
    g_strv_builder_add (builder, recipes[i].name);
  return g_strv_builder_end (builder);
}

static const char *
find_release (const char *name, GError **error)
{
  g_auto (GStrv) names = sandbox_image_recipes ();
  g_autofree char *all = NULL, *shown = NULL;
  const char *near;

  for (gsize i = 0; i < G_N_ELEMENTS (recipes); i++)
    if (strcmp (recipes[i].name, name) == 0)
      return recipes[i].release;
  all = g_strjoinv (", ", names);
  shown = sandbox_escape (name, -1, 100);
  near = sandbox_nearest (name, (const char *const *)names);
  sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                "image build: there is no recipe \"%s\"%s%s%s; there are %s", shown,
                near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                near != NULL ? "\"" : "", all);
  return NULL;
}

int
_sandbox_image_build_fd (SandboxHost *host, gboolean create, GError **error)
{
  g_autofree char *path = g_build_filename (host->cache_dir, "build", NULL);

  return sandbox_dir_open (path, create, error);
}

SandboxLock *
_sandbox_image_lock (SandboxHost *host, int build_fd, const SandboxReport *report,
                     GCancellable *cancellable, GError **error)
{
  return sandbox_lock_acquire (build_fd, BUILD_LOCK, "image build", host->lock_wait_usec,
                               _sandbox_on_lock_wait, (gpointer)report, cancellable, error);
}

char *
_sandbox_image_journal (int build_fd, const char *name, const char *id, GError **error)
{
  g_autofree char *dir = g_strdup_printf ("%s-%08x", name, g_random_int ());
  sandbox_autofd int fd = sandbox_dir_open_at (build_fd, dir, TRUE, error);

  if (fd < 0
      || (id != NULL && !sandbox_file_write_at (fd, JOURNAL_UPLOAD, id, strlen (id), 0600, error)))
    return NULL;
  return g_steal_pointer (&dir);
}

/* Ours, for the root of mmdebstrap's user namespace, to whom we are nobody. */
static void
let_in (int parent_fd, const char *name, guint depth)
{
  sandbox_autofd int fd = openat (parent_fd, name, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
  g_auto (GStrv) names = NULL;
  struct stat info;

  if (fd < 0 || fstat (fd, &info) != 0 || info.st_uid != geteuid () || fchmod (fd, 0755) != 0)
    return;
  names = depth > 0 ? sandbox_dir_list (fd, NULL) : NULL;
  for (char **one = names; one != NULL && *one != NULL; one++)
    let_in (fd, *one, depth - 1);
}

/* What the root of mmdebstrap's user namespace owns only that root can remove, and what is ours
 * only we can. */
static gboolean
remove_tree (int parent_fd, const char *name, const char *path)
{
  const char *const argv[] = { "mmdebstrap", "--unshare-helper", "rm", "-rf", "--", path, NULL };
  SandboxChildOptions child = SANDBOX_CHILD_OPTIONS_INIT;

  child.argv = argv;
  if (sandbox_remove_at (parent_fd, name, NULL))
    return TRUE;
  let_in (parent_fd, name, TMP_DEPTH);
  sandbox_child_run (&child, 60 * G_USEC_PER_SEC, 4096, NULL, NULL, NULL, NULL, NULL);
  return sandbox_remove_at (parent_fd, name, NULL);
}

/* The recipe of a builder that was killed a moment ago is clearing away, too: it is given time. */
static gboolean
remove_tmp (const char *path, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path), *name = g_path_get_basename (path);
  sandbox_autofd int fd = open (parent, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
  struct stat info;

  /* The path is our own writing, but in a directory where others may write too. */
  if (fd < 0 || !g_str_has_prefix (name, TMP_STEM)
      || fstatat (fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR (info.st_mode)
      || info.st_uid != geteuid ())
    return TRUE;
  for (guint i = 0; i < CLEAN_TRIES; i++)
    {
      if (remove_tree (fd, name, path))
        return TRUE;
      g_usleep (CLEAN_PAUSE_USEC);
    }
  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "removing what an interrupted image build left in %s: something still works "
                       "in there; try again in a moment",
                       path);
}

/* A manifest that was uploaded to its end, and so everything before it. */
static gboolean
is_complete (SandboxHost *host, const char *id)
{
  g_autofree char *name = g_strconcat ("image.", id, ".json", NULL), *text = NULL;
  gsize length;

  return _sandbox_virt_volume_download (host->virt, name, SMALL_FILE_MAX, &text, &length, NULL)
         && g_str_has_suffix (g_strchomp (text), "}");
}

static gboolean
remove_journal (int build_fd, const char *dir, GError **error)
{
  for (guint i = 0; i < CLEAN_TRIES; i++)
    {
      if (sandbox_remove_at (build_fd, dir, NULL))
        return TRUE;
      g_usleep (CLEAN_PAUSE_USEC);
    }
  return sandbox_remove_at (build_fd, dir, error);
}

/* Everything that the build in @dir made, the directory itself last. */
static gboolean
clean_journal (SandboxHost *host, int build_fd, const char *dir, GError **error)
{
  sandbox_autofd int fd = sandbox_dir_open_at (build_fd, dir, FALSE, NULL);
  g_autofree char *id = NULL, *tmp = NULL, *name = NULL;
  gsize length;

  if (fd >= 0 && sandbox_file_read_at (fd, JOURNAL_UPLOAD, JOURNAL_MAX, &id, &length, NULL))
    {
      name = _sandbox_image_id_name (id, NULL);
      if (name != NULL && !is_complete (host, id)
          && !_sandbox_image_remove_volumes (host, id, error))
        return FALSE;
    }
  if (fd >= 0 && sandbox_file_read_at (fd, JOURNAL_TMP, JOURNAL_MAX, &tmp, &length, NULL)
      && g_path_is_absolute (tmp) && !remove_tmp (tmp, error))
    return FALSE;
  return remove_journal (build_fd, dir, error);
}

gboolean
_sandbox_image_clean (SandboxHost *host, gboolean locked, gboolean remove, GPtrArray *orphans,
                      GCancellable *cancellable, GError **error)
{
  sandbox_autofd int build_fd = _sandbox_image_build_fd (host, FALSE, NULL);
  g_autoptr (SandboxLock) lock = NULL;
  g_auto (GStrv) names = NULL;

  if (build_fd < 0)
    return TRUE;
  if (!locked)
    {
      lock =
          sandbox_lock_acquire (build_fd, BUILD_LOCK, "repair", 0, NULL, NULL, cancellable, NULL);
      /* A build is under way: all that is there is its own. */
      if (lock == NULL)
        return TRUE;
    }
  names = sandbox_dir_list (build_fd, error);
  if (names == NULL)
    return FALSE;
  for (char **name = names; *name != NULL; name++)
    {
      sandbox_autofd int dir = sandbox_dir_open_at (build_fd, *name, FALSE, NULL);

      if (dir < 0)
        continue;
      if (orphans != NULL)
        {
          SandboxOrphan *orphan = g_new0 (SandboxOrphan, 1);

          orphan->kind = g_strdup ("build");
          orphan->name = g_strdup (*name);
          orphan->reason = g_strdup ("an image build that was interrupted");
          g_ptr_array_add (orphans, orphan);
        }
      if (remove && !clean_journal (host, build_fd, *name, error))
        return FALSE;
    }
  return TRUE;
}

typedef struct
{
  SandboxHost *host;
  SandboxReport report;
  const char *name, *release;
  int build_fd, journal_fd;
  char *journal, *out, *tmp, *id;
} Build;

static void
build_clear (Build *build)
{
  sandbox_close_fd (&build->build_fd);
  sandbox_close_fd (&build->journal_fd);
  g_free (build->journal);
  g_free (build->out);
  g_free (build->tmp);
  g_free (build->id);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Build, build_clear)

static gboolean
check_programs (GError **error)
{
  static const char *const needed[][2] = { { "mmdebstrap", "mmdebstrap" },
                                           { "mke2fs", "e2fsprogs" },
                                           { "qemu-img", "qemu-utils" } };

  for (gsize i = 0; i < G_N_ELEMENTS (needed); i++)
    {
      g_autofree char *found = g_find_program_in_path (needed[i][0]);
      g_autofree char *sbin = g_build_filename ("/usr/sbin", needed[i][0], NULL);

      if (found == NULL && !g_file_test (sbin, G_FILE_TEST_IS_EXECUTABLE))
        return sandbox_fail (error, SANDBOX_ERROR_HOST,
                             "image build: the program %s is missing; run: sudo apt-get install %s",
                             needed[i][0], needed[i][1]);
    }
  return TRUE;
}

/* The trees of other (subordinate) users are below it, so it cannot be in the private cache
 * directory. */
static gboolean
make_tmp (Build *build, GError **error)
{
  const char *base = g_getenv ("TMPDIR");
  g_autofree char *name = g_strdup_printf ("%s%u-%08x%08x", TMP_STEM, build->host->uid,
                                           g_random_int (), g_random_int ());

  build->tmp =
      g_build_filename (base != NULL && g_path_is_absolute (base) ? base : "/var/tmp", name, NULL);
  if (!sandbox_file_write_at (build->journal_fd, JOURNAL_TMP, build->tmp, strlen (build->tmp), 0600,
                              error))
    return FALSE;
  if (mkdir (build->tmp, 0711) < 0)
    return sandbox_fail_errno (error, errno, "image build %s: making %s", build->name, build->tmp);
  return TRUE;
}

static gboolean
begin (Build *build, GError **error)
{
  sandbox_autofd int out_fd = -1;

  build->journal = _sandbox_image_journal (build->build_fd, build->name, NULL, error);
  if (build->journal == NULL)
    return FALSE;
  build->journal_fd = sandbox_dir_open_at (build->build_fd, build->journal, FALSE, error);
  build->out = g_build_filename (build->host->cache_dir, "build", build->journal, "out", NULL);
  if (build->journal_fd < 0)
    return FALSE;
  out_fd = sandbox_dir_open_at (build->journal_fd, "out", TRUE, error);
  return out_fd >= 0 && make_tmp (build, error);
}

static void
on_line (const char *line, gpointer user_data)
{
  Build *build = user_data;
  g_auto (GStrv) words = g_strsplit (line, " ", 3);
  g_autofree char *phase = NULL, *note = NULL;

  if (g_strv_length (words) < 3 || strcmp (words[0], "phase") != 0
      || strcmp (words[1], "done") == 0)
    return;
  phase = sandbox_escape (words[1], -1, 40);
  note = sandbox_escape (words[2], -1, 200);
  _sandbox_report (&build->report, phase, note, 0, 0);
}

static gboolean
run_recipe (Build *build, GCancellable *cancellable, GError **error)
{
  const char *images = g_getenv ("SANDBOX_IMAGES_DIR");
  g_autofree char *given =
      g_build_filename (images != NULL ? images : SANDBOX_DATADIR "/images", "build-image", NULL);
  g_autofree char *program = g_canonicalize_filename (given, NULL);
  /* When this process is killed the recipe hears it, and ends with all that it started. */
  const char *const argv[] = { "setpriv",   "--pdeathsig",  "TERM",  "--",       program,
                               "--release", build->release, "--out", build->out, NULL };
  g_auto (GStrv) env = g_environ_setenv (g_get_environ (), "TMPDIR", build->tmp, TRUE);
  g_autofree char *tail = NULL, *shown = NULL;
  SandboxChildOptions child = SANDBOX_CHILD_OPTIONS_INIT;
  int status;

  child.argv = argv;
  child.env = (const char *const *)env;
  child.new_group = TRUE;
  if (!sandbox_child_run_lines (&child, on_line, build, cancellable, &status, &tail, error))
    return FALSE;
  if (status == 0)
    return TRUE;
  shown = tail != NULL ? g_strchomp (g_strdup (tail)) : g_strdup ("");
  return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                       "image build %s: the recipe failed with exit status %d:\n%s", build->name,
                       status, shown);
}

/* Its own time, as the id has it, is what makes one image newer than another. */
static gboolean
make_id (Build *build, int fd, GCancellable *cancellable, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format (now, "%Y%m%dT%H%M%S");
  g_autofree guchar *buffer = g_malloc (1024 * 1024);
  gssize n;

  while ((n = read (fd, buffer, 1024 * 1024)) > 0)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      g_checksum_update (sum, buffer, n);
    }
  if (n < 0 || lseek (fd, 0, SEEK_SET) < 0)
    return sandbox_fail_errno (error, errno, "image build %s: reading the disk that was built",
                               build->name);
  build->id = g_strdup_printf ("%s-%s-%.12s", build->name, time, g_checksum_get_string (sum));
  return sandbox_file_write_at (build->journal_fd, JOURNAL_UPLOAD, build->id, strlen (build->id),
                                0600, error);
}

/* Size of the disk in a qcow2 file: bytes 24 to 31 of its header, big endian. */
static gboolean
read_virtual_bytes (Build *build, int fd, guint64 *ret_bytes, GError **error)
{
  guint8 header[32];
  guint64 bytes;

  if (pread (fd, header, sizeof header, 0) != sizeof header || memcmp (header, "QFI\xfb", 4) != 0)
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "image build %s: the recipe made no qcow2 disk", build->name);
  memcpy (&bytes, header + 24, sizeof bytes);
  *ret_bytes = GUINT64_FROM_BE (bytes);
  return TRUE;
}

static void
on_transfer (guint64 done, guint64 total, gpointer user_data)
{
  Build *build = user_data;

  _sandbox_report (&build->report, "upload", "uploading the disk", done, total);
}

static gboolean
upload_disk (Build *build, int out_fd, GCancellable *cancellable, GError **error)
{
  sandbox_autofd int fd = openat (out_fd, "disk.qcow2", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  g_autofree char *name = NULL, *xml = NULL;
  guint64 virtual_bytes = 0;
  struct stat info;

  if (fd < 0 || fstat (fd, &info) < 0)
    return sandbox_fail_errno (error, errno, "image build %s: opening the disk that was built",
                               build->name);
  _sandbox_report (&build->report, "checksum", "computing the checksum", 0, 0);
  if (!read_virtual_bytes (build, fd, &virtual_bytes, error)
      || !make_id (build, fd, cancellable, error))
    return FALSE;
  name = g_strconcat ("image.", build->id, ".qcow2", NULL);
  xml = _sandbox_xml_image_volume (name, virtual_bytes, 0444);
  _sandbox_report (&build->report, "upload", "uploading the disk", 0, (guint64)info.st_size);
  return _sandbox_virt_volume_create (build->host->virt, xml, NULL, error)
         && _sandbox_virt_volume_upload_fd (build->host->virt, name, fd, (guint64)info.st_size,
                                            on_transfer, build, cancellable, error);
}

static gboolean
upload_file (Build *build, int out_fd, const char *file, const char *suffix, GError **error)
{
  SandboxVirt *virt = build->host->virt;
  g_autofree char *name = g_strconcat ("image.", build->id, suffix, NULL);
  g_autofree char *data = NULL, *xml = NULL;
  gsize length;

  if (!sandbox_file_read_at (out_fd, file, SMALL_FILE_MAX, &data, &length, error))
    return FALSE;
  xml = _sandbox_xml_raw_volume (name, length, 0644);
  return _sandbox_virt_volume_create (virt, xml, NULL, error)
         && _sandbox_virt_volume_upload (virt, name, data, length, error);
}

static gboolean
upload_all (Build *build, GCancellable *cancellable, GError **error)
{
  sandbox_autofd int out_fd = sandbox_dir_open (build->out, FALSE, error);

  return out_fd >= 0 && upload_disk (build, out_fd, cancellable, error)
         && upload_file (build, out_fd, "vmlinuz", ".vmlinuz", error)
         && upload_file (build, out_fd, "initrd", ".initrd", error)
         && upload_file (build, out_fd, "cmdline", ".cmdline", error)
         && !g_cancellable_set_error_if_cancelled (cancellable, error)
         && upload_file (build, out_fd, "manifest.json", ".json", error);
}

static gboolean
build_locked (Build *build, GCancellable *cancellable, GError **error)
{
  gboolean done = begin (build, error) && run_recipe (build, cancellable, error)
                  && upload_all (build, cancellable, error);

  if (build->journal == NULL)
    return FALSE;
  /* Without this note the volumes are kept. */
  if (done && !sandbox_remove_at (build->journal_fd, JOURNAL_UPLOAD, error))
    return FALSE;
  return clean_journal (build->host, build->build_fd, build->journal, done ? error : NULL) && done;
}

/* What earlier builds left is no reason not to build. */
static void
clean_before (Build *build, GCancellable *cancellable)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *note = NULL;

  if (_sandbox_image_clean (build->host, TRUE, TRUE, NULL, cancellable, &local))
    return;
  note = sandbox_escape (local->message, -1, 400);
  _sandbox_report (&build->report, "clean", note, 0, 0);
}

gboolean
sandbox_host_build_image (SandboxHost *host, const char *name, gboolean update,
                          SandboxProgressFunc progress, gpointer user_data,
                          GCancellable *cancellable, char **ret_id, GError **error)
{
  g_auto (Build) build = { .host = host,
                           .report = { progress, user_data, name },
                           .name = name,
                           .build_fd = -1,
                           .journal_fd = -1 };
  g_autoptr (SandboxLock) lock = NULL;
  g_auto (GStrv) ids = NULL;

  build.release = find_release (name, error);
  if (build.release == NULL)
    return FALSE;
  if (_sandbox_host_is_test (host))
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "image build %s: libvirt's test driver keeps no images; use a host with "
                         "QEMU (qemu:///system)",
                         name);
  build.build_fd = _sandbox_image_build_fd (host, TRUE, error);
  if (build.build_fd < 0)
    return FALSE;
  lock = _sandbox_image_lock (host, build.build_fd, &build.report, cancellable, error);
  if (lock == NULL || !_sandbox_virt_pool_ensure (host->virt, error))
    return FALSE;
  clean_before (&build, cancellable);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  ids = _sandbox_image_ids (host, name, error);
  if (ids == NULL)
    return FALSE;
  if (ids[0] == NULL || update)
    {
      if (!check_programs (error) || !build_locked (&build, cancellable, error))
        return FALSE;
      _sandbox_report (&build.report, "done", build.id, 1, 1);
    }
  if (ret_id != NULL)
    *ret_id = g_strdup (build.id != NULL ? build.id : ids[0]);
  return TRUE;
}
