// SPDX-License-Identifier: LGPL-2.1-or-later
// The commands that make a host ready, as this host needs them.

#include <grp.h>
#include <pwd.h>
#include <unistd.h>
#include "virt/hints.h"

#define QUICKSTART_CONFIG "/etc/libsandbox/libvirtd.conf"

typedef struct
{
  const char *program;
  const char *libvirt, *driver, *virtiofsd;
} Manager;

static const Manager managers[] = {
  { "/usr/bin/apt", "sudo apt install libvirt-daemon-system qemu-system-x86 qemu-utils",
    "sudo apt install libvirt-daemon-driver-qemu qemu-system-x86 qemu-utils",
    "sudo apt install virtiofsd (on Debian 12: qemu-system-common)" },
  { "/usr/bin/dnf", "sudo dnf install libvirt qemu-kvm",
    "sudo dnf install libvirt-daemon-driver-qemu qemu-kvm", "sudo dnf install virtiofsd" },
  { "/usr/bin/pacman", "sudo pacman -S libvirt qemu-base dnsmasq",
    "sudo pacman -S libvirt qemu-base", "sudo pacman -S virtiofsd" },
  { "/usr/bin/zypper", "sudo zypper install libvirt-daemon-qemu qemu-x86",
    "sudo zypper install libvirt-daemon-driver-qemu qemu-x86", "sudo zypper install virtiofsd" },
};

static const Manager other_manager = { NULL, "install libvirt (with its daemon) and QEMU",
                                       "install QEMU and libvirt's driver for it",
                                       "install virtiofsd" };

static const Manager *
find_manager (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (managers); i++)
    if (g_file_test (managers[i].program, G_FILE_TEST_IS_EXECUTABLE))
      return &managers[i];
  return &other_manager;
}

/* The daemons are in sbin, which is not in the PATH of most users. */
static gboolean
have_daemon (const char *name)
{
  static const char *const dirs[] = { "/usr/sbin", "/usr/bin", "/sbin", "/usr/local/sbin" };

  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_autofree char *path = g_build_filename (dirs[i], name, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
        return TRUE;
    }
  return FALSE;
}

static gboolean
have_systemd (void)
{
  return g_file_test ("/run/systemd/system", G_FILE_TEST_IS_DIR);
}

char *
_sandbox_hint_start (void)
{
  if (have_daemon ("libvirtd"))
    {
      if (have_systemd ())
        return g_strdup ("start libvirt: sudo systemctl start libvirtd");
      /* the configuration that quickstart.sh writes where no polkit runs */
      if (g_file_test (QUICKSTART_CONFIG, G_FILE_TEST_EXISTS))
        return g_strdup ("start libvirt: sudo virtlogd -d; sudo libvirtd -d -f " QUICKSTART_CONFIG);
      return g_strdup ("start libvirt: sudo virtlogd -d; sudo libvirtd -d");
    }
  if (have_daemon ("virtqemud"))
    {
      if (have_systemd ())
        return g_strdup ("start libvirt: sudo systemctl start virtqemud.socket "
                         "virtnetworkd.socket virtstoraged.socket virtnwfilterd.socket");
      return g_strdup ("start libvirt: for d in virtlogd virtqemud virtnetworkd virtstoraged "
                       "virtnwfilterd; do sudo $d -d; done");
    }
  return g_strdup_printf ("libvirt is not installed: %s", find_manager ()->libvirt);
}

static gboolean
process_has_group (gid_t group)
{
  gid_t groups[1024];
  int count = getgroups (G_N_ELEMENTS (groups), groups);

  for (int i = 0; i < count; i++)
    if (groups[i] == group)
      return TRUE;
  return getegid () == group;
}

static gboolean
database_has_member (const char *user, gid_t primary, gid_t group)
{
  gid_t groups[1024];
  int count = G_N_ELEMENTS (groups);

  if (getgrouplist (user, primary, groups, &count) < 0)
    return FALSE;
  for (int i = 0; i < count; i++)
    if (groups[i] == group)
      return TRUE;
  return FALSE;
}

char *
_sandbox_hint_group (void)
{
  char buffer[16384], user_buffer[4096];
  struct group entry, *group = NULL;
  struct passwd user_entry, *user = NULL;

  if (getgrnam_r ("libvirt", &entry, buffer, sizeof buffer, &group) != 0)
    group = NULL;
  if (getpwuid_r (geteuid (), &user_entry, user_buffer, sizeof user_buffer, &user) != 0)
    user = NULL;
  if (group && process_has_group (group->gr_gid))
    return g_strdup ("you are in group libvirt already, so this libvirt asks for more: see "
                     "unix_sock_group and auth_unix_rw in /etc/libvirt/libvirtd.conf, and whether "
                     "polkit is running");
  if (group && user && database_has_member (user->pw_name, user->pw_gid, group->gr_gid))
    return g_strdup ("you are in group libvirt, but this login is older than that: log in again "
                     "(or run: newgrp libvirt)");
  return g_strdup ("join the group that may use libvirt: sudo usermod -aG libvirt $USER, then log "
                   "in again (or run: newgrp libvirt)");
}

char *
_sandbox_hint_bus (void)
{
  if (have_systemd ())
    return g_strdup ("libvirt asks polkit who you are, which is not running: sudo systemctl start "
                     "dbus polkit");
  return g_strdup ("libvirt asks polkit who you are, which is not running: start dbus-daemon and "
                   "polkitd, or a libvirtd whose configuration gives its socket to group libvirt "
                   "(unix_sock_group = \"libvirt\", unix_sock_rw_perms = \"0770\", auth_unix_rw = "
                   "\"none\")");
}

char *
_sandbox_hint_driver (void)
{
  return g_strdup_printf ("libvirt's QEMU driver or QEMU itself is missing: %s, then restart "
                          "libvirt's daemon",
                          find_manager ()->driver);
}

char *
_sandbox_hint_virtiofsd (void)
{
  return g_strdup_printf ("directories are shared by virtiofsd: %s", find_manager ()->virtiofsd);
}
