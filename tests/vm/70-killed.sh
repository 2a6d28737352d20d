#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 of vms while it changes the time of a machine that runs: the machine goes on with what it had, each snapshot holds what it held,
# and the next command succeeds. In every run one step of each verb that works on its disk, and one of one of those that work on its
# memory, all of which 63-warm and 64-suspend have with --full. (70-crash has machines that are off.)
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
MACHINE=killed
# shellcheck source=tests/vm/crash-lib.sh
. "$(dirname "$0")/crash-lib.sh"

need_image
vms destroy --yes --if-exists killed killedwarm victim >/dev/null 2>&1

begins() {
	as_user mkdir -p "$PROFILES"
	as_user tee "$PROFILES/killed.profile" >/dev/null <<<$'[profile]\ninherits=ci\n[machine]\nmemory=512MiB\ncpus=1\nstart=boot'
	as_user tee "$PROFILES/killedwarm.profile" >/dev/null <<<$'[profile]\ninherits=ci\n[machine]\nmemory=512MiB\ncpus=1\nstart=warm'
	vms start killed
	make_place
	mark 17
	vms snapshot killed s1
	mark 51
	has 51 s1=17
}

# It goes on where it was: the same boot, what a program has in memory, and the disk.
suspend_killed() {
	local before verb=$1 point=$2
	before=$(in_guest killed 'echo "$$ $RANDOM" >/dev/shm/word; cat /dev/shm/word /proc/sys/kernel/random/boot_id')
	mark 51
	[ "$verb" = suspend ] || vms suspend killed
	killed_at "$verb" "$point" "$verb" killed
	consistent killed
	vms start killed
	eq "$(in_guest killed 'cat /dev/shm/word /proc/sys/kernel/random/boot_id')" "$before" "what it has in memory"
	[ ! -e "$POOL/$(object killed).memory" ] || fail "its memory is still there"
	as_it_was 51
}

kept() {
	root_virsh vol-list --pool vms | awk '{ print $1 }' | grep -c "^warm\.$(object killedwarm)\..*json$"
}

# A boot on an emulated processor of a busy host may get its clock wrong, and is not kept then.
warm_killed() {
	local have
	for _ in 1 2 3 4; do
		have=0
		SANDBOX_FAULT=$1:$2:kill vms start killedwarm >"$T/said" 2>&1 || have=$?
		cat "$T/said"
		grep -q 'its clock does not run right' "$T/said" || break
		vms destroy --yes --keep-profile killedwarm
	done
	eq "$have" 137
	consistent killedwarm
	vms start killedwarm
	eq "$(in_guest killedwarm hostname)" killedwarm
	lacks "$(in_guest killedwarm 'sudo dmesg')" 'EXT4-fs error|corrupt'
	vms doctor --repair --yes >/dev/null
	[ "$(kept)" -le 1 ] || fail "halves of kept memory"
	vms destroy --yes --keep-profile killedwarm
	nothing_remains killedwarm
	eq "$(kept)" 0 "kept memory"
}

goes() {
	vms start killed
	lacks "$(in_guest killed 'sudo dmesg')" 'EXT4-fs error|corrupt'
	vms stop --force --timeout 20s killed
	sound
	vms destroy --yes killed
	nothing_remains killed
}

t "a machine that runs, and a snapshot" begins
passed || finish
for point in $(points clone | sample 1); do
	t "clone killed at $point, then clone" clone_killed "$point"
done
if full; then
	t "what copies stood on is merged" tidied
fi
for point in $(points snapshot-create | sample 1); do
	t "snapshot killed at $point" snapshot_killed "$point"
done
for point in $({ points snapshot-delete && echo merge:copied; } | sample 1); do
	t "snapshot delete killed at $point" delete_killed "$point"
done
if ! full; then
	verb=$(printf '%s\n' suspend resume warm-capture warm-start | sample 1)
	point=$(points "$verb" | sample 1)
	case $verb in
	warm-*) t "$verb killed at $point: the next start works" warm_killed "$verb" "$point" ;;
	*) t "$verb killed at $point: it goes on" suspend_killed "$verb" "$point" ;;
	esac
fi
for point in $(points revert | sample 1); do
	t "(it runs)" vms start killed
	t "revert killed at $point" revert_killed "$point"
done
t "it boots, its disk is whole, and nothing stays" goes
vms destroy --yes --if-exists killed killedwarm victim >/dev/null 2>&1
rm -f "$PROFILES/killed.profile" "$PROFILES/killedwarm.profile"
finish
