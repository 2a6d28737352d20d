// SPDX-License-Identifier: LGPL-2.1-or-later
// The header of a bundle from an enemy. git sees what follows it, and never its names.
#include "share/pull-private.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define SIGNATURE_2 "# v2 git bundle\n"
#define SIGNATURE_3 "# v3 git bundle\n"
#define BRANCHES    "refs/heads/"
#define SHA1_HEX    40
#define SHA256_HEX  64

static void
ref_free (gpointer data)
{
  SandboxBundleRef *ref = data;

  g_free (ref->name);
  g_free (ref->id);
  g_free (ref);
}

void
_sandbox_bundle_free (SandboxBundle *bundle)
{
  g_ptr_array_unref (bundle->refs);
  g_free (bundle);
}

gboolean
_sandbox_is_object_id (const char *text, gsize length)
{
  if (length != SHA1_HEX && length != SHA256_HEX)
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isdigit (text[i]) && !(text[i] >= 'a' && text[i] <= 'f'))
      return FALSE;
  return TRUE;
}

static gboolean
part_good (const char *part)
{
  return part[0] != '\0' && part[0] != '-' && part[0] != '.' && part[strlen (part) - 1] != '.'
         && strcmp (part, "@") != 0 && g_ascii_strcasecmp (part, "HEAD") != 0
         && !(strlen (part) >= 5 && g_ascii_strcasecmp (part + strlen (part) - 5, ".lock") == 0);
}

gboolean
_sandbox_ref_name_good (const char *name)
{
  g_auto (GStrv) parts = NULL;

  if (strlen (name) > SANDBOX_PULL_REF_NAME_MAX || !g_utf8_validate (name, -1, NULL)
      || strpbrk (name, " ~^:?*[\\\"") || strstr (name, "..") || strstr (name, "@{"))
    return FALSE;
  for (const char *p = name; *p; p = g_utf8_next_char (p))
    if (!sandbox_char_is_plain (g_utf8_get_char (p)) || g_unichar_isspace (g_utf8_get_char (p)))
      return FALSE;
  parts = g_strsplit (name, "/", SANDBOX_PULL_DEPTH_MAX + 2);
  if (g_strv_length (parts) > SANDBOX_PULL_DEPTH_MAX + 1)
    return FALSE;
  for (guint i = 0; parts[i]; i++)
    if (!part_good (parts[i]))
      return FALSE;
  return parts[0] != NULL;
}

/* What a file system that knows neither case nor forms of Unicode makes of it. */
static char *
folded (const char *name)
{
  g_autofree char *plain = g_utf8_normalize (name, -1, G_NORMALIZE_ALL);
  g_autofree char *small = g_utf8_casefold (plain, -1);

  return g_utf8_normalize (small, -1, G_NORMALIZE_ALL);
}

/* No two names are one, or one the directory of the other. */
static gboolean
check_apart (const GPtrArray *refs, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < refs->len; i++)
    {
      const SandboxBundleRef *ref = refs->pdata[i];

      if (!g_hash_table_add (seen, folded (ref->name)))
        return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                             "the machine's branch \"%s\" is there twice, as far as file systems "
                             "can tell",
                             ref->name);
    }
  for (guint i = 0; i < refs->len; i++)
    {
      const SandboxBundleRef *ref = refs->pdata[i];
      g_autofree char *directory = folded (ref->name);

      for (char *slash; (slash = strrchr (directory, '/'));)
        {
          *slash = '\0';
          if (g_hash_table_contains (seen, directory))
            return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                                 "the machine's branch \"%s\" lies in another branch", ref->name);
        }
    }
  return TRUE;
}

static gboolean
fail_line (GError **error, const char *line, const char *why)
{
  g_autofree char *shown = sandbox_escape (line, -1, 120);

  return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the machine's bundle: \"%s\": %s", shown, why);
}

/* "ID SP NAME". */
static gboolean
add_ref (SandboxBundle *bundle, const char *line, GError **error)
{
  const char *name = line + bundle->id_length + 1;
  SandboxBundleRef *ref;

  if (g_str_has_prefix (name, BRANCHES))
    name += strlen (BRANCHES);
  else if (strcmp (name, "HEAD") != 0)
    return fail_line (error, line, "no branch");
  if (name != line + bundle->id_length + 1 && !_sandbox_ref_name_good (name))
    return fail_line (error, line, "no name for a branch that vms takes; rename it in the machine");
  if (bundle->refs->len == SANDBOX_PULL_REFS_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the machine's bundle: more than %d branches",
                         SANDBOX_PULL_REFS_MAX);
  ref = g_new0 (SandboxBundleRef, 1);
  ref->name = g_strdup (name);
  ref->id = g_strndup (line, bundle->id_length);
  g_ptr_array_add (bundle->refs, ref);
  return TRUE;
}

/* Version 3 begins with capabilities. "filter" would leave objects out. */
static gboolean
take_capability (SandboxBundle *bundle, const char *line, GError **error)
{
  if (strcmp (line, "@object-format=sha1") == 0)
    bundle->id_length = SHA1_HEX;
  else if (strcmp (line, "@object-format=sha256") == 0)
    bundle->id_length = SHA256_HEX;
  else
    return fail_line (error, line, "not a capability that vms knows");
  return TRUE;
}

static gboolean
take_line (SandboxBundle *bundle, const char *line, gboolean version_3, GError **error)
{
  gsize id = bundle->id_length;
  const char *text = line[0] == '-' ? line + 1 : line;

  if (line[0] == '@' && version_3 && bundle->refs->len == 0)
    return take_capability (bundle, line, error);
  if (strlen (text) < id || !_sandbox_is_object_id (text, id))
    return fail_line (error, line, "no object name");
  /* what it says that we have is seen when its objects are joined with ours */
  if (text != line)
    return bundle->refs->len == 0 || fail_line (error, line, "in the wrong place");
  if (line[id] != ' ')
    return fail_line (error, line, "no name");
  return add_ref (bundle, line, error);
}

SandboxBundle *
_sandbox_bundle_parse (const char *data, gsize length, GError **error)
{
  g_autoptr (SandboxBundle) bundle = g_new0 (SandboxBundle, 1);
  gsize at = strlen (SIGNATURE_2);
  gboolean version_3 = length >= at && memcmp (data, SIGNATURE_3, at) == 0;

  bundle->refs = g_ptr_array_new_with_free_func (ref_free);
  bundle->id_length = SHA1_HEX;
  if (!version_3 && (length < at || memcmp (data, SIGNATURE_2, at) != 0))
    {
      sandbox_fail (error, SANDBOX_ERROR_GUEST, "the machine sent no git bundle");
      return NULL;
    }
  while (at < length)
    {
      const char *end = memchr (data + at, '\n', length - at);
      g_autofree char *line = end ? g_strndup (data + at, (gsize)(end - data) - at) : NULL;

      if (!end)
        break;
      if (strlen (line) != (gsize)(end - data) - at)
        {
          fail_line (error, line, "a NUL byte in it");
          return NULL;
        }
      at = (gsize)(end - data) + 1;
      if (line[0] != '\0')
        {
          if (!take_line (bundle, line, version_3, error))
            return NULL;
          continue;
        }
      bundle->pack_offset = at;
      if (bundle->refs->len > 0)
        return check_apart (bundle->refs, error) ? g_steal_pointer (&bundle) : NULL;
      break;
    }
  sandbox_fail (error, SANDBOX_ERROR_GUEST,
                bundle->pack_offset ? "the machine's bundle names no branch"
                                    : "the machine's bundle has no end of its header");
  return NULL;
}
