// SPDX-License-Identifier: LGPL-2.1-or-later
// What the host can do: a plain struct, read once per connection, loadable from a recorded file.
#pragma once

#include <glib.h>
#include "base/units.h"

typedef struct
{
  SandboxCidr cidr;
  char *device; /* interface or bridge that carries it, "" if unknown */
} SandboxUsedNet;

typedef struct
{
  char *driver;             /* "QEMU" or "TEST" */
  guint64 libvirt_version;  /* 9000000 = 9.0.0 */
  guint64 qemu_version;     /* 7002022, 0 for TEST */
  char *arch;               /* "x86_64" */
  char *emulator;           /* path, "" for TEST */
  char *machine;            /* "q35" resolved, "" for TEST */
  gboolean virtiofs, memfd; /* domain capabilities */
  char *share_helper;       /* path of vms-virtiofsd, "" when it is not installed */
  gboolean kvm_listed;      /* libvirt offers domain type kvm */
  gboolean kvm_usable;      /* the probe found it fast enough */
  char *kvm_reason;         /* one sentence: why (not) */
  guint host_cpus;
  guint64 host_memory_bytes;
  char *pool_path;      /* directory of the storage pool, "" when there is no pool yet */
  GPtrArray *used_nets; /* of SandboxUsedNet */
  char *host_addresses; /* IPv4 addresses of the host but loopback's, "A;B"; "" if unknown */
  char *lan_nets; /* networks on the host's wires and its routers, "A/BITS;B/32"; "" if unknown */
  char *local_ports; /* what the host's own connections start from, "32768-60999" */
} SandboxFacts;

SandboxFacts *sandbox_facts_new (void);
void sandbox_facts_free (SandboxFacts *facts);
/* Without the used networks. */
SandboxFacts *sandbox_facts_copy (const SandboxFacts *facts);
void sandbox_facts_add_net (SandboxFacts *facts, const SandboxCidr *cidr, const char *device);
/* Key file text both ways: parse (format (f)) == f. */
SandboxFacts *sandbox_facts_parse (const char *text, GError **error);
char *sandbox_facts_format (const SandboxFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxFacts, sandbox_facts_free)
