// SPDX-License-Identifier: LGPL-2.1-or-later
// The plan as a shared object, and as text for people.
#include "plan/plan-private.h"

#include "base/names.h"

G_DEFINE_BOXED_TYPE (SandboxPlan, sandbox_plan, sandbox_plan_ref, sandbox_plan_unref)

void
_sandbox_plan_share_free (gpointer data)
{
  SandboxPlanShare *share = data;

  g_free (share->tag);
  g_free (share->source);
  g_free (share->target);
  g_free (share->door);
  g_free (share->shadow);
  g_free (share->guard);
  g_free (share->flag);
  g_free (share);
}

SandboxPlanShare *
_sandbox_plan_share_copy (const SandboxPlanShare *share)
{
  SandboxPlanShare *copy = g_new0 (SandboxPlanShare, 1);

  copy->tag = g_strdup (share->tag);
  copy->source = g_strdup (share->source);
  copy->target = g_strdup (share->target);
  copy->mode = share->mode;
  copy->create = share->create;
  copy->read_only = share->read_only;
  copy->shadow = g_strdup (share->shadow);
  copy->guard = g_strdup (share->guard);
  copy->flag = g_strdup (share->flag);
  return copy;
}

static void
read_free (gpointer data)
{
  SandboxPlanRead *read = data;

  g_strfreev (read->chain);
  g_free (read);
}

GPtrArray *
_sandbox_plan_reads_new (void)
{
  return g_ptr_array_new_with_free_func (read_free);
}

char *
_sandbox_plan_scratch_volume (const char *object, guint index)
{
  return g_strdup_printf ("%s.scratch%u", object, index);
}

SandboxPlan *
sandbox_plan_ref (SandboxPlan *plan)
{
  g_atomic_ref_count_inc (&plan->ref_count);
  return plan;
}

void
sandbox_plan_unref (SandboxPlan *plan)
{
  char **texts[] = { &plan->name,         &plan->owner,        &plan->profile,
                     &plan->summary,      &plan->object,       &plan->profile_digest,
                     &plan->driver,       &plan->arch,         &plan->emulator,
                     &plan->machine,      &plan->accel_reason, &plan->user,
                     &plan->image_id,     &plan->image_disk,   &plan->image_kernel,
                     &plan->image_initrd, &plan->cmdline,      &plan->disk_volume,
                     &plan->seed_volume,  &plan->pool_path,    &plan->network_mode,
                     &plan->bridge,       &plan->gateway,      &plan->address,
                     &plan->policy,       &plan->share_helper, &plan->machine_id,
                     &plan->reaches,      &plan->to_provision };

  if (!g_atomic_ref_count_dec (&plan->ref_count))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (*texts[i]);
  g_strfreev (plan->layers);
  g_strfreev (plan->forbid);
  g_ptr_array_unref (plan->shares);
  g_ptr_array_unref (plan->reads);
  g_array_unref (plan->flows);
  g_array_unref (plan->forward);
  g_array_unref (plan->host);
  g_free (plan);
}

/* One line; the value may have come from a file or a path: it is made fit for a terminal. */
static void G_GNUC_PRINTF (3, 4) add_line (GString *text, const char *key, const char *format, ...)
{
  va_list args;
  g_autofree char *value = NULL;
  g_autofree char *shown = NULL;

  va_start (args, format);
  value = g_strdup_vprintf (format, args);
  va_end (args);
  shown = sandbox_escape (value, -1, 4096);
  g_string_append_printf (text, "%s: %s\n", key, shown);
}

static void
describe_hardware (const SandboxPlan *plan, GString *text)
{
  g_autofree char *memory = sandbox_size_format (plan->memory_bytes);
  g_autofree char *disk = sandbox_size_format (plan->disk_bytes);

  add_line (text, "acceleration", "%s (%s)", _sandbox_accel_to_string (plan->accel),
            plan->accel_reason);
  add_line (text, "cpus", "%u", plan->cpus);
  add_line (text, "memory", "%s%s", memory, plan->memfd ? ", shared" : "");
  add_line (text, "disk", "%s in %s/%s%s", disk, plan->pool_path, plan->disk_volume,
            plan->encrypted ? ", encrypted" : "");
  add_line (text, "seed", "%s/%s", plan->pool_path, plan->seed_volume);
  add_line (text, "image", "%s", *plan->image_id ? plan->image_id : "not built yet");
  if (plan->to_provision)
    add_line (text, "to be installed first", "%s", plan->to_provision);
  if (!*plan->image_id)
    return;
  add_line (text, "image disk", "%s", plan->image_disk);
  for (char **layer = plan->layers; layer && *layer; layer++)
    add_line (text, "layer", "%s", *layer);
  add_line (text, "kernel", "%s", plan->image_kernel);
  add_line (text, "initrd", "%s", plan->image_initrd);
  add_line (text, "kernel command line", "%s", plan->cmdline);
}

static void
append_ports (GString *text, const char *before, const SandboxPortRange *range)
{
  g_string_append_printf (text, "%s%u", before, range->first);
  if (range->first != range->last)
    g_string_append_printf (text, "-%u", range->last);
}

static void
describe_forwards (const SandboxPlan *plan, GString *text)
{
  for (guint i = 0; i < plan->forward->len; i++)
    {
      const SandboxPortMap *map = &g_array_index (plan->forward, SandboxPortMap, i);
      g_autoptr (GString) line = g_string_new (NULL);

      append_ports (line, "127.0.0.1:", &map->host);
      append_ports (line, " of this host to its port ", &map->guest);
      add_line (text, "forward", "%s", line->str);
    }
  for (guint i = 0; i < plan->host->len; i++)
    {
      const SandboxPortMap *map = &g_array_index (plan->host, SandboxPortMap, i);
      g_autoptr (GString) line = g_string_new (NULL);

      append_ports (line, "its port ", &map->guest);
      append_ports (line, " to 127.0.0.1:", &map->host);
      add_line (text, "host service", "%s of this host", line->str);
    }
}

static void
describe_network (const SandboxPlan *plan, GString *text)
{
  g_autofree char *subnet = sandbox_address_format (plan->subnet.address);

  add_line (text, "network", "%s, %s/%u on bridge %s", plan->network_mode, subnet,
            plan->subnet.bits, plan->bridge);
  add_line (text, "policy", "reaches %s", plan->policy);
  add_line (text, "address", "%s, gateway %s, card %s", plan->address, plan->gateway, plan->mac);
}

char *
sandbox_plan_describe (SandboxPlan *plan)
{
  g_autoptr (GString) text = g_string_new (NULL);

  add_line (text, "machine", "%s", plan->name);
  add_line (text, "profile", "%s%s%s", plan->profile, *plan->summary ? ": " : "", plan->summary);
  add_line (text, "libvirt object", "%s, %s", plan->object, plan->uuid);
  add_line (text, "hypervisor", "%s%s%s%s%s", plan->driver, *plan->machine ? ", machine " : "",
            plan->machine, *plan->emulator ? ", " : "", plan->emulator);
  describe_hardware (plan, text);
  add_line (text, "user", "%s, uid %u, gid %u", plan->user, plan->uid, plan->gid);
  describe_network (plan, text);
  describe_forwards (plan, text);
  for (guint i = 0; i < plan->shares->len; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (plan->shares, i);
      g_autofree char *key = g_strdup_printf ("share %s", share->tag);

      add_line (text, key, "%s on %s, %s%s%s%s%s%s%s%s", share->source, share->target,
                _sandbox_share_mode_to_string (share->mode),
                share->create ? ", made when missing" : "",
                *share->shadow ? ", on the machine's disk: " : "", share->shadow,
                *share->guard ? ", run by the host: " : "", share->guard,
                *share->flag ? ", build files: " : "", share->flag);
    }
  if (*plan->forbid)
    {
      g_autofree char *forbid = g_strjoinv (" ", plan->forbid);

      add_line (text, "forbidden", "%s", forbid);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}
