// SPDX-License-Identifier: LGPL-2.1-or-later
// The files of two states of a disk, as a reader lists them, compared. A reader's word is a guest's
// word: both lists are hostile.
#pragma once

#include <sandbox/snapshot.h>

/* Of one state. */
#define SANDBOX_TREE_TEXT_MAX    (96 * 1024 * 1024)
#define SANDBOX_TREE_ENTRIES_MAX 1000000
/* More are counted, and left out. */
#define SANDBOX_TREE_CHANGES_MAX 100000

typedef struct _SandboxTree SandboxTree;
/* Takes @text: for each file a line "TYPE MODE UID GID SIZE MTIME CTIME PATH" and a line with what
 * a link leads to, where a newline of a name is the byte 1. GUEST for anything else. */
SandboxTree *_sandbox_tree_parse (char *text, GError **error);
void _sandbox_tree_free (SandboxTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxTree, _sandbox_tree_free)
/* By path. (transfer full) (element-type SandboxSnapshotChange) *@ret_n_left_out: how many more
 * there are. */
GPtrArray *
_sandbox_tree_diff (const SandboxTree *old, const SandboxTree *new, guint *ret_n_left_out);
