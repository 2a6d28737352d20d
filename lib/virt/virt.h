// SPDX-License-Identifier: LGPL-2.1-or-later
// The only layer that talks to libvirt. Everything by name; libvirt's types stay inside.
#pragma once

#include <gio/gio.h>
#include "plan/facts.h"

typedef struct _SandboxVirt SandboxVirt;

#define SANDBOX_POOL      "vms"
#define SANDBOX_POOL_PATH "/var/lib/libvirt/images/vms"
/* where libvirtd keeps what it knows of its networks */
#define SANDBOX_NETWORKS_PATH "/var/lib/libvirt/dnsmasq"

/* HOST when libvirt is not there or not running, DENIED when not permitted: both with the command
 * that fixes it. Reconnects by itself when the daemon was restarted. Thread-safe. No libvirt error
 * is printed. */
SandboxVirt *_sandbox_virt_open (const char *uri, GCancellable *cancellable, GError **error);
SandboxVirt *_sandbox_virt_ref (SandboxVirt *virt);
void _sandbox_virt_unref (SandboxVirt *virt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxVirt, _sandbox_virt_unref)
gboolean _sandbox_virt_is_test (SandboxVirt *virt);
gboolean _sandbox_virt_is_remote (SandboxVirt *virt);

/* Facts of the host; cached per connection except for used_nets and pool_path, which are read anew.
 * (transfer full) */
SandboxFacts *_sandbox_virt_facts (SandboxVirt *virt, GCancellable *cancellable, GError **error);
/* What confines each machine beside the rights of its user: "apparmor", "selinux", or "" for
 * nothing. (transfer full) */
char *_sandbox_virt_confinement (SandboxVirt *virt, GError **error);
/* The KVM probe alone: TRUE if fast enough. @ret_reason: one sentence. */
gboolean _sandbox_kvm_probe (char **ret_reason, double *ret_rounds_per_second);

/* --- domains */
typedef enum
{
  SANDBOX_VIRT_STOPPED,
  SANDBOX_VIRT_RUNNING,
  SANDBOX_VIRT_PAUSED,
  SANDBOX_VIRT_STOPPING,
  SANDBOX_VIRT_CRASHED,
} SandboxVirtState;
typedef struct
{
  char *name, *uuid;
  SandboxVirtState state;
} SandboxVirtDomain;
void _sandbox_virt_domain_free (SandboxVirtDomain *domain);
/* All domains whose name begins with @prefix; a fixed number of calls. (element-type
 * SandboxVirtDomain) */
GPtrArray *_sandbox_virt_list_domains (SandboxVirt *virt, const char *prefix, GError **error);
/* *ret_exists FALSE: no such domain (no error). */
gboolean _sandbox_virt_domain_state (SandboxVirt *virt, const char *name, gboolean *ret_exists,
                                     SandboxVirtState *ret_state, GError **error);
/* Persistent (inactive) XML, or the live one. NOT_FOUND when there is none. (transfer full) */
char *_sandbox_virt_domain_xml (SandboxVirt *virt, const char *name, gboolean live, GError **error);
gboolean _sandbox_virt_domain_define (SandboxVirt *virt, const char *xml,
                                      GError **error); /* validates against the schema */
gboolean _sandbox_virt_domain_start (SandboxVirt *virt, const char *name,
                                     GError **error); /* running: success */
gboolean _sandbox_virt_domain_shutdown (SandboxVirt *virt, const char *name,
                                        GError **error); /* ACPI; stopped: success */
gboolean _sandbox_virt_domain_kill (SandboxVirt *virt, const char *name,
                                    GError **error); /* stopped or none: success */
gboolean _sandbox_virt_domain_undefine (SandboxVirt *virt, const char *name,
                                        GError **error); /* none: success */
/* pause.c */
typedef enum
{
  SANDBOX_VIRT_PAUSE_NONE,  /* it is not paused */
  SANDBOX_VIRT_PAUSE_FULL,  /* by QEMU: the host's disk is full */
  SANDBOX_VIRT_PAUSE_ERROR, /* by QEMU: its disk cannot be written for another reason */
  SANDBOX_VIRT_PAUSE_OTHER, /* somebody paused it */
} SandboxVirtPause;
gboolean _sandbox_virt_domain_pause (SandboxVirt *virt, const char *name,
                                     SandboxVirtPause *ret_pause, GError **error);
/* Its processors stop; whoever asks next finds OTHER. Paused already: success. */
gboolean _sandbox_virt_domain_suspend (SandboxVirt *virt, const char *name, GError **error);
/* What it could not write is written then. */
gboolean _sandbox_virt_domain_resume (SandboxVirt *virt, const char *name, GError **error);
/* One that runs is stopped for as long as it takes to write out its disks, all that QEMU has of
 * them in memory, whatever the guest does. @ret_goes_on is always set; FALSE: it may stand still.
 */
gboolean _sandbox_virt_domain_write_out (SandboxVirt *virt, const char *name, gboolean *ret_goes_on,
                                         GError **error);
/* devices.c: @xml of one device, for a machine that runs, and for this run of it. */
gboolean
_sandbox_virt_device_attach (SandboxVirt *virt, const char *name, const char *xml, GError **error);
/* Asks the guest to let go of it. It is gone when the live XML does not have it any more: that may
 * be later, or never. */
gboolean
_sandbox_virt_device_detach (SandboxVirt *virt, const char *name, const char *xml, GError **error);
/* Replaces the element of the namespace @uri, for this run. @element without namespaces. */
gboolean
_sandbox_virt_domain_set_metadata (SandboxVirt *virt, const char *name, const char *element,
                                   const char *prefix, const char *uri, GError **error);
/* A machine that runs writes to the volume of @xml (_sandbox_xml_disk_switch) from now on, which
 * must stand on the one that it wrote to before. */
gboolean _sandbox_virt_domain_switch_disk (SandboxVirt *virt, const char *name, const char *xml,
                                           GError **error);
typedef void (*SandboxVirtTransferFunc) (guint64 done, guint64 total, gpointer user_data);
/* Copies all that lies between the disk of the running domain @name and the layer @base (path) into
 * the disk, which stands on @base then; it may do so already. What is read from the disk never
 * changes; but until it is written out the disk may stand on @base and lack what was copied: what
 * lay between goes only after that. */
gboolean _sandbox_virt_domain_pull (SandboxVirt *virt, const char *name, const char *base,
                                    SandboxVirtTransferFunc progress, gpointer user_data,
                                    GCancellable *cancellable, GError **error);
/* Copies what the layer @layer of the disk of the running domain @name has into @base, the one
 * below it, on which the one above it stands then; the disk may have no such layer any more. @layer
 * stays as it is, and with it what is read from the disk; but until it is written out the one above
 * may stand on @base, which may lack what was copied: @layer goes only after that. */
gboolean
_sandbox_virt_domain_commit (SandboxVirt *virt, const char *name, const char *layer,
                             const char *base, SandboxVirtTransferFunc progress, gpointer user_data,
                             GCancellable *cancellable, GError **error);
/* Whether the domain @name runs and nothing is copied between the layers of its disk. FALSE also
 * when that cannot be told. */
gboolean _sandbox_virt_domain_is_settled (SandboxVirt *virt, const char *name);
/* The same as with pull for the disk of @domain_xml (_sandbox_xml_merge_domain), which is there for
 * this time only, with its processors stopped, and is written out then; it ends with this process,
 * too. */
gboolean _sandbox_virt_disk_pull (SandboxVirt *virt, const char *name, const char *domain_xml,
                                  const char *base, SandboxVirtTransferFunc progress,
                                  gpointer user_data, GCancellable *cancellable, GError **error);
/* --- memory.c: a machine's memory in a file */
/* Starts the domain of @xml, which is there for this run only and ends with this process. One that
 * is defined under its name stays defined as it is. */
gboolean _sandbox_virt_domain_run_once (SandboxVirt *virt, const char *xml, GError **error);
/* Whether libvirt keeps memory of the domain (managed save), which it would go on from at its next
 * start, over whatever disk it has then; and without it. */
gboolean
_sandbox_virt_domain_kept (SandboxVirt *virt, const char *name, gboolean *ret_kept, GError **error);
gboolean _sandbox_virt_domain_drop_kept (SandboxVirt *virt, const char *name, GError **error);
/* Into the file @path, which is there; the domain stops running with it. */
gboolean
_sandbox_virt_domain_save (SandboxVirt *virt, const char *name, const char *path, GError **error);
/* Waits until libvirt is through with what somebody asked of the domain that takes long, such as
 * saving it; TIMED_OUT. One that does not run: success. */
gboolean _sandbox_virt_domain_wait_job (SandboxVirt *virt, const char *name, gint64 timeout_usec,
                                        GCancellable *cancellable, GError **error);
/* The definition that goes with the memory in @path. (transfer full) */
char *_sandbox_virt_saved_xml (SandboxVirt *virt, const char *path, GError **error);
/* Goes on from the memory in @path with the definition @xml, which may say other files than the
 * saved one, and no other devices. @paused: is there, but its processors do not run yet. */
gboolean _sandbox_virt_domain_restore (SandboxVirt *virt, const char *path, const char *xml,
                                       gboolean paused, GError **error);
/* Waits until it does not run (or does not exist); TIMED_OUT. @timeout_usec -1: for ever. */
gboolean
_sandbox_virt_domain_wait_stopped (SandboxVirt *virt, const char *name, gint64 timeout_usec,
                                   GCancellable *cancellable, GError **error);
/* Copies the console device @alias ("serial0", "console1"; NULL: the first) to @func until it ends
 * or is cancelled. */
typedef gboolean (*SandboxVirtDataFunc) (const char *data, gsize length,
                                         gpointer user_data); /* FALSE: stop */
gboolean _sandbox_virt_console_read (SandboxVirt *virt, const char *name, const char *alias,
                                     SandboxVirtDataFunc func, gpointer user_data,
                                     GCancellable *cancellable, GError **error);
/* Both ways between the descriptors and the console, until ^] , end of input, or the domain ends.
 */
gboolean
_sandbox_virt_console_attach (SandboxVirt *virt, const char *name, const char *alias, int in_fd,
                              int out_fd, GCancellable *cancellable, GError **error);

/* --- secrets: a passphrase that libvirt keeps in memory only, and shows to nobody. @uuid: its
 * number; @description: what it is for, such as the name of a domain. In place of one that is
 * there. */
gboolean _sandbox_virt_secret_set (SandboxVirt *virt, const char *uuid, const char *description,
                                   const void *value, gsize length, GError **error);
/* None: success. */
gboolean _sandbox_virt_secret_remove (SandboxVirt *virt, const char *uuid, GError **error);
/* Descriptions of all that begin with @prefix. (transfer full) (array zero-terminated=1) */
char **_sandbox_virt_list_secrets (SandboxVirt *virt, const char *prefix, GError **error);

/* --- networks; each verb succeeds when it is so already */
gboolean _sandbox_virt_network_ensure (SandboxVirt *virt, const char *name, const char *xml,
                                       gboolean *ret_created,
                                       GError **error); /* defined like that and active */
gboolean _sandbox_virt_network_remove (SandboxVirt *virt, const char *name, GError **error);
gboolean _sandbox_virt_network_stop (SandboxVirt *virt, const char *name, GError **error);
char *
_sandbox_virt_network_xml (SandboxVirt *virt, const char *name, GError **error); /* NOT_FOUND */
char **_sandbox_virt_list_networks (SandboxVirt *virt, const char *prefix, GError **error);

/* --- network filters */
/* Defined like that, and read back; HOST when the kernel does not filter bridged packets. A machine
 * that runs gets it at once. *@ret_old_xml (nullable): what was there before, NULL: nothing; set on
 * failure too. */
gboolean _sandbox_virt_filter_ensure (SandboxVirt *virt, const char *name, const char *xml,
                                      char **ret_old_xml, GError **error);
/* None: success. */
gboolean _sandbox_virt_filter_remove (SandboxVirt *virt, const char *name, GError **error);
char *
_sandbox_virt_filter_xml (SandboxVirt *virt, const char *name, GError **error); /* NOT_FOUND */
char **_sandbox_virt_list_filters (SandboxVirt *virt, const char *prefix, GError **error);
/* Whether this host's kernel gives bridged packets to iptables. */
gboolean _sandbox_virt_bridge_filtered (void);

/* --- storage pool `vms` */
gboolean _sandbox_virt_pool_ensure (SandboxVirt *virt, GError **error); /* defined, built, active */
/* Free bytes of the file system that it is on. *ret_exists FALSE: no pool, or one that is off. */
gboolean _sandbox_virt_pool_space (SandboxVirt *virt, gboolean *ret_exists, guint64 *ret_available,
                                   GError **error);
/* What a volume stands on libvirt remembers from when it last looked; this makes it look. */
gboolean _sandbox_virt_pool_refresh (SandboxVirt *virt, GError **error);
typedef struct
{
  char *name, *path, *backing_path;
  guint64 capacity_bytes, allocation_bytes;
  guint64 physical_bytes; /* length of its file; 0: libvirt does not tell */
  gboolean encrypted;
  gint64 changed_usec; /* real time when its file was written last; 0: libvirt does not tell */
} SandboxVirtVolume;
void _sandbox_virt_volume_free (SandboxVirtVolume *volume);
/* @detail FALSE: names only, one call. */
GPtrArray *
_sandbox_virt_list_volumes (SandboxVirt *virt, const char *prefix, gboolean detail, GError **error);
SandboxVirtVolume *
_sandbox_virt_volume_get (SandboxVirt *virt, const char *name, GError **error); /* NOT_FOUND */
gboolean _sandbox_virt_volume_create (SandboxVirt *virt, const char *xml, gboolean *ret_created,
                                      GError **error); /* there already: success */
/* The same, but a volume of that name that is there is an error. */
gboolean _sandbox_virt_volume_create_new (SandboxVirt *virt, const char *xml, GError **error);
/* Makes the volume of @xml, which must not be there, and fills it with the bytes of @source_name;
 * it stays a layer on the same image. */
gboolean _sandbox_virt_volume_clone (SandboxVirt *virt, const char *source_name, const char *xml,
                                     GError **error);
/* Larger only, of a machine that is off; as large already: success. The test driver cannot. */
gboolean
_sandbox_virt_volume_grow (SandboxVirt *virt, const char *name, guint64 bytes, GError **error);
gboolean _sandbox_virt_volume_remove (SandboxVirt *virt, const char *name,
                                      GError **error); /* none: success */
gboolean
_sandbox_virt_volume_upload_fd (SandboxVirt *virt, const char *name, int fd, guint64 length,
                                SandboxVirtTransferFunc progress, gpointer user_data,
                                GCancellable *cancellable, GError **error);
gboolean _sandbox_virt_volume_upload (SandboxVirt *virt, const char *name, const void *data,
                                      gsize length, GError **error);
gboolean _sandbox_virt_volume_download (SandboxVirt *virt, const char *name, gsize max,
                                        char **ret_data, gsize *ret_length, GError **error);
/* Makes the volume of @xml, which must not be there, with what the disk @source_name and all that
 * it stands on have: one layer that stands on nothing. Cannot be interrupted. */
gboolean _sandbox_virt_volume_flatten (SandboxVirt *virt, const char *source_name, const char *xml,
                                       GError **error);
/* All @length bytes of the file at @offset. */
gboolean _sandbox_virt_volume_read (SandboxVirt *virt, const char *name, guint64 offset, void *data,
                                    gsize length, GError **error);
/* All bytes of @name to @func, in order, until it fails. */
typedef gboolean (*SandboxVirtSinkFunc) (const void *data, gsize length, gpointer user_data,
                                         GError **error);
gboolean
_sandbox_virt_volume_receive (SandboxVirt *virt, const char *name, SandboxVirtSinkFunc func,
                              gpointer user_data, GCancellable *cancellable, GError **error);
/* Fills @name with @length bytes that @func gives, piece by piece. */
typedef gboolean (*SandboxVirtSourceFunc) (guint64 offset, void *data, gsize length,
                                           gpointer user_data, GError **error);
gboolean _sandbox_virt_volume_send (SandboxVirt *virt, const char *name, guint64 length,
                                    SandboxVirtSourceFunc func, gpointer user_data,
                                    GCancellable *cancellable, GError **error);
