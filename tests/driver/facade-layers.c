// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers of provisioning on libvirt's test driver, whose volumes have names, sizes and what they
// stand on, if no bytes: which of them a disk is made on.
#include "facade/provision-private.h"
#include "facade-driver.h"

#define IMAGE  "debian-13-20260301T000000-0123456789ab"
#define DIGEST "0123456789abcdef0123456789abcdef"

/* A disk cannot be smaller than the layer that it stands on. */
static void
test_layer_size (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  static const struct
  {
    const char *id;
    guint64 mib;
    gboolean whole;
  } layers[] = {
    { DIGEST "-20260101T000000", 100, TRUE },
    { DIGEST "-20260102T000000", 300, TRUE },
    { DIGEST "-20260103T000000", 200, TRUE },
    { DIGEST "-20260104T000000", 50, FALSE },
  };
  static const struct
  {
    guint64 mib;
    const char *id;
  } cases[] = {
    { 99, NULL },
    { 100, DIGEST "-20260101T000000" },
    { 199, DIGEST "-20260101T000000" },
    { 200, DIGEST "-20260103T000000" },
    { 1000, DIGEST "-20260103T000000" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (layers); i++)
    {
      g_autofree char *disk = g_strconcat ("layer.", layers[i].id, ".qcow2", NULL);
      g_autofree char *manifest = g_strconcat ("layer.", layers[i].id, ".json", NULL);

      driver_test_add_volume (host, disk, "qcow2", layers[i].mib * MIB, NULL);
      if (layers[i].whole)
        driver_test_add_volume (host, manifest, "raw", MIB, NULL);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *id = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_true (_sandbox_layer_find (host, DIGEST, cases[i].mib * MIB, &id, &error));
      g_assert_no_error (error);
      g_assert_cmpstr (id, ==, cases[i].id);
    }
}

/* A copy of a disk has what is in it, not what it stands on: a disk that stands on kept memory's
 * layer becomes no layer on the image. */
static void
test_layer_below (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *image_path = NULL, *warm_path = NULL;
  g_autoptr (GError) error = NULL;
  SandboxImageRef image = { 0 };

  driver_test_add_volume (host, "image.x.qcow2", "qcow2", MIB, NULL);
  image_path = driver_test_volume_path (host, "image.x.qcow2");
  image.disk = image_path;
  driver_test_add_volume (host, "warm.x.qcow2", "qcow2", MIB, image_path);
  warm_path = driver_test_volume_path (host, "warm.x.qcow2");
  driver_test_add_volume (host, "right.qcow2", "qcow2", MIB, image_path);
  driver_test_add_volume (host, "wrong.qcow2", "qcow2", MIB, warm_path);
  driver_test_add_volume (host, "alone.qcow2", "qcow2", MIB, NULL);
  g_assert_true (_sandbox_layer_check_below (host, "right.qcow2", &image, &error));
  g_assert_no_error (error);
  g_assert_false (_sandbox_layer_check_below (host, "wrong.qcow2", &image, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "warm.x.qcow2"));
  g_assert_false (_sandbox_layer_check_below (host, "alone.qcow2", &image, NULL));
  g_assert_false (_sandbox_layer_check_below (host, "gone.qcow2", &image, NULL));
}

static void
write_profile (const char *name, const char *text)
{
  g_autofree char *dir = g_build_filename (g_get_user_config_dir (), "vms", NULL);
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GError) error = NULL;

  g_mkdir_with_parents (dir, 0700);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

static void
add_layer (SandboxHost *host, const char *id, guint64 bytes)
{
  g_autofree char *disk = g_strconcat ("layer.", id, ".qcow2", NULL);
  g_autofree char *manifest = g_strconcat ("layer.", id, ".json", NULL);

  driver_test_add_volume (host, disk, "qcow2", bytes, NULL);
  driver_test_add_volume (host, manifest, "raw", MIB, NULL);
}

/* The layer that @profile's group @index makes on @parent, made at @time. (transfer full) */
static char *
make_layer (SandboxHost *host, SandboxProfile *profile, guint index, const char *parent,
            const char *time, guint64 bytes)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) groups = _sandbox_provision_groups (host, profile, &error);
  g_autofree char *digest = NULL;
  char *id;

  g_assert_no_error (error);
  digest = _sandbox_provision_digest (parent, groups->pdata[index],
                                      _sandbox_profile_values (profile), host->uid, host->gid);
  id = g_strconcat (digest, "-", time, NULL);
  add_layer (host, id, bytes);
  return id;
}

/* On which layer a new disk of @profile would stand, and whether that is all it needs. */
static void
assert_top (SandboxHost *host, SandboxProfile *profile, const char *id, gboolean whole)
{
  SandboxReport report = { NULL, NULL, "" };
  SandboxLayering layering = { .host = host, .profile = profile, .no_build = TRUE };
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxImageRef) image = g_new0 (SandboxImageRef, 1);
  g_autofree char *top = NULL, *last = NULL;

  image->id = g_strdup (IMAGE);
  image->disk = g_strdup ("/nowhere/image." IMAGE ".qcow2");
  layering.report = &report;
  g_assert_cmpint (_sandbox_layers_ensure (&layering, image, &last, NULL, &error), ==, whole);
  if (whole)
    g_assert_cmpstr (last, ==, id);
  else
    g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  top = _sandbox_layer_id_of_path (_sandbox_layer_top (image));
  g_assert_cmpstr (top, ==, id);
}

static SandboxProfile *
load (SandboxHost *host, const char *name)
{
  g_autoptr (GError) error = NULL;
  SandboxProfile *profile =
      sandbox_profile_load (sandbox_host_get_profile_dirs (host), name, &error);

  g_assert_no_error (error);
  return profile;
}

#define PROVISION "[provision]\npackages=jq\nnpm=left-pad\nsetup=s.sh\n"

/* An update that failed, or that is still at it, and another profile that begins a chain of its own
 * take nothing away that is whole. */
static void
test_chain (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxProfile) profile = NULL, small = NULL;
  g_autofree char *p1 = NULL, *n1 = NULL, *s1 = NULL, *p2 = NULL, *n2 = NULL, *s2 = NULL;

  write_profile ("s.sh", "echo one\n");
  write_profile ("a.profile", "[profile]\ninherits=base\n" PROVISION);
  write_profile ("small.profile", "[profile]\ninherits=base\n[machine]\ndisk=8GiB\n" PROVISION);
  profile = load (host, "a");
  small = load (host, "small");
  assert_top (host, profile, NULL, FALSE);
  p1 = make_layer (host, profile, 0, IMAGE, "20260301T000000", 10 * 1024 * MIB);
  assert_top (host, profile, p1, FALSE);
  n1 = make_layer (host, profile, 1, p1, "20260301T000001", 10 * 1024 * MIB);
  s1 = make_layer (host, profile, 2, n1, "20260301T000002", 10 * 1024 * MIB);
  assert_top (host, profile, s1, TRUE);
  assert_top (host, small, NULL, FALSE);
  /* a newer one, of which there is the beginning */
  p2 = make_layer (host, profile, 0, IMAGE, "20260302T000000", 8 * 1024 * MIB);
  assert_top (host, profile, s1, TRUE);
  assert_top (host, small, p2, FALSE);
  n2 = make_layer (host, profile, 1, p2, "20260302T000001", 8 * 1024 * MIB);
  assert_top (host, profile, s1, TRUE);
  /* of those that are whole the newest counts */
  s2 = make_layer (host, profile, 2, n2, "20260302T000002", 8 * 1024 * MIB);
  assert_top (host, profile, s2, TRUE);
  assert_top (host, small, s2, TRUE);
  /* of those that are not, the one with the least to do */
  g_assert_true (_sandbox_layer_remove_volumes (host, s1, NULL));
  g_assert_true (_sandbox_layer_remove_volumes (host, s2, NULL));
  g_assert_true (_sandbox_layer_remove_volumes (host, n2, NULL));
  assert_top (host, profile, n1, FALSE);
}

static gboolean
is_there (SandboxHost *host, const char *id)
{
  g_autofree char *disk = g_strconcat ("layer.", id, ".qcow2", NULL);
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, disk, NULL);
  gboolean there = volume != NULL;

  _sandbox_virt_volume_free (volume);
  return there;
}

static void
assert_repair (SandboxHost *host, gboolean remove, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) orphans = sandbox_host_repair (host, remove, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (orphans->len, ==, name != NULL ? 1 : 0);
  if (name != NULL)
    g_assert_cmpstr (((SandboxOrphan *)orphans->pdata[0])->name, ==, name);
}

/* What a killed builder has left is found without the file by which it was locked, too; what one is
 * at, by this user or another, is left alone. */
static void
test_halves (void)
{
  static const char *const old = DIGEST "-20260101T000000";
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *young = g_date_time_format (now, DIGEST "-%Y%m%dT%H%M%S");
  g_autofree char *old_disk = g_strconcat ("layer.", old, ".qcow2", NULL);
  g_autofree char *young_disk = g_strconcat ("layer.", young, ".qcow2", NULL);
  g_autofree char *word = g_strconcat ("layer-", young, NULL);
  g_autoptr (GError) error = NULL;
  sandbox_autofd int fd = _sandbox_layer_lock_fd (host, TRUE, &error);
  SandboxLock *lock;

  driver_test_add_volume (host, old_disk, "qcow2", MIB, NULL);
  driver_test_add_volume (host, young_disk, "qcow2", MIB, NULL);
  add_layer (host, DIGEST "-20260201T000000", MIB);
  /* a builder is at it */
  lock = sandbox_lock_acquire (fd, DIGEST ".lock", "test", 0, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  assert_repair (host, TRUE, NULL);
  g_assert_false (sandbox_host_remove_image (host, word, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  g_clear_error (&error);
  g_assert_true (is_there (host, old) && is_there (host, young));
  sandbox_lock_remove (lock);
  /* none of this user's */
  assert_repair (host, FALSE, old);
  g_assert_true (is_there (host, old));
  assert_repair (host, TRUE, old);
  g_assert_false (is_there (host, old));
  assert_repair (host, TRUE, NULL);
  g_assert_true (is_there (host, young));
  g_assert_true (sandbox_host_remove_image (host, word, NULL, &error));
  g_assert_no_error (error);
  g_assert_false (is_there (host, young));
  g_assert_false (sandbox_host_remove_image (host, word, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_assert_true (is_there (host, DIGEST "-20260201T000000"));
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/layers/size", test_layer_size);
  g_test_add_func ("/layers/below", test_layer_below);
  g_test_add_func ("/layers/chain", test_chain);
  g_test_add_func ("/layers/halves", test_halves);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
