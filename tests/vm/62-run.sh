#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vms run: a machine for one command, of which nothing stays.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
PROJECT=$TEST_HOME/run-project

throwaways() {
	root_virsh list --all --name
	root_virsh net-list --all --name
	root_virsh nwfilter-list | awk '{ print $2 }'
	# kept memory is a cache, for the next one
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -v '^warm\.'
	ls -A "$STATE"
}

nothing_stays() {
	lacks "$(throwaways)" "(vms-$TEST_UID-|^)run-"
	lacks "$(pgrep -u "$TEST_UID" -af sandbox-keeper)" 'vms-[0-9]*-run-'
	# a profile of work has a drop box; that of a throwaway machine would stay
	lacks "$(ls -A "$TEST_HOME/vms" 2>/dev/null)" '^run-'
}

makes_a_project() {
	rm -rf "$PROJECT"
	as_user mkdir "$PROJECT" "$PROJECT/sub"
	as_user tee "$PROJECT/sub/input" <<<"from the host" >/dev/null
}

runs_a_command() {
	local script='pwd; cat input; echo "$TOKEN $FIXED"; echo in the tree >made; mkdir /tmp/result; echo far >/tmp/result/x; grep -q nameserver /etc/resolv.conf || echo no names; exit 7'
	makes_a_project
	(
		cd "$PROJECT/sub"
		TOKEN=secret status 7 run_with_token timeout -k 10 600 vms run -p work --network none --share ..,mode=rw -e TOKEN -e FIXED=word \
			--out /tmp/result:out --timeout 5m -- sh -c "$script"
	) >"$T/said" 2>"$T/errors"
	eq "$(cat "$T/said")" "/home/dev/run-project/sub
from the host
secret word
no names"
	eq "$(cat "$PROJECT/sub/made")" "in the tree"
	eq "$(cat "$PROJECT/sub/out/x")" far
	eq "$(stat -c %U "$PROJECT/sub/made" "$PROJECT/sub/out/x" | sort -u)" "$TEST_USER"
	nothing_stays
}

# as_user has a clean environment: what is passed on has to be there
run_with_token() {
	as_user env TOKEN="$TOKEN" "$@"
}

refuses() {
	status 2 vms run -e NOT_THERE -- true 2>"$T/errors"
	contains "$(cat "$T/errors")" 'no variable NOT_THERE here'
	status 2 vms run --network lan -- true 2>"$T/errors"
	contains "$(cat "$T/errors")" '"lan" is neither nat nor none'
	status 125 vms run --profile wrok -- true 2>"$T/errors"
	contains "$(cat "$T/errors")" 'work'
	status 2 vms run --share "$TEST_HOME" -- true 2>"$T/errors"
	contains "$(cat "$T/errors")" 'cannot be shared'
	# only what was wrong is told
	lacks "$(cat "$T/errors")" removing
	nothing_stays
}

# There is no place for it: said before the work.
refuses_results() {
	local out
	as_user mkdir -p "$TEST_HOME/run-taken/there"
	for out in /tmp/there /tmp/x:run-taken/no/such /tmp/x:/ /; do
		(cd "$TEST_HOME/run-taken" && status 2 vms run --out "$out" -- true) 2>"$T/errors"
		contains "$(cat "$T/errors")" "vms: run: --out $out: "
		lacks "$(cat "$T/errors")" start
	done
	(cd "$TEST_HOME/run-taken" && status 2 vms run --out /tmp/a:new --out /tmp/b:new -- true) 2>"$T/errors"
	contains "$(cat "$T/errors")" 'another --out goes to the same place'
	nothing_stays
}

# What a build leaves has links; and what cannot be copied is not lost with the machine.
copies_results() {
	local name script='mkdir r && echo text >r/lib.so.1 && ln -s lib.so.1 r/lib.so && ln -s /usr/bin/env r/env && mkdir bad && echo work >bad/file && : >"$(printf "bad/\033x")"; exit 3'
	(cd "$TEST_HOME/run-taken" && status 3 vms -q run --network none --out r --out bad --out none -- sh -c "$script") 2>"$T/errors"
	eq "$(cat "$TEST_HOME/run-taken/r/lib.so")" text
	[ -L "$TEST_HOME/run-taken/r/lib.so" ] || fail "lib.so is no link"
	[ ! -L "$TEST_HOME/run-taken/r/env" ] || fail "a link that leads out"
	contains "$(cat "$T/errors")" 'left out.*"env"'
	contains "$(cat "$T/errors")" 'the command ended with status 3'
	name=$(sed -n 's/.*the machine was kept as \(run-[0-9a-f]*\):.*/\1/p' "$T/errors")
	vms cp "$name:bad/file" "$TEST_HOME/run-taken/saved"
	eq "$(cat "$TEST_HOME/run-taken/saved")" work
	vms destroy --yes "$name"
	# one that it never made, since it failed: its status, and no machine for it
	(cd "$TEST_HOME/run-taken" && status 4 vms run --network none --out none -- sh -c 'exit 4') 2>"$T/errors"
	contains "$(cat "$T/errors")" 'it has no none'
	lacks "$(cat "$T/errors")" kept
	# the place on the host is gone meanwhile: that is not the command's failure to make it
	as_user mkdir -p "$TEST_HOME/run-taken/there"
	(cd "$TEST_HOME/run-taken" && status 5 vms run --network none --share .,mode=rw --out /tmp/a:there/a -- \
		sh -c 'echo work >/tmp/a; rmdir there; exit 5') 2>"$T/errors"
	name=$(sed -n 's/.*the machine was kept as \(run-[0-9a-f]*\):.*/\1/p' "$T/errors")
	eq "$(in_guest "$name" 'cat /tmp/a')" work
	vms destroy --yes "$name"
	rm -rf "$TEST_HOME/run-taken"
	nothing_stays
}

# until_said PID: until the command in the guest speaks
until_said() {
	local tries
	for ((tries = 0; tries < 3000; tries++)); do
		! grep -q speaks "$T/said" || return 0
		kill -0 "$1" 2>/dev/null || break
		sleep 0.1
	done
	fail "it never spoke: $(cat "$T/errors")"
}

ends_with_ctrl_c() {
	local have=0
	as_user timeout -k 10 600 vms run -- sh -c 'echo speaks; exec sleep 300' >"$T/said" 2>"$T/errors" &
	until_said $!
	pkill -INT -u "$TEST_UID" -f '^vms run -- sh -c echo speaks'
	wait $! || have=$?
	eq "$have" 130 "exit status"
	nothing_stays
}

is_killed() {
	# not what an earlier one said
	rm -f "$T/said"
	as_user timeout -k 10 600 vms run -- sh -c 'echo speaks; exec sleep 300' >"$T/said" 2>"$T/errors" &
	until_said $!
	# alive: nobody takes it away
	vms list >"$T/list"
	contains "$(cat "$T/list")" '^run-[0-9a-f]{8} .*running'
	pkill -KILL -u "$TEST_UID" -f '^vms run -- sh -c echo speaks'
	wait $! || true
	contains "$(throwaways)" "vms-$TEST_UID-run-"
	vms list >"$T/list"
	lacks "$(cat "$T/list")" '^run-'
	nothing_stays
}

is_kept() {
	local name
	vms run --keep -- sh -c 'echo here >~/stays' 2>"$T/errors"
	name=$(sed -n 's/.*kept as \(run-[0-9a-f]*\);.*/\1/p' "$T/errors")
	contains "$name" '^run-[0-9a-f]{8}$'
	vms list >"$T/list"
	contains "$(cat "$T/list")" "^$name .*running"
	eq "$(in_guest "$name" 'cat stays')" here
	vms destroy --yes "$name"
	nothing_stays
}

t "mistakes start nothing" refuses
t "results that have no place start nothing" refuses_results
t "results with links are copied, and what cannot be is kept with its machine" copies_results
t "a command with a share, variables, a result, without a network: its status, and nothing stays" runs_a_command
t "Ctrl-C while it runs: nothing stays" ends_with_ctrl_c
t "killed: the next command removes it" is_killed
t "--keep makes it a machine like others" is_kept
rm -rf "$PROJECT"
finish
