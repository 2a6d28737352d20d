// SPDX-License-Identifier: LGPL-2.1-or-later
// What later layers read from a profile: typed values.
#pragma once

#include <sandbox/profile.h>
#include "base/netrule.h"
#include "base/portmap.h"

typedef enum
{
  SANDBOX_ACCEL_AUTO,
  SANDBOX_ACCEL_KVM,
  SANDBOX_ACCEL_TCG,
} SandboxAccel;

typedef enum
{
  SANDBOX_SHARE_RW,
  SANDBOX_SHARE_RO,
  SANDBOX_SHARE_GUARDED,
  SANDBOX_SHARE_REVIEW,
} SandboxShareMode;

typedef struct
{
  char *name;   /* of the group [share:NAME]; [a-z][a-z0-9-]* ; also the virtiofs tag */
  char *source; /* as written: absolute or ~/... */
  char *target; /* as written: absolute or ~/... (the guest user's home) */
  SandboxShareMode mode;
  gboolean create; /* make the source (mode 0700) when it is not there: only the drop box */
  char *shadow;    /* directories beneath it that the machine has on its own disk, "a;b/c"; or "" */
  char *guard, *flag; /* patterns of what else runs, and of what else builds, "a;b*"; or "" */
} SandboxShareSpec;

/* An item of setup= or files=. */
typedef struct
{
  char *source; /* as written: absolute, ~/..., or relative to the user's profiles */
  char *target; /* files=: absolute or ~/... in the guest; setup=: NULL */
  gboolean as_user;
  guint mode;
} SandboxProvisionFile;
void _sandbox_provision_file_clear (SandboxProvisionFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxProvisionFile, _sandbox_provision_file_clear)
gboolean _sandbox_setup_item_parse (const char *item, SandboxProvisionFile *ret, GError **error);
gboolean _sandbox_files_item_parse (const char *item, SandboxProvisionFile *ret, GError **error);

/* What [provision] says, as its lists. */
typedef struct
{
  char **use, **packages, **npm, **setup, **files, **env; /* array zero-terminated=1 */
  gint64 timeout_usec;
} SandboxProvision;

/* Typed view; pointers owned by the profile. 0 means "auto" for cpus and memory_bytes. */
typedef struct
{
  const char *name, *summary, *inherits;
  const char *image;
  guint cpus;
  guint64 memory_bytes, disk_bytes;
  const char *user;
  SandboxAccel accel;
  const char *network_mode; /* "nat" or "none" */
  GArray *egress, *allow;   /* of SandboxNetRule; empty egress: all of the public internet */
  GArray *forward, *host;   /* of SandboxPortMap; empty: nothing is forwarded */
  gboolean autostart_on_exec;
  const char *start; /* "auto", "warm" or "boot" */
  gboolean encrypt;
  GPtrArray *shares; /* of SandboxShareSpec */
  SandboxProvision provision;
  char **forbid; /* patterns of names; array zero-terminated=1 */
} SandboxProfileValues;
const SandboxProfileValues *_sandbox_profile_values (SandboxProfile *profile);
/* Of a profile that nobody else has: what it shares, inherited or not, is gone; @created_only: only
 * what would be made when it is missing. */
gboolean
_sandbox_profile_remove_shares (SandboxProfile *profile, gboolean created_only, GError **error);
/* As sandbox_profile_add_share(); *@ret_name (nullable): the share's name (transfer full). */
gboolean _sandbox_profile_add_share (SandboxProfile *profile, const char *spec, char **ret_name,
                                     GError **error);
/* With this share, in place of one of its name. */
gboolean
_sandbox_profile_put_share (SandboxProfile *profile, const SandboxShareSpec *share, GError **error);
const char *_sandbox_accel_to_string (SandboxAccel accel);
const char *_sandbox_share_mode_to_string (SandboxShareMode mode);
/* Unknown text is the first one. */
SandboxShareMode _sandbox_share_mode_from_string (const char *text);
/* Whether the host lets nothing of the guest's through to the shared directory. */
gboolean _sandbox_share_mode_is_read_only (SandboxShareMode mode);
/* Where the shipped profiles are, and what else a host needs of us. (transfer full) */
char *_sandbox_profile_shipped_dir (const SandboxProfileDirs *dirs);
/* Where the user's own profiles are. (transfer full) */
char *_sandbox_profile_user_dir (const SandboxProfileDirs *dirs);
