#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each rule of a machine's network filter is needed, and some check sees when it is missing: one layer of the filter is taken
# away, so that the other has to hold alone, then each rule of that other one in turn, while the machine runs. Without --full
# that is done to a sample of the rules.
#
# The guest asks on its own, round by round: without some rules nobody can tell it to. What changes on the host's side judges.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/isolation-lib.sh
. "$VMS_TESTS_TOP/tests/vm/isolation-lib.sh"

guest_asks_for_ever() {
	local where=("${mac[rules]}" "${address[rules]}" "${bridge_mac[rules]}" "${gateway[rules]}")

	python3 -B "$HERE/filter_rules.py" out "${where[@]}" >"$T/out"
	python3 -B "$HERE/filter_rules.py" in "${where[@]}" >"$T/in"
	printf '%s\n' "tcp tcp $PUBLIC 443" "allow tcp $LAN 8080" >"$T/asks"
	cat >"$T/loop" <<-'END'
		while :; do
			ip neigh flush dev eth0
			./probe ask 1 <asks >/dev/null
			./probe frames eth0 <out >/dev/null
		done
	END
	chmod 644 "$T"/{out,in,asks,loop}
	vms cp "$T/out" rules:out
	vms cp "$T/asks" rules:asks
	vms cp "$T/loop" rules:loop
	root_virsh nwfilter-dumpxml "$(object rules)" >"$T/filter.xml"
	in_guest rules "sudo setsid timeout $SECONDS_MAX sh loop >/dev/null 2>&1 </dev/null &"
}

# The host's own table, which holds in any case what a filter lets through to the host, is not what is tried here. Set-up may
# have loaded it anew meanwhile.
host_lets_in() {
	nft list chain inet libsandbox host 2>/dev/null >"$T/chain" || return 0
	grep -q isotest "$T/chain" || nft insert rule inet libsandbox host iifname "${bridge[rules]}" accept comment isotest
}

# What got where in one or two whole rounds, into the file SEEN-$1.
observe() {
	local start=${EPOCHREALTIME/,/.} tries rounds=0

	host_lets_in
	"$T/probe" frames "${bridge[rules]}" <"$T/in" >/dev/null
	ip neigh flush dev "${bridge[rules]}"
	"$T/probe" ask 6 <<<"ssh tcp ${address[rules]} 22" >"$T/ssh"
	# a round that had begun before, and a whole one
	for ((tries = 0; tries < 60 && rounds < 6; tries++)); do
		sleep 0.3
		rounds=$(tcpdump -nn -tt -r "$T/out-rules.pcap" ether proto 0x88b5 2>/dev/null | awk -v start="$start" '$1 > start' | wc -l)
	done
	[ "$rounds" -ge 6 ] || fail "the guest asks no more"
	{
		python3 -B "$HERE/filter_rules.py" heard "$start" "${EPOCHREALTIME/,/.}" "host=$T/host.log" "lan=$T/lan.log" "public=$T/public.log" \
			"lan=$T/lan.pcap" "public=$T/public.pcap" "docker=$T/docker.pcap" "bridge=$T/bridge-rules.pcap" "guest=$T/in-rules.pcap"
		grep -h open "$T/ssh"
		# not the errors that quote a mark, nor what depends on what the kernel remembers of the round before
	} | grep -vE ' $|^[^g][a-z]* rule-in-|^guest rule-[^i]|rule-from22$' | sort -u >"$T/seen-$1"
}

define() {
	python3 -B "$HERE/filter_rules.py" without "$T/filter.xml" "$@" >"$T/mutant.xml"
	root_virsh nwfilter-define "$T/mutant.xml"
}

whole_filter() {
	observe whole
	eq "$(grep -oE 'ok-.*|ssh open|tcp-.*' "$T/seen-whole" | sort -u | tr '\n' ' ')" \
		"ok-allow ok-arp ok-dns-tcp ok-dns-udp ok-ping ok-tcp ok-udp ssh open tcp-$LAN:8080 tcp-$PUBLIC:443 " "what works"
	eq "$(grep -vE 'rule-ok-|ssh open|^(lan|public) tcp-| (tcp|allow)$|^(guest|bridge) ' "$T/seen-whole")" "" "what else got through"
}

# The layer alone: everything works as with both.
layer_alone() {
	define "$1"
	observe "$1"
	eq "$(grep -E 'ok-|ssh open|tcp-' "$T/seen-whole" | comm -23 - "$T/seen-$1")" "" "what works no more"
	printf 'known limits of %s alone: %s\n' "$1" "$(comm -13 "$T/seen-whole" "$T/seen-$1" | tr '\n' ',')"
}

rule_is_needed() {
	local layer=$1 number=$2 changes

	define "$layer" "$number"
	observe mutant
	changes=$(diff "$T/seen-$layer" "$T/seen-mutant" | grep '^[<>]') || true
	[ -n "$changes" ] || fail "nothing shows that it is missing"
	printf '%s\n' "$changes"
}

# flood PORT: "PACKETS CONVERSATIONS", of those that got through all. So that a slow guest has them all at once, too, the kernel keeps one that nobody
# answers for ten minutes meanwhile.
flood() {
	local setting=net.netfilter.nf_conntrack_udp_timeout before
	before=$(sysctl -n "$setting")
	sysctl -q -w "$setting=600"
	vms ssh rules -- sudo ./probe frames eth0 <"$T/flood" >/dev/null || true
	sleep 1
	sysctl -q -w "$setting=$before"
	conntrack -D -p udp -s "${address[rules]}" >/dev/null 2>&1 || true
	tcpdump -nn -r "$T/public.pcap" "udp dst port $1" 2>/dev/null | awk '{ distinct += !packets[$3]++ } END { print NR, distinct + 0 }'
}

# 25: the host keeps a record of every conversation; a guest has a share of them. Each begins twice.
conversations_are_limited() {
	local where=("${mac[rules]}" "${address[rules]}" "${bridge_mac[rules]}" "${gateway[rules]}") some all

	root_virsh nwfilter-define "$T/filter.xml"
	python3 -B "$HERE/filter_rules.py" flood 5000 9 "${where[@]}" >"$T/flood"
	read -ra some < <(flood 9)
	define connections 0
	python3 -B "$HERE/filter_rules.py" flood 5000 11 "${where[@]}" >"$T/flood"
	read -ra all < <(flood 11)
	echo "packets and conversations at once: ${some[*]}, without the limit ${all[*]}"
	[ "${all[0]}" -gt 9900 ] || fail "control: without the limit only ${all[0]} packets of 10000 arrived"
	[ "${all[1]}" -gt 4500 ] || fail "control: this guest is too slow, nothing is shown: ${all[1]} conversations at once without the limit"
	[ "${some[0]}" -gt 2000 ] || fail "only ${some[0]} packets arrived"
	# and a few that are not the flood's
	[ "${some[1]}" -le 4010 ] || fail "${some[1]} conversations at once"
}

restored() {
	root_virsh nwfilter-define "$T/filter.xml"
	observe restored
	eq "$(diff "$T/seen-whole" "$T/seen-restored")" "" "after the rules are back"
	vms destroy --yes rules
	nothing_remains rules
}

open_world rules
machine_profile rules $'mode=nat\nallow=192.168.77.0/24:8080/tcp'
t "a machine starts" starts_machines rules
learn rules
t "(captures around it)" watched rules
t "(the guest asks for ever)" guest_asks_for_ever
t "control: with all rules only what may pass passes" whole_filter
for layer in frames connections; do
	t "the $layer alone: what worked works" layer_alone "$layer"
	[ -s "$T/seen-$layer" ] || continue
	grep '^known' "$T/$number.out" | sed 's/^/# /'
	python3 -B "$HERE/filter_rules.py" list "$T/filter.xml" "$layer" >"$T/rules"
	while read -r rule mark text; do
		case $mark in
		covered) echo "# $layer $rule: $text: not needed while a wider rule stands after it" ;;
		unasked) echo "# $layer $rule: $text: an address of this host that is not the test's" ;;
		limit) echo "# $layer $rule: $text: shown with --full, by a flood" ;;
		esac
	done <"$T/rules"
	while read -r rule mark text; do
		t "without $layer $rule: $text" rule_is_needed "$layer" "$rule"
		! passed || head -n 3 "$T/$number.out" | sed 's/^/#   /'
	done < <(grep -E '^[0-9]+ - ' "$T/rules" | sample 3)
done
if full; then
	t "25: a guest has at most so many conversations at once" conversations_are_limited
fi
t "the rules are put back, and the machine goes" restored
passed || vms destroy --yes --if-exists rules >/dev/null 2>&1 # it asks for ever
finish
