// SPDX-License-Identifier: LGPL-2.1-or-later
// Everything that is said to a guest: keys, the seed it boots with, ssh.
#pragma once

#include <gio/gio.h>
#include "guest/tar.h"
#include "plan/plan-private.h"

/* --- keys: three ed25519 pairs in the machine's state directory: "user_key" (with which the host's
 * user enters), "host_key" (the guest's sshd), "guest_key" (the guest's identity elsewhere), each
 * with ".pub"; all by ssh-keygen, 0600. */
gboolean _sandbox_keys_ensure (int state_fd, const char *object, gboolean *ret_created,
                               GCancellable *cancellable, GError **error);
char *_sandbox_key_public (int state_fd, const char *key,
                           GError **error); /* "ssh-ed25519 AAAA... comment" */

/* --- the seed: ustar archive, see docs/guest-contract.md. Contains private keys: goes into a 0600
 * volume only. */
/* @apt_hook (nullable): the program by which apt says what the plan forbids. @state_fd -1: without
 * the keys, so without secrets. */
GBytes *
_sandbox_seed_build (const SandboxPlan *plan, int state_fd, const char *apt_hook, GError **error);

/* --- ssh: one target per machine */
typedef struct
{
  char *state_path; /* absolute directory of the machine: keys, known_hosts, "ssh.sock" of the
                       master */
  char *uuid;       /* HostKeyAlias "vms-UUID" */
  char *address, *user;
  guint port; /* 22; tests have others */
} SandboxSsh;
SandboxSsh *
_sandbox_ssh_new (const char *state_path, const char *uuid, const char *address, const char *user);
void _sandbox_ssh_free (SandboxSsh *ssh);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxSsh, _sandbox_ssh_free)
/* known_hosts with the one host key, before first boot. */
gboolean _sandbox_ssh_write_known_hosts (int state_fd, const char *uuid, GError **error);
/* "ssh", "-F", "none", all our -o options, ..., user@address; through the master when it runs.
 * Caller appends the remote command. */
GPtrArray *_sandbox_ssh_argv (const SandboxSsh *ssh, gboolean pty, gboolean use_master);
/* One remote command line: cd, argv quoted for the shell; ends so that signals become 128+n.
 * @with_env: it takes the variables that _sandbox_ssh_exec() is given, and ends with 125 and a word
 * on stderr when they did not arrive. */
char *_sandbox_ssh_command (const char *const *argv, const char *cwd, gboolean with_env);
/* The one variable that guests accept, and in it, for a shell, all of @env: "NAME=VALUE" strings of
 * which each NAME is one. (transfer full) */
#define SANDBOX_SSH_ENV "VMS_ENV"
char *_sandbox_ssh_env (const char *const *env);
/* @env: (nullable): for a command that was made to take it. */
gboolean
_sandbox_ssh_exec (const SandboxSsh *ssh, const char *remote_command, const char *const *env,
                   gboolean pty, int stdin_fd, int stdout_fd, int stderr_fd, gint64 timeout_usec,
                   GCancellable *cancellable, int *ret_status, GError **error);
/* stdout of a short command; GUEST if it fails. @stdin_fd: what it reads, -1: nothing. */
char *
_sandbox_ssh_capture (const SandboxSsh *ssh, const char *remote_command, int stdin_fd, gsize max,
                      gint64 timeout_usec, GCancellable *cancellable, GError **error);
/* The path of the master's socket has room for about 90 bytes: INVALID when it is longer. */
gboolean _sandbox_ssh_socket_fits (const SandboxSsh *ssh, GError **error);
gboolean _sandbox_ssh_master_alive (const SandboxSsh *ssh);
/* What the machine's user is has changed (groups, variables): the master that is there takes no
 * more sessions, and the keeper starts another one, which is waited for. Sessions go on. Never
 * fails: a machine without a keeper has no master, and one that is slow gets it later. */
void _sandbox_ssh_renew_master (const SandboxSsh *ssh, GCancellable *cancellable);
/* Sleeps, unless cancelled: then FALSE with @error. */
gboolean _sandbox_pause (gint64 usec, GCancellable *cancellable, GError **error);
/* Until a command works over ssh; GUEST at once on a host key mismatch, TIMED_OUT with what was
 * last seen. @on_wait: a note now and then. */
typedef void (*SandboxSshWaitFunc) (const char *note, gpointer user_data);
gboolean _sandbox_ssh_wait (const SandboxSsh *ssh, gint64 timeout_usec,
                            gboolean (*still_running) (gpointer), SandboxSshWaitFunc on_wait,
                            gpointer user_data, GCancellable *cancellable, GError **error);
/* The block for an ssh configuration file: refuses nothing of ours, offers nothing of the host's,
 * holds against `Host *`. */
char *_sandbox_ssh_config_block (const SandboxSsh *ssh, const char *alias);

/* --- shares and files */
/* Compares the guest's mount table with the plan: GUEST names each share that is not mounted. */
gboolean _sandbox_guest_check_shares (const SandboxSsh *ssh, const SandboxPlan *plan,
                                      GCancellable *cancellable, GError **error);
/* @shared (nullable): directories of the host, without links, that machines write to; no link in
 * there is followed. */
gboolean _sandbox_guest_copy_in (const SandboxSsh *ssh, const char *host_path,
                                 const char *guest_path, const char *const *shared,
                                 gboolean overwrite, GCancellable *cancellable, GError **error);
/* @ret_note: which links were left out, for people; NULL when none was. */
gboolean
_sandbox_guest_copy_out (const SandboxSsh *ssh, const char *guest_path, const char *host_path,
                         const char *const *shared, gboolean overwrite, char **ret_note,
                         GCancellable *cancellable, GError **error);
/* What that copy would be called, as far as this host can say without the guest; NULL with @error
 * when it would be refused. (transfer full) */
char *_sandbox_guest_copy_target (const char *guest_path, const char *host_path,
                                  const char *const *shared, gboolean overwrite, GError **error);

/* A bundle of the commits on branches of the repository @path that the host lacks, into @out_fd, as
 * hostile as the guest. @known_fd: object names of what the host has, one a line. NOT_FOUND when
 * there is no repository. */
typedef void (*SandboxBytesFunc) (guint64 bytes, gpointer user_data);
gboolean _sandbox_guest_bundle (const SandboxSsh *ssh, const char *path, int known_fd, int out_fd,
                                guint64 max_bytes, SandboxBytesFunc on_bytes, gpointer user_data,
                                gboolean *ret_news, GCancellable *cancellable, GError **error);

/* --- changes.c: the layer of a share for review, /var/lib/vms/shares/TAG/upper of the guest.
 * @root: "", or where the guest, which is a reader then, has the disk of another machine. */
/* Lines "TYPE ./PATH" of the files that an archive of it leaves out ("f": too large). */
char *_sandbox_guest_list_left_out (const SandboxSsh *ssh, const char *root, const char *tag,
                                    GCancellable *cancellable, GError **error);
/* Without reading it: a word that is another one when something in it has changed. */
#define SANDBOX_FINGERPRINT_EMPTY "empty"
char *_sandbox_guest_fingerprint (const SandboxSsh *ssh, const char *tag, gint64 timeout_usec,
                                  GCancellable *cancellable, GError **error);
/* All that is mounted at @root, of at most @max bytes: two lines for each file, "TYPE MODE UID GID
 * SIZE MTIME CTIME PATH" and what it leads to (share/tree-diff.h). (transfer full) */
char *_sandbox_guest_list_tree (const SandboxSsh *ssh, const char *root, gsize max,
                                GCancellable *cancellable, GError **error);
/* In a reader: a file system that is as hostile as who wrote it, read-only at @directory. */
gboolean
_sandbox_guest_mount_disk (const SandboxSsh *ssh, const char *device, const char *directory,
                           GCancellable *cancellable, GError **error);
/* Calls @func once to read an archive of it, with @read and @source. *@ret_unsettled: files changed
 * while they were read. NOT_FOUND when there is no such layer. */
typedef gboolean (*SandboxGuestReadFunc) (SandboxTarReadFunc read, gpointer source,
                                          gpointer user_data, GError **error);
gboolean
_sandbox_guest_read_upper (const SandboxSsh *ssh, const char *root, const char *tag,
                           SandboxGuestReadFunc func, gpointer user_data, gboolean *ret_unsettled,
                           GCancellable *cancellable, GError **error);
/* @list: "r" or "c" and a path of the share, each with a NUL: what is mounted at @target loses it,
 * or gets it from the shared directory. */
gboolean _sandbox_guest_discard (const SandboxSsh *ssh, const char *tag, const char *target,
                                 const GString *list, GCancellable *cancellable, GError **error);
/* @list: "f HASH", "l HASH" or "gone", permissions as a number or "", and a path, each with a NUL:
 * what is so at @target becomes what the shared directory has. The numbers, from 1 on, of those
 * where it did, a line each. (transfer full) */
char *_sandbox_guest_follow (const SandboxSsh *ssh, const char *tag, const char *target,
                             const GString *list, GCancellable *cancellable, GError **error);

/* --- what is forwarded now */
typedef struct
{
  SandboxListens kind;
  SandboxPortMap map;
  gint64 until_usec; /* real time; 0: for good */
} SandboxForwardEntry;
GArray *_sandbox_forwards_new (void); /* of SandboxForwardEntry */
void _sandbox_forwards_add (GArray *entries, SandboxListens kind, const GArray *maps);
/* All that has not ended; none when there is no list. @ret_digest (nullable): of the list as it was
 * written. */
GArray *_sandbox_forwards_read (int state_fd, char **ret_digest, GError **error);
gboolean
_sandbox_forwards_write (int state_fd, const GArray *entries, char **ret_digest, GError **error);
/* The keeper's word on it: the digest of the list that it has applied (transfer full; "": none),
 * and appended to @refused (of guint16) the ports that the guest would not give. */
char *_sandbox_forwards_read_state (int state_fd, GArray *refused);
/* The same ports; until when does not matter. */
gboolean _sandbox_forwards_equal (const SandboxForwardEntry *a, const SandboxForwardEntry *b);

/* --- live-shares.c: shares that come and go while a machine runs */
/* Waits for the device, too. GUEST with what the machine said. */
gboolean
_sandbox_guest_mount_share (const SandboxSsh *ssh, const SandboxPlanShare *share, guint uid,
                            guint gid, GCancellable *cancellable, GError **error);
/* Whether this mount table, the guest's word, has it as it should be. */
gboolean _sandbox_mounts_have (const char *table, const SandboxPlanShare *share);
char *_sandbox_guest_read_mounts (const SandboxSsh *ssh, GCancellable *cancellable, GError **error);
/* Those who hold something in it, "NAME (PID)" with commas, fit for a terminal, "" for none, as the
 * machine says. */
char *_sandbox_guest_find_holders (const SandboxSsh *ssh, const SandboxPlanShare *share,
                                   GCancellable *cancellable, GError **error);
/* @force: whoever holds it. Not mounted: success. */
gboolean _sandbox_guest_unmount_share (const SandboxSsh *ssh, const SandboxPlanShare *share,
                                       gboolean force, GCancellable *cancellable, GError **error);
/* FALSE when the machine's kernel says that nothing is behind it any more; not when it is slow. */
gboolean _sandbox_guest_share_answers (const SandboxSsh *ssh, const SandboxPlanShare *share,
                                       GCancellable *cancellable);
/* The machine's own layer of a share for review, or its directories of another one, which is not
 * mounted. */
gboolean _sandbox_guest_remove_layer (const SandboxSsh *ssh, const char *tag,
                                      GCancellable *cancellable, GError **error);
/* Those that a machine has beyond what it was started with, or for a time: a file of the state
 * directory that the keeper follows. */
#define SANDBOX_LIVE_SHARES "shares.live"
typedef struct
{
  char *tag;
  gint64 until_usec; /* real time; 0: for good, or until the machine stops */
} SandboxLiveShare;
void _sandbox_live_share_free (gpointer share);
/* Of SandboxLiveShare; none when there is no list, or one that cannot be read. */
GPtrArray *_sandbox_live_shares_read (int state_fd);
gboolean _sandbox_live_shares_write (int state_fd, const GPtrArray *shares, GError **error);
/* (nullable) */
SandboxLiveShare *_sandbox_live_shares_find (const GPtrArray *shares, const char *tag);
/* The keeper's word on them: why one is not mounted; NULL when it is, as far as known. */
#define SANDBOX_LIVE_STATE "shares.live.state"
char *_sandbox_live_state_read (int state_fd);
gboolean _sandbox_live_state_write (int state_fd, const char *problem);

/* --- share-state.c: what the keeper says of shares of mode=review */
#define SANDBOX_SHARE_STATE "shares.state"
/* A path in hexadecimal, and some more. */
#define SANDBOX_SHARE_HELD_LINE_MAX (16 * 1024)
typedef enum
{
  SANDBOX_EDITS_WATCHED,  /* the host's directories are watched */
  SANDBOX_EDITS_PERIODIC, /* they cannot be: the machine forgets what it knows all the time */
  SANDBOX_EDITS_UNSEEN,   /* the machine does not do its part */
} SandboxShareEditsHow;
typedef struct
{
  const char *tag;
  SandboxShareEditsHow how;
  guint directories; /* that are watched */
} SandboxShareEdits;
/* A path in the machine that stays as it was, since a process there has it open or works in it. */
typedef struct
{
  gint pid;
  char *process, *path; /* the guest's words: any bytes */
} SandboxShareHeld;
void _sandbox_share_held_free (gpointer held);
/* "held PID xHEX xHEX"; NULL for anything else. (transfer full) */
SandboxShareHeld *_sandbox_share_held_parse (const char *line);
/* @shares: of SandboxShareEdits. @held: of SandboxShareHeld. @problem (nullable): why a share is
 * unseen. */
gboolean _sandbox_share_state_write (int state_fd, const GArray *shares, const GPtrArray *held,
                                     const char *problem);
/* What there is of @share; appends to @held. FALSE: nothing. */
gboolean
_sandbox_share_state_read (int state_fd, const SandboxPlanShare *share,
                           SandboxShareEdits *ret_edits, GPtrArray *held, char **ret_problem);
const char *_sandbox_share_edits_to_string (SandboxShareEditsHow how);

/* --- warm.c: a machine whose memory is kept, and one that goes on from that */
/* Waits until it has booted, puts all on the disk, and makes what is in use of its memory small. */
gboolean _sandbox_guest_settle (const SandboxSsh *ssh, GCancellable *cancellable, GError **error);
/* What makes another machine of it: the time, fresh random numbers, the files of @seed, and the
 * plan's shares, whose devices it has, mounted. @ssh: as the machine was when it was kept; from now
 * on it shows the host key of @seed. */
gboolean _sandbox_guest_adopt (const SandboxSsh *ssh, GBytes *seed, const SandboxPlan *plan,
                               GCancellable *cancellable, GError **error);

/* --- wake.c: of a machine that stood still: the time of this host, and fresh random numbers, so
 * that it does not go on with the same as another that goes on from the same memory would. Its
 * word is a guest's word. */
gboolean _sandbox_guest_wake (const SandboxSsh *ssh, GCancellable *cancellable, GError **error);

/* --- keeper: the program LIBEXECDIR/libsandbox/sandbox-keeper (or
 * $SANDBOX_LIBEXEC_DIR/sandbox-keeper), one per running machine */
/* Starts it unless one holds "keeper.lock"; returns when it holds the lock. */
gboolean _sandbox_keeper_ensure (const char *uri, const char *object, const SandboxSsh *ssh,
                                 GCancellable *cancellable, GError **error);
pid_t _sandbox_keeper_pid (int state_fd);                     /* 0: none */
gboolean _sandbox_keeper_stop (int state_fd, GError **error); /* none: success */
/* "console.log" of the state directory: written by the keeper, at most SANDBOX_CONSOLE_LOG_MAX
 * bytes. */
#define SANDBOX_CONSOLE_LOG_MAX (256 * 1024)
