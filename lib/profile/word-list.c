// SPDX-License-Identifier: LGPL-2.1-or-later
// Items of the lists in [provision], [policy] and of shares: names of pieces and packages, scripts,
// files, variables, patterns. What passes here is safe as a line of a file and as a word of a
// command in the guest.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/names.h"

#include <fnmatch.h>
#include <string.h>

// clang-format off
/* Each machine makes these itself, or begins without: what a layer is made of has none of them
 * (domains/provision/clean). A file put there would be gone in silence. */
static const char *const NOT_KEPT[] = {
  "/dev/*", "/proc/*", "/sys/*", "/run/*", "/var/run/*", "/tmp/*", "/var/tmp/*", "/var/log/*",
  "/etc/vms/*", "/etc/hostname", "/etc/hosts", "/etc/machine-id", "/etc/mtab",
  "/etc/resolv.conf", "/etc/ssh/ssh_host_*", "*/.ssh/authorized_keys", "*/.ssh/id_ed25519*",
  "*/.bash_history",
};
// clang-format on

#define ITEM_MAX    1024
#define SHADOW_MAX  255
#define LOWER       "abcdefghijklmnopqrstuvwxyz"
#define DIGITS      "0123456789"
#define LETTERS     LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define VERSION     LETTERS DIGITS ".+~:-"
#define NPM_NAME    LOWER DIGITS "._-"
#define NPM_VERSION LETTERS DIGITS "._+~^-"
#define PATTERN     LETTERS DIGITS "@/._+-*?"
#define PATH_CHARS  LETTERS DIGITS "/._+~@-"
/* what pam_env(8), and a shell in double quotes, take as it is */
#define ENV_CHARS LETTERS DIGITS " !%&()*+,-./:<=>?@[]^_{|}~"

gboolean
_sandbox_key_is_words (KeyId id)
{
  return (id >= KEY_PROVISION_USE && id <= KEY_PROVISION_ENV) || id == KEY_POLICY_FORBID
         || id == KEY_SHARE_SHADOW || id == KEY_SHARE_GUARD || id == KEY_SHARE_FLAG;
}

static gboolean
fail_item (const char *item, const char *wanted, GError **error)
{
  g_autofree char *shown = sandbox_escape (item, -1, 80);

  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "\"%s\" is no %s", shown, wanted);
}

/* @length characters of @text, at least one, all of them of @set. */
static gboolean
is_of (const char *text, gsize length, const char *set)
{
  return length > 0 && strspn (text, set) >= length;
}

static gboolean
is_package (const char *item)
{
  gsize name = strcspn (item, "=?");
  const char *rest = item + name;

  return g_ascii_isalnum (item[0]) && name >= 2 && is_of (item, name, LOWER DIGITS "+.-")
         && (*rest == '\0' || g_str_equal (rest, "?")
             || (*rest == '=' && is_of (rest + 1, strlen (rest + 1), VERSION)));
}

static gboolean
is_npm_name (const char *name, gsize length)
{
  return is_of (name, length, NPM_NAME) && g_ascii_isalnum (name[0]);
}

/* [@SCOPE/]NAME[@VERSION]: of the registry only, no address and no path. */
static gboolean
is_npm (const char *item)
{
  const char *name = item;
  gsize length;

  if (item[0] == '@')
    {
      length = strcspn (item + 1, "/");
      if (item[1 + length] != '/' || !is_npm_name (item + 1, length))
        return FALSE;
      name = item + length + 2;
    }
  length = strcspn (name, "@");
  return is_npm_name (name, length)
         && (name[length] == '\0'
             || is_of (name + length + 1, strlen (name + length + 1), NPM_VERSION));
}

static gboolean
is_env (const char *item)
{
  gsize name = strcspn (item, "=");

  return item[name] == '=' && is_of (item, name, LETTERS DIGITS "_") && !g_ascii_isdigit (item[0])
         && strspn (item + name + 1, ENV_CHARS) == strlen (item + name + 1);
}

/* NAME or @SCOPE/NAME, with * and ?. What fits nearly everything is a mistake: with two characters
 * of its own it does not. */
static gboolean
is_pattern (const char *item)
{
  const char *slash = strchr (item, '/');
  guint own = 0;

  for (const char *p = item; *p; p++)
    own += *p != '*' && *p != '?' ? 1 : 0;
  return own >= 2 && is_of (item, strlen (item), PATTERN) && strchr ("-+./", item[0]) == NULL
         && strrchr (item, '@') == (item[0] == '@' ? item : NULL)
         && (slash ? item[0] == '@' && slash > item + 1 && slash == strrchr (item, '/') && slash[1]
                   : item[0] != '@');
}

/* --- setup= and files= */

void
_sandbox_provision_file_clear (SandboxProvisionFile *file)
{
  g_clear_pointer (&file->source, g_free);
  g_clear_pointer (&file->target, g_free);
}

/* No part that climbs, or means another directory than it says. */
static gboolean
is_path (const char *path, gboolean may_be_relative)
{
  const char *rest = g_str_has_prefix (path, "~/") ? path + 2 : path[0] == '/' ? path + 1 : path;
  g_auto (GStrv) parts = NULL;

  if ((rest == path && !may_be_relative) || !is_of (path, strlen (path), PATH_CHARS)
      || strchr (rest, '~') == rest)
    return FALSE;
  parts = g_strsplit (rest, "/", -1);
  for (char **part = parts; *part; part++)
    if (**part == '\0' || g_str_equal (*part, ".") || g_str_equal (*part, ".."))
      return FALSE;
  return parts[0] != NULL;
}

/* Beneath the shared directory: what root in the machine mounts something on. */
static gboolean
is_shadow (const char *path)
{
  return path[0] != '/' && path[0] != '~' && path[0] != '-' && strlen (path) <= SHADOW_MAX
         && is_path (path, TRUE);
}

/* A path as of a shadow, in which "*" and "?" may stand, but no part of wildcards alone: it would
 * hold for nearly everything. */
static gboolean
is_class_pattern (const char *item)
{
  g_autofree char *plain = g_strdelimit (g_strdup (item), "*?", '+');
  g_auto (GStrv) parts = g_strsplit (item, "/", -1);

  for (guint i = 0; parts[i]; i++)
    if (parts[i][strspn (parts[i], "*?.")] == '\0' && (i == 0 || parts[i][0] == '.'))
      return FALSE;
  return is_shadow (plain);
}

static gboolean
parse_who (const char *value, gboolean *ret_as_user, GError **error)
{
  if (!g_str_equal (value, "root") && !g_str_equal (value, "user"))
    return fail_item (value, "owner: use root or user", error);
  *ret_as_user = g_str_equal (value, "user");
  return TRUE;
}

static gboolean
parse_mode (const char *value, guint *ret_mode, GError **error)
{
  gsize length = strlen (value);

  if ((length != 3 && length != 4) || strspn (value, "01234567") != length
      || (length == 4 && value[0] != '0'))
    return fail_item (value, "mode: use octal digits such as 0644 or 755", error);
  *ret_mode = (guint)g_ascii_strtoull (value, NULL, 8);
  return TRUE;
}

/* Of two values the second one would win in silence. */
static gboolean
check_options_once (char **options, GError **error)
{
  for (char **option = options; *option; option++)
    for (char **other = options; other < option; other++)
      if (strcspn (*option, "=") == strcspn (*other, "=")
          && strncmp (*option, *other, strcspn (*option, "=")) == 0)
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "\"%s\" and \"%s\" stand behind the same item: write one of them",
                             *other, *option);
  return TRUE;
}

gboolean
_sandbox_setup_item_parse (const char *item, SandboxProvisionFile *ret, GError **error)
{
  g_auto (SandboxProvisionFile) file = { .mode = 0755 };
  g_auto (GStrv) parts = g_strsplit (item, ",", -1);

  if (!parts[0] || !is_path (parts[0], TRUE))
    return fail_item (item,
                      "script: use a path from /, ~/ or the directory of your profiles, of "
                      "letters, digits and /._+@-",
                      error);
  for (char **part = parts + 1; *part; part++)
    if (!g_str_has_prefix (*part, "as="))
      return fail_item (*part, "option of a script: use as=root or as=user", error);
    else if (!parse_who (*part + strlen ("as="), &file.as_user, error))
      return FALSE;
  if (!check_options_once (parts + 1, error))
    return FALSE;
  file.source = g_strdup (parts[0]);
  *ret = file;
  file = (SandboxProvisionFile){ 0 };
  return TRUE;
}

static gboolean
parse_file_option (const char *option, SandboxProvisionFile *file, GError **error)
{
  if (g_str_has_prefix (option, "owner="))
    return parse_who (option + strlen ("owner="), &file->as_user, error);
  if (g_str_has_prefix (option, "mode="))
    return parse_mode (option + strlen ("mode="), &file->mode, error);
  return fail_item (option, "option of a file: use owner=root, owner=user or mode=0644", error);
}

/* TARGET of a file */
static gboolean
is_kept (const char *target)
{
  for (gsize i = 0; i < G_N_ELEMENTS (NOT_KEPT); i++)
    if (fnmatch (NOT_KEPT[i], target, 0) == 0)
      return FALSE;
  return TRUE;
}

gboolean
_sandbox_files_item_parse (const char *item, SandboxProvisionFile *ret, GError **error)
{
  g_auto (SandboxProvisionFile) file = { .mode = 0644 };
  g_auto (GStrv) parts = g_strsplit (item, ",", -1);
  const char *colon = parts[0] ? strchr (parts[0], ':') : NULL;

  if (!colon)
    return fail_item (item, "file: use SOURCE:TARGET", error);
  file.source = g_strndup (parts[0], colon - parts[0]);
  file.target = g_strdup (colon + 1);
  if (!is_path (file.source, TRUE) || !is_path (file.target, FALSE))
    return fail_item (item,
                      "file: use SOURCE:TARGET, two paths of letters, digits and /._+@-, the "
                      "TARGET from / or ~/",
                      error);
  if (!is_kept (file.target))
    return fail_item (file.target,
                      "TARGET of a file: each machine has that place to itself, nothing that is "
                      "installed there is kept; use another one",
                      error);
  file.as_user = file.target[0] == '~';
  for (char **part = parts + 1; *part; part++)
    if (!parse_file_option (*part, &file, error))
      return FALSE;
  if (!check_options_once (parts + 1, error))
    return FALSE;
  *ret = file;
  file = (SandboxProvisionFile){ 0 };
  return TRUE;
}

/* What must stand in a list only once: a variable's name, the place of a file, a package whatever
 * its version; else all of it. (transfer full) */
static char *
subject_of (KeyId id, const char *item)
{
  g_auto (SandboxProvisionFile) file = { 0 };

  if (id == KEY_PROVISION_ENV)
    return g_strndup (item, strcspn (item, "="));
  if (id == KEY_PROVISION_PACKAGES)
    return g_strndup (item, strcspn (item, "=?"));
  /* "@" begins a scope, too */
  if (id == KEY_PROVISION_NPM && *item != '\0')
    return g_strndup (item, 1 + strcspn (item + 1, "@"));
  if (id == KEY_PROVISION_FILES && _sandbox_files_item_parse (item, &file, NULL))
    return g_steal_pointer (&file.target);
  return g_strdup (item);
}

gboolean
_sandbox_word_same_subject (KeyId id, const char *a, const char *b)
{
  g_autofree char *subject_a = subject_of (id, a), *subject_b = subject_of (id, b);

  return g_str_equal (subject_a, subject_b);
}

char *
_sandbox_word_canonical (KeyId id, const char *item, GError **error)
{
  g_auto (SandboxProvisionFile) file = { 0 };
  gboolean good = FALSE;

  if (strlen (item) > ITEM_MAX)
    sandbox_fail (error, SANDBOX_ERROR_INVALID,
                  "an item has %" G_GSIZE_FORMAT " bytes: use at most %d", strlen (item), ITEM_MAX);
  else if (id == KEY_PROVISION_USE)
    good = sandbox_name_check_form ("piece", item, error);
  else if (id == KEY_PROVISION_PACKAGES)
    good = is_package (item)
           || fail_item (item, "name of a package: use NAME, NAME=VERSION or NAME?", error);
  else if (id == KEY_PROVISION_NPM)
    good = is_npm (item)
           || fail_item (item, "name of an npm package: use [@SCOPE/]NAME[@VERSION]", error);
  else if (id == KEY_PROVISION_ENV)
    good = is_env (item)
           || fail_item (item, "variable: use NAME=VALUE, without quotes, backslashes, $, # and `",
                         error);
  else if (id == KEY_POLICY_FORBID)
    good = is_pattern (item)
           || fail_item (item,
                         "name of packages or commands: use NAME or @SCOPE/NAME, with * and ? for "
                         "what may vary and at least two other characters",
                         error);
  else if (id == KEY_SHARE_SHADOW)
    good = is_shadow (item)
           || fail_item (item,
                         "directory in a share: use a path from the shared directory on, such as "
                         "node_modules, without . and .., of letters, digits and /._+~@-",
                         error);
  else if (id == KEY_SHARE_GUARD || id == KEY_SHARE_FLAG)
    good = is_class_pattern (item)
           || fail_item (item,
                         "pattern of names: use a name or a path, such as deploy.sh or "
                         "scripts/*.py, of letters, digits and /._+~@-, with * and ? for what may "
                         "vary, but not alone at its beginning",
                         error);
  else if (id == KEY_PROVISION_SETUP)
    good = _sandbox_setup_item_parse (item, &file, error);
  else
    good = _sandbox_files_item_parse (item, &file, error);
  return good ? g_strdup (item) : NULL;
}

/* --- timeout= */

static gboolean
parse_time_limit (const char *value, guint64 *ret_sec)
{
  static const struct
  {
    char suffix;
    guint64 sec;
  } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 } };
  gsize length = strlen (value);
  g_autofree char *number = g_strndup (value, length > 0 ? length - 1 : 0);
  guint64 n;

  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    if (length > 0 && value[length - 1] == units[i].suffix)
      {
        if (!sandbox_uint_parse (number, 1, 86400 / units[i].sec, &n, NULL))
          return FALSE;
        *ret_sec = n * units[i].sec;
        return TRUE;
      }
  return FALSE;
}

gboolean
_sandbox_time_limit_check (const char *value, GError **error)
{
  guint64 sec;

  return parse_time_limit (value, &sec)
         || fail_item (value, "time: use a whole number with s, m or h, from 1s to 24h", error);
}

gint64
_sandbox_time_limit_usec (const char *value)
{
  guint64 sec = 0;

  if (!parse_time_limit (value, &sec))
    g_assert_not_reached (); /* the value was checked when it came in */
  return (gint64)sec * G_USEC_PER_SEC;
}
