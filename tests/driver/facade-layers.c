// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers of provisioning on libvirt's test driver, whose volumes have names, sizes and what they
// stand on, if no bytes: which of them a disk is made on.
#include "facade/provision-private.h"
#include "facade-driver.h"

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

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/layers/size", test_layer_size);
  g_test_add_func ("/layers/below", test_layer_below);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
