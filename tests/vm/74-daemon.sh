#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvirtd, or the machine's QEMU, is killed while vms stands before or after any step of what changes a machine's time. Whatever vms then
# says: the machine starts, every snapshot that was reported is there and equal, its files are whole, nothing is orphaned. With --full at
# each step of the program's own tables; otherwise at two. (65-merge kills QEMU where it matters most.)
# alone, last: it kills the host's libvirtd.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "${VMS_TESTS_OWN_DAEMON:-no}" != yes ]; then
	skip "libvirtd and QEMU die at any step" "the libvirtd here was not started by the tests"
	finish
fi

need_image
FILE=$TEST_HOME/time.vms
HERE=$TEST_HOME/time
POOL=/var/lib/libvirt/images/vms
vms destroy --yes --if-exists time time2 timewarm >/dev/null 2>&1

begins() {
	rm -rf "$HERE"
	as_user mkdir -p "$HERE" "$PROFILES"
	as_user sh -c 'echo one >"$1/one"' sh "$HERE"
	as_user tee "$PROFILES/time.profile" >/dev/null <<-END
		[profile]
		inherits=ci
		[machine]
		memory=512MiB
		cpus=1
		start=boot
		[share:code]
		source=$HERE
		target=~/code
		mode=review
	END
	as_user tee "$PROFILES/timewarm.profile" >/dev/null <<<$'[profile]\ninherits=ci\n[machine]\nmemory=512MiB\ncpus=1\nstart=warm'
	vms start time
	in_guest time 'mkdir tree && for i in $(seq 60); do head -c 20000 /dev/urandom >tree/$i; done; find tree -type f | xargs sha256sum >sums; sync'
	vms snapshot time first
	in_guest time 'for i in $(seq 20); do head -c 20000 /dev/urandom >tree/later$i; done; sync; echo mine >>code/one'
}

# brings what the verb needs to where it begins
ready_for() {
	[ "$(domain_state time)" = running ] || vms start time
	case $1 in
	snapshot-delete) vms snapshot time new ;;
	resume) vms suspend time ;;
	import) [ -e "$FILE" ] || vms export time "$FILE" ;;
	esac
}

# the command of a verb, in the background; its words in $T/said
begin() {
	local words
	case $1 in
	snapshot-create) words="snapshot time new" ;;
	snapshot-delete) words="snapshot delete time new" ;;
	revert) words="revert --yes --force --discard --discard-changes time first" ;;
	suspend) words="suspend time" ;;
	resume) words="resume time" ;;
	clone) words="clone time time2" ;;
	export) words="export time $TEST_HOME/again.vms" ;;
	import) words="import --name time2 $FILE" ;;
	warm-*) words="start timewarm" ;;
	esac
	# shellcheck disable=SC2086 # words
	SANDBOX_FAULT=$1:$2:stop vms $words >"$T/said" 2>&1 &
	job=$!
}

# The process that stopped itself; nothing when it ended without having come to its point.
standing() {
	local pid
	for _ in $(seq 3000); do
		for pid in $(pgrep -u "$TEST_UID" -x vms); do
			if grep -q '^State:.T' "/proc/$pid/status" 2>/dev/null; then
				echo "$pid"
				return
			fi
		done
		kill -0 "$job" 2>/dev/null || return 0
		sleep 0.1
	done
}

kill_daemon() {
	local pid
	pid=$(cat /run/libvirtd.pid)
	kill -KILL "$pid"
	for _ in $(seq 50); do
		[ -e "/proc/$pid" ] || break
		sleep 0.1
	done
	"$VMS_TESTS_TOP/quickstart.sh" --host-only >"$T/quickstart" 2>&1 || fail "$(cat "$T/quickstart")"
}

# dies WHO VERB POINT
dies() {
	local who=$1 verb=$2 point=$3 job pid qemu='' have=0
	ready_for "$verb"
	begin "$verb" "$point"
	pid=$(standing)
	[ -n "$pid" ] || fail "vms did not come to $verb:$point: $(cat "$T/said")"
	if [ "$who" = libvirtd ]; then
		kill_daemon
	else
		qemu=$(qemu_pid time) || qemu=$(qemu_pid timewarm) || true
		[ -z "$qemu" ] || kill -KILL "$qemu"
	fi
	kill -CONT "$pid"
	wait "$job" || have=$?
	echo "status $have: $(tail -n 3 "$T/said")"
	[ "$have" -le 4 ] || [ "$have" -eq 69 ] || fail "it ended with $have"
	[ "$have" -eq 0 ] || grep -q ': .' "$T/said" || fail "it failed without a word"
	is_whole "$verb"
}

is_whole() {
	vms list --json >/dev/null
	vms doctor --repair --yes
	vms start time
	in_guest time 'sha256sum --quiet -c sums && tail -n 1 code/one'
	contains "$(vms snapshot list time)" '(^| )first '
	! vms snapshot list time | grep -qE '(^| )new ' || vms snapshot delete time new
	lacks "$(in_guest time 'sudo dmesg')" 'EXT4-fs error|corrupt'
	[ "$1" = import ] || rm -f "$FILE"
	rm -f "$TEST_HOME/again.vms"
	vms destroy --yes --if-exists time2
	nothing_remains time2
	vms image remove imported >/dev/null 2>&1 || true
	case $1 in
	warm-*)
		vms start timewarm
		eq "$(in_guest timewarm hostname)" timewarm
		vms destroy --yes --keep-profile timewarm
		nothing_remains timewarm
		;;
	esac
	eq "$(root_virsh list --all --name | grep -c '\.merge$')" 0 "machines that merge"
}

goes_back() {
	local layer
	vms revert --yes --force --discard --discard-changes time first
	vms start time
	in_guest time 'sha256sum --quiet -c sums; ls tree/later1 2>/dev/null' >"$T/out" || true
	eq "$(cat "$T/out")" ""
	vms stop --force --timeout 20s time
	for layer in $(root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -E "^$(object time)(\.[0-9]+)?\.qcow2$"); do
		qemu-img check -q "$POOL/$layer" || fail "$layer is damaged"
	done
	vms destroy --yes time
	nothing_remains time
}

points() {
	local verb
	for verb in snapshot-create snapshot-delete revert suspend resume clone export import warm-capture warm-start; do
		vms help --steps | awk -v verb="$verb" '$1 == verb { print verb, $2 ":before"; last = $2 ":after" } END { print verb, last }'
	done
}

t "a machine with files, a share and a snapshot" begins
passed || finish
if full; then
	libvirtd=$(points)
	qemu=$(points | grep -E '^(snapshot|suspend|resume|clone|export|warm)')
else
	libvirtd=$'snapshot-delete merge:after\nexport flatten:before' qemu=
fi
while read -r verb point; do
	t "libvirtd is killed at $verb:$point" dies libvirtd "$verb" "$point"
done <<<"$libvirtd"
while read -r verb point; do
	[ -z "$verb" ] || t "QEMU is killed at $verb:$point" dies QEMU "$verb" "$point"
done <<<"$qemu"
t "back to the snapshot: its files, and nothing of later; the disks are sound" goes_back
vms destroy --yes --if-exists time time2 timewarm >/dev/null 2>&1
rm -rf "$HERE" "$FILE" "$TEST_HOME/again.vms" "$PROFILES"/time*.profile
finish
