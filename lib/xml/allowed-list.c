// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of what the domain XML of a machine may hold, as data; allowed.c compares a document
// with it. What is not here is refused.
#include "xml/allowed-list.h"

#define MANY   SANDBOX_ALLOWED_MANY
#define ALWAYS "kvm|qemu|test"
#define REAL   "kvm|qemu"

const SandboxAllowed _sandbox_allowed[] = {
  { "", 1, NULL, NULL, "!type=kvm|qemu|test" },
  { "name", 1, ALWAYS, "%word", NULL },
  { "uuid", 1, ALWAYS, "%uuid", NULL },
  { "title", 1, ALWAYS, "%any", NULL },
  { "description", 1, NULL, "%any", NULL },

  { "metadata", 1, ALWAYS, NULL, NULL },
  { "metadata/sandbox:machine", 1, ALWAYS, NULL, "!version=%number" },
  { "metadata/sandbox:machine/sandbox:owner", 1, ALWAYS, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:name", 1, ALWAYS, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:profile", 1, ALWAYS, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:profile-digest", 1, ALWAYS, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:image", 1, ALWAYS, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:subnet", 1, ALWAYS, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:accel", 1, ALWAYS, "kvm|tcg", NULL },
  { "metadata/sandbox:machine/sandbox:accel-reason", 1, ALWAYS, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:user", 1, ALWAYS, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:uid", 1, ALWAYS, "%number", NULL },
  { "metadata/sandbox:machine/sandbox:gid", 1, ALWAYS, "%number", NULL },
  { "metadata/sandbox:machine/sandbox:disk-bytes", 1, ALWAYS, "%number", NULL },
  { "metadata/sandbox:machine/sandbox:reaches", 1, NULL, "%any", NULL },
  { "metadata/sandbox:machine/sandbox:started", 1, NULL, "warm", NULL },
  { "metadata/sandbox:machine/sandbox:share", MANY, NULL, NULL,
    "!name=%any !source=%any !target=%any !mode=rw|ro|guarded|review !create=yes|no "
    "shadow=%any guard=%any flag=%any" },

  { "memory", 1, ALWAYS, "%number", "!unit=KiB !dumpCore=off" },
  { "currentMemory", 1, ALWAYS, "%number", "!unit=KiB" },
  { "memoryBacking", 1, ALWAYS, NULL, NULL },
  { "memoryBacking/nosharepages", 1, ALWAYS, NULL, NULL },
  { "memoryBacking/source", 1, NULL, NULL, "!type=memfd" },
  { "memoryBacking/access", 1, NULL, NULL, "!mode=shared" },
  { "vcpu", 1, ALWAYS, "%number", "placement=static" },
  { "iothreads", 1, ALWAYS, "%number", NULL },

  { "sysinfo", 1, ALWAYS, NULL, "!type=fwcfg" },
  { "sysinfo/entry", 1, ALWAYS, NULL, "!name=opt/org.libsandbox/seed !file=%file" },

  { "os", 1, ALWAYS, NULL, NULL },
  { "os/type", 1, ALWAYS, "hvm", "arch=x86_64|aarch64 machine=%word" },
  { "os/kernel", 1, NULL, "%file", NULL },
  { "os/initrd", 1, NULL, "%file", NULL },
  { "os/cmdline", 1, NULL, "%any", NULL },

  { "features", 1, ALWAYS, NULL, NULL },
  { "features/acpi", 1, ALWAYS, NULL, NULL },
  { "features/apic", 1, ALWAYS, NULL, NULL },
  { "features/vmport", 1, REAL, NULL, "!state=off" },
  { "cpu", 1, "kvm", NULL, "!mode=host-passthrough !check=none migratable=on" },
  { "cpu", 1, "qemu", NULL, "!mode=custom !match=exact !check=none" },
  { "cpu/model", 1, NULL, "qemu64", "!fallback=forbid" },
  { "cpu/topology", 1, ALWAYS, NULL, "!sockets=1 !dies=1 !cores=%number !threads=1" },
  /* no nested virtualisation */
  { "cpu/feature", 1, ALWAYS, NULL, "!policy=disable !name=svm" },
  { "cpu/feature", 1, "kvm", NULL, "!policy=disable !name=vmx" },
  { "cpu/feature", MANY, NULL, NULL, "!policy=require !name=popcnt|rdrand|sse4.1|sse4.2|ssse3" },
  { "clock", 1, ALWAYS, NULL, "!offset=utc" },
  { "clock/timer", 1, ALWAYS, NULL, "!name=hpet !present=no" },
  { "clock/timer", 1, "kvm", NULL, "!name=kvmclock !present=yes" },
  { "on_poweroff", 1, ALWAYS, "destroy", NULL },
  { "on_reboot", 1, ALWAYS, "restart", NULL },
  { "on_crash", 1, ALWAYS, "destroy", NULL },
  { "pm", 1, ALWAYS, NULL, NULL },
  { "pm/suspend-to-mem", 1, ALWAYS, NULL, "!enabled=no" },
  { "pm/suspend-to-disk", 1, ALWAYS, NULL, "!enabled=no" },

  { "devices", 1, ALWAYS, NULL, NULL },
  { "devices/emulator", 1, REAL, "%emulator", NULL },
  { "devices/disk", 1, ALWAYS, NULL, "!type=file !device=disk" },
  { "devices/disk/driver", 1, ALWAYS, NULL,
    "!name=qemu !type=qcow2 cache=writeback discard=unmap iothread=1" },
  { "devices/disk/source", 1, ALWAYS, NULL, "!file=%file" },
  { "devices/disk/source/encryption", 1, NULL, NULL, "!format=luks" },
  { "devices/disk/source/encryption/secret", 1, ALWAYS, NULL, "!type=passphrase !uuid=%uuid" },
  { "devices/disk/backingStore", 1, NULL, NULL, "type=file" },
  { "devices/disk/backingStore/format", 1, ALWAYS, NULL, "!type=qcow2" },
  { "devices/disk/backingStore/source", 1, ALWAYS, NULL, "!file=%file" },
  { "devices/disk/backingStore/backingStore", 1, ALWAYS, NULL, NULL },
  { "devices/disk/target", 1, ALWAYS, NULL, "!dev=%disk !bus=virtio" },
  /* libvirt adds a USB controller wherever none is said not to be */
  { "devices/controller", 1, ALWAYS, NULL, "!type=usb !index=0 !model=none" },
  { "devices/controller", 1, ALWAYS, NULL, "!type=pci !index=0 !model=pcie-root" },
  { "devices/controller", MANY, NULL, NULL, "!type=pci !index=%number !model=pcie-root-port" },
  { "devices/filesystem", MANY, NULL, NULL, "!type=mount !accessmode=passthrough" },
  { "devices/filesystem/driver", 1, ALWAYS, NULL, "!type=virtiofs queue=%number" },
  { "devices/filesystem/binary", 1, ALWAYS, NULL, "!path=%helper !xattr=off" },
  { "devices/filesystem/binary/sandbox", 1, ALWAYS, NULL, "!mode=namespace" },
  { "devices/filesystem/source", 1, ALWAYS, NULL, "!dir=%path" },
  { "devices/filesystem/target", 1, ALWAYS, NULL, "!dir=%word" },
  { "devices/interface", 1, ALWAYS, NULL, "!type=network" },
  { "devices/interface/mac", 1, ALWAYS, NULL, "!address=%mac" },
  { "devices/interface/source", 1, ALWAYS, NULL, "!network=%self" },
  { "devices/interface/model", 1, ALWAYS, NULL, "!type=virtio" },
  { "devices/interface/filterref", 1, REAL, NULL, "!filter=%self" },
  { "devices/serial", 1, ALWAYS, NULL, "!type=pty" },
  { "devices/serial/target", 1, ALWAYS, NULL, "!type=isa-serial !port=0" },
  { "devices/console", 2, ALWAYS, NULL, "!type=pty" },
  { "devices/console/target", 1, ALWAYS, NULL, "!type=serial|virtio !port=0|1" },
  { "devices/memballoon", 1, ALWAYS, NULL,
    "!model=virtio autodeflate=on|off freePageReporting=on|off" },
  { "devices/rng", 1, ALWAYS, NULL, "!model=virtio" },
  { "devices/rng/backend", 1, ALWAYS, "/dev/urandom", "!model=random" },
  { NULL },
};

/* Elements that libvirt adds by itself. The mouse and the keyboard are the two ports that every PC
 * has; audio of type none is the absence of one. */
const SandboxAllowed _sandbox_filled_in[] = {
  { "resource", 1, NULL, NULL, NULL },
  { "resource/partition", 1, NULL, "%path", NULL },
  { "os/boot", 1, NULL, NULL, "!dev=hd" },
  /* a processor as QEMU made it, told feature by feature */
  { "cpu/feature", MANY, NULL, NULL, "!policy=require|disable !name=%feature" },
  { "seclabel", MANY, NULL, NULL, "!type=dynamic !model=apparmor|selinux|dac !relabel=yes" },
  { "seclabel/label", 1, NULL, "%any", NULL },
  { "seclabel/imagelabel", 1, NULL, "%any", NULL },
  { "devices/*/alias", 1, NULL, NULL, "!name=%word" },
  { "devices/*/address", 1, NULL, NULL,
    "!type=pci domain=%hex bus=%hex slot=%hex function=%hex multifunction=on|off" },
  { "devices/controller", 1, NULL, NULL, "!type=sata !index=0" },
  { "devices/controller", 1, NULL, NULL, "!type=virtio-serial !index=0" },
  { "devices/controller/model", 1, NULL, NULL, "!name=pcie-root-port" },
  { "devices/controller/target", 1, NULL, NULL, "!chassis=%number !port=%hex hotplug=on|off" },
  { "devices/interface/target", 1, NULL, NULL, "!dev=%word" },
  { "devices/serial/source", 1, NULL, NULL, "!path=%tty" },
  { "devices/serial/target/model", 1, NULL, NULL, "!name=isa-serial" },
  { "devices/console/source", 1, NULL, NULL, "!path=%tty" },
  { "devices/input", MANY, NULL, NULL, "!type=mouse|keyboard !bus=ps2" },
  { "devices/audio", 1, NULL, NULL, "!id=1 !type=none" },
  { "devices/watchdog", 1, NULL, NULL, "!model=itco action=reset" },
  { NULL },
};

/* Attributes that libvirt adds to the elements above. */
const SandboxAllowed _sandbox_filled_in_attrs[] = {
  { "", 1, NULL, NULL, "id=%number" },
  { "cpu", 1, NULL, NULL, "check=full|partial" },
  { "cpu/topology", 1, NULL, NULL, "clusters=1" },
  { "devices/disk/source", 1, NULL, NULL, "index=%number" },
  { "devices/disk/source/encryption", 1, NULL, NULL, "engine=qemu" },
  { "devices/disk/backingStore", 1, NULL, NULL, "index=%number" },
  { "devices/interface/source", 1, NULL, NULL, "portid=%uuid bridge=%word" },
  { "devices/console", 1, NULL, NULL, "tty=%tty" },
  { NULL },
};

G_STATIC_ASSERT (G_N_ELEMENTS (_sandbox_allowed) + G_N_ELEMENTS (_sandbox_filled_in)
                 <= SANDBOX_ALLOWED_MAX);
