// SPDX-License-Identifier: LGPL-2.1-or-later
// Encrypted disks: which machines have one, and whether what they have in memory is written to a
// disk all the same.
#include "facade/doctor.h"
#include "facade/layers.h"

#include <string.h>

#define ON_SHUTDOWN "ON_SHUTDOWN="
#define GUESTS_UNIT "/etc/systemd/system/multi-user.target.wants/libvirt-guests.service"

char *
_sandbox_plain_swap (const char *swaps, const char *sys_dir)
{
  g_auto (GStrv) lines = g_strsplit (swaps, "\n", -1);

  /* the first line is the heading */
  for (char **line = *lines != NULL ? lines + 1 : lines; *line != NULL; line++)
    {
      g_autofree char *path = g_strndup (*line, strcspn (*line, " \t"));
      g_autofree char *name = g_path_get_basename (path);
      g_autofree char *file = g_build_filename (sys_dir, name, "dm", "uuid", NULL);
      g_autofree char *uuid = NULL;

      if (*path == '\0' || g_str_has_prefix (path, "/dev/zram"))
        continue;
      /* swaps are told by the device's own name, dm-0 and not mapper/NAME */
      if (!g_str_has_prefix (path, "/dev/") || !g_file_get_contents (file, &uuid, NULL, NULL)
          || !g_str_has_prefix (uuid, "CRYPT-"))
        return g_steal_pointer (&path);
    }
  return NULL;
}

/* Names of the caller's machines, separated by commas; NULL: none. */
static char *
encrypted_machines (SandboxHost *host)
{
  g_autofree char *prefix = _sandbox_host_prefix (host);
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (host->virt, prefix, TRUE, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; volumes != NULL && i < volumes->len; i++)
    {
      const SandboxVirtVolume *volume = volumes->pdata[i];
      g_autofree char *object = volume->encrypted ? _sandbox_layer_object (volume->name) : NULL;
      char *name = object != NULL ? _sandbox_object_parse (host->uid, host->owner, object) : NULL;

      if (name != NULL)
        g_ptr_array_add (names, name);
    }
  if (names->len == 0)
    return NULL;
  g_ptr_array_add (names, NULL);
  return g_strjoinv (", ", (char **)names->pdata);
}

gboolean
_sandbox_guests_suspend (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  const char *value = "suspend";

  for (char **line = lines; *line != NULL; line++)
    if (g_str_has_prefix (*line, ON_SHUTDOWN))
      value = g_strstrip (g_strdelimit (*line + strlen (ON_SHUTDOWN), "\"'", ' '));
  return strcmp (value, "suspend") == 0;
}

/* The file of settings when libvirt-guests keeps memory as the host goes down; NULL: it does not,
 * or is not at work. Which default its script has is the distribution's choice. */
static const char *
suspending_settings (void)
{
  static const char *const places[] = {
    "/usr/libexec/libvirt-guests.sh", "/usr/lib/libvirt/libvirt-guests.sh",
    "/etc/conf.d/libvirt-guests", "/etc/sysconfig/libvirt-guests", "/etc/default/libvirt-guests"
  };
  const char *settings = places[G_N_ELEMENTS (places) - 1];
  g_autoptr (GString) all = g_string_new (NULL);

  if (!g_file_test (GUESTS_UNIT, G_FILE_TEST_IS_SYMLINK))
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *text = NULL;

      if (!g_file_get_contents (places[i], &text, NULL, NULL))
        continue;
      g_string_append_printf (all, "%s\n", text);
      if (g_str_has_prefix (places[i], "/etc/"))
        settings = places[i];
    }
  return _sandbox_guests_suspend (all->str) ? settings : NULL;
}

static void
check_shutdown (SandboxDoctor *doctor, const char *machines)
{
  const char *place = suspending_settings ();

  if (place != NULL)
    _sandbox_check_advise (
        _sandbox_doctor_add (
            doctor, "encryption", SANDBOX_CHECK_NOTE,
            "machines with an encrypted disk: %s; when this host goes down while "
            "one runs, libvirt-guests writes its memory, keys included, to a disk, "
            "not encrypted, and it cannot go on from that",
            machines),
        "set ON_SHUTDOWN=shutdown in %s, or stop them before", place);
}

static void
check_swap (SandboxDoctor *doctor, const char *machines)
{
  g_autofree char *swaps = NULL, *plain = NULL, *shown = NULL;

  if (!g_file_get_contents ("/proc/swaps", &swaps, NULL, NULL))
    {
      _sandbox_doctor_add (doctor, "encryption", SANDBOX_CHECK_UNKNOWN,
                           "machines with an encrypted disk: %s; whether this host swaps cannot be "
                           "seen",
                           machines);
      return;
    }
  plain = _sandbox_plain_swap (swaps, "/sys/class/block");
  if (plain == NULL)
    {
      _sandbox_doctor_add (doctor, "encryption", SANDBOX_CHECK_GOOD,
                           "machines with an encrypted disk: %s; their memory is not swapped to a "
                           "disk that is not",
                           machines);
      return;
    }
  shown = sandbox_escape (plain, -1, 200);
  _sandbox_check_advise (
      _sandbox_doctor_add (doctor, "encryption", SANDBOX_CHECK_NOTE,
                           "machines with an encrypted disk: %s; their memory, keys included, may "
                           "be swapped to %s, which is not encrypted",
                           machines, shown),
      "sudo swapoff %s (and take it out of /etc/fstab), or encrypt it", shown);
}

void
_sandbox_doctor_encryption (SandboxDoctor *doctor)
{
  g_autofree char *machines = encrypted_machines (doctor->host);

  if (machines == NULL || _sandbox_virt_is_remote (doctor->host->virt))
    return;
  check_swap (doctor, machines);
  check_shutdown (doctor, machines);
}
