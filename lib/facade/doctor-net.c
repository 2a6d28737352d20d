// SPDX-License-Identifier: LGPL-2.1-or-later
// Checks of what else filters, routes or translates packets here. The kernel's rules themselves
// only root may read: for others they are unknown, and said to be.
#include "config.h"
#include "facade/doctor.h"

#include "base/guard.h"
#include "base/netrule.h"

#include <string.h>
#include <unistd.h>

#define SETTING      "net.bridge.bridge-nf-call-iptables"
#define MODULES_FILE "/etc/modules-load.d/libsandbox.conf"
#define SYSCTL_FILE  "/etc/sysctl.d/60-libsandbox.conf"
#define RULES_FILE   "/etc/libsandbox/ports.nft"
#define UNIT         "libsandbox-ports.service"
#define UNIT_FILE    "/etc/systemd/system/" UNIT
#define NETWORK_CONF "/etc/libvirt/network.conf"
#define MACHINE_NETS "10.213.0.0/16"
#define UFW_CONF     "/etc/ufw/ufw.conf"

/* --- bridged packets are shown to iptables */

/* What the file says of SETTING last: '0', '1', or 0 for nothing. */
static char
setting_in_file (const char *path)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  char value = 0;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      g_auto (GStrv) parts = g_strsplit (g_strdelimit (*line, "/", '.'), "=", 2);

      if (g_strv_length (parts) != 2)
        continue;
      g_strstrip (parts[0]);
      g_strstrip (parts[1]);
      if (g_str_equal (parts[0][0] == '-' ? parts[0] + 1 : parts[0], SETTING) && *parts[1] != '\0')
        value = *parts[1];
    }
  return value;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* What the next boot sets, as sysctl.d(5) has it: by file name over all directories, where /etc
 * hides /run hides /usr; then sysctl.conf. *@ret_path: the file that decides. */
static char
setting_at_boot (char **ret_path)
{
  static const char *const dirs[] = { "/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d",
                                      "/usr/lib/sysctl.d" };
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) paths = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  char value = setting_in_file ("/etc/sysctl.conf");

  *ret_path = value != 0 ? g_strdup ("/etc/sysctl.conf") : NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_autoptr (GDir) dir = g_dir_open (dirs[i], 0, NULL);
      const char *name;

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        if (g_str_has_suffix (name, ".conf") && !g_hash_table_contains (paths, name))
          {
            g_ptr_array_add (names, g_strdup (name));
            g_hash_table_insert (paths, names->pdata[names->len - 1],
                                 g_build_filename (dirs[i], name, NULL));
          }
    }
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    {
      const char *path = g_hash_table_lookup (paths, names->pdata[i]);
      char here = setting_in_file (path);

      if (here == 0 || (*ret_path != NULL && g_str_equal (*ret_path, "/etc/sysctl.conf")))
        continue;
      value = here;
      g_free (*ret_path);
      *ret_path = g_strdup (path);
    }
  return value;
}

static void
add_boot_steps (SandboxCheck *check)
{
  _sandbox_check_step (check, TRUE, NULL, "mkdir", "-p", "/etc/modules-load.d", "/etc/sysctl.d",
                       NULL);
  _sandbox_check_step (check, TRUE, "br_netfilter\n", "tee", MODULES_FILE, NULL);
  _sandbox_check_step (check, TRUE, SETTING "=1\n", "tee", SYSCTL_FILE, NULL);
}

void
_sandbox_doctor_bridge_netfilter (SandboxDoctor *doctor)
{
  g_autofree char *path = NULL;
  char at_boot = setting_at_boot (&path);
  SandboxCheck *check;

  if (!_sandbox_virt_bridge_filtered ())
    {
      check = _sandbox_doctor_add (doctor, "bridge-netfilter", SANDBOX_CHECK_ERROR,
                                   "the kernel does not filter bridged packets: half of the "
                                   "machines' network filter would not work, so none is started");
      add_boot_steps (check);
      if (!g_file_test ("/proc/sys/net/bridge", G_FILE_TEST_IS_DIR))
        _sandbox_check_step (check, TRUE, NULL, "modprobe", "br_netfilter", NULL);
      _sandbox_check_step (check, TRUE, NULL, "sysctl", SETTING "=1", NULL);
      return;
    }
  _sandbox_doctor_add (doctor, "bridge-netfilter", SANDBOX_CHECK_GOOD,
                       "the kernel filters bridged packets");
  if (at_boot == '1')
    return;
  if (at_boot != 0 && !g_str_equal (path, SYSCTL_FILE))
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "bridge-netfilter-boot", SANDBOX_CHECK_WARNING,
                             "%s turns the kernel's filter for bridged packets off at the next "
                             "boot: no machine will start then",
                             path),
        "see who wrote %s and why, and have it say " SETTING "=1", path);
  else
    {
      check = _sandbox_doctor_add (doctor, "bridge-netfilter-boot", SANDBOX_CHECK_WARNING,
                                   "the kernel filters bridged packets now, but no file says so "
                                   "for the next boot: no machine may start then");
      add_boot_steps (check);
    }
}

/* --- the rules that libvirt's filters cannot hold */

/* Without comments and blanks, which may differ. */
static char *
normal_rules (const char *path)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  GString *normal;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return NULL;
  lines = g_strsplit (text, "\n", -1);
  normal = g_string_new (NULL);
  for (char **line = lines; *line != NULL; line++)
    {
      g_strstrip (*line);
      if (**line != '#' && **line != '\0')
        g_string_append_printf (normal, "%s\n", *line);
    }
  return g_string_free (normal, FALSE);
}

static void
add_ports_steps (SandboxDoctor *doctor, SandboxCheck *check)
{
  g_autofree char *rules = g_build_filename (doctor->shipped_dir, "host", "ports.nft", NULL);
  g_autofree char *unit = g_build_filename (doctor->shipped_dir, "host", UNIT, NULL);
  g_autofree char *nft = sandbox_find_program ("nft");

  if (nft == NULL)
    _sandbox_check_install (check, SANDBOX_PACKAGE_NFTABLES);
  _sandbox_check_step (check, TRUE, NULL, "install", "-D", "-m", "644", rules, RULES_FILE, NULL);
  _sandbox_check_step (check, TRUE, NULL, "nft", "-f", RULES_FILE, NULL);
  if (!sandbox_have_systemd ())
    return;
  _sandbox_check_step (check, TRUE, NULL, "install", "-m", "644", unit, UNIT_FILE, NULL);
  _sandbox_check_step (check, TRUE, NULL, "systemctl", "daemon-reload", NULL);
  _sandbox_check_step (check, TRUE, NULL, "systemctl", "enable", "--now", UNIT, NULL);
}

void
_sandbox_doctor_ports (SandboxDoctor *doctor)
{
  g_autofree char *shipped_path = g_build_filename (doctor->shipped_dir, "host", "ports.nft", NULL);
  g_autofree char *shipped = normal_rules (shipped_path), *installed = normal_rules (RULES_FILE);
  g_autofree char *loaded = NULL;
  gboolean enabled =
      g_file_test ("/etc/systemd/system/multi-user.target.wants/" UNIT, G_FILE_TEST_IS_SYMLINK);
  const char *problem = NULL;

  if (installed == NULL)
    problem = "is not there";
  else if (shipped != NULL && !g_str_equal (installed, shipped))
    problem = "is not that of this version";
  else if (sandbox_have_systemd () && !enabled)
    problem = "is not loaded at boot (" UNIT " is not enabled)";
  else if (geteuid () == 0)
    {
      loaded = _sandbox_doctor_output (doctor, FALSE, "nft", "list", "chain", "inet", "libsandbox",
                                       "ports", NULL);
      if (loaded == NULL || strstr (loaded, "drop") == NULL)
        problem = "is not loaded";
    }
  if (problem != NULL)
    add_ports_steps (
        doctor, _sandbox_doctor_add (doctor, "ports", SANDBOX_CHECK_WARNING,
                                     RULES_FILE
                                     " %s: frames that a machine sends to its bridge's own group "
                                     "addresses get past libvirt's filters to this host, and so "
                                     "does what goes to an address that it gets later",
                                     problem));
  else if (loaded != NULL)
    _sandbox_doctor_add (doctor, "ports", SANDBOX_CHECK_GOOD, RULES_FILE " is loaded");
  else
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "ports", SANDBOX_CHECK_UNKNOWN,
                             RULES_FILE " is there%s; whether it is loaded now only root sees",
                             enabled ? " and is loaded at boot" : ""),
        "sudo nft -f " RULES_FILE " (loads it; may be done at any time)");
}

void
_sandbox_doctor_guard (SandboxDoctor *doctor)
{
  int pid = sandbox_guard_pid ();
  SandboxCheck *check;

  if (pid != 0)
    {
      _sandbox_doctor_add (doctor, "guard", SANDBOX_CHECK_GOOD,
                           "vms-guard runs (pid %d): it pauses machines that lose their packet "
                           "filter rules",
                           pid);
      return;
    }
  check = _sandbox_doctor_add (doctor, "guard", SANDBOX_CHECK_WARNING,
                               "vms-guard does not run: who flushes this host's packet filter "
                               "rules opens the machines");
  if (sandbox_have_systemd ())
    _sandbox_check_step (check, TRUE, NULL, "systemctl", "enable", "--now", "vms-guard", NULL);
  else
    /* no step: it would not last, and a fix does */
    _sandbox_check_advise (check,
                           "sudo setsid -f " SANDBOX_SBINDIR "/vms-guard, again after each boot");
}

/* --- others who write rules */

static gboolean
is_ufw_on (void)
{
  g_autofree char *text = NULL;

  return g_file_get_contents (UFW_CONF, &text, NULL, NULL)
         && g_regex_match_simple ("^ENABLED=[\"']?yes", text, G_REGEX_MULTILINE | G_REGEX_CASELESS,
                                  0);
}

void
_sandbox_doctor_firewalls (SandboxDoctor *doctor)
{
  gboolean firewalld = _sandbox_doctor_has_process ("firewalld"), ufw = is_ufw_on ();
  gboolean nftables = g_file_test ("/etc/systemd/system/sysinit.target.wants/nftables.service",
                                   G_FILE_TEST_IS_SYMLINK);

  if (firewalld)
    _sandbox_check_advise (
        _sandbox_doctor_add (
            doctor, "firewalld", SANDBOX_CHECK_NOTE,
            "firewalld runs: when it is reloaded, rules of running machines may be "
            "lost"),
        "after `firewall-cmd --reload`: sudo nft -f " RULES_FILE " && vms restart NAME...");
  if (ufw)
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "ufw", SANDBOX_CHECK_WARNING,
                             "ufw is on: it refuses what machines ask the gateway's DNS, unless a "
                             "rule lets it in, and a reload may lose rules of running machines"),
        "sudo ufw allow from " MACHINE_NETS " to " MACHINE_NETS
        " port 53; after `ufw reload`: sudo nft -f " RULES_FILE " && vms restart NAME...");
  if (nftables)
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "nftables", SANDBOX_CHECK_NOTE,
                             "nftables.service is on: when it is restarted it flushes all rules, "
                             "those of running machines among them"),
        "after `systemctl restart nftables`: vms restart NAME...");
  if (!firewalld && !ufw && !nftables)
    _sandbox_doctor_add (doctor, "firewalls", SANDBOX_CHECK_GOOD,
                         "no firewall manager (firewalld, ufw, nftables.service) is seen here");
}

/* "nftables", "iptables"; NULL: not said, so the default of however this libvirt was built. */
static char *
configured_backend (void)
{
  g_autofree char *text = NULL;
  g_autoptr (GRegex) regex =
      g_regex_new ("^\\s*firewall_backend\\s*=\\s*\"(\\w+)\"", G_REGEX_MULTILINE, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;

  if (!g_file_get_contents (NETWORK_CONF, &text, NULL, NULL)
      || !g_regex_match (regex, text, 0, &match))
    return NULL;
  return g_match_info_fetch (match, 1);
}

/* Docker makes DROP the policy of iptables' FORWARD chain. libvirt's rules of its iptables backend
 * stand in that chain and accept first; those of its nftables backend do not. */
void
_sandbox_doctor_docker (SandboxDoctor *doctor)
{
  gboolean docker = g_file_test ("/sys/class/net/docker0", G_FILE_TEST_EXISTS)
                    || g_file_test ("/run/docker.sock", G_FILE_TEST_EXISTS);
  g_autofree char *rules = NULL;
  SandboxCheck *check;

  if (geteuid () == 0)
    rules = _sandbox_doctor_output (doctor, FALSE, "iptables", "-S", "FORWARD", NULL);
  if (rules != NULL && strstr (rules, "-P FORWARD DROP") == NULL)
    _sandbox_doctor_add (doctor, "forward", SANDBOX_CHECK_GOOD,
                         "iptables lets packets be forwarded");
  else if (rules != NULL && strstr (rules, "LIBVIRT_FW") != NULL)
    _sandbox_doctor_add (doctor, "forward", SANDBOX_CHECK_GOOD,
                         "iptables forwards nothing (Docker does that), but what libvirt accepts");
  else if (rules != NULL || docker)
    {
      check = _sandbox_doctor_add (
          doctor, "forward", rules != NULL ? SANDBOX_CHECK_WARNING : SANDBOX_CHECK_UNKNOWN, "%s",
          rules != NULL ? "iptables forwards nothing (policy DROP of FORWARD, as Docker sets it) "
                          "and has no rules of libvirt's: machines may not reach the internet"
                        : "Docker is here, and makes iptables forward nothing: machines reach the "
                          "internet only if libvirt's network rules are made with iptables, "
                          "which only root can see");
      _sandbox_check_advise (check, "write firewall_backend = \"iptables\" into " NETWORK_CONF
                                    " and restart libvirt's network daemon (libvirtd or "
                                    "virtnetworkd)");
    }
  else if (geteuid () != 0)
    _sandbox_doctor_add (doctor, "forward", SANDBOX_CHECK_UNKNOWN,
                         "Docker is not seen here; whether iptables lets packets be forwarded only "
                         "root sees");
}

/* Its package leaves that to the daemon, which makes it with its first dnsmasq only. */
void
_sandbox_doctor_networks (SandboxDoctor *doctor)
{
  SandboxCheck *check;

  if (g_file_test (SANDBOX_NETWORKS_PATH, G_FILE_TEST_IS_DIR)
      || !g_file_test ("/var/lib/libvirt", G_FILE_TEST_IS_DIR))
    return;
  check = _sandbox_doctor_add (doctor, "networks", SANDBOX_CHECK_WARNING,
                               "libvirt's directory for its networks, " SANDBOX_NETWORKS_PATH
                               ", is missing: a machine with mode=none does not start");
  _sandbox_check_step (check, TRUE, NULL, "mkdir", SANDBOX_NETWORKS_PATH, NULL);
}

/* Since 10.4 libvirt may make its network rules with nftables, and then opens nothing on the host's
 * own firewall. */
void
_sandbox_doctor_dns (SandboxDoctor *doctor)
{
  g_autofree char *rules = NULL, *backend = configured_backend ();
  gboolean closed, opened;

  if (geteuid () != 0)
    {
      _sandbox_doctor_add (doctor, "dns", SANDBOX_CHECK_UNKNOWN,
                           "whether this host's firewall lets machines ask the gateway's DNS only "
                           "root sees (sudo vms doctor); libvirt's firewall_backend is %s",
                           backend != NULL ? backend : "its default");
      return;
    }
  rules = _sandbox_doctor_output (doctor, FALSE, "iptables", "-S", NULL);
  closed = rules != NULL && strstr (rules, "-P INPUT DROP") != NULL;
  opened = rules != NULL
           && (strstr (rules, "-A INPUT -j LIBVIRT_INP") != NULL
               || strstr (rules, MACHINE_NETS) != NULL);
  if (rules == NULL)
    _sandbox_doctor_add (doctor, "dns", SANDBOX_CHECK_UNKNOWN,
                         "iptables does not say whether machines may ask the gateway's DNS");
  else if (closed && !opened)
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "dns", SANDBOX_CHECK_WARNING,
                             "this host's firewall refuses what comes in (policy DROP of INPUT), "
                             "and nothing lets machines ask the gateway's DNS"),
        "iptables -I INPUT -i vms+ -s " MACHINE_NETS " -d " MACHINE_NETS
        " -p udp --dport 53 -j ACCEPT (and the same with tcp), where your firewall is configured");
  else
    _sandbox_doctor_add (doctor, "dns", SANDBOX_CHECK_GOOD,
                         "iptables does not keep machines from the gateway's DNS");
}

/* --- routes */

static gboolean
is_machine_net (const SandboxUsedNet *net)
{
  return g_str_has_prefix (net->device, "vms");
}

/* A link without hardware address: WireGuard, OpenVPN and other tunnels. */
static gboolean
is_tunnel (const char *device)
{
  g_autofree char *path = g_build_filename ("/sys/class/net", device, "type", NULL);
  g_autofree char *text = NULL;

  return *device != '\0' && strchr (device, '/') == NULL
         && g_file_get_contents (path, &text, NULL, NULL)
         && (g_str_has_prefix (text, "65534") || g_str_has_prefix (text, "512"));
}

void
_sandbox_doctor_routes (SandboxDoctor *doctor)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (doctor->host->virt, NULL, &local);
  guint problems = 0;

  if (facts == NULL || _sandbox_host_is_test (doctor->host))
    return;
  for (guint i = 0; i < facts->used_nets->len; i++)
    {
      const SandboxUsedNet *net = g_ptr_array_index (facts->used_nets, i);
      g_autofree char *address = sandbox_address_format (net->cidr.address);
      g_autofree char *device = sandbox_escape (net->device, -1, 20);

      /* /1: a default route in two halves, as VPNs make it */
      if (is_machine_net (net) || net->cidr.bits <= 1)
        continue;
      if (sandbox_cidr_overlaps (&sandbox_machine_ranges[0], &net->cidr))
        {
          problems++;
          _sandbox_doctor_add (doctor, "subnets", SANDBOX_CHECK_NOTE,
                               "%s/%u (%s) overlaps " MACHINE_NETS
                               ", where machines get their addresses: they keep clear of it, and "
                               "go to 172.29.0.0/16 when nothing is left",
                               address, net->cidr.bits, device);
        }
      else if (is_tunnel (net->device) && !_sandbox_policy_closes (facts, &net->cidr))
        {
          problems++;
          _sandbox_doctor_add (doctor, "vpn", SANDBOX_CHECK_WARNING,
                               "%s/%u goes through the tunnel %s: these are public addresses, so "
                               "machines with mode=nat reach them through your VPN",
                               address, net->cidr.bits, device);
          _sandbox_check_advise (doctor->checks->pdata[doctor->checks->len - 1],
                                 "give machines that must not an egress= list, or mode=none");
        }
    }
  if (problems == 0)
    _sandbox_doctor_add (doctor, "subnets", SANDBOX_CHECK_GOOD,
                         "no route of this host overlaps the machines' addresses, and none leads "
                         "public addresses through a tunnel");
}
