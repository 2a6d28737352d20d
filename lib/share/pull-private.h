// SPDX-License-Identifier: LGPL-2.1-or-later
// Commits out of a machine: the host's half. What the guest sends is taken apart in a repository of
// our own (the quarantine); the user's repository is written by descriptors, never by git.
//
// Two things are hostile here. The bundle, always. And the repository itself, when the share is (or
// was) one that the machine writes to: its configuration can name programs, and links in it can
// lead anywhere. So git never gets that repository as its own: it reads its objects as those of an
// alternate, which has no configuration, and nothing else.
#pragma once

#include <sandbox/pull.h>

/* What one pull may bring. */
#define SANDBOX_PULL_REFS_MAX     500
#define SANDBOX_PULL_REF_NAME_MAX 200 /* bytes, "refs/heads/" left out */
#define SANDBOX_PULL_DEPTH_MAX    16  /* slashes in one */
#define SANDBOX_PULL_HEADER_MAX   (4 * 1024 * 1024)
/* Of the host's own: how many of its tips the guest is told. */
#define SANDBOX_PULL_TIPS_MAX 10000

/* --- pull-bundle.c */
typedef struct
{
  char *name; /* "main", or "HEAD" when that was on no branch */
  char *id;   /* object name in hexadecimal */
} SandboxBundleRef;
typedef struct
{
  guint id_length;   /* hexadecimal digits of an object name: 40 or 64 */
  GPtrArray *refs;   /* of SandboxBundleRef, at least one */
  gsize pack_offset; /* where the header ends */
} SandboxBundle;
void _sandbox_bundle_free (SandboxBundle *bundle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxBundle, _sandbox_bundle_free)
/* The header of a bundle (gitformat-bundle(5), versions 2 and 3) of which @data is the beginning.
 * Only branches and HEAD; each name as git check-ref-format(1) asks and stricter: plain characters,
 * no part that begins with "-", no two that some file system takes for the same. GUEST otherwise.
 */
SandboxBundle *_sandbox_bundle_parse (const char *data, gsize length, GError **error);
/* @name is one that refs/vms/MACHINE/ may get. */
gboolean _sandbox_ref_name_good (const char *name);
/* 40 or 64 lower-case hexadecimal digits, of @length bytes. */
gboolean _sandbox_is_object_id (const char *text, gsize length);

/* --- pull-repo.c: the user's repository, by descriptors, without following any link */
typedef struct
{
  char *path;       /* of the working tree, without links */
  char *objects;    /* path of .git/objects */
  int git_fd;       /* .git */
  guint id_length;  /* 40 or 64 */
  GHashTable *tips; /* ref name -> object name; those of all branches, tags, refs/vms and so on */
  char *head;       /* object name of HEAD; NULL: there is no commit yet */
  char *shallow;    /* text of .git/shallow, checked; NULL: none */
} SandboxPullRepo;
void _sandbox_pull_repo_free (SandboxPullRepo *repo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxPullRepo, _sandbox_pull_repo_free)
/* NOT_FOUND when @path is no repository; UNSUPPORTED for what is one in a way that is not handled
 * (a worktree, objects elsewhere, reftable); INVALID for links in it. */
SandboxPullRepo *_sandbox_pull_repo_open (const char *path, GError **error);
/* No links among the objects, nor a way to objects elsewhere: what git then finds there was there.
 */
gboolean _sandbox_pull_repo_check_objects (const SandboxPullRepo *repo, GError **error);
/* pack @id (its checksum) of the directory @from_fd ("out.pack" and "out.idx") becomes one of the
 * repository's. */
gboolean _sandbox_pull_repo_add_pack (const SandboxPullRepo *repo, int from_fd, const char *id,
                                      GError **error);

/* --- pull-refs.c */
/* All refs, loose and packed, into @tips; *@ret_head as in SandboxPullRepo. */
gboolean _sandbox_pull_refs_read (int git_fd, GHashTable *tips, char **ret_head, GError **error);
/* Prepares refs/vms/@machine/NAME for each of @refs (of SandboxBundleRef); freeing the array lets
 * go of those that were not written. BUSY when somebody locks one, EXISTS when one would have to be
 * a directory and a ref at once. */
GPtrArray *_sandbox_pull_refs_lock (const SandboxPullRepo *repo, const char *machine,
                                    const GPtrArray *refs, GError **error);
gboolean _sandbox_pull_refs_write (GPtrArray *updates, GError **error);

/* --- pull-git.c: git in the quarantine */
/* Held by who has one of a share for review in the directory of its records. */
#define SANDBOX_QUARANTINE_LOCK "merge.lock"
typedef struct
{
  char *path, *program;
  int fd;
  guint id_length;
  guint64 max_bytes;   /* of what it is given; it may write four times that */
  gint64 timeout_usec; /* of each command; there is one from the beginning */
  GCancellable *cancellable;
} SandboxQuarantine;
void _sandbox_quarantine_free (SandboxQuarantine *quarantine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxQuarantine, _sandbox_quarantine_free)
/* In the new directory "pull" below @dir_fd, @dir_path. Removed with the last of it. @repo
 * (nullable): whose objects are seen. */
SandboxQuarantine *
_sandbox_quarantine_new (int dir_fd, const char *dir_path, const SandboxPullRepo *repo,
                         guint64 max_bytes, GCancellable *cancellable, GError **error);
/* git with @args (NULL-terminated) reads @input (nullable) or @in_fd (-1: nothing). Its whole
 * output, or with @out_fd nothing; NULL with @error (GUEST) when it fails or writes too much. */
char *
_sandbox_quarantine_git (SandboxQuarantine *quarantine, const char *const *args, const char *input,
                         int in_fd, int out_fd, gsize *ret_length, GError **error);
/* Which of @ids (of utf8) are commits here, tags followed: their object names, NULL for the others.
 * (element-type utf8) */
GPtrArray *
_sandbox_quarantine_commits (SandboxQuarantine *quarantine, const GPtrArray *ids, GError **error);

/* --- pull-risk.c: what a file of this name does on the host without being asked to; NULL: nothing
 * that is known. Static. */
const char *_sandbox_path_risk (const char *path);

/* --- pull.c */
/* Empty; free with sandbox_pull_free(). */
SandboxPull *_sandbox_pull_new (const char *share, const char *repository);
/* How many of the commits are listed. */
#define SANDBOX_PULL_COMMITS_LISTED 200
/* Object names of what the host has, one a line, for the guest to leave out. */
char *
_sandbox_pull_tips (SandboxQuarantine *quarantine, const SandboxPullRepo *repo, GError **error);
/* Checks the bundle in @bundle_fd, notes in @result what it brings, and unless @dry_run brings it
 * into refs/vms/@machine of @repo. */
gboolean _sandbox_pull_receive (SandboxPull *result, SandboxQuarantine *quarantine,
                                const SandboxPullRepo *repo, const char *machine, int bundle_fd,
                                gboolean dry_run, GError **error);
