// SPDX-License-Identifier: LGPL-2.1-or-later
// Running one group of steps in a machine: it is sent, run, looked after, and what it says last is
// kept for the error when it fails. The machine is one that becomes a layer, or the user's own.
#include "facade/provision-private.h"

#include "base/child.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEND_USEC  (5 * 60 * G_USEC_PER_SEC)
#define LINE_BYTES 400
#define END_USEC   (30 * G_USEC_PER_SEC)
#define END_MAX    4096
#define PLACE      "/run/vms-provision"
/* While a script runs: the process that ends it in time, with all that it has started. */
#define PID PLACE "/pid"
/* Around a script. What ends it in time ends the shell, too, which has to wait for it; and 255 is
 * what ssh ends with when it lost the machine. */
#define PATIENT "trap : TERM; echo $PPID >" PID "; "
#define UNLIKE_SSH                                                                                 \
  " 2>&1 </dev/null; s=$?; rm -f " PID "; "                                                        \
  "if [ $s -eq 255 ]; then echo 'It ended with exit status 255.'; s=254; fi; exit $s"
/* After the host gave up, in the machine. */
#define GRACE_SECONDS 5
/* Ends a script that still runs, and waits until it is gone. */
#define END_SCRIPT                                                                                 \
  "{ if read -r pid <" PID " && [ \"$(cat /proc/$pid/comm)\" = timeout ]; then kill $pid; "        \
  "for n in $(seq 150); do [ -e /proc/$pid ] || break; sleep 0.1; done; fi; } 2>/dev/null; "

gboolean
_sandbox_group_run_init (SandboxGroupRun *run, SandboxMachine *machine,
                         const SandboxLayering *layering, const SandboxGroup *group, GError **error)
{
  run->machine = machine;
  run->layering = layering;
  run->group = group;
  run->ssh = _sandbox_machine_ssh (machine, error);
  return run->ssh != NULL;
}

void
_sandbox_group_run_clear (SandboxGroupRun *run)
{
  g_clear_pointer (&run->ssh, _sandbox_ssh_free);
  for (guint i = 0; i < SANDBOX_GROUP_TAIL; i++)
    g_clear_pointer (&run->tail[i], g_free);
  run->n_lines = 0;
  g_clear_pointer (&run->registry, g_free);
}

static const SandboxProfileValues *
values_of (const SandboxGroupRun *run)
{
  return _sandbox_profile_values (run->layering->profile);
}

static const char *
subject_of (const SandboxGroupRun *run)
{
  return _sandbox_provision_subject (&run->layering->host->profiles, run->layering->profile);
}

static void
on_line (const char *line, gpointer user_data)
{
  SandboxGroupRun *run = user_data;
  char *shown = sandbox_escape (g_strstrip ((char *)line), -1, LINE_BYTES);
  g_autofree char *note = NULL;
  char **slot = &run->tail[run->n_lines % SANDBOX_GROUP_TAIL];

  if (*shown == '\0')
    {
      g_free (shown);
      return;
    }
  g_free (*slot);
  *slot = shown;
  run->n_lines++;
  note = g_strdup_printf ("%s: %.200s", run->group->id, shown);
  _sandbox_report (run->layering->report, run->group->id, note, 0, 0);
}

static char *
tail_text (const SandboxGroupRun *run)
{
  GString *text = g_string_new (NULL);
  guint first = run->n_lines > SANDBOX_GROUP_TAIL ? run->n_lines - SANDBOX_GROUP_TAIL : 0;

  for (guint i = first; i < run->n_lines; i++)
    g_string_append_printf (text, "\n  %s", run->tail[i % SANDBOX_GROUP_TAIL]);
  return g_string_free (text, FALSE);
}

/* What to do about a failure. With `debug` a throwaway machine stays. (transfer full) */
static char *
next_step (SandboxGroupRun *run)
{
  const char *name = sandbox_machine_get_name (run->machine);

  if (run->in_place)
    return g_strdup_printf ("`vms ssh %s` enters the machine, " PLACE " has what was sent; the "
                            "next `vms provision %s` begins with this step",
                            name, name);
  if (run->layering->debug && sandbox_machine_keep (run->machine, NULL))
    return g_strdup_printf ("The machine was kept: `vms ssh %s` enters it, " PLACE " has what was "
                            "sent, `vms destroy %s` removes it",
                            name, name);
  return g_strdup_printf ("`vms image build %s --debug` keeps the machine in which it fails",
                          subject_of (run));
}

/* Why a step failed, its last words, and what to do. */
static gboolean
fail_step (SandboxGroupRun *run, SandboxError code, const char *why, GError **error)
{
  g_autofree char *tail = tail_text (run), *next = next_step (run);

  return sandbox_fail (
      error, code, "provisioning %s: the step \"%s\" %s; %s. Its last words:%s\n%s",
      subject_of (run), run->group->id, why,
      run->in_place ? "what it did until then stays in the machine" : "no layer was made",
      *tail != '\0' ? tail : " none", next);
}

/* A command of ours as root in the machine, its output line by line. FALSE with @error only when
 * the machine cannot be talked to. */
static gboolean
run_in_guest (SandboxGroupRun *run, const char *const *argv, int stdin_fd, gint64 timeout_usec,
              GCancellable *cancellable, int *ret_status, GError **error)
{
  SandboxChildOptions child = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) ssh =
      _sandbox_ssh_argv (run->ssh, FALSE, _sandbox_ssh_master_alive (run->ssh));
  g_autofree char *tail = NULL, *shown = NULL;

  g_ptr_array_add (ssh, _sandbox_ssh_command (argv, NULL, FALSE));
  g_ptr_array_add (ssh, NULL);
  child.argv = (const char *const *)ssh->pdata;
  child.stdin_fd = stdin_fd;
  child.timeout_usec = timeout_usec;
  /* a signal to all of a terminal is for us: what ssh dies of tells nobody why */
  child.new_group = TRUE;
  if (!sandbox_child_run_lines (&child, on_line, run, cancellable, ret_status, &tail, error))
    return FALSE;
  if (*ret_status != 255)
    return TRUE;
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  shown = sandbox_escape (g_strchomp (tail), -1, LINE_BYTES);
  return sandbox_fail (error, SANDBOX_ERROR_GUEST, "lost its machine: %s",
                       *shown != '\0' ? shown : "the connection ended");
}

static int
bundle_fd (const SandboxGroupRun *run, GError **error)
{
  int fd = memfd_create ("bundle", MFD_CLOEXEC);
  gsize length, at = 0;
  const char *data = g_bytes_get_data (run->group->bundle, &length);

  while (fd >= 0 && at < length)
    {
      gssize n = write (fd, data + at, length - at);

      if (n <= 0)
        sandbox_close_fd (&fd);
      else
        at += (gsize)n;
    }
  if (fd < 0 || lseek (fd, 0, SEEK_SET) != 0)
    {
      sandbox_fail (error, SANDBOX_ERROR_FAILED, "provisioning: no memory for what is sent");
      sandbox_close_fd (&fd);
    }
  return fd;
}

gboolean
_sandbox_group_send (SandboxGroupRun *run, GCancellable *cancellable, GError **error)
{
  /* one whose host was lost may still run, and must not run beside this one */
  static const char *const argv[] = { "sudo", "sh", "-c",
                                      END_SCRIPT "rm -rf " PLACE " && mkdir -m 0755 " PLACE
                                                 " && tar -x -o -f - -C " PLACE " 2>&1",
                                      NULL };
  sandbox_autofd int fd = bundle_fd (run, error);
  int status = 0;

  if (fd < 0 || !run_in_guest (run, argv, fd, SEND_USEC, cancellable, &status, error))
    return FALSE;
  return status == 0 || fail_step (run, SANDBOX_ERROR_GUEST, "could not be sent", error);
}

/* The command line of @script; what outlives the host's patience ends by itself. (element-type
 * utf8) */
static GPtrArray *
script_argv (SandboxGroupRun *run, const char *script, char *const *env, gint64 timeout_usec)
{
  const SandboxProfileValues *values = values_of (run);
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (argv, g_strdup ("sudo"));
  g_ptr_array_add (argv, g_strdup ("env"));
  g_ptr_array_add (argv, g_strconcat ("VMS_USER=", values->user, NULL));
  g_ptr_array_add (argv, g_strconcat ("VMS_PROFILE=", subject_of (run), NULL));
  g_ptr_array_add (argv, g_strconcat ("VMS_LAYER=", run->in_place ? "no" : "yes", NULL));
  for (; env != NULL && *env != NULL; env++)
    g_ptr_array_add (argv, g_strdup (*env));
  g_ptr_array_add (argv, g_strdup ("timeout"));
  g_ptr_array_add (argv, g_strdup ("--kill-after=10"));
  g_ptr_array_add (
      argv, g_strdup_printf ("%" G_GINT64_FORMAT, timeout_usec / G_USEC_PER_SEC + GRACE_SECONDS));
  g_ptr_array_add (argv, g_strdup ("sh"));
  g_ptr_array_add (argv, g_strdup ("-c"));
  g_ptr_array_add (argv, g_strconcat (PATIENT PLACE "/", script, UNLIKE_SSH, NULL));
  g_ptr_array_add (argv, NULL);
  return argv;
}

/* What the host no longer waits for is not to go on in a machine that stays. */
static void
end_script (SandboxGroupRun *run)
{
  static const char *const argv[] = { "sudo", "-n", "sh", "-c", END_SCRIPT, NULL };
  g_autofree char *command = _sandbox_ssh_command (argv, NULL, FALSE), *answer = NULL;

  if (run->in_place)
    answer = _sandbox_ssh_capture (run->ssh, command, -1, END_MAX, END_USEC, NULL, NULL);
}

gboolean
_sandbox_group_script (SandboxGroupRun *run, const char *script, char *const *env,
                       gint64 timeout_usec, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) argv = script_argv (run, script, env, timeout_usec);
  g_autoptr (GError) local = NULL;
  g_autofree char *why = NULL;
  int status = 0;

  if (run_in_guest (run, (const char *const *)argv->pdata, -1, timeout_usec, cancellable, &status,
                    &local))
    {
      why = g_strdup_printf ("failed with exit status %d", status);
      return status == 0 || fail_step (run, SANDBOX_ERROR_GUEST, why, error);
    }
  end_script (run);
  if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT))
    {
      why = g_strdup_printf ("did not end within %" G_GINT64_FORMAT " s (timeout= in [provision])",
                             timeout_usec / G_USEC_PER_SEC);
      return fail_step (run, SANDBOX_ERROR_TIMED_OUT, why, error);
    }
  if (local->domain == SANDBOX_ERROR)
    return fail_step (run, local->code, local->message, error);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
_sandbox_group_run (SandboxGroupRun *run, SandboxPlan *plan, GCancellable *cancellable,
                    GError **error)
{
  g_auto (GStrv) sources = _sandbox_provision_env (plan, cancellable);
  g_autofree char *digest = _sandbox_group_marker (run->layering, run->group);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) env = NULL;
  g_autofree char *step = g_strconcat ("VMS_STEP=", run->group->id, NULL);
  g_autofree char *marker = g_strconcat ("VMS_DIGEST=", digest, NULL);

  g_free (run->registry);
  run->registry = g_strdup (g_environ_getenv (sources, "npm_config_registry"));
  g_strv_builder_addv (builder, (const char **)sources);
  g_strv_builder_add (builder, step);
  g_strv_builder_add (builder, marker);
  env = g_strv_builder_end (builder);
  return _sandbox_group_script (run, "run", env, values_of (run)->provision.timeout_usec,
                                cancellable, error);
}

gboolean
_sandbox_group_look (SandboxGroupRun *run, GCancellable *cancellable, GError **error)
{
  char **forbid = values_of (run)->forbid;
  g_autoptr (GPtrArray) found = NULL;
  g_autofree char *all = NULL, *why = NULL;

  if (forbid[0] == NULL)
    return TRUE;
  found = _sandbox_policy_look (run->layering->host, run->ssh, forbid, cancellable, error);
  if (found == NULL || found->len == 0)
    return found != NULL;
  g_ptr_array_add (found, NULL);
  all = g_strjoinv (", ", (char **)found->pdata);
  why = g_strdup_printf ("has put into it what its profile forbids (forbid= of [policy]): %s", all);
  return fail_step (run, SANDBOX_ERROR_INVALID, why, error);
}
