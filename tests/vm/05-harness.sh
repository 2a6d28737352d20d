#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The tests' own tools: a case that should fail fails, and the product runs as the ordinary user.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

ends_at_failure() {
	false
	echo went on
}

wrong_value() {
	eq 1 2
}

wrong_status() {
	status 3 true
}

unwanted_text() {
	lacks "some text" 'text'
}

missing_text() {
	contains "$(echo some text)" '^text'
}

failing_assignment() {
	local value
	value=$(false)
	echo "went on with $value"
}

# fails CASE: as a case, it must be reported as failed
fails() {
	local output
	output=$(t inner "$1")
	contains "$output" '^not ok [0-9]+ - inner'
	lacks "$output" 'went on'
}

runs_as_the_user() {
	eq "$(as_user id -un)" "$TEST_USER"
	eq "$(as_user id -Gn | tr ' ' '\n' | grep -c libvirt)" 1 "membership in libvirt"
	lacks "$(as_user env)" 'SUDO|SSH_AUTH_SOCK|VMS_TESTS'
	status 5 as_user sh -c 'cat /etc/shadow 2>/dev/null || exit 5'
}

samples() {
	local VMS_TESTS_FULL=no VMS_TESTS_SEED=1
	eq "$(seq 20 | sample 4 | wc -l)" 4
	eq "$(seq 20 | sample 4)" "$(seq 20 | sample 4)" "the same seed"
	eq "$(seq 3 | sample 4 | wc -l)" 3
	VMS_TESTS_FULL=yes
	eq "$(seq 20 | sample 4 | wc -l)" 20
}

for case in ends_at_failure wrong_value wrong_status unwanted_text missing_text failing_assignment; do
	t "$case is seen" fails "$case"
done
t "commands run as the test user, with a clean environment" runs_as_the_user
t "samples follow the seed" samples
finish
