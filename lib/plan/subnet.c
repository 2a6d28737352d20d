// SPDX-License-Identifier: LGPL-2.1-or-later
// Choice of a machine's own small network among all that this host uses already.
#include "plan/plan-internal.h"

#include "base/error.h"
#include "base/netrule.h"

#define SUBNET_BITS 29

/* The network in use that @subnet overlaps, NULL if none. */
static const SandboxUsedNet *
find_collision (const SandboxFacts *facts, const char *bridge, const SandboxCidr *subnet)
{
  for (guint i = 0; i < facts->used_nets->len; i++)
    {
      const SandboxUsedNet *net = g_ptr_array_index (facts->used_nets, i);

      /* a default route is where everything else goes, not a network in use; VPNs write it as two
       * of one bit */
      if (net->cidr.bits > 1 && !g_str_equal (net->device, bridge)
          && sandbox_cidr_overlaps (&net->cidr, subnet))
        return net;
    }
  return NULL;
}

static gboolean
is_ours (const SandboxCidr *subnet)
{
  if (subnet->bits != SUBNET_BITS || (subnet->address & 7) != 0)
    return FALSE;
  for (guint i = 0; i < SANDBOX_N_MACHINE_RANGES; i++)
    if (sandbox_cidr_overlaps (&sandbox_machine_ranges[i], subnet))
      return TRUE;
  return FALSE;
}

gboolean
_sandbox_subnet_choose (const SandboxFacts *facts, const SandboxDerived *derived,
                        const char *current, SandboxCidr *ret_subnet, GError **error)
{
  SandboxCidr subnet;
  const SandboxUsedNet *net = NULL;
  g_autofree char *address = NULL;

  if (current && sandbox_cidr_parse (current, &subnet, NULL) && is_ours (&subnet)
      && !find_collision (facts, derived->bridge, &subnet))
    {
      *ret_subnet = subnet;
      return TRUE;
    }
  for (guint i = 0; i < SANDBOX_N_MACHINE_RANGES; i++)
    {
      guint32 count = 1u << (SUBNET_BITS - sandbox_machine_ranges[i].bits);

      for (guint32 step = 0; step < count; step++)
        {
          subnet.address =
              sandbox_machine_ranges[i].address | (derived->position + step) % count << 3;
          subnet.bits = SUBNET_BITS;
          net = find_collision (facts, derived->bridge, &subnet);
          if (!net)
            {
              *ret_subnet = subnet;
              return TRUE;
            }
        }
    }
  g_assert (net != NULL); /* something collided, or we had returned */
  address = sandbox_address_format (net->cidr.address);
  return sandbox_fail (error, SANDBOX_ERROR_HOST,
                       "choosing a network for the machine: no /29 of 10.213.0.0/16 or "
                       "172.29.0.0/16 is free (%s/%u on %s is one that takes them): remove a "
                       "machine that is not needed, or that route",
                       address, net->cidr.bits, *net->device ? net->device : "this host");
}
