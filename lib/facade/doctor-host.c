// SPDX-License-Identifier: LGPL-2.1-or-later
// Checks of the processor, the kernel and the programs of this host.
#include "facade/doctor.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VULNERABILITIES "/sys/devices/system/cpu/vulnerabilities"
#define KSM_RUN         "/sys/kernel/mm/ksm/run"
#define OUTPUT_MAX      (64 * 1024)
/* The oldest that knows all options that vms gives it (KnownHostsCommand). */
#define SSH_MAJOR_MIN 8
#define SSH_MINOR_MIN 5
/* An ended process is there for a moment on every host. */
#define REAP_USEC  (200 * 1000)
#define REAP_TRIES 15

char *
_sandbox_doctor_output (SandboxDoctor *doctor, gboolean of_stderr, ...)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *program = NULL;
  g_autofree char *text = NULL;
  gboolean as_root = geteuid () == 0;
  int status = 0;
  va_list args;

  va_start (args, of_stderr);
  for (char *word = va_arg (args, char *); word != NULL; word = va_arg (args, char *))
    g_ptr_array_add (argv, word);
  va_end (args);
  program = as_root ? sandbox_find_system_program (argv->pdata[0])
                    : sandbox_find_program (argv->pdata[0]);
  if (program == NULL)
    return NULL;
  options.env = as_root ? sandbox_system_env : NULL;
  argv->pdata[0] = program;
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  options.new_group = TRUE;
  if (!sandbox_child_run (&options, SANDBOX_DOCTOR_CHILD_USEC, OUTPUT_MAX, doctor->cancellable,
                          of_stderr ? NULL : &text, of_stderr ? &text : NULL, &status, NULL)
      || status != 0)
    return NULL;
  return g_steal_pointer (&text);
}

static char *
read_small (const char *path)
{
  char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return NULL;
  return g_strchomp (text);
}

gboolean
_sandbox_doctor_has_process (const char *name)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc", 0, NULL);
  const char *entry;

  while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/proc", entry, "comm", NULL);
      g_autofree char *comm = g_ascii_isdigit (*entry) ? read_small (path) : NULL;

      if (g_strcmp0 (comm, name) == 0)
        return TRUE;
    }
  return FALSE;
}

/* A member of group kvm, which libvirt's QEMU is, must be able to open it; udev sees to that where
 * it runs. */
static void
check_kvm_device (SandboxDoctor *doctor)
{
  const struct group *group = getgrnam ("kvm");
  struct stat info;

  if (stat ("/dev/kvm", &info) != 0 || group == NULL || (info.st_mode & 0006) == 0006
      || (info.st_gid == group->gr_gid && (info.st_mode & 0060) == 0060))
    return;
  _sandbox_check_advise (
      _sandbox_doctor_add (doctor, "kvm-device", SANDBOX_CHECK_WARNING,
                           "/dev/kvm is not for group kvm, so libvirt's QEMU cannot open it (and "
                           "libvirt asks it slowly each time)"),
      "sudo chgrp kvm /dev/kvm && sudo chmod 0660 /dev/kvm");
}

void
_sandbox_doctor_kvm (SandboxDoctor *doctor)
{
  g_autofree char *reason = NULL;

  if (_sandbox_kvm_probe (&reason, NULL))
    _sandbox_doctor_add (doctor, "kvm", SANDBOX_CHECK_GOOD, "KVM is usable: %s", reason);
  else
    _sandbox_doctor_add (doctor, "kvm", SANDBOX_CHECK_NOTE,
                         "machines run emulated (TCG), which is slow: %s", reason);
  check_kvm_device (doctor);
}

/* Names of the holes that the kernel calls open; "" for none, NULL when it does not say. */
static char *
list_vulnerable (void)
{
  g_autoptr (GDir) dir = g_dir_open (VULNERABILITIES, 0, NULL);
  g_autoptr (GString) list = g_string_new (NULL);
  const char *name;
  guint known = 0;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (VULNERABILITIES, name, NULL);
      g_autofree char *text = read_small (path);

      known += text != NULL;
      if (text != NULL && strstr (text, "Vulnerable") != NULL)
        g_string_append_printf (list, "%s%s", list->len > 0 ? ", " : "", name);
    }
  return known > 0 ? g_strdup (list->str) : NULL;
}

void
_sandbox_doctor_mitigations (SandboxDoctor *doctor)
{
  g_autofree char *list = list_vulnerable ();
  g_autofree char *cmdline = read_small ("/proc/cmdline");
  SandboxCheck *check;

  if (list == NULL)
    {
      _sandbox_doctor_add (doctor, "mitigations", SANDBOX_CHECK_UNKNOWN,
                           "the kernel does not say (" VULNERABILITIES
                           ") whether the processor's known holes are closed");
      return;
    }
  if (*list == '\0')
    {
      _sandbox_doctor_add (doctor, "mitigations", SANDBOX_CHECK_GOOD,
                           "the kernel calls none of the processor's known holes open");
      return;
    }
  check = _sandbox_doctor_add (doctor, "mitigations", SANDBOX_CHECK_WARNING,
                               "the kernel calls these holes of the processor open, by which a "
                               "machine may read the host's memory: %s",
                               list);
  if (cmdline != NULL && strstr (cmdline, "mitigations=off") != NULL)
    _sandbox_check_advise (check, "take mitigations=off off the kernel's command line");
  else
    _sandbox_check_advise (check,
                           "install the processor's microcode and a current kernel "
                           "(sudo apt-get install intel-microcode or amd64-microcode), or, "
                           "where this host is itself a virtual machine, have its host do so");
}

void
_sandbox_doctor_ksm (SandboxDoctor *doctor)
{
  g_autofree char *text = read_small (KSM_RUN);

  if (text == NULL)
    _sandbox_doctor_add (doctor, "ksm", SANDBOX_CHECK_GOOD,
                         "this kernel does not merge equal memory of processes (no KSM)");
  else if (g_str_equal (text, "1"))
    _sandbox_check_advise (
        _sandbox_doctor_add (
            doctor, "ksm", SANDBOX_CHECK_NOTE,
            "the kernel merges equal memory (KSM), which tells one virtual machine "
            "what is in another; machines of vms take no part in it, others on "
            "this host do"),
        "echo 2 | sudo tee " KSM_RUN " (and see what turned it on: ksmtuned, Proxmox, a sysctl)");
  else
    _sandbox_doctor_add (doctor, "ksm", SANDBOX_CHECK_GOOD,
                         "the kernel does not merge equal memory (KSM is off)");
}

static gboolean
is_unreaped (const char *pid)
{
  g_autofree char *path = g_build_filename ("/proc", pid, "stat", NULL);
  g_autofree char *text = read_small (path);
  /* the name in parentheses may hold anything */
  const char *rest = text != NULL ? strrchr (text, ')') : NULL;

  return rest != NULL && g_str_has_prefix (rest, ") Z 1 ");
}

/* The processes that have ended and wait for process 1 to take note. (element-type utf8) */
static GPtrArray *
list_unreaped (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc", 0, NULL);
  GPtrArray *pids = g_ptr_array_new_with_free_func (g_free);
  const char *entry;

  while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL)
    if (g_ascii_isdigit (*entry) && is_unreaped (entry))
      g_ptr_array_add (pids, g_strdup (entry));
  return pids;
}

/* Containers whose first program is no init. */
void
_sandbox_doctor_pid1 (SandboxDoctor *doctor)
{
  g_autofree char *name = read_small ("/proc/1/comm");
  g_autofree char *shown = sandbox_escape (name != NULL ? name : "?", -1, 40);
  g_autoptr (GPtrArray) pids = list_unreaped ();

  for (guint tries = 0; pids->len > 0 && tries < REAP_TRIES; tries++)
    {
      g_usleep (REAP_USEC);
      for (guint i = pids->len; i > 0; i--)
        if (!is_unreaped (g_ptr_array_index (pids, i - 1)))
          g_ptr_array_remove_index_fast (pids, i - 1);
    }
  if (pids->len == 0)
    _sandbox_doctor_add (doctor, "pid1", SANDBOX_CHECK_GOOD,
                         "process 1 (%s) takes note of processes that end", shown);
  else
    _sandbox_check_advise (
        _sandbox_doctor_add (
            doctor, "pid1", SANDBOX_CHECK_WARNING,
            "process 1 (%s) does not take note of processes that end: %u are left, "
            "and each machine adds some until no more can be made",
            shown, pids->len),
        "run this container with an init as its first process (docker run --init)");
}

void
_sandbox_doctor_ssh (SandboxDoctor *doctor)
{
  g_autofree char *path = sandbox_find_program ("ssh");
  g_autofree char *text = NULL, *shown = NULL;
  int major = 0, minor = 0;

  if (path == NULL)
    return;
  text = _sandbox_doctor_output (doctor, TRUE, "ssh", "-V", NULL);
  if (text == NULL || sscanf (text, "OpenSSH_%d.%d", &major, &minor) != 2)
    {
      _sandbox_doctor_add (doctor, "ssh-version", SANDBOX_CHECK_UNKNOWN,
                           "%s does not say that it is OpenSSH, and of which version", path);
      return;
    }
  text[strcspn (text, " ,\n")] = '\0';
  shown = sandbox_escape (text, -1, 40);
  if (major > SSH_MAJOR_MIN || (major == SSH_MAJOR_MIN && minor >= SSH_MINOR_MIN))
    _sandbox_doctor_add (doctor, "ssh-version", SANDBOX_CHECK_GOOD, "%s knows all that vms needs",
                         shown);
  else
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "ssh-version", SANDBOX_CHECK_ERROR,
                             "%s is too old: it does not know the options that keep your keys and "
                             "your configuration from a machine (%d.%d does)",
                             shown, SSH_MAJOR_MIN, SSH_MINOR_MIN),
        "install a current OpenSSH client");
}

void
_sandbox_doctor_programs (SandboxDoctor *doctor)
{
  static const struct
  {
    const char *name;
    SandboxPackage package;
    SandboxCheckLevel level;
    const char *need;
  } programs[] = {
    { "ssh", SANDBOX_PACKAGE_SSH, SANDBOX_CHECK_ERROR, "the way into a machine" },
    { "ssh-keygen", SANDBOX_PACKAGE_SSH, SANDBOX_CHECK_ERROR, "makes the keys of a machine" },
    { "mmdebstrap", SANDBOX_PACKAGE_MMDEBSTRAP, SANDBOX_CHECK_WARNING, "needed to build images" },
    { "mke2fs", SANDBOX_PACKAGE_E2FSPROGS, SANDBOX_CHECK_WARNING, "needed to build images" },
    { "qemu-img", SANDBOX_PACKAGE_QEMU_IMG, SANDBOX_CHECK_WARNING, "needed to build images" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (programs); i++)
    {
      g_autofree char *path = sandbox_find_program (programs[i].name);
      SandboxCheck *check;

      if (path != NULL)
        {
          _sandbox_doctor_add (doctor, programs[i].name, SANDBOX_CHECK_GOOD, "%s is %s",
                               programs[i].name, path);
          continue;
        }
      check = _sandbox_doctor_add (doctor, programs[i].name, programs[i].level, "%s is missing: %s",
                                   programs[i].name, programs[i].need);
      _sandbox_check_install (check, programs[i].package);
    }
}
