#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What serves a share is killed while the machine writes to it, in each mode: nothing that was there before is lost, the host's tree is
# never half of anything, vms says which share is gone, and a restart brings it back with what the machine had changed.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
DIR=$TEST_HOME/dies
MODES="review rw guarded ro"
vms destroy --yes --if-exists --discard-changes dies >/dev/null 2>&1
rm -rf "$DIR"

starts() {
	local mode
	for mode in $MODES; do
		as_user sh -euc 'mkdir -p "$1"; cd "$1"; for i in 1 2 3 4 5 6 7 8 9; do echo "of the host $i" >"$i"; done' sh "$DIR/$mode"
	done
	{
		printf '[profile]\ninherits=ci\n[machine]\nmemory=512MiB\ncpus=1\n'
		for mode in $MODES; do printf '[share:%s]\nsource=%s\ntarget=~/%s\nmode=%s\n' "$mode" "$DIR/$mode" "$mode" "$mode"; done
	} | as_user sh -c 'mkdir -p "$1"; cat >"$1/dies.profile"' sh "$PROFILES"
	vms start dies
	# and what it has before
	in_guest dies 'echo mine >review/mine; echo mine >rw/mine; echo mine >guarded/mine; sync'
}

# of_mode MODE: the processes that serve it, as libvirt has noted the first one
of_mode() {
	local alias pid
	alias=$(root_virsh dumpxml "$(object dies)" | python3 -c 'import sys, xml.etree.ElementTree as tree
for share in tree.parse(sys.stdin).iter("filesystem"):
    if share.find("target").get("dir") == sys.argv[1]:
        print(share.find("alias").get("name"))' "$1")
	pid=$(cat /run/libvirt/qemu/*-"$(object dies)-$alias-fs.pid")
	pgrep -P "$pid" || true
	echo "$pid"
}

state() {
	vms share list dies | awk -v name="$1" '$1 == name' || true
}

# The machine writes all the time, whole files by rename; then what serves the share is gone.
dies() {
	local mode=$1 pids
	if [ "$mode" != ro ]; then
		in_guest dies "cd $mode; nohup sh -c 'i=0; while :; do i=\$((i + 1)); for n in 1 2 3 4 5; do seq \$i \$((i + 500)) >.t && mv .t w\$n; done; done' >/dev/null 2>&1 &"
		sleep 2
	fi
	pids=$(of_mode "$mode")
	[ -n "$pids" ] || fail "nothing serves $mode"
	echo "serve it: $pids"
	lacks "$(state "$mode")" 'has ended'
	# shellcheck disable=SC2086 # numbers
	kill -9 $pids
	sleep 2
	contains "$(state "$mode")" 'has ended'
	contains "$(vms status dies)" "^ +share +$mode: .*has ended"
}

say_so() {
	local mode
	for mode in $MODES; do
		lacks "$(cd "$DIR/$mode" && cat 1 2 3 4 5 6 7 8 9 | sort -u)" '^$'
		eq "$(cd "$DIR/$mode" && cat 1 2 3 4 5 6 7 8 9)" "$(seq -f 'of the host %g' 9)" "$mode: what was there before"
	done
	# whole files: what each has is 501 numbers in a row
	for mode in rw guarded; do
		eq "$(cat "$DIR/$mode/mine")" mine
		(cd "$DIR/$mode" && for n in w*; do eq "$(cat "$n")" "$(seq "$(head -n 1 "$n")" $(($(head -n 1 "$n") + 500)))" "$mode/$n"; done)
	done
	eq "$(ls "$DIR/review")" "$(seq 9)" "review, which the machine does not write to"
	status 4 vms start dies 2>"$T/errors"
	contains "$(cat "$T/errors")" 'has ended.*vms restart dies'
}

comes_back() {
	local before=$SECONDS
	vms restart dies
	[ $((SECONDS - before)) -lt 100 ] || fail "took $((SECONDS - before)) s"
	lacks "$(vms share list dies)" 'has ended'
	eq "$(in_guest dies 'cat review/mine rw/mine guarded/mine ro/1')" $'mine\nmine\nmine\nof the host 1'
	in_guest dies 'cd review; for n in w*; do f=$(head -n 1 $n); seq $f $((f + 500)) | cmp - $n; done'
	in_guest dies 'echo again >rw/again; echo again >review/again'
	eq "$(cat "$DIR/rw/again")" again
	contains "$(vms diff --stat dies)" again
}

t "a machine starts with a share of each mode" starts
passed || finish
for mode in $MODES; do t "$mode: what serves it is killed while the machine writes, and vms says so" dies "$mode"; done
t "nothing on the host is lost, or half of anything; a start says what to do" say_so
t "a restart brings them back, with what the machine had changed" comes_back
vms destroy --yes --discard-changes dies >/dev/null 2>&1
finish
