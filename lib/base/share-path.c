// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of share paths: which form they have, and which places are never shared or hidden by a
// share.
#include "base/file.h"

#include "base/error.h"
#include "base/names.h"
#include "base/share-path-private.h"

#include <string.h>

/* A guest that writes here runs as root on the host, or reads its secrets; in a guest a mount here
 * breaks its system. */
static const char *const system_trees[] = {
  "/bin",       "/boot",    "/dev",     "/etc",      "/lib",     "/lib32",     "/lib64",
  "/libx32",    "/proc",    "/run",     "/sbin",     "/sys",     "/usr",       "/var/backups",
  "/var/cache", "/var/lib", "/var/log", "/var/mail", "/var/run", "/var/spool", NULL,
};

/* What lies in these may be shared, they themselves not: they hold what others rely on. */
static const char *const whole_places[] = { "/",     "~",    "/home", "/media", "/mnt", "/opt",
                                            "/root", "/srv", "/tmp",  "/var",   NULL };

static gboolean
is_in (const char *path, const char *tree)
{
  gsize length = strlen (tree);

  return strncmp (path, tree, length) == 0
         && (path[length] == '\0' || path[length] == '/' || tree[length - 1] == '/');
}

gboolean
sandbox_path_overlaps (const char *a, const char *b)
{
  return is_in (a, b) || is_in (b, a);
}

static gboolean
fail_path (GError **error, const char *text, const char *reason)
{
  g_autofree char *shown = sandbox_escape (text, -1, 120);

  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "\"%s\" %s", shown, reason);
}

/* No "", "." or ".." between the slashes after the first. */
static gboolean
is_clean (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", -1);

  if (g_str_equal (text, "/") || g_str_equal (text, "~"))
    return TRUE;
  for (guint i = 1; parts[i]; i++)
    if (parts[i][0] == '\0' || g_str_equal (parts[i], ".") || g_str_equal (parts[i], ".."))
      return FALSE;
  return TRUE;
}

static gboolean
has_plain_text (const char *text)
{
  if (!g_utf8_validate (text, -1, NULL))
    return FALSE;
  for (const char *p = text; *p; p = g_utf8_next_char (p))
    if (!sandbox_char_is_plain (g_utf8_get_char (p)))
      return FALSE;
  return TRUE;
}

/* %n, the machine's name, is the only substitution there is. */
static gboolean
has_only_name_percent (const char *text)
{
  for (const char *p = strchr (text, '%'); p; p = strchr (p + 1, '%'))
    if (p[1] != 'n')
      return FALSE;
  return TRUE;
}

static gboolean
check_form (const char *text, GError **error)
{
  if (strlen (text) > SANDBOX_SHARE_PATH_MAX)
    return fail_path (error, text, "is too long for a path: use at most 1024 bytes");
  if (!has_plain_text (text))
    return fail_path (error, text,
                      "is no path for a share: use valid UTF-8 without control characters");
  if (text[0] != '/' && !g_str_equal (text, "~") && !g_str_has_prefix (text, "~/"))
    return fail_path (error, text,
                      "is no path for a share: use one that begins with / or ~/ (nothing else is "
                      "expanded)");
  if (strpbrk (text, ",:"))
    return fail_path (error, text,
                      "is no path for a share: it has a , or a :, which separate the parts of a "
                      "share; use a directory without them");
  if (!has_only_name_percent (text))
    return fail_path (error, text,
                      "is no path for a share: the only substitution is %n, the machine's name");
  if (!is_clean (text))
    return fail_path (error, text,
                      "is no path for a share: write it without //, /./ and /../, and without a / "
                      "at its end");
  return TRUE;
}

static gboolean
check_system (const char *text, const char *reason, GError **error)
{
  if (g_strv_contains (whole_places, text))
    return fail_path (error, text, reason);
  for (guint i = 0; system_trees[i]; i++)
    if (is_in (text, system_trees[i]))
      return fail_path (error, text, reason);
  return TRUE;
}

/* What follows the home directory in @text: "" for a home itself, NULL for a path outside of all
 * homes. */
static const char *
below_home (const char *text)
{
  const char *rest = NULL;

  if (text[0] == '~')
    rest = text + 1;
  else if (is_in (text, "/root"))
    rest = text + strlen ("/root");
  else if (g_str_has_prefix (text, "/home/"))
    rest = strchrnul (text + strlen ("/home/"), '/');
  if (!rest)
    return NULL;
  return *rest == '/' ? rest + 1 : rest;
}

gboolean
_sandbox_share_home_check (const char *shown, const char *below, GError **error)
{
  if (below[0] == '\0')
    return fail_path (error, shown,
                      "cannot be shared: it is a whole home directory with all keys and settings; "
                      "share a directory in it");
  if (below[0] == '.')
    return fail_path (error, shown,
                      "cannot be shared: hidden directories of a home hold keys, settings and "
                      "programs that the host trusts; share another directory");
  if (is_in (below, "bin"))
    return fail_path (error, shown,
                      "cannot be shared: the host runs what is in it; share another directory");
  if (g_str_equal (below, "vms"))
    return fail_path (
        error, shown,
        "cannot be shared: it holds the directories of all machines; share one in it");
  return TRUE;
}

gboolean
sandbox_share_source_text_check (const char *text, GError **error)
{
  const char *below;

  if (!check_form (text, error)
      || !check_system (text,
                        "cannot be shared: it is a place of the system or a whole tree of others' "
                        "data; share a directory of your own, such as ~/src/project",
                        error))
    return FALSE;
  below = below_home (text);
  return !below || _sandbox_share_home_check (text, below, error);
}

gboolean
sandbox_share_target_text_check (const char *text, GError **error)
{
  const char *below;

  if (!check_form (text, error)
      || !check_system (text,
                        "cannot be a target: the guest's system needs it as it is; use a directory "
                        "of its own, such as ~/project or /srv/project",
                        error))
    return FALSE;
  below = below_home (text);
  if (below && (below[0] == '\0' || is_in (below, ".ssh")))
    return fail_path (error, text,
                      "cannot be a target: it would hide the guest user's keys; use a directory "
                      "of its own, such as ~/project");
  return TRUE;
}
