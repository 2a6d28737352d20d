// SPDX-License-Identifier: LGPL-2.1-or-later
// A profile in memory: its values, where they came from, and the typed view that later layers read.
#include "profile/profile-internal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <string.h>

G_DEFINE_BOXED_TYPE (SandboxProfile, sandbox_profile, sandbox_profile_ref, sandbox_profile_unref)

#define BUILT_IN "built in"

static void
clear_cells (Cell *cells)
{
  for (guint i = 0; i < N_KEYS; i++)
    {
      g_clear_pointer (&cells[i].value, g_free);
      g_clear_pointer (&cells[i].origin, g_free);
    }
}

static void
copy_cells (Cell *to, const Cell *from)
{
  for (guint i = 0; i < N_KEYS; i++)
    {
      to[i].value = g_strdup (from[i].value);
      to[i].origin = g_strdup (from[i].origin);
    }
}

static void
free_share (gpointer data)
{
  Share *share = data;

  clear_cells (share->cells);
  g_free (share->name);
  g_free (share->origin);
  g_free (share->default_target);
  g_free (share);
}

static void
free_share_spec (gpointer data)
{
  SandboxShareSpec *spec = data;

  g_free (spec->name);
  g_free (spec->source);
  g_free (spec->target);
  g_free (spec->shadow);
  g_free (spec->guard);
  g_free (spec->flag);
  g_free (spec);
}

/* What of it is its own. */
static void
clear_values (SandboxProfileValues *values)
{
  g_clear_pointer (&values->egress, g_array_unref);
  g_clear_pointer (&values->allow, g_array_unref);
  g_clear_pointer (&values->forward, g_array_unref);
  g_clear_pointer (&values->host, g_array_unref);
  g_clear_pointer (&values->shares, g_ptr_array_unref);
  g_clear_pointer (&values->provision.use, g_strfreev);
  g_clear_pointer (&values->provision.packages, g_strfreev);
  g_clear_pointer (&values->provision.npm, g_strfreev);
  g_clear_pointer (&values->provision.setup, g_strfreev);
  g_clear_pointer (&values->provision.files, g_strfreev);
  g_clear_pointer (&values->provision.env, g_strfreev);
  g_clear_pointer (&values->forbid, g_strfreev);
}

SandboxProfile *
_sandbox_profile_new (const char *name)
{
  SandboxProfile *profile = g_new0 (SandboxProfile, 1);

  g_atomic_ref_count_init (&profile->ref_count);
  profile->name = g_strdup (name);
  profile->shares = g_ptr_array_new_with_free_func (free_share);
  return profile;
}

SandboxProfile *
sandbox_profile_ref (SandboxProfile *profile)
{
  g_atomic_ref_count_inc (&profile->ref_count);
  return profile;
}

void
sandbox_profile_unref (SandboxProfile *profile)
{
  if (!g_atomic_ref_count_dec (&profile->ref_count))
    return;
  clear_cells (profile->cells);
  g_ptr_array_unref (profile->shares);
  clear_values (&profile->values);
  g_free (profile->digest);
  g_free (profile->name);
  g_free (profile);
}

static Share *
new_share (const char *name, const char *origin)
{
  Share *share = g_new0 (Share, 1);

  share->name = g_strdup (name);
  share->origin = g_strdup (origin);
  share->default_target = g_strconcat ("~/", name, NULL);
  return share;
}

SandboxProfile *
sandbox_profile_copy (SandboxProfile *profile)
{
  SandboxProfile *copy = _sandbox_profile_new (profile->name);

  copy_cells (copy->cells, profile->cells);
  for (guint i = 0; i < profile->shares->len; i++)
    {
      const Share *share = g_ptr_array_index (profile->shares, i);
      Share *other = new_share (share->name, share->origin);

      copy_cells (other->cells, share->cells);
      g_ptr_array_add (copy->shares, other);
    }
  if (!_sandbox_profile_finish (copy, NULL))
    g_assert_not_reached (); /* the original was finished with the same values */
  return copy;
}

const char *
sandbox_profile_get_name (SandboxProfile *profile)
{
  return profile->name;
}

Share *
_sandbox_profile_find_share (SandboxProfile *profile, const char *name)
{
  for (guint i = 0; i < profile->shares->len; i++)
    {
      Share *share = g_ptr_array_index (profile->shares, i);

      if (g_str_equal (share->name, name))
        return share;
    }
  return NULL;
}

static int
compare_shares (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(Share *const *)a)->name, (*(Share *const *)b)->name);
}

static Cell *
make_cells (SandboxProfile *profile, const char *group, const char *origin)
{
  Share *share;

  if (!g_str_has_prefix (group, SHARE_GROUP_PREFIX))
    return profile->cells;
  share = _sandbox_profile_find_share (profile, group + strlen (SHARE_GROUP_PREFIX));
  if (!share)
    {
      share = new_share (group + strlen (SHARE_GROUP_PREFIX), origin);
      g_ptr_array_add (profile->shares, share);
      g_ptr_array_sort (profile->shares, compare_shares);
    }
  return share->cells;
}

gboolean
_sandbox_profile_assign (SandboxProfile *profile, const char *group, const char *key,
                         const char *value, const char *origin, GError **error)
{
  g_autofree char *canonical = NULL, *merged = NULL;
  const Share *share = NULL;
  KeyId id = 0;
  Cell *cell;

  if (!key)
    return _sandbox_group_check (group, error) && make_cells (profile, group, origin);
  if (!_sandbox_key_find (group, key, &id, error))
    return FALSE;
  if (id >= KEY_SHARE_SOURCE)
    share = _sandbox_profile_find_share (profile, group + strlen (SHARE_GROUP_PREFIX));
  if (!_sandbox_key_check (id, value, &canonical, error)
      || (_sandbox_key_is_list (id) && canonical[0] == '+'
          && !_sandbox_list_merge (id, _sandbox_profile_value (profile, share, id), canonical,
                                   &merged, error)))
    {
      g_prefix_error (error, "[%s] %s: ", group, key);
      return FALSE;
    }
  cell = &make_cells (profile, group, origin)[id];
  g_free (cell->value);
  g_free (cell->origin);
  cell->value = merged ? g_steal_pointer (&merged) : g_steal_pointer (&canonical);
  cell->origin = g_strdup (origin);
  return TRUE;
}

const char *
_sandbox_profile_value (SandboxProfile *profile, const Share *share, KeyId id)
{
  const Cell *cells = share ? share->cells : profile->cells;

  if (cells[id].value)
    return cells[id].value;
  if (share && id == KEY_SHARE_TARGET)
    return share->default_target;
  return _sandbox_key_row (id)->default_value;
}

/* --- checks across values */

/* "FILE:LINE: " of where a share was first mentioned or a value stands; "" for what a program has
 * set. */
static char *
place_of (const char *origin)
{
  return g_str_equal (origin, SANDBOX_ORIGIN_SET) ? g_strdup ("")
                                                  : g_strconcat (origin, ": ", NULL);
}

static gboolean
check_overlap (SandboxProfile *profile, const Share *a, const Share *b, KeyId id, GError **error)
{
  const char *mine = _sandbox_profile_value (profile, b, id);
  const char *other = _sandbox_profile_value (profile, a, id);

  g_autofree char *place = place_of (b->origin);

  if (!sandbox_path_overlaps (mine, other))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "%s[share:%s] %s: \"%s\" and \"%s\" of [share:%s] lie one in the other: "
                       "use separate directories",
                       place, b->name, _sandbox_key_row (id)->name, mine, other, a->name);
}

/* Only where what the machine writes goes to the directory there is something to keep from it. */
static gboolean
check_shadow (SandboxProfile *profile, const Share *share, GError **error)
{
  const char *value = _sandbox_profile_value (profile, share, KEY_SHARE_SHADOW);
  const char *mode = _sandbox_profile_value (profile, share, KEY_SHARE_MODE);
  g_auto (GStrv) items = g_strsplit (value, ";", -1);
  g_autofree char *place = NULL;

  if (*value == '\0')
    return TRUE;
  place = place_of (share->cells[KEY_SHARE_SHADOW].origin);
  if (_sandbox_share_mode_is_read_only (_sandbox_share_mode_from_string (mode)))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s[share:%s] shadow: mode=%s needs none: %s; remove shadow=, or use "
                         "mode=guarded or mode=rw",
                         place, share->name, mode,
                         g_str_equal (mode, "ro")
                             ? "the machine writes nothing there"
                             : "all that the machine writes there is on its own disk already");
  for (guint i = 0; items[i]; i++)
    for (guint k = 0; k < i; k++)
      if (sandbox_path_overlaps (items[i], items[k]))
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "%s[share:%s] shadow: \"%s\" and \"%s\" lie one in the other: write "
                             "the outer one only",
                             place, share->name, items[k], items[i]);
  return TRUE;
}

/* Where nothing comes back for review, and nothing is held off, such a list would mislead. */
static gboolean
check_classes (SandboxProfile *profile, const Share *share, GError **error)
{
  const char *mode = _sandbox_profile_value (profile, share, KEY_SHARE_MODE);

  for (KeyId id = KEY_SHARE_GUARD; id <= KEY_SHARE_FLAG; id++)
    {
      g_autofree char *place = NULL;

      if (*_sandbox_profile_value (profile, share, id) == '\0' || g_str_equal (mode, "review")
          || (id == KEY_SHARE_GUARD && g_str_equal (mode, "guarded")))
        continue;
      place = place_of (share->cells[id].origin);
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "%s[share:%s] %s: mode=%s looks at no names: remove %s=, or use "
                           "mode=review%s",
                           place, share->name, _sandbox_key_row (id)->name, mode,
                           _sandbox_key_row (id)->name,
                           id == KEY_SHARE_GUARD ? " or mode=guarded" : "");
    }
  return TRUE;
}

static gboolean
check_shares (SandboxProfile *profile, GError **error)
{
  if (profile->shares->len > SANDBOX_PROFILE_SHARES_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "profile %s has %u shares: use at most %d",
                         profile->name, profile->shares->len, SANDBOX_PROFILE_SHARES_MAX);
  for (guint i = 0; i < profile->shares->len; i++)
    {
      const Share *share = g_ptr_array_index (profile->shares, i);
      g_autofree char *place = place_of (share->origin);

      if (!_sandbox_profile_value (profile, share, KEY_SHARE_SOURCE))
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "%s[share:%s] has no source: add source=DIRECTORY", place,
                             share->name);
      if (!check_shadow (profile, share, error) || !check_classes (profile, share, error))
        return FALSE;
      for (guint k = 0; k < i; k++)
        if (!check_overlap (profile, g_ptr_array_index (profile->shares, k), share,
                            KEY_SHARE_SOURCE, error)
            || !check_overlap (profile, g_ptr_array_index (profile->shares, k), share,
                               KEY_SHARE_TARGET, error))
          return FALSE;
    }
  return TRUE;
}

/* Lists that look as if they opened something, where nothing is open, would mislead. */
static gboolean
check_network (SandboxProfile *profile, GError **error)
{
  const char *origin = profile->cells[KEY_NETWORK_MODE].origin;

  if (!g_str_equal (_sandbox_profile_value (profile, NULL, KEY_NETWORK_MODE), "none"))
    return TRUE;
  for (KeyId id = KEY_NETWORK_EGRESS; id <= KEY_NETWORK_ALLOW; id++)
    {
      const char *name = _sandbox_key_row (id)->name;
      g_autofree char *place = NULL, *where = NULL;

      if (_sandbox_profile_value (profile, NULL, id)[0] == '\0')
        continue;
      place = place_of (profile->cells[id].origin);
      if (!g_str_equal (origin, SANDBOX_ORIGIN_SET))
        where = g_strdup_printf (" (%s)", origin);
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "%s[network] %s: mode=none%s has no way out, so %s= means nothing: "
                           "remove it, write %s= with no value where it is inherited, or write "
                           "mode=nat",
                           place, name, where ? where : "", name, name);
    }
  return TRUE;
}

/* Kept memory has in it what the disk hides. */
static gboolean
check_encrypt (SandboxProfile *profile, GError **error)
{
  g_autofree char *place = NULL;

  if (!g_str_equal (_sandbox_profile_value (profile, NULL, KEY_ENCRYPT), "yes")
      || !g_str_equal (_sandbox_profile_value (profile, NULL, KEY_START), "warm"))
    return TRUE;
  place = place_of (profile->cells[KEY_ENCRYPT].origin);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "%s[machine] encrypt: a machine with an encrypted disk is never started "
                       "from kept memory, which would hold its key: write start=boot, or "
                       "encrypt=no",
                       place);
}

/* A port of the guest at which a service of the host is offered must not be forwarded to the host
 * again: a connection would go round in circles until no descriptor is left. */
static gboolean
check_circles (SandboxProfile *profile, GError **error)
{
  g_autoptr (GArray) forwards = _sandbox_list_ports (
      KEY_NETWORK_FORWARD, _sandbox_profile_value (profile, NULL, KEY_NETWORK_FORWARD));
  g_autoptr (GArray) hosts = _sandbox_list_ports (
      KEY_NETWORK_HOST, _sandbox_profile_value (profile, NULL, KEY_NETWORK_HOST));

  for (guint i = 0; i < forwards->len; i++)
    for (guint k = 0; k < hosts->len; k++)
      {
        const SandboxPortMap *forward = &g_array_index (forwards, SandboxPortMap, i);
        const SandboxPortMap *host = &g_array_index (hosts, SandboxPortMap, k);
        g_autofree char *place = NULL, *forward_text = NULL, *host_text = NULL;

        if (!sandbox_port_ranges_overlap (&forward->guest, &host->guest))
          continue;
        place = place_of (profile->cells[KEY_NETWORK_HOST].origin);
        forward_text = sandbox_port_map_format (forward);
        host_text = sandbox_port_map_format (host);
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "%s[network] host: \"%s\" and forward=%s meet at port %u of the "
                             "machine, so connections would come back to this host: use another "
                             "port of the machine for one of them, such as %u:%u",
                             place, host_text, forward_text,
                             MAX (forward->guest.first, host->guest.first), host->host.first,
                             host->guest.last + 1u);
      }
  return TRUE;
}

/* --- the typed view */

static SandboxShareSpec *
make_share_spec (SandboxProfile *profile, const Share *share)
{
  SandboxShareSpec *spec = g_new0 (SandboxShareSpec, 1);

  spec->name = g_strdup (share->name);
  spec->source = g_strdup (_sandbox_profile_value (profile, share, KEY_SHARE_SOURCE));
  spec->target = g_strdup (_sandbox_profile_value (profile, share, KEY_SHARE_TARGET));
  spec->mode =
      _sandbox_share_mode_from_string (_sandbox_profile_value (profile, share, KEY_SHARE_MODE));
  spec->create = g_str_equal (_sandbox_profile_value (profile, share, KEY_SHARE_CREATE), "yes");
  spec->shadow = g_strdup (_sandbox_profile_value (profile, share, KEY_SHARE_SHADOW));
  spec->guard = g_strdup (_sandbox_profile_value (profile, share, KEY_SHARE_GUARD));
  spec->flag = g_strdup (_sandbox_profile_value (profile, share, KEY_SHARE_FLAG));
  return spec;
}

static SandboxProvision
make_provision (SandboxProfile *profile)
{
#define WORDS(id) g_strsplit (_sandbox_profile_value (profile, NULL, id), ";", -1)
  return (SandboxProvision){
    .use = WORDS (KEY_PROVISION_USE),
    .packages = WORDS (KEY_PROVISION_PACKAGES),
    .npm = WORDS (KEY_PROVISION_NPM),
    .setup = WORDS (KEY_PROVISION_SETUP),
    .files = WORDS (KEY_PROVISION_FILES),
    .env = WORDS (KEY_PROVISION_ENV),
    .timeout_usec =
        _sandbox_time_limit_usec (_sandbox_profile_value (profile, NULL, KEY_PROVISION_TIMEOUT)),
  };
#undef WORDS
}

static void
make_values (SandboxProfile *profile)
{
  SandboxProfileValues *values = &profile->values;
  const char *inherits = _sandbox_profile_value (profile, NULL, KEY_INHERITS);
#define VALUE(id) _sandbox_profile_value (profile, NULL, id)

  clear_values (values);
  *values = (SandboxProfileValues){
    .name = profile->name,
    .summary = VALUE (KEY_SUMMARY),
    .inherits = inherits ? inherits : "",
    .image = VALUE (KEY_IMAGE),
    .cpus = (guint)_sandbox_key_number (VALUE (KEY_CPUS)),
    .memory_bytes = _sandbox_key_number (VALUE (KEY_MEMORY)),
    .disk_bytes = _sandbox_key_number (VALUE (KEY_DISK)),
    .user = VALUE (KEY_USER),
    .accel = _sandbox_accel_from_string (VALUE (KEY_ACCEL)),
    .network_mode = VALUE (KEY_NETWORK_MODE),
    .egress = _sandbox_list_rules (KEY_NETWORK_EGRESS, VALUE (KEY_NETWORK_EGRESS)),
    .allow = _sandbox_list_rules (KEY_NETWORK_ALLOW, VALUE (KEY_NETWORK_ALLOW)),
    .forward = _sandbox_list_ports (KEY_NETWORK_FORWARD, VALUE (KEY_NETWORK_FORWARD)),
    .host = _sandbox_list_ports (KEY_NETWORK_HOST, VALUE (KEY_NETWORK_HOST)),
    .autostart_on_exec = g_str_equal (VALUE (KEY_START_ON_EXEC), "yes"),
    .start = VALUE (KEY_START),
    .encrypt = g_str_equal (VALUE (KEY_ENCRYPT), "yes"),
    .shares = g_ptr_array_new_with_free_func (free_share_spec),
    .provision = make_provision (profile),
    .forbid = g_strsplit (VALUE (KEY_POLICY_FORBID), ";", -1),
  };
#undef VALUE
  for (guint i = 0; i < profile->shares->len; i++)
    g_ptr_array_add (values->shares,
                     make_share_spec (profile, g_ptr_array_index (profile->shares, i)));
}

gboolean
_sandbox_profile_finish (SandboxProfile *profile, GError **error)
{
  g_autofree char *text = NULL;

  if (!check_shares (profile, error) || !check_network (profile, error)
      || !check_encrypt (profile, error) || !check_circles (profile, error))
    return FALSE;
  make_values (profile);
  text = sandbox_profile_format (profile);
  g_free (profile->digest);
  profile->digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
  return TRUE;
}

gboolean
_sandbox_profile_remove_shares (SandboxProfile *profile, gboolean created_only, GError **error)
{
  const GPtrArray *values = profile->values.shares;

  for (guint i = 0; i < values->len; i++)
    {
      const SandboxShareSpec *spec = values->pdata[i];

      if (!created_only || spec->create)
        g_ptr_array_remove (profile->shares, _sandbox_profile_find_share (profile, spec->name));
    }
  return _sandbox_profile_finish (profile, error);
}

const SandboxProfileValues *
_sandbox_profile_values (SandboxProfile *profile)
{
  return &profile->values;
}

/* --- single values by name */

/* FALSE for an unknown key or a share that is not there. */
static gboolean
find_value (SandboxProfile *profile, const char *group, const char *key, Share **ret_share,
            KeyId *ret_id)
{
  Share *share = NULL;

  if (!_sandbox_key_find (group, key, ret_id, NULL))
    return FALSE;
  if (*ret_id >= KEY_SHARE_SOURCE)
    {
      share = _sandbox_profile_find_share (profile, group + strlen (SHARE_GROUP_PREFIX));
      if (!share)
        return FALSE;
    }
  *ret_share = share;
  return TRUE;
}

const char *
sandbox_profile_get (SandboxProfile *profile, const char *group, const char *key)
{
  Share *share = NULL;
  KeyId id = 0;
  const char *value;

  if (!find_value (profile, group, key, &share, &id))
    return NULL;
  value = _sandbox_profile_value (profile, share, id);
  return value ? value : "";
}

const char *
sandbox_profile_get_origin (SandboxProfile *profile, const char *group, const char *key)
{
  Share *share = NULL;
  KeyId id = 0;
  const Cell *cell;

  if (!find_value (profile, group, key, &share, &id))
    return NULL;
  cell = share ? &share->cells[id] : &profile->cells[id];
  return cell->origin ? cell->origin : BUILT_IN;
}

void
_sandbox_profile_swap (SandboxProfile *a, SandboxProfile *b)
{
  SandboxProfile content = *a;

  *a = *b;
  *b = content;
  /* the counts of references stay where they are */
  b->ref_count = a->ref_count;
  a->ref_count = content.ref_count;
}

gboolean
sandbox_profile_set (SandboxProfile *profile, const char *group, const char *key, const char *value,
                     GError **error)
{
  g_autoptr (SandboxProfile) changed = sandbox_profile_copy (profile);

  if (!_sandbox_profile_assign (changed, group, key, value, SANDBOX_ORIGIN_SET, error)
      || !_sandbox_profile_finish (changed, error))
    return FALSE;
  _sandbox_profile_swap (profile, changed);
  return TRUE;
}
