// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the profile layer share: the key table, the reader, and the inside of a
// profile.
#pragma once

#include "profile/profile-private.h"

/* Limits of one file, and of what it may inherit. */
#define SANDBOX_PROFILE_FILE_MAX    (64 * 1024)
#define SANDBOX_PROFILE_LINE_MAX    4096
#define SANDBOX_PROFILE_LINES_MAX   1000
#define SANDBOX_PROFILE_SHARES_MAX  32
#define SANDBOX_PROFILE_DEPTH_MAX   8
#define SANDBOX_PROFILE_SUMMARY_MAX 200
#define SANDBOX_PROFILE_ITEMS_MAX   64
#define SANDBOX_PROFILE_WORDS_MAX   256

/* One for each row of the key table, in its order. */
typedef enum
{
  KEY_INHERITS,
  KEY_DEFAULTS,
  KEY_SUMMARY,
  KEY_IMAGE,
  KEY_CPUS,
  KEY_MEMORY,
  KEY_DISK,
  KEY_USER,
  KEY_ACCEL,
  KEY_START_ON_EXEC,
  KEY_START,
  KEY_ENCRYPT,
  KEY_NETWORK_MODE,
  KEY_NETWORK_EGRESS,
  KEY_NETWORK_ALLOW,
  KEY_NETWORK_FORWARD,
  KEY_NETWORK_HOST,
  KEY_PROVISION_USE, /* the first one of words */
  KEY_PROVISION_PACKAGES,
  KEY_PROVISION_NPM,
  KEY_PROVISION_SETUP,
  KEY_PROVISION_FILES,
  KEY_PROVISION_ENV, /* the last one of words */
  KEY_PROVISION_TIMEOUT,
  KEY_POLICY_FORBID,
  KEY_SHARE_SOURCE, /* the first one of shares */
  KEY_SHARE_TARGET,
  KEY_SHARE_MODE,
  KEY_SHARE_CREATE,
  KEY_SHARE_SHADOW,
  KEY_SHARE_GUARD,
  KEY_SHARE_FLAG,
  N_KEYS,
} KeyId;

#define SHARE_GROUP_PREFIX "share:"
#define SHARE_GROUP_ANY    "share:*"

/* Row of @group ("machine", "share:work") and @key. FALSE with what is allowed and the nearest
 * name. */
gboolean _sandbox_key_find (const char *group, const char *key, KeyId *ret_id, GError **error);
/* FALSE with what is allowed and the nearest name. */
gboolean _sandbox_group_check (const char *group, GError **error);
/* Checks @value as the key's type wants it. @ret_value: (transfer full): its canonical text. */
gboolean _sandbox_key_check (KeyId id, const char *value, char **ret_value, GError **error);
const SandboxProfileKey *_sandbox_key_row (KeyId id);
/* Readers of values that were checked before. */
guint64 _sandbox_key_number (const char *value);
SandboxAccel _sandbox_accel_from_string (const char *text);

/* Keys whose value is a list of network rules, of ports, or of words of [provision] and
 * [policy]. */
gboolean _sandbox_key_is_list (KeyId id);
/* @ret_value: (transfer full): the list in canonical form, with its + if it has one. */
gboolean _sandbox_list_check (KeyId id, const char *value, char **ret_value, GError **error);
/* @value, which begins with +, behind @inherited; both were checked before. */
gboolean _sandbox_list_merge (KeyId id, const char *inherited, const char *value, char **ret_value,
                              GError **error);
/* Of SandboxNetRule, from a value that was checked before and has no +. (transfer full) */
GArray *_sandbox_list_rules (KeyId id, const char *value);
/* The same, of SandboxPortMap. (transfer full) */
GArray *_sandbox_list_ports (KeyId id, const char *value);

/* word-list.c: items of [provision] and [policy]. The one form of @item (transfer full); NULL with
 * @error. */
gboolean _sandbox_key_is_words (KeyId id);
char *_sandbox_word_canonical (KeyId id, const char *item, GError **error);
/* Whether only one of the two may stand in a list: they are equal, or two values of one variable,
 * or two files for one place. */
gboolean _sandbox_word_same_subject (KeyId id, const char *a, const char *b);
gboolean _sandbox_time_limit_check (const char *value, GError **error);
/* Of a value that was checked before. */
gint64 _sandbox_time_limit_usec (const char *value);

/* Where an entry stands: @source is made fit for messages. */
typedef struct
{
  const char *source;
  guint line;
} Place;

/* Called for each group header (@key NULL) and for each key with its value. */
typedef gboolean (*SandboxEntryFunc) (const Place *place, const char *group, const char *key,
                                      const char *value, gpointer user_data, GError **error);
/* Reads the whole text; every error, also one of @func, gets "SOURCE:LINE: " in front. */
gboolean _sandbox_reader_run (const char *source, const char *text, gsize length,
                              SandboxEntryFunc func, gpointer user_data, GError **error);

/* One value: both NULL while it is the built-in default. */
typedef struct
{
  char *value;
  char *origin;
} Cell;

typedef struct
{
  char *name;
  Cell cells[N_KEYS];
  char *origin; /* where it was first mentioned */
  char *default_target;
} Share;

/* Origin of what a program has set. */
#define SANDBOX_ORIGIN_SET "set"

struct _SandboxProfile
{
  gatomicrefcount ref_count;
  char *name;
  Cell cells[N_KEYS];
  GPtrArray *shares; /* of Share, sorted by name */
  SandboxProfileValues values;
  char *digest;
};

SandboxProfile *_sandbox_profile_new (const char *name);
Share *_sandbox_profile_find_share (SandboxProfile *profile, const char *name);
/* Checks and stores one value (@key NULL: only the group); a share that is not there yet is made.
 * The profile is not finished after it. */
gboolean _sandbox_profile_assign (SandboxProfile *profile, const char *group, const char *key,
                                  const char *value, const char *origin, GError **error);
/* Checks what no single value can, and makes the typed view and the digest. */
gboolean _sandbox_profile_finish (SandboxProfile *profile, GError **error);
/* Exchanges all but the counts of references. */
void _sandbox_profile_swap (SandboxProfile *a, SandboxProfile *b);
/* @share NULL for keys of other groups. Never NULL but for a share's source that is not set. */
const char *_sandbox_profile_value (SandboxProfile *profile, const Share *share, KeyId id);

/* A profile file that was found; @text NULL when there is none. */
typedef struct
{
  char *path;
  char *text;
  gsize length;
} ProfileFile;
void _sandbox_profile_file_clear (ProfileFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ProfileFile, _sandbox_profile_file_clear)
/* Reads NAME.profile of @dir when there is one. @of_user: must be safe against other users. */
gboolean _sandbox_profile_file_read (const char *dir, const char *name, gboolean of_user,
                                     ProfileFile *ret_file, GError **error);
/* Names with a file NAME.profile in @dir, sorted; a directory that is not there has none. */
char **_sandbox_profile_file_names (const char *dir, GError **error);
