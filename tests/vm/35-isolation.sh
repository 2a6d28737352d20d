#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a guest reaches: the public internet, and nothing else. Hostile root in three machines, and canaries that judge: in
# network namespaces, which stand for the LAN, the internet and other bridges, on the host, and in front of the other guests.
# The numbers are rows of the list of threats.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/isolation-lib.sh
. "$VMS_TESTS_TOP/tests/vm/isolation-lib.sh"

# What no guest may reach, as lines of `probe ask`, each with its row.
closed_places() {
	local name=$1 other=$2 place port

	printf '%s\n' "1-lan tcp $LAN 80" "1-lan-udp udp $LAN 80" "1-lan-ping ping $LAN" "1-next tcp $LAN_NEXT 8080" "1-ssh tcp $LAN 22" "1-dns udp $LAN 53"
	for place in "$LAN_PUBLIC" "$ROUTER"; do
		printf '%s\n' "1-$place tcp $place 80" "1-$place-udp udp $place 53" "1-$place-ping ping $place"
	done
	for place in "${CLOSED[@]}"; do
		printf '%s\n' "2-$place tcp $place 80" "2-$place-udp udp $place 53" "2-$place-ping ping $place"
	done
	printf '%s\n' "3-tcp tcp $METADATA 80" "3-udp udp $METADATA 80" "3-dns udp $METADATA 53" "3-ping ping $METADATA"
	for place in "${gateway[$name]}" "$HOST_LAN" "$HOST_LAN_PUBLIC" "$HOST_PUBLIC" 198.51.100.1 "$HOST_DOCKER" "${gateway[$other]}"; do
		for port in 18080 40022 18082 18083 18085 22; do
			printf '%s\n' "5-$place-$port tcp $place $port" "5-$place-$port-udp udp $place $port"
		done
		echo "5-$place-ping ping $place"
	done
	printf '%s\n' "5-other-dns dns-udp ${gateway[$other]}" "5-lan-dns-udp dns-udp $HOST_LAN" "5-lan-dns-tcp dns-tcp $HOST_LAN"
	printf '%s\n' "6-published tcp $HOST_PUBLIC 8099" "6-published-udp udp $HOST_PUBLIC 8099"
	printf '%s\n' "8-bridge tcp $DOCKER 80" "8-bridge-udp udp $DOCKER 80" "8-bridge-ping ping $DOCKER"
	for port in 22 443 8080; do
		echo "10-ask-tcp-$port tcp ${address[$other]} $port"
	done
	printf '%s\n' "10-ask-udp udp ${address[$other]} 8080" "10-ask-ping ping ${address[$other]}"
}

# `vms start` says it, one line for each.
policy_is_told() {
	contains "$(cat "$T/start-nat")" '^nat: reaches the public internet; no LAN, which here is also [0-9./, ]*198\.51\.100\.64\/26[^;]*; not this host, not other machines, no IPv6'
	contains "$(cat "$T/start-allow")" '^allow: reaches the public internet, only 443/tcp; of other networks 192\.168\.77\.2:8080/tcp; not this host'
	contains "$(cat "$T/start-none")" '^none: reaches nothing, not even DNS; this host reaches its ssh'
	contains "$(vms status allow)" 'reaches +the public internet, only 443/tcp; of other networks 192\.168\.77\.2:8080/tcp'
}

# Whether the capture before the tap has all that the guest was told to send.
all_was_sent() {
	[ -z "$(comm -23 <(cut -d' ' -f1 "$T/frames-$1" | sort -u) <(python3 -B "$HERE/isolation.py" ids "$T/out-$1.pcap" | sort -u))" ]
}

# attacks NAME OTHER: everything at once; what came of it is looked at afterwards
attacks() {
	local name=$1 other=$2 links tries third=${address[$1]%.*}.$((${address[$1]##*.} + 1))

	mapfile -t links < <(ip -6 -o address show dev "${tap[$name]}" scope link | awk '{ sub("/.*", "", $4); print $4 }')
	python3 -B "$HERE/isolation.py" frames "$name" "${mac[$name]}" "${address[$name]}" "${bridge_mac[$name]}" "${gateway[$name]}" \
		"${mac[$other]}" "${address[$other]}" "${links[@]}" >"$T/frames-$name"
	closed_places "$name" "$other" | sed "s/^/$name-/" >"$T/asks-$name"
	ip neigh replace "$third" lladdr 02:00:00:00:66:66 nud stale dev "${bridge[$name]}"
	ip neigh show dev "${bridge[$name]}" >"$T/neigh-$name"
	ask "$name" 3 <"$T/asks-$name" >"$T/answers-$name"
	vms ssh "$name" -- sudo ./probe frames eth0 <"$T/frames-$name"
	# on a busy host a capture comes late, or misses some: then they are sent again
	for tries in $(seq 20); do
		! all_was_sent "$name" || break
		sleep 0.5
		[ "$tries" -ne 8 ] || vms ssh "$name" -- sudo ./probe frames eth0 <"$T/frames-$name"
	done
	sleep 0.5
}

attack() {
	since[$1]=${EPOCHREALTIME/,/.}
	t "(hostile root in $1 tries everything)" attacks "$@"
	till[$1]=${EPOCHREALTIME/,/.}
}

# --- judging

# What a canary or a capture has seen of the marks of NAME that match an expression. bridge: behind the tap counts, too.
seen() {
	local name=$1 pattern=$2 other captures=("$T/lan.pcap" "$T/public.pcap" "$T/docker.pcap")

	for other in "${!address[@]}"; do
		[ "$other" = "$name" ] || captures+=("$T/in-$other.pcap" "$T/bridge-$other.pcap")
	done
	[ "${3:-}" != bridge ] || captures+=("$T/bridge-$name.pcap")
	{
		python3 -B "$HERE/isolation.py" ids "${captures[@]}"
		# to the gateway's DNS a guest may send what it likes
		grep -hv " raw-17 ${address[$name]} ${gateway[$name]} sport=[0-9]* dport=53 " "$T"/{host,lan,public,docker}.log |
			sed -n 's/.* marks=//p' | tr , '\n'
	} | grep -E "^$name-($pattern)" | sort -u
}

# stopped NAME PATTERN [bridge]: control: the guest really sent all of it
stopped() {
	local name=$1 wanted

	[ -s "$T/frames-$name" ] || fail "$name sent nothing"
	wanted=$(cut -d' ' -f1 "$T/frames-$name" | grep -E "^$name-($2)" | sort -u)
	[ -n "$wanted" ] || fail "no such frames: $2"
	eq "$(comm -23 - <(python3 -B "$HERE/isolation.py" ids "$T/out-$name.pcap" | sort) <<<"$wanted")" "" "never sent"
	eq "$(seen "$@")" "" "what got through"
}

# silent NAME PATTERN: nobody answered, and nobody was asked
silent() {
	local name=$1 answers

	answers=$(grep -E "^$name-($2)" "$T/answers-$name") || fail "nobody was asked: $2"
	eq "$(grep -E ' (open|answer)$' <<<"$answers")" "" "what answered"
	eq "$(seen "$name" "$2")" "" "what got through"
}

# What the host's own packet filter has let in, from every port to every port: DNS, and what belongs to ssh from the host.
host_got() {
	local name=$1
	during "$name" "$T/host.log" | grep -E "^[0-9.]+ (tcp|udp|raw[-0-9]*) ${address[$name]} " |
		grep -vE "marks=$name-link-| raw-(6|17) [0-9.]+ ${gateway[$name]} sport=[0-9]+ dport=53 | raw-6 [0-9.]+ ${gateway[$name]} sport=22 dport=[0-9]+ flags=(1[0-9a-f]|04) "
}

host_got_nothing() {
	contains "$(during "$1" "$T/host.log")" "raw-6 ${address[$1]} ${gateway[$1]} sport=22 dport=[0-9]+ flags=1" # control: ssh
	eq "$(host_got "$1" | head -n 20)" "" "what came in"
}

# The capture in a namespace during the attack, but for what a filter of tcpdump names.
namespace_got() {
	tcpdump -nn -tt -r "$T/$2.pcap" "ip and not net 224.0.0.0/4${3:+ and not ($3)}" 2>/dev/null >"$T/got"
	during "$1" "$T/got"
}

namespaces_got_nothing() {
	eq "$(namespace_got "$1" lan | head -n 5)" "" "what reached the LAN"
	eq "$(namespace_got "$1" docker | head -n 5)" "" "what reached the other bridge"
}

# New connections to another guest's ssh: nobody else begins one in this time.
other_got_nothing() {
	tcpdump -nn -tt -r "$T/in-$2.pcap" "tcp[13] & 0x12 = 2 or icmp[0] = 8 or (udp and not src port 53)" 2>/dev/null >"$T/got"
	eq "$(during "$1" "$T/got" | head -n 5)" "" "what reached $2"
}

# The host gets another address while machines run: a lease, a VPN.
later_addresses_are_closed() {
	local late=198.51.100.130

	ip address add "$late/32" dev isotest-p0
	contains "$("$T/probe" ask 5 <<<"control tcp $late 18080")" open
	since[nat]=${EPOCHREALTIME/,/.}
	printf 'nat-5-late%s\n' " tcp $late 18080" "-udp udp $late 18080" "-ping ping $late" | ask nat 2 >"$T/answers"
	till[nat]=${EPOCHREALTIME/,/.}
	ip address delete "$late/32" dev isotest-p0
	eq "$(grep -c silent "$T/answers")" 3 "what is refused of: $(cat "$T/answers")"
	eq "$(host_got nat)" "" "what came in"
}

# The host comes into another network with public addresses while machines run.
later_networks_are_closed() {
	local late=198.51.100.194

	ip address add 198.51.100.193/28 dev isotest-l0
	inside lan ip address add "$late/28" dev eth0
	contains "$("$T/probe" ask 5 <<<"control tcp $late 80")" open
	# control: until then it is like the internet
	contains "$(ask nat 10 <<<"nat-control tcp $late 80")" open
	contains "$(vms start nat 2>&1)" 'other addresses or networks .* its filter follows'
	since[nat]=${EPOCHREALTIME/,/.}
	printf 'nat-1-late%s\n' " tcp $late 80" "-udp udp $late 53" "-ping ping $late" | ask nat 2 >"$T/answers"
	till[nat]=${EPOCHREALTIME/,/.}
	ip address delete 198.51.100.193/28 dev isotest-l0
	inside lan ip address delete "$late/28" dev eth0
	contains "$(vms start nat 2>&1)" 'its filter follows'
	lacks "$(vms start nat 2>&1)" 'its filter follows'
	eq "$(grep -c silent "$T/answers")" 3 "what is refused of: $(cat "$T/answers")"
	eq "$(namespace_got nat lan)" "" "what reached the LAN"
}

works_with_nat() {
	printf '%s\n' "tcp tcp $PUBLIC 443" "tcp-high tcp $PUBLIC 8080" "udp udp $PUBLIC 444" "ping ping $PUBLIC" "dns-elsewhere udp $PUBLIC 53" \
		"dns dns-udp ${gateway[nat]}" "dns-tcp dns-tcp ${gateway[nat]}" | sed 's/^/nat-ok-/' | ask nat 20 >"$T/answers"
	eq "$(cat "$T/answers")" "$(printf 'nat-ok-%s\n' "tcp open" "tcp-high open" "udp answer" "ping answer" "dns-elsewhere answer" "dns answer" \
		"dns-tcp answer")"
	contains "$(cat "$T/public.log")" ' udp 198.51.100.1 .*marks=nat-ok-udp'
}

frames_arrive() {
	# control: what the frames are made of is right, since the good ones arrive
	eq "$(seen nat 'ok-(udp|tcp)$' | tr '\n' ' ')" "nat-ok-tcp nat-ok-udp "
	contains "$(python3 -B "$HERE/isolation.py" ids "$T/bridge-nat.pcap")" '^nat-ok-arp$'
}

neighbours_unchanged() {
	local now
	now=$(ip neigh show dev "${bridge[$1]}")
	contains "$(cat "$T/neigh-$1")" '02:00:00:00:66:66'
	eq "$(awk '/lladdr/ { print $1, $3 }' <<<"$now" | sort)" "$(awk '/lladdr/ { print $1, $3 }' "$T/neigh-$1" | sort)" "the host's neighbours"
	contains "$now" "^${address[$1]} lladdr ${mac[$1]} "
	contains "$now" ' lladdr 02:00:00:00:66:66 '
	eq "$(ip neigh show "$LAN" | grep -o 'lladdr [^ ]*')" "lladdr $(inside lan cat /sys/class/net/eth0/address)"
}

# What an advertisement would have left on the host.
host_has_no_ipv6_of_it() {
	lacks "$(ip -6 address; ip -6 route show table all)" '2001:db8:6666'
	eq "$(ip -6 address show dev "${bridge[$1]}")" "" "IPv6 of the bridge"
}

# knock NAME: three hosts ask the guest. LAN and bridge, too, from the port that `allow` lists.
knock() {
	local name=$1 from

	for from in lan public docker; do
		printf '%s\n' "26-$from-ssh tcp ${address[$name]} 22" "26-$from-tcp tcp ${address[$name]} 8080" "26-$from-udp udp ${address[$name]} 8080" \
			"26-$from-ping ping ${address[$name]}" | inside "$from" "$T/probe" ask 2 >"$T/knock-$from" &
	done
	wait
	cat "$T"/knock-*
}

# Where other rules of the host forward it, the guest's answers do not get out; where nothing does, no packet gets in.
nobody_comes_in() {
	local name=$1 answers

	answers=$(knock "$name")
	eq "$(grep -cE ' (silent|refused|unreachable)$' <<<"$answers")" 12 "what is refused of: $answers"
	iptables -w -t filter -D VMSISO -i isotest-+ -j ACCEPT
	since[$name]=${EPOCHREALTIME/,/.}
	answers=$(knock "$name")
	till[$name]=${EPOCHREALTIME/,/.}
	iptables -w -t filter -A VMSISO -i isotest-+ -j ACCEPT
	eq "$(grep -cE ' (silent|refused|unreachable)$' <<<"$answers")" 12 "what is refused of: $answers"
	tcpdump -nn -tt -r "$T/in-$name.pcap" "tcp[13] & 0x12 = 2 or icmp[0] = 8 or (udp and not src port 53)" 2>/dev/null >"$T/got"
	eq "$(during "$name" "$T/got")" "" "what reached $name"
}

past_the_bridge() {
	local name

	for name in nat allow none; do
		stopped "$name" link-
	done
}

# The profile says egress=443/tcp and allow=192.168.77.2:8080/tcp: these, and none of their neighbours.
only_what_is_listed() {
	printf 'allow-%s\n' "ok-egress tcp $PUBLIC 443" "ok-allow tcp $LAN 8080" "ok-dns dns-udp ${gateway[allow]}" "ok-dns-tcp dns-tcp ${gateway[allow]}" |
		ask allow 20 >"$T/answers"
	eq "$(cat "$T/answers")" "$(printf 'allow-ok-%s\n' "egress open" "allow open" "dns answer" "dns-tcp answer")"
	since[allow]=${EPOCHREALTIME/,/.}
	printf 'allow-20-%s\n' "next-port tcp $PUBLIC 444" "udp udp $PUBLIC 443" "http tcp $PUBLIC 80" "dns udp $PUBLIC 53" "dns-tcp tcp $PUBLIC 53" \
		"ping ping $PUBLIC" "host tcp $HOST_PUBLIC 443" "lan-443 tcp $LAN 443" "lan-next-port tcp $LAN 8081" "lan-udp udp $LAN 8080" \
		"lan-next-address tcp $LAN_NEXT 8080" "lan-ping ping $LAN" "public-8080 tcp $PUBLIC 8080" "host-8080 tcp $HOST_LAN 8080" |
		ask allow 3 >"$T/answers"
	till[allow]=${EPOCHREALTIME/,/.}
	eq "$(grep -cE ' (silent|refused|unreachable)$' "$T/answers")" 14 "what is refused of: $(cat "$T/answers")"
	eq "$(seen allow 20-)" "" "what got through"
	# what another machine goes on answering to those who knocked before is not this one's
	eq "$(namespace_got allow public "tcp port 443 or host ${address[nat]}")" "" "what reached the internet"
	eq "$(namespace_got allow lan "tcp port 8080 and host $LAN")" "" "what reached the LAN"
}

nothing_with_none() {
	since[none]=${EPOCHREALTIME/,/.}
	printf 'none-20-%s\n' "tcp tcp $PUBLIC 443" "udp udp $PUBLIC 53" "ping ping $PUBLIC" "dns dns-udp ${gateway[none]}" "dns-tcp dns-tcp ${gateway[none]}" \
		"gateway-ping ping ${gateway[none]}" | ask none 3 >"$T/answers"
	till[none]=${EPOCHREALTIME/,/.}
	eq "$(grep -cE ' (silent|refused|unreachable)$' "$T/answers")" 6 "what is refused of: $(cat "$T/answers")"
	nothing_left none
}

# With mode=none also to the internet and to the gateway's DNS.
nothing_left() {
	eq "$(seen "$1" '(ok|[0-9]+)-')" "" "what got through"
	eq "$(namespace_got "$1" public)" "" "what reached the internet"
	lacks "$(during "$1" "$T/host.log" | grep " ${address[$1]} ")" 'dport=53 '
}

ssh_works() {
	local name

	for name in nat allow none; do
		# also when both sides have to find each other again
		ip neigh flush dev "${bridge[$name]}"
		eq "$(in_guest "$name" 'sudo ip neigh flush dev eth0; hostname')" "$name"
		eq "$(in_guest "$name" 'head -c 3000000 /dev/zero | sha256sum')" "$(head -c 3000000 /dev/zero | sha256sum)"
	done
}

no_machine_is_left() {
	vms destroy --yes nat allow none
	nothing_remains nat
	nothing_remains allow
	nothing_remains none
}

open_world nat allow none
machine_profile nat mode=nat
machine_profile allow $'mode=nat\negress=443/tcp\nallow=192.168.77.2:8080/tcp'
machine_profile none mode=none
t "three machines start: mode=nat; with egress= and allow=; mode=none" starts_machines nat allow none
t "what each may reach is said in one line" policy_is_told
for machine in nat allow none; do
	learn "$machine"
	[ "$machine" != none ] || iptables -w -t filter -I VMSISO -i "${bridge[none]}" -j ACCEPT
	t "(captures around $machine)" watched "$machine"
done

t "mode=nat: TCP, UDP, ping and DNS work" works_with_nat
attack nat allow
t "control: well-formed frames of the same making get through" frames_arrive
t "1: the LAN is closed" silent nat 1-
t "2: all private, shared and special networks are closed" silent nat 2-
t "3: metadata of clouds is closed" silent nat 3-
t "4: the gateway has DNS, and no other service" stopped nat 4-
t "5: the host's other addresses are closed, private or public" silent nat 5-
t "5: (frames)" stopped nat 5-
t "4, 5: the host's packet filter let nothing in but DNS and answers of ssh" host_got_nothing nat
t "5: an address that the host gets later is closed" later_addresses_are_closed
t "1: a network that the host comes into later is closed with the next start" later_networks_are_closed
t "6: a port that the host publishes for a container is closed" silent nat 6-
t "7: the host's loopback is closed, also with route_localnet" stopped nat 7-
t "8: other bridges of the host are closed" silent nat 8-
t "1, 2, 3, 6, 8: not one packet reached the LAN or the other bridge" namespaces_got_nothing nat
t "9: another guest is not reached directly" stopped nat 9-
t "10: another guest is not reached through the gateway" silent nat 10-ask
t "10: (frames)" stopped nat 10-
t "9, 10: not one packet reached the other guest" other_got_nothing nat allow
t "11: frames with another MAC address are dropped" stopped nat 11- bridge
t "12: packets with another address are dropped" stopped nat 12- bridge
t "13: ARP in another's name is dropped, and questions for other addresses of the host" stopped nat 13- bridge
t "13: the host's neighbours are as before" neighbours_unchanged nat
t "14: DHCP is dropped" stopped nat 14- bridge
t "15: IPv6 on the link is dropped" stopped nat 15- bridge
t "16: IPv6 to the world is dropped" stopped nat 16-
t "15, 16: not even as frames on the bridge" stopped nat '15-|16-[^i]' bridge
t "17: VLAN tags, PPPoE, LLDP and other kinds of frames are dropped" stopped nat 17- bridge
t "22: multicast and broadcast are dropped" stopped nat 22-
t "22: (on the bridge)" stopped nat '22-[^p]' bridge
t "24: other protocols than TCP, UDP and echo requests are dropped" stopped nat '24-i(p|cmp)'
t "24: fragments and source routes open nothing" stopped nat '24-(fragment|tiny|overlap|source)'
t "24: from port 22 or 53 nothing is begun" stopped nat 24-from
t "15: none of it left an address or route on the host" host_has_no_ipv6_of_it nat
t "26: nobody outside reaches a guest" nobody_comes_in nat

t "20: egress= and allow= open what they list, and nothing next to it" only_what_is_listed
attack allow nat
t "with allow= the same is closed" silent allow '[1-9]'
t "with allow= the same frames are dropped" stopped allow '(ok-[ut]|[1-9]-|10|24-[^t]|24-tiny-[^l])'
t "with allow= spoofed and foreign frames are dropped" stopped allow '(1[1-57]-|22-[^p])' bridge
t "with allow= the host let nothing in" host_got_nothing allow
t "with allow= nothing reached the other guest" other_got_nothing allow nat

t "mode=none: no internet and no DNS" nothing_with_none
attack none allow
t "mode=none: the same is closed" silent none '[1-9]'
t "mode=none: nothing gets through" nothing_left none
t "mode=none: frames are dropped" stopped none '(ok-[ut]|[1-9]-|10|24)'
t "mode=none: spoofed and foreign frames are dropped" stopped none '(1[1-57]-|22)' bridge
t "mode=none: the host let nothing in" host_got_nothing none
t "26: nobody outside reaches a guest without a network" nobody_comes_in none

t "frames that a bridge hands to the host past its filter reach nothing" past_the_bridge
t "ssh from the host works through all of it" ssh_works
t "(the machines go)" no_machine_is_left
finish
