#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Suspend and resume: what ran goes on where it was, shares and ports come back, the clock is right; while it is suspended nothing boots it or
# touches its disk; memory never meets a disk that was written to since, whatever is killed, and whoever starts it beside us.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists sleeper >/dev/null 2>&1
POOL=/var/lib/libvirt/images/vms
HERE=$TEST_HOME/sleeper
MEMORY=$POOL/$(object sleeper).memory

state() {
	vms list --json | python3 -c '
import json, sys
print(*[m["state"] for m in json.load(sys.stdin)["machines"] if m["name"] == "sleeper"])'
}

# A program that counts in memory, with a file on the machine's disk open: its number once more than it was.
counter() {
	in_guest sleeper 'kill -USR1 $(cat /tmp/counter.pid) && sleep 1 && tail -n 1 counted'
}

begins() {
	rm -rf "$HERE"
	as_user mkdir -p "$HERE/code" "$HERE/data" "$PROFILES"
	as_user sh -c 'echo one >"$1/code/one"; echo data >"$1/data/file"' sh "$HERE"
	as_user tee "$PROFILES/sleeper.profile" >/dev/null <<-END
		[profile]
		inherits=ci
		[machine]
		memory=512MiB
		cpus=1
		start=boot
		[network]
		forward=18641:8641
		[share:code]
		source=$HERE/code
		target=~/code
		mode=review
		[share:data]
		source=$HERE/data
		target=~/data
		mode=rw
	END
	vms start sleeper
	in_guest sleeper 'cat >counter.pl <<-"END"
		$| = 1; my $n = 41; open my $f, ">", "counted"; select $f; $| = 1;
		open my $p, ">", "/tmp/counter.pid"; print $p $$; close $p;
		$SIG{USR1} = sub { $n++; print $f "$n $$\n" }; sleep 1 while 1;
	END
	setsid perl counter.pl </dev/null >/dev/null 2>&1 &
	sleep 2; echo changed >>code/one; echo guest >data/made'
	contains "$(counter)" '^42 '
}

names_holders() {
	in_guest sleeper 'cd data && exec setsid sleep 3333 </dev/null >/dev/null 2>&1 & sleep 1'
	status 4 vms suspend sleeper 2>"$T/err"
	contains "$(cat "$T/err")" 'in /home/dev/data: sleep \([0-9]+\)'
	eq "$(state)" running
	[ ! -e "$STATE/sleeper/suspended" ] || fail "a note of it"
	eq "$(in_guest sleeper 'cat data/file; pkill -x sleep; true')" data
}

suspends() {
	vms suspend sleeper
	eq "$(state)" suspended
	eq "$(domain_state sleeper)" "shut off"
	eq "$(stat -c %a:%U "$MEMORY")" 600:root
	eq "$(keeper_pids sleeper)" "" keepers
	contains "$(vms list --disk)" '^memory +sleeper '
	contains "$(vms status sleeper)" 'unapplied +changes in shares'
	vms suspend sleeper
}

refuses() {
	local before
	before=$(stat -c %Y:%s "$MEMORY" "$POOL/$(object sleeper).qcow2")
	status 4 vms start --boot sleeper 2>"$T/err"
	contains "$(cat "$T/err")" 'vms stop --force sleeper'
	status 4 vms start --share "$HERE" sleeper
	status 4 vms snapshot sleeper 2>"$T/err"
	contains "$(cat "$T/err")" 'vms resume sleeper'
	status 4 vms revert --yes sleeper
	status 4 vms recreate --yes sleeper
	status 4 vms clone sleeper sleeper2
	status 4 vms export sleeper "$TEST_HOME/sleeper.vms"
	status 4 vms stop sleeper 2>"$T/err"
	contains "$(cat "$T/err")" 'stop --force'
	eq "$(vms doctor --repair --yes 2>&1 | grep -c "$(object sleeper)")" 0 "what a repair finds"
	eq "$(stat -c %Y:%s "$MEMORY" "$POOL/$(object sleeper).qcow2")" "$before" "memory and disk"
	eq "$(state)" suspended
}

# Its profile has changed meanwhile, and the host's directories; time went by.
goes_on() {
	local off
	sleep 20
	as_user sed -i 's/^memory=.*/memory=600MiB/' "$PROFILES/sleeper.profile"
	as_user sh -c 'echo two >"$1/code/two"; echo later >"$1/data/later"' sh "$HERE"
	# by being used
	off=$(($(in_guest sleeper 'date +%s' 2>"$T/err") - $(date +%s)))
	cat "$T/err"
	[ "${off#-}" -le 5 ] || fail "its clock is $off s off"
	contains "$(cat "$T/err")" 'memory.*applies at the next start'
	eq "$(state)" running
	[ ! -e "$MEMORY" ] || fail "its memory is still there"
	contains "$(counter)" '^43 '
	eq "$(in_guest sleeper 'cat code/one code/two data/file data/made data/later; findmnt -n -o FSTYPE ~/code; findmnt -n -o FSTYPE ~/data')" \
		$'one\nchanged\ntwo\ndata\nguest\nlater\noverlay\nvirtiofs'
	in_guest sleeper 'echo again >data/again'
	eq "$(cat "$HERE/data/again" "$HERE/code/one")" $'again\none'
	contains "$(vms diff --stat sleeper code)" one
	contains "$(vms forward list sleeper)" '18641.*(works|on|listens|ready|8641)'
	lacks "$(in_guest sleeper 'sudo dmesg')" 'EXT4-fs error|corrupt'
	as_user sed -i 's/^memory=.*/memory=512MiB/' "$PROFILES/sleeper.profile"
}

in_memory() {
	vms suspend --memory sleeper
	eq "$(domain_state sleeper)" paused
	contains "$(vms status --json sleeper)" '"paused" *: *"suspended"'
	[ ! -e "$MEMORY" ] || fail "it has a file"
	status 4 vms suspend sleeper
	sleep 8
	vms resume sleeper
	local off=$(($(in_guest sleeper 'date +%s') - $(date +%s)))
	[ "${off#-}" -le 5 ] || fail "its clock is $off s off"
	contains "$(counter)" '^[0-9]+ '
	eq "$(in_guest sleeper 'cat data/file')" data
	# paused by somebody else: that is not ours to undo
	root_virsh suspend "$(object sleeper)" >/dev/null
	status 4 vms resume sleeper 2>"$T/err"
	contains "$(cat "$T/err")" 'vms-guard'
	root_virsh resume "$(object sleeper)" >/dev/null
}

# killed_at VERB POINT COMMAND...
killed_at() {
	local fault="$1:$2:kill" have=0
	shift 2
	SANDBOX_FAULT=$fault vms "$@" || have=$?
	[ "$have" -eq 137 ] || fail "$* with SANDBOX_FAULT=$fault ended with $have, not by the fault"
}

# What the machine knows is on its disk, and what its kernel has of the disk fits that.
sound() {
	in_guest sleeper 'sync; echo 3 | sudo tee /proc/sys/vm/drop_caches >/dev/null; [ ! -e sums ] || sha256sum --quiet -c sums
		head -c 2000000 /dev/urandom >blob.$(date +%s%N); find . -maxdepth 1 -name "blob.*" | xargs sha256sum >sums; cat data/file'
	lacks "$(in_guest sleeper 'sudo dmesg')" 'EXT4-fs error|corrupt'
}

# Restored, not running yet, its memory still there: the processors have not run.
killed_when_restored() {
	killed_at resume restore:after resume sleeper
	[ -e "$MEMORY" ] || fail "its memory is gone, and it does not run"
	eq "$(domain_state sleeper)" paused
	status 4 vms snapshot sleeper
	consistent
}

# Whatever it was killed at, the counter is one more than it was: nothing was lost, and nothing happened twice.
killed_while_resuming() {
	local before
	before=$(counter)
	vms suspend sleeper
	killed_at resume "$1" resume sleeper
	consistent
	vms start sleeper
	eq "$(counter | cut -d' ' -f1)" $((${before% *} + 1)) "the counter after $before"
	sound
	[ ! -e "$MEMORY" ] || fail "its memory is still there"
}

consistent() {
	contains "$(state)" 'suspended|running|paused'
	# the memory is there, or the processors may run: never both
	if [ -e "$MEMORY" ]; then
		lacks "$(domain_state sleeper)" running
	fi
}

killed_while_suspending() {
	local before
	before=$(counter)
	killed_at suspend "$1" suspend sleeper
	consistent
	vms start sleeper
	eq "$(counter | cut -d' ' -f1)" $((${before% *} + 1)) "the counter after $before"
	eq "$(in_guest sleeper 'cat data/file')" data
	sound
	[ ! -e "$MEMORY" ] || fail "its memory is still there"
	[ ! -e "$STATE/sleeper/suspended" ] || fail "a note of it"
}

failed_while_suspending() {
	local have=0
	SANDBOX_FAULT=suspend:$1:fail vms suspend sleeper || have=$?
	eq "$have" 1
	eq "$(state)" running
	eq "$(in_guest sleeper 'cat data/file code/two')" $'data\ntwo'
	[ ! -e "$MEMORY" ] || fail "memory of it"
	[ ! -e "$STATE/sleeper/suspended" ] || fail "a note of it"
}

# Started beside us, so that its disk is another: refused, or void, and never restored.
behind_our_back() {
	vms suspend sleeper
	sleep 1
	root_virsh net-start "$(object sleeper)" >/dev/null
	root_virsh start "$(object sleeper)" >/dev/null
	sleep 45
	root_virsh destroy "$(object sleeper)" >/dev/null
	eq "$(state)" suspended
	status 1 vms start sleeper 2>"$T/err"
	contains "$(cat "$T/err")" 'disk was written to since'
	[ -e "$MEMORY" ] || fail "its memory is gone"
	eq "$(domain_state sleeper)" "shut off"
}

# What libvirt has begun to write and not finished is no memory.
not_whole() {
	vms suspend sleeper
	printf LibvirtQemudPart | dd of="$MEMORY" conv=notrunc status=none
	status 1 vms resume sleeper 2>"$T/err"
	contains "$(cat "$T/err")" 'cannot go on from its memory'
	contains "$(cat "$T/err")" 'vms stop --force sleeper'
	eq "$(state)" suspended
}

boots_fresh() {
	vms stop --force sleeper
	eq "$(state)" stopped
	[ ! -e "$MEMORY" ] || fail "its memory is still there"
	vms start sleeper
	eq "$(in_guest sleeper 'pgrep -f "perl counter.p[l]"; cat data/file')" data
	eq "$(in_guest sleeper 'tail -n 1 counted | cut -d" " -f1 >/dev/null; sudo dmesg | grep -c "EXT4-fs error"; true')" 0 "errors"
}

disk_is_sound() {
	vms stop --force --timeout 20s sleeper
	qemu-img check -q "$POOL/$(object sleeper).qcow2" || fail "its disk is damaged"
	vms start sleeper
}

goes() {
	[ "$(state)" = suspended ] || vms suspend sleeper
	vms destroy --yes --discard-changes sleeper
	nothing_remains sleeper
	lacks "$(root_virsh vol-list --pool vms)" "$(object sleeper)"
}

points() {
	vms help --steps | awk -v verb="$1" '$1 == verb { print $2 ":before"; print $2 ":after" }'
}

t "a machine with a program that counts, two shares and a port" begins
passed || finish
t "a process in a share is named, and nothing is done" names_holders
t "suspended: off, its memory a file of root's, counted and listed" suspends
passed || finish
t "while it is suspended nothing boots it or touches its disk" refuses
t "a resume killed between restore and removal: it has not run" killed_when_restored
t "goes on when it is used: program, clock, shares, changes, port" goes_on
if full; then
	t "paused in memory only, and by whom" in_memory
	for point in $(points resume) run:between; do
		t "resume killed at $point, then start" killed_while_resuming "$point"
	done
	for point in $(points suspend) memory:between; do
		t "suspend killed at $point, then start" killed_while_suspending "$point"
	done
	for point in $(points suspend | grep -E '^(unmount|detach|keeper|pause):|memory:before') memory:between; do
		t "suspend fails at $point: it runs on with all that it had" failed_while_suspending "$point"
	done
	t "its disk is sound" disk_is_sound
	t "started beside us: its memory does not meet that disk" behind_our_back
	t "stop --force throws the memory away; it boots" boots_fresh
	t "memory that is not whole" not_whole
	t "stop --force, and it boots again" boots_fresh
fi
t "destroyed while it is suspended: nothing is left" goes
rm -rf "$HERE" "$PROFILES/sleeper.profile"
finish
