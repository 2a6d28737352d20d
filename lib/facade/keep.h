// SPDX-License-Identifier: LGPL-2.1-or-later
// Changes in shares for review, wherever they are: in a machine that runs, on the disk of one that
// does not, saved before their machine went. And whether there are any, without looking.
#pragma once

#include "facade/reader.h"
#include "guest/tar.h"
#include "share/share.h"

/* In the state directory of a machine. */
#define SANDBOX_RECORDS_DIR    "review"
#define SANDBOX_UNAPPLIED_FILE "state"
/* Of a record: which directory it is of. */
#define SANDBOX_SOURCE_SUFFIX ".source"
/* In that of the host; no machine can be called so. */
#define SANDBOX_SAVED_DIR "saved_changes"

/* --- changes.c */
int _sandbox_records_fd (SandboxMachine *machine, GError **error);
/* Without making it: -1 when there is none. */
int _sandbox_records_look (SandboxMachine *machine);
int _sandbox_share_root_fd (const char *source, GError **error);
/* What it adds to the table of names, as _sandbox_classes_parse() reads it. (transfer full) */
char *_sandbox_share_classes (SandboxMachine *machine, const SandboxPlanShare *share,
                              GCancellable *cancellable);

/* As sandbox_machine_read_changes(), for who has the machine's lock. */
SandboxChanges *_sandbox_machine_read_locked (SandboxMachine *machine, const char *tag,
                                              GCancellable *cancellable, GError **error);

/* --- ended.c: shares that the machine has no more, and whose layer its disk still has */
/* Notes, beside a record, what will have to be known of @share then. */
gboolean _sandbox_share_note (int dir_fd, const SandboxPlanShare *share, GError **error);
gboolean _sandbox_share_forget (int dir_fd, const char *tag, GError **error);
/* A file of that name is such a note. */
gboolean _sandbox_share_is_note (const char *name);
/* Adds them to @shares, which has all other ones: without target. */
void _sandbox_shares_add_ended (SandboxMachine *machine, GPtrArray *shares);
gboolean _sandbox_share_is_ended (const SandboxPlanShare *share);
/* Copies of those of @from (nullable) that are for review. (transfer full) */
GPtrArray *_sandbox_shares_for_review (const GPtrArray *from);

/* --- fetch.c: one share's layer, from a guest or a reader, which are trusted alike */
typedef struct
{
  SandboxSsh *own;       /* of a machine that runs; else @reader has its disk, under @lock */
  SandboxReader *reader; /* (nullable) */
  SandboxMachine *machine;
  SandboxLock *lock; /* (nullable): the caller has it */
} SandboxSource;
/* WRONG_STATE when it was never started. @locked: the caller has the machine's lock. */
gboolean
_sandbox_source_open (SandboxSource *source, SandboxMachine *machine, gboolean locked,
                      const SandboxReport *report, GCancellable *cancellable, GError **error);
void _sandbox_source_clear (SandboxSource *source);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxSource, _sandbox_source_clear)

typedef struct
{
  SandboxUpper *upper;
  char *fingerprint; /* (nullable) */
  char *left_out;    /* as the guest told it */
} SandboxFetched;
/* @dir_fd: a directory of ours for what it needs meanwhile. @copy_fd: gets the archive as it came;
 * -1: nothing does. NOT_FOUND when there is no such layer. */
gboolean
_sandbox_changes_fetch (const SandboxSource *source, const char *tag, int dir_fd, int copy_fd,
                        SandboxFetched *fetched, GCancellable *cancellable, GError **error);
void _sandbox_fetched_clear (SandboxFetched *fetched);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxFetched, _sandbox_fetched_clear)
/* Names of what was not sent for its size, for a message; NULL when all was. (transfer full) */
char *_sandbox_fetched_too_large (const SandboxFetched *fetched);
/* Adds lines "TYPE ./PATH". */
gboolean _sandbox_fetched_add_left_out (SandboxFetched *fetched, GError **error);

/* --- unapplied.c: what is known of a machine that does not run */
typedef enum
{
  SANDBOX_UNAPPLIED_NONE,
  SANDBOX_UNAPPLIED_SOME,
  SANDBOX_UNAPPLIED_SAVED,   /* some, which are saved */
  SANDBOX_UNAPPLIED_UNKNOWN, /* it was not stopped by us, did not answer, or got changes back */
  SANDBOX_UNAPPLIED_NOTHING, /* no share for review was ever started */
} SandboxUnapplied;
/* Whether its disk may hold anything of its own: it was started, or is the copy of one that was. */
gboolean _sandbox_machine_was_started (SandboxMachine *machine);
SandboxUnapplied _sandbox_unapplied_read (SandboxMachine *machine);
/* UNKNOWN removes what is there. */
gboolean
_sandbox_unapplied_write (SandboxMachine *machine, SandboxUnapplied unapplied, GError **error);
/* "none", "some", "unknown", and "" for nothing and while it runs; static. */
const char *_sandbox_unapplied_to_string (SandboxUnapplied unapplied);
/* Asks a machine that runs about @shares (of SandboxPlanShare), each for @timeout_usec at most. */
SandboxUnapplied _sandbox_unapplied_ask (SandboxMachine *machine, const GPtrArray *shares,
                                         gint64 timeout_usec, GCancellable *cancellable);
/* The shares for review with which it was defined, and those that it has had, of SandboxPlanShare.
 * (transfer full) */
GPtrArray *_sandbox_unapplied_shares (SandboxWork *work);
/* Steps of stop: asked before it powers off, noted when it is off. */
gboolean _sandbox_step_ask_changes (gpointer work, GCancellable *cancellable, GError **error);
gboolean _sandbox_step_note_changes (gpointer work, GCancellable *cancellable, GError **error);

/* --- later.c: a machine's own copies of shared files at its next start */
/* The rows of @changes that @wanted says are dropped then; WRONG_STATE when it runs, or is
 * suspended. */
gboolean _sandbox_discard_later (SandboxMachine *machine, SandboxChanges *changes,
                                 const gboolean *wanted, GCancellable *cancellable, GError **error);
/* Step of start. What cannot be done is told, and start goes on. */
gboolean _sandbox_step_follow (gpointer work, GCancellable *cancellable, GError **error);

/* --- owners.c: files in shared directories that belong to nobody in a machine */
#define SANDBOX_OWNERS_FILE "owners"
typedef struct
{
  guint n;
  gboolean partly;  /* there may be more */
  GPtrArray *names; /* of the first few, fit for a terminal */
} SandboxOwners;
SandboxOwners *_sandbox_owners_new (void);
void _sandbox_owners_free (SandboxOwners *owners);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxOwners, _sandbox_owners_free)
/* Those in @source of neither @uid nor one of @count numbers from @first on. */
SandboxOwners *_sandbox_owners_count (const char *source, uid_t uid, guint64 first, guint64 count);
/* Tells and notes them, of all shares of the plan; of one that comes while the machine runs. */
void _sandbox_owners_look (SandboxWork *work);
void _sandbox_owners_look_more (SandboxWork *work, const SandboxPlanShare *share);
/* As noted last. */
SandboxOwners *_sandbox_owners_read (int state_fd, const char *tag);

/* --- save.c */
/* Step of destroy, recreate and revert: before anything goes. */
gboolean _sandbox_step_save_changes (gpointer work, GCancellable *cancellable, GError **error);
