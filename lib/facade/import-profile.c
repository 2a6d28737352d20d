// SPDX-License-Identifier: LGPL-2.1-or-later
// What of the profile in an imported file counts here: a list of what is taken. All else is named
// and left out, so that whatever profiles learn to say later is left out, too.
#include "facade/export.h"

#include <string.h>
#include <unistd.h>

#define PROFILE_FILE "the profile in the file"

static char *
base_text (void)
{
  return g_strdup ("[profile]\ninherits=base\n");
}

static SandboxProfile *
parse (SandboxHost *host, const char *name, const char *source, const char *text, GError **error)
{
  return sandbox_profile_parse (&host->profiles, name, source, text, -1, error);
}

typedef struct
{
  SandboxProfile *base, *theirs;
  guint64 max_disk_bytes;
  GString *machine, *network, *policy; /* lines of the groups of what is made */
  GString *report;
} Merge;

static void
say (const Merge *merge, const char *how, const char *key, const char *value, const char *why)
{
  g_autofree char *shown = sandbox_escape (value, -1, 120);

  g_string_append_printf (merge->report, "%s: %s=%s%s\n", how, key, shown, why);
}

/* TRUE when it says something that holds here anyway, or nothing. */
static gboolean
is_same (const Merge *merge, const char *group, const char *key)
{
  return g_strcmp0 (sandbox_profile_get (merge->base, group, key),
                    sandbox_profile_get (merge->theirs, group, key))
         == 0;
}

static void
take (const Merge *merge, const char *group, const char *key, const char *prefix)
{
  const char *value = sandbox_profile_get (merge->theirs, group, key);
  GString *lines = strcmp (group, "machine") == 0   ? merge->machine
                   : strcmp (group, "network") == 0 ? merge->network
                                                    : merge->policy;

  g_string_append_printf (lines, "%s=%s%s\n", key, prefix, value);
  say (merge, "taken", key, value, "");
}

/* At most half of the memory, all processors, and a disk as large as was allowed. */
static gboolean
is_fit (const Merge *merge, const char *key)
{
  const SandboxProfileValues *values = _sandbox_profile_values (merge->theirs);
  guint64 memory = (guint64)sysconf (_SC_PHYS_PAGES) * (guint64)sysconf (_SC_PAGESIZE);

  if (strcmp (key, "memory") == 0)
    return values->memory_bytes <= memory / 2;
  if (strcmp (key, "cpus") == 0)
    return values->cpus <= g_get_num_processors ();
  if (strcmp (key, "disk") == 0)
    return values->disk_bytes <= merge->max_disk_bytes;
  return strcmp (key, "image") != 0 || strcmp (values->image, SANDBOX_IMPORTED_IMAGE) != 0;
}

static void
merge_machine (const Merge *merge)
{
  static const char *const keys[] = { "image", "cpus", "memory", "disk", "user" };

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (is_same (merge, "machine", keys[i]))
      continue;
    else if (is_fit (merge, keys[i]))
      take (merge, "machine", keys[i], "");
    else
      say (merge, "left out", keys[i], sandbox_profile_get (merge->theirs, "machine", keys[i]),
           ", too much for this host");
}

/* Only where it is narrower than what holds here anyway. */
static void
merge_network (const Merge *merge)
{
  const SandboxProfileValues *here = _sandbox_profile_values (merge->base);
  const SandboxProfileValues *there = _sandbox_profile_values (merge->theirs);

  if (!is_same (merge, "network", "mode") && strcmp (there->network_mode, "none") == 0)
    {
      take (merge, "network", "mode", "");
      /* with no way out, a profile may not say where to */
      g_string_append (merge->network, "egress=\nallow=\n");
      return;
    }
  if (!is_same (merge, "network", "mode"))
    say (merge, "left out", "mode", there->network_mode, "");
  if (is_same (merge, "network", "egress"))
    return;
  if (here->egress->len == 0 && there->egress->len > 0 && strcmp (here->network_mode, "none") != 0)
    take (merge, "network", "egress", "");
  else
    say (merge, "left out", "egress", sandbox_profile_get (merge->theirs, "network", "egress"), "");
}

static void
leave_out (const Merge *merge)
{
  static const char *const keys[][2] = {
    { "machine", "accel" },   { "machine", "start-on-exec" }, { "machine", "encrypt" },
    { "network", "allow" },   { "network", "forward" },       { "network", "host" },
    { "provision", "use" },   { "provision", "packages" },    { "provision", "npm" },
    { "provision", "setup" }, { "provision", "files" },       { "provision", "env" },
  };
  const GPtrArray *shares = _sandbox_profile_values (merge->theirs)->shares;

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      const char *value = sandbox_profile_get (merge->theirs, keys[i][0], keys[i][1]);

      if (value != NULL && *value != '\0' && !is_same (merge, keys[i][0], keys[i][1]))
        say (merge, "left out", keys[i][1], value, "");
    }
  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxShareSpec *share = shares->pdata[i];

      if (!share->create)
        say (merge, "left out", "share", share->source, "");
    }
}

static void
merge_all (const Merge *merge)
{
  merge_machine (merge);
  merge_network (merge);
  if (!is_same (merge, "policy", "forbid")
      && *sandbox_profile_get (merge->theirs, "policy", "forbid") != '\0')
    take (merge, "policy", "forbid", "+");
  leave_out (merge);
}

static char *
format_merged (const Merge *merge)
{
  g_autofree char *base = base_text ();

  return g_strconcat (base, merge->machine->len > 0 ? "[machine]\n" : "", merge->machine->str,
                      merge->network->len > 0 ? "[network]\n" : "", merge->network->str,
                      merge->policy->len > 0 ? "[policy]\n" : "", merge->policy->str, NULL);
}

char *
_sandbox_import_profile (SandboxHost *host, const char *name, const char *theirs,
                         guint64 max_disk_bytes, GString *report, GError **error)
{
  g_autofree char *base = base_text (), *text = NULL;
  g_autoptr (SandboxProfile) here = parse (host, name, "base", base, error);
  g_autoptr (SandboxProfile) there =
      here != NULL ? parse (host, name, PROFILE_FILE, theirs, error) : NULL;
  g_autoptr (GString) machine = g_string_new (NULL), network = g_string_new (NULL);
  g_autoptr (GString) policy = g_string_new (NULL);
  Merge merge = { here, there, max_disk_bytes, machine, network, policy, report };
  g_autoptr (SandboxProfile) whole = NULL;

  if (there == NULL)
    return NULL;
  if (strcmp (_sandbox_profile_values (there)->inherits, "base") != 0)
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID,
                    PROFILE_FILE " inherits one of yours: an export has all that is in effect");
      return NULL;
    }
  merge_all (&merge);
  text = format_merged (&merge);
  whole = parse (host, name, "the profile that was made of it", text, error);
  return whole != NULL ? g_steal_pointer (&text) : NULL;
}

gboolean
_sandbox_import_disk_limit (SandboxHost *host, const char *name, guint64 *ret_bytes, GError **error)
{
  g_autofree char *base = base_text ();
  g_autoptr (SandboxProfile) profile = parse (host, name, "base", base, error);

  if (profile == NULL)
    return FALSE;
  *ret_bytes = _sandbox_profile_values (profile)->disk_bytes;
  return TRUE;
}
