// SPDX-License-Identifier: LGPL-2.1-or-later
// The commands that make a host ready, as this host needs them. All (transfer full).
#pragma once

#include <glib.h>

/* libvirt is not running, or not installed. */
char *_sandbox_hint_start (void);
/* libvirt does not let this user in. */
char *_sandbox_hint_group (void);
/* libvirt asks polkit, and that cannot be reached. */
char *_sandbox_hint_bus (void);
/* libvirt runs without its QEMU driver, or there is no QEMU. */
char *_sandbox_hint_driver (void);
char *_sandbox_hint_virtiofsd (void);
