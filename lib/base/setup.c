// SPDX-License-Identifier: LGPL-2.1-or-later
// How this host is set up, as far as any user can see it.
#include "base/setup.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#define GROUPS_MAX 1024

typedef struct
{
  const char *program; /* there where this manager is the host's */
  const char *command; /* words, before the packages */
  const char *packages[SANDBOX_N_PACKAGES];
} Manager;

static const Manager managers[] = {
  { "/usr/bin/apt-get",
    "apt-get install",
    { "libvirt-daemon-system qemu-system-x86 qemu-utils",
      "libvirt-daemon-driver-qemu qemu-system-x86 qemu-utils", "virtiofsd", "openssh-client",
      "mmdebstrap", "e2fsprogs", "qemu-utils", "uidmap", "nftables" } },
  { "/usr/bin/dnf",
    "dnf install",
    { "libvirt qemu-kvm", "libvirt-daemon-driver-qemu qemu-kvm", "virtiofsd", "openssh-clients",
      "mmdebstrap", "e2fsprogs", "qemu-img", "shadow-utils", "nftables" } },
  { "/usr/bin/pacman",
    "pacman -S",
    { "libvirt qemu-base dnsmasq", "libvirt qemu-base", "virtiofsd", "openssh", "mmdebstrap",
      "e2fsprogs", "qemu-img", "shadow", "nftables" } },
  { "/usr/bin/zypper",
    "zypper install",
    { "libvirt-daemon-qemu qemu-x86", "libvirt-daemon-driver-qemu qemu-x86", "virtiofsd",
      "openssh-clients", "mmdebstrap", "e2fsprogs", "qemu-tools", "shadow", "nftables" } },
};

/* Where the manager is not known. */
static const char *const names[SANDBOX_N_PACKAGES] = {
  "libvirt (with its daemon) and QEMU",
  "QEMU and libvirt's driver for it",
  "virtiofsd",
  "OpenSSH's client",
  "mmdebstrap",
  "e2fsprogs",
  "qemu-img",
  "newuidmap",
  "nftables",
};

static const Manager *
find_manager (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (managers); i++)
    if (g_file_test (managers[i].program, G_FILE_TEST_IS_EXECUTABLE))
      return &managers[i];
  return NULL;
}

/* Debian 12 has it in another package. */
static gboolean
is_old_virtiofsd (const Manager *manager, SandboxPackage package)
{
  g_autofree char *text = NULL;

  return package == SANDBOX_PACKAGE_VIRTIOFSD && manager == &managers[0]
         && g_file_get_contents ("/etc/debian_version", &text, NULL, NULL)
         && g_str_has_prefix (text, "12");
}

static char *
install_command (SandboxPackage package)
{
  const Manager *manager = find_manager ();

  if (manager == NULL)
    return NULL;
  return g_strconcat (manager->command, " ",
                      is_old_virtiofsd (manager, package) ? "qemu-system-common"
                                                          : manager->packages[package],
                      NULL);
}

char **
sandbox_install_argv (SandboxPackage package)
{
  g_autofree char *command = install_command (package);

  return command != NULL ? g_strsplit (command, " ", -1) : NULL;
}

char *
sandbox_install_hint (SandboxPackage package)
{
  g_autofree char *command = install_command (package);

  return command != NULL ? g_strconcat ("sudo ", command, NULL)
                         : g_strconcat ("install ", names[package], NULL);
}

char *
sandbox_find_program (const char *name)
{
  static const char *const dirs[] = { "/usr/sbin", "/usr/bin", "/sbin", "/usr/local/sbin" };
  char *path = g_find_program_in_path (name);

  for (gsize i = 0; path == NULL && i < G_N_ELEMENTS (dirs); i++)
    {
      path = g_build_filename (dirs[i], name, NULL);
      if (!g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
        g_clear_pointer (&path, g_free);
    }
  return path;
}

const char *const sandbox_system_env[] = { "PATH=" SANDBOX_SYSTEM_PATH, NULL };

char *
sandbox_find_system_program (const char *name)
{
  g_auto (GStrv) dirs = g_strsplit (SANDBOX_SYSTEM_PATH, ":", -1);

  for (char **dir = dirs; *dir != NULL; dir++)
    {
      g_autofree char *path = g_build_filename (*dir, name, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
        return g_steal_pointer (&path);
    }
  return NULL;
}

gboolean
sandbox_have_systemd (void)
{
  return g_file_test ("/run/systemd/system", G_FILE_TEST_IS_DIR);
}

char *
sandbox_user_name (void)
{
  char buffer[16384];
  struct passwd entry, *user = NULL;

  if (getpwuid_r (geteuid (), &entry, buffer, sizeof buffer, &user) == 0 && user != NULL)
    return g_strdup (user->pw_name);
  return g_strdup_printf ("%u", (guint)geteuid ());
}

static gboolean
process_has_group (gid_t group)
{
  gid_t groups[GROUPS_MAX];
  int count = getgroups (G_N_ELEMENTS (groups), groups);

  for (int i = 0; i < count; i++)
    if (groups[i] == group)
      return TRUE;
  return getegid () == group;
}

static gboolean
database_has_member (gid_t group)
{
  char buffer[16384];
  struct passwd entry, *user = NULL;
  gid_t groups[GROUPS_MAX];
  int count = G_N_ELEMENTS (groups);

  if (getpwuid_r (geteuid (), &entry, buffer, sizeof buffer, &user) != 0 || user == NULL
      || getgrouplist (user->pw_name, user->pw_gid, groups, &count) < 0)
    return FALSE;
  for (int i = 0; i < count; i++)
    if (groups[i] == group)
      return TRUE;
  return FALSE;
}

SandboxGroupState
sandbox_group_state (const char *name)
{
  char buffer[16384];
  struct group entry, *group = NULL;

  if (getgrnam_r (name, &entry, buffer, sizeof buffer, &group) != 0 || group == NULL)
    return SANDBOX_GROUP_NONE;
  if (process_has_group (group->gr_gid))
    return SANDBOX_GROUP_IN;
  return database_has_member (group->gr_gid) ? SANDBOX_GROUP_LATER : SANDBOX_GROUP_OUT;
}
