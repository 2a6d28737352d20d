// SPDX-License-Identifier: LGPL-2.1-or-later
// The seed: the archive from which the guest's initrd takes the machine's identity, keys and mounts
// at every boot.
#include "guest/guest-private.h"
#include "guest/tar.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>

#define PREFERENCES    "root/etc/apt/preferences.d/vms-policy"
#define APT_CONFIG     "root/etc/apt/apt.conf.d/80vms-policy"
#define APT_HOOK       "/usr/lib/vms/apt-hook"
#define FORWARD_CONFIG "GatewayPorts clientspecified\nAcceptEnv " SANDBOX_SSH_ENV "\n"
#define APT_CONFIG_TEXT                                                                            \
  "AptCli::Hooks::Install:: \"" APT_HOOK " asked\";\n"                                             \
  "DPkg::Pre-Install-Pkgs:: \"" APT_HOOK " install\";\n"                                           \
  "DPkg::Tools::Options::" APT_HOOK "::Version \"2\";\n"
#define IDENTITY_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/+=,@-"

/* The guest reads the lines with a shell: what this lets through means nothing to one. */
static gboolean
add_identity (GString *text, const char *key, const char *value, GError **error)
{
  if (strspn (value, IDENTITY_CHARS) != strlen (value))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "making the seed: %s has a character that the guest does not take", key);
  g_string_append_printf (text, "%s=%s\n", key, value);
  return TRUE;
}

static gboolean
append_identity (GByteArray *out, const SandboxPlan *plan, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *uid = g_strdup_printf ("%u", plan->uid);
  g_autofree char *gid = g_strdup_printf ("%u", plan->gid);
  g_autofree char *address = g_strdup_printf ("%s/%u", plan->address, plan->subnet.bits);
  gboolean routed = !g_str_equal (plan->network_mode, "none");

  if (!plan->uid)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "making the seed: the user is never uid 0");
  if (!add_identity (text, "HOSTNAME", plan->name, error)
      || !add_identity (text, "USER", plan->user, error) || !add_identity (text, "UID", uid, error)
      || !add_identity (text, "GID", gid, error)
      || !add_identity (text, "MACHINE_ID", plan->machine_id, error)
      || !add_identity (text, "ADDRESS", address, error)
      || !add_identity (text, "GATEWAY", routed ? plan->gateway : "", error)
      || !add_identity (text, "DNS", routed ? plan->gateway : "", error))
    return FALSE;
  sandbox_tar_append (out, "identity", 0644, text->str, text->len);
  return TRUE;
}

/* As in fstab(5): what would end the word, and the backslash, as octal. */
static void
add_escaped (GString *text, const char *path)
{
  for (; *path; path++)
    {
      guchar c = (guchar)*path;

      if (c <= ' ' || c == '\\' || c == '#' || c == 0x7f)
        g_string_append_printf (text, "\\%03o", c);
      else
        g_string_append_c (text, *path);
    }
}

static void
append_mounts (GByteArray *out, const SandboxPlan *plan)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < plan->shares->len; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (plan->shares, i);

      g_string_append_printf (text, "%s ", share->tag);
      add_escaped (text, share->target);
      /* two words for the plainest: what an image of the first version knows */
      if (*share->shadow)
        g_string_append_printf (text, " rw %s\n", share->shadow);
      else if (_sandbox_share_mode_is_read_only (share->mode))
        g_string_append_printf (text, " %s\n", _sandbox_plan_share_mount (share));
      else
        g_string_append_c (text, '\n');
    }
  sandbox_tar_append (out, "mounts", 0644, text->str, text->len);
}

/* @key of the state directory as @name in the archive; its public half beside it. */
static gboolean
append_pair (GByteArray *out, int state_fd, const char *key, const char *name, GError **error)
{
  g_autofree char *public_name = g_strdup_printf ("%s.pub", name);
  g_autofree char *public = _sandbox_key_public (state_fd, key, error);
  g_autofree char *private = NULL;
  gsize length = 0;

  if (!public || !sandbox_file_read_at (state_fd, key, SANDBOX_KEY_MAX, &private, &length, error))
    return FALSE;
  sandbox_tar_append (out, name, 0600, private, length);
  explicit_bzero (private, length);
  {
    g_autofree char *line = g_strconcat (public, "\n", NULL);

    sandbox_tar_append (out, public_name, 0644, line, strlen (line));
  }
  return TRUE;
}

static gboolean
append_keys (GByteArray *out, const SandboxPlan *plan, int state_fd, GError **error)
{
  g_autofree char *user_public = _sandbox_key_public (state_fd, "user_key", error);
  g_autofree char *keys_name = g_strdup_printf ("root/etc/ssh/authorized_keys.d/%s", plan->user);
  g_autofree char *line = NULL;

  if (!user_public)
    return FALSE;
  sandbox_tar_append (out, "root", 0755, NULL, 0);
  sandbox_tar_append (out, "root/etc", 0755, NULL, 0);
  sandbox_tar_append (out, "root/etc/ssh", 0755, NULL, 0);
  if (!append_pair (out, state_fd, "host_key", "root/etc/ssh/ssh_host_ed25519_key", error))
    return FALSE;
  sandbox_tar_append (out, "root/etc/ssh/authorized_keys.d", 0755, NULL, 0);
  line = g_strconcat (user_public, "\n", NULL);
  sandbox_tar_append (out, keys_name, 0644, line, strlen (line));
  /* Here and not in the image: machines of older images have it, too, from their next boot on. It
   * allows the host's ssh to say where the ports of host= listen; without it, that is the machine's
   * own loopback, out of reach for containers. And it takes the variable in which a command's are.
   */
  sandbox_tar_append (out, "root/etc/ssh/sshd_config.d", 0755, NULL, 0);
  sandbox_tar_append (out, "root/etc/ssh/sshd_config.d/05-vms-forward.conf", 0644, FORWARD_CONFIG,
                      strlen (FORWARD_CONFIG));
  sandbox_tar_append (out, "home", 0700, NULL, 0);
  sandbox_tar_append (out, "home/.ssh", 0700, NULL, 0);
  return append_pair (out, state_fd, "guest_key", "home/.ssh/id_ed25519", error);
}

/* For apt, which takes names with * and ? as they are; npm's have a slash or an at sign. Written
 * when nothing is forbidden, too: it replaces what an earlier boot has left. */
static void
append_pins (GByteArray *out, const SandboxPlan *plan, const char *hook)
{
  g_autoptr (GString) text =
      g_string_new ("# what the machine's profile forbids: made at each boot\n");
  g_autoptr (GString) names = g_string_new (NULL);
  static const char *const dirs[] = { "root/etc/apt",
                                      "root/etc/apt/preferences.d",
                                      "root/etc/apt/apt.conf.d",
                                      "root/usr",
                                      "root/usr/lib",
                                      "root/usr/lib/vms" };

  for (char **pattern = plan->forbid; *pattern; pattern++)
    if (!strpbrk (*pattern, "@/"))
      g_string_append_printf (names, " %s", *pattern);
  if (names->len > 0)
    g_string_append_printf (text,
                            "Explanation: forbidden by the profile %s\n"
                            "Package:%s\nPin: version *\nPin-Priority: -1\n",
                            plan->profile, names->str);
  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    sandbox_tar_append (out, dirs[i], 0755, NULL, 0);
  sandbox_tar_append (out, PREFERENCES, 0644, text->str, text->len);
  if (names->len == 0 || !hook)
    return;
  sandbox_tar_append (out, APT_CONFIG, 0644, APT_CONFIG_TEXT, strlen (APT_CONFIG_TEXT));
  sandbox_tar_append (out, "root" APT_HOOK, 0755, hook, strlen (hook));
}

GBytes *
_sandbox_seed_build (const SandboxPlan *plan, int state_fd, const char *apt_hook, GError **error)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();

  if (!append_identity (out, plan, error))
    return NULL;
  append_mounts (out, plan);
  if (state_fd >= 0 && !append_keys (out, plan, state_fd, error))
    return NULL;
  append_pins (out, plan, apt_hook);
  sandbox_tar_append_end (out);
  return g_byte_array_free_to_bytes (g_steal_pointer (&out));
}
