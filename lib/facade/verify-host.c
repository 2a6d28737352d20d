// SPDX-License-Identifier: LGPL-2.1-or-later
// What this host knows without asking the guest, and tells every user: its addresses, what its
// kernel has learned from a bridge, how QEMU runs, and which devices it was given.
#include "base/xml.h"
#include "facade/verify-private.h"
#include "xml/allowed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_bridge.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Numbers that people have; between these and NOBODY are some of Debian's system users, and those
 * that systemd makes for services. */
#define FIRST_USER  1000
#define LAST_USER   60513
#define NOBODY      65534
#define LIBVIRT_RUN "/run/libvirt/qemu"

/* Addresses of a machine's /29 that nobody has: the gateway is .1, the guest .2. */
#define FIRST_FREE 3
#define LAST_FREE  6

gboolean
_sandbox_verify_find_addresses (SandboxVerifyScene *scene, GError **error)
{
  struct ifaddrs *list = NULL;

  if (getifaddrs (&list) < 0)
    return sandbox_fail_errno (error, errno, "verify: listing the addresses of this host");
  for (const struct ifaddrs *item = list; item != NULL; item = item->ifa_next)
    {
      const struct sockaddr_in *in = (const struct sockaddr_in *)(gpointer)item->ifa_addr;
      const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(gpointer)item->ifa_addr;

      if (in == NULL || (item->ifa_flags & IFF_LOOPBACK))
        continue;
      if (in->sin_family == AF_INET
          && ntohl (in->sin_addr.s_addr) != scene->plan->subnet.address + 1)
        {
          guint32 address = ntohl (in->sin_addr.s_addr);

          if (scene->host_addresses->len < SANDBOX_VERIFY_ADDRESSES_MAX)
            g_array_append_val (scene->host_addresses, address);
          else
            scene->n_untried++;
        }
      else if (in->sin_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL (&in6->sin6_addr))
        {
          if (scene->host_addresses6->len < SANDBOX_VERIFY_ADDRESSES6_MAX)
            g_array_append_val (scene->host_addresses6, in6->sin6_addr);
          else
            scene->n_untried6++;
        }
    }
  freeifaddrs (list);
  return TRUE;
}

/* Of the kernel's routes: "DEVICE DESTINATION GATEWAY ..." in the machine's byte order. */
void
_sandbox_verify_find_gateway (SandboxVerifyScene *scene)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents ("/proc/net/route", &text, NULL, NULL))
    return;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      g_auto (GStrv) words = g_strsplit_set (*line, "\t ", -1);
      SandboxVerifyTarget target = { 0 };
      guint64 address;

      if (g_strv_length (words) < 3 || strcmp (words[1], "00000000") != 0
          || !g_ascii_string_to_unsigned (words[2], 16, 1, G_MAXUINT32, &address, NULL))
        continue;
      target.address = ntohl ((guint32)address);
      g_array_append_val (scene->lan, target);
      return;
    }
}

guint64
_sandbox_verify_count_ipv6 (const char *bridge)
{
  g_autofree char *path = g_strdup_printf ("/proc/net/dev_snmp6/%s", bridge), *text = NULL;
  const char *found;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  found = strstr (text, "Ip6InReceives");
  return found != NULL ? g_ascii_strtoull (found + strlen ("Ip6InReceives"), NULL, 10) : 0;
}

static void
note (GPtrArray *probes, const char *property)
{
  for (guint i = 0; i < probes->len; i++)
    {
      SandboxProbe *probe = probes->pdata[i];

      probe->seen |= strcmp (probe->property, property) == 0;
    }
}

static gboolean
has_neighbour (const char *bridge, guint32 address)
{
  g_autofree char *wanted = sandbox_address_format (address), *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents ("/proc/net/arp", &text, NULL, NULL))
    return FALSE;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      gsize length = strcspn (*line, " ");

      if (length == strlen (wanted) && memcmp (*line, wanted, length) == 0
          && g_str_has_suffix (*line, bridge))
        return TRUE;
    }
  return FALSE;
}

/* An address that the host does not know yet; @other: is taken. The last one, when it knows all. */
static guint32
choose_address (const SandboxVerifyScene *scene, guint32 other, gboolean *ret_known)
{
  guint32 address = 0;

  *ret_known = TRUE;
  for (guint i = FIRST_FREE; i <= LAST_FREE && *ret_known; i++)
    {
      if (scene->plan->subnet.address + i == other)
        continue;
      address = scene->plan->subnet.address + i;
      *ret_known = has_neighbour (scene->plan->bridge, address);
    }
  return address;
}

void
_sandbox_verify_choose_spoofs (SandboxVerifyScene *scene)
{
  scene->spoofed_address = choose_address (scene, 0, &scene->address_known);
  scene->spoofed_arp = choose_address (scene, scene->spoofed_address, &scene->arp_known);
  memcpy (scene->spoofed_mac, scene->own_mac, sizeof scene->spoofed_mac);
  /* another last byte; not that of the gateway either, which differs in the lowest bit */
  scene->spoofed_mac[5] ^= (guint8)(g_random_int_range (1, 128) << 1);
}

/* A bridge remembers who sent through which port, unless the filter dropped it before. */
static gboolean
bridge_knows (const char *bridge, const guint8 mac[6])
{
  g_autofree char *path = g_strdup_printf ("/sys/class/net/%s/brforward", bridge), *data = NULL;
  gsize length = 0;

  if (!g_file_get_contents (path, &data, &length, NULL))
    return FALSE;
  for (gsize i = 0; i + sizeof (struct __fdb_entry) <= length; i += sizeof (struct __fdb_entry))
    if (memcmp (data + i + offsetof (struct __fdb_entry, mac_addr), mac, 6) == 0)
      return TRUE;
  return FALSE;
}

void
_sandbox_verify_look_at_neighbours (const SandboxVerifyScene *scene, GPtrArray *probes,
                                    const char *bridge)
{
  for (guint i = 0; i < probes->len; i++)
    {
      SandboxProbe *probe = probes->pdata[i];

      probe->blind = (scene->address_known && strcmp (probe->property, "spoof-address") == 0)
                     || (scene->arp_known && strcmp (probe->property, "spoof-arp") == 0);
    }
  /* An entry without a card is one that the host looked for, to answer it. */
  if (!scene->address_known && has_neighbour (bridge, scene->spoofed_address))
    note (probes, "spoof-address");
  if (!scene->arp_known && has_neighbour (bridge, scene->spoofed_arp))
    note (probes, "spoof-arp");
  if (bridge_knows (bridge, scene->spoofed_mac))
    note (probes, "spoof-mac");
  if (_sandbox_verify_count_ipv6 (bridge) > scene->ipv6_before)
    note (probes, "ipv6");
}

/* --- the domain */

/* On its own network, and behind its own filter. */
static gboolean
card_allowed (xmlNode *device, const char *object)
{
  g_autofree char *type = sandbox_xml_get_attr (device, "type");
  g_autofree char *network = sandbox_xml_dup (device, "source", "network");
  g_autofree char *filter = sandbox_xml_dup (device, "filterref", "filter");

  return g_strcmp0 (type, "network") == 0 && g_strcmp0 (network, object) == 0
         && g_strcmp0 (filter, object) == 0;
}

char *
_sandbox_verify_foreign_element (const char *xml, const char *object)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (xmlDoc) doc = NULL;
  g_autoptr (GPtrArray) cards = NULL;

  if (!_sandbox_xml_check_defined (xml, &local)
      || (doc = sandbox_xml_parse ("domain XML of libvirt", xml, &local)) == NULL)
    return g_strdup (local->message);
  cards = sandbox_xml_find_all (xmlDocGetRootElement (doc), "devices/interface");
  for (guint i = 0; i < cards->len; i++)
    if (!card_allowed (cards->pdata[i], object))
      return g_strdup ("a network card on another network, or without the machine's filter");
  return NULL;
}

static gboolean
feature_is_off (xmlNode *root, const char *wanted)
{
  g_autoptr (GPtrArray) features = sandbox_xml_find_all (root, "cpu/feature");

  for (guint i = 0; i < features->len; i++)
    {
      g_autofree char *name = sandbox_xml_get_attr (features->pdata[i], "name");
      g_autofree char *policy = sandbox_xml_get_attr (features->pdata[i], "policy");

      if (g_strcmp0 (name, wanted) == 0)
        return g_strcmp0 (policy, "disable") == 0;
    }
  return FALSE;
}

/* With a processor model of its own (emulation), what is not listed is not there; the host's own
 * has everything that is not taken away. */
gboolean
_sandbox_verify_is_nested (const char *xml)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain XML of libvirt", xml, NULL);
  xmlNode *root = doc != NULL ? xmlDocGetRootElement (doc) : NULL;
  g_autofree char *mode = root != NULL ? sandbox_xml_dup (root, "cpu", "mode") : NULL;

  if (root == NULL || !feature_is_off (root, "svm"))
    return TRUE;
  return g_strcmp0 (mode, "custom") != 0 && !feature_is_off (root, "vmx");
}

/* --- QEMU's process */

static gboolean
says_guest (const char *process, const char *object)
{
  g_autofree char *wanted = g_strdup_printf ("guest=%s,", object);
  g_autofree char *path = g_strconcat (process, "/cmdline", NULL), *text = NULL;
  gsize length = 0;

  if (!g_file_get_contents (path, &text, &length, NULL))
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (text[i] == '\0')
      text[i] = ' ';
  return strstr (text, "qemu") != NULL && strstr (text, wanted) != NULL;
}

static gboolean
is_system_user (uid_t uid)
{
  return uid < FIRST_USER || (uid > LAST_USER && uid < NOBODY);
}

/* A command line says what its process likes. Believed is the emulator itself, where we may see
 * that, and a user that no ordinary one can be: root, QEMU's, the caller. */
static gboolean
may_be_qemu (const char *process, const char *emulator)
{
  g_autofree char *path = g_strconcat (process, "/exe", NULL);
  g_autofree char *exe = g_file_read_link (path, NULL);
  g_autofree char *wanted = emulator != NULL ? realpath (emulator, NULL) : NULL;
  struct stat info;

  if (exe != NULL && g_strcmp0 (exe, wanted) == 0)
    return TRUE;
  return stat (process, &info) == 0 && (is_system_user (info.st_uid) || info.st_uid == geteuid ());
}

/* As libvirt says, where it says it to us; NULL: it does not. */
static char *
process_of_libvirt (const char *object)
{
  g_autofree char *path = g_strdup_printf (LIBVIRT_RUN "/%s.pid", object), *text = NULL;
  guint64 pid;

  if (!g_file_get_contents (path, &text, NULL, NULL)
      || !g_ascii_string_to_unsigned (g_strstrip (text), 10, 1, G_MAXINT, &pid, NULL))
    return NULL;
  return g_strdup_printf ("/proc/%u", (guint)pid);
}

/* "/proc/123" of the QEMU that runs @object; NULL: not found. */
static char *
find_process (const char *object, const char *emulator)
{
  g_autofree char *told = process_of_libvirt (object);
  g_autoptr (GDir) dir = g_dir_open ("/proc", 0, NULL);
  const char *name;

  if (told != NULL && says_guest (told, object))
    return g_steal_pointer (&told);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *process = g_strdup_printf ("/proc/%s", name);

      if (g_ascii_isdigit (*name) && says_guest (process, object)
          && may_be_qemu (process, emulator))
        return g_steal_pointer (&process);
    }
  return NULL;
}

static char *
emulator_of (const char *xml)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain XML of libvirt", xml, NULL);

  return doc != NULL ? sandbox_xml_dup (xmlDocGetRootElement (doc), "devices/emulator", NULL)
                     : NULL;
}

static void
check_seccomp (const char *process, const char *target, GPtrArray *findings)
{
  g_autofree char *path = g_strconcat (process, "/status", NULL), *text = NULL;
  const char *found =
      g_file_get_contents (path, &text, NULL, NULL) ? strstr (text, "\nSeccomp:\t") : NULL;

  if (found == NULL)
    _sandbox_finding_add (findings, "seccomp", target, "on", SANDBOX_VERDICT_UNKNOWN,
                          "%s cannot be read", path);
  else if (found[strlen ("\nSeccomp:\t")] == '2')
    _sandbox_finding_add (findings, "seccomp", target, "on", SANDBOX_VERDICT_PASS, "on");
  else
    _sandbox_finding_add (findings, "seccomp", target, "on", SANDBOX_VERDICT_FAIL,
                          "off: set seccomp_sandbox=1 in /etc/libvirt/qemu.conf");
}

static void
check_user (const char *process, const char *target, GPtrArray *findings)
{
  struct stat info;

  if (stat (process, &info) < 0)
    _sandbox_finding_add (findings, "qemu-user", target, "not root", SANDBOX_VERDICT_UNKNOWN,
                          "%s cannot be looked at", process);
  else
    _sandbox_finding_add (findings, "qemu-user", target, "not root",
                          info.st_uid != 0 ? SANDBOX_VERDICT_PASS : SANDBOX_VERDICT_FAIL,
                          info.st_uid != 0 ? "not root"
                                           : "root: set user= in /etc/libvirt/qemu.conf");
}

/* @model: what libvirt says that it confines with, "" for nothing. */
static void
check_confinement (const char *xml, const char *model, const char *target, GPtrArray *findings)
{
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain XML of libvirt", xml, NULL);
  g_autoptr (GPtrArray) labels =
      doc != NULL ? sandbox_xml_find_all (xmlDocGetRootElement (doc), "seclabel") : NULL;

  if (*model == '\0')
    {
      _sandbox_finding_add (findings, "confinement", target, "on", SANDBOX_VERDICT_UNKNOWN,
                            "libvirt on this host uses neither: a hole in QEMU would have all "
                            "rights of QEMU's user");
      return;
    }
  for (guint i = 0; labels != NULL && i < labels->len; i++)
    {
      g_autofree char *found = sandbox_xml_get_attr (labels->pdata[i], "model");
      g_autofree char *type = sandbox_xml_get_attr (labels->pdata[i], "type");

      if (g_strcmp0 (found, model) == 0 && g_strcmp0 (type, "dynamic") == 0)
        {
          _sandbox_finding_add (findings, "confinement", target, "on", SANDBOX_VERDICT_PASS, "%s",
                                model);
          return;
        }
    }
  _sandbox_finding_add (findings, "confinement", target, "on", SANDBOX_VERDICT_FAIL,
                        "off for this machine, though libvirt has %s", model);
}

void
_sandbox_verify_check_domain (const char *xml, const char *object, const char *model,
                              const char *target, GPtrArray *findings)
{
  g_autofree char *foreign = _sandbox_verify_foreign_element (xml, object);
  g_autofree char *emulator = emulator_of (xml);
  g_autofree char *process = find_process (object, emulator);
  gboolean nested = _sandbox_verify_is_nested (xml);

  _sandbox_finding_add (findings, "devices", target, "virtio only",
                        foreign == NULL ? SANDBOX_VERDICT_PASS : SANDBOX_VERDICT_FAIL, "%s",
                        foreign == NULL ? "virtio only" : foreign);
  _sandbox_finding_add (findings, "nested", target, "off",
                        nested ? SANDBOX_VERDICT_FAIL : SANDBOX_VERDICT_PASS,
                        nested ? "on" : "off");
  check_confinement (xml, model, target, findings);
  if (process == NULL)
    {
      _sandbox_finding_add (findings, "seccomp", target, "on", SANDBOX_VERDICT_UNKNOWN,
                            "QEMU's process is not visible");
      return;
    }
  check_seccomp (process, target, findings);
  check_user (process, target, findings);
}
