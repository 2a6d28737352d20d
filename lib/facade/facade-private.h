// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the facade share: the two handles, what exists of a machine, and the work on
// one.
#pragma once

#include <sandbox/sandbox.h>
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/names.h"
#include "base/secret.h"
#include "base/steps.h"
#include "guest/guest.h"
#include "plan/plan-private.h"
#include "profile/profile-private.h"
#include "virt/virt.h"
#include "xml/xml-private.h"

#define SANDBOX_DEFAULT_URI        "qemu:///system"
#define SANDBOX_START_TIMEOUT_USEC (5 * 60 * G_USEC_PER_SEC)
/* systemd gives a service that does not end 90 s */
#define SANDBOX_STOP_TIMEOUT_USEC (2 * 60 * G_USEC_PER_SEC)
#define SANDBOX_PROFILE_TEXT_MAX  (64 * 1024)

/* A throwaway machine has its profile in its state directory, and a lock that its owner holds while
 * it lives. */
#define SANDBOX_THROWAWAY_PREFIX  "run-"
#define SANDBOX_THROWAWAY_PROFILE "profile"
#define SANDBOX_THROWAWAY_LOCK    "owner.lock"
/* The guest's machine-id, of a machine that does not take it from its UUID. */
#define SANDBOX_MACHINE_ID "machine_id"

struct _SandboxHost
{
  gatomicrefcount ref_count;
  char *uri, *state_dir, *cache_dir, *owner, *home, *user_dir, *shipped_dir;
  SandboxProfileDirs profiles;
  gint64 lock_wait_usec;
  guint uid, gid;
  SandboxVirt *virt;
  SandboxPassphraseFunc passphrase_func; /* (nullable) */
  gpointer passphrase_data;
};

struct _SandboxMachine
{
  gatomicrefcount ref_count;
  SandboxHost *host;
  char *name, *object, *state_path;
  char uuid[37];
  SandboxLock *throwaway_lock; /* (nullable): destroyed with its last reference */
  gboolean without_shares;     /* whatever its profile says */
  gboolean for_warm;           /* its plan is that of a boot which is kept (warm.h) */
  gboolean forgo_changes;      /* what was not applied may go with it */
  char *saved;                 /* (nullable): where that was saved last */
  guint saved_git;             /* what of that is git's */
  gboolean saved_unsettled;    /* it was writing there meanwhile */
  GPtrArray *reads;            /* (nullable) of SandboxPlanRead: it is a reader (reader.h) */
};

/* Copies the caller's option struct, which may be of an older, shorter version, over the defaults
 * in @options. */
gboolean _sandbox_options_copy (gpointer options, gsize size, gconstpointer from, GError **error);

/* --- host.c */
/* The state directory; -1 with NOT_FOUND unless @create. */
int _sandbox_host_state_fd (SandboxHost *host, gboolean create, GError **error);
gboolean _sandbox_host_is_test (SandboxHost *host);
/* "vms-1000-": begins the name of every object of the caller, and of other owner tags. */
char *_sandbox_host_prefix (SandboxHost *host);

/* --- progress */
typedef struct
{
  SandboxProgressFunc func;
  gpointer user_data;
  const char *object;
} SandboxReport;
void _sandbox_report (const SandboxReport *report, const char *phase, const char *note,
                      guint64 done, guint64 total);

/* --- machine.c */
SandboxMachine *_sandbox_machine_new (SandboxHost *host, const char *name);
/* Its state directory; -1 with NOT_FOUND unless @create. */
int _sandbox_machine_state_fd (SandboxMachine *machine, gboolean create, GError **error);
SandboxLock *
_sandbox_machine_lock (SandboxMachine *machine, const char *verb, gint64 wait_usec,
                       const SandboxReport *report, GCancellable *cancellable, GError **error);
/* Lets go; the lock file stays only as long as there is something of the machine. */
void _sandbox_machine_unlock (SandboxMachine *machine, SandboxLock *lock);
/* A SandboxLockWaitFunc: says it as phase "lock" of the SandboxReport that is its user_data. */
void _sandbox_on_lock_wait (const char *holder, gpointer user_data);

/* What exists of a machine. */
typedef struct
{
  gboolean domain, network, filter, disk, seed, state_dir, memory;
  SandboxVirtState virt_state;
} SandboxPieces;
SandboxState _sandbox_pieces_state (SandboxHost *host, const SandboxPieces *pieces);
gboolean _sandbox_pieces_any (const SandboxPieces *pieces);
gboolean _sandbox_pieces_running (const SandboxPieces *pieces);
gboolean
_sandbox_machine_pieces (SandboxMachine *machine, SandboxPieces *ret_pieces, GError **error);
/* The defined domain's XML and what its metadata say. Both NULL without error when there is no
 * domain. A domain of that name that is not ours is an error (EXISTS), so that no verb touches it.
 */
gboolean _sandbox_machine_read_domain (SandboxMachine *machine, char **ret_xml,
                                       SandboxDomainMeta **ret_meta, GError **error);
/* How to reach it; WRONG_STATE when it was never started. */
SandboxSsh *_sandbox_machine_ssh (SandboxMachine *machine, GError **error);
/* The last lines of the boot console, fit for a terminal, "" when there are none. Never fails. */
char *_sandbox_machine_console_tail (SandboxMachine *machine, guint lines);

/* --- list.c */
typedef struct
{
  SandboxPieces pieces;
  char *profile; /* (nullable) */
  char *problem; /* (nullable): why its profile does not load */
} SandboxEntry;
/* Everything of the caller's and its owner tag, by machine name; profiles left out. (element-type
 * utf8 SandboxEntry) */
GHashTable *_sandbox_host_scan (SandboxHost *host, GError **error);

/* --- create.c */
SandboxProfile *_sandbox_machine_load_profile (SandboxMachine *machine, GError **error);
/* The user's own profile file of NAME; NULL when there is none. */
char *_sandbox_profile_own_text (SandboxHost *host, const char *name, GError **error);
gboolean _sandbox_profile_is_shipped (SandboxHost *host, const char *name);
/* @text (nullable) with @shares added, as far as the profile that it makes does not have them
 * already. */
char *_sandbox_profile_text_with_shares (SandboxHost *host, const char *name, const char *text,
                                         const char *const *shares, gboolean *ret_changed,
                                         GError **error);
/* The group of one share in the text (nullable) of a profile file: set, or removed. */
char *_sandbox_profile_text_with_share (const char *text, const SandboxShareSpec *share);
char *_sandbox_profile_text_without_share (const char *text, const char *tag);

/* --- image.c */
typedef struct
{
  char *id, *disk, *kernel, *initrd, *cmdline;
  char **layers; /* paths of what provisioning has put on the disk, the uppermost first; or NULL */
  guint64 bytes;
  gboolean pinned; /* a disk stands on it already */
} SandboxImageRef;
SandboxImageRef *_sandbox_image_ref_copy (const SandboxImageRef *ref);
void _sandbox_image_ref_free (SandboxImageRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxImageRef, _sandbox_image_ref_free)
/* "debian-13-20261121T031500-0123456789ab" -> "debian-13"; NULL when @id is none. */
char *_sandbox_image_id_name (const char *id, gint64 *ret_built_usec);
/* Id of the image that a disk's backing path names; NULL when it names none. */
char *_sandbox_image_id_of_path (const char *path);
/* Ids of all complete images of @name (nullable: of all), newest first. */
char **_sandbox_image_ids (SandboxHost *host, const char *name, GError **error);
SandboxImageRef *_sandbox_image_ref (SandboxHost *host, const char *id, GError **error);
/* What stands on which image, or on which layer: names of the machines of all users, and of layers,
 * by id. */
GHashTable *_sandbox_image_users (SandboxHost *host, GError **error);
char **_sandbox_image_user_names (GHashTable *users, const char *id);
gboolean _sandbox_image_remove_volumes (SandboxHost *host, const char *id, GError **error);

/* --- image-build.c */
/* Leftovers of builds that were killed: their directories, and the volumes of half-uploaded images.
 * Takes the lock of builds unless @locked; BUSY is no error. (element-type SandboxOrphan) */
gboolean _sandbox_image_clean (SandboxHost *host, gboolean locked, gboolean remove,
                               GPtrArray *orphans, GCancellable *cancellable, GError **error);
/* A directory with a note that the volumes of @id (nullable) are not complete, for whoever cleans
 * up. Its name. */
char *_sandbox_image_journal (int build_fd, const char *name, const char *id, GError **error);
int _sandbox_image_build_fd (SandboxHost *host, gboolean create, GError **error);
SandboxLock *_sandbox_image_lock (SandboxHost *host, int build_fd, const SandboxReport *report,
                                  GCancellable *cancellable, GError **error);

/* --- work.c: one verb at work on one machine. A verb's table of steps runs on this. */
typedef struct _SandboxWork SandboxWork;
struct _SandboxWork
{
  SandboxMachine *machine;
  SandboxHost *host;
  SandboxReport report;
  SandboxStartOptions options;
  SandboxMachine *source; /* clone: what is cloned */
  SandboxWork *from;      /* clone: the work on that; not owned */

  SandboxPieces pieces; /* as found when the work began */
  char *old_xml;        /* the domain as it was defined; NULL when it was not */
  SandboxDomainMeta *old_meta;
  SandboxProfile *profile;
  char *profile_text; /* clone: the text to be saved */
  SandboxImageRef *image;
  SandboxPlan *plan;
  char *changes;
  char *old_filter;          /* NULL: there was none */
  SandboxSecret *passphrase; /* of an encrypted disk, until the machine runs; else NULL */
  SandboxSsh *ssh;
  gboolean newest_image; /* recreate: not the one that the disk pins */
  gboolean boot;         /* recreate: it ran */
  gboolean force;
  gboolean remove_profile;
  const char *keep_changes; /* (nullable): the verb that saves what was not applied */
  int unapplied;            /* stop: SandboxUnapplied, when @asked_unapplied */
  gboolean asked_unapplied;
  gint64 timeout_usec, lock_wait_usec;
  struct _SandboxImport *import; /* (nullable): import; not owned */
  struct _SandboxExport *export; /* (nullable): export; not owned */
  gboolean slot;             /* run: a throwaway machine that others come after by the same name */
  struct _SandboxWarm *warm; /* (nullable): what it goes on from instead of booting */
  struct _SandboxSuspend *suspend;       /* (nullable): suspend, resume; not owned */
  struct _SandboxSnapshotWork *snapshot; /* (nullable): snapshot verbs, and what removes disks */
  SandboxLock *lock;
  SandboxLock *addresses_lock; /* from the choice of addresses until the network has them */

  /* What this call made, and so has to undo. Cleared as a whole when there is no way back, or when
   * it shall stay. */
  struct
  {
    gboolean profile, state_dir, filter, network, network_active, disk, seed, domain, redefined,
        boot, keeper, everything;
    GPtrArray *directories;
  } made;
  char *old_profile_text;
};

/* One row of a verb's table. */
typedef enum
{
  SANDBOX_ROW_ALWAYS = 0,
  SANDBOX_ROW_REAL = 1 << 0,    /* needs a real guest: left out on libvirt's test driver */
  SANDBOX_ROW_BOOT = 1 << 1,    /* only when the work shall end with a running machine */
  SANDBOX_ROW_IDLE = 1 << 2,    /* only when it shall not */
  SANDBOX_ROW_OFF = 1 << 3,     /* nothing is to be done for a machine that runs already */
  SANDBOX_ROW_PROFILE = 1 << 4, /* only where the profile goes, too */
} SandboxRowFlags;
typedef struct
{
  SandboxStep step;
  SandboxRowFlags flags;
} SandboxRow;
typedef struct
{
  const char *verb;
  const SandboxRow *rows;
  gsize n_rows;
} SandboxVerb;
extern const SandboxVerb _sandbox_verb_start, _sandbox_verb_stop, _sandbox_verb_destroy,
    _sandbox_verb_recreate, _sandbox_verb_clone, _sandbox_verb_snapshot_create,
    _sandbox_verb_snapshot_delete, _sandbox_verb_revert, _sandbox_verb_export, _sandbox_verb_import,
    _sandbox_verb_warm_capture, _sandbox_verb_warm_start, _sandbox_verb_suspend,
    _sandbox_verb_resume;

void _sandbox_work_init (SandboxWork *work, SandboxMachine *machine, SandboxProgressFunc func,
                         gpointer user_data);
void _sandbox_work_clear (SandboxWork *work);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxWork, _sandbox_work_clear)
gboolean
_sandbox_work_lock_addresses (SandboxWork *work, GCancellable *cancellable, GError **error);
void _sandbox_work_release_addresses (SandboxWork *work);
/* There is no way back from here on. */
void _sandbox_work_keep (SandboxWork *work);
/* Takes the lock, finds out what exists, runs the verb's table. */
gboolean _sandbox_work_begin (SandboxWork *work, const char *verb, GCancellable *cancellable,
                              GError **error);
gboolean _sandbox_work_run (SandboxWork *work, const SandboxVerb *verb, GCancellable *cancellable,
                            GError **error);
/* Profile, image and identity to the plan: no effects. @image (nullable): none is built yet.
 * @fresh_disk: for a disk that takes the place of the one that is there. */
SandboxPlan *
_sandbox_work_plan (SandboxMachine *machine, SandboxProfile *profile, const SandboxImageRef *image,
                    const SandboxDomainMeta *meta, gboolean fresh_disk, GError **error);
/* Which image @machine is, or would be, made from; *ret_ref NULL when it has to be built first. */
gboolean _sandbox_work_find_image (SandboxMachine *machine, SandboxProfile *profile,
                                   gboolean newest, SandboxImageRef **ret_ref, GError **error);

/* --- clone.c: what is made under a new name; import does so, too */
/* EXISTS, for "VERB to NAME", when there is a profile of that name. */
gboolean
_sandbox_new_name_is_free (SandboxHost *host, const char *verb, const char *name, GError **error);
/* What a killed clone or import left of @work's machine. */
gboolean _sandbox_new_clear_leftovers (SandboxWork *work, const char *verb,
                                       GCancellable *cancellable, GError **error);
/* The first thing that is made of it; until the profile is there, it may be cleared away. */
gboolean _sandbox_step_new_keys (gpointer work, GCancellable *cancellable, GError **error);
/* The last. */
gboolean _sandbox_step_new_profile (gpointer work, GCancellable *cancellable, GError **error);

/* --- room.c: what the host's disk has left */
/* No machine is started with less. */
#define SANDBOX_ROOM_MIN (G_GUINT64_CONSTANT (512) << 20)
/* *ret_exists FALSE: there is no pool, or it is off. */
gboolean _sandbox_host_room (SandboxHost *host, gboolean *ret_exists, guint64 *ret_available,
                             GError **error);
/* HOST, with the numbers, when there is less than SANDBOX_ROOM_MIN beside @bytes. @doing: "start
 * work". */
gboolean
_sandbox_host_check_room (SandboxHost *host, const char *doing, guint64 bytes, GError **error);
gboolean _sandbox_space_check (SandboxWork *work, GError **error);
/* Lets a paused machine go on if QEMU has paused it and there is room now; WRONG_STATE or HOST with
 * what to do. @verb: what was asked for, for the message. */
gboolean _sandbox_space_wake (SandboxWork *work, const char *verb, GError **error);
/* Why a machine is paused, in words and as in JSON output: static, "" while it is not. */
const char *_sandbox_space_paused (SandboxMachine *machine);

/* --- encrypt.c */
/* Asks for what an encrypted disk needs; WRONG_STATE when the profile wants one and the disk is
 * none. */
gboolean _sandbox_step_passphrase (gpointer work, GCancellable *cancellable, GError **error);
/* libvirt has the passphrase from here until it is taken back; nothing to do without one. */
gboolean _sandbox_secret_tell (SandboxWork *work, GError **error);
void _sandbox_secret_take_back (SandboxWork *work);
/* With the machine's lock held nobody is at a start of it: a passphrase that libvirt has is one
 * that a killed process left. */
void _sandbox_secret_forget (SandboxWork *work);
/* Starts a machine whose disk is encrypted, and forgets the passphrase; DENIED when it is the wrong
 * one. */
gboolean _sandbox_encrypted_start (SandboxWork *work, GError **error);
/* UNSUPPORTED, "@doing: its disk is encrypted: @advice", when it is. */
struct _SandboxLayer;
gboolean _sandbox_layer_refuse_encrypted (const struct _SandboxLayer *layer, const char *doing,
                                          const char *advice, GError **error);
/* Passphrases that killed processes left with libvirt. (element-type SandboxOrphan) */
gboolean
_sandbox_secrets_repair (SandboxHost *host, gboolean remove, GPtrArray *orphans, GError **error);

/* --- start-steps.c: shared by start, recreate and clone; @work is a SandboxWork */
gboolean _sandbox_step_profile (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_profile (gpointer work);
gboolean _sandbox_step_image (gpointer work, GCancellable *cancellable, GError **error);
/* provision-step.c */
/* Before anything is made: that what @profile provisions is there and allowed. @new_disk FALSE: the
 * disk is there, and has what it has. */
gboolean _sandbox_provision_check (SandboxMachine *machine, SandboxProfile *profile,
                                   gboolean new_disk, GError **error);
gboolean _sandbox_step_provision (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_plan (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_keys (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_keys (gpointer work);
gboolean _sandbox_step_shares (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_shares (gpointer work);
gboolean _sandbox_step_filter (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_filter (gpointer work);
gboolean _sandbox_step_network (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_network (gpointer work);
gboolean _sandbox_step_disk (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_disk (gpointer work);
gboolean _sandbox_step_seed (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_seed (gpointer work);
/* What @plan's guest boots with, with the keys in @state_fd. */
gboolean
_sandbox_seed_write (SandboxHost *host, const SandboxPlan *plan, int state_fd, GError **error);
gboolean _sandbox_step_domain (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_domain (gpointer work);
/* share-door.c: what the share helper is told of one share, beside the others */
gboolean _sandbox_share_door_write (SandboxMachine *machine, const SandboxPlanShare *share,
                                    GCancellable *cancellable, GError **error);
void _sandbox_share_door_remove (SandboxMachine *machine, const char *tag);
/* what the share helper is told of each share, before the machine is defined. HOST
 * when this user has no subordinate numbers, or there is no virtiofsd. */
gboolean _sandbox_share_doors_write (SandboxWork *work, GCancellable *cancellable, GError **error);
/* changes.c */
/* The same of one share that a machine gets while it runs. *@ret_made: there was no record of it.
 */
gboolean _sandbox_record_share (SandboxMachine *machine, const SandboxPlanShare *share,
                                gboolean *ret_made, GCancellable *cancellable, GError **error);
gboolean _sandbox_record_remove (SandboxMachine *machine, const char *tag, GError **error);
gboolean _sandbox_record_exists (SandboxMachine *machine, const char *tag);
/* What this host has in the shares for review, when a machine's layer begins. */
gboolean _sandbox_step_record (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_records_clone (SandboxMachine *from, SandboxMachine *to, GError **error);
/* Before its disk goes back to an older state (changes.c). */
gboolean _sandbox_records_revert (SandboxMachine *machine, GError **error);
/* shares.c */
/* Sources without links, as far as they are there: what is checked is then what libvirt is given.
 */
void _sandbox_shares_pin (SandboxPlan *plan);
/* One of the plan: made if it may be, checked, and apart from the plan's others. */
gboolean _sandbox_share_make (SandboxWork *work, guint index, GError **error);
/* No share of ours inside, or around, one of another machine of the caller's. After the domain is
 * defined, so that of two starts at once at least one sees the other. */
gboolean _sandbox_shares_check_apart (SandboxWork *work, GError **error);
/* @path without links; what is not there yet stays as it is written. (transfer full) */
char *_sandbox_path_resolve (const char *path);
/* The directories that the user's machines share now, and the place of the drop boxes, without
 * links: whatever lies there, a machine may have put there. */
char **_sandbox_shares_of_all (SandboxHost *host, GError **error);
/* boot-steps.c */
gboolean _sandbox_step_boot (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_boot (gpointer work);
gboolean _sandbox_step_keeper (gpointer work, GCancellable *cancellable, GError **error);
void _sandbox_undo_keeper (gpointer work);
gboolean _sandbox_step_ssh (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_mounts (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_ready (gpointer work, GCancellable *cancellable, GError **error);
/* stop.c */
gboolean _sandbox_step_shutdown (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_stop_keeper (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_stop_network (gpointer work, GCancellable *cancellable, GError **error);
/* destroy.c */
gboolean _sandbox_destroy_locked (SandboxWork *work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_remove_disk (gpointer work, GCancellable *cancellable, GError **error);

/* --- share-live.c: shares of a machine that runs, or not */
/* Of SandboxPlanShare: what it runs with, or would after a start. (transfer full) */
GPtrArray *_sandbox_machine_shares (SandboxMachine *machine, GError **error);
/* What it runs with, by libvirt; both NULL when it does not run. */
gboolean _sandbox_machine_read_live (SandboxMachine *machine, char **ret_xml,
                                     SandboxDomainMeta **ret_meta, GError **error);
const SandboxPlanShare *_sandbox_shares_find (const GPtrArray *shares, const char *tag);
/* Asks for the device back and waits until it is gone. None: success. */
gboolean _sandbox_share_detach (SandboxMachine *machine, const char *tag, GCancellable *cancellable,
                                GError **error);
/* The running machine's metadata as in @xml. */
gboolean _sandbox_share_set_metadata (SandboxMachine *machine, const char *xml, GError **error);
/* In the list that the keeper follows: @until_usec, or, with @remove, no longer. */
gboolean _sandbox_share_tell (SandboxMachine *machine, const char *tag, gint64 until_usec,
                              gboolean remove, GError **error);
/* share-remove.c, for the keeper: the end of @tag if its time is over. Changes of a share for
 * review stay in the machine. */
gboolean
_sandbox_machine_end_share (SandboxHost *host, const char *name, const char *tag, GError **error);

/* --- share-server.c */
/* Of a running machine, by the kernel's @table of sockets; FALSE, too, when it cannot be told. */
gboolean _sandbox_share_server_is_gone (const char *table, const char *live_xml, const char *tag);
/* Why nothing is read or written through it; NULL: nothing is known against it. */
const char *_sandbox_share_server_problem (const char *live_xml, const char *tag);
/* WRONG_STATE names the first share of a running machine that has none. */
gboolean _sandbox_share_check_servers (SandboxMachine *machine, GError **error);

/* --- run.c */
/* A name that a throwaway machine got, which its user may have kept. */
gboolean _sandbox_name_is_generated (const char *name);
/* As sandbox_host_run(), with whole options; @without_shares: nor services of the host. */
SandboxMachine *_sandbox_host_run_throwaway (SandboxHost *host, const SandboxRunOptions *options,
                                             gboolean without_shares, const SandboxReport *report,
                                             GCancellable *cancellable, GError **error);
/* A throwaway machine of the profile @text, without shares, on what @image says. @reads (nullable):
 * disks that it reads, of SandboxPlanRead. Its progress is not told. */
SandboxMachine *
_sandbox_host_run_bare (SandboxHost *host, const char *text, const SandboxImageRef *image,
                        GPtrArray *reads, gint64 start_timeout_usec, GCancellable *cancellable,
                        GError **error);
/* --- forward.c: without @look nobody is asked, and all are "off" */
GPtrArray *_sandbox_machine_forwards (SandboxMachine *machine, gboolean look,
                                      GCancellable *cancellable, GError **error);
/* --- forward-profile.c */
/* @specs (canonical) into, or out of, the user's own profile file; what is already so stays.
 * @ret_old: (nullable) the text as it was, @ret_new: as it is now, for
 * _sandbox_profile_put_back(). */
gboolean _sandbox_profile_change_forwards (SandboxMachine *machine, SandboxListens kind,
                                           const char *const *specs, gboolean add, char **ret_old,
                                           char **ret_new, GError **error);
/* Makes it @old again, unless somebody has made something else of @new. */
void _sandbox_profile_put_back (SandboxMachine *machine, const char *old, const char *new);
/* --- forward-state.c */
typedef enum
{
  SANDBOX_PORT_FREE,
  SANDBOX_PORT_OURS,  /* an ssh of this machine listens there */
  SANDBOX_PORT_TAKEN, /* somebody else */
} SandboxPortUse;
typedef struct _SandboxPortTable SandboxPortTable;
SandboxPortTable *_sandbox_port_table_new (SandboxMachine *machine, const GArray *entries);
void _sandbox_port_table_free (SandboxPortTable *table);
/* @ret_holder (nullable): who has it, when it is taken. */
SandboxPortUse
_sandbox_port_table_look (const SandboxPortTable *table, guint16 port, char **ret_holder);
/* Of @entries (of SandboxForwardEntry) what a list of SandboxForward is made of: all off, or as
 * they are now. */
GPtrArray *_sandbox_forwards_off (const GArray *entries);
GPtrArray *_sandbox_forwards_look (SandboxMachine *machine, const SandboxSsh *ssh, int state_fd,
                                   const GArray *entries, GCancellable *cancellable);
/* UNSUPPORTED when a port at which the guest would be offered something is taken there. */
gboolean
_sandbox_forwards_check_guest (SandboxMachine *machine, const SandboxSsh *ssh,
                               const GArray *entries, GCancellable *cancellable, GError **error);
/* --- forward-steps.c */
gboolean _sandbox_step_ports (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_forwards (gpointer work, GCancellable *cancellable, GError **error);
GArray *_sandbox_forwards_of_plan (const SandboxPlan *plan);
/* Those of @kind as the value of a key, with or without those that have a time limit. */
char *_sandbox_forwards_join (const GArray *entries, SandboxListens kind, gboolean timed);
/* BUSY with the holder of the first port that @machine cannot have. */
gboolean _sandbox_forwards_check_free (SandboxMachine *machine, const GArray *entries,
                                       GCancellable *cancellable, GError **error);
/* The plan's list for the keeper. */
gboolean _sandbox_forwards_tell (SandboxWork *work, int state_fd, GError **error);
/* Until the keeper has ended what the list with @digest no longer has. */
gboolean _sandbox_forwards_wait_followed (int state_fd, const char *digest,
                                          GCancellable *cancellable, GError **error);
/* Until all of @entries listen; BUSY or UNSUPPORTED with the reason why one does not. */
gboolean _sandbox_forwards_wait (SandboxMachine *machine, const SandboxSsh *ssh, int state_fd,
                                 const GArray *entries, GCancellable *cancellable, GError **error);

/* --- policy.c: [policy] forbid= */
/* The program of the seed by which apt says what is forbidden; *ret_hook NULL: nothing is. */
gboolean
_sandbox_policy_hook (SandboxHost *host, const SandboxPlan *plan, char **ret_hook, GError **error);
/* The first of @patterns that fits @name, a package or a command; NULL: none does. */
const char *_sandbox_policy_find (char *const *patterns, const char *name);
/* What of @patterns is in the machine, in words, fit for a terminal: at most 100, empty: nothing.
 * As root in the guest, which may be hostile: then it is no more than its word. NULL with @error.
 * (element-type utf8) (transfer full) */
GPtrArray *_sandbox_policy_look (SandboxHost *host, const SandboxSsh *ssh, char *const *patterns,
                                 GCancellable *cancellable, GError **error);

/* --- ssh-config.c */
gboolean _sandbox_ssh_config_refresh (SandboxHost *host, GError **error);

/* --- exec.c: how to reach it, with its keeper there; WRONG_STATE when it does not run. */
SandboxSsh *
_sandbox_machine_ready (SandboxMachine *machine, GCancellable *cancellable, GError **error);
