#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The examples: a program, built against the installed library through pkg-config only, that runs a throwaway machine; a script that
# runs a project's tests in rounds.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image

build() {
	"$VMS_TESTS_TOP/tests/install/build-example" "$VMS_TESTS_PREFIX" "$VMS_TESTS_TOP/docs/examples/throwaway.c" "$T/throwaway"
	chmod 755 "$T/throwaway"
}

machines_of_the_user() {
	root_virsh list --all --name | grep -- "-$TEST_UID-" | sort
}

runs() {
	local before
	before=$(machines_of_the_user)
	as_user timeout --foreground -k 10 600 "$T/throwaway" sh -c 'echo "hello from $(uname -n)"; exit 3' >"$T/out" || eq $? 3 "exit status"
	contains "$(cat "$T/out")" '^hello from '
	eq "$(machines_of_the_user)" "$before" "machines afterwards"
	eq "$(root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -- "-$TEST_UID-run" )" "" "volumes afterwards"
}

# The owner dies: the next repair finds the machine that nobody holds any more.
dies() {
	local before
	before=$(machines_of_the_user)
	as_user timeout --foreground -s KILL 45 "$T/throwaway" sleep 300 || true
	vms doctor --repair --yes
	eq "$(machines_of_the_user)" "$before" "machines after the repair"
}

rounds() {
	as_user timeout --foreground -k 10 7200 "$VMS_TESTS_TOP/docs/examples/ci-rounds.sh" "$@"
}

# Rounds that are equal, that differ, that fail, and of which something stays.
rounds_are_judged() {
	rm -rf "$TEST_HOME/rounds"
	as_user mkdir -p "$TEST_HOME/rounds" "$PROFILES"
	as_user tee "$PROFILES/rounds.profile" >/dev/null <<<$'[profile]\ninherits=ci\n[machine]\nmemory=512MiB\ncpus=1'
	as_user tee "$TEST_HOME/rounds/test.sh" >/dev/null <<<'cat times 2>/dev/null; echo more >>times; wc -l <times'
	rounds -p rounds -n 2 "$TEST_HOME/rounds" sh test.sh >"$T/out"
	eq "$(grep -cE '^round +[12]: +[0-9.]+ s, status 0$' "$T/out")" 2 "rounds"
	[ ! -e "$TEST_HOME/rounds/times" ] || fail "the project was changed"
	as_user tee "$TEST_HOME/rounds/test.sh" >/dev/null <<<'cat /proc/sys/kernel/random/uuid; exit 3'
	status 1 rounds -p rounds -n 2 "$TEST_HOME/rounds" sh test.sh >"$T/out"
	eq "$(sed -n 's/^round.*status //p' "$T/out")" $'3\n3, other output'
}

# meanwhile COMMAND...: three rounds, and the command after the first; what is said is in $T/out, the status is $have
meanwhile() {
	local job
	have=0
	as_user tee "$TEST_HOME/rounds/test.sh" >/dev/null <<<true
	rounds -p rounds -n 3 "$TEST_HOME/rounds" sh test.sh >"$T/out" 2>"$T/err" &
	job=$!
	for _ in $(seq 600); do
		! grep -q '^round' "$T/out" || break
		sleep 0.5
	done
	"$@"
	wait "$job" || have=$?
}

# Defined, with all that it takes, and not booted.
another_machine() {
	vms create rounds-other --profile ci
	SANDBOX_FAULT=start:boot:before:kill vms start rounds-other || true
}

leave_a_volume() {
	root_virsh vol-create-as vms "$(object run-00000000).qcow2" 1M --format qcow2
}

what_is_left_is_told() {
	local have
	meanwhile another_machine
	vms destroy --yes rounds-other
	eq "$have $(cat "$T/err")" "0 "
	eq "$(grep -c 'status 0$' "$T/out")" 3 "rounds"
	meanwhile leave_a_volume
	root_virsh vol-delete --pool vms "$(object run-00000000).qcow2" || true
	eq "$have" 1
	contains "$(cat "$T/out")" 'status 0, something left'
}

# A project of others, from its sources: what a user's CI does.
rounds_of_a_project() {
	local sources=$T/apt
	mkdir -p "$sources/lists" "$sources/zlib"
	sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$sources/debian.sources"
	(cd "$sources/zlib" && for what in update "source --download-only zlib"; do
		# shellcheck disable=SC2086 # words
		apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$sources" -o Dir::State::lists="$sources/lists" $what
	done)
	rm -rf "$TEST_HOME/rounds"
	as_user mkdir -p "$TEST_HOME/rounds"
	tar -C "$TEST_HOME/rounds" --strip-components=1 -xf "$sources"/zlib/zlib_*.orig.tar.*
	chown -R "$TEST_USER:" "$TEST_HOME/rounds"
	as_user tee -a "$PROFILES/rounds.profile" >/dev/null <<<$'[provision]\npackages=gcc;make;libc6-dev'
	rounds -p rounds -n 20 "$TEST_HOME/rounds" sh -c './configure >/dev/null && make -s -j2 >/dev/null 2>&1 && make -s test 2>&1 | grep "test OK"' >"$T/out"
	cat "$T/out"
	eq "$(grep -cE '^round +[0-9]+: +[0-9.]+ s, status 0$' "$T/out")" 20 "rounds"
}

t "it builds with nothing but pkg-config" build
passed || finish
t "it starts a machine, streams the output, destroys it" runs
t "a throwaway machine whose owner was killed is repaired away" dies
if full; then
	t "rounds of a project: equal ones pass, others are told" rounds_are_judged
	t "rounds: other machines come and go, what is left is told" what_is_left_is_told
	t "twenty rounds of a project of others, from clean" rounds_of_a_project
fi
rm -rf "$TEST_HOME/rounds" "$PROFILES/rounds.profile"
finish
