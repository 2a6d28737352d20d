// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares of a profile made absolute for this user and this machine, and checked again as such.
#include "plan/plan-internal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <string.h>

#define CONTRACT_WORD   "vms.contract="
#define REVIEW_CONTRACT 2
#define SHADOW_CONTRACT 3

char *
_sandbox_plan_where (SandboxProfile *profile, const char *group, const char *key)
{
  const char *origin = sandbox_profile_get_origin (profile, group, key);
  const char *value = sandbox_profile_get (profile, group, key);
  g_autofree char *shown = sandbox_escape (value ? value : "", -1, 200);

  return g_strdup_printf ("%s: [%s] %s=%s", origin ? origin : "built in", group, key, shown);
}

/* The home directory comes from the user database, not through the checks of a profile. */
static gboolean
check_home (const char *home, GError **error)
{
  gboolean good = home[0] == '/' && g_utf8_validate (home, -1, NULL) && !strpbrk (home, ",:");
  g_autofree char *shown = NULL;

  for (const char *p = home; good && *p; p = g_utf8_next_char (p))
    good = sandbox_char_is_plain (g_utf8_get_char (p));
  if (good)
    return TRUE;
  shown = sandbox_escape (home, -1, 200);
  return sandbox_fail (error, SANDBOX_ERROR_HOST,
                       "sharing directories: your home directory \"%s\" cannot be used: its path "
                       "must begin with / and hold no comma, colon or control character",
                       shown);
}

char *
_sandbox_plan_share_path (const char *text, const char *home, const char *name)
{
  g_auto (GStrv) parts = g_strsplit (text, "%n", -1);
  g_autofree char *named = g_strjoinv (name, parts);

  if (named[0] == '~')
    return g_strconcat (g_str_equal (home, "/") ? "" : home, named + 1, NULL);
  return g_steal_pointer (&named);
}

/* The same rules as for the profile's text, on what the text means here: "/srv/people/ada/.ssh" is
 * "~/.ssh" when that is ada's home. A home may well lie where nothing else may be shared from, as
 * those of services do. */
static gboolean
check_source (const SandboxPlan *plan, const char *path, const char *home, GError **error)
{
  gsize length = strlen (home);
  gboolean in_home = g_str_has_prefix (path, home) && path[length] == '/';
  g_autofree char *text = in_home ? g_strconcat ("~", path + length, NULL) : g_strdup (path);

  if (!sandbox_share_source_text_check (text, error))
    return FALSE;
  if (!in_home && sandbox_path_overlaps (path, home))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"%s\" cannot be shared: your home directory with all keys and settings "
                         "lies in it; share a directory of its own",
                         path);
  if (sandbox_path_overlaps (path, plan->pool_path))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"%s\" cannot be shared: the disks of the machines lie in %s; share "
                         "another directory",
                         path, plan->pool_path);
  for (guint i = 0; i < plan->shares->len; i++)
    {
      const SandboxPlanShare *other = g_ptr_array_index (plan->shares, i);

      if (sandbox_path_overlaps (path, other->source))
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "\"%s\" cannot be shared: it and %s of the share \"%s\" lie one in "
                             "the other; use separate directories",
                             path, other->source, other->tag);
    }
  return TRUE;
}

static gboolean
check_target (const SandboxPlan *plan, const char *path, GError **error)
{
  if (!sandbox_share_target_text_check (path, error))
    return FALSE;
  for (guint i = 0; i < plan->shares->len; i++)
    {
      const SandboxPlanShare *other = g_ptr_array_index (plan->shares, i);

      if (sandbox_path_overlaps (path, other->target))
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "\"%s\" cannot be a target: the share \"%s\" is mounted on %s; two "
                             "shares can be neither at one place nor inside one another",
                             path, other->tag, other->target);
    }
  return TRUE;
}

/* The version of the contract with the guest that the image was built for, as it says in the kernel
 * command line that it ships. */
static guint64
image_contract (const SandboxPlan *plan)
{
  g_auto (GStrv) words = g_strsplit (plan->cmdline, " ", -1);
  guint64 version = 1;

  for (guint i = 0; words[i]; i++)
    if (g_str_has_prefix (words[i], CONTRACT_WORD))
      sandbox_uint_parse (words[i] + strlen (CONTRACT_WORD), 0, G_MAXUINT, &version, NULL);
  return version;
}

/* An older image would not know what to mount. */
static gboolean
check_image (const SandboxPlan *plan, SandboxProfile *profile, const SandboxPlanShare *share,
             GError **error)
{
  gboolean review = share->mode == SANDBOX_SHARE_REVIEW;
  guint64 needed = review ? REVIEW_CONTRACT : *share->shadow ? SHADOW_CONTRACT : 0;

  if (!*plan->cmdline || image_contract (plan) >= needed)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                       "the share \"%s\" has %s, which the image %s is too old for: build "
                       "a new one (vms image build %s --update) and, if \"%s\" has a disk already, "
                       "give it a fresh one (vms recreate %s); or %s",
                       share->tag, review ? "mode=review" : "shadow=", plan->image_id,
                       _sandbox_profile_values (profile)->image, plan->name, plan->name,
                       review ? "give the share mode=rw" : "remove shadow=");
}

const char *
_sandbox_plan_share_mount (const SandboxPlanShare *share)
{
  if (share->mode == SANDBOX_SHARE_REVIEW)
    return "review";
  return _sandbox_share_mode_is_read_only (share->mode) ? "ro" : "rw";
}

static gboolean
add_share (SandboxPlan *plan, SandboxProfile *profile, const SandboxShareSpec *spec,
           const SandboxIdentity *identity, GError **error)
{
  g_autofree char *group = g_strconcat ("share:", spec->name, NULL);
  g_autofree char *guest_home = g_strconcat ("/home/", plan->user, NULL);
  g_autofree char *source = _sandbox_plan_share_path (spec->source, identity->home, identity->name);
  g_autofree char *target = _sandbox_plan_share_path (spec->target, guest_home, identity->name);
  gboolean source_good = check_source (plan, source, identity->home, error);
  SandboxPlanShare *share;

  if (!source_good || !check_target (plan, target, error))
    {
      g_autofree char *where =
          _sandbox_plan_where (profile, group, source_good ? "target" : "source");

      g_prefix_error (error, "%s: ", where);
      return FALSE;
    }
  share = g_new0 (SandboxPlanShare, 1);
  share->tag = g_strdup (spec->name);
  share->source = g_steal_pointer (&source);
  share->target = g_steal_pointer (&target);
  share->mode = spec->mode;
  share->create = spec->create;
  share->shadow = g_strdup (spec->shadow);
  share->guard = g_strdup (spec->guard);
  share->flag = g_strdup (spec->flag);
  share->read_only = _sandbox_share_mode_is_read_only (spec->mode);
  share->door = g_build_filename (identity->state, "shares", spec->name, NULL);
  g_ptr_array_add (plan->shares, share);
  return TRUE;
}

gboolean
_sandbox_plan_resolve_shares (SandboxPlan *plan, SandboxProfile *profile,
                              const SandboxIdentity *identity, GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);

  if (values->shares->len > 0 && !check_home (identity->home, error))
    return FALSE;
  for (guint i = 0; i < values->shares->len; i++)
    if (!add_share (plan, profile, g_ptr_array_index (values->shares, i), identity, error)
        || !check_image (plan, profile, g_ptr_array_index (plan->shares, i), error))
      return FALSE;
  plan->virtiofs = plan->shares->len > 0;
  return TRUE;
}
