// SPDX-License-Identifier: LGPL-2.1-or-later
// vms cp
#include <string.h>

#include "autostart.h"
#include "progress.h"

typedef struct
{
  char *name; /* of the machine */
  char *host_path, *guest_path;
  gboolean into; /* the guest */
  SandboxCopyFlags flags;
} Copy;

static void
copy_clear (Copy *copy)
{
  g_free (copy->name);
  g_free (copy->host_path);
  g_free (copy->guest_path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Copy, copy_clear)

/* "NAME:PATH" -> NAME; NULL for a path of the host, as "./a:b" and "/a:b" are. */
static char *
guest_name (const char *word)
{
  gsize length = strcspn (word, ":/");

  return word[length] == ':' && length > 0 ? g_strndup (word, length) : NULL;
}

/* Not made canonical: a slash at the end means something. */
static char *
absolute (const char *path)
{
  g_autofree char *here = g_path_is_absolute (path) ? NULL : g_get_current_dir ();

  return here == NULL ? g_strdup (path) : g_build_filename (here, path, NULL);
}

static gboolean
read_copy (const VmsArgs *args, Copy *copy, GError **error)
{
  const char *source = args->operands[0], *target = args->operands[1];
  g_autofree char *from = guest_name (source);
  g_autofree char *to = guest_name (target);
  const char *guest_word = from != NULL ? source : target;

  if (from != NULL && to != NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "cp: copying from machine to machine is not possible; copy to the host first");
  if (from == NULL && to == NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "cp: one of the two must be in a machine: NAME:PATH");
  copy->into = to != NULL;
  copy->name = to != NULL ? g_steal_pointer (&to) : g_steal_pointer (&from);
  copy->host_path = absolute (copy->into ? source : target);
  copy->guest_path = g_strdup (guest_word + strlen (copy->name) + 1);
  if (*copy->guest_path == '\0')
    {
      g_free (copy->guest_path);
      copy->guest_path = g_strdup (".");
    }
  return TRUE;
}

static gboolean
run_copy (VmsContext *context, SandboxMachine *machine, const Copy *copy, GError **error)
{
  g_autoptr (VmsProgress) progress = vms_progress_new (context, copy->name, TRUE);

  if (copy->into)
    return sandbox_machine_copy_in (machine, copy->host_path, copy->guest_path, copy->flags,
                                    vms_progress_update, progress, context->cancellable, error);
  return sandbox_machine_copy_out (machine, copy->guest_path, copy->host_path, copy->flags,
                                   vms_progress_update, progress, context->cancellable, error);
}

/* Something is in the way: TRUE when the user wants it overwritten. */
static gboolean
may_overwrite (VmsContext *context, const GError *exists)
{
  g_autofree char *question = g_strdup_printf ("%s\nOverwrite?", exists->message);
  gboolean yes = FALSE;

  return g_error_matches (exists, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS) && vms_can_ask ()
         && vms_ask (context, question, &yes, NULL) && yes;
}

int
vms_cmd_cp (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_auto (Copy) copy = { NULL };
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (GError) local_error = NULL;
  gboolean ok;

  if (!read_copy (args, &copy, error))
    return 1;
  copy.flags = vms_args_has (args, "force") ? SANDBOX_COPY_OVERWRITE : SANDBOX_COPY_DEFAULT;
  machine = vms_open_machine (context, copy.name, error);
  if (machine == NULL)
    return 1;
  ok = run_copy (context, machine, &copy, &local_error);
  if (!ok && vms_autostart (context, machine, &local_error))
    ok = run_copy (context, machine, &copy, &local_error);
  if (!ok && may_overwrite (context, local_error))
    {
      g_clear_error (&local_error);
      copy.flags = SANDBOX_COPY_OVERWRITE;
      ok = run_copy (context, machine, &copy, &local_error);
    }
  if (g_error_matches (local_error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS))
    return !vms_fail (error, SANDBOX_ERROR_EXISTS, "%s (cp --force overwrites)",
                      local_error->message);
  if (!ok)
    g_propagate_error (error, g_steal_pointer (&local_error));
  return ok ? 0 : 1;
}
