#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a guest learns by asking names, whom it may ask, and what its questions and connections cost the host. A resolver of
# the test's own stands for the host's, and others for those of a LAN and of the internet. The numbers are rows of the list of threats.
# in turns
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/vm/isolation-lib.sh
. "$VMS_TESTS_TOP/tests/vm/isolation-lib.sh"

UPSTREAM=$PUBLIC OTHER=198.51.100.3 HOLE=198.51.100.77
# In the filter, and some for the packets of the moment that it looks at.
CONNECTIONS_MAX=4000 SLACK=600

# Those that were started here in place of libvirt's, of which it does not know.
end_dnsmasq() {
	local name process
	for name in one two; do
		for process in $(pgrep -f "dnsmasq --conf-file=/var/lib/libvirt/dnsmasq/$(object "$name")\.conf"); do
			kill "$process" 2>/dev/null
		done
	done
}

end_all() {
	end_dnsmasq
	clean_up
}

resolvers_stand() {
	namespace lan "$LAN/24" "$HOST_LAN"
	ip address add "$HOST_LAN/24" dev isotest-l0
	namespace public "$PUBLIC/24" 198.51.100.1
	inside public ip address add "$OTHER/24" dev eth0
	ip address add 198.51.100.1/32 dev isotest-p0
	inside public ip address add "$ROUTER/24" dev eth0
	ip route add 198.51.100.0/24 via "$ROUTER" dev isotest-p0 onlink
	# $HOLE takes packets and answers none
	inside public sysctl -q -w net.ipv4.ip_forward=0
	for place in "$LAN" "$UPSTREAM" "$OTHER" "$HOLE"; do
		contains "$(ip route get "$place")" 'dev isotest-'
	done
}

# resolver NAMESPACE ADDRESS NAME: its log is NAME.log
resolver() {
	background "$3" ip netns exec "isotest-$1" python3 -B "$HERE/resolver.py" "$2" "$SECONDS_MAX"
	contains "$(printf 'public.example A\nrebind-10.example A\n' | perl "$HERE/ask-names.pl" "$2" 5)" '^public.example A 5.5.5.5$'
}

resolvers_answer() {
	resolver public "$UPSTREAM" upstream
	resolver public "$OTHER" other
	resolver lan "$LAN" lan
}

# redirected NAME: the gateway's own dnsmasq, by its own configuration, started again where /etc/resolv.conf names the test's resolver
redirected() {
	local name process command

	name=$(object "$1")
	process=$(cat "/run/libvirt/network/$name.pid")
	mapfile -d '' command <"/proc/$process/cmdline"
	contains "${command[*]}" "dnsmasq.* --conf-file=/var/lib/libvirt/dnsmasq/$name.conf"
	echo "nameserver $UPSTREAM" >"$T/resolv.conf"
	kill "$process"
	while kill -0 "$process" 2>/dev/null; do sleep 0.1; done
	# shellcheck disable=SC2016
	unshare -m bash -c 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"' bash "$T/resolv.conf" "${command[@]}"
	contains "$(ask_names "$1" "${gateway[$1]}" 10 <<<'public.example A')" '^public.example A 5.5.5.5$'
}

# ask_names MACHINE SERVER SECONDS [PROTOCOL [PORT]] < LINES
ask_names() {
	local name=$1
	shift
	vms ssh "$name" -- sudo perl ask-names.pl "$@"
}

asker() {
	vms cp "$HERE/ask-names.pl" "$1:ask-names.pl" </dev/null
}

log_of() {
	cat "$T/$1.log"
}

# --- rows 18, 19: what the gateway's DNS tells

names_of_the_lan() {
	local answers
	answers=$(printf '%s A\n' fritz.box nas.local printer | ask_names one "${gateway[one]}" 5)
	echo "$answers"
	lacks "$answers" '192\.168\.'
	# without a domain nobody is asked
	lacks "$(log_of upstream)" ' printer A$'
	# control: with another domain the question does go there
	contains "$(log_of upstream)" ' nas.local A$'
	answers=$(printf '%s PTR\n' 1.178.168.192.in-addr.arpa 6.6.66.10.in-addr.arpa 254.169.254.169.in-addr.arpa | ask_names one "${gateway[one]}" 5)
	lacks "$answers" "$(printf 'secret' | od -An -tx1 | tr -d ' \n')"
	lacks "$(log_of upstream)" ' PTR$'
	# the host's own names stay there
	answers=$(printf '%s A\n' "$(hostname)" "$(hostname).local" localhost | ask_names one "${gateway[one]}" 5)
	lacks "$answers" " A (10|127|172|192)\."
}

rebinding() {
	local answers
	answers=$({
		printf 'rebind-%s.example A\n' 192 10 172 127 169 0 gateway mixed
		printf 'rebind-%s.example AAAA\n' 6 local6 unique6 mapped
	} | ask_names one "${gateway[one]}" 5)
	echo "$answers"
	eq "$(wc -l <<<"$answers")" 12 "answers"
	# control: each was asked, and answered by the resolver
	eq "$(grep -cE ' rebind-[a-z0-9]+\.example (A|AAAA)$' <<<"$(log_of upstream | sort -u -k5)")" 12 "questions that the resolver saw"
	eq "$(grep -vE ' (none|silent|status [0-9]+)$' <<<"$answers")" "" "answers that lead into closed networks"
}

# --- row 20: whom else it may ask

other_servers() {
	local protocol
	for protocol in udp tcp; do
		# the internet's are the internet; a LAN's is nobody's business
		contains "$(ask_names one "$OTHER" 5 "$protocol" <<<"public.example A")" '5\.5\.5\.5$'
		contains "$(ask_names one "$LAN" 3 "$protocol" <<<"public.example A")" 'silent$'
		contains "$(ask_names two "$OTHER" 3 "$protocol" <<<"public.example A")" 'silent$'
		contains "$(ask_names two "$LAN" 3 "$protocol" <<<"public.example A")" 'silent$'
	done
	lacks "$(grep -v " $HOST_LAN " "$T/lan.log")" query
	lacks "$(log_of other)" "${address[two]}"
	# the gateway is what two asks
	contains "$(ask_names two "${gateway[two]}" 5 <<<"public.example A")" '5\.5\.5\.5$'
}

# --- row 21, and one dnsmasq for each

no_names_from_guests() {
	local name
	for name in one two; do
		lacks "$(cat "/var/lib/libvirt/dnsmasq/$(object "$name").conf")" '^dhcp-|^hosts|^addn-hosts=/etc'
		[ ! -s "/var/lib/libvirt/dnsmasq/$(object "$name").addnhosts" ] || fail "$name has host names"
	done
	lacks "$(ss -Hlnu)" ":67 "
	in_guest one 'sudo hostname pollution.example
		sudo perl -MIO::Socket::INET -e '\''
			my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 68, Broadcast => 1) or die;
			my $head = pack("C4NnnN4", 1, 1, 6, 0, 4711, 0, 0x8000, 0, 0, 0, 0) . "\x52\x54\x00\x00\x00\x01" . "\0" x 202 . "\x63\x82\x53\x63";
			for my $to ("255.255.255.255", $ARGV[0]) {
				for my $kind (1, 3) {
					send($s, $head . pack("C3", 53, 1, $kind) . "\x0c\x11pollution.example\xff", 0, pack_sockaddr_in(67, inet_aton($to)));
				}
			}
			my $bits = ""; vec($bits, fileno($s), 1) = 1; print select($bits, undef, undef, 3) ? "offered\n" : "no offer\n";'\'' '"${gateway[one]}" >"$T/dhcp"
	eq "$(cat "$T/dhcp")" "no offer" "DHCP"
	lacks "$(ask_names two "${gateway[two]}" 5 <<<'pollution.example A')" '10\.213\.'
	lacks "$(ask_names one "${gateway[one]}" 5 <<<'pollution.example A')" '10\.213\.'
	for name in one two; do
		[ ! -s "/var/lib/libvirt/dnsmasq/$(object "$name").addnhosts" ] || fail "$name has host names now"
	done
}

# On a slow host silence says little: what a gateway is asked, it asks the resolver.
one_for_each() {
	local protocol
	for protocol in udp tcp; do
		contains "$(ask_names one "${gateway[two]}" 3 "$protocol" <<<"foreign.example A")" 'silent$'
		contains "$(ask_names two "${gateway[one]}" 3 "$protocol" <<<"foreign.example A")" 'silent$'
		# nor is it an open resolver for the LAN
		contains "$(inside lan perl "$HERE/ask-names.pl" "${gateway[one]}" 3 "$protocol" <<<"foreign.example A")" 'silent$'
	done
	lacks "$(log_of upstream)" ' foreign\.example A$'
	# control
	ask_names one "${gateway[one]}" 10 <<<"foreign.example A"
	contains "$(log_of upstream)" ' foreign\.example A$'
}

# --- row 23: a port below 1024 is root's word for some servers

low_ports() {
	local protocol
	for protocol in udp tcp; do
		contains "$(ask_names one "$OTHER" 5 "$protocol" 700 <<<"public.example A")" '5\.5\.5\.5$'
	done
	eq "$(awk '$1 == "query" && $4 < 1024' "$T/other.log")" "" "questions from a port of root's"
	# control: where nothing translates, such a port is seen
	perl "$HERE/ask-names.pl" "$OTHER" 5 udp 700 <<<"public.example A"
	contains "$(log_of other)" ' 700 public.example A$'
}

# --- row 25: the host's table of connections

tracked() {
	grep -cE "src=${address[one]} " /proc/net/nf_conntrack || true
}

# flood udp|tcp PORTS-FROM: 20,000 at once, none of them answered
flood() {
	in_guest one "cat >flood.pl <<'END'
use Socket; my (\$to, \$kind) = @ARGV; my @open;
for my \$port (1 .. 20000) {
	socket(my \$s, PF_INET, (\$kind eq 'tcp' ? SOCK_STREAM : SOCK_DGRAM) | 2048, 0) or last;
	connect(\$s, pack_sockaddr_in(1024 + \$port, inet_aton(\$to)));
	send(\$s, 'x', 0) if \$kind eq 'udp';
	push @open, \$s;
}
print scalar(@open), qq(\n);
sleep 3;
END
		sudo sh -c 'ulimit -n 30000; perl flood.pl $HOLE $1'"
}

# A slow guest has them all at once, too, when the kernel keeps one that nobody answers for ten minutes.
connections_are_bounded() {
	local kind count before opened setting=net.netfilter.nf_conntrack_udp_timeout usual
	usual=$(sysctl -n "$setting")
	[ -r /proc/net/nf_conntrack ] || fail "this kernel does not show its connections"
	before=$(tracked)
	for kind in $(printf '%s\n' udp tcp | sample 1); do
		sysctl -q -w "$setting=600"
		opened=$(flood "$kind") || true
		count=$(tracked)
		sysctl -q -w "$setting=$usual"
		eq "$opened" 20000 "sockets that the guest opened"
		echo "$kind: $count connections of the guest's are tracked, $before before"
		[ "$count" -ge 1000 ] || fail "the guest opened $count only: nothing is shown"
		[ "$count" -le $((CONNECTIONS_MAX + SLACK)) ] || fail "the host tracks $count connections of one guest"
		# the others, and the way into this one
		eq "$(in_guest two hostname)" two
		eq "$(in_guest one 'echo in')" in
		contains "$(ask_names two "${gateway[two]}" 10 <<<"public.example A")" '5\.5\.5\.5$'
	done
}

exec 9>/run/lock/vms-tests-isolation.lock
flock -w 1200 9 || {
	echo "not ok 1 - another run of this test does not end"
	exit 1
}
clean_up
vms destroy --yes --if-exists one two >/dev/null 2>&1
trap end_all EXIT
trap 'exit 143' INT TERM
need_image
t "(a LAN and an internet, of this test)" resolvers_stand
passed || finish
t "control: resolvers of the test's answer" resolvers_answer
passed || finish
machine_profile one mode=nat
machine_profile two 'egress=443/tcp'
t "(two machines: nat, egress)" starts_machines one two
for name in one two; do
	learn "$name"
	asker "$name"
done
t "control: the gateways ask the test's resolver instead of the host's" redirected one
passed || finish
t "(the other one, too)" redirected two
t "18: no names of the LAN, and none of the host's" names_of_the_lan
t "19: no answer leads into a closed network" rebinding
t "20: no DNS server but the gateway's where the profile opens no port for it, and never a LAN's" other_servers
t "21: a guest gives itself no name, there is no DHCP" no_names_from_guests
t "18: a gateway answers its own guest only" one_for_each
t "23: what comes out has no port of root's" low_ports
! full || t "25: 20,000 sockets of a guest's do not fill the host's table of connections" connections_are_bounded
end_dnsmasq
vms destroy --yes one two >/dev/null 2>&1
finish
