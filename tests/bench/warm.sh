#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# warm.sh VMS LIBEXECDIR DOMAINSDIR: from "recreate" to the first command over ssh, of a machine that goes on from kept memory, of the
# same machine when it boots, and of debvm (Debian's package) with the same release, memory and processors, in alternating rounds of one
# run; `vms run -- true` from nothing to gone, both ways; and what each takes of the host's memory when idle, with what QEMU's
# emulation keeps for itself told apart.
#
# BENCH_ROUNDS (3): rounds of each; the best one counts. Needs root (to read the memory of QEMU), debvm, and the image debian-13 (made
# when it is missing). Fails where an aim is missed; under emulation those of time are only told.
set -euo pipefail

vms=$1
export SANDBOX_LIBEXEC_DIR=$2 SANDBOX_DOMAINS_DIR=$3 SANDBOX_IMAGES_DIR=$3/images
rounds=${BENCH_ROUNDS:-3}
machine=bench-warm
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

finish() {
	end_qemu
	"$vms" destroy --yes --if-exists "$machine" >/dev/null 2>&1 || true
	"$vms" image prune --yes >/dev/null 2>&1 || true
	[ -z "$work" ] || rm -rf "$work"
}

prepare() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	need_debvm
	work=$(mktemp -d)
	export HOME=$work XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache
	mkdir -p "$XDG_CONFIG_HOME/vms"
	"$vms" image build debian-13 >&2
	find_accel
	prepare_debvm
	printf '%s\n' '[profile]' inherits=ci '[machine]' "accel=$accel" cpus=2 memory=1GiB start=warm >"$XDG_CONFIG_HOME/vms/$machine.profile"
}

started() {
	"$vms" status --json "$machine" | python3 -c 'import json, sys; print(json.load(sys.stdin)["machines"][0]["started"])'
}

# The first start keeps the memory. A boot whose clock runs wrong (an emulated processor, a busy host) is not kept.
keep() {
	for _ in 1 2 3 4; do
		"$vms" -q start "$machine" >&2
		[ "$(started)" != warm ] || return 0
		"$vms" -q destroy --yes --keep-profile "$machine"
	done
	skip "no boot could be kept"
}

# resident FILE: KiB of the machine's memory on the host, and of all of QEMU, half a minute after its start
resident() {
	sleep 30
	awk '/^RssShmem/ { shared = $2 } /^VmRSS/ { all = $2 } END { print shared, all }' "/proc/$(cat "/run/libvirt/qemu/vms-0-$machine.pid")/status" >"$work/$1"
}

# once FILE OPTION...: the machine anew; without the time that its end takes
once() {
	local begin file=$1
	shift
	"$vms" -q stop --force "$machine"
	SANDBOX_FAULT=recreate:old-disk:after:kill "$vms" -q recreate --yes "$machine" || [ $? -eq 137 ]
	begin=$(now)
	"$vms" -q start "$@" "$machine"
	"$vms" exec "$machine" -- true
	echo $(($(now) - begin)) >>"$work/$file"
}

run_once() {
	local begin file=$1
	shift
	begin=$(now)
	"$vms" -q run -p "$machine" "$@" -- true
	echo $(($(now) - begin)) >>"$work/$file"
}

trap finish EXIT
prepare
keep
for round in $(seq "$rounds"); do
	debvm_once
	once boot --boot
	[ "$(started)" = boot ]
	[ "$round" != 1 ] || resident boot.memory
	once warm
	[ "$(started)" = warm ]
	[ "$round" != 1 ] || resident warm.memory
done
"$vms" -q stop --force "$machine"
"$vms" -q run -p "$machine" -- true
for _ in $(seq "$rounds"); do
	run_once run-boot --boot
	run_once run-warm
done
boot=$(least <"$work/boot") warm=$(least <"$work/warm") run_boot=$(least <"$work/run-boot") run_warm=$(least <"$work/run-warm")
debvm=$(least <"$work/debvm")
read -r boot_shared boot_all <"$work/boot.memory"
read -r warm_shared warm_all <"$work/warm.memory"
echo "acceleration: $accel, 2 processors, 1 GiB, Debian 13, best of $rounds"
judge "start to first command: warm $(seconds "$warm"), debvm's boot $(seconds "$debvm")" "$(ratio "$warm" "$debvm")" most 0.06 kvm
judge "start to first command: warm $(seconds "$warm"), boot $(seconds "$boot")" "$(ratio "$warm" "$boot")" most 0.12 kvm
judge "vms run -- true, to gone: warm $(seconds "$run_warm"), debvm's boot $(seconds "$debvm")" "$(ratio "$run_warm" "$debvm")" most 0.12 kvm
echo "vms run -- true, to gone: warm $(seconds "$run_warm"), boot $(seconds "$run_boot"): ratio $(ratio "$run_warm" "$run_boot")"
judge "memory of the guest on the host, idle: warm $((warm_shared / 1024)) MiB, boot $((boot_shared / 1024)) MiB" \
	"$(ratio "$warm_shared" "$boot_shared")" most 1.1
echo "all of QEMU: warm $((warm_all / 1024)) MiB, boot $((boot_all / 1024)) MiB: ratio $(ratio "$warm_all" "$boot_all")"
exit "$missed"
