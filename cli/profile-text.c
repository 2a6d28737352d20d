// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading profile files that a user names, and writing templates.
#include "profile-text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One byte more than any profile may have, so that the library is the one that refuses it. */
#define VMS_PROFILE_MAX (1024 * 1024 + 1)

static gboolean
read_all (int fd, GByteArray *text)
{
  guint8 block[16384];

  for (;;)
    {
      ssize_t got = read (fd, block, sizeof block);
      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0 || text->len >= VMS_PROFILE_MAX)
        return got >= 0;
      g_byte_array_append (text, block, (guint)got);
    }
}

char *
vms_profile_read (const char *path, gsize *ret_length, GError **error)
{
  g_autofree char *shown = vms_escape (path);
  g_autoptr (GByteArray) text = g_byte_array_new ();
  /* a FIFO must not block */
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  int saved_errno = errno;
  struct stat info;
  gboolean regular, ok;

  if (fd < 0)
    {
      vms_fail (error, saved_errno == ENOENT ? SANDBOX_ERROR_NOT_FOUND : SANDBOX_ERROR_INVALID,
                "reading %s: %s", shown, g_strerror (saved_errno));
      return NULL;
    }
  regular = fstat (fd, &info) == 0 && S_ISREG (info.st_mode);
  ok = regular && read_all (fd, text);
  saved_errno = errno;
  close (fd);
  if (!ok)
    {
      vms_fail (error, SANDBOX_ERROR_INVALID, "reading %s: %s", shown,
                regular ? g_strerror (saved_errno) : "it is no regular file");
      return NULL;
    }
  *ret_length = text->len;
  g_byte_array_append (text, (const guint8 *)"", 1);
  return (char *)g_byte_array_free (g_steal_pointer (&text), FALSE);
}

char *
vms_profile_template (const char *name, const char *parent)
{
  GString *text = g_string_new (NULL);
  const char *group = "profile";
  gsize n;
  const SandboxProfileKey *keys = sandbox_profile_keys (&n);

  g_string_append_printf (
      text,
      "# Profile %s. Lines that begin with # are comments; take the # away and change the value.\n"
      "# All keys are explained in vms.profile(5) and by `vms profile keys`.\n\n[profile]\n",
      name);
  if (parent != NULL)
    g_string_append_printf (text, "inherits=%s\n", parent);
  for (gsize i = 0; i < n; i++)
    {
      gboolean share = strcmp (keys[i].group, "share:*") == 0;
      if (strcmp (keys[i].name, "inherits") == 0)
        continue;
      if (strcmp (keys[i].group, group) != 0)
        g_string_append_printf (text, share ? "\n#[%s]\n" : "\n[%s]\n",
                                share ? "share:project" : keys[i].group);
      group = keys[i].group;
      g_string_append_printf (text, "# %s (%s)\n#%s=%s\n", keys[i].summary, keys[i].allowed,
                              keys[i].name,
                              keys[i].default_value != NULL ? keys[i].default_value : "");
    }
  return g_string_free (text, FALSE);
}

SandboxProfileInfo *
vms_profile_info (const char *name, GError **error)
{
  g_autoptr (GPtrArray) profiles = sandbox_profile_list (&vms_profile_dirs, error);

  for (guint i = 0; profiles != NULL && i < profiles->len; i++)
    {
      SandboxProfileInfo *info = g_ptr_array_index (profiles, i);
      if (strcmp (info->name, name) == 0)
        return g_ptr_array_steal_index (profiles, i);
    }
  return NULL;
}
