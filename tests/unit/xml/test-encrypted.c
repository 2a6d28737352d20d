// SPDX-License-Identifier: LGPL-2.1-or-later
// What may stand in the definition of a machine whose disk is encrypted: a secret by its number.
#include "../plan/support.h"

#include "xml/allowed.h"
#include "xml/xml-private.h"

#include <string.h>

static char *
replace (const char *text, const char *old, const char *new)
{
  const char *at = strstr (text, old);

  g_assert_nonnull (at);
  return g_strdup_printf ("%.*s%s%s", (int)(at - text), text, new, at + strlen (old));
}

/* An encrypted disk names a secret, and nothing else is allowed there. */
static void
test_encrypted (void)
{
  static const char *const wrong[][2] = {
    { "format=\"luks\"", "format=\"default\"" },
    { "format=\"luks\"", "format=\"luks\" engine=\"librbd\"" },
    { "type=\"passphrase\"", "type=\"volume\"" },
    { "</encryption>", "<secret type=\"passphrase\" usage=\"x\"/></encryption>" },
    { "</encryption>", "<cipher name=\"aes\" size=\"128\"/></encryption>" },
    { "</encryption>", "</encryption><reservations managed=\"yes\"/>" },
  };
  g_autoptr (SandboxPlan) plan =
      support_plan ("[profile]\ninherits=base\n[machine]\nencrypt=yes\n");
  g_autofree char *xml = _sandbox_xml_domain (plan);
  g_autofree char *live =
      replace (xml, "encryption format=\"luks\"", "encryption format=\"luks\" engine=\"qemu\"");
  g_autoptr (GError) error = NULL;

  _sandbox_xml_check_domain (xml, &error);
  g_assert_no_error (error);
  _sandbox_xml_check_defined (live, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autofree char *changed = replace (xml, wrong[i][0], wrong[i][1]);

      g_assert_false (_sandbox_xml_check_domain (changed, NULL));
      /* what libvirt fills in makes none of these allowed */
      g_assert_false (_sandbox_xml_check_defined (changed, NULL));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/encrypted", test_encrypted);
  return g_test_run ();
}
