// SPDX-License-Identifier: LGPL-2.1-or-later
// vms doctor --fix: shows each command, asks, runs it, and looks whether it helped.
#include "fix.h"

#include <stdio.h>

static void
free_fix (gpointer data)
{
  VmsFix *fix = data;

  g_free (fix->id);
  g_free (fix->error);
  g_free (fix);
}

static VmsFix *
add_fix (GPtrArray *fixes, const char *id, const char *result)
{
  VmsFix *fix = g_new0 (VmsFix, 1);

  fix->id = g_strdup (id);
  fix->result = result;
  g_ptr_array_add (fixes, fix);
  return fix;
}

/* Only what is wrong is worth a change of the host. */
static gboolean
is_wanted (const SandboxCheck *check)
{
  return check->steps != NULL
         && (check->level == SANDBOX_CHECK_WARNING || check->level == SANDBOX_CHECK_ERROR);
}

/* How it is shown that root is needed depends on the caller, who may have neither sudo nor pkexec:
 * the library says so when it comes to that. */
static gboolean
fix_one (VmsContext *context, const VmsArgs *args, const SandboxCheck *check, GPtrArray *fixes,
         GError **error)
{
  gboolean yes = vms_args_has (args, "yes");
  g_autoptr (GError) local = NULL;

  if (!context->json)
    vms_say ("%s: %s", check->id, check->fix);
  if (vms_args_has (args, "dry-run"))
    {
      add_fix (fixes, check->id, "shown");
      return TRUE;
    }
  if (!yes && !vms_can_ask ())
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "doctor: there is no terminal to ask on; add --yes when you are sure, or "
                     "--dry-run to see the commands only");
  if (!yes && !vms_ask (context, "Run this?", &yes, error))
    return FALSE;
  if (!yes)
    add_fix (fixes, check->id, "skipped");
  else if (sandbox_check_apply_fix (check, context->cancellable, &local))
    add_fix (fixes, check->id, "done");
  else if (g_cancellable_set_error_if_cancelled (context->cancellable, error))
    return FALSE;
  else
    {
      add_fix (fixes, check->id, "failed")->error = g_strdup (local->message);
      vms_error (local);
    }
  return TRUE;
}

static gboolean
is_still_wrong (GPtrArray *checks, const char *id)
{
  for (guint i = 0; i < checks->len; i++)
    {
      const SandboxCheck *check = g_ptr_array_index (checks, i);

      if (is_wanted (check) && g_str_equal (check->id, id))
        return TRUE;
    }
  return FALSE;
}

/* What the new diagnosis says of what was done. */
static void
judge (VmsContext *context, GPtrArray *fixes, GPtrArray *checks)
{
  for (guint i = 0; i < fixes->len; i++)
    {
      VmsFix *fix = g_ptr_array_index (fixes, i);

      if (!g_str_equal (fix->result, "done"))
        continue;
      if (is_still_wrong (checks, fix->id))
        fix->result = "not-helped";
      if (!context->json)
        vms_say ("%s: %s", fix->id,
                 g_str_equal (fix->result, "done")
                     ? "fixed, as another look shows"
                     : "the commands ran, but another look finds it as it was");
    }
}

GPtrArray *
vms_fix_checks (VmsContext *context, const VmsArgs *args, const SandboxHostOptions *options,
                GPtrArray **checks, GError **error)
{
  g_autoptr (GPtrArray) fixes = g_ptr_array_new_with_free_func (free_fix);

  for (guint i = 0; i < (*checks)->len; i++)
    {
      const SandboxCheck *check = g_ptr_array_index (*checks, i);

      if (is_wanted (check) && !fix_one (context, args, check, fixes, error))
        return NULL;
    }
  if (fixes->len == 0 && !context->json)
    vms_say ("there is nothing to fix that can be fixed without you");
  if (fixes->len > 0 && !vms_args_has (args, "dry-run"))
    {
      g_ptr_array_unref (*checks);
      *checks = sandbox_host_diagnose (options, context->cancellable);
      judge (context, fixes, *checks);
    }
  return g_steal_pointer (&fixes);
}

gboolean
vms_fix_failed (GPtrArray *fixes)
{
  for (guint i = 0; fixes != NULL && i < fixes->len; i++)
    {
      const VmsFix *fix = g_ptr_array_index (fixes, i);

      if (g_str_equal (fix->result, "failed") || g_str_equal (fix->result, "not-helped"))
        return TRUE;
    }
  return FALSE;
}
