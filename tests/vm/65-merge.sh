#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Merged layers whose QEMU is killed before it has written them out, and memory that libvirt itself keeps: nothing that the guest had on its
# disk is lost, and no memory meets another disk. A killed QEMU leaves the files as they were handed to the kernel: what it had only in
# its own memory is gone, as with a power cut.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists merge >/dev/null 2>&1

layers() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -cE "^$(object merge)(\.[0-9]+)?\.qcow2$"
}

begins() {
	as_user mkdir -p "$PROFILES"
	as_user tee "$PROFILES/merge.profile" >/dev/null <<<$'[profile]\ninherits=ci\n[machine]\nmemory=512MiB\ncpus=1\nstart=boot'
	vms start merge
	in_guest merge 'mkdir files'
}

# What is written between two snapshots is in the layer of the second; with the second's name gone, it is merged.
write_and_freeze() {
	vms snapshot merge before
	in_guest merge "for i in 1 2 3 4 5 6 7 8; do head -c 600000 /dev/urandom >files/$1.\$i; done; sha256sum files/* >sums; sync"
	vms snapshot merge between
}

# kill_qemu OBJECT
kill_qemu() {
	local pid
	pid=$(cat "/run/libvirt/qemu/$1.pid")
	kill -KILL "$pid"
	# libvirt has to notice, too
	while [ -e "/proc/$pid" ] || [ -e "/run/libvirt/qemu/$1.pid" ]; do sleep 0.1; done
}

files_are_whole() {
	vms start merge
	in_guest merge 'sha256sum --quiet -c sums && ls files | wc -l' >"$T/out"
	eq "$(cat "$T/out")" "$1" "files"
	lacks "$(in_guest merge 'sudo dmesg')" 'EXT4-fs error|corrupt'
	[ ! -e "$STATE/merge/merge" ] || fail "the note is still there"
	[ "$(domain_state merge)" = running ] || fail "it does not run"
}

killed_after_a_merge() {
	write_and_freeze one
	eq "$(layers)" 3 "layers"
	vms snapshot delete merge between
	kill_qemu "$(object merge)"
	eq "$(layers)" 2 "layers"
	files_are_whole 8
	vms snapshot delete merge before
}

# stands_at FAULT COMMAND...: in the background; the process that stopped itself there is $stood
stands_at() {
	local fault=$1
	shift
	SANDBOX_FAULT=$fault:stop vms "$@" >"$T/said" 2>&1 &
	job=$!
	stood=
	for _ in $(seq 1200); do
		for pid in $(pgrep -u "$TEST_UID" -x vms); do
			! grep -q '^State:.T' "/proc/$pid/status" 2>/dev/null || stood=$pid
		done
		[ -z "$stood" ] || return 0
		sleep 0.1
	done
	fail "it did not come to $fault: $(cat "$T/said")"
}

killed_before_it_is_written() {
	local job stood have=0
	write_and_freeze two
	stands_at layers:merge:copied snapshot delete merge between
	kill_qemu "$(object merge)"
	kill -CONT "$stood"
	wait "$job" || have=$?
	[ "$have" -ne 0 ] || fail "it says that all is well"
	eq "$(layers)" 3 "layers"
	files_are_whole 16
	eq "$(layers)" 2 "layers once it has started"
	vms snapshot delete merge before
}

# vms dies there, and the machine runs on: the next verb ends the merge.
vms_dies_there() {
	local have=0
	write_and_freeze three
	SANDBOX_FAULT=layers:merge:copied:kill vms snapshot delete merge between || have=$?
	eq "$have" 137
	[ -e "$STATE/merge/merge" ] || fail "no note"
	vms snapshot merge more
	[ ! -e "$STATE/merge/merge" ] || fail "the note is still there"
	eq "$(layers)" 3 "layers"
	kill_qemu "$(object merge)"
	files_are_whole 71
	vms snapshot delete merge more
	vms snapshot delete merge before
}

helper_is_killed() {
	local job stood have=0
	write_and_freeze four
	vms stop --force --timeout 20s merge
	stands_at layers:merge:copied snapshot delete merge between
	kill_qemu "$(object merge).merge"
	kill -CONT "$stood"
	wait "$job" || have=$?
	[ "$have" -ne 0 ] || fail "it says that all is well"
	eq "$(layers)" 3 "layers"
	files_are_whole 79
	eq "$(layers)" 2 "layers once it has started"
}

# make_deep NAME: four snapshots of the running machine, each with files of its own, the last of which is what sums are of
make_deep() {
	local i
	for i in 1 2 3 4; do
		in_guest merge "head -c 600000 /dev/urandom >files/$1.$i; echo $i >>files/$1.grows; rm -f files/$1.gone*; head -c 300000 /dev/urandom >files/$1.gone$i
			sha256sum files/* >sums; sync"
		vms snapshot merge "$1-$i"
	done
}

# Of two without a name next to each other, far below the top, one goes; what the machine and each snapshot read stays.
merges_deep_while_it_runs() {
	local boot before
	boot=$(in_guest merge 'cat /proc/sys/kernel/random/boot_id')
	before=$(layers)
	make_deep deep
	eq "$(layers)" $((before + 4)) "layers"
	vms snapshot delete merge deep-2 2>"$T/err"
	contains "$(cat "$T/err")" 'still needed'
	eq "$(layers)" $((before + 4)) "layers with one name gone"
	vms snapshot delete merge deep-3
	eq "$(layers)" $((before + 3)) "layers with two names gone"
	eq "$(in_guest merge 'sha256sum --quiet -c sums; cat /proc/sys/kernel/random/boot_id')" "$boot"
	kill_qemu "$(object merge)"
	files_are_whole "$1"
	vms revert --yes merge deep-1
	eq "$(in_guest merge 'sha256sum --quiet -c sums; ls files | grep -c "^deep"; cat files/deep.grows')" 3$'\n'1
	vms revert --yes --discard merge deep-4
	files_are_whole "$1"
	for name in $(vms snapshot list --json merge | python3 -c 'import json, sys; print(*[s["name"] for s in json.load(sys.stdin)["snapshots"]])'); do
		vms snapshot delete merge "$name"
	done
}

killed_while_it_merges_deep() {
	local job stood have=0 before
	before=$(layers)
	make_deep kill
	vms snapshot delete merge kill-2
	stands_at layers:merge:copied snapshot delete merge kill-3
	kill_qemu "$(object merge)"
	kill -CONT "$stood"
	wait "$job" || have=$?
	[ "$have" -ne 0 ] || fail "it says that all is well"
	eq "$(layers)" $((before + 4)) "layers"
	[ -e "$STATE/merge/merge" ] || fail "no note"
	files_are_whole "$1"
	vms snapshot delete merge kill-1
	vms snapshot delete merge kill-4
}

vms_dies_while_it_merges_deep() {
	local have=0
	make_deep dies
	vms snapshot delete merge dies-2
	SANDBOX_FAULT=layers:merge:copied:kill vms snapshot delete merge dies-3 || have=$?
	eq "$have" 137
	[ -e "$STATE/merge/merge" ] || fail "no note"
	vms snapshot merge more
	[ ! -e "$STATE/merge/merge" ] || fail "the note is still there"
	kill_qemu "$(object merge)"
	files_are_whole "$1"
	for name in dies-1 dies-4 more; do
		vms snapshot delete merge "$name"
	done
}

# comes_to LAYERS: by itself, within two minutes
comes_to() {
	for _ in $(seq 240); do
		[ "$(layers)" -gt "$1" ] || return 0
		sleep 0.5
	done
	fail "there are $(layers) layers"
}

# Of which ten keep their names. What the others held is merged by the keeper, which nobody notices.
merges_by_itself() {
	local i boot before
	boot=$(in_guest merge 'cat /proc/sys/kernel/random/boot_id')
	for i in $(seq 15); do
		vms exec --checkpoint merge -- sh -c "head -c 2000000 /dev/urandom >files/self.$i; rm -f files/self.gone*; head -c 300000 /dev/urandom >files/self.gone$i; sha256sum files/* >sums; sync" 2>"$T/err"
	done
	before=$(layers)
	# the one below the names, those, and the top
	comes_to 12
	[ ! -e "$STATE/merge/merge" ] || fail "a merge has not ended"
	eq "$(in_guest merge 'sha256sum --quiet -c sums; cat /proc/sys/kernel/random/boot_id')" "$boot"
	eq "$(vms snapshot list --json merge | grep -o '"name" *: *"exec-' | wc -l)" 10 "checkpoints"
	printf '# %d layers when the last command ended\n' "$before"
	kill_qemu "$(object merge)"
	files_are_whole "$1"
	for name in $(vms snapshot list --json merge | python3 -c 'import json, sys; print(*[s["name"] for s in json.load(sys.stdin)["snapshots"]])'); do
		vms snapshot delete merge "$name"
	done
}

# One that keeps up a merge: the process is $tidy.
comes_to_tidy() {
	tidy=
	for _ in $(seq 600); do
		tidy=$(pgrep -u "$TEST_UID" -f -- "--tidy .*$STATE/merge " | head -n 1)
		[ -z "$tidy" ] || return 0
		sleep 0.1
	done
	fail "nobody merges"
}

# What merges is killed while the machine stands still to have its disk written out: the next command lets it go on, and where none comes, the
# keeper does, also when what it starts is killed in turn.
killed_while_it_stands_still() {
	local i boot keeper tidy have
	boot=$(in_guest merge 'cat /proc/sys/kernel/random/boot_id')
	keeper=$(keeper_pids merge)
	kill -STOP "$keeper"
	for i in $(seq 13); do
		vms exec --checkpoint merge -- sh -c "head -c 300000 /dev/urandom >files/still.$i; sha256sum files/* >sums; sync" 2>"$T/err"
	done
	for i in once again; do
		have=0
		SANDBOX_FAULT=layers:merge:still:kill as_user "$VMS_TESTS_PREFIX/libexec/libsandbox/sandbox-keeper" --tidy qemu:///system "$STATE/merge" vms || have=$?
		eq "$have" 137
		eq "$(domain_state merge)" paused "$i"
		contains "$(vms status merge)" 'write out merged layers'
		[ "$i" != once ] || eq "$(vms exec merge -- cat /proc/sys/kernel/random/boot_id)" "$boot"
	done
	kill -CONT "$keeper"
	comes_to_tidy
	kill -KILL "$tidy"
	comes_to 12
	[ ! -e "$STATE/merge/merge" ] || fail "a merge has not ended"
	eq "$(domain_state merge)" running
	eq "$(in_guest merge 'sha256sum --quiet -c sums; cat /proc/sys/kernel/random/boot_id')" "$boot"
	kill_qemu "$(object merge)"
	files_are_whole "$1"
	for name in $(vms snapshot list --json merge | python3 -c 'import json, sys; print(*[s["name"] for s in json.load(sys.stdin)["snapshots"]])'); do
		vms snapshot delete merge "$name"
	done
}

# The chain of one that runs for weeks is as long as it has snapshots.
many_checkpoints() {
	local i most=0
	for i in $(seq 70); do
		vms exec --checkpoint merge -- sh -c "echo $i >>count; sync" 2>"$T/err"
		[ "$(layers)" -le "$most" ] || most=$(layers)
	done
	[ "$most" -le 36 ] || fail "there were $most layers"
	comes_to 12
	eq "$(in_guest merge 'sha256sum --quiet -c sums; wc -l <count')" 70
	kill_qemu "$(object merge)"
	files_are_whole "$1"
	eq "$(in_guest merge 'wc -l <count')" 70
}

# By virt-manager, say. Its disk and that memory belong together.
libvirt_keeps_memory() {
	root_virsh managedsave "$(object merge)" >/dev/null
	status 4 vms start merge 2>"$T/err"
	contains "$(cat "$T/err")" 'managed save.*vms stop --force merge'
	status 4 vms recreate --yes merge
	status 4 vms revert --yes merge before
	status 4 vms snapshot merge
	root_virsh net-start "$(object merge)" >/dev/null 2>&1 || true
	root_virsh start "$(object merge)" >/dev/null
	vms start merge
	in_guest merge 'sha256sum --quiet -c sums'
	root_virsh managedsave "$(object merge)" >/dev/null
	status 4 vms stop merge
	vms stop --force merge
	files_are_whole 79
}

goes() {
	vms destroy --yes merge
	nothing_remains merge
}

t "a machine with files" begins
passed || finish
t "QEMU is killed right after a merge" killed_after_a_merge
t "QEMU is killed before the merge is written out" killed_before_it_is_written
t "layers far below the top are merged while it runs" merges_deep_while_it_runs 22
t "QEMU is killed while it merges those" killed_while_it_merges_deep 28
t "what old checkpoints held is merged by the keeper" merges_by_itself 44
t "what merges is killed while the machine stands still" killed_while_it_stands_still 57
if full; then
	t "vms is killed while it merges those" vms_dies_while_it_merges_deep 63
	t "many checkpoints, and few layers" many_checkpoints 63
	t "vms is killed there" vms_dies_there
	t "the helper of a machine that is off is killed there" helper_is_killed
	t "libvirt keeps its memory: nothing starts over it" libvirt_keeps_memory
fi
t "destroyed" goes
rm -f "$PROFILES/merge.profile"
finish
