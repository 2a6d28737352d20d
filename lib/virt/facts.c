// SPDX-License-Identifier: LGPL-2.1-or-later
// What the host can do, asked from libvirt and measured.

#include <string.h>
#include "base/xml.h"
#include "config.h"
#include "virt/virt-private.h"

#define MEMORY_STATS_MAX 16

/* TRUE if the domain capabilities list @value for the enumeration @name of @path. */
static gboolean
caps_list (xmlNode *root, const char *path, const char *name, const char *value)
{
  g_autofree char *enum_path = g_strconcat (path, "/enum", NULL);
  g_autoptr (GPtrArray) enums = sandbox_xml_find_all (root, enum_path);

  for (guint i = 0; i < enums->len; i++)
    {
      g_autofree char *enum_name = sandbox_xml_get_attr (enums->pdata[i], "name");
      g_autoptr (GPtrArray) values = NULL;

      if (g_strcmp0 (enum_name, name) != 0)
        continue;
      values = sandbox_xml_find_all (enums->pdata[i], "value");
      for (guint j = 0; j < values->len; j++)
        {
          g_autofree char *text = sandbox_xml_get_text (values->pdata[j]);

          if (g_strcmp0 (text, value) == 0)
            return TRUE;
        }
    }
  return FALSE;
}

/* The memory of the whole host: virNodeGetInfo counts one NUMA node wrongly on some virtual
 * machines, the statistics do not. The test driver knows only the former. */
static guint64
read_memory (virConnectPtr conn, const virNodeInfo *info)
{
  virNodeMemoryStats stats[MEMORY_STATS_MAX];
  int count = 0;

  // libvirt wants to be given exactly as many places as it has to fill
  if (virNodeGetMemoryStats (conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &count, 0) == 0
      && count <= MEMORY_STATS_MAX
      && virNodeGetMemoryStats (conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &count, 0) == 0)
    for (int i = 0; i < count; i++)
      if (g_str_equal (stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL))
        return stats[i].value * 1024;
  return (guint64)info->memory * 1024;
}

static gboolean
read_node (virConnectPtr conn, SandboxFacts *facts, GError **error)
{
  virNodeInfo info;
  unsigned long version = 0;

  if (virNodeGetInfo (conn, &info) < 0)
    return _sandbox_virt_fail (error, "Cannot read the processors and the memory of the host");
  facts->host_cpus = info.cpus;
  facts->host_memory_bytes = read_memory (conn, &info);
  if (virConnectGetLibVersion (conn, &version) < 0)
    return _sandbox_virt_fail (error, "Cannot read the version of libvirt");
  facts->libvirt_version = version;
  return TRUE;
}

static void
replace (char **text, char *value)
{
  g_free (*text);
  *text = value ? value : g_strdup ("");
}

xmlDoc *
_sandbox_virt_capabilities (virConnectPtr conn, GError **error)
{
  char *xml = virConnectGetCapabilities (conn);
  xmlDoc *doc = NULL;

  if (!xml)
    {
      _sandbox_virt_fail (error, "Cannot read the capabilities of the host");
      return NULL;
    }
  doc = sandbox_xml_parse ("capabilities of libvirt", xml, error);
  free (xml);
  return doc;
}

/* TRUE if libvirt offers @type for guests of the host's own architecture. */
static gboolean
guest_type_listed (xmlNode *capabilities, const char *arch, const char *type)
{
  g_autoptr (GPtrArray) arches = sandbox_xml_find_all (capabilities, "guest/arch");

  for (guint i = 0; i < arches->len; i++)
    {
      g_autofree char *name = sandbox_xml_get_attr (arches->pdata[i], "name");
      g_autoptr (GPtrArray) domains = sandbox_xml_find_all (arches->pdata[i], "domain");

      for (guint j = 0; j < domains->len && g_strcmp0 (name, arch) == 0; j++)
        {
          g_autofree char *domain_type = sandbox_xml_get_attr (domains->pdata[j], "type");

          if (g_strcmp0 (domain_type, type) == 0)
            return TRUE;
        }
    }
  return FALSE;
}

/* The test driver runs nothing and has no domain capabilities: what it can parse, it can "do". */
static SandboxFacts *
read_test_facts (SandboxVirt *virt, virConnectPtr conn, GError **error)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (xmlDoc) doc = _sandbox_virt_capabilities (conn, error);

  if (!doc || !read_node (conn, facts, error))
    return NULL;
  replace (&facts->driver, g_strdup ("TEST"));
  replace (&facts->arch, sandbox_xml_dup (xmlDocGetRootElement (doc), "host/cpu/arch", NULL));
  replace (&facts->emulator, NULL);
  replace (&facts->machine, NULL);
  replace (&facts->kvm_reason, g_strdup ("libvirt's test driver runs no machines"));
  facts->virtiofs = facts->memfd = TRUE;
  replace (&facts->share_helper, g_strdup (SANDBOX_SBINDIR "/vms-virtiofsd"));
  return g_steal_pointer (&facts);
}

/* libvirt lists virtiofs when QEMU can; the daemon is a package of its own on newer
 * distributions. Only this host's files can be looked at. */
static gboolean
have_virtiofsd (SandboxVirt *virt)
{
  static const char *const programs[] = { "/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd",
                                          "/usr/lib/virtiofsd", "/usr/bin/virtiofsd" };
  static const char *const dirs[] = { "/etc/qemu/vhost-user", "/usr/share/qemu/vhost-user" };

  if (_sandbox_virt_is_remote (virt))
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (programs); i++)
    if (g_file_test (programs[i], G_FILE_TEST_IS_EXECUTABLE))
      return TRUE;
  // installed elsewhere: libvirt finds it by its description
  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_autoptr (GDir) dir = g_dir_open (dirs[i], 0, NULL);
      const char *name = NULL;

      while (dir && (name = g_dir_read_name (dir)))
        if (strstr (name, "virtiofsd"))
          return TRUE;
    }
  return FALSE;
}

/* (transfer full) */
static char *
find_share_helper (SandboxVirt *virt)
{
  const char *path = SANDBOX_SBINDIR "/vms-virtiofsd";

  if (_sandbox_virt_is_remote (virt) || g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
    return g_strdup (path);
  return g_strdup ("");
}

static void
judge_kvm (SandboxVirt *virt, SandboxFacts *facts)
{
  g_autofree char *reason = NULL;

  if (!facts->kvm_listed)
    {
      replace (&facts->kvm_reason,
               g_strdup ("libvirt offers no KVM here: there is no /dev/kvm that works for QEMU"));
      return;
    }
  if (_sandbox_virt_is_remote (virt))
    {
      facts->kvm_usable = TRUE;
      replace (&facts->kvm_reason,
               g_strdup ("libvirt offers KVM; on a remote host its speed is not measured"));
      return;
    }
  facts->kvm_usable = _sandbox_kvm_probe (&reason, NULL);
  replace (&facts->kvm_reason, g_steal_pointer (&reason));
}

static gboolean
read_domain_caps (SandboxVirt *virt, virConnectPtr conn, SandboxFacts *facts, GError **error)
{
  const char *machine = g_str_equal (facts->arch, "x86_64") ? "q35" : "virt";
  char *xml = virConnectGetDomainCapabilities (conn, NULL, facts->arch, machine, "qemu", 0);
  g_autoptr (xmlDoc) doc = NULL;
  xmlNode *root = NULL;

  if (!xml)
    return _sandbox_virt_fail (error, "Cannot find out what QEMU can do on this host");
  doc = sandbox_xml_parse ("domain capabilities of libvirt", xml, error);
  free (xml);
  if (!doc)
    return FALSE;
  root = xmlDocGetRootElement (doc);
  replace (&facts->emulator, sandbox_xml_dup (root, "path", NULL));
  replace (&facts->machine, sandbox_xml_dup (root, "machine", NULL));
  facts->memfd = caps_list (root, "memoryBacking", "sourceType", "memfd");
  replace (&facts->share_helper, find_share_helper (virt));
  facts->virtiofs =
      caps_list (root, "devices/filesystem", "driverType", "virtiofs") && have_virtiofsd (virt);
  return TRUE;
}

static SandboxFacts *
read_qemu_facts (SandboxVirt *virt, virConnectPtr conn, GError **error)
{
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (xmlDoc) doc = _sandbox_virt_capabilities (conn, error);
  unsigned long version = 0;

  if (!doc || !read_node (conn, facts, error))
    return NULL;
  replace (&facts->driver, g_strdup ("QEMU"));
  replace (&facts->arch, sandbox_xml_dup (xmlDocGetRootElement (doc), "host/cpu/arch", NULL));
  if (!read_domain_caps (virt, conn, facts, error))
    return NULL;
  if (virConnectGetVersion (conn, &version) < 0)
    {
      _sandbox_virt_fail (error, "Cannot read the version of QEMU");
      return NULL;
    }
  facts->qemu_version = version;
  facts->kvm_listed = guest_type_listed (xmlDocGetRootElement (doc), facts->arch, "kvm");
  judge_kvm (virt, facts);
  return g_steal_pointer (&facts);
}

static gboolean
add_network_nets (virConnectPtr conn, SandboxFacts *facts, GError **error)
{
  g_autoptr (GPtrArray) networks = _sandbox_virt_all_networks (conn, error);

  if (!networks)
    return FALSE;
  for (guint i = 0; i < networks->len; i++)
    {
      const char *name = virNetworkGetName (networks->pdata[i]);
      char *xml = virNetworkGetXMLDesc (networks->pdata[i], 0);
      gboolean ok;

      // gone meanwhile
      if (!xml && virGetLastErrorCode () == VIR_ERR_NO_NETWORK)
        continue;
      if (!xml)
        return _sandbox_virt_fail (error, "Cannot read the definition of network %s", name);
      ok = _sandbox_virt_read_network_nets (facts, xml, error);
      free (xml);
      if (!ok)
        return FALSE;
    }
  return TRUE;
}

static char *
read_local_ports (void)
{
  g_autofree char *text = NULL;

  if (!g_file_get_contents ("/proc/sys/net/ipv4/ip_local_port_range", &text, NULL, NULL))
    return NULL;
  g_strstrip (text);
  return g_strdup (g_strdelimit (text, "\t ", '-'));
}

/* The networks and addresses of this host. Without them machines would be made all the same, with
 * a filter that lets them through to what it does not know. */
static gboolean
add_own_nets (SandboxFacts *facts, GError **error)
{
  g_autofree char *routes = NULL;
  g_autoptr (GError) problem = NULL;

  if (!g_file_get_contents ("/proc/net/route", &routes, NULL, &problem))
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "Cannot read the routes of this host, beside which a machine's network "
                         "has to find a place: %s",
                         problem->message);
  _sandbox_virt_read_routes (facts, routes);
  replace (&facts->local_ports, read_local_ports ());
  return _sandbox_virt_read_host_addresses (facts, routes, error);
}

/* What may change while the connection lasts. */
static gboolean
add_changing (SandboxVirt *virt, virConnectPtr conn, SandboxFacts *facts, GError **error)
{
  g_autoptr (virStoragePool) pool = NULL;

  if (!_sandbox_virt_is_remote (virt) && !_sandbox_virt_is_test (virt)
      && !add_own_nets (facts, error))
    return FALSE;
  if (!add_network_nets (conn, facts, error))
    return FALSE;
  pool = virStoragePoolLookupByName (conn, SANDBOX_POOL);
  if (pool)
    {
      char *xml = virStoragePoolGetXMLDesc (pool, 0);
      g_autoptr (xmlDoc) doc = xml ? sandbox_xml_parse ("storage pool XML", xml, NULL) : NULL;

      if (doc)
        replace (&facts->pool_path,
                 sandbox_xml_dup (xmlDocGetRootElement (doc), "target/path", NULL));
      free (xml);
    }
  else if (virGetLastErrorCode () != VIR_ERR_NO_STORAGE_POOL)
    return _sandbox_virt_fail (error, "Cannot look for the storage pool %s", SANDBOX_POOL);
  return TRUE;
}

SandboxFacts *
_sandbox_virt_facts (SandboxVirt *virt, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxFacts) facts = NULL;
  g_autoptr (virConnect) conn = NULL;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  facts = _sandbox_virt_cached_facts (
      virt, _sandbox_virt_is_test (virt) ? read_test_facts : read_qemu_facts, error);
  conn = facts ? _sandbox_virt_connection (virt, error) : NULL;
  if (!conn || !add_changing (virt, conn, facts, error))
    return NULL;
  return g_steal_pointer (&facts);
}

char *
_sandbox_virt_confinement (SandboxVirt *virt, GError **error)
{
  g_autoptr (virConnect) conn = _sandbox_virt_connection (virt, error);
  g_autoptr (xmlDoc) doc = conn ? _sandbox_virt_capabilities (conn, error) : NULL;
  g_autoptr (GPtrArray) models =
      doc ? sandbox_xml_find_all (xmlDocGetRootElement (doc), "host/secmodel") : NULL;

  for (guint i = 0; models && i < models->len; i++)
    {
      g_autofree char *model = sandbox_xml_dup (models->pdata[i], "model", NULL);

      if (g_strcmp0 (model, "apparmor") == 0 || g_strcmp0 (model, "selinux") == 0)
        return g_steal_pointer (&model);
    }
  return models ? g_strdup ("") : NULL;
}
