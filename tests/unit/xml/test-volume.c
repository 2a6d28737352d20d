// SPDX-License-Identifier: LGPL-2.1-or-later
// Volume and pool XML: sizes, modes, and a backing file whose format is always said.
#include "../plan/support.h"

#include "base/xml.h"
#include "xml/xml-private.h"

/* Takes @text. */
static void
assert_values (char *text, const char *const expected[][3])
{
  g_autofree char *owned = text;
  g_autoptr (GError) error = NULL;
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("volume", owned, &error);

  g_assert_no_error (error);
  for (guint i = 0; expected[i][0]; i++)
    {
      g_autofree char *value =
          sandbox_xml_dup (xmlDocGetRootElement (doc), expected[i][0], expected[i][1]);

      g_assert_cmpstr (value, ==, expected[i][2]);
    }
}

static void
test_disk (void)
{
  static const char *const expected[][3] = {
    { "name", NULL, "vms-1000-work.qcow2" },
    { "capacity", NULL, "42949672960" },
    { "capacity", "unit", "bytes" },
    { "target/format", "type", "qcow2" },
    { "target/permissions/mode", NULL, "0600" },
    { "backingStore/path", NULL, "/images/1.qcow2" },
    { "backingStore/format", "type", "qcow2" },
    { NULL },
  };
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=base\n");

  assert_values (_sandbox_xml_disk_volume (plan), expected);
}

static void
test_disk_without_image (void)
{
  static const char *const expected[][3] = { { "backingStore", NULL, NULL }, { NULL } };
  g_autoptr (SandboxPlan) plan = support_plan ("[profile]\ninherits=base\n");

  *plan->image_disk = '\0';
  assert_values (_sandbox_xml_disk_volume (plan), expected);
}

/* The volume and the domain name the same secret, and neither has anything of it. */
static void
test_encrypted (void)
{
  static const char *const expected[][3] = {
    { "target/encryption", "format", "luks" },
    { "target/encryption/secret", "type", "passphrase" },
    { "target/format", "type", "qcow2" },
    { "backingStore/path", NULL, "/images/1.qcow2" },
    { NULL },
  };
  static const char *const of_secret[][3] = {
    { "uuid", NULL, "1d0cbf16-3a6f-5d5b-8d5b-8f1d6f1f0c11" },
    { "description", NULL, "vms-1000-work" },
    { "usage", NULL, NULL },
    { NULL },
  };
  g_autoptr (SandboxPlan) plan =
      support_plan ("[profile]\ninherits=base\n[machine]\nencrypt=yes\n");
  g_autofree char *volume = _sandbox_xml_disk_volume (plan), *domain = _sandbox_xml_domain (plan);
  g_autofree char *secret =
      _sandbox_xml_secret ("1d0cbf16-3a6f-5d5b-8d5b-8f1d6f1f0c11", "vms-1000-work");
  g_autofree char *uuid = g_strdup_printf ("uuid=\"%s\"", plan->uuid);

  assert_values (g_strdup (volume), expected);
  g_assert_nonnull (strstr (volume, uuid));
  g_assert_nonnull (strstr (domain, uuid));
  g_assert_nonnull (strstr (secret, "<secret ephemeral=\"yes\" private=\"yes\">"));
  assert_values (g_steal_pointer (&secret), of_secret);
}

static void
test_raw (void)
{
  static const char *const expected[][3] = {
    { "name", NULL, "a.seed" },         { "capacity", NULL, "18446744073709551615" },
    { "target/format", "type", "raw" }, { "target/permissions/mode", NULL, "0640" },
    { "backingStore", NULL, NULL },     { NULL },
  };

  assert_values (_sandbox_xml_raw_volume ("a.seed", G_MAXUINT64, 0640), expected);
}

static void
test_image (void)
{
  static const char *const expected[][3] = {
    { "name", NULL, "image.x.qcow2" },    { "capacity", NULL, "8589934592" },
    { "target/format", "type", "qcow2" }, { "target/permissions/mode", NULL, "0444" },
    { "backingStore", NULL, NULL },       { NULL },
  };

  static const char *const own[][3] = { { "target/permissions/mode", NULL, "0400" }, { NULL } };

  assert_values (_sandbox_xml_image_volume ("image.x.qcow2", G_GUINT64_CONSTANT (8) << 30, 0444),
                 expected);
  assert_values (_sandbox_xml_image_volume ("image.x.qcow2", 8, 0400), own);
}

static void
test_pool (void)
{
  static const char *const expected[][3] = {
    { "name", NULL, "vms" },
    { "target/path", NULL, "/pool" },
    { "target/permissions/mode", NULL, "0710" },
    { "target/permissions/owner", NULL, "0" },
    { "target/permissions/group", NULL, "64055" },
    { "uuid", NULL, NULL },
    { NULL },
  };
  static const char *const unknown[][3] = {
    { "uuid", NULL, "6e675e24-498e-4966-8e48-ca4342945e12" },
    { "target/permissions/mode", NULL, "0711" },
    { "target/permissions/group", NULL, NULL },
    { NULL },
  };

  assert_values (_sandbox_xml_pool ("vms", "/pool", NULL, 64055), expected);
  assert_values (_sandbox_xml_pool ("vms", "/pool", "6e675e24-498e-4966-8e48-ca4342945e12", -1),
                 unknown);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/volume/disk", test_disk);
  g_test_add_func ("/volume/disk-without-image", test_disk_without_image);
  g_test_add_func ("/volume/encrypted", test_encrypted);
  g_test_add_func ("/volume/raw", test_raw);
  g_test_add_func ("/volume/image", test_image);
  g_test_add_func ("/volume/pool", test_pool);
  return g_test_run ();
}
