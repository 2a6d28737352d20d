// SPDX-License-Identifier: LGPL-2.1-or-later
// Diagnosis: the table of checks, and their run. What needs libvirt runs in a thread of its own, so
// that a libvirt that does not answer costs a line and not the command.
#include "facade/doctor.h"

#define CONNECTED_LIMIT_USEC (30 * G_USEC_PER_SEC)

/* In the order in which they are told. */
// clang-format off
static const struct
{
  SandboxDoctorFunc func;
  gboolean connected; /* needs a connection to libvirt; left out without one */
} table[] = {
  { _sandbox_doctor_group, FALSE },
  { _sandbox_doctor_qemu, TRUE },
  { _sandbox_doctor_versions, TRUE },
  { _sandbox_doctor_kvm, FALSE },
  { _sandbox_doctor_confinement, TRUE },
  { _sandbox_doctor_qemu_conf, FALSE },
  { _sandbox_doctor_apparmor, FALSE },
  { _sandbox_doctor_storage, TRUE },
  { _sandbox_doctor_images, TRUE },
  { _sandbox_doctor_bridge_netfilter, FALSE },
  { _sandbox_doctor_ports, FALSE },
  { _sandbox_doctor_guard, FALSE },
  { _sandbox_doctor_firewalls, FALSE },
  { _sandbox_doctor_docker, FALSE },
  { _sandbox_doctor_networks, FALSE },
  { _sandbox_doctor_dns, FALSE },
  { _sandbox_doctor_routes, TRUE },
  { _sandbox_doctor_mitigations, FALSE },
  { _sandbox_doctor_ksm, FALSE },
  { _sandbox_doctor_encryption, TRUE },
  { _sandbox_doctor_pid1, FALSE },
  { _sandbox_doctor_ssh, FALSE },
  { _sandbox_doctor_programs, FALSE },
  { _sandbox_doctor_subid, FALSE },
  { _sandbox_doctor_userns, FALSE },
  { _sandbox_doctor_state, TRUE },
  { _sandbox_doctor_ssh_config, TRUE },
  { _sandbox_doctor_leftovers, TRUE },
};
// clang-format on

const char *
sandbox_check_level_to_string (SandboxCheckLevel level)
{
  static const char *const names[] = {
    [SANDBOX_CHECK_GOOD] = "good",       [SANDBOX_CHECK_NOTE] = "note",
    [SANDBOX_CHECK_WARNING] = "warning", [SANDBOX_CHECK_ERROR] = "error",
    [SANDBOX_CHECK_UNKNOWN] = "unknown",
  };

  return (guint)level < G_N_ELEMENTS (names) ? names[level] : "unknown";
}

static void
free_step (gpointer data)
{
  SandboxFixStep *step = data;

  g_strfreev (step->argv);
  g_free (step->input);
  g_free (step);
}

void
sandbox_check_free (SandboxCheck *check)
{
  if (check == NULL)
    return;
  g_free (check->id);
  g_free (check->text);
  g_free (check->fix);
  g_clear_pointer (&check->steps, g_ptr_array_unref);
  g_free (check);
}

SandboxCheck *
_sandbox_doctor_add (SandboxDoctor *doctor, const char *id, SandboxCheckLevel level,
                     const char *format, ...)
{
  SandboxCheck *check = g_new0 (SandboxCheck, 1);
  va_list args;

  va_start (args, format);
  check->id = g_strdup (id);
  check->level = level;
  check->text = g_strdup_vprintf (format, args);
  va_end (args);
  g_ptr_array_add (doctor->checks, check);
  return check;
}

void
_sandbox_check_advise (SandboxCheck *check, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_free (check->fix);
  check->fix = g_strdup_vprintf (format, args);
  va_end (args);
}

void
_sandbox_check_step_argv (SandboxCheck *check, gboolean root, const char *input,
                          const char *const *argv)
{
  SandboxFixStep *step = g_new0 (SandboxFixStep, 1);

  if (check->steps == NULL)
    check->steps = g_ptr_array_new_with_free_func (free_step);
  step->argv = g_strdupv ((char **)argv);
  step->input = g_strdup (input);
  step->root = root;
  g_ptr_array_add (check->steps, step);
}

void
_sandbox_check_step (SandboxCheck *check, gboolean root, const char *input, ...)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  va_list args;

  va_start (args, input);
  for (char *word = va_arg (args, char *); word != NULL; word = va_arg (args, char *))
    g_ptr_array_add (words, word);
  va_end (args);
  g_ptr_array_add (words, NULL);
  _sandbox_check_step_argv (check, root, input, (const char *const *)words->pdata);
}

/* Nobody is asked again by the package manager: vms shows the command and asks. */
void
_sandbox_check_install (SandboxCheck *check, SandboxPackage package)
{
  static const char *const unasked[][2] = {
    { "apt-get", "-y" }, { "dnf", "-y" }, { "pacman", "--noconfirm" }, { "zypper", "-n" }
  };
  g_auto (GStrv) argv = sandbox_install_argv (package);
  g_autofree char *hint = NULL;
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  if (argv == NULL)
    {
      hint = sandbox_install_hint (package);
      _sandbox_check_advise (check, "%s", hint);
      return;
    }
  for (char **word = argv; *word != NULL; word++)
    {
      g_ptr_array_add (words, *word);
      for (guint i = 0; word == argv && i < G_N_ELEMENTS (unasked); i++)
        if (g_str_equal (*word, unasked[i][0]))
          g_ptr_array_add (words, (char *)unasked[i][1]);
    }
  g_ptr_array_add (words, NULL);
  _sandbox_check_step_argv (check, TRUE, NULL, (const char *const *)words->pdata);
}

static GPtrArray *
new_checks (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_check_free);
}

static void
run_check (SandboxDoctor *doctor, guint row)
{
  table[row].func (doctor);
  for (guint i = 0; i < doctor->checks->len; i++)
    {
      SandboxCheck *check = g_ptr_array_index (doctor->checks, i);

      if (check->steps != NULL)
        _sandbox_check_show_steps (check);
    }
}

/* --- what needs libvirt: a thread that is left to itself when it takes too long */

typedef struct
{
  gatomicrefcount ref_count;
  char *uri, *state_dir, *owner, *shipped_dir, *user_dir;
  SandboxHostOptions options; /* its strings are those above */
  GCancellable *cancellable;
  GMutex mutex;
  GCond cond;
  gboolean done;
  GPtrArray *first; /* about the connection itself */
  GPtrArray *rows[G_N_ELEMENTS (table)];
} Connected;

static Connected *
connected_new (const SandboxHostOptions *options, GCancellable *cancellable)
{
  Connected *connected = g_new0 (Connected, 1);
  SandboxHostOptions copy = SANDBOX_HOST_OPTIONS_INIT;

  g_atomic_ref_count_init (&connected->ref_count);
  g_mutex_init (&connected->mutex);
  g_cond_init (&connected->cond);
  _sandbox_options_copy (&copy, sizeof copy, options, NULL);
  copy.uri = connected->uri = g_strdup (copy.uri);
  copy.state_dir = connected->state_dir = g_strdup (copy.state_dir);
  copy.owner = connected->owner = g_strdup (copy.owner);
  copy.profiles.shipped_dir = connected->shipped_dir =
      _sandbox_profile_shipped_dir (&copy.profiles);
  copy.profiles.user_dir = connected->user_dir = g_strdup (copy.profiles.user_dir);
  connected->options = copy;
  connected->cancellable = cancellable != NULL ? g_object_ref (cancellable) : NULL;
  return connected;
}

static void
connected_unref (Connected *connected)
{
  if (!g_atomic_ref_count_dec (&connected->ref_count))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    g_clear_pointer (&connected->rows[i], g_ptr_array_unref);
  g_clear_pointer (&connected->first, g_ptr_array_unref);
  g_clear_object (&connected->cancellable);
  g_mutex_clear (&connected->mutex);
  g_cond_clear (&connected->cond);
  g_free (connected->uri);
  g_free (connected->state_dir);
  g_free (connected->owner);
  g_free (connected->shipped_dir);
  g_free (connected->user_dir);
  g_free (connected);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Connected, connected_unref)

/* Hands over what a row found; whoever waits may have given up. */
static void
keep (Connected *connected, GPtrArray **place, GPtrArray *checks)
{
  g_mutex_lock (&connected->mutex);
  *place = checks;
  g_mutex_unlock (&connected->mutex);
}

static gpointer
run_connected (gpointer data)
{
  g_autoptr (Connected) connected = data;
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxHost) host =
      sandbox_host_open (&connected->options, connected->cancellable, &local);
  SandboxDoctor doctor = { .host = host,
                           .open_error = local,
                           .shipped_dir = connected->shipped_dir,
                           .cancellable = connected->cancellable };

  doctor.checks = new_checks ();
  _sandbox_doctor_libvirt (&doctor);
  keep (connected, &connected->first, doctor.checks);
  for (guint i = 0; host != NULL && i < G_N_ELEMENTS (table); i++)
    if (table[i].connected)
      {
        doctor.checks = new_checks ();
        run_check (&doctor, i);
        keep (connected, &connected->rows[i], doctor.checks);
      }
  g_mutex_lock (&connected->mutex);
  connected->done = TRUE;
  g_cond_signal (&connected->cond);
  g_mutex_unlock (&connected->mutex);
  return NULL;
}

/* Moves all of @from (nullable) to the end of @to. */
static void
take_checks (GPtrArray *to, GPtrArray **from)
{
  if (*from != NULL)
    g_ptr_array_extend_and_steal (to, g_steal_pointer (from));
}

/* Called with the mutex held. */
static gboolean
wait_done (Connected *connected)
{
  gint64 end = g_get_monotonic_time () + CONNECTED_LIMIT_USEC;

  while (!connected->done)
    if (!g_cond_wait_until (&connected->cond, &connected->mutex, end))
      return FALSE;
  return TRUE;
}

GPtrArray *
sandbox_host_diagnose (const SandboxHostOptions *options, GCancellable *cancellable)
{
  g_autoptr (Connected) connected = connected_new (options, cancellable);
  g_autoptr (GPtrArray) checks = new_checks ();
  GPtrArray *local_rows[G_N_ELEMENTS (table)] = { NULL };
  GThread *thread;
  gboolean done;
  SandboxDoctor doctor = { .shipped_dir = connected->shipped_dir, .cancellable = cancellable };

  g_atomic_ref_count_inc (&connected->ref_count);
  thread = g_thread_new ("vms-doctor", run_connected, connected);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    if (!table[i].connected)
      {
        doctor.checks = local_rows[i] = new_checks ();
        run_check (&doctor, i);
      }
  g_mutex_lock (&connected->mutex);
  done = wait_done (connected);
  if (!done)
    {
      doctor.checks = checks;
      _sandbox_doctor_add (&doctor, "libvirt", SANDBOX_CHECK_ERROR,
                           "libvirt does not answer: waited for %d seconds. See whether its daemon "
                           "hangs (its log is in /var/log/libvirt, or journalctl -u libvirtd)",
                           (int)(CONNECTED_LIMIT_USEC / G_USEC_PER_SEC));
    }
  take_checks (checks, &connected->first);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    take_checks (checks, table[i].connected ? &connected->rows[i] : &local_rows[i]);
  g_mutex_unlock (&connected->mutex);
  if (done)
    g_thread_join (thread);
  else
    g_thread_unref (thread);
  return g_steal_pointer (&checks);
}
