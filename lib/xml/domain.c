// SPDX-License-Identifier: LGPL-2.1-or-later
// The machine as libvirt's domain XML: q35, virtio devices only, nothing that is not needed.
#include "xml/metadata.h"

#define SEED_NAME "opt/org.libsandbox/seed"
/* What virtiofsd and the guest's driver agree on at most. */
#define VIRTIOFS_QUEUE "1024"

static gboolean
is_test (const SandboxPlan *plan)
{
  return g_str_equal (plan->driver, "TEST");
}

/* An attribute or text that is left out when there is nothing to say. */
static const char *
or_null (const char *text)
{
  return *text ? text : NULL;
}

static void
add_identity (xmlNode *domain, const SandboxPlan *plan)
{
  g_autofree char *title = g_strdup_printf ("%s (libsandbox)", plan->name);

  sandbox_xml_add_text (domain, "name", plan->object, NULL);
  sandbox_xml_add_text (domain, "uuid", plan->uuid, NULL);
  sandbox_xml_add_text (domain, "title", title, NULL);
  if (*plan->summary)
    sandbox_xml_add_text (domain, "description", plan->summary, NULL);
  _sandbox_metadata_add_domain (domain, plan);
}

/* KiB is libvirt's own unit: what it gives back then reads the same. */
static void
add_memory (xmlNode *domain, const SandboxPlan *plan)
{
  char number[24];
  xmlNode *backing;

  _sandbox_xml_number (number, plan->memory_bytes / 1024);
  sandbox_xml_add_text (domain, "memory", number, "unit", "KiB", "dumpCore", "off", NULL);
  sandbox_xml_add_text (domain, "currentMemory", number, "unit", "KiB", NULL);
  backing = sandbox_xml_add (domain, "memoryBacking", NULL);
  /* merging equal pages of machines is a side channel between them */
  sandbox_xml_add (backing, "nosharepages", NULL);
  if (!plan->memfd)
    return;
  /* also without a share: one that is attached later needs it from the start */
  sandbox_xml_add (backing, "source", "type", "memfd", NULL);
  sandbox_xml_add (backing, "access", "mode", "shared", NULL);
}

/* The seed holds private keys: any local user may read this XML, and QEMU's command line, so only
 * the path of a 0600 volume stands in them. */
static void
add_seed (xmlNode *domain, const SandboxPlan *plan)
{
  g_autofree char *path = g_build_filename (plan->pool_path, plan->seed_volume, NULL);
  xmlNode *sysinfo = sandbox_xml_add (domain, "sysinfo", "type", "fwcfg", NULL);

  sandbox_xml_add (sysinfo, "entry", "name", SEED_NAME, "file", path, NULL);
}

static void
add_boot (xmlNode *domain, const SandboxPlan *plan)
{
  xmlNode *os = sandbox_xml_add (domain, "os", NULL);

  sandbox_xml_add_text (os, "type", "hvm", "arch", plan->arch, "machine", or_null (plan->machine),
                        NULL);
  if (*plan->image_kernel)
    sandbox_xml_add_text (os, "kernel", plan->image_kernel, NULL);
  if (*plan->image_initrd)
    sandbox_xml_add_text (os, "initrd", plan->image_initrd, NULL);
  if (*plan->image_kernel && *plan->cmdline)
    sandbox_xml_add_text (os, "cmdline", plan->cmdline, NULL);
}

static void
add_feature (xmlNode *cpu, const char *policy, const char *name)
{
  sandbox_xml_add (cpu, "feature", "policy", policy, "name", name, NULL);
}

static void
add_topology (xmlNode *cpu, const SandboxPlan *plan)
{
  char number[24];

  sandbox_xml_add (cpu, "topology", "sockets", "1", "dies", "1", "cores",
                   _sandbox_xml_number (number, plan->cpus), "threads", "1", NULL);
}

/* KVM: the host's processor as it is. TCG: a plain one up to x86-64-v2, without which programs of
 * today end with an illegal instruction (Claude Code's own binary for one, wheels of Python for
 * others); its price is that OpenSSL then takes code with ssse3, which TCG emulates at about half
 * the speed of plain code. No wider vectors: more of the same. rdrand makes the guest's random
 * numbers ready before its second processor is up; later, the kernel would patch code while that
 * processor runs it, which QEMU 7.2's TCG does not always survive. Nowhere nested virtualisation:
 * it is a large part of KVM that a guest need not reach. */
static void
add_cpu (xmlNode *domain, const SandboxPlan *plan)
{
  static const char *const wanted[] = { "popcnt", "rdrand", "sse4.1", "sse4.2", "ssse3", NULL };
  xmlNode *cpu;

  if (plan->accel == SANDBOX_ACCEL_KVM)
    {
      cpu = sandbox_xml_add (domain, "cpu", "mode", "host-passthrough", "check", "none",
                             "migratable", "on", NULL);
      add_topology (cpu, plan);
      add_feature (cpu, "disable", "vmx");
      add_feature (cpu, "disable", "svm");
      return;
    }
  cpu = sandbox_xml_add (domain, "cpu", "mode", "custom", "match", "exact", "check", "none", NULL);
  sandbox_xml_add_text (cpu, "model", "qemu64", "fallback", "forbid", NULL);
  add_topology (cpu, plan);
  for (guint i = 0; wanted[i]; i++)
    add_feature (cpu, "require", wanted[i]);
  add_feature (cpu, "disable", "svm");
}

static void
add_behaviour (xmlNode *domain, const SandboxPlan *plan)
{
  xmlNode *features = sandbox_xml_add (domain, "features", NULL);
  xmlNode *clock, *pm;

  sandbox_xml_add (features, "acpi", NULL);
  sandbox_xml_add (features, "apic", NULL);
  sandbox_xml_add (features, "vmport", "state", "off", NULL);
  add_cpu (domain, plan);
  clock = sandbox_xml_add (domain, "clock", "offset", "utc", NULL);
  sandbox_xml_add (clock, "timer", "name", "hpet", "present", "no", NULL);
  if (plan->accel == SANDBOX_ACCEL_KVM)
    sandbox_xml_add (clock, "timer", "name", "kvmclock", "present", "yes", NULL);
  sandbox_xml_add_text (domain, "on_poweroff", "destroy", NULL);
  sandbox_xml_add_text (domain, "on_reboot", "restart", NULL);
  sandbox_xml_add_text (domain, "on_crash", "destroy", NULL);
  pm = sandbox_xml_add (domain, "pm", NULL);
  sandbox_xml_add (pm, "suspend-to-mem", "enabled", "no", NULL);
  sandbox_xml_add (pm, "suspend-to-disk", "enabled", "no", NULL);
}

/* cache=writeback honours the guest's flushes, and lets all machines of one image read it from the
 * host's page cache; io_uring and O_DIRECT are left out since not every host's file system and
 * settings allow them, at no gain that a development machine would notice. */
static void
add_disk (xmlNode *devices, const SandboxPlan *plan, const char *volume, const char *const *below,
          const char *name, gboolean encrypted)
{
  g_autofree char *path = g_build_filename (plan->pool_path, volume, NULL);
  xmlNode *disk = sandbox_xml_add (devices, "disk", "type", "file", "device", "disk", NULL);
  xmlNode *source;

  sandbox_xml_add (disk, "driver", "name", "qemu", "type", "qcow2", "cache", "writeback", "discard",
                   "unmap", "iothread", "1", NULL);
  source = sandbox_xml_add (disk, "source", "file", path, NULL);
  /* by number only: libvirt has the passphrase while it starts the machine, and not in this XML */
  if (encrypted)
    _sandbox_xml_add_encryption (source, plan->uuid);
  _sandbox_xml_add_backing (disk, below);
  sandbox_xml_add (disk, "target", "dev", name, "bus", "virtio", NULL);
}

/* Its own, and what a reader reads: QEMU opens layers that others stand on for reading only. */
static void
add_disks (xmlNode *devices, const SandboxPlan *plan)
{
  static const char *const names[SANDBOX_READS_MAX] = { "vdb", "vdc" };
  g_autoptr (GPtrArray) below = g_ptr_array_new ();

  for (char **layer = plan->layers; *layer; layer++)
    g_ptr_array_add (below, *layer);
  if (*plan->image_disk)
    g_ptr_array_add (below, plan->image_disk);
  g_ptr_array_add (below, NULL);
  add_disk (devices, plan, plan->disk_volume, (const char *const *)below->pdata, "vda",
            plan->encrypted);
  for (guint i = 0; i < MIN (plan->reads->len, SANDBOX_READS_MAX); i++)
    {
      const SandboxPlanRead *read = plan->reads->pdata[i];
      g_autofree char *volume = _sandbox_plan_scratch_volume (plan->object, i);

      add_disk (devices, plan, volume, (const char *const *)read->chain, names[i], FALSE);
    }
}

static void
add_controllers (xmlNode *devices, const SandboxPlan *plan)
{
  guint ports = SANDBOX_FIXED_PORTS + plan->shares->len + plan->free_ports + SANDBOX_SPARE_PORTS;
  char number[24];

  sandbox_xml_add (devices, "controller", "type", "usb", "index", "0", "model", "none", NULL);
  sandbox_xml_add (devices, "controller", "type", "pci", "index", "0", "model", "pcie-root", NULL);
  for (guint i = 1; i <= ports; i++)
    sandbox_xml_add (devices, "controller", "type", "pci", "index", _sandbox_xml_number (number, i),
                     "model", "pcie-root-port", NULL);
}

/* libvirt starts our helper in place of virtiofsd, and tells it the door: what is really shared,
 * and how, the helper finds there. xattr off: a guest's root must not set capabilities on files of
 * the host. */
void
_sandbox_xml_add_share (xmlNode *devices, const char *helper, const SandboxPlanShare *share)
{
  xmlNode *filesystem =
      sandbox_xml_add (devices, "filesystem", "type", "mount", "accessmode", "passthrough", NULL);
  xmlNode *binary;

  sandbox_xml_add (filesystem, "driver", "type", "virtiofs", "queue", VIRTIOFS_QUEUE, NULL);
  binary = sandbox_xml_add (filesystem, "binary", "path", helper, "xattr", "off", NULL);
  sandbox_xml_add (binary, "sandbox", "mode", "namespace", NULL);
  sandbox_xml_add (filesystem, "source", "dir", share->door, NULL);
  sandbox_xml_add (filesystem, "target", "dir", share->tag, NULL);
}

static void
add_card (xmlNode *devices, const SandboxPlan *plan)
{
  xmlNode *interface = sandbox_xml_add (devices, "interface", "type", "network", NULL);

  sandbox_xml_add (interface, "mac", "address", plan->mac, NULL);
  sandbox_xml_add (interface, "source", "network", plan->object, NULL);
  sandbox_xml_add (interface, "model", "type", "virtio", NULL);
  /* the test driver has no filters */
  if (!is_test (plan))
    sandbox_xml_add (interface, "filterref", "filter", plan->object, NULL);
}

/* ttyS0 carries the boot log to the keeper, hvc0 is the console that people use. */
static void
add_consoles (xmlNode *devices)
{
  xmlNode *node = sandbox_xml_add (devices, "serial", "type", "pty", NULL);

  sandbox_xml_add (node, "target", "type", "isa-serial", "port", "0", NULL);
  node = sandbox_xml_add (devices, "console", "type", "pty", NULL);
  sandbox_xml_add (node, "target", "type", "serial", "port", "0", NULL);
  node = sandbox_xml_add (devices, "console", "type", "pty", NULL);
  sandbox_xml_add (node, "target", "type", "virtio", "port", "1", NULL);
}

static void
add_devices (xmlNode *domain, const SandboxPlan *plan)
{
  xmlNode *devices = sandbox_xml_add (domain, "devices", NULL);
  xmlNode *rng;

  if (*plan->emulator)
    sandbox_xml_add_text (devices, "emulator", plan->emulator, NULL);
  add_disks (devices, plan);
  add_controllers (devices, plan);
  for (guint i = 0; i < plan->shares->len; i++)
    _sandbox_xml_add_share (devices, plan->share_helper, g_ptr_array_index (plan->shares, i));
  add_card (devices, plan);
  add_consoles (devices);
  /* gives memory that the guest has freed back to the host */
  sandbox_xml_add (devices, "memballoon", "model", "virtio", "autodeflate", "on",
                   "freePageReporting", "on", NULL);
  rng = sandbox_xml_add (devices, "rng", "model", "virtio", NULL);
  sandbox_xml_add_text (rng, "backend", "/dev/urandom", "model", "random", NULL);
}

static const char *
domain_type (const SandboxPlan *plan)
{
  if (is_test (plan))
    return "test";
  return plan->accel == SANDBOX_ACCEL_KVM ? "kvm" : "qemu";
}

/* In the order in which libvirt writes it, so that the two read alike. No <seclabel>: libvirt's
 * default is a label of its own per machine wherever the host has AppArmor or SELinux. */
char *
_sandbox_xml_domain (const SandboxPlan *plan)
{
  xmlNode *domain;
  g_autoptr (xmlDoc) doc = _sandbox_xml_new ("domain", &domain);
  char number[24];

  xmlNewProp (domain, BAD_CAST "type", BAD_CAST domain_type (plan));
  add_identity (domain, plan);
  add_memory (domain, plan);
  sandbox_xml_add_text (domain, "vcpu", _sandbox_xml_number (number, plan->cpus), "placement",
                        "static", NULL);
  sandbox_xml_add_text (domain, "iothreads", "1", NULL);
  add_seed (domain, plan);
  add_boot (domain, plan);
  add_behaviour (domain, plan);
  add_devices (domain, plan);
  return sandbox_xml_to_string (doc);
}

char *
sandbox_plan_domain_xml (SandboxPlan *plan)
{
  return _sandbox_xml_domain (plan);
}
