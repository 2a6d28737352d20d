// SPDX-License-Identifier: LGPL-2.1-or-later
// vms edit
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profile-text.h"

typedef struct
{
  const char *name;
  char *original;   /* the user's file as it was, NULL when there was none */
  char *offered;    /* what the copy began with */
  char *dir, *path; /* the private copy */
  gboolean keep;
} Edit;

static void
edit_clear (Edit *edit)
{
  if (edit->path != NULL && !edit->keep)
    {
      g_unlink (edit->path);
      g_rmdir (edit->dir);
    }
  g_free (edit->original);
  g_free (edit->offered);
  g_free (edit->path);
  g_free (edit->dir);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Edit, edit_clear)

/* The user's own file of the profile; NULL without error when there is only a shipped one. */
static gboolean
read_original (const char *name, char **ret_text, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (SandboxProfileInfo) info = vms_profile_info (name, &local_error);
  gsize length;

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (info == NULL)
    {
      /* the library knows the nearest name */
      g_autoptr (SandboxProfile) profile = sandbox_profile_load (&vms_profile_dirs, name, error);
      return profile != NULL;
    }
  *ret_text = info->user ? vms_profile_read (info->path, &length, error) : NULL;
  return !info->user || *ret_text != NULL;
}

/* A copy in a directory that nobody else can enter. Editors leave their own files beside it. */
static gboolean
make_copy (Edit *edit, GError **error)
{
  g_autofree char *file = g_strconcat (edit->name, ".profile", NULL);

  edit->dir = g_dir_make_tmp ("vms-edit-XXXXXX", error);
  if (edit->dir == NULL)
    return FALSE;
  edit->path = g_build_filename (edit->dir, file, NULL);
  return g_file_set_contents_full (edit->path, edit->offered, -1, G_FILE_SET_CONTENTS_NONE, 0600,
                                   error);
}

/* Ctrl-C in the editor is the editor's. */
static void
child_setup (gpointer data)
{
  signal (SIGINT, SIG_DFL);
  signal (SIGQUIT, SIG_DFL);
}

static gboolean
run_editor (const char *path, GError **error)
{
  const char *editor = g_getenv ("VISUAL");
  char *argv[] = { "/bin/sh", "-c", NULL, "vms", (char *)path, NULL };
  g_autofree char *line = NULL;
  struct sigaction ignore = { .sa_handler = SIG_IGN }, saved;
  int status;
  gboolean ok;

  if (editor == NULL || *editor == '\0')
    editor = g_getenv ("EDITOR");
  if (editor == NULL || *editor == '\0')
    {
      g_autofree char *debian = g_find_program_in_path ("editor");
      if (!vms_can_ask ())
        return vms_fail (error, SANDBOX_ERROR_INVALID,
                         "edit: there is no terminal and no editor is named; set VISUAL or EDITOR");
      editor = debian != NULL ? "editor" : "vi";
    }
  /* VISUAL and EDITOR may have arguments ("code --wait"): the user's own shell words, the path is
   * apart from them */
  argv[2] = line = g_strconcat (editor, " \"$1\"", NULL);
  sigaction (SIGINT, &ignore, &saved);
  ok = g_spawn_sync (NULL, argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, child_setup, NULL, NULL, NULL,
                     &status, error);
  sigaction (SIGINT, &saved, NULL);
  if (ok && (!WIFEXITED (status) || WEXITSTATUS (status) != 0))
    return vms_fail (error, SANDBOX_ERROR_FAILED,
                     "edit: the editor \"%s\" failed; nothing was saved", editor);
  return ok;
}

/* Checks and saves what is in the copy. @ret_changed: FALSE when it was left as it was. */
static gboolean
save_copy (Edit *edit, gboolean *ret_changed, GError **error)
{
  gsize length;
  g_autofree char *text = vms_profile_read (edit->path, &length, error);
  g_autofree char *now = NULL, *source = NULL;
  g_autoptr (SandboxProfile) profile = NULL;

  if (text == NULL)
    return FALSE;
  *ret_changed = strlen (edit->offered) != length || memcmp (text, edit->offered, length) != 0;
  if (!*ret_changed)
    return TRUE;
  source = g_path_get_basename (edit->path);
  profile =
      sandbox_profile_parse (&vms_profile_dirs, edit->name, source, text, (gssize)length, error);
  if (profile == NULL || !read_original (edit->name, &now, error))
    return FALSE;
  if (g_strcmp0 (now, edit->original) != 0)
    return vms_fail (error, SANDBOX_ERROR_BUSY,
                     "edit: the profile %s was changed by somebody else meanwhile", edit->name);
  return sandbox_profile_save (&vms_profile_dirs, edit->name, text, edit->original != NULL, error);
}

/* Edits until it is good, or until the user has enough. */
static gboolean
edit_loop (VmsContext *context, Edit *edit, gboolean *ret_changed, GError **error)
{
  for (;;)
    {
      g_autoptr (GError) local_error = NULL;
      gboolean again = FALSE;

      if (!run_editor (edit->path, error))
        return FALSE;
      edit->keep = TRUE;
      if (save_copy (edit, ret_changed, &local_error))
        {
          edit->keep = FALSE;
          return TRUE;
        }
      if (vms_can_ask ())
        {
          vms_error (local_error);
          if (vms_ask (context, "Edit it again?", &again, NULL) && again)
            continue;
          g_clear_error (&local_error);
          return vms_fail (error, SANDBOX_ERROR_INVALID, "edit: nothing was saved; your copy is %s",
                           edit->path);
        }
      g_propagate_prefixed_error (error, g_steal_pointer (&local_error),
                                  "edit: nothing was saved; your copy is %s: ", edit->path);
      return FALSE;
    }
}

int
vms_cmd_edit (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_auto (Edit) edit = { .name = args->operands[0] };
  gboolean changed = FALSE;

  if (!read_original (edit.name, &edit.original, error))
    return 1;
  edit.offered =
      edit.original != NULL ? g_strdup (edit.original) : vms_profile_template (edit.name, NULL);
  if (!make_copy (&edit, error) || !edit_loop (context, &edit, &changed, error))
    return 1;
  if (!context->quiet && changed)
    vms_say ("%s: saved; the next `vms start %s` from off applies it", edit.name, edit.name);
  else if (!context->quiet)
    vms_say ("%s: not changed", edit.name);
  return 0;
}
