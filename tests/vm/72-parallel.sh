#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Starts, stops and destroys of the same machines by many commands at once: each ends with a status that it may have, and at the end
# nothing is left, neither of libvirt's nor of the kernel's nor of ours.
# alone, last: it compares what the whole kernel has before and after.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

if full; then
	machines=(one two three) actions=40
else
	machines=(one two) actions=12
fi
AT_ONCE=6

# What the kernel has of taps, bridges and rules, and libvirt's processes: of everybody. Counters and handles go.
kernel() {
	ip -o link show | sed -nE 's/^[0-9]+: ((vms|vnet)[^:@]*).*/link \1/p'
	{
		iptables-save
		ebtables-save
	} 2>/dev/null | sed -nE 's/^(:|-A )([A-Za-z-]*(vnet|vms)[^ ]*).*/chain \2/p'
	nft list ruleset 2>/dev/null | grep -oE '(vnet[0-9]+|vms[0-9a-f]{10})' | sed 's/^/rule of /'
	for name in "${machines[@]}"; do
		pgrep -af "dnsmasq.*/$(object "$name")\.conf|guest=$(object "$name"),|virtiofsd.*/$(object "$name")|sandbox-keeper.* $(object "$name") " | sed 's/^/process /'
	done
}

# The taps and bridges of these machines: others on this host may come and go meanwhile.
ours() {
	local name
	for name in "${machines[@]}"; do
		root_virsh net-dumpxml "$(object "$name")" 2>/dev/null | sed -n "s/.*<bridge name='\([^']*\)'.*/\1/p"
		root_virsh domiflist "$(object "$name")" 2>/dev/null | awk '$2 == "network" { print $1 }'
	done
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
	local i failed=0
	RANDOM=$VMS_TESTS_SEED
	echo "seed $VMS_TESTS_SEED"
	for ((i = 0; i < actions; i++)); do
		# each draws for itself, in an order that is always the same
		RANDOM=$((VMS_TESTS_SEED + i))
		while [ "$(jobs -pr | wc -l)" -ge "$AT_ONCE" ]; do
			ours >>"$T/ours"
			wait -n || failed=$((failed + 1))
		done
		act "$i" &
	done
	ours >>"$T/ours"
	for i in $(jobs -p); do
		wait "$i" || failed=$((failed + 1))
	done
	sort "$T/statuses" | uniq -c
	eq "$(wc -l <"$T/statuses")" "$actions" "commands that ended"
	eq "$failed" 0 "commands that failed as none may"
	# something came about
	contains "$(cat "$T/statuses")" '^(0|6) start'
	[ -s "$T/ours" ] || fail "no machine ever had a network"
}

# A machine that all this was done to is an ordinary one.
works_afterwards() {
	vms start "${machines[0]}"
	eq "$(in_guest "${machines[0]}" hostname)" "${machines[0]}"
	ours >>"$T/ours"
}

nothing_is_left() {
	local name link
	vms destroy --yes --if-exists "${machines[@]}"
	for name in "${machines[@]}"; do
		nothing_remains "$name"
		eq "$(find "$STATE" -mindepth 1 -name "$name*" 2>/dev/null)" "" "locks and other files"
	done
	kernel >"$T/after"
	sort -u "$T/ours" >"$T/links"
	while read -r link; do
		# the number of a tap is given again: what is there now may be another machine's
		[[ $link == vms* ]] || root_virsh domiflist "$(root_virsh list --name | head -n 1)" 2>/dev/null | grep -q "^ *$link " && continue
		lacks "$(cat "$T/after")" "(^| |-)$link( |\$)"
	done <"$T/links"
	eq "$(grep '^process ' "$T/after" || true)" "" "processes"
	contains "$(vms doctor 2>&1)" 'nothing is left by interrupted'
	if [ ! -s "$T/before" ]; then
		eq "$(cat "$T/after")" "" "of a kernel that had nothing before"
	fi
}

need_image
vms destroy --yes --if-exists one two three >/dev/null 2>&1
as_user mkdir -p "$PROFILES"
for name in "${machines[@]}"; do
	printf '[profile]\ninherits=ci\n[machine]\nmemory=256MiB\ncpus=1\n' | as_user tee "$PROFILES/$name.profile" >/dev/null
done
kernel >"$T/before"
t "$actions starts, stops and destroys of ${#machines[@]} machines, $AT_ONCE at a time" at_once
t "a machine of these starts as ever" works_afterwards
t "no domain, network, filter, tap, rule, process, lock or file is left" nothing_is_left
finish
