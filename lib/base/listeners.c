// SPDX-License-Identifier: LGPL-2.1-or-later
// Which TCP ports are listened on, and by whom. Nothing here is a decision: only a bind() tells
// whether a port can be had, the tables tell why not.
#include "base/listeners.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMAND_MAX (16 * 1024)
/* TCP_LISTEN of the kernel, as its tables have it. */
#define LISTENING "0A"

/* "0100007F": four bytes as the machine's own number. */
static gboolean
read_hex (const char *text, gsize length, guint64 *ret_number)
{
  guint64 number = 0;

  for (gsize i = 0; i < length; i++)
    {
      int digit = g_ascii_xdigit_value (text[i]);

      if (digit < 0)
        return FALSE;
      number = number << 4 | (guint64)digit;
    }
  *ret_number = number;
  return TRUE;
}

/* An address of either table. FALSE for one that takes no IPv4 connections. */
static gboolean
read_address (const char *text, gsize length, guint32 *ret_address)
{
  static const char zeros[] = "00000000000000000000000000000000";
  static const char mapped[] = "0000000000000000FFFF0000";
  guint64 number = 0;

  if (length == 32 && strncmp (text, zeros, 32) == 0)
    {
      *ret_address = 0;
      return TRUE;
    }
  if (length == 32 && g_ascii_strncasecmp (text, mapped, strlen (mapped)) == 0)
    {
      text += strlen (mapped);
      length -= strlen (mapped);
    }
  if (length != 8 || !read_hex (text, 8, &number))
    return FALSE;
  *ret_address = g_ntohl ((guint32)number);
  return TRUE;
}

/* "SLOT: ADDRESS:PORT REMOTE:PORT STATE QUEUES TIMER RETRANSMITS UID TIMEOUT INODE ..." */
static gboolean
read_row (const char *line, SandboxListener *ret_listener)
{
  char local[48], state[4];
  SandboxListener listener = { 0 };
  guint64 port = 0;
  const char *colon;
  unsigned long inode = 0;

  if (sscanf (line, " %*u: %47s %*47s %3s %*s %*s %*s %u %*u %lu", local, state, &listener.uid,
              &inode)
      != 4)
    return FALSE;
  colon = strchr (local, ':');
  if (!colon || strcmp (state, LISTENING) != 0 || strlen (colon + 1) != 4
      || !read_hex (colon + 1, 4, &port)
      || !read_address (local, (gsize)(colon - local), &listener.address))
    return FALSE;
  listener.port = (guint16)port;
  listener.inode = inode;
  *ret_listener = listener;
  return TRUE;
}

static void
append_rows (GArray *listeners, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (char **line = lines; *line; line++)
    {
      SandboxListener listener;

      if (read_row (*line, &listener))
        g_array_append_val (listeners, listener);
    }
}

GArray *
sandbox_listeners_parse (const char *text)
{
  GArray *listeners = g_array_new (FALSE, FALSE, sizeof (SandboxListener));

  append_rows (listeners, text);
  return listeners;
}

GArray *
sandbox_listeners_read (void)
{
  static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6" };
  GArray *listeners = g_array_new (FALSE, FALSE, sizeof (SandboxListener));

  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++)
    {
      g_autofree char *text = NULL;

      if (g_file_get_contents (tables[i], &text, NULL, NULL))
        append_rows (listeners, text);
    }
  return listeners;
}

/* One process may have all of the sockets: it is described once. */
static void
clear_holder (gpointer data)
{
  SandboxHolder *holder = data;

  g_free (holder->name);
  g_free (holder->command);
}

static void
unref_holder (gpointer holder)
{
  g_rc_box_release_full (holder, clear_holder);
}

/* A file of /proc, which has no size beforehand; "" when it cannot be read. */
static char *
read_process_file (int dir_fd, const char *name, gsize max, gsize *ret_length)
{
  sandbox_autofd int fd = openat (dir_fd, name, O_RDONLY | O_CLOEXEC);
  char *text = g_malloc0 (max + 1);
  gssize n = 0;

  *ret_length = 0;
  while (fd >= 0 && *ret_length < max && (n = read (fd, text + *ret_length, max - *ret_length)) > 0)
    *ret_length += (gsize)n;
  return text;
}

static SandboxHolder *
describe_process (int dir_fd, gint pid)
{
  SandboxHolder *holder = g_rc_box_new0 (SandboxHolder);
  gsize length = 0;

  holder->pid = pid;
  holder->name = g_strchomp (read_process_file (dir_fd, "comm", 64, &length));
  holder->command = read_process_file (dir_fd, "cmdline", COMMAND_MAX, &length);
  for (gsize i = 0; i + 1 < length; i++)
    if (holder->command[i] == '\0')
      holder->command[i] = '\n';
  return holder;
}

static void
look_at_process (GHashTable *wanted, GHashTable *found, const char *pid)
{
  g_autofree char *path = g_build_filename ("/proc", pid, NULL);
  g_autofree char *fd_path = g_build_filename (path, "fd", NULL);
  sandbox_autofd int dir_fd = open (path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = dir_fd >= 0 ? opendir (fd_path) : NULL;
  SandboxHolder *holder = NULL;
  struct dirent *entry;

  while (dir && (entry = readdir (dir)))
    {
      char target[64];
      gssize n = readlinkat (dirfd (dir), entry->d_name, target, sizeof target - 1);
      guint64 inode;

      if (n < 0)
        continue;
      target[n] = '\0';
      if (!g_str_has_prefix (target, "socket:["))
        continue;
      inode = g_ascii_strtoull (target + strlen ("socket:["), NULL, 10);
      if (!g_hash_table_contains (wanted, &inode) || g_hash_table_contains (found, &inode))
        continue;
      if (!holder)
        holder = describe_process (dir_fd, atoi (pid));
      g_hash_table_insert (found, g_memdup2 (&inode, sizeof inode), g_rc_box_acquire (holder));
    }
  if (holder)
    unref_holder (holder);
  if (dir)
    closedir (dir);
}

GHashTable *
sandbox_holders_find (const GArray *inodes)
{
  GHashTable *found = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, unref_holder);
  g_autoptr (GHashTable) wanted = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_autoptr (GDir) proc = inodes->len > 0 ? g_dir_open ("/proc", 0, NULL) : NULL;
  const char *name;

  for (guint i = 0; i < inodes->len; i++)
    g_hash_table_add (wanted, &g_array_index (inodes, guint64, i));
  while (proc && (name = g_dir_read_name (proc))
         && g_hash_table_size (found) < g_hash_table_size (wanted))
    if (g_ascii_isdigit (name[0]))
      look_at_process (wanted, found, name);
  return found;
}

gboolean
sandbox_holder_has_argument (const SandboxHolder *holder, const char *argument)
{
  gsize length = strlen (argument);

  for (const char *p = holder->command; (p = strstr (p, argument)); p += length)
    if ((p == holder->command || p[-1] == '\n') && (p[length] == '\0' || p[length] == '\n'))
      return TRUE;
  return FALSE;
}

gboolean
sandbox_port_is_free (guint16 port)
{
  sandbox_autofd int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons (port) };
  int yes = 1;

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  /* as ssh does: what is only left over from closed connections does not count */
  return fd >= 0 && setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0
         && bind (fd, (struct sockaddr *)&address, sizeof address) == 0;
}
