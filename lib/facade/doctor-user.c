// SPDX-License-Identifier: LGPL-2.1-or-later
// Checks of the caller: groups, subordinate ids, namespaces, own files.
#include "facade/doctor.h"

#include "base/subid.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
_sandbox_doctor_group (SandboxDoctor *doctor)
{
  g_autofree char *user = sandbox_user_name ();
  SandboxGroupState state = sandbox_group_state ("libvirt");

  if (geteuid () == 0)
    _sandbox_doctor_add (doctor, "group", SANDBOX_CHECK_GOOD, "you are root, no group is needed");
  else if (state == SANDBOX_GROUP_NONE)
    _sandbox_check_install (_sandbox_doctor_add (doctor, "group", SANDBOX_CHECK_WARNING,
                                                 "there is no group libvirt on this host"),
                            SANDBOX_PACKAGE_LIBVIRT);
  else if (state == SANDBOX_GROUP_IN)
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "group", SANDBOX_CHECK_NOTE,
                             "%s is in group libvirt, which is as good as root: every program that "
                             "runs as %s on this host (not in a machine) can become root through "
                             "libvirt, without a password",
                             user, user),
        "run what you do not trust in a machine; to take it back: sudo gpasswd -d %s libvirt",
        user);
  else if (state == SANDBOX_GROUP_LATER)
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "group", SANDBOX_CHECK_ERROR,
                             "%s was added to group libvirt, but this session is older: log in "
                             "again",
                             user),
        "newgrp libvirt");
  else
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "group", SANDBOX_CHECK_WARNING,
                             "%s is not in group libvirt (who is in it can become root on this "
                             "host, so --fix leaves this to you)",
                             user),
        "sudo usermod -aG libvirt %s", user);
}

static void
check_uidmap (SandboxDoctor *doctor)
{
  g_autofree char *path = sandbox_find_program ("newuidmap");

  if (path == NULL)
    _sandbox_check_install (
        _sandbox_doctor_add (doctor, "uidmap", SANDBOX_CHECK_WARNING,
                             "newuidmap is missing: needed to build images as an ordinary user"),
        SANDBOX_PACKAGE_UIDMAP);
  else
    _sandbox_doctor_add (doctor, "uidmap", SANDBOX_CHECK_GOOD, "newuidmap is %s", path);
}

/* Shares need a range in each of the two files, and mmdebstrap as an ordinary user does. */
void
_sandbox_doctor_subid (SandboxDoctor *doctor)
{
  g_autofree char *user = sandbox_user_name (), *range = NULL;
  guint64 unused = 0;
  gboolean users, groups;
  SandboxCheck *check;

  if (geteuid () != 0)
    check_uidmap (doctor);
  users = sandbox_subid_find (SANDBOX_SUBUID_FILE, user, geteuid (), &unused);
  groups = sandbox_subid_find (SANDBOX_SUBGID_FILE, user, geteuid (), &unused);
  if (users && groups)
    {
      _sandbox_doctor_add (doctor, "subid", SANDBOX_CHECK_GOOD, "%s has subordinate ids", user);
      return;
    }
  check = _sandbox_doctor_add (doctor, "subid", SANDBOX_CHECK_WARNING,
                               "%s has no range of %d ids for %s: needed to share directories%s",
                               users ? SANDBOX_SUBGID_FILE : SANDBOX_SUBUID_FILE,
                               SANDBOX_SUBID_COUNT, user,
                               geteuid () == 0 ? "" : ", and to build images as an ordinary user");
  /* a range that nobody has: two users with one range own each other's files */
  range = sandbox_subid_free_range ();
  if (!users)
    _sandbox_check_step (check, TRUE, NULL, "usermod", "--add-subuids", range, user, NULL);
  if (!groups)
    _sandbox_check_step (check, TRUE, NULL, "usermod", "--add-subgids", range, user, NULL);
}

/* Containers, a sysctl or AppArmor can forbid what building an image as an ordinary user needs. */
void
_sandbox_doctor_userns (SandboxDoctor *doctor)
{
  static const char *const argv[] = { "unshare", "--user", "--map-root-user", "true", NULL };
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *complaint = NULL;
  g_autofree char *shown = NULL;
  int status = 0;

  options.argv = argv;
  options.new_group = TRUE;
  if (geteuid () == 0
      || !sandbox_child_run (&options, SANDBOX_DOCTOR_CHILD_USEC, 1000, doctor->cancellable, NULL,
                             &complaint, &status, NULL)
      || status == 0)
    return;
  shown = sandbox_escape (g_strstrip (complaint), -1, 200);
  _sandbox_doctor_add (
      doctor, "userns", SANDBOX_CHECK_WARNING,
      "an ordinary user cannot make a user namespace here (%s), which building images needs: look "
      "at kernel.unprivileged_userns_clone, at kernel.apparmor_restrict_unprivileged_userns, and "
      "whether this is a container or a chroot; or build images as root",
      shown);
}

void
_sandbox_doctor_state (SandboxDoctor *doctor)
{
  SandboxHost *host = doctor->host;
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = _sandbox_host_state_fd (host, FALSE, &local);

  if (fd >= 0)
    _sandbox_doctor_add (doctor, "state", SANDBOX_CHECK_GOOD, "keys are kept in %s",
                         host->state_dir);
  else if (local->code == SANDBOX_ERROR_NOT_FOUND)
    _sandbox_doctor_add (doctor, "state", SANDBOX_CHECK_GOOD,
                         "keys will be kept in %s, which the first machine makes", host->state_dir);
  else
    _sandbox_check_step (
        _sandbox_doctor_add (doctor, "state", SANDBOX_CHECK_ERROR, "%s", local->message), FALSE,
        NULL, "chmod", "0700", host->state_dir, NULL);
}

void
_sandbox_doctor_ssh_config (SandboxDoctor *doctor)
{
  SandboxHost *host = doctor->host;
  g_autofree char *path = g_build_filename (host->home, ".ssh", "config", NULL), *text = NULL;
  g_autofree char *line = g_strdup_printf ("Include \"%s/ssh_config\"", host->state_dir);

  if (g_file_get_contents (path, &text, NULL, NULL) && strstr (text, line) != NULL)
    _sandbox_doctor_add (doctor, "ssh-config", SANDBOX_CHECK_GOOD,
                         "plain `ssh NAME` works: %s includes our file", path);
  else
    _sandbox_check_advise (_sandbox_doctor_add (doctor, "ssh-config", SANDBOX_CHECK_NOTE,
                                                "plain `ssh NAME` does not know our machines"),
                           "vms ssh-config --install");
}
