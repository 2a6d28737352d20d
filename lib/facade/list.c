// SPDX-License-Identifier: LGPL-2.1-or-later
// The caller's machines, found with three calls to libvirt however many there are.
#include "facade/keep.h"
#include "facade/suspended.h"

#include <string.h>

static void
entry_free (gpointer data)
{
  SandboxEntry *entry = data;

  g_free (entry->profile);
  g_free (entry->problem);
  g_free (entry);
}

static SandboxEntry *
get_entry (GHashTable *table, const char *name)
{
  SandboxEntry *entry = g_hash_table_lookup (table, name);

  if (entry == NULL)
    {
      entry = g_new0 (SandboxEntry, 1);
      g_hash_table_insert (table, g_strdup (name), entry);
    }
  return entry;
}

static gboolean
add_domains (SandboxHost *host, const char *prefix, GHashTable *table, GError **error)
{
  g_autoptr (GPtrArray) domains = _sandbox_virt_list_domains (host->virt, prefix, error);

  if (domains == NULL)
    return FALSE;
  for (guint i = 0; i < domains->len; i++)
    {
      const SandboxVirtDomain *domain = domains->pdata[i];
      g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, domain->name);
      char uuid[37];
      SandboxEntry *entry;

      if (name == NULL)
        continue;
      _sandbox_object_uuid (host->uid, host->owner, name, uuid);
      /* Somebody defined a domain by hand that only looks like one of ours. */
      if (g_ascii_strcasecmp (uuid, domain->uuid) != 0)
        continue;
      entry = get_entry (table, name);
      entry->pieces.domain = TRUE;
      entry->pieces.virt_state = domain->state;
    }
  return TRUE;
}

static gboolean
add_networks (SandboxHost *host, const char *prefix, GHashTable *table, GError **error)
{
  g_auto (GStrv) networks = _sandbox_virt_list_networks (host->virt, prefix, error);

  if (networks == NULL)
    return FALSE;
  for (char **object = networks; *object != NULL; object++)
    {
      g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, *object);

      if (name != NULL)
        get_entry (table, name)->pieces.network = TRUE;
    }
  return TRUE;
}

static gboolean
add_filters (SandboxHost *host, const char *prefix, GHashTable *table, GError **error)
{
  g_auto (GStrv) filters = _sandbox_virt_list_filters (host->virt, prefix, error);

  if (filters == NULL)
    return FALSE;
  for (char **object = filters; *object != NULL; object++)
    {
      g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, *object);

      if (name != NULL)
        get_entry (table, name)->pieces.filter = TRUE;
    }
  return TRUE;
}

static gboolean
add_volumes (SandboxHost *host, const char *prefix, GHashTable *table, GError **error)
{
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (host->virt, prefix, FALSE, error);

  if (volumes == NULL)
    return FALSE;
  for (guint i = 0; i < volumes->len; i++)
    {
      const char *volume = ((SandboxVirtVolume *)volumes->pdata[i])->name;
      g_autofree char *object = _sandbox_layer_object (volume);
      g_autofree char *memory = _sandbox_memory_object (volume);
      gboolean disk = object != NULL, seed = g_str_has_suffix (volume, ".seed");
      g_autofree char *name = NULL;

      if (!disk && !seed && memory == NULL)
        continue;
      if (memory != NULL)
        object = g_strdup (memory);
      else if (!disk)
        object = g_strndup (volume, strlen (volume) - strlen (".seed"));
      name = _sandbox_object_parse (host->uid, host->owner, object);
      if (name == NULL)
        continue;
      get_entry (table, name)->pieces.disk |= disk;
      get_entry (table, name)->pieces.seed |= seed;
      get_entry (table, name)->pieces.memory |= memory != NULL;
    }
  return TRUE;
}

static gboolean
add_state (SandboxHost *host, GHashTable *table, GError **error)
{
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = _sandbox_host_state_fd (host, FALSE, &local);
  g_auto (GStrv) names = NULL;

  if (fd < 0)
    {
      if (g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  names = sandbox_dir_list (fd, error);
  if (names == NULL)
    return FALSE;
  for (char **name = names; *name != NULL; name++)
    {
      sandbox_autofd int dir = -1;

      if (!sandbox_name_check ("machine", *name, NULL))
        continue;
      dir = sandbox_dir_open_at (fd, *name, FALSE, NULL);
      if (dir >= 0)
        get_entry (table, *name)->pieces.state_dir = TRUE;
    }
  return TRUE;
}

static gboolean
add_profiles (SandboxHost *host, GHashTable *table, GError **error)
{
  g_autoptr (GPtrArray) profiles = sandbox_profile_list (&host->profiles, error);

  if (profiles == NULL)
    return FALSE;
  for (guint i = 0; i < profiles->len; i++)
    {
      const SandboxProfileInfo *info = profiles->pdata[i];
      SandboxEntry *entry = g_hash_table_lookup (table, info->name);

      /* A shipped profile is no machine until it was started. */
      if (entry == NULL && (!info->user || !sandbox_name_check ("machine", info->name, NULL)))
        continue;
      entry = get_entry (table, info->name);
      g_free (entry->profile);
      entry->profile =
          g_strdup (!info->shipped && *info->inherits != '\0' ? info->inherits : info->name);
      g_free (entry->problem);
      entry->problem = g_strdup (info->problem);
    }
  return TRUE;
}

/* Of a machine that was destroyed what its copies stand on may be left: that is no machine. */
static gboolean
is_no_machine (gpointer key, gpointer value, gpointer data)
{
  const SandboxPieces *pieces = &((SandboxEntry *)value)->pieces;
  SandboxHost *host = data;
  g_autofree char *object = _sandbox_object_name (host->uid, host->owner, key);

  return pieces->disk && !pieces->domain && !pieces->network && !pieces->filter && !pieces->seed
         && !pieces->memory && !pieces->state_dir && _sandbox_layers_only_shared (host, object);
}

GHashTable *
_sandbox_host_scan (SandboxHost *host, GError **error)
{
  g_autoptr (GHashTable) table =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, entry_free);
  g_autofree char *prefix = _sandbox_host_prefix (host);

  if (!add_domains (host, prefix, table, error) || !add_networks (host, prefix, table, error)
      || !add_filters (host, prefix, table, error) || !add_volumes (host, prefix, table, error)
      || !add_state (host, table, error))
    return NULL;
  g_hash_table_foreach_remove (table, is_no_machine, host);
  return g_steal_pointer (&table);
}

/* With details, which libvirt has to look up volume by volume: only when asked for. */
static gboolean
fill_disks (SandboxHost *host, const char *prefix, GPtrArray *infos, GError **error)
{
  g_autoptr (GPtrArray) volumes = _sandbox_virt_list_volumes (host->virt, prefix, TRUE, error);
  g_autoptr (GHashTable) by_object = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  if (volumes == NULL)
    return FALSE;
  for (guint i = 0; i < infos->len; i++)
    g_hash_table_insert (by_object,
                         _sandbox_object_name (host->uid, host->owner,
                                               ((SandboxMachineInfo *)infos->pdata[i])->name),
                         infos->pdata[i]);
  for (guint i = 0; i < volumes->len; i++)
    {
      const SandboxVirtVolume *volume = volumes->pdata[i];
      g_autofree char *object = _sandbox_layer_object (volume->name);
      SandboxMachineInfo *info = object != NULL ? g_hash_table_lookup (by_object, object) : NULL;

      if (info == NULL)
        continue;
      /* all layers; the disk grows only, so that the largest of them is the one in use */
      info->disk_bytes += volume->allocation_bytes;
      info->disk_limit_bytes = MAX (info->disk_limit_bytes, volume->capacity_bytes);
    }
  return TRUE;
}

static int
compare_infos (gconstpointer a, gconstpointer b)
{
  const SandboxMachineInfo *left = *(gconstpointer *)a, *right = *(gconstpointer *)b;

  return strcmp (left->name, right->name);
}

void
sandbox_machine_info_free (SandboxMachineInfo *info)
{
  if (info == NULL)
    return;
  g_free (info->name);
  g_free (info->profile);
  g_free (info->problem);
  g_free (info->uuid);
  g_free (info);
}

static const char *
unapplied_of (SandboxHost *host, const char *name, const SandboxEntry *entry)
{
  g_autoptr (SandboxMachine) machine = NULL;

  if (!entry->pieces.state_dir || _sandbox_pieces_running (&entry->pieces))
    return "";
  machine = _sandbox_machine_new (host, name);
  return _sandbox_unapplied_to_string (_sandbox_unapplied_read (machine));
}

GPtrArray *
sandbox_host_list (SandboxHost *host, SandboxListFlags flags, GCancellable *cancellable,
                   GError **error)
{
  g_autoptr (GHashTable) table = NULL;
  g_autoptr (GPtrArray) infos =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_machine_info_free);
  g_autofree char *prefix = _sandbox_host_prefix (host);
  GHashTableIter iter;
  gpointer key, value;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  table = _sandbox_host_scan (host, error);
  if (table == NULL || !add_profiles (host, table, error))
    return NULL;
  g_hash_table_iter_init (&iter, table);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      const SandboxEntry *entry = value;
      SandboxMachineInfo *info = g_new0 (SandboxMachineInfo, 1);
      char uuid[37];

      _sandbox_object_uuid (host->uid, host->owner, key, uuid);
      info->name = g_strdup (key);
      info->uuid = g_strdup (uuid);
      info->profile = g_strdup (entry->profile != NULL ? entry->profile : "");
      info->problem = g_strdup (entry->problem != NULL ? entry->problem : "");
      info->state = _sandbox_pieces_state (host, &entry->pieces);
      info->unapplied = unapplied_of (host, key, entry);
      g_ptr_array_add (infos, info);
    }
  g_ptr_array_sort (infos, compare_infos);
  if ((flags & SANDBOX_LIST_DISK) != 0 && !fill_disks (host, prefix, infos, error))
    return NULL;
  return g_steal_pointer (&infos);
}
