// SPDX-License-Identifier: LGPL-2.1-or-later
// Host facts as a plain struct and as the key file text that tests record them in.
#include "plan/facts.h"

#include "base/error.h"

#include <string.h>

#define GROUP "facts"
#define NETS  "used-nets"

typedef enum
{
  FACT_TEXT,
  FACT_VERSION,
  FACT_FLAG,
  FACT_COUNT,
  FACT_BYTES,
} FactType;

static const struct
{
  const char *key;
  FactType type;
  gsize offset;
} fact_table[] = {
  { "driver", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, driver) },
  { "libvirt", FACT_VERSION, G_STRUCT_OFFSET (SandboxFacts, libvirt_version) },
  { "qemu", FACT_VERSION, G_STRUCT_OFFSET (SandboxFacts, qemu_version) },
  { "arch", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, arch) },
  { "emulator", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, emulator) },
  { "machine", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, machine) },
  { "virtiofs", FACT_FLAG, G_STRUCT_OFFSET (SandboxFacts, virtiofs) },
  { "memfd", FACT_FLAG, G_STRUCT_OFFSET (SandboxFacts, memfd) },
  { "share-helper", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, share_helper) },
  { "kvm-listed", FACT_FLAG, G_STRUCT_OFFSET (SandboxFacts, kvm_listed) },
  { "kvm-usable", FACT_FLAG, G_STRUCT_OFFSET (SandboxFacts, kvm_usable) },
  { "kvm-reason", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, kvm_reason) },
  { "cpus", FACT_COUNT, G_STRUCT_OFFSET (SandboxFacts, host_cpus) },
  { "memory", FACT_BYTES, G_STRUCT_OFFSET (SandboxFacts, host_memory_bytes) },
  { "pool", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, pool_path) },
  { "host-addresses", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, host_addresses) },
  { "lan-nets", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, lan_nets) },
  { "local-ports", FACT_TEXT, G_STRUCT_OFFSET (SandboxFacts, local_ports) },
};

static void
free_net (gpointer data)
{
  SandboxUsedNet *net = data;

  g_free (net->device);
  g_free (net);
}

SandboxFacts *
sandbox_facts_new (void)
{
  SandboxFacts *facts = g_new0 (SandboxFacts, 1);

  for (guint i = 0; i < G_N_ELEMENTS (fact_table); i++)
    if (fact_table[i].type == FACT_TEXT)
      G_STRUCT_MEMBER (char *, facts, fact_table[i].offset) = g_strdup ("");
  facts->used_nets = g_ptr_array_new_with_free_func (free_net);
  return facts;
}

void
sandbox_facts_free (SandboxFacts *facts)
{
  if (!facts)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (fact_table); i++)
    if (fact_table[i].type == FACT_TEXT)
      g_free (G_STRUCT_MEMBER (char *, facts, fact_table[i].offset));
  g_ptr_array_unref (facts->used_nets);
  g_free (facts);
}

SandboxFacts *
sandbox_facts_copy (const SandboxFacts *facts)
{
  SandboxFacts *copy = g_new0 (SandboxFacts, 1);

  *copy = *facts;
  copy->used_nets = g_ptr_array_new_with_free_func (free_net);
  for (guint i = 0; i < G_N_ELEMENTS (fact_table); i++)
    if (fact_table[i].type == FACT_TEXT)
      G_STRUCT_MEMBER (char *, copy, fact_table[i].offset) =
          g_strdup (G_STRUCT_MEMBER (char *, facts, fact_table[i].offset));
  return copy;
}

void
sandbox_facts_add_net (SandboxFacts *facts, const SandboxCidr *cidr, const char *device)
{
  SandboxUsedNet *net = g_new0 (SandboxUsedNet, 1);

  net->cidr = *cidr;
  net->device = g_strdup (device ? device : "");
  g_ptr_array_add (facts->used_nets, net);
}

static gboolean
parse_version (const char *text, guint64 *ret_version, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ".", -1);
  guint64 version = 0;

  if (g_strv_length (parts) != 3)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "\"%s\" is no version such as 9.0.0", text);
  for (guint i = 0; i < 3; i++)
    {
      guint64 part;

      if (!sandbox_uint_parse (parts[i], 0, 999, &part, error))
        return FALSE;
      version = version * 1000 + part;
    }
  *ret_version = version;
  return TRUE;
}

/* With an error or the text: GLib gives both for a bad escape. */
static char *
read_text (GKeyFile *file, const char *group, const char *key, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autofree char *text = g_key_file_get_string (file, group, key, &problem);

  if (!problem)
    return g_steal_pointer (&text);
  g_propagate_error (error, g_steal_pointer (&problem));
  return NULL;
}

static gboolean
parse_fact (SandboxFacts *facts, guint row, GKeyFile *file, GError **error)
{
  gpointer field = G_STRUCT_MEMBER_P (facts, fact_table[row].offset);
  g_autofree char *text = read_text (file, GROUP, fact_table[row].key, error);
  guint64 value = 0;

  if (!text)
    return FALSE;
  switch (fact_table[row].type)
    {
    case FACT_TEXT:
      g_free (*(char **)field);
      *(char **)field = g_steal_pointer (&text);
      return TRUE;
    case FACT_VERSION:
      return parse_version (text, field, error);
    case FACT_FLAG:
      *(gboolean *)field = g_str_equal (text, "yes");
      if (!*(gboolean *)field && !g_str_equal (text, "no"))
        return sandbox_fail (error, SANDBOX_ERROR_INVALID, "\"%s\" is neither yes nor no", text);
      return TRUE;
    case FACT_COUNT:
      if (!sandbox_uint_parse (text, 0, G_MAXUINT, &value, error))
        return FALSE;
      *(guint *)field = (guint)value;
      return TRUE;
    case FACT_BYTES:
      return sandbox_uint_parse (text, 0, G_MAXUINT64, field, error);
    default:
      g_assert_not_reached ();
    }
}

/* Values of this group are "NETWORK DEVICE"; the keys only keep them apart. */
static gboolean
parse_nets (SandboxFacts *facts, GKeyFile *file, GError **error)
{
  g_auto (GStrv) keys = g_key_file_get_keys (file, NETS, NULL, NULL);

  for (guint i = 0; keys && keys[i]; i++)
    {
      g_autofree char *text = read_text (file, NETS, keys[i], error);
      char *device = text ? strchr (text, ' ') : NULL;
      SandboxCidr cidr;

      if (device)
        *device++ = '\0';
      if (!text || !sandbox_cidr_parse (text, &cidr, error))
        return FALSE;
      sandbox_facts_add_net (facts, &cidr, device);
    }
  return TRUE;
}

static gboolean
parse_group (SandboxFacts *facts, GKeyFile *file, GError **error)
{
  g_auto (GStrv) keys = g_key_file_get_keys (file, GROUP, NULL, error);

  if (!keys)
    return FALSE;
  for (guint i = 0; keys[i]; i++)
    {
      guint row = 0;

      while (row < G_N_ELEMENTS (fact_table) && !g_str_equal (fact_table[row].key, keys[i]))
        row++;
      if (row == G_N_ELEMENTS (fact_table))
        return sandbox_fail (error, SANDBOX_ERROR_INVALID, "unknown key \"%s\"", keys[i]);
      if (!parse_fact (facts, row, file, error))
        return FALSE;
    }
  return TRUE;
}

SandboxFacts *
sandbox_facts_parse (const char *text, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
  g_autoptr (GError) problem = NULL;

  if (!g_key_file_load_from_data (file, text, strlen (text), G_KEY_FILE_NONE, &problem)
      || !parse_group (facts, file, &problem) || !parse_nets (facts, file, &problem))
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading recorded host facts: %s",
                    problem->message);
      return NULL;
    }
  return g_steal_pointer (&facts);
}

static char *
format_fact (const SandboxFacts *facts, guint row)
{
  gconstpointer field = G_STRUCT_MEMBER_P (facts, fact_table[row].offset);
  guint64 version;

  switch (fact_table[row].type)
    {
    case FACT_TEXT:
      return g_strdup (*(char *const *)field);
    case FACT_VERSION:
      version = *(const guint64 *)field;
      return g_strdup_printf ("%u.%u.%u", (guint)(version / 1000000),
                              (guint)(version / 1000 % 1000), (guint)(version % 1000));
    case FACT_FLAG:
      return g_strdup (*(const gboolean *)field ? "yes" : "no");
    case FACT_COUNT:
      return g_strdup_printf ("%u", *(const guint *)field);
    case FACT_BYTES:
      return g_strdup_printf ("%" G_GUINT64_FORMAT, *(const guint64 *)field);
    default:
      g_assert_not_reached ();
    }
}

char *
sandbox_facts_format (const SandboxFacts *facts)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();

  for (guint i = 0; i < G_N_ELEMENTS (fact_table); i++)
    {
      g_autofree char *text = format_fact (facts, i);

      g_key_file_set_string (file, GROUP, fact_table[i].key, text);
    }
  for (guint i = 0; i < facts->used_nets->len; i++)
    {
      const SandboxUsedNet *net = g_ptr_array_index (facts->used_nets, i);
      g_autofree char *key = g_strdup_printf ("net-%u", i + 1);
      g_autofree char *address = sandbox_address_format (net->cidr.address);
      g_autofree char *text = g_strdup_printf ("%s/%u%s%s", address, net->cidr.bits,
                                               *net->device ? " " : "", net->device);

      g_key_file_set_string (file, NETS, key, text);
    }
  return g_key_file_to_data (file, NULL, NULL);
}
