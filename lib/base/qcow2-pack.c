// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers, packed: header, counts and first table are made anew and come first; then, in the order
// in which the source has them, second tables and content. So one pass over the source is enough,
// and of what must be known before, its tables, little has to be kept.
#include "base/qcow2-pack.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/qcow2-private.h"

#include <string.h>

#define CLUSTER SANDBOX_QCOW2_LAYER_CLUSTER
/* What one cluster of them has. */
#define ENTRIES (CLUSTER / 8)
#define COUNTS  (CLUSTER / 2)

struct _SandboxQcow2Pack
{
  SandboxReadAtFunc read;
  gpointer user_data;
  guint64 file_bytes, n_clusters;
  guint64 disk_bytes, l1_entries;
  guint8 *l1;            /* as the source has it, and as long as its size calls for */
  guint64 *kept, *table; /* a bit for each cluster of the source; table: it is a second table */
  guint32 *before;       /* for each 64 of them, how many before these are kept */
  guint32 n_kept;
  guint64 n_count_tables, n_counts, n_l1; /* clusters of what is made */
  char *below;
  GByteArray *cluster; /* of the source, until it is whole */
  guint64 next;        /* number of that */
};

static gboolean
refuse (GError **error, const char *why)
{
  return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED, "reading a layer of the disk: %s", why);
}

static gboolean
get (const guint64 *bits, guint64 i)
{
  return (bits[i / 64] >> (i % 64)) & 1;
}

static gboolean
read_at (const SandboxQcow2Pack *pack, guint64 offset, void *data, gsize length, GError **error)
{
  if (offset > pack->file_bytes || length > pack->file_bytes - offset)
    return refuse (error, "a table of it lies beyond its end");
  return pack->read (offset, data, length, pack->user_data, error);
}

/* --- what the source has */

static gboolean
read_l1 (SandboxQcow2Pack *pack, guint64 offset, guint64 entries, GError **error)
{
  guint64 per_table = (guint64)ENTRIES * CLUSTER;

  pack->l1_entries = (pack->disk_bytes + per_table - 1) / per_table;
  if (pack->l1_entries * 8 > L1_BYTES_MAX)
    return refuse (error, "it is larger than any disk may be");
  pack->l1 = g_malloc0 (pack->l1_entries * 8);
  return read_at (pack, offset, pack->l1, (gsize)MIN (entries, pack->l1_entries) * 8, error);
}

static gboolean
read_header (SandboxQcow2Pack *pack, GError **error)
{
  guint8 header[HEADER_MIN];

  if (!read_at (pack, 0, header, sizeof header, error))
    return FALSE;
  if (memcmp (header, "QFI\xfb", 4) != 0 || sandbox_get32 (header + 4) != 3)
    return refuse (error, "it is no qcow2 disk of version 3");
  if (sandbox_get32 (header + 20) > CLUSTER_BITS_MAX
      || 1u << sandbox_get32 (header + 20) != CLUSTER)
    return refuse (error, "its clusters have another size than usual");
  if (sandbox_get32 (header + 32) != 0)
    return refuse (error, "it is encrypted");
  if (sandbox_get32 (header + 60) != 0 || sandbox_get64 (header + 72) != 0)
    return refuse (error, "it was not closed, is damaged, or has something that ours have not");
  pack->disk_bytes = sandbox_get64 (header + 24);
  if (pack->disk_bytes == 0 || pack->disk_bytes > G_MAXINT64)
    return refuse (error, "it has no size");
  return read_l1 (pack, sandbox_get64 (header + 40), sandbox_get32 (header + 36), error);
}

static gboolean
keep (SandboxQcow2Pack *pack, guint64 offset, gboolean is_table, GError **error)
{
  guint64 i = offset / CLUSTER;

  if (offset % CLUSTER != 0 || i >= pack->n_clusters || get (pack->kept, i))
    return refuse (error, "it is damaged: a cluster lies where there is none, or is there twice");
  pack->kept[i / 64] |= G_GUINT64_CONSTANT (1) << (i % 64);
  if (is_table)
    pack->table[i / 64] |= G_GUINT64_CONSTANT (1) << (i % 64);
  return TRUE;
}

/* The content of what reads as zeros is of no use. */
static guint64
content_of (guint64 entry)
{
  return entry & READS_ZERO ? 0 : entry & OFFSET_MASK;
}

static gboolean
read_l2 (SandboxQcow2Pack *pack, guint64 offset, GError **error)
{
  g_autofree guint8 *table = g_malloc0 (CLUSTER);

  /* the last one of the file may be cut short */
  if (!keep (pack, offset, TRUE, error)
      || !read_at (pack, offset, table, (gsize)MIN (CLUSTER, pack->file_bytes - offset), error))
    return FALSE;
  for (guint i = 0; i < ENTRIES; i++)
    {
      guint64 entry = sandbox_get64 (table + i * 8);

      if (entry & COMPRESSED)
        return refuse (error, "it is compressed");
      if (content_of (entry) != 0 && !keep (pack, content_of (entry), FALSE, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
read_tables (SandboxQcow2Pack *pack, GError **error)
{
  gsize n_words = (gsize)(pack->n_clusters / 64 + 1);

  pack->kept = g_new0 (guint64, n_words);
  pack->table = g_new0 (guint64, n_words);
  pack->before = g_new0 (guint32, n_words);
  for (guint64 i = 0; i < pack->l1_entries; i++)
    {
      guint64 at = sandbox_get64 (pack->l1 + i * 8) & OFFSET_MASK;

      if (at != 0 && !read_l2 (pack, at, error))
        return FALSE;
    }
  for (gsize i = 0; i < n_words; i++)
    {
      pack->before[i] = pack->n_kept;
      pack->n_kept += (guint32)__builtin_popcountll (pack->kept[i]);
    }
  return TRUE;
}

/* --- what is made */

static guint64
count_front (const SandboxQcow2Pack *pack)
{
  return 1 + pack->n_count_tables + pack->n_counts + pack->n_l1;
}

/* Counts count themselves, too. */
static void
lay_out (SandboxQcow2Pack *pack)
{
  guint64 n, have;

  pack->n_l1 = (pack->l1_entries + ENTRIES - 1) / ENTRIES;
  do
    {
      have = pack->n_counts;
      n = count_front (pack) + pack->n_kept;
      pack->n_counts = (n + COUNTS - 1) / COUNTS;
      pack->n_count_tables = (pack->n_counts + ENTRIES - 1) / ENTRIES;
    }
  while (pack->n_counts != have || count_front (pack) + pack->n_kept != n);
}

/* Where what the source has at @offset is in what is made. 0: it was not to be kept. */
static guint64
new_place (const SandboxQcow2Pack *pack, guint64 offset)
{
  guint64 i = offset / CLUSTER;
  guint64 lower;

  if (offset % CLUSTER != 0 || i >= pack->n_clusters || !get (pack->kept, i))
    return 0;
  lower = pack->kept[i / 64] & ((G_GUINT64_CONSTANT (1) << (i % 64)) - 1);
  return (count_front (pack) + pack->before[i / 64] + (guint64)__builtin_popcountll (lower))
         * CLUSTER;
}

static gboolean
make_header (const SandboxQcow2Pack *pack, SandboxQcow2Sink sink, gpointer user_data,
             GError **error)
{
  g_autofree guint8 *cluster = g_malloc0 (CLUSTER);

  memcpy (cluster, "QFI\xfb", 4);
  sandbox_put32 (cluster + 4, 3);
  sandbox_put32 (cluster + 20, CLUSTER_BITS_MIN);
  sandbox_put64 (cluster + 24, pack->disk_bytes);
  sandbox_put32 (cluster + 36, (guint32)pack->l1_entries);
  sandbox_put64 (cluster + 40, (1 + pack->n_count_tables + pack->n_counts) * CLUSTER);
  sandbox_put64 (cluster + 48, CLUSTER);
  sandbox_put32 (cluster + 56, (guint32)pack->n_count_tables);
  sandbox_put32 (cluster + 96, 4);
  return sandbox_qcow2_stand_on (cluster, pack->below, error)
         && sink (cluster, CLUSTER, user_data, error);
}

static gboolean
make_counts (const SandboxQcow2Pack *pack, SandboxQcow2Sink sink, gpointer user_data,
             GError **error)
{
  guint64 n = count_front (pack) + pack->n_kept;
  gsize length = (gsize)pack->n_count_tables * CLUSTER;
  g_autofree guint8 *table = g_malloc0 (length), *counts = g_malloc (CLUSTER);

  for (guint64 i = 0; i < pack->n_counts; i++)
    sandbox_put64 (table + i * 8, (1 + pack->n_count_tables + i) * CLUSTER);
  if (!sink (table, length, user_data, error))
    return FALSE;
  for (guint64 i = 0; i < pack->n_counts; i++)
    {
      for (guint k = 0; k < COUNTS; k++)
        {
          counts[k * 2] = 0;
          counts[k * 2 + 1] = i * COUNTS + k < n;
        }
      if (!sink (counts, CLUSTER, user_data, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
make_l1 (const SandboxQcow2Pack *pack, SandboxQcow2Sink sink, gpointer user_data, GError **error)
{
  g_autofree guint8 *l1 = g_malloc0 (pack->n_l1 * CLUSTER);

  for (guint64 i = 0; i < pack->l1_entries; i++)
    {
      guint64 at = sandbox_get64 (pack->l1 + i * 8) & OFFSET_MASK;

      if (at != 0)
        sandbox_put64 (l1 + i * 8, COPIED | new_place (pack, at));
    }
  return sink (l1, (gsize)pack->n_l1 * CLUSTER, user_data, error);
}

/* FALSE: it refers to what it did not refer to before. */
static gboolean
convert_l2 (const SandboxQcow2Pack *pack, guint8 *table)
{
  for (guint i = 0; i < ENTRIES; i++)
    {
      guint64 entry = sandbox_get64 (table + i * 8), at = content_of (entry);
      guint64 place = at != 0 ? new_place (pack, at) : 0;

      if (at != 0 && place == 0)
        return FALSE;
      sandbox_put64 (table + i * 8, (entry & READS_ZERO) | (at != 0 ? COPIED | place : 0));
    }
  return TRUE;
}

static gboolean
put_cluster (SandboxQcow2Pack *pack, SandboxQcow2Sink sink, gpointer user_data, GError **error)
{
  guint64 i = pack->next++;
  guint8 *data = pack->cluster->data;

  if (i == 0
      && (!make_header (pack, sink, user_data, error) || !make_counts (pack, sink, user_data, error)
          || !make_l1 (pack, sink, user_data, error)))
    return FALSE;
  if (i >= pack->n_clusters || (get (pack->table, i) && !convert_l2 (pack, data)))
    return sandbox_fail (error, SANDBOX_ERROR_FAILED,
                         "reading a layer of the disk: it changed meanwhile");
  if (get (pack->kept, i) && !sink (data, CLUSTER, user_data, error))
    return FALSE;
  g_byte_array_set_size (pack->cluster, 0);
  return TRUE;
}

/* --- interface */

SandboxQcow2Pack *
sandbox_qcow2_pack_new (SandboxReadAtFunc read, gpointer user_data, guint64 file_bytes,
                        const char *below, GError **error)
{
  g_autoptr (SandboxQcow2Pack) pack = g_new0 (SandboxQcow2Pack, 1);

  pack->read = read;
  pack->user_data = user_data;
  pack->file_bytes = file_bytes;
  pack->n_clusters = file_bytes / CLUSTER + (file_bytes % CLUSTER != 0);
  pack->below = g_strdup (below);
  pack->cluster = g_byte_array_new ();
  if (file_bytes > SANDBOX_QCOW2_FILE_MAX)
    {
      refuse (error, "its file is too large");
      return NULL;
    }
  if (!read_header (pack, error) || !read_tables (pack, error))
    return NULL;
  lay_out (pack);
  return g_steal_pointer (&pack);
}

guint64
sandbox_qcow2_pack_get_bytes (const SandboxQcow2Pack *pack)
{
  return (count_front (pack) + pack->n_kept) * CLUSTER;
}

gboolean
sandbox_qcow2_pack_feed (SandboxQcow2Pack *pack, const void *data, gsize length,
                         SandboxQcow2Sink sink, gpointer user_data, GError **error)
{
  const guint8 *from = data;

  while (length > 0)
    {
      gsize part = MIN (length, CLUSTER - pack->cluster->len);

      g_byte_array_append (pack->cluster, from, (guint)part);
      from += part;
      length -= part;
      if (pack->cluster->len == CLUSTER && !put_cluster (pack, sink, user_data, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
sandbox_qcow2_pack_end (SandboxQcow2Pack *pack, SandboxQcow2Sink sink, gpointer user_data,
                        GError **error)
{
  gsize have = pack->cluster->len;

  /* the last one may be cut short: it reads as zeros */
  if (have > 0)
    {
      g_byte_array_set_size (pack->cluster, CLUSTER);
      memset (pack->cluster->data + have, 0, CLUSTER - have);
      if (!put_cluster (pack, sink, user_data, error))
        return FALSE;
    }
  return pack->next == pack->n_clusters
         || sandbox_fail (error, SANDBOX_ERROR_FAILED,
                          "reading a layer of the disk: it ended early");
}

void
sandbox_qcow2_pack_free (SandboxQcow2Pack *pack)
{
  g_free (pack->l1);
  g_free (pack->kept);
  g_free (pack->table);
  g_free (pack->before);
  g_free (pack->below);
  g_byte_array_unref (pack->cluster);
  g_free (pack);
}
