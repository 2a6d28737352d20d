// SPDX-License-Identifier: LGPL-2.1-or-later
// Networks by name: ensure, stop, remove. Every verb is content with what is already so.

#include "base/xml.h"
#include "virt/virt-private.h"

#define ENSURE_TRIES 3

/* NULL with *ret_none TRUE and no error: there is no such network. */
static virNetworkPtr
find_network (virConnectPtr conn, const char *name, gboolean *ret_none, GError **error)
{
  virNetworkPtr network = virNetworkLookupByName (conn, name);

  *ret_none = !network && virGetLastErrorCode () == VIR_ERR_NO_NETWORK;
  if (!network && !*ret_none)
    _sandbox_virt_fail (error, "Cannot look for network %s", name);
  return network;
}

static gboolean
is_gone (void)
{
  return virGetLastErrorCode () == VIR_ERR_NO_NETWORK;
}

/* Redefining needs the UUID that the network has, and the MAC address of its bridge, of which
 * libvirt would make up another one each time. */
static char *
keep_identity (const char *old_xml, const char *new_xml, GError **error)
{
  g_autoptr (xmlDoc) old_doc = sandbox_xml_parse ("network XML of libvirt", old_xml, error);
  g_autoptr (xmlDoc) new_doc = old_doc ? sandbox_xml_parse ("network XML", new_xml, error) : NULL;
  xmlNode *old_root = NULL, *new_root = NULL;
  g_autofree char *uuid = NULL;
  g_autofree char *mac = NULL;

  if (!new_doc)
    return NULL;
  old_root = xmlDocGetRootElement (old_doc);
  new_root = xmlDocGetRootElement (new_doc);
  uuid = sandbox_xml_dup (old_root, "uuid", NULL);
  mac = sandbox_xml_dup (old_root, "mac", "address");
  if (uuid && !sandbox_xml_find (new_root, "uuid"))
    sandbox_xml_add_text (new_root, "uuid", uuid, NULL);
  if (mac && !sandbox_xml_find (new_root, "mac"))
    sandbox_xml_add (new_root, "mac", "address", mac, NULL);
  return sandbox_xml_to_string (new_doc);
}

/* As it is defined. The test driver knows no difference, and no flag for it. */
static char *
inactive_xml (virNetworkPtr network)
{
  char *xml = virNetworkGetXMLDesc (network, VIR_NETWORK_XML_INACTIVE);

  if (!xml && virGetLastErrorCode () == VIR_ERR_INVALID_ARG)
    xml = virNetworkGetXMLDesc (network, 0);
  return xml;
}

/* What libvirt shows of a running network and not of a defined one, although it is the same: the
 * ports of its address translation, unless they are others than by default. */
static void
drop_default_nat (xmlNode *root)
{
  xmlNode *nat = sandbox_xml_find (root, "forward/nat");
  xmlNode *port = nat ? sandbox_xml_find (nat, "port") : NULL;
  g_autofree char *first = port ? sandbox_xml_get_attr (port, "start") : NULL;
  g_autofree char *last = port ? sandbox_xml_get_attr (port, "end") : NULL;

  if (!port || g_strcmp0 (first, "1024") != 0 || g_strcmp0 (last, "65535") != 0)
    return;
  xmlUnlinkNode (port);
  xmlFreeNode (port);
  if (xmlChildElementCount (nat) > 0 || nat->properties)
    return;
  xmlUnlinkNode (nat);
  xmlFreeNode (nat);
}

static void
drop_blanks (xmlNode *node)
{
  for (xmlNode *child = node->children, *next = NULL; child; child = next)
    {
      next = child->next;
      if (xmlIsBlankNode (child))
        {
          xmlUnlinkNode (child);
          xmlFreeNode (child);
        }
      else if (child->type == XML_ELEMENT_NODE)
        drop_blanks (child);
    }
}

/* The XML in a form that can be compared, without the number of users; *ret_users gets that. */
static char *
read_xml (virNetworkPtr network, gboolean live, guint64 *ret_users, GError **error)
{
  const char *name = virNetworkGetName (network);
  char *xml = live ? virNetworkGetXMLDesc (network, 0) : inactive_xml (network);
  g_autoptr (xmlDoc) doc = NULL;
  g_autofree char *users = NULL;

  if (!xml)
    {
      _sandbox_virt_fail (error, "Cannot read the definition of network %s", name);
      return NULL;
    }
  doc = sandbox_xml_parse ("network XML of libvirt", xml, error);
  free (xml);
  if (!doc)
    return NULL;
  users = sandbox_xml_get_attr (xmlDocGetRootElement (doc), "connections");
  xmlUnsetProp (xmlDocGetRootElement (doc), BAD_CAST "connections");
  drop_default_nat (xmlDocGetRootElement (doc));
  drop_blanks (xmlDocGetRootElement (doc));
  if (ret_users)
    *ret_users = users ? g_ascii_strtoull (users, NULL, 10) : 0;
  return sandbox_xml_to_string (doc);
}

static gboolean
fail_in_use (const char *verb, const char *name, guint64 users, GError **error)
{
  return sandbox_fail (error, SANDBOX_ERROR_IN_USE,
                       "Cannot %s network %s: %" G_GUINT64_FORMAT
                       " running machine(s) use it; stop them first",
                       verb, name, users);
}

/* A network that runs as it was defined before is started again, unless somebody uses it. */
static gboolean
restart_if_changed (virNetworkPtr network, const char *name, GError **error)
{
  g_autofree char *live = NULL, *defined = NULL;
  guint64 users = 0;

  live = read_xml (network, TRUE, &users, error);
  if (!live)
    return FALSE;
  defined = read_xml (network, FALSE, NULL, error);
  if (!defined)
    return FALSE;
  if (g_str_equal (live, defined))
    return TRUE;
  if (users > 0)
    return fail_in_use ("change", name, users, error);
  if (virNetworkDestroy (network) < 0 && virNetworkIsActive (network) == 1)
    return _sandbox_virt_fail (error, "Cannot stop network %s to change it", name);
  return TRUE;
}

static gboolean
activate (virNetworkPtr network, const char *name, GError **error)
{
  virErrorPtr why = NULL;
  gboolean active;

  if (virNetworkIsActive (network) == 1 && !restart_if_changed (network, name, error))
    return FALSE;
  if (virNetworkIsActive (network) == 1 || virNetworkCreate (network) == 0)
    return TRUE;
  // another process may have started it just now
  why = virSaveLastError ();
  active = virNetworkIsActive (network) == 1;
  if (!active)
    {
      g_autofree char *doing = g_strdup_printf ("Cannot start network %s", name);

      _sandbox_virt_fail_with (error, why, doing);
    }
  virFreeError (why);
  return active;
}

/* The test driver does not, and while a network runs there it takes no other definition. */
static gboolean
shows_definition (virNetworkPtr network)
{
  g_autofree char *xml = virNetworkGetXMLDesc (network, VIR_NETWORK_XML_INACTIVE);

  return xml || virGetLastErrorCode () != VIR_ERR_INVALID_ARG;
}

/* One try: look, define. NULL with *ret_again TRUE and no error: another process was faster. */
static virNetworkPtr
define (virConnectPtr conn, const char *name, const char *xml, gboolean *ret_created,
        gboolean *ret_again, GError **error)
{
  g_autoptr (virNetwork) old = NULL;
  g_autofree char *old_xml = NULL, *full_xml = NULL;
  virNetworkPtr network = NULL;
  gboolean none;

  old = find_network (conn, name, &none, error);
  if (!old && !none)
    return NULL;
  if (old)
    {
      old_xml = read_xml (old, FALSE, NULL, error);
      full_xml = old_xml ? keep_identity (old_xml, xml, error) : NULL;
      if (!full_xml)
        return NULL;
      if (!shows_definition (old))
        virNetworkDestroy (old);
    }
  network = virNetworkDefineXMLFlags (conn, full_xml ? full_xml : xml, VIR_NETWORK_DEFINE_VALIDATE);
  if (network)
    {
      *ret_created = none;
      return network;
    }
  // it appeared, or went, between the look and the definition
  *ret_again = virGetLastErrorCode () == VIR_ERR_OPERATION_FAILED;
  _sandbox_virt_fail (error, "Cannot define network %s", name);
  return NULL;
}

gboolean
_sandbox_virt_network_ensure (SandboxVirt *virt, const char *name, const char *xml,
                              gboolean *ret_created, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virNetwork) network = NULL;
  g_autoptr (GError) local_error = NULL;
  gboolean created = FALSE;

  if (!conn)
    return FALSE;
  for (int i = 0; i < ENSURE_TRIES && !network; i++)
    {
      gboolean again = FALSE;

      g_clear_error (&local_error);
      network = define (conn, name, xml, &created, &again, &local_error);
      if (!again)
        break;
    }
  if (!network)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (!activate (network, name, error))
    {
      // failure leaves things as they were
      if (created)
        virNetworkUndefine (network);
      return FALSE;
    }
  if (ret_created)
    *ret_created = created;
  return TRUE;
}

/* Stops a network in hand; not running and gone are fine, used by a running domain is not: libvirt
 * would cut it off. */
static gboolean
stop (virNetworkPtr network, const char *name, const char *verb, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree char *xml = NULL;
  guint64 users = 0;

  if (virNetworkIsActive (network) == 0)
    return TRUE;
  xml = read_xml (network, TRUE, &users, &local_error);
  if (!xml && g_error_matches (local_error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return TRUE;
  if (!xml)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (users > 0)
    return fail_in_use (verb, name, users, error);
  if (virNetworkDestroy (network) == 0 || is_gone ())
    return TRUE;
  _sandbox_virt_fail (&local_error, "Cannot %s network %s", verb, name);
  if (virNetworkIsActive (network) == 0 || is_gone ())
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

gboolean
_sandbox_virt_network_stop (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virNetwork) network = NULL;
  gboolean none;

  if (!conn)
    return FALSE;
  network = find_network (conn, name, &none, error);
  return network ? stop (network, name, "stop", error) : none;
}

gboolean
_sandbox_virt_network_remove (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virNetwork) network = NULL;
  gboolean none;

  if (!conn)
    return FALSE;
  network = find_network (conn, name, &none, error);
  if (!network)
    return none;
  if (!stop (network, name, "remove", error))
    return FALSE;
  // one that was never defined, only started, went with its end
  if (virNetworkUndefine (network) == 0 || is_gone ())
    return TRUE;
  return _sandbox_virt_fail (error, "Cannot remove network %s", name);
}

char *
_sandbox_virt_network_xml (SandboxVirt *virt, const char *name, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (virNetwork) network = NULL;
  gboolean none;
  char *xml = NULL;

  if (!conn)
    return NULL;
  network = find_network (conn, name, &none, error);
  if (none)
    sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                  "Cannot read the definition of network %s: libvirt has none of that name", name);
  if (!network)
    return NULL;
  xml = inactive_xml (network);
  if (!xml)
    _sandbox_virt_fail (error, "Cannot read the definition of network %s", name);
  return xml;
}

static void
free_network (gpointer data)
{
  virNetworkFree (data);
}

GPtrArray *
_sandbox_virt_all_networks (virConnectPtr conn, GError **error)
{
  g_autoptr (GPtrArray) networks = g_ptr_array_new_with_free_func (free_network);
  virNetworkPtr *list = NULL;
  int count = virConnectListAllNetworks (conn, &list, 0);

  if (count < 0)
    {
      _sandbox_virt_fail (error, "Cannot list the networks");
      return NULL;
    }
  for (int i = 0; i < count; i++)
    g_ptr_array_add (networks, list[i]);
  free (list);
  return g_steal_pointer (&networks);
}

char **
_sandbox_virt_list_networks (SandboxVirt *virt, const char *prefix, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (GPtrArray) networks = conn ? _sandbox_virt_all_networks (conn, error) : NULL;
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();

  if (!networks)
    return NULL;
  for (guint i = 0; i < networks->len; i++)
    {
      const char *name = virNetworkGetName (networks->pdata[i]);

      if (name && g_str_has_prefix (name, prefix))
        g_strv_builder_add (names, name);
    }
  return g_strv_builder_end (names);
}
