#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The example program, built against the installed library through pkg-config only, runs a throwaway machine.
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

t "it builds with nothing but pkg-config" build
passed || finish
t "it starts a machine, streams the output, destroys it" runs
t "a throwaway machine whose owner was killed is repaired away" dies
finish
