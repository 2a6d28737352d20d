// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the filter of mode=guarded share.
#pragma once

#define FUSE_USE_VERSION 34
#include <fuse_lowlevel.h>
#include "share/share.h"
#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

/* --- nodes.c: what the kernel knows of the tree, each held open */
/* By so many names a file is known at once. If it is left with another one it can be written to
 * when it was looked up by that. */
#define NODE_NAMES 4
typedef struct
{
  dev_t dev;
  ino_t ino;           /* on the host */
  ino_t shown;         /* to the daemon, for which all is one file system */
  int fds[NODE_NAMES]; /* O_PATH, by different names; -1 for none, but for the first */
  uint64_t looked;     /* how often the kernel was told of it */
  mode_t type;         /* S_IFMT of its mode */
} Node;
void nodes_init (int root_fd);
Node *node_of (fuse_ino_t ino);
/* Looks @name up in @parent: 0, with one look more, or an errno. */
int node_look_up (Node *parent, const char *name, struct fuse_entry_param *ret_entry);
void node_forget (Node *node, uint64_t n);
/* As the daemon is to see it. */
int node_stat (const Node *node, struct stat *ret_info);
/* "/proc/self/fd/N": the way to open, or change, what an O_PATH descriptor is of. */
const char *fd_path (int fd, char buffer[32]);

/* --- rules.c: by where something is now, which the kernel says of a descriptor */
void rules_init (int root_fd);
/* What is guarded in this share, beyond what is in every one. */
SandboxClasses *rules_classes (void);
/* Adds what stands in the file @fd, as the library wrote it down. */
void rules_load (int fd);
/* From the shared directory on, "" for itself; NULL: it is no longer in it, or not by the name by
 * which it was opened. (transfer full) */
char *rules_path (int fd);
/* 0, or why the machine may not change @name in the directory: an errno. */
int rules_check_name (int dir_fd, const char *name);
/* The same for what is known, at the names by which it is. */
int rules_check_node (const Node *node);
/* Writing to what has several names would write to them all, of which one may be guarded, or may
 * have left the directory. */
int rules_check_content (const Node *node);
/* The same for what was just opened by a name that may be changed. */
int rules_check_new (int fd);
/* The same for a link to @target. */
int rules_check_link (int dir_fd, const char *name, const char *target);
/* What @name is, with all that is in it, may be called @new_name in @new_dir_fd. EXDEV: it is too
 * much to look at, so that it has to be moved one by one. */
int rules_check_move (int dir_fd, const char *name, int new_dir_fd, const char *new_name);

/* --- find.c: what else of the tree the host runs, by its own configuration */
void find_guarded (int root_fd);

/* --- read.c and write.c: the operations */
void read_operations (struct fuse_lowlevel_ops *ops);
void write_operations (struct fuse_lowlevel_ops *ops);
void reply_entry (fuse_req_t req, Node *parent, const char *name);
#define ATTR_SEC 0.1

/* --- confine.c */
/* No right more than what file operations need; no system call more than that. */
void confine (void);
