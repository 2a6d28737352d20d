// SPDX-License-Identifier: LGPL-2.1-or-later
// Images: the read-only systems that machines are made from, kept as volumes of the storage pool
// `vms`.
#pragma once

#include <sandbox/host.h>

G_BEGIN_DECLS

/**
 * SandboxImageInfo:
 * @name: "debian-13"
 * @id: "debian-13-20261121T031500-0123456789ab": name, build time (UTC), beginning of the disk's
 * sha256
 * @built_usec: build time, microseconds since 1970
 * @disk_bytes: bytes on the host
 * @virtual_bytes: size of the file system in it; a machine's disk is at least this
 * @newest: the one that new machines of @name are made from
 * @used_by: (array zero-terminated=1): object names of the machines that pin it, of all users
 */
typedef struct
{
  char *name, *id;
  gint64 built_usec;
  guint64 disk_bytes, virtual_bytes;
  gboolean newest;
  char **used_by;
} SandboxImageInfo;
void sandbox_image_info_free (SandboxImageInfo *info);

/* (element-type SandboxImageInfo), sorted by name and age, newest first */
GPtrArray *sandbox_host_list_images (SandboxHost *host, GCancellable *cancellable, GError **error);
/* Its manifest (JSON text: release, kernel, packages; of a layer: what was installed). @id_or_name:
 * an id, also of a layer, or a name for the newest. */
char *sandbox_host_show_image (SandboxHost *host, const char *id_or_name, GCancellable *cancellable,
                               GError **error);
/* Builds @name from its recipe and uploads it. When one exists nothing is done, unless @update.
 * @ret_id: its id. */
gboolean sandbox_host_build_image (SandboxHost *host, const char *name, gboolean update,
                                   SandboxProgressFunc progress, gpointer user_data,
                                   GCancellable *cancellable, char **ret_id, GError **error);
/**
 * SandboxProvisionOptions:
 * @struct_size: set by SANDBOX_PROVISION_OPTIONS_INIT
 * @update: make all layers anew, with the versions that are current now
 * @debug: keep the machine in which a step fails; the error says how to enter and remove it
 */
typedef struct
{
  gsize struct_size;
  gboolean update, debug;
} SandboxProvisionOptions;
#define SANDBOX_PROVISION_OPTIONS_INIT                                                             \
  {                                                                                                \
    .struct_size = sizeof (SandboxProvisionOptions)                                                \
  }
/* Runs the steps of a running machine's [provision] that its disk does not have, or has with
 * something else in them, in the machine itself: with its network, its shares mounted. What a
 * profile no longer lists stays. Nothing of it becomes a layer. WRONG_STATE when it does not run;
 * INVALID when its profile provisions nothing, or what it forbids; GUEST or TIMED_OUT when a step
 * fails: the next call begins with that one. @ret_n_steps (nullable): how many were run. */
gboolean sandbox_machine_provision (SandboxMachine *machine, SandboxProgressFunc progress,
                                    gpointer user_data, GCancellable *cancellable,
                                    guint *ret_n_steps, GError **error);
/* Makes the layers of @profile_name's [provision], as far as they are not there, on the newest
 * image of that profile; the image too, if there is none. GUEST or TIMED_OUT when a step fails: its
 * layer is not made, those before it stay.
 * @ret_id (nullable): what its machines start from, as sandbox_host_list_images calls it: the last
 * layer, or the image when the profile provisions nothing. */
gboolean sandbox_host_provision (SandboxHost *host, const char *profile_name,
                                 const SandboxProvisionOptions *options,
                                 SandboxProgressFunc progress, gpointer user_data,
                                 GCancellable *cancellable, char **ret_id, GError **error);
/* IN_USE while a machine pins it. A name removes all unused ones of that name. */
gboolean sandbox_host_remove_image (SandboxHost *host, const char *id_or_name,
                                    GCancellable *cancellable, GError **error);
/**
 * SandboxLayerInfo:
 * @id: "layer-DIGEST-TIME", as `vms image remove` takes it; @image: the one it stands on
 * @profile: the one it was made for first; @step: "packages", "npm" or "setup"; @what: for people
 * @uid: whose it is; @disk_bytes: bytes on the host
 * @used_by: (array zero-terminated=1): object names of machines, and layers, that stand on it
 * @registry: the npm registry that the host told it to take; "": npm's own
 */
typedef struct
{
  char *id, *image, *parent, *profile, *step, *what;
  guint uid;
  gint64 built_usec;
  guint64 disk_bytes;
  char **used_by;
  char *registry;
} SandboxLayerInfo;
void sandbox_layer_info_free (SandboxLayerInfo *info);
/* What provisioning has made; (element-type SandboxLayerInfo), newest first. */
GPtrArray *sandbox_host_list_layers (SandboxHost *host, GCancellable *cancellable, GError **error);
/**
 * SandboxWarmInfo: the kept memory of a machine that has just booted (start=warm)
 * @id: "warm-OBJECT.DIGEST-TIME", as `vms image remove` takes it
 * @machine: which one can go on from it; @throwaway: those that `vms run` makes by this name
 * @disk_bytes, @memory_bytes: bytes on the host
 * @used_by: (array zero-terminated=1): object names of machines that stand on its disk
 */
typedef struct
{
  char *id, *machine;
  gboolean throwaway;
  gint64 built_usec;
  guint64 disk_bytes, memory_bytes;
  char **used_by;
} SandboxWarmInfo;
void sandbox_warm_info_free (SandboxWarmInfo *info);
/* The caller's warm images. They are a cache: whatever is removed is made again. (transfer full)
 * (element-type SandboxWarmInfo) */
GPtrArray *sandbox_host_list_warm (SandboxHost *host, GCancellable *cancellable, GError **error);
/* Names of the recipes that can be built; (array zero-terminated=1) (transfer full) */
char **sandbox_image_recipes (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxImageInfo, sandbox_image_info_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxLayerInfo, sandbox_layer_info_free)

G_END_DECLS
