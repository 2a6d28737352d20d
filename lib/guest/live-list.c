// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares that a machine got while it ran, or for a time: a small file of the state directory,
// written by the library, followed by the keeper, and what the keeper says of it.
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <string.h>
#include <unistd.h>

#define FILE_MAX 8192

void
_sandbox_live_share_free (gpointer data)
{
  SandboxLiveShare *share = data;

  g_free (share->tag);
  g_free (share);
}

GPtrArray *
_sandbox_live_shares_read (int state_fd)
{
  GPtrArray *shares = g_ptr_array_new_with_free_func (_sandbox_live_share_free);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!sandbox_file_read_at (state_fd, SANDBOX_LIVE_SHARES, FILE_MAX, &text, NULL, NULL))
    return shares;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    {
      g_auto (GStrv) words = g_strsplit (lines[i], " ", -1);
      guint64 until = 0;
      SandboxLiveShare *share;

      if (g_strv_length (words) != 2 || !sandbox_uint_parse (words[1], 0, G_MAXINT64, &until, NULL))
        continue;
      share = g_new0 (SandboxLiveShare, 1);
      share->tag = g_strdup (words[0]);
      share->until_usec = (gint64)until;
      g_ptr_array_add (shares, share);
    }
  return shares;
}

gboolean
_sandbox_live_shares_write (int state_fd, const GPtrArray *shares, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxLiveShare *share = g_ptr_array_index (shares, i);

      g_string_append_printf (text, "%s %" G_GINT64_FORMAT "\n", share->tag, share->until_usec);
    }
  return sandbox_file_write_at (state_fd, SANDBOX_LIVE_SHARES, text->str, text->len, 0600, error);
}

SandboxLiveShare *
_sandbox_live_shares_find (const GPtrArray *shares, const char *tag)
{
  for (guint i = 0; i < shares->len; i++)
    if (g_str_equal (((SandboxLiveShare *)shares->pdata[i])->tag, tag))
      return shares->pdata[i];
  return NULL;
}

char *
_sandbox_live_state_read (int state_fd)
{
  char *text = NULL;

  return sandbox_file_read_at (state_fd, SANDBOX_LIVE_STATE, FILE_MAX, &text, NULL, NULL) ? text
                                                                                          : NULL;
}

gboolean
_sandbox_live_state_write (int state_fd, const char *problem)
{
  if (!problem)
    return unlinkat (state_fd, SANDBOX_LIVE_STATE, 0) == 0;
  return sandbox_file_write_at (state_fd, SANDBOX_LIVE_STATE, problem, strlen (problem), 0600,
                                NULL);
}
