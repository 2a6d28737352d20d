// SPDX-License-Identifier: LGPL-2.1-or-later
// Encrypted disks: which machines have one, and whether what they have in memory is written to a
// disk all the same.
#include "facade/doctor.h"
#include "facade/layers.h"

#include <string.h>

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

void
_sandbox_doctor_encryption (SandboxDoctor *doctor)
{
  g_autofree char *machines = encrypted_machines (doctor->host), *swaps = NULL, *plain = NULL;
  g_autofree char *shown = NULL;

  if (machines == NULL || _sandbox_virt_is_remote (doctor->host->virt))
    return;
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
