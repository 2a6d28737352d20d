// SPDX-License-Identifier: LGPL-2.1-or-later
// The names and numbers of a machine that follow from who owns it and what it is called.
#include "plan/plan-internal.h"

#include "base/names.h"

#include <string.h>

#define DEFAULT_OWNER "vms"

/* Everything below is a function of this text: changing it would orphan every machine there is. */
static char *
identity_text (guint uid, const char *owner, const char *name)
{
  return g_strdup_printf ("%u/%s/%s", uid, owner, name);
}

static char *
object_prefix (guint uid, const char *owner)
{
  if (g_str_equal (owner, DEFAULT_OWNER))
    return g_strdup_printf ("vms-%u-", uid);
  return g_strdup_printf ("vms-%u-%s.", uid, owner);
}

char *
_sandbox_object_name (guint uid, const char *owner, const char *name)
{
  g_autofree char *prefix = object_prefix (uid, owner);

  return g_strconcat (prefix, name, NULL);
}

char *
_sandbox_object_parse (guint uid, const char *owner, const char *object)
{
  g_autofree char *prefix = object_prefix (uid, owner);
  const char *name = object + strlen (prefix);

  /* Names hold no dot, so that another owner's "OWNER.NAME" never passes for a name of ours. */
  if (!g_str_has_prefix (object, prefix) || !sandbox_name_check_form ("machine", name, NULL))
    return NULL;
  return g_strdup (name);
}

void
_sandbox_object_uuid (guint uid, const char *owner, const char *name, char ret_uuid[37])
{
  g_autofree char *text = identity_text (uid, owner, name);

  sandbox_uuid5 (text, ret_uuid);
}

void
_sandbox_identity_derive (guint uid, const char *owner, const char *name,
                          SandboxDerived *ret_derived)
{
  g_autofree char *text = identity_text (uid, owner, name);
  g_autoptr (GChecksum) sha256 = g_checksum_new (G_CHECKSUM_SHA256);
  guint8 hash[32];
  gsize length = sizeof hash;

  g_checksum_update (sha256, (const guchar *)text, (gssize)strlen (text));
  g_checksum_get_digest (sha256, hash, &length);
  g_snprintf (ret_derived->bridge, sizeof ret_derived->bridge, "vms%02x%02x%02x%02x%02x", hash[0],
              hash[1], hash[2], hash[3], hash[4]);
  /* even: the odd one next to it is the gateway's, so that the two can never be equal */
  g_snprintf (ret_derived->mac, sizeof ret_derived->mac, "52:54:00:%02x:%02x:%02x", hash[5],
              hash[6], hash[7] & 0xfe);
  ret_derived->position = (guint32)hash[8] << 8 | hash[9];
}
