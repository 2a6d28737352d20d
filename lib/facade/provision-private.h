// SPDX-License-Identifier: LGPL-2.1-or-later
// Provisioning: what a profile wants to have installed, in groups of steps, and the layers that
// groups make, which are the disks that machines then stand on in place of the image.
#pragma once

#include "facade/facade-private.h"

/* What one layer is made of. */
typedef struct
{
  const char *id; /* "packages", "npm" or "setup"; static */
  char *what;     /* for people */
  GBytes *bundle; /* tar: all that the machine is sent, and the script "run" that uses it */
} SandboxGroup;
void _sandbox_group_free (SandboxGroup *group);

typedef struct
{
  SandboxHost *host;
  const SandboxReport *report;
  SandboxProfile *profile;
  gboolean update;   /* make all anew */
  gboolean debug;    /* a machine in which a step failed is kept */
  gboolean no_build; /* NOT_FOUND instead of making a layer */
} SandboxLayering;

/* --- provision-wanted.c: all that [provision] says, each thing once, in order */
/* The profile whose provisioning it is: of a throwaway machine the one that it was made of, which
 * is there when the machine is gone. The caller's. */
const char *_sandbox_provision_subject (const SandboxProfileDirs *dirs, SandboxProfile *profile);
#define SANDBOX_PROVISION_FILE_MAX (16 * 1024 * 1024) /* bytes */
typedef struct
{
  const SandboxProfileDirs *dirs; /* the caller's, as are the next two */
  SandboxProfile *profile;
  const char *home;
  const SandboxProvision *provision;
  GPtrArray *untrusted;               /* directories that machines share, or may */
  GPtrArray *sharers;                 /* who does, in words, for each of these */
  GPtrArray *pieces, *packages, *npm; /* (element-type utf8) */
  GPtrArray *commands;                /* that the pieces say they bring (element-type utf8) */
  int pieces_fd, scripts_fd;
} SandboxWanted;
/* @shared: what machines share, as _sandbox_shares_of_all() has it; what profiles say of shares is
 * read here. */
gboolean _sandbox_wanted_init (SandboxWanted *wanted, const SandboxProfileDirs *dirs,
                               SandboxProfile *profile, const char *home, char *const *shared,
                               GError **error);
void _sandbox_wanted_clear (SandboxWanted *wanted);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxWanted, _sandbox_wanted_clear)
/* INVALID for a piece that is not there, and for what the profile forbids. */
gboolean _sandbox_wanted_collect (SandboxWanted *wanted, GError **error);
/* A file of the user's that @key ("setup" or "files") names; INVALID with "FILE:LINE: " when it
 * cannot be read, or lies where a machine could have put it. */
gboolean _sandbox_wanted_read (const SandboxWanted *wanted, const char *key, const char *source,
                               char **ret_data, gsize *ret_length, GError **error);

/* --- provision.c */
/* What [provision] of @profile comes to, in the order in which it is done; files and scripts of the
 * user's are read now: whoever wants to know only whether all is there and allowed has that too.
 * (element-type SandboxGroup) Empty: nothing. */
GPtrArray *_sandbox_provision_groups (SandboxHost *host, SandboxProfile *profile, GError **error);
/* Name of the layer that @group makes on @parent (the id of an image or of a layer): of all that
 * goes into it. 32 hexadecimal digits. */
char *_sandbox_provision_digest (const char *parent, const SandboxGroup *group,
                                 const SandboxProfileValues *values, guint uid, guint gid);
/* By which a machine's own disk says that @group was done on it: what makes the group, whatever is
 * below, and whatever is forbidden. (transfer full) */
char *_sandbox_group_marker (const SandboxLayering *layering, const SandboxGroup *group);
/* --- provision-env.c */
/* What this host knows of the way to packages, as variables for the guest's scripts: the npm
 * registry of the user's configuration, and the addresses of the package sources, as far as @plan
 * lets a guest reach them. Never fails. (array zero-terminated=1) (transfer full) */
char **_sandbox_provision_env (SandboxPlan *plan, GCancellable *cancellable);
/* That registry. Wherever the user is: what lies in the current directory has no say. NULL: npm is
 * not there, or names none that can be passed on. */
char *_sandbox_provision_registry (GCancellable *cancellable);

/* --- provision-run.c: one group at work in a machine */
#define SANDBOX_GROUP_TAIL 30 /* lines */
typedef struct
{
  SandboxMachine *machine; /* the caller's, as are the next two */
  const SandboxLayering *layering;
  const SandboxGroup *group;
  gboolean in_place; /* in the user's own machine, not for a layer */
  SandboxSsh *ssh;
  char *tail[SANDBOX_GROUP_TAIL]; /* the last lines of the guest's, fit for a terminal */
  guint n_lines;
  char *registry; /* the one that it was told of; NULL: none */
} SandboxGroupRun;
gboolean _sandbox_group_run_init (SandboxGroupRun *run, SandboxMachine *machine,
                                  const SandboxLayering *layering, const SandboxGroup *group,
                                  GError **error);
void _sandbox_group_run_clear (SandboxGroupRun *run);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxGroupRun, _sandbox_group_run_clear)
gboolean _sandbox_group_send (SandboxGroupRun *run, GCancellable *cancellable, GError **error);
/* All of it, as root; GUEST with its last words when it fails, TIMED_OUT. */
gboolean _sandbox_group_run (SandboxGroupRun *run, SandboxPlan *plan, GCancellable *cancellable,
                             GError **error);
/* "run" or "clean" of what was sent. */
gboolean _sandbox_group_script (SandboxGroupRun *run, const char *script, char *const *env,
                                gint64 timeout_usec, GCancellable *cancellable, GError **error);
/* INVALID when what the profile forbids is in the machine now. */
gboolean _sandbox_group_look (SandboxGroupRun *run, GCancellable *cancellable, GError **error);

/* --- provision-machine.c */
/* Whether @machine's disk was brought by sandbox_machine_provision() to what its profile says. */
gboolean _sandbox_provision_is_noted (const SandboxLayering *layering, SandboxMachine *machine);
/* It has another disk now, or that of another time. */
gboolean _sandbox_provision_forget (SandboxMachine *machine, GError **error);

/* --- layer.c: a layer is the volume layer.ID.qcow2, and layer.ID.json, which is written last and
 * says ID. ID is DIGEST-TIME. */
/* Id of the layer that a disk's backing path names; NULL when it names none. */
char *_sandbox_layer_id_of_path (const char *path);
/* All complete ones of @digest that a disk of @disk_bytes can stand on, the newest first.
 * (element-type utf8) */
GPtrArray *
_sandbox_layer_fitting (SandboxHost *host, const char *digest, guint64 disk_bytes, GError **error);
/* The newest complete one of @digest that a disk of @disk_bytes can stand on; *ret_id NULL: none.
 */
gboolean _sandbox_layer_find (SandboxHost *host, const char *digest, guint64 disk_bytes,
                              char **ret_id, GError **error);
/* The path that a disk on @image has right below it. */
const char *_sandbox_layer_top (const SandboxImageRef *image);
/* Whether the disk @volume stands on just that: its own bytes are all that a copy of it has. */
gboolean _sandbox_layer_check_below (SandboxHost *host, const char *volume,
                                     const SandboxImageRef *image, GError **error);
/* What is made on @image stands on the layer @id from now on. */
gboolean
_sandbox_layer_use (SandboxHost *host, const char *id, SandboxImageRef *image, GError **error);
/* "layer-ID" as users write it, to ID; NULL for anything else. */
char *_sandbox_layer_id_of_word (const char *word);
/* The ids of all complete ones, or of @digest only, the newest of each digest first. (element-type
 * utf8) */
GPtrArray *_sandbox_layer_ids (SandboxHost *host, const char *digest, GError **error);
gboolean _sandbox_layer_remove_volumes (SandboxHost *host, const char *id, GError **error);
/* The ids of those that have no whole manifest: they are being made, or were. @digest "": of all.
 */
GPtrArray *_sandbox_layer_incomplete (SandboxHost *host, const char *digest, GError **error);
/* Removes all of @digest that is not complete. Its builder is known to be gone. */
gboolean _sandbox_layer_clean (SandboxHost *host, const char *digest, GError **error);

/* --- layer-list.c */
/* One that is there and that nobody uses: IN_USE else; BUSY while it is being made. */
gboolean _sandbox_layer_remove (SandboxHost *host, const char *id, GError **error);
/* What builders that were killed have left. (element-type SandboxOrphan) */
gboolean
_sandbox_layers_repair (SandboxHost *host, gboolean remove, GPtrArray *orphans, GError **error);

/* --- layer-build.c */
/* The directory in which a builder holds a lock "DIGEST.lock". */
int _sandbox_layer_lock_fd (SandboxHost *host, gboolean create, GError **error);

/* Finds or makes the layers that the profile wants on @image, which stands on the last of them
 * afterwards; when one cannot be made, on the last that is there. @ret_id (nullable): its id; NULL:
 * the profile wants nothing. */
gboolean _sandbox_layers_ensure (const SandboxLayering *layering, SandboxImageRef *image,
                                 char **ret_id, GCancellable *cancellable, GError **error);

/* --- provision-step.c */
/* For people: those groups of @profile that are no layers on @image yet, which gets the layers that
 * are there; NULL: none. @image NULL: nothing is there. */
gboolean _sandbox_provision_missing (SandboxHost *host, SandboxProfile *profile,
                                     SandboxImageRef *image, char **ret_missing, GError **error);
/* Whether a disk that is made now would stand on other layers than @image, which a disk pins. */
gboolean
_sandbox_provision_differs (SandboxHost *host, SandboxProfile *profile,
                            const SandboxImageRef *image, gboolean *ret_differs, GError **error);
/* Whether the machine's disk, which stands on @image, lacks what its profile says by now. FALSE for
 * what cannot be found out (a script that is gone). */
gboolean _sandbox_provision_changed (const SandboxLayering *layering, SandboxMachine *machine,
                                     const SandboxImageRef *image);
