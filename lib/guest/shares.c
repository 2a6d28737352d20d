// SPDX-License-Identifier: LGPL-2.1-or-later
// Are the shares really mounted? The guest's mount table, read as what it is: text from somebody
// else.
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define TABLE_MAX (256 * 1024)
/* The machine's own disk, as its mount table has it. */
#define ROOT_DISK  "/dev/vda"
#define ROOT_TYPE  "ext4"
#define CHECK_USEC (60 * G_USEC_PER_SEC)

static gboolean
is_octal (char c)
{
  return c >= '0' && c <= '7';
}

/* The kernel writes blanks, newlines and backslashes of a path as three octal digits. In place. */
static void
unescape (char *text)
{
  char *to = text;

  for (const char *from = text; *from;)
    if (from[0] == '\\' && is_octal (from[1]) && is_octal (from[2]) && is_octal (from[3]))
      {
        *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
        from += 4;
      }
    else
      *to++ = *from++;
  *to = '\0';
}

/* What lies on top at @target, which the last line for it tells, is of @tag and @type: its options
 * (transfer full). NULL when it is anything else. */
static char **
mount_options (char **lines, const char *target, const char *tag, const char *type)
{
  char **options = NULL;

  for (guint i = 0; lines[i]; i++)
    {
      g_auto (GStrv) words = g_strsplit (lines[i], " ", 5);

      if (g_strv_length (words) < 4)
        continue;
      unescape (words[1]);
      if (!g_str_equal (words[1], target))
        continue;
      g_clear_pointer (&options, g_strfreev);
      if (g_str_equal (words[0], tag) && g_str_equal (words[2], type))
        options = g_strsplit (words[3], ",", -1);
    }
  return options;
}

/* "KEY=PATH"; the initrd mounts before the root directory is the machine's. */
static gboolean
has_path (char **options, const char *key, const char *path)
{
  g_autofree char *plain = g_strdup_printf ("%s=%s", key, path);
  g_autofree char *early = g_strdup_printf ("%s=/newroot%s", key, path);

  return g_strv_contains ((const char *const *)options, plain)
         || g_strv_contains ((const char *const *)options, early);
}

/* The overlay, its lower layer the share itself, read-only, its upper one on the machine's disk. */
static gboolean
is_reviewed (char **lines, const SandboxPlanShare *share)
{
  g_autofree char *lower = g_strconcat (SANDBOX_GUEST_LOWER, share->tag, NULL);
  g_autofree char *upper = g_strconcat (SANDBOX_GUEST_LAYERS, share->tag, "/upper", NULL);
  g_auto (GStrv) below = mount_options (lines, lower, share->tag, "virtiofs");
  g_auto (GStrv) over = mount_options (lines, share->target, share->tag, "overlay");

  return below && over && g_strv_contains ((const char *const *)below, "ro")
         && has_path (over, "lowerdir", lower) && has_path (over, "upperdir", upper);
}

/* What lies on each of its directories that are to be on the machine's disk is of that. */
static gboolean
is_shadowed (char **lines, const SandboxPlanShare *share)
{
  g_auto (GStrv) names = g_strsplit (share->shadow, ";", -1);
  gboolean good = TRUE;

  for (guint i = 0; good && names[i]; i++)
    {
      g_autofree char *place = g_strconcat (share->target, "/", names[i], NULL);
      g_auto (GStrv) options = mount_options (lines, place, ROOT_DISK, ROOT_TYPE);

      good = options != NULL;
    }
  return good;
}

static gboolean
is_mounted (char **lines, const SandboxPlanShare *share)
{
  g_auto (GStrv) options = NULL;

  if (share->mode == SANDBOX_SHARE_REVIEW)
    return is_reviewed (lines, share);
  options = mount_options (lines, share->target, share->tag, "virtiofs");
  return options != NULL && is_shadowed (lines, share);
}

gboolean
_sandbox_mounts_have (const char *table, const SandboxPlanShare *share)
{
  g_auto (GStrv) lines = g_strsplit (table, "\n", -1);

  return is_mounted (lines, share);
}

char *
_sandbox_guest_read_mounts (const SandboxSsh *ssh, GCancellable *cancellable, GError **error)
{
  /* the shell reads it by itself: no process more in the guest */
  return _sandbox_ssh_capture (
      ssh, "while read -r line; do printf '%s\\n' \"$line\"; done </proc/self/mounts", -1,
      TABLE_MAX, CHECK_USEC, cancellable, error);
}

char *
_sandbox_mounts_missing (const char *table, const SandboxPlan *plan)
{
  g_auto (GStrv) lines = g_strsplit (table, "\n", -1);
  GString *missing = NULL;

  for (guint i = 0; i < plan->shares->len; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (plan->shares, i);
      g_autofree char *target = sandbox_escape (share->target, -1, 200);

      if (is_mounted (lines, share))
        continue;
      if (missing)
        g_string_append (missing, ", ");
      else
        missing = g_string_new (NULL);
      g_string_append_printf (missing, "\"%s\" at %s", share->tag, target);
    }
  return missing ? g_string_free (missing, FALSE) : NULL;
}

gboolean
_sandbox_guest_check_shares (const SandboxSsh *ssh, const SandboxPlan *plan,
                             GCancellable *cancellable, GError **error)
{
  g_autofree char *table = NULL;
  g_autofree char *missing = NULL;

  if (plan->shares->len == 0)
    return TRUE;
  table = _sandbox_guest_read_mounts (ssh, cancellable, error);
  if (!table)
    {
      g_prefix_error (error, "checking the shares: ");
      return FALSE;
    }
  missing = _sandbox_mounts_missing (table, plan);
  if (!missing)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                       "checking the shares: not mounted in the machine: %s; look at the boot "
                       "console (\"vms logs\") "
                       "for the reason",
                       missing);
}
