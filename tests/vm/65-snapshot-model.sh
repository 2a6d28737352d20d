#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Snapshots, reverts, deletes and copies in random order, without a guest: what every disk and every snapshot holds is compared
# with a model after each step. The seed is printed; VMS_TESTS_SEED chooses it.
# in turns
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

# What was tried, for the log.
told() {
	sed 's/^/# /' "$VMS_TESTS_WORK/model.out" | head -n 40
	rm -f "$VMS_TESTS_WORK/model.out"
}

t "a machine that was never started" defined
passed || finish
if full; then
	t "random steps on up to three machines: up to 1,000 sequences" model --sequences 1000 --seconds 400 --chain 12
	told
	t "another machine that was never started" defined
	t "the same on a chain of 100 snapshots" model --sequences 1000 --seconds 200 --grow 100 --chain 110
	told
else
	t "random steps on up to three machines, each compared with the model" model --sequences 20 --seconds 50
	told
fi
vms destroy --yes --if-exists "${machines[@]}" >/dev/null 2>&1
finish
