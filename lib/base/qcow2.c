// SPDX-License-Identifier: LGPL-2.1-or-later
// The inspector of qcow2 disks: header, then tables, then the count of every cluster.
#include "base/qcow2-private.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/names.h"
#include "base/units.h"

#include <string.h>

#define GIB (G_GUINT64_CONSTANT (1) << 30)

typedef struct
{
  SandboxReadAtFunc read;
  gpointer user_data;
  guint64 file_bytes, cluster_bytes, n_clusters;
  guint64 disk_bytes;
  guint64 l1_offset, l1_entries;
  guint64 refcount_offset, refcount_entries;
  guint8 *used;             /* a bit for each cluster of the file */
  const char *const *below; /* NULL: it stands on nothing */
  guint ret_below;
} Check;

static gboolean
refuse (GError **error, const char *why)
{
  return sandbox_fail (error, SANDBOX_ERROR_INVALID, "looking into its disk: %s", why);
}

static gboolean
read_at (const Check *check, guint64 offset, void *data, gsize length, GError **error)
{
  if (offset > check->file_bytes || length > check->file_bytes - offset)
    return refuse (error, "a table of it lies beyond the end of the file");
  return check->read (offset, data, length, check->user_data, error);
}

/* Claims the clusters of [@offset, @offset + @bytes) for one thing. */
static gboolean
claim (Check *check, guint64 offset, guint64 bytes, const char *what, GError **error)
{
  guint64 first = offset / check->cluster_bytes;
  guint64 count = (bytes + check->cluster_bytes - 1) / check->cluster_bytes;

  if (offset % check->cluster_bytes != 0)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "looking into its disk: %s does not begin at a cluster", what);
  if (first >= check->n_clusters || count > check->n_clusters - first)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "looking into its disk: %s lies beyond the end of the file", what);
  for (guint64 i = first; i < first + count; i++)
    {
      if (check->used[i / 8] & (1u << (i % 8)))
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "looking into its disk: %s lies where something else is", what);
      check->used[i / 8] |= (guint8)(1u << (i % 8));
    }
  return TRUE;
}

/* --- header */

static gboolean
check_identity (const Check *check, const guint8 *header, GError **error)
{
  if (memcmp (header, "QFI\xfb", 4) != 0)
    return refuse (error, "it is no qcow2 disk; no other format is taken");
  if (sandbox_get32 (header + 4) != 3)
    return refuse (error, "its version is not 3");
  /* whatever the rest of the file says, there must not be the name of a file */
  if (check->below == NULL && (sandbox_get64 (header + 8) != 0 || sandbox_get32 (header + 16) != 0))
    return refuse (error, "it has a backing file: another file of the host would be read");
  if (sandbox_get32 (header + 32) != 0)
    return refuse (error, "it is encrypted");
  if (sandbox_get32 (header + 60) != 0 || sandbox_get64 (header + 64) != 0)
    return refuse (error, "it has snapshots in it");
  return TRUE;
}

static gboolean
check_features (const guint8 *header, GError **error)
{
  guint64 incompatible = sandbox_get64 (header + 72);

  if (incompatible & 1)
    return refuse (error, "it was not closed: start and stop the machine that it is of, and export "
                          "it again");
  if (incompatible & 2)
    return refuse (error, "it is marked as damaged");
  if (incompatible & 4)
    return refuse (error, "it has a data file: another file of the host would be read");
  if (incompatible & 8)
    return refuse (error, "it has another compression than the usual one");
  if (incompatible & 16)
    return refuse (error, "it has extended entries");
  if (incompatible != 0)
    return refuse (error, "it has features that are not known here");
  if (sandbox_get64 (header + 80) != 0 || sandbox_get64 (header + 88) != 0)
    return refuse (error, "it has features that no plain disk has");
  return TRUE;
}

static gboolean
is_zero (const guint8 *data, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (data[i] != 0)
      return FALSE;
  return TRUE;
}

static gboolean
check_sizes (Check *check, const guint8 *header, guint64 max_bytes, GError **error)
{
  guint32 cluster_bits = sandbox_get32 (header + 20);
  guint64 per_table;

  if (cluster_bits < CLUSTER_BITS_MIN || cluster_bits > CLUSTER_BITS_MAX
      || (check->below != NULL && 1u << cluster_bits != SANDBOX_QCOW2_LAYER_CLUSTER))
    return refuse (error, "its clusters have a size that is not taken");
  if (sandbox_get32 (header + 96) != 4)
    return refuse (error, "its counts have a width that is not taken");
  check->cluster_bytes = G_GUINT64_CONSTANT (1) << cluster_bits;
  check->n_clusters = (check->file_bytes + check->cluster_bytes - 1) / check->cluster_bytes;
  check->disk_bytes = sandbox_get64 (header + 24);
  if (check->disk_bytes == 0 || check->disk_bytes % 512 != 0)
    return refuse (error, "its size is none that a disk can have");
  if (check->disk_bytes > max_bytes)
    {
      g_autofree char *have = sandbox_size_human (check->disk_bytes);
      g_autofree char *most = sandbox_size_human (max_bytes);

      /* only what came with an export is looked into */
      return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                           "looking into its disk: it can grow to %s, and no more than %s are "
                           "allowed; `vms import --max-disk %" G_GUINT64_FORMAT "` allows it, and "
                           "so does disk= in defaults.profile",
                           have, most, (check->disk_bytes + GIB - 1) / GIB);
    }
  per_table = check->cluster_bytes / 8 * check->cluster_bytes;
  check->l1_entries = sandbox_get32 (header + 36);
  if (check->l1_entries != (check->disk_bytes + per_table - 1) / per_table
      || check->l1_entries * 8 > L1_BYTES_MAX)
    return refuse (error, "its first table does not have the length that its size calls for");
  check->l1_offset = sandbox_get64 (header + 40);
  check->refcount_offset = sandbox_get64 (header + 48);
  if (sandbox_get32 (header + 56) == 0
      || sandbox_get32 (header + 56) > REFCOUNT_BYTES_MAX / check->cluster_bytes)
    return refuse (error, "its table of counts has a length that is not taken");
  check->refcount_entries = sandbox_get32 (header + 56) * (check->cluster_bytes / 8);
  return TRUE;
}

/* Behind the header: the names of features, and nothing else. */
static gboolean
check_extensions (const Check *check, guint32 at, GError **error)
{
  g_autofree guint8 *rest = g_malloc (check->cluster_bytes);
  gsize length = check->cluster_bytes - at;

  if (!read_at (check, at, rest, length, error))
    return FALSE;
  for (gsize i = 0; length - i >= 8;)
    {
      guint32 type = sandbox_get32 (rest + i), bytes = sandbox_get32 (rest + i + 4);

      if (type == EXT_END)
        return (bytes == 0 && is_zero (rest + i, length - i))
               || refuse (error, "there is something behind its header");
      if (type != EXT_FEATURES)
        return refuse (error, "its header names something that no plain disk has");
      if (bytes > EXT_FEATURES_MAX || bytes % 8 != 0)
        return refuse (error, "its header is damaged");
      i += 8 + bytes;
    }
  return refuse (error, "its header has no end");
}

gboolean
sandbox_qcow2_stand_on (guint8 *cluster, const char *below, GError **error)
{
  gsize length = strlen (below);
  guint32 bits = sandbox_get32 (cluster + 20);

  if (bits > CLUSTER_BITS_MAX || 1u << bits != SANDBOX_QCOW2_LAYER_CLUSTER)
    return refuse (error, "its clusters have a size that is not taken");
  if (length == 0 || length > BELOW_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "the name of what a layer stands on has %" G_GSIZE_FORMAT
                         " bytes, and QEMU takes no more than %d",
                         length, BELOW_MAX);
  memset (cluster + HEADER_MIN, 0, SANDBOX_QCOW2_LAYER_CLUSTER - HEADER_MIN);
  sandbox_put64 (cluster + 8, BELOW_AT);
  sandbox_put32 (cluster + 16, (guint32)length);
  sandbox_put32 (cluster + 100, HEADER_MIN);
  sandbox_put32 (cluster + HEADER_MIN, EXT_BELOW_FORMAT);
  sandbox_put32 (cluster + HEADER_MIN + 4, strlen (BELOW_FORMAT));
  memcpy (cluster + HEADER_MIN + 8, BELOW_FORMAT, strlen (BELOW_FORMAT));
  memcpy (cluster + BELOW_AT, below, length);
  return TRUE;
}

/* The name that QEMU would open: wherever in the cluster it is, it counts as what it is. */
static gboolean
find_below (Check *check, const char *name, GError **error)
{
  g_autofree char *shown = NULL;

  for (guint i = 0; check->below[i] != NULL; i++)
    if (strcmp (check->below[i], name) == 0)
      {
        check->ret_below = i;
        return TRUE;
      }
  shown = sandbox_escape (name, -1, 120);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "looking into its disk: its backing file is \"%s\", and not one of the "
                       "layers before it: another file would be read",
                       shown);
}

static gboolean
check_below (Check *check, const guint8 *header, GError **error)
{
  g_autofree guint8 *cluster = g_malloc (check->cluster_bytes), *want = NULL;
  g_autofree char *name = NULL;
  guint64 at = sandbox_get64 (header + 8);
  guint32 length = sandbox_get32 (header + 16);

  if (at == 0 || length == 0)
    return refuse (error, "it is a layer, and stands on nothing");
  if (at > check->cluster_bytes || length > check->cluster_bytes - at)
    return refuse (error, "the name of its backing file lies beyond its header");
  if (!read_at (check, 0, cluster, check->cluster_bytes, error))
    return FALSE;
  name = g_strndup ((char *)cluster + at, length);
  if (!find_below (check, name, error))
    return FALSE;
  want = g_memdup2 (cluster, check->cluster_bytes);
  return sandbox_qcow2_stand_on (want, name, error)
         && (memcmp (want, cluster, check->cluster_bytes) == 0
             || refuse (error, "its header says more than that of a layer does"));
}

static gboolean
check_header (Check *check, guint64 max_bytes, GError **error)
{
  guint8 header[HEADER_MAX];
  guint32 length;

  if (check->file_bytes < G_GUINT64_CONSTANT (1) << CLUSTER_BITS_MIN)
    return refuse (error, "it is too short for a disk");
  if (check->file_bytes > SANDBOX_QCOW2_FILE_MAX)
    return refuse (error, "the file is too large");
  if (!read_at (check, 0, header, sizeof header, error) || !check_identity (check, header, error))
    return FALSE;
  length = sandbox_get32 (header + 100);
  if (length != HEADER_MIN && length != HEADER_MAX)
    return refuse (error, "its header has a length that is not taken");
  /* the kind of compression, of which there is none */
  if (length == HEADER_MAX && !is_zero (header + HEADER_MIN, HEADER_MAX - HEADER_MIN))
    return refuse (error, "it has another compression than the usual one");
  return check_features (header, error) && check_sizes (check, header, max_bytes, error)
         && (check->below != NULL ? check_below (check, header, error)
                                  : check_extensions (check, length, error));
}

/* --- tables */

static gboolean
check_l2 (Check *check, guint64 offset, guint8 *table, GError **error)
{
  if (!claim (check, offset, check->cluster_bytes, "a second table", error)
      || !read_at (check, offset, table, check->cluster_bytes, error))
    return FALSE;
  for (guint64 i = 0; i < check->cluster_bytes; i += 8)
    {
      guint64 entry = sandbox_get64 (table + i), at = entry & OFFSET_MASK;

      if (entry & COMPRESSED)
        return refuse (error, "it is compressed");
      if (entry & L2_RESERVED)
        return refuse (error, "an entry of a second table has bits that mean nothing");
      if ((at != 0) != ((entry & COPIED) != 0))
        return refuse (error, "an entry of a second table is not the only one of its cluster");
      if (at != 0 && !claim (check, at, check->cluster_bytes, "content", error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_l1 (Check *check, GError **error)
{
  g_autofree guint8 *l1 = g_malloc (check->l1_entries * 8);
  g_autofree guint8 *l2 = g_malloc (check->cluster_bytes);

  if (!claim (check, check->l1_offset, check->l1_entries * 8, "the first table", error)
      || !read_at (check, check->l1_offset, l1, check->l1_entries * 8, error))
    return FALSE;
  for (guint64 i = 0; i < check->l1_entries; i++)
    {
      guint64 entry = sandbox_get64 (l1 + i * 8), at = entry & OFFSET_MASK;

      if (entry & L1_RESERVED)
        return refuse (error, "an entry of the first table has bits that mean nothing");
      if ((at != 0) != ((entry & COPIED) != 0))
        return refuse (error, "an entry of the first table is not the only one of its table");
      if (at != 0 && !check_l2 (check, at, l2, error))
        return FALSE;
    }
  return TRUE;
}

/* --- counts */

static gboolean
claim_counts (Check *check, const guint8 *table, GError **error)
{
  for (guint64 i = 0; i < check->refcount_entries; i++)
    {
      guint64 at = sandbox_get64 (table + i * 8);

      if (at != 0 && !claim (check, at, check->cluster_bytes, "a table of counts", error))
        return FALSE;
    }
  return TRUE;
}

/* Of the clusters from @first on. */
static gboolean
compare_counts (const Check *check, const guint8 *counts, guint64 first, GError **error)
{
  for (guint64 i = 0; i < check->cluster_bytes / 2; i++)
    {
      guint count = (guint)counts[i * 2] << 8 | counts[i * 2 + 1], want = 0;

      if (first + i < check->n_clusters)
        want = (check->used[(first + i) / 8] >> ((first + i) % 8)) & 1;
      if (count != want)
        return refuse (error, want == 0 ? "something is counted that is not used"
                                        : "something is used that is not counted once");
    }
  return TRUE;
}

static gboolean
check_counts (Check *check, GError **error)
{
  guint64 per_block = check->cluster_bytes / 2;
  g_autofree guint8 *table = g_malloc (check->refcount_entries * 8);
  g_autofree guint8 *block = g_malloc0 (check->cluster_bytes);

  if (!claim (check, check->refcount_offset, check->refcount_entries * 8, "the table of counts",
              error)
      || !read_at (check, check->refcount_offset, table, check->refcount_entries * 8, error)
      || !claim_counts (check, table, error))
    return FALSE;
  for (guint64 i = 0; i < check->refcount_entries; i++)
    {
      guint64 at = sandbox_get64 (table + i * 8);

      if (at == 0 && i * per_block >= check->n_clusters)
        continue;
      if (at == 0)
        memset (block, 0, check->cluster_bytes);
      else if (!read_at (check, at, block, check->cluster_bytes, error))
        return FALSE;
      if (!compare_counts (check, block, i * per_block, error))
        return FALSE;
    }
  return check->refcount_entries * per_block >= check->n_clusters
         || refuse (error, "something is used that is not counted once");
}

static gboolean
check_all (Check *check, guint64 max_bytes, GError **error)
{
  g_autofree guint8 *used = NULL;

  if (!check_header (check, max_bytes, error))
    return FALSE;
  check->used = used = g_malloc0 (check->n_clusters / 8 + 1);
  return claim (check, 0, check->cluster_bytes, "the header", error) && check_l1 (check, error)
         && check_counts (check, error);
}

gboolean
sandbox_qcow2_check (SandboxReadAtFunc read, gpointer user_data, guint64 file_bytes,
                     guint64 max_bytes, guint64 *ret_disk_bytes, GError **error)
{
  Check check = { .read = read, .user_data = user_data, .file_bytes = file_bytes };

  if (!check_all (&check, max_bytes, error))
    return FALSE;
  *ret_disk_bytes = check.disk_bytes;
  return TRUE;
}

gboolean
sandbox_qcow2_check_layer (SandboxReadAtFunc read, gpointer user_data, guint64 file_bytes,
                           guint64 max_bytes, const char *const *below, guint *ret_below,
                           guint64 *ret_disk_bytes, GError **error)
{
  Check check = { .read = read, .user_data = user_data, .file_bytes = file_bytes, .below = below };

  if (!check_all (&check, max_bytes, error))
    return FALSE;
  *ret_below = check.ret_below;
  *ret_disk_bytes = check.disk_bytes;
  return TRUE;
}
