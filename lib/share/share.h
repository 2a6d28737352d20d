// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares for review: what a machine changed (hostile data), what this host knows was there before,
// what is there now; and bringing the one to the other.
#pragma once

#include <sandbox/changes.h>
#include <sys/stat.h>
#include "guest/tar.h"

/* Limits of what one change set may be. */
#define SANDBOX_UPPER_ENTRIES_MAX    500000
#define SANDBOX_UPPER_DEPTH_MAX      100
#define SANDBOX_UPPER_TEXT_MAX       (G_GUINT64_CONSTANT (128) << 20) /* of all names and links */
#define SANDBOX_UPPER_FILE_MAX       (G_GUINT64_CONSTANT (4) << 30)
#define SANDBOX_UPPER_TOTAL_MAX      (G_GUINT64_CONSTANT (32) << 30)
#define SANDBOX_UPPER_REFUSED_MAX    10000
#define SANDBOX_UPPER_TIME_USEC      (G_GINT64_CONSTANT (60) * 60 * G_USEC_PER_SEC)
#define SANDBOX_UPPER_KEEP_FREE      (G_GUINT64_CONSTANT (512) << 20)
#define SANDBOX_MANIFEST_ENTRIES_MAX (5 * 1000 * 1000)
#define SANDBOX_MANIFEST_FILE_MAX    (G_GUINT64_CONSTANT (2) << 30)
#define SANDBOX_TREE_DEPTH_MAX       128
#define SANDBOX_UNDO_BYTES_MAX       (G_GUINT64_CONSTANT (8) << 30)
#define SANDBOX_DIFF_BYTES_MAX       (G_GUINT64_CONSTANT (8) << 20)
#define SANDBOX_MERGE_BYTES_MAX      (1024 * 1024) /* of each side of a merge */
#define SANDBOX_HASH_BYTES           32
/* New files have a name that begins like this until they are whole. */
#define SANDBOX_APPLY_TEMP ".vms-apply."
/* Their mode until then, which nobody gives a file of theirs. */
#define SANDBOX_APPLY_UNFINISHED 0200

/* --- classes.c: what names mean to this host */
/* The worst that any part of @path says. *@ret_git: it is, or is in, a directory of git's. */
SandboxChangeRisk _sandbox_class_of (const char *path, gboolean *ret_git);
/* Why no file may be called @name (one part of a path); NULL when it may. Static. */
const char *_sandbox_class_refuse_name (const char *name);
/* Why a link in the directory of @path may not lead to @target; NULL when it may. Static. */
const char *_sandbox_class_refuse_link (const char *path, const char *target);
/* Whether a link at @path could stand for the directory of a rule such as ".github/hooks". */
gboolean _sandbox_class_is_head (const char *path);
/* As file systems could see a name that ignore case, marks and more. (transfer full) */
char *_sandbox_class_fold (const char *name);

/* --- own-classes.c: the same in one share, to which its profile and git's settings may add */
typedef struct _SandboxClasses SandboxClasses;
/* @text: lines "guard P;Q" (runs), "flag P;Q" (builds): patterns that hold at any depth, with all
 * that is below; "pattern P": one of guard's, as it is; "place PATH": what runs at that path;
 * "root PATH" and "home PATH" on this host, and after them "target PATH": what runs, if it is in
 * the root. NULL for anything else. */
SandboxClasses *_sandbox_classes_parse (const char *text);
void _sandbox_classes_free (SandboxClasses *classes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxClasses, _sandbox_classes_free)
void _sandbox_classes_add_place (SandboxClasses *classes, const char *path);
/* What is called @target in the directory @dir; by its text. Its path, or NULL when it is not in
 * the shared directory. (transfer full) */
char *_sandbox_classes_add_target (SandboxClasses *classes, const char *dir, const char *target);
/* @path without "." and ".."; NULL when that leads out, or nowhere. (transfer full) */
char *_sandbox_path_within (const char *path);
/* As _sandbox_class_of(), and _sandbox_class_is_head(). @classes may be NULL. */
SandboxChangeRisk
_sandbox_classes_risk (const SandboxClasses *classes, const char *path, gboolean *ret_git);
gboolean _sandbox_classes_is_head (const SandboxClasses *classes, const char *path);
guint _sandbox_classes_get_n_places (const SandboxClasses *classes);
const char *_sandbox_classes_get_place (const SandboxClasses *classes, guint index);

/* --- settings.c: what the host's own git is set to run */
/* Adds what the settings in @fd (-1: none; closed) of the repository @git_dir of @work_tree name:
 * paths from the shared directory on. */
void _sandbox_settings_read (SandboxClasses *classes, int fd, const char *work_tree,
                             const char *git_dir);
/* Where a file ".git" in @dir, open as @fd (closed), says that the repository is; NULL. */
char *_sandbox_settings_git_dir (SandboxClasses *classes, int fd, const char *dir);
/* Lines for _sandbox_classes_parse() of the settings that hold for all of a user's repositories. */
char *_sandbox_settings_of_user (GCancellable *cancellable);

/* --- guarded.c: what a machine may not write to in a share of mode=guarded */
/* @path: from the shared directory on; by its text alone. All that `vms apply` holds back, and of a
 * .git all but what a commit changes. */
gboolean _sandbox_guard_holds (const SandboxClasses *classes, const char *path);
/* The same for what lies in a directory that git takes for a repository whatever its name is;
 * @path: from that directory on. */
gboolean _sandbox_guard_holds_git (const char *path);

/* --- links.c: what they lead to means what their names do */
void _sandbox_settings_mark (SandboxChanges *changes);
gboolean _sandbox_links_mark (SandboxChanges *changes, GCancellable *cancellable, GError **error);

/* --- renames.c: SandboxChange.renamed_from and renamed_to */
gboolean _sandbox_renames_mark (SandboxChanges *changes, GCancellable *cancellable, GError **error);

/* --- one file of a tree, or of a record of one */
typedef enum
{
  SANDBOX_NODE_ABSENT,
  SANDBOX_NODE_FILE,
  SANDBOX_NODE_DIR,
  SANDBOX_NODE_SYMLINK,
  SANDBOX_NODE_OTHER,
  SANDBOX_NODE_UNKNOWN, /* of a record only: it does not say */
} SandboxNodeType;
/**
 * SandboxNode:
 * @mode: permissions, 07777
 * @below_unknown: a directory whose content was not recorded
 * @hash: SHA-256 of the machine's content that was applied there last, if @has_hash
 * @merged: what was applied is not all of the machine's, or not the machine's alone: the next
 * difference is merged, with the content of @hash as what both sides began with; @mode is the
 * machine's
 */
typedef struct
{
  guint64 size_bytes, inode;
  gint64 mtime_sec, ctime_sec;
  guint32 mtime_nsec, ctime_nsec;
  guint32 mode;
  guint8 type, below_unknown, has_hash, merged;
  guint8 hash[SANDBOX_HASH_BYTES];
} SandboxNode;
void _sandbox_node_from_stat (const struct stat *st, SandboxNode *ret_node);
/* Not touched since: of files and links everything, of directories and others the type. */
gboolean _sandbox_node_untouched (const SandboxNode *a, const SandboxNode *b);
/* The same but for the time of change, which a new name sets. */
gboolean _sandbox_node_renamed (const SandboxNode *now, const SandboxNode *before);

/* --- host-tree.c: this host's directory, by descriptor, beneath it, through no link */
/* Absent, too, where a parent is missing or no directory. OTHER for what lies on another mount. */
gboolean _sandbox_tree_look (int root_fd, const char *path, SandboxNode *ret_node, GError **error);
/* -1 with @error. For a file to be read it must be a regular one. */
int _sandbox_tree_open (int root_fd, const char *path, GError **error);
int _sandbox_tree_open_dir (int root_fd, const char *path, GError **error);
/* The directory of @path's last part, and that part in *@ret_name (points into @path). */
int
_sandbox_tree_open_parent (int root_fd, const char *path, const char **ret_name, GError **error);
char *_sandbox_tree_read_link (int root_fd, const char *path, GError **error);
/* @temp gets the name @name, and what had that, @old, goes: at once, of whatever types they are. A
 * directory goes only when it is empty, and nothing goes that is not @old: BUSY then, all is as it
 * was, and @temp is gone. */
gboolean _sandbox_tree_put (int dir_fd, const char *temp, const char *name, const SandboxNode *old,
                            GError **error);
/* The same without anything in its place; @temp: a name that nobody uses. */
gboolean _sandbox_tree_remove (int dir_fd, const char *temp, const char *name,
                               const SandboxNode *old, GError **error);
/* What was taken by mistake, and is under @temp, gets its name again; what was put there, if
 * anything, goes. */
void _sandbox_tree_give_back (int dir_fd, const char *temp, const char *name);
/* Group, ACL and user attributes of the file @name, for @to_fd, as far as its user may give them;
 * the mode that goes with an ACL is set after this. All that can be is copied also with @error. */
gboolean _sandbox_tree_copy_attributes (int dir_fd, const char *name, int to_fd, GError **error);
/* What was made under @temp goes; of directories only an empty one. */
void _sandbox_tree_remove_temp (int dir_fd, const char *temp);
/* Calls @func for all in the directory @path ("" for the root), a directory before what is in it,
 * sorted; FALSE of *@ret_enter keeps out of a directory. */
typedef gboolean (*SandboxTreeFunc) (const char *path, SandboxNode *node, gboolean *ret_enter,
                                     gpointer user_data, GError **error);
gboolean _sandbox_tree_walk (int root_fd, const char *path, SandboxTreeFunc func,
                             gpointer user_data, GCancellable *cancellable, GError **error);
/* The SHA-256 of @length bytes at @offset of @fd. */
gboolean _sandbox_tree_hash (int fd, guint64 offset, guint64 length,
                             guint8 ret_hash[SANDBOX_HASH_BYTES], GError **error);
/* '/' before all other characters: a directory, then all in it, then what comes after. */
int _sandbox_path_compare (const char *a, const char *b);

/* --- records.c: a file of nodes by path, found without reading it whole */
typedef struct _SandboxRecords SandboxRecords;
/* *@ret_records NULL without error when there is none. INVALID when it is damaged. */
gboolean
_sandbox_records_open (int dir_fd, const char *name, SandboxRecords **ret_records, GError **error);
void _sandbox_records_free (SandboxRecords *records);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxRecords, _sandbox_records_free)
gboolean
_sandbox_records_find (const SandboxRecords *records, const char *path, SandboxNode *ret_node);
guint _sandbox_records_get_length (const SandboxRecords *records);
/* Points into @records. */
const char *
_sandbox_records_get (const SandboxRecords *records, guint index, SandboxNode *ret_node);
typedef struct _SandboxRecorder SandboxRecorder;
SandboxRecorder *_sandbox_recorder_new (void);
void _sandbox_recorder_add (SandboxRecorder *recorder, const char *path, const SandboxNode *node);
gboolean
_sandbox_recorder_save (SandboxRecorder *recorder, int dir_fd, const char *name, GError **error);
void _sandbox_recorder_free (SandboxRecorder *recorder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxRecorder, _sandbox_recorder_free)

/* --- manifest.c: what was there when the machine's layer began ("TAG.manifest"), and what apply
 * made of it since ("TAG.applied") */
gboolean _sandbox_manifest_take (int root_fd, int dir_fd, const char *tag,
                                 GCancellable *cancellable, GError **error);
/* Forgets all about @tag. */
gboolean _sandbox_manifest_remove (int dir_fd, const char *tag, GError **error);
gboolean _sandbox_manifest_exists (int dir_fd, const char *tag);
typedef struct
{
  SandboxRecords *manifest; /* NULL: none, or of another directory */
  GHashTable *applied;      /* path -> SandboxNode */
} SandboxBase;
SandboxBase *_sandbox_base_open (int root_fd, int dir_fd, const char *tag, GError **error);
void _sandbox_base_free (SandboxBase *base);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxBase, _sandbox_base_free)
/* The newest record: of the last apply, else of the beginning. */
void _sandbox_base_find (const SandboxBase *base, const char *path, SandboxNode *ret_node);
void _sandbox_base_set_applied (SandboxBase *base, const char *path, const SandboxNode *node);
/* The same content and the same origin, but touched by ourselves. */
void _sandbox_base_retouch (SandboxBase *base, const char *path, const SandboxNode *now);
/* Of what was applied or discarded, what this host has changed since: the machine's layer has a
 * copy of its own there, which does not follow. Sorted, at most @max. (element-type utf8) (transfer
 * full)
 */
GPtrArray *_sandbox_base_list_outdated (const SandboxBase *base, int root_fd, guint max);
gboolean
_sandbox_base_save_applied (SandboxBase *base, int dir_fd, const char *tag, GError **error);

/* --- upper.c: what the machine sent, judged by itself */
typedef enum
{
  SANDBOX_UPPER_FILE,
  SANDBOX_UPPER_DIR,
  SANDBOX_UPPER_SYMLINK,
  SANDBOX_UPPER_WHITEOUT,
  SANDBOX_UPPER_OTHER,
} SandboxUpperType;
/**
 * SandboxUpperEntry:
 * @path: no "." or "..", not absolute; "" is the top
 * @refusal: (nullable): why it is never applied; static
 * @git: it is, or is in, a directory of git's
 * @shared: a hard link to another one: it becomes a file of its own
 * @offset, @size_bytes: content in the spool
 */
typedef struct
{
  char *path, *link;
  SandboxUpperType type;
  const char *refusal;
  gboolean opaque, git, shared;
  guint mode;
  guint64 offset, size_bytes;
  guint8 hash[SANDBOX_HASH_BYTES];
} SandboxUpperEntry;
typedef struct
{
  GPtrArray *entries; /* a directory before what is in it */
  GHashTable *by_path;
  int spool_fd; /* of an unlinked file */
  guint64 spool_bytes, text_bytes;
  gboolean unsettled;
} SandboxUpper;
/* An archive of an overlay's upper directory. @private_fd: a directory of ours for the spool. GUEST
 * for what no honest machine sends. */
SandboxUpper *
_sandbox_upper_read (SandboxTarReadFunc func, gpointer user_data, int private_fd, GError **error);
/* A file that was not sent: too large, or of a kind that archives cannot hold. One in what was not
 * sent as a directory is too new to be told of: @unsettled. */
gboolean
_sandbox_upper_add_left_out (SandboxUpper *upper, const char *path, gboolean large, GError **error);
/* A text of this host's own making behind what was sent; *@ret_offset: where. */
gboolean _sandbox_upper_add_text (SandboxUpper *upper, const char *text, gsize length,
                                  guint64 *ret_offset, GError **error);
void _sandbox_upper_free (SandboxUpper *upper);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxUpper, _sandbox_upper_free)
/* What tells its content from others: of a file its bytes, of a link where it leads. */
void _sandbox_upper_hash (const SandboxUpperEntry *entry, guint8 ret_hash[SANDBOX_HASH_BYTES]);
SandboxUpperEntry *_sandbox_upper_find (const SandboxUpper *upper, const char *path);

/* --- merge.c: a text file that both sides changed */
/* Keeps @length bytes at @offset of @fd in "TAG.base", by their @hash, as what the machine's next
 * change begins with. */
void _sandbox_merge_keep_base (int dir_fd, const char *tag, int fd, guint64 offset, guint64 length,
                               const guint8 hash[SANDBOX_HASH_BYTES]);
/* Those go that nothing in @applied (path -> SandboxNode) names. */
void _sandbox_merge_forget_bases (int dir_fd, const char *tag, GHashTable *applied);
/* Keeps the index of the git repository in @root_fd as "TAG.index", if there is one. */
void _sandbox_merge_keep_index (int root_fd, int dir_fd, const char *tag);
/* FALSE, and nothing there, when it could not be copied. */
gboolean _sandbox_merge_copy_index (int from_fd, const char *from, int to_fd, const char *to);
/* Both, for another copy of the machine's layer. What is missing there makes conflicts. */
void _sandbox_merge_copy (int from_fd, int to_fd, const char *tag);
/* Conflicts whose beginning is kept, or named by the kept index, become MERGED, if git can merge
 * them; what this host has all of by then goes out of the rows. */
gboolean _sandbox_merge_rows (SandboxChanges *changes, GCancellable *cancellable, GError **error);

/* --- ignored.c: SandboxChange.ignored */
gboolean _sandbox_ignored_mark (SandboxChanges *changes, GCancellable *cancellable, GError **error);

/* --- changes.c: the object */
/* SHA-256 of a text. */
void _sandbox_text_hash (const char *text, guint8 ret_hash[SANDBOX_HASH_BYTES]);
char *_sandbox_hash_to_hex (const guint8 hash[SANDBOX_HASH_BYTES]);
/**
 * SandboxChangeRow:
 * @entry: (nullable): the machine's side; NULL: gone because of what lies above
 * @host: this host's side when it was compared
 * @offset, @size_bytes: the new content in the spool (the machine's, a merge, or parts of it)
 * @base_offset, @base_bytes: what both sides began with, there; of a merge, and if @partial
 * @partial: some hunks are taken, the others stay changes
 * @unread: refused, as this host's user cannot read what is there
 */
typedef struct
{
  SandboxChange pub;
  const SandboxUpperEntry *entry;
  SandboxNode host;
  guint64 offset, size_bytes, base_offset, base_bytes;
  gboolean partial, unread;
} SandboxChangeRow;
struct _SandboxChanges
{
  gatomicrefcount ref_count;
  SandboxUpper *upper;
  SandboxBase *base;
  SandboxClasses *classes;
  GPtrArray *rows;    /* of SandboxChangeRow, by path */
  GPtrArray *dropped; /* those that wait for the machine's next start to be dropped */
  char *machine, *tag;
  int root_fd, dir_fd; /* the shared directory; that of the records */
  guint n_git;
  char *fingerprint; /* (nullable): of the machine's layer, taken before it was read */
  /* (nullable): set by who can reach the machine */
  gboolean (*discard) (SandboxChanges *changes, const guint *chosen, gsize n_chosen,
                       gpointer user_data, GCancellable *cancellable, GError **error);
  gpointer user_data;
  GDestroyNotify free_user_data;
};
/* Takes @upper and @classes (nullable). @root_fd, @dir_fd: duplicated. */
SandboxChanges *_sandbox_changes_new (const char *machine, const char *tag, SandboxUpper *upper,
                                      SandboxClasses *classes, int root_fd, int dir_fd,
                                      GCancellable *cancellable, GError **error);
void _sandbox_change_row_free (gpointer row);
void _sandbox_changes_sort (SandboxChanges *changes);
/* The hash of what this host has at @path, which is @node, as that of the machine's side would be.
 */
gboolean _sandbox_node_hash (int root_fd, const char *path, SandboxNode *node, GError **error);
SandboxChangeRow *_sandbox_changes_row (const SandboxChanges *changes, guint index);
/* The machine sees this host's files again in place of those rows. */
gboolean _sandbox_changes_forget (SandboxChanges *changes, const gboolean *chosen,
                                  GCancellable *cancellable, GError **error);
/* Nothing of a layer with this fingerprint is left to be applied: "TAG.settled" says so. Until an
 * undo, or a revert of the disk. */
#define SANDBOX_SETTLED_SUFFIX ".settled"
/* Notes that, when it is so. */
void _sandbox_changes_settle (SandboxChanges *changes);
gboolean _sandbox_changes_is_settled (int dir_fd, const char *tag, const char *fingerprint);
gboolean _sandbox_changes_unsettle (int dir_fd, const char *tag, GError **error);
/* All rows, with what they are (compare.c). */
gboolean
_sandbox_changes_compare (SandboxChanges *changes, GCancellable *cancellable, GError **error);

/* --- later.c: what waits for the machine's next start */
/* "TAG.dropped": those are discarded with it; they are no changes from now on. */
gboolean _sandbox_dropped_note (SandboxChanges *changes, const gboolean *chosen, GError **error);
gboolean _sandbox_dropped_is_record (const char *name);
gboolean _sandbox_dropped_exists (int dir_fd, const char *tag);
gboolean _sandbox_dropped_remove (int dir_fd, const char *tag, GError **error);
/* Out of the rows; back into them, and their indexes (of guint). */
void _sandbox_dropped_hide (SandboxChanges *changes);
GArray *_sandbox_dropped_show (SandboxChanges *changes);
/* A file that the machine has as it was applied or discarded, @had, and this host as @now. */
typedef struct
{
  char *path;
  SandboxNode had, now;
} SandboxFollow;
/* (element-type SandboxFollow) (transfer full) */
GPtrArray *_sandbox_follow_list (const SandboxBase *base, int root_fd);
/* The machine has @now. */
gboolean
_sandbox_follow_note (SandboxBase *base, int root_fd, const SandboxFollow *follow, GError **error);

/* --- discard.c: what a machine throws away */
/* What this host cannot read it cannot give to the machine again: not @wanted afterwards. The first
 * of them; NULL. */
const SandboxChange *
_sandbox_discard_leave_unread (const SandboxChanges *changes, gboolean *wanted);
/* What is not to go, by @wanted (one for each row) or because it is git's, lies in directories that
 * stay, too: those are not @wanted afterwards. */
void _sandbox_discard_keep (const SandboxChanges *changes, gboolean *wanted);
/* As _sandbox_guest_discard() takes it. (transfer full) */
GString *_sandbox_discard_list (const SandboxChanges *changes, const gboolean *wanted);

/* --- shown.c: what somebody was shown */
/* What the machine has there, @mode with the type and @hash: what comes of it follows from that and
 * from this host's own files, which its user may change after a look, and has both. */
void _sandbox_row_machines_side (const SandboxChangeRow *row, SandboxNode *ret_node);
#define SANDBOX_SHOWN_SUFFIX ".shown"
/* Marks the rows that are not what was shown (SandboxChange.unseen), if something was. */
void _sandbox_shown_compare (SandboxChanges *changes);
/* Those rows are no changes any more: when none is left, what was shown does not count either. */
void _sandbox_shown_forget (const SandboxChanges *changes, const gboolean *gone);
gboolean _sandbox_shown_remove (int dir_fd, const char *tag, GError **error);

/* --- journal.c: what an apply is about to do, written before it does it */
/**
 * SandboxJournalRow:
 * @temp: name beside @path under which the new file is made
 * @old_bytes, @old_mtime_usec: of the file that is replaced
 * @new_hash: of a new file's content
 * @record_hash, @record_mode: for the record of what was applied
 * @was_ready: this host's side was as recorded
 * @was_merged: as SandboxNode.merged
 */
typedef struct
{
  guint number;
  char *path, *temp, *old_link, *new_link;
  SandboxNodeType old_type, new_type;
  guint old_mode, new_mode;
  guint64 old_bytes, old_mtime_usec;
  guint8 new_hash[SANDBOX_HASH_BYTES], record_hash[SANDBOX_HASH_BYTES];
  guint record_mode;
  gboolean was_ready, was_merged;
} SandboxJournalRow;
void _sandbox_journal_row_free (SandboxJournalRow *row);
typedef struct
{
  int dir_fd, fd; /* of the directory with the journal and what is kept; of the journal */
  guint n_rows;
  guint64 kept_bytes;
  gboolean finished;
  GPtrArray *rows; /* of SandboxJournalRow, as read */
} SandboxJournal;
/* The journal of @tag below @dir_fd. *@ret_journal NULL without error when there is none. */
gboolean
_sandbox_journal_open (int dir_fd, const char *tag, SandboxJournal **ret_journal, GError **error);
/* An empty one in place of any other. */
SandboxJournal *_sandbox_journal_create (int dir_fd, const char *tag, GError **error);
void _sandbox_journal_free (SandboxJournal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxJournal, _sandbox_journal_free)
/* Keeps what is at @name of @parent_fd, then writes @row (its number and temp are set). */
gboolean _sandbox_journal_begin (SandboxJournal *journal, SandboxJournalRow *row, int parent_fd,
                                 const char *name, const SandboxNode *old, GError **error);
gboolean _sandbox_journal_finish (SandboxJournal *journal, GError **error);
gboolean _sandbox_journal_remove (int dir_fd, const char *tag, GError **error);
/* The kept copy of row @number as @name of @parent_fd, which must not exist. */
gboolean _sandbox_journal_restore (SandboxJournal *journal, guint number, int parent_fd,
                                   const char *name, guint mode, GError **error);
/* What a killed apply left: its temporary names go, what it did is recorded. What its user saved
 * just before it was replaced gets its name again. */
gboolean
_sandbox_journal_recover (SandboxJournal *journal, SandboxBase *base, int root_fd, GError **error);
/* TRUE when what is at @path now is what @row made. */
gboolean
_sandbox_journal_row_stands (const SandboxJournalRow *row, int root_fd, SandboxNode *ret_now);

/* Something is kept for row @number; with @inode: under another name of this very file. */
gboolean _sandbox_journal_is_kept (const SandboxJournal *journal, guint number, guint64 inode);
void _sandbox_journal_forget (const SandboxJournal *journal, guint number);

/* --- undo.c */
gboolean _sandbox_changes_undo (int root_fd, int dir_fd, const char *tag, guint *ret_undone,
                                guint *ret_left, GCancellable *cancellable, GError **error);
/* For tests: SANDBOX_FAULT="apply:write:N:kill" kills this process at the N-th step that writes,
 * ":stop" in place of ":kill" stops it there, ":stop-kill" kills it at the step after that. */
void _sandbox_apply_step (void);
