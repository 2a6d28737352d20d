#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images: built by an ordinary user, once; an interrupted build leaves nothing behind.
# alone, first: it makes the image from which all the others start.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

volumes() {
	root_virsh vol-list --pool vms 2>/dev/null | awk '{ print $1 }' | grep '^image\.' | sort
}

# What a build may leave: image volumes, directories, processes of the user.
traces() {
	volumes | sed 's/^/volume /'
	find "$TEST_HOME/.cache/vms" /tmp /var/tmp -user "$TEST_USER" \( -name '*build*' -o -name '*mmdebstrap*' -o -name '*.qcow2' \) \
		! -name '*.lock' ! -path "$TEST_HOME/.cache/vms/build" -printf 'file %p\n' 2>/dev/null
	pgrep -u "$TEST_USER" -f 'mmdebstrap|build-image|mke2fs|qemu-img' | sed 's/^/process /'
}

# nothing_new BEFORE: what ran in a name space of the build's may take a moment to be gone
nothing_new() {
	local tries=0
	until [ "$(traces)" = "$1" ]; do
		tries=$((tries + 1))
		[ "$tries" -le 15 ] || fail "left behind: $(diff <(echo "$1") <(traces) | grep '^>')"
		sleep 1
	done
}

builds_once() {
	local newest
	newest=$(volumes | sed -n 's/^image\.\(debian-13-.*\)\.json$/\1/p' | tail -n 1)
	if [ -n "$newest" ] && [ -z "$(find "$VMS_TESTS_TOP/domains/images" -type f -newer "/var/lib/libvirt/images/vms/image.$newest.qcow2")" ]; then
		echo "using $newest, which an earlier run built with this recipe"
		vms image build debian-13
	elif [ -n "$newest" ]; then
		vms image build --update debian-13
	else
		vms image build debian-13
	fi
	contains "$(volumes)" '^image\.debian-13-[0-9]{8}T[0-9]{6}-[0-9a-f]{12}\.qcow2$'
}

second_build_is_quick() {
	local before=$SECONDS
	vms image build debian-13
	[ $((SECONDS - before)) -le 5 ] || fail "took $((SECONDS - before)) s"
}

lists_and_shows() {
	contains "$(vms image list)" 'debian-13'
	vms image list --json | python3 -c 'import json, sys
images = json.load(sys.stdin)["images"]
assert any(i["name"] == "debian-13" for i in images), images'
	contains "$(vms image show debian-13)" 'linux-image'
	status 3 vms image show debian-99
}

# interrupted SIGNAL SECONDS WANTED-STATUSES
interrupted() {
	local before have=0
	before=$(traces)
	as_user timeout --foreground --preserve-status -k 60 -s "$1" "$2" vms image build --update debian-12 || have=$?
	[[ $3 == *" $have "* ]] || fail "exit status $have, should be one of $3"
	nothing_new "$before"
}

# What the build's inner root owns, in directories of the user's that only let others through: as a build leaves it that is
# killed while it unpacks.
left_half_unpacked() {
	local place=/var/tmp/vms-build-left-$RANDOM journal=$TEST_HOME/.cache/vms/build/debian-12-0000left

	as_user mkdir -p "$place/vms-image.left" "$journal"
	as_user chmod 777 "$place/vms-image.left"
	as_user mmdebstrap --unshare-helper mkdir -p "$place/vms-image.left/ns/etc/apt"
	as_user chmod 711 "$place" "$place/vms-image.left"
	as_user sh -c "printf %s $place >$journal/tmp"
	vms doctor --repair --yes
	[ ! -e "$place" ] || fail "still there: $(find "$place")"
}

killed_build_is_repaired() {
	local before
	before=$(traces)
	as_user timeout --foreground -s KILL 6 vms image build --update debian-12 || true
	sleep 3
	vms doctor --repair --yes
	nothing_new "$before"
}

t "debian-13 is built by an ordinary user" builds_once
t "a second build finds it there" second_build_is_quick
t "images are listed and shown" lists_and_shows
t "Ctrl-C while packages are fetched leaves nothing" interrupted INT 6 " 130 "
t "an ended session leaves nothing" interrupted TERM 12 " 130 143 "
t "what a build leaves that is killed while it unpacks goes, too" left_half_unpacked
t "what a killed build leaves, doctor --repair removes" killed_build_is_repaired
finish
