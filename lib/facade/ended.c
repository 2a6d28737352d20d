// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares for review that a machine has no more, and whose layer its disk still has: they ended with
// their time, or were taken out of its profile. What this host notes of each share beside the
// record of what was there tells of them.
#include "facade/keep.h"

#include <string.h>

#define NOTE_MAX (64 * 1024)

/* "TAG.source" and so on; of the shares that have one */
static const struct
{
  const char *suffix;
  gsize offset;
} notes[] = {
  { ".guard", G_STRUCT_OFFSET (SandboxPlanShare, guard) },
  { ".flag", G_STRUCT_OFFSET (SandboxPlanShare, flag) },
  /* last: it makes the others count */
  { SANDBOX_SOURCE_SUFFIX, G_STRUCT_OFFSET (SandboxPlanShare, source) },
};

gboolean
_sandbox_share_note (int dir_fd, const SandboxPlanShare *share, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    {
      g_autofree char *file = g_strconcat (share->tag, notes[i].suffix, NULL);
      const char *text = G_STRUCT_MEMBER (char *, share, notes[i].offset);

      if (text == NULL || *text == '\0'
              ? !sandbox_remove_at (dir_fd, file, error)
              : !sandbox_file_write_at (dir_fd, file, text, strlen (text), 0600, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
_sandbox_share_forget (int dir_fd, const char *tag, GError **error)
{
  for (guint i = G_N_ELEMENTS (notes); i > 0; i--)
    {
      g_autofree char *file = g_strconcat (tag, notes[i - 1].suffix, NULL);

      if (!sandbox_remove_at (dir_fd, file, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
_sandbox_share_is_note (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    if (g_str_has_suffix (name, notes[i].suffix))
      return TRUE;
  return FALSE;
}

/* NULL: nothing is noted of it, or there is no record. (transfer full) */
static SandboxPlanShare *
read_note (int dir_fd, const char *tag)
{
  SandboxPlanShare *share;

  if (!sandbox_name_check_form ("share", tag, NULL) || !_sandbox_manifest_exists (dir_fd, tag))
    return NULL;
  share = g_new0 (SandboxPlanShare, 1);
  share->tag = g_strdup (tag);
  share->target = g_strdup ("");
  share->shadow = g_strdup ("");
  share->mode = SANDBOX_SHARE_REVIEW;
  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    {
      g_autofree char *file = g_strconcat (tag, notes[i].suffix, NULL);
      char *text = NULL;

      sandbox_file_read_at (dir_fd, file, NOTE_MAX, &text, NULL, NULL);
      G_STRUCT_MEMBER (char *, share, notes[i].offset) = text != NULL ? text : g_strdup ("");
    }
  if (*share->source == '/')
    return share;
  _sandbox_plan_share_free (share);
  return NULL;
}

gboolean
_sandbox_share_is_ended (const SandboxPlanShare *share)
{
  return *share->target == '\0';
}

void
_sandbox_shares_add_ended (SandboxMachine *machine, GPtrArray *shares)
{
  sandbox_autofd int dir_fd = _sandbox_records_look (machine);
  g_auto (GStrv) names = dir_fd < 0 ? NULL : sandbox_dir_list (dir_fd, NULL);

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autofree char *tag = NULL;
      SandboxPlanShare *share = NULL;

      if (!g_str_has_suffix (names[i], SANDBOX_SOURCE_SUFFIX))
        continue;
      tag = g_strndup (names[i], strlen (names[i]) - strlen (SANDBOX_SOURCE_SUFFIX));
      share = _sandbox_shares_find (shares, tag) == NULL ? read_note (dir_fd, tag) : NULL;
      if (share != NULL)
        g_ptr_array_add (shares, share);
    }
}

GPtrArray *
_sandbox_shares_for_review (const GPtrArray *from)
{
  GPtrArray *shares = g_ptr_array_new_with_free_func (_sandbox_plan_share_free);

  for (guint i = 0; from != NULL && i < from->len; i++)
    {
      const SandboxPlanShare *share = from->pdata[i];

      if (share->mode == SANDBOX_SHARE_REVIEW)
        g_ptr_array_add (shares, _sandbox_plan_share_copy (share));
    }
  return shares;
}
