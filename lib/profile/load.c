// SPDX-License-Identifier: LGPL-2.1-or-later
// From files to a profile: which files make it up, in which order, and what they say together.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define BASE     "base"
#define DEFAULTS "defaults"

typedef struct
{
  char *group, *key, *value; /* key NULL: only the group */
  char *origin;              /* "FILE:LINE" */
} Entry;

/* What one file says. */
typedef struct
{
  char *name;
  gboolean of_user;
  GPtrArray *entries;
  const Entry *inherits; /* NULL when it does not say */
  const char *defaults;  /* the same */
} Layer;

typedef struct
{
  char *user_dir, *shipped_dir;
  GPtrArray *layers; /* of Layer, the profile's own first */
} Chain;

static void
free_entry (gpointer data)
{
  Entry *entry = data;

  g_free (entry->group);
  g_free (entry->key);
  g_free (entry->value);
  g_free (entry->origin);
  g_free (entry);
}

static void
free_layer (gpointer data)
{
  Layer *layer = data;

  g_ptr_array_unref (layer->entries);
  g_free (layer->name);
  g_free (layer);
}

static void
clear_chain (Chain *chain)
{
  g_free (chain->user_dir);
  g_free (chain->shipped_dir);
  g_clear_pointer (&chain->layers, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Chain, clear_chain)

static void
init_chain (Chain *chain, const SandboxProfileDirs *dirs)
{
  chain->user_dir = _sandbox_profile_user_dir (dirs);
  chain->shipped_dir = _sandbox_profile_shipped_dir (dirs);
  chain->layers = g_ptr_array_new_with_free_func (free_layer);
}

/* --- one file */

static gboolean
check_inherits (const Layer *layer, const char *value, GError **error)
{
  if (g_str_equal (layer->name, BASE) || g_str_equal (layer->name, DEFAULTS))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "[profile] inherits: \"%s\" inherits nothing: remove the line",
                         layer->name);
  if (g_str_equal (value, DEFAULTS))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "[profile] inherits: \"%s\" holds for every profile: remove the line",
                         value);
  return TRUE;
}

static gboolean
check_defaults (const Layer *layer, GError **error)
{
  return (!g_str_equal (layer->name, BASE) && !g_str_equal (layer->name, DEFAULTS))
         || sandbox_fail (error, SANDBOX_ERROR_INVALID,
                          "[profile] defaults: \"%s\" cannot say it of itself: remove the line",
                          layer->name);
}

static gboolean
take_entry (const Place *place, const char *group, const char *key, const char *value,
            gpointer user_data, GError **error)
{
  Layer *layer = user_data;
  g_autofree char *canonical = NULL;
  KeyId id = N_KEYS;
  Entry *entry;

  if (!key && !_sandbox_group_check (group, error))
    return FALSE;
  if (key && !_sandbox_key_find (group, key, &id, error))
    return FALSE;
  if (key && !_sandbox_key_check (id, value, &canonical, error))
    {
      g_prefix_error (error, "[%s] %s: ", group, key);
      return FALSE;
    }
  if ((id == KEY_INHERITS && !check_inherits (layer, canonical, error))
      || (id == KEY_DEFAULTS && !check_defaults (layer, error)))
    return FALSE;
  entry = g_new0 (Entry, 1);
  entry->group = g_strdup (group);
  entry->key = g_strdup (key);
  entry->value = g_steal_pointer (&canonical);
  entry->origin = g_strdup_printf ("%s:%u", place->source, place->line);
  g_ptr_array_add (layer->entries, entry);
  if (id == KEY_INHERITS)
    layer->inherits = entry;
  if (id == KEY_DEFAULTS)
    layer->defaults = entry->value;
  return TRUE;
}

/* Reads the text as the next layer of the chain. */
static gboolean
push_text (Chain *chain, const char *name, gboolean of_user, const char *source, const char *text,
           gsize length, GError **error)
{
  Layer *layer = g_new0 (Layer, 1);

  layer->name = g_strdup (name);
  layer->of_user = of_user;
  layer->entries = g_ptr_array_new_with_free_func (free_entry);
  g_ptr_array_add (chain->layers, layer);
  return _sandbox_reader_run (source, text, length, take_entry, layer, error);
}

/* Reads NAME.profile as the next layer. *@ret_found FALSE: there is none. */
static gboolean
push_file (Chain *chain, const char *name, gboolean of_user, gboolean *ret_found, GError **error)
{
  g_auto (ProfileFile) file = { NULL };

  if (!_sandbox_profile_file_read (of_user ? chain->user_dir : chain->shipped_dir, name, of_user,
                                   &file, error))
    return FALSE;
  *ret_found = file.text != NULL;
  return !file.text || push_text (chain, name, of_user, file.path, file.text, file.length, error);
}

/* --- the chain */

/* All names that there are, for "did you mean". (transfer full) */
static char **
known_names (const Chain *chain)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const char *dirs[] = { chain->user_dir, chain->shipped_dir };

  for (guint i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_autofree char **found = _sandbox_profile_file_names (dirs[i], NULL);

      for (guint k = 0; found && found[k]; k++)
        g_ptr_array_add (names, found[k]);
    }
  g_ptr_array_add (names, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

static gboolean
fail_no_profile (const Chain *chain, const char *name, const Entry *from, GError **error)
{
  g_auto (GStrv) names = known_names (chain);
  const char *nearest = sandbox_nearest (name, (const char *const *)names);
  g_autofree char *hint =
      nearest ? g_strdup_printf ("; did you mean \"%s\"?", nearest) : g_strdup ("");

  if (from)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: [profile] inherits: there is no profile \"%s\" in %s and %s%s",
                         from->origin, name, chain->user_dir, chain->shipped_dir, hint);
  return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND, "there is no profile \"%s\" in %s and %s%s",
                       name, chain->user_dir, chain->shipped_dir, hint);
}

static gboolean
is_in_chain (const Chain *chain, const char *name, gboolean of_user)
{
  for (guint i = 0; i < chain->layers->len; i++)
    {
      const Layer *layer = g_ptr_array_index (chain->layers, i);

      if (layer->of_user == of_user && g_str_equal (layer->name, name))
        return TRUE;
    }
  return FALSE;
}

static gboolean
check_chain (const Chain *chain, const char *name, gboolean of_user, const Entry *from,
             GError **error)
{
  if (is_in_chain (chain, name, of_user))
    {
      g_autoptr (GString) loop = g_string_new (NULL);

      for (guint i = 0; i < chain->layers->len; i++)
        g_string_append_printf (loop, "%s -> ",
                                ((const Layer *)g_ptr_array_index (chain->layers, i))->name);
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "%s: [profile] inherits: the profiles inherit each other in a loop "
                           "(%s%s): remove one of these lines",
                           from->origin, loop->str, name);
    }
  if (chain->layers->len >= SANDBOX_PROFILE_DEPTH_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: [profile] inherits: more than %d profiles inherit one another",
                         from->origin, SANDBOX_PROFILE_DEPTH_MAX);
  return TRUE;
}

/* Follows an explicit `inherits`: a user's profile finds the user's first, a shipped one finds
 * shipped ones only, and a profile that names itself means the shipped one that it stands before.
 */
static gboolean
push_named (Chain *chain, const Layer *layer, GError **error)
{
  const Entry *from = layer->inherits;
  const char *name = from->value;
  gboolean itself = g_str_equal (name, layer->name);
  gboolean found = FALSE;

  if (layer->of_user && !itself)
    {
      if (is_in_chain (chain, name, TRUE))
        return check_chain (chain, name, TRUE, from, error);
      if (!push_file (chain, name, TRUE, &found, error))
        return FALSE;
    }
  if (!found
      && (!check_chain (chain, name, FALSE, from, error)
          || !push_file (chain, name, FALSE, &found, error)))
    return FALSE;
  if (chain->layers->len > SANDBOX_PROFILE_DEPTH_MAX)
    return check_chain (chain, "", TRUE, from, error);
  if (!found && itself)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: [profile] inherits: a profile that names itself means the shipped "
                         "one of that name, and there is no %s in %s",
                         from->origin, name, chain->shipped_dir);
  return found || fail_no_profile (chain, name, from, error);
}

/* The nearest word counts, as with every key. */
static gboolean
wants_defaults (const Chain *chain)
{
  for (guint i = 0; i < chain->layers->len; i++)
    {
      const Layer *layer = g_ptr_array_index (chain->layers, i);

      if (layer->defaults)
        return g_str_equal (layer->defaults, "yes");
    }
  return TRUE;
}

/* What every profile ends with: the user's defaults, and the shipped base. */
static gboolean
push_base (Chain *chain, GError **error)
{
  g_auto (ProfileFile) file = { NULL };
  gboolean found = FALSE;

  if (!is_in_chain (chain, DEFAULTS, TRUE) && wants_defaults (chain)
      && !push_file (chain, DEFAULTS, TRUE, &found, error))
    return FALSE;
  if (!_sandbox_profile_file_read (chain->user_dir, BASE, TRUE, &file, error))
    return FALSE;
  if (file.text)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: base cannot be replaced: put what is to hold for all profiles into "
                         "defaults.profile beside it",
                         file.path);
  if (!push_file (chain, BASE, FALSE, &found, error))
    return FALSE;
  return found
         || sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                          "there is no base.profile in %s: install libsandbox completely, or set "
                          "SANDBOX_DOMAINS_DIR",
                          chain->shipped_dir);
}

/* Adds all that the first layer inherits. */
static gboolean
complete_chain (Chain *chain, GError **error)
{
  for (;;)
    {
      const Layer *layer = g_ptr_array_index (chain->layers, chain->layers->len - 1);
      gboolean found = FALSE;

      if (g_str_equal (layer->name, DEFAULTS)
          || (layer->inherits && g_str_equal (layer->inherits->value, BASE)))
        return push_base (chain, error);
      if (layer->inherits)
        {
          if (!push_named (chain, layer, error))
            return FALSE;
          continue;
        }
      if (layer->of_user && !push_file (chain, layer->name, FALSE, &found, error))
        return FALSE;
      if (!found)
        return push_base (chain, error);
    }
}

/* Takes over what the layer says. `inherits` belongs to the profile of that name only, it is not
 * passed on. */
static gboolean
merge_layer (SandboxProfile *profile, const Layer *layer, GError **error)
{
  for (guint i = 0; i < layer->entries->len; i++)
    {
      const Entry *entry = g_ptr_array_index (layer->entries, i);

      if (entry == layer->inherits && !g_str_equal (layer->name, profile->name))
        continue;
      if (!_sandbox_profile_assign (profile, entry->group, entry->key, entry->value, entry->origin,
                                    error))
        {
          /* the value by itself was good: it is what it makes with those before it */
          g_prefix_error (error, "%s: ", entry->origin);
          return FALSE;
        }
    }
  return TRUE;
}

static SandboxProfile *
merge_chain (const Chain *chain, const char *name, GError **error)
{
  g_autoptr (SandboxProfile) profile = _sandbox_profile_new (name);

  if (!g_str_equal (name, BASE))
    profile->cells[KEY_INHERITS].value = g_strdup (BASE);
  for (guint i = chain->layers->len; i > 0; i--)
    if (!merge_layer (profile, g_ptr_array_index (chain->layers, i - 1), error))
      return NULL;
  if (!_sandbox_profile_finish (profile, error))
    return NULL;
  return g_steal_pointer (&profile);
}

/* --- the public functions */

/* "base" and "defaults" are no names of machines, but files like the others. */
static gboolean
check_name (const char *name, GError **error)
{
  return g_str_equal (name, BASE) || g_str_equal (name, DEFAULTS)
         || sandbox_name_check ("profile", name, error);
}

SandboxProfile *
sandbox_profile_load (const SandboxProfileDirs *dirs, const char *name, GError **error)
{
  g_auto (Chain) chain = { NULL };
  gboolean found = FALSE;

  if (!check_name (name, error))
    return NULL;
  init_chain (&chain, dirs);
  if (g_str_equal (name, BASE))
    {
      /* alone: what the user has set for all profiles is no part of it */
      if (!push_file (&chain, name, FALSE, &found, error))
        return NULL;
    }
  else if (!push_file (&chain, name, TRUE, &found, error)
           || (!found && !g_str_equal (name, DEFAULTS)
               && !push_file (&chain, name, FALSE, &found, error)))
    return NULL;
  if (!found)
    {
      fail_no_profile (&chain, name, NULL, error);
      return NULL;
    }
  if (!g_str_equal (name, BASE) && !complete_chain (&chain, error))
    return NULL;
  return merge_chain (&chain, name, error);
}

SandboxProfile *
sandbox_profile_parse (const SandboxProfileDirs *dirs, const char *name, const char *source,
                       const char *text, gssize length, GError **error)
{
  g_auto (Chain) chain = { NULL };
  gsize size = length < 0 ? strlen (text) : (gsize)length;

  if (!g_str_equal (name, DEFAULTS) && !sandbox_name_check ("profile", name, error))
    return NULL;
  init_chain (&chain, dirs);
  if (!push_text (&chain, name, TRUE, source, text, size, error) || !complete_chain (&chain, error))
    return NULL;
  return merge_chain (&chain, name, error);
}
