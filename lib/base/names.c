// SPDX-License-Identifier: LGPL-2.1-or-later
// The one check of names that users give.
#include "base/names.h"

#include "base/error.h"

#include <string.h>

/* Words with a meaning of their own in commands, files or libvirt. */
static const char *const reserved_names[] = { "all", "base", "default", "defaults", "host", NULL };

static gboolean
well_formed (const char *name)
{
  gsize length = strlen (name);

  if (length == 0 || length > SANDBOX_NAME_MAX || !g_ascii_islower (name[0]))
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_islower (name[i]) && !g_ascii_isdigit (name[i]) && name[i] != '-')
      return FALSE;
  return TRUE;
}

gboolean
sandbox_name_check_form (const char *what, const char *name, GError **error)
{
  g_autofree char *shown = NULL;

  if (well_formed (name))
    return TRUE;
  shown = sandbox_escape (name, -1, 80);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "\"%s\" is no %s name: use 1 to %d characters a-z, 0-9 and -, "
                       "beginning with a letter",
                       shown, what, SANDBOX_NAME_MAX);
}

gboolean
sandbox_name_check (const char *what, const char *name, GError **error)
{
  if (!sandbox_name_check_form (what, name, error))
    return FALSE;
  if (g_strv_contains (reserved_names, name))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "\"%s\" cannot be a %s name: it is a reserved word, choose another", name,
                         what);
  return TRUE;
}
