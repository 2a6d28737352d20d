#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the guest deletes is given back to the host; what two states of a disk differ in, read by a throwaway machine; and a host's disk that is full: the machine stands still,
# loses nothing, and goes on when there is room.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists space >/dev/null 2>&1

POOL=/var/lib/libvirt/images/vms
SMALL=$VMS_TESTS_WORK/small

starts() {
	vms create space --profile work
	printf '[machine]\nmemory=1GiB\ncpus=2\n' >>"$PROFILES/space.profile"
	vms start space
	in_guest space 'sudo mkdir /srv/d && cd /srv/d && sudo sh -c "echo a >kept; echo a >changed; echo a >gone; echo a >mode; echo aa >touched; ln -s kept link; mkdir old"'
	vms snapshot space before
	# shellcheck disable=SC2016 # for the guest's shell
	in_guest space 'cd /srv/d && sudo sh -c "echo b >new; echo bb >>changed; rm gone; chmod 600 mode; ln -sfn /etc link; rmdir old; echo x >old
		touch -r touched /tmp/t; echo bb >touched; touch -r /tmp/t touched; : >\"\$(printf \"esc\\\\033[2Jape\\\\nname\")\"; sync"'
}

# The layer that it writes to.
top() {
	echo "$POOL/$(root_virsh dumpxml "$(object space)" --inactive | grep -oE "$(object space)[.0-9]*qcow2" | head -n 1)"
}

# What it takes on the host's disk, in MiB.
allocated() {
	echo $(($(stat -c %b "$(top)") / 2048))
}

shrinks() {
	local before full after i
	contains "$(in_guest space 'findmnt -n -o OPTIONS /')" '(^|,)discard(,|$)'
	before=$(allocated)
	in_guest space 'head -c 300M /dev/urandom >~/junk; sync'
	full=$(allocated)
	[ "$full" -ge $((before + 290)) ] || fail "it took $before MiB, and $full with 300 more on it"
	in_guest space 'rm ~/junk; sync'
	for ((i = 0; i < 60; i++)); do
		after=$(allocated)
		[ "$after" -gt $((before + 50)) ] || return 0
		sleep 1
	done
	fail "it took $before MiB, $full with 300 more, and $after without them"
}

differs() {
	local out
	contains "$(status 4 vms snapshot diff space 2>&1)" 'stop it, or take a snapshot'
	contains "$(status 3 vms snapshot diff space befor 2>&1)" 'stop it|did you mean'
	vms stop --timeout 60s --force space
	out=$(vms snapshot diff space 2>/dev/null)
	contains "$out" '^added +/srv/d/new '
	contains "$out" '^modified +/srv/d/changed '
	contains "$out" '^deleted +/srv/d/gone '
	contains "$out" '^mode +/srv/d/mode +0644 0:0 -> 0600 0:0'
	contains "$out" '^modified +/srv/d/link +-> /etc'
	contains "$out" '^replaced +/srv/d/old '
	contains "$out" '^touched +/srv/d/touched'
	contains "$out" '^added +/srv/d/esc\\x1b\[2Jape\\x01name'
	lacks "$out" '/srv/d/kept'
	lacks "$(printf '%s' "$out" | tr -d '\n')" $'\x1b'
	eq "$(root_virsh list --all --name | grep -c "vms-$TEST_UID-run-")" 0 "readers that stay"
}

# The layer that it writes to, on a file system of its own.
put_on_small_disk() {
	local top
	top=$(top)
	mkdir -p "$SMALL"
	mount -t tmpfs -o size=$(($(stat -c %b "$top") * 512 + 60000000)),mode=755 small "$SMALL"
	cp -a --sparse=always "$top" "$SMALL/top"
	mount --bind "$SMALL/top" "$top"
	echo "$top" >"$VMS_TESTS_WORK/small.top"
}

stands_still_and_goes_on() {
	local i
	put_on_small_disk
	vms start space
	(in_guest space 'head -c 150000000 /dev/urandom >~/big; sync; sha256sum <~/big >~/sum; sync; echo written' >"$T/written" 2>&1 &)
	for ((i = 0; i < 120; i++)); do
		[ "$(domain_state space)" != paused ] || break
		sleep 1
	done
	eq "$(domain_state space)" paused
	contains "$(vms status space)" "paused .*host's disk is full.*vms start space"
	contains "$(vms status --json space)" '"paused" *: *"disk-full"'
	# no room yet: it stops again at once, and that is said
	contains "$(status 5 vms start space 2>&1)" '^vms: start space: it stopped again at once'
	contains "$(status 5 vms resume space 2>&1)" '^vms: resume space: it stopped again at once'
	mount -o remount,size=1G "$SMALL"
	vms start space
	eq "$(domain_state space)" running
	for ((i = 0; i < 120; i++)); do
		[ "$(cat "$T/written")" != written ] || break
		sleep 1
	done
	eq "$(cat "$T/written")" written
	eq "$(in_guest space 'sha256sum <~/big | cmp - ~/sum && echo same')" same
}

takes_the_disk_back() {
	[ -e "$VMS_TESTS_WORK/small.top" ] || return 0
	vms stop --force --timeout 1s space
	# its own layer is below, as it was
	umount "$(cat "$VMS_TESTS_WORK/small.top")"
	umount "$SMALL"
	rm -f "$VMS_TESTS_WORK/small.top"
	rmdir "$SMALL"
	vms destroy --yes space
	nothing_remains space
}

t "a machine with a snapshot, and files changed since" starts
passed || finish
t "what the guest deletes is given back to the host" shrinks
t "what the two states differ in" differs
if full; then
	t "the host's disk is full: it stands still, and goes on when there is room" stands_still_and_goes_on
	t "what the test made of its disk is taken back" takes_the_disk_back
fi
vms destroy --yes --if-exists space >/dev/null 2>&1
finish
