// SPDX-License-Identifier: LGPL-2.1-or-later
// What diff, apply and discard have in common: reading change sets, and choosing among changes.
#pragma once

#include "context.h"
#include "progress.h"

/**
 * VmsReview: the operands NAME [SHARE] [PATH...], and what they stand for
 * @sets: of SandboxChanges, one for each share
 * @tags: of their shares
 * @paths: paths, directories or globs relative to the share; (array zero-terminated=1), empty: all
 * @ignored: what git on this host ignores is meant, too
 */
typedef struct
{
  SandboxHost *host;
  SandboxMachine *machine;  /* NULL with --from */
  const char *name, *saved; /* of @args; saved: (nullable) */
  GPtrArray *sets;
  char **tags, **paths;
  gboolean ignored;
} VmsReview;
void vms_review_clear (VmsReview *review);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VmsReview, vms_review_clear)

/* Machine, shares and paths; nothing is read yet. */
gboolean
vms_review_open (VmsContext *context, const VmsArgs *args, VmsReview *review, GError **error);
gboolean
vms_review_read (VmsContext *context, VmsReview *review, VmsProgress *progress, GError **error);
/* Indexes (of guint) of the changes in @changes that the paths name. */
GArray *vms_review_choose (const VmsReview *review, SandboxChanges *changes);
/* NOT_FOUND unless each path names some change. */
gboolean vms_review_check_paths (const VmsReview *review, GError **error);
/* "added, conflict: it changed on this host, too" (transfer full) */
char *vms_review_note (const SandboxChange *change);
/* How many of the changes in @changes that the paths name are left out, as git ignores them. */
guint vms_review_count_ignored (const VmsReview *review, SandboxChanges *changes);
/* What the directories of git hold, what git ignores, and what changed meanwhile, as remarks on
 * stderr. */
void vms_review_remarks (VmsContext *context, const VmsReview *review);
/* @chosen, indexes (of guint), were shown: whole, or a line about each. */
gboolean vms_review_note_shown (SandboxChanges *changes, const GArray *chosen, gboolean whole,
                                GError **error);
/* Lines of a diff on stdout, escaped and coloured, for a terminal. */
void vms_review_print_text (const char *text);
/* A rename on stdout: headers alone. */
void vms_review_print_rename (const SandboxChanges *changes, guint old, guint index);
/* The change as a diff on stdout: for a terminal as above. */
gboolean
vms_review_print (VmsContext *context, SandboxChanges *changes, guint index, GError **error);
