// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of the keeper.
#pragma once

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
} KeeperProcess;
void keeper_process_init (KeeperProcess *process);
/* For ssh's ProxyCommand: this program, that waits for the guest's port. */
char *keeper_proxy_command (const SandboxSsh *ssh, const char *self);
/* @argv: of ssh; gets more words. */
gboolean keeper_process_start (KeeperProcess *process, GPtrArray *argv, const char *self);
/* Hears what it says; TRUE once, when it has ended. */
gboolean keeper_process_ended (KeeperProcess *process);
/* Ends it. */
void keeper_process_clear (KeeperProcess *process);
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

/* --- helpers.c: what the program does for ssh under other names */
/* The exit status, or -1 when @argv asks for none of that. */
int keeper_helper (int argc, char **argv);

/* --- ready.c: 0 when the machine's master answers and the user's ssh configuration adds no
 * forwards for @alias */
int keeper_ready (const char *state_path, const char *alias);
