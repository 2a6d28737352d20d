// SPDX-License-Identifier: LGPL-2.1-or-later
// Passphrases as libvirt's secrets, for as long as libvirt needs one: kept in its memory only, and
// given to no client.
#include "virt/virt-private.h"
#include "xml/xml-private.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (virSecret, virSecretFree)

static gboolean
is_gone (void)
{
  return virGetLastErrorCode () == VIR_ERR_NO_SECRET;
}

gboolean
_sandbox_virt_secret_set (SandboxVirt *virt, const char *uuid, const char *description,
                          const void *value, gsize length, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autofree char *xml = _sandbox_xml_secret (uuid, description);
  g_autoptr (virSecret) secret = NULL;

  /* what a killed process left; also one that somebody made of that number, for all to read */
  if (!conn || !_sandbox_virt_secret_remove (virt, uuid, error))
    return FALSE;
  secret = virSecretDefineXML (conn, xml, 0);
  if (!secret)
    return _sandbox_virt_fail (error, "Cannot make room for the passphrase of %s", description);
  if (virSecretSetValue (secret, value, length, 0) == 0)
    return TRUE;
  _sandbox_virt_fail (error, "Cannot hand over the passphrase of %s", description);
  virSecretUndefine (secret);
  return FALSE;
}

gboolean
_sandbox_virt_secret_remove (SandboxVirt *virt, const char *uuid, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virSecret) secret = conn ? virSecretLookupByUUIDString (conn, uuid) : NULL;

  if (!conn)
    return FALSE;
  if (!secret)
    return is_gone () || _sandbox_virt_fail (error, "Cannot look for the secret %s", uuid);
  return virSecretUndefine (secret) == 0 || is_gone ()
         || _sandbox_virt_fail (error, "Cannot remove the secret %s", uuid);
}

/* What it is for; NULL when it is gone. */
static char *
describe (virSecretPtr secret)
{
  char *xml = virSecretGetXMLDesc (secret, 0);
  g_autoptr (xmlDoc) doc = xml ? sandbox_xml_parse ("secret XML of libvirt", xml, NULL) : NULL;

  free (xml);
  return doc ? sandbox_xml_dup (xmlDocGetRootElement (doc), "description", NULL) : NULL;
}

char **
_sandbox_virt_list_secrets (SandboxVirt *virt, const char *prefix, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  virSecretPtr *list = NULL;
  int count;

  if (!conn)
    return NULL;
  count = virConnectListAllSecrets (conn, &list, VIR_CONNECT_LIST_SECRETS_EPHEMERAL);
  if (count < 0)
    {
      _sandbox_virt_fail (error, "Cannot list the secrets of libvirt");
      return NULL;
    }
  for (int i = 0; i < count; i++)
    {
      g_autofree char *description = describe (list[i]);

      if (description && g_str_has_prefix (description, prefix))
        g_strv_builder_add (builder, description);
      virSecretFree (list[i]);
    }
  free (list);
  return g_strv_builder_end (builder);
}
