#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Snapshots, reverts, deletes and copies in random order, without a guest: what every disk and every snapshot holds is compared
# with a model after each step. The seed is printed; VMS_TESTS_SEED chooses it.
# in turns
# with --full it may take 14400 s
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

HERE=$VMS_TESTS_TOP/tests/vm
command -v qemu-io >/dev/null || {
	skip "snapshots against a model" "there is no qemu-io"
	finish
}
need_image
machines=(model-a model-b model-c)
vms destroy --yes --if-exists "${machines[@]}" >/dev/null 2>&1

# Defined, with a disk, and never booted.
defined() {
	local have=0
	vms destroy --yes --if-exists "${machines[@]}"
	vms create model-a --profile credentials
	printf '%s\n' '[network]' mode=none >>"$PROFILES/model-a.profile"
	SANDBOX_FAULT=start:boot:before:kill vms start model-a || have=$?
	[ "$have" -eq 137 ] || fail "start ended with $have, not by the fault"
	eq "$(domain_state model-a)" "shut off"
}

# model OPTION...
model() {
	python3 -B "$HERE/snapshot_model.py" --seed "$VMS_TESTS_SEED" --user "$TEST_USER" --prefix "$VMS_TESTS_PREFIX" "$@" model-a | tee "$VMS_TESTS_WORK/model.out"
	[ "${PIPESTATUS[0]}" -eq 0 ]
	for machine in "${machines[@]}"; do
		nothing_remains "$machine"
	done
}

POOL=/var/lib/libvirt/images/vms

# io LAYER COMMAND: on the disk that ends with that layer
io() {
	local said
	said=$(qemu-io -c "$2" "$POOL/$(object model-a)$1.qcow2" 2>&1) || fail "$1: $2: $said"
}

count_layers() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -cE "^$(object model-a)(\.[0-9]+)?\.qcow2$"
}

# It runs, and has nothing to boot.
runs_idle() {
	root_virsh dumpxml --inactive "$(object model-a)" | sed -E '/<(kernel|initrd|cmdline)>/d' >"$T/idle.xml"
	root_virsh define "$T/idle.xml"
	root_virsh start "$(object model-a)"
}

kill_qemu() {
	local pid
	pid=$(qemu_pid model-a)
	kill -KILL "$pid"
	while [ -e "/proc/$pid" ]; do sleep 0.1; done
}

# holds LAYER NUMBER: all that was written until then
holds() {
	local i
	for i in $(seq "$2"); do
		io "$1" "read -P $i ${i}M 64k"
	done
	io "$1" "read -P $2 100M 64k"
}

# Twelve snapshots, the names of most of which go while it runs.
merges_while_it_runs() {
	local i have=0
	for i in $(seq 12); do
		io "$([ "$i" -eq 1 ] || echo ".$((i - 1))")" "write -P $i ${i}M 64k"
		io "$([ "$i" -eq 1 ] || echo ".$((i - 1))")" "write -P $i 100M 64k"
		vms snapshot model-a "n$i"
	done
	runs_idle
	eq "$(count_layers)" 13
	for i in 2 3 4 6 7 9; do
		vms snapshot delete model-a "n$i"
	done
	# 2, 3 and 4 are one now, and so are 6 and 7
	eq "$(count_layers)" 10
	eq "$(domain_state model-a)" running
	kill_qemu
	holds .11 12
	holds .9 10
	holds .7 8
	holds .4 5
	holds '' 1
}

# vms is killed in between, and then QEMU: what was copied may be in neither file as it should.
killed_while_it_merges() {
	local have=0
	runs_idle
	SANDBOX_FAULT=layers:merge:copied:kill vms snapshot delete model-a n8 || have=$?
	eq "$have" 137
	[ -e "$STATE/model-a/merge" ] || fail "no note"
	kill_qemu
	# with this one gone, another could be merged that comes first in the list: the one that was begun has to be ended before
	vms snapshot delete model-a n1
	vms snapshot delete model-a n10
	[ ! -e "$STATE/model-a/merge" ] || fail "the note is still there"
	holds .11 12
	for layer in $(root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^$(object model-a)(\.[0-9]+)?\.qcow2$"); do
		qemu-img check -q "$POOL/$layer" || fail "$layer is damaged"
	done
	vms destroy --yes model-a
	nothing_remains model-a
}

# As old checkpoints leave it, which lost their names while it ran.
lose_names() {
	local names=$STATE/model-a/snapshots
	awk -v RS= "!/^\\[n($1)\\]/ { print \$0 \"\n\" }" "$names" >"$T/names"
	as_user tee "$names" <"$T/names" >/dev/null
}

# What the keeper does now and then; the status is $have.
tidies() {
	have=0
	as_user timeout -k 10 300 "$VMS_TESTS_PREFIX/libexec/libsandbox/sandbox-keeper" --tidy qemu:///system "$STATE/model-a" vms >"$T/said" 2>&1 || have=$?
}

# The one that a verb started for the running machine, which would merge by itself some seconds later.
no_keeper() {
	local pid
	for pid in $(keeper_pids model-a); do
		kill "$pid"
	done
	for _ in $(seq 300); do
		pgrep -u "$TEST_UID" -f -- "sandbox-keeper .*$STATE/model-a " >/dev/null || return 0
		sleep 0.1
	done
	fail "its keeper does not end"
}

# The copy that is under way takes for ever.
copies_slowly() {
	for _ in $(seq 200); do
		root_virsh blockjob "$(object model-a)" vda 1 >/dev/null 2>&1 && return 0
		sleep 0.02
	done
	fail "nothing is copied"
}

# While nobody waits; and who does gets the machine at once.
merges_when_idle() {
	local i job have=0
	for i in $(seq 6); do
		io "$([ "$i" -eq 1 ] || echo ".$((i - 1))")" "write -P $i ${i}M 64k"
		io "$([ "$i" -eq 1 ] || echo ".$((i - 1))")" "write -P $i 100M 64k"
		[ "$i" -ne 3 ] || io .2 "write -P 3 200M 1G"
		vms snapshot model-a "n$i"
	done
	tidies
	eq "$have $(cat "$T/said")" "1 model-a: does not run"
	runs_idle
	lose_names '[2-5]'
	eq "$(count_layers)" 7
	root_virsh suspend "$(object model-a)" >/dev/null
	tidies
	eq "$have $(cat "$T/said")" "1 model-a: does not run"
	root_virsh resume "$(object model-a)" >/dev/null
	tidies &
	job=$!
	copies_slowly
	vms snapshot model-a asked
	wait "$job"
	no_keeper
	[ -s "$T/said" ] || fail "it says that it is done"
	[ ! -e "$STATE/model-a/merge" ] || fail "there is something to be ended"
	eq "$(count_layers)" 8 "layers when it gave way"
	lacks "$(vms snapshot list model-a)" merge
	tidies
	eq "$have $(cat "$T/said")" "0 "
	eq "$(count_layers)" 5 "layers when it was done"
	tidies
	eq "$have $(cat "$T/said")" "0 "
	kill_qemu
	holds .7 6
	holds .5 6
	io .1 "read -P 3 200M 1G"
	holds .1 5
	holds '' 1
	vms destroy --yes model-a
	nothing_remains model-a
}

# stands_at FAULT: what merges stopped itself there; it is $stood
stands_at() {
	SANDBOX_FAULT=$1:stop tidies &
	job=$!
	stood=
	for _ in $(seq 300); do
		for pid in $(pgrep -u "$TEST_UID" -x sandbox-keeper); do
			! grep -q '^State:.T' "/proc/$pid/status" 2>/dev/null || stood=$pid
		done
		[ -z "$stood" ] || return 0
		sleep 0.1
	done
	fail "it did not come to $1: $(cat "$T/said")"
}

# A machine stands still while what was merged is written out. Whatever becomes of who does that, it goes on; but it does not when
# somebody else paused it.
goes_on_after_a_merge() {
	local i job stood have=0
	for i in $(seq 8); do
		io "$([ "$i" -eq 1 ] || echo ".$((i - 1))")" "write -P $i ${i}M 64k"
		io "$([ "$i" -eq 1 ] || echo ".$((i - 1))")" "write -P $i 100M 64k"
		vms snapshot model-a "n$i"
	done
	runs_idle
	lose_names '[2-7]'
	SANDBOX_FAULT=layers:merge:still:kill tidies
	eq "$have" 137
	eq "$(domain_state model-a)" paused
	contains "$(vms status model-a)" 'write out merged layers'
	stands_at layers:merge:copied
	eq "$(domain_state model-a)" running "with the next one"
	# somebody's hand, or vms-guard
	root_virsh suspend "$(object model-a)" >/dev/null
	kill -CONT "$stood"
	wait "$job"
	contains "$(cat "$T/said")" 'does not run any more'
	status 4 vms snapshot model-a more 2>"$T/err"
	contains "$(cat "$T/err")" 'while it is paused'
	tidies
	eq "$have $(cat "$T/said")" "1 model-a: does not run"
	eq "$(domain_state model-a)" paused "by somebody"
	root_virsh resume "$(object model-a)" >/dev/null
	stands_at layers:merge:still
	eq "$(domain_state model-a)" paused "while it is written out"
	# as at the end of a session
	kill -HUP "$stood"
	kill -CONT "$stood"
	wait "$job"
	eq "$(domain_state model-a)" running "after a hangup"
	no_keeper
	tidies
	eq "$have $(cat "$T/said")" "0 "
	eq "$(count_layers)" 4
	kill_qemu
	holds .8 8
	holds '' 1
	vms destroy --yes model-a
	nothing_remains model-a
}

# So many that a start or a snapshot would have to open them all: it merges as many as are too many, the keeper the others.
bounded_by_its_names() {
	local i have=0
	for i in $(seq 36); do
		io "$([ "$i" -eq 1 ] || echo ".$((i - 1))")" "write -P $i ${i}M 64k"
		io "$([ "$i" -eq 1 ] || echo ".$((i - 1))")" "write -P $i 100M 64k"
		vms snapshot model-a "n$i"
	done
	runs_idle
	lose_names '[2-9]|[12][0-9]|3[0-3]'
	eq "$(count_layers)" 37
	vms snapshot model-a more
	eq "$(count_layers)" 33
	tidies
	eq "$have $(cat "$T/said")" "0 "
	eq "$(count_layers)" 7
	kill_qemu
	holds .36 36
	holds .33 34
	vms destroy --yes model-a
	nothing_remains model-a
}

# What was tried, for the log.
told() {
	sed 's/^/# /' "$VMS_TESTS_WORK/model.out" | head -n 40
	rm -f "$VMS_TESTS_WORK/model.out"
}

t "a machine that was never started" defined
passed || finish
if full; then
	t "random steps on up to three machines: 1,000 sequences" model --sequences 1000 --all --seconds 9000 --chain 12
	told
	t "another machine that was never started" defined
	t "the same on a chain of 100 snapshots: 100 sequences" model --sequences 100 --all --seconds 3600 --grow 100 --chain 110
	told
else
	t "random steps on up to three machines, each compared with the model" model --sequences 20 --seconds 50
	told
fi
t "a machine that runs without a guest" defined
t "layers far below the top are merged while it runs" merges_while_it_runs
t "killed while it merges them: ended first, nothing is lost" killed_while_it_merges
t "another machine that runs without a guest" defined
t "layers are merged when nobody waits" merges_when_idle
t "one more machine that runs without a guest" defined
t "it goes on, whatever becomes of who merges" goes_on_after_a_merge
if full; then
	t "another machine that runs without a guest" defined
	t "a chain that grew is as long as it has snapshots" bounded_by_its_names
fi
vms destroy --yes --if-exists "${machines[@]}" >/dev/null 2>&1
finish
