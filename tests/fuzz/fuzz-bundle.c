// SPDX-License-Identifier: LGPL-2.1-or-later
// Headers of bundles that a hostile guest sends: what is taken has names and object names that
// hold.
#include "fuzz.h"

#include <string.h>
#include "share/pull-private.h"

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxBundle) bundle = _sandbox_bundle_parse ((const char *)data, length, &error);

  if (!bundle)
    {
      g_assert_nonnull (error);
      return 0;
    }
  g_assert_cmpuint (bundle->pack_offset, <=, length);
  g_assert_cmpuint (bundle->refs->len, >, 0);
  g_assert_cmpuint (bundle->refs->len, <=, SANDBOX_PULL_REFS_MAX);
  for (guint i = 0; i < bundle->refs->len; i++)
    {
      const SandboxBundleRef *ref = bundle->refs->pdata[i];

      g_assert_true (_sandbox_is_object_id (ref->id, strlen (ref->id)));
      g_assert_cmpuint (strlen (ref->id), ==, bundle->id_length);
      g_assert_true (strcmp (ref->name, "HEAD") == 0 || _sandbox_ref_name_good (ref->name));
      g_assert_null (strstr (ref->name, ".."));
      g_assert_cmpint (ref->name[0], !=, '-');
    }
  return 0;
}
