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

/* --- master.c: the ssh connection that everybody shares */
typedef struct _KeeperMaster KeeperMaster;
KeeperMaster *keeper_master_new (const SandboxSsh *ssh, int state_fd, const char *self);
/* For poll: keeper_master_step() has something to do when one of them is readable; -1 where there
 * is nothing but the time to wait for. */
void keeper_master_fds (KeeperMaster *master, int ret_fds[2]);
/* Starts it when it is time; sees to it when it ended. Returns when to call again at the latest, in
 * milliseconds, -1: not. */
int keeper_master_step (KeeperMaster *master);
/* Ends ssh and removes its socket. */
void keeper_master_free (KeeperMaster *master);

/* --- helpers.c: what the program does for ssh under other names */
/* The exit status, or -1 when @argv asks for none of that. */
int keeper_helper (int argc, char **argv);

/* --- ready.c: 0 when the machine's master answers and the user's ssh configuration adds no
 * forwards for @alias */
int keeper_ready (const char *state_path, const char *alias);
