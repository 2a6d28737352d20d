// SPDX-License-Identifier: LGPL-2.1-or-later
// How this host is set up: its package manager, its init system, the group of libvirt's users.
#pragma once

#include <glib.h>

/* Written by quickstart.sh where no systemd and no polkit run. */
#define SANDBOX_QUICKSTART_CONFIG "/etc/libsandbox/libvirtd.conf"

typedef enum
{
  SANDBOX_PACKAGE_LIBVIRT, /* the daemon, with QEMU */
  SANDBOX_PACKAGE_DRIVER,  /* libvirt's driver for QEMU, and QEMU */
  SANDBOX_PACKAGE_VIRTIOFSD,
  SANDBOX_PACKAGE_SSH,
  SANDBOX_PACKAGE_MMDEBSTRAP,
  SANDBOX_PACKAGE_E2FSPROGS,
  SANDBOX_PACKAGE_QEMU_IMG,
  SANDBOX_PACKAGE_UIDMAP,
  SANDBOX_PACKAGE_NFTABLES,
  SANDBOX_N_PACKAGES,
} SandboxPackage;

/* The command that installs it, to be run as root; NULL when this host's package manager is not
 * known. (transfer full) */
char **sandbox_install_argv (SandboxPackage package);
/* The same in words, for a message; never NULL. (transfer full) */
char *sandbox_install_hint (SandboxPackage package);
/* Path of a program; also of one that is kept outside an ordinary user's PATH. (transfer full)
 * (nullable) */
char *sandbox_find_program (const char *name);
/* The same for what root runs: whatever PATH says, only where root alone installs. (transfer full)
 * (nullable) */
#define SANDBOX_SYSTEM_PATH "/usr/sbin:/usr/bin:/sbin:/bin"
char *sandbox_find_system_program (const char *name);
/* The environment of what root runs: SANDBOX_SYSTEM_PATH and nothing else. NULL-terminated. */
extern const char *const sandbox_system_env[];
/* systemd is process 1. */
gboolean sandbox_have_systemd (void);
/* Name of the user of this process, or the number. (transfer full) */
char *sandbox_user_name (void);

typedef enum
{
  SANDBOX_GROUP_NONE,  /* no such group on this host */
  SANDBOX_GROUP_OUT,   /* the user is not in it */
  SANDBOX_GROUP_LATER, /* the user is, but this process is older than that */
  SANDBOX_GROUP_IN,
} SandboxGroupState;
SandboxGroupState sandbox_group_state (const char *name);
