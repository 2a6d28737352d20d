# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the tests that kill vms share: the steps of its verbs, and what the disk of a machine and each of its snapshots holds after
# one was killed, and after a repair. One place on the disk has another byte in each state, so that no two of them are equal. The
# machine is $MACHINE, runs or is off, and has the snapshot s1, made with `mark 17`.

POOL=/var/lib/libvirt/images/vms
# Where no file system is as long as the machine has not booted; after that it is the place of a file.
echo 5435817984 >"$T/place"

# points VERB: "STEP:before" and "STEP:after" of each step
points() {
	vms help --steps | awk -v verb="$1" '$1 == verb { print $2 ":before"; print $2 ":after" }'
}

# killed_at VERB POINT COMMAND...: the command must die of the fault, which proves that the point is reached
killed_at() {
	local fault="$1:$2:kill" have=0
	shift 2
	SANDBOX_FAULT=$fault vms "$@" || have=$?
	[ "$have" -eq 137 ] || fail "$* with SANDBOX_FAULT=$fault ended with $have, not by the fault"
}

consistent() {
	# the lock went with its holder, and the list can be read
	vms list --json >/dev/null
	vms status "$1" >/dev/null
}

layers_of() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^$(object "$1")(\.[0-9]+)?\.qcow2$"
}

# snapshots_of NAME [automatic]: those that somebody asked for, or those that nobody did
snapshots_of() {
	vms snapshot list --json "$1" | python3 -c '
import json, sys
print(*sorted(s["name"] for s in json.load(sys.stdin)["snapshots"] if s["automatic"] == bool(sys.argv[1:])))' "${@:2}"
}

runs() {
	[ "$(domain_state "$MACHINE")" = running ]
}

# The layer that a machine writes to, by libvirt.
top_of() {
	root_virsh dumpxml "$(object "$1")" | sed -n "s/.*<source file='\([^']*\.qcow2\)'.*/\1/p" | head -n 1
}

# layer_of SNAPSHOT: the layer that it is, by the file of names
layer_of() {
	local number
	number=$(awk -v name="[$1]" '/^\[/ { here = ($0 == name) } here && sub ("^layer=", "") { print }' "$STATE/$MACHINE/snapshots")
	[ -n "$number" ] || fail "no layer of the snapshot $1"
	[ "$number" -eq 0 ] || number=".$number"
	echo "$POOL/$(object "$MACHINE")${number#0}.qcow2"
}

# A file of the guest's, of which it is known where on the disk it is.
make_place() {
	local block
	in_guest "$MACHINE" 'dd if=/dev/zero of=place bs=64k count=1 conv=fsync status=none && sudo filefrag -v place' >"$T/extents"
	block=$(awk '$1 == "0:" && $6 == "16:" && sub (/\.\.$/, "", $4) { print $4 }' "$T/extents")
	[ -n "$block" ] || fail "it is not in one place: $(cat "$T/extents")"
	echo $((block * 4096)) >"$T/place"
}

# mark BYTE: what the disk has there from now on
mark() {
	local said
	if runs; then
		in_guest "$MACHINE" "perl -e 'print chr ($1) x 65536' | dd of=place bs=64k iflag=fullblock conv=notrunc,fsync status=none"
	else
		said=$(qemu-io -f qcow2 -c "write -P $1 $(cat "$T/place") 64k" "$(top_of "$MACHINE")" 2>&1) || fail "$said"
	fi
}

# holds LAYER BYTE: read through all that it stands on
holds() {
	local said
	said=$(qemu-io -r -U -f qcow2 -c "read -P $2 $(cat "$T/place") 64k" "$1" 2>&1) || fail "$1 has not $2: $said"
}

# has NOW [SNAPSHOT=BYTE...]
has() {
	local one
	if runs; then
		eq "$(in_guest "$MACHINE" 'dd if=place iflag=direct bs=64k count=1 status=none | od -An -v -tu1 -w1 | uniq | tr -d " \n"')" "$1" "what it has now"
	else
		holds "$(top_of "$MACHINE")" "$1"
	fi
	shift
	for one in "$@"; do
		holds "$(layer_of "${one%=*}")" "${one#*=}"
	done
}

# Every layer that nobody writes to is whole, and each is the top, a snapshot, or below one: after a repair nothing else is left.
sound() {
	local layer top
	vms doctor --repair --yes >/dev/null
	top=$(top_of "$MACHINE")
	for layer in $(layers_of "$MACHINE"); do
		if ! runs || [ "$POOL/$layer" != "$top" ]; then
			qemu-img check -q -U "$POOL/$layer" || fail "$layer is damaged"
		fi
	done
	[ "$(layers_of "$MACHINE" | wc -l)" -le $((2 * ($({ snapshots_of "$MACHINE" && snapshots_of "$MACHINE" automatic; } | wc -w) + 1))) ] ||
		fail "layers: $(layers_of "$MACHINE")"
	eq "$(root_virsh list --all --name | grep -c "^$(object "$MACHINE")\.merge$")" 0 "machines that merge"
}

# Where each of these ends, and the next one begins.
as_it_was() {
	has "$1" s1=17
	eq "$(snapshots_of "$MACHINE")" s1
	eq "$(layers_of "$MACHINE" | wc -l)" 2 "layers"
	sound
}

snapshot_killed() {
	local have
	mark 34
	killed_at snapshot-create "$1" snapshot "$MACHINE" s2
	consistent "$MACHINE"
	have=$(snapshots_of "$MACHINE")
	contains " $have " ' s1 '
	has 34 s1=17
	sound
	eq "$(snapshots_of "$MACHINE")" "$have" "snapshots after a repair"
	[[ " $have " == *" s2 "* ]] || vms snapshot "$MACHINE" s2
	mark 51
	has 51 s1=17 s2=34
	vms snapshot delete "$MACHINE" s2
	as_it_was 51
}

delete_killed() {
	local verb=snapshot-delete
	[ "$1" != merge:copied ] || verb=layers
	mark 34
	vms snapshot "$MACHINE" s2
	mark 51
	killed_at "$verb" "$1" snapshot delete "$MACHINE" s2
	consistent "$MACHINE"
	contains " $(snapshots_of "$MACHINE") " ' s1 '
	has 51 s1=17
	sound
	if [[ " $(snapshots_of "$MACHINE") " == *" s2 "* ]]; then
		has 51 s1=17 s2=34
		vms snapshot delete "$MACHINE" s2
	else
		status 3 vms snapshot delete "$MACHINE" s2
		# what it had no time for, the next such verb does
		vms snapshot "$MACHINE" s3
		vms snapshot delete "$MACHINE" s3
	fi
	as_it_was 51
}

# left_is_kept: what was there before the revert is there still, or kept. The snapshot that has it is $kept.
left_is_kept() {
	kept=$(snapshots_of "$MACHINE" automatic)
	if [ -n "$kept" ]; then
		has 17 s1=17 s2=34 "$kept=51"
	else
		has 51 s1=17 s2=34
	fi
}

revert_killed() {
	local kept
	mark 34
	vms snapshot "$MACHINE" s2
	mark 51
	killed_at revert "$1" revert --yes "$MACHINE" s1
	consistent "$MACHINE"
	eq "$(snapshots_of "$MACHINE")" "s1 s2"
	left_is_kept
	sound
	vms revert --yes "$MACHINE" s1
	eq "$(snapshots_of "$MACHINE")" "s1 s2"
	left_is_kept
	[ -n "$kept" ] || fail "nothing was kept of what it had"
	vms snapshot delete "$MACHINE" s2 "$kept"
	as_it_was 17
}

clone_killed() {
	mark 34
	killed_at clone "$1" clone "$MACHINE" victim
	consistent "$MACHINE"
	has 34 s1=17
	if ! vms clone "$MACHINE" victim; then
		# what was made before the fault counts as a machine: then destroy must clean up
		vms destroy --yes victim
		vms clone "$MACHINE" victim
	fi
	eq "$(domain_state victim)" "shut off"
	mark 51
	holds "$(top_of victim)" 34
	vms destroy --yes victim
	nothing_remains victim
	has 51 s1=17
}

# What copies stood on is merged by the next such verb.
tidied() {
	vms snapshot "$MACHINE" s2
	vms snapshot delete "$MACHINE" s2
	as_it_was 51
}
