// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of the keeper.
#pragma once

#include "facade/facade-private.h"
#include "guest/guest-private.h"
#include "virt/virt.h"

/* --- console.c: the boot console, kept in the state directory within bounds */
typedef struct _KeeperConsole KeeperConsole;
/* Reads it in a thread of its own until @cancellable. */
KeeperConsole *keeper_console_start (SandboxVirt *virt, const char *object, int state_fd,
                                     GCancellable *cancellable);
/* Waits for the thread. */
void keeper_console_end (KeeperConsole *console);

/* --- process.c: one ssh that ends with us, and at its guest's wish */
typedef struct
{
  pid_t pid; /* 0: none runs */
  int pid_fd, stderr_fd;
  GString *said; /* the end of what it said */
  gsize total;   /* how much that was */
  gint64 started;
  int status; /* of the last one that ended: 128 + signal when it was killed */
} KeeperProcess;
void keeper_process_init (KeeperProcess *process);
/* For ssh's ProxyCommand: this program, that waits for the guest's port. */
char *keeper_proxy_command (const SandboxSsh *ssh, const char *self);
/* @argv: of ssh; gets more words. */
gboolean keeper_process_start (KeeperProcess *process, GPtrArray *argv, const char *self);
/* The same with two ends of pipes, which stay the caller's; -1: /dev/null. */
gboolean keeper_process_start_piped (KeeperProcess *process, GPtrArray *argv, const char *self,
                                     int stdin_fd, int stdout_fd);
/* Hears what it says; TRUE once, when it has ended. */
gboolean keeper_process_ended (KeeperProcess *process);
/* Ends it. */
void keeper_process_clear (KeeperProcess *process);
/* The same, but what it is at it ends in order, should that take it longer than we are there. */
void keeper_process_leave (KeeperProcess *process);
/* @fd (-1: none) into @pollfds (of struct pollfd), to wait until it is readable. */
void keeper_poll_add (GArray *pollfds, int fd);
/* The sooner of two times to wait; -1 is never. */
int keeper_sooner (int a_msec, int b_msec);

/* --- master.c: the ssh connection that everybody shares */
typedef struct _KeeperMaster KeeperMaster;
KeeperMaster *keeper_master_new (const SandboxSsh *ssh, int state_fd, const char *self);
/* keeper_master_step() has something to do when one of its descriptors is readable. */
void keeper_master_poll (KeeperMaster *master, GArray *pollfds);
/* Starts it when it is time; sees to it when it ended. Returns when to call again at the latest, in
 * milliseconds, -1: not. */
int keeper_master_step (KeeperMaster *master);
/* Ends ssh and removes its socket. */
void keeper_master_free (KeeperMaster *master);

/* --- forwards.c: the ssh processes through which ports are forwarded */
typedef struct _KeeperForwards KeeperForwards;
KeeperForwards *keeper_forwards_new (const SandboxSsh *ssh, int state_fd, const char *self);
void keeper_forwards_poll (KeeperForwards *forwards, GArray *pollfds);
/* As keeper_master_step(). */
int keeper_forwards_step (KeeperForwards *forwards);
void keeper_forwards_free (KeeperForwards *forwards);

/* --- tree.c: a directory of the host, watched with all below it */
typedef struct _KeeperTree KeeperTree;
/* Directories that are watched for one share at most: about 1 KiB of kernel memory each, and more
 * for what they keep from being forgotten. */
#define KEEPER_TREE_MAX 32768
/* @max: directories at most; what the kernel allows may be less. Never fails: see below. */
KeeperTree *keeper_tree_new (const char *path, guint max);
/* (Again) from the top. */
void keeper_tree_begin (KeeperTree *tree);
/* -1: there is nothing to wait for. */
int keeper_tree_fd (const KeeperTree *tree);
/* @ret_changed: something did since the last step. TRUE: there is more to do at once. */
gboolean keeper_tree_step (KeeperTree *tree, gboolean *ret_changed);
/* FALSE: it is not watched: too large, partly closed to us, or of a kind that does not tell. */
gboolean keeper_tree_is_whole (const KeeperTree *tree);
/* The directory itself was removed or replaced: the machine has the old one. */
gboolean keeper_tree_is_gone (const KeeperTree *tree);
guint keeper_tree_size (const KeeperTree *tree);
void keeper_tree_free (KeeperTree *tree);

/* --- refresh.c: a process in the machine that makes its overlays forget what they looked up */
typedef struct _KeeperRefresh KeeperRefresh;
/* @shares: of SandboxPlanShare; stays the caller's */
KeeperRefresh *
keeper_refresh_new (const SandboxSsh *ssh, const char *self, const GPtrArray *shares);
void keeper_refresh_poll (KeeperRefresh *refresh, GArray *pollfds);
int keeper_refresh_step (KeeperRefresh *refresh);
/* FALSE: it is at work, or not there. */
gboolean keeper_refresh_is_ready (const KeeperRefresh *refresh);
/* @tries: so many times more, and for what is held then; 0: no look at that, which takes the
 * machine longer. FALSE: not ready. */
gboolean keeper_refresh_ask (KeeperRefresh *refresh, guint tries);
/* Whether it has answered since it was last started; if not @ret_problem is why, as far as known.
 */
gboolean keeper_refresh_works (const KeeperRefresh *refresh, const char **ret_problem);
/* Of SandboxShareHeld: of the last answer. */
const GPtrArray *keeper_refresh_held (const KeeperRefresh *refresh);
void keeper_refresh_free (KeeperRefresh *refresh);

/* --- watch.c: shares of mode=review: what changes on the host is seen in the machine */
typedef struct _KeeperWatch KeeperWatch;
KeeperWatch *keeper_watch_new (const SandboxSsh *ssh, int state_fd, const char *self,
                               SandboxVirt *virt, const char *object);
void keeper_watch_poll (KeeperWatch *watch, GArray *pollfds);
/* As keeper_master_step(). */
int keeper_watch_step (KeeperWatch *watch);
void keeper_watch_free (KeeperWatch *watch);

/* --- shadows.c: directories of shares that the machine has on its own disk: mounted again when the
 * host took away what they lie on */
typedef struct _KeeperShadows KeeperShadows;
KeeperShadows *
keeper_shadows_new (const SandboxSsh *ssh, const char *self, SandboxVirt *virt, const char *object);
void keeper_shadows_poll (KeeperShadows *shadows, GArray *pollfds);
/* As keeper_master_step(). */
int keeper_shadows_step (KeeperShadows *shadows);
void keeper_shadows_free (KeeperShadows *shadows);

/* --- live.c: shares that the machine got while it runs: mounted again when it has rebooted, and
 * ended when their time is over */
typedef struct _KeeperLive KeeperLive;
KeeperLive *keeper_live_new (const SandboxSsh *ssh, int state_fd, const char *self,
                             SandboxVirt *virt, const char *uri, const char *object);
void keeper_live_poll (KeeperLive *live, GArray *pollfds);
/* As keeper_master_step(). @ret_changed: what the machine shares is not what it was. */
int keeper_live_step (KeeperLive *live, gboolean *ret_changed);
void keeper_live_free (KeeperLive *live);
/* --end-share URI STATE-DIRECTORY OWNER TAG. The exit status. */
int keeper_live_end (const char *uri, const char *state_path, const char *owner, const char *tag);
/* What comes into the state directory, by inotify; -1: there is no telling. */
int keeper_watch_state (int state_fd);
/* The owner tag of the machine; NULL when it cannot be told. (transfer full) */
char *keeper_owner (SandboxVirt *virt, const char *object);
/* For a process of the keeper's that does a verb's work. */
SandboxHost *
keeper_host_open (const char *uri, const char *state_path, const char *owner, GError **error);

/* --- tidy.c: layers that nobody names any more are merged */
typedef struct _KeeperTidy KeeperTidy;
KeeperTidy *keeper_tidy_new (const SandboxSsh *ssh, int state_fd, const char *self,
                             SandboxVirt *virt, const char *uri, const char *object);
void keeper_tidy_poll (KeeperTidy *tidy, GArray *pollfds);
/* As keeper_master_step(). */
int keeper_tidy_step (KeeperTidy *tidy);
void keeper_tidy_free (KeeperTidy *tidy);
/* --tidy URI STATE-DIRECTORY OWNER. The exit status, which is not 0 when there is more to do. */
int keeper_tidy_run (const char *uri, const char *state_path, const char *owner);

/* --- helpers.c: what the program does for ssh under other names */
/* The exit status, or -1 when @argv asks for none of that. */
int keeper_helper (int argc, char **argv);

/* --- ready.c: 0 when the machine's master answers and the user's ssh configuration adds no
 * forwards for @alias */
int keeper_ready (const char *state_path, const char *alias);
