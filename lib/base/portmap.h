// SPDX-License-Identifier: LGPL-2.1-or-later
// Forwarded ports as text and as numbers.
#pragma once

#include "base/units.h"

/* Which side listens. The values of SandboxForwardKind. */
typedef enum
{
  SANDBOX_LISTENS_ON_HOST,  /* forward=: connections go to the guest */
  SANDBOX_LISTENS_IN_GUEST, /* host=: they go to the host */
} SandboxListens;

/* Ports of one list together. Each takes a descriptor in an ssh process. */
#define SANDBOX_FORWARD_PORTS_MAX 4096
/* The guest's sshd holds two sockets for each. */
#define SANDBOX_HOST_PORTS_MAX 256

/* Both ranges are of the same length: the n-th port of one belongs to the n-th of the other. */
typedef struct
{
  SandboxPortRange host, guest;
} SandboxPortMap;

/* "3000", "8000-9000", "8080:80", "8000-8010:9000-9010"; ports of the side that listens begin at
 * 1024. */
gboolean sandbox_port_map_parse (SandboxListens kind, const char *item, SandboxPortMap *ret_map,
                                 GError **error);
/* As short as it can be written. (transfer full) */
char *sandbox_port_map_format (const SandboxPortMap *map);
/* The range of the side that listens. */
const SandboxPortRange *sandbox_port_map_listens (SandboxListens kind, const SandboxPortMap *map);
/* INVALID when two of @maps (of SandboxPortMap) listen on the same port, or when they are too many
 * ports. A single port inside a range that goes elsewhere is allowed: it stands before the range.
 */
gboolean sandbox_port_maps_check (SandboxListens kind, const GArray *maps, GError **error);
gboolean sandbox_port_ranges_overlap (const SandboxPortRange *a, const SandboxPortRange *b);
