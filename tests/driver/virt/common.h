// SPDX-License-Identifier: LGPL-2.1-or-later
// What the tests of lib/virt against libvirt share.
#pragma once

#include "virt/virt.h"

#define SYSTEM_URI "qemu:///system"
/* Everything that these tests make has a name that begins like this. */
#define TEST_PREFIX "t-virt-"

/* g_test_run() of tests that need the system's libvirtd: skips them all, with the reason, where
 * there is none, unless VMS_TESTS_MUST_RUN is set. */
int run_with_system (void);
/* A connection of its own; fails the test if there is none. */
SandboxVirt *connect_to (const char *uri);
/* "t-virt-PID-WORD", for objects that no other run of a test has. (transfer full) */
char *own_name (const char *word);
/* A domain that boots nothing, says so on its serial port and waits: no disk, 64 MiB, TCG.
 * @network: (nullable): attached to it. (transfer full) */
char *domain_xml (const char *name, const char *network);
/* (transfer full) */
char *network_xml (const char *name, const char *bridge, const char *address);
char *volume_xml (const char *name, guint64 bytes);
/* Removes a domain in whatever state. */
void remove_domain (SandboxVirt *virt, const char *name);
guint count_fds (void);
guint count_threads (void);
