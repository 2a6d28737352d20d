#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# boot.sh VMS LIBEXECDIR DOMAINSDIR: how long a machine takes from start to its first ssh command, against debvm (Debian's package) with the same release,
# memory and processors; what it takes of the host's memory when idle; and how fast the guest computes and writes, against
# a plain QEMU command line with the same kernel, disk and model of processor. All from one run on one machine.
#
# BENCH_ROUNDS (3): rounds of each; the best one counts. Needs root (to read the memory of QEMU), debvm, and the
# image debian-13 (made when it is missing). Fails where an aim is missed; under emulation they are only told.
set -euo pipefail

vms=$1
export SANDBOX_LIBEXEC_DIR=$2 SANDBOX_DOMAINS_DIR=$3 SANDBOX_IMAGES_DIR=$3/images
rounds=${BENCH_ROUNDS:-3}
machine=bench-boot
pool=/var/lib/libvirt/images/vms
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

finish() {
	end_qemu
	"$vms" destroy --yes --if-exists "$machine" >/dev/null 2>&1 || true
	[ -z "$work" ] || rm -rf "$work"
}

prepare() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	need_debvm
	work=$(mktemp -d)
	export HOME=$work XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config
	mkdir -p "$XDG_CONFIG_HOME/vms"
	"$vms" image build debian-13 >&2
	find_accel
	prepare_debvm
	cat >"$XDG_CONFIG_HOME/vms/$machine.profile" <<-END
		[profile]
		inherits=work
		[machine]
		accel=$accel
		cpus=2
		memory=1GiB
	END
}

# vms_once FILE: a boot of the machine as it is
vms_once() {
	local begin
	begin=$(now)
	"$vms" -q start "$machine" >&2
	"$vms" ssh "$machine" -- true </dev/null
	echo $(($(now) - begin)) >>"$work/$1"
}

# pss_mib PROCESS...: the proportional share of their memory, in MiB
pss_mib() {
	[ $# -gt 0 ] || {
		echo 0
		return
	}
	printf '/proc/%s/smaps_rollup\0' "$@" | xargs -0 awk '/^Pss:/ { sum += $2 } END { printf "%d", sum / 1024 }'
}

idle_memory() {
	local object=vms-0-$machine keeper virtiofsd
	sleep 20
	mapfile -t virtiofsd < <(pgrep -x virtiofsd || true)
	keeper=$(pgrep -f "sandbox-keeper.*$object" | head -n 1)
	echo "idle memory (PSS), of a guest of 1024 MiB: QEMU $(pss_mib "$(cat "/run/libvirt/qemu/$object.pid")") MiB"
	echo "idle memory (PSS): virtiofsd $(pss_mib "${virtiofsd[@]}") MiB (${#virtiofsd[@]} processes, of all machines that run)"
	echo "idle memory (PSS): keeper $(pss_mib "$keeper") MiB"
}

# Run in both guests: milliseconds of two computations, of writing and of reading.
guest_work() {
	cat <<-'END'
		t() { a=$(date +%s%N); "$@" >/dev/null 2>&1; b=$(date +%s%N); echo $(((b - a) / 1000000)); }
		loop() { i=0; while [ $i -lt 150000 ]; do i=$((i + 1)); done; }
		sum() { head -c 40000000 /dev/zero | sha256sum; }
		put() { dd if=/dev/zero of=$HOME/bench.tmp bs=1M count=150 conv=fsync; }
		get() { dd if=$HOME/bench.tmp of=/dev/null bs=1M; }
		loop; sum >/dev/null
		l=$(t loop); s=$(t sum); w=$(t put); sudo sh -c 'sync; echo 3 >/proc/sys/vm/drop_caches'; r=$(t get); rm -f $HOME/bench.tmp
		echo "$l $s $w $r"
	END
}

# our_processor: the model that our machine's QEMU was given. The comparison is of everything around it: which instructions a
# guest has is a choice of its own (see add_cpu in lib/xml/domain.c).
our_processor() {
	tr '\0' '\n' <"/proc/$(cat "/run/libvirt/qemu/vms-0-$machine.pid")/cmdline" | grep -x -A 1 -e -cpu | tail -n 1
}

# A plain command line: the same kernel, initrd and image, no libvirt, no shares, QEMU's own network.
start_plain() {
	local id model=$1 seed=$work/seed
	id=$(basename "$(find "$pool" -name 'image.debian-13-*.qcow2' | sort | tail -n 1)" .qcow2)
	mkdir -p "$seed/root/etc/ssh/authorized_keys.d"
	printf '%s\n' HOSTNAME=plain USER=dev UID=1000 GID=1000 "MACHINE_ID=$(tr -d - </proc/sys/kernel/random/uuid)" ADDRESS=10.0.2.15/24 \
		GATEWAY=10.0.2.2 DNS= >"$seed/identity"
	: >"$seed/mounts"
	ssh-keygen -q -t ed25519 -N '' -f "$seed/root/etc/ssh/ssh_host_ed25519_key" <<<y >/dev/null
	cp "$cache/key.pub" "$seed/root/etc/ssh/authorized_keys.d/dev"
	chmod 644 "$seed/root/etc/ssh/authorized_keys.d/dev"
	tar -C "$seed" --format=ustar --owner=0 --group=0 -cf "$work/seed.tar" identity mounts root
	rm -rf "$seed" "$work/plain.qcow2"
	qemu-img create -q -f qcow2 -F qcow2 -b "$pool/$id.qcow2" "$work/plain.qcow2"
	qemu-system-x86_64 -machine "q35,accel=$accel" -cpu "$model" -smp 2 -m 1G -nographic -kernel "$pool/$id.vmlinuz" -initrd "$pool/$id.initrd" \
		-append "$(cat "$pool/$id.cmdline")" -drive "file=$work/plain.qcow2,if=virtio,format=qcow2,discard=unmap" \
		-netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$qemu_port-:22" -device virtio-net-pci,netdev=n0 -object rng-random,filename=/dev/urandom,id=r0 \
		-device virtio-rng-pci,rng=r0 -fw_cfg "name=opt/org.libsandbox/seed,file=$work/seed.tar" >"$work/qemu.log" 2>&1 </dev/null &
	qemu=$!
	wait_for_ssh "$cache/key" dev
}

compare_speed() {
	local i model
	model=$(our_processor)
	: >"$work/ours"
	: >"$work/plain"
	for i in $(seq "$rounds"); do
		"$vms" ssh "$machine" -- "$(guest_work)" </dev/null >>"$work/ours"
	done
	"$vms" -q stop "$machine" >&2
	start_plain "$model"
	for i in $(seq "$rounds"); do
		plain_ssh "$cache/key" dev "$(guest_work)" >>"$work/plain"
	done
	end_qemu
	i=0
	for what in "processor (shell)" "processor (sha256)" "disk, writing" "disk, reading"; do
		i=$((i + 1))
		ours=$(awk -v c=$i '{ print $c }' "$work/ours" | least)
		plain=$(awk -v c=$i '{ print $c }' "$work/plain" | least)
		judge "speed: $what: $ours ms, a plain QEMU's $plain ms" "$(ratio "$plain" "$ours")" least 0.95 kvm
	done
}

trap finish EXIT
prepare
for _ in $(seq "$rounds"); do
	debvm_once
	"$vms" destroy --yes --if-exists --keep-profile "$machine" >/dev/null 2>&1
	vms_once fresh
	"$vms" -q stop "$machine" >&2
	vms_once again
done
echo "acceleration: $accel, 2 processors, 1 GiB, Debian 13, best of $rounds"
debvm=$(least <"$work/debvm")
fresh=$(least <"$work/fresh")
again=$(least <"$work/again")
judge "boot to the first command: debvm $(seconds "$debvm"), vms $(seconds "$again")" "$(ratio "$again" "$debvm")" most 0.50 kvm
echo "boot of a new machine: vms $(seconds "$fresh"), ratio $(ratio "$fresh" "$debvm")"
idle_memory
compare_speed
exit "$missed"
