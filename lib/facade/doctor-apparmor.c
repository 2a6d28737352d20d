// SPDX-License-Identifier: LGPL-2.1-or-later
// May libvirt's daemon start the share helper, as far as its AppArmor profile goes? Read from the
// text of the profile, since what the kernel has loaded cannot be asked for.
#include "facade/doctor.h"

#include "config.h"

#include <string.h>

#define PROFILE       "/etc/apparmor.d/usr.sbin.libvirtd"
#define PROFILE_LOCAL "/etc/apparmor.d/local/usr.sbin.libvirtd"
#define ACTIVE        "/sys/kernel/security/apparmor"
#define SHARE_HELPER  SANDBOX_SBINDIR "/vms-virtiofsd"

/* AppArmor's patterns (apparmor.d(5), "Globbing") as a regular expression. */
static char *
to_regex (const char *pattern)
{
  GString *regex = g_string_new ("^");
  gboolean braces = FALSE;

  for (const char *c = pattern; *c != '\0'; c++)
    {
      if (g_str_has_prefix (c, "**"))
        {
          g_string_append (regex, ".*");
          c++;
        }
      else if (*c == '*' || *c == '?')
        g_string_append (regex, *c == '*' ? "[^/]*" : "[^/]");
      else if (*c == '{' || *c == '}')
        {
          braces = *c == '{';
          g_string_append (regex, braces ? "(" : ")");
        }
      else if (*c == ',' && braces)
        g_string_append_c (regex, '|');
      else if (*c == '[' || *c == ']')
        g_string_append_c (regex, *c);
      else
        {
          g_autofree char *plain = g_regex_escape_string (c, 1);

          g_string_append (regex, plain);
        }
    }
  g_string_append_c (regex, '$');
  return g_string_free (regex, FALSE);
}

/* "[audit] [allow|deny] PATTERN PERMISSIONS," of files; all else, and what cannot be told, is no
 * rule. */
static gboolean
rule_covers (const char *line, const char *path, gboolean *ret_deny)
{
  static const char *const prefixes[] = { "audit", "allow", "deny", "owner", NULL };
  g_auto (GStrv) words = g_strsplit_set (line, " \t", -1);
  g_autofree char *regex = NULL;
  char **word = words;

  *ret_deny = FALSE;
  for (; *word != NULL && (**word == '\0' || **word != '/'); word++)
    {
      if (**word != '\0' && !g_strv_contains (prefixes, *word))
        return FALSE;
      *ret_deny |= g_str_equal (*word, "deny");
    }
  if (*word == NULL)
    return FALSE;
  regex = to_regex (*word);
  for (word++; *word != NULL && **word == '\0';)
    word++;
  return *word != NULL && strchr (*word, 'x') != NULL && g_str_has_suffix (*word, ",")
         && g_regex_match_simple (regex, path, G_REGEX_RAW, 0);
}

gboolean
_sandbox_apparmor_may_execute (const char *text, const char *path)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  gboolean may = FALSE;

  for (guint i = 0; lines[i] != NULL; i++)
    {
      gboolean deny;

      if (!rule_covers (lines[i], path, &deny))
        continue;
      if (deny)
        return FALSE;
      may = TRUE;
    }
  return may;
}

void
_sandbox_doctor_apparmor (SandboxDoctor *doctor)
{
  g_autofree char *text = NULL, *local = NULL, *whole = NULL;
  gboolean active = g_file_test (ACTIVE, G_FILE_TEST_IS_DIR);
  SandboxCheck *check;

  if (!g_file_get_contents (PROFILE, &text, NULL, NULL))
    return;
  if (!g_file_get_contents (PROFILE_LOCAL, &local, NULL, NULL))
    local = g_strdup ("");
  whole = g_strconcat (text, "\n", local, NULL);
  if (_sandbox_apparmor_may_execute (whole, SHARE_HELPER))
    {
      _sandbox_doctor_add (doctor, "apparmor", SANDBOX_CHECK_GOOD,
                           "AppArmor's profile of libvirt's daemon lets it start " SHARE_HELPER);
      return;
    }
  check = _sandbox_doctor_add (
      doctor, "apparmor", active ? SANDBOX_CHECK_ERROR : SANDBOX_CHECK_NOTE,
      "AppArmor's profile of libvirt's daemon (" PROFILE ") does not let it start " SHARE_HELPER
      ": machines with shared directories %s",
      active ? "do not start" : "would not start if AppArmor were on");
  _sandbox_check_step (check, TRUE, SHARE_HELPER " PUx,\n", "tee", "-a", PROFILE_LOCAL, NULL);
  if (active)
    _sandbox_check_step (check, TRUE, NULL, "apparmor_parser", "-r", PROFILE, NULL);
  _sandbox_check_show_steps (check);
}
