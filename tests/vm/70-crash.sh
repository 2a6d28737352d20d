#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 of vms at each step of each verb: the next command succeeds, nothing is orphaned, and the disk and each snapshot hold what they
# held. The steps come from the program's own tables, so that a new one is covered by itself; without --full a sample of them.
# What works on a disk works here on one of a machine that is off; 70-killed has one that runs.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # for crash-lib.sh
MACHINE=base-of-all
# shellcheck source=tests/vm/crash-lib.sh
. "$(dirname "$0")/crash-lib.sh"

need_image
vms destroy --yes --if-exists crash victim >/dev/null 2>&1

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

# vms is killed while QEMU merges: libvirt ends that machine with it, and the disk is what it was.
merge_killed() {
	local pids
	mark 34
	vms snapshot base-of-all s2
	mark 51
	vms snapshot delete base-of-all s1 &
	sleep "0.$1"
	mapfile -t pids < <(pgrep -u "$TEST_UID" -f '^vms snapshot delete base-of-all s1')
	[ "${#pids[@]}" -eq 0 ] || kill -9 "${pids[@]}" || true
	wait $! || true
	consistent base-of-all
	has 51 s2=34
	sound
	has 51 s2=34
	if [[ " $(snapshots_of base-of-all) " != *" s1 "* ]]; then
		mark 17
		vms snapshot base-of-all s1
		mark 51
	fi
	vms snapshot delete base-of-all s2
	as_it_was 51
}

begins_with_a_snapshot() {
	mark 17
	vms snapshot base-of-all s1
	mark 51
	has 51 s1=17
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
	t "(a first snapshot)" begins_with_a_snapshot
	for point in $(points clone | sample 8); do
		t "clone killed at $point, then clone" clone_killed "$point"
	done
	t "what copies stood on is merged" tidied
	for point in $(points snapshot-create | sample 4); do
		t "snapshot killed at $point: what was reported is there, nothing is left" snapshot_killed "$point"
	done
	for point in $({ points snapshot-delete && echo merge:copied; } | sample 2); do
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
