// SPDX-License-Identifier: LGPL-2.1-or-later
// Profile, host facts and identity made into a plan. All policy is here; nothing is looked up.
#include "plan/plan-internal.h"

#include "base/error.h"

#define MIB (G_GUINT64_CONSTANT (1) << 20)
#define GIB (G_GUINT64_CONSTANT (1) << 30)

/* cpus=auto: all of the host's, as far as a development machine gains from more. */
#define AUTO_CPUS_MAX 8
/* memory=auto: a quarter of the host's, so that three machines and the host fit side by side. */
#define AUTO_MEMORY_MIN  (1 * GIB)
#define AUTO_MEMORY_MAX  (8 * GIB)
#define AUTO_MEMORY_STEP (256 * MIB)
/* A machine of root's (CI, containers) must not run its user as root in the guest. */
#define FALLBACK_ID 1000

static gboolean
is_test (const SandboxFacts *facts)
{
  return g_str_equal (facts->driver, "TEST");
}

static gboolean
resolve_driver (SandboxPlan *plan, const SandboxFacts *facts, GError **error)
{
  /* the test driver claims to be an i686 */
  plan->arch = g_strdup (is_test (facts) ? "x86_64" : facts->arch);
  plan->driver = g_strdup (facts->driver);
  plan->emulator = g_strdup (facts->emulator);
  plan->machine = g_strdup (facts->machine);
  plan->pool_path = g_strdup (*facts->pool_path ? facts->pool_path : SANDBOX_DEFAULT_POOL_PATH);
  if (!g_str_equal (plan->arch, "x86_64"))
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "planning a machine: this host is %s, and machines are made for x86_64 "
                         "only",
                         plan->arch);
  return TRUE;
}

static gboolean
resolve_accel (SandboxPlan *plan, SandboxProfile *profile, const SandboxFacts *facts,
               GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);
  gboolean usable = facts->kvm_listed && facts->kvm_usable;
  const char *reason = !facts->kvm_listed && facts->kvm_usable
                           ? "libvirt does not offer KVM"
                           : (*facts->kvm_reason ? facts->kvm_reason : "nothing is known of KVM");
  g_autofree char *where = NULL;

  if (is_test (facts) || values->accel == SANDBOX_ACCEL_TCG)
    {
      plan->accel = SANDBOX_ACCEL_TCG;
      plan->accel_reason = g_strdup (is_test (facts) ? "the test driver runs nothing"
                                                     : "the profile says accel=tcg");
      return TRUE;
    }
  if (usable || values->accel == SANDBOX_ACCEL_AUTO)
    {
      plan->accel = usable ? SANDBOX_ACCEL_KVM : SANDBOX_ACCEL_TCG;
      plan->accel_reason = g_strdup (reason);
      return TRUE;
    }
  where = _sandbox_plan_where (profile, "machine", "accel");
  return sandbox_fail (error, SANDBOX_ERROR_HOST,
                       "%s: KVM cannot be used on this host: %s: use accel=auto, or see "
                       "\"vms doctor\"",
                       where, reason);
}

static gboolean
resolve_memory (SandboxPlan *plan, SandboxProfile *profile, const SandboxFacts *facts,
                GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);
  g_autofree char *where = NULL;
  g_autofree char *has = NULL;

  if (values->memory_bytes == 0)
    {
      guint64 quarter = facts->host_memory_bytes / 4;

      plan->memory_bytes =
          CLAMP (quarter - quarter % AUTO_MEMORY_STEP, AUTO_MEMORY_MIN, AUTO_MEMORY_MAX);
      return TRUE;
    }
  plan->memory_bytes = values->memory_bytes;
  if (is_test (facts) || values->memory_bytes <= facts->host_memory_bytes)
    return TRUE;
  where = _sandbox_plan_where (profile, "machine", "memory");
  has = sandbox_size_human (facts->host_memory_bytes);
  return sandbox_fail (error, SANDBOX_ERROR_HOST,
                       "%s: this host has no more than %s of memory: use a smaller size, or "
                       "memory=auto",
                       where, has);
}

static gboolean
resolve_size (SandboxPlan *plan, SandboxProfile *profile, const SandboxFacts *facts,
              const SandboxIdentity *identity, GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);
  g_autofree char *where = NULL;
  g_autofree char *least = NULL;

  plan->cpus = values->cpus > 0 ? values->cpus : CLAMP (facts->host_cpus, 1, AUTO_CPUS_MAX);
  if (!resolve_memory (plan, profile, facts, error))
    return FALSE;
  plan->disk_bytes = values->disk_bytes;
  if (values->disk_bytes >= identity->image_bytes)
    return TRUE;
  where = _sandbox_plan_where (profile, "machine", "disk");
  least = sandbox_size_format (identity->image_bytes);
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "%s: the disk cannot be smaller than that of the image %s: use at least %s",
                       where, values->image, least);
}

static gboolean
resolve_network (SandboxPlan *plan, SandboxProfile *profile, const SandboxFacts *facts,
                 const SandboxIdentity *identity, GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);
  SandboxDerived derived;

  _sandbox_identity_derive (identity->uid, identity->owner, identity->name, &derived);
  if (!_sandbox_subnet_choose (facts, &derived, identity->subnet, &plan->subnet, error))
    return FALSE;
  plan->network_mode = g_strdup (values->network_mode);
  plan->bridge = g_strdup (derived.bridge);
  g_strlcpy (plan->mac, derived.mac, sizeof plan->mac);
  plan->gateway = sandbox_address_format (plan->subnet.address + 1);
  plan->address = sandbox_address_format (plan->subnet.address + 2);
  return _sandbox_policy_resolve (plan, profile, facts, error);
}

static gboolean
resolve_sharing (SandboxPlan *plan, SandboxProfile *profile, const SandboxFacts *facts,
                 const SandboxIdentity *identity, GError **error)
{
  if (!_sandbox_plan_resolve_shares (plan, profile, identity, error))
    return FALSE;
  plan->memfd = facts->memfd || is_test (facts);
  plan->share_helper = g_strdup (facts->share_helper);
  if (!plan->virtiofs || is_test (facts))
    return TRUE;
  if (!facts->virtiofs)
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "sharing directories with \"%s\": this host's QEMU and libvirt have no "
                         "virtiofs: run \"sudo apt install qemu-system-common\" (Debian 12) or "
                         "\"sudo apt install virtiofsd\" (Debian 13 and newer)",
                         plan->name);
  if (!facts->memfd)
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "sharing directories with \"%s\": this host's QEMU has no shared memory "
                         "(memfd), which virtiofs needs: update QEMU and libvirt",
                         plan->name);
  if (!*facts->share_helper)
    return sandbox_fail (error, SANDBOX_ERROR_HOST,
                         "sharing directories with \"%s\": vms-virtiofsd, a part of libsandbox "
                         "that libvirt starts for each share, is not installed: install libsandbox "
                         "again",
                         plan->name);
  return TRUE;
}

/* What people know it by: the profile that its own one is made from, unless that is only the common
 * base. */
static const char *
profile_of (const SandboxProfileValues *values)
{
  const char *inherits = values->inherits ? values->inherits : "";

  return *inherits && !g_str_equal (inherits, "base") ? inherits : values->name;
}

static char *
machine_id (const char *uuid, const char *other)
{
  g_auto (GStrv) parts = g_strsplit (uuid, "-", -1);

  return other ? g_strdup (other) : g_strjoinv (NULL, parts);
}

static void
resolve_names (SandboxPlan *plan, SandboxProfile *profile, const SandboxIdentity *identity)
{
  const SandboxProfileValues *values = _sandbox_profile_values (profile);

  plan->name = g_strdup (identity->name);
  plan->owner = g_strdup (identity->owner);
  plan->profile = g_strdup (profile_of (values));
  plan->summary = g_strdup (values->summary ? values->summary : "");
  plan->profile_digest = g_strdup (sandbox_profile_get_digest (profile));
  plan->object = _sandbox_object_name (identity->uid, identity->owner, identity->name);
  _sandbox_object_uuid (identity->uid, identity->owner, identity->name, plan->uuid);
  plan->machine_id = machine_id (plan->uuid, identity->machine_id);
  plan->free_ports = identity->free_ports;
  plan->disk_volume = identity->disk_volume ? g_strdup (identity->disk_volume)
                                            : g_strconcat (plan->object, ".qcow2", NULL);
  plan->encrypted = identity->has_disk ? identity->disk_encrypted : values->encrypt;
  plan->layers = identity->layers ? g_strdupv ((char **)identity->layers) : g_new0 (char *, 1);
  plan->seed_volume = g_strconcat (plan->object, ".seed", NULL);
  plan->user = g_strdup (values->user);
  plan->uid = identity->uid > 0 ? identity->uid : FALLBACK_ID;
  plan->gid = identity->gid > 0 ? identity->gid : plan->uid;
}

/* KVM tells the guest how fast its time stamp counter is; on an emulated processor the kernel
 * measures that, and on a busy host now and then is wrong by a factor of forty. Then it must not be
 * told to trust the counter: it compares it with another clock, and takes that one. */
static char *
make_cmdline (const SandboxPlan *plan, const char *image)
{
  g_auto (GStrv) words = g_strsplit_set (image, " \n", -1);
  g_autoptr (GStrvBuilder) kept = g_strv_builder_new ();
  g_auto (GStrv) list = NULL;

  for (char **word = words; *word != NULL; word++)
    if (**word != '\0' && (plan->accel == SANDBOX_ACCEL_KVM || strcmp (*word, "tsc=reliable") != 0))
      g_strv_builder_add (kept, *word);
  list = g_strv_builder_end (kept);
  return g_strjoinv (" ", list);
}

/* Without an image (a look at what would be done, before one is built) these are "". */
static void
resolve_image (SandboxPlan *plan, const SandboxIdentity *identity)
{
  plan->image_id = g_strdup (identity->image_id ? identity->image_id : "");
  plan->image_disk = g_strdup (identity->image_disk ? identity->image_disk : "");
  plan->image_kernel = g_strdup (identity->image_kernel ? identity->image_kernel : "");
  plan->image_initrd = g_strdup (identity->image_initrd ? identity->image_initrd : "");
  plan->cmdline = make_cmdline (plan, identity->image_cmdline ? identity->image_cmdline : "");
}

SandboxPlan *
_sandbox_plan_resolve (SandboxProfile *profile, const SandboxFacts *facts,
                       const SandboxIdentity *identity, GError **error)
{
  g_autoptr (SandboxPlan) plan = g_new0 (SandboxPlan, 1);

  g_atomic_ref_count_init (&plan->ref_count);
  plan->shares = g_ptr_array_new_with_free_func (_sandbox_plan_share_free);
  plan->reads = identity->reads ? g_ptr_array_ref (identity->reads) : _sandbox_plan_reads_new ();
  plan->flows = g_array_new (FALSE, FALSE, sizeof (SandboxFlow));
  plan->forward = g_array_ref (_sandbox_profile_values (profile)->forward);
  plan->host = g_array_ref (_sandbox_profile_values (profile)->host);
  plan->forbid = g_strdupv (_sandbox_profile_values (profile)->forbid);
  resolve_names (plan, profile, identity);
  if (!resolve_driver (plan, facts, error) || !resolve_accel (plan, profile, facts, error))
    return NULL;
  resolve_image (plan, identity);
  if (!resolve_size (plan, profile, facts, identity, error)
      || !resolve_sharing (plan, profile, facts, identity, error)
      || !resolve_network (plan, profile, facts, identity, error))
    return NULL;
  return g_steal_pointer (&plan);
}
