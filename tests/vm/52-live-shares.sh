#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shares that come and go while the machine runs: plugged, mounted, watched, reviewed like those of a profile; gone when removed, or when
# their time is over, whatever the machine's root does. The judge of "gone" is libvirt and the host's process table.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

need_image
vms destroy --yes --if-exists live >/dev/null 2>&1
HERE=$TEST_HOME/live
rm -rf "$HERE"
as_user mkdir -p "$HERE/code" "$HERE/data" "$HERE/timed"

live_xml() {
	root_virsh dumpxml "$(object live)"
}

# nothing_of TAG: no device, no metadata, no door, no helper, nothing in the profile
nothing_of() {
	lacks "$(live_xml)" "dir='$1'|name=[\"']$1[\"']"
	lacks "$(root_virsh dumpxml --inactive "$(object live)")" "dir='$1'|name=[\"']$1[\"']"
	[ ! -e "$STATE/live/shares/$1" ] || fail "its door is there"
	lacks "$(ps -eo args)" "virtiofsd.*/live/shares/$1"
	lacks "$(cat "$PROFILES/live.profile")" "share:$1\]"
}

state_of() {
	vms share list live --json | python3 -c "
import json, sys
print(*[s['state'] for s in json.load(sys.stdin)['shares'] if s['name'] == '$1'])"
}

# until_guest COMMAND: within ten seconds
until_guest() {
	for _ in $(seq 10); do
		in_guest live "$1" >/dev/null 2>&1 && return
		sleep 1
	done
	fail "not within ten seconds: $1"
}

starts() {
	vms create live --profile work
	vms start live
	root_virsh dumpxml --inactive "$(object live)" >"$T/before.xml"
	cp "$PROFILES/live.profile" "$T/before.profile"
}

adds_for_review() {
	as_user sh -c 'echo one >"$1/one"; echo two >"$1/two"' sh "$HERE/code"
	vms share add live "$HERE/code"
	eq "$(state_of code)" mounted
	eq "$(in_guest live 'findmnt -n -o SOURCE,FSTYPE ~/code | tr -s " "; cat code/one')" $'code overlay\none'
	contains "$(in_guest live 'grep -F " /run/vms/lower/code " /proc/self/mounts')" '^code /run/vms/lower/code virtiofs ro,nosuid,nodev'
	contains "$(cat "$PROFILES/live.profile")" '^\[share:code\]$'
	contains "$(vms status live)" "code: $HERE/code -> /home/dev/code \(review\)"
	lacks "$(vms status live)" 'changes '
	# what the host does is seen, as for a share that was there from the start
	in_guest live 'ls code; cat code/two' >/dev/null
	as_user sh -c 'echo later >"$1/later"; echo other >"$1/new" && mv "$1/new" "$1/two"' sh "$HERE/code"
	until_guest 'grep -q later code/later && grep -q other code/two'
}

reviews() {
	in_guest live 'echo guest >code/made; echo more >>code/one'
	eq "$(cat "$HERE/code/one")" one "the host's file"
	contains "$(vms diff live --stat code)" 'made'
	status 4 vms share remove live code 2>"$T/err"
	contains "$(cat "$T/err")" '2 changes that were not applied'
	eq "$(state_of code)" mounted
	vms apply live code
	eq "$(cat "$HERE/code/made" "$HERE/code/one")" $'guest\none\nmore'
}

names_who_holds() {
	in_guest live 'cd code && exec sleep 3333 >/dev/null 2>&1 & sleep 1'
	status 4 vms share remove live "$HERE/code" 2>"$T/err"
	contains "$(cat "$T/err")" 'sleep \([0-9]+\)'
	eq "$(state_of code)" mounted
	until_guest 'cat code/one'
	in_guest live 'pkill -x sleep'
}

removes() {
	vms share remove live code
	nothing_of code
	eq "$(in_guest live 'grep -c code /proc/self/mounts; sudo ls /var/lib/vms/shares')" 0
	eq "$(root_virsh dumpxml --inactive "$(object live)" | grep -v '<address\|<alias' | grep -c .)" \
		"$(grep -v '<address\|<alias' "$T/before.xml" | grep -c .)" "lines of the definition"
	eq "$(cat "$HERE/code/one")" $'one\nmore' "the host's file"
}

failure_leaves_nothing() {
	local step
	for step in $(printf '%s\n' record door metadata tell device mounts define time | sample 4); do
		SANDBOX_FAULT=share-add:$step:after:fail status 1 vms share add live "$HERE/code"
		nothing_of code
		[ ! -e "$STATE/live/review/code.manifest" ] || fail "a record is there after $step"
		eq "$(in_guest live 'grep -c code /proc/self/mounts; true')" 0 "mounts after $step"
	done
	# a machine that cannot mount it
	in_guest live 'sudo rm -rf code; echo "a file" >code'
	status 1 vms share add live "$HERE/code" 2>"$T/err"
	contains "$(cat "$T/err")" 'sharing with live: .*code'
	nothing_of code
	in_guest live 'rm code'
}

refuses() {
	local dir
	for dir in "$TEST_HOME" "$TEST_HOME/.ssh" "$STATE/live" "$HERE/none" /etc "$TEST_HOME/vms/live/x"; do
		! vms share add live "$dir" 2>"$T/err" || fail "$dir is shared"
	done
	status 2 vms share add live "$TEST_HOME"
	status 2 vms share add live "$HERE/code:/etc"
	status 2 vms share remove live shared 2>"$T/err"
	contains "$(cat "$T/err")" 'inherits'
	status 3 vms share remove live nothing
	eq "$(vms share list live --json | grep -c '"source"')" 1 "shares"
}

# As root in the machine, on a share that it may write to.
hostile_root() {
	vms share add live "$HERE/data,mode=rw"
	eq "$(in_guest live 'cd data && sudo sh -c "echo x >f; chmod 4755 f; chown 0:0 f; chmod 6755 f; mknod c c 1 3; mknod b b 8 0
		setfattr -n user.x -v y f; ln -s /etc/shadow link; ln -s ../../../../../../etc up; cmp -s link /etc/shadow && echo own" 2>/dev/null')" own "what a link leads to"
	eq "$(find "$HERE/data" -user 0 -o -perm /6000 -o -type b -o -type c)" "" "root's, setuid or devices"
	eq "$(getfattr -R -P -m - -d "$HERE/data" 2>/dev/null)" "" "attributes"
	# the helper in front of virtiofsd is the same as for a share of the profile
	contains "$(live_xml)" "<binary path='$VMS_TESTS_PREFIX/sbin/vms-virtiofsd' xattr='off'>"
}

# It says that it is not mounted, and holds it in a place of its own: the device goes all the same.
lies_about_the_mount() {
	in_guest live 'sudo mkdir -p /run/mine && sudo mount -t virtiofs data /run/mine; sudo umount ~/data; sudo sh -c "exec 3</run/mine/f; sleep 4444" >/dev/null 2>&1 &
		sleep 1'
	eq "$(state_of data)" not-mounted
	vms share remove live data --force
	nothing_of data
	until_guest '! timeout 3 cat /run/mine/f'
	# a machine whose mount does nothing and says that all went well
	in_guest live 'sudo mv /usr/bin/mount /usr/bin/mount.real; printf "#!/bin/sh\nexit 0\n" | sudo tee /usr/bin/mount >/dev/null; sudo chmod 755 /usr/bin/mount'
	status 1 vms share add live "$HERE/data,mode=ro" 2>"$T/err"
	contains "$(cat "$T/err")" 'mount table does not have it'
	nothing_of data
	in_guest live 'sudo mv /usr/bin/mount.real /usr/bin/mount'
}

# Its kernel has nobody who would let go of a device: said so, and the share stays visible until the machine is stopped.
refuses_to_let_go() {
	vms share add live "$HERE/data,mode=rw"
	in_guest live 'sudo sh -c "for s in /sys/bus/pci_express/drivers/pciehp/*:pcie*; do echo \${s##*/} >/sys/bus/pci_express/drivers/pciehp/unbind; done" 2>/dev/null
		sudo mv /usr/bin/umount /usr/bin/umount.real; printf "#!/bin/sh\nexit 0\n" | sudo tee /usr/bin/umount >/dev/null; sudo chmod 755 /usr/bin/umount'
	if vms share remove live data 2>"$T/err"; then
		nothing_of data
	else
		contains "$(cat "$T/err")" 'does not let go|unmounting it'
		contains "$(vms share list live)" "data .*$HERE/data"
		contains "$(vms status live)" 'data: '
	fi
	in_guest live 'sudo mv /usr/bin/umount.real /usr/bin/umount'
}

ends_with_its_time() {
	status 2 vms share add live "$HERE/timed" --for 8d
	vms share add live "$HERE/timed,mode=rw" --for 15s
	lacks "$(cat "$PROFILES/live.profile")" 'share:timed'
	contains "$(vms share list live)" 'timed .* s  '
	in_guest live 'cd timed && exec sleep 5555 >/dev/null 2>&1 & sleep 1'
	for _ in $(seq 60); do
		live_xml | grep -q "dir='timed'" || break
		sleep 1
	done
	sleep 1
	nothing_of timed
	lacks "$(vms share list live)" 'timed'
}

changes_outlast_the_share() {
	as_user mkdir "$HERE/short"
	vms share add live "$HERE/short" --for 20s
	in_guest live 'echo guest >short/made'
	for _ in $(seq 60); do
		live_xml | grep -q "dir='short'" || break
		sleep 1
	done
	# its device goes first, and the machine's metadata after it
	for _ in $(seq 20); do
		vms share list live | grep -q short || break
		sleep 0.5
	done
	lacks "$(vms share list live)" 'short'
	contains "$(vms diff --stat live)" 'added .* made '
	status 4 vms discard --yes live short 2>"$T/err"
	contains "$(cat "$T/err")" 'share remove live short --discard-changes'
	vms apply live short
	eq "$(cat "$HERE/short/made")" guest
	vms share remove live short --discard-changes
	in_guest live 'sudo test ! -e /var/lib/vms/shares/short/upper'
	[ ! -e "$STATE/live/review/short.manifest" ] || fail "its record is still there"
}

comes_back_after_a_reboot() {
	vms share add live "$HERE/code"
	vms share add live "$HERE/timed,mode=ro" --for 1h
	in_guest live 'sudo systemctl reboot -f' || true
	sleep 5
	for _ in $(seq 90); do
		[ "$(state_of timed) $(state_of code)" != "mounted mounted" ] || break
		lacks "$(vms status live | grep -E 'share +timed' | grep -v 'not mounted' | grep 'ssh .*ready')" .
		sleep 2
	done
	eq "$(state_of timed) $(state_of code)" "mounted mounted"
	eq "$(in_guest live 'cat code/one')" $'one\nmore'
}

restart_has_the_profile_s() {
	vms restart live
	eq "$(state_of code)" mounted
	lacks "$(vms share list live)" 'timed'
	nothing_of timed
}

has_room_for_eight() {
	local i
	for i in 1 2 3 4 5 6 7 8 9; do
		as_user mkdir "$HERE/m$i"
	done
	for i in 1 2 3 4 5 6 7 8; do
		vms share add live "$HERE/m$i,mode=ro" --for 1h
	done
	status 2 vms share add live "$HERE/m9,mode=ro" --for 1h 2>"$T/err"
	contains "$(cat "$T/err")" 'room for 8 shares'
	nothing_of m9
	vms share remove live m3
	vms share add live "$HERE/m9,mode=ro" --for 1h
	eq "$(in_guest live 'ls -d m[0-9] | wc -l; grep -c " /home/dev/m[0-9] virtiofs ro" /proc/self/mounts')" $'9\n8'
}

t "a machine starts" starts
passed || { echo "1..1" && exit 1; }
t "a share is added for review: mounted, watched, in the profile" adds_for_review
t "what the machine changed there is shown, applied, and not lost by removing it" reviews
t "who works in it is named, and nothing is done" names_who_holds
t "it is removed: no device, no helper, no door, no layer" removes
t "a share that fails halfway leaves nothing" failure_leaves_nothing
t "what a profile may not share is refused here, too" refuses
t "root in the machine makes nothing of root's, setuid, a device in it" hostile_root
t "a machine that lies about its mounts does not keep it" lies_about_the_mount
t "it ends with its time, also for those who work in it" ends_with_its_time
t "what was changed in one that has ended is still shown and applied" changes_outlast_the_share
if full; then
	t "after a reboot from within it is mounted again" comes_back_after_a_reboot
	t "a restart has what the profile has" restart_has_the_profile_s
	t "eight more find room, a ninth is refused" has_room_for_eight
fi
t "a machine that refuses to let go of the device is told of" refuses_to_let_go
vms destroy --yes live >/dev/null 2>&1
rm -rf "$HERE"
finish
