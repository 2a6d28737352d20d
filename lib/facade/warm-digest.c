// SPDX-License-Identifier: LGPL-2.1-or-later
// What kept memory depends on, as one word: when any of it is another, the memory is of no use.
#include "facade/warm.h"

#include "xml/warm.h"

#include <string.h>
#include <sys/stat.h>

/* Changes with how a boot is kept and how it goes on. */
#define FORMAT "warm 2"

/* The lines of the first processor that say which one it is, and what it can do: other microcode
 * may take away what the memory was promised. */
static void
add_processor (GString *text, const char *cpuinfo)
{
  static const char *const keys[] = { "vendor_id", "cpu family", "model",
                                      "stepping",  "microcode",  "flags" };
  g_auto (GStrv) lines = g_strsplit (cpuinfo, "\n", -1);

  for (char **line = lines; *line != NULL && **line != '\0'; line++)
    for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
      if (g_str_has_prefix (*line, keys[i]))
        {
          g_string_append_printf (text, "%s\n", *line);
          break;
        }
}

char *
_sandbox_warm_computer_text (const struct utsname *kernel, const char *emulator,
                             const char *cpuinfo)
{
  GString *text = g_string_new (NULL);
  struct stat st;

  g_string_append_printf (text, "%s %s %s\n", kernel->release, kernel->version, kernel->machine);
  /* one that was updated and calls itself the same */
  if (stat (emulator, &st) == 0)
    g_string_append_printf (text, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", (gint64)st.st_size,
                            (gint64)st.st_mtime);
  add_processor (text, cpuinfo);
  return g_string_free (text, FALSE);
}

char *
_sandbox_warm_computer (const char *emulator)
{
  g_autofree char *cpuinfo = NULL;
  struct utsname kernel = { 0 };

  uname (&kernel);
  g_file_get_contents ("/proc/cpuinfo", &cpuinfo, NULL, NULL);
  return _sandbox_warm_computer_text (&kernel, emulator, cpuinfo != NULL ? cpuinfo : "");
}

char *
_sandbox_warm_digest (const SandboxPlan *plan, GBytes *seed, const SandboxFacts *facts,
                      const char *computer, GError **error)
{
  g_autofree char *xml = _sandbox_xml_domain (plan);
  g_autofree char *domain = _sandbox_xml_without_names (xml, error);
  g_autofree char *below = g_strjoinv ("\n", plan->layers);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *head = NULL;
  gsize length;
  const guchar *data = g_bytes_get_data (seed, &length);

  if (domain == NULL)
    return NULL;
  head = g_strdup_printf (FORMAT "\n%s\n%s\n%s\n%" G_GUINT64_FORMAT "\n%" G_GUINT64_FORMAT
                                 " %" G_GUINT64_FORMAT " %s\n%s\n",
                          plan->image_id, plan->image_disk, below, plan->disk_bytes,
                          facts->libvirt_version, facts->qemu_version,
                          _sandbox_accel_to_string (plan->accel), computer);
  g_checksum_update (sum, (const guchar *)head, (gssize)strlen (head));
  g_checksum_update (sum, (const guchar *)domain, (gssize)strlen (domain));
  g_checksum_update (sum, data, (gssize)length);
  return g_strndup (g_checksum_get_string (sum), 32);
}
