// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the share helper share. Plain C: it starts as root, so that little runs in it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The file beside which libvirt is told to share, and what may stand in it. The library writes it
 * (lib/facade/share-door.c), anybody who is the user may have changed it. */
#define SHARE_CONFIG     "config"
#define SHARE_CONFIG_MAX 4096
/* Of mode=guarded: what else it holds. Nothing here reads it; the filter does. */
#define SHARE_GUARD     "guard"
#define SHARE_GUARD_MAX (1024 * 1024)
#define SHARE_PATH_MAX  1024

/* Everything that is refused ends here: a line on standard error (libvirt's log), exit status 1. */
void share_die (const char *format, ...) __attribute__ ((format (printf, 1, 2), noreturn));
/* The same with the reason that errno has. */
void share_die_errno (const char *format, ...) __attribute__ ((format (printf, 1, 2), noreturn));

/* --- args.c: libvirt's argument vector, in either of its two styles */
typedef struct
{
  int socket_fd;
  bool debug;
  char door[SHARE_PATH_MAX + 1]; /* the directory that libvirt was told to share */
} ShareArgs;
/* NULL, or what is wrong. */
const char *share_args_parse (int argc, char **argv, ShareArgs *ret_args);
/* Absolute, clean, printable, not "/". */
bool share_path_is_clean (const char *path, size_t length);

/* --- config.c */
typedef struct
{
  bool read_only, guarded;
  bool separate_options; /* the daemon's style: --shared-dir, else -o source= */
  char daemon[SHARE_PATH_MAX + 1];
  char source[SHARE_PATH_MAX + 1];
  int guard_fd; /* -1: there is none */
} ShareConfig;
/* NULL, or what is wrong. */
const char *share_config_parse (const char *text, size_t length, ShareConfig *ret_config);
/* Reads and checks the file in @door; @ret_owner: whose it is. Ends the process otherwise. */
void share_config_load (const char *door, ShareConfig *ret_config, uid_t *ret_owner);

/* --- ids.c: which numbers of the guest are which on the host */
typedef struct
{
  uint32_t start, count;
} ShareRange;
typedef struct
{
  uint32_t inside, outside, count;
} ShareExtent;
#define SHARE_SELF_MAX    2
#define SHARE_EXTENTS_MAX (2 * SHARE_SELF_MAX + 1)
/* Below are people, programs and nobody: no subordinate range has a business there. */
#define SHARE_RANGE_FIRST 65536
#define SHARE_RANGE_LEAST 65536
/* The first range of @name or @id in the text of /etc/subuid that can be used. */
bool share_range_find (const char *text, const char *name, uid_t id, ShareRange *ret_range);
/* @self (ascending, none twice) as they are, all else out of @range; the number of extents, 0 when
 * that cannot be: something would be the host's root, or be given twice. */
size_t share_map_build (const ShareRange *range, const uint32_t *self, size_t n_self,
                        ShareExtent ret_extents[SHARE_EXTENTS_MAX]);
typedef struct
{
  ShareExtent uids[SHARE_EXTENTS_MAX], gids[SHARE_EXTENTS_MAX];
  size_t n_uids, n_gids;
} ShareMaps;
/* For the shared directory of @uid and @gid that @owner shares. Ends the process otherwise. */
void share_maps_load (uid_t owner, uid_t uid, gid_t gid, ShareMaps *ret_maps);
/* Rights on files are those of @owner, with all of their groups, until share_become_root(). */
void share_become_owner (uid_t owner);
void share_become_root (void);

/* --- view.c: where and how the daemon sees the shared directory */
#define SHARE_VIEW "/mnt"
void share_enter_mount_namespace (void);
/* The directory, opened with the rights of @owner, without links. */
int share_source_open (const char *source, uid_t owner, uid_t *ret_uid, gid_t *ret_gid);
/* A mount of the directory with its limits, which is nowhere yet. */
int share_view_clone (int source_fd, bool read_only);
/* It onto SHARE_VIEW; in a mount namespace of this process's own. */
void share_view_mount (int tree_fd);

/* --- confine.c */
void share_enter_user_namespace (const ShareMaps *maps);
void share_refuse_set_id (void);

/* --- filter.c */
/* In the user namespace of @maps, with rules in @guard_fd (-1: none): the filter of mode=guarded
 * onto SHARE_VIEW, with the mount that is nowhere behind it. This process is then in namespaces
 * below. */
void share_filter_start (int tree_fd, int guard_fd, const ShareMaps *maps);
