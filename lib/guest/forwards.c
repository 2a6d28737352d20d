// SPDX-License-Identifier: LGPL-2.1-or-later
// What shall be forwarded now, as the library tells it to the keeper, and what the keeper says of
// it: two small files of the state directory.
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>

#define FILE_MAX (64 * 1024)

static const char *const words[] = {
  [SANDBOX_LISTENS_ON_HOST] = "forward",
  [SANDBOX_LISTENS_IN_GUEST] = "host",
};

GArray *
_sandbox_forwards_new (void)
{
  return g_array_new (FALSE, FALSE, sizeof (SandboxForwardEntry));
}

void
_sandbox_forwards_add (GArray *entries, SandboxListens kind, const GArray *maps)
{
  for (guint i = 0; i < maps->len; i++)
    {
      SandboxForwardEntry entry = { kind, g_array_index (maps, SandboxPortMap, i), 0 };

      g_array_append_val (entries, entry);
    }
}

/* "forward 8080:80 0": the last is the time at which it ends. */
static gboolean
read_line (const char *line, SandboxForwardEntry *ret_entry)
{
  g_auto (GStrv) parts = g_strsplit (line, " ", -1);
  SandboxForwardEntry entry = { 0 };
  guint64 until = 0;

  if (g_strv_length (parts) != 3 || !sandbox_uint_parse (parts[2], 0, G_MAXINT64, &until, NULL))
    return FALSE;
  entry.until_usec = (gint64)until;
  for (guint kind = 0; kind < G_N_ELEMENTS (words); kind++)
    if (g_str_equal (parts[0], words[kind]))
      {
        entry.kind = (SandboxListens)kind;
        *ret_entry = entry;
        return sandbox_port_map_parse (entry.kind, parts[1], &ret_entry->map, NULL);
      }
  return FALSE;
}

static char *
digest_of (const char *text)
{
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
}

GArray *
_sandbox_forwards_read (int state_fd, char **ret_digest, GError **error)
{
  g_autoptr (GArray) entries = _sandbox_forwards_new ();
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  gint64 now = g_get_real_time ();

  if (!sandbox_file_read_at (state_fd, SANDBOX_FORWARDS, FILE_MAX, &text, NULL, &local))
    {
      if (!g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      text = g_strdup ("");
    }
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line && **line; line++)
    {
      SandboxForwardEntry entry;

      if (!read_line (*line, &entry))
        {
          sandbox_fail (error, SANDBOX_ERROR_INVALID,
                        "reading the machine's list of forwarded ports: it is damaged; stop and "
                        "start the machine");
          return NULL;
        }
      if (entry.until_usec == 0 || entry.until_usec > now)
        g_array_append_val (entries, entry);
    }
  if (ret_digest)
    *ret_digest = digest_of (text);
  return g_steal_pointer (&entries);
}

gboolean
_sandbox_forwards_write (int state_fd, const GArray *entries, char **ret_digest, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < entries->len; i++)
    {
      const SandboxForwardEntry *entry = &g_array_index (entries, SandboxForwardEntry, i);
      g_autofree char *map = sandbox_port_map_format (&entry->map);

      g_string_append_printf (text, "%s %s %" G_GINT64_FORMAT "\n", words[entry->kind], map,
                              entry->until_usec);
    }
  if (!sandbox_file_write_at (state_fd, SANDBOX_FORWARDS, text->str, text->len, 0600, error))
    return FALSE;
  if (ret_digest)
    *ret_digest = digest_of (text->str);
  return TRUE;
}

gboolean
_sandbox_forwards_equal (const SandboxForwardEntry *a, const SandboxForwardEntry *b)
{
  return a->kind == b->kind && a->map.host.first == b->map.host.first
         && a->map.host.last == b->map.host.last && a->map.guest.first == b->map.guest.first;
}

gboolean
_sandbox_forwards_write_state (int state_fd, const char *digest, const GArray *refused)
{
  g_autoptr (GString) text = g_string_new (digest);

  g_string_append_c (text, '\n');
  for (guint i = 0; i < refused->len; i++)
    g_string_append_printf (text, "%u\n", g_array_index (refused, guint16, i));
  return sandbox_file_write_at (state_fd, SANDBOX_FORWARDS_STATE, text->str, text->len, 0600, NULL);
}

char *
_sandbox_forwards_read_state (int state_fd, GArray *refused)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!sandbox_file_read_at (state_fd, SANDBOX_FORWARDS_STATE, FILE_MAX, &text, NULL, NULL))
    return g_strdup ("");
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 1; lines[0] && lines[i]; i++)
    {
      guint64 number = 0;
      guint16 port;

      if (!sandbox_uint_parse (lines[i], 1, G_MAXUINT16, &number, NULL))
        continue;
      port = (guint16)number;
      g_array_append_val (refused, port);
    }
  return g_strdup (lines[0] ? lines[0] : "");
}
