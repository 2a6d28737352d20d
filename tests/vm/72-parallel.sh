#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Starts, stops and destroys of the same machines by many commands at once: each ends with a status that it may have, and at the end
# nothing is left, neither of libvirt's nor of the kernel's nor of ours.
# alone, last: it compares what the whole kernel has before and after.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

if full; then
	machines=(one two three) actions=40
else
	machines=(one two) actions=12
fi
AT_ONCE=6

# The names of all taps and bridges that the kernel has, or has rules for: of everybody.
kernel() {
	{
		ip -o link show | sed -nE 's/^[0-9]+: ((vms|vnet)[^:@]*).*/\1/p'
		{
			iptables-save
			ebtables-save
			nft list ruleset
		} 2>/dev/null | grep -oE '(vnet[0-9]+|vms[0-9a-f]{10})'
	} | sort -u
}

# Those that belong to a machine or network that runs, of whomever.
in_use() {
	local name
	{
		for name in $(root_virsh list --name); do
			root_virsh domiflist "$name" 2>/dev/null | awk '/^ *vnet/ { print $1 }'
		done
		for name in $(root_virsh net-list --name); do
			root_virsh net-dumpxml "$name" 2>/dev/null | sed -n "s/.*<bridge name='\([^']*\)'.*/\1/p"
		done
	} | sort -u
}

# Names that nobody has, at each of several looks: others on this host come and go.
orphans() {
	local look
	kernel >"$T/orphans"
	for look in 1 2 3 4 5 6 7 8 9 10; do
		kernel | comm -23 - <(in_use) | comm -12 - "$T/orphans" >"$T/still"
		mv "$T/still" "$T/orphans"
		[ -s "$T/orphans" ] || return 0
		sleep "0.$look"
	done
	cat "$T/orphans"
}

processes() {
	local name
	for name in "${machines[@]}"; do
		pgrep -af "dnsmasq.*/$(object "$name")\.conf|guest=$(object "$name"),|virtiofsd.*/$(object "$name")|sandbox-keeper.* $(object "$name") "
	done
}

running() {
	root_virsh list --name | grep "^vms-$TEST_UID-" || true
}

# act NUMBER: drawn by the seed. A start is given no time to reach ssh.
act() {
	local name=${machines[$((RANDOM % ${#machines[@]}))]} verb=$((RANDOM % 4)) command=() have=0
	case $verb in
	0 | 1) command=(start --timeout 1s "$name") ;;
	2) command=(stop --force "$name") ;;
	3) command=(destroy --yes --if-exists --keep-profile "$name") ;;
	esac
	vms "${command[@]}" >"$T/act.$1" 2>&1 </dev/null || have=$?
	echo "$have ${command[*]}" >>"$T/statuses"
	case $have in
	0 | 4) ;; # 4: it was in another state by then
	6) [ "$verb" -le 1 ] ;;
	3) [ "$verb" -eq 2 ] ;;
	*)
		sed "s/^/$1: /" "$T/act.$1"
		return 1
		;;
	esac
}

at_once() {
	local i name failed=0
	RANDOM=$VMS_TESTS_SEED
	echo "seed $VMS_TESTS_SEED"
	for ((i = 0; i < actions; i++)); do
		# each draws for itself, in an order that is always the same
		RANDOM=$((VMS_TESTS_SEED + i))
		while [ "$(jobs -pr | wc -l)" -ge "$AT_ONCE" ]; do
			running >>"$T/ran"
			wait -n || failed=$((failed + 1))
		done
		act "$i" &
	done
	running >>"$T/ran"
	for i in $(jobs -p); do
		wait "$i" || failed=$((failed + 1))
	done
	sort "$T/statuses" | uniq -c
	eq "$(wc -l <"$T/statuses")" "$actions" "commands that ended"
	eq "$failed" 0 "commands that failed as none may"
	# something came about
	contains "$(cat "$T/statuses")" '^(0|6) start'
	[ -s "$T/ran" ] || fail "no machine ever ran"
	# before the last destroy, which would hide what these left
	for name in "${machines[@]}"; do
		[ -n "$(domain_state "$name")" ] || nothing_remains "$name"
	done
}

# A machine that all this was done to is an ordinary one.
works_afterwards() {
	vms start "${machines[0]}"
	eq "$(in_guest "${machines[0]}" hostname)" "${machines[0]}"
}

nothing_is_left() {
	local name
	vms destroy --yes --if-exists "${machines[@]}"
	for name in "${machines[@]}"; do
		nothing_remains "$name"
		eq "$(find "$STATE" -mindepth 1 -name "$name*" 2>/dev/null)" "" "locks and other files"
	done
	eq "$(orphans)" "" "taps and bridges, and rules for them, of nobody"
	eq "$(processes)" "" "processes"
	contains "$(vms doctor 2>&1)" 'nothing is left by interrupted'
}

need_image
vms destroy --yes --if-exists one two three >/dev/null 2>&1
as_user mkdir -p "$PROFILES"
for name in "${machines[@]}"; do
	printf '[profile]\ninherits=ci\n[machine]\nmemory=256MiB\ncpus=1\n' | as_user tee "$PROFILES/$name.profile" >/dev/null
done
t "$actions starts, stops and destroys of ${#machines[@]} machines, $AT_ONCE at a time" at_once
t "a machine of these starts as ever" works_afterwards
t "no domain, network, filter, tap, rule, process, lock or file is left" nothing_is_left
finish
