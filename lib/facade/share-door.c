// SPDX-License-Identifier: LGPL-2.1-or-later
// Doors: for each share a directory of the machine's, which libvirt is told to share, and in it
// what the share helper (cli/share) needs to know of the real one. libvirt passes on no more than
// one path, and the helper takes its orders from nobody but the user whose the directory is.
#include "facade/keep.h"

#include "base/child.h"
#include "base/setup.h"
#include "base/subid.h"

#include <stdlib.h>
#include <string.h>

#define DOORS           "shares"
#define CONFIG          "config"
#define GUARD           "guard"
#define FUSE            "/dev/fuse"
#define DESCRIPTION_MAX (64 * 1024)
#define ASK_USEC        (10 * G_USEC_PER_SEC)

/* Where libvirt looks for descriptions of such daemons; what the first has hides what is called the
 * same in the second. */
static const char *const description_dirs[] = { "/etc/qemu/vhost-user",
                                                "/usr/share/qemu/vhost-user" };
/* Without a description. */
static const char *const usual_places[] = { "/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd",
                                            "/usr/lib/virtiofsd", "/usr/bin/virtiofsd" };

static int
compare_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *
description_names (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < G_N_ELEMENTS (description_dirs); i++)
    {
      g_autoptr (GDir) dir = g_dir_open (description_dirs[i], 0, NULL);
      const char *name;

      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        if (g_str_has_suffix (name, ".json") && !g_hash_table_contains (seen, name))
          {
            g_ptr_array_add (names, g_strdup (name));
            g_hash_table_add (seen, names->pdata[names->len - 1]);
          }
    }
  g_ptr_array_sort (names, compare_text);
  return names;
}

/* The daemon that a description of one for file systems names; NULL for others. They are a
 * distribution's few lines: a pattern is enough. */
static char *
read_description (const char *name)
{
  g_autofree char *text = NULL;
  g_autoptr (GRegex) regex =
      g_regex_new ("\"binary\"\\s*:\\s*\"(/[^\"\\\\]+)\"", G_REGEX_RAW, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  gsize length = 0;

  for (guint i = 0; i < G_N_ELEMENTS (description_dirs) && text == NULL; i++)
    {
      g_autofree char *path = g_build_filename (description_dirs[i], name, NULL);

      g_file_get_contents (path, &text, &length, NULL);
    }
  if (text == NULL || length > DESCRIPTION_MAX
      || !g_regex_match_simple ("\"type\"\\s*:\\s*\"fs\"", text, G_REGEX_RAW, 0)
      || !g_regex_match (regex, text, 0, &match))
    return NULL;
  return g_match_info_fetch (match, 1);
}

/* @path without links, if it can be executed. */
static char *
resolve_program (const char *path)
{
  g_autofree char *real = NULL;
  char *resolved = path != NULL ? realpath (path, NULL) : NULL;

  real = g_strdup (resolved);
  free (resolved);
  return real != NULL && g_file_test (real, G_FILE_TEST_IS_EXECUTABLE) ? g_steal_pointer (&real)
                                                                       : NULL;
}

static char *
find_daemon (GError **error)
{
  g_autoptr (GPtrArray) names = description_names ();
  g_autofree char *hint = NULL;

  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = read_description (names->pdata[i]);
      char *program = resolve_program (path);

      if (program != NULL)
        return program;
    }
  for (guint i = 0; i < G_N_ELEMENTS (usual_places); i++)
    {
      char *program = resolve_program (usual_places[i]);

      if (program != NULL)
        return program;
    }
  hint = sandbox_install_hint (SANDBOX_PACKAGE_VIRTIOFSD);
  sandbox_fail (error, SANDBOX_ERROR_HOST, "sharing directories: virtiofsd is not installed: %s",
                hint);
  return NULL;
}

/* Whether it wants --shared-dir and the like; the C daemon of QEMU 7 knows "-o source=" only, and
 * newer ones say that they do not need it. */
static gboolean
wants_separate_options (const char *daemon, GCancellable *cancellable)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  const char *argv[] = { daemon, "--print-capabilities", NULL };
  g_autofree char *output = NULL;

  options.argv = argv;
  return sandbox_child_run (&options, ASK_USEC, DESCRIPTION_MAX, cancellable, &output, NULL, NULL,
                            NULL)
         && strstr (output, "\"separate-options\"") != NULL;
}

/* What the helper cannot pass on, or must not be told. */
static gboolean
check_paths (const SandboxPlanShare *share, GError **error)
{
  if (strpbrk (share->door, ",\n") != NULL || strlen (share->door) > SANDBOX_SHARE_PATH_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "sharing directories: the path of this machine's state, %s, is too long "
                         "or has a comma or a line's end; set XDG_DATA_HOME to another place",
                         share->door);
  if (share->mode == SANDBOX_SHARE_GUARDED && !g_file_test (FUSE, G_FILE_TEST_EXISTS))
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "sharing directories: the share \"%s\" has mode=guarded, for which this "
                         "host lacks " FUSE ": load the module (modprobe fuse), or use mode=review",
                         share->tag);
  return TRUE;
}

static gboolean
write_door (SandboxMachine *machine, int doors_fd, const SandboxPlanShare *share,
            const char *daemon, gboolean separate, GCancellable *cancellable, GError **error)
{
  sandbox_autofd int fd = -1;
  g_autofree char *text = NULL, *classes = NULL;

  if (!check_paths (share, error)
      || (fd = sandbox_dir_open_at (doors_fd, share->tag, TRUE, error)) < 0)
    return FALSE;
  if (share->mode == SANDBOX_SHARE_GUARDED)
    {
      classes = _sandbox_share_classes (machine, share, cancellable);
      if (!sandbox_file_write_at (fd, GUARD, classes, strlen (classes), 0600, error))
        return FALSE;
    }
  text = g_strdup_printf ("libsandbox-share 1\naccess %s\noptions %s\ndaemon %s\nsource %s\n",
                          share->mode == SANDBOX_SHARE_GUARDED ? "guarded"
                          : share->read_only                   ? "ro"
                                                               : "rw",
                          separate ? "separate" : "joined", daemon, share->source);
  return sandbox_file_write_at (fd, CONFIG, text, strlen (text), 0600, error);
}

gboolean
_sandbox_share_door_write (SandboxMachine *machine, const SandboxPlanShare *share,
                           GCancellable *cancellable, GError **error)
{
  g_autofree char *daemon = NULL;
  sandbox_autofd int state_fd = -1, doors_fd = -1;

  if (!sandbox_subid_check (error) || (daemon = find_daemon (error)) == NULL)
    return FALSE;
  state_fd = _sandbox_machine_state_fd (machine, FALSE, error);
  if (state_fd < 0 || (doors_fd = sandbox_dir_open_at (state_fd, DOORS, TRUE, error)) < 0)
    return FALSE;
  return write_door (machine, doors_fd, share, daemon, wants_separate_options (daemon, cancellable),
                     cancellable, error);
}

void
_sandbox_share_door_remove (SandboxMachine *machine, const char *tag)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (machine, FALSE, NULL);
  sandbox_autofd int doors_fd =
      state_fd >= 0 ? sandbox_dir_open_at (state_fd, DOORS, FALSE, NULL) : -1;

  if (doors_fd >= 0)
    sandbox_remove_at (doors_fd, tag, NULL);
}

gboolean
_sandbox_share_doors_write (SandboxWork *work, GCancellable *cancellable, GError **error)
{
  g_autofree char *daemon = NULL;
  sandbox_autofd int state_fd = -1, doors_fd = -1;
  gboolean separate;

  if (work->plan->shares->len == 0)
    return TRUE;
  if (!sandbox_subid_check (error) || (daemon = find_daemon (error)) == NULL)
    return FALSE;
  separate = wants_separate_options (daemon, cancellable);
  state_fd = _sandbox_machine_state_fd (work->machine, TRUE, error);
  if (state_fd < 0 || !sandbox_remove_at (state_fd, DOORS, error)
      || (doors_fd = sandbox_dir_open_at (state_fd, DOORS, TRUE, error)) < 0)
    return FALSE;
  for (guint i = 0; i < work->plan->shares->len; i++)
    if (!write_door (work->machine, doors_fd, work->plan->shares->pdata[i], daemon, separate,
                     cancellable, error))
      return FALSE;
  return TRUE;
}
