#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 of vms at each step of each verb: the next command succeeds, and nothing is orphaned. The steps come from the
# program's own tables, so that a new one is covered by itself; without --full a sample of them.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists crash victim >/dev/null 2>&1

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

start_then_destroy() {
	killed_at start "$1" start crash
	consistent crash
	vms destroy --yes --keep-profile crash
	nothing_remains crash
}

start_then_start() {
	killed_at start "$1" start crash
	vms start crash
	eq "$(in_guest crash hostname)" crash
	eq "$(keeper_pids crash | wc -l)" 1 "keepers"
	vms destroy --yes --keep-profile crash
	nothing_remains crash
}

start_then_repair() {
	killed_at start "$1" start crash
	vms doctor --repair --yes
	vms destroy --yes --if-exists --keep-profile crash
	nothing_remains crash
}

keys_of() {
	cat "$STATE/$1"/{user_key,host_key,guest_key}
}

recreate_then_recreate() {
	local before
	before=$(keys_of base-of-all)
	killed_at recreate "$1" recreate --yes base-of-all
	consistent base-of-all
	vms recreate --yes base-of-all
	eq "$(keys_of base-of-all)" "$before" "keys"
	eq "$(root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -c "^$(object base-of-all)\.")" 2 "volumes"
}

destroy_then_destroy() {
	vms clone base-of-all victim
	killed_at destroy "$1" destroy --yes victim
	vms destroy --yes --if-exists victim
	nothing_remains victim
}

clone_then_clone() {
	killed_at clone "$1" clone base-of-all victim
	if ! vms clone base-of-all victim; then
		# what was made before the fault counts as a machine: then destroy must clean up
		vms destroy --yes victim
		vms clone base-of-all victim
	fi
	eq "$(domain_state victim)" "shut off"
	vms destroy --yes victim
	nothing_remains victim
}

# --- snapshots: of base-of-all, which is off; each step takes well under a second

layers_of() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^$(object "$1")(\.[0-9]+)?\.qcow2$"
}

snapshots_of() {
	vms snapshot list --json "$1" | python3 -c '
import json, sys
print(*sorted(s["name"] for s in json.load(sys.stdin)["snapshots"]))'
}

# Every layer is whole, and each is the top, a snapshot, or below one: after a repair nothing else is left.
sound() {
	local layer
	vms doctor --repair --yes >/dev/null
	for layer in $(layers_of base-of-all); do
		qemu-img check -q "/var/lib/libvirt/images/vms/$layer" || fail "$layer is damaged"
	done
	[ "$(layers_of base-of-all | wc -l)" -le $((2 * ($(snapshots_of base-of-all | wc -w) + 1))) ] || fail "layers: $(layers_of base-of-all)"
	eq "$(root_virsh list --all --name | grep -c '\.merge$')" 0 "machines that merge"
}

snapshot_killed() {
	local have
	killed_at snapshot-create "$1" snapshot base-of-all s2
	consistent base-of-all
	have=$(snapshots_of base-of-all)
	contains " $have " ' s1 '
	sound
	eq "$(snapshots_of base-of-all)" "$have" "snapshots after a repair"
	[[ " $have " == *" s2 "* ]] || vms snapshot base-of-all s2
	vms snapshot delete base-of-all s2
	eq "$(snapshots_of base-of-all)" s1
	eq "$(layers_of base-of-all | wc -l)" 2 "layers"
	sound
}

delete_killed() {
	vms snapshot base-of-all s2
	killed_at snapshot-delete "$1" snapshot delete base-of-all s2
	consistent base-of-all
	contains " $(snapshots_of base-of-all) " ' s1 '
	sound
	if [[ " $(snapshots_of base-of-all) " == *" s2 "* ]]; then
		vms snapshot delete base-of-all s2
	else
		status 3 vms snapshot delete base-of-all s2
		# what it had no time for, the next such verb does
		vms snapshot base-of-all s3
		vms snapshot delete base-of-all s3
	fi
	eq "$(snapshots_of base-of-all)" s1
	eq "$(layers_of base-of-all | wc -l)" 2 "layers"
}

revert_killed() {
	vms snapshot base-of-all s2
	killed_at revert "$1" revert base-of-all s1
	consistent base-of-all
	eq "$(snapshots_of base-of-all)" "s1 s2"
	sound
	vms revert base-of-all s1
	eq "$(snapshots_of base-of-all)" "s1 s2"
	vms snapshot delete base-of-all s2
	eq "$(layers_of base-of-all | wc -l)" 2 "layers"
	sound
}

# vms is killed while QEMU merges: libvirt ends that machine with it, and the disk is what it was.
merge_killed() {
	local pids
	vms snapshot base-of-all s2
	vms snapshot delete base-of-all s1 &
	sleep "0.$1"
	mapfile -t pids < <(pgrep -u "$TEST_UID" -f '^vms snapshot delete base-of-all s1')
	[ "${#pids[@]}" -eq 0 ] || kill -9 "${pids[@]}" || true
	wait $! || true
	consistent base-of-all
	sound
	vms snapshot base-of-all s1 || status 4 vms snapshot base-of-all s1
	vms snapshot delete base-of-all s2
	eq "$(snapshots_of base-of-all)" s1
	sound
}

boots_after_all_that() {
	vms start base-of-all
	eq "$(in_guest base-of-all hostname)" base-of-all
	vms stop --force --timeout 1s base-of-all
	vms destroy --yes base-of-all
	nothing_remains base-of-all
}

has_points() {
	local verb
	for verb in start recreate destroy clone snapshot-create snapshot-delete revert suspend resume; do
		[ "$(points "$verb" | wc -l)" -ge 4 ] || fail "$verb has no steps: $(points "$verb")"
	done
}

failure_undoes() {
	local have=0
	SANDBOX_FAULT=start:$1:fail vms start crash || have=$?
	[ "$have" -eq 1 ] || fail "start ended with $have"
	nothing_remains crash
}

t "the program lists the steps of its verbs" has_points
passed || finish
vms create crash --profile credentials >/dev/null

for point in $(points start | sample 12); do
	t "start killed at $point, then destroy" start_then_destroy "$point"
done
for point in $(points start | sample 3); do
	t "start killed at $point, then start" start_then_start "$point"
done
for point in $(points start | sample 4); do
	t "start killed at $point, then doctor --repair" start_then_repair "$point"
done
for point in $(points start | grep -vE '^(ssh|mounts|ready):' | sample 6); do
	t "start failed at $point: nothing of it stays" failure_undoes "$point"
done

vms create base-of-all --profile credentials >/dev/null
t "a machine to work on" vms start base-of-all
if passed; then
	t "(stopped)" vms stop base-of-all
	for point in $(points recreate | grep -vE '^(ports|boot|keeper|ssh|mounts|forwards|ready):' | sample 8); do
		t "recreate killed at $point, then recreate" recreate_then_recreate "$point"
	done
	for point in $(points clone | sample 8); do
		t "clone killed at $point, then clone" clone_then_clone "$point"
	done
	t "(a first snapshot)" vms snapshot base-of-all s1
	for point in $(points snapshot-create | sample 4); do
		t "snapshot killed at $point: what was reported is there, nothing is left" snapshot_killed "$point"
	done
	for point in $(points snapshot-delete | sample 2); do
		t "snapshot delete killed at $point" delete_killed "$point"
	done
	for point in $(points revert | sample 4); do
		t "revert killed at $point" revert_killed "$point"
	done
	for point in $(printf '%s\n' 2 4 6 8 | sample 1); do
		t "snapshot delete killed after 0.$point s" merge_killed "$point"
	done
	for point in $(points destroy | sample 8); do
		t "destroy killed at $point, then destroy" destroy_then_destroy "$point"
	done
	t "the machine boots after all that" boots_after_all_that
fi
vms destroy --yes --if-exists crash victim base-of-all >/dev/null 2>&1
finish
