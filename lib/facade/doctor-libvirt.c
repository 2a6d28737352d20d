// SPDX-License-Identifier: LGPL-2.1-or-later
// Checks of libvirt and QEMU: connection, versions, confinement, storage.
#include "facade/doctor.h"

#include <string.h>
#include <unistd.h>

#define QEMU_CONF                    "/etc/libvirt/qemu.conf"
#define ROOM_BYTES                   (G_GUINT64_CONSTANT (2) << 30) /* an image and the begin of a disk */
#define VERSION(major, minor, micro) ((major)*G_GUINT64_CONSTANT (1000000) + (minor)*1000 + (micro))

void
_sandbox_doctor_libvirt (SandboxDoctor *doctor)
{
  g_autofree char *user = sandbox_user_name ();
  g_autofree char *daemon = sandbox_find_program ("libvirtd");
  SandboxCheck *check;

  if (doctor->host != NULL)
    {
      _sandbox_doctor_add (doctor, "libvirt", SANDBOX_CHECK_GOOD, "connected to %s",
                           doctor->host->uri);
      return;
    }
  check = _sandbox_doctor_add (doctor, "libvirt", SANDBOX_CHECK_ERROR, "%s",
                               doctor->open_error->message);
  if (doctor->open_error->code == SANDBOX_ERROR_DENIED)
    {
      if (sandbox_group_state ("libvirt") == SANDBOX_GROUP_LATER)
        _sandbox_check_advise (check, "newgrp libvirt");
      else
        _sandbox_check_advise (check, "sudo usermod -aG libvirt %s", user);
      return;
    }
  if (daemon == NULL)
    _sandbox_check_install (check, SANDBOX_PACKAGE_LIBVIRT);
  else if (sandbox_have_systemd ())
    _sandbox_check_step (check, TRUE, NULL, "systemctl", "enable", "--now", "libvirtd", NULL);
  else if (g_file_test (SANDBOX_QUICKSTART_CONFIG, G_FILE_TEST_EXISTS))
    _sandbox_check_advise (check, "sudo libvirtd -d -f " SANDBOX_QUICKSTART_CONFIG);
  else
    _sandbox_check_advise (check, "sudo libvirtd -d");
  if (check->steps != NULL)
    _sandbox_check_show_steps (check);
}

static char *
show_version (guint64 version)
{
  return g_strdup_printf ("%u.%u.%u", (guint)(version / 1000000), (guint)(version / 1000 % 1000),
                          (guint)(version % 1000));
}

void
_sandbox_doctor_qemu (SandboxDoctor *doctor)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (doctor->host->virt, NULL, &local);
  g_autofree char *qemu = NULL, *libvirt = NULL;

  if (facts == NULL)
    {
      _sandbox_doctor_add (doctor, "qemu", SANDBOX_CHECK_ERROR, "%s", local->message);
      return;
    }
  if (strcmp (facts->driver, "TEST") == 0)
    {
      _sandbox_doctor_add (doctor, "qemu", SANDBOX_CHECK_NOTE,
                           "libvirt's test driver: nothing is started for real");
      return;
    }
  qemu = show_version (facts->qemu_version);
  libvirt = show_version (facts->libvirt_version);
  _sandbox_doctor_add (doctor, "qemu", SANDBOX_CHECK_GOOD, "%s, version %s, with libvirt %s",
                       facts->emulator, qemu, libvirt);
  if (facts->virtiofs && facts->memfd)
    _sandbox_doctor_add (doctor, "virtiofsd", SANDBOX_CHECK_GOOD,
                         "shared directories work (virtiofs with shared memory)");
  else
    _sandbox_check_install (
        _sandbox_doctor_add (doctor, "virtiofsd", SANDBOX_CHECK_ERROR,
                             "this libvirt or QEMU cannot share directories (%s)",
                             facts->virtiofs ? "no memfd memory" : "no virtiofs"),
        SANDBOX_PACKAGE_VIRTIOFSD);
  if (*facts->pool_path != '\0')
    _sandbox_doctor_add (doctor, "pool", SANDBOX_CHECK_GOOD,
                         "storage pool \"" SANDBOX_POOL "\" is %s", facts->pool_path);
  else
    _sandbox_check_advise (_sandbox_doctor_add (doctor, "pool", SANDBOX_CHECK_NOTE,
                                                "there is no storage pool \"" SANDBOX_POOL
                                                "\" yet: the first image makes it"),
                           "vms image build");
}

/* What is known to weaken or to break machines of ours, and only that. Distributions mend such
 * things without a new version, so that a version is no more than a reason to look. */
static const struct
{
  gboolean qemu; /* else libvirt */
  guint64 from, before;
  const char *what;
} known_bugs[] = {
  { TRUE, 0, VERSION (7, 0, 0),
    "a machine's root may make files in a share that belong to other groups of the host "
    "(CVE-2022-0358)" },
  { TRUE, 0, VERSION (7, 2, 13),
    "a disk file made by somebody else may name files of the host (CVE-2024-4467): do not import "
    "disks that you do not trust" },
  { TRUE, VERSION (8, 0, 0), VERSION (9, 1, 0),
    "a disk file made by somebody else may name files of the host (CVE-2024-4467): do not import "
    "disks that you do not trust" },
  { FALSE, 0, VERSION (9, 2, 0),
    "after a restart of libvirt's daemon, shares can no longer be attached to or taken from a "
    "machine that runs: restart the machine" },
  { FALSE, VERSION (10, 10, 0), VERSION (11, 3, 0),
    "any local user may make libvirt's daemon use up its memory (CVE-2025-12748)" },
};

void
_sandbox_doctor_known_bugs (SandboxDoctor *doctor, guint64 qemu_version, guint64 libvirt_version)
{
  guint found = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (known_bugs); i++)
    {
      guint64 version = known_bugs[i].qemu ? qemu_version : libvirt_version;
      g_autofree char *shown = show_version (version);

      if (version < known_bugs[i].from || version >= known_bugs[i].before)
        continue;
      found++;
      _sandbox_check_advise (_sandbox_doctor_add (doctor, "versions", SANDBOX_CHECK_NOTE,
                                                  "%s %s, unless your distribution mended it: %s",
                                                  known_bugs[i].qemu ? "QEMU" : "libvirt", shown,
                                                  known_bugs[i].what),
                             "keep this host up to date");
    }
  if (found == 0)
    _sandbox_doctor_add (doctor, "versions", SANDBOX_CHECK_GOOD,
                         "nothing is known against these versions of libvirt and QEMU");
}

void
_sandbox_doctor_versions (SandboxDoctor *doctor)
{
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (doctor->host->virt, NULL, NULL);

  if (facts != NULL && strcmp (facts->driver, "QEMU") == 0)
    _sandbox_doctor_known_bugs (doctor, facts->qemu_version, facts->libvirt_version);
}

/* A hole in QEMU ends there, or at the rights of QEMU's user. */
void
_sandbox_doctor_confinement (SandboxDoctor *doctor)
{
  g_autofree char *model = _sandbox_virt_confinement (doctor->host->virt, NULL);

  if (_sandbox_host_is_test (doctor->host))
    return;
  if (model == NULL)
    _sandbox_doctor_add (doctor, "confinement", SANDBOX_CHECK_UNKNOWN,
                         "libvirt does not say what it confines machines with");
  else if (*model != '\0')
    _sandbox_doctor_add (doctor, "confinement", SANDBOX_CHECK_GOOD,
                         "libvirt confines each machine with %s", model);
  else
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "confinement", SANDBOX_CHECK_WARNING,
                             "libvirt confines machines with neither AppArmor nor SELinux here: a "
                             "hole in QEMU would have all rights of QEMU's user"),
        "where the kernel has AppArmor: sudo apt-get install apparmor apparmor-utils, a boot "
        "without apparmor=0, then restart libvirt's daemon; in a container this is up to its host");
}

/* Settings that take away what libvirt does by default. */
static const struct
{
  const char *pattern, *what;
} weakenings[] = {
  { "^\\s*security_driver\\s*=\\s*\\[?\\s*\"none\"", "security_driver is \"none\": nothing "
                                                     "confines machines" },
  { "^\\s*seccomp_sandbox\\s*=\\s*0", "seccomp_sandbox is 0: QEMU may make any system call" },
  { "^\\s*user\\s*=\\s*\"(root|\\+?0)\"", "user is root: a hole in QEMU would be root here" },
  { "^\\s*dynamic_ownership\\s*=\\s*0", "dynamic_ownership is 0: machines share one owner of "
                                        "their disks" },
  { "^\\s*namespaces\\s*=\\s*\\[\\s*\\]", "namespaces is []: QEMU sees all of /dev" },
  { "^\\s*clear_emulator_capabilities\\s*=\\s*0", "clear_emulator_capabilities is 0" },
  { "^\\s*allow_disk_format_probing\\s*=\\s*1", "allow_disk_format_probing is 1" },
  { "^\\s*max_core\\s*=", "max_core is set: a crash of QEMU may write a machine's memory to disk" },
  { "^\\s*dump_guest_core\\s*=\\s*1", "dump_guest_core is 1" },
};

void
_sandbox_doctor_qemu_conf (SandboxDoctor *doctor)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) local = NULL;
  guint found = 0;

  if (!g_file_get_contents (QEMU_CONF, &text, NULL, &local))
    {
      if (g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return;
      _sandbox_check_advise (
          _sandbox_doctor_add (doctor, "qemu-conf", SANDBOX_CHECK_UNKNOWN,
                               "only root can read " QEMU_CONF
                               ", where seccomp and other confinement could be off"),
          "sudo vms doctor");
      return;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (weakenings); i++)
    if (g_regex_match_simple (weakenings[i].pattern, text, G_REGEX_MULTILINE, 0))
      {
        found++;
        _sandbox_check_advise (_sandbox_doctor_add (doctor, "qemu-conf", SANDBOX_CHECK_WARNING,
                                                    QEMU_CONF ": %s", weakenings[i].what),
                               "take that line out of " QEMU_CONF ", restart libvirt's daemon and "
                               "the machines");
      }
  if (found == 0)
    _sandbox_doctor_add (doctor, "qemu-conf", SANDBOX_CHECK_GOOD,
                         QEMU_CONF " takes none of libvirt's confinement away");
}

/* What all disks of ours may still grow by. */
static guint64
sum_growth (SandboxDoctor *doctor)
{
  g_autofree char *prefix = _sandbox_host_prefix (doctor->host);
  g_autoptr (GPtrArray) volumes =
      _sandbox_virt_list_volumes (doctor->host->virt, prefix, TRUE, NULL);
  guint64 sum = 0;

  for (guint i = 0; volumes != NULL && i < volumes->len; i++)
    {
      const SandboxVirtVolume *volume = g_ptr_array_index (volumes, i);

      if (volume->capacity_bytes > volume->allocation_bytes)
        sum += volume->capacity_bytes - volume->allocation_bytes;
    }
  return sum;
}

void
_sandbox_doctor_storage (SandboxDoctor *doctor)
{
  g_autoptr (GError) local = NULL;
  guint64 available = 0, growth;
  gboolean exists = FALSE;
  g_autofree char *free_text = NULL, *growth_text = NULL;

  if (_sandbox_host_is_test (doctor->host))
    return;
  if (!_sandbox_host_room (doctor->host, &exists, &available, &local))
    {
      _sandbox_doctor_add (doctor, "storage", SANDBOX_CHECK_UNKNOWN, "%s", local->message);
      return;
    }
  if (!exists)
    return;
  growth = sum_growth (doctor);
  free_text = sandbox_size_human (available);
  growth_text = sandbox_size_human (growth);
  if (available < ROOM_BYTES)
    _sandbox_check_advise (
        _sandbox_doctor_add (doctor, "storage", SANDBOX_CHECK_WARNING,
                             "the storage pool has %s left: an image or a machine's disk will soon "
                             "not fit, and a machine that cannot write stops",
                             free_text),
        "vms list --disk; vms image prune; vms snapshot delete NAME SNAPSHOT; vms destroy NAME");
  else if (available < growth)
    _sandbox_doctor_add (doctor, "storage", SANDBOX_CHECK_NOTE,
                         "the storage pool has %s left, and your machines' disks may grow by %s "
                         "together",
                         free_text, growth_text);
  else
    _sandbox_doctor_add (doctor, "storage", SANDBOX_CHECK_GOOD,
                         "the storage pool has %s left, more than your machines' disks may grow by",
                         free_text);
}

void
_sandbox_doctor_images (SandboxDoctor *doctor)
{
  g_auto (GStrv) ids = NULL;
  g_auto (GStrv) recipes = sandbox_image_recipes ();

  if (_sandbox_host_is_test (doctor->host))
    return;
  ids = _sandbox_image_ids (doctor->host, NULL, NULL);
  if (ids != NULL && ids[0] != NULL)
    _sandbox_doctor_add (doctor, "image", SANDBOX_CHECK_GOOD, "%u image(s), such as %s",
                         g_strv_length (ids), ids[0]);
  else
    _sandbox_check_advise (_sandbox_doctor_add (doctor, "image", SANDBOX_CHECK_NOTE,
                                                "no image is built yet: the first start does that"),
                           "vms image build %s", recipes[0]);
}

void
_sandbox_doctor_leftovers (SandboxDoctor *doctor)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (GPtrArray) orphans =
      sandbox_host_repair (doctor->host, FALSE, NULL, NULL, doctor->cancellable, &local);

  if (orphans == NULL)
    _sandbox_doctor_add (doctor, "leftovers", SANDBOX_CHECK_WARNING, "%s", local->message);
  else if (orphans->len > 0)
    _sandbox_check_advise (_sandbox_doctor_add (doctor, "leftovers", SANDBOX_CHECK_WARNING,
                                                "%u thing(s) left by interrupted commands",
                                                orphans->len),
                           "vms doctor --repair");
  else
    _sandbox_doctor_add (doctor, "leftovers", SANDBOX_CHECK_GOOD,
                         "nothing is left by interrupted commands");
}
