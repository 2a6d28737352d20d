#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The machine itself: what it is made of, and how the host's processes behind it are confined. Seen from inside as root, and
# on the live processes. The numbers are rows of the list of threats.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
listeners_before=$(ss -Hltnu | awk '{ print $1, $5 }' | sort -u)
need_running work

qemu_status() {
	awk -v key="$1:" '$1 == key { $1 = ""; print substr($0, 2) }' "/proc/$(qemu_pid work)/status"
}

# Its processes run with a number of the user's own range, which no other machine's have.
virtiofsd_pids() {
	pgrep -x -u "$(awk -F: -v user="$TEST_USER" '$1 == user && $3 >= 65536 { print $2; exit }' /etc/subuid)" virtiofsd
}

# Every element of what runs, below <devices> and in the places that could give a guest more. A list of what may be there,
# not of what may not.
only_known_elements() {
	local unknown
	root_virsh dumpxml "$(object work)" >"$T/live.xml"
	unknown=$(python3 - "$T/live.xml" <<-'END'
		import sys, xml.etree.ElementTree as tree
		root = tree.parse(sys.argv[1]).getroot()
		known = set("name uuid title description metadata memory currentMemory memoryBacking vcpu iothreads resource sysinfo os features cpu clock "
		            "on_poweroff on_reboot on_crash pm devices seclabel".split())
		devices = set("emulator disk controller filesystem interface serial console memballoon rng input audio".split())
		print(" ".join(sorted({e.tag for e in root} - known) + sorted({e.tag for e in root.find("devices")} - devices)))
		for e in root.find("devices"):
		    kind = e.get("type") or e.get("model") or ""
		    allowed = {"disk": ["file"], "controller": ["pci", "usb", "sata", "virtio-serial"], "filesystem": ["mount"], "interface": ["network"],
		               "serial": ["pty"], "console": ["pty"], "memballoon": ["virtio"], "rng": ["virtio"], "input": ["mouse", "keyboard"],
		               "audio": ["none"], "emulator": [""]}[e.tag]
		    if kind not in allowed:
		        print(e.tag, kind)
		    if e.tag == "controller" and kind == "usb" and e.get("model") != "none":
		        print("usb", e.get("model"))
		    if e.tag == "input" and e.get("bus") != "ps2":
		        print("input", e.get("bus"))
	END
	)
	eq "$unknown" "" "what should not be there"
}

# Row 79: by the numbers that PCI itself has for them.
only_virtio_inside() {
	local seen
	seen=$(in_guest work 'for d in /sys/bus/pci/devices/*; do echo "$(cat $d/vendor):$(cat $d/device) $(cat $d/class)"; done' | sort -u)
	contains "$seen" '^0x1af4:' # control
	# the chip set of q35 (host bridge, ISA, SATA, SMBus) and its PCIe ports; all else is virtio
	eq "$(grep -vE '^0x1af4:|^0x8086:0x(29c0|2918|2922|2930) |^0x1b36:0x000c ' <<<"$seen")" "" "other devices"
	# display, sound, USB
	eq "$(grep -E ' 0x(03|0401|0403|0c03)' <<<"$seen")" "" "devices of a kind that nobody needs"
	eq "$(in_guest work 'ls /sys/bus/usb/devices 2>/dev/null; ls /dev/dri /dev/snd 2>/dev/null; ls /dev/fd0 2>/dev/null; :')" "" "USB, video, sound, floppy"
}

# Row 80.
no_machines_in_the_machine() {
	eq "$(in_guest work "grep -cE '\\b(vmx|svm)\\b' /proc/cpuinfo; ls /dev/kvm 2>/dev/null; :")" 0 "virtualization inside"
}

# Rows 76, 78, 82, 85.
qemu_is_confined() {
	local pid argv
	pid=$(qemu_pid work)
	argv=$(tr '\0' ' ' <"/proc/$pid/cmdline")
	lacks "$(qemu_status Uid)" '(^|[[:space:]])0([[:space:]]|$)'
	eq "$(qemu_status Seccomp)" 2 "seccomp of QEMU"
	contains "$argv" '-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'
	contains "$argv" 'mem-merge=off'
	contains "$argv" 'dump-guest-core=off'
	contains "$argv" '-display none'
	lacks "$argv" '-netdev user|usernet|hostfwd|-vnc|-spice'
	eq "$(qemu_status CapEff)" 0000000000000000 "capabilities of QEMU"
	contains "$(cat "/proc/$pid/limits")" 'Max core file size +0 '
}

# Row 77: where the host has such a thing, and doctor tells where it has not.
confinement_is_named() {
	local label
	label=$(tr -d '\0' <"/proc/$(qemu_pid work)/attr/current" 2>/dev/null) || label=
	if [ -d /sys/kernel/security/apparmor ] || [ -d /sys/fs/selinux ]; then
		contains "$label" 'libvirt-[0-9a-f-]{36} \(enforce\)|svirt_t'
	else
		contains "$(vms doctor 2>&1 || true)" 'AppArmor'
	fi
}

# Row 34: the host's file server sees the shared directory and nothing else.
virtiofsd_is_confined() {
	local pid found=0
	for pid in $(virtiofsd_pids); do
		# the one that serves: its parent only waits for it
		[ -z "$(pgrep -P "$pid")" ] || continue
		[ "$(readlink "/proc/$pid/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] || continue
		found=$((found + 1))
		eq "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")" 2 "seccomp of virtiofsd"
		[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] || fail "virtiofsd has the host's network"
		[ ! -e "/proc/$pid/root/etc/passwd" ] || fail "virtiofsd sees the host's files"
	done
	[ "$found" -gt 0 ] || fail "no virtiofsd in a namespace of its own"
}

# Row 59.
nothing_listens() {
	eq "$(comm -13 <(printf '%s\n' "$listeners_before") <(ss -Hltnu | awk '{ print $1, $5 }' | sort -u) | grep -vE ':53$')" "" "new listeners on the host"
}

t "74: the machine that runs has known elements only" only_known_elements
t "79: inside there are virtio devices and a chip set, and nothing else" only_virtio_inside
t "80: there is no virtualization inside" no_machines_in_the_machine
t "76, 78, 82, 85: QEMU has no rights, a seccomp filter, and leaves no memory behind" qemu_is_confined
t "77: the host's confinement holds it, or doctor says that there is none" confinement_is_named
t "34: virtiofsd is in namespaces of its own, with a seccomp filter" virtiofsd_is_confined
t "59: a machine opens nothing on the host but its DNS" nothing_listens
vms destroy --yes work >/dev/null 2>&1
finish
