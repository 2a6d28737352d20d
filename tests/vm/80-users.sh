#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Two users on one host never meet each other's machines, though both may use libvirt.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
need_running work

sees_nothing() {
	lacks "$(other_vms list)" 'running'
	eq "$(other_vms list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["machines"])')" "[]"
	status 3 other_vms destroy --yes work
	status 125 other_vms exec --no-tty no-such -- true
	other_vms stop work || true
	eq "$(domain_state work)" running "the first user's machine"
	lacks "$(other_vms doctor --repair --yes 2>&1)" "$(object work)"
	eq "$(domain_state work)" running "the first user's machine, after the other's repair"
	lacks "$(other_vms image remove debian-13 2>&1)" '^removed' || true
}

image_is_in_use() {
	status 4 other_vms image remove debian-13
	status 4 vms image remove debian-13
	contains "$(vms image list)" debian-13
}

same_name_twice() {
	local other
	other=$(id -u "$OTHER_USER")
	other_vms start work
	eq "$(root_virsh list --name | grep -c -- '-work$')" 2 "machines called work"
	eq "$(other_vms ssh work -- id -u </dev/null)" "$other" "user in the other's machine"
	eq "$(in_guest work 'id -u')" "$TEST_UID" "user in the first one's machine"
	other_vms destroy --yes work
	eq "$(domain_state work)" running "the first user's machine"
	eq "$(root_virsh list --all --name | grep -- "-$other-")" "" "what is left of the other's"
	eq "$(in_guest work hostname)" work
}

outsider_is_told() {
	local have=0
	(cd / && runuser -u nobody -- env -i HOME="$T/nobody" PATH="$VMS_TESTS_PREFIX/bin:/usr/bin:/bin" LC_ALL=C.UTF-8 \
		vms list) >"$T/out" 2>&1 || have=$?
	[ "$have" -eq 5 ] || fail "exit status $have, should be 5: $(cat "$T/out")"
	contains "$(cat "$T/out")" 'libvirt'
}

mkdir -p "$T/nobody" && chown nobody "$T/nobody"
t "another user sees and touches nothing of the first" sees_nothing
t "an image in use is not removed, by anybody" image_is_in_use
t "two users, one name, two machines" same_name_twice
t "who is not in the group libvirt is told so (exit 5)" outsider_is_told
finish
