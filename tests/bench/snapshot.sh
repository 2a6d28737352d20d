#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapshot.sh VMS LIBEXECDIR DOMAINSDIR: how long snapshot, revert and clone of a machine take on whose disk nothing was written
# since the last one, and with 2 GiB written each time: that must make no difference. The machine is never booted.
#
# BENCH_ROUNDS (3): rounds of each; the best one counts. BENCH_MIB (2048): how much is written. Needs root (to write into its
# disk), qemu-io, and the image debian-13 (made when it is missing). Fails where it does make one.
set -euo pipefail

vms=$1
export SANDBOX_LIBEXEC_DIR=$2 SANDBOX_DOMAINS_DIR=$3 SANDBOX_IMAGES_DIR=$3/images
rounds=${BENCH_ROUNDS:-3}
mib=${BENCH_MIB:-2048}
machine=bench-snapshot
copy=bench-snapshot-copy
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"

finish() {
	"$vms" destroy --yes --if-exists "$machine" "$copy" >/dev/null 2>&1 || true
	[ -z "$work" ] || rm -rf "$work"
}

prepare() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	command -v qemu-io >/dev/null || skip "there is no qemu-io"
	work=$(mktemp -d)
	export HOME=$work XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config
	"$vms" destroy --yes --if-exists "$machine" "$copy" >/dev/null 2>&1 || true
	"$vms" image build debian-13 >&2
}

# A machine that is defined, with a disk, and off.
define() {
	local have=0
	"$vms" -q create "$machine" --profile credentials >&2
	printf '%s\n' '[network]' mode=none >>"$XDG_CONFIG_HOME/vms/$machine.profile"
	SANDBOX_FAULT=start:boot:before:kill "$vms" -q start "$machine" >&2 || have=$?
	[ "$have" -eq 137 ] || {
		echo "start ended with $have, not by the fault" >&2
		exit 1
	}
}

# write MIB: into the layer that the machine writes to
write() {
	local top
	[ "$1" -gt 0 ] || return 0
	top=$(virsh -q -c qemu:///system dumpxml --inactive "vms-0-$machine" | grep -o "/[^']*/vms-0-${machine}[.0-9]*\.qcow2" | head -n 1)
	# beyond the image, in pieces that QEMU takes
	for at in $(seq 0 256 $(($1 - 1))); do
		echo "write -q -P 7 $((6144 + at))M 256M"
	done | qemu-io -f qcow2 "$top" >/dev/null
	sync "$top"
}

# timed FILE COMMAND...: its milliseconds go into the file
timed() {
	local begin=${EPOCHREALTIME/[.,]/} file=$1
	shift
	"$@" >&2
	echo $(((${EPOCHREALTIME/[.,]/} - begin) / 1000)) >>"$work/$file"
}

# measure MIB: one round
measure() {
	define
	write "$1"
	timed "snapshot.$1" "$vms" -q snapshot "$machine" one
	write "$1"
	timed "revert.$1" "$vms" -q revert --yes "$machine" one
	write "$1"
	timed "clone.$1" "$vms" -q clone "$machine" "$copy"
	"$vms" -q destroy --yes "$copy" "$machine" >&2
}

trap finish EXIT
prepare
# in turns: what else the host does is in both
for _ in $(seq "$rounds"); do
	measure 0
	measure "$mib"
done
echo "best of $rounds"
for verb in snapshot revert clone; do
	a=$(least <"$work/$verb.0")
	b=$(least <"$work/$verb.$mib")
	# about 1; copying it would take many times as long
	judge "$verb: with $mib MiB written $b ms, with nothing $a ms" "$(ratio "$b" "$a")" most 1.5
done
exit "$missed"
