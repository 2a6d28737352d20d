// SPDX-License-Identifier: LGPL-2.1-or-later
// What the checks of a diagnosis share. A check looks, adds lines, and never waits long.
#pragma once

#include "base/child.h"
#include "base/setup.h"
#include "facade/facade-private.h"

/* For every program that a check runs. */
#define SANDBOX_DOCTOR_CHILD_USEC (10 * G_USEC_PER_SEC)

/**
 * SandboxDoctor: one check at work
 * @host: (nullable): NULL in checks that need no connection
 * @open_error: (nullable): why there is no connection
 * @shipped_dir: where the files are that a host needs
 * @checks: (element-type SandboxCheck): what it found
 */
typedef struct
{
  SandboxHost *host;
  const GError *open_error;
  const char *shipped_dir;
  GCancellable *cancellable;
  GPtrArray *checks;
} SandboxDoctor;

typedef void (*SandboxDoctorFunc) (SandboxDoctor *doctor);

/* Adds a line without a fix; it belongs to @doctor. */
SandboxCheck *_sandbox_doctor_add (SandboxDoctor *doctor, const char *id, SandboxCheckLevel level,
                                   const char *format, ...) G_GNUC_PRINTF (4, 5);
/* Advice: a command or words that vms does not act upon by itself. */
void _sandbox_check_advise (SandboxCheck *check, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* One more command of the fix; @input (nullable) on its standard input. Words up to a NULL. */
void _sandbox_check_step (SandboxCheck *check, gboolean root, const char *input,
                          ...) G_GNUC_NULL_TERMINATED;
void _sandbox_check_step_argv (SandboxCheck *check, gboolean root, const char *input,
                               const char *const *argv);
/* The fix is to install a package. */
void _sandbox_check_install (SandboxCheck *check, SandboxPackage package);
/* The steps as a line for a shell, which is what @check->fix becomes. */
void _sandbox_check_show_steps (SandboxCheck *check);

/* Output of a program that ended with status 0 in time; NULL otherwise. Words up to a NULL.
 * (transfer full) */
char *
_sandbox_doctor_output (SandboxDoctor *doctor, gboolean of_stderr, ...) G_GNUC_NULL_TERMINATED;
/* Whether a process of that name runs here; only one that this user may see. */
gboolean _sandbox_doctor_has_process (const char *name);

/* doctor-host.c: kernel, processor, programs */
void _sandbox_doctor_kvm (SandboxDoctor *doctor);
void _sandbox_doctor_mitigations (SandboxDoctor *doctor);
void _sandbox_doctor_ksm (SandboxDoctor *doctor);
void _sandbox_doctor_pid1 (SandboxDoctor *doctor);
void _sandbox_doctor_programs (SandboxDoctor *doctor);
void _sandbox_doctor_ssh (SandboxDoctor *doctor);
/* doctor-user.c: the caller */
void _sandbox_doctor_group (SandboxDoctor *doctor);
void _sandbox_doctor_subid (SandboxDoctor *doctor);
void _sandbox_doctor_userns (SandboxDoctor *doctor);
void _sandbox_doctor_state (SandboxDoctor *doctor);
void _sandbox_doctor_ssh_config (SandboxDoctor *doctor);
/* doctor-net.c: what else filters or routes */
void _sandbox_doctor_bridge_netfilter (SandboxDoctor *doctor);
void _sandbox_doctor_ports (SandboxDoctor *doctor);
void _sandbox_doctor_guard (SandboxDoctor *doctor);
void _sandbox_doctor_firewalls (SandboxDoctor *doctor);
void _sandbox_doctor_docker (SandboxDoctor *doctor);
void _sandbox_doctor_networks (SandboxDoctor *doctor);
void _sandbox_doctor_dns (SandboxDoctor *doctor);
void _sandbox_doctor_routes (SandboxDoctor *doctor);
/* doctor-apparmor.c */
void _sandbox_doctor_apparmor (SandboxDoctor *doctor);
/* Whether rules of @text, the text of a profile, let what is confined by it execute @path; what it
 * includes is not looked at. */
gboolean _sandbox_apparmor_may_execute (const char *text, const char *path);
/* doctor-encrypt.c */
void _sandbox_doctor_encryption (SandboxDoctor *doctor);
/* The first of @swaps, the text of /proc/swaps, that is on a disk in the clear; NULL: none.
 * @sys_dir: /sys/class/block. (transfer full) */
char *_sandbox_plain_swap (const char *swaps, const char *sys_dir);
/* Whether libvirt-guests keeps the memory of machines when the host goes down. @text: its script,
 * and behind that the file of its settings, where the last one of a line of its own counts. */
gboolean _sandbox_guests_suspend (const char *text);
/* doctor-libvirt.c */
void _sandbox_doctor_libvirt (SandboxDoctor *doctor);
void _sandbox_doctor_qemu (SandboxDoctor *doctor);
void _sandbox_doctor_versions (SandboxDoctor *doctor);
/* Versions as libvirt tells them: major * 1000000 + minor * 1000 + micro. */
void
_sandbox_doctor_known_bugs (SandboxDoctor *doctor, guint64 qemu_version, guint64 libvirt_version);
void _sandbox_doctor_confinement (SandboxDoctor *doctor);
void _sandbox_doctor_qemu_conf (SandboxDoctor *doctor);
void _sandbox_doctor_storage (SandboxDoctor *doctor);
void _sandbox_doctor_images (SandboxDoctor *doctor);
void _sandbox_doctor_leftovers (SandboxDoctor *doctor);
