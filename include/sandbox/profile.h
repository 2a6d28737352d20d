// SPDX-License-Identifier: LGPL-2.1-or-later
// Profiles: what a machine should be, as read from key files. No access to libvirt.
#pragma once

#include <gio/gio.h>
#include <sandbox/error.h>

G_BEGIN_DECLS

typedef struct _SandboxProfile SandboxProfile;

#define SANDBOX_TYPE_PROFILE (sandbox_profile_get_type ())
GType sandbox_profile_get_type (void);

/**
 * SandboxProfileDirs:
 * @struct_size: set by SANDBOX_PROFILE_DIRS_INIT
 * @user_dir: (nullable): the user's profiles; %NULL: `$XDG_CONFIG_HOME/vms`
 * @shipped_dir: (nullable): the shipped profiles; %NULL: as installed, or `$SANDBOX_DOMAINS_DIR`
 */
typedef struct
{
  gsize struct_size;
  const char *user_dir;
  const char *shipped_dir;
} SandboxProfileDirs;
#define SANDBOX_PROFILE_DIRS_INIT                                                                  \
  {                                                                                                \
    .struct_size = sizeof (SandboxProfileDirs)                                                     \
  }

/**
 * SandboxProfileKey:
 * @group: group name; shares show as "share:*"
 * @name: key name
 * @type: type in words, such as "size", "list of ports"
 * @allowed: what is allowed, in words
 * @default_value: (nullable): the built-in default as text
 * @summary: one line
 *
 * One row of the table that drives the reader, `vms profile keys`, the manual page and completion.
 */
typedef struct
{
  const char *group;
  const char *name;
  const char *type;
  const char *allowed;
  const char *default_value;
  const char *summary;
} SandboxProfileKey;

/* The key table; @ret_n rows, static. */
const SandboxProfileKey *sandbox_profile_keys (gsize *ret_n);

/* Reads NAME with everything it inherits: shipped base, the user's defaults.profile, shipped NAME,
 * the user's NAME.profile (and the chain of inherits=). SANDBOX_ERROR_NOT_FOUND when neither
 * exists, _INVALID with "FILE:LINE: ..." else. */
SandboxProfile *
sandbox_profile_load (const SandboxProfileDirs *dirs, const char *name, GError **error);

/* One text as the profile @name, merged over what it inherits. @source is the file name shown in
 * errors. */
SandboxProfile *
sandbox_profile_parse (const SandboxProfileDirs *dirs, const char *name, const char *source,
                       const char *text, gssize length, GError **error);

/* What no text shows: that the pieces of its [provision] are there, that [policy] forbids none of
 * it, and that files and scripts can be read, and lie in no directory that it shares, nor among the
 * drop boxes (~/vms). Other machines' shares are looked at where a machine is made. Nothing is
 * connected to and nothing changed. SANDBOX_ERROR_INVALID with "FILE:LINE: ...". */
gboolean sandbox_profile_check_provision (const SandboxProfileDirs *dirs, SandboxProfile *profile,
                                          GError **error);

SandboxProfile *sandbox_profile_ref (SandboxProfile *profile);
void sandbox_profile_unref (SandboxProfile *profile);
/* A copy that can be changed with _set and _add_share (a loaded profile may be changed too, while
 * it is not shared). */
SandboxProfile *sandbox_profile_copy (SandboxProfile *profile);

/* The name it was loaded or parsed as. Owned by @profile. */
const char *sandbox_profile_get_name (SandboxProfile *profile);
/* Effective text value of GROUP/KEY (own, inherited or built-in default); NULL for an unknown key.
 * Owned by @profile. */
const char *sandbox_profile_get (SandboxProfile *profile, const char *group, const char *key);
/* Where the effective value came from: "FILE:LINE" or "built in". Owned by @profile. */
const char *
sandbox_profile_get_origin (SandboxProfile *profile, const char *group, const char *key);
/* Checked like a line of a file; SANDBOX_ERROR_INVALID leaves the profile as it was. The value of a
 * list adds to what it has when it begins with "+", else replaces it. */
gboolean sandbox_profile_set (SandboxProfile *profile, const char *group, const char *key,
                              const char *value, GError **error);
/* @spec: "DIR[:TARGET][,mode=M][,shadow=DIR;DIR][,guard=P;Q][,flag=P;Q]"; DIR absolute or ~/... */
gboolean sandbox_profile_add_share (SandboxProfile *profile, const char *spec, GError **error);
/* The effective profile as a key file that parses back to an equal profile. */
char *sandbox_profile_format (SandboxProfile *profile);
/* sha256 in hex of the canonical form; equal profiles have equal digests. Owned by @profile. */
const char *sandbox_profile_get_digest (SandboxProfile *profile);
/* Unified-looking list of "group/key: old -> new" lines, one per difference; empty string when
 * equal. */
char *sandbox_profile_diff (SandboxProfile *old_profile, SandboxProfile *new_profile);

/**
 * SandboxProfileInfo: one entry of sandbox_profile_list()
 * @name: profile name
 * @summary: the summary line, "" if none
 * @path: the file that defines it (the user's when both exist)
 * @inherits: what it inherits, "" if none
 * @shipped: a shipped file exists
 * @user: a file of the user exists
 * @problem: (nullable): the error text when it does not load
 */
typedef struct
{
  char *name, *summary, *path, *inherits;
  gboolean shipped, user;
  char *problem;
} SandboxProfileInfo;
void sandbox_profile_info_free (SandboxProfileInfo *info);
/* All profiles, sorted by name. (transfer full) (element-type SandboxProfileInfo) */
GPtrArray *sandbox_profile_list (const SandboxProfileDirs *dirs, GError **error);

/* Writes TEXT as the user's NAME.profile, after checking it; SANDBOX_ERROR_EXISTS unless @replace.
 * Atomic, mode 0600. */
gboolean sandbox_profile_save (const SandboxProfileDirs *dirs, const char *name, const char *text,
                               gboolean replace, GError **error);
/* Removes the user's NAME.profile; it is no error when there is none. */
gboolean sandbox_profile_remove (const SandboxProfileDirs *dirs, const char *name, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxProfile, sandbox_profile_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxProfileInfo, sandbox_profile_info_free)

G_END_DECLS
