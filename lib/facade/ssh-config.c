// SPDX-License-Identifier: LGPL-2.1-or-later
// Files for the user's own ssh: one block per machine, all of them in one file, and the Include
// line that names it.
#include "facade/facade-private.h"

#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define USER_CONFIG_MAX   (1024 * 1024)
#define BLOCK_MAX         (16 * 1024)
#define INCLUDE_DEPTH_MAX 4

/* The words of one line of an ssh configuration: blanks, one "=" and double quotes as ssh reads
 * them. */
static GPtrArray *
split_line (const char *line)
{
  GPtrArray *words = g_ptr_array_new_with_free_func (g_free);
  const char *at = line;

  while (*at != '\0')
    {
      const char *end;

      at += strspn (at, words->len == 1 ? " \t\r=" : " \t\r");
      if (*at == '\0' || (*at == '#' && words->len == 0))
        break;
      if (*at == '"')
        {
          at++;
          end = at + strcspn (at, "\"");
        }
      else
        end = at + strcspn (at, words->len == 0 ? " \t\r=" : " \t\r");
      g_ptr_array_add (words, g_strndup (at, end - at));
      at = *end == '"' ? end + 1 : end;
    }
  return words;
}

static void scan_aliases (SandboxHost *host, const char *path, guint depth, GHashTable *aliases);

static void
scan_include (SandboxHost *host, const char *pattern, guint depth, GHashTable *aliases)
{
  g_autofree char *full = NULL;
  glob_t found;

  if (g_str_has_prefix (pattern, "~/"))
    full = g_build_filename (host->home, pattern + 2, NULL);
  else if (*pattern == '/')
    full = g_strdup (pattern);
  else
    full = g_build_filename (host->home, ".ssh", pattern, NULL);
  if (glob (full, 0, NULL, &found) != 0)
    return;
  for (gsize i = 0; i < found.gl_pathc; i++)
    scan_aliases (host, found.gl_pathv[i], depth + 1, aliases);
  globfree (&found);
}

/* A regular file of a bearable size, links followed; NULL for anything else. Nothing that stands
 * there may hold up a start: no FIFO, no device. */
static char *
read_regular (const char *path)
{
  g_autofree char *real = realpath (path, NULL), *dir = NULL, *name = NULL;
  sandbox_autofd int dir_fd = -1;
  char *text = NULL;
  gsize length;

  if (real == NULL)
    return NULL;
  dir = g_path_get_dirname (real);
  name = g_path_get_basename (real);
  dir_fd = open (dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir_fd < 0 || !sandbox_file_read_at (dir_fd, name, USER_CONFIG_MAX, &text, &length, NULL))
    return NULL;
  return text;
}

/* Collects the names that the user gave to hosts literally; what cannot be read has none. */
static void
scan_aliases (SandboxHost *host, const char *path, guint depth, GHashTable *aliases)
{
  g_autofree char *text = NULL, *ours = g_build_filename (host->state_dir, "ssh_config", NULL);
  g_auto (GStrv) lines = NULL;

  if (depth > INCLUDE_DEPTH_MAX || strcmp (path, ours) == 0)
    return;
  text = read_regular (path);
  if (text == NULL)
    return;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      g_autoptr (GPtrArray) words = split_line (*line);

      for (guint i = 1; i < words->len; i++)
        {
          if (g_ascii_strcasecmp (words->pdata[0], "host") == 0)
            g_hash_table_add (aliases, g_strdup (words->pdata[i]));
          else if (g_ascii_strcasecmp (words->pdata[0], "include") == 0)
            scan_include (host, words->pdata[i], depth, aliases);
        }
    }
}

static GHashTable *
user_aliases (SandboxHost *host)
{
  GHashTable *aliases = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *path = g_build_filename (host->home, ".ssh", "config", NULL);

  scan_aliases (host, path, 0, aliases);
  return aliases;
}

/* Names of the machines that have a block, sorted. */
static char **
block_names (int state_fd, GError **error)
{
  g_auto (GStrv) names = sandbox_dir_list (state_fd, error);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  if (names == NULL)
    return NULL;
  for (char **name = names; *name != NULL; name++)
    {
      sandbox_autofd int dir = -1;
      struct stat info;

      if (!sandbox_name_check ("machine", *name, NULL))
        continue;
      dir = sandbox_dir_open_at (state_fd, *name, FALSE, NULL);
      if (dir >= 0 && fstatat (dir, "ssh_config", &info, AT_SYMLINK_NOFOLLOW) == 0)
        g_strv_builder_add (builder, *name);
    }
  return g_strv_builder_end (builder);
}

static char *
read_block (int state_fd, const char *name, GError **error)
{
  sandbox_autofd int dir = sandbox_dir_open_at (state_fd, name, FALSE, error);
  g_autofree char *text = NULL;
  gsize length;

  if (dir < 0 || !sandbox_file_read_at (dir, "ssh_config", BLOCK_MAX, &text, &length, error))
    return NULL;
  return g_steal_pointer (&text);
}

static char *
all_blocks (SandboxHost *host, int state_fd, GError **error)
{
  g_autoptr (GString) out =
      g_string_new ("# Made by vms and rewritten by it; changes here are lost.\n");
  g_autoptr (GHashTable) taken = user_aliases (host);
  g_auto (GStrv) names = block_names (state_fd, error);

  if (names == NULL)
    return NULL;
  for (char **name = names; *name != NULL; name++)
    {
      g_autofree char *block = NULL;

      /* The user's own host of that name must go on being reached under it. */
      if (g_hash_table_contains (taken, *name))
        {
          g_string_append_printf (
              out, "\n# %s: left out, your own ssh configuration has a host of that name\n", *name);
          continue;
        }
      block = read_block (state_fd, *name, NULL);
      /* Destroyed in this moment by another process, which will refresh this file itself. */
      if (block == NULL)
        continue;
      g_string_append_c (out, '\n');
      g_string_append (out, block);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static char *
refresh_locked (SandboxHost *host, int state_fd, GError **error)
{
  g_autofree char *text = all_blocks (host, state_fd, error);

  if (text == NULL
      || !sandbox_file_write_at (state_fd, "ssh_config", text, strlen (text), 0600, error))
    return NULL;
  return g_steal_pointer (&text);
}

static char *
refresh (SandboxHost *host, GError **error)
{
  sandbox_autofd int fd = _sandbox_host_state_fd (host, TRUE, error);
  SandboxLock *lock;
  char *text;

  if (fd < 0)
    return NULL;
  /* Two machines that start at once: the second reads the first one's block. */
  lock = sandbox_lock_acquire (fd, "ssh_config.lock", "ssh-config", -1, NULL, NULL, NULL, error);
  if (lock == NULL)
    return NULL;
  text = refresh_locked (host, fd, error);
  sandbox_lock_remove (lock);
  return text;
}

gboolean
_sandbox_ssh_config_refresh (SandboxHost *host, GError **error)
{
  g_autofree char *text = refresh (host, error);

  return text != NULL;
}

char *
sandbox_host_ssh_config (SandboxHost *host, char **ret_path, GError **error)
{
  char *text = refresh (host, error);

  if (text != NULL && ret_path != NULL)
    *ret_path = g_build_filename (host->state_dir, "ssh_config", NULL);
  return text;
}

char *
sandbox_machine_ssh_config (SandboxMachine *machine, GError **error)
{
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = _sandbox_host_state_fd (machine->host, FALSE, &local);
  char *block = fd >= 0 ? read_block (fd, machine->name, &local) : NULL;

  if (block != NULL)
    return block;
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE,
                  "ssh-config of %s: it has no address before its first start; run `vms start %s`",
                  machine->name, machine->name);
  else
    g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

static gboolean
check_aliases (SandboxHost *host, int state_fd, GError **error)
{
  g_autoptr (GHashTable) taken = user_aliases (host);
  g_auto (GStrv) names = block_names (state_fd, error);

  if (names == NULL)
    return FALSE;
  for (char **name = names; *name != NULL; name++)
    if (g_hash_table_contains (taken, *name))
      return sandbox_fail (error, SANDBOX_ERROR_EXISTS,
                           "ssh-config --install: your ssh configuration has a host \"%s\" "
                           "already, and `ssh %s` would "
                           "mean something else afterwards; rename that host, or the machine (`vms "
                           "clone %s NEWNAME`)",
                           *name, *name, *name);
  return TRUE;
}

/* The file itself when the configuration is a link, as people have it who keep such files in a
 * repository. */
static int
open_user_config (SandboxHost *host, char **ret_name, GError **error)
{
  g_autofree char *ssh_dir = g_build_filename (host->home, ".ssh", NULL);
  g_autofree char *path = g_build_filename (ssh_dir, "config", NULL);
  g_autofree char *real = realpath (path, NULL);
  g_autofree char *dir = g_path_get_dirname (real != NULL ? real : path);

  if (real == NULL && g_file_test (path, G_FILE_TEST_IS_SYMLINK))
    {
      sandbox_fail (error, SANDBOX_ERROR_FAILED,
                    "ssh-config --install: %s is a link to a file that is not there", path);
      return -1;
    }
  *ret_name = g_path_get_basename (real != NULL ? real : path);
  return sandbox_dir_open (dir, TRUE, error);
}

static gboolean
has_line (const char *text, const char *line)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (char **at = lines; *at != NULL; at++)
    if (strcmp (g_strstrip (*at), line) == 0)
      return TRUE;
  return FALSE;
}

gboolean
sandbox_host_ssh_config_install (SandboxHost *host, gboolean *ret_changed, GError **error)
{
  sandbox_autofd int state_fd = _sandbox_host_state_fd (host, TRUE, error), fd = -1;
  g_autofree char *name = NULL, *old = NULL, *line = NULL, *text = NULL;
  g_autoptr (GError) local = NULL;
  gsize length;

  if (state_fd < 0 || !_sandbox_ssh_config_refresh (host, error))
    return FALSE;
  if (strpbrk (host->state_dir, "\"\\*?[\n") != NULL)
    return sandbox_fail (
        error, SANDBOX_ERROR_UNSUPPORTED,
        "ssh-config --install: the path %s cannot be written in an ssh configuration",
        host->state_dir);
  line = g_strdup_printf ("Include \"%s/ssh_config\"", host->state_dir);
  fd = open_user_config (host, &name, error);
  if (fd < 0)
    return FALSE;
  if (!sandbox_file_read_at (fd, name, USER_CONFIG_MAX, &old, &length, &local)
      && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (old != NULL && strlen (old) != length)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "ssh-config --install: your ssh configuration holds a NUL byte, so it is "
                         "left as it is; remove that byte, and try again");
  if (old == NULL || !has_line (old, line))
    {
      if (!check_aliases (host, state_fd, error))
        return FALSE;
      /* On top: behind a Host line it would be for that host only. */
      text = g_strconcat (line, "\n", old != NULL && *old != '\0' ? "\n" : "", old, NULL);
      if (!sandbox_file_write_at (fd, name, text, strlen (text), 0600, error))
        return FALSE;
    }
  if (ret_changed != NULL)
    *ret_changed = text != NULL;
  return TRUE;
}
