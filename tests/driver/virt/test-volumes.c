// SPDX-License-Identifier: LGPL-2.1-or-later
// The pool and its volumes on the system's libvirtd: bytes there and back, layers, several at once,
// cancelled.

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "common.h"
#include <sandbox/error.h>

#define MIB (1024 * 1024)

typedef struct
{
  SandboxVirt *virt;
  char *name;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->virt = connect_to (SYSTEM_URI);
  f->name = own_name ("vol");
  g_assert_true (_sandbox_virt_pool_ensure (f->virt, &error));
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autofree char *prefix = own_name ("");
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) left = _sandbox_virt_list_volumes (f->virt, prefix, FALSE, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < left->len; i++)
    {
      SandboxVirtVolume *volume = left->pdata[i];

      g_assert_true (_sandbox_virt_volume_remove (f->virt, volume->name, &error));
      g_assert_no_error (error);
    }
  _sandbox_virt_unref (f->virt);
  g_free (f->name);
}

static char *
random_bytes (gsize length)
{
  char *bytes = g_malloc (length);

  for (gsize i = 0; i < length; i++)
    bytes[i] = g_test_rand_int ();
  return bytes;
}

static void
make (Fixture *f, const char *name, guint64 bytes)
{
  g_autofree char *xml = volume_xml (name, bytes);
  g_autoptr (GError) error = NULL;
  gboolean created = FALSE;

  g_assert_true (_sandbox_virt_volume_create (f->virt, xml, &created, &error));
  g_assert_no_error (error);
  g_assert_true (created);
}

static void
test_pool (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxFacts) facts = NULL;
  GStatBuf st;

  g_assert_true (_sandbox_virt_pool_ensure (f->virt, &error));
  facts = _sandbox_virt_facts (f->virt, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_path_is_absolute (facts->pool_path));
  g_assert_cmpint (g_stat (facts->pool_path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0710);
}

static void
test_round_trip (Fixture *f, gconstpointer data)
{
  // around the size of a message of libvirt's protocol, and more than one
  const gsize sizes[] = { 1, 4096, 256 * 1024 - 64, 256 * 1024 - 63, 3 * MIB + 17 };

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autofree char *name = g_strdup_printf ("%s-%zu", f->name, sizes[i]);
      g_autofree char *bytes = random_bytes (sizes[i]);
      g_autofree char *got = NULL;
      g_autoptr (GError) error = NULL;
      SandboxVirtVolume *volume = NULL;
      gsize length = 0;

      make (f, name, sizes[i]);
      g_assert_true (_sandbox_virt_volume_upload (f->virt, name, bytes, sizes[i], &error));
      g_assert_no_error (error);
      g_assert_true (
          _sandbox_virt_volume_download (f->virt, name, sizes[i], &got, &length, &error));
      g_assert_no_error (error);
      g_assert_cmpmem (got, length, bytes, sizes[i]);
      g_assert_cmpint (got[length], ==, '\0');
      volume = _sandbox_virt_volume_get (f->virt, name, &error);
      g_assert_cmpuint (volume->capacity_bytes, ==, sizes[i]);
      _sandbox_virt_volume_free (volume);
      // one byte less is too little room
      g_assert_false (
          _sandbox_virt_volume_download (f->virt, name, sizes[i] - 1, &got, &length, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
    }
}

/* Nobody but root and QEMU reads what is in there. */
static void
test_private (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  SandboxVirtVolume *volume = NULL;
  GStatBuf st;

  make (f, f->name, 4096);
  g_assert_true (_sandbox_virt_volume_upload (f->virt, f->name, "secret", 6, &error));
  volume = _sandbox_virt_volume_get (f->virt, f->name, &error);
  g_assert_cmpint (g_stat (volume->path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0600);
  g_assert_cmpuint (st.st_uid, !=, 65534);
  if (geteuid () != 0)
    g_assert_cmpuint (st.st_uid, !=, geteuid ());
  _sandbox_virt_volume_free (volume);
}

typedef struct
{
  guint calls;
  guint64 done, total;
  GCancellable *cancel_at_first;
} Progress;

static void
on_progress (guint64 done, guint64 total, gpointer user_data)
{
  Progress *progress = user_data;

  g_assert_cmpuint (done, >, progress->done);
  g_assert_cmpuint (done, <=, total);
  progress->calls++;
  progress->done = done;
  progress->total = total;
  if (progress->cancel_at_first)
    g_cancellable_cancel (progress->cancel_at_first);
}

static int
temp_file (const char *bytes, gsize length)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("sandbox-test-virt-XXXXXX", &path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_unlink (path);
  g_assert_cmpint (write (fd, bytes, length), ==, length);
  g_assert_cmpint (lseek (fd, 0, SEEK_SET), ==, 0);
  return fd;
}

static void
test_upload_fd (Fixture *f, gconstpointer data)
{
  g_autofree char *bytes = random_bytes (2 * MIB);
  g_autofree char *got = NULL;
  g_autoptr (GError) error = NULL;
  Progress progress = { 0 };
  gsize length = 0;
  int fd = temp_file (bytes, 2 * MIB);

  make (f, f->name, 2 * MIB);
  g_assert_true (_sandbox_virt_volume_upload_fd (f->virt, f->name, fd, 2 * MIB, on_progress,
                                                 &progress, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (progress.calls, >=, 8);
  g_assert_cmpuint (progress.done, ==, 2 * MIB);
  g_assert_cmpuint (progress.total, ==, 2 * MIB);
  g_assert_true (_sandbox_virt_volume_download (f->virt, f->name, 2 * MIB, &got, &length, &error));
  g_assert_cmpmem (got, length, bytes, 2 * MIB);
  // the file is at its end now: a source that is shorter than promised
  g_assert_false (
      _sandbox_virt_volume_upload_fd (f->virt, f->name, fd, 1, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
  close (fd);
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  g_autofree char *bytes = random_bytes (2 * MIB);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Progress progress = { .cancel_at_first = cancellable };
  guint fds = count_fds ();
  int fd = temp_file (bytes, 2 * MIB);

  make (f, f->name, 2 * MIB);
  g_assert_false (_sandbox_virt_volume_upload_fd (f->virt, f->name, fd, 2 * MIB, on_progress,
                                                  &progress, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_cmpuint (progress.calls, ==, 1);
  // the connection is of use still, and the volume can go
  g_assert_true (_sandbox_virt_volume_remove (f->virt, f->name, &error));
  g_assert_no_error (error);
  close (fd);
  g_assert_cmpuint (count_fds (), ==, fds);
}

static void
test_missing (Fixture *f, gconstpointer data)
{
  g_autofree char *got = NULL;
  g_autofree char *xml = volume_xml (f->name, 4096);
  g_autoptr (GError) error = NULL;
  gsize length;

  g_assert_null (_sandbox_virt_volume_get (f->virt, f->name, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (_sandbox_virt_volume_download (f->virt, f->name, 1, &got, &length, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (_sandbox_virt_volume_upload (f->virt, f->name, "x", 1, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (_sandbox_virt_volume_clone (f->virt, f->name, xml, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_volume_remove (f->virt, f->name, &error));
  g_assert_no_error (error);
}

static gpointer
create_thread (gpointer data)
{
  g_autoptr (SandboxVirt) virt = connect_to (SYSTEM_URI);
  g_autofree char *xml = volume_xml (data, MIB);
  g_autoptr (GError) error = NULL;
  gboolean created = FALSE;

  g_assert_true (_sandbox_virt_pool_ensure (virt, &error));
  g_assert_true (_sandbox_virt_volume_create (virt, xml, &created, &error));
  g_assert_no_error (error);
  return GINT_TO_POINTER (created);
}

static gpointer
remove_thread (gpointer data)
{
  g_autoptr (SandboxVirt) virt = connect_to (SYSTEM_URI);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_volume_remove (virt, data, &error));
  g_assert_no_error (error);
  return NULL;
}

static void
test_race (Fixture *f, gconstpointer data)
{
  for (int round = 0; round < 5; round++)
    {
      GThread *threads[4];
      int created = 0;

      for (int i = 0; i < 4; i++)
        threads[i] = g_thread_new ("create", create_thread, f->name);
      for (int i = 0; i < 4; i++)
        created += GPOINTER_TO_INT (g_thread_join (threads[i]));
      g_assert_cmpint (created, ==, 1);
      for (int i = 0; i < 4; i++)
        threads[i] = g_thread_new ("remove", remove_thread, f->name);
      for (int i = 0; i < 4; i++)
        g_thread_join (threads[i]);
    }
}

static char *
layer_xml (const char *name, const char *backing_path)
{
  return g_strdup_printf ("<volume><name>%s</name><capacity unit='MiB'>64</capacity>"
                          "<target><format type='qcow2'/></target>"
                          "<backingStore><path>%s</path><format type='raw'/></backingStore>"
                          "</volume>",
                          name, backing_path);
}

/* Gives a new layer something that no other new layer has: bytes after its last cluster. */
static void
mark_layer (Fixture *f, const char *name)
{
  g_autofree char *bytes = NULL, *marked = NULL;
  g_autofree char *mark = random_bytes (MIB);
  g_autoptr (GError) error = NULL;
  gsize length;

  g_assert_true (_sandbox_virt_volume_download (f->virt, name, 8 * MIB, &bytes, &length, &error));
  marked = g_malloc (length + MIB);
  memcpy (marked, bytes, length);
  memcpy (marked + length, mark, MIB);
  g_assert_true (_sandbox_virt_volume_upload (f->virt, name, marked, length + MIB, &error));
  g_assert_no_error (error);
}

/* A copy of a layer is a layer on the same image, with the same bytes. */
static void
test_clone (Fixture *f, gconstpointer data)
{
  g_autofree char *layer = own_name ("layer"), *copy = own_name ("copy");
  g_autofree char *xml = NULL, *copy_xml = NULL, *bytes = NULL, *copy_bytes = NULL;
  g_autoptr (GError) error = NULL;
  SandboxVirtVolume *image = NULL, *volume = NULL;
  gsize length, copy_length;

  make (f, f->name, 64 * MIB);
  image = _sandbox_virt_volume_get (f->virt, f->name, &error);
  xml = layer_xml (layer, image->path);
  copy_xml = layer_xml (copy, image->path);
  g_assert_true (_sandbox_virt_volume_create (f->virt, xml, NULL, &error));
  mark_layer (f, layer);
  g_assert_true (_sandbox_virt_volume_clone (f->virt, layer, copy_xml, &error));
  g_assert_no_error (error);
  volume = _sandbox_virt_volume_get (f->virt, copy, &error);
  g_assert_cmpstr (volume->backing_path, ==, image->path);
  g_assert_cmpuint (volume->capacity_bytes, ==, 64 * MIB);
  g_assert_true (_sandbox_virt_volume_download (f->virt, layer, 8 * MIB, &bytes, &length, &error));
  g_assert_true (
      _sandbox_virt_volume_download (f->virt, copy, 8 * MIB, &copy_bytes, &copy_length, &error));
  g_assert_cmpuint (length, >, MIB);
  g_assert_cmpmem (bytes, length, copy_bytes, copy_length);
  g_assert_false (_sandbox_virt_volume_clone (f->virt, layer, copy_xml, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  _sandbox_virt_volume_free (image);
  _sandbox_virt_volume_free (volume);
}

/* Holes stay holes: a copy takes no more room than its source. */
static void
test_clone_sparse (Fixture *f, gconstpointer data)
{
  g_autofree char *source_xml =
      g_strdup_printf ("<volume><name>%s</name><capacity unit='MiB'>64</capacity>"
                       "<allocation>0</allocation></volume>",
                       f->name);
  g_autofree char *copy = own_name ("copy");
  g_autofree char *copy_xml =
      g_strdup_printf ("<volume><name>%s</name><capacity unit='MiB'>64</capacity>"
                       "<allocation>0</allocation></volume>",
                       copy);
  g_autofree char *got = NULL;
  g_autoptr (GError) error = NULL;
  SandboxVirtVolume *volume = NULL;
  gsize length;

  g_assert_true (_sandbox_virt_volume_create (f->virt, source_xml, NULL, &error));
  g_assert_true (_sandbox_virt_volume_upload (f->virt, f->name, "start", 5, &error));
  g_assert_true (_sandbox_virt_volume_clone (f->virt, f->name, copy_xml, &error));
  g_assert_no_error (error);
  volume = _sandbox_virt_volume_get (f->virt, copy, &error);
  g_assert_cmpuint (volume->capacity_bytes, ==, 64 * MIB);
  g_assert_cmpuint (volume->allocation_bytes, <, MIB);
  g_assert_true (_sandbox_virt_volume_download (f->virt, copy, 64 * MIB, &got, &length, &error));
  g_assert_cmpuint (length, ==, 64 * MIB);
  g_assert_cmpmem (got, 5, "start", 5);
  _sandbox_virt_volume_free (volume);
}

static void
test_grow (Fixture *f, gconstpointer data)
{
  const guint64 wanted[] = { 2 * MIB, 3 * MIB, 3 * MIB, MIB };
  g_autoptr (GError) error = NULL;

  make (f, f->name, 2 * MIB);
  for (gsize i = 0; i < G_N_ELEMENTS (wanted); i++)
    {
      SandboxVirtVolume *volume = NULL;

      // never smaller
      g_assert_true (_sandbox_virt_volume_grow (f->virt, f->name, wanted[i], &error));
      g_assert_no_error (error);
      volume = _sandbox_virt_volume_get (f->virt, f->name, &error);
      g_assert_cmpuint (volume->capacity_bytes, ==, i == 0 ? 2 * MIB : 3 * MIB);
      _sandbox_virt_volume_free (volume);
    }
  g_assert_false (_sandbox_virt_volume_grow (f->virt, "t-virt-none", MIB, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
}

/* A file that libvirt has not seen yet, and one that it still believes in. */
static void
test_refresh (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (f->virt, NULL, &error);
  g_autofree char *path = g_build_filename (facts->pool_path, f->name, NULL);
  g_autofree char *xml = volume_xml (f->name, 3);
  SandboxVirtVolume *volume = NULL;
  gboolean created = TRUE;

  if (geteuid () != 0)
    {
      g_test_skip ("needs root, to put a file into the pool behind libvirt's back");
      return;
    }
  g_assert_true (g_file_set_contents (path, "abc", 3, &error));
  g_assert_true (_sandbox_virt_volume_create (f->virt, xml, &created, &error));
  g_assert_no_error (error);
  g_assert_false (created);
  volume = _sandbox_virt_volume_get (f->virt, f->name, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (volume->capacity_bytes, ==, 3);
  _sandbox_virt_volume_free (volume);
  g_unlink (path);
  g_assert_null (_sandbox_virt_volume_get (f->virt, f->name, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_volume_remove (f->virt, f->name, &error));
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/virt/volumes/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("pool", test_pool);
  ADD ("round-trip", test_round_trip);
  ADD ("private", test_private);
  ADD ("upload-fd", test_upload_fd);
  ADD ("cancel", test_cancel);
  ADD ("missing", test_missing);
  ADD ("race", test_race);
  ADD ("clone", test_clone);
  ADD ("clone-sparse", test_clone_sparse);
  ADD ("grow", test_grow);
  ADD ("refresh", test_refresh);
#undef ADD
  return run_with_system ();
}
