// SPDX-License-Identifier: LGPL-2.1-or-later
// The key table: one row per key drives the reader, the checks, the listing, the manual and
// completion.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <string.h>

#define KIB G_GUINT64_CONSTANT (1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

typedef struct _Check Check;
typedef gboolean (*CheckFunc) (const Check *check, const char *value, GError **error);

/* How the value of a row is checked: by @func, after "auto" if that is allowed. */
struct _Check
{
  CheckFunc func;
  gboolean or_auto;
  guint64 min, max;
  const char *const *words;
};

static const char *const accel_words[] = { "auto", "kvm", "tcg", NULL };
static const char *const start_words[] = { "boot", "warm", NULL };
static const char *const network_words[] = { "nat", "none", NULL };
static const char *const yes_no_words[] = { "yes", "no", NULL };
static const char *const mode_words[] = { "rw", "ro", "guarded", "review", NULL };
/* As they are offered. */
static const char *const mode_offered[] = { "review", "guarded", "rw", "ro", NULL };

static const SandboxProfileKey rows[N_KEYS] = {
  [KEY_INHERITS] = { "profile", "inherits", "profile name",
                     "the name of a shipped profile or of one of yours", NULL,
                     "The profile whose values hold where this one says nothing" },
  [KEY_DEFAULTS] = { "profile", "defaults", "word", "yes or no", "yes",
                     "Whether your defaults.profile holds for it, and for what inherits it" },
  [KEY_SUMMARY] = { "profile", "summary", "text", "one line of at most 200 bytes", "",
                    "What the machine is for" },
  [KEY_IMAGE] = { "machine", "image", "image name",
                  "a name as in `vms image list`, such as debian-13", "debian-13",
                  "The image that the machine's disk is made from" },
  [KEY_CPUS] = { "machine", "cpus", "number", "auto, or a whole number from 1 to 256", "auto",
                 "Virtual CPUs; auto follows the host" },
  [KEY_MEMORY] = { "machine", "memory", "size", "auto, or a size from 256MiB to 4TiB", "auto",
                   "Memory; auto follows the host" },
  [KEY_DISK] = { "machine", "disk", "size", "a size from 8GiB to 16TiB", "40GiB",
                 "Largest size of the disk; it takes up only what is used" },
  [KEY_USER] = { "machine", "user", "user name",
                 "1 to 31 characters a-z, 0-9 and -, not root or another user of the system", "dev",
                 "The user in the machine; has sudo" },
  [KEY_ACCEL] = { "machine", "accel", "word", "auto, kvm or tcg", "auto",
                  "Hardware acceleration; auto takes kvm where it works" },
  [KEY_START_ON_EXEC] = { "machine", "start-on-exec", "word", "yes or no", "yes",
                          "Whether ssh, exec and cp may start the machine" },
  [KEY_START] = { "machine", "start", "word", "boot or warm", "boot",
                  "A fresh machine boots, or goes on from kept memory" },
  [KEY_ENCRYPT] = { "machine", "encrypt", "word", "yes or no", "no",
                    "Whether its disk is encrypted; each start asks for the passphrase" },
  [KEY_NETWORK_MODE] = { "network", "mode", "word", "nat or none", "nat",
                         "nat: a network of its own with a way out; none: no way out" },
  [KEY_NETWORK_EGRESS] = { "network", "egress", "list of ports",
                           "empty, or PORTS/tcp or PORTS/udp separated by ;, such as "
                           "443/tcp;8000-8010/udp; + in front adds to the inherited list",
                           "",
                           "Ports of the public internet that it may reach; empty: all of them" },
  [KEY_NETWORK_ALLOW] = { "network", "allow", "list of addresses",
                          "empty, or ADDRESS[/BITS][:PORTS]/tcp or /udp separated by ;, such as "
                          "10.0.0.5:5432/tcp; + in front adds to the inherited list",
                          "", "Private addresses that it may reach all the same" },
  [KEY_NETWORK_FORWARD] = { "network", "forward", "list of ports",
                            "empty, or PORT, FIRST-LAST or HOST:GUEST separated by ;, such as "
                            "8000-9000;3000;8080:80; a single port stands before a range that it "
                            "lies in; + in front "
                            "adds to the inherited list",
                            "", "Its ports that are reached on 127.0.0.1 of this host" },
  [KEY_NETWORK_HOST] = { "network", "host", "list of ports",
                         "empty, or PORT, FIRST-LAST or HOST:GUEST separated by ;, such as "
                         "11434;9000:9001; + in front adds to the inherited list",
                         "", "Services on 127.0.0.1 of this host that are offered in it" },
  [KEY_PROVISION_USE] = { "provision", "use", "list of pieces",
                          "empty, or names of shipped pieces separated by ;, such as "
                          "node;docker; + in front adds to the inherited list",
                          "", "Shipped pieces that are installed in it" },
  [KEY_PROVISION_PACKAGES] = { "provision", "packages", "list of packages",
                               "empty, or names of Debian packages separated by ;, such as "
                               "ripgrep;build-essential, or NAME=VERSION, or NAME? (left out "
                               "where the distribution has none of it); + in front adds to the "
                               "inherited list",
                               "", "Packages of the distribution that are installed in it" },
  [KEY_PROVISION_NPM] = { "provision", "npm", "list of packages",
                          "empty, or names of npm packages, with scope and version as npm has "
                          "them, "
                          "separated by ;, such as typescript;eslint; + in front adds to the "
                          "inherited list",
                          "", "npm packages that are installed in it, for everybody" },
  [KEY_PROVISION_SETUP] = { "provision", "setup", "list of scripts",
                            "empty, or scripts separated by ;, from /, ~/ or the directory of your "
                            "profiles, with ,as=user behind to run as the user; + in front adds "
                            "to the inherited list",
                            "", "Scripts of yours that are run in it, in this order" },
  [KEY_PROVISION_FILES] = { "provision", "files", "list of files",
                            "empty, or SOURCE:TARGET separated by ;, such as "
                            "gitconfig:~/.gitconfig, with ,owner=root or ,owner=user and "
                            ",mode=0644 behind; + in front adds to the inherited list",
                            "", "Files of yours that are copied into it, before the scripts" },
  [KEY_PROVISION_ENV] = { "provision", "env", "list of variables",
                          "empty, or NAME=VALUE separated by ;, such as EDITOR=vim; + in front "
                          "adds to the inherited list",
                          "",
                          "Variables of sessions, sudo and setup scripts in it, but not of "
                          "services" },
  [KEY_PROVISION_TIMEOUT] = { "provision", "timeout", "time",
                              "a whole number with s, m or h, from 1s to 24h", "60m",
                              "How long one step of the provisioning may take" },
  [KEY_POLICY_FORBID] = { "policy", "forbid", "list of names",
                          "empty, or names of packages and commands separated by ;, with * and ? "
                          "for what may vary, such as docker*;npm; + in front adds to "
                          "the inherited list",
                          "", "What must not be installed in it: packages, commands" },
  [KEY_SHARE_SOURCE] = { SHARE_GROUP_ANY, "source", "path",
                         "a directory of yours, from / or ~/; %n is the machine's name", NULL,
                         "The shared directory on the host" },
  [KEY_SHARE_TARGET] = { SHARE_GROUP_ANY, "target", "path",
                         "a directory from / or ~/; %n is the machine's name", "~/NAME",
                         "Where it appears in the machine" },
  [KEY_SHARE_MODE] = { SHARE_GROUP_ANY, "mode", "word", "review, guarded, rw or ro", "review",
                       "Changes go: review, to its disk; rw, through; guarded, but for what runs" },
  [KEY_SHARE_CREATE] = { SHARE_GROUP_ANY, "create", "word", "yes or no", "no",
                         "Whether the directory is made (mode 0700) when it is not there" },
  [KEY_SHARE_SHADOW] = { SHARE_GROUP_ANY, "shadow", "list of directories",
                         "empty, or directories in the shared one separated by ;, such as "
                         "node_modules;target;.venv; + in front adds to the inherited list; only "
                         "for mode=rw and mode=guarded",
                         "", "Directories in it that lie on the machine's own disk instead" },
  [KEY_SHARE_GUARD] = { SHARE_GROUP_ANY, "guard", "list of patterns",
                        "empty, or names or paths separated by ;, such as deploy.sh;scripts/*.py, "
                        "with * and ? for what may vary, at any depth, and with all that is in "
                        "them; + in front adds to the inherited list; only for mode=review and "
                        "mode=guarded",
                        "", "What else this host runs without being asked" },
  [KEY_SHARE_FLAG] = { SHARE_GROUP_ANY, "flag", "list of patterns",
                       "empty, or names or paths as for guard; only for mode=review", "",
                       "What else is shown as build files are" },
};

const SandboxProfileKey *
sandbox_profile_keys (gsize *ret_n)
{
  if (ret_n)
    *ret_n = N_KEYS;
  return rows;
}

const SandboxProfileKey *
_sandbox_key_row (KeyId id)
{
  return &rows[id];
}

const char *
_sandbox_accel_to_string (SandboxAccel accel)
{
  return accel_words[accel];
}

SandboxAccel
_sandbox_accel_from_string (const char *text)
{
  for (guint i = 0; accel_words[i]; i++)
    if (g_str_equal (accel_words[i], text))
      return (SandboxAccel)i;
  return SANDBOX_ACCEL_AUTO;
}

const char *
_sandbox_share_mode_to_string (SandboxShareMode mode)
{
  return mode_words[mode];
}

SandboxShareMode
_sandbox_share_mode_from_string (const char *text)
{
  SandboxShareMode mode = SANDBOX_SHARE_REVIEW;

  while (mode > SANDBOX_SHARE_RW && g_strcmp0 (text, mode_words[mode]) != 0)
    mode--;
  return mode;
}

gboolean
_sandbox_share_mode_is_read_only (SandboxShareMode mode)
{
  return mode == SANDBOX_SHARE_RO || mode == SANDBOX_SHARE_REVIEW;
}

/* --- checks of values; each says what is wrong with @value, the caller says where */

static gboolean
fail_word (const char *value, const char *kind, const char *const *words, GError **error)
{
  g_autofree char *shown = sandbox_escape (value, -1, 80);
  g_autofree char *list = g_strjoinv (", ", (char **)words);
  const char *nearest = sandbox_nearest (value, words);

  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "\"%s\" is no %s: use one of %s%s%s%s", shown,
                       kind, list, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                       nearest ? "\"?" : "");
}

static gboolean
check_word (const Check *check, const char *value, GError **error)
{
  return g_strv_contains (check->words, value)
         || fail_word (value, "allowed value", check->words, error);
}

static gboolean
check_mode (const Check *check, const char *value, GError **error)
{
  return g_strv_contains (mode_offered, value)
         || fail_word (value, "share mode", mode_offered, error);
}

static gboolean
check_number (const Check *check, const char *value, GError **error)
{
  guint64 number;

  return sandbox_uint_parse (value, check->min, check->max, &number, error);
}

static gboolean
check_size (const Check *check, const char *value, GError **error)
{
  guint64 bytes;

  return sandbox_size_parse (value, check->min, check->max, &bytes, error);
}

static gboolean
check_profile_name (const Check *check, const char *value, GError **error)
{
  return sandbox_name_check_form ("profile", value, error);
}

static gboolean
check_image_name (const Check *check, const char *value, GError **error)
{
  return sandbox_name_check_form ("image", value, error);
}

/* The image's user is renamed to this one: a name that a system has already would give it two
 * meanings. */
static gboolean
check_user_name (const Check *check, const char *value, GError **error)
{
  static const char *const taken[] = {
    "root",    "adm",    "audio",    "backup",   "bin",     "cdrom",   "crontab",    "daemon",
    "dialout", "disk",   "dip",      "fax",      "floppy",  "games",   "input",      "irc",
    "kmem",    "kvm",    "list",     "lp",       "mail",    "man",     "messagebus", "netdev",
    "news",    "nobody", "nogroup",  "operator", "plugdev", "polkitd", "proxy",      "render",
    "sasl",    "sgx",    "shadow",   "src",      "ssh",     "sshd",    "staff",      "sudo",
    "sync",    "sys",    "tape",     "tty",      "users",   "utmp",    "uucp",       "uuidd",
    "video",   "voice",  "www-data", NULL
  };

  if (!sandbox_name_check_form ("user", value, error))
    return FALSE;
  if (g_strv_contains (taken, value) || g_str_has_prefix (value, "systemd-"))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"%s\" is a user or group of the guest's system: choose another name, "
                         "such as dev",
                         value);
  return TRUE;
}

static gboolean
check_text (const Check *check, const char *value, GError **error)
{
  gsize length = strlen (value);

  if (length > check->max)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "the text has %" G_GSIZE_FORMAT " bytes: use at most %d", length,
                         (int)check->max);
  return TRUE;
}

static gboolean
check_source (const Check *check, const char *value, GError **error)
{
  return sandbox_share_source_text_check (value, error);
}

static gboolean
check_target (const Check *check, const char *value, GError **error)
{
  return sandbox_share_target_text_check (value, error);
}

static gboolean
check_time_limit (const Check *check, const char *value, GError **error)
{
  return _sandbox_time_limit_check (value, error);
}

static const Check checks[N_KEYS] = {
  [KEY_INHERITS] = { check_profile_name },
  [KEY_DEFAULTS] = { check_word, .words = yes_no_words },
  [KEY_SUMMARY] = { check_text, .max = SANDBOX_PROFILE_SUMMARY_MAX },
  [KEY_IMAGE] = { check_image_name },
  [KEY_CPUS] = { check_number, TRUE, 1, 256 },
  [KEY_MEMORY] = { check_size, TRUE, 256 * MIB, 4 * TIB },
  /* images have 8GiB, and no disk is smaller than what it stands on */
  [KEY_DISK] = { check_size, FALSE, 8 * GIB, 16 * TIB },
  [KEY_USER] = { check_user_name },
  [KEY_ACCEL] = { check_word, .words = accel_words },
  [KEY_START_ON_EXEC] = { check_word, .words = yes_no_words },
  [KEY_START] = { check_word, .words = start_words },
  [KEY_ENCRYPT] = { check_word, .words = yes_no_words },
  [KEY_NETWORK_MODE] = { check_word, .words = network_words },
  [KEY_PROVISION_TIMEOUT] = { check_time_limit },
  [KEY_SHARE_SOURCE] = { check_source },
  [KEY_SHARE_TARGET] = { check_target },
  [KEY_SHARE_MODE] = { check_mode },
  [KEY_SHARE_CREATE] = { check_word, .words = yes_no_words },
};

guint64
_sandbox_key_number (const char *value)
{
  guint64 number = 0;

  /* one of them fits: the value was checked when it came in; "auto" is 0 */
  if (!sandbox_uint_parse (value, 0, G_MAXUINT64, &number, NULL))
    sandbox_size_parse (value, 0, G_MAXUINT64, &number, NULL);
  return number;
}

/* The reader has looked at these already; values set by a program come here first. */
static gboolean
check_plain (const char *value, GError **error)
{
  if (!g_utf8_validate (value, -1, NULL))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "the value is no valid UTF-8");
  for (const char *p = value; *p; p = g_utf8_next_char (p))
    if (!sandbox_char_is_plain (g_utf8_get_char (p)))
      {
        g_autofree char *shown = sandbox_escape (value, -1, 80);

        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "\"%s\" has a control or invisible character: remove it", shown);
      }
  if (value[0] == ' ' || g_str_has_suffix (value, " "))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"%s\" has a blank at its beginning or end: remove it", value);
  return TRUE;
}

gboolean
_sandbox_key_check (KeyId id, const char *value, char **ret_value, GError **error)
{
  const Check *check = &checks[id];
  gsize length = strlen (value);
  /* completion in a shell ends directories with a slash */
  gboolean is_path = id == KEY_SHARE_SOURCE || id == KEY_SHARE_TARGET;
  g_autofree char *text =
      g_strndup (value, is_path && length > 2 && value[length - 1] == '/' ? length - 1 : length);

  if (length > SANDBOX_PROFILE_LINE_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "the value has %" G_GSIZE_FORMAT " bytes: use at most %d", length,
                         SANDBOX_PROFILE_LINE_MAX);
  if (!check_plain (text, error))
    return FALSE;
  if (_sandbox_key_is_list (id))
    return _sandbox_list_check (id, text, ret_value, error);
  if (!(check->or_auto && g_str_equal (text, "auto")) && !check->func (check, text, error))
    {
      if (check->or_auto && error && *error)
        {
          g_autofree char *message = (*error)->message;

          (*error)->message = g_strconcat (message, ", or auto", NULL);
        }
      return FALSE;
    }
  *ret_value = g_steal_pointer (&text);
  return TRUE;
}
