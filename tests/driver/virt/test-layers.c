// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers of a disk that a running QEMU has open, made one: with the top, and further down. Nothing
// boots from it: what is in them, qemu-io has written and reads.

#include <glib/gstdio.h>
#include <string.h>
#include "base/xml.h"
#include "common.h"
#include <sandbox/error.h>

#define LAYERS 5
#define BYTES  (16u << 20)

typedef struct
{
  SandboxVirt *virt;
  char *name;
  char *volumes[LAYERS], *paths[LAYERS];
} Fixture;

static void
run (const char *const *argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *said = NULL;
  int status = 0;

  g_assert_true (g_spawn_sync (NULL, (char **)argv, NULL,
                               G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                               &said, &status, &error));
  if (status != 0)
    g_error ("%s: %s", argv[0], said);
}

/* qemu-io on the layer in the file @path alone, without what it stands on. */
static void
run_on (const char *path, const char *command)
{
  g_autofree char *image =
      g_strdup_printf ("json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":{\"driver\":\"file\","
                       "\"filename\":\"%s\"}}",
                       path);
  const char *const argv[] = { "qemu-io", "-c", command, image, NULL };

  run (argv);
}

static char *
scratch (void)
{
  return g_strdup_printf ("%s/%d-layer.qcow2", g_get_tmp_dir (), (int)getpid ());
}

/* Layer @i, on the one before it, with @i written at @i MiB and at 8 MiB. */
static void
make_layer (Fixture *f, guint i)
{
  g_autofree char *word = g_strdup_printf ("layer-%u", i), *file = scratch ();
  g_autofree char *xml = NULL, *data = NULL;
  g_autofree char *own = g_strdup_printf ("write -P %u %uM 64k", i + 1, i);
  g_autofree char *common = g_strdup_printf ("write -P %u 8M 64k", i + 1);
  const char *const first[] = { "qemu-img", "create", "-f", "qcow2", file, "16M", NULL };
  const char *const next[] = { "qemu-img", "create", "-u",
                               "-f",       "qcow2",  "-F",
                               "qcow2",    "-b",     i > 0 ? f->paths[i - 1] : "",
                               file,       "16M",    NULL };
  SandboxVirtVolume *volume;
  g_autoptr (GError) error = NULL;
  gsize length = 0;

  f->volumes[i] = own_name (word);
  xml = volume_xml (f->volumes[i], BYTES);
  g_assert_true (_sandbox_virt_volume_create_new (f->virt, xml, &error));
  g_assert_no_error (error);
  run (i > 0 ? next : first);
  run_on (file, own);
  run_on (file, common);
  g_assert_true (g_file_get_contents (file, &data, &length, NULL));
  g_unlink (file);
  g_assert_true (_sandbox_virt_volume_upload (f->virt, f->volumes[i], data, length, &error));
  g_assert_no_error (error);
  volume = _sandbox_virt_volume_get (f->virt, f->volumes[i], &error);
  g_assert_no_error (error);
  f->paths[i] = g_strdup (volume->path);
  _sandbox_virt_volume_free (volume);
}

static char *
with_disk (const Fixture *f)
{
  g_autofree char *xml = domain_xml (f->name, NULL);
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("the domain", xml, NULL);
  xmlNode *devices = sandbox_xml_find (xmlDocGetRootElement (doc), "devices");
  xmlNode *disk = sandbox_xml_add (devices, "disk", "type", "file", "device", "disk", NULL);
  xmlNode *above = disk;

  sandbox_xml_add (disk, "driver", "name", "qemu", "type", "qcow2", NULL);
  sandbox_xml_add (disk, "source", "file", f->paths[LAYERS - 1], NULL);
  sandbox_xml_add (disk, "target", "dev", "vda", "bus", "virtio", NULL);
  for (guint i = LAYERS - 1; i > 0; i--)
    {
      above = sandbox_xml_add (above, "backingStore", "type", "file", NULL);
      sandbox_xml_add (above, "format", "type", "qcow2", NULL);
      sandbox_xml_add (above, "source", "file", f->paths[i - 1], NULL);
    }
  sandbox_xml_add (above, "backingStore", NULL);
  return sandbox_xml_to_string (doc);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *xml = NULL;
  g_autoptr (GError) error = NULL;

  f->virt = connect_to (SYSTEM_URI);
  f->name = own_name ("layers");
  g_assert_true (_sandbox_virt_pool_ensure (f->virt, &error));
  for (guint i = 0; i < LAYERS; i++)
    make_layer (f, i);
  xml = with_disk (f);
  g_assert_true (_sandbox_virt_domain_define (f->virt, xml, &error));
  g_assert_no_error (error);
  g_assert_true (_sandbox_virt_domain_start (f->virt, f->name, &error));
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  remove_domain (f->virt, f->name);
  for (guint i = 0; i < LAYERS; i++)
    {
      g_assert_true (_sandbox_virt_volume_remove (f->virt, f->volumes[i], NULL));
      g_free (f->volumes[i]);
      g_free (f->paths[i]);
    }
  _sandbox_virt_unref (f->virt);
  g_free (f->name);
}

static void
assert_stands_on (Fixture *f, guint above, guint below)
{
  g_autoptr (GError) error = NULL;
  SandboxVirtVolume *volume;

  g_assert_true (_sandbox_virt_pool_refresh (f->virt, &error));
  volume = _sandbox_virt_volume_get (f->virt, f->volumes[above], &error);
  g_assert_no_error (error);
  g_assert_cmpstr (volume->backing_path, ==, f->paths[below]);
  _sandbox_virt_volume_free (volume);
}

/* What is in the file of layer @i itself. */
static void
assert_has (Fixture *f, guint i, guint at_mib, guint value)
{
  g_autofree char *data = NULL, *file = scratch ();
  g_autofree char *command = g_strdup_printf ("read -P %u %uM 64k", value, at_mib);
  g_autoptr (GError) error = NULL;
  gsize length = 0;

  g_assert_true (
      _sandbox_virt_volume_download (f->virt, f->volumes[i], 64 << 20, &data, &length, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_set_contents (file, data, (gssize)length, NULL));
  run_on (file, command);
  g_unlink (file);
}

/* Its processors go on afterwards. */
static void
write_out (Fixture *f)
{
  SandboxVirtState state = SANDBOX_VIRT_STOPPED;
  g_autoptr (GError) error = NULL;
  gboolean goes_on = FALSE;

  g_assert_true (_sandbox_virt_domain_write_out (f->virt, f->name, &goes_on, &error));
  g_assert_no_error (error);
  g_assert_true (goes_on);
  g_assert_true (_sandbox_virt_domain_state (f->virt, f->name, NULL, &state, NULL));
  g_assert_cmpint (state, ==, SANDBOX_VIRT_RUNNING);
}

static gboolean
commit (Fixture *f, guint layer, GError **error)
{
  return _sandbox_virt_domain_commit (f->virt, f->name, f->paths[layer], f->paths[layer - 1], NULL,
                                      NULL, NULL, error);
}

/* Layer 2 into 1: 3 stands on 1, which has what both had, on its file's side too. */
static void
test_commit (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (commit (f, 2, &error));
  g_assert_no_error (error);
  write_out (f);
  assert_stands_on (f, 3, 1);
  assert_has (f, 1, 1, 2);
  assert_has (f, 1, 2, 3);
  assert_has (f, 1, 8, 3);
  /* what goes is as it was, and what was below is not touched */
  assert_has (f, 2, 2, 3);
  assert_has (f, 0, 8, 1);
  assert_stands_on (f, 1, 0);
  /* done already */
  g_assert_true (commit (f, 2, &error));
  g_assert_no_error (error);
  g_assert_true (commit (f, 3, &error) == FALSE);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_domain_commit (f->virt, f->name, f->paths[3], f->paths[1], NULL,
                                              NULL, NULL, &error));
  g_assert_no_error (error);
  write_out (f);
  assert_stands_on (f, 4, 1);
  assert_has (f, 1, 8, 4);
}

static void
test_pull (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (
      _sandbox_virt_domain_pull (f->virt, f->name, f->paths[2], NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  write_out (f);
  assert_stands_on (f, 4, 2);
  assert_has (f, 4, 3, 4);
  assert_has (f, 4, 8, 5);
}

static void
test_none (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (
      _sandbox_virt_domain_commit (f->virt, "t-virt-none", "/x", "/y", NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/virt/layers/commit", Fixture, NULL, set_up, test_commit, tear_down);
  g_test_add ("/virt/layers/pull", Fixture, NULL, set_up, test_pull, tear_down);
  g_test_add ("/virt/layers/none", Fixture, NULL, set_up, test_none, tear_down);
  return run_with_system ();
}
