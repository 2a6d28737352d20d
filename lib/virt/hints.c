// SPDX-License-Identifier: LGPL-2.1-or-later
// The commands that make a host ready, as this host needs them.

#include "base/setup.h"
#include "virt/hints.h"

static gboolean
have_daemon (const char *name)
{
  g_autofree char *path = sandbox_find_program (name);

  return path != NULL;
}

char *
_sandbox_hint_start (void)
{
  if (have_daemon ("libvirtd"))
    {
      if (sandbox_have_systemd ())
        return g_strdup ("start libvirt: sudo systemctl start libvirtd");
      /* the configuration that quickstart.sh writes where no polkit runs */
      if (g_file_test (SANDBOX_QUICKSTART_CONFIG, G_FILE_TEST_EXISTS))
        return g_strdup (
            "start libvirt: sudo virtlogd -d; sudo libvirtd -d -f " SANDBOX_QUICKSTART_CONFIG);
      return g_strdup ("start libvirt: sudo virtlogd -d; sudo libvirtd -d");
    }
  if (have_daemon ("virtqemud"))
    {
      if (sandbox_have_systemd ())
        return g_strdup ("start libvirt: sudo systemctl start virtqemud.socket "
                         "virtnetworkd.socket virtstoraged.socket virtnwfilterd.socket");
      return g_strdup ("start libvirt: for d in virtlogd virtqemud virtnetworkd virtstoraged "
                       "virtnwfilterd; do sudo $d -d; done");
    }
  {
    g_autofree char *install = sandbox_install_hint (SANDBOX_PACKAGE_LIBVIRT);

    return g_strdup_printf ("libvirt is not installed: %s", install);
  }
}

char *
_sandbox_hint_group (void)
{
  SandboxGroupState state = sandbox_group_state ("libvirt");

  if (state == SANDBOX_GROUP_IN)
    return g_strdup ("you are in group libvirt already, so this libvirt asks for more: see "
                     "unix_sock_group and auth_unix_rw in /etc/libvirt/libvirtd.conf, and whether "
                     "polkit is running");
  if (state == SANDBOX_GROUP_LATER)
    return g_strdup ("you are in group libvirt, but this login is older than that: log in again "
                     "(or run: newgrp libvirt)");
  return g_strdup ("join the group that may use libvirt: sudo usermod -aG libvirt $USER, then log "
                   "in again (or run: newgrp libvirt)");
}

char *
_sandbox_hint_bus (void)
{
  if (sandbox_have_systemd ())
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
  g_autofree char *install = sandbox_install_hint (SANDBOX_PACKAGE_DRIVER);

  return g_strdup_printf ("libvirt's QEMU driver or QEMU itself is missing: %s, then restart "
                          "libvirt's daemon",
                          install);
}

char *
_sandbox_hint_virtiofsd (void)
{
  g_autofree char *install = sandbox_install_hint (SANDBOX_PACKAGE_VIRTIOFSD);

  return g_strdup_printf ("directories are shared by virtiofsd: %s", install);
}
